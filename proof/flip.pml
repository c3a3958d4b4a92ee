/* SPDX-License-Identifier: GPL-2.0 */
/*
 * set_absent() and set_present() of a slot, as virtio_mem_xlate_table.h does them: a notifier
 * that gives an absent slot memory, takes it away and gives it other memory; the work that
 * settles the slot; the callback, after which memory is freed; and a reader.  Another reader
 * could only make waits longer, and with two the search does not end.  Every load and store is
 * a step of its own, in the order of the source.
 *
 * A view must see no memory that was freed, never memory of before and of after a flip, and
 * what was the state when it was taken, unless a flip is under way.
 *
 * BUG=n plants one (proof/publish.sh); each must be found.
 */
#ifndef BUG
#define BUG 0
#endif

#define LIVE 15			/* SLOT_LIVE: above all generations */
#define NONE 0			/* no memory; others are numbered from 1 on */

/* @state: */
#define ACCESS 1		/* all may access */
#define ABSENT 2		/* SLOT_ABSENT */
#define YOUNG 4			/* .. from @since on */
#define SINCE(state) (state >> 3)

byte generation;
byte state, until = LIVE, kva;
byte entry;			/* a direct entry, of this memory, or NONE: a search entry */
bool freed[3];			/* memory */

byte begun, done;		/* flips; the slot is absent after an even number */
bool reader_in;
byte change_owner;		/* xlate->change */
byte to_free;			/* memory, for the callback */
bool settle;			/* the work is queued */
bool over;

inline change_lock() { atomic { change_owner == 0 -> change_owner = _pid } }
inline change_unlock() { change_owner = 0 }

inline wait_for_views() {
	reader_in == 0
}

/* table_set_absent() */
inline set_absent() {
	atomic { change_lock(); begun++ };
#if BUG != 1
	entry = NONE;
#endif
#if BUG == 2
	generation++;
	state = state | ABSENT;
	until = generation;
#else
	state = state | ABSENT;
	until = generation + 1;
#if BUG != 3
	generation++;
#endif
#endif
	atomic { done++; change_unlock() };
	to_free = 1		/* virtio_mem_xlate_call() */
}

/* table_set_present() */
inline set_present(new) {
	atomic { change_lock(); begun++ };
#if BUG == 4			/* a view of before gets the memory of then */
	kva = new;
	state = state & ABSENT;
	until = LIVE;
#elif BUG == 5			/* a view of then gets the memory of before */
	until = LIVE;
	state = state & ABSENT;
	kva = new;
#elif BUG == 6
	kva = new;
	until = LIVE;
#else
	state = state & ABSENT;
	kva = new;
	until = LIVE;
#endif
#if BUG == 7			/* never young */
	state = ACCESS;
#else
	state = YOUNG | (generation << 3);
#endif
#if BUG == 8
	entry = new;
#endif
#if BUG != 9
	generation++;
#endif
	atomic { done++; settle = true; change_unlock() }
}

proctype notifier() {
	set_present(1);
	set_absent();
	set_present(2);
	over = true
}

/* settle_work() */
proctype settler() {
	byte g;

	do
	:: settle ->
		atomic { settle = false; change_lock(); g = generation; change_unlock() };
#if BUG != 10
		wait_for_views();
#endif
#if BUG != 11
		change_lock();
#endif
#if BUG == 12			/* not of then, but of now */
		g = generation;
#endif
		/* table_settle() */
		if
#if BUG == 13
		:: (state & YOUNG) && until == LIVE ->
#else
		:: (state & YOUNG) && until == LIVE && SINCE(state) < g ->
#endif
			state = ACCESS;
			entry = kva
		:: else
		fi;
#if BUG != 11
		change_unlock()
#else
		skip
#endif
	:: !settle && over -> break
	od
}

/* The callback, which frees the memory that set_absent() took away. */
proctype worker() {
	to_free != NONE;
#if BUG != 14
	wait_for_views();
#endif
	freed[to_free] = true
}

/* What a view of @g makes of what it loaded; a step of its own would change nothing. */
inline decide() {
	if
	:: g < u && (s & ACCESS) -> seen = k
#if BUG == 16
	:: g < u && !(s & ACCESS) && (s & YOUNG) -> seen = k
#else
	:: g < u && !(s & ACCESS) && (s & YOUNG) && g >= SINCE(s) -> seen = k
#endif
	:: else -> seen = NONE
	fi
}

/* slot_seen() */
inline look_again() {
	do
	:: s = state;
		k = kva;
		u = until;
		atomic {
			if
#if BUG == 15
			:: true -> break
#else
			:: s == state -> break
#endif
			:: else
			fi
		}
	od;
	decide()
}

/* __virtio_mem_xlate_kva(), slot_byte() */
inline lookup() {
	seen = entry;
	if
	:: seen == NONE ->
#if BUG == 17			/* loads the other way round */
		s = state;
		u = until;
		atomic {
			k = kva;
#else
		k = kva;
		u = until;
		atomic {
			s = state;
#endif
			if
			:: g < u && (s & ACCESS) -> seen = k; goto found
			:: else
			fi
		};
		look_again()
	:: else
	fi
}

proctype reader() {
	byte g, k, u, s, seen, first, from, n;

	from = done;
	reader_in = 1;
	g = generation;
again:
	lookup();
found:
	atomic {
		assert(!freed[seen]);
		/* The state that the view found, or of a flip after it. */
		assert(seen == NONE || seen > from / 2);
		assert(begun != from || seen == (from % 2 -> from / 2 + 1 : NONE));
		assert(seen == NONE || first == NONE || seen == first);
		first = (first == NONE -> seen : first);
		seen = 0; k = 0; u = 0; s = 0; n++
	}
	if
	:: n < 2 -> goto again
	:: else
	fi;
	reader_in = 0
}

init {
	atomic {
		run notifier();
		run settler();
		run worker();
		run reader()
	};
	_nr_pr == 1;
	/* All flips were made, and the slot is settled. */
	assert(state == ACCESS && entry == 2 && kva == 2 && until == LIVE);
	assert(freed[1] && !freed[2])
}
