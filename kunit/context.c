// SPDX-License-Identifier: GPL-2.0
/* Contexts: their references, and how many there may be. */
#include <linux/delay.h>

#include "one_slot.h"

/* After unregister, a context that still has a reference has no slot (spdk#3132: a crash). */
static void reference_after_unregister(struct kunit *test)
{
	static const u64 bytes[] = { 0, GPA - 1, GPA, GPA + SIZE - 1, GPA + SIZE, U64_MAX - 1 };
	struct virtio_mem_xlate_slot slot = slot_of(filled(test));
	struct virtio_device_range device;
	struct virtio_mem_xlate *xlate;
	unsigned int i;
	u8 byte;

	xlate = virtio_mem_xlate_register(&slot, 1);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, xlate);
	KUNIT_EXPECT_PTR_EQ(test, virtio_mem_xlate_get(xlate), xlate);
	virtio_mem_xlate_unregister(xlate);
	memset(slot.kva, POISON, SIZE);
	{
		CLASS(virtio_mem_xlate_view, view)(xlate);

		for (i = 0; i < ARRAY_SIZE(bytes); i++) {
			struct virtio_driver_range one = { bytes[i], 1 }, none = { bytes[i], 0 };

			KUNIT_EXPECT_EQ(test, virtio_mem_xlate_range(&view, one, R, &device),
					-EFAULT);
			KUNIT_EXPECT_EQ(test, virtio_mem_xlate_copy_from(&view, &byte, one),
					-EFAULT);
			KUNIT_EXPECT_EQ(test, virtio_mem_xlate_copy_to(&view, one, &byte),
					-EFAULT);
			KUNIT_EXPECT_EQ(test, virtio_mem_xlate_range(&view, none, R, &device), 0);
			KUNIT_EXPECT_TRUE(test, device_range_is_empty(device));
		}
	}
	virtio_mem_xlate_put(xlate);
}

static void references_count(struct kunit *test)
{
	struct virtio_mem_xlate *xlate = virtio_mem_xlate_register(NULL, 0);
	unsigned int i;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, xlate);
	for (i = 0; i < 100; i++)
		KUNIT_EXPECT_PTR_EQ(test, virtio_mem_xlate_get(xlate), xlate);
	virtio_mem_xlate_unregister(xlate);
	msleep(20);	/* time for a mistaken free of the context */
	for (i = 0; i < 100; i++) {
		KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, GPA), ERR_PTR(-EFAULT));
		virtio_mem_xlate_put(xlate);
	}
}

#define NR_CONTEXTS	64

static void many_contexts(struct kunit *test)
{
	struct virtio_mem_xlate **xlates;
	u8 *memory = filled(test);
	unsigned int i, round;

	xlates = kunit_kcalloc(test, NR_CONTEXTS, sizeof(*xlates), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, xlates);
	for (round = 0; round < 4; round++) {
		for (i = 0; i < NR_CONTEXTS; i++) {
			struct virtio_mem_xlate_slot slot = { GPA, 1, memory + i, R };

			xlates[i] = virtio_mem_xlate_register(&slot, 1);
			KUNIT_ASSERT_NOT_ERR_OR_NULL(test, xlates[i]);
		}
		for (i = 0; i < NR_CONTEXTS; i++)
			KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlates[i], GPA),
					    (void *)(memory + i));
		for (i = 0; i < NR_CONTEXTS; i++)
			virtio_mem_xlate_unregister(xlates[i]);
	}
}

static struct kunit_case context_tests[] = {
	KUNIT_CASE(reference_after_unregister),
	KUNIT_CASE(references_count),
	KUNIT_CASE(many_contexts),
	{}
};

static struct kunit_suite context_suite = {
	.name = "virtio_mem_xlate_context",
	.test_cases = context_tests,
};

kunit_test_suite(context_suite);
