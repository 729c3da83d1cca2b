/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sequences with several accesses off one register, for -seq: what the translator checks together
 * (engine/translate/group.c). Two pointers and the stack pointer lie near an edge of a page, before
 * a hole, at a read-only page or anywhere; they move by constants, are copied, pushed and popped,
 * and flags are written and read in between; all that is done a few times. So extents straddle
 * edges, one access in the middle faults, and registers, flags and memory must be those of the
 * accesses before it.
 */
#include "diff.h"

#include <string.h>

#include "base/base.h"
#include "base/bits.h"

#define COUNTER (NATIVE_DATA2 + 0x800) /* turns; no pointer comes near */

struct seq {
	uint64_t rng;
	unsigned bits, n;
	uint8_t *code;
	uint8_t ptr[3]; /* [2] is RSP */
	unsigned count; /* register that counts turns, 16 = memory does */
	unsigned step;  /* done at the start of the turn; 0 = at its end */
	bool steady;    /* pointers move by constants each turn */
	bool indexed;   /* RCX is an index; unless it is steady too, nothing writes it */
};

static unsigned below(struct seq *s, unsigned n)
{
	return (unsigned)((diff_xorshift(&s->rng) >> 32) % n);
}

static void put8(struct seq *s, unsigned b)
{
	s->code[s->n++] = (uint8_t)b;
}

/* A register that is no pointer. */
static unsigned other(struct seq *s)
{
	unsigned r;

	do
		r = below(s, s->bits == 64 ? 16 : 8);
	while (r == s->ptr[0] || r == s->ptr[1] || r == X86_RSP || r == s->count ||
	       (s->indexed && r == X86_RCX));
	return r;
}

static void put_rex(struct seq *s, bool w, unsigned reg, unsigned index, unsigned rm)
{
	unsigned rex = 0x40 | (w ? 8 : 0) | (reg >> 3) << 2 | (index >> 3) << 1 | rm >> 3;

	if (s->bits == 64)
		put8(s, rex);
}

/* [pointer + disp8], sometimes with RCX * scale, which is small or not */
static void put_mem(struct seq *s, bool w, unsigned op, unsigned reg, unsigned base)
{
	bool index = below(s, s->indexed ? 3 : 16) == 0;
	unsigned escape = op >> 8;
	int disp = (int)below(s, 96) - 40;

	if (below(s, 2))
		disp &= ~7;
	if (op >> 16)
		put8(s, op >> 16);
	put_rex(s, w, reg, 0, base);
	if (escape & 0xff)
		put8(s, escape);
	put8(s, op);
	put8(s, 0x40 | (reg & 7) << 3 | (index || (base & 7) == 4 ? 4 : base & 7));
	if (index)
		put8(s, below(s, 4) << 6 | X86_RCX << 3 | (base & 7));
	else if ((base & 7) == 4)
		put8(s, 0x24);
	put8(s, (unsigned)disp);
}

