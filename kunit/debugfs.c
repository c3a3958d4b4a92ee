// SPDX-License-Identifier: GPL-2.0
/* The files of a context in debugfs, and the counters of failed lookups. */
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/mount.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "helpers.h"

#define MAX_ID	64

static struct vfsmount *mount;

/* d_alloc_parallel() has a race of its own, which KCSAN would report with our names. */
static DEFINE_MUTEX(lookups);

static int mount_debugfs(struct kunit_suite *suite)
{
	struct file_system_type *type = get_fs_type("debugfs");

	if (!type)
		return -ENODEV;
	mount = kern_mount(type);
	return PTR_ERR_OR_ZERO(mount);
}

static void unmount_debugfs(struct kunit_suite *suite)
{
	kern_unmount(mount);
}

/* virtio_mem_xlate/@id/@name, or an ERR_PTR. */
static struct file *open_id(unsigned int id, const char *name)
{
	struct dentry *top, *dir = NULL, *dentry = NULL;
	struct file *file = ERR_PTR(-ENOENT);
	char number[16];

	snprintf(number, sizeof(number), "%u", id);
	scoped_guard(mutex, &lookups) {
		top = debugfs_lookup("virtio_mem_xlate", NULL);
		if (top)
			dir = debugfs_lookup(number, top);
		if (dir)
			dentry = debugfs_lookup(name, dir);
	}
	if (dentry)
		file = dentry_open(&(struct path){ .mnt = mount, .dentry = dentry },
				   O_RDONLY, current_cred());
	dput(dentry);
	dput(dir);
	dput(top);
	return file;
}

/* The file @name of @xlate: the private data of the inode begins with the context. */
static struct file *open_for(struct virtio_mem_xlate *xlate, const char *name)
{
	unsigned int id;

	for (id = 0; id < MAX_ID; id++) {
		struct file *file = open_id(id, name);

		if (IS_ERR(file))
			continue;
		if (*(struct virtio_mem_xlate **)file_inode(file)->i_private == xlate)
			return file;
		__fput_sync(file);
	}
	return ERR_PTR(-ENOENT);
}

/* Reads the whole file into kernel memory, which debugfs has no function for. */
static ssize_t read_all(struct file *file, char *buffer, size_t size)
{
	struct kvec kvec = { buffer, size - 1 };
	struct iov_iter iter;
	struct kiocb kiocb;
	ssize_t ret;

	ret = debugfs_file_get(file->f_path.dentry);
	if (ret)
		return ret;
	init_sync_kiocb(&kiocb, file);
	iov_iter_kvec(&iter, READ, &kvec, 1, kvec.iov_len);
	ret = seq_read_iter(&kiocb, &iter);
	debugfs_file_put(file->f_path.dentry);
	buffer[max_t(ssize_t, ret, 0)] = '\0';
	return ret;
}

static const char *read_for(struct kunit *test, struct virtio_mem_xlate *xlate, const char *name)
{
	char *buffer = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	struct file *file = open_for(xlate, name);

	KUNIT_ASSERT_NOT_NULL(test, buffer);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	KUNIT_EXPECT_GT(test, read_all(file, buffer, PAGE_SIZE), 0);
	__fput_sync(file);
	return buffer;
}

/* The value of @key in the file stat. */
static long long stat_of(struct kunit *test, struct virtio_mem_xlate *xlate, const char *key)
{
	const char *stat = read_for(test, xlate, "stat"), *line;
	long long value = -1;
	char want[24];

	snprintf(want, sizeof(want), "\n%s ", key);
	line = strstr(stat, want);
	KUNIT_EXPECT_NOT_NULL_MSG(test, line, "no %s in %s", key, stat);
	if (line)
		KUNIT_EXPECT_EQ(test, sscanf(line + strlen(want), "%lld", &value), 1);
	return value;
}

static const struct failure {
	const char *name;
	int err;
} failures[] = {
	{ "EFAULT", -EFAULT },
	{ "EPERM", -EPERM },
	{ "ENOBUFS", -ENOBUFS },
	{ "EOVERFLOW", -EOVERFLOW },
	{ "EINVAL", -EINVAL },
	{ "EAGAIN", -EAGAIN },
	{ "EOPNOTSUPP", -EOPNOTSUPP },
};

static u8 bytes[0x200];

static int call_range(const struct virtio_mem_xlate_view *view, struct virtio_driver_range driver,
		      unsigned int access)
{
	struct virtio_device_range device;

	return virtio_mem_xlate_range(view, driver, access, &device);
}

