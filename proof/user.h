/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The little of the kernel that the module needs, for user space.  It is
 * force-included; the kernel's own headers are then empty files (proof/build.sh).
 *
 * What must not happen in a kernel ends the program here: an update under no
 * mutex, a wait under one, a lock or an object left over.  A few hooks let a test
 * in between the steps of an update.
 *
 * NARROW=N makes u64 a word of N bits (clang), for exhaustive tests; THREADS makes
 * what is shared atomic, for the thread sanitizer.
 */
#ifndef PROOF_USER_H
#define PROOF_USER_H

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
#ifdef NARROW
typedef unsigned _BitInt(NARROW) u64;
#define BITS_PER_LONG_LONG NARROW
#else
typedef uint64_t u64;
#define BITS_PER_LONG_LONG 64
#endif
typedef int64_t s64;

/* With the assembly of x86; words of other widths, and what reads C only, take the rest. */
#if defined(__x86_64__) && !defined(NARROW) && !defined(__FRAMAC__)
#define CONFIG_X86_64
#endif

#define U32_MAX UINT32_MAX
#define U64_MAX ((u64)~(u64)0)
#define BITS_PER_LONG (8 * __SIZEOF_LONG__)

#define noinline __attribute__((noinline))
#ifdef COVERAGE		/* each function once, so that all its branches can be taken */
#undef __always_inline
#define __always_inline inline
#endif
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#define __force
#define __rcu
#define __init
#define __exit
#define __acquires(x)
#define __releases(x)
#define BIT(n) (1UL << (n))
#define SZ_4K 4096
#define round_down(x, y) ((x) & ~(typeof(x))((y) - 1))
#define IS_ALIGNED(x, a) (((x) & ((typeof(x))(a) - 1)) == 0)
#define DEFINE_CLASS(...)
#define __percpu

struct list_head {
	struct list_head *next, *prev;
};

struct rcu_head {
	struct rcu_head *next;
	void (*func)(struct rcu_head *head);
};

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define BUILD_BUG_ON(condition) _Static_assert(!(condition), #condition)

#ifdef __FRAMAC__
#include "proof/framac.h"
#else
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define OPTIMIZER_HIDE_VAR(var) __asm__ ("" : "=r" (var) : "0" (var))

#ifdef THREADS
#define READ_ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define data_race(x) READ_ONCE(x)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), v, __ATOMIC_RELAXED)
#else
#define READ_ONCE(x) ({ between_reads(); *(const volatile typeof(x) *)&(x); })
#define data_race(x) (x)
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v), between_writes())
#endif
#define smp_store_release(p, v) (__atomic_store_n(p, v, __ATOMIC_RELEASE), between_writes())
#define smp_load_acquire(p) (between_reads(), __atomic_load_n(p, __ATOMIC_ACQUIRE))
#define smp_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)
#define smp_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define smp_mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)

/* Returns the number of bytes that were not copied. */
static bool memory_error;
#define copy_mc_to_kernel(dst, src, n) (memory_error ? (n) : (memcpy(dst, src, n), 0UL))

#define check_add_overflow(a, b, d) __builtin_add_overflow(a, b, d)
#define check_mul_overflow(a, b, d) __builtin_mul_overflow(a, b, d)
#define min(a, b) ({ typeof(a) _a = (a); typeof(b) _b = (b); _a < _b ? _a : _b; })
#define max(a, b) ({ typeof(a) _a = (a); typeof(b) _b = (b); _a > _b ? _a : _b; })
#define clamp(x, low, high) min(max(x, low), high)
#define swap(a, b) do { typeof(a) _t = (a); (a) = (b); (b) = _t; } while (0)
#define min3(a, b, c) min(min(a, b), c)
#define min_t(t, a, b) min((t)(a), (t)(b))
#define max_t(t, a, b) max((t)(a), (t)(b))
#define div64_u64(a, b) ((a) / (b))
#define ilog2(x) (63 - __builtin_clzll(x))

/* A function, for whoever counts the branches of the source. */
static inline unsigned int order_base_2(unsigned long n)
{
	return n > 1 ? ilog2(n - 1) + 1 : 0;
}

#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))

/* x86's, so that user space times and tests what ships. */
static inline unsigned long array_index_mask_nospec(unsigned long index, unsigned long size)
{
#if defined(__x86_64__) || defined(__i386__)
	unsigned long mask;

	__asm__ volatile ("cmp %1,%2; sbb %0,%0" : "=r" (mask) : "g" (size), "r" (index) : "cc");
	return mask;
#else
	return index < size ? ~0UL : 0;
#endif
}

