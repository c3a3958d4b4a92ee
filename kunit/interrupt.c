// SPDX-License-Identifier: GPL-2.0
/* Views and references in hardware and software interrupts. */
#include <linux/completion.h>
#include <linux/interrupt.h>
#include <linux/irq_work.h>

#include "one_slot.h"

/* The interrupt takes a view, copies the slot, releases the view and puts a reference. */
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

/* Raises the interrupt and waits for it; it puts the caller's reference to @xlate. */
static void interrupt_run(struct kunit *test, struct interrupt *irq,
			  struct virtio_mem_xlate *xlate)
{
	const struct interrupt_case *c = test->param_value;

	init_completion(&irq->done);
	irq->xlate = xlate;
	c->raise(irq);
	wait_for_completion(&irq->done);
	irq_work_sync(&irq->work);	/* after complete(), irq_work still writes to @irq->work */
	KUNIT_EXPECT_EQ(test, irq->in_hardirq, c->hardirq);
	/* A hardirq may interrupt a softirq. */
	KUNIT_EXPECT_TRUE(test, irq->in_softirq || c->hardirq);
}

static void view_in_interrupt(struct kunit *test)
{
	struct virtio_mem_xlate_slot slot = slot_of(filled(test));
	struct virtio_mem_xlate *xlate = register_for_test(test, &slot, 1);
	struct interrupt *irq = kunit_kzalloc(test, sizeof(*irq), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, irq);
	for (i = 0; i < 8; i++) {
		struct virtio_mem_xlate_view view;	/* the interrupt may come under it */

		virtio_mem_xlate_read_lock(xlate, &view);
		interrupt_run(test, irq, virtio_mem_xlate_get(xlate));
		virtio_mem_xlate_read_unlock(&view);
		KUNIT_EXPECT_EQ(test, irq->err, 0);
		KUNIT_EXPECT_TRUE(test, is_pattern(irq->bytes, GPA, SIZE));
	}
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, GPA, SIZE), 0);
}

/* The last put may be in an interrupt, although freeing sleeps (RDS and UMEM had this bug). */
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

static struct kunit_case interrupt_tests[] = {
	KUNIT_CASE_PARAM(view_in_interrupt, interrupt_gen_params),
	KUNIT_CASE_PARAM(last_reference_in_interrupt, interrupt_gen_params),
	{}
};

static struct kunit_suite interrupt_suite = {
	.name = "virtio_mem_xlate_interrupt",
	.test_cases = interrupt_tests,
};

kunit_test_suite(interrupt_suite);
