// SPDX-License-Identifier: GPL-2.0
/*
 * The dirty log: a bit for each page that the device has written, for a migration.
 */
#include <linux/bitops.h>
#include <linux/slab.h>

#include "helpers.h"

#define PAGE	BIT(VIRTIO_MEM_XLATE_LOG_SHIFT)
#define NR_PAGES	40
#define NR_BITS		100

struct guest {
	struct virtio_mem_xlate *xlate;
	unsigned long bitmap[2][BITS_TO_LONGS(NR_BITS) + 1];
	void *memory;
};

static int log_init(struct kunit *test)
{
	struct guest *guest = kunit_kzalloc(test, sizeof(*guest), GFP_KERNEL);
	struct virtio_mem_xlate_slot slot = { 0, NR_PAGES * PAGE, NULL, RW };

	KUNIT_ASSERT_NOT_NULL(test, guest);
	guest->memory = kunit_kzalloc(test, slot.size, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, guest->memory);
	slot.kva = guest->memory;
	guest->xlate = register_for_test(test, &slot, 1);
	test->priv = guest;
	return 0;
}

static void start_log(struct kunit *test, struct guest *guest, unsigned long *bitmap)
{
	KUNIT_ASSERT_EQ(test, virtio_mem_xlate_log_start(guest->xlate, bitmap, NR_BITS), 0);
}

static void dirty(struct guest *guest, u64 start, u64 len)
{
	CLASS(virtio_mem_xlate_view, view)(guest->xlate);

	virtio_mem_xlate_dirty(&view, (struct virtio_driver_range){ start, len });
}

static int copy_to(const struct virtio_mem_xlate_view *view, u64 start, u64 len, const void *data)
{
	return virtio_mem_xlate_copy_to(view, (struct virtio_driver_range){ start, len }, data);
}

static int copy_from(const struct virtio_mem_xlate_view *view, u64 start, u64 len, void *data)
{
	return virtio_mem_xlate_copy_from(view, data, (struct virtio_driver_range){ start, len });
}

/* Bits @first to @last are set, and no other of the bitmap or behind it. */
static void expect_marks(struct kunit *test, unsigned long *bitmap, unsigned int first,
			 unsigned int last)
{
	unsigned int i;

	for (i = 0; i < NR_BITS + BITS_PER_LONG; i++)
		KUNIT_EXPECT_EQ_MSG(test, !!test_bit_le(i, bitmap), i >= first && i <= last,
				    "bit %u", i);
	memset(bitmap, 0, sizeof(((struct guest *)0)->bitmap[0]));
}

static const struct mark_case {
	const char *name;
	u64 start, len;
	unsigned int first, last;	/* none if @first is larger */
} mark_cases[] = {
	{ "a byte", 5 * PAGE, 1, 5, 5 },
	{ "the last byte of a page", 6 * PAGE - 1, 1, 5, 5 },
	{ "two bytes of two pages", 6 * PAGE - 1, 2, 5, 6 },
	{ "a page", 7 * PAGE, PAGE, 7, 7 },
	{ "across a long", 60 * PAGE, 10 * PAGE, 60, 69 },
	{ "nothing", 5 * PAGE, 0, 1, 0 },
	{ "page 0", 0, 1, 0, 0 },
	{ "up to the last bit", 99 * PAGE, PAGE, 99, 99 },
	{ "beyond the last bit", 99 * PAGE, 3 * PAGE, 99, 99 },
	{ "all of it beyond", 100 * PAGE, PAGE, 1, 0 },
	{ "the last byte there is", U64_MAX, 1, 1, 0 },
	{ "a range that wraps", 98 * PAGE, U64_MAX, 98, 99 },
};

