/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder: prefixes, opcode maps, ModRM and SIB, operands. Intel SDM vol. 2, chapter 2 and
 * appendix A. What an opcode is comes from the tables; this file holds only what is the same for
 * all of them, plus three odd cases: 90 (NOP, PAUSE, XCHG), C4/C5/62 (VEX and EVEX against LES, LDS
 * and BOUND), MOV CR/DR (mod ignored).
 *
 * The bytes are copied once into a zero-filled buffer longer than any encoding can reach, and `pos`
 * runs on without a check for each byte. Every way out goes through finish(), which looks at how
 * far pos got: beyond the bytes given is DECODE_SHORT, beyond 15 DECODE_TOO_LONG, whatever was
 * concluded from the zeros. So a verdict only ever depends on bytes that were there.
 */
#include "engine/decode/insn.h"

#include <string.h>

#include "base/base.h"
#include "base/bits.h"
#include "engine/decode/tables.h"

static const struct flag_set flag_sets[FL_COUNT] = {
#define FL(name, r, w, u) {r, w, u},
	FLAG_SETS(FL)
#undef FL
};

static const struct implicit_set implicit_sets[IM_COUNT] = {
#define IM(name, r, w) {r, w},
	IMPLICIT_SETS(IM)
#undef IM
};

/* Bytes that are prefixes: the PFX_ bit, and for segments the register in seg_of[]. */
static const uint8_t prefix_of[256] = {
	[0x26] = PFX_SEG,  [0x2e] = PFX_SEG, [0x36] = PFX_SEG, [0x3e] = PFX_SEG,
	[0x64] = PFX_SEG,  [0x65] = PFX_SEG, [0x66] = PFX_66,  [0x67] = PFX_67,
	[0xf0] = PFX_LOCK, [0xf2] = PFX_F2,  [0xf3] = PFX_F3,  [0x40 ... 0x4f] = PFX_REX,
};

static const struct row row_nop = COPY(0, NONE, 0);
static const struct row row_pause = SPEC(PAUSE, 0, NONE, NONE, 0);
static const struct row row_invalid;

struct dec {
	struct insn *in;
	unsigned n, pos;
	bool mode64, vex;
	uint8_t pp, w, l, vvvv; /* vvvv: the register, 0..15 (0..7 outside 64-bit mode) */
	uint8_t seg_override;
	uint8_t mod, rm;           /* of ModRM, without REX */
	bool vvvv_used, vvvv_none; /* an operand needs it; all four bits are ones */
	uint8_t buf[48] __attribute__((aligned(16)));
};

static enum decode_result finish(struct dec *d, enum decode_result r)
{
	struct insn *in = d->in;
	unsigned avail = d->n < INSN_MAX ? d->n : INSN_MAX;
	uint64_t lo, hi;

	if (UNLIKELY(d->pos > avail)) {
		r = d->n >= INSN_MAX ? DECODE_TOO_LONG : DECODE_SHORT;
		d->pos = avail;
	}
	in->len = (uint8_t)d->pos;
	/* keep the instruction's own bytes only */
	lo = ld_le64(d->buf);
	hi = ld_le64(d->buf + 8);
	if (d->pos <= 8) {
		lo &= d->pos ? mask_bytes(d->pos) : 0;
		hi = 0;
	} else {
		hi &= mask_bytes(d->pos - 8);
	}
	st_le64(in->bytes, lo);
	st_le64(in->bytes + 8, hi);
	return r;
}

static inline uint64_t fetch(struct dec *d, unsigned size)
{
	const uint8_t *p = d->buf + d->pos;

	d->pos += size;
	switch (size) {
	case 1: return *p;
	case 2: return ld_le16(p);
	case 4: return ld_le32(p);
	default: return ld_le64(p);
	}
}

/* Legacy and REX prefixes up to the first opcode byte. */
static void prefixes(struct dec *d)
{
	struct insn *in = d->in;
	uint8_t b, p;

	for (;;) {
		b = d->buf[d->pos];
		p = prefix_of[b];
		if (LIKELY(!p))
			return;
		if (p == PFX_REX) {
			if (!d->mode64)
				return;
			in->rex = b;
			d->pos++;
			if (UNLIKELY(d->pos >= INSN_MAX))
				return;
			continue;
		}
		/* REX counts only right before the opcode (SDM vol. 2, 2.2.1) */
		in->rex = 0;
		in->prefixes |= p;
		if (p == PFX_F3)
			d->pp = 2;
		else if (p == PFX_F2)
			d->pp = 3;
		else if (p == PFX_SEG) {
			uint8_t seg = b >= 0x64 ? (uint8_t)(X86_FS + (b - 0x64)) : (b >> 3) & 3;

			/* 64-bit mode: ES, CS, SS, DS overrides are null prefixes */
			if (!d->mode64 || seg >= X86_FS)
				d->seg_override = seg;
		}
		d->pos++;
		if (UNLIKELY(d->pos >= INSN_MAX))
			return;
	}
}

