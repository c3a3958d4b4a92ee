// SPDX-License-Identifier: GPL-2.0
/*
 * Canaries: one bug for each checker of a debug kernel.  The silence of a checker is evidence
 * only if the checker works, so scripts/debug-kernels.sh first writes the name of each canary
 * to the parameter and expects a report.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kmemleak.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "../virtio_mem_xlate.h"

#define SIZE	0x1000

static u8 see(struct virtio_mem_xlate *xlate, u64 gpa)
{
	CLASS(virtio_mem_xlate_view, view)(xlate);
	struct virtio_device_range device;

	if (virtio_mem_xlate_range(&view, (struct virtio_driver_range){ gpa, 1 },
				   VIRTIO_MEM_XLATE_READ, &device))
		return 0;
	return READ_ONCE(*virtio_device_range_ptr(device, u8));
}

/* KASAN: the owner frees the memory of a slot that is still in the table. */
static void canary_kasan(void)
{
	struct virtio_mem_xlate_slot slot = { 0, SIZE, kmalloc(SIZE, GFP_KERNEL),
					      VIRTIO_MEM_XLATE_RW };
	struct virtio_mem_xlate *xlate = virtio_mem_xlate_register(&slot, 1);

	kfree(slot.kva);
	if (IS_ERR(xlate))
		return;
	see(xlate, SIZE / 2);
	virtio_mem_xlate_unregister(xlate);
}

/* KASAN_VMALLOC: a slot that is longer than its memory. */
static void canary_vmalloc(void)
{
	struct virtio_mem_xlate_slot slot = { 0, SIZE, vmalloc(SIZE - 64), VIRTIO_MEM_XLATE_RW };
	struct virtio_mem_xlate *xlate = virtio_mem_xlate_register(&slot, 1);

	if (!IS_ERR(xlate)) {
		see(xlate, SIZE - 1);
		virtio_mem_xlate_unregister(xlate);
	}
	vfree(slot.kva);
}

/* DEBUG_ATOMIC_SLEEP: an update with preemption off. */
static void canary_sleep(void)
{
	struct virtio_mem_xlate *xlate = virtio_mem_xlate_register(NULL, 0);

	if (IS_ERR(xlate))
		return;
	preempt_disable();
	virtio_mem_xlate_remove(xlate, 0, 1);
	preempt_enable();
	virtio_mem_xlate_unregister(xlate);
}

/* PROVE_RCU: a dereference outside a read section. */
static void canary_rcu(void)
{
	static int __rcu *pointer;

	rcu_dereference(pointer);
}

/* PROVE_LOCKING: two locks, in both orders. */
static void canary_lockdep(void)
{
	static DEFINE_MUTEX(a);
	static DEFINE_MUTEX(b);

	mutex_lock(&a);
	mutex_lock(&b);
	mutex_unlock(&b);
	mutex_unlock(&a);
	mutex_lock(&b);
	mutex_lock(&a);
	mutex_unlock(&a);
	mutex_unlock(&b);
}

static void do_nothing(struct rcu_head *head)
{
}

/* DEBUG_OBJECTS_RCU_HEAD: the same head is queued twice. */
static void canary_objects(void)
{
	static struct rcu_head head;

	rcu_read_lock();
	call_rcu(&head, do_nothing);
	call_rcu(&head, do_nothing);
	rcu_read_unlock();
	rcu_barrier();
}

/* kmemleak: memory without a pointer to it. */
static void canary_kmemleak(void)
{
	unsigned int i;

	for (i = 0; i < 8; i++)	/* a stale register or stack may hide one */
		memset(kmalloc(SIZE / 4, GFP_KERNEL), i, SIZE / 4);
}

/* KCSAN: two threads write a number, without a lock or with a lock that lacks a barrier. */
struct race {
	int number, lock;
	bool locks;
	struct completion done;
};

static noinline void add_under_lock(struct race *race)
{
	if (cmpxchg_acquire(&race->lock, 0, 1))
		return;
	race->number++;
	WRITE_ONCE(race->lock, 0);	/* the bug: not smp_store_release() */
}

static void add_for(struct race *race, unsigned long ticks)
{
	unsigned long end = jiffies + ticks;
	int i;

	while (time_before(jiffies, end)) {
		for (i = 0; i < 1000; i++) {
			if (race->locks)
				add_under_lock(race);
			else
				race->number++;
		}
		cond_resched();
	}
}

static int racer(void *data)
{
	struct race *race = data;

	add_for(race, 3 * HZ);
	complete(&race->done);
	return 0;
}

static void race_with(struct race *race)
{
	struct task_struct *task;

	init_completion(&race->done);
	task = kthread_run(racer, race, "canary");
	if (IS_ERR(task))
		return;
	add_for(race, 2 * HZ);
	wait_for_completion(&race->done);
}

static void canary_kcsan(void)
{
	static struct race race;

	race_with(&race);
}

static void canary_barrier(void)
{
	static struct race race = { .locks = true };

	race_with(&race);
}

static const struct {
	const char *name;
	void (*plant)(void);
} canaries[] = {
	{ "kasan", canary_kasan }, { "vmalloc", canary_vmalloc }, { "sleep", canary_sleep },
	{ "rcu", canary_rcu }, { "lockdep", canary_lockdep }, { "objects", canary_objects },
	{ "kmemleak", canary_kmemleak }, { "kcsan", canary_kcsan }, { "barrier", canary_barrier },
};

static int canary_set(const char *name, const struct kernel_param *param)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(canaries); i++) {
		if (sysfs_streq(name, canaries[i].name)) {
			canaries[i].plant();
			return 0;
		}
	}
	return -EINVAL;
}

static const struct kernel_param_ops canary_ops = { .set = canary_set };

module_param_cb(canary, &canary_ops, NULL, 0200);
MODULE_PARM_DESC(canary, "plants the bug of this name");
