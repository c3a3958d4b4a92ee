// SPDX-License-Identifier: GPL-2.0
/*
 * A disk for guests: virtio-blk in the kernel, as a vDPA device over a block device of the host.
 *
 *	insmod virtio_mem_xlate_blk.ko path=/dev/nvme0n1p3
 *	vdpa dev add name disk0 mgmtdev virtio_mem_xlate_blk
 *
 * vhost-vdpa gives it to a guest, virtio_vdpa to this machine itself.
 */
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <uapi/linux/vdpa.h>
#include <uapi/linux/vhost_types.h>
#include <uapi/linux/virtio_ids.h>

#include "disk.h"

static char *path;
module_param(path, charp, 0644);
MODULE_PARM_DESC(path, "block device of the next disk that vdpa adds");

static unsigned int max_queues = 4;
module_param(max_queues, uint, 0644);
MODULE_PARM_DESC(queues, "number of queues of a disk, at most one for each processor");

#define FEATURES	(BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_F_ACCESS_PLATFORM) | \
			 BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) | \
			 BIT_ULL(VIRTIO_RING_F_EVENT_IDX) | \
			 BIT_ULL(VIRTIO_BLK_F_SIZE_MAX) | BIT_ULL(VIRTIO_BLK_F_SEG_MAX) | \
			 BIT_ULL(VIRTIO_BLK_F_BLK_SIZE) | BIT_ULL(VIRTIO_BLK_F_TOPOLOGY) | \
			 BIT_ULL(VIRTIO_BLK_F_FLUSH) | BIT_ULL(VIRTIO_BLK_F_MQ) | \
			 BIT_ULL(VIRTIO_BLK_F_WRITE_ZEROES))
#define MAY_HAVE	(BIT_ULL(VIRTIO_BLK_F_RO) | BIT_ULL(VIRTIO_BLK_F_DISCARD))
#define MUST_HAVE	(BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_F_ACCESS_PLATFORM))

static struct disk *to_disk(const struct vdpa_device *vdpa)
{
	return container_of(vdpa, struct disk, vdpa);
}

static struct queue *to_queue(struct vdpa_device *vdpa, u16 idx)
{
	return &to_disk(vdpa)->queues[idx];
}

/* Context: any. */
void disk_break(struct disk *disk)
{
	struct vdpa_callback call;

	WRITE_ONCE(disk->broken, true);
	scoped_guard(spinlock_irqsave, &disk->config_lock)
		call = disk->config_call;
	if (call.callback)
		call.callback(call.private);
}

static int blk_set_vq_address(struct vdpa_device *vdpa, u16 idx, u64 desc, u64 avail, u64 used)
{
	struct queue *q = to_queue(vdpa, idx);

	scoped_guard(spinlock_irq, &q->lock) {
		if (q->running)
			return -EBUSY;
		q->ring.desc_gpa = desc;
		q->ring.avail_gpa = avail;
		q->ring.used_gpa = used;
	}
	return 0;
}

static void blk_set_vq_num(struct vdpa_device *vdpa, u16 idx, u32 num)
{
	struct queue *q = to_queue(vdpa, idx);

	scoped_guard(spinlock_irq, &q->lock)
		if (!q->memory && num <= QUEUE_SIZE && is_power_of_2(num))
			q->ring.num = num;
}

static void blk_kick_vq(struct vdpa_device *vdpa, u16 idx)
{
	queue_kick(to_queue(vdpa, idx));
}

static void blk_set_vq_cb(struct vdpa_device *vdpa, u16 idx, struct vdpa_callback *call)
{
	struct queue *q = to_queue(vdpa, idx);

	scoped_guard(spinlock_irq, &q->lock)
		q->call = *call;
}

static bool may_run(const struct disk *disk)
{
	return disk->status & VIRTIO_CONFIG_S_DRIVER_OK && !disk->suspended && !disk->broken;
}

static void blk_set_vq_ready(struct vdpa_device *vdpa, u16 idx, bool ready)
{
	struct queue *q = to_queue(vdpa, idx);

	q->ready = ready;
	if (!ready)
		queue_stop(q);
	else if (may_run(q->disk))
		queue_start(q);
}

static bool blk_get_vq_ready(struct vdpa_device *vdpa, u16 idx)
{
	return to_queue(vdpa, idx)->ready;
}

static int blk_set_vq_state(struct vdpa_device *vdpa, u16 idx, const struct vdpa_vq_state *state)
{
	struct queue *q = to_queue(vdpa, idx);

	scoped_guard(spinlock_irq, &q->lock) {
		if (q->running)
			return -EBUSY;
		q->ring.last_avail = state->split.avail_index;
		q->ring.avail_idx = state->split.avail_index;
	}
	return 0;
}

