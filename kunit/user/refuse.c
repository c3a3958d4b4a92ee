// SPDX-License-Identifier: GPL-2.0
/* Memory that must not be pinned gives an error, and nothing is pinned. */
#include "test.h"

static void check_refused(void *mem, __u64 size, unsigned int access, int err)
{
	CHECK_EQ(pin(mem, size, access, 0), err);
	CHECK_EQ(pin(mem, size, access, TEST_PIECES), err);
}

/* The test device maps a page at this offset: see device.h. */
static char *map_page_of(unsigned long offset)
{
	return mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, dev, offset * PAGE);
}

static void refuse_arguments(void)
{
	char *mem = map_anon(PAGE);

	check_refused(mem, 0, RW, -EINVAL);
	check_refused(mem, PAGE, 0, -EINVAL);
	check_refused(mem, PAGE, 4, -EINVAL);
	check_refused(mem, PAGE, 7, -EINVAL);
	CHECK_EQ(ioctl(dev, TEST_CREATE, 4), -1);
	CHECK_EQ(errno, EINVAL);
	/* A kernel thread has no user memory. */
	CHECK_EQ(pin(mem, PAGE, RW, TEST_KTHREAD), -EINVAL);
}

static void refuse_addresses(void)
{
	static const __u64 bad[][2] = {
		{ 0, PAGE },				/* no mapping */
		{ 0xffff888000000000, PAGE },		/* the direct map */
		{ 0xffffffff81000000, PAGE },		/* the kernel's text */
		{ 0xffffffffff600000, PAGE },		/* vsyscall */
		{ 0x800000000000, PAGE },		/* above user memory: not canonical */
		{ 0x7fffffffe000, PAGE },		/* above the stack */
		{ 0x7ffffffff000, 2 * PAGE },		/* leaves user memory */
		{ -PAGE, PAGE }, { -PAGE, PAGE - 1 },	/* wraps, or nearly */
		{ -PAGE, 2 * PAGE }, { 1, -1 }, { -1, 1 }, { -1, -1 }, { PAGE, -PAGE },
	};
	unsigned int i;
	char *mem;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		check_refused((void *)bad[i][0], bad[i][1], READ, -EFAULT);
		check_refused((void *)bad[i][0], bad[i][1], RW, -EFAULT);
	}
	/*
	 * Sizes that lose upper bits in an int, in pages or in bytes.  At such a low address
	 * the whole range is user memory, except in user-mode Linux.
	 */
	mem = uml ? map_anon(PAGE) :
		    mmap((void *)(1UL << 28), PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(mem != MAP_FAILED);
	for (i = 44; i < 47; i++)
		check_refused(mem, (1UL << i) + PAGE, READ, uml ? -EFAULT : -ENOMEM);
}

/* One page is missing: the pages before it are unpinned again. */
static void refuse_holes(void)
{
	static const size_t size = 1200 * PAGE;	/* more than two batches */
	static const size_t holes[] = { 0, 511, 512, 600, 1199 };
	struct counters before = counters();
	unsigned int i;
	char *mem;

	for (i = 0; i < ARRAY_SIZE(holes); i++) {
		mem = map_anon(size);
		if (i % 2)
			memset(mem, 1, size);
		munmap(mem + holes[i] * PAGE, PAGE);
		check_refused(mem, size, RW, -EFAULT);
		check_refused(mem, size, READ, -EFAULT);
		CHECK_COUNTERS(before);
		mmap(mem + holes[i] * PAGE, PAGE, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		check_refused(mem, size, READ, -EFAULT);
		munmap(mem, size);
	}
	/* Past the end of a file. */
	mem = map(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, new_memfd(3 * PAGE, 0));
	check_refused(mem, 4 * PAGE, RW, -EFAULT);
	CHECK(undo(pin(mem, 3 * PAGE, RW, 0)) == 0);
}

/* More pages than the machine has: an error at once, without a warning. */
static void refuse_huge(void)
{
	static const __u64 sizes[] = { 1UL << 44, (1UL << 44) + 5, 1UL << 43, 1UL << 41 };
	__u64 start_ns = now_ns();
	unsigned int i;
	void *mem;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		mem = mmap(NULL, sizes[i], PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (mem == MAP_FAILED)
			skip("cannot reserve 2^44 bytes");
		check_refused(mem, sizes[i], RW, -ENOMEM);
		check_refused(mem, sizes[i], READ, -ENOMEM);
		munmap(mem, sizes[i]);
	}
	CHECK(now_ns() - start_ns < 5000000000);
}

static void refuse_device_memory(void)
{
	/* VM_PFNMAP */
	char *mem = map_page_of(TEST_MMAP_PFN);
	int fd;

	CHECK(mem != MAP_FAILED);
	mem[0] = 'm';
	check_refused(mem, PAGE, RW, -EFAULT);
	check_refused(mem, PAGE, READ, -EFAULT);
	CHECK_EQ(mem[0], 'm');
	munmap(mem, PAGE);

	/* VM_IO: the VGA's memory. */
	if (uml)
		return;
	fd = open("/dev/mem", O_RDWR);
	mem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0xa0000);
	CHECK(mem != MAP_FAILED);
	check_refused(mem, PAGE, RW, -EFAULT);
	check_refused(mem, PAGE, READ, -EFAULT);
	munmap(mem, PAGE);
	close(fd);
}

