// SPDX-License-Identifier: GPL-2.0
/* A table follows the process: a lost page is absent until a fault. */
#include "test.h"

#define SIZE	(16 * PAGE)
#define PAGES	((long)(SIZE / PAGE))

/*
 * As a back end: faults when a lookup fails, and looks up again.  (-EFAULT may be of the moment
 * when another thread has faulted, and the page was not there.)
 */
static int device_copy(int id, bool to_guest, __u64 gpa, void *buf, __u64 len)
{
	int err, tries;

	for (tries = 0; tries < 1000; tries++) {
		err = copy_on(dev, id, to_guest, gpa, buf, len);
		if (err != -EAGAIN && err != -EFAULT)
			return err;
		err = fault(id, gpa, len, to_guest ? WRITE : READ, 0);
		if (err)
			return err;
	}
	return -ELOOP;
}

/* The device and the process see each other's bytes. */
static void check_shared(int id, __u64 gpa, char *mem, size_t size)
{
	char *buf = malloc(size);

	memset(mem, 'p', size);
	CHECK_EQ(device_copy(id, false, gpa, buf, size), 0);
	CHECK(!memcmp(buf, mem, size));
	memset(buf, 'd', size);
	CHECK_EQ(device_copy(id, true, gpa, buf, size), 0);
	CHECK(!memcmp(buf, mem, size));
	free(buf);
}

/* Each way to lose memory at @mem, of @size bytes in a shared memfd or private. */
static void lose_discard(char *mem, size_t size, int fd, size_t at)
{
	(void)fd;
	(void)at;
	CHECK_EQ(madvise(mem, size, MADV_DONTNEED), 0);
}

static void lose_map(char *mem, size_t size, int fd, size_t at)
{
	(void)fd;
	(void)at;
	CHECK(mmap(mem, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		   -1, 0) == mem);
}

static void lose_map_other_file(char *mem, size_t size, int fd, size_t at)
{
	int other = new_memfd(at + size, 0);

	(void)fd;
	CHECK(mmap(mem, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, other, at) == mem);
	close(other);
}

static void lose_punch(char *mem, size_t size, int fd, size_t at)
{
	(void)mem;
	CHECK_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, size), 0);
}

static void lose_move(char *mem, size_t size, int fd, size_t at)
{
	char *elsewhere = map_anon(size);
	size_t i;

	/* One mapping at a time. */
	for (i = 0; i < size; i += PAGE)
		CHECK(mremap(mem + i, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere + i) ==
		      elsewhere + i);
	lose_map(mem, size, fd, at);
	munmap(elsewhere, size);
}

static void lose_protect(char *mem, size_t size, int fd, size_t at)
{
	(void)fd;
	(void)at;
	CHECK_EQ(mprotect(mem, size, PROT_NONE), 0);
	CHECK_EQ(mprotect(mem, size, PROT_READ | PROT_WRITE), 0);
}

static void lose_pageout(char *mem, size_t size, int fd, size_t at)
{
	(void)fd;
	(void)at;
	madvise(mem, size, 21 /* MADV_PAGEOUT */);
}

static void lose_collapse(char *mem, size_t size, int fd, size_t at)
{
	(void)fd;
	(void)at;
	madvise(mem, size, MADV_HUGEPAGE);
	madvise((char *)((uintptr_t)mem & ~(HUGE - 1)), HUGE, 25 /* MADV_COLLAPSE */);
}

static void lose_merge(char *mem, size_t size, int fd, size_t at)
{
	(void)fd;
	(void)at;
	madvise(mem, size, MADV_MERGEABLE);
	usleep(1000);
	madvise(mem, size, MADV_UNMERGEABLE);
}

static void lose_fork(char *mem, size_t size, int fd, size_t at)
{
	pid_t pid = fork();

	(void)fd;
	(void)at;
	if (!pid) {
		memset(mem, 'c', size);
		_exit(0);
	}
	memset(mem, 'f', size);
	finish(pid);
}