/* C4, C5 after the first byte; the caller has made sure it is VEX. */
static const struct row *vex(struct dec *d, bool three)
{
	struct insn *in = d->in;
	uint8_t b1 = d->buf[d->pos++], b2 = b1, map = 1;

	d->vex = true;
	in->enc = ENC_VEX;
	if (in->prefixes & (PFX_66 | PFX_F2 | PFX_F3 | PFX_LOCK) || in->rex)
		return &row_invalid;
	in->rex = 0x40;
	if (d->mode64)
		in->rex |= (~b1 >> 5) & 4; /* R */
	if (three) {
		map = b1 & 31;
		if (d->mode64)
			in->rex |= (~b1 >> 5) & 3; /* X B */
		b2 = d->buf[d->pos++];
		d->w = b2 >> 7;
		in->rex |= d->w << 3;
	}
	d->vvvv = (~b2 >> 3) & (d->mode64 ? 15 : 7);
	d->vvvv_none = (b2 & 0x78) == 0x78; /* checked in full in 32-bit mode too */
	d->l = (b2 >> 2) & 1;
	d->pp = b2 & 3;
	in->map = map;
	if (map < 1 || map > 3)
		return &row_invalid;
	in->off_opcode = (uint8_t)d->pos;
	in->opcode = d->buf[d->pos++];
	if (map == 1)
		return &insn_rows_vex1[in->opcode * 4 + d->pp];
	return map == 2 ? &insn_rows_vex2[in->opcode * 4 + d->pp]
			: &insn_rows_vex3[in->opcode * 4 + d->pp];
}

/* The opcode bytes; returns the row they select. */
static const struct row *opcode(struct dec *d)
{
	struct insn *in = d->in;
	const struct row *rows = insn_rows_0f;
	uint8_t b = d->buf[d->pos], next = d->buf[d->pos + 1];

	in->off_opcode = (uint8_t)d->pos++;
	in->opcode = b;
	if (b != 0x0f) {
		if (UNLIKELY((b & 0xfe) == 0xc4)) {
			if (!d->mode64 && d->pos >= d->n)
				d->pos++; /* the next byte decides: not there */
			else if (d->mode64 || next >= 0xc0)
				return vex(d, b == 0xc4);
		} else if (UNLIKELY(b == 0x90)) {
			/* F3 makes it PAUSE even with REX.B, as processors do */
			if (d->pp == 2)
				return &row_pause;
			if (!(in->rex & 1))
				return &row_nop;
		} else if (UNLIKELY(b == 0x62 && d->mode64)) {
			in->enc = ENC_EVEX;
		}
		return &insn_rows_1byte[b];
	}
	in->map = MAP_0F;
	if (next == 0x38 || next == 0x3a) {
		in->map = next == 0x38 ? MAP_0F38 : MAP_0F3A;
		rows = next == 0x38 ? insn_rows_0f38 : insn_rows_0f3a;
		d->pos++;
	}
	in->off_opcode = (uint8_t)d->pos;
	in->opcode = d->buf[d->pos++];
	if (!d->pp && in->prefixes & PFX_66)
		d->pp = 1;
	return &rows[in->opcode * 4 + d->pp];
}

