// SPDX-License-Identifier: GPL-2.0
/*
 * Maps pinned pages into the kernel.  A chunk is contiguous in user memory and
 * consists of pieces; each piece is contiguous in kernel addresses:
 *
 *	pages of the chunk	small | 2 MiB and more, contiguous | small
 *	pieces			vmap()| direct map                 | vmap()
 */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "user.h"

/* A run of this many contiguous pages is a piece of its own. */
#define LONG_RUN	((unsigned long)SZ_2M >> PAGE_SHIFT)

/* The number of pages at the start of @pages that are adjacent in the direct map. */
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

/* The first piece of @pages: a long run, or all pages before the next long run. */
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

/* Maps @pages for the device; NULL without memory. */
void *xlate_map_pages(struct page **pages, unsigned long nr_pages, unsigned int access)
{
	bool writable = access & VIRTIO_MEM_XLATE_WRITE;

	/* The direct map is writable: not for a read-only piece. */
	if (writable && run_length(pages, nr_pages) == nr_pages)
		return page_address(pages[0]);
	return vmap(pages, nr_pages, VM_MAP, writable ? PAGE_KERNEL : PAGE_KERNEL_RO);
}

void xlate_unmap_pages(void *kva)
{
	if (is_vmalloc_addr(kva))
		vunmap(kva);
}

/* A piece keeps no array of its pages: they are read from the page tables of vmap(). */
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

/* Returns NULL without memory; the pages are still pinned then. */
struct chunk *xlate_chunk_map(struct page **pages, unsigned long nr_pages, unsigned int access,
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
		piece->kva = xlate_map_pages(pages + done, n, access);
		if (!piece->kva)
			goto err_unmap;
		chunk->nr_pieces++;
	}
	return chunk;

err_unmap:
	while (chunk->nr_pieces--)
		xlate_unmap_pages(chunk->pieces[chunk->nr_pieces].kva);
	kvfree(chunk);
	return NULL;
}

/* Unmaps and unpins; the caller has taken @chunk off its list. */
void xlate_chunk_free(struct chunk *chunk, bool dirty)
{
	unsigned int i;

	for (i = 0; i < chunk->nr_pieces; i++) {
		unpin_piece(&chunk->pieces[i], dirty);
		xlate_unmap_pages(chunk->pieces[i].kva);
		cond_resched();
	}
	kvfree(chunk);
}
