// SPDX-License-Identifier: GPL-2.0
/*
 * A request (virtio 1.2, 5.2.6): a header, data, and a byte for the status.  Bios go over the
 * guest's own pages.  A bad chain is an error, which stops the queue; a bad request has a status.
 */
#include <linux/slab.h>

#include "disk.h"

static void request_put(struct disk_request *req)
{
	if (atomic_dec_and_test(&req->pending))
		queue_return(req);
}

static void bio_end(struct bio *bio)
{
	struct disk_request *req = bio->bi_private;

	if (bio->bi_status)
		WRITE_ONCE(req->error, bio->bi_status);
	bio_put(bio);
	request_put(req);
}

static void bio_start(struct disk_request *req, struct bio *bio)
{
	bio->bi_private = req;
	bio->bi_end_io = bio_end;
	atomic_inc(&req->pending);
	submit_bio(bio);
}

/* Takes up to @len bytes off the front: returns a part of the first buffer that has any. */
static struct virtio_driver_range buffers_pull(struct buffers *b, u64 len)
{
	struct virtio_driver_range *range = &b->next->range, part = *range;

	part.len = min(part.len, len);
	range->start += part.len;
	range->len -= part.len;
	b->len -= part.len;
	if (!range->len) {
		b->next++;
		b->nr--;
	}
	return part;
}

/* Copies @len bytes between kernel memory and the next bytes of @b, which has as many. */
static int buffers_copy(struct buffers *b, const struct virtio_mem_xlate_view *view, void *kva,
			size_t len, bool to_driver)
{
	struct virtio_driver_range part;
	int err;

	for (; len; kva += part.len, len -= part.len) {
		part = buffers_pull(b, len);
		err = to_driver ? virtio_mem_xlate_copy_to(view, part, kva) :
				  virtio_mem_xlate_copy_from(view, kva, part);
		if (err)
			return err;
	}
	return 0;
}

/* Are these sectors on the disk, and whole blocks of it? */
static bool sectors_valid(const struct disk *disk, u64 sector, u64 nr)
{
	u64 capacity = bdev_nr_sectors(disk->bdev), block = bdev_logical_block_size(disk->bdev);

	return sector <= capacity && nr <= capacity - sector &&
	       IS_ALIGNED((sector | nr) << SECTOR_SHIFT, block);
}

/* Does the driver keep to the limits in the config space that it has accepted? */
static bool segments_valid(const struct disk *disk, const struct buffers *data)
{
	unsigned int i;

	if (disk_has(disk, VIRTIO_BLK_F_SEG_MAX) && data->nr > SEG_MAX)
		return false;
	for (i = 0; disk_has(disk, VIRTIO_BLK_F_SIZE_MAX) && i < data->nr; i++)
		if (data->next[i].range.len > SIZE_MAX_SEG)
			return false;
	return true;
}

/* A block device takes whole blocks, at some alignment; virtio has no such rule. */
static bool buffers_aligned(const struct disk *disk, const struct buffers *data)
{
	unsigned int i, block = bdev_logical_block_size(disk->bdev);

	for (i = 0; i < data->nr; i++)
		if (!IS_ALIGNED(data->next[i].range.len, block) ||
		    data->next[i].range.start & bdev_dma_alignment(disk->bdev))
			return false;
	return true;
}

/* Page by page, by a copy.  Waits for the disk. */
static int serve_bounced(struct disk_request *req, const struct virtio_mem_xlate_view *view,
			 struct buffers *data, blk_opf_t opf, u64 sector)
{
	struct queue *q = req->queue;
	bool read = !op_is_write(opf);
	struct bio_vec bvec;
	struct bio bio;
	int err = 0;
	size_t len;

	scoped_guard(spinlock_irq, &q->lock)
		q->nr_bounced++;
	for (; data->len && !err && !req->error; sector += len >> SECTOR_SHIFT) {
		len = min(data->len, PAGE_SIZE);
		if (!read)
			err = buffers_copy(data, view, q->bounce, len, false);
		if (err)
			break;
		bvec_set_virt(&bvec, q->bounce, len);
		bio_init(&bio, q->disk->bdev, &bvec, 1, opf);
		bio.bi_iter.bi_size = len;
		bio.bi_vcnt = 1;
		bio.bi_iter.bi_sector = sector;
		req->error = errno_to_blk_status(submit_bio_wait(&bio));
		bio_uninit(&bio);
		if (read && !req->error)
			err = buffers_copy(data, view, q->bounce, len, true);
	}
	return err;
}

