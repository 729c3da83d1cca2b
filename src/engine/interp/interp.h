/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interpreter engine from the inside: decoded blocks of micro-ops ("uops"), the threaded
 * dispatch between them, and the arena of instruction thunks.
 *
 * A uop is 32 bytes: the handler and everything the handler needs. Handlers pass control to the
 * next uop by a tail call, so the C stack between two guest instructions is always that of the run
 * loop and returning from a handler means "leave the threaded code". The arithmetic flags travel in
 * an argument register ("fl") and are merged into s.rflags only where somebody can look:
 *
 *	fl bit 0 = OF, bits 8-15 = the low byte of RFLAGS as LAHF gives it (SF ZF - AF - PF - CF)
 *
 * COPY instructions run as thunks of host code (emit.c): the guest's own instruction with other
 * registers, between loads and stores of the guest registers. A thunk without memory operand is
 * itself a handler. One with a memory operand is entered by a C handler that has translated the
 * address to a host pointer (argument "mem") through TLB entry "e".
 *
 * Everything here is private to one vCPU and its thread, except struct interp_vm's page
 * generations. RIP in threaded code: block->rip + cold[n].off; s.rip is stale there and is set
 * before anything that can look at it (special handlers, faults, leaving).
 */
#ifndef ENGINE_INTERP_INTERP_H
#define ENGINE_INTERP_INTERP_H

#include <assert.h>

#include "cpu/x86/cpuid.h"
#include "cpu/x86/mmu.h"
#include "engine/emit/codemap.h"
#include "engine/engine.h"
#include "engine/interp/budget.h"
#include "engine/special/special.h"

struct uop;
struct block;
struct instance;
struct draft; /* block.c */

typedef int (*uop_fn)(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);
typedef int (*mem_fn)(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl,
		      uint8_t *mem, struct x86_tlb_entry *e);

/* base, index and seg are indices of 64-bit words in struct vcpu (GPRs are 0..15), so that "none"
 * is the index of a word that is always zero and address arithmetic has no branches. */
struct uop {
	uop_fn fn;
	union {
		uint64_t imm; /* branches: target, see uop_target(); push: the value */
		mem_fn thunk;
		const struct insn *in; /* specials */
	};
	int64_t disp; /* of an address; branches: the next instruction, as the target */
	uint8_t base, index, scale /* factor 1, 2, 4, 8 */, seg;
	uint8_t reg;  /* GPR of push, pop, lea, indirect branches */
	uint8_t n;    /* index in the block, UOP_LOOSE outside of one */
	bool rip_rel; /* disp has the block's RIP in it */
	uint8_t pad_;
};
static_assert(sizeof(struct uop) == 32, "two uops a cache line; thunks step by 32");

#define UOP_LOOSE 0xff

/* What only slow paths need. */
struct uop_cold {
	uop_fn fn;      /* translated blocks: the handler that uop.fn had */
	uint32_t flags; /* INSN_ bits */
	uint16_t mem_size;
	int16_t off; /* of the instruction from the block's start; < 0 in joined ones only */
	uint8_t seg, addrsize;
	uint16_t fop; /* x87 opcode as FOP has it */
};

#define BLOCK_MAX_INSNS 64

/*
 * A block's address with a mark in the upper 16 bits, which are 0 in addresses of user space: who
 * looks for a block need not wait for the memory of others in its place. LINK_MORE: the list that
 * the link is part of goes on behind the block.
 */
typedef uint64_t block_link;
#define LINK_MORE BIT(47)
static inline block_link link_to(const struct block *b, unsigned mark)
{
	return (uintptr_t)b | (uint64_t)mark << 48;
}
static inline unsigned link_mark(block_link l)
{
	return (unsigned)(l >> 48);
}
static inline struct block *link_target(block_link l)
{
	return (struct block *)(uintptr_t)(l & (LINK_MORE - 1));
}

