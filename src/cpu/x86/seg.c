/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments: limit and type checks, descriptor reads, loads of segment registers, LDTR and TR,
 * stacks of the current and of inner privilege levels, LAR/LSL/VERR/VERW. Intel SDM vol. 3,
 * chapters 3.4, 5.2-5.9, 7.2; vol. 2, MOV, LAR, LSL, LLDT, LTR.
 *
 * Order inside a load: checks in the order of the manual's pseudocode, then the accessed bit in the
 * descriptor (which can still page-fault, e.g. in a read-only GDT), then the register.
 */
#include "cpu/x86/internal.h"
#include "mem/guest.h"

/* ---- limits ---- */

bool x86_limit_ok(const struct x86_seg *s, uint64_t off, unsigned size)
{
	uint64_t last = off + size - 1;

	/* Expand-down data segment: SDM vol. 3, 5.3. */
	if ((s->attr & (X86_ATTR_S | TYPE_CODE | TYPE_E)) == (X86_ATTR_S | TYPE_E)) {
		uint64_t top = (s->attr & X86_ATTR_DB) ? 0xffffffff : 0xffff;

		return off > s->limit && last <= top;
	}
	/* With a 4 GiB limit an access may wrap; processors differ, flat segments must not fault.
	 */
	return last <= s->limit || (s->limit == 0xffffffff && off <= 0xffffffff);
}

int x86_seg_lin(struct vcpu *v, enum x86_sreg seg, uint64_t off, unsigned size, unsigned access,
		gva_t *ret_lin)
{
	const struct x86_seg *s = &v->s.seg[seg];
	uint8_t vec = seg == X86_SS ? X86_SSF : X86_GP;
	gva_t lin;

	if (x86_is_64(v)) {
		lin = seg >= X86_FS ? s->base + off : off;
		if (!x86_canonical(lin) || !x86_canonical(lin + size - 1))
			return x86_raise_err(v, vec, 0);
		*ret_lin = lin;
		return X86_OK;
	}
	if (x86_protected(v)) {
		bool bad;

		if (access & X86_ACC_WRITE)
			bad = (s->attr & (TYPE_CODE | TYPE_W)) != TYPE_W;
		else
			bad = (s->attr & (TYPE_CODE | TYPE_R)) == TYPE_CODE;
		if ((s->attr & X86_ATTR_NULL) || bad)
			return x86_raise_err(v, vec, 0);
	}
	if (!x86_limit_ok(s, off, size))
		return x86_raise_err(v, vec, 0);
	*ret_lin = (uint32_t)(s->base + off);
	return X86_OK;
}

/* ---- descriptors ---- */

/* Linear address of entry @sel of its table when all @size bytes are inside it. */
static bool desc_lin(const struct vcpu *v, uint16_t sel, unsigned size, gva_t *ret_lin)
{
	uint64_t base = v->s.gdtr.base;
	uint32_t limit = v->s.gdtr.limit;

	if (sel & 4) {
		if (v->s.ldtr.attr & X86_ATTR_NULL)
			return false;
		base = v->s.ldtr.base;
		limit = v->s.ldtr.limit;
	}
	if ((uint32_t)(sel & ~7) + size - 1 > limit)
		return false;
	*ret_lin = base + (sel & ~7u);
	if (!x86_lma(v))
		*ret_lin = (uint32_t)*ret_lin;
	return true;
}

int x86_desc_find(struct vcpu *v, uint16_t sel, struct x86_desc *ret, bool *ret_found)
{
	uint64_t raw;

	*ret_found = desc_lin(v, sel, 8, &ret->lin);
	if (!*ret_found)
		return X86_OK;
	if (x86_read_sys(v, ret->lin, 8, &raw))
		return X86_FAULT;
	ret->lo = (uint32_t)raw;
	ret->hi = (uint32_t)(raw >> 32);
	ret->base_hi = ret->top = 0;
	return X86_OK;
}

int x86_desc_read(struct vcpu *v, uint16_t sel, uint8_t vector, struct x86_desc *ret)
{
	bool found;

	if (x86_desc_find(v, sel, ret, &found))
		return X86_FAULT;
	return found ? X86_OK : x86_raise_sel(v, vector, sel);
}

