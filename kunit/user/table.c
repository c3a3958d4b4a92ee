// SPDX-License-Identifier: GPL-2.0
/* The table of a VMM's memory. */
#include "test.h"

#define SIZE	(16 * PAGE)
#define PAGES	((long)(SIZE / PAGE))
#define MAX	16
#define MAX_IN_BLOCK	1024	/* MAX_SPANS of the module */

static int set_vhost(int id, const struct kvm_region *regions, unsigned int nr,
		     unsigned int padding)
{
	union {
		struct vhost_memory head;
		char room[sizeof(struct vhost_memory) + MAX * sizeof(struct vhost_memory_region)];
	} memory = { .head = { .nregions = nr, .padding = padding } };
	struct test_set req = { .id = id, .vhost = (uintptr_t)&memory };
	unsigned int i;

	for (i = 0; i < nr && i < MAX; i++)
		memory.head.regions[i] = (struct vhost_memory_region){
			.guest_phys_addr = regions[i].guest_phys_addr,
			.memory_size = regions[i].memory_size,
			.userspace_addr = regions[i].userspace_addr,
		};
	return ioctl(dev, TEST_SET, &req) ? -errno : 0;
}

static char *filled_memory(unsigned int seed)
{
	char *mem = map_anon(SIZE);

	fill(mem, SIZE, seed);
	return mem;
}

static void table_vhost(void)
{
	struct kvm_region regions[] = {
		region(GIB, filled_memory(1), SIZE), region(0, filled_memory(2) + 5, SIZE - 10),
	};
	struct test_set req = { .id = create(0) };
	char *mem, byte = 'v';

	CHECK(req.id > 0);
	CHECK_EQ(set_vhost(req.id, regions, 2, 0), 0);
	CHECK(guest_is_filled(req.id, GIB, SIZE, 1));
	CHECK_EQ(copy_to(req.id, 0, &byte, 1), 0);
	CHECK_EQ(*(char *)regions[1].userspace_addr, 'v');
	CHECK_EQ(copy_from(req.id, SIZE - 11, &byte, 1), 0);
	CHECK_EQ(copy_from(req.id, SIZE - 10, &byte, 1), -EFAULT);

	CHECK_EQ(set_vhost(req.id, regions, 2, 1), -EOPNOTSUPP);
	CHECK_EQ(set_vhost(req.id, regions, -1, 0), -ENOSPC);
	req.vhost = 8;
	CHECK_EQ(ioctl(dev, TEST_SET, &req), -1);
	CHECK_EQ(errno, EFAULT);
	/* struct vhost_memory ends at an unmapped page. */
	mem = map_anon(2 * PAGE);
	munmap(mem + PAGE, PAGE);
	req.vhost = (uintptr_t)mem + PAGE - sizeof(struct vhost_memory);
	((struct vhost_memory *)(uintptr_t)req.vhost)->nregions = 1;
	CHECK_EQ(ioctl(dev, TEST_SET, &req), -1);
	CHECK_EQ(errno, EFAULT);
	CHECK(guest_is_filled(req.id, GIB, SIZE, 1));

	CHECK_EQ(set_vhost(req.id, regions, 0, 0), 0);
	CHECK_EQ(copy_from(req.id, GIB, &byte, 1), -EFAULT);
	CHECK_EQ(counters().vm_pin, 0);
	CHECK_EQ(undo(req.id), 0);
}

/* Returns -1 if no region has this byte. */
static __u64 gpa_of(int id, const void *mem)
{
	struct test_gpa req = { .id = id, .uaddr = (uintptr_t)mem, .gpa = -2 };

	if (!ioctl(dev, TEST_GPA, &req))
		return req.gpa;
	CHECK_EQ(errno, EFAULT);
	return -1;
}

