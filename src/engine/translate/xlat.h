/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block while it is translated: what block.c (control flow, layout), insn.c (instructions) and
 * mem.c (memory accesses) share.
 */
#ifndef ENGINE_TRANSLATE_XLAT_H
#define ENGINE_TRANSLATE_XLAT_H

#include "engine/translate/translate.h"

enum stub_kind {
	STUB_SLOW,        /* run the instruction in the interpreter, come back after it */
	STUB_END,         /* the same, without coming back: final instructions */
	STUB_MISS,        /* indirect branch: target in W_TARGET */
	STUB_STRING,      /* STUB_SLOW through tr_string() */
	STUB_STRING_FILL, /* xlat_string_fill() */
	STUB_EXIT,        /* an exit that is not linked */
	STUB_FAR_EXIT,    /* of a conditional jump to where flags are wanted in memory */
	STUB_LEAVE,       /* leave at the block's first instruction: flags in M, E, */
	STUB_LEAVE_E,
	STUB_FAR,   /* is the block mapped in this epoch? */
	STUB_LATER, /* not needed: leave as soon as they have been written */
	STUB_GROUP, /* the check of a group has failed */
	STUB_OFTEN, /* the block has run often, flags in M; not needed */
	STUB_OFTEN_LATER,
	STUB_NONE,    /* has been emitted */
	STUB_COMPUTE, /* flags from stored operands: xlat_flags_compute() */
};

/* An address in guest registers. */
struct ea {
	uint8_t base, index, scale; /* guest GPRs or NO_REG */
	uint8_t seg; /* FS, GS; outside 64-bit code any with a base or limit; else NO_REG */
	bool a16;    /* 16-bit address */
	bool rip;    /* disp has RIP in it */
	bool wide;   /* outside 64-bit code: the sum is not cut off (xlat_operand()) */
	int64_t disp;
};

/* Out-of-line code, emitted after the body. */
struct stub {
	uint8_t kind;
	uint8_t insn;    /* index; STUB_EXIT: which */
	bool save;       /* flags are in EFLAGS only on the way in */
	bool vec;        /* xlat.vec there */
	bool restore;    /* and must be there on the way out */
	bool rcx;        /* RCX is in S1 on the way in */
	unsigned site;   /* offset of the rel32 that leads here; 0 = none (hardware fault) */
	unsigned recipe; /* of the flags on the way in, else 0 */
	unsigned back;   /* offset to come back to */
	unsigned at;     /* offset of an instruction that can fault, else 0 */
	uint8_t fill; /* STUB_STRING_FILL: the set; bytes at register size are not in their slot */
	uint16_t x87; /* xlat.x87_due on the way in */
	/* a slot's check failed (number + 1, else 0); where a hit goes on */
	uint16_t slot;
	uint16_t size;
	bool write;
	bool by_page; /* it was looked for by page number: S2 = its number in the table * 32 */
	uint8_t kind_of_slot, want; /* enum slot_kind, tr_want */
	unsigned check, hit,
		after; /* offsets: its first byte; after its jump; after what a hit does */
	struct ea ea;
	bool live;           /* there are groups that a flush of slots would end */
	uint8_t s2_group;    /* xlat.s2_group there */
	uint8_t s1_group;    /* the same */
	uint8_t reg;         /* STUB_MISS: the target */
	uint8_t part, which; /* STUB_FAR_EXIT: xlat.now there; the exit */
	bool poll;           /* the same: exit backwards */
	bool sum;            /* xlat_put_sum() is to put the operand's value aside */
	unsigned later;      /* the same: of xlat_flags_put() */
	uint64_t rip;
};

/* A memory access as groups see it (group.c): registers of some version and a constant. */
struct access {
	uint16_t base, index; /* versions, 0 = none */
	uint8_t scale;
	bool write, stack, rip;
	uint16_t size; /* bytes; 0 = none that could be in a group */
	int64_t disp;
};

/* Accesses that one check is good for. */
struct group {
	struct access of;
	int64_t min, max; /* the extent, as access.disp */
	int64_t moves;    /* and how far it moves before the next check (loop.c) */
	bool write, ptr;  /* ptr: the host pointer of min is kept, else delta */
	bool stored;      /* somebody needs what store_at stores */
	bool dead;
	uint8_t last;      /* instruction */
	bool by_page;      /* the slot is found by page number */
	uint16_t slot;     /* else, and the set: by number over all sets */
	unsigned store_at; /* 0: it is not kept */
	/* In the second copy of a loop (fold.c): what is kept is the distance plus all of the
	 * address but the register @mover << @mover_scale (NO_REG: none) and the displacement,
	 * less @bias. */
	bool folded;
	uint8_t mover, mover_scale;
	int64_t bias;
};

