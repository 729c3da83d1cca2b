/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest of the differential tests from the inside (diff_guest.c), for what has more in it
 * (prog_guest.c).
 */
#ifndef TESTS_INSN_DIFF_GUEST_H
#define TESTS_INSN_DIFF_GUEST_H

#include "diff.h"
#include "engine/engine.h"

#define KERNEL     0xffff800000000000ull
#define RAM_SIZE   (1 * MIB)
#define P_GDT      0x1000
#define P_LDT      0x2000
#define P_IDT      0x3000
#define P_TSS      0x4000
#define P_STACK    0x6000 /* top */
#define P_HANDLERS 0x8000
#define P_TABLES   0x10000
#define P_CODE     0x20000
#define P_DATA     0x40000 /* NATIVE_DATA .. as in native_case.mem */
#define IO_EXIT    0xd0000000u
#define SEL_KCS    0x10
#define SEL_TSS    0x40
#define SEL_LDT    0x50

struct diff_guest {
	struct mem_space *mem;
	struct ram_block *ram;
	struct bus bus;
	struct clock *clock;
	struct cpu_set cpus;
	struct cpu_model model;
	struct engine_vm vm;
	struct vcpu v;
	struct x86_state start;                    /* template; segments of 64-bit code */
	struct x86_seg cs[3], ds[3], fs[3], gs[3]; /* by mode 16, 32, 64; ds also SS and ES */
	uint64_t next_table;
	bool free;
	struct bus_region exit; /* DIFF_EXIT */
	uint64_t exits;         /* stores there */
	bool leave;             /* which end run() */
};

/** diff_put64() - into RAM at @pa. */
void diff_put64(struct diff_guest *g, uint64_t pa, uint64_t val);
/** diff_map_page() - one 4 KiB page of the page tables. SDM vol. 3, 4.5. @bits of its entry; P, A
 * and D are set. */
void diff_map_page(struct diff_guest *g, uint64_t va, uint64_t pa, uint64_t bits);
/** diff_load_state() - general registers, FPU, the segments of the mode, at CPL 3. */
void diff_load_state(struct diff_guest *g, const struct native_state *from, unsigned bits);
/** diff_fpu_in() / diff_fpu_out() - XSAVE standard format to and from x86_fpu. SDM vol. 1, tables
 * 10-2 and 13-1. */
void diff_fpu_in(struct x86_fpu *f, const uint8_t *x);
void diff_fpu_out(const struct x86_fpu *f, uint8_t *x);

#endif
