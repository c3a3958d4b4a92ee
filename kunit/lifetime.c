// SPDX-License-Identifier: GPL-2.0
/*
 * Who sees which table for how long: views against updates, in one task, in
 * interrupts, and on all processors at once.
 */
#include <linux/completion.h>
#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/irq_work.h>
#include <linux/kthread.h>
#include <linux/moduleparam.h>
#include <linux/random.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "helpers.h"

#define R	VIRTIO_MEM_XLATE_READ
#define RW	VIRTIO_MEM_XLATE_RW

#define GPA	0x1000
#define SIZE	0x100
/* How long the tests that need a race look for one. */
#define RACE_MS	(IS_ENABLED(CONFIG_SMP) ? 2000 : 300)

static ulong race_updates;
module_param(race_updates, ulong, 0444);
MODULE_PARM_DESC(race_updates, "how many updates readers_against_everything does, in 4 minutes at most");

static struct virtio_mem_xlate_slot slot_of(void *kva)
{
	return (struct virtio_mem_xlate_slot){ GPA, SIZE, kva, RW };
}

static void *view_byte(struct virtio_mem_xlate_view *view, u64 gpa)
{
	struct virtio_device_range device;
	int err;

	err = virtio_mem_xlate_range(view, (struct virtio_driver_range){ gpa, 1 }, R, &device);
	return err ? ERR_PTR(err) : virtio_device_range_get(device);
}

static void *filled(struct kunit *test)
{
	void *kva = kunit_kmalloc(test, SIZE, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, kva);
	fill_pattern(kva, GPA, SIZE);
	return kva;
}

/* An update that waits for a view, so it needs a task of its own. */
struct updater {
	int (*update)(struct updater *updater);
	struct virtio_mem_xlate *xlate;
	struct virtio_mem_xlate_slot old, new;
	struct completion done;
	int ret;
};

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
	bool gone;		/* GPA names nothing afterwards, */
	bool moved;		/* or the new memory */
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

/* What a view that is taken now sees: before, or after the update. */
static bool is_published(const struct update_case *c, struct updater *updater)
{
	if (c->gone)
		return translate_byte(updater->xlate, GPA) == ERR_PTR(-EFAULT);
	if (c->moved)
		return translate_byte(updater->xlate, GPA) == updater->new.kva;
	return translate_byte(updater->xlate, GPA + SIZE) == updater->new.kva;
}

/* By every way in: @view has SIZE bytes at GPA, which are at @kva, and no more. */
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
 * A view keeps its table, whatever is published meanwhile; the update returns
 * only when the view is released, and does so then.
 */
static void update_waits_for_the_view(struct kunit *test)
{
	const struct update_case *c = test->param_value;
	struct updater updater = { .update = c->update };
	struct virtio_mem_xlate_slot slots[8];	/* it is the last but one that goes */
	struct virtio_mem_xlate_view old;
	unsigned int ms, i;

	updater.old = slot_of(filled(test));
	for (i = 0; i < ARRAY_SIZE(slots); i++)
		slots[i] = (struct virtio_mem_xlate_slot){ 2 * SIZE * i, SIZE, filled(test), RW };
	slots[6] = updater.old;
	slots[7].gpa = 2 * GPA;
	updater.new = slot_of(filled(test));
	init_completion(&updater.done);
	updater.xlate = virtio_mem_xlate_register(slots, ARRAY_SIZE(slots));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, updater.xlate);
	virtio_mem_xlate_get(updater.xlate);

	virtio_mem_xlate_read_lock(updater.xlate, &old);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, kthread_run(updater_thread, &updater, "updater"));
	for (ms = 0; !is_published(c, &updater) && ms < 10000; ms++)
		fsleep(1000);
	KUNIT_EXPECT_TRUE(test, is_published(c, &updater));

	expect_slot(test, &old, updater.old.kva);

	/* Views taken and released since then make no difference. */
	KUNIT_EXPECT_FALSE(test, wait_for_completion_timeout(&updater.done, HZ / 10));
	expect_slot(test, &old, updater.old.kva);
	virtio_mem_xlate_read_unlock(&old);

	KUNIT_EXPECT_TRUE(test, wait_for_completion_timeout(&updater.done, 20 * HZ));
	KUNIT_EXPECT_EQ(test, updater.ret, 0);
	KUNIT_EXPECT_TRUE(test, is_published(c, &updater));
	if (!c->unregisters)
		virtio_mem_xlate_unregister(updater.xlate);
	virtio_mem_xlate_put(updater.xlate);
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

