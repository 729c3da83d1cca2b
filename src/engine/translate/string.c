/* SPDX-License-Identifier: Apache-2.0 */
/*
 * String instructions in translated code. Intel SDM vol. 2: REP, MOVS, CMPS, STOS, LODS, SCAS; vol.
 * 1, 7.3.9.
 *
 * MOVS and STOS with REP, DF = 0 and memory that is in slots (mem.c) are done in place: the host's
 * instruction waits for nothing but the slots' deltas. The rest of what has REP calls a fixed
 * routine (one for each operation, element and width of addresses), which goes from page to page:
 * both addresses are looked up in the soft TLB, and the host's own REP instruction runs on host
 * pointers over as many elements as both pages have. So a chunk is as fast as the host's, and byte
 * order in overlapping copies is the processor's. Between chunks the registers are exact and
 * requests are looked at.
 *
 * Everything else is the handler's (special/sp_string.c), which goes on from these registers:
 * comparisons with DF set, a miss, MMIO, an element across a page, a page with code, a request. A
 * store that finds its page marked as code after a chunk (another vCPU did) reports the chunk there
 * first.
 *
 * A fault in a later iteration of CMPS and SCAS shows the flags from before the instruction: W_FL,
 * which is not written before the end.
 *
 * Routines: all guest registers live, flags in memory. They return behind the call, or two bytes
 * later to go to the slow path. MOVS and STOS lose EFLAGS; CMPS and SCAS leave the guest's there.
 * Without REP an instruction is a load, a store or a compare like others.
 */
#include "engine/translate/xlat.h"

static_assert(sizeof(struct x86_tlb_entry) == 64, "the index is the page number times 64");
#define INDEX_MASK ((X86_TLB_SIZE - 1) * (uint32_t)sizeof(struct x86_tlb_entry))

enum { G_ADD = 0, G_AND = 4, G_CMP = 7 }; /* group 1 opcode extensions */

struct routine {
	struct emit *m;
	enum tr_string_op op;
	unsigned log2; /* of the element's size */
	bool is64;
	bool down;                 /* DF is set */
	unsigned n_slow, slow[12]; /* rel32 that lead to the slow exit */
	unsigned n_early;          /* those of them before keep() */
};

static bool is_compare(enum tr_string_op op)
{
	return op >= TR_SCAS_E;
}
static bool has_source(enum tr_string_op op)
{
	return op == TR_MOVS || op == TR_CMPS_E || op == TR_CMPS_NE;
}
static bool stores(enum tr_string_op op)
{
	return op == TR_MOVS || op == TR_STOS;
}
/* Ends a comparison: REPE by ZF = 0, REPNE by ZF = 1. */
static bool ends_equal(enum tr_string_op op)
{
	return op == TR_SCAS_NE || op == TR_CMPS_NE;
}

static void op_imm(struct emit *m, bool w, unsigned ext, unsigned reg, uint32_t imm)
{
	EMIT(m, (uint8_t)(0x40 | (w ? 8 : 0) | reg >> 3), 0x81,
	     (uint8_t)(0xc0 | ext << 3 | (reg & 7)));
	emit32(m, imm);
}

static void shr_imm(struct emit *m, bool w, unsigned reg, unsigned by)
{
	EMIT(m, (uint8_t)(0x40 | (w ? 8 : 0) | reg >> 3), 0xc1, (uint8_t)(0xe8 | (reg & 7)),
	     (uint8_t)by);
}

/* cmova @dst, @src */
static void cmova(struct emit *m, bool w, unsigned dst, unsigned src)
{
	EMIT(m, (uint8_t)(0x40 | (w ? 8 : 0) | (dst >> 3) << 2 | src >> 3), 0x0f, 0x47,
	     (uint8_t)(0xc0 | (dst & 7) << 3 | (src & 7)));
}

static void neg(struct emit *m, bool w, unsigned reg)
{
	EMIT(m, (uint8_t)(0x40 | (w ? 8 : 0) | reg >> 3), 0xf7, (uint8_t)(0xd8 | (reg & 7)));
}

