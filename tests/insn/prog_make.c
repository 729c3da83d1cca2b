/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes random programs (prog.h). A program is a function of its id.
 *
 * It is an endless loop over statements, most of which call functions; a counter of "fuel" that
 * functions, loops and rounds use up ends it. Functions call those behind them only, and recursion
 * counts its depth. A fault goes on at one of the loop's statements, each time at another, with the
 * stack empty. Loop counters, the state of random numbers and tables of addresses are in cells that
 * nothing else stores to (but for what goes astray).
 *
 * Most random instructions find their operands where they can be accessed; in "wild" programs these
 * may be anywhere, and what is not precise about faults on real processors is left out.
 */
#include <string.h>

#include "base/base.h"
#include "base/bits.h"
#include "prog.h"

enum { FUNCS = 7, FIXES = 600, SITES = 48, TOPS = 16 };
enum { CELL_FUEL = PROG_CELLS, CELL_ROUND = PROG_CELLS + 4, CELL_RANDOM = PROG_CELLS + 8 };
enum {
	CELL_FAULTS = PROG_CELLS + 12,
	CELL_NEXT = PROG_CELLS + 16,
	CELL_TABLES = PROG_CELLS + 0x400
};
enum { TABLE_TOPS = PROG_CELLS + 0xc00 };
enum site { SITE_IMM, SITE_JCC, SITE_CALL, SITE_KINDS };

/* What is filled in when all addresses are known. */
struct fix {
	enum { FIX_REL_FUNC, FIX_CELL_FUNC, FIX_SITE, FIX_REL_END, FIX_CALL_PATCH } kind;
	unsigned at; /* in the code, or in the image */
	unsigned arg;
};

struct make {
	struct prog *p;
	struct diff_maker m;
	uint64_t rng;
	unsigned bits, n, cell, table, func; /* func: the one being made, FUNCS: the loop */
	unsigned locals;                     /* bytes of the function's frame */
	bool wild, hot;                      /* hot: some loops take thousands of turns */
	uint8_t *code;
	struct fix fix[FIXES];
	unsigned n_fix, n_site[SITE_KINDS];
	unsigned site[SITE_KINDS][SITES],
		site_func[SITES]; /* site_func: of SITE_CALL, the first callee */
	uint64_t func_at[FUNCS];
	unsigned args[FUNCS]; /* words that a function's RET drops */
};

static uint64_t rnd(struct make *k)
{
	return diff_xorshift(&k->rng);
}

static unsigned below(struct make *k, unsigned n)
{
	return (unsigned)((rnd(k) >> 32) * n >> 32);
}

static bool one_in(struct make *k, unsigned n)
{
	return below(k, n) == 0;
}

/* ---- encoding ---- */

static void byte(struct make *k, unsigned b)
{
	k->code[k->n++] = (uint8_t)b;
}

static void imm(struct make *k, unsigned len, uint64_t val)
{
	st_le(k->code + k->n, len, val);
	k->n += len;
}

static uint64_t base(const struct make *k)
{
	return k->bits == 16 ? NATIVE_BASE : 0;
}

static uint64_t here(const struct make *k)
{
	return PROG_CODE + k->n;
}

static unsigned near_len(const struct make *k)
{
	return k->bits == 16 ? 2 : 4;
}

static void dword(struct make *k)
{
	if (k->bits == 16)
		byte(k, 0x66);
}

/* Any register but RSP. */
static unsigned reg(struct make *k)
{
	unsigned r = below(k, k->bits == 64 ? 15 : 7);

	return r >= X86_RSP ? r + 1 : r;
}

/* [addr], no registers; returns where its displacement is */
static unsigned abs_operand(struct make *k, unsigned r, uint64_t addr)
{
	unsigned at;

	if (k->bits == 64) {
		byte(k, (r & 7) << 3 | 4);
		byte(k, 0x25);
	} else {
		byte(k, (r & 7) << 3 | (k->bits == 16 ? 6 : 5));
	}
	at = k->n;
	imm(k, near_len(k), addr - base(k));
	return at;
}

/* dword op [addr], r */
static unsigned op_abs(struct make *k, unsigned op, unsigned r, uint64_t addr)
{
	dword(k);
	if (r > 7)
		byte(k, 0x44);
	byte(k, op);
	return abs_operand(k, r, addr);
}

