/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of special handlers and the operand helpers they share (engine/special/special.h).
 */
#include "engine/special/special.h"

static int sp_none(struct vcpu *v, const struct insn *in)
{
	return x86_ud(v);
}

const special_fn special_handlers[SP_COUNT] = {
	[SP_NONE] = sp_none,
#define SP(name, group) [SP_##name] = sp_##name,
#include "engine/decode/special.def"
#undef SP
};

int special_mem(struct vcpu *v, const struct insn *in, unsigned size, unsigned access,
		gva_t *ret_lin)
{
	return x86_seg_lin(v, in->seg, special_ea(v, in), size, access, ret_lin);
}

int special_piece(struct vcpu *v, const struct insn *in, unsigned at, unsigned size,
		  unsigned access, gva_t *ret_lin)
{
	uint64_t off = (special_ea(v, in) + at) & mask_bytes(in->addrsize);

	return x86_seg_lin(v, in->seg, off, size, access, ret_lin);
}

static bool is_mem(const struct insn *in)
{
	return in->flags & INSN_MOFFS || (in->flags & INSN_MODRM && in->modrm >> 6 != 3);
}

int rm_read(struct vcpu *v, const struct insn *in, unsigned size, uint64_t *ret_val)
{
	uint64_t val = 0;
	gva_t lin;

	if (!is_mem(in)) {
		*ret_val = gpr_get(v, in, in->rm, size);
		return X86_OK;
	}
	if (special_mem(v, in, size, X86_ACC_READ, &lin) ||
	    x86_read(v, lin, size, &val, X86_ACC_READ))
		return X86_FAULT;
	*ret_val = val;
	return X86_OK;
}

int rm_write(struct vcpu *v, const struct insn *in, unsigned size, uint64_t val)
{
	gva_t lin;

	if (!is_mem(in)) {
		gpr_set(v, in, in->rm, size, val);
		return X86_OK;
	}
	if (special_mem(v, in, size, X86_ACC_WRITE, &lin))
		return X86_FAULT;
	return x86_write(v, lin, size, &val, X86_ACC_WRITE);
}
