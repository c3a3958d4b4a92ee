// SPDX-License-Identifier: GPL-2.0
/*
 * Absent slots: a stretch of guest memory whose host memory comes and goes, flipped in place, as an
 * MMU notifier needs it.
 */
#include <linux/kthread.h>
#include <linux/delay.h>
#include <linux/slab.h>

#include "helpers.h"

#define ABSENT	VIRTIO_MEM_XLATE_ABSENT
#define GPA	0x200000
#define SIZE	0x10000		/* has direct entries, in a small table */

/* Three slots that touch; the one in the middle flips. */
struct guest {
	struct virtio_mem_xlate *xlate;
	u8 *memory, *other;
};

static int absent_init(struct kunit *test)
{
	struct guest *guest = kunit_kzalloc(test, sizeof(*guest), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, guest);
	guest->memory = kunit_kmalloc(test, 3 * SIZE, GFP_KERNEL);
	guest->other = kunit_kmalloc(test, SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, guest->memory);
	KUNIT_ASSERT_NOT_NULL(test, guest->other);
	{
		const struct virtio_mem_xlate_slot slots[] = {
			{ GPA - SIZE, SIZE, guest->memory, RW },
			{ GPA, SIZE, guest->memory + SIZE, RW },
			{ GPA + SIZE, SIZE, guest->memory + 2 * SIZE, R },
		};

		guest->xlate = register_for_test(test, slots, ARRAY_SIZE(slots));
	}
	test->priv = guest;
	return 0;
}

static int view_range(const struct virtio_mem_xlate_view *view, u64 gpa, u64 len,
		      unsigned int access, struct virtio_device_range *device)
{
	return virtio_mem_xlate_range(view, (struct virtio_driver_range){ gpa, len }, access,
				      device);
}

static int set_present(struct virtio_mem_xlate *xlate, void *kva, unsigned int access)
{
	return virtio_mem_xlate_set_present(xlate, GPA, SIZE, kva, access);
}

static void *view_byte(const struct virtio_mem_xlate_view *view, u64 gpa)
{
	struct virtio_device_range device;
	int err = view_range(view, gpa, 1, R, &device);

	return err ? ERR_PTR(err) : virtio_device_range_get(device);
}

/* -EAGAIN says: ask again when the slot has memory; -EFAULT and -EPERM would be for ever. */
static void a_slot_comes_and_goes(struct kunit *test)
{
	struct guest *guest = test->priv;
	unsigned int i;

	for (i = 0; i < 3; i++) {
		u8 *kva = i % 2 ? guest->other : guest->memory + SIZE;

		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_set_absent(guest->xlate, GPA, SIZE), 0);
		KUNIT_EXPECT_PTR_EQ(test, translate_byte(guest->xlate, GPA), ERR_PTR(-EAGAIN));
		KUNIT_EXPECT_PTR_EQ(test, translate_byte(guest->xlate, GPA + SIZE - 1),
				    ERR_PTR(-EAGAIN));
		KUNIT_EXPECT_PTR_EQ(test, translate_byte(guest->xlate, GPA - 1),
				    (void *)(guest->memory + SIZE - 1));
		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_set_absent(guest->xlate, GPA, SIZE), 0);
		KUNIT_EXPECT_EQ(test, set_present(guest->xlate, kva, RW), 0);
		KUNIT_EXPECT_PTR_EQ(test, translate_byte(guest->xlate, GPA), (void *)kva);
		KUNIT_EXPECT_PTR_EQ(test, translate_byte(guest->xlate, GPA + SIZE - 1),
				    (void *)(kva + SIZE - 1));
		/* With and without direct entries. */
		if (i)
			msleep(50);
		KUNIT_EXPECT_PTR_EQ(test, translate_byte(guest->xlate, GPA + 8), (void *)(kva + 8));
	}
}

