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

#include "engine/emit/reenc.h"
#include "engine/interp/interp.h"

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
	emit32(m, (uint32_t)off);
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
	emit8(m, (uint8_t)(0x80 | (x & 7) << 3 | RDI));
	emit32(m, (uint32_t)(offsetof(struct vcpu, s.fpu.ymm) + x * 32));
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

/* Returns the guest GPRs whose values the thunk holds in registers. */
static unsigned assign_all(struct emit *m, const struct insn *in, unsigned fields)
{
	unsigned implicit = insn_implicit_gprs(in), data = implicit;
	struct reenc_field f[4];

	memset(m->map, NO_REG, sizeof(m->map));
	reenc_fields(in, fields, f);
	for (unsigned i = 0; i < 4; i++)
		if (f[i].on &&
		    insn_field_reg(in, f[i].reg, insn_field_is_byte(in, f[i].bit)) != f[i].reg)
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
		g = insn_field_reg(in, f[i].reg, insn_field_is_byte(in, f[i].bit));
		assign(m, g);
		data |= 1u << g;
	}
	return data;
}

/* ---- flags ---- */

/* Bring the flags that the instruction needs or leaves alone into EFLAGS; clobbers eax. */
static void put_load_flags(struct emit *m, const struct insn *in)
{
	uint32_t need = insn_flags_needed(in);

	if (!need)
		return;
	if (need == X86_CF) {
		EMIT(m, 0x0f, 0xba, 0xe1, 8); /* bt ecx, 8 */
		return;
	}
	EMIT(m, 0x89, 0xc8); /* mov eax, ecx */
	if (need & X86_OF)
		EMIT(m, 0x04, 0x7f); /* add al, 0x7f: OF = old bit 0 */
	emit8(m, 0x9e);              /* sahf */
}

/* ---- the whole thunk ---- */

/* Registers that the thunk must load. */
static unsigned gprs_to_load(const struct insn *in, unsigned data)
{
	if (!insn_dest_is_fresh(in))
		return data & (in->gpr_read | in->gpr_written);
	/* A plain load: what is read are address registers. */
	if ((in->flags & (INSN_MEM_READ | INSN_MEM_WRITE)) == INSN_MEM_READ && in->enc != ENC_VEX &&
	    !insn_is_vector(in))
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
	emit32(m, offsetof(struct vcpu, engine));
	EMIT(m, 0xff, 0x20); /* jmp [rax] */
	static_assert(offsetof(struct interp_cpu, stored_slow) == 0, "jmp [rax]");
}

void *emit_thunk(struct interp_cpu *ic, const struct insn *in, bool *ret_lasting)
{
	uint8_t buf[320];
	struct emit m = {.buf = buf, .size = sizeof(buf), .used = 1u << RDI | 1u << RSI, .mem = R8};
	bool mem = in->flags & INSN_MEM, store = in->flags & INSN_MEM_WRITE;
	/* Legacy SSE works on the low halves alone: the upper ones in memory stay as they are, and
	 * host code never mixes it with AVX in one thunk, which costs hundreds of cycles. */
	bool avx = in->enc == ENC_VEX && (in->vec_read | in->vec_written);
	bool mxcsr = (in->flags & INSN_FP_EXC) && (in->flags & (INSN_SSE | INSN_AVX));
	bool faults = insn_may_fault(in), sets = in->rflags_written & X86_ARITH;
	unsigned fields = insn_gpr_fields(in), data, host_used, mxcsr_fix = 0;
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
	reenc_insn(&m, in, fields);
	if (m.high8 && mem)
		EMIT(&m, 0x4c, 0x89, 0xd6); /* mov rsi, r10 */
	put_vectors(&m, in, avx, true, mxcsr);
	if (mxcsr) { /* ldmxcsr [rip + x]: the host's, at the end of the thunk */
		EMIT(&m, 0x0f, 0xae, 0x15);
		mxcsr_fix = m.n;
		emit32(&m, 0);
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
		emit32(&m, 0x1f80);
	}
	return thunk_add(
		&ic->thunks, m.buf, m.n,
		(uint8_t)((save_fl && save_tab ? THUNK_FAULTS : 0) | (mxcsr ? THUNK_MXCSR : 0)),
		ret_lasting);
}
