// SPDX-License-Identifier: GPL-2.0
/*
 * A layout: how the regions of a VMM lie in blocks, as an array of spans.
 *
 *	blocks		|  0..2 MiB  |  2..4 MiB  |  4..6 MiB  |
 *	a region	      ---------------------------
 *	its spans	      ------ ------------ ------
 *
 * A span is a slot of the table.  Where a page of a block is bad, its spans end: the bad
 * pages are a span of their own, which has no slot.
 *
 * A layout is made, attached to blocks, filled, and becomes the current one.  When
 * another has taken its place, it is detached once no view and no hold reaches it.
 */
#include <linux/bitmap.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "user.h"

/* A block that is invalidated makes that many slots absent. */
#define MAX_SPANS	1024U

/* The block of the byte at @uaddr of @region. */
struct block_key xlate_block_key(const struct region *region, u64 uaddr, bool contiguous)
{
	struct block_key key = {
		.start = ALIGN_DOWN((unsigned long)uaddr, BLOCK_PAGES << PAGE_SHIFT),
		.nr_pages = BLOCK_PAGES,
		.access = region->access,
	};

	if (contiguous) {
		key.start = region->uaddr & PAGE_MASK;
		key.nr_pages = (PAGE_ALIGN(region->uaddr + region->size) - key.start) >> PAGE_SHIFT;
	}
	return key;
}

/* The pages from @first on, at most up to @last, that are as bad as @first. */
static unsigned long run_of_bad(const struct block *block, unsigned long first,
				unsigned long last, bool *bad)
{
	unsigned long end;

	*bad = block && test_bit(first, block->bad);
	if (!block)
		return last - first + 1;
	end = *bad ? find_next_zero_bit(block->bad, last + 1, first) :
		     find_next_bit(block->bad, last + 1, first);
	return end - first;
}

/* Cuts the part of @region in block @key from @uaddr on.  Spans that have no room are counted. */
static void cut_block(struct layout *layout, unsigned int room, const struct region *region,
		      const struct block_key *key, u64 uaddr, u64 size)
{
	struct block *block = NULL;

	if (atomic_long_read(&layout->map->space->nr_bad))
		block = xlate_block_find(layout->map->space, key);
	if (block)
		mutex_lock(&block->lock);
	while (size) {
		unsigned long first = (uaddr - key->start) >> PAGE_SHIFT;
		unsigned long last = (uaddr + size - 1 - key->start) >> PAGE_SHIFT;
		struct span span = {
			.layout = layout,
			.gpa = region->gpa + (uaddr - region->uaddr),
			.key = *key,
			.first = first,
			.offset = offset_in_page(uaddr),
		};

		span.nr_pages = run_of_bad(block, first, last, &span.bad);
		span.size = min(size, ((u64)span.nr_pages << PAGE_SHIFT) - span.offset);
		layout->has_bad |= span.bad;
		if (layout->nr < room)
			layout->spans[layout->nr] = span;
		layout->nr++;
		uaddr += span.size;
		size -= span.size;
	}
	if (block) {
		mutex_unlock(&block->lock);
		xlate_block_put(block);
	}
}

/* Cuts all regions into spans, of which there is @room for so many, and counts them. */
static void cut_map(struct layout *layout, unsigned int room)
{
	bool contiguous = layout->user->flags & VIRTIO_MEM_XLATE_USER_CONTIGUOUS;
	unsigned int i;

	layout->nr = 0;
	layout->has_bad = false;
	for (i = 0; i < layout->map->nr; i++) {
		const struct region *region = &layout->map->regions[i];
		u64 uaddr = region->uaddr, end = uaddr + region->size, size;

		for (; uaddr < end && layout->nr <= VIRTIO_MEM_XLATE_MAX_SLOTS; uaddr += size) {
			struct block_key key = xlate_block_key(region, uaddr, contiguous);

			size = min(end, (u64)key.start + (key.nr_pages << PAGE_SHIFT)) - uaddr;
			cut_block(layout, room, region, &key, uaddr, size);
			cond_resched();
		}
	}
}

static int cmp_span(const void *a, const void *b)
{
	cond_resched();
	return xlate_cmp_key(&((const struct span *)a)->key, &((const struct span *)b)->key);
}

/* sort() costs the same for what is sorted, and a map is, but for regions that overlap. */
static void sort_spans(struct layout *layout)
{
	unsigned int i;

	for (i = 1; i < layout->nr; i++) {
		if (cmp_span(&layout->spans[i - 1], &layout->spans[i]) > 0) {
			sort(layout->spans, layout->nr, sizeof(layout->spans[0]), cmp_span, NULL);
			return;
		}
	}
}

