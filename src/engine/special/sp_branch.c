/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Near branches. Intel SDM vol. 2: CALL, JMP, Jcc, LOOP, JCXZ, RET; vol. 3, 5.3 (limit of CS).
 *
 * The target is checked before anything is pushed or popped, so that a bad one faults on the branch
 * with the stack untouched.
 */
#include "engine/special/special.h"

/* Continue at @target, truncated to the operand size. */
static int go_to(struct vcpu *v, const struct insn *in, uint64_t target)
{
	target &= mask_bytes(in->opsize);
	if (x86_is_64(v) ? !x86_canonical(target) : target > v->s.seg[X86_CS].limit)
		return x86_gp0(v);
	v->next_rip = target;
	return X86_OK;
}

/* SDM vol. 1, appendix B: condition @cc of Jcc, SETcc, CMOVcc. */
static bool condition(uint64_t f, unsigned cc)
{
	bool sf = f & X86_SF, of = f & X86_OF, r;

	switch (cc >> 1) {
	case 0: r = of; break;
	case 1: r = f & X86_CF; break;
	case 2: r = f & X86_ZF; break;
	case 3: r = f & (X86_CF | X86_ZF); break;
	case 4: r = sf; break;
	case 5: r = f & X86_PF; break;
	case 6: r = sf != of; break;
	default: r = (f & X86_ZF) || sf != of; break;
	}
	return r != (cc & 1);
}

int sp_JCC(struct vcpu *v, const struct insn *in)
{
	return condition(v->s.rflags, in->opcode & 15) ? go_to(v, in, v->next_rip + in->imm)
						       : X86_OK;
}

int sp_JMP_REL(struct vcpu *v, const struct insn *in)
{
	return go_to(v, in, v->next_rip + in->imm);
}

int sp_JMP_IND(struct vcpu *v, const struct insn *in)
{
	uint64_t target;

	return rm_read(v, in, in->opsize, &target) ? X86_FAULT : go_to(v, in, target);
}

static int call(struct vcpu *v, const struct insn *in, uint64_t target)
{
	uint64_t ret = v->next_rip;

	if (go_to(v, in, target))
		return X86_FAULT;
	return x86_push(v, in->opsize, ret);
}

int sp_CALL_REL(struct vcpu *v, const struct insn *in)
{
	return call(v, in, v->next_rip + in->imm);
}

int sp_CALL_IND(struct vcpu *v, const struct insn *in)
{
	uint64_t target;

	return rm_read(v, in, in->opsize, &target) ? X86_FAULT : call(v, in, target);
}

/* Release parameters: the width of the stack pointer is that of the stack. */
static void drop(struct vcpu *v, uint64_t bytes)
{
	uint64_t *sp = &v->s.gpr[X86_RSP];

	if (x86_is_64(v))
		*sp += bytes;
	else if (v->mode & X86_MODE_SS32)
		*sp = (uint32_t)(*sp + bytes);
	else
		*sp = (*sp & ~0xffffull) | ((*sp + bytes) & 0xffff);
}

int sp_RET(struct vcpu *v, const struct insn *in)
{
	uint64_t sp = v->s.gpr[X86_RSP], target;

	if (x86_pop(v, in->opsize, &target))
		return X86_FAULT;
	if (go_to(v, in, target)) {
		v->s.gpr[X86_RSP] = sp;
		return X86_FAULT;
	}
	if (in->opcode == 0xc2)
		drop(v, in->imm & 0xffff);
	return X86_OK;
}

int sp_LOOP(struct vcpu *v, const struct insn *in)
{
	uint64_t count = (v->s.gpr[X86_RCX] - 1) & mask_bytes(in->addrsize);
	bool zf = v->s.rflags & X86_ZF, taken = count != 0;

	if (in->opcode == 0xe0)
		taken = taken && !zf;
	else if (in->opcode == 0xe1)
		taken = taken && zf;
	if (taken && go_to(v, in, v->next_rip + in->imm))
		return X86_FAULT;
	gpr_set(v, in, X86_RCX, in->addrsize, count);
	return X86_OK;
}

int sp_JCXZ(struct vcpu *v, const struct insn *in)
{
	if (v->s.gpr[X86_RCX] & mask_bytes(in->addrsize))
		return X86_OK;
	return go_to(v, in, v->next_rip + in->imm);
}