static void jcc_slow(struct routine *r, uint8_t cc)
{
	EMIT(r->m, 0x0f, (uint8_t)(0x80 | cc));
	emit32(r->m, 0);
	check(r->n_slow < ARRAY_SIZE(r->slow));
	r->slow[r->n_slow++] = r->m->n - 4;
}
enum { CC_B = 2, CC_AE = 3, CC_E = 4, CC_NE = 5, CC_A = 7 };

/* byte @byte of RFLAGS has the bits @bits: jne */
static void test_df(struct emit *m)
{
	EMIT(m, 0x65, 0xf6, 0x04, 0x25); /* test byte gs:[rflags + 1], DF */
	emit32(m, (uint32_t)offsetof(struct vcpu, s.rflags) + 1);
	emit8(m, X86_DF >> 8);
}

/* @addr's TLB entry to S2, or slow; S1 is lost. */
static void look_up(struct routine *r, unsigned addr, bool write)
{
	struct emit *m = r->m;

	tr_rr(m, false, 0x89, addr, S2);
	shr_imm(m, false, S2, 6);
	op_imm(m, false, G_AND, S2, INDEX_MASK);
	tr_gs(m, true, 0x03, S2, tr_word(W_TAB));
	tr_rr(m, true, 0x89, addr, S1);
	op_imm(m, true, G_AND, S1, (uint32_t)-4096);
	tr_gs(m, true, 0x03, S1, tr_word(W_GEN));
	tr_mem(m, true, 0x3b, S1, S2, NO_REG, 0,
	       (int32_t)(write ? offsetof(struct x86_tlb_entry, tag_write)
			       : offsetof(struct x86_tlb_entry, tag_read)));
	jcc_slow(r, CC_NE);
}

/* cmp byte [[S2 + code]], 0; S1 is lost */
static void test_code(struct emit *m)
{
	tr_mem(m, true, 0x8b, S1, S2, NO_REG, 0, (int32_t)offsetof(struct x86_tlb_entry, code));
	EMIT(m, 0x41, 0x80, 0x3a, 0);
}

/* @ptr = host pointer of @addr, whose entry is in S2; S1 = bytes of its page that elements can use.
 */
static void in_page(struct routine *r, unsigned ptr, unsigned addr)
{
	struct emit *m = r->m;

	tr_mem(m, true, 0x8b, ptr, S2, NO_REG, 0, (int32_t)offsetof(struct x86_tlb_entry, host));
	tr_rr(m, false, 0x89, addr, S1);
	op_imm(m, false, G_AND, S1, 4095);
	tr_rr(m, true, 0x01, S1, ptr);
	if (r->down) {
		op_imm(m, false, G_ADD, S1, 1u << r->log2);
		op_imm(m, false, G_CMP, S1, 4096);
		jcc_slow(r, CC_A); /* the first element crosses a page */
	} else {
		op_imm(m, false, G_ADD, S1, (uint32_t)-4096);
		neg(m, false, S1);
	}
}

/* RDX = host pointer of RSI, EAX = bytes that its page has. */
static void source(struct routine *r)
{
	look_up(r, RSI, false);
	in_page(r, RDX, RSI);
	tr_rr(r->m, false, 0x89, S1, RAX);
}

/* S2 = host pointer of RDI, S1 = elements that the page or both pages have, at least 1. */
static void destination(struct routine *r)
{
	struct emit *m = r->m;

	look_up(r, RDI, stores(r->op));
	if (stores(r->op)) {
		test_code(m);
		jcc_slow(r, CC_NE);
		tr_gs(m, true, 0x89, S2, tr_word(W_ENTRY));
	}
	in_page(r, S2, RDI);
	if (has_source(r->op)) {
		tr_rr(m, false, 0x39, RAX, S1);
		cmova(m, false, S1, RAX);
	}
	if (r->log2)
		shr_imm(m, false, S1, r->log2);
	if (r->log2 && !r->down)
		jcc_slow(r, CC_E); /* the element crosses a page */
	tr_rr(m, true, 0x39, RCX, S1);
	cmova(m, true, S1, RCX);
}

