/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random instructions and states for differential execution. A case is a function of its id alone.
 *
 * Bytes are drawn opcode by opcode, so that rare ones come as often as common ones, decoded with
 * our decoder, and kept when the instruction can run natively at CPL 3 with a result that depends
 * on the state given here only. Then registers and displacements are solved so that memory operands
 * fall on the data pages: mostly inside, often over their edges, sometimes anywhere.
 */
#include "diff.h"

#include <string.h>

#include "base/base.h"
#include "base/bits.h"

struct gen {
	uint64_t rng;
	struct native_case *c;
	struct insn *in;
	uint32_t fixed; /* GPRs that hold an address or count already */
	bool calm;      /* operands are where they can be accessed, nothing is unmasked */
	bool (*wanted)(const struct insn *in);
};

static uint64_t rnd(struct gen *g)
{
	return diff_xorshift(&g->rng);
}

static unsigned below(struct gen *g, unsigned n)
{
	return (unsigned)((rnd(g) >> 32) * n >> 32);
}

static bool one_in(struct gen *g, unsigned n)
{
	return below(g, n) == 0;
}

/* ---- instruction bytes ---- */

static const struct allowed {
	uint8_t special;
} specials[] = {
#define A(name) {SP_##name},
	/* clang-format off */
	A(NONE) A(JCC) A(JMP_REL) A(JMP_IND) A(CALL_REL) A(CALL_IND) A(RET) A(LOOP) A(JCXZ)
	A(PUSH_REG) A(PUSH_IMM) A(PUSH_MEM) A(PUSHF) A(PUSHA) A(POP_REG) A(POP_MEM) A(POPF) A(POPA)
	A(ENTER) A(LEAVE) A(MOVS) A(CMPS) A(STOS) A(LODS) A(SCAS) A(INS) A(OUTS) A(IN) A(OUT)
	A(JMP_FAR) A(CALL_FAR) A(RETF) A(INTO) A(IRET) A(SYSRET) A(SYSEXIT) A(RSM)
	A(MOV_FROM_SEG) A(MOV_TO_SEG) A(PUSH_SEG) A(POP_SEG) A(LOAD_FAR_PTR) A(ARPL) A(LAR) A(LSL)
	A(VERR) A(VERW) A(LLDT) A(LTR) A(LGDT) A(LIDT) A(CLI) A(STI) A(CLAC) A(STAC) A(HLT) A(CLTS)
	A(LMSW) A(MOV_FROM_CR) A(MOV_TO_CR) A(MOV_FROM_DR) A(MOV_TO_DR) A(INVLPG) A(INVPCID) A(INVD)
	A(WBINVD) A(RDMSR) A(WRMSR) A(SWAPGS) A(RDFSGSBASE) A(WRFSGSBASE) A(XSETBV) A(MONITOR) A(MWAIT)
	A(SERIALIZE) A(FXSAVE) A(FXRSTOR) A(XSAVE) A(XSAVEC) A(XSAVES) A(XRSTOR) A(XRSTORS)
	A(FNSTENV) A(FLDENV) A(FNSAVE) A(FRSTOR) A(LDMXCSR) A(STMXCSR)
	A(GATHER) A(VMASKMOV) A(MASKMOVDQU) A(MASKMOVQ) A(CLD) A(STD) A(XLAT) A(BOUND) A(NOP_MEM)
	A(CLFLUSH) A(PAUSE) A(UD) A(BT_MEM) A(LEA)
	A(AAA) A(AAS) A(DAA) A(DAS) A(AAM) A(AAD) A(SALC)
/* clang-format on */
#undef A
};

/* Deterministic at CPL 3, and the same on this host as on the model? */
static bool usable(const struct insn *in, const struct cpu_model *model)
{
	if (in->feature && (in->feature == X86_FEAT_NEVER || !cpu_model_has(model, in->feature)))
		return false;
	if (in->feature == X86_FEAT_RDRAND || in->feature == X86_FEAT_RDSEED)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(specials); i++)
		if (specials[i].special == in->special)
			return true;
	return false;
}

