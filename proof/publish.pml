/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Publish, retire, holds and callbacks, as virtio_mem_xlate.c does it: two readers with holds,
 * two updaters of which each does one update and then puts a reference, and the worker that
 * calls back.  proof/flip.pml has set_absent() and set_present().
 *
 * Every interleaving is tried.  Tables are numbered; a table has two slots, a range
 * that virtio_mem_xlate_remove() removes by one generation: a view sees both or none.
 * A table that has been freed, or the memory behind a slot that the caller may free,
 * must not be seen, by a view or by a hold.
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
byte removed[TABLES];		/* slots[0].until: all SLOT_LIVE at first */
byte removed_2nd[TABLES];	/* slots[1].until */
byte memory[TABLES];		/* of the slots; add() keeps that of the table of before */
bool retired[TABLES];		/* the owner of that memory may free it */

byte update_owner;		/* xlate->update */
byte change_owner;		/* xlate->change */
byte refs = 5;			/* of the registration, the readers and the updaters */
bool context_freed;
bool unregistered;

bool readers[2];		/* SRCU's counters: each reader has its own */
bool holds[2];

byte calls;			/* xlate->calls: a bit for each updater, */
byte calling;			/* .. of those that the worker has taken */
byte to_retire[2];		/* what the callback of each may free */
byte updaters = 2;

inline update_lock() { atomic { update_owner == 0 -> update_owner = _pid } }
inline update_unlock() { update_owner = 0 }
inline change_lock() { atomic { change_owner == 0 -> change_owner = _pid } }
inline change_unlock() { change_owner = 0 }

