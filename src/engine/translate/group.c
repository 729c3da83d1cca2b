/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups: one check for several memory accesses of a block.
 *
 * Accesses whose addresses differ by constants only (the registers of a prologue, fields of one
 * structure, both halves of a complex number) are a group. The first of them checks the whole
 * extent, from the lowest byte that any of those that follow touches to the highest, against its
 * slot:
 *
 *	lea S1, [lowest]; sub S1, slot.base; lea S2, [S1 + length - 8]; or S2, S1
 *	cmp S2, slot.lim; jae miss
 *
 * Either of S1 and S2 being too large makes the sum of their bits too large, and so does S1 before
 * the range's start (negative). The converse does not hold: where the sum is too large and both are
 * not, the miss routine says so. What the group's accesses need then, the distance between host and
 * guest or the host address of the lowest byte, is kept in S2 while nothing else needs that, and in
 * vcpu.slots.group[]; they are the guest's instructions with nothing but perhaps a load before
 *them. Slots of the stack have a lim that leaves room for extents of 64 bytes; then S1 < lim is all
 *there is to be looked at. (Room for 256 would send 6 % of all stack frames the long way.)
 *
 * Exactness. That an extent is in a slot says for each of its bytes what a check of its own would
 * have said; nothing is accessed and nothing faults by it. It stays true until slots are emptied,
 * which only C code called by a slow path can do (or an instruction with a handler, which ends all
 * groups): slots.flushes tells, and then the block is left after that instruction. When the check
 * fails, which says nothing about the single accesses, tr_rest() interprets the rest of the block;
 * after a few times it gets code of its own without groups, which is entered at this instruction
 * with flags in memory. So a stack frame that lies across two pages costs what it did.
 *
 * Stores and loads are checked together where a store is certain to come (no branch before it), and
 * on the stack; otherwise a load must not ask for the right to store. With several vCPUs stores are
 * looked at one by one (mem.c).
 *
 * Two addresses differ by a constant when their registers have the same versions: each register has
 * a new one when it is written, except that adding a constant, PUSH, POP and copies keep it.
 */
#include "engine/translate/xlat.h"

/* ---- versions ---- */

struct versions {
	uint16_t id[16], next;
	int64_t off[16];
};

static void renew(struct versions *r, unsigned g)
{
	r->id[g] = r->next++;
	r->off[g] = 0;
}

static void renew_all(struct versions *r, unsigned mask)
{
	for (unsigned g = 0; g < 16; g++)
		if (mask & 1u << g)
			renew(r, g);
}

static void copy(struct versions *r, unsigned to, unsigned from, int64_t plus)
{
	r->id[to] = r->id[from];
	r->off[to] = r->off[from] + plus;
}

/* COPY instructions: additions of constants and moves. */
static void advance_copy(const struct xlat *x, const struct insn *in, struct versions *r)
{
	unsigned ext = in->modrm >> 3 & 7;
	int64_t imm = (int32_t)in->imm;

	if (in->map != MAP_1 || in->enc != ENC_LEGACY || in->flags & INSN_MEM || in->opsize != x->w)
		renew_all(r, in->gpr_written);
	else if ((in->opcode == 0x81 || in->opcode == 0x83) && (ext == 0 || ext == 5))
		r->off[in->rm] += ext ? -imm : imm;
	else if (in->opcode == 0x05 || in->opcode == 0x2d)
		r->off[X86_RAX] += in->opcode == 0x2d ? -imm : imm;
	else if (in->opcode == 0xff && ext < 2)
		r->off[in->rm] += ext ? -1 : 1;
	else if (in->opcode == 0x89)
		copy(r, in->rm, in->reg, 0);
	else if (in->opcode == 0x8b)
		copy(r, in->reg, in->rm, 0);
	else
		renew_all(r, in->gpr_written);
}