/* The guest address of each byte of the process, by the current table. */
static void table_gpa(void)
{
	char *a = map_anon(3 * SIZE), *b = a + 2 * SIZE;
	struct kvm_region regions[] = { region(5 * GIB, a + 7, SIZE), region(GIB + 3, b, SIZE) };
	int id = create(0);

	CHECK_EQ(gpa_of(id, a), -1);
	CHECK_EQ(set_kvm(id, regions, 2), 0);
	CHECK_EQ(gpa_of(id, a + 6), -1);
	CHECK_EQ(gpa_of(id, a + 7), 5 * GIB);
	CHECK_EQ(gpa_of(id, a + 6 + SIZE), 5 * GIB + SIZE - 1);
	CHECK_EQ(gpa_of(id, a + 7 + SIZE), -1);
	CHECK_EQ(gpa_of(id, b + 100), GIB + 103);
	CHECK_EQ(gpa_of(id, b + SIZE), -1);
	CHECK_EQ(gpa_of(id, (void *)-1UL), -1);

	/* A failed call leaves the old table. */
	regions[0].guest_phys_addr = 7 * GIB;
	regions[1].userspace_addr = -PAGE;
	CHECK_EQ(set_kvm(id, regions, 2), -EFAULT);
	CHECK_EQ(gpa_of(id, b), GIB + 3);
	CHECK_EQ(set_kvm(id, regions, 1), 0);
	CHECK_EQ(gpa_of(id, a + 7), 7 * GIB);
	CHECK_EQ(gpa_of(id, b), -1);
	CHECK_EQ(undo(id), 0);
}

static void table_kvm_flags(void)
{
	char *mem = filled_memory(1), byte = 'k';
	struct kvm_region regions[] = { region(0, mem, SIZE),
					region(SIZE, filled_memory(2), SIZE) };
	int id = create(0);

	regions[0].flags = KVM_MEM_READONLY;
	regions[1].flags = KVM_MEM_LOG_DIRTY_PAGES;
	mprotect(mem, SIZE, PROT_READ);
	CHECK_EQ(set_kvm(id, regions, 2), 0);
	CHECK(guest_is_filled(id, 0, SIZE, 1));
	CHECK_EQ(copy_to(id, 0, &byte, 1), -EPERM);
	CHECK_EQ(copy_to(id, SIZE, &byte, 1), 0);

	/* Memory that the process cannot write does not refuse the table. */
	regions[0].flags = 0;
	CHECK_EQ(set_kvm(id, regions, 2), 0);
	CHECK_EQ(copy_to(id, 0, &byte, 1), -EFAULT);
	CHECK_EQ(copy_to(id, SIZE, &byte, 1), 0);
	mprotect(mem, SIZE, PROT_READ | PROT_WRITE);
	CHECK_EQ(set_kvm(id, regions, 2), 0);
	CHECK_EQ(copy_to(id, 0, &byte, 1), 0);
	CHECK_EQ(mem[0], 'k');
	regions[0].flags = 4;
	CHECK_EQ(set_kvm(id, regions, 2), -EINVAL);
	regions[0] = region(0, mem, 0);
	CHECK_EQ(set_kvm(id, regions, 2), -EINVAL);
	regions[0] = region(-SIZE, mem, SIZE + 1);
	CHECK_EQ(set_kvm(id, regions, 2), -EINVAL);
	CHECK_EQ(copy_from(id, 0, &byte, 1), 0);
	CHECK_EQ(undo(id), 0);
}

/* Sets a table; returns the number of pages that the call pinned. */
static long pinned_by(int id, struct kvm_region *regions, unsigned int nr, int want)
{
	struct counters before = counters();

	CHECK_EQ(set_kvm(id, regions, nr), want);
	return counters().acquired - before.acquired;
}