static unsigned put_prefixes(struct gen *g, uint8_t *b, unsigned bits)
{
	static const uint8_t segs[6] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
	unsigned n = 0;

	if (one_in(g, 4))
		b[n++] = 0x66;
	if (one_in(g, 8))
		b[n++] = segs[below(g, 6)];
	if (one_in(g, 4))
		b[n++] = one_in(g, 2) ? 0xf2 : 0xf3;
	if (one_in(g, 12))
		b[n++] = 0x67;
	if (one_in(g, 12))
		b[n++] = 0xf0;
	if (bits == 64 && one_in(g, 2))
		b[n++] = 0x40 | (uint8_t)below(g, 16);
	return n;
}

static unsigned put_vex(struct gen *g, uint8_t *b, unsigned bits)
{
	uint8_t vvvv = one_in(g, 3) ? 15 : (uint8_t)below(g, 16), low;
	unsigned n = 0;

	if (one_in(g, 10))
		b[n++] = one_in(g, 2) ? 0x67 : 0x64;
	low = (uint8_t)(vvvv << 3 | below(g, 2) << 2 | (one_in(g, 3) ? below(g, 4) : 1));
	if (one_in(g, 4)) {
		b[n++] = 0xc5;
		b[n++] = low | (bits == 64 ? (uint8_t)below(g, 2) << 7 : 0xc0);
	} else {
		b[n++] = 0xc4;
		b[n++] = (uint8_t)((bits == 64 ? below(g, 8) << 5 : 0xe0) | (1 + below(g, 3)));
		b[n++] = low | (uint8_t)below(g, 2) << 7;
	}
	b[n++] = (uint8_t)rnd(g);
	return n;
}

static void draw_bytes(struct gen *g, unsigned bits, const struct cpu_model *model)
{
	uint8_t b[40];

	for (;;) {
		unsigned n, kind = below(g, 100);
		uint64_t tail[3] = {rnd(g), rnd(g), rnd(g)};

		if (kind < 22) {
			n = put_vex(g, b, bits);
		} else {
			n = put_prefixes(g, b, bits);
			if (kind < 28) {
				b[n++] = 0xd8 | (uint8_t)below(g, 8);
			} else if (kind < 55) {
				b[n++] = (uint8_t)rnd(g);
			} else {
				b[n++] = 0x0f;
				if (kind >= 88)
					b[n++] = one_in(g, 2) ? 0x38 : 0x3a;
				b[n++] = (uint8_t)rnd(g);
			}
		}
		memcpy(b + n, tail, sizeof(tail));
		if (insn_decode(b, 15, bits, g->in) == DECODE_OK && usable(g->in, model) &&
		    (!g->wanted || g->wanted(g->in)))
			break;
	}
	memcpy(g->c->code, g->in->bytes, 16);
	g->c->code_len = g->in->len;
}

/* ---- state ---- */

static uint64_t random_gpr(struct gen *g)
{
	uint64_t x = rnd(g);

	switch (below(g, 8)) {
	case 0: return x & 0xff;
	case 1: return x % 5 - 2;
	case 2: return 1ull << (x & 63);
	case 3: return (1ull << (x & 63)) - 1;
	case 4: return (uint64_t)(int64_t)(int32_t)x;
	case 5: return NATIVE_DATA + (x & 0x1fff);
	default: return x;
	}
}

/* Single and double patterns with the values where floating point goes wrong. */
static uint32_t random_single(struct gen *g)
{
	static const uint32_t odd[] = {0,          0x80000000, 1,          0x807fffff,
				       0x00800000, 0x7f7fffff, 0x7f800000, 0xff800000,
				       0x7fc00000, 0xffc12345, 0x7f800001, 0x3f800000,
				       0xbf800000, 0x4f000000, 0xcf000000, 0x4b7fffff};

	if (one_in(g, 3))
		return odd[below(g, ARRAY_SIZE(odd))];
	if (one_in(g, 2)) /* near 1: sums and roots are interesting */
		return 0x3f000000 + (uint32_t)(rnd(g) % 0x2000000);
	return (uint32_t)rnd(g);
}

