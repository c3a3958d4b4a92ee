// SPDX-License-Identifier: GPL-2.0
/*
 * The table of a VMM's memory: a virtio_mem_xlate context, and the layout whose spans are
 * its slots.
 *
 * A call that sets the table makes a layout, attaches it to the blocks of the process,
 * and lets these pin what is new.  Then it makes the layout the current one, together
 * with its table.  MMU notifiers flip slots meanwhile: those of the current layout in the
 * current table, those of the next layout in the next table.  The layout of before is
 * detached in process context, when no view and no hold reaches its slots.
 */
#include <linux/err.h>
#include <linux/export.h>
#include <linux/kthread.h>
#include <linux/kvm.h>
#include <linux/ktime.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "user.h"

/* Unpins and detaches.  Those who set tables wait for all of it, also that of other processes. */
struct workqueue_struct *xlate_workqueue;

/* Lays out anew, under locks of the process. */
struct workqueue_struct *xlate_relayout_workqueue;

/* For faults, which may wait for ever: nobody waits for them but the end of the module. */
static struct workqueue_struct *fault_workqueue;

static void table_put(struct virtio_mem_xlate_user *user)
{
	if (!refcount_dec_and_test(&user->refs))
		return;
	mutex_destroy(&user->flip);
	mutex_destroy(&user->update);
	kfree(user);
}

/*
 * The current layout
 */

/* For xlate_layout_put(), or NULL. */
struct layout *xlate_layout_get(struct virtio_mem_xlate_user *user)
{
	struct layout *layout;

	guard(mutex)(&user->flip);
	layout = user->layout;
	if (layout)
		refcount_inc(&layout->refs);
	return layout;
}

static void layout_work(struct work_struct *work)
{
	struct layout *layout = container_of(work, struct layout, work);

	xlate_layout_detach(layout);
	complete_all(&layout->detached);
	xlate_layout_free(layout);
}

void xlate_layout_put(struct layout *layout)
{
	if (refcount_dec_and_test(&layout->refs)) {
		INIT_WORK(&layout->work, layout_work);
		queue_work(xlate_workqueue, &layout->work);
	}
}

static void layout_end(struct virtio_mem_xlate_callback *callback)
{
	xlate_layout_put(container_of(callback, struct layout, callback));
}

static void last_call_put(struct last_call *last)
{
	if (refcount_dec_and_test(&last->refs))
		kfree(last);
}

static void last_call_end(struct virtio_mem_xlate_callback *callback)
{
	struct last_call *last = container_of(callback, struct last_call, callback);

	complete(&last->called);
	last_call_put(last);
}

static struct last_call *last_call_new(void)
{
	struct last_call *last = kzalloc(sizeof(*last), GFP_KERNEL_ACCOUNT);

	if (last) {
		refcount_set(&last->refs, 2);
		init_completion(&last->called);
	}
	return last;
}

/*
 * Waits until all leases that were passed on are dropped, and what they kept is unpinned; or
 * for a fatal signal.
 */
static int wait_for_leases(struct virtio_mem_xlate_user *user)
{
	struct last_call *last = last_call_new();
	int err;

	if (!last)
		return -ENOMEM;
	virtio_mem_xlate_call(user->xlate, &last->callback, last_call_end);
	err = wait_for_completion_killable(&last->called) ? -EINTR : 0;
	last_call_put(last);
	if (!err)
		flush_workqueue(xlate_workqueue);
	return err;
}

/*
 * Setting a table
 */

/* Forgets the next layout, which has leases, but no readers. */
static void unprepare(struct layout *layout)
{
	struct virtio_mem_xlate_user *user = layout->user;

	mutex_lock(&user->flip);
	user->next = NULL;
	INIT_LIST_HEAD(&user->lost);
	mutex_unlock(&user->flip);
}

/* The slots of the next layout, with their leases, for kvfree(), or an ERR_PTR. */
static struct virtio_mem_xlate_slot *layout_slots(struct layout *layout, unsigned int *nr)
{
	struct virtio_mem_xlate_slot *slots, *slot;
	struct lease *lease = NULL;
	unsigned int i;

	slots = kvmalloc_array(layout->nr, sizeof(*slots), GFP_KERNEL_ACCOUNT);
	if (!slots)
		return ERR_PTR(-ENOMEM);
	slot = slots;
	for (i = 0; i < layout->nr; i++) {
		struct span *span = &layout->spans[i];

		cond_resched();
		if (span->bad)
			continue;
		if (!lease)
			lease = kzalloc(sizeof(*lease), GFP_KERNEL_ACCOUNT);
		if (!lease) {
			kvfree(slots);
			return ERR_PTR(-ENOMEM);
		}
		*slot = (struct virtio_mem_xlate_slot){
			.gpa = span->gpa, .size = span->size, .access = VIRTIO_MEM_XLATE_ABSENT,
		};
		if (xlate_span_slot(span, &lease, &slot->kva))
			slot->access = span->key.access;
		slot++;
	}
	kfree(lease);
	*nr = slot - slots;
	return slots;
}

