/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VIRTIO_MEM_XLATE_RING_H
#define _VIRTIO_MEM_XLATE_RING_H

#include <linux/mm.h>
#include <linux/uio.h>
#include <linux/virtio_byteorder.h>
#include <linux/virtio_ring.h>

#include <virtio_mem_xlate.h>

/*
 * The device's half of a split virtqueue (virtio 1.2, 2.7), to copy into a back end: ring.h
 * reads the available ring and writes the used ring, chain.h walks the descriptors of a chain.
 *
 *	ring_translate()			for each view
 *	while (ring_next() > 0) {		the head of a chain, which stays in the ring
 *		chain_start();
 *		while (chain_next() > 0)	a buffer: translate it
 *			...
 *		ring_take();			the chain is the device's now
 *		ring_fill_used();		now or later, in any order
 *		ring_publish_used();
 *	}
 *	ring_wants_signal(), ring_enable_kick()
 *
 * An error of ring_translate(), ring_next() or chain_next() is a mistake of the driver, and the
 * back end stops the queue.  -EAGAIN is not: then @fault of the ring names the absent memory.
 * Release the view, make the memory present, and start again at ring_translate(): the ring has
 * not moved.
 */

#define RING_MAX	0x8000
#define RING_PIECES	(RING_MAX * sizeof(struct vring_used_elem) / PAGE_SIZE + 2)

/* What a view did not translate, in ring.h, chain.h or the back end. */
struct fault {
	struct virtio_driver_range range;
	unsigned int access;
};

/*
 * The available ring and the used ring.  Each may lie in several pieces of kernel memory.
 * Their fields are aligned, so that a field is in one piece.  The back end's lock guards all
 * of it.
 */
struct ring {
	/* Set by the back end before ring_start(). */
	unsigned int num;	/* of entries: a power of 2, at most RING_MAX */
	u64 desc_gpa, avail_gpa, used_gpa;
	bool little_endian, event_idx;
	u16 last_avail;		/* the next chain to take */

	u16 avail_idx;		/* the driver's index, when it was last read */
	u16 last_used;		/* the next entry of the used ring */
	u16 signalled;		/* the value of last_used at the last signal */
	struct fault fault;

	/* Valid as long as the view, or the hold, of ring_translate(). */
	struct kvec avail[RING_PIECES], used[RING_PIECES];
};

static inline u16 ring_to_cpu16(const struct ring *ring, __virtio16 val)
{
	return __virtio16_to_cpu(ring->little_endian, val);
}

static inline u32 ring_to_cpu32(const struct ring *ring, __virtio32 val)
{
	return __virtio32_to_cpu(ring->little_endian, val);
}

static inline u64 ring_to_cpu64(const struct ring *ring, __virtio64 val)
{
	return __virtio64_to_cpu(ring->little_endian, val);
}

/* The address of the byte at @offset, which is less than the length of all pieces. */
static inline void *ring_byte(const struct kvec *piece, size_t offset)
{
	for (; offset >= piece->iov_len; piece++)
		offset -= piece->iov_len;
	return piece->iov_base + offset;
}

static inline u16 ring_read16(const struct ring *ring, const struct kvec *pieces, size_t offset)
{
	return ring_to_cpu16(ring, READ_ONCE(*(__virtio16 *)ring_byte(pieces, offset)));
}

static inline void ring_write16(const struct ring *ring, const struct kvec *pieces, size_t offset,
				u16 val)
{
	WRITE_ONCE(*(__virtio16 *)ring_byte(pieces, offset),
		   __cpu_to_virtio16(ring->little_endian, val));
}

static inline void ring_write32(const struct ring *ring, const struct kvec *pieces, size_t offset,
				u32 val)
{
	WRITE_ONCE(*(__virtio32 *)ring_byte(pieces, offset),
		   __cpu_to_virtio32(ring->little_endian, val));
}

static inline size_t ring_avail_entry(unsigned int i)
{
	return offsetof(struct vring_avail, ring) + i * sizeof(__virtio16);
}

static inline size_t ring_used_entry(unsigned int i)
{
	return offsetof(struct vring_used, ring) + i * sizeof(struct vring_used_elem);
}

static inline int ring_pieces(struct ring *ring, const struct virtio_mem_xlate_view *view, u64 gpa,
			      u64 len, unsigned int access, size_t align, struct kvec *pieces)
{
	struct fault *fault = &ring->fault;
	int i, n;

	n = virtio_driver_range_init(&fault->range, gpa, len);
	if (n)
		return n;
	fault->access = access;
	n = virtio_mem_xlate_kvec(view, fault->range, access, pieces, RING_PIECES);
	for (i = 0; i < n; i++)
		if (!IS_ALIGNED((uintptr_t)pieces[i].iov_base, align) ||
		    (i + 1 < n && !IS_ALIGNED(pieces[i].iov_len, align)))
			return -EINVAL;
	return n < 0 ? n : 0;
}

