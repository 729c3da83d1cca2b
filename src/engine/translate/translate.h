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
 *	host RSP: a stack of return addresses (below); C code has the thread's own
 *	host R10 (S1), R11 (S2): scratch
 *	GS base: struct vcpu. The vCPU's thread sets it in run(); C code does not use GS.
 *
 * Arithmetic flags are in EFLAGS ("E"), in word W_FL as the interpreter has them ("M"), or both.
 *Memory checks clobber EFLAGS, and every instruction that can fault needs M, because a fault must
 *show the flags exactly. A block can be entered with either: it has entries for each.
 *
 * Return addresses: a guest's CALL makes the host push the address of native code for the return,
 * which compares the guest's return address with the one it is for (RET leaves it in S1) and goes
 * to the block there. So the host's own return prediction works. When it is not equal, ras_miss
 * looks at a few more entries and then into the jump table. The stack is per privilege (user or
 * not), and empty again after W_EPOCH has changed since it was used last; below its first entry
 * lies ras_empty, and a guard page catches overflow, which empties it.
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
	/* What calls and returns store is in one cache line, with vcpu.aside: the processor writes
	 * back two stores in a row to one line together. */
	W_FL,      /* flags */
	W_LATER_A, /* flags.c: operands that flags will follow from */
	W_LATER_B,
	W_GO,  /* native code that is gone to */
	W_RET, /* the last RET's uop, as offset from the pool */
	W_TMP, /* RAX while flags are restored */
	W_PTR, /* host pointer of a store (mem.c) */
	W_VEC,
	W_MXCSR, /* scratch */
	W_STR_A, /* string instructions: RAX and RDX meanwhile */
	W_STR_D,
	W_STR_N,        /* bytes stored to a page with code */
	W_TAB,          /* TLB table of data accesses */
	W_ENTRY,        /* TLB entry, of string.c */
	W_TARGET,       /* RIP that an indirect branch goes to */
	W_GEN,          /* generation of the TLB */
	W_CSP,          /* the thread's stack pointer while native code runs */
	W_NSP,          /* native code's while C code runs */
	W_RBASE,        /* native code's stack when it is empty */
	W_EPOCH,        /* mode and mapping of code: equal means that links to other pages hold */
	W_KEY,          /* block key in force */
	W_SEGMENT = 21, /* mem.c: not 0 if the segment's type does not do */
	W_FILL = 22,    /* slot.c: the slot's offset */
	W_SPILL_MORE = 23,
	W_MISSED = 30, /* slot.c: the address of the last miss for the interpreter, its slot */
	W_MISSED_SLOT,
	W_SPILL = 24,    /* six, of slot.c */
	W_ONES = 32,     /* all bits set: string.c */
	W_LATER_S1 = 34, /* kept while flags are computed */
	W_LATER_S2,
	W_LATER_BACK,
	W_TURNS, /* loop.c: what the counter is when checks are due again; turns meanwhile */
	W_LIN,   /* linear address during a check */
	W_OLD,   /* flags.c: a register before a slow path */
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
	struct tr_block *tb;
	uint64_t to;   /* target, relative to the block's page: tr_exit_rip() */
	uint8_t *site; /* of the rel32, in the writable view; NULL = never linked */
	uint8_t *stub; /* executable: where it leads when it is not linked */
	/* linked to a block of another instance, or would be if that were at the target */
	struct tr_block *linked;
	/* in the list of the block that it was linked to, of either; at NULL: in none */
	struct tr_exit *next, **at;
	uint8_t entry; /* enum tr_entry of that block */
	uint8_t which;
	bool e, m; /* where the flags are */
	bool far;  /* to another page */
	bool poll; /* backwards or a call */
};

/*
 * Numbers in a block's code that its RIP is part of: offsets in the code map, with RELOC_32 if they
 * have 32 bits, else 64. Those of code that was added later follow in another piece.
 */
struct tr_relocs {
	struct tr_relocs *next;
	uint32_t n;
	uint32_t at[];
};
#define RELOC_32 (1u << 31)

