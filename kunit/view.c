// SPDX-License-Identifier: GPL-2.0
/* Views: they nest, their holders may sleep, and all processors see the current table. */
#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/workqueue.h>

#include "one_slot.h"

static void views_nest(struct kunit *test)
{
	struct virtio_mem_xlate_slot slot = slot_of(filled(test));
	struct virtio_mem_xlate *xlate = register_for_test(test, &slot, 1);
	{
		CLASS(virtio_mem_xlate_view, outer)(xlate);
		{
			CLASS(virtio_mem_xlate_view, inner)(xlate);

			KUNIT_EXPECT_PTR_EQ(test, view_byte(&inner, GPA), slot.kva);
			fsleep(1000);	/* a holder may sleep */
			KUNIT_EXPECT_PTR_EQ(test, view_byte(&outer, GPA), slot.kva);
		}
		KUNIT_EXPECT_PTR_EQ(test, view_byte(&outer, GPA), slot.kva);
	}
	/* remove() would wait for ever if one were still held. */
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, GPA, SIZE), 0);
}

/* One byte, translated on a given processor. */
struct seen {
	struct virtio_mem_xlate *xlate;
	void *byte;
};

static long see_byte(void *data)
{
	struct seen *seen = data;

	seen->byte = translate_byte(seen->xlate, GPA);
	return 0;
}

/* No processor may answer from an old table, as KVM's last_used_slot and pfncache did. */
static void nothing_stale_on_any_cpu(struct kunit *test)
{
	struct virtio_mem_xlate_slot slots[] = { slot_of(filled(test)), slot_of(filled(test)) };
	struct seen seen = { register_for_test(test, NULL, 0) };
	unsigned int i, cpu;

	for (i = 0; i < 8; i++) {
		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_replace(seen.xlate, &slots[i % 2], 1), 0);
		for_each_online_cpu(cpu) {
			work_on_cpu(cpu, see_byte, &seen);
			KUNIT_EXPECT_PTR_EQ(test, seen.byte, slots[i % 2].kva);
		}
		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(seen.xlate, GPA, SIZE), 0);
		for_each_online_cpu(cpu) {
			work_on_cpu(cpu, see_byte, &seen);
			KUNIT_EXPECT_PTR_EQ(test, seen.byte, ERR_PTR(-EFAULT));
		}
	}
}

static struct kunit_case view_tests[] = {
	KUNIT_CASE(views_nest),
	KUNIT_CASE(nothing_stale_on_any_cpu),
	{}
};

static struct kunit_suite view_suite = {
	.name = "virtio_mem_xlate_view",
	.test_cases = view_tests,
};

kunit_test_suite(view_suite);