static int call_next(const struct virtio_mem_xlate_view *view, struct virtio_driver_range driver,
		     unsigned int access)
{
	struct virtio_device_range device;

	return virtio_mem_xlate_next(view, &driver, access, &device);
}

static int call_kvec_of_1(const struct virtio_mem_xlate_view *view,
			  struct virtio_driver_range driver, unsigned int access)
{
	struct kvec kvec;

	return virtio_mem_xlate_kvec(view, driver, access, &kvec, 1);
}

static int call_kvec_of_4(const struct virtio_mem_xlate_view *view,
			  struct virtio_driver_range driver, unsigned int access)
{
	struct kvec kvec[4];

	return virtio_mem_xlate_kvec(view, driver, access, kvec, 4);
}

static int call_copy_from(const struct virtio_mem_xlate_view *view,
			  struct virtio_driver_range driver, unsigned int access)
{
	u8 buffer[64];

	return virtio_mem_xlate_copy_from(view, buffer, driver);
}

static int call_copy_to(const struct virtio_mem_xlate_view *view,
			struct virtio_driver_range driver, unsigned int access)
{
	u8 buffer[64] = {};

	return virtio_mem_xlate_copy_to(view, driver, buffer);
}

static const struct call_case {
	const char *name;
	int (*call)(const struct virtio_mem_xlate_view *view, struct virtio_driver_range driver,
		    unsigned int access);
	unsigned int errors;	/* how many of failures[] the questions below cause */
} call_cases[] = {
	{ "range", call_range, 5 },
	{ "next", call_next, 4 },
	{ "kvec, room for 1", call_kvec_of_1, 5 },
	{ "kvec, room for 4", call_kvec_of_4, 4 },
	{ "copy_from", call_copy_from, 3 },
	{ "copy_to", call_copy_to, 3 },
};