/* The number of spans from @first on in the same block. */
unsigned int xlate_layout_run(const struct layout *layout, unsigned int first)
{
	unsigned int n = 1;

	while (first + n < layout->nr &&
	       !xlate_cmp_key(&layout->spans[first].key, &layout->spans[first + n].key))
		n++;
	return n;
}

static int check_runs(const struct layout *layout)
{
	unsigned int i, n;

	if (layout->nr > VIRTIO_MEM_XLATE_MAX_SLOTS)
		return -ENOSPC;
	for (i = 0; i < layout->nr; i += n) {
		n = xlate_layout_run(layout, i);
		if (n > MAX_SPANS)
			return -ENOSPC;
		cond_resched();
	}
	return 0;
}

/* A layout that is not attached, with a reference to @map, or an ERR_PTR. */
struct layout *xlate_layout_new(struct virtio_mem_xlate_user *user, struct memory_map *map)
{
	struct layout count = { .user = user, .map = map }, *layout;
	int err;

	do {
		cut_map(&count, 0);
		if (count.nr > VIRTIO_MEM_XLATE_MAX_SLOTS)
			return ERR_PTR(-ENOSPC);
		layout = kvzalloc(struct_size(layout, spans, count.nr), GFP_KERNEL_ACCOUNT);
		if (!layout)
			return ERR_PTR(-ENOMEM);
		refcount_set(&layout->refs, 1);
		refcount_set(&layout->memory, 1);
		init_completion(&layout->detached);
		layout->user = user;
		layout->map = xlate_map_get(map);
		cut_map(layout, count.nr);
		if (layout->nr <= count.nr)
			break;
		/* A page has become bad meanwhile. */
		layout->nr = 0;
		xlate_layout_free(layout);
		layout = NULL;
	} while (!layout);
	sort_spans(layout);
	err = check_runs(layout);
	if (err) {
		xlate_layout_free(layout);
		return ERR_PTR(err);
	}
	return layout;
}

/* Drops a reference to the memory of @layout; without the last, @layout is not attached. */
void xlate_layout_free(struct layout *layout)
{
	if (!refcount_dec_and_test(&layout->memory))
		return;
	xlate_map_put(layout->map);
	kvfree(layout);
}

static int attach_run(struct layout *layout, unsigned int first, unsigned int n, bool all)
{
	struct memory_map *map = layout->map;
	unsigned int i;

	for (i = first; i < first + n; i++) {
		struct span *span = &layout->spans[i];
		struct block *block;

		if (span->block)
			continue;
		block = all ? xlate_block_get(map->space, &span->key, map->account) :
			      xlate_block_find(map->space, &span->key);
		if (IS_ERR_OR_NULL(block))
			return PTR_ERR_OR_ZERO(block);
		xlate_block_attach(block, span);
	}
	return 0;
}

/* Attaches the spans to @all their blocks, or only to those that exist. */
int xlate_layout_attach(struct layout *layout, bool all)
{
	unsigned int i, n;
	int err;

	for (i = 0; i < layout->nr; i += n) {
		n = xlate_layout_run(layout, i);
		err = attach_run(layout, i, n, all);
		if (err)
			return err;
		cond_resched();
	}
	return 0;
}

/* Attaches the spans in one block, under the table's @update. */
int xlate_layout_attach_block(struct layout *layout, const struct block_key *key)
{
	unsigned int first = 0, last = layout->nr, middle;

	while (first < last) {
		middle = first + (last - first) / 2;
		if (xlate_cmp_key(&layout->spans[middle].key, key) < 0)
			first = middle + 1;
		else
			last = middle;
	}
	if (first == layout->nr || xlate_cmp_key(&layout->spans[first].key, key))
		return 0;
	return attach_run(layout, first, xlate_layout_run(layout, first), true);
}

/* Detaches all spans.  The blocks give up the pages that only these have needed. */
void xlate_layout_detach(struct layout *layout)
{
	unsigned int i, k, n;

	for (i = 0; i < layout->nr; i += n) {
		struct block *block = layout->spans[i].block;

		n = xlate_layout_run(layout, i);
		if (!block)
			continue;
		for (k = i; k < i + n; k++) {
			if (!layout->spans[k].block)
				continue;
			xlate_block_detach(block, &layout->spans[k]);
			layout->spans[k].block = NULL;
			if (k > i)
				xlate_block_put(block);
		}
		if (!list_empty(&block->spans))
			xlate_block_trim(block);
		xlate_block_put(block);
		cond_resched();
	}
}
