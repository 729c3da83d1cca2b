/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The soft TLB and linear memory accesses (cpu/x86/mmu.h). Intel SDM vol. 3, 4.10 (caching
 * translation information), 17.2-17.3 (data break points).
 *
 * Invariants:
 * - A tag_write exists only for RAM whose page-table entry has D set, and while dirty logging is on
 *   only after the page's dirty bit was set.
 * - Pages with an enabled data break point or a debugger's watch point get no data tags; ROM gets
 *   no write tag; I/O, holes and the local APIC's page get no tags at all.
 * - An address space is a generation number in the tags. Flushing one means taking a fresh number;
 *   every 4095 numbers the tables are cleared.
 * - INVLPG looks at the entries of the page in all tables, whatever the generation, so global pages
 *   of other address spaces go too.
 * - Entries of global pages carry slots.global_gen and are taken into the current generation when
 *   they are met (entry_allows(), and engine/translate/slot.c for itself).
 * - An entry is in the first level or in the second, which gets what the first displaces.
 *
 * UNMODELLED: memory types: everything is write-back RAM or strongly ordered I/O.
 */
#include "cpu/x86/internal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "mem/guest.h"

#define TAG_NONE  (~0ull)
#define GEN_MAX   0xffeu /* 0xfff would make the top page's tag equal TAG_NONE */
#define ASID_FREE (~0ull)
#define PAGE(lin) ((lin) & ~0xfffull)
#define SLOT(lin) (((lin) >> 12) & (X86_TLB_SIZE - 1))

/* ---- generations ---- */

static void entry_drop(struct x86_tlb_entry *e)
{
	e->tag_read = e->tag_write = e->tag_exec = TAG_NONE;
}

static void exec_step(struct x86_tlb *t)
{
	t->exec_seq++;
	t->exec_id[0] = t->exec_seq << 12;
	t->exec_id[1] = t->exec_seq << 12 | t->generation;
}

static void tlb_clear(struct x86_tlb *t)
{
	for (unsigned i = 0; i < X86_TLB_TABLES; i++)
		for (unsigned j = 0; j < X86_TLB_SIZE; j++)
			t->e[i][j].tag_read = t->e[i][j].tag_write = t->e[i][j].tag_exec = TAG_NONE;
	for (unsigned i = 0; i < ARRAY_SIZE(t->asid); i++)
		t->asid[i].key = ASID_FREE;
	memset(t->large_4m, 0, sizeof(t->large_4m));
	memset(t->large_1g, 0, sizeof(t->large_1g));
	memset(t->exec_seen, 0, sizeof(t->exec_seen));
	exec_step(t);
	for (unsigned i = 0; i < X86_TLB_ALIGN * X86_TLB_SECOND; i++)
		if (t->second[i].host)
			entry_drop(&t->second[i]);
}

struct x86_tlb *x86_tlb_new(void)
{
	struct x86_tlb *t = aligned_alloc(64, align_up(sizeof(*t), 64));

	if (!t)
		return NULL;
	memset(t, 0, sizeof(*t));
	/* an entry of zeros has no tag that can match: generations start at 1. The part of the
	 * table that stays empty is there for native code (engine/translate/slot.c). */
	t->second = xnew_n(struct x86_tlb_entry, X86_TLB_TABLES * X86_TLB_SECOND);
	tlb_clear(t);
	return t;
}

void x86_tlb_free(struct x86_tlb *tlb)
{
	if (tlb) {
		x86_pair_free(tlb);
		free(tlb->second);
	}
	free(tlb);
}

static void slots_flush(struct vcpu *v, unsigned class)
{
	struct x86_slots *t = &v->slots;
	struct x86_slot *all = &t->s[0][0];

	for (unsigned i = 0; i < t->n_filled[class]; i++) {
		unsigned n = t->filled[class][i];

		all[n].lim = 0;
		(&t->listed[0][0])[n] = false;
	}
	t->n_filled[class] = 0;
	t->flushes++;
	if (class)
		t->local = false;
}

void x86_slots_flush(struct vcpu *v)
{
	slots_flush(v, 0);
	slots_flush(v, 1);
}

