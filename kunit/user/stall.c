// SPDX-License-Identifier: GPL-2.0
/* Page faults that wait for long, or for ever. */
#include "test.h"

#define SIZE	(16 * PAGE)
#define GPA	0x100000000UL

struct setter {
	int id, ret;
	struct kvm_region regions[2];
	bool done;
	pthread_t thread;
};

static void *set_in_thread(void *arg)
{
	struct setter *setter = arg;

	setter->ret = set_kvm(setter->id, setter->regions, 2);
	WRITE_ONCE(setter->done, true);
	return NULL;
}

/* Sets a table in a thread.  Its second region waits for userfaultfd. */
static void *stall_a_set(struct setter *setter, char *there, char *missing, int uffd)
{
	void *fault = NULL;

	setter->regions[0] = region(0, there, SIZE);
	setter->regions[1] = region(GPA, missing, SIZE);
	pthread_create(&setter->thread, NULL, set_in_thread, setter);
	CHECK(userfault_wait(uffd, 10000, &fault));
	CHECK(!READ_ONCE(setter->done));
	return fault;
}

static void resolve_all(int uffd, char *mem, char *contents)
{
	size_t at;

	for (at = 0; at < SIZE; at += PAGE)
		userfault_resolve(uffd, mem + at, contents + at);
}

/* While a call waits for a page fault, translation works, and other calls can set tables. */
static void stall_userfault(void)
{
	char *there = map_anon(SIZE), *missing = map_anon(SIZE), *contents = map_anon(SIZE);
	struct kvm_region old = region(0, there, SIZE),
		other = region(GPA, there, SIZE);
	struct setter setter = {};
	int uffd = userfaultfd_for(missing, SIZE), second, id;
	__u64 start_ns;

	fill(there, SIZE, 1);
	fill(contents, SIZE, 2);
	setter.id = create(0);
	second = create(0);
	CHECK_EQ(set_kvm(setter.id, &old, 1), 0);
	stall_a_set(&setter, there, missing, uffd);

	start_ns = now_ns();
	CHECK(guest_is_filled(setter.id, 0, SIZE, 1));
	CHECK_EQ(copy_from(setter.id, GPA, contents, 1), -EFAULT);
	CHECK_EQ(set_kvm(second, &other, 1), 0);
	CHECK(guest_is_filled(second, GPA, SIZE, 1));
	id = pin(there, SIZE, RW, 0);
	CHECK(id > 0);
	CHECK_EQ(undo(id), 0);
	/* Also the same table: the last call to finish wins. */
	CHECK_EQ(set_kvm(setter.id, &other, 1), 0);
	CHECK(guest_is_filled(setter.id, GPA, SIZE, 1));
	CHECK_EQ(copy_from(setter.id, 0, contents, 1), -EFAULT);
	CHECK(now_ns() - start_ns < 5000000000);
	CHECK(!READ_ONCE(setter.done));

	fill(contents, SIZE, 2);
	resolve_all(uffd, missing, contents);
	pthread_join(setter.thread, NULL);
	CHECK_EQ(setter.ret, 0);
	CHECK(guest_is_filled(setter.id, 0, SIZE, 1));
	CHECK(guest_is_filled(setter.id, GPA, SIZE, 2));
	CHECK_EQ(undo(setter.id), 0);
	CHECK_EQ(undo(second), 0);
}

struct stalled {
	int id;
	bool yes;
};

static void child_stalls(void *arg)
{
	char *there = map_anon(SIZE), *missing = map_anon(SIZE);
	struct stalled *stalled = arg;
	struct setter setter = { .id = stalled->id };
	int uffd = userfaultfd_for(missing, SIZE);

	stall_a_set(&setter, there, missing, uffd);
	WRITE_ONCE(stalled->yes, true);
	pthread_join(setter.thread, NULL);
}

/* A call that waits for ever can be killed; the old table stays the current one. */
static void stall_killed(void)
{
	struct stalled *stalled = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
	char *there = map_anon(SIZE);
	struct kvm_region old = region(0, there, SIZE);
	struct counters before;
	__u64 start_ns;
	int i, id;
	pid_t pid;

	fill(there, SIZE, 1);
	id = create(0);
	stalled->id = id;
	CHECK_EQ(set_kvm(id, &old, 1), 0);
	before = counters();
	pid = start(child_stalls, stalled);
	for (i = 0; !READ_ONCE(stalled->yes) && i < 1000; i++)
		usleep(10000);
	CHECK(i < 1000);
	usleep(50000);
	CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
	start_ns = now_ns();
	kill(pid, SIGKILL);
	CHECK_EQ(finish(pid), SIGKILL);
	CHECK(now_ns() - start_ns < 5000000000);
	CHECK_COUNTERS(before);
	CHECK(guest_is_filled(id, 0, SIZE, 1));
	CHECK_EQ(undo(id), 0);
}

