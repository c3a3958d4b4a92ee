// SPDX-License-Identifier: GPL-2.0
/*
 * The device's work on a virtqueue, except the data: translate the rings, and each buffer
 * of a chain.
 */
#include <linux/errno.h>
#include <linux/io.h>
#include <linux/overflow.h>

#include "demo.h"

/* The demo knows the right address.  Leave this check out of your copy. */
static int kva_check(struct virtio_device_range device, u64 gpa)
{
	if (!virtio_device_range_len(device))
		return 0;
	return virtio_device_range_get(device) == phys_to_virt(gpa) ? 0 : -EBADE;
}

/* Translates a range that must be contiguous, such as a ring. */
int range_translate(const struct virtio_mem_xlate_view *view, u64 gpa, u64 len,
		    unsigned int access, struct virtio_device_range *device)
{
	struct virtio_driver_range driver;

	return virtio_driver_range_init(&driver, gpa, len) ?:
	       virtio_mem_xlate_range(view, driver, access, device) ?:
	       kva_check(*device, gpa);
}

int rings_translate(const struct queue *q, const struct virtio_mem_xlate_view *view,
		    struct rings *rings)
{
	struct virtio_device_range desc, avail, used;
	const struct ring *ring = &q->ring;
	int err;

	err = range_translate(view, ring->desc_gpa, array_size(sizeof(*rings->desc), ring->num),
			      VIRTIO_MEM_XLATE_READ, &desc) ?:
	      range_translate(view, ring->avail_gpa, struct_size(rings->avail, ring, ring->num),
			      VIRTIO_MEM_XLATE_READ, &avail) ?:
	      /* A device only writes the used ring.  The demo also reads it. */
	      range_translate(view, ring->used_gpa, struct_size(rings->used, ring, ring->num),
			      VIRTIO_MEM_XLATE_RW, &used);
	if (err)
		return err;
	/* The ranges are the whole rings, so all their entries are in bounds. */
	rings->desc = virtio_device_range_array(desc, struct vring_desc, ring->num);
	rings->avail = virtio_device_range_ptr(avail, struct vring_avail);
	rings->used = virtio_device_range_ptr(used, struct vring_used);
	/* NULL if misaligned. */
	return rings->desc && rings->avail && rings->used ? 0 : -EINVAL;
}

/* A buffer may have several pieces: a back end puts each into an iovec. */
static int desc_translate(const struct virtio_mem_xlate_view *view, struct descriptor *d)
{
	struct virtio_driver_range driver;
	struct virtio_device_range piece;
	u64 gpa = d->gpa;
	int ret;

	ret = virtio_driver_range_init(&driver, d->gpa, d->len);
	if (ret)
		return ret;
	while ((ret = virtio_mem_xlate_next(view, &driver, d->access, &piece)) > 0) {
		if (!d->pieces++)
			d->kva = virtio_device_range_get(piece);
		ret = kva_check(piece, gpa);
		if (ret)
			return ret;
		gpa += virtio_device_range_len(piece);
	}
	return ret ?: gpa == d->gpa + d->len ? 0 : -EBADE;
}

/*
 * Fills @chain, an array of @num + 1 descriptors, and returns their number.  The err of the
 * last one tells whether the chain is broken there.
 */
unsigned int chain_translate(struct queue *q, const struct virtio_mem_xlate_view *view, u16 head,
			     struct descriptor *chain)
{
	struct descriptor *d;
	struct buffer buffer;
	struct chain walk;
	unsigned int n;
	int ret;

	chain_start(&walk, &q->ring, head);
	for (n = 0; n <= q->ring.num; n++) {
		d = &chain[n];
		ret = chain_next(&walk, view, &buffer);
		if (!ret)
			return n;
		if (ret < 0) {
			*d = (struct descriptor){ .id = walk.next, .err = ret };
			return n + 1;
		}
		*d = (struct descriptor){
			.gpa = buffer.range.start, .len = buffer.range.len, .id = buffer.id,
			.indirect = buffer.indirect, .access = buffer.access,
		};
		d->err = desc_translate(view, d);
		if (d->err)
			return n + 1;
	}
	/* More descriptors than the queue has. */
	d->err = -ERANGE;
	return n;
}
