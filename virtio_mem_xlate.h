/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VIRTIO_MEM_XLATE_H
#define _VIRTIO_MEM_XLATE_H

#include <linux/align.h>
#include <linux/cleanup.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/types.h>

/**
 * DOC: virtio_mem_xlate
 *
 * A virtio driver, in the guest, publishes guest-physical addresses.  A device back end, in
 * the host kernel, needs kernel virtual addresses.  Each side has a type for a range:
 *
 * * &struct virtio_driver_range: as the driver published it.  Hostile: a back end can only
 *   split, compare and translate it.
 * * &struct virtio_device_range: memory that the device may access, with the kind of access.
 *   A back end turns it into a typed pointer.
 *
 * &struct virtio_mem_xlate is the table of memslots between the two.  The owner of the guest's
 * memory map registers and updates it.  A back end that serves a queue takes a view,
 * translates, and releases the view::
 *
 *	CLASS(virtio_mem_xlate_view, view)(xlate);
 *	struct virtio_driver_range driver;
 *	struct virtio_device_range device;
 *	const struct vring_desc *desc;
 *	int err;
 *
 *	err = virtio_driver_range_init(&driver, desc_gpa, sizeof(*desc));
 *	if (err)
 *		return err;
 *	err = virtio_mem_xlate_range(&view, driver, VIRTIO_MEM_XLATE_READ, &device);
 *	if (err)
 *		return err;
 *	desc = virtio_device_range_ptr(device, struct vring_desc);
 *	if (!desc)
 *		return -EINVAL;
 *	len = le32_to_cpu((__force __le32)READ_ONCE(desc->len));
 *
 * A view sees one table until it is released, and the memory that it can reach stays as long.
 * Ranges are passed by value, so that each field that the guest wrote is read once.
 *
 * Translation walks a range from its start, and ends at the first byte that is inaccessible
 * or has no room; that byte decides the error.  So the room that the caller gives bounds the
 * cost of a call: one lookup, at most one search of log2(slots) steps, and one step for each
 * slot of the pieces.  The room of a copy is its length.  The guest chooses the length of a
 * descriptor: check it against the largest request before you translate or copy.
 *
 * Best suited for back ends that keep the guest's memory mapped in the kernel, and translate
 * once or more for each descriptor.  Limitations: a table has at most
 * %VIRTIO_MEM_XLATE_MAX_SLOTS slots; an update waits for all views, so hold a view for a batch
 * of descriptors and not longer; and the guest may change the bytes at any time.
 */

/*
 * Accesses: of the device to a range, and those that a slot allows.  The values are those of
 * VHOST_ACCESS_RO, _WO and _RW in <linux/vhost_types.h>.
 */
#define VIRTIO_MEM_XLATE_READ	1
#define VIRTIO_MEM_XLATE_WRITE	2
#define VIRTIO_MEM_XLATE_RW	(VIRTIO_MEM_XLATE_READ | VIRTIO_MEM_XLATE_WRITE)

/* The access of a slot that has no memory now; its kva is NULL. */
#define VIRTIO_MEM_XLATE_ABSENT	4

/* Slots in one table: 2^20.  vhost's default is 64, KVM's limit 32764. */
#define VIRTIO_MEM_XLATE_MAX_SLOTS	1048576U

/* The dirty log has one bit for 2^12 guest bytes, as vhost's has. */
#define VIRTIO_MEM_XLATE_LOG_SHIFT	12

struct bio_vec;
struct kvec;
struct virtio_mem_xlate;
struct virtio_mem_xlate_table;

/*
 * Ranges
 */

/**
 * struct virtio_driver_range - a range of memory as the driver sees it
 * @start: guest-physical address of the first byte
 * @len: number of bytes; may be 0
 *
 * Made by virtio_driver_range_init() or virtio_driver_range_from_bounds(), its
 * end @start + @len is at most U64_MAX.  A range filled in by hand may break
 * that; each function then answers -EOVERFLOW.
 */
