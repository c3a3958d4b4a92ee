// SPDX-License-Identifier: GPL-2.0
/*
 * Finds the active virtqueues of this machine, and translates their chains without
 * serving them.  The real device completes chains at any time; only the used ring
 * shows which.  A chain that it completes during its translation proves nothing: the
 * driver may have reused its descriptors.  Such a chain is counted as raced.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitmap.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>

#include "demo.h"

static unsigned int rows = 8;
module_param(rows, uint, 0444);
MODULE_PARM_DESC(rows, "number of descriptors of each queue to print; all are counted");

struct count {
	unsigned long views, mixtures, posted, looked, lost;
	unsigned long seen, indirect, translated, raced, failed;
};

struct watch {
	struct list_head node;
	struct queue q;
	char name[48];
	struct task_struct *task;
	/* Bits of the heads in the device's hands, and of those already translated. */
	unsigned long *posted, *looked;
	u16 next_avail, next_used;
	bool lost;
	struct descriptor *chain;
	unsigned int rows;
	struct count count;
};

static LIST_HEAD(watches);

static u16 avail_idx(const struct watch *w, const struct rings *rings)
{
	return virtio16_to_cpu(w->q.vdev, READ_ONCE(rings->avail->idx));
}

static u16 avail_head(const struct watch *w, const struct rings *rings, u16 i)
{
	return virtio16_to_cpu(w->q.vdev, READ_ONCE(rings->avail->ring[i % w->q.ring.num]));
}

static u16 used_idx(const struct watch *w, const struct rings *rings)
{
	return virtio16_to_cpu(w->q.vdev, READ_ONCE(rings->used->idx));
}

static u32 used_head(const struct watch *w, const struct rings *rings, u16 i)
{
	return virtio32_to_cpu(w->q.vdev, READ_ONCE(rings->used->ring[i % w->q.ring.num].id));
}

/* Updates w->posted.  False if the rings have wrapped since the last call. */
static bool catch_up(struct watch *w, const struct rings *rings)
{
	u16 used, avail;
	u32 head;

	used = used_idx(w, rings);
	smp_rmb();	/* used before avail: a completed chain was published before */
	avail = avail_idx(w, rings);
	smp_rmb();	/* the indices before the entries */

	if (w->lost || !w->count.views) {
		/* Start over, at a moment when no chain is posted; at first at any moment. */
		if (w->lost && used != avail)
			return false;
		w->count.lost += w->lost;
		w->next_used = used;
		w->next_avail = used;
		bitmap_zero(w->posted, w->q.ring.num);
	}
	w->lost = true;
	if ((u16)(avail - w->next_avail) > w->q.ring.num ||
	    (u16)(used - w->next_used) > w->q.ring.num)
		return false;

	for (; w->next_avail != avail; w->next_avail++) {
		head = avail_head(w, rings, w->next_avail);
		if (head >= w->q.ring.num)
			return false;
		/* Toggle: since the last call a head may be posted and completed repeatedly. */
		__change_bit(head, w->posted);
		__clear_bit(head, w->looked);
		w->count.posted++;
	}
	for (; w->next_used != used; w->next_used++) {
		head = used_head(w, rings, w->next_used);
		if (head >= w->q.ring.num)
			return false;
		__change_bit(head, w->posted);
	}
	/* The numbers differ if an entry was overwritten before it was read. */
	w->lost = bitmap_weight(w->posted, w->q.ring.num) != (u16)(avail - used);
	return !w->lost;
}

/* Has the device completed @head since catch_up()? */
static bool completed(const struct watch *w, const struct rings *rings, u16 head)
{
	u16 used, i;

	/*
	 * The descriptors before the index: the driver reuses a descriptor only after the
	 * index has moved past its chain.
	 */
	smp_rmb();
	used = used_idx(w, rings);
	smp_rmb();	/* the index before the entries */
	if ((u16)(used - w->next_used) > w->q.ring.num)
		return true;
	for (i = w->next_used; i != used; i++)
		if (used_head(w, rings, i) == head)
			return true;
	return false;
}

