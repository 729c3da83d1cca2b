/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The soft TLB and linear memory accesses (cpu/x86/mmu.h). Intel SDM vol. 3, 4.10 (caching
 * translation information), 17.2-17.3 (data break points).
 *
 * The tables themselves, and the invariants of what is in them, are in tlb.c.
 *
 * UNMODELLED: memory types: everything is write-back RAM or strongly ordered I/O.
 */
#include "cpu/x86/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "mem/guest.h"

#define PAGE(lin) ((lin) & ~0xfffull)
#define SLOT(lin) (((lin) >> 12) & (X86_TLB_SIZE - 1))

struct x86_tlb *x86_tlb_new(void)
{
	struct x86_tlb *t = aligned_alloc(64, align_up(sizeof(*t), 64));

	if (!t)
		return NULL;
	memset(t, 0, sizeof(*t));
	/* an entry of zeros has no tag that can match: generations start at 1. The part of the
	 * table that stays empty is there for native code (string.c of engine/translate). */
	t->second = xnew_n(struct x86_tlb_entry, X86_TLB_TABLES * X86_TLB_SECOND);
	t->parked = xnew_n(struct x86_parked, X86_PARKED);
	x86_tlb_clear(t);
	return t;
}

void x86_tlb_free(struct x86_tlb *tlb)
{
	if (tlb) {
		free(tlb->second);
		free(tlb->parked);
	}
	free(tlb);
}

void x86_tlb_flush(struct vcpu *v)
{
	struct x86_tlb *t = v->tlb;
	unsigned bits = v->model ? v->model->phys_bits : 46;

	t->frame_mask = (BIT(bits) - 1) & ~0xfffull;
	t->has_1g = !v->model || cpu_model_has(v->model, X86_FEAT_PDPE1GB);
	t->no_g_pml4 = x86_is_amd(v);
	t->plain = v->mem && !mem_dirty_on(v->mem) && mem_get_a20(v->mem);
	x86_tlb_forget(v);
}

int x86_set_cr3(struct vcpu *v, uint64_t val)
{
	if (x86_lma(v)) {
		if (!x86_set_cr3_fast(v, val))
			return x86_gp0(v);
	} else {
		val = (uint32_t)val;
		if (x86_load_pdptes(v, val, v->s.cr0, v->s.cr4))
			return X86_FAULT;
		v->s.cr3 = val;
		x86_tlb_new_space(v);
	}
	if (UNLIKELY(v->trace & TRACE_MMU))
		log_trace("mmu: cpu%u: cr3 %llx", v->index, (unsigned long long)val);
	return X86_OK;
}

/* ---- break and watch points ---- */

unsigned x86_dr_len(uint64_t dr7, unsigned n)
{
	static const uint8_t len[4] = {1, 2, 8, 4}; /* SDM vol. 3, 17.2.4 */

	return len[(dr7 >> (18 + n * 4)) & 3];
}

static unsigned dr_rw(uint64_t dr7, unsigned n)
{
	return (dr7 >> (16 + n * 4)) & 3;
}

static bool dr_enabled(uint64_t dr7, unsigned n)
{
	return dr7 >> (n * 2) & 3;
}

bool x86_dr_data_active(const struct vcpu *v)
{
	for (unsigned n = 0; n < 4; n++)
		if (dr_enabled(v->s.dr7, n) && (dr_rw(v->s.dr7, n) & 1))
			return true;
	return false;
}

static bool overlaps(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a - b < b_len || b - a < a_len;
}

void x86_watch_hit(struct vcpu *v, gva_t lin, unsigned size, bool write)
{
	if (LIKELY(!(v->s.dr7 & 0xff) && !v->debug.n_watch))
		return;
	for (unsigned n = 0; n < 4; n++) {
		unsigned rw = dr_rw(v->s.dr7, n), len = x86_dr_len(v->s.dr7, n);

		if (dr_enabled(v->s.dr7, n) && (rw == 3 || (rw == 1 && write)) &&
		    overlaps(lin, size, v->s.dr[n] & ~(uint64_t)(len - 1), len))
			v->s.pending_dbg |= 1u << n;
	}
	for (unsigned n = 0; n < v->debug.n_watch; n++) {
		if (!(v->debug.watch[n].access & (write ? 2 : 4)) ||
		    !overlaps(lin, size, v->debug.watch[n].addr, MAX(v->debug.watch[n].len, 1u)))
			continue;
		v->debug.hit_addr = v->debug.watch[n].addr;
		v->debug.hit_access = write ? 2 : 4;
		atomic_fetch_or(&v->request, (uint32_t)VCPU_REQ_DEBUG);
	}
}