/* A block that jumps to its own start (loop.c). */
struct loop {
	unsigned turns;  /* that one check of groups is good for; 0: nothing special */
	unsigned recipe; /* of flags at the jump, + 1 */
	uint8_t reg;     /* host register that moves by add, in 32 bits */
	int32_t add;
	unsigned n_groups;     /* when the first copy was complete */
	bool called;           /* C code is called */
	bool turned;           /* the second copy is to be translated now */
	bool unchecked;        /* it is being translated */
	unsigned again, start; /* offsets: before the first copy, with polling; the second copy */
	uint8_t s2_group;      /* xlat.s2_group at start */
	/* registers: version at the start if it is the same at the end, else 0; added each turn */
	uint16_t id[16];
	int64_t step[16];
};

#define XLAT_PARTS 12 /* blocks translated as one */
/* an instruction has up to five, a block up to 112 more */
#define XLAT_STUBS  (BLOCK_MAX_INSNS * 5 + 112)
#define XLAT_RELOCS 512
#define LATER_MOST  5 /* instructions that are worth repeating for STUB_LATER */

struct xlat {
	struct emit m;
	struct vcpu *v;
	struct interp_cpu *ic;
	struct translator *t;
	struct block *b;
	struct tr_block *tb;
	const uint8_t *rx; /* executable address of m.buf */
	bool e, m_ok;      /* flags: valid in EFLAGS, in memory; neither: recipe */
	unsigned recipe;   /* the instruction that makes them, + 1 (flags.c) */
	uint64_t aside;    /* bits: instructions that have put their operand aside */
	bool vec;          /* W_VEC is 1 from here on */
	bool x87;          /* x87 registers are the guest's from here on */
	/* x87 instruction whose place is not stored yet, + 1, and << 8 the one whose FDP is not; 0
	 * = none */
	uint16_t x87_due;
	bool is64;
	bool loop;             /* it may jump to its own start */
	bool own;              /* it runs often: accesses have slots of their own */
	bool stack_pages;      /* those to the stack find theirs by page number */
	bool counts;           /* its runs are counted */
	uint64_t table_of[16]; /* the RIP-relative address that LEA has put into a GPR, 0 = none */
	uint32_t slot_of[16];  /* what the slot of accesses through a GPR is chosen by, 0 = none */
	uint16_t slot;         /* of the last check */
	bool ungrouped;        /* no groups here, nor values put aside */
	bool keeps_groups;     /* whatever S2 is for is kept in vcpu.slots.group[], too */
	bool lost_group;       /* that should have been so */
	bool rest;             /* code of the rest of a block (group.c): nobody returns there */
	bool calls;            /* a call that comes back is in it, or in what is gathered so far */
	bool rests;            /* something but groups goes to tr_rest() when it fails */
	uint8_t s2_group;      /* S2 is what this group needs, + 1; 0 = something else */
	uint8_t s1_group;      /* the same of S1, but that nothing else needs it (fold.c) */
	unsigned first_group, n_groups; /* those in between may be used */
	struct group group[X86_GROUPS];
	int sp_moved; /* by pushes and pops, not added to RSP yet: the next instruction does */
	struct loop loop_plan;
	unsigned w; /* 8 or 4: width of the stack and of near branches */
	unsigned i; /* current instruction */
	unsigned n_slow;
	unsigned hot_end;     /* where the fast path ends */
	unsigned first_write; /* TR_TYPE_D: the instruction that writes the flags */
	unsigned n_stubs;
	/* The blocks that this one was put together from, and where each begins; [n_parts]: the
	 * end. */
	unsigned n_parts, now; /* now: the part of instruction i */
	struct block *part[XLAT_PARTS];
	uint8_t first[XLAT_PARTS + 1];
	unsigned kept_at; /* insn.c: at this offset S1 is guest register kept, which is in memory */
	uint8_t kept;
	uint8_t tail; /* gather.c: the part that is before the one before it, or 0 */
	unsigned n_exits;
	unsigned n_relocs;
	bool fixed; /* the code cannot be moved */
	struct stub stub[XLAT_STUBS];
	struct tr_fault fault[2 * BLOCK_MAX_INSNS]; /* [tb->n_faults]; a loop has two bodies */
	struct stub none;                           /* of accesses that cannot fail */
	struct access access[BLOCK_MAX_INSNS];
	struct insn in[BLOCK_MAX_INSNS];
	uint32_t back[XLAT_PARTS]; /* [tb->n_back] */
	uint32_t reloc[XLAT_RELOCS];
};

