/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Publish and retire, as virtio_mem_xlate.c does it: two readers, and two updaters
 * of which each does one of update(), virtio_mem_xlate_remove() or
 * virtio_mem_xlate_unregister() and then puts a reference.
 *
 * Every interleaving is tried.  Tables are numbered; a table has two slots, a range
 * that virtio_mem_xlate_remove() removes by one generation: a view sees both or none.
 * A table that has been freed, or the memory behind a slot that the caller may free,
 * must not be seen.
 *
 * BUG=n plants one (proof/publish.sh); each must be found.
 */
#ifndef BUG
#define BUG 0
#endif

#define TABLES 4		/* 0 is no_slots; one is registered; each updater makes one */
#define NO_SLOTS 0
#define LIVE 5			/* SLOT_LIVE: above all generations */

byte table = 1;			/* xlate->table */
bool freed[TABLES];		/* table_free() */
byte generation[TABLES];	/* table->generation */
byte removed[TABLES];		/* slots[0].removed: all SLOT_LIVE at first */
byte removed_2nd[TABLES];	/* slots[1].removed */
bool retired[TABLES];		/* the owner of the slots' memory may free it */

byte update_owner;		/* xlate->update */
byte refs = 5;			/* of the registration, the readers and the updaters */
bool context_freed;
bool unregistered;

byte readers[2];		/* SRCU's counters, of which a reader takes either */

inline mutex_lock() { atomic { update_owner == 0 -> update_owner = _pid } }
inline mutex_unlock() { update_owner = 0 }

inline virtio_mem_xlate_put() {
	d_step {
		assert(refs > 0);
		refs--;
		if
		:: refs == 0 -> assert(!context_freed); context_freed = true;
			if
			:: table != NO_SLOTS -> freed[table] = true
			:: else
			fi
		:: else
		fi
	}
}

/*
 * synchronize_srcu(): each counter is seen at zero once after the call began.  Who
 * came first, and a little more, is waited for.
 */
inline wait_for_views() {
	assert(!context_freed);
	readers[0] == 0;
	readers[1] == 0
}

inline table_free(t) {
	d_step {
		if
		:: t != NO_SLOTS -> assert(!freed[t]); freed[t] = true
		:: else
		fi
	}
}

proctype reader() {
	byte i, t, g, round;
	bool hit, hit_2nd;

	do
	:: round < 2 ->
		/* virtio_mem_xlate_read_lock() */
		if
		:: i = 0
		:: i = 1
		fi;
		readers[i]++;
#if BUG == 6
		readers[i]--;
#endif
		t = table;
		g = generation[t];
		/* table_lookup(), table_next(): of the same view */
		assert(!freed[t]);
		hit = (t != NO_SLOTS && removed[t] > g);
		hit_2nd = (t != NO_SLOTS && removed_2nd[t] > g);
		assert(hit == hit_2nd);
		assert(!(hit && retired[t]));
#if BUG == 4
		t = table;
#endif
		/* ... and whatever is seen once is seen until the view is released */
		assert(!freed[t]);
		assert(hit == (t != NO_SLOTS && removed[t] > g));
		assert(hit_2nd == (t != NO_SLOTS && removed_2nd[t] > g));
		assert(!(hit && retired[t]));
		/* virtio_mem_xlate_read_unlock() */
#if BUG != 6
		readers[i]--;
#endif
		round++
	:: round == 2 -> break
	od;
	virtio_mem_xlate_put()
}

proctype updater(byte new) {
	byte old, kind;
	bool ok;

	select (kind : 0 .. 2);
	if
	:: kind == 0 ->		/* update() */
#if BUG != 5
		mutex_lock();
#endif
		old = table;
		if
		:: old == NO_SLOTS -> ok = false
		:: else -> ok = true;
#if BUG == 2
			wait_for_views();
#endif
			table = new
		fi;
#if BUG != 5
		mutex_unlock();
#endif
		if
		:: ok ->
#if BUG != 1 && BUG != 2
			wait_for_views();
#endif
			retired[old] = true;
#if BUG == 3
			table_free(new)
#else
			table_free(old)
#endif
		:: else
		fi
	:: kind == 1 ->		/* virtio_mem_xlate_remove() */
		mutex_lock();
		old = table;
		if
		:: old != NO_SLOTS && removed[old] == LIVE -> ok = true;
			/* table_remove() */
#if BUG == 7
			generation[old] = generation[old] + 1;
			removed[old] = generation[old];
			removed_2nd[old] = generation[old]
#else
			removed[old] = generation[old] + 1;
#if BUG == 12		/* a generation for each slot */
			generation[old] = generation[old] + 1;
#endif
			removed_2nd[old] = generation[old] + 1;
#if BUG != 8
			generation[old] = generation[old] + 1
#endif
#endif
		:: else -> ok = false
		fi;
		mutex_unlock();
		if
		:: ok ->
#if BUG != 9
			wait_for_views();
#endif
			retired[old] = true
		:: else
		fi
	:: kind == 2 ->		/* virtio_mem_xlate_unregister(), once */
		mutex_lock();
		if
		:: !unregistered -> ok = true; unregistered = true; old = table; table = NO_SLOTS
		:: else -> ok = false
		fi;
		mutex_unlock();
		if
		:: ok ->
#if BUG != 10
			wait_for_views();
#endif
			retired[old] = true;
			table_free(old);
			virtio_mem_xlate_put();
#if BUG == 11
			virtio_mem_xlate_put()
#endif
		:: else
		fi
	fi;
	virtio_mem_xlate_put()
}

init {
	byte i;

	d_step {
		i = 0;
		do
		:: i < TABLES -> removed[i] = LIVE; removed_2nd[i] = LIVE; i++
		:: else -> break
		od
	};
	atomic { run updater(2); run updater(3); run reader(); run reader() };
	_nr_pr == 1;
	/* Nothing is left over: one table is current or none, all others were freed. */
	i = 1;
	do
	:: i < TABLES ->
		if
		:: i == table -> assert(!freed[i] || context_freed)
		:: i != table && retired[i] -> assert(freed[i])
		:: else
		fi;
		i++
	:: else -> break
	od;
	assert(context_freed == (refs == 0));
	assert(!unregistered || context_freed)
}
