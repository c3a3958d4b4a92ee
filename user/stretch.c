// SPDX-License-Identifier: GPL-2.0
/* A stretch: a pinned region of user memory, and its kernel addresses. */
#include <linux/err.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "user.h"

/* A stretch in pieces is pinned and mapped in chunks of at most 1 GiB. */
#define CHUNK		((unsigned long)SZ_1G >> PAGE_SHIFT)

static int stretch_add(struct virtio_mem_xlate_user_stretch *stretch, unsigned long start,
		       unsigned long nr_pages, bool in_pieces)
{
	struct page **pages;
	struct chunk *chunk;
	int err;

	/* The process chose the size: a size too large is no reason to warn. */
	pages = kvmalloc_array(nr_pages, sizeof(*pages), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!pages)
		return -ENOMEM;
	err = xlate_pin_pages(start, nr_pages, stretch->access, pages);
	if (err)
		goto out_free;
	chunk = xlate_chunk_map(pages, nr_pages, stretch->access, in_pieces);
	if (!chunk) {
		xlate_unpin_pages(pages, nr_pages);
		err = -ENOMEM;
		goto out_free;
	}
	list_add_tail(&chunk->list, &stretch->chunks);
	stretch->nr_pieces += chunk->nr_pieces;
out_free:
	kvfree(pages);
	return err;
}

static void stretch_free(struct virtio_mem_xlate_user_stretch *stretch, bool dirty)
{
	struct chunk *chunk, *next;

	list_for_each_entry_safe(chunk, next, &stretch->chunks, list) {
		list_del(&chunk->list);
		xlate_chunk_free(chunk, dirty);
	}
	xlate_uncharge(stretch->account, stretch->nr_pages);
	xlate_account_put(stretch->account);
	kfree(stretch);
}

static bool is_valid_access(unsigned int access)
{
	return access && !(access & ~VIRTIO_MEM_XLATE_RW);
}

/* As virtio_mem_xlate_user_pin() or, with @in_pieces, virtio_mem_xlate_user_pin_pieces(). */
static struct virtio_mem_xlate_user_stretch *stretch_pin(u64 uaddr, u64 size,
							 unsigned int access,
							 bool in_pieces)
{
	struct virtio_mem_xlate_user_stretch *stretch;
	unsigned long start, nr_pages, done, n;
	int err;

	if (!size || !is_valid_access(access) || !current->mm)
		return ERR_PTR(-EINVAL);
	if (!xlate_is_user_memory(uaddr, size))
		return ERR_PTR(-EFAULT);
	start = uaddr & PAGE_MASK;
	nr_pages = (PAGE_ALIGN(uaddr + size) - start) >> PAGE_SHIFT;
	/* UINT_MAX is also the limit of vmap(). */
	if (nr_pages > min_t(unsigned long, totalram_pages(), UINT_MAX))
		return ERR_PTR(-ENOMEM);

	stretch = kzalloc(sizeof(*stretch), GFP_KERNEL_ACCOUNT);
	if (!stretch)
		return ERR_PTR(-ENOMEM);
	INIT_LIST_HEAD(&stretch->chunks);
	stretch->uaddr = uaddr;
	stretch->size = size;
	stretch->access = access;
	stretch->nr_pages = nr_pages;
	err = -ENOMEM;
	stretch->account = xlate_account_new();
	if (!stretch->account)
		goto err_free;
	err = xlate_charge(stretch->account, nr_pages, stretch->account->limit);
	if (err)
		goto err_account;

	for (done = 0; done < nr_pages; done += n) {
		n = in_pieces ? min(nr_pages - done, CHUNK) : nr_pages;
		err = stretch_add(stretch, start + (done << PAGE_SHIFT), n, in_pieces);
		if (err) {
			stretch_free(stretch, false);
			return ERR_PTR(err);
		}
	}
	return stretch;

err_account:
	xlate_account_put(stretch->account);
err_free:
	kfree(stretch);
	return ERR_PTR(err);
}

/**
 * virtio_mem_xlate_user_pin() - pin memory of this process in one piece
 * @uaddr: its address in current->mm, of any alignment
 * @size: number of bytes, of any alignment, less than 1 TiB
 * @access: access for the device: VIRTIO_MEM_XLATE_READ, _WRITE or _RW
 *
 * The pages are pinned by FOLL_LONGTERM, which moves them out of movable memory, and
 * are mapped in the kernel.  virtio_mem_xlate_user_kva() returns the kernel address of
 * @uaddr.  Without VIRTIO_MEM_XLATE_WRITE the kernel's mapping is read-only, and the
 * memory of the process may be read-only as well.
 *
 * Each page with a byte of the stretch is charged to RLIMIT_MEMLOCK.  A page in two
 * stretches is charged twice.
 *
 * Context: Process context of the memory's owner.  May sleep.  A page fault may wait
 * for another process without a time limit: hold no lock that others need.  A fatal
 * signal ends the call.
 * Return: the stretch, for virtio_mem_xlate_user_unpin(), or an ERR_PTR with
 * nothing pinned or charged:
 *
 * * -EINVAL - @size is 0, @access is 0 or has unknown bits, or the caller is a
 *   kernel thread
 * * -EFAULT - the range wraps or is not user memory, has a hole, does not allow
 *   @access, or has memory that cannot be pinned: device memory (VM_IO,
 *   VM_PFNMAP), secretmem, or for writing a shared mapping of a file that is
 *   not shmem or hugetlb
 * * -EOPNOTSUPP - it is a file mapped by DAX
 * * -ENOMEM - RLIMIT_MEMLOCK is exceeded, the range has more pages than the
 *   machine, or memory is short
 * * -EINTR - a fatal signal is pending
 * * another error of pin_user_pages_fast()
 */