/* Flags of struct block. */
enum {
	BLOCK_SINGLE = 1,    /* never chained */
	BLOCK_TWO_PAGES = 2, /* its one instruction crosses a page; who enters it checks both */
	BLOCK_REPEATABLE = 4,
	BLOCK_ONCE = 8, /* of engine/lockstep; neither = not known yet */
};

/* Pointers that are looked at one after the other: in pieces, so that the processor need not wait
 * for one to find the next. */
struct instance_list {
	struct instance_list *next;
	unsigned n;
	void *p[30];
};

/*
 * The blocks of one page at one linear address in one mode. When the page turns up at another
 * address, which under address-space randomization it does whenever a program starts, all of them
 * are moved there (instance.c).
 */
struct instance {
	struct instance *next; /* in interp_cpu.instance[] */
	const uint8_t *page;
	const uint8_t *page2; /* of instructions across two pages: where they end */
	uint64_t base, base2; /* RIP of the first byte of the page, of the next page */
	uint64_t before;      /* where it was moved from; 1: it was not */
	uint64_t gen;         /* of the page when all blocks were known to be valid */
	struct instance_list *blocks;
	uint32_t *used; /* interp_cpu.turn when it was looked up last: here or the translator's */
	uint32_t own_used;
	uint32_t key;
	uint16_t off; /* of the one instruction across two pages, or INSTANCE_PAGE */
	bool fixed;   /* cannot be moved */
	/* of the translator */
	struct instance_list *tr;   /* all code: struct tr_block */
	struct tr_mapping *mapping; /* NULL: it has no code yet */
};
#define INSTANCE_PAGE 0xffffu

/* What runs a block comes last, beside its first uops: blocks lie all over the pool, and whoever
 * looks for one or runs one should have few cache lines to wait for. */
struct block {
	/* second page of BLOCK_TWO_PAGES */
	const uint8_t *page2;
	struct interp_page *meta2;
	uint64_t gen2;
	uint8_t *bytes;
	struct instance *inst; /* NULL: it is never moved */
	uint64_t paged;        /* translator: instructions that find their slot by page number */
	uint32_t runs;         /* of engine/lockstep */
	bool rip_rel;          /* some uops have their RIP in them */
	/* of the translator (engine/translate), as are heat, native and tr */
	bool alone; /* to be translated without its successors */
	bool often; /* translated once more because it runs so often */

	block_link hash_next;
	uint64_t rip;
	const uint8_t *page; /* host pointer of the page that holds the first byte */
	struct interp_page *meta;
	uint64_t gen; /* of the page when the bytes were read */
	uint32_t key;
	uint16_t n_insns, n_bytes;
	uint16_t page_off;
	uint8_t flags;
	uint8_t succ_far; /* bit i: succ[i] is in another page */
	uint32_t heat;    /* times it was interpreted */
	struct block *succ[2];
	struct uop_cold *cold; /* n_insns + 1 */
	void *native;          /* where translated code is entered, NULL if there is none */
	struct tr_block *tr;   /* with it */
	struct uop uop[];      /* n_insns + 1: the last is the fall through */
};

/* Code bookkeeping of a guest page, shared by all vCPUs of a VM. */
struct interp_page {
	_Atomic uint64_t gen;      /* counts writes into granules that were decoded; see block.c */
	_Atomic uint64_t granules; /* 64-byte pieces that blocks were decoded from since */
	uint64_t users; /* vCPUs (index modulo 64) that translated from them; code_lock */
	uint64_t pad_;  /* native code shifts the page number */
};

/*
 * What an engine built on the interpreter is told. Blocks are interpreted unless built() replaces
 * the handler of their first uop.
 */
