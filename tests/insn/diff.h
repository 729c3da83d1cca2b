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

/* diff_host.c: where hosts may end otherwise than engines do, by their vendor */
/** diff_host_unlike() - is nothing of a case to be compared? */
bool diff_host_unlike(const struct insn *in, const struct native_case *nat,
		      const struct native_case *eng);
/** diff_host_adjust() - put into @eng what the host may have otherwise; all else is compared. */
void diff_host_adjust(const struct insn *in, const struct native_case *nat,
		      struct native_case *eng);

/* diff_seq.c */
struct diff_maker {
	unsigned bits;
	bool exits, groups, loops; /* as the options of diff_insn */
	const struct cpu_model *model;
	uint64_t insns; /* made so far */
};
#define DIFF_SEQ_BYTES 1024u
/** diff_make_sequence() - @c's state and @code (DIFF_SEQ_BYTES); @id also says whether the sequence
 * is a calm one, most of which run to their end, or one in which anything may fault.
 * Return: bytes. */
unsigned diff_make_sequence(struct diff_maker *r, uint64_t id, struct native_case *c,
			    uint8_t *code);
/** diff_in_calm_sequence() - is @in no jump, nothing that traps or unmasks exceptions, no long
 * repeat, no clock? diff_in_calm_loop(): and may it run again and again, with RCX as it is? */
bool diff_in_calm_sequence(const struct insn *in);
bool diff_in_calm_loop(const struct insn *in);
/** diff_put_mov() - mov of what register @g had when the instruction was generated. */
unsigned diff_put_mov(uint8_t *code, unsigned bits, unsigned g, uint64_t val);
/** diff_put_group() - several accesses off one register, as compilers write them for the fields of
 * a structure and for spilled registers. */
unsigned diff_put_group(uint8_t *code, unsigned bits, bool calm, uint64_t *rng);
#define DIFF_LOOP_ROOM 480u
/** diff_put_loop() - a short loop of 2 to 41 turns, at most DIFF_LOOP_ROOM bytes. @off: where it
 * stands from c->code_off. */
unsigned diff_put_loop(struct diff_maker *r, const struct native_case *c, unsigned off, uint64_t id,
		       bool calm, bool (*wanted)(const struct insn *in), uint8_t *code,
		       uint64_t *rng);

/* diff_guest.c */
struct diff_guest;
/** diff_guest_new() - a VM with one vCPU of @engine in 64-bit mode, NULL with text in @err.
 * @exits: the device at DIFF_EXIT is there; else nothing is, as on the host. @leave: a store to it
 * makes the engine return to its caller. @at_once: translate blocks when they run first. */
struct diff_guest *diff_guest_new(const char *engine, bool exits, bool leave, bool at_once,
				  struct error *err);
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
/** diff_make_groups() - such a sequence: several accesses off the same registers (diff_groups.c).
 * @c: as diff_generate() made it for @id; changed. Return: bytes at @code (DIFF_SEQ_BYTES). */
unsigned diff_make_groups(struct native_case *c, uint64_t id, unsigned bits, uint8_t *code);
/* A page where a store makes the engine return to its caller: at +6000 of NATIVE_BASE, where the
 * host has a hole. */
#define DIFF_EXIT (NATIVE_BASE + 0x6000u)

#endif