static void *map_slowly(void *arg)
{
	mmap(NULL, PAGE, PROT_READ, MAP_SHARED, dev, TEST_MMAP_SLOW * PAGE);
	return arg;
}

static void child_pins_while_mapping(void *arg)
{
	char *mem = map_anon(SIZE);
	pthread_t thread;

	fill(mem, SIZE, 1);
	/* Touch *arg before the thread holds the mmap lock: a page fault needs that lock. */
	WRITE_ONCE(*(bool *)arg, false);
	dev = open("/dev/virtio_mem_xlate_user_test", O_RDWR);
	pthread_create(&thread, NULL, map_slowly, NULL);
	usleep(100000);
	WRITE_ONCE(*(bool *)arg, true);
	pin(mem, SIZE, READ, 0);
}

/* Killed while another thread holds the mmap lock. */
static void stall_map(void)
{
	bool *begun = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
	struct counters before = counters();
	pid_t pid = start(child_pins_while_mapping, begun);
	int i;

	for (i = 0; !READ_ONCE(*begun) && i < 1000; i++)
		usleep(10000);
	CHECK(i < 1000);
	usleep(200000);
	kill(pid, SIGKILL);
	CHECK_EQ(finish(pid), SIGKILL);
	CHECK_COUNTERS(before);
}

static size_t big(void)
{
	return uml ? GIB / 8 : quick ? GIB / 4 : GIB;
}

struct much {
	unsigned int flags;
	bool touched;
	bool begun;
	__u64 pin_ns;	/* 0: not done */
};

static void child_pins_much(void *arg)
{
	struct much *much = arg;
	char *mem = map_anon(big());
	__u64 start_ns;
	int id;

	/* Its own file, which its exit closes: that unpins. */
	dev = open("/dev/virtio_mem_xlate_user_test", O_RDWR);
	if (much->touched)
		memset(mem, 1, big());
	start_ns = now_ns();
	WRITE_ONCE(much->begun, true);
	id = pin(mem, big(), RW, much->flags);
	WRITE_ONCE(much->pin_ns, now_ns() - start_ns);
	CHECK(id > 0);
	CHECK_EQ(undo(id), 0);
}

/* Kills a child after it has pinned a part.  Returns the number of pages that it pinned. */
static long kill_in_the_middle(struct much *much)
{
	long before = counters().acquired, pages = big() / PAGE;
	pid_t pid;

	much->begun = false;
	much->pin_ns = 0;
	pid = start(child_pins_much, much);
	while (!READ_ONCE(much->begun))
		usleep(100);
	while (!READ_ONCE(much->pin_ns) &&
	       read_number("/proc/vmstat", "nr_foll_pin_acquired") - before < pages / 16)
		usleep(100);
	kill(pid, SIGKILL);
	CHECK_EQ(finish(pid), SIGKILL);
	return counters().acquired - before;
}

/* A process killed in the middle of a pin exits, and the rest is not pinned. */
static void kill_big(struct much *much)
{
	long pages = big() / PAGE, pinned = pages;
	struct counters before = counters();
	__u64 pin_ns;
	int tries;

	CHECK_EQ(finish(start(child_pins_much, much)), 0);
	CHECK_COUNTERS(before);
	pin_ns = much->pin_ns;
	CHECK(pin_ns);
	/* The child may finish before the parent sees a part pinned: try again. */
	for (tries = 0; tries < 20 && pinned > pages * 3 / 4; tries++) {
		pinned = kill_in_the_middle(much);
		CHECK_COUNTERS(before);
	}
	CHECK(pinned <= pages * 3 / 4);
	CHECK_EQ(much->pin_ns, 0);
	tell("%ld pages, %s, in %s: pinned in %ld ms; killed after %ld pages",
	     pages, much->touched ? "there" : "not there yet",
	     much->flags ? "pieces" : "one piece", (long)pin_ns / 1000000, pinned);
}

static void stall_big(void)
{
	struct much *much = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
	unsigned int i;

	/* On one processor the parent does not run before a fast pin is done. */
	for (i = 0; i < (uml ? 2 : 4); i++) {
		much->flags = i % 2 ? TEST_PIECES : 0;
		much->touched = i / 2;
		kill_big(much);
	}
}

const struct test stall_tests[] = {
	{ "stall: userfaultfd stops nobody else", stall_userfault },
	{ "stall: userfaultfd, killed", stall_killed },
	{ "stall: mmap() of another thread, killed", stall_map },
	{ "stall: 1 GiB, killed", stall_big },
	{}
};