struct virtio_driver_range {
	u64 start;
	u64 len;
};

/**
 * struct virtio_device_range - a range of memory as the device sees it
 *
 * Valid until its view is released, or the hold that was taken under that view.  The guest may
 * change the bytes at any time: read each with READ_ONCE(), or copy them once and check the
 * copy.  Two reads of the same field may differ.
 */
struct virtio_device_range {
	/* private: use the functions below */
	void *kva;
	size_t len;
	unsigned int access;
};

/**
 * virtio_driver_range_init() - make a range from a published address and length
 * @range: the result; untouched on failure
 * @start: guest-physical address
 * @len: length in bytes
 *
 * Context: Any.
 * Return: 0, or -EOVERFLOW if @start + @len exceeds U64_MAX.
 */
static inline int virtio_driver_range_init(struct virtio_driver_range *range, u64 start, u64 len)
{
	u64 end;

	if (check_add_overflow(start, len, &end))
		return -EOVERFLOW;
	*range = (struct virtio_driver_range){ .start = start, .len = len };
	return 0;
}

/**
 * virtio_driver_range_from_bounds() - make a range from its two ends
 * @range: the result; untouched on failure
 * @start: guest-physical address of the first byte
 * @end: guest-physical address after the last byte
 *
 * Context: Any.
 * Return: 0, or -EINVAL if @end is below @start.
 */
static inline int virtio_driver_range_from_bounds(struct virtio_driver_range *range,
						  u64 start, u64 end)
{
	if (end < start)
		return -EINVAL;
	*range = (struct virtio_driver_range){ .start = start, .len = end - start };
	return 0;
}

/**
 * virtio_driver_range_split_at() - split a range in two
 * @range: the range to split
 * @offset: where to split, in bytes from its start; its length is allowed and
 *	gives an empty @tail
 * @head: gets the first @offset bytes; untouched on failure
 * @tail: gets the rest; untouched on failure
 *
 * Context: Any.
 * Return: 0, -ERANGE if @offset is past the end, or -EOVERFLOW if a hand-made
 * @range ends above U64_MAX, since the start of @tail could then wrap.
 */
static inline int virtio_driver_range_split_at(struct virtio_driver_range range, u64 offset,
					       struct virtio_driver_range *head,
					       struct virtio_driver_range *tail)
{
	u64 end;

	if (check_add_overflow(range.start, range.len, &end))
		return -EOVERFLOW;
	if (offset > range.len)
		return -ERANGE;
	*head = (struct virtio_driver_range){ .start = range.start, .len = offset };
	*tail = (struct virtio_driver_range){
		.start = range.start + offset,
		.len = range.len - offset,
	};
	return 0;
}

/**
 * virtio_driver_range_len() - length of a driver range
 * @range: the range
 *
 * Context: Any.
 * Return: the length in bytes.
 */
static inline u64 virtio_driver_range_len(struct virtio_driver_range range)
{
	return range.len;
}

/**
 * virtio_driver_range_equal() - compare two driver ranges
 * @a: a range
 * @b: another
 *
 * Context: Any.
 * Return: true if both start and length agree; empty ranges at different
 * addresses differ.
 */
static inline bool virtio_driver_range_equal(struct virtio_driver_range a,
					     struct virtio_driver_range b)
{
	return a.start == b.start && a.len == b.len;
}

/**
 * virtio_device_range_new() - make a device range without a table
 * @kva: kernel virtual address of the first byte
 * @len: length in bytes
 * @access: VIRTIO_MEM_XLATE_READ, _WRITE or _RW
 *
 * For memory that the caller vouches for: all of it must be valid for @access as long as the
 * range is used.  Ranges of guest memory come from virtio_mem_xlate_range() and its siblings.
 *
 * Context: Any.
 * Return: the range.
 */
static inline struct virtio_device_range virtio_device_range_new(void *kva, size_t len,
								 unsigned int access)
{
	return (struct virtio_device_range){ .kva = kva, .len = len, .access = access };
}

