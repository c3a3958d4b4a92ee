// SPDX-License-Identifier: GPL-2.0
/*
 * A network cable between two guests: speaks vhost-net's ioctls as QEMU uses them.
 * Each open of the device is an end, and the next open the other end:
 *
 *	exec 8<>/dev/virtio_mem_xlate_cable
 *	qemu-system-x86_64 -netdev tap,id=net,script=no,vhost=on,vhostfd=8 ...
 *
 * QEMU asks the tap for its offloads; the tap gets no frame.  Offer the same offloads
 * at both ends: vhost's ABI does not tell which of them a guest has accepted.
 *
 * abi.c has the ioctls, queue.c a virtqueue, lane.c moves the frames.
 */
#include <linux/cgroup.h>
#include <linux/file.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>

#include "cable.h"

#define FEATURES	(BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_NET_F_MRG_RXBUF) | \
			 BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) | BIT_ULL(VIRTIO_RING_F_EVENT_IDX))

/* As vhost-net numbers them. */
enum { RX, TX, NR_QUEUES };

struct end {
	struct mutex lock;	/* serialises ioctls; taken before a lane's */
	struct cable *cable;
	struct virtio_mem_xlate_user *memory;	/* NULL: the end is not open */
	unsigned long nr_updates;
};

struct cable {
	struct list_head list;
	struct kthread_worker *worker;	/* of both lanes: most traffic has answers */
	struct workqueue_struct *faults;	/* of all queues: a fault may wait for ever */
	bool owned;			/* the worker is in the cgroups of a VMM */
	struct end ends[2];
	struct lane lanes[2];
};

/* Guards the list, and the @memory of each end. */
static DEFINE_MUTEX(cables_lock);
static LIST_HEAD(cables);

static struct lane *end_lane(struct end *end, unsigned int index)
{
	return &end->cable->lanes[(end == &end->cable->ends[1]) ^ (index == RX)];
}

static struct queue *end_queue(struct end *end, unsigned int index)
{
	return index == TX ? &end_lane(end, TX)->tx : &end_lane(end, RX)->rx;
}

/* Context: a write to the eventfd, such as by KVM, with interrupts off. */
static int kick_wake(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	if (key_to_poll(key) & EPOLLIN)
		lane_kick(container_of(wait, struct kick, wait)->lane);
	return 0;
}

static void kick_poll(struct file *file, struct wait_queue_head *head, poll_table *table)
{
	struct kick *kick = container_of(table, struct kick, table);

	kick->head = head;
	add_wait_queue(head, &kick->wait);
}

static long kick_set(struct kick *kick, int fd, struct lane *lane)
{
	struct file *new = fd == VHOST_FILE_UNBIND ? NULL : eventfd_fget(fd);

	if (IS_ERR(new))
		return PTR_ERR(new);
	if (kick->eventfd) {
		remove_wait_queue(kick->head, &kick->wait);
		fput(kick->eventfd);
	}
	*kick = (struct kick){ .eventfd = new, .lane = lane };
	if (!new)
		return 0;
	init_waitqueue_func_entry(&kick->wait, kick_wake);
	init_poll_funcptr(&kick->table, kick_poll);
	vfs_poll(new, &kick->table);
	return 0;
}

/* The ioctl has the VMM's addresses of the rings; translation needs the guest's. */
static long locate_rings(struct end *end, struct queue *q, const struct vhost_vring_addr *addr)
{
	u64 desc, avail, used;
	long err;

	err = virtio_mem_xlate_user_gpa(end->memory, addr->desc_user_addr, &desc) ?:
	      virtio_mem_xlate_user_gpa(end->memory, addr->avail_user_addr, &avail) ?:
	      virtio_mem_xlate_user_gpa(end->memory, addr->used_user_addr, &used);
	if (err)
		return err;
	q->ring.desc_gpa = desc;
	q->ring.avail_gpa = avail;
	q->ring.used_gpa = used;
	return 0;
}

