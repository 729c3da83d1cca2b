/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges: runs of pages that slots (vcpu.h) are filled from. Intel SDM vol. 3, 4.10.2.3.
 *
 * A range goes over neighbouring pages which the page tables map on linearly, with the same rights
 * and with accessed (for stores: dirty) bits set: translations that a processor may cache at any
 * time. Those for stores end at pages with code. Where the pages of a program do not follow each
 * other in guest RAM, window.c may have put them in a row.
 *
 * Compiled without vector registers, as tlb.c is.
 */
#include "cpu/x86/internal.h"

#define PAGE(lin) ((lin) & ~0xfffull)

/* ---- ranges ---- */

#define PIECES_USER 24u /* of 4 KiB pages, which come and go */

/* Entries on one side of @i that go on as @l does. */
static unsigned alike(const struct x86_leaf *l, unsigned i, int step, uint64_t care, unsigned most)
{
	uint64_t want = l->val, by = BIT(l->shift);
	unsigned n = 0;

	for (;; n++) {
		i += (unsigned)step;
		want += step > 0 ? by : -by;
		if (n == most || i >= MEM_PAGE_SIZE / l->entry ||
		    (x86_leaf_entry(l, i) ^ want) & care)
			return n;
	}
}

/* Pages before and after that of @e which the page tables map on alike. */
static void neighbours(struct vcpu *v, const struct x86_tlb_entry *e, gva_t lin, bool write,
		       uint64_t *before, uint64_t *after, bool *large)
{
	const struct x86_tlb *t = v->tlb;
	uint64_t care = ~(uint64_t)(7 << 9 | PTE_W | PTE_D) & ~(0x7ffull << 52), end;
	gpa_t page = PAGE(e->gpa), lapic = v->s.lapic.base & 0xffffff000ull, start;
	unsigned i, lo, hi, most;
	struct x86_leaf l;

	*before = e->before;
	*after = e->after;
	*large = e->before || e->after;
	if (e->block != t->run.block || !x86_leaf_find(v, lin, &l) || l.shift > 22 ||
	    PAGE(x86_leaf_gpa(v, &l, lin)) != page)
		return;
	if (write) {
		care |= PTE_W | PTE_D;
		if (!(l.val & PTE_D) || !(l.rights & PTE_W))
			return;
	}
	*large = l.shift > 12;
	/* 32-bit kernels drop their ranges so often (INVLPG of each page they look into) that
	 * looking further than a large page itself costs more than it saves */
	if (!(v->s.efer & X86_EFER_LMA) && !(l.rights & PTE_U))
		return;
	i = (unsigned)(lin >> l.shift) & (MEM_PAGE_SIZE / l.entry - 1);
	most = l.shift > 12 || lin >> 47 ? 511 : PIECES_USER;
	hi = alike(&l, i, 1, care, most);
	if (!hi && most == PIECES_USER)
		return; /* the newest of pages that come one by one: not a range for each */
	lo = alike(&l, i, -1, care, most);
	start = page & ~(BIT(l.shift) - 1);
	end = start + ((hi + 1ull) << l.shift);
	start -= (uint64_t)lo << l.shift;
	start = MAX(start, align_up(t->run.start, MEM_PAGE_SIZE));
	end = MIN(end, t->run.start + t->run.len);
	if (start > page || end < page + MEM_PAGE_SIZE || (lapic >= start && lapic < end))
		return;
	*before = (page - start) >> MEM_PAGE_SHIFT;
	*after = ((end - page) >> MEM_PAGE_SHIFT) - 1;
}

/* Pages without code on one side of @code, at most @most; they are looked at in eights. */
static uint64_t clear_of_code(const _Atomic uint8_t *code, int step, uint64_t most)
{
	const uint64_t *w = (const uint64_t *)((uintptr_t)code & ~7ull);
	uint64_t in = (uintptr_t)code & 7;
	uint64_t word = __atomic_load_n(w, __ATOMIC_RELAXED), n;

	if (step > 0) {
		word = in == 7 ? 0 : word >> (in + 1) * 8;
		n = word ? (uint64_t)__builtin_ctzll(word) / 8 : 7 - in;
	} else {
		word = in == 0 ? 0 : word << (8 - in) * 8;
		n = word ? (uint64_t)__builtin_clzll(word) / 8 : in;
	}
	if (word)
		return MIN(n, most);
	while (n < most) {
		w += step;
		word = __atomic_load_n(w, __ATOMIC_RELAXED);
		if (word) {
			n += (uint64_t)(step > 0 ? __builtin_ctzll(word) : __builtin_clzll(word)) /
			     8;
			break;
		}
		n += 8;
	}
	return MIN(n, most);
}

#define CODE_FAR 4096u /* pages looked at for code on either side */
#define BIG      64u   /* pages of a range that is kept apart from smaller ones */

const struct x86_range *x86_range_make(struct vcpu *v, unsigned set, struct x86_tlb_entry *e,
				       gva_t lin)
{
	struct x86_slots *s = &v->slots;
	bool write = set & X86_SLOT_WRITE, large;
	uint64_t before, after, page = PAGE(lin);
	const struct x86_range *window;
	struct x86_range *r;

	/* each page has to be noted: x86_note_store() */
	if (write && atomic_load_explicit(&s->noting, memory_order_relaxed) == X86_NOTED_ALL)
		return NULL;
	window = x86_window_range(v, set, lin, s->windows && s->windows->eager);
	if (window)
		return window;
	neighbours(v, e, lin, write, &before, &after, &large);
	/* none goes over 4 GiB, so that 32-bit code can have it */
	if (page < 4 * GIB)
		after = MIN(after, (4 * GIB - 1 - page) >> MEM_PAGE_SHIFT);
	else
		before = MIN(before, (page - 4 * GIB) >> MEM_PAGE_SHIFT);
	if (write && before | after) {
		before = clear_of_code(e->code, -1, MIN(before, CODE_FAR));
		after = clear_of_code(e->code, 1, MIN(after, CODE_FAR));
	}
	if (!(before | after))
		return NULL;
	r = s->range[set];
	if (before + after >= BIG)
		r += X86_RANGES_SMALL + s->range_turn[set][0]++ % (X86_RANGES - X86_RANGES_SMALL);
	else
		r += s->range_turn[set][1]++ % X86_RANGES_SMALL;
	*r = (struct x86_range){.base = PAGE(lin) - (before << MEM_PAGE_SHIFT),
				.len = (before + after + 1) << MEM_PAGE_SHIFT,
				.host = (uintptr_t)e->host - (before << MEM_PAGE_SHIFT),
				.code = (uintptr_t)e->code - before,
				.large = large,
				.local = !(e->gpa & 0xfff)};
	s->ranges[set & X86_SLOT_SUPER ? 1 : 0] |= (write ? 1u << X86_RANGES : 1u)
						   << (r - s->range[set]);
	return r;
}
