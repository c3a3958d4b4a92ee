// SPDX-License-Identifier: GPL-2.0
/*
 * Kernel addresses for a VMM's memory: pin it, map it, and keep the table of
 * memslots that a virtio_mem_xlate context translates through.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bsearch.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/hugetlb.h>
#include <linux/kvm.h>
#include <linux/list.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/refcount.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/uaccess.h>
#include <linux/vhost_types.h>
#include <linux/vmalloc.h>

#include "virtio_mem_xlate_user.h"

/* Pages that are pinned without a look at signals and the scheduler. */
#define BATCH		512UL

/* Pages at most that are pinned before they are mapped, if pieces will do. */
#define CHUNK		((unsigned long)SZ_1G >> PAGE_SHIFT)

/* As many contiguous pages are worth a piece of their own. */
#define LONG_RUN	((unsigned long)SZ_2M >> PAGE_SHIFT)

/* The filesystem of KVM's guest_memfd, which 6.1 and 6.12 have no name for. */
#ifndef GUEST_MEMFD_MAGIC
#define GUEST_MEMFD_MAGIC	0x474d454d
#endif

/* Contiguous in the kernel: part of the direct map, or an area of vmap(). */
struct piece {
	void *kva;
	unsigned long nr_pages;
};

struct chunk {
	struct list_head list;
	unsigned int nr_pieces;
	struct piece pieces[];
};

/**
 * struct virtio_mem_xlate_user_stretch - pinned user memory
 *
 * Opaque.  virtio_mem_xlate_user_pin() or virtio_mem_xlate_user_pin_pieces()
 * makes it, virtio_mem_xlate_user_unpin() undoes it.
 */
struct virtio_mem_xlate_user_stretch {
	/* private: constant once made, but for @refs */
	refcount_t refs;	/* tables that it is in, or the caller who pinned it */
	u64 uaddr;
	u64 size;
	unsigned int access;
	unsigned int nr_pieces;
	unsigned long nr_pages;		/* pinned and charged */
	struct list_head chunks;
	struct mm_struct *mm;		/* whose memory it is, and whose VmPin */
	const struct cred *charged;	/* its user; or NULL: CAP_IPC_LOCK */
};

/*
 * Charging.  user->locked_vm is the one counter that the limit is checked
 * against: it outlives exec and exit, and a process cannot get at the limit
 * once more by fork().  mm->pinned_vm only shows who has it.
 */

static bool charge_user(struct user_struct *user, unsigned long nr_pages)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	long old = atomic_long_read(&user->locked_vm);

	/* Checked and added in one step, or two at once could both fit. */
	do {
		if (nr_pages > limit || old > limit - nr_pages)
			return false;
	} while (!atomic_long_try_cmpxchg(&user->locked_vm, &old, old + nr_pages));
	return true;
}

static int charge(struct virtio_mem_xlate_user_stretch *stretch)
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

static void uncharge(struct virtio_mem_xlate_user_stretch *stretch)
{
	atomic64_sub(stretch->nr_pages, &stretch->mm->pinned_vm);
	mmdrop(stretch->mm);
	if (stretch->charged) {
		atomic_long_sub(stretch->nr_pages, &stretch->charged->user->locked_vm);
		put_cred(stretch->charged);
	}
}

/*
 * Pinning
 */

/*
 * A filesystem that writes back learns of writes by page faults, and a pinned page
 * is written without one.  Since 6.12 gup refuses such pages, 6.1's does not.  shmem
 * and guest_memfd write nothing back.  The check takes the page, not the mapping,
 * which another thread may change meanwhile.
 */
static bool is_writable_unnoticed(struct page *page)
{
	struct address_space *mapping;
	bool memory;

	if (PageAnon(page) || PageHuge(page))
		return true;
	/* A truncated page's mapping, its inode and superblock are freed by RCU. */
	rcu_read_lock();
	mapping = folio_mapping(page_folio(page));
	memory = !mapping || (S_ISREG(mapping->host->i_mode) &&
			      (mapping->host->i_sb->s_magic == TMPFS_MAGIC ||
			       mapping->host->i_sb->s_magic == GUEST_MEMFD_MAGIC));
	rcu_read_unlock();
	return memory;
}

