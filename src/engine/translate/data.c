/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data instructions that are not a copy of the guest's with another address, in translated code.
 * Intel SDM vol. 2: PUSH, POP (pointer operands), BT & co, CMPXCHG8B/CMPXCHG16B, LDMXCSR, STMXCSR,
 * CLD, STD.
 *
 * Each does here what can be done on host pointers inside one page and leaves the rest to its
 * handler: bit offsets that lead out of the operand's page, a misaligned CMPXCHG16B, reserved bits
 * of MXCSR.
 */
#include "engine/translate/xlat.h"

bool xlat_operand_ok(const struct xlat *x, const struct insn *in)
{
	uint32_t key = x->b->key;

	if (x->is64)
		return in->addrsize == 8;
	if (xlat_segmented(x, in))
		return true;
	return key & X86_MODE_FLAT && key & X86_MODE_CS32 && in->addrsize == 4 &&
	       in->seg != X86_FS && in->seg != X86_GS &&
	       !(in->flags & INSN_MEM_WRITE && in->seg == X86_CS && key & X86_MODE_PE);
}

static struct stub *jcc_slow(struct xlat *x, uint8_t cc)
{
	EMIT(&x->m, 0x0f, (uint8_t)(0x80 | cc));
	emit32(&x->m, 0);
	return xlat_stub(x, STUB_SLOW);
}
enum { CC_NE = 5, CC_A = 7 };

/* The slow paths come back here. */
static void join(struct xlat *x, struct stub *a, struct stub *b)
{
	struct stub *s[2] = {a, b};

	for (unsigned i = 0; i < 2; i++)
		if (s[i]) {
			s[i]->restore = x->e;
			s[i]->back = x->m.n;
		}
}

/* ---- PUSH and POP with a memory operand ---- */

/* Pushes and pops of the mode's own width in 64-bit or flat 32-bit code. */
static bool stack_ok(const struct xlat *x, const struct insn *in)
{
	const uint32_t flat32 = X86_MODE_CS32 | X86_MODE_SS32 | X86_MODE_PE | X86_MODE_FLAT;

	return in->flags & INSN_MEM && in->opsize == x->w && xlat_operand_ok(x, in) &&
	       (x->is64 || (x->b->key & flat32) == flat32);
}

static void move_sp(struct xlat *x, int by)
{
	tr_mem(&x->m, x->is64, 0x8d, tr_host[X86_RSP], tr_host[X86_RSP], NO_REG, 0, by);
}

/* Load from @from, store to @to, then the stack pointer moves @by. False: nothing emitted. */
static bool put_stack(struct xlat *x, const struct ea *from, const struct ea *to, int by)
{
	struct stub *load, *store;
	struct emit *m = &x->m;

	if (!xlat_disp_fits(from, 64) || !xlat_disp_fits(to, 64))
		return false;
	if (!xlat_ptr(x, from, x->w, false, &load))
		return false;
	tr_mem(m, x->is64, 0x8b, S2, S1, NO_REG, 0, 0);
	tr_gs(m, true, 0x89, S2, tr_word(W_STR_A));
	if (!xlat_ptr(x, to, x->w, true, &store)) {
		/* a constant address across a page: the load was for nothing */
		xlat_call_uop(x);
		join(x, load, NULL);
		return true;
	}
	tr_gs(m, true, 0x8b, S2, tr_word(W_STR_A));
	tr_mem(m, x->is64, 0x89, S2, S1, NO_REG, 0, 0);
	move_sp(x, by);
	join(x, load, store);
	return true;
}

static bool put_push_mem(struct xlat *x, const struct insn *in)
{
	struct ea from = xlat_ea(x, in);
	struct ea to = {.base = X86_RSP, .index = NO_REG, .seg = NO_REG, .disp = -(int)x->w};

	return stack_ok(x, in) && put_stack(x, &from, &to, -(int)x->w);
}

/* An address based on RSP uses its value after the pop. */
static bool put_pop_mem(struct xlat *x, const struct insn *in)
{
	struct ea from = {.base = X86_RSP, .index = NO_REG, .seg = NO_REG};
	struct ea to = xlat_ea(x, in);

	if (to.base == X86_RSP)
		to.disp += x->w;
	return stack_ok(x, in) && put_stack(x, &from, &to, (int)x->w);
}

/* ---- BT, BTS, BTR, BTC mem, reg ---- */

