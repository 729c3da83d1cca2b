/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Page walks: no paging, 32-bit (PSE, PSE-36), PAE with PDPTE registers, 4-level. Intel SDM vol. 3,
 * 4.3-4.8. Entries are read through a host pointer to the RAM run that the last walk used.
 *
 * Accessed and dirty bits are set after all permission checks passed, each with a compare-exchange
 * against the value the decision was made on; when another processor changed the entry meanwhile,
 * the walk starts again. Entries in ROM are used as they are. Entries in holes or I/O regions read
 * as all ones, as on a PC bus; no device code runs below a walk.
 *
 * A fault because of rights invalidates its page in the soft TLB. One because an entry is not
 * present need not: nothing is cached of a page that was not present, and one that was must be
 * invalidated by software before it relies on the change.
 *
 * UNMODELLED: memory types (PAT, PCD, PWT); 5-level paging; protection keys; paging-structure
 * caches (every walk reads every level).
 */
#include "cpu/x86/internal.h"

#include <errno.h>

/* Page-fault error code, SDM vol. 3, 4.7. */
enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16 };

#define WALK_LEVELS  4
#define WALK_RETRIES 1000 /* a peer storing to the same entry that often is not waiting for us */

struct level {
	gpa_t gpa;
	uint64_t val;
};

struct walker {
	struct vcpu *v;
	gva_t lin;
	unsigned access, table;
	unsigned n;    /* levels read */
	unsigned size; /* bytes of an entry */
	struct level l[WALK_LEVELS];
	uint64_t rights; /* AND of W and U, G of the leaf; NX as OR */
};

/* What is at @gpa: from the RAM run used last, without the map's lock, or from the map. */
void x86_ref(struct vcpu *v, gpa_t gpa, struct mem_ref *ret)
{
	struct x86_tlb *t = v->tlb;

	if (LIKELY(gpa - t->run.start < t->run.len)) {
		*ret = (struct mem_ref){.kind = MEM_RAM,
					.block = t->run.block,
					.block_off = t->run.block_off + (gpa - t->run.start),
					.start = t->run.start,
					.len = t->run.len};
		return;
	}
	x86_lookup(v, gpa, ret);
	/* With A20 closed an address can lie outside the run that answers for it. */
	if (ret->kind == MEM_RAM && gpa >= ret->start && gpa - ret->start < ret->len &&
	    ret->block_off >= gpa - ret->start) {
		t->run.start = ret->start;
		t->run.len = ret->len;
		t->run.block = ret->block;
		t->run.block_off = ret->block_off - (gpa - ret->start);
		t->run.host = ret->block->host + t->run.block_off;
	}
}

static uint8_t *pt_host(struct vcpu *v, gpa_t gpa, unsigned size, bool write)
{
	struct x86_tlb *t = v->tlb;
	struct mem_ref ref;

	if (LIKELY(gpa - t->run.start < t->run.len && t->run.len - (gpa - t->run.start) >= size))
		return t->run.host + (gpa - t->run.start);
	x86_ref(v, gpa, &ref);
	if (ref.kind == MEM_RAM || (ref.kind == MEM_ROM && !write))
		return ref.block->host + ref.block_off;
	return NULL;
}

static uint64_t pt_read(struct vcpu *v, gpa_t gpa, unsigned size)
{
	uint8_t *p = pt_host(v, gpa, size, false);

	if (!p)
		return mask_bytes(size);
	/* Entries are naturally aligned, so one host load is atomic. */
	if (size == 8)
		return __atomic_load_n((uint64_t *)(void *)p, __ATOMIC_RELAXED);
	return __atomic_load_n((uint32_t *)(void *)p, __ATOMIC_RELAXED);
}