static bool are_writable_unnoticed(struct page **pages, unsigned long nr_pages)
{
	unsigned long i;

	for (i = 0; i < nr_pages; i++) {
		if (i && page_folio(pages[i]) == page_folio(pages[i - 1]))
			continue;
		if (!is_writable_unnoticed(pages[i]))
			return false;
	}
	return true;
}

/*
 * Like a read or a write by the process: sleeps, also on userfaultfd, and can be
 * killed.  The pages must not be where they could not be pinned.
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

/* Is @start in a private mapping?  Cuts @nr_pages off at the mapping's end. */
static bool is_private(unsigned long start, unsigned long *nr_pages)
{
	struct vm_area_struct *vma;
	bool private = false;

	start = untagged_addr(start);
	if (mmap_read_lock_killable(current->mm))
		return false;
	vma = find_vma(current->mm, start);
	if (vma && vma->vm_start <= start) {
		private = (vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE;
		*nr_pages = min(*nr_pages, (vma->vm_end - start) >> PAGE_SHIFT);
	}
	mmap_read_unlock(current->mm);
	return private;
}

/*
 * Returns the number of pages pinned, of which there may be fewer, none or an error.
 *
 * Two things are not left to the kernel, since 6.1's cannot do them.  It does
 * not wait for userfaultfd under FOLL_LONGTERM, so whatever may be missing is
 * faulted in before.  And to be read, it pins what the process has only until it
 * writes, the zero page or a private file's; so such a page is made the
 * process's own before.  If that cannot be done it is not going to be written.
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

/* Pins all pages or none. */
static int pin_pages(unsigned long start, unsigned long nr_pages, unsigned int access,
		     struct page **pages)
{
	unsigned int gup_flags = FOLL_LONGTERM;
	unsigned long done;
	int n;

	if (access & VIRTIO_MEM_XLATE_WRITE)
		gup_flags |= FOLL_WRITE;
	for (done = 0; done < nr_pages; done += n) {
		n = -EINTR;
		if (fatal_signal_pending(current))
			goto err_unpin;
		n = pin_batch(start + (done << PAGE_SHIFT), min(nr_pages - done, BATCH),
			      gup_flags, pages + done);
		if (n <= 0)
			goto err_unpin;
		if ((gup_flags & FOLL_WRITE) && !are_writable_unnoticed(pages + done, n)) {
			done += n;
			goto err_unpin;
		}
		cond_resched();
	}
	return 0;

err_unpin:
	unpin_user_pages(pages, done);
	return n < 0 ? n : -EFAULT;
}

/*
 * Mapping
 */

/* The pages at the start of @pages that are neighbours in the direct map. */
static unsigned long run_length(struct page **pages, unsigned long nr_pages)
{
	unsigned long n = 1;

	if (PageHighMem(pages[0]))
		return 0;
	while (n < nr_pages && page_to_pfn(pages[n]) == page_to_pfn(pages[0]) + n &&
	       !PageHighMem(pages[n]))
		n++;
	return n;
}

/* The pages at the start of @pages to map in one piece: a long run, or all up to the next. */
static unsigned long piece_length(struct page **pages, unsigned long nr_pages)
{
	unsigned long n, run;

	for (n = 0; n < nr_pages; n += max(run, 1UL)) {
		run = run_length(pages + n, nr_pages - n);
		if (run >= LONG_RUN)
			return n ?: run;
	}
	return nr_pages;
}

static void *map_piece(struct page **pages, unsigned long nr_pages, unsigned int access)
{
	bool writable = access & VIRTIO_MEM_XLATE_WRITE;

	/* The direct map is writable. */
	if (writable && run_length(pages, nr_pages) == nr_pages)
		return page_address(pages[0]);
	return vmap(pages, nr_pages, VM_MAP, writable ? PAGE_KERNEL : PAGE_KERNEL_RO);
}

static void unmap_piece(struct piece *piece)
{
	if (is_vmalloc_addr(piece->kva))
		vunmap(piece->kva);
}

/* No list of the pages is kept: the page tables are one. */
static void unpin_piece(struct piece *piece, bool dirty)
{
	struct page *pages[32];
	unsigned long i;
	unsigned int n;

	if (!is_vmalloc_addr(piece->kva)) {
		unpin_user_page_range_dirty_lock(virt_to_page(piece->kva), piece->nr_pages, dirty);
		return;
	}
	for (i = 0; i < piece->nr_pages; i += n) {
		for (n = 0; n < ARRAY_SIZE(pages) && i + n < piece->nr_pages; n++)
			pages[n] = vmalloc_to_page(piece->kva + ((i + n) << PAGE_SHIFT));
		unpin_user_pages_dirty_lock(pages, n, dirty);
		cond_resched();
	}
}

static struct chunk *chunk_map(struct page **pages, unsigned long nr_pages, unsigned int access,
			       bool in_pieces)
{
	unsigned long done, n;
	unsigned int nr = 0;
	struct chunk *chunk;

	for (done = 0; done < nr_pages; done += n, nr++)
		n = in_pieces ? piece_length(pages + done, nr_pages - done) : nr_pages;
	chunk = kvmalloc(struct_size(chunk, pieces, nr), GFP_KERNEL_ACCOUNT);
	if (!chunk)
		return NULL;

	chunk->nr_pieces = 0;
	for (done = 0; done < nr_pages; done += n) {
		struct piece *piece = &chunk->pieces[chunk->nr_pieces];

		n = in_pieces ? piece_length(pages + done, nr_pages - done) : nr_pages;
		piece->nr_pages = n;
		piece->kva = map_piece(pages + done, n, access);
		if (!piece->kva)
			goto err_unmap;
		chunk->nr_pieces++;
	}
	return chunk;

err_unmap:
	while (chunk->nr_pieces--)
		unmap_piece(&chunk->pieces[chunk->nr_pieces]);
	kvfree(chunk);
	return NULL;
}

static void chunk_free(struct chunk *chunk, bool dirty)
{
	unsigned int i;

	for (i = 0; i < chunk->nr_pieces; i++) {
		unpin_piece(&chunk->pieces[i], dirty);
		unmap_piece(&chunk->pieces[i]);
		cond_resched();
	}
	list_del(&chunk->list);
	kvfree(chunk);
}

/*
 * A stretch
 */

static int stretch_add(struct virtio_mem_xlate_user_stretch *stretch, unsigned long start,
		       unsigned long nr_pages, bool in_pieces)
{
	struct page **pages;
	struct chunk *chunk;
	int err;

	/* The process chose the size: too much is no reason to warn. */
	pages = kvmalloc_array(nr_pages, sizeof(*pages), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!pages)
		return -ENOMEM;
	err = pin_pages(start, nr_pages, stretch->access, pages);
	if (err)
		goto out_free;
	chunk = chunk_map(pages, nr_pages, stretch->access, in_pieces);
	if (!chunk) {
		unpin_user_pages(pages, nr_pages);
		err = -ENOMEM;
		goto out_free;
	}
	list_add_tail(&chunk->list, &stretch->chunks);
	stretch->nr_pieces += chunk->nr_pieces;
out_free:
	kvfree(pages);
	return err;
}

static void stretch_free(struct virtio_mem_xlate_user_stretch *stretch, bool dirty)
{
	struct chunk *chunk, *next;

	list_for_each_entry_safe(chunk, next, &stretch->chunks, list)
		chunk_free(chunk, dirty);
	uncharge(stretch);
	kfree(stretch);
}

static bool is_valid_access(unsigned int access)
{
	return access && !(access & ~VIRTIO_MEM_XLATE_RW);
}

static bool is_user_memory(u64 uaddr, u64 size)
{
	u64 end;

	return !check_add_overflow(uaddr, size, &end) && end <= ULONG_MAX - PAGE_SIZE &&
	       access_ok((void __user *)(unsigned long)uaddr, size);
}

static struct virtio_mem_xlate_user_stretch *stretch_pin(u64 uaddr, u64 size, unsigned int access,
							 bool in_pieces)
{
	struct virtio_mem_xlate_user_stretch *stretch;
	unsigned long start, nr_pages, done, n;
	int err;

	if (!size || !is_valid_access(access) || !current->mm)
		return ERR_PTR(-EINVAL);
	if (!is_user_memory(uaddr, size))
		return ERR_PTR(-EFAULT);
	start = uaddr & PAGE_MASK;
	nr_pages = (PAGE_ALIGN(uaddr + size) - start) >> PAGE_SHIFT;
	/* vmap() takes no more, either. */
	if (nr_pages > min_t(unsigned long, totalram_pages(), UINT_MAX))
		return ERR_PTR(-ENOMEM);

	stretch = kzalloc(sizeof(*stretch), GFP_KERNEL_ACCOUNT);
	if (!stretch)
		return ERR_PTR(-ENOMEM);
	refcount_set(&stretch->refs, 1);
	INIT_LIST_HEAD(&stretch->chunks);
	stretch->uaddr = uaddr;
	stretch->size = size;
	stretch->access = access;
	stretch->nr_pages = nr_pages;
	err = charge(stretch);
	if (err) {
		kfree(stretch);
		return ERR_PTR(err);
	}

	for (done = 0; done < nr_pages; done += n) {
		n = in_pieces ? min(nr_pages - done, CHUNK) : nr_pages;
		err = stretch_add(stretch, start + (done << PAGE_SHIFT), n, in_pieces);
		if (err) {
			stretch_free(stretch, false);
			return ERR_PTR(err);
		}
	}
	return stretch;
}

/**
 * virtio_mem_xlate_user_pin() - pin memory of this process in one piece
 * @uaddr: its address in current->mm, of any alignment
 * @size: number of bytes, of any alignment, less than 1 TiB
 * @access: what the device may do: VIRTIO_MEM_XLATE_READ, _WRITE or _RW
 *
 * The stretch is pinned for long, moved out of where pages must be movable, and
 * mapped in the kernel, exactly from @uaddr on for @size bytes; see
 * virtio_mem_xlate_user_kva().  Without VIRTIO_MEM_XLATE_WRITE the kernel's
 * mapping is read-only, too, and read-only memory can be pinned.
 *
 * Every page that the stretch touches is charged to RLIMIT_MEMLOCK, once for
 * each stretch that it is in.
 *
 * Context: Process context of the memory's owner.  May sleep, also for as long
 * as another process likes, which handles a page fault: hold no lock that
 * anybody else needs.  A fatal signal ends it.
 * Return: the stretch, which virtio_mem_xlate_user_unpin() undoes, or an
 * ERR_PTR, and then nothing is pinned or charged:
 *
 * * -EINVAL - @size is 0, @access is 0 or has unknown bits, or the caller is a
 *   kernel thread
 * * -EFAULT - the range wraps or is not user memory, has a hole, does not allow
 *   @access, or has memory that cannot be pinned: device memory (VM_IO,
 *   VM_PFNMAP), secretmem, or for writing a shared mapping of a file that is
 *   not shmem or hugetlb
 * * -EOPNOTSUPP - it is a file mapped by DAX
 * * -ENOMEM - RLIMIT_MEMLOCK is exceeded, the range has more pages than the
 *   machine, or there is no memory
 * * -EINTR - a fatal signal is pending
 *
 * Other errors of pin_user_pages_fast() are passed on.
 */
struct virtio_mem_xlate_user_stretch *
virtio_mem_xlate_user_pin(u64 uaddr, u64 size, unsigned int access)
{
	return stretch_pin(uaddr, size, access, false);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_pin);

/**
 * virtio_mem_xlate_user_pin_pieces() - pin memory of this process in pieces
 * @uaddr: its address in current->mm, of any alignment
 * @size: number of bytes, of any alignment
 * @access: what the device may do: VIRTIO_MEM_XLATE_READ, _WRITE or _RW
 *
 * As virtio_mem_xlate_user_pin(), but the kernel may see the stretch in several
 * pieces: physically contiguous runs of 2 MiB and more, as of hugetlb and of
 * transparent huge pages, are then used where they are in the direct map, at no
 * cost in page tables, vmalloc space and TLB.  Only what is between them is
 * mapped, at most 1 GiB at a time.  A stretch without VIRTIO_MEM_XLATE_WRITE
 * is all mapped, since the direct map is writable.
 *
 * Best suited for callers that translate by virtio_mem_xlate_next(), _kvec() or
 * the copies; virtio_mem_xlate_range() gives -ENOBUFS where two pieces meet.
 *
 * Context: As virtio_mem_xlate_user_pin().
 * Return: as virtio_mem_xlate_user_pin().
 */
struct virtio_mem_xlate_user_stretch *
virtio_mem_xlate_user_pin_pieces(u64 uaddr, u64 size, unsigned int access)
{
	return stretch_pin(uaddr, size, access, true);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_pin_pieces);

/**
 * virtio_mem_xlate_user_unpin() - undo virtio_mem_xlate_user_pin()
 * @stretch: from virtio_mem_xlate_user_pin() or virtio_mem_xlate_user_pin_pieces()
 *
 * Nothing may use the stretch any more: the call that took it out of the last
 * table has returned.  With VIRTIO_MEM_XLATE_WRITE all its pages are marked
 * dirty.  What was charged is given back to whom it was charged, whoever calls.
 *
 * Context: Process context.  May sleep; never in an interrupt or under a
 * spinlock, which a debug kernel reports.
 */
void virtio_mem_xlate_user_unpin(struct virtio_mem_xlate_user_stretch *stretch)
{
	might_sleep();
	if (refcount_dec_and_test(&stretch->refs))
		stretch_free(stretch, stretch->access & VIRTIO_MEM_XLATE_WRITE);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_unpin);

/**
 * virtio_mem_xlate_user_kva() - where the kernel sees a stretch
 * @stretch: the stretch
 *
 * Context: Any.
 * Return: kernel virtual address of its first byte, or NULL if it is in more
 * than one piece, which virtio_mem_xlate_user_pin() never makes.
 */
void *virtio_mem_xlate_user_kva(const struct virtio_mem_xlate_user_stretch *stretch)
{
	const struct chunk *chunk = list_first_entry(&stretch->chunks, struct chunk, list);

	return stretch->nr_pieces == 1 ?
	       chunk->pieces[0].kva + offset_in_page(stretch->uaddr) : NULL;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_kva);

/**
 * virtio_mem_xlate_user_nr_slots() - how many slots a stretch fills
 * @stretch: the stretch
 *
 * Context: Any.
 * Return: the number of its pieces; 1 if virtio_mem_xlate_user_pin() made it.
 */
unsigned int virtio_mem_xlate_user_nr_slots(const struct virtio_mem_xlate_user_stretch *stretch)
{
	return stretch->nr_pieces;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_nr_slots);

/**
 * virtio_mem_xlate_user_slots() - describe a stretch by slots
 * @stretch: the stretch
 * @gpa: guest-physical address of its first byte
 * @slots: where to put them; room for virtio_mem_xlate_user_nr_slots()
 *
 * The slots are fit for virtio_mem_xlate_register() and its siblings.  They
 * cover @gpa and the bytes from there to the size of the stretch, no more.
 *
 * Context: Any.
 */
void virtio_mem_xlate_user_slots(const struct virtio_mem_xlate_user_stretch *stretch, u64 gpa,
				 struct virtio_mem_xlate_slot *slots)
{
	u64 offset = offset_in_page(stretch->uaddr), left = stretch->size;
	const struct chunk *chunk;
	unsigned int i;

	list_for_each_entry(chunk, &stretch->chunks, list) {
		for (i = 0; i < chunk->nr_pieces; i++) {
			const struct piece *piece = &chunk->pieces[i];
			u64 size = min(left, ((u64)piece->nr_pages << PAGE_SHIFT) - offset);

			*slots++ = (struct virtio_mem_xlate_slot){
				.gpa = gpa, .size = size, .kva = piece->kva + offset,
				.access = stretch->access,
			};
			gpa += size;
			left -= size;
			offset = 0;
		}
	}
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_slots);

/*
 * A VMM's table
 */

struct region {
	u64 gpa;
	u64 size;
	u64 uaddr;
	unsigned int access;
	struct virtio_mem_xlate_user_stretch *stretch;	/* a reference; or NULL: to be pinned */
};

/* Sorted by what must agree for a stretch to be kept. */
struct memory {
	unsigned int nr;
	struct region regions[];
};

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
	 * Guards @memory and its agreement with the table in force.  Never held
	 * while user memory is touched.
	 */
	struct mutex update;
	struct memory *memory;	/* what is in force; NULL if nothing */
};