static void table_keeps(void)
{
	char *a = filled_memory(1), *b = filled_memory(2), *c = filled_memory(3);
	struct kvm_region regions[] = { region(0, a, SIZE), region(GIB, b, SIZE),
					region(2 * GIB, c, SIZE) };
	struct kvm_region swapped[] = { regions[2], regions[0], regions[1] };
	struct counters before = counters();
	unsigned int flags;
	int id;

	for (flags = 0; flags <= 1; flags++) {
		id = create(flags);
		CHECK_EQ(pinned_by(id, regions, 2, 0), 2 * PAGES);
		CHECK_EQ(pinned_by(id, regions, 2, 0), 0);
		CHECK_EQ(pinned_by(id, regions, 3, 0), PAGES);
		CHECK_EQ(pinned_by(id, swapped, 3, 0), 0);
		/* At another guest address, then at two. */
		regions[0].guest_phys_addr = 3 * GIB;
		CHECK_EQ(pinned_by(id, regions, 3, 0), 0);
		CHECK(guest_is_filled(id, 3 * GIB, SIZE, 1));
		CHECK_EQ(copy_from(id, 0, a, 1), -EFAULT);
		swapped[0] = region(0, a, SIZE);
		swapped[1] = region(GIB, a, SIZE);
		CHECK_EQ(pinned_by(id, swapped, 2, 0), 0);
		CHECK(guest_is_filled(id, 0, SIZE, 1));
		CHECK(guest_is_filled(id, GIB, SIZE, 1));
		CHECK_EQ(counters().pinned - before.pinned, PAGES);
		/* A new region at two guest addresses is pinned once. */
		swapped[0] = region(0, b, SIZE);
		swapped[1] = region(GIB, b, SIZE);
		CHECK_EQ(pinned_by(id, swapped, 2, 0), PAGES);
		CHECK(guest_is_filled(id, GIB, SIZE, 2));
		/* Another size or start: what is in both tables stays pinned. */
		swapped[0] = region(0, b, SIZE - 1);
		CHECK_EQ(pinned_by(id, swapped, 1, 0), 0);
		swapped[0] = region(0, b + 1, SIZE - 1);
		CHECK_EQ(pinned_by(id, swapped, 1, 0), 0);
		CHECK_EQ(counters().pinned - before.pinned, PAGES);
		CHECK_EQ(counters().vm_pin - before.vm_pin, SIZE >> 10);

		/* A kept region has the pages that the process has. */
		swapped[0] = region(0, c, SIZE);
		CHECK_EQ(pinned_by(id, swapped, 1, 0), PAGES);
		madvise(c, SIZE, MADV_DONTNEED);
		CHECK_EQ(copy_from(id, 0, a, 1), -EAGAIN);
		fill(c, SIZE, 7);
		CHECK_EQ(pinned_by(id, swapped, 1, 0), PAGES);
		CHECK(guest_is_filled(id, 0, SIZE, 7));
		CHECK_EQ(undo(id), 0);
		CHECK_COUNTERS(before);

		fill(c, SIZE, 3);
		regions[0] = region(0, a, SIZE);
		swapped[0] = regions[2];
		swapped[1] = regions[0];
	}
}

struct sharer {
	int id;
	char *mem;
};

static void child_sets(void *arg)
{
	int id = ((struct sharer *)arg)->id;
	char *mem = ((struct sharer *)arg)->mem;
	struct kvm_region regions[] = { region(0, mem, SIZE) };

	/* The same address in another process is other memory. */
	fill(mem, SIZE, 5);
	CHECK_EQ(pinned_by(id, regions, 1, 0), PAGES);
	CHECK(guest_is_filled(id, 0, SIZE, 5));
	CHECK_EQ(counters().vm_pin, SIZE >> 10);
	if (failed)
		_exit(1);
}

static void table_of_another_process(void)
{
	struct sharer sharer = { create(0), filled_memory(1) };
	struct kvm_region regions[] = { region(0, sharer.mem, SIZE) };
	struct counters before = counters();
	char byte;

	CHECK_EQ(set_kvm(sharer.id, regions, 1), 0);
	CHECK_EQ(finish(start(child_sets, &sharer)), 0);
	CHECK_EQ(counters().vm_pin, 0);
	/* It has exited, and its memory with it. */
	CHECK_EQ(copy_from(sharer.id, 0, &byte, 1), -EAGAIN);
	CHECK_EQ(undo(sharer.id), 0);
	CHECK_COUNTERS(before);
}

/* After each kind of error the old table is the current one, and nothing is charged. */
static void table_failures(void)
{
	char *a = filled_memory(1), *b = filled_memory(2), *kernel = (char *)-(8 * SIZE), byte;
	struct kvm_region old[] = { region(0, a, SIZE), region(GIB, b, SIZE) };
	struct kvm_region new[] = {
		region(0, filled_memory(4), SIZE), region(GIB, b, SIZE), region(2 * GIB, a, SIZE),
		region(3 * GIB, filled_memory(5), SIZE),
	};
	struct kvm_region bad;
	struct counters before;
	unsigned int i;
	int id;

	become_user(6 * PAGES);
	id = create(0);
	CHECK_EQ(set_kvm(id, old, 2), 0);
	before = counters();
	for (i = 0; i < 4; i++) {
		bad = new[i];
		new[i].userspace_addr = (uintptr_t)kernel;
		CHECK_EQ(set_kvm(id, new, 4), -EFAULT);
		CHECK_EQ(set_vhost(id, new, 4, 0), -EFAULT);
		CHECK_COUNTERS(before);
		new[i] = bad;
		/* Two regions share a byte: an error after all regions are pinned. */
		new[i].guest_phys_addr = new[(i + 1) % 4].guest_phys_addr + SIZE - 1;
		CHECK_EQ(set_kvm(id, new, 4), -EEXIST);
		CHECK_COUNTERS(before);
		new[i] = bad;
		/* Two pages over the limit. */
		new[i] = region(new[i].guest_phys_addr, map_anon(4 * SIZE), 4 * SIZE);
		CHECK_EQ(set_kvm(id, new, 4), -ENOMEM);
		CHECK_COUNTERS(before);
		new[i] = bad;
		CHECK(guest_is_filled(id, 0, SIZE, 1));
		CHECK(guest_is_filled(id, GIB, SIZE, 2));
		CHECK_EQ(copy_from(id, 2 * GIB, &byte, 1), -EFAULT);
	}
	/* The limit is enough for both tables; afterwards only the new one is charged. */
	CHECK_EQ(set_kvm(id, new, 4), 0);
	CHECK_EQ(counters().vm_pin, 4 * SIZE >> 10);
	CHECK(guest_is_filled(id, 3 * GIB, SIZE, 5));
	CHECK_EQ(undo(id), 0);
	CHECK_EQ(counters().vm_pin, 0);
}