/* Of large slots and small ones, with holes and without: a view sees all of them or none. */
static void many_slots_removed_at_once(struct kunit *test)
{
	struct updater updater = { .update = update_by_remove };
	const unsigned int nr = REMOVED + 2;
	struct virtio_mem_xlate_slot *slots;
	struct virtio_mem_xlate_view old, new;
	unsigned int ms, i;
	u64 gpa = GPA;

	slots = kunit_kcalloc(test, nr, sizeof(*slots), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, slots);
	for (i = 0; i < nr; i++, gpa += slots[i - 1].size + (i % 5 ? 0 : SIZE))
		slots[i] = (struct virtio_mem_xlate_slot){
			gpa, i % 7 ? SIZE : 64 * SIZE, (void *)0x100000 + gpa, RW };
	updater.old.gpa = slots[1].gpa;
	updater.old.size = slots[nr - 2].gpa + slots[nr - 2].size - slots[1].gpa;
	init_completion(&updater.done);
	updater.xlate = register_for_test(test, slots, nr);

	virtio_mem_xlate_read_lock(updater.xlate, &old);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, kthread_run(updater_thread, &updater, "updater"));
	for (ms = 0; translate_byte(updater.xlate, slots[1].gpa) != ERR_PTR(-EFAULT) &&
	     ms < 10000; ms++)
		fsleep(1000);
	virtio_mem_xlate_read_lock(updater.xlate, &new);
	KUNIT_EXPECT_TRUE(test, sees_no_slot(&new, &slots[1], REMOVED));
	KUNIT_EXPECT_TRUE(test, sees_slots(&new, &slots[0], 1));
	KUNIT_EXPECT_TRUE(test, sees_slots(&new, &slots[nr - 1], 1));
	KUNIT_EXPECT_TRUE(test, sees_slots(&old, slots, nr));
	virtio_mem_xlate_read_unlock(&new);
	KUNIT_EXPECT_FALSE(test, completion_done(&updater.done));
	virtio_mem_xlate_read_unlock(&old);

	KUNIT_EXPECT_TRUE(test, wait_for_completion_timeout(&updater.done, 20 * HZ));
	KUNIT_EXPECT_EQ(test, updater.ret, 0);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(updater.xlate, &slots[1], REMOVED), 0);
	virtio_mem_xlate_read_lock(updater.xlate, &new);
	KUNIT_EXPECT_TRUE(test, sees_slots(&new, slots, nr));
	virtio_mem_xlate_read_unlock(&new);
}

/* An updater that waits does not stop readers, nor another update from being published. */
static void updates_do_not_block_views(struct kunit *test)
{
	struct updater first = { .update = update_by_replace };
	struct updater second = { .update = update_by_remove };
	struct virtio_mem_xlate_view view;
	unsigned int ms;

	first.old = slot_of(filled(test));
	first.new = slot_of(filled(test));
	second.old = first.new;
	init_completion(&first.done);
	init_completion(&second.done);
	first.xlate = register_for_test(test, &first.old, 1);
	second.xlate = first.xlate;

	virtio_mem_xlate_read_lock(first.xlate, &view);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, kthread_run(updater_thread, &first, "updater"));
	for (ms = 0; translate_byte(first.xlate, GPA) != first.new.kva && ms < 10000; ms++)
		fsleep(1000);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, kthread_run(updater_thread, &second, "updater"));
	for (ms = 0; translate_byte(first.xlate, GPA) != ERR_PTR(-EFAULT) && ms < 10000; ms++)
		fsleep(1000);
	KUNIT_EXPECT_PTR_EQ(test, translate_byte(first.xlate, GPA), ERR_PTR(-EFAULT));
	KUNIT_EXPECT_PTR_EQ(test, view_byte(&view, GPA), first.old.kva);
	KUNIT_EXPECT_FALSE(test, completion_done(&first.done));
	KUNIT_EXPECT_FALSE(test, completion_done(&second.done));
	virtio_mem_xlate_read_unlock(&view);
	KUNIT_EXPECT_TRUE(test, wait_for_completion_timeout(&first.done, 20 * HZ));
	KUNIT_EXPECT_TRUE(test, wait_for_completion_timeout(&second.done, 20 * HZ));
	KUNIT_EXPECT_EQ(test, first.ret, 0);
	KUNIT_EXPECT_EQ(test, second.ret, 0);
}

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
	/* Both are released, or this would hang. */
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, GPA, SIZE), 0);
}