static uint64_t random_double(struct gen *g)
{
	static const uint64_t odd[] = {0,
				       1ull << 63,
				       1,
				       0x000fffffffffffff,
				       0x0010000000000000,
				       0x7fefffffffffffff,
				       0x7ff0000000000000,
				       0xfff0000000000000,
				       0x7ff8000000000000,
				       0xfff8000000012345,
				       0x7ff0000000000001,
				       0x3ff0000000000000,
				       0x41e0000000000000,
				       0xc1e0000000000000,
				       0x43e0000000000000,
				       0x36a0000000000000};

	if (one_in(g, 3))
		return odd[below(g, ARRAY_SIZE(odd))];
	if (one_in(g, 2))
		return 0x3fe0000000000000 + rnd(g) % 0x0040000000000000;
	return rnd(g);
}

static void random_vector(struct gen *g, uint8_t *p, unsigned size)
{
	unsigned kind = below(g, 4);

	for (unsigned i = 0; i < size; i += 8) {
		if (kind == 0)
			st_le64(p + i, random_double(g));
		else if (kind == 1)
			st_le64(p + i, random_single(g) | (uint64_t)random_single(g) << 32);
		else if (kind == 2)
			st_le64(p + i, rnd(g));
		else
			st_le64(p + i, random_gpr(g));
	}
}

/* An x87 register: normal, special, and the encodings only memory can produce. */
static void random_st(struct gen *g, uint8_t *p)
{
	uint64_t mant = rnd(g) | 1ull << 63;
	uint16_t exp = (uint16_t)(16383 - 40 + below(g, 80));

	switch (below(g, 10)) {
	case 0:
		mant = 0;
		exp = 0;
		break;
	case 1: mant = 1ull << 63; break;
	case 2:
		exp = 0x7fff;
		mant = 1ull << 63;
		break;
	case 3: exp = 0x7fff; break;
	case 4:
		exp = 0;
		mant = rnd(g);
		break;                     /* denormal, pseudo-denormal */
	case 5: mant = rnd(g) >> 1; break; /* unnormal */
	case 6: exp = (uint16_t)rnd(g) & 0x7fff; break;
	case 7: mant = (uint64_t)below(g, 1000) << 53 | 1ull << 63; break;
	default: break;
	}
	st_le64(p, mant);
	st_le16(p + 8, exp | (uint16_t)(one_in(g, 2) ? 0x8000 : 0));
}

static void random_fpu(struct gen *g)
{
	uint8_t *x = g->c->state.xsave;
	uint16_t fcw = 0x37f, fsw;
	uint32_t mxcsr = 0x1f80;

	memset(x, 0, NATIVE_XSAVE);
	if (one_in(g, 2))
		fcw = (uint16_t)((fcw & 0x7f) | below(g, 16) << 8);
	if (one_in(g, 8) && !g->calm)
		fcw &= (uint16_t)~below(g, 64); /* unmask some */
	fsw = (uint16_t)(below(g, 8) << 11 | (rnd(g) & 0x4700));
	if (one_in(g, 6))
		fsw |= (uint16_t)below(g, 128);
	if (fsw & ~fcw & 0x3f)
		fsw |= 0x8080; /* ES and B: an unmasked exception is pending */
	st_le16(x, fcw);
	st_le16(x + 2, fsw);
	x[4] = one_in(g, 3) ? (uint8_t)rnd(g) : one_in(g, 2) ? 0xff : 0;
	st_le16(x + 6, (uint16_t)rnd(g) & 0x7ff);
	st_le64(x + 8, NATIVE_CODE + below(g, 0x1000));
	st_le64(x + 16, NATIVE_DATA + below(g, 0x1000));
	if (one_in(g, 2))
		mxcsr |= below(g, 4) << 13 | (one_in(g, 2) ? 0x8040 & (uint32_t)rnd(g) : 0);
	if (one_in(g, 4))
		mxcsr |= below(g, 64);
	if (one_in(g, 8) && !g->calm)
		mxcsr &= ~(below(g, 64) << 7);
	st_le32(x + 24, mxcsr);
	for (unsigned i = 0; i < 8; i++)
		random_st(g, x + 32 + i * 16);
	for (unsigned i = 0; i < 16; i++) {
		random_vector(g, x + 160 + i * 16, 16);
		random_vector(g, x + 576 + i * 16, 16);
	}
	st_le64(x + 512, 7);
}

/* ---- addresses ---- */