#ifdef __x86_64__	/* the kernel's other processors have a portable form */
#define array_index_mask_nospec array_index_mask_nospec
#endif
#define array_index_nospec(i, n) ((i) & array_index_mask_nospec(i, n))

/* Ends the program, in a way that fuzzers and sanitizers take for a finding. */
#define fatal(...)								\
	do {									\
		fprintf(stderr, __VA_ARGS__);					\
		fputc('\n', stderr);						\
		abort();							\
	} while (0)

/* A function, so that what the source branches on is not mixed with what is checked here. */
static inline void require(bool condition, const char *or_else)
{
	if (!condition)
		fatal("%s", or_else);
}

/* Of a test: this thread is in an interrupt. */
static _Thread_local bool in_interrupt;

static inline void might_sleep(void)
{
	if (in_interrupt)
		fatal("sleeps in an interrupt");
}

/* A test sets this function; each preemption point calls it. */
static void (*preemption_hook)(void);

static inline void cond_resched(void)
{
	might_sleep();
	if (preemption_hook)
		preemption_hook();
}

/* Of a test: what other processors do between two writes of an update. */
static void (*between_writes_hook)(void);

static inline void between_writes(void)
{
	if (between_writes_hook)
		between_writes_hook();
}

/* And before a read of what they may change. */
static void (*between_reads_hook)(void);

static inline void between_reads(void)
{
	if (between_reads_hook)
		between_reads_hook();
}

/*
 * What only virtio_mem_xlate.c needs
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

typedef _Atomic uint64_t atomic64_t;
#define atomic64_add_return(n, v) (atomic_fetch_add(v, n) + (n))

#define THIS_MODULE NULL
#define EXPORT_SYMBOL_GPL(name)
#define MODULE_DESCRIPTION(text)
#define MODULE_LICENSE(text)
#define module_init(f) static int (*const module_init_call)(void) = f
#define module_exit(f) static void (*const module_exit_call)(void) = f

/* Each look at it takes one. */
static inline u64 ktime_get_ns(void)
{
	static _Thread_local u64 now;

	return ++now;
}

#define pr_warn_ratelimited(...) ((void)0)
#define trace_virtio_mem_xlate_stall(id, for_holds) ((void)(id), (void)(for_holds))

/* No debugfs; and of the tracepoints, what this thread's last update said. */
#define TRACE_EVENT(...)
static _Thread_local unsigned int traced_slots;
static _Thread_local u64 traced_ns;
#define trace_virtio_mem_xlate_update(id, nr_slots, ns) ((void)(id), traced_slots = (nr_slots), traced_ns = (ns))
#define trace_virtio_mem_xlate_fail(id, start, len, access, err)			\
	((void)(id), require(err, "a failure traced of what did not fail"))

/* What was logged, and of it what names the call that was forgotten. */
static atomic_uint errors_logged, errors_unregistered;

static inline __attribute__((format(printf, 1, 2))) void pr_err(const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	atomic_fetch_add(&errors_logged, 1);
	atomic_fetch_add(&errors_unregistered, !!strstr(text, "never unregistered"));
}

struct kvec {
	void *iov_base;
	size_t iov_len;
};

#define IS_ERR(p) ((unsigned long)(p) >= (unsigned long)-4095)
#define PTR_ERR(p) ((long)(p))
#define ERR_PTR(e) ((void *)(long)(e))
#define ERR_CAST(p) ((void *)(p))

/* Memory: what is live is counted, and one allocation can be made to fail. */
#define GFP_KERNEL 1
#define GFP_KERNEL_ACCOUNT 3
#define __GFP_NORETRY 4
#define __GFP_NOWARN 8
static atomic_long live_objects, allocations;
static long fail_allocation;	/* which one from now on, or 0 */
static _Thread_local unsigned int mutexes_held;

/* Of a test: this thread reclaims memory, or is in an MMU notifier. */
static _Thread_local bool in_reclaim;

/*
 * The mutexes of a name are a class, as for lockdep: one that reclaim takes must not be held
 * over an allocation, nor while one is taken that is held over allocations.
 */
struct mutex_class {
	const char *name;
	atomic_bool in_reclaim, allocates;
};

static struct mutex_class mutex_classes[] = {
	{ .name = "logging" }, { .name = "update" }, { .name = "change" },
};
static _Thread_local struct mutex_class *classes_held[4];
static _Thread_local unsigned int nr_classes_held;

static inline void class_check(struct mutex_class *class)
{
	if (class->in_reclaim && class->allocates)
		fatal("memory is allocated under mutex %s, which reclaim takes", class->name);
}

static inline void class_allocates(void)
{
	unsigned int i;

	if (in_reclaim)
		fatal("memory is allocated under reclaim");
	for (i = 0; i < nr_classes_held; i++) {
		classes_held[i]->allocates = true;
		class_check(classes_held[i]);
	}
}

