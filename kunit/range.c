// SPDX-License-Identifier: GPL-2.0
/* The two range types: no table, no view. */
#include <linux/module.h>

#include "helpers.h"

static const struct virtio_driver_range untouched = { 0xdead, 0xbeef };

static struct virtio_driver_range driver_range(u64 start, u64 len)
{
	return (struct virtio_driver_range){ .start = start, .len = len };
}

static struct virtio_device_range device_range(uintptr_t kva, size_t len, unsigned int access)
{
	return virtio_device_range_new((void *)kva, len, access);
}

static bool device_range_equal(struct virtio_device_range a, struct virtio_device_range b)
{
	return a.kva == b.kva && a.len == b.len && a.access == b.access;
}

#define EXPECT_DRIVER_RANGE(test, range, from, length) \
	KUNIT_EXPECT_TRUE(test, virtio_driver_range_equal(range, driver_range(from, length)))

#define EXPECT_DEVICE_RANGE(test, range, from, length, access) \
	KUNIT_EXPECT_TRUE(test, device_range_equal(range, device_range(from, length, access)))

/* test_split_at of the seed, mem.rs */
static void seed_split_at(struct kunit *test)
{
	struct virtio_driver_range range, head, tail;

	KUNIT_ASSERT_EQ(test, virtio_driver_range_from_bounds(&range, 10, 20), 0);

	KUNIT_EXPECT_EQ(test, virtio_driver_range_split_at(range, 4, &head, &tail), 0);
	EXPECT_DRIVER_RANGE(test, head, 10, 4);
	EXPECT_DRIVER_RANGE(test, tail, 14, 6);

	KUNIT_EXPECT_EQ(test, virtio_driver_range_split_at(range, 9, &head, &tail), 0);
	EXPECT_DRIVER_RANGE(test, head, 10, 9);
	EXPECT_DRIVER_RANGE(test, tail, 19, 1);

	KUNIT_EXPECT_EQ(test, virtio_driver_range_split_at(range, 10, &head, &tail), 0);
	KUNIT_EXPECT_TRUE(test, virtio_driver_range_equal(head, range));
	KUNIT_EXPECT_EQ(test, virtio_driver_range_len(tail), 0);

	KUNIT_EXPECT_EQ(test, virtio_driver_range_split_at(range, 0, &head, &tail), 0);
	KUNIT_EXPECT_EQ(test, virtio_driver_range_len(head), 0);
	KUNIT_EXPECT_TRUE(test, virtio_driver_range_equal(tail, range));
}

/* test_ptr of the seed, mem.rs */
static void seed_ptr(struct kunit *test)
{
	struct virtio_device_range range;

	range = device_range(65, 128 - 65, VIRTIO_MEM_XLATE_RW);
	KUNIT_EXPECT_NULL(test, virtio_device_range_ptr(range, u64));

	range = device_range(64, 128 - 64, VIRTIO_MEM_XLATE_RW);
	KUNIT_EXPECT_NOT_NULL(test, virtio_device_range_ptr(range, u64));

	range = device_range(64, sizeof(u64) - 1, VIRTIO_MEM_XLATE_RW);
	KUNIT_EXPECT_NULL(test, virtio_device_range_ptr(range, u64));
}

static const struct init_case {
	const char *name;
	u64 start, len;
	int err;
} init_cases[] = {
	{ "empty at 0", 0, 0, 0 },
	{ "empty at U64_MAX", U64_MAX, 0, 0 },
	{ "above 4 GiB", 1ULL << 32, 1ULL << 33, 0 },	/* the seed truncates on 32 bits */
	{ "all but the last byte", 0, U64_MAX, 0 },
	{ "last byte that can be named", U64_MAX - 1, 1, 0 },
	{ "one byte too long at the end", U64_MAX, 1, -EOVERFLOW },
	{ "one byte too long from 1", 1, U64_MAX, -EOVERFLOW },
	{ "ends at 2^64", 1ULL << 63, 1ULL << 63, -EOVERFLOW },
	{ "wraps far", U64_MAX, U64_MAX, -EOVERFLOW },	/* openvmm#4047 */
};

