// SPDX-License-Identifier: GPL-2.0
/* Updates against held views: what a view sees, and when an update returns. */
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/sched/task.h>

#include "one_slot.h"

/* An update that waits for a view, so a thread of its own does it. */
struct updater {
	int (*update)(struct updater *updater);
	struct virtio_mem_xlate *xlate;
	struct virtio_mem_xlate_slot old, new;
	struct task_struct *task;
	struct completion done;
	int ret;
};

static struct updater *updater_new(struct kunit *test, int (*update)(struct updater *updater))
{
	struct updater *updater = kunit_kzalloc(test, sizeof(*updater), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, updater);
	updater->update = update;
	init_completion(&updater->done);
	return updater;
}

static int update_by_replace(struct updater *updater)
{
	return virtio_mem_xlate_replace(updater->xlate, &updater->new, 1);
}

static int update_by_replace_with_none(struct updater *updater)
{
	return virtio_mem_xlate_replace(updater->xlate, NULL, 0);
}

static int update_by_add(struct updater *updater)
{
	struct virtio_mem_xlate_slot next = updater->new;

	next.gpa = GPA + SIZE;
	return virtio_mem_xlate_add(updater->xlate, &next, 1);
}

static int update_by_remove(struct updater *updater)
{
	return virtio_mem_xlate_remove(updater->xlate, updater->old.gpa, updater->old.size);
}

static int update_by_remove_of_two(struct updater *updater)
{
	return virtio_mem_xlate_remove(updater->xlate, updater->old.gpa, GPA + SIZE);
}

static int update_by_unregister(struct updater *updater)
{
	virtio_mem_xlate_unregister(updater->xlate);
	return 0;
}

static const struct update_case {
	const char *name;
	int (*update)(struct updater *updater);
	bool gone;		/* afterwards no slot has the byte at GPA, */
	bool moved;		/* or the slot is in new memory */
	bool unregisters;
} update_cases[] = {
	{ "replace", update_by_replace, .moved = true },
	{ "replace with no slots", update_by_replace_with_none, .gone = true },
	{ "add", update_by_add },
	{ "remove", update_by_remove, .gone = true },
	{ "remove two", update_by_remove_of_two, .gone = true },
	{ "unregister", update_by_unregister, .gone = true, .unregisters = true },
};

static void update_desc(const struct update_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(update, update_cases, update_desc);

static int updater_thread(void *data)
{
	struct updater *updater = data;

	updater->ret = updater->update(updater);
	complete(&updater->done);
	return 0;
}

static void updater_join(struct kunit_resource *res)
{
	struct updater *updater = res->data;

	kthread_stop(updater->task);
	put_task_struct(updater->task);
}

/*
 * Starts the update.  The end of the test waits for the thread before it frees @updater and
 * the context.  May be called under a view, so it must not end the test.
 */
static void updater_start(struct kunit *test, struct updater *updater)
{
	struct task_struct *task = kthread_create(updater_thread, updater, "updater");

	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, task);
	if (IS_ERR(task))
		return;
	updater->task = get_task_struct(task);
	if (!kunit_alloc_resource(test, NULL, updater_join, GFP_KERNEL, updater)) {
		KUNIT_FAIL(test, "no memory for a resource");
		kthread_stop(task);
		put_task_struct(task);
		return;
	}
	wake_up_process(task);
}

/* The update must return soon, without an error.  Call it when no view is held. */
static void updater_expect_success(struct kunit *test, struct updater *updater)
{
	KUNIT_EXPECT_TRUE(test, wait_for_completion_timeout(&updater->done, 20 * HZ));
	KUNIT_EXPECT_EQ(test, READ_ONCE(updater->ret), 0);
}

/* Does a view that is taken now see the update? */
static bool is_published(const struct update_case *c, struct updater *updater)
{
	if (c->gone)
		return translate_byte(updater->xlate, GPA) == ERR_PTR(-EFAULT);
	if (c->moved)
		return translate_byte(updater->xlate, GPA) == updater->new.kva;
	return translate_byte(updater->xlate, GPA + SIZE) == updater->new.kva;
}

