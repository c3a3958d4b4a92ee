// SPDX-License-Identifier: GPL-2.0
/*
 * A block: up to 2 MiB of a process's address space, pinned, mapped, and lost together.
 *
 *	block --> mapping: pages and their kernel address
 *	  |          ^
 *	spans -- leases		a slot of a table, and what it reads
 *
 * To gain pages a block makes another mapping, which takes over those of the mapping of
 * before, so that its readers are not disturbed.  A mapping keeps the pages that the process
 * has lost until its last reader has gone, and unpins them then.  The readers of a
 * mapping are its leases, and the mapping of before while that has readers, since it
 * maps the same pages.
 *
 * The MMU notifier of a block runs before the process loses a page.  It makes all slots
 * of the block absent in all tables, in place, and passes their leases on to
 * virtio_mem_xlate_call().  The pages that the process keeps stay pinned, for the next
 * mapping.
 *
 * xlate_block_update() pins without a lock, as a page fault may wait for ever, and
 * begins again if the notifier has run meanwhile.
 */
#include <linux/bitmap.h>
#include <linux/err.h>
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "user.h"

/* What a mapping has in the place of a page, or adds to a page. */
#define LOST		1UL	/* of the process no more: to be unpinned */
#define UNNEEDED	2UL	/* no span needs it any more */
#define GONE		((struct page *)LOST)	/* was unneeded, and is unpinned */
#define BAD		((struct page *)4UL)	/* of an update: the process cannot access it */
#define TAGS		(LOST | UNNEEDED)

/* Updates that find the block changed, before one without a layout gives up. */
#define MAX_TRIES	8

/* Pages looked at between two preemption points. */
#define BATCH		512

struct mapping {
	struct block *block;
	refcount_t refs;
	atomic_t readers;
	struct mapping *next;		/* which this one is a reader of */
	void *kva;
	unsigned long first;		/* page of the block that is at @kva */
	unsigned long nr_pages;
	unsigned long *ranks;		/* how many pages are before each BATCHth of the block */
	bool dense;			/* pages @first to @first + @nr_pages - 1 */
	bool trimmed;			/* some of these are gone */
	bool valid;			/* under the block's lock: it has lost nothing */
	struct work_struct reap;
	struct page **pages;		/* for each page of the block, or NULL */
	unsigned long *fresh;		/* of an update: bit for each page that it pins */
};

static bool has_tag(const struct page *page, unsigned long tag)
{
	return (uintptr_t)page & tag;
}

static struct page *untag(struct page *page)
{
	return (struct page *)((uintptr_t)page & ~TAGS);
}

static struct page *tag(struct page *page, unsigned long tag)
{
	return (struct page *)((uintptr_t)page | tag);
}

static bool is_live(const struct page *page)
{
	return page && !has_tag(page, TAGS);
}

/* Of hugetlb, memory_failure() marks the first page alone. */
static bool is_poisoned(struct page *page)
{
	return PageHWPoison(page) || (PageHuge(page) && PageHWPoison(compound_head(page)));
}

static void reap_work(struct work_struct *work);

static struct mapping *mapping_new(struct block *block)
{
	struct mapping *mapping;

