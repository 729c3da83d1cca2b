/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short loops: a joined block whose last instruction jumps to its first.
 *
 * Most pointers of such a loop move by a constant each turn, so one check of a group (group.c) can
 * be good for several turns: its extent is that of so many turns. The block is translated twice,
 *
 *	again: flags to memory; requests
 *	first copy, with checks; way out; W_TURNS = what reg will be when they are due
 *	second copy, without those checks; way out; cmp reg, W_TURNS; jne second copy
 *	requests; W_TURNS = reg + turns that slots have room for; second copy, or again if none
 *
 * where reg changes by a constant each turn. A loop that runs on after the first window of 2 to 64
 * turns mostly does so for long: then the room that is left in the range of each group's slot says
 * for how many turns its distance is good. Accesses that are in no such group have their
 *own checks in both copies; then the second saves the polling and the flags.
 *
 * The flags at the jump are mostly those of a comparison that can be done again (flags.c), so
 * nothing saves them; where they cannot, each turn does.
 *
 * The second copy is entered from this block only and leaves by its exits or by `again`, which
 *looks at requests; so code that others have written is noticed as soon as at any other jump
 *backwards, and own stores into the block leave it by their slow paths.
 */
#include "engine/translate/xlat.h"

#define WINDOW      128 /* bytes that a pointer moves between two checks, at most */
#define STRIDE_MOST (WINDOW / 2)
#define TURNS_MOST  64u
#define TURNS_FAR   1024u /* between two looks at requests */
#define TURNS_NEAR  1u    /* worth going on for */
#define STEP_MOST   65536
/* the stubs of both copies have room */
#define LOOP_INSNS (BLOCK_MAX_INSNS / 2)

bool xlat_step(const struct xlat *x, const struct access *a, int64_t *ret_step)
{
	const struct loop *l = &x->loop_plan;
	const uint16_t id[2] = {a->base, a->index};

	*ret_step = 0;
	for (unsigned i = 0; i < 2; i++) {
		unsigned g = 0;

		if (!id[i])
			continue;
		while (g < 16 && l->id[g] != id[i])
			g++;
		if (g == 16)
			return false;
		*ret_step += l->step[g] * (i ? 1 << a->scale : 1);
	}
	return *ret_step <= STRIDE_MOST && *ret_step >= -STRIDE_MOST;
}

/* What instruction @in adds to the low 32 bits of @g, which it writes; false: something else. */
static bool adds(const struct insn *in, unsigned g, int32_t *ret_step)
{
	unsigned ext = in->modrm >> 3 & 7;
	int32_t imm = (int32_t)in->imm;

	if (in->opsize < 4 || in->flags & (INSN_HIGH8 | INSN_MEM | INSN_RIP_REL))
		return in->special == SP_LEA && in->opsize >= 4 && in->addrsize >= 4 &&
		       !(in->flags & INSN_RIP_REL) && in->base == g && in->index == NO_REG &&
		       in->reg == g && (*ret_step = (int32_t)in->disp, true);
	if (in->special != SP_NONE || in->map != MAP_1 || in->enc != ENC_LEGACY || in->rm != g)
		return false;
	if (in->opcode == 0x81 || in->opcode == 0x83)
		*ret_step = ext == 5 ? -imm : imm;
	else if (in->opcode == 0xff)
		*ret_step = ext ? -1 : 1;
	else
		return false;
	return ext == 0 || ext == (in->opcode == 0xff ? 1 : 5);
}

/* What a turn of @n instructions adds to the low 32 bits of @g, 0 = it does something else. */
static int32_t total_step(const struct xlat *x, unsigned n, unsigned g)
{
	uint32_t total = 0;
	int32_t step;

	for (unsigned i = 0; i < n; i++) {
		const struct insn *in = &x->in[i];

		if (!(in->gpr_written & 1u << g) && !(in->special == SP_LEA && in->reg == g))
			continue;
		if (!adds(in, g, &step))
			return 0;
		total += (uint32_t)step;
	}
	return (int32_t)total;
}

/* A register that the first @n instructions move by a constant, which is returned. 0: none. */
static int32_t find_counter(const struct xlat *x, unsigned n, unsigned *ret_g)
{
	for (unsigned g = 0; g < 16; g++) {
		int32_t step;

		if (tr_host[g] == NO_REG || g == X86_RSP)
			continue;
		step = total_step(x, n, g);
		if (!step || step > STEP_MOST || step < -STEP_MOST)
			continue;
		*ret_g = g;
		return step;
	}
	return 0;
}

