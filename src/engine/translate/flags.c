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
 *	These, shifts, IMUL and NEG: again on the old value of the destination, which was put aside
 *	(vcpu.aside) because it could be foreseen that nothing else would do: one store.
 *
 *	CMP, TEST, ADD, SUB, AND, OR, XOR with an operand in memory: the value that was loaded, or
 *	stored, is put aside (xlat_put_value()).
 *
 *	ROL and ROR by a constant leave all but CF and OF as they were. They are undone and done
 *	again on top of the flags from before, which are a recipe or in memory.
 *
 * Flags that leave the block by a call, a return, an indirect jump or an exit to where they are
 * wanted in memory are hardly ever looked at. There the operands are stored, and W_FL says what
 * code computes the flags from them (tr_flags_fetch()): one to three stores for what takes five
 * instructions. vcpu.aside holds until an instruction that writes all flags has put something else
 * there, so what was put aside is as good there as in the block.
 *
 * Only instructions on registers that are in host registers, and only while nothing but simple
 * instructions (COPY, x87, LEA, PUSH, POP) follows; anything else gets its flags as ever.
 */
#include "engine/translate/recipe.h"

/* In xlat.recipe and stub.recipe: on what was put aside; bits from RECIPE_ROTATE on: a rotation's
 * number + 1, on top of a recipe or (0) of flags in memory. */
#define RECIPE_ASIDE  0x100u
#define RECIPE_ROTATE 16
#define RECIPE_UNDER  0xffffu

/* ---- values from memory ---- */

/* @in on registers: guest R10, which no such instruction names, stands for the memory operand. */
static struct insn with_value(const struct insn *in)
{
	struct insn r = *in;

	r.flags &= ~(uint32_t)(INSN_MEM | INSN_MEM_READ | INSN_MEM_WRITE | INSN_RIP_REL);
	r.modrm |= 0xc0;
	r.rm = X86_R10;
	r.base = r.index = INSN_NO_REG;
	r.mem_size = 0;
	return r;
}

/* The registers that the instruction itself uses are in their places. */
static void put_with_value(struct emit *m, const struct insn *r, unsigned value)
{
	memcpy(m->map, tr_host, sizeof(m->map));
	m->map[X86_R10] = (uint8_t)value;
	m->high8 = false;
	m->force_rex = false; /* R10, R11 have REX */
	reenc_insn(m, r, insn_gpr_fields(r));
}

/* Could it be emitted by xlat_put_value() with the operand as x->m.mem* says? */
static bool can_put_value(const struct xlat *x, const struct insn *in)
{
	const struct emit *m = &x->m;

	return !x->s1_group && !x->ungrouped && recipe_kind_value(in) != NONE &&
	       !(in->flags & INSN_MEM_WRITE && m->mem_sib && m->mem_index == S1);
}

/* op @reg, memory operand; @size 1, 2: movzx or, with @store, mov. Return: where it is. */
static unsigned put_access(struct xlat *x, unsigned size, unsigned reg, bool store)
{
	struct emit *m = &x->m;
	unsigned at = m->n;

	if (size >= 4 || store) {
		if (size == 2)
			emit8(m, 0x66);
		xlat_op_mem(x, size == 8, (uint8_t)(store ? 0x88 | (size > 1) : 0x8b), reg);
		return at;
	}
	xlat_op_mem(x, false, size == 1 ? 0xb6 : 0xb7, reg); /* S1, S2: has REX */
	check(m->n < m->size);
	memmove(m->buf + at + 2, m->buf + at + 1, m->n - (at + 1));
	m->buf[at + 1] = 0x0f;
	m->n++;
	return at;
}

static bool wants_aside(struct xlat *x);

/* When the access fails, the rest of the block goes without: nobody would put the value aside. But
 * after ADD and SUB of a register it follows from what that was and is. */