static void init_desc(const struct init_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(init, init_cases, init_desc);

static void driver_range_init(struct kunit *test)
{
	const struct init_case *c = test->param_value;
	struct virtio_driver_range range = untouched;

	KUNIT_EXPECT_EQ(test, virtio_driver_range_init(&range, c->start, c->len), c->err);
	if (c->err) {
		KUNIT_EXPECT_TRUE(test, virtio_driver_range_equal(range, untouched));
		return;
	}
	EXPECT_DRIVER_RANGE(test, range, c->start, c->len);
	KUNIT_EXPECT_EQ(test, virtio_driver_range_len(range), c->len);
}

static void driver_range_from_bounds(struct kunit *test)
{
	struct virtio_driver_range range = untouched;

	KUNIT_EXPECT_EQ(test, virtio_driver_range_from_bounds(&range, 5, 4), -EINVAL);
	KUNIT_EXPECT_EQ(test, virtio_driver_range_from_bounds(&range, U64_MAX, 0), -EINVAL);
	KUNIT_EXPECT_TRUE(test, virtio_driver_range_equal(range, untouched));

	KUNIT_EXPECT_EQ(test, virtio_driver_range_from_bounds(&range, 5, 5), 0);
	EXPECT_DRIVER_RANGE(test, range, 5, 0);
	KUNIT_EXPECT_EQ(test, virtio_driver_range_from_bounds(&range, 5, 6), 0);
	EXPECT_DRIVER_RANGE(test, range, 5, 1);
	KUNIT_EXPECT_EQ(test, virtio_driver_range_from_bounds(&range, 0, U64_MAX), 0);
	EXPECT_DRIVER_RANGE(test, range, 0, U64_MAX);
	KUNIT_EXPECT_EQ(test, virtio_driver_range_from_bounds(&range, 1ULL << 32, 3ULL << 32), 0);
	EXPECT_DRIVER_RANGE(test, range, 1ULL << 32, 2ULL << 32);
}

static void driver_range_split_past_end(struct kunit *test)
{
	struct virtio_driver_range head = untouched, tail = untouched;
	struct virtio_driver_range range = driver_range(10, 10);

	KUNIT_EXPECT_EQ(test, virtio_driver_range_split_at(range, 11, &head, &tail), -ERANGE);
	KUNIT_EXPECT_EQ(test, virtio_driver_range_split_at(range, U64_MAX, &head, &tail), -ERANGE);
	KUNIT_EXPECT_EQ(test, virtio_driver_range_split_at(range, (1ULL << 32) + 4, &head, &tail),
			-ERANGE);
	KUNIT_EXPECT_EQ(test, virtio_driver_range_split_at(driver_range(10, 0), 1, &head, &tail),
			-ERANGE);
	KUNIT_EXPECT_TRUE(test, virtio_driver_range_equal(head, untouched));
	KUNIT_EXPECT_TRUE(test, virtio_driver_range_equal(tail, untouched));
}

/* No half may end above U64_MAX, so a range that does cannot be split. */
static void driver_range_split_hand_made(struct kunit *test)
{
	struct virtio_driver_range head = untouched, tail = untouched;
	struct virtio_driver_range range = driver_range(U64_MAX - 1, 3);

	KUNIT_EXPECT_EQ(test, virtio_driver_range_split_at(range, 2, &head, &tail), -EOVERFLOW);
	KUNIT_EXPECT_TRUE(test, virtio_driver_range_equal(head, untouched));
	KUNIT_EXPECT_TRUE(test, virtio_driver_range_equal(tail, untouched));
}

static void driver_range_split_at_the_ends(struct kunit *test)
{
	struct virtio_driver_range range = driver_range(1, U64_MAX - 1), head, tail;

	KUNIT_EXPECT_EQ(test, virtio_driver_range_split_at(range, U64_MAX - 1, &head, &tail), 0);
	KUNIT_EXPECT_TRUE(test, virtio_driver_range_equal(head, range));
	EXPECT_DRIVER_RANGE(test, tail, U64_MAX, 0);

	KUNIT_EXPECT_EQ(test, virtio_driver_range_split_at(tail, 0, &head, &tail), 0);
	EXPECT_DRIVER_RANGE(test, head, U64_MAX, 0);
	EXPECT_DRIVER_RANGE(test, tail, U64_MAX, 0);
}

/* Ranges go in by value, so the halves may overwrite the whole. */
static void split_in_place(struct kunit *test)
{
	struct virtio_device_range device = device_range(64, 10, VIRTIO_MEM_XLATE_READ);
	struct virtio_driver_range driver = driver_range(10, 10), tail;
	struct virtio_device_range device_tail;

	KUNIT_EXPECT_EQ(test, virtio_driver_range_split_at(driver, 4, &driver, &tail), 0);
	EXPECT_DRIVER_RANGE(test, driver, 10, 4);
	EXPECT_DRIVER_RANGE(test, tail, 14, 6);
	KUNIT_EXPECT_EQ(test, virtio_driver_range_split_at(tail, 1, &driver, &tail), 0);
	EXPECT_DRIVER_RANGE(test, driver, 14, 1);
	EXPECT_DRIVER_RANGE(test, tail, 15, 5);

	KUNIT_EXPECT_EQ(test, virtio_device_range_split_at(device, 4, &device, &device_tail), 0);
	EXPECT_DEVICE_RANGE(test, device, 64, 4, VIRTIO_MEM_XLATE_READ);
	EXPECT_DEVICE_RANGE(test, device_tail, 68, 6, VIRTIO_MEM_XLATE_READ);
}

static void driver_range_equal(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, virtio_driver_range_equal(driver_range(1, 2), driver_range(1, 2)));
	KUNIT_EXPECT_FALSE(test, virtio_driver_range_equal(driver_range(1, 2), driver_range(1, 3)));
	KUNIT_EXPECT_FALSE(test, virtio_driver_range_equal(driver_range(1, 2), driver_range(2, 2)));
	KUNIT_EXPECT_FALSE(test, virtio_driver_range_equal(driver_range(1, 0), driver_range(2, 0)));
	KUNIT_EXPECT_FALSE(test, virtio_driver_range_equal(driver_range(1, 2),
							   driver_range((1ULL << 32) + 1, 2)));
}