static inline void class_take(struct mutex_class *class)
{
	unsigned int i;

	for (i = 0; i < nr_classes_held; i++)
		if (classes_held[i]->in_reclaim && class->allocates)
			fatal("mutex %s is taken under %s", class->name, classes_held[i]->name);
	if (in_reclaim)
		class->in_reclaim = true;
	class_check(class);
}

static inline bool allocation_fails(void)
{
	atomic_fetch_add(&allocations, 1);
	return fail_allocation && !--fail_allocation;
}

static inline void *kvmalloc(size_t size, int gfp)
{
	void *p;

	(void)gfp;
	might_sleep();
	class_allocates();
	if (allocation_fails())
		return NULL;
	p = malloc(size);
#ifndef UNWRITTEN	/* MSan finds who reads it; elsewhere it is at least not 0 */
	memset(p, 0xa5, size);
#endif
	atomic_fetch_add(&live_objects, 1);
	return p;
}

static inline void kvfree(const void *p)
{
	if (!p)
		return;
	atomic_fetch_sub(&live_objects, 1);
	free((void *)p);
}

/*
 * Pages in a row, but of some numbers there is no such row, and any pages.  Who
 * gives back as what they are not is found out.
 */
#ifndef PAGE_SIZE
#define PAGE_SIZE	4096UL
#endif

struct pages {
	size_t nr_bytes;
	size_t in_a_row;
	char bytes[];
};

static inline void *pages_alloc(size_t nr_bytes, int gfp, bool in_a_row)
{
	struct pages *pages = kvmalloc(sizeof(*pages) + nr_bytes, gfp);

	if (!pages)
		return NULL;
	pages->nr_bytes = nr_bytes;
	pages->in_a_row = in_a_row;
	return pages->bytes;
}

/*
 * Host memory that is only translated, never touched: an area of vmalloc(), and from
 * DEVICE_AREA on that of a device.  All below is the direct map.
 */
#if __SIZEOF_LONG__ == 8
#define VMALLOC_AREA (1UL << 61)
#define DEVICE_AREA (1UL << 62)
#else
#define VMALLOC_AREA ULONG_MAX
#define DEVICE_AREA ULONG_MAX
#endif

static inline bool is_vmalloc_addr(const void *p)
{
	if ((unsigned long)p >= VMALLOC_AREA)
		return (unsigned long)p < DEVICE_AREA;
	return !container_of(p, struct pages, bytes[0])->in_a_row;
}

static inline void *alloc_pages_exact(size_t nr_bytes, int gfp)
{
	void *p = NULL;

	if (gfp != (GFP_KERNEL_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN))
		fatal("pages in a row are insisted on");
	if (nr_bytes / PAGE_SIZE % 3 != 2) {
		p = pages_alloc(nr_bytes, gfp, true);
		if (!p)
			fail_allocation = 1;	/* nor are there any others */
	}
	return p;
}

static inline void *vmalloc_huge(size_t nr_bytes, int gfp)
{
	return pages_alloc(nr_bytes, gfp, false);
}

static inline void free_pages_exact(void *p, size_t nr_bytes)
{
	struct pages *pages = container_of(p, struct pages, bytes[0]);

	if (!pages->in_a_row || pages->nr_bytes != nr_bytes)
		fatal("%zu bytes freed of %zu in a row", nr_bytes, pages->nr_bytes);
	kvfree(pages);
}

static inline void vfree(void *p)
{
	if (!is_vmalloc_addr(p))
		fatal("vfree() of pages in a row");
	kvfree(container_of(p, struct pages, bytes[0]));
}

static inline void *kzalloc(size_t size, int gfp)
{
	void *p = kvmalloc(size, gfp);

	return p ? memset(p, 0, size) : NULL;
}

#define kmalloc kvmalloc
#define kfree kvfree
#define kasprintf(gfp, format, ...) ((void)(__VA_ARGS__), (char *)kzalloc(8, gfp))

/* Lock classes: used between register and unregister only. */
struct lock_class_key {
	bool registered;
};

static inline void lockdep_register_key(struct lock_class_key *key)
{
	if (key->registered)
		fatal("lock class registered twice");
	key->registered = true;
	atomic_fetch_add(&live_objects, 1);
}

static inline void lockdep_unregister_key(struct lock_class_key *key)
{
	if (!key->registered)
		fatal("lock class unregistered but never registered");
	key->registered = false;
	atomic_fetch_sub(&live_objects, 1);
}

struct mutex {
	pthread_mutex_t lock;
	_Atomic(pthread_t) owner;
	struct mutex_class *class;
	bool spans_waits;	/* the one that may be held over a wait for views */
};