/* Where an instance is, and whether it is there: one cache line. */
struct tr_mapping {
	uint64_t epoch; /* in which it was found mapped: vcpu.epoch, below it 0 for no request */
	uint64_t base[2];
	const uint8_t *page[2];
	struct x86_tlb_entry *entry[2]; /* where the soft TLB has its pages */
	uint32_t key;
	uint32_t used; /* instance.used */
};
static_assert(sizeof(struct tr_mapping) == 64, "a cache line");

/* An instruction that can fault on the host: where it is and where its slow path is. */
struct tr_fault {
	uint32_t at, stub; /* from tr_block.rx */
};

/*
 * Entries of a block. The polled ones look at requests: jumps backwards, calls and indirect
 * branches use them, so that every loop of the guest's passes one.
 */
enum tr_entry {
	TR_FAR,    /* flags M, polled, W_EPOCH compared: from other pages and the jump table */
	TR_M_POLL, /* flags M, polled: the same place */
	TR_M,
	TR_E_POLL,
	TR_E,
	TR_ENTRIES
};

struct tr_block {
	struct block *b;
	struct block *first; /* b, or the first of those it is made of */
	struct translator *t;
	struct tr_exit *in; /* exits of other instances that lead here, by tr_exit.next */
	struct tr_relocs *relocs;
	uint8_t *rx;   /* first byte */
	uint8_t *cold; /* first byte of what is not on the fast path */
	uint32_t size; /* of the former */
	uint8_t type;  /* enum tr_type */
	bool joined;   /* b is of several blocks; not of code for the rest of one (group.c) */
	bool dead;     /* entries jump to leave[] or to another block */
	/* It ends in an indirect jump, and its other exits are polled: whoever goes backwards to it
	 * need not be, unless it is such a block, too. */
	bool onward;
	uint8_t *entry[TR_ENTRIES]; /* in the executable view; at least 5 bytes apart */
	uint8_t saved[TR_ENTRIES][5];
	uint8_t *leave[2];            /* with flags in M, in E: to the run loop */
	const struct tr_parts *parts; /* NULL: without groups */
	/* by page; the second is of blocks that cross into another one */
	struct tr_node {
		struct tr_block *tb;
		struct tr_node *next, **at; /* at = NULL: in no list */
	} node[2];
	struct tr_exit *exit;
	uint16_t n_faults;
	uint16_t turns;         /* in vcpu.turns[] */
	uint32_t counted;       /* since when (TSC) */
	uint32_t counter;       /* where its code counts, from rx; 0 = nowhere */
	uint8_t seldom;         /* how many times it had been counted when that took too long */
	uint8_t n_exits, n_out; /* exits; those linked to other instances */
	uint8_t n_back;
	struct tr_fault *fault;
	struct tr_exit *inner; /* exits of the same instance that lead here */
	struct tr_block *by;   /* what superseded it, of the same instance; NULL: nothing */
	uint32_t *back; /* where calls come back to code that follows: the jne there, from rx */
};

/*
 * Where an indirect jump to @rip looks: bits 4 to 18 of the product, which is the entry's offset
 * without being shifted. Functions begin at multiples of 16; 32768 of them in a row have an entry
 * each, as the factor is odd, and what lies between multiples is spread among those by the factor.
 */
#define TR_JUMP_FACTOR 0x9e3779b1u
#define TR_JUMP_MASK   ((X86_JUMPS - 1) * (unsigned)sizeof(struct x86_jump))
static inline unsigned tr_jump_slot(uint64_t rip)
{
	return ((uint32_t)rip * TR_JUMP_FACTOR & TR_JUMP_MASK) / sizeof(struct x86_jump);
}
#define TR_BLOCKS   262144u
#define TR_MAPPINGS 65536u
#define TR_ROOM     65536u /* bytes of code that the largest block can need */
/* A block is translated again when it runs so often within so many cycles, one time in 200 ns: then
 * it is one of few (head.c). */
#define TR_OFTEN     4096
#define TR_OFTEN_TSC (TR_OFTEN * 512u)
#define TR_PAGES     4096u /* hash of pages with translated code */

/* Routines of string instructions with REP; E and NE: REPE and REPNE. */
enum tr_string_op { TR_MOVS, TR_STOS, TR_SCAS_E, TR_SCAS_NE, TR_CMPS_E, TR_CMPS_NE, TR_STRING_OPS };

