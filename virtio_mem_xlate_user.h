/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VIRTIO_MEM_XLATE_USER_H
#define _VIRTIO_MEM_XLATE_USER_H

#include <linux/types.h>

#include "virtio_mem_xlate.h"

/**
 * DOC: virtio_mem_xlate_user
 *
 * The memory of most guests is user memory of a VMM.  This module pins it and
 * gives it kernel addresses, at two levels:
 *
 * * &struct virtio_mem_xlate_user: all of a VMM's memory.  An ioctl hands the
 *   table over as vhost or KVM would get it; what is new is pinned, what is
 *   unchanged is kept, and the whole is put in force at once.
 * * &struct virtio_mem_xlate_user_stretch: one pinned stretch, for callers that
 *   keep a table of their own by virtio_mem_xlate_replace() and its siblings.
 *
 * A back end's ioctl handler needs no more than this::
 *
 *	static long backend_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
 *	{
 *		struct backend *backend = file->private_data;
 *
 *		switch (cmd) {
 *		case VHOST_SET_MEM_TABLE:
 *			return virtio_mem_xlate_user_set_vhost(backend->memory, (void __user *)arg);
 *		}
 *		return -ENOTTY;
 *	}
 *
 * with virtio_mem_xlate_user_create() in its open() and
 * virtio_mem_xlate_user_destroy() in its release(); its queues translate through
 * virtio_mem_xlate_user_context().
 *
 * Who pins and who must undo it: the two calls that make an object,
 * virtio_mem_xlate_user_pin() or its sibling and virtio_mem_xlate_user_create(),
 * are undone by virtio_mem_xlate_user_unpin() and virtio_mem_xlate_user_destroy(),
 * from any process, also when the one that pinned has exited or called exec.
 * Nothing is undone behind the caller's back: no exit, munmap() or fork() takes
 * pinned memory away.
 *
 * Pinned pages are charged to the user's RLIMIT_MEMLOCK, on the counter that
 * io_uring, iommufd and XDP use, unless the process has CAP_IPC_LOCK; and they
 * show as VmPin of the process.
 *
 * In pieces or contiguous?  Pieces are the default, by what 1 GiB costs::
 *
 *	                     slots  registered   undone  addresses  page tables  tables    read
 *	hugetlb, pieces         44       7.8 ms   2.7 ms         0            0  13 KiB  468 ns
 *	hugetlb, contiguous      1      17.2 ms  27.6 ms     1 GiB        2 MiB   2 KiB  626 ns
 *	THP, pieces            257       7.7 ms   1.5 ms         0            0  23 KiB  417 ns
 *	THP, contiguous          1      16.2 ms  32.3 ms     1 GiB        2 MiB   2 KiB  619 ns
 *
 * (The least of two rounds of "make check-user": Linux 6.12 in QEMU 7.2 without KVM
 * on a core of an AMD EPYC.  A read is 64 bytes at a random address, translated.
 * Page tables and tables are reckoned, see kunit/user/bench.c.)  Trust the ratios,
 * and of the reads only the order: QEMU walks the page tables in software and
 * keeps 4 KiB of it, whatever the page, so what pieces save there is a shorter walk.
 * How little hardware may care shows the same on the machine itself, in a process:
 * 36 to 45 ns a read in 4 KiB pages, 32 to 34 ns in 2 MiB pages (three rounds).
 * The price of pieces: virtio_mem_xlate_range() gives -ENOBUFS where two meet.
 *
 * Limitations: the device sees the pages that were there when the stretch was
 * pinned.  If the process later unmaps or discards them (munmap(), mremap(),
 * MADV_DONTNEED, hole punching, a balloon), what it then has at that address is
 * another page; to have that one pinned, set a table without the stretch first.
 * What the device writes is not seen by userfaultfd's write protection or by
 * KVM's dirty log.  Hosts whose data cache aliases are not supported.  6.1 warns
 * and gives -ENOMEM for hugetlb pages in a movable zone or CMA, whoever pins them.
 */

struct kvm_userspace_memory_region;
struct vhost_memory;
struct virtio_mem_xlate_user;
struct virtio_mem_xlate_user_stretch;

/*
 * One stretch
 */

struct virtio_mem_xlate_user_stretch *
virtio_mem_xlate_user_pin(u64 uaddr, u64 size, unsigned int access);
struct virtio_mem_xlate_user_stretch *
virtio_mem_xlate_user_pin_pieces(u64 uaddr, u64 size, unsigned int access);
void virtio_mem_xlate_user_unpin(struct virtio_mem_xlate_user_stretch *stretch);

void *virtio_mem_xlate_user_kva(const struct virtio_mem_xlate_user_stretch *stretch);
unsigned int virtio_mem_xlate_user_nr_slots(const struct virtio_mem_xlate_user_stretch *stretch);
void virtio_mem_xlate_user_slots(const struct virtio_mem_xlate_user_stretch *stretch, u64 gpa,
				 struct virtio_mem_xlate_slot *slots);

/*
 * A VMM's table
 */

/* For virtio_mem_xlate_user_create(): every region in one contiguous piece. */
#define VIRTIO_MEM_XLATE_USER_CONTIGUOUS	1U

struct virtio_mem_xlate_user *virtio_mem_xlate_user_create(unsigned int flags);
void virtio_mem_xlate_user_destroy(struct virtio_mem_xlate_user *user);
struct virtio_mem_xlate *virtio_mem_xlate_user_context(const struct virtio_mem_xlate_user *user);
int virtio_mem_xlate_user_set_vhost(struct virtio_mem_xlate_user *user,
				    const struct vhost_memory __user *memory);
int virtio_mem_xlate_user_set_kvm(struct virtio_mem_xlate_user *user,
				  const struct kvm_userspace_memory_region *regions,
				  unsigned int nr_regions);
int virtio_mem_xlate_user_gpa(struct virtio_mem_xlate_user *user, u64 uaddr, u64 *gpa);

#endif /* _VIRTIO_MEM_XLATE_USER_H */
