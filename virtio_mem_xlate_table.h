/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The table of memslots: validate, build, search.
 *
 * Pure C: no lock, no allocation, no kernel state.  virtio_mem_xlate.c includes
 * it for the kernel and adds those; the fuzzers and proofs include the same file
 * in user space.  An updater's loops, over up to 2^20 slots, have preemption points.
 *
 * A table is an array of slots sorted by guest-physical address, no two of which
 * share a byte, and an index to it: words, one a bucket of guest-physical
 * addresses.  virtio_mem_xlate.h tells of the buckets that lie wholly in a slot;
 * what the word of another one says is told here.  It names the few slots that
 * start in the bucket, or, where they are many, a node: words for the bucket cut
 * into smaller ones.  A word can always name slots instead of a node, so how
 * finely to cut, and how much memory to spend, is a matter of speed alone.
 *
 * Once published a table changes in one way only: removed slots are marked with
 * the generation that removed them, and no bucket is said to lie in one any more.
 * A reader notes the generation of the table when it starts and goes on seeing
 * each slot removed later, so removal is a snapshot like any other update, and
 * yet needs no memory.
 */
#ifndef _VIRTIO_MEM_XLATE_TABLE_H
#define _VIRTIO_MEM_XLATE_TABLE_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/limits.h>
#include <linux/log2.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/nospec.h>
#include <linux/sched.h>
#include <linux/sizes.h>

#include "virtio_mem_xlate.h"

/* Of slots that are not removed: above all generations, of which each removes a slot. */
#define SLOT_LIVE	BIT(30)

struct xlate_slot {
	u64 gpa;
	u64 size;
	void *kva;
	u32 access;
	u32 removed;		/* the first generation without it, or SLOT_LIVE */
};

/*@
 * requires \valid_read(slot);
 * assigns \nothing;
 * ensures \result == 0 || \result == -EINVAL;
 * ensures \result == 0 ==> 0 < slot->size && slot->gpa + slot->size <= U64_MAX;
 * ensures \result == 0 ==> slot->kva != \null &&
 *	(uintptr_t)slot->kva + slot->size <= UINTPTR_MAX;
 * ensures \result == 0 ==> slot->access != 0 && (slot->access & 0xfffffffc) == 0;
 */
static int slot_validate(const struct virtio_mem_xlate_slot *slot)
{
	uintptr_t kva_end;
	u64 end;

	if (!slot->size || slot->size > SIZE_MAX || !slot->kva)
		return -EINVAL;
	if (check_add_overflow(slot->gpa, slot->size, &end) ||
	    check_add_overflow((uintptr_t)slot->kva, (uintptr_t)slot->size, &kva_end))
		return -EINVAL;
	if (!slot->access || slot->access & ~VIRTIO_MEM_XLATE_RW)
		return -EINVAL;
	return 0;
}

/* Steps of an updater's loop from one preemption point to the next: microseconds. */
#define NR_STEPS	1024

/*@
 * assigns \nothing;
 */
static void step(unsigned long i)
{
	if (i % NR_STEPS == 0)
		cond_resched();
}

/* Slots of size 0 that end the array, so that a search may look a little too far. */
#define NR_ENDS		4

/*@
 * predicate are_valid(struct xlate_slot *slots, integer nr) =
 *	\forall integer i; 0 <= i < nr ==>
 *		0 < slots[i].size && slots[i].gpa + slots[i].size <= U64_MAX;
 *
 * predicate are_apart(struct xlate_slot *slots, integer nr) =
 *	\forall integer i, j; 0 <= i < j < nr ==>
 *		slots[i].gpa + slots[i].size <= slots[j].gpa;
 *
 * predicate in_slot(struct xlate_slot *slot, integer gpa) =
 *	slot->gpa <= gpa < slot->gpa + slot->size;
 *
 * predicate is_sorted(struct xlate_slot *slots, integer nr) =
 *	are_valid(slots, nr) && are_apart(slots, nr) &&
 *	(\forall integer i; nr <= i < nr + NR_ENDS ==>
 *		slots[i].gpa == U64_MAX && slots[i].size == 0);
 *
 * predicate is_table(struct virtio_mem_xlate_table *table) =
 *	\valid_read(table) && table->nr_slots <= VIRTIO_MEM_XLATE_MAX_SLOTS &&
 *	\valid_read(table->slots + (0 .. table->nr_slots + NR_ENDS - 1)) &&
 *	is_sorted(table->slots, table->nr_slots);
 */

