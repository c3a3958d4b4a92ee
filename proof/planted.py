# SPDX-License-Identifier: GPL-2.0
"""Bugs of concurrency and lifetime, planted by proof/mutants.py: what, where, how."""

C, TABLE = 'virtio_mem_xlate.c', 'virtio_mem_xlate_table.h'
WAIT_FREE = '	wait_for_views(xlate, nr_slots);\n	table_free(old);\n	return 0;'

PLANTED = (
    ('update(): no grace period', C, WAIT_FREE, '	table_free(old);\n	return 0;'),
    ('update(): grace period before the swap', C,
     '		/* Pairs with srcu_dereference() in virtio_mem_xlate_read_lock(). */\n'
     '		rcu_assign_pointer(xlate->table, new);\n	}\n	wait_for_views(xlate, nr_slots);',
     '	}\n	wait_for_views(xlate, nr_slots);\n'
     '	scoped_guard(mutex, &xlate->update)\n'
     '		/* Pairs with srcu_dereference() in virtio_mem_xlate_read_lock(). */\n'
     '		rcu_assign_pointer(xlate->table, new);'),
    ('update(): frees before the grace period', C, WAIT_FREE,
     '	table_free(old);\n	wait_for_views(xlate, nr_slots);\n	return 0;'),
    ('update(): frees the new table', C, WAIT_FREE,
     '	wait_for_views(xlate, nr_slots);\n	table_free(new);\n	return 0;'),
    ('update(): does not free the old table', C, WAIT_FREE,
     '	wait_for_views(xlate, nr_slots);\n	return 0;'),
    ('update(): waits under the mutex', C,
     '		rcu_assign_pointer(xlate->table, new);\n	}\n	wait_for_views(xlate, nr_slots);',
     '		rcu_assign_pointer(xlate->table, new);\n		wait_for_views(xlate, nr_slots);\n	}'),
    ('update(): under no mutex', C,
     '	scoped_guard(mutex, &xlate->update) {\n		old = current_table(xlate);\n'
     '		if (old == &no_slots)',
     '	{\n		old = xlate->table;\n		if (old == &no_slots)'),
    ('remove: mutex kept on an error path', C,
     '	scoped_guard(mutex, &xlate->update) {\n'
     '		err = table_remove(current_table(xlate), gpa, size);\n'
     '		nr_slots = current_table(xlate)->nr_live;\n	}\n'
     '	if (err)\n		return err;\n',
     '	mutex_lock(&xlate->update);\n'
     '	err = table_remove(current_table(xlate), gpa, size);\n'
     '	nr_slots = current_table(xlate)->nr_live;\n'
     '	if (err)\n		return err;\n	mutex_unlock(&xlate->update);\n'),
    ('table_merge(): of removed slots, too', TABLE,
     '		if (base->slots[i].removed != SLOT_LIVE)\n			continue;\n'
     '		for (; new', '		for (; new'),
    ('table_merge(): new slots behind all', TABLE,
     'new < end && new->gpa < base->slots[i].gpa; new++', 'new < end && 0; new++'),
    ('slots_sort(): not by the last digit', TABLE,
     '	for (shift = 0; shift < BITS_PER_LONG_LONG && differ >> shift; shift += DIGIT_BITS) {\n',
     '	for (shift = 0; shift < 63 && differ >> shift; shift += DIGIT_BITS) {\n'),
    ('table_remove(): generation before the mark', TABLE,
     '	for (slot = first; slot <= last; slot++) {\n		step(slot - first);\n',
     '	smp_store_release(&table->generation, table->generation + 1);\n'
     '	table->generation--;\n'
     '	for (slot = first; slot <= last; slot++) {\n		step(slot - first);\n'),
    ('table_remove(): a generation for each slot', TABLE,
     '		WRITE_ONCE(slot->removed, table->generation + 1);\n		nr++;\n',
     '		WRITE_ONCE(slot->removed, table->generation + 1);\n		nr++;\n'
     '		if (slot < last)\n'
     '			smp_store_release(&table->generation, table->generation + 1);\n'),
    ('table_remove(): holes not allowed', TABLE,
     '	for (slot = first; slot <= last; slot++) {\n		step(slot - first);\n',
     '	for (slot = first; slot < last; slot++)\n'
     '		if (slot[1].gpa != slot->gpa + slot->size)\n			return -ENOENT;\n'
     '	for (slot = first; slot <= last; slot++) {\n		step(slot - first);\n'),
    ('remove: waits once more', C,
     '	wait_for_views(xlate, nr_slots);\n	return 0;\n}\n'
     'EXPORT_SYMBOL_GPL(virtio_mem_xlate_remove);',
     '	wait_for_views(xlate, nr_slots);\n	wait_for_views(xlate, nr_slots);\n	return 0;\n}\n'
     'EXPORT_SYMBOL_GPL(virtio_mem_xlate_remove);'),
    ('table_remove(): generation without a barrier', TABLE,
     '	smp_store_release(&table->generation, table->generation + 1);',
     '	WRITE_ONCE(table->generation, table->generation + 1);'),
    ('table_generation(): without a barrier', TABLE,
     'return smp_load_acquire(&table->generation);', 'return READ_ONCE(table->generation);'),
    ('take_out(): entries written plainly', TABLE,
     'WRITE_ONCE(*entry, search_entry(i, 0));',
     '*entry = search_entry(i, 0);'),
    ('remove: no grace period', C, '	wait_for_views(xlate, nr_slots);\n	return 0;\n}\n'
     'EXPORT_SYMBOL_GPL(virtio_mem_xlate_remove);',
     '	return 0;\n}\nEXPORT_SYMBOL_GPL(virtio_mem_xlate_remove);'),
    ('unregister: no grace period', C,
     '	wait_for_views(xlate, 0);\n	table_free(old);\n	virtio_mem_xlate_put',
     '	table_free(old);\n	virtio_mem_xlate_put'),
    ('unregister: put twice', C, '	table_free(old);\n	virtio_mem_xlate_put(xlate);',
     '	table_free(old);\n	virtio_mem_xlate_put(xlate);\n	virtio_mem_xlate_put(xlate);'),
    ('unregister: leaves the table to views', C,
     'rcu_assign_pointer(xlate->table, &no_slots);', '(void)&no_slots;'),
    ('lookups: two dereferences', C,
     '	const struct xlate_slot *slot = table_slot(view->table, driver->start);\n	int ret;\n',
     '	const struct xlate_slot *slot = table_slot(view->xlate->table, driver->start);\n'
     '	int ret;\n'),
    ('lookups: the generation of now', TABLE,
     '	err = slot_byte(at, view->generation, driver->start, access, &kva, &len);',
     '	err = slot_byte(at, view->table->generation, driver->start, access, &kva, &len);'),
    ('lookups: a range of the generation of now', TABLE,
     '		    slot_state(at, view->generation, access) >=',
     '		    slot_state(at, view->table->generation, access) >='),
    ('lookups: a range as long as its bucket', C,
     '		if (more > behind)\n', '		if (more > behind + 1)\n'),
    ('lookups: the access of what is behind the first slot', TABLE,
     '		    slot_state(at, view->generation, access) >=',
     '		    slot_state(at, view->generation, 0) >='),
    ('kvec: room before access', C,
     '	if (ret >= 0 && driver.len)\n'
     '		ret = slot_byte(slot, view->generation, driver.start, access, &kva, &bytes) ?:\n'
     '		      -ENOBUFS;\n'
     '	return likely(ret >= 0) ? n :',
     '	if (ret >= 0 && driver.len)\n		ret = -ENOBUFS;\n'
     '	return likely(ret >= 0) ? n :'),
    ('range: what is behind the next byte decides', C,
     '		ret = slot_byte(slot, view->generation, rest.start, access, &kva, &bytes) ?:\n'
     '		      -ENOBUFS;\n	}\n',
     '		ret = slot_byte(slot, view->generation, rest.start, access, &kva, &bytes) ?:\n'
     '		      slot_byte(slot + 1, view->generation, rest.start + rest.len - 1, access,\n'
     '				&kva, &bytes) ?: -ENOBUFS;\n	}\n'),
    ('read_lock: table fetched before the section', C,
     '	view->srcu_idx = srcu_read_lock(&xlate->srcu);\n'
     '	/* Pairs with rcu_assign_pointer() in update() and virtio_mem_xlate_unregister(). */\n'
     '	view->table = srcu_dereference(xlate->table, &xlate->srcu);',
     '	/* Pairs with rcu_assign_pointer() in update() and virtio_mem_xlate_unregister(). */\n'
     '	view->table = srcu_dereference(xlate->table, &xlate->srcu);\n'
     '	view->srcu_idx = srcu_read_lock(&xlate->srcu);'),
    ('read_unlock: the other counter', C, 'view->xlate->srcu, view->srcu_idx);',
     'view->xlate->srcu, !view->srcu_idx);'),
    ('put: frees at once', C, 'queue_work(free_wq, &xlate->free);', 'context_free(xlate);'),
    ('put: frees at the last but one', C, 'if (refcount_dec_and_test(&xlate->refs))',
     'if (refcount_dec_and_test(&xlate->refs) || refcount_read(&xlate->refs) == 1)'),
    ('exit: work left behind', C, '	destroy_workqueue(free_wq);\n', ''),
    ('register: lock class kept on an error path', C,
     '	mutex_destroy(&xlate->update);\n	lockdep_unregister_key(&xlate->srcu_key);\n'
     '	cleanup_srcu_struct', '	mutex_destroy(&xlate->update);\n	cleanup_srcu_struct'),
)

