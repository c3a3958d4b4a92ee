/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VIRTIO_MEM_XLATE_CHAIN_H
#define _VIRTIO_MEM_XLATE_CHAIN_H

#include "ring.h"

/*
 * The descriptors of a chain.  Each field of the driver is fetched once, into a copy; only the
 * copy is checked and used.  No chain leads to an access outside of a descriptor table, or to
 * an endless loop.
 */

/* The largest number of buffers in a chain, as in QEMU: ends loops. */
#define CHAIN_MAX	1024

/* A buffer of a chain. */
struct buffer {
	struct virtio_driver_range range;	/* not empty */
	unsigned int access;	/* by the device: VIRTIO_MEM_XLATE_READ or _WRITE */
	u16 id;			/* index of the descriptor in its table */
	bool indirect;		/* that table is not the ring's own */
};

struct chain {
	struct ring *ring;
	u64 table;		/* guest address of the descriptor table */
	unsigned int size;	/* of that table, in descriptors */
	unsigned int next;	/* descriptor */
	unsigned int nr;	/* of buffers so far */
	bool indirect, written, ended;
};

/* A descriptor. */
struct chain_desc {
	struct virtio_driver_range range;
	u16 flags, next;
};

static inline int chain_fetch(const struct chain *chain, const struct virtio_mem_xlate_view *view,
			      struct chain_desc *d)
{
	struct ring *ring = chain->ring;
	struct fault *fault = &ring->fault;
	struct vring_desc desc;
	int err;

	if (chain->next >= chain->size)
		return -ERANGE;
	err = virtio_driver_range_init(&fault->range, chain->table + chain->next * sizeof(desc),
				       sizeof(desc));
	if (err)
		return err;
	fault->access = VIRTIO_MEM_XLATE_READ;
	err = virtio_mem_xlate_copy_from(view, &desc, fault->range);
	if (err)
		return err;
	d->flags = ring_to_cpu16(ring, desc.flags);
	d->next = ring_to_cpu16(ring, desc.next);
	return virtio_driver_range_init(&d->range, ring_to_cpu64(ring, desc.addr),
					ring_to_cpu32(ring, desc.len));
}

/* Continues in the indirect table of @d: one, at the end of a chain, with whole entries. */
static inline int chain_enter_table(struct chain *chain, const struct chain_desc *d)
{
	if (chain->indirect || d->flags & VRING_DESC_F_NEXT ||
	    d->range.len % sizeof(struct vring_desc))
		return -EINVAL;
	chain->indirect = true;
	chain->table = d->range.start;
	chain->size = min(d->range.len / sizeof(struct vring_desc), 1ULL << 16);
	chain->next = 0;
	return 0;
}

/**
 * chain_start() - walk a chain from its head
 * @chain: the walk
 * @ring: the ring of the chain
 * @head: as from ring_next()
 */
static inline void chain_start(struct chain *chain, struct ring *ring, u16 head)
{
	*chain = (struct chain){
		.ring = ring, .table = ring->desc_gpa, .size = ring->num, .next = head,
	};
}

/**
 * chain_next() - fetch the next buffer of a chain
 * @chain: the walk
 * @view: a view
 * @buffer: gets it; not translated yet
 *
 * Buffers for the device to read come before those for it to write.  An empty buffer is an
 * error, as in QEMU.
 *
 * Return: 1, 0 at the end of the chain, or an error: the chain breaks the rules, or is longer
 * than CHAIN_MAX, or its table could not be translated, for which @fault of the ring is set.
 */
static inline int chain_next(struct chain *chain, const struct virtio_mem_xlate_view *view,
			     struct buffer *buffer)
{
	struct chain_desc d;
	bool write;
	int err;

	if (chain->ended)
		return 0;
	err = chain_fetch(chain, view, &d);
	if (!err && d.flags & VRING_DESC_F_INDIRECT)
		err = chain_enter_table(chain, &d) ?: chain_fetch(chain, view, &d);
	if (err)
		return err;
	write = d.flags & VRING_DESC_F_WRITE;
	if (d.flags & VRING_DESC_F_INDIRECT || !d.range.len || (chain->written && !write))
		return -EINVAL;
	if (chain->nr++ == CHAIN_MAX)
		return -ELOOP;
	*buffer = (struct buffer){
		.range = d.range, .id = chain->next, .indirect = chain->indirect,
		.access = write ? VIRTIO_MEM_XLATE_WRITE : VIRTIO_MEM_XLATE_READ,
	};
	chain->written = write;
	chain->ended = !(d.flags & VRING_DESC_F_NEXT);
	chain->next = d.next;
	return 1;
}

#endif
