// SPDX-License-Identifier: GPL-2.0
/*
 * Lets a program test virtio_mem_xlate_user with its own memory.  For tests only: the
 * caller must not undo an id in use by another thread.
 */
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kvm.h>
#include <linux/ktime.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "../../virtio_mem_xlate_user.h"
#include "device.h"

/* The object of an id: a stretch or a table. */
struct item {
	struct virtio_mem_xlate_user_stretch *stretch;
	struct virtio_mem_xlate_user *user;
	struct virtio_mem_xlate *xlate;
};

static int item_add(struct xarray *items, struct item item)
{
	struct item *new = kmemdup(&item, sizeof(item), GFP_KERNEL);
	u32 id;
	int err;

	if (!new)
		return -ENOMEM;
	err = xa_alloc(items, &id, new, XA_LIMIT(1, INT_MAX), GFP_KERNEL);
	if (err) {
		kfree(new);
		return err;
	}
	return id;
}

static void item_undo(struct item *item)
{
	if (item->user) {
		virtio_mem_xlate_user_destroy(item->user);
	} else {
		if (item->xlate)
			virtio_mem_xlate_unregister(item->xlate);
		virtio_mem_xlate_user_unpin(item->stretch);
	}
}

static int undo(struct xarray *items, u32 id)
{
	struct item *item = xa_erase(items, id);

	if (!item)
		return -ENOENT;
	item_undo(item);
	kfree(item);
	return 0;
}

static struct virtio_mem_xlate *register_stretch(struct virtio_mem_xlate_user_stretch *stretch)
{
	unsigned int nr = virtio_mem_xlate_user_nr_slots(stretch);
	struct virtio_mem_xlate_slot *slots;
	struct virtio_mem_xlate *xlate;

	slots = kvmalloc_array(nr, sizeof(*slots), GFP_KERNEL);
	if (!slots)
		return ERR_PTR(-ENOMEM);
	virtio_mem_xlate_user_slots(stretch, 0, slots);
	xlate = virtio_mem_xlate_register(slots, nr);
	kvfree(slots);
	return xlate;
}

struct pin_work {
	struct work_struct work;
	const struct test_pin *pin;
	struct virtio_mem_xlate_user_stretch *stretch;
};

static void pin_here(struct work_struct *work)
{
	struct pin_work *here = container_of(work, struct pin_work, work);
	const struct test_pin *pin = here->pin;

	here->stretch = pin->flags & TEST_PIECES ?
		virtio_mem_xlate_user_pin_pieces(pin->uaddr, pin->size, pin->access) :
		virtio_mem_xlate_user_pin(pin->uaddr, pin->size, pin->access);
}

static int pin(struct xarray *items, struct test_pin *pin)
{
	struct pin_work pin_work = { .pin = pin };
	struct item item = {};
	ktime_t start = ktime_get();
	int id;

	if (pin->flags & TEST_KTHREAD) {
		INIT_WORK_ONSTACK(&pin_work.work, pin_here);
		schedule_work(&pin_work.work);
		flush_work(&pin_work.work);
		destroy_work_on_stack(&pin_work.work);
	} else {
		pin_here(&pin_work.work);
	}
	item.stretch = pin_work.stretch;
	if (IS_ERR(item.stretch))
		return PTR_ERR(item.stretch);
	pin->kva = (uintptr_t)virtio_mem_xlate_user_kva(item.stretch);
	pin->nr_slots = virtio_mem_xlate_user_nr_slots(item.stretch);
	if (pin->flags & TEST_TRANSLATE) {
		item.xlate = register_stretch(item.stretch);
		if (IS_ERR(item.xlate)) {
			virtio_mem_xlate_user_unpin(item.stretch);
			return PTR_ERR(item.xlate);
		}
	}
	pin->pin_ns = ktime_to_ns(ktime_sub(ktime_get(), start));
	id = item_add(items, item);
	if (id < 0) {
		item_undo(&item);
		return id;
	}
	pin->id = id;
	return 0;
}

static int create(struct xarray *items, unsigned int flags)
{
	struct item item = {};
	int id;

	item.user = virtio_mem_xlate_user_create(flags);
	if (IS_ERR(item.user))
		return PTR_ERR(item.user);
	item.xlate = virtio_mem_xlate_user_context(item.user);
	id = item_add(items, item);
	if (id < 0)
		item_undo(&item);
	return id;
}

static int set(struct item *item, const struct test_set *set)
{
	struct kvm_userspace_memory_region __user *from = u64_to_user_ptr(set->kvm);
	struct kvm_userspace_memory_region *regions;
	unsigned int i;
	int err = -EINVAL;

	if (set->vhost)
		return virtio_mem_xlate_user_set_vhost(item->user, u64_to_user_ptr(set->vhost));
	regions = kvmalloc_array(set->nr_kvm, sizeof(*regions), GFP_KERNEL);
	if (!regions)
		return -ENOMEM;
	for (i = 0; i < set->nr_kvm; i++) {
		if (copy_from_user(&regions[i], &from[i], sizeof(*from)))
			goto out_free;
		cond_resched();
	}
	err = virtio_mem_xlate_user_set_kvm(item->user, regions, set->nr_kvm);
out_free:
	kvfree(regions);
	return err;
}

