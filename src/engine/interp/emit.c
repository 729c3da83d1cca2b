/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Thunks: one guest instruction re-encoded for the host. Intel SDM vol. 2, chapter 2 (encodings),
 * vol. 1, 3.4.3 (flags).
 *
 * A thunk is entered like a uop handler (interp.h) and ends by jumping to the next uop:
 *
 *	rdi = vcpu, rsi = uop, rdx = TLB table, ecx = flags ("fl")
 *	r8 = memory operand, r9 = its TLB entry (instructions with a memory operand)
 *
 *	[save fl, table below the stack pointer] [flags] [registers] [vectors, MXCSR]
 *	the instruction, memory operand [r8]
 *	[vectors, MXCSR] [registers] [flags] [did the store hit code?] next uop
 *
 * Registers: rdi, rsi, r8, r9 keep their meaning. RAX, RCX and RDX stand for themselves where the
 * instruction uses them implicitly; every other operand gets a free caller-saved register, so a
 * thunk never touches a callee-saved one and needs no frame. Instructions that name AH..BH cannot
 * have a REX prefix: their registers come from rAX, rCX, rDX and the memory operand moves to rSI.
 * The values of ecx and rdx at entry lie in the red zone ([rsp-8], [rsp-16]) of thunks that can
 * fault or that clobber them; the signal handler (trap.c) relies on it.
 *
 * Instructions decided elsewhere: CMPXCHG8B/16B, FNINIT and NOPs never come here (digest.c).
 */
#include <string.h>

#include "engine/interp/interp.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, NO_REG = 0xff };

struct emit {
	uint8_t buf[320];
	unsigned n;
	uint8_t map[16]; /* guest GPR -> host GPR */
	uint16_t used;   /* host GPRs taken */
	bool high8;
	uint8_t mem; /* host register that points to the memory operand */
};

static void put(struct emit *m, uint8_t b)
{
	check(m->n < sizeof(m->buf));
	m->buf[m->n++] = b;
}

static void put_bytes(struct emit *m, const void *p, unsigned n)
{
	check(m->n + n <= sizeof(m->buf));
	memcpy(m->buf + m->n, p, n);
	m->n += n;
}

