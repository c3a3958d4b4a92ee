// SPDX-License-Identifier: GPL-2.0
/*
 * A virtqueue and its worker.  The worker sleeps until the driver kicks; only submission of bios
 * makes it wait otherwise, and then without the lock.
 */
#include <linux/slab.h>

#include "disk.h"

/* After a mistake of the driver: the device needs a reset (virtio 1.2, 2.1.2). */
static void queue_break(struct queue *q, int err)
{
	pr_debug_ratelimited("%s: queue stopped at %u: %pe\n", dev_name(&q->disk->vdpa.dev),
			     q->ring.last_avail, ERR_PTR(err));
	q->running = false;
	q->nr_stopped++;
	disk_break(q->disk);
}

/*
 * The ring stays translated as long as the queue has a reference to the memory.  (A hold would
 * be kept too long: callbacks wait for it.)  Returns the memory of before, for memory_put().
 */
static struct memory *queue_map(struct queue *q, const struct virtio_mem_xlate_view *view)
{
	struct memory *old = q->memory;
	int err = ring_translate(&q->ring, view);

	q->memory = err ? NULL : memory_get(q->disk);
	if (err)
		queue_break(q, err);
	return old;
}

/* After an update: the ring may be at another address, or gone. */
void queue_remap(struct queue *q)
{
	CLASS(virtio_mem_xlate_view, view)(q->disk->xlate);
	struct memory *old = NULL;

	scoped_guard(spinlock_irq, &q->lock)
		if (q->memory)
			old = queue_map(q, &view);
	memory_put(old);
}

/* Signals the driver if it has asked for that. */
static void queue_signal(struct queue *q)
{
	struct vdpa_callback call = {};

	scoped_guard(spinlock_irqsave, &q->lock)
		if (q->memory && ring_wants_signal(&q->ring))
			call = q->call;
	if (call.callback)
		call.callback(call.private);
}

/* Under the lock: takes a chain, with copies of its buffers.  Returns 1, 0 or an error. */
static int queue_take(struct queue *q, const struct virtio_mem_xlate_view *view,
		      struct disk_request **req, struct buffers *out, struct buffers *in)
{
	struct buffer buffer;
	struct chain chain;
	u16 head;
	int ret;

	if (!q->running)
		return 0;
	q->full = q->in_flight == q->ring.num;
	if (q->full)
		return 0;
	ret = ring_next(&q->ring, view, 0, &head);
	if (!ret && ring_enable_kick(&q->ring))
		ret = ring_next(&q->ring, view, 0, &head);
	if (ret > 0) {
		chain_start(&chain, &q->ring, head);
		while ((ret = chain_next(&chain, view, &buffer)) > 0) {
			struct buffers *to = buffer.access == VIRTIO_MEM_XLATE_READ ? out : in;

			q->buffers[chain.nr - 1] = buffer;
			if (!to->nr++)
				to->next = &q->buffers[chain.nr - 1];
			to->len += virtio_driver_range_len(buffer.range);
		}
		ret = ret ?: 1;
	}
	if (ret < 0 && ret != -ESTALE)
		queue_break(q, ret);
	if (ret <= 0)
		return ret;

	ring_take(&q->ring, 1);
	*req = list_first_entry(&q->free, struct disk_request, node);
	list_del(&(*req)->node);
	(*req)->head = head;
	q->nr_requests++;
	q->max_in_flight = max(q->max_in_flight, ++q->in_flight);
	return 1;
}

static int queue_serve(struct queue *q)
{
	CLASS(virtio_mem_xlate_view, view)(q->disk->xlate);
	struct buffers out = {}, in = {};
	struct disk_request *req;
	int ret = 0;

	scoped_guard(spinlock_irq, &q->lock)
		ret = queue_take(q, &view, &req, &out, &in);
	/* The next call has a view that is as new as the chain. */
	if (ret == -ESTALE)
		return 1;
	if (ret <= 0)
		return ret;
	virtio_mem_xlate_hold(&view, &req->hold);
	ret = request_serve(req, &view, &out, &in);
	if (!ret)
		return 1;
	scoped_guard(spinlock_irq, &q->lock)
		queue_break(q, ret);
	return ret;
}

static void queue_run(struct kthread_work *work)
{
	struct queue *q = container_of(work, struct queue, work);
	struct blk_plug plug;

	blk_start_plug(&plug);
	while (queue_serve(q) > 0)
		cond_resched();
	blk_finish_plug(&plug);
	queue_signal(q);
}

/* Context: any, also with interrupts off. */
void queue_kick(struct queue *q)
{
	kthread_queue_work(q->worker, &q->work);
}