struct holder {
	struct test_hold req;
	int ret;
	pthread_t thread;
};

static void *hold_in_thread(void *arg)
{
	struct holder *holder = arg;

	holder->ret = ioctl(dev, TEST_HOLD, &holder->req);
	return NULL;
}

/* Returns the time when the view was held. */
static __u64 hold_view(struct holder *holder, int id, char *buf, unsigned int ms)
{
	int i;

	holder->req.copy = (struct test_copy){ .id = id, .len = SIZE, .buf = (uintptr_t)buf };
	holder->req.ms = ms;
	memset(buf, 0, SIZE);
	pthread_create(&holder->thread, NULL, hold_in_thread, holder);
	for (i = 0; !is_filled(buf, SIZE, 1) && i < 1000; i++)
		usleep(10000);
	CHECK(i < 1000);
	memset(buf, 0, SIZE);
	return now_ns();
}

static void check_waited(struct holder *holder, __u64 held_ns, const char *buf)
{
	CHECK(now_ns() - held_ns > 500000000);
	pthread_join(holder->thread, NULL);
	CHECK_EQ(holder->ret, 0);
	CHECK(is_filled(buf, SIZE, 1));
}

static void *pinned_in_a_while(void *pinned)
{
	usleep(700000);
	*(long *)pinned = counters().pinned;
	return NULL;
}

/*
 * A removed region is unpinned after the last view of its table.  The pinned pages are
 * counted while the view is held, as the contents of freed pages may not change.
 */
static void table_views(void)
{
	char *mem, *buf = map_anon(SIZE), *other = filled_memory(2);
	struct kvm_region regions[2] = { {}, region(GIB, other, SIZE) };
	struct counters before = counters();
	struct holder holder;
	pthread_t counter;
	__u64 held_ns;
	long pinned;
	int id = create(0), i;

	for (i = 0; i < 2; i++) {
		mem = filled_memory(1);
		regions[0] = region(0, mem, SIZE);
		CHECK_EQ(set_kvm(id, regions, 1), 0);
		held_ns = hold_view(&holder, id, buf, 3000);
		munmap(mem, SIZE);
		CHECK_EQ(counters().pinned - before.pinned, PAGES);
		pthread_create(&counter, NULL, pinned_in_a_while, &pinned);
		if (!i)
			CHECK_EQ(set_kvm(id, regions + 1, 1), 0);
		else
			CHECK_EQ(undo(id), 0);
		pthread_join(counter, NULL);
		CHECK_EQ(pinned - before.pinned, i ? PAGES : 2 * PAGES);
		check_waited(&holder, held_ns, buf);
	}
}

struct stuck {
	int id;
	bool stalls, stalled, go;
};

struct setter {
	int id;
	struct kvm_region regions[2];
};

static void *set_in_thread(void *arg)
{
	struct setter *setter = arg;

	set_kvm(setter->id, setter->regions, 2);
	return NULL;
}