/* Presents the spans whose blocks were filled while the table was made. */
static void present_late(struct layout *layout)
{
	unsigned int i, n;

	for (i = 0; i < layout->nr; i += n) {
		struct block *block = layout->spans[i].block;

		n = xlate_layout_run(layout, i);
		cond_resched();
		if (block && !xlate_block_serves(block, layout, true))
			xlate_block_update(block, NULL);
	}
}

/*
 * Makes an attached layout the current one, under @update.  Returns the layout of before, or
 * NULL, or an ERR_PTR.
 */
static struct layout *publish(struct layout *layout)
{
	struct virtio_mem_xlate_user *user = layout->user;
	struct virtio_mem_xlate_table *table;
	struct virtio_mem_xlate_slot *slots;
	struct layout *old;
	struct span *span;
	unsigned int nr;

	mutex_lock(&user->flip);
	user->next = layout;
	mutex_unlock(&user->flip);
	slots = layout_slots(layout, &nr);
	if (IS_ERR(slots)) {
		unprepare(layout);
		return ERR_CAST(slots);
	}
	table = virtio_mem_xlate_prepare(user->xlate, slots, nr);
	kvfree(slots);
	if (IS_ERR(table)) {
		unprepare(layout);
		return ERR_CAST(table);
	}

	mutex_lock(&user->flip);
	list_for_each_entry(span, &user->lost, lost)
		virtio_mem_xlate_prepared_absent(table, span->gpa, span->size);
	INIT_LIST_HEAD(&user->lost);
	virtio_mem_xlate_commit(user->xlate, table);
	old = user->layout;
	user->layout = layout;
	user->next = NULL;
	mutex_unlock(&user->flip);
	present_late(layout);
	return old;
}

/*
 * Lets the blocks of @layout pin what they lack, in the memory of its process, and if it
 * @is_current, present what is absent.
 */
static int fill(struct layout *layout, bool is_current)
{
	unsigned int i, n;
	int err;

	for (i = 0; i < layout->nr; i += n) {
		struct block *block = layout->spans[i].block;

		n = xlate_layout_run(layout, i);
		cond_resched();
		if (!block || xlate_block_serves(block, layout, is_current))
			continue;
		err = xlate_block_update(block, layout);
		if (err)
			return err;
	}
	return 0;
}

/* Has each bad page of the blocks a span of its own, and no good page one that is bad? */
static bool layout_knows_bad(struct layout *layout)
{
	unsigned int i;

	if (!layout->has_bad && !atomic_long_read(&layout->map->space->nr_bad))
		return true;
	for (i = 0; i < layout->nr; i++) {
		const struct span *span = &layout->spans[i];
		struct block *block = span->block;
		unsigned long end = span->first + span->nr_pages;
		bool known;

		if (!block)
			continue;
		mutex_lock(&block->lock);
		known = span->bad ? find_next_zero_bit(block->bad, end, span->first) == end :
				    find_next_bit(block->bad, end, span->first) == end;
		mutex_unlock(&block->lock);
		if (!known)
			return false;
		cond_resched();
	}
	return true;
}

/* Has the table of @layout, if it is the current one, something to try in the block of a run? */
static bool block_lacks(struct layout *layout, unsigned int first, unsigned int n)
{
	struct virtio_mem_xlate_user *user = layout->user;
	bool lacks = false;
	unsigned int i;

	guard(mutex)(&user->flip);
	if (user->layout != layout)
		return false;
	for (i = first; i < first + n && !lacks; i++) {
		const struct span *span = &layout->spans[i];

		lacks = span->block && (span->bad || !span->lease);
	}
	return lacks;
}

/* All pages of @layout are tried again. */
static void forgive(struct layout *layout)
{
	unsigned int i;

	for (i = 0; i < layout->nr; i++) {
		const struct span *span = &layout->spans[i];

		cond_resched();
		if (span->block && atomic_long_read(&layout->map->space->nr_bad))
			xlate_block_forgive(span->block, span->first, span->nr_pages);
	}
}

/* @layout gives up what @next does not need; or without @next, needs it again. */
static void layout_leave(struct layout *layout, const struct layout *next)
{
	unsigned int i;

	for (i = 0; i < layout->nr; i++) {
		struct span *span = &layout->spans[i];

		cond_resched();
		if (span->block)
			xlate_block_leave(span->block, span, next);
	}
}

static void trim(struct layout *layout)
{
	unsigned int i;

	for (i = 0; i < layout->nr; i += xlate_layout_run(layout, i)) {
		cond_resched();
		if (layout->spans[i].block)
			xlate_block_trim(layout->spans[i].block);
	}
}

