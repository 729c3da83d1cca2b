/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State that follows from other state, after changes of privilege and mode: the mode bits of struct
 * vcpu, the table of data accesses, RFLAGS, data segments that an outer level may not keep. Intel
 * SDM vol. 3, 3.4.5, 4.6.1, 5.8; vol. 2, IRET.
 *
 * Compiled without vector registers, like tlb.c and for the same reason.
 */
#include "cpu/x86/internal.h"

static bool flat_data(const struct x86_seg *s)
{
	/* present, writable, expand-up data: type 001x with S = 1 */
	return !s->base && s->limit == 0xffffffff && !(s->attr & X86_ATTR_NULL) &&
	       (s->attr & (X86_ATTR_P | X86_ATTR_S | TYPE_CODE | TYPE_E | TYPE_W)) ==
		       (X86_ATTR_P | X86_ATTR_S | TYPE_W);
}

static bool flat_code(const struct x86_seg *s)
{
	if (s->base || s->limit != 0xffffffff || (s->attr & X86_ATTR_NULL))
		return false;
	/* readable code, or the data attributes real mode leaves in CS */
	return (s->attr & TYPE_CODE) ? s->attr & TYPE_R : true;
}

void x86_update_mode(struct vcpu *v)
{
	const struct x86_state *s = &v->s;
	uint32_t mode = 0;

	v->cpl = 0;
	if (s->cr0 & X86_CR0_PE) {
		mode |= X86_MODE_PE;
		v->cpl = (uint8_t)seg_dpl(&s->seg[X86_SS]);
		if (s->rflags & X86_VM) {
			mode |= X86_MODE_VM;
			v->cpl = 3;
		}
	}
	if (s->efer & X86_EFER_LMA) {
		mode |= X86_MODE_LMA;
		if (s->seg[X86_CS].attr & X86_ATTR_L)
			mode |= X86_MODE_CS64 | X86_MODE_SS32;
	}
	if (!(mode & X86_MODE_CS64) && (s->seg[X86_CS].attr & X86_ATTR_DB))
		mode |= X86_MODE_CS32;
	if (s->seg[X86_SS].attr & X86_ATTR_DB)
		mode |= X86_MODE_SS32;
	if (v->cpl == 3)
		mode |= X86_MODE_USER;
	if (s->cr0 & X86_CR0_PG)
		mode |= X86_MODE_PG;
	if ((mode & X86_MODE_CS64) || (flat_code(&s->seg[X86_CS]) && flat_data(&s->seg[X86_SS]) &&
				       flat_data(&s->seg[X86_DS]) && flat_data(&s->seg[X86_ES])))
		mode |= X86_MODE_FLAT;
	v->mode = mode;
	x86_tlb_context(v);
}

void x86_tlb_context(struct vcpu *v)
{
	unsigned table = x86_table_for(v, v->cpl);

	if (table == X86_TLB_USER && (v->s.cr0 & X86_CR0_AM) && (v->s.rflags & X86_AC))
		table = X86_TLB_ALIGN;
	/* Slots know nothing of alignment. */
	if (table == X86_TLB_ALIGN && v->tlb->data_table != table)
		x86_slots_flush_user(v);
	/* Supervisor slots outlive STAC and CLAC, so none of them may hold a user page. */
	v->slots.hold = (v->s.cr4 & X86_CR4_SMAP) && table == X86_TLB_SUPER;
	v->tlb->data_table = (uint8_t)table;
}

void x86_set_rflags(struct vcpu *v, uint64_t val, uint64_t mask)
{
	uint64_t old = v->s.rflags;
	uint64_t new = ((old & ~mask) | (val & mask & 0x3f7fd5)) | 2;
	uint64_t changed = old ^ new;

	v->s.rflags = new;
	if (UNLIKELY(changed & X86_VM))
		x86_update_mode(v);
	else if (UNLIKELY(changed & X86_AC))
		x86_tlb_context(v);
	if ((changed & new &X86_IF) && v->irq_waiting)
		atomic_fetch_or(&v->request, (uint32_t)VCPU_REQ_EVENT);
}

void x86_seg_null(struct x86_seg *s, uint16_t sel)
{
	s->sel = sel;
	s->base = 0;
	s->limit = 0;
	s->attr = X86_ATTR_NULL;
}

void x86_drop_segs(struct vcpu *v, unsigned cpl)
{
	static const enum x86_sreg regs[] = {X86_ES, X86_DS, X86_FS, X86_GS};

	for (unsigned i = 0; i < ARRAY_SIZE(regs); i++) {
		struct x86_seg *s = &v->s.seg[regs[i]];
		bool conforming = (s->attr & (TYPE_CODE | TYPE_C)) == (TYPE_CODE | TYPE_C);

		/* Already null: its base (FS, GS) was set through an MSR and stays. */
		if (!(s->attr & X86_ATTR_NULL) && !conforming && seg_dpl(s) < cpl)
			x86_seg_null(s, 0);
	}
}
