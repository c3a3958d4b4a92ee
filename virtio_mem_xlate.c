// SPDX-License-Identifier: GPL-2.0
/*
 * Translate a virtio driver's memory ranges for a device in the kernel: the
 * kernel side (references, read sections, updates) of virtio_mem_xlate_table.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/kallsyms.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/string.h>
#include <linux/uio.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "virtio_mem_xlate.h"
#include "virtio_mem_xlate_table.h"
#include "virtio_mem_xlate_debug.h"

/**
 * struct virtio_mem_xlate - one driver's memory
 *
 * Opaque and counted: virtio_mem_xlate_register() makes it with one reference,
 * which virtio_mem_xlate_unregister() drops; virtio_mem_xlate_get() takes more.
 */
struct virtio_mem_xlate {
	/* private: */
	struct virtio_mem_xlate_table __rcu *table;	/* written under @update */
	struct srcu_struct srcu;
	struct mutex update;	/* serialises updates */
	refcount_t refs;
	u32 id;
	char *owner;		/* who registered it, for people */
	struct work_struct free;
	/*
	 * A class each, or lockdep would take a view of one context held over
	 * an update of another for a deadlock.
	 */
	struct lock_class_key srcu_key;
	struct xlate_debug debug;	/* last: far from what every reader reads */
};

/* All contexts that are not freed yet, by id. */
static DEFINE_XARRAY_ALLOC(contexts);

/* The last reference may go in an interrupt, and freeing sleeps. */
static struct workqueue_struct *free_wq;

/* Of contexts that are unregistered but still referenced.  Never written: it has no slot. */
static struct xlate_slot no_slots_ends[NR_ENDS];
static unsigned long no_slots_words[1];
static struct virtio_mem_xlate_table no_slots = {
	.slots = no_slots_ends,
	.words = no_slots_words,
};

/*
 * Large ones of pages in a row, since kmalloc() would round up to a power of two of
 * them; of any pages where there is no such row, at the price of more TLB misses.
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

/* Numbers apart by more than a table can have generations, each removal of a slot being one. */
static atomic64_t versions;

/* A table of the live slots of @base, if any, and @slots. */
static struct virtio_mem_xlate_table *table_create(const struct virtio_mem_xlate_table *base,
						   const struct virtio_mem_xlate_slot *slots,
						   unsigned int nr_slots)
{
	unsigned int nr_base = base ? base->nr_live : 0;
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
	if (!err && base)
		table_merge(table, base);
	err = err ?: table_seal(table);
	if (err) {
		table_free(table);
		return ERR_PTR(err);
	}
	table->version = atomic64_add_return(2 * VIRTIO_MEM_XLATE_MAX_SLOTS, &versions);
	return table;
}

static struct virtio_mem_xlate_table *current_table(struct virtio_mem_xlate *xlate)
{
	return rcu_dereference_protected(xlate->table, lockdep_is_held(&xlate->update));
}

/*
 * Returns when no view sees anything but the table of @nr_slots that is now in
 * force.  Not under xlate->update: views do not wait for it, and updates can
 * share the wait.
 */
static void wait_for_views(struct virtio_mem_xlate *xlate, unsigned int nr_slots)
{
	u64 ns = ktime_get_ns();

	might_sleep();
	debug_wait(&xlate->debug);
	synchronize_srcu_expedited(&xlate->srcu);
	ns = ktime_get_ns() - ns;
	debug_waited(&xlate->debug, ns);
	trace_virtio_mem_xlate_update(xlate->id, nr_slots, ns);
}

static void context_free(struct virtio_mem_xlate *xlate)
{
	/* Before the id, and so the name of the folder, can be another's. */
	debug_remove(&xlate->debug);
	xa_erase(&contexts, xlate->id);
	cleanup_srcu_struct(&xlate->srcu);
	lockdep_unregister_key(&xlate->srcu_key);
	mutex_destroy(&xlate->update);
	table_free(rcu_dereference_protected(xlate->table, true));
	kfree(xlate->owner);
	kfree(xlate);
}

static void context_free_work(struct work_struct *work)
{
	context_free(container_of(work, struct virtio_mem_xlate, free));
}

