/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The translator from the inside. It is built on the interpreter: blocks, their lookup and
 * invalidation, events, debugging and every slow path are the interpreter's, and code that is not
 * hot stays interpreted. A block that was interpreted often enough gets host code ("native"), which
 * blocks then enter directly.
 *
 * Host registers in native code:
 *
 *	guest RAX..RDI, R8, R9, R12, R13, R14 (RSP aside): the same host register
 *	guest RSP: R15
 *	guest R10, R11, R15: in struct vcpu
 *	host RSP: the host's stack; nothing in it belongs to a block
 *	host R10 (S1), R11 (S2): scratch
 *	GS base: struct vcpu. The vCPU's thread sets it in run(); C code does not use GS.
 *
 * Arithmetic flags are in EFLAGS ("E"), in word W_FL in the form of the interpreter's fl ("M"), or
 * both. Memory checks clobber EFLAGS, and every instruction that can fault needs M, because a fault
 * must show the flags exactly. A block can be entered with either: it has an entry for each.
 *
 * Vector registers and MXCSR are the guest's while W_VEC is 1 and in struct vcpu otherwise. A block
 * that uses them makes W_VEC 1 once; calling C code saves them and reloads them on return.
 *
 * Slow paths call the handler of the instruction's uop (interp.h) with all registers in struct
 * vcpu; the handler of the next uop is tr_resume(), which returns to native code. Hardware faults
 * (division, SSE) go to the same place from the signal handler, so the interpreter finds the fault
 * again and raises it.
 */
#ifndef ENGINE_TRANSLATE_TRANSLATE_H
#define ENGINE_TRANSLATE_TRANSLATE_H

#include "engine/emit/reenc.h"
#include "engine/interp/interp.h"

enum { S1 = R10, S2 = R11 };

/* vcpu.word[] */
enum {
	W_TAB, /* TLB table of data accesses */
	W_GEN, /* its generation */
	W_FL,  /* flags */
	W_KEY, /* block key in force */
	W_TMP, /* RAX while flags are restored */
	W_LIN, /* linear address during a check */
	W_PTR, /* host pointer of a store (mem.c); target of an indirect branch that missed */
	W_VEC,
	W_JTAB,  /* jump_slot[] */
	W_MXCSR, /* scratch */
	W_STR_A, /* string instructions: RAX and RDX meanwhile */
	W_STR_D,
	W_STR_N,        /* bytes stored to a page with code */
	W_GO,           /* native code that is gone to */
	W_ENTRY,        /* TLB entry, of string.c */
	W_SETTLED = 23, /* slot.c: 0 = the place should look by page number */
	W_SPILL = 24    /* six, of slot.c */
};

/* What handlers return to native code, beyond X86_EXIT. */
enum {
	TR_NEXT = 3, /* tr_resume(): go on */
	TR_GOTO = 4, /* tr_goto(): jump to W_GO */
};

/* Which flags a block's body starts with. */
enum tr_type {
	TR_TYPE_M, /* in memory */
	TR_TYPE_E, /* in EFLAGS */
	TR_TYPE_D, /* it does not matter: written before anything looks */
};

struct tr_exit {
	struct block *b;
	uint64_t rip;
	uint8_t *site; /* of the rel32, in the writable view; NULL = never linked */
	uint8_t which;
	bool e, m; /* where the flags are */
	bool far;  /* to another page */
};

/* An instruction that can fault on the host: where it is and where its slow path is. */
struct tr_fault {
	uint16_t at, stub; /* from tr_block.rx */
};

struct tr_block {
	struct block *b;
	uint8_t *rx; /* first byte */
	uint32_t size;
	uint8_t type;                         /* enum tr_type */
	uint8_t *entry_i, *entry_m, *entry_e; /* in the executable view */
	uint64_t *neg_gen;                    /* writable view: -block.gen */
	struct tr_exit exit[2];
	uint16_t n_faults;
	struct tr_fault fault[];
};

/* Entry of indirect jumps: rip decides alone; what is entered checks mapping and mode. */
struct tr_jump {
	uint64_t rip;
	uint8_t *entry;
};
#define TR_JUMPS  32768u
#define TR_BLOCKS 262144u
#define TR_ROOM   65536u /* bytes of code that the largest block can need */

/* Routines of string instructions with REP; E and NE: REPE and REPNE. */
enum tr_string_op { TR_MOVS, TR_STOS, TR_SCAS_E, TR_SCAS_NE, TR_CMPS_E, TR_CMPS_NE, TR_STRING_OPS };

