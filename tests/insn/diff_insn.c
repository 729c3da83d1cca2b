/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Differential execution of single random instructions: the host CPU against an engine.
 *
 *	diff_insn [-engine E] [-free] [-audit | -prog | -seq [-exits] [-groups | -loops]]
 *		  [-mode 64|32|16] [-n N] [-seed S] [-case ID] [-k K] [-v]
 *
 * Compared: general registers, RFLAGS (undefined flags too: an engine that runs the host's own
 * instruction has the host's), x87, MMX, SSE, AVX, MXCSR, memory, selectors, and for faults the
 * vector, error code, address and the saved RIP and RFLAGS. Also checked against the decoder: what
 * the host changed is within gpr_written, vec_written and rflags_written. Each mismatch prints the
 * -case ID that repeats it; after K (20) the run ends.
 *
 * -free: without the debugger's single step, so that engines run code as they usually do.
 *
 * -seq: straight sequences of 5 to 50 random instructions with short forward jumps among them, on
 * the interpreter and on the engine; the two must end in the same state or at the same fault. Half
 * of them are calm (operands where they can be accessed, exceptions masked) and mostly run to their
 * end; in the other half anything may fault anywhere, at holes, read-only pages and page ends too.
 * -exits: between all instructions the engine is made to return to its caller, as for a device or a
 * signal, and entered again in the middle of what it had translated, every other time with an empty
 * TLB; the interpreter stays inside, so that what leaving keeps and loses is compared as well.
 * -groups: sequences that access memory several times off the same registers (diff_groups.c).
 * -loops: half of a sequence are short loops of random instructions whose pointers move, which
 * translators treat in ways of their own.
 *
 * -prog: whole programs on the host CPU, the interpreter and the engine (prog.h).
 *
 * -audit needs no engine: each case runs twice on the host, the second time with other values in
 * everything the decoder says is not read. Registers and flags that are written must come out the
 * same, all others as they went in.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "base/bits.h"
#include "diff.h"
#include "engine/emit/reenc.h"
#include "prog.h"

#define FSW_ES 0x80 /* an exception is pending */

struct options {
	const char *engine;
	unsigned mode, most;
	uint64_t n, seed, only;
	bool verbose, audit, free, seq, exits, groups, loops, prog;
};

struct run {
	struct options o;
	struct native *native;
	struct diff_guest *guest, *reference; /* reference: of -seq */
	struct insn in[NATIVE_BATCH];
	struct native_case start[NATIVE_BATCH];
	uint64_t id[NATIVE_BATCH];
	unsigned pending, mismatches;
	uint64_t done, faults, killed;
	struct diff_maker maker;
};

struct report {
	char text[4096];
	size_t n;
};

__attribute__((format(printf, 2, 3))) static void say(struct report *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (r->n < sizeof(r->text))
		r->n += (size_t)vsnprintf(r->text + r->n, sizeof(r->text) - r->n, fmt, ap);
	va_end(ap);
}

static void hex(struct report *r, const uint8_t *p, unsigned n)
{
	for (unsigned i = n; i--;)
		say(r, "%02x", p[i]);
}

static void compare_bytes(struct report *r, const char *what, unsigned i, const uint8_t *native,
			  const uint8_t *engine, const uint8_t *start, unsigned n)
{
	if (!memcmp(native, engine, n))
		return;
	say(r, "\n  %s%u: host ", what, i);
	hex(r, native, n);
	say(r, " engine ");
	hex(r, engine, n);
	say(r, " was ");
	hex(r, start, n);
}

static void compare_word(struct report *r, const char *what, uint64_t native, uint64_t engine,
			 uint64_t start)
{
	if (native != engine)
		say(r, "\n  %s: host %llx engine %llx was %llx", what, (unsigned long long)native,
		    (unsigned long long)engine, (unsigned long long)start);
}

/* The processor turns to MMX state before the memory access that faults; nobody can tell, because
 * the instruction is run again. */
static bool mmx_fault(const struct insn *in, const struct native_case *nat)
{
	return nat->stop == NATIVE_FAULT && in->flags & INSN_MMX;
}

/* @pointers: both sides have kept FIP and FDP up to here. */
static void compare_fpu(struct report *r, const struct insn *in, const struct native_case *nat,
			const struct native_case *eng, const struct native_case *st, bool pointers)
{
	const uint8_t *a = nat->state.xsave, *b = eng->state.xsave, *c = st->state.xsave;

	compare_word(r, "fcw", ld_le16(a), ld_le16(b), ld_le16(c));
	if (!mmx_fault(in, nat)) {
		compare_word(r, "fsw", ld_le16(a + 2), ld_le16(b + 2), ld_le16(c + 2));
		compare_word(r, "ftw", a[4], b[4], c[4]);
		for (unsigned i = 0; i < 8; i++)
			compare_bytes(r, "st", i, a + 32 + i * 16, b + 32 + i * 16, c + 32 + i * 16,
				      10);
	}
	/* FOP: processors since the Pentium 4 store it only when an exception is unmasked (SDM vol.
	 * 1, 8.1.9.1), older ones and engines always */
	if (pointers) {
		compare_word(r, "fip", ld_le64(a + 8), ld_le64(b + 8), ld_le64(c + 8));
		compare_word(r, "fdp", ld_le64(a + 16), ld_le64(b + 16), ld_le64(c + 16));
	}
	/* the conversion's flags may be set before its store faults */
	if (!(nat->stop == NATIVE_FAULT && in->flags & INSN_MEM_WRITE))
		compare_word(r, "mxcsr", ld_le32(a + 24), ld_le32(b + 24), ld_le32(c + 24));
	for (unsigned i = 0; i < 16; i++) { /* 32-bit code has 8 and leaves the others */
		/* a gather that faults half-way may have cleared what is above the elements or not
		 */
		if (in->special == SP_GATHER && nat->stop == NATIVE_FAULT &&
		    (i == in->reg || i == in->vvvv))
			continue;
		compare_bytes(r, "xmm", i, a + 160 + i * 16, b + 160 + i * 16, c + 160 + i * 16,
			      16);
		compare_bytes(r, "ymmh", i, a + 576 + i * 16, b + 576 + i * 16, c + 576 + i * 16,
			      16);
	}
}

/* What FNSTENV showed on the host, which keeps FOP and the selectors as well. */
static void compare_look(struct report *r, const struct native_case *nat,
			 const struct native_case *eng)
{
	const struct native_x87 *a = &nat->x87, *b = &eng->x87;

	if (!nat->looked || eng->stop != NATIVE_TRAP)
		return;
	compare_word(r, "FNSTENV fip", a->fip, b->fip, 0);
	compare_word(r, "FNSTENV fdp", a->fdp, b->fdp, 0);
	compare_word(r, "FNSTENV fop", a->fop, b->fop, 0);
	compare_word(r, "FNSTENV fcs", a->fcs, b->fcs, 0);
	compare_word(r, "FNSTENV fds", a->fds, b->fds, 0);
}

/* Images of several pieces may be written in part before the piece that faults (SDM vol. 3, 8.1.1).
 */
static bool partial_store(const struct insn *in, const struct native_case *nat)
{
	return nat->stop == NATIVE_FAULT &&
	       (in->mem_size == 10 || (in->special >= SP_CALL_REL && in->special <= SP_CALL_IND) ||
		in->special == SP_CALL_FAR || in->special == SP_FNSTENV ||
		in->special == SP_FNSAVE || in->special == SP_FXSAVE ||
		(in->special >= SP_XSAVE && in->special <= SP_XSAVES));
}

static void compare_memory(struct report *r, const struct insn *in, const struct native_case *nat,
			   const struct native_case *eng, const struct native_case *st)
{
	uint8_t before[NATIVE_MEM_SIZE];
	unsigned told = 0;

	if (partial_store(in, nat) || !memcmp(nat->mem, eng->mem, NATIVE_MEM_SIZE))
		return;
	native_fill(st, before);
	for (unsigned i = 0; i < NATIVE_MEM_SIZE && told < 8; i++)
		if (nat->mem[i] != eng->mem[i]) {
			say(r, "\n  mem %x: host %02x engine %02x was %02x", NATIVE_DATA + i,
			    nat->mem[i], eng->mem[i], before[i]);
			told++;
		}
}

/* What the host changed must be what the decoder says is written. */
static void check_masks(struct report *r, const struct insn *in, const struct native_case *nat,
			const struct native_case *st)
{
	unsigned regs = nat->bits == 64 ? 16 : 8;
	uint64_t m = nat->bits == 64 && nat->sel[X86_CS] == NATIVE_CS64 ? ~0ull : 0xffffffff;
	uint32_t flags = (uint32_t)(nat->state.rflags ^ st->state.rflags) & (X86_ARITH | X86_DF) &
			 ~in->rflags_written;

	if (nat->stop != NATIVE_TRAP)
		return;
	for (unsigned i = 0; i < regs; i++) {
		if ((nat->state.gpr[i] ^ st->state.gpr[i]) & m && !(in->gpr_written >> i & 1))
			say(r, "\n  decoder: r%u changed, gpr_written %x", i, in->gpr_written);
		if (memcmp(nat->state.xsave + 160 + i * 16, st->state.xsave + 160 + i * 16, 16) &&
		    !(in->vec_written >> i & 1) && in->special != SP_FXRSTOR &&
		    in->special != SP_XRSTOR)
			say(r, "\n  decoder: xmm%u changed, vec_written %x", i, in->vec_written);
	}
	if (flags)
		say(r, "\n  decoder: flags %x changed, rflags_written %x", flags,
		    in->rflags_written);
}

/* State images, masked moves and stack frames are moved in pieces, in an order that is the
 * processor's own: only the page of the fault is compared. */
static bool several_accesses(const struct insn *in)
{
	switch (in->special) {
	case SP_FLDENV:
	case SP_FNSTENV:
	case SP_VMASKMOV:
	case SP_GATHER:
	case SP_IRET:
	case SP_CALL_FAR:
	case SP_RETF: return true;
	default: return in->mem_size > 32;
	}
}

/* An x87 store that stores nothing because of an unmasked exception does not look at its address;
 * the engine does first. */
static bool unmasked_store(const struct insn *in, const struct native_case *nat,
			   const struct native_case *eng)
{
	return in->flags & INSN_FPU && in->flags & INSN_MEM_WRITE && nat->stop == NATIVE_TRAP &&
	       eng->stop == NATIVE_FAULT && ld_le16(nat->state.xsave + 2) & FSW_ES;
}

/* Differences that the architecture allows. */
static bool allowed(const struct insn *in, const struct native_case *nat,
		    const struct native_case *eng)
{
	bool faults = nat->stop == NATIVE_FAULT || eng->stop == NATIVE_FAULT;

	switch (in->special) {
	case SP_MASKMOVDQU: /* "implementation dependent": faults of bytes masked out (SDM vol. 2)
			     */
	case SP_MASKMOVQ: return faults;
	case SP_IRET:
	case SP_RETF: /* two bytes of the selector, and the selector may come first; the last byte
		       * of a frame over the end of the stack segment may come before its first */
		return (nat->stop == NATIVE_FAULT && eng->vector == 14) ||
		       (nat->vector == 14 && eng->vector == 12) || nat->vector == 17 ||
		       eng->vector == 17;
	case SP_FXSAVE:
	case SP_FXRSTOR:
	case SP_XSAVE:
	case SP_XSAVEC:
	case SP_XRSTOR: /* pieces in any order, the header first, and only those asked for */
		return ((nat->vector == 14 || eng->vector == 14) && eng->stop == NATIVE_FAULT) ||
		       nat->vector == 17; /* misaligned: #AC or #GP */
	case SP_JMP_FAR:
		return nat->vector == 17 || eng->vector == 17; /* how the pointer is read */
	case SP_CALL_FAR: /* likewise; whether its stores are checked for alignment */
		if (eng->vector == 17)
			return true;
		/* fall through */
	case SP_CALL_REL: /* the frame is pushed before the target is checked */
	case SP_CALL_IND:
		return faults && eng->stop == NATIVE_FAULT && eng->vector == 13 &&
		       (nat->vector == 14 || nat->vector == 12 || nat->vector == 17);
	case SP_PUSHA: /* registers and memory are written as they come */
	case SP_POPA:
	case SP_ENTER:
		return nat->stop == NATIVE_FAULT && eng->stop == NATIVE_FAULT &&
		       nat->vector == eng->vector;
	default: break;
	}
	/* the conversion's own exception comes before that of its store */
	if (in->enc == ENC_VEX && in->map == MAP_0F3A && in->opcode == 0x1d)
		return (nat->vector == 19 && eng->vector == 14) || eng->vector == 17;
	/* exception class 11: no alignment checks */
	if (in->enc == ENC_VEX && in->map == MAP_0F38 && in->opcode == 0x13)
		return eng->vector == 17;
	return unmasked_store(in, nat, eng);
}

/* A branch to its own bytes: without single step it would run again. */
static bool lands_in_itself(const struct native_case *nat, const struct native_case *st)
{
	uint64_t start = NATIVE_CODE + st->code_off - (st->bits == 16 ? NATIVE_BASE : 0);

	return nat->stop == NATIVE_TRAP && nat->state.rip - start < st->code_len;
}

static void compare_case(const struct run *run, unsigned i, const struct native_case *nat,
			 const struct native_case *eng, struct report *r)
{
	const struct native_case *st = &run->start[i];
	uint64_t gm = nat->bits == 64 ? ~0ull : 0xffffffff;

	if (nat->stop == NATIVE_TRAP && nat->sel[X86_CS] != st->sel[X86_CS])
		gm = 0xffffffff; /* upper halves do not survive compatibility mode */
	if (nat->stop != eng->stop || (nat->stop == NATIVE_FAULT && nat->vector != eng->vector))
		say(r,
		    "\n  outcome: host %s %u (error %x, cr2 %llx), engine %s %u (error %x, cr2 "
		    "%llx)",
		    nat->stop == NATIVE_TRAP ? "done" : "fault",
		    nat->stop == NATIVE_TRAP ? 0 : nat->vector, nat->error,
		    (unsigned long long)nat->cr2,
		    eng->stop == NATIVE_TRAP    ? "done"
		    : eng->stop == NATIVE_FAULT ? "fault"
						: "lost",
		    eng->stop == NATIVE_TRAP ? 0 : eng->vector, eng->error,
		    (unsigned long long)eng->cr2);
	else if (nat->stop == NATIVE_FAULT) {
		/* Linux tells user space that all kernel addresses are present */
		uint16_t hide = nat->vector == 14 && nat->cr2 >> 47 ? 1 : 0;
		uint64_t m = several_accesses(&run->in[i]) ? ~0xfffull : ~0ull;

		compare_word(r, "error code", nat->error | hide, eng->error | hide, 0);
		if (nat->vector == 14)
			compare_word(r, "cr2", nat->cr2 & m, eng->cr2 & m, 0);
	}
	compare_word(r, "rip", nat->state.rip, eng->state.rip, st->state.rip);
	compare_word(r, "rflags", nat->state.rflags, eng->state.rflags, st->state.rflags);
	for (unsigned k = 0; k < (nat->bits == 64 ? 16 : 8); k++) {
		char name[8];

		snprintf(name, sizeof(name), "r%u", k);
		compare_word(r, name, nat->state.gpr[k] & gm, eng->state.gpr[k] & gm,
			     st->state.gpr[k] & gm);
	}
	for (unsigned k = 0; k < X86_SREG_COUNT; k++)
		/* the way back to user mode clears the RPL of null selectors (IRET) */
		if (nat->sel[k] != eng->sel[k] && (nat->sel[k] | eng->sel[k]) & ~3)
			say(r, "\n  selector %u: host %x engine %x", k, nat->sel[k], eng->sel[k]);
	if (nat->bits == 64) {
		compare_word(r, "fsbase", nat->fs_base, eng->fs_base, NATIVE_FS_BASE);
		compare_word(r, "gsbase", nat->gs_base, eng->gs_base, NATIVE_GS_BASE);
	}
	compare_fpu(r, &run->in[i], nat, eng, st,
		    native_pointers(run->native) == NATIVE_KEPT ||
			    ld_le16(nat->state.xsave + 2) & FSW_ES);
	compare_look(r, nat, eng);
	compare_memory(r, &run->in[i], nat, eng, st);
	check_masks(r, &run->in[i], nat, st);
}

/* The host may have lost the x87 pointers in the middle of the case: run it there once more. */
static void compare_again(struct run *run, unsigned i, const struct native_case *eng,
			  struct report *r)
{
	struct native_case *nat = native_cases(run->native);

	for (unsigned turn = 0; r->n && turn < 3; turn++) {
		memcpy(nat, &run->start[i], offsetof(struct native_case, mem));
		native_run(run->native, 1);
		if (nat->stop == NATIVE_KILLED)
			return;
		r->n = 0;
		compare_case(run, i, nat, eng, r);
	}
}

static void compare(struct run *run, unsigned i)
{
	const struct native_case *nat = &native_cases(run->native)[i], *st = &run->start[i];
	static struct native_case eng;
	struct report r = {.n = 0};
	char text[128];

	if (nat->stop == NATIVE_KILLED) {
		run->killed++;
		return;
	}
	if (run->o.free && lands_in_itself(nat, st))
		return;
	memcpy(&eng, st, offsetof(struct native_case, mem));
	diff_guest_run(run->guest, &eng);
	run->done++;
	if (allowed(&run->in[i], nat, &eng) || diff_host_unlike(&run->in[i], nat, &eng))
		return;
	diff_host_adjust(&run->in[i], nat, &eng);
	run->faults += nat->stop == NATIVE_FAULT;
	compare_case(run, i, nat, &eng, &r);
	if (native_pointers(run->native) == NATIVE_LOADED)
		compare_again(run, i, &eng, &r); /* the batch's first has been compared */
	if (!r.n && !run->o.verbose)
		return;
	insn_format(&run->in[i], NATIVE_CODE + st->code_off, text, sizeof(text));
	printf("diff_insn -engine %s -mode %u -case 0x%llx: ", run->o.engine, st->bits,
	       (unsigned long long)run->id[i]);
	for (unsigned k = 0; k < st->code_len; k++)
		printf("%02x ", st->code[k]);
	printf("[%s]%s\n", text, r.n ? r.text : " same");
	run->mismatches += r.n != 0;
}

/* ---- audit of the read masks ---- */

static void scramble(struct native_case *c, const struct insn *in, uint64_t *rng)
{
	uint64_t free_flags = (X86_ARITH | X86_DF) & ~(in->rflags_read | insn_flags_kept(in));

	for (unsigned i = 0; i < (c->bits == 64 ? 16 : 8); i++) {
		uint64_t v = diff_xorshift(rng);

		if (!(in->gpr_read >> i & 1))
			c->state.gpr[i] = c->bits == 64 ? v : (uint32_t)v;
		for (unsigned k = 0; k < 16; k += 8) {
			if (in->vec_read >> i & 1)
				continue;
			st_le64(c->state.xsave + 160 + i * 16 + k, diff_xorshift(rng));
			st_le64(c->state.xsave + 576 + i * 16 + k, diff_xorshift(rng));
		}
	}
	c->state.rflags ^= diff_xorshift(rng) & free_flags;
}

static void audit_vec(struct report *r, const struct insn *in, const struct native_case *a,
		      const struct native_case *b, const struct native_case *start, unsigned i)
{
	bool written = in->vec_written >> i & 1, upper = written && in->enc == ENC_VEX;
	unsigned lo = 160 + i * 16, hi = 576 + i * 16;

	if (memcmp(b->state.xsave + lo, (written ? a : start)->state.xsave + lo, 16))
		say(r,
		    "\n  xmm%u depends on what is not in vec_read %x, or is not in vec_written %x",
		    i, in->vec_read, in->vec_written);
	if (memcmp(b->state.xsave + hi, (upper ? a : start)->state.xsave + hi, 16))
		say(r, "\n  upper half of ymm%u", i);
}

/* @a and @b are what came out of a case and of its scrambled twin @start. */
static void audit(struct run *run, const struct native_case *a, const struct native_case *b,
		  unsigned i)
{
	const struct native_case *start = &run->start[i];
	const struct insn *in = &run->in[i];
	struct report r = {.n = 0};
	uint32_t flags = X86_ARITH | X86_DF, w = in->rflags_written & flags;
	char text[128];

	if (a->stop == NATIVE_KILLED || b->stop == NATIVE_KILLED)
		return;
	run->done++;
	run->faults += a->stop == NATIVE_FAULT;
	if (a->stop != b->stop || a->vector != b->vector)
		say(&r, "\n  outcome: %u %u, then %u %u", a->stop, a->vector, b->stop, b->vector);
	else if (a->stop == NATIVE_TRAP && (a->bits != 64 || a->sel[X86_CS] == NATIVE_CS64)) {
		uint64_t m = a->bits == 64 ? ~0ull : 0xffffffff;

		for (unsigned k = 0; k < (a->bits == 64 ? 16 : 8); k++) {
			if ((b->state.gpr[k] ^
			     (in->gpr_written >> k & 1 ? a : start)->state.gpr[k]) &
			    m)
				say(&r,
				    "\n  r%u depends on what is not in gpr_read %x, or is not in "
				    "gpr_written %x",
				    k, in->gpr_read, in->gpr_written);
			if (in->special != SP_FXRSTOR && in->special != SP_XRSTOR)
				audit_vec(&r, in, a, b, start, k);
		}
		if ((b->state.rflags ^ a->state.rflags) & w ||
		    (b->state.rflags ^ start->state.rflags) & flags & ~w)
			say(&r,
			    "\n  flags: %llx, then %llx from %llx: read %x written %x undefined %x",
			    (unsigned long long)a->state.rflags,
			    (unsigned long long)b->state.rflags,
			    (unsigned long long)start->state.rflags, in->rflags_read,
			    in->rflags_written, in->rflags_undef);
		if (memcmp(a->mem, b->mem, NATIVE_MEM_SIZE) && in->special != SP_FXSAVE &&
		    in->special != SP_XSAVE && in->special != SP_XSAVEC)
			say(&r, "\n  memory");
	}
	if (!r.n)
		return;
	insn_format(in, NATIVE_CODE, text, sizeof(text));
	printf("diff_insn -audit -mode %u -case 0x%llx: ", a->bits, (unsigned long long)run->id[i]);
	for (unsigned k = 0; k < start->code_len; k++)
		printf("%02x ", start->code[k]);
	printf("[%s]%s\n", text, r.text);
	run->mismatches++;
}

static void flush_audit(struct run *r)
{
	static struct native_case first[NATIVE_BATCH];
	struct native_case *c = native_cases(r->native);

	native_run(r->native, r->pending);
	memcpy(first, c, r->pending * sizeof(*c));
	for (unsigned i = 0; i < r->pending; i++) {
		uint64_t rng = r->id[i] | 1;

		scramble(&r->start[i], &r->in[i], &rng);
		memcpy(&c[i], &r->start[i], offsetof(struct native_case, mem));
	}
	native_run(r->native, r->pending);
	for (unsigned i = 0; i < r->pending && r->mismatches < r->o.most; i++)
		audit(r, &first[i], &c[i], i);
	r->pending = 0;
}

static void flush(struct run *r)
{
	if (r->o.audit) {
		flush_audit(r);
		return;
	}
	native_run(r->native, r->pending);
	for (unsigned i = 0; i < r->pending && r->mismatches < r->o.most; i++)
		compare(r, i);
	r->pending = 0;
}

/* Where 28 bytes are that @in does not write: of an image of 832 bytes at most. 0: its operand is
 * in the code, where the look itself would be seen. */
static unsigned look_at(const struct native_case *c, const struct insn *in)
{
	uint32_t off = (uint32_t)in->disp, base = c->bits == 16 ? NATIVE_BASE : 0, lin;

	if (in->base != INSN_NO_REG)
		off += (uint32_t)c->state.gpr[in->base];
	if (in->index != INSN_NO_REG)
		off += (uint32_t)c->state.gpr[in->index] << in->scale;
	if (in->flags & INSN_RIP_REL)
		off += NATIVE_CODE + c->code_off + c->code_len;
	if (in->seg == X86_FS || in->seg == X86_GS)
		base = in->seg == X86_FS ? NATIVE_FS_BASE : NATIVE_GS_BASE;
	lin = base + (in->addrsize == 2 ? (uint16_t)off : off);
	if (lin - (NATIVE_CODE - 0x400) < NATIVE_CODE_SIZE + 0x400)
		return 0;
	lin = ((lin + 0x400) & 0xfff) | 15;
	return MAX(16u, MIN(lin - 15, 0xfd0u));
}

/* The host's x87 pointers at the start of a case, and a look at them behind it. */
static void start_pointers(const struct run *r, struct native_case *c, const struct insn *in)
{
	enum native_pointers has = native_pointers(r->native);
	unsigned at;
	uint8_t *x = c->state.xsave;

	if (has == NATIVE_LOST && !(ld_le16(x + 2) & FSW_ES)) {
		st_le16(x + 6, 0);
		st_le64(x + 8, 0);
		st_le64(x + 16, 0);
	}
	if (has != NATIVE_LOADED || r->o.audit)
		return;
	switch (in->special) {
	case SP_FNSTENV:
	case SP_FLDENV:
	case SP_FNSAVE:
	case SP_FRSTOR:
	case SP_FXSAVE:
	case SP_FXRSTOR:
	case SP_XSAVE:
	case SP_XSAVEC:
	case SP_XRSTOR: break;
	default:
		if (in->special != SP_NONE || !(in->flags & (INSN_FPU | INSN_MMX)))
			return;
	}
	at = look_at(c, in);
	if (at)
		native_look(c, at);
}

static void one(struct run *r, uint64_t id)
{
	struct native_case *c = &native_cases(r->native)[r->pending];

	diff_generate(c, id, r->o.mode, diff_guest_model(r->guest), &r->in[r->pending]);
	if (diff_guest_model(r->guest)->amd)
		(void)insn_as_amd(&r->in[r->pending]);
	start_pointers(r, c, &r->in[r->pending]);
	memcpy(&r->start[r->pending], c, offsetof(struct native_case, mem));
	r->id[r->pending] = id;
	if (++r->pending == NATIVE_BATCH)
		flush(r);
}

static bool parse(struct options *o, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;

		if (!strcmp(a, "-v")) {
			o->verbose = true;
			continue;
		}
		if (!strcmp(a, "-free") || !strcmp(a, "-seq")) {
			o->free |= a[1] == 'f';
			o->seq |= a[1] == 's';
			continue;
		}
		if (!strcmp(a, "-exits") || !strcmp(a, "-groups") || !strcmp(a, "-loops")) {
			o->exits |= a[1] == 'e';
			o->groups |= a[1] == 'g';
			o->loops |= a[1] == 'l';
			continue;
		}
		if (!strcmp(a, "-prog")) {
			o->prog = true;
			continue;
		}
		if (!strcmp(a, "-audit")) {
			o->audit = true;
			continue;
		}
		if (!v)
			return false;
		i++;
		if (!strcmp(a, "-engine"))
			o->engine = v;
		else if (!strcmp(a, "-mode"))
			o->mode = (unsigned)atoi(v);
		else if (!strcmp(a, "-n"))
			o->n = strtoull(v, NULL, 0);
		else if (!strcmp(a, "-seed"))
			o->seed = strtoull(v, NULL, 0);
		else if (!strcmp(a, "-case"))
			o->only = strtoull(v, NULL, 0);
		else if (!strcmp(a, "-k"))
			o->most = (unsigned)atoi(v);
		else
			return false;
	}
	return o->mode == 16 || o->mode == 32 || o->mode == 64;
}

