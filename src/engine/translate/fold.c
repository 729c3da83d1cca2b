/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses in the second copy of a short loop (loop.c).
 *
 * Whatever of an address stays the same during the turns of that copy is added to the distance
 * between host and guest before it begins: of [base + index] the register that nothing writes, a
 * known address, the effective base of a stack frame. What is left is one register that moves, so
 * that the instruction is the guest's with a host register more. Outside 64-bit code this is what
 * makes it possible to use that register at all, because the processor would not cut the sum off at
 * 4 GiB: the sum is computed once, cut off, and the register subtracted. That is right as long as
 * the register itself does not pass 0; near it, the first copy, with its checks, runs every turn.
 *
 * What the accesses need of their groups is loaded into S2 from vcpu.slots.group[], where these
 * values replace the distances, which the first copy stores anew. If no instruction of the loop
 * needs S1, it holds the value of the group that is used most, and S2 all the time that of the
 * other when there are two.
 */
#include "engine/translate/xlat.h"

/* Computing a sum must pay. */
#define TURNS_LEAST 4u

/* How the loop's accesses use their groups. */
struct uses {
	int8_t of[BLOCK_MAX_INSNS]; /* by instruction: the group, -1 = none */
	unsigned n[X86_GROUPS];     /* by group: accesses */
	unsigned must;              /* bits: S2 is needed for something else at one of them */
	bool s1_free;
};

static bool is_written(const struct xlat *x, unsigned g)
{
	for (unsigned i = 0; i < x->b->n_insns; i++) {
		const struct insn *in = &x->in[i];
		bool stack = in->special == SP_PUSH_REG || in->special == SP_PUSH_IMM ||
			     in->special == SP_POP_REG;

		if ((in->gpr_written | (stack ? 1u << X86_RSP : 0)) & 1u << g)
			return true;
	}
	return false;
}

/* Does the register have its version of the start all the time? */
static bool keeps_version(const struct xlat *x, unsigned g, unsigned version)
{
	return g == NO_REG || (version == g + 1 && x->loop_plan.id[g] == version);
}

/* Can the access of instruction @i be @g's, folded? */
static bool fits(const struct xlat *x, const struct group *g, unsigned i, const struct ea *a)
{
	const struct access *c = &x->access[i];
	int64_t off = c->disp - a->disp; /* by what registers have moved in this turn */
	bool known = a->base == NO_REG && a->index == NO_REG;

	if (!keeps_version(x, a->base, c->base) || !keeps_version(x, a->index, c->index) ||
	    off > XLAT_NEAR_ZERO / 2 || off < -(int64_t)(XLAT_NEAR_ZERO / 2))
		return false;
	return known ? g->mover == NO_REG
		     : g->mover == NO_REG || (g->mover == a->base && g->mover_scale == 0) ||
			       (g->mover == a->index && g->mover_scale == a->scale);
}

static bool in_memory(unsigned g)
{
	return g != NO_REG && tr_host[g] == NO_REG;
}

/* One register that the instruction itself can add, whether it moves or not? */
static bool is_direct(const struct xlat *x, const struct ea *a)
{
	return x->is64 && (a->base == NO_REG) != (a->index == NO_REG) && !in_memory(a->base) &&
	       !in_memory(a->index);
}

/* The group's address at the start of a turn is @a; which of its registers moves? False: both. */
static bool find_mover(const struct xlat *x, struct group *g, const struct ea *a)
{
	bool direct = is_direct(x, a),
	     base = a->base != NO_REG && (direct || is_written(x, a->base)),
	     index = a->index != NO_REG && (direct || is_written(x, a->index));

	g->mover = NO_REG;
	g->mover_scale = 0;
	if (base && index)
		return false;
	if (base)
		g->mover = a->base;
	if (index) {
		g->mover = a->index;
		g->mover_scale = a->scale;
	}
	return !in_memory(g->mover);
}

/* The operand of instruction @i is one that a group of the second copy is good for. */
static struct group *group_of(struct xlat *x, unsigned i, struct ea *a)
{
	const struct insn *in = &x->in[i];

	if (in->special != SP_NONE || !(in->flags & INSN_MEM) || insn_is_nop(in) ||
	    !x->access[i].size)
		return NULL;
	x->i = i;
	*a = xlat_ea(x, in);
	return xlat_find_group(x, &x->access[i]);
}

/* Has @g one address that all of its accesses share, but for the mover and displacements? That
 * address in @ret. */
static bool plan_group(struct xlat *x, struct group *g, struct ea *ret)
{
	bool found = false;
	struct ea a;

	for (unsigned i = 0; i < x->b->n_insns; i++) {
		if (group_of(x, i, &a) != g)
			continue;
		if (!found && !find_mover(x, g, &a))
			return false;
		if (found && (a.base != ret->base || a.index != ret->index))
			return false;
		if (!fits(x, g, i, &a))
			return false;
		found = true;
		*ret = a;
	}
	return found;
}

