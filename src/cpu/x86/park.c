/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges of user mode that are put aside while another address space is current. Intel SDM vol. 3,
 * 4.10.1 (PCIDs), 4.10.4.1.
 *
 * Loading CR3 empties the slots of user mode and what they were filled from (vcpu.h), which have no
 * tags. With PCIDs an operating system comes back to an address space by a load that keeps what is
 * cached of it (CR3 bit 63), as the soft TLB does, by the space's generation. So the ranges are put
 * aside for their generation when CR3 is loaded with another one, and are back when it is current
 * again: a program that writes to a pipe does not look for its neighbouring pages after each turn
 * of the reader. (Slots themselves cost more to put aside than to fill again from ranges.)
 *
 * Invariant: what is put aside for a generation is as good as the entries of the soft TLB with it.
 * It is forgotten (x86_parked_forget()) by whatever empties slots for another reason than a load of
 * CR3, and by pages that become code; a generation that has ended is not current again before that.
 * INVLPG concerns the current address space, and global pages: where there is a range of user mode
 * of such, nothing is put aside. Windows (window.c) may be given to others, or other pages mapped
 * in them: each counts that, and what was put aside with another count is forgotten.
 *
 * With several vCPUs ranges for stores stay behind, as each page needs a note of them
 * (x86_note_store()).
 *
 * Compiled without vector registers, as tlb.c is.
 */
#include "cpu/x86/internal.h"

static bool stores_too(const struct vcpu *v)
{
	return atomic_load_explicit(&v->slots.noting, memory_order_relaxed) != X86_NOTED_ALL;
}

void x86_parked_forget(struct vcpu *v)
{
	struct x86_parked *p = v->tlb->parked;

	if (LIKELY(!v->tlb->n_parked))
		return;
	v->tlb->n_parked = 0;
	for (unsigned i = 0; i < X86_PARKED; i++)
		p[i].gen = 0;
}

static void park_windows(const struct vcpu *v, struct x86_parked *p)
{
	const struct x86_windows *ws = v->slots.windows;
	uint32_t period = atomic_load_explicit(&v->slots.period[0], memory_order_relaxed);

	p->windows = 0;
	p->stores = false;
	if (!ws || !ws->turn)
		return;
	for (unsigned n = 0; n < ws->n; n++) {
		if (ws->w[n].period != period)
			continue;
		p->windows |= 1u << n;
		p->changes[n] = ws->w[n].changes;
		for (unsigned i = 0; i < ARRAY_SIZE(p->out[n]); i++)
			p->out[n][i] = ws->w[n].out[i];
	}
	p->stores = ws->stores_period == period || ws->stores_all == period;
}

/* False: windows are not what they were. */
static bool take_windows(const struct vcpu *v, const struct x86_parked *p)
{
	struct x86_windows *ws = v->slots.windows;
	uint32_t period = atomic_load_explicit(&v->slots.period[0], memory_order_relaxed);

	for (uint32_t left = p->windows; left; left &= left - 1) {
		unsigned n = (unsigned)__builtin_ctz(left);

		if (n >= ws->n || ws->w[n].changes != p->changes[n])
			return false;
	}
	for (uint32_t left = p->windows; left; left &= left - 1) {
		unsigned n = (unsigned)__builtin_ctz(left);

		ws->w[n].period = period;
		for (unsigned i = 0; i < ARRAY_SIZE(p->out[n]); i++)
			ws->w[n].out[i] = p->out[n][i];
	}
	if (p->stores)
		ws->stores_all = period;
	return true;
}

/* The least recently used. */
static struct x86_parked *place_for(const struct x86_tlb *t, uint32_t gen)
{
	struct x86_parked *p = t->parked, *best = p;

	for (unsigned i = 0; i < X86_PARKED; i++) {
		if (!p[i].gen || p[i].gen == gen)
			return &p[i];
		if (t->park_turn - p[i].turn > t->park_turn - best->turn)
			best = &p[i];
	}
	return best;
}

/* Of user mode. */
static void copy_hints(uint8_t *to, const uint8_t *from)
{
	for (unsigned i = 0; i < 2 * X86_RANGE_HINTS; i += 8)
		st_le64(to + i, ld_le64(from + i));
}

void x86_ranges_park(struct vcpu *v)
{
	struct x86_slots *s = &v->slots;
	struct x86_tlb *t = v->tlb;
	struct x86_parked *p;

	if (!s->ranges[0] || s->global_user || !x86_tlb_plain(v))
		return;
	p = place_for(t, (uint32_t)t->generation);
	t->n_parked++;
	p->gen = (uint32_t)t->generation;
	p->turn = ++t->park_turn;
	p->ranges = s->ranges[0] & (stores_too(v) ? UINT32_MAX : BIT(X86_RANGES) - 1);
	for (uint32_t left = p->ranges; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctz(left);

		p->range[i] = (&s->range[0][0])[i];
	}
	copy_hints(p->hint, &s->range_hint[0][0]);
	park_windows(v, p);
}

void x86_ranges_unpark(struct vcpu *v)
{
	struct x86_slots *s = &v->slots;
	struct x86_tlb *t = v->tlb;
	struct x86_parked *p = t->parked;
	unsigned k;

	if (!t->n_parked || !x86_tlb_plain(v))
		return;
	for (k = 0; k < X86_PARKED && p->gen != t->generation; k++)
		p++;
	if (k == X86_PARKED)
		return;
	p->gen = 0;
	if (!take_windows(v, p))
		return;
	s->ranges[0] = p->ranges;
	for (uint32_t left = p->ranges; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctz(left);

		(&s->range[0][0])[i] = p->range[i];
	}
	copy_hints(&s->range_hint[0][0], p->hint);
}