int x86_desc_read_upper(struct vcpu *v, uint16_t sel, uint8_t vector, struct x86_desc *d)
{
	uint64_t raw;
	gva_t lin;

	if (!desc_lin(v, sel, 16, &lin))
		return x86_raise_sel(v, vector, sel);
	if (x86_read_sys(v, lin + 8, 8, &raw))
		return X86_FAULT;
	d->base_hi = (uint32_t)raw;
	d->top = (uint32_t)(raw >> 32);
	return X86_OK;
}

/* Change bits of the type byte of a descriptor in memory. The processor does this with a locked
 * cycle; the byte is the whole extent of the change. */
static int desc_type_change(struct vcpu *v, struct x86_desc *d, uint8_t clear, uint8_t set)
{
	struct x86_tlb_entry *e;
	unsigned saved = v->tlb->data_table;
	uint8_t *p, val;

	v->tlb->data_table = (uint8_t)x86_table_system(v);
	p = x86_ptr(v, d->lin + 5, 1, X86_ACC_WRITE, &e);
	v->tlb->data_table = (uint8_t)saved;
	if (LIKELY(p != NULL)) {
		if (set)
			__atomic_fetch_or(p, set, __ATOMIC_SEQ_CST);
		if (clear)
			__atomic_fetch_and(p, (uint8_t)~clear, __ATOMIC_SEQ_CST);
		x86_stored(v, e, d->lin + 5, 1);
	} else {
		if (x86_read_sys(v, d->lin + 5, 1, &val))
			return X86_FAULT;
		val = (uint8_t)((val | set) & ~clear);
		if (x86_write_sys(v, d->lin + 5, 1, &val))
			return X86_FAULT;
	}
	d->hi = (d->hi | (uint32_t)set << 8) & ~((uint32_t)clear << 8);
	return X86_OK;
}

int x86_desc_accessed(struct vcpu *v, struct x86_desc *d)
{
	if (LIKELY(desc_type(d) & TYPE_A))
		return X86_OK;
	return desc_type_change(v, d, 0, TYPE_A);
}

int x86_desc_busy(struct vcpu *v, struct x86_desc *d, bool busy)
{
	return desc_type_change(v, d, busy ? 0 : 2, busy ? 2 : 0);
}

void x86_seg_set(struct x86_seg *s, uint16_t sel, const struct x86_desc *d)
{
	s->sel = sel;
	s->base = desc_base(d) | (uint64_t)d->base_hi << 32;
	s->limit = desc_limit(d);
	s->attr = desc_attr(d);
}

void x86_seg_v86(struct x86_seg *s, uint16_t sel)
{
	*s = (struct x86_seg){
		.base = (uint64_t)sel << 4, .limit = 0xffff, .attr = 0xf3, .sel = sel};
}

/* ---- segment registers ---- */

void x86_load_seg_real(struct vcpu *v, enum x86_sreg seg, uint16_t sel)
{
	struct x86_seg *s = &v->s.seg[seg];

	if (v->mode & X86_MODE_VM) {
		x86_seg_v86(s, sel);
	} else {
		/* Limit and D/B stay what they were ("unreal" mode): SDM vol. 3, 21.1.1. */
		if (s->attr & X86_ATTR_NULL) {
			s->limit = 0xffff;
			s->attr = 0;
		}
		s->attr = (s->attr & (X86_ATTR_DB | X86_ATTR_G | X86_ATTR_AVL)) | 0x93;
		s->sel = sel;
		s->base = (uint64_t)sel << 4;
	}
	x86_update_mode(v);
}

int x86_stack_seg(struct vcpu *v, uint16_t sel, unsigned cpl, uint8_t vector, struct x86_seg *ret)
{
	struct x86_desc d;

	if (x86_desc_read(v, sel, vector, &d))
		return X86_FAULT;
	if ((sel & 3u) != cpl || desc_dpl(&d) != cpl || !desc_is_writable(&d))
		return x86_raise_sel(v, vector, sel);
	if (!desc_p(&d))
		return x86_raise_sel(v, X86_SSF, sel);
	if (x86_desc_accessed(v, &d))
		return X86_FAULT;
	x86_seg_set(ret, sel, &d);
	return X86_OK;
}

