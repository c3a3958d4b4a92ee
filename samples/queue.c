// SPDX-License-Identifier: GPL-2.0
/*
 * The device's work on a virtqueue, except the data: translate the rings, fetch each
 * descriptor once, translate it, follow the chain.  No chain of the driver leads to
 * an access outside of a descriptor table, or to an endless loop.
 */
#include <linux/errno.h>
#include <linux/io.h>
#include <linux/overflow.h>
#include <linux/virtio_config.h>

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
	int err;

	err = range_translate(view, q->desc, array_size(sizeof(*rings->desc), q->num),
			      VIRTIO_MEM_XLATE_READ, &desc) ?:
	      range_translate(view, q->avail, struct_size(rings->avail, ring, q->num),
			      VIRTIO_MEM_XLATE_READ, &avail) ?:
	      /* A device only writes the used ring.  The demo also reads it. */
	      range_translate(view, q->used, struct_size(rings->used, ring, q->num),
			      VIRTIO_MEM_XLATE_RW, &used);
	if (err)
		return err;
	/* The ranges are the whole rings, so all their entries are in bounds. */
	rings->desc = virtio_device_range_array(desc, struct vring_desc, q->num);
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

/* The driver may change @from at any time: only the copy is checked and used. */
static struct descriptor desc_fetch(struct virtio_device *vdev, const struct vring_desc *from)
{
	struct descriptor d = {
		.gpa = virtio64_to_cpu(vdev, READ_ONCE(from->addr)),
		.len = virtio32_to_cpu(vdev, READ_ONCE(from->len)),
		.flags = virtio16_to_cpu(vdev, READ_ONCE(from->flags)),
		.next = virtio16_to_cpu(vdev, READ_ONCE(from->next)),
	};

	d.access = d.flags & VRING_DESC_F_WRITE ? VIRTIO_MEM_XLATE_WRITE : VIRTIO_MEM_XLATE_READ;
	return d;
}

/*
 * Fills @chain, an array of @q->num + 1 descriptors, and returns their number.  The
 * err of the last one tells whether the chain is broken there.
 */
unsigned int chain_translate(const struct queue *q, const struct virtio_mem_xlate_view *view,
			     const struct rings *rings, u16 head, struct descriptor *chain)
{
	const struct vring_desc *table = rings->desc;
	struct virtio_device_range range;
	unsigned int n, size = q->num;
	struct descriptor *d;
	u16 id = head;

	for (n = 0; n <= q->num; n++) {
		d = &chain[n];
		*d = desc_fetch(q->vdev, &table[id]);
		d->id = id;
		d->indirect = table != rings->desc;
		d->err = desc_translate(view, d);
		if (d->err)
			return n + 1;
		if (d->flags & VRING_DESC_F_INDIRECT) {
			d->err = d->indirect ? -EINVAL :
				 range_translate(view, d->gpa, d->len, d->access, &range);
			if (d->err)
				return n + 1;
			size = d->len / sizeof(*table);
			table = virtio_device_range_array(range, struct vring_desc, size);
			id = 0;
			if (!table || !size)
				break;
		} else if (d->flags & VRING_DESC_F_NEXT) {
			id = d->next;
			if (id >= size)
				break;
		} else {
			return n + 1;
		}
	}
	/* A descriptor out of bounds, or more descriptors than the queue has. */
	d->err = -ERANGE;
	return min(n, q->num) + 1;
}