/* Every translating function must find the slot at @kva, and no byte before or after it. */
static void expect_slot(struct kunit *test, struct virtio_mem_xlate_view *view, void *kva)
{
	struct virtio_driver_range slot = { GPA, SIZE }, longer = { GPA, SIZE + 1 };
	struct virtio_device_range device;
	u8 bytes[SIZE] = {};
	struct kvec kvec;
	unsigned int i;

	for (i = 0; i < SIZE; i++)
		KUNIT_EXPECT_PTR_EQ(test, view_byte(view, GPA + i), kva + i);
	KUNIT_EXPECT_PTR_EQ(test, view_byte(view, GPA - 1), ERR_PTR(-EFAULT));
	KUNIT_EXPECT_PTR_EQ(test, view_byte(view, GPA + SIZE), ERR_PTR(-EFAULT));

	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_copy_from(view, bytes, slot), 0);
	KUNIT_EXPECT_TRUE(test, is_pattern(bytes, GPA, SIZE));
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_kvec(view, slot, R, &kvec, 1), 1);
	KUNIT_EXPECT_PTR_EQ(test, kvec.iov_base, kva);

	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_copy_from(view, bytes, longer), -EFAULT);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_next(view, &longer, R, &device), 1);
	KUNIT_EXPECT_PTR_EQ(test, virtio_device_range_get(device), kva);
	KUNIT_EXPECT_EQ(test, virtio_device_range_len(device), (size_t)SIZE);
}

/*
 * A held view keeps its table while an update publishes another.  The update returns when the
 * view is released, and not before.
 */
static void update_waits_for_the_view(struct kunit *test)
{
	const struct update_case *c = test->param_value;
	struct updater *updater = updater_new(test, c->update);
	struct virtio_mem_xlate_slot slots[8];	/* the last but one is updated */
	struct virtio_mem_xlate_view old;
	unsigned int i;

	updater->old = slot_of(filled(test));
	for (i = 0; i < ARRAY_SIZE(slots); i++)
		slots[i] = (struct virtio_mem_xlate_slot){ 2 * SIZE * i, SIZE, filled(test), RW };
	slots[6] = updater->old;
	slots[7].gpa = 2 * GPA;
	updater->new = slot_of(filled(test));
	updater->xlate = virtio_mem_xlate_register(slots, ARRAY_SIZE(slots));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, updater->xlate);
	virtio_mem_xlate_get(updater->xlate);

	virtio_mem_xlate_read_lock(updater->xlate, &old);
	updater_start(test, updater);
	KUNIT_EXPECT_TRUE(test, wait_until(is_published(c, updater)));

	expect_slot(test, &old, updater->old.kva);

	/* is_published() took and released views: the update must still wait for the old one. */
	KUNIT_EXPECT_FALSE(test, wait_for_completion_timeout(&updater->done, HZ / 10));
	expect_slot(test, &old, updater->old.kva);
	virtio_mem_xlate_read_unlock(&old);

	updater_expect_success(test, updater);
	KUNIT_EXPECT_TRUE(test, is_published(c, updater));
	if (!c->unregisters)
		virtio_mem_xlate_unregister(updater->xlate);
	virtio_mem_xlate_put(updater->xlate);
}

#define REMOVED	257

static bool sees_slots(struct virtio_mem_xlate_view *view,
		       const struct virtio_mem_xlate_slot *slots, unsigned int nr_slots)
{
	unsigned int i, n = 0;

	for (i = 0; i < nr_slots; i++)
		n += view_byte(view, slots[i].gpa) == slots[i].kva &&
		     view_byte(view, slots[i].gpa + slots[i].size - 1) ==
		     slots[i].kva + slots[i].size - 1;
	return n == nr_slots;
}

static bool sees_no_slot(struct virtio_mem_xlate_view *view,
			 const struct virtio_mem_xlate_slot *slots, unsigned int nr_slots)
{
	unsigned int i, n = 0;

	for (i = 0; i < nr_slots; i++)
		n += view_byte(view, slots[i].gpa) != ERR_PTR(-EFAULT) ||
		     view_byte(view, slots[i].gpa + slots[i].size - 1) != ERR_PTR(-EFAULT);
	return !n;
}

