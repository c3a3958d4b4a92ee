// SPDX-License-Identifier: GPL-2.0
/* The device and the process see the same bytes. */
#include "test.h"

#define SIZE	(8 * HUGE)	/* 16 MiB */

static size_t size_here(void)
{
	return uml || quick ? SIZE / 8 : SIZE;
}

/* Compares each page after a write on either side, and the first byte after the end. */
static void check_contents(char *mem, size_t size, unsigned int flags)
{
	char *page = malloc(PAGE);
	size_t at, len;
	int id;

	fill(mem, size, 1);
	id = pin(mem, size, RW, flags | TEST_TRANSLATE);
	CHECK(id > 0);
	if (id <= 0)
		return;
	CHECK(guest_is_filled(id, 0, size, 1));
	fill(mem, size, 2);
	for (at = 0; at < size; at += len) {
		len = size - at < PAGE ? size - at : PAGE;
		if (copy_from(id, at, page, len) || memcmp(page, mem + at, len))
			break;
		memset(page, at / PAGE + 3, len);
		if (copy_to(id, at, page, len) || memcmp(page, mem + at, len))
			break;
	}
	CHECK_EQ(at, size);
	CHECK_EQ(copy_from(id, size - 1, page, 1), 0);
	CHECK_EQ(copy_from(id, size, page, 1), -EFAULT);
	CHECK_EQ(copy_from(id, size - 1, page, 2), -EFAULT);
	CHECK_EQ(undo(id), 0);
	free(page);
}

static void check_all_ways(char *mem, size_t size)
{
	/* Odd starts and ends, a byte, a byte across a page, and a page's two ends. */
	static const size_t small[][2] = {
		{ 0, 1 }, { 123, 777 }, { PAGE - 1, 2 }, { PAGE - 1, 1 }, { PAGE, PAGE },
		{ 1, 3 * PAGE }, { PAGE + 5, 2 * PAGE - 5 },
	};
	unsigned int flags, i;

	for (flags = 0; flags <= TEST_PIECES; flags++) {
		check_contents(mem, size, flags);
		check_contents(mem + 1001, size - 2 * PAGE - 7, flags);
		for (i = 0; i < ARRAY_SIZE(small); i++)
			check_contents(mem + small[i][0], small[i][1], flags);
	}
	munmap(mem, size);
}

static void contents_anon(void)
{
	check_all_ways(map_anon(size_here()), size_here());
}

static void contents_thp(void)
{
	char *mem = map_huge_anon(size_here());

	fill(mem, size_here(), 0);
	if (!read_number("/proc/self/smaps_rollup", "AnonHugePages"))
		skip("no transparent huge pages");
	check_all_ways(mem, size_here());
}

static void contents_memfd(void)
{
	int fd = new_memfd(size_here(), 0);

	check_all_ways(map(size_here(), PROT_READ | PROT_WRITE, MAP_SHARED, fd), size_here());
	/* Copied on write. */
	check_all_ways(map(size_here(), PROT_READ | PROT_WRITE, MAP_PRIVATE, fd), size_here());
	close(fd);
}

/* Older headers lack these definitions. */
#ifndef KVM_CREATE_GUEST_MEMFD
#define KVM_CREATE_GUEST_MEMFD	_IOWR(KVMIO, 0xd4, struct kvm_create_guest_memfd)
struct kvm_create_guest_memfd {
	__u64 size;
	__u64 flags;
	__u64 reserved[6];
};
#endif
#ifndef KVM_CAP_GUEST_MEMFD_FLAGS
#define KVM_CAP_GUEST_MEMFD_FLAGS	244
#endif
#ifndef GUEST_MEMFD_FLAG_MMAP
#define GUEST_MEMFD_FLAG_MMAP		0x1ULL
#endif
#ifndef GUEST_MEMFD_FLAG_INIT_SHARED
#define GUEST_MEMFD_FLAG_INIT_SHARED	0x2ULL
#endif