static int blk_get_vq_state(struct vdpa_device *vdpa, u16 idx, struct vdpa_vq_state *state)
{
	state->split.avail_index = READ_ONCE(to_queue(vdpa, idx)->ring.last_avail);
	return 0;
}

static u32 blk_get_vq_align(struct vdpa_device *vdpa)
{
	return SMP_CACHE_BYTES;
}

static u64 blk_get_device_features(struct vdpa_device *vdpa)
{
	return to_disk(vdpa)->device_features;
}

static u64 blk_get_backend_features(const struct vdpa_device *vdpa)
{
	return BIT_ULL(VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK);
}

static int blk_set_driver_features(struct vdpa_device *vdpa, u64 features)
{
	struct disk *disk = to_disk(vdpa);
	unsigned int i;

	if (features & ~disk->device_features || ~features & MUST_HAVE)
		return -EINVAL;
	disk->features = features;
	for (i = 0; i < disk->nr_queues; i++)
		disk->queues[i].ring.event_idx = disk_has(disk, VIRTIO_RING_F_EVENT_IDX);
	return 0;
}

static u64 blk_get_driver_features(struct vdpa_device *vdpa)
{
	return to_disk(vdpa)->features;
}

static void blk_set_config_cb(struct vdpa_device *vdpa, struct vdpa_callback *call)
{
	struct disk *disk = to_disk(vdpa);

	scoped_guard(spinlock_irq, &disk->config_lock)
		disk->config_call = *call;
}

static u16 blk_get_vq_num_max(struct vdpa_device *vdpa)
{
	return QUEUE_SIZE;
}

static u32 blk_get_device_id(struct vdpa_device *vdpa)
{
	return VIRTIO_ID_BLOCK;
}

static u32 blk_get_vendor_id(struct vdpa_device *vdpa)
{
	return 0;
}

static u8 blk_get_status(struct vdpa_device *vdpa)
{
	struct disk *disk = to_disk(vdpa);

	return disk->status | (READ_ONCE(disk->broken) ? VIRTIO_CONFIG_S_NEEDS_RESET : 0);
}

static void start_all(struct disk *disk)
{
	unsigned int i;

	for (i = 0; i < disk->nr_queues; i++)
		if (disk->queues[i].ready && may_run(disk))
			queue_start(&disk->queues[i]);
}

static void blk_set_status(struct vdpa_device *vdpa, u8 status)
{
	struct disk *disk = to_disk(vdpa);

	disk->status = status & ~VIRTIO_CONFIG_S_NEEDS_RESET;
	start_all(disk);
}

static int blk_suspend(struct vdpa_device *vdpa)
{
	struct disk *disk = to_disk(vdpa);
	unsigned int i;

	disk->suspended = true;
	for (i = 0; i < disk->nr_queues; i++)
		queue_stop(&disk->queues[i]);
	return 0;
}

static int blk_resume(struct vdpa_device *vdpa)
{
	struct disk *disk = to_disk(vdpa);

	disk->suspended = false;
	start_all(disk);
	return 0;
}

/* The driver in this kernel has its memory by DMA addresses, which are physical. */
static bool is_trusted(const struct disk *disk)
{
	const struct device_driver *driver = disk->vdpa.dev.driver;

	return driver && !strcmp(driver->name, "virtio_vdpa");
}

static int blk_reset_map(struct vdpa_device *vdpa, unsigned int asid)
{
	return memory_reset(to_disk(vdpa), is_trusted(to_disk(vdpa)));
}

/* The map stays, but for that of another driver: vhost-vdpa resets before it lets a user in. */
static int blk_reset(struct vdpa_device *vdpa)
{
	struct disk *disk = to_disk(vdpa);
	unsigned int i;

	for (i = 0; i < disk->nr_queues; i++)
		queue_reset(&disk->queues[i]);
	disk->status = 0;
	disk->features = 0;
	disk->broken = false;
	disk->suspended = false;
	return memory_is_trusted(disk) == is_trusted(disk) ? 0 : blk_reset_map(vdpa, 0);
}

static size_t blk_get_config_size(struct vdpa_device *vdpa)
{
	return sizeof(struct virtio_blk_config);
}

static void blk_get_config(struct vdpa_device *vdpa, unsigned int offset, void *buf,
			   unsigned int len)
{
	struct disk *disk = to_disk(vdpa);

	if (offset <= sizeof(disk->config) && len <= sizeof(disk->config) - offset)
		memcpy(buf, (void *)&disk->config + offset, len);
}

