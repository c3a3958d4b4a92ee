// SPDX-License-Identifier: GPL-2.0
/*
 * The costs of one piece of vmap(), and of pieces of the direct map.
 *
 * Address space is measured in /proc/vmallocinfo.  Page tables are computed, as 8 bytes
 * for each 4 KiB of address space: the kernel keeps the page tables of freed areas, so
 * they cannot be measured again.  Tables are computed as well: 16 bytes for a piece, 32
 * for a slot of the core, and the size of the index as in table_max_words().
 */
#include "test.h"

#define PAGE_TABLES(bytes)	((bytes) / 512)

static long tables(long nr_slots)
{
	long words = 64 * (nr_slots + 1);

	if (words > 1280)
		words = 1280;
	if (words < nr_slots / 2 * 5)
		words = nr_slots / 2 * 5;
	return nr_slots * (16 + 32) + words * 8;
}

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
	struct counters before = counters(), with;
	__u64 undo_ns;
	int id;

	id = pin_on(dev, &req);
	if (id < 0) {
		FAIL("pin: %d", id);
		return;
	}
	with = counters();
	with.area_bytes -= before.area_bytes;
	reads.id = id;
	/* The first call fills the caches. */
	ioctl(dev, TEST_BENCH, &reads);
	CHECK_EQ(ioctl(dev, TEST_BENCH, &reads), 0);
	undo_ns = now_ns();
	CHECK_EQ(undo(id), 0);
	undo_ns = now_ns() - undo_ns;
	tell("%s, %s: %u slots, pinned in %lu us, undone in %lu us, %lu.%lu ns a read;",
	     name, flags & TEST_PIECES ? "pieces" : "one piece", req.nr_slots,
	     (long)req.pin_ns / 1000, (long)undo_ns / 1000,
	     (long)(reads.ns / reads.count), (long)(reads.ns * 10 / reads.count % 10));
	tell("    %ld KiB of addresses, %ld KiB of page tables, %ld KiB of tables",
	     with.area_bytes >> 10, PAGE_TABLES(with.area_bytes) >> 10,
	     (tables(req.nr_slots) + 1023) >> 10);
}

/* Ends a measurement; returns microseconds. */
static double us_since(__u64 start_ns)
{
	return (now_ns() - start_ns) / 1000.0;
}

/* The time to discard a page, on average of those in @size bytes that are 2 MiB apart. */
static double discard_us(char *mem, size_t size)
{
	__u64 start_ns = now_ns();
	size_t at;

	for (at = 0; at < size; at += HUGE)
		madvise(mem + at + 5 * PAGE, PAGE, MADV_DONTNEED);
	return us_since(start_ns) / (size / HUGE);
}

/* The time to make all blocks present, on average of one. */
static double faults_us(int id, size_t size)
{
	__u64 start_ns = now_ns();
	size_t at;

	for (at = 0; at < size; at += HUGE)
		CHECK_EQ(fault(id, at, PAGE, RW, 0), 0);
	return us_since(start_ns) / (size / HUGE);
}

/*
 * Compares the cost of a table with the cost of a stretch.  The same calls pin both; the stretch
 * does not follow the process.
 */