static void op_ri(struct make *k, unsigned ext, unsigned r, uint32_t val)
{
	dword(k);
	if (r > 7)
		byte(k, 0x41);
	byte(k, 0x81);
	byte(k, 0xc0 | ext << 3 | (r & 7));
	imm(k, 4, val);
}

static void mov_ri(struct make *k, unsigned r, uint32_t val)
{
	dword(k);
	if (r > 7)
		byte(k, 0x41);
	byte(k, 0xb8 | (r & 7));
	imm(k, 4, val);
}

/* [r + disp32], 32-bit addresses in 16-bit code */
static void idx_operand(struct make *k, unsigned other, unsigned r, uint64_t disp)
{
	byte(k, 0x80 | (other & 7) << 3 | (r & 7));
	if ((r & 7) == X86_RSP)
		byte(k, 0x24);
	imm(k, 4, disp);
}

/* Returns where the offset is, for land(). */
static unsigned jcc_near(struct make *k, unsigned cc)
{
	byte(k, 0x0f);
	byte(k, 0x80 | cc);
	imm(k, near_len(k), 0);
	return k->n - near_len(k);
}

static unsigned jmp_near(struct make *k)
{
	byte(k, 0xe9);
	imm(k, near_len(k), 0);
	return k->n - near_len(k);
}

static void land(struct make *k, unsigned at)
{
	st_le(k->code + at, near_len(k), k->n - at - near_len(k));
}

static void jump_back(struct make *k, int cc, unsigned head)
{
	int64_t d = (int64_t)head - k->n;

	if (d >= -120) {
		byte(k, cc < 0 ? 0xeb : 0x70 | (unsigned)cc);
		imm(k, 1, (uint64_t)(d - 2));
		return;
	}
	land(k, cc < 0 ? jmp_near(k) : jcc_near(k, (unsigned)cc));
	st_le(k->code + k->n - near_len(k), near_len(k), (uint64_t)((int64_t)head - k->n));
}

static void later(struct make *k, unsigned kind, unsigned at, unsigned arg)
{
	check(k->n_fix < FIXES);
	k->fix[k->n_fix++] = (struct fix){.kind = kind, .at = at, .arg = arg};
}

static void jcc_end(struct make *k, unsigned cc)
{
	later(k, FIX_REL_END, jcc_near(k, cc), 0);
}

enum { CC_Z = 4, CC_NZ = 5, CC_S = 8, CC_NS = 9 };

static void use_fuel(struct make *k)
{
	op_abs(k, 0xff, 1, CELL_FUEL); /* dec */
	jcc_end(k, CC_S);
}

static uint64_t new_cell(struct make *k)
{
	uint64_t at = CELL_NEXT + k->cell % 240 * 4;

	k->cell++;
	return at;
}

/* A table of @n addresses; they are filled in by later(). */
static uint64_t new_table(struct make *k, unsigned n)
{
	uint64_t at = CELL_TABLES + k->table % (0x800 - 128);

	k->table += n * k->bits / 8;
	return at;
}

static void put_pointer(struct make *k, uint64_t cell, unsigned i, uint64_t lin)
{
	unsigned w = k->bits / 8;

	st_le(k->p->image + (cell - NATIVE_BASE) + i * w, w, lin - base(k));
}

/* r = the next random number >> @shift & @mask */
static void next_random(struct make *k, unsigned r, unsigned shift, uint32_t mask)
{
	op_abs(k, 0x8b, r, CELL_RANDOM);
	dword(k);
	if (r > 7)
		byte(k, 0x45);
	byte(k, 0x69);
	byte(k, 0xc0 | (r & 7) << 3 | (r & 7));
	imm(k, 4, 1103515245);
	op_ri(k, 0, r, 12345);
	op_abs(k, 0x89, r, CELL_RANDOM);
	dword(k);
	if (r > 7)
		byte(k, 0x41);
	byte(k, 0xc1);
	byte(k, 0xe8 | (r & 7));
	byte(k, shift);
	op_ri(k, 4, r, mask);
}

/* call or jmp [table + r * word] */
static void through_table(struct make *k, unsigned ext, unsigned r, uint64_t table)
{
	static const uint8_t scale[] = {[16] = 1, [32] = 2, [64] = 3};

	if (k->bits == 16)
		byte(k, 0x67);
	if (r > 7)
		byte(k, 0x42);
	byte(k, 0xff);
	byte(k, ext << 3 | 4);
	byte(k, (unsigned)scale[k->bits] << 6 | (r & 7) << 3 | 5);
	imm(k, 4, table - base(k));
}