/*
 * Bytes of a table of @nr_slots: for the index 20 a slot beside the slot's own 32,
 * on 32 bit 16, as far as they fill pages; but more in small tables, where few
 * slots may have many edges to cut around.
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

/* Words of the index that a table of @nr_slots may spend. */
static size_t table_max_words(unsigned int nr_slots)
{
	return (table_bytes(nr_slots) - sizeof(struct virtio_mem_xlate_table) -
		(nr_slots + NR_ENDS) * sizeof(struct xlate_slot)) / sizeof(unsigned long);
}

/* Makes a table of @nr_slots, which are to be filled in, of table_bytes(@nr_slots) bytes. */
static void table_init(struct virtio_mem_xlate_table *table, unsigned int nr_slots)
{
	*table = (struct virtio_mem_xlate_table){
		.words = (void *)(table + 1),
		.max_words = table_max_words(nr_slots),
		.bytes = table_bytes(nr_slots),
		.nr_slots = nr_slots,
		.nr_live = nr_slots,
	};
	table->slots = (void *)(table->words + table->max_words);
}

static struct xlate_slot slot_from(const struct virtio_mem_xlate_slot *slot)
{
	return (struct xlate_slot){
		.gpa = slot->gpa,
		.size = slot->size,
		.kva = slot->kva,
		.access = slot->access,
		.removed = SLOT_LIVE,
	};
}

struct sort_key {
	u64 gpa;
	u32 nr;			/* of the slot, as it was handed in */
};

#define DIGIT_BITS	7

/* Copies @keys to @to, by the digit of gpa from bit @shift on; equal digits keep their order. */
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
		ends[i] = end - ends[i];	/* where it starts; its end once it is filled */
	}
	for (i = 0; i < nr; i++) {
		to[ends[(unsigned int)(keys[i].gpa >> shift) % ARRAY_SIZE(ends)]++] = keys[i];
		step(i);
	}
}

/*
 * Fills @slots with the slots of @from by gpa.  A radix sort of keys: what it costs depends
 * on the bits in which addresses differ, not on their order, and unlike sort() it has
 * preemption points.  It needs no memory but that of @slots: the keys go to and fro between
 * its start and its end, and from its end each is read before its slot is written there.
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
	/* So that it is the last of them that leaves the keys at the end. */
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

/* Fills @slots with the slots of @from by gpa, or says why one of them is none. */
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
 * The last slots of @table, behind as many as @base has that are not removed, are filled in
 * and by gpa.  Fills in these of @base and merges the two, from the start on: what is
 * written is never ahead of what is read.
 */
static void table_merge(struct virtio_mem_xlate_table *table,
			const struct virtio_mem_xlate_table *base)
{
	const struct xlate_slot *new = table->slots + base->nr_live;
	const struct xlate_slot *end = table->slots + table->nr_slots;
	struct xlate_slot *to = table->slots;
	unsigned int i;

	for (i = 0; i < base->nr_slots; i++) {
		step(i);
		if (base->slots[i].removed != SLOT_LIVE)
			continue;
		for (; new < end && new->gpa < base->slots[i].gpa; new++) {
			*to++ = *new;
			step(to - table->slots);
		}
		*to++ = base->slots[i];
	}
}

/*
 * Words, by their size.  Those of buckets in a slot are as virtio_mem_xlate.h says:
 * of the upper three bits that of READ is the highest, then those of WRITE and of RW,
 * and the rest is an eighth of the slot's kva - gpa.  Words of other buckets fit below
 * the three bits of 32, so that they are read and written whole everywhere.
 */
#define WORD_NODE	BIT(28)
#define WORD_SLOT	BIT(29)

static bool word_is_slot(unsigned long word)
{
	return word >= WORD_SLOT;
}

static bool word_is_node(unsigned long word)
{
	return word >= WORD_NODE && word < WORD_SLOT;
}

/* What to add to a gpa. */
static unsigned long slot_to_kva(const struct xlate_slot *slot)
{
	return (unsigned long)slot->kva - (unsigned long)slot->gpa;
}

static unsigned long slot_word(const struct xlate_slot *slot)
{
	/* A digit for each access, and no loop, since most of a load is writing words. */
	unsigned long bits = (07240 >> 3 * slot->access) & 7;

	return bits << (BITS_PER_LONG - 3) | slot_to_kva(slot) >> 3;
}