struct interp_hooks {
	/* a block was built that may be chained */
	void (*built)(struct vcpu *v, struct block *b);
	/* a block with code of two pages (BLOCK_TWO_PAGES) is about to be entered by the run loop
	 */
	void (*crossing)(struct vcpu *v, const struct block *b);
	/* a stale block's bytes were found unchanged: block.gen is new */
	void (*revalidated)(struct block *b);
	/* all blocks of @i have just been moved by @delta: its code is to follow */
	void (*moved)(struct vcpu *v, struct instance *i, uint64_t delta);
	/* all blocks are about to be dropped */
	void (*flush)(struct vcpu *v);
	/* pages of ic->stale[] were written: their blocks must not be entered any more */
	void (*stale)(struct vcpu *v);
	/* a hardware fault at @pc, outside of thunks: where to go on, 0 = not ours. In the signal
	 * handler, like the next one. */
	uintptr_t (*trap)(struct vcpu *v, uintptr_t pc);
	/* a page fault at @pc on @addr: what to load into the stack pointer, 0 = not ours */
	uintptr_t (*overflow)(struct vcpu *v, uintptr_t pc, uintptr_t addr);
};

struct interp_vm {
	struct engine_vm *vm;      /* back pointer */
	struct interp_page *pages; /* [mem_ram_total() / 4096] */
	uint64_t n_pages;
	pthread_mutex_t split_lock; /* LOCKed accesses that no single host access can do */
	pthread_mutex_t code_lock;  /* marking and clearing of interp_page; leaf */
	struct interp_cpu *cpus;    /* all of them, by interp_cpu.next; code_lock */
	_Atomic bool smp;           /* more than one vCPU thread */
	struct budget budget[BUDGETS];
};

/* Block keys: the low byte is v->mode's translation key. */
enum {
	KEY_MP = 1 << 8,
	KEY_EM = 1 << 9,
	KEY_TS = 1 << 10,
	KEY_OSFXSR = 1 << 11,
	KEY_AVX = 1 << 12,
	KEY_SINGLE = 1 << 13, /* one instruction at a time */
	KEY_RING12 = 1 << 14, /* CPL 1 or 2 */
};

/* thunk arena, arena.c */
enum {
	THUNK_START = 1,
	THUNK_FAULTS = 2, /* saved fl and tab below the stack pointer, see emit.c */
	THUNK_MXCSR = 4,  /* runs with the guest's MXCSR loaded */
};
#define THUNK_UNIT 32u

struct thunk_arena {
	struct code_map map;
	uint8_t *rw, *rx; /* its two views */
	size_t size, used;
	uint8_t *unit;  /* THUNK_ bits per unit: 0 = continuation or free */
	uint32_t *hash; /* unit number + 1 of a thunk's start, 0 = empty */
	uint32_t *len;  /* bytes, by unit number */
	uint32_t n_hash, n_used;
	struct thunk_memo *memo; /* [THUNK_MEMOS], by hash of key */
};

/* The thunk of an instruction, named by its bytes without those that say where its memory operand
 * is, which thunks do not depend on. */
struct thunk_memo {
	uint64_t key[2];
	void *thunk; /* NULL: none */
};
#define THUNK_MEMOS 8192u

int thunk_arena_init(struct thunk_arena *a, size_t size, struct error *err) MUST_CHECK;
void thunk_arena_done(struct thunk_arena *a);
void thunk_arena_reset(struct thunk_arena *a);
/** thunk_add() - copy of @code in the arena, shared with an equal one; *ret_lasting false: the
 * arena is full, the copy lasts until the next call. */
void *thunk_add(struct thunk_arena *a, const uint8_t *code, unsigned len, uint8_t flags,
		bool *ret_lasting);
/** thunk_known() - the thunk that thunk_note() was told of for an instruction like @in, or NULL. */
void *thunk_known(const struct thunk_arena *a, const struct insn *in);
/** thunk_note() - @thunk, which lasts, is that of @in. */
void thunk_note(struct thunk_arena *a, const struct insn *in, void *thunk);
/** thunk_at() - THUNK_ bits of the thunk that contains @pc, 0 if none. Async-signal-safe. */
uint8_t thunk_at(const struct thunk_arena *a, uintptr_t pc);