/* ---- statements ---- */

static bool room(const struct make *k, unsigned n)
{
	return k->n + n + 1200 < PROG_CODE_SIZE && k->n_fix + 32 < FIXES;
}

static bool plain(const struct insn *in)
{
	if (!diff_in_calm_sequence(in) || in->flags & INSN_STACK ||
	    (in->gpr_written | in->gpr_read) & 1u << X86_RSP)
		return false;
	switch (in->special) {
	case SP_FXSAVE:
	case SP_XSAVE:
	case SP_XSAVEC:
	case SP_XSAVES:
	case SP_FNSTENV: /* what the host has of FOP depends on the processor */
	case SP_FNSAVE:
	case SP_MASKMOVDQU:
	case SP_MASKMOVQ: return false;
	default: return true;
	}
}

static bool divides(const struct insn *in)
{
	return in->map == MAP_1 && in->enc == ENC_LEGACY && (in->opcode & 0xfe) == 0xf6 &&
	       (in->modrm & 0x30) == 0x30;
}

static bool calm_piece(const struct insn *in)
{
	return plain(in) && !divides(in) && in->special != SP_AAM;
}

/* Left out: what may have been done in part when it faults, and faults that are not defined. */
static bool wild_piece(const struct insn *in)
{
	if (!plain(in) || in->mem_size > 32 || in->special == SP_GATHER ||
	    in->special == SP_VMASKMOV)
		return false;
	if (in->flags & INSN_MEM && in->flags & INSN_MMX)
		return false;
	if (in->flags & INSN_MEM_WRITE && (in->mem_size == 10 || in->flags & INSN_FPU))
		return false;
	return !(in->enc == ENC_VEX && in->map == MAP_0F3A && in->opcode == 0x1d);
}

static bool calm_loop(const struct insn *in)
{
	return calm_piece(in) && diff_in_calm_loop(in);
}

static bool wild_loop(const struct insn *in)
{
	return wild_piece(in) && !((in->gpr_read | in->gpr_written) & 1u << X86_RCX);
}

static void put_piece(struct make *k)
{
	static struct native_case piece;
	struct insn in;
	uint32_t regs = diff_generate_piece(&piece, rnd(k), k->bits, !k->wild, k->m.model,
					    k->wild ? wild_piece : calm_piece, &in);

	if (!k->wild || !one_in(k, 16))
		for (; regs; regs &= regs - 1) {
			unsigned g = (unsigned)__builtin_ctz(regs);

			if (g != X86_RSP)
				k->n += diff_put_mov(k->code + k->n, k->bits, g,
						     piece.state.gpr[g]);
		}
	if (one_in(k, 6)) { /* jcc over it, which may be changed */
		if (k->n_site[SITE_JCC] < SITES)
			k->site[SITE_JCC][k->n_site[SITE_JCC]++] = k->n;
		byte(k, 0x70 | below(k, 16));
		byte(k, piece.code_len);
	}
	memcpy(k->code + k->n, piece.code, piece.code_len);
	if (in.flags & INSN_RIP_REL)
		st_le32(k->code + k->n + in.off_disp, ld_le32(k->code + k->n + in.off_disp) +
							      NATIVE_CODE + piece.code_off -
							      (uint32_t)here(k));
	k->n += piece.code_len;
	k->m.insns++;
}

