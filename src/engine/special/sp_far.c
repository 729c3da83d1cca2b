/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers of group FAR: control transfers through descriptors (engine/special/special.h). The work
 * is in cpu/x86; here operands are fetched and mode checks made. Intel SDM vol. 2.
 */
#include "engine/special/special.h"

/* Selector and offset of a far jump or call: in the instruction, or m16:16, m16:32, m16:64. */
static int far_pointer(struct vcpu *v, const struct insn *in, unsigned opsize, uint16_t *ret_sel,
		       uint64_t *ret_off)
{
	uint8_t b[10];

	if (!(in->flags & INSN_MEM)) {
		*ret_sel = (uint16_t)in->imm2;
		*ret_off = in->imm;
		return X86_OK;
	}
	if (read_far_pointer(v, in, opsize, b))
		return X86_FAULT;
	*ret_off = ld_le(b, opsize);
	*ret_sel = ld_le16(b + opsize);
	return X86_OK;
}

int sp_JMP_FAR(struct vcpu *v, const struct insn *in)
{
	unsigned opsize = far_opsize(v, in);
	uint16_t sel;
	uint64_t off;

	if (far_pointer(v, in, opsize, &sel, &off))
		return X86_FAULT;
	return x86_far_jmp(v, sel, off, opsize);
}

int sp_CALL_FAR(struct vcpu *v, const struct insn *in)
{
	unsigned opsize = far_opsize(v, in);
	uint16_t sel;
	uint64_t off;

	if (far_pointer(v, in, opsize, &sel, &off))
		return X86_FAULT;
	return x86_far_call(v, sel, off, opsize);
}

int sp_RETF(struct vcpu *v, const struct insn *in)
{
	return x86_far_ret(v, in->opsize, in->imm_len ? (uint16_t)in->imm : 0);
}

int sp_INT3(struct vcpu *v, const struct insn *in)
{
	return x86_int(v, X86_BP, false);
}

int sp_INT_N(struct vcpu *v, const struct insn *in)
{
	return x86_int(v, (uint8_t)in->imm, true);
}

int sp_INTO(struct vcpu *v, const struct insn *in)
{
	return (v->s.rflags & X86_OF) ? x86_int(v, X86_OFV, false) : X86_OK;
}

int sp_INT1(struct vcpu *v, const struct insn *in)
{
	return x86_int(v, X86_DB, false);
}

int sp_IRET(struct vcpu *v, const struct insn *in)
{
	return x86_iret(v, in->opsize);
}

int sp_SYSCALL(struct vcpu *v, const struct insn *in)
{
	return x86_syscall(v);
}

int sp_SYSRET(struct vcpu *v, const struct insn *in)
{
	return x86_sysret(v, (in->rex & 8) ? 8 : 4);
}

int sp_SYSENTER(struct vcpu *v, const struct insn *in)
{
	return x86_sysenter(v);
}

int sp_SYSEXIT(struct vcpu *v, const struct insn *in)
{
	return x86_sysexit(v, (in->rex & 8) ? 8 : 4);
}

int sp_RSM(struct vcpu *v, const struct insn *in)
{
	return x86_rsm(v);
}