int x86_data_seg(struct vcpu *v, uint16_t sel, unsigned cpl, uint8_t vector, struct x86_seg *ret)
{
	struct x86_desc d;

	if (x86_desc_read(v, sel, vector, &d))
		return X86_FAULT;
	if (!desc_s(&d) || (desc_is_code(&d) && !(desc_type(&d) & TYPE_R)))
		return x86_raise_sel(v, vector, sel);
	if (!desc_is_conforming(&d) && (desc_dpl(&d) < cpl || desc_dpl(&d) < (sel & 3u)))
		return x86_raise_sel(v, vector, sel);
	if (!desc_p(&d))
		return x86_raise_sel(v, X86_NP, sel);
	if (x86_desc_accessed(v, &d))
		return X86_FAULT;
	x86_seg_set(ret, sel, &d);
	return X86_OK;
}

static int load_ss(struct vcpu *v, uint16_t sel)
{
	if (sel_null(sel)) {
		if (!x86_is_64(v) || v->cpl == 3 || (sel & 3) != v->cpl)
			return x86_gp0(v);
		x86_seg_null(&v->s.seg[X86_SS], sel);
		v->s.seg[X86_SS].attr |= (uint32_t)v->cpl << X86_ATTR_DPL_SHIFT;
		return X86_OK;
	}
	return x86_stack_seg(v, sel, v->cpl, X86_GP, &v->s.seg[X86_SS]);
}

static int load_data(struct vcpu *v, enum x86_sreg seg, uint16_t sel)
{
	if (!sel_null(sel))
		return x86_data_seg(v, sel, v->cpl, X86_GP, &v->s.seg[seg]);
	x86_seg_null(&v->s.seg[seg], sel);
	return X86_OK;
}

int x86_load_seg(struct vcpu *v, enum x86_sreg seg, uint16_t sel)
{
	int r;

	if (!x86_protected(v)) {
		x86_load_seg_real(v, seg, sel);
		return X86_OK;
	}
	r = seg == X86_SS ? load_ss(v, sel) : load_data(v, seg, sel);
	if (r == X86_OK)
		x86_update_mode(v);
	return r;
}

int x86_lldt(struct vcpu *v, uint16_t sel)
{
	struct x86_desc d;

	if (sel_null(sel)) {
		x86_seg_null(&v->s.ldtr, sel);
		return X86_OK;
	}
	if (sel & 4)
		return x86_raise_sel(v, X86_GP, sel);
	if (x86_desc_read(v, sel, X86_GP, &d))
		return X86_FAULT;
	if (x86_lma(v) && x86_desc_read_upper(v, sel, X86_GP, &d))
		return X86_FAULT;
	if (desc_s(&d) || desc_type(&d) != DESC_LDT)
		return x86_raise_sel(v, X86_GP, sel);
	/* The type field of the upper half must be 0: SDM vol. 3, figure 3-8 (8.2.3 for TSS). */
	if (x86_lma(v) && (d.top & 0x1f00))
		return x86_raise_sel(v, X86_GP, sel);
	if (x86_lma(v) && !x86_canonical(desc_base(&d) | (uint64_t)d.base_hi << 32))
		return x86_raise_sel(v, X86_GP, sel);
	if (!desc_p(&d))
		return x86_raise_sel(v, X86_NP, sel);
	x86_seg_set(&v->s.ldtr, sel, &d);
	return X86_OK;
}

int x86_ltr(struct vcpu *v, uint16_t sel)
{
	struct x86_desc d;

	if (sel_null(sel))
		return x86_gp0(v);
	if (sel & 4)
		return x86_raise_sel(v, X86_GP, sel);
	if (x86_desc_read(v, sel, X86_GP, &d))
		return X86_FAULT;
	if (x86_lma(v) && x86_desc_read_upper(v, sel, X86_GP, &d))
		return X86_FAULT;
	if (desc_s(&d) ||
	    !(desc_type(&d) == DESC_TSS32 || (desc_type(&d) == DESC_TSS16 && !x86_lma(v))))
		return x86_raise_sel(v, X86_GP, sel);
	if (x86_lma(v) &&
	    ((d.top & 0x1f00) || !x86_canonical(desc_base(&d) | (uint64_t)d.base_hi << 32)))
		return x86_raise_sel(v, X86_GP, sel);
	if (!desc_p(&d))
		return x86_raise_sel(v, X86_NP, sel);
	if (x86_desc_busy(v, &d, true))
		return X86_FAULT;
	x86_seg_set(&v->s.tr, sel, &d);
	return X86_OK;
}