/* Where an operand of @size bytes shall start: a linear address. */
static uint64_t pick_target(struct gen *g, unsigned size)
{
	unsigned kind = below(g, g->calm ? 78 : 100);
	uint64_t room = 0x2000 - MIN(size, 0x1000u);

	if (g->c->bits == 16 && !g->calm && one_in(g, 50)) /* over the end of the segment */
		return NATIVE_BASE + 0x10000 - below(g, size + 1);
	if (kind < 55)
		return NATIVE_DATA +
		       below(g, (unsigned)room) / MAX(1u, MIN(size, 64u)) * MAX(1u, MIN(size, 64u));
	if (kind < 68)
		return NATIVE_DATA + below(g, (unsigned)room);
	if (kind < 78) /* over the middle of two pages */
		return NATIVE_DATA + 0x1000 - below(g, MIN(size, 0x800u) + 1);
	if (kind < 88) /* over the edge to the hole */
		return NATIVE_HOLE - below(g, size + 1);
	if (kind < 91)
		return NATIVE_DATA - below(g, size + 1);
	if (kind < 94) /* hole, read-only */
		return NATIVE_RO - below(g, size + 1);
	if (kind < 97)
		return NATIVE_RO + below(g, 0x800);
	if (kind < 99)
		return NATIVE_DATA2 - below(g, size + 1);
	return one_in(g, 2) ? NATIVE_CODE + below(g, 0x1000) : rnd(g);
}

static uint64_t segment_base(const struct gen *g, unsigned seg)
{
	if (seg == X86_FS)
		return NATIVE_FS_BASE;
	if (seg == X86_GS)
		return NATIVE_GS_BASE;
	return g->c->bits == 16 ? NATIVE_BASE : 0;
}

static void set_gpr(struct gen *g, unsigned r, uint64_t val)
{
	g->c->state.gpr[r] = val;
	g->fixed |= 1u << r;
}

/* Put a target in a register that holds an offset of @addrsize bytes; upper bits stay random. */
static void set_offset(struct gen *g, unsigned r, unsigned seg, uint64_t lin, unsigned addrsize)
{
	uint64_t m = mask_bytes(addrsize);

	set_gpr(g, r, (g->c->state.gpr[r] & ~m) | ((lin - segment_base(g, seg)) & m));
}

/* A bit displacement for BT mem,reg and a lane index for gathers shall stay near. */
static unsigned operand_span(struct gen *g)
{
	const struct insn *in = g->in;

	if (in->special == SP_BT_MEM) {
		g->c->state.gpr[in->reg] =
			one_in(g, 4) && !g->calm
				? rnd(g)
				: (uint64_t)(int64_t)((int)below(g, 20000) - 10000);
		g->fixed |= 1u << in->reg;
	}
	return in->mem_size ? in->mem_size : 1;
}

static void place_vsib(struct gen *g, uint64_t target)
{
	const struct insn *in = g->in;
	uint8_t *lo = g->c->state.xsave + 160 + in->index * 16,
		*hi = g->c->state.xsave + 576 + in->index * 16;
	bool wide = in->opcode & 1;

	for (unsigned i = 0; i < 16; i += wide ? 8 : 4) {
		int64_t a = (int)below(g, 200) - 100, b = (int)below(g, 200) - 100;

		st_le(lo + i, wide ? 8 : 4, (uint64_t)a);
		st_le(hi + i, wide ? 8 : 4, (uint64_t)b);
	}
	if (in->base != INSN_NO_REG)
		set_offset(g, in->base, in->seg, target - (uint64_t)in->disp, in->addrsize);
}

static void patch_code(struct gen *g, unsigned off, unsigned len, uint64_t val)
{
	st_le(g->c->code + off, len, val);
	check(insn_decode(g->c->code, 15, g->c->bits, g->in) == DECODE_OK);
}

