// SPDX-License-Identifier: GPL-2.0
/*
 * Translate a virtio driver's memory ranges for a device in the kernel: references, views,
 * holds, updates and exports.  The table itself is in virtio_mem_xlate_table.h (reader) and
 * virtio_mem_xlate_index.h (writer).
 *
 * Lock order: logging -> update -> change.
 *
 * - @logging serialises log_start() and log_stop(), over their wait for views.
 * - @update serialises the updates that build a table.  They allocate memory under it.
 * - @change serialises every change of the current table: its exchange, and in-place updates.
 *   Memory reclaim and MMU notifiers take it, so nothing is allocated under it, and nothing
 *   waits for a view.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/bvec.h>
#include <linux/completion.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/irqflags.h>
#include <linux/kallsyms.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/refcount.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/string.h>
#include <linux/swait.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "virtio_mem_xlate.h"
#include "virtio_mem_xlate_table.h"
#include "virtio_mem_xlate_index.h"
#include "virtio_mem_xlate_debug.h"

/* A range of slots that an update has changed in place. */
struct change {
	u64 gpa;
	u64 size;
};

#define NR_CHANGES	64

/* The bitmap of a dirty log: bit n is page n. */
struct virtio_mem_xlate_log {
	unsigned long *bitmap;
	u64 nr_bits;
};

/**
 * struct virtio_mem_xlate - one driver's memory
 *
 * Opaque and counted: virtio_mem_xlate_register() makes it with one reference,
 * which virtio_mem_xlate_unregister() drops; virtio_mem_xlate_get() takes more.
 */
struct virtio_mem_xlate {
	/* private: */
	struct virtio_mem_xlate_table __rcu *table;	/* written under @change */
	struct srcu_struct views;
	struct srcu_struct holds;
	unsigned long __percpu *nr_holds;	/* their sum is the number of holds */
#ifdef CONFIG_TINY_SRCU
	unsigned long nr_held[2];	/* by index of @holds, with interrupts off */
#endif
	struct mutex logging, update, change;
	refcount_t refs;
	u32 id;
	char *owner;		/* who registered it, for people */
	struct work_struct free;
	struct work_struct renew;	/* makes a table whose generations start anew */
	/*
	 * Slots are settled when the views of @settle_generation of table @settle_version are
	 * gone.  Written under @change, as are the changes while somebody builds a table.
	 */
	struct work_struct settle;
	struct rcu_head settle_rcu;
	bool settling, dying;
	u32 settle_generation;
	u64 settle_version;
	u32 build_generation;		/* of the table when a build began, or U32_MAX */
	unsigned int nr_changes;	/* above NR_CHANGES: not all are in @changes */
	struct change changes[NR_CHANGES];
	/* One batch of callbacks waits for views, then for holds, then for a worker. */
	raw_spinlock_t calls_lock;
	struct list_head calls;		/* those behind the batch, in order, under @calls_lock */
	struct list_head batch;		/* of its owner, who found @calling false */
	bool calling;			/* under @calls_lock */
	struct rcu_head call_rcu;
	struct work_struct call;
	struct virtio_mem_xlate_log logs[2];
	unsigned int next_log;
	/*
	 * A lock class for each context, else lockdep would take a view of one context that is
	 * held over an update of another context for a deadlock.
	 */
	struct lock_class_key views_key;
	struct xlate_debug debug;	/* last: far from what readers read */
};

/* All contexts that are not freed yet, by id. */
static DEFINE_XARRAY_ALLOC(contexts);

/* For work that sleeps on behalf of callers that may not; callbacks may give memory back. */
static struct workqueue_struct *workqueue, *callback_queue;

/* The table of unregistered contexts.  It has no slot and is never written. */
static struct xlate_slot no_slots_ends[NR_ENDS];
static unsigned long no_slots_entries[1];
static struct virtio_mem_xlate_table no_slots = {
	.slots = no_slots_ends,
	.entries = no_slots_entries,
	.young_first = U32_MAX,
};

/*
 * Large tables are of contiguous pages, since kmalloc() would round up to a power of two of
 * them; of any pages where memory is fragmented, at the price of more TLB misses.
 */
static void *table_alloc(size_t bytes)
{
	if (bytes < PAGE_SIZE)
		return kmalloc(bytes, GFP_KERNEL_ACCOUNT);
	return alloc_pages_exact(bytes, GFP_KERNEL_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN) ?:
	       vmalloc_huge(bytes, GFP_KERNEL_ACCOUNT);
}

static void table_free(struct virtio_mem_xlate_table *table)
{
	if (table == &no_slots)
		return;
	if (table->bytes < PAGE_SIZE)
		kfree(table);
	else if (is_vmalloc_addr(table))
		vfree(table);
	else
		free_pages_exact(table, table->bytes);
}

static void table_free_rcu(struct rcu_head *rcu)
{
	table_free(container_of(rcu, struct virtio_mem_xlate_table, rcu));
}

static struct virtio_mem_xlate_table *current_table(struct virtio_mem_xlate *xlate)
{
	return rcu_dereference_protected(xlate->table, lockdep_is_held(&xlate->change));
}

/*
 * Waiting for readers
 */

#define STALL_SECONDS	10

/* An update that waits; lives on its stack. */
struct stall {
	struct delayed_work work;
	struct virtio_mem_xlate *xlate;
	bool for_holds;
};

/* A guest cannot cause this: a back end holds a view or a hold for so long. */
static void stall_work(struct work_struct *work)
{
	struct stall *stall = container_of(to_delayed_work(work), struct stall, work);
	bool for_holds = READ_ONCE(stall->for_holds);

	pr_warn_ratelimited("context %u, registered by %s: an update has waited for %s for %u s\n",
			    stall->xlate->id, stall->xlate->owner, for_holds ? "holds" : "views",
			    STALL_SECONDS);
	trace_virtio_mem_xlate_stall(stall->xlate->id, for_holds);
}

/*
 * Returns when every view that was taken before is gone, and if @and_holds every hold, too; after
 * how many nanoseconds.  Neither @update nor @change is held, so that updates share the wait.
 */
static u64 wait_for_readers(struct virtio_mem_xlate *xlate, bool and_holds)
{
	struct stall stall = { .xlate = xlate };
	u64 ns = ktime_get_ns();

	might_sleep();
	debug_wait(&xlate->debug);
	INIT_DELAYED_WORK_ONSTACK(&stall.work, stall_work);
	queue_delayed_work(workqueue, &stall.work, STALL_SECONDS * HZ);
	synchronize_srcu_expedited(&xlate->views);
	if (and_holds) {
		WRITE_ONCE(stall.for_holds, true);
		synchronize_srcu_expedited(&xlate->holds);
	}
	cancel_delayed_work_sync(&stall.work);
	destroy_delayed_work_on_stack(&stall.work);
	ns = ktime_get_ns() - ns;
	debug_waited(&xlate->debug, ns);
	return ns;
}

/* The wait of an update, which leaves @nr_slots in the table. */
static void finish_update(struct virtio_mem_xlate *xlate, bool and_holds, unsigned int nr_slots)
{
	trace_virtio_mem_xlate_update(xlate->id, nr_slots, wait_for_readers(xlate, and_holds));
}

static void calls_after_holds(struct rcu_head *rcu)
{
	struct virtio_mem_xlate *xlate = container_of(rcu, struct virtio_mem_xlate, call_rcu);

	queue_work(callback_queue, &xlate->call);
}

static void calls_after_views(struct rcu_head *rcu)
{
	struct virtio_mem_xlate *xlate = container_of(rcu, struct virtio_mem_xlate, call_rcu);

	call_srcu(&xlate->holds, rcu, calls_after_holds);
}

/* Makes the callbacks that wait a batch, if there are any and no batch is under way. */
static void calls_start(struct virtio_mem_xlate *xlate, bool ended)
{
	unsigned long flags;
	bool start;

	raw_spin_lock_irqsave(&xlate->calls_lock, flags);
	if (ended)
		xlate->calling = false;
	start = !xlate->calling && !list_empty(&xlate->calls);
	if (start) {
		xlate->calling = true;
		list_splice_init(&xlate->calls, &xlate->batch);
	}
	raw_spin_unlock_irqrestore(&xlate->calls_lock, flags);
	if (start)
		call_srcu(&xlate->views, &xlate->call_rcu, calls_after_views);
}