static void advance(const struct xlat *x, const struct insn *in, struct versions *r)
{
	bool sized = in->opsize == x->w;
	unsigned special = in->special;

	if (!sized && (special == SP_PUSH_REG || special == SP_PUSH_IMM || special == SP_POP_REG ||
		       special == SP_LEAVE)) {
		renew_all(r, 0xffff);
		return;
	}
	switch (special) {
	case SP_NONE: advance_copy(x, in, r); break;
	case SP_JCC:
	case SP_JMP_REL:
	case SP_NOP_MEM: break;
	case SP_LEA:
		if (sized && in->addrsize == x->w && in->base != NO_REG && in->index == NO_REG &&
		    !(in->flags & INSN_RIP_REL))
			copy(r, in->reg, in->base, in->disp);
		else
			renew(r, in->reg);
		break;
	case SP_PUSH_REG:
	case SP_PUSH_IMM: r->off[X86_RSP] -= (int)x->w; break;
	case SP_POP_REG:
		r->off[X86_RSP] += (int)x->w;
		renew(r, in->rm);
		break;
	case SP_LEAVE:
		copy(r, X86_RSP, X86_RBP, (int)x->w);
		renew(r, X86_RBP);
		break;
	default: renew_all(r, 0xffff); break;
	}
}

/* ---- what a block accesses ---- */

/* Can the groups that were checked before instruction @in still be good after it? */
static bool is_transparent(const struct insn *in)
{
	switch (in->special) {
	case SP_NONE:
	case SP_LEA:
	case SP_NOP_MEM:
	case SP_PUSH_REG:
	case SP_PUSH_IMM:
	case SP_POP_REG:
	case SP_LEAVE:
	case SP_JCC:
	case SP_JMP_REL:
	case SP_JMP_IND:
	case SP_CALL_REL:
	case SP_CALL_IND:
	case SP_RET: return true;
	default: return false;
	}
}

/* The memory access of instruction x->i for which xlat_operand() is called. */
static bool describe(const struct xlat *x, struct ea *a, unsigned *size, bool *write)
{
	const struct insn *in = &x->in[x->i];

	*a = (struct ea){.base = X86_RSP, .index = NO_REG, .seg = NO_REG};
	*size = x->w;
	*write = false;
	if (uop_fn_ends(x->b->cold[x->i].fn))
		return false;
	switch (in->special) {
	case SP_PUSH_REG:
	case SP_PUSH_IMM:
	case SP_CALL_REL:
	case SP_CALL_IND:
		a->disp = -(int)x->w;
		*write = true;
		return in->opsize == x->w;
	case SP_POP_REG:
	case SP_RET: return in->opsize == x->w;
	case SP_LEAVE: a->base = X86_RBP; return in->opsize == x->w;
	case SP_NONE:
	case SP_JMP_IND:
		if (!(in->flags & INSN_MEM) || !in->mem_size || in->mem_size > 64 ||
		    in->addrsize != x->w)
			return false;
		*a = xlat_ea(x, in);
		*size = in->mem_size;
		*write = in->flags & INSN_MEM_WRITE;
		return a->seg == NO_REG;
	default: return false;
	}
}

void xlat_plan_groups(struct xlat *x)
{
	struct versions r = {.next = 1};
	unsigned size;
	struct ea a;
	bool write;

	renew_all(&r, 0xffff);
	for (x->i = 0; x->i < x->b->n_insns; x->i++) {
		struct access *c = &x->access[x->i];

		c->size = 0;
		if (describe(x, &a, &size, &write)) {
			*c = (struct access){.size = (uint16_t)size,
					     .write = write,
					     .stack = a.base == X86_RSP,
					     .rip = a.rip,
					     .scale = a.index == NO_REG ? 0 : a.scale,
					     .disp = a.disp};
			if (a.base != NO_REG) {
				c->base = r.id[a.base];
				c->disp += r.off[a.base];
			}
			if (a.index != NO_REG) {
				c->index = r.id[a.index];
				c->disp += r.off[a.index] * (1 << a.scale);
			}
		}
		advance(x, &x->in[x->i], &r);
	}
	x->i = 0;
	xlat_plan_loop(x, r.id, r.off);
}

void xlat_groups_turn(struct xlat *x)
{
	int64_t step;

	for (unsigned i = x->first_group; i < x->n_groups; i++)
		if (!xlat_step(x, &x->group[i].of, &step)) {
			x->group[i].dead = true;
			if (x->s2_group == i + 1)
				x->s2_group = 0;
		}
}

/* Is one check of @a good for several turns of a loop? Then what its address moves by until the
 * next. */
