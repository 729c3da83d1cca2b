/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Translating a block: layout, entries, control flow, stubs. A block in the code cache:
 *
 *	.quad -generation
 *	entry_i:  from other pages and through the jump table: is it still this mode and mapping?
 *	entry_m, entry_e:  flags to where the body wants them; page generation; requests
 *	body, stubs
 *
 * Exits to a known address are jumps that lead to a stub first and, once the successor has code, to
 * the successor (tr_chain()). Inside a page an exit goes to entry_m or entry_e: what was mapped and
 * valid when this block was entered still is, because whatever changes mappings leaves native code;
 * other vCPUs' changes arrive as requests. The generation is compared at each entry all the same:
 * stores of this or another vCPU may have made the successor stale.
 *
 * A stale block leaves to the run loop, which finds the bytes unchanged and gives it the new
 * generation, or builds another one; when that gets hot, tr_replace() makes the old entries jump to
 * the new ones, since nobody knows who jumps there.
 */
#include "engine/translate/xlat.h"

/* ---- exits ---- */

static void tail_to(struct xlat *x, uint64_t arg, const void *fn)
{
	tr_imm64(&x->m, S1, arg);
	tr_imm64(&x->m, S2, (uintptr_t)fn);
	tr_jump_to(&x->m, 0xe9, x->rx, x->t->tail);
}

static void tail_uop(struct xlat *x, unsigned i)
{
	tail_to(x, (uintptr_t)&x->b->uop[i], x->b->cold[i].fn);
}

static bool is_far(const struct xlat *x, uint64_t rip)
{
	return (rip ^ x->b->rip) & ~0xfffull;
}

/* The rel32 just emitted leaves the block for @rip. */
static void exit_site(struct xlat *x, unsigned which, uint64_t rip)
{
	struct stub *s = xlat_stub(x, STUB_EXIT);

	s->insn = (uint8_t)which;
	s->save = !x->m_ok;
	x->tb->exit[which] = (struct tr_exit){.b = x->b,
					      .rip = rip,
					      .site = x->m.buf + x->m.n - 4,
					      .which = (uint8_t)which,
					      .e = x->e,
					      .m = x->m_ok,
					      .far = is_far(x, rip)};
}

static void put_exit(struct xlat *x, unsigned which, uint64_t rip)
{
	if (is_far(x, rip))
		need_m(x);
	emit8(&x->m, 0xe9);
	emit32(&x->m, 0);
	exit_site(x, which, rip);
}

void xlat_exit(struct xlat *x, unsigned which, uint64_t rip)
{
	need_m(x);
	emit8(&x->m, 0xe9);
	emit32(&x->m, 0);
	exit_site(x, which, rip);
	x->tb->exit[which].far = true;
}

void xlat_jump(struct xlat *x, unsigned which, uint64_t rip)
{
	put_exit(x, which, rip);
}

static void put_jcc(struct xlat *x, const struct insn *in, uint64_t to, uint64_t next)
{
	need_e(x);
	if (is_far(x, to) || is_far(x, next))
		need_m(x);
	EMIT(&x->m, 0x0f, (uint8_t)(0x80 | (in->opcode & 15)));
	emit32(&x->m, 0);
	exit_site(x, 0, to);
	put_exit(x, 1, next);
}

/* ---- indirect branches ---- */

/* S1 = target: S2 = its slot of the jump table, or leave. */
static void lookup(struct xlat *x)
{
	struct emit *m = &x->m;

	tr_rr(m, true, 0x89, S1, S2);
	EMIT(m, 0x49, 0xc1, 0xeb, 12); /* shr r11, 12 */
	tr_rr(m, false, 0x31, S1, S2);
	EMIT(m, 0x41, 0x81, 0xe3); /* and r11d, TR_JUMPS - 1 */
	emit32(m, TR_JUMPS - 1);
	EMIT(m, 0x41, 0xc1, 0xe3, 4); /* shl r11d, 4 */
	static_assert(sizeof(struct tr_jump) == 16, "shifted by 4");
	tr_gs(m, true, 0x03, S2, tr_word(W_JTAB));
	tr_mem(m, true, 0x3b, S1, S2, NO_REG, 0, 0);
	EMIT(m, 0x0f, 0x85);
	emit32(m, 0);
	xlat_stub(x, STUB_MISS);
}

static const struct ea stack_top = {.base = X86_RSP, .index = NO_REG, .seg = NO_REG};