/**
 * virtio_mem_xlate_register() - make a context from a table of memslots
 * @slots: the slots, in any order; copied
 * @nr_slots: their number, 0 to %VIRTIO_MEM_XLATE_MAX_SLOTS
 *
 * The memory behind the slots stays the caller's.  It must be valid until the
 * call that removes it from the table has returned.
 *
 * Context: Process context.  May sleep.
 * Return: a context with one reference, which virtio_mem_xlate_unregister()
 * drops, or an ERR_PTR:
 *
 * * -EINVAL - a slot has size 0, ends above U64_MAX, is larger than SIZE_MAX,
 *   has a @kva that is NULL or wraps, or has access 0 or unknown bits
 * * -EEXIST - two slots share a guest byte
 * * -ENOSPC - there are too many
 * * -ENOMEM - no memory
 */
noinline struct virtio_mem_xlate *
virtio_mem_xlate_register(const struct virtio_mem_xlate_slot *slots, unsigned int nr_slots)
{
	struct virtio_mem_xlate_table *table;
	struct virtio_mem_xlate *xlate;
	int err = -ENOMEM;

	table = table_create(NULL, slots, nr_slots);
	if (IS_ERR(table))
		return ERR_CAST(table);
	xlate = kzalloc(sizeof(*xlate), GFP_KERNEL_ACCOUNT);
	if (!xlate)
		goto err_table;
	xlate->owner = kasprintf(GFP_KERNEL_ACCOUNT, "%ps", __builtin_return_address(0));
	if (!xlate->owner)
		goto err_xlate;
	err = init_srcu_struct(&xlate->srcu);
	if (err)
		goto err_owner;
	lockdep_register_key(&xlate->srcu_key);
	lockdep_set_class_and_name(&xlate->srcu, &xlate->srcu_key, "virtio_mem_xlate");
	mutex_init(&xlate->update);
	refcount_set(&xlate->refs, 1);
	INIT_WORK(&xlate->free, context_free_work);
	RCU_INIT_POINTER(xlate->table, table);
	err = xa_alloc(&contexts, &xlate->id, xlate, xa_limit_31b, GFP_KERNEL_ACCOUNT);
	if (err)
		goto err_srcu;
	debug_add(&xlate->debug, xlate, xlate->id, xlate->owner);
	return xlate;

err_srcu:
	mutex_destroy(&xlate->update);
	lockdep_unregister_key(&xlate->srcu_key);
	cleanup_srcu_struct(&xlate->srcu);
err_owner:
	kfree(xlate->owner);
err_xlate:
	kfree(xlate);
err_table:
	table_free(table);
	return ERR_PTR(err);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_register);

/* Puts @table, or the slots in force and @slots, in force. */
static int update(struct virtio_mem_xlate *xlate, bool keep,
		  const struct virtio_mem_xlate_slot *slots, unsigned int nr_slots)
{
	struct virtio_mem_xlate_table *old, *new;

	scoped_guard(mutex, &xlate->update) {
		old = current_table(xlate);
		if (old == &no_slots)
			return -ENODEV;
		new = table_create(keep ? old : NULL, slots, nr_slots);
		if (IS_ERR(new))
			return PTR_ERR(new);
		nr_slots = new->nr_live;
		/* Pairs with srcu_dereference() in virtio_mem_xlate_read_lock(). */
		rcu_assign_pointer(xlate->table, new);
	}
	wait_for_views(xlate, nr_slots);
	table_free(old);
	return 0;
}

/**
 * virtio_mem_xlate_replace() - put another table in force
 * @xlate: the context
 * @slots: the slots of the new table, in any order; copied
 * @nr_slots: their number, 0 to %VIRTIO_MEM_XLATE_MAX_SLOTS
 *
 * Every view sees either the old table or the new one, whole.  When this
 * returns 0, no reader has a device range of the old table any more, so memory
 * that is only in the old one may be freed at once.  On failure the old table
 * is in force, unchanged.
 *
 * Context: Process context.  Sleeps until the views held have been released, so
 * the caller must hold none of @xlate.
 * Return: 0, an error as from virtio_mem_xlate_register(), or -ENODEV if @xlate
 * has been unregistered.
 */