/* How a COPY instruction uses the fixed registers. */
struct copy_plan {
	unsigned fields;
	unsigned n_mem_gprs; /* operands that live in memory */
	uint8_t mem_gpr[2];
	bool high8, force_rex;
	bool via_rdi; /* AH..BH and memory: no REX, so the pointer must be in a low register */
};

/* The routine to call handlers by: vector registers are loaded again only where that is relied on.
 */
static inline const uint8_t *xlat_caller(const struct xlat *x, bool vec)
{
	return vec ? x->t->call : x->t->call_plain;
}

/* link.c */
/** xlat_rip() - host register @reg = @val, which has RIP in it; @wide: 64 bits, else 32. */
void xlat_rip(struct xlat *x, unsigned reg, uint64_t val, bool wide);
/** xlat_reloc() - the number of @size bytes at offset @at of the code has RIP in it. */
void xlat_reloc(struct xlat *x, unsigned at, unsigned size);
/** xlat_keep_relocs() - the relocations so far belong to @tb. False: no room. */
bool xlat_keep_relocs(struct xlat *x, struct tr_block *tb);

/* flags.c */
/** need_m/need_e() - flags in memory, in EFLAGS from here on. need_m() clobbers S1. */
void need_m(struct xlat *x);
void need_e(struct xlat *x);
/** xlat_flags_later() - the same as need_m(), where they will hardly be looked at. May clobber S1.
 */
void xlat_flags_later(struct xlat *x);
/** xlat_flags_find() - the instruction whose operands xlat_flags_put() can put aside for that; 0:
 * the flags themselves must be saved. */
unsigned xlat_flags_find(struct xlat *x);
/** xlat_flags_stores() - how many instructions xlat_flags_put() is. */
unsigned xlat_flags_stores(const struct xlat *x, unsigned n);
/** xlat_flags_put() - flags are in memory, by the operands of @n. EFLAGS and S1, S2 are kept. */
void xlat_flags_put(struct xlat *x, unsigned n);
/** xlat_flags_compute() - what computes them, for W_FL. */
void xlat_flags_compute(struct xlat *x, const struct stub *s);
/** xlat_flags_free() - EFLAGS are about to be clobbered by code that can go to a stub. */
void xlat_flags_free(struct xlat *x);
/** xlat_flags_settle() - before instruction x->i is translated. */
void xlat_flags_settle(struct xlat *x);
/** xlat_flags_rotate() - instruction x->i itself, if it is a rotation whose flags nobody will look
 * at: they are a recipe then, without having been fetched. False: nothing emitted. */
bool xlat_flags_rotate(struct xlat *x, const struct insn *in);
/** xlat_flags_aside() - before instruction x->i, which has no memory operand, is emitted. */
void xlat_flags_aside(struct xlat *x);
/** xlat_put_value() - instruction x->i itself, with the memory operand in x->m.mem*, if its flags
 * will be wanted and follow from the operand's value; @slow: of its access. False: nothing emitted.
 */
bool xlat_put_value(struct xlat *x, const struct insn *in, struct stub *slow);
/** xlat_put_sum() - the same in the slow path, for an addition or subtraction: before the handler
 * is called, and when it is @done, which clobbers S1 and EFLAGS. */
void xlat_put_sum(struct xlat *x, const struct insn *in, bool done);
/** xlat_recipe() - EFLAGS = the flags of recipe @n. */
void xlat_recipe(struct xlat *x, unsigned n);

/** xlat_loop_recipe() - the recipe of the flags at the end of the block, if it holds when the block
 * is run again from its start; else 0. */
unsigned xlat_loop_recipe(struct xlat *x);