/**
 * virtio_device_range_split_at() - split a range in two
 * @range: the range to split
 * @offset: where to split, in bytes from its start; its length is allowed and
 *	gives an empty @tail
 * @head: gets the first @offset bytes; untouched on failure
 * @tail: gets the rest; untouched on failure
 *
 * Both halves keep the access of @range and are valid as long as it is.
 *
 * Context: Any.
 * Return: 0, or -ERANGE if @offset is past the end.
 */
static inline int virtio_device_range_split_at(struct virtio_device_range range, size_t offset,
					       struct virtio_device_range *head,
					       struct virtio_device_range *tail)
{
	if (offset > range.len)
		return -ERANGE;
	*head = virtio_device_range_new(range.kva, offset, range.access);
	*tail = virtio_device_range_new(range.kva + offset, range.len - offset, range.access);
	return 0;
}

/**
 * virtio_device_range_len() - length of a device range
 * @range: the range
 *
 * Context: Any.
 * Return: the length in bytes.
 */
static inline size_t virtio_device_range_len(struct virtio_device_range range)
{
	return range.len;
}

/**
 * virtio_device_range_get() - the raw start of a device range
 * @range: the range
 *
 * Nothing is checked: not the access, not the alignment, not the length.
 * Prefer virtio_device_range_ptr() and its siblings.
 *
 * Context: Any.
 * Return: kernel virtual address of the first byte; NULL for the empty range
 * that a failed translation gives.
 */
static inline void *virtio_device_range_get(struct virtio_device_range range)
{
	return range.kva;
}

/**
 * virtio_device_range_ptr() - a typed pointer to read through
 * @range: a &struct virtio_device_range
 * @type: the type to point to
 *
 * virtio requires that everything be naturally aligned (virtio 1.2, 2.6), so a
 * misaligned address is the driver's mistake and not worked around.  It is the
 * kernel address that is judged.
 *
 * Context: Any.
 * Return: a const @type * to the start of @range, or NULL if @range is empty,
 * shorter than @type, not aligned for it, or not readable.
 */
#define virtio_device_range_ptr(range, type)					\
	virtio_device_range_array(range, type, 1)

/**
 * virtio_device_range_mut_ptr() - a typed pointer to write through
 * @range: a &struct virtio_device_range
 * @type: the type to point to
 *
 * Context: Any.
 * Return: a @type * to the start of @range, or NULL if @range is empty, shorter
 * than @type, not aligned for it, or not writable.
 */
#define virtio_device_range_mut_ptr(range, type)				\
	virtio_device_range_mut_array(range, type, 1)

/**
 * virtio_device_range_array() - a typed pointer to read an array through
 * @range: a &struct virtio_device_range
 * @type: the type of an element
 * @count: the number of elements
 *
 * Context: Any.
 * Return: a const @type * to the first of @count elements, or NULL as for
 * virtio_device_range_ptr(), or if the size of the array overflows.
 */
#define virtio_device_range_array(range, type, count)				\
	((const typeof(type) *)__virtio_device_range_ptr(range, sizeof(type),	\
		__alignof__(type), count, VIRTIO_MEM_XLATE_READ))

/**
 * virtio_device_range_mut_array() - a typed pointer to write an array through
 * @range: a &struct virtio_device_range
 * @type: the type of an element
 * @count: the number of elements
 *
 * Context: Any.
 * Return: a @type * to the first of @count elements, or NULL as for
 * virtio_device_range_mut_ptr(), or if the size of the array overflows.
 */
#define virtio_device_range_mut_array(range, type, count)			\
	((typeof(type) *)__virtio_device_range_ptr(range, sizeof(type),		\
		__alignof__(type), count, VIRTIO_MEM_XLATE_WRITE))

/*
 * The table of memslots
 */