static void call_work(struct work_struct *work)
{
	struct virtio_mem_xlate *xlate = container_of(work, struct virtio_mem_xlate, call);
	struct virtio_mem_xlate_callback *callback, *next;

	list_for_each_entry_safe(callback, next, &xlate->batch, list) {
		debug_called(&xlate->debug);
		callback->func(callback);
		cond_resched();
	}
	INIT_LIST_HEAD(&xlate->batch);
	calls_start(xlate, true);
}

/**
 * virtio_mem_xlate_call() - call a function when old views and holds are gone
 * @xlate: the context, which the caller has a reference to
 * @callback: part of the caller's own object; in use until @func is called
 * @func: called once, in process context; it may sleep and may free @callback
 *
 * As call_srcu(): every view and every hold that exists now is gone when @func is called.  After
 * an update that does not wait, @func is the place to free or unpin memory.  The callbacks of a
 * context are called one after the other, in the order of these calls, so a slow one delays
 * the others.
 *
 * virtio_mem_xlate_unregister() returns only after all callbacks that were queued before it have
 * run: do not call it from @func, and keep the module of @func loaded until then.
 *
 * Context: Any but NMI, with views held, under memory reclaim too.  Allocates nothing.
 */
void virtio_mem_xlate_call(struct virtio_mem_xlate *xlate,
			   struct virtio_mem_xlate_callback *callback,
			   void (*func)(struct virtio_mem_xlate_callback *callback))
{
	unsigned long flags;

	callback->func = func;
	debug_call(&xlate->debug);
	raw_spin_lock_irqsave(&xlate->calls_lock, flags);
	list_add_tail(&callback->list, &xlate->calls);
	raw_spin_unlock_irqrestore(&xlate->calls_lock, flags);
	calls_start(xlate, false);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_call);

struct last_call {
	struct virtio_mem_xlate_callback callback;
	struct completion called;
};

static void complete_last_call(struct virtio_mem_xlate_callback *callback)
{
	complete(&container_of(callback, struct last_call, callback)->called);
}

/* Returns when all callbacks that are queued now have run. */
static void wait_for_calls(struct virtio_mem_xlate *xlate)
{
	struct last_call last;
	unsigned long flags;
	bool calling;

	raw_spin_lock_irqsave(&xlate->calls_lock, flags);
	calling = xlate->calling;
	raw_spin_unlock_irqrestore(&xlate->calls_lock, flags);
	if (calling) {
		init_completion(&last.called);
		virtio_mem_xlate_call(xlate, &last.callback, complete_last_call);
		wait_for_completion(&last.called);
	}
	flush_work(&xlate->call);
}

/**
 * virtio_mem_xlate_synchronize() - wait until old views are gone
 * @xlate: the context
 *
 * As synchronize_srcu(): returns when every view that existed at the call is gone.  Does not
 * wait for holds: virtio_mem_xlate_call() does.
 *
 * Context: Process context.  Sleeps, so the caller must hold no view of @xlate.
 */
void virtio_mem_xlate_synchronize(struct virtio_mem_xlate *xlate)
{
	wait_for_readers(xlate, false);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_synchronize);

/*
 * Contexts
 */

static void context_free(struct virtio_mem_xlate *xlate)
{
	wait_for_calls(xlate);
	mutex_lock(&xlate->change);
	xlate->dying = true;
	mutex_unlock(&xlate->change);
	srcu_barrier(&xlate->views);
	cancel_work_sync(&xlate->settle);
	cancel_work_sync(&xlate->renew);
	/* Before the id, and so the name of the folder, can be another's. */
	debug_remove(&xlate->debug);
	xa_erase(&contexts, xlate->id);
	srcu_barrier(&xlate->views);	/* the tables that renew_work() has replaced */
	srcu_barrier(&xlate->holds);
	cleanup_srcu_struct(&xlate->holds);
	cleanup_srcu_struct(&xlate->views);
	lockdep_unregister_key(&xlate->views_key);
	mutex_destroy(&xlate->change);
	mutex_destroy(&xlate->update);
	mutex_destroy(&xlate->logging);
	table_free(rcu_dereference_protected(xlate->table, true));
	free_percpu(xlate->nr_holds);
	kfree(xlate->owner);
	kfree(xlate);
}

static void context_free_work(struct work_struct *work)
{
	context_free(container_of(work, struct virtio_mem_xlate, free));
}

/* Numbers that are apart by more than a table has generations. */
static atomic64_t versions;

/* A table with room for @nr_base other slots in front of @slots, for table_complete(). */
static struct virtio_mem_xlate_table *table_create(unsigned int nr_base,
						   const struct virtio_mem_xlate_slot *slots,
						   unsigned int nr_slots)
{
	struct virtio_mem_xlate_table *table;
	int err;

	if (nr_slots > VIRTIO_MEM_XLATE_MAX_SLOTS - nr_base)
		return ERR_PTR(-ENOSPC);
	if (nr_slots && !slots)
		return ERR_PTR(-EINVAL);
	table = table_alloc(table_bytes(nr_base + nr_slots));
	if (!table)
		return ERR_PTR(-ENOMEM);
	table_init(table, nr_base + nr_slots);
	err = slots_fill(table->slots + nr_base, slots, nr_slots);
	if (err) {
		table_free(table);
		return ERR_PTR(err);
	}
	return table;
}

/*
 * Completes a table_create() of @nr_slots with the slots of @base, if any, that were live at
 * @generation.
 */
static int table_complete(struct virtio_mem_xlate_table *table,
			  const struct virtio_mem_xlate_table *base, u32 generation,
			  unsigned int nr_slots)
{
	if (base)
		table_merge(table, base, generation, nr_slots);
	table->version = atomic64_add_return(GENERATIONS, &versions);
	return table_seal(table);
}

/* The order in which memory reclaim takes @change, for lockdep to know it from the start. */
static void teach_reclaim(struct mutex *change)
{
	fs_reclaim_acquire(GFP_KERNEL);
	might_lock(change);
	fs_reclaim_release(GFP_KERNEL);
}

static void settle_work(struct work_struct *work);
static void renew_work(struct work_struct *work);

/**
 * virtio_mem_xlate_register() - make a context from a table of memslots
 * @slots: the slots, in any order; copied
 * @nr_slots: their number, 0 to %VIRTIO_MEM_XLATE_MAX_SLOTS
 *
 * The memory behind the slots stays the caller's.  It must be valid until the call that removes
 * it from the table has returned, or as virtio_mem_xlate_call() says.
 *
 * Context: Process context.  May sleep.
 * Return: a context with one reference, which virtio_mem_xlate_unregister() drops, or an ERR_PTR:
 *
 * * -EINVAL - a slot has size 0, ends above U64_MAX, is larger than SIZE_MAX, has a @kva that is
 *   NULL or wraps, has access 0 or unknown bits, or is absent and has a @kva
 * * -EEXIST - two slots share a guest byte
 * * -ENOSPC - there are too many
 * * -ENOMEM - no memory
 */
noinline struct virtio_mem_xlate *
virtio_mem_xlate_register(const struct virtio_mem_xlate_slot *slots, unsigned int nr_slots)
{
	struct virtio_mem_xlate_table *table;
	struct virtio_mem_xlate *xlate;
	int err;

	table = table_create(0, slots, nr_slots);
	if (IS_ERR(table))
		return ERR_CAST(table);
	err = table_complete(table, NULL, 0, nr_slots);
	if (err)
		goto err_table;
	err = -ENOMEM;
	xlate = kzalloc(sizeof(*xlate), GFP_KERNEL_ACCOUNT);
	if (!xlate)
		goto err_table;
	xlate->owner = kasprintf(GFP_KERNEL_ACCOUNT, "%ps", __builtin_return_address(0));
	if (!xlate->owner)
		goto err_xlate;
	xlate->nr_holds = alloc_percpu_gfp(unsigned long, GFP_KERNEL_ACCOUNT);
	if (!xlate->nr_holds)
		goto err_owner;
	err = init_srcu_struct(&xlate->views);
	if (err)
		goto err_percpu;
	err = init_srcu_struct(&xlate->holds);
	if (err)
		goto err_views;
	lockdep_register_key(&xlate->views_key);
	lockdep_set_class_and_name(&xlate->views, &xlate->views_key, "virtio_mem_xlate");
	mutex_init(&xlate->logging);
	mutex_init(&xlate->update);
	mutex_init(&xlate->change);
	teach_reclaim(&xlate->change);
	raw_spin_lock_init(&xlate->calls_lock);
	INIT_LIST_HEAD(&xlate->calls);
	INIT_LIST_HEAD(&xlate->batch);
	refcount_set(&xlate->refs, 1);
	INIT_WORK(&xlate->free, context_free_work);
	INIT_WORK(&xlate->renew, renew_work);
	INIT_WORK(&xlate->settle, settle_work);
	INIT_WORK(&xlate->call, call_work);
	xlate->build_generation = U32_MAX;
	RCU_INIT_POINTER(xlate->table, table);
	err = xa_alloc(&contexts, &xlate->id, xlate, xa_limit_31b, GFP_KERNEL_ACCOUNT);
	if (err)
		goto err_holds;
	debug_add(&xlate->debug, xlate, xlate->id, xlate->owner);
	return xlate;

err_holds:
	mutex_destroy(&xlate->change);
	mutex_destroy(&xlate->update);
	mutex_destroy(&xlate->logging);
	lockdep_unregister_key(&xlate->views_key);
	cleanup_srcu_struct(&xlate->holds);
err_views:
	cleanup_srcu_struct(&xlate->views);
err_percpu:
	free_percpu(xlate->nr_holds);
err_owner:
	kfree(xlate->owner);
err_xlate:
	kfree(xlate);
err_table:
	table_free(table);
	return ERR_PTR(err);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_register);