/* Follow a row to the instruction; ModRM is fetched (not its SIB or displacement) when needed. */
static const struct row *resolve(struct dec *d, const struct row *row)
{
	struct insn *in = d->in;
	unsigned form;

	for (;;) {
		form = row->attr & FORM_MASK;
		if (form == FORM_MODE) {
			row = &row->sub[d->mode64];
			continue;
		}
		if (form == FORM_W) {
			row = &row->sub[d->w];
			continue;
		}
		if (form == 0)
			return row;
		if (!in->off_modrm &&
		    (form != FORM_LEAF || (row->op[0] | row->op[1] | row->op[2]) & OP_MODRM)) {
			in->off_modrm = (uint8_t)d->pos;
			in->modrm = d->buf[d->pos++];
			in->flags |= INSN_MODRM;
			d->mod = in->modrm >> 6;
			d->rm = in->modrm & 7;
			in->reg = ((in->modrm >> 3) & 7) | (in->rex & 4) << 1;
		}
		switch (form) {
		case FORM_LEAF: return row;
		case FORM_REG: row = &row->sub[(in->modrm >> 3) & 7]; break;
		case FORM_MOD: row = &row->sub[d->mod == 3]; break;
		case FORM_RM: row = &row->sub[d->rm]; break;
		default: /* x87 */
			if (d->mod == 3)
				return &insn_rows_x87_reg[(in->opcode & 7) * 64 + (in->modrm & 63)];
			return &insn_rows_x87_mem[(in->opcode & 7) * 8 + ((in->modrm >> 3) & 7)];
		}
	}
}

/* SDM vol. 2, table 2-1: 16-bit addressing forms. */
static const uint8_t ea16_base[8] = {X86_RBX, X86_RBX, X86_RBP, X86_RBP,
				     X86_RSI, X86_RDI, X86_RBP, X86_RBX};
static const uint8_t ea16_index[4] = {X86_RSI, X86_RDI, X86_RSI, X86_RDI};

/* SIB and displacement; fills base, index, scale, disp, seg. Tables 2-1 to 2-3. */
static void address(struct dec *d)
{
	struct insn *in = d->in;
	unsigned disp = d->mod == 1 ? 1 : d->mod == 2 ? in->addrsize : 0;
	uint8_t base = d->rm, seg = X86_DS;

	if (UNLIKELY(in->addrsize == 2)) {
		if (d->mod == 0 && d->rm == 6) {
			disp = 2;
		} else {
			in->base = ea16_base[d->rm];
			if (d->rm < 4)
				in->index = ea16_index[d->rm];
			if (in->base == X86_RBP)
				seg = X86_SS;
		}
	} else {
		if (disp > 4)
			disp = 4;
		if (base == 4) {
			uint8_t sib = d->buf[d->pos++];
			uint8_t index = ((sib >> 3) & 7) | (in->rex & 2) << 2;

			base = sib & 7;
			in->scale = sib >> 6;
			in->index = index;
			if (index == X86_RSP)
				in->index = INSN_NO_REG;
			if (base == 5 && d->mod == 0)
				disp = 4;
			else
				in->base = base | (in->rex & 1) << 3;
		} else if (base == 5 && d->mod == 0) {
			disp = 4;
			if (d->mode64)
				in->flags |= INSN_RIP_REL;
		} else {
			in->base = base | (in->rex & 1) << 3;
		}
		if (in->base == X86_RSP || in->base == X86_RBP)
			seg = X86_SS;
	}
	if (disp) {
		in->off_disp = (uint8_t)d->pos;
		in->disp_len = (uint8_t)disp;
		in->disp = sext(fetch(d, disp), disp * 8);
	}
	in->seg = seg;
}

/* Operand size in bytes in this mode with these prefixes. SDM vol. 2, 2.2.1.7; vol. 1, 3.6. */
static unsigned operand_size(const struct dec *d, uint32_t attr)
{
	bool p66 = d->in->prefixes & PFX_66;

	if (d->mode64) {
		if (attr & A_F64 || d->w)
			return 8;
		if (attr & A_D64)
			return p66 ? 2 : 8;
		return p66 ? 2 : 4;
	}
	return (d->in->code_bits == 16) != p66 ? 2 : 4;
}

/* Sizes that depend on nothing; 0: a rule. */
static const uint16_t fixed_sizes[32] = {
	[S_B] = 1,   [S_W] = 2,   [S_D] = 4,    [S_Q] = 8,    [S_T] = 10,
	[S_DQ] = 16, [S_QQ] = 32, [S_FX] = 512, [S_XS] = 576,
};

