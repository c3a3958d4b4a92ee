/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is looked up: layouts of guest memory and patterns of accesses to it.
 * All from one seeded generator, so that two runs measure the same.
 */
#ifndef _BENCH_LAYOUTS_H
#define _BENCH_LAYOUTS_H

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

static u64 random_pages(u64 max)
{
	return (random_below(max / SZ_4K) + 1) * SZ_4K;
}

/* Log-uniform over the 22 octaves from 4 KiB on. */
static u64 random_octave(void)
{
	u64 low = (u64)SZ_4K << random_below(22);

	return low + ALIGN_DOWN(random_below(low), SZ_4K);
}

static void eq2m(struct virtio_mem_xlate_slot *slots, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		slots[i].gpa = (u64)i * SZ_2M;
		slots[i].size = SZ_2M;
	}
}

/* What a PC with firmware in flash looks like; the lowest @n slots of it. */
static void pc(struct virtio_mem_xlate_slot *slots, unsigned int n)
{
	static const struct virtio_mem_xlate_slot below_4g[] = {
		{ 0, 0xa0000 },
		{ 0xc0000, 0x20000 },		/* option ROMs */
		{ 0xe0000, 0x20000 },		/* the BIOS */
		{ SZ_1M, 3 * (u64)SZ_1G - SZ_1M },
		{ 0xfeb80000, 0x40000 },	/* a PCI ROM */
		{ 0xffc00000, 0x84000 },	/* the firmware's variables */
		{ 0xffc84000, 0x37c000 },	/* the firmware */
	};
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (i < ARRAY_SIZE(below_4g)) {
			slots[i].gpa = below_4g[i].gpa;
			slots[i].size = below_4g[i].size;
		} else {
			slots[i].gpa = SZ_4G + (u64)(i - ARRAY_SIZE(below_4g)) * SZ_128M;
			slots[i].size = SZ_128M;
		}
	}
}

static void random_sizes(struct virtio_mem_xlate_slot *slots, unsigned int n)
{
	u64 gpa = 0;
	unsigned int i;

	for (i = 0; i < n; i++) {
		slots[i].gpa = gpa;
		slots[i].size = random_pages(6 * SZ_1M);
		gpa += slots[i].size + random_pages(6 * SZ_1M);
	}
}

static void adversarial(struct virtio_mem_xlate_slot *slots, unsigned int n)
{
	u64 gpa = 0;
	unsigned int i;

	for (i = 0; i < n; i++) {
		slots[i].gpa = gpa;
		slots[i].size = i < n / 2 ? SZ_4K : SZ_2M;
		gpa += slots[i].size;
		if (i >= n / 2)
			gpa += random_pages(SZ_2M);
	}
	slots[n - 1].gpa = SZ_1T + SZ_1G;
}

static void heavytail(struct virtio_mem_xlate_slot *slots, unsigned int n)
{
	u64 gpa = 0;
	unsigned int i;

	for (i = 0; i < n; i++) {
		slots[i].gpa = gpa;
		slots[i].size = random_octave();
		gpa += slots[i].size + random_octave();
	}
}

/*
 * The first slot is most of the buckets, and as many slots of one bucket each as keep the
 * buckets fine; all others are single bytes.  A long range in the first slot crosses all its
 * buckets.
 */
static void cliff(struct virtio_mem_xlate_slot *slots, unsigned int n)
{
	unsigned int cells = n / 60 + 1, i;
	u64 cell = 1ULL << (37 - ilog2(2 * n)), gpa = 0;

	for (i = 0; i < n; i++) {
		slots[i].gpa = gpa;
		slots[i].size = !i ? (2 * n - cells) * cell : i <= cells ? cell : 1;
		gpa += slots[i].size + (i > cells);
	}
}

/* Slots that touch, but for the kernel: a range over many is as many pieces. */
static void pieces(struct virtio_mem_xlate_slot *slots, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		slots[i].gpa = (u64)i * SZ_4K;
		slots[i].size = SZ_4K;
	}
}

static const struct layout {
	const char *name;
	void (*make)(struct virtio_mem_xlate_slot *slots, unsigned int n);
} layouts[] = {
	{ "eq2m", eq2m },
	{ "pc", pc },
	{ "rand", random_sizes },
	{ "adv", adversarial },
	{ "heavytail", heavytail },
};

/* Those of single cells. */
static const struct layout cliff_layout = { "cliff", cliff };
static const struct layout pieces_layout = { "pieces", pieces };

/*
 * Nothing is behind a kva but where something is to be read; they are anywhere,
 * as pages of guests are.
 */
static void make_layout(const struct layout *layout, struct virtio_mem_xlate_slot *slots,
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

/* The same for ranges of 64 KiB to 4 GiB, less a byte. */
static u64 long_len(u64 len)
{
	return (len << 16) - 1;
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

/* Ranges in the first slot of @slots, which is longer than all of them: see long_len(). */
static void make_long_accesses(const struct virtio_mem_xlate_slot *slots,
			       struct accesses *accesses)
{
	unsigned int i;
	u64 offset;

	for (i = 0; i < accesses->nr; i++) {
		offset = random_below(slots[0].size - SZ_4G);
		accesses->packed[i] = access_pack(slots[0].gpa + offset,
						  random_below(1 << 16) + 1);
		accesses->kvas[i] = (unsigned long)slots[0].kva + offset;
	}
}

static void shuffle(struct virtio_mem_xlate_slot *slots, unsigned int n)
{
	unsigned int i, j;

	for (i = n - 1; i; i--) {
		j = random_below(i + 1);
		swap(slots[i], slots[j]);
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

#endif /* _BENCH_LAYOUTS_H */