/* insn.c */
/** xlat_stub() - a new stub of the current instruction, reached from the rel32 just emitted. */
struct stub *xlat_stub(struct xlat *x, unsigned kind);
/** xlat_call_uop() - run the current instruction in the interpreter, inline. */
void xlat_call_uop(struct xlat *x);
/** xlat_copy() - a COPY instruction; false: xlat_call_uop() must do. Nothing is emitted then. */
bool xlat_copy(struct xlat *x, const struct insn *in);
/** xlat_copy_ok() - would xlat_copy() do it (memory operands aside)? */
bool xlat_copy_ok(const struct xlat *x, const struct insn *in);
/** xlat_plan() - can the instruction run with the fixed registers? */
bool xlat_plan(const struct insn *in, struct copy_plan *ret_p);
/** xlat_put_copy() - the instruction itself, memory operand [S1]. Return: its offset. */
unsigned xlat_put_copy(struct xlat *x, const struct insn *in, const struct copy_plan *p);
/** xlat_ensure_vec() - vector registers are the guest's from here on. EFLAGS may be lost. */
void xlat_ensure_vec(struct xlat *x);
void xlat_lea(struct xlat *x, const struct insn *in);
/** xlat_get() - guest register @g in a host register: its own, or @tmp loaded. */
unsigned xlat_get(struct xlat *x, unsigned g, unsigned tmp);
/** xlat_put() - guest register @g = host register @h. */
void xlat_put(struct xlat *x, unsigned g, unsigned h);

/* mem.c */
/** xlat_segmented() - can an operand that the interpreter's fast handlers do not take, because of
 * its segment or of a 16-bit address, be checked here? */
bool xlat_segmented(const struct xlat *x, const struct insn *in);
struct ea xlat_ea(const struct xlat *x, const struct insn *in);
/**
 * xlat_put_ea() - dst = base + index * scale + disp + @more, as 64 or (@wide false) 32 bits
 * Guest registers that are in memory go through @t1, then @t2; @dst may be either of them. Flags
 * are kept.
 */
void xlat_put_ea(struct xlat *x, unsigned dst, bool wide, const struct ea *a, int64_t more,
		 unsigned t1, unsigned t2);
/** xlat_disp_fits() - can the address plus @more bytes be encoded? */
bool xlat_disp_fits(const struct ea *a, int64_t more);
/** xlat_ptr() - S1 = host pointer of @size bytes at @a; the slow stub in *ret_stub (its .back to be
 * set). S2 and EFLAGS are lost. False: must go the slow way. */
bool xlat_ptr(struct xlat *x, const struct ea *a, unsigned size, bool write,
	      struct stub **ret_stub);
/** xlat_operand() - the same with the operand in x->m.mem*; needs S1 and, if @s2_free, S2. */
bool xlat_operand(struct xlat *x, const struct ea *a, unsigned size, bool write, bool s2_free,
		  struct stub **ret_stub);
/** xlat_op_mem() - op @reg, operand of xlat_ptr() or xlat_operand(). */
void xlat_op_mem(struct xlat *x, bool w, uint8_t op, unsigned reg);
/** xlat_op_free() - S1 or S2, whichever the operand does not need. */
static inline unsigned xlat_op_free(const struct xlat *x)
{
	return x->m.mem == S1 ? S2 : S1;
}
/** xlat_choose_slot() - the slot of an access, by number over all sets. */
unsigned xlat_choose_slot(struct xlat *x, const struct ea *a, unsigned size, bool write);
/** xlat_wants_page() - does the access look for its slot by page number from the start? */
bool xlat_wants_page(const struct xlat *x, const struct ea *a);
/** xlat_page_check() - the check of an extent of @size bytes from address S1 on by page number, up
 * to the rel32 of a miss; @hit: what follows it. */
void xlat_page_check(struct xlat *x, unsigned set, unsigned size, enum tr_want want, bool hit);
/** xlat_slot_kind() - what @kind is for slot @slot, by number over all sets, if that is the
 * stack's. */
unsigned xlat_slot_kind(unsigned slot, enum slot_kind kind);
/** xlat_slot_field() - where vcpu has the field at @field of a slot. */
size_t xlat_slot_field(unsigned slot, size_t field);
/** xlat_page_index() - S2 = 32 times the number of the slot by page for address S1; EFLAGS are
 * lost. xlat_page_field(): op @reg, its field in set @set; for up to 8 bytes. xlat_page_table():
 * offset of that slot in the array of slots, S2 aside. */