/* An access to [r + @disp]. */
static void put_access(struct make *k, unsigned r, uint64_t disp)
{
	static const struct {
		uint8_t prefix, esc, op;
		bool small; /* bytes or vectors */
	} ops[] = {
		{0, 0, 0x8b, 0},       {0, 0, 0x03, 0},       {0, 0, 0x89, 0},
		{0, 0, 0x01, 0},       {0, 0, 0x87, 0},       {0xf0, 0, 0x01, 0},
		{0, 0x0f, 0xb6, 0},    {0, 0, 0x88, 1},       {0, 0x0f, 0x10, 1},
		{0, 0x0f, 0x11, 1},    {0, 0, 0x3b, 0},       {0, 0, 0x39, 0},
		{0, 0x0f, 0xaf, 0},    {0xf0, 0x0f, 0xb1, 0}, {0xf0, 0x0f, 0xc1, 0},
		{0xf3, 0x0f, 0x7f, 1}, {0xf3, 0x0f, 0x6f, 1}, {0, 0, 0x33, 0},
		{0, 0, 0x13, 0},       {0, 0, 0x29, 0},       {0, 0, 0x89, 0},
		{0, 0, 0x8b, 0},
	};
	unsigned i = below(k, ARRAY_SIZE(ops)), other = reg(k), rex = 0;

	if (ops[i].op == 0xb1 && r == X86_RAX)
		i = 0;
	while (other == r || (ops[i].op == 0x88 && (other & 3) == r))
		other = reg(k);
	if (k->bits == 16)
		byte(k, 0x67);
	if (!ops[i].small)
		dword(k);
	if (ops[i].prefix)
		byte(k, ops[i].prefix);
	if (k->bits == 64) {
		rex = (other > 7 ? 4u : 0) | (r > 7 ? 1u : 0);
		if (!ops[i].small && one_in(k, 2))
			rex |= 8;
	}
	if (rex)
		byte(k, 0x40 | rex);
	if (ops[i].esc)
		byte(k, ops[i].esc);
	byte(k, ops[i].op);
	idx_operand(k, other, r, disp);
}

/* Addresses by chance or in steps over all pages that there are. */
static void put_wander(struct make *k)
{
	unsigned r = reg(k), accesses = 1 + below(k, 3), step = 0;
	uint32_t mask = k->bits == 16 ? 0x1fc0 : PROG_FAR_MASK;
	uint64_t disp = k->bits == 16 ? NATIVE_DATA - NATIVE_BASE : PROG_FAR;

	switch (below(k, 4)) {
	case 0: mask &= 0x1ffc; break; /* few pages */
	case 1: mask &= ~63u; break;   /* aligned */
	case 2: step = 1 + below(k, 9000); break;
	default: break;
	}
	if (k->bits == 16)
		mask &= 0x1fc0;
	if (step && !one_in(k, 8)) {
		op_ri(k, 0, r, step);
		op_ri(k, 4, r, mask);
	} else {
		next_random(k, r, below(k, 14), mask);
	}
	for (unsigned i = 0; i < accesses; i++)
		put_access(k, r, disp + below(k, 40));
	k->m.insns += accesses + 2;
}

static void put_stmt(struct make *k, unsigned depth);

static void put_body(struct make *k, unsigned depth, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		put_stmt(k, depth);
}

/* test byte [round], mask; jnz over what is rare */
static unsigned put_rarely(struct make *k, unsigned mask)
{
	byte(k, 0xf6);
	abs_operand(k, 0, CELL_ROUND);
	byte(k, mask);
	return jcc_near(k, CC_NZ);
}

static void put_if(struct make *k, unsigned depth)
{
	unsigned skip, out;

	if (one_in(k, 2))
		op_ri(k, 7, reg(k), (uint32_t)rnd(k)); /* cmp */
	else if (one_in(k, 2))
		next_random(k, reg(k), 10 + below(k, 16), 1u << below(k, 5));
	skip = jcc_near(k, below(k, 16));
	put_body(k, depth + 1, 1 + below(k, 3));
	if (one_in(k, 2)) {
		land(k, skip);
		return;
	}
	out = jmp_near(k);
	land(k, skip);
	put_body(k, depth + 1, 1 + below(k, 3));
	land(k, out);
}

static void put_counted(struct make *k, unsigned depth)
{
	uint64_t cell = new_cell(k);
	unsigned head, out = 0;
	bool wander = one_in(k, 2), fuel = depth == 0 || one_in(k, 2);
	unsigned turns = wander ? 4 + below(k, 120) : 2 + below(k, depth ? 6 : 24);

	if (k->hot && wander && depth < 2) {
		fuel = true;
		turns = 1000 + below(k, 12000);
	}

	op_abs(k, 0xc7, 0, cell);
	imm(k, 4, turns);
	head = k->n;
	if (wander)
		put_wander(k);
	put_body(k, depth + 1, wander ? below(k, k->hot ? 4 : 2) : 1 + below(k, 4));
	op_abs(k, 0xff, 1, cell);
	if (fuel) {
		out = jcc_near(k, CC_Z);
		op_abs(k, 0xff, 1, CELL_FUEL);
		jump_back(k, CC_NS, head);
		later(k, FIX_REL_END, jmp_near(k), 0);
		land(k, out);
	} else {
		jump_back(k, CC_NZ, head);
	}
}

