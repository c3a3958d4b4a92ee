// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of virtio_mem_xlate_user by the memory of this program, as root, with
 * the three modules loaded.
 *
 *	test [--quick] [--uml | --kasan | --canary] [NAME...]
 *	test --native
 *
 * Each test runs in a process of its own.  It passes if nothing that it checks
 * fails and afterwards everything is as it was: pins, kernel mappings, slab.
 * --native is no test: see bench_native().
 */
#include "test.h"

bool quick, uml, kasan, failed;
int dev;

#define SKIPPED	77

#define TIME_LIMIT	300	/* seconds, for a test */
#define SLAB_LIMIT	2048	/* KiB that a test may leave, of caches that fill up */

void check(bool cond, const char *file, int line, const char *text)
{
	if (cond)
		return;
	failed = true;
	printf("\t%s:%d: %s\n", strrchr(file, '/') ? strrchr(file, '/') + 1 : file, line, text);
	fflush(stdout);
}

void check_eq(long got, long want, const char *file, int line, const char *what)
{
	char text[256];

	snprintf(text, sizeof(text), "%s is %ld, not %ld", what, got, want);
	check(got == want, file, line, text);
}

void skip(const char *why)
{
	printf("\tskipped: %s\n", why);
	fflush(stdout);
	_exit(failed ? 1 : SKIPPED);
}

static int run_test(const struct test *test)
{
	struct counters before = counters(), after;
	__u64 start_ns = now_ns();
	const char *verdict = "ok     ";
	int status;
	pid_t pid;

	fflush(stdout);
	failed = false;
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
	/* Under KASAN what is freed stays for a while. */
	if (!uml && !kasan && after.slab - before.slab > SLAB_LIMIT)
		FAIL("left: %ld KiB of slab", after.slab - before.slab);
	if (WIFSIGNALED(status))
		printf("\tkilled by signal %d\n", WTERMSIG(status));
	if (!failed && WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
		verdict = "skip   ";
	else if (failed || status)
		verdict = "not ok ";
	printf("%s %s (%ld ms, %ld pins, slab %+ld KiB)\n", verdict, test->name,
	       (long)(now_ns() - start_ns) / 1000000, after.acquired - before.acquired,
	       after.slab - before.slab);
	fflush(stdout);
	return verdict[0] == 'n';
}

/* Names are given with _ for a space. */
static bool begins(const char *name, const char *with)
{
	while (*with && (*name == *with || (*name == ' ' && *with == '_'))) {
		name++;
		with++;
	}
	return !*with;
}

static int run_tests(const struct test *test, int argc, char **argv)
{
	int i, bad = 0;

	for (; test->name; test++) {
		for (i = 0; i < argc && !begins(test->name, argv[i]); i++)
			;
		if (!argc || i < argc)
			bad += run_test(test);
	}
	return bad;
}

int main(int argc, char **argv)
{
	static const struct test *const all[] = {
		contents_tests, refuse_tests, life_tests, limit_tests, stall_tests,
		table_tests, fault_tests, bench_tests,
	};
	bool canary = false;
	unsigned int i;
	int bad = 0;

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
	/* What a debug kernel must report. */
	if (canary)
		return ioctl(dev, TEST_UNPIN_ATOMIC, pin(map_anon(PAGE), PAGE, RW, 0)) != 0;
	for (i = 0; i < ARRAY_SIZE(all); i++)
		bad += run_tests(all[i], argc, argv);
	return bad != 0;
}