static void call_desc(const struct call_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(call, call_cases, call_desc);

/* Three slots that touch in the guest only; the last allows one kind of access. */
static const struct {
	struct virtio_driver_range range;
	unsigned int access;
} asked[] = {
	{ { 0x1000, 0x10 }, R },
	{ { 0x1000, 0x10 }, RW },
	{ { 0x10f8, 0x10 }, R },		/* two pieces */
	{ { 0x0ff8, 0x10 }, R },		/* starts below */
	{ { 0x11f8, 0x10 }, R },
	{ { 0x11f8, 0x10 }, W },
	{ { 0x10f8, 0x10 }, W },
	{ { 0x12f8, 0x10 }, R },		/* ends behind */
	{ { 0x12f8, 0x10 }, W },
	{ { 0, 0 }, R },
	{ { 0x2000, 1 }, R },
	{ { U64_MAX, 2 }, R },
	{ { U64_MAX - 0xf, 0x20 }, W },
	{ { 0x1000, 0x10 }, 0 },
	{ { 0x2000, 0x10 }, 4 },
	{ { 0x1000, U64_MAX }, RW },
};

static void failures_are_counted(struct kunit *test)
{
	const struct virtio_mem_xlate_slot slots[] = {
		{ 0x1000, 0x100, bytes + 0x100, RW },
		{ 0x1100, 0x100, bytes, RW },
		{ 0x1200, 0x100, bytes + 0x80, test->param_value == &call_cases[5] ? R : W },
	};
	struct virtio_mem_xlate *xlate = register_for_test(test, slots, ARRAY_SIZE(slots));
	const struct call_case *c = test->param_value;
	long long want[ARRAY_SIZE(failures)] = {};
	unsigned int i, j, errors = 0;

	for (i = 0; i < ARRAY_SIZE(asked); i++) {
		int ret;

		{
			CLASS(virtio_mem_xlate_view, view)(xlate);

			ret = c->call(&view, asked[i].range, asked[i].access);
		}
		for (j = 0; j < ARRAY_SIZE(failures); j++) {
			want[j] += ret == failures[j].err;
			KUNIT_EXPECT_EQ_MSG(test, stat_of(test, xlate, failures[j].name), want[j],
					    "%s after range %u gave %d", failures[j].name, i, ret);
		}
	}
	for (j = 0; j < ARRAY_SIZE(failures); j++)
		errors += want[j] != 0;
	KUNIT_EXPECT_EQ(test, errors, c->errors);
}

static void expect_slots(struct kunit *test, struct virtio_mem_xlate *xlate,
			 const struct virtio_mem_xlate_slot *slots, unsigned int nr_slots)
{
	static const char * const access[] = { "", "r", "w", "rw" };
	const char *at = read_for(test, xlate, "slots");
	char want[80];
	unsigned int i;

	KUNIT_EXPECT_EQ(test, stat_of(test, xlate, "slots"), nr_slots);
	KUNIT_EXPECT_PTR_EQ(test, strstr(at, "gpa size kva access owner\n"), at);
	for (i = 0; i < nr_slots; i++) {
		at = strchrnul(at, '\n') + 1;
		snprintf(want, sizeof(want), "0x%016llx 0x%016llx %p %s slots_are_shown",
			 slots[i].gpa, slots[i].size, slots[i].kva, access[slots[i].access]);
		KUNIT_EXPECT_PTR_EQ_MSG(test, strstr(at, want), at, "no '%s' at '%s'", want, at);
	}
	KUNIT_EXPECT_STREQ(test, strchrnul(at, '\n'), "\n");
}

static void slots_are_shown(struct kunit *test)
{
	struct virtio_mem_xlate_slot slots[] = {
		{ 0, 0x10, bytes, R },
		{ 0x1000, 0x101, bytes + 1, W },
		{ 1ULL << 40, 0x200, bytes, RW },
	};
	struct virtio_mem_xlate *xlate;
	struct file *file;
	char buffer[16];

	xlate = virtio_mem_xlate_register(slots, 3);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, xlate);
	expect_slots(test, xlate, slots, 3);
	KUNIT_EXPECT_GT(test, stat_of(test, xlate, "table_bytes"), 3 * sizeof(slots[0]));
	KUNIT_EXPECT_EQ(test, stat_of(test, xlate, "updates"), 0);

	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, 0x1000, 0x101), 0);
	slots[1] = slots[2];
	expect_slots(test, xlate, slots, 2);
	KUNIT_EXPECT_EQ(test, stat_of(test, xlate, "updates"), 1);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, 0x1000, 0x101), -ENOENT);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, slots, 1), -EEXIST);
	KUNIT_EXPECT_EQ(test, stat_of(test, xlate, "updates"), 1);

	slots[2].gpa <<= 1;
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, &slots[2], 1), 0);
	expect_slots(test, xlate, slots, 3);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_replace(xlate, &slots[2], 1), 0);
	expect_slots(test, xlate, &slots[2], 1);
	KUNIT_EXPECT_EQ(test, stat_of(test, xlate, "updates"), 3);

	file = open_for(virtio_mem_xlate_get(xlate), "slots");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	virtio_mem_xlate_unregister(xlate);
	expect_slots(test, xlate, NULL, 0);
	KUNIT_EXPECT_EQ(test, stat_of(test, xlate, "updates"), 4);

	virtio_mem_xlate_put(xlate);
	KUNIT_EXPECT_TRUE(test, wait_until(read_all(file, buffer, sizeof(buffer)) < 0));
	KUNIT_EXPECT_EQ(test, read_all(file, buffer, sizeof(buffer)), -EIO);
	__fput_sync(file);
}

#define REMOVED	257

/* The removal of 257 slots counts as one update. */
static void removal_of_many_is_one_update(struct kunit *test)
{
	struct virtio_mem_xlate_slot *slots;
	struct virtio_mem_xlate *xlate;
	unsigned int i;

	slots = kunit_kcalloc(test, REMOVED, sizeof(*slots), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, slots);
	for (i = 0; i < REMOVED; i++)
		slots[i] = (struct virtio_mem_xlate_slot){ 0x200 * i, 0x100, bytes, RW };
	xlate = register_for_test(test, slots, REMOVED);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, 0, 0x200 * REMOVED - 0x100), 0);
	KUNIT_EXPECT_EQ(test, stat_of(test, xlate, "slots"), 0);
	KUNIT_EXPECT_EQ(test, stat_of(test, xlate, "updates"), 1);
}

struct replace_work {
	struct work_struct work;
	struct virtio_mem_xlate *xlate;
	int ret;
};

static void replace_work(struct work_struct *work)
{
	struct replace_work *replace = container_of(work, struct replace_work, work);

	replace->ret = virtio_mem_xlate_replace(replace->xlate, NULL, 0);
}