/*
 * As fill().  Where RLIMIT_MEMLOCK has no room for both tables, the current one gives up the
 * pages that @layout does not need, which answer -EAGAIN from then on.  @short_of_memory tells
 * that it did so in vain.
 */
static int fill_in_place_of_old(struct layout *layout, bool *short_of_memory)
{
	struct virtio_mem_xlate_user *user = layout->user;
	struct layout *old;
	int err;

	err = fill(layout, false);
	if (err != -ENOMEM)
		return err;
	old = xlate_layout_get(user);
	if (!old)
		return err;
	layout_leave(old, layout);
	err = wait_for_leases(user);
	if (!err) {
		trim(old);
		err = fill(layout, false);
	}
	if (err) {
		layout_leave(old, NULL);
		*short_of_memory = true;
	}
	xlate_layout_put(old);
	return err;
}

/* What cannot be pinned again answers -EAGAIN, for virtio_mem_xlate_user_fault(). */
static void restore_old(struct virtio_mem_xlate_user *user)
{
	struct layout *old = xlate_layout_get(user);

	if (!old)
		return;
	/* What the layout that failed had pinned is uncharged now. */
	flush_workqueue(xlate_workqueue);
	if (old->map->space->mm == current->mm)
		fill(old, true);
	xlate_layout_put(old);
}

static void layout_drop(struct layout *layout)
{
	xlate_layout_detach(layout);
	xlate_layout_free(layout);
}

#define MAX_ROUNDS	8

/* An attached and filled layout of @map that knows all bad pages, or an ERR_PTR. */
static struct layout *layout_make(struct virtio_mem_xlate_user *user, struct memory_map *map,
				  bool try_bad, bool may_fill)
{
	bool on_demand = user->flags & VIRTIO_MEM_XLATE_USER_ON_DEMAND;
	struct layout *layout, *before = NULL;
	bool short_of_memory = false;
	int err, round;

	/* What becomes bad later answers -EAGAIN until virtio_mem_xlate_user_fault() sees it. */
	for (round = 0; ; round++) {
		layout = xlate_layout_new(user, map);
		if (IS_ERR(layout))
			break;
		err = xlate_layout_attach(layout, !on_demand);
		if (!err && try_bad)
			forgive(layout);
		try_bad = false;
		if (!err && may_fill && !on_demand)
			err = fill_in_place_of_old(layout, &short_of_memory);
		if (err) {
			layout_drop(layout);
			layout = ERR_PTR(err);
			break;
		}
		if (layout_knows_bad(layout) || round == MAX_ROUNDS)
			break;
		/* The next one finds the pages pinned that this one keeps. */
		if (before)
			layout_drop(before);
		before = layout;
	}
	if (before)
		layout_drop(before);
	if (short_of_memory)
		restore_old(user);
	return layout;
}

/* Tells which parts of regions were left out. */
static void report_bad(const struct layout *layout)
{
	unsigned int i;

	for (i = 0; i < layout->nr; i++) {
		const struct span *span = &layout->spans[i];
		const struct region part = {
			.gpa = span->gpa,
			.size = span->size,
			.uaddr = span->key.start + (span->first << PAGE_SHIFT) + span->offset,
			.access = span->key.access,
		};

		cond_resched();
		if (span->bad && span->block)
			xlate_report_refused(&part, READ_ONCE(span->block->bad_err),
					     "the process cannot access it, or it cannot be pinned");
	}
}

/*
 * Makes a layout of @map the current one, in the place of @only if it is told.  Waits until the
 * one of before is detached, unless a fatal signal comes.
 */
static int set_map(struct virtio_mem_xlate_user *user, struct memory_map *map,
		   struct layout *only, bool try_bad)
{
	struct layout *layout, *old;
	bool skipped;
	int err = 0;

	layout = layout_make(user, map, try_bad, !only);
	if (IS_ERR(layout))
		return PTR_ERR(layout);
	/* From when it is the current one, another call may end it. */
	report_bad(layout);
	if (mutex_lock_killable(&user->update)) {
		layout_drop(layout);
		return -EINTR;
	}
	/* Only calls under @update change it. */
	skipped = only && (user->layout != only || user->dying);
	old = skipped ? layout : publish(layout);
	if (IS_ERR(old)) {
		err = PTR_ERR(old);
	} else if (old && !skipped) {
		if (!only)
			refcount_inc(&old->memory);
		/* Under @update, so that the last call of destroy() comes after it. */
		virtio_mem_xlate_call(user->xlate, &old->callback, layout_end);
	}
	mutex_unlock(&user->update);
	if (err || skipped) {
		layout_drop(layout);
		return err;
	}
	if (old && !only) {
		/* After a fatal signal it is detached behind our back. */
		if (!wait_for_completion_killable(&old->detached))
			flush_workqueue(xlate_workqueue);
		xlate_layout_free(old);
	}
	return 0;
}