/* Adds @part, of at most a page less than the room that @bio has, to @bio. */
static int bio_add_range(struct bio *bio, const struct virtio_mem_xlate_view *view,
			 struct virtio_driver_range part)
{
	int n = virtio_mem_xlate_bvec(view, part,
				      op_is_write(bio_op(bio)) ? VIRTIO_MEM_XLATE_READ :
								 VIRTIO_MEM_XLATE_WRITE,
				      bio->bi_io_vec + bio->bi_vcnt,
				      bio->bi_max_vecs - bio->bi_vcnt);

	if (n < 0)
		return n;
	bio->bi_vcnt += n;
	bio->bi_iter.bi_size += part.len;
	return 0;
}

static unsigned int bvecs_needed(const struct buffers *data)
{
	/* A buffer that is not aligned to pages has one more; bio_add_range() leaves one free. */
	return min(DIV_ROUND_UP_ULL(data->len, PAGE_SIZE) + data->nr + 1, (u64)BIO_MAX_VECS);
}

static int serve_data(struct disk_request *req, const struct virtio_mem_xlate_view *view,
		      struct buffers *data, blk_opf_t opf, u64 sector)
{
	struct disk *disk = req->queue->disk;
	struct virtio_driver_range part;
	struct bio *bio = NULL;
	unsigned int room;
	int err;

	while (data->len) {
		if (!bio) {
			bio = bio_alloc_bioset(disk->bdev, bvecs_needed(data), opf, GFP_NOIO,
					       &disk->bios);
			bio->bi_iter.bi_sector = sector;
		}
		room = bio->bi_max_vecs - bio->bi_vcnt - 1;
		if (room) {
			part = buffers_pull(data, (u64)room * PAGE_SIZE);
			err = bio_add_range(bio, view, part);
			if (err) {
				bio_put(bio);
				return err;
			}
			sector += part.len >> SECTOR_SHIFT;
		}
		/* Submitted before the next is allocated: a pool has only so many. */
		if (!room || !data->len) {
			bio_start(req, bio);
			bio = NULL;
		}
	}
	return 0;
}

static int serve_rw(struct disk_request *req, const struct virtio_mem_xlate_view *view,
		    struct buffers *data, bool write, u64 sector)
{
	struct disk *disk = req->queue->disk;
	blk_opf_t opf = write ? REQ_OP_WRITE | REQ_SYNC | REQ_IDLE : REQ_OP_READ;

	if ((write && disk_has(disk, VIRTIO_BLK_F_RO)) ||
	    !IS_ALIGNED(data->len, SECTOR_SIZE) || !segments_valid(disk, data) ||
	    !sectors_valid(disk, sector, data->len >> SECTOR_SHIFT)) {
		req->error = BLK_STS_IOERR;
		return 0;
	}
	/* A driver without FLUSH takes each write as stable (5.2.6.2). */
	if (write && !disk_has(disk, VIRTIO_BLK_F_FLUSH))
		opf |= REQ_FUA;
	if (!write)
		req->written += data->len;
	return buffers_aligned(disk, data) ? serve_data(req, view, data, opf, sector) :
					     serve_bounced(req, view, data, opf, sector);
}

static void serve_flush(struct disk_request *req)
{
	struct disk *disk = req->queue->disk;

	bio_start(req, bio_alloc_bioset(disk->bdev, 0, REQ_OP_WRITE | REQ_PREFLUSH, GFP_NOIO,
					&disk->bios));
}

static int serve_id(struct disk_request *req, const struct virtio_mem_xlate_view *view,
		    struct buffers *in)
{
	char id[VIRTIO_BLK_ID_BYTES] = {};
	size_t len = min(in->len, sizeof(id));

	strscpy_pad(id, dev_name(&req->queue->disk->vdpa.dev));
	req->written += len;
	return buffers_copy(in, view, id, len, true);
}