/* debugfs shows that an update waits for a view, and afterwards how long it waited. */
static void waits_are_shown(struct kunit *test)
{
	struct replace_work replace = { .xlate = register_for_test(test, NULL, 0), .ret = 1 };
	struct virtio_mem_xlate_view view;

	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_replace(replace.xlate, NULL, 0), 0);
	KUNIT_EXPECT_LT(test, stat_of(test, replace.xlate, "waited_max_ns"), 10 * NSEC_PER_SEC);
	INIT_WORK_ONSTACK(&replace.work, replace_work);
	virtio_mem_xlate_read_lock(replace.xlate, &view);
	schedule_work(&replace.work);
	KUNIT_EXPECT_TRUE(test, wait_until(stat_of(test, replace.xlate, "waiting") == 1));
	KUNIT_EXPECT_EQ(test, stat_of(test, replace.xlate, "updates"), 2);
	msleep(20);
	virtio_mem_xlate_read_unlock(&view);
	flush_work(&replace.work);
	destroy_work_on_stack(&replace.work);
	KUNIT_EXPECT_EQ(test, replace.ret, 0);
	KUNIT_EXPECT_EQ(test, stat_of(test, replace.xlate, "waiting"), 0);
	KUNIT_EXPECT_GE(test, stat_of(test, replace.xlate, "waited_max_ns"), 20 * NSEC_PER_MSEC);
	KUNIT_EXPECT_GE(test, stat_of(test, replace.xlate, "waited_ns"),
			stat_of(test, replace.xlate, "waited_max_ns"));
}

struct watcher {
	const char *name;
	struct task_struct *task;
	unsigned long read, gone;
	char buffer[1024];
};

static int watch(void *data)
{
	struct watcher *watcher = data;
	unsigned int id = 0;

	while (!kthread_should_stop()) {
		struct file *file = open_id(id, watcher->name);

		id = (id + 1) % 4;
		if (!id && !IS_ENABLED(CONFIG_SMP))
			msleep(20);	/* leave the only processor to the test */
		if (!IS_ERR(file)) {
			if (read_all(file, watcher->buffer, sizeof(watcher->buffer)) > 0)
				watcher->read++;
			else
				watcher->gone++;
			__fput_sync(file);
		}
		cond_resched();
	}
	return 0;
}

/* Contexts are registered and unregistered while threads read their files. */
static void files_against_unregister(struct kunit *test)
{
	struct watcher *watchers = kunit_kcalloc(test, 2, sizeof(*watchers), GFP_KERNEL);
	unsigned long end = jiffies + msecs_to_jiffies(RACE_MS), late = end + 5 * HZ;
	unsigned int i, rounds = 0;

	KUNIT_ASSERT_NOT_NULL(test, watchers);
	watchers[0].name = "slots";
	watchers[1].name = "stat";
	for (i = 0; i < 2; i++) {
		watchers[i].task = kthread_run(watch, &watchers[i], "watcher");
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, watchers[i].task);
	}
	while (time_before(jiffies, end) ||
	       (time_before(jiffies, late) &&
		!(READ_ONCE(watchers[0].read) && READ_ONCE(watchers[1].read)))) {
		const struct virtio_mem_xlate_slot slot = { rounds, 0x100, bytes, RW };
		struct virtio_mem_xlate *xlate = virtio_mem_xlate_register(&slot, 1);

		if (IS_ERR(xlate)) {
			KUNIT_FAIL(test, "register: %pe", xlate);
			break;
		}
		virtio_mem_xlate_remove(xlate, rounds, 0x100);
		virtio_mem_xlate_add(xlate, &slot, 1);
		virtio_mem_xlate_unregister(xlate);
		rounds++;
		cond_resched();
	}
	for (i = 0; i < 2; i++) {
		kthread_stop(watchers[i].task);
		KUNIT_EXPECT_GT(test, watchers[i].read, 0);
	}
	kunit_info(test, "%u contexts, %lu + %lu reads, %lu + %lu too late", rounds,
		   watchers[0].read, watchers[1].read, watchers[0].gone, watchers[1].gone);
}

static void count_callback(struct virtio_mem_xlate_callback *callback)
{
}