#define JUMP_CACHE    32768u
#define BLOCK_HASH    262144u
#define INSTANCE_HASH 16384u
#define STALE_MOST    32u

struct interp_cpu {
	/* addressed by thunks */
	mem_fn stored_slow;

	struct vcpu *v;
	struct interp_vm *ivm;
	struct interp_cpu *next;
	/* Pages with translated code that were written: posted under code_lock by whoever wrote,
	 * fetched by interp_fetch_stale(). */
	_Atomic uint32_t n_stale; /* STALE_MOST + 1: there were more, so all */
	struct interp_page *stale[STALE_MOST];
	/*
	 * Slots for stores are to be emptied before anything more runs; asked for by who makes a
	 * page code. While the vCPU is parked, outside of run(), nothing runs anyway.
	 */
	_Atomic bool empty_wanted, parked;
	const struct interp_hooks *hooks; /* NULL = none */
	struct translator *tr;            /* engine/translate; NULL = none */
	bool flush_wanted;                /* drop all blocks when the next one is looked for */
	/*
	 * Every block returns to the run loop: none is linked to another, found through a jump
	 * table, or run twice without coming back, and count.insns is exact there. Whatever links
	 * code or counts lazily must honour it (engine/lockstep).
	 */
	bool unchained;
	/* runs one block in place of interp_run_block(); NULL = none */
	int (*around)(struct vcpu *v, uint32_t key);
	/* where the block about to be found may be chained: &link_from->succ[i], for link_rip */
	struct block **link, *link_from;
	uint64_t link_rip;
	struct draft *draft;
	struct x86_tlb_entry *exec_tab;
	uint32_t key;
	bool resuming;                 /* first instruction of run(): no break point on it */
	bool x87_no_sel, x87_lazy_fdp; /* the model's ZERO_FCS_FDS, FDP_EXCPTN */
	bool has_avx;                  /* of the host */
	uint8_t fault_trap;            /* trap number of the hardware fault in a thunk */
	uint32_t bounce_fl;
	/* out parameters of helpers called by handlers: a local whose address escapes would turn
	 * the tail call to the next uop into a real one */
	uint64_t tmp;
	gva_t tmp_lin;
	struct x86_tlb_entry *tmp_e;
	uint8_t *tmp_p;
	bool tmp_equal;
	uint64_t x87_prev_fip, x87_prev_fdp;
	uint32_t x87_prev_misc;
	uint16_t x87_prev_fds;

	block_link jump[JUMP_CACHE]; /* jump_get(), jump_put() */
	block_link hash[BLOCK_HASH];
	struct instance *instance[INSTANCE_HASH];
	uint32_t turn; /* counts what makes an instance older than others */
	uint8_t *pool;
	/* address space, what of it was taken from the budget, what of that is in use */
	size_t pool_size, pool_taken, pool_used;
	struct budget_share share[BUDGETS];
	_Atomic bool drop_wanted; /* another vCPU has asked for what this one has */
	struct thunk_arena thunks;
	void *sigstack;
	struct x86_tlb_entry null_entry; /* for bounced stores: its code byte is 0 */
	_Atomic uint8_t zero_code;
	_Alignas(64) uint8_t bounce[192];
	_Alignas(64) uint8_t fx[512];
	uint64_t built, flushed, moved; /* statistics; moved: blocks */
};

static inline struct interp_cpu *icpu(const struct vcpu *v)
{
	return v->engine;
}
static inline const struct block *uop_block(const struct uop *u)
{
	return CONTAINER_OF(u - u->n, struct block, uop);
}
static inline uint64_t uop_rip(const struct uop *u)
{
	const struct block *b = uop_block(u);

	return b->rip + b->cold[u->n].off;
}
/* 32-bit EIP wraps; a 16-bit IP does not (beyond the limit: #GP at the fetch). */
static inline uint64_t uop_next_rip(const struct uop *u)
{
	const struct block *b = uop_block(u);
	uint64_t rip = b->rip + b->cold[u->n + 1].off;

	return b->key & X86_MODE_CS64 ? rip : (uint32_t)rip;
}

