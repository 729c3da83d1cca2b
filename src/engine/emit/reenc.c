/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Re-encoding (engine/emit/reenc.h). Intel SDM vol. 2, chapter 2 and appendix A.
 */
#include "engine/emit/reenc.h"

/* ---- operands ---- */

bool insn_is_vector(const struct insn *in)
{
	return in->flags & (INSN_FPU | INSN_MMX | INSN_SSE | INSN_AVX);
}

/* Which fields name GPRs, of vector instructions. */
static unsigned vector_fields(const struct insn *in)
{
	if (in->flags & INSN_FPU)
		return 0;
	if (in->map == MAP_0F) {
		switch (in->opcode) {
		case 0x2a: return in->pp >= 2 ? F_RM : 0;
		case 0x2c:
		case 0x2d: return in->pp >= 2 ? F_REG : 0;
		case 0x50:
		case 0xc5:
		case 0xd7: return F_REG;
		case 0xc3: return F_REG; /* movnti */
		case 0x6e: return F_RM;
		case 0x7e: return in->pp == 2 ? 0 : F_RM;
		case 0xc4: return F_RM;
		default: return 0;
		}
	}
	if (in->map == MAP_0F3A) {
		switch (in->opcode) {
		case 0x14 ... 0x17:
		case 0x20:
		case 0x22: return F_RM;
		default: return 0;
		}
	}
	return 0;
}

/* Which fields name GPRs. */
unsigned insn_gpr_fields(const struct insn *in)
{
	uint8_t op = in->opcode;

	if (insn_is_vector(in))
		return vector_fields(in);
	if (in->enc == ENC_VEX) {
		if (in->map == MAP_0F3A)
			return F_REG | F_RM; /* rorx */
		return op == 0xf3 ? F_VVVV | F_RM : F_REG | F_VVVV | F_RM;
	}
	if (in->map == MAP_0F38)
		return F_REG | F_RM;
	if (in->map == MAP_0F) {
		switch (op) {
		case 0x90 ... 0x9f:
		case 0xba:
		case 0xc7: return F_RM;
		case 0xc8 ... 0xcf: return F_LOW;
		case 0xae: return 0;
		default: return F_REG | F_RM;
		}
	}
	switch (op) {
	case 0x00 ... 0x3f: return (op & 7) < 4 ? F_REG | F_RM : 0;
	case 0x40 ... 0x4f:
	case 0x90 ... 0x97:
	case 0xb0 ... 0xbf: return F_LOW;
	case 0x63:
	case 0x69:
	case 0x6b:
	case 0x84 ... 0x8b: return F_REG | F_RM;
	case 0x80 ... 0x83:
	case 0xc0:
	case 0xc1:
	case 0xc6:
	case 0xc7:
	case 0xd0 ... 0xd3:
	case 0xf6:
	case 0xf7:
	case 0xfe:
	case 0xff: return F_RM;
	default: return 0;
	}
}

/* GPRs used without being named; always among RAX, RCX, RDX. */
unsigned insn_implicit_gprs(const struct insn *in)
{
	enum { A = 1, C = 2, D = 4 };
	uint8_t op = in->opcode;

	if (in->flags & INSN_FPU)
		return op == 0xdf && in->modrm == 0xe0 ? A : 0; /* fnstsw ax */
	if (in->map == MAP_1) {
		switch (op) {
		case 0x00 ... 0x3f: return (op & 6) == 4 ? A : 0;
		case 0x90 ... 0x97:
		case 0x98:
		case 0x9e:
		case 0x9f:
		case 0xa0 ... 0xa3:
		case 0xa8:
		case 0xa9: return A;
		case 0x99: return A | D;
		case 0xd2:
		case 0xd3: return C;
		case 0xf6: return (in->modrm >> 3 & 7) >= 4 ? A : 0;
		case 0xf7: return (in->modrm >> 3 & 7) >= 4 ? A | D : 0;
		default: return 0;
		}
	}
	if (in->map == MAP_0F)
		return op == 0xa5 || op == 0xad ? C : op == 0xb0 || op == 0xb1 ? A : 0;
	if (in->map == MAP_0F38)
		return in->enc == ENC_VEX && op == 0xf6 && in->pp == 3 ? D : 0; /* mulx */
	if (in->map == MAP_0F3A)
		switch (op) {
		case 0x60:
		case 0x61: return A | D | (op & 1 ? C : 0); /* pcmpestrm/i */
		case 0x63: return C;
		}
	return 0;
}

