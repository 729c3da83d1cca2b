/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stack instructions. Intel SDM vol. 2: PUSH, POP, PUSHF, POPF, PUSHA, POPA, ENTER, LEAVE; vol. 3,
 * 21.2.7 and 21.3 (PUSHF and POPF in v8086 mode, VME).
 *
 * When a later access faults, RSP goes back to what it was: the instruction restarts. Stores done
 * before that stay, below the restored stack pointer, as on hardware.
 */
#include "engine/special/special.h"

int sp_PUSH_REG(struct vcpu *v, const struct insn *in)
{
	return x86_push(v, in->opsize, gpr_get(v, in, in->rm, in->opsize));
}

int sp_PUSH_IMM(struct vcpu *v, const struct insn *in)
{
	return x86_push(v, in->opsize, in->imm);
}

int sp_PUSH_MEM(struct vcpu *v, const struct insn *in)
{
	uint64_t val;

	return rm_read(v, in, in->opsize, &val) ? X86_FAULT : x86_push(v, in->opsize, val);
}

int sp_POP_REG(struct vcpu *v, const struct insn *in)
{
	uint64_t val;

	if (x86_pop(v, in->opsize, &val))
		return X86_FAULT;
	gpr_set(v, in, in->rm, in->opsize, val); /* after RSP moved: POP SP */
	return X86_OK;
}

int sp_POP_MEM(struct vcpu *v, const struct insn *in)
{
	uint64_t sp = v->s.gpr[X86_RSP], val;

	/* An address based on RSP uses its value after the pop. */
	if (x86_pop(v, in->opsize, &val))
		return X86_FAULT;
	if (rm_write(v, in, in->opsize, val)) {
		v->s.gpr[X86_RSP] = sp;
		return X86_FAULT;
	}
	return X86_OK;
}

int sp_PUSHF(struct vcpu *v, const struct insn *in)
{
	uint64_t f = v->s.rflags & ~(uint64_t)(X86_VM | X86_RF);

	if (v->mode & X86_MODE_VM && x86_iopl(v) < 3) {
		if (!(v->s.cr4 & X86_CR4_VME) || in->opsize != 2)
			return x86_gp0(v);
		/* VME: IF shows VIF, IOPL reads as 3. */
		f = (f & ~(uint64_t)X86_IF) | X86_IOPL | (f & X86_VIF ? X86_IF : 0);
	}
	return x86_push(v, in->opsize, f);
}

/* v8086 mode with IOPL < 3 and VME: IF goes to VIF. SDM vol. 2, POPF. */
static int popf_vme(struct vcpu *v, const struct insn *in, uint64_t val)
{
	uint64_t mask = X86_ARITH | X86_DF | X86_NT | X86_VIF;

	if (!(v->s.cr4 & X86_CR4_VME) || in->opsize != 2)
		return x86_gp0(v);
	if (val & X86_TF || (val & X86_IF && v->s.rflags & X86_VIP))
		return x86_gp0(v);
	x86_set_rflags(v, (val & 0xffff) | (val & X86_IF ? X86_VIF : 0), mask);
	return X86_OK;
}

int sp_POPF(struct vcpu *v, const struct insn *in)
{
	uint64_t mask = X86_ARITH | X86_DF | X86_TF | X86_NT, sp = v->s.gpr[X86_RSP], val;
	bool vm = v->mode & X86_MODE_VM;

	if (vm && x86_iopl(v) < 3 && (!(v->s.cr4 & X86_CR4_VME) || in->opsize != 2))
		return x86_gp0(v);
	if (x86_pop(v, in->opsize, &val))
		return X86_FAULT;
	if (vm && x86_iopl(v) < 3) {
		if (popf_vme(v, in, val)) {
			v->s.gpr[X86_RSP] = sp;
			return X86_FAULT;
		}
		return X86_OK;
	}
	if (v->cpl == 0)
		mask |= X86_IOPL;
	if (v->cpl <= x86_iopl(v))
		mask |= X86_IF;
	if (in->opsize > 2) {
		mask |= X86_AC | X86_ID | X86_RF;
		val &= ~(uint64_t)X86_RF; /* cleared, not loaded */
	}
	x86_set_rflags(v, val, mask);
	return X86_OK;
}

