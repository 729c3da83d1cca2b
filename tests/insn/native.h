/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run single instructions on the host CPU itself, in 64-, 32- and 16-bit code segments, with every
 * register chosen: the oracle of the instruction tests.
 *
 * A forked child (the stub) has code and data pages at fixed addresses below 4 GiB and a seccomp
 * filter that lets it return from signals, sleep on a futex and exit, nothing else. It is driven
 * from its signal handler: the frame of one instruction's trap is edited into the start state of
 * the next, so that an instruction costs one signal and one sigreturn. Cases are run in batches
 * through shared memory; a case that kills the child is reported as such and the child is replaced.
 *
 * The segments of 16-bit code (base NATIVE_BASE, limit 64 KiB) and the FS and GS of all modes are
 * LDT descriptors. modify_ldt(2) or SIGSEGV frames with foreign selectors may be forbidden; then
 * native_init() says what is missing.
 *
 * What is in a signal frame goes through XSAVE and XRSTOR, which on some processors lose the x87
 * pointers; native_new() finds out.
 */
#ifndef TESTS_INSN_NATIVE_H
#define TESTS_INSN_NATIVE_H

#include "cpu/x86/state.h"

/* Guest-visible pages, also the layout an engine under test must give its guest. */
enum {
	NATIVE_BASE = 0x20000000,
	NATIVE_CODE = NATIVE_BASE + 0x1000, /* two pages, read and execute; a hole on each side */
	NATIVE_CODE_SIZE = 0x2000,
	NATIVE_DATA = NATIVE_BASE + 0x8000,  /* two pages read-write */
	NATIVE_HOLE = NATIVE_BASE + 0xa000,  /* a hole */
	NATIVE_RO = NATIVE_BASE + 0xb000,    /* a page read-only */
	NATIVE_DATA2 = NATIVE_BASE + 0xc000, /* a page read-write; then a hole */
	NATIVE_MEM_SIZE = 0x5000, /* the data pages as the result holds them, hole included */
	NATIVE_FS_BASE = NATIVE_BASE + 0x100,
	NATIVE_GS_BASE = NATIVE_BASE + 0x7f8,
};

/* Selectors: LDT entries, and Linux' flat ones. */
enum {
	NATIVE_CS64 = 0x33,
	NATIVE_CS32 = 0x23,
	NATIVE_DS32 = 0x2b,
	NATIVE_LDT_CS16 = 0x07,
	NATIVE_LDT_DS16 = 0x0f,
	NATIVE_LDT_FS = 0x17,
	NATIVE_LDT_GS = 0x1f,
};

#define NATIVE_XSAVE 832 /* legacy area, header, YMM */

struct native_state {
	uint64_t gpr[16], rip, rflags; /* rip is an offset in 16-bit code */
	uint8_t xsave[NATIVE_XSAVE];   /* standard format */
};

/* What FNSTENV shows behind the instruction. */
struct native_x87 {
	uint32_t fip, fdp;
	uint16_t fop, fcs, fds;
};

enum native_stop {
	NATIVE_TRAP,   /* the breakpoint after the instruction, or the single step of a branch */
	NATIVE_FAULT,  /* a fault: vector, error code, cr2 */
	NATIVE_KILLED, /* the child died or did not come back */
};

struct native_case {
	/* in */
	uint8_t bits; /* 16, 32, 64 */
	uint8_t step; /* single-step instead of a breakpoint: branches */
	uint8_t code_len;
	uint16_t code_off; /* of the first byte from NATIVE_CODE; state.rip follows from it */
	uint8_t code[16];
	uint64_t mem_seed; /* contents of the data pages: native_fill() */
	uint8_t patch_len; /* then these bytes at NATIVE_DATA + patch_off */
	uint16_t patch_off;
	uint8_t patch[40];
	uint8_t look_len; /* native_look(): run behind the instruction */
	uint8_t look[14];
	uint16_t look_off;
	struct native_state state; /* in and out */
	/* out */
	uint8_t stop; /* enum native_stop */
	bool looked;  /* x87 is valid */
	struct native_x87 x87;
	uint8_t vector;
	uint16_t error;
	uint64_t cr2;
	uint16_t sel[X86_SREG_COUNT];
	uint64_t fs_base, gs_base;    /* 64-bit code */
	uint8_t mem[NATIVE_MEM_SIZE]; /* NATIVE_DATA .. after DATA2 */
};

#define NATIVE_BATCH 64

struct native;

/** native_new() - NULL with the reason in @why when this host cannot. */
struct native *native_new(const char **why);
void native_free(struct native *n);
/** native_has_16bit() - whether 16-bit code segments could be made. */
bool native_has_16bit(const struct native *n);
/** native_cases() - the shared batch, NATIVE_BATCH cases. */
struct native_case *native_cases(struct native *n);
/** native_run() - run the first @count cases. A case that kills the child has NATIVE_KILLED. */
void native_run(struct native *n, unsigned count);
/* FIP, FDP and FOP on their way through the kernel, in a state without a pending exception. */
enum native_pointers {
	NATIVE_KEPT,   /* always; a case's result has them */
	NATIVE_LOADED, /* the instruction finds those of the case, its result has zeros */
	NATIVE_LOST,   /* neither */
};
/** native_pointers() - AMD's processors save them for a pending exception only (APM vol. 2,
 * 11.4.4), and a host that gives the processor to somebody else in between loses them. */
enum native_pointers native_pointers(const struct native *n);
/** native_look() - have a case with a breakpoint look at the x87 pointers behind its instruction,
 * if there is room. @off: of 28 bytes from NATIVE_DATA that the instruction does not write. */
void native_look(struct native_case *c, unsigned off);
struct prog; /* prog.h */
/** native_new_prog() - the same for programs, which have another layout of memory. */
struct native *native_new_prog(const char **why);
/** native_prog() - the program that native_run_prog() runs; shared. */
struct prog *native_prog(struct native *n);
/** native_run_prog() - run it from its image, which changes; prog.stop is NATIVE_KILLED when it did
 * not come to its end in time. */
void native_run_prog(struct native *n);
/** native_fill() - what the data pages hold at the start of a case. */
void native_fill(const struct native_case *c, uint8_t mem[NATIVE_MEM_SIZE]);

#endif
