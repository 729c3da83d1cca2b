/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the flags of an instruction follow from, by the instruction alone (recipe.c).
 */
#ifndef ENGINE_TRANSLATE_RECIPE_H
#define ENGINE_TRANSLATE_RECIPE_H

#include "engine/translate/xlat.h"

/* Once more; undone and done again; TEST of the result with itself. */
enum kind { NONE, AGAIN, UNDO, TEST_RESULT };
enum op { OP_ADD = 0, OP_SUB = 5, OP_CMP = 7, OP_TEST = 8 };

/* An instruction's operation on @a and @b (or @imm), both guest registers; @a has its result. */
#define VALUE 16u /* not a register: what was put aside */
struct operation {
	enum kind kind;
	enum op op;
	unsigned a, b, size;
	bool has_imm;
	uint32_t imm;
};

/** recipe_group1() - the operation of group 1 (0 ADD .. 7 CMP) of @in, or -1. */
int recipe_group1(const struct insn *in);
/** recipe_operands() - bits: the registers that flags follow from. */
unsigned recipe_operands(const struct insn *in);
/** recipe_is_logic_load() - AND, OR, XOR of a register with memory? */
bool recipe_is_logic_load(const struct insn *in);
/** recipe_kind_any() - what its flags follow from, if that needs one register at most that is in
 * memory. recipe_kind(): none. recipe_kind_value(): with a memory operand, whose value, loaded or
 * stored, is put aside. */
enum kind recipe_kind_any(const struct insn *in);
enum kind recipe_kind(const struct insn *in);
enum kind recipe_kind_value(const struct insn *in);
/** recipe_needs_scratch() - does it name a register that is in memory? Then S1 and S2 are needed to
 * do it again. */
bool recipe_needs_scratch(const struct insn *in);
/** recipe_size() - of the operands, in bytes. */
unsigned recipe_size(const struct insn *in);
/** recipe_is_aside() - could it be done again if the old value of its destination, *ret_dest, were
 * in S1? */
bool recipe_is_aside(const struct insn *in, unsigned *ret_dest);
/** recipe_is_rotate() - ROL or ROR by a constant of *ret_dest, a register in a host register? */
bool recipe_is_rotate(const struct insn *in, unsigned *ret_dest);
/** recipe_operation() - of an instruction that has a kind, with value or without. */
struct operation recipe_operation(const struct insn *in);
/** recipe_is_zeroing() - XOR or SUB of a register with itself: the flags are always the same. */
bool recipe_is_zeroing(const struct insn *in);

#endif