static bool slot_has_word(const struct xlate_slot *slot)
{
	return !(slot_to_kva(slot) & 7);
}

/*
 * Names 2^order slots from @first on, among them the last that starts at or
 * below any address of the bucket; fewer at the end of the table.
 */
static unsigned long slots_word(unsigned int first, unsigned int order)
{
	return first << 5 | order;
}

/*@
 * logic integer word_first(integer word) = word >> 5;
 * logic integer word_count(integer word) = (word & 31) > 2 ? 1 << (word & 31) : 4;
 */

/*@
 * assigns \nothing;
 * ensures \result == word_first(word);
 */
static unsigned long slots_word_first(unsigned long word)
{
	return word >> 5;
}

/*@
 * assigns \nothing;
 * ensures \result == (word & 31) && \result <= 31;
 */
static unsigned int slots_word_order(unsigned long word)
{
	return word & 31;
}

/* No table has more words. */
#define NODE_PLACES	BIT(22)

/*
 * Names a node of buckets of 2^@shift bytes, of which that at @low has words[@place]:
 * by where bucket number 0 would have its word.
 */
static unsigned long node_word(unsigned long place, unsigned int shift, u64 low)
{
	return WORD_NODE | (place - (unsigned long)(low >> shift)) % NODE_PLACES << 6 | shift;
}

static unsigned int node_word_shift(unsigned long word)
{
	return word & 63;
}

/* Where in the words that of the bucket with @gpa is, which must be in the node's. */
static unsigned long node_word_place(unsigned long word, u64 gpa)
{
	return ((word >> 6) + (unsigned long)(gpa >> node_word_shift(word))) % NODE_PLACES;
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

/* How many end there, or below. */
static u64 whole_buckets_to(u64 low, u64 gpa, unsigned int shift)
{
	return gpa > low ? (gpa - low) >> shift : 0;
}

/*
 * How many of the three slots behind @slot start at or below @gpa.  Side by side,
 * which is faster than one after the other, for nobody can guess the answer.
 */
/*@
 * requires \valid_read(slot + (1 .. 3));
 * assigns \nothing;
 * ensures \result == (slot[1].gpa <= gpa ? 1 : 0) + (slot[2].gpa <= gpa ? 1 : 0) +
 *	(slot[3].gpa <= gpa ? 1 : 0);
 */
static unsigned int slots_behind(const struct xlate_slot *slot, u64 gpa)
{
	return (slot[1].gpa <= gpa) + (slot[2].gpa <= gpa) + (slot[3].gpa <= gpa);
}

/*@
 * // The slot with @gpa, if there is one, is among those that @word names.
 * predicate names(struct virtio_mem_xlate_table *table, integer word, integer gpa) =
 *	\let first = word_first(word) < table->nr_slots ? word_first(word) : 0;
 *	(\forall integer i; 0 <= i < first ==> !in_slot(&table->slots[i], gpa)) &&
 *	(\forall integer i; 0 <= i < table->nr_slots && table->slots[i].gpa <= gpa ==>
 *		i < first + word_count(word));
 */

/*
 * The last slot that starts at or below @gpa, removed or not, as far as @word
 * knows; the first that it names if all start above.
 */
/*@
 * requires is_table(table) && names(table, word, gpa);
 * assigns \result \from table, word, gpa;
 * ensures \exists integer i; 0 <= i < table->nr_slots + NR_ENDS && \result == table->slots + i;
 * ensures \forall integer i; 0 <= i < table->nr_slots && in_slot(&table->slots[i], gpa) ==>
 *	\result == table->slots + i;
 */
static __always_inline struct xlate_slot *
table_search(const struct virtio_mem_xlate_table *table, unsigned long word, u64 gpa)
{
	unsigned long first = array_index_nospec(slots_word_first(word),
						 (unsigned long)table->nr_slots);
	struct xlate_slot *slot = &table->slots[first];

	if (slots_word_order(word) > 2) {
		unsigned long n = min(1UL << slots_word_order(word), table->nr_slots - first);

		/*@
		 * assert slot == table->slots + first && first + n <= table->nr_slots;
		 */
		/*@
		 * assert word_count(word) == 1 << (word & 31);
		 */
		/*@
		 * assert \forall integer i; 0 <= i < table->nr_slots &&
		 *	table->slots[i].gpa <= gpa ==> i < first + n;
		 */
		/*@
		 * loop invariant \exists integer p; first <= p && slot == table->slots + p &&
		 *	(p == first || slot->gpa <= gpa) && p + n <= table->nr_slots &&
		 *	(\forall integer i; 0 <= i < table->nr_slots &&
		 *		table->slots[i].gpa <= gpa ==> i < p + n);
		 * loop assigns slot, n;
		 * loop variant n;
		 */
		while (n > 4) {
			unsigned long half = n / 2;

			slot = slot[half].gpa <= gpa ? slot + half : slot;
			n -= half;
		}
	}
	/*@
	 * assert \exists integer p; first <= p <= table->nr_slots && slot == table->slots + p &&
	 *	(p == first || slot->gpa <= gpa) &&
	 *	(\forall integer i; 0 <= i < table->nr_slots && table->slots[i].gpa <= gpa ==>
	 *		i < p + 4);
	 */
	/* What is behind those @n starts above @gpa. */
	return slot + slots_behind(slot, gpa);
}

/* A word has this power of two of bytes; no bucket that is not in a node has fewer. */
#define WORD_SHIFT	(BITS_PER_LONG == 64 ? 3 : 2)

/* Deeper than this, and for no more slots than that, a search is as good as a node. */
#define NODE_DEPTH	4
#define NODE_MIN_SLOTS	8

/*
 * Ranges are about this long, as a power of two: a packet.  Proofs in which an
 * address has few bits set it to less.
 */
#ifndef RANGE_SHIFT
#define RANGE_SHIFT	10U
#endif

/*
 * The coarsest buckets, from 2^@shift bytes on, that leave at most 1/128 of the
 * bytes of slots[@first..@last] outside buckets that are wholly in a slot, or no
 * more than what ranges that leave their bucket come to: coarse ones take less
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
		/* From the end, where the large slots often are, to be done early. */
		for (i = last + 1; i-- > first; ) {
			u64 from = buckets_to(0, slots[i].gpa, shift + 1);
			u64 to = whole_buckets_to(0, slots[i].gpa + slots[i].size, shift + 1);

			step(i);
			outside += slots[i].size;
			if (from < to)
				outside -= (to - from) << (shift + 1);
			if (outside > bytes >> part)
				return shift;
		}
	}
	return shift;
}