void xlat_page_index(struct xlat *x);
void xlat_page_field(struct emit *m, uint8_t op, unsigned reg, unsigned set, size_t field);
int32_t xlat_page_table(unsigned set);
/** xlat_try() - in the stub of a check that failed: try to fill the slot and go on, natively. */
void xlat_try(struct xlat *x, const struct stub *s);
/** xlat_refill() - when the interpreter had to do it after all: fill the slot now. */
void xlat_refill(struct xlat *x, const struct stub *s);
/** xlat_slots_forget() - after @in: which registers point elsewhere now. */
void xlat_slots_forget(struct xlat *x, const struct insn *in);

/* group.c */
/** xlat_plan_groups() - before anything is emitted: what the block accesses. */
void xlat_plan_groups(struct xlat *x);
/** xlat_groups_before() - before instruction x->i is translated. */
void xlat_groups_before(struct xlat *x);
/** xlat_groups_end() - C code was called: no check holds any more. */
void xlat_groups_end(struct xlat *x);
/** xlat_groups_live() - is there a check that instructions after x->i count on? */
bool xlat_groups_live(const struct xlat *x);
/** xlat_group() - the operand in x->m.mem* by the check of a group, which cannot fault at this
 * instruction; false: it needs its own. S1 is lost, and S2, EFLAGS are if there was a check. */
bool xlat_group(struct xlat *x, const struct ea *a, unsigned size, bool write, bool s2_free);
/** xlat_group_next() - will the stack access of the instruction after x->i need no check? */
bool xlat_group_next(struct xlat *x);
/** xlat_group_load() - @reg, S1 or S2 = what xlat.s1_group or s2_group was @group for. */
void xlat_group_load(struct xlat *x, unsigned reg, unsigned group);
/** xlat_group_at() - where vcpu has what group @n keeps. xlat_group_delta() - if it is a loop's and
 * its address moves: the distance it has found. */
size_t xlat_group_at(unsigned n);
size_t xlat_group_delta(unsigned n);
/** xlat_find_group() - the group that is good for access @c, or NULL. */
struct group *xlat_find_group(struct xlat *x, const struct access *c);
/** xlat_group_failed() - the stub of a check that failed, flags in memory. */
void xlat_group_failed(struct xlat *x, const struct stub *s);
/** xlat_groups_done() - when the block is complete, stubs too. */
void xlat_groups_done(struct xlat *x);

/** xlat_groups_turn() - from here on instructions follow as they did from the block's start: groups
 * whose addresses are not known then are forgotten. */
void xlat_groups_turn(struct xlat *x);

/* fold.c */
/* No register gets nearer to 0 than this by what happens in one turn, or in all turns of the first
 * window. */
#define XLAT_NEAR_ZERO 0x1000u
/** xlat_fold() - the second copy of a loop begins here: addresses are made ready for it. */
void xlat_fold(struct xlat *x);

/* loop.c */
/** xlat_plan_loop() - after xlat_plan_groups(), which has filled @id and @off at the end. */
void xlat_plan_loop(struct xlat *x, const uint16_t id[16], const int64_t off[16]);
/** xlat_counts() - do the first @n instructions, if they are a loop, move a register steadily? */
bool xlat_counts(const struct xlat *x, unsigned n);
/** xlat_step() - what is added each turn to the address of @a; false: not known. */
bool xlat_step(const struct xlat *x, const struct access *a, int64_t *ret_step);
/** xlat_loop_again() - where the jump comes back to. After the block's entries. */
void xlat_loop_again(struct xlat *x);
/** xlat_is_loop_end() - is x->i the block's last instruction, a jump to @to, which is a loop's? */
bool xlat_is_loop_end(const struct xlat *x, uint64_t to);
/** xlat_loop_end() - there, behind the way out. Sets loop.turned when the second copy is to follow.
 */
void xlat_loop_end(struct xlat *x);

/* system.c */
enum xlat_end {
	XLAT_NOT,  /* nothing was emitted */
	XLAT_NEXT, /* done */
	XLAT_DONE, /* and the block is complete */
};
/** xlat_system() - an instruction with a special handler that is no near branch. */
enum xlat_end xlat_system(struct xlat *x, const struct insn *in);

/* string.c */
/** xlat_string() - a string instruction (not INS, OUTS); false: nothing emitted, call the handler.
 */
bool xlat_string(struct xlat *x, const struct insn *in);
/** xlat_string_fill() - the stub of an access that is not in its slot. */
void xlat_string_fill(struct xlat *x, const struct stub *s);