static uint16_t gen_take(struct x86_tlb *t)
{
	if (t->next_gen >= GEN_MAX) {
		tlb_clear(t);
		t->next_gen = 0;
	}
	return (uint16_t)++t->next_gen;
}

/* Generation of the address space CR3 names; remembered for it when PCIDs are on. */
static uint64_t gen_of_space(struct vcpu *v, bool fresh)
{
	struct x86_tlb *t = v->tlb;
	uint64_t key = v->s.cr3 & ~BIT(63), gen;
	unsigned slot;

	if (!(v->s.cr4 & X86_CR4_PCIDE))
		return gen_take(t);
	for (slot = 0; slot < ARRAY_SIZE(t->asid); slot++)
		if (t->asid[slot].key == key)
			break;
	if (slot < ARRAY_SIZE(t->asid) && !fresh)
		return t->asid[slot].gen;
	gen = gen_take(t); /* may clear asid[] */
	if (slot == ARRAY_SIZE(t->asid))
		slot = t->asid_next++ % ARRAY_SIZE(t->asid);
	t->asid[slot].key = key;
	t->asid[slot].gen = (uint16_t)gen;
	return gen;
}

/* Make it current. */
static void gen_use(struct vcpu *v, bool fresh)
{
	struct x86_tlb *t = v->tlb;

	slots_flush(v, 0);
	if (v->slots.local)
		slots_flush(v, 1);
	t->generation = gen_of_space(v, fresh);
	if (t->exec_local)
		exec_step(t);
	t->exec_id[1] = t->exec_seq << 12 | t->generation;
}

void x86_tlb_new_space(struct vcpu *v)
{
	gen_use(v, true);
}

/* Entries of global pages are stale, too. */
static void globals_flush(struct vcpu *v)
{
	x86_slots_flush(v);
	if (v->slots.global_gen++ < 0xfff)
		return;
	tlb_clear(v->tlb);
	v->slots.global_gen = 1;
}

void x86_tlb_flush(struct vcpu *v)
{
	struct x86_tlb *t = v->tlb;

	v->count.tlb_flushes++;
	for (unsigned i = 0; i < ARRAY_SIZE(t->asid); i++)
		t->asid[i].key = ASID_FREE;
	memset(t->large_4m, 0, sizeof(t->large_4m));
	memset(t->large_1g, 0, sizeof(t->large_1g));
	t->run.len = 0;
	globals_flush(v);
	t->exec_local = false;
	exec_step(t);
	gen_use(v, true);
}

void x86_tlb_flush_pcid(struct vcpu *v, uint16_t pcid)
{
	struct x86_tlb *t = v->tlb;

	v->count.tlb_flushes++;
	for (unsigned i = 0; i < ARRAY_SIZE(t->asid); i++)
		if (t->asid[i].key != ASID_FREE && (t->asid[i].key & 0xfff) == pcid)
			t->asid[i].key = ASID_FREE;
	if (!(v->s.cr4 & X86_CR4_PCIDE) || (v->s.cr3 & 0xfff) == pcid)
		gen_use(v, true);
}

/* Page address a valid entry stands for, TAG_NONE when it has no tag. */
static gva_t entry_page(const struct x86_tlb_entry *e)
{
	if (e->tag_read != TAG_NONE)
		return PAGE(e->tag_read);
	if (e->tag_exec != TAG_NONE)
		return PAGE(e->tag_exec);
	return e->tag_write == TAG_NONE ? TAG_NONE : PAGE(e->tag_write);
}

static bool bit_test(const uint64_t *map, size_t words, uint64_t n)
{
	n %= words * 64;
	return map[n / 64] >> (n % 64) & 1;
}

static void bit_set(uint64_t *map, size_t words, uint64_t n)
{
	n %= words * 64;
	map[n / 64] |= BIT(n % 64);
}

static struct x86_tlb_entry *second(const struct x86_tlb *t, unsigned table, gva_t lin)
{
	uint64_t page = lin >> 12;

	return &t->second[table * X86_TLB_SECOND + ((page ^ page >> 13) & (X86_TLB_SECOND - 1))];
}