/*
 * If @only, or any layout if NULL, is the current one, and does not know which pages are bad by
 * now, puts one in its place that does.
 */
static int relayout(struct virtio_mem_xlate_user *user, const struct layout *only)
{
	struct layout *layout = xlate_layout_get(user);
	int err = 0;

	if (!layout)
		return 0;
	if ((!only || layout == only) && !layout_knows_bad(layout))
		err = set_map(user, layout->map, layout, false);
	xlate_layout_put(layout);
	return err;
}

/*
 * The current layout, or NULL.  xlate_layout_free() drops this reference, which nobody waits for,
 * so the caller may wait for page faults.  Meanwhile the layout may be detached.
 */
static struct layout *layout_remember(struct virtio_mem_xlate_user *user)
{
	struct layout *layout;

	guard(mutex)(&user->flip);
	layout = user->layout;
	if (layout)
		refcount_inc(&layout->memory);
	return layout;
}

/* What a worker allocates until charge_to_end() is charged to the cgroup of the process of @map. */
static struct mem_cgroup *charge_to(const struct memory_map *map)
{
	return set_active_memcg(get_mem_cgroup_from_mm(map->space->mm));
}

static void charge_to_end(struct mem_cgroup *old)
{
	mem_cgroup_put(set_active_memcg(old));
}

/* Without memory, the bytes go on answering -EFAULT until the table is set again. */
static void relayout_work(struct work_struct *work)
{
	struct virtio_mem_xlate_user *user =
		container_of(work, struct virtio_mem_xlate_user, relayout);
	struct layout *layout = layout_remember(user);
	struct mem_cgroup *old;

	if (!layout)
		return;
	old = charge_to(layout->map);
	relayout(user, NULL);
	charge_to_end(old);
	xlate_layout_free(layout);
}

/* relayout() for a worker: destroy() does not wait for that, but for relayout_work(). */
static void relayout_for_worker(struct layout *layout)
{
	struct virtio_mem_xlate_user *user = layout->user;
	bool is_current;

	mutex_lock(&user->flip);
	is_current = user->layout == layout;
	if (is_current)
		queue_work(xlate_relayout_workqueue, &user->relayout);
	mutex_unlock(&user->flip);
	if (is_current)
		flush_work(&user->relayout);
}

/* Pins [@first, @first + @nr_pages) of block @key, and whatever else the block lacks. */
static int fault_block(struct layout *layout, const struct block_key *key, unsigned long first,
		       unsigned long nr_pages)
{
	struct virtio_mem_xlate_user *user = layout->user;
	struct block *block;
	int err = 0;

	if (mutex_lock_killable(&user->update))
		return -EINTR;
	if (user->layout == layout && !user->dying)
		err = xlate_layout_attach_block(layout, key);
	mutex_unlock(&user->update);
	if (err)
		return err;
	block = xlate_block_find(layout->map->space, key);
	/* Another table is the current one. */
	if (!block)
		return 0;
	xlate_block_forgive(block, first, nr_pages);
	err = xlate_block_update(block, layout);
	mutex_lock(&block->lock);
	if (!err && find_next_bit(block->bad, first + nr_pages, first) < first + nr_pages)
		err = block->bad_err;
	mutex_unlock(&block->lock);
	xlate_block_put(block);
	return err;
}

/* Lets faults try the bad pages of block @key. */
static void forgive_block(struct layout *layout, const struct block_key *key)
{
	struct block *block = xlate_block_find(layout->map->space, key);

	if (block) {
		xlate_block_forgive(block, 0, key->nr_pages);
		xlate_block_put(block);
	}
}

/* The table that is set is set again: tries what is absent or bad. */
static int set_again(struct layout *layout)
{
	struct virtio_mem_xlate_user *user = layout->user;
	unsigned int i, n;
	int err = 0;

	for (i = 0; i < layout->nr; i += n) {
		const struct span *span = &layout->spans[i];

		n = xlate_layout_run(layout, i);
		cond_resched();
		if (!block_lacks(layout, i, n))
			continue;
		if (user->flags & VIRTIO_MEM_XLATE_USER_ON_DEMAND) {
			forgive_block(layout, &span->key);
			continue;
		}
		err = fault_block(layout, &span->key, 0, span->key.nr_pages);
		if (err == -ENOMEM || err == -EINTR)
			return err;
	}
	return relayout(user, layout);
}