static void fill(struct virtio_mem_xlate_table *table, unsigned long *words, unsigned long nr,
		 unsigned int shift, unsigned int first, u64 low, unsigned int depth);

/*
 * Word of the bucket of 2^@shift bytes from @low on, where slots[@first] is the last
 * to start at or below @low, or the first in any bucket, and no slot is all of it.
 * @last gets the last to start at or below its end.
 */
static unsigned long bucket_word(struct virtio_mem_xlate_table *table, unsigned int shift,
				 unsigned int first, u64 low, unsigned int depth,
				 unsigned int *last)
{
	unsigned int node = table->nr_words, others = 0, steps = 0, more, bits;

	do {
		more = slots_behind(&table->slots[first + others], low + bucket_last(shift));
		others = min(others + more, table->nr_slots - 1 - first);
		step(++steps);
	} while (more == 3 && first + others + 1 < table->nr_slots);
	*last = first + others;
	/* A search looks at four anyway. */
	if (others < NODE_MIN_SLOTS || depth == NODE_DEPTH || table->max_words - node < 2)
		return slots_word(first, ilog2(max(others, 3U)) + 1);
	bits = min3(shift, (unsigned int)ilog2((others + 1) * 5 / 4),
		    (unsigned int)ilog2(table->max_words - node));
	table->nr_words += 1U << bits;
	fill(table, &table->words[node], 1U << bits, shift - bits, first, low, depth + 1);
	return node_word(node, shift - bits, low);
}

/* Words that are written from one preemption point to the next: microseconds, too. */
#define MAX_RUN		4096

/*
 * Writes @word for the buckets from @i to @end of @nr, and returns where to go on.  How
 * many these are, if any, nobody can guess, but that they are few; so four at a time, and
 * what is too much is written again later.
 */