/* ---- -seq ---- */

static void one_sequence(struct run *run, uint64_t id)
{
	static struct native_case start, a, b;
	struct insn in = {.special = SP_NONE};
	uint8_t code[DIFF_SEQ_BYTES];
	struct report r = {.n = 0};
	unsigned n = diff_make_sequence(&run->maker, id, &start, code);

	memcpy(&a, &start, offsetof(struct native_case, mem));
	memcpy(&b, &start, offsetof(struct native_case, mem));
	diff_guest_run_seq(run->reference, &a, code, n);
	diff_guest_run_seq(run->guest, &b, code, n);
	run->done++;
	run->faults += a.stop == NATIVE_FAULT;
	if (a.stop != b.stop || a.vector != b.vector || a.error != b.error || a.cr2 != b.cr2)
		say(&r, "\n  ends: %u %u %x %llx engine %u %u %x %llx", a.stop, a.vector, a.error,
		    (unsigned long long)a.cr2, b.stop, b.vector, b.error,
		    (unsigned long long)b.cr2);
	compare_word(&r, "rip", a.state.rip, b.state.rip, start.state.rip);
	compare_word(&r, "rflags", a.state.rflags, b.state.rflags, start.state.rflags);
	for (unsigned i = 0; i < 16; i++)
		compare_word(&r, "gpr", a.state.gpr[i], b.state.gpr[i], start.state.gpr[i]);
	compare_fpu(&r, &in, &a, &b, &start, true);
	compare_memory(&r, &in, &a, &b, &start);
	if (!r.n)
		return;
	printf("diff_insn -engine %s -seq%s%s%s -mode %u -case 0x%llx:%s\n", run->o.engine,
	       run->o.exits ? " -exits" : "", run->o.groups ? " -groups" : "",
	       run->o.loops ? " -loops" : "", run->o.mode, (unsigned long long)id, r.text);
	for (unsigned off = 0; run->o.verbose && off < n; off += in.len) {
		char text[128];

		if (insn_decode(code + off, n - off, run->o.mode, &in))
			break;
		insn_format(&in, NATIVE_CODE + start.code_off + off, text, sizeof(text));
		printf("  %x: %s\n", NATIVE_CODE + start.code_off + off, text);
	}
	run->mismatches++;
}