/*
 * Updates
 */

/* An update has changed the slots of [@gpa, @gpa + @size) of the current table in place. */
static void note_change(struct virtio_mem_xlate *xlate, u64 gpa, u64 size)
{
	if (xlate->nr_changes < NR_CHANGES)
		xlate->changes[xlate->nr_changes] = (struct change){ gpa, size };
	if (xlate->nr_changes <= NR_CHANGES)
		xlate->nr_changes++;
	if (current_table(xlate)->generation > FLIPS / 2)
		queue_work(workqueue, &xlate->renew);
}

/*
 * Must publish() carry @slot?  In the place of a slot that was removed before it began, the next
 * table may have a new slot.  A replace(), which does not @keep slots, has memory of its own for
 * each slot that did not change; among @all slots are such slots.
 */
static bool must_carry(const struct xlate_slot *slot, u32 generation, bool keep, bool all)
{
	if (!slot_is_live(slot))
		return keep && slot_changed_since(slot, generation);
	return keep || !all || slot_changed_since(slot, generation);
}

/*
 * Brings the changes since publish() began at @generation into @new: those noted, or the state of
 * all slots.
 */
static void carry_changes(struct virtio_mem_xlate *xlate, struct virtio_mem_xlate_table *new,
			  u32 generation, bool keep)
{
	const struct virtio_mem_xlate_table *base = current_table(xlate);
	const struct change whole = { base->slots[0].gpa, U64_MAX - base->slots[0].gpa };
	bool all = xlate->nr_changes > NR_CHANGES;
	unsigned int nr = all ? 1 : xlate->nr_changes, i;
	const struct xlate_slot *slot;

	for (i = 0; i < nr; i++) {
		const struct change *change = all ? &whole : &xlate->changes[i];

		slot = table_search(base, SEARCH_ALL, change->gpa);
		for (; slot < base->slots + base->nr_slots &&
		     slot->gpa - change->gpa < change->size; slot++) {
			step(slot - base->slots);
			if (must_carry(slot, generation, keep, all))
				table_carry(new, slot);
		}
	}
}

/*
 * Publishes a table of @slots, and if @keep of the live slots of the current table.  @old gets
 * the table that was current before, which views may still see.
 */
static int publish(struct virtio_mem_xlate *xlate, bool keep,
		   const struct virtio_mem_xlate_slot *slots, unsigned int nr_slots,
		   struct virtio_mem_xlate_table **old)
{
	struct virtio_mem_xlate_table *new, *base;
	unsigned int nr_base;
	u32 generation;
	int err;

	guard(mutex)(&xlate->update);
	scoped_guard(mutex, &xlate->change) {
		base = current_table(xlate);
		nr_base = keep ? base->nr_live : 0;
		generation = base->generation;
		xlate->nr_changes = 0;
		xlate->build_generation = generation;
	}
	if (base == &no_slots)
		return -ENODEV;
	/* The slow part is not under @change; other updates may change @base in place meanwhile. */
	new = table_create(nr_base, slots, nr_slots);
	err = IS_ERR(new) ? PTR_ERR(new) :
			    table_complete(new, keep ? base : NULL, generation, nr_slots);
	scoped_guard(mutex, &xlate->change) {
		xlate->build_generation = U32_MAX;
		if (!err) {
			carry_changes(xlate, new, generation, keep);
			new->log = base->log;
			/* Pairs with srcu_dereference() in virtio_mem_xlate_read_lock(). */
			rcu_assign_pointer(xlate->table, new);
		}
	}
	if (err && !IS_ERR(new))
		table_free(new);
	*old = base;
	return err;
}

/* As publish(), and waits for views; for holds too if it does not @keep. */
static int update(struct virtio_mem_xlate *xlate, bool keep,
		  const struct virtio_mem_xlate_slot *slots, unsigned int nr_slots)
{
	struct virtio_mem_xlate_table *old;
	int err = publish(xlate, keep, slots, nr_slots, &old);

	if (err)
		return err;
	finish_update(xlate, !keep, nr_slots + (keep ? old->nr_live : 0));
	table_free(old);
	return 0;
}

/**
 * virtio_mem_xlate_replace() - replace the table
 * @xlate: the context
 * @slots: the slots of the new table, in any order; copied
 * @nr_slots: their number, 0 to %VIRTIO_MEM_XLATE_MAX_SLOTS
 *
 * Every view sees either the old table or the new one, whole.  When this returns 0, no view and
 * no hold reaches the old table any more: memory that is only in the old table may be freed at
 * once.  On failure the old table stays current, unchanged.
 *
 * Context: Process context.  Sleeps until the views and holds of before are gone, so the caller
 * must hold no view of @xlate.
 * Return: 0, an error as from virtio_mem_xlate_register(), or -ENODEV if @xlate has been
 * unregistered.
 */
int virtio_mem_xlate_replace(struct virtio_mem_xlate *xlate,
			     const struct virtio_mem_xlate_slot *slots, unsigned int nr_slots)
{
	return update(xlate, false, slots, nr_slots);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_replace);

/**
 * virtio_mem_xlate_replace_nowait() - replace the table, and do not wait
 * @xlate: the context
 * @slots: the slots of the new table, in any order; copied
 * @nr_slots: their number, 0 to %VIRTIO_MEM_XLATE_MAX_SLOTS
 *
 * As virtio_mem_xlate_replace(), but returns while views and holds may still reach the old
 * table.  Memory that is only in the old table may be freed when a virtio_mem_xlate_call(), made
 * after this call, calls back.
 *
 * Context: Process context.  May sleep to allocate memory; views may be held.
 * Return: as virtio_mem_xlate_replace().
 */
int virtio_mem_xlate_replace_nowait(struct virtio_mem_xlate *xlate,
				    const struct virtio_mem_xlate_slot *slots,
				    unsigned int nr_slots)
{
	struct virtio_mem_xlate_table *old;
	int err = publish(xlate, false, slots, nr_slots, &old);

	if (!err)
		call_srcu(&xlate->views, &old->rcu, table_free_rcu);
	return err;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_replace_nowait);

/**
 * virtio_mem_xlate_prepare() - build the next table, for virtio_mem_xlate_commit()
 * @xlate: the context
 * @slots: the slots of the new table, in any order; copied
 * @nr_slots: their number, 0 to %VIRTIO_MEM_XLATE_MAX_SLOTS
 *
 * virtio_mem_xlate_replace_nowait() in two steps, for a caller whose memory may go away while the
 * table is built.  Its MMU notifier calls virtio_mem_xlate_prepared_absent() then, so that no
 * view ever sees a slot whose memory had gone before.  A lock of the caller, under which it
 * allocates nothing, orders these calls and virtio_mem_xlate_commit().
 *
 * Until virtio_mem_xlate_commit() or virtio_mem_xlate_abort(), which the same task must call soon,
 * other updates that build a table wait.  In-place updates of the current table go on.
 *
 * Context: Process context.  May sleep.
 * Return: the table, or an ERR_PTR as from virtio_mem_xlate_replace().
 */