static int copy(const struct virtio_mem_xlate_view *view, const struct test_copy *copy)
{
	void __user *ubuf = u64_to_user_ptr(copy->buf);
	struct virtio_driver_range driver;
	void *buf;
	int err;

	err = virtio_driver_range_init(&driver, copy->gpa, copy->len);
	if (err)
		return err;
	buf = vmemdup_user(ubuf, copy->len);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	if (copy->to_guest)
		err = virtio_mem_xlate_copy_to(view, driver, buf);
	else
		err = virtio_mem_xlate_copy_from(view, buf, driver);
	if (!err && !copy->to_guest && copy_to_user(ubuf, buf, copy->len))
		err = -EINVAL;
	kvfree(buf);
	return err;
}

static int hold(struct item *item, const struct test_hold *hold)
{
	CLASS(virtio_mem_xlate_view, view)(item->xlate);
	int err = copy(&view, &hold->copy);

	msleep(hold->ms);
	return err ?: copy(&view, &hold->copy);
}

struct fault_work {
	struct work_struct work;
	struct virtio_mem_xlate_user *user;
	const struct test_fault *fault;
	int err;
};

static void fault_here(struct work_struct *work)
{
	struct fault_work *here = container_of(work, struct fault_work, work);
	struct virtio_driver_range range = { here->fault->gpa, here->fault->len };

	here->err = virtio_mem_xlate_user_fault(here->user, range, here->fault->access);
}

static int fault(struct item *item, const struct test_fault *fault)
{
	struct fault_work fault_work = { .user = item->user, .fault = fault };

	if (!(fault->flags & TEST_KTHREAD)) {
		fault_here(&fault_work.work);
		return fault_work.err;
	}
	INIT_WORK_ONSTACK(&fault_work.work, fault_here);
	schedule_work(&fault_work.work);
	flush_work(&fault_work.work);
	destroy_work_on_stack(&fault_work.work);
	return fault_work.err;
}

#define READ_SIZE	64

static u64 read_all(struct virtio_device_range device)
{
	const u64 *words = virtio_device_range_array(device, u64, READ_SIZE / sizeof(u64));
	u64 sum = 0;
	int i;

	for (i = 0; words && i < READ_SIZE / sizeof(u64); i++)
		sum += READ_ONCE(words[i]);
	return sum;
}

static int bench(struct item *item, struct test_bench *bench)
{
	u64 reads = div_u64(bench->size, READ_SIZE), random = 1, sum = 0, i;
	ktime_t start = ktime_get();
	int err = 0;

	for (i = 0; i < bench->count && !err; i++) {
		CLASS(virtio_mem_xlate_view, view)(item->xlate);
		struct virtio_driver_range driver = { .len = READ_SIZE };
		struct virtio_device_range device;

		random = random * 6364136223846793005ULL + 1442695040888963407ULL;
		driver.start = mul_u64_u32_shr(reads, random >> 32, 32) * READ_SIZE;
		err = virtio_mem_xlate_range(&view, driver, VIRTIO_MEM_XLATE_READ, &device);
		sum += read_all(device);
		if (i % 4096 == 0)
			cond_resched();
	}
	bench->ns = ktime_to_ns(ktime_sub(ktime_get(), start));
	OPTIMIZER_HIDE_VAR(sum);
	return err;
}

/* Writes a byte by the kernel's mapping; -EFAULT if the mapping is read-only. */
static int poke(struct item *item)
{
	char *kva = virtio_mem_xlate_user_kva(item->stretch);
	char byte = 'p';

	/* User-mode Linux cannot handle this fault. */
	if (IS_ENABLED(CONFIG_UML))
		return -EOPNOTSUPP;
	pagefault_disable();
	__put_kernel_nofault(kva, &byte, char, err_fault);
	pagefault_enable();
	return 0;
err_fault:
	pagefault_enable();
	return -EFAULT;
}

static int unpin_atomic(struct xarray *items, u32 id)
{
	int err;

	preempt_disable();
	err = undo(items, id);
	preempt_enable();
	return err;
}

