// SPDX-License-Identifier: GPL-2.0
/* Validation of slots, and updates of the table.  The tests access no memory of a slot. */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/prandom.h>
#include <linux/sched.h>
#include <linux/sizes.h>

#include "helpers.h"

#define SLOT(_gpa, _size, _kva, _access) {					\
	.gpa = (_gpa), .size = (_size), .kva = (void *)(uintptr_t)(_kva), .access = (_access) }

static struct virtio_mem_xlate_slot slot(u64 gpa, u64 size, uintptr_t kva, unsigned int access)
{
	return (struct virtio_mem_xlate_slot)SLOT(gpa, size, kva, access);
}

/* Out of order, with a gap, two that touch, and every access. */
static const struct virtio_mem_xlate_slot base[] = {
	SLOT(0x5000, 0x1000, 0x105000, RW),
	SLOT(0x1000, 0x0fff, 0x201000, R),
	SLOT(0x4001, 0x0fff, 0x304001, W),
};

static void *expected_byte(const struct virtio_mem_xlate_slot *slots, unsigned int nr_slots,
			   u64 gpa)
{
	unsigned int i;

	for (i = 0; i < nr_slots; i++) {
		if (gpa < slots[i].gpa || gpa - slots[i].gpa >= slots[i].size)
			continue;
		return slots[i].access & R ? slots[i].kva + (gpa - slots[i].gpa) : ERR_PTR(-EPERM);
	}
	return ERR_PTR(-EFAULT);
}

/* Looks at the first two, the middle and the last byte of each slot and the bytes around it. */
static void expect_table(struct kunit *test, struct virtio_mem_xlate *xlate,
			 const struct virtio_mem_xlate_slot *slots, unsigned int nr_slots)
{
	unsigned int i, j;

	for (i = 0; i < nr_slots; i++) {
		u64 gpa = slots[i].gpa, size = slots[i].size;
		u64 bytes[] = { gpa - 1, gpa, gpa + 1, gpa + size / 2, gpa + size - 1, gpa + size };

		for (j = 0; j < ARRAY_SIZE(bytes); j++)
			if (bytes[j] != U64_MAX)	/* not a range of 1 byte */
				KUNIT_EXPECT_PTR_EQ_MSG(test, translate_byte(xlate, bytes[j]),
							expected_byte(slots, nr_slots, bytes[j]),
							"slot %u of %u, byte %#llx", i, nr_slots,
							bytes[j]);
	}
}

#define EXPECT_BASE(test, xlate) expect_table(test, xlate, base, ARRAY_SIZE(base))

static void expect_register_fails(struct kunit *test, const struct virtio_mem_xlate_slot *slots,
				  unsigned int nr_slots, int err)
{
	struct virtio_mem_xlate *xlate = virtio_mem_xlate_register(slots, nr_slots);

	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(xlate), err);
	if (!IS_ERR(xlate))
		virtio_mem_xlate_unregister(xlate);
}

