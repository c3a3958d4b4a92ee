// SPDX-License-Identifier: GPL-2.0
/* A table from the ABI of vhost. */
#include <linux/export.h>
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vhost_types.h>

#include "user.h"

/**
 * virtio_mem_xlate_user_set_vhost() - set the table as VHOST_SET_MEM_TABLE does
 * @user: the VMM's memory
 * @memory: the ioctl's argument, in user memory; each byte is fetched once
 *
 * As virtio_mem_xlate_user_set_kvm(), with all regions readable and writable for the
 * device.  The regions' @flags_padding is ignored, as in vhost.
 *
 * Context: As virtio_mem_xlate_user_set_kvm().
 * Return: 0, -EFAULT if @memory cannot be read, -EOPNOTSUPP if its padding is
 * not 0, or an error of virtio_mem_xlate_user_set_kvm().
 */
int virtio_mem_xlate_user_set_vhost(struct virtio_mem_xlate_user *user,
				    const struct vhost_memory __user *memory)
{
	struct kvm_userspace_memory_region *kvm;
	struct vhost_memory_region vhost;
	struct vhost_memory head;
	unsigned int i;
	int err = -EFAULT;

	if (copy_from_user(&head, memory, sizeof(head)))
		return -EFAULT;
	if (head.padding)
		return -EOPNOTSUPP;
	if (head.nregions > VIRTIO_MEM_XLATE_MAX_SLOTS)
		return -ENOSPC;
	kvm = kvcalloc(head.nregions, sizeof(*kvm), GFP_KERNEL_ACCOUNT);
	if (!kvm)
		return -ENOMEM;
	for (i = 0; i < head.nregions; i++) {
		if (copy_from_user(&vhost, &memory->regions[i], sizeof(vhost)))
			goto out_free;
		kvm[i].guest_phys_addr = vhost.guest_phys_addr;
		kvm[i].memory_size = vhost.memory_size;
		kvm[i].userspace_addr = vhost.userspace_addr;
		cond_resched();
	}
	err = virtio_mem_xlate_user_set_kvm(user, kvm, head.nregions);
out_free:
	kvfree(kvm);
	return err;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_set_vhost);
