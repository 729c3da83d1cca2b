/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the guest's arithmetic flags are while a block is translated (struct xlat: e, m_ok), and
 * recipes. Intel SDM vol. 1, 3.4.3.1 (status flags).
 *
 * A check before a memory access clobbers EFLAGS. Mostly the flags that are lost are written again
 * before anything reads them, and matter only if an access faults; or they come from a comparison
 * that can be done again. So where it can be foreseen that the operands stay as they are until
 * then, nothing is saved: the instruction that made the flags is their recipe. It runs again where
 * the flags are needed after all (a slow path, a conditional jump).
 *
 *	CMP, TEST: once more. ADD, SUB with another operand than the result: undone and done again.
 *	AND, OR, XOR: TEST of the result with itself.
 *
 * Only instructions on registers that are in host registers, and only while nothing but simple
 * instructions (COPY, x87, LEA, PUSH, POP) follows; anything else gets its flags as ever.
 */
#include "engine/translate/xlat.h"

enum kind { NONE, AGAIN, UNDO, TEST_RESULT };

/* The operation of group 1 (0 ADD .. 7 CMP) of @in, or -1. */
static int group1(const struct insn *in)
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

static unsigned gprs(const struct insn *in)
{
	return in->gpr_read | in->gpr_written;
}

static enum kind kind_of(const struct insn *in)
{
	struct copy_plan p;
	bool imm = in->imm_len != 0;

	if (in->special != SP_NONE || in->map != MAP_1 || in->enc != ENC_LEGACY ||
	    in->flags & (INSN_MEM | INSN_HIGH8 | INSN_LEGACY | INSN_FPU | INSN_MMX) ||
	    !xlat_plan(in, &p) || p.n_mem_gprs || p.high8)
		return NONE;
	if (is_test(in))
		return AGAIN;
	switch (group1(in)) {
	case 7: return AGAIN;
	case 0:
	case 5: return imm || in->reg != in->rm ? UNDO : NONE;
	case 1:
	case 4:
	case 6: return TEST_RESULT;
	default: return NONE;
	}
}

/* test r, r with the result of @in */
static void put_test(struct xlat *x, const struct insn *in)
{
	bool byte = !(in->opcode & 1) && in->opcode != 0x83,
	     to_reg = in->opcode < 0x40 && in->opcode & 2;
	unsigned g = in->opcode < 0x40 && (in->opcode & 7) >= 4 ? X86_RAX
		     : to_reg                                   ? in->reg
								: in->rm;
	unsigned h = tr_host[g];
	uint8_t rex = (uint8_t)((in->opsize == 8 ? 8 : 0) | (h >= 8 ? 5 : 0));

	if (!byte && in->opsize == 2)
		emit8(&x->m, 0x66);
	if (rex || (byte && h >= 4))
		emit8(&x->m, (uint8_t)(0x40 | rex));
	EMIT(&x->m, byte ? 0x84 : 0x85, (uint8_t)(0xc0 | (h & 7) * 9));
}

void xlat_recipe(struct xlat *x, unsigned n)
{
	const struct insn *in = &x->in[n - 1];
	struct insn undo = *in;
	struct copy_plan p;

	check(n && xlat_plan(in, &p));
	switch (kind_of(in)) {
	case UNDO: /* ADD for SUB and the other way round */
		if (in->opcode < 0x40)
			undo.opcode ^= 0x28;
		else
			undo.modrm ^= 0x28;
		xlat_put_copy(x, &undo, &p);
		xlat_put_copy(x, in, &p);
		break;
	case TEST_RESULT: put_test(x, in); break;
	default: xlat_put_copy(x, in, &p); break;
	}
}

/* Does instruction @k neither want its flags in a particular place nor leave the block? */
static bool is_simple(struct xlat *x, unsigned k)
{
	const struct insn *in = &x->in[k];
	unsigned now = x->i;
	struct uop u = {0};
	bool ok;

	if (uop_fn_ends(x->b->cold[k].fn))
		return false;
	switch (in->special) {
	case SP_NONE:
		x->i = k;
		if (in->flags & (INSN_FPU | INSN_MMX))
			ok = xlat_x87_ok(x, in);
		else
			ok = insn_is_nop(in) || (xlat_copy_ok(x, in) &&
						 (in->flags & (INSN_MEM | INSN_SSE | INSN_AVX) ||
						  !insn_may_fault(in)));
		x->i = now;
		return ok;
	case SP_LEA:
	case SP_NOP_MEM:
	case SP_PUSH_REG:
	case SP_PUSH_IMM:
	case SP_POP_REG: return branch_handler(x->b->key, in, x->b->rip + x->b->cold[k].off, &u);
	default: return false;
	}
}

