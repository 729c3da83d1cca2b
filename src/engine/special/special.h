/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The special-instruction handlers, one C function each, shared by the interpreter and the
 * translator. Contract (cpu/x86/vcpu.h): called with v->next_rip = address after the instruction;
 * return X86_OK, X86_FAULT (exception recorded, nothing half-written) or X86_EXIT. Handlers check
 * everything that is theirs to check (CPL, mode, CR bits, operands); the engine has already checked
 * the CPUID feature, LOCK legality and the x87/SSE/AVX availability flags.
 */
#ifndef ENGINE_SPECIAL_SPECIAL_H
#define ENGINE_SPECIAL_SPECIAL_H

#include "cpu/x86/cpuid.h"
#include "cpu/x86/mmu.h"
#include "cpu/x86/seg.h"
#include "engine/decode/insn.h"

typedef int (*special_fn)(struct vcpu *v, const struct insn *in);

#define SP(name, group) int sp_##name(struct vcpu *v, const struct insn *in) MUST_CHECK;
#include "engine/decode/special.def"
#undef SP

extern const special_fn special_handlers[SP_COUNT]; /* special.c */

/** special_ea() - effective address (offset part) truncated to the address size. */
static inline uint64_t special_ea(const struct vcpu *v, const struct insn *in)
{
	uint64_t a = (uint64_t)in->disp;

	if (in->flags & INSN_RIP_REL)
		a += v->next_rip;
	if (in->base != INSN_NO_REG)
		a += v->s.gpr[in->base];
	if (in->index != INSN_NO_REG)
		a += v->s.gpr[in->index] << in->scale;
	return a & mask_bytes(in->addrsize);
}

/** gpr_get/gpr_set() - by operand size; 4-byte writes zero the upper half in any mode. Size 1 uses
 * AH..BH for 4..7 when the instruction has no REX. */
static inline uint64_t gpr_get(const struct vcpu *v, const struct insn *in, unsigned r,
			       unsigned size)
{
	if (size == 1 && r >= 4 && r < 8 && !in->rex)
		return (v->s.gpr[r - 4] >> 8) & 0xff;
	return v->s.gpr[r] & mask_bytes(size);
}
static inline void gpr_set(struct vcpu *v, const struct insn *in, unsigned r, unsigned size,
			   uint64_t val)
{
	uint64_t *g = &v->s.gpr[r];

	if (size == 8)
		*g = val;
	else if (size == 4)
		*g = (uint32_t)val;
	else if (size == 2)
		*g = (*g & ~0xffffull) | (val & 0xffff);
	else if (r >= 4 && r < 8 && !in->rex)
		v->s.gpr[r - 4] = (v->s.gpr[r - 4] & ~0xff00ull) | (val & 0xff) << 8;
	else
		*g = (*g & ~0xffull) | (val & 0xff);
}

/** special_mem() - linear address of the memory operand, checked for @size bytes. */
int special_mem(struct vcpu *v, const struct insn *in, unsigned size, unsigned access,
		gva_t *ret_lin) MUST_CHECK;
/**
 * special_piece() - the same for the @size bytes that lie @at bytes into the operand. Processors
 * move operands of several fields piece by piece: each piece has its own limit, alignment and page
 * checks, and its offset wraps at the address size by itself (a whole piece never does).
 */
int special_piece(struct vcpu *v, const struct insn *in, unsigned at, unsigned size,
		  unsigned access, gva_t *ret_lin) MUST_CHECK;
/** far_opsize() - operand size of a far pointer in memory: AMD has none with 64 bits (APM vol. 3,
 * CALL (Far), JMP (Far), LDS; seen on a Zen 4). */
static inline unsigned far_opsize(const struct vcpu *v, const struct insn *in)
{
	return in->opsize == 8 && x86_is_amd(v) ? 4 : in->opsize;
}
/** read_far_pointer() - a far pointer operand in memory, offset of @first bytes and selector: two
 * pieces. */
static inline int read_far_pointer(struct vcpu *v, const struct insn *in, unsigned first,
				   uint8_t b[10])
{
	gva_t lin;

	if (special_mem(v, in, first, X86_ACC_READ, &lin) ||
	    x86_read(v, lin, first, b, X86_ACC_READ) ||
	    special_piece(v, in, first, 2, X86_ACC_READ, &lin))
		return X86_FAULT;
	return x86_read(v, lin, 2, b + first, X86_ACC_READ);
}
/** rm_read/rm_write() - the ModRM r/m operand, register or memory, @size 1, 2, 4, 8. */
int rm_read(struct vcpu *v, const struct insn *in, unsigned size, uint64_t *ret_val) MUST_CHECK;
int rm_write(struct vcpu *v, const struct insn *in, unsigned size, uint64_t val) MUST_CHECK;

#endif