struct virtio_mem_xlate_user_stretch *
virtio_mem_xlate_user_pin(u64 uaddr, u64 size, unsigned int access)
{
	return stretch_pin(uaddr, size, access, false);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_pin);

/**
 * virtio_mem_xlate_user_pin_pieces() - pin memory of this process in pieces
 * @uaddr: its address in current->mm, of any alignment
 * @size: number of bytes, of any alignment
 * @access: access for the device: VIRTIO_MEM_XLATE_READ, _WRITE or _RW
 *
 * As virtio_mem_xlate_user_pin(), but the stretch may have several pieces.  A
 * physically contiguous run of 2 MiB and more, such as huge pages, is a piece of
 * the direct map: it costs no page tables, no vmalloc space and fewer TLB entries.
 * The pages between such runs are mapped by vmap(), at most 1 GiB at a time.
 * Without VIRTIO_MEM_XLATE_WRITE all pages are mapped by vmap(), as the direct map is
 * writable.
 *
 * Best suited for callers of virtio_mem_xlate_next(), _kvec() and the copies.
 * virtio_mem_xlate_range() returns -ENOBUFS for a range in two pieces.
 *
 * Context: As virtio_mem_xlate_user_pin().
 * Return: as virtio_mem_xlate_user_pin().
 */
struct virtio_mem_xlate_user_stretch *
virtio_mem_xlate_user_pin_pieces(u64 uaddr, u64 size, unsigned int access)
{
	return stretch_pin(uaddr, size, access, true);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_pin_pieces);

/**
 * virtio_mem_xlate_user_unpin() - undo virtio_mem_xlate_user_pin()
 * @stretch: from virtio_mem_xlate_user_pin() or virtio_mem_xlate_user_pin_pieces()
 *
 * Call this after the call that removed the stretch from its last table has
 * returned.  Nothing may use the stretch any more.  With VIRTIO_MEM_XLATE_WRITE all
 * its pages are marked dirty.  The charge goes back to the user that was charged.
 *
 * Context: Process context of any process.  May sleep; a debug kernel reports a call
 * in an interrupt or under a spinlock.
 */
void virtio_mem_xlate_user_unpin(struct virtio_mem_xlate_user_stretch *stretch)
{
	might_sleep();
	stretch_free(stretch, stretch->access & VIRTIO_MEM_XLATE_WRITE);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_unpin);

/**
 * virtio_mem_xlate_user_kva() - kernel address of a stretch
 * @stretch: the stretch
 *
 * Context: Any.
 * Return: kernel virtual address of its first byte; NULL if the stretch has
 * several pieces, which virtio_mem_xlate_user_pin() never makes.
 */
void *virtio_mem_xlate_user_kva(const struct virtio_mem_xlate_user_stretch *stretch)
{
	const struct chunk *chunk = list_first_entry(&stretch->chunks, struct chunk, list);

	return stretch->nr_pieces == 1 ?
	       chunk->pieces[0].kva + offset_in_page(stretch->uaddr) : NULL;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_kva);

/**
 * virtio_mem_xlate_user_nr_slots() - number of slots of a stretch
 * @stretch: the stretch
 *
 * Context: Any.
 * Return: the number of its pieces; 1 after virtio_mem_xlate_user_pin().
 */
unsigned int virtio_mem_xlate_user_nr_slots(const struct virtio_mem_xlate_user_stretch *stretch)
{
	return stretch->nr_pieces;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_nr_slots);

/**
 * virtio_mem_xlate_user_slots() - describe a stretch by slots
 * @stretch: the stretch
 * @gpa: guest-physical address of its first byte
 * @slots: array for the slots, of virtio_mem_xlate_user_nr_slots() entries
 *
 * The slots are arguments for virtio_mem_xlate_register(), _replace() and _add().
 * They cover exactly the bytes of the stretch, from @gpa on.
 *
 * Context: Any.
 */
void virtio_mem_xlate_user_slots(const struct virtio_mem_xlate_user_stretch *stretch, u64 gpa,
				 struct virtio_mem_xlate_slot *slots)
{
	u64 offset = offset_in_page(stretch->uaddr), left = stretch->size;
	const struct chunk *chunk;
	unsigned int i;

	list_for_each_entry(chunk, &stretch->chunks, list) {
		for (i = 0; i < chunk->nr_pieces; i++) {
			const struct piece *piece = &chunk->pieces[i];
			u64 size = min(left, ((u64)piece->nr_pages << PAGE_SHIFT) - offset);

			*slots++ = (struct virtio_mem_xlate_slot){
				.gpa = gpa, .size = size, .kva = piece->kva + offset,
				.access = stretch->access,
			};
			gpa += size;
			left -= size;
			offset = 0;
		}
	}
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_slots);