int x86_insn_break_slow(struct vcpu *v, gva_t lin)
{
	uint32_t hit = 0;

	if (!(v->s.rflags & X86_RF))
		for (unsigned n = 0; n < 4; n++)
			if (dr_enabled(v->s.dr7, n) && dr_rw(v->s.dr7, n) == 0 && v->s.dr[n] == lin)
				hit |= 1u << n;
	v->s.rflags &= ~(uint64_t)X86_RF;
	if (!hit)
		return X86_OK;
	(void)x86_raise(v, X86_DB);
	v->exc.dr6 = hit;
	return X86_FAULT;
}

void x86_io_break(struct vcpu *v, uint16_t port, unsigned size)
{
	if (LIKELY(!(v->s.dr7 & 0xff)) || !(v->s.cr4 & X86_CR4_DE))
		return;
	for (unsigned n = 0; n < 4; n++) {
		unsigned len = x86_dr_len(v->s.dr7, n);

		if (dr_enabled(v->s.dr7, n) && dr_rw(v->s.dr7, n) == 2 &&
		    overlaps(port, size, v->s.dr[n] & ~(uint64_t)(len - 1), len))
			v->s.pending_dbg |= 1u << n;
	}
}

void x86_debug_changed(struct vcpu *v)
{
	v->debug.active = v->debug.single_step || v->debug.n_break || v->debug.n_watch;
	x86_tlb_flush(v);
}

/* ---- translation of one page ---- */

enum part_kind { PART_RAM, PART_ROM, PART_IO, PART_LAPIC };

struct part {
	enum part_kind kind;
	uint8_t *host; /* RAM, ROM: of the first byte */
	gpa_t gpa;     /* of the first byte */
	gva_t lin;
	unsigned len;
	struct ram_block *block;
	uint64_t block_off;
};

static void mark_dirty(struct ram_block *b, uint64_t off)
{
	if (b->dirty)
		atomic_fetch_or(&b->dirty[off >> 18], BIT((off >> 12) & 63));
}

/* Enter a RAM or ROM page, with a write tag if stores to it need not be told to anybody. */
static void enter(struct vcpu *v, unsigned table, gva_t lin, unsigned access,
		  const struct x86_walk *w, const struct mem_ref *ref)
{
	struct x86_tlb_entry *e = &v->tlb->e[table][SLOT(lin)];

	if (!x86_tlb_enter(v, table, lin, access, w, ref))
		return;
	if (UNLIKELY(mem_dirty_on(v->mem))) {
		if (!(access & X86_ACC_WRITE))
			return;
		mark_dirty(ref->block, ref->block_off);
	}
	if (UNLIKELY(v->tlb->watch != NULL)) {
		if (!(access & X86_ACC_WRITE))
			return;
		v->tlb->watch->store(v, e);
	}
	e->tag_write = PAGE(lin) | v->tlb->generation;
}

/* @w NULL: no translation. */
static void trace_walk(const struct vcpu *v, gva_t lin, unsigned access, const struct x86_walk *w)
{
	char gpa[24] = "fault";

	if (w)
		snprintf(gpa, sizeof(gpa), "%llx", (unsigned long long)w->gpa);
	log_trace("mmu: cpu%u: cpl %u %s %llx -> %s", v->index, v->cpl,
		  access & X86_ACC_EXEC    ? "fetch"
		  : access & X86_ACC_WRITE ? "write"
					   : "read",
		  (unsigned long long)lin, gpa);
}

/* Translate [lin, lin+len) inside one page and enter it into @table. */
static int part_find(struct vcpu *v, unsigned table, gva_t lin, unsigned len, unsigned access,
		     struct part *p)
{
	struct x86_tlb_entry *e = v->tlb->no_walk == PAGE(lin)
					  ? x86_tlb_cached(v, table, lin, access)
					  : x86_tlb_find(v, table, lin, access);
	struct x86_walk w;
	struct mem_ref ref;

