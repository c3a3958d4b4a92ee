// SPDX-License-Identifier: GPL-2.0
/*
 * Holds, which keep memory after their view is released, for I/O in flight; and updates that do not
 * wait, with the two ways to wait for readers.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/irq_work.h>
#include <linux/kthread.h>
#include <linux/slab.h>

#include "one_slot.h"

/* One slot, whose memory is the test's, and a task that updates the context. */
struct guest {
	struct virtio_mem_xlate *xlate;
	u8 *old, *new;
	int (*update)(struct guest *guest);
	struct completion done;
	int ret;
};

static int hold_init(struct kunit *test)
{
	struct guest *guest = kunit_kzalloc(test, sizeof(*guest), GFP_KERNEL);
	struct virtio_mem_xlate_slot slot;

	KUNIT_ASSERT_NOT_NULL(test, guest);
	guest->old = filled(test);
	guest->new = filled(test);
	slot = slot_of(guest->old);
	guest->xlate = virtio_mem_xlate_register(&slot, 1);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, guest->xlate);
	init_completion(&guest->done);
	test->priv = guest;
	return 0;
}

static void hold_exit(struct kunit *test)
{
	struct guest *guest = test->priv;

	if (guest->xlate)
		virtio_mem_xlate_unregister(guest->xlate);
}

/* A hold, taken as a back end takes it: under a view that is gone when this returns. */
static void take_hold(struct guest *guest, struct virtio_mem_xlate_hold *hold)
{
	CLASS(virtio_mem_xlate_view, view)(guest->xlate);

	virtio_mem_xlate_hold(&view, hold);
}

static int updater_thread(void *data)
{
	struct guest *guest = data;

	guest->ret = guest->update(guest);
	complete(&guest->done);
	return 0;
}

static void start_update(struct kunit *test, int (*update)(struct guest *guest))
{
	struct guest *guest = test->priv;
	struct task_struct *task;

	guest->update = update;
	reinit_completion(&guest->done);
	task = kthread_run(updater_thread, guest, "hold-updater");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
}

/* Long enough for an update that does not wait to return. */
static bool returns_soon(struct guest *guest)
{
	return wait_for_completion_timeout(&guest->done, msecs_to_jiffies(100));
}

/* The updater's stack is the guest's memory: never leave it behind. */
static void finish(struct guest *guest)
{
	wait_for_completion(&guest->done);
}

static int by_replace(struct guest *guest)
{
	struct virtio_mem_xlate_slot slot = slot_of(guest->new);

	return virtio_mem_xlate_replace(guest->xlate, &slot, 1);
}

static int by_remove(struct guest *guest)
{
	return virtio_mem_xlate_remove(guest->xlate, GPA, SIZE);
}

static int by_unregister(struct guest *guest)
{
	struct virtio_mem_xlate *xlate = guest->xlate;

	guest->xlate = NULL;
	virtio_mem_xlate_unregister(xlate);
	return 0;
}

static int by_add(struct guest *guest)
{
	struct virtio_mem_xlate_slot slot = slot_of(guest->new);

	slot.gpa += SIZE;
	return virtio_mem_xlate_add(guest->xlate, &slot, 1);
}

static int by_synchronize(struct guest *guest)
{
	virtio_mem_xlate_synchronize(guest->xlate);
	return 0;
}

static const struct update_case {
	const char *name;
	int (*update)(struct guest *guest);
	bool waits;
} update_cases[] = {
	{ "replace", by_replace, .waits = true },
	{ "remove", by_remove, .waits = true },
	{ "unregister", by_unregister, .waits = true },
	{ "add", by_add },
	{ "synchronize", by_synchronize },
};