/* A back end of two guests: no deadlock, and lockdep must see none. */
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

/* spdk#3132: whoever still holds the context finds no memory, and no crash. */
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
	msleep(20);	/* time to free what must not be freed yet */
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

/* What runs in an interrupt: a whole view, then the last reference. */
struct interrupt {
	struct virtio_mem_xlate *xlate;
	struct irq_work work;
	struct tasklet_struct tasklet;
	struct completion done;
	bool in_hardirq, in_softirq;
	int err;
	u8 bytes[SIZE];
};

static void interrupt_handle(struct interrupt *irq)
{
	struct virtio_mem_xlate_view view;

	irq->in_hardirq = in_hardirq();
	irq->in_softirq = in_serving_softirq();
	virtio_mem_xlate_read_lock(irq->xlate, &view);
	irq->err = virtio_mem_xlate_copy_from(&view, irq->bytes,
					      (struct virtio_driver_range){ GPA, SIZE });
	virtio_mem_xlate_read_unlock(&view);
	virtio_mem_xlate_put(irq->xlate);
	complete(&irq->done);
}

static void interrupt_work(struct irq_work *work)
{
	interrupt_handle(container_of(work, struct interrupt, work));
}

static void interrupt_tasklet(struct tasklet_struct *tasklet)
{
	interrupt_handle(container_of(tasklet, struct interrupt, tasklet));
}

static void interrupt_hardirq(struct interrupt *irq)
{
	irq->work = IRQ_WORK_INIT_HARD(interrupt_work);
	irq_work_queue(&irq->work);
}

static void interrupt_softirq(struct interrupt *irq)
{
	tasklet_setup(&irq->tasklet, interrupt_tasklet);
	tasklet_schedule(&irq->tasklet);
}

static const struct interrupt_case {
	const char *name;
	void (*raise)(struct interrupt *irq);
	bool hardirq;
} interrupt_cases[] = {
	{ "hardirq", interrupt_hardirq, .hardirq = true },
	{ "softirq", interrupt_softirq },
};

static void interrupt_desc(const struct interrupt_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(interrupt, interrupt_cases, interrupt_desc);

/* The interrupt drops @xlate, a reference. */
static void interrupt_run(struct kunit *test, struct interrupt *irq, struct virtio_mem_xlate *xlate)
{
	const struct interrupt_case *c = test->param_value;

	init_completion(&irq->done);
	irq->xlate = xlate;
	c->raise(irq);
	wait_for_completion(&irq->done);
	irq_work_sync(&irq->work);	/* completed, the work still clears its flags */
	KUNIT_EXPECT_EQ(test, irq->in_hardirq, c->hardirq);
	KUNIT_EXPECT_TRUE(test, irq->in_softirq || c->hardirq);	/* which may interrupt one */
}

static void view_in_interrupt(struct kunit *test)
{
	struct virtio_mem_xlate_slot slot = slot_of(filled(test));
	struct virtio_mem_xlate *xlate = register_for_test(test, &slot, 1);
	struct interrupt *irq = kunit_kzalloc(test, sizeof(*irq), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, irq);
	for (i = 0; i < 8; i++) {
		struct virtio_mem_xlate_view view;	/* may be what is interrupted */

		virtio_mem_xlate_read_lock(xlate, &view);
		interrupt_run(test, irq, virtio_mem_xlate_get(xlate));
		virtio_mem_xlate_read_unlock(&view);
		KUNIT_EXPECT_EQ(test, irq->err, 0);
		KUNIT_EXPECT_TRUE(test, is_pattern(irq->bytes, GPA, SIZE));
	}
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, GPA, SIZE), 0);
}

/* RDS, UMEM: freeing may sleep, the last reference goes where nothing may. */
static void last_reference_in_interrupt(struct kunit *test)
{
	struct virtio_mem_xlate_slot slot = slot_of(filled(test));
	struct interrupt *irq = kunit_kzalloc(test, sizeof(*irq), GFP_KERNEL);
	struct virtio_mem_xlate *xlate;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, irq);
	for (i = 0; i < 8; i++) {
		xlate = virtio_mem_xlate_register(&slot, 1);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, xlate);
		virtio_mem_xlate_get(xlate);
		virtio_mem_xlate_unregister(xlate);
		interrupt_run(test, irq, xlate);
		KUNIT_EXPECT_EQ(test, irq->err, -EFAULT);
	}
}

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