/* The slots are large and small, with and without holes between: a view sees all or none. */
static void many_slots_removed_at_once(struct kunit *test)
{
	struct updater *updater = updater_new(test, update_by_remove);
	const unsigned int nr = REMOVED + 2;
	struct virtio_mem_xlate_slot *slots;
	struct virtio_mem_xlate_view old, new;
	unsigned int i;
	u64 gpa = GPA;

	slots = kunit_kcalloc(test, nr, sizeof(*slots), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, slots);
	for (i = 0; i < nr; i++, gpa += slots[i - 1].size + (i % 5 ? 0 : SIZE))
		slots[i] = (struct virtio_mem_xlate_slot){
			gpa, i % 7 ? SIZE : 64 * SIZE, (void *)0x100000 + gpa, RW };
	updater->old.gpa = slots[1].gpa;
	updater->old.size = slots[nr - 2].gpa + slots[nr - 2].size - slots[1].gpa;
	updater->xlate = register_for_test(test, slots, nr);

	virtio_mem_xlate_read_lock(updater->xlate, &old);
	updater_start(test, updater);
	KUNIT_EXPECT_TRUE(test, wait_until(translate_byte(updater->xlate, slots[1].gpa) ==
					   ERR_PTR(-EFAULT)));
	virtio_mem_xlate_read_lock(updater->xlate, &new);
	KUNIT_EXPECT_TRUE(test, sees_no_slot(&new, &slots[1], REMOVED));
	KUNIT_EXPECT_TRUE(test, sees_slots(&new, &slots[0], 1));
	KUNIT_EXPECT_TRUE(test, sees_slots(&new, &slots[nr - 1], 1));
	KUNIT_EXPECT_TRUE(test, sees_slots(&old, slots, nr));
	virtio_mem_xlate_read_unlock(&new);
	KUNIT_EXPECT_FALSE(test, completion_done(&updater->done));
	virtio_mem_xlate_read_unlock(&old);

	updater_expect_success(test, updater);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(updater->xlate, &slots[1], REMOVED), 0);
	virtio_mem_xlate_read_lock(updater->xlate, &new);
	KUNIT_EXPECT_TRUE(test, sees_slots(&new, slots, nr));
	virtio_mem_xlate_read_unlock(&new);
}

/* While an update waits for a view, others take views and publish updates. */
static void updates_do_not_block_views(struct kunit *test)
{
	struct updater *first = updater_new(test, update_by_replace);
	struct updater *second = updater_new(test, update_by_remove);
	struct virtio_mem_xlate_view view;

	first->old = slot_of(filled(test));
	first->new = slot_of(filled(test));
	second->old = first->new;
	first->xlate = register_for_test(test, &first->old, 1);
	second->xlate = first->xlate;

	virtio_mem_xlate_read_lock(first->xlate, &view);
	updater_start(test, first);
	KUNIT_EXPECT_TRUE(test, wait_until(translate_byte(first->xlate, GPA) == first->new.kva));
	updater_start(test, second);
	KUNIT_EXPECT_TRUE(test, wait_until(translate_byte(first->xlate, GPA) == ERR_PTR(-EFAULT)));
	KUNIT_EXPECT_PTR_EQ(test, view_byte(&view, GPA), first->old.kva);
	KUNIT_EXPECT_FALSE(test, completion_done(&first->done));
	KUNIT_EXPECT_FALSE(test, completion_done(&second->done));
	virtio_mem_xlate_read_unlock(&view);
	updater_expect_success(test, first);
	updater_expect_success(test, second);
}

/* A back end may serve two guests: lockdep must not report a deadlock here. */
static void update_of_one_context_under_a_view_of_another(struct kunit *test)
{
	struct virtio_mem_xlate_slot slot = slot_of(filled(test));
	struct virtio_mem_xlate *a = register_for_test(test, &slot, 1);
	struct virtio_mem_xlate *b = register_for_test(test, &slot, 1);
	struct virtio_mem_xlate_view view;

	virtio_mem_xlate_read_lock(a, &view);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(b, GPA, SIZE), 0);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(b, &slot, 1), 0);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_replace(b, &slot, 1), 0);
	KUNIT_EXPECT_PTR_EQ(test, view_byte(&view, GPA), slot.kva);
	virtio_mem_xlate_read_unlock(&view);
}

static void memory_may_be_freed_at_once(struct kunit *test)
{
	struct virtio_mem_xlate *xlate = register_for_test(test, NULL, 0);
	unsigned int i;

	for (i = 0; i < 32; i++) {
		struct virtio_mem_xlate_slot slot = slot_of(kmalloc(SIZE, GFP_KERNEL));

		KUNIT_ASSERT_NOT_NULL(test, slot.kva);
		fill_pattern(slot.kva, GPA, SIZE);
		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, &slot, 1), 0);
		KUNIT_EXPECT_TRUE(test, is_pattern(translate_byte(xlate, GPA), GPA, SIZE));
		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, GPA, SIZE), 0);
		kfree(slot.kva);
		KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, GPA), ERR_PTR(-EFAULT));
	}
}

static struct virtio_mem_xlate_slot second_slot(void *kva)
{
	return (struct virtio_mem_xlate_slot){ GPA + SIZE, SIZE, kva, RW };
}