static void place_memory(struct gen *g)
{
	struct insn *in = g->in;
	uint64_t target, ea, rip;
	unsigned size = operand_span(g);
	bool odd;

	target = pick_target(g, size);
	odd = !g->calm && one_in(g, 6);
	if (in->flags & INSN_ALIGN && !odd)
		target &= ~(uint64_t)(size - 1);
	if (in->special == SP_FXSAVE || in->special == SP_FXRSTOR)
		target &= odd ? ~0ull : ~15ull;
	if (in->special >= SP_XSAVE && in->special <= SP_XRSTORS)
		target &= odd ? ~0ull : ~63ull;
	ea = target - segment_base(g, in->seg);
	if (in->flags & INSN_MOFFS) {
		patch_code(g, in->off_imm, in->imm_len, ea);
		return;
	}
	if (in->special == SP_GATHER) {
		place_vsib(g, target);
		return;
	}
	rip = NATIVE_CODE + g->c->code_off - (g->c->bits == 16 ? NATIVE_BASE : 0) + in->len;
	if (in->base == INSN_NO_REG && in->index == INSN_NO_REG) {
		if (in->disp_len)
			patch_code(g, in->off_disp, in->disp_len,
				   in->flags & INSN_RIP_REL ? ea - rip : ea);
		return;
	}
	ea -= (uint64_t)in->disp;
	if (in->base == INSN_NO_REG) {
		uint64_t v = (ea & mask_bytes(in->addrsize)) >> in->scale;

		set_gpr(g, in->index, v);
		return;
	}
	if (in->index == in->base) {
		set_gpr(g, in->base, (ea & mask_bytes(in->addrsize)) / (1 + (1u << in->scale)));
		return;
	}
	if (in->index != INSN_NO_REG) {
		/* sometimes a small index, else whatever is in the register */
		if (one_in(g, 2))
			set_gpr(g, in->index, below(g, 64));
		ea -= g->c->state.gpr[in->index] << in->scale;
		g->fixed |= 1u << in->index;
	}
	set_offset(g, in->base, in->seg, ea + segment_base(g, in->seg), in->addrsize);
}

static void place_string(struct gen *g)
{
	const struct insn *in = g->in;
	unsigned size = in->mem_size;

	if (in->gpr_read & 1 << X86_RSI)
		set_offset(g, X86_RSI, in->seg, pick_target(g, size), in->addrsize);
	if (in->gpr_read & 1 << X86_RDI)
		set_offset(g, X86_RDI, X86_ES, pick_target(g, size), in->addrsize);
	if (in->flags & (INSN_REP | INSN_REPNE) && !one_in(g, 10))
		set_gpr(g, X86_RCX, one_in(g, 4) ? 0 : below(g, 40));
	else if (in->flags & (INSN_REP | INSN_REPNE) && in->rflags_written)
		/* more would be done in parts, and a fault in a later one shows the flags between
		 */
		set_gpr(g, X86_RCX, below(g, 3000));
	if (one_in(g, 4) && in->gpr_read & 1 << X86_RDI) /* equal runs for repe */
		g->c->state.gpr[X86_RAX] = 0;
}

/* A stack that works, mostly. */
static void place_stack(struct gen *g)
{
	uint64_t sp = NATIVE_DATA + 0x400 + below(g, 0x1800);

	if (!one_in(g, 4))
		sp &= ~7ull;
	if (one_in(g, 10) && !g->calm)
		sp = pick_target(g, 8);
	if (g->c->bits == 16)
		sp -= NATIVE_BASE;
	if (g->c->bits != 64)
		sp = (uint32_t)sp;
	set_gpr(g, X86_RSP, sp);
	if (g->in->special == SP_LEAVE || g->in->special == SP_ENTER)
		set_gpr(g, X86_RBP, one_in(g, 8) && !g->calm ? rnd(g) : sp + below(g, 64) * 8);
}

static uint64_t code_target(struct gen *g)
{
	if (one_in(g, 6))
		return rnd(g);
	return NATIVE_CODE + below(g, NATIVE_CODE_SIZE) - (g->c->bits == 16 ? NATIVE_BASE : 0);
}

/* Bytes in memory that the instruction will load: return addresses, far pointers, selectors. */
static void patch_memory(struct gen *g, uint64_t lin, const void *bytes, unsigned len)
{
	if (lin < NATIVE_DATA || lin + len > NATIVE_HOLE)
		return;
	g->c->patch_off = (uint16_t)(lin - NATIVE_DATA);
	g->c->patch_len = (uint8_t)len;
	memcpy(g->c->patch, bytes, len);
}

/* Not from 16-bit to 64-bit code: whether frames then use the old stack segment is nobody's
 * business. */