/**
 * virtio_mem_xlate_user_set_kvm() - set the table from KVM's memory regions
 * @user: the VMM's memory
 * @regions: all regions, in any order, in kernel memory; the call copies them
 * @nr_regions: their number, 0 to %VIRTIO_MEM_XLATE_MAX_SLOTS
 *
 * The call pins what is new, publishes the new table for all readers at once, and unpins
 * what no table of the process needs any more.  What is in both tables stays pinned,
 * whichever edges of regions have moved.  Setting the table that is set pins again what
 * the process has lost since.  With VIRTIO_MEM_XLATE_USER_ON_DEMAND the call pins nothing.
 *
 * A page that the process cannot access, or that cannot be pinned, such as device memory,
 * does not refuse the table: its bytes answer -EFAULT.
 *
 * RLIMIT_MEMLOCK must have room for the larger of the two tables.  Where it has no room for
 * both, what leaves the table answers -EAGAIN from before the new table is published.  After
 * an error the old table is the current one; what could not be pinned again answers -EAGAIN.
 *
 * KVM_MEM_READONLY makes a region read-only for the device.
 * KVM_MEM_LOG_DIRTY_PAGES is accepted and has no effect: to migrate a guest, the caller
 * must log the device's writes.  @slot is ignored.
 *
 * Concurrent calls are allowed.  Each sets a whole table, and the last call to finish
 * wins.  A call that waits for a page fault does not block the others.
 *
 * Context: Process context of the memory's owner.  May sleep as
 * virtio_mem_xlate_user_pin() does, and until all views and holds have been released:
 * the caller must hold no view of this context.
 * Return: 0, or:
 *
 * * -EINVAL - a region has size 0, ends above U64_MAX or has unknown flags, or the caller
 *   has no memory
 * * -EFAULT - a region is not user memory
 * * -EEXIST - two regions share a guest byte
 * * -ENOSPC - there are too many regions, or too many in the same 2 MiB
 * * -ENOMEM - RLIMIT_MEMLOCK is exceeded, or memory is short
 * * -EINTR - a fatal signal is pending
 */
int virtio_mem_xlate_user_set_kvm(struct virtio_mem_xlate_user *user,
				  const struct kvm_userspace_memory_region *regions,
				  unsigned int nr_regions)
{
	struct memory_map *map = xlate_map_alloc(regions, nr_regions);
	struct layout *layout;
	bool again;
	int err;

	if (IS_ERR(map))
		return PTR_ERR(map);
	layout = layout_remember(user);
	again = layout && xlate_map_is_equal(map, layout->map);
	if (again)
		WRITE_ONCE(layout->map->account->limit, map->account->limit);
	err = again ? set_again(layout) : set_map(user, map, NULL, true);
	if (layout)
		xlate_layout_free(layout);
	if (err == -EEXIST)
		xlate_map_tell_overlap(map);
	xlate_map_put(map);
	return err;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_set_kvm);

/*
 * Faults
 */

/*
 * A fault of a task that has not the memory of the process: a worker serves it, as the task may
 * have to go on before the fault is served.
 */
struct fault {
	struct work_struct work;
	refcount_t refs;
	bool served;
	struct layout *layout;
	struct virtio_driver_range range;
	unsigned int access;
	int err;
};

/* In the memory of the process. */
static int fault_in_space(struct layout *layout, struct virtio_driver_range range,
			  unsigned int access)
{
	bool contiguous = layout->user->flags & VIRTIO_MEM_XLATE_USER_CONTIGUOUS;
	int err = 0;

	while (range.len && !err) {
		const struct region *region = xlate_map_find_gpa(layout->map, range.start);
		struct block_key key;
		u64 uaddr, end, len;

		if (!region)
			return -EFAULT;
		if (access & ~region->access)
			return -EPERM;
		uaddr = region->uaddr + (range.start - region->gpa);
		key = xlate_block_key(region, uaddr, contiguous);
		end = min(region->uaddr + region->size,
			  (u64)key.start + (key.nr_pages << PAGE_SHIFT));
		len = min(range.len, end - uaddr);
		err = fault_block(layout, &key, (uaddr - key.start) >> PAGE_SHIFT,
				  ((uaddr + len - 1 - key.start) >> PAGE_SHIFT) -
				  ((uaddr - key.start) >> PAGE_SHIFT) + 1);
		range.start += len;
		range.len -= len;
	}
	return err;
}

static int fault_in_layout(struct layout *layout, struct virtio_driver_range range,
			   unsigned int access)
{
	int entered = xlate_space_enter(layout->map->space), err;

	/* The process has exited. */
	if (entered < 0)
		return -EFAULT;
	err = fault_in_space(layout, range, access);
	xlate_space_leave(layout->map->space, entered);
	/* Bad pages have no slot, and good ones have one. */
	if (err == -EINTR || err == -ENOMEM)
		return err;
	if (entered)
		relayout_for_worker(layout);
	else
		relayout(layout->user, layout);
	return err;
}