static unsigned size_rule(const struct dec *d, unsigned code, bool mem)
{
	const struct insn *in = d->in;
	unsigned vl = 16u << d->l;

	switch (code) {
	case S_Z: return in->opsize == 2 ? 2 : 4;
	case S_Y: return d->w && d->mode64 ? 8 : 4;
	case S_MODE: return d->mode64 ? 8 : 4;
	case S_X: return vl;
	case S_XH: return vl / 2;
	case S_XQ: return vl / 4;
	case S_XE: return vl / 8;
	case S_SW: return d->w ? 8 : 4;
	case S_DUP: return d->l ? 32 : 8;
	case S_DB: return mem ? 1 : 4;
	case S_DW: return mem ? 2 : 4;
	case S_VW: return mem ? 2 : in->opsize;
	case S_P: return in->opsize + 2u;
	case S_2V: return in->opsize * 2u;
	case S_S: return d->mode64 ? 10 : 6;
	case S_CX: return d->w ? 16 : 8;
	case S_ENV: return in->opsize == 2 ? 14 : 28;
	case S_SAV: return in->opsize == 2 ? 94 : 108;
	}
	return 0;
}

static inline unsigned size_bytes(const struct dec *d, unsigned code, bool mem)
{
	if (code == S_V)
		return d->in->opsize;
	return LIKELY(fixed_sizes[code]) ? fixed_sizes[code] : size_rule(d, code, mem);
}

static inline void use_gpr(struct insn *in, unsigned r, unsigned size, unsigned access, bool named)
{
	unsigned bit;

	if (size == 1 && r >= 4 && r < 8 && !in->rex) {
		r -= 4;
		in->flags |= INSN_HIGH8;
	}
	bit = 1u << r;
	if (access & OP_R || (access && size < 4))
		in->gpr_read |= bit;
	if (access & OP_W)
		in->gpr_written |= bit;
	if (named)
		in->gpr_explicit |= bit;
}

static void use_vec(struct insn *in, unsigned r, unsigned access)
{
	if (access & OP_R)
		in->vec_read |= 1u << r;
	if (access & OP_W)
		in->vec_written |= 1u << r;
}

static void use_mem(struct insn *in, unsigned size, unsigned access)
{
	if (!access)
		return;
	in->mem_size = (uint16_t)size;
	in->flags |= INSN_MEM;
	if (access & OP_R)
		in->flags |= INSN_MEM_READ;
	if (access & OP_W)
		in->flags |= INSN_MEM_WRITE;
}

static void immediate(struct dec *d, unsigned size, bool sign)
{
	struct insn *in = d->in;
	uint64_t v;

	if (!in->imm_len)
		in->off_imm = (uint8_t)d->pos;
	v = fetch(d, size);
	if (sign)
		v = (uint64_t)sext(v, size * 8);
	if (in->imm_len) { /* enter */
		in->imm2 = (uint32_t)v;
		in->imm |= v << 16;
	} else {
		in->imm = v;
	}
	in->imm_len += (uint8_t)size;
}