/* Zeroes take the worker's time, as not all disks can, and then the kernel writes them. */
static blk_status_t serve_range(struct disk_request *req, u32 type,
				const struct virtio_blk_discard_write_zeroes *range)
{
	u64 sector = le64_to_cpu(range->sector), nr = le32_to_cpu(range->num_sectors);
	struct disk *disk = req->queue->disk;
	bool discard = type == VIRTIO_BLK_T_DISCARD;
	u32 flags = le32_to_cpu(range->flags);
	struct bio *bio = NULL;

	if (flags & ~(discard ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP))
		return BLK_STS_NOTSUPP;
	if (nr > (discard ? bdev_max_discard_sectors(disk->bdev) : ZEROES_MAX >> SECTOR_SHIFT) ||
	    !sectors_valid(disk, sector, nr))
		return BLK_STS_IOERR;
	if (!discard)
		return errno_to_blk_status(blkdev_issue_zeroout(disk->bdev, sector, nr, GFP_NOIO,
						flags ? 0 : BLKDEV_ZERO_NOUNMAP));
	/* The last of the bios, which ends after the others. */
	__blkdev_issue_discard(disk->bdev, sector, nr, GFP_NOIO, &bio);
	if (bio)
		bio_start(req, bio);
	return BLK_STS_OK;
}

static int serve_ranges(struct disk_request *req, const struct virtio_mem_xlate_view *view,
			u32 type, struct buffers *out)
{
	struct virtio_blk_discard_write_zeroes range;
	struct disk *disk = req->queue->disk;
	blk_status_t error = BLK_STS_OK;
	int err;

	if (!disk_has(disk, type == VIRTIO_BLK_T_DISCARD ? VIRTIO_BLK_F_DISCARD :
							   VIRTIO_BLK_F_WRITE_ZEROES))
		error = BLK_STS_NOTSUPP;
	else if (!out->len || out->len % sizeof(range) || out->len / sizeof(range) > RANGES_MAX ||
		 disk_has(disk, VIRTIO_BLK_F_RO))
		error = BLK_STS_IOERR;
	while (out->len && !error) {
		err = buffers_copy(out, view, &range, sizeof(range), false);
		if (err)
			return err;
		error = serve_range(req, type, &range);
	}
	if (error)
		WRITE_ONCE(req->error, error);
	return 0;
}

/* The last byte that the device may write is the status.  Takes it off @in. */
static int status_translate(struct disk_request *req, const struct virtio_mem_xlate_view *view,
			    struct buffers *in)
{
	struct virtio_device_range device;
	struct buffer *last;
	int err;

	if (!in->nr)
		return -EINVAL;
	last = &in->next[in->nr - 1];
	err = virtio_mem_xlate_range(view, (struct virtio_driver_range){
			.start = last->range.start + last->range.len - 1, .len = 1 },
			VIRTIO_MEM_XLATE_WRITE, &device);
	if (err)
		return err;
	req->status = virtio_device_range_mut_ptr(device, u8);
	in->len--;
	if (!--last->range.len)
		in->nr--;
	return 0;
}

static int serve(struct disk_request *req, const struct virtio_mem_xlate_view *view,
		 struct buffers *out, struct buffers *in)
{
	struct virtio_blk_outhdr header;
	int err;

	if (out->len < sizeof(header))
		return -EINVAL;
	err = status_translate(req, view, in) ?:
	      buffers_copy(out, view, &header, sizeof(header), false);
	if (err)
		return err;
	switch (ring_to_cpu32(&req->queue->ring, header.type)) {
	case VIRTIO_BLK_T_IN:
		return serve_rw(req, view, in, false,
				ring_to_cpu64(&req->queue->ring, header.sector));
	case VIRTIO_BLK_T_OUT:
		return serve_rw(req, view, out, true,
				ring_to_cpu64(&req->queue->ring, header.sector));
	case VIRTIO_BLK_T_FLUSH:
		serve_flush(req);
		return 0;
	case VIRTIO_BLK_T_GET_ID:
		return serve_id(req, view, in);
	case VIRTIO_BLK_T_DISCARD:
		return serve_ranges(req, view, VIRTIO_BLK_T_DISCARD, out);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return serve_ranges(req, view, VIRTIO_BLK_T_WRITE_ZEROES, out);
	}
	req->error = BLK_STS_NOTSUPP;
	return 0;
}

/*
 * Serves a request, which ends now or later.  Returns an error if the chain is bad.  Then it
 * is not returned to the driver, after the bios that were submitted before have ended.
 */
int request_serve(struct disk_request *req, const struct virtio_mem_xlate_view *view,
		  struct buffers *out, struct buffers *in)
{
	int err;

	atomic_set(&req->pending, 1);
	req->error = BLK_STS_OK;
	req->written = 1;
	req->status = NULL;
	err = serve(req, view, out, in);
	if (err)
		req->status = NULL;
	request_put(req);
	return err;
}