/* KVM's last_used_slot, pfncache: nothing may be kept on another processor either. */
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

/*
 * Races: one thread for each processor reads all the time, updaters update, and
 * whatever a reader sees that it must not see is counted.
 */
struct race {
	struct virtio_mem_xlate *xlate;
	void (*read)(struct race *race);
	void (*update)(struct race *race, unsigned int updater);
	unsigned int nr_updaters;
	void *private;
	unsigned long nr_updates;	/* to wait for */

	atomic_t next_updater;
	bool stop;
	atomic_long_t reads, seen, updates, bad;
};

static int race_reader(void *data)
{
	struct race *race = data;

	while (!READ_ONCE(race->stop)) {
		race->read(race);
		atomic_long_inc(&race->reads);
		cond_resched();
	}
	return 0;
}

static int race_updater(void *data)
{
	struct race *race = data;
	unsigned int me = atomic_fetch_inc(&race->next_updater);

	while (!READ_ONCE(race->stop)) {
		race->update(race, me);
		atomic_long_inc(&race->updates);
		cond_resched();
	}
	return 0;
}

/* Nothing that did not happen can have gone wrong. */
static bool race_is_young(struct race *race)
{
	return atomic_long_read(&race->reads) < 100 || atomic_long_read(&race->seen) < 100 ||
	       atomic_long_read(&race->updates) < 100;
}

static void race_run(struct kunit *test, struct race *race)
{
	unsigned int nr_readers = max(num_online_cpus(), 2U), nr = 0, i;
	struct task_struct **tasks;

	tasks = kunit_kcalloc(test, nr_readers + race->nr_updaters, sizeof(*tasks), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, tasks);
	for (i = 0; i < nr_readers + race->nr_updaters; i++) {
		struct task_struct *task;

		task = kthread_create(i < nr_readers ? race_reader : race_updater, race,
				      "xlate-race/%u", i);
		KUNIT_EXPECT_NOT_ERR_OR_NULL(test, task);
		if (IS_ERR(task))
			break;
		get_task_struct(task);
		wake_up_process(task);
		tasks[nr++] = task;
	}
	msleep(RACE_MS);
	for (i = 0; i < 200 && race_is_young(race); i++)
		msleep(100);	/* the machine is busy */
	for (i = 0; i < 2400 && atomic_long_read(&race->updates) < race->nr_updates; i++)
		msleep(100);
	KUNIT_EXPECT_FALSE(test, race_is_young(race));
	WRITE_ONCE(race->stop, true);
	for (i = 0; i < nr; i++) {
		kthread_stop(tasks[i]);
		put_task_struct(tasks[i]);
	}
	kunit_info(test, "%ld reads of which %ld saw a slot, %ld updates\n",
		   atomic_long_read(&race->reads), atomic_long_read(&race->seen),
		   atomic_long_read(&race->updates));
	KUNIT_EXPECT_EQ(test, atomic_long_read(&race->bad), 0);
}

/*
 * Replacing: a table is two slots apart that both hold the number of the table,
 * and old memory is poisoned before it is freed.
 */
#define MARKERS		(SIZE / sizeof(u64))
#define MARKER_POISON	0x6b6b6b6b6b6b6b6bULL

struct generation {
	u64 a[MARKERS], b[MARKERS];
};

static struct generation *generation_new(u64 number)
{
	struct generation *generation = kmalloc(sizeof(*generation), GFP_KERNEL);
	unsigned int i;

	for (i = 0; generation && i < MARKERS; i++) {
		generation->a[i] = number;
		generation->b[i] = number;
	}
	return generation;
}

static void generation_free(struct generation *generation)
{
	memset(generation, MARKER_POISON & 0xff, sizeof(*generation));
	kfree(generation);
}

static void generation_slots(struct generation *generation, struct virtio_mem_xlate_slot *slots)
{
	slots[0] = (struct virtio_mem_xlate_slot){ GPA, SIZE, generation->a, RW };
	slots[1] = (struct virtio_mem_xlate_slot){ 0x100 * GPA, SIZE, generation->b, RW };
}

static bool read_marker(struct virtio_mem_xlate_view *view, u64 gpa, u64 *marker)
{
	struct virtio_driver_range range = { gpa, sizeof(*marker) };

	return !virtio_mem_xlate_copy_from(view, marker, range) && *marker != MARKER_POISON;
}