#define mutex_init(m) mutex_init_named(m, #m)

static inline void mutex_init_named(struct mutex *m, const char *name)
{
	for (m->class = mutex_classes; !strstr(name, m->class->name); m->class++)
		;
	m->spans_waits = m->class == mutex_classes;
	pthread_mutex_init(&m->lock, NULL);
	m->owner = 0;
	atomic_fetch_add(&live_objects, 1);
}

static inline void mutex_destroy(struct mutex *m)
{
	if (pthread_mutex_destroy(&m->lock))
		fatal("mutex destroyed while held");
	atomic_fetch_sub(&live_objects, 1);
}

static inline void mutex_lock(struct mutex *m)
{
	might_sleep();
	if (m->owner == pthread_self())
		fatal("mutex taken twice");
	class_take(m->class);
	pthread_mutex_lock(&m->lock);
	m->owner = pthread_self();
	classes_held[nr_classes_held++] = m->class;
	mutexes_held += !m->spans_waits;
}

static inline void mutex_unlock(struct mutex *m)
{
	if (m->owner != pthread_self())
		fatal("mutex released by another");
	if (classes_held[--nr_classes_held] != m->class)
		fatal("mutex %s released out of order", m->class->name);
	m->owner = 0;
	mutexes_held -= !m->spans_waits;
	pthread_mutex_unlock(&m->lock);
}

static inline bool lockdep_is_held(struct mutex *m)
{
	return m->owner == pthread_self();
}

static inline struct mutex *scope_enter(struct mutex *m)
{
	mutex_lock(m);
	return m;
}

static inline void scope_leave(struct mutex **m)
{
	mutex_unlock(*m);
}

#define guard(kind) struct mutex *_guard __attribute__((cleanup(scope_leave), unused)) = scope_enter
#define might_lock(m) class_take((m)->class)
#define fs_reclaim_acquire(gfp) ((void)(gfp), in_reclaim = true)
#define fs_reclaim_release(gfp) ((void)(gfp), in_reclaim = false)

#define scoped_guard(kind, m)							\
	for (struct mutex *_scope __attribute__((cleanup(scope_leave))) = scope_enter(m),\
	     *_once = _scope; _once; _once = NULL)

#define rcu_dereference_protected(p, condition)					\
	(require(condition, "table read under no mutex"), (p))
#define rcu_access_pointer(p) __atomic_load_n(&(p), __ATOMIC_RELAXED)
#define RCU_INIT_POINTER(p, v) __atomic_store_n(&(p), v, __ATOMIC_RELAXED)
#define rcu_assign_pointer(p, v)						\
	do {									\
		require(mutexes_held, "table published under no mutex");	\
		__atomic_store_n(&(p), v, __ATOMIC_RELEASE);			\
		between_writes();						\
	} while (0)

/*
 * SRCU: two counters of readers, of which new readers take the one of @index.  A grace period is
 * over when each counter has been 0 since it began; who waits, and each worker, takes it on.
 */
struct srcu_struct {
	atomic_long readers[2];
	atomic_uint index;
	pthread_mutex_t lock;		/* never held over a wait */
	struct rcu_head *callbacks, **last;	/* in order, behind the batch */
	struct rcu_head *batch;		/* whose grace period has begun */
	bool calling_back;
	unsigned int idle;		/* bit i: readers[i] has been 0 since then */
	bool initialised, has_class;
	struct srcu_struct *next;	/* of all, under @srcus_lock */
};

/* Of a test: what ends the views of @ssp that are held when an update waits for them. */
static void (*grace_period_hook)(struct srcu_struct *ssp);
static atomic_ulong grace_periods;
static struct srcu_struct *srcus;
static pthread_mutex_t srcus_lock = PTHREAD_MUTEX_INITIALIZER;

static inline int init_srcu_struct(struct srcu_struct *ssp)
{
	if (allocation_fails())
		return -ENOMEM;
	atomic_init(&ssp->readers[0], 0);
	atomic_init(&ssp->readers[1], 0);
	atomic_init(&ssp->index, 0);
	pthread_mutex_init(&ssp->lock, NULL);
	ssp->initialised = true;
	ssp->has_class = false;
	ssp->callbacks = NULL;
	ssp->last = &ssp->callbacks;
	ssp->batch = NULL;
	ssp->calling_back = false;
	pthread_mutex_lock(&srcus_lock);
	ssp->next = srcus;
	srcus = ssp;
	pthread_mutex_unlock(&srcus_lock);
	atomic_fetch_add(&live_objects, 1);
	return 0;
}

