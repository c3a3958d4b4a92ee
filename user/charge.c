// SPDX-License-Identifier: GPL-2.0
/*
 * Charges pinned pages.  The limit RLIMIT_MEMLOCK is checked against user->locked_vm
 * alone: this counter outlives exec and exit, and fork() gives a process no second one.
 * mm->pinned_vm is for display, as VmPin.
 */
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/slab.h>

#include "user.h"

/* The account of this process, with its limit of now; NULL without memory. */
struct account *xlate_account_new(void)
{
	struct account *account = kzalloc(sizeof(*account), GFP_KERNEL_ACCOUNT);

	if (!account)
		return NULL;
	refcount_set(&account->refs, 1);
	mmgrab(current->mm);
	account->mm = current->mm;
	account->limit = LONG_MAX;
	if (!capable(CAP_IPC_LOCK)) {
		account->cred = get_current_cred();
		account->limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	}
	return account;
}

struct account *xlate_account_get(struct account *account)
{
	refcount_inc(&account->refs);
	return account;
}

void xlate_account_put(struct account *account)
{
	if (!refcount_dec_and_test(&account->refs))
		return;
	mmdrop(account->mm);
	if (account->cred)
		put_cred(account->cred);
	kfree(account);
}

/* Up to the @limit of the table that needs the pages; that of @account may be an older one. */
int xlate_charge(struct account *account, unsigned long nr_pages, unsigned long limit)
{
	if (account->cred) {
		atomic_long_t *locked = &account->cred->user->locked_vm;
		long old = atomic_long_read(locked);

		/* Check and add in one step, so that two concurrent charges cannot both fit. */
		do {
			if (nr_pages > limit || old > limit - nr_pages)
				return -ENOMEM;
		} while (!atomic_long_try_cmpxchg(locked, &old, old + nr_pages));
	}
	atomic64_add(nr_pages, &account->mm->pinned_vm);
	return 0;
}

/* Called by any process: the charge goes back to the user that was charged. */
void xlate_uncharge(struct account *account, unsigned long nr_pages)
{
	atomic64_sub(nr_pages, &account->mm->pinned_vm);
	if (account->cred)
		atomic_long_sub(nr_pages, &account->cred->user->locked_vm);
}