/* Sets a table.  With @stalls, its page fault is resolved after @go is set. */
static void child_is_stuck(void *arg)
{
	struct stuck *stuck = arg;
	char *missing = map_anon(SIZE), *contents = filled_memory(3);
	struct setter setter = {
		stuck->id, { region(0, contents, SIZE), region(GIB, missing, SIZE) },
	};
	int uffd = stuck->stalls ? userfaultfd_for(missing, SIZE) : -1;
	pthread_t thread;
	void *fault;
	size_t at;

	pthread_create(&thread, NULL, set_in_thread, &setter);
	if (stuck->stalls) {
		CHECK(userfault_wait(uffd, 10000, &fault));
		WRITE_ONCE(stuck->stalled, true);
		while (!READ_ONCE(stuck->go))
			usleep(10000);
		for (at = 0; at < SIZE; at += PAGE)
			userfault_resolve(uffd, missing + at, contents + at);
	}
	pthread_join(thread, NULL);
}

/* A call waits for a view, and so does another; killed before or after its pins. */
static void table_killed(void)
{
	char *mem = filled_memory(1), *other = filled_memory(2), *buf = map_anon(SIZE);
	struct stuck *stuck = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
	struct kvm_region old = region(0, mem, SIZE);
	struct setter new = { 0, { old, region(GIB, other, SIZE) } };
	struct counters before;
	struct holder holder;
	pthread_t thread;
	__u64 held_ns;
	pid_t pid;
	int i;

	for (stuck->stalls = false;; stuck->stalls = true) {
		stuck->id = create(0);
		new.id = stuck->id;
		stuck->stalled = false;
		stuck->go = false;
		before = counters();
		pid = stuck->stalls ? start(child_is_stuck, stuck) : 0;
		for (i = 0; pid && !READ_ONCE(stuck->stalled) && i < 1000; i++)
			usleep(10000);
		CHECK(i < 1000);
		CHECK_EQ(set_kvm(stuck->id, &old, 1), 0);
		held_ns = hold_view(&holder, stuck->id, buf, 2000);
		pthread_create(&thread, NULL, set_in_thread, &new);
		for (i = 0; copy_from(stuck->id, GIB, buf + SIZE - 1, 1) && i < 1000; i++)
			usleep(10000);
		CHECK(i < 1000);
		WRITE_ONCE(stuck->go, true);
		if (!pid)
			pid = start(child_is_stuck, stuck);
		usleep(300000);
		CHECK_EQ(kill(pid, SIGKILL), 0);
		CHECK_EQ(finish(pid), SIGKILL);
		CHECK(now_ns() - held_ns < 1500000000);
		pthread_join(thread, NULL);
		pthread_join(holder.thread, NULL);
		/* Whichever table was set last, nothing of the dead process is left. */
		CHECK_EQ(set_kvm(stuck->id, new.regions, 2), 0);
		CHECK(guest_is_filled(stuck->id, 0, SIZE, 1));
		CHECK(guest_is_filled(stuck->id, GIB, SIZE, 2));
		CHECK_EQ(undo(stuck->id), 0);
		CHECK_COUNTERS(before);
		if (stuck->stalls)
			break;
	}
}