static inline void cleanup_srcu_struct(struct srcu_struct *ssp)
{
	struct srcu_struct **at;

	might_sleep();
	if (!ssp->initialised)
		fatal("SRCU cleaned up but never initialised");
	if (ssp->readers[0] || ssp->readers[1])
		fatal("SRCU cleaned up under a reader");
	if (ssp->callbacks || ssp->batch || ssp->calling_back)
		fatal("SRCU cleaned up under a callback");
	ssp->initialised = false;
	pthread_mutex_lock(&srcus_lock);
	for (at = &srcus; *at != ssp; at = &(*at)->next)
		;
	*at = ssp->next;
	pthread_mutex_unlock(&srcus_lock);
	pthread_mutex_destroy(&ssp->lock);
	atomic_fetch_sub(&live_objects, 1);
}

static inline int __srcu_read_lock(struct srcu_struct *ssp)
{
	int index = atomic_load(&ssp->index) & 1;

	if (!ssp->initialised)
		fatal("read section of SRCU that is not there");
	atomic_fetch_add(&ssp->readers[index], 1);
	return index;
}

static inline int srcu_read_lock(struct srcu_struct *ssp)
{
	require(ssp->has_class, "SRCU without a lock class of its own");
	return __srcu_read_lock(ssp);
}

#define srcu_read_unlock __srcu_read_unlock

static inline void __srcu_read_unlock(struct srcu_struct *ssp, int index)
{
	if (index < 0 || index > 1 || atomic_fetch_sub(&ssp->readers[index], 1) < 1)
		fatal("read section left that was not entered");
}

static inline void call_srcu(struct srcu_struct *ssp, struct rcu_head *head,
			     void (*func)(struct rcu_head *head))
{
	struct rcu_head *other;

	head->func = func;
	head->next = NULL;
	pthread_mutex_lock(&ssp->lock);
	if (!ssp->initialised)
		fatal("call_srcu() of SRCU that is not there");
	for (other = ssp->callbacks; other; other = other->next)
		require(other != head, "call_srcu() of a callback that waits");
	for (other = ssp->batch; other; other = other->next)
		require(other != head, "call_srcu() of a callback that waits");
	*ssp->last = head;
	ssp->last = &head->next;
	pthread_mutex_unlock(&ssp->lock);
}

/* The callbacks whose grace period is over, or NULL. */
static inline struct rcu_head *srcu_grace_period(struct srcu_struct *ssp)
{
	struct rcu_head *over = NULL;
	unsigned int i;

	if (ssp->calling_back)
		return NULL;
	if (!ssp->batch) {
		ssp->batch = ssp->callbacks;
		ssp->callbacks = NULL;
		ssp->last = &ssp->callbacks;
		ssp->idle = 0;
	}
	for (i = 0; i < 2 && ssp->batch; i++) {
		ssp->idle |= (atomic_load(&ssp->readers[0]) == 0) | (atomic_load(&ssp->readers[1]) == 0) << 1;
		/* New readers take the counter that need not become 0 again. */
		if (ssp->idle != 3 && ssp->idle == 2 - (atomic_load(&ssp->index) & 1))
			atomic_fetch_add(&ssp->index, 1);
	}
	if (ssp->batch && ssp->idle == 3) {
		over = ssp->batch;
		ssp->batch = NULL;
		ssp->calling_back = true;
	}
	return over;
}

/* Takes a grace period on, and calls back if it is over; else returns false. */
static inline bool srcu_advance(struct srcu_struct *ssp)
{
	struct rcu_head *head, *next;
	bool was = in_interrupt;

	pthread_mutex_lock(&ssp->lock);
	head = srcu_grace_period(ssp);
	pthread_mutex_unlock(&ssp->lock);
	if (!head)
		return false;
	in_interrupt = true;
	for (; head; head = next) {
		next = head->next;
		head->func(head);
	}
	in_interrupt = was;
	pthread_mutex_lock(&ssp->lock);
	ssp->calling_back = false;
	pthread_mutex_unlock(&ssp->lock);
	return true;
}

static inline bool srcu_advance_all(void)
{
	struct srcu_struct *ssp;
	bool advanced = false;

	if (pthread_mutex_trylock(&srcus_lock))
		return false;
	for (ssp = srcus; ssp; ssp = ssp->next)
		advanced |= srcu_advance(ssp);
	pthread_mutex_unlock(&srcus_lock);
	return advanced;
}

/* Of one who waits for what only another thread can do. */
static inline void wait_for_others(const char *what)
{
#ifdef THREADS
	(void)what;
	sched_yield();
#else
	fatal("waits for ever for %s", what);
#endif
}

struct srcu_waiter {
	struct rcu_head head;
	atomic_bool over;
};