#define SKIP 77

static int programs(const struct options *o, bool x87_pointers)
{
	struct error err = {0};
	struct prog_set *s = prog_set_new(o->engine, o->mode, x87_pointers, &err);
	unsigned differ = 0;

	if (!s) {
		fprintf(stderr, "programs: %s\n", err.text);
		return 1;
	}
	printf("mode %u, seed %llu\n", o->mode, (unsigned long long)o->seed);
	if (o->only)
		differ = prog_set_one(s, o->only, o->verbose);
	for (uint64_t i = 0; !o->only && i < o->n && differ < o->most; i++)
		differ += prog_set_one(s, (o->seed << 32) + i * 256 + 1, o->verbose);
	prog_set_sums(s);
	printf("%u mismatches\n", differ);
	prog_set_free(s);
	return differ ? 1 : 0;
}

int main(int argc, char **argv)
{
	static struct run r;
	struct error err = {0};
	const char *why;

	r.o = (struct options){.engine = "interp",
			       .mode = 64,
			       .most = 20,
			       .n = 100000,
			       .seed = (uint64_t)time(NULL)};
	if (!parse(&r.o, argc, argv)) {
		fprintf(stderr,
			"usage: %s [-engine E] [-free] [-audit | -prog | -seq [-exits] [-groups | "
			"-loops]] "
			"[-mode 64|32|16] [-n N] [-seed S] [-case ID] [-k K] [-v]\n",
			argv[0]);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	r.native = native_new(&why);
	if (!r.native || (r.o.mode == 16 && !native_has_16bit(r.native))) {
		printf("skipped: %s\n", why);
		return SKIP;
	}
	if (r.o.prog) {
		bool kept = native_pointers(r.native) == NATIVE_KEPT;

		native_free(r.native);
		return programs(&r.o, kept);
	}
	r.guest = diff_guest_new(r.o.engine, r.o.exits, true, true, &err);
	if (!r.guest) {
		fprintf(stderr, "guest: %s\n", err.text);
		return 1;
	}
	if (r.o.free)
		diff_guest_free_run(r.guest);
	r.maker = (struct diff_maker){.bits = r.o.mode,
				      .exits = r.o.exits,
				      .groups = r.o.groups,
				      .loops = r.o.loops,
				      .model = diff_guest_model(r.guest)};
	if (r.o.seq) {
		r.reference = diff_guest_new("interp", r.o.exits, false, true, &err);
		if (!r.reference) {
			fprintf(stderr, "guest: %s\n", err.text);
			return 1;
		}
		printf("mode %u, seed %llu\n", r.o.mode, (unsigned long long)r.o.seed);
		if (r.o.only)
			one_sequence(&r, r.o.only);
		for (uint64_t i = 0; !r.o.only && i < r.o.n && r.mismatches < r.o.most; i++)
			one_sequence(&r, (r.o.seed << 32) + i * 512 + 1);
	} else if (r.o.only) {
		one(&r, r.o.only);
	} else {
		printf("mode %u, seed %llu\n", r.o.mode, (unsigned long long)r.o.seed);
		for (uint64_t i = 0; i < r.o.n && r.mismatches < r.o.most; i++)
			one(&r, (r.o.seed << 32) + i + 1);
	}
	flush(&r);
	printf("%llu cases compared, %llu of them faults, %llu could not be run here, %u "
	       "mismatches\n",
	       (unsigned long long)r.done, (unsigned long long)r.faults,
	       (unsigned long long)r.killed, r.mismatches);
	if (r.o.seq)
		printf("%llu instructions, %llu exits\n", (unsigned long long)r.maker.insns,
		       (unsigned long long)diff_guest_exits(r.guest));
	native_free(r.native);
	diff_guest_free(r.guest);
	if (r.reference)
		diff_guest_free(r.reference);
	return r.mismatches ? 1 : 0;
}