/* Memory that goes while the next table is built: no view sees it there. */
static void replace_in_two_steps(struct kunit *test)
{
	struct virtio_mem_xlate_slot old = slot_of(filled(test));
	struct virtio_mem_xlate_slot new[] = { slot_of(filled(test)), second_slot(filled(test)) };
	struct virtio_mem_xlate *xlate = register_for_test(test, &old, 1);
	struct virtio_mem_xlate_table *table;
	struct virtio_mem_xlate_view view;

	table = virtio_mem_xlate_prepare(xlate, new, 2);
	KUNIT_ASSERT_FALSE(test, IS_ERR(table));
	KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, GPA), old.kva);
	KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, GPA + SIZE), ERR_PTR(-EFAULT));
	/* The current table loses its slot; the next one loses another. */
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_set_absent(xlate, GPA, SIZE), 0);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_prepared_absent(table, GPA + SIZE, SIZE), 0);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_prepared_absent(table, GPA, 2 * SIZE), -ENOENT);
	KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, GPA), ERR_PTR(-EAGAIN));

	virtio_mem_xlate_read_lock(xlate, &view);
	virtio_mem_xlate_commit(xlate, table);
	KUNIT_EXPECT_PTR_EQ(test, view_byte(&view, GPA), ERR_PTR(-EAGAIN));
	virtio_mem_xlate_read_unlock(&view);
	KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, GPA), new[0].kva);
	KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, GPA + SIZE), ERR_PTR(-EAGAIN));
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_set_present(xlate, GPA + SIZE, SIZE, new[1].kva, RW),
			0);
	KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, GPA + SIZE), new[1].kva);
}

/* Each change of the table, in place or not, makes a view old. */
static void view_is_current_until_a_change(struct kunit *test)
{
	struct virtio_mem_xlate_slot slots[] = { slot_of(filled(test)), second_slot(filled(test)) };
	struct virtio_mem_xlate *xlate = register_for_test(test, slots, 2);
	struct virtio_mem_xlate_view view;
	unsigned int change;

	for (change = 0; change < 4; change++) {
		virtio_mem_xlate_read_lock(xlate, &view);
		KUNIT_EXPECT_TRUE(test, virtio_mem_xlate_view_is_current(&view));
		KUNIT_EXPECT_PTR_EQ(test, view_byte(&view, GPA + SIZE), slots[1].kva);
		KUNIT_EXPECT_TRUE(test, virtio_mem_xlate_view_is_current(&view));
		switch (change) {
		case 0:
			virtio_mem_xlate_set_absent(xlate, GPA, SIZE);
			break;
		case 1:
			virtio_mem_xlate_set_present(xlate, GPA, SIZE, slots[0].kva, RW);
			break;
		case 2:
			virtio_mem_xlate_remove_nowait(xlate, GPA, SIZE);
			break;
		case 3:
			virtio_mem_xlate_replace_nowait(xlate, slots, 2);
			break;
		}
		KUNIT_EXPECT_FALSE(test, virtio_mem_xlate_view_is_current(&view));
		virtio_mem_xlate_read_unlock(&view);
	}
}

static void next_table_is_given_up(struct kunit *test)
{
	struct virtio_mem_xlate_slot slots[] = { slot_of(filled(test)), slot_of(filled(test)) };
	struct virtio_mem_xlate *xlate = virtio_mem_xlate_register(slots, 1);
	struct virtio_mem_xlate_table *table;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, xlate);
	table = virtio_mem_xlate_prepare(xlate, slots, 2);
	KUNIT_EXPECT_PTR_EQ(test, (void *)table, ERR_PTR(-EEXIST));
	slots[1].size = 0;
	table = virtio_mem_xlate_prepare(xlate, slots + 1, 1);
	KUNIT_EXPECT_PTR_EQ(test, (void *)table, ERR_PTR(-EINVAL));
	table = virtio_mem_xlate_prepare(xlate, NULL, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR(table));
	virtio_mem_xlate_abort(xlate, table);
	KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, GPA), slots[0].kva);
	/* Other updates need not wait any more. */
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_replace(xlate, NULL, 0), 0);

	virtio_mem_xlate_get(xlate);
	virtio_mem_xlate_unregister(xlate);
	table = virtio_mem_xlate_prepare(xlate, slots, 1);
	KUNIT_EXPECT_PTR_EQ(test, (void *)table, ERR_PTR(-ENODEV));
	virtio_mem_xlate_put(xlate);
}

static struct kunit_case update_tests[] = {
	KUNIT_CASE(replace_in_two_steps),
	KUNIT_CASE(view_is_current_until_a_change),
	KUNIT_CASE(next_table_is_given_up),
	KUNIT_CASE_PARAM(update_waits_for_the_view, update_gen_params),
	KUNIT_CASE(many_slots_removed_at_once),
	KUNIT_CASE(updates_do_not_block_views),
	KUNIT_CASE(update_of_one_context_under_a_view_of_another),
	KUNIT_CASE(memory_may_be_freed_at_once),
	{}
};

static struct kunit_suite update_suite = {
	.name = "virtio_mem_xlate_update",
	.test_cases = update_tests,
};

kunit_test_suite(update_suite);
