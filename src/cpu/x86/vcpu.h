/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One virtual CPU as everything above the architecture sees it: the architectural state, its soft
 * TLB, the requests other threads make of it, and the exception being raised.
 *
 * Rules for code that executes guest instructions (cpu/x86 and engine/):
 * - Functions that can raise a guest exception return int: X86_OK, or X86_FAULT after recording it
 *   with x86_raise*(). Nothing architectural is changed before the last possible fault
 *   (restartable instructions), except where the SDM says so.
 * - s.rip stays at the current instruction while it executes; `next_rip` is where execution goes
 * on. Control transfers change next_rip; the engine copies it to s.rip when the handler returned
 * X86_OK.
 * - s belongs to the vCPU's thread while it runs; others may read or write it only while the vCPU
 * is paused. `request` may be set from any thread (vcpu_request).
 */
#ifndef CPU_X86_VCPU_H
#define CPU_X86_VCPU_H

#include <pthread.h>
#include <stdatomic.h>

#include "bus/bus.h"
#include "bus/clock.h"
#include "cpu/x86/state.h"

enum { X86_OK = 0, X86_FAULT = 1, X86_EXIT = 2 /* leave run(): see vcpu.exit */ };

enum x86_vector {
	X86_DE = 0,
	X86_DB = 1,
	X86_NMI = 2,
	X86_BP = 3,
	X86_OFV = 4,
	X86_BR = 5,
	X86_UD = 6,
	X86_NM = 7,
	X86_DF_EXC = 8,
	X86_TS = 10,
	X86_NP = 11,
	X86_SSF = 12,
	X86_GP = 13,
	X86_PFV = 14,
	X86_MF = 16,
	X86_ACE = 17,
	X86_MC = 18,
	X86_XM = 19,
};

/* Requests to a vCPU, bits of vcpu.request; checked at instruction or block boundaries. */
enum {
	VCPU_REQ_KICK = 1 << 0,  /* leave run() */
	VCPU_REQ_EVENT = 1 << 1, /* look at LAPIC, INTR, NMI, INIT, SIPI */
	VCPU_REQ_FLUSH = 1 << 2, /* flush the soft TLB (memory map or dirty log changed) */
	VCPU_REQ_DEBUG = 1 << 3, /* debugger wants attention */
};

enum vcpu_exit_reason {
	VCPU_EXIT_KICK,     /* asked to */
	VCPU_EXIT_HALT,     /* HLT or wait-for-SIPI with nothing pending: sleep until a request */
	VCPU_EXIT_SHUTDOWN, /* triple fault */
	VCPU_EXIT_DEBUG,    /* break point, watch point or single step for the debugger */
	VCPU_EXIT_ERROR,    /* the engine cannot go on; text in `error` */
	VCPU_EXIT_COUNT
};

struct vcpu_exit {
	enum vcpu_exit_reason reason;
	struct error error;
};

struct x86_exception {
	uint8_t vector;
	bool has_error;
	uint32_t error_code;
	uint64_t cr2;  /* #PF: becomes CR2 when delivered */
	uint32_t dr6;  /* #DB: bits to set in DR6 when delivered */
	bool trap;     /* trap-class: s.rip is already the next instruction */
	bool software; /* INT n, INT3, INTO: no EXT bit, DPL check */
	uint8_t insn_len;
};

/* Of instructions and blocks a translating engine counts only those it enters from its run loop:
 * counting in every block costs more than many blocks do. */
struct vcpu_counters {
	uint64_t insns, blocks, exceptions, interrupts, tlb_misses, tlb_flushes, pio, mmio, halts,
		smc, pauses, exits[VCPU_EXIT_COUNT];
};

struct x86_tlb;   /* cpu/x86/mmu.h */
struct cpu_model; /* cpu/x86/cpuid.h */
struct cpu_set;   /* cpu/x86/lapic.h: all vCPUs of the VM */
struct insn;      /* engine/decode/insn.h */

/* What a debugger asked for (gdb stub); engines honour it on every instruction. */
struct vcpu_debug {
	bool single_step;
	bool active;      /* any of the below in use */
	unsigned n_break; /* software break points: linear addresses */
	gva_t brk[64];
	unsigned n_watch;
	struct {
		gva_t addr;
		uint32_t len;
		uint8_t access; /* 1 x, 2 w, 4 r */
	} watch[8];
	/* result of VCPU_EXIT_DEBUG */
	gva_t hit_addr;
	uint8_t hit_access; /* 0 = step, 1 x, 2 w, 4 r */
};