inline virtio_mem_xlate_put() {
	d_step { assert(refs > 0); refs-- }
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

inline wait_for_holds() {
	assert(!context_freed);
	holds[0] == 0;
	holds[1] == 0
}

/* wait_for_readers() */
inline wait_for_all() {
#if BUG == 13			/* a view of before takes a hold after that */
	wait_for_holds();
	wait_for_views()
#elif BUG == 14
	wait_for_views()
#else
	wait_for_views();
	wait_for_holds()
#endif
}

inline table_free(t) {
	d_step {
		if
		:: t != NO_SLOTS -> assert(!freed[t]); freed[t] = true
		:: else
		fi
	}
}

proctype reader(byte i) {
	byte t, g;
	bool hit, hit_2nd;

	/* virtio_mem_xlate_read_lock() */
	assert(!context_freed);
	readers[i] = 1;
#if BUG == 6
	readers[i] = 0;
#endif
	t = table;
	g = generation[t];
	/* a lookup of each slot: of the same view */
	d_step {
		assert(!freed[t]);
		hit = (t != NO_SLOTS && removed[t] > g);
		hit_2nd = (t != NO_SLOTS && removed_2nd[t] > g);
		assert(hit == hit_2nd);
		assert(!(hit && retired[memory[t]]))
	};
#if BUG == 4
	t = table;
#endif
	/* ... and whatever is seen once is seen until the view is released */
	d_step {
		assert(!freed[t]);
		assert(hit == (t != NO_SLOTS && removed[t] > g));
		assert(hit_2nd == (t != NO_SLOTS && removed_2nd[t] > g));
		assert(!(hit && retired[memory[t]]))
	};
	if
	:: hit ->		/* virtio_mem_xlate_hold() */
#if BUG != 15
		holds[i] = 1;
#endif
#if BUG != 6
		readers[i] = 0;
#endif
#if BUG == 15			/* a hold that is taken after the view */
		holds[i] = 1;
#endif
		assert(!retired[memory[t]]);
		/* virtio_mem_xlate_release() */
		holds[i] = 0
	:: true ->
		/* virtio_mem_xlate_read_unlock() */
#if BUG != 6
		readers[i] = 0
#endif
	fi;
	virtio_mem_xlate_put()
}

/* call_work() */
proctype worker() {
	byte k;

	do
	:: calls != 0 ->
#if BUG == 16			/* takes those that came while it waited */
		wait_for_all();
		atomic { calling = calls; calls = 0 };
#else
		atomic { calling = calls; calls = 0 };
#if BUG == 17
		wait_for_views();
#elif BUG != 18
		wait_for_all();
#endif
#endif
		for (k : 0 .. 1) {
			if
			:: calling & (1 << k) -> retired[to_retire[k]] = true
			:: else
			fi
		};
		calling = 0
	:: updaters == 0 && calls == 0 -> break
	od
}

/* Waits for the worker. */
inline flush_call() { calls == 0 && calling == 0 }

/* The new table is current, and @old is the table of before; or not @ok. */
inline publish(keep) {
#if BUG != 5
	update_lock();
#endif
	change_lock();
	old = table;
	change_unlock();
	if
	:: old == NO_SLOTS -> ok = false
	:: else -> ok = true;
#if BUG == 2
		wait_for_views();
#endif
#if BUG == 19			/* @old loses slots meanwhile */
		if
		:: keep -> memory[new] = memory[old]; removed[new] = removed[old];
			removed_2nd[new] = removed_2nd[old]
		:: else
		fi;
#endif
		change_lock();
#if BUG != 19
		if
		:: keep -> d_step {
				memory[new] = memory[old];
				removed[new] = (removed[old] == LIVE -> LIVE : 0);
				removed_2nd[new] = removed[new]
			}
		:: else
		fi;
#endif
		table = new;
		change_unlock()
	fi;
#if BUG != 5
	update_unlock()
#else
	skip
#endif
}

/* table_remove(), of the table that is current */
inline remove() {
	change_lock();
	old = table;
	if
	:: old != NO_SLOTS && removed[old] == LIVE -> ok = true;
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
	change_unlock()
}

/* virtio_mem_xlate_call(), after the update */
inline call() {
	atomic { to_retire[new - 2] = memory[old]; calls = calls | (1 << (new - 2)) }
}

proctype updater(byte new, kind) {
	byte old, before;
	bool ok;

	if
	:: kind == 0 ->		/* virtio_mem_xlate_replace() */
		publish(false);
		if
		:: ok ->
#if BUG == 20
			wait_for_views();
#elif BUG != 1 && BUG != 2
			wait_for_all();
#endif
			retired[memory[old]] = true;
#if BUG == 3
			table_free(new)
#else
			table_free(old)
#endif
		:: else
		fi
	:: kind == 1 ->		/* virtio_mem_xlate_add() */
		publish(true);
		if
		:: ok -> wait_for_views(); table_free(old)
		:: else
		fi
	:: kind == 2 ->		/* virtio_mem_xlate_remove() */
		remove();
		if
		:: ok ->
#if BUG != 9
			wait_for_all();
#endif
			retired[memory[old]] = true
		:: else
		fi
	:: kind == 3 ->		/* virtio_mem_xlate_unregister(), once */
		update_lock();
		change_lock();
		if
		:: !unregistered -> ok = true; unregistered = true; old = table; table = NO_SLOTS
		:: else -> ok = false
		fi;
		change_unlock();
		update_unlock();
		if
		:: ok ->
			before = calls | calling;
#if BUG != 10
			wait_for_all();
#endif
			retired[memory[old]] = true;
#if BUG != 21
			flush_call();
#endif
			assert(!(before & (calls | calling)));
			table_free(old);
			virtio_mem_xlate_put();
#if BUG == 11
			virtio_mem_xlate_put()
#endif
		:: else
		fi
	:: kind == 4 ->		/* virtio_mem_xlate_remove_nowait() */
#if BUG == 22			/* the call before the update */
		old = table;
		if
		:: old != NO_SLOTS -> call(); remove()
		:: else
		fi
#else
		remove();
		if
		:: ok -> call()
		:: else
		fi
#endif
	:: kind == 5 ->		/* virtio_mem_xlate_replace_nowait() */
		publish(false);
		if
		:: ok ->
			call();
			/* call_srcu() */
#if BUG != 23
			wait_for_views();
#endif
			table_free(old)
		:: else
		fi
	fi;
	updaters--;
	virtio_mem_xlate_put()
}

init {
	byte i, kind, other;

	d_step {
		i = 0;
		do
		:: i < TABLES -> removed[i] = LIVE; removed_2nd[i] = LIVE; memory[i] = i; i++
		:: else -> break
		od
	};
	/* Which of the two does which is the same. */
#if BUG == 16			/* takes long to be found but by those two that call() */
	kind = 4;
	other = 5;
#elif BUG == 21			/* .. or that call()s and unregister()s */
	kind = 3;
	other = 4;
#else
	select (kind : 0 .. 5);
	select (other : 0 .. 5);
#endif
	if
	:: kind <= other
	:: else -> kind = 0; other = 0
	fi;
	atomic { run updater(2, kind); run updater(3, other); run reader(0); run reader(1); run worker() };
	/* context_free() */
	if
	:: refs == 0 ->
#if BUG != 24
		flush_call();
#endif
		context_freed = true;
		table_free(table)
	:: _nr_pr == 1		/* it is still registered */
	fi;
	_nr_pr == 1;
	/* Nothing is left over: one table is current or none, all others were freed. */
	i = 1;
	do
	:: i < TABLES ->
		if
		:: i == table -> assert(!freed[i] || context_freed)
		:: i != table && (i == 1 || memory[i] != i || retired[i]) ->
			assert(freed[i] || i != 1)
		:: else
		fi;
		i++
	:: else -> break
	od;
	assert(!unregistered || refs == 0);
	assert(calls == 0 && calling == 0 && holds[0] + holds[1] == 0)
}