static int cmp_u64(u64 a, u64 b)
{
	return a < b ? -1 : a > b;
}

static int cmp_region(const void *_a, const void *_b)
{
	const struct region *a = _a, *b = _b;

	return cmp_u64(a->uaddr, b->uaddr) ?: cmp_u64(a->size, b->size) ?:
	       cmp_u64(a->access, b->access);
}

static void memory_free(struct memory *memory)
{
	unsigned int i;

	if (!memory)
		return;
	for (i = 0; i < memory->nr; i++)
		if (memory->regions[i].stretch)
			virtio_mem_xlate_user_unpin(memory->regions[i].stretch);
	kvfree(memory);
}

static struct memory *memory_alloc(const struct kvm_userspace_memory_region *kvm, unsigned int nr)
{
	struct memory *memory;
	unsigned int i;

	if (nr > VIRTIO_MEM_XLATE_MAX_SLOTS)
		return ERR_PTR(-ENOSPC);
	for (i = 0; i < nr; i++) {
		if (kvm[i].flags & ~(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY) ||
		    !kvm[i].memory_size ||
		    kvm[i].memory_size > U64_MAX - kvm[i].guest_phys_addr)
			return ERR_PTR(-EINVAL);
	}
	memory = kvzalloc(struct_size(memory, regions, nr), GFP_KERNEL_ACCOUNT);
	if (!memory)
		return ERR_PTR(-ENOMEM);