struct virtio_mem_xlate_table *
virtio_mem_xlate_prepare(struct virtio_mem_xlate *xlate,
			 const struct virtio_mem_xlate_slot *slots, unsigned int nr_slots)
{
	struct virtio_mem_xlate_table *table;
	bool registered;
	int err;

	mutex_lock(&xlate->update);
	scoped_guard(mutex, &xlate->change)
		registered = current_table(xlate) != &no_slots;
	table = registered ? table_create(0, slots, nr_slots) : ERR_PTR(-ENODEV);
	if (!IS_ERR(table)) {
		err = table_complete(table, NULL, 0, nr_slots);
		if (!err)
			return table;
		table_free(table);
		table = ERR_PTR(err);
	}
	mutex_unlock(&xlate->update);
	return table;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_prepare);

/**
 * virtio_mem_xlate_prepared_absent() - take the memory of one slot of the next table away
 * @table: from virtio_mem_xlate_prepare()
 * @gpa: guest-physical address of the slot
 * @size: its size, exactly
 *
 * Context: Any that may sleep, under memory reclaim too.
 * Return: as virtio_mem_xlate_set_absent().
 */
int virtio_mem_xlate_prepared_absent(struct virtio_mem_xlate_table *table, u64 gpa, u64 size)
{
	return table_set_absent(table, gpa, size);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_prepared_absent);

/**
 * virtio_mem_xlate_commit() - make the next table the current one
 * @xlate: the context
 * @table: from virtio_mem_xlate_prepare()
 *
 * Views taken from now on see @table, as it is: whatever the slots of the table of before have
 * become meanwhile.  The dirty log stays.
 *
 * Context: Any that may sleep, under memory reclaim too.
 */
void virtio_mem_xlate_commit(struct virtio_mem_xlate *xlate, struct virtio_mem_xlate_table *table)
{
	struct virtio_mem_xlate_table *old;

	scoped_guard(mutex, &xlate->change) {
		old = current_table(xlate);
		table->log = old->log;
		/* Pairs with srcu_dereference() in virtio_mem_xlate_read_lock(). */
		rcu_assign_pointer(xlate->table, table);
	}
	mutex_unlock(&xlate->update);
	call_srcu(&xlate->views, &old->rcu, table_free_rcu);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_commit);

/**
 * virtio_mem_xlate_abort() - free the next table
 * @xlate: the context
 * @table: from virtio_mem_xlate_prepare()
 *
 * Context: Process context.
 */
void virtio_mem_xlate_abort(struct virtio_mem_xlate *xlate, struct virtio_mem_xlate_table *table)
{
	mutex_unlock(&xlate->update);
	table_free(table);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_abort);

/**
 * virtio_mem_xlate_add() - add slots to the table
 * @xlate: the context
 * @slots: the slots to add, in any order; copied
 * @nr_slots: their number
 *
 * All of them or none, and a view sees all or none.  The other slots keep their state, present or
 * absent.  Add many slots in one call: each call builds the table anew, at some 10 ns a slot.
 *
 * Context: Process context.  Sleeps until the views of before are gone, so the caller must hold
 * no view of @xlate.  Does not wait for holds.
 * Return: 0, an error as from virtio_mem_xlate_register() (-EEXIST also for a byte shared with a
 * slot of the table), or -ENODEV if @xlate has been unregistered.
 */
int virtio_mem_xlate_add(struct virtio_mem_xlate *xlate,
			 const struct virtio_mem_xlate_slot *slots, unsigned int nr_slots)
{
	return update(xlate, true, slots, nr_slots);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_add);

/* Removes the slots of a range in place; @nr_slots gets the number of slots that are left. */
static int remove_slots(struct virtio_mem_xlate *xlate, u64 gpa, u64 size, unsigned int *nr_slots)
{
	int err;

	guard(mutex)(&xlate->change);
	err = table_remove(current_table(xlate), gpa, size);
	if (!err)
		note_change(xlate, gpa, size);
	*nr_slots = current_table(xlate)->nr_live;
	return err;
}

/**
 * virtio_mem_xlate_remove_nowait() - remove the slots of a range, and do not wait
 * @xlate: the context
 * @gpa: guest-physical address of the first byte of a slot
 * @size: number of bytes from there to the last byte of the same slot or a later one
 *
 * As virtio_mem_xlate_remove(), but returns while views and holds may still reach the slots.
 * Their memory may be freed when a virtio_mem_xlate_call(), made after this call, calls back.
 *
 * Context: Process context, with views held, under memory reclaim and in an MMU notifier that may
 * sleep too.  Allocates nothing, waits for no view, and takes no lock under which memory is
 * allocated.  It may wait while another task builds a table.
 * Return: as virtio_mem_xlate_remove().
 */
int virtio_mem_xlate_remove_nowait(struct virtio_mem_xlate *xlate, u64 gpa, u64 size)
{
	unsigned int nr_slots;

	return remove_slots(xlate, gpa, size, &nr_slots);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_remove_nowait);

/**
 * virtio_mem_xlate_remove() - remove the slots of a range
 * @xlate: the context
 * @gpa: guest-physical address of the first byte of a slot
 * @size: number of bytes from there to the last byte of the same slot or a later one
 *
 * Removes all slots in the range, or none, in one update: a view sees all of them or none.  Holes
 * between them are allowed.  One call takes one wait, for any number of slots.
 *
 * Needs no memory, so it cannot fail for lack of it.  When this returns 0, no view and no hold
 * reaches a removed slot any more, and their memory may be freed.  The next
 * virtio_mem_xlate_replace() or virtio_mem_xlate_add() gives back the table's own memory, some 50
 * bytes a slot.
 *
 * Context: Process context.  Sleeps until the views and holds of before are gone, so the caller
 * must hold no view of @xlate.
 * Return: 0, or -ENOENT if the range does not begin with the first byte of a slot and end with
 * the last byte of a slot.
 */
int virtio_mem_xlate_remove(struct virtio_mem_xlate *xlate, u64 gpa, u64 size)
{
	unsigned int nr_slots;
	int err = remove_slots(xlate, gpa, size, &nr_slots);

	if (err)
		return err;
	finish_update(xlate, true, nr_slots);
	return 0;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_remove);

/**
 * virtio_mem_xlate_set_absent() - take the memory of one slot away
 * @xlate: the context
 * @gpa: guest-physical address of the slot
 * @size: its size, exactly
 *
 * The slot stays in the table, and views taken from now on get -EAGAIN for its bytes.  Its memory
 * may be freed when a virtio_mem_xlate_call(), made after this call, calls back.  Views of before
 * go on seeing the memory, until virtio_mem_xlate_set_present() gives the slot other memory.
 *
 * The cost is one search among all slots, and a write for each entry of the index that answers
 * for the slot alone: less than 2 us for 2 MiB.
 *
 * Context: as virtio_mem_xlate_remove_nowait().
 * Return: 0, also if the slot is absent already, or -ENOENT if there is no such slot.
 */
int virtio_mem_xlate_set_absent(struct virtio_mem_xlate *xlate, u64 gpa, u64 size)
{
	int err;

	guard(mutex)(&xlate->change);
	err = table_set_absent(current_table(xlate), gpa, size);
	if (!err)
		note_change(xlate, gpa, size);
	return err;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_set_absent);

static void settle_rcu(struct rcu_head *rcu)
{
	queue_work(workqueue, &container_of(rcu, struct virtio_mem_xlate, settle_rcu)->settle);
}

/* Makes the slots that are young now direct when the views of now are gone. */
static void settle_later(struct virtio_mem_xlate *xlate)
{
	xlate->settling = true;
	xlate->settle_version = current_table(xlate)->version;
	xlate->settle_generation = current_table(xlate)->generation;
	call_srcu(&xlate->views, &xlate->settle_rcu, settle_rcu);
}

/**
 * virtio_mem_xlate_set_present() - give an absent slot memory
 * @xlate: the context
 * @gpa: guest-physical address of the slot
 * @size: its size, exactly
 * @kva: kernel virtual address of its first byte
 * @access: VIRTIO_MEM_XLATE_READ, _WRITE or _RW
 *
 * Views taken from now on see the memory.  The slot may also come to life under a view that is
 * held, unless that view has seen other memory in it: no view sees both.  Until all views of
 * before are gone, a lookup in the slot takes a search.
 *
 * Context: as virtio_mem_xlate_remove_nowait().
 * Return: 0, or:
 *
 * * -ENOENT - there is no such slot
 * * -EEXIST - the slot is present
 * * -EINVAL - @kva is NULL or wraps, or @access is 0 or has unknown bits
 */