/* What a slot is looked at for: accesses of up to 8 bytes, of up to 64, extents of groups; and the
 * first and the last in a slot of the stack's, whose lim has room for what functions save. */
enum slot_kind { SLOT_SMALL, SLOT_BIG, SLOT_GROUP, SLOT_STACK, SLOT_STACK_GROUP, SLOT_KINDS };
#define GROUP_MOST 256u /* bytes of a group's extent */
static inline bool tr_is_group(unsigned kind)
{
	return kind == SLOT_GROUP || kind == SLOT_STACK_GROUP;
}
static inline bool tr_is_stack(unsigned kind)
{
	return kind == SLOT_STACK || kind == SLOT_STACK_GROUP;
}
/** tr_room() - what x86_slot.lim is less than the range's length: extents of one byte more need one
 * comparison. */
static inline unsigned tr_room(unsigned kind)
{
	return tr_is_stack(kind) || kind == SLOT_BIG ? 63 : 7;
}

#define TR_VERDICT 256u /* bytes of text */

struct translator {
	struct code_map map;
	/* Code, then data it addresses by RIP: struct tr_mapping[TR_MAPPINGS] */
	/* Blocks are in [first, used), behind the fixed routines, and what leads out of them and
	 * is rarely run in [cold_first, cold), so that the former is dense. */
	size_t code_size, used, first, cold, cold_first;
	/* struct vcpu as seen from the writable view, where code addresses it by RIP; 0: by GS */
	uintptr_t home;
	/* up to where both have been taken from the VM's budget: pieces of large pages */
	size_t used_taken, cold_taken;
	/* fixed routines */
	uint8_t *enter; /* a uop handler */
	uint8_t *call;  /* S2 = handler, S1 = its second argument; returns to the block */
	/* the same, from code that has not used vector registers yet: they are not loaded again */
	uint8_t *call_plain;
	uint8_t *light; /* S2 = function of light.c, S1 = its uop */
	uint8_t *tail;  /* the same, leaving native code for good */
	/* S2 = struct tr_mapping (of one page, of two): is it mapped? ZF: yes, and noted; else CF:
	 * no, or in another mode; else the soft TLB does not know. Clobbers S1. */
	uint8_t *mapped[2];
	uint8_t *vec_load;                    /* clobbers nothing but flags */
	uint8_t *string[TR_STRING_OPS][4][2]; /* by log2 of the element; 32-, 64-bit addresses */
	bool x87_fdp;                         /* x87 code records FDP: see x87.c */
	/* slot.c: by kind, store, set */
	uint8_t *miss[SLOT_KINDS][2][X86_SLOT_SETS];      /* of a slot of its own */
	uint8_t *miss_page[SLOT_KINDS][2][X86_SLOT_SETS]; /* of one found by page number */
	uint8_t *refill[X86_SLOT_SETS];
	uint8_t *by_page; /* S1 = struct tr_place: calls tr_by_page() */
	unsigned slot_turn, turns_turn;
	bool bmi2;               /* the host has it */
	bool masked;             /* the host has AVX-512 with masks for bytes: string.c */
	bool smp;                /* translated for more than one vCPU */
	struct x86_slots *slots; /* of the vCPU, whose notes are to be freed */
	unsigned hot;            /* executions before a block is translated */
	uint8_t *ras_miss, *ras_empty;
	uint8_t *fetch;   /* tr_flags_fetch() */
	uint8_t *ras_map; /* stacks of return addresses: kernel's, user's */
	struct {
		uint64_t base, sp, epoch;
	} ras[2];
	/* Epochs have numbers of 32 bits, for vcpu.epoch. Who is displaced gets a new one. */
	struct {
		uint64_t epoch;
		uint32_t number; /* 0: none */
	} known[64];
	uint32_t last_epoch;
	struct tr_node *page[TR_PAGES];
	struct tr_exit *last_exit; /* that was not linked */
	uint64_t translated, dropped;
	unsigned n_blocks, n_mappings;
	struct tr_block **blocks; /* [TR_BLOCKS], by address */
	struct tr_at {
		uint32_t rx, cold; /* of blocks[], as offsets in the code map */
	} * at;
	struct x86_jump *jump; /* [X86_JUMPS], in struct vcpu */
	/* verify.c: whether it is asked for; code looked at, found bad; what was said of the last
	 */
	bool verify;
	uint64_t n_verified, n_bad;
	char verdict[TR_VERDICT];
};

