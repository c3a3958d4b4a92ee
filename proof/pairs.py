#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""pairs.py TREE: are the barriers there that other memory models than x86's need?

x86 and the thread sanitizer show no missing barrier.  But each comment "Pairs with X() in F()"
names a partner: F must call X, and the comment must stand in a function that has a barrier.
And where a function orders several accesses, ORDER says which.
"""
import os
import re
import sys

from source import FILES, functions

BARRIERS = ('rcu_assign_pointer', 'srcu_dereference', 'smp_store_release', 'smp_load_acquire',
            'smp_wmb', 'smp_mb')

# Accesses of a function in this order.
ORDER = {
    # Views and holds are SRCU's, and each wait is for it.
    'virtio_mem_xlate_read_lock': ('srcu_read_lock(', 'srcu_dereference(', 'table_generation('),
    'virtio_mem_xlate_read_unlock': ('srcu_read_unlock(',),
    'wait_for_readers': ('might_sleep(', 'synchronize_srcu_expedited(&>views',
                         'synchronize_srcu_expedited(&>holds'),
    'calls_start': ('list_splice_init(', 'call_srcu(&>views', 'calls_after_views'),
    'calls_after_views': ('call_srcu(&>holds', 'calls_after_holds'),
    'calls_after_holds': ('queue_work(',),
    'wait_for_calls': ('virtio_mem_xlate_call(', 'wait_for_completion(', 'flush_work('),
    'settle_later': ('>version;', '>generation;', 'call_srcu(&>views'),
    'set_log': ('smp_store_release(&>log', 'wait_for_readers('),
    # A slot that gets other memory.
    'table_set_present': ('WRITE_ONCE(>state', 'smp_wmb(', 'WRITE_ONCE(>kva', 'WRITE_ONCE(>until',
                          'smp_wmb(', 'WRITE_ONCE(>state'),
    'table_remove': ('WRITE_ONCE(>state', 'smp_wmb(', 'WRITE_ONCE(>until', 'smp_wmb(',
                     'WRITE_ONCE(>state'),
    'slot_was_live': ('smp_load_acquire(&>state', 'READ_ONCE(>until'),
    'slot_byte': ('smp_load_acquire(&>kva', 'smp_load_acquire(&>until', 'READ_ONCE(>state'),
    'slot_seen': ('smp_load_acquire(&>state', 'smp_load_acquire(&>kva', 'smp_load_acquire(&>until',
                  'READ_ONCE(>state'),
    # The data before the mark, and the data before the test of the mark.
    'virtio_mem_xlate_copy_to': ('copy_out(', 'virtio_mem_xlate_dirty(', 'copy_out(',
                                 'virtio_mem_xlate_dirty('),
    'virtio_mem_xlate_dirty_cold': ('smp_load_acquire(&>log', 'smp_mb(', 'READ_ONCE(',
                                    'atomic_long_or('),
}


# Readers, beside updates, of the fields of a slot that change: by marked loads alone.
READERS = ('slot_byte', 'slot_byte_cold', 'slot_seen', 'table_next')
PLAIN = re.compile(r'(?<!READ_ONCE\()(?<!smp_load_acquire\(&)\b\w+->(?:kva|state|until)\b')


def ordered(code, accesses):
    """Does @code have the accesses in this order?  A > is any pointer's ->."""
    pattern = '.*'.join(re.escape(a).replace('>', r'[\w()>-]*->') for a in accesses)
    return re.search(pattern, code, re.S)


wrong, pairs, bodies, code = [], 0, {}, {}
for file in FILES:
    if not os.path.exists(path := f'{sys.argv[1]}/{file}'):
        sys.exit(f'pairs: no {path}')
    text = open(path).read()
    for f in functions(text).values():
        bodies[f.name], code[f.name] = text[f.body:f.end], f.code
for name, body in bodies.items():
    for comment in re.findall(r'/\*.*?\*/', body, re.S):
        comment = re.sub(r'\s+\*?\s*', ' ', comment)
        m = re.search(r'[Pp]airs? with (?:the )?(\w+)\(\) (?:in|of) ((?:\w+\(\)(?: and )?)+)', comment)
        if not m:
            continue
        pairs += 1
        if not any(re.search(rf'\b{b}\(', code[name]) for b in BARRIERS):
            wrong.append(f'{name}: the barrier is gone that {m.group(1)}() pairs with')
        for other in re.findall(r'\w+', m.group(2).replace(' and ', ' ')):
            if m.group(1) + '(' not in code.get(other, ''):
                wrong.append(f'{name}: no {m.group(1)}() in {other}()')
for name, accesses in ORDER.items():
    if name not in code:
        wrong.append(f'no function {name}()')
    elif not ordered(code[name], accesses):
        wrong.append(f'{name}: not in this order: {", ".join(accesses)}')
for name in READERS:
    for m in PLAIN.finditer(code.get(name, '')):
        wrong.append(f'{name}: {m.group()} is read plainly')
for line in wrong:
    print(line)
print(f'{pairs} comments name their partners, {len(ORDER)} functions keep their order')
sys.exit(bool(wrong) or pairs < 4)
