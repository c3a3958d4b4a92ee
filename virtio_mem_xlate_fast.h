/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fast path of a lookup, and the layout of the table that it reads.  Private: only
 * virtio_mem_xlate.h includes this file, at its end.
 *
 * The fast path is inline, since a call and its return cost more than the lookup does.
 * Two paths in virtio_mem_xlate.c serve what it leaves over:
 *
 * - the search path (virtio_mem_xlate_kva_search()) finds the slot by the index and a
 *   search, for a range that lies in one slot;
 * - the cold path (virtio_mem_xlate_range_cold() and others) serves a range that crosses
 *   slots, and finds out why a range has failed.
 */
#ifndef _VIRTIO_MEM_XLATE_FAST_H
#define _VIRTIO_MEM_XLATE_FAST_H

#include <linux/compiler.h>
#include <linux/nospec.h>
#include <linux/types.h>

/*
 * The index of a table divides guest-physical addresses into buckets of 2^@shift bytes.
 * It has an entry for each bucket, a long of one of three kinds:
 *
 *	 63 62 61  60                                   0
 *	+--+--+--+---------------------------------------+
 *	|R |W |RW|            (kva - gpa) / 8            |	direct
 *	+--+--+--+--------+--+--+------------------------+
 *	| 0  0  0       0 | 0| 1|     place     | shift  |	node	(bits 29, 28, 27..6, 5..0)
 *	+-----------------+--+--+---------------+--------+
 *	| 0  0  0       0 | 0| 0|     first     | order  |	search	(bits 29, 28, 27..5, 4..0)
 *	+-----------------+-----+---------------+--------+
 *
 * - direct: the bucket lies in one slot.  R, W and RW are set where the slot allows that
 *   access; an address plus the rest times eight is its kernel virtual address.  A slot whose
 *   kva - gpa is no multiple of eight has no direct entry.
 * - node: the bucket is divided into smaller buckets, of 2^shift bytes, which have entries
 *   of their own, in a row.
 * - search: the slot is among the 2^order slots from slots[first] on.
 *
 * On a 32-bit host the same three bits are 31, 30 and 29; the other two kinds fit below.
 *
 * The low bits of the bucket number index the entries.  So an address outside all buckets
 * indexes an entry too, of another bucket or of none; __virtio_mem_xlate_covers() tells, and
 * @far_entry, of kind search, takes its place.
 */
struct virtio_mem_xlate_log;
struct xlate_slot;

struct virtio_mem_xlate_table {
	u64 base;		/* first address of the first bucket */
	u64 span;		/* bytes from @base to the end of the last slot with a bucket */
	u64 bucket_mask;	/* ~(2^@shift - 1) */
	unsigned long *entries;
	unsigned long entry_mask;	/* (address >> @entry_shift) & @entry_mask is the offset */
	unsigned int entry_shift;	/* of an address's entry in @entries, in bytes */
	unsigned int shift;
	unsigned long far_entry;	/* for addresses outside all buckets */
	u32 generation;		/* counts the in-place updates of this table */
	u64 version;		/* version + generation identifies one state of one table */
	struct virtio_mem_xlate_log *log;	/* the dirty log, or NULL */
	struct xlate_slot *slots;	/* by gpa, followed by NR_ENDS of size 0 */
	unsigned int nr_slots;
	unsigned int nr_live;	/* slots that are not removed; for updaters */
	unsigned int nr_entries;
	unsigned int max_entries;
	unsigned int young_first;	/* no slot outside [@young_first, @young_last] is young */
	unsigned int young_last;
	size_t bytes;		/* of the table, its entries and its slots: one allocation */
	struct rcu_head rcu;
};

void *virtio_mem_xlate_kva_search(const struct virtio_mem_xlate_view *view, u64 gpa, u64 more,
				  unsigned int access, unsigned long entry);
int virtio_mem_xlate_range_cold(const struct virtio_mem_xlate_view *view,
				struct virtio_driver_range driver, unsigned int access,
				struct virtio_device_range *device);
int virtio_mem_xlate_next_cold(const struct virtio_mem_xlate_view *view,
			       struct virtio_driver_range *driver, unsigned int access,
			       struct virtio_device_range *device);
int virtio_mem_xlate_cursor_cold(struct virtio_mem_xlate_cursor *cursor,
				 const struct virtio_mem_xlate_view *view,
				 struct virtio_driver_range driver, unsigned int access,
				 struct virtio_device_range *device);
void virtio_mem_xlate_dirty_cold(const struct virtio_mem_xlate_view *view,
				 struct virtio_driver_range range);

/* READ, WRITE or both. */
static inline bool __virtio_mem_xlate_access_is_valid(unsigned int access)
{
	return access - 1 < VIRTIO_MEM_XLATE_RW;
}

/* The checks of a typed pointer to @count objects of @size bytes at the start of @range. */
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

/* The entry that @gpa indexes, which is its own if __virtio_mem_xlate_covers() says so. */
static inline unsigned long
__virtio_mem_xlate_entry(const struct virtio_mem_xlate_table *table, u64 gpa)
{
	unsigned long at = (gpa >> table->entry_shift) & table->entry_mask, entry;

	/* A READ_ONCE(), except that it lets the compiler fold the address into the load. */
	entry = data_race(*(unsigned long *)((void *)table->entries + at));
	OPTIMIZER_HIDE_VAR(entry);
	return entry;
}

/*
 * All ones if a bucket covers @gpa, else 0, also under speculation.  The portable form of
 * array_index_mask_nospec() takes a distance above LONG_MAX for outside; so does the form
 * for 32-bit hosts here.
 */