	p->lin = lin;
	p->len = len;
	if (e) {
		p->kind = PART_RAM; /* or ROM being read: the same to the caller */
		p->host = e->host + (lin & 0xfff);
		p->gpa = PAGE(e->gpa) | (lin & 0xfff);
		p->block = e->block;
		p->block_off = x86_entry_off(e) + (lin & 0xfff);
		return X86_OK;
	}
	v->count.tlb_misses++;
	if (x86_walk_t(v, lin, access, table, &w)) {
		if (UNLIKELY(v->trace & TRACE_MMU))
			trace_walk(v, lin, access, NULL);
		return X86_FAULT;
	}
	if (UNLIKELY(v->trace & TRACE_MMU))
		trace_walk(v, lin, access, &w);
	p->gpa = w.gpa;
	v->tlb->slow_page = PAGE(lin);
	if (x86_lapic_page(v, w.gpa)) {
		p->kind = PART_LAPIC;
		x86_side_effect(v);
		return X86_OK;
	}
	x86_ref(v, w.gpa, &ref);
	if (ref.kind != MEM_RAM && ref.kind != MEM_ROM) {
		p->kind = PART_IO;
		x86_side_effect(v);
		return X86_OK;
	}
	v->tlb->slow_page = ~0ull;
	p->kind = ref.kind == MEM_RAM ? PART_RAM : PART_ROM;
	p->block = ref.block;
	p->block_off = ref.block_off;
	p->host = ref.block->host + ref.block_off;
	enter(v, table, lin, access, &w, &ref);
	return X86_OK;
}

/* ---- moving bytes ---- */

/* Largest power of two <= len and <= 8 that keeps chunks simple for the bus. */
static unsigned io_chunk(unsigned len)
{
	return len >= 8 ? 8 : len >= 4 ? 4 : len >= 2 ? 2 : 1;
}

static void part_read(struct vcpu *v, const struct part *p, uint8_t *to)
{
	if (LIKELY(p->kind == PART_RAM || p->kind == PART_ROM)) {
		guest_copy(to, p->host, p->len);
		return;
	}
	for (unsigned i = 0; i < p->len;) {
		unsigned n = io_chunk(p->len - i);
		uint64_t x;

		v->count.mmio++;
		if (p->kind == PART_LAPIC) {
			uint32_t off = (uint32_t)(p->gpa + i) & 0xfff;

			n = MIN(n, 4 - (off & 3));
			n = n == 3 ? 2 : n;
			x = lapic_mmio_read(v, off & ~3u) >> (off & 3) * 8;
		} else {
			x = bus_mmio_read(v->bus, p->gpa + i, n);
		}
		st_le(to + i, n, x);
		i += n;
	}
}

static void part_write(struct vcpu *v, const struct part *p, const uint8_t *from)
{
	if (LIKELY(p->kind == PART_RAM)) {
		guest_copy(p->host, from, p->len);
		if (UNLIKELY(atomic_load_explicit(&p->block->code[p->block_off >> MEM_PAGE_SHIFT],
						  memory_order_relaxed))) {
			mem_block_written(v->mem, p->block, p->block_off, p->len);
			v->code_changed = true;
		} else if (UNLIKELY(mem_dirty_on(v->mem))) {
			mark_dirty(p->block, p->block_off);
		}
		return;
	}
	for (unsigned i = 0; i < p->len;) {
		unsigned n = io_chunk(p->len - i);
		uint64_t x = ld_le(from + i, n);

		v->count.mmio++;
		if (p->kind == PART_LAPIC) {
			uint32_t off = (uint32_t)(p->gpa + i) & 0xfff;

			/* SDM vol. 3, 11.4.1: registers are written with aligned 32-bit stores;
			 * others are undefined. Narrow stores to a register's first byte count. */
			n = MIN(n, 4 - (off & 3));
			n = n == 3 ? 2 : n;
			if (!(off & 3))
				lapic_mmio_write(v, off, (uint32_t)ld_le(from + i, n));
		} else {
			(v->s.smm ? bus_mmio_write_smm : bus_mmio_write)(v->bus, p->gpa + i, n, x);
		}
		i += n;
	}
}

#define PARTS_MAX 3 /* accesses of up to 4096 + 64 bytes */

static gva_t lin_next(const struct vcpu *v, unsigned table, gva_t lin)
{
	/* Outside 64-bit mode linear addresses wrap at 4 GiB; system structures of IA-32e mode are
	 * addressed with 64 bits always. */
	if (x86_is_64(v) || (x86_lma(v) && table != X86_TLB_USER))
		return lin;
	return (uint32_t)lin;
}

/* Translate every page of the access before anything moves. */
static int parts_find(struct vcpu *v, unsigned table, gva_t lin, unsigned size, unsigned access,
		      struct part *p, unsigned *ret_n)
{
	unsigned n = 0;