	memory->nr = nr;
	for (i = 0; i < nr; i++) {
		memory->regions[i] = (struct region){
			.gpa = kvm[i].guest_phys_addr,
			.size = kvm[i].memory_size,
			.uaddr = kvm[i].userspace_addr,
			.access = kvm[i].flags & KVM_MEM_READONLY ? VIRTIO_MEM_XLATE_READ :
								    VIRTIO_MEM_XLATE_RW,
		};
	}
	sort(memory->regions, nr, sizeof(memory->regions[0]), cmp_region, NULL);
	return memory;
}

static struct virtio_mem_xlate_user_stretch *
stretch_get(struct virtio_mem_xlate_user_stretch *stretch)
{
	refcount_inc(&stretch->refs);
	return stretch;
}

/* Takes over the stretches that are in force.  They stay pinned, whatever is published next. */
static int memory_keep(struct virtio_mem_xlate_user *user, struct memory *memory)
{
	unsigned int i;

	if (mutex_lock_killable(&user->update))
		return -EINTR;
	for (i = 0; user->memory && i < memory->nr; i++) {
		const struct region *old = bsearch(&memory->regions[i], user->memory->regions,
						   user->memory->nr, sizeof(*old), cmp_region);

		if (old && old->stretch->mm == current->mm)
			memory->regions[i].stretch = stretch_get(old->stretch);
	}
	mutex_unlock(&user->update);
	return 0;
}