static const struct validate_case {
	const char *name;
	struct virtio_mem_xlate_slot slot;
	int err;
} validate_cases[] = {
	{ "one byte", SLOT(0x9000, 1, 1, R), 0 },
	{ "unaligned", SLOT(0x9001, 3, 0x777, W), 0 },
	{ "size 0", SLOT(0x9000, 0, 0x1000, RW), -EINVAL },
	{ "all zero", SLOT(0, 0, 0, 0), -EINVAL },
	{ "size 0 at 0", SLOT(0, 0, 0x1000, RW), -EINVAL },		/* vhost_iotlb: loops */
	{ "whole address space", SLOT(0, U64_MAX, 1, RW), -EINVAL },	/* vhost_iotlb: size 0 */
	{ "last byte", SLOT(U64_MAX - 1, 1, 1, RW), 0 },
	{ "past the last byte", SLOT(U64_MAX, 1, 1, RW), -EINVAL },
	{ "ends at U64_MAX", SLOT(U64_MAX - 0x1000, 0x1000, 0x1000, RW), 0 },
	{ "ends at 2^64", SLOT(U64_MAX - 0xfff, 0x1000, 0x1000, RW), -EINVAL },
	{ "gpa wraps", SLOT(U64_MAX - 0xfff, 0x2000, 0x1000, RW), -EINVAL },
	{ "above SIZE_MAX", SLOT(0x9000, (u64)SIZE_MAX + 1, 0x1000, RW), -EINVAL },
	{ "above SIZE_MAX by 2", SLOT(0x9000, (u64)SIZE_MAX + 2, 0x1000, RW),
	  sizeof(size_t) == sizeof(u64) ? 0 : -EINVAL },	/* 64 bits: a size of 1 */
	{ "kva NULL", SLOT(0x9000, 0x1000, 0, RW), -EINVAL },
	{ "kva ends at UINTPTR_MAX", SLOT(0x9000, 0x1000, UINTPTR_MAX - 0x1000, RW), 0 },
	{ "kva wraps to 0", SLOT(0x9000, 0x1000, UINTPTR_MAX - 0xfff, RW), -EINVAL },
	{ "kva wraps", SLOT(0x9000, 0x1000, UINTPTR_MAX, RW), -EINVAL },
	{ "access read", SLOT(0x9000, 1, 0x1000, R), 0 },
	{ "access write", SLOT(0x9000, 1, 0x1000, W), 0 },
	{ "access read and write", SLOT(0x9000, 1, 0x1000, RW), 0 },
	{ "access 0", SLOT(0x9000, 1, 0x1000, 0), -EINVAL },
	{ "access unknown", SLOT(0x9000, 1, 0x1000, 4), -EINVAL },
	{ "access partly unknown", SLOT(0x9000, 1, 0x1000, RW | 4), -EINVAL },
	{ "access highest bit", SLOT(0x9000, 1, 0x1000, RW | BIT(31)), -EINVAL },
};

static void validate_desc(const struct validate_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(validate, validate_cases, validate_desc);

/* The bad slot may have any place in the array; a failing call changes nothing. */
static void slot_is_validated(struct kunit *test)
{
	const struct validate_case *c = test->param_value;
	struct virtio_mem_xlate *xlate;
	unsigned int i;

	for (i = 0; i < 3; i++) {
		struct virtio_mem_xlate_slot slots[] = {
			SLOT(0x11000, 0x10, 0x1000, R),
			SLOT(0x12000, 0x10, 0x2000, R),
			SLOT(0x13000, 0x10, 0x3000, R),
		};

		slots[i] = c->slot;
		expect_register_fails(test, slots, ARRAY_SIZE(slots), c->err);

		xlate = register_for_test(test, base, ARRAY_SIZE(base));
		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, slots, ARRAY_SIZE(slots)),
				c->err);
		EXPECT_BASE(test, xlate);
		if (c->err)
			KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, 0x11000),
					    ERR_PTR(-EFAULT));
		else
			expect_table(test, xlate, slots, ARRAY_SIZE(slots));

		xlate = register_for_test(test, base, ARRAY_SIZE(base));
		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_replace(xlate, slots, ARRAY_SIZE(slots)),
				c->err);
		if (c->err)
			EXPECT_BASE(test, xlate);
		else
			expect_table(test, xlate, slots, ARRAY_SIZE(slots));
	}
}

/* Against a slot at 0x2000 of 0x1000 bytes. */
static const struct overlap_case {
	const char *name;
	u64 gpa, size;
	int err;
} overlap_cases[] = {
	{ "identical", 0x2000, 0x1000, -EEXIST },
	{ "left by one byte", 0x1000, 0x1001, -EEXIST },
	{ "first byte only", 0x2000, 1, -EEXIST },
	{ "right by one byte", 0x2fff, 0x1001, -EEXIST },
	{ "last byte only", 0x2fff, 1, -EEXIST },
	{ "inside", 0x2800, 1, -EEXIST },
	{ "enclosing", 0x1fff, 0x1002, -EEXIST },
	{ "same start, longer", 0x2000, 0x1001, -EEXIST },
	{ "same end, longer", 0x1fff, 0x1001, -EEXIST },
	{ "from 0 to the end", 0, U64_MAX >> 33, -EEXIST },
	{ "touching left", 0x1000, 0x1000, 0 },
	{ "touching right", 0x3000, 0x1000, 0 },
	{ "4 GiB above", 0x100002000, 0x1000, 0 },
};