/* The host's instruction: F3 or F2, operand size, opcode. */
static void rep_insn(struct routine *r)
{
	static const uint8_t opcode[] = {
		[TR_MOVS] = 0xa4,    [TR_STOS] = 0xaa,   [TR_SCAS_E] = 0xae,
		[TR_SCAS_NE] = 0xae, [TR_CMPS_E] = 0xa6, [TR_CMPS_NE] = 0xa6,
	};

	if (r->log2 == 1)
		emit8(r->m, 0x66);
	emit8(r->m, ends_equal(r->op) ? 0xf2 : 0xf3);
	if (r->log2 == 3)
		emit8(r->m, 0x48);
	emit8(r->m, (uint8_t)(opcode[r->op] | (r->log2 > 0)));
}

/* In: RCX left, S1 = n of them now, RDX and S2 = host pointers. Out: RCX, RSI, RDI after the chunk;
 * flags are the comparison's. RAX is kept without a source; with stores S1 = n is kept. */
static void chunk(struct routine *r)
{
	struct emit *m = r->m;
	bool src = has_source(r->op);
	unsigned left = src ? RAX : RDX;

	if (src) {
		tr_rr(m, true, 0x29, RSI, RDX);
		tr_rr(m, true, 0x01, RDX, RSI);
		neg(m, true, RDX);
	}
	tr_rr(m, true, 0x29, RDI, S2);
	tr_rr(m, true, 0x01, S2, RDI);
	neg(m, true, S2);
	tr_rr(m, true, 0x89, RCX, left);
	tr_rr(m, true, 0x29, S1, left);
	tr_rr(m, true, 0x89, S1, RCX);
	if (r->down)
		emit8(m, 0xfd); /* std */
	rep_insn(r);
	if (r->down)
		emit8(m, 0xfc); /* cld */
	/* no flags from here */
	if (src)
		tr_mem(m, r->is64, 0x8d, RSI, RSI, RDX, 0, 0);
	tr_mem(m, r->is64, 0x8d, RDI, RDI, S2, 0, 0);
	tr_mem(m, true, 0x8d, RCX, RCX, left, 0, 0);
}

static void keep(struct routine *r, bool load)
{
	if (r->op == TR_MOVS || has_source(r->op))
		tr_gs(r->m, true, load ? 0x8b : 0x89, RAX, tr_word(W_STR_A));
	tr_gs(r->m, true, load ? 0x8b : 0x89, RDX, tr_word(W_STR_D));
}

/* As processors do with 32-bit addresses: RCX is truncated in any case, RSI and RDI by MOVS and
 * STOS in any case and by the others with the first iteration. */
static void truncate(struct routine *r, bool first)
{
	bool now = stores(r->op) == first;

	if (r->is64)
		return;
	if (first)
		tr_rr(r->m, false, 0x89, RCX, RCX);
	if (now && has_source(r->op))
		tr_rr(r->m, false, 0x89, RSI, RSI);
	if (now)
		tr_rr(r->m, false, 0x89, RDI, RDI);
}

/* A chunk went to a page that is marked now: the handler reports it. Then, or directly: slow. */
static void put_slow(struct routine *r, unsigned stored)
{
	struct emit *m = r->m;

	if (stored) {
		st_le32(m->buf + stored, m->n - (stored + 4));
		if (r->log2)
			EMIT(m, 0x49, 0xc1, 0xe2, (uint8_t)r->log2); /* shl r10, log2 */
		tr_gs(m, true, 0x89, S1, tr_word(W_STR_N));
		tr_rr(m, true, 0x89, RDI, RDX);
		tr_rr(m, true, 0x29, S2, RDX); /* S2 = guest - host */
		if (r->down)
			tr_mem(m, true, 0x8d, RDX, RDX, NO_REG, 0, 1 << r->log2);
		else
			tr_rr(m, true, 0x29, S1, RDX);
		tr_gs(m, true, 0x89, RDX, tr_word(W_PTR));
	}
	for (unsigned i = r->n_early; i < r->n_slow; i++)
		st_le32(m->buf + r->slow[i], m->n - (r->slow[i] + 4));
	keep(r, true);
	for (unsigned i = 0; i < r->n_early; i++)
		st_le32(m->buf + r->slow[i], m->n - (r->slow[i] + 4));
	EMIT(m, 0x48, 0x83, 0x04, 0x24, 0x02, 0xc3); /* add qword [rsp], 2; ret */
}

