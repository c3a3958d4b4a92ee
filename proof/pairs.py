#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""pairs.py TREE: does each comment "Pairs with X() in F()" tell the truth?

x86 and the thread sanitizer show no missing barrier; but each one here names its
partner.  So X must be called in F, and F must name what the comment stands before.
"""
import re
import sys

BARRIERS = ('rcu_assign_pointer', 'srcu_dereference', 'smp_store_release', 'smp_load_acquire')


def functions(text):
    """Each function's name and body."""
    for m in re.finditer(r'^(?:[\w *]+?\b)?(\w+)\([^;{}]*?\)\n(?:\t__\w+\([^\n]*\)\n)?\{\n(.*?)^\}', text, re.M | re.S):
        yield m.group(1), m.group(2)


text = ''.join(open(f'{sys.argv[1]}/virtio_mem_xlate{f}').read() for f in ('.h', '_table.h', '.c'))
text = re.sub(r'^/\*.*?\*/', '', text, flags=re.M | re.S)
bodies = dict(functions(text))
wrong, pairs = [], 0
for name, body in bodies.items():
    comments = re.findall(r'/\*.*?\*/', body, re.S)
    code = re.sub(r'/\*.*?\*/', '', body, flags=re.S)
    used = [b for b in BARRIERS if re.search(rf'\b{b}\(', code)]
    for comment in comments:
        comment = re.sub(r'\s+\*?\s*', ' ', comment)
        m = re.search(r'Pairs with (\w+)\(\) in ((?:\w+\(\)(?: and )?)+)', comment)
        if not m:
            continue
        pairs += 1
        if not used:
            wrong.append(f'{name}: the barrier is gone that {m.group(1)}() pairs with')
        for other in re.findall(r'\w+', m.group(2).replace(' and ', ' ')):
            if m.group(1) + '(' not in re.sub(r'/\*.*?\*/', '', bodies.get(other, ''), flags=re.S):
                wrong.append(f'{name}: no {m.group(1)}() in {other}()')
# Views are taken and given back with SRCU, and each wait is for it.
for name, calls in {
        'virtio_mem_xlate_read_lock': ('srcu_read_lock(', 'table_generation('),
        'virtio_mem_xlate_read_unlock': ('srcu_read_unlock(',),
        'wait_for_views': ('might_sleep(', 'synchronize_srcu_expedited(')}.items():
    for call in calls:
        if call not in bodies.get(name, ''):
            wrong.append(f'{name}: no {call})')
for line in wrong:
    print(line)
print(f'{pairs} comments name their partners')
sys.exit(bool(wrong) or pairs < 4)