static void move_sp(struct xlat *x, int by)
{
	tr_mem(&x->m, x->is64, 0x8d, tr_host[X86_RSP], tr_host[X86_RSP], NO_REG, 0, by);
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

/* The return address goes to the stack; slow: the whole instruction does. */
static void push_return(struct xlat *x)
{
	uint64_t rip = x->b->rip + x->b->cold[x->i + 1].off;
	struct stub *slow;

	stack_ptr(x, true, STUB_END, &slow);
	tr_imm64(&x->m, S2, x->is64 ? rip : (uint32_t)rip);
	tr_mem(&x->m, x->is64, 0x89, S2, S1, NO_REG, 0, 0);
	move_sp(x, -(int)x->w);
	xlat_stored(x, STUB_STORED_GO);
}

/* S1 = target of an indirect branch; false: nothing emitted. */
static bool load_target(struct xlat *x, const struct insn *in)
{
	struct stub *slow;
	struct ea a;

	if (!(in->flags & INSN_MEM)) {
		need_m(x); /* uses S1 */
		tr_rr(&x->m, x->is64, 0x89, xlat_get(x, in->rm, S1), S1);
		x->e = false;
		return true;
	}
	a = xlat_ea(x, in);
	if (!xlat_ptr(x, &a, x->w, false, &slow))
		return false;
	slow->kind = STUB_END;
	tr_mem(&x->m, x->is64, 0x8b, S1, S1, NO_REG, 0, 0);
	return true;
}

static void put_indirect(struct xlat *x, const struct insn *in, bool call)
{
	if (!load_target(x, in)) {
		need_m(x);
		tail_uop(x, x->i);
		return;
	}
	lookup(x);
	if (!call) {
		EMIT(&x->m, 0x41, 0xff, 0x63, 8); /* jmp [r11 + 8] */
		return;
	}
	tr_mem(&x->m, true, 0x8b, S1, S2, NO_REG, 0, 8);
	tr_gs(&x->m, true, 0x89, S1, tr_word(W_LIN));
	push_return(x);
	EMIT(&x->m, 0x65, 0xff, 0x24, 0x25); /* jmp gs:[W_LIN] */
	emit32(&x->m, (uint32_t)tr_word(W_LIN));
}

static void put_ret(struct xlat *x, const struct insn *in)
{
	struct stub *slow;

	stack_ptr(x, false, STUB_END, &slow);
	tr_mem(&x->m, x->is64, 0x8b, S1, S1, NO_REG, 0, 0);
	lookup(x);
	move_sp(x, (int)(x->w + (in->opcode == 0xc2 ? in->imm & 0xffff : 0)));
	EMIT(&x->m, 0x41, 0xff, 0x63, 8); /* jmp [r11 + 8] */
}

/* ---- stack ---- */

static void put_push(struct xlat *x, const struct insn *in)
{
	struct stub *slow;

	stack_ptr(x, true, STUB_SLOW, &slow);
	if (in->special == SP_PUSH_IMM) {
		tr_mem(&x->m, x->is64, 0xc7, 0, S1, NO_REG, 0, 0);
		emit32(&x->m, (uint32_t)in->imm);
	} else {
		tr_mem(&x->m, x->is64, 0x89, xlat_get(x, in->rm, S2), S1, NO_REG, 0, 0);
	}
	move_sp(x, -(int)x->w);
	xlat_stored(x, STUB_STORED);
	slow->back = x->m.n;
}

static void put_pop(struct xlat *x, const struct insn *in)
{
	struct stub *slow;

	stack_ptr(x, false, STUB_SLOW, &slow);
	tr_mem(&x->m, x->is64, 0x8b, S1, S1, NO_REG, 0, 0);
	move_sp(x, (int)x->w);
	xlat_put(x, in->rm, S1); /* after the stack pointer: POP RSP gets the value */
	slow->back = x->m.n;
}

static void put_leave(struct xlat *x)
{
	struct ea a = {.base = X86_RBP, .index = NO_REG, .seg = NO_REG};
	struct stub *slow;

	check(xlat_ptr(x, &a, x->w, false, &slow));
	tr_mem(&x->m, x->is64, 0x8b, S1, S1, NO_REG, 0, 0);
	tr_mem(&x->m, x->is64, 0x8d, tr_host[X86_RSP], RBP, NO_REG, 0, (int)x->w);
	tr_rr(&x->m, true, 0x89, S1, RBP);
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
	case SP_JCC: put_jcc(x, in, u.imm, (uint64_t)u.disp); return true;
	case SP_JMP_REL: put_exit(x, 0, u.imm); return true;
	case SP_CALL_REL:
		push_return(x);
		put_exit(x, 0, u.imm);
		return true;
	case SP_JMP_IND: put_indirect(x, in, false); return true;
	case SP_CALL_IND: put_indirect(x, in, true); return true;
	case SP_RET: put_ret(x, in); return true;
	default: xlat_call_uop(x); return false;
	}
}