/* Does the destination GPR change as a whole, whatever it was? (Then it need not be loaded.) */
bool insn_dest_is_fresh(const struct insn *in)
{
	uint8_t op = in->opcode;

	if (in->map == MAP_1)
		switch (op) {
		case 0x63:
		case 0x69:
		case 0x6b:
		case 0x89:
		case 0x8b:
		case 0xa1:
		case 0xb8 ... 0xbf:
		case 0xc7: return in->opsize >= 4;
		default: return false;
		}
	if (insn_is_vector(in))
		return !(in->flags & INSN_FPU); /* fnstsw ax */
	if (in->map == MAP_0F && in->enc == ENC_LEGACY)
		return (op == 0xb6 || op == 0xb7 || op == 0xbe || op == 0xbf) && in->opsize >= 4;
	return in->enc == ENC_VEX;
}

/* The GPR a ModRM field names: AH..BH are in their parents. */
unsigned insn_field_reg(const struct insn *in, unsigned r, bool byte)
{
	return byte && !in->rex && r >= 4 && r < 8 ? r - 4 : r;
}

/* Is the field an 8-bit register? */
bool insn_field_is_byte(const struct insn *in, unsigned field)
{
	uint8_t op = in->opcode;

	if (insn_is_vector(in) || in->enc != ENC_LEGACY)
		return false;
	if (in->map == MAP_1)
		switch (op) {
		case 0x00 ... 0x3f: return !(op & 1);
		case 0xb0 ... 0xb7:
		case 0x80:
		case 0x82:
		case 0x84:
		case 0x86:
		case 0x88:
		case 0x8a:
		case 0xc0:
		case 0xc6:
		case 0xd0:
		case 0xd2:
		case 0xf6:
		case 0xfe: return true;
		default: return false;
		}
	if (in->map == MAP_0F)
		switch (op) {
		case 0x90 ... 0x9f:
		case 0xb0:
		case 0xc0: return true;
		case 0xb6:
		case 0xbe: return field == F_RM;
		default: return false;
		}
	return in->map == MAP_0F38 && op == 0xf0 && in->pp == 3 && field == F_RM; /* crc32 */
}

void reenc_fields(const struct insn *in, unsigned fields, struct reenc_field f[4])
{
	bool mem = (in->modrm >> 6) != 3;

	f[0] = (struct reenc_field){F_REG, in->reg, fields & F_REG};
	f[1] = (struct reenc_field){F_RM, in->rm, (fields & F_RM) && !mem};
	f[2] = (struct reenc_field){F_VVVV, in->vvvv, fields & F_VVVV};
	f[3] = (struct reenc_field){F_LOW, in->rm, fields & F_LOW};
	for (unsigned i = 0; i < 4; i++)
		f[i].on = f[i].on && f[i].reg < 16;
}

/* Host register number to encode for a guest field: keeps the AH..BH forms. */
static unsigned host_field(const struct emit *m, const struct insn *in, unsigned r, unsigned field)
{
	unsigned g = insn_field_reg(in, r, insn_field_is_byte(in, field));

	return m->map[g] + (g != r ? 4 : 0);
}

/* ---- the instruction itself ---- */

struct code {
	uint8_t opcode, reg, rm; /* host numbers; rm for mod 3 */
	bool modrm, mem;
	unsigned low; /* opcode low bits register, NO_REG if none */
	const uint8_t *imm;
	unsigned n_imm;
};