int virtio_mem_xlate_replace(struct virtio_mem_xlate *xlate,
			     const struct virtio_mem_xlate_slot *slots, unsigned int nr_slots)
{
	return update(xlate, false, slots, nr_slots);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_replace);

/**
 * virtio_mem_xlate_add() - add slots to the table in force
 * @xlate: the context
 * @slots: the slots to add, in any order; copied
 * @nr_slots: their number
 *
 * All of them or none; a view sees all or none, too.  To load many slots, add
 * them in one call: each call builds the table anew, at some 10 ns a slot.
 *
 * Context: Process context.  Sleeps until the views held have been released, so
 * the caller must hold none of @xlate.
 * Return: 0, an error as from virtio_mem_xlate_register() (-EEXIST also for a
 * byte shared with a slot in force), or -ENODEV if @xlate has been unregistered.
 */
int virtio_mem_xlate_add(struct virtio_mem_xlate *xlate,
			 const struct virtio_mem_xlate_slot *slots, unsigned int nr_slots)
{
	return update(xlate, true, slots, nr_slots);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_add);

/**
 * virtio_mem_xlate_remove() - remove the slots of a range
 * @xlate: the context
 * @gpa: guest-physical address of the first byte of a slot
 * @size: number of bytes from there to the last byte of the same slot or a later one
 *
 * Removes all slots in the range, or none, in one update: a view sees all of them or
 * none, too.  Holes between them are allowed.  Removing many slots by one call takes
 * one wait for the views held.
 *
 * Needs no memory, so it cannot fail for lack of it.  When this returns 0, no
 * reader has a device range of a removed slot any more and their memory may be freed.
 * The table's own memory for a slot, some 50 bytes, is given back by the next
 * virtio_mem_xlate_replace() or virtio_mem_xlate_add().
 *
 * Context: Process context.  Sleeps until the views held have been released, so
 * the caller must hold none of @xlate.
 * Return: 0, or -ENOENT if the range does not begin with the first byte of a slot and
 * end with the last byte of a slot.
 */
int virtio_mem_xlate_remove(struct virtio_mem_xlate *xlate, u64 gpa, u64 size)
{
	unsigned int nr_slots;
	int err;

	scoped_guard(mutex, &xlate->update) {
		err = table_remove(current_table(xlate), gpa, size);
		nr_slots = current_table(xlate)->nr_live;
	}
	if (err)
		return err;
	wait_for_views(xlate, nr_slots);
	return 0;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_remove);

/**
 * virtio_mem_xlate_unregister() - take all memory away and drop the reference
 * @xlate: a context from virtio_mem_xlate_register()
 *
 * When this returns, no reader has a device range of @xlate any more and the
 * memory behind it may be freed.  Whoever still holds a reference may go on
 * translating: every byte gives -EFAULT.  Needs no memory.  A context is
 * unregistered once, by whoever registered it.
 *
 * Context: Process context.  Sleeps until the views held have been released, so
 * the caller must hold none of @xlate.
 */
void virtio_mem_xlate_unregister(struct virtio_mem_xlate *xlate)
{
	struct virtio_mem_xlate_table *old;

	scoped_guard(mutex, &xlate->update) {
		old = current_table(xlate);
		rcu_assign_pointer(xlate->table, &no_slots);
	}
	wait_for_views(xlate, 0);
	table_free(old);
	virtio_mem_xlate_put(xlate);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_unregister);

/**
 * virtio_mem_xlate_get() - take a reference
 * @xlate: a context that the caller already has a reference to
 *
 * A reference keeps the context, not the memory: that goes with
 * virtio_mem_xlate_unregister().
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
 * The last one frees the context, later and in process context.  No view of @xlate may
 * be held then.  A CLASS(virtio_mem_xlate_view) lets its view go at the end of its scope,
 * so the last reference must not be dropped inside that scope, not even as its last
 * statement: put it behind the scope, or release the view by hand before.
 *
 * Context: Any but NMI.
 */
void virtio_mem_xlate_put(struct virtio_mem_xlate *xlate)
{
	if (refcount_dec_and_test(&xlate->refs))
		queue_work(free_wq, &xlate->free);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_put);