static void overlap_desc(const struct overlap_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(overlap, overlap_cases, overlap_desc);

/* vhost_set_memory() and hyperlight#1289 accepted these. */
static void slots_that_share_a_byte(struct kunit *test)
{
	const struct overlap_case *c = test->param_value;
	struct virtio_mem_xlate_slot a = slot(0x2000, 0x1000, 0x102000, R);
	struct virtio_mem_xlate_slot b = slot(c->gpa, c->size, 0x200000, R);
	struct virtio_mem_xlate_slot ab[] = { a, b }, ba[] = { b, a };
	struct virtio_mem_xlate *xlate;

	expect_register_fails(test, ab, 2, c->err);
	expect_register_fails(test, ba, 2, c->err);

	xlate = register_for_test(test, &a, 1);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, &b, 1), c->err);
	expect_table(test, xlate, c->err ? &a : ab, c->err ? 1 : 2);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_replace(xlate, ba, 2), c->err);
	expect_table(test, xlate, c->err ? &a : ab, c->err ? 1 : 2);
}

/* Slots may share host memory: ROM shadows, aliases. */
static void slots_may_share_host_memory(struct kunit *test)
{
	const struct virtio_mem_xlate_slot slots[] = {
		SLOT(0x1000, 0x1000, 0x100000, R),
		SLOT(0x2000, 0x1000, 0x100000, RW),
		SLOT(0x3000, 0x1000, 0x100800, R),
	};

	expect_table(test, register_for_test(test, slots, ARRAY_SIZE(slots)), slots,
		     ARRAY_SIZE(slots));
}

static void slots_in_any_order(struct kunit *test)
{
	static const u8 orders[][3] = {
		{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
	};
	struct virtio_mem_xlate_slot slots[3];
	struct virtio_mem_xlate *xlate, *updated;
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		updated = register_for_test(test, NULL, 0);
		for (j = 0; j < 3; j++) {
			slots[j] = base[orders[i][j]];
			KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(updated, &slots[j], 1), 0);
		}
		xlate = register_for_test(test, slots, 3);
		EXPECT_BASE(test, xlate);
		EXPECT_BASE(test, updated);
	}
}

#define SHUFFLED	1000

/*
 * The addresses of the slots differ in high or low bits.  The added slots lie between the
 * others, below and above them.
 */
static void many_slots_in_any_order(struct kunit *test)
{
	struct virtio_mem_xlate_slot *slots;
	struct virtio_mem_xlate *xlate;
	unsigned int shift, i, other;
	struct rnd_state rnd;

	slots = kunit_kcalloc(test, SHUFFLED, sizeof(*slots), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, slots);
	prandom_seed_state(&rnd, 19);
	for (shift = 0; shift < 54; shift += 3) {
		for (i = 0; i < SHUFFLED; i++) {
			slots[i] = slot(((u64)i << shift) + i, 1, 0x10000 + i, R);
			other = prandom_u32_state(&rnd) % (i + 1);
			swap(slots[i], slots[other]);
		}
		xlate = register_for_test(test, slots, SHUFFLED);
		expect_table(test, xlate, slots, SHUFFLED);
		for (i = 0; i < 3; i++)
			KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, slots[i].gpa, 1), 0);
		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, slots, 3), 0);
		expect_table(test, xlate, slots, SHUFFLED);

		xlate = register_for_test(test, slots, 10);
		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, slots + 9, SHUFFLED - 9),
				-EEXIST);
		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, slots + 10, SHUFFLED - 10), 0);
		expect_table(test, xlate, slots, SHUFFLED);
	}
}

static void slots_are_copied(struct kunit *test)
{
	struct virtio_mem_xlate_slot slots[ARRAY_SIZE(base)];
	struct virtio_mem_xlate *xlate;

	memcpy(slots, base, sizeof(slots));
	xlate = register_for_test(test, slots, ARRAY_SIZE(slots));
	memset(slots, POISON, sizeof(slots));
	EXPECT_BASE(test, xlate);
}