/* The access of the memory may be another each time. */
static void access_comes_with_the_memory(struct kunit *test)
{
	struct virtio_device_range device;
	struct guest *guest = test->priv;

	virtio_mem_xlate_set_absent(guest->xlate, GPA, SIZE);
	KUNIT_EXPECT_EQ(test, translate(guest->xlate, GPA, 1, W, &device), -EAGAIN);
	KUNIT_EXPECT_EQ(test, set_present(guest->xlate, guest->other, R), 0);
	KUNIT_EXPECT_EQ(test, translate(guest->xlate, GPA, 1, W, &device), -EPERM);
	KUNIT_EXPECT_EQ(test, translate(guest->xlate, GPA, 1, R, &device), 0);
}

static void errors(struct kunit *test)
{
	struct guest *guest = test->priv;
	struct virtio_mem_xlate *xlate = guest->xlate;
	void *kva = guest->other;

	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_set_absent(xlate, GPA, SIZE - 1), -ENOENT);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_set_absent(xlate, GPA, 2 * SIZE), -ENOENT);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_set_absent(xlate, GPA + 1, SIZE - 1), -ENOENT);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_set_absent(xlate, GPA + 3 * SIZE, SIZE), -ENOENT);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_set_absent(xlate, GPA, 0), -ENOENT);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_set_absent(xlate, U64_MAX, 1), -ENOENT);
	KUNIT_EXPECT_EQ(test, set_present(xlate, kva, RW), -EEXIST);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_set_absent(xlate, GPA, SIZE), 0);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_set_present(xlate, GPA + 1, SIZE, kva, RW), -ENOENT);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_set_present(xlate, GPA, SIZE + 1, kva, RW), -ENOENT);
	KUNIT_EXPECT_EQ(test, set_present(xlate, NULL, RW), -EINVAL);
	KUNIT_EXPECT_EQ(test, set_present(xlate, kva, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, set_present(xlate, kva, ABSENT), -EINVAL);
	KUNIT_EXPECT_EQ(test, set_present(xlate, kva, RW | ABSENT), -EINVAL);
	KUNIT_EXPECT_EQ(test, set_present(xlate, (void *)(UINTPTR_MAX - SIZE + 1), RW), -EINVAL);
	KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, GPA), ERR_PTR(-EAGAIN));
}

/* A table may have absent slots from the start; they have no memory and no other access. */
static void registered_absent(struct kunit *test)
{
	struct virtio_mem_xlate_slot slot = { GPA, SIZE, NULL, ABSENT };
	struct guest *guest = test->priv;
	struct virtio_mem_xlate *xlate = register_for_test(test, &slot, 1);

	KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, GPA), ERR_PTR(-EAGAIN));
	KUNIT_EXPECT_EQ(test, set_present(xlate, guest->other, RW), 0);
	KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, GPA), (void *)guest->other);
	slot.kva = guest->other;
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_replace(xlate, &slot, 1), -EINVAL);
	slot = (struct virtio_mem_xlate_slot){ GPA, SIZE, NULL, ABSENT | R };
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_replace(xlate, &slot, 1), -EINVAL);
	slot = (struct virtio_mem_xlate_slot){ GPA, SIZE, NULL, RW };
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_replace(xlate, &slot, 1), -EINVAL);
	KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, GPA), (void *)guest->other);
}