static int memory_pin(struct memory *memory, bool in_pieces)
{
	struct virtio_mem_xlate_user_stretch *stretch;
	unsigned int i;

	for (i = 0; i < memory->nr; i++) {
		struct region *region = &memory->regions[i];

		if (region->stretch)
			continue;
		/* The same memory at a second guest address. */
		if (i && !cmp_region(region, region - 1))
			stretch = stretch_get(region[-1].stretch);
		else
			stretch = stretch_pin(region->uaddr, region->size, region->access,
					      in_pieces);
		if (IS_ERR(stretch))
			return PTR_ERR(stretch);
		region->stretch = stretch;
	}
	return 0;
}

static int memory_slots(const struct memory *memory, struct virtio_mem_xlate_slot **slots,
			unsigned int *nr_slots)
{
	unsigned int i, nr = 0;

	for (i = 0; i < memory->nr; i++) {
		if (memory->regions[i].stretch->nr_pieces > VIRTIO_MEM_XLATE_MAX_SLOTS - nr)
			return -ENOSPC;
		nr += memory->regions[i].stretch->nr_pieces;
	}
	*slots = kvmalloc_array(nr, sizeof(**slots), GFP_KERNEL_ACCOUNT);
	if (!*slots)
		return -ENOMEM;
	*nr_slots = nr;
	for (i = 0, nr = 0; i < memory->nr; nr += memory->regions[i++].stretch->nr_pieces)
		virtio_mem_xlate_user_slots(memory->regions[i].stretch, memory->regions[i].gpa,
					    *slots + nr);
	return 0;
}