static __always_inline unsigned long fill_run(unsigned long *words, unsigned long nr,
					      unsigned long i, unsigned long end,
					      unsigned long word)
{
	unsigned long next = max(i, end);

	while (unlikely(i + MAX_RUN < end)) {
		unsigned long part = i + MAX_RUN;

		while (i < part)
			words[i++] = word;
		cond_resched();
	}
	if (likely(next + 4 <= nr)) {
		do {
			words[i] = word;
			words[i + 1] = word;
			words[i + 2] = word;
			words[i + 3] = word;
			i += 4;
		} while (i < end);
	} else {
		while (i < end)
			words[i++] = word;
	}
	return next;
}

/*
 * Fills @words, of @nr buckets of 2^@shift bytes from @low on, where slots[@first] is the
 * last to start at or below @low, or the first in any bucket.
 */
static void fill(struct virtio_mem_xlate_table *table, unsigned long *words, unsigned long nr,
		 unsigned int shift, unsigned int first, u64 low, unsigned int depth)
{
	const struct xlate_slot *slots = table->slots;
	unsigned long i = 0, end, pause = first;
	unsigned int n;

	for (n = first; i < nr; n++) {
		unsigned int named = n > first ? n - 1 : first;
		bool many;
		u64 high;

		if (unlikely(i + n > pause + NR_STEPS)) {
			pause = i + n;
			cond_resched();
		}
		/* Where nothing was written up to its start, inclusive, the slot before counts. */
		end = n < table->nr_slots ?
		      min_t(u64, buckets_to(low, slots[n].gpa, shift), nr) : nr;
		high = low + ((u64)end << shift) - 1;
		/* No &&: whether it is the first to start in a bucket nobody can guess. */
		many = (i < end) & (slots[named + 4].gpa <= high);
		i = fill_run(words, nr, i, end, slots_word(named, 2));
		if (many)
			words[i - 1] = bucket_word(table, shift, named, high - bucket_last(shift),
						   depth, &n);
		end = min_t(u64, whole_buckets_to(low, slots[n].gpa + slots[n].size, shift), nr);
		if (i < end && slot_has_word(&slots[n]))
			i = fill_run(words, nr, i, end, slot_word(&slots[n]));
	}
}

/*
 * A few slots far from all others must not make every bucket coarse: leave the
 * outermost one out as long as more than half of the addresses are the hole
 * beside it.  What no bucket covers is searched for among all slots.
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

/* In an array of @nr_words, the word of a bucket is where these bits of its number say. */
static unsigned long number_mask(unsigned long nr_words)
{
	return (1UL << order_base_2(nr_words)) - 1;
}

/*
 * How many words buckets of 2^@shift bytes take, @nr of them from @low on; or more
 * than there are, if where addresses lead to is not all in the table's memory.
 */
static unsigned long top_words(const struct virtio_mem_xlate_table *table, u64 low, u64 nr,
			       unsigned int shift)
{
	unsigned long mask;

	if (nr > table->max_words)
		return ULONG_MAX;
	mask = number_mask(nr);
	if (mask >= (table->bytes - sizeof(*table)) / sizeof(*table->words))
		return ULONG_MAX;
	return min(((low >> shift) & mask) + nr, mask + 1ULL);
}

/* Of no bucket. */
#define NO_WORD		0UL

/*
 * An address that no bucket covers may lead to words from @from to @to, which are of no
 * bucket.  What is there does not count, but it is loaded, so it must have been written.
 */
static void clear_words(struct virtio_mem_xlate_table *table, unsigned long from, unsigned long to)
{
	fill_run(table->words, to, from, to, NO_WORD);
}

/*@
 * assigns table->words[0 .. table->max_words - 1], table->nr_words, table->shift,
 *	table->bucket_mask, table->base, table->span, table->far_word, table->word_mask,
 *	table->word_shift;
 */