/* KVM memory that a guest and the process share.  Skips the test where KVM has none. */
static int new_guest_memfd(size_t size)
{
	struct kvm_create_guest_memfd req = {
		.size = size, .flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
	};
	int kvm = open("/dev/kvm", O_RDWR), vm, supported, fd;

	if (kvm < 0)
		skip("no KVM, so no guest_memfd");
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	CHECK(vm >= 0);
	supported = ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_FLAGS);
	if (supported < 0 || req.flags & ~(__u64)supported)
		skip("no guest_memfd that can be mapped");
	fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &req);
	CHECK(fd >= 0);
	close(vm);
	close(kvm);
	return fd;
}

static void contents_guest_memfd(void)
{
	size_t size = 64 * PAGE;
	int fd = new_guest_memfd(size), id = create(0);
	char *mem = map(size, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	struct kvm_region region = {
		.guest_phys_addr = GIB, .memory_size = size, .userspace_addr = (uintptr_t)mem,
	};
	char byte = 'd';

	CHECK(id > 0);
	fill(mem, size, 1);
	CHECK_EQ(set_kvm(id, &region, 1), 0);
	CHECK(guest_is_filled(id, GIB, size, 1));
	CHECK_EQ(copy_to(id, GIB + size - 1, &byte, 1), 0);
	CHECK_EQ(mem[size - 1], 'd');
	mem[PAGE] = 'p';
	CHECK_EQ(copy_from(id, GIB + PAGE, &byte, 1), 0);
	CHECK_EQ(byte, 'p');
	CHECK_EQ(undo(id), 0);
	close(fd);
	check_all_ways(mem, size);
}

static void contents_hugetlb(void)
{
	int fd;

	if (read_number("/proc/meminfo", "HugePages_Free") < (long)(2 * size_here() / HUGE))
		skip("no hugetlb pages");
	fd = new_memfd(size_here(), MFD_HUGETLB);
	check_all_ways(map(size_here(), PROT_READ | PROT_WRITE, MAP_SHARED, fd),
		       size_here());
	check_all_ways(map(size_here(), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1), size_here());
	close(fd);
}

/* Huge pages are pieces of the direct map; pages between them are mapped by vmap(). */
static void contents_pieces(void)
{
	struct test_pin req = { .access = RW, .flags = TEST_PIECES | TEST_TRANSLATE };
	char *mem = map_huge_anon(SIZE);
	struct counters before;
	int id;

	memset(mem, 1, SIZE);
	if (read_number("/proc/self/smaps_rollup", "AnonHugePages") < (long)(SIZE >> 10))
		skip("no transparent huge pages");

	before = counters();
	req.uaddr = (uintptr_t)mem;
	req.size = SIZE;
	id = pin_on(dev, &req);
	CHECK(id > 0);
	CHECK(req.nr_slots >= 1 && req.nr_slots <= SIZE / HUGE);
	CHECK_EQ(counters().areas, before.areas);
	CHECK_EQ(undo(id), 0);

	/* Small pages in the middle of the third, and at both ends. */
	madvise(mem, HUGE, MADV_DONTNEED);
	madvise(mem, HUGE, MADV_NOHUGEPAGE);
	madvise(mem + SIZE - HUGE, HUGE, MADV_DONTNEED);
	madvise(mem + SIZE - HUGE, HUGE, MADV_NOHUGEPAGE);
	madvise(mem + 3 * HUGE, HUGE, MADV_DONTNEED);
	madvise(mem + 3 * HUGE, HUGE, MADV_NOHUGEPAGE);
	/* Touched in descending order, so that they are not physically contiguous. */
	for (size_t at = SIZE; at; at -= PAGE)
		mem[at - PAGE] = 1;
	fill(mem, SIZE, 5);
	id = pin_on(dev, &req);
	CHECK(id > 0);
	CHECK(req.nr_slots >= 4);
	CHECK(counters().areas > before.areas);
	CHECK(guest_is_filled(id, 0, SIZE, 5));
	CHECK_EQ(undo(id), 0);
	CHECK_COUNTERS(before);

	req.flags = TEST_TRANSLATE;
	id = pin_on(dev, &req);
	CHECK(id > 0);
	CHECK_EQ(req.nr_slots, 1);
	CHECK(req.kva);
	CHECK_EQ(undo(id), 0);
}

/* Read-only memory can be pinned for reading; the kernel cannot write to it. */
static void contents_read_only(void)
{
	size_t size = 64 * PAGE;
	char *mem = map_anon(size), byte = 'w';
	unsigned int flags;
	int id;

	fill(mem, size, 1);
	mprotect(mem, size, PROT_READ);
	for (flags = 0; flags <= TEST_PIECES; flags++) {
		CHECK_EQ(pin(mem, size, RW, flags), -EFAULT);
		CHECK_EQ(pin(mem, size, WRITE, flags), -EFAULT);
		id = pin(mem, size, READ, flags | TEST_TRANSLATE);
		CHECK(id > 0);
		CHECK(guest_is_filled(id, 0, size, 1));
		CHECK_EQ(copy_to(id, 0, &byte, 1), -EPERM);
		if (!uml) {
			CHECK_EQ(ioctl(dev, TEST_POKE, id), -1);
			CHECK_EQ(errno, EFAULT);
		}
		CHECK(is_filled(mem, size, 1));
		CHECK_EQ(undo(id), 0);
	}

	/* Also a single page is not mapped by the direct map, which is writable. */
	id = pin(mem, 1, READ, TEST_PIECES);
	if (!uml)
		CHECK_EQ(ioctl(dev, TEST_POKE, id), -1);
	CHECK_EQ(undo(id), 0);

	/* The same check with writable memory. */
	mprotect(mem, size, PROT_READ | PROT_WRITE);
	id = pin(mem, size, RW, 0);
	if (!uml) {
		CHECK_EQ(ioctl(dev, TEST_POKE, id), 0);
		CHECK_EQ(mem[0], 'p');
	}
	CHECK_EQ(undo(id), 0);

	/* The read maps the zero page; the pin must get a page of the process. */
	mem = map_anon(size);
	CHECK_EQ(mem[PAGE], 0);
	id = pin(mem, size, READ, TEST_TRANSLATE);
	CHECK(id > 0);
	mem[PAGE] = 'u';
	CHECK_EQ(copy_from(id, PAGE, &byte, 1), 0);
	CHECK_EQ(byte, 'u');
	CHECK_EQ(undo(id), 0);

	/* The same after shared memory, which fork must not copy. */
	mem = map(size, PROT_READ, MAP_SHARED, new_memfd(size, 0));
	mmap(mem + 2 * PAGE, size - 2 * PAGE, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK_EQ(mem[0] + mem[3 * PAGE], 0);
	id = pin(mem, size, READ, TEST_TRANSLATE);
	CHECK(id > 0);
	mem[3 * PAGE] = 'u';
	CHECK_EQ(copy_from(id, 3 * PAGE, &byte, 1), 0);
	CHECK_EQ(byte, 'u');
	CHECK_EQ(undo(id), 0);
}

static void contents_write_only(void)
{
	char *mem = map_anon(PAGE), byte = 'w';
	int id = pin(mem, PAGE, WRITE, TEST_TRANSLATE);

	CHECK(id > 0);
	CHECK_EQ(copy_to(id, 7, &byte, 1), 0);
	CHECK_EQ(mem[7], 'w');
	CHECK_EQ(copy_from(id, 7, &byte, 1), -EPERM);
	CHECK_EQ(undo(id), 0);
}

/* The number of the page at @mem, or 0. */
static __u64 pfn_of(const void *mem)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	__u64 entry = 0;

	if (pread(fd, &entry, 8, (uintptr_t)mem / PAGE * 8) != 8 || !(entry >> 63))
		entry = 0;
	close(fd);
	return entry & ((1UL << 55) - 1);
}

#define KPF_DIRTY	4

/* Returns 1, 0, or -1 if unknown. */
static int is_dirty(void *mem)
{
	int fd = open("/proc/kpageflags", O_RDONLY), dirty = -1;
	__u64 pfn = pfn_of(mem), flags = 0;

	if (pfn && pread(fd, &flags, 8, pfn * 8) == 8)
		dirty = flags >> KPF_DIRTY & 1;
	close(fd);
	return dirty;
}

/* Unpinning marks pages dirty after a pin for writing, and only then. */
static void contents_dirty(void)
{
	size_t size = 64 * PAGE, at;
	unsigned int flags;
	char *mem;
	int id;

	for (flags = 0; flags <= TEST_PIECES; flags++) {
		mem = map_anon(size);
		for (at = size; at; at -= PAGE)
			mem[at - PAGE] = 1;
		if (is_dirty(mem) < 0)
			skip("no /proc/kpageflags");
		CHECK_EQ(is_dirty(mem), 0);
		id = pin(mem, size, READ, flags);
		CHECK_EQ(undo(id), 0);
		for (at = 0; at < size; at += PAGE)
			CHECK_EQ(is_dirty(mem + at), 0);
		id = pin(mem, size, RW, flags);
		CHECK_EQ(undo(id), 0);
		for (at = 0; at < size; at += PAGE)
			CHECK_EQ(is_dirty(mem + at), 1);
		munmap(mem, size);

		/* One page: in the direct map. */
		mem = map_anon(PAGE);
		mem[0] = 1;
		CHECK_EQ(is_dirty(mem), 0);
		id = pin(mem, PAGE, RW, flags);
		CHECK_EQ(undo(id), 0);
		CHECK_EQ(is_dirty(mem), 1);
		munmap(mem, PAGE);
	}
}

/* The last zone of this name: its first page, and its number of pages. */
static bool find_zone(const char *name, long *first, long *pages)
{
	char line[256], zone[16] = "";
	FILE *f = fopen("/proc/zoneinfo", "r");
	int found = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Node %*d, zone %15s", zone) == 1 || strcmp(zone, name))
			continue;
		if (sscanf(line, " spanned %ld", pages) == 1 ||
		    sscanf(line, " start_pfn: %ld", first) == 1)
			found++;
	}
	if (f)
		fclose(f);
	return found >= 2;
}