/* Puts @memory in force and makes it what was. */
static int memory_publish(struct virtio_mem_xlate_user *user, struct memory **memory)
{
	struct virtio_mem_xlate_slot *slots;
	unsigned int nr_slots;
	int err;

	err = memory_slots(*memory, &slots, &nr_slots);
	if (err)
		return err;
	if (mutex_lock_killable(&user->update)) {
		err = -EINTR;
		goto out_free;
	}
	err = virtio_mem_xlate_replace(user->xlate, slots, nr_slots);
	if (!err)
		swap(user->memory, *memory);
	mutex_unlock(&user->update);
out_free:
	kvfree(slots);
	return err;
}

/**
 * virtio_mem_xlate_user_set_kvm() - set the table from KVM's memory regions
 * @user: the VMM's memory
 * @regions: all of it, in any order, in kernel memory; copied
 * @nr_regions: their number, 0 to %VIRTIO_MEM_XLATE_MAX_SLOTS
 *
 * Memory that is in the table in force, with the same user address, size and
 * access and set by the same process, stays pinned as it is, also if its guest
 * address has changed.  The rest is pinned, the new table is put in force at
 * once for all readers, and what is in it no more is unpinned.  On failure the
 * old table is in force, and nothing has been pinned, unpinned or charged.  Until
 * then what is new is charged beside what it replaces.
 *
 * KVM_MEM_READONLY makes memory that the device may only read.
 * KVM_MEM_LOG_DIRTY_PAGES is accepted, but nothing is logged: who migrates a
 * guest must log what the device writes.  @slot is not looked at.
 *
 * Several calls at once are in order; each sets its whole table, and the last
 * to finish wins.  One that is stalled by a page fault stalls no other.
 *
 * Context: Process context of the memory's owner.  May sleep as in
 * virtio_mem_xlate_user_pin(), and until the views held have been released, so
 * the caller must hold none of it.
 * Return: 0, or:
 *
 * * -EINVAL - a region has size 0, ends above U64_MAX or has unknown flags
 * * -EEXIST - two regions share a guest byte
 * * -ENOSPC - there are too many, or too many pieces
 * * -EINTR - a fatal signal is pending
 * * another error of virtio_mem_xlate_user_pin() or virtio_mem_xlate_replace()
 */