static void read_generation(struct race *race)
{
	CLASS(virtio_mem_xlate_view, view)(race->xlate);
	u64 first, marker;
	unsigned int i;

	if (!read_marker(&view, GPA, &first)) {
		atomic_long_inc(&race->bad);
		return;
	}
	atomic_long_inc(&race->seen);
	for (i = 0; i < MARKERS; i++)
		if (!read_marker(&view, 0x100 * GPA + i * sizeof(u64), &marker) ||
		    marker != first ||
		    !read_marker(&view, GPA + i * sizeof(u64), &marker) || marker != first)
			atomic_long_inc(&race->bad);
}

static void replace_generation(struct race *race, unsigned int updater)
{
	struct generation *old = race->private, *new = generation_new(old->a[0] + 1);
	struct virtio_mem_xlate_slot slots[2];

	if (!new)
		return;
	generation_slots(new, slots);
	if (virtio_mem_xlate_replace(race->xlate, slots, ARRAY_SIZE(slots))) {
		generation_free(new);
		return;
	}
	race->private = new;
	generation_free(old);
}

static void readers_against_replace(struct kunit *test)
{
	struct race race = {
		.read = read_generation,
		.update = replace_generation,
		.nr_updaters = 1,
		.private = generation_new(1),
	};
	struct virtio_mem_xlate_slot slots[2];

	KUNIT_ASSERT_NOT_NULL(test, race.private);
	generation_slots(race.private, slots);
	race.xlate = virtio_mem_xlate_register(slots, ARRAY_SIZE(slots));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, race.xlate);
	race_run(test, &race);
	virtio_mem_xlate_unregister(race.xlate);
	generation_free(race.private);
}

/*
 * Removing: updater u adds and removes its own slot at GPA * (u + 1), which
 * holds pattern() as long as any reader can have it.
 */
#define NR_ADDERS	2

static void read_added(struct race *race)
{
	struct virtio_mem_xlate_view view;
	struct virtio_device_range device;
	unsigned int i, again;

	virtio_mem_xlate_read_lock(race->xlate, &view);
	for (i = 0; i < NR_ADDERS; i++) {
		struct virtio_driver_range range = { GPA * (i + 1), SIZE };
		int err = virtio_mem_xlate_range(&view, range, R, &device);

		if (!err)
			atomic_long_inc(&race->seen);
		/* What the view has once, it has to the end, and the other way round. */
		for (again = 0; again < 4; again++) {
			if (!err && !is_pattern(virtio_device_range_get(device), range.start, SIZE))
				atomic_long_inc(&race->bad);
			if (virtio_mem_xlate_range(&view, range, R, &device) != err)
				atomic_long_inc(&race->bad);
			cond_resched();
		}
	}
	virtio_mem_xlate_read_unlock(&view);
}

static void add_and_remove(struct race *race, unsigned int updater)
{
	struct virtio_mem_xlate_slot slot = slot_of(kmalloc(SIZE, GFP_KERNEL));

	if (!slot.kva)
		return;
	slot.gpa = GPA * (updater + 1);
	fill_pattern(slot.kva, slot.gpa, SIZE);
	if (virtio_mem_xlate_add(race->xlate, &slot, 1) ||
	    virtio_mem_xlate_remove(race->xlate, slot.gpa, SIZE))
		atomic_long_inc(&race->bad);
	memset(slot.kva, 0x6b, SIZE);
	kfree(slot.kva);
}

static void readers_against_add_and_remove(struct kunit *test)
{
	struct race race = {
		.read = read_added,
		.update = add_and_remove,
		.nr_updaters = NR_ADDERS,
		.xlate = register_for_test(test, NULL, 0),
	};

	race_run(test, &race);
}

/*
 * All at once, so that there are as many updates as can be: places that each
 * updater has for itself, where it replaces the table and now and then the
 * context, and one that all the others add to and remove from.  The words of a
 * slot hold its number, which is one for the two slots of a table.
 */
#define NR_PLACES	9	/* the last is the shared one */
#define NR_SHARERS	24
#define NR_MANY		600	/* slots of a table that takes some pages */

struct place {
	spinlock_t lock;	/* guards @xlate, not what is behind it */
	struct virtio_mem_xlate *xlate;
	u64 *memory;
	u64 number;
};

struct everything {
	struct place places[NR_PLACES];
	struct virtio_mem_xlate_slot many[NR_MANY];
};