int virtio_mem_xlate_set_present(struct virtio_mem_xlate *xlate, u64 gpa, u64 size, void *kva,
				 unsigned int access)
{
	const struct virtio_mem_xlate_slot slot = { gpa, size, kva, access };
	int err;

	if (!__virtio_mem_xlate_access_is_valid(access) || !kva)
		return -EINVAL;
	guard(mutex)(&xlate->change);
	if (!table_find(current_table(xlate), gpa, size))
		return -ENOENT;
	err = slot_validate(&slot) ?:
	      table_set_present(current_table(xlate), gpa, size, kva, access);
	if (err)
		return err;
	note_change(xlate, gpa, size);
	if (!xlate->settling)
		settle_later(xlate);
	return 0;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_set_present);

/* A few slots at a time, as memory reclaim may wait for @change. */
static void settle_work(struct work_struct *work)
{
	struct virtio_mem_xlate *xlate = container_of(work, struct virtio_mem_xlate, settle);
	unsigned int first = U32_MAX, last = 0, end;
	struct virtio_mem_xlate_table *table;
	bool begun = false, more;

	do {
		mutex_lock(&xlate->change);
		table = current_table(xlate);
		/* The slots of another table are younger than the views that are gone. */
		more = table->version == xlate->settle_version;
		if (more && !begun) {
			swap(table->young_first, first);
			swap(table->young_last, last);
			begun = true;
		}
		more = more && first <= last;
		if (more) {
			end = min(last, first + NR_STEPS);
			table_settle(table, min(xlate->settle_generation, xlate->build_generation),
				     first, end);
			first = end + 1;
		} else if (table->young_first <= table->young_last && !xlate->dying) {
			settle_later(xlate);
		} else {
			xlate->settling = false;
		}
		mutex_unlock(&xlate->change);
	} while (more);
}

/* Without memory, the next in-place update tries again. */
static void renew_work(struct work_struct *work)
{
	struct virtio_mem_xlate *xlate = container_of(work, struct virtio_mem_xlate, renew);
	struct virtio_mem_xlate_table *old;

	if (!publish(xlate, true, NULL, 0, &old))
		call_srcu(&xlate->views, &old->rcu, table_free_rcu);
}

/**
 * virtio_mem_xlate_unregister() - remove all memory and drop the reference
 * @xlate: a context from virtio_mem_xlate_register()
 *
 * When this returns, no view and no hold reaches memory of @xlate, the memory may be freed, and
 * all callbacks that were queued before have run.  The holder of another reference may go on
 * translating: every byte gives -EFAULT.  Needs no memory.  The caller of
 * virtio_mem_xlate_register() unregisters a context once.
 *
 * Context: Process context.  Sleeps until the views and holds of before are gone, so the caller
 * must hold no view of @xlate.
 */
void virtio_mem_xlate_unregister(struct virtio_mem_xlate *xlate)
{
	struct virtio_mem_xlate_table *old;

	scoped_guard(mutex, &xlate->update) {
		scoped_guard(mutex, &xlate->change) {
			old = current_table(xlate);
			rcu_assign_pointer(xlate->table, &no_slots);
		}
	}
	finish_update(xlate, true, 0);
	wait_for_calls(xlate);
	table_free(old);
	virtio_mem_xlate_put(xlate);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_unregister);

/**
 * virtio_mem_xlate_get() - take a reference
 * @xlate: a context that the caller already has a reference to
 *
 * A reference keeps the context, not the memory: virtio_mem_xlate_unregister() removes that.
 *
 * Context: Any but NMI.
 * Return: @xlate.
 */
struct virtio_mem_xlate *virtio_mem_xlate_get(struct virtio_mem_xlate *xlate)
{
	refcount_inc(&xlate->refs);
	return xlate;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_get);

/**
 * virtio_mem_xlate_put() - drop a reference
 * @xlate: a context that virtio_mem_xlate_get() gave
 *
 * The last one frees the context, later and in process context.  No view and no hold of @xlate
 * may exist then.  A CLASS(virtio_mem_xlate_view) releases its view at the end of its scope, so
 * the last reference must not be dropped inside that scope, not even as its last statement: put
 * it behind the scope, or release the view by hand before.
 *
 * Context: Any but NMI.
 */
void virtio_mem_xlate_put(struct virtio_mem_xlate *xlate)
{
	if (refcount_dec_and_test(&xlate->refs))
		queue_work(workqueue, &xlate->free);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_put);

/*
 * Views and holds
 */

/**
 * virtio_mem_xlate_read_lock() - take a view
 * @xlate: the context, which the caller has a reference to
 * @view: where to keep it; on the caller's stack
 *
 * Until virtio_mem_xlate_read_unlock() the view sees the table that is current now, even if
 * another is published meanwhile, and the memory behind it stays.
 * CLASS(virtio_mem_xlate_view, view)(xlate) does the same by scope.
 *
 * Context: Any but NMI.  The holder may sleep, take further views, and must release this one in
 * the task, or in the interrupt, that took it.  A view held for long delays every update of
 * @xlate.
 */
void virtio_mem_xlate_read_lock(struct virtio_mem_xlate *xlate,
				struct virtio_mem_xlate_view *view)
	__acquires(&xlate->views)
{
	view->xlate = xlate;
	view->srcu_idx = srcu_read_lock(&xlate->views);
	/* Pairs with rcu_assign_pointer() in publish() and virtio_mem_xlate_unregister(). */
	view->table = srcu_dereference(xlate->table, &xlate->views);
	view->generation = table_generation(view->table);
	view->version = view->table->version + view->generation;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_read_lock);

/**
 * virtio_mem_xlate_read_unlock() - release a view
 * @view: from virtio_mem_xlate_read_lock()
 *
 * Every device range that came through the view is void from here on, unless a
 * virtio_mem_xlate_hold() keeps it.
 *
 * Context: That of the matching virtio_mem_xlate_read_lock().
 */
void virtio_mem_xlate_read_unlock(struct virtio_mem_xlate_view *view)
	__releases(&view->xlate->views)
{
	srcu_read_unlock(&view->xlate->views, view->srcu_idx);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_read_unlock);

/**
 * virtio_mem_xlate_view_is_current() - would a view that is taken now see anything else?
 * @view: a view that the caller holds
 *
 * For a back end that polls under a view.  Memory that the driver has named after it was taken
 * away and given back, as by a balloon, is other memory, which an older view does not see.  So
 * read what the driver has published, such as the index of the available ring, and call this.
 * If it returns false, take another view, and read again.
 *
 * Context: Any but NMI.  Orders the caller's reads of before: they are done when this looks.
 * Return: false if the table has changed since @view was taken.
 */
bool virtio_mem_xlate_view_is_current(const struct virtio_mem_xlate_view *view)
{
	/*
	 * Who takes memory away changes the table first, and who gives it back publishes it last.
	 * Pairs with the barrier of who publishes, as the driver before it moves its index.
	 */
	smp_rmb();
	return rcu_access_pointer(view->xlate->table) == view->table &&
	       table_generation(view->table) == view->generation;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_view_is_current);

#ifdef CONFIG_DEBUG_FS
static unsigned long holds_count(struct virtio_mem_xlate *xlate)
{
	long n = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		n += READ_ONCE(*per_cpu_ptr(xlate->nr_holds, cpu));
	/* A hold and its release on another processor may have been seen by half. */
	return max(n, 0L);
}
#endif

/*
 * srcu_down_read() and srcu_up_read(), which 6.1 lacks, without their checks of the context: a
 * hold is released in interrupts, too.  The counters of Tiny SRCU are short and not safe against
 * interrupts, and its unlock wakes nobody in one; so it counts the first and the last hold only.
 */
#ifdef CONFIG_TINY_SRCU
static int holds_lock(struct virtio_mem_xlate *xlate)
{
	unsigned long flags;
	int idx;

	local_irq_save(flags);
	idx = __srcu_read_lock(&xlate->holds);
	if (xlate->nr_held[idx]++)
		__srcu_read_unlock(&xlate->holds, idx);
	local_irq_restore(flags);
	return idx;
}

static void holds_unlock(struct virtio_mem_xlate *xlate, int idx)
{
	unsigned long flags;

	local_irq_save(flags);
	if (!--xlate->nr_held[idx]) {
		__srcu_read_unlock(&xlate->holds, idx);
		if (READ_ONCE(xlate->holds.srcu_gp_waiting))
			swake_up_one(&xlate->holds.srcu_wq);
	}
	local_irq_restore(flags);
}
#else
static int holds_lock(struct virtio_mem_xlate *xlate)
	__acquires(&xlate->holds)
{
	return __srcu_read_lock(&xlate->holds);
}