static bool is_steady(const struct xlat *x, const struct access *a, int64_t *ret_moves)
{
	*ret_moves = 0;
	if (!x->loop_plan.turns || x->loop_plan.unchecked || !xlat_step(x, a, ret_moves))
		return false;
	*ret_moves *= (int64_t)x->loop_plan.turns - 1;
	return true;
}

static bool same_base(const struct access *a, const struct access *b)
{
	return b->size && a->base == b->base && a->index == b->index && a->scale == b->scale &&
	       a->rip == b->rip; /* which moves with the code */
}

/* The extent of @g, which begins with x->i. Return: how many accesses it has, those of other turns
 * included. */
static unsigned find_extent(const struct xlat *x, struct group *g)
{
	const struct access *first = &x->access[x->i];
	bool branched = false, known = !first->base && !first->index;
	unsigned n = is_steady(x, first, &g->moves) ? 2 : 1;

	for (unsigned k = x->i + 1; k < x->b->n_insns && is_transparent(&x->in[k]); k++) {
		const struct access *c = &x->access[k];
		int64_t min, max;

		branched |= x->in[k - 1].special == SP_JCC;
		if (xlat_is_call(&x->in[k - 1]))
			break;
		if (!same_base(first, c))
			continue;
		if (c->write && !g->write && !first->stack && branched)
			continue;
		min = MIN(g->min, c->disp);
		max = MAX(g->max, c->disp + c->size);
		if (max - min + (g->moves < 0 ? -g->moves : g->moves) > (int64_t)GROUP_MOST ||
		    (known && (min ^ (max - 1)) & ~0xfffll))
			continue;
		g->min = min;
		g->max = max;
		g->write |= c->write;
		g->last = (uint8_t)k;
		n++;
	}
	return n;
}

/* ---- checks ---- */

size_t xlat_group_at(unsigned n)
{
	return offsetof(struct vcpu, slots.group) + 8u * n;
}

size_t xlat_group_delta(unsigned n)
{
	return offsetof(struct vcpu, slots.delta) + 8u * n;
}

/* Compare the extent of @len bytes from address S1 on with @slot; jae to what is emitted next. */
static void put_slot_check(struct emit *m, unsigned slot, unsigned len)
{
	bool more = len > 1 + tr_room(xlat_slot_kind(slot, SLOT_GROUP));

	tr_gs(m, true, 0x2b, S1, xlat_slot_field(slot, offsetof(struct x86_slot, base)));
	if (more) {
		tr_mem(m, true, 0x8d, S2, S1, NO_REG, 0, (int32_t)len - 8);
		tr_rr(m, true, 0x09, S1, S2);
	}
	tr_gs(m, true, 0x3b, more ? S2 : S1, xlat_slot_field(slot, offsetof(struct x86_slot, lim)));
	EMIT(m, 0x0f, 0x83); /* jae */
	emit32(m, 0);
}

static void keep(struct xlat *x, struct group *g)
{
	g->store_at = x->m.n;
	tr_gs(&x->m, true, 0x89, S2, xlat_group_at((unsigned)(g - x->group)));
}

static bool is_member(const struct group *g, const struct access *c)
{
	return same_base(&g->of, c) && c->disp >= g->min && c->disp + c->size <= g->max &&
	       (g->write || !c->write);
}

/* Does instruction @k leave S2 alone, as far as can be seen now? @g: the group that S2 is for. */
static bool spares_s2(const struct xlat *x, const struct group *g, unsigned k)
{
	const struct insn *in = &x->in[k];
	struct copy_plan p;

	if (in->flags & (INSN_SSE | INSN_AVX | INSN_FPU | INSN_MMX | INSN_HIGH8))
		return false;
	if ((x->access[k].size || in->flags & INSN_MEM) && !is_member(g, &x->access[k]))
		return false;
	switch (in->special) {
	case SP_NONE:
		return insn_is_nop(in) || (!insn_may_fault(in) && xlat_plan(in, &p) &&
					   p.n_mem_gprs < (in->flags & INSN_MEM ? 1 : 2));
	case SP_LEA: return in->base == NO_REG || in->index == NO_REG;
	case SP_PUSH_REG: return tr_host[in->rm] != NO_REG;
	case SP_NOP_MEM:
	case SP_PUSH_IMM:
	case SP_POP_REG:
	case SP_JCC:
	case SP_JMP_REL:
	case SP_CALL_REL:
	case SP_RET: return true;
	default: return false;
	}
}

