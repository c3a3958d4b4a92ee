/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The same answers as the table gives, from slots as they were handed in: in 128
 * bits, where nothing wraps, and by comparing each slot's two ends.
 */
#ifndef PROOF_MODEL_H
#define PROOF_MODEL_H

#ifdef NARROW
typedef unsigned int wide;
#elif __SIZEOF_LONG__ == 4	/* clang has it there, too */
typedef unsigned _BitInt(128) wide;
#else
typedef unsigned __int128 wide;
#endif

struct model_slot {
	struct virtio_mem_xlate_slot slot;
	u32 removed;		/* first generation without it */
};

struct model {
	struct model_slot *slots;	/* share no byte; in no order unless @sorted */
	unsigned int nr;
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

	/* Of sorted slots, no more than three about the hint if they enclose @gpa. */
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

/* Do live slots begin at @gpa and end with the last of @size bytes from there? */
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
	return size && begins && ends;
}

/* What the byte at @gpa is to a view of @generation: 0 and its address, or -errno. */
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
	wide piece;		/* bytes that are contiguous from there */
	wide good;		/* bytes before the error, or all */
	unsigned int pieces;	/* in these */
};

/*
 * All about [start, start + len), in @room pieces at most.  Goes byte by byte, or, once
 * @by_slot, from slot to slot, whose bytes are all alike.
 */
static inline struct answer model_range(const struct model *model, u32 generation, wide start,
					wide len, unsigned int access, unsigned int room,
					bool by_slot)
{
	struct answer answer = {};
	wide pos, end = start + len, slot;
	uintptr_t kva, next = 0;

	if (!access || access > VIRTIO_MEM_XLATE_RW) {
		answer.error = -EINVAL;
		return answer;
	}
	if (end > (wide)U64_MAX) {
		answer.error = -EOVERFLOW;
		return answer;
	}
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

#endif
