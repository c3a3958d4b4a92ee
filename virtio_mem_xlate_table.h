/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The reader of a table, and its in-place updates: remove, absent, present.
 *
 * A table is an array of slots sorted by guest-physical address, no two of which share a
 * byte, and an index to it (virtio_mem_xlate_fast.h).  virtio_mem_xlate_index.h builds both.
 *
 * This file, _fast.h and _index.h hold no lock and allocate nothing: virtio_mem_xlate.c does.
 * They are headers of static functions, as kbuild cannot link a virtio_mem_xlate.ko from
 * virtio_mem_xlate.o and other objects, and as the proofs and fuzzers include the same source
 * in user space.
 */
#ifndef _VIRTIO_MEM_XLATE_TABLE_H
#define _VIRTIO_MEM_XLATE_TABLE_H

#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/limits.h>
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/nospec.h>
#include <linux/sched.h>

#include "virtio_mem_xlate.h"

/*
 * A published table changes in place.  Each update takes the next generation of the table, a
 * view sees the generation that was current when it was taken, and so a slot tells each view
 * apart:
 *
 *	@state, @until			views before @until	views from @until on
 *	access, SLOT_LIVE		see the memory		-
 *	0, SLOT_LIVE			absent			-
 *	access, generation		see the memory		slot is removed
 *	0, generation			absent			slot is removed
 *	... | SLOT_ABSENT, generation	(as without)		absent
 *
 * A slot whose memory came by set_present() is young until all views of before are gone: the
 * bits of its access are in another place of @state, and only views from a generation on see
 * the memory.  A young slot has no direct entry, since that would answer all views.
 */
struct xlate_slot {
	u64 gpa;
	u64 size;
	void *kva;
	u32 state;
	u32 until;	/* a generation, or SLOT_LIVE */
};

#define SLOT_LIVE	BIT(30)			/* above all generations */
#define SLOT_ABSENT	BIT(2)			/* in @state, beside the two bits of an access */
#define YOUNG_SHIFT	3			/* two bits: access of a young slot */
#define SINCE_SHIFT	5			/* the rest: the first that sees it, if young */

/*
 * In-place updates of one table.  A slot is removed once, so that the last of them remain for
 * removals; from FLIPS on set_absent() hides the slot from all views at once, and set_present()
 * takes effect with the next table only.  virtio_mem_xlate.c replaces the table long before.
 */
#ifndef GENERATIONS
#define GENERATIONS	BIT(32 - SINCE_SHIFT)
#endif
#define FLIPS		(GENERATIONS - VIRTIO_MEM_XLATE_MAX_SLOTS - 2)
#define NO_GENERATION	(GENERATIONS - 1)	/* no view has it */

/* Steps of an updater's loop from one preemption point to the next: microseconds. */
#define NR_STEPS	1024

static void step(unsigned long i)
{
	if (i % NR_STEPS == 0)
		cond_resched();
}

/* Slots of size 0 behind the last slot, as a search looks at slots in fours. */
#define NR_ENDS		4

/*
 * Entries; their format is in virtio_mem_xlate_fast.h
 */
#define ENTRY_NODE	BIT(28)
#define ENTRY_DIRECT	BIT(29)

static bool entry_is_direct(unsigned long entry)
{
	return entry >= ENTRY_DIRECT;
}

static bool entry_is_node(unsigned long entry)
{
	return entry >= ENTRY_NODE && entry < ENTRY_DIRECT;
}

static unsigned long slot_to_kva(const struct xlate_slot *slot)
{
	return (unsigned long)slot->kva - (unsigned long)slot->gpa;
}

static bool can_be_direct(const struct xlate_slot *slot)
{
	return !(slot_to_kva(slot) & 7);
}

static unsigned long direct_entry(const struct xlate_slot *slot)
{
	unsigned long access = slot->state & VIRTIO_MEM_XLATE_RW, bits;

	bits = (access & VIRTIO_MEM_XLATE_READ) << 2 | (access & VIRTIO_MEM_XLATE_WRITE) |
	       (access == VIRTIO_MEM_XLATE_RW);
	return bits << (BITS_PER_LONG - 3) | slot_to_kva(slot) >> 3;
}