static inline size_t tr_word(unsigned w)
{
	return offsetof(struct vcpu, word) + 8 * w;
}

/* Mode, address space and mapping of code: what W_EPOCH is to be now. */
static inline uint64_t tr_epoch_of(const struct vcpu *v)
{
	uint32_t key = icpu(v)->key;

	return v->tlb->exec_id[key & X86_MODE_USER ? 1 : 0] << 16 | key;
}
/** tr_renumber() - no epoch has a number, and no mapping is of an epoch. */
void tr_renumber(struct translator *t);
static inline uint32_t tr_number(struct translator *t, uint64_t epoch)
{
	unsigned n = (unsigned)(epoch * 0x9e3779b97f4a7c15ull >> 58);

	static_assert(ARRAY_SIZE(t->known) == 64, "six bits");
	if (LIKELY(t->known[n].epoch == epoch && t->known[n].number))
		return t->known[n].number;
	if (UNLIKELY(t->last_epoch == UINT32_MAX - 1))
		tr_renumber(t);
	t->known[n].epoch = epoch;
	t->known[n].number = ++t->last_epoch;
	return t->last_epoch;
}
/** tr_switch_epoch() - W_EPOCH is @epoch, and the return addresses are its privilege's. */
static inline void tr_switch_epoch(struct vcpu *v, uint64_t epoch)
{
	struct translator *t = icpu(v)->tr;
	unsigned was = v->word[W_EPOCH] & X86_MODE_USER ? 1 : 0,
		 now = epoch & X86_MODE_USER ? 1 : 0;

	if (epoch == v->word[W_EPOCH])
		return;
	t->ras[was].sp = v->word[W_NSP];
	if (t->ras[now].epoch != epoch)
		t->ras[now].sp = t->ras[now].base;
	t->ras[now].epoch = epoch;
	icpu(v)->turn++;
	if (!(epoch & X86_MODE_CS64))
		x86_slots_below_4g(v, now);
	v->word[W_NSP] = t->ras[now].sp;
	v->word[W_RBASE] = t->ras[now].base;
	v->word[W_EPOCH] = epoch;
	v->epoch = tr_number(t, epoch);
}

/* asm.c: host instructions */
extern const uint8_t tr_host[16]; /* guest GPR -> host GPR, NO_REG: in memory */
/**
 * tr_field() - an instruction with an operand in struct vcpu at @off. @op: its @n bytes up to the
 * ModRM byte, which has rm 4; @imm: bytes of the immediate that the caller emits next.
 */
void tr_field(struct emit *m, const uint8_t *op, unsigned n, size_t off, unsigned imm);
#define TR_FIELD(m, off, imm, ...)                                                                 \
	tr_field(m, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), off,   \
		 imm)
/** tr_gs() - op reg, struct vcpu's field at @off; @w: 64 bit. */
void tr_gs(struct emit *m, bool w, uint8_t op, unsigned reg, size_t off);
/** tr_mem() - op reg, [base + index << scale + disp]; base or index may be NO_REG. */
void tr_mem(struct emit *m, bool w, uint8_t op, unsigned reg, unsigned base, unsigned index,
	    unsigned scale, int32_t disp);
/** tr_rr() - op rm, reg. */
void tr_rr(struct emit *m, bool w, uint8_t op, unsigned reg, unsigned rm);
void tr_imm64(struct emit *m, unsigned reg, uint64_t imm);
/** tr_cmp_request() - compare the vCPU's requests with 0: NE = there are some. Writes EFLAGS. */
void tr_cmp_request(struct emit *m);
/** tr_flags_save/restore() - EFLAGS to and from W_FL. Save clobbers S1, restore nothing. */
void tr_flags_save(struct emit *m);
void tr_flags_restore(struct emit *m);
/** tr_flags_fetch() - W_FL may say how the flags follow from operands (flags.c): now it has them.
 * Code at @rx calls translator.fetch, which may not be done by what native code has called. EFLAGS
 * are lost. */