# What pins user memory is tested by a program (scripts/user.sh): by which test.
USER = (
    ('destroy: unpins before readers left', 'table:_waits_for_views',
     '	virtio_mem_xlate_unregister(user->xlate);\n	xlate_map_free(user->map);\n',
     '	xlate_map_free(user->map);\n	virtio_mem_xlate_unregister(user->xlate);\n'),
    ('set: unpins before readers left', 'table:_waits_for_views',
     '	err = virtio_mem_xlate_replace(user->xlate, slots, nr_slots);\n',
     '	xlate_map_free(user->map);\n	user->map = NULL;\n'
     '	err = virtio_mem_xlate_replace(user->xlate, slots, nr_slots);\n'),
    ('set: what is kept is not counted', 'table:_unchanged_stretches_are_kept',
     'region->stretch = xlate_stretch_get(same->stretch);',
     'region->stretch = same->stretch;'),
    ('set: a failure unpins what is in force', 'table:_failures_change_nothing',
     '	if (!err)\n		swap(user->map, *map);', '	swap(user->map, *map);'),
    ('set: user memory touched under the mutex', 'stall:_userfaultfd_stops_nobody_else',
     '	err = keep(user, map) ?: xlate_map_pin(map, in_pieces) ?: publish(user, &map);\n',
     '	err = keep(user, map);\n	mutex_lock(&user->update);\n'
     '	err = err ?: xlate_map_pin(map, in_pieces);\n	mutex_unlock(&user->update);\n'
     '	err = err ?: publish(user, &map);\n'),
    ('set: cannot be killed while another waits', 'table:_killed_while',
     '	if (mutex_lock_killable(&user->update))\n		return -EINTR;\n',
     '	mutex_lock(&user->update);\n'),
    ('pin: any page of what may be mapped', 'refuse:_a_file',
     '(gup_flags & FOLL_WRITE) && !are_writable_unnoticed(pages + done, n)',
     'n == -1 && !are_writable_unnoticed(pages + done, n)'),
)