/*
 * Names 2^@order slots from @first on, fewer at the end of the table.  The last slot that
 * starts at or below an address of the bucket is among them.
 */
static unsigned long search_entry(unsigned int first, unsigned int order)
{
	return first << 5 | order;
}

#define SEARCH_ALL	search_entry(0, 31)

static unsigned long search_first(unsigned long entry)
{
	return entry >> 5;
}

static unsigned int search_order(unsigned long entry)
{
	return entry & 31;
}

/* More than any table has entries. */
#define NODE_PLACES	BIT(22)

/*
 * Names a node of buckets of 2^@shift bytes; entries[@place] is the entry of the bucket at
 * @low.  The format has the place of bucket number 0, so that a lookup adds the number.
 */
static unsigned long node_entry(unsigned long place, unsigned int shift, u64 low)
{
	return ENTRY_NODE | (place - (unsigned long)(low >> shift)) % NODE_PLACES << 6 | shift;
}

static unsigned int node_shift(unsigned long entry)
{
	return entry & 63;
}

/* The place of the entry for @gpa, which must be in the node. */
static unsigned long node_place(unsigned long entry, u64 gpa)
{
	return ((entry >> 6) + (unsigned long)(gpa >> node_shift(entry))) % NODE_PLACES;
}

static u64 slot_last(const struct xlate_slot *slot)
{
	return slot->gpa + slot->size - 1;
}

/* Offset of the last byte in a bucket of 2^@shift bytes. */
static u64 bucket_last(unsigned int shift)
{
	return (1ULL << shift) - 1;
}

/* How many buckets of 2^@shift bytes from @low on start below @gpa. */
static u64 buckets_to(u64 low, u64 gpa, unsigned int shift)
{
	return gpa > low ? ((gpa - low - 1) >> shift) + 1 : 0;
}

/* How many of these buckets end at or below @gpa. */
static u64 whole_buckets_to(u64 low, u64 gpa, unsigned int shift)
{
	return gpa > low ? (gpa - low) >> shift : 0;
}

/* The low bits of a bucket number that index @nr_entries entries. */
static unsigned long number_mask(unsigned long nr_entries)
{
	return (1UL << order_base_2(nr_entries)) - 1;
}

/*
 * Searching
 *
 * The guest chooses addresses, and under speculation a processor passes a check with the
 * guest's choice (Spectre v1).  So each index is clamped to its array and each pointer to its
 * slot by a mask, not by a branch: an entry that is read as one of another kind still leads to
 * a slot.
 */

/*
 * How many of the three slots behind @slot start at or below @gpa.  Three independent
 * comparisons: branches would be mispredicted.
 */
static unsigned int slots_behind(const struct xlate_slot *slot, u64 gpa)
{
	return (slot[1].gpa <= gpa) + (slot[2].gpa <= gpa) + (slot[3].gpa <= gpa);
}

/*
 * The last slot that starts at or below @gpa among the slots that @entry names, or the first
 * of them.
 */
static __always_inline struct xlate_slot *
table_search(const struct virtio_mem_xlate_table *table, unsigned long entry, u64 gpa)
{
	unsigned long first = array_index_nospec(search_first(entry),
						 (unsigned long)table->nr_slots);
	struct xlate_slot *slot = &table->slots[first];

	if (search_order(entry) > 2) {
		unsigned long n = min(1UL << search_order(entry), table->nr_slots - first);

		while (n > 4) {
			unsigned long half = n / 2;

			slot = slot[half].gpa <= gpa ? slot + half : slot;
			n -= half;
		}
	}
	/* Slots behind the last @n start above @gpa. */
	return slot + slots_behind(slot, gpa);
}

/* The entry of the largest bucket with @gpa. */
static unsigned long top_entry(const struct virtio_mem_xlate_table *table, u64 gpa)
{
	return __virtio_mem_xlate_top_entry(table, __virtio_mem_xlate_entry(table, gpa),
					    __virtio_mem_xlate_covers(table, gpa));
}

/*
 * The entry of the smallest bucket with @gpa, where @entry is that of the largest.  @behind
 * gets the number of bytes behind @gpa in that bucket.
 */