bool xlat_counts(const struct xlat *x, unsigned n)
{
	unsigned g;

	return n <= LOOP_INSNS && find_counter(x, n, &g);
}

/* Instructions that both copies may have. */
static bool is_plain(struct xlat *x, unsigned i)
{
	const struct insn *in = &x->in[i];
	struct uop u = {0};
	bool ok;

	if (uop_fn_ends(x->b->cold[i].fn))
		return false;
	switch (in->special) {
	case SP_NONE:
		x->i = i;
		if (in->flags & (INSN_FPU | INSN_MMX))
			ok = xlat_x87_ok(x, in);
		else
			ok = insn_is_nop(in) || xlat_copy_ok(x, in);
		x->i = 0;
		return ok;
	case SP_LEA:
	case SP_NOP_MEM:
	case SP_PUSH_REG:
	case SP_PUSH_IMM:
	case SP_POP_REG:
	case SP_JCC:
	case SP_JMP_REL: return branch_handler(x->b->key, in, x->b->rip + x->b->cold[i].off, &u);
	default: return false;
	}
}

static bool jumps_to_start(const struct xlat *x)
{
	unsigned last = x->b->n_insns - 1u;
	const struct insn *in = &x->in[last];
	uint64_t rip = x->b->rip + x->b->cold[last].off;
	struct uop u = {0};

	if ((in->special != SP_JCC && in->special != SP_JMP_REL) ||
	    !branch_handler(x->b->key, in, rip, &u) || u.imm != x->b->rip)
		return false;
	return true;
}

/* How many turns a check can be good for: by the fastest of the pointers that move steadily.
 * Without any, the second copy still saves polling and flags. */
static unsigned find_turns(const struct xlat *x)
{
	unsigned turns = TURNS_MOST;
	int64_t most = 0, step;

	for (unsigned i = 0; i < x->b->n_insns; i++) {
		const struct access *a = &x->access[i];

		if (!a->size || !xlat_step(x, a, &step))
			continue;
		most = MAX(most, step < 0 ? -step : step);
	}
	while (most * turns > WINDOW)
		turns /= 2;
	return turns;
}

void xlat_plan_loop(struct xlat *x, const uint16_t id[16], const int64_t off[16])
{
	struct loop *l = &x->loop_plan;
	unsigned g;

	*l = (struct loop){.turns = 0};
	if (!x->loop || x->ic->unchained || x->b->n_insns > LOOP_INSNS ||
	    x->b->flags & BLOCK_TWO_PAGES || !(x->b->key & X86_MODE_FLAT) ||
	    x->tb->type == TR_TYPE_E || !jumps_to_start(x))
		return;
	for (unsigned i = 0; i < x->b->n_insns; i++)
		if (!is_plain(x, i))
			return;
	for (g = 0; g < 16; g++)
		if (id[g] == g + 1) { /* as at the start: xlat_plan_groups() */
			l->id[g] = id[g];
			l->step[g] = off[g];
		}
	l->add = find_counter(x, x->b->n_insns, &g);
	if (!l->add)
		return;
	l->reg = tr_host[g];
	l->turns = find_turns(x);
	l->recipe = xlat_loop_recipe(x);
}

void xlat_loop_again(struct xlat *x)
{
	struct loop *l = &x->loop_plan;
	struct emit *m = &x->m;
	bool e = x->e, m_ok = x->m_ok;
	unsigned over;

	if (!l->turns)
		return;
	emit8(m, 0xe9); /* jmp over */
	emit32(m, 0);
	over = m->n;
	l->again = m->n;
	if (l->recipe) {
		xlat_recipe(x, l->recipe);
		tr_flags_save(m);
	}
	x->e = false;
	x->m_ok = true;
	tr_cmp_request(m);
	EMIT(m, 0x0f, 0x85); /* jne */
	emit32(m, 0);
	xlat_stub(x, STUB_LEAVE);
	st_le32(m->buf + over - 4, m->n - over);
	x->e = e;
	x->m_ok = m_ok;
}

bool xlat_is_loop_end(const struct xlat *x, uint64_t to)
{
	return x->loop_plan.turns && x->i + 1u == x->b->n_insns && to == x->b->rip;
}