/* One operand of a row. False: this form does not exist (#UD). */
static inline bool operand(struct dec *d, unsigned op)
{
	struct insn *in = d->in;
	unsigned kind = OP_KIND(op), code = OP_SIZE(op), access = OP_ACCESS(op);
	bool mem = in->off_modrm && d->mod != 3;
	unsigned size = size_bytes(d, code, mem && kind >= K_E);

	if (code == S_V || code == S_Z)
		in->flags |= INSN_OPSIZE;
	switch (kind) {
	case K_A: use_gpr(in, X86_RAX, size, access, false); return true;
	case K_C: use_gpr(in, X86_RCX, size, access, false); return true;
	case K_D: use_gpr(in, X86_RDX, size, access, false); return true;
	case K_Z:
		in->rm = (in->opcode & 7) | (in->rex & 1) << 3;
		use_gpr(in, in->rm, size, access, true);
		return true;
	case K_I: immediate(d, size, false); return true;
	case K_IS:
	case K_J: immediate(d, size, true); return true;
	case K_AP:
		immediate(d, in->opsize, false);
		in->imm2 = (uint32_t)fetch(d, 2);
		in->imm_len += 2;
		return true;
	case K_O:
		immediate(d, in->addrsize, false);
		in->disp = (int64_t)in->imm;
		in->flags |= INSN_MOFFS;
		use_mem(in, size, access);
		return true;
	case K_STRX:
	case K_STRY: in->mem_size = (uint16_t)size; return true;
	case K_X0: use_vec(in, 0, access); return true;

	case K_E:
		if (mem)
			use_mem(in, size, access);
		else
			use_gpr(in, in->rm, size, access, true);
		return true;
	case K_M:
		if (mem)
			use_mem(in, size, access);
		return mem;
	case K_R:
		if (!mem)
			use_gpr(in, in->rm, size, access, true);
		return !mem;
	case K_G: use_gpr(in, in->reg, size, access, true); return true;
	case K_SREG:
		in->reg &= 7;
		return in->reg < X86_SREG_COUNT && !(access & OP_W && in->reg == X86_CS);
	case K_CR: return in->reg <= 8 && (0x11d >> in->reg) & 1; /* 0 2 3 4 8 */
	case K_DR: return in->reg < 8;

	case K_V: use_vec(in, in->reg, access); return true;
	case K_W:
		if (mem)
			use_mem(in, size, access);
		else
			use_vec(in, in->rm, access);
		return true;
	case K_U:
		if (!mem)
			use_vec(in, in->rm, access);
		return !mem;
	case K_H:
		d->vvvv_used = true;
		use_vec(in, d->vvvv, access);
		return true;
	case K_L:
		immediate(d, 1, false);
		in->imm2 = (uint32_t)(in->imm >> 4) & (d->mode64 ? 15 : 7);
		use_vec(in, in->imm2, access);
		return true;
	case K_B:
		d->vvvv_used = true;
		use_gpr(in, d->vvvv, size, access, true);
		return true;
	case K_P: return true;
	case K_Q:
		if (mem)
			use_mem(in, size, access);
		return true;
	case K_N: return !mem;
	case K_VSIB: { /* SDM vol. 2, 2.3.12: SIB form only; destination, index and mask differ */
		unsigned index = ((d->buf[in->off_modrm + 1u] >> 3) & 7) | (in->rex & 2) << 2;

		if (!mem || d->rm != 4 || in->addrsize == 2)
			return false;
		in->index = (uint8_t)index;
		use_vec(in, index, access);
		use_mem(in, size, access);
		return index != in->reg && index != d->vvvv && in->reg != d->vvvv;
	}
	}
	return false;
}

/* VEX.W, VEX.L and the feature of 256-bit integer forms. */
static bool vex_rules(struct dec *d, const struct row *row)
{
	struct insn *in = d->in;
	uint32_t attr = row->attr;

	if ((attr & A_W0 && d->w) || (attr & A_W1 && !d->w) || (attr & A_L0 && d->l) ||
	    (attr & A_L1 && !d->l))
		return false;
	if (d->l)
		in->flags |= INSN_VEX_L;
	if (attr & A_L_AVX2 && d->l)
		in->feature = in->feature == X86_FEAT_AES      ? X86_FEAT_VAES
			      : in->feature == X86_FEAT_PCLMUL ? X86_FEAT_VPCLMUL
			      : in->feature == X86_FEAT_GFNI   ? X86_FEAT_GFNI
							       : X86_FEAT_AVX2;
	return true;
}

/* What depends on operand values: shift counts, repeat, implicit registers of strings. */
static void refine(struct dec *d, const struct row *row)
{
	struct insn *in = d->in;

	if (row->attr & A_SHIFT) {
		unsigned count = (unsigned)in->imm & (in->opsize == 8 ? 63 : 31);

		/* a rotate by more than one may leave OF, undefined, as it was */
		in->rflags_read = row->flags == FL_RCLI ? X86_CF : 0;
		if (row->flags == FL_RCLI || row->flags == FL_ROLI)
			in->rflags_read |= count > 1 ? X86_OF : 0;
		if (!count)
			in->rflags_read = in->rflags_written = in->rflags_undef = 0;
		else if (count == 1)
			in->rflags_undef &= ~(uint32_t)X86_OF;
	} else if (row->attr & A_STR) {
		if (d->pp >= 2) {
			in->flags |= d->pp == 2 ? INSN_REP : INSN_REPNE;
			in->gpr_read |= gC;
			in->gpr_written |= gC;
			in->rflags_read |= in->rflags_written; /* a count of zero keeps them */
			in->gpr_read |= in->gpr_written;       /* rep lods: rAX too */
		}
		if (row->special == SP_INS || row->special == SP_OUTS)
			in->opsize = (uint8_t)in->mem_size;
	} else if (in->special == SP_PUSH_SEG || in->special == SP_POP_SEG) {
		in->reg = (in->opcode >> 3) & 7;
		if (in->map == MAP_0F) /* A0 A1 FS, A8 A9 GS */
			in->reg = in->opcode & 8 ? X86_GS : X86_FS;
	} else if (UNLIKELY(d->vex && in->opcode == 0x77 && in->map == MAP_0F)) {
		in->vec_written = d->mode64 ? 0xffff : 0xff;
		in->vec_read = d->l ? 0 : in->vec_written;
	}
}

