/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Emitting host code, and re-encoding a guest instruction for the host with other registers and
 * another memory operand: what the interpreter's thunks and the translator share. The rules are in
 * engine/decode/insn.h.
 *
 * Every byte goes through emit_bytes(), which checks the buffer's end: a full buffer is a bug of
 * the caller, who reserves room for the most that one block or thunk can need.
 */
#ifndef ENGINE_EMIT_REENC_H
#define ENGINE_EMIT_REENC_H

#include <string.h>

#include "base/base.h"
#include "engine/decode/insn.h"

/* Host GPRs by encoding. */
enum {
	RAX,
	RCX,
	RDX,
	RBX,
	RSP,
	RBP,
	RSI,
	RDI,
	R8,
	R9,
	R10,
	R11,
	R12,
	R13,
	R14,
	R15,
	NO_REG = 0xff
};

struct emit {
	uint8_t *buf;
	unsigned n, size;
	uint8_t map[16]; /* guest GPR -> host GPR; 0xff = none */
	uint16_t used;   /* host GPRs taken (thunks) */
	bool high8;      /* names AH..BH: no REX may be emitted */
	bool force_rex;  /* names SPL..DIL: REX is needed even without bits */
	uint8_t mem; /* host register that points to the memory operand; not RSP, RBP, R12, R13 */
	/* with mem_sib the operand is [mem + index << scale + disp] instead of [mem] */
	bool mem_sib;
	uint8_t mem_index, mem_scale; /* mem_index RSP: none (scale 0) */
	int32_t mem_disp;
	/* translator (tr_field()): where struct vcpu is, as seen from buf; 0: out of reach */
	uintptr_t home;
};

static inline void emit_bytes(struct emit *m, const void *p, unsigned n)
{
	check(m->n + n <= m->size);
	memcpy(m->buf + m->n, p, n);
	m->n += n;
}
static inline void emit8(struct emit *m, uint8_t b)
{
	emit_bytes(m, &b, 1);
}
static inline void emit32(struct emit *m, uint32_t x)
{
	emit_bytes(m, &x, 4);
}
static inline void emit64(struct emit *m, uint64_t x)
{
	emit_bytes(m, &x, 8);
}
#define EMIT(m, ...)                                                                               \
	emit_bytes((m), (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Fields of an instruction that name a GPR. */
enum { F_REG = 1, F_RM = 2, F_VVVV = 4, F_LOW = 8 };

struct reenc_field {
	unsigned bit, reg; /* F_, the number in the field */
	bool on;
};

/** insn_gpr_fields() - which fields name GPRs (F_RM also for memory operands: see reenc_fields). */
unsigned insn_gpr_fields(const struct insn *in);
/** insn_implicit_gprs() - GPRs used without being named, always among RAX, RCX, RDX; a mask. */
unsigned insn_implicit_gprs(const struct insn *in);
/** insn_dest_is_fresh() - does the destination GPR change as a whole, whatever it was? */
bool insn_dest_is_fresh(const struct insn *in);
/** insn_field_is_byte() - is @field (F_) an 8-bit register? */
bool insn_field_is_byte(const struct insn *in, unsigned field);
/** insn_field_reg() - the GPR that field value @r names: AH..BH are in their parents. */
unsigned insn_field_reg(const struct insn *in, unsigned r, bool byte);
bool insn_is_vector(const struct insn *in);
/** insn_flags_needed() - X86_ARITH flags that must be in EFLAGS before the instruction, because it
 * reads them or leaves them as they are. */
uint32_t insn_flags_needed(const struct insn *in);
/** insn_flags_kept() - undefined X86_ARITH flags that this host leaves as they were, but the
 * decoder, which knows no host, may not say are read (kept.c). */
uint32_t insn_flags_kept(const struct insn *in);
/** insn_may_fault() - can the instruction itself (not its memory access) fault on the host? */
bool insn_may_fault(const struct insn *in);
/** reenc_fields() - the four possible fields, those that name a register switched on. */
void reenc_fields(const struct insn *in, unsigned fields, struct reenc_field f[4]);
/** reenc_insn() - emit the instruction with registers from m->map, memory operand as m->mem says.
 * @fields: insn_gpr_fields(). */
void reenc_insn(struct emit *m, const struct insn *in, unsigned fields);

#endif