static void device_range_getters(struct kunit *test)
{
	struct virtio_device_range range = device_range(67, 13, VIRTIO_MEM_XLATE_WRITE);

	KUNIT_EXPECT_PTR_EQ(test, virtio_device_range_get(range), (void *)67);
	KUNIT_EXPECT_EQ(test, virtio_device_range_len(range), (size_t)13);
	EXPECT_DEVICE_RANGE(test, range, 67, 13, VIRTIO_MEM_XLATE_WRITE);
}

static const struct access_case {
	const char *name;
	unsigned int access;
} access_cases[] = {
	{ "read", VIRTIO_MEM_XLATE_READ },
	{ "write", VIRTIO_MEM_XLATE_WRITE },
	{ "read and write", VIRTIO_MEM_XLATE_RW },
};

static void access_desc(const struct access_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(access, access_cases, access_desc);

static void device_range_split_at(struct kunit *test)
{
	unsigned int access = ((const struct access_case *)test->param_value)->access;
	struct virtio_device_range range = device_range(64, 10, access), head, tail;
	size_t offset;

	for (offset = 0; offset <= 10; offset++) {
		KUNIT_EXPECT_EQ(test, virtio_device_range_split_at(range, offset, &head, &tail), 0);
		EXPECT_DEVICE_RANGE(test, head, 64, offset, access);
		EXPECT_DEVICE_RANGE(test, tail, 64 + offset, 10 - offset, access);
	}
	head = range;
	tail = range;
	KUNIT_EXPECT_EQ(test, virtio_device_range_split_at(range, 11, &head, &tail), -ERANGE);
	KUNIT_EXPECT_EQ(test, virtio_device_range_split_at(range, SIZE_MAX, &head, &tail), -ERANGE);
	EXPECT_DEVICE_RANGE(test, head, 64, 10, access);
	EXPECT_DEVICE_RANGE(test, tail, 64, 10, access);
}

static void device_range_ptr_access(struct kunit *test)
{
	unsigned int access = ((const struct access_case *)test->param_value)->access;
	struct virtio_device_range range = device_range(64, 16, access);
	const void *readable = access & VIRTIO_MEM_XLATE_READ ? (void *)64 : NULL;
	void *writable = access & VIRTIO_MEM_XLATE_WRITE ? (void *)64 : NULL;

	KUNIT_EXPECT_PTR_EQ(test, (const void *)virtio_device_range_ptr(range, u64), readable);
	KUNIT_EXPECT_PTR_EQ(test, (const void *)virtio_device_range_array(range, u64, 2), readable);
	KUNIT_EXPECT_PTR_EQ(test, (void *)virtio_device_range_mut_ptr(range, u64), writable);
	KUNIT_EXPECT_PTR_EQ(test, (void *)virtio_device_range_mut_array(range, u64, 2), writable);
}

struct packed_pair {
	u8 a;
	u32 b;
} __packed;

struct aligned_pair {
	u32 a, b;
} __aligned(32);

/* A case for each type: neither a byte too short nor a byte off. */
#define PTR_CASE(name, type)								\
static void device_range_ptr_##name(struct kunit *test)				\
{											\
	struct virtio_device_range range;						\
	uintptr_t i;									\
											\
	for (i = 0; i < __alignof__(type); i++) {					\
		void *want = i ? NULL : (void *)64;					\
											\
		range = device_range(64 + i, sizeof(type), VIRTIO_MEM_XLATE_RW);	\
		KUNIT_EXPECT_PTR_EQ(test, (void *)virtio_device_range_ptr(range, type), want);	\
		KUNIT_EXPECT_PTR_EQ(test, (void *)virtio_device_range_mut_ptr(range, type),	\
				    want);						\
	}										\
	for (i = 0; i < sizeof(type); i++) {						\
		range = device_range(64, i, VIRTIO_MEM_XLATE_RW);			\
		KUNIT_EXPECT_NULL(test, virtio_device_range_ptr(range, type));		\
		KUNIT_EXPECT_NULL(test, virtio_device_range_mut_ptr(range, type));	\
	}										\
}

PTR_CASE(u8, u8)
PTR_CASE(u16, u16)
PTR_CASE(u32, u32)
PTR_CASE(u64, u64)
PTR_CASE(packed, struct packed_pair)
PTR_CASE(aligned, struct aligned_pair)

struct nothing {};

static void device_range_ptr_empty(struct kunit *test)
{
	struct virtio_device_range range = device_range(64, 0, VIRTIO_MEM_XLATE_RW);

	KUNIT_EXPECT_NULL(test, virtio_device_range_ptr(range, u8));
	KUNIT_EXPECT_NULL(test, virtio_device_range_mut_ptr(range, u8));
	KUNIT_EXPECT_NULL(test, virtio_device_range_ptr(range, struct nothing));
	KUNIT_EXPECT_NULL(test, virtio_device_range_mut_ptr(range, struct nothing));
	KUNIT_EXPECT_NULL(test, virtio_device_range_array(range, u64, 0));
	KUNIT_EXPECT_NULL(test, virtio_device_range_mut_array(range, u64, 0));
}

static void device_range_array_bounds(struct kunit *test)
{
	struct virtio_device_range range = device_range(64, 24, VIRTIO_MEM_XLATE_RW);

	KUNIT_EXPECT_NOT_NULL(test, virtio_device_range_array(range, u64, 3));
	KUNIT_EXPECT_NOT_NULL(test, virtio_device_range_mut_array(range, u64, 3));
	KUNIT_EXPECT_NULL(test, virtio_device_range_array(range, u64, 4));
	KUNIT_EXPECT_NULL(test, virtio_device_range_mut_array(range, u64, 4));
	range.len = 23;
	KUNIT_EXPECT_NULL(test, virtio_device_range_array(range, u64, 3));
	KUNIT_EXPECT_NULL(test, virtio_device_range_mut_array(range, u64, 3));
}

/* Each of these counts makes count * sizeof(u64) 0 or 8 where it wraps. */
static void device_range_array_overflow(struct kunit *test)
{
	static const u64 counts[] = {
		1ULL << 29, (1ULL << 29) + 1,	/* 32 bits */
		1ULL << 61, (1ULL << 61) + 1,	/* 64 bits */
		SIZE_MAX, U64_MAX,
	};
	struct virtio_device_range range = device_range(64, 24, VIRTIO_MEM_XLATE_RW);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		KUNIT_EXPECT_NULL(test, virtio_device_range_array(range, u64, counts[i]));
		KUNIT_EXPECT_NULL(test, virtio_device_range_mut_array(range, u64, counts[i]));
	}
}

