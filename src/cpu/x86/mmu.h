/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linear memory as the CPU sees it: page walks (no paging, 32-bit with PSE, PAE, 4-level; A/D bits,
 * NX, SMEP, SMAP, PCID, global pages, WP) and the soft TLB in front of them. Intel SDM vol. 3,
 * chapter 4. Used by the interpreter, by the special-instruction handlers and by descriptor loads.
 *
 * TLB: per access context (supervisor, supervisor with SMAP enforced, user) a direct-mapped table.
 * A tag is the linear page number with the current ASID generation in its low 12 bits, so changing
 * CR3 costs no flush. An entry gives the host pointer of a RAM page, or is marked slow (MMIO, ROM
 * write, watch point). Stores through an entry check *code after storing (see mem/space.h) and
 * report.
 */
#ifndef CPU_X86_MMU_H
#define CPU_X86_MMU_H

#include "base/bits.h"
#include "cpu/x86/vcpu.h"

enum x86_access {
	X86_ACC_READ = 0,
	X86_ACC_WRITE = 1,
	X86_ACC_EXEC = 2,
	X86_ACC_SYSTEM =
		4, /* implicit supervisor access (descriptor tables, TSS): ignores CPL, AC */
};

#define X86_TLB_SIZE   1024 /* entries a table */
#define X86_TLB_SECOND 8192 /* the same of the second level */

struct x86_tlb_entry {
	uint64_t tag_read, tag_write, tag_exec; /* page | generation; ~0 = invalid */
	uint8_t *host;                          /* of the page's first byte */
	struct ram_block *block;
	/* pages on either side that the same mapping continues into, with host addresses as
	 * linear as the guest's (large pages; no paging) */
	uint32_t before, after;
	_Atomic uint8_t *code; /* the page's code byte */
	gpa_t gpa;             /* of the page; low 12 bits: slots.global_gen if global, else 0 */
};

/* X86_TLB_ALIGN stays empty: data_table while alignment checks are on (CPL 3, CR0.AM, RFLAGS.AC),
 * so that every access takes the slow path, which raises #AC and then uses X86_TLB_USER. */
enum { X86_TLB_SUPER, X86_TLB_SMAP, X86_TLB_USER, X86_TLB_ALIGN, X86_TLB_TABLES };

/* Told about what data accesses do to the world; vCPU thread. */
struct x86_mem_watch {
	void (*store)(struct vcpu *v, struct x86_tlb_entry *e); /* @e is about to get a write tag */
	void (*io)(struct vcpu *v); /* an access that is not to RAM or ROM, before it is made */
};

struct x86_tlb {
	uint64_t generation; /* low 12 bits of tags; 0..0xfff */
	uint8_t data_table;  /* table for ordinary data accesses now (CPL, SMAP, AC) */
	const struct x86_mem_watch
		*watch; /* NULL = nobody. While set, only stores give write tags */
	struct x86_tlb_entry e[X86_TLB_TABLES][X86_TLB_SIZE];
	/* user ranges of other generations (park.c); how many there are, at most */
	struct x86_parked *parked; /* [X86_PARKED] */
	uint32_t n_parked, park_turn;
	/* private to mmu.c */
	struct x86_tlb_entry *second; /* [X86_TLB_TABLES][X86_TLB_SECOND]: what others displaced */
	struct {
		uint64_t key; /* CR3 base | PCID; ~0 = free */
		uint16_t gen;
	} asid[8];
	uint32_t next_gen; /* generation handed out last */
	/* Steps whenever code that was fetched may be mapped elsewhere now although the generation
	 * has stayed, or when generations begin anew: mode, generation and this together say that
	 * links between pages of code still hold. [0]: supervisor code, [1]: user code. exec_seen:
	 * hashed pages, fetched from since all their generations were new; exec_n: how many. */
	uint64_t exec_seq[2], exec_seen[2][1024];
	unsigned exec_n[2];
	/* The same as one number. That of supervisor code stays when
	 * CR3 is written as long as all it was fetched from are global pages (exec_local: not). */
	uint64_t exec_id[2];
	bool exec_local;
	unsigned asid_next; /* slot replaced next */
	/* linear regions with entries cut from large pages, hashed: INVLPG must drop them all. Of
	 * 2 MiB: the generation they are of + 1; 0: none, UINT16_MAX: several. */
	uint16_t large_2m[4096];
	uint64_t large_1g[4];
	/* pieces of 64 entries that are not empty: first level, then second (tlb.c) */
	uint64_t used[X86_TLB_ALIGN][(X86_TLB_SIZE + X86_TLB_SECOND) / 64 / 64 + 1];
	/* of the page walk in tlb.c, as x86_tlb_flush() left it */
	uint64_t frame_mask; /* address bits of page-table entries */
	bool has_1g;         /* the model's PDPE1GB */
	bool no_g_pml4;      /* bit 8 of a PML4E must be zero: AMD's */
	gva_t no_walk;       /* the page for which it has just failed */
	gva_t slow_page;     /* one that was I/O when last accessed: not worth another try */
	bool plain;          /* neither dirty logging nor A20 closed */
	/* the RAM run page tables were read from last */
	struct {
		gpa_t start;
		uint64_t len; /* 0 = none */
		uint8_t *host;
		struct ram_block *block;
		uint64_t block_off;
	} run;
};

