/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of cpu/x86 share and nobody else sees: memory access in a chosen privilege
 * context, descriptors, stacks of another privilege level, event delivery and task switches.
 */
#ifndef CPU_X86_INTERNAL_H
#define CPU_X86_INTERNAL_H

#include "cpu/x86/cpuid.h"
#include "cpu/x86/lapic.h"
#include "cpu/x86/mmu.h"
#include "cpu/x86/seg.h"

/* Entries of paging structures, SDM vol. 3, table 4-15 and after. */
enum {
	PTE_P = 1 << 0,
	PTE_W = 1 << 1,
	PTE_U = 1 << 2,
	PTE_A = 1 << 5,
	PTE_D = 1 << 6,
	PTE_PS = 1 << 7,
	PTE_G = 1 << 8,
};
#define PTE_NX BIT(63)

/* ---- memory in a privilege context (mmu.c, walk.c) ---- */

/** x86_table_for() - TLB table of an ordinary data access at privilege @cpl. */
static inline unsigned x86_table_for(const struct vcpu *v, unsigned cpl)
{
	if (cpl == 3)
		return X86_TLB_USER;
	if ((v->s.cr4 & X86_CR4_SMAP) && !(v->s.rflags & X86_AC))
		return X86_TLB_SMAP;
	return X86_TLB_SUPER;
}
/** x86_table_system() - of an implicit supervisor access (SMAP regardless of AC). */
static inline unsigned x86_table_system(const struct vcpu *v)
{
	return (v->s.cr4 & X86_CR4_SMAP) ? X86_TLB_SMAP : X86_TLB_SUPER;
}
int x86_read_t(struct vcpu *v, unsigned table, gva_t lin, unsigned size, void *buf) MUST_CHECK;
int x86_write_t(struct vcpu *v, unsigned table, gva_t lin, unsigned size,
		const void *buf) MUST_CHECK;
int x86_probe_t(struct vcpu *v, unsigned table, gva_t lin, unsigned size,
		unsigned access) MUST_CHECK;
/** x86_lookup() - mem_lookup() as this vCPU sees memory: SMRAM in system management mode. */
static inline void x86_lookup(const struct vcpu *v, gpa_t gpa, struct mem_ref *ret)
{
	if (UNLIKELY(v->s.smm))
		mem_lookup_smm(v->mem, gpa, ret);
	else
		mem_lookup(v->mem, gpa, ret);
}
/** x86_smi() - enter system management mode. Call at an instruction boundary, in activity RUN or
 * HALT and not in that mode. SDM vol. 3, 32.3. x86_rsm() - RSM. (smm.c) */
void x86_smi(struct vcpu *v);
/** x86_ref() - x86_lookup() through the TLB's memory of the last RAM run. vCPU thread. */
void x86_ref(struct vcpu *v, gpa_t gpa, struct mem_ref *ret);
/** x86_walk_t() - page walk as table @table would need it. */
int x86_walk_t(struct vcpu *v, gva_t lin, unsigned access, unsigned table,
	       struct x86_walk *ret) MUST_CHECK;
/** x86_load_pdptes() - PAE: read the four PDPTEs of @cr3; #GP(0) on reserved bits. */
int x86_load_pdptes(struct vcpu *v, uint64_t cr3, uint64_t cr0, uint64_t cr4) MUST_CHECK;
/** x86_tlb_new_space() - the current address space gets a fresh generation. */
void x86_tlb_new_space(struct vcpu *v);
/** x86_tlb_clear() - no entry is valid. x86_tlb_forget() - the same by new generations. */
void x86_tlb_clear(struct x86_tlb *t);
void x86_tlb_forget(struct vcpu *v);
/** x86_tlb_plain() - need pages not be told apart: no dirty logging, no watch points, A20 open? */
bool x86_tlb_plain(const struct vcpu *v);
/** x86_tlb_enter() - put a page of RAM or ROM in @table. Return: may it have a write tag (which it
 * has not yet), as far as the page tables go? */
bool x86_tlb_enter(struct vcpu *v, unsigned table, gva_t lin, unsigned access,
		   const struct x86_walk *w, const struct mem_ref *ref);
