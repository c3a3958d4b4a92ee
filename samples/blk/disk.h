/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VIRTIO_MEM_XLATE_DISK_H
#define _VIRTIO_MEM_XLATE_DISK_H

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/kthread.h>
#include <linux/vdpa.h>
#include <linux/virtio_blk.h>
#include <linux/wait.h>

#include "../virtqueue/chain.h"

/*
 * A disk has the table of its driver's memory, and queues.  A queue has a worker, which takes
 * requests from the ring and submits bios.  The end of the last bio, often an interrupt, returns
 * the request to the driver.  A request holds the memory that its bios and its status are in.  A
 * queue has a reference to the memory of its ring, so that a request is returned without a view.
 */
struct disk;
struct memory;
struct queue;

/* request.c: one request of the driver, from the ring and back to it */
struct disk_request {
	struct queue *queue;
	struct list_head node;		/* of the queue's @free */
	struct virtio_mem_xlate_hold hold;
	atomic_t pending;		/* bios, and the worker */
	blk_status_t error;
	u16 head;
	u32 written;			/* bytes in the driver's buffers, with the status */
	u8 *status;			/* NULL: the chain is bad, and is not returned */
};

/* Buffers of a chain, to be consumed from the first byte on. */
struct buffers {
	struct buffer *next;
	unsigned int nr;
	u64 len;
};

int request_serve(struct disk_request *req, const struct virtio_mem_xlate_view *view,
		  struct buffers *out, struct buffers *in);

/* queue.c: a virtqueue and its worker */
struct queue {
	struct disk *disk;
	struct kthread_worker *worker;
	struct kthread_work work;

	spinlock_t lock;		/* guards from here to the end of the counters */
	struct ring ring;
	struct memory *memory;		/* NULL: @ring is not translated */
	bool running;			/* takes chains */
	bool full;			/* the worker waits until a request ends */
	struct vdpa_callback call;
	struct list_head free;		/* requests */
	unsigned int in_flight, max_in_flight;
	u64 nr_requests, nr_errors, nr_bounced, nr_stopped;

	bool ready;			/* set by the driver */
	wait_queue_head_t idle;
	struct disk_request *requests;
	/* The worker's own. */
	struct buffer *buffers;
	void *bounce;			/* a page */
};

int queue_init(struct queue *q, struct disk *disk, unsigned int index);
void queue_destroy(struct queue *q);
void queue_start(struct queue *q);
void queue_stop(struct queue *q);
void queue_reset(struct queue *q);
void queue_remap(struct queue *q);
void queue_kick(struct queue *q);
void queue_return(struct disk_request *req);

/* memory.c: the table */
int memory_init(struct disk *disk);
struct memory *memory_get(struct disk *disk);
void memory_put(struct memory *m);
bool memory_is_trusted(const struct disk *disk);
int memory_reset(struct disk *disk, bool trusted);
int memory_set(struct disk *disk, struct vhost_iotlb *iotlb);
void memory_destroy(struct disk *disk);

/* device.c: vDPA's view of it */
struct disk {
	struct vdpa_device vdpa;	/* first: the framework frees it */
	struct file *file;
	struct block_device *bdev;
	struct bio_set bios;
	u64 device_features, features;
	struct virtio_blk_config config;
	u8 status;
	bool broken, suspended;

	spinlock_t config_lock;		/* guards @config_call */
	struct vdpa_callback config_call;

	/* The framework serialises updates. */
	struct virtio_mem_xlate *xlate;
	struct memory *memory;

	unsigned int nr_queues;
	struct queue *queues;
};

void disk_break(struct disk *disk);

#define QUEUE_SIZE	1024	/* the largest: QEMU's vhost-vdpa-device asks for no less */
#define SEG_MAX		254	/* of data; for a queue of 256 entries, too */
#define SIZE_MAX_SEG	SZ_1M
#define RANGES_MAX	16	/* of a discard, or of zeroes */
#define ZEROES_MAX	SZ_64M	/* in a range */

static inline bool disk_has(const struct disk *disk, unsigned int feature)
{
	return disk->features & BIT_ULL(feature);
}

#endif