struct translator {
	struct code_map map;
	size_t used, first; /* first: end of the fixed routines */
	/* fixed routines */
	uint8_t *enter;    /* a uop handler */
	uint8_t *call;     /* S2 = handler, S1 = its second argument; returns to the block */
	uint8_t *tail;     /* the same, leaving native code for good */
	uint8_t *vec_load; /* clobbers nothing but flags */
	uint8_t *string[TR_STRING_OPS][4][2]; /* by log2 of the element; 32-, 64-bit addresses */
	bool x87_fdp;                         /* x87 code records FDP: see x87.c */
	/* slot.c: by set, size above 8, store */
	uint8_t *miss[X86_SLOT_SETS][2][2];
	uint8_t *by_page; /* S1 = struct tr_place: calls tr_by_page() */
	unsigned slot_turn;
	bool smp;     /* translated for more than one vCPU */
	unsigned hot; /* executions before a block is translated */
	uint64_t translated, dropped;
	unsigned n_blocks;
	struct tr_block **blocks; /* [TR_BLOCKS], by address */
	struct tr_jump jump[TR_JUMPS];
};

static inline size_t tr_word(unsigned w)
{
	return offsetof(struct vcpu, word) + 8 * w;
}

/* asm.c: host instructions */
extern const uint8_t tr_host[16]; /* guest GPR -> host GPR, NO_REG: in memory */
/** tr_gs() - op reg, gs:[off]; @w: 64 bit. */
void tr_gs(struct emit *m, bool w, uint8_t op, unsigned reg, size_t off);
/** tr_mem() - op reg, [base + index << scale + disp]; base or index may be NO_REG. */
void tr_mem(struct emit *m, bool w, uint8_t op, unsigned reg, unsigned base, unsigned index,
	    unsigned scale, int32_t disp);
/** tr_rr() - op rm, reg. */
void tr_rr(struct emit *m, bool w, uint8_t op, unsigned reg, unsigned rm);
void tr_imm64(struct emit *m, unsigned reg, uint64_t imm);
/** tr_flags_save/restore() - EFLAGS to and from W_FL. Save clobbers S1, restore nothing. */
void tr_flags_save(struct emit *m);
void tr_flags_restore(struct emit *m);
/** tr_jump_to() - jmp or call (@op e9, e8) to @to, an address in the executable view at @rx. */
void tr_jump_to(struct emit *m, uint8_t op, const uint8_t *rx, const uint8_t *to);

/* glue.c */
int tr_glue(struct translator *t, struct interp_cpu *ic, struct error *err) MUST_CHECK;
/** tr_goto() - a handler's return value: native code goes on at the start of @b, which has some and
 * may be entered. Flags are in s.rflags. */
int tr_goto(struct vcpu *v, const struct block *b);
int tr_resume(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);
/** tr_stored() - a store went to a page with code (W_PTR). tr_stored_go(): a push of a
 * branch, whose target is checked anyway. */
int tr_stored(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);
int tr_stored_go(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);
int tr_chain(struct vcpu *v, const struct tr_exit *x, struct x86_tlb_entry *tab, uint32_t fl);
int tr_leave(struct vcpu *v, uint64_t rip, struct x86_tlb_entry *tab, uint32_t fl);
/** tr_miss() - an indirect branch to W_PTR was not in the table: fill it, then interpret @u. */
int tr_miss(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);

/** tr_x87_load() - the guest's x87 registers to the host's, for translated code (x87.c). */
int tr_x87_load(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);

/* string.c */
/** tr_string_glue() - emit the routines. */
void tr_string_glue(struct translator *t, struct emit *m);
/** tr_string() - slow path of a string instruction whose routine gave up. */
int tr_string(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);
/* An access that has a slot of its own, as translated code keeps it: offsets from here. */
struct tr_place {
	int64_t disp;
	int32_t check, after, slow; /* the check, what follows a hit, the interpreter's */
	uint8_t base, index, scale, seg;
	uint8_t set, size;
	bool write, is64, s1; /* s1: wants the host pointer in S1, else delta in S2 */
};

/* mem.c */
/** tr_by_page() - from now on the access of a struct tr_place (not aligned) looks its slot up by
 * page number. */
int tr_by_page(struct vcpu *v, const void *place, struct x86_tlb_entry *tab, uint32_t fl);
/* slot.c */
void tr_slot_glue(struct translator *t, struct emit *m);

/* block.c */
/** tr_translate() - give @b host code; false when it is not worth it or there is no room now. */
bool tr_translate(struct vcpu *v, struct block *b);
/** tr_replace() - what jumps into @old goes to @to; @old is interpreted from now on. */
void tr_replace(struct block *old, const struct tr_block *to, struct translator *t);

#endif
