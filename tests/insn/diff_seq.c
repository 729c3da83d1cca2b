/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sequences of random instructions for -seq: straight code with short jumps forward, groups of
 * accesses off one register, short loops. What they are made of serves programs (prog_make.c), too.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/bits.h"
#include "diff.h"

/* Instructions that may stand in a sequence: no jumps, nothing that changes segments or traps, no
 * long repeats, no clock. */
static bool in_sequence(const struct insn *in)
{
	if (in->flags & (INSN_ENDS | INSN_REP | INSN_REPNE))
		return false;
	return in->special == SP_NONE || in->special == SP_LEA ||
	       (in->special >= SP_PUSH_REG && in->special <= SP_SCAS && in->special != SP_POPF) ||
	       (in->special >= SP_GATHER && in->special <= SP_SALC && in->special != SP_UD);
}

/* Those of a calm sequence: what would unmask exceptions or leave the data pages is left out. */
bool diff_in_calm_sequence(const struct insn *in)
{
	if (in->code_bits == 32 && in->addrsize == 2) /* cannot reach the data pages */
		return false;
	switch (in->special) {
	case SP_BOUND:
	case SP_FLDENV:
	case SP_FRSTOR:
	case SP_FXRSTOR:
	case SP_XRSTOR:
	case SP_LDMXCSR: return false;
	case SP_ENTER: return (uint16_t)in->imm < 0x100;
	case SP_BT_MEM: return in->reg != in->base && in->reg != in->index;
	default: break;
	}
	/* FLDCW */
	return in_sequence(in) && !(in->flags & INSN_FPU && in->opcode == 0xd9 &&
				    in->flags & INSN_MEM && (in->modrm >> 3 & 7) == 5);
}

/* mov of what register @g had when the instruction was generated */
unsigned diff_put_mov(uint8_t *code, unsigned bits, unsigned g, uint64_t val)
{
	unsigned n = 0, w = bits == 64 ? 8 : 4;

	if (g > 15 || (bits != 64 && g > 7))
		return 0;
	if (bits == 16)
		code[n++] = 0x66;
	if (bits == 64)
		code[n++] = (uint8_t)(0x48 | g >> 3);
	code[n++] = (uint8_t)(0xb8 | (g & 7));
	memcpy(code + n, &val, w);
	return n + w;
}

/* mov [DIFF_EXIT], al: leaves flags and registers alone */
static unsigned put_exit(uint8_t *code, unsigned bits)
{
	unsigned n = 0;

	if (bits == 64) {
		code[n++] = 0x88;
		code[n++] = 0x04;
		code[n++] = 0x25;
	} else {
		code[n++] = 0xa2;
	}
	st_le32(code + n, bits == 16 ? DIFF_EXIT - NATIVE_BASE : DIFF_EXIT);
	return n + (bits == 16 ? 2 : 4);
}

/* jmp [the word behind it], which holds the address after that; @at is its own. Ends a block. */
static unsigned put_jump(uint8_t *code, unsigned bits, uint64_t at)
{
	unsigned w = bits / 8, n = bits == 16 ? 4 : 6;

	code[0] = 0xff;
	code[1] = bits == 16 ? 0x26 : 0x25;
	st_le(code + 2, n - 2, bits == 64 ? 0 : at + n);
	st_le(code + n, w, at + n + w);
	return n + w;
}

/*
 * Several accesses off one register, as compilers write them for the fields of a structure and for
 * spilled registers: translators may check them at once. Near the edges of the data pages unless
 * @calm, and sometimes the register moves on between two of them.
 */
unsigned diff_put_group(uint8_t *code, unsigned bits, bool calm, uint64_t *rng)
{
	static const uint8_t ops[] = {0x8b, 0x89, 0x03, 0x01, 0x3b, 0x39, 0x8a, 0x88,
				      0x33, 0x29, 0x10, 0x11, 0xb6, 0xb7, 0x86, 0x63};
	static const uint8_t base16[] = {X86_RSI, X86_RDI, X86_RBX}, rm16[] = {4, 5, 7};
	static const uint64_t edges[] = {NATIVE_DATA, NATIVE_HOLE, NATIVE_RO, NATIVE_DATA2,
					 NATIVE_DATA2 + 0x1000};
	uint64_t r = diff_xorshift(rng), at;
	unsigned n = 0, k = (unsigned)(r >> 8) % 3, base = bits == 16 ? base16[k] : (r >> 8) & 7;
	unsigned accesses = 2 + (unsigned)(r >> 16) % 6;
	bool far = (r >> 24) % 4 == 0;

	if (base == X86_RSP)
		base = X86_RBP;
	at = calm ? NATIVE_DATA + 0x800 + (r >> 32) % 0x1000
		  : edges[(r >> 28) % ARRAY_SIZE(edges)] + (r >> 32) % 256 - 128;
	n += diff_put_mov(code, bits, base, at - (bits == 16 ? NATIVE_BASE : 0));
	for (unsigned i = 0; i < accesses; i++) {
		uint8_t op, mod;
		unsigned reg;

		r = diff_xorshift(rng);
		reg = r >> 8 & 7;
		while (calm && (reg % 4 == base % 4 || reg == X86_RSP))
			reg = (reg + 1) % 8; /* not the base, nor a byte of it */
		op = ops[r % ARRAY_SIZE(ops)];
		mod = (uint8_t)((far ? 0x80 : 0x40) | reg << 3 | (bits == 16 ? rm16[k] : base));
		if (op == 0x63 && bits != 64)
			op = 0x8b;
		if (bits == 64 && (r >> 16) % 2)
			code[n++] = (uint8_t)(0x40 | (r >> 17 & 1) << 3 | (r >> 18 & 1) << 2);
		if (op == 0x10 || op == 0x11 || op == 0xb6 || op == 0xb7)
			code[n++] = 0x0f;
		code[n++] = op;
		code[n++] = mod;
		if (!far) {
			code[n++] = (uint8_t)(r >> 24);
		} else {
			unsigned w = bits == 16 ? 2 : 4;

			st_le(code + n, w, (uint64_t)((int64_t)(r >> 24 & 0x7ff) - 0x400));
			n += w;
		}
		if (r >> 40 & 1 && (r >> 41) % 8 == 0) { /* lea base, [base + 8] */
			code[n++] = 0x8d;
			code[n++] = (uint8_t)(0x40 | base << 3 | (bits == 16 ? rm16[k] : base));
			code[n++] = 8;
		}
	}
	return n;
}