static void no_slots(struct kunit *test)
{
	struct virtio_mem_xlate *xlate = register_for_test(test, NULL, 0);

	KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, 0), ERR_PTR(-EFAULT));
	KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, 0x1000), ERR_PTR(-EFAULT));
	KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, U64_MAX - 1), ERR_PTR(-EFAULT));
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, 0, 0), -ENOENT);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, NULL, 0), 0);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, base, ARRAY_SIZE(base)), 0);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, NULL, 0), 0);
	EXPECT_BASE(test, xlate);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_replace(xlate, NULL, 0), 0);
	KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, 0x1000), ERR_PTR(-EFAULT));
}

static void slots_null(struct kunit *test)
{
	struct virtio_mem_xlate *xlate = register_for_test(test, base, ARRAY_SIZE(base));

	expect_register_fails(test, NULL, 1, -EINVAL);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, NULL, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_replace(xlate, NULL, 1), -EINVAL);
	EXPECT_BASE(test, xlate);
}

/*
 * Every number of slots up to beyond a power of two, with a gap after every third.
 * DPDK fb4b7a131c: the search found only the starts, and up to a
 * threshold a linear search hid that.
 */
static void every_number_of_slots(struct kunit *test)
{
	struct virtio_mem_xlate_slot *slots;
	unsigned int n, i;

	slots = kunit_kcalloc(test, 70, sizeof(*slots), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, slots);
	for (i = 0; i < 70; i++)
		slots[i] = slot(0x1000 * i, i % 3 ? 0x1000 : 0x0fff, 0x1000000 - 0x10000 * i, R);
	for (n = 1; n <= 70; n++) {
		struct virtio_mem_xlate *xlate = virtio_mem_xlate_register(slots, n);

		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, xlate);
		expect_table(test, xlate, slots, n);
		virtio_mem_xlate_unregister(xlate);
	}
}

/* Slots that end a byte before, at, or after a power of two: a likely edge of a bucket. */
static void edges_off_by_one(struct kunit *test)
{
	unsigned int shift;
	int low, high;

	for (shift = 2; shift < 40; shift++) {
		for (low = -1; low <= 1; low++) {
			for (high = -1; high <= 1; high++) {
				u64 gpa = BIT_ULL(shift) + low, end = BIT_ULL(shift + 1) + high;
				u64 size = min_t(u64, end - gpa, SZ_1G);
				struct virtio_mem_xlate_slot slots[] = {
					SLOT(gpa, size, 0x8000000 + gpa % SZ_1M, R),
					SLOT(BIT_ULL(41), 0x1000, 0x1000, R),
				};

				expect_table(test, register_for_test(test, slots, 1), slots, 1);
				expect_table(test, register_for_test(test, slots, 2), slots, 2);
			}
		}
	}
}

#define CLUSTERS	2
#define SMALL_SLOTS	16

/*
 * Many small slots beside a large one: the index gets nodes with small buckets there, and
 * some buckets lie wholly in the large slot.
 */
static void large_slot_among_small_ones(struct kunit *test)
{
	struct virtio_mem_xlate_slot slots[CLUSTERS * (SMALL_SLOTS + 1)];
	const unsigned int n = ARRAY_SIZE(slots);
	struct virtio_mem_xlate *xlate;
	unsigned int i, j;
	u64 gpa;

	for (i = 0; i < CLUSTERS; i++) {
		gpa = SZ_1M + ((u64)i << 40);
		slots[i] = slot(gpa, SZ_4M, 0x10000000 + i * SZ_16M, R);
		for (j = 0; j < SMALL_SLOTS; j++)
			slots[CLUSTERS + i * SMALL_SLOTS + j] =
				slot(gpa - 0x100 * (j + 1), 0x10, 0x1000 + 0x10 * j, R);
	}
	xlate = register_for_test(test, slots, n);
	expect_table(test, xlate, slots, n);
	for (i = 0; i < CLUSTERS; i++) {
		gpa = slots[i].gpa;
		for (j = 0; j < SZ_4M; j += SZ_64K)
			KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, gpa + j), slots[i].kva + j);
		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, gpa, SZ_4M), 0);
		for (j = 0; j < SZ_4M; j += SZ_64K)
			KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, gpa + j), ERR_PTR(-EFAULT));
		expect_table(test, xlate, &slots[i + 1], n - i - 1);
	}
}

