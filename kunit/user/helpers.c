// SPDX-License-Identifier: GPL-2.0
/* Helpers of the tests: memory, the device, counters, child processes. */
#include <linux/userfaultfd.h>

#include "test.h"

__u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

__u64 random_u64(void)
{
	static __u64 state = 20241123;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* The number behind @key at the start of a line, or 0. */
long read_number(const char *path, const char *key)
{
	char line[256];
	long n = 0;
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)) && strchr(" :", line[strlen(key)]))
			n = atol(line + strlen(key) + 1);
	if (f)
		fclose(f);
	return n;
}

bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

/* Areas of our modules, or, where these are built in, of the functions that call vmap(). */
static void count_areas(struct counters *c)
{
	char line[512];
	long bytes;
	FILE *f = fopen("/proc/vmallocinfo", "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %ld", &bytes) != 1 ||
		    (!strstr(line, "virtio_mem_xlate") && !strstr(line, "map_pages") &&
		     !strstr(line, "chunk_map") && !strstr(line, "stretch_") &&
		     !strstr(line, "mapping_map") && !strstr(line, "try_update")))
			continue;
		c->areas++;
		c->area_bytes += bytes;
	}
	if (f)
		fclose(f);
}

/*
 * Each processor adds its counts to the sums only from time to time, or when root
 * writes to stat_refresh.  counters_server() does so for tests that are no longer root.
 */
static int refresh_fds[2];

void counters_server(void)
{
	int there[2], back[2];
	char c;

	if (pipe2(there, O_CLOEXEC) || pipe2(back, O_CLOEXEC))
		_exit(2);
	refresh_fds[0] = there[1];
	refresh_fds[1] = back[0];
	if (fork())
		return;
	close(there[1]);
	while (read(there[0], &c, 1) == 1) {
		write_file("/proc/sys/vm/stat_refresh", "1");
		if (write(back[1], &c, 1) != 1)
			break;
	}
	_exit(0);
}

static void refresh_counters(void)
{
	char c = 'r';

	if (!refresh_fds[0])
		write_file("/proc/sys/vm/stat_refresh", "1");
	else if (write(refresh_fds[0], &c, 1) != 1 || read(refresh_fds[1], &c, 1) != 1)
		FAIL("nobody refreshes the counters");
}

struct counters counters(void)
{
	struct counters c;

	refresh_counters();
	c = (struct counters){
		.acquired = read_number("/proc/vmstat", "nr_foll_pin_acquired"),
		.vm_pin = read_number("/proc/self/status", "VmPin"),
		.vm_lck = read_number("/proc/self/status", "VmLck"),
		.slab = read_number("/proc/meminfo", "SUnreclaim"),
	};

	count_areas(&c);
	c.pinned = c.acquired - read_number("/proc/vmstat", "nr_foll_pin_released");
	return c;
}

/*
 * The kernel updates some counters and frees some memory a little later.  The slab
 * counter is in pages and does not show one object: tests for leaks repeat a call.
 */
void check_counters(struct counters before, const char *file, int line)
{
	struct counters now;
	char text[256];
	int tries;

	for (tries = 0; tries < 30; tries++) {
		now = counters();
		if (now.pinned == before.pinned && now.areas == before.areas &&
		    now.vm_pin == before.vm_pin && now.vm_lck == before.vm_lck)
			return;
		usleep(100000);
	}
	snprintf(text, sizeof(text),
		 "left: %ld pinned pages, %ld vmalloc areas, %ld KiB VmPin, %ld KiB VmLck",
		 now.pinned - before.pinned, now.areas - before.areas,
		 now.vm_pin - before.vm_pin, now.vm_lck - before.vm_lck);
	check(false, file, line, text);
}

void *map(size_t size, int prot, int flags, int fd)
{
	void *mem = mmap(NULL, size, prot, flags, fd, 0);

	if (mem == MAP_FAILED) {
		FAIL("mmap of %zu bytes: %s", size, strerror(errno));
		_exit(1);
	}
	return mem;
}

void *map_anon(size_t size)
{
	void *mem = map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	madvise(mem, size, MADV_NOHUGEPAGE);
	return mem;
}