/* S1 = @reg << @scale + @disp, as 64 bits */
static void put_part(struct xlat *x, unsigned dst, unsigned reg, unsigned scale, int64_t disp)
{
	if (scale == 0)
		tr_mem(&x->m, true, 0x8d, dst, reg, NO_REG, 0, (int32_t)disp);
	else
		tr_mem(&x->m, true, 0x8d, dst, NO_REG, reg, scale, (int32_t)disp);
}

/* The mover is near 0: the first copy again. */
static void put_guard(struct xlat *x, const struct group *g)
{
	struct emit *m = &x->m;

	tr_mem(m, false, 0x8d, S1, tr_host[g->mover], NO_REG, 0, XLAT_NEAR_ZERO);
	EMIT(m, 0x41, 0x81, 0xfa); /* cmp r10d, */
	emit32(m, 2 * XLAT_NEAR_ZERO);
	EMIT(m, 0x0f, 0x82); /* jb again */
	emit32(m, x->loop_plan.again - (m->n + 4));
}

/* vcpu.slots.group[] of @g, whose address is @a, = what its accesses need from here on. */
static void put_fold(struct xlat *x, struct group *g, const struct ea *a)
{
	unsigned n = (unsigned)(g - x->group);
	struct emit *m = &x->m;
	struct ea first = *a;
	bool known = a->base == NO_REG && a->index == NO_REG;

	first.disp = g->min;
	g->bias = known || !x->is64 ? g->min : 0;
	if (!x->is64 && g->mover != NO_REG) {
		g->bias = 0;
		put_guard(x, g);
	} else if (x->is64 && !known) {
		first.disp = 0;
		if (g->mover == a->base)
			first.base = NO_REG;
		else if (g->mover != NO_REG)
			first.index = NO_REG;
	}
	if (first.base == NO_REG && first.index == NO_REG && !known)
		return; /* the distance it is */
	g->stored = true;
	x->s2_group = 0;
	xlat_put_ea(x, S1, x->is64, &first, 0, S1, S2);
	tr_gs(m, true, 0x03, S1, xlat_group_at(n));
	if (!x->is64 && g->mover != NO_REG) {
		put_part(x, S2, tr_host[g->mover], g->mover_scale, g->min);
		tr_rr(m, true, 0x29, S2, S1);
	}
	tr_gs(m, true, 0x89, S1, xlat_group_at(n));
}

/* What instruction @i does to S1, and which group it needs. */
static void look_at(struct xlat *x, unsigned i, struct uses *u)
{
	const struct insn *in = &x->in[i];
	struct copy_plan p;
	struct group *g;
	struct ea a;

	switch (in->special) {
	case SP_JCC:
	case SP_JMP_REL:
	case SP_NOP_MEM: return;
	case SP_LEA:
		if (in_memory(in->reg) || in_memory(in->base) || in_memory(in->index))
			u->s1_free = false;
		return;
	case SP_NONE: break;
	default: u->s1_free = false; return;
	}
	if (insn_is_nop(in))
		return;
	if (!xlat_plan(in, &p) || x->b->cold[i].fn == uop_cmpxchg16 || p.via_rdi ||
	    (in->flags & (INSN_FPU | INSN_MMX) && p.n_mem_gprs) || p.n_mem_gprs > 1) {
		u->s1_free = false;
		return;
	}
	if (!(in->flags & INSN_MEM))
		return;
	g = group_of(x, i, &a);
	if (!g || !g->folded) {
		u->s1_free = false;
		return;
	}
	u->of[i] = (int8_t)(g - x->group);
	u->n[g - x->group]++;
	if (p.n_mem_gprs)
		u->must |= 1u << (g - x->group);
}

/* S1 for the group that is used most, S2 for the first of the others. */
static void hold(struct xlat *x, const struct uses *u)
{
	unsigned most = 0, groups = 0;

	for (unsigned n = 0; n < x->n_groups; n++) {
		groups += u->n[n] != 0;
		if (u->n[n] > u->n[most])
			most = n;
	}
	if (u->must)
		most = (unsigned)__builtin_ctz(u->must);
	if (u->must & (u->must - 1) || groups < (u->must ? 1 : 2))
		return;
	xlat_group_load(x, S1, most + 1);
	for (unsigned i = 0; i < x->b->n_insns; i++)
		if (u->of[i] >= 0 && u->of[i] != (int)most) {
			xlat_group_load(x, S2, (unsigned)u->of[i] + 1);
			break;
		}
}

void xlat_fold(struct xlat *x)
{
	struct uses u = {.s1_free = true};
	unsigned now = x->i;
	struct ea a;

	static_assert(X86_GROUPS < 32, "bits of uses.must");
	for (unsigned n = x->first_group; n < x->n_groups; n++) {
		struct group *g = &x->group[n];

		if (g->dead || !plan_group(x, g, &a) || !xlat_disp_fits(&a, GROUP_MOST) ||
		    (g->mover != NO_REG && g->min != (int32_t)g->min) ||
		    (!is_direct(x, &a) && x->loop_plan.turns < TURNS_LEAST))
			continue;
		put_fold(x, g, &a);
		g->folded = true;
	}
	for (unsigned i = 0; i < x->b->n_insns; i++) {
		u.of[i] = -1;
		look_at(x, i, &u);
	}
	x->i = now;
	if (u.s1_free)
		hold(x, &u);
}