/*
 * Slots: what translated code looks at before the soft TLB. A slot says which range of linear
 * addresses lies in one run of host memory; translated code compares an address with a slot that is
 * its own instruction's, or that of the address's page number. Sets by
 * privilege (user, supervisor) and by direction. Slots are filled from TLB entries of the current
 * generation only, and all of them are emptied whenever an entry could stop being valid:
 * x86_slots_flush() (cpu/x86/mmu.h) says when.
 */
struct x86_slot {
	uint64_t base;  /* linear address of the range's first byte, a page boundary */
	uint64_t lim;   /* offsets below it hit: length - 7 or - 63; 0 = empty */
	uint64_t delta; /* host address - linear address */
	uint64_t host;  /* host address of the first byte */
};
enum {
	X86_SLOTS_STACK = 8,   /* the first of the following: for extents of up to 64 bytes */
	X86_SLOTS_SMALL = 512, /* of places in the code, for accesses of up to 8 bytes */
	X86_SLOTS_BIG = 64,    /* the same for accesses of up to 64 bytes */
	X86_SLOTS_HASH = 1024, /* found by page number: one table for either size */
	X86_SLOT_HASH_SMALL = X86_SLOTS_SMALL + X86_SLOTS_BIG,
	X86_SLOT_HASH_BIG = X86_SLOT_HASH_SMALL + X86_SLOTS_HASH,
	/* of pages whose slots displace each other there; found by tr_second_slot() */
	X86_SLOTS_SECOND = 2048,
	X86_SLOT_SECOND = X86_SLOT_HASH_BIG + X86_SLOTS_HASH,
	X86_SLOTS = X86_SLOT_SECOND + X86_SLOTS_SECOND
};
/* Of translated code: where indirect jumps to @rip go on. What is entered checks mapping and mode.
 */
struct x86_jump {
	uint64_t rip;
	uint8_t *entry;
};
enum { X86_JUMPS = 32768 };
enum { X86_GROUPS = 24, X86_TURNS = 8192 };
enum { X86_SLOT_WRITE = 1, X86_SLOT_SUPER = 2, X86_SLOT_SETS = 4 };

/*
 * Ranges of several pages that slots were filled from, so that a miss finds them again: runs of
 * large pages (a kernel's map of all memory is one) and of small ones. Valid as long as slots are.
 */
struct x86_range {
	uint64_t base, len; /* linear; len 0 = none */
	uint64_t host;
	uint64_t code; /* address of the first page's code byte */
	bool large;    /* of large pages */
	bool local;    /* of pages that are not global */
};
enum {
	X86_RANGES = 16,      /* of each set */
	X86_RANGES_SMALL = 4, /* of these for small ones, so that they do not displace others */
	X86_RANGE_HINTS = 64, /* where an address was found last, by 2 MiB */
};
enum { X86_LISTED = 1, X86_LISTED_LARGE = 2, X86_LISTED_LOCAL = 4, X86_LOOKS = 8 };

/*
 * Windows (window.c): pages of a program, mapped once more so that they follow each other in the
 * host's address space as they do in the program's.
 */
#define X86_WINDOW_PAGES  512u
#define X86_WINDOW_SIZE   (X86_WINDOW_PAGES * 4096ull)
#define X86_WINDOW_FILTER 8192u
enum {
	X86_WINDOWS = 16,
	X86_WINDOWS_VM = 64, /* of all vCPUs: half of the mappings that Linux lets a process have */
};
struct x86_window {
	uint64_t lin;                        /* linear address / X86_WINDOW_SIZE */
	const uint8_t *table;                /* the page table, which maps as much */
	uint32_t period;                     /* slots.period in which a range was made of it last */
	uint32_t used;                       /* windows.turn then */
	uint32_t changes;                    /* counts what ends ranges of earlier periods */
	uint64_t out[X86_WINDOW_PAGES / 64]; /* bits: pages in ranges of that period */
	uint32_t frame[X86_WINDOW_PAGES];    /* what is mapped there: page in the block + 1 */
};
struct x86_windows {
	uint8_t *host;           /* X86_WINDOWS one after another */
	unsigned n;              /* of them in use */
	struct ram_block *block; /* that all pages are of; NULL: not known yet */
	uint32_t turn;
	uint32_t credit;                         /* pages that may be mapped */
	uint64_t since;                          /* TSC when that was counted */
	uint64_t wait_from;                      /* TSC when places began to wait for that */
	uint64_t stores[X86_WINDOW_FILTER / 64]; /* bits: frames in ranges for stores, folded */
	uint32_t stores_period;                  /* slots.period of these */
	uint32_t stores_all;                     /* one in which all bits are as if set */
	bool eager;     /* tests: windows wherever possible, but not each time */
	uint32_t asked; /* then: how often */
	struct x86_window w[X86_WINDOWS];
};