static const struct remove_case {
	const char *name;
	u64 gpa, size;
	int err;
} remove_cases[] = {
	{ "exact", 0x5000, 0x1000, 0 },
	{ "another", 0x1000, 0x0fff, 0 },
	{ "two that touch", 0x4001, 0x1fff, 0 },
	{ "two with a hole between", 0x1000, 0x4000, 0 },
	{ "all", 0x1000, 0x5000, 0 },
	{ "size 0", 0x1000, 0, -ENOENT },
	{ "shorter", 0x5000, 0x0fff, -ENOENT },
	{ "longer", 0x5000, 0x1001, -ENOENT },
	{ "4 GiB longer", 0x5000, 0x100001000, -ENOENT },
	{ "later", 0x5001, 0x1000, -ENOENT },
	{ "later, same end", 0x5001, 0x0fff, -ENOENT },
	{ "earlier", 0x4fff, 0x1000, -ENOENT },
	{ "all, from a byte before", 0x0fff, 0x5001, -ENOENT },
	{ "all, from a byte behind", 0x1001, 0x4fff, -ENOENT },
	{ "all, to a byte before", 0x1000, 0x4fff, -ENOENT },
	{ "all, to a byte behind", 0x1000, 0x5001, -ENOENT },
	{ "a slot and the hole behind it", 0x1000, 0x3001, -ENOENT },
	{ "a slot and the hole before it", 0x1fff, 0x3001, -ENOENT },
	{ "a slot and a byte of the next", 0x4001, 0x1000, -ENOENT },
	{ "a byte and the next slot", 0x4fff, 0x1001, -ENOENT },
	{ "nothing, where two touch", 0x5000, 0, -ENOENT },
	{ "to the end", 0x1000, U64_MAX - 0x1000, -ENOENT },
	{ "beyond the end", 0x1000, U64_MAX, -ENOENT },
	{ "around the end", 0x5000, U64_MAX - 0x3000, -ENOENT },
	{ "in the gap", 0x3000, 0x1000, -ENOENT },
	{ "before the first", 0, 0x1000, -ENOENT },
	{ "zeroes", 0, 0, -ENOENT },
	{ "4 GiB above", 0x100005000, 0x1000, -ENOENT },
	{ "at the end", U64_MAX, 0x1000, -ENOENT },
};

static void remove_desc(const struct remove_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(remove, remove_cases, remove_desc);

static void remove_is_exact(struct kunit *test)
{
	const struct remove_case *c = test->param_value;
	struct virtio_mem_xlate *xlate = register_for_test(test, base, ARRAY_SIZE(base));
	struct virtio_mem_xlate_slot left[ARRAY_SIZE(base)];
	unsigned int i, n = 0, still = 0;

	for (i = 0; i < ARRAY_SIZE(base); i++)
		if (c->err || base[i].gpa < c->gpa || base[i].gpa >= c->gpa + c->size)
			left[n++] = base[i];

	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, c->gpa, c->size), c->err);
	expect_table(test, xlate, left, n);
	for (i = 0; !c->err && i < c->size; i++)
		still += translate_byte(xlate, c->gpa + i) != ERR_PTR(-EFAULT);
	KUNIT_EXPECT_EQ(test, still, 0);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, c->gpa, c->size), -ENOENT);
	expect_table(test, xlate, left, n);
}

static void remove_all_then_add(struct kunit *test)
{
	struct virtio_mem_xlate *xlate = register_for_test(test, base, ARRAY_SIZE(base));
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(base); i++)
		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, base[i].gpa, base[i].size), 0);
	for (i = 0; i < ARRAY_SIZE(base); i++)
		KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, base[i].gpa), ERR_PTR(-EFAULT));
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, base, ARRAY_SIZE(base)), 0);
	EXPECT_BASE(test, xlate);
}

