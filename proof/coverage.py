#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""coverage.py NOT-COVERED JSON...: sums up what gcov says of several programs."""
import json
import sys

allowed = {line.split('\t')[0].strip() for line in open(sys.argv[1])
           if line.strip() and not line.startswith(('#', '\t'))}
lines, branches, text = {}, {}, {}
for name in sys.argv[2:]:
    for file in json.load(open(name))['files']:
        base = file['file'].split('/')[-1]
        if not base.startswith('virtio_mem_xlate'):
            continue
        text[base] = open(file['file']).read().split('\n')
        for line in file['lines']:
            at = base, line['line_number']
            lines[at] = lines.get(at, 0) + line['count']
            for i, branch in enumerate(line['branches']):
                if not branch['throw']:
                    key = at, line.get('function_name'), i
                    branches[key] = branches.get(key, 0) + branch['count']
missed = {at for at, n in lines.items() if not n}
missed |= {key[0] for key, n in branches.items() if not n}
excluded = {at for at in missed if text[at[0]][at[1] - 1].strip() in allowed}
for base, number in sorted(missed):
    print(f'{base}:{number}: {text[base][number - 1].strip()}')
print(f'{sum(map(bool, lines.values()))} of {len(lines)} lines, '
      f'{sum(map(bool, branches.values()))} of {len(branches)} branches; '
      f'{len(excluded)} lines excluded, {len(missed - excluded)} missed')
sys.exit(bool(missed - excluded) or len(excluded) > 10 or len(lines) < 200)