/* More regions or pieces than slots in a table. */
static void table_too_many(void)
{
	unsigned int nr = MAX_SLOTS + 1, i;
	struct test_pin req = { .access = RW, .flags = TEST_PIECES };
	struct kvm_region *regions = map_anon(nr * sizeof(*regions));
	struct counters before = counters();
	int id = create(0), fd, stretch;
	char *mem;

	CHECK_EQ(set_kvm(id, regions, nr), -ENOSPC);
	/* Too many in the same 2 MiB. */
	mem = map_anon(PAGE);
	for (i = 0; i < MAX_IN_BLOCK + 1; i++)
		regions[i] = region(i * PAGE, mem + i % 64, 1);
	CHECK_EQ(set_kvm(id, regions, MAX_IN_BLOCK + 1), -ENOSPC);
	CHECK_EQ(set_kvm(id, regions, MAX_IN_BLOCK), 0);
	CHECK_EQ(set_kvm(id, NULL, 0), 0);
	munmap(mem, PAGE);
	if (read_number("/proc/meminfo", "HugePages_Free") < MAX)
		goto out;
	/* Allocated in one order, mapped in another: each huge page is a piece. */
	fd = new_memfd(MAX * HUGE, MFD_HUGETLB);
	mem = map(MAX * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	for (i = 0; i < MAX; i++)
		mem[i * HUGE] = 1;
	for (i = 0; i < MAX; i++)
		mmap(mem + i * HUGE, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		     i * 5 % MAX * HUGE);
	req.uaddr = (uintptr_t)mem;
	req.size = MAX * HUGE;
	stretch = pin_on(dev, &req);
	CHECK(stretch > 0);
	CHECK(req.nr_slots > 1);
	CHECK_EQ(undo(stretch), 0);
	nr = MAX_SLOTS / MAX + 1;
	for (i = 0; i < nr; i++)
		regions[i] = region(i * GIB, mem, MAX * HUGE);
	CHECK_EQ(set_kvm(id, regions, nr), -ENOSPC);
	munmap(mem, MAX * HUGE);
	close(fd);
out:
	munmap(regions, (MAX_SLOTS + 1) * sizeof(*regions));
	CHECK_COUNTERS(before);
	CHECK_EQ(undo(id), 0);
}

struct waiter {
	bool over;
	long longest_ms;
};

/* Wakes up every millisecond, ahead of all normal threads; measures the longest delay. */
static void *wait_in_thread(void *arg)
{
	struct sched_param param = { .sched_priority = 1 };
	struct waiter *waiter = arg;
	__u64 start_ns;
	long ms;

	CHECK_EQ(pthread_setschedparam(pthread_self(), SCHED_FIFO, &param), 0);
	while (!READ_ONCE(waiter->over)) {
		start_ns = now_ns();
		usleep(1000);
		ms = (now_ns() - start_ns) / 1000000;
		if (ms > waiter->longest_ms)
			waiter->longest_ms = ms;
	}
	return NULL;
}

/* Sets the table of @id twice.  Returns for how long a FIFO thread was kept waiting, in ms. */
static long delay_of_sets(int id, struct kvm_region *regions, unsigned int nr)
{
	struct waiter waiter = {};
	pthread_t thread;

	pthread_create(&thread, NULL, wait_in_thread, &waiter);
	CHECK_EQ(set_kvm(id, regions, nr), 0);
	/* The second call keeps all pages and moves a region; the third changes nothing. */
	regions[0].guest_phys_addr = nr * PAGE;
	CHECK_EQ(set_kvm(id, regions, nr), 0);
	CHECK_EQ(set_kvm(id, regions, nr), 0);
	regions[0].guest_phys_addr = 0;
	WRITE_ONCE(waiter.over, true);
	pthread_join(thread, NULL);
	return waiter.longest_ms;
}

/* The largest table takes seconds to set.  Other threads of the processor run meanwhile. */
static void table_latency(void)
{
	struct kvm_region *regions = map_anon(MAX_SLOTS * sizeof(*regions));
	char *mem = mmap(NULL, MAX_SLOTS * PAGE + HUGE, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int fd = new_memfd(HUGE, 0);
	long delay_ms = 1000;
	unsigned int i, round;
	cpu_set_t first;
	int id;

	if (uml)
		skip("too little memory");
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	CHECK_EQ(sched_setaffinity(0, sizeof(first), &first), 0);
	CHECK(mem != MAP_FAILED);
	mem = (char *)(((uintptr_t)mem + HUGE - 1) & ~(HUGE - 1));
	/* The same 2 MiB again and again. */
	for (i = 0; i < MAX_SLOTS * PAGE / HUGE; i++)
		mmap(mem + i * HUGE, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	for (i = 0; i < MAX_SLOTS; i++)
		regions[i] = region(i * PAGE, mem + i * PAGE + i * 37 % 64, PAGE / 2);
	id = create(0);
	/* More than one round, as the host may take the virtual processor away. */
	for (round = 0; round < 3 && delay_ms >= 500; round++) {
		delay_ms = delay_of_sets(id, regions, MAX_SLOTS);
		tell("%u regions: a FIFO thread waited for %ld ms at most", MAX_SLOTS, delay_ms);
	}
	CHECK(delay_ms < 500);
	CHECK_EQ(gpa_of(id, mem + PAGE - 1), -1);
	CHECK_EQ(undo(id), 0);
}

/* Random tables against a model; every second call must fail. */
static void table_random(void)
{
	static char *mem[MAX];
	struct kvm_region regions[MAX], old[MAX];
	unsigned int i, nr, nr_old = 0, round, rounds = quick ? 100 : 1000, failures = 0;
	struct counters before;
	int id = create(0), err;
	__u64 r;

	for (i = 0; i < MAX; i++)
		mem[i] = filled_memory(i);
	before = counters();
	for (round = 0; round < rounds; round++) {
		nr = random_u64() % MAX;
		for (i = 0; i < nr; i++) {
			r = random_u64();
			regions[i] = region(i * GIB, mem[r % MAX], SIZE);
			regions[i].flags = r >> 8 & 1 ? KVM_MEM_READONLY : 0;
		}
		if (nr && round % 2) {
			if (random_u64() % 2)
				regions[random_u64() % nr].userspace_addr = -2 * SIZE;
			else
				regions[nr - 1].guest_phys_addr =
					nr > 1 ? SIZE - 1 : -1UL;
		}
		err = set_kvm(id, regions, nr);
		if (err)
			failures++;
		else
			memcpy(old, regions, sizeof(old));
		if (!err)
			nr_old = nr;
		CHECK_EQ(!!err, round % 2 && nr);
		for (i = 0; i < MAX; i++) {
			if (i >= nr_old) {
				CHECK_EQ(copy_from(id, i * GIB, &r, 1), -EFAULT);
				continue;
			}
			CHECK(!copy_from(id, i * GIB + SIZE - 8, &r, 8) &&
			      !memcmp(&r, (char *)(uintptr_t)old[i].userspace_addr + SIZE - 8, 8));
			CHECK_EQ(copy_to(id, i * GIB + SIZE - 8, &r, 8),
				 old[i].flags ? -EPERM : 0);
		}
	}
	tell("random tables: %u, %u of them failed as they should", rounds, failures);
	CHECK_EQ(set_kvm(id, NULL, 0), 0);
	CHECK_COUNTERS(before);
	CHECK_EQ(undo(id), 0);
}

static int race_id;
static bool race_over;
static struct kvm_region race_tables[2][2];
static unsigned long race_sets, race_reads, race_mixed;

static void *race_setter(void *arg)
{
	unsigned int i, rounds = quick ? 100 : 1000;

	for (i = 0; i < rounds; i++)
		if (!set_kvm(race_id, race_tables[((uintptr_t)arg + i) % 2], 2))
			__atomic_add_fetch(&race_sets, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void *race_reader(void *arg)
{
	char two[2];

	(void)arg;
	/* The last byte of one region and the first of the next. */
	while (!READ_ONCE(race_over)) {
		if (copy_from(race_id, SIZE - 1, two, 2))
			two[0] = ~two[1];
		race_mixed += two[0] != two[1];
		race_reads++;
	}
	return NULL;
}

/* Two threads set tables; a reader never sees half of each. */
static void table_race(void)
{
	pthread_t setters[2], reader;
	struct counters before = counters();
	uintptr_t t;
	char *mem;

	for (t = 0; t < 2; t++) {
		mem = map_anon(2 * SIZE);
		memset(mem, 'a' + t, 2 * SIZE);
		race_tables[t][0] = region(0, mem, SIZE);
		race_tables[t][1] = region(SIZE, mem + SIZE, SIZE);
	}
	race_id = create(0);
	CHECK_EQ(set_kvm(race_id, race_tables[0], 2), 0);
	pthread_create(&reader, NULL, race_reader, NULL);
	for (t = 0; t < 2; t++)
		pthread_create(&setters[t], NULL, race_setter, (void *)t);
	for (t = 0; t < 2; t++)
		pthread_join(setters[t], NULL);
	WRITE_ONCE(race_over, true);
	pthread_join(reader, NULL);
	tell("table race: %lu sets, %lu reads, %lu of a mixture", race_sets, race_reads,
	     race_mixed);
	CHECK_EQ(race_sets, quick ? 200 : 2000);
	CHECK(race_reads);
	CHECK_EQ(race_mixed, 0);
	CHECK_EQ(counters().pinned - before.pinned, 2 * PAGES);
	CHECK_EQ(undo(race_id), 0);
}

const struct test table_tests[] = {
	{ "table: as VHOST_SET_MEM_TABLE", table_vhost },
	{ "table: addresses of the process", table_gpa },
	{ "table: flags of KVM's regions", table_kvm_flags },
	{ "table: what is in both tables is kept", table_keeps },
	{ "table: another process's", table_of_another_process },
	{ "table: failures change nothing", table_failures },
	{ "table: waits for views", table_views },
	{ "table: killed while it waits for another", table_killed },
	{ "table: too many regions or pieces", table_too_many },
	{ "table: another thread runs under the largest", table_latency },
	{ "table: random, against a model", table_random },
	{ "table: two set, one reads", table_race },
	{}
};