/* A walk to a leaf that needs no bit set and whose tables are in the RAM run used last. */
struct x86_leaf {
	const uint8_t *table; /* a page of entries, one of which is the leaf */
	unsigned entry;       /* bytes of one: 4 or 8 */
	uint64_t val;
	unsigned shift;  /* of the page's size */
	uint64_t rights; /* W and U of all levels; NX of any */
};
/** x86_leaf_find() - the short page walk for @lin. False: it is no such leaf. */
bool x86_leaf_find(const struct vcpu *v, gva_t lin, struct x86_leaf *ret);
static inline uint64_t x86_leaf_entry(const struct x86_leaf *l, unsigned i)
{
	const void *p = l->table + i * l->entry;

	return l->entry == 8 ? __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED)
			     : __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED);
}
static inline gpa_t x86_leaf_gpa(const struct vcpu *v, const struct x86_leaf *l, gva_t lin)
{
	uint64_t in_page = BIT(l->shift) - 1;

	return (l->val & v->tlb->frame_mask & ~in_page) | (lin & in_page);
}
/** x86_page_watched() - has the page a data break point or a watch point? x86_lapic_page() - is it
 * the local APIC's? */
bool x86_page_watched(const struct vcpu *v, gva_t page);
bool x86_lapic_page(const struct vcpu *v, gpa_t gpa);
/** x86_dr_data_active() - any enabled data break point in DR7? */
bool x86_dr_data_active(const struct vcpu *v);
/** x86_watch_hit() - after a data access that went the slow way: DR0-3 and debugger watch points.
 */
void x86_watch_hit(struct vcpu *v, gva_t lin, unsigned size, bool write);
unsigned x86_dr_len(uint64_t dr7, unsigned n);

static inline int MUST_CHECK x86_read_sys(struct vcpu *v, gva_t lin, unsigned size, void *buf)
{
	return x86_read_t(v, x86_table_system(v), lin, size, buf);
}
static inline int MUST_CHECK x86_write_sys(struct vcpu *v, gva_t lin, unsigned size,
					   const void *buf)
{
	return x86_write_t(v, x86_table_system(v), lin, size, buf);
}

/* ---- descriptors (seg.c) ---- */

struct x86_desc {
	gva_t lin; /* of its first byte */
	uint32_t lo, hi;
	uint32_t base_hi; /* 16-byte system descriptors and gates: bytes 8-11 */
	uint32_t top;     /* bytes 12-15 */
};

/* System descriptor types, SDM vol. 3, table 3-2. Bit 3 = 32-bit. */
enum {
	DESC_TSS16 = 1,
	DESC_LDT = 2,
	DESC_TSS16_BUSY = 3,
	DESC_CALL16 = 4,
	DESC_TASK = 5,
	DESC_INT16 = 6,
	DESC_TRAP16 = 7,
	DESC_TSS32 = 9,
	DESC_TSS32_BUSY = 11,
	DESC_CALL32 = 12,
	DESC_INT32 = 14,
	DESC_TRAP32 = 15,
};
/* Type bits of code and data descriptors. */
enum { TYPE_A = 1, TYPE_W = 2, TYPE_R = 2, TYPE_E = 4, TYPE_C = 4, TYPE_CODE = 8 };

static inline uint32_t desc_attr(const struct x86_desc *d)
{
	return (d->hi >> 8) & 0xf0ff;
}
static inline unsigned desc_type(const struct x86_desc *d)
{
	return (d->hi >> 8) & 15;
}
static inline bool desc_s(const struct x86_desc *d)
{
	return d->hi & (1u << 12);
}
static inline unsigned desc_dpl(const struct x86_desc *d)
{
	return (d->hi >> 13) & 3;
}
static inline bool desc_p(const struct x86_desc *d)
{
	return d->hi & (1u << 15);
}
static inline bool desc_l(const struct x86_desc *d)
{
	return d->hi & (1u << 21);
}
static inline bool desc_d(const struct x86_desc *d)
{
	return d->hi & (1u << 22);
}
static inline bool desc_is_code(const struct x86_desc *d)
{
	return desc_s(d) && (desc_type(d) & TYPE_CODE);
}
static inline bool desc_is_conforming(const struct x86_desc *d)
{
	return desc_is_code(d) && (desc_type(d) & TYPE_C);
}
static inline bool desc_is_writable(const struct x86_desc *d)
{
	return desc_s(d) && (desc_type(d) & (TYPE_CODE | TYPE_W)) == TYPE_W;
}
static inline uint32_t desc_limit(const struct x86_desc *d)
{
	uint32_t limit = (d->lo & 0xffff) | (d->hi & 0xf0000);

	return (d->hi & (1u << 23)) ? (limit << 12) | 0xfff : limit;
}
static inline uint32_t desc_base(const struct x86_desc *d)
{
	return (d->lo >> 16) | ((d->hi & 0xff) << 16) | (d->hi & 0xff000000);
}
/* Gates: target selector and offset. */
static inline uint16_t gate_sel(const struct x86_desc *d)
{
	return (uint16_t)(d->lo >> 16);
}
static inline uint32_t gate_off(const struct x86_desc *d)
{
	return (d->lo & 0xffff) | (d->hi & 0xffff0000);
}