static void fault_put(struct fault *fault)
{
	if (!refcount_dec_and_test(&fault->refs))
		return;
	table_put(fault->layout->user);
	xlate_layout_free(fault->layout);
	kfree(fault);
}

static void fault_serve(struct fault *fault)
{
	struct virtio_mem_xlate_user *user = fault->layout->user;
	struct mem_cgroup *old = charge_to(fault->layout->map);

	fault->err = fault_in_layout(fault->layout, fault->range, fault->access);
	charge_to_end(old);
	/* Pairs with smp_load_acquire() in fault_by_worker(). */
	smp_store_release(&fault->served, true);
	wake_up_all(&user->faults);
	fault_put(fault);
}

/*
 * Faults in the workqueue.  It runs some 256 at a time, for all processes, and those of one may
 * wait for ever, so beyond half of these each fault gets a thread.
 */
static atomic_t nr_in_queue;
#define MAX_IN_QUEUE	128

static void fault_work(struct work_struct *work)
{
	fault_serve(container_of(work, struct fault, work));
	atomic_dec(&nr_in_queue);
}

static int fault_thread(void *fault)
{
	fault_serve(fault);
	module_put_and_kthread_exit(0);
}

static int fault_start(struct fault *fault)
{
	struct task_struct *task;

	if (atomic_inc_return(&nr_in_queue) <= MAX_IN_QUEUE) {
		INIT_WORK(&fault->work, fault_work);
		queue_work(fault_workqueue, &fault->work);
		return 0;
	}
	atomic_dec(&nr_in_queue);
	__module_get(THIS_MODULE);
	task = kthread_run(fault_thread, fault, "xlate_fault");
	if (!IS_ERR(task))
		return 0;
	module_put(THIS_MODULE);
	return PTR_ERR(task);
}

static int fault_by_worker(struct layout *layout, struct virtio_driver_range range,
			   unsigned int access)
{
	struct fault *fault = kzalloc(sizeof(*fault), GFP_KERNEL_ACCOUNT);
	struct virtio_mem_xlate_user *user = layout->user;
	int err;

	if (!fault)
		return -ENOMEM;
	refcount_set(&fault->refs, 2);
	refcount_inc(&user->refs);
	refcount_inc(&layout->memory);
	fault->layout = layout;
	fault->range = range;
	fault->access = access;
	err = fault_start(fault);
	if (err) {
		fault_put(fault);
		goto out_put;
	}
	err = wait_event_killable(user->faults, READ_ONCE(fault->served) ||
				  READ_ONCE(user->cancelled));
	/* Pairs with smp_store_release() in fault_serve(). */
	if (!err && smp_load_acquire(&fault->served))
		err = fault->err;
	else
		err = -EINTR;
out_put:
	fault_put(fault);
	return err;
}

/* Is the table still that of @layout's regions? */
static bool is_current(const struct layout *layout)
{
	const struct virtio_mem_xlate_user *user = layout->user;

	guard(mutex)(&layout->user->flip);
	return user->layout && user->layout->map == layout->map;
}

/**
 * virtio_mem_xlate_user_fault() - make a range present again
 * @user: the VMM's memory
 * @range: what a lookup has answered -EAGAIN for
 * @access: the access that the device will make
 *
 * As a page fault of the process: pins what the process has now at these addresses, and
 * makes it present, with the rest of the blocks of 2 MiB that it is in.  Then look up again:
 * the process may have changed its memory meanwhile.  A page that the process itself cannot
 * access answers -EFAULT from then on, not -EAGAIN, until the process changes it; as no
 * kernel tells of a mapping where there was none, also until the next fault or the next
 * call that sets the table.
 *
 * A fault costs what pinning the missing pages of a block costs, and a mapping of the block.
 *
 * Context: Process context, of any process or kernel thread.  Sleeps as the process would,
 * also for userfaultfd, until a fatal signal: the caller must hold no view, and no lock
 * that others need.
 * Return: 0, or:
 *
 * * -EFAULT - a byte is in no region, or the process has no memory there, or none that can
 *   be pinned, or the process has exited
 * * -EPERM - the region or the process's mapping does not allow @access
 * * -EHWPOISON - the page has a memory error
 * * -ENOMEM - RLIMIT_MEMLOCK is exceeded, or memory is short
 * * -EINTR - a fatal signal is pending, or virtio_mem_xlate_user_cancel_faults() was called
 */
int virtio_mem_xlate_user_fault(struct virtio_mem_xlate_user *user,
				struct virtio_driver_range range, unsigned int access)
{
	u64 start = ktime_get_ns();
	struct layout *layout;
	bool changed;
	int err;