static inline void srcu_wake(struct rcu_head *head)
{
	container_of(head, struct srcu_waiter, head)->over = true;
}

static inline void synchronize_srcu_expedited(struct srcu_struct *ssp)
{
	struct srcu_waiter waiter = {};

	might_sleep();
	if (mutexes_held)
		fatal("wait for views under a mutex");
	if (in_reclaim)
		fatal("wait for views under reclaim");
	if (grace_period_hook)
		grace_period_hook(ssp);
	call_srcu(ssp, &waiter.head, srcu_wake);
	while (!waiter.over)
		if (!srcu_advance(ssp))
			wait_for_others("a view");
	/* Of views; those of holds have no class. */
	atomic_fetch_add(&grace_periods, ssp->has_class);
}

#define synchronize_srcu synchronize_srcu_expedited

static inline bool srcu_has_callbacks(struct srcu_struct *ssp)
{
	bool has;

	pthread_mutex_lock(&ssp->lock);
	has = ssp->callbacks || ssp->batch || ssp->calling_back;
	pthread_mutex_unlock(&ssp->lock);
	return has;
}

static inline void srcu_barrier(struct srcu_struct *ssp)
{
	might_sleep();
	require(!ssp->readers[0] && !ssp->readers[1], "SRCU waits for a reader at the end");
	while (srcu_has_callbacks(ssp))
		if (!srcu_advance(ssp))
			wait_for_others("a callback");
}

#define lockdep_set_class_and_name(ssp, key, name)				\
	((void)(name), require((key)->registered, "lock class not registered"),	\
	 (void)((ssp)->has_class = true))
#define srcu_dereference(p, ssp)						\
	(require(atomic_load(&(ssp)->readers[0]) + atomic_load(&(ssp)->readers[1]),	\
		 "table read outside a read section"),				\
	 __atomic_load_n(&(p), __ATOMIC_ACQUIRE))

/*
 * Lists, and a spinlock
 */
#define LIST_HEAD(name) struct list_head name = { &name, &name }
#define INIT_LIST_HEAD(l) (*(l) = (struct list_head){ l, l })
#define list_empty(l) ((l)->next == (l))
#define list_for_each_entry_safe(p, n, head, member)				\
	for (p = container_of((head)->next, typeof(*p), member);			\
	     n = container_of(p->member.next, typeof(*p), member), &p->member != (head); p = n)

static inline void list_add_tail(struct list_head *new, struct list_head *head)
{
	*new = (struct list_head){ head, head->prev };
	head->prev->next = new;
	head->prev = new;
}

static inline void list_splice_init(struct list_head *from, struct list_head *to)
{
	if (list_empty(from))
		return;
	*to = (struct list_head){ from->next, from->prev };
	to->next->prev = to;
	to->prev->next = to;
	INIT_LIST_HEAD(from);
}

typedef pthread_mutex_t spinlock_t;
#define spin_lock_init(l) pthread_mutex_init(l, NULL)
#define spin_lock_irqsave(l, flags) ((flags) = 0, pthread_mutex_lock(l))
#define spin_unlock_irqrestore(l, flags) ((void)(flags), pthread_mutex_unlock(l))

/* Processors: one. */
#define alloc_percpu_gfp(type, gfp) ((type *)kzalloc(sizeof(type), gfp))
#define free_percpu kfree
#define this_cpu_inc(n) ((void)__atomic_add_fetch(&(n), 1, __ATOMIC_RELAXED))
#define this_cpu_dec(n) ((void)__atomic_sub_fetch(&(n), 1, __ATOMIC_RELAXED))

#define GENMASK(high, low) ((~0UL << (low)) & (~0UL >> (BITS_PER_LONG - 1 - (high))))
#define cpu_to_le64(x) (x)
#define cpu_to_le32(x) (x)
#define IS_ENABLED(option) 0
typedef unsigned long atomic_long_t;
#define atomic_long_or(bits, word) ((void)__atomic_or_fetch(word, bits, __ATOMIC_RELAXED))
#define raw_spinlock_t spinlock_t
#define raw_spin_lock_init spin_lock_init
#define raw_spin_lock_irqsave spin_lock_irqsave
#define raw_spin_unlock_irqrestore spin_unlock_irqrestore

static inline bool test_bit_le(unsigned long nr, const void *bits)
{
	return __atomic_load_n((const u8 *)bits + nr / 8, __ATOMIC_RELAXED) >> nr % 8 & 1;
}

static inline void set_bit_le(unsigned long nr, void *bits)
{
	__atomic_or_fetch((u8 *)bits + nr / 8, (u8)(1 << nr % 8), __ATOMIC_RELAXED);
}

struct page {
	unsigned long pfn;
};

