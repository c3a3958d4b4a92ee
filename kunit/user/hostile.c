// SPDX-License-Identifier: GPL-2.0
/* A hostile VMM: its effects on the host and on other VMMs are bounded. */
#include "test.h"

#include <sys/mount.h>

#define SIZE		(16 * PAGE)
#define HWPOISON	100	/* MADV_HWPOISON */

static char *reserve(size_t size)
{
	return map(size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
}

static void map_at(char *mem, size_t size)
{
	CHECK(mmap(mem, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		   -1, 0) == mem);
}

static void limit_pages(unsigned long pages)
{
	struct rlimit limit = { pages * PAGE, 1000 * PAGE };

	CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
}

/* A raised RLIMIT_MEMLOCK counts for existing blocks, too. */
static void hostile_limit(void)
{
	char *mem = map_anon(SIZE), byte = 1;
	struct kvm_region r;
	int id;

	limit_pages(8);
	if (setgid(1000) || setuid(1000))
		FAIL("cannot become a user");
	r = region(0, mem, 8 * PAGE);
	id = create(0);
	CHECK_EQ(set_kvm(id, &r, 1), 0);
	limit_pages(16);
	r = region(0, mem, 16 * PAGE);
	CHECK_EQ(set_kvm(id, &r, 1), 0);
	CHECK_EQ(copy_to(id, 15 * PAGE, &byte, 1), 0);
	CHECK_EQ(undo(id), 0);

	limit_pages(8);
	id = table_of(ON_DEMAND, mem, SIZE);
	CHECK_EQ(fault(id, 0, 1, READ, 0), -ENOMEM);
	limit_pages(16);
	CHECK_EQ(set_kvm(id, &r, 1), 0);
	CHECK_EQ(fault(id, 0, 1, READ, 0), 0);
	CHECK_EQ(undo(id), 0);
}

/* Setting a table on demand pins nothing, also the same table again. */
static void hostile_on_demand_again(void)
{
	int fd = new_memfd(HUGE, 0), id;
	char *mem = map_huge_anon(HUGE);
	struct kvm_region r = region(0, mem, HUGE);
	struct stat st;

	mmap(mem, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	id = table_of(ON_DEMAND, mem, HUGE);
	CHECK_EQ(fault(id, 0, 1, READ, 0), 0);
	CHECK_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, HUGE), 0);
	CHECK_EQ(set_kvm(id, &r, 1), 0);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_blocks, 0);
	CHECK_EQ(undo(id), 0);
}

struct setter {
	int id, ret;
	struct kvm_region regions[2];
	pthread_t thread;
};

static void *set_in_thread(void *arg)
{
	struct setter *setter = arg;

	setter->ret = set_kvm(setter->id, setter->regions, 2);
	return NULL;
}

/* While a table that has no room beside the old one waits, the bytes of both are there. */
static void hostile_leaving(void)
{
	char *mem = map_anon(SIZE), *missing = map_huge_anon(HUGE);
	char byte = 1, *page = map_anon(PAGE);
	int uffd = userfaultfd_for(missing, HUGE), i;
	struct setter setter = {};
	void *at = NULL;

	become_user(20);
	memset(mem, 1, SIZE);
	setter.id = create(0);
	setter.regions[0] = region(0, mem, 14 * PAGE);
	setter.regions[1] = region(2 * GIB, mem + 14 * PAGE, 2 * PAGE);
	CHECK_EQ(set_kvm(setter.id, setter.regions, 2), 0);
	setter.regions[1] = region(GIB, missing, 6 * PAGE);
	pthread_create(&setter.thread, NULL, set_in_thread, &setter);
	CHECK(userfault_wait(uffd, 10000, &at));
	CHECK_EQ(copy_to(setter.id, 0, &byte, 1), 0);
	for (i = 0; i < 3; i++) {
		int err = fault(setter.id, 0, 1, READ, 0);

		tell("fault %d, then a copy: %d", err, copy_to(setter.id, 0, &byte, 1));
	}
	for (i = 0; i < 6; i++)
		userfault_resolve(uffd, missing + i * PAGE, page);
	pthread_join(setter.thread, NULL);
	CHECK_EQ(setter.ret, 0);
	CHECK_EQ(undo(setter.id), 0);
}

#define CGROUP	"/tmp/cgroup-of-test"