/* jcc rel32 to offset @to */
static void jcc_to(struct emit *m, uint8_t cc, unsigned to)
{
	EMIT(m, 0x0f, (uint8_t)(0x80 | cc));
	emit32(m, to - (m->n + 4));
}
enum { CC_B = 2, CC_AE = 3, CC_E = 4, CC_NE = 5, CC_BE = 6 };

static void jump_to(struct emit *m, unsigned to)
{
	emit8(m, 0xe9);
	emit32(m, to - (m->n + 4));
}

/* How many turns follow that the checks of this one are good for: in W_TURNS when they are due. */
static void put_window(struct xlat *x)
{
	const struct loop *l = &x->loop_plan;

	tr_mem(&x->m, false, 0x8d, S1, l->reg, NO_REG, 0, (int32_t)(l->turns - 1) * l->add);
	tr_gs(&x->m, false, 0x89, S1, tr_word(W_TURNS));
}

/* S2 bytes are left, of which each turn takes @step: S2 = turns, W_TURNS the least so far. */
static void put_least(struct xlat *x, int64_t step, bool *first)
{
	unsigned shift = 0;
	struct emit *m = &x->m;

	while (1ll << shift < (step < 0 ? -step : step))
		shift++;
	if (shift)
		EMIT(m, 0x49, 0xc1, 0xeb, (uint8_t)shift); /* shr r11 */
	if (!*first) {
		tr_gs(m, true, 0x3b, S2, tr_word(W_TURNS));
		TR_FIELD(m, tr_word(W_TURNS), 0, 0x4c, 0x0f, 0x47, 0x1c); /* cmova r11, [] */
	}
	tr_gs(m, true, 0x89, S2, tr_word(W_TURNS));
	*first = false;
}

/* sub or cmp (@ext 5, 7) S2, imm; jb again */
static void put_enough(struct xlat *x, unsigned ext, uint32_t imm)
{
	EMIT(&x->m, 0x49, 0x81, (uint8_t)(0xc3 | ext << 3));
	emit32(&x->m, imm);
	jcc_to(&x->m, CC_B, x->loop_plan.again);
}

/*
 * Turns after which the register that is left of a folded address (fold.c) is near 0, where it
 * would have to be cut off.
 */
static void put_mover_turns(struct xlat *x, const struct group *g, bool *first)
{
	struct emit *m = &x->m;
	int64_t step;

	if (x->is64 || !g->folded || g->mover == NO_REG)
		return;
	step = x->loop_plan.step[g->mover];
	if (!step)
		return;
	tr_rr(m, false, 0x89, tr_host[g->mover], S2);
	if (step > 0)
		EMIT(m, 0x41, 0xf7, 0xdb); /* neg r11d */
	put_enough(x, 5, XLAT_NEAR_ZERO);
	put_least(x, step, first);
}

static bool in_memory(unsigned g)
{
	return g != NO_REG && tr_host[g] == NO_REG;
}

/*
 * S1 = offset in the slot of @g of address @a, S2 = its limit; or again, if the slot has another
 * distance than the group has been using: it may have been filled meanwhile, and a page may be at
 * two host addresses (cpu/x86/window.c). False: not possible.
 */
static bool put_slot_now(struct xlat *x, const struct group *g, const struct ea *a)
{
	size_t delta = xlat_group_delta((unsigned)(g - x->group));
	unsigned set = g->slot / X86_SLOTS;
	struct emit *m = &x->m;

	if (!g->by_page) {
		tr_gs(m, true, 0x8b, S2, delta);
		tr_gs(m, true, 0x3b, S2,
		      xlat_slot_field(g->slot, offsetof(struct x86_slot, delta)));
		jcc_to(m, CC_NE, x->loop_plan.again);
		xlat_put_ea(x, S1, x->is64, a, 0, S1, S2);
		tr_gs(m, true, 0x2b, S1, xlat_slot_field(g->slot, offsetof(struct x86_slot, base)));
		tr_gs(m, true, 0x8b, S2, xlat_slot_field(g->slot, offsetof(struct x86_slot, lim)));
		return true;
	}
	if (in_memory(a->base) && in_memory(a->index))
		return false; /* needs S2 */
	xlat_put_ea(x, S1, x->is64, a, 0, S1, S2);
	xlat_page_index(x);
	tr_gs(m, true, 0x8b, S1, delta);
	xlat_page_field(m, 0x3b, S1, set, offsetof(struct x86_slot, delta));
	jcc_to(m, CC_NE, x->loop_plan.again);
	xlat_put_ea(x, S1, x->is64, a, 0, S1, S2);
	xlat_page_field(m, 0x2b, S1, set, offsetof(struct x86_slot, base));
	xlat_page_field(m, 0x8b, S2, set, offsetof(struct x86_slot, lim));
	return true;
}