static __always_inline unsigned long
leaf_entry(const struct virtio_mem_xlate_table *table, unsigned long entry, u64 gpa, u64 *behind)
{
	unsigned int shift = table->shift;

	while (entry_is_node(entry)) {
		unsigned long node = array_index_mask_nospec(entry - ENTRY_NODE,
							     ENTRY_DIRECT - ENTRY_NODE);

		shift = node_shift(entry);
		/* The second mask makes it a search from slots[0]: entries[0] may be direct. */
		entry = READ_ONCE(table->entries[node_place(entry, gpa) & node]) & node;
	}
	*behind = ~gpa & bucket_last(shift);
	return entry;
}

/*
 * What a view sees of a slot
 */

/*
 * Less than @slot->until if a view of @generation sees the memory and @access is allowed:
 * each forbidden access is a bit from SLOT_LIVE on, so that one comparison, and one mask
 * against speculation, decides both.
 */
static unsigned long slot_key(u32 state, u32 generation, unsigned int access)
{
	return generation | (unsigned long)(access & ~state) << 30;
}

/*
 * @memory + @offset, or NULL if @offset is outside @size, also under speculation.  The portable
 * form of array_index_mask_nospec() is 0 for each size above LONG_MAX; no memory is that large,
 * so that such a slot does without the mask there.
 */
static void *slot_kva(void *memory, size_t offset, size_t size)
{
	size_t mask = array_index_mask_nospec(offset, size);

#ifndef array_index_mask_nospec
	mask |= (ssize_t)size < 0 ? SIZE_MAX : 0;
#endif
	return (void *)(((size_t)memory + offset) & mask);
}

/*
 * Does a view of @generation see @slot, present or absent?  @allowed gets the accesses, 0 if it is
 * absent, and @kva the memory.  Reads again until no update has changed @slot meanwhile; each
 * update of a slot takes a generation, so that @state tells.
 */
static bool slot_seen(const struct xlate_slot *slot, u32 generation, void **kva,
		      unsigned int *allowed)
{
	u32 state, until, young;

	do {
		/* Each pairs with an smp_wmb() in table_set_present() or table_remove(). */
		state = smp_load_acquire(&slot->state);
		*kva = smp_load_acquire(&slot->kva);	/* pairs as above */
		until = smp_load_acquire(&slot->until);	/* pairs as above */
	} while (state != READ_ONCE(slot->state));

	/* Masks, since a lookup under speculation must not see memory that its view does not. */
	young = ~array_index_mask_nospec(generation, state >> SINCE_SHIFT);
	*allowed = (state | (state >> YOUNG_SHIFT & young)) & VIRTIO_MEM_XLATE_RW &
		   array_index_mask_nospec(generation, until);
	return generation < until || state & SLOT_ABSENT;
}

/*
 * The byte at @offset of @slot, for a view that slot_byte() could not serve: 0 with @kva if the
 * slot is young and the view sees it, else -errno.
 */
static noinline int slot_byte_cold(const struct xlate_slot *slot, u32 generation, u64 offset,
				   unsigned int access, void **kva)
{
	unsigned int allowed, forbidden;
	bool seen = slot_seen(slot, generation, kva, &allowed);

	forbidden = access & ~allowed;
	*kva = (void *)((size_t)slot_kva(*kva, offset, slot->size) &
			array_index_mask_nospec(forbidden, 1));
	if (!seen)
		return -EFAULT;
	if (!allowed)
		return -EAGAIN;
	return forbidden ? -EPERM : 0;
}

/*
 * The byte at @gpa for a view of @generation, if it is in @slot: 0 with its @kva and the number
 * of @bytes from there to the end of the slot, else -errno.  Under speculation @kva is in a slot
 * that the view may access, or NULL.
 */