void tr_flags_fetch(struct emit *m, const uint8_t *rx, const uint8_t *fetch);
/** tr_jump_to() - jmp or call (@op e9, e8) to @to, an address in the executable view at @rx. */
void tr_jump_to(struct emit *m, uint8_t op, const uint8_t *rx, const uint8_t *to);
/** tr_lookup() - @reg = RIP: S2 = where tr_jump_entry() finds its entry of the jump table; equal if
 * that is for it. */
void tr_lookup(struct emit *m, unsigned reg);
/** tr_jump_entry() - op @reg, native code of that entry. */
void tr_jump_entry(struct emit *m, bool w, uint8_t op, unsigned reg);

/* glue.c */
/* Where native code for a return has the guest's return address: 64 bits, or one byte more and 32
 * bits with this byte before them. */
#define TR_SITE_RIP   2
#define TR_SITE_SHORT 0xfa
/* Stacks of return addresses: guard below, room above for looking at entries that are not there. */
#define TR_RAS_GUARD 65536u
#define TR_RAS_SIZE  (512 * KIB)
#define TR_RAS_ABOVE 4096u
#define TR_RAS_EACH  (TR_RAS_GUARD + TR_RAS_SIZE)
/* W_FL: flags as LAHF and SETO have them, or, where the bit that LAHF always sets is 0, the offset
 * of code in the code map that computes them. */
#define TR_FL_HERE 0x200u
/* as tr_flags_save() has them: ZF and PF */
#define TR_FL_ZERO 0x4600u
static inline uint32_t tr_fl_later(uint32_t off)
{
	return (off & 0x1ff) | off >> 9 << 10;
}
int tr_glue(struct translator *t, struct interp_cpu *ic, struct error *err) MUST_CHECK;
/** tr_goto() - a handler's return value: native code goes on at the start of @b, which has some and
 * may be entered. Flags are in s.rflags. */
int tr_goto(struct vcpu *v, const struct block *b);
/** tr_far() - the soft TLB must look up where @b lies before it can be entered from elsewhere. */
int tr_far(struct vcpu *v, const struct block *b, struct x86_tlb_entry *tab, uint32_t fl);
int tr_resume(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);
int tr_chain(struct vcpu *v, struct tr_exit *x, struct x86_tlb_entry *tab, uint32_t fl);
/** tr_leave() - to the run loop, which goes on at the instruction of @u. */
int tr_leave(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);
/** tr_miss() - an indirect branch to W_TARGET was not in the table: fill it, then interpret @u. */
int tr_miss(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);

/** tr_x87_load() - the guest's x87 registers to the host's, for translated code (x87.c). */
int tr_x87_load(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);

/* string.c */
/** tr_string_glue() - emit the routines. */
void tr_string_glue(struct translator *t, struct emit *m);
/** tr_string() - slow path of a string instruction whose routine gave up. */
int tr_string(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);
int tr_string_stored(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);
/* What an access wants of its slot. */
enum tr_want {
	TR_DELTA,  /* S2 = delta */
	TR_PTR_S1, /* S1 = host pointer */
	TR_PTR_S2, /* the same in S2 */
	TR_SUM     /* S1 = the address, S2 = delta: of a slot of its own */
};
/* An access that has a slot of its own, as translated code keeps it: offsets from here. */
struct tr_place {
	int64_t disp;
	int32_t check, after, slow; /* the check, what follows a hit, the interpreter's */
	uint8_t base, index, scale, seg;
	uint8_t set, want;
	uint16_t size;
	bool write, is64, a16;
	bool wide;    /* outside 64-bit code: not cut off at 4 GiB (mem.c) */
	uint8_t kind; /* enum slot_kind */
	bool rip;     /* relative to RIP: disp moves with the code */
	uint8_t insn;
};