/* Will S2 have what the group's accesses need up to the last one? Then nobody needs to keep it. If
 * that turns out wrong the block is translated once more. */
static bool stays_in_s2(const struct xlat *x, const struct group *g)
{
	if (x->keeps_groups || x->loop_plan.turns)
		return false;
	for (unsigned k = x->i; k <= g->last; k++)
		if (!spares_s2(x, g, k))
			return false;
	return true;
}

/* S2 = what the group's accesses need. */
static void put_check(struct xlat *x, struct group *g, const struct ea *a)
{
	unsigned len = (unsigned)(g->max - g->min + (g->moves < 0 ? -g->moves : g->moves)), slot;
	unsigned from;
	enum tr_want want = g->ptr ? TR_PTR_S2 : TR_DELTA;
	bool by_page = xlat_wants_page(x, a);
	struct emit *m = &x->m;
	struct stub *s;

	xlat_flags_free(x);
	x->slot = (uint16_t)xlat_choose_slot(x, a, 8, g->write);
	slot = x->slot;
	g->slot = x->slot;
	g->by_page = by_page;
	from = m->n;
	xlat_put_ea(x, S1, x->is64, a, 0, S1, S2);
	if (by_page)
		xlat_page_check(x, slot / X86_SLOTS, len, want, false);
	else
		put_slot_check(m, slot, len);
	x->s2_group = 0;
	s = xlat_stub(x, STUB_GROUP);
	s->slot = (uint16_t)(slot + 1);
	s->by_page = by_page;
	s->kind_of_slot = by_page ? SLOT_GROUP : (uint8_t)xlat_slot_kind(slot, SLOT_GROUP);
	s->size = (uint16_t)len;
	s->write = g->write;
	s->check = from;
	s->hit = m->n;
	s->ea = *a;
	s->want = want;
	if (by_page) {
		xlat_page_check(x, slot / X86_SLOTS, len, want, true);
	} else if (g->ptr) {
		tr_gs(m, true, 0x8b, S2, xlat_slot_field(slot, offsetof(struct x86_slot, host)));
		tr_rr(m, true, 0x01, S1, S2);
	} else {
		tr_gs(m, true, 0x8b, S2, xlat_slot_field(slot, offsetof(struct x86_slot, delta)));
	}
	s->after = m->n;
	if (x->loop_plan.turns && !x->loop_plan.unchecked)
		tr_gs(m, true, 0x89, S2, xlat_group_delta((unsigned)(g - x->group)));
	if (!stays_in_s2(x, g))
		keep(x, g);
}

/* A check for @c and what follows it. NULL: it is not worth one. */
static struct group *new_group(struct xlat *x, const struct ea *a, const struct access *c)
{
	struct group *g = &x->group[x->n_groups];
	struct ea lowest = *a;

	if (x->n_groups == X86_GROUPS)
		return NULL;
	*g = (struct group){.of = *c,
			    .min = c->disp,
			    .max = c->disp + c->size,
			    .write = c->write,
			    .ptr = !x->loop_plan.turns &&
				   (!x->is64 || (a->base == NO_REG) == (a->index == NO_REG))};
	if (find_extent(x, g) < 2)
		return NULL;
	lowest.disp += g->min - c->disp + MIN(g->moves, 0);
	if (!xlat_disp_fits(&lowest, GROUP_MOST))
		return NULL;
	put_check(x, g, &lowest);
	x->n_groups++;
	x->s2_group = (uint8_t)x->n_groups;
	return g;
}

struct group *xlat_find_group(struct xlat *x, const struct access *c)
{
	for (unsigned i = x->n_groups; i-- > x->first_group;) {
		struct group *g = &x->group[i];

		if (!g->dead && is_member(g, c))
			return g;
	}
	return NULL;
}

/* @reg = what the group needs. */
static void load(struct xlat *x, struct group *g, unsigned reg)
{
	unsigned n = (unsigned)(g - x->group);

	if (reg == S2 ? x->s2_group == n + 1 : x->s1_group == n + 1)
		return;
	g->stored = true;
	if (!g->store_at)
		x->lost_group = true;
	tr_gs(&x->m, true, 0x8b, reg, xlat_group_at(n));
	if (reg == S2)
		x->s2_group = (uint8_t)(n + 1);
}

