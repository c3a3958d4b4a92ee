# SPDX-License-Identifier: GPL-2.0
"""Bugs of concurrency and lifetime, planted by proof/mutants.py.

A bug is a name and changes of functions.  A change names a function and what it calls or
writes, and no local variable: {1} is the function's first parameter.
"""
import re

from source import find, functions, statement


def change(function, pattern, to, n=0):
    """Replaces the n-th match of @pattern in @function."""
    def apply(text, f):
        places = list(re.finditer(pattern, text[f.body:f.end]))
        m = places[n]
        return text[:f.body + m.start()] + m.expand(fill(to, f)) + text[f.body + m.end():]
    return function, apply


def fill(text, f):
    """@text with the names of the parameters of @f."""
    return re.sub(r'\{(\d)\}', lambda m: f.parameters[int(m.group(1)) - 1], text)


def drop(function, call, n=0):
    """Drops the n-th statement that matches @call."""
    def apply(text, f):
        start, end = statement(f, call, n)
        return text[:start] + ';' + text[end:]
    return function, apply


def twice(function, call, n=0):
    def apply(text, f):
        start, end = statement(f, call, n)
        return text[:end] + text[start:end] + text[end:]
    return function, apply


def swap(function, first, second, n=0, m=0):
    """Exchanges two statements."""
    def apply(text, f):
        a, b = statement(f, first, n)
        c, d = statement(f, second, m)
        return text[:a] + text[c:d] + text[b:c] + text[a:b] + text[d:]
    return function, apply


def before(function, call, added, n=0):
    """Adds a statement before the n-th that matches @call."""
    def apply(text, f):
        start, _ = statement(f, call, n)
        return text[:start] + fill(added, f) + '\n' + text[start:]
    return function, apply


def after(function, call, added, n=0):
    def apply(text, f):
        _, end = statement(f, call, n)
        return text[:end] + fill(added, f) + text[end:]
    return function, apply


def plant(tree, changes):
    """The file that the changes are in, its text with them, and the line of the last."""
    changed = {}
    for function, apply in changes:
        file, text, f = find(tree, function)
        if file in changed:
            text = changed[file]
            f = functions(text)[function]
        changed[file] = apply(text, f)
        line = text[:f.body].count('\n')
    (file, text), = changed.items()
    return file, text, line


# The generation is current before what the update writes next is written.
EARLY = 'next_generation({1}); {1}->generation--;'
WRITE = r'WRITE_ONCE\(\w+->%s,'

