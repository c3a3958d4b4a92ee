/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The writer of a table: validates slots, sorts or merges them, and builds the index.
 *
 * All of it runs on a table that is not published.  docs/table.rst has an example with five
 * slots; virtio_mem_xlate_fast.h has the format of an entry.  A search entry can always stand
 * for a node, so how finely to divide, and how much memory to spend, is a matter of speed.
 *
 * A table has up to 2^20 slots, and a VMM chooses them, so every loop over slots or entries
 * has preemption points.
 */
#ifndef _VIRTIO_MEM_XLATE_INDEX_H
#define _VIRTIO_MEM_XLATE_INDEX_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/limits.h>
#include <linux/log2.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/sizes.h>

#include "virtio_mem_xlate_table.h"

static int slot_validate(const struct virtio_mem_xlate_slot *slot)
{
	uintptr_t kva_end;
	u64 end;

	if (!slot->size || slot->size > SIZE_MAX || check_add_overflow(slot->gpa, slot->size, &end))
		return -EINVAL;
	if (slot->access == VIRTIO_MEM_XLATE_ABSENT)
		return slot->kva ? -EINVAL : 0;
	if (!__virtio_mem_xlate_access_is_valid(slot->access) || !slot->kva ||
	    check_add_overflow((uintptr_t)slot->kva, (uintptr_t)slot->size, &kva_end))
		return -EINVAL;
	return 0;
}

/*
 * Bytes of a table of @nr_slots.  A slot takes 52 bytes, 32 for itself and 20 for the index
 * (on 32 bit 48 and 16), in whole pages; a small table takes more, since few slots may have
 * many edges to divide buckets around.
 */
static size_t table_bytes(unsigned int nr_slots)
{
	size_t a_slot = sizeof(struct xlate_slot) + 12 + sizeof(unsigned long);

	if (nr_slots >= 512)
		return round_down(nr_slots * a_slot, SZ_4K);
	return sizeof(struct virtio_mem_xlate_table) +
	       (nr_slots + NR_ENDS) * sizeof(struct xlate_slot) +
	       min(64 * (nr_slots + 1), 1280U) * sizeof(unsigned long);
}

/* Entries for which a table of @nr_slots has room. */
static size_t table_max_entries(unsigned int nr_slots)
{
	return (table_bytes(nr_slots) - sizeof(struct virtio_mem_xlate_table) -
		(nr_slots + NR_ENDS) * sizeof(struct xlate_slot)) / sizeof(unsigned long);
}

/* Prepares @table, of table_bytes(@nr_slots) bytes, for @nr_slots slots. */
static void table_init(struct virtio_mem_xlate_table *table, unsigned int nr_slots)
{
	*table = (struct virtio_mem_xlate_table){
		.entries = (void *)(table + 1),
		.max_entries = table_max_entries(nr_slots),
		.bytes = table_bytes(nr_slots),
		.nr_slots = nr_slots,
		.nr_live = nr_slots,
		.young_first = U32_MAX,
	};
	table->slots = (void *)(table->entries + table->max_entries);
}

static struct xlate_slot slot_from(const struct virtio_mem_xlate_slot *slot)
{
	return (struct xlate_slot){
		.gpa = slot->gpa,
		.size = slot->size,
		.kva = slot->kva,
		.state = slot->access & VIRTIO_MEM_XLATE_RW,
		.until = SLOT_LIVE,
	};
}

/*
 * @slot for a new table, whose views are all younger than any memory that the slot has had.  If an
 * update changes the slot meanwhile, table_carry() brings its state.
 */
static struct xlate_slot slot_settled(const struct xlate_slot *slot)
{
	unsigned int access = slot_access(slot);

	return (struct xlate_slot){
		.gpa = slot->gpa,
		.size = slot->size,
		.kva = access ? READ_ONCE(slot->kva) : NULL,
		.state = access,
		.until = SLOT_LIVE,
	};
}

/*
 * Sorting
 */

struct sort_key {
	u64 gpa;
	u32 nr;			/* the slot's place in the caller's array */
};

#define DIGIT_BITS	7

