// SPDX-License-Identifier: GPL-2.0
/*
 * Charges the pages of a stretch.  The limit RLIMIT_MEMLOCK is checked against
 * user->locked_vm alone: this counter outlives exec and exit, and fork() gives a
 * process no second one.  mm->pinned_vm is for display, as VmPin.
 */
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>

#include "user.h"

static bool charge_user(struct user_struct *user, unsigned long nr_pages)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	long old = atomic_long_read(&user->locked_vm);

	/* Check and add in one step, so that two concurrent charges cannot both fit. */
	do {
		if (nr_pages > limit || old > limit - nr_pages)
			return false;
	} while (!atomic_long_try_cmpxchg(&user->locked_vm, &old, old + nr_pages));
	return true;
}

/* Charges @stretch->nr_pages to this process and its user. */
int xlate_charge(struct virtio_mem_xlate_user_stretch *stretch)
{
	if (!capable(CAP_IPC_LOCK)) {
		if (!charge_user(current_user(), stretch->nr_pages))
			return -ENOMEM;
		stretch->charged = get_current_cred();
	}
	mmgrab(current->mm);
	stretch->mm = current->mm;
	atomic64_add(stretch->nr_pages, &stretch->mm->pinned_vm);
	return 0;
}

/* Called by any process: the charge goes back to the user that was charged. */
void xlate_uncharge(struct virtio_mem_xlate_user_stretch *stretch)
{
	atomic64_sub(stretch->nr_pages, &stretch->mm->pinned_vm);
	mmdrop(stretch->mm);
	if (stretch->charged) {
		atomic_long_sub(stretch->nr_pages, &stretch->charged->user->locked_vm);
		put_cred(stretch->charged);
	}
}