/* The functions that the one being made may call. */
static unsigned first_callee(const struct make *k)
{
	return k->func == FUNCS ? 0 : k->func + 1;
}

static void push_args(struct make *k, unsigned n)
{
	while (n--)
		byte(k, 0x50 | below(k, 4)); /* RAX .. RBX */
}

static void put_call(struct make *k)
{
	unsigned first = first_callee(k), f;

	if (first >= FUNCS)
		return;
	f = first + below(k, FUNCS - first);
	push_args(k, k->args[f]);
	byte(k, 0xe8);
	if (k->n_site[SITE_CALL] < SITES && one_in(k, 2)) {
		k->site_func[k->n_site[SITE_CALL]] = f;
		k->site[SITE_CALL][k->n_site[SITE_CALL]++] = k->n;
	}
	later(k, FIX_REL_FUNC, k->n, f);
	imm(k, near_len(k), 0);
}

/* Through a table of functions that take as many arguments. */
static void put_call_table(struct make *k)
{
	unsigned first = first_callee(k), n = 2u << below(k, 2), r = reg(k), f;
	uint64_t table;

	if (first >= FUNCS)
		return;
	f = first + below(k, FUNCS - first);
	table = new_table(k, n);
	next_random(k, r, 9 + below(k, 12), n - 1);
	push_args(k, k->args[f]);
	through_table(k, 2, r, table);
	for (unsigned i = 0; i < n; i++) {
		unsigned other = first + below(k, FUNCS - first);

		if (k->args[other] != k->args[f] || one_in(k, 2))
			other = f;
		later(k, FIX_CELL_FUNC, (unsigned)(table - NATIVE_BASE) + i * k->bits / 8, other);
	}
}

static void put_switch(struct make *k, unsigned depth)
{
	unsigned n = 2u << below(k, 2), r = reg(k), out[8];
	uint64_t table = new_table(k, n);

	if (!room(k, 2000))
		return;
	next_random(k, r, 8 + below(k, 12), n - 1);
	through_table(k, 4, r, table);
	for (unsigned i = 0; i < n; i++) {
		put_pointer(k, table, i, here(k));
		put_body(k, depth + 1, 1 + below(k, 2));
		out[i] = jmp_near(k);
	}
	for (unsigned i = 0; i < n; i++)
		land(k, out[i]);
}

/* A byte code: instructions that jump back to what finds the next one by a table. */
static void put_dispatch(struct make *k, unsigned depth)
{
	unsigned n = 2u << below(k, 2), r = reg(k), turns = 4 + below(k, 60), head, out[8];
	uint64_t table = new_table(k, n), cell = new_cell(k);

	if (!room(k, 2500))
		return;
	op_abs(k, 0xc7, 0, cell);
	imm(k, 4, turns);
	head = k->n;
	next_random(k, r, 8 + below(k, 12), n - 1);
	through_table(k, 4, r, table);
	for (unsigned i = 0; i < n; i++) {
		put_pointer(k, table, i, here(k));
		put_body(k, depth + 1, below(k, 3));
		op_abs(k, 0xff, 1, CELL_FUEL);
		jcc_end(k, CC_S);
		op_abs(k, 0xff, 1, cell);
		out[i] = jcc_near(k, CC_Z);
		if (one_in(k, 2))
			put_piece(k);
		jump_back(k, -1, head);
	}
	for (unsigned i = 0; i < n; i++)
		land(k, out[i]);
}

/* An instruction whose immediate operand others change. */
static void put_site(struct make *k)
{
	unsigned r = reg(k);

	if (one_in(k, 2))
		op_ri(k, below(k, 2) ? 6 : 0, r, (uint32_t)rnd(k));
	else
		mov_ri(k, r, (uint32_t)rnd(k));
	if (k->n_site[SITE_IMM] < SITES)
		k->site[SITE_IMM][k->n_site[SITE_IMM]++] = k->n - 4;
	k->m.insns++;
}