static void holds_unlock(struct virtio_mem_xlate *xlate, int idx)
	__releases(&xlate->holds)
{
	__srcu_read_unlock(&xlate->holds, idx);
}
#endif

/**
 * virtio_mem_xlate_hold() - keep memory after the view is released
 * @view: a view that the caller holds
 * @hold: part of the caller's request
 *
 * All memory that @view can reach stays until virtio_mem_xlate_release().  For I/O in flight.
 * Cannot fail, allocates nothing, and any number may be held.  virtio_mem_xlate_replace(),
 * _remove() and _unregister() wait for it, unless it is taken after they have begun to wait for
 * holds; virtio_mem_xlate_add() does not.
 *
 * A hold keeps memory, not the context: keep a reference for that.  The cost is that of a view.
 *
 * Context: Any but NMI.
 */
void virtio_mem_xlate_hold(const struct virtio_mem_xlate_view *view,
			   struct virtio_mem_xlate_hold *hold)
	__acquires(&view->xlate->holds)
{
	hold->xlate = view->xlate;
	hold->srcu_idx = holds_lock(view->xlate);
	this_cpu_inc(*view->xlate->nr_holds);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_hold);

/**
 * virtio_mem_xlate_release() - let held memory go
 * @hold: from virtio_mem_xlate_hold()
 *
 * Context: Any but NMI, in any task: a bio's end_io in a hardware interrupt too.
 */
void virtio_mem_xlate_release(struct virtio_mem_xlate_hold *hold)
	__releases(&hold->xlate->holds)
{
	this_cpu_dec(*hold->xlate->nr_holds);
	holds_unlock(hold->xlate, hold->srcu_idx);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_release);

/*
 * Translation
 */

/* Every failed lookup returns through here, once. */
static noinline int lookup_failed(const struct virtio_mem_xlate_view *view,
				  struct virtio_driver_range driver, unsigned int access, int err)
{
	debug_failure(&view->xlate->debug, err);
	trace_virtio_mem_xlate_fail(view->xlate->id, driver.start, driver.len, access, err);
	return err;
}

static int range_validate(struct virtio_driver_range driver, unsigned int access)
{
	return access_validate(access) ?: driver_range_validate(driver);
}

/*
 * The address of the range of @more + 1 bytes from @gpa on, which leaves its first bucket, or
 * NULL unless it lies in one slot that allows @access.  The end of the slot decides, so the cost
 * does not depend on the number of buckets.
 */
static noinline void *kva_beyond_bucket(const struct virtio_mem_xlate_view *view, u64 gpa,
					u64 more, unsigned int access)
{
	u64 bytes;
	void *kva;

	if (slot_byte(table_search(view->table, SEARCH_ALL, gpa), view->generation, gpa,
		      access, &kva, &bytes) || more >= bytes)
		return NULL;
	return kva;
}

/*
 * The search path: the address of the range of @more + 1 bytes from @gpa on, or NULL unless it
 * lies in one slot that allows @access, which is valid.  @entry is that of the largest bucket
 * with @gpa.
 *
 * Arguments and result fit in registers.  On some tables most lookups come here, behind a
 * mispredicted branch, and then each instruction counts.
 */
void *virtio_mem_xlate_kva_search(const struct virtio_mem_xlate_view *view, u64 gpa, u64 more,
				  unsigned int access, unsigned long entry)
{
	u64 bytes, behind;
	void *kva;

	entry = leaf_entry(view->table, entry, gpa, &behind);
	if (entry_is_direct(entry)) {
		if (more > behind)
			return kva_beyond_bucket(view, gpa, more, access);
		__virtio_mem_xlate_direct_kva(entry, ULONG_MAX, access, gpa, &kva);
		return kva;
	}
	if (slot_byte(table_search(view->table, entry, gpa), view->generation, gpa, access,
		      &kva, &bytes) || more >= bytes)
		return NULL;
	return kva;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_kva_search);

/* The cold path of virtio_mem_xlate_range(). */
int virtio_mem_xlate_range_cold(const struct virtio_mem_xlate_view *view,
				struct virtio_driver_range driver, unsigned int access,
				struct virtio_device_range *device)
{
	const struct xlate_slot *slot = table_slot(view->table, driver.start);
	struct virtio_driver_range rest = driver;
	u64 bytes;
	void *kva;
	int ret;

	*device = (struct virtio_device_range){};
	ret = range_validate(driver, access) ?: table_next(view, &slot, &rest, access, device);
	if (ret > 0 && rest.len) {
		*device = (struct virtio_device_range){};
		ret = slot_byte(slot, view->generation, rest.start, access, &kva, &bytes) ?:
		      -ENOBUFS;
	}
	return likely(ret >= 0) ? 0 : lookup_failed(view, driver, access, ret);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_range_cold);

/* The cold path of virtio_mem_xlate_next(). */
int virtio_mem_xlate_next_cold(const struct virtio_mem_xlate_view *view,
			       struct virtio_driver_range *driver, unsigned int access,
			       struct virtio_device_range *device)
{
	const struct xlate_slot *slot = table_slot(view->table, driver->start);
	int ret;

	*device = (struct virtio_device_range){};
	ret = range_validate(*driver, access) ?: table_next(view, &slot, driver, access, device);
	return likely(ret >= 0) ? ret : lookup_failed(view, *driver, access, ret);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_next_cold);

/*
 * The cold path of virtio_mem_xlate_cursor_range().  A cursor does not keep a slot above LONG_MAX
 * bytes: see slot_kva().  Nor a young slot, which has no access bits where the cursor looks for
 * them: another view of the same generation may not see it.  Nor any slot from FLIPS on, as
 * set_absent() then hides it without a new generation.  The address comes from the lookup, as an
 * update may have changed the slot since.
 */
int virtio_mem_xlate_cursor_cold(struct virtio_mem_xlate_cursor *cursor,
				 const struct virtio_mem_xlate_view *view,
				 struct virtio_driver_range driver, unsigned int access,
				 struct virtio_device_range *device)
{
	int err = virtio_mem_xlate_range(view, driver, access, device);
	const struct xlate_slot *slot;

	if (err || !driver.len)
		return err;
	slot = table_search(view->table, SEARCH_ALL, driver.start);
	if (slot->size <= LONG_MAX && view->generation < FLIPS)
		*cursor = (struct virtio_mem_xlate_cursor){
			.version = view->version,
			.gpa = slot->gpa,
			.size = slot->size,
			.to_kva = (unsigned long)device->kva - (unsigned long)driver.start,
			.access = READ_ONCE(slot->state) & VIRTIO_MEM_XLATE_RW,
		};
	return 0;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_cursor_cold);

/**
 * virtio_mem_xlate_kvec() - translate a range into an array for iov_iter_kvec()
 * @view: a view that the caller holds
 * @driver: the range, as the driver published it
 * @access: the access that the device will make: VIRTIO_MEM_XLATE_READ, _WRITE or _RW
 * @kvec: gets the pieces in order, contiguous neighbours as one; unspecified on
 *	failure
 * @nr_kvec: how many it has room for
 *
 * The call looks its first byte up and goes on along the slots.  It does not look at bytes
 * behind the first @nr_kvec pieces and the byte after them.
 *
 * Context: Any but NMI.  Never allocates, sleeps or logs.
 * Return: the number of pieces, 0 for an empty @driver, or a negative errno:
 *
 * * -EINVAL - @access is 0 or has unknown bits
 * * -EOVERFLOW - @driver ends above U64_MAX
 * * -EFAULT - the first byte that is inaccessible or has no room is in no slot
 * * -EPERM - that byte is in a slot without @access
 * * -EAGAIN - that byte is in an absent slot
 * * -ENOBUFS - that byte is accessible, and begins a piece for which there is no room
 */
int virtio_mem_xlate_kvec(const struct virtio_mem_xlate_view *view,
			  struct virtio_driver_range driver, unsigned int access,
			  struct kvec *kvec, unsigned int nr_kvec)
{
	u64 start = driver.start, rest = driver.len, len;
	const struct xlate_slot *slot;
	struct kvec *next = kvec;
	void *kva, *end = NULL;
	int err;