bool xlat_put_value(struct xlat *x, const struct insn *in, struct stub *slow)
{
	const struct emit *m = &x->m;
	unsigned value = S1;
	struct insn r;

	x->aside &= ~BIT(x->i);
	if (!can_put_value(x, in) || !wants_aside(x))
		return false;
	if (in->flags & INSN_MEM_WRITE && m->mem == S1) {
		value = S2;
		x->s2_group = 0;
	}
	r = with_value(in);
	slow->at = put_access(x, recipe_size(in), value, false);
	slow->sum = recipe_kind_value(in) == UNDO && !(in->flags & INSN_MEM_WRITE);
	if (!slow->sum) {
		slow->kind = STUB_GROUP;
		x->rests = true;
	}
	if (in->flags & INSN_MEM_WRITE) {
		put_with_value(&x->m, &r, value);
		put_access(x, recipe_size(in), value, true);
		tr_gs(&x->m, true, 0x89, value, offsetof(struct vcpu, aside));
	} else {
		tr_gs(&x->m, true, 0x89, value, offsetof(struct vcpu, aside));
		put_with_value(&x->m, &r, value);
	}
	x->aside |= BIT(x->i);
	return true;
}

void xlat_put_sum(struct xlat *x, const struct insn *in, bool done)
{
	unsigned h = tr_host[in->reg];
	struct emit *m = &x->m;

	if (!done) {
		tr_gs(m, true, 0x89, h, tr_word(W_OLD));
		return;
	}
	if (recipe_group1(in) == 0) {
		tr_rr(m, true, 0x89, h, S1);
		tr_gs(m, true, 0x2b, S1, tr_word(W_OLD));
	} else {
		tr_gs(m, true, 0x8b, S1, tr_word(W_OLD));
		tr_rr(m, true, 0x29, h, S1);
	}
	tr_gs(m, true, 0x89, S1, offsetof(struct vcpu, aside));
}

/* EFLAGS = those of @in, whose value was put aside. */
static void put_again_value(struct xlat *x, const struct insn *in)
{
	struct insn r = with_value(in), undo = r;
	struct emit *m = &x->m;
	unsigned size = recipe_size(in);

	tr_gs(m, true, 0x8b, S1, offsetof(struct vcpu, aside));
	switch (recipe_kind_value(in)) {
	case UNDO: /* ADD for SUB and the other way round */
		if (in->opcode < 0x40)
			undo.opcode ^= 0x28;
		else
			undo.modrm ^= 0x28;
		put_with_value(m, &undo, S1);
		put_with_value(m, &r, S1);
		break;
	case TEST_RESULT:
		if (size == 2)
			emit8(m, 0x66);
		EMIT(m, size == 8 ? 0x4d : 0x45, size == 1 ? 0x84 : 0x85, 0xd2); /* test r10, r10 */
		break;
	default: put_with_value(m, &r, S1); break;
	}
}

static void put_again_aside(struct xlat *x, const struct insn *in)
{
	struct emit *m = &x->m;
	struct copy_plan p;
	unsigned dest = 0;

	if (in->flags & INSN_MEM) {
		put_again_value(x, in);
		return;
	}
	check(recipe_is_aside(in, &dest) && xlat_plan(in, &p));
	memcpy(m->map, tr_host, sizeof(m->map));
	m->high8 = false;
	m->force_rex = p.force_rex;
	m->map[dest] = S1;
	tr_gs(m, true, 0x8b, S1, offsetof(struct vcpu, aside));
	if (p.n_mem_gprs) {
		m->map[p.mem_gpr[0]] = S2;
		tr_gs(m, true, 0x8b, S2, offsetof(struct vcpu, s.gpr) + 8 * p.mem_gpr[0]);
		x->s2_group = 0;
	}
	reenc_insn(m, in, p.fields);
}

/* test r, r with the result of @in */
static void put_test(struct xlat *x, const struct insn *in)
{
	bool byte = !(in->opcode & 1) && in->opcode != 0x83,
	     to_reg = in->opcode < 0x40 && in->opcode & 2;
	unsigned g = in->opcode < 0x40 && (in->opcode & 7) >= 4 ? X86_RAX
		     : to_reg                                   ? in->reg
								: in->rm;
	unsigned h = xlat_get(x, g, S1);
	uint8_t rex = (uint8_t)((in->opsize == 8 ? 8 : 0) | (h >= 8 ? 5 : 0));

	if (!byte && in->opsize == 2)
		emit8(&x->m, 0x66);
	if (rex || (byte && h >= 4))
		emit8(&x->m, (uint8_t)(0x40 | rex));
	EMIT(&x->m, byte ? 0x84 : 0x85, (uint8_t)(0xc0 | (h & 7) * 9));
}