/* S2 = @reg, sign-extended from @size bytes. */
static void load_sext(struct xlat *x, unsigned reg, unsigned size)
{
	unsigned h = xlat_get(x, reg, S2);
	uint8_t rex = (uint8_t)(0x4c | h >> 3), modrm = (uint8_t)(0xc0 | (S2 & 7) << 3 | (h & 7));

	if (size == 8)
		EMIT(&x->m, rex, 0x8b, modrm);
	else if (size == 4)
		EMIT(&x->m, rex, 0x63, modrm);
	else
		EMIT(&x->m, rex, 0x0f, 0xbf, modrm);
}

static bool put_bt(struct xlat *x, const struct insn *in)
{
	unsigned size = in->opsize, log2 = (unsigned)__builtin_ctz(size);
	bool store = in->opcode != 0xa3;
	struct ea a = xlat_ea(x, in);
	struct stub *slow, *far;
	struct emit *m = &x->m;

	/* Its first page must be there as well, which costs no more than a visit to the handler. A
	 * limit would have to be checked again. */
	if (!xlat_operand_ok(x, in) || xlat_segmented(x, in) || !xlat_disp_fits(&a, 64) ||
	    !xlat_ptr(x, &a, size, store, &slow))
		return false;
	load_sext(x, in->reg, size);
	EMIT(m, 0x49, 0xc1, 0xfb, (uint8_t)(log2 + 3)); /* sar r11, bits of an operand */
	tr_mem(m, true, 0x8d, S2, S1, S2, log2, 0);
	EMIT(m, 0x49, 0x81, 0xe2); /* and r10, -4096 */
	emit32(m, (uint32_t)-4096);
	tr_rr(m, true, 0x29, S1, S2);
	EMIT(m, 0x49, 0x81, 0xfb); /* cmp r11, 4096 - size */
	emit32(m, 4096 - size);
	far = jcc_slow(x, CC_A);
	tr_rr(m, true, 0x01, S2, S1);
	load_sext(x, in->reg, size);
	EMIT(m, 0x41, 0x83, 0xe3, (uint8_t)(size * 8 - 1)); /* and r11d, bits - 1 */
	need_e(x);
	if (in->prefixes & PFX_LOCK)
		emit8(m, 0xf0);
	if (size == 2)
		emit8(m, 0x66);
	EMIT(m, size == 8 ? 0x4d : 0x45, 0x0f, in->opcode, 0x1a); /* [r10], r11 */
	x->e = true;
	x->m_ok = false;
	join(x, slow, far);
	return true;
}

/* ---- CMPXCHG8B, CMPXCHG16B ---- */

bool xlat_cmpxchg(struct xlat *x, const struct insn *in)
{
	struct stub *slow, *odd = NULL;
	struct ea a = xlat_ea(x, in);
	struct emit *m = &x->m;
	bool wide = in->mem_size == 16;

	if (!xlat_operand_ok(x, in) || !xlat_disp_fits(&a, 64) ||
	    !xlat_ptr(x, &a, in->mem_size, true, &slow))
		return false;
	if (wide) {
		EMIT(m, 0x41, 0xf6, 0xc2, 0x0f); /* test r10b, 15 */
		odd = jcc_slow(x, CC_NE);
	}
	need_e(x);
	if (in->prefixes & PFX_LOCK)
		emit8(m, 0xf0);
	EMIT(m, wide ? 0x49 : 0x41, 0x0f, 0xc7, 0x0a); /* [r10] */
	x->e = true;
	x->m_ok = false;
	join(x, slow, odd);
	return true;
}

/* ---- MXCSR ---- */

static bool put_ldmxcsr(struct xlat *x, const struct insn *in)
{
	struct ea a = xlat_ea(x, in);
	struct stub *slow, *bad;
	struct emit *m = &x->m;

	if (!xlat_operand_ok(x, in) || !xlat_disp_fits(&a, 64))
		return false;
	xlat_ensure_vec(x);
	if (!xlat_ptr(x, &a, 4, false, &slow))
		return false;
	tr_mem(m, false, 0x8b, S1, S1, NO_REG, 0, 0);
	EMIT(m, 0x41, 0xf7, 0xc2); /* test r10d, reserved bits */
	emit32(m, ~x->v->model->mxcsr_mask);
	bad = jcc_slow(x, CC_NE);
	tr_gs(m, false, 0x89, S1, tr_word(W_STR_A));
	EMIT(m, 0x65, 0x0f, 0xae, 0x14, 0x25); /* ldmxcsr gs:[W_STR_A] */
	emit32(m, (uint32_t)tr_word(W_STR_A));
	join(x, slow, bad);
	return true;
}