void *map_huge_anon(size_t size)
{
	char *mem = map(size + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	char *aligned = (char *)(((uintptr_t)mem + HUGE - 1) & ~(HUGE - 1));

	munmap(mem, aligned - mem);
	munmap(aligned + size, mem + HUGE - aligned);
	madvise(aligned, size, MADV_HUGEPAGE);
	return aligned;
}

int new_memfd(size_t size, unsigned int flags)
{
	int fd = memfd_create("test", flags);

	if (fd < 0 || ftruncate(fd, size))
		FAIL("no memfd: %s", strerror(errno));
	return fd;
}

static __u8 pattern(size_t at, unsigned int seed)
{
	return ((at + seed * 8191UL) * 0x9e3779b97f4a7c15UL) >> 56;
}

void fill(void *mem, size_t size, unsigned int seed)
{
	size_t i;

	for (i = 0; i < size; i++)
		((__u8 *)mem)[i] = pattern(i, seed);
}

bool is_filled(const void *mem, size_t size, unsigned int seed)
{
	size_t i;

	for (i = 0; i < size; i++)
		if (((const __u8 *)mem)[i] != pattern(i, seed))
			return false;
	return true;
}

int pin_on(int fd, struct test_pin *req)
{
	return ioctl(fd, TEST_PIN, req) ? -errno : (int)req->id;
}

int pin(void *mem, __u64 size, unsigned int access, unsigned int flags)
{
	struct test_pin req = {
		.uaddr = (uintptr_t)mem, .size = size, .access = access, .flags = flags,
	};

	return pin_on(dev, &req);
}

int undo(int id)
{
	return ioctl(dev, TEST_UNDO, id) ? -errno : 0;
}

int create(unsigned int flags)
{
	int id = ioctl(dev, TEST_CREATE, flags);

	return id < 0 ? -errno : id;
}

int set_kvm(int id, struct kvm_region *regions, unsigned int nr)
{
	struct test_set req = { .id = id, .kvm = (uintptr_t)regions, .nr_kvm = nr };

	return ioctl(dev, TEST_SET, &req) ? -errno : 0;
}

int copy_on(int fd, int id, bool to_guest, __u64 gpa, void *buf, __u64 len)
{
	struct test_copy req = {
		.id = id, .to_guest = to_guest, .gpa = gpa, .len = len, .buf = (uintptr_t)buf,
	};

	return ioctl(fd, TEST_COPY, &req) ? -errno : 0;
}

int copy_from(int id, __u64 gpa, void *buf, __u64 len)
{
	return copy_on(dev, id, false, gpa, buf, len);
}

int copy_to(int id, __u64 gpa, void *buf, __u64 len)
{
	return copy_on(dev, id, true, gpa, buf, len);
}

bool guest_is_filled(int id, __u64 gpa, size_t size, unsigned int seed)
{
	char *buf = malloc(size);
	bool same;

	memset(buf, 0xa5, size);
	same = !copy_from(id, gpa, buf, size) && is_filled(buf, size, seed);
	free(buf);
	return same;
}

pid_t start(void (*run)(void *arg), void *arg)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		run(arg);
		fflush(stdout);
		_exit(0);
	}
	return pid;
}

int finish(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	return status;
}

void become_user(unsigned long pages)
{
	struct rlimit limit = { pages * PAGE, pages * PAGE };

	if (setrlimit(RLIMIT_MEMLOCK, &limit) || setgid(1000) || setuid(1000))
		FAIL("cannot become a user: %s", strerror(errno));
}

int userfaultfd_for(void *mem, size_t size)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)mem, size }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		skip("no userfaultfd");
	if (ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))
		FAIL("userfaultfd: %s", strerror(errno));
	return fd;
}

bool userfault_wait(int uffd, int timeout_ms, void **addr)
{
	struct pollfd pfd = { .fd = uffd, .events = POLLIN };
	struct uffd_msg msg;

	if (poll(&pfd, 1, timeout_ms) != 1 || read(uffd, &msg, sizeof(msg)) != sizeof(msg))
		return false;
	*addr = (void *)((uintptr_t)msg.arg.pagefault.address & ~(PAGE - 1));
	return msg.event == UFFD_EVENT_PAGEFAULT;
}

void userfault_resolve(int uffd, void *page, const void *contents)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)page, .src = (uintptr_t)contents, .len = PAGE,
	};

	if (ioctl(uffd, UFFDIO_COPY, &copy) && errno != EEXIST)
		FAIL("UFFDIO_COPY: %s", strerror(errno));
}

/* Makes a range of @id present, as a back end does after -EAGAIN. */
int fault(int id, __u64 gpa, __u64 len, unsigned int access, unsigned int flags)
{
	struct test_fault req = { .id = id, .gpa = gpa, .len = len, .access = access,
				  .flags = flags };

	return ioctl(dev, TEST_FAULT, &req) ? -errno : 0;
}

struct kvm_region region(__u64 gpa, void *mem, size_t size)
{
	return (struct kvm_region){
		.guest_phys_addr = gpa, .memory_size = size, .userspace_addr = (uintptr_t)mem,
	};
}

int table_of(unsigned int flags, void *mem, size_t size)
{
	struct kvm_region all = region(0, mem, size);
	int id = create(flags);

	CHECK(id > 0);
	CHECK_EQ(set_kvm(id, &all, 1), 0);
	return id;
}

void survive(int sig)
{
	(void)sig;
}
