/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The model: it must give the same answers as the table.  It keeps the slots as the caller
 * passed them and compares each address with both ends of each slot.
 *
 * kunit/oracle.c uses it in the kernel, proof/ in user space.  The includer has the types of
 * virtio_mem_xlate.h, and SLOT_LIVE: above all generations.
 */
#ifndef _VIRTIO_MEM_XLATE_MODEL_H
#define _VIRTIO_MEM_XLATE_MODEL_H

/* Addresses in more bits than an address has, so that no sum wraps. */
#ifdef NARROW
typedef unsigned int wide;
#elif defined(__KERNEL__) && __SIZEOF_LONG__ == 4	/* no wider type; its slots do not wrap */
typedef u64 wide;
#elif __SIZEOF_LONG__ == 4	/* of clang, which has no 128 bits there otherwise */
typedef unsigned _BitInt(128) wide;
#else
typedef unsigned __int128 wide;
#endif

/* A slot with its last memory; a view older than that memory sees nothing there. */
struct model_slot {
	struct virtio_mem_xlate_slot slot;
	u32 since;		/* first generation that sees the memory */
	u32 absent;		/* first generation that sees the slot without memory */
	u32 removed;		/* first generation that sees no slot */
	bool lost;		/* removed while it was absent: no view sees memory any more */
};

/* Memory that a slot had before. */
struct model_past {
	struct virtio_mem_xlate_slot slot;
	u32 since, until;
};

struct model {
	struct model_slot *slots;	/* no two share a byte; in any order unless @sorted */
	unsigned int nr;
	struct model_past *past;	/* has room, or is NULL */
	unsigned int nr_past;
	unsigned int hint;	/* a slot near the question, where they are sorted */
	bool sorted;
};

static inline wide slot_start(const struct model_slot *m)
{
	return m->slot.gpa;
}

static inline wide slot_end(const struct model_slot *m)
{
	return (wide)m->slot.gpa + (wide)m->slot.size;
}

static inline struct model_slot *model_find(const struct model *model, wide gpa)
{
	unsigned int i = 0, n = model->nr;

	/* If the three slots about the hint enclose @gpa, no other slot can have it. */
	if (model->sorted && model->hint > 0 && model->hint + 1 < n &&
	    slot_start(&model->slots[model->hint - 1]) <= gpa &&
	    gpa < slot_end(&model->slots[model->hint + 1])) {
		i = model->hint - 1;
		n = i + 3;
	}
	for (; i < n; i++)
		if (slot_start(&model->slots[i]) <= gpa && gpa < slot_end(&model->slots[i]))
			return &model->slots[i];
	return NULL;
}

static inline struct model_slot model_slot(const struct virtio_mem_xlate_slot *slot)
{
	return (struct model_slot){
		.slot = *slot,
		.absent = slot->access == VIRTIO_MEM_XLATE_ABSENT ? 0 : SLOT_LIVE,
		.removed = SLOT_LIVE,
	};
}

static inline bool model_is_live(const struct model_slot *m)
{
	return m->removed == SLOT_LIVE;
}

static inline bool model_is_present(const struct model_slot *m)
{
	return model_is_live(m) && m->absent == SLOT_LIVE;
}

/* The live slot of exactly [@gpa, @gpa + @size), or NULL. */
static inline struct model_slot *model_exact(const struct model *model, u64 gpa, u64 size)
{
	struct model_slot *m = model_find(model, gpa);

	return m && model_is_live(m) && m->slot.gpa == gpa && m->slot.size == size ? m : NULL;
}

/*
 * Updates in place; @generation is the first that sees them.
 */

/* A slot that became absent in place is absent for all views of before its removal. */
static inline void model_remove(struct model_slot *m, u32 generation)
{
	m->lost = m->absent != SLOT_LIVE;
	m->removed = generation;
}

static inline void model_lose(struct model *model, struct model_slot *m, u32 until)
{
	if (model->past && m->slot.kva)
		model->past[model->nr_past++] = (struct model_past){ m->slot, m->since, until };
	m->slot.kva = NULL;
}

/* @at_once: of views of before, too, as from FLIPS on. */
static inline void model_set_absent(struct model *model, struct model_slot *m, u32 generation,
				    bool at_once)
{
	m->absent = at_once ? 0 : generation;
	if (at_once)
		model_lose(model, m, generation);
}

static inline void model_set_present(struct model *model, struct model_slot *m, u32 generation,
				     void *kva, unsigned int access)
{
	model_lose(model, m, m->absent);
	m->slot.kva = kva;
	m->slot.access = access;
	m->since = generation;
	m->absent = SLOT_LIVE;
}