/* A removed slot is a hole: a range may span it, but not begin or end with it. */
static void remove_around_a_removed_slot(struct kunit *test)
{
	struct virtio_mem_xlate *xlate = register_for_test(test, base, ARRAY_SIZE(base));

	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, 0x4001, 0x0fff), 0);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, 0x4001, 0x1fff), -ENOENT);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, 0x1000, 0x4000), -ENOENT);
	expect_table(test, xlate, &base[0], 2);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, 0x1000, 0x5000), 0);
	KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, 0x1000), ERR_PTR(-EFAULT));
	KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, 0x5fff), ERR_PTR(-EFAULT));
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, base, ARRAY_SIZE(base)), 0);
	EXPECT_BASE(test, xlate);
}

/* The table still has the removed slot in its array; a new slot may overlap it. */
static void add_over_a_removed_slot(struct kunit *test)
{
	const struct virtio_mem_xlate_slot moved[] = {
		SLOT(0x5000, 0x1000, 0x905000, R), base[1], base[2],
	}, grown[] = {
		SLOT(0x5000, 0x2000, 0x605000, R), base[1], base[2],
	};
	struct virtio_mem_xlate *xlate = register_for_test(test, base, ARRAY_SIZE(base));
	unsigned int i;

	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, 0x5000, 0x1000), 0);
		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, &moved[0], 1), 0);
		expect_table(test, xlate, moved, ARRAY_SIZE(moved));

		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, 0x5000, 0x1000), 0);
		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, &grown[0], 1), 0);
		expect_table(test, xlate, grown, ARRAY_SIZE(grown));

		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, 0x5000, 0x2000), 0);
		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, &base[0], 1), 0);
		EXPECT_BASE(test, xlate);
	}
}

/* An update that fails must not bring a removed slot back. */
static void failing_update_after_remove(struct kunit *test)
{
	const struct virtio_mem_xlate_slot bad = SLOT(0x9000, 0, 0x1000, R);
	struct virtio_mem_xlate *xlate = register_for_test(test, base, ARRAY_SIZE(base));

	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, base[0].gpa, base[0].size), 0);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, &bad, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, &base[1], 1), -EEXIST);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_replace(xlate, &bad, 1), -EINVAL);
	expect_table(test, xlate, &base[1], 2);
	KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, base[0].gpa), ERR_PTR(-EFAULT));
}

static void too_many_slots(struct kunit *test)
{
	const unsigned int max = VIRTIO_MEM_XLATE_MAX_SLOTS;
	const struct virtio_mem_xlate_slot one_more = SLOT(0, 1, 1, R);
	struct virtio_mem_xlate_slot *slots;
	struct virtio_mem_xlate *xlate;
	unsigned int i;

	KUNIT_ASSERT_EQ(test, max, 1U << 20);
	slots = kvmalloc_array(max + 1, sizeof(*slots), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, slots);
	for (i = 0; i <= max; i++)	/* 1 GiB apart, downwards */
		slots[i] = slot((u64)(max - i + 1) << 30, 0x1000, 0x1000 + i, R);
	expect_register_fails(test, slots, max + 1, -ENOSPC);
	expect_register_fails(test, slots, U32_MAX, -ENOSPC);

	xlate = virtio_mem_xlate_register(slots, max);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, xlate);
	if (IS_ERR_OR_NULL(xlate))
		goto out;
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, &one_more, 1), -ENOSPC);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, slots, U32_MAX), -ENOSPC);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_replace(xlate, slots, max + 1), -ENOSPC);
	for (i = 0; i < max; i += 4093)
		expect_table(test, xlate, &slots[i], 1);
	expect_table(test, xlate, &slots[max - 1], 1);

	/* A removed slot does not count towards the limit. */
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, slots[7].gpa, slots[7].size), 0);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, &one_more, 1), 0);
	expect_table(test, xlate, &one_more, 1);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, &slots[7], 1), -ENOSPC);
	virtio_mem_xlate_unregister(xlate);
