// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of virtio_mem_xlate_user by the memory of this program, as root, with
 * the three modules loaded.  Prints KTAP.
 *
 *	test [--quick] [--uml | --kasan | --canary] [NAME...]
 *	test --native
 *
 * Each test runs in a process of its own.  A test passes if all its checks hold and
 * it leaves no pin, kernel mapping or slab memory behind.  --native is a benchmark:
 * see bench_native().
 */
#include "test.h"

bool quick, uml, kasan, failed;
int dev;

#define SKIPPED	77

#define TIME_LIMIT	300	/* seconds, for a test */
#define SLAB_LIMIT	2048	/* KiB that a test may leave in the slab's caches */

/* Why the test is skipped.  Shared: the test's process writes it, its parent prints it. */
static char *skip_reason;
#define MAX_REASON	128

/* Shared, too. */
static long *slab_limit;

void allow_slab(long kib)
{
	*slab_limit = kib;
}

void check(bool cond, const char *file, int line, const char *text)
{
	if (cond)
		return;
	failed = true;
	tell("%s:%d: %s", strrchr(file, '/') ? strrchr(file, '/') + 1 : file, line, text);
}

void check_eq(long got, long want, const char *file, int line, const char *what)
{
	char text[256];

	snprintf(text, sizeof(text), "%s is %ld, not %ld", what, got, want);
	check(got == want, file, line, text);
}

void skip(const char *why)
{
	snprintf(skip_reason, MAX_REASON, "%s", why);
	_exit(failed ? 1 : SKIPPED);
}

/* Runs test @number; returns whether it failed. */
static bool run_test(const struct test *test, unsigned int number)
{
	struct counters before = counters(), after;
	__u64 start_ns = now_ns();
	int status;
	pid_t pid;

	fflush(stdout);
	failed = false;
	*slab_limit = SLAB_LIMIT;
	pid = fork();
	if (!pid) {
		alarm(TIME_LIMIT);
		test->run();
		fflush(stdout);
		_exit(failed);
	}
	waitpid(pid, &status, 0);
	check_counters(before, test->name, 0);
	after = counters();
	/* KASAN keeps freed memory for a while. */
	if (!uml && !kasan && after.slab - before.slab > *slab_limit)
		FAIL("left: %ld KiB of slab", after.slab - before.slab);
	if (WIFSIGNALED(status))
		tell("killed by signal %d", WTERMSIG(status));
	if (!failed && WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
		printf("ok %u %s # SKIP %s\n", number, test->name, skip_reason);
		fflush(stdout);
		return false;
	}
	failed |= status != 0;
	printf("%s %u %s # %ld ms, %ld pins, slab %+ld KiB\n", failed ? "not ok" : "ok", number,
	       test->name, (long)(now_ns() - start_ns) / 1000000,
	       after.acquired - before.acquired, after.slab - before.slab);
	fflush(stdout);
	return failed;
}

/* Does @name begin with @with?  A _ in @with stands for a space. */
static bool begins(const char *name, const char *with)
{
	while (*with && (*name == *with || (*name == ' ' && *with == '_'))) {
		name++;
		with++;
	}
	return !*with;
}

/* Do the arguments @names select @test?  No arguments select all tests. */
static bool is_selected(const struct test *test, char *const *names)
{
	char *const *name;

	for (name = names; *name && !begins(test->name, *name); name++)
		;
	return !*names || *name;
}

/* Runs the tests that @names select; returns whether one failed. */
static bool run_tests(char *const *names)
{
	static const struct test *const suites[] = {
		contents_tests, refuse_tests, life_tests, limit_tests, stall_tests,
		table_tests, follow_tests, hostile_tests, fault_tests, bench_tests,
	};
	unsigned int i, nr = 0, number = 0;
	const struct test *test;
	bool bad = false;

	for (i = 0; i < ARRAY_SIZE(suites); i++)
		for (test = suites[i]; test->name; test++)
			nr += is_selected(test, names);
	printf("KTAP version 1\n1..%u\n", nr);
	for (i = 0; i < ARRAY_SIZE(suites); i++)
		for (test = suites[i]; test->name; test++)
			if (is_selected(test, names))
				bad |= run_test(test, ++number);
	return bad || !nr;
}

int main(int argc, char **argv)
{
	bool canary = false;

	for (argc--, argv++; argc && argv[0][0] == '-'; argc--, argv++) {
		if (!strcmp(argv[0], "--quick"))
			quick = true;
		else if (!strcmp(argv[0], "--uml"))
			uml = true;
		else if (!strcmp(argv[0], "--kasan"))
			kasan = true;
		else if (!strcmp(argv[0], "--canary"))
			canary = true;
		else if (!strcmp(argv[0], "--native"))
			return bench_native(), 0;
		else if (!strcmp(argv[0], "--exec") && argc == 3)
			return life_after_exec(atoi(argv[1]), atoi(argv[2]));
		else
			return 2;
	}
	counters_server();
	dev = open("/dev/virtio_mem_xlate_user_test", O_RDWR);
	if (dev < 0) {
		perror("/dev/virtio_mem_xlate_user_test");
		return 2;
	}
	/* A debug kernel must report this. */
	if (canary)
		return ioctl(dev, TEST_UNPIN_ATOMIC, pin(map_anon(PAGE), PAGE, RW, 0)) != 0;
	skip_reason = map(MAX_REASON, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
	slab_limit = map(sizeof(*slab_limit), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1);
	return run_tests(argv);
}