/* Copies @keys to @to by one digit, of gpa >> @shift; equal digits keep their order. */
static void sort_by_digit(const struct sort_key *keys, struct sort_key *to, unsigned int nr,
			  unsigned int shift)
{
	u32 ends[1 << DIGIT_BITS] = {}, i, end = 0;

	for (i = 0; i < nr; i++) {
		ends[(unsigned int)(keys[i].gpa >> shift) % ARRAY_SIZE(ends)]++;
		step(i);
	}
	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		end += ends[i];
		ends[i] = end - ends[i];	/* the start of the digit; each key moves it */
	}
	for (i = 0; i < nr; i++) {
		to[ends[(unsigned int)(keys[i].gpa >> shift) % ARRAY_SIZE(ends)]++] = keys[i];
		step(i);
	}
}

/*
 * Fills @slots with the slots of @from by gpa.  A radix sort of keys: unlike sort() it has
 * preemption points, and its cost depends on the bits in which addresses differ, not on their
 * order.  The keys alternate between the start and the end of the memory of @slots.  They end
 * up at the end, where each is read before the slot that overwrites it is written.
 *
 *	slots  |  0  |  1  |  2  | ...                    | nr-1|
 *	keys   |0|1|2| ...       |nr-1| |0|1|2| ...       |nr-1|
 */
static void slots_sort(struct xlate_slot *slots, const struct virtio_mem_xlate_slot *from,
		       unsigned int nr)
{
	struct sort_key *at_end = (struct sort_key *)(slots + nr) - nr, *keys = at_end;
	struct sort_key *other = (struct sort_key *)slots;
	unsigned int shift, i;
	u64 differ = 0;

	BUILD_BUG_ON(2 * sizeof(*keys) > sizeof(*slots));
	for (i = 0; i < nr; i++) {
		differ |= from[i].gpa ^ from[0].gpa;
		step(i);
	}
	/* The first digit starts where the last leaves the keys at the end. */
	for (shift = 0; shift < BITS_PER_LONG_LONG && differ >> shift; shift += DIGIT_BITS)
		swap(keys, other);
	for (i = 0; i < nr; i++) {
		keys[i] = (struct sort_key){ .gpa = from[i].gpa, .nr = i };
		step(i);
	}
	for (shift = 0; shift < BITS_PER_LONG_LONG && differ >> shift; shift += DIGIT_BITS) {
		sort_by_digit(keys, other, nr, shift);
		swap(keys, other);
	}
	for (i = 0; i < nr; i++) {
		slots[i] = slot_from(&from[at_end[i].nr]);
		step(i);
	}
}

/* Fills @slots with the slots of @from by gpa; -EINVAL if one is not valid. */
static int slots_fill(struct xlate_slot *slots, const struct virtio_mem_xlate_slot *from,
		      unsigned int nr)
{
	bool sorted = true;
	unsigned int i;
	int err;

	for (i = 0; i < nr; i++) {
		err = slot_validate(&from[i]);
		if (err)
			return err;
		sorted &= !i || from[i].gpa > from[i - 1].gpa;
		slots[i] = slot_from(&from[i]);
		step(i);
	}
	if (!sorted)
		slots_sort(slots, from, nr);
	return 0;
}

/*
 * Merges the slots of @base that were live at @generation into @table, whose last slots are filled
 * and by gpa.  The merge runs from the start, so that it never overwrites a new slot that is not
 * read yet.
 */
static void table_merge(struct virtio_mem_xlate_table *table,
			const struct virtio_mem_xlate_table *base, u32 generation,
			unsigned int nr_new)
{
	const struct xlate_slot *end = table->slots + table->nr_slots, *new = end - nr_new;
	struct xlate_slot *to = table->slots;
	unsigned int i;

	for (i = 0; i < base->nr_slots; i++) {
		step(i);
		if (!slot_was_live(&base->slots[i], generation))
			continue;
		for (; new < end && new->gpa < base->slots[i].gpa; new++) {
			*to++ = *new;
			step(to - table->slots);
		}
		*to++ = slot_settled(&base->slots[i]);
	}
}