static __always_inline int slot_byte(const struct xlate_slot *slot, u32 generation, u64 gpa,
				     unsigned int access, void **kva, u64 *bytes)
{
	/*
	 * Each pairs with the smp_wmb() in table_set_present(): a view that sees an @until
	 * and a @state of before the memory was exchanged sees the memory of before.
	 */
	void *memory = smp_load_acquire(&slot->kva);
	unsigned long until = smp_load_acquire(&slot->until);	/* pairs as above */
	unsigned long key = slot_key(READ_ONCE(slot->state), generation, access);
	u64 offset = gpa - slot->gpa;

	*kva = (void *)((size_t)slot_kva(memory, offset, slot->size) &
			array_index_mask_nospec(key, until));
	*bytes = slot->size - offset;
	if (offset >= slot->size)
		return -EFAULT;
	if (unlikely(key >= until)) {
		/* A variable of its own, as one whose address is taken is written to memory. */
		void *young;
		int err = slot_byte_cold(slot, generation, offset, access, &young);

		*kva = young;
		return err;
	}
	return 0;
}

/* The slot with the byte at @gpa; if there is none, another slot. */
static const struct xlate_slot *table_slot(const struct virtio_mem_xlate_table *table, u64 gpa)
{
	u64 behind;
	unsigned long entry = leaf_entry(table, top_entry(table, gpa), gpa, &behind);

	/* A direct entry does not tell its slot. */
	return table_search(table, entry_is_direct(entry) ? SEARCH_ALL : entry, gpa);
}

static int access_validate(unsigned int access)
{
	return __virtio_mem_xlate_access_is_valid(access) ? 0 : -EINVAL;
}

static int driver_range_validate(struct virtio_driver_range driver)
{
	u64 end;

	return check_add_overflow(driver.start, driver.len, &end) ? -EOVERFLOW : 0;
}

/*
 * The longest leading piece of @driver that is contiguous and allows @access; @driver moves past
 * it.  @driver and @access are valid; @slot is the table_slot() of @driver's start, or what the
 * last call left there, so that a walk searches once and goes on along the slots.
 *
 * Return: 1 with @device, 0 if @driver is empty, or -errno for its first byte.
 */
static __always_inline int
table_next(const struct virtio_mem_xlate_view *view, const struct xlate_slot **slot,
	   struct virtio_driver_range *driver, unsigned int access,
	   struct virtio_device_range *device)
{
	const struct xlate_slot *at = *slot;
	void *kva, *more_kva;
	u64 len, more;
	int err;

	if (!driver->len)
		return 0;
	err = slot_byte(at, view->generation, driver->start, access, &kva, &len);
	if (err)
		return err;
	while (len < driver->len) {
		at++;
		/* Most neighbours do not touch; for those that do, slot_byte() decides. */
		if (READ_ONCE(at->kva) != kva + len || at->gpa != driver->start + len ||
		    slot_byte(at, view->generation, at->gpa, access, &more_kva, &more) ||
		    more_kva != kva + len)
			break;
		len += more;
	}
	*slot = at;
	len = min(len, driver->len);
	*device = virtio_device_range_new(kva, len, access);
	driver->start += len;
	driver->len -= len;
	return 1;
}

/*
 * In-place updates.  The caller serialises them; readers may be looking.
 */

/* The generation that a view taken now sees. */
static u32 table_generation(const struct virtio_mem_xlate_table *table)
{
	/*
	 * Pairs with smp_store_release() in next_generation(): a view that sees a generation
	 * also sees the slots that its update has changed.
	 */
	return smp_load_acquire(&table->generation);
}

static void next_generation(struct virtio_mem_xlate_table *table)
{
	/* Pairs with smp_load_acquire() in table_generation(). */
	smp_store_release(&table->generation, table->generation + 1);
}

/* Views taken now see @slot, with memory or absent. */
static bool slot_is_live(const struct xlate_slot *slot)
{
	return slot->until == SLOT_LIVE || slot->state & SLOT_ABSENT;
}

/*
 * Did views of @generation see @slot live?  For the builder of the next table, while other
 * updates change this one in place: an absent slot that becomes present, or is removed, gets
 * another @until before it loses SLOT_ABSENT.
 */
static bool slot_was_live(const struct xlate_slot *slot, u32 generation)
{
	/* Pairs with the smp_wmb() in table_set_present() and table_remove(). */
	u32 state = smp_load_acquire(&slot->state);

	return state & SLOT_ABSENT || READ_ONCE(slot->until) > generation;
}

static bool slot_is_young(const struct xlate_slot *slot)
{
	return slot->until == SLOT_LIVE && slot->state >> YOUNG_SHIFT & VIRTIO_MEM_XLATE_RW;
}