/* @m in the next table. */
static inline struct model_slot model_settled(const struct model_slot *m)
{
	struct virtio_mem_xlate_slot slot = m->slot;

	if (!model_is_present(m)) {
		slot.kva = NULL;
		slot.access = VIRTIO_MEM_XLATE_ABSENT;
	}
	return model_slot(&slot);
}

/*
 * Might a view of @generation have had [@gpa, @gpa + @len) at @kva, before the slot got other
 * memory, or was removed while it was absent?  A cursor may keep it for the view, which range() then has lost.
 */
static inline bool model_was(const struct model *model, u32 generation, wide gpa, wide len,
			     unsigned int access, uintptr_t kva)
{
	const struct model_slot *m = model_find(model, gpa);
	struct model_past past;
	unsigned int i;

	for (i = 0; i <= model->nr_past; i++) {
		if (i < model->nr_past)
			past = model->past[i];
		else if (m && m->lost)
			past = (struct model_past){ m->slot, m->since, m->absent };
		else
			break;
		if (past.since <= generation && generation < past.until &&
		    (past.slot.access & access) == access && past.slot.gpa <= gpa &&
		    gpa + len <= (wide)past.slot.gpa + past.slot.size &&
		    kva == (uintptr_t)past.slot.kva + (uintptr_t)(gpa - past.slot.gpa))
			return true;
	}
	return false;
}

/* Do live slots begin at @gpa and end with the last of @size bytes from there? */
static inline bool model_removable(const struct model *model, wide gpa, wide size)
{
	bool begins = false, ends = false;
	unsigned int i;

	for (i = 0; i < model->nr; i++) {
		const struct model_slot *m = &model->slots[i];

		if (!model_is_live(m))
			continue;
		begins |= slot_start(m) == gpa;
		ends |= slot_end(m) == gpa + size;
	}
	return size && size <= (wide)U64_MAX - gpa && begins && ends;
}

/*
 * Translates the byte at @gpa for a view of @generation.  Returns -errno, or 0, the byte's @kva,
 * and the @end of its slot.
 */
static inline int model_byte(const struct model *model, u32 generation, wide gpa,
			     unsigned int access, uintptr_t *kva, wide *end)
{
	struct model_slot *m = model_find(model, gpa);

	if (!m || m->removed <= generation)
		return -EFAULT;
	if (m->since > generation || m->absent <= generation || m->lost)
		return -EAGAIN;
	if ((m->slot.access & access) != access)
		return -EPERM;
	*kva = (uintptr_t)m->slot.kva + (uintptr_t)(gpa - slot_start(m));
	*end = slot_end(m);
	return 0;
}

struct answer {
	int error;		/* of the first byte that is inaccessible or has no room, or 0 */
	uintptr_t kva;		/* of the first byte */
	wide piece;		/* length of the first contiguous piece */
	wide good;		/* number of bytes before the error, or of all */
	unsigned int pieces;	/* number of contiguous pieces in these */
};

/*
 * Walks [start, start + len) with room for @room pieces: byte by byte, or, if @by_slot, a slot
 * at a time, since all bytes of a slot have the same answer.
 */
static inline struct answer model_range(const struct model *model, u32 generation, wide start,
					wide len, unsigned int access, unsigned int room,
					bool by_slot)
{
	struct answer answer = {};
	wide pos, end, slot;
	uintptr_t kva, next = 0;

	if (!access || access > VIRTIO_MEM_XLATE_RW) {
		answer.error = -EINVAL;
		return answer;
	}
	if (len > (wide)U64_MAX - start) {
		answer.error = -EOVERFLOW;
		return answer;
	}
	end = start + len;
	for (pos = start; pos < end; pos = slot < end ? slot : end) {
		answer.error = model_byte(model, generation, pos, access, &kva, &slot);
		if (answer.error)
			break;
		if (!by_slot)
			slot = pos + 1;
		if (pos == start || kva != next) {
			if (answer.pieces == room) {
				answer.error = -ENOBUFS;
				break;
			}
			answer.pieces++;
		}
		if (pos == start)
			answer.kva = kva;
		if (answer.pieces == 1)
			answer.piece = (slot < end ? slot : end) - start;
		next = kva + (uintptr_t)(slot - pos);
	}
	answer.good = pos - start;
	return answer;
}

#endif /* _VIRTIO_MEM_XLATE_MODEL_H */