static uint16_t random_selector(struct gen *g)
{
	static const uint16_t sel[] = {NATIVE_CS64,
				       NATIVE_CS32,
				       NATIVE_DS32,
				       NATIVE_LDT_CS16,
				       NATIVE_LDT_DS16,
				       NATIVE_LDT_FS,
				       NATIVE_LDT_GS,
				       0,
				       3};
	unsigned first = g->c->bits == 16 ? 1 : 0;
	uint16_t s = sel[first + below(g, ARRAY_SIZE(sel) - first)];

	return one_in(g, 8) ? (uint16_t)(s & ~3u) : s;
}

static uint64_t operand_lin(const struct gen *g)
{
	const struct insn *in = g->in;
	const uint64_t *r = g->c->state.gpr;
	uint64_t a = (uint64_t)in->disp;

	if (in->flags & INSN_RIP_REL)
		a += NATIVE_CODE + g->c->code_off + in->len;
	if (in->base != INSN_NO_REG)
		a += r[in->base];
	if (in->index != INSN_NO_REG && in->special != SP_GATHER)
		a += r[in->index] << in->scale;
	return (a & mask_bytes(in->addrsize)) + segment_base(g, in->seg);
}

static void place_special(struct gen *g)
{
	const struct insn *in = g->in;
	uint64_t *r = g->c->state.gpr, sp = r[X86_RSP] + segment_base(g, X86_SS);
	uint8_t b[48];

	memset(b, 0, sizeof(b));
	switch (in->special) {
	case SP_JMP_IND:
	case SP_CALL_IND:
		st_le64(b, code_target(g));
		if (in->flags & INSN_MEM)
			patch_memory(g, operand_lin(g), b, in->mem_size);
		else
			set_gpr(g, in->rm, ld_le64(b));
		break;
	case SP_RET:
		st_le64(b, code_target(g));
		patch_memory(g, sp, b, in->opsize);
		break;
	case SP_RETF:
		st_le64(b, code_target(g));
		st_le16(b + in->opsize, random_selector(g));
		patch_memory(g, sp, b, in->opsize * 2u);
		break;
	case SP_IRET: {
		unsigned s = in->opsize;

		st_le64(b, code_target(g));
		st_le64(b + s, random_selector(g));
		st_le64(b + 2 * s, rnd(g) & ~(uint64_t)(X86_TF | X86_NT));
		st_le64(b + 3 * s, r[X86_RSP] + below(g, 256));
		st_le64(b + 4 * s, one_in(g, 4) ? random_selector(g) : NATIVE_DS32);
		patch_memory(g, sp, b, g->c->bits == 64 ? s * 5 : s * 3);
		break;
	}
	case SP_JMP_FAR:
	case SP_CALL_FAR:
		if (in->flags & INSN_MEM) {
			st_le64(b, code_target(g));
			st_le16(b + in->opsize, random_selector(g));
			patch_memory(g, operand_lin(g), b, in->mem_size);
		} else if (!one_in(g, 6)) {
			patch_code(g, in->off_imm + in->opsize, 2, random_selector(g));
		}
		break;
	case SP_LOAD_FAR_PTR:
		st_le64(b, rnd(g));
		st_le16(b + in->opsize, random_selector(g));
		patch_memory(g, operand_lin(g), b, in->mem_size);
		break;
	case SP_MOV_TO_SEG:
	case SP_LAR:
	case SP_LSL:
	case SP_VERR:
	case SP_VERW:
		st_le16(b, random_selector(g));
		if (in->flags & INSN_MEM)
			patch_memory(g, operand_lin(g), b, 2);
		else
			r[in->rm] = (r[in->rm] & ~0xffffull) | ld_le16(b);
		break;
	case SP_POP_SEG:
		st_le16(b, random_selector(g));
		patch_memory(g, sp, b, 2);
		break;
	case SP_POPF:
		st_le64(b, rnd(g) & ~(uint64_t)(X86_TF | X86_NT | X86_AC));
		patch_memory(g, sp, b, in->opsize);
		break;
	case SP_XLAT:
		set_offset(g, X86_RBX, in->seg, pick_target(g, 1) - (r[X86_RAX] & 0xff),
			   in->addrsize);
		break;
	case SP_MASKMOVDQU:
		set_offset(g, X86_RDI, in->seg, pick_target(g, 16), in->addrsize);
		break;
	case SP_MASKMOVQ: set_offset(g, X86_RDI, in->seg, pick_target(g, 8), in->addrsize); break;
	case SP_LDMXCSR:
		st_le32(b, (uint32_t)rnd(g) & (one_in(g, 8) ? ~0u : 0xffff));
		patch_memory(g, operand_lin(g), b, 4);
		break;
	case SP_XSAVE:
	case SP_XSAVEC:
	case SP_XRSTOR:
		/* the host may have more components than the model */
		set_gpr(g, X86_RAX, below(g, 8));
		set_gpr(g, X86_RDX, 0);
		break;
	default: break;
	}
}