static const struct {
	const char *name;
	void (*lose)(char *mem, size_t size, int fd, size_t at);
	bool of_file;	/* only where the memory is of @fd */
	bool keeps;	/* the process has the same bytes as before */
} ways[] = {
	{ "discarded", lose_discard, false, false },
	{ "mapped anew", lose_map, false, false },
	{ "mapped to another file", lose_map_other_file, false, false },
	{ "punched", lose_punch, true, false },
	{ "moved away", lose_move, false, false },
	{ "protected for a while", lose_protect, false, true },
	{ "paged out", lose_pageout, false, true },
	{ "collapsed", lose_collapse, false, true },
	{ "merged", lose_merge, false, true },
	{ "forked", lose_fork, false, false },
};

/* User-mode Linux walks the mappings of a file without their lock, and lockdep says so. */
static bool is_left_out(unsigned int way)
{
	return uml && ways[way].lose == lose_punch;
}

/* Each way, in each kind of table: in the middle of a block, and over the edge of two. */
static void follow_ways(void)
{
	size_t size = 3 * HUGE, first = HUGE - 8 * PAGE;
	struct counters before = counters();
	unsigned int way, flags;
	int fd, id;
	char *mem;

	for (way = 0; way < ARRAY_SIZE(ways); way++) {
		for (flags = 0; flags <= 3; flags++) {
			bool of_file = ways[way].of_file || flags == ON_DEMAND;

			if ((ways[way].lose == lose_fork && of_file) || is_left_out(way))
				continue;
			fd = new_memfd(size, 0);
			mem = map_huge_anon(size);
			madvise(mem, size, MADV_NOHUGEPAGE);
			if (of_file)
				mmap(mem, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
				     fd, 0);
			id = table_of(flags, mem, size);
			check_shared(id, 0, mem, size);
			ways[way].lose(mem + first, SIZE, fd, first);
			check_shared(id, first, mem + first, SIZE);
			check_shared(id, 0, mem, size);
			/* The device reads the memory before the process does. */
			memset(mem, 'q', size);
			ways[way].lose(mem + first, SIZE, fd, first);
			if (!ways[way].keeps) {
				char *got = malloc(SIZE);

				CHECK_EQ(device_copy(id, false, first, got, SIZE), 0);
				CHECK(!memcmp(got, mem + first, SIZE));
				free(got);
			}
			if (failed) {
				tell("so far: %s, flags %u", ways[way].name, flags);
				return;
			}
			CHECK_EQ(undo(id), 0);
			munmap(mem, size);
			close(fd);
		}
	}
	CHECK_COUNTERS(before);
}