/*
 * The turns that the slot of @g has room for. False: not known. What is looked at is the address of
 * the turn before: if the slot has that, and the distance, it is the one that the group has been
 * using, however often it was filled meanwhile.
 */
static bool put_group_turns(struct xlat *x, const struct group *g, bool *first)
{
	const struct access *of = &g->of;
	struct ea a = {.base = of->base ? (uint8_t)(of->base - 1) : NO_REG,
		       .index = of->index ? (uint8_t)(of->index - 1) : NO_REG,
		       .scale = of->scale,
		       .seg = NO_REG};
	uint32_t len = (uint32_t)(g->max - g->min);
	struct emit *m = &x->m;
	int64_t step;

	check(xlat_step(x, of, &step));
	if (!step)
		return true;
	a.disp = g->min - step;
	if (!xlat_disp_fits(&a, 0) || !put_slot_now(x, g, &a))
		return false;
	tr_rr(m, true, 0x29, S1, S2);
	jcc_to(m, CC_BE, x->loop_plan.again);
	put_enough(x, step > 0 ? 5 : 7, len);
	if (step < 0)
		tr_rr(m, true, 0x89, S1, S2);
	put_least(x, step, first);
	put_mover_turns(x, g, first);
	return true;
}

/*
 * The checks were good up to here, so the loop is not that short: go on in the second copy for as
 * many turns as the slots' ranges have room for. Otherwise, and where a request waits: again.
 */
static void put_extend(struct xlat *x)
{
	const struct loop *l = &x->loop_plan;
	struct emit *m = &x->m;
	unsigned s1 = x->s1_group;
	bool first = true, ok = true;

	tr_cmp_request(m);
	jcc_to(m, CC_NE, l->again);
	for (unsigned i = x->first_group; i < l->n_groups && ok; i++)
		ok = x->group[i].dead || put_group_turns(x, &x->group[i], &first);
	if (ok) {
		EMIT(m, 0x41, 0xba); /* mov r10d, */
		emit32(m, TURNS_FAR);
		if (first) {
			tr_rr(m, true, 0x89, S1, S2);
		} else {
			tr_rr(m, true, 0x39, S1, S2);
			EMIT(m, 0x4d, 0x0f, 0x47, 0xda); /* cmova r11, r10 */
			put_enough(x, 7, TURNS_NEAR);
		}
		EMIT(m, 0x45, 0x69, 0xd3); /* imul r10d, r11d, */
		emit32(m, (uint32_t)l->add);
		tr_rr(m, false, 0x01, l->reg, S1);
		tr_gs(m, false, 0x89, S1, tr_word(W_TURNS));
		if (l->s2_group)
			xlat_group_load(x, S2, l->s2_group);
		if (s1)
			xlat_group_load(x, S1, s1);
		jump_to(m, l->start);
	} else {
		jump_to(m, l->again);
	}
	x->s1_group = x->s2_group = 0;
}

void xlat_loop_end(struct xlat *x)
{
	struct loop *l = &x->loop_plan;
	struct emit *m = &x->m;

	if (!l->recipe) {
		bool lost = !x->m_ok && x->s1_group; /* need_m() uses S1 */

		need_m(x);
		if (lost)
			xlat_group_load(x, S1, x->s1_group);
	}
	if (l->called) {
		jump_to(m, l->again);
	} else if (l->unchecked) {
		if (l->s2_group && x->s2_group != l->s2_group)
			xlat_group_load(x, S2, l->s2_group);
		tr_gs(m, false, 0x3b, l->reg, tr_word(W_TURNS));
		jcc_to(m, CC_NE, l->start);
		put_extend(x);
	} else {
		put_window(x);
		xlat_groups_turn(x);
		l->n_groups = x->n_groups;
		xlat_fold(x);
		l->unchecked = l->turned = true;
		l->start = m->n;
		l->s2_group = x->s2_group;
		x->e = false;
		x->m_ok = !l->recipe;
		x->recipe = l->recipe;
	}
}