/* RCX counts the turns. */
static bool in_loop(const struct insn *in)
{
	return in_sequence(in) && !((in->gpr_read | in->gpr_written) & 1u << X86_RCX);
}

bool diff_in_calm_loop(const struct insn *in)
{
	if (in->special == SP_ENTER || in->special == SP_LEAVE)
		return false; /* the stack would not be where it was */
	if (in->map == MAP_1 && in->enc == ENC_LEGACY && (in->opcode & 0xfe) == 0xf6 &&
	    (in->modrm & 0x30) == 0x30)
		return false; /* a quotient becomes too large in one of the turns */
	return diff_in_calm_sequence(in) && in_loop(in);
}

/* add base, +-n: a pointer that moves by the same each turn, away from the nearer end of the pages
 * if
 * @calm */
static unsigned put_step(uint8_t *code, unsigned bits, const struct insn *in, const uint64_t *gpr,
			 bool calm, uint64_t r)
{
	unsigned n = 0, g = in->base;
	uint64_t at = gpr[g] + (uint64_t)in->disp;
	int step = (int)(r % 33) - 16;

	if (in->index < 16)
		at += gpr[in->index] << in->scale;
	if (calm)
		step = at & 0x1000 ? -abs(step) : abs(step);

	if (bits == 64)
		code[n++] = (uint8_t)(0x48 | g >> 3);
	code[n++] = 0x83;
	code[n++] = (uint8_t)(0xc0 | (g & 7));
	code[n++] = (uint8_t)step;
	return n;
}

/* Can @in, whose pointers are @regs, be in a loop with those that use @pointers and write @written,
 * turn after turn? */
static bool keeps_pointers(const struct insn *in, uint32_t regs, uint32_t pointers,
			   uint32_t written)
{
	uint32_t moves = in->special >= SP_MOVS && in->special <= SP_SCAS
				 ? 1u << X86_RSI | 1u << X86_RDI
			 : in->flags & INSN_STACK ? 1u << X86_RSP
						  : 0;

	return !(regs & (pointers | written)) && !(in->gpr_written & pointers) &&
	       !(in->gpr_written & regs & ~moves);
}

enum { LOOP_PIECES = 4 };

/* One turn less is left in ECX, ZF says whether any: counted down, or in bits, so that no register
 * moves by a constant. */
static unsigned put_turn(uint8_t *code, bool in_bits)
{
	static const uint8_t down[] = {0xff, 0xc9};              /* dec ecx */
	static const uint8_t shift[] = {0xd1, 0xe9, 0x85, 0xc9}; /* shr ecx; test ecx, ecx */

	memcpy(code, in_bits ? shift : down, in_bits ? sizeof(shift) : sizeof(down));
	return in_bits ? sizeof(shift) : sizeof(down);
}