static void operation_size(struct dec *d, const struct row *row)
{
	struct insn *in = d->in;

	switch (OP_SIZE(row->op[0])) {
	case S_B:
		if (OP_KIND(row->op[0]) != K_I && OP_KIND(row->op[0]) != K_IS &&
		    OP_KIND(row->op[0]) != K_J)
			in->opsize = 1;
		break;
	case S_Z:
		if (OP_KIND(row->op[0]) == K_A && in->opsize == 8) /* in, out */
			in->opsize = 4;
		break;
	case S_Y:
	case S_MODE: in->opsize = (uint8_t)size_bytes(d, OP_SIZE(row->op[0]), false); break;
	default: break;
	}
	if (d->vex && !d->mode64 && d->w) {
		if (in->map == MAP_0F3A && (in->opcode & 0xfe) == 0x60) /* vpcmpestr: EAX, EDX */
			in->flags &= ~(uint32_t)INSN_W;
		for (unsigned i = 0; i < 4; i++)
			if (OP_SIZE(row->op[i]) == S_Y) {
				in->flags &= ~(uint32_t)INSN_W;
				in->rex &= ~8;
			}
	}
}

/* Sixteen zero bytes at a time: rep stos, which the compiler would choose, costs more than the rest
 * of a decode. */
typedef uint64_t zero16 __attribute__((vector_size(16), aligned(1), may_alias));

static inline void clear(void *p, size_t size)
{
	uint8_t *b = p;
	size_t i;

	for (i = 0; i + 16 <= size; i += 16)
		*(zero16 *)(b + i) = (zero16){0, 0};
	if (i < size)
		*(zero16 *)(b + size - 16) = (zero16){0, 0};
}

static void init(struct dec *d, const uint8_t *bytes, unsigned n, unsigned code_bits,
		 struct insn *in)
{
	clear(in, sizeof(*in));
	clear(d->buf, sizeof(d->buf));
	if (LIKELY(n > INSN_MAX))
		memcpy(d->buf, bytes,
		       INSN_MAX + 1); /* one store, that later loads can forward from */
	else
		memcpy(d->buf, bytes, n);
	d->in = in;
	d->n = n;
	d->pos = 0;
	d->mode64 = code_bits == 64;
	d->vex = d->vvvv_used = d->vvvv_none = false;
	d->pp = d->w = d->l = d->vvvv = d->mod = d->rm = 0;
	d->seg_override = INSN_NO_REG;
	in->code_bits = (uint8_t)code_bits;
	in->vvvv = in->base = in->index = in->reg = in->rm = INSN_NO_REG;
	in->seg = X86_DS;
}

/* Address size: SDM vol. 1, 3.6.1. */
static unsigned address_size(const struct dec *d)
{
	bool p67 = d->in->prefixes & PFX_67;

	if (d->mode64)
		return p67 ? 4 : 8;
	return (d->in->code_bits == 16) != p67 ? 2 : 4;
}

enum decode_result insn_decode(const uint8_t *bytes, unsigned n, unsigned code_bits,
			       struct insn *in)
{
	struct dec d;
	const struct row *row;
	bool lock;

	init(&d, bytes, n, code_bits, in);
	prefixes(&d);
	if (UNLIKELY(d.pos >= INSN_MAX)) {
		d.pos++; /* an opcode must follow */
		return finish(&d, DECODE_INVALID);
	}
	row = opcode(&d);
	if (!d.vex)
		d.w = (in->rex >> 3) & 1;
	if (in->rex && !d.vex)
		in->prefixes |= PFX_REX;
	row = resolve(&d, row);
	if (UNLIKELY(!(row->attr & FORM_MASK) || row->attr & (d.mode64 ? A_NO64 : A_ONLY64)))
		return finish(&d, DECODE_INVALID);

	in->addrsize = (uint8_t)address_size(&d);
	in->opsize = (uint8_t)operand_size(&d, row->attr);
	in->special = row->special;
	in->feature = row->feature;
	in->flags |= row->attr & ATTR_FLAGS;
	if (d.w)
		in->flags |= INSN_W;
	if (row->attr & A_PP || d.vex)
		in->pp = d.pp;
	if (row->attr & A_LEGACY)
		in->flags |= INSN_LEGACY;