int virtio_mem_xlate_user_set_kvm(struct virtio_mem_xlate_user *user,
				  const struct kvm_userspace_memory_region *regions,
				  unsigned int nr_regions)
{
	bool in_pieces = !(user->flags & VIRTIO_MEM_XLATE_USER_CONTIGUOUS);
	struct memory *memory;
	int err;

	memory = memory_alloc(regions, nr_regions);
	if (IS_ERR(memory))
		return PTR_ERR(memory);
	err = memory_keep(user, memory) ?: memory_pin(memory, in_pieces) ?:
	      memory_publish(user, &memory);
	memory_free(memory);
	return err;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_set_kvm);

/**
 * virtio_mem_xlate_user_set_vhost() - set the table as VHOST_SET_MEM_TABLE does
 * @user: the VMM's memory
 * @memory: what the ioctl got, in user memory; fetched once
 *
 * As virtio_mem_xlate_user_set_kvm(), with the device allowed to read and write
 * all.  The regions' @flags_padding is not looked at, as in vhost.
 *
 * Context: As virtio_mem_xlate_user_set_kvm().
 * Return: 0, -EFAULT if @memory cannot be read, -EOPNOTSUPP if its padding is
 * not 0, or an error as from virtio_mem_xlate_user_set_kvm().
 */