/* A view of before sees the old memory or nothing; never the new. */
static void no_view_mixes_memory(struct kunit *test)
{
	struct guest *guest = test->priv;
	struct virtio_mem_xlate_view before, between, after;
	struct virtio_mem_xlate_cursor cursor = {};
	const struct virtio_driver_range range = { GPA, 8 };
	struct virtio_device_range device;

	virtio_mem_xlate_read_lock(guest->xlate, &before);
	virtio_mem_xlate_set_absent(guest->xlate, GPA, SIZE);
	KUNIT_EXPECT_PTR_EQ(test, view_byte(&before, GPA), (void *)(guest->memory + SIZE));
	KUNIT_EXPECT_EQ(test, view_range(&before, GPA - SIZE, 2 * SIZE, RW, &device), 0);
	virtio_mem_xlate_read_lock(guest->xlate, &between);
	KUNIT_EXPECT_PTR_EQ(test, view_byte(&between, GPA), ERR_PTR(-EAGAIN));
	set_present(guest->xlate, guest->other, RW);
	KUNIT_EXPECT_PTR_EQ(test, view_byte(&before, GPA), ERR_PTR(-EAGAIN));
	/* It may come to life under a view that has not seen other memory. */
	KUNIT_EXPECT_PTR_EQ(test, view_byte(&between, GPA), (void *)guest->other);
	virtio_mem_xlate_read_lock(guest->xlate, &after);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_cursor_range(&cursor, &after, range, R, &device), 0);
	KUNIT_EXPECT_PTR_EQ(test, virtio_device_range_get(device), (void *)guest->other);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_cursor_range(&cursor, &before, range, R, &device),
			-EAGAIN);
	virtio_mem_xlate_set_absent(guest->xlate, GPA, SIZE);
	KUNIT_EXPECT_PTR_EQ(test, view_byte(&after, GPA), (void *)guest->other);
	KUNIT_EXPECT_PTR_EQ(test, view_byte(&before, GPA), ERR_PTR(-EAGAIN));
	virtio_mem_xlate_read_unlock(&after);
	virtio_mem_xlate_read_unlock(&between);
	virtio_mem_xlate_read_unlock(&before);
}

/* The first inaccessible byte decides, absent or forbidden; bytes behind are not looked at. */
static void the_lowest_byte_decides(struct kunit *test)
{
	struct guest *guest = test->priv;
	struct virtio_device_range device;
	struct virtio_driver_range rest = { GPA - 4, 8 };
	struct kvec kvec[3];

	virtio_mem_xlate_set_absent(guest->xlate, GPA, SIZE);
	KUNIT_EXPECT_EQ(test, translate(guest->xlate, GPA - 4, 4, RW, &device), 0);
	KUNIT_EXPECT_EQ(test, translate(guest->xlate, GPA - 4, 5, RW, &device), -EAGAIN);
	KUNIT_EXPECT_EQ(test, translate(guest->xlate, GPA + SIZE - 1, 2, RW, &device), -EAGAIN);
	KUNIT_EXPECT_EQ(test, translate(guest->xlate, GPA + SIZE, 2, RW, &device), -EPERM);
	{
		CLASS(virtio_mem_xlate_view, view)(guest->xlate);

		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_next(&view, &rest, R, &device), 1);
		KUNIT_EXPECT_EQ(test, virtio_device_range_len(device), 4);
		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_next(&view, &rest, R, &device), -EAGAIN);
		KUNIT_EXPECT_EQ(test, rest.start, GPA);
		rest = (struct virtio_driver_range){ GPA - 4, 8 };
		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_kvec(&view, rest, R, kvec, 1), -EAGAIN);
	}
	/* Neighbours that touch count as one again when the memory is back. */
	set_present(guest->xlate, guest->memory + SIZE, RW);
	KUNIT_EXPECT_EQ(test, translate(guest->xlate, GPA - SIZE, 2 * SIZE, RW, &device), 0);
	KUNIT_EXPECT_EQ(test, translate(guest->xlate, GPA - SIZE, 3 * SIZE, R, &device), 0);
}

/* add() keeps the state of a slot, replace() sets it, remove() takes out absent ones, too. */
static void other_updates(struct kunit *test)
{
	struct guest *guest = test->priv;
	const struct virtio_mem_xlate_slot more = { GPA + 8 * SIZE, SIZE, guest->other, RW };

	virtio_mem_xlate_set_absent(guest->xlate, GPA, SIZE);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(guest->xlate, &more, 1), 0);
	KUNIT_EXPECT_PTR_EQ(test, translate_byte(guest->xlate, GPA), ERR_PTR(-EAGAIN));
	KUNIT_EXPECT_EQ(test, set_present(guest->xlate, guest->other, RW), 0);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(guest->xlate, more.gpa, SIZE), 0);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(guest->xlate, &more, 1), 0);
	KUNIT_EXPECT_PTR_EQ(test, translate_byte(guest->xlate, GPA), (void *)guest->other);
	virtio_mem_xlate_set_absent(guest->xlate, GPA, SIZE);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(guest->xlate, GPA - SIZE, 3 * SIZE), 0);
	KUNIT_EXPECT_PTR_EQ(test, translate_byte(guest->xlate, GPA), ERR_PTR(-EFAULT));
	KUNIT_EXPECT_EQ(test, set_present(guest->xlate, guest->other, RW),
			-ENOENT);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_set_absent(guest->xlate, GPA, SIZE), -ENOENT);
}

