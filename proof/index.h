/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Is the index of a table right for every address there is?  Looks at each entry,
 * not at samples: what an entry says of its bucket is compared with the slots.
 */
#ifndef PROOF_INDEX_H
#define PROOF_INDEX_H

/* A complete table of the live slots of @base, if any, and @slots. */
static inline struct virtio_mem_xlate_table *
make_table(const struct virtio_mem_xlate_table *base, const struct virtio_mem_xlate_slot *slots,
	   unsigned int nr_slots)
{
	struct virtio_mem_xlate_table *table = table_create(base ? base->nr_live : 0, slots, nr_slots);
	int err = IS_ERR(table) ? 0 : table_complete(table, base,
							    base ? base->generation : 0, nr_slots);

	if (err)
		table_free(table);
	return err ? ERR_PTR(err) : table;
}

/* The last slot that starts at or below @gpa, or -1. */
static inline long last_slot(const struct virtio_mem_xlate_table *table, u64 gpa)
{
	long low = -1, high = table->nr_slots, middle;

	while (high - low > 1) {
		middle = (low + high) / 2;
		if (table->slots[middle].gpa <= gpa)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* With buckets for more than half of all addresses, a 32-bit host takes far_entry for some. */
static inline bool has_direct_entries(const struct virtio_mem_xlate_table *table)
{
#if __SIZEOF_LONG__ == 4
	return table->span && !((table->span - 1) >> 63);
#else
	return table->span;
#endif
}

/* Bytes of slots[@first..@last]: all, and those in no bucket of 2^@shift which is all theirs. */
static inline wide outside(const struct virtio_mem_xlate_table *table, unsigned int shift,
			   unsigned int first, unsigned int last, wide *bytes)
{
	wide size = (wide)1 << shift, left = 0, low, high, inside;
	unsigned int i;

	*bytes = 0;
	for (i = first; i <= last; i++) {
		low = table->slots[i].gpa;
		high = low + table->slots[i].size;
		*bytes += high - low;
		inside = (low + size - 1) >> shift << shift;
		left += high - low;
		if (inside < high >> shift << shift)
			left -= (high >> shift << shift) - inside;
	}
	return left;
}

/* The coarsest that virtio_mem_xlate_table.h promises, from 2^@shift on. */
static inline unsigned int coarsest(const struct virtio_mem_xlate_table *table,
				    unsigned int shift, unsigned int first, unsigned int last)
{
	wide bytes;

	while (shift + 1 < BITS_PER_LONG_LONG &&
	       outside(table, shift + 1, first, last, &bytes) <=
		       bytes >> (shift < RANGE_SHIFT ? 0 : min(shift + 1 - RANGE_SHIFT, 7U)))
		shift++;
	return shift;
}

/* Into as many buckets as there are slots, and a quarter, or as there was room for. */
static inline unsigned int cut(const struct virtio_mem_xlate_table *table, unsigned long place,
			       unsigned int shift, unsigned int first, unsigned int last)
{
	return shift - min3(shift, (unsigned int)ilog2((last - first + 1) * 5 / 4),
			    (unsigned int)ilog2(table->max_entries - place));
}

static unsigned int entries_seen;

static inline const char *entry_wrong(const struct virtio_mem_xlate_table *table,
				     unsigned long entry, u64 low, u64 high,
				     unsigned int shift, unsigned int depth)
{
	long first = last_slot(table, low), last = last_slot(table, high), named, count;
	long first_named = first < 0 ? 0 : first, starting = last - first_named + 1;
	const struct xlate_slot *slot = &table->slots[first < 0 ? 0 : first];
	const char *wrong = NULL;
	unsigned long i, nr, place;
	void *kva;
	u64 behind;

	entries_seen++;
	if (depth < 8 && !entry_is_node(entry) && low - table->base < table->span &&
	    has_direct_entries(table) &&
	    (leaf_entry(table, top_entry(table, low), low, &behind) != entry ||
	     behind != high - low))
		return "index: lookups find another entry";
	if (entry_is_direct(entry)) {
		/* Of a young slot, or one that became absent, it would answer all views. */
		if (first < 0 || slot->until != SLOT_LIVE || !(slot->state & 3) || low - slot->gpa >= slot->size ||
		    high - slot->gpa >= slot->size)
			return "index: bucket said to be in a slot is not";
		for (i = 1; i <= 3; i++)
			if (__virtio_mem_xlate_direct_kva(entry, ULONG_MAX, i, low, &kva) !=
			    ((slot_access(slot) & i) == i))
				return "index: bucket with another access than its slot";
			else if ((uintptr_t)kva != ((slot_access(slot) & i) != i ? 0 :
				 (uintptr_t)slot->kva + (uintptr_t)(low - slot->gpa)))
				return "index: bucket leads elsewhere than its slot";
		return NULL;
	}
	if (entry_is_node(entry)) {
		if (depth >= NODE_DEPTH || node_shift(entry) >= shift)
			return "index: node too deep";
		if (starting <= NODE_MIN_SLOTS)
			return "index: node for few slots";
		nr = 1UL << (shift - node_shift(entry));
		place = node_place(entry, low);
		if (!place || place + nr > table->nr_entries)
			return "index: node outside the entries";
		if (node_shift(entry) != cut(table, place, shift, first_named, last) &&
		    (low - slot->gpa < slot->size ||	/* one that ended below may count */
		     node_shift(entry) != cut(table, place, shift, first_named + 1, last)))
			return "index: node cut otherwise than promised";
		for (i = 0; i < nr && !wrong; i++) {
			u64 from = low + ((u64)i << node_shift(entry));

			if (node_place(entry, from) != place + i)
				return "index: node's entries not in a row";
			wrong = entry_wrong(table, table->entries[place + i], from,
					   from + bucket_last(node_shift(entry)),
					   node_shift(entry), depth + 1);
		}
		return wrong;
	}
	if (depth < 8 && first >= 0 && slot->until == SLOT_LIVE && slot_is_direct(slot) &&
	    low - slot->gpa < slot->size && high - slot->gpa < slot->size)
		return "index: bucket in a slot does not say so";
	named = search_first(entry);
	count = 1L << search_order(entry);
	if (count < 4)
		count = 4;	/* four are always looked at */
	if (table->nr_slots && named >= table->nr_slots)
		return "index: entry names no slot";
	/* What starts below but ends there, too, need not be named. */
	if (first < 0 || (named == first + 1 && low - slot->gpa >= slot->size))
		first++;
	if (last >= 0 && (named > first || last >= named + count))
		return "index: entry does not name the slots of its bucket";
	/* One that ended below may have been counted. */
	if (depth < NODE_DEPTH && starting - (low - slot->gpa >= slot->size) > NODE_MIN_SLOTS &&
	    table->max_entries - table->nr_entries >= 2)
		return "index: no node, and room for one";
	if (named < first_named)
		return "index: entry names slots before its bucket";
	if (search_order(entry) > 2 && named + (1L << (search_order(entry) - 1)) > last)
		return "index: entry names slots that it need not";
	return NULL;
}

/* A power of two of entries from entries[0] on is where the numbers of @nr buckets lead to. */
static inline u64 window(wide nr)
{
	u64 entries = 1;

	while (entries < nr)
		entries *= 2;
	return entries;
}

/* Of these, up to the last that @nr buckets of 2^@shift bytes from @low on use. */
static inline u64 window_used(u64 low, wide nr, unsigned int shift)
{
	u64 first = (low >> shift) % window(nr);

	return first + nr > window(nr) ? window(nr) : (u64)(first + nr);
}

/* What is wrong with @table, or NULL. */
static inline const char *index_wrong(const struct virtio_mem_xlate_table *table)
{
	u64 i, low, nr = table->span ? ((table->span - 1) >> table->shift) + 1 : 0;
	u64 used = nr ? window_used(table->base, nr, table->shift) : 1;
	const char *wrong = NULL;

	if (table->nr_entries > table->max_entries || table->nr_entries < used)
		return "index: more entries than there is room for";
	if (table->span && (table->base & ~table->bucket_mask ||
			    table->bucket_mask != ~bucket_last(table->shift)))
		return "index: base, span and mask do not fit";
	if ((char *)(table->entries + window(nr)) >
	    (char *)(table->slots + table->nr_slots + NR_ENDS) ||
	    table->entry_mask != (window(nr) - 1) * sizeof(*table->entries))
		return "index: entries beyond the table";
	/* The first bucket names none that was left out below it. */
	if (nr) {
		unsigned long entry = table->entries[(table->base >> table->shift) % window(nr)];

		if (!entry_is_direct(entry) && !entry_is_node(entry) &&
		    slot_last(&table->slots[search_first(entry)]) < table->base)
			return "index: first bucket names a slot below it";
	}
	entries_seen = 0;
	wrong = entry_wrong(table, table->far_entry, 0, U64_MAX, BITS_PER_LONG_LONG, 8);
	for (i = 0; i < nr && !wrong; i++) {
		low = table->base + (i << table->shift);
		if (low != table->base + ((wide)i << table->shift))
			return "index: buckets beyond the last address";
		wrong = entry_wrong(table, table->entries[(low >> table->shift) % window(nr)], low,
				   low + bucket_last(table->shift), table->shift, 0);
	}
	/* One was not in @entries, and some there may be of no bucket. */
	if (!wrong && entries_seen - 1 + used - nr != table->nr_entries)
		return "index: entries that nothing leads to";
	return wrong;
}

/* Are the buckets those that virtio_mem_xlate_table.h promises?  Of speed, not of answers. */
static inline const char *shape_wrong(const struct virtio_mem_xlate_table *table)
{
	const struct xlate_slot *slots = table->slots;
	unsigned int first = 0, last = table->nr_slots - 1, shift = ENTRY_SHIFT;
	wide low, high, nr;

	if (!table->nr_slots)
		return table->span || table->nr_entries != 1 ? "index: of an empty table" : NULL;
	while (first < last) {
		high = slot_last(&slots[last]) - slots[first].gpa;
		if ((wide)(slots[last].gpa - slot_last(&slots[last - 1])) * 2 > high)
			last--;
		else if ((wide)(slots[first + 1].gpa - slot_last(&slots[first])) * 2 > high)
			first++;
		else
			break;
	}
	low = slots[first].gpa;
	high = slot_last(&slots[last]);
	for (;; shift++) {
		nr = (high >> shift) - (low >> shift) + 1;
		if (nr <= table->max_entries &&
		    window(nr) <= table->max_entries + (table->nr_slots + NR_ENDS) *
				  (sizeof(struct xlate_slot) / sizeof(*table->entries)) &&
		    window_used(low, nr, shift) <= table_max_entries(table->nr_slots) / 16 * 13)
			break;
	}
	shift = coarsest(table, shift, first, last);
	low = low >> shift << shift;
	if (table->shift != shift || table->base != low || table->span != high - low + 1)
		return "index: other buckets than promised";
	return NULL;
}

static inline unsigned long index_nodes(const struct virtio_mem_xlate_table *table)
{
	unsigned long i, n = 0;

	for (i = 0; i < table->nr_entries; i++)
		n += entry_is_node(table->entries[i]);
	return n;
}

#endif