bool xlat_group_next(struct xlat *x)
{
	unsigned k = x->i + 1u;
	const struct access *c = &x->access[k];
	const struct insn *in = &x->in[k];
	struct uop u = {0};

	if (x->ungrouped || k >= x->b->n_insns || uop_fn_ends(x->b->cold[k].fn) || !c->size ||
	    !branch_handler(x->b->key, in, x->b->rip + x->b->cold[k].off, &u))
		return false;
	switch (in->special) {
	case SP_PUSH_REG:
	case SP_POP_REG:
		if (in->rm == X86_RSP)
			return false;
		break;
	case SP_PUSH_IMM:
	case SP_CALL_REL:
	case SP_RET: break;
	default: return false;
	}
	return xlat_find_group(x, c);
}

bool xlat_group(struct xlat *x, const struct ea *ea, unsigned size, bool write, bool s2_free)
{
	const struct access *c = &x->access[x->i];
	struct ea moved = *ea, *a = &moved;
	unsigned r = a->base != NO_REG ? a->base : a->index, reg = s2_free ? S2 : S1;
	struct emit *m = &x->m;
	struct group *g;

	if (x->ungrouped || c->size != size || c->write != write)
		return false;
	g = xlat_find_group(x, c);
	if (!g)
		g = new_group(x, a, c);
	if (!g)
		return false;
	if (a->base == X86_RSP)
		a->disp += x->sp_moved;
	m->mem = (uint8_t)reg;
	m->mem_sib = true;
	m->mem_scale = 0;
	m->mem_disp = 0;
	if (g->folded) {
		reg = x->s1_group == g - x->group + 1 ? S1 : S2;
		load(x, g, reg);
		m->mem = (uint8_t)reg;
		m->mem_index = g->mover == NO_REG ? RSP : tr_host[g->mover];
		m->mem_scale = g->mover_scale;
		m->mem_disp = (int32_t)(a->disp - g->bias);
		if (reg == S1)
			return true;
	} else if (g->ptr) {
		load(x, g, reg);
		m->mem_index = RSP; /* none */
		m->mem_disp = (int32_t)(c->disp - g->min);
	} else if (s2_free && x->is64 && (a->base == NO_REG) != (a->index == NO_REG) &&
		   tr_host[r] != NO_REG) {
		load(x, g, S2);
		m->mem_index = tr_host[r];
		m->mem_scale = a->base != NO_REG ? 0 : a->scale;
		m->mem_disp = (int32_t)a->disp;
	} else {
		if (a->base != NO_REG && a->index != NO_REG && tr_host[a->base] == NO_REG &&
		    tr_host[a->index] == NO_REG)
			x->s2_group = 0;
		xlat_put_ea(x, S1, x->is64, a, 0, S1, S2);
		load(x, g, S2);
		m->mem = S2;
		m->mem_index = S1;
	}
	if (s2_free)
		return true;
	xlat_op_mem(x, true, 0x8d, S1);
	m->mem = S1;
	m->mem_sib = false;
	return true;
}

bool xlat_groups_live(const struct xlat *x)
{
	for (unsigned i = x->first_group; i < x->n_groups; i++)
		if (!x->group[i].dead && (x->loop_plan.turns || x->group[i].last > x->i))
			return true;
	return false;
}

void xlat_groups_end(struct xlat *x)
{
	x->first_group = x->n_groups;
	x->s2_group = 0;
	x->loop_plan.called = true;
}

void xlat_groups_before(struct xlat *x)
{
	const struct insn *in = &x->in[x->i];

	if (!is_transparent(in))
		xlat_groups_end(x);
}

void xlat_group_load(struct xlat *x, unsigned reg, unsigned group)
{
	uint8_t *holds = reg == S2 ? &x->s2_group : &x->s1_group;

	*holds = 0;
	load(x, &x->group[group - 1], reg);
	*holds = (uint8_t)group;
}