/* False when the entry changed since it was read. */
static bool pt_set(struct vcpu *v, const struct level *l, unsigned size, uint64_t bits)
{
	uint8_t *p = pt_host(v, l->gpa, size, true);
	struct mem_ref ref;
	bool ok;

	if (!p)
		return true;
	if (size == 8) {
		uint64_t old = l->val;

		ok = __atomic_compare_exchange_n((uint64_t *)(void *)p, &old, old | bits, false,
						 __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	} else {
		uint32_t old = (uint32_t)l->val;

		ok = __atomic_compare_exchange_n((uint32_t *)(void *)p, &old, old | (uint32_t)bits,
						 false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	}
	if (!ok)
		return false;
	if (UNLIKELY(mem_dirty_on(v->mem))) {
		x86_lookup(v, l->gpa, &ref);
		if (ref.kind == MEM_RAM)
			mem_block_written(v->mem, ref.block, ref.block_off, size);
	}
	return true;
}

static int walk_fault(const struct walker *w, unsigned bits)
{
	struct vcpu *v = w->v;
	uint32_t err = bits;

	if (w->access & X86_ACC_WRITE)
		err |= PF_W;
	if (w->table == X86_TLB_USER)
		err |= PF_U;
	/* SDM vol. 3, 4.7: the I/D flag is reported only where it can matter. */
	if ((w->access & X86_ACC_EXEC) &&
	    ((v->s.cr4 & X86_CR4_SMEP) || ((v->s.cr4 & X86_CR4_PAE) && (v->s.efer & X86_EFER_NXE))))
		err |= PF_I;
	/* A page fault ends what is cached of its address: SDM vol. 3, 4.10.4.1. */
	if (bits & PF_P)
		x86_tlb_flush_page(v, w->lin);
	(void)x86_raise_err(v, X86_PFV, err);
	v->exc.cr2 = w->lin;
	return X86_FAULT;
}

/* Read one level. 0: go on; X86_FAULT: raised. */
static int level_read(struct walker *w, gpa_t gpa, uint64_t rsvd)
{
	struct level *l = &w->l[w->n++];

	l->gpa = gpa;
	l->val = pt_read(w->v, gpa, w->size);
	if (!(l->val & PTE_P))
		return walk_fault(w, 0);
	if (l->val & rsvd)
		return walk_fault(w, PF_P | PF_RSVD);
	w->rights = ((w->rights & l->val) & (PTE_W | PTE_U)) | ((w->rights | l->val) & PTE_NX);
	return 0;
}

static unsigned phys_bits(const struct vcpu *v)
{
	return v->model ? v->model->phys_bits : 46;
}

static bool has_feature(const struct vcpu *v, unsigned feat)
{
	return !v->model || cpu_model_has(v->model, feat);
}

/* Bits [hi:lo] set; empty when hi < lo. */
static uint64_t bits_range(unsigned hi, unsigned lo)
{
	return hi < lo ? 0 : (mask_bytes(8) >> (63 - hi)) & (~0ull << lo);
}

static int walk_32(struct walker *w, struct x86_walk *ret)
{
	struct vcpu *v = w->v;
	uint32_t lin = (uint32_t)w->lin;
	unsigned m = MIN(phys_bits(v), 40u);
	uint64_t pde;

	w->size = 4;
	w->rights = PTE_W | PTE_U;
	if (level_read(w, (v->s.cr3 & 0xfffff000) + (lin >> 22) * 4, 0))
		return X86_FAULT;
	pde = w->l[0].val;
	if ((pde & PTE_PS) && (v->s.cr4 & X86_CR4_PSE)) {
		/* SDM vol. 3, table 4-4: bits 20:13 hold address bits 39:32 with PSE-36. */
		uint64_t rsvd = BIT(21);

		if (!has_feature(v, X86_FEAT_PSE36))
			m = 32;
		if (m < 40)
			rsvd |= bits_range(20, m > 32 ? m - 19 : 13);
		if (pde & rsvd)
			return walk_fault(w, PF_P | PF_RSVD);
		ret->page_size = 4 * MIB;
		ret->gpa = (pde & 0xffc00000) | ((pde >> 13) & 0xff) << 32 | (lin & 0x3fffff);
		return 0;
	}
	if (level_read(w, (pde & 0xfffff000) + ((lin >> 12) & 0x3ff) * 4, 0))
		return X86_FAULT;
	ret->page_size = 4 * KIB;
	ret->gpa = (w->l[1].val & 0xfffff000) | (lin & 0xfff);
	return 0;
}

/* PAE and 4-level from the page directory on; @rsvd: reserved in every entry. */
static int walk_pd(struct walker *w, gpa_t pd, uint64_t rsvd, struct x86_walk *ret)
{
	const uint64_t frame = bits_range(phys_bits(w->v) - 1, 12);
	uint64_t e;

	if (level_read(w, pd + ((w->lin >> 21) & 511) * 8, rsvd))
		return X86_FAULT;
	e = w->l[w->n - 1].val;
	if (e & PTE_PS) {
		if (e & bits_range(20, 13))
			return walk_fault(w, PF_P | PF_RSVD);
		ret->page_size = 2 * MIB;
		ret->gpa = (e & frame & ~(2 * MIB - 1)) | (w->lin & (2 * MIB - 1));
		return 0;
	}
	if (level_read(w, (e & frame) + ((w->lin >> 12) & 511) * 8, rsvd))
		return X86_FAULT;
	ret->page_size = 4 * KIB;
	ret->gpa = (w->l[w->n - 1].val & frame) | (w->lin & 0xfff);
	return 0;
}

static int walk_pae(struct walker *w, struct x86_walk *ret)
{
	struct vcpu *v = w->v;
	uint64_t pdpte = v->s.pdpte[(w->lin >> 30) & 3];
	uint64_t rsvd = bits_range(62, phys_bits(v));

	if (!(v->s.efer & X86_EFER_NXE))
		rsvd |= PTE_NX;
	w->size = 8;
	w->rights = PTE_W | PTE_U;
	if (!(pdpte & PTE_P))
		return walk_fault(w, 0);
	return walk_pd(w, pdpte & bits_range(phys_bits(v) - 1, 12), rsvd, ret);
}

static int walk_4(struct walker *w, struct x86_walk *ret)
{
	struct vcpu *v = w->v;
	const uint64_t frame = bits_range(phys_bits(v) - 1, 12);
	uint64_t rsvd = bits_range(51, phys_bits(v));
	uint64_t e;

	if (!(v->s.efer & X86_EFER_NXE))
		rsvd |= PTE_NX;
	w->size = 8;
	w->rights = PTE_W | PTE_U;
	/* Bit 8 of a PML4E must be zero with AMD: APM vol. 2, figure 5-21. */
	if (level_read(w, (v->s.cr3 & frame) + ((w->lin >> 39) & 511) * 8,
		       rsvd | PTE_PS | (x86_is_amd(v) ? PTE_G : 0)))
		return X86_FAULT;
	if (level_read(w, (w->l[0].val & frame) + ((w->lin >> 30) & 511) * 8, rsvd))
		return X86_FAULT;
	e = w->l[1].val;
	if (e & PTE_PS) {
		if (!has_feature(v, X86_FEAT_PDPE1GB) || (e & bits_range(29, 13)))
			return walk_fault(w, PF_P | PF_RSVD);
		ret->page_size = GIB;
		ret->gpa = (e & frame & ~(GIB - 1)) | (w->lin & (GIB - 1));
		return 0;
	}
	return walk_pd(w, e & frame, rsvd, ret);
}

/* Rights of the translation against the access: SDM vol. 3, 4.6.1. */
static int walk_check(const struct walker *w)
{
	const struct vcpu *v = w->v;
	bool nx = (w->rights & PTE_NX) && (v->s.efer & X86_EFER_NXE);
	bool user = w->rights & PTE_U, writable = w->rights & PTE_W;

	if (w->table == X86_TLB_USER) {
		if (!user || ((w->access & X86_ACC_WRITE) && !writable) ||
		    ((w->access & X86_ACC_EXEC) && nx))
			return walk_fault(w, PF_P);
		return 0;
	}
	if (w->access & X86_ACC_EXEC) {
		if (nx || (user && (v->s.cr4 & X86_CR4_SMEP)))
			return walk_fault(w, PF_P);
		return 0;
	}
	if (user && w->table == X86_TLB_SMAP)
		return walk_fault(w, PF_P);
	if ((w->access & X86_ACC_WRITE) && !writable && (v->s.cr0 & X86_CR0_WP))
		return walk_fault(w, PF_P);
	return 0;
}

/* False when an entry changed under us. */
static bool walk_mark(struct walker *w)
{
	for (unsigned i = 0; i < w->n; i++) {
		struct level *l = &w->l[i];
		uint64_t bits = PTE_A;

		if (i == w->n - 1 && (w->access & X86_ACC_WRITE))
			bits |= PTE_D;
		if ((l->val & bits) == bits)
			continue;
		if (!pt_set(w->v, l, w->size, bits))
			return false;
		l->val |= bits;
	}
	return true;
}

static int walk_once(struct walker *w, struct x86_walk *ret)
{
	struct vcpu *v = w->v;

	w->n = 0;
	if (x86_lma(v))
		return walk_4(w, ret);
	return (v->s.cr4 & X86_CR4_PAE) ? walk_pae(w, ret) : walk_32(w, ret);
}

int x86_walk_t(struct vcpu *v, gva_t lin, unsigned access, unsigned table, struct x86_walk *ret)
{
	struct walker w = {.v = v, .lin = lin, .access = access, .table = table};

	if (!(v->s.cr0 & X86_CR0_PG)) {
		*ret = (struct x86_walk){.gpa = (uint32_t)lin,
					 .page_size = 4 * KIB,
					 .writable = true,
					 .user = true,
					 .dirty = true};
		return X86_OK;
	}
	if (!x86_lma(v))
		w.lin = (uint32_t)lin;
	for (unsigned i = 0; i < WALK_RETRIES; i++) {
		if (walk_once(&w, ret) || walk_check(&w))
			return X86_FAULT;
		if (walk_mark(&w))
			break;
	}
	ret->writable = (w.rights & PTE_W) || (table != X86_TLB_USER && !(v->s.cr0 & X86_CR0_WP));
	ret->user = w.rights & PTE_U;
	ret->nx = (w.rights & PTE_NX) && (v->s.efer & X86_EFER_NXE);
	ret->global = (w.l[w.n - 1].val & PTE_G) && (v->s.cr4 & X86_CR4_PGE);
	ret->dirty = w.l[w.n - 1].val & PTE_D;
	return X86_OK;
}

int x86_walk(struct vcpu *v, gva_t lin, unsigned access, bool user, struct x86_walk *ret)
{
	unsigned table = user                        ? (unsigned)X86_TLB_USER
			 : (access & X86_ACC_SYSTEM) ? x86_table_system(v)
						     : x86_table_for(v, 0);

	return x86_walk_t(v, lin, access, table, ret);
}

int x86_translate_debug(struct vcpu *v, gva_t lin, gpa_t *ret_gpa)
{
	/* As a supervisor read; walk_once() sets no bits, the recorded fault is put back. */
	struct walker w = {.v = v, .lin = lin, .access = X86_ACC_READ, .table = X86_TLB_SUPER};
	struct x86_exception saved = v->exc;
	struct x86_walk ret = {0};
	int r;

	if (!(v->s.cr0 & X86_CR0_PG)) {
		*ret_gpa = (uint32_t)lin;
		return 0;
	}
	if (!x86_lma(v))
		w.lin = (uint32_t)lin;
	r = walk_once(&w, &ret);
	v->exc = saved;
	if (r)
		return -EFAULT;
	*ret_gpa = ret.gpa;
	return 0;
}

int x86_load_pdptes(struct vcpu *v, uint64_t cr3, uint64_t cr0, uint64_t cr4)
{
	uint64_t rsvd = bits_range(63, phys_bits(v)) | 0x1e6; /* SDM vol. 3, table 4-8 */
	uint64_t pdpte[4];

	if (!(cr0 & X86_CR0_PG) || !(cr4 & X86_CR4_PAE) || x86_lma(v))
		return X86_OK;
	for (unsigned i = 0; i < 4; i++) {
		pdpte[i] = pt_read(v, (cr3 & 0xffffffe0) + i * 8, 8);
		if ((pdpte[i] & PTE_P) && (pdpte[i] & rsvd))
			return x86_gp0(v);
	}
	memcpy(v->s.pdpte, pdpte, sizeof(pdpte));
	return X86_OK;
}
