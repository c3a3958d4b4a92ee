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
 * A virtio driver (in the guest) publishes guest-physical addresses; a device
 * back end (in the host kernel) can dereference only kernel virtual ones.  Each
 * side has its own view of the shared memory and its own type for a range of it:
 *
 * * &struct virtio_driver_range: as the driver published it.  Hostile; all that
 *   can be done with one is to split, compare and translate it.
 * * &struct virtio_device_range: memory that the device may touch, with the
 *   access that was asked for.  It can be turned into a typed pointer.
 *
 * &struct virtio_mem_xlate is the table of memslots between the two.  Whoever
 * owns the guest's memory map registers and updates it; whoever serves a queue
 * takes a view of it, translates, and lets the view go::
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
 * A view sees one table from lock to unlock, and no memory that it can reach is
 * taken away before it is unlocked.  Ranges are passed by value, so what the
 * guest wrote is fetched once.
 *
 * A range is walked from its start, and the walk ends at the first byte that is
 * inaccessible or has no room: that byte decides the error.  So what a call costs
 * is bounded by the room that its caller gives: one lookup, at most one search
 * among all slots, which takes log2(slots) steps, and then a step for each slot of
 * the pieces that there is room for.  The room of a copy is its length.  The guest
 * chooses the length of a descriptor, so check it against the size of the largest
 * request before you translate or copy.
 *
 * Best suited for back ends that keep the guest's memory mapped in the kernel
 * and look it up once or more per descriptor.  Limitations: a table holds at
 * most %VIRTIO_MEM_XLATE_MAX_SLOTS slots; every update waits for the views that
 * are held, so hold one over a batch of descriptors and not for ever; and
 * translation says nothing about what the guest does to the bytes meanwhile.
 */

/*
 * What the device may do with a range, and what a slot allows.  The values are
 * those of VHOST_ACCESS_RO, _WO and _RW in <linux/vhost_types.h>.
 */
#define VIRTIO_MEM_XLATE_READ	1
#define VIRTIO_MEM_XLATE_WRITE	2
#define VIRTIO_MEM_XLATE_RW	(VIRTIO_MEM_XLATE_READ | VIRTIO_MEM_XLATE_WRITE)

/* Slots in one table: 2^20.  vhost's default is 64, KVM's limit 32764. */
#define VIRTIO_MEM_XLATE_MAX_SLOTS	1048576U

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
 * that; whatever takes one answers -EOVERFLOW then.
 */
struct virtio_driver_range {
	u64 start;
	u64 len;
};

/**
 * struct virtio_device_range - a range of memory as the device sees it
 *
 * Valid until the view that it came from is released.  The guest may change the
 * bytes at any time: read each with READ_ONCE() or copy them out once, and check
 * the copy.  Two reads of the same field may differ.
 */
struct virtio_device_range {
	/* private: use the functions below */
	void *kva;
	size_t len;
	unsigned int access;
};

/*@
 * requires \valid(range);
 * assigns *range;
 * ensures \result == (start + len <= U64_MAX ? 0 : -EOVERFLOW);
 * ensures \result == 0 ==> range->start == start && range->len == len;
 * ensures \result != 0 ==> *range == \old(*range);
 */
/**
 * virtio_driver_range_init() - make a range from what the driver published
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

/*@
 * requires \valid(range);
 * assigns *range;
 * ensures \result == (start <= end ? 0 : -EINVAL);
 * ensures \result == 0 ==> range->start == start && range->start + range->len == end;
 * ensures \result != 0 ==> *range == \old(*range);
 */
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

/*@
 * requires \valid(head) && \valid(tail) && \separated(head, tail);
 * assigns *head, *tail;
 * ensures \result == (range.start + range.len > U64_MAX ? -EOVERFLOW :
 *	offset > range.len ? -ERANGE : 0);
 * ensures \result == 0 ==> head->start == range.start && head->len == offset &&
 *	tail->start == head->start + head->len && head->len + tail->len == range.len;
 * ensures \result != 0 ==> *head == \old(*head) && *tail == \old(*tail);
 */
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

/*@
 * assigns \nothing;
 * ensures \result.kva == kva && \result.len == len && \result.access == access;
 */