/* No lock: it may wait for page faults, and other calls go on. */
static long set_mem_table(struct end *end, const struct vhost_memory __user *argp)
{
	long err = virtio_mem_xlate_user_set_vhost(end->memory, argp);
	unsigned int i;

	if (err)
		return err;
	for (i = 0; i < NR_QUEUES; i++) {
		struct queue *q = end_queue(end, i);

		/* A ring that has left the table ends the queue when it is looked up. */
		guard(mutex)(&end_lane(end, i)->lock);
		if (q->addr.desc_user_addr)
			locate_rings(end, q, &q->addr);
		if (i == TX)
			end->nr_updates++;
	}
	return 0;
}

static long set_features(struct end *end, u64 features)
{
	bool v1 = features & BIT_ULL(VIRTIO_F_VERSION_1);
	unsigned int i;

	if (features & ~FEATURES)
		return -EOPNOTSUPP;
	/* Of two lanes, and always in this order: no call takes them in another. */
	guard(mutex)(&end->cable->lanes[0].lock);
	mutex_lock_nested(&end->cable->lanes[1].lock, SINGLE_DEPTH_NESTING);
	if (end_queue(end, RX)->running || end_queue(end, TX)->running) {
		mutex_unlock(&end->cable->lanes[1].lock);
		return -EBUSY;
	}
	for (i = 0; i < NR_QUEUES; i++) {
		struct queue *q = end_queue(end, i);

		q->ring.little_endian = v1 || virtio_legacy_is_little_endian();
		q->ring.event_idx = features & BIT_ULL(VIRTIO_RING_F_EVENT_IDX);
		q->mergeable = features & BIT_ULL(VIRTIO_NET_F_MRG_RXBUF);
		q->hdr_len = v1 || q->mergeable ? sizeof(struct virtio_net_hdr_mrg_rxbuf) :
						  sizeof(struct virtio_net_hdr);
	}
	mutex_unlock(&end->cable->lanes[1].lock);
	return 0;
}

/* The functions from here to queue_ioctl() run under the lane's lock. */
static long set_addr(struct end *end, struct queue *q, const struct vhost_vring_addr *addr)
{
	long err;

	if (addr->flags)	/* logging */
		return -EOPNOTSUPP;
	err = locate_rings(end, q, addr);
	if (!err)
		q->addr = *addr;
	return err;
}

static long set_eventfd(struct eventfd_ctx **ctx, int fd)
{
	struct eventfd_ctx *new = fd == VHOST_FILE_UNBIND ? NULL : eventfd_ctx_fdget(fd);

	if (IS_ERR(new))
		return PTR_ERR(new);
	swap(*ctx, new);
	if (new)
		eventfd_ctx_put(new);
	return 0;
}

/* The file @fd, a tap, is not used: only starts or stops the queue. */
static long set_backend(struct end *end, struct queue *q, int fd)
{
	if (fd == VHOST_FILE_UNBIND) {
		q->running = false;
		return 0;
	}
	if (q->running)
		return -EBUSY;
	if (!q->ring.num || !q->hdr_len)
		return -EINVAL;
	q->memory = end->memory;
	q->xlate = virtio_mem_xlate_user_context(end->memory);
	return queue_start(q);
}

union vring_arg {
	unsigned int index;	/* the first member of each */
	struct vhost_vring_state state;
	struct vhost_vring_file file;
	struct vhost_vring_addr addr;
};

static long queue_ioctl(struct end *end, struct queue *q, unsigned int cmd, union vring_arg *arg)
{
	switch (cmd) {
	case VHOST_GET_VRING_BASE:
		arg->state.num = q->ring.last_avail;
		return 0;
	case VHOST_SET_VRING_KICK:
		return kick_set(&q->kick, arg->file.fd, end_lane(end, arg->index));
	case VHOST_SET_VRING_CALL:
		return set_eventfd(&q->call, arg->file.fd);
	case VHOST_SET_VRING_ERR:
		return set_eventfd(&q->err, arg->file.fd);
	case VHOST_NET_SET_BACKEND:
		return set_backend(end, q, arg->file.fd);
	}
	if (q->running)
		return -EBUSY;
	switch (cmd) {
	case VHOST_SET_VRING_NUM:
		if (arg->state.num > RING_MAX || !is_power_of_2(arg->state.num))
			return -EINVAL;
		q->ring.num = arg->state.num;
		return 0;
	case VHOST_SET_VRING_BASE:
		if (arg->state.num > 0xffff)
			return -EINVAL;
		q->ring.last_avail = arg->state.num;
		return 0;
	case VHOST_SET_VRING_ADDR:
		return set_addr(end, q, &arg->addr);
	}
	return -ENOTTY;
}