/* What may only be read cannot be written through its pointer: a matter of types. */
static void device_range_ptr_types(struct kunit *test)
{
	struct virtio_device_range range = device_range(64, 24, VIRTIO_MEM_XLATE_RW);

	BUILD_BUG_ON(!__same_type(virtio_device_range_ptr(range, u32), const u32 *));
	BUILD_BUG_ON(!__same_type(virtio_device_range_array(range, u32, 2), const u32 *));
	BUILD_BUG_ON(!__same_type(virtio_device_range_mut_ptr(range, u32), u32 *));
	BUILD_BUG_ON(!__same_type(virtio_device_range_mut_array(range, u32, 2), u32 *));
	KUNIT_EXPECT_EQ(test, VIRTIO_MEM_XLATE_READ, 1);	/* VHOST_ACCESS_RO */
	KUNIT_EXPECT_EQ(test, VIRTIO_MEM_XLATE_WRITE, 2);	/* VHOST_ACCESS_WO */
	KUNIT_EXPECT_EQ(test, VIRTIO_MEM_XLATE_RW, 3);		/* VHOST_ACCESS_RW */
}

static struct kunit_case range_cases[] = {
	KUNIT_CASE(seed_split_at),
	KUNIT_CASE(seed_ptr),
	KUNIT_CASE_PARAM(driver_range_init, init_gen_params),
	KUNIT_CASE(driver_range_from_bounds),
	KUNIT_CASE(driver_range_split_past_end),
	KUNIT_CASE(driver_range_split_hand_made),
	KUNIT_CASE(driver_range_split_at_the_ends),
	KUNIT_CASE(split_in_place),
	KUNIT_CASE(driver_range_equal),
	KUNIT_CASE(device_range_getters),
	KUNIT_CASE_PARAM(device_range_split_at, access_gen_params),
	KUNIT_CASE_PARAM(device_range_ptr_access, access_gen_params),
	KUNIT_CASE(device_range_ptr_u8),
	KUNIT_CASE(device_range_ptr_u16),
	KUNIT_CASE(device_range_ptr_u32),
	KUNIT_CASE(device_range_ptr_u64),
	KUNIT_CASE(device_range_ptr_packed),
	KUNIT_CASE(device_range_ptr_aligned),
	KUNIT_CASE(device_range_ptr_empty),
	KUNIT_CASE(device_range_array_bounds),
	KUNIT_CASE(device_range_array_overflow),
	KUNIT_CASE(device_range_ptr_types),
	{}
};

static struct kunit_suite range_suite = {
	.name = "virtio_mem_xlate_range",
	.test_cases = range_cases,
};

kunit_test_suite(range_suite);

MODULE_DESCRIPTION("KUnit tests of virtio_mem_xlate");
MODULE_LICENSE("GPL");