static long test_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct xarray *items = file->private_data;
	void __user *uarg = (void __user *)arg;
	union {
		u32 id;
		struct test_pin pin;
		struct test_set set;
		struct test_copy copy;
		struct test_hold hold;
		struct test_bench bench;
		struct test_gpa gpa;
		struct test_fault fault;
		struct test_log log;
	} req = {};
	struct item *item;
	int ret;

	if (!_IOC_SIZE(cmd))
		req.id = arg;
	else if (_IOC_SIZE(cmd) > sizeof(req) || copy_from_user(&req, uarg, _IOC_SIZE(cmd)))
		return -EINVAL;

	switch (cmd) {
	case TEST_PIN:
		ret = pin(items, &req.pin);
		goto out;
	case TEST_CREATE:
		return create(items, arg);
	case TEST_UNDO:
		return undo(items, arg);
	case TEST_UNPIN_ATOMIC:
		return unpin_atomic(items, arg);
	}

	item = xa_load(items, req.id);
	if (!item)
		return -ENOENT;
	switch (cmd) {
	case TEST_SET:
		return item->user ? set(item, &req.set) : -EINVAL;
	case TEST_HOLD:
		return hold(item, &req.hold);
	case TEST_COPY: {
		CLASS(virtio_mem_xlate_view, view)(item->xlate);

		return copy(&view, &req.copy);
	}
	case TEST_POKE:
		return poke(item);
	case TEST_FAULT:
		return item->user ? fault(item, &req.fault) : -EINVAL;
	case TEST_LOG:
		return item->user ? virtio_mem_xlate_user_set_log(item->user, req.log.uaddr,
								  req.log.size) : -EINVAL;
	case TEST_BENCH:
		ret = bench(item, &req.bench);
		break;
	case TEST_GPA:
		if (!item->user)
			return -EINVAL;
		ret = virtio_mem_xlate_user_gpa(item->user, req.gpa.uaddr, &req.gpa.gpa);
		break;
	default:
		return -ENOTTY;
	}
out:
	if (!ret && copy_to_user(uarg, &req, _IOC_SIZE(cmd)))
		return -EINVAL;
	return ret;
}

static int test_open(struct inode *inode, struct file *file)
{
	struct xarray *items = kmalloc(sizeof(*items), GFP_KERNEL);

	if (!items)
		return -ENOMEM;
	xa_init_flags(items, XA_FLAGS_ALLOC);
	file->private_data = items;
	return 0;
}

static int test_release(struct inode *inode, struct file *file)
{
	struct xarray *items = file->private_data;
	struct item *item;
	unsigned long id;

	xa_for_each(items, id, item)
		undo(items, id);
	xa_destroy(items);
	kfree(items);
	return 0;
}

/* A page with the mapping of a file, which must stay open. */
struct test_page {
	struct page *page;
	struct address_space mapping;
};

static const struct address_space_operations test_page_aops = { .dirty_folio = noop_dirty_folio };

static void test_page_free(struct test_page *page)
{
	page->page->mapping = NULL;
	put_page(page->page);
	kfree(page);
}

static void test_vma_close(struct vm_area_struct *vma)
{
	test_page_free(vma->vm_private_data);
}

static const struct vm_operations_struct test_vm_ops = { .close = test_vma_close };

static struct test_page *test_page_new(unsigned long of)
{
	struct test_page *page = kzalloc(sizeof(*page), GFP_KERNEL);
	struct file *file;

	if (!page)
		return NULL;
	page->page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!page->page) {
		kfree(page);
		return NULL;
	}
	file = of < TEST_MMAP_OF(0) ? NULL : fget(of - TEST_MMAP_OF(0));
	if (file) {
		page->mapping.host = file_inode(file);
		page->mapping.a_ops = &test_page_aops;
		page->page->mapping = &page->mapping;
		fput(file);
	}
	return page;
}

static int test_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct test_page *page;
	int err;

	if (vma->vm_pgoff == TEST_MMAP_SLOW) {
		/* 200 ms longer, so that the process's other threads end first. */
		schedule_timeout_killable(10 * HZ);
		msleep(200);
		return -ENODEV;
	}
	page = test_page_new(vma->vm_pgoff);
	if (!page)
		return -ENOMEM;
	if (vma->vm_pgoff == TEST_MMAP_PFN)
		err = remap_pfn_range(vma, vma->vm_start, page_to_pfn(page->page), PAGE_SIZE,
				      vma->vm_page_prot);
	else
		err = vm_insert_page(vma, vma->vm_start, page->page);
	if (err) {
		test_page_free(page);
		return err;
	}
	vma->vm_private_data = page;
	vma->vm_ops = &test_vm_ops;
	return 0;
}

static const struct file_operations test_fops = {
	.owner = THIS_MODULE,
	.open = test_open,
	.release = test_release,
	.unlocked_ioctl = test_ioctl,
	.mmap = test_mmap,
};

static struct miscdevice test_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "virtio_mem_xlate_user_test",
	.fops = &test_fops,
};
module_misc_device(test_device);

MODULE_DESCRIPTION("Tests of virtio_mem_xlate_user, by a program's own memory");
MODULE_LICENSE("GPL");
