/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The accesses that the benchmark measures, to the layouts of kunit/layouts.h.
 * One seeded generator makes all, so that two runs measure the same.
 */
#ifndef _BENCH_ACCESSES_H
#define _BENCH_ACCESSES_H

#include <linux/math64.h>
#include <linux/prandom.h>
#include <linux/sizes.h>

#include "../virtio_mem_xlate.h"

static struct rnd_state rnd;

static u64 random_below(u64 n)
{
	u64 high = prandom_u32_state(&rnd);

	return mul_u64_u64_shr(high << 32 | prandom_u32_state(&rnd), n, 64);
}

#include "../kunit/layouts.h"

/*
 * Nothing is behind a kva but where something is to be read; they are anywhere,
 * as pages of guests are.
 */
static void make_layout(const struct guest_layout *layout, struct virtio_mem_xlate_slot *slots,
			unsigned int n)
{
	unsigned int i;

	layout->make(slots, n);
	for (i = 0; i < n; i++) {
		slots[i].kva = (void *)(SZ_1T + random_pages(32 * SZ_1T));
		slots[i].access = VIRTIO_MEM_XLATE_RW;
	}
}

/* An access in eight bytes: 48 bits of address, and the length less one. */
#define ACCESS_LEN_SHIFT	48

static u64 access_pack(u64 gpa, u64 len)
{
	return gpa | (len - 1) << ACCESS_LEN_SHIFT;
}

static u64 access_gpa(u64 access)
{
	return access & ((1ULL << ACCESS_LEN_SHIFT) - 1);
}

static u64 access_len(u64 access)
{
	return (access >> ACCESS_LEN_SHIFT) + 1;
}

struct accesses {
	u64 *packed;
	unsigned long *kvas;	/* the answers */
	unsigned int nr;
};

enum pattern { UNIFORM, BYTES, HOT, SEQUENTIAL, ZIPF, NR_PATTERNS };

static const char * const pattern_names[] = { "uniform", "bytes", "hot", "sequential", "zipf" };

/*
 * Makes sums[i] the weight of slots 0..i: of their bytes, or in ZIPF one over a
 * random rank.
 */
static void weigh(const struct virtio_mem_xlate_slot *slots, unsigned int n, enum pattern pattern,
		  u64 *sums)
{
	unsigned int i, j;
	u64 sum = 0;

	for (i = 0; i < n; i++)
		sums[i] = pattern == ZIPF ? div_u64(1ULL << 40, i + 1) : slots[i].size;
	for (i = n - 1; pattern == ZIPF && i; i--) {
		j = random_below(i + 1);
		swap(sums[i], sums[j]);
	}
	for (i = 0; i < n; i++) {
		sum += sums[i];
		sums[i] = sum;
	}
}

static unsigned int weighted_slot(const u64 *sums, unsigned int n)
{
	u64 at = random_below(sums[n - 1]);
	unsigned int low = 0, high = n - 1;

	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (sums[middle] > at)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/*
 * Lengths are 1 to 1514, or @len if that is not 0, cut off at the slot's end;
 * addresses are multiples of @align.  @sums has room for one number a slot.
 */
static void make_accesses(const struct virtio_mem_xlate_slot *slots, unsigned int n,
			  enum pattern pattern, u64 len, unsigned int align, u64 *sums,
			  struct accesses *accesses)
{
	unsigned int i, slot = random_below(n);
	u64 offset = 0, bytes;

	if (pattern == BYTES || pattern == ZIPF)
		weigh(slots, n, pattern, sums);
	for (i = 0; i < accesses->nr; i++) {
		switch (pattern) {
		case UNIFORM:
			slot = random_below(n);
			break;
		case BYTES:
		case ZIPF:
			slot = weighted_slot(sums, n);
			break;
		case SEQUENTIAL:
			if (offset == slots[slot].size) {
				slot = (slot + 1) % n;
				offset = 0;
			}
			break;
		default:
			break;
		}
		if (pattern != SEQUENTIAL)
			offset = ALIGN_DOWN(random_below(slots[slot].size), align);
		bytes = min(len ?: random_below(1514) + 1, slots[slot].size - offset);
		accesses->packed[i] = access_pack(slots[slot].gpa + offset, bytes);
		accesses->kvas[i] = (unsigned long)slots[slot].kva + offset;
		offset += bytes;
	}
}

/* The answer to anything, by the stupidest search there is. */
static unsigned long reference(const struct virtio_mem_xlate_slot *slots, unsigned int n,
			       u64 gpa, u64 len)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		u64 offset = gpa - slots[i].gpa;

		if (gpa >= slots[i].gpa && offset < slots[i].size)
			return slots[i].size - offset >= len ?
			       (unsigned long)slots[i].kva + offset : 0;
	}
	return 0;
}

#endif /* _BENCH_ACCESSES_H */