out:
	kvfree(slots);
}

static void updates_after_unregister(struct kunit *test)
{
	struct virtio_mem_xlate *xlate;

	xlate = virtio_mem_xlate_register(base, ARRAY_SIZE(base));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, xlate);
	KUNIT_EXPECT_PTR_EQ(test, virtio_mem_xlate_get(xlate), xlate);
	virtio_mem_xlate_unregister(xlate);

	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, base, ARRAY_SIZE(base)), -ENODEV);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_replace(xlate, base, ARRAY_SIZE(base)), -ENODEV);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_replace(xlate, NULL, 0), -ENODEV);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, base[0].gpa, base[0].size), -ENOENT);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, 0, 0), -ENOENT);
	KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, base[0].gpa), ERR_PTR(-EFAULT));
	virtio_mem_xlate_put(xlate);
}

#if IS_ENABLED(CONFIG_FAILSLAB) && IS_ENABLED(CONFIG_FAULT_INJECTION_DEBUG_FS)
static void *failslab_knob(struct kunit *test, const char *name)
{
	struct dentry *dir, *file;
	void *knob;

	dir = debugfs_lookup("failslab", NULL);
	KUNIT_ASSERT_NOT_NULL(test, dir);
	file = debugfs_lookup(name, dir);
	KUNIT_ASSERT_NOT_NULL(test, file);
	knob = d_inode(file)->i_private;
	dput(file);
	dput(dir);
	return knob;
}

/* Makes the @nth allocation of this task from here on fail, and all after it. */
static void fail_from(struct kunit *test, unsigned int nth)
{
	*(bool *)failslab_knob(test, "ignore-gfp-wait") = false;
	*(bool *)failslab_knob(test, "task-filter") = true;
	*(unsigned long *)failslab_knob(test, "probability") = 100;
	*(unsigned long *)failslab_knob(test, "verbose") = 0;
	atomic_set(failslab_knob(test, "times"), -1);
	current->make_it_fail = true;
	current->fail_nth = nth;
}

/* Ends the injection; returns the number of allocations before the next failure, 0 after one. */
static unsigned int fail_no_more(struct kunit *test)
{
	unsigned int nth = current->fail_nth;

	current->fail_nth = 0;
	current->make_it_fail = false;
	*(unsigned long *)failslab_knob(test, "probability") = 0;
	*(bool *)failslab_knob(test, "ignore-gfp-wait") = true;
	return nth;
}
#else
static void fail_from(struct kunit *test, unsigned int nth)
{
	kunit_skip(test, "needs FAILSLAB and FAULT_INJECTION_DEBUG_FS");
}

static unsigned int fail_no_more(struct kunit *test)
{
	return 1;
}
#endif

/* Fails the first allocation and all after it, then from the second on, and so on. */
static void register_without_memory(struct kunit *test)
{
	struct virtio_mem_xlate *xlate;
	unsigned int nth = 0, left, injected = 0;

	msleep(500);	/* the contexts of earlier tests are freed later */
	register_for_test(test, NULL, 0);	/* the list of contexts now has memory */
	do {
		fail_from(test, ++nth);
		xlate = virtio_mem_xlate_register(base, ARRAY_SIZE(base));
		left = fail_no_more(test);
		if (IS_ERR(xlate)) {
			KUNIT_EXPECT_EQ(test, PTR_ERR(xlate), (long)-ENOMEM);
			KUNIT_EXPECT_EQ(test, left, 0);
			injected++;
			continue;
		}
		EXPECT_BASE(test, xlate);
		virtio_mem_xlate_unregister(xlate);
	} while (!left && nth < 100);
	KUNIT_EXPECT_GE(test, injected, 4);	/* table, context, owner's name, list */
	kunit_info(test, "register: failed for %u allocations\n", injected);
	KUNIT_EXPECT_FALSE(test, IS_ERR(xlate));
}

static const struct {
	const char *name;
	int (*update)(struct virtio_mem_xlate *xlate, const struct virtio_mem_xlate_slot *slots,
		      unsigned int nr_slots);
} allocating_updates[] = {
	{ "add", virtio_mem_xlate_add },
	{ "replace", virtio_mem_xlate_replace },
};