/* Types LAR and LSL accept: SDM vol. 2, table 3-53 (LAR) and 3-56 (LSL). */
static bool sys_type_ok(const struct vcpu *v, unsigned type, char what)
{
	uint32_t ok;

	if (x86_lma(v))
		ok = 1u << DESC_LDT | 1u << DESC_TSS32 | 1u << DESC_TSS32_BUSY |
		     (what == 'a' ? 1u << DESC_CALL32 : 0);
	else
		ok = 1u << DESC_TSS16 | 1u << DESC_LDT | 1u << DESC_TSS16_BUSY | 1u << DESC_TSS32 |
		     1u << DESC_TSS32_BUSY |
		     (what == 'a' ? 1u << DESC_CALL16 | 1u << DESC_TASK | 1u << DESC_CALL32 : 0);
	return ok >> type & 1;
}

int x86_sel_access(struct vcpu *v, uint16_t sel, char what, bool *ret_ok, uint32_t *ret_val)
{
	struct x86_desc d;
	bool found;

	*ret_ok = false;
	if (sel_null(sel))
		return X86_OK;
	if (x86_desc_find(v, sel, &d, &found))
		return X86_FAULT;
	if (!found)
		return X86_OK;
	if (!desc_is_conforming(&d) && (v->cpl > desc_dpl(&d) || (sel & 3u) > desc_dpl(&d)))
		return X86_OK;
	switch (what) {
	case 'r': *ret_ok = desc_s(&d) && (!desc_is_code(&d) || (desc_type(&d) & TYPE_R)); break;
	case 'w': *ret_ok = desc_is_writable(&d); break;
	default:
		*ret_ok = desc_s(&d) || sys_type_ok(v, desc_type(&d), what);
		if (*ret_ok)
			*ret_val = what == 'a' ? d.hi & 0x00ffff00 : desc_limit(&d);
	}
	return X86_OK;
}

/* ---- stacks ---- */

void x86_stack_current(const struct vcpu *v, struct x86_stack *ret)
{
	*ret = (struct x86_stack){
		.ss = v->s.seg[X86_SS],
		.sp = v->s.gpr[X86_RSP],
		.is64 = x86_is_64(v),
		.table = v->tlb->data_table,
	};
}

/* Linear address of [off, off+len) on @k; the caller has handled wrap-around of the pointer. */
static int stack_lin(struct vcpu *v, const struct x86_stack *k, uint64_t off, unsigned len,
		     gva_t *ret_lin)
{
	if (k->is64) {
		if (!x86_canonical(off) || !x86_canonical(off + len - 1))
			return x86_raise_err(v, X86_SSF, k->err);
		*ret_lin = off;
		return X86_OK;
	}
	if ((k->ss.attr & X86_ATTR_NULL) || !x86_limit_ok(&k->ss, off, len))
		return x86_raise_err(v, X86_SSF, k->err);
	*ret_lin = (uint32_t)(k->ss.base + off);
	return X86_OK;
}

#define STACK_VALUES 40 /* call gate: SS, ESP, 31 parameters, CS, EIP */

int x86_stack_push(struct vcpu *v, struct x86_stack *k, unsigned size, const uint64_t *val,
		   unsigned n)
{
	uint64_t mask = x86_stack_mask(k);
	uint64_t sp = (k->sp - (uint64_t)n * size) & mask;
	uint8_t buf[STACK_VALUES * 8];
	gva_t lin[STACK_VALUES];

	dcheck(n <= STACK_VALUES);
	if (LIKELY(mask - sp >= n * size - 1)) {
		if (stack_lin(v, k, sp, n * size, &lin[0]))
			return X86_FAULT;
		for (unsigned i = 0; i < n; i++)
			st_le(buf + i * size, size, val[i]);
		if (x86_write_t(v, k->table, lin[0], n * size, buf))
			return X86_FAULT;
		x86_watch_hit(v, lin[0], n * size, true);
	} else {
		for (unsigned i = 0; i < n; i++)
			if (stack_lin(v, k, (sp + i * size) & mask, size, &lin[i]) ||
			    x86_probe_t(v, k->table, lin[i], size, X86_ACC_WRITE))
				return X86_FAULT;
		for (unsigned i = 0; i < n; i++) {
			st_le(buf, size, val[i]);
			if (x86_write_t(v, k->table, lin[i], size, buf))
				return X86_FAULT;
		}
	}
	k->sp = x86_stack_merge(k, k->sp, sp);
	return X86_OK;
}

