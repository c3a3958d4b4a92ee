// SPDX-License-Identifier: GPL-2.0
/* A space: the blocks of a process, shared by all its tables. */
#include <linux/err.h>
#include <linux/hashtable.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "user.h"

static DEFINE_HASHTABLE(spaces, 8);
static DEFINE_MUTEX(spaces_lock);

static struct space *space_find(struct mm_struct *mm)
{
	struct space *space;

	hash_for_each_possible(spaces, space, node, (uintptr_t)mm)
		if (space->mm == mm)
			return space;
	return NULL;
}

/* The space of @mm, for xlate_space_put(); NULL without memory. */
struct space *xlate_space_get(struct mm_struct *mm)
{
	struct space *new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT), *space;

	if (!new)
		return NULL;
	mutex_lock(&spaces_lock);
	space = space_find(mm);
	if (!space) {
		space = new;
		new = NULL;
		mmgrab(mm);
		space->mm = mm;
		mutex_init(&space->lock);
		space->blocks = RB_ROOT;
		hash_add(spaces, &space->node, (uintptr_t)mm);
	}
	space->users++;
	mutex_unlock(&spaces_lock);
	kfree(new);
	return space;
}

void xlate_space_hold(struct space *space)
{
	mutex_lock(&spaces_lock);
	space->users++;
	mutex_unlock(&spaces_lock);
}

void xlate_space_put(struct space *space)
{
	mutex_lock(&spaces_lock);
	if (--space->users) {
		mutex_unlock(&spaces_lock);
		return;
	}
	hash_del(&space->node);
	mutex_unlock(&spaces_lock);
	mmdrop(space->mm);
	mutex_destroy(&space->lock);
	kfree(space);
}

/*
 * Makes current->mm the memory of @space, for page faults: in the process itself, or in a
 * worker.  Returns what xlate_space_leave() takes, or -ESRCH if the process has exited.
 */
int xlate_space_enter(struct space *space)
{
	if (current->mm == space->mm)
		return 0;
	if (!mmget_not_zero(space->mm))
		return -ESRCH;
	kthread_use_mm(space->mm);
	return 1;
}

void xlate_space_leave(struct space *space, int entered)
{
	if (entered) {
		kthread_unuse_mm(space->mm);
		mmput(space->mm);
	}
}

/* The order of blocks, in a space and in a layout. */
int xlate_cmp_key(const struct block_key *a, const struct block_key *b)
{
	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->nr_pages != b->nr_pages)
		return a->nr_pages < b->nr_pages ? -1 : 1;
	return (int)a->access - (int)b->access;
}

static int cmp_node_to_key(const void *key, const struct rb_node *node)
{
	return xlate_cmp_key(key, &rb_entry(node, struct block, node)->key);
}

static int cmp_nodes(struct rb_node *a, const struct rb_node *b)
{
	return cmp_node_to_key(&rb_entry(a, struct block, node)->key, b);
}

/* A block that exists, for xlate_block_put(), or NULL. */
struct block *xlate_block_find(struct space *space, const struct block_key *key)
{
	struct rb_node *node;

	guard(mutex)(&space->lock);
	node = rb_find(key, &space->blocks, cmp_node_to_key);
	if (!node)
		return NULL;
	rb_entry(node, struct block, node)->users++;
	return rb_entry(node, struct block, node);
}

/* The first notifier of a process takes its mmap_lock: another thread may hold that for long. */
static int watch(struct block *block)
{
	struct mm_struct *mm = block->space->mm;
	unsigned long size = block->key.nr_pages << PAGE_SHIFT;
	int err;

	if (mm_has_notifiers(mm))
		return mmu_interval_notifier_insert(&block->notifier, mm, block->key.start, size,
						    &xlate_block_ops);
	if (mmap_write_lock_killable(mm))
		return -EINTR;
	err = mmu_interval_notifier_insert_locked(&block->notifier, mm, block->key.start, size,
						  &xlate_block_ops);
	mmap_write_unlock(mm);
	return err;
}

static struct block *block_new(struct space *space, const struct block_key *key,
			       struct account *account)
{
	struct block *block;
	int err;

	/* The process chose the size: a size too large is no reason to warn. */
	if (key->nr_pages > totalram_pages())
		return ERR_PTR(-ENOMEM);
	block = kvzalloc(struct_size(block, bad, BITS_TO_LONGS(key->nr_pages)),
			 GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!block)
		return ERR_PTR(-ENOMEM);
	block->users = 1;
	refcount_set(&block->refs, 1);
	block->space = space;
	block->account = account;
	block->key = *key;
	mutex_init(&block->lock);
	INIT_LIST_HEAD(&block->spans);
	err = watch(block);
	if (err) {
		mutex_destroy(&block->lock);
		kvfree(block);
		return ERR_PTR(err);
	}
	xlate_space_hold(space);
	xlate_account_get(account);
	return block;
}

/* The last reference: nothing reaches the pages of @block. */
void xlate_block_free(struct block *block)
{
	xlate_account_put(block->account);
	xlate_space_put(block->space);
	mutex_destroy(&block->lock);
	kvfree(block);
}

/* Ends the following; no span is attached. */
static void block_remove(struct block *block)
{
	mmu_interval_notifier_remove(&block->notifier);
	atomic_long_sub(block->nr_bad, &block->space->nr_bad);
	xlate_block_lose_all(block);
}

/* The block of @key, new if it does not exist, for xlate_block_put(), or an ERR_PTR. */
struct block *xlate_block_get(struct space *space, const struct block_key *key,
			      struct account *account)
{
	struct block *block, *new;
	struct rb_node *node;

	block = xlate_block_find(space, key);
	if (block)
		return block;
	new = block_new(space, key, account);
	if (IS_ERR(new))
		return new;
	mutex_lock(&space->lock);
	node = rb_find_add(&new->node, &space->blocks, cmp_nodes);
	if (node)
		rb_entry(node, struct block, node)->users++;
	mutex_unlock(&space->lock);
	if (!node)
		return new;
	block_remove(new);
	return rb_entry(node, struct block, node);
}

void xlate_block_put(struct block *block)
{
	struct space *space = block->space;

	mutex_lock(&space->lock);
	if (--block->users) {
		mutex_unlock(&space->lock);
		return;
	}
	rb_erase(&block->node, &space->blocks);
	mutex_unlock(&space->lock);
	block_remove(block);
}