/* An instruction that the decoder did not accept has a handler that ends the block. */
static bool put_one(struct xlat *x)
{
	const struct insn *in = &x->in[x->i];
	enum xlat_end end = xlat_system(x, in);

	if (end != XLAT_NOT)
		return end == XLAT_DONE;
	if (xlat_loop(x, in))
		return true;
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

static void put_body(struct xlat *x)
{
	const struct block *b = x->b;
	uint64_t end = b->rip + b->n_bytes;

	for (x->i = 0; x->i < b->n_insns; x->i++) {
		if (put_one(x))
			return;
		xlat_slots_forget(x, &x->in[x->i]);
	}
	x->i = b->n_insns - 1u;
	if (b->key & X86_MODE_FLAT) {
		put_exit(x, 0, x->is64 ? end : (uint32_t)end);
		return;
	}
	need_m(x);
	tail_uop(x, b->n_insns);
}

/* ---- entries ---- */

/* What the first instruction that has to do with flags does: TR_TYPE_, or -1 = nothing. */
static int flag_event(struct xlat *x, const struct insn *in)
{
	if (uop_fn_ends(x->b->cold[x->i].fn))
		return TR_TYPE_M;
	if (in->special == SP_JCC)
		return x->b->key & X86_MODE_FLAT ? TR_TYPE_E : TR_TYPE_M;
	if (in->special == SP_LEA || in->special == SP_NOP_MEM) {
		struct uop u = {0};

		return branch_handler(x->b->key, in, x->b->rip, &u) ? -1 : TR_TYPE_M;
	}
	if (in->special != SP_NONE)
		return TR_TYPE_M;
	if (insn_is_nop(in))
		return -1;
	if (in->flags & (INSN_MEM | INSN_SSE | INSN_AVX) || insn_may_fault(in) ||
	    !xlat_copy_ok(x, in))
		return TR_TYPE_M;
	if (insn_flags_needed(in))
		return TR_TYPE_E;
	return in->rflags_written & X86_ARITH ? TR_TYPE_D : -1;
}

static unsigned choose_type(struct xlat *x)
{
	for (x->i = 0; x->i < x->b->n_insns; x->i++) {
		int t = flag_event(x, &x->in[x->i]);

		if (t >= 0)
			return (unsigned)t;
	}
	return TR_TYPE_M;
}

static void head_stub(struct xlat *x, bool save)
{
	xlat_stub(x, STUB_HEAD)->save = save;
}

static void jne_head(struct xlat *x)
{
	EMIT(&x->m, 0x0f, 0x85);
	emit32(&x->m, 0);
	head_stub(x, false);
}

static void cmp_gs_imm32(struct emit *m, size_t off, uint32_t imm)
{
	EMIT(m, 0x65, 0x81, 0x3c, 0x25);
	emit32(m, (uint32_t)off);
	emit32(m, imm);
}

/* S1 op= literal at offset @at of the buffer, RIP-relative */
static void op_literal(struct emit *m, uint8_t op, unsigned at)
{
	EMIT(m, 0x4c, op, 0x15);
	emit32(m, (uint32_t)(at - (m->n + 4)));
}

/* Mode and mapping, for those who come from elsewhere. */
static void put_entry_i(struct xlat *x)
{
	struct emit *m = &x->m;
	const struct block *b = x->b;
	const struct x86_tlb_entry *e = &x->ic->exec_tab[(b->rip >> 12) & (X86_TLB_SIZE - 1)];

	cmp_gs_imm32(m, tr_word(W_KEY), b->key);
	jne_head(x);
	tr_imm64(m, S1, (uintptr_t)e);
	tr_imm64(m, S2, b->rip & ~0xfffull);
	tr_gs(m, true, 0x03, S2, tr_word(W_GEN));
	tr_mem(m, true, 0x3b, S2, S1, NO_REG, 0, (int32_t)offsetof(struct x86_tlb_entry, tag_exec));
	jne_head(x);
	tr_imm64(m, S2, (uintptr_t)b->page);
	tr_mem(m, true, 0x3b, S2, S1, NO_REG, 0, (int32_t)offsetof(struct x86_tlb_entry, host));
	jne_head(x);
}

/* Generation and requests, flags in memory. */
static void put_check_m(struct xlat *x, unsigned literal)
{
	tr_imm64(&x->m, S1, (uintptr_t)&x->b->meta->gen);
	tr_mem(&x->m, true, 0x8b, S1, S1, NO_REG, 0, 0);
	op_literal(&x->m, 0x03, literal);
	jne_head(x);
	cmp_gs_imm32(&x->m, offsetof(struct vcpu, request), 0);
	jne_head(x);
}

/* The same without touching EFLAGS: (generation - ours) + requests is 0 only if both are. */
static void put_check_e(struct xlat *x, unsigned literal)
{
	struct emit *m = &x->m;

	tr_rr(m, true, 0x89, RCX, S2);
	tr_imm64(m, S1, (uintptr_t)&x->b->meta->gen);
	tr_mem(m, true, 0x8b, RCX, S1, NO_REG, 0, 0);
	op_literal(m, 0x8b, literal);
	tr_mem(m, true, 0x8d, RCX, RCX, S1, 0, 0);
	tr_gs(m, false, 0x8b, S1, offsetof(struct vcpu, request));
	tr_mem(m, true, 0x8d, RCX, RCX, S1, 0, 0);
	EMIT(m, 0xe3, 8); /* jrcxz over */
	tr_rr(m, true, 0x89, S2, RCX);
	emit8(m, 0xe9);
	emit32(m, 0);
	head_stub(x, true);
	tr_rr(m, true, 0x89, S2, RCX);
}

static uint8_t *here(const struct xlat *x)
{
	return (uint8_t *)(uintptr_t)x->rx + x->m.n;
}

static void put_head(struct xlat *x)
{
	struct emit *m = &x->m;
	struct tr_block *tb = x->tb;
	unsigned literal = m->n, over;

	tb->neg_gen = (uint64_t *)(void *)(m->buf + m->n);
	emit64(m, -x->b->gen);
	tb->entry_i = here(x);
	if (x->b->key & X86_MODE_FLAT)
		put_entry_i(x);
	switch (tb->type) {
	case TR_TYPE_M:
		EMIT(m, 0xe9); /* over entry_e */
		over = m->n;
		emit32(m, 0);
		tb->entry_e = here(x);
		tr_flags_save(m);
		st_le32(m->buf + over, m->n - (over + 4));
		tb->entry_m = here(x);
		put_check_m(x, literal);
		x->m_ok = true;
		break;
	case TR_TYPE_E:
		tb->entry_m = here(x);
		tr_flags_restore(m);
		tb->entry_e = here(x);
		put_check_e(x, literal);
		x->e = true;
		break;
	default:
		tb->entry_m = here(x);
		put_check_m(x, literal);
		EMIT(m, 0xe9);
		over = m->n;
		emit32(m, 0);
		tb->entry_e = here(x);
		put_check_e(x, literal);
		st_le32(m->buf + over, m->n - (over + 4));
		x->e = true;
		break;
	}
	tr_gs(m, true, 0x8b, S1, offsetof(struct vcpu, count.insns));
	tr_mem(m, true, 0x8d, S1, S1, NO_REG, 0, x->b->n_insns);
	tr_gs(m, true, 0x89, S1, offsetof(struct vcpu, count.insns));
}

/* ---- stubs ---- */

static void call_back(struct xlat *x, const struct stub *s, const void *fn)
{
	struct emit *m = &x->m;

	tr_imm64(m, S1, (uintptr_t)&x->b->uop[s->insn]);
	tr_imm64(m, S2, (uintptr_t)fn);
	tr_jump_to(m, 0xe8, x->rx, x->t->call);
	if (s->restore)
		tr_flags_restore(m);
	emit8(m, 0xe9);
	emit32(m, s->back - (m->n + 4));
}

static void put_stub(struct xlat *x, const struct stub *s)
{
	struct emit *m = &x->m;
	struct tr_block *tb = x->tb;

	if (s->site)
		st_le32(m->buf + s->site, m->n - (s->site + 4));
	if (s->slot)
		xlat_try(x, s);
	if (s->at)
		tb->fault[tb->n_faults++] =
			(struct tr_fault){.at = (uint16_t)s->at, .stub = (uint16_t)m->n};
	if (s->rcx)
		tr_rr(m, true, 0x89, S1, RCX);
	if (s->save)
		tr_flags_save(m);
	xlat_x87_store(x, s->x87);
	switch (s->kind) {
	case STUB_SLOW: call_back(x, s, x->b->cold[s->insn].fn); break;
	case STUB_STRING: call_back(x, s, tr_string); break;
	case STUB_END: tail_uop(x, s->insn); break;
	case STUB_MISS:
		tr_gs(m, true, 0x89, S1, tr_word(W_PTR));
		tail_to(x, (uintptr_t)&x->b->uop[s->insn], tr_miss);
		break;
	case STUB_STORED:
	case STUB_STORED_GO:
		xlat_stored_stub(x, s);
		call_back(x, s, s->kind == STUB_STORED ? tr_stored : tr_stored_go);
		break;
	case STUB_EXIT: tail_to(x, (uintptr_t)&tb->exit[s->insn], tr_chain); break;
	default: tail_to(x, x->b->rip, tr_leave); break;
	}
}

/* ---- the whole block ---- */

static void decode_all(struct xlat *x)
{
	struct block *b = x->b;
	unsigned bits = b->key & X86_MODE_CS64 ? 64 : b->key & X86_MODE_CS32 ? 32 : 16;

	for (unsigned i = 0; i < b->n_insns; i++) {
		struct insn *in = &x->in[i];

		/* what does not decode has a handler that ends the block */
		if (insn_decode(b->bytes + b->cold[i].off, b->n_bytes - b->cold[i].off, bits, in))
			continue;
		if (in->feature != X86_FEAT_NONE && !cpu_model_has(x->v->model, in->feature))
			(void)insn_without_lzcnt(in);
	}
}

void tr_replace(struct block *old, const struct tr_block *to, struct translator *t)
{
	struct tr_block *tb = old->tr;
	uint8_t *from[3] = {tb->entry_i, tb->entry_m, tb->entry_e};
	uint8_t *dest[3] = {to->entry_i, to->entry_m, to->entry_e};

	for (unsigned i = 0; i < 3; i++) {
		uint8_t *rw = from[i] - t->map.rx + t->map.rw;

		check(rw >= t->map.rw + t->first && rw + 5 <= t->map.rw + t->used);
		rw[0] = 0xe9;
		st_le32(rw + 1, (uint32_t)(dest[i] - (from[i] + 5)));
	}
	for (unsigned i = 1; i <= old->n_insns; i++)
		old->uop[i].fn = old->cold[i].fn;
	old->native = NULL;
	old->tr = NULL;
	old->heat = 0;
}

static bool worth_it(const struct xlat *x)
{
	return x->n_slow * 2 <= x->b->n_insns;
}

static void publish(struct xlat *x)
{
	struct translator *t = x->t;
	struct block *b = x->b;

	x->tb->size = x->m.n;
	t->used += align_up(x->m.n, 16);
	t->blocks[t->n_blocks++] = x->tb;
	t->translated++;
	for (unsigned i = 1; i <= b->n_insns; i++)
		b->uop[i].fn = tr_resume;
	b->tr = x->tb;
	b->native = x->tb->entry_m;
	b->uop[0].fn = (uop_fn)(uintptr_t)t->enter;
}

bool tr_translate(struct vcpu *v, struct block *b)
{
	struct interp_cpu *ic = icpu(v);
	struct translator *t = ic->tr;
	struct xlat x;

	memset(&x, 0, offsetof(struct xlat, stub));
	x.tb = t->used + TR_ROOM > t->map.size || t->n_blocks == TR_BLOCKS
		       ? NULL
		       : block_pool_alloc(ic, sizeof(struct tr_block) +
						      BLOCK_MAX_INSNS * sizeof(struct tr_fault));
	if (!x.tb) {
		ic->flush_wanted = true;
		return false;
	}
	*x.tb = (struct tr_block){.b = b, .rx = t->map.rx + t->used};
	x.m = (struct emit){.buf = t->map.rw + t->used, .size = TR_ROOM};
	x.rx = x.tb->rx;
	x.v = v;
	x.ic = ic;
	x.t = t;
	x.b = b;
	x.is64 = b->key & X86_MODE_CS64;
	x.w = x.is64 ? 8 : 4;
	for (unsigned i = 1; i <= b->n_insns; i++)
		b->cold[i].fn = b->uop[i].fn;
	decode_all(&x);
	x.tb->type = (uint8_t)choose_type(&x);
	x.i = 0;
	put_head(&x);
	put_body(&x);
	for (unsigned i = 0; i < x.n_stubs; i++)
		put_stub(&x, &x.stub[i]);
	if (!worth_it(&x))
		return false;
	publish(&x);
	for (struct block *old = b->hash_next; old; old = old->hash_next)
		if (old->native && old->rip == b->rip && old->key == b->key &&
		    old->page == b->page) {
			tr_replace(old, b->tr, t);
			old->uop[0].fn = old->cold[0].fn;
			ic->hooks->built(v, old);
		}
	return true;
}