static void mark_desc(const struct mark_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(mark, mark_cases, mark_desc);

static void pages_are_marked(struct kunit *test)
{
	const struct mark_case *c = test->param_value;
	struct guest *guest = test->priv;
	unsigned int twice;

	dirty(guest, c->start, c->len);	/* no log yet */
	start_log(test, guest, guest->bitmap[0]);
	for (twice = 0; twice < 2; twice++) {
		dirty(guest, c->start, c->len);
		if (twice)	/* set already */
			dirty(guest, c->start, c->len);
		expect_marks(test, guest->bitmap[0], c->first, c->last);
	}
	virtio_mem_xlate_log_stop(guest->xlate);
	dirty(guest, c->start, c->len);
	expect_marks(test, guest->bitmap[0], 1, 0);
}

static void copies_mark_by_themselves(struct kunit *test)
{
	struct guest *guest = test->priv;
	static const u8 data[2 * PAGE];

	start_log(test, guest, guest->bitmap[0]);
	{
		CLASS(virtio_mem_xlate_view, view)(guest->xlate);
		u8 byte;

		KUNIT_EXPECT_EQ(test, copy_to(&view, 3 * PAGE + 1, 2 * PAGE, data), 0);
		expect_marks(test, guest->bitmap[0], 3, 5);
		KUNIT_EXPECT_EQ(test, copy_to(&view, 8 * PAGE, 2, data), 0);
		expect_marks(test, guest->bitmap[0], 8, 8);
		/* A copy that fails writes nothing, and a read marks nothing. */
		KUNIT_EXPECT_EQ(test, copy_to(&view, (NR_PAGES - 1) * PAGE, PAGE + 1, data),
				-EFAULT);
		KUNIT_EXPECT_EQ(test, copy_from(&view, 0, 1, &byte), 0);
		expect_marks(test, guest->bitmap[0], 1, 0);
	}
	virtio_mem_xlate_log_stop(guest->xlate);
}

/* Copies that cross slots mark the whole range, too. */
static void copies_across_slots(struct kunit *test)
{
	struct guest *guest = test->priv;
	const struct virtio_mem_xlate_slot slots[] = {
		{ 0, PAGE, guest->memory + PAGE, RW }, { PAGE, PAGE, guest->memory, RW },
	};
	static const u8 data[2 * PAGE];

	start_log(test, guest, guest->bitmap[0]);
	KUNIT_ASSERT_EQ(test, virtio_mem_xlate_replace(guest->xlate, slots, 2), 0);
	{
		CLASS(virtio_mem_xlate_view, view)(guest->xlate);

		KUNIT_EXPECT_EQ(test, copy_to(&view, 0, 2 * PAGE, data), 0);
	}
	expect_marks(test, guest->bitmap[0], 0, 1);
	virtio_mem_xlate_log_stop(guest->xlate);
}

/* Hotplug during a migration: the log stays. */
static void the_log_outlives_tables(struct kunit *test)
{
	struct guest *guest = test->priv;
	struct virtio_mem_xlate_slot slot = { 0, PAGE, guest->memory, RW };
	struct virtio_mem_xlate_slot more = { PAGE, PAGE, guest->memory + PAGE, RW };

	start_log(test, guest, guest->bitmap[0]);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_replace(guest->xlate, &slot, 1), 0);
	dirty(guest, 0, 1);
	expect_marks(test, guest->bitmap[0], 0, 0);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(guest->xlate, &more, 1), 0);
	dirty(guest, PAGE, 1);
	expect_marks(test, guest->bitmap[0], 1, 1);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(guest->xlate, 0, PAGE), 0);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_replace_nowait(guest->xlate, &slot, 1), 0);
	dirty(guest, 0, 1);
	expect_marks(test, guest->bitmap[0], 0, 0);
	virtio_mem_xlate_log_stop(guest->xlate);
}

/* VHOST_SET_LOG_BASE again, with a larger bitmap: replaced in one step, any number of times. */
static void a_log_replaces_another(struct kunit *test)
{
	struct guest *guest = test->priv;
	unsigned int i;

	for (i = 0; i < 5; i++) {
		start_log(test, guest, guest->bitmap[i % 2]);
		dirty(guest, i * PAGE, 1);
		expect_marks(test, guest->bitmap[i % 2], i, i);
		expect_marks(test, guest->bitmap[!(i % 2)], 1, 0);
	}
	virtio_mem_xlate_log_stop(guest->xlate);
	virtio_mem_xlate_log_stop(guest->xlate);
}

static void bad_logs(struct kunit *test)
{
	struct guest *guest = test->priv;

	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_log_start(guest->xlate, NULL, NR_BITS), -EINVAL);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_log_start(guest->xlate, guest->bitmap[0], 0),
			-EINVAL);
	virtio_mem_xlate_log_stop(guest->xlate);
	dirty(guest, 0, 1);
	expect_marks(test, guest->bitmap[0], 1, 0);
}

static struct kunit_case log_cases[] = {
	KUNIT_CASE_PARAM(pages_are_marked, mark_gen_params),
	KUNIT_CASE(copies_mark_by_themselves),
	KUNIT_CASE(copies_across_slots),
	KUNIT_CASE(the_log_outlives_tables),
	KUNIT_CASE(a_log_replaces_another),
	KUNIT_CASE(bad_logs),
	{}
};

static struct kunit_suite log_suite = {
	.name = "virtio_mem_xlate_log",
	.init = log_init,
	.test_cases = log_cases,
};

kunit_test_suite(log_suite);