/* Where a branch goes, from its uop's imm or disp: relative to the RIP of the page that the block
 * is in, so that it need not change when blocks move. */
static inline uint64_t uop_target(const struct uop *u, uint64_t rel)
{
	const struct block *b = uop_block(u);
	uint64_t rip = (b->rip & ~0xfffull) + rel;

	return b->key & X86_MODE_CS64 ? rip : (uint32_t)rip;
}

/* flags: see the head of this file */
static inline uint32_t fl_load(uint64_t rflags)
{
	return ((uint32_t)rflags & 0xd5) << 8 | 0x200 | ((uint32_t)rflags >> 11 & 1);
}
static inline uint64_t fl_merge(uint64_t rflags, uint32_t fl)
{
	return (rflags & ~(uint64_t)X86_ARITH) | (fl >> 8 & 0xd5) | (uint64_t)(fl & 1) << 11;
}

/* bits of code decoded under a block key */
static inline unsigned key_bits(uint32_t key)
{
	return key & X86_MODE_CS64 ? 64 : key & X86_MODE_CS32 ? 32 : 16;
}
/** decode_guest() - decode for @v's processor: what it lacks and its vendor. */
enum decode_result decode_guest(const struct vcpu *v, const uint8_t *bytes, unsigned n,
				unsigned bits, struct insn *ret);

/* interp.c */
/** interp_key() - block key of the vCPU's state (KEY_SINGLE aside). */
static inline uint32_t interp_key(const struct vcpu *v)
{
	uint32_t key = v->mode & 0xff;

	static_assert(X86_CR0_MP == 2 && X86_CR0_EM == 4 && X86_CR0_TS == 8, "shifted together");
	key |= ((uint32_t)v->s.cr0 >> 1 & 7) << 8;
	if (v->s.cr4 & X86_CR4_OSFXSR)
		key |= KEY_OSFXSR;
	if (v->s.cr4 & X86_CR4_OSXSAVE && (v->s.xcr0 & 6) == 6)
		key |= KEY_AVX;
	if (v->cpl == 1 || v->cpl == 2)
		key |= KEY_RING12;
	return key;
}
/** interp_needs_single() - must every instruction be looked at on its own? */
static inline bool interp_needs_single(const struct vcpu *v)
{
	return (v->s.rflags & (X86_TF | X86_RF)) | (v->s.dr7 & 0xff) | v->debug.active |
	       (v->trace & TRACE_EXEC);
}
/** interp_settle_rf() - no instruction break point can be at the next instruction, which will run
 * now: RF has done its work (x86_insn_break() without its cost; IRET from a fault sets RF). */
static inline void interp_settle_rf(struct vcpu *v)
{
	if (!(v->s.dr7 & 0xff))
		v->s.rflags &= ~(uint64_t)X86_RF;
}
/** interp_run_block() - find the block at s.rip for @key and run it, and those chained to it. */
int interp_run_block(struct vcpu *v, struct interp_cpu *ic, uint32_t key);

/* block.c */
/** block_find() - the block at s.rip for ic->key, decoding it when needed. NULL: a fault is
 * recorded (X86_FAULT), or v->exit is set (X86_EXIT) as *ret_r says. */
struct block *block_find(struct vcpu *v, int *ret_r);
void block_flush_all(struct interp_cpu *ic);
/** block_beside() - a valid block at @rip in the page and mode of @from, or NULL
 * @build: make one when there is none (never flushes). Run loop or handlers, ic->key = from->key.
 */
