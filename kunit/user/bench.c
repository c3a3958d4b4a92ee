// SPDX-License-Identifier: GPL-2.0
/* In one piece by vmap(), or in pieces of the direct map: what each costs. */
#include "test.h"

static size_t bench_size(void)
{
	return uml ? GIB / 16 : GIB;
}

static void bench(const char *name, char *mem, size_t size, unsigned int flags)
{
	struct test_pin req = {
		.uaddr = (uintptr_t)mem, .size = size, .access = RW,
		.flags = flags | TEST_TRANSLATE,
	};
	struct test_bench reads = { .size = size, .count = quick ? 100000 : 1000000 };
	__u64 undo_ns;
	int id;

	id = pin_on(dev, &req);
	if (id < 0) {
		FAIL("pin: %d", id);
		return;
	}
	reads.id = id;
	/* The first time is for the caches. */
	ioctl(dev, TEST_BENCH, &reads);
	CHECK_EQ(ioctl(dev, TEST_BENCH, &reads), 0);
	undo_ns = now_ns();
	CHECK_EQ(undo(id), 0);
	undo_ns = now_ns() - undo_ns;
	tell("%s, %s: %u slots, pinned in %lu us, undone in %lu us, %lu.%lu ns a read",
	     name, flags & TEST_PIECES ? "pieces" : "one piece", req.nr_slots,
	     (long)req.pin_ns / 1000, (long)undo_ns / 1000,
	     (long)(reads.ns / reads.count), (long)(reads.ns * 10 / reads.count % 10));
}

static void bench_both(const char *name, char *mem, size_t size)
{
	unsigned int round;

	memset(mem, 1, size);
	for (round = 0; round < 4; round++)
		bench(name, mem, size, round % 2 ? TEST_PIECES : 0);
	munmap(mem, size);
}

static void bench_small(void)
{
	bench_both("4 KiB pages", map_anon(bench_size()), bench_size());
}

static void bench_thp(void)
{
	if (uml)
		skip("no huge pages");
	bench_both("THP", map_huge_anon(bench_size()), bench_size());
}

static void bench_hugetlb(void)
{
	char pages[16];

	snprintf(pages, sizeof(pages), "%lu", bench_size() / HUGE);
	write_file("/proc/sys/vm/nr_hugepages", pages);
	if (read_number("/proc/meminfo", "HugePages_Free") < (long)(bench_size() / HUGE))
		skip("no hugetlb pages");
	bench_both("hugetlb", map(bench_size(), PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1), bench_size());
	write_file("/proc/sys/vm/nr_hugepages", "64");
}

const struct test bench_tests[] = {
	{ "bench: small pages", bench_small },
	{ "bench: THP", bench_thp },
	{ "bench: hugetlb", bench_hugetlb },
	{}
};