static void put_rotated(struct xlat *x, unsigned n)
{
	const struct insn *in = &x->in[(n >> RECIPE_ROTATE) - 1];
	struct insn undo = *in;
	struct copy_plan p;

	check(xlat_plan(in, &p));
	undo.modrm ^= 8; /* ROR for ROL and the other way round */
	xlat_put_copy(x, &undo, &p);
	if (n & RECIPE_UNDER) {
		xlat_recipe(x, n & RECIPE_UNDER);
	} else {
		tr_flags_fetch(&x->m, x->rx, x->t->fetch);
		tr_flags_restore(&x->m);
	}
	xlat_put_copy(x, in, &p);
}

void xlat_recipe(struct xlat *x, unsigned n)
{
	const struct insn *in;
	struct insn undo;
	struct copy_plan p;

	if (n >> RECIPE_ROTATE) {
		put_rotated(x, n);
		return;
	}
	in = &x->in[(n & ~RECIPE_ASIDE) - 1];
	undo = *in;
	if (n & RECIPE_ASIDE) {
		put_again_aside(x, in);
		return;
	}
	if (recipe_is_logic_load(in)) {
		put_test(x, in);
		return;
	}
	check(n && xlat_plan(in, &p));
	switch (recipe_kind_any(in)) {
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

/* Instruction @j made the flags; can it be done again until they are written or fetched, if that
 * needs the registers @regs? @scratch: and S1 and S2; then it must not be needed for what comes
 * after the block, which may want the flags in memory all the same. */
static bool lasts(struct xlat *x, unsigned j, unsigned regs, bool scratch)
{
	for (unsigned k = j + 1; k < x->b->n_insns; k++) {
		const struct insn *in = &x->in[k];

		if (k >= x->i && !is_simple(x, k))
			return !scratch || in->special == SP_JCC;
		if (k >= x->i && in->special == SP_NONE) {
			if (insn_flags_needed(in)) /* the operand may be in S1 and S2 */
				return !scratch || !(in->flags & INSN_MEM);
			if (in->rflags_written & X86_ARITH)
				return true;
		}
		if (overwrites(in, regs))
			return k >= x->i && is_last_look(x, k);
	}
	return !scratch;
}

/* Rotation @j and what its recipe is made of, the registers @regs: do those stay until the flags
 * are written, all of them? Another rotation will ask again. */
static bool lasts_rotated(struct xlat *x, unsigned j, unsigned regs)
{
	unsigned dest;

	for (unsigned k = j + 1; k < x->b->n_insns; k++) {
		const struct insn *in = &x->in[k];

		if (k >= x->i && !is_simple(x, k))
			return false;
		if (k >= x->i && in->special == SP_NONE) {
			if (insn_flags_needed(in))
				return recipe_is_rotate(in, &dest);
			if (in->rflags_written & X86_ARITH)
				return true;
		}
		if (overwrites(in, regs))
			return k >= x->i && is_last_look(x, k);
	}
	return false;
}

/* The same of rotation @j, which is not the first flags of the block: those from before it are a
 * recipe. */
static unsigned find_rotated(struct xlat *x, unsigned j)
{
	unsigned dest, d, under = j;
	const struct insn *in;

	if (!recipe_is_rotate(&x->in[j], &dest))
		return 0;
	do {
		if (under-- == 0 || !(is_simple(x, under) || is_jump(x, under)))
			return 0;
		in = &x->in[under];
	} while (in->special != SP_NONE || !(in->rflags_written & X86_ARITH) ||
		 recipe_is_rotate(in, &d));
	if (insn_flags_needed(in) || recipe_kind(in) == NONE)
		return 0;
	for (unsigned k = under + 1; k < j; k++)
		if (overwrites(&x->in[k], recipe_operands(in)))
			return 0;
	if (!lasts_rotated(x, j, recipe_operands(in) | 1u << dest))
		return 0;
	return (under + 1) | (j + 1) << RECIPE_ROTATE;
}

bool xlat_flags_rotate(struct xlat *x, const struct insn *in)
{
	unsigned under = x->m_ok ? 0 : x->recipe, dest, d, regs = 0;
	struct copy_plan p;

	if (x->e || !recipe_is_rotate(in, &dest) || under & RECIPE_ASIDE)
		return false;
	if (under & RECIPE_UNDER)
		regs = recipe_operands(&x->in[(under & RECIPE_UNDER) - 1]);
	/* of two rotations the first does not matter, unless it is to be undone */
	if (regs && recipe_needs_scratch(&x->in[(under & RECIPE_UNDER) - 1]))
		return false;
	if (under >> RECIPE_ROTATE &&
	    (!recipe_is_rotate(&x->in[(under >> RECIPE_ROTATE) - 1], &d) || regs & 1u << d))
		return false;
	if (!lasts_rotated(x, x->i, regs | 1u << dest))
		return false;
	check(xlat_plan(in, &p));
	xlat_put_copy(x, in, &p);
	x->recipe = (under & RECIPE_UNDER) | (x->i + 1) << RECIPE_ROTATE;
	x->m_ok = false;
	return true;
}

/* The instruction whose flags EFLAGS hold, + 1, if it can be their recipe until they are written
 * or fetched. */
static unsigned find_recipe(struct xlat *x)
{
	const struct insn *in;
	unsigned j = x->i, dest;

	do {
		if (j-- == 0 || !(is_simple(x, j) || is_jump(x, j)))
			return 0;
		in = &x->in[j];
	} while (in->special != SP_NONE || !(in->rflags_written & X86_ARITH));
	if (insn_flags_needed(in))
		return find_rotated(x, j);
	if (recipe_kind(in) != NONE && lasts(x, j, recipe_operands(in), false))
		return j + 1;
	if (recipe_kind_any(in) != NONE && !x->s1_group && lasts(x, j, recipe_operands(in), true))
		return j + 1;
	if (!(x->aside >> j & 1))
		return 0;
	if (in->flags & INSN_MEM)
		return lasts(x, j, recipe_operands(in), true) ? (j + 1) | RECIPE_ASIDE : 0;
	if (recipe_is_aside(in, &dest) && lasts(x, j, recipe_operands(in) & ~(1u << dest), true))
		return (j + 1) | RECIPE_ASIDE;
	return 0;
}

/* Does instruction @k, which is simple, clobber EFLAGS by a check? By what is known now. */
static bool has_check(struct xlat *x, unsigned k)
{
	const struct insn *in = &x->in[k];

	if (in->flags & (INSN_SSE | INSN_AVX) && !x->vec)
		return true;
	if (in->flags & (INSN_FPU | INSN_MMX) && !x->x87)
		return true;
	if (in->special == SP_LEA || in->special == SP_NOP_MEM || insn_is_nop(in) ||
	    (in->special == SP_NONE && !(in->flags & INSN_MEM)))
		return false;
	return x->ungrouped || !x->access[k].size || !xlat_find_group(x, &x->access[k]);
}

/* The registers that a simple instruction or jump writes. */
static unsigned writes(const struct insn *in)
{
	bool stack = in->special == SP_PUSH_REG || in->special == SP_PUSH_IMM ||
		     in->special == SP_POP_REG;

	return in->gpr_written | (stack ? 1u << X86_RSP : 0);
}

/* Is what @in has put aside its only operand but constants? */
static bool is_alone(const struct insn *in)
{
	unsigned dest = 0;

	return !(in->flags & INSN_MEM) && recipe_is_aside(in, &dest) &&
	       !(recipe_operands(in) & ~(1u << dest));
}

/* The instruction whose flags EFLAGS hold, + 1, if its operands are what they were or put aside. */
static unsigned find_intact(struct xlat *x)
{
	unsigned j = x->i, written = 0;

	for (;;) {
		const struct insn *in;

		if (j-- == 0 || !(is_simple(x, j) || is_jump(x, j)))
			return 0;
		in = &x->in[j];
		if (in->special == SP_NONE && in->rflags_written & X86_ARITH)
			break;
		written |= writes(in);
	}
	if (insn_flags_needed(&x->in[j]))
		return 0;
	if (recipe_kind(&x->in[j]) != NONE && !(recipe_operands(&x->in[j]) & written))
		return j + 1;
	if (!(x->aside >> j & 1))
		return 0;
	if (x->in[j].flags & INSN_MEM)
		return recipe_operands(&x->in[j]) & written ? 0 : (j + 1) | RECIPE_ASIDE;
	return is_alone(&x->in[j]) ? (j + 1) | RECIPE_ASIDE : 0;
}

/* Does nothing in the block look at the flags from instruction @k on before they are written, or a
 * call, return or indirect jump ends it? */
static bool are_not_read_at(const struct xlat *x, unsigned k)
{
	for (; k < x->b->n_insns; k++) {
		const struct insn *in = &x->in[k];

		switch (in->special) {
		case SP_NONE:
			if (insn_flags_needed(in))
				return false;
			if (in->rflags_written & X86_ARITH)
				return true;
			break;
		case SP_LEA:
		case SP_NOP_MEM:
		case SP_PUSH_REG:
		case SP_PUSH_IMM:
		case SP_POP_REG:
		case SP_LEAVE:
		case SP_JMP_REL: break;
		case SP_CALL_REL:
		case SP_CALL_IND:
		case SP_JMP_IND:
		case SP_RET: return true;
		default: return false;
		}
	}
	return false;
}

static bool are_not_read(const struct xlat *x)
{
	return are_not_read_at(x, x->i);
}

/* Ends of blocks that take a recipe as it is. */
static bool is_way_out(const struct insn *in)
{
	return in->special == SP_CALL_REL || in->special == SP_CALL_IND ||
	       in->special == SP_JMP_IND || in->special == SP_RET;
}

/* A direct jump at the end of the block, or its end itself, to where flags are wanted in memory;
 * @k: that instruction or the number of instructions. */
static bool exit_wants_memory(struct xlat *x, unsigned k)
{
	uint64_t to = x->b->rip + x->b->cold[k].off;
	struct uop u = {0};

	if (!(x->b->key & X86_MODE_FLAT) || x->loop_plan.turns)
		return false;
	if (k < x->b->n_insns) {
		if (x->in[k].special != SP_JMP_REL || k + 1 < x->b->n_insns ||
		    !branch_handler(x->b->key, &x->in[k], to, &u))
			return false;
		to = u.imm;
	}
	return xlat_wants_memory(x, to);
}

/* Where instruction x->i, whose flags are the current ones, has put its operand aside, is there a
 * way to have them at @k that there is not otherwise? @out: the block is left there. */
static bool helps_at(struct xlat *x, unsigned k, bool out)
{
	unsigned now = x->i;
	bool later = out || are_not_read_at(x, k), helps;

	x->i = k;
	helps = !((!out && find_recipe(x)) || (later && find_intact(x)));
	x->aside |= BIT(now);
	helps = helps && ((!out && find_recipe(x)) || (later && find_intact(x)));
	x->aside &= ~BIT(now);
	x->i = now;
	return helps;
}

/* Is that so at the first place that wants the flags of instruction x->i saved: a check of memory,
 * or an exit? */
static bool wants_aside(struct xlat *x)
{
	bool value = x->in[x->i].flags & INSN_MEM;
	unsigned k;

	if (!(x->in[x->i].rflags_written & X86_ARITH))
		return false;
	for (k = x->i + 1; k < x->b->n_insns; k++) {
		const struct insn *in = &x->in[k];

		if (is_jump(x, k) && k + 1 < x->b->n_insns)
			continue;
		if (!is_simple(x, k))
			return (is_way_out(in) || exit_wants_memory(x, k)) && helps_at(x, k, true);
		if (has_check(x, k))
			return helps_at(x, k, false);
		if (in->special == SP_NONE &&
		    (in->rflags_written & X86_ARITH || (!value && insn_flags_needed(in))))
			return false;
	}
	return exit_wants_memory(x, k) && helps_at(x, k, true);
}

void xlat_flags_aside(struct xlat *x)
{
	unsigned dest;

	static_assert(BLOCK_MAX_INSNS <= 64, "bits of xlat.aside");
	x->aside &= ~BIT(x->i);
	if (x->s1_group || !recipe_is_aside(&x->in[x->i], &dest) || !wants_aside(x))
		return;
	tr_gs(&x->m, true, 0x89, tr_host[dest], offsetof(struct vcpu, aside));
	x->aside |= BIT(x->i);
}

/* Does recipe @n hold from the start of the block until flags are written or fetched? */
static bool holds_from_start(struct xlat *x, unsigned n)
{
	unsigned regs = recipe_operands(&x->in[n - 1]);

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
	if (insn_flags_needed(&x->in[j]) || recipe_kind(&x->in[j]) == NONE)
		return 0;
	regs = recipe_operands(&x->in[j]);
	for (unsigned k = j + 1; k < x->b->n_insns; k++)
		if ((x->in[k].gpr_written | (x->in[k].special == SP_NONE ? 0 : 1u << X86_RSP)) &
		    regs)
			return 0;
	return holds_from_start(x, j + 1) ? j + 1 : 0;
}

/* ---- flags that are computed later, or never ---- */

/* op S1, S2 (or S1, the immediate) */
static void put_op(struct emit *m, const struct operation *o, enum op op)
{
	bool same = !o->has_imm && o->a == o->b, wide = o->size > 1;
	unsigned other = same ? S1 : S2;
	uint8_t rex = (uint8_t)(0x41 | (o->size == 8 ? 8 : 0));

	if (o->size == 2)
		emit8(m, 0x66);
	if (!o->has_imm) {
		EMIT(m, rex | 4, (uint8_t)((op == OP_TEST ? 0x84 : op << 3) | wide),
		     (uint8_t)(0xc0 | (other & 7) << 3 | (S1 & 7)));
		return;
	}
	EMIT(m, rex, (uint8_t)((op == OP_TEST ? 0xf6 : 0x80) | wide),
	     (uint8_t)(0xc0 | (op == OP_TEST ? 0 : op) << 3 | (S1 & 7)));
	if (o->size == 1)
		emit8(m, (uint8_t)o->imm);
	else if (o->size == 2)
		EMIT(m, (uint8_t)o->imm, (uint8_t)(o->imm >> 8));
	else
		emit32(m, o->imm);
}

/* Where operand @g is kept. */
static size_t kept(unsigned g, unsigned word)
{
	return g == VALUE ? offsetof(struct vcpu, aside) : tr_word(word);
}

/* Is the whole of recipe @n the old value of a register, which was put aside? */
static bool is_old_value(const struct xlat *x, unsigned n)
{
	return n & RECIPE_ASIDE && !(x->in[(n & ~RECIPE_ASIDE) - 1].flags & INSN_MEM);
}

/* EFLAGS = those of @in, whose operands xlat_flags_put() has stored. */
static void put_again_kept(struct emit *m, const struct insn *in)
{
	struct operation o = recipe_operation(in);

	tr_gs(m, true, 0x8b, S1, kept(o.a, W_LATER_A));
	if (!o.has_imm && o.a != o.b)
		tr_gs(m, true, 0x8b, S2, kept(o.b, W_LATER_B));
	if (o.kind == UNDO)
		put_op(m, &o, o.op == OP_ADD ? OP_SUB : OP_ADD);
	put_op(m, &o, o.op);
}

void xlat_flags_compute(struct xlat *x, const struct stub *s)
{
	const struct insn *in = &x->in[(s->recipe & ~RECIPE_ASIDE) - 1];
	struct emit *m = &x->m;

	st_le32(m->buf + s->back, tr_fl_later((uint32_t)(xlat_here(x) - x->t->map.rx)));
	if (is_old_value(x, s->recipe))
		put_again_aside(x, in);
	else
		put_again_kept(m, in);
	tr_flags_save(m);
	TR_FIELD(m, tr_word(W_LATER_BACK), 0, 0xff, 0x24); /* jmp [W_LATER_BACK] */
}

unsigned xlat_flags_find(struct xlat *x)
{
	unsigned n = x->m_ok ? 0 : x->e ? find_intact(x) : x->recipe;
	const struct insn *in;

	if (!n || n >> RECIPE_ROTATE)
		return 0;
	in = &x->in[(n & ~RECIPE_ASIDE) - 1];
	if (!(n & RECIPE_ASIDE) && recipe_needs_scratch(in))
		return 0;
	if (n & RECIPE_ASIDE && !(in->flags & INSN_MEM))
		return is_alone(in) ? n : 0;
	/* RSP may be behind */
	return x->sp_moved && recipe_operands(in) & 1u << X86_RSP ? 0 : n;
}

unsigned xlat_flags_stores(const struct xlat *x, unsigned n)
{
	struct operation o;

	if (is_old_value(x, n) || recipe_is_zeroing(&x->in[(n & ~RECIPE_ASIDE) - 1]))
		return 1;
	o = recipe_operation(&x->in[(n & ~RECIPE_ASIDE) - 1]);
	return 1 + (o.a != VALUE) + (!o.has_imm && o.a != o.b && o.b != VALUE);
}

void xlat_flags_put(struct xlat *x, unsigned n)
{
	struct emit *m = &x->m;
	struct operation o;
	struct stub *s;

	if (recipe_is_zeroing(&x->in[(n & ~RECIPE_ASIDE) - 1])) {
		TR_FIELD(m, tr_word(W_FL), 4, 0xc7, 4); /* mov dword [W_FL], imm32 */
		static_assert(TR_FL_ZERO & TR_FL_HERE, "nothing to be computed");
		emit32(m, TR_FL_ZERO);
		x->m_ok = true;
		return;
	}
	if (!is_old_value(x, n)) {
		o = recipe_operation(&x->in[(n & ~RECIPE_ASIDE) - 1]);
		if (o.a != VALUE)
			tr_gs(m, true, 0x89, tr_host[o.a], tr_word(W_LATER_A));
		if (!o.has_imm && o.a != o.b && o.b != VALUE)
			tr_gs(m, true, 0x89, tr_host[o.b], tr_word(W_LATER_B));
	}
	TR_FIELD(m, tr_word(W_FL), 4, 0xc7, 4); /* mov dword [W_FL], imm32 */
	emit32(m, 0);
	s = xlat_stub(x, STUB_COMPUTE);
	s->site = 0;
	s->back = m->n - 4;
	s->recipe = n;
	x->m_ok = true;
}

void xlat_flags_later(struct xlat *x)
{
	unsigned n = xlat_flags_find(x);

	if (n)
		xlat_flags_put(x, n);
	else
		need_m(x);
}

void need_e(struct xlat *x)
{
	if (x->e)
		return;
	if (x->m_ok) {
		tr_flags_fetch(&x->m, x->rx, x->t->fetch);
		tr_flags_restore(&x->m);
	} else {
		xlat_recipe(x, x->recipe);
	}
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
		if (!x->recipe && are_not_read(x))
			xlat_flags_later(x);
		else if (!x->recipe)
			need_m(x);
	}
	x->e = false;
}

/* Before the next instruction overwrites operands: will the flags that follow from them be stored
 * anyway, because something can fault before they are written or the block ends in a call? */
static bool better_now(struct xlat *x)
{
	const struct insn *in = &x->in[x->i];
	bool accesses = false;
	unsigned n;

	if (in->special != SP_NONE && in->special != SP_LEA)
		return false;
	if (in->flags & INSN_MEM || !writes(in) || !are_not_read(x))
		return false;
	for (unsigned k = x->i; k < x->b->n_insns; k++) {
		const struct insn *next = &x->in[k];

		if (next->special == SP_NONE && next->rflags_written & X86_ARITH)
			break;
		accesses |= next->flags & INSN_MEM ||
			    (next->special != SP_NONE && next->special != SP_LEA &&
			     next->special != SP_NOP_MEM && next->special != SP_JMP_REL);
	}
	if (!accesses)
		return false;
	n = find_intact(x);
	return n && !(n & RECIPE_ASIDE) && !(x->aside >> (n - 1) & 1) &&
	       recipe_operands(&x->in[n - 1]) & writes(in);
}

void xlat_flags_settle(struct xlat *x)
{
	if (!x->e && !x->m_ok && !is_simple(x, x->i) && !is_way_out(&x->in[x->i]))
		need_e(x);
	if (x->e && !x->m_ok && better_now(x))
		xlat_flags_later(x);
}