struct block *block_beside(struct vcpu *v, const struct block *from, uint64_t rip, bool build);
/** block_unchanged() - is a stale block's page what it was decoded from? Then it is valid again.
 * @e: TLB entry of the page. Run loop. */
bool block_unchanged(struct interp_cpu *ic, struct block *b, const struct x86_tlb_entry *e);
/** block_older() - one that is found after @b if that is not wanted, perhaps of the same place. */
struct block *block_older(const struct block *b);
/** block_unhash() - @b is not found any more. */
void block_unhash(struct interp_cpu *ic, struct block *b);
/** block_draft_new() - scratch for building; free() it. */
void *block_draft_new(void);
/** block_valid() - does the block still hold what the page holds? */
static inline bool block_valid(const struct block *b)
{
	return b->gen == atomic_load_explicit(&b->meta->gen, memory_order_acquire);
}
static inline unsigned jump_slot(uint64_t rip)
{
	return (unsigned)(rip ^ rip >> 12) & (JUMP_CACHE - 1);
}
/** jump_link() - what stands in jump[] for @b at @rip. */
static inline block_link jump_link(const struct block *b, uint64_t rip)
{
	return link_to(b, (rip >> 15 ^ rip >> 31) & 0xffff);
}
/** jump_get() - the block that was found at @rip last, or another (compare its RIP), or NULL. */
static inline struct block *jump_get(const struct interp_cpu *ic, uint64_t rip)
{
	block_link l = ic->jump[jump_slot(rip)];

	return (l ^ jump_link(NULL, rip)) >> 48 ? NULL : link_target(l);
}
static inline void jump_put(struct interp_cpu *ic, const struct block *b, uint64_t rip)
{
	ic->jump[jump_slot(rip)] = jump_link(b, rip);
}
void interp_code_written(struct interp_vm *ivm, struct ram_block *rb, uint64_t off, uint64_t len);
/** interp_fetch_stale() - empty ic->stale[] into @to. Return: how many, or more than STALE_MOST for
 * "any page". vCPU thread. */
unsigned interp_fetch_stale(struct interp_cpu *ic, struct interp_page *to[STALE_MOST]);
/** interp_empty_slots() - if another vCPU has asked for it. vCPU thread, between blocks. */
void interp_empty_slots(struct interp_cpu *ic);

/* The 64-byte granules of a page that [off, off+len) touches; len is not 0. */
static inline uint64_t interp_granules(unsigned off, unsigned len)
{
	unsigned first = off >> 6, last = (off + len - 1) >> 6;

	return (~0ull << first) & (~0ull >> (63 - last));
}
/** interp_hits_code() - has anything been decoded from these bytes of the page of @e? The code byte
 * is set, so somebody has from some of the page. */
static inline bool interp_hits_code(const struct interp_vm *ivm, const struct x86_tlb_entry *e,
				    unsigned off, unsigned len)
{
	uint64_t n = (e->block->ram_offset + x86_entry_off(e)) >> MEM_PAGE_SHIFT, marked;

	if (n >= ivm->n_pages || off + len > MEM_PAGE_SIZE)
		return true;
	marked = atomic_load_explicit(&ivm->pages[n].granules, memory_order_relaxed);
	return !marked || marked & interp_granules(off, len);
}
/** block_pool_room() - is there, or can there be, room for @size bytes more? */
bool block_pool_room(struct interp_cpu *ic, size_t size);
void *block_pool_alloc(struct interp_cpu *ic, size_t size); /* NULL when full */

/* instance.c */
/** key_can_move() - of a mode: do linear addresses and RIPs differ by nothing? */
static inline bool key_can_move(uint32_t key)
{
	return key & X86_MODE_FLAT;
}
/** instance_list_add() - false: the block pool is full. */
bool instance_list_add(struct interp_cpu *ic, struct instance_list **head, void *p) MUST_CHECK;
/** instance_add() - @b, which is complete, belongs to the blocks of its page and place. */
void instance_add(struct interp_cpu *ic, struct block *b);
/** instance_bring() - no block was found at @rip, which the page of @e is mapped at: if blocks of
 * that page at another address can be moved here, do so. Run loop only. Return: look again. */