/**
 * ring_translate() - translate the available and the used ring
 * @ring: the ring
 * @view: a view, for which, or for a hold of which, the other functions may be called
 *
 * Return: 0, or an error as of virtio_mem_xlate_kvec(), for which @fault is set.
 */
static inline int ring_translate(struct ring *ring, const struct virtio_mem_xlate_view *view)
{
	/* After the last entry of a ring is its event index. */
	size_t event = ring->event_idx ? sizeof(u16) : 0;

	return ring_pieces(ring, view, ring->avail_gpa, ring_avail_entry(ring->num) + event,
			   VIRTIO_MEM_XLATE_READ, VRING_AVAIL_ALIGN_SIZE, ring->avail) ?:
	       ring_pieces(ring, view, ring->used_gpa, ring_used_entry(ring->num) + event,
			   VIRTIO_MEM_XLATE_RW, VRING_USED_ALIGN_SIZE, ring->used);
}

/**
 * ring_start() - continue at the indices that the previous device of the ring has left
 * @ring: a ring with its last_avail, translated
 *
 * The previous device may have published entries without a signal: signal after this.
 */
static inline void ring_start(struct ring *ring)
{
	ring->avail_idx = ring->last_avail;
	ring->last_used = ring_read16(ring, ring->used, offsetof(struct vring_used, idx));
	ring->signalled = ring->last_used;
}

static inline u16 ring_driver_idx(const struct ring *ring)
{
	return ring_read16(ring, ring->avail, offsetof(struct vring_avail, idx));
}

/**
 * ring_next() - look for a chain
 * @ring: the ring
 * @ahead: how many chains behind the next one
 * @head: its first descriptor, not checked yet
 *
 * Return: 1 with @head, 0 if there is no such chain yet, or -ERANGE for an index of the driver
 * that is more than a ring ahead.
 */
static inline int ring_next(struct ring *ring, unsigned int ahead, u16 *head)
{
	if ((u16)(ring->avail_idx - ring->last_avail) <= ahead) {
		ring->avail_idx = ring_driver_idx(ring);
		/* Pairs with the driver's barrier between filling an entry and the index. */
		smp_rmb();
		if ((u16)(ring->avail_idx - ring->last_avail) > ring->num)
			return -ERANGE;
		if ((u16)(ring->avail_idx - ring->last_avail) <= ahead)
			return 0;
	}
	*head = ring_read16(ring, ring->avail,
			    ring_avail_entry((ring->last_avail + ahead) & (ring->num - 1)));
	return 1;
}

/**
 * ring_take() - move past the next chains, which ring_next() has found
 * @ring: the ring
 * @nr: their number
 */
static inline void ring_take(struct ring *ring, unsigned int nr)
{
	ring->last_avail += nr;
}

/**
 * ring_fill_used() - write an entry of the used ring
 * @ring: the ring
 * @ahead: how many entries behind the next one to be published
 * @head: of the chain
 * @len: number of bytes that the device has written into its buffers
 */
static inline void ring_fill_used(struct ring *ring, unsigned int ahead, u16 head, u32 len)
{
	size_t entry = ring_used_entry((ring->last_used + ahead) & (ring->num - 1));

	ring_write32(ring, ring->used, entry + offsetof(struct vring_used_elem, id), head);
	ring_write32(ring, ring->used, entry + offsetof(struct vring_used_elem, len), len);
}

/**
 * ring_publish_used() - return chains to the driver
 * @ring: the ring
 * @nr: number of entries that ring_fill_used() has written
 */
static inline void ring_publish_used(struct ring *ring, unsigned int nr)
{
	ring->last_used += nr;
	/* Data and entries before the index; pairs with the driver's read barrier. */
	smp_wmb();
	ring_write16(ring, ring->used, offsetof(struct vring_used, idx), ring->last_used);
}

/**
 * ring_wants_signal() - does the driver ask for a signal of what was published since the last?
 * @ring: the ring
 *
 * Return: true if the caller must signal the driver now.
 */
static inline bool ring_wants_signal(struct ring *ring)
{
	u16 signalled = ring->signalled;

	if (signalled == ring->last_used)
		return false;
	ring->signalled = ring->last_used;
	/* The used index before the event index: the driver accesses them in reverse. */
	smp_mb();
	if (!ring->event_idx)
		return !(ring_read16(ring, ring->avail, offsetof(struct vring_avail, flags)) &
			 VRING_AVAIL_F_NO_INTERRUPT);
	return vring_need_event(ring_read16(ring, ring->avail, ring_avail_entry(ring->num)),
				ring->last_used, signalled);
}

/**
 * ring_enable_kick() - ask the driver to kick for the next chain
 * @ring: the ring
 *
 * Return: true if there is a chain already.
 */
static inline bool ring_enable_kick(struct ring *ring)
{
	if (ring->event_idx)
		ring_write16(ring, ring->used, ring_used_entry(ring->num), ring->avail_idx);
	/* The event index before the driver's index: the driver accesses them in reverse. */
	smp_mb();
	return ring_driver_idx(ring) != ring->avail_idx;
}

#endif