#define EMIT(m, ...)                                                                               \
	put_bytes((m), (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void put32(struct emit *m, uint32_t x)
{
	put_bytes(m, &x, 4);
}

/* mov to/from a guest GPR: [rdi + 8 * guest] */
static void put_gpr(struct emit *m, bool store, unsigned host, unsigned guest)
{
	EMIT(m, (uint8_t)(0x48 | (host >> 3) << 2), store ? 0x89 : 0x8b,
	     (uint8_t)(0x40 | (host & 7) << 3 | RDI), (uint8_t)(guest * 8));
}

/* op with a memory operand [rdi + disp32]; two-byte opcode 0f xx without REX */
static void put_0f_state(struct emit *m, uint8_t op, unsigned reg, size_t off)
{
	EMIT(m, 0x0f, op, (uint8_t)(0x80 | reg << 3 | RDI));
	put32(m, (uint32_t)off);
}

static void put_vec(struct emit *m, bool avx, bool store, unsigned x)
{
	uint8_t op = store ? 0x7f : 0x6f;

	if (avx) /* vmovdqu ymm */
		EMIT(m, 0xc5, (uint8_t)(x < 8 ? 0xfe : 0x7e), op);
	else if (x < 8)
		EMIT(m, 0xf3, 0x0f, op);
	else
		EMIT(m, 0xf3, 0x44, 0x0f, op);
	put(m, (uint8_t)(0x80 | (x & 7) << 3 | RDI));
	put32(m, (uint32_t)(offsetof(struct vcpu, s.fpu.ymm) + x * 32));
}

/* ---- operands ---- */

enum { F_REG = 1, F_RM = 2, F_VVVV = 4, F_LOW = 8 };

static bool is_vector(const struct insn *in)
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
static unsigned gpr_fields(const struct insn *in)
{
	uint8_t op = in->opcode;

	if (is_vector(in))
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
static unsigned implicit_gprs(const struct insn *in)
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
static bool dest_is_fresh(const struct insn *in)
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
	if (is_vector(in))
		return !(in->flags & INSN_FPU); /* fnstsw ax */
	if (in->map == MAP_0F && in->enc == ENC_LEGACY)
		return (op == 0xb6 || op == 0xb7 || op == 0xbe || op == 0xbf) && in->opsize >= 4;
	return in->enc == ENC_VEX;
}

/* The GPR a ModRM field names: AH..BH are in their parents. */
static unsigned field_reg(const struct insn *in, unsigned r, bool byte)
{
	return byte && !in->rex && r >= 4 && r < 8 ? r - 4 : r;
}

/* Is the field an 8-bit register? */
static bool field_is_byte(const struct insn *in, unsigned field)
{
	uint8_t op = in->opcode;

	if (is_vector(in) || in->enc != ENC_LEGACY)
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

/* ---- register assignment ---- */

static void assign(struct emit *m, unsigned guest)
{
	static const uint8_t pool[] = {RAX, R10, R11, R9, R8, RCX, RDX};
	static const uint8_t pool_high8[] = {RAX, RCX, RDX};
	const uint8_t *p = m->high8 ? pool_high8 : pool;
	unsigned n = m->high8 ? sizeof(pool_high8) : sizeof(pool);

	if (m->map[guest] != NO_REG)
		return;
	for (unsigned i = 0; i < n; i++) {
		if (m->used & 1u << p[i])
			continue;
		m->used |= (uint16_t)(1u << p[i]);
		m->map[guest] = p[i];
		return;
	}
	check(!"an instruction with more GPR operands than registers");
}

struct field {
	unsigned bit, reg;
	bool on;
};

static void list_fields(const struct insn *in, unsigned fields, struct field f[4])
{
	bool mem = (in->modrm >> 6) != 3;

	f[0] = (struct field){F_REG, in->reg, fields & F_REG};
	f[1] = (struct field){F_RM, in->rm, (fields & F_RM) && !mem};
	f[2] = (struct field){F_VVVV, in->vvvv, fields & F_VVVV};
	f[3] = (struct field){F_LOW, in->rm, fields & F_LOW};
	for (unsigned i = 0; i < 4; i++)
		f[i].on = f[i].on && f[i].reg < 16;
}

/* Returns the guest GPRs whose values the thunk holds in registers. */
static unsigned assign_all(struct emit *m, const struct insn *in, unsigned fields)
{
	unsigned implicit = implicit_gprs(in), data = implicit;
	struct field f[4];

	memset(m->map, NO_REG, sizeof(m->map));
	list_fields(in, fields, f);
	for (unsigned i = 0; i < 4; i++)
		if (f[i].on && field_reg(in, f[i].reg, field_is_byte(in, f[i].bit)) != f[i].reg)
			m->high8 = true;
	for (unsigned g = 0; g < 3; g++)
		if (implicit & 1u << g) {
			m->map[g] = (uint8_t)g;
			m->used |= (uint16_t)(1u << g);
		}
	for (unsigned i = 0; i < 4; i++) {
		unsigned g;

		if (!f[i].on)
			continue;
		g = field_reg(in, f[i].reg, field_is_byte(in, f[i].bit));
		assign(m, g);
		data |= 1u << g;
	}
	return data;
}

/* Host register number to encode for a guest field: keeps the AH..BH forms. */
static unsigned host_field(const struct emit *m, const struct insn *in, unsigned r, unsigned field)
{
	unsigned g = field_reg(in, r, field_is_byte(in, field));

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
	if (c->mem)
		put(m, (uint8_t)((c->reg & 7) << 3 | (m->mem & 7)));
	else
		put(m, (uint8_t)(0xc0 | (c->reg & 7) << 3 | (c->rm & 7)));
}

static void put_vex(struct emit *m, const struct insn *in, const struct code *c, unsigned vvvv)
{
	unsigned b = c->mem ? m->mem >> 3 : c->modrm ? c->rm >> 3 : 0;
	unsigned map = in->map == MAP_0F ? 1 : in->map == MAP_0F38 ? 2 : 3;

	EMIT(m, 0xc4, (uint8_t)((c->reg >> 3 ? 0 : 0x80) | 0x40 | (b ? 0 : 0x20) | map),
	     (uint8_t)((in->flags & INSN_W ? 0x80 : 0) | (~vvvv & 15) << 3 |
		       (in->flags & INSN_VEX_L ? 4 : 0) | in->pp));
	put(m, in->opcode);
}

/* Prefixes by the rule in decode/insn.h; the order is 66, F2/F3, REX, opcode. */
static void put_legacy(struct emit *m, const struct insn *in, const struct code *c)
{
	uint8_t rex = in->flags & INSN_W ? 8 : 0;

	if (in->prefixes & PFX_LOCK)
		put(m, 0xf0);
	if (in->pp == 1 || (in->flags & INSN_OPSIZE && in->opsize == 2))
		put(m, 0x66);
	if (in->pp >= 2)
		put(m, in->pp == 2 ? 0xf3 : 0xf2);
	if (c->modrm) {
		rex |= (uint8_t)(c->reg >> 3 << 2);
		rex |= (uint8_t)(c->mem ? m->mem >> 3 : c->rm >> 3);
	}
	if (c->low != NO_REG)
		rex |= (uint8_t)(c->low >> 3);
	/* Any REX turns AH..BH into SPL..DIL; low byte registers never are 4-7 here. */
	if (rex) {
		check(!m->high8);
		put(m, 0x40 | rex);
	}
	if (in->map != MAP_1)
		put(m, 0x0f);
	if (in->map == MAP_0F38)
		put(m, 0x38);
	if (in->map == MAP_0F3A)
		put(m, 0x3a);
	put(m, (uint8_t)(c->low != NO_REG ? (c->opcode & ~7u) | (c->low & 7) : c->opcode));
}

static void put_insn(struct emit *m, const struct insn *in, unsigned fields)
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
	else if (!is_vector(in))
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
		put(m, in->modrm);
	else
		put_modrm(m, &c);
	if (in->enc == ENC_VEX && in->map == MAP_0F3A && in->opcode >= 0x4a && in->opcode <= 0x4c)
		put(m,
		    (uint8_t)(in->imm2 << 4)); /* a register: bit 7 means nothing in 32-bit mode */
	else
		put_bytes(m, c.imm, c.n_imm);
}

/* ---- flags ---- */

static bool undefined_depend(const struct insn *in)
{
	uint32_t undef = in->rflags_undef & X86_ARITH;

	/* On every x86-64 processor these compute their undefined flags from the operands alone
	 * (or clear them); for others the old value may shine through. */
	if (!(undef & ~(uint32_t)X86_AF))
		return false;
	if (in->map == MAP_1)
		return !(in->opcode == 0x69 || in->opcode == 0x6b || (in->opcode & 0xfe) == 0xc0 ||
			 (in->opcode & 0xfc) == 0xd0);
	return !(in->map == MAP_0F && in->opcode == 0xaf);
}

/* Bring the flags that the instruction needs or leaves alone into EFLAGS; clobbers eax. */
static void put_load_flags(struct emit *m, const struct insn *in)
{
	uint32_t written = in->rflags_written & X86_ARITH, need = in->rflags_read & X86_ARITH;

	if (!written && !need)
		return;
	if (written)
		need |= X86_ARITH & ~written;
	if (undefined_depend(in))
		need = X86_ARITH;
	if (!need)
		return;
	if (need == X86_CF) {
		EMIT(m, 0x0f, 0xba, 0xe1, 8); /* bt ecx, 8 */
		return;
	}
	EMIT(m, 0x89, 0xc8); /* mov eax, ecx */
	if (need & X86_OF)
		EMIT(m, 0x04, 0x7f); /* add al, 0x7f: OF = old bit 0 */
	put(m, 0x9e);                /* sahf */
}

/* ---- the whole thunk ---- */

static bool may_fault(const struct insn *in)
{
	if (is_vector(in) || in->enc != ENC_LEGACY || in->map == MAP_0F38 || in->map == MAP_0F3A)
		return true;
	if (in->map == MAP_1 && in->opcode == 0x9b)
		return true;
	if (in->map == MAP_1)
		return (in->opcode == 0xf6 || in->opcode == 0xf7) && (in->modrm >> 3 & 7) >= 6;
	return in->opcode == 0xc7 || in->opcode == 0xb8 || in->opcode == 0xae;
}

/* Registers that the thunk must load. */
static unsigned gprs_to_load(const struct insn *in, unsigned data)
{
	if (!dest_is_fresh(in))
		return data & (in->gpr_read | in->gpr_written);
	/* A plain load: what is read are address registers. */
	if ((in->flags & (INSN_MEM_READ | INSN_MEM_WRITE)) == INSN_MEM_READ && in->enc != ENC_VEX &&
	    !is_vector(in))
		return 0;
	return data & in->gpr_read;
}

static void put_vectors(struct emit *m, const struct insn *in, bool avx, bool after, bool mxcsr)
{
	unsigned regs = after ? in->vec_written : in->vec_read;

	if (!after && in->enc == ENC_LEGACY)
		regs |= in->vec_written; /* merges */
	for (unsigned x = 0; x < 16; x++)
		if (regs & 1u << x)
			put_vec(m, avx, after, x);
	if (mxcsr) {
		if (after)
			put_0f_state(m, 0xae, 3, offsetof(struct vcpu, s.fpu.mxcsr)); /* stmxcsr */
		else
			put_0f_state(m, 0xae, 2, offsetof(struct vcpu, s.fpu.mxcsr)); /* ldmxcsr */
	}
}

/* After a store: if the page's code byte is set, go to interp_cpu.stored_slow. */
static void put_store_check(struct emit *m)
{
	EMIT(m, 0x49, 0x8b, 0x41, offsetof(struct x86_tlb_entry, code)); /* mov rax, [r9 + code] */
	EMIT(m, 0x80, 0x38, 0x00);                                       /* cmp byte [rax], 0 */
	EMIT(m, 0x74, 7 + 2);                                            /* je over */
	EMIT(m, 0x48, 0x8b, 0x87); /* mov rax, [rdi + engine] */
	put32(m, offsetof(struct vcpu, engine));
	EMIT(m, 0xff, 0x20); /* jmp [rax] */
	static_assert(offsetof(struct interp_cpu, stored_slow) == 0, "jmp [rax]");
}

void *emit_thunk(struct interp_cpu *ic, const struct insn *in)
{
	struct emit m = {.used = 1u << RDI | 1u << RSI, .mem = R8};
	bool mem = in->flags & INSN_MEM, store = in->flags & INSN_MEM_WRITE;
	/* Legacy SSE works on the low halves alone: the upper ones in memory stay as they are, and
	 * host code never mixes it with AVX in one thunk, which costs hundreds of cycles. */
	bool avx = in->enc == ENC_VEX && (in->vec_read | in->vec_written);
	bool mxcsr = (in->flags & INSN_FP_EXC) && (in->flags & (INSN_SSE | INSN_AVX));
	bool faults = may_fault(in), sets = in->rflags_written & X86_ARITH;
	unsigned fields = gpr_fields(in), data, host_used, mxcsr_fix = 0;
	bool save_fl, save_tab;

	if (mem)
		m.used |= 1u << R8;
	if (store)
		m.used |= 1u << R9;
	data = assign_all(&m, in, fields);
	host_used = m.used;
	save_fl = faults || (!sets && host_used & 1u << RCX);
	save_tab = faults || host_used & 1u << RDX;

	if (save_fl)
		EMIT(&m, 0x89, 0x4c, 0x24, 0xf8); /* mov [rsp-8], ecx */
	if (save_tab)
		EMIT(&m, 0x48, 0x89, 0x54, 0x24, 0xf0); /* mov [rsp-16], rdx */
	put_load_flags(&m, in);
	for (unsigned g = 0; g < 16; g++)
		if (gprs_to_load(in, data) & 1u << g)
			put_gpr(&m, false, m.map[g], g);
	put_vectors(&m, in, avx, false, mxcsr);
	if (m.high8 && mem) {
		EMIT(&m, 0x49, 0x89, 0xf2); /* mov r10, rsi */
		EMIT(&m, 0x4c, 0x89, 0xc6); /* mov rsi, r8 */
		m.mem = RSI;
	}
	put_insn(&m, in, fields);
	if (m.high8 && mem)
		EMIT(&m, 0x4c, 0x89, 0xd6); /* mov rsi, r10 */
	put_vectors(&m, in, avx, true, mxcsr);
	if (mxcsr) { /* ldmxcsr [rip + x]: the host's, at the end of the thunk */
		EMIT(&m, 0x0f, 0xae, 0x15);
		mxcsr_fix = m.n;
		put32(&m, 0);
	}
	if (avx)
		EMIT(&m, 0xc5, 0xf8, 0x77); /* vzeroupper */
	for (unsigned g = 0; g < 16; g++)
		if (in->gpr_written & data & 1u << g)
			put_gpr(&m, true, m.map[g], g);
	if (sets)
		EMIT(&m, 0x9f, 0x0f, 0x90, 0xc0, 0x89, 0xc1); /* lahf; seto al; mov ecx, eax */
	else if (host_used & 1u << RCX)
		EMIT(&m, 0x8b, 0x4c, 0x24, 0xf8); /* mov ecx, [rsp-8] */
	if (host_used & 1u << RDX)
		EMIT(&m, 0x48, 0x8b, 0x54, 0x24, 0xf0); /* mov rdx, [rsp-16] */
	if (store)
		put_store_check(&m);
	EMIT(&m, 0x48, 0x83, 0xc6, sizeof(struct uop)); /* add rsi, 32 */
	EMIT(&m, 0xff, 0x26);                           /* jmp [rsi] */
	if (mxcsr) {
		uint32_t rel = m.n - (mxcsr_fix + 4);

		memcpy(m.buf + mxcsr_fix, &rel, 4);
		put32(&m, 0x1f80);
	}
	return thunk_add(
		&ic->thunks, m.buf, m.n,
		(uint8_t)((save_fl && save_tab ? THUNK_FAULTS : 0) | (mxcsr ? THUNK_MXCSR : 0)));
}