struct bio_vec {
	struct page *bv_page;
	unsigned int bv_len;
	unsigned int bv_offset;
};

#define PAGE_SHIFT 12
#define offset_in_page(p) ((unsigned long)(p) % PAGE_SIZE)
#define virt_addr_valid(kva) ((unsigned long)(kva) < VMALLOC_AREA)

static inline unsigned long page_to_pfn(const struct page *page)
{
	return (unsigned long)page / sizeof(*page);
}

static inline struct page *virt_to_page(const void *kva)
{
	return (struct page *)((unsigned long)kva / PAGE_SIZE * sizeof(struct page));
}

/*
 * Of eight pages of the area of vmalloc() one is not mapped, one is of a device, and the others
 * are not in the order of their addresses, except two and two.
 */
#define VMALLOC_PFN (1UL << (BITS_PER_LONG - 24))

static inline struct page *vmalloc_to_page(const void *kva)
{
	unsigned long nr = ((unsigned long)kva - VMALLOC_AREA) / PAGE_SIZE;

	return nr % 8 == 5 ? NULL : (struct page *)((VMALLOC_PFN + (nr ^ 2)) * sizeof(struct page));
}

static inline bool pfn_valid(unsigned long pfn)
{
	return pfn < VMALLOC_PFN || (pfn ^ 2) % 8 != 6;
}

/* References */
typedef struct { atomic_int n; } refcount_t;

static inline void refcount_set(refcount_t *r, int n)
{
	atomic_init(&r->n, n);
}

static inline unsigned int refcount_read(const refcount_t *r)
{
	return atomic_load(&((refcount_t *)r)->n);
}

static inline void refcount_inc(refcount_t *r)
{
	if (atomic_fetch_add(&r->n, 1) < 1)
		fatal("reference taken to what is gone");
}

static inline bool refcount_dec_and_test(refcount_t *r)
{
	int n = atomic_fetch_sub(&r->n, 1);

	if (n < 1)
		fatal("reference dropped that nobody had");
	return n == 1;
}

/* Work waits until a test runs it, as a processor that is busy would let it. */
struct work_struct {
	void (*func)(struct work_struct *work);
	struct work_struct *next;
	_Atomic(struct workqueue_struct *) queue;	/* the last that it was in */
	bool queued;
};

#define MAX_RUNNING 8

struct workqueue_struct {
	pthread_mutex_t lock;
	struct work_struct *first, **last;
	struct work_struct *running[MAX_RUNNING];	/* by threads; some are freed meanwhile */
};

#define MAX_QUEUES 4
static struct workqueue_struct *workqueues[MAX_QUEUES];

#define WQ_UNBOUND 0
#define WQ_MEM_RECLAIM 0
#define INIT_WORK(w, f) (*(w) = (struct work_struct){ .func = f })

/* Nothing waits for so long here. */
struct delayed_work {
	struct work_struct work;
};

#define HZ 100
#define to_delayed_work(w) container_of(w, struct delayed_work, work)
#define INIT_DELAYED_WORK_ONSTACK(w, f) INIT_WORK(&(w)->work, f)
#define queue_delayed_work(wq, w, ticks) ((void)(wq), (void)(w))
#define cancel_delayed_work_sync(w) ((void)(w))
#define destroy_delayed_work_on_stack(w) ((void)(w))

static inline struct workqueue_struct *alloc_workqueue(const char *name, int flags, int max)
{
	struct workqueue_struct *wq = kzalloc(sizeof(*wq), 0);
	unsigned int i = 0;

	(void)name;
	(void)flags;
	(void)max;
	if (!wq)
		return NULL;
	pthread_mutex_init(&wq->lock, NULL);
	wq->last = &wq->first;
	while (workqueues[i])
		i++;
	workqueues[i] = wq;
	return wq;
}

static inline bool queue_work(struct workqueue_struct *wq, struct work_struct *work)
{
	bool is_new;

	pthread_mutex_lock(&wq->lock);
	require(work->func, "work queued without a function");
	is_new = !work->queued;
	if (is_new) {
		work->queued = true;
		work->queue = wq;
		work->next = NULL;
		*wq->last = work;
		wq->last = &work->next;
	}
	pthread_mutex_unlock(&wq->lock);
	return is_new;
}

static inline bool work_is_running(struct workqueue_struct *wq, struct work_struct *work)
{
	unsigned int i;

	for (i = 0; i < MAX_RUNNING && wq->running[i] != work; i++)
		;
	return i < MAX_RUNNING;
}

