/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the flags of an instruction follow from (flags.c): whether it can be done again, and on
 * which operands. Only the instruction is looked at, not what stands around it. Intel SDM vol. 2.
 */
#include "engine/translate/recipe.h"

/* The operation of group 1 (0 ADD .. 7 CMP) of @in, or -1. */
int recipe_group1(const struct insn *in)
{
	if (in->opcode < 0x40 && (in->opcode & 7) < 6)
		return in->opcode >> 3;
	if (in->opcode == 0x80 || in->opcode == 0x81 || in->opcode == 0x83)
		return in->modrm >> 3 & 7;
	return -1;
}

static bool is_test(const struct insn *in)
{
	return in->opcode == 0x84 || in->opcode == 0x85 || in->opcode == 0xa8 ||
	       in->opcode == 0xa9 ||
	       ((in->opcode == 0xf6 || in->opcode == 0xf7) && (in->modrm >> 3 & 7) < 2);
}

/* The registers that flags follow from. */
unsigned recipe_operands(const struct insn *in)
{
	if (!(in->flags & INSN_MEM))
		return in->gpr_read | in->gpr_written;
	return in->reg == INSN_NO_REG || in->imm_len ? 0 : 1u << in->reg;
}

/* AND, OR, XOR of a register with memory. */
bool recipe_is_logic_load(const struct insn *in)
{
	int op = recipe_group1(in);

	return (op == 1 || op == 4 || op == 6) && in->flags & INSN_MEM && in->opcode < 0x40 &&
	       in->opcode & 2 && in->special == SP_NONE && in->map == MAP_1 &&
	       in->enc == ENC_LEGACY && !(in->flags & (INSN_HIGH8 | INSN_LEGACY)) &&
	       tr_host[in->reg] != NO_REG;
}

/* What its flags follow from, if that needs one register at most that is in memory. */
enum kind recipe_kind_any(const struct insn *in)
{
	struct copy_plan p;
	bool imm = in->imm_len != 0;

	if (recipe_is_logic_load(in))
		return TEST_RESULT;

	if (in->special != SP_NONE || in->map != MAP_1 || in->enc != ENC_LEGACY ||
	    in->flags & (INSN_MEM | INSN_HIGH8 | INSN_LEGACY | INSN_FPU | INSN_MMX) ||
	    !xlat_plan(in, &p) || p.n_mem_gprs > 1 || p.high8)
		return NONE;
	if (is_test(in))
		return AGAIN;
	switch (recipe_group1(in)) {
	case 7: return AGAIN;
	case 0:
	case 5: return imm || in->reg != in->rm ? UNDO : NONE;
	case 1:
	case 4:
	case 6: return TEST_RESULT;
	default: return NONE;
	}
}

/* Does it name a register that is in memory? Then S1 and S2 are needed to do it again. */
bool recipe_needs_scratch(const struct insn *in)
{
	struct copy_plan p;

	return !(in->flags & INSN_MEM) && xlat_plan(in, &p) && p.n_mem_gprs;
}

enum kind recipe_kind(const struct insn *in)
{
	return recipe_needs_scratch(in) ? NONE : recipe_kind_any(in);
}

/* What flags of an instruction with a memory operand follow from: the value that it has loaded, or
 * stored, is put aside. */
enum kind recipe_kind_value(const struct insn *in)
{
	int op = recipe_group1(in);

	if (in->special != SP_NONE || in->map != MAP_1 || in->enc != ENC_LEGACY ||
	    !(in->flags & INSN_MEM) ||
	    in->flags & (INSN_HIGH8 | INSN_LEGACY | INSN_LOCK | INSN_FPU | INSN_MMX | INSN_MOFFS) ||
	    (!in->imm_len && tr_host[in->reg] == NO_REG) || recipe_is_logic_load(in))
		return NONE;
	if (is_test(in))
		return AGAIN;
	switch (op) {
	case 7: return AGAIN;
	case 0:
	case 5: return UNDO;
	case 1:
	case 4:
	case 6: return TEST_RESULT;
	default: return NONE;
	}
}

