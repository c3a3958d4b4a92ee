/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VIRTIO_MEM_XLATE_DEMO_H
#define _VIRTIO_MEM_XLATE_DEMO_H

#include <linux/virtio.h>

#include "virtqueue/chain.h"

/* memory.c: the table of slots */
extern struct virtio_mem_xlate *xlate;
int memory_register(void);
void memory_unregister(void);
int memory_updates_start(void);
void memory_updates_stop(void);
bool memory_updates_show(void);
u64 memory_marker(const struct virtio_mem_xlate_view *view, unsigned int n);
const char *memory_slot_name(u64 table, u64 gpa, char *buf, size_t size);

/* queue.c: the device's work on a virtqueue */

/* A virtqueue of a driver of this machine. */
struct queue {
	struct virtio_device *vdev;
	struct ring ring;	/* only what chain.h needs */
};

/* Kernel addresses of the rings, valid while the view is held. */
struct rings {
	const struct vring_desc *desc;
	const struct vring_avail *avail;
	const struct vring_used *used;
};

/* A copy of a descriptor, and its translation. */
struct descriptor {
	u64 gpa;
	u32 len;
	u16 id;
	bool indirect;
	unsigned int access, pieces;
	void *kva;
	int err;
};

int range_translate(const struct virtio_mem_xlate_view *view, u64 gpa, u64 len,
		    unsigned int access, struct virtio_device_range *device);
int rings_translate(const struct queue *q, const struct virtio_mem_xlate_view *view,
		    struct rings *rings);
unsigned int chain_translate(struct queue *q, const struct virtio_mem_xlate_view *view, u16 head,
			     struct descriptor *chain);

/* watch.c: the active virtqueues of this machine, one thread each */
int watch_start(void);
void watch_stop(void);
bool watch_show(void);
void watch_free(void);

#endif