/* data.c */
/** xlat_data() - other specials that work on data; false: nothing done, call the handler. */
bool xlat_data(struct xlat *x, const struct insn *in);
/** xlat_cmpxchg() - CMPXCHG8B, CMPXCHG16B; false: nothing emitted. */
bool xlat_cmpxchg(struct xlat *x, const struct insn *in);
/** xlat_loop() - LOOP & co, JCXZ, which complete the block; false: nothing emitted. */
bool xlat_loop(struct xlat *x, const struct insn *in);
/** xlat_operand_ok() - can xlat_ptr() have the memory operand: 64-bit or flat 32-bit addresses. */
bool xlat_operand_ok(const struct xlat *x, const struct insn *in);

/* x87.c */
/** xlat_x87() - an x87 or MMX instruction, or FWAIT; the interpreter's handler if need be. */
void xlat_x87(struct xlat *x, const struct insn *in);
/** xlat_x87_ok() - is it done in place, and nothing that could change the control word? */
bool xlat_x87_ok(const struct xlat *x, const struct insn *in);
/** xlat_x87_store() - store what is due, xlat.x87_due. Keeps S1, S2 and flags. */
void xlat_x87_store(struct xlat *x, unsigned due);

/* block.c */
/** xlat_code() - code from instruction x->i on, with flags as x says. False: no room. */
bool xlat_code(struct xlat *x);
/** xlat_exit() - the end of the block: go on at @rip as if it were in another page. */
void xlat_exit(struct xlat *x, unsigned which, uint64_t rip);
/** xlat_push_word() - push vcpu.word[@word] in the width of near branches; slow: the whole
 * instruction in the interpreter. EFLAGS are lost. */
void xlat_push_word(struct xlat *x, unsigned word);
/** xlat_jump() - leave the block by exit @which (0, 1) for @rip, a direct target. */
void xlat_jump(struct xlat *x, unsigned which, uint64_t rip);

/* gather.c */
static inline bool xlat_is_call(const struct insn *in)
{
	return in->special == SP_CALL_REL || in->special == SP_CALL_IND;
}
/** xlat_decode_part() - x->in[] from @at on: the instructions of @b. */
void xlat_decode_part(struct xlat *x, const struct block *b, unsigned at);
/** xlat_gather() - x->part[]: @b and what follows it. */
void xlat_gather(struct xlat *x, struct block *b);
/** xlat_in_tail() - is x->now the part that a jump backwards has led to, or one behind it? */
bool xlat_in_tail(const struct xlat *x);
/** xlat_join() - one block with the instructions of all parts. NULL: no room. */
struct block *xlat_join(struct xlat *x);

/* verify.c */
/** tr_verify_new() - before the block, which is complete, is entered: is its code harmless, if that
 * is asked for? False: it must not be used. */
bool tr_verify_new(struct xlat *x);

/* ---- Head of a block (head.c) ---- */

/** xlat_head_type() - TR_TYPE_ of a block: what its first instruction that has to do with flags
 * wants of them; x->first_write is that instruction. */
unsigned xlat_head_type(struct xlat *x);
/** xlat_wants_memory() - will an exit for @rip want the flags in memory? A guess, as nobody knows
 * what is there when it is linked; it says what is cheaper. */
bool xlat_wants_memory(const struct xlat *x, uint64_t rip);
/** xlat_head() - emit the entries. */
void xlat_head(struct xlat *x);
/** xlat_find_mapped() - out of line of a far check that failed: mode and mapping may be what they
 * were all the same. */
void xlat_find_mapped(struct xlat *x, const struct stub *s);
/** xlat_find_part() - x->now: the part that has instruction x->i. */
void xlat_find_part(struct xlat *x);
/** xlat_goes_on() - does a jump lead to the next instruction of this translation? */
bool xlat_goes_on(const struct xlat *x);

static inline uint8_t *xlat_here(const struct xlat *x)
{
	return (uint8_t *)(uintptr_t)x->rx + x->m.n;
}

/* jmp rel32, to be landed by the caller */
static inline unsigned xlat_jump_over(struct emit *m)
{
	EMIT(m, 0xe9);
	emit32(m, 0);
	return m->n;
}

static inline void xlat_land(struct emit *m, unsigned from)
{
	st_le32(m->buf + from - 4, m->n - from);
}

#endif
