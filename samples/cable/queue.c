// SPDX-License-Identifier: GPL-2.0
/*
 * A queue of the cable: its chains as pieces of kernel memory, and its stop after a mistake of
 * the driver.
 */
#include "cable.h"

/* After a mistake of the driver: the queue stands still until the driver starts it again. */
void queue_break(struct queue *q, int err)
{
	pr_debug_ratelimited("cable: queue stopped at %u: %pe\n", q->ring.last_avail,
			     ERR_PTR(err));
	q->running = false;
	q->nr_stopped++;
	if (q->err)
		eventfd_signal(q->err);
}

/* A fault that finds its page taken away so often does not find it by trying once more. */
#define MAX_TRIES	1000

/*
 * A chain or a ring could not be translated.  Memory that the VMM's process has lost comes back
 * by a fault, which may sleep: a worker serves it.  -EFAULT may be of the moment, too, when
 * another fault found the page missing.  All else is a mistake of the driver.
 */
void queue_fail(struct queue *q, int err)
{
	/* The next batch has a view of its own. */
	if (err == -ESTALE)
		return;
	if ((err != -EAGAIN && err != -EFAULT) || q->nr_tries++ == MAX_TRIES) {
		queue_break(q, err);
		return;
	}
	q->absent = true;
	queue_work(q->lane->faults, &q->fault_work);
}

static void queue_fault_work(struct work_struct *work)
{
	struct queue *q = container_of(work, struct queue, fault_work);
	struct virtio_mem_xlate_user *memory;
	unsigned int nr_starts;
	struct fault fault;
	int err;

	scoped_guard(mutex, &q->lane->lock) {
		memory = q->memory;
		fault = q->ring.fault;
		nr_starts = q->nr_starts;
	}
	err = virtio_mem_xlate_user_fault(memory, fault.range, fault.access);
	scoped_guard(mutex, &q->lane->lock) {
		q->absent = false;
		if (err && q->running && q->nr_starts == nr_starts)
			queue_break(q, err);
	}
	lane_kick(q->lane);
}

void queue_init(struct queue *q, struct lane *lane)
{
	q->lane = lane;
	INIT_WORK(&q->fault_work, queue_fault_work);
}

/* Called for each new view. */
int queue_translate(struct queue *q, const struct virtio_mem_xlate_view *view)
{
	int err = ring_translate(&q->ring, view);

	if (err && q->running)
		queue_fail(q, err);
	return err;
}

int queue_start(struct queue *q)
{
	CLASS(virtio_mem_xlate_view, view)(q->xlate);
	int err;

	err = queue_translate(q, &view);
	if (err)
		return err;
	ring_start(&q->ring);
	q->nr_starts++;
	q->nr_tries = 0;
	q->running = true;
	if (q->call)
		eventfd_signal(q->call);
	return 0;
}

/* Adds a buffer, which may span several slots. */
static int add_pieces(struct queue *q, const struct virtio_mem_xlate_view *view,
		      const struct buffer *buffer, struct pieces *pieces)
{
	int n;

	q->ring.fault = (struct fault){ .range = buffer->range, .access = buffer->access };
	n = virtio_mem_xlate_kvec(view, buffer->range, buffer->access, pieces->kvec + pieces->nr,
				  MAX_PIECES - pieces->nr);
	if (n < 0)
		return n;
	pieces->nr += n;
	pieces->len += virtio_driver_range_len(buffer->range);
	q->nr_pieces += n;
	q->highest_gpa = max(q->highest_gpa, buffer->range.start);
	return 0;
}

/*
 * Adds the buffers of the chain @ahead places after the next one to @pieces.  Returns 1,
 * 0 if there is no such chain yet, or an error, for queue_fail().  The chain stays in
 * the queue until queue_return().
 */
int queue_take(struct queue *q, const struct virtio_mem_xlate_view *view, unsigned int ahead,
	       unsigned int access, struct pieces *pieces, u16 *head)
{
	struct buffer buffer;
	struct chain chain;
	int ret;

	ret = ring_next(&q->ring, view, ahead, head);
	if (ret <= 0)
		return ret;
	chain_start(&chain, &q->ring, *head);
	while ((ret = chain_next(&chain, view, &buffer)) > 0) {
		if (buffer.access != access)
			return -EACCES;
		ret = add_pieces(q, view, &buffer, pieces);
		if (ret)
			return ret;
	}
	return ret ?: 1;
}

/* Returns the next @nr chains, whose entries are filled, to the driver. */
void queue_return(struct queue *q, unsigned int nr)
{
	q->nr_tries = 0;
	ring_take(&q->ring, nr);
	ring_publish_used(&q->ring, nr);
}

void queue_signal(struct queue *q)
{
	if (ring_wants_signal(&q->ring) && q->call)
		eventfd_signal(q->call);
}