void xlat_groups_done(struct xlat *x)
{
	static const uint8_t nop9[] = {0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0},
			     nop7[] = {0x0f, 0x1f, 0x80, 0, 0, 0, 0};

	for (unsigned i = 0; i < x->n_groups; i++)
		if (x->group[i].store_at && !x->group[i].stored)
			memcpy(x->m.buf + x->group[i].store_at, x->m.home ? nop7 : nop9,
			       x->m.home ? sizeof(nop7) : sizeof(nop9));
}

/* ---- when the check fails ---- */

/* In the code of the stub. */
struct rest {
	const struct tr_block *tb; /* whose code it is */
	int32_t jump; /* offset from here of a jump with a rel32, to what is next or to the rest */
	uint8_t insn, vec, failed, pad_;
};
#define FAILED_MOST 12 /* 1 where blocks are translated at once */

void xlat_group_failed(struct xlat *x, const struct stub *s)
{
	struct rest r = {.tb = x->tb, .insn = s->insn, .vec = s->vec};
	struct emit *m = &x->m;
	unsigned jump = m->n;

	emit8(m, 0xe9);
	emit32(m, 0);
	EMIT(m, 0x4c, 0x8d, 0x15); /* lea r10, [rip + place] */
	emit32(m, 0);
	st_le32(m->buf + m->n - 4, 15);
	EMIT(m, 0x49, 0xbb); /* mov r11, tr_rest */
	emit64(m, (uintptr_t)tr_rest);
	tr_jump_to(m, 0xe9, x->rx, x->t->tail);
	r.jump = (int32_t)(jump - m->n);
	emit_bytes(m, &r, sizeof(r));
}

/* Code for the block @tb from instruction @r->insn on, without groups. False: no room. */
static bool translate_rest(struct vcpu *v, const struct tr_block *tb, const struct rest *r,
			   uint8_t *jump)
{
	struct translator *t = icpu(v)->tr;
	const struct tr_parts *parts = tb->parts;
	const uint8_t *rx_jump = t->map.rx + (jump - t->map.rw);
	struct xlat x;

	memset(&x, 0, offsetof(struct xlat, stub));
	x.v = v;
	x.ic = icpu(v);
	x.t = t;
	x.b = tb->b;
	x.n_parts = parts->n;
	memcpy(x.part, parts->part, parts->n * sizeof(x.part[0]));
	memcpy(x.first, parts->first, parts->n + 1);
	x.ungrouped = true;
	/* the extent is on two pages, which is mostly because the stack's frame is: they would
	 * displace each other in a slot of its own */
	x.stack_pages = true;
	x.m_ok = true;
	x.vec = r->vec;
	x.i = r->insn;
	if (!xlat_code(&x))
		return false;
	jump[0] = 0xe9;
	st_le32(jump + 1, (uint32_t)(x.rx - (rx_jump + 5)));
	return true;
}

uop_fn tr_handler(const struct block *b, unsigned i)
{
	return i == 0 || b->uop[i].fn == tr_resume ? b->cold[i].fn : b->uop[i].fn;
}

int tr_rest(struct vcpu *v, const void *place, struct x86_tlb_entry *tab, uint32_t fl)
{
	struct translator *t = icpu(v)->tr;
	uint8_t *rw = t->map.rw + ((const uint8_t *)place - t->map.rx);
	const struct tr_block *tb;
	const struct tr_parts *parts;
	const struct block *b;
	struct rest r;
	unsigned p = 0, i, most;

	check(tr_in_code(t, (size_t)(rw - t->map.rw), sizeof(r)));
	memcpy(&r, rw, sizeof(r));
	tb = r.tb;
	parts = tb->parts;
	most = t->hot == 1 ? 1 : FAILED_MOST;
	if (r.failed < most) {
		r.failed++;
		memcpy(rw, &r, sizeof(r));
		if (r.failed == most)
			(void)translate_rest(v, tb, &r, rw + r.jump);
	}
	while (r.insn >= parts->first[p + 1])
		p++;
	b = parts->part[p];
	/* The handler goes on to the next, unless the block is translated by itself. */
	for (i = r.insn - parts->first[p]; i <= b->n_insns; i++) {
		int ret = tr_handler(b, i)(v, &b->uop[i], tab, fl);

		if (ret != TR_NEXT)
			return ret;
		tab = (struct x86_tlb_entry *)v->word[W_TAB];
		fl = (uint32_t)v->word[W_FL];
	}
	return X86_OK;
}