/**
 * virtio_mem_xlate_read_lock() - take a view
 * @xlate: the context, which the caller has a reference to
 * @view: where to keep it; on the caller's stack
 *
 * Until virtio_mem_xlate_read_unlock() the view sees the table that is now in
 * force, whatever is published meanwhile, and the memory behind it stays.
 * CLASS(virtio_mem_xlate_view, view)(xlate) does the same by scope.
 *
 * Context: Any but NMI.  The holder may sleep, take further views, and must
 * release this one in the task, or in the interrupt, that took it.  A view held
 * for long delays every update of @xlate.
 */
void virtio_mem_xlate_read_lock(struct virtio_mem_xlate *xlate,
				struct virtio_mem_xlate_view *view)
	__acquires(&xlate->srcu)
{
	view->xlate = xlate;
	view->srcu_idx = srcu_read_lock(&xlate->srcu);
	/* Pairs with rcu_assign_pointer() in update() and virtio_mem_xlate_unregister(). */
	view->table = srcu_dereference(xlate->table, &xlate->srcu);
	view->generation = table_generation(view->table);
	view->version = view->table->version + view->generation;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_read_lock);

/**
 * virtio_mem_xlate_read_unlock() - release a view
 * @view: from virtio_mem_xlate_read_lock()
 *
 * Every device range that came through it is void from here on.
 *
 * Context: That of the matching virtio_mem_xlate_read_lock().
 */
void virtio_mem_xlate_read_unlock(struct virtio_mem_xlate_view *view)
	__releases(&view->xlate->srcu)
{
	srcu_read_unlock(&view->xlate->srcu, view->srcu_idx);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_read_unlock);

/* What a caller is told of a lookup that failed goes through here, once. */
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
 * Where the range of @more + 1 bytes from @gpa on is, if it is all in one slot that allows
 * @access.  For ranges that leave their first bucket: how many others they cross does not
 * count, for the slot's end decides.
 */
static noinline void *kva_beyond_bucket(const struct virtio_mem_xlate_view *view, u64 gpa,
					u64 more, unsigned int access)
{
	u64 bytes;
	void *kva;

	if (slot_byte(table_search(view->table, slots_word(0, 31), gpa), view->generation, gpa,
		      access, &kva, &bytes) || more >= bytes)
		return NULL;
	return kva;
}

/*
 * Where the range of @more + 1 bytes from @gpa on is, if it is all in one slot that allows
 * @access.  NULL says nothing.  @word is that of the largest bucket with @gpa; @access must
 * be valid.
 *
 * Takes and gives what fits in registers: on some tables most lookups come here, after a
 * branch that nobody can guess, and then what counts is how little there is to do.
 */
void *virtio_mem_xlate_kva_slow(const struct virtio_mem_xlate_view *view, u64 gpa, u64 more,
				unsigned int access, unsigned long word)
{
	u64 bytes, behind;
	void *kva;

	word = table_word(view->table, word, gpa, &behind);
	if (word_is_slot(word)) {
		if (more > behind)
			return kva_beyond_bucket(view, gpa, more, access);
		__virtio_mem_xlate_word_kva(word, ULONG_MAX, access, gpa, &kva);
		return kva;
	}
	if (slot_byte(table_search(view->table, word, gpa), view->generation, gpa, access,
		      &kva, &bytes) || more >= bytes)
		return NULL;
	return kva;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_kva_slow);

