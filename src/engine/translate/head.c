/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of a translated block: its entries (enum tr_entry). Who comes from another page is asked
 * whether mode and mapping are still those of this block, who comes backwards whether there is a
 * request, and flags go to where the body wants them: into EFLAGS, into memory, or nowhere when
 * they are written before anything looks at them (xlat_head_type()).
 */
#include "engine/translate/xlat.h"

/* What the first instruction that has to do with flags does: TR_TYPE_, or -1 = nothing. */
static int flag_event(struct xlat *x, const struct insn *in)
{
	if (uop_fn_ends(x->b->cold[x->i].fn))
		return TR_TYPE_M;
	if (in->special == SP_JCC)
		return x->b->key & X86_MODE_FLAT ? TR_TYPE_E : TR_TYPE_M;
	if (in->special == SP_JMP_REL && xlat_goes_on(x))
		return -1;
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

unsigned xlat_head_type(struct xlat *x)
{
	for (x->i = x->now = 0; x->i < x->b->n_insns; x->i++) {
		int t;

		xlat_find_part(x);
		t = flag_event(x, &x->in[x->i]);
		x->first_write = x->i;
		if (t >= 0)
			return (unsigned)t;
	}
	return TR_TYPE_M;
}

/* What flag_event() says of a block without code, as far as can be seen by its bytes. */
static bool reads_memory_first(const struct xlat *x, const struct block *b)
{
	struct insn in;

	for (unsigned i = 0; i < b->n_insns; i++) {
		unsigned off = b->cold[i].off;

		if (insn_decode(b->bytes + off, b->n_bytes - off, x->is64 ? 64 : 32, &in) !=
			    DECODE_OK ||
		    in.special == SP_JCC || in.special == SP_JMP_REL)
			return false;
		if (in.special == SP_LEA || in.special == SP_NOP_MEM || insn_is_nop(&in))
			continue;
		if (in.special != SP_NONE || in.flags & (INSN_MEM | INSN_SSE | INSN_AVX) ||
		    insn_may_fault(&in))
			return true;
		if (insn_flags_needed(&in) || in.rflags_written & X86_ARITH)
			return false;
	}
	return true;
}

bool xlat_wants_memory(const struct xlat *x, uint64_t rip)
{
	const struct block *b = x->part[0];

	if (!(b->key & X86_MODE_FLAT))
		return false;
	if (b->rip == rip && x->tb->first == b && x->b->tr != x->tb && !b->native)
		return x->tb->type == TR_TYPE_M;
	b = block_beside(x->v, x->part[x->now], rip, false);
	if (!b)
		return false;
	return b->tr ? b->tr->type == TR_TYPE_M : reads_memory_first(x, b);
}

/* jne to a stub */
static void jne_stub(struct xlat *x, unsigned kind)
{
	EMIT(&x->m, 0x0f, 0x85);
	emit32(&x->m, 0);
	xlat_stub(x, kind);
}

/* Out of line: a request, or mode and mapping may be what they were all the same. */
void xlat_find_mapped(struct xlat *x, const struct stub *s)
{
	struct emit *m = &x->m;

	tr_cmp_request(m);
	EMIT(m, 0x0f, 0x85); /* jne leave */
	emit32(m, (uint32_t)(x->tb->leave[0] - (x->rx + m->n + 4)));
	tr_imm64(m, S2, (uintptr_t)x->b->inst->mapping);
	tr_jump_to(m, 0xe8, x->rx, x->t->mapped[x->b->flags & BLOCK_TWO_PAGES ? 1 : 0]);
	EMIT(m, 0x0f, 0x84); /* je back */
	emit32(m, s->back - (m->n + 4));
	EMIT(m, 0x0f, 0x82); /* jb leave */
	emit32(m, (uint32_t)(x->tb->leave[0] - (x->rx + m->n + 4)));
	tr_imm64(m, S1, (uintptr_t)x->part[0]);
	tr_imm64(m, S2, (uintptr_t)tr_far);
	tr_jump_to(m, 0xe8, x->rx, x->t->call_plain);
}

static void put_poll(struct xlat *x, unsigned kind)
{
	tr_cmp_request(&x->m);
	jne_stub(x, kind);
}

/* TR_FAR and TR_M_POLL: 64 bits are compared, of which the lower half is 0 without a request. */
static void put_far_check(struct xlat *x)
{
	const uint8_t *epoch;

	static_assert(offsetof(struct vcpu, epoch) == offsetof(struct vcpu, request) + 4 &&
			      offsetof(struct vcpu, request) % 8 == 0,
		      "one load");
	x->tb->entry[TR_FAR] = x->tb->entry[TR_M_POLL] = xlat_here(x);
	if (!x->b->inst) {
		put_poll(x, STUB_LEAVE);
		return;
	}
	epoch = (const uint8_t *)&x->b->inst->mapping->epoch - x->t->map.rw + x->t->map.rx;
	tr_gs(&x->m, true, 0x8b, S1, offsetof(struct vcpu, request));
	EMIT(&x->m, 0x4c, 0x3b, 0x15); /* cmp r10, [rip + epoch] */
	emit32(&x->m, (uint32_t)(epoch - (x->rx + x->m.n + 4)));
	jne_stub(x, STUB_FAR);
	x->stub[x->n_stubs - 1].back = x->m.n;
}

/* The same without touching EFLAGS. */
static void put_poll_e(struct xlat *x)
{
	struct emit *m = &x->m;

	tr_rr(m, true, 0x89, RCX, S2);
	tr_gs(m, false, 0x8b, RCX, offsetof(struct vcpu, request));
	EMIT(m, 0xe3, 8); /* jrcxz over */
	tr_rr(m, true, 0x89, S2, RCX);
	emit8(m, 0xe9);
	emit32(m, 0);
	xlat_stub(x, STUB_LEAVE_E);
	tr_rr(m, true, 0x89, S2, RCX);
}

/* Flags may be lost. */
static void put_count(struct xlat *x, unsigned kind)
{
	unsigned n;

	if (!x->counts)
		return;
	n = x->t->turns_turn++ % X86_TURNS;
	x->v->turns[n] = TR_OFTEN;
	x->tb->turns = (uint16_t)n;
	x->tb->counted = (uint32_t)__builtin_ia32_rdtsc();
	x->tb->counter = x->m.n;
	EMIT(&x->m, 0x65, 0x83, 0x2c, 0x25); /* sub dword gs:[turns], 1; js */
	emit32(&x->m, (uint32_t)(offsetof(struct vcpu, turns) + sizeof(x->v->turns[0]) * n));
	EMIT(&x->m, 1, 0x0f, 0x88);
	emit32(&x->m, 0);
	xlat_stub(x, kind);
}

static void put_e_poll(struct xlat *x)
{
	x->tb->entry[TR_E_POLL] = xlat_here(x);
	if (x->first_write < LATER_MOST)
		put_poll(x, STUB_LATER);
	else
		put_poll_e(x);
}

/* TR_TYPE_D: nothing looks at the flags before they are written by the instruction that
 * x->first_write counts. Who comes most often needs no jump. */
static void put_head_d(struct xlat *x)
{
	uint8_t **entry = x->tb->entry;
	bool loop = x->loop;
	unsigned m, other;

	if (!loop) {
		put_e_poll(x);
		other = xlat_jump_over(&x->m);
	}
	entry[TR_M] = xlat_here(x);
	m = xlat_jump_over(&x->m);
	put_far_check(x);
	if (loop) {
		other = xlat_jump_over(&x->m);
		put_e_poll(x);
	}
	entry[TR_E] = xlat_here(x);
	xlat_land(&x->m, m);
	xlat_land(&x->m, other);
	x->e = true;
	if (x->first_write < LATER_MOST)
		put_count(x, STUB_OFTEN_LATER);
}

/* TR_TYPE_M: those who come with flags in EFLAGS have them saved. */
static void put_head_m(struct xlat *x)
{
	uint8_t **entry = x->tb->entry;

	entry[TR_E] = entry[TR_E_POLL] = xlat_here(x);
	tr_flags_save(&x->m);
	put_far_check(x);
	entry[TR_M] = xlat_here(x);
	x->m_ok = true;
	put_count(x, STUB_OFTEN);
}

static void put_head_e(struct xlat *x)
{
	uint8_t **entry = x->tb->entry;
	struct emit *m = &x->m;
	unsigned over;

	put_far_check(x);
	entry[TR_M] = xlat_here(x);
	put_count(x, STUB_OFTEN);
	tr_flags_fetch(m, x->rx, x->t->fetch);
	tr_flags_restore(m);
	over = xlat_jump_over(m);
	entry[TR_E_POLL] = xlat_here(x);
	put_poll_e(x);
	xlat_land(m, over);
	entry[TR_E] = xlat_here(x);
	x->e = true;
}

void xlat_head(struct xlat *x)
{
	/* A block of two pages is always entered from another one (tr_crossing()). */
	if (x->b->flags & BLOCK_TWO_PAGES)
		x->tb->type = TR_TYPE_M;
	switch (x->tb->type) {
	case TR_TYPE_M: put_head_m(x); break;
	case TR_TYPE_E: put_head_e(x); break;
	default: put_head_d(x); break;
	}
}