static void build_index(struct virtio_mem_xlate_table *table)
{
	unsigned int shift = WORD_SHIFT, first = 0, last = table->nr_slots - 1;
	u64 low, high, nr, place, part;

	table->far_word = slots_word(0, order_base_2(max(table->nr_slots, 1U)));
	table->nr_words = 1;
	table->words[0] = NO_WORD;	/* where there are no buckets, every address leads there */
	if (!table->nr_slots)
		return;
	leave_out_far(table->slots, &first, &last);
	low = table->slots[first].gpa;
	high = slot_last(&table->slots[last]);
	while (top_words(table, low, (high >> shift) - (low >> shift) + 1, shift) >
	       table->max_words / 16 * 13)
		shift++;
	shift = choose_shift(table->slots, shift, first, last);
	table->shift = shift;
	low &= ~bucket_last(shift);
	/* The first bucket may be so coarse that some were not far at all. */
	while (first && slot_last(&table->slots[first - 1]) >= low)
		step(--first);
	nr = ((high - low) >> shift) + 1;
	table->bucket_mask = ~bucket_last(shift);
	table->base = low;
	table->span = high - low + 1;
	table->word_shift = shift - WORD_SHIFT;
	table->word_mask = number_mask(nr) * sizeof(*table->words);
	table->nr_words = top_words(table, low, nr, shift);
	place = (low >> shift) & number_mask(nr);
	part = min(nr, number_mask(nr) + 1ULL - place);
	fill(table, &table->words[place], part, shift, first, low, 0);
	if (part < nr) {
		low += part << shift;
		first = table_search(table, slots_word(0, 31), low) - table->slots;
		fill(table, table->words, nr - part, shift, first, low, 0);
	}
	clear_words(table, nr - part, place);
	clear_words(table, table->nr_words,
		    min_t(u64, number_mask(nr) + 1ULL, table->max_words));
}

/* Are @slots, each valid, by gpa, and no byte is in two of them?  Or else -EEXIST. */
/*@
 * requires \valid_read(slots + (0 .. nr - 1)) && nr <= VIRTIO_MEM_XLATE_MAX_SLOTS;
 * requires are_valid(slots, nr);
 * assigns \nothing;
 * ensures \result == 0 ==> are_apart(slots, nr);
 * ensures \result != 0 ==> \result == -EEXIST && \exists integer i;
 *	0 < i < nr && slots[i].gpa < slots[i - 1].gpa + slots[i - 1].size;
 */
static int slots_check(const struct xlate_slot *slots, unsigned int nr)
{
	unsigned int i;

	/*@
	 * loop invariant 1 <= i;
	 * loop invariant \forall integer a, b; 0 <= a < b < i && b < nr ==>
	 *	slots[a].gpa + slots[a].size <= slots[b].gpa;
	 * loop assigns i;
	 * loop variant nr - i;
	 */
	for (i = 1; i < nr; i++) {
		if (slots[i].gpa < slots[i - 1].gpa + slots[i - 1].size)
			return -EEXIST;
		step(i);
	}
	return 0;
}

/* Ends @slots; there must be room. */
/*@
 * requires \valid(slots + (nr .. nr + NR_ENDS - 1)) && nr <= VIRTIO_MEM_XLATE_MAX_SLOTS;
 * assigns slots[nr .. nr + NR_ENDS - 1];
 * ensures \forall integer i; nr <= i < nr + NR_ENDS ==>
 *	slots[i].gpa == U64_MAX && slots[i].size == 0;
 */
static void slots_end(struct xlate_slot *slots, unsigned int nr)
{
	unsigned int i;

	/*@
	 * loop invariant nr <= i <= nr + NR_ENDS;
	 * loop invariant \forall integer k; nr <= k < i ==>
	 *	slots[k].gpa == U64_MAX && slots[k].size == 0;
	 * loop assigns i, slots[nr .. nr + NR_ENDS - 1];
	 * loop variant nr + NR_ENDS - i;
	 */
	for (i = nr; i < nr + NR_ENDS; i++) {
		slots[i].gpa = U64_MAX;
		slots[i].size = 0;
		slots[i].kva = NULL;	/* for a processor that runs ahead */
		slots[i].access = 0;
		slots[i].removed = 0;
	}
}

/* Makes the slots that were filled in, by gpa, searchable, or says why they are no table. */
/*@
 * requires \valid(table) && table->nr_slots <= VIRTIO_MEM_XLATE_MAX_SLOTS;
 * requires \valid(table->slots + (0 .. table->nr_slots + NR_ENDS - 1));
 * requires \separated(table, table->slots + (0 .. table->nr_slots + NR_ENDS - 1),
 *	table->words + (0 .. table->max_words - 1));
 * requires are_valid(table->slots, table->nr_slots);
 * ensures \result == 0 ==> are_valid(table->slots, table->nr_slots);
 * ensures \result == 0 ==> are_apart(table->slots, table->nr_slots);
 * ensures \result == 0 ==> \forall integer i;
 *	table->nr_slots <= i < table->nr_slots + NR_ENDS ==>
 *		table->slots[i].gpa == U64_MAX && table->slots[i].size == 0;
 */