void x86_tlb_flush_page(struct vcpu *v, gva_t lin)
{
	struct x86_tlb *t = v->tlb;

	/* Entries cut from a large page can be anywhere. */
	if (bit_test(t->large_1g, ARRAY_SIZE(t->large_1g), lin >> 30) ||
	    bit_test(t->large_4m, ARRAY_SIZE(t->large_4m), lin >> 22)) {
		exec_step(t);
		globals_flush(v);
		gen_use(v, true);
		return;
	}
	x86_slots_flush(v);
	if (bit_test(t->exec_seen, ARRAY_SIZE(t->exec_seen), lin >> 12))
		exec_step(t);
	for (unsigned i = 0; i < X86_TLB_ALIGN; i++) {
		if (entry_page(&t->e[i][SLOT(lin)]) == PAGE(lin))
			entry_drop(&t->e[i][SLOT(lin)]);
		if (entry_page(second(t, i, lin)) == PAGE(lin))
			entry_drop(second(t, i, lin));
	}
}

void x86_tlb_drop_writes(struct vcpu *v, struct x86_tlb_entry *const *e, unsigned n)
{
	struct x86_tlb *t = v->tlb;

	x86_slots_flush(v);
	if (n != UINT_MAX) {
		for (unsigned i = 0; i < n; i++)
			e[i]->tag_write = TAG_NONE;
		return;
	}
	for (unsigned i = 0; i < X86_TLB_TABLES; i++)
		for (unsigned j = 0; j < X86_TLB_SIZE; j++)
			t->e[i][j].tag_write = TAG_NONE;
	for (unsigned i = 0; i < X86_TLB_ALIGN * X86_TLB_SECOND; i++)
		t->second[i].tag_write = TAG_NONE;
}

void x86_tlb_context(struct vcpu *v)
{
	unsigned table = x86_table_for(v, v->cpl);

	if (table == X86_TLB_USER && (v->s.cr0 & X86_CR0_AM) && (v->s.rflags & X86_AC))
		table = X86_TLB_ALIGN;
	/* Slots know nothing of alignment. */
	if (table == X86_TLB_ALIGN && v->tlb->data_table != table)
		slots_flush(v, 0);
	/* Supervisor slots outlive STAC and CLAC, so none of them may hold a user page. */
	v->slots.hold = (v->s.cr4 & X86_CR4_SMAP) && table == X86_TLB_SUPER;
	v->tlb->data_table = (uint8_t)table;
}

