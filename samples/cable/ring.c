// SPDX-License-Identifier: GPL-2.0
/*
 * The device's half of a split virtqueue (virtio 1.2, 2.7).  Each field of the driver is
 * fetched once, into a copy; only the copy is checked and used.
 */
#include <linux/virtio_config.h>

#include "cable.h"

static u16 to_cpu16(const struct queue *q, __virtio16 val)
{
	return __virtio16_to_cpu(q->little_endian, val);
}

static u16 avail_idx(const struct queue *q)
{
	return to_cpu16(q, READ_ONCE(q->avail->idx));
}

/* After a mistake of the driver: the queue stands still until the driver starts it again. */
void queue_break(struct queue *q, int err)
{
	pr_debug_ratelimited("cable: queue stopped at %u: %pe\n", q->last_avail, ERR_PTR(err));
	q->running = false;
	q->nr_stopped++;
	if (q->err)
		eventfd_signal(q->err);
}

/* Called for each new view.  Each of the two rings must be in one slot. */
int queue_translate(struct queue *q, const struct virtio_mem_xlate_view *view)
{
	struct virtio_device_range avail = {}, used = {};
	struct virtio_driver_range range;
	/* The fields of a ring beside its entries: flags, index, event index. */
	u64 size = 2 * sizeof(u16) + (q->event_idx ? sizeof(u16) : 0);
	int err;

	err = virtio_driver_range_init(&range, q->avail_gpa, size + q->num * sizeof(u16)) ?:
	      virtio_mem_xlate_range(view, range, VIRTIO_MEM_XLATE_READ, &avail) ?:
	      virtio_driver_range_init(&range, q->used_gpa,
				       size + q->num * sizeof(struct vring_used_elem)) ?:
	      virtio_mem_xlate_range(view, range, VIRTIO_MEM_XLATE_RW, &used);
	/* The ranges are the whole rings, so all their entries are in bounds. */
	q->avail = virtio_device_range_ptr(avail, struct vring_avail);
	q->used = virtio_device_range_mut_ptr(used, struct vring_used);
	if (!err && !(q->avail && q->used))
		err = -EINVAL;
	if (err && q->running)
		queue_break(q, err);
	return err;
}

/* Continues at the indices that the previous device of the queue has left. */
int queue_start(struct queue *q)
{
	CLASS(virtio_mem_xlate_view, view)(q->xlate);
	int err;

	err = queue_translate(q, &view);
	if (err)
		return err;
	q->avail_idx = q->last_avail;
	q->last_used = to_cpu16(q, READ_ONCE(q->used->idx));
	q->signalled = q->last_used;
	q->running = true;
	/* The previous device may have published entries without a signal. */
	if (q->call)
		eventfd_signal(q->call);
	return 0;
}

/* Is there a chain @ahead places after the next one?  Returns 1, 0 or an error. */
static int queue_has(struct queue *q, unsigned int ahead)
{
	if ((u16)(q->avail_idx - q->last_avail) > ahead)
		return 1;
	q->avail_idx = avail_idx(q);
	/* Pairs with the driver's barrier between filling an entry and moving the index. */
	smp_rmb();
	if ((u16)(q->avail_idx - q->last_avail) > q->num)
		return -ERANGE;
	return (u16)(q->avail_idx - q->last_avail) > ahead;
}

/* A copy of a descriptor. */
struct descriptor {
	struct virtio_driver_range range;
	u16 flags, next;
};

static int fetch(const struct queue *q, const struct virtio_mem_xlate_view *view, u64 table,
		 unsigned int i, struct descriptor *d)
{
	struct vring_desc desc;
	int err;

	err = virtio_driver_range_init(&d->range, table + i * sizeof(desc), sizeof(desc)) ?:
	      virtio_mem_xlate_copy_from(view, &desc, d->range);
	if (err)
		return err;
	d->flags = to_cpu16(q, desc.flags);
	d->next = to_cpu16(q, desc.next);
	return virtio_driver_range_init(&d->range, __virtio64_to_cpu(q->little_endian, desc.addr),
					__virtio32_to_cpu(q->little_endian, desc.len));
}

/* Adds the buffer of a descriptor, which may span several slots. */
static int add_pieces(struct queue *q, const struct virtio_mem_xlate_view *view,
		      struct virtio_driver_range range, unsigned int access, struct pieces *pieces)
{
	int n = virtio_mem_xlate_kvec(view, range, access, pieces->kvec + pieces->nr,
				      MAX_PIECES - pieces->nr);