/**
 * virtio_device_range_new() - make a device range without a table
 * @kva: kernel virtual address of the first byte
 * @len: length in bytes
 * @access: VIRTIO_MEM_XLATE_READ, _WRITE or _RW
 *
 * For memory that the caller vouches for: all of it must be valid for @access
 * as long as the range is used, and nothing but the guest may own it.  Ranges
 * of guest memory come from virtio_mem_xlate_range() and its siblings instead.
 *
 * Context: Any.
 * Return: the range.
 */
static inline struct virtio_device_range virtio_device_range_new(void *kva, size_t len,
								 unsigned int access)
{
	return (struct virtio_device_range){ .kva = kva, .len = len, .access = access };
}

/*@
 * requires \valid(head) && \valid(tail) && \separated(head, tail);
 * assigns *head, *tail;
 * ensures \result == (offset > range.len ? -ERANGE : 0);
 * ensures \result == 0 ==> head->kva == range.kva && head->len == offset &&
 *	(char *)tail->kva == (char *)head->kva + head->len &&
 *	head->len + tail->len == range.len &&
 *	head->access == range.access && tail->access == range.access;
 * ensures \result != 0 ==> *head == \old(*head) && *tail == \old(*tail);
 */
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

/*@
 * requires 0 < align;
 * assigns \nothing;
 * ensures \result == range.kva || \result == \null;
 * ensures \result != \null ==> 0 < range.len && size * count <= range.len;
 * ensures \result != \null ==> (range.access & access) == access;
 */