/* Makes a cgroup with @max bytes, and enters it. */
static void enter_cgroup(const char *max)
{
	mkdir("/tmp", 0700);
	mkdir(CGROUP, 0700);
	if (mount("none", CGROUP, "cgroup2", 0, NULL) && errno != EBUSY)
		skip("no cgroup v2");
	if (!write_file(CGROUP "/cgroup.subtree_control", "+memory"))
		skip("no memory cgroup");
	mkdir(CGROUP "/test", 0700);
	CHECK(write_file(CGROUP "/test/memory.max", max));
	CHECK(write_file(CGROUP "/test/cgroup.procs", "0"));
}

static long charged_to(const char *file)
{
	char text[64];
	int fd;

	snprintf(text, sizeof(text), CGROUP "/test/%s", file);
	fd = open(text, O_RDONLY);
	memset(text, 0, sizeof(text));

	CHECK(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return atol(text);
}

#define NR_SETTERS	60
#define NR_REGIONS	65536U
#define NR_BLOCKS	(NR_REGIONS / 1024)

struct stalled_sets {
	bool begun;
	int uffd;
};

static struct vhost_memory *vhost_table;

static void *set_vhost_in_thread(void *arg)
{
	struct test_set set = { .vhost = (uintptr_t)vhost_table };

	(void)arg;
	set.id = create(0);
	ioctl(dev, TEST_SET, &set);
	return NULL;
}

/* Sets tables of many regions in many threads.  The first page of each waits. */
static void child_sets_tables(void *arg)
{
	char *missing = reserve(NR_BLOCKS * HUGE + HUGE), *mem = (char *)
		(((uintptr_t)missing + HUGE - 1) & ~(HUGE - 1));
	struct stalled_sets *shared = arg;
	pthread_attr_t attr;
	pthread_t thread;
	unsigned int i;

	enter_cgroup("64M");
	mprotect(missing, NR_BLOCKS * HUGE + HUGE, PROT_READ | PROT_WRITE);
	userfaultfd_for(mem, NR_BLOCKS * HUGE);
	vhost_table = calloc(1, sizeof(*vhost_table) +
			     NR_REGIONS * sizeof(vhost_table->regions[0]));
	vhost_table->nregions = NR_REGIONS;
	for (i = 0; i < NR_REGIONS; i++)
		vhost_table->regions[i] = (struct vhost_memory_region){
			.guest_phys_addr = i * PAGE, .memory_size = 1024,
			.userspace_addr = (uintptr_t)mem + i * 2048UL,
		};
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	WRITE_ONCE(shared->begun, true);
	for (i = 0; i < NR_SETTERS; i++)
		pthread_create(&thread, &attr, set_vhost_in_thread, NULL);
	pause();
}

/*
 * A process with many calls that wait for ever takes no more memory than its cgroup has.  It may
 * be killed for it.
 */
static void stalled_sets(void)
{
	struct stalled_sets *shared = map(PAGE, PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_ANONYMOUS, -1);
	static const char *const of_what[] = {
		"VmallocUsed", "Slab", "Percpu", "KernelStack", "PageTables", "AnonPages", "Cached",
	};
	long before, least, now, was[ARRAY_SIZE(of_what)], is[ARRAY_SIZE(of_what)];
	int i, status = 0;
	unsigned int k;
	pid_t pid;

	pid = start(child_sets_tables, shared);
	for (i = 0; i < 1000 && !READ_ONCE(shared->begun); i++) {
		usleep(10000);
		if (waitpid(pid, &status, WNOHANG) == pid)
			skip("no memory cgroup, or no userfaultfd");
	}
	before = read_number("/proc/meminfo", "MemFree");
	least = before;
	for (k = 0; k < ARRAY_SIZE(of_what); k++) {
		was[k] = read_number("/proc/meminfo", of_what[k]);
		is[k] = was[k];
	}
	for (i = 0; i < 1500; i++) {
		usleep(10000);
		now = read_number("/proc/meminfo", "MemFree");
		if (now < least) {
			least = now;
			for (k = 0; k < ARRAY_SIZE(of_what); k++)
				is[k] = read_number("/proc/meminfo", of_what[k]);
		}
		if (waitpid(pid, &status, WNOHANG) == pid)
			break;
	}
	tell("%d tables of %u regions: %ld MiB taken; %s", NR_SETTERS, NR_REGIONS,
	     (before - least) / 1024, i < 1500 ? "killed" : "all wait");
	for (k = 0; k < ARRAY_SIZE(of_what); k++)
		tell("%s: %+ld KiB", of_what[k], is[k] - was[k]);
	tell("charged at most: %ld KiB", charged_to("memory.peak") / 1024);
	/* Each thread may have 2 MiB for vmalloc() that it has not charged yet. */
	CHECK(before - least < (64 + NR_SETTERS * 2 + 32) * 1024);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

#define VAST	(1024 * GIB)

/* The OOM killer prints a stack trace, which scripts/splat.sh would take for that of a bug. */
static void hostile_stalled_sets(void)
{
	pid_t pid;

	write_file("/proc/sys/kernel/printk", "1");
	pid = fork();
	if (!pid) {
		stalled_sets();
		fflush(stdout);
		_exit(failed);
	}
	pid = finish(pid);
	write_file("/proc/sys/kernel/printk", "7");
	if (WIFEXITED(pid) && WEXITSTATUS(pid) == 77)
		_exit(77);
	CHECK_EQ(pid, 0);
}

/* A fault costs the same in a table of 1 TiB. */
static void hostile_large_table(void)
{
	long us[2], i, k;
	__u64 start_ns;
	char *mem;
	int id;

	if (uml)
		skip("too little address space");
	mem = map(VAST, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	for (i = 0; i < 2; i++) {
		id = table_of(ON_DEMAND, mem, i ? VAST : GIB);
		us[i] = 1000000;
		for (k = 0; k < 10; k++) {
			madvise(mem, PAGE, MADV_DONTNEED);
			start_ns = now_ns();
			CHECK_EQ(fault(id, 0, 1, READ, 0), 0);
			start_ns = (now_ns() - start_ns) / 1000;
			us[i] = (long)start_ns < us[i] ? (long)start_ns : us[i];
		}
		CHECK_EQ(undo(id), 0);
	}
	tell("a fault in a table of 1 GiB: %ld us, of 1 TiB: %ld us", us[0], us[1]);
	CHECK(us[1] < us[0] + 1000);
}

/* Memory that a worker allocates for a process is charged to the process's cgroup. */
static void hostile_charge(void)
{
	size_t size = 2 * GIB;
	char *mem = reserve(size);
	long before, after;
	int id;

	enter_cgroup("256M");
	munmap(mem, size);
	id = table_of(CONTIGUOUS | ON_DEMAND, mem, size);
	before = charged_to("memory.current");
	CHECK_EQ(fault(id, 0, 1, READ, TEST_KTHREAD), -EFAULT);
	after = charged_to("memory.current");
	tell("a fault by a kernel thread: %ld KiB charged", (after - before) / 1024);
	CHECK(after - before > 3 << 20);
	CHECK_EQ(undo(id), 0);
}

#define NR_STALLED	136

static void *fault_in_thread(void *arg)
{
	fault(*(int *)arg, 0, 1, READ, 0);
	return NULL;
}

static void child_stalls(void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	int i;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (i = 0; i < NR_STALLED; i++)
		pthread_create(&thread, &attr, fault_in_thread, arg);
	pause();
}

static void child_faults(void *arg)
{
	alarm(10);
	_exit(fault(*(int *)arg, 0, 1, READ, 0) != 0);
}

/* Faults that wait for one process do not stop those of others. */
static void hostile_stalled_faults(void)
{
	char *missing = map_huge_anon(HUGE), *mem = map_anon(SIZE);
	int uffd = userfaultfd_for(missing, HUGE), stalled, id;
	__u64 start_ns;
	pid_t pid;

	/* For the structs of so many threads; a second round leaves 100 KiB more. */
	allow_slab(4096);
	stalled = table_of(ON_DEMAND, missing, HUGE);
	id = table_of(0, mem, SIZE);
	madvise(mem, SIZE, MADV_DONTNEED);
	pid = start(child_stalls, &stalled);
	sleep(8);
	start_ns = now_ns();
	CHECK_EQ(finish(start(child_faults, &id)), 0);
	tell("a fault beside %d that wait: %ld ms", NR_STALLED,
	     (long)(now_ns() - start_ns) / 1000000);
	close(uffd);
	kill(pid, SIGKILL);
	finish(pid);
	CHECK_EQ(undo(id), 0);
	CHECK_EQ(undo(stalled), 0);
}

#define HAMMERED	(64UL << 20)

static void *hammer(void *arg)
{
	char *mem = arg;
	size_t at;

	for (;;) {
		for (at = 0; at < HAMMERED; at += PAGE)
			mem[at] = 1;
		madvise(mem, HAMMERED, MADV_DONTNEED);
	}
	return NULL;
}

static void child_hammers(void *arg)
{
	char *mem = map_anon(4 * HAMMERED);
	pthread_t thread;
	int i, id;

	(void)arg;
	for (i = 0; i < 4; i++)
		pthread_create(&thread, NULL, hammer, mem + i * HAMMERED);
	for (;;) {
		id = table_of(0, mem, 4 * HAMMERED);
		undo(id);
	}
}

/* The longest of some calls, in ms. */
static long slowest(char *mem, long *undo_ms)
{
	long set_ms = 0, ms;
	__u64 start_ns;
	int i, id;

	*undo_ms = 0;
	for (i = 0; i < 10; i++) {
		start_ns = now_ns();
		id = table_of(0, mem, SIZE);
		ms = (now_ns() - start_ns) / 1000000;
		set_ms = ms > set_ms ? ms : set_ms;
		start_ns = now_ns();
		CHECK_EQ(undo(id), 0);
		ms = (now_ns() - start_ns) / 1000000;
		*undo_ms = ms > *undo_ms ? ms : *undo_ms;
	}
	return set_ms;
}

/* A process that changes its memory all the time does not stop others. */
static void hostile_hammer(void)
{
	char *mem = map_anon(SIZE);
	long set_ms, undo_ms;
	pid_t pid;

	set_ms = slowest(mem, &undo_ms);
	tell("alone: set %ld ms, undo %ld ms", set_ms, undo_ms);
	pid = start(child_hammers, NULL);
	sleep(2);
	set_ms = slowest(mem, &undo_ms);
	tell("beside another process: set %ld ms, undo %ld ms", set_ms, undo_ms);
	CHECK(undo_ms < 1000);
	kill(pid, SIGKILL);
	finish(pid);
}

/* What munmap() of a region with many bad pages costs. */
static void hostile_bad(void)
{
	size_t size = 2 * GIB, i;
	unsigned int flags;
	__u64 start_ns;
	char *mem, byte = 0;
	long ms[2];
	int id = 0;

	if (uml)
		skip("too little memory");
	for (flags = 0; flags <= CONTIGUOUS; flags++) {
		mem = reserve(size);
		munmap(mem, size);
		for (i = 0; i < 250; i++) {
			map_at(mem + i * 37 * PAGE, PAGE);
			mem[i * 37 * PAGE] = i;
		}
		if (flags) {
			id = table_of(flags, mem, size);
			for (i = 0; i < 250; i++) {
				CHECK_EQ(copy_from(id, i * 37 * PAGE, &byte, 1), 0);
				CHECK_EQ((__u8)byte, i);
			}
		}
		start_ns = now_ns();
		munmap(mem, size);
		ms[flags] = (now_ns() - start_ns) / 1000000;
	}
	tell("munmap() of a hole with 250 pages: %ld ms, of a table in one piece: %ld ms",
	     ms[0], ms[1]);
	CHECK(ms[1] < 200);
	CHECK_EQ(undo(id), 0);
}

struct holder {
	struct test_hold hold;
	int ret;
	bool done;
};

static void *hold_in_thread(void *arg)
{
	struct holder *holder = arg;

	holder->ret = ioctl(dev, TEST_HOLD, &holder->hold);
	WRITE_ONCE(holder->done, true);
	return NULL;
}

/* A memory error waits for views: the number of ms. */
static long poison_under_view(char *mem, size_t size, char *buf)
{
	int id = table_of(0, mem, size);
	struct holder holder = { .hold = {
		.copy = { .id = id, .gpa = 6 * PAGE, .len = 1, .buf = (uintptr_t)buf },
		.ms = 2000,
	} };
	pthread_t thread;
	__u64 start_ns;
	int err;

	signal(SIGBUS, survive);
	pthread_create(&thread, NULL, hold_in_thread, &holder);
	usleep(500000);
	start_ns = now_ns();
	err = madvise(mem + 5 * PAGE, PAGE, HWPOISON);
	start_ns = now_ns() - start_ns;
	tell("madvise: %d %s, after %ld ms, the view %s", err, err ? strerror(errno) : "",
	     (long)start_ns / 1000000, READ_ONCE(holder.done) ? "was gone" : "was held");
	err = copy_from(id, 5 * PAGE, buf, 1);
	tell("a copy from the page: %d, then a fault: %d", err, fault(id, 5 * PAGE, 1, READ, 0));
	pthread_join(thread, NULL);
	CHECK_EQ(undo(id), 0);
	return start_ns / 1000000;
}

static void hostile_poison_small(void)
{
	char *mem = map_huge_anon(HUGE);

	if (uml)
		skip("no memory errors");
	madvise(mem, HUGE, MADV_NOHUGEPAGE);
	memset(mem, 1, HUGE);
	CHECK(poison_under_view(mem, HUGE, map_anon(PAGE)) > 1000);
}

static void hostile_poison_thp(void)
{
	char *mem = map_huge_anon(HUGE);

	memset(mem, 1, HUGE);
	poison_under_view(mem, HUGE, map_anon(PAGE));
}

/* memory_failure() marks the first page of a huge page, which the table has not. */
static void hostile_poison_hugetlb(void)
{
	char *mem = mmap(NULL, HUGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	if (mem == MAP_FAILED)
		skip("no huge pages");
	memset(mem, 1, HUGE);
	CHECK(poison_under_view(mem + HUGE / 2, HUGE / 2, map_anon(PAGE)) > 1000);
}

static char *holders_page;

static void *discard_later(void *arg)
{
	usleep(250000);
	madvise(holders_page, PAGE, MADV_DONTNEED);
	/* Now the zero page. */
	return arg + READ_ONCE(*(char *)holders_page);
}

/*
 * The holder of a view may enter memory reclaim, and so our notifier; or as here, by a page
 * fault in the same 2 MiB.
 */
static void hostile_poison_reclaim(void)
{
	char *mem = map_huge_anon(HUGE);
	pthread_t thread;

	if (uml)
		skip("no memory errors");
	madvise(mem, HUGE, MADV_NOHUGEPAGE);
	memset(mem, 1, HUGE);
	holders_page = mem + 100 * PAGE;
	pthread_create(&thread, NULL, discard_later, NULL);
	CHECK(poison_under_view(mem, HUGE, holders_page) > 1000);
	pthread_join(thread, NULL);
}

/* When a table is destroyed while a worker lays it out anew, nothing is left. */
static void hostile_destroy(void)
{
	char *mem = map_anon(SIZE);
	struct counters before = counters();
	int id;

	mprotect(mem + 5 * PAGE, PAGE, PROT_NONE);
	id = table_of(0, mem, SIZE);
	mprotect(mem + 5 * PAGE, PAGE, PROT_READ | PROT_WRITE);
	usleep(300000);
	CHECK_EQ(undo(id), 0);
	CHECK_EQ(counters().pinned, before.pinned);
	munmap(mem, SIZE);
}

/* A region that no machine has memory for is refused in silence. */
static void hostile_vast(void)
{
	struct kvm_region r = region(0, (void *)(1UL << 20), (1UL << 47) - (4UL << 20));
	unsigned int flags;
	int id;

	for (flags = CONTIGUOUS; flags <= 3; flags++) {
		if (flags == ON_DEMAND)
			continue;
		id = create(flags);
		tell("127 TiB, flags %u: %d", flags, set_kvm(id, &r, 1));
		tell("a fault: %d", fault(id, 0, 1, READ, 0));
		CHECK_EQ(undo(id), 0);
	}
}

const struct test hostile_tests[] = {
	{ "hostile: a raised limit", hostile_limit },
	{ "hostile: on demand, set again", hostile_on_demand_again },
	{ "hostile: no room for both tables", hostile_leaving },
	{ "hostile: a worker's memory is charged", hostile_charge },
	{ "hostile: stalled sets", hostile_stalled_sets },
	{ "hostile: a fault in a large table", hostile_large_table },
	{ "hostile: stalled faults of another", hostile_stalled_faults },
	{ "hostile: a neighbour's changes", hostile_hammer },
	{ "hostile: many bad pages", hostile_bad },
	{ "hostile: poison, small pages", hostile_poison_small },
	{ "hostile: poison, a huge page", hostile_poison_thp },
	{ "hostile: poison, hugetlb", hostile_poison_hugetlb },
	{ "hostile: destroy, and a worker", hostile_destroy },
	{ "hostile: view, poison, reclaim", hostile_poison_reclaim },
	{ "hostile: 127 TiB", hostile_vast },
	{}
};