static void rewrite_1byte(const struct emit *m, const struct insn *in, struct code *c)
{
	uint8_t op = in->opcode;

	if (op >= 0x40 && op <= 0x4f) { /* inc, dec: REX over there */
		c->opcode = 0xff;
		c->modrm = true;
		c->reg = op >> 3 & 1;
		c->rm = (uint8_t)c->low;
		c->low = NO_REG;
	} else if (op >= 0x90 && op <= 0x97) { /* xchg rAX, r: either may have been renamed */
		c->opcode = 0x87;
		c->modrm = true;
		c->reg = m->map[RAX];
		c->rm = (uint8_t)c->low;
		c->low = NO_REG;
	} else if (op == 0x82) {
		c->opcode = 0x80;
	} else if (op == 0x63 && in->opsize == 2) {
		/* movsxd r16, r/m16: a MOV, and AMD's processors read four bytes of memory for it,
		 * which may not be there */
		c->opcode = 0x8b;
	} else if (op >= 0xa0 && op <= 0xa3) { /* moffs */
		c->opcode = (uint8_t)(op < 0xa2 ? 0x8a | (op & 1) : 0x88 | (op & 1));
		c->modrm = c->mem = true;
		c->reg = RAX;
		c->n_imm = 0;
	}
}

static void put_modrm(struct emit *m, const struct code *c)
{
	if (!c->modrm)
		return;
	if (!c->mem) {
		emit8(m, (uint8_t)(0xc0 | (c->reg & 7) << 3 | (c->rm & 7)));
	} else if (!m->mem_sib) {
		emit8(m, (uint8_t)((c->reg & 7) << 3 | (m->mem & 7)));
	} else {
		unsigned mod = !m->mem_disp ? 0 : m->mem_disp == (int8_t)m->mem_disp ? 1 : 2;

		emit8(m, (uint8_t)(mod << 6 | (c->reg & 7) << 3 | 4));
		emit8(m, (uint8_t)(m->mem_scale << 6 | (m->mem_index & 7) << 3 | (m->mem & 7)));
		if (mod == 1)
			emit8(m, (uint8_t)m->mem_disp);
		else if (mod == 2)
			emit32(m, (uint32_t)m->mem_disp);
	}
}

static void put_vex(struct emit *m, const struct insn *in, const struct code *c, unsigned vvvv)
{
	unsigned b = c->mem ? m->mem >> 3 : c->modrm ? c->rm >> 3 : 0;
	unsigned x = c->mem && m->mem_sib ? m->mem_index >> 3 : 0;
	unsigned map = in->map == MAP_0F ? 1 : in->map == MAP_0F38 ? 2 : 3;

	EMIT(m, 0xc4, (uint8_t)((c->reg >> 3 ? 0 : 0x80) | (x ? 0 : 0x40) | (b ? 0 : 0x20) | map),
	     (uint8_t)((in->flags & INSN_W ? 0x80 : 0) | (~vvvv & 15) << 3 |
		       (in->flags & INSN_VEX_L ? 4 : 0) | in->pp));
	emit8(m, in->opcode);
}

/* Prefixes by the rule in decode/insn.h; the order is 66, F2/F3, REX, opcode. */
static void put_legacy(struct emit *m, const struct insn *in, const struct code *c)
{
	uint8_t rex = in->flags & INSN_W ? 8 : 0;

	if (in->prefixes & PFX_LOCK)
		emit8(m, 0xf0);
	if (in->pp == 1 || (in->flags & INSN_OPSIZE && in->opsize == 2))
		emit8(m, 0x66);
	if (in->pp >= 2)
		emit8(m, in->pp == 2 ? 0xf3 : 0xf2);
	if (c->modrm) {
		rex |= (uint8_t)(c->reg >> 3 << 2);
		rex |= (uint8_t)(c->mem ? m->mem >> 3 : c->rm >> 3);
		if (c->mem && m->mem_sib)
			rex |= (uint8_t)(m->mem_index >> 3 << 1);
	}
	if (c->low != NO_REG)
		rex |= (uint8_t)(c->low >> 3);
	/* Any REX turns AH..BH into SPL..DIL. */
	if (rex || m->force_rex) {
		check(!m->high8);
		emit8(m, 0x40 | rex);
	}
	if (in->map != MAP_1)
		emit8(m, 0x0f);
	if (in->map == MAP_0F38)
		emit8(m, 0x38);
	if (in->map == MAP_0F3A)
		emit8(m, 0x3a);
	emit8(m, (uint8_t)(c->low != NO_REG ? (c->opcode & ~7u) | (c->low & 7) : c->opcode));
}