/**
 * struct virtio_mem_xlate_slot - one stretch of guest memory
 * @gpa: guest-physical address of its first byte
 * @size: number of bytes, not 0
 * @kva: kernel virtual address of its first byte; NULL if the slot is absent
 * @access: VIRTIO_MEM_XLATE_READ, _WRITE or _RW: the accesses that the device may make; or
 *	VIRTIO_MEM_XLATE_ABSENT
 *
 * Of any alignment.  Two slots may share host memory, never a guest byte.
 */
struct virtio_mem_xlate_slot {
	u64 gpa;
	u64 size;
	void *kva;
	unsigned int access;
};

struct virtio_mem_xlate *virtio_mem_xlate_register(const struct virtio_mem_xlate_slot *slots,
						   unsigned int nr_slots);
int virtio_mem_xlate_replace(struct virtio_mem_xlate *xlate,
			     const struct virtio_mem_xlate_slot *slots, unsigned int nr_slots);
int virtio_mem_xlate_add(struct virtio_mem_xlate *xlate,
			 const struct virtio_mem_xlate_slot *slots, unsigned int nr_slots);
int virtio_mem_xlate_remove(struct virtio_mem_xlate *xlate, u64 gpa, u64 size);
void virtio_mem_xlate_unregister(struct virtio_mem_xlate *xlate);
struct virtio_mem_xlate *virtio_mem_xlate_get(struct virtio_mem_xlate *xlate);
void virtio_mem_xlate_put(struct virtio_mem_xlate *xlate);

/*
 * Updates that do not wait, and the two ways to wait
 */

/**
 * struct virtio_mem_xlate_callback - a call of a function when old views and holds are gone
 *
 * Part of the caller's own object; see virtio_mem_xlate_call().  Needs no initialisation.
 */
struct virtio_mem_xlate_callback {
	/* private: */
	struct list_head list;
	void (*func)(struct virtio_mem_xlate_callback *callback);
};

int virtio_mem_xlate_replace_nowait(struct virtio_mem_xlate *xlate,
				    const struct virtio_mem_xlate_slot *slots,
				    unsigned int nr_slots);
int virtio_mem_xlate_remove_nowait(struct virtio_mem_xlate *xlate, u64 gpa, u64 size);
struct virtio_mem_xlate_table *
virtio_mem_xlate_prepare(struct virtio_mem_xlate *xlate,
			 const struct virtio_mem_xlate_slot *slots, unsigned int nr_slots);
int virtio_mem_xlate_prepared_absent(struct virtio_mem_xlate_table *table, u64 gpa, u64 size);
void virtio_mem_xlate_commit(struct virtio_mem_xlate *xlate, struct virtio_mem_xlate_table *table);
void virtio_mem_xlate_abort(struct virtio_mem_xlate *xlate, struct virtio_mem_xlate_table *table);
int virtio_mem_xlate_set_absent(struct virtio_mem_xlate *xlate, u64 gpa, u64 size);
int virtio_mem_xlate_set_present(struct virtio_mem_xlate *xlate, u64 gpa, u64 size, void *kva,
				 unsigned int access);
void virtio_mem_xlate_call(struct virtio_mem_xlate *xlate,
			   struct virtio_mem_xlate_callback *callback,
			   void (*func)(struct virtio_mem_xlate_callback *callback));
void virtio_mem_xlate_synchronize(struct virtio_mem_xlate *xlate);

/*
 * Views
 */

/**
 * struct virtio_mem_xlate_view - a read section and the one table that it sees
 *
 * Lives on its holder's stack, from virtio_mem_xlate_read_lock() to
 * virtio_mem_xlate_read_unlock(), or by scope::
 *
 *	CLASS(virtio_mem_xlate_view, view)(xlate);
 *
 * May be taken in any context but NMI, may be nested, and its holder may sleep.  Every update
 * of the same context waits for it.
 *
 * The holder of a view needs a reference to the context until the view is released, which is at
 * the end of the scope: do not drop the last reference, by virtio_mem_xlate_put() or
 * virtio_mem_xlate_unregister(), inside the scope.
 */