static long vring_ioctl(struct end *end, unsigned int cmd, void __user *argp)
{
	union vring_arg arg = {};
	struct fault fault;
	struct lane *lane;
	long err;

	if (_IOC_SIZE(cmd) > sizeof(arg) || copy_from_user(&arg, argp, _IOC_SIZE(cmd)))
		return -EFAULT;
	if (arg.index >= NR_QUEUES)
		return -ENOBUFS;
	arg.index = array_index_nospec(arg.index, NR_QUEUES);
	lane = end_lane(end, arg.index);
	do {
		scoped_guard(mutex, &lane->lock) {
			err = queue_ioctl(end, end_queue(end, arg.index), cmd, &arg);
			fault = end_queue(end, arg.index)->ring.fault;
		}
		/* The rings of a queue that starts are absent. */
	} while (err == -EAGAIN &&
		 !(err = virtio_mem_xlate_user_fault(end->memory, fault.range, fault.access)));
	if (err)
		return err;
	if (cmd == VHOST_GET_VRING_BASE)
		return copy_to_user(argp, &arg.state, sizeof(arg.state)) ? -EFAULT : 0;
	/* The queue may have chains already. */
	lane_kick(lane);
	return 0;
}

/*
 * The work for a guest counts in the cgroups of its VMM, as in vhost: of the first that says so,
 * as both ends share a worker.
 */
static long set_owner(struct end *end)
{
	struct cable *cable = end->cable;
	long err = 0;

	guard(mutex)(&cables_lock);
	if (!cable->owned)
		err = cgroup_attach_task_all(current, cable->worker->task);
	cable->owned |= !err;
	return err;
}

static long end_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct end *end = file->private_data;
	void __user *argp = (void __user *)arg;
	u64 features;

	if (cmd == VHOST_SET_MEM_TABLE)
		return set_mem_table(end, argp);
	guard(mutex)(&end->lock);
	switch (cmd) {
	case VHOST_GET_FEATURES:
		return put_user(FEATURES, (u64 __user *)argp);
	case VHOST_SET_FEATURES:
		return get_user(features, (u64 __user *)argp) ?: set_features(end, features);
	case VHOST_SET_OWNER:
		return set_owner(end);
	case VHOST_GET_VRING_BASE:
	case VHOST_SET_VRING_KICK:
	case VHOST_SET_VRING_CALL:
	case VHOST_SET_VRING_ERR:
	case VHOST_SET_VRING_NUM:
	case VHOST_SET_VRING_BASE:
	case VHOST_SET_VRING_ADDR:
	case VHOST_NET_SET_BACKEND:
		return vring_ioctl(end, cmd, argp);
	}
	return -ENOTTY;
}

/* A free end of a cable, or an end of a new cable. */
static struct end *end_find(void)
{
	struct cable *cable;
	unsigned int i;

	list_for_each_entry(cable, &cables, list)
		for (i = 0; i < 2; i++)
			if (!cable->ends[i].memory)
				return &cable->ends[i];
	cable = kvzalloc(sizeof(*cable), GFP_KERNEL_ACCOUNT);
	if (!cable)
		return NULL;
	cable->worker = kthread_create_worker(0, "cable");
	if (IS_ERR(cable->worker)) {
		kvfree(cable);
		return NULL;
	}
	cable->faults = alloc_workqueue("cable_fault", WQ_UNBOUND, 2 * NR_QUEUES);
	if (!cable->faults) {
		kthread_destroy_worker(cable->worker);
		kvfree(cable);
		return NULL;
	}
	wake_up_process(cable->worker->task);	/* needed since 6.14, no effect before */
	for (i = 0; i < 2; i++) {
		lane_init(&cable->lanes[i], cable->worker, cable->faults);
		mutex_init(&cable->ends[i].lock);
		cable->ends[i].cable = cable;
	}
	list_add_tail(&cable->list, &cables);
	return &cable->ends[0];
}