/* virtio_mem_xlate_range() for what its inline part leaves over. */
int virtio_mem_xlate_range_slow(const struct virtio_mem_xlate_view *view,
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
EXPORT_SYMBOL_GPL(virtio_mem_xlate_range_slow);

/* virtio_mem_xlate_next() for what its inline part leaves over. */
int virtio_mem_xlate_next_slow(const struct virtio_mem_xlate_view *view,
			       struct virtio_driver_range *driver, unsigned int access,
			       struct virtio_device_range *device)
{
	const struct xlate_slot *slot = table_slot(view->table, driver->start);
	int ret;

	*device = (struct virtio_device_range){};
	ret = range_validate(*driver, access) ?: table_next(view, &slot, driver, access, device);
	return likely(ret >= 0) ? ret : lookup_failed(view, *driver, access, ret);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_next_slow);

/*
 * virtio_mem_xlate_cursor_range() for what its inline part leaves over.  A slot
 * above LONG_MAX bytes is not taken: see slot_kva().
 */
int virtio_mem_xlate_cursor_slow(struct virtio_mem_xlate_cursor *cursor,
				 const struct virtio_mem_xlate_view *view,
				 struct virtio_driver_range driver, unsigned int access,
				 struct virtio_device_range *device)
{
	int err = virtio_mem_xlate_range(view, driver, access, device);
	const struct xlate_slot *slot;

	if (err || !driver.len)
		return err;
	slot = table_search(view->table, slots_word(0, 31), driver.start);
	if (slot->size <= LONG_MAX)
		*cursor = (struct virtio_mem_xlate_cursor){
			.version = view->version,
			.gpa = slot->gpa,
			.size = slot->size,
			.to_kva = slot_to_kva(slot),
			.access = slot->access,
		};
	return 0;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_cursor_slow);

/**
 * virtio_mem_xlate_kvec() - translate a range into an array for iov_iter_kvec()
 * @view: a view that the caller holds
 * @driver: the range, as the driver published it
 * @access: what the device is going to do: VIRTIO_MEM_XLATE_READ, _WRITE or _RW
 * @kvec: gets the pieces in order, contiguous neighbours as one; unspecified on
 *	failure
 * @nr_kvec: how many it has room for
 *
 * Bytes behind the first @nr_kvec pieces and the byte after them are not looked at.
 * The first byte is looked up, and from there the walk goes on along the slots.
 *
 * Context: Any but NMI.  Never allocates, sleeps or logs.
 * Return: the number of pieces, 0 for an empty @driver, or a negative errno:
 *
 * * -EINVAL - @access is 0 or has unknown bits
 * * -EOVERFLOW - @driver ends above U64_MAX
 * * -EFAULT - the first byte that is inaccessible or has no room is in no slot
 * * -EPERM - that byte is in a slot without @access
 * * -ENOBUFS - that byte is accessible, and begins a piece for which there is no room
 */
int virtio_mem_xlate_kvec(const struct virtio_mem_xlate_view *view,
			  struct virtio_driver_range driver, unsigned int access,
			  struct kvec *kvec, unsigned int nr_kvec)
{
	const struct xlate_slot *slot;
	struct virtio_device_range piece;
	unsigned int n = 0;
	u64 bytes;
	void *kva;
	int ret;

	if (nr_kvec && __virtio_mem_xlate_kva(view, driver, access, &kva)) {
		*kvec = (struct kvec){ .iov_base = kva, .iov_len = driver.len };
		return 1;
	}
	ret = range_validate(driver, access);
	if (ret)
		return lookup_failed(view, driver, access, ret);
	slot = table_slot(view->table, driver.start);
	while (n < nr_kvec && (ret = table_next(view, &slot, &driver, access, &piece)) > 0)
		kvec[n++] = (struct kvec){ .iov_base = piece.kva, .iov_len = piece.len };
	if (ret >= 0 && driver.len)
		ret = slot_byte(slot, view->generation, driver.start, access, &kva, &bytes) ?:
		      -ENOBUFS;
	return likely(ret >= 0) ? n : lookup_failed(view, driver, access, ret);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_kvec);

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
 * The driver may be writing a field of a ring meanwhile.  Such a field is
 * aligned and of 1, 2, 4 or 8 bytes; move it whole, which memcpy() need not.
 */
static void copy_piece(void *dst, const void *src, size_t len)
{
	switch (IS_ALIGNED((uintptr_t)dst | (uintptr_t)src, len) ? len : 0) {
	case sizeof(u16):
		WRITE_ONCE(*(u16 *)dst, READ_ONCE(*(const u16 *)src));
		break;
	case sizeof(u32):
		WRITE_ONCE(*(u32 *)dst, READ_ONCE(*(const u32 *)src));
		break;
	case sizeof(u64):
		WRITE_ONCE(*(u64 *)dst, READ_ONCE(*(const u64 *)src));
		break;
	default:
		memcpy(dst, src, len);
	}
}

/**
 * virtio_mem_xlate_copy_from() - copy out of the driver's memory
 * @view: a view that the caller holds
 * @dst: where to; as long as @src
 * @src: the range, as the driver published it; may cross slots
 *
 * The whole range is checked before a byte moves: a lookup, and a step for each slot
 * that it crosses.  Check a length that the guest chose before.  A @src of 2 bytes, of 4, or
 * on a 64-bit host of 8, in one piece and aligned like @dst, is read at once and
 * so never half old, half new.
 *
 * Context: Any but NMI.  Never allocates, sleeps or logs.
 * Return: 0, -EOVERFLOW, -EFAULT or -EPERM as from virtio_mem_xlate_range(), or
 * -ENOBUFS if @src is longer than SIZE_MAX, which no @dst can be.
 */
int virtio_mem_xlate_copy_from(const struct virtio_mem_xlate_view *view, void *dst,
			       struct virtio_driver_range src)
{
	const struct xlate_slot *slot;
	struct virtio_device_range piece;
	void *kva;
	int err;

	if (__virtio_mem_xlate_kva(view, src, VIRTIO_MEM_XLATE_READ, &kva)) {
		copy_piece(dst, kva, src.len);
		return 0;
	}
	slot = table_slot(view->table, src.start);
	err = check_copy(view, slot, src, VIRTIO_MEM_XLATE_READ);
	if (err)
		return lookup_failed(view, src, VIRTIO_MEM_XLATE_READ, err);
	for (; table_next(view, &slot, &src, VIRTIO_MEM_XLATE_READ, &piece) > 0; dst += piece.len)
		copy_piece(dst, piece.kva, piece.len);
	return 0;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_copy_from);

/**
 * virtio_mem_xlate_copy_to() - copy into the driver's memory
 * @view: a view that the caller holds
 * @dst: the range, as the driver published it; may cross slots
 * @src: where from; as long as @dst
 *
 * The whole range is checked before a byte moves: a lookup, and a step for each slot
 * that it crosses.  Check a length that the guest chose before.  A @dst of 2 bytes, of 4, or
 * on a 64-bit host of 8, in one piece and aligned like @src, is written at once.
 *
 * Context: Any but NMI.  Never allocates, sleeps or logs.
 * Return: 0, -EOVERFLOW, -EFAULT or -EPERM as from virtio_mem_xlate_range(), or
 * -ENOBUFS if @dst is longer than SIZE_MAX, which no @src can be.
 */
int virtio_mem_xlate_copy_to(const struct virtio_mem_xlate_view *view,
			     struct virtio_driver_range dst, const void *src)
{
	const struct xlate_slot *slot;
	struct virtio_device_range piece;
	void *kva;
	int err;

	if (__virtio_mem_xlate_kva(view, dst, VIRTIO_MEM_XLATE_WRITE, &kva)) {
		copy_piece(kva, src, dst.len);
		return 0;
	}
	slot = table_slot(view->table, dst.start);
	err = check_copy(view, slot, dst, VIRTIO_MEM_XLATE_WRITE);
	if (err)
		return lookup_failed(view, dst, VIRTIO_MEM_XLATE_WRITE, err);
	for (; table_next(view, &slot, &dst, VIRTIO_MEM_XLATE_WRITE, &piece) > 0; src += piece.len)
		copy_piece(piece.kva, src, piece.len);
	return 0;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_copy_to);

static int __init virtio_mem_xlate_init(void)
{
	free_wq = alloc_workqueue("virtio_mem_xlate", WQ_UNBOUND, 0);
	if (!free_wq)
		return -ENOMEM;
	debug_init();
	return 0;
}
module_init(virtio_mem_xlate_init);

static void __exit virtio_mem_xlate_exit(void)
{
	struct virtio_mem_xlate *xlate;
	unsigned long id;

	destroy_workqueue(free_wq);
	/* Whoever could still use one of these was unloaded before us. */
	xa_for_each(&contexts, id, xlate) {
		const struct virtio_mem_xlate_table *table = rcu_access_pointer(xlate->table);

		pr_err("context %lu, registered by %s, was never %s: %u slots, %u references; freed now\n",
		       id, xlate->owner, table == &no_slots ? "put" : "unregistered",
		       table->nr_live, refcount_read(&xlate->refs));
		context_free(xlate);
	}
	debug_exit();
}
module_exit(virtio_mem_xlate_exit);

MODULE_DESCRIPTION("Translate virtio driver memory ranges through memslot tables");
MODULE_LICENSE("GPL");
