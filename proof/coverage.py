#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""coverage.py FILE... -- JSON...: sums up what gcov says of FILEs in
several programs.

Fails for a line or branch that none of them reached and that does not stand, with
its reason, in proof/not-covered; and for more than 10 such lines.
"""
import json
import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
files, reports = sys.argv[1:sys.argv.index('--')], sys.argv[sys.argv.index('--') + 1:]
allowed = {line.strip() for line in open(f'{TOP}/proof/not-covered')
           if line.strip() and not line.startswith(('#', '\t'))}
text = {os.path.basename(name): open(f'{TOP}/{name}').read().split('\n') for name in files}
lines, branches = {}, {}
for report in reports:
    for file in json.load(open(report))['files']:
        base = os.path.basename(file['file'])
        if base not in text:
            continue
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
sys.exit(bool(missed - excluded) or len(excluded) > 10 or {base for base, _ in lines} != set(text))