	if (nr_kvec && __virtio_mem_xlate_kva(view, driver, access, &kva)) {
		*kvec = (struct kvec){ .iov_base = kva, .iov_len = driver.len };
		return 1;
	}
	err = range_validate(driver, access);
	if (err)
		return lookup_failed(view, driver, access, err);
	for (slot = table_slot(view->table, start); rest; slot++) {
		err = slot_byte(slot, view->generation, start, access, &kva, &len);
		if (err)
			break;
		len = min(len, rest);
		if (kva == end) {
			next[-1].iov_len += len;
		} else if (next < kvec + nr_kvec) {
			*next++ = (struct kvec){ .iov_base = kva, .iov_len = len };
		} else {
			err = -ENOBUFS;
			break;
		}
		end = kva + len;
		start += len;
		rest -= len;
	}
	if (likely(!err))
		return next - kvec;
	return lookup_failed(view, (struct virtio_driver_range){ start, rest }, access, err);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_kvec);

/*
 * The struct page behind @kva, or NULL: the memory of a device has none.  On a kernel that has
 * SPARSEMEM without VMEMMAP, vmalloc_to_page() itself would read the missing page.
 */
static struct page *page_of(const void *kva)
{
	struct page *page = NULL;

	if (virt_addr_valid(kva))
		return virt_to_page(kva);
	if (is_vmalloc_addr(kva) &&
	    (!IS_ENABLED(CONFIG_SPARSEMEM) || IS_ENABLED(CONFIG_SPARSEMEM_VMEMMAP)))
		page = vmalloc_to_page(kva);
	return page && pfn_valid(page_to_pfn(page)) ? page : NULL;
}

/* Does @bvec end where the byte at @offset of @page begins, in physical memory? */
static bool bvec_touches(const struct bio_vec *bvec, const struct page *page, size_t offset)
{
	size_t end = bvec->bv_offset + (size_t)bvec->bv_len;
	unsigned long nr_pages = end >> PAGE_SHIFT;

	return end % PAGE_SIZE == offset && bvec->bv_page + nr_pages == page &&
	       page_to_pfn(bvec->bv_page) + nr_pages == page_to_pfn(page);
}

/* Appends @len bytes from @kva on to @n entries of @bvec, of @nr; @len becomes the rest. */
static int bvec_append(struct bio_vec *bvec, unsigned int *n, unsigned int nr, const void *kva,
		       u64 *len)
{
	while (*len) {
		size_t offset = offset_in_page(kva), part = min_t(u64, *len, PAGE_SIZE - offset);
		struct page *page = page_of(kva);

		if (!page)
			return -EOPNOTSUPP;
		if (*n && bvec_touches(&bvec[*n - 1], page, offset) &&
		    bvec[*n - 1].bv_len <= UINT_MAX - part) {
			bvec[*n - 1].bv_len += part;
		} else {
			if (*n == nr)
				return -ENOBUFS;
			bvec[(*n)++] = (struct bio_vec){
				.bv_page = page,
				.bv_len = part,
				.bv_offset = offset,
			};
		}
		kva += part;
		*len -= part;
	}
	return 0;
}

/**
 * virtio_mem_xlate_bvec() - translate a range into an array for iov_iter_bvec() or a bio
 * @view: a view that the caller holds
 * @driver: the range, as the driver published it
 * @access: the access that the device will make: VIRTIO_MEM_XLATE_READ, _WRITE or _RW
 * @bvec: gets the pieces in order, each physically contiguous, contiguous neighbours as one (also
 *	where they are not in kernel virtual addresses); unspecified on failure
 * @nr_bvec: how many it has room for
 *
 * An entry has at most UINT_MAX bytes.  Takes a step for each page, so bound the length of
 * @driver before.  Take a virtio_mem_xlate_hold() if the I/O ends after @view.
 *
 * Context: Any but NMI.  Never allocates, sleeps or logs.
 * Return: the number of pieces, 0 for an empty @driver, or a negative errno as from
 * virtio_mem_xlate_kvec(), or -EOPNOTSUPP if the first byte that is inaccessible, has no room or
 * has no struct page has no struct page: it is in the memory of a device.
 */
int virtio_mem_xlate_bvec(const struct virtio_mem_xlate_view *view,
			  struct virtio_driver_range driver, unsigned int access,
			  struct bio_vec *bvec, unsigned int nr_bvec)
{
	u64 start = driver.start, rest = driver.len, len, part;
	const struct xlate_slot *slot;
	unsigned int n = 0;
	void *kva;
	int err;

	err = range_validate(driver, access);
	if (err)
		return lookup_failed(view, driver, access, err);
	for (slot = table_slot(view->table, start); rest && !err; slot++) {
		err = slot_byte(slot, view->generation, start, access, &kva, &len);
		if (err)
			break;
		len = min(len, rest);
		part = len;
		err = bvec_append(bvec, &n, nr_bvec, kva, &len);
		start += part - len;
		rest -= part - len;
	}
	if (likely(!err))
		return n;
	return lookup_failed(view, (struct virtio_driver_range){ start, rest }, access, err);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_bvec);

/* 0 if every byte of @driver is accessible, else the error of the first that is not. */
static int check_copy(const struct virtio_mem_xlate_view *view, const struct xlate_slot *slot,
		      struct virtio_driver_range driver, unsigned int access)
{
	struct virtio_device_range piece;
	u64 len = driver.len;
	int ret = driver_range_validate(driver) ?: 1;

	while (ret > 0)
		ret = table_next(view, &slot, &driver, access, &piece);
	return ret ?: len > SIZE_MAX ? -ENOBUFS : 0;
}

/*
 * The driver may write a field of a ring at the same time.  Such a field is aligned and has 1,
 * 2, 4 or 8 bytes; memcpy() need not move it as one.
 */
static bool copy_field(void *dst, const void *src, size_t len)
{
	switch (IS_ALIGNED((uintptr_t)dst | (uintptr_t)src, len) ? len : 0) {
	case sizeof(u16):
		WRITE_ONCE(*(u16 *)dst, READ_ONCE(*(const u16 *)src));
		return true;
	case sizeof(u32):
		WRITE_ONCE(*(u32 *)dst, READ_ONCE(*(const u32 *)src));
		return true;
	case sizeof(u64):
		WRITE_ONCE(*(u64 *)dst, READ_ONCE(*(const u64 *)src));
		return true;
	}
	return false;
}

/* Where the processor can, survives a memory error in the driver's memory. */
static int copy_in(void *dst, const void *src, size_t len)
{
	if (!copy_field(dst, src, len) && copy_mc_to_kernel(dst, src, len))
		return -EHWPOISON;
	return 0;
}

static void copy_out(void *dst, const void *src, size_t len)
{
	if (!copy_field(dst, src, len))
		memcpy(dst, src, len);
}

/**
 * virtio_mem_xlate_copy_from() - copy out of the driver's memory
 * @view: a view that the caller holds
 * @dst: where to; as long as @src
 * @src: the range, as the driver published it; may cross slots
 *
 * Checks the whole range before a byte moves: a lookup, and a step for each slot that it
 * crosses.  (If virtio_mem_xlate_set_present() gives a slot other memory at that moment, a view of
 * before may get -EAGAIN with a part moved.)  Check a length that the guest chose before.
 *
 * A @src of 2 bytes, of 4, or on a 64-bit host of 8, in one piece and aligned like @dst,
 * is read by one load, and so never half old,
 * half new.
 *
 * Context: Any but NMI.  Never allocates, sleeps or logs.
 * Return: 0, -EOVERFLOW, -EFAULT, -EPERM or -EAGAIN as from virtio_mem_xlate_range(), -ENOBUFS if
 * @src is longer than SIZE_MAX, which no @dst can be, or -EHWPOISON for a memory error in the
 * driver's memory, if the processor can recover from it; a part may have been copied then.
 */
int virtio_mem_xlate_copy_from(const struct virtio_mem_xlate_view *view, void *dst,
			       struct virtio_driver_range src)
{
	const struct xlate_slot *slot;
	struct virtio_device_range piece;
	void *kva;
	int err;

	if (__virtio_mem_xlate_kva(view, src, VIRTIO_MEM_XLATE_READ, &kva)) {
		err = copy_in(dst, kva, src.len);
		return likely(!err) ? 0 : lookup_failed(view, src, VIRTIO_MEM_XLATE_READ, err);
	}
	slot = table_slot(view->table, src.start);
	err = check_copy(view, slot, src, VIRTIO_MEM_XLATE_READ);
	if (err)
		return lookup_failed(view, src, VIRTIO_MEM_XLATE_READ, err);
	while (!err && (err = table_next(view, &slot, &src, VIRTIO_MEM_XLATE_READ, &piece)) > 0) {
		err = copy_in(dst, piece.kva, piece.len);
		dst += piece.len;
	}
	return likely(!err) ? 0 : lookup_failed(view, src, VIRTIO_MEM_XLATE_READ, err);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_copy_from);