static void row_show(const struct watch *w, const char *what, const struct descriptor *d, u64 table)
{
	char slot[16];

	pr_info("%-28s %-12s 0x%09llx %7u %-6s %-4s %p %6u\n", w->name, what, d->gpa, d->len,
		d->access == VIRTIO_MEM_XLATE_READ ? "read" : "write",
		memory_slot_name(table, d->gpa, slot, sizeof(slot)), d->kva, d->pieces);
	if (d->err)
		pr_err("%s: %s failed: %pe\n", w->name, what, ERR_PTR(d->err));
}

static void rings_show(const struct watch *w, const struct rings *rings, u64 table)
{
	const struct ring *ring = &w->q.ring;

	row_show(w, "desc ring", &(struct descriptor){
		.gpa = ring->desc_gpa, .len = array_size(sizeof(*rings->desc), ring->num),
		.pieces = 1, .access = VIRTIO_MEM_XLATE_READ, .kva = (void *)rings->desc }, table);
	row_show(w, "avail ring", &(struct descriptor){
		.gpa = ring->avail_gpa, .len = struct_size(rings->avail, ring, ring->num),
		.pieces = 1, .access = VIRTIO_MEM_XLATE_READ, .kva = (void *)rings->avail }, table);
	row_show(w, "used ring", &(struct descriptor){
		.gpa = ring->used_gpa, .len = struct_size(rings->used, ring, ring->num),
		.pieces = 1, .access = VIRTIO_MEM_XLATE_RW, .kva = (void *)rings->used }, table);
}

static void chain_look(struct watch *w, const struct virtio_mem_xlate_view *view,
		       const struct rings *rings, u16 head, u64 table)
{
	unsigned int n = chain_translate(&w->q, view, head, w->chain);
	bool raced = completed(w, rings, head);
	const struct descriptor *d;
	char what[16];

	w->count.looked++;
	for (d = w->chain; d < w->chain + n; d++) {
		w->count.seen++;
		if (raced) {
			w->count.raced++;
			continue;
		}
		if (d->err)
			w->count.failed++;
		else
			w->count.translated++;
		w->count.indirect += d->indirect && !d->err;
		if (w->rows) {
			snprintf(what, sizeof(what), "%s%u", d->indirect ? "indirect " : "", d->id);
			row_show(w, what, d, table);
			w->rows--;
		}
	}
}

/* As a back end after a kick: one view for all chains. */
static void queue_look(struct watch *w)
{
	CLASS(virtio_mem_xlate_view, view)(xlate);
	u64 table = memory_marker(&view, 0), third = memory_marker(&view, 2);
	struct rings rings;
	unsigned int head;
	int err;

	err = rings_translate(&w->q, &view, &rings);
	if (err && !w->count.failed++)
		pr_err("%s: rings failed: %pe\n", w->name, ERR_PTR(err));
	if (!err && !w->count.views && rows)
		rings_show(w, &rings, table);
	if (!err && catch_up(w, &rings)) {
		for_each_set_bit(head, w->posted, w->q.ring.num)
			if (!__test_and_set_bit(head, w->looked))
				chain_look(w, &view, &rings, head, table);
	}
	/* A view may be held over a sleep.  Updates wait for its release. */
	if (w->count.views++ % 16 == 0)
		usleep_range(20, 50);

	if (!table || table != memory_marker(&view, 1) || third != memory_marker(&view, 2))
		w->count.mixtures++;
}

static int watch_thread(void *data)
{
	/* A real device runs beside the processors of its driver: do not wait for them. */
	sched_set_fifo_low(current);
	while (!kthread_should_stop()) {
		queue_look(data);
		usleep_range(20, 50);
	}
	return 0;
}

static int watch_queue(struct virtio_device *vdev, struct virtqueue *vq)
{
	struct watch *w = kzalloc(sizeof(*w), GFP_KERNEL);

	if (!w)
		return -ENOMEM;
	list_add_tail(&w->node, &watches);
	get_device(&vdev->dev);
	w->q = (struct queue){
		.vdev = vdev,
		.ring.desc_gpa = virtqueue_get_desc_addr(vq),
		.ring.avail_gpa = virtqueue_get_avail_addr(vq),
		.ring.used_gpa = virtqueue_get_used_addr(vq),
		.ring.num = virtqueue_get_vring_size(vq),
		.ring.little_endian = virtio_is_little_endian(vdev),
	};
	snprintf(w->name, sizeof(w->name), "%s %s %s", dev_name(&vdev->dev),
		 vdev->dev.driver->name, vq->name);
	w->rows = rows;
	w->posted = bitmap_zalloc(w->q.ring.num, GFP_KERNEL);
	w->looked = bitmap_zalloc(w->q.ring.num, GFP_KERNEL);
	w->chain = kvcalloc(w->q.ring.num + 1, sizeof(*w->chain), GFP_KERNEL);
	return w->posted && w->looked && w->chain ? 0 : -ENOMEM;
}