static int end_open(struct inode *inode, struct file *file)
{
	struct virtio_mem_xlate_user *memory =
		virtio_mem_xlate_user_create(VIRTIO_MEM_XLATE_USER_CONTIGUOUS);
	struct end *end;

	if (IS_ERR(memory))
		return PTR_ERR(memory);
	scoped_guard(mutex, &cables_lock) {
		end = end_find();
		if (end)
			end->memory = memory;
	}
	if (!end) {
		virtio_mem_xlate_user_destroy(memory);
		return -ENOMEM;
	}
	file->private_data = end;
	return 0;
}

/* Clears the queues of this end.  The other end keeps working, without a peer. */
static int end_release(struct inode *inode, struct file *file)
{
	struct end *end = file->private_data;
	struct cable *cable = end->cable;
	unsigned int i;

	/* A fault may wait for a file that the process closes after this one. */
	virtio_mem_xlate_user_cancel_faults(end->memory);
	for (i = 0; i < NR_QUEUES; i++) {
		struct lane *lane = end_lane(end, i);
		struct queue *q = end_queue(end, i);

		scoped_guard(mutex, &lane->lock)
			q->running = false;
		cancel_work_sync(&q->fault_work);
		scoped_guard(mutex, &lane->lock) {
			kick_set(&q->kick, VHOST_FILE_UNBIND, NULL);
			set_eventfd(&q->call, VHOST_FILE_UNBIND);
			set_eventfd(&q->err, VHOST_FILE_UNBIND);
			memset(q, 0, sizeof(*q));
			queue_init(q, lane);
		}
		/* The lane may wait for room in this end's receive queue. */
		lane_kick(lane);
	}
	virtio_mem_xlate_user_destroy(end->memory);

	guard(mutex)(&cables_lock);
	end->memory = NULL;
	end->nr_updates = 0;
	if (cable->ends[0].memory || cable->ends[1].memory)
		return 0;
	list_del(&cable->list);
	lane_destroy(&cable->lanes[0]);
	lane_destroy(&cable->lanes[1]);
	destroy_workqueue(cable->faults);
	kthread_destroy_worker(cable->worker);
	kvfree(cable);
	return 0;
}

/* Reads without locks: the values may be inconsistent. */
static void end_show(struct seq_file *s, struct file *file)
{
	struct end *end = file->private_data;
	const struct queue *tx = end_queue(end, TX), *rx = end_queue(end, RX);
	const struct lane *lane = end_lane(end, TX);

	seq_printf(s, "sent:\t%llu\nbytes:\t%llu\ndropped:\t%llu\nlate:\t%llu\ntranslated:\t%llu\nstopped:\t%llu\nupdates:\t%lu\nhighest:\t%llu\n",
		   lane->nr_frames, lane->nr_bytes, lane->nr_dropped, lane->nr_late,
		   tx->nr_pieces + rx->nr_pieces, tx->nr_stopped + rx->nr_stopped, end->nr_updates,
		   min(tx->highest_gpa, rx->highest_gpa));
}

static const struct file_operations end_fops = {
	.owner = THIS_MODULE,
	.open = end_open,
	.release = end_release,
	.unlocked_ioctl = end_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.show_fdinfo = end_show,
};

static struct miscdevice end_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = KBUILD_MODNAME,
	.fops = &end_fops,
};

module_misc_device(end_device);

MODULE_DESCRIPTION("A network cable between two guests, for QEMU's vhostfd=");
MODULE_LICENSE("GPL");
