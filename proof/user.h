/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The little of the kernel that virtio_mem_xlate_table.h needs, for user space.
 * Force-included; the kernel's own headers are then empty files (proof/cc).
 */
#ifndef PROOF_USER_H
#define PROOF_USER_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
#ifndef NARROW
typedef uint64_t u64;
typedef int64_t s64;
#endif

#define U32_MAX UINT32_MAX
#define U64_MAX UINT64_MAX
#define BITS_PER_LONG 64
#define BITS_PER_LONG_LONG 64


#define noinline __attribute__((noinline))
#define __force
#define __acquires(x)
#define __releases(x)
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define data_race(x) (x)
#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))
#define smp_store_release(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define smp_load_acquire(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define OPTIMIZER_HIDE_VAR(var) __asm__ ("" : "=r" (var) : "0" (var))

#define check_add_overflow(a, b, d) __builtin_add_overflow(a, b, d)
#define check_mul_overflow(a, b, d) __builtin_mul_overflow(a, b, d)
#define min(a, b) ({ typeof(a) _a = (a); typeof(b) _b = (b); _a < _b ? _a : _b; })
#define max(a, b) ({ typeof(a) _a = (a); typeof(b) _b = (b); _a > _b ? _a : _b; })
#define min_t(t, a, b) min((t)(a), (t)(b))
#define max_t(t, a, b) max((t)(a), (t)(b))
#define IS_ALIGNED(x, a) (((x) & ((typeof(x))(a) - 1)) == 0)
#define BIT(n) (1UL << (n))
#define ilog2(x) (63 - __builtin_clzll(x))
#define order_base_2(x) ((x) > 1 ? ilog2((x) - 1) + 1 : 0)
#define DEFINE_CLASS(...)

/* x86's, so that user space times and tests what ships. */
static inline unsigned long array_index_mask_nospec(unsigned long index, unsigned long size)
{
#ifdef __x86_64__
	unsigned long mask;

	__asm__ volatile ("cmp %1,%2; sbb %0,%0" : "=r" (mask) : "g" (size), "r" (index) : "cc");
	return mask;
#else
	return index < size ? ~0UL : 0;
#endif
}

#define array_index_nospec(i, n) ((i) & array_index_mask_nospec(i, n))

static inline void sort(void *base, size_t num, size_t size,
			int (*cmp)(const void *, const void *), void *swap)
{
	(void)swap;
	qsort(base, num, size, cmp);
}

#endif