/* A short loop of 2 to 41 turns. @off: where it stands from c->code_off. */
unsigned diff_put_loop(struct diff_maker *r, const struct native_case *c, unsigned off, uint64_t id,
		       bool calm, bool (*wanted)(const struct insn *in), uint8_t *code,
		       uint64_t *rng)
{
	static struct native_case piece[LOOP_PIECES];
	const struct cpu_model *model = r->model;
	unsigned n = 0, head, bits = r->bits, pieces = 1 + diff_xorshift(rng) % LOOP_PIECES;
	uint32_t regs[LOOP_PIECES], pointers = 0, written = 0;
	struct insn in[LOOP_PIECES];
	uint64_t turns;
	bool in_bits;
	int64_t back;

	for (unsigned i = 0; i < pieces; i++) {
		for (unsigned t = 0; t < 16; t++) {
			regs[i] = diff_generate_piece(&piece[i], id + i + ((uint64_t)t << 60), bits,
						      calm, model, wanted, &in[i]);
			regs[i] &= ~(1u << X86_RCX) & (bits == 64 ? 0xffff : 0xff);
			if (!calm || keeps_pointers(&in[i], regs[i], pointers, written))
				break;
		}
		pointers |= regs[i];
		written |= in[i].gpr_written;
		for (uint32_t m = regs[i]; m; m &= m - 1) {
			unsigned g = (unsigned)__builtin_ctz(m);

			n += diff_put_mov(code + n, bits, g, piece[i].state.gpr[g]);
		}
	}
	in_bits = diff_xorshift(rng) % 3 == 0;
	turns = 2 + diff_xorshift(rng) % (r->exits ? 6 : 40);
	if (in_bits)
		turns = (1ull << MIN(turns, bits == 16 ? 15u : 31u)) - 1;
	n += diff_put_mov(code + n, bits, X86_RCX, turns);
	head = n;
	for (unsigned i = 0; i < pieces; i++) {
		unsigned base = in[i].base;

		if (r->exits)
			n += put_exit(code + n, bits);
		memcpy(code + n, piece[i].code, piece[i].code_len);
		if (in[i].flags & INSN_RIP_REL)
			st_le32(code + n + in[i].off_disp, ld_le32(code + n + in[i].off_disp) +
								   piece[i].code_off - c->code_off -
								   off - n);
		n += piece[i].code_len;
		r->insns++;
		if (base < 16 && regs[i] >> base & 1 && base != X86_RSP && diff_xorshift(rng) & 3)
			n += put_step(code + n, bits, &in[i], piece[i].state.gpr, calm,
				      diff_xorshift(rng));
	}
	n += put_turn(code + n, in_bits);
	back = (int64_t)head - n;
	if (back >= -126) {
		code[n++] = 0x75; /* jnz */
		code[n++] = (uint8_t)(back - 2);
		return n;
	}
	code[n++] = 0x0f;
	code[n++] = 0x85;
	st_le(code + n, bits == 16 ? 2 : 4, (uint64_t)(back - (bits == 16 ? 4 : 6)));
	return n + (bits == 16 ? 2 : 4);
}

unsigned diff_make_sequence(struct diff_maker *r, uint64_t id, struct native_case *c, uint8_t *code)
{
	static struct native_case piece;
	uint64_t rng = id | 1;
	const struct cpu_model *model = r->model;
	unsigned n = 0, pieces = 5 + (unsigned)(diff_xorshift(&rng) % 46);
	bool calm = diff_xorshift(&rng) & 1;
	uint64_t at;
	struct insn in;

	diff_generate_state(c, id, r->bits, calm, model);
	if (r->groups)
		return diff_make_groups(c, id, r->bits, code);
	c->code_off = (uint16_t)(diff_xorshift(&rng) % 0x1800);
	at = NATIVE_CODE + c->code_off - (r->bits == 16 ? NATIVE_BASE : 0);
	for (unsigned i = 0; i < pieces && n + 128 < DIFF_SEQ_BYTES; i++) {
		uint32_t regs;

		if (diff_xorshift(&rng) % 8 == 0) {
			n += diff_put_group(code + n, r->bits, calm, &rng);
			r->insns += 5;
			continue;
		}
		if (r->loops && diff_xorshift(&rng) & 1 && n + DIFF_LOOP_ROOM < DIFF_SEQ_BYTES) {
			n += diff_put_loop(r, c, n, id + 64 + i * LOOP_PIECES, calm,
					   calm ? diff_in_calm_loop : in_loop, code + n, &rng);
			continue;
		}
		regs = diff_generate_piece(&piece, id + i, r->bits, calm, model,
					   calm ? diff_in_calm_sequence : in_sequence, &in);

		/* most find memory where they were meant to */
		if (calm || diff_xorshift(&rng) % 16)
			for (; regs; regs &= regs - 1) {
				unsigned g = (unsigned)__builtin_ctz(regs);

				n += diff_put_mov(code + n, r->bits, g, piece.state.gpr[g]);
			}
		if (r->exits)
			n += put_exit(code + n, r->bits);
		/* each exit costs the translation of all that follows in the block */
		if (diff_xorshift(&rng) % (r->exits ? 4 : 24) == 0)
			n += put_jump(code + n, r->bits, at + n);
		if (diff_xorshift(&rng) % 4 == 0) { /* jcc over the instruction */
			code[n++] = (uint8_t)(0x70 | (diff_xorshift(&rng) & 15));
			code[n++] = piece.code_len;
		}
		memcpy(code + n, piece.code, piece.code_len);
		if (in.flags & INSN_RIP_REL)
			st_le32(code + n + in.off_disp,
				ld_le32(code + n + in.off_disp) + piece.code_off - c->code_off - n);
		n += piece.code_len;
		r->insns++;
	}
	if (r->exits)
		n += put_exit(code + n, r->bits);
	return n;
}
