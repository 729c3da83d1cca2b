/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random programs: functions with loops, calls, jumps through tables, recursion, accesses that
 * wander over many pages and code that changes itself, which run for thousands of rounds on the
 * host CPU, on the interpreter and on an engine whose guest has a small operating system.
 *
 * A program sees memory, registers and its own faults, nothing else. So what the operating system
 * of the engine's guest does behind its back must not be seen: data and code pages go away and come
 * back with the next access, turn read-only until the next store, move to other frames; CR3 is
 * loaded, CR4.PGE toggled, interrupts and NMIs come at any time, run() is left and entered. All
 * three must end with the same registers, memory, and the same faults in the same order, each with
 * the same registers.
 *
 * Memory of a program, from NATIVE_BASE (16-bit programs have the first 64 KiB as segment):
 *	1000 data, 2000 .. 7000 code, read-write-execute, 8000 two pages of data, b000 a page
 *	read-only, c000 data, e000 stack, f000 cells (counters, tables of addresses); holes between
 * and 65 pages of data at PROG_FAR.
 */
#ifndef TESTS_INSN_PROG_H
#define TESTS_INSN_PROG_H

#include "diff.h"

enum {
	PROG_LOW_SIZE = 0x10000,
	PROG_CODE = NATIVE_BASE + 0x2000,
	PROG_CODE_SIZE = 0x5000,
	PROG_STACK = NATIVE_BASE + 0xf000, /* its top */
	PROG_CELLS = NATIVE_BASE + 0xf000,
	PROG_FAR = NATIVE_BASE + 0x100000,
	PROG_FAR_SIZE = 0x41000,
	PROG_FAR_MASK =
		0x3ffff, /* offsets from PROG_FAR that programs use; one more page is there */
	PROG_IMAGE = PROG_LOW_SIZE + PROG_FAR_SIZE,
	PROG_PAGES = PROG_IMAGE / 0x1000,
};

enum prog_access { PROG_NONE, PROG_RO, PROG_RW, PROG_RWX };

/** prog_page() - page @i of the image: its address, and what a program may do with it. */
uint64_t prog_page(unsigned i, enum prog_access *ret_access);

struct prog_fault {
	uint64_t rip, cr2, gpr[16], rflags;
	uint16_t error;
	uint8_t vector;
};
enum { PROG_LOG = 256 };

/* Lives in memory that is shared with the child that runs it (native.c). */
struct prog {
	/* in */
	uint64_t id;
	uint8_t bits;
	uint64_t start, end,
		recover; /* RIPs: first instruction, the UD2 that ends it, after faults */
	unsigned code_len, insns;
	struct native_state state;
	/* out */
	uint8_t stop; /* NATIVE_TRAP: came to its end */
	struct native_state out;
	uint64_t faults, hash, calls; /* calls: INT3 */
	struct prog_fault log[PROG_LOG];
	/* in and out; the host maps its pages one by one */
	_Alignas(0x1000) uint8_t image[PROG_IMAGE];
};

/** prog_fault() - note a fault; everything that a handler sees goes into the hash. */
static inline void prog_note(struct prog *p, const struct prog_fault *f)
{
	uint64_t h = p->hash ^ f->vector, m = p->bits == 64 ? ~0ull : 0xffffffff;
	struct prog_fault *log = &p->log[p->faults % PROG_LOG];

	p->faults++;
	*log = *f;
	/* the resume flag, and whether the host had the page in memory, are not the program's */
	log->rflags &= ~0x10000ull;
	log->error &= f->vector == X86_PFV ? 0xfffeu : 0xffffu;
	if (f->vector != X86_PFV)
		log->cr2 = 0;
	for (unsigned i = 0; i < 16; i++) {
		log->gpr[i] &= i < 8 || p->bits == 64 ? m : 0;
		h = (h ^ log->gpr[i]) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 29;
	}
	h = (h ^ f->rip) * 0x9e3779b97f4a7c15ull;
	h = (h ^ h >> 29 ^ log->rflags) * 0x9e3779b97f4a7c15ull;
	h = (h ^ h >> 29 ^ log->cr2) * 0x9e3779b97f4a7c15ull;
	p->hash = (h ^ h >> 29) + log->error;
}

/** prog_make() - make the program of @id: everything that goes in, and its first image. */
void prog_make(struct prog *p, uint64_t id, unsigned bits, const struct cpu_model *model);

/* prog_guest.c */
struct prog_guest;
/** prog_guest_new() - a VM of @engine. @storm: with an operating system that does what it can, and
 * a timer signal. @at_once: translate blocks when they run first. */
struct prog_guest *prog_guest_new(const char *engine, bool storm, bool at_once, struct error *err);
void prog_guest_free(struct prog_guest *g);
/** prog_guest_run() - run @p, whose image and outputs change. */
void prog_guest_run(struct prog_guest *g, struct prog *p);
/** prog_guest_work() - what its operating system has done, as text. */
void prog_guest_work(const struct prog_guest *g, char *text, size_t size);

/* prog_run.c */
struct prog_set;
/** prog_set_new() - @x87_pointers: native_keeps_x87_pointers(). */
struct prog_set *prog_set_new(const char *engine, unsigned bits, bool x87_pointers,
			      struct error *err);
void prog_set_free(struct prog_set *s);
/** prog_set_one() - make and run program @id everywhere and print what differs. Return: whether it
 * does. @verbose: lists it as well. */
bool prog_set_one(struct prog_set *s, uint64_t id, bool verbose);
/** prog_set_sums() - print what was run. */
void prog_set_sums(const struct prog_set *s);

#endif