/* A lost page answers -EAGAIN until a fault; an inaccessible page answers -EFAULT after one. */
static void follow_errors(void)
{
	char *mem = map_anon(SIZE), byte;
	int id = table_of(0, mem, SIZE);
	struct kvm_region all = region(0, mem, SIZE);
	unsigned int i;

	CHECK_EQ(copy_from(id, 0, &byte, 1), 0);
	CHECK_EQ(fault(id, 0, SIZE, RW, 0), 0);
	CHECK_EQ(fault(id, SIZE - 1, 2, RW, 0), -EFAULT);
	CHECK_EQ(fault(id, SIZE, 1, READ, 0), -EFAULT);
	CHECK_EQ(fault(id, 0, 0, RW, 0), 0);

	for (i = 0; i < 2; i++) {
		munmap(mem + 5 * PAGE, PAGE);
		CHECK_EQ(copy_from(id, 5 * PAGE, &byte, 1), -EAGAIN);
		CHECK_EQ(fault(id, 5 * PAGE, 1, READ, 0), -EFAULT);
		CHECK_EQ(copy_from(id, 5 * PAGE, &byte, 1), -EFAULT);
		/* The pages beside it are there. */
		CHECK_EQ(copy_from(id, 5 * PAGE - 1, &byte, 1), 0);
		CHECK_EQ(copy_from(id, 6 * PAGE, &byte, 1), 0);
		mmap(mem + 5 * PAGE, PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		mem[5 * PAGE] = 'n';
		/* Healed by a fault, or by setting the table. */
		CHECK_EQ(i ? set_kvm(id, &all, 1) : fault(id, 5 * PAGE, 1, READ, 0), 0);
		CHECK_EQ(copy_from(id, 5 * PAGE, &byte, 1), 0);
		CHECK_EQ(byte, 'n');
	}

	mprotect(mem + 2 * PAGE, PAGE, PROT_READ);
	CHECK_EQ(copy_to(id, 2 * PAGE, &byte, 1), -EAGAIN);
	CHECK_EQ(fault(id, 2 * PAGE, 1, WRITE, 0), -EPERM);
	CHECK_EQ(copy_to(id, 2 * PAGE, &byte, 1), -EFAULT);
	mprotect(mem + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE);
	/* The process has changed it: -EAGAIN again, when a worker has run. */
	for (i = 0; copy_to(id, 2 * PAGE, &byte, 1) == -EFAULT && i < 300; i++)
		usleep(10000);
	CHECK_EQ(copy_to(id, 2 * PAGE, &byte, 1), -EAGAIN);
	CHECK_EQ(device_copy(id, true, 2 * PAGE, &byte, 1), 0);
	CHECK_EQ(undo(id), 0);

	/* Read-only for the device. */
	all.flags = KVM_MEM_READONLY;
	id = create(ON_DEMAND);
	CHECK_EQ(set_kvm(id, &all, 1), 0);
	CHECK_EQ(fault(id, 0, 1, WRITE, 0), -EPERM);
	CHECK_EQ(fault(id, 0, 1, READ, 0), 0);
	CHECK_EQ(copy_to(id, 0, &byte, 1), -EPERM);
	CHECK_EQ(undo(id), 0);
}

/* A region that cannot be pinned, and one bad page, leave the rest as it is. */
static void follow_refused(void)
{
	char *mem = map_anon(3 * SIZE), byte = 'r';
	struct kvm_region regions[] = {
		region(0, mem, SIZE), region(GIB, mem + SIZE, SIZE),
		region(2 * GIB, mem + 2 * SIZE, SIZE),
	};
	unsigned int flags;
	int id;

	mmap(mem + SIZE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, dev,
	     TEST_MMAP_PFN * PAGE);
	munmap(mem + SIZE + 3 * PAGE, PAGE);
	for (flags = 0; flags <= 1; flags++) {
		id = create(flags);
		CHECK_EQ(set_kvm(id, regions, 3), 0);
		CHECK_EQ(copy_to(id, 0, &byte, 1), 0);
		CHECK_EQ(copy_to(id, 2 * GIB, &byte, 1), 0);
		CHECK_EQ(copy_to(id, GIB, &byte, 1), -EFAULT);
		CHECK_EQ(copy_to(id, GIB + PAGE, &byte, 1), 0);
		CHECK_EQ(mem[SIZE + PAGE], 'r');
		CHECK_EQ(copy_to(id, GIB + 3 * PAGE, &byte, 1), -EFAULT);
		CHECK_EQ(copy_to(id, GIB + 4 * PAGE, &byte, 1), 0);
		CHECK_EQ(undo(id), 0);
	}
}

/* Nothing is pinned before the device asks for it; then it comes in blocks. */
static void follow_on_demand(void)
{
	size_t size = 8 * HUGE;
	struct counters before = counters();
	char *mem = map_huge_anon(size), byte;
	int fd = new_memfd(size, 0), id;
	struct stat st;

	mmap(mem, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	id = table_of(ON_DEMAND, mem, size);
	CHECK_EQ(counters().pinned - before.pinned, 0);
	CHECK_EQ(copy_from(id, 3 * HUGE, &byte, 1), -EAGAIN);
	CHECK_EQ(device_copy(id, false, 3 * HUGE, &byte, 1), 0);
	CHECK_EQ(counters().pinned - before.pinned, HUGE / PAGE);
	CHECK_EQ(copy_from(id, 2 * HUGE, &byte, 1), -EAGAIN);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_blocks, HUGE / 512);
	check_shared(id, 0, mem, size);
	CHECK_EQ(undo(id), 0);
	CHECK_COUNTERS(before);
}

struct faulter {
	int id, err;
};

static void *fault_in_thread(void *arg)
{
	struct faulter *faulter = arg;

	faulter->err = fault(faulter->id, 0, 1, READ, 0);
	return NULL;
}

/* A page is lost after a fault has pinned it, while the fault waits for another page. */
static void follow_lost_in_a_fault(void)
{
	char *mem = map_anon(4 * PAGE), *contents = map_anon(PAGE), byte;
	struct faulter faulter;
	pthread_t thread;
	void *addr;
	int uffd;

	mem[0] = 'o';
	faulter.id = table_of(ON_DEMAND, mem, 4 * PAGE);
	uffd = userfaultfd_for(mem + 3 * PAGE, PAGE);
	pthread_create(&thread, NULL, fault_in_thread, &faulter);
	CHECK(userfault_wait(uffd, 10000, &addr));
	CHECK_EQ(madvise(mem, PAGE, MADV_DONTNEED), 0);
	mem[0] = 'n';
	userfault_resolve(uffd, mem + 3 * PAGE, contents);
	pthread_join(thread, NULL);
	CHECK_EQ(faulter.err, 0);
	CHECK_EQ(device_copy(faulter.id, false, 0, &byte, 1), 0);
	CHECK_EQ(byte, 'n');
	CHECK_EQ(undo(faulter.id), 0);
}

/* A memory error: the page is not read any more, and the rest is. */
static void follow_poison(void)
{
	struct counters before = counters();
	char *mem = map_anon(SIZE), byte = 'h';
	int id = table_of(0, mem, SIZE), err;

	signal(SIGBUS, survive);
	check_shared(id, 0, mem, SIZE);
	/* It fails if the page is still referenced, after it has taken it away. */
	err = madvise(mem + 3 * PAGE, PAGE, 100 /* MADV_HWPOISON */);
	if (err && errno != EBUSY) {
		undo(id);
		skip("no memory errors on demand");
	}
	CHECK_EQ(copy_from(id, 3 * PAGE, &byte, 1), -EAGAIN);
	CHECK_EQ(fault(id, 3 * PAGE, 1, READ, 0), -EHWPOISON);
	CHECK_EQ(copy_from(id, 3 * PAGE, &byte, 1), -EFAULT);
	check_shared(id, 0, mem, 3 * PAGE);
	check_shared(id, 4 * PAGE, mem + 4 * PAGE, SIZE - 4 * PAGE);
	/* As QEMU does: new memory in its place. */
	mmap(mem + 3 * PAGE, PAGE, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	check_shared(id, 0, mem, SIZE);
	CHECK_EQ(undo(id), 0);
	CHECK_COUNTERS(before);
}

/* Eight devices of one VMM pin its memory once. */
static void follow_eight(void)
{
	struct counters before = counters(), one;
	char *mem = map_anon(3 * SIZE);
	int ids[8], i;

	ids[0] = table_of(0, mem, 3 * SIZE);
	one = counters();
	CHECK_EQ(one.pinned - before.pinned, 3 * PAGES);
	for (i = 1; i < 8; i++)
		ids[i] = table_of(0, mem, 3 * SIZE);
	CHECK_EQ(counters().pinned, one.pinned);
	CHECK_EQ(counters().acquired, one.acquired);
	CHECK_EQ(counters().vm_pin, one.vm_pin);
	CHECK_EQ(counters().areas, one.areas);
	CHECK_EQ(madvise(mem + SIZE, PAGE, MADV_DONTNEED), 0);
	for (i = 0; i < 8; i++)
		check_shared(ids[i], 0, mem, 3 * SIZE);
	for (i = 0; i < 8; i++)
		CHECK_EQ(undo(ids[i]), 0);
	CHECK_COUNTERS(before);
}

/* The log is memory of the process. */
static int set_log(int id, void *log, __u64 size)
{
	struct test_log req = { .id = id, .uaddr = (uintptr_t)log, .size = size };

	return ioctl(dev, TEST_LOG, &req) ? -errno : 0;
}

static void follow_log(void)
{
	struct counters before = counters();
	char *mem = map_anon(SIZE), *log = map_anon(2 * PAGE), byte = 'l';
	int id = table_of(0, mem, SIZE);

	CHECK_EQ(set_log(id, log + 1, 8), -EINVAL);
	CHECK_EQ(set_log(id, log, 7), -EINVAL);
	CHECK_EQ(set_log(id, log, 0), -EINVAL);
	CHECK_EQ(set_log(id, (void *)-PAGE, 8), -EFAULT);
	CHECK_EQ(set_log(id, log, 8), 0);
	CHECK_EQ(copy_to(id, 5 * PAGE, &byte, 1), 0);
	CHECK_EQ(log[0], 1 << 5);
	CHECK_EQ(copy_from(id, 6 * PAGE, &byte, 1), 0);
	CHECK_EQ(log[0], 1 << 5);
	CHECK_EQ(set_log(id, log + PAGE, 8), 0);
	CHECK_EQ(copy_to(id, 8 * PAGE, &byte, 1), 0);
	CHECK_EQ(log[1], 0);
	CHECK_EQ(log[PAGE + 1], 1);
	CHECK_EQ(set_log(id, NULL, 0), 0);
	CHECK_EQ(copy_to(id, 9 * PAGE, &byte, 1), 0);
	CHECK_EQ(log[PAGE + 1], 1);
	/* Left on. */
	CHECK_EQ(set_log(id, log, 8), 0);
	CHECK_EQ(undo(id), 0);
	CHECK_COUNTERS(before);
}

/* A fault by a kernel thread, and by a process with memory of its own. */
static void child_faults(void *arg)
{
	char byte;

	CHECK_EQ(fault(*(int *)arg, PAGE, 1, READ, 0), 0);
	CHECK_EQ(copy_from(*(int *)arg, PAGE, &byte, 1), 0);
	CHECK_EQ(byte, 'x');
	if (failed)
		_exit(1);
}

static void child_leaves_table(void *arg)
{
	char *mem = map_anon(SIZE);

	WRITE_ONCE(*(int *)arg, table_of(0, mem, SIZE));
}

static void follow_others(void)
{
	int *id = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
	struct counters before = counters();
	char *mem = map_anon(SIZE), byte;

	*id = table_of(0, mem, SIZE);
	madvise(mem, SIZE, MADV_DONTNEED);
	mem[0] = 'k';
	CHECK_EQ(fault(*id, 0, 1, READ, TEST_KTHREAD), 0);
	CHECK_EQ(copy_from(*id, 0, &byte, 1), 0);
	CHECK_EQ(byte, 'k');
	madvise(mem, SIZE, MADV_DONTNEED);
	mem[PAGE] = 'x';
	CHECK_EQ(finish(start(child_faults, id)), 0);
	CHECK_EQ(undo(*id), 0);
	CHECK_COUNTERS(before);

	/* The memory of a process that has exited is gone. */
	CHECK_EQ(finish(start(child_leaves_table, id)), 0);
	CHECK_EQ(copy_from(*id, 0, &byte, 1), -EAGAIN);
	CHECK_EQ(fault(*id, 0, 1, READ, 0), -EFAULT);
	CHECK_EQ(fault(*id, 0, 1, READ, TEST_KTHREAD), -EFAULT);
	CHECK_COUNTERS(before);
	CHECK_EQ(undo(*id), 0);
}

/* A set call needs RLIMIT_MEMLOCK for the larger of the two tables only. */
static void child_succeeds(void *arg)
{
	struct kvm_region all = region(0, ((char **)arg)[1], 16 * SIZE);

	CHECK_EQ(set_kvm(*(int *)arg, &all, 1), 0);
	if (failed)
		_exit(1);
}

static void follow_limit(void)
{
	size_t unit = SIZE;
	char *mem, *other;
	struct kvm_region t[3];
	struct {
		long id;
		char *mem;
	} heir;
	int id;

	become_user(20 * PAGES);
	mem = map_anon(20 * unit);
	other = map_anon(20 * unit);
	id = create(0);
	t[0] = region(0, mem, 16 * unit);
	CHECK_EQ(set_kvm(id, t, 1), 0);
	t[0] = region(0, mem, 14 * unit);
	CHECK_EQ(set_kvm(id, t, 1), 0);
	CHECK_EQ(counters().vm_pin, 14 * (long)unit >> 10);
	t[0] = region(0, mem, 7 * unit);
	t[1] = region(7 * unit, mem + 7 * unit, 7 * unit);
	CHECK_EQ(set_kvm(id, t, 2), 0);
	t[0] = region(0, mem, 18 * unit);
	CHECK_EQ(set_kvm(id, t, 1), 0);
	CHECK_EQ(counters().vm_pin, 18 * (long)unit >> 10);
	/* Nothing in common: there is no room for both. */
	t[0] = region(0, other, 20 * unit);
	CHECK_EQ(set_kvm(id, t, 1), 0);
	check_shared(id, 0, other, 20 * unit);
	CHECK_EQ(counters().vm_pin, 20 * (long)unit >> 10);
	/* Too large: the table that is set stays. */
	t[1] = region(GIB, mem, PAGE);
	CHECK_EQ(set_kvm(id, t, 2), -ENOMEM);
	check_shared(id, 0, other, 20 * unit);
	CHECK_EQ(copy_from(id, GIB, mem, 1), -EFAULT);
	/* Another process of the user takes the context over. */
	t[0] = region(0, other, 16 * unit);
	CHECK_EQ(set_kvm(id, t, 1), 0);
	heir.id = id;
	heir.mem = other;
	CHECK_EQ(finish(start(child_succeeds, &heir)), 0);
	CHECK_EQ(undo(id), 0);
	CHECK_EQ(counters().vm_pin, 0);
}

/* Random edits of a table, against a model: a set call pins the new pages only. */
#define NR_EDITED	4U

static bool wanted[2][4 * 512];	/* pages that the table has: before, now */

static void edit(struct kvm_region *r, char *mem, size_t pages)
{
	__u64 start = (r->userspace_addr - (uintptr_t)mem) / PAGE, n = r->memory_size / PAGE;
	__u64 by = 1 + random_u64() % (random_u64() % 2 ? 3 : 300);

	switch (random_u64() % 6) {
	case 0:	/* grow */
		n += by;
		break;
	case 1:	/* shrink */
		n = n > by ? n - by : 1;
		break;
	case 2:	/* the other edge */
		start = start > by ? start - by : 0;
		break;
	case 3:
		start += by;
		n = n > by ? n - by : 1;
		break;
	case 4:	/* swap for other memory */
		start = random_u64() % pages;
		break;
	}
	start %= pages;
	if (n > pages - start)
		n = pages - start;
	r->userspace_addr = (uintptr_t)mem + start * PAGE;
	r->memory_size = n * PAGE;
}

static void follow_edits(void)
{
	size_t pages = ARRAY_SIZE(wanted[0]), i;
	unsigned int round, rounds = quick ? 300 : 10000, nr, r;
	struct kvm_region regions[NR_EDITED];
	struct counters before;
	char *mem = map_huge_anon(pages * PAGE);
	long fresh, acquired, have;
	int id = create(0);

	madvise(mem, pages * PAGE, MADV_NOHUGEPAGE);
	memset(mem, 1, pages * PAGE);
	for (r = 0; r < NR_EDITED; r++)
		regions[r] = region(0, mem + r * 100 * PAGE, 50 * PAGE);
	before = counters();
	for (round = 0; round < rounds && !failed; round++) {
		edit(&regions[random_u64() % NR_EDITED], mem, pages);
		nr = random_u64() % (NR_EDITED + 1);
		memcpy(wanted[0], wanted[1], sizeof(wanted[0]));
		memset(wanted[1], 0, sizeof(wanted[1]));
		for (r = 0; r < nr; r++) {
			regions[r].guest_phys_addr = r * GIB + random_u64() % 2 * PAGE;
			i = (regions[r].userspace_addr - (uintptr_t)mem) / PAGE;
			memset(&wanted[1][i], 1, regions[r].memory_size / PAGE);
		}
		fresh = 0;
		have = 0;
		for (i = 0; i < pages; i++) {
			fresh += wanted[1][i] && !wanted[0][i];
			have += wanted[1][i];
		}
		acquired = counters().acquired;
		CHECK_EQ(set_kvm(id, regions, nr), 0);
		CHECK_EQ(counters().acquired - acquired, fresh);
		CHECK_EQ(counters().vm_pin - before.vm_pin, have * (long)PAGE >> 10);
	}
	tell("random edits: %u", round);
	CHECK_EQ(undo(id), 0);
	CHECK_COUNTERS(before);
}

/*
 * Threads change their pages of the same blocks in every way, while tables are set.  After
 * each change, the device and the process read each other's bytes.
 */
#define NR_CHANGERS	3
#define PER_CHANGER	(2 * HUGE)
#define NR_MORE		1024

static char *arena;
static int arena_fd, arena_id[2];
static bool arena_over;
static unsigned long arena_changes, arena_sets, arena_failed_sets;

static void change_once(unsigned int *seed, unsigned int number)
{
	/* Every third 4 pages of a block are this thread's. */
	size_t slot = rand_r(seed) % (PER_CHANGER / (4 * PAGE));
	size_t at = (slot * NR_CHANGERS + number) * 4 * PAGE;
	size_t size = (1 + rand_r(seed) % 4) * PAGE;
	unsigned int way = rand_r(seed) % ARRAY_SIZE(ways);
	int id = arena_id[rand_r(seed) % 2];
	char *mem = arena + at, *buf;

	/* fork() under other threads is slow, and file pages may have been replaced. */
	if ((ways[way].lose == lose_fork && rand_r(seed) % 16) || is_left_out(way))
		way = 0;
	ways[way].lose(mem, size, arena_fd, at);
	buf = malloc(size);
	memset(mem, rand_r(seed), size);
	mem[size - 1] = rand_r(seed);
	CHECK_EQ(device_copy(id, false, at, buf, size), 0);
	CHECK(!memcmp(buf, mem, size));
	memset(buf, rand_r(seed), size);
	CHECK_EQ(device_copy(id, true, at, buf, size), 0);
	CHECK(!memcmp(buf, mem, size));
	if (failed)
		tell("a change by thread %u: %s", number, ways[way].name);
	free(buf);
	__atomic_add_fetch(&arena_changes, 1, __ATOMIC_RELAXED);
}

static void *changer(void *arg)
{
	unsigned int number = (uintptr_t)arg, seed = number + 1;

	while (!READ_ONCE(arena_over) && !failed)
		change_once(&seed, number);
	return NULL;
}

static void *arena_setter(void *arg)
{
	size_t size = NR_CHANGERS * PER_CHANGER, cut;
	static struct kvm_region t[2 + NR_MORE];
	char *more = map_anon(NR_MORE * PAGE);
	unsigned int seed = 99, i;

	(void)arg;
	/* They make a table slow to build, so that more is lost meanwhile. */
	for (i = 0; i < NR_MORE; i++)
		t[2 + i] = region(64 * GIB + i * 2 * PAGE, more + i * PAGE, PAGE);
	while (!READ_ONCE(arena_over) && !failed) {
		cut = (1 + rand_r(&seed) % (size / PAGE - 1)) * PAGE;
		t[0] = region(0, arena, cut);
		t[1] = region(cut, arena + cut, size - cut);
		if (set_kvm(arena_id[rand_r(&seed) % 2], t, 2 + NR_MORE))
			arena_failed_sets++;
		arena_sets++;
		usleep(rand_r(&seed) % 3000);
	}
	return NULL;
}

static void follow_all(void)
{
	size_t size = NR_CHANGERS * PER_CHANGER;
	pthread_t threads[NR_CHANGERS + 1];
	struct counters before = counters();
	unsigned int seconds = quick ? 10 : 120;
	uintptr_t i;

	arena_fd = new_memfd(size, 0);
	arena = map_huge_anon(size);
	mmap(arena, size / 2, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, arena_fd, 0);
	write_file("/sys/kernel/mm/ksm/run", "1");
	for (i = 0; i < 2; i++)
		arena_id[i] = table_of(i ? ON_DEMAND : 0, arena, size);
	for (i = 0; i < NR_CHANGERS; i++)
		pthread_create(&threads[i], NULL, changer, (void *)i);
	pthread_create(&threads[i], NULL, arena_setter, NULL);
	for (i = 0; i < seconds && !failed; i++)
		sleep(1);
	WRITE_ONCE(arena_over, true);
	for (i = 0; i <= NR_CHANGERS; i++)
		pthread_join(threads[i], NULL);
	write_file("/sys/kernel/mm/ksm/run", "0");
	tell("%lu changes, %lu tables set", arena_changes, arena_sets);
	CHECK(arena_changes > 100);
	CHECK_EQ(arena_failed_sets, 0);
	CHECK_EQ(undo(arena_id[0]), 0);
	CHECK_EQ(undo(arena_id[1]), 0);
	CHECK_COUNTERS(before);
}

const struct test follow_tests[] = {
	{ "follow: each way to lose memory", follow_ways },
	{ "follow: absent, refused, healed", follow_errors },
	{ "follow: device memory and a hole", follow_refused },
	{ "follow: on demand", follow_on_demand },
	{ "follow: lost in a fault", follow_lost_in_a_fault },
	{ "follow: a memory error", follow_poison },
	{ "follow: eight devices", follow_eight },
	{ "follow: the dirty log", follow_log },
	{ "follow: faults of others", follow_others },
	{ "follow: the limit of the larger table", follow_limit },
	{ "follow: random edits pin what is new", follow_edits },
	{ "follow: all ways at once", follow_all },
	{}
};
