// SPDX-License-Identifier: GPL-2.0
/*
 * A caller with a bug: it never unregisters.  virtio_mem_xlate reports this when it is
 * unloaded:
 *
 *	insmod virtio_mem_xlate_forget.ko
 *	rmmod virtio_mem_xlate_forget
 *	rmmod virtio_mem_xlate
 *	dmesg
 */
#include <linux/err.h>
#include <linux/module.h>

#include <virtio_mem_xlate.h>

static int __init forget_init(void)
{
	return PTR_ERR_OR_ZERO(virtio_mem_xlate_register(NULL, 0));
}
module_init(forget_init);

static void __exit forget_exit(void)
{
	/* virtio_mem_xlate_unregister() belongs here. */
}
module_exit(forget_exit);

MODULE_DESCRIPTION("A caller of virtio_mem_xlate that forgets to unregister");
MODULE_LICENSE("GPL");