static u64 *numbered(u64 number, bool vmapped)
{
	u64 *memory = vmapped ? vmalloc(2 * SIZE) : kmalloc(2 * SIZE, GFP_KERNEL);
	unsigned int i;

	for (i = 0; memory && i < 2 * MARKERS; i++)
		memory[i] = number;
	return memory;
}

static void numbered_free(u64 *memory)
{
	if (memory)
		memset(memory, MARKER_POISON & 0xff, 2 * SIZE);
	kvfree(memory);
}

/* The number that all of a slot holds; 0 if there is no slot, or it does not. */
static u64 read_number(struct race *race, struct virtio_mem_xlate_view *view, u64 gpa)
{
	struct virtio_driver_range range = { gpa, SIZE };
	struct virtio_device_range device;
	const u64 *memory;
	u64 number;
	unsigned int i;
	int err;

	err = virtio_mem_xlate_range(view, range, R, &device);
	if (err) {
		if (err != -EFAULT)
			atomic_long_inc(&race->bad);
		return 0;
	}
	memory = virtio_device_range_array(device, u64, MARKERS);
	number = READ_ONCE(memory[0]);
	for (i = 1; i < MARKERS; i++)
		if (READ_ONCE(memory[i]) != number)
			atomic_long_inc(&race->bad);
	if (!number || number == MARKER_POISON)
		atomic_long_inc(&race->bad);
	atomic_long_inc(&race->seen);
	return number;
}

static void read_everything(struct race *race)
{
	struct everything *all = race->private;
	u32 random = get_random_u32();
	struct place *place = &all->places[random % NR_PLACES];
	bool shared = place == &all->places[NR_PLACES - 1];
	u64 gpa = shared ? GPA * (1 + (random >> 8) % NR_SHARERS) : GPA, a, b;
	struct virtio_mem_xlate *xlate;
	struct virtio_mem_xlate_view view;
	unsigned int i;

	spin_lock(&place->lock);
	xlate = virtio_mem_xlate_get(place->xlate);
	spin_unlock(&place->lock);
	virtio_mem_xlate_read_lock(xlate, &view);
	a = read_number(race, &view, gpa);
	if (random >> 28 == 0)
		usleep_range(50, 200);	/* a holder may sleep */
	for (i = 0; i < 4; i++) {
		b = read_number(race, &view, shared ? gpa : GPA + SIZE);
		if (a != b || (shared && a && a != gpa))
			atomic_long_inc(&race->bad);
	}
	virtio_mem_xlate_read_unlock(&view);
	virtio_mem_xlate_put(xlate);
	if (random >> 30 == 0)
		usleep_range(50, 100);	/* or updaters would get no processor */
}

static void update_shared(struct race *race, struct place *place, u64 gpa, u32 random)
{
	struct virtio_mem_xlate_slot slot = { GPA, SIZE, numbered(gpa, random % 64 == 0), RW };

	slot.gpa = gpa;
	if (!slot.kva || virtio_mem_xlate_add(place->xlate, &slot, 1) ||
	    virtio_mem_xlate_remove(place->xlate, gpa, SIZE))
		atomic_long_inc(&race->bad);
	atomic_long_inc(&race->updates);	/* beside the one that is counted anyway */
	numbered_free(slot.kva);
}

static void update_everything(struct race *race, unsigned int updater)
{
	struct everything *all = race->private;
	struct place *place = &all->places[min(updater, NR_PLACES - 1U)];
	u32 random = get_random_u32();
	struct virtio_mem_xlate_slot slots[2];
	struct virtio_mem_xlate *old, *new;
	u64 *memory;

	if (updater >= NR_PLACES - 1) {
		update_shared(race, place, GPA * (updater - NR_PLACES + 2), random);
		return;
	}
	memory = numbered(++place->number, random % 64 == 0);
	if (!memory) {
		atomic_long_inc(&race->bad);
		return;
	}
	slots[0] = (struct virtio_mem_xlate_slot){ GPA, SIZE, memory, RW };
	slots[1] = (struct virtio_mem_xlate_slot){ GPA + SIZE, SIZE, memory + MARKERS, RW };
	if (random >> 28 == 0) {
		new = virtio_mem_xlate_register(slots, 2);
		if (IS_ERR(new)) {
			atomic_long_inc(&race->bad);
			numbered_free(memory);
			return;
		}
		spin_lock(&place->lock);
		old = place->xlate;
		place->xlate = new;
		spin_unlock(&place->lock);
		virtio_mem_xlate_unregister(old);
	} else if (virtio_mem_xlate_replace(place->xlate, slots, 2) ||
		   (random >> 24 == 0xff &&
		    (virtio_mem_xlate_add(place->xlate, all->many, NR_MANY) ||
		     virtio_mem_xlate_remove(place->xlate, all->many[0].gpa, SIZE)))) {
		atomic_long_inc(&race->bad);
	}
	numbered_free(place->memory);
	place->memory = memory;
}

