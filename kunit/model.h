/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The model: it must give the same answers as the table.  It keeps the slots as the caller
 * passed them and compares each address with both ends of each slot.
 *
 * kunit/oracle.c uses it in the kernel, proof/ in user space.  The includer has the types of
 * virtio_mem_xlate.h, and SLOT_LIVE: the value of @removed of a slot that is not removed.
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
#endif /* _VIRTIO_MEM_XLATE_MODEL_H */

struct model_slot {
	struct virtio_mem_xlate_slot slot;
	u32 removed;		/* the first generation without this slot */
};

struct model {
	struct model_slot *slots;	/* no two share a byte; in any order unless @sorted */
	unsigned int nr;
	unsigned int hint;	/* if @sorted: the number of a slot near the question */
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

/* Does a live slot begin at @gpa, and does one end with the last of @size bytes from there? */
static inline bool model_removable(const struct model *model, wide gpa, wide size)
{
	bool begins = false, ends = false;
	unsigned int i;

	for (i = 0; i < model->nr; i++) {
		const struct model_slot *m = &model->slots[i];

		if (m->removed != SLOT_LIVE)
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
