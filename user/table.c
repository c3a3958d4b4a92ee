// SPDX-License-Identifier: GPL-2.0
/*
 * The table of a VMM's memory: a memory map, and the virtio_mem_xlate context with its
 * slots.  A call that sets the table makes a new map, shares the stretches of the
 * current map, pins the rest, publishes the slots and frees the old map.
 */
#include <linux/err.h>
#include <linux/export.h>
#include <linux/kvm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "user.h"

/**
 * struct virtio_mem_xlate_user - all of a VMM's memory
 *
 * Opaque.  virtio_mem_xlate_user_create() makes it, virtio_mem_xlate_user_destroy()
 * undoes it.
 */
struct virtio_mem_xlate_user {
	/* private: */
	struct virtio_mem_xlate *xlate;
	unsigned int flags;
	/*
	 * Guards @map, and keeps it in agreement with the current table of @xlate.
	 * Never held over an access to user memory, as a page fault may wait for ever.
	 */
	struct mutex update;
	struct memory_map *map;		/* NULL: no table has been set */
};

/* Shared stretches stay pinned, whichever table another call publishes meanwhile. */
static int keep(struct virtio_mem_xlate_user *user, struct memory_map *map)
{
	if (mutex_lock_killable(&user->update))
		return -EINTR;
	if (user->map)
		xlate_map_keep(map, user->map);
	mutex_unlock(&user->update);
	return 0;
}

/* Publishes @map, and returns the old map in its place. */
static int publish(struct virtio_mem_xlate_user *user, struct memory_map **map)
{
	struct virtio_mem_xlate_slot *slots;
	unsigned int nr_slots;
	int err;

	slots = xlate_map_slots(*map, &nr_slots);
	if (IS_ERR(slots))
		return PTR_ERR(slots);
	if (mutex_lock_killable(&user->update)) {
		err = -EINTR;
		goto out_free;
	}
	err = virtio_mem_xlate_replace(user->xlate, slots, nr_slots);
	if (!err)
		swap(user->map, *map);
	mutex_unlock(&user->update);
out_free:
	kvfree(slots);
	return err;
}

/**
 * virtio_mem_xlate_user_set_kvm() - set the table from KVM's memory regions
 * @user: the VMM's memory
 * @regions: all regions, in any order, in kernel memory; the call copies them
 * @nr_regions: their number, 0 to %VIRTIO_MEM_XLATE_MAX_SLOTS
 *
 * The call does three things: it pins the new regions, it publishes the new table for
 * all readers at once, and it unpins the removed regions.  A region of the current
 * table stays pinned if this process has set it with the same user address, size and
 * access; its guest address may change.  During the call both the new and the removed
 * regions are charged.  After an error the old table is the current one, and nothing
 * has been pinned, unpinned or charged.
 *
 * KVM_MEM_READONLY makes a region read-only for the device.
 * KVM_MEM_LOG_DIRTY_PAGES is accepted and has no effect: to migrate a guest, the caller
 * must log the device's writes.  @slot is ignored.
 *
 * Concurrent calls are allowed.  Each sets a whole table, and the last call to finish
 * wins.  A call that waits for a page fault does not block the others.
 *
 * Context: Process context of the memory's owner.  May sleep as
 * virtio_mem_xlate_user_pin() does, and until all views have been released: the caller
 * must hold no view of this context.
 * Return: 0, or:
 *
 * * -EINVAL - a region has size 0, ends above U64_MAX or has unknown flags
 * * -EEXIST - two regions share a guest byte
 * * -ENOSPC - too many regions, or too many pieces
 * * -EINTR - a fatal signal is pending
 * * another error of virtio_mem_xlate_user_pin() or virtio_mem_xlate_replace()
 */