	might_sleep();
	do {
		if (READ_ONCE(user->cancelled))
			return -EINTR;
		layout = layout_remember(user);
		if (!layout)
			return range.len ? -EFAULT : 0;
		if (layout->map->space->mm == current->mm)
			err = fault_in_layout(layout, range, access);
		else
			err = fault_by_worker(layout, range, access);
		/* Another table may have what this one had not. */
		changed = !is_current(layout);
		xlate_layout_free(layout);
	} while (changed && (!err || err == -EFAULT || err == -EPERM));
	atomic_long_inc(&user->nr_faults);
	atomic64_add(ktime_get_ns() - start, &user->fault_ns);
	return err;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_fault);

/**
 * virtio_mem_xlate_user_cancel_faults() - end all faults
 * @user: the VMM's memory
 *
 * For the end of a back end, before it waits for its workers: a fault of a task without the
 * memory of the process, such as a kernel thread, may wait for userfaultfd, and so for a file
 * that the process closes after that of the back end.  Such faults return -EINTR at once from now
 * on, and so do all faults to come.
 *
 * Context: Any but NMI.
 */
void virtio_mem_xlate_user_cancel_faults(struct virtio_mem_xlate_user *user)
{
	WRITE_ONCE(user->cancelled, true);
	wake_up_all(&user->faults);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_cancel_faults);

/**
 * virtio_mem_xlate_user_set_log() - log the device's writes in memory of the process
 * @user: the VMM's memory
 * @uaddr: of the bitmap, a multiple of 8, as VHOST_SET_LOG_BASE has it: in longs, bit n is the
 *	page of 2^VIRTIO_MEM_XLATE_LOG_SHIFT guest bytes with that number
 * @size: bytes of the bitmap, a multiple of 8; with 0 and an @uaddr of 0 the log ends
 *
 * Pins the bitmap as virtio_mem_xlate_user_pin() does, until another call replaces it or ends the
 * log: if the process maps other memory there, it must set the log again.  See
 * virtio_mem_xlate_dirty().  Calls are serialised by the caller.
 *
 * Context: Process context of the memory's owner; to end the log, of any process.  Sleeps until
 * the views of before are gone, so the caller must hold no view.
 * Return: 0, -EINVAL for an @uaddr or @size that is not a multiple of 8, or an error of
 * virtio_mem_xlate_user_pin().
 */
int virtio_mem_xlate_user_set_log(struct virtio_mem_xlate_user *user, u64 uaddr, u64 size)
{
	struct virtio_mem_xlate_user_stretch *log = NULL;

	if (!IS_ALIGNED(uaddr | size, sizeof(u64)) || (uaddr && !size))
		return -EINVAL;
	if (size) {
		log = virtio_mem_xlate_user_pin(uaddr, size, VIRTIO_MEM_XLATE_RW);
		if (IS_ERR(log))
			return PTR_ERR(log);
		virtio_mem_xlate_log_start(user->xlate, virtio_mem_xlate_user_kva(log),
					   size * BITS_PER_BYTE);
	} else {
		virtio_mem_xlate_log_stop(user->xlate);
	}
	swap(user->log, log);
	if (log)
		virtio_mem_xlate_user_unpin(log);
	return 0;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_set_log);

/**
 * virtio_mem_xlate_user_gpa() - guest-physical address of a byte of the VMM
 * @user: the VMM's memory
 * @uaddr: an address in the VMM, such as that of a ring in VHOST_SET_VRING_ADDR
 * @gpa: out: the guest-physical address
 *
 * The current table decides.  The result is about this one byte: translate a range to
 * check the bytes that follow.
 *
 * Context: Process context.  May sleep.
 * Return: 0, or -EFAULT if no region has this byte.
 */
int virtio_mem_xlate_user_gpa(struct virtio_mem_xlate_user *user, u64 uaddr, u64 *gpa)
{
	struct layout *layout = xlate_layout_get(user);
	const struct region *region;

	if (!layout)
		return -EFAULT;
	region = xlate_map_find(layout->map, uaddr);
	if (region)
		*gpa = region->gpa + (uaddr - region->uaddr);
	xlate_layout_put(layout);
	return region ? 0 : -EFAULT;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_gpa);

/**
 * virtio_mem_xlate_user_create() - make an empty table for a VMM's memory
 * @flags: 0, or several of
 *
 *	* VIRTIO_MEM_XLATE_USER_CONTIGUOUS - each region is contiguous in kernel addresses.  What
 *	  is lost of it is lost as a whole: use it for small regions, or such that do not change
 *	* VIRTIO_MEM_XLATE_USER_ON_DEMAND - setting a table pins nothing.  Memory comes by
 *	  virtio_mem_xlate_user_fault(), 2 MiB at a time
 *
 * Context: Process context.  May sleep.
 * Return: the object, for virtio_mem_xlate_user_destroy(), or an ERR_PTR: -EINVAL
 * for unknown flags, -ENOMEM.
 */
