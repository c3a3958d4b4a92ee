// SPDX-License-Identifier: GPL-2.0
/* Pins the pages of this process. */
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "user.h"

/* Pages pinned or unpinned between two preemption points. */
#define BATCH		512UL

/* The filesystem of KVM's guest_memfd: the headers of 6.1 and 6.12 have no name for it. */
#ifndef GUEST_MEMFD_MAGIC
#define GUEST_MEMFD_MAGIC	0x474d454d
#endif

/*
 * May a device write to @page without a page fault?  Not to a page of a filesystem with
 * writeback, which notices writes by page faults.  shmem and guest_memfd have no
 * writeback.  gup itself refuses such pages in 6.12, but not in 6.1.
 *
 * The check is of the page: another thread may change the mapping at any time.
 */
static bool is_writable_unnoticed(struct page *page)
{
	struct address_space *mapping;
	bool memory;

	if (PageAnon(page) || PageHuge(page))
		return true;
	/* The mapping of a truncated page, its inode and superblock are freed by RCU. */
	rcu_read_lock();
	mapping = folio_mapping(page_folio(page));
	memory = !mapping || (S_ISREG(mapping->host->i_mode) &&
			      (mapping->host->i_sb->s_magic == TMPFS_MAGIC ||
			       mapping->host->i_sb->s_magic == GUEST_MEMFD_MAGIC));
	rcu_read_unlock();
	return memory;
}

/* The number of pages at the start of @pages that a device may write to so. */
static unsigned long nr_writable_unnoticed(struct page **pages, unsigned long nr_pages)
{
	unsigned long i;

	for (i = 0; i < nr_pages; i++) {
		if (i && page_folio(pages[i]) == page_folio(pages[i - 1]))
			continue;
		if (!is_writable_unnoticed(pages[i]))
			break;
	}
	return i;
}

/*
 * Accesses the memory like the process: a page fault may sleep, also on
 * userfaultfd, and a fatal signal ends it.  The scope keeps new pages out of movable
 * memory, where they could not be pinned.
 */
static int fault_in(unsigned long start, unsigned long nr_pages, unsigned int gup_flags,
		    struct page **pages)
{
	unsigned int pin_scope = memalloc_pin_save();
	int i, n;

	n = get_user_pages_fast(start, nr_pages, gup_flags & (FOLL_WRITE | FOLL_FORCE), pages);
	memalloc_pin_restore(pin_scope);
	for (i = 0; i < n; i++)
		put_page(pages[i]);
	return n;
}

/* Is @start in a private mapping that can be read?  Reduces @nr_pages to that mapping's. */
static bool is_private(unsigned long start, unsigned long *nr_pages)
{
	struct vm_area_struct *vma;
	bool private = false;

	start = untagged_addr(start);
	if (mmap_read_lock_killable(current->mm))
		return false;
	vma = find_vma(current->mm, start);
	if (vma && vma->vm_start <= start) {
		private = (vma->vm_flags & (VM_SHARED | VM_MAYWRITE | VM_READ)) ==
			  (VM_MAYWRITE | VM_READ);
		*nr_pages = min(*nr_pages, (vma->vm_end - start) >> PAGE_SHIFT);
	}
	mmap_read_unlock(current->mm);
	return private;
}

/*
 * Pins up to @nr_pages.  Returns the number of pinned pages, or an error.
 *
 * 6.1 lacks two things:
 *
 * * Under FOLL_LONGTERM it does not wait for userfaultfd.  So a missing page is
 *   faulted in first.
 * * A pin for reading gets the page that is mapped now.  In a private mapping that
 *   may be the zero page or a page of the file, which the process's first write
 *   replaces.  So that write is done first, by FOLL_FORCE.  Where it fails, the
 *   process cannot write either.
 */
static int pin_batch(unsigned long start, unsigned long nr_pages, unsigned int gup_flags,
		     struct page **pages)
{
	int n;