static void update_desc(const struct update_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(update, update_cases, update_desc);

/* What removes memory waits for holds; the rest does not. */
static void updates_and_holds(struct kunit *test)
{
	const struct update_case *c = test->param_value;
	struct guest *guest = test->priv;
	struct virtio_mem_xlate *xlate = virtio_mem_xlate_get(guest->xlate);
	struct virtio_mem_xlate_hold hold;

	take_hold(guest, &hold);
	start_update(test, c->update);
	KUNIT_EXPECT_EQ(test, returns_soon(guest), !c->waits);
	KUNIT_EXPECT_TRUE(test, is_pattern(guest->old, GPA, SIZE));
	virtio_mem_xlate_release(&hold);
	if (c->waits)
		finish(guest);
	KUNIT_EXPECT_EQ(test, guest->ret, 0);
	virtio_mem_xlate_put(xlate);
}

/* A hold under a view of the new table keeps no old memory and delays no update. */
static void later_holds_delay_nobody(struct kunit *test)
{
	struct virtio_mem_xlate_hold hold, later;
	struct guest *guest = test->priv;

	take_hold(guest, &hold);
	start_update(test, by_replace);
	KUNIT_EXPECT_FALSE(test, returns_soon(guest));
	take_hold(guest, &later);
	virtio_mem_xlate_release(&hold);
	KUNIT_EXPECT_TRUE(test, wait_for_completion_timeout(&guest->done, 10 * HZ));
	virtio_mem_xlate_release(&later);
}

struct interrupt {
	struct irq_work work;
	struct virtio_mem_xlate_hold hold;
	bool in_hardirq;
};

static void release_in_interrupt(struct irq_work *work)
{
	struct interrupt *interrupt = container_of(work, struct interrupt, work);

	interrupt->in_hardirq = in_hardirq();
	virtio_mem_xlate_release(&interrupt->hold);
}

/* As a bio's end_io does. */
static void released_in_an_interrupt(struct kunit *test)
{
	struct guest *guest = test->priv;
	struct interrupt *interrupt = kunit_kzalloc(test, sizeof(*interrupt), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, interrupt);
	interrupt->work = IRQ_WORK_INIT_HARD(release_in_interrupt);
	take_hold(guest, &interrupt->hold);
	start_update(test, by_remove);
	KUNIT_EXPECT_FALSE(test, returns_soon(guest));
	irq_work_queue(&interrupt->work);
	irq_work_sync(&interrupt->work);
	KUNIT_EXPECT_TRUE(test, interrupt->in_hardirq);
	KUNIT_EXPECT_TRUE(test, wait_for_completion_timeout(&guest->done, 10 * HZ));
	KUNIT_EXPECT_EQ(test, guest->ret, 0);
}

#define NR_HOLDS	1000

/* Each request in flight has one, and they end in any order. */
static void many_holds(struct kunit *test)
{
	struct virtio_mem_xlate_hold *holds = kunit_kcalloc(test, NR_HOLDS, sizeof(*holds),
							    GFP_KERNEL);
	struct guest *guest = test->priv;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, holds);
	for (i = 0; i < NR_HOLDS; i++)
		take_hold(guest, &holds[i]);
	start_update(test, by_replace);
	for (i = 0; i < NR_HOLDS; i++) {
		if (i == NR_HOLDS - 1)
			KUNIT_EXPECT_FALSE(test, returns_soon(guest));
		virtio_mem_xlate_release(&holds[i * 7 % NR_HOLDS]);
	}
	KUNIT_EXPECT_TRUE(test, wait_for_completion_timeout(&guest->done, 10 * HZ));
}

/* The callback of an update that does not wait: it poisons the memory and counts itself. */
struct retired {
	struct virtio_mem_xlate_callback callback;
	u8 *memory;
	unsigned int *order, nr;
	struct completion done;
};

static void retire(struct virtio_mem_xlate_callback *callback)
{
	struct retired *retired = container_of(callback, struct retired, callback);

	might_sleep();
	if (retired->memory)
		memset(retired->memory, POISON, SIZE);
	retired->nr = ++*retired->order;
	complete(&retired->done);
}

static void call_retire(struct guest *guest, struct retired *retired, unsigned int *order)
{
	retired->order = order;
	init_completion(&retired->done);
	virtio_mem_xlate_call(guest->xlate, &retired->callback, retire);
}

static bool is_retired(struct retired *retired)
{
	return wait_for_completion_timeout(&retired->done, msecs_to_jiffies(100));
}

static int replace_nowait(struct guest *guest)
{
	struct virtio_mem_xlate_slot slot = slot_of(guest->new);

	return virtio_mem_xlate_replace_nowait(guest->xlate, &slot, 1);
}

static int remove_nowait(struct guest *guest)
{
	return virtio_mem_xlate_remove_nowait(guest->xlate, GPA, SIZE);
}

static const struct update_case nowait_cases[] = {
	{ "replace_nowait", replace_nowait },
	{ "remove_nowait", remove_nowait },
};

KUNIT_ARRAY_PARAM(nowait, nowait_cases, update_desc);

/*
 * Returns under a view and a hold.  New views see the change at once.  The callback comes when
 * the old memory is free: when the view is gone and the hold, too.
 */