/* group.c */
/* The blocks a joined one is made of, kept for what is translated later. */
struct tr_parts {
	unsigned n;
	struct block **part;
	uint8_t *first; /* [n + 1] */
};
/** tr_handler() - the interpreter's handler of instruction @i of @b, which may have host code. */
uop_fn tr_handler(const struct block *b, unsigned i);
/** tr_rest() - the check of a group has failed (@place, not aligned: group.c): the rest of the
 * block is interpreted, or gets code without groups for the next time. */
int tr_rest(struct vcpu *v, const void *place, struct x86_tlb_entry *tab, uint32_t fl);
/* mem.c */
/** tr_by_page() - from now on the access of a struct tr_place (not aligned) looks its slot up by
 * page number. */
int tr_by_page(struct vcpu *v, const void *place, struct x86_tlb_entry *tab, uint32_t fl);
/* system.c */
/** tr_transfer() - the handler of an instruction that goes elsewhere. Does not come back. */
int tr_transfer(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);
/** tr_fault() - deliver the exception that a handler has recorded; TR_GOTO to its handler's code,
 * or what the run loop is to be told. Called by native code. */
int tr_fault(struct vcpu *v);

/* verify.c */
/** tr_verify_block() - is the code of @tb harmless? Else false, with text. vCPU's thread.
 * @cold_size: bytes of code from tb->cold on. */
bool tr_verify_block(struct interp_cpu *ic, const struct tr_block *tb, uint32_t cold_size,
		     char *ret_text, size_t text_size);
/** tr_verify_piece() - the same of code at @rx that stands for the check at @place of @tb. */
bool tr_verify_piece(struct interp_cpu *ic, const struct tr_block *tb, const uint8_t *rx,
		     uint32_t size, const struct tr_place *p, const uint8_t *place, char *ret_text,
		     size_t text_size);
/** tr_verify_all() - how many blocks are not; the text of one of them. vCPU's thread, outside of
 * native code. */
unsigned tr_verify_all(struct interp_cpu *ic, char *ret_text, size_t text_size);
/** tr_verify_end() - all code is about to be dropped: if that is asked for, look at all of it
 * again, linked and patched as it is now. vCPU's thread. */
void tr_verify_end(struct interp_cpu *ic);
/** tr_verify_added() - tr_verify_piece() if that is asked for; false: it must not be used. */
bool tr_verify_added(struct interp_cpu *ic, const struct tr_block *tb, const uint8_t *rx,
		     uint32_t size, const struct tr_place *p, const uint8_t *place);

/* light.c: what its functions return */
enum {
	LIGHT_SLOW, /* nothing was done: the handler must */
	LIGHT_NEXT, /* native code goes on behind the call */
	LIGHT_GOTO, /* at W_GO */
	LIGHT_LEAVE /* to the run loop, at s.rip */
};
/** tr_light_*() - the instruction of @u; called through translator.light. */
int tr_light_syscall(struct vcpu *v, const struct uop *u);
int tr_light_sysret(struct vcpu *v, const struct uop *u);
int tr_light_sysenter(struct vcpu *v, const struct uop *u);
int tr_light_iretq(struct vcpu *v, const struct uop *u);
int tr_light_cr3(struct vcpu *v, const struct uop *u);
int tr_light_invlpg(struct vcpu *v, const struct uop *u);

/* fill.c */
/** tr_second_slot() - where a set's second table (vcpu.h) has the slot of the page of @lin. */
#define TR_SECOND_FACTOR 0x9e3779b1u
#define TR_SECOND_SHIFT  21
static_assert(X86_SLOTS_SECOND == 1u << (32 - TR_SECOND_SHIFT), "the factor's upper bits");
static inline unsigned tr_second_slot(gva_t lin)
{
	return (uint32_t)(lin >> MEM_PAGE_SHIFT) * TR_SECOND_FACTOR >> TR_SECOND_SHIFT;
}
enum tr_how { TR_NOT_FILLED, TR_FILLED_HOT, TR_FILLED };
struct tr_filled {
	uint64_t off; /* of the access in the slot */
	uint64_t how; /* enum tr_how; hot: the place had better look by page number */
};
enum { TR_FILL_WRITE = 1 << 8, TR_FILL_AGAIN = 1 << 9, TR_FILL_GROUP = 1 << 10 };
/** tr_fill() - make slot @n (its number over all sets) fit the access of (@what & 0xff) + 1 bytes
 * at @lin. @what: TR_FILL_WRITE: it stores; TR_FILL_GROUP: of an extent, not an
 * access; TR_FILL_AGAIN: the interpreter has just done it, so the
 * soft TLB has it or a page walk is in vain. Clobbers general registers only. */