static bool set_block(unsigned int block, const char *state)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/memory/memory%u/state", block);
	return write_file(path, state);
}

/* FOLL_LONGTERM moves pages out of movable memory. */
static void contents_movable(void)
{
	long first = 0, pages = 0, before = 0, after = 0;
	size_t size = 256 * PAGE, at;
	unsigned int access, block;
	char *mem;
	int id;

	/* A memory block without pages of the kernel, which cannot go offline. */
	for (block = 0; block < 64 && !set_block(block, "offline"); block++)
		;
	if (block == 64 || !set_block(block, "online_movable"))
		skip("no memory that can be made movable");
	CHECK(find_zone("Movable", &first, &pages));
	for (access = READ; access <= RW; access++) {
		mem = map_anon(size);
		fill(mem, size, access);
		for (at = 0; at < size; at += PAGE)
			before += pfn_of(mem + at) - first < (__u64)pages;
		id = pin(mem, size, access, 0);
		for (at = 0; at < size; at += PAGE)
			after += pfn_of(mem + at) - first < (__u64)pages;
		CHECK(is_filled(mem, size, access));
		CHECK_EQ(undo(id), 0);
		munmap(mem, size);
	}
	tell("movable memory: %ld of %ld pages before, %ld when pinned", before,
	     (long)(3 * size / PAGE), after);
	CHECK(before);
	CHECK_EQ(after, 0);
	CHECK(set_block(block, "offline") && set_block(block, "online_kernel"));
}

const struct test contents_tests[] = {
	{ "contents: anonymous memory", contents_anon },
	{ "contents: transparent huge pages", contents_thp },
	{ "contents: memfd, shared and private", contents_memfd },
	{ "contents: guest_memfd", contents_guest_memfd },
	{ "contents: hugetlb, shared and private", contents_hugetlb },
	{ "contents: pieces, huge and small", contents_pieces },
	{ "contents: read-only", contents_read_only },
	{ "contents: write-only", contents_write_only },
	{ "contents: moved out of movable memory", contents_movable },
	{ "contents: marked dirty on unpin", contents_dirty },
	{}
};