/* Stores to code, now and then. */
static void put_patch(struct make *k)
{
	static const uint8_t masks[] = {0, 1, 3, 7, 15, 63, 127};
	unsigned kind = below(k, SITE_KINDS), rare = put_rarely(k, masks[below(k, 7)]), at;

	if (kind == SITE_IMM && one_in(k, 2)) {
		at = op_abs(k, 0x89, reg(k), 0);
	} else if (kind == SITE_IMM) {
		at = op_abs(k, 0x81, 0, 0); /* add dword [site], imm */
		imm(k, 4, rnd(k));
	} else if (kind == SITE_JCC) {
		byte(k, 0x80); /* xor byte [site], 1 */
		at = abs_operand(k, 6, 0);
		byte(k, 1);
	} else {
		if (k->bits == 16) {
			byte(k, 0xc7); /* mov word [site], imm16 */
			at = abs_operand(k, 0, 0);
			imm(k, 2, 0);
		} else {
			at = op_abs(k, 0xc7, 0, 0);
			imm(k, 4, 0);
		}
		later(k, FIX_CALL_PATCH, at, (unsigned)rnd(k) & 0xffff);
		land(k, rare);
		return;
	}
	later(k, FIX_SITE, at, (unsigned)kind | ((unsigned)rnd(k) & 0xfff) << 4);
	land(k, rare);
}

static void put_pushes(struct make *k, unsigned depth)
{
	unsigned n = 1 + below(k, 4), r = below(k, 4);

	for (unsigned i = 0; i < n; i++)
		byte(k, 0x50 | ((r + i) & 3));
	k->locals += 1000; /* [rsp] is something else now */
	put_body(k, depth + 1, 1 + below(k, 2));
	k->locals -= 1000;
	while (n--)
		byte(k, 0x58 | ((r + n + one_in(k, 4)) & 3));
}

/* Fields of the frame. */
static void put_local(struct make *k)
{
	static const uint8_t ops[] = {0x8b, 0x89, 0x03, 0x01, 0x89, 0x8b, 0x3b, 0x29};
	unsigned n = 1 + below(k, 4), w = k->bits == 64 ? 8 : 4;

	if (!k->locals || k->locals >= 1000)
		return;
	while (n--) {
		unsigned r = reg(k);

		if (k->bits == 16)
			byte(k, 0x67);
		dword(k);
		if (k->bits == 64)
			byte(k, 0x48 | (r > 7 ? 4u : 0));
		byte(k, ops[below(k, 8)]);
		byte(k, 0x44 | (r & 7) << 3);
		byte(k, 0x24);
		byte(k, below(k, k->locals / w) * w);
		k->m.insns++;
	}
}

/* call over nothing; pop. And a return that is a jump. */
static void put_odd_returns(struct make *k)
{
	if (one_in(k, 2)) {
		byte(k, 0xe8);
		imm(k, near_len(k), 0);
		byte(k, 0x58 | below(k, 4));
		return;
	}
	byte(k, 0x68);
	imm(k, near_len(k), here(k) + near_len(k) + 1 - base(k));
	byte(k, 0xc3);
}

static void put_syscall(struct make *k)
{
	unsigned rare = put_rarely(k, 15);

	byte(k, 0xcc);
	land(k, rare);
}

static void put_stmt(struct make *k, unsigned depth)
{
	static struct native_case at0; /* code_off 0 */
	unsigned kind = below(k, 100);

	if (!room(k, 600))
		return;
	if (depth >= 3 && kind >= 40 && kind < 76)
		kind %= 40;
	if (kind < 24)
		put_piece(k);
	else if (kind < 30)
		k->n += diff_put_group(k->code + k->n, k->bits, !k->wild, &k->rng);
	else if (kind < 35)
		put_wander(k);
	else if (kind < 40)
		k->n += diff_put_loop(&k->m, &at0, PROG_CODE - NATIVE_CODE + k->n, rnd(k), !k->wild,
				      k->wild ? wild_loop : calm_loop, k->code + k->n, &k->rng);
	else if (kind < 47)
		put_if(k, depth);
	else if (kind < 55)
		put_counted(k, depth);
	else if (kind < 57)
		put_switch(k, depth);
	else if (kind < 58)
		put_dispatch(k, depth);
	else if (kind < 63)
		put_pushes(k, depth);
	else if (kind < 71)
		put_call(k);
	else if (kind < 76)
		put_call_table(k);
	else if (kind < 82)
		put_site(k);
	else if (kind < 87)
		put_patch(k);
	else if (kind < 90)
		put_odd_returns(k);
	else if (kind < 92)
		put_syscall(k);
	else
		put_local(k);
}