/* @slots are valid and by gpa: 0, or -EEXIST if two of them share a byte. */
static int slots_check(const struct xlate_slot *slots, unsigned int nr)
{
	unsigned int i;

	for (i = 1; i < nr; i++) {
		if (slots[i].gpa < slots[i - 1].gpa + slots[i - 1].size)
			return -EEXIST;
		step(i);
	}
	return 0;
}

/* Writes the NR_ENDS slots behind the last. */
static void slots_end(struct xlate_slot *slots, unsigned int nr)
{
	unsigned int i;

	for (i = nr; i < nr + NR_ENDS; i++) {
		slots[i].gpa = U64_MAX;
		slots[i].size = 0;
		slots[i].kva = NULL;	/* loaded under speculation */
		slots[i].state = 0;
		slots[i].until = 0;
	}
}

/*
 * Building the index
 */

/* A row of buckets with consecutive entries: the buckets of the table, or of a node. */
struct row {
	unsigned long *entries;
	unsigned long nr;
	unsigned int shift;	/* a bucket has 2^@shift bytes */
	unsigned int first;	/* the last slot that starts at or below @low, or the first slot */
	u64 low;		/* first address */
	unsigned int depth;	/* of a node: the number of nodes above, and 1 */
};

/* An entry has this power of two of bytes; a bucket outside nodes is at least as large. */
#define ENTRY_SHIFT	(BITS_PER_LONG == 64 ? 3 : 2)

/* A search is as good as a node below this depth, or for this few slots. */
#define NODE_DEPTH	4
#define NODE_MIN_SLOTS	8

/*
 * The length of a typical range, a packet, as a power of two.  Proofs in which an address
 * has few bits define it smaller.
 */
#ifndef RANGE_SHIFT
#define RANGE_SHIFT	10U
#endif

static bool slot_is_direct(const struct xlate_slot *slot)
{
	return slot->state & VIRTIO_MEM_XLATE_RW && can_be_direct(slot);
}

/* Bytes of @slot outside all the buckets of 2^@shift bytes that lie in it. */
static u64 bytes_outside(const struct xlate_slot *slot, unsigned int shift)
{
	u64 from = buckets_to(0, slot->gpa, shift);
	u64 to = whole_buckets_to(0, slot->gpa + slot->size, shift);

	return slot->size - (from < to ? (to - from) << shift : 0);
}

/*
 * The coarsest buckets, of at least 2^@shift bytes, that leave at most 1/128 of the bytes
 * of slots[@first..@last] outside buckets that lie in a slot.  Smaller buckets may leave
 * more: up to the share of typical ranges that leave such a bucket.  Coarse buckets take less
 * memory and cache, and fewer ranges leave them.
 */
static unsigned int choose_shift(const struct xlate_slot *slots, unsigned int shift,
				 unsigned int first, unsigned int last)
{
	u64 bytes = 0, outside;
	unsigned int i, part;

	for (i = first; i <= last; i++) {
		bytes += slots[i].size;
		step(i);
	}
	for (; shift + 1 < BITS_PER_LONG_LONG; shift++) {
		part = clamp(shift + 1, RANGE_SHIFT, RANGE_SHIFT + 7) - RANGE_SHIFT;
		outside = 0;
		/* Large slots are often last, and decide early. */
		for (i = last + 1; i-- > first; ) {
			step(i);
			outside += bytes_outside(&slots[i], shift + 1);
			if (outside > bytes >> part)
				return shift;
		}
	}
	return shift;
}

/* How many slots behind slots[@first] start at or below @last. */
static unsigned int slots_to(const struct virtio_mem_xlate_table *table, unsigned int first,
			     u64 last)
{
	unsigned int others = 0, more, steps = 0;

	do {
		more = slots_behind(&table->slots[first + others], last);
		others = min(others + more, table->nr_slots - 1 - first);
		step(++steps);
	} while (more == 3 && first + others + 1 < table->nr_slots);
	return others;
}

static void fill_row(struct virtio_mem_xlate_table *table, struct row row);

/*
 * The entry of a bucket of @row that does not lie in one slot.  The bucket starts at @low,
 * slots[@first] is the last slot that starts at or below @low, or the first slot, and @others
 * start behind it in the bucket.
 */