int x86_stack_peek(struct vcpu *v, const struct x86_stack *k, uint64_t off, unsigned size,
		   uint64_t *val, unsigned n)
{
	uint64_t mask = x86_stack_mask(k);
	uint64_t sp = (k->sp + off) & mask;
	uint8_t buf[STACK_VALUES * 8];
	gva_t lin;

	dcheck(n <= STACK_VALUES);
	if (LIKELY(mask - sp >= n * size - 1)) {
		if (stack_lin(v, k, sp, n * size, &lin) ||
		    x86_read_t(v, k->table, lin, n * size, buf))
			return X86_FAULT;
		x86_watch_hit(v, lin, n * size, false);
	} else {
		for (unsigned i = 0; i < n; i++)
			if (stack_lin(v, k, (sp + i * size) & mask, size, &lin) ||
			    x86_read_t(v, k->table, lin, size, buf + i * size))
				return X86_FAULT;
	}
	for (unsigned i = 0; i < n; i++)
		val[i] = ld_le(buf + i * size, size);
	return X86_OK;
}

/* The usual case of a push or pop: inside the segment, no wrap, a TLB hit. Else NULL. */
static uint8_t *stack_ptr(struct vcpu *v, uint64_t sp, unsigned size, unsigned access,
			  struct x86_tlb_entry **ret_e, gva_t *ret_lin)
{
	const struct x86_seg *ss = &v->s.seg[X86_SS];
	gva_t lin = sp;

	if (!x86_is_64(v)) {
		uint64_t mask = v->mode & X86_MODE_SS32 ? 0xffffffff : 0xffff;

		if (mask - sp < size - 1 || ss->attr & X86_ATTR_NULL || !x86_limit_ok(ss, sp, size))
			return NULL;
		lin = (uint32_t)(ss->base + sp);
	}
	*ret_lin = lin;
	*ret_e = x86_tlb_hit(v, lin, size, access);
	return LIKELY(*ret_e != NULL) ? (*ret_e)->host + (lin & 0xfff) : NULL;
}

/* RSP moved by @delta in the width of the stack; *ret_old: the pointer itself. */
static uint64_t stack_move(const struct vcpu *v, int64_t delta, uint64_t *ret_old,
			   uint64_t *ret_new)
{
	uint64_t sp = v->s.gpr[X86_RSP], to = sp + (uint64_t)delta;

	if (LIKELY(x86_is_64(v))) {
		*ret_old = sp;
		return *ret_new = to;
	}
	if (v->mode & X86_MODE_SS32) {
		*ret_old = (uint32_t)sp;
		return *ret_new = (uint32_t)to;
	}
	*ret_old = (uint16_t)sp;
	*ret_new = (uint16_t)to;
	return (sp & ~0xffffull) | *ret_new;
}

int x86_push(struct vcpu *v, unsigned size, uint64_t val)
{
	struct x86_stack k;
	struct x86_tlb_entry *e;
	uint64_t old, to, rsp = stack_move(v, -(int64_t)size, &old, &to);
	gva_t lin;
	uint8_t *p = stack_ptr(v, to, size, X86_ACC_WRITE, &e, &lin);

	if (LIKELY(p != NULL)) {
		guest_store(p, size, val);
		x86_stored(v, e, lin, size);
		v->s.gpr[X86_RSP] = rsp;
		return X86_OK;
	}
	x86_stack_current(v, &k);
	if (x86_stack_push(v, &k, size, &val, 1))
		return X86_FAULT;
	v->s.gpr[X86_RSP] = k.sp;
	return X86_OK;
}

int x86_pop(struct vcpu *v, unsigned size, uint64_t *ret_val)
{
	struct x86_stack k;
	struct x86_tlb_entry *e;
	uint64_t old, to, rsp = stack_move(v, size, &old, &to);
	gva_t lin;
	const uint8_t *p = stack_ptr(v, old, size, X86_ACC_READ, &e, &lin);

	if (LIKELY(p != NULL)) {
		*ret_val = guest_load(p, size);
		v->s.gpr[X86_RSP] = rsp;
		return X86_OK;
	}
	x86_stack_current(v, &k);
	if (x86_stack_peek(v, &k, 0, size, ret_val, 1))
		return X86_FAULT;
	v->s.gpr[X86_RSP] = x86_stack_merge(&k, k.sp, k.sp + size);
	return X86_OK;
}