int x86_set_cr3(struct vcpu *v, uint64_t val)
{
	unsigned bits = v->model ? v->model->phys_bits : 46;
	bool keep = false;

	if (x86_lma(v)) {
		if (v->s.cr4 & X86_CR4_PCIDE) {
			keep = val & BIT(63);
			val &= ~BIT(63);
		}
		if (val >> bits)
			return x86_gp0(v);
	} else {
		val = (uint32_t)val;
		if (x86_load_pdptes(v, val, v->s.cr0, v->s.cr4))
			return X86_FAULT;
	}
	v->s.cr3 = val;
	gen_use(v, !keep);
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

static bool page_watched(const struct vcpu *v, gva_t page)
{
	if (LIKELY(!(v->s.dr7 & 0xff) && !v->debug.n_watch))
		return false;
	for (unsigned n = 0; n < 4; n++)
		if (dr_enabled(v->s.dr7, n) && (dr_rw(v->s.dr7, n) & 1) && PAGE(v->s.dr[n]) == page)
			return true;
	for (unsigned n = 0; n < v->debug.n_watch; n++)
		if (overlaps(page, 4096, v->debug.watch[n].addr, MAX(v->debug.watch[n].len, 1u)))
			return true;
	return false;
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

static bool lapic_page(const struct vcpu *v, gpa_t gpa)
{
	uint64_t base = v->s.lapic.base;

	/* EN set and EXTD clear: SDM vol. 3, 11.12.1. */
	return (base & (BIT(11) | BIT(10))) == BIT(11) && v->cpus &&
	       PAGE(gpa) == (base & 0xffffff000ull);
}

static void mark_dirty(struct ram_block *b, uint64_t off)
{
	if (b->dirty)
		atomic_fetch_or(&b->dirty[off >> 18], BIT((off >> 12) & 63));
}

/* Note a large page so that INVLPG finds all entries cut from it. */
static void note_large(struct x86_tlb *t, gva_t lin, uint64_t page_size)
{
	if (page_size == GIB)
		bit_set(t->large_1g, ARRAY_SIZE(t->large_1g), lin >> 30);
	else if (page_size > 4 * KIB)
		bit_set(t->large_4m, ARRAY_SIZE(t->large_4m), lin >> 22);
}

/*
 * How far the mapping of a page goes on linearly: inside the large page (without paging: the first
 * 4 GiB) and the run of the memory map. Not where pages must be told apart: dirty logging, watch
 * points, the local APIC's page, A20 closed.
 */
static void entry_reach(const struct vcpu *v, struct x86_tlb_entry *e, const struct x86_walk *w,
			const struct mem_ref *ref)
{
	uint64_t size = v->s.cr0 & X86_CR0_PG ? w->page_size : 4 * GIB,
		 start = w->gpa & ~(size - 1);
	uint64_t end = start + size, lapic = v->s.lapic.base & 0xffffff000ull;
	gpa_t page = PAGE(w->gpa);

	e->before = e->after = 0;
	if (size == 4 * KIB || mem_dirty_on(v->mem) || v->tlb->watch || v->debug.n_watch ||
	    v->s.dr7 & 0xff || !mem_get_a20(v->mem))
		return;
	start = MAX(start, ref->start);
	end = MIN(end, ref->start + ref->len);
	start = align_up(start, MEM_PAGE_SIZE);
	if (start > page || end < page + MEM_PAGE_SIZE || (lapic >= start && lapic < end))
		return;
	e->before = (uint32_t)((page - start) >> MEM_PAGE_SHIFT);
	e->after = (uint32_t)((end - page) >> MEM_PAGE_SHIFT) - 1;
}

/* Enter a RAM or ROM page. */
static void tlb_enter(struct vcpu *v, unsigned table, gva_t lin, unsigned access,
		      const struct x86_walk *w, const struct part *p, const struct mem_ref *ref)
{
	struct x86_tlb *t = v->tlb;
	struct x86_tlb_entry *e = &t->e[table][SLOT(lin)];
	uint64_t tag = PAGE(lin) | t->generation;
	uint64_t off = p->block_off & ~0xfffull;

	bool current = e->tag_read == tag || e->tag_exec == tag || e->tag_write == tag;

	if (!current || PAGE(e->gpa) != PAGE(p->gpa) || e->block != p->block ||
	    x86_entry_off(e) != off) {
		if (current)
			x86_slots_flush(v); /* remapped: slots may hold what was there */
		else if (entry_page(e) != TAG_NONE && entry_page(e) != PAGE(lin) && !t->watch)
			*second(t, table, entry_page(e)) = *e;
		if (!current && entry_page(second(t, table, lin)) == PAGE(lin))
			entry_drop(second(t, table, lin));
		entry_drop(e);
		e->host = p->block->host + off;
		e->block = p->block;
		e->code = &p->block->code[off >> MEM_PAGE_SHIFT];
	}
	e->gpa = PAGE(p->gpa) | (w->global ? v->slots.global_gen : 0);
	entry_reach(v, e, w, ref);
	note_large(t, lin, w->page_size);
	if (access & X86_ACC_EXEC) {
		e->tag_exec = tag;
		bit_set(t->exec_seen, ARRAY_SIZE(t->exec_seen), lin >> 12);
		t->exec_local |= table == X86_TLB_SUPER && !w->global;
	}
	if (page_watched(v, PAGE(lin)))
		return;
	/* A page that may be executed may be read, except under SMAP, whose table is not used for
	 * fetches. */
	e->tag_read = tag;
	if (p->kind != PART_RAM || !w->writable || !w->dirty)
		return;
	if (UNLIKELY(mem_dirty_on(v->mem))) {
		if (!(access & X86_ACC_WRITE))
			return;
		mark_dirty(p->block, off);
	}
	if (UNLIKELY(t->watch != NULL)) {
		if (!(access & X86_ACC_WRITE))
			return;
		t->watch->store(v, e);
	}
	e->tag_write = tag;
}

/* Does the entry allow @access to the page @lin? Those of global pages do in any address space. */
static bool entry_allows(const struct vcpu *v, struct x86_tlb_entry *e, gva_t lin, unsigned access)
{
	uint64_t *tag = access & X86_ACC_WRITE  ? &e->tag_write
			: access & X86_ACC_EXEC ? &e->tag_exec
						: &e->tag_read;
	uint64_t want = PAGE(lin) | v->tlb->generation;

	if (LIKELY(*tag == want))
		return true;
	if (*tag == TAG_NONE || PAGE(*tag) != PAGE(lin) || (e->gpa & 0xfff) != v->slots.global_gen)
		return false;
	*tag = want;
	return true;
}

/* From the second level to the first. */
static bool entry_back(const struct vcpu *v, unsigned table, gva_t lin, unsigned access)
{
	struct x86_tlb_entry *e = &v->tlb->e[table][SLOT(lin)], *s = second(v->tlb, table, lin);
	struct x86_tlb_entry old = *e;

	if (entry_page(s) != PAGE(lin) || v->tlb->watch || !entry_allows(v, s, lin, access) ||
	    entry_page(e) == PAGE(lin))
		return false;
	*e = *s;
	entry_drop(s);
	if (entry_page(&old) != TAG_NONE)
		*second(v->tlb, table, entry_page(&old)) = old;
	return true;
}

/* Translate [lin, lin+len) inside one page and enter it into @table. */
static int part_find(struct vcpu *v, unsigned table, gva_t lin, unsigned len, unsigned access,
		     struct part *p)
{
	struct x86_tlb_entry *e = &v->tlb->e[table][SLOT(lin)];
	struct x86_walk w;
	struct mem_ref ref;

	p->lin = lin;
	p->len = len;
	if (entry_allows(v, e, lin, access) || entry_back(v, table, lin, access)) {
		p->kind = PART_RAM; /* or ROM being read: the same to the caller */
		p->host = e->host + (lin & 0xfff);
		p->gpa = PAGE(e->gpa) | (lin & 0xfff);
		p->block = e->block;
		p->block_off = x86_entry_off(e) + (lin & 0xfff);
		return X86_OK;
	}
	v->count.tlb_misses++;
	if (x86_walk_t(v, lin, access, table, &w))
		return X86_FAULT;
	p->gpa = w.gpa;
	if (lapic_page(v, w.gpa)) {
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
	p->kind = ref.kind == MEM_RAM ? PART_RAM : PART_ROM;
	p->block = ref.block;
	p->block_off = ref.block_off;
	p->host = ref.block->host + ref.block_off;
	tlb_enter(v, table, lin, access, &w, p, &ref);
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
			bus_mmio_write(v->bus, p->gpa + i, n, x);
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

/* What an operand of @size bytes must be aligned to. SDM vol. 3, table 6-7. */
static unsigned alignment_of(unsigned size)
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
	default: return 1;
	}
}

/* Ordinary accesses at CPL 3 with alignment checks on. SDM vol. 3, 6.15, interrupt 17. */
static int align_check(struct vcpu *v, unsigned *table, gva_t lin, unsigned size)
{
	if (*table != X86_TLB_ALIGN)
		return X86_OK;
	*table = X86_TLB_USER;
	if (lin & (alignment_of(size) - 1))
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

uint8_t *x86_ptr_slow(struct vcpu *v, gva_t lin, unsigned size, unsigned access,
		      struct x86_tlb_entry **ret_e)
{
	unsigned table = v->tlb->data_table;
	struct x86_tlb_entry *e;
	struct part p;

	if ((lin & 0xfff) + size > 4096)
		return NULL;
	if (table == X86_TLB_ALIGN) {
		/* aligned operands are accessed in place: locked ones must be */
		if (lin & (alignment_of(size) - 1))
			return NULL;
		table = X86_TLB_USER;
	}
	if (part_find(v, table, lin, size, access & X86_ACC_WRITE, &p))
		return NULL;
	e = &v->tlb->e[table][SLOT(lin)];
	if (((access & X86_ACC_WRITE) ? e->tag_write : e->tag_read) !=
	    (PAGE(lin) | v->tlb->generation))
		return NULL;
	*ret_e = e;
	return e->host + (lin & 0xfff);
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
		mem_lookup(v->mem, gpa, &ref);
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