struct tr_filled tr_fill(struct vcpu *v, gva_t lin, unsigned n, unsigned what);
/* slot.c */
void tr_slot_glue(struct translator *t, const struct interp_cpu *ic, struct emit *m);

/* link.c */
/** tr_exit_rip() - where the guest goes on after @x. */
static inline uint64_t tr_exit_rip(const struct tr_exit *x)
{
	const struct block *b = x->tb->b;
	uint64_t rip = (b->rip & ~0xfffull) + x->to;

	return b->key & X86_MODE_CS64 ? rip : (uint32_t)rip;
}
/** tr_link() - make @x jump to entry @i of @to without coming to C again. */
void tr_link(struct tr_exit *x, struct tr_block *to, enum tr_entry i);
/** tr_relink() - @x after one of its ends has moved, or its block was revived. */
void tr_relink(const struct tr_exit *x);
/** tr_instance() - the translator's part of @i, which may be NULL, exists now. False: no room. */
bool tr_instance(struct vcpu *v, struct instance *i);
/** tr_moved() - hook: code follows its blocks. */
void tr_moved(struct vcpu *v, struct instance *i, uint64_t delta);
/** tr_forget_reloc() - the @n bytes at @off of the code map, of @tb, are something else now. */
void tr_forget_reloc(struct tr_block *tb, size_t off, size_t n);

/* block.c */
/** tr_translate() - give @b host code; false when it is not worth it or there is no room now. */
bool tr_translate(struct vcpu *v, struct block *b);

/** tr_ret_miss() - the same for the RET of W_RET, whose RSP has moved. */
int tr_ret_miss(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);
/** tr_stale() - blocks of ic->stale[] are entered no more until revalidated. tr_revive(): @tb is
 * good again. */
void tr_stale(struct vcpu *v);
/** tr_crossing() - link the exit that has led to @b, which is translated. */
void tr_crossing(struct vcpu *v, const struct block *b);
/** tr_list() - @tb is complete: its page's stores concern it. */
void tr_list(struct tr_block *tb);
/** tr_redirect() - what jumps into @old goes to @to. */
void tr_redirect(struct tr_block *old, struct tr_block *to);
/** tr_close() - @tb is not entered any more: its entries jump to leave[]. */
void tr_close(struct tr_block *tb);
/** tr_forget() - @b is interpreted from now on; its entries are dead or redirected. */
void tr_forget(struct block *b);
void tr_revive(struct tr_block *tb);

/* translate.c */
/** tr_often() - the block of @u, about to run from its start, has run TR_OFTEN times: translate it
 * again if that was in short order. tr_often_later(): the same, and the run loop goes on at @u. */
int tr_often(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);
int tr_often_later(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);
/** tr_redo_later() - when @b is about to run the next time, translate it once more. Its code may be
 * running, and goes on with its slow paths as they are. */
void tr_redo_later(struct block *b);
/** tr_in_code() - do @n bytes at @off of the code map belong to blocks? */
static inline bool tr_in_code(const struct translator *t, size_t off, size_t n)
{
	return (off >= t->first && off + n <= t->used) ||
	       (off >= t->cold_first && off + n <= t->cold);
}
/** tr_clear_jump() - no RIP is in entry @i of the jump table. */
static inline void tr_clear_jump(struct translator *t, unsigned i)
{
	/* A RIP that its slot's lookup cannot ask for: 0 belongs to slot 0 and 1 to another. */
	t->jump[i] = (struct x86_jump){.rip = i == 0};
}
/** tr_room_for_code() - is there, or can there be, room for the largest block? */
bool tr_room_for_code(struct interp_cpu *ic);
/** tr_find() - the block whose code has @pc, or one before it; NULL: none. Async-signal-safe. */
struct tr_block *tr_find(const struct translator *t, uintptr_t pc);

#endif
