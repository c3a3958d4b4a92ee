// SPDX-License-Identifier: GPL-2.0
/* Each allocation of a call fails once, by fault injection. */
#include "test.h"

#define SIZE	(600 * PAGE)

static char *mem, *more, *untouched, *huge;
static int table;

static struct kvm_region kvm_regions[3];
static union {
	struct vhost_memory head;
	char room[sizeof(struct vhost_memory) + 2 * sizeof(struct vhost_memory_region)];
} vhost_memory;

/* Each operation returns an id to undo, 0, or -errno. */
static int do_pin(void)
{
	return pin(mem, SIZE, RW, 0);
}

static int do_pin_pieces(void)
{
	return pin(mem, SIZE, RW, TEST_PIECES);
}

static int do_pin_read(void)
{
	return pin(mem, SIZE, READ, TEST_PIECES);
}

/* For reading, each huge page and the small pages between two are pieces of vmap(). */
static int do_pin_several(void)
{
	return pin(huge, 3 * HUGE, READ, TEST_PIECES);
}

static int do_pin_untouched(void)
{
	madvise(untouched, 64 * PAGE, MADV_DONTNEED);
	return pin(untouched, 64 * PAGE, RW, 0);
}

static int do_create(void)
{
	return create(0);
}

static int do_set_kvm(void)
{
	return set_kvm(table, kvm_regions, 3);
}

static int do_set_vhost(void)
{
	struct test_set req = { .id = table, .vhost = (uintptr_t)&vhost_memory };

	return ioctl(dev, TEST_SET, &req) ? -errno : 0;
}

/* Huge and small pages in turn, or NULL without huge pages. */
static char *map_some_huge(void)
{
	int fd, small;
	char *p;

	if (read_number("/proc/meminfo", "HugePages_Free") < 2)
		return NULL;
	fd = new_memfd(2 * HUGE, MFD_HUGETLB);
	small = new_memfd(HUGE, 0);
	p = map_huge_anon(3 * HUGE);
	mmap(p, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	mmap(p + HUGE, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, small, 0);
	mmap(p + 2 * HUGE, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, HUGE);
	memset(p, 1, 3 * HUGE);
	return p;
}

/*
 * Calls @op again and again, and fails its first allocation, then its second, to the
 * last.  After each failed call the table and the counters are as before.
 */
static void fail_each(const char *name, int (*op)(void))
{
	struct kvm_region old = kvm_regions[0];
	int fd = open("/proc/thread-self/fail-nth", O_RDWR), n, ret = 0, failures = 0;
	struct counters before;
	char text[16] = "";

	for (n = 1; n < 5000; n++) {
		CHECK_EQ(set_kvm(table, &old, 1), 0);
		before = counters();
		snprintf(text, sizeof(text), "%d", n);
		if (pwrite(fd, text, strlen(text), 0) < 0)
			break;
		ret = op();
		memset(text, 0, sizeof(text));
		/* "0": an allocation has failed.  Else there were fewer; cancel. */
		CHECK(pread(fd, text, sizeof(text) - 1, 0) > 0);
		pwrite(fd, "0", 1, 0);
		if (ret < 0) {
			failures++;
			CHECK(ret == -ENOMEM || ret == -EFAULT);
			CHECK_COUNTERS(before);
			CHECK(guest_is_filled(table, 0, PAGE, 1));
			CHECK_EQ(copy_from(table, GIB, text + 8, 1), -EFAULT);
		} else if (ret > 0) {
			CHECK_EQ(undo(ret), 0);
		}
		if (atoi(text))
			break;
	}
	close(fd);
	tell("fault injection: %s: %d allocations failed, %d calls failed", name, n - 1, failures);
	CHECK(n > 1 && n < 5000);
	CHECK(failures);
	CHECK_EQ(ret < 0, false);
}

static void fault_all(void)
{
	if (access("/proc/self/fail-nth", W_OK))
		skip("no fault injection");
	/* By default, most allocations do not fail. */
	if (!write_file("/sys/kernel/debug/failslab/ignore-gfp-wait", "N") ||
	    !write_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N") ||
	    !write_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N") ||
	    !write_file("/sys/kernel/debug/fail_page_alloc/min-order", "0") ||
	    /* No stack traces: splat.sh would take them for a bug's. */
	    !write_file("/sys/kernel/debug/failslab/verbose", "0") ||
	    !write_file("/sys/kernel/debug/fail_page_alloc/verbose", "0"))
		skip("no settings of fault injection");
	mem = map_anon(SIZE);
	fill(mem, SIZE, 1);
	more = map_anon(SIZE);
	fill(more, SIZE, 2);
	untouched = map_anon(64 * PAGE);
	huge = map_some_huge();
	kvm_regions[0] = (struct kvm_region){
		.memory_size = SIZE, .userspace_addr = (uintptr_t)mem,
	};
	kvm_regions[1] = (struct kvm_region){
		.guest_phys_addr = GIB, .memory_size = SIZE, .userspace_addr = (uintptr_t)more,
	};
	kvm_regions[2] = (struct kvm_region){
		.guest_phys_addr = 2 * GIB, .memory_size = PAGE,
		.userspace_addr = (uintptr_t)more, .flags = KVM_MEM_READONLY,
	};
	vhost_memory.head.nregions = 2;
	vhost_memory.head.regions[0] = (struct vhost_memory_region){
		.memory_size = SIZE, .userspace_addr = (uintptr_t)mem,
	};
	vhost_memory.head.regions[1] = (struct vhost_memory_region){
		.guest_phys_addr = GIB, .memory_size = SIZE, .userspace_addr = (uintptr_t)more,
	};
	table = create(0);
	CHECK_EQ(set_kvm(table, kvm_regions, 3), 0);

	fail_each("a pin", do_pin);
	fail_each("a pin in pieces", do_pin_pieces);
	fail_each("a pin to read", do_pin_read);
	fail_each("a pin of untouched memory", do_pin_untouched);
	if (huge)
		fail_each("a pin of several pieces", do_pin_several);
	fail_each("a new table", do_create);
	fail_each("KVM's regions", do_set_kvm);
	fail_each("vhost's regions", do_set_vhost);
	CHECK_EQ(undo(table), 0);
}

const struct test fault_tests[] = {
	{ "faults: every allocation fails once", fault_all },
	{}
};