static inline unsigned long
__virtio_mem_xlate_covers(const struct virtio_mem_xlate_table *table, u64 gpa)
{
	u64 offset = gpa - table->base;

	if (sizeof(long) < sizeof(u64))
		return ~(s64)(offset | (table->span - 1 - offset)) >> 63;
	return array_index_mask_nospec((unsigned long)offset, (unsigned long)table->span);
}

/* @entry where @covers is all ones, @far_entry where it is 0. */
static inline unsigned long
__virtio_mem_xlate_top_entry(const struct virtio_mem_xlate_table *table, unsigned long entry,
			     unsigned long covers)
{
#ifdef CONFIG_X86_64
	asm("test %[covers],%[covers]\n\tcmovz %[far_entry],%[entry]"
	    : [entry] "+r" (entry)
	    : [covers] "r" (covers), [far_entry] "rm" (table->far_entry)
	    : "cc");
	return entry;
#else
	return table->far_entry ^ ((entry ^ table->far_entry) & covers);
#endif
}

/*
 * True if @entry is direct, allows @access, and @covers is all ones: @kva is then the address
 * of @gpa.  Else @kva is NULL, also under speculation: x86 does not predict conditional
 * moves, see mask_user_address() in its uaccess_64.h.
 */
static inline bool
__virtio_mem_xlate_direct_kva(unsigned long entry, unsigned long covers, unsigned int access,
			      u64 gpa, void **kva)
{
	unsigned long at = (unsigned long)gpa + (entry << 3);
	bool allowed;

	entry <<= access - VIRTIO_MEM_XLATE_READ;	/* the bit of @access becomes the sign */
#ifdef CONFIG_X86_64
	asm("test %[covers],%[entry]\n\tcmovns %[null],%[at]"
	    : [at] "+r" (at), "=@ccs" (allowed)
	    : [covers] "r" (covers), [entry] "r" (entry), [null] "r" (0UL));
#else
	entry &= covers;
	allowed = (long)entry < 0;
	OPTIMIZER_HIDE_VAR(entry);	/* else the compiler removes the mask, as it is all ones */
	at &= (long)entry >> (BITS_PER_LONG - 1);
#endif
	*kva = (void *)at;
	return allowed;
}

/*
 * True if all of @driver lies in one slot that allows @access: @kva is then its address.
 * False leaves the question to the cold path.
 *
 * With the bucket number all ones, the sum overflows exactly when the range leaves its
 * bucket.  The length of an empty range wraps to the largest and leaves it, too.
 */
static inline bool
__virtio_mem_xlate_kva(const struct virtio_mem_xlate_view *view,
		       struct virtio_driver_range driver, unsigned int access, void **kva)
{
	const struct virtio_mem_xlate_table *table = view->table;
	unsigned long covers = __virtio_mem_xlate_covers(table, driver.start);
	unsigned long entry = __virtio_mem_xlate_entry(table, driver.start);
	u64 more = driver.len - 1, last;

	if (!__virtio_mem_xlate_access_is_valid(access))
		return false;
	if (likely(!check_add_overflow(driver.start | table->bucket_mask, more, &last) &&
		   __virtio_mem_xlate_direct_kva(entry, covers, access, driver.start, kva)))
		return true;
	entry = __virtio_mem_xlate_top_entry(table, entry, covers);
	*kva = virtio_mem_xlate_kva_search(view, driver.start, more, access, entry);
	return *kva;
}

static inline int virtio_mem_xlate_range(const struct virtio_mem_xlate_view *view,
					 struct virtio_driver_range driver, unsigned int access,
					 struct virtio_device_range *device)
{
	void *kva;

	if (!__virtio_mem_xlate_kva(view, driver, access, &kva))
		return virtio_mem_xlate_range_cold(view, driver, access, device);
	*device = virtio_device_range_new(kva, driver.len, access);
	return 0;
}

static inline int virtio_mem_xlate_next(const struct virtio_mem_xlate_view *view,
					struct virtio_driver_range *driver, unsigned int access,
					struct virtio_device_range *device)
{
	void *kva;

	if (!__virtio_mem_xlate_kva(view, *driver, access, &kva))
		return virtio_mem_xlate_next_cold(view, driver, access, device);
	*device = virtio_device_range_new(kva, driver->len, access);
	driver->start += driver->len;
	driver->len = 0;
	return 1;
}

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
	unsigned long size, kva;

	/* The length of an empty range wraps to the largest, and misses. */
	if (unlikely(stale || !__virtio_mem_xlate_access_is_valid(access) ||
		     check_add_overflow(offset, driver.len - 1, &last) || last >= cursor->size)) {
		/* A variable whose address is taken would be written to memory on a hit, too. */
		struct virtio_device_range found;
		int err = virtio_mem_xlate_cursor_cold(cursor, view, driver, access, &found);

		*device = found;
		return err;
	}
	/*
	 * Under speculation the slot of a stale cursor has size 0.  Else it has at most LONG_MAX
	 * bytes: the portable mask is right for it.
	 */
	size = cursor->size & array_index_mask_nospec(stale, 1);
	kva = (unsigned long)driver.start + cursor->to_kva;
	kva &= array_index_mask_nospec((unsigned long)offset, size);
	*device = virtio_device_range_new((void *)kva, driver.len, access);
	return 0;
}

static inline void virtio_mem_xlate_dirty(const struct virtio_mem_xlate_view *view,
					  struct virtio_driver_range range)
{
	if (READ_ONCE(view->table->log))
		virtio_mem_xlate_dirty_cold(view, range);
}

#endif /* _VIRTIO_MEM_XLATE_FAST_H */