	if (in->off_modrm) {
		if (in->map == MAP_0F && (in->opcode & 0xfc) == 0x20 && !d.vex)
			d.mod = 3; /* MOV CR, DR: mod is ignored */
		if (d.mod == 3)
			in->rm = d.rm | (in->rex & 1) << 3;
		else
			address(&d);
	}
	if (d.vex && !vex_rules(&d, row))
		return finish(&d, DECODE_INVALID);
	for (unsigned i = 0; i < 4 && row->op[i]; i++)
		if (!operand(&d, row->op[i]))
			return finish(&d, DECODE_INVALID);
	if (d.vex) {
		if (d.vvvv_used)
			in->vvvv = d.vvvv;
		else if (!d.vvvv_none)
			return finish(&d, DECODE_INVALID);
	}

	in->gpr_read |= implicit_sets[row->implicit].read;
	in->gpr_written |= implicit_sets[row->implicit].written;
	if (in->base != INSN_NO_REG)
		in->gpr_read |= 1u << in->base;
	if (in->index != INSN_NO_REG && in->special != SP_GATHER)
		in->gpr_read |= 1u << in->index;
	in->rflags_read = flag_sets[row->flags].read;
	in->rflags_written = flag_sets[row->flags].written;
	in->rflags_undef = flag_sets[row->flags].undef;

	if (d.seg_override != INSN_NO_REG)
		in->seg = d.seg_override;
	operation_size(&d, row);
	refine(&d, row);

	lock = in->prefixes & PFX_LOCK;
	if (lock && !(row->attr & A_LOCK && in->off_modrm && d.mod != 3))
		return finish(&d, DECODE_INVALID);
	if (lock || (row->attr & A_XLOCK && d.mod != 3))
		in->flags |= INSN_LOCK;
	/* legacy SSE wants 16-byte operands aligned (vol. 1, 10.4.1.1) */
	if (in->flags & INSN_SSE && in->mem_size == 16 && in->flags & INSN_MEM &&
	    !(row->attr & A_UNAL))
		in->flags |= INSN_ALIGN;
	else if (!(in->flags & INSN_MEM))
		in->flags &= ~(uint32_t)INSN_ALIGN;
	return finish(&d, DECODE_OK);
}

bool insn_without_lzcnt(struct insn *in)
{
	if (in->enc != ENC_LEGACY || in->map != MAP_0F || in->pp != 2 ||
	    (in->opcode & 0xfe) != 0xbc)
		return false;
	in->pp = 0;
	in->feature = X86_FEAT_NONE;
	in->rflags_written = flag_sets[FL_BSF].written;
	in->rflags_undef = flag_sets[FL_BSF].undef;
	in->gpr_read |= in->gpr_written; /* kept when the source is zero */
	return true;
}

/* F3 90 with REX.B: as if DS were in place of F3, which means nothing in 64-bit mode. */
static bool exchange(struct insn *in)
{
	uint8_t bytes[16];

	memcpy(bytes, in->bytes, sizeof(bytes));
	for (unsigned i = 0; i < in->off_opcode; i++)
		if (bytes[i] == 0xf3)
			bytes[i] = 0x3e;
	return insn_decode(bytes, INSN_MAX, 64, in) == DECODE_OK;
}

bool insn_as_amd(struct insn *in)
{
	if (in->special == SP_PAUSE && in->rex & 1)
		return exchange(in);
	if (in->code_bits != 64 || !(in->prefixes & PFX_66) || in->rex & 8)
		return false;
	switch (in->special) {
	case SP_JCC:
	case SP_JMP_REL:
	case SP_CALL_REL:
		if (in->imm_len != 4)
			break;
		in->imm = (uint64_t)(int64_t)(int16_t)in->imm;
		in->imm_len = 2;
		in->len -= 2;
		in->bytes[in->len] = in->bytes[in->len + 1] = 0;
		break;
	case SP_JMP_IND:
	case SP_CALL_IND:
		if (in->flags & INSN_MEM)
			in->mem_size = 2;
		break;
	case SP_RET:
	case SP_LOOP:
	case SP_JCXZ: break;
	case SP_NONE:
		if (in->map != MAP_1 || in->opcode != 0x63 || !(in->flags & INSN_MEM))
			return false;
		in->mem_size = 4;
		break;
	default: return false;
	}
	in->opsize = 2;
	return true;
}