struct flipper {
	struct virtio_mem_xlate *xlate;
	struct virtio_mem_xlate_callback callback;
	struct completion freed;
	u8 *memory;
};

static void poison_memory(struct virtio_mem_xlate_callback *callback)
{
	struct flipper *flipper = container_of(callback, struct flipper, callback);

	memset(flipper->memory, POISON, SIZE);
	complete(&flipper->freed);
}

/* As a notifier and a fault handler do: absent, free in the callback, present with other memory. */
static int flip(void *data)
{
	struct flipper *flipper = data;

	while (!kthread_should_stop()) {
		u8 *fresh = kmalloc(SIZE, GFP_KERNEL);

		if (!fresh)
			continue;
		memset(fresh, 0, SIZE);
		virtio_mem_xlate_set_absent(flipper->xlate, GPA, SIZE);
		reinit_completion(&flipper->freed);
		virtio_mem_xlate_call(flipper->xlate, &flipper->callback, poison_memory);
		virtio_mem_xlate_set_present(flipper->xlate, GPA, SIZE, fresh, RW);
		wait_for_completion(&flipper->freed);
		kfree(flipper->memory);
		flipper->memory = fresh;
	}
	return 0;
}

/* Readers see memory that is not free yet, or nothing. */
static void readers_against_a_flipper(struct kunit *test)
{
	struct virtio_mem_xlate_slot slot = { GPA, SIZE, kzalloc(SIZE, GFP_KERNEL), RW };
	struct flipper flipper = { .memory = slot.kva };
	unsigned long until = jiffies + HZ, seen = 0, absent = 0;
	struct task_struct *task;

	KUNIT_ASSERT_NOT_NULL(test, slot.kva);
	init_completion(&flipper.freed);
	flipper.xlate = virtio_mem_xlate_register(&slot, 1);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, flipper.xlate);
	task = kthread_run(flip, &flipper, "flipper");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	while (time_before(jiffies, until)) {
		CLASS(virtio_mem_xlate_view, view)(flipper.xlate);
		u8 *first = view_byte(&view, GPA), *again;

		cond_resched();
		again = view_byte(&view, GPA);
		if (!IS_ERR(first) && !IS_ERR(again) && first != again)
			KUNIT_FAIL(test, "a view saw two memories");
		if (!IS_ERR(first) && READ_ONCE(*first))
			KUNIT_FAIL(test, "a view saw freed memory");
		seen += !IS_ERR(first);
		absent += first == ERR_PTR(-EAGAIN);
	}
	kthread_stop(task);
	virtio_mem_xlate_unregister(flipper.xlate);
	kfree(flipper.memory);
	KUNIT_EXPECT_GT(test, seen, 0);
	kunit_info(test, "%lu seen, %lu absent", seen, absent);
}

static struct kunit_case absent_cases[] = {
	KUNIT_CASE(a_slot_comes_and_goes),
	KUNIT_CASE(access_comes_with_the_memory),
	KUNIT_CASE(errors),
	KUNIT_CASE(registered_absent),
	KUNIT_CASE(no_view_mixes_memory),
	KUNIT_CASE(the_lowest_byte_decides),
	KUNIT_CASE(other_updates),
	KUNIT_CASE(readers_against_a_flipper),
	{}
};

static struct kunit_suite absent_suite = {
	.name = "virtio_mem_xlate_absent",
	.init = absent_init,
	.test_cases = absent_cases,
};

kunit_test_suite(absent_suite);