static inline bool sel_null(uint16_t sel)
{
	return !(sel & ~3);
}
static inline unsigned seg_dpl(const struct x86_seg *s)
{
	return (s->attr & X86_ATTR_DPL) >> X86_ATTR_DPL_SHIFT;
}

/** x86_desc_find() - read the 8-byte descriptor of @sel; *ret_found false when it lies outside its
 * table. X86_FAULT only for #PF. */
int x86_desc_find(struct vcpu *v, uint16_t sel, struct x86_desc *ret, bool *ret_found) MUST_CHECK;
/** x86_desc_read() - like find, but outside the table raises @vector(sel). */
int x86_desc_read(struct vcpu *v, uint16_t sel, uint8_t vector, struct x86_desc *ret) MUST_CHECK;
/** x86_stack_seg(), x86_data_seg() - load *@ret from the descriptor of @sel, which isn't null, as
 * SS or as a data segment for privilege @cpl, and mark it accessed. What is wrong with it raises
 * @vector(sel), an absent one #SS or #NP; then *@ret stays. SDM vol. 3, 5.6, 5.7, 7.3. */
int x86_stack_seg(struct vcpu *v, uint16_t sel, unsigned cpl, uint8_t vector,
		  struct x86_seg *ret) MUST_CHECK;
int x86_data_seg(struct vcpu *v, uint16_t sel, unsigned cpl, uint8_t vector,
		 struct x86_seg *ret) MUST_CHECK;
/** x86_desc_read_upper() - second half of a 16-byte descriptor; outside: @vector(sel). */
int x86_desc_read_upper(struct vcpu *v, uint16_t sel, uint8_t vector,
			struct x86_desc *d) MUST_CHECK;
/** x86_desc_accessed() - set the accessed bit in memory and in @d. */
int x86_desc_accessed(struct vcpu *v, struct x86_desc *d) MUST_CHECK;
/** x86_desc_busy() - set or clear the busy bit of a TSS descriptor in memory and in @d. */
int x86_desc_busy(struct vcpu *v, struct x86_desc *d, bool busy) MUST_CHECK;
/** x86_seg_set() - fill the hidden part from @d. x86_seg_null() - load a null selector. */
void x86_seg_set(struct x86_seg *s, uint16_t sel, const struct x86_desc *d);
void x86_seg_null(struct x86_seg *s, uint16_t sel);
/** x86_seg_keep() - SS after AMD's SYSRET: another selector and CPL 3, the rest stays. */
static inline void x86_seg_keep(struct x86_seg *s, uint16_t sel)
{
	s->sel = sel;
	s->attr |= X86_ATTR_DPL;
}
/** x86_limit_ok() - [off, off+size) inside the segment? Data-segment rules (expand-down). */
bool x86_limit_ok(const struct x86_seg *s, uint64_t off, unsigned size);
static inline int MUST_CHECK x86_raise_sel(struct vcpu *v, uint8_t vector, uint16_t sel)
{
	return x86_raise_err(v, vector, sel & 0xfffc);
}

/* ---- stacks (seg.c) ---- */

/* A stack that need not be the current one. */
struct x86_stack {
	struct x86_seg ss;
	uint64_t sp;
	bool is64;     /* no limits, canonical checks */
	uint8_t table; /* TLB table of its accesses */
	uint16_t err;  /* error code of #SS */
};
void x86_stack_current(const struct vcpu *v, struct x86_stack *ret);
static inline uint64_t x86_stack_mask(const struct x86_stack *k)
{
	return k->is64 ? ~0ull : (k->ss.attr & X86_ATTR_DB) ? 0xffffffffull : 0xffffull;
}
/** x86_stack_push() - write @n values of @size bytes; val[0] ends up lowest. Moves k->sp only on
 * success; all pages are checked before a byte is written. */
int x86_stack_push(struct vcpu *v, struct x86_stack *k, unsigned size, const uint64_t *val,
		   unsigned n) MUST_CHECK;
/** x86_stack_peek() - read @n values of @size bytes from sp + @off. */
int x86_stack_peek(struct vcpu *v, const struct x86_stack *k, uint64_t off, unsigned size,
		   uint64_t *val, unsigned n) MUST_CHECK;