/* @down: offset of the routine for DF = 1; 0: that is slow. */
static void put_routine(struct routine *r, unsigned down)
{
	struct emit *m = r->m;
	unsigned loop, zero, stored = 0;

	if (!r->down) {
		test_df(m);
		if (down) {
			EMIT(m, 0x0f, 0x85); /* jne down */
			emit32(m, down - (m->n + 4));
		} else {
			jcc_slow(r, CC_NE);
			r->n_early = 1;
		}
	}
	keep(r, false);
	truncate(r, true);
	tr_rr(m, true, 0x85, RCX, RCX);
	EMIT(m, 0x0f, 0x84); /* je zero */
	zero = m->n;
	emit32(m, 0);
	truncate(r, false);
	loop = m->n;
	tr_cmp_request(m);
	jcc_slow(r, CC_NE);
	if (has_source(r->op))
		source(r);
	destination(r);
	chunk(r);
	if (is_compare(r->op)) {
		EMIT(m, ends_equal(r->op) ? 0x74 : 0x75, 2 + 5); /* to the end */
	} else {
		/* S1 = n is needed below */
		tr_gs(m, true, 0x8b, RDX, tr_word(W_ENTRY));
		tr_mem(m, true, 0x8b, RDX, RDX, NO_REG, 0,
		       (int32_t)offsetof(struct x86_tlb_entry, code));
		EMIT(m, 0x80, 0x3a, 0, 0x0f, 0x85); /* cmp byte [rdx], 0; jne stored */
		stored = m->n;
		emit32(m, 0);
	}
	EMIT(m, 0xe3, 5, 0xe9); /* jrcxz over; jmp loop */
	emit32(m, loop - (m->n + 4));
	if (!is_compare(r->op))
		st_le32(m->buf + zero, m->n - (zero + 4));
	keep(r, true);
	emit8(m, 0xc3);
	if (is_compare(r->op)) { /* nothing compared: the flags stay */
		st_le32(m->buf + zero, m->n - (zero + 4));
		keep(r, true);
		tr_flags_restore(m);
		emit8(m, 0xc3);
	}
	put_slow(r, stored);
}

void tr_string_glue(struct translator *t, struct emit *m)
{
	for (unsigned op = 0; op < TR_STRING_OPS; op++)
		for (unsigned log2 = 0; log2 < 4; log2++)
			for (unsigned w = 0; w < 2; w++) {
				struct routine up = {.m = m, .op = op, .log2 = log2, .is64 = w};
				struct routine down = up;
				unsigned at = m->n;

				down.down = true;
				if (stores(op))
					put_routine(&down, 0);
				else
					at = 0;
				while (m->n & 15)
					emit8(m, 0xcc);
				t->string[op][log2][w] = t->map.rx + m->n;
				put_routine(&up, at);
			}
}

int tr_string(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	struct x86_tlb_entry *e = (struct x86_tlb_entry *)(uintptr_t)v->word[W_ENTRY];

	if (v->word[W_STR_N]) {
		x86_stored_slow(v, e, (gva_t)(v->word[W_PTR] - (uintptr_t)e->host),
				(unsigned)v->word[W_STR_N]);
		v->word[W_STR_N] = 0;
	}
	return uop_block(u)->cold[u->n].fn(v, u, tab, fl);
}

/* ---- instructions ---- */

#define INLINE_MOST 65536u /* bytes without a look at requests */

static bool string_op(const struct insn *in, enum tr_string_op *ret)
{
	switch (in->special) {
	case SP_MOVS: *ret = TR_MOVS; return true;
	case SP_STOS: *ret = TR_STOS; return true;
	case SP_SCAS: *ret = in->flags & INSN_REP ? TR_SCAS_E : TR_SCAS_NE; return true;
	case SP_CMPS: *ret = in->flags & INSN_REP ? TR_CMPS_E : TR_CMPS_NE; return true;
	default: return false;
	}
}

/* Jumps to the call of the routine, which follows. */
struct to_routine {
	unsigned n, site[6];
};