/* A function: fuel, registers pushed, a frame, perhaps itself again, its statements. */
static void put_function(struct make *k, unsigned f)
{
	unsigned pushes = below(k, 5), recursive = one_in(k, 4), w = k->bits / 8;
	unsigned again = 0;
	uint64_t cell = new_cell(k);

	if (room(k, 900))
		k->n += one_in(k, 3) ? below(k, 300) : below(k, 16);
	if (room(k, 5000) && one_in(k, 3)) /* the first instruction crosses a page */
		k->n = (unsigned)align_up(k->n, 0x1000) - 1 - below(k, 8);
	k->func = f;
	k->func_at[f] = here(k);
	use_fuel(k);
	if (recursive) {
		/* the depth counts down and then starts again */
		op_abs(k, 0xff, 1, cell);
		again = jcc_near(k, CC_S);
		push_args(k, k->args[f]);
		byte(k, 0xe8);
		later(k, FIX_REL_FUNC, k->n, f);
		imm(k, near_len(k), 0);
		land(k, again);
		op_abs(k, 0x81, 4, cell); /* and dword [cell], mask */
		imm(k, 4, 3u << below(k, 4) & 31);
		pushes = 0;
	}
	for (unsigned i = 0; i < pushes; i++)
		byte(k, 0x50 | (X86_RBX + i * (i > 0) + (i > 0)));
	k->locals = recursive ? 0 : below(k, 6) * 8;
	if (k->locals) {
		if (k->bits == 64)
			byte(k, 0x48);
		dword(k);
		byte(k, 0x83); /* sub rsp, locals */
		byte(k, 0xec);
		byte(k, k->locals);
		put_local(k);
	}
	put_body(k, 0, 2 + below(k, 8));
	if (k->locals) {
		if (k->bits == 64)
			byte(k, 0x48);
		dword(k);
		byte(k, 0x83);
		byte(k, 0xc4);
		byte(k, k->locals);
	}
	for (unsigned i = pushes; i--;)
		byte(k, 0x58 | (X86_RBX + i * (i > 0) + (i > 0)));
	k->locals = 0;
	byte(k, k->args[f] ? 0xc2 : 0xc3);
	if (k->args[f])
		imm(k, 2, (uint64_t)k->args[f] * w);
}

static void put_loop_of_all(struct make *k)
{
	unsigned tops = 4 + below(k, TOPS - 3), top;
	uint64_t table = TABLE_TOPS;

	k->func = FUNCS;
	k->p->start = k->p->recover = here(k) - base(k);
	/* after a fault at the next of the statements */
	mov_ri(k, X86_RSP, (uint32_t)(PROG_STACK - base(k)));
	dword(k);
	byte(k, 0x83); /* sub dword [fuel], 8 */
	abs_operand(k, 5, CELL_FUEL);
	byte(k, 8);
	jcc_end(k, CC_S);
	/* por mm0, mm0: processors turn to MMX state before an access of such an instruction
	 * faults, engines do not, and here it is not run again */
	byte(k, 0x0f);
	byte(k, 0xeb);
	byte(k, 0xc0);
	if (one_in(k, 2)) { /* emms */
		byte(k, 0x0f);
		byte(k, 0x77);
	}
	op_abs(k, 0xff, 0, CELL_FAULTS);
	op_abs(k, 0x8b, X86_RAX, CELL_FAULTS);
	op_ri(k, 4, X86_RAX, TOPS - 1);
	through_table(k, 4, X86_RAX, table);
	top = k->n;
	mov_ri(k, X86_RSP, (uint32_t)(PROG_STACK - base(k)));
	op_abs(k, 0xff, 0, CELL_ROUND);
	use_fuel(k);
	for (unsigned i = 0; i < tops; i++) {
		for (unsigned t = i; t < TOPS; t += tops)
			put_pointer(k, table, t, here(k));
		if (k->hot && one_in(k, 3) && room(k, 600))
			put_counted(k, 0);
		else if (one_in(k, 2))
			put_call(k);
		else
			put_stmt(k, 0);
	}
	jump_back(k, -1, top);
}

