/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts, exceptions, IRET, SYSCALL, SYSENTER and SYSRET in long mode as operating systems use
 * them: the common case of exc.c, iret.c and far.c in one piece. Intel SDM vol. 3, 6.14 (64-bit
 * mode), 6.14.5 (IST); vol. 2, IRET.
 *
 * Every table and the stack must be found by x86_tlb_find(), selectors must be in the GDT,
 * descriptors present and accessed, handlers in non-conforming 64-bit code. Nothing is changed
 * before all of that is known. Anything else: false, and the exact path does the whole event,
 * including every fault.
 *
 * Compiled without vector registers, like tlb.c and for the same reason.
 */
#include "cpu/x86/internal.h"
#include "mem/guest.h"

/* Bits of a raw descriptor or gate. */
#define D_A   BIT(40)
#define D_W   BIT(41)
#define D_C   BIT(42)
#define D_X   BIT(43)
#define D_S   BIT(44)
#define D_P   BIT(47)
#define D_L   BIT(53)
#define D_DB  BIT(54)
#define D_DPL 45

static struct x86_tlb_entry *hit(struct vcpu *v, unsigned table, gva_t lin, unsigned size,
				 bool write)
{
	struct x86_tlb *t = v->tlb;
	struct x86_tlb_entry *e = &t->e[table][(lin >> 12) & (X86_TLB_SIZE - 1)];
	uint64_t tag = write ? e->tag_write : e->tag_read;

	if (UNLIKELY((lin & 0xfff) + size > 0x1000))
		return NULL;
	if (LIKELY(tag == ((lin & ~0xfffull) | t->generation)))
		return e;
	return x86_tlb_find(v, table, lin, write ? X86_ACC_WRITE : X86_ACC_READ);
}

/* @n 8-byte words of a system table. */
static bool load_sys(struct vcpu *v, gva_t lin, uint64_t *to, unsigned n)
{
	const struct x86_tlb_entry *e = hit(v, x86_table_system(v), lin, n * 8, false);

	if (!e)
		return false;
	for (unsigned i = 0; i < n; i++)
		to[i] = guest_load(e->host + (lin & 0xfff) + i * 8, 8);
	return true;
}

static bool load_gdt(struct vcpu *v, uint16_t sel, uint64_t *ret)
{
	if (sel & 4 || sel_null(sel) || (sel & ~7u) + 7 > v->s.gdtr.limit)
		return false;
	return load_sys(v, v->s.gdtr.base + (sel & ~7u), ret, 1);
}

static void seg_from_raw(struct x86_seg *s, uint16_t sel, uint64_t raw)
{
	struct x86_desc d = {.lo = (uint32_t)raw, .hi = (uint32_t)(raw >> 32)};

	s->base = desc_base(&d);
	s->limit = desc_limit(&d);
	s->attr = desc_attr(&d);
	s->sel = sel;
}

static void seg_null(struct x86_seg *s, uint16_t sel, unsigned dpl)
{
	x86_seg_null(s, sel);
	s->attr = X86_ATTR_NULL | dpl << X86_ATTR_DPL_SHIFT;
}

/* The stack pointer the handler starts with, before the frame. */
static bool handler_stack(struct vcpu *v, unsigned ist, unsigned cpl, uint64_t *ret)
{
	unsigned off = ist ? ist * 8 + 28 : cpl * 8 + 4; /* SDM vol. 3, figure 8-11 */

	*ret = v->s.gpr[X86_RSP];
	if (!ist && cpl == v->cpl)
		return true;
	return off + 7 <= v->s.tr.limit && load_sys(v, v->s.tr.base + off, ret, 1);
}

static bool push_frame(struct vcpu *v, const struct x86_fast_event *ev, uint64_t sp, unsigned cpl)
{
	unsigned n = ev->has_error ? 6 : 5;
	uint64_t to = (sp & ~15ull) - n * 8ull;
	struct x86_tlb_entry *e = hit(v, x86_table_for(v, cpl), to, n * 8, true);
	uint8_t *p;

	if (!e || !x86_canonical(to) || !x86_note_store(v, e, true))
		return false;
	p = e->host + (to & 0xfff);
	if (ev->has_error) {
		guest_store(p, 8, ev->error);
		p += 8;
	}
	guest_store(p, 8, ev->rip);
	guest_store(p + 8, 8, v->s.seg[X86_CS].sel);
	guest_store(p + 16, 8, ev->flags);
	guest_store(p + 24, 8, v->s.gpr[X86_RSP]);
	guest_store(p + 32, 8, v->s.seg[X86_SS].sel);
	/* it became code meanwhile: the exact path stores the same again, and reports it */
	if (UNLIKELY(atomic_load_explicit(e->code, memory_order_relaxed)))
		return false;
	v->s.gpr[X86_RSP] = to;
	return true;
}