PLANTED = (
    # Updates that wait
    ('update: no grace period', drop('update', r'finish_update\(')),
    ('update: grace period before the swap',
     drop('update', r'finish_update\('), before('update', r'publish\(', 'wait_for_readers({1}, true);')),
    ('update: frees before the grace period', swap('update', r'finish_update\(', r'table_free\(')),
    ('update: frees the new table', change('update', r'table_free\(\w+\)', 'table_free({1}->table)')),
    ('update: does not free the old table', drop('update', r'table_free\(')),
    ('update: does not wait for holds',
     change('update', r'finish_update\((\w+), [^,]*,', r'finish_update(\1, false,')),
    ('update: add waits for holds',
     change('update', r'finish_update\((\w+), [^,]*,', r'finish_update(\1, true,')),
    ('publish: waits under the mutex',
     change('publish', r'rcu_assign_pointer\([^;]*;', r'\g<0> wait_for_readers({1}, true);')),
    ('publish: not serialised', change('publish', r'(?<!scoped_)guard\(mutex\)\([^;]*;', '')),
    ('publish: changes are not carried', drop('publish', r'carry_changes\(')),
    ('publish: the merge is of now', change(
        'table_merge', r'slot_was_live\(([^,]*), \w+\)', r'slot_is_live(\1)')),
    ('carry: forgets changes when there are too many', change(
        'carry_changes', r'\w+ \? 1 :', r'{1}->nr_changes > NR_CHANGES ? 0 :')),
    ('carry: too many changes are cut', change(
        'carry_changes', r'(\w+ = \w+->nr_changes > NR_CHANGES);', r'\1 && 0;'),
     change('carry_changes', r'\w+ \? 1 : (\w+->nr_changes)', r'min(\1, NR_CHANGES + 0U)')),
    ('carry: a replaced slot gets its old memory back', change(
        'must_carry', r'\|\| !\w+ \|\|', '|| 1 ||')),
    ('carry: a new slot goes with an old one', change(
        'must_carry', r'\w+ && slot_changed_since\([^)]*\)', '{3}')),
    ('carry: a removed slot stays', change(
        'must_carry', r'\w+ && slot_changed_since\([^)]*\)', '0')),
    ('carry: leaves direct entries', drop('table_carry', r'index_search\(')),
    ('carry: a removed slot counts', change('table_carry', r'\w+->nr_live--;', ';')),
    ('changes: not noted', drop('note_change', r'->changes\[')),
    ('changes: of the build before', drop('publish', r'nr_changes = 0')),
    ('changes: a removal is not noted', drop('remove_slots', r'note_change\(')),
    ('changes: an absent slot is not noted', drop('virtio_mem_xlate_set_absent', r'note_change\(')),
    ('changes: a present slot is not noted', drop('virtio_mem_xlate_set_present', r'note_change\(')),
    ('build: until before the state', change(
        'slot_was_live', r'(\w+ & SLOT_ABSENT) \|\| (.*);', r'\1 || was > {2};'),
     change('slot_was_live', r'\n', r'\n\tu32 was = READ_ONCE({1}->until);\n')),
    ('build: slots settle meanwhile', change(
        'settle_work', r'min\((\w+->settle_generation), \w+->build_generation\)', r'\1')),
    ('publish: loses the log', drop('publish', r'->log = ')),
    ('remove: mutex kept on an error path', change(
        'remove_slots', r'guard\(mutex\)\(([^)]*)\);', r'mutex_lock(\1);'),
     before('remove_slots', r'\*\w+ = ', 'if (!err) mutex_unlock(&{1}->change);')),
    ('remove: waits once more', twice('virtio_mem_xlate_remove', r'finish_update\(')),
    ('remove: no grace period', drop('virtio_mem_xlate_remove', r'finish_update\(')),
    ('remove: does not wait for holds',
     change('virtio_mem_xlate_remove', r'(finish_update\(\w+), true', r'\1, false')),
    ('unregister: no grace period', drop('virtio_mem_xlate_unregister', r'finish_update\(')),
    ('unregister: does not wait for holds',
     change('virtio_mem_xlate_unregister', r'(finish_update\(\w+), true', r'\1, false')),
    ('unregister: does not wait for callbacks', drop('virtio_mem_xlate_unregister', r'wait_for_calls\(')),
    ('calls: does not wait for those behind a batch', drop('wait_for_calls', r'wait_for_completion\(')),
    ('calls: does not wait for the worker', drop('wait_for_calls', r'flush_work\(')),
    ('unregister: put twice', twice('virtio_mem_xlate_unregister', r'virtio_mem_xlate_put\(')),
    ('unregister: leaves the table to views',
     drop('virtio_mem_xlate_unregister', r'rcu_assign_pointer\(')),
    ('unregister: not serialised with what builds a table', change(
        'virtio_mem_xlate_unregister', r'scoped_guard\(mutex, &\w+->update\)', '')),
    ('wait: not for views', drop('wait_for_readers', r'synchronize_srcu_expedited\(&\w+->views')),
    ('wait: for holds before views',
     drop('wait_for_readers', r'synchronize_srcu_expedited\(&\w+->holds'),
     before('wait_for_readers', r'synchronize_srcu_expedited\(&\w+->views',
            'if ({2}) synchronize_srcu_expedited(&{1}->holds);')),

    # Updates that do not wait, and callbacks
    ('replace_nowait: frees at once', change(
        'virtio_mem_xlate_replace_nowait', r'call_srcu\([^,]*, &(\w+)->rcu, \w+\)', r'table_free(\1)')),
    ('replace_nowait: does not free', drop('virtio_mem_xlate_replace_nowait', r'call_srcu\(')),
    ('replace_nowait: waits', change(
        'virtio_mem_xlate_replace_nowait', r'call_srcu\(', r'wait_for_readers({1}, false); \g<0>')),
    ('remove_nowait: waits', change(
        'virtio_mem_xlate_remove_nowait', r'return', r'wait_for_readers({1}, false); \g<0>')),
    ('call: does not wait for views', change(
        'calls_start', r'call_srcu\(([^,]*), ([^,]*), \w+\)', r'calls_after_views(\2)')),
    ('call: does not wait for holds', change(
        'calls_after_views', r'call_srcu\([^;]*;', 'calls_after_holds({1});')),
    ('call: for holds before views', change('calls_start', r'->views', '->holds'),
     change('calls_after_views', r'->holds', '->views')),
    ('call: two batches at once', change('calls_start', r'!\w+->calling && ', '')),
    ('call: a batch takes callbacks that came during its wait', change(
        'call_work', r'list_for_each_entry_safe\(',
        r'list_splice_init(&xlate->calls, &xlate->batch); \g<0>')),
    ('call: the next batch never begins', change('call_work', r'calls_start\([^;]*;', ';')),
    ('call: waits for the next call', change(
        'call_work', r'calls_start\((\w+), true\)', r'\1->calling = false')),
    ('call: the last comes first', change(
        'virtio_mem_xlate_call', r'list_add_tail\((.*?), (&\w+->calls)\)',
        r'list_add_tail(\1, (\2)->next)')),
    ('call: list under no lock',
     drop('virtio_mem_xlate_call', r'spin_lock_irqsave\('),
     drop('virtio_mem_xlate_call', r'spin_unlock_irqrestore\(')),
    ('call: not queued', drop('calls_after_holds', r'queue_work\(')),
    ('call: called twice', twice('call_work', r'->func\(')),
    ('synchronize: does not wait', drop('virtio_mem_xlate_synchronize', r'wait_for_readers\(')),
    ('synchronize: waits for holds', change(
        'virtio_mem_xlate_synchronize', r'(wait_for_readers\(\w+), false', r'\1, true')),
    ('context_free: tables wait for views no more', drop('context_free', r'srcu_barrier\(')),
    ('context_free: leaves callbacks', drop('context_free', r'wait_for_calls\(')),
    ('context_free: leaves slots that settle', drop('context_free', r'dying = ')),
    ('context_free: leaves work that settles', drop('context_free', r'cancel_work_sync\(')),

    # Merge and sort
    ('merge: keeps removed slots', change(
        'table_merge', r'if \(!slot_was_live\([^;]*;', ';')),
    ('merge: forgets the state of slots',
     change('slot_settled', r'slot_access\((\w+)\)', r'(\1->state & VIRTIO_MEM_XLATE_RW)')),
    ('merge: slots stay young', change(
        'table_merge', r'slot_settled\(&([^;]*)\);', r'\1;')),
    ('merge: new slots behind all', change(
        'table_merge', r'(for \(; \w+ < \w+ &&) \w+->gpa < [^;]*;', r'\1 0;')),
    ('sort: not by the last digit', change('slots_sort', r'BITS_PER_LONG_LONG', '63', 1)),

    # In-place updates
    ('remove: generation before the mark', before('table_remove', r'step\(', EARLY)),
    ('remove: a generation for each slot', change(
        'table_remove', r'WRITE_ONCE\(\w+->until, [^;]*;', r'\g<0> next_generation({1});')),
    ('remove: a removed slot ends it', change('table_remove', r'continue;', 'break;')),
    ('remove: leaves direct entries', drop('table_remove', r'index_search\(')),
    ('remove: an absent slot stays', change(
        'table_remove', r'WRITE_ONCE\(\w+->state, 0\);', ';')),
    ('remove: an absent slot is gone for views of before', change(
        'table_remove', r'if \(\w+->until == SLOT_LIVE\)', 'if (1)')),
    ('generation without a barrier', change(
        'next_generation', r'smp_store_release\(&([^,]*),', r'WRITE_ONCE(\1,')),
    ('generation read without a barrier', change(
        'table_generation', r'smp_load_acquire\(&', 'READ_ONCE(')),
    ('entries written plainly', change(
        'write_entries', r'WRITE_ONCE\(([^,]*), (\w+)\)', r'\1 = \2')),
    ('set_absent: without the generation', drop('table_set_absent', r'next_generation\(')),
    ('set_absent: generation before the mark', before('table_set_absent', WRITE % 'until', EARLY)),
    ('set_absent: leaves direct entries', drop('table_set_absent', r'index_search\(')),
    ('set_absent: removes', drop('table_set_absent', r'WRITE_ONCE\(\w+->state, \w+->state')),
    ('set_absent: an absent slot is none', change('table_set_absent', r'return 0;', 'return -ENOENT;')),
    ('set_present: kva before the state is cleared',
     swap('table_set_present', WRITE % 'state', WRITE % 'kva')),
    ('set_present: state before kva',
     swap('table_set_present', WRITE % 'kva', WRITE % 'state', 0, 1)),
    ('set_present: the state is not cleared', drop('table_set_present', WRITE % 'state')),
    ('set_present: no barrier before kva', drop('table_set_present', r'smp_wmb\(')),
    ('set_present: no barrier behind kva', drop('table_set_present', r'smp_wmb\(', 1)),
    ('set_present: old views see the memory', change(
        'table_set_present', r'(WRITE_ONCE\(\w+->state, )[^;]*YOUNG_SHIFT\);', r'\1{5});')),
    ('set_present: direct at once', change(
        'table_set_present', r'WRITE_ONCE\((\w+)->state, [^;]*YOUNG_SHIFT\);',
        r'WRITE_ONCE(\1->state, {5}); if (can_be_direct(\1)) index_slot({1}, \1, direct_entry(\1));')),
    ('set_present: without the generation', drop('table_set_present', r'next_generation\(')),
    ('set_present: never settled', drop('virtio_mem_xlate_set_present', r'settle_later\(')),
    ('set_present: any memory', change(
        'virtio_mem_xlate_set_present', r'slot_validate\([^?]*\?:', '')),
    ('settle: too early', change(
        'table_settle', r'(->state >> SINCE_SHIFT) >=', r'\1 >')),
    ('settle: without a wait', change(
        'settle_later', r'call_srcu\([^;]*;', 'queue_work(workqueue, &{1}->settle);')),
    ('settle: what became young during the wait', change(
        'settle_work', r'min\((\w+)->settle_generation[^)]*\)', r'\1->table->generation')),
    ('settle: of another version', change(
        'settle_later', r'(settle_version = [^;]*);', r'\1 + 1;')),
    ('settle: leaves young slots that it passed', drop('table_settle', r'table_note_young\(')),
    ('settle: one chunk', change('settle_work', r'while \(\w+\);', 'while (0);')),
    ('settle: slots of a later table', change(
        'settle_work', r'\w+->version == \w+->settle_version', 'true')),
    ('settle: gives up', drop('settle_work', r'settle_later\(')),
    ('settle: not in the index', change('table_settle', r'if \(can_be_direct', 'if (0 && can_be_direct')),

    # Readers
    ('read_lock: table fetched before the section', swap(
        'virtio_mem_xlate_read_lock', r'srcu_read_lock\(', r'srcu_dereference\(')),
    ('read_unlock: the other counter', change(
        'virtio_mem_xlate_read_unlock', r'(srcu_read_unlock\([^,]*, )', r'\1!')),
    ('lookups: two dereferences', change(
        'virtio_mem_xlate_next_cold', r'table_slot\((\w+)->table', r'table_slot(\1->xlate->table')),
    ('lookups: the generation of now', change(
        'table_next', r'(\w+)->generation', r'\1->table->generation')),
    ('lookups: a range of the generation of now', change(
        'table_next', r'(\w+)->generation', r'\1->table->generation', 1)),
    ('lookups: the access of what is behind the first slot', change(
        'table_next', r'(slot_byte\([^,]*,[^,]*,[^,]*,) \w+', r'\1 0', 1)),
    ('lookups: a range as long as its bucket', change(
        'virtio_mem_xlate_kva_search', r'if \((\w+) > (\w+)\)\n', r'if (\1 > \2 + 1)\n')),
    ('lookups: kva without a barrier', change(
        'slot_byte', r'smp_load_acquire\(&(\w+->kva)', r'READ_ONCE(\1')),
    ('lookups: until without a barrier', change(
        'slot_byte', r'smp_load_acquire\(&(\w+->until)', r'READ_ONCE(\1')),
    ('lookups: kva behind the state', change('slot_byte', r'slot_kva\(\w+,', 'slot_kva({1}->kva,')),
    ('lookups: a slot seen half changed', change('slot_seen', r'while \(.*\);', 'while (0);')),
    ('cursor: keeps a young slot', change(
        'virtio_mem_xlate_cursor_cold', r'\.access = [^,]*,', '.access = {4},')),
    ('kvec: room before access', change(
        'virtio_mem_xlate_kvec', r'if \((\w+)\)\s*break;', r'if (\1) { if (!{5}) \1 = -ENOBUFS; break; }')),
    ('range: what is behind the next byte decides', change(
        'virtio_mem_xlate_range_cold',
        r'slot_byte\((\w+), (\w+)->generation, (\w+)\.start, (\w+), (&\w+), (&\w+)\) \?:',
        r'\g<0> slot_byte(\1 + 1, \2->generation, \3.start + \3.len - 1, \4, \5, \6) ?:')),
    ('bvec: the failing byte is the first of the slot', change(
        'virtio_mem_xlate_bvec', r'\w+ \+= \w+ - \w+;', ';')),

    # References
    ('put: frees at once', change(
        'virtio_mem_xlate_put', r'queue_work\(\w+, &(\w+)->free\)', r'context_free(\1)')),
    ('put: frees at the last but one', change(
        'virtio_mem_xlate_put', r'refcount_dec_and_test\((&\w+->refs)\)',
        r'(\g<0> || refcount_read(\1) == 1)')),
    ('exit: work left behind', drop('virtio_mem_xlate_exit', r'destroy_workqueue\(')),
    ('register: lock class kept on an error path',
     drop('virtio_mem_xlate_register', r'lockdep_unregister_key\(')),

    # The dirty log
    ('log: replaced while views see it', drop('set_log', r'wait_for_readers\(')),
    ('log: set without a barrier', change(
        'set_log', r'smp_store_release\(&([^,]*),', r'WRITE_ONCE(\1,')),
    ('log: written while it is current', change(
        'virtio_mem_xlate_log_start', r'logs\[[^;]*;', 'logs[0];')),
    ('log: two changes at once', change(
        'virtio_mem_xlate_log_start', r'(?<!scoped_)guard\(mutex\)\([^;]*;', '')),
    ('dirty: read without a barrier', change(
        'virtio_mem_xlate_dirty_cold', r'smp_load_acquire\(&', 'READ_ONCE(')),
    ('dirty: no barrier before the test', drop('virtio_mem_xlate_dirty_cold', r'smp_mb\(')),
    ('dirty: not the last page', change(
        'virtio_mem_xlate_dirty_cold', r'while \((\w+) <= ', r'while (\1 < ')),
    ('dirty: indexed by int', change(
        'virtio_mem_xlate_dirty_cold', r'\(size_t\)\(', '(int)(unsigned char)(')),
    ('dirty: a bit that is set is enough', change(
        'virtio_mem_xlate_dirty_cold', r'(\w+) & ~READ_ONCE\((\*\w+)\)', r'!(\1 & READ_ONCE(\2))')),
    ('copy_to: no mark of a copy in one slot', drop('virtio_mem_xlate_copy_to', r'virtio_mem_xlate_dirty\(')),
    ('copy_to: no mark of a copy over slots', drop('virtio_mem_xlate_copy_to', r'virtio_mem_xlate_dirty\(', 1)),
)