struct virtio_mem_xlate_view {
	/* private: */
	const struct virtio_mem_xlate_table *table;
	u32 generation;
	int srcu_idx;
	u64 version;
	struct virtio_mem_xlate *xlate;
};

void virtio_mem_xlate_read_lock(struct virtio_mem_xlate *xlate,
				struct virtio_mem_xlate_view *view);
void virtio_mem_xlate_read_unlock(struct virtio_mem_xlate_view *view);
bool virtio_mem_xlate_view_is_current(const struct virtio_mem_xlate_view *view);

DEFINE_CLASS(virtio_mem_xlate_view, struct virtio_mem_xlate_view,
	     virtio_mem_xlate_read_unlock(&_T),
	     ({
		struct virtio_mem_xlate_view view;

		virtio_mem_xlate_read_lock(xlate, &view);
		view;
	     }), struct virtio_mem_xlate *xlate)

/*
 * Translation
 */

/**
 * virtio_mem_xlate_range() - translate a range into one contiguous piece
 * @view: a view that the caller holds
 * @driver: the range, as the driver published it
 * @access: the access that the device will make: VIRTIO_MEM_XLATE_READ, _WRITE or _RW
 * @device: the result; the empty range on failure
 *
 * The whole range or nothing.  Slots that touch both in guest-physical and in kernel virtual
 * addresses count as one.  An empty @driver names no byte and gives the empty range, whatever
 * its address.
 *
 * The call does not look at bytes behind the first contiguous piece and the byte after it.
 * In one slot a range costs the same whatever its length.
 *
 * Success does not mean that the bytes do not change: see &struct virtio_device_range.
 *
 * Context: Any but NMI.  Never allocates, sleeps or logs.
 * Return: 0, or:
 *
 * * -EINVAL - @access is 0 or has unknown bits
 * * -EOVERFLOW - @driver ends above U64_MAX
 * * -EFAULT - the first byte that is inaccessible or not in the first contiguous piece is in
 *   no slot
 * * -EPERM - that byte is in a slot without @access
 * * -EAGAIN - that byte is in an absent slot
 * * -ENOBUFS - that byte is accessible: use virtio_mem_xlate_next() or virtio_mem_xlate_kvec()
 */
static inline int virtio_mem_xlate_range(const struct virtio_mem_xlate_view *view,
					 struct virtio_driver_range driver, unsigned int access,
					 struct virtio_device_range *device);

/**
 * virtio_mem_xlate_next() - translate a range piece by piece
 * @view: a view that the caller holds
 * @driver: the rest of the range; moves past the piece
 * @access: the access that the device will make: VIRTIO_MEM_XLATE_READ, _WRITE or _RW
 * @device: the longest contiguous leading piece; the empty range if there is none
 *
 * The call does not look at bytes behind the piece and the byte after it.  Each call looks its
 * first byte up; virtio_mem_xlate_kvec() does so once for all pieces.
 *
 * Context: Any but NMI.  Never allocates, sleeps or logs.
 * Return: 1 with a piece, 0 when @driver is empty, or a negative errno as from
 * virtio_mem_xlate_range() except -ENOBUFS.  On failure @driver does not move, so that for
 * -EFAULT, -EPERM and -EAGAIN its start is the inaccessible byte.
 */
static inline int virtio_mem_xlate_next(const struct virtio_mem_xlate_view *view,
					struct virtio_driver_range *driver, unsigned int access,
					struct virtio_device_range *device);

int virtio_mem_xlate_kvec(const struct virtio_mem_xlate_view *view,
			  struct virtio_driver_range driver, unsigned int access,
			  struct kvec *kvec, unsigned int nr_kvec);
int virtio_mem_xlate_bvec(const struct virtio_mem_xlate_view *view,
			  struct virtio_driver_range driver, unsigned int access,
			  struct bio_vec *bvec, unsigned int nr_bvec);
