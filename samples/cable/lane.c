// SPDX-License-Identifier: GPL-2.0
/*
 * Moves frames with one copy, from one guest's memory into the other's.  A batch of
 * frames holds one view of each memory, so an update waits for the end of a batch only.
 */
#include <linux/jiffies.h>
#include <linux/virtio_net.h>

#include "cable.h"

/* The largest number of frames in a batch, as in vhost-net. */
#define BATCH		256

/* The largest frame with its header (virtio 1.2, 5.1.6.3.1), and some VLAN tags. */
#define MAX_FRAME	(65562 + 16)

/* For so long a frame waits for room at the receiver: less than the sender's watchdog. */
#define PATIENCE	(3 * HZ)

/* Copies the header once: later changes by the sending guest have no effect. */
static void copy_frame(const struct lane *lane, const struct pieces *from, const struct pieces *to,
		       u16 nr_buffers)
{
	__virtio16 num_buffers = __cpu_to_virtio16(lane->rx.ring.little_endian, nr_buffers);
	struct virtio_net_hdr_mrg_rxbuf hdr = {};
	struct iov_iter src, dst;
	size_t n;

	/* The usual case of a small frame: one piece on each side. */
	if (from->nr == 1 && to->nr == 1 && lane->tx.hdr_len == sizeof(hdr) &&
	    lane->rx.hdr_len == sizeof(hdr)) {
		void *base = to->kvec[0].iov_base;

		memcpy(base, from->kvec[0].iov_base, from->len);
		memcpy(base + offsetof(typeof(hdr), num_buffers), &num_buffers,
		       sizeof(num_buffers));
		return;
	}
	iov_iter_kvec(&src, ITER_SOURCE, from->kvec, from->nr, from->len);
	iov_iter_kvec(&dst, ITER_DEST, to->kvec, to->nr, to->len);
	_copy_from_iter(&hdr, lane->tx.hdr_len, &src);
	hdr.num_buffers = num_buffers;
	_copy_to_iter(&hdr, lane->rx.hdr_len, &dst);
	/* Copies each source piece, into one or several destination pieces. */
	for (; iov_iter_count(&src); iov_iter_advance(&src, n)) {
		n = iov_iter_single_seg_count(&src);
		_copy_to_iter(src.kvec->iov_base + src.iov_offset, n, &dst);
	}
}

/*
 * Returns 1, 0 if there is no room yet, -EINPROGRESS if the room is absent, -ESTALE if @view is too
 * old for it, or an error if @frame can never be delivered.
 */
static int deliver(struct lane *lane, const struct virtio_mem_xlate_view *view,
		   const struct pieces *frame)
{
	struct queue *rx = &lane->rx;
	struct pieces pieces = { .kvec = lane->rx_kvec };
	size_t before, need = frame->len - lane->tx.hdr_len + rx->hdr_len;
	unsigned int nr = 0;
	u16 head;
	int ret;

	do {
		if (nr == rx->ring.num)
			return -EMSGSIZE;
		before = pieces.len;
		ret = queue_take(rx, view, nr, VIRTIO_MEM_XLATE_WRITE, &pieces, &head);
		if (ret < 0)
			queue_fail(rx, ret);
		if (ret <= 0)
			return rx->absent ? -EINPROGRESS : ret;
		ring_fill_used(&rx->ring, nr, head, min(pieces.len, need) - before);
		nr++;
	} while (pieces.len < need && rx->mergeable);
	if (pieces.len < need)
		return -EMSGSIZE;

	copy_frame(lane, frame, &pieces, nr);
	queue_return(rx, nr);
	return 1;
}