void reenc_insn(struct emit *m, const struct insn *in, unsigned fields)
{
	struct code c = {.opcode = in->opcode,
			 .reg = in->reg,
			 .rm = in->rm,
			 .modrm = in->flags & INSN_MODRM,
			 .mem = (in->flags & INSN_MODRM) && (in->modrm >> 6) != 3,
			 .low = NO_REG,
			 .imm = in->bytes + in->off_imm,
			 .n_imm = in->imm_len};
	unsigned vvvv = in->vvvv == INSN_NO_REG ? 0 : in->vvvv;

	if (fields & F_REG)
		c.reg = (uint8_t)host_field(m, in, in->reg, F_REG);
	else if (!insn_is_vector(in))
		c.reg = in->modrm >> 3 & 7; /* opcode extension */
	if (fields & F_RM && !c.mem)
		c.rm = (uint8_t)host_field(m, in, in->rm, F_RM);
	if (fields & F_VVVV)
		vvvv = m->map[in->vvvv];
	if (fields & F_LOW)
		c.low = host_field(m, in, in->rm, F_LOW);
	if (in->map == MAP_1)
		rewrite_1byte(m, in, &c);
	if (in->flags & INSN_FPU && c.mem)
		c.reg = in->modrm >> 3 & 7;
	if (in->enc == ENC_VEX)
		put_vex(m, in, &c, vvvv);
	else
		put_legacy(m, in, &c);
	if (in->flags & INSN_FPU && !c.mem)
		emit8(m, in->modrm);
	else
		put_modrm(m, &c);
	if (in->enc == ENC_VEX && in->map == MAP_0F3A && in->opcode >= 0x4a && in->opcode <= 0x4c)
		emit8(m, (uint8_t)(in->imm2
				   << 4)); /* a register: bit 7 means nothing in 32-bit mode */
	else
		emit_bytes(m, c.imm, c.n_imm);
}

/* ---- flags ---- */

static bool undefined_depend(const struct insn *in)
{
	uint32_t undef = in->rflags_undef & X86_ARITH;

	/* Where these leave no undefined flags as they were, which insn_flags_kept() tells, they
	 * compute them from the operands alone (or clear them); for others the old value may shine
	 * through. */
	if (!(undef & ~(uint32_t)X86_AF))
		return false;
	if (in->map == MAP_1)
		return !(in->opcode == 0x69 || in->opcode == 0x6b || (in->opcode & 0xfe) == 0xc0 ||
			 (in->opcode & 0xfc) == 0xd0);
	return !(in->map == MAP_0F && in->opcode == 0xaf);
}

uint32_t insn_flags_needed(const struct insn *in)
{
	uint32_t written = in->rflags_written & X86_ARITH, need = in->rflags_read & X86_ARITH;

	if (!written && !need)
		return 0;
	if (written)
		need |= X86_ARITH & ~written;
	return undefined_depend(in) ? (uint32_t)X86_ARITH : need | insn_flags_kept(in);
}

bool insn_may_fault(const struct insn *in)
{
	if (insn_is_vector(in) || in->enc != ENC_LEGACY || in->map == MAP_0F38 ||
	    in->map == MAP_0F3A)
		return true;
	if (in->map == MAP_1 && in->opcode == 0x9b)
		return true;
	if (in->map == MAP_1)
		return (in->opcode == 0xf6 || in->opcode == 0xf7) && (in->modrm >> 3 & 7) >= 6;
	return in->opcode == 0xc7 || in->opcode == 0xb8 || in->opcode == 0xae;
}