	if (!(gup_flags & FOLL_WRITE) && is_private(start, &nr_pages))
		fault_in(start, nr_pages, FOLL_WRITE | FOLL_FORCE, pages);
	n = pin_user_pages_fast(start, nr_pages, gup_flags | FOLL_NOFAULT, pages);
	if (n != -EFAULT)
		return n;
	n = fault_in(start, nr_pages, gup_flags, pages);
	if (n > 0)
		n = pin_user_pages_fast(start, n, gup_flags, pages);
	return n;
}

/*
 * Pins the pages from @start on up to the first that cannot be pinned.  Returns their
 * number, and in @err why the next was not; 0 if all were.
 */
unsigned long xlate_pin_some(unsigned long start, unsigned long nr_pages, unsigned int access,
			     struct page **pages, int *err)
{
	unsigned int gup_flags = FOLL_LONGTERM;
	unsigned long done, good;
	int n;

	*err = 0;
	if (access & VIRTIO_MEM_XLATE_WRITE)
		gup_flags |= FOLL_WRITE;
	for (done = 0; done < nr_pages; done += n) {
		n = -EINTR;
		if (!fatal_signal_pending(current))
			n = pin_batch(start + (done << PAGE_SHIFT), min(nr_pages - done, BATCH),
				      gup_flags, pages + done);
		if (n <= 0) {
			*err = n ?: -EFAULT;
			break;
		}
		good = n;
		if (gup_flags & FOLL_WRITE)
			good = nr_writable_unnoticed(pages + done, n);
		if (good < n) {
			xlate_unpin_pages(pages + done + good, n - good);
			*err = -EFAULT;
			return done + good;
		}
		cond_resched();
	}
	return done;
}

/* Pins all pages, or none and returns an error. */
int xlate_pin_pages(unsigned long start, unsigned long nr_pages, unsigned int access,
		    struct page **pages)
{
	unsigned long n;
	int err;

	n = xlate_pin_some(start, nr_pages, access, pages, &err);
	if (err)
		xlate_unpin_pages(pages, n);
	return err;
}

/*
 * Why can the page at @start not be pinned?  Returns how many pages, of @nr_pages, have
 * the same reason, and in @err what it is.
 */
unsigned long xlate_why_not(unsigned long start, unsigned long nr_pages, unsigned int access,
			    int *err)
{
	bool write = access & VIRTIO_MEM_XLATE_WRITE;
	struct vm_area_struct *vma;
	unsigned long end;
	struct page *page;

	*err = -EFAULT;
	start = untagged_addr(start);
	if (mmap_read_lock_killable(current->mm)) {
		*err = -EINTR;
		return 1;
	}
	vma = find_vma(current->mm, start);
	if (!vma) {
		end = start + (nr_pages << PAGE_SHIFT);
	} else if (vma->vm_start > start) {
		end = vma->vm_start;
	} else if (!(vma->vm_flags & (write ? VM_WRITE : VM_READ))) {
		*err = -EPERM;
		end = vma->vm_end;
	} else if (vma->vm_flags & (VM_IO | VM_PFNMAP)) {
		end = vma->vm_end;
	} else {
		end = 0;
	}
	mmap_read_unlock(current->mm);
	if (end)
		return min(nr_pages, (end - start) >> PAGE_SHIFT);

	switch (get_user_pages_unlocked(start, 1, &page,
					FOLL_HWPOISON | (write ? FOLL_WRITE : 0))) {
	case 1:
		put_page(page);
		break;
	case -EHWPOISON:
		*err = -EHWPOISON;
		break;
	}
	return 1;
}

bool xlate_is_user_memory(u64 uaddr, u64 size)
{
	u64 end;

	return !check_add_overflow(uaddr, size, &end) && end <= ULONG_MAX - PAGE_SIZE &&
	       access_ok((void __user *)(unsigned long)uaddr, size);
}

void xlate_unpin_pages(struct page **pages, unsigned long nr_pages)
{
	unsigned long done, n;

	for (done = 0; done < nr_pages; done += n) {
		n = min(nr_pages - done, BATCH);
		unpin_user_pages(pages + done, n);
		cond_resched();
	}
}