int virtio_mem_xlate_copy_from(const struct virtio_mem_xlate_view *view, void *dst,
			       struct virtio_driver_range src);
int virtio_mem_xlate_copy_to(const struct virtio_mem_xlate_view *view,
			     struct virtio_driver_range dst, const void *src);

/**
 * struct virtio_mem_xlate_cursor - the slot of a ring
 *
 * For addresses that are in the same slot again and again, as those of a ring are: see
 * virtio_mem_xlate_cursor_range().  Starts as zeroes and needs no end.  Its owner must not use
 * it from two places at once.
 */
struct virtio_mem_xlate_cursor {
	/* private: */
	u64 version;
	u64 gpa;
	u64 size;
	unsigned long to_kva;	/* kva - gpa */
	unsigned int access;
};

/**
 * virtio_mem_xlate_cursor_range() - translate a range in the slot of the last call
 * @cursor: the slot of the last call
 * @view: a view that the caller holds
 * @driver: the range, as the driver published it
 * @access: the access that the device will make: VIRTIO_MEM_XLATE_READ, _WRITE or _RW
 * @device: the result; the empty range on failure
 *
 * Answers as virtio_mem_xlate_range() does, always: a cursor hits only in a view that sees the
 * same state of the same table as the view that set it.  (Where virtio_mem_xlate_set_present() has
 * given a slot other memory under the view, the answer may still be the memory of before, which
 * the view keeps.)  A hit takes less time than a lookup,
 * above all less latency (bench/README has figures); a miss takes more, as it searches for the
 * slot.
 *
 * Context: Any but NMI.  Never allocates, sleeps or logs.
 * Return: as virtio_mem_xlate_range().
 */
static inline int virtio_mem_xlate_cursor_range(struct virtio_mem_xlate_cursor *cursor,
						const struct virtio_mem_xlate_view *view,
						struct virtio_driver_range driver,
						unsigned int access,
						struct virtio_device_range *device);

/*
 * Holds
 */

/**
 * struct virtio_mem_xlate_hold - keeps memory after its view is released
 *
 * For I/O in flight: part of the caller's request, from virtio_mem_xlate_hold() to
 * virtio_mem_xlate_release().
 */
struct virtio_mem_xlate_hold {
	/* private: */
	struct virtio_mem_xlate *xlate;
	int srcu_idx;
};

void virtio_mem_xlate_hold(const struct virtio_mem_xlate_view *view,
			   struct virtio_mem_xlate_hold *hold);
void virtio_mem_xlate_release(struct virtio_mem_xlate_hold *hold);

/*
 * The dirty log
 */

int virtio_mem_xlate_log_start(struct virtio_mem_xlate *xlate, unsigned long *bitmap,
			       u64 nr_bits);
void virtio_mem_xlate_log_stop(struct virtio_mem_xlate *xlate);

/**
 * virtio_mem_xlate_dirty() - mark the pages of a range in the dirty log
 * @view: a view that the caller holds
 * @range: guest-physical bytes that the device has written; what a wrapping range has above
 *	U64_MAX is ignored
 *
 * Call it after the write, and before the driver is told of it by the used index.  A migration
 * clears a bit and then copies the page.  The full barrier in this function orders the write
 * before the test of the bit, and pairs with the atomic operation that clears it: the copy has
 * the write, or the bit is set again.  The back end's own barrier before it writes the used
 * index, smp_wmb() or smp_store_release(), orders the mark before that index.
 *
 * virtio_mem_xlate_copy_to() marks by itself.  I/O that ends after its view is marked through
 * a view that is taken after the end.
 *
 * Context: Any but NMI.  Never allocates, sleeps or logs.  Without a log a load and a branch;
 * with a log an atomic operation for each page whose bit is not set yet.
 */
static inline void virtio_mem_xlate_dirty(const struct virtio_mem_xlate_view *view,
					  struct virtio_driver_range range);

#include "virtio_mem_xlate_fast.h"

#endif /* _VIRTIO_MEM_XLATE_H */