static void nowait_returns_at_once(struct kunit *test)
{
	const struct update_case *c = test->param_value;
	struct guest *guest = test->priv;
	struct retired retired = { .memory = guest->old };
	const struct virtio_driver_range first = { GPA, 1 };
	struct virtio_mem_xlate_view view;
	struct virtio_mem_xlate_hold hold;
	unsigned int order = 0;
	u8 byte;

	virtio_mem_xlate_read_lock(guest->xlate, &view);
	virtio_mem_xlate_hold(&view, &hold);
	KUNIT_EXPECT_EQ(test, c->update(guest), 0);
	call_retire(guest, &retired, &order);
	if (c->update == remove_nowait)
		KUNIT_EXPECT_PTR_EQ(test, translate_byte(guest->xlate, GPA), ERR_PTR(-EFAULT));
	else
		KUNIT_EXPECT_PTR_EQ(test, translate_byte(guest->xlate, GPA), (void *)guest->new);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_copy_from(&view, &byte, first), 0);
	KUNIT_EXPECT_EQ(test, byte, pattern(GPA));
	KUNIT_EXPECT_FALSE(test, is_retired(&retired));
	virtio_mem_xlate_read_unlock(&view);
	KUNIT_EXPECT_FALSE(test, is_retired(&retired));
	KUNIT_EXPECT_TRUE(test, is_pattern(guest->old, GPA, SIZE));
	virtio_mem_xlate_release(&hold);
	wait_for_completion(&retired.done);
	KUNIT_EXPECT_EQ(test, guest->old[0], POISON);
}

/* An update that is refused changes nothing. */
static void nowait_errors(struct kunit *test)
{
	struct virtio_mem_xlate_slot bad = slot_of(NULL);
	struct guest *guest = test->priv;

	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_replace_nowait(guest->xlate, &bad, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove_nowait(guest->xlate, GPA, SIZE - 1), -ENOENT);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove_nowait(guest->xlate, GPA + 1, SIZE - 1),
			-ENOENT);
	KUNIT_EXPECT_PTR_EQ(test, translate_byte(guest->xlate, GPA), (void *)guest->old);
}

#define NR_CALLS	64

/* Callbacks run once, in the order of their calls, and none is left after unregister. */
static void callbacks_in_order(struct kunit *test)
{
	struct retired *retired = kunit_kcalloc(test, NR_CALLS, sizeof(*retired), GFP_KERNEL);
	struct guest *guest = test->priv;
	struct virtio_mem_xlate_hold hold;
	unsigned int order = 0, i;

	KUNIT_ASSERT_NOT_NULL(test, retired);
	take_hold(guest, &hold);
	for (i = 0; i < NR_CALLS; i++)
		call_retire(guest, &retired[i], &order);
	KUNIT_EXPECT_FALSE(test, is_retired(&retired[0]));
	virtio_mem_xlate_release(&hold);
	by_unregister(guest);
	KUNIT_EXPECT_EQ(test, order, NR_CALLS);
	for (i = 0; i < NR_CALLS; i++)
		KUNIT_EXPECT_EQ(test, retired[i].nr, i + 1);
}

static void free_itself(struct virtio_mem_xlate_callback *callback)
{
	kfree(callback);
}

/* Under a view, and where a callback may free the object that it is part of. */
static void call_from_any_place(struct kunit *test)
{
	struct virtio_mem_xlate_callback *callback;
	struct guest *guest = test->priv;
	unsigned int i;

	for (i = 0; i < 10; i++) {
		CLASS(virtio_mem_xlate_view, view)(guest->xlate);

		callback = kmalloc(sizeof(*callback), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, callback);
		preempt_disable();
		virtio_mem_xlate_call(guest->xlate, callback, free_itself);
		preempt_enable();
	}
}

/* synchronize() waits for views, and for no hold. */
static void synchronize_waits_for_views(struct kunit *test)
{
	struct guest *guest = test->priv;
	struct virtio_mem_xlate_view view;

	virtio_mem_xlate_read_lock(guest->xlate, &view);
	start_update(test, by_synchronize);
	KUNIT_EXPECT_FALSE(test, returns_soon(guest));
	virtio_mem_xlate_read_unlock(&view);
	KUNIT_EXPECT_TRUE(test, wait_for_completion_timeout(&guest->done, 10 * HZ));
}

static struct kunit_case hold_cases[] = {
	KUNIT_CASE_PARAM(updates_and_holds, update_gen_params),
	KUNIT_CASE(later_holds_delay_nobody),
	KUNIT_CASE(released_in_an_interrupt),
	KUNIT_CASE(many_holds),
	KUNIT_CASE_PARAM(nowait_returns_at_once, nowait_gen_params),
	KUNIT_CASE(nowait_errors),
	KUNIT_CASE(callbacks_in_order),
	KUNIT_CASE(call_from_any_place),
	KUNIT_CASE(synchronize_waits_for_views),
	{}
};

static struct kunit_suite hold_suite = {
	.name = "virtio_mem_xlate_hold",
	.init = hold_init,
	.exit = hold_exit,
	.test_cases = hold_cases,
};

kunit_test_suite(hold_suite);