/** x86_side_effect() - call before an access to a device, a clock or an interrupt controller. */
static inline void x86_side_effect(struct vcpu *v)
{
	if (UNLIKELY(v->tlb->watch != NULL))
		v->tlb->watch->io(v);
}

/** x86_entry_off() - where the page lies in its block. */
static inline uint64_t x86_entry_off(const struct x86_tlb_entry *e)
{
	return (uint64_t)(e->host - e->block->host);
}

/** x86_slots_flush() - empty all slots (vcpu.h). Done by everything here that changes the
 * generation or drops an entry. */
void x86_slots_flush(struct vcpu *v);
/** x86_slots_drop_code() - the page with code byte @code has become code: empty the slots for
 * stores that cover it. */
void x86_slots_drop_code(struct vcpu *v, const _Atomic uint8_t *code);
/** x86_slots_flush_user() - those of user mode only. */
void x86_slots_flush_user(struct vcpu *v);
/** x86_slots_below_4g() - 32-bit code of user mode (@user) or not is to run: none of its slots may
 * be of addresses from 4 GiB on. */
void x86_slots_below_4g(struct vcpu *v, bool user);

/** x86_ram_page() - the number of the page of @e in guest RAM. */
static inline uint64_t x86_ram_page(const struct x86_tlb_entry *e)
{
	return (e->block->ram_offset + x86_entry_off(e)) >> MEM_PAGE_SHIFT;
}
/**
 * x86_note_store() - the page of @e is about to be stored to without a look at its code byte after
 * the store, by this access or until slots of the mode are emptied. vCPU thread. False: it has
 * code, and must not. Whoever makes a page code sets the code byte, makes all threads take part in
 * a fence, and then asks x86_may_store(): either that sees the note or this sees the code byte.
 */