unsigned recipe_size(const struct insn *in)
{
	return !(in->opcode & 1) && in->opcode != 0x83 ? 1 : in->opsize;
}

/* Shifts by constants other than 0, which leaves the flags alone. */
static bool is_shift(const struct insn *in)
{
	bool one = (in->opcode & 0xfe) == 0xd0;

	return (one || (in->opcode & 0xfe) == 0xc0) && (in->modrm >> 3 & 7) >= 4 &&
	       (one || in->imm & (in->opsize == 8 ? 0x3f : 0x1f));
}

/* Could @in be done again if the old value of its destination, *ret_dest, were in S1? */
bool recipe_is_aside(const struct insn *in, unsigned *ret_dest)
{
	bool imul = in->map == MAP_0F && in->opcode == 0xaf;
	struct copy_plan p;
	int op = recipe_group1(in);

	if (in->special != SP_NONE || (in->map != MAP_1 && !imul) || in->enc != ENC_LEGACY ||
	    in->flags & (INSN_MEM | INSN_HIGH8 | INSN_LEGACY | INSN_FPU | INSN_MMX) ||
	    !(in->rflags_written & X86_ARITH) || insn_flags_needed(in))
		return false;
	if (!imul && !is_shift(in) && in->opcode != 0x69 && in->opcode != 0x6b &&
	    !((in->opcode & 0xfe) == 0xf6 && (in->modrm >> 3 & 7) == 3) &&
	    (op < 0 || op == 7 || (in->opcode < 0x40 && (in->opcode & 7) >= 4)))
		return false;
	if (!in->gpr_written || in->gpr_written & (in->gpr_written - 1))
		return false;
	*ret_dest = (unsigned)__builtin_ctz(in->gpr_written);
	return tr_host[*ret_dest] != NO_REG && xlat_plan(in, &p) && p.n_mem_gprs < 2 && !p.high8;
}

/* ROL or ROR of a register in a host register by a constant: *ret_dest. */
bool recipe_is_rotate(const struct insn *in, unsigned *ret_dest)
{
	struct copy_plan p;
	bool one = in->opcode == 0xd1;

	*ret_dest = in->rm;
	return in->special == SP_NONE && in->map == MAP_1 && in->enc == ENC_LEGACY &&
	       (one || in->opcode == 0xc1) && (in->modrm >> 3 & 7) < 2 &&
	       !(in->flags & (INSN_MEM | INSN_HIGH8 | INSN_LEGACY)) && in->opsize >= 4 &&
	       (one || in->imm & (in->opsize == 8 ? 0x3f : 0x1f)) && xlat_plan(in, &p) &&
	       !p.n_mem_gprs;
}

struct operation recipe_operation(const struct insn *in)
{
	bool test = is_test(in), value = recipe_kind(in) == NONE;
	struct operation o = {.kind = value ? recipe_kind_value(in) : recipe_kind(in),
			      .a = value ? VALUE : in->rm,
			      .b = in->reg,
			      .size = recipe_size(in),
			      .has_imm = in->imm_len != 0,
			      .imm = (uint32_t)in->imm};

	o.op = test || o.kind == TEST_RESULT ? OP_TEST : (enum op)recipe_group1(in);
	if (in->opcode == 0xa8 || in->opcode == 0xa9 ||
	    (in->opcode < 0x40 && (in->opcode & 7) >= 4)) {
		o.a = X86_RAX;
	} else if (in->opcode < 0x40 && in->opcode & 2) {
		o.a = in->reg;
		o.b = value ? VALUE : in->rm;
	}
	if (o.kind == TEST_RESULT) {
		o.b = o.a;
		o.has_imm = false;
	}
	return o;
}

/* XOR or SUB of a register with itself: the flags are always the same. */
bool recipe_is_zeroing(const struct insn *in)
{
	return in->enc == ENC_LEGACY && in->map == MAP_1 && !(in->flags & INSN_MEM) &&
	       (in->opcode == 0x31 || in->opcode == 0x33 || in->opcode == 0x29 ||
		in->opcode == 0x2b) &&
	       in->reg == in->rm;
}