static void jcc_routine(struct xlat *x, uint8_t cc, struct to_routine *j)
{
	EMIT(&x->m, 0x0f, (uint8_t)(0x80 | cc));
	emit32(&x->m, 0);
	check(j->n < ARRAY_SIZE(j->site));
	j->site[j->n++] = x->m.n - 4;
}

#define SLOT_AT(f) offsetof(struct x86_slot, f)

/* Are RCX elements at @reg in the slot of the first one's page? S1, for stores S2 = what is to be
 * added to addresses. Return: the stub that fills the slot. */
static struct stub *check_range(struct xlat *x, unsigned log2, unsigned reg, bool write)
{
	unsigned set =
		(x->b->key & X86_MODE_USER ? 0 : X86_SLOT_SUPER) | (write ? X86_SLOT_WRITE : 0);
	struct emit *m = &x->m;
	struct stub *s;

	tr_rr(m, true, 0x89, reg, S1);
	xlat_page_index(x);
	xlat_page_field(m, 0x2b, S1, set, SLOT_AT(base));
	/* the limit leaves room for 8 bytes: mem.c */
	tr_mem(m, true, 0x8d, S1, S1, RCX, log2, -8);
	xlat_page_field(m, 0x3b, S1, set, SLOT_AT(lim));
	EMIT(m, 0x0f, 0x83); /* jae */
	emit32(m, 0);
	s = xlat_stub(x, STUB_STRING_FILL);
	s->fill = (uint8_t)set;
	s->size = (uint8_t)reg;
	s->write = write;
	xlat_page_field(m, 0x8b, write ? S2 : S1, set, SLOT_AT(delta));
	return s;
}

/* Up to FEW elements one by one, which leaves nothing for the REP MOVS that follows: that alone
 * takes as long as ten of them. Host addresses; flags and S1 are free. */
static void put_few(struct xlat *x, unsigned log2)
{
	enum { FEW = 12 };
	struct emit *m = &x->m;
	unsigned many, none, loop;

	EMIT(m, 0x83, 0xf9, FEW, 0x77, 0); /* cmp ecx, FEW; ja many */
	many = m->n;
	EMIT(m, 0x85, 0xc9, 0x74, 0); /* test ecx, ecx; je none */
	none = m->n;
	loop = m->n;
	tr_mem(m, log2 == 3, 0x8b, S1, RSI, NO_REG, 0, 0);
	tr_mem(m, log2 == 3, 0x89, S1, RDI, NO_REG, 0, 0);
	tr_mem(m, true, 0x8d, RSI, RSI, NO_REG, 0, 1 << log2);
	tr_mem(m, true, 0x8d, RDI, RDI, NO_REG, 0, 1 << log2);
	EMIT(m, 0xff, 0xc9, 0x75, 0); /* dec ecx; jne loop */
	m->buf[m->n - 1] = (uint8_t)(loop - m->n);
	m->buf[none - 1] = (uint8_t)(m->n - none);
	EMIT(m, 0xeb, log2 == 3 ? 3 : 2); /* jmp over the REP MOVS */
	m->buf[many - 1] = (uint8_t)(m->n - many);
}

/*
 * Up to 64 bytes with AVX-512: no branch depends on how many. Guests do not have the registers used
 * here (ymm16, ymm17, k1, k2). S1, S2 = what is to be added to addresses. Return: the jump to what
 * comes after the REP instruction, which follows for more bytes, and where both overlap.
 */
