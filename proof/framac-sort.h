/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What Frama-C is told of sort(): the same slots, by address.  Which slots they are
 * matters for this alone: what holds of each before holds of each after.
 */
/*@
 * requires \valid(slots + (0 .. n - 1));
 * requires \forall integer i; 0 <= i < n ==>
 *	0 < slots[i].size && slots[i].gpa + slots[i].size <= U64_MAX;
 * assigns slots[0 .. n - 1];
 * ensures \forall integer i; 0 <= i < n ==>
 *	0 < slots[i].size && slots[i].gpa + slots[i].size <= U64_MAX;
 * ensures \forall integer i, j; 0 <= i < j < n ==> slots[i].gpa <= slots[j].gpa;
 */
void sort_slots(struct xlate_slot *slots, size_t n);

#define sort(base, n, size, cmp, swap) sort_slots(base, n)