static unsigned long bucket_entry(struct virtio_mem_xlate_table *table, const struct row *row,
				  u64 low, unsigned int first, unsigned int others)
{
	unsigned int node = table->nr_entries, room = table->max_entries - node, bits;

	if (others < NODE_MIN_SLOTS || row->depth == NODE_DEPTH || room < 2)
		return search_entry(first, ilog2(max(others, 3U)) + 1);
	bits = min3(row->shift, (unsigned int)ilog2((others + 1) * 5 / 4),
		    (unsigned int)ilog2(room));
	table->nr_entries += 1U << bits;
	fill_row(table, (struct row){
		.entries = &table->entries[node],
		.nr = 1U << bits,
		.shift = row->shift - bits,
		.first = first,
		.low = low,
		.depth = row->depth + 1,
	});
	return node_entry(node, row->shift - bits, low);
}

/* Entries that are written from one preemption point to the next: microseconds. */
#define MAX_RUN		4096

/*
 * Writes @entry for the buckets from @i to before @end, of @nr, and returns where to go on.
 * Runs are short and their length is unpredictable: store four entries without a branch, and
 * let the next run overwrite the excess.
 */
static __always_inline unsigned long fill_entries(unsigned long *entries, unsigned long nr,
						  unsigned long i, unsigned long end,
						  unsigned long entry)
{
	unsigned long next = max(i, end);

	while (unlikely(i + MAX_RUN < end)) {
		unsigned long part = i + MAX_RUN;

		while (i < part)
			entries[i++] = entry;
		cond_resched();
	}
	if (likely(next + 4 <= nr)) {
		do {
			entries[i] = entry;
			entries[i + 1] = entry;
			entries[i + 2] = entry;
			entries[i + 3] = entry;
			i += 4;
		} while (i < end);
	} else {
		while (i < end)
			entries[i++] = entry;
	}
	return next;
}

/*
 * Writes the entries of @row, slot by slot: first those of the buckets up to the one in which
 * the slot starts, which name the slot before it, then those of the buckets that lie in it.
 */
static void fill_row(struct virtio_mem_xlate_table *table, struct row row)
{
	const struct xlate_slot *slots = table->slots;
	unsigned long i = 0, end, pause = row.first;
	unsigned int n;

	for (n = row.first; i < row.nr; n++) {
		unsigned int named = n > row.first ? n - 1 : row.first;
		bool many;
		u64 last;

		if (unlikely(i + n > pause + NR_STEPS)) {
			pause = i + n;
			cond_resched();
		}
		end = n < table->nr_slots ?
		      min_t(u64, buckets_to(row.low, slots[n].gpa, row.shift), row.nr) : row.nr;
		last = row.low + ((u64)end << row.shift) - 1;
		/* No &&: the first condition is unpredictable, and the second load is cheap. */
		many = (i < end) & (slots[named + 4].gpa <= last);
		i = fill_entries(row.entries, row.nr, i, end, search_entry(named, 2));
		if (many) {
			unsigned int others = slots_to(table, named, last);

			row.entries[i - 1] = bucket_entry(table, &row,
							  last - bucket_last(row.shift),
							  named, others);
			n = named + others;
		}
		end = min_t(u64, whole_buckets_to(row.low, slots[n].gpa + slots[n].size, row.shift),
			    row.nr);
		if (i < end && slot_is_direct(&slots[n]))
			i = fill_entries(row.entries, row.nr, i, end, direct_entry(&slots[n]));
	}
}

/*
 * A few slots far from all others must not make every bucket coarse: leave the outermost
 * slot out as long as the hole beside it is more than half of the addresses.  The far entry
 * serves what is left out, by a search among all slots.
 */
static void leave_out_far(const struct xlate_slot *slots, unsigned int *first, unsigned int *last)
{
	while (*first < *last) {
		u64 half = (slot_last(&slots[*last]) - slots[*first].gpa) / 2;

		if (slots[*last].gpa - slot_last(&slots[*last - 1]) > half)
			--*last;
		else if (slots[*first + 1].gpa - slot_last(&slots[*first]) > half)
			++*first;
		else
			break;
		step(*last - *first);
	}
}

/*
 * How many entries @nr buckets of 2^@shift bytes from @low on take; ULONG_MAX if an address
 * could index memory behind the table.
 */