static inline bool x86_note_store(struct vcpu *v, const struct x86_tlb_entry *e, bool super)
{
	struct x86_slots *s = &v->slots;
	uint64_t page = x86_ram_page(e);
	_Atomic uint32_t *note;
	uint32_t before;

	if (LIKELY(atomic_load_explicit(&s->noting, memory_order_relaxed) != X86_NOTED_ALL))
		return !atomic_load_explicit(e->code, memory_order_relaxed);
	if (UNLIKELY(page >= s->n_noted)) /* memory that came later */
		return false;
	note = &s->noted[page][super];
	before = atomic_load_explicit(note, memory_order_relaxed);
	atomic_store_explicit(note, atomic_load_explicit(&s->period[super], memory_order_relaxed),
			      memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	if (LIKELY(!atomic_load_explicit(e->code, memory_order_relaxed)))
		return true;
	atomic_store_explicit(note, before, memory_order_relaxed);
	return false;
}
/** x86_forget_store() - no slot covers page @page of guest RAM any more. vCPU thread. */
static inline void x86_forget_store(struct vcpu *v, uint64_t page)
{
	for (unsigned super = 0; super < 2 && page < v->slots.n_noted; super++)
		atomic_store_explicit(&v->slots.noted[page][super], 0, memory_order_relaxed);
}
/**
 * x86_may_store() - may the vCPU still store to page @page of guest RAM without a look at its code
 * byte? False: and its earlier stores are seen from here on. Any thread, after the fence.
 */
static inline bool x86_may_store(const struct vcpu *v, uint64_t page)
{
	const struct x86_slots *s = &v->slots;
	unsigned noting = atomic_load_explicit(&s->noting, memory_order_acquire);

	if (noting != X86_NOTED_ALL || page >= s->n_noted)
		return noting == X86_NOTED_NOT;
	for (unsigned super = 0; super < 2; super++) {
		uint32_t note = atomic_load_explicit(&s->noted[page][super], memory_order_acquire);

		if (note == atomic_load_explicit(&s->period[super], memory_order_acquire))
			return true;
	}
	return false;
}

/*
 * tlb.c, for code that has vector registers in use: these clobber general registers only.
 * x86_tlb_find() - the first-level entry of @table that allows READ or WRITE of the page at @lin,
 * after a page walk if need be. NULL: a fault, a bit to be set in the page tables, no RAM, or
 * anything unusual; nothing has happened. x86_tlb_cached(): without the walk, EXEC as well.
 */
struct x86_tlb_entry *x86_tlb_find(struct vcpu *v, unsigned table, gva_t lin, unsigned access);
struct x86_tlb_entry *x86_tlb_cached(struct vcpu *v, unsigned table, gva_t lin, unsigned access);
/** x86_set_cr3_fast() - x86_set_cr3() in long mode; false: not done, and nothing has happened. */
bool x86_set_cr3_fast(struct vcpu *v, uint64_t val);
/** x86_range_make() - the range (vcpu.h) for slots of set @set that has the page of @lin, whose
 * entry is @e. For stores the page must be without code. NULL: it is that page alone. */
const struct x86_range *x86_range_make(struct vcpu *v, unsigned set, struct x86_tlb_entry *e,
				       gva_t lin);
/**
 * x86_window_range() - a range of a window for slots of set @set that has the page of @lin. @fresh:
 * of a new one, if need be; it takes 3 us a page. NULL: there is none, or it would be of one page.
 * x86_windows_of() - bits: windows with ranges for stores that have the page with the code byte at
 * @code, at least.
 * vCPU thread.
 */
const struct x86_range *x86_window_range(struct vcpu *v, unsigned set, gva_t lin, bool fresh);
uint32_t x86_windows_of(const struct vcpu *v, uint64_t code);

/* Ranges of user mode put aside for generation @gen (0: none). */
enum { X86_PARKED = 4 };
struct x86_parked {
	uint32_t gen, turn;
	uint32_t ranges, windows; /* bits, as in x86_slots; windows of use then */
	struct x86_range range[2 * X86_RANGES];
	uint8_t hint[2 * X86_RANGE_HINTS];
	uint32_t changes[X86_WINDOWS];
	uint64_t out[X86_WINDOWS][X86_WINDOW_PAGES / 64];
	bool stores; /* some windows were stored to */
};
/**
 * x86_ranges_park() - CR3 is about to be loaded with another address space than that of the current
 * generation: put its user ranges aside. x86_ranges_unpark() - have those of the current generation
 * back, which has just become so, with its entries. x86_parked_forget() - nothing is aside any
 * more. vCPU thread.
 */
void x86_ranges_park(struct vcpu *v);
void x86_ranges_unpark(struct vcpu *v);
void x86_parked_forget(struct vcpu *v);

struct x86_tlb *x86_tlb_new(void);
void x86_tlb_free(struct x86_tlb *tlb);
/** x86_tlb_flush() - everything. x86_tlb_flush_page() - INVLPG (all page sizes, this ASID +
 * global). */
void x86_tlb_flush(struct vcpu *v);
void x86_tlb_flush_page(struct vcpu *v, gva_t lin);
/** x86_tlb_drop_writes() - take the write tags of the @n entries at @e, or of all if @n is
 * UINT_MAX, so that the next store to each page is told to the watch. Copies of entries that
 * engines keep for stores must go as well. */
void x86_tlb_drop_writes(struct vcpu *v, struct x86_tlb_entry *const *e, unsigned n);
/** x86_tlb_context() - recompute data_table after changes of CPL, CR4.SMAP, RFLAGS.AC. Called by
 * x86_update_mode(); call it yourself after STAC, CLAC, POPF. */
void x86_tlb_context(struct vcpu *v);
/** x86_tlb_flush_pcid() - one PCID without (or with) global pages: INVPCID types 1 and 2. */
void x86_tlb_flush_pcid(struct vcpu *v, uint16_t pcid);
/** x86_tlb_flush_page_of() - the page of @lin, of @pcid alone (or with others): INVPCID type 0. */
void x86_tlb_flush_page_of(struct vcpu *v, uint16_t pcid, gva_t lin);
/** x86_set_cr3() - load CR3 as MOV does (PCID, no-flush bit 63, PDPTE reload); X86_OK or X86_FAULT.
 */
int x86_set_cr3(struct vcpu *v, uint64_t val) MUST_CHECK;

/* Result of a page walk. */
struct x86_walk {
	gpa_t gpa;          /* of the byte asked for */
	uint64_t page_size; /* bytes of the mapping page */
	bool writable, user, nx, global, dirty;
};
/**
 * x86_walk() - translate, setting A/D bits
 * @access: X86_ACC_ bits; @user: check as CPL 3. Return: X86_OK, or X86_FAULT with #PF recorded.
 */
int x86_walk(struct vcpu *v, gva_t lin, unsigned access, bool user,
	     struct x86_walk *ret) MUST_CHECK;
/** x86_translate_debug() - for debuggers: no faults recorded, no A/D bits; 0 or -EFAULT. */
int x86_translate_debug(struct vcpu *v, gva_t lin, gpa_t *ret_gpa) MUST_CHECK;
/** x86_debug_read/write() - debugger access by linear address; 0 or -EFAULT. vCPU paused. */
int x86_debug_read(struct vcpu *v, gva_t lin, void *buf, size_t len) MUST_CHECK;
int x86_debug_write(struct vcpu *v, gva_t lin, const void *buf, size_t len) MUST_CHECK;

/**
 * x86_read/x86_write() - linear access of 1..64 bytes, any alignment, crossing pages
 * Both pages of a crossing access are translated before a byte is moved. RAM up to 8 aligned bytes
 * is one host access. MMIO goes to the bus. Return: X86_OK or X86_FAULT (#PF; #GP/#SS are the
 * caller's: see x86_seg_lin()).
 */
int x86_read(struct vcpu *v, gva_t lin, unsigned size, void *buf, unsigned access) MUST_CHECK;
int x86_write(struct vcpu *v, gva_t lin, unsigned size, const void *buf,
	      unsigned access) MUST_CHECK;
/** x86_probe() - would an access of @size bytes succeed? Faults as it would; moves nothing. */
int x86_probe(struct vcpu *v, gva_t lin, unsigned size, unsigned access) MUST_CHECK;

/**
 * x86_ptr() - host pointer for a direct RAM access of @size bytes inside one page
 * Return: NULL when it crosses a page, is MMIO, or would fault (use x86_read/x86_write then, which
 * raise the fault). After storing call x86_stored(). The slow part fills the TLB.
 */
uint8_t *x86_ptr_slow(struct vcpu *v, gva_t lin, unsigned size, unsigned access,
		      struct x86_tlb_entry **ret_e);
/* The TLB entry of a hit, or NULL. access: READ or WRITE. */
static inline struct x86_tlb_entry *x86_tlb_hit(struct vcpu *v, gva_t lin, unsigned size,
						unsigned access)
{
	struct x86_tlb *t = v->tlb;
	struct x86_tlb_entry *e = &t->e[t->data_table][(lin >> 12) & (X86_TLB_SIZE - 1)];
	uint64_t tag = (access & X86_ACC_WRITE) ? e->tag_write : e->tag_read;

	if (UNLIKELY(tag != ((lin & ~0xfffull) | t->generation) || (lin & 0xfff) + size > 0x1000))
		return NULL;
	return e;
}
static inline uint8_t *x86_ptr(struct vcpu *v, gva_t lin, unsigned size, unsigned access,
			       struct x86_tlb_entry **ret_e)
{
	struct x86_tlb_entry *e = x86_tlb_hit(v, lin, size, access);

	if (LIKELY(e != NULL)) {
		*ret_e = e;
		return e->host + (lin & 0xfff);
	}
	return x86_ptr_slow(v, lin, size, access, ret_e);
}
/** x86_ptr_try() - the same, telling why: X86_FAULT when any access there faults (recorded), else
 * X86_OK and the pointer or NULL. */
int x86_ptr_try(struct vcpu *v, gva_t lin, unsigned size, unsigned access, uint8_t **ret_p,
		struct x86_tlb_entry **ret_e) MUST_CHECK;
/** x86_stored() - after a store through @e at page offset of @lin: code pages and dirty log. */
void x86_stored_slow(struct vcpu *v, struct x86_tlb_entry *e, gva_t lin, unsigned size);
static inline void x86_stored(struct vcpu *v, struct x86_tlb_entry *e, gva_t lin, unsigned size)
{
	if (UNLIKELY(atomic_load_explicit(e->code, memory_order_relaxed)))
		x86_stored_slow(v, e, lin, size);
}
/**
 * x86_split_begin() - begin a LOCKed access of @size bytes that crosses a page: stops the other
 * vCPUs and copies the operand to @buf Return: X86_FAULT when storing there faults, else X86_OK;
 * *ret_begun false when it does not cross or one side is not plain RAM. If true call
 * x86_split_end() with the same arguments before anything else happens to the TLB or takes a lock.
 * vCPU thread. Intel SDM vol. 3, 9.1.2.2.
 */
int x86_split_begin(struct vcpu *v, gva_t lin, unsigned size, uint8_t *buf,
		    bool *ret_begun) MUST_CHECK;
/** x86_split_end() - store @buf (NULL: nothing) and let the others go on. */
void x86_split_end(struct vcpu *v, gva_t lin, unsigned size, const uint8_t *buf);
/** x86_fetch_page() - TLB entry for executing at @lin; NULL with the fault recorded, or with
 * exc.vector unchanged and *ret_mmio set when the page is not RAM/ROM (execute from MMIO). */
struct x86_tlb_entry *x86_fetch_page_slow(struct vcpu *v, gva_t lin, bool *ret_mmio);
static inline struct x86_tlb_entry *x86_fetch_page(struct vcpu *v, gva_t lin, bool *ret_mmio)
{
	unsigned table = v->cpl == 3 ? X86_TLB_USER : X86_TLB_SUPER;
	struct x86_tlb_entry *e = &v->tlb->e[table][(lin >> 12) & (X86_TLB_SIZE - 1)];

	if (LIKELY(e->tag_exec == ((lin & ~0xfffull) | v->tlb->generation)))
		return e;
	return x86_fetch_page_slow(v, lin, ret_mmio);
}

/** x86_debug_changed() - v->debug was changed: flush what its watch points need. vCPU paused or
 * vCPU thread. */
void x86_debug_changed(struct vcpu *v);
/** x86_insn_break_slow() - #DB fault for an instruction break point at @lin, or X86_OK. */
int x86_insn_break_slow(struct vcpu *v, gva_t lin) MUST_CHECK;
/**
 * x86_insn_break() - call before an instruction at linear address @lin starts
 * Raises the #DB fault of DR0-3 execute break points unless RF is set, then consumes RF. SDM
 * vol. 3, 17.3.1.1.
 */
static inline int MUST_CHECK x86_insn_break(struct vcpu *v, gva_t lin)
{
	if (LIKELY(!(v->s.dr7 & 0xff) && !(v->s.rflags & X86_RF)))
		return X86_OK;
	return x86_insn_break_slow(v, lin);
}
/** x86_io_break() - after a port access: record DR0-3 I/O break points (CR4.DE) as traps. */
void x86_io_break(struct vcpu *v, uint16_t port, unsigned size);
/** x86_io_smi() - an SMI came with the port access that this instruction has just made: what its
 * handler is told of it, and what RSM needs to do it again. SDM vol. 3, 32.7, 32.12. (smm.c) */
void x86_io_smi(struct vcpu *v, uint16_t port, unsigned size, unsigned how);
/* kinds of port accesses, as the SMM I/O trap word has them (AMD64 APM vol. 2, 10.2.6) */
enum { X86_IO_IN = 1, X86_IO_STRING = 4, X86_IO_REP = 8 };
/** x86_io_done() - after each port access, while RCX, RSI and RDI are still as before it. */
static inline void x86_io_done(struct vcpu *v, uint16_t port, unsigned size, unsigned how)
{
	x86_io_break(v, port, size);
	if (UNLIKELY(v->s.smi_pending))
		x86_io_smi(v, port, size, how);
}

#endif