bool x86_event_fast(struct vcpu *v, const struct x86_fast_event *ev)
{
	const uint64_t care = D_A | D_C | D_X | D_S | D_P | D_L | D_DB;
	uint64_t gate[2], code, sp, rip, clear = X86_TF | X86_NT | X86_RF | X86_VM;
	unsigned cpl;
	uint16_t sel;

	if (ev->vector * 16u + 15 > v->s.idtr.limit ||
	    !load_sys(v, v->s.idtr.base + ev->vector * 16u, gate, 2))
		return false;
	sel = (uint16_t)(gate[0] >> 16);
	if ((gate[0] & (D_P | D_S | D_X | D_C | D_W)) != (D_P | D_X | D_C | D_W) ||
	    (ev->soft && (gate[0] >> D_DPL & 3) < v->cpl) || !load_gdt(v, sel, &code) ||
	    (code & care) != (D_A | D_X | D_S | D_P | D_L))
		return false;
	cpl = code >> D_DPL & 3;
	rip = (gate[0] & 0xffff) | (gate[0] >> 32 & 0xffff0000) | gate[1] << 32;
	if (cpl > v->cpl || !x86_canonical(rip) || !handler_stack(v, gate[0] >> 32 & 7, cpl, &sp) ||
	    !push_frame(v, ev, sp, cpl))
		return false;
	if (cpl < v->cpl)
		seg_null(&v->s.seg[X86_SS], (uint16_t)cpl, cpl);
	if (!(gate[0] & D_A)) /* interrupt gate, not trap gate */
		clear |= X86_IF;
	v->s.rflags &= ~clear;
	seg_from_raw(&v->s.seg[X86_CS], (uint16_t)((sel & ~3u) | cpl), code);
	v->next_rip = rip;
	x86_mode_long(v, cpl);
	return true;
}

/* The SS that IRET pops. */
static bool return_ss(struct vcpu *v, uint16_t sel, unsigned rpl, bool to64, uint64_t *ret_raw)
{
	if ((sel & 3u) != rpl)
		return false;
	*ret_raw = 0;
	if (sel_null(sel))
		return to64 && rpl != 3;
	return load_gdt(v, sel, ret_raw) &&
	       (*ret_raw & (D_A | D_W | D_X | D_S | D_P)) == (D_A | D_W | D_S | D_P) &&
	       (*ret_raw >> D_DPL & 3) == rpl && (to64 || *ret_raw & D_DB);
}

static bool iret_fast(struct vcpu *v, uint64_t flags_mask)
{
	gva_t lin = v->s.gpr[X86_RSP];
	const struct x86_tlb_entry *e = hit(v, v->tlb->data_table, lin, 40, false);
	struct x86_seg *ss = &v->s.seg[X86_SS];
	uint64_t val[5], code, stack;
	unsigned rpl, old = v->cpl;
	bool to64;

	if (!e || !x86_canonical(lin) || v->s.rflags & X86_NT)
		return false;
	for (unsigned i = 0; i < 5; i++)
		val[i] = guest_load(e->host + (lin & 0xfff) + i * 8, 8);
	rpl = val[1] & 3;
	if (rpl < old || !load_gdt(v, (uint16_t)val[1], &code) ||
	    (code & (D_A | D_C | D_X | D_S | D_P)) != (D_A | D_X | D_S | D_P) ||
	    (code >> D_DPL & 3) != rpl || (code & (D_L | D_DB)) == (D_L | D_DB))
		return false;
	to64 = code & D_L;
	if (!return_ss(v, (uint16_t)val[4], rpl, to64, &stack) || !x86_canonical(val[0]))
		return false;
	if (!to64) { /* compatibility mode: flat segments */
		struct x86_desc d = {.lo = (uint32_t)code, .hi = (uint32_t)(code >> 32)};

		if (val[0] > desc_limit(&d))
			return false;
		val[3] = (uint32_t)val[3];
	}
	v->s.gpr[X86_RSP] = val[3];
	if (stack)
		seg_from_raw(ss, (uint16_t)val[4], stack);
	else
		seg_null(ss, (uint16_t)val[4], rpl);
	seg_from_raw(&v->s.seg[X86_CS], (uint16_t)val[1], code);
	v->next_rip = val[0];
	if (rpl > old)
		x86_drop_segs(v, rpl);
	if (to64)
		x86_mode_long(v, rpl);
	else
		x86_update_mode(v);
	x86_set_rflags(v, val[2], flags_mask);
	return true;
}