/* The checks behind the typed pointers: @count objects of @size bytes at the start of @range. */
static inline void *__virtio_device_range_ptr(struct virtio_device_range range, u64 size,
					      size_t align, u64 count, unsigned int access)
{
	u64 bytes;

	if (check_mul_overflow(size, count, &bytes) || !range.len || bytes > range.len)
		return NULL;
	if ((range.access & access) != access || !IS_ALIGNED((uintptr_t)range.kva, align))
		return NULL;
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
 * @kva: where the host kernel sees it
 * @access: what the device may do: VIRTIO_MEM_XLATE_READ, _WRITE or _RW
 *
 * Any alignment will do.  Two slots may share host memory, never a guest byte.
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
 * Translation
 */

/**
 * struct virtio_mem_xlate_view - a read section and the one table that it sees
 *
 * Lives on the stack of whoever took it, from virtio_mem_xlate_read_lock() to
 * virtio_mem_xlate_read_unlock(), or by scope::
 *
 *	CLASS(virtio_mem_xlate_view, view)(xlate);
 *
 * May be taken in any context but NMI, may be nested, and its holder may sleep.
 * Every update of the same context waits for it.
 *
 * Whoever holds a view needs a reference to the context until the view is released.
 * By scope that is at its end: do not drop the last reference, by
 * virtio_mem_xlate_put() or virtio_mem_xlate_unregister(), inside it.
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

DEFINE_CLASS(virtio_mem_xlate_view, struct virtio_mem_xlate_view,
	     virtio_mem_xlate_read_unlock(&_T),
	     ({
		struct virtio_mem_xlate_view view;

		virtio_mem_xlate_read_lock(xlate, &view);
		view;
	     }), struct virtio_mem_xlate *xlate)

/**
 * struct virtio_mem_xlate_cursor - the slot where a ring is
 *
 * For addresses that hit the same slot again and again, as the parts of a ring
 * do: see virtio_mem_xlate_cursor_range().  Starts as zeroes and needs no end.
 * Belongs to its caller, who must not use it from two places at once.
 */
struct virtio_mem_xlate_cursor {
	/* private: */
	u64 version;
	u64 gpa;
	u64 size;
	unsigned long to_kva;	/* what to add to a gpa */
	unsigned int access;
};

static inline int virtio_mem_xlate_range(const struct virtio_mem_xlate_view *view,
					 struct virtio_driver_range driver, unsigned int access,
					 struct virtio_device_range *device);
static inline int virtio_mem_xlate_cursor_range(struct virtio_mem_xlate_cursor *cursor,
						const struct virtio_mem_xlate_view *view,
						struct virtio_driver_range driver,
						unsigned int access,
						struct virtio_device_range *device);
static inline int virtio_mem_xlate_next(const struct virtio_mem_xlate_view *view,
					struct virtio_driver_range *driver, unsigned int access,
					struct virtio_device_range *device);
int virtio_mem_xlate_kvec(const struct virtio_mem_xlate_view *view,
			  struct virtio_driver_range driver, unsigned int access,
			  struct kvec *kvec, unsigned int nr_kvec);
int virtio_mem_xlate_copy_from(const struct virtio_mem_xlate_view *view, void *dst,
			       struct virtio_driver_range src);
int virtio_mem_xlate_copy_to(const struct virtio_mem_xlate_view *view,
			     struct virtio_driver_range dst, const void *src);

/*
 * Private from here on: the fast path, inline, since a call and its return cost
 * more than the lookup, and the layout that it needs.
 *
 * A table cuts the guest's addresses into buckets of 2^@shift bytes and has a
 * word for each from @base on.  That of a bucket which lies wholly in one slot
 * has a bit for each access that the slot allows, see below, and under these an
 * eighth of the slot's kva - gpa; where that is no multiple of eight such words
 * are not used.  Every other word has these bits clear and leads to the slow path.
 *
 * A bucket's number, but for its upper bits, is where its word is.  So an address
 * that no bucket covers leads to a word as well, of another bucket or, as the
 * slots lie behind the words, of none: it does not count, see below.
 */
struct xlate_slot;

struct virtio_mem_xlate_table {
	u64 base;		/* of the first bucket */
	u64 span;		/* bytes from there to the end of what the buckets are for */
	u64 bucket_mask;	/* ~(2^@shift - 1) */
	unsigned long *words;
	unsigned long word_mask;	/* of what @word_shift leaves of the address of a bucket, */
	unsigned int word_shift;	/* these bits say where in @words its own is, in bytes */
	unsigned int shift;
	unsigned long far_word;	/* of what no bucket covers */
	u32 generation;		/* one more with each removal */
	u64 version;		/* with the generation added, no two views that differ share it */
	struct xlate_slot *slots;	/* by gpa; some of size 0 end them */
	unsigned int nr_slots;
	unsigned int nr_live;	/* of these, not removed; for updaters */
	unsigned int nr_words;
	unsigned int max_words;
	size_t bytes;		/* of all this and what it points to, in one piece */
};

void *virtio_mem_xlate_kva_slow(const struct virtio_mem_xlate_view *view, u64 gpa, u64 more,
				unsigned int access, unsigned long word);
int virtio_mem_xlate_range_slow(const struct virtio_mem_xlate_view *view,
				struct virtio_driver_range driver, unsigned int access,
				struct virtio_device_range *device);
int virtio_mem_xlate_next_slow(const struct virtio_mem_xlate_view *view,
			       struct virtio_driver_range *driver, unsigned int access,
			       struct virtio_device_range *device);
int virtio_mem_xlate_cursor_slow(struct virtio_mem_xlate_cursor *cursor,
				 const struct virtio_mem_xlate_view *view,
				 struct virtio_driver_range driver, unsigned int access,
				 struct virtio_device_range *device);

/* The word at the place of the bucket with @gpa, if there is such a bucket. */
static inline unsigned long
__virtio_mem_xlate_word(const struct virtio_mem_xlate_table *table, u64 gpa)
{
	unsigned long at = (gpa >> table->word_shift) & table->word_mask, word;

	/* READ_ONCE(), but that compilers do not fold the address of what is volatile. */
	word = data_race(*(unsigned long *)((void *)table->words + at));
	OPTIMIZER_HIDE_VAR(word);
	return word;
}

/*
 * All ones if there is a bucket with @gpa, or else 0, also for a processor that
 * runs ahead.  Where array_index_mask_nospec() is portable, also 0 for what is far
 * enough apart to have the sign; and so it is here for the 64 bits of 32-bit hosts.
 */
static inline unsigned long
__virtio_mem_xlate_covers(const struct virtio_mem_xlate_table *table, u64 gpa)
{
	u64 offset = gpa - table->base;

	if (sizeof(long) < sizeof(u64))
		return ~(s64)(offset | (table->span - 1 - offset)) >> 63;
	return array_index_mask_nospec((unsigned long)offset, (unsigned long)table->span);
}

/* @word if there is a bucket with @gpa, or else that of what no bucket covers. */
static inline unsigned long
__virtio_mem_xlate_top_word(const struct virtio_mem_xlate_table *table, unsigned long word,
			    unsigned long covers)
{
#ifdef CONFIG_X86_64
	asm("test %[covers],%[covers]\n\tcmovz %[far_word],%[word]"
	    : [word] "+r" (word)
	    : [covers] "r" (covers), [far_word] "rm" (table->far_word)
	    : "cc");
	return word;
#else
	return table->far_word ^ ((word ^ table->far_word) & covers);
#endif
}

/*
 * Does @word, as far as @covers, allow @access?  Then @kva is where it says that
 * @gpa is: the bucket being in the slot, so is the pointer.  Or else NULL, also for
 * a processor that runs ahead: x86 does not guess conditional moves, see
 * mask_user_address() in its uaccess_64.h.
 */
static inline bool
__virtio_mem_xlate_word_kva(unsigned long word, unsigned long covers, unsigned int access,
			    u64 gpa, void **kva)
{
	unsigned long at = (unsigned long)gpa + (word << 3);
	bool allowed;

	word <<= access - VIRTIO_MEM_XLATE_READ;
#ifdef CONFIG_X86_64
	asm("test %[covers],%[word]\n\tcmovns %[null],%[at]"
	    : [at] "+r" (at), "=@ccs" (allowed)
	    : [covers] "r" (covers), [word] "r" (word), [null] "r" (0UL));
#else
	word &= covers;
	allowed = (long)word < 0;
	OPTIMIZER_HIDE_VAR(word);	/* or the compiler knows the mask to be all ones */
	at &= (long)word >> (BITS_PER_LONG - 1);
#endif
	*kva = (void *)at;
	return allowed;
}

/*
 * True if all of @driver is in its first bucket, or in the slot that the bucket's word
 * leads to, and that slot allows @access: then @kva is where.  False says nothing.
 *
 * With all the bits set that say which bucket, an address is as far from 2^64 as from
 * the end of its bucket; an empty range wraps to the longest and is not in one.
 */
static inline bool
__virtio_mem_xlate_kva(const struct virtio_mem_xlate_view *view,
		       struct virtio_driver_range driver, unsigned int access, void **kva)
{
	const struct virtio_mem_xlate_table *table = view->table;
	unsigned long covers = __virtio_mem_xlate_covers(table, driver.start);
	unsigned long word = __virtio_mem_xlate_word(table, driver.start);
	u64 more = driver.len - 1, last;

	if (access - 1 >= VIRTIO_MEM_XLATE_RW)
		return false;
	if (likely(!check_add_overflow(driver.start | table->bucket_mask, more, &last) &&
		   __virtio_mem_xlate_word_kva(word, covers, access, driver.start, kva)))
		return true;
	word = __virtio_mem_xlate_top_word(table, word, covers);
	*kva = virtio_mem_xlate_kva_slow(view, driver.start, more, access, word);
	return *kva;
}

/**
 * virtio_mem_xlate_range() - translate a range into one contiguous piece
 * @view: a view that the caller holds
 * @driver: the range, as the driver published it
 * @access: what the device is going to do: VIRTIO_MEM_XLATE_READ, _WRITE or _RW
 * @device: the result; the empty range on failure
 *
 * The whole range or nothing.  Slots that touch both in guest-physical and in
 * kernel virtual addresses count as one.  An empty @driver names no byte and
 * gives the empty range, whatever its address.
 *
 * Bytes behind the first contiguous piece and the byte after it are not looked at.
 * In one slot a range costs the same whatever its length.
 *
 * Success does not mean that the bytes stand still: see
 * &struct virtio_device_range.
 *
 * Context: Any but NMI.  Never allocates, sleeps or logs.
 * Return: 0, or:
 *
 * * -EINVAL - @access is 0 or has unknown bits
 * * -EOVERFLOW - @driver ends above U64_MAX
 * * -EFAULT - the first byte that is inaccessible or not in the first contiguous
 *   piece is in no slot
 * * -EPERM - that byte is in a slot without @access
 * * -ENOBUFS - that byte is accessible: use virtio_mem_xlate_next() or
 *   virtio_mem_xlate_kvec()
 */
static inline int virtio_mem_xlate_range(const struct virtio_mem_xlate_view *view,
					 struct virtio_driver_range driver, unsigned int access,
					 struct virtio_device_range *device)
{
	void *kva;

	if (!__virtio_mem_xlate_kva(view, driver, access, &kva))
		return virtio_mem_xlate_range_slow(view, driver, access, device);
	*device = virtio_device_range_new(kva, driver.len, access);
	return 0;
}

/**
 * virtio_mem_xlate_next() - translate a range piece by piece
 * @view: a view that the caller holds
 * @driver: what is left of the range; moved past the piece
 * @access: what the device is going to do: VIRTIO_MEM_XLATE_READ, _WRITE or _RW
 * @device: the longest contiguous leading piece; the empty range if there is none
 *
 * Bytes behind the piece and the byte after it are not looked at.  Each call looks
 * the first byte up anew; virtio_mem_xlate_kvec() does so once for all pieces.
 *
 * Context: Any but NMI.  Never allocates, sleeps or logs.
 * Return: 1 with a piece, 0 when @driver is empty, or a negative errno as from
 * virtio_mem_xlate_range() but for -ENOBUFS; @driver is left as it is then, so
 * for -EFAULT and -EPERM its start is the inaccessible byte.
 */
static inline int virtio_mem_xlate_next(const struct virtio_mem_xlate_view *view,
					struct virtio_driver_range *driver, unsigned int access,
					struct virtio_device_range *device)
{
	void *kva;

	if (!__virtio_mem_xlate_kva(view, *driver, access, &kva))
		return virtio_mem_xlate_next_slow(view, driver, access, device);
	*device = virtio_device_range_new(kva, driver->len, access);
	driver->start += driver->len;
	driver->len = 0;
	return 1;
}

/**
 * virtio_mem_xlate_cursor_range() - translate a range in the same slot as the last
 * @cursor: the slot, as the last call left it
 * @view: a view that the caller holds
 * @driver: the range, as the driver published it
 * @access: what the device is going to do: VIRTIO_MEM_XLATE_READ, _WRITE or _RW
 * @device: the result; the empty range on failure
 *
 * Answers as virtio_mem_xlate_range() does, always: what @cursor knows counts only
 * in views that see what the one saw which it is from.  Where @driver is in its
 * slot, this takes less time, above all for who waits for the answer (bench/README
 * has figures); elsewhere more, since the slot has to be searched for.
 *
 * Context: Any but NMI.  Never allocates, sleeps or logs.
 * Return: as virtio_mem_xlate_range().
 */
static inline int virtio_mem_xlate_cursor_range(struct virtio_mem_xlate_cursor *cursor,
						const struct virtio_mem_xlate_view *view,
						struct virtio_driver_range driver,
						unsigned int access,
						struct virtio_device_range *device)
{
	u64 offset = driver.start - cursor->gpa, last, other = cursor->version ^ view->version;
	/* Not 0 if the slot is of another view, or forbids @access. */
	unsigned long stale = (sizeof(long) < sizeof(u64) ? other | other >> 32 : other) |
			      (access & ~cursor->access);
	unsigned long kva;

	/* An empty range wraps to the longest, and goes the long way. */
	if (unlikely(stale || !access ||
		     check_add_overflow(offset, driver.len - 1, &last) || last >= cursor->size)) {
		/* Its address is not given away, or who hits has to clear it, too. */
		struct virtio_device_range found;
		int err = virtio_mem_xlate_cursor_slow(cursor, view, driver, access, &found);

		*device = found;
		return err;
	}
	/* A cursor has no slot above LONG_MAX bytes, so that any mask will do. */
	kva = (unsigned long)driver.start + cursor->to_kva;
	kva &= array_index_mask_nospec(stale, 1);
	kva &= array_index_mask_nospec((unsigned long)offset, (unsigned long)cursor->size);
	*device = virtio_device_range_new((void *)kva, driver.len, access);
	return 0;
}

#endif /* _VIRTIO_MEM_XLATE_H */