static void start_case(struct gen *g, uint64_t id, unsigned bits, const struct cpu_model *model)
{
	struct native_case *c = g->c;

	g->rng = id * 0x9e3779b97f4a7c15ull ^ (uint64_t)bits << 56 ^ 0x5bf03635;
	if (!g->rng)
		g->rng = 1;
	for (unsigned i = 0; i < 5; i++)
		rnd(g);
	c->bits = (uint8_t)bits;
	draw_bytes(g, bits, model);
	c->mem_seed = rnd(g);
	c->code_off = (uint16_t)(0x200 + below(g, 0x200));
	if (one_in(g, 16)) /* over the page boundary */
		c->code_off = (uint16_t)(0x1000 - below(g, 15));
	else if (one_in(g, 32)) /* the instruction ends in the hole, or right before it */
		c->code_off = (uint16_t)(NATIVE_CODE_SIZE - 1 - below(g, g->in->len));
	for (unsigned i = 0; i < 16; i++) {
		/* of a piece only what its addresses are made of is used */
		uint64_t r = g->wanted && !(g->in->gpr_read >> i & 1) ? 0 : random_gpr(g);

		c->state.gpr[i] = bits == 64 ? r : (uint32_t)r;
	}
}

static void place_operands(struct gen *g)
{
	const struct insn *in = g->in;

	if (in->flags & INSN_STACK)
		place_stack(g);
	if (in->flags & (INSN_MEM | INSN_MOFFS) || in->special == SP_CLFLUSH)
		place_memory(g);
	if (in->special >= SP_MOVS && in->special <= SP_OUTS)
		place_string(g);
	place_special(g);
	if (g->c->bits != 64)
		for (unsigned i = 0; i < 16; i++)
			g->c->state.gpr[i] = i < 8 ? (uint32_t)g->c->state.gpr[i] : 0;
}

static void random_rest(struct gen *g)
{
	g->c->state.rflags = 2 | X86_IF | (rnd(g) & X86_ARITH) | (one_in(g, 6) ? X86_DF : 0) |
			     (one_in(g, 12) && !g->calm ? X86_AC : 0);
	random_fpu(g);
}

void diff_generate(struct native_case *c, uint64_t id, unsigned bits, const struct cpu_model *model,
		   struct insn *ret_in)
{
	struct gen g = {.c = c, .in = ret_in};

	memset(c, 0, offsetof(struct native_case, mem));
	start_case(&g, id, bits, model);
	random_rest(&g);
	place_operands(&g);
	c->step = (ret_in->flags & INSN_ENDS) != 0 && ret_in->special != SP_POPF;
}

void diff_generate_state(struct native_case *c, uint64_t id, unsigned bits, bool calm,
			 const struct cpu_model *model)
{
	struct insn in;
	struct gen g = {.c = c, .in = &in, .calm = calm};

	memset(c, 0, offsetof(struct native_case, mem));
	start_case(&g, id, bits, model);
	random_rest(&g);
	place_stack(&g);
	if (bits != 64)
		for (unsigned i = 0; i < 16; i++)
			c->state.gpr[i] = i < 8 ? (uint32_t)c->state.gpr[i] : 0;
}

uint32_t diff_generate_piece(struct native_case *c, uint64_t id, unsigned bits, bool calm,
			     const struct cpu_model *model, bool (*wanted)(const struct insn *in),
			     struct insn *ret_in)
{
	struct gen g = {.c = c, .in = ret_in, .calm = calm, .wanted = wanted};

	c->patch_len = 0;
	start_case(&g, id, bits, model);
	place_operands(&g);
	return g.fixed;
}