/*
 * Has an update changed @slot since @generation?  No slot that is younger was settled.  From
 * FLIPS on, the state of a live slot does not tell.
 */
static bool slot_changed_since(const struct xlate_slot *slot, u32 generation)
{
	if (slot_is_young(slot))
		return slot->state >> SINCE_SHIFT >= generation;
	return slot->until != SLOT_LIVE && slot->until > generation;
}

/* What views taken now may do with a live slot; 0 if it is absent. */
static unsigned int slot_access(const struct xlate_slot *slot)
{
	u32 state = READ_ONCE(slot->state);

	if (READ_ONCE(slot->until) != SLOT_LIVE)
		return 0;
	return (state | state >> YOUNG_SHIFT) & VIRTIO_MEM_XLATE_RW;
}

/*
 * Writes @entry for each bucket that lies in @slot, of the row of buckets of 2^@shift bytes
 * for [@low, @high] whose entries start at entries[@place], and of the nodes below.
 */
static void write_entries(struct virtio_mem_xlate_table *table, unsigned int place,
			  unsigned int shift, u64 low, u64 high, const struct xlate_slot *slot,
			  unsigned long entry)
{
	u64 from = max(slot->gpa, low), to = min(slot_last(slot), high), bucket;
	unsigned long mask;

	if (from > to)
		return;
	mask = number_mask(((high - low) >> shift) + 1);
	for (bucket = from >> shift; bucket <= to >> shift; bucket++) {
		unsigned long *old = &table->entries[place + (bucket & mask)];
		u64 bucket_low = bucket << shift, bucket_high = bucket_low + bucket_last(shift);

		step(bucket);
		if (entry_is_node(*old))
			write_entries(table, node_place(*old, bucket_low), node_shift(*old),
				      bucket_low, bucket_high, slot, entry);
		else if (bucket_low >= slot->gpa && bucket_high <= slot_last(slot))
			WRITE_ONCE(*old, entry);
	}
}

/* Has the index answer for @slot by @entry, where it can. */
static void index_slot(struct virtio_mem_xlate_table *table, const struct xlate_slot *slot,
		       unsigned long entry)
{
	write_entries(table, 0, table->shift, table->base, table->base + table->span - 1, slot,
		      entry);
}

/* Has a search answer for @slot. */
static void index_search(struct virtio_mem_xlate_table *table, const struct xlate_slot *slot)
{
	if (can_be_direct(slot))
		index_slot(table, slot, search_entry(slot - table->slots, 0));
}

/*
 * A search entry for @gpa: of few slots, if a guess by the mean distance of slots finds them.  A
 * search among 2^20 slots misses the cache at most of its 20 steps, and most tables are even.
 */
static unsigned long guess_search(const struct virtio_mem_xlate_table *table, u64 gpa)
{
	unsigned int first = 0, nr = table->nr_slots, tries, at;
	const struct xlate_slot *slots = table->slots;

	for (tries = 0; tries < 4 && nr > 64; tries++) {
		u64 from = slots[first].gpa, to = slots[first + nr - 1].gpa;

		if (gpa <= from || gpa >= to)
			break;
		at = div64_u64(gpa - from, div64_u64(to - from, nr - 1) + 1);
		if (slots[first + at].gpa <= gpa) {
			/* As the mean is rounded up, an even table has @gpa a little behind. */
			if (slots[min(first + at + 32, first + nr - 1)].gpa > gpa) {
				nr = min(33U, nr - at);
				first += at;
				break;
			}
			first += at;
			nr -= at;
		} else {
			nr = at;
		}
	}
	return search_entry(first, order_base_2(max(nr, 1U)));
}

/* The live slot of exactly [@gpa, @gpa + @size), or NULL. */
static struct xlate_slot *table_find(struct virtio_mem_xlate_table *table, u64 gpa, u64 size)
{
	struct xlate_slot *slot = table_search(table, guess_search(table, gpa), gpa);

	return size && slot->gpa == gpa && slot->size == size && slot_is_live(slot) ? slot : NULL;
}

/*
 * Removes the slots of [@gpa, @gpa + @size), which begins with the first byte of a slot and ends
 * with the last byte of a slot, in one generation.
 */
