// SPDX-License-Identifier: GPL-2.0
/* Pinned memory stays pinned when the process unmaps it, forks, exits or calls exec. */
#include "test.h"

#define SIZE	(64 * PAGE)

struct pinned {
	char *mem;
	int id;
	struct counters before;
};

static struct pinned pinned_memory(unsigned int flags)
{
	struct pinned p = { .before = counters(), .mem = map_anon(SIZE) };

	fill(p.mem, SIZE, 1);
	p.id = pin(p.mem, SIZE, RW, TEST_TRANSLATE | flags);
	CHECK(p.id > 0);
	CHECK_EQ(counters().pinned - p.before.pinned, SIZE / PAGE);
	CHECK_EQ(counters().vm_pin - p.before.vm_pin, SIZE >> 10);
	return p;
}

/* The device can still read and write the memory. */
static void check_alive(struct pinned p, unsigned int seed)
{
	char *other = malloc(SIZE);

	CHECK(guest_is_filled(p.id, 0, SIZE, seed));
	fill(other, SIZE, 9);
	CHECK_EQ(copy_to(p.id, 0, other, SIZE), 0);
	CHECK(guest_is_filled(p.id, 0, SIZE, 9));
	free(other);
}

static void check_undo(struct pinned p)
{
	CHECK_EQ(undo(p.id), 0);
	CHECK_COUNTERS(p.before);
}

static void life_munmap(void)
{
	struct pinned p = pinned_memory(0);
	char *again;

	munmap(p.mem, SIZE);
	check_alive(p, 1);
	/* The device does not see new memory at the same address. */
	again = mmap(p.mem, SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	fill(again, SIZE, 2);
	check_alive(p, 9);
	CHECK(is_filled(again, SIZE, 2));
	check_undo(p);
}

static void life_mremap(void)
{
	struct pinned p = pinned_memory(0);
	char *moved = mremap(p.mem, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
			     map_anon(SIZE));

	CHECK(moved != MAP_FAILED && moved != p.mem);
	check_alive(p, 1);
	CHECK(is_filled(moved, SIZE, 9));
	check_undo(p);
	CHECK(is_filled(moved, SIZE, 9));
}

static void life_dontneed(void)
{
	struct pinned p = pinned_memory(0);

	CHECK_EQ(madvise(p.mem, SIZE, MADV_DONTNEED), 0);
	CHECK_EQ(p.mem[1], 0);
	check_alive(p, 1);
	CHECK_EQ(p.mem[1], 0);
	check_undo(p);
}

static void child_has_none(void *arg)
{
	struct pinned *p = arg;
	unsigned char vec;

	_exit(mincore(p->mem, PAGE, &vec) == 0);
}

static void life_dontfork(void)
{
	struct pinned p = pinned_memory(0);

	CHECK_EQ(madvise(p.mem, SIZE, MADV_DONTFORK), 0);
	CHECK_EQ(finish(start(child_has_none, &p)), 0);
	fill(p.mem, SIZE, 2);
	check_alive(p, 2);
	CHECK(is_filled(p.mem, SIZE, 9));
	check_undo(p);
}

static void child_writes(void *arg)
{
	struct pinned *p = arg;

	if (!is_filled(p->mem, SIZE, 1))
		_exit(1);
	fill(p->mem, SIZE, 3);
	/* No memory of the child is pinned. */
	_exit(counters().vm_pin != 0);
}

/* The parent and the device still share the memory; the child has a copy. */
static void life_fork(void)
{
	unsigned int flags;

	for (flags = 0; flags <= TEST_PIECES; flags++) {
		struct pinned p = pinned_memory(flags);

		CHECK_EQ(finish(start(child_writes, &p)), 0);
		CHECK(is_filled(p.mem, SIZE, 1));
		fill(p.mem, SIZE, 2);
		check_alive(p, 2);
		CHECK(is_filled(p.mem, SIZE, 9));
		check_undo(p);
	}
}

struct shared {
	int id;
	int pipe[2];
};

static struct shared *shared_memory(void)
{
	struct shared *s = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);

	if (pipe(s->pipe))
		FAIL("pipe");
	return s;
}

static void child_pins(void *arg)
{
	struct shared *s = arg;
	char c;

	WRITE_ONCE(s->id, pinned_memory(0).id);
	/* Until the parent closes the pipe or kills this process. */
	close(s->pipe[1]);
	CHECK_EQ(read(s->pipe[0], &c, 1), 0);
}

static void check_outlives(bool kill_it)
{
	struct shared *s = shared_memory();
	struct pinned p = { .before = counters() };
	pid_t pid = start(child_pins, s);
	int i;

	for (i = 0; !READ_ONCE(s->id) && i < 500; i++)
		usleep(10000);
	if (kill_it)
		kill(pid, SIGKILL);
	close(s->pipe[1]);
	CHECK_EQ(finish(pid), kill_it ? SIGKILL : 0);
	close(s->pipe[0]);

	/* The parent has the same file open, and unpins. */
	CHECK_EQ(counters().pinned - p.before.pinned, SIZE / PAGE);
	p.id = s->id;
	check_alive(p, 1);
	check_undo(p);
}

static void life_exit(void)
{
	check_outlives(false);
}

static void life_killed(void)
{
	check_outlives(true);
}

static void child_leaves(void *arg)
{
	(void)arg;
	dev = open("/dev/virtio_mem_xlate_user_test", O_RDWR);
	pinned_memory(0);
	pinned_memory(TEST_PIECES);
	/* exit() closes the device after it has freed the memory. */
}

static void life_exit_closes(void)
{
	struct counters before = counters();

	CHECK_EQ(finish(start(child_leaves, NULL)), 0);
	CHECK_COUNTERS(before);
}

/* Runs "test --exec FD ID" in place of this program; see life_after_exec(). */
static void life_exec(void)
{
	struct pinned p = pinned_memory(0);
	char fd[16], id[16];
	char *const argv[] = { "test", "--exec", fd, id, NULL };

	snprintf(fd, sizeof(fd), "%d", dev);
	snprintf(id, sizeof(id), "%d", p.id);
	fflush(stdout);
	execv("/proc/self/exe", argv);
	FAIL("exec");
}

/* The memory of the old program is still pinned; the new program is not charged. */
int life_after_exec(int fd, int id)
{
	struct pinned p = { .id = id };

	dev = fd;
	CHECK_EQ(counters().vm_pin, 0);
	CHECK(counters().pinned >= (long)(SIZE / PAGE));
	check_alive(p, 1);
	CHECK_EQ(undo(id), 0);
	CHECK_EQ(counters().vm_pin, 0);
	return failed;
}

const struct test life_tests[] = {
	{ "life: munmap", life_munmap },
	{ "life: mremap", life_mremap },
	{ "life: MADV_DONTNEED", life_dontneed },
	{ "life: MADV_DONTFORK", life_dontfork },
	{ "life: fork", life_fork },
	{ "life: exit, unpinned by another", life_exit },
	{ "life: SIGKILL, unpinned by another", life_killed },
	{ "life: exit, closed by it", life_exit_closes },
	{ "life: exec", life_exec },
	{}
};