typedef _Atomic uint32_t x86_noted[2];
enum x86_noting {
	X86_NOTED_UNUSED, /* slots were never filled */
	X86_NOTED_NOT,    /* they were without a note */
	X86_NOTED_ALL,
};
struct x86_slots {
	_Alignas(64) struct x86_slot s[X86_SLOT_SETS][X86_SLOTS];
	uint64_t code[X86_SLOT_SETS][X86_SLOTS]; /* of write slots: address of base's code byte */
	/*
	 * With several vCPUs: for each page of guest RAM the period in which it was last put into a
	 * write slot, of user and supervisor mode. A period ends when all slots of the mode have
	 * been emptied. Others read both (x86_may_store()).
	 */
	x86_noted *noted; /* the engine's */
	uint64_t n_noted;
	struct x86_windows *windows; /* the engine's; NULL: none */
	_Atomic uint32_t period[2];
	_Atomic uint8_t noting; /* enum x86_noting */
	/* slots that may not be empty, by number over all sets: user, supervisor */
	uint32_t n_filled[2];
	uint16_t filled[2][2 * X86_SLOTS];
	/* looks at filled slots that are worth it still: X86_LOOKS for each one filled */
	uint32_t looks[2];
	/* how often misses follow each other closely, and when the last one was (TSC) */
	uint32_t heat[X86_SLOT_SETS][X86_SLOTS], missed[X86_SLOT_SETS][X86_SLOTS];
	/* of all slots, when the last so many had been, and whether these took long */
	uint32_t n_misses, last_misses;
	bool busy;
	uint8_t listed[X86_SLOT_SETS][X86_SLOTS]; /* in filled[]: X86_LISTED, and of what pages */
	struct x86_range range[X86_SLOT_SETS][X86_RANGES];
	uint8_t range_hint[X86_SLOT_SETS][X86_RANGE_HINTS]; /* from X86_RANGES on: none */
	uint32_t ranges[2]; /* which there are: user, supervisor; those for stores in the upper half
			     */
	uint8_t range_turn[X86_SLOT_SETS][2]; /* replaced next: big, small */
	/* what entries of global pages carry: they are good in every address space */
	uint32_t global_gen;
	const _Atomic uint8_t *last_code; /* code byte of the page that became code last */
	/* counts whatever emptied slots; what it was when a slow path began (engine/translate) */
	uint32_t flushes, seen;
	/* of groups of accesses: delta, or host pointer of the first byte (engine/translate) */
	uint64_t group[X86_GROUPS];
	uint64_t delta[X86_GROUPS]; /* of those of loops: the delta that group[] was made from */
	bool local;                 /* some supervisor slot is of a page that is not global */
	bool low;         /* some supervisor slot is in the lower half of the address space */
	bool high[2];     /* some slot, user or supervisor, is of addresses from 4 GiB on */
	bool global_user; /* some user slot or range is of a global page */
	bool hold; /* supervisor accesses may reach user pages now: such slots are not kept */
};

struct vcpu {
	struct x86_state s; /* first: generated code addresses it from the vcpu pointer */
	uint64_t next_rip;
	_Atomic uint32_t request; /* VCPU_REQ_ bits */
	uint32_t epoch;           /* behind request: translated code looks at both at once */
	uint32_t mode;            /* X86_MODE_ bits derived from s: x86_update_mode() */
	uint8_t cpl;              /* derived: SS.DPL in protected mode, 0 real, 3 v8086 */
	bool code_changed;        /* a store of this instruction hit translated code */
	bool no_step;             /* this instruction swallows its single-step trap (INT n, SYSCALL
				     that cleared TF); the engine clears it before each instruction */
	bool irq_waiting;         /* an interrupt waits for IF: setting IF asks for a poll */
	struct x86_tlb *tlb;      /* owned */
	uint32_t crossings; /* until translated code asks about one again (engine/translate) */
	uint64_t aside;     /* an operand that its instruction has overwritten (engine/translate) */
	uint64_t zero;      /* always 0: the base or index of an address that has none (engines) */
	uint64_t word[40];  /* of the translator's code, which reaches this struct by the GS base */
	/* Of engines that run x87 code in the host's x87 registers (engine/interp/interp.h). */
	struct {
		uint64_t fdp;  /* offset of the last memory operand */
		uint32_t last; /* last translated instruction; 0: s.fpu has its pointers */
		uint16_t fds;
		uint8_t live; /* enum x87_live */
	} x87;
	struct x86_exception exc; /* valid after X86_FAULT */
	struct vcpu_exit exit;    /* valid after X86_EXIT */