	mapping = kzalloc(sizeof(*mapping), GFP_KERNEL_ACCOUNT);
	if (!mapping)
		return NULL;
	mapping->pages = kvcalloc(block->key.nr_pages, sizeof(*mapping->pages),
				  GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	mapping->fresh = bitmap_zalloc(block->key.nr_pages, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!mapping->pages || !mapping->fresh) {
		kvfree(mapping->pages);
		bitmap_free(mapping->fresh);
		kfree(mapping);
		return NULL;
	}
	mapping->block = block;
	refcount_inc(&block->refs);
	refcount_set(&mapping->refs, 1);
	INIT_WORK(&mapping->reap, reap_work);
	return mapping;
}

static void mapping_put(struct mapping *mapping)
{
	struct block *block = mapping->block;

	if (!refcount_dec_and_test(&mapping->refs))
		return;
	kvfree(mapping->ranks);
	kvfree(mapping->pages);
	bitmap_free(mapping->fresh);
	kfree(mapping);
	if (refcount_dec_and_test(&block->refs))
		xlate_block_free(block);
}

/* In process context of its own: an MMU notifier runs under locks that unpinning takes. */
static void mapping_reap(struct mapping *mapping)
{
	refcount_inc(&mapping->refs);
	if (!queue_work(xlate_workqueue, &mapping->reap))
		mapping_put(mapping);
}

static void drop_reader(struct mapping *mapping)
{
	if (atomic_dec_and_test(&mapping->readers))
		mapping_reap(mapping);
}

static void unpin(struct block *block, struct page **pages, unsigned int n)
{
	unpin_user_pages_dirty_lock(pages, n, block->key.access & VIRTIO_MEM_XLATE_WRITE);
	xlate_uncharge(block->account, n);
}

/* Without readers: unmaps what nobody will read any more, and unpins what was lost. */
static void reap_work(struct work_struct *work)
{
	struct mapping *mapping = container_of(work, struct mapping, reap), *next = NULL;
	struct block *block = mapping->block;
	struct page *pages[32];
	unsigned long i = 0;
	unsigned int n;
	void *kva;

	do {
		kva = NULL;
		n = 0;
		mutex_lock(&block->lock);
		if (!atomic_read(&mapping->readers) &&
		    (mapping != block->mapping || !mapping->valid)) {
			swap(kva, mapping->kva);
			for (; n < ARRAY_SIZE(pages) && i < block->key.nr_pages; i++) {
				if (!has_tag(mapping->pages[i], LOST) ||
				    mapping->pages[i] == GONE)
					continue;
				pages[n++] = untag(mapping->pages[i]);
				mapping->pages[i] = NULL;
			}
			if (mapping != block->mapping)
				swap(next, mapping->next);
		}
		mutex_unlock(&block->lock);
		if (kva)
			xlate_unmap_pages(kva);
		unpin(block, pages, n);
		if (next) {
			drop_reader(next);
			mapping_put(next);
			next = NULL;
		}
		cond_resched();
	} while (n);
	mapping_put(mapping);
}

/*
 * Leases
 */

void xlate_lease_drop(struct lease *lease)
{
	struct mapping *mapping = lease->mapping;

	kfree(lease);
	drop_reader(mapping);
	mapping_put(mapping);
}

static void lease_end(struct virtio_mem_xlate_callback *callback)
{
	xlate_lease_drop(container_of(callback, struct lease, callback));
}

static void leases_free(struct lease *leases)
{
	struct lease *lease;

	while ((lease = leases)) {
		leases = lease->next;
		kfree(lease);
	}
}

/* Adds @nr leases to those in @leases. */
static int leases_alloc(struct lease **leases, unsigned int nr)
{
	while (nr--) {
		struct lease *lease = kmalloc(sizeof(*lease), GFP_KERNEL_ACCOUNT);

		if (!lease)
			return -ENOMEM;
		lease->next = *leases;
		*leases = lease;
	}
	return 0;
}

/* Takes one of @leases for @span.  Under the block's lock; the block has a valid mapping. */
static void lease_take(struct lease **leases, struct span *span)
{
	struct mapping *mapping = span->block->mapping;
	struct lease *lease = *leases;

	*leases = lease->next;
	lease->mapping = mapping;
	atomic_inc(&mapping->readers);
	refcount_inc(&mapping->refs);
	span->lease = lease;
}

/*
 * Spans, under the lock of their block
 */

static void *span_kva(const struct span *span)
{
	const struct mapping *mapping = span->block->mapping;
	unsigned long i, n;

	if (mapping->dense) {
		n = span->first - mapping->first;
	} else {
		n = mapping->ranks[span->first / BATCH];
		for (i = round_down(span->first, BATCH); i < span->first; i++)
			n += !!mapping->pages[i];
	}
	return mapping->kva + (n << PAGE_SHIFT) + span->offset;
}

/* Has the block's mapping all pages of @span? */
static bool span_is_mapped(const struct span *span)
{
	const struct mapping *mapping = span->block->mapping;
	unsigned long i;

	if (!mapping || !mapping->valid || span->bad || span->leaving)
		return false;
	if (mapping->dense && !mapping->trimmed)
		return span->first >= mapping->first &&
		       span->first + span->nr_pages <= mapping->first + mapping->nr_pages;
	for (i = span->first; i < span->first + span->nr_pages; i++)
		if (!is_live(mapping->pages[i]))
			return false;
	return true;
}

/* Views taken from now on do not see the pages of @span. */
static void span_set_absent(struct span *span)
{
	struct virtio_mem_xlate_user *user = span->layout->user;
	struct lease *lease = span->lease;

	if (!lease)
		return;
	span->lease = NULL;
	mutex_lock(&user->flip);
	if (span->layout == user->layout)
		virtio_mem_xlate_set_absent(user->xlate, span->gpa, span->size);
	else if (span->layout == user->next)
		list_add(&span->lost, &user->lost);
	mutex_unlock(&user->flip);
	virtio_mem_xlate_call(user->xlate, &lease->callback, lease_end);
}

/* Takes one of @leases, if there are any, and if the table of @span is the current one. */
static void span_set_present(struct span *span, struct lease **leases)
{
	struct virtio_mem_xlate_user *user = span->layout->user;

	if (!*leases || span->lease || !span_is_mapped(span))
		return;
	mutex_lock(&user->flip);
	if (span->layout == user->layout &&
	    !virtio_mem_xlate_set_present(user->xlate, span->gpa, span->size, span_kva(span),
					  span->key.access))
		lease_take(leases, span);
	mutex_unlock(&user->flip);
}

/* Takes the lease for the slot of a table that is being built; false: it is absent. */
bool xlate_span_slot(struct span *span, struct lease **lease, void **kva)
{
	struct block *block = span->block;

	if (!block)
		return false;
	guard(mutex)(&block->lock);
	if (!span_is_mapped(span))
		return false;
	lease_take(lease, span);
	*kva = span_kva(span);
	return true;
}

/*
 * Blocks
 */

/* @block belongs to @span from now on, with a reference of the caller's. */
void xlate_block_attach(struct block *block, struct span *span)
{
	mutex_lock(&block->lock);
	span->block = block;
	list_add_tail(&span->list, &block->spans);
	block->version++;
	mutex_unlock(&block->lock);
}

/* No view and no hold reaches the slot of @span any more.  The reference goes to the caller. */
void xlate_block_detach(struct block *block, struct span *span)
{
	struct lease *lease;

	mutex_lock(&block->lock);
	list_del(&span->list);
	lease = span->lease;
	span->lease = NULL;
	block->version++;
	mutex_unlock(&block->lock);
	if (lease)
		xlate_lease_drop(lease);
}

/* Pages @first to @last are not bad any more; were there bad ones? */
static bool block_clear_bad(struct block *block, unsigned long first, unsigned long last)
{
	bool found = false;
	unsigned long i;

	for (i = first; block->nr_bad && i <= last; i++) {
		if (i % BATCH == 0)
			cond_resched();
		if (!test_bit(i, block->bad))
			continue;
		__clear_bit(i, block->bad);
		block->nr_bad--;
		block->version++;
		atomic_long_dec(&block->space->nr_bad);
		found = true;
	}
	return found;
}

/* Lets the next update try the bad pages of [@first, @first + @nr_pages). */
void xlate_block_forgive(struct block *block, unsigned long first, unsigned long nr_pages)
{
	guard(mutex)(&block->lock);
	block_clear_bad(block, first, first + nr_pages - 1);
}

/* The process changes pages @first to @last: those that were bad may be good now. */
static void block_retry_bad(struct block *block, unsigned long first, unsigned long last)
{
	struct span *span;

	if (!block_clear_bad(block, first, last))
		return;
	list_for_each_entry(span, &block->spans, list)
		if (span->bad && span->first <= last && first < span->first + span->nr_pages)
			queue_work(xlate_relayout_workqueue, &span->layout->user->relayout);
}

/* The process loses pages @first to @last; returns whether it has lost one to a memory error. */
static bool block_lose(struct block *block, unsigned long first, unsigned long last)
{
	struct mapping *mapping = block->mapping;
	bool lost = false, poisoned = false;
	struct span *span;
	unsigned long i;

	block_retry_bad(block, first, last);
	if (!mapping)
		return false;
	for (i = first; i <= last; i++) {
		if (i % BATCH == 0)
			cond_resched();
		/* xlate_block_trim() unpins it, and must not find that another span needs it. */
		if (has_tag(mapping->pages[i], UNNEEDED))
			mapping->pages[i] = tag(mapping->pages[i], LOST);
		if (!is_live(mapping->pages[i]))
			continue;
		poisoned |= is_poisoned(mapping->pages[i]);
		mapping->pages[i] = tag(mapping->pages[i], LOST);
		lost = true;
	}
	if (!lost)
		return false;
	block->version++;
	mapping->valid = false;
	list_for_each_entry(span, &block->spans, list) {
		span_set_absent(span);
		atomic_long_inc(&span->layout->user->nr_invalidations);
	}
	if (!atomic_read(&mapping->readers))
		mapping_reap(mapping);
	return poisoned;
}

/*
 * The context with spans in @block that has the least address above @last, for
 * virtio_mem_xlate_put(), or NULL.
 */
static struct virtio_mem_xlate *next_context(struct block *block,
					     const struct virtio_mem_xlate *last)
{
	struct virtio_mem_xlate *xlate, *next = NULL;
	struct span *span;

	guard(mutex)(&block->lock);
	list_for_each_entry(span, &block->spans, list) {
		xlate = span->layout->user->xlate;
		if (xlate > last && (!next || xlate < next))
			next = xlate;
	}
	return next ? virtio_mem_xlate_get(next) : NULL;
}

/*
 * A reader of a page with a memory error may bring the host down, so nobody may read it when
 * this returns.  Without the block's lock, since the holder of a view may enter memory reclaim,
 * and so this notifier.  No task that holds a view may wait for what our caller has locked.
 */
static void wait_for_views(struct block *block)
{
	struct virtio_mem_xlate *xlate, *last = NULL;

	while ((xlate = next_context(block, last))) {
		virtio_mem_xlate_synchronize(xlate);
		last = xlate;
		virtio_mem_xlate_put(xlate);
	}
}

static bool block_invalidate(struct mmu_interval_notifier *notifier,
			     const struct mmu_notifier_range *range, unsigned long seq)
{
	struct block *block = container_of(notifier, struct block, notifier);
	unsigned long start = block->key.start, last = start + (block->key.nr_pages << PAGE_SHIFT);
	bool poisoned;

	/*
	 * fork() copies pinned pages for the child, so the parent keeps them.  Where writes to a
	 * page are noticed by its protection, the device has no write access to it.
	 */
	if (range->event == MMU_NOTIFY_PROTECTION_PAGE)
		return true;
	/* The OOM reaper goes on without us: pinned pages would not come free. */
	if (!mmu_notifier_range_blockable(range))
		return false;
	mutex_lock(&block->lock);
	mmu_interval_set_seq(notifier, seq);
	poisoned = block_lose(block, (max(start, range->start) - start) >> PAGE_SHIFT,
			      (min(last, range->end) - 1 - start) >> PAGE_SHIFT);
	mutex_unlock(&block->lock);
	if (poisoned)
		wait_for_views(block);
	return true;
}

const struct mmu_interval_notifier_ops xlate_block_ops = { .invalidate = block_invalidate };

/* The last user of @block has gone, and its notifier. */
void xlate_block_lose_all(struct block *block)
{
	struct mapping *mapping;

	mutex_lock(&block->lock);
	block_lose(block, 0, block->key.nr_pages - 1);
	mapping = block->mapping;
	block->mapping = NULL;
	mutex_unlock(&block->lock);
	if (mapping) {
		if (!atomic_read(&mapping->readers))
			mapping_reap(mapping);
		mapping_put(mapping);
	}
	if (refcount_dec_and_test(&block->refs))
		xlate_block_free(block);
}

/* What an update has to do. */
struct plan {
	unsigned long version;
	unsigned long nr_kept, nr_missing;	/* pages that are pinned, and to be pinned */
	unsigned long nr_bad;
	unsigned int nr_leases;		/* at most, for absent spans */
	int bad_err;
};

/*
 * Fills @mapping with the pages that there are, and notes as fresh those that @layout lacks.  What
 * another layout lacks is left to its own caller, who may wait for ever.
 */
static void block_plan(struct block *block, struct mapping *mapping, struct plan *plan,
		       const struct layout *layout)
{
	const struct mapping *old = block->mapping;
	const struct span *span;
	unsigned long i;

	*plan = (struct plan){ .version = block->version };
	for (i = 0; old && i < block->key.nr_pages; i++) {
		if (!is_live(old->pages[i]))
			continue;
		mapping->pages[i] = old->pages[i];
		plan->nr_kept++;
	}
	list_for_each_entry(span, &block->spans, list) {
		plan->nr_leases += !span->bad && !span->lease;
		if (span->layout != layout || span->leaving)
			continue;
		if (!plan->nr_kept && !block->nr_bad) {
			bitmap_set(mapping->fresh, span->first, span->nr_pages);
			continue;
		}
		for (i = span->first; i < span->first + span->nr_pages; i++)
			if (!mapping->pages[i] && !test_bit(i, block->bad))
				__set_bit(i, mapping->fresh);
	}
	plan->nr_missing = bitmap_weight(mapping->fresh, block->key.nr_pages);
}

/* Pins the fresh pages from @i on, up to one that is not fresh, or that is bad. */
static int pin_run(struct block *block, struct mapping *mapping, struct plan *plan,
		   unsigned long *i)
{
	unsigned long start = block->key.start + (*i << PAGE_SHIFT), done, n;
	struct page **pages = mapping->pages + *i;
	int err;

	n = find_next_zero_bit(mapping->fresh, block->key.nr_pages, *i) - *i;
	done = xlate_pin_some(start, n, block->key.access, pages, &err);
	*i += done;
	if (!err)
		return 0;
	memset(pages + done, 0, (n - done) * sizeof(*pages));
	if (err == -ENOMEM || err == -EINTR || err == -EAGAIN)
		return err == -EAGAIN ? -ENOMEM : err;
	n = xlate_why_not(start + (done << PAGE_SHIFT), n - done, block->key.access,
			  &plan->bad_err);
	if (plan->bad_err == -EINTR)
		return -EINTR;
	xlate_uncharge(block->account, n);
	bitmap_clear(mapping->fresh, *i, n);
	plan->nr_bad += n;
	while (n--)
		mapping->pages[(*i)++] = BAD;
	return 0;
}

static int pin_missing(struct block *block, struct mapping *mapping, struct plan *plan)
{
	unsigned long i = 0;
	int err = 0;

	while (!err) {
		i = find_next_bit(mapping->fresh, block->key.nr_pages, i);
		if (i == block->key.nr_pages)
			break;
		err = pin_run(block, mapping, plan, &i);
	}
	return err;
}

static void find_extent(struct mapping *mapping, const struct plan *plan)
{
	unsigned long nr = mapping->block->key.nr_pages, i, last = 0;

	if (!plan->nr_kept && !plan->nr_bad) {
		mapping->nr_pages = plan->nr_missing;
		mapping->first = find_first_bit(mapping->fresh, nr);
		last = find_last_bit(mapping->fresh, nr);
	} else {
		for (i = 0; i < nr; i++) {
			if (!mapping->pages[i] || mapping->pages[i] == BAD)
				continue;
			if (!mapping->nr_pages++)
				mapping->first = i;
			last = i;
		}
	}
	mapping->dense = mapping->nr_pages && last - mapping->first + 1 == mapping->nr_pages;
}

/* Maps the pages of @mapping side by side. */
static int mapping_map(struct mapping *mapping, const struct plan *plan)
{
	struct block *block = mapping->block;
	struct page **pages;
	unsigned long i, n;

	find_extent(mapping, plan);
	if (!mapping->nr_pages)
		return 0;
	if (mapping->dense) {
		mapping->kva = xlate_map_pages(mapping->pages + mapping->first,
					       mapping->nr_pages, block->key.access);
		return mapping->kva ? 0 : -ENOMEM;
	}
	pages = kvmalloc_array(mapping->nr_pages, sizeof(*pages),
			       GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	mapping->ranks = kvmalloc_array(DIV_ROUND_UP(block->key.nr_pages, BATCH),
					sizeof(*mapping->ranks), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!pages || !mapping->ranks) {
		kvfree(pages);
		return -ENOMEM;
	}
	for (i = 0, n = 0; i < block->key.nr_pages; i++) {
		if (i % BATCH == 0)
			mapping->ranks[i / BATCH] = n;
		if (mapping->pages[i] && mapping->pages[i] != BAD)
			pages[n++] = mapping->pages[i];
	}
	mapping->kva = xlate_map_pages(pages, n, block->key.access);
	kvfree(pages);
	return mapping->kva ? 0 : -ENOMEM;
}

/* Undoes an update that did not come to its end.  Its fresh pages are charged if @charged. */
static void mapping_discard(struct mapping *mapping, bool charged)
{
	struct block *block = mapping->block;
	unsigned long nr = block->key.nr_pages, i;

	if (mapping->kva)
		xlate_unmap_pages(mapping->kva);
	for_each_set_bit(i, mapping->fresh, nr)
		if (mapping->pages[i])
			unpin_user_pages(&mapping->pages[i], 1);
	if (charged)
		xlate_uncharge(block->account, bitmap_weight(mapping->fresh, nr));
	mapping_put(mapping);
}

/* Makes @mapping that of its block.  Returns the one of before, or NULL. */
static struct mapping *mapping_install(struct mapping *mapping, const struct plan *plan)
{
	struct block *block = mapping->block;
	struct mapping *old = block->mapping;
	unsigned long i;

	for (i = 0; plan->nr_bad && i < block->key.nr_pages; i++) {
		if (mapping->pages[i] != BAD)
			continue;
		mapping->pages[i] = NULL;
		__set_bit(i, block->bad);
		block->nr_bad++;
		block->bad_err = plan->bad_err;
		atomic_long_inc(&block->space->nr_bad);
	}
	for (i = 0; plan->nr_kept && i < block->key.nr_pages; i++)
		if (is_live(old->pages[i]))
			old->pages[i] = GONE;
	mapping->valid = true;
	block->mapping = mapping;
	block->version++;
	if (old && atomic_inc_not_zero(&old->readers)) {
		refcount_inc(&mapping->refs);
		atomic_inc(&mapping->readers);
		old->next = mapping;
		drop_reader(old);
	} else if (old) {
		mapping_reap(old);
	}
	return old;
}

static int try_update(struct block *block, const struct layout *layout)
{
	struct lease *leases = NULL;
	struct mapping *mapping, *old;
	bool reuse, charged = false;
	struct plan plan;
	unsigned long seq;
	struct span *span;
	int err;

	/* A worker gets no signal. */
	if (layout && (fatal_signal_pending(current) ||
		       (current->flags & PF_KTHREAD && READ_ONCE(layout->user->cancelled))))
		return -EINTR;
	cond_resched();
	seq = mmu_interval_read_begin(&block->notifier);
	mapping = mapping_new(block);
	if (!mapping)
		return -ENOMEM;
	mutex_lock(&block->lock);
	block_plan(block, mapping, &plan, layout);
	old = block->mapping;
	reuse = old && old->valid && !plan.nr_missing;
	mutex_unlock(&block->lock);

	err = leases_alloc(&leases, plan.nr_leases) ?:
	      xlate_charge(block->account, plan.nr_missing,
			   READ_ONCE((layout ? layout->map->account : block->account)->limit));
	if (err)
		goto out_discard;
	charged = true;
	err = pin_missing(block, mapping, &plan);
	if (!err && !reuse)
		err = mapping_map(mapping, &plan);
	if (err)
		goto out_discard;

	mutex_lock(&block->lock);
	if (mmu_interval_read_retry(&block->notifier, seq) || block->version != plan.version) {
		mutex_unlock(&block->lock);
		err = -EAGAIN;
		goto out_discard;
	}
	old = reuse ? mapping : mapping_install(mapping, &plan);
	list_for_each_entry(span, &block->spans, list)
		span_set_present(span, &leases);
	mutex_unlock(&block->lock);
	leases_free(leases);
	if (old)
		mapping_put(old);
	return 0;

out_discard:
	leases_free(leases);
	mapping_discard(mapping, charged);
	return err;
}

/*
 * Gives @block the pages that @layout needs, if it is told, and makes the spans that have all
 * their pages present in the current tables.  The caller is in the memory of the process if
 * there is a @layout.  Pages that the process cannot access become bad.  Returns 0, -ENOMEM or
 * -EINTR.  Without a @layout it gives up a block that changes all the time, with -EAGAIN: its
 * caller holds a lock, and a fault makes the spans present.
 */
int xlate_block_update(struct block *block, const struct layout *layout)
{
	unsigned int tries = 0;
	int err;

	do {
		err = try_update(block, layout);
	} while (err == -EAGAIN && (layout || ++tries < MAX_TRIES));
	return err;
}

/* Are there pages that no span needs? */
static bool mark_unneeded(struct block *block)
{
	struct mapping *mapping = block->mapping;
	unsigned long i, nr = 0;
	struct span *span;

	if (!mapping)
		return false;
	for (i = 0; i < block->key.nr_pages; i++)
		if (is_live(mapping->pages[i]))
			mapping->pages[i] = tag(mapping->pages[i], UNNEEDED);
	list_for_each_entry(span, &block->spans, list)
		for (i = span->first; !span->leaving && i < span->first + span->nr_pages; i++)
			if (!has_tag(mapping->pages[i], LOST))
				mapping->pages[i] = untag(mapping->pages[i]);
	for (i = 0; i < block->key.nr_pages; i++)
		nr += has_tag(mapping->pages[i], UNNEEDED);
	if (!nr)
		return false;
	mapping->trimmed = true;
	block->version++;
	return true;
}

/*
 * Unpins the pages that no span needs any more.  No view and no hold reaches them: the table
 * that had them is not the current one, and its readers are gone.  Their place in a mapping of
 * vmap() stays until that goes.
 */
void xlate_block_trim(struct block *block)
{
	struct mapping *mapping;
	struct page *pages[32];
	unsigned long i, k;
	unsigned int n;

	mutex_lock(&block->lock);
	mapping = mark_unneeded(block) ? block->mapping : NULL;
	if (mapping)
		refcount_inc(&mapping->refs);
	mutex_unlock(&block->lock);
	if (!mapping)
		return;
	for (i = 0; i < block->key.nr_pages; cond_resched()) {
		n = 0;
		mutex_lock(&block->lock);
		k = 0;
		for (; k < BATCH && n < ARRAY_SIZE(pages) && i < block->key.nr_pages; k++, i++) {
			if (!has_tag(mapping->pages[i], UNNEEDED))
				continue;
			pages[n++] = untag(mapping->pages[i]);
			mapping->pages[i] = GONE;
		}
		mutex_unlock(&block->lock);
		unpin(block, pages, n);
	}
	mapping_put(mapping);
}

/* Do the spans of @layout need all pages of @span? */
static bool span_is_shared(const struct span *span, const struct layout *layout)
{
	unsigned long i = span->first, end = span->first + span->nr_pages;
	const struct span *other;

	list_for_each_entry(other, &span->block->spans, list)
		if (other->layout == layout && !other->bad && other->first <= i &&
		    i < other->first + other->nr_pages)
			i = other->first + other->nr_pages;
	return i >= end;
}

/*
 * @span makes room for the spans of @next: it needs its pages no more, and is absent, unless @next
 * needs them all.  Without @next it needs them again.
 */
void xlate_block_leave(struct block *block, struct span *span, const struct layout *next)
{
	guard(mutex)(&block->lock);
	span->leaving = next && !span_is_shared(span, next);
	block->version++;
	if (span->leaving)
		span_set_absent(span);
}

/* Has @block all pages that @layout needs, and are its spans present in the current table? */
bool xlate_block_serves(struct block *block, const struct layout *layout, bool is_current)
{
	const struct span *span;

	guard(mutex)(&block->lock);
	list_for_each_entry(span, &block->spans, list)
		if (span->layout == layout && (is_current ? !span->lease && !span->bad :
							    !span_is_mapped(span)))
			return false;
	return true;
}