static int table_seal(struct virtio_mem_xlate_table *table)
{
	int err = slots_check(table->slots, table->nr_slots);

	if (err)
		return err;
	slots_end(table->slots, table->nr_slots);
	build_index(table);
	return 0;
}

/* The generation that a reader who starts now is to see. */
static u32 table_generation(const struct virtio_mem_xlate_table *table)
{
	/*
	 * Pairs with smp_store_release() in table_remove(): whoever sees a
	 * generation also sees the slot that it removed as removed.
	 */
	return smp_load_acquire(&table->generation);
}

/*
 * The guest chooses addresses, so a processor that runs ahead of a check runs
 * ahead with the guest's choice (Spectre v1).  What is read here is therefore
 * clamped to what is there, branch or no branch: a word read as what it is not
 * leads to a slot all the same, and a pointer into a slot stays in it.
 */

/* Word of the largest bucket with @gpa. */
static unsigned long top_word(const struct virtio_mem_xlate_table *table, u64 gpa)
{
	return __virtio_mem_xlate_top_word(table, __virtio_mem_xlate_word(table, gpa),
					   __virtio_mem_xlate_covers(table, gpa));
}

/*
 * Word of the smallest bucket with @gpa, where @word is that of the largest, and
 * how many bytes it has behind @gpa.
 */
static __always_inline unsigned long
table_word(const struct virtio_mem_xlate_table *table, unsigned long word, u64 gpa, u64 *behind)
{
	unsigned int shift = table->shift;

	while (word_is_node(word)) {
		unsigned long node = array_index_mask_nospec(word - WORD_NODE,
							     WORD_SLOT - WORD_NODE);

		shift = node_word_shift(word);
		/* 0 is slots[0]'s; words[0] might be of a slot, which @gpa need not be in. */
		word = READ_ONCE(table->words[node_word_place(word, gpa) & node]) & node;
	}
	*behind = ~gpa & bucket_last(shift);
	return word;
}

/*
 * Less than @slot->removed if @slot is in the table as of @generation and allows @access:
 * each missing access is a bit at or above SLOT_LIVE, so that one comparison, and one mask
 * against speculation, is for both.
 */
static unsigned long slot_state(const struct xlate_slot *slot, u32 generation,
				unsigned int access)
{
	return generation | (unsigned long)(access & ~slot->access) << 30;
}

/*
 * Clamped as KVM's __gfn_to_hva_memslot() does.  The portable form of the mask
 * is 0 for a size above LONG_MAX whatever the offset; half the address space is
 * nobody's memory, so such a slot does without.
 */
static void *slot_kva(const struct xlate_slot *slot, size_t offset)
{
	size_t size = slot->size;
	size_t huge = (ssize_t)size < 0 ? SIZE_MAX : 0;

	return slot->kva + (offset & (array_index_mask_nospec(offset, size) | huge));
}

/*
 * Where @slot has the byte at @gpa, and how many it has from there on.  0 or -errno.
 * Under speculation, past the branches, @kva is in a slot that is there and allows
 * @access, or NULL.
 */
static __always_inline int slot_byte(const struct xlate_slot *slot, u32 generation, u64 gpa,
				     unsigned int access, void **kva, u64 *bytes)
{
	unsigned long state = slot_state(slot, generation, access);
	unsigned long removed = READ_ONCE(slot->removed);
	u64 offset = gpa - slot->gpa;

	*kva = (void *)((unsigned long)slot_kva(slot, offset) &
			array_index_mask_nospec(state, removed));
	*bytes = slot->size - offset;
	if (offset >= slot->size)
		return -EFAULT;
	if (state >= removed)
		return removed <= generation ? -EFAULT : -EPERM;
	return 0;
}

/* The slot with the byte at @gpa, or where there is none another. */
static const struct xlate_slot *table_slot(const struct virtio_mem_xlate_table *table, u64 gpa)
{
	u64 behind;
	unsigned long word = table_word(table, top_word(table, gpa), gpa, &behind);

	/* Of a bucket in a slot the word does not say in which. */
	return table_search(table, word_is_slot(word) ? slots_word(0, 31) : word, gpa);
}