static void readers_against_everything(struct kunit *test)
{
	struct everything *all = kunit_kzalloc(test, sizeof(*all), GFP_KERNEL);
	struct race race = {
		.read = read_everything,
		.update = update_everything,
		.nr_updaters = NR_PLACES - 1 + NR_SHARERS,
		.private = all,
		.nr_updates = race_updates,
	};
	void *memory = filled(test);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, all);
	for (i = 0; i < NR_MANY; i++)
		all->many[i] = (struct virtio_mem_xlate_slot){ GPA * (i + 2), SIZE, memory, RW };
	for (i = 0; i < NR_PLACES; i++) {
		spin_lock_init(&all->places[i].lock);
		all->places[i].xlate = virtio_mem_xlate_register(NULL, 0);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, all->places[i].xlate);
	}
	race_run(test, &race);
	for (i = 0; i < NR_PLACES; i++) {
		virtio_mem_xlate_unregister(all->places[i].xlate);
		numbered_free(all->places[i].memory);
	}
}

/*
 * RUSTSEC-2020-0157: a byte-wise copy of an aligned field reads half of it old,
 * half of it new.  The updater inverts all bits; every copy must be one or the other.
 */
#define FLIPS	999	/* odd, so that one processor sees both states, too */

struct fields {
	u64 wide;
	u32 word;
	u16 half;
};

static void read_fields(struct race *race)
{
	CLASS(virtio_mem_xlate_view, view)(race->xlate);
	struct fields copy;

	if (virtio_mem_xlate_copy_from(&view, &copy.half, (struct virtio_driver_range){
			GPA + offsetof(struct fields, half), sizeof(copy.half) }) ||
	    virtio_mem_xlate_copy_from(&view, &copy.word, (struct virtio_driver_range){
			GPA + offsetof(struct fields, word), sizeof(copy.word) }) ||
	    virtio_mem_xlate_copy_from(&view, &copy.wide, (struct virtio_driver_range){
			GPA + offsetof(struct fields, wide), sizeof(copy.wide) }))
		atomic_long_inc(&race->bad);
	if ((copy.half && copy.half != U16_MAX) || (copy.word && copy.word != U32_MAX))
		atomic_long_inc(&race->bad);
	if (IS_ENABLED(CONFIG_64BIT) && copy.wide && copy.wide != U64_MAX)
		atomic_long_inc(&race->bad);
	atomic_long_inc(&race->seen);
}

static void invert_directly(struct race *race, unsigned int updater)
{
	struct fields *fields = race->private;
	unsigned int i;

	for (i = 0; i < FLIPS; i++) {
		WRITE_ONCE(fields->half, ~fields->half);
		WRITE_ONCE(fields->word, ~fields->word);
		if (IS_ENABLED(CONFIG_64BIT))
			WRITE_ONCE(*(unsigned long *)&fields->wide, ~(unsigned long)fields->wide);
	}
}

static void invert_by_copy_to(struct race *race, unsigned int updater)
{
	CLASS(virtio_mem_xlate_view, view)(race->xlate);
	struct fields *fields = race->private, new;
	unsigned int i;

	for (i = 0; i < FLIPS; i++) {
		new.half = ~fields->half;
		new.word = ~fields->word;
		new.wide = ~fields->wide;
		if (virtio_mem_xlate_copy_to(&view, (struct virtio_driver_range){
				GPA + offsetof(struct fields, half), sizeof(new.half) },
				&new.half) ||
		    virtio_mem_xlate_copy_to(&view, (struct virtio_driver_range){
				GPA + offsetof(struct fields, word), sizeof(new.word) },
				&new.word) ||
		    virtio_mem_xlate_copy_to(&view, (struct virtio_driver_range){
				GPA + offsetof(struct fields, wide), sizeof(new.wide) },
				&new.wide))
			atomic_long_inc(&race->bad);
	}
}

