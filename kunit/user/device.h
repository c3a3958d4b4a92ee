/* SPDX-License-Identifier: GPL-2.0 */
/* What the test module's /dev/virtio_mem_xlate_user_test can be asked for. */
#ifndef _VIRTIO_MEM_XLATE_USER_TEST_H
#define _VIRTIO_MEM_XLATE_USER_TEST_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* A stretch, to be translated from guest address 0 on if TEST_TRANSLATE. */
struct test_pin {
	__u64 uaddr;
	__u64 size;
	__u32 access;
	__u32 flags;
#define TEST_PIECES	1
#define TEST_TRANSLATE	2
#define TEST_KTHREAD	4	/* by a kernel thread, which has no memory */
	__u32 id;	/* out */
	__u32 nr_slots;	/* out */
	__u64 kva;	/* out */
	__u64 pin_ns;	/* out */
};

/* A table: its memory from an array of KVM's regions, or if there are none from vhost's. */
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

/* Where a table has an address of the process. */
struct test_gpa {
	__u32 id;
	__u32 pad;
	__u64 uaddr;
	__u64 gpa;	/* out */
};

#define TEST_PIN		_IOWR('X', 1, struct test_pin)
#define TEST_CREATE		_IO('X', 2)	/* argument: flags; returns an id */
#define TEST_SET		_IOW('X', 3, struct test_set)
#define TEST_UNDO		_IO('X', 4)	/* argument: an id; unpins or destroys */
#define TEST_COPY		_IOW('X', 5, struct test_copy)
#define TEST_HOLD		_IOW('X', 6, struct test_hold)
#define TEST_BENCH		_IOWR('X', 7, struct test_bench)
#define TEST_POKE		_IO('X', 8)	/* argument: an id; writes to the first byte */
#define TEST_UNPIN_ATOMIC	_IO('X', 9)	/* argument: an id; what must not be done */
#define TEST_GPA		_IOWR('X', 10, struct test_gpa)

/* What mmap() of it gives, by the offset in pages: one page, or nothing. */
#define TEST_MMAP_SLOW		0	/* the lock until killed, and an error */
#define TEST_MMAP_OF_NONE	1	/* of no file */
#define TEST_MMAP_PFN		2	/* as device memory: mapped by its number only */
#define TEST_MMAP_OF(fd)	(3 + (fd))	/* as a page cache might have it */

#endif /* _VIRTIO_MEM_XLATE_USER_TEST_H */