/** x86_stack_sp() - RSP after loading @sp into the current stack pointer width of @k. */
static inline uint64_t x86_stack_merge(const struct x86_stack *k, uint64_t old, uint64_t sp)
{
	uint64_t m = x86_stack_mask(k);

	return m == 0xffff ? (old & ~m) | (sp & m) : sp & m;
}

/** x86_inner_stack() - SS:ESP for privilege @dpl from the TSS with all checks (#TS, #SS); in long
 * mode RSPn or the IST @ist with a null SS. far calls and events. */
int x86_inner_stack(struct vcpu *v, unsigned dpl, unsigned ist, struct x86_stack *ret) MUST_CHECK;
/** x86_drop_segs() - after a return to outer privilege @cpl: null DS, ES, FS, GS not allowed. */
void x86_drop_segs(struct vcpu *v, unsigned cpl);
/** x86_return_ss() - checks of the SS selector popped by RETF/IRET to privilege @rpl. */
int x86_return_ss(struct vcpu *v, uint16_t sel, unsigned rpl, bool to64,
		  struct x86_seg *ret) MUST_CHECK;
/** x86_return_cs() - checks of the CS selector popped by RETF/IRET. */
int x86_return_cs(struct vcpu *v, uint16_t sel, struct x86_desc *ret) MUST_CHECK;
/** x86_code_off() - is @off inside the code segment @d (limit or canonical)? else #GP(0). Cut to 32
 * bits where that is what the segment has. */
int x86_code_off(struct vcpu *v, const struct x86_desc *d, uint64_t *off) MUST_CHECK;
static inline bool x86_lma(const struct vcpu *v)
{
	return v->s.efer & X86_EFER_LMA;
}
static inline bool x86_protected(const struct vcpu *v)
{
	return (v->mode & (X86_MODE_PE | X86_MODE_VM)) == X86_MODE_PE;
}
void x86_seg_v86(struct x86_seg *s, uint16_t sel);

/** x86_mode_long() - x86_update_mode() when the CPU has just entered 64-bit code at @cpl. */
static inline void x86_mode_long(struct vcpu *v, unsigned cpl)
{
	v->cpl = (uint8_t)cpl;
	v->mode = X86_MODE_PE | X86_MODE_LMA | X86_MODE_CS64 | X86_MODE_SS32 | X86_MODE_FLAT |
		  X86_MODE_PG | (cpl == 3 ? X86_MODE_USER : 0);
	x86_tlb_context(v);
}

/* ---- the common case of events in long mode (fast64.c) ---- */

struct x86_fast_event {
	uint8_t vector;
	bool has_error, soft;
	uint32_t error;
	uint64_t rip, flags; /* to be pushed */
};
/** x86_event_fast() - deliver an event in IA-32e mode; false: nothing happened, use the exact way.
 */
bool x86_event_fast(struct vcpu *v, const struct x86_fast_event *ev);
/** x86_iret_mask() - RFLAGS bits an IRET of operand size @opsize may change at the vCPU's
 * privilege. */
static inline uint64_t x86_iret_mask(const struct vcpu *v, unsigned opsize)
{
	uint64_t m = X86_ARITH | X86_TF | X86_DF | X86_NT;

	if (opsize > 2)
		m |= X86_RF | X86_AC | X86_ID;
	if (v->cpl <= x86_iopl(v))
		m |= X86_IF;
	if (v->cpl == 0) {
		m |= X86_IOPL;
		if (opsize > 2)
			m |= X86_VIF | X86_VIP;
	}
	return m;
}

/* ---- task switches (task.c) ---- */

enum x86_task_reason { TASK_JMP, TASK_CALL, TASK_IRET, TASK_INT };
/**
 * x86_task_switch() - switch to the TSS @sel whose descriptor @d the caller has checked
 * @rip: where the old task continues. On X86_FAULT either nothing changed or the new task is
 * current with s.rip at its entry. Sets next_rip and s.rip.
 */
int x86_task_switch(struct vcpu *v, uint16_t sel, struct x86_desc *d, enum x86_task_reason reason,
		    uint64_t rip, bool has_error, uint32_t error) MUST_CHECK;
/** x86_task_gate() - the TSS behind a task gate: #GP/#NP(selector), then switch. */
int x86_task_gate(struct vcpu *v, const struct x86_desc *gate, enum x86_task_reason reason,
		  uint64_t rip, bool has_error, uint32_t error) MUST_CHECK;

#endif