static void update_without_memory(struct kunit *test)
{
	const struct virtio_mem_xlate_slot more = SLOT(0x9000, 0x1000, 0x109000, R);
	struct virtio_mem_xlate *xlate = register_for_test(test, base, ARRAY_SIZE(base));
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(allocating_updates); i++) {
		unsigned int nth = 0, left, injected = 0;
		int ret;

		do {
			fail_from(test, ++nth);
			ret = allocating_updates[i].update(xlate, &more, 1);
			left = fail_no_more(test);
			if (!ret) {
				KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, more.gpa),
						    more.kva);
				ret = virtio_mem_xlate_replace(xlate, base, ARRAY_SIZE(base));
				KUNIT_EXPECT_EQ(test, ret, 0);
				continue;
			}
			KUNIT_EXPECT_EQ(test, ret, -ENOMEM);
			KUNIT_EXPECT_EQ(test, left, 0);
			EXPECT_BASE(test, xlate);
			KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, more.gpa),
					    ERR_PTR(-EFAULT));
			injected++;
		} while (!left && nth < 100);
		KUNIT_EXPECT_GT(test, left, 0);
		KUNIT_EXPECT_GT(test, injected, 0);
		kunit_info(test, "%s: failed for %u allocations\n", allocating_updates[i].name,
			   injected);
	}
}

/* remove() and unregister() allocate nothing (KVM's deletion of a memslot does). */
static void remove_without_memory(struct kunit *test)
{
	struct virtio_mem_xlate *xlate;
	unsigned int i, left;
	int ret;

	xlate = virtio_mem_xlate_register(base, ARRAY_SIZE(base));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, xlate);
	for (i = 0; i < ARRAY_SIZE(base) - 1; i++) {
		fail_from(test, 1);
		ret = virtio_mem_xlate_remove(xlate, base[i].gpa, base[i].size);
		left = fail_no_more(test);
		/* DEBUG_OBJECTS allocates, too. */
		KUNIT_EXPECT_TRUE(test, left == 1 || IS_ENABLED(CONFIG_DEBUG_OBJECTS));
		KUNIT_EXPECT_EQ(test, ret, 0);
		KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, base[i].gpa), ERR_PTR(-EFAULT));
	}
	fail_from(test, 1);
	virtio_mem_xlate_unregister(xlate);
	left = fail_no_more(test);
	KUNIT_EXPECT_TRUE(test, left == 1 || IS_ENABLED(CONFIG_DEBUG_OBJECTS));
}

static struct kunit_case register_cases[] = {
	KUNIT_CASE_PARAM(slot_is_validated, validate_gen_params),
	KUNIT_CASE_PARAM(slots_that_share_a_byte, overlap_gen_params),
	KUNIT_CASE(slots_may_share_host_memory),
	KUNIT_CASE(slots_in_any_order),
	KUNIT_CASE(many_slots_in_any_order),
	KUNIT_CASE(slots_are_copied),
	KUNIT_CASE(no_slots),
	KUNIT_CASE(slots_null),
	KUNIT_CASE(every_number_of_slots),
	KUNIT_CASE(edges_off_by_one),
	KUNIT_CASE(large_slot_among_small_ones),
	KUNIT_CASE_PARAM(remove_is_exact, remove_gen_params),
	KUNIT_CASE(remove_all_then_add),
	KUNIT_CASE(remove_around_a_removed_slot),
	KUNIT_CASE(add_over_a_removed_slot),
	KUNIT_CASE(failing_update_after_remove),
	KUNIT_CASE(too_many_slots),
	KUNIT_CASE(updates_after_unregister),
	KUNIT_CASE(register_without_memory),
	KUNIT_CASE(update_without_memory),
	KUNIT_CASE(remove_without_memory),
	{}
};

static struct kunit_suite register_suite = {
	.name = "virtio_mem_xlate_register",
	.test_cases = register_cases,
};

kunit_test_suite(register_suite);