/* Returns 1 if a frame has left the transmit queue, 0 if it is empty, or an error. */
static int move_frame(struct lane *lane, const struct virtio_mem_xlate_view *from,
		      const struct virtio_mem_xlate_view *to)
{
	struct queue *tx = &lane->tx, *rx = &lane->rx;
	struct pieces frame = { .kvec = lane->tx_kvec };
	u16 head;
	int ret;

	ret = queue_take(tx, from, 0, VIRTIO_MEM_XLATE_READ, &frame, &head);
	if (ret > 0 && (frame.len < tx->hdr_len || frame.len > MAX_FRAME))
		ret = -EMSGSIZE;
	if (ret < 0)
		queue_fail(tx, ret);
	if (ret <= 0)
		return ret;

	/* A receiver that is closed or stopped loses frames, as with an unplugged cable. */
	ret = rx->running ? deliver(lane, to, &frame) : -ENOTCONN;
	if (ret == -EINPROGRESS || ret == -ESTALE)
		return ret;
	if (!ret) {
		/* After one frame has waited in vain, the next frames do not wait. */
		lane->starved_since = lane->starved_since ?: jiffies | 1;
		if (time_before(jiffies, lane->starved_since + PATIENCE))
			return -EAGAIN;
	}
	if (ret > 0) {
		/* The receiver should have kicked for the new room; the timeout found it. */
		if (lane->starved_since && time_after_eq(jiffies, lane->starved_since + PATIENCE))
			lane->nr_late++;
		lane->starved_since = 0;
		lane->nr_frames++;
		lane->nr_bytes += frame.len - tx->hdr_len;
	} else {
		lane->nr_dropped++;
	}
	ring_fill_used(&tx->ring, 0, head, 0);
	queue_return(tx, 1);
	return 1;
}

/* Moves a batch.  Returns the time until the next batch, without a kick. */
static long move_batch(struct lane *lane)
{
	struct queue *tx = &lane->tx, *rx = &lane->rx;
	long sleep = 0;
	bool empty;
	int n, ret;

	guard(mutex)(&lane->lock);
	/* A fault that is served kicks. */
	if (!tx->running || tx->absent || rx->absent)
		return MAX_SCHEDULE_TIMEOUT;
	CLASS(virtio_mem_xlate_view, from)(tx->xlate);
	CLASS(virtio_mem_xlate_view, to)(rx->running ? rx->xlate : tx->xlate);

	if (queue_translate(tx, &from) ||
	    (rx->running && queue_translate(rx, &to) && rx->absent))
		return MAX_SCHEDULE_TIMEOUT;

	for (n = 0, ret = 1; n < BATCH && ret > 0; n++)
		ret = move_frame(lane, &from, &to);
	/* A busy sender sends more soon: poll once more, as each kick is an exit of the guest. */
	empty = !ret && n == 1;
	if (empty && lane->was_empty && !ring_enable_kick(&tx->ring))
		sleep = MAX_SCHEDULE_TIMEOUT;
	else if (ret == -EAGAIN && !ring_enable_kick(&rx->ring))
		sleep = PATIENCE;
	lane->was_empty = empty;
	queue_signal(tx);
	if (rx->running)
		queue_signal(rx);
	return tx->running && !tx->absent && !rx->absent ? sleep : MAX_SCHEDULE_TIMEOUT;
}

static void lane_work(struct kthread_work *work)
{
	struct lane *lane = container_of(work, struct lane, work.work);
	long sleep = move_batch(lane);

	/* Let a guest on this processor send or receive before the next batch. */
	if (!sleep)
		yield();
	/* No effect after a kick, which has queued the work already. */
	if (sleep != MAX_SCHEDULE_TIMEOUT)
		kthread_queue_delayed_work(lane->worker, &lane->work, sleep);
}

/* Context: any, also with interrupts off. */
void lane_kick(struct lane *lane)
{
	kthread_mod_delayed_work(lane->worker, &lane->work, 0);
}

void lane_init(struct lane *lane, struct kthread_worker *worker, struct workqueue_struct *faults)
{
	mutex_init(&lane->lock);
	queue_init(&lane->tx, lane);
	queue_init(&lane->rx, lane);
	kthread_init_delayed_work(&lane->work, lane_work);
	lane->worker = worker;
	lane->faults = faults;
}

/* The caller has removed all kicks. */
void lane_destroy(struct lane *lane)
{
	kthread_cancel_delayed_work_sync(&lane->work);
}