/**
 * virtio_mem_xlate_copy_to() - copy into the driver's memory
 * @view: a view that the caller holds
 * @dst: the range, as the driver published it; may cross slots
 * @src: where from; as long as @dst
 *
 * Checks the whole range before a byte moves: a lookup, and a step for each slot that it
 * crosses.  (If virtio_mem_xlate_set_present() gives a slot other memory at that moment, a view of
 * before may get -EAGAIN with a part moved.)  Check a length that the guest chose before.
 *
 * A @dst of 2 bytes, of 4, or on a 64-bit host of 8, in one piece and aligned like @src,
 * is written by one store.  Marks the pages in
 * the dirty log, as virtio_mem_xlate_dirty() does.
 *
 * Context: Any but NMI.  Never allocates, sleeps or logs.
 * Return: 0, -EOVERFLOW, -EFAULT, -EPERM or -EAGAIN as from virtio_mem_xlate_range(), or
 * -ENOBUFS if @dst is longer than SIZE_MAX, which no @src can be.
 */
int virtio_mem_xlate_copy_to(const struct virtio_mem_xlate_view *view,
			     struct virtio_driver_range dst, const void *src)
{
	const struct virtio_driver_range whole = dst;
	const struct xlate_slot *slot;
	struct virtio_device_range piece;
	void *kva;
	int err;

	if (__virtio_mem_xlate_kva(view, dst, VIRTIO_MEM_XLATE_WRITE, &kva)) {
		copy_out(kva, src, dst.len);
		virtio_mem_xlate_dirty(view, dst);
		return 0;
	}
	slot = table_slot(view->table, dst.start);
	err = check_copy(view, slot, dst, VIRTIO_MEM_XLATE_WRITE);
	if (err)
		return lookup_failed(view, dst, VIRTIO_MEM_XLATE_WRITE, err);
	while ((err = table_next(view, &slot, &dst, VIRTIO_MEM_XLATE_WRITE, &piece)) > 0) {
		copy_out(piece.kva, src, piece.len);
		src += piece.len;
	}
	virtio_mem_xlate_dirty(view, whole);
	return likely(!err) ? 0 : lookup_failed(view, dst, VIRTIO_MEM_XLATE_WRITE, err);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_copy_to);

/*
 * The dirty log
 */

/* Makes @log the log of the current table, and returns when every view sees it. */
static void set_log(struct virtio_mem_xlate *xlate, struct virtio_mem_xlate_log *log)
{
	scoped_guard(mutex, &xlate->change) {
		struct virtio_mem_xlate_table *table = current_table(xlate);

		if (table != &no_slots)
			/* Pairs with smp_load_acquire() in virtio_mem_xlate_dirty_cold(). */
			smp_store_release(&table->log, log);
	}
	wait_for_readers(xlate, false);
}

/**
 * virtio_mem_xlate_log_start() - start to log the pages that the device writes
 * @xlate: the context
 * @bitmap: of longs, as set_bit_le() and test_bit_le() take it; bit n is the page of
 *	2^VIRTIO_MEM_XLATE_LOG_SHIFT guest bytes with that number
 * @nr_bits: its number of bits; pages beyond are not marked, and debugfs has their number
 *
 * The log stays over updates of the table, until virtio_mem_xlate_log_stop(); a second
 * virtio_mem_xlate_log_start() replaces it in one step.  When this returns, every view sees
 * @bitmap and none sees the log of before.  The caller harvests bits by atomic operations: see
 * virtio_mem_xlate_dirty().  An unregistered context has no log.
 *
 * Context: Process context.  Sleeps until the views of before are gone, so the caller must hold
 * no view of @xlate.  Allocates nothing.
 * Return: 0, or -EINVAL if @bitmap is NULL or @nr_bits is 0.
 */
int virtio_mem_xlate_log_start(struct virtio_mem_xlate *xlate, unsigned long *bitmap,
			       u64 nr_bits)
{
	struct virtio_mem_xlate_log *log;

	if (!bitmap || !nr_bits)
		return -EINVAL;
	guard(mutex)(&xlate->logging);
	/*
	 * The log of before stays as it is until no view sees it, also while unregister() waits
	 * for views.  Of the log before that one, set_log() has waited for the views.
	 */
	log = &xlate->logs[xlate->next_log++ % 2];
	log->bitmap = bitmap;
	log->nr_bits = nr_bits;
	set_log(xlate, log);
	return 0;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_log_start);

/**
 * virtio_mem_xlate_log_stop() - end the dirty log
 * @xlate: the context
 *
 * When this returns, nobody writes the bitmap any more.  Without a log it does no harm.
 *
 * Context: as virtio_mem_xlate_log_start().
 */
void virtio_mem_xlate_log_stop(struct virtio_mem_xlate *xlate)
{
	guard(mutex)(&xlate->logging);
	set_log(xlate, NULL);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_log_stop);

/* The bits that set_bit_le() sets for bits @first to @last of a long. */
static unsigned long le_bits(unsigned int first, unsigned int last)
{
	unsigned long bits = GENMASK(last, first);

	if (sizeof(long) == sizeof(u64))
		return (__force unsigned long)cpu_to_le64(bits);
	return (__force unsigned long)cpu_to_le32(bits);
}

/* virtio_mem_xlate_dirty() with a log: an atomic operation for each long that lacks a bit. */
void virtio_mem_xlate_dirty_cold(const struct virtio_mem_xlate_view *view,
				 struct virtio_driver_range range)
{
	/* Pairs with smp_store_release() in set_log(). */
	const struct virtio_mem_xlate_log *log = smp_load_acquire(&view->table->log);
	u64 page, last, end;

	if (!log || !range.len)
		return;
	if (check_add_overflow(range.start, range.len - 1, &end))
		end = U64_MAX;
	page = range.start >> VIRTIO_MEM_XLATE_LOG_SHIFT;
	last = end >> VIRTIO_MEM_XLATE_LOG_SHIFT;
	if (last >= log->nr_bits) {
		debug_beyond_log(&view->xlate->debug, last - max(page, log->nr_bits) + 1);
		last = log->nr_bits - 1;
	}
	/*
	 * Orders the written data before the test of a bit.  Pairs with the atomic operation
	 * by which a migration clears the bit before it copies the page.
	 */
	smp_mb();	/* as above */
	while (page <= last) {
		unsigned long *word = log->bitmap + (size_t)(page / BITS_PER_LONG);
		u64 in_word = min(last, page | (BITS_PER_LONG - 1));
		unsigned long bits = le_bits(page % BITS_PER_LONG, in_word % BITS_PER_LONG);

		if (bits & ~READ_ONCE(*word))
			atomic_long_or(bits, (atomic_long_t *)word);
		page = in_word + 1;
	}
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_dirty_cold);

static int __init virtio_mem_xlate_init(void)
{
	workqueue = alloc_workqueue("virtio_mem_xlate", WQ_UNBOUND, 0);
	if (!workqueue)
		return -ENOMEM;
	callback_queue = alloc_workqueue("virtio_mem_xlate_call", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!callback_queue) {
		destroy_workqueue(workqueue);
		return -ENOMEM;
	}
	debug_init();
	return 0;
}
module_init(virtio_mem_xlate_init);

static void __exit virtio_mem_xlate_exit(void)
{
	struct virtio_mem_xlate *xlate;
	unsigned long id;

	flush_workqueue(workqueue);
	/* The modules that could still use one of these were unloaded before. */
	xa_for_each(&contexts, id, xlate) {
		const struct virtio_mem_xlate_table *table = rcu_access_pointer(xlate->table);

		pr_err("context %lu, registered by %s, was never %s: %u slots, %u references; freed now\n",
		       id, xlate->owner, table == &no_slots ? "put" : "unregistered",
		       table->nr_live, refcount_read(&xlate->refs));
		context_free(xlate);
	}
	destroy_workqueue(callback_queue);
	destroy_workqueue(workqueue);
	debug_exit();
}
module_exit(virtio_mem_xlate_exit);

MODULE_DESCRIPTION("Translate virtio driver memory ranges through memslot tables");
MODULE_LICENSE("GPL");
