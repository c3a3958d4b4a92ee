/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Included before everything else of the kernel that is measured: user-mode
 * Linux has the portable mask against speculation, and what is to be timed is
 * the one of the processor that it runs on.  The same as in
 * arch/x86/include/asm/barrier.h.
 */
#if !defined(__ASSEMBLY__) && defined(__x86_64__)
#define array_index_mask_nospec(index, size) ({				\
	unsigned long __index = (index), __size = (size), __mask;	\
									\
	asm volatile("cmp %1,%2; sbb %0,%0"				\
		     : "=r" (__mask)					\
		     : "g" (__size), "r" (__index)			\
		     : "cc");						\
	__mask;								\
})
#endif