int sp_PUSHA(struct vcpu *v, const struct insn *in)
{
	uint64_t sp = v->s.gpr[X86_RSP];

	for (unsigned r = X86_RAX; r <= X86_RDI; r++) {
		uint64_t val = r == X86_RSP ? sp : v->s.gpr[r];

		if (x86_push(v, in->opsize, val)) {
			v->s.gpr[X86_RSP] = sp;
			return X86_FAULT;
		}
	}
	return X86_OK;
}

int sp_POPA(struct vcpu *v, const struct insn *in)
{
	uint64_t sp = v->s.gpr[X86_RSP], val[8];

	for (int r = X86_RDI; r >= X86_RAX; r--)
		if (x86_pop(v, in->opsize, &val[r])) {
			v->s.gpr[X86_RSP] = sp;
			return X86_FAULT;
		}
	for (unsigned r = X86_RAX; r <= X86_RDI; r++)
		if (r != X86_RSP)
			gpr_set(v, in, r, in->opsize, val[r]);
	return X86_OK;
}

/* Bytes of the stack pointer: the stack address size. SDM vol. 1, 6.2.3. */
static unsigned stack_width(const struct vcpu *v)
{
	return x86_is_64(v) ? 8 : v->mode & X86_MODE_SS32 ? 4 : 2;
}

static int enter_frame(struct vcpu *v, const struct insn *in, uint64_t *ret_frame)
{
	unsigned level = (in->imm >> 16) & 31, w = stack_width(v);
	uint64_t bp = v->s.gpr[X86_RBP], link;
	gva_t lin;

	if (x86_push(v, in->opsize, bp))
		return X86_FAULT;
	*ret_frame = v->s.gpr[X86_RSP];
	for (unsigned i = 1; i < level; i++) {
		link = 0;
		bp -= in->opsize;
		if (x86_seg_lin(v, X86_SS, bp & mask_bytes(w), in->opsize, X86_ACC_READ, &lin) ||
		    x86_read(v, lin, in->opsize, &link, X86_ACC_READ) ||
		    x86_push(v, in->opsize, link))
			return X86_FAULT;
	}
	if (level && x86_push(v, in->opsize, *ret_frame))
		return X86_FAULT;
	return X86_OK;
}

int sp_ENTER(struct vcpu *v, const struct insn *in)
{
	uint64_t sp = v->s.gpr[X86_RSP], frame, final;
	unsigned w = stack_width(v);
	gva_t lin;

	if (enter_frame(v, in, &frame))
		goto undo;
	final = (v->s.gpr[X86_RSP] - (in->imm & 0xffff)) & mask_bytes(w);
	/* The new top of stack must be writable. */
	if (x86_seg_lin(v, X86_SS, final, in->opsize, X86_ACC_WRITE, &lin) ||
	    x86_probe(v, lin, in->opsize, X86_ACC_WRITE))
		goto undo;
	/* RBP is written in the operand size, whatever the stack's width: with a 32-bit operand on
	 * a 16-bit stack the upper half of ESP comes along */
	if (in->opsize > w)
		frame |= sp & mask_bytes(in->opsize) & ~mask_bytes(w);
	gpr_set(v, in, X86_RBP, in->opsize, frame);
	gpr_set(v, in, X86_RSP, w, final);
	return X86_OK;
undo:
	v->s.gpr[X86_RSP] = sp;
	return X86_FAULT;
}

int sp_LEAVE(struct vcpu *v, const struct insn *in)
{
	uint64_t sp = v->s.gpr[X86_RSP], val;

	gpr_set(v, in, X86_RSP, stack_width(v), v->s.gpr[X86_RBP]);
	if (x86_pop(v, in->opsize, &val)) {
		v->s.gpr[X86_RSP] = sp;
		return X86_FAULT;
	}
	gpr_set(v, in, X86_RBP, in->opsize, val);
	return X86_OK;
}