static void read_fields_directly(struct race *race)
{
	struct fields *fields = race->private;
	unsigned int i;

	for (i = 0; i < FLIPS; i++) {
		u16 half = READ_ONCE(fields->half);
		u32 word = READ_ONCE(fields->word);
		unsigned long wide = READ_ONCE(*(unsigned long *)&fields->wide);

		if ((half && half != U16_MAX) || (word && word != U32_MAX))
			atomic_long_inc(&race->bad);
		if (IS_ENABLED(CONFIG_64BIT) && wide && wide != ULONG_MAX)
			atomic_long_inc(&race->bad);
	}
	atomic_long_inc(&race->seen);
}

static void fields_run(struct kunit *test, struct race race)
{
	struct fields *fields = kunit_kzalloc(test, SIZE, GFP_KERNEL);
	struct virtio_mem_xlate_slot slot = slot_of(fields);

	KUNIT_ASSERT_NOT_NULL(test, fields);
	race.private = fields;
	race.nr_updaters = 1;
	race.xlate = register_for_test(test, &slot, 1);
	race_run(test, &race);
}

static void copy_from_does_not_tear(struct kunit *test)
{
	fields_run(test, (struct race){ .read = read_fields, .update = invert_directly });
}

static void copy_to_does_not_tear(struct kunit *test)
{
	fields_run(test, (struct race){
		.read = read_fields_directly,
		.update = invert_by_copy_to,
	});
}

/*
 * DPDK CVE-2020-14375, bhyve FreeBSD-SA-24:17: a length that is checked, then
 * fetched again.  Ranges go in by value, so what comes out is what was checked.
 */
static void read_flipping_range(struct race *race)
{
	CLASS(virtio_mem_xlate_view, view)(race->xlate);
	struct virtio_driver_range *shared = race->private;
	struct virtio_device_range device;
	struct kvec kvec[1];
	int ret;

	/* data_race(): being changed meanwhile is the point. */
	ret = virtio_mem_xlate_range(&view, data_race(*shared), R, &device);
	if (!ret && virtio_device_range_len(device) > SIZE)
		atomic_long_inc(&race->bad);
	if (!ret)
		atomic_long_inc(&race->seen);
	/* data_race(): as above. */
	ret = virtio_mem_xlate_kvec(&view, data_race(*shared), R, kvec, 1);
	if (ret > 0 && kvec[0].iov_len > SIZE)
		atomic_long_inc(&race->bad);
}

static void flip_range(struct race *race, unsigned int updater)
{
	struct virtio_driver_range *shared = race->private;
	unsigned int i;

	for (i = 0; i < FLIPS; i++)
		WRITE_ONCE(shared->len, shared->len == SIZE ? 16 * SIZE : SIZE);
}

static void range_flipped_while_read(struct kunit *test)
{
	struct virtio_driver_range shared = { GPA, SIZE };
	struct virtio_mem_xlate_slot slot = slot_of(filled(test));
	struct race race = {
		.read = read_flipping_range,
		.update = flip_range,
		.nr_updaters = 1,
		.private = &shared,
		.xlate = register_for_test(test, &slot, 1),
	};

	race_run(test, &race);
}

static struct kunit_case lifetime_cases[] = {
	KUNIT_CASE(views_nest),
	KUNIT_CASE_PARAM(update_waits_for_the_view, update_gen_params),
	KUNIT_CASE(many_slots_removed_at_once),
	KUNIT_CASE(updates_do_not_block_views),
	KUNIT_CASE(update_of_one_context_under_a_view_of_another),
	KUNIT_CASE(memory_may_be_freed_at_once),
	KUNIT_CASE(reference_after_unregister),
	KUNIT_CASE(references_count),
	KUNIT_CASE(many_contexts),
	KUNIT_CASE_PARAM(view_in_interrupt, interrupt_gen_params),
	KUNIT_CASE_PARAM(last_reference_in_interrupt, interrupt_gen_params),
	KUNIT_CASE(nothing_stale_on_any_cpu),
	KUNIT_CASE(readers_against_replace),
	KUNIT_CASE(readers_against_add_and_remove),
	KUNIT_CASE(readers_against_everything),
	KUNIT_CASE(copy_from_does_not_tear),
	KUNIT_CASE(copy_to_does_not_tear),
	KUNIT_CASE(range_flipped_while_read),
	{}
};

static struct kunit_suite lifetime_suite = {
	.name = "virtio_mem_xlate_lifetime",
	.test_cases = lifetime_cases,
};

kunit_test_suite(lifetime_suite);