static bool put_stmxcsr(struct xlat *x, const struct insn *in)
{
	struct ea a = xlat_ea(x, in);
	struct stub *slow;

	if (!xlat_operand_ok(x, in) || !xlat_disp_fits(&a, 64))
		return false;
	xlat_ensure_vec(x);
	if (!xlat_ptr(x, &a, 4, true, &slow))
		return false;
	EMIT(&x->m, 0x41, 0x0f, 0xae, 0x1a); /* stmxcsr [r10] */
	join(x, slow, NULL);
	return true;
}

/* ---- CLD, STD ---- */

static void put_df(struct xlat *x, bool set)
{
	need_m(x);
	x->e = false;
	/* or, and byte [rflags + 1] */
	TR_FIELD(&x->m, offsetof(struct vcpu, s.rflags) + 1, 1, 0x80, set ? 0x0c : 0x24);
	emit8(&x->m, (uint8_t)(set ? X86_DF >> 8 : ~(X86_DF >> 8)));
}

/* Alone, a vCPU has nobody to yield to: the host's own. */
static bool put_pause(struct xlat *x)
{
	const size_t count = offsetof(struct vcpu, count.pauses);

	if (x->t->smp)
		return false;
	tr_gs(&x->m, true, 0x8b, S1, count);
	tr_mem(&x->m, true, 0x8d, S1, S1, NO_REG, 0, 1);
	tr_gs(&x->m, true, 0x89, S1, count);
	EMIT(&x->m, 0xf3, 0x90);
	return true;
}

bool xlat_data(struct xlat *x, const struct insn *in)
{
	if (x->b->cold[x->i].fn != uop_special)
		return false;
	switch (in->special) {
	case SP_PUSH_MEM: return put_push_mem(x, in);
	case SP_POP_MEM: return put_pop_mem(x, in);
	case SP_BT_MEM: return put_bt(x, in);
	case SP_LDMXCSR: return put_ldmxcsr(x, in);
	case SP_STMXCSR: return put_stmxcsr(x, in);
	case SP_CLD:
	case SP_STD: put_df(x, in->special == SP_STD); return true;
	case SP_PAUSE: return put_pause(x);
	default: return false;
	}
}

/* ---- LOOP, LOOPE, LOOPNE, JCXZ ---- */

/* The number of bytes up to the rel32 just emitted, as a rel8 at offset @at. */
static void land(struct xlat *x, unsigned at)
{
	check(x->m.n - (at + 1) < 128);
	x->m.buf[at] = (uint8_t)(x->m.n - (at + 1));
}

bool xlat_loop(struct xlat *x, const struct insn *in)
{
	uint64_t next = x->b->rip + x->b->cold[x->i].off + in->len, to = next + in->imm;
	bool loop = in->special == SP_LOOP, zf = loop && in->opcode != 0xe2;
	struct emit *m = &x->m;
	unsigned skip, skip_zf = 0;

	if ((in->special != SP_LOOP && in->special != SP_JCXZ) ||
	    x->b->cold[x->i].fn != uop_special_branch || !(x->b->key & X86_MODE_FLAT) ||
	    !(x->is64 || x->b->key & X86_MODE_CS32) || in->opsize != x->w || in->addrsize != x->w)
		return false;
	if (!x->is64) {
		to = (uint32_t)to;
		next = (uint32_t)next;
	}
	if (!x86_canonical(to))
		return false;
	if (zf)
		need_e(x);
	if (((to ^ x->b->rip) | (next ^ x->b->rip)) & ~0xfffull)
		need_m(x); /* the exits want it, and must not save behind the JRCXZ */
	if (loop)
		tr_mem(m, x->is64, 0x8d, RCX, RCX, NO_REG, 0, -1);
	if (!x->is64)
		emit8(m, 0x67);
	EMIT(m, 0xe3, 0); /* jrcxz, jecxz */
	skip = m->n - 1;
	if (zf) { /* LOOPNE: not taken with ZF = 1 */
		EMIT(m, in->opcode == 0xe0 ? 0x74 : 0x75, 0);
		skip_zf = m->n - 1;
	}
	xlat_jump(x, loop ? 0 : 1, loop ? to : next);
	land(x, skip);
	if (zf)
		land(x, skip_zf);
	xlat_jump(x, loop ? 1 : 0, loop ? next : to);
	return true;
}
