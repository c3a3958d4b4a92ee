/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the parts of the test program. */
#ifndef _USER_TEST_H
#define _USER_TEST_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/kvm.h>
#include <linux/vhost_types.h>

#include "device.h"

#define kvm_region	kvm_userspace_memory_region

#define READ	1
#define WRITE	2
#define RW	3
#define CONTIGUOUS	1	/* flags of create() */
#define ON_DEMAND	2
#define MAX_SLOTS	1048576U	/* VIRTIO_MEM_XLATE_MAX_SLOTS */

#define PAGE	4096UL
#define HUGE	(2UL << 20)
#define GIB	(512 * HUGE)
/* For memory that other threads and processes write. */
#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define WRITE_ONCE(x, value)	__atomic_store_n(&(x), value, __ATOMIC_RELEASE)

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* Run in a process of its own; the end of a list has no name. */
struct test {
	const char *name;
	void (*run)(void);
};

extern const struct test contents_tests[], refuse_tests[], life_tests[], limit_tests[],
	stall_tests[], hostile_tests[], table_tests[], follow_tests[], fault_tests[], bench_tests[];

/* Options of the program. */
extern bool quick;	/* fewer rounds */
extern bool uml;	/* little memory, no huge pages, one processor */
extern int dev;		/* the test module's device */
extern bool failed;	/* a check of this process has failed */
/* The program that life_exec() executes; returns its exit status. */
int life_after_exec(int fd, int id);
/* A benchmark of the machine itself: needs none of the modules. */
void bench_native(void);

#define CHECK(cond)	check(cond, __FILE__, __LINE__, #cond)
#define CHECK_EQ(a, b)	check_eq((long)(a), (long)(b), __FILE__, __LINE__, #a)
#define FAIL(...) do {						\
	char text[256];						\
								\
	snprintf(text, sizeof(text), __VA_ARGS__);		\
	check(false, __FILE__, __LINE__, text);			\
} while (0)
void check(bool cond, const char *file, int line, const char *text);
void check_eq(long got, long want, const char *file, int line, const char *what);
/* Ends the test: it cannot run on this machine. */
_Noreturn void skip(const char *why);
/* The test may leave so much in the slab's caches, not SLAB_LIMIT. */
void allow_slab(long kib);
/* Prints a line of diagnostics. */
#define tell(...) do {						\
	printf("# ");						\
	printf(__VA_ARGS__);					\
	printf("\n");						\
	fflush(stdout);						\
} while (0)

/* A test leaves these as they were. */
struct counters {
	long pinned;		/* nr_foll_pin_acquired - nr_foll_pin_released */
	long acquired;		/* nr_foll_pin_acquired: never decreases */
	long areas;		/* vmalloc areas of our modules */
	long area_bytes;	/* their address space */
	long vm_pin, vm_lck;	/* KiB, of this process */
	long slab;		/* KiB, unreclaimable */
};

struct counters counters(void);
void counters_server(void);	/* starts the process that counters() needs */
/* Fails unless the counters are as in @before, at the latest 3 s later. */
#define CHECK_COUNTERS(before)	check_counters(before, __FILE__, __LINE__)
void check_counters(struct counters before, const char *file, int line);

__u64 now_ns(void);
long read_number(const char *path, const char *key);
bool write_file(const char *path, const char *text);
__u64 random_u64(void);	/* of a fixed seed */

/* Memory.  The pattern of fill() depends on the offset and on @seed. */
void *map(size_t size, int prot, int flags, int fd);
void *map_anon(size_t size);	/* 4 KiB pages only */
void *map_huge_anon(size_t size);	/* transparent huge pages, where the kernel has them */
int new_memfd(size_t size, unsigned int flags);
void fill(void *mem, size_t size, unsigned int seed);
bool is_filled(const void *mem, size_t size, unsigned int seed);

/* Calls of the device.  Return 0 or an id, else -errno. */
int pin_on(int fd, struct test_pin *req);
int pin(void *mem, __u64 size, unsigned int access, unsigned int flags);
int undo(int id);
int create(unsigned int flags);
int set_kvm(int id, struct kvm_region *regions, unsigned int nr);
struct kvm_region region(__u64 gpa, void *mem, size_t size);
/* A table of one region, at guest address 0. */
int table_of(unsigned int flags, void *mem, size_t size);
int copy_on(int fd, int id, bool to_guest, __u64 gpa, void *buf, __u64 len);
int copy_from(int id, __u64 gpa, void *buf, __u64 len);
int copy_to(int id, __u64 gpa, void *buf, __u64 len);
int fault(int id, __u64 gpa, __u64 len, unsigned int access, unsigned int flags);
/* Has the guest memory from @gpa on the pattern of fill()? */
bool guest_is_filled(int id, __u64 gpa, size_t size, unsigned int seed);

/* Starts @run in a child process; finish() waits for it and returns its wait status. */
pid_t start(void (*run)(void *arg), void *arg);
int finish(pid_t pid);
/* Becomes a user without CAP_IPC_LOCK and with a limit of @pages locked pages. */
void become_user(unsigned long pages);

/* A handler of SIGBUS: a VMM survives a memory error. */
void survive(int sig);

int userfaultfd_for(void *mem, size_t size);
void userfault_resolve(int uffd, void *page, const void *contents);
bool userfault_wait(int uffd, int timeout_ms, void **addr);

#endif /* _USER_TEST_H */