static int watch_device(struct device *dev, void *unused)
{
	struct virtio_device *vdev = dev_to_virtio(dev);
	struct virtqueue *vq;
	int err = 0;

	device_lock(dev);	/* keeps the driver bound, and so its virtqueues */
	if (dev->driver && (virtio_has_feature(vdev, VIRTIO_F_RING_PACKED) ||
			    virtio_has_feature(vdev, VIRTIO_F_ACCESS_PLATFORM))) {
		pr_info("%s: left out, its queues are packed or use DMA addresses\n",
			dev_name(dev));
	} else if (dev->driver) {
		list_for_each_entry(vq, &vdev->vqs, list)
			err = err ?: watch_queue(vdev, vq);
	}
	device_unlock(dev);
	return err;
}

static const struct virtio_device_id no_device[] = { {} };

/* Matches no device.  A registered driver has a pointer to the virtio bus. */
static struct virtio_driver bus_finder = {
	.driver.name = KBUILD_MODNAME,
	.id_table = no_device,
};

int watch_start(void)
{
	struct task_struct *task;
	struct watch *w;
	int err;

	err = register_virtio_driver(&bus_finder);
	if (err)
		return err;
	err = bus_for_each_dev(bus_finder.driver.bus, NULL, NULL, watch_device);
	unregister_virtio_driver(&bus_finder);
	if (err)
		return err;

	if (rows)
		pr_info("%-28s %-12s %-11s %7s %-6s %-4s %-16s %6s\n", "queue", "descriptor", "gpa",
			"len", "access", "slot", "kva", "pieces");
	list_for_each_entry(w, &watches, node) {
		task = kthread_run(watch_thread, w, "xlate/%s", w->name);
		if (IS_ERR(task))
			return PTR_ERR(task);
		w->task = task;
	}
	return 0;
}

void watch_stop(void)
{
	struct watch *w;

	list_for_each_entry(w, &watches, node)
		if (w->task)
			kthread_stop(w->task);
}

void watch_free(void)
{
	struct watch *w, *next;

	list_for_each_entry_safe(w, next, &watches, node) {
		put_device(&w->q.vdev->dev);
		bitmap_free(w->posted);
		bitmap_free(w->looked);
		kvfree(w->chain);
		kfree(w);
	}
}

static void count_show(const char *name, const struct count *c)
{
	pr_info("%-28s %7lu %7lu %7lu %11lu %9lu %11lu %6lu %6lu\n", name, c->views, c->posted,
		c->looked, c->seen, c->indirect, c->translated, c->raced, c->failed);
}

bool watch_show(void)
{
	struct count sum = {};
	struct watch *w;

	pr_info("%-28s %7s %7s %7s %11s %9s %11s %6s %6s\n", "queue", "views", "posted", "looked",
		"descriptors", "indirect", "translated", "raced", "failed");
	list_for_each_entry(w, &watches, node) {
		count_show(w->name, &w->count);
		sum.views += w->count.views;
		sum.mixtures += w->count.mixtures;
		sum.posted += w->count.posted;
		sum.looked += w->count.looked;
		sum.lost += w->count.lost + w->lost;
		sum.seen += w->count.seen;
		sum.indirect += w->count.indirect;
		sum.translated += w->count.translated;
		sum.raced += w->count.raced;
		sum.failed += w->count.failed;
	}
	pr_info("%lu chains posted, %lu completed before they could be looked at, lost count %lu times\n",
		sum.posted, sum.posted - sum.looked, sum.lost);
	pr_info("%lu descriptors seen, %lu translated, %lu raced, %lu failed; %lu were indirect\n",
		sum.seen, sum.translated, sum.raced, sum.failed, sum.indirect);
	pr_info("%lu views, %lu saw a mixture\n", sum.views, sum.mixtures);
	return sum.translated && !sum.failed && !sum.mixtures;
}
