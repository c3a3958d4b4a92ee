/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VIRTIO_MEM_XLATE_USER_H
#define _VIRTIO_MEM_XLATE_USER_H

#include <linux/types.h>

#include "virtio_mem_xlate.h"

/**
 * DOC: virtio_mem_xlate_user
 *
 * The memory of most guests is user memory of a VMM.  This module pins it and maps it
 * into the kernel, at two levels:
 *
 * * &struct virtio_mem_xlate_user: all of a VMM's memory.  A call sets the whole
 *   table, in the form of an ioctl of vhost or KVM.  The table follows the process's page
 *   tables: what the process has lost is absent, until virtio_mem_xlate_user_fault().
 * * &struct virtio_mem_xlate_user_stretch: pinned memory that does not follow the process,
 *   for callers who vouch for it.  They have a table of their own, which they update by
 *   virtio_mem_xlate_replace(), _add() and _remove().
 *
 * The whole ioctl handler of a back end::
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
 * The back end calls virtio_mem_xlate_user_create() in its open() and
 * virtio_mem_xlate_user_destroy() in its release().  Its queues translate through
 * virtio_mem_xlate_user_context().
 *
 * Each object has one call that undoes it::
 *
 *	virtio_mem_xlate_user_pin(), _pin_pieces()	virtio_mem_xlate_user_unpin()
 *	virtio_mem_xlate_user_create()			virtio_mem_xlate_user_destroy()
 *
 * Any process may make that call, also after the process that pinned has exited or
 * called exec.  A stretch stays pinned until then: exit, munmap() and fork() do not
 * unpin it.
 *
 * Pinned pages are charged to the user's RLIMIT_MEMLOCK, unless the process has
 * CAP_IPC_LOCK.  The counter is that of io_uring, iommufd and XDP.  The process's VmPin
 * shows them in any case.
 *
 * In pieces or contiguous?  Pieces are the default, as 1 GiB costs less in pieces::
 *
 *	                     slots  registered   undone  addresses  page tables  tables    read
 *	hugetlb, pieces         44       7.8 ms   2.7 ms         0            0  13 KiB  468 ns
 *	hugetlb, contiguous      1      17.2 ms  27.6 ms     1 GiB        2 MiB   2 KiB  626 ns
 *	THP, pieces            257       7.7 ms   1.5 ms         0            0  23 KiB  417 ns
 *	THP, contiguous          1      16.2 ms  32.3 ms     1 GiB        2 MiB   2 KiB  619 ns
 *
 * (The least of two rounds of "make check-user": Linux 6.12 in QEMU 7.2 without KVM
 * on a core of an AMD EPYC.  A read is 64 bytes at a random address, translated.
 * The sizes of page tables and tables are computed, see kunit/user/bench.c.)  Only the
 * ratios matter, and of the reads only the order: the software TLB of QEMU has 4 KiB
 * entries, so a huge page saves a level of the page table walk, and no TLB miss.  On the
 * machine itself, a read in a process takes 36 to 45 ns in 4 KiB pages and 32 to 34 ns
 * in 2 MiB pages (three rounds).  The drawback of pieces: virtio_mem_xlate_range()
 * returns -ENOBUFS for a range in two pieces.
 *
 * That is for stretches.  A table has a piece for each 2 MiB, or with
 * VIRTIO_MEM_XLATE_USER_CONTIGUOUS for each region.
 *
 * Limitations:
 *
 * * Neither the write protection of userfaultfd nor KVM's dirty log sees the writes of
 *   the device: see virtio_mem_xlate_user_set_log().
 * * Hosts with an aliasing data cache are not supported.
 * * 6.1 warns and returns -ENOMEM for hugetlb pages in a movable zone or CMA, as it does
 *   for every pin of such pages.
 */

struct kvm_userspace_memory_region;
struct vhost_memory;
struct virtio_mem_xlate_user;
struct virtio_mem_xlate_user_stretch;

/*
 * A stretch
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

/* Flags of virtio_mem_xlate_user_create(). */
#define VIRTIO_MEM_XLATE_USER_CONTIGUOUS	1U	/* each region in one contiguous piece */
#define VIRTIO_MEM_XLATE_USER_ON_DEMAND		2U	/* pinned by faults, not by a set call */

struct virtio_mem_xlate_user *virtio_mem_xlate_user_create(unsigned int flags);
void virtio_mem_xlate_user_destroy(struct virtio_mem_xlate_user *user);
struct virtio_mem_xlate *virtio_mem_xlate_user_context(const struct virtio_mem_xlate_user *user);
int virtio_mem_xlate_user_set_vhost(struct virtio_mem_xlate_user *user,
				    const struct vhost_memory __user *memory);
int virtio_mem_xlate_user_set_kvm(struct virtio_mem_xlate_user *user,
				  const struct kvm_userspace_memory_region *regions,
				  unsigned int nr_regions);
int virtio_mem_xlate_user_fault(struct virtio_mem_xlate_user *user,
				struct virtio_driver_range range, unsigned int access);
int virtio_mem_xlate_user_set_log(struct virtio_mem_xlate_user *user, u64 uaddr, u64 size);
void virtio_mem_xlate_user_cancel_faults(struct virtio_mem_xlate_user *user);
int virtio_mem_xlate_user_gpa(struct virtio_mem_xlate_user *user, u64 uaddr, u64 *gpa);

#endif /* _VIRTIO_MEM_XLATE_USER_H */