	while (size && n < PARTS_MAX) {
		unsigned len = MIN(size, 4096 - (unsigned)(lin & 0xfff));

		if (part_find(v, table, lin, len, access, &p[n]))
			return X86_FAULT;
		n++;
		size -= len;
		lin = lin_next(v, table, lin + len);
	}
	*ret_n = n;
	return X86_OK;
}

/* What an operand of @size bytes must be aligned to. SDM vol. 3, table 6-7: vectors of 16 and 32
 * bytes to nothing; to 16 bytes on AMD's processors (APM vol. 2, 8.2.18; seen on Zen 4, also of
 * instructions whose operands are halves of a YMM register). */
static unsigned alignment_of(const struct vcpu *v, unsigned size)
{
	switch (size) {
	case 2:
	case 4:
	case 8: return size;
	case 6: return 4;  /* 48-bit far pointer */
	case 10: return 8; /* double extended */
	case 14:
	case 94: return 2; /* x87 environment and state, 16-bit and 32-bit */
	case 28:
	case 108: return 4;
	case 16:
	case 32: return x86_is_amd(v) ? 16 : 1;
	default: return 1;
	}
}

/* Ordinary accesses at CPL 3 with alignment checks on. SDM vol. 3, 6.15, interrupt 17. */
static int align_check(struct vcpu *v, unsigned *table, gva_t lin, unsigned size)
{
	if (*table != X86_TLB_ALIGN)
		return X86_OK;
	*table = X86_TLB_USER;
	if (lin & (alignment_of(v, size) - 1))
		return x86_raise_err(v, X86_ACE, 0);
	return X86_OK;
}

/* The entry of a hit in one page. X86_TLB_ALIGN has none. */
static struct x86_tlb_entry *table_hit(struct vcpu *v, unsigned table, gva_t lin, unsigned size,
				       bool write)
{
	struct x86_tlb_entry *e = &v->tlb->e[table][SLOT(lin)];
	uint64_t tag = write ? e->tag_write : e->tag_read;

	return tag == (PAGE(lin) | v->tlb->generation) && (lin & 0xfff) + size <= 4096 ? e : NULL;
}

int x86_read_t(struct vcpu *v, unsigned table, gva_t lin, unsigned size, void *buf)
{
	const struct x86_tlb_entry *e = table_hit(v, table, lin, size, false);
	struct part p[PARTS_MAX];
	uint8_t *to = buf;
	unsigned n;

	if (LIKELY(e != NULL)) {
		guest_copy(buf, e->host + (lin & 0xfff), size);
		return X86_OK;
	}
	if (align_check(v, &table, lin, size))
		return X86_FAULT;
	if (parts_find(v, table, lin, size, X86_ACC_READ, p, &n))
		return X86_FAULT;
	for (unsigned i = 0; i < n; to += p[i++].len)
		part_read(v, &p[i], to);
	return X86_OK;
}

int x86_write_t(struct vcpu *v, unsigned table, gva_t lin, unsigned size, const void *buf)
{
	struct x86_tlb_entry *e = table_hit(v, table, lin, size, true);
	struct part p[PARTS_MAX];
	const uint8_t *from = buf;
	unsigned n;

	if (LIKELY(e != NULL)) {
		guest_copy(e->host + (lin & 0xfff), buf, size);
		x86_stored(v, e, lin, size);
		return X86_OK;
	}
	if (align_check(v, &table, lin, size))
		return X86_FAULT;
	if (parts_find(v, table, lin, size, X86_ACC_WRITE, p, &n))
		return X86_FAULT;
	for (unsigned i = 0; i < n; from += p[i++].len)
		part_write(v, &p[i], from);
	return X86_OK;
}

int x86_probe_t(struct vcpu *v, unsigned table, gva_t lin, unsigned size, unsigned access)
{
	struct part p[PARTS_MAX];
	unsigned n;

	if (align_check(v, &table, lin, size))
		return X86_FAULT;
	return parts_find(v, table, lin, size, access, p, &n);
}

int x86_read(struct vcpu *v, gva_t lin, unsigned size, void *buf, unsigned access)
{
	struct x86_tlb_entry *e;

	if (access & X86_ACC_SYSTEM)
		return x86_read_sys(v, lin, size, buf);
	e = x86_tlb_hit(v, lin, size, X86_ACC_READ);
	if (LIKELY(e != NULL)) {
		guest_copy(buf, e->host + (lin & 0xfff), size);
		return X86_OK;
	}
	if (x86_read_t(v, v->tlb->data_table, lin, size, buf))
		return X86_FAULT;
	x86_watch_hit(v, lin, size, false);
	return X86_OK;
}

