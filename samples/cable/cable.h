/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VIRTIO_MEM_XLATE_CABLE_H
#define _VIRTIO_MEM_XLATE_CABLE_H

#include <linux/eventfd.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/uio.h>
#include <linux/virtio_ring.h>
#include <linux/kthread.h>
#include <virtio_mem_xlate.h>

/*
 * A cable has two ends and two lanes.  Lane n carries what the guest at end n
 * sends: from its transmit queue to the other guest's receive queue.  The lane
 * owns both queues, so one lock guards all that its work touches, and neither
 * end need know when the other comes or goes.
 */
struct lane;

#define MAX_PIECES	1024

/* The kernel addresses of pieces of guest memory, good while the view is held. */
struct pieces {
	struct kvec *kvec;
	unsigned int nr;
	size_t len;
};

/* Wakes a lane when an eventfd is written to. */
struct kick {
	struct lane *lane;
	struct file *eventfd;
	struct wait_queue_head *head;
	wait_queue_entry_t wait;
	poll_table table;
};

/* ring.c: a split virtqueue, as the device sees it.  All of it under the lane's lock. */
struct queue {
	/* As set through the ABI; @xlate is NULL until then, and once its end is gone. */
	struct virtio_mem_xlate *xlate;
	unsigned int num;
	u64 desc_gpa, avail_gpa, used_gpa;
	bool little_endian, event_idx, mergeable;
	unsigned int hdr_len;
	struct eventfd_ctx *call, *err;
	struct kick kick;

	/* While a view of @xlate is held. */
	const struct vring_avail *avail;
	struct vring_used *used;

	bool running;
	u16 last_avail;		/* the next chain to take */
	u16 avail_idx;		/* up to where the driver had put chains when last read */
	u16 last_used;		/* the next entry of the used ring */
	u16 signalled;		/* up to where the driver has been told */

	u64 nr_pieces, nr_stopped, highest_gpa;
};

int queue_start(struct queue *q);
int queue_translate(struct queue *q, const struct virtio_mem_xlate_view *view);
int queue_take(struct queue *q, const struct virtio_mem_xlate_view *view, unsigned int ahead,
	       unsigned int access, struct pieces *pieces, u16 *head);
void queue_fill_used(struct queue *q, unsigned int ahead, u16 head, u32 len);
void queue_publish_used(struct queue *q, unsigned int nr);
void queue_break(struct queue *q, int err);
void queue_signal(struct queue *q);
bool queue_enable_kick(struct queue *q);

/* lane.c: from one guest to the other */
struct lane {
	struct mutex lock;	/* guards both queues and the rest */
	struct queue tx, rx;
	struct kthread_worker *worker;
	struct kthread_delayed_work work;
	unsigned long starved_since;	/* in jiffies; 0: the receiver had room */
	bool was_empty;			/* the transmit queue, when it was last looked at */
	struct kvec tx_kvec[MAX_PIECES], rx_kvec[MAX_PIECES];
	u64 nr_frames, nr_bytes, nr_dropped, nr_late;
};

void lane_init(struct lane *lane, struct kthread_worker *worker);
void lane_destroy(struct lane *lane);
void lane_kick(struct lane *lane);

#endif