static int table_remove(struct virtio_mem_xlate_table *table, u64 gpa, u64 size)
{
	struct xlate_slot *first, *last, *slot;
	u64 high;

	if (!size || check_add_overflow(gpa, size - 1, &high))
		return -ENOENT;
	first = table_search(table, SEARCH_ALL, gpa);
	last = table_search(table, SEARCH_ALL, high);
	if (first->gpa != gpa || !slot_is_live(first) ||
	    slot_last(last) != high || !slot_is_live(last))
		return -ENOENT;
	for (slot = first; slot <= last; slot++) {
		step(8 * (slot - first));	/* some entries each */
		if (!slot_is_live(slot))
			continue;
		if (slot->until == SLOT_LIVE) {
			index_search(table, slot);
			WRITE_ONCE(slot->until, table->generation + 1);
		} else {
			/* At no step a view sees memory; views of before keep -EAGAIN. */
			WRITE_ONCE(slot->state, SLOT_ABSENT);
			smp_wmb();	/* pairs with smp_load_acquire() in slot_byte() */
			WRITE_ONCE(slot->until, table->generation + 1);
			smp_wmb();	/* the same, and in slot_seen() */
			WRITE_ONCE(slot->state, 0);
		}
		table->nr_live--;
	}
	next_generation(table);
	return 0;
}

/* Hides the memory of the slot from views taken from now on. */
static int table_set_absent(struct virtio_mem_xlate_table *table, u64 gpa, u64 size)
{
	struct xlate_slot *slot = table_find(table, gpa, size);

	if (!slot)
		return -ENOENT;
	if (!slot_access(slot))
		return 0;
	index_search(table, slot);
	if (table->generation >= FLIPS) {
		WRITE_ONCE(slot->state, 0);
		return 0;
	}
	WRITE_ONCE(slot->state, slot->state | SLOT_ABSENT);
	WRITE_ONCE(slot->until, table->generation + 1);
	next_generation(table);
	return 0;
}

/* Notes that slots[@i] is young, for the one who settles it. */
static void table_note_young(struct virtio_mem_xlate_table *table, unsigned int i)
{
	table->young_first = min(table->young_first, i);
	table->young_last = max(table->young_last, i);
}

/* Gives the absent slot memory, which views of the current generation on see. */
static int table_set_present(struct virtio_mem_xlate_table *table, u64 gpa, u64 size, void *kva,
			     unsigned int access)
{
	struct xlate_slot *slot = table_find(table, gpa, size);
	u32 since = table->generation < FLIPS ? table->generation : NO_GENERATION;

	if (!slot)
		return -ENOENT;
	if (slot_access(slot))
		return -EEXIST;
	/*
	 * At no step do @until and @state let a view see memory: first views of before lose
	 * theirs.
	 */
	WRITE_ONCE(slot->state, slot->state & SLOT_ABSENT);
	smp_wmb();	/* pairs with smp_load_acquire() in slot_byte() and slot_seen() */
	WRITE_ONCE(slot->kva, kva);
	WRITE_ONCE(slot->until, SLOT_LIVE);
	smp_wmb();	/* the same */
	WRITE_ONCE(slot->state, since << SINCE_SHIFT | access << YOUNG_SHIFT);
	table_note_young(table, slot - table->slots);
	/* So that table_settle() can tell this one from later ones. */
	if (since != NO_GENERATION)
		next_generation(table);
	return 0;
}

/*
 * All views of before @generation are gone: settles the slots of slots[@i..@last] that were young
 * then, with direct entries, and notes the others that are young.
 */
static void table_settle(struct virtio_mem_xlate_table *table, u32 generation, unsigned int i,
			 unsigned int last)
{
	for (; i <= last; i++) {
		struct xlate_slot *slot = &table->slots[i];

		step(i);
		if (!slot_is_young(slot))
			continue;
		if (slot->state >> SINCE_SHIFT >= generation) {
			table_note_young(table, i);
			continue;
		}
		WRITE_ONCE(slot->state, slot_access(slot));
		if (can_be_direct(slot))
			index_slot(table, slot, direct_entry(slot));
	}
}

#endif /* _VIRTIO_MEM_XLATE_TABLE_H */