static unsigned put_masked(struct xlat *x, enum tr_string_op op, unsigned log2)
{
	/* third byte of EVEX: vmovdqu8, 16, 32, 64; vpbroadcast of the same sizes */
	static const uint8_t move[] = {0x7f, 0xff, 0x7e, 0xfe}, cast[] = {0x7d, 0x7d, 0x7d, 0xfd};
	struct emit *m = &x->m;
	unsigned many, ok, back = 0;

	EMIT(m, 0x83, 0xf9, (uint8_t)(64 >> log2), 0x0f, 0x87); /* cmp ecx, n; ja */
	emit32(m, 0);
	many = m->n;
	tr_rr(m, true, 0x01, RDI, S2);
	if (op == TR_MOVS) {
		/* All are loaded first: none may be one that has been stored. */
		tr_rr(m, true, 0x01, RSI, S1);
		tr_rr(m, true, 0x29, S1, S2);
		EMIT(m, 0x49, 0x83, 0xfb, 64, 0x73, 0); /* cmp r11, 64; jae */
		ok = m->n;
		tr_rr(m, true, 0x01, S1, S2);
		tr_rr(m, true, 0x29, RDI, S2);
		tr_rr(m, true, 0x29, RSI, S1);
		back = xlat_jump_over(m);
		m->buf[ok - 1] = (uint8_t)(m->n - ok);
		tr_mem(m, x->is64, 0x8d, RSI, RSI, RCX, log2, 0);
	} else {
		/* vpbroadcast ymm16, rAX */
		EMIT(m, 0x62, 0xe2, cast[log2], 0x28, (uint8_t)(0x7a + MIN(log2, 2u)), 0xc0);
	}
	tr_mem(m, x->is64, 0x8d, RDI, RDI, RCX, log2, 0);
	EMIT(m, 0x65, 0xc4, 0xe2, 0xf0, 0xf5, 0x0c, 0x25); /* bzhi rcx, gs:[W_ONES], rcx */
	emit32(m, (uint32_t)tr_word(W_ONES));
	EMIT(m, 0xc4, 0xe1, 0xfb, 0x92, 0xc9);                        /* kmovq k1, rcx */
	EMIT(m, 0xc4, 0xe3, 0xf9, 0x31, 0xd1, (uint8_t)(32 >> log2)); /* kshiftrq k2, k1 */
	if (op == TR_MOVS) {
		EMIT(m, 0x62, 0xc1, move[log2], 0xa9, 0x6f, 0x02);       /* ymm16, [r10] */
		EMIT(m, 0x62, 0xc1, move[log2], 0xaa, 0x6f, 0x4a, 0x01); /* ymm17, [r10 + 32] */
		/* [r10 + r11], ymm16; [r10 + r11 + 32], ymm17 */
		EMIT(m, 0x62, 0x81, move[log2], 0x29, 0x7f, 0x04, 0x1a);
		EMIT(m, 0x62, 0x81, move[log2], 0x2a, 0x7f, 0x4c, 0x1a, 0x01);
	} else {
		EMIT(m, 0x62, 0xc1, move[log2], 0x29, 0x7f, 0x03);       /* [r11], ymm16 */
		EMIT(m, 0x62, 0xc1, move[log2], 0x2a, 0x7f, 0x43, 0x01); /* [r11 + 32], ymm16 */
	}
	EMIT(m, 0x31, 0xc9); /* xor ecx, ecx */
	ok = xlat_jump_over(m);
	xlat_land(m, many);
	if (back)
		xlat_land(m, back);
	return ok;
}

/*
 * MOVS and STOS upwards over memory that is in slots: in place, with nothing that the host's
 * instruction has to wait for. Everything else is the routine's. The stubs fill the slots and go to
 * the routine.
 */
static void put_rep_inline(struct xlat *x, enum tr_string_op op, unsigned log2, struct stub *s[2],
			   struct to_routine *j)
{
	struct routine r = {.m = &x->m, .op = op, .log2 = log2};
	bool movs = op == TR_MOVS;
	struct emit *m = &x->m;
	unsigned done = 0;