/* Takes @work, or whatever is next if it is NULL, off the queue; none that runs already. */
static inline struct work_struct *work_take(struct workqueue_struct *wq, struct work_struct *work)
{
	struct work_struct **at;

	for (at = &wq->first; *at && (work ? *at != work : work_is_running(wq, *at)); )
		at = &(*at)->next;
	work = *at;
	if (!work || work_is_running(wq, work))
		return NULL;
	*at = work->next;
	if (!*at)
		wq->last = at;
	work->queued = false;
	return work;
}

/* Runs @work or what is next, and returns false when there is none; waits for other threads. */
static inline bool work_run(struct workqueue_struct *wq, struct work_struct *work)
{
	struct work_struct *taken;
	unsigned int i;
	bool busy;

	might_sleep();
	pthread_mutex_lock(&wq->lock);
	taken = work_take(wq, work);
	for (i = 0; taken && wq->running[i]; i++)
		;
	if (taken)
		wq->running[i] = taken;
	busy = work ? work_is_running(wq, work) : wq->first != NULL;
	pthread_mutex_unlock(&wq->lock);
	if (!taken) {
		sched_yield();
		return busy;
	}
	taken->func(taken);
	pthread_mutex_lock(&wq->lock);
	wq->running[i] = NULL;
	pthread_mutex_unlock(&wq->lock);
	return true;
}

static inline void flush_work(struct work_struct *work)
{
	while (work->queue && work_run(work->queue, work))
		;
}

static inline void cancel_work_sync(struct work_struct *work)
{
	struct workqueue_struct *wq = work->queue;
	bool running;

	if (!wq)
		return;
	do {
		pthread_mutex_lock(&wq->lock);
		work_take(wq, work);
		running = work_is_running(wq, work);
		pthread_mutex_unlock(&wq->lock);
	} while (running);
}

/* Grace periods of before may be over, which queues work. */
static inline void flush_workqueue(struct workqueue_struct *wq)
{
	bool advanced;

	do
		advanced = srcu_advance_all();
	while (work_run(wq, NULL) || advanced);
}

static inline void destroy_workqueue(struct workqueue_struct *wq)
{
	unsigned int i = 0;

	flush_workqueue(wq);
	while (workqueues[i] != wq)
		i++;
	workqueues[i] = NULL;
	pthread_mutex_destroy(&wq->lock);
	kfree(wq);
}

struct completion {
	atomic_bool done;
};

static inline void init_completion(struct completion *completion)
{
	atomic_init(&completion->done, false);
}

/* The one who waits may free @completion at once. */
static inline void complete(struct completion *completion)
{
	atomic_store(&completion->done, true);
}

/* Does what workers do meanwhile, as there may be none. */
static inline void wait_for_completion(struct completion *completion)
{
	unsigned int i;
	bool busy;

	might_sleep();
	if (mutexes_held || in_reclaim)
		fatal("wait for callbacks under a mutex or reclaim");
	while (!atomic_load(&completion->done)) {
		busy = srcu_advance_all();
		for (i = 0; i < MAX_QUEUES; i++)
			busy |= workqueues[i] && work_run(workqueues[i], NULL);
		if (!busy && !atomic_load(&completion->done))
			wait_for_others("a completion");
	}
}

/* An xarray of few */
#define MAX_CONTEXTS 64
struct xarray {
	pthread_mutex_t lock;
	void *entry[MAX_CONTEXTS];
};

#define DEFINE_XARRAY_ALLOC(name) struct xarray name = { .lock = PTHREAD_MUTEX_INITIALIZER }
#define xa_limit_31b 0

static inline int xa_alloc(struct xarray *xa, u32 *id, void *entry, int limit, int gfp)
{
	u32 i;

	(void)limit;
	(void)gfp;
	if (allocation_fails())
		return -ENOMEM;
	pthread_mutex_lock(&xa->lock);
	for (i = 0; i < MAX_CONTEXTS && xa->entry[i]; i++)
		;
	if (i == MAX_CONTEXTS)
		fatal("too many contexts");
	xa->entry[i] = entry;
	*id = i;
	pthread_mutex_unlock(&xa->lock);
	atomic_fetch_add(&live_objects, 1);
	return 0;
}

static inline void *xa_erase(struct xarray *xa, unsigned long id)
{
	void *entry;

	pthread_mutex_lock(&xa->lock);
	entry = xa->entry[id];
	if (!entry)
		fatal("context erased twice");
	xa->entry[id] = NULL;
	pthread_mutex_unlock(&xa->lock);
	atomic_fetch_sub(&live_objects, 1);
	return entry;
}

#define xa_for_each(xa, id, e)							\
	for ((id) = 0; (id) < MAX_CONTEXTS; (id)++)				\
		if (((e) = (xa)->entry[id]))
#endif /* __FRAMAC__ */

#endif