static void fix_one(struct make *k, const struct fix *f)
{
	unsigned w = near_len(k), kind, n, first, callee;

	switch (f->kind) {
	case FIX_REL_FUNC:
		st_le(k->code + f->at, w, k->func_at[f->arg] - (PROG_CODE + f->at + w));
		break;
	case FIX_REL_END:
		st_le(k->code + f->at, w, k->p->end + base(k) - (PROG_CODE + f->at + w));
		break;
	case FIX_CELL_FUNC: put_pointer(k, NATIVE_BASE + f->at, 0, k->func_at[f->arg]); break;
	case FIX_SITE: /* any one; the cells when there is none */
		kind = f->arg & 15;
		n = k->n_site[kind];
		st_le(k->code + f->at, w,
		      (n ? (uint64_t)PROG_CODE + k->site[kind][(f->arg >> 4) % n]
			 : PROG_CELLS + 0xff0u) -
			      base(k));
		break;
	case FIX_CALL_PATCH: /* of one of the calls, to a function behind it that takes as much */
		n = k->n_site[SITE_CALL];
		st_le(k->code + f->at, w, PROG_CELLS + 0xff0u - base(k));
		if (!n)
			break;
		n = f->arg % n;
		first = callee = k->site_func[n];
		for (unsigned i = 0; i < 4; i++) {
			unsigned c = first + (f->arg >> 4 >> i) % (FUNCS - first);

			if (k->args[c] == k->args[first])
				callee = c;
		}
		st_le(k->code + f->at, w, PROG_CODE + k->site[SITE_CALL][n] - base(k));
		st_le(k->code + f->at + w, w,
		      k->func_at[callee] - (PROG_CODE + k->site[SITE_CALL][n] + w));
		break;
	}
}

static void make_image(struct make *k)
{
	uint64_t *word = (uint64_t *)(void *)k->p->image, x = k->rng;
	struct native_case c = {.mem_seed = k->rng};

	memset(k->p->image, 0, PROG_LOW_SIZE);
	for (unsigned i = PROG_LOW_SIZE / 8; i < PROG_IMAGE / 8; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		word[i] = x ^ x >> 32;
	}
	native_fill(&c, k->p->image + (NATIVE_DATA - NATIVE_BASE));
	memset(k->code, 0xcc, PROG_CODE_SIZE);
}

void prog_make(struct prog *p, uint64_t id, unsigned bits, const struct cpu_model *model)
{
	static struct make make;
	static struct native_case start;
	struct make *k = &make;

	memset(k, 0, sizeof(*k));
	k->p = p;
	k->bits = bits;
	k->rng = id * 0x9e3779b97f4a7c15ull | 1;
	for (unsigned i = 0; i < 4; i++)
		rnd(k);
	k->wild = one_in(k, 2);
	k->hot = one_in(k, 4);
	k->m = (struct diff_maker){.bits = bits, .model = model};
	k->code = p->image + (PROG_CODE - NATIVE_BASE);
	memset(p, 0, offsetof(struct prog, image));
	p->id = id;
	p->bits = (uint8_t)bits;
	diff_generate_state(&start, id, bits, true, model);
	p->state = start.state;
	make_image(k);
	for (unsigned f = 0; f < FUNCS; f++)
		k->args[f] = one_in(k, 3) ? 1 + below(k, 3) : 0;
	put_loop_of_all(k);
	for (unsigned f = 0; f < FUNCS; f++)
		put_function(k, f);
	p->end = here(k) - base(k);
	byte(k, 0x0f);
	byte(k, 0x0b);
	for (unsigned i = 0; i < k->n_fix; i++)
		fix_one(k, &k->fix[i]);
	p->code_len = k->n;
	p->insns = (unsigned)k->m.insns;
	st_le32(p->image + (CELL_FUEL - NATIVE_BASE),
		k->hot ? 60000u << below(k, 3) : 500u << below(k, 6));
	st_le32(p->image + (CELL_RANDOM - NATIVE_BASE), (uint32_t)rnd(k));
	p->state.rip = p->start;
}

uint64_t prog_page(unsigned i, enum prog_access *ret_access)
{
	if (i >= PROG_LOW_SIZE / 0x1000) {
		*ret_access = PROG_RW;
		return PROG_FAR + (uint64_t)(i - PROG_LOW_SIZE / 0x1000) * 0x1000;
	}
	*ret_access = i == 0 || i == 7 || i == 10 || i == 13 ? PROG_NONE
		      : i >= 2 && i < 7                      ? PROG_RWX
		      : i == 11                              ? PROG_RO
							     : PROG_RW;
	return NATIVE_BASE + (uint64_t)i * 0x1000;
}