/* Holds, callbacks that wait for them, absent slots, the log and marks beyond it. */
static void readers_and_flips_are_shown(struct kunit *test)
{
	const struct virtio_mem_xlate_slot slots[] = {
		{ 0, 0x100, bytes, RW }, { 0x1000, 0x100, NULL, VIRTIO_MEM_XLATE_ABSENT },
	};
	struct virtio_mem_xlate *xlate = register_for_test(test, slots, 2);
	static struct virtio_mem_xlate_callback callbacks[2];
	struct virtio_mem_xlate_hold holds[3];
	static unsigned long bitmap;
	unsigned int i;

	KUNIT_EXPECT_EQ(test, stat_of(test, xlate, "holds"), 0);
	KUNIT_EXPECT_EQ(test, stat_of(test, xlate, "callbacks"), 0);
	KUNIT_EXPECT_EQ(test, stat_of(test, xlate, "absent"), 1);
	KUNIT_EXPECT_NOT_NULL(test, strstr(read_for(test, xlate, "stat"), "\nlog off\n"));
	KUNIT_EXPECT_NOT_NULL(test, strstr(read_for(test, xlate, "slots"), " absent "));
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_set_absent(xlate, 0, 0x100), 0);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_log_start(xlate, &bitmap, 2), 0);
	{
		CLASS(virtio_mem_xlate_view, view)(xlate);

		for (i = 0; i < ARRAY_SIZE(holds); i++)
			virtio_mem_xlate_hold(&view, &holds[i]);
		virtio_mem_xlate_dirty(&view, (struct virtio_driver_range){ 0x1000, 0x3000 });
	}
	for (i = 0; i < ARRAY_SIZE(callbacks); i++)
		virtio_mem_xlate_call(xlate, &callbacks[i], count_callback);
	KUNIT_EXPECT_EQ(test, stat_of(test, xlate, "holds"), 3);
	KUNIT_EXPECT_EQ(test, stat_of(test, xlate, "callbacks"), 2);
	KUNIT_EXPECT_EQ(test, stat_of(test, xlate, "absent"), 2);
	KUNIT_EXPECT_EQ(test, stat_of(test, xlate, "slots"), 2);
	KUNIT_EXPECT_EQ(test, stat_of(test, xlate, "beyond_log"), 2);
	KUNIT_EXPECT_NOT_NULL(test, strstr(read_for(test, xlate, "stat"), "\nlog on\n"));
	for (i = 0; i < ARRAY_SIZE(holds); i++)
		virtio_mem_xlate_release(&holds[i]);
	KUNIT_EXPECT_TRUE(test, wait_until(!stat_of(test, xlate, "callbacks")));
	KUNIT_EXPECT_EQ(test, stat_of(test, xlate, "holds"), 0);
	virtio_mem_xlate_log_stop(xlate);
}

/* The picture of docs/table.rst, and the same with a slot removed. */
static void the_index_is_drawn(struct kunit *test)
{
	const struct virtio_mem_xlate_slot slots[] = {
		{ 0, 0xa0000, (void *)0x10000000, RW },
		{ 0xc0000, 0x20000, (void *)0x100c0000, R },
		{ 0x100000, 0x3ff00000, (void *)0x10100000, RW },
		{ 0xfffc0000, 0x40000, (void *)0x10000000, R },
		{ 0x100000000, 0x40000000, (void *)0x20000000, RW },
	};
	struct virtio_mem_xlate *xlate = register_for_test(test, slots, ARRAY_SIZE(slots));

	if (BITS_PER_LONG == 32)
		kunit_skip(test, "the picture is of a 64-bit host");
	KUNIT_EXPECT_STREQ(test, read_for(test, xlate, "index"),
			   "5 slots, 160 of 384 entries, far: search 8 from slot 0\n"
			   "0x0000000000000000 1 x 2^25 search 4 from slot 0\n"
			   "0x0000000002000000 31 x 2^25 direct rw\n"
			   "0x0000000040000000 96 x 2^25 search 4 from slot 2\n"
			   "0x0000000100000000 32 x 2^25 direct rw\n");
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, 0x100000, 0x3ff00000), 0);
	KUNIT_EXPECT_STREQ(test, read_for(test, xlate, "index"),
			   "5 slots, 160 of 384 entries, far: search 8 from slot 0\n"
			   "0x0000000000000000 1 x 2^25 search 4 from slot 0\n"
			   "0x0000000002000000 31 x 2^25 search 4 from slot 2\n"
			   "0x0000000040000000 96 x 2^25 search 4 from slot 2\n"
			   "0x0000000100000000 32 x 2^25 direct rw\n");
}

static struct kunit_case debugfs_cases[] = {
	KUNIT_CASE_PARAM(failures_are_counted, call_gen_params),
	KUNIT_CASE(slots_are_shown),
	KUNIT_CASE(removal_of_many_is_one_update),
	KUNIT_CASE(waits_are_shown),
	KUNIT_CASE(readers_and_flips_are_shown),
	KUNIT_CASE(the_index_is_drawn),
	KUNIT_CASE(files_against_unregister),
	{}
};

static struct kunit_suite debugfs_suite = {
	.name = "virtio_mem_xlate_debugfs",
	.suite_init = mount_debugfs,
	.suite_exit = unmount_debugfs,
	.test_cases = debugfs_cases,
};

kunit_test_suite(debugfs_suite);