int virtio_mem_xlate_user_set_kvm(struct virtio_mem_xlate_user *user,
				  const struct kvm_userspace_memory_region *regions,
				  unsigned int nr_regions)
{
	bool in_pieces = !(user->flags & VIRTIO_MEM_XLATE_USER_CONTIGUOUS);
	struct memory_map *map;
	int err;

	map = xlate_map_alloc(regions, nr_regions);
	if (IS_ERR(map))
		return PTR_ERR(map);
	err = keep(user, map) ?: xlate_map_pin(map, in_pieces) ?: publish(user, &map);
	xlate_map_free(map);
	return err;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_set_kvm);

/**
 * virtio_mem_xlate_user_gpa() - guest-physical address of a byte of the VMM
 * @user: the VMM's memory
 * @uaddr: an address in the VMM, such as that of a ring in VHOST_SET_VRING_ADDR
 * @gpa: out: the guest-physical address
 *
 * The current table decides.  The result is about this one byte: translate a range to
 * check the bytes that follow.
 *
 * Context: Process context.  Waits for calls that publish a table, which wait for
 * views: the caller must hold no view of this context.
 * Return: 0, or -EFAULT if no region has this byte.
 */
int virtio_mem_xlate_user_gpa(struct virtio_mem_xlate_user *user, u64 uaddr, u64 *gpa)
{
	const struct region *region;

	mutex_lock(&user->update);
	region = user->map ? xlate_map_find(user->map, uaddr) : NULL;
	if (region)
		*gpa = region->gpa + (uaddr - region->uaddr);
	mutex_unlock(&user->update);
	return region ? 0 : -EFAULT;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_gpa);

/**
 * virtio_mem_xlate_user_create() - make an empty table for a VMM's memory
 * @flags: 0, to pin each region by virtio_mem_xlate_user_pin_pieces(), or
 *	VIRTIO_MEM_XLATE_USER_CONTIGUOUS, to pin it by virtio_mem_xlate_user_pin()
 *
 * Context: Process context.  May sleep.
 * Return: the object, for virtio_mem_xlate_user_destroy(), or an ERR_PTR: -EINVAL
 * for unknown flags, -ENOMEM.
 */
struct virtio_mem_xlate_user *virtio_mem_xlate_user_create(unsigned int flags)
{
	struct virtio_mem_xlate_user *user;
	struct virtio_mem_xlate *xlate;

	if (flags & ~VIRTIO_MEM_XLATE_USER_CONTIGUOUS)
		return ERR_PTR(-EINVAL);
	user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);
	if (!user)
		return ERR_PTR(-ENOMEM);
	xlate = virtio_mem_xlate_register(NULL, 0);
	if (IS_ERR(xlate)) {
		kfree(user);
		return ERR_CAST(xlate);
	}
	user->xlate = xlate;
	user->flags = flags;
	mutex_init(&user->update);
	return user;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_create);

/**
 * virtio_mem_xlate_user_destroy() - remove and unpin all memory
 * @user: from virtio_mem_xlate_user_create()
 *
 * No call that sets the table may run.  The call unregisters the context: another
 * holder of a reference may still translate through it, and gets -EFAULT for each byte.
 *
 * Context: Process context of any process.  Sleeps until all views have been
 * released: the caller must hold no view of this context.
 */
void virtio_mem_xlate_user_destroy(struct virtio_mem_xlate_user *user)
{
	virtio_mem_xlate_unregister(user->xlate);
	xlate_map_free(user->map);
	mutex_destroy(&user->update);
	kfree(user);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_destroy);

/**
 * virtio_mem_xlate_user_context() - the context to translate through
 * @user: the VMM's memory
 *
 * The context is the same for the whole life of @user.  To use it longer, take a
 * reference by virtio_mem_xlate_get().  Only @user may update it.
 *
 * Context: Any.
 * Return: the context.
 */
struct virtio_mem_xlate *virtio_mem_xlate_user_context(const struct virtio_mem_xlate_user *user)
{
	return user->xlate;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_context);

MODULE_DESCRIPTION("Pin a VMM's memory for virtio_mem_xlate");
MODULE_LICENSE("GPL");