/* SS:ESP for @dpl out of the current 16- or 32-bit TSS. SDM vol. 2, CALL, "more privilege". */
static int tss_stack(struct vcpu *v, unsigned dpl, uint16_t *ret_ss, uint64_t *ret_sp)
{
	const struct x86_seg *tr = &v->s.tr;
	bool is32 = (tr->attr & X86_ATTR_TYPE) & 8;
	unsigned off = is32 ? dpl * 8 + 4 : dpl * 4 + 2, size = is32 ? 6 : 4;
	uint8_t b[8] = {0};

	if (off + size - 1 > tr->limit)
		return x86_raise_sel(v, X86_TS, tr->sel);
	if (x86_read_sys(v, (uint32_t)(tr->base + off), size, b))
		return X86_FAULT;
	*ret_sp = is32 ? ld_le32(b) : ld_le16(b);
	*ret_ss = ld_le16(b + size - 2);
	return X86_OK;
}

static int inner_stack_64(struct vcpu *v, unsigned dpl, unsigned ist, struct x86_stack *ret)
{
	const struct x86_seg *tr = &v->s.tr;
	unsigned off = ist ? ist * 8 + 28 : dpl * 8 + 4; /* SDM vol. 3, figure 8-11 */

	if (off + 7 > tr->limit)
		return x86_raise_sel(v, X86_TS, tr->sel);
	if (x86_read_sys(v, tr->base + off, 8, &ret->sp))
		return X86_FAULT;
	x86_seg_null(&ret->ss, (uint16_t)dpl);
	ret->ss.attr |= dpl << X86_ATTR_DPL_SHIFT;
	ret->is64 = true;
	ret->table = (uint8_t)x86_table_for(v, dpl);
	ret->err = 0;
	return X86_OK;
}

int x86_inner_stack(struct vcpu *v, unsigned dpl, unsigned ist, struct x86_stack *ret)
{
	uint16_t ss = 0;

	if (x86_lma(v))
		return inner_stack_64(v, dpl, ist, ret);
	if (tss_stack(v, dpl, &ss, &ret->sp))
		return X86_FAULT;
	if (sel_null(ss))
		return x86_raise_err(v, X86_TS, 0);
	ret->ss = (struct x86_seg){0};
	if (x86_stack_seg(v, ss, dpl, X86_TS, &ret->ss))
		return X86_FAULT;
	ret->is64 = false;
	ret->table = (uint8_t)x86_table_for(v, dpl);
	ret->err = ss & 0xfffc;
	return X86_OK;
}

int x86_return_cs(struct vcpu *v, uint16_t sel, struct x86_desc *ret)
{
	unsigned rpl = sel & 3;

	if (sel_null(sel))
		return x86_gp0(v);
	if (x86_desc_read(v, sel, X86_GP, ret))
		return X86_FAULT;
	if (!desc_is_code(ret) || rpl < v->cpl)
		return x86_raise_sel(v, X86_GP, sel);
	if (x86_lma(v) && desc_l(ret) && desc_d(ret))
		return x86_raise_sel(v, X86_GP, sel);
	if (desc_is_conforming(ret) ? desc_dpl(ret) > rpl : desc_dpl(ret) != rpl)
		return x86_raise_sel(v, X86_GP, sel);
	if (!desc_p(ret))
		return x86_raise_sel(v, X86_NP, sel);
	return X86_OK;
}

int x86_return_ss(struct vcpu *v, uint16_t sel, unsigned rpl, bool to64, struct x86_seg *ret)
{
	*ret = (struct x86_seg){0};
	if (sel_null(sel)) {
		if (!to64 || rpl == 3 || (sel & 3u) != rpl)
			return x86_gp0(v);
		x86_seg_null(ret, sel);
		ret->attr |= rpl << X86_ATTR_DPL_SHIFT;
		return X86_OK;
	}
	return x86_stack_seg(v, sel, rpl, X86_GP, ret);
}

int x86_code_off(struct vcpu *v, const struct x86_desc *d, uint64_t *off)
{
	if (x86_lma(v) && desc_l(d))
		return x86_canonical(*off) ? X86_OK : x86_gp0(v);
	/* From 64-bit code with a 64-bit operand size: processors drop the upper half. */
	*off = (uint32_t)*off;
	return *off <= desc_limit(d) ? X86_OK : x86_gp0(v);
}
