/* SPDX-License-Identifier: GPL-2.0 */
/* The ioctls and mappings of the test module's /dev/virtio_mem_xlate_user_test. */
#ifndef _VIRTIO_MEM_XLATE_USER_TEST_H
#define _VIRTIO_MEM_XLATE_USER_TEST_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Pins a stretch.  TEST_TRANSLATE also registers it, at guest address 0. */
struct test_pin {
	__u64 uaddr;
	__u64 size;
	__u32 access;
	__u32 flags;
#define TEST_PIECES	1
#define TEST_TRANSLATE	2
#define TEST_KTHREAD	4	/* pin in a kernel thread, which has no user memory */
	__u32 id;	/* out */
	__u32 nr_slots;	/* out */
	__u64 kva;	/* out */
	__u64 pin_ns;	/* out */
};

/* Sets a table: from @nr_kvm regions of KVM at @kvm, or from struct vhost_memory at @vhost. */
struct test_set {
	__u32 id;
	__u32 nr_kvm;
	__u64 kvm;
	__u64 vhost;
};

/* Copies through translation. */
struct test_copy {
	__u32 id;
	__u32 to_guest;
	__u64 gpa;
	__u64 len;
	__u64 buf;
};

/* Copies from the guest, and once more after @ms milliseconds, through the same view. */
struct test_hold {
	struct test_copy copy;
	__u32 ms;
	__u32 pad;
};

/* Reads 64 bytes at @count random addresses below @size. */
struct test_bench {
	__u32 id;
	__u32 pad;
	__u64 size;
	__u64 count;
	__u64 ns;	/* out */
};

/* The guest address of the process's byte at @uaddr. */
struct test_gpa {
	__u32 id;
	__u32 pad;
	__u64 uaddr;
	__u64 gpa;	/* out */
};

/* Makes a range present again; TEST_KTHREAD: by a kernel thread. */
struct test_fault {
	__u32 id;
	__u32 access;
	__u64 gpa;
	__u64 len;
	__u32 flags;
	__u32 pad;
};

/* Sets the dirty log of a table; uaddr 0 and size 0 end it. */
struct test_log {
	__u32 id;
	__u32 pad;
	__u64 uaddr;
	__u64 size;
};

#define TEST_PIN		_IOWR('X', 1, struct test_pin)
#define TEST_CREATE		_IO('X', 2)	/* argument: flags; returns an id */
#define TEST_SET		_IOW('X', 3, struct test_set)
#define TEST_UNDO		_IO('X', 4)	/* argument: an id; unpins or destroys */
#define TEST_COPY		_IOW('X', 5, struct test_copy)
#define TEST_HOLD		_IOW('X', 6, struct test_hold)
#define TEST_BENCH		_IOWR('X', 7, struct test_bench)
#define TEST_POKE		_IO('X', 8)	/* argument: an id; writes to the first byte */
#define TEST_UNPIN_ATOMIC	_IO('X', 9)	/* argument: an id; a planted bug */
#define TEST_GPA		_IOWR('X', 10, struct test_gpa)
#define TEST_FAULT		_IOW('X', 11, struct test_fault)
#define TEST_LOG		_IOW('X', 12, struct test_log)

/* mmap() maps one page; the offset in pages tells which. */
#define TEST_MMAP_SLOW		0	/* holds the mmap lock until killed, then fails */
#define TEST_MMAP_OF_NONE	1	/* a page of no file */
#define TEST_MMAP_PFN		2	/* as device memory: VM_PFNMAP */
#define TEST_MMAP_OF(fd)	(3 + (fd))	/* a page as in the page cache of @fd */

#endif /* _VIRTIO_MEM_XLATE_USER_TEST_H */