	unsigned index;
	struct bus *bus; /* borrowed, like all below */
	struct mem_space *mem;
	struct clock *clock;
	const struct cpu_model *model;
	struct cpu_set *cpus;
	struct intr_source *pic;      /* INTA; NULL on machines without a PIC */
	void *engine;                 /* the engine's own per-vCPU data */
	void (*wake)(struct vcpu *v); /* engine/vm: called by vcpu_request() after setting bits */
	void *wake_ctx;
	struct vtimer lapic_timer;
	struct vcpu_debug debug;
	struct vcpu_counters count;
	uint64_t insn_limit; /* leave run() at the first block that starts at or after this count;
				0 = none. For engine_vm.exact only */
	uint32_t trace;      /* TRACE_ masks of -d */
	int32_t stop_tid;    /* stop.c: its thread, 0 = none; its turn */
	uint32_t stop_seen;  /* the last stop it has obeyed or called; its own thread's */
	int32_t turns[X86_TURNS]; /* of translated blocks: runs until they count as hot (engines) */
	struct x86_slots slots;
	struct x86_jump jump[X86_JUMPS]; /* by RIP (engines) */
};

/* mode bits: everything a decoded block depends on. The first eight are the translation key. */
enum {
	X86_MODE_CS32 = 1 << 0, /* CS.D=1 and not 64-bit */
	X86_MODE_CS64 = 1 << 1, /* EFER.LMA and CS.L */
	X86_MODE_SS32 = 1 << 2, /* SS.B=1 (stack address size 32), or 64-bit: see CS64 */
	X86_MODE_PE = 1 << 3,
	X86_MODE_VM = 1 << 4,   /* v8086 */
	X86_MODE_USER = 1 << 5, /* CPL 3 */
	X86_MODE_LMA = 1 << 6,
	X86_MODE_FLAT =
		1 << 7, /* CS, SS, DS, ES: base 0, limit 4 GiB, usable, writable (or CS64) */
	X86_MODE_PG = 1 << 8,
};

/** x86_update_mode() - recompute v->mode and v->cpl after any change of CR0, EFER, RFLAGS.VM, CS,
 * SS or the flat segments. vCPU thread. */
void x86_update_mode(struct vcpu *v);

/** x86_state_changed() - recompute everything derived from v->s after it was written from outside
 * (set_state, snapshot, direct boot): mode, TLB, LAPIC timer, pending events. vCPU paused; bus lock
 * not held. */
void x86_state_changed(struct vcpu *v);

/** vcpu_request() - set request bits and wake the vCPU. Any thread. */
void vcpu_request(struct vcpu *v, uint32_t bits);

/** x86_raise() - record an exception; always returns X86_FAULT. */
int x86_raise(struct vcpu *v, uint8_t vector);
int x86_raise_err(struct vcpu *v, uint8_t vector, uint32_t error_code);
static inline int x86_gp0(struct vcpu *v)
{
	return x86_raise_err(v, X86_GP, 0);
}
static inline int x86_ud(struct vcpu *v)
{
	return x86_raise(v, X86_UD);
}

static inline bool x86_is_64(const struct vcpu *v)
{
	return v->mode & X86_MODE_CS64;
}
static inline unsigned x86_iopl(const struct vcpu *v)
{
	return (unsigned)(v->s.rflags >> X86_IOPL_SHIFT) & 3;
}
static inline bool x86_canonical(uint64_t a)
{
	return (uint64_t)((int64_t)(a << 16) >> 16) == a;
}

/* -d masks */
enum {
	TRACE_IN_ASM = 1,
	TRACE_INT = 2,
	TRACE_MMU = 4,
	TRACE_IO = 8,
	TRACE_GUEST_ERRORS = 16,
	TRACE_EXEC = 32
};

#endif