/* No field may be written. */
static void blk_set_config(struct vdpa_device *vdpa, unsigned int offset, const void *buf,
			   unsigned int len)
{
}

static int blk_set_map(struct vdpa_device *vdpa, unsigned int asid, struct vhost_iotlb *iotlb)
{
	return memory_set(to_disk(vdpa), iotlb);
}

static void blk_free(struct vdpa_device *vdpa)
{
	struct disk *disk = to_disk(vdpa);
	unsigned int i;

	for (i = 0; disk->queues && i < disk->nr_queues; i++)
		queue_destroy(&disk->queues[i]);
	kvfree(disk->queues);
	memory_destroy(disk);
	bioset_exit(&disk->bios);
	if (disk->file)
		bdev_fput(disk->file);
}

static const struct vdpa_config_ops ops = {
	.set_vq_address = blk_set_vq_address,
	.set_vq_num = blk_set_vq_num,
	.kick_vq = blk_kick_vq,
	.set_vq_cb = blk_set_vq_cb,
	.set_vq_ready = blk_set_vq_ready,
	.get_vq_ready = blk_get_vq_ready,
	.set_vq_state = blk_set_vq_state,
	.get_vq_state = blk_get_vq_state,
	.get_vq_align = blk_get_vq_align,
	.get_device_features = blk_get_device_features,
	.get_backend_features = blk_get_backend_features,
	.set_driver_features = blk_set_driver_features,
	.get_driver_features = blk_get_driver_features,
	.set_config_cb = blk_set_config_cb,
	.get_vq_num_max = blk_get_vq_num_max,
	.get_device_id = blk_get_device_id,
	.get_vendor_id = blk_get_vendor_id,
	.get_status = blk_get_status,
	.set_status = blk_set_status,
	.reset = blk_reset,
	.suspend = blk_suspend,
	.resume = blk_resume,
	.get_config_size = blk_get_config_size,
	.get_config = blk_get_config,
	.set_config = blk_set_config,
	.set_map = blk_set_map,
	.reset_map = blk_reset_map,
	.free = blk_free,
};

/* /sys/bus/vdpa/devices/NAME/queues; the values may be inconsistent. */
static ssize_t queues_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct disk *disk = to_disk(dev_to_vdpa(dev));
	const struct queue *q;
	ssize_t n = 0;

	for (q = disk->queues; q < disk->queues + disk->nr_queues; q++) {
		n += sysfs_emit_at(buf, n, "requests %llu errors %llu bounced %llu stopped %llu ",
				   q->nr_requests, q->nr_errors, q->nr_bounced, q->nr_stopped);
		n += sysfs_emit_at(buf, n, "in_flight %u max_in_flight %u\n", q->in_flight,
				   q->max_in_flight);
	}
	return n;
}
static DEVICE_ATTR_RO(queues);

static struct attribute *disk_attrs[] = { &dev_attr_queues.attr, NULL };
ATTRIBUTE_GROUPS(disk);

#define LE16(x)		((__force __virtio16)cpu_to_le16(x))
#define LE32(x)		((__force __virtio32)cpu_to_le32(x))

static void config_fill(struct disk *disk)
{
	struct block_device *bdev = disk->bdev;
	unsigned int block = bdev_logical_block_size(bdev);

	disk->config = (struct virtio_blk_config){
		.capacity = (__force __virtio64)cpu_to_le64(bdev_nr_sectors(bdev)),
		.size_max = LE32(SIZE_MAX_SEG),
		.seg_max = LE32(SEG_MAX),
		.blk_size = LE32(block),
		.physical_block_exp = ilog2(bdev_physical_block_size(bdev) / block),
		.alignment_offset = max(bdev_alignment_offset(bdev), 0) / block,
		.min_io_size = LE16(bdev_io_min(bdev) / block),
		.opt_io_size = LE32(bdev_io_opt(bdev) / block),
		.num_queues = LE16(disk->nr_queues),
		.max_discard_sectors = LE32(bdev_max_discard_sectors(bdev)),
		.max_discard_seg = LE32(RANGES_MAX),
		.discard_sector_alignment = LE32(bdev_discard_granularity(bdev) >> SECTOR_SHIFT),
		.max_write_zeroes_sectors = LE32(ZEROES_MAX >> SECTOR_SHIFT),
		.max_write_zeroes_seg = LE32(RANGES_MAX),
		.write_zeroes_may_unmap = 1,
	};
	disk->device_features = FEATURES;
	if (bdev_max_discard_sectors(bdev))
		disk->device_features |= BIT_ULL(VIRTIO_BLK_F_DISCARD);
}

