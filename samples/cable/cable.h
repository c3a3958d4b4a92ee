/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VIRTIO_MEM_XLATE_CABLE_H
#define _VIRTIO_MEM_XLATE_CABLE_H

#include <linux/eventfd.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/uio.h>
#include <linux/kthread.h>
#include <linux/vhost_types.h>
#include <linux/workqueue.h>

#include <virtio_mem_xlate_user.h>

#include "../virtqueue/chain.h"

/*
 * A cable has two ends and two lanes.  Lane n carries what the guest at end n
 * sends: from its transmit queue to the other guest's receive queue.  The lane
 * owns both queues.  So one lock guards all data of its work, and an end can open
 * and close without a look at the other.
 */
struct lane;

#define MAX_PIECES	1024

/* Kernel addresses of pieces of guest memory, valid while the view is held. */
struct pieces {
	struct kvec *kvec;
	unsigned int nr;
	size_t len;
};

/* Wakes a lane on each write to an eventfd. */
struct kick {
	struct lane *lane;
	struct file *eventfd;
	struct wait_queue_head *head;
	wait_queue_entry_t wait;
	poll_table table;
};

/* queue.c: a virtqueue.  The lane's lock guards all of it. */
struct queue {
	/* Set by ioctls.  Both are NULL before, and after its end is closed. */
	struct virtio_mem_xlate_user *memory;
	struct virtio_mem_xlate *xlate;
	struct vhost_vring_addr addr;	/* of the ring, in the VMM */
	struct ring ring;
	bool mergeable;
	unsigned int hdr_len;
	struct eventfd_ctx *call, *err;
	struct kick kick;

	/* The ring's @fault is being served, and the lane waits for it. */
	bool absent;
	unsigned int nr_starts;		/* a fault of before the last start says nothing */
	unsigned int nr_tries;		/* faults since the last chain was returned */
	struct work_struct fault_work;
	struct lane *lane;

	bool running;
	u64 nr_pieces, nr_stopped, highest_gpa;
};

int queue_start(struct queue *q);
int queue_translate(struct queue *q, const struct virtio_mem_xlate_view *view);
int queue_take(struct queue *q, const struct virtio_mem_xlate_view *view, unsigned int ahead,
	       unsigned int access, struct pieces *pieces, u16 *head);
void queue_return(struct queue *q, unsigned int nr);
void queue_break(struct queue *q, int err);
void queue_fail(struct queue *q, int err);
void queue_init(struct queue *q, struct lane *lane);
void queue_signal(struct queue *q);

/* lane.c: from one guest to the other */
struct lane {
	struct mutex lock;	/* guards both queues and the rest */
	struct queue tx, rx;
	struct kthread_worker *worker;
	struct workqueue_struct *faults;
	struct kthread_delayed_work work;
	unsigned long starved_since;	/* in jiffies; 0: the receiver had room */
	bool was_empty;			/* the transmit queue, in the last batch */
	struct kvec tx_kvec[MAX_PIECES], rx_kvec[MAX_PIECES];
	u64 nr_frames, nr_bytes, nr_dropped, nr_late;
};

void lane_init(struct lane *lane, struct kthread_worker *worker, struct workqueue_struct *faults);
void lane_destroy(struct lane *lane);
void lane_kick(struct lane *lane);

#endif