	if (n < 0)
		return n;
	pieces->nr += n;
	pieces->len += virtio_driver_range_len(range);
	q->nr_pieces += n;
	q->highest_gpa = max(q->highest_gpa, range.start);
	return 0;
}

/*
 * Follows a chain and adds its buffers to @pieces.  An empty buffer is an error, as in
 * QEMU: so each step uses up room in @pieces, which ends loops and limits the work.
 */
static int follow(struct queue *q, const struct virtio_mem_xlate_view *view, u16 head,
		  unsigned int access, struct pieces *pieces)
{
	unsigned int i = head, size = q->num;
	u16 write = access == VIRTIO_MEM_XLATE_WRITE ? VRING_DESC_F_WRITE : 0;
	u64 table = q->desc_gpa;
	bool indirect = false;
	struct descriptor d;
	int err;

	for (;;) {
		if (i >= size)
			return -ERANGE;
		err = fetch(q, view, table, i, &d);
		if (err)
			return err;
		if (d.flags & VRING_DESC_F_INDIRECT) {
			/* One table, at the end of a chain, with whole entries. */
			if (indirect || d.flags & VRING_DESC_F_NEXT ||
			    d.range.len % sizeof(struct vring_desc))
				return -EINVAL;
			indirect = true;
			table = d.range.start;
			size = min(d.range.len / sizeof(struct vring_desc), 1ULL << 16);
			i = 0;
			continue;
		}
		if ((d.flags & VRING_DESC_F_WRITE) != write)
			return -EACCES;
		if (!d.range.len)
			return -EINVAL;
		err = add_pieces(q, view, d.range, access, pieces);
		if (err)
			return err;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		i = d.next;
	}
}

/*
 * Adds the buffers of the chain @ahead places after the next one to @pieces.  Returns 1,
 * 0 if there is no such chain yet, or an error, for queue_break().  The chain stays in
 * the queue until queue_publish_used().
 */
int queue_take(struct queue *q, const struct virtio_mem_xlate_view *view, unsigned int ahead,
	       unsigned int access, struct pieces *pieces, u16 *head)
{
	int ret;

	ret = queue_has(q, ahead);
	if (ret <= 0)
		return ret;
	*head = to_cpu16(q, READ_ONCE(q->avail->ring[(q->last_avail + ahead) & (q->num - 1)]));
	return follow(q, view, *head, access, pieces) ?: 1;
}

/* Writes an entry of the used ring, for queue_publish_used() to publish. */
void queue_fill_used(struct queue *q, unsigned int ahead, u16 head, u32 len)
{
	struct vring_used_elem *elem = &q->used->ring[(q->last_used + ahead) & (q->num - 1)];

	WRITE_ONCE(elem->id, __cpu_to_virtio32(q->little_endian, head));
	WRITE_ONCE(elem->len, __cpu_to_virtio32(q->little_endian, len));
}

/* Returns the next @nr chains to the driver. */
void queue_publish_used(struct queue *q, unsigned int nr)
{
	q->last_avail += nr;
	q->last_used += nr;
	/* Data and entries before the index; pairs with the driver's read barrier. */
	smp_wmb();
	WRITE_ONCE(q->used->idx, __cpu_to_virtio16(q->little_endian, q->last_used));
}

/* After the last entry of a ring is its event index: the reader asks for a signal there. */
static bool wants_signal(struct queue *q)
{
	if (!q->event_idx)
		return !(to_cpu16(q, READ_ONCE(q->avail->flags)) & VRING_AVAIL_F_NO_INTERRUPT);
	return vring_need_event(to_cpu16(q, READ_ONCE(q->avail->ring[q->num])), q->last_used,
				q->signalled);
}

/* Signals the driver if it has asked for a signal of the entries published since the last. */
void queue_signal(struct queue *q)
{
	if (q->signalled == q->last_used)
		return;
	/* The used index before the event index: the driver accesses them in reverse. */
	smp_mb();
	if (wants_signal(q) && q->call)
		eventfd_signal(q->call);
	q->signalled = q->last_used;
}

/* Asks the driver to kick for the next chain.  Returns true if there is one already. */
bool queue_enable_kick(struct queue *q)
{
	if (q->event_idx)
		WRITE_ONCE(*(__virtio16 *)&q->used->ring[q->num],
			   __cpu_to_virtio16(q->little_endian, q->avail_idx));
	/* The event index before the driver's index: the driver accesses them in reverse. */
	smp_mb();
	return avail_idx(q) != q->avail_idx;
}
