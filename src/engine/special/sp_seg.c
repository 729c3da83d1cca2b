/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers of group SEG: segment and descriptor-table registers (engine/special/special.h). Intel
 * SDM vol. 2; vol. 3, 2.4, 2.8; UMIP: vol. 3, 2.5 (CR4 bit 11).
 */
#include "engine/special/special.h"

/* SGDT, SIDT, SLDT, SMSW, STR outside CPL 0 are refused with UMIP. */
static int umip_check(struct vcpu *v)
{
	return (v->s.cr4 & X86_CR4_UMIP) && v->cpl ? x86_gp0(v) : X86_OK;
}

/* A 16-bit system value: memory gets two bytes, a register its operand size zero-extended. */
static int store_word(struct vcpu *v, const struct insn *in, uint64_t val)
{
	return rm_write(v, in, (in->flags & INSN_MEM) ? 2 : in->opsize, val);
}

static void set_zf(struct vcpu *v, bool zf)
{
	v->s.rflags = (v->s.rflags & ~(uint64_t)X86_ZF) | (zf ? X86_ZF : 0);
}

static int cpl0_check(struct vcpu *v)
{
	return v->cpl ? x86_gp0(v) : X86_OK;
}

int sp_MOV_FROM_SEG(struct vcpu *v, const struct insn *in)
{
	if (in->reg > X86_GS)
		return x86_ud(v);
	return store_word(v, in, v->s.seg[in->reg].sel);
}

int sp_MOV_TO_SEG(struct vcpu *v, const struct insn *in)
{
	uint64_t sel;

	if (in->reg > X86_GS || in->reg == X86_CS)
		return x86_ud(v);
	if (rm_read(v, in, 2, &sel) || x86_load_seg(v, in->reg, (uint16_t)sel))
		return X86_FAULT;
	if (in->reg == X86_SS)
		v->s.shadow |= X86_SHADOW_MOVSS;
	return X86_OK;
}

static void add_sp(struct vcpu *v, int n)
{
	uint64_t *sp = &v->s.gpr[X86_RSP];
	uint64_t mask = mask_bytes(x86_is_64(v) ? 8 : v->mode & X86_MODE_SS32 ? 4 : 2);

	*sp = (*sp & ~mask) | ((*sp + (uint64_t)(int64_t)n) & mask);
}

/* With a 32-bit operand two bytes are written and the other two left as they are: what the SDM
 * (vol. 2, PUSH) says of all recent processors. AMD's write four, with zeros (APM vol. 3, PUSH;
 * seen on a Zen 4). */
int sp_PUSH_SEG(struct vcpu *v, const struct insn *in)
{
	uint64_t rsp = v->s.gpr[X86_RSP];

	if (in->opsize != 4 || x86_is_amd(v))
		return x86_push(v, in->opsize, v->s.seg[in->reg].sel);
	add_sp(v, -2);
	if (x86_push(v, 2, v->s.seg[in->reg].sel)) {
		v->s.gpr[X86_RSP] = rsp;
		return X86_FAULT;
	}
	return X86_OK;
}

int sp_POP_SEG(struct vcpu *v, const struct insn *in)
{
	uint64_t rsp = v->s.gpr[X86_RSP], sel;
	unsigned read = x86_is_amd(v) ? in->opsize : 2;

	/* Intel's processors read the selector's two bytes only; the stack pointer moves by the
	 * operand size. */
	if (x86_pop(v, read, &sel))
		return X86_FAULT;
	add_sp(v, (int)(in->opsize - read));
	if (x86_load_seg(v, in->reg, (uint16_t)sel)) {
		v->s.gpr[X86_RSP] = rsp;
		return X86_FAULT;
	}
	if (in->reg == X86_SS)
		v->s.shadow |= X86_SHADOW_MOVSS;
	return X86_OK;
}

static enum x86_sreg far_ptr_seg(const struct insn *in)
{
	if (in->map == MAP_1)
		return in->opcode == 0xc4 ? X86_ES : X86_DS;
	return in->opcode == 0xb2 ? X86_SS : in->opcode == 0xb4 ? X86_FS : X86_GS;
}

int sp_LOAD_FAR_PTR(struct vcpu *v, const struct insn *in)
{
	unsigned opsize = far_opsize(v, in);
	uint8_t b[10];

	if (read_far_pointer(v, in, opsize, b))
		return X86_FAULT;
	if (x86_load_seg(v, far_ptr_seg(in), ld_le16(b + opsize)))
		return X86_FAULT;
	gpr_set(v, in, in->reg, opsize, ld_le(b, opsize));
	return X86_OK;
}