struct virtio_mem_xlate_user *virtio_mem_xlate_user_create(unsigned int flags)
{
	struct virtio_mem_xlate_user *user;
	struct virtio_mem_xlate *xlate;

	if (flags & ~(VIRTIO_MEM_XLATE_USER_CONTIGUOUS | VIRTIO_MEM_XLATE_USER_ON_DEMAND))
		return ERR_PTR(-EINVAL);
	user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);
	if (!user)
		return ERR_PTR(-ENOMEM);
	user->last = last_call_new();
	if (!user->last) {
		kfree(user);
		return ERR_PTR(-ENOMEM);
	}
	xlate = virtio_mem_xlate_register(NULL, 0);
	if (IS_ERR(xlate)) {
		kfree(user->last);
		kfree(user);
		return ERR_CAST(xlate);
	}
	/* MMU notifiers may call it until the layout is detached. */
	user->xlate = virtio_mem_xlate_get(xlate);
	user->flags = flags;
	refcount_set(&user->refs, 1);
	init_waitqueue_head(&user->faults);
	mutex_init(&user->update);
	mutex_init(&user->flip);
	INIT_LIST_HEAD(&user->lost);
	INIT_WORK(&user->relayout, relayout_work);
	xlate_report_add(user);
	return user;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_create);

/**
 * virtio_mem_xlate_user_destroy() - remove and unpin all memory
 * @user: from virtio_mem_xlate_user_create()
 *
 * No call that sets the table and no fault may run.  The call unregisters the context:
 * another holder of a reference may still translate through it, and gets -EFAULT for each
 * byte.
 *
 * Context: Process context of any process.  Sleeps until all views and holds have been
 * released: the caller must hold no view of this context.  Does not wait for page faults.
 */
void virtio_mem_xlate_user_destroy(struct virtio_mem_xlate_user *user)
{
	struct layout *layout;

	xlate_report_remove(user);
	mutex_lock(&user->update);
	user->dying = true;
	mutex_unlock(&user->update);
	/* After the layouts that it has replaced are on their way, it replaces none. */
	cancel_work_sync(&user->relayout);
	virtio_mem_xlate_unregister(user->xlate);
	if (user->log)
		virtio_mem_xlate_user_unpin(user->log);
	mutex_lock(&user->flip);
	layout = user->layout;
	user->layout = NULL;
	mutex_unlock(&user->flip);
	if (layout) {
		refcount_inc(&layout->memory);
		xlate_layout_put(layout);
		wait_for_completion(&layout->detached);
		xlate_layout_free(layout);
	}
	virtio_mem_xlate_call(user->xlate, &user->last->callback, last_call_end);
	wait_for_completion(&user->last->called);
	last_call_put(user->last);
	cancel_work_sync(&user->relayout);
	flush_workqueue(xlate_workqueue);
	virtio_mem_xlate_put(user->xlate);
	table_put(user);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_destroy);

/**
 * virtio_mem_xlate_user_context() - the context to translate through
 * @user: the VMM's memory
 *
 * The context is the same for the whole life of @user.  To use it longer, take a
 * reference by virtio_mem_xlate_get().  Only @user may update it.
 *
 * Context: Any.
 * Return: the context.
 */
struct virtio_mem_xlate *virtio_mem_xlate_user_context(const struct virtio_mem_xlate_user *user)
{
	return user->xlate;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_context);

static int __init virtio_mem_xlate_user_init(void)
{
	xlate_workqueue = alloc_workqueue("virtio_mem_xlate_user", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!xlate_workqueue)
		return -ENOMEM;
	fault_workqueue = alloc_workqueue("virtio_mem_xlate_fault", WQ_UNBOUND, 0);
	xlate_relayout_workqueue = alloc_workqueue("virtio_mem_xlate_relayout", WQ_UNBOUND, 0);
	if (!fault_workqueue || !xlate_relayout_workqueue) {
		if (fault_workqueue)
			destroy_workqueue(fault_workqueue);
		if (xlate_relayout_workqueue)
			destroy_workqueue(xlate_relayout_workqueue);
		destroy_workqueue(xlate_workqueue);
		return -ENOMEM;
	}
	xlate_report_init();
	return 0;
}
module_init(virtio_mem_xlate_user_init);

static void __exit virtio_mem_xlate_user_exit(void)
{
	xlate_report_exit();
	destroy_workqueue(fault_workqueue);
	destroy_workqueue(xlate_relayout_workqueue);
	destroy_workqueue(xlate_workqueue);
}
module_exit(virtio_mem_xlate_user_exit);

MODULE_DESCRIPTION("Let a VMM's memory be translated by virtio_mem_xlate");
MODULE_LICENSE("GPL");