	if (!x->is64) {
		tr_rr(m, false, 0x89, RCX, RCX);
		tr_rr(m, false, 0x89, RDI, RDI);
		if (movs)
			tr_rr(m, false, 0x89, RSI, RSI);
	}
	test_df(m);
	jcc_routine(x, CC_NE, j);
	EMIT(m, 0x48, 0x81, 0xf9); /* cmp rcx, most */
	emit32(m, INLINE_MOST >> log2);
	jcc_routine(x, CC_A, j);
	if (movs) {
		/* What overlaps is the routine's: the host's instruction must see that by its
		 * addresses, and slots for loads and for stores may have a page in two places
		 * (cpu/x86/window.c). Upwards each byte is one that was stored just before;
		 * downwards the processor may load some again after the first ones are stored. */
		tr_rr(m, true, 0x89, RDI, S1);
		tr_rr(m, true, 0x29, RSI, S1);
		tr_mem(m, true, 0x8d, S2, NO_REG, RCX, log2, 0);
		tr_rr(m, true, 0x01, S2, S1);
		tr_rr(m, true, 0x01, S2, S2);
		tr_rr(m, true, 0x39, S2, S1);
		jcc_routine(x, CC_B, j);
		s[0] = check_range(x, log2, RSI, false);
		tr_gs(m, true, 0x89, S1, tr_word(W_STR_A));
	}
	s[1] = check_range(x, log2, RDI, true);
	if (movs)
		tr_gs(m, true, 0x8b, S1, tr_word(W_STR_A));
	if (x->t->masked)
		done = put_masked(x, op, log2);
	if (movs)
		tr_rr(m, true, 0x01, S1, RSI);
	tr_rr(m, true, 0x01, S2, RDI);
	if (movs && log2 >= 2 && !x->t->masked)
		put_few(x, log2);
	rep_insn(&r);
	if (movs)
		tr_gs(m, true, 0x2b, RSI, tr_word(W_STR_A));
	tr_rr(m, true, 0x29, S2, RDI);
	if (done)
		xlat_land(m, done);
	EMIT(m, 0xeb, 5 + 2 + 5); /* jmp over the routine */
}

void xlat_string_fill(struct xlat *x, const struct stub *s)
{
	int32_t table = xlat_page_table(s->fill);
	struct emit *m = &x->m;

	tr_rr(m, true, 0x89, s->size, S1);
	xlat_page_field(m, 0x2b, S1, s->fill, SLOT_AT(base));
	xlat_page_field(m, 0x3b, S1, s->fill, SLOT_AT(lim));
	EMIT(m, 0x0f, 0x82); /* jb: only the end is outside */
	emit32(m, s->back - (m->n + 4));
	if (s->fill & X86_SLOT_SUPER) {
		EMIT(m, 0x65, 0x80, 0x3c, 0x25); /* not kept: cmp byte gs:[hold], 0 */
		emit32(m, (uint32_t)offsetof(struct vcpu, slots.hold));
		EMIT(m, 0, 0x0f, 0x85);
		emit32(m, s->back - (m->n + 4));
	}
	tr_mem(m, false, 0x8d, S2, S2, NO_REG, 0, table);
	EMIT(m, 0x41, 0xc1, 0xe3, 8); /* shl r11d, 8: size - 1 = 0 */
	tr_jump_to(m, 0xe8, x->rx, x->t->miss_page[SLOT_SMALL][s->write][s->fill]);
	emit8(m, 0xe9);
	emit32(m, s->back - (m->n + 4));
}

static void put_rep(struct xlat *x, const struct insn *in, enum tr_string_op op)
{
	unsigned log2 = (unsigned)__builtin_ctz(in->mem_size);
	struct stub *s, *stub[2] = {NULL};
	struct to_routine j = {0};
	struct emit *m = &x->m;

	need_m(x);
	if (stores(op)) {
		put_rep_inline(x, op, log2, stub, &j);
		for (unsigned i = 0; i < j.n; i++)
			st_le32(m->buf + j.site[i], m->n - (j.site[i] + 4));
		for (unsigned i = 0; i < 2; i++)
			if (stub[i])
				stub[i]->back = m->n;
	}
	if (is_compare(op)) /* which may leave the flags as they are, and load them */
		tr_flags_fetch(m, x->rx, x->t->fetch);
	tr_jump_to(m, 0xe8, x->rx, x->t->string[op][log2][x->is64]);
	EMIT(m, 0xeb, 5, 0xe9); /* jmp over; jmp slow */
	emit32(m, 0);
	s = xlat_stub(x, STUB_STRING);
	x->e = is_compare(op);
	x->m_ok = !x->e;
	s->restore = x->e;
	s->back = m->n;
}

static struct stub *jne_slow(struct xlat *x)
{
	EMIT(&x->m, 0x0f, 0x85);
	emit32(&x->m, 0);
	return xlat_stub(x, STUB_SLOW);
}

/* op with operand size @size: reg of rAX or S2, memory [S1] */
static void op_s1(struct xlat *x, uint8_t op, unsigned size, unsigned reg)
{
	if (size == 2)
		emit8(&x->m, 0x66);
	tr_mem(&x->m, size == 8, (uint8_t)(op | (size > 1)), reg, S1, NO_REG, 0, 0);
}