/*
 * Makes no word of [@low, @high], cut into buckets of 2^@shift bytes that have
 * theirs from words[@offset] on, say any more that its bucket is in slots[@i].
 */
static void take_out(struct virtio_mem_xlate_table *table, unsigned int offset, unsigned int shift,
		     u64 low, u64 high, unsigned int i)
{
	const struct xlate_slot *slot = &table->slots[i];
	u64 from = max(slot->gpa, low), to = min(slot_last(slot), high), bucket;
	unsigned long mask;

	if (from > to)
		return;
	mask = number_mask(((high - low) >> shift) + 1);
	for (bucket = from >> shift; bucket <= to >> shift; bucket++) {
		unsigned long *word = &table->words[offset + (bucket & mask)];
		u64 bucket_low = bucket << shift;

		step(bucket);
		if (word_is_node(*word))
			take_out(table, node_word_place(*word, bucket_low), node_word_shift(*word),
				 bucket_low, bucket_low + bucket_last(shift), i);
		else if (word_is_slot(*word))
			WRITE_ONCE(*word, slots_word(i, 0));
	}
}

/*
 * From the next generation on there is no slot in [@gpa, @gpa + @size), which begins
 * with a slot and ends with one.  Readers may be looking: those of an earlier
 * generation see no difference, and all slots go with one generation.
 */
static int table_remove(struct virtio_mem_xlate_table *table, u64 gpa, u64 size)
{
	struct xlate_slot *first, *last, *slot;
	unsigned int nr = 0;
	u64 high;

	if (!size || check_add_overflow(gpa, size - 1, &high))
		return -ENOENT;
	first = table_search(table, slots_word(0, 31), gpa);
	last = table_search(table, slots_word(0, 31), high);
	if (first->gpa != gpa || first->removed != SLOT_LIVE ||
	    slot_last(last) != high || last->removed != SLOT_LIVE)
		return -ENOENT;
	for (slot = first; slot <= last; slot++) {
		step(slot - first);
		if (slot->removed != SLOT_LIVE)
			continue;
		take_out(table, 0, table->shift, table->base, table->base + table->span - 1,
			 slot - table->slots);
		WRITE_ONCE(slot->removed, table->generation + 1);
		nr++;
	}
	/* Pairs with smp_load_acquire() in table_generation(). */
	smp_store_release(&table->generation, table->generation + 1);
	table->nr_live -= nr;
	return 0;
}

/*@
 * assigns \nothing;
 * ensures \result == (1 <= access <= 3 ? 0 : -EINVAL);
 */
static int access_validate(unsigned int access)
{
	return access && access <= VIRTIO_MEM_XLATE_RW ? 0 : -EINVAL;
}

/*@
 * assigns \nothing;
 * ensures \result == (driver.start + driver.len > U64_MAX ? -EOVERFLOW : 0);
 */
static int driver_range_validate(struct virtio_driver_range driver)
{
	u64 end;

	return check_add_overflow(driver.start, driver.len, &end) ? -EOVERFLOW : 0;
}

/*
 * The longest leading piece of @driver that is contiguous and allows @access; @driver is
 * moved past it.  @driver and @access must be valid, and @slot as table_slot() says for
 * @driver's start, or as the last call of this left it: the slots are in order, so it is
 * looked up once and the walk goes on from there.
 *
 * 1 with @device, 0 if @driver is empty, or -errno for its first byte.
 */
static __always_inline int
table_next(const struct virtio_mem_xlate_view *view, const struct xlate_slot **slot,
	   struct virtio_driver_range *driver, unsigned int access,
	   struct virtio_device_range *device)
{
	const struct xlate_slot *at = *slot;
	void *kva;
	u64 len;
	int err;

	if (!driver->len)
		return 0;
	err = slot_byte(at, view->generation, driver->start, access, &kva, &len);
	if (err)
		return err;
	while (len < driver->len) {
		at++;
		/* No pointer comes of it, so branches will do. */
		if (at->kva != kva + len || at->gpa != driver->start + len ||
		    slot_state(at, view->generation, access) >= READ_ONCE(at->removed))
			break;
		len += at->size;
	}
	*slot = at;
	len = min(len, driver->len);
	*device = virtio_device_range_new(kva, len, access);
	driver->start += len;
	driver->len -= len;
	return 1;
}

#endif /* _VIRTIO_MEM_XLATE_TABLE_H */