/* A jump inside of a joined block. */
static bool is_jump(const struct xlat *x, unsigned k)
{
	unsigned special = x->in[k].special;

	return special == SP_JCC || special == SP_JMP_REL;
}

/* Instruction @k overwrites what the recipe is made of. Does nobody look at the flags from there on
 * until they are written again? Its own access still finds the recipe as it was. */
static bool is_last_look(struct xlat *x, unsigned k)
{
	if (x->in[k].special != SP_NONE || x->in[k].flags & INSN_MEM_WRITE)
		return false;
	while (++k < x->b->n_insns) {
		const struct insn *in = &x->in[k];

		if (!is_simple(x, k) || in->flags & (INSN_SSE | INSN_AVX | INSN_FPU | INSN_MMX))
			return false;
		if (in->special == SP_LEA)
			continue;
		if (in->special != SP_NONE || in->flags & INSN_MEM || insn_flags_needed(in))
			return false;
		if (in->rflags_written & X86_ARITH)
			return true;
	}
	return false;
}

static bool overwrites(const struct insn *in, unsigned regs)
{
	bool stack = in->special == SP_PUSH_REG || in->special == SP_PUSH_IMM ||
		     in->special == SP_POP_REG;

	return (in->gpr_written | (stack ? 1u << X86_RSP : 0)) & regs;
}

/* The instruction whose flags EFLAGS hold, + 1, if it can be their recipe until they are written
 * or fetched. */
static unsigned find_recipe(struct xlat *x)
{
	unsigned j = x->i, regs;

	do {
		if (j-- == 0 || !(is_simple(x, j) || is_jump(x, j)))
			return 0;
	} while (x->in[j].special != SP_NONE || !(x->in[j].rflags_written & X86_ARITH));
	if (insn_flags_needed(&x->in[j]) || kind_of(&x->in[j]) == NONE)
		return 0;
	regs = gprs(&x->in[j]);
	for (unsigned k = j + 1; k < x->b->n_insns; k++) {
		const struct insn *in = &x->in[k];

		if (k >= x->i && !is_simple(x, k))
			return j + 1;
		if (k >= x->i && in->special == SP_NONE) {
			if (insn_flags_needed(in))
				return j + 1;
			if (in->rflags_written & X86_ARITH)
				return j + 1;
		}
		if (overwrites(in, regs))
			return k >= x->i && is_last_look(x, k) ? j + 1 : 0;
	}
	return j + 1;
}

/* Does recipe @n hold from the start of the block until flags are written or fetched? */
static bool holds_from_start(struct xlat *x, unsigned n)
{
	unsigned regs = gprs(&x->in[n - 1]);

	for (unsigned k = 0; k < n - 1; k++) {
		const struct insn *in = &x->in[k];

		if (!is_simple(x, k) || (in->special == SP_NONE &&
					 (insn_flags_needed(in) || in->rflags_written & X86_ARITH)))
			return true;
		if (overwrites(in, regs))
			return is_last_look(x, k);
	}
	return true;
}

unsigned xlat_loop_recipe(struct xlat *x)
{
	unsigned j = x->b->n_insns - 1u, regs;

	do {
		if (j-- == 0 || !(is_simple(x, j) || is_jump(x, j)))
			return 0;
	} while (x->in[j].special != SP_NONE || !(x->in[j].rflags_written & X86_ARITH));
	if (insn_flags_needed(&x->in[j]) || kind_of(&x->in[j]) == NONE)
		return 0;
	regs = gprs(&x->in[j]);
	for (unsigned k = j + 1; k < x->b->n_insns; k++)
		if ((x->in[k].gpr_written | (x->in[k].special == SP_NONE ? 0 : 1u << X86_RSP)) &
		    regs)
			return 0;
	return holds_from_start(x, j + 1) ? j + 1 : 0;
}

void need_e(struct xlat *x)
{
	if (x->e)
		return;
	if (x->m_ok)
		tr_flags_restore(&x->m);
	else
		xlat_recipe(x, x->recipe);
	x->e = true;
}

void need_m(struct xlat *x)
{
	if (x->m_ok)
		return;
	need_e(x);
	tr_flags_save(&x->m);
	x->m_ok = true;
}

void xlat_flags_free(struct xlat *x)
{
	if (x->e && !x->m_ok) {
		x->recipe = is_simple(x, x->i) ? find_recipe(x) : 0;
		if (!x->recipe)
			need_m(x);
	}
	x->e = false;
}

void xlat_flags_settle(struct xlat *x)
{
	if (!x->e && !x->m_ok && !is_simple(x, x->i))
		need_e(x);
}