static void bench_table(const char *name, char *mem, size_t size, size_t page)
{
	struct kvm_region all = { .memory_size = size, .userspace_addr = (uintptr_t)mem };
	double stretch, set, again, untracked, tracked, fault, refill;
	__u64 start_ns;
	int id;

	start_ns = now_ns();
	id = pin(mem, size, RW, TEST_PIECES);
	stretch = us_since(start_ns);
	CHECK(id > 0);
	CHECK_EQ(undo(id), 0);
	id = create(0);
	start_ns = now_ns();
	CHECK_EQ(set_kvm(id, &all, 1), 0);
	set = us_since(start_ns);
	start_ns = now_ns();
	CHECK_EQ(set_kvm(id, &all, 1), 0);
	again = us_since(start_ns);
	tell("%s: first table of %lu MiB %.0f us, %.2f times a stretch; the same again %.0f us",
	     name, size >> 20, set, set / stretch, again);
	if (page != PAGE)
		goto out;
	tracked = discard_us(mem, size);
	refill = faults_us(id, size);
	CHECK_EQ(undo(id), 0);
	memset(mem, 1, size);
	untracked = discard_us(mem, size);
	memset(mem, 1, size);
	id = create(2);
	CHECK_EQ(set_kvm(id, &all, 1), 0);
	fault = faults_us(id, size);
	tell("%s: discarding a page %.1f us, %.1f us untracked; its block comes back in %.1f us;",
	     name, tracked, untracked, refill);
	tell("    a block on demand in %.1f us, %.2f times a stretch of so much", fault,
	     fault / (stretch / (size / HUGE)));
out:
	CHECK_EQ(undo(id), 0);
}

static void bench_both(const char *name, char *mem, size_t size, size_t page)
{
	unsigned int round;

	memset(mem, 1, size);
	for (round = 0; round < 4; round++)
		bench(name, mem, size, round % 2 ? TEST_PIECES : 0);
	for (round = 0; round < 3; round++)
		bench_table(name, mem, size, page);
	munmap(mem, size);
}

/* The reads of TEST_BENCH, by this program's own addresses. */
static void bench_reads(const char *name, const char *mem, size_t size)
{
	__u64 reads = size / 64, count = 10000000, random = 1, sum = 0, start_ns = 0, i;

	/* The first half fills the caches. */
	for (i = 0; i < 2 * count; i++) {
		const __u64 *words;
		int j;

		if (i == count)
			start_ns = now_ns();
		random = random * 6364136223846793005ULL + 1442695040888963407ULL;
		words = (const __u64 *)(mem + (reads * (random >> 32) >> 32) * 64);
		for (j = 0; j < 8; j++)
			sum += READ_ONCE(words[j]);
	}
	/* All bytes are 1.  The check keeps the compiler from removing the reads. */
	if (sum != 2 * count * 8 * 0x0101010101010101ULL)
		FAIL("read %llx", (unsigned long long)sum);
	tell("native, %s: %.1f ns a read", name, (now_ns() - start_ns) / (double)count);
}

/*
 * The software TLB of QEMU has only 4 KiB entries.  So 4 KiB pages, as of vmap(), and 2
 * MiB pages are compared on the machine itself, by mappings of this program.
 */
void bench_native(void)
{
	char *small = map_anon(GIB), *huge = map_huge_anon(GIB);
	int round;

	memset(small, 1, GIB);
	memset(huge, 1, GIB);
	if (read_number("/proc/self/smaps_rollup", "AnonHugePages") < (long)(GIB >> 10)) {
		tell("native: no transparent huge pages");
		return;
	}
	for (round = 0; round < 3; round++) {
		bench_reads("4 KiB pages", small, GIB);
		bench_reads("2 MiB pages", huge, GIB);
	}
}

static void bench_small(void)
{
	bench_both("4 KiB pages", map_anon(bench_size()), bench_size(), PAGE);
}

static void bench_thp(void)
{
	if (uml)
		skip("no huge pages");
	bench_both("THP", map_huge_anon(bench_size()), bench_size(), HUGE);
}

static void bench_hugetlb(void)
{
	char pages[16];

	snprintf(pages, sizeof(pages), "%lu", bench_size() / HUGE);
	write_file("/proc/sys/vm/nr_hugepages", pages);
	if (read_number("/proc/meminfo", "HugePages_Free") < (long)(bench_size() / HUGE))
		skip("no hugetlb pages");
	bench_both("hugetlb", map(bench_size(), PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1),
		   bench_size(), HUGE);
	write_file("/proc/sys/vm/nr_hugepages", "64");
}

const struct test bench_tests[] = {
	{ "bench: small pages", bench_small },
	{ "bench: THP", bench_thp },
	{ "bench: hugetlb", bench_hugetlb },
	{}
};