# User memory is tested by a program (scripts/user.sh): by which test.
USER = (
    ('notifier: does nothing', 'follow:_each_way',
     '	if (!mmu_notifier_range_blockable(range))\n		return false;\n',
     '	if (range)\n		return true;\n'),
    ('set: a page that is lost meanwhile stays in the next table', 'follow:_all_ways',
     '		virtio_mem_xlate_prepared_absent(table, span->gpa, span->size);\n', '		;\n'),
    ('fault: a page that is lost meanwhile is kept', 'follow:_lost_in_a_fault',
     'mmu_interval_read_retry(&block->notifier, seq) || block->version', 'block->version'),
    ('block: unpins before readers left', 'table:_waits_for_views',
     '	virtio_mem_xlate_call(user->xlate, &lease->callback, lease_end);\n', '	xlate_lease_drop(lease);\n'),
    ('block: keeps what nobody needs', 'follow:_random_edits',
     '		if (!list_empty(&block->spans))\n			xlate_block_trim(block);\n', ''),
    ('block: pins for all tables', 'stall:_userfaultfd_stops_nobody_else',
     '		if (span->layout != layout || span->leaving)\n			continue;\n', '		if (!layout)\n			continue;\n'),
    ('destroy: unpins before readers left', 'table:_waits_for_views',
     '	virtio_mem_xlate_unregister(user->xlate);\n	if (user->log)',
     '	xlate_layout_detach(user->layout);\n	virtio_mem_xlate_unregister(user->xlate);\n	if (user->log)'),
    ('set: both tables are charged', 'follow:_the_limit',
     '	if (err != -ENOMEM)\n		return err;\n	old = ', '	if (err)\n		return err;\n	old = '),
    ('set: user memory touched under the mutex', 'stall:_userfaultfd_stops_nobody_else',
     '	layout = layout_make(user, map, try_bad, !only);\n',
     '	mutex_lock(&user->update);\n	layout = layout_make(user, map, try_bad, !only);\n'
     '	mutex_unlock(&user->update);\n'),
    ('pin: any page of what may be mapped', 'refuse:_a_file',
     '		if (gup_flags & FOLL_WRITE)\n			good', '		if (n == -1)\n			good'),
)