static unsigned long top_entries(const struct virtio_mem_xlate_table *table, u64 low, u64 nr,
				 unsigned int shift)
{
	unsigned long mask;

	if (nr > table->max_entries)
		return ULONG_MAX;
	mask = number_mask(nr);
	if (mask >= (table->bytes - sizeof(*table)) / sizeof(*table->entries))
		return ULONG_MAX;
	return min(((low >> shift) & mask) + nr, mask + 1ULL);
}

/* The entry of no bucket. */
#define NO_ENTRY	0UL

/*
 * An address outside all buckets may index the entries from @from to before @to.  The lookup
 * ignores what it loads there, but memory that is loaded must have been written.
 */
static void clear_entries(struct virtio_mem_xlate_table *table, unsigned long from,
			  unsigned long to)
{
	fill_entries(table->entries, to, from, to, NO_ENTRY);
}

static void build_index(struct virtio_mem_xlate_table *table)
{
	unsigned int shift = ENTRY_SHIFT, first = 0, last = table->nr_slots - 1;
	u64 low, high, nr, place, part;

	table->far_entry = search_entry(0, order_base_2(max(table->nr_slots, 1U)));
	table->nr_entries = 1;
	table->entries[0] = NO_ENTRY;	/* every address indexes it where there are no buckets */
	if (!table->nr_slots)
		return;
	leave_out_far(table->slots, &first, &last);
	low = table->slots[first].gpa;
	high = slot_last(&table->slots[last]);
	/* 3/16 of the entries are for nodes. */
	while (top_entries(table, low, (high >> shift) - (low >> shift) + 1, shift) >
	       table->max_entries / 16 * 13)
		shift++;
	shift = choose_shift(table->slots, shift, first, last);
	table->shift = shift;
	low &= ~bucket_last(shift);
	/* A coarse first bucket may reach down to slots that were left out. */
	while (first && slot_last(&table->slots[first - 1]) >= low)
		step(--first);
	nr = ((high - low) >> shift) + 1;
	table->bucket_mask = ~bucket_last(shift);
	table->base = low;
	table->span = high - low + 1;
	table->entry_shift = shift - ENTRY_SHIFT;
	table->entry_mask = number_mask(nr) * sizeof(*table->entries);
	table->nr_entries = top_entries(table, low, nr, shift);

	/* The buckets whose numbers wrap in @entry_mask are a row of their own. */
	place = (low >> shift) & number_mask(nr);
	part = min(nr, number_mask(nr) + 1ULL - place);
	fill_row(table, (struct row){
		.entries = &table->entries[place],
		.nr = part,
		.shift = shift,
		.first = first,
		.low = low,
	});
	if (part < nr) {
		low += part << shift;
		fill_row(table, (struct row){
			.entries = table->entries,
			.nr = nr - part,
			.shift = shift,
			.first = table_search(table, SEARCH_ALL, low) - table->slots,
			.low = low,
		});
	}
	clear_entries(table, nr - part, place);
	clear_entries(table, table->nr_entries,
		      min_t(u64, number_mask(nr) + 1ULL, table->max_entries));
}

/* Completes a table whose slots are filled and by gpa; -EEXIST if two of them share a byte. */
static int table_seal(struct virtio_mem_xlate_table *table)
{
	int err = slots_check(table->slots, table->nr_slots);

	if (err)
		return err;
	slots_end(table->slots, table->nr_slots);
	build_index(table);
	return 0;
}

/*
 * Brings the state of @from, a slot of the current table that an update changed in place, into the
 * same slot of @table, which nobody sees yet.
 */
static void table_carry(struct virtio_mem_xlate_table *table, const struct xlate_slot *from)
{
	struct xlate_slot *slot = table_find(table, from->gpa, from->size);

	if (!slot)
		return;
	if (slot_is_direct(slot))
		index_search(table, slot);
	if (slot_is_live(from)) {
		*slot = slot_settled(from);
		if (slot_is_direct(slot))
			index_slot(table, slot, direct_entry(slot));
	} else {
		slot->state = 0;
		slot->until = 0;
		table->nr_live--;
	}
}

#endif /* _VIRTIO_MEM_XLATE_INDEX_H */