/* Exclusive: nobody mounts it meanwhile. */
static int disk_open(struct disk *disk)
{
	struct file *file;
	char *name;

	kernel_param_lock(THIS_MODULE);
	name = kstrdup(path ?: "", GFP_KERNEL);
	kernel_param_unlock(THIS_MODULE);
	if (!name)
		return -ENOMEM;
	file = bdev_file_open_by_path(strim(name), BLK_OPEN_READ | BLK_OPEN_WRITE, disk, NULL);
	if (file == ERR_PTR(-EACCES) || file == ERR_PTR(-EROFS))
		file = bdev_file_open_by_path(strim(name), BLK_OPEN_READ, disk, NULL);
	kfree(name);
	if (IS_ERR(file))
		return PTR_ERR(file);
	disk->file = file;
	disk->bdev = file_bdev(file);
	config_fill(disk);
	if (!(file->f_mode & FMODE_WRITE) || bdev_read_only(disk->bdev))
		disk->device_features |= BIT_ULL(VIRTIO_BLK_F_RO);
	return 0;
}

static int disk_init(struct disk *disk, const struct vdpa_dev_set_config *config)
{
	struct device *dev = &disk->vdpa.dev;
	unsigned int i;
	int err;

	spin_lock_init(&disk->config_lock);
	dev->groups = disk_groups;
	dev->dma_mask = &dev->coherent_dma_mask;
	vdpa_set_dma_dev(&disk->vdpa, dev);
	disk->nr_queues = clamp(max_queues, 1, num_online_cpus());
	err = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64)) ?: disk_open(disk) ?:
	      bioset_init(&disk->bios, BIO_POOL_SIZE, 0, BIOSET_NEED_BVECS) ?: memory_init(disk);
	if (err)
		return err;
	if (config->mask & BIT_ULL(VDPA_ATTR_DEV_FEATURES)) {
		if (config->device_features & ~disk->device_features ||
		    ~config->device_features & MUST_HAVE)
			return -EINVAL;
		disk->device_features = config->device_features;
	}
	disk->queues = kvcalloc(disk->nr_queues, sizeof(*disk->queues), GFP_KERNEL);
	if (!disk->queues)
		return -ENOMEM;
	for (i = 0; i < disk->nr_queues && !err; i++)
		err = queue_init(&disk->queues[i], disk, i);
	return err;
}

static int dev_add(struct vdpa_mgmt_dev *mdev, const char *name,
		   const struct vdpa_dev_set_config *config)
{
	struct disk *disk;
	int err;

	disk = vdpa_alloc(struct disk, vdpa, mdev->device, &ops, name);
	if (IS_ERR(disk))
		return PTR_ERR(disk);
	disk->vdpa.mdev = mdev;
	err = disk_init(disk, config) ?: _vdpa_register_device(&disk->vdpa, disk->nr_queues);
	if (err)
		put_device(&disk->vdpa.dev);
	return err;
}

static void dev_del(struct vdpa_mgmt_dev *mdev, struct vdpa_device *vdpa)
{
	_vdpa_unregister_device(vdpa);
}

static const struct vdpa_mgmtdev_ops mgmtdev_ops = { .dev_add = dev_add, .dev_del = dev_del };

static struct virtio_device_id id_table[] = {
	{ VIRTIO_ID_BLOCK, VIRTIO_DEV_ANY_ID }, {}
};

static struct vdpa_mgmt_dev mgmtdev = {
	.ops = &mgmtdev_ops,
	.id_table = id_table,
	.config_attr_mask = BIT_ULL(VDPA_ATTR_DEV_FEATURES),
	.supported_features = FEATURES | MAY_HAVE,
};

static int __init blk_init(void)
{
	int err;

	mgmtdev.device = root_device_register(KBUILD_MODNAME);
	if (IS_ERR(mgmtdev.device))
		return PTR_ERR(mgmtdev.device);
	mgmtdev.max_supported_vqs = num_online_cpus();
	err = vdpa_mgmtdev_register(&mgmtdev);
	if (err)
		root_device_unregister(mgmtdev.device);
	return err;
}
module_init(blk_init);

static void __exit blk_exit(void)
{
	vdpa_mgmtdev_unregister(&mgmtdev);
	root_device_unregister(mgmtdev.device);
}
module_exit(blk_exit);

MODULE_DESCRIPTION("A disk for guests: virtio-blk as a vDPA device");
MODULE_LICENSE("GPL");