int virtio_mem_xlate_user_set_vhost(struct virtio_mem_xlate_user *user,
				    const struct vhost_memory __user *memory)
{
	struct kvm_userspace_memory_region *kvm;
	struct vhost_memory_region *vhost;
	struct vhost_memory head;
	unsigned int i;
	int err;

	if (copy_from_user(&head, memory, sizeof(head)))
		return -EFAULT;
	if (head.padding)
		return -EOPNOTSUPP;
	if (head.nregions > VIRTIO_MEM_XLATE_MAX_SLOTS)
		return -ENOSPC;
	vhost = vmemdup_user(memory->regions, array_size(head.nregions, sizeof(*vhost)));
	if (IS_ERR(vhost))
		return PTR_ERR(vhost);
	kvm = kvcalloc(head.nregions, sizeof(*kvm), GFP_KERNEL_ACCOUNT);
	if (!kvm) {
		kvfree(vhost);
		return -ENOMEM;
	}
	for (i = 0; i < head.nregions; i++) {
		kvm[i].guest_phys_addr = vhost[i].guest_phys_addr;
		kvm[i].memory_size = vhost[i].memory_size;
		kvm[i].userspace_addr = vhost[i].userspace_addr;
	}
	kvfree(vhost);
	err = virtio_mem_xlate_user_set_kvm(user, kvm, head.nregions);
	kvfree(kvm);
	return err;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_set_vhost);

/**
 * virtio_mem_xlate_user_gpa() - where the guest has what the VMM has at @uaddr
 * @user: the VMM's memory
 * @uaddr: an address in the VMM, as VHOST_SET_VRING_ADDR names a ring by
 * @gpa: where to put the guest-physical address
 *
 * The table in force decides.  It says nothing of the bytes that follow: they
 * are judged when they are translated.
 *
 * Context: Process context.  Waits for calls that put another table in force,
 * and so for the views held: the caller must hold none.
 * Return: 0, or -EFAULT if the table has no such memory.
 */
int virtio_mem_xlate_user_gpa(struct virtio_mem_xlate_user *user, u64 uaddr, u64 *gpa)
{
	const struct region *region;
	int err = -EFAULT;
	unsigned int i;

	mutex_lock(&user->update);
	for (i = 0; user->memory && i < user->memory->nr; i++) {
		region = &user->memory->regions[i];
		if (uaddr - region->uaddr < region->size) {
			*gpa = region->gpa + (uaddr - region->uaddr);
			err = 0;
			break;
		}
	}
	mutex_unlock(&user->update);
	return err;
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_gpa);

/**
 * virtio_mem_xlate_user_create() - make an empty table for a VMM's memory
 * @flags: 0, or VIRTIO_MEM_XLATE_USER_CONTIGUOUS to have every region in one
 *	piece, as by virtio_mem_xlate_user_pin(); else as by
 *	virtio_mem_xlate_user_pin_pieces()
 *
 * Context: Process context.  May sleep.
 * Return: the object, which virtio_mem_xlate_user_destroy() undoes, or an
 * ERR_PTR: -EINVAL for unknown flags, -ENOMEM.
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
 * virtio_mem_xlate_user_destroy() - take all memory away and unpin it
 * @user: from virtio_mem_xlate_user_create()
 *
 * No call that sets the table may be running.  The context is unregistered:
 * whoever still holds a reference to it may go on translating, and every byte
 * gives -EFAULT.
 *
 * Context: Process context, of any process.  Sleeps until the views held have
 * been released, so the caller must hold none.
 */
void virtio_mem_xlate_user_destroy(struct virtio_mem_xlate_user *user)
{
	virtio_mem_xlate_unregister(user->xlate);
	memory_free(user->memory);
	mutex_destroy(&user->update);
	kfree(user);
}
EXPORT_SYMBOL_GPL(virtio_mem_xlate_user_destroy);

/**
 * virtio_mem_xlate_user_context() - what to translate through
 * @user: the VMM's memory
 *
 * The same for the whole life of @user.  To use it beyond that, take a
 * reference by virtio_mem_xlate_get().  Do not update it other than through
 * @user.
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