int sp_ARPL(struct vcpu *v, const struct insn *in)
{
	uint64_t dst, src = gpr_get(v, in, in->reg, 2);

	if (rm_read(v, in, 2, &dst))
		return X86_FAULT;
	if ((dst & 3) < (src & 3)) {
		if (rm_write(v, in, 2, (dst & ~3ull) | (src & 3)))
			return X86_FAULT;
		set_zf(v, true);
	} else {
		set_zf(v, false);
	}
	return X86_OK;
}

static int sel_query(struct vcpu *v, const struct insn *in, char what)
{
	uint32_t val = 0;
	uint64_t sel;
	bool ok;

	if (rm_read(v, in, 2, &sel) || x86_sel_access(v, (uint16_t)sel, what, &ok, &val))
		return X86_FAULT;
	if (ok && (what == 'a' || what == 'l'))
		gpr_set(v, in, in->reg, in->opsize, val);
	set_zf(v, ok);
	return X86_OK;
}

int sp_LAR(struct vcpu *v, const struct insn *in)
{
	return sel_query(v, in, 'a');
}

int sp_LSL(struct vcpu *v, const struct insn *in)
{
	return sel_query(v, in, 'l');
}

int sp_VERR(struct vcpu *v, const struct insn *in)
{
	return sel_query(v, in, 'r');
}

int sp_VERW(struct vcpu *v, const struct insn *in)
{
	return sel_query(v, in, 'w');
}

int sp_SLDT(struct vcpu *v, const struct insn *in)
{
	return umip_check(v) ? X86_FAULT : store_word(v, in, v->s.ldtr.sel);
}

int sp_STR(struct vcpu *v, const struct insn *in)
{
	return umip_check(v) ? X86_FAULT : store_word(v, in, v->s.tr.sel);
}

int sp_LLDT(struct vcpu *v, const struct insn *in)
{
	uint64_t sel;

	if (cpl0_check(v) || rm_read(v, in, 2, &sel))
		return X86_FAULT;
	return x86_lldt(v, (uint16_t)sel);
}

int sp_LTR(struct vcpu *v, const struct insn *in)
{
	uint64_t sel;

	if (cpl0_check(v) || rm_read(v, in, 2, &sel))
		return X86_FAULT;
	return x86_ltr(v, (uint16_t)sel);
}

static unsigned dtable_size(const struct vcpu *v)
{
	return x86_is_64(v) ? 10 : 6;
}

static int store_dtable(struct vcpu *v, const struct insn *in, const struct x86_dtable *t)
{
	unsigned size = dtable_size(v);
	uint8_t b[10];
	gva_t lin;

	if (umip_check(v) || special_mem(v, in, size, X86_ACC_WRITE, &lin))
		return X86_FAULT;
	st_le16(b, t->limit);
	st_le64(b + 2, t->base);
	return x86_write(v, lin, size, b, X86_ACC_WRITE);
}

static int load_dtable(struct vcpu *v, const struct insn *in, struct x86_dtable *t)
{
	unsigned size = dtable_size(v);
	uint8_t b[10] = {0};
	uint64_t base;
	gva_t lin;

	if (cpl0_check(v) || special_mem(v, in, size, X86_ACC_READ, &lin) ||
	    x86_read(v, lin, size, b, X86_ACC_READ))
		return X86_FAULT;
	base = ld_le(b + 2, 8);
	/* With a 16-bit operand size six bytes are read and the top one of the base is dropped. */
	if (size == 6 && in->opsize == 2)
		base &= 0xffffff;
	if (!x86_canonical(base))
		return x86_gp0(v);
	t->base = base;
	t->limit = ld_le16(b);
	return X86_OK;
}

int sp_SGDT(struct vcpu *v, const struct insn *in)
{
	return store_dtable(v, in, &v->s.gdtr);
}

int sp_SIDT(struct vcpu *v, const struct insn *in)
{
	return store_dtable(v, in, &v->s.idtr);
}

int sp_LGDT(struct vcpu *v, const struct insn *in)
{
	return load_dtable(v, in, &v->s.gdtr);
}

int sp_LIDT(struct vcpu *v, const struct insn *in)
{
	return load_dtable(v, in, &v->s.idtr);
}