bool instance_bring(struct vcpu *v, const struct x86_tlb_entry *e, uint64_t rip, uint32_t key);
/** block_shift() - @b, which is in no hash by its RIP, is @delta further up. */
static inline void block_shift(struct block *b, uint64_t delta)
{
	uint64_t rip = b->rip + delta;

	b->rip = b->key & X86_MODE_CS64 ? rip : (uint32_t)rip;
	if (b->rip_rel)
		for (unsigned i = 0; i < b->n_insns; i++)
			if (b->uop[i].rip_rel)
				b->uop[i].disp += (int64_t)delta;
}

/* digest.c: the uop of one decoded instruction; false when the arena is full */
bool uop_digest(struct interp_cpu *ic, uint32_t key, uint64_t rip, const struct insn *in,
		struct uop *ret_u, struct uop_cold *ret_cold, bool *ret_ends);
/** uop_end() - the fall through at the end of a block, to @to (see uop_target()). */
void uop_end(struct uop *u, uint64_t to, uint32_t key);
/** uop_fault() - raise @vector (with error code 0 for #GP) at this place. */
void uop_fault(struct uop *u, uint8_t vector);
/** uop_fn_ends() - a handler that leaves the block whatever happens: faults and final specials. */
bool uop_fn_ends(uop_fn fn);
/** insn_unavailable() - -1, or the vector that @in raises in mode @key whatever its operands. */
int insn_unavailable(const struct vcpu *v, uint32_t key, const struct insn *in);
/** uop_thunk() - the thunk of a COPY uop of a block, made now if it has not been called yet. */
mem_fn uop_thunk(struct vcpu *v, const struct uop *u);
/* stand for it until then */
int uop_lazy(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);
int uop_lazy_mem(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl,
		 uint8_t *mem, struct x86_tlb_entry *e);
/** insn_is_nop() - a COPY instruction that does nothing. */
bool insn_is_nop(const struct insn *in);

/* emit.c */
/** emit_thunk() - of @in; *ret_lasting false: the arena is full, it is good for one call now. */
void *emit_thunk(struct interp_cpu *ic, const struct insn *in, bool *ret_lasting);

/* ops_mem.c: addresses, memory handlers, slow paths */
uop_fn mem_handler(uint32_t key, const struct insn *in);
int uop_mem_slow(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);
int uop_stored_slow(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl,
		    uint8_t *mem, struct x86_tlb_entry *e);
int uop_x87(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);
int uop_cmpxchg16(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);
/* ops.c: control flow, stack, lea, specials, faults */
uop_fn branch_handler(uint32_t key, const struct insn *in, uint64_t rip, struct uop *u);
int uop_special(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);
int uop_special_end(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);
/** uop_sti() - STI; the instruction after it in the block runs in any case. */
int uop_sti(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);
int uop_special_branch(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);
/** uop_hw_fault() - where the signal handler continues: the thunk of @u raised ic->fault_trap. */
int uop_hw_fault(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);

/*
 * x87.c. Between run() and whoever looks at vcpu.s.fpu the guest's x87 registers may be the host's:
 * everybody else calls x87_sync() first. C code of this program does not touch x87.
 */
