/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What Frama-C is told of the kernel's helpers: their documented contracts, which
 * are taken for granted.  Included by user.h.
 */
#ifndef PROOF_FRAMAC_H
#define PROOF_FRAMAC_H

#define likely(x) (x)
#define unlikely(x) (x)
#define OPTIMIZER_HIDE_VAR(var) do { } while (0)
#define READ_ONCE(x) (x)
#define data_race(x) (x)
#define WRITE_ONCE(x, v) ((x) = (v))
#define smp_load_acquire(p) (*(p))
#define smp_store_release(p, v) (*(p) = (v))
#define smp_wmb() do { } while (0)
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define min3(a, b, c) min(min(a, b), c)
#define clamp(x, low, high) min(max(x, low), high)
#define min_t(t, a, b) min((t)(a), (t)(b))
#define max_t(t, a, b) max((t)(a), (t)(b))
#define swap(a, b) do { typeof(a) _t = (a); (a) = (b); (b) = _t; } while (0)

/*@
 * assigns \nothing;
 */
void cond_resched(void);

/*@
 * axiomatic bits {
 *	axiom masked: \forall integer x, mask; 0 <= mask ==> 0 <= (x & mask) <= mask;
 *	axiom shifted: \forall integer x; 0 <= x ==> 0 <= (x >> 5) <= x;
 *	axiom power: \forall integer n; 0 <= n <= 31 ==> 1 <= (1 << n) <= 0x80000000;
 *	axiom power3: \forall integer n; 3 <= n <= 31 ==> 8 <= (1 << n);
 * }
 */

/*@
 * requires \valid(sum);
 * assigns *sum;
 * ensures \result == (a + b > 0xffffffffffffffff);
 * ensures !\result ==> *sum == a + b;
 */
bool check_add_overflow(u64 a, u64 b, u64 *sum);

/*@
 * requires \valid(product);
 * assigns *product;
 * ensures \result == (a * b > 0xffffffffffffffff);
 * ensures !\result ==> *product == a * b;
 */
bool check_mul_overflow(u64 a, u64 b, u64 *product);

/*@
 * assigns \nothing;
 * ensures \result == (index < size ? 0xffffffffffffffff : 0);
 */
unsigned long array_index_mask_nospec(unsigned long index, unsigned long size);

/*@
 * assigns \nothing;
 * ensures \result == (index < size ? index : 0);
 */
unsigned long array_index_nospec(unsigned long index, unsigned long size);

/*@
 * requires n > 0;
 * assigns \nothing;
 * ensures \result < 64 && (1 << \result) <= n < (1 << (\result + 1));
 */
unsigned int ilog2(unsigned long n);

/*@
 * assigns \nothing;
 * ensures \result < 33 && n <= (1 << \result);
 */
unsigned int order_base_2(unsigned int n);

#endif