int x86_write(struct vcpu *v, gva_t lin, unsigned size, const void *buf, unsigned access)
{
	struct x86_tlb_entry *e;

	if (access & X86_ACC_SYSTEM)
		return x86_write_sys(v, lin, size, buf);
	e = x86_tlb_hit(v, lin, size, X86_ACC_WRITE);
	if (LIKELY(e != NULL)) {
		guest_copy(e->host + (lin & 0xfff), buf, size);
		x86_stored(v, e, lin, size);
		return X86_OK;
	}
	if (x86_write_t(v, v->tlb->data_table, lin, size, buf))
		return X86_FAULT;
	x86_watch_hit(v, lin, size, true);
	return X86_OK;
}

int x86_probe(struct vcpu *v, gva_t lin, unsigned size, unsigned access)
{
	unsigned table = (access & X86_ACC_SYSTEM) ? x86_table_system(v) : v->tlb->data_table;

	return x86_probe_t(v, table, lin, size, access & ~(unsigned)X86_ACC_SYSTEM);
}

int x86_ptr_try(struct vcpu *v, gva_t lin, unsigned size, unsigned access, uint8_t **ret_p,
		struct x86_tlb_entry **ret_e)
{
	unsigned table = v->tlb->data_table;
	struct x86_tlb_entry *e;
	struct part p;

	*ret_p = NULL;
	if ((lin & 0xfff) + size > 4096)
		return X86_OK;
	if (table == X86_TLB_ALIGN) {
		/* aligned operands are accessed in place: locked ones must be */
		if (lin & (alignment_of(v, size) - 1))
			return X86_OK;
		table = X86_TLB_USER;
	}
	if (part_find(v, table, lin, size, access & X86_ACC_WRITE, &p))
		return X86_FAULT;
	e = &v->tlb->e[table][SLOT(lin)];
	if (((access & X86_ACC_WRITE) ? e->tag_write : e->tag_read) !=
	    (PAGE(lin) | v->tlb->generation))
		return X86_OK;
	*ret_e = e;
	*ret_p = e->host + (lin & 0xfff);
	return X86_OK;
}

uint8_t *x86_ptr_slow(struct vcpu *v, gva_t lin, unsigned size, unsigned access,
		      struct x86_tlb_entry **ret_e)
{
	uint8_t *p;

	return x86_ptr_try(v, lin, size, access, &p, ret_e) == X86_OK ? p : NULL;
}

void x86_stored_slow(struct vcpu *v, struct x86_tlb_entry *e, gva_t lin, unsigned size)
{
	mem_block_written(v->mem, e->block, x86_entry_off(e) + (lin & 0xfff), size);
	v->code_changed = true;
}

struct x86_tlb_entry *x86_fetch_page_slow(struct vcpu *v, gva_t lin, bool *ret_mmio)
{
	unsigned table = v->cpl == 3 ? X86_TLB_USER : X86_TLB_SUPER;
	struct part p;

	*ret_mmio = false;
	if (part_find(v, table, lin, 1, X86_ACC_EXEC, &p))
		return NULL;
	if (p.kind == PART_RAM || p.kind == PART_ROM)
		return &v->tlb->e[table][SLOT(lin)];
	*ret_mmio = true;
	return NULL;
}

/* ---- debuggers ---- */

static int debug_access(struct vcpu *v, gva_t lin, uint8_t *buf, size_t len, bool write)
{
	while (len) {
		size_t n = MIN(len, (size_t)(4096 - (lin & 0xfff)));
		struct mem_ref ref;
		gpa_t gpa;

		if (x86_translate_debug(v, lin, &gpa))
			return -EFAULT;
		x86_lookup(v, gpa, &ref);
		if (ref.kind != MEM_RAM && (write || ref.kind != MEM_ROM))
			return -EFAULT;
		if (write) {
			guest_copy(ref.block->host + ref.block_off, buf, n);
			mem_block_written(v->mem, ref.block, ref.block_off, n);
		} else {
			guest_copy(buf, ref.block->host + ref.block_off, n);
		}
		buf += n;
		lin += n;
		len -= n;
	}
	return 0;
}

int x86_debug_read(struct vcpu *v, gva_t lin, void *buf, size_t len)
{
	return debug_access(v, lin, buf, len, false);
}

int x86_debug_write(struct vcpu *v, gva_t lin, const void *buf, size_t len)
{
	/* debug_access() only reads from @buf when writing. */
	return debug_access(v, lin, (uint8_t *)(uintptr_t)buf, len, true);
}