enum x87_live {
	X87_SAVED,   /* in vcpu.s.fpu */
	X87_LIVE,    /* in the host's registers */
	X87_CHECKED, /* the same, and translated code may use them: tr_x87_load() */
};
int uop_fninit(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl);
void x87_load(struct interp_cpu *ic);
void x87_save(struct interp_cpu *ic);
/** x87_resolve() - pointers of the last translated instruction to v->s.fpu. Before blocks go. */
void x87_resolve(struct vcpu *v);
/** x87_clears_exceptions() - before FNCLEX, while x87 is live: FDP of an exception is recorded. */
void x87_clears_exceptions(struct interp_cpu *ic);
#define X87_FOP_FNCLEX 0x3e2
/** x87_pointers_back() - the instruction did not happen: the pointers are the previous one's. */
void x87_pointers_back(struct vcpu *v);
static inline void x87_sync(struct interp_cpu *ic)
{
	if (UNLIKELY(ic->v->x87.live))
		x87_save(ic);
}

/* trap.c */
int trap_process_init(struct error *err) MUST_CHECK;
void trap_process_done(void);
int trap_thread_init(struct interp_cpu *ic, struct error *err) MUST_CHECK;
void trap_thread_done(struct interp_cpu *ic);
void trap_set_current(struct interp_cpu *ic);
/** trap_current() - the vCPU whose run() is on this thread, or NULL. */
const struct interp_cpu *trap_current(void);

/*
 * Continue with the next uop. Handlers must have no local whose address escapes, or the compiler
 * makes this a real call. BLOCK_CHAINING (meson.build) says that the compiler makes tail calls;
 * without it every block returns to the run loop and the depth is bounded by the block length.
 */
#ifndef BLOCK_CHAINING
#define BLOCK_CHAINING 0
#endif
static inline int uop_next(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab,
			   uint32_t fl)
{
	return u[1].fn(v, u + 1, tab, fl);
}

/** uop_leave() - to the run loop, continuing at @rip. */
static inline int uop_leave(struct vcpu *v, uint64_t rip, uint32_t fl)
{
	v->s.rflags = fl_merge(v->s.rflags, fl);
	v->s.rip = rip;
	return X86_OK;
}

/* Instructions of the block of @u that did not run are not counted. Translated code does not count
 * at all, and then there is nothing to take back. */
static inline void uop_uncount(struct vcpu *v, const struct uop *u)
{
	const struct block *b = uop_block(u);

	if (!b->native || icpu(v)->unchained)
		v->count.insns -= b->n_insns - u->n;
}

static inline int block_enter(struct vcpu *v, const struct block *b, struct x86_tlb_entry *tab,
			      uint32_t fl)
{
	v->count.insns += b->n_insns;
	v->count.blocks++;
	return b->uop[0].fn(v, b->uop, tab, fl);
}

/** block_still_mapped() - is the page of @b what @rip is mapped to? For code segments with base 0.
 */
static inline bool block_still_mapped(const struct vcpu *v, const struct block *b, uint64_t rip)
{
	const struct x86_tlb_entry *e = &icpu(v)->exec_tab[(rip >> 12) & (X86_TLB_SIZE - 1)];

	return e->tag_exec == ((rip & ~0xfffull) | v->tlb->generation) && e->host == b->page;
}

/** block_chain() - from the end of @b to its successor @which, at @rip. */
static inline __attribute__((always_inline)) int block_chain(struct vcpu *v, const struct block *b,
							     struct x86_tlb_entry *tab, uint32_t fl,
							     unsigned which, uint64_t rip)
{
	struct block *nb = b->succ[which];

	if (BLOCK_CHAINING && LIKELY(nb != NULL) &&
	    LIKELY(!atomic_load_explicit(&v->request, memory_order_relaxed)) &&
	    LIKELY(block_valid(nb)) &&
	    (!(b->succ_far & 1u << which) ||
	     (LIKELY(nb->rip == rip) && LIKELY(block_still_mapped(v, nb, rip)))))
		return block_enter(v, nb, tab, fl);
	if (!(b->flags & BLOCK_SINGLE) || b->page2) {
		icpu(v)->link_from = (struct block *)b;
		icpu(v)->link = &icpu(v)->link_from->succ[which];
		icpu(v)->link_rip = rip;
	}
	return uop_leave(v, rip, fl);
}

#endif
