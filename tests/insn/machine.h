/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instruction test machine: 16 MiB of RAM, a bus, a manual clock and one vCPU on the
 * interpreter engine (or on the one that BOTHY_TEST_ENGINE names), set up in flat 64-bit, flat
 * 32-bit (paged) or real mode with an IDT whose every handler is HLT, so that a program ends with
 * its own HLT or with an exception, and either way the registers are those of the program.
 *
 * Memory is mapped one to one with 4 KiB pages, user and writable; im_map() changes pages.
 *
 *   0x006000 GDT  0x007000 IDT  0x008000 handlers  0x009000 TSS  0x010000 page tables
 *   0x100000 code (real mode: 2000:0000)           0x200000 data (real mode: DS = ES = 3000)
 *   0x2ff000 stack top, user  0x0f0000 ring 0 stack top (real mode: SS = 4000, SP = f000)
 */
#ifndef TESTS_INSN_MACHINE_H
#define TESTS_INSN_MACHINE_H

#include "bus/clock.h"
#include "cpu/x86/cpuid.h"
#include "cpu/x86/seg.h"
#include "engine/engine.h"

#define IM_RAM      (16 * MIB)
#define IM_DATA     0x200000u
#define IM_STACK    0x2ff000u
#define IM_HANDLERS 0x8000u

enum { IM_PRESENT = 1, IM_WRITE = 2, IM_USER = 4, IM_NX = 8, IM_RWU = 7 };

struct im {
	struct mem_space *mem;
	struct bus bus;
	struct clock *clock;
	struct cpu_set cpus;
	struct cpu_model model;
	struct engine_vm vm;
	struct vcpu *v;
	struct ram_block *ram;
	unsigned bits;  /* 16, 32, 64 */
	unsigned cpl;   /* 0 or 3 */
	uint64_t code;  /* linear address of the program */
	uint64_t entry; /* its RIP */
	uint64_t end;   /* RIP after the bytes of im_code() */
};

/* How a run ended. Registers, RIP and RFLAGS in vcpu.s are those of the interrupted program. */
struct im_end {
	int vector; /* -1: HLT of the program */
	uint32_t error;
	uint64_t rip;                 /* of the fault; HLT: after it */
	enum vcpu_exit_reason reason; /* VCPU_EXIT_HALT unless something odd happened */
};

/** im_new() - @bits 16, 32 or 64; @cpl 0 or 3 (16: 0). @model NULL = "max". Aborts on failure. */
struct im *im_new(unsigned bits, unsigned cpl, const char *model);
void im_free(struct im *m);
/** im_reset() - all registers to their start values (memory stays). */
void im_reset(struct im *m);
/** im_code() - put @n bytes at the code address and point RIP there. A HLT is appended (CPL 3: the
 * #GP it raises counts as the end). */
void im_code(struct im *m, const void *bytes, unsigned n);
/**
 * im_second() - another vCPU in the state of the first, with RSP 64 KiB lower; to be called, and
 * run with engine_interp.run(), on a thread of its own. im_second_done() before im_free().
 */
struct vcpu *im_second(struct im *m);
void im_second_done(struct im *m, struct vcpu *v);
/** im_host() - host pointer of guest-physical @gpa. */
void *im_host(struct im *m, uint64_t gpa);
/** im_map() - map the 4 KiB page of linear @lin (below 16 MiB) to @gpa; flags IM_, 0 unmaps. */
void im_map(struct im *m, uint64_t lin, uint64_t gpa, unsigned flags);
/** im_run() - until HLT or an exception; also returns on shutdown and debugger exits. */
struct im_end im_run(struct im *m);

#endif
