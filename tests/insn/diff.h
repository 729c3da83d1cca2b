/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Differential execution: one random instruction with random state on the host CPU (native.h) and
 * on an engine in a guest of the same layout (diff_guest.c), and the comparison (diff_insn.c).
 */
#ifndef TESTS_INSN_DIFF_H
#define TESTS_INSN_DIFF_H

#include "cpu/x86/cpuid.h"
#include "engine/decode/insn.h"
#include "native.h"

/* diff_gen.c */
/** diff_generate() - fill @c (inputs) from @id alone; the decoded instruction in @ret_in.
 * @model: instructions it does not have are not generated. */
void diff_generate(struct native_case *c, uint64_t id, unsigned bits, const struct cpu_model *model,
		   struct insn *ret_in);

/** diff_generate_state() - @c's registers and memory alone, for a sequence.
 * @calm: no exception unmasked or pending, no alignment checks. */
void diff_generate_state(struct native_case *c, uint64_t id, unsigned bits, bool calm,
			 const struct cpu_model *model);
/** diff_generate_piece() - an instruction of a sequence: c->code, c->code_len, and c->state.gpr for
 * the registers of the mask that is returned, which hold addresses and counts. Nothing else of @c
 * has a meaning afterwards. @calm: memory operands are where they can be accessed.
 * @wanted: which instructions may come. */
uint32_t diff_generate_piece(struct native_case *c, uint64_t id, unsigned bits, bool calm,
			     const struct cpu_model *model, bool (*wanted)(const struct insn *in),
			     struct insn *ret_in);

/** diff_xorshift() - the generator's random numbers; *@s must not be 0. */
static inline uint64_t diff_xorshift(uint64_t *s)
{
	uint64_t x = *s;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*s = x;
	return x * 0x2545f4914f6cdd1dull;
}

/* diff_guest.c */
struct diff_guest;
/** diff_guest_new() - a VM with one vCPU of @engine in 64-bit mode, NULL with text in @err.
 * @exits: the device at DIFF_EXIT is there; else nothing is, as on the host. @leave: a store to it
 * makes the engine return to its caller. */
struct diff_guest *diff_guest_new(const char *engine, bool exits, bool leave, struct error *err);
void diff_guest_free(struct diff_guest *g);
const struct cpu_model *diff_guest_model(const struct diff_guest *g);
/** diff_guest_free_run() - run instructions without single step where that makes no difference. */
void diff_guest_free_run(struct diff_guest *g);
/** diff_guest_run() - run @c (inputs as in native.h) and fill its outputs. */
void diff_guest_run(struct diff_guest *g, struct native_case *c);
/** diff_guest_run_seq() - the same for @n bytes of straight code in place of c->code. */
void diff_guest_run_seq(struct diff_guest *g, struct native_case *c, const uint8_t *code,
			unsigned n);
/** diff_guest_exits() - times the guest has stored to DIFF_EXIT. */
uint64_t diff_guest_exits(const struct diff_guest *g);
#define DIFF_SEQ_BYTES 1024u
/** diff_make_groups() - such a sequence: several accesses off the same registers (diff_groups.c).
 * @c: as diff_generate() made it for @id; changed. Return: bytes at @code (DIFF_SEQ_BYTES). */
unsigned diff_make_groups(struct native_case *c, uint64_t id, unsigned bits, uint8_t *code);
/* A page where a store makes the engine return to its caller: at +6000 of NATIVE_BASE, where the
 * host has a hole. */
#define DIFF_EXIT (NATIVE_BASE + 0x6000u)

#endif