static void refuse_secretmem(void)
{
	int fd = syscall(447 /* memfd_secret */, 0);
	char *mem;

	if (fd < 0 || ftruncate(fd, 2 * PAGE))
		skip("no secretmem");
	mem = map(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	check_refused(mem, PAGE, RW, -EFAULT);
	/* Also after it has been touched, when the fast path of gup finds it. */
	mem[0] = 's';
	mem[PAGE] = 's';
	check_refused(mem, PAGE, RW, -EFAULT);
	check_refused(mem + PAGE, PAGE, READ, -EFAULT);
	CHECK_EQ(mem[0], 's');
}

/* /disk/file is on a filesystem with writeback. */
static void refuse_shared_file(void)
{
	char *page = malloc(PAGE), *mem;
	int fd = open("/disk/file", O_RDWR | O_CREAT | O_TRUNC, 0600), i, id;

	if (fd < 0)
		skip("no disk");
	memset(page, 'f', PAGE);
	for (i = 0; i < 16; i++)
		CHECK_EQ(write(fd, page, PAGE), PAGE);

	mem = map(16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	check_refused(mem, 16 * PAGE, RW, -EFAULT);
	memset(mem, 'g', 16 * PAGE);
	check_refused(mem, 16 * PAGE, RW, -EFAULT);
	check_refused(mem + 15 * PAGE, 1, WRITE, -EFAULT);

	/* For reading, or in a private mapping, it can be pinned. */
	id = pin(mem, 16 * PAGE, READ, TEST_TRANSLATE);
	CHECK(id > 0);
	CHECK_EQ(copy_from(id, PAGE, page, 1), 0);
	CHECK_EQ(page[0], 'g');
	CHECK_EQ(undo(id), 0);
	mem = map(16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
	id = pin(mem, 16 * PAGE, RW, TEST_TRANSLATE);
	CHECK(id > 0);
	page[0] = 'd';
	CHECK_EQ(copy_to(id, PAGE, page, 1), 0);
	CHECK_EQ(mem[PAGE], 'd');
	CHECK_EQ(pread(fd, page, 1, PAGE), 1);
	CHECK_EQ(page[0], 'g');
	CHECK_EQ(undo(id), 0);
	/* A stretch with both copied pages and pages of the file. */
	mem = map(16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
	mem[3 * PAGE] = 'm';
	CHECK_EQ(undo(pin(mem, 16 * PAGE, READ, 0)), 0);
	unlink("/disk/file");
}

/*
 * The check is of the page, not of the VMA: the VMA is that of the test device, and the
 * page is one of a file.  A device node is on devtmpfs, which is shmem, but is no regular file.
 */
static void refuse_pages(void)
{
	int fd = open("/disk/file", O_RDWR | O_CREAT | O_TRUNC, 0600), memfd = new_memfd(PAGE, 0);
	const struct {
		unsigned long offset;
		bool refused;
	} pages[] = {
		{ TEST_MMAP_OF_NONE, false }, { TEST_MMAP_OF(memfd), false },
		{ TEST_MMAP_OF(dev), true }, { TEST_MMAP_OF(fd), true },
	};
	struct counters before = counters();
	unsigned int i;
	char *mem;
	int id;

	if (fd < 0)
		skip("no disk");
	for (i = 0; i < ARRAY_SIZE(pages); i++) {
		mem = map_page_of(pages[i].offset);
		CHECK(mem != MAP_FAILED);
		mem[0] = 'p';
		if (pages[i].refused)
			check_refused(mem, PAGE, RW, -EFAULT);
		else
			CHECK_EQ(undo(pin(mem, PAGE, RW, 0)), 0);
		id = pin(mem, PAGE, READ, TEST_TRANSLATE);
		CHECK(id > 0);
		CHECK_EQ(copy_from(id, 0, &mem[1], 1), 0);
		CHECK_EQ(mem[1], 'p');
		CHECK_EQ(undo(id), 0);
		munmap(mem, PAGE);
	}
	CHECK_COUNTERS(before);
	unlink("/disk/file");
}

const struct test refuse_tests[] = {
	{ "refuse: bad arguments", refuse_arguments },
	{ "refuse: kernel and wrapping addresses", refuse_addresses },
	{ "refuse: holes", refuse_holes },
	{ "refuse: 2^44 bytes", refuse_huge },
	{ "refuse: device memory", refuse_device_memory },
	{ "refuse: secretmem", refuse_secretmem },
	{ "refuse: shared file mapping, for writing", refuse_shared_file },
	{ "refuse: a file's page in other memory", refuse_pages },
	{}
};
