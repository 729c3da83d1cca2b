/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Translating a block: layout, control flow, stubs. A block in the code cache:
 *
 *	entries (head.c)
 *	body, stubs
 *
 * Exits to a known address are jumps that lead to a stub first and, once the successor has code, to
 * the successor (tr_chain(), link.c). Inside a page nothing is checked: what was mapped when this
 * block was entered still is, because whatever changes mappings leaves native code. Jumps to other
 * pages, through the jump table and from return sites go to TR_FAR, which compares W_EPOCH with the
 * one in which the block was last found mapped.
 *
 * Requests are looked at by jumps and calls backwards and by everything that enters at TR_FAR. A
 * loop must contain one of these: jumps and calls forwards end, and a return to a return site goes
 * forwards from the call that it belongs to. Backwards to a block that can be left in such ways
 *only (tr_block.onward: the common part of an interpreter's instructions) nothing is looked at.
 *
 * Stale blocks are never entered: when a page with translated code is written, the entries of its
 * blocks become jumps to code that leaves (tr_stale()); at once for this vCPU's stores, at the next
 * request for others'. The run loop finds the bytes unchanged and revives the block, or builds
 * another one; when that gets hot, tr_replace() makes the old entries jump to the new ones, since
 * nobody knows who jumps there.
 */
#include "engine/translate/xlat.h"

/* ---- exits ---- */

static void tail_to(struct xlat *x, uint64_t arg, const void *fn)
{
	tr_imm64(&x->m, S1, arg);
	tr_imm64(&x->m, S2, (uintptr_t)fn);
	tr_jump_to(&x->m, 0xe9, x->rx, x->t->tail);
}

/*
 * Of several blocks joined it is the instruction's own that the handler belongs to: where that goes
 * on is kept in struct block (block_chain()), which has room for what one branch leads to, and the
 * one with all of their instructions may have a call in its middle.
 */
static void tail_uop(struct xlat *x, unsigned i)
{
	const struct block *b = x->b;
	unsigned p = 0;

	if (i < b->n_insns && x->n_parts > 1) {
		while (i >= x->first[p + 1])
			p++;
		b = x->part[p];
		i -= x->first[p];
	}
	tail_to(x, (uintptr_t)&b->uop[i], tr_handler(b, i));
}

static bool is_far(const struct xlat *x, uint64_t rip)
{
	return (rip ^ x->b->rip) & ~0xfffull || x->b->flags & BLOCK_TWO_PAGES;
}

/* The rel32 just emitted leaves the block for @rip. */
static void exit_site(struct xlat *x, unsigned which, uint64_t rip, bool poll)
{
	struct stub *s = xlat_stub(x, STUB_EXIT);

	check(x->n_exits <= 2 * x->n_parts + 1);
	s->insn = (uint8_t)x->n_exits;
	s->save = !x->m_ok;
	x->tb->exit[x->n_exits++] = (struct tr_exit){.b = x->part[x->now],
						     .tb = x->tb,
						     .to = rip - (x->b->rip & ~0xfffull),
						     .site = x->m.buf + x->m.n - 4,
						     .which = (uint8_t)which,
						     .e = x->e,
						     .m = x->m_ok,
						     .far = is_far(x, rip),
						     .poll = poll || xlat_in_tail(x)};
}

static uint64_t rip_now(const struct xlat *x)
{
	return x->b->rip + x->b->cold[x->i].off;
}

/* @last: instruction x->i is the last before the exit, not what jumps. */
static void put_exit_after(struct xlat *x, unsigned which, uint64_t rip, bool last)
{
	x->i += last;
	if (is_far(x, rip) || (!x->m_ok && xlat_wants_memory(x, rip)))
		xlat_flags_later(x);
	else if (!x->m_ok)
		need_e(x);
	x->i -= last;
	emit8(&x->m, 0xe9);
	emit32(&x->m, 0);
	exit_site(x, which, rip, rip <= rip_now(x));
}

static void put_exit(struct xlat *x, unsigned which, uint64_t rip)
{
	put_exit_after(x, which, rip, false);
}

void xlat_exit(struct xlat *x, unsigned which, uint64_t rip)
{
	need_m(x);
	emit8(&x->m, 0xe9);
	emit32(&x->m, 0);
	exit_site(x, which, rip, false);
	x->tb->exit[x->n_exits - 1].far = true;
}

void xlat_jump(struct xlat *x, unsigned which, uint64_t rip)
{
	bool e = x->e, m_ok = x->m_ok;

	put_exit(x, which, rip);
	x->e = e; /* where it was jumped over */
	x->m_ok = m_ok;
}

/* Does the code of the next part follow? Then the branch at the end of this one goes there. */
bool xlat_goes_on(const struct xlat *x)
{
	return x->i + 1u == x->first[x->now + 1] && x->now + 1 < x->n_parts &&
	       !(x->rest && xlat_is_call(&x->in[x->i]));
}

/* Flags are wanted in memory: they get there out of line. */
static void far_exit_site(struct xlat *x, unsigned which, uint64_t rip, unsigned later)
{
	struct stub *s = xlat_stub(x, STUB_FAR_EXIT);

	s->save = !later;
	s->later = later;
	s->part = (uint8_t)x->now;
	s->which = (uint8_t)which;
	s->rip = rip;
	s->poll = !is_far(x, rip) && rip <= rip_now(x);
}

/* The rel32 of a conditional jump, with flags in EFLAGS. */
static void jcc_exit_site(struct xlat *x, unsigned which, uint64_t rip)
{
	unsigned later = xlat_flags_find(x);

	if (!x->m_ok && (is_far(x, rip) ||
			 (later && xlat_flags_stores(x, later) < 3 && xlat_wants_memory(x, rip))))
		far_exit_site(x, which, rip, later);
	else
		exit_site(x, which, rip, rip <= rip_now(x));
}

static void put_far_exit(struct xlat *x, const struct stub *s)
{
	x->e = true;
	x->m_ok = !s->later;
	x->x87_due = 0;
	x->now = s->part;
	if (s->later)
		xlat_flags_put(x, s->later);
	emit8(&x->m, 0xe9);
	emit32(&x->m, 0);
	exit_site(x, s->which, s->rip, s->poll);
}

static void put_jcc(struct xlat *x, const struct insn *in, uint64_t to, uint64_t next)
{
	bool on = xlat_goes_on(x), swap = on && x->part[x->now + 1]->rip == to;
	bool loop = xlat_is_loop_end(x, to);
	uint64_t out = swap || loop ? next : to;

	swap |= loop;
	need_e(x);
	EMIT(&x->m, 0x0f, (uint8_t)(0x80 | ((in->opcode & 15) ^ (swap ? 1 : 0))));
	emit32(&x->m, 0);
	jcc_exit_site(x, swap ? 1 : 0, out);
	if (loop)
		xlat_loop_end(x);
	else if (!on)
		put_exit(x, 1, next);
}

/* ---- indirect branches ---- */

/* @reg = target: S2 = its slot of the jump table, or leave. */
static void lookup(struct xlat *x, unsigned reg)
{
	tr_lookup(&x->m, reg);
	EMIT(&x->m, 0x0f, 0x85);
	emit32(&x->m, 0);
	xlat_stub(x, STUB_MISS)->reg = (uint8_t)reg;
}

static const struct ea stack_top = {.base = X86_RSP, .index = NO_REG, .seg = NO_REG};

static void move_sp(struct xlat *x, int by)
{
	by += x->sp_moved;
	x->sp_moved = 0;
	tr_mem(&x->m, x->is64, 0x8d, tr_host[X86_RSP], tr_host[X86_RSP], NO_REG, 0, by);
}

/* After a push or pop with slow path @slow: with what the next ones add, if none of them needs a
 * check.
 */
static void move_sp_soon(struct xlat *x, int by, const struct stub *slow)
{
	if (slow == &x->none && xlat_group_next(x))
		x->sp_moved += by;
	else
		move_sp(x, by);
}

/* S1 = host pointer of the w bytes below (@write) or at the stack pointer. */
static void stack_ptr(struct xlat *x, bool write, unsigned kind, struct stub **ret_stub)
{
	struct ea a = stack_top;

	if (write)
		a.disp = -(int)x->w;
	check(xlat_ptr(x, &a, x->w, write, ret_stub));
	(*ret_stub)->kind = (uint8_t)kind;
}

/* The same as the operand of xlat_op_mem(), perhaps with others in one check. */
static void stack_operand(struct xlat *x, bool write, unsigned kind, struct stub **ret_stub)
{
	struct ea a = stack_top;

	if (write)
		a.disp = -(int)x->w;
	check(xlat_operand(x, &a, x->w, write, true, ret_stub));
	(*ret_stub)->kind = (uint8_t)kind;
}

static uint64_t return_rip(const struct xlat *x)
{
	uint64_t rip = x->b->rip + x->b->cold[x->i + 1].off;

	return x->is64 ? rip : (uint32_t)rip;
}

/* The return address goes to the stack; slow: the whole instruction does. RSP is to move yet. */
static void store_return(struct xlat *x)
{
	uint64_t rip = return_rip(x);
	struct stub *slow;
	unsigned tmp;

	stack_operand(x, true, STUB_END, &slow);
	if (!x->is64 || (int64_t)rip == (int32_t)rip) {
		xlat_op_mem(x, x->is64, 0xc7, 0);
		emit32(&x->m, (uint32_t)rip);
		if (x->is64)
			x->fixed = true;
		else
			xlat_reloc(x, x->m.n - 4, 4);
	} else {
		tmp = xlat_op_free(x);
		xlat_rip(x, tmp, rip, true);
		xlat_op_mem(x, true, 0x89, tmp);
	}
	x->s2_group = 0;
}

static void push_return(struct xlat *x)
{
	store_return(x);
	move_sp(x, -(int)x->w);
}

/* The code of what comes after the call follows (gather()). When the block is not entered any more
 * it must not be returned to either (link.c). */
static void go_on_after_call(struct xlat *x)
{
	EMIT(&x->m, 0x0f, 0x85); /* jne */
	emit32(&x->m, (uint32_t)(x->t->ras_miss - (x->rx + x->m.n + 4)));
	x->back[x->tb->n_back++] = x->m.n - 6;
	x->vec = false;
	x->x87 = false;
	x->aside = 0;
	xlat_groups_end(x);
}

/* Where the host's call just emitted comes back to: S1 = where the guest wants to go, flags M. */
static void return_site(struct xlat *x)
{
	struct emit *m = &x->m;
	uint64_t rip = return_rip(x);

	if (!x->is64 || (int64_t)rip == (int32_t)rip) {
		EMIT(m, x->is64 ? 0x49 : 0x41, 0x81, TR_SITE_SHORT); /* cmp r10, imm32 */
		emit32(m, (uint32_t)rip);
		if (x->is64)
			x->fixed = true;
		else
			xlat_reloc(x, m->n - 4, 4);
	} else {
		EMIT(m, 0x49, 0xbb); /* mov r11, imm64 */
		emit64(m, rip);
		xlat_reloc(x, m->n - 8, 8);
		tr_rr(m, true, 0x39, S2, S1);
	}
	x->e = false;
	x->m_ok = true;
	if (xlat_goes_on(x)) {
		go_on_after_call(x);
		return;
	}
	EMIT(m, 0x0f, 0x84); /* je */
	emit32(m, 0);
	exit_site(x, 1, rip, false);
	tr_jump_to(m, 0xe9, x->rx, x->t->ras_miss);
}

/* Return: false if it does not come back. */
static bool put_call(struct xlat *x, uint64_t to)
{
	xlat_flags_later(x);
	push_return(x);
	if (to == return_rip(x)) { /* to get at RIP; nobody returns */
		put_exit(x, 0, to);
		return false;
	}
	EMIT(&x->m, 0xe8);
	emit32(&x->m, 0);
	exit_site(x, 0, to, to <= rip_now(x));
	return_site(x);
	return true;
}

/* The register that has the target of an indirect branch: the guest's own, or S1. */
static unsigned get_target(struct xlat *x, const struct insn *in)
{
	unsigned reg = xlat_get(x, in->rm, S1);

	if (x->is64)
		return reg;
	tr_rr(&x->m, false, 0x89, reg, S1); /* cut off */
	return S1;
}

/* S1 = target of an indirect branch in memory; false: nothing emitted. */
static bool load_target(struct xlat *x, const struct insn *in)
{
	struct stub *slow;
	struct ea a;

	a = xlat_ea(x, in);
	xlat_flags_later(x);
	if (in->special == SP_JMP_IND ? !xlat_operand(x, &a, x->w, false, true, &slow)
				      : !xlat_ptr(x, &a, x->w, false, &slow))
		return false;
	slow->kind = STUB_END;
	xlat_op_mem(x, x->is64, 0x8b, S1);
	x->e = false;
	return true;
}

/* The return address is stored first, which needs S1. When the target is not known the interpreter
 * does that again: it reads nothing that has been written here. */
static void call_register(struct xlat *x, const struct insn *in)
{
	xlat_flags_later(x);
	store_return(x);
	x->e = false;
	lookup(x, get_target(x, in));
	move_sp(x, -(int)x->w);
	tr_jump_entry(&x->m, false, 0xff, 2); /* call */
	return_site(x);
}

/* Return: false if it does not come back. */
static bool put_indirect(struct xlat *x, const struct insn *in, bool call)
{
	if (!(in->flags & INSN_MEM)) {
		if (call) {
			call_register(x, in);
			return true;
		}
		xlat_flags_later(x); /* uses S1 */
		x->e = false;
		lookup(x, get_target(x, in));
		tr_jump_entry(&x->m, false, 0xff, 4); /* jmp */
		return false;
	}
	if (!load_target(x, in)) {
		need_m(x);
		tail_uop(x, x->i);
		return false;
	}
	x->s2_group = 0;
	lookup(x, S1);
	if (!call) {
		tr_jump_entry(&x->m, false, 0xff, 4); /* jmp */
		return false;
	}
	tr_jump_entry(&x->m, true, 0x8b, S1);
	tr_gs(&x->m, true, 0x89, S1, tr_word(W_GO));
	push_return(x);
	need_m(x);
	TR_FIELD(&x->m, tr_word(W_GO), 0, 0xff, 0x14); /* call [W_GO] */
	return_site(x);
	return true;
}

/* The target goes to S1. RSP moves before the target is known to be good: tr_ret_miss(). */
static void put_ret(struct xlat *x, const struct insn *in)
{
	struct stub *slow;

	xlat_flags_later(x);
	stack_operand(x, false, STUB_END, &slow);
	xlat_op_mem(x, x->is64, 0x8b, S1);
	move_sp(x, (int)(x->w + (in->opcode == 0xc2 ? in->imm & 0xffff : 0)));
	TR_FIELD(&x->m, tr_word(W_RET), 4, 0xc7, 4); /* mov dword [W_RET], imm32 */
	emit32(&x->m, (uint32_t)((uint8_t *)&x->b->uop[x->i] - x->ic->pool));
	emit8(&x->m, 0xc3);
}

/* ---- stack ---- */

static void put_push(struct xlat *x, const struct insn *in)
{
	struct stub *slow;

	stack_operand(x, true, STUB_SLOW, &slow);
	if (in->special == SP_PUSH_IMM) {
		xlat_op_mem(x, x->is64, 0xc7, 0);
		emit32(&x->m, (uint32_t)in->imm);
	} else {
		unsigned reg = xlat_get(x, in->rm, xlat_op_free(x));

		if (reg == S2)
			x->s2_group = 0;
		xlat_op_mem(x, x->is64, 0x89, reg);
	}
	move_sp_soon(x, -(int)x->w, slow);
	slow->restore = x->e;
	slow->back = x->m.n;
}

void xlat_push_word(struct xlat *x, unsigned word)
{
	struct stub *slow;

	stack_ptr(x, true, STUB_SLOW, &slow);
	tr_gs(&x->m, true, 0x8b, S2, tr_word(word));
	tr_mem(&x->m, x->is64, 0x89, S2, S1, NO_REG, 0, 0);
	move_sp(x, -(int)x->w);
	slow->back = x->m.n;
}

static void put_pop(struct xlat *x, const struct insn *in)
{
	struct stub *slow;

	stack_operand(x, false, STUB_SLOW, &slow);
	if (tr_host[in->rm] != NO_REG && in->rm != X86_RSP) {
		xlat_op_mem(x, x->is64, 0x8b, tr_host[in->rm]);
		move_sp_soon(x, (int)x->w, slow);
	} else {
		xlat_op_mem(x, x->is64, 0x8b, S1);
		move_sp(x, (int)x->w);
		xlat_put(x, in->rm, S1); /* POP RSP gets the value */
	}
	slow->restore = x->e;
	slow->back = x->m.n;
}

static void put_leave(struct xlat *x)
{
	struct ea a = {.base = X86_RBP, .index = NO_REG, .seg = NO_REG};
	struct stub *slow;

	check(xlat_operand(x, &a, x->w, false, true, &slow));
	xlat_op_mem(x, x->is64, 0x8b, S1);
	tr_mem(&x->m, x->is64, 0x8d, tr_host[X86_RSP], RBP, NO_REG, 0, (int)x->w);
	tr_rr(&x->m, true, 0x89, S1, RBP);
	slow->restore = x->e;
	slow->back = x->m.n;
}

/* ---- one instruction ---- */

/* Return: true when the block is complete. */
static bool put_special(struct xlat *x, const struct insn *in)
{
	struct uop u = {0};
	uint64_t rip = x->b->rip + x->b->cold[x->i].off;

	/* The interpreter's fast handlers stand for exactly what can be done here. */
	if (!branch_handler(x->b->key, in, rip, &u)) {
		if (!xlat_string(x, in) && !xlat_data(x, in))
			xlat_call_uop(x);
		return false;
	}
	switch (in->special) {
	case SP_LEA: xlat_lea(x, in); return false;
	case SP_NOP_MEM: return false;
	case SP_PUSH_REG:
	case SP_PUSH_IMM: put_push(x, in); return false;
	case SP_POP_REG: put_pop(x, in); return false;
	case SP_LEAVE: put_leave(x); return false;
	case SP_JCC: put_jcc(x, in, u.imm, (uint64_t)u.disp); return !xlat_goes_on(x);
	case SP_JMP_REL:
		if (xlat_goes_on(x))
			return false;
		if (xlat_is_loop_end(x, u.imm))
			xlat_loop_end(x);
		else
			put_exit(x, 0, u.imm);
		return true;
	case SP_CALL_REL: return !put_call(x, u.imm) || !xlat_goes_on(x);
	case SP_JMP_IND: put_indirect(x, in, false); return true;
	case SP_CALL_IND: return !put_indirect(x, in, true) || !xlat_goes_on(x);
	case SP_RET: put_ret(x, in); return true;
	default: xlat_call_uop(x); return false;
	}
}

/* Through a pointer in a segment, which the interpreter's fast handlers leave alone: system calls
 * of 32-bit programs, CALL GS:[16]. */
static bool is_segmented_branch(const struct xlat *x, const struct insn *in)
{
	const uint32_t flat = X86_MODE_CS32 | X86_MODE_SS32 | X86_MODE_PE | X86_MODE_FLAT;

	return (in->special == SP_CALL_IND || in->special == SP_JMP_IND) && !x->is64 &&
	       (x->b->key & flat) == flat && in->flags & INSN_MEM && in->opsize == 4 &&
	       x->b->cold[x->i].fn == uop_special_branch && xlat_segmented(x, in);
}

/* An instruction that the decoder did not accept has a handler that ends the block. */
static bool put_one(struct xlat *x)
{
	const struct insn *in = &x->in[x->i];
	enum xlat_end end;

	xlat_flags_settle(x);
	xlat_groups_before(x);
	end = xlat_system(x, in);
	if (end != XLAT_NOT)
		return end == XLAT_DONE;
	if (xlat_loop(x, in))
		return true;
	if (is_segmented_branch(x, in)) {
		put_indirect(x, in, in->special == SP_CALL_IND);
		return true;
	}
	if (uop_fn_ends(x->b->cold[x->i].fn)) {
		need_m(x);
		tail_uop(x, x->i);
		return true;
	}
	if (in->special != SP_NONE)
		return put_special(x, in);
	if (!insn_is_nop(in) && !xlat_copy(x, in))
		xlat_call_uop(x);
	return false;
}

void xlat_find_part(struct xlat *x)
{
	while (x->now + 1 < x->n_parts && x->i >= x->first[x->now + 1])
		x->now++;
}

static void put_body(struct xlat *x)
{
	const struct block *b = x->b;
	uint64_t end = b->rip + b->cold[b->n_insns].off;

	for (; x->i < b->n_insns; x->i++) {
		xlat_find_part(x);
		if (put_one(x)) {
			if (!x->loop_plan.turned)
				return;
			x->loop_plan.turned = false; /* the same once more */
			x->now = 0;
			x->i = -1u;
			continue;
		}
		xlat_slots_forget(x, &x->in[x->i]);
	}
	x->i = b->n_insns - 1u;
	if (b->key & X86_MODE_FLAT) {
		put_exit_after(x, 0, x->is64 ? end : (uint32_t)end, true);
		return;
	}
	need_m(x);
	tail_uop(x, b->n_insns);
}

/* ---- stubs ---- */

/* Slots were emptied by instruction @i, so that groups that others have checked may be bad now. */
static void leave_if_flushed(struct xlat *x, unsigned i)
{
	unsigned same;

	tr_gs(&x->m, false, 0x8b, S1, offsetof(struct vcpu, slots.flushes));
	tr_gs(&x->m, false, 0x3b, S1, offsetof(struct vcpu, slots.seen));
	EMIT(&x->m, 0x0f, 0x84); /* je */
	emit32(&x->m, 0);
	same = x->m.n;
	tail_to(x, (uintptr_t)&x->b->uop[i + 1], tr_leave);
	xlat_land(&x->m, same);
}

static void call_back(struct xlat *x, const struct stub *s, const void *fn)
{
	struct emit *m = &x->m;

	if (s->live) {
		tr_gs(m, false, 0x8b, S1, offsetof(struct vcpu, slots.flushes));
		tr_gs(m, false, 0x89, S1, offsetof(struct vcpu, slots.seen));
	}
	if (s->sum)
		xlat_put_sum(x, &x->in[s->insn], false);
	tr_imm64(m, S1, (uintptr_t)&x->b->uop[s->insn]);
	tr_imm64(m, S2, (uintptr_t)fn);
	tr_jump_to(m, 0xe8, x->rx, xlat_caller(x, s->vec));
	if (s->slot)
		xlat_refill(x, s);
	if (s->sum)
		xlat_put_sum(x, &x->in[s->insn], true);
	if (s->live)
		leave_if_flushed(x, s->insn);
	if (s->s2_group)
		xlat_group_load(x, S2, s->s2_group);
	if (s->s1_group)
		xlat_group_load(x, S1, s->s1_group);
	if (s->restore)
		tr_flags_restore(m);
	emit8(m, 0xe9);
	emit32(m, s->back - (m->n + 4));
}

/* The first instructions once more, up to the one that writes the flags: leave behind it. They can
 * not fault, and their code needs no stubs. */
static void put_later(struct xlat *x, const void *fn)
{
	bool vec = x->vec;

	x->e = true;
	x->m_ok = false;
	for (x->i = x->now = 0; x->i <= x->first_write; x->i++) {
		xlat_find_part(x);
		check(!put_one(x));
	}
	x->vec = vec;
	tr_flags_save(&x->m);
	tail_to(x, (uintptr_t)&x->b->uop[x->i], fn);
}

static void put_stub(struct xlat *x, const struct stub *s)
{
	struct emit *m = &x->m;
	struct tr_block *tb = x->tb;

	if (s->kind == STUB_NONE)
		return;
	if (s->kind == STUB_COMPUTE) {
		xlat_flags_compute(x, s);
		return;
	}
	if (s->site)
		st_le32(m->buf + s->site, m->n - (s->site + 4));
	if (s->kind == STUB_EXIT)
		tb->exit[s->insn].stub = xlat_here(x);
	if (s->slot)
		xlat_try(x, s);
	if (s->at)
		x->fault[tb->n_faults++] = (struct tr_fault){.at = s->at, .stub = m->n};
	if (s->rcx)
		tr_rr(m, true, 0x89, S1, RCX);
	if (s->recipe)
		xlat_recipe(x, s->recipe);
	if (s->save || s->recipe)
		tr_flags_save(m);
	xlat_x87_store(x, s->x87);
	switch (s->kind) {
	case STUB_SLOW: call_back(x, s, x->b->cold[s->insn].fn); break;
	case STUB_STRING: call_back(x, s, tr_string); break;
	case STUB_STRING_FILL: xlat_string_fill(x, s); break;
	case STUB_END: tail_uop(x, s->insn); break;
	case STUB_MISS:
		tr_gs(m, true, 0x89, s->reg, tr_word(W_TARGET));
		tail_to(x, (uintptr_t)&x->b->uop[s->insn], tr_miss);
		break;
	case STUB_FAR_EXIT: put_far_exit(x, s); break;
	case STUB_EXIT: tail_to(x, (uintptr_t)&tb->exit[s->insn], tr_chain); break;
	case STUB_FAR: xlat_find_mapped(x, s); break;
	case STUB_LATER: put_later(x, tr_leave); break;
	case STUB_OFTEN_LATER: put_later(x, tr_often_later); break;
	case STUB_OFTEN: tail_to(x, (uintptr_t)x->part[0]->uop, tr_often); break;
	case STUB_GROUP: xlat_group_failed(x, s); break;
	default: tr_jump_to(m, 0xe9, x->rx, x->tb->leave[s->kind == STUB_LEAVE_E]); break;
	}
}

/* Leaving at the head; flags are in E, in M. */
static void put_leaves(struct xlat *x)
{
	x->tb->leave[1] = xlat_here(x);
	tr_flags_save(&x->m);
	x->tb->leave[0] = xlat_here(x);
	tail_to(x, (uintptr_t)x->b->uop, tr_leave);
}

/* ---- the whole block ---- */

static bool worth_it(const struct xlat *x)
{
	return x->n_slow * 2 <= x->b->n_insns;
}

/* A loop is translated twice. */
static unsigned exits_most(const struct xlat *x)
{
	return 2 * (x->n_parts + 1);
}

/* When all code is there: what the pool keeps of it. False: no room. */
static bool keep_lists(struct xlat *x)
{
	struct interp_cpu *ic = x->ic;
	struct tr_block *tb = x->tb;
	size_t faults = tb->n_faults * sizeof(x->fault[0]);
	uint8_t *end = (uint8_t *)&tb->exit[exits_most(x)];

	/* exits not needed */
	if (ic->pool + ic->pool_used == (uint8_t *)align_up((uintptr_t)end, 16))
		ic->pool_used = align_up((size_t)((uint8_t *)&tb->exit[x->n_exits] - ic->pool), 16);
	tb->fault = block_pool_alloc(ic, faults);
	tb->back = block_pool_alloc(ic, tb->n_back * sizeof(tb->back[0]));
	if (!tb->fault || !tb->back)
		return false;
	memcpy(tb->fault, x->fault, faults);
	memcpy(tb->back, x->back, tb->n_back * sizeof(tb->back[0]));
	return xlat_keep_relocs(x, tb);
}

/* The code belongs to its instance; then it must be kept. */
static bool enlist(struct xlat *x)
{
	struct instance *i = x->b->inst;

	return !i || instance_list_add(x->ic, &i->tr, x->tb);
}

/* The code cache is used up to *used + @n; in large pages, but for the first of what is rarely run:
 * small guests need no more. */
static void grow(const struct translator *t, size_t *used, size_t n)
{
	size_t from = *used;

	*used += n;
	if (from / CODE_MAP_PIECE != *used / CODE_MAP_PIECE)
		code_map_join(&t->map, *used);
}

static void keep_code(struct xlat *x)
{
	struct translator *t = x->t;

	x->tb->n_exits = (uint8_t)x->n_exits;
	x->tb->size = x->hot_end;
	grow(t, &t->used, align_up(x->hot_end, 16));
	grow(t, &t->cold, align_up(x->m.n - (unsigned)(x->tb->cold - x->tb->rx), 16));
	t->at[t->n_blocks] = (struct tr_at){(uint32_t)(x->tb->rx - t->map.rx),
					    (uint32_t)(x->tb->cold - t->map.rx)};
	t->blocks[t->n_blocks++] = x->tb;
}

/* struct tr_block, onward */
static bool is_onward(const struct xlat *x)
{
	const struct tr_block *tb = x->tb;
	const struct insn *last = &x->in[x->b->n_insns - 1];
	bool on = last->special == SP_JMP_IND && !tb->n_back && x->b->key & X86_MODE_FLAT;

	for (unsigned i = 0; on && i < x->n_exits; i++)
		on = tb->exit[i].far || tb->exit[i].poll;
	return on && !x->loop && !x->calls;
}

static void publish(struct xlat *x)
{
	struct translator *t = x->t;
	struct block *b = x->b;

	keep_code(x);
	t->translated++;
	for (unsigned i = 1; i <= b->n_insns; i++)
		b->uop[i].fn = tr_resume;
	b->native = x->tb->entry[TR_M];
	x->tb->onward = is_onward(x);
	tr_list(x->tb);
	b->tr = x->part[0]->tr = x->tb;
	x->part[0]->native = b->native;
	x->part[0]->uop[0].fn = (uop_fn)(uintptr_t)t->enter;
}

/* What a failing check of a group needs (group.c). */
static bool keep_parts(struct xlat *x)
{
	struct tr_parts *p = block_pool_alloc(x->ic, sizeof(*p));

	if (!p)
		return false;
	p->n = x->n_parts;
	p->part = block_pool_alloc(x->ic, x->n_parts * sizeof(p->part[0]));
	p->first = block_pool_alloc(x->ic, x->n_parts + 1);
	if (!p->part || !p->first)
		return false;
	memcpy(p->part, x->part, x->n_parts * sizeof(p->part[0]));
	memcpy(p->first, x->first, x->n_parts + 1);
	x->tb->parts = p;
	return true;
}

static bool tr_alloc(struct xlat *x)
{
	struct translator *t = x->t;

	if (!tr_room_for_code(x->ic) || t->n_blocks == TR_BLOCKS ||
	    !tr_instance(x->v, x->part[0]->inst))
		return false;
	x->tb = block_pool_alloc(x->ic, sizeof(*x->tb));
	if (!x->tb)
		return false;
	*x->tb = (struct tr_block){.t = t, .rx = t->map.rx + t->used, .cold = t->map.rx + t->cold};
	x->tb->joined = !x->b && x->n_parts > 1;
	if (!x->b)
		x->b = x->n_parts == 1 ? x->part[0] : xlat_join(x);
	x->tb->b = x->b;
	x->tb->first = x->part[0];
	/* last, so that keep_lists() can give some back */
	x->tb->exit = block_pool_alloc(x->ic, exits_most(x) * sizeof(struct tr_exit));
	return x->b && x->tb->exit;
}

static void begin_code(struct xlat *x)
{
	struct translator *t = x->t;

	x->m = (struct emit){.buf = t->map.rw + t->used, .size = TR_ROOM, .home = t->home};
	x->rx = x->tb->rx;
	x->is64 = x->b->key & X86_MODE_CS64;
	x->w = x->is64 ? 8 : 4;
}

/* Exits that do something on the way, which are not rare. */
static void put_near_exits(struct xlat *x)
{
	for (unsigned i = 0; i < x->n_stubs; i++) {
		struct stub *s = &x->stub[i];

		if (s->kind != STUB_FAR_EXIT || is_far(x, s->rip))
			continue;
		put_stub(x, s);
		s->kind = STUB_NONE;
	}
}

static void begin_cold(struct xlat *x)
{
	put_near_exits(x);
	x->hot_end = x->m.n;
	x->m.n = (unsigned)(x->t->cold - x->t->used);
	x->m.size = x->m.n + TR_ROOM;
}

bool xlat_code(struct xlat *x)
{
	unsigned from = x->i;

	if (!tr_alloc(x)) {
		x->ic->flush_wanted = true;
		return false;
	}
	for (unsigned p = 0; p < x->n_parts; p++)
		xlat_decode_part(x, x->part[p], x->first[p]);
	begin_code(x);
	x->i = from;
	x->rest = true;
	put_body(x);
	begin_cold(x);
	for (unsigned i = 0; i < x->n_stubs; i++)
		put_stub(x, &x->stub[i]);
	if (!keep_lists(x) || !enlist(x)) {
		x->ic->flush_wanted = true;
		return false;
	}
	if (!tr_verify_new(x))
		return false;
	keep_code(x);
	return true;
}

/* Who jumps to code that is not used any more comes here. */
static void take_over(struct xlat *x, struct tr_block *before)
{
	struct block *b = x->part[0];

	if (before)
		tr_redirect(before, b->tr);
	for (struct block *old = block_older(b); old; old = block_older(old))
		if (old->tr && old->rip == b->rip && old->key == b->key && old->page == b->page) {
			tr_redirect(old->tr, b->tr);
			old->tr = NULL;
			if (!old->native)
				continue;
			tr_forget(old);
			x->ic->hooks->built(x->v, old);
		}
}

/* Is there an access that would have a slot of its own if the block ran often? */
static bool has_paged(const struct xlat *x)
{
	for (unsigned i = 0; i < x->b->n_insns; i++) {
		const struct access *a = &x->access[i];

		if (a->size && !a->stack && (a->base || a->index))
			return true;
	}
	return false;
}

/* Where blocks are translated once only, some are as if they ran often. */
static void choose_slots(struct xlat *x)
{
	const struct block *b = x->part[0];

	if (x->t->hot == 1 || x->ic->unchained) {
		x->own = b->rip & 16;
		x->stack_pages = b->rip & 32;
		return;
	}
	x->own = b->often;
	x->counts = !b->often && !x->loop;
}

enum outcome { DONE, NOT_WORTH_IT, NO_ROOM, AGAIN };

static enum outcome translate(struct xlat *x, struct vcpu *v, struct block *b, bool keeps_groups)
{
	struct tr_block *before = b->tr;

	memset(x, 0, offsetof(struct xlat, stub));
	x->v = v;
	x->ic = icpu(v);
	x->t = x->ic->tr;
	x->keeps_groups = keeps_groups;
	xlat_gather(x, b);
	if (!tr_alloc(x))
		return NO_ROOM;
	begin_code(x);
	choose_slots(x);
	for (unsigned i = 1; i <= x->b->n_insns; i++)
		x->b->cold[i].fn = x->b->uop[i].fn;
	x->tb->type = (uint8_t)xlat_head_type(x);
	xlat_plan_groups(x);
	x->counts &= has_paged(x);
	x->i = x->now = 0;
	xlat_head(x);
	xlat_loop_again(x);
	put_body(x);
	begin_cold(x);
	put_leaves(x);
	for (unsigned i = 0; i < x->n_stubs; i++)
		put_stub(x, &x->stub[i]);
	if (x->lost_group)
		return AGAIN;
	xlat_groups_done(x);
	if (!worth_it(x))
		return NOT_WORTH_IT;
	if (!keep_lists(x) || ((x->n_groups || x->rests) && !keep_parts(x)) || !enlist(x))
		return NO_ROOM;
	if (!tr_verify_new(x))
		return NOT_WORTH_IT;
	publish(x);
	take_over(x, before);
	return DONE;
}

bool tr_translate(struct vcpu *v, struct block *b)
{
	struct xlat x;
	enum outcome o = translate(&x, v, b, false);

	if (o == AGAIN)
		o = translate(&x, v, b, true);
	if (o == NO_ROOM)
		icpu(v)->flush_wanted = true;
	return o == DONE;
}
