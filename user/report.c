// SPDX-License-Identifier: GPL-2.0
/*
 * What an administrator sees: a tracepoint for each part of a table that was refused, and
 * a file in debugfs for each table, such as
 *
 *	/sys/kernel/debug/virtio_mem_xlate_user/3
 */
#include <linux/debugfs.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/seq_file.h>

#define CREATE_TRACE_POINTS
#include "user_trace.h"

#include "user.h"

static struct dentry *folder;

void xlate_report_refused(const struct region *region, int err, const char *why)
{
	trace_virtio_mem_xlate_user_refused(region->gpa, region->uaddr, region->size, err, why);
}

/* Pages of a table: of memory that is present, absent, or refused. */
struct pages {
	unsigned long pinned, absent, refused;
};

static void count_pages(const struct layout *layout, struct pages *pages)
{
	unsigned int i;

	for (i = 0; i < layout->nr; i++) {
		const struct span *span = &layout->spans[i];

		cond_resched();
		if (span->bad)
			pages->refused += span->nr_pages;
		else if (READ_ONCE(span->lease))
			pages->pinned += span->nr_pages;
		else
			pages->absent += span->nr_pages;
	}
}

static int report_show(struct seq_file *seq, void *unused)
{
	struct virtio_mem_xlate_user *user = seq->private;
	struct layout *layout = xlate_layout_get(user);
	struct pages pages = {};

	if (layout)
		count_pages(layout, &pages);
	seq_printf(seq, "made by process   %d\n", user->pid);
	seq_printf(seq, "regions           %u\n", layout ? layout->map->nr : 0);
	seq_printf(seq, "pages present     %lu\n", pages.pinned);
	seq_printf(seq, "pages absent      %lu\n", pages.absent);
	seq_printf(seq, "pages refused     %lu\n", pages.refused);
	seq_printf(seq, "invalidations     %ld\n", atomic_long_read(&user->nr_invalidations));
	seq_printf(seq, "faults            %ld\n", atomic_long_read(&user->nr_faults));
	seq_printf(seq, "time in faults    %lld ns\n", atomic64_read(&user->fault_ns));
	if (layout)
		xlate_layout_put(layout);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(report);

void xlate_report_add(struct virtio_mem_xlate_user *user)
{
	static atomic_t last;
	char name[16];

	user->pid = task_tgid_vnr(current);
	snprintf(name, sizeof(name), "%d", atomic_inc_return(&last));
	user->dentry = debugfs_create_file(name, 0400, folder, user, &report_fops);
}

void xlate_report_remove(struct virtio_mem_xlate_user *user)
{
	debugfs_remove(user->dentry);
}

void xlate_report_init(void)
{
	folder = debugfs_create_dir("virtio_mem_xlate_user", NULL);
}

void xlate_report_exit(void)
{
	debugfs_remove(folder);
}