bool x86_iretq_fast(struct vcpu *v)
{
	if (!x86_is_64(v) || v->s.shadow & X86_SHADOW_NMI)
		return false;
	return iret_fast(v, x86_iret_mask(v, 8));
}

/* ---- SYSCALL, SYSRET, SYSENTER ---- */

/* Flat segments as SYSCALL and SYSRET make them: SDM vol. 2. */
static void set_flat(struct vcpu *v, uint16_t cs, uint16_t ss, unsigned dpl, uint32_t mode)
{
	v->s.seg[X86_CS] = (struct x86_seg){
		.sel = cs,
		.limit = 0xffffffff,
		.attr = 0x809b | dpl << X86_ATTR_DPL_SHIFT | mode,
	};
	if (dpl && x86_is_amd(v)) /* SYSRET, which leaves the rest of SS as it is: far.c */
		x86_seg_keep(&v->s.seg[X86_SS], ss);
	else
		v->s.seg[X86_SS] = (struct x86_seg){
			.sel = ss,
			.limit = 0xffffffff,
			.attr = 0xc093 | dpl << X86_ATTR_DPL_SHIFT,
		};
	if (mode == X86_ATTR_L)
		x86_mode_long(v, dpl);
	else
		x86_update_mode(v);
}

bool x86_syscall_fast(struct vcpu *v)
{
	uint16_t sel = (uint16_t)(v->s.star >> 32) & 0xfffc;
	uint64_t flags = v->s.rflags;

	if (!x86_is_64(v) || !(v->s.efer & X86_EFER_SCE))
		return false;
	v->s.gpr[X86_RCX] = v->next_rip;
	v->s.gpr[X86_R11] = flags & ~(uint64_t)X86_RF;
	v->next_rip = v->s.lstar;
	v->s.rflags = (flags & ~(v->s.sfmask | X86_RF)) | 2;
	if (!(v->s.rflags & X86_TF))
		v->no_step = true;
	set_flat(v, sel, (uint16_t)(sel + 8), 0, X86_ATTR_L);
	return true;
}

bool x86_sysret_fast(struct vcpu *v, bool to64)
{
	uint16_t sel = (uint16_t)(v->s.star >> 48), cs = to64 ? sel + 16 : sel;
	uint64_t rip = v->s.gpr[X86_RCX];

	if (!x86_is_64(v) || !(v->s.efer & X86_EFER_SCE) || v->cpl || (to64 && !x86_canonical(rip)))
		return false;
	v->next_rip = to64 ? rip : (uint32_t)rip;
	x86_set_rflags(v, v->s.gpr[X86_R11], 0x3c7fd7);
	v->s.rflags &= ~(uint64_t)(X86_RF | X86_VM);
	set_flat(v, cs | 3, (uint16_t)((sel + 8) | 3), 3, to64 ? X86_ATTR_L : X86_ATTR_DB);
	return true;
}

bool x86_sysenter_fast(struct vcpu *v)
{
	uint16_t sel = (uint16_t)v->s.sysenter_cs & 0xfffc;

	if (!(v->s.efer & X86_EFER_LMA) || !(v->mode & X86_MODE_PE) || !sel)
		return false;
	v->s.rflags &= ~(uint64_t)(X86_VM | X86_IF | X86_RF);
	v->s.gpr[X86_RSP] = v->s.sysenter_esp;
	v->next_rip = v->s.sysenter_eip;
	set_flat(v, sel, (uint16_t)(sel + 8), 0, X86_ATTR_L);
	return true;
}