/* Once @in_flight is 0, and the lock released, the queue may be freed. */
static void queue_retire(struct queue *q, struct disk_request *req)
{
	list_add(&req->node, &q->free);
	if (!--q->in_flight)
		wake_up(&q->idle);
	if (q->full)
		queue_kick(q);
}

static u8 status_of(blk_status_t error)
{
	switch (error) {
	case BLK_STS_OK:
		return VIRTIO_BLK_S_OK;
	case BLK_STS_NOTSUPP:
		return VIRTIO_BLK_S_UNSUPP;
	}
	return VIRTIO_BLK_S_IOERR;
}

/*
 * Returns a request to the driver.
 * Context: any.  In the worker, queue_run() signals for a batch.
 */
void queue_return(struct disk_request *req)
{
	struct queue *q = req->queue;
	struct vdpa_callback call = {};

	scoped_guard(spinlock_irqsave, &q->lock) {
		if (req->status && q->memory) {
			q->nr_errors += !!req->error;
			WRITE_ONCE(*req->status, status_of(req->error));
			ring_fill_used(&q->ring, 0, req->head, req->written);
			ring_publish_used(&q->ring, 1);
			if (!(in_task() && current == q->worker->task) &&
			    ring_wants_signal(&q->ring))
				call = q->call;
		}
		virtio_mem_xlate_release(&req->hold);
		if (!call.callback)
			queue_retire(q, req);
	}
	if (!call.callback)
		return;
	call.callback(call.private);
	scoped_guard(spinlock_irqsave, &q->lock)
		queue_retire(q, req);
}

/* Starts, or goes on after queue_stop(). */
void queue_start(struct queue *q)
{
	CLASS(virtio_mem_xlate_view, view)(q->disk->xlate);
	struct vdpa_callback call = {};

	scoped_guard(spinlock_irq, &q->lock) {
		/* QEMU enables queues that its guest has not set up. */
		if (!q->ring.avail_gpa && !q->ring.used_gpa)
			return;
		if (!q->memory) {
			queue_map(q, &view);
			if (!q->memory)
				return;
			ring_start(&q->ring);
		}
		q->running = true;
		call = q->call;
	}
	/* The previous device may have left requests, and entries without a signal. */
	if (call.callback)
		call.callback(call.private);
	queue_kick(q);
}

static bool queue_is_idle(struct queue *q)
{
	bool idle = false;

	scoped_guard(spinlock_irq, &q->lock)
		idle = !q->in_flight;
	return idle;
}

/* Returns when all requests have ended. */
void queue_stop(struct queue *q)
{
	scoped_guard(spinlock_irq, &q->lock)
		q->running = false;
	kthread_flush_work(&q->work);
	wait_event(q->idle, queue_is_idle(q));
}

void queue_reset(struct queue *q)
{
	struct memory *old;

	queue_stop(q);
	scoped_guard(spinlock_irq, &q->lock) {
		old = q->memory;
		q->memory = NULL;
		q->ready = false;
		q->call = (struct vdpa_callback){};
		q->ring = (struct ring){ .num = QUEUE_SIZE, .little_endian = true };
	}
	memory_put(old);
}

int queue_init(struct queue *q, struct disk *disk, unsigned int index)
{
	unsigned int i;

	q->disk = disk;
	spin_lock_init(&q->lock);
	INIT_LIST_HEAD(&q->free);
	init_waitqueue_head(&q->idle);
	kthread_init_work(&q->work, queue_run);
	q->requests = kvcalloc(QUEUE_SIZE, sizeof(*q->requests), GFP_KERNEL);
	q->buffers = kvcalloc(CHAIN_MAX, sizeof(*q->buffers), GFP_KERNEL);
	q->bounce = (void *)__get_free_page(GFP_KERNEL);
	if (!q->requests || !q->buffers || !q->bounce)
		return -ENOMEM;
	for (i = 0; i < QUEUE_SIZE; i++) {
		q->requests[i].queue = q;
		list_add_tail(&q->requests[i].node, &q->free);
	}
	q->worker = kthread_create_worker(0, "%s/%u", dev_name(&disk->vdpa.dev), index);
	if (IS_ERR(q->worker)) {
		int err = PTR_ERR(q->worker);

		q->worker = NULL;
		return err;
	}
	wake_up_process(q->worker->task);	/* needed since 6.14, no effect before */
	queue_reset(q);
	return 0;
}

/* The queue has been reset, or not been initialised. */
void queue_destroy(struct queue *q)
{
	if (q->worker)
		kthread_destroy_worker(q->worker);
	free_page((unsigned long)q->bounce);
	kvfree(q->buffers);
	kvfree(q->requests);
}
