// SPDX-License-Identifier: GPL-2.0
/*
 * An example of a caller of virtio_mem_xlate: memory.c registers and updates the
 * memory, queue.c translates a virtqueue, watch.c counts the results.
 *
 * The machine has both roles: its own unmodified virtio drivers are the guest, and the
 * demo reads the virtqueues beside the real devices.  Load it while the virtqueues are
 * idle, make traffic, unload it, and read the log:
 *
 *	insmod virtio_mem_xlate_demo.ko update=1 ram=$(sed -n \
 *		's/^\(.*\)-\(.*\) : System RAM/0x\1,0x\2/p' /proc/iomem | paste -sd,)
 *
 * Boot with no_hash_pointers to see kernel addresses.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "demo.h"

static bool update;
module_param(update, bool, 0444);
MODULE_PARM_DESC(update, "update the table continuously");

static char *hostile;
module_param(hostile, charp, 0444);
MODULE_PARM_DESC(hostile, "file of ranges to translate, one a line: start len access # comment");

static void hostile_try(const char *line)
{
	CLASS(virtio_mem_xlate_view, view)(xlate);
	struct virtio_device_range range;
	unsigned long long gpa, len;
	unsigned int access;
	int err;

	if (sscanf(line, "%llx %llx %x", &gpa, &len, &access) != 3)
		return;
	err = range_translate(&view, gpa, len, access, &range);
	if (err)
		pr_info("hostile: %-10pe %s\n", ERR_PTR(err), line);
	else
		pr_info("hostile: %-10s %s\n", "ok", line);
}

static int hostile_file(const char *path)
{
	char *text, *next, *line;
	struct file *file;
	ssize_t len;

	file = filp_open(path, O_RDONLY, 0);
	if (IS_ERR(file))
		return PTR_ERR(file);
	text = kzalloc(SZ_64K, GFP_KERNEL);
	len = text ? kernel_read(file, text, SZ_64K - 1, NULL) : -ENOMEM;
	next = text;
	while (len >= 0 && (line = strsep(&next, "\n")))
		hostile_try(line);
	kfree(text);
	filp_close(file, NULL);
	return len < 0 ? len : 0;
}

/* In this order: the last reader ends before the memory is unregistered. */
static void demo_end(void)
{
	memory_updates_stop();
	watch_stop();
	memory_unregister();
}

static int __init demo_init(void)
{
	int err;

	err = memory_register() ?:
	      (hostile ? hostile_file(hostile) : 0) ?:
	      watch_start() ?:
	      (update ? memory_updates_start() : 0);
	if (err) {
		demo_end();
		watch_free();
	}
	return err;
}
module_init(demo_init);

static void __exit demo_exit(void)
{
	bool pass;

	demo_end();
	pass = watch_show();
	pass &= memory_updates_show();
	pr_info("%s\n", pass ? "PASS" : "FAIL");
	watch_free();
}
module_exit(demo_exit);

MODULE_DESCRIPTION("Translate what the virtio drivers of this machine publish");
MODULE_LICENSE("GPL");