static void put_rr(struct seq *s, unsigned op, unsigned reg, unsigned rm)
{
	put_rex(s, s->bits == 64, reg, 0, rm);
	put8(s, op);
	put8(s, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static void put_pointer_op(struct seq *s)
{
	unsigned p = s->ptr[below(s, 3)], q = s->ptr[below(s, 2)];

	switch (below(s, s->steady ? 2 : 6)) {
	case 0: /* add, sub with an immediate; of RSP a multiple of the width */
		put_rr(s, 0x83, below(s, 2) ? 5 : 0, p);
		put8(s, p == X86_RSP ? below(s, 6) * 8 : below(s, 64));
		break;
	case 1: /* lea */
		if (s->steady)
			q = p;
		put_rex(s, s->bits == 64, q, 0, p);
		put8(s, 0x8d);
		put8(s, 0x40 | (q & 7) << 3 | ((p & 7) == 4 ? 4 : p & 7));
		if ((p & 7) == 4)
			put8(s, 0x24);
		put8(s, below(s, 32));
		break;
	case 2: put_rr(s, below(s, 2) ? 0x89 : 0x8b, p, q); break;
	case 3: /* inc, dec */ put_rr(s, 0xff, below(s, 2), q); break;
	default: /* push, pop */
		p = below(s, 16) ? other(s) : q;
		if (p >= 8)
			put8(s, 0x41);
		put8(s, 0x50 + below(s, 2) * 8 + (p & 7));
		break;
	}
}

/* As a prologue or epilogue does; pushes and pops of RSP too. */
static void put_run(struct seq *s)
{
	unsigned pop = below(s, 2) * 8;

	for (unsigned n = 2 + below(s, 5); n; n--) {
		unsigned r = below(s, 16) ? other(s) : X86_RSP;

		if (r >= 8)
			put8(s, 0x41);
		put8(s, 0x50 + pop + (r & 7));
		if (below(s, 8) == 0)
			pop ^= 8;
	}
}

/* FLD, FSTP, FADD and so on, with memory or not */
static void put_x87(struct seq *s, unsigned base)
{
	static const struct {
		uint8_t op, ext;
	} ops[] = {{0xdd, 0}, {0xdd, 3}, {0xd9, 0}, {0xd9, 2}, {0xdc, 1}, {0xd8, 4}, {0xdb, 5}};
	unsigned i = below(s, ARRAY_SIZE(ops) + 1);

	if (i < ARRAY_SIZE(ops)) {
		put_mem(s, false, ops[i].op, ops[i].ext, base);
	} else { /* faddp */
		put8(s, 0xde);
		put8(s, 0xc1);
	}
}

static void put_one(struct seq *s)
{
	/* op; | 0x0f00; | prefix << 16 */
	static const uint32_t ops[] = {
		0x8b,     0x8b,   0x89,   0x89,     0x88,     0x8a,     0x01,   0x03,   0x13,
		0x29,     0x39,   0x3b,   0x31,     0x85,     0x0fb6,   0x0fbf, 0x0f10, 0x0f11,
		0xf20f58, 0x0faf, 0x0f44, 0xf30f6f, 0xf30f7f, 0xf20f10, 0x87,   0x0fb1};
	static const uint32_t aligned[] = {0x0f28, 0x0f29, 0x660f6f};
	unsigned base = s->ptr[below(s, 3)], kind = below(s, 16), n;

	if (kind == 0) { /* jcc over the next one */
		put8(s, 0x70 | below(s, 16));
		put8(s, 0);
		n = s->n;
		put_mem(s, true, ops[below(s, ARRAY_SIZE(ops))], other(s), base);
		s->code[n - 1] = (uint8_t)(s->n - n);
	} else if (kind == 1) {
		put_rr(s, below(s, 2) ? 0x01 : 0x11, other(s), other(s));
	} else if (kind == 6 && below(s, 2)) {
		put_run(s);
	} else if (kind == 7 && s->indexed) { /* add or sub index, 0 to 15 */
		put_rr(s, 0x83, below(s, 2) ? 5 : 0, X86_RCX);
		put8(s, below(s, 16));
	} else if (kind == 8 && below(s, 2)) {
		put_x87(s, base);
	} else if (kind < 5) {
		put_pointer_op(s);
	} else if (kind == 5) { /* mulsd, which can raise nothing but needs the vector registers */
		put8(s, 0xf2);
		put8(s, 0x0f);
		put8(s, 0x59);
		put8(s, 0xc0 | below(s, 64));
	} else {
		put_mem(s, below(s, 3) != 0,
			below(s, 32) ? ops[below(s, ARRAY_SIZE(ops))] : aligned[below(s, 3)],
			other(s), base);
	}
}

/* mov pointer, imm */
static void put_pointer(struct seq *s, unsigned p, uint64_t val)
{
	put_rex(s, s->bits == 64, 0, 0, p);
	put8(s, 0xb8 | (p & 7));
	for (unsigned i = 0; i < (s->bits == 64 ? 8 : 4); i++)
		put8(s, (unsigned)(val >> 8 * i));
}

/* op [absolute] with the opcode extension @ext */
static void put_known(struct seq *s, unsigned op, unsigned ext, uint32_t at)
{
	put8(s, op);
	put8(s, ext << 3 | (s->bits == 64 ? 4 : 5));
	if (s->bits == 64)
		put8(s, 0x25);
	st_le32(s->code + s->n, at);
	s->n += 4;
}

/* Pages that are in the TLB from here on, so that what follows finds them. */
static void put_touches(struct seq *s)
{
	for (unsigned i = 0; i < 2; i++)
		if (below(s, 8)) { /* or byte [], 0 */
			put_known(s, 0x80, 1, NATIVE_DATA + i * 0x1000);
			put8(s, 0);
		}
	if (below(s, 2))
		put_known(s, 0x8a, X86_RCX, NATIVE_RO);
}

static uint64_t place(struct seq *s)
{
	static const uint64_t edge[] = {NATIVE_DATA, NATIVE_HOLE, NATIVE_RO, NATIVE_RO + 0x1000};
	unsigned kind = below(s, 16);
	uint64_t at = kind < 8    ? NATIVE_DATA + 0x200 + below(s, 0x1c00)
		      : kind < 14 ? NATIVE_DATA + 0x1000 + below(s, 160) - 80
				  : edge[below(s, ARRAY_SIZE(edge))] + below(s, 160) - 80;

	return below(s, 4) ? at & ~7ull : at;
}

/* Flags for the jne that ends a turn. */
static void put_end(struct seq *s)
{
	unsigned step = 1 + below(s, 9);

	if (!s->steady || below(s, 4) == 0) { /* dec dword [COUNTER] */
		put_known(s, 0xff, 1, COUNTER);
		return;
	}
	/* add or sub count, step, unless the turn began with that; sometimes the counter in memory
	 * decides all the same */
	if (s->step) {
		step = s->step;
	} else {
		put_rex(s, s->bits == 64 && below(s, 2), 0, 0, s->count);
		put8(s, 0x83);
		put8(s, 0xc0 | (below(s, 2) ? 5 : 0) << 3 | (s->count & 7));
		put8(s, step);
	}
	put_rex(s, false, 0, 0, s->count); /* test count, 15 << n: 1 to 16 turns */
	put8(s, 0xf7);
	put8(s, 0xc0 | (s->count & 7));
	st_le32(s->code + s->n, (step & -step) * 15);
	s->n += 4;
}

unsigned diff_make_groups(struct native_case *c, uint64_t id, unsigned bits, uint8_t *code)
{
	static const uint8_t low[] = {X86_RBX, X86_RBP, X86_RSI, X86_RDI},
			     all[] = {X86_RBX, X86_RBP, X86_RSI, X86_R8, X86_R10, X86_R13};
	struct seq s = {.rng = id * 0x9e3779b97f4a7c15ull | 1, .bits = bits, .code = code};
	unsigned pieces, start;

	for (unsigned i = 0; i < 5; i++)
		diff_xorshift(&s.rng);
	s.ptr[0] = bits == 64 ? all[below(&s, 6)] : low[below(&s, 4)];
	s.ptr[1] = bits == 64 ? all[below(&s, 6)] : low[below(&s, 4)];
	s.ptr[2] = X86_RSP;
	/* mov dword [COUNTER], turns */
	put_known(&s, 0xc7, 0, COUNTER);
	st_le32(s.code + s.n, 1 + below(&s, 30));
	s.n += 4;
	put_touches(&s);
	start = s.n;
	s.steady = below(&s, 2);
	s.indexed = s.ptr[0] != X86_RCX && s.ptr[1] != X86_RCX && below(&s, 2);
	s.count = s.steady ? other(&s) : 16;
	if (s.steady)
		put_pointer(&s, s.count, below(&s, 1000));
	for (unsigned i = 0; i < 3; i++)
		put_pointer(&s, s.ptr[i], place(&s) & (i == 2 ? ~7ull : ~0ull));
	if (s.steady)
		start = s.n;
	if (s.steady && below(&s, 3) == 0 && (s.count & 7) != 4) { /* lea count, [count + step] */
		s.step = 1 + below(&s, 9);
		put_rex(&s, bits == 64, s.count, 0, s.count);
		put8(&s, 0x8d);
		put8(&s, 0x40 | (s.count & 7) * 9);
		put8(&s, s.step);
	}
	if (s.ptr[0] != X86_RCX && s.ptr[1] != X86_RCX)
		c->state.gpr[X86_RCX] = below(&s, 8) ? below(&s, 8) : ~0ull;
	if (bits != 64)
		c->state.gpr[X86_RCX] = (uint32_t)c->state.gpr[X86_RCX];
	c->state.rflags &= ~(uint64_t)X86_AC;
	pieces = 3 + below(&s, s.steady ? 14 : 40);
	while (pieces-- && s.n + 64 < DIFF_SEQ_BYTES)
		put_one(&s);
	put_end(&s);
	put8(&s, 0x0f);
	put8(&s, 0x85);
	st_le32(s.code + s.n, start - (s.n + 4));
	s.n += 4;
	c->step = 0;
	c->code_off = (uint16_t)below(&s, 0x1800);
	return s.n;
}