static void step(struct xlat *x, unsigned reg, unsigned by)
{
	tr_mem(&x->m, x->is64, 0x8d, reg, reg, NO_REG, 0, (int32_t)by);
}

static void put_movs(struct xlat *x, const struct ea *src, const struct ea *dst, unsigned size,
		     struct stub *slow[3])
{
	check(xlat_ptr(x, src, size, false, &slow[1]));
	op_s1(x, 0x8a, size, S2);
	tr_gs(&x->m, true, 0x89, S2, tr_word(W_STR_A));
	check(xlat_ptr(x, dst, size, true, &slow[2]));
	tr_gs(&x->m, true, 0x8b, S2, tr_word(W_STR_A));
	op_s1(x, 0x88, size, S2);
	step(x, RSI, size);
	step(x, RDI, size);
}

/* ES:RDI is looked at first, as processors do. */
static void put_cmps(struct xlat *x, const struct ea *src, const struct ea *dst, unsigned size,
		     struct stub *slow[3])
{
	check(xlat_ptr(x, dst, size, false, &slow[1]));
	op_s1(x, 0x8a, size, S2);
	tr_gs(&x->m, true, 0x89, S2, tr_word(W_STR_A));
	check(xlat_ptr(x, src, size, false, &slow[2]));
	op_s1(x, 0x8a, size, S2);
	step(x, RSI, size);
	step(x, RDI, size);
	emit8(&x->m, 0x65); /* cmp S2, gs:[W_STR_A] */
	if (size == 2)
		emit8(&x->m, 0x66);
	EMIT(&x->m, size == 8 ? 0x4c : 0x44, size == 1 ? 0x3a : 0x3b, 0x1c, 0x25);
	emit32(&x->m, (uint32_t)tr_word(W_STR_A));
	x->e = true;
	x->m_ok = false;
}

static void put_single(struct xlat *x, const struct insn *in)
{
	struct ea src = {.base = X86_RSI, .index = NO_REG, .seg = NO_REG};
	struct ea dst = {.base = X86_RDI, .index = NO_REG, .seg = NO_REG};
	unsigned size = in->mem_size;
	struct stub *slow[3] = {NULL};

	need_m(x);
	x->e = false;
	test_df(&x->m);
	slow[0] = jne_slow(x);
	switch (in->special) {
	case SP_MOVS: put_movs(x, &src, &dst, size, slow); break;
	case SP_CMPS: put_cmps(x, &src, &dst, size, slow); break;
	case SP_STOS:
		check(xlat_ptr(x, &dst, size, true, &slow[1]));
		op_s1(x, 0x88, size, RAX);
		step(x, RDI, size);
		break;
	case SP_LODS:
		check(xlat_ptr(x, &src, size, false, &slow[1]));
		op_s1(x, 0x8a, size, RAX);
		step(x, RSI, size);
		break;
	default: /* SCAS */
		check(xlat_ptr(x, &dst, size, false, &slow[1]));
		op_s1(x, 0x3a, size, RAX);
		step(x, RDI, size);
		x->e = true;
		x->m_ok = false;
		break;
	}
	for (unsigned i = 0; i < 3; i++)
		if (slow[i]) {
			slow[i]->restore = x->e;
			slow[i]->back = x->m.n;
		}
}

bool xlat_string(struct xlat *x, const struct insn *in)
{
	bool rep = in->flags & (INSN_REP | INSN_REPNE);
	enum tr_string_op op;

	if (x->b->cold[x->i].fn != uop_special || !(x->b->key & X86_MODE_FLAT) ||
	    in->addrsize != x->w || (!x->is64 && !(x->b->key & X86_MODE_CS32)))
		return false;
	if (in->special != SP_STOS && in->special != SP_SCAS &&
	    (in->seg == X86_FS || in->seg == X86_GS || (!x->is64 && in->seg == X86_CS)))
		return false;
	if (rep) {
		if (!string_op(in, &op))
			return false;
		put_rep(x, in, op);
		return true;
	}
	if (in->special != SP_LODS && !string_op(in, &op))
		return false;
	put_single(x, in);
	return true;
}
