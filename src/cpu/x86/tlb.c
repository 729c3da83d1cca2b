/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The soft TLB's tables: generations, what ends a translation, what enters one, and the short way
 * to one. Intel SDM vol. 3, 4.10 (caching translation information).
 *
 * This file is compiled without vector registers and calls nothing that was not (meson.build and
 * tests/insn/gpr_only.sh see to it): translated code calls it with the guest's vector state in the
 * host's registers.
 *
 * Invariants:
 * - A tag_write exists only for RAM whose page-table entry has D set, and while dirty logging is on
 *   only after the page's dirty bit was set.
 * - Pages with an enabled data break point or a debugger's watch point get no data tags; ROM gets
 *   no write tag; I/O, holes and the local APIC's page get no tags at all.
 * - An address space is a generation number in the tags. Flushing one means taking a fresh number;
 *   every 4095 numbers the tables are cleared, as far as they were used.
 * - INVLPG looks at the entries of the page in all tables, whatever the generation, so global pages
 *   of other address spaces go too.
 * - Entries of global pages carry slots.global_gen and are taken into the current generation when
 *   they are met (entry_allows()).
 * - An entry is in the first level or in the second, which gets what the first displaces.
 *
 * Slots and ranges (vcpu.h) may reach beyond the page that was asked for, over neighbours that the
 * page tables map on linearly with the same rights and with their accessed (for stores: dirty) bits
 * set. A processor may cache such translations at any time (4.10.2.3). So whatever ends the
 * translation of a page must end every slot and range that covers it: slots_drop().
 */
#include "cpu/x86/internal.h"

#include <assert.h>
#include <limits.h>

#define TAG_NONE  (~0ull)
#define GEN_MAX   0xffeu /* 0xfff would make the top page's tag equal TAG_NONE */
#define ASID_FREE (~0ull)
#define EXEC_MOST 2048u /* pages in exec_seen: one INVLPG in 16 is mistaken then */
#define PAGE(lin) ((lin) & ~0xfffull)
#define SLOT(lin) (((lin) >> 12) & (X86_TLB_SIZE - 1))

/* ---- slots and ranges ---- */

/* What was noted of stores is not true any more. 0 is no period: it stands for no note. */
static void end_period(struct x86_slots *t, unsigned class)
{
	uint32_t next = atomic_load_explicit(&t->period[class], memory_order_relaxed) + 1;

	if (UNLIKELY(next == 0)) {
		for (uint64_t i = 0; i < t->n_noted; i++)
			atomic_store_explicit(&t->noted[i][class], 0, memory_order_relaxed);
		next = 1;
	}
	atomic_store_explicit(&t->period[class], next, memory_order_release);
}

/* @class: 0 user, 1 supervisor */
static void slots_flush(struct vcpu *v, unsigned class)
{
	struct x86_slots *t = &v->slots;
	struct x86_slot *all = &t->s[0][0];
	uint8_t *listed = &t->listed[0][0];

	end_period(t, class);
	for (unsigned i = 0; i < t->n_filled[class]; i++) {
		unsigned n = t->filled[class][i];

		all[n].lim = 0;
		listed[n] = 0;
	}
	t->n_filled[class] = t->looks[class] = 0;
	t->high[class] = false;
	if (!class)
		t->global_user = false;
	t->flushes++;
	static_assert(X86_RANGES == 16 && X86_SLOT_WRITE == 1, "32 bits of neighbours");
	for (; t->ranges[class]; t->ranges[class] &= t->ranges[class] - 1)
		t->range[class * X86_SLOT_SUPER][__builtin_ctz(t->ranges[class])].len = 0;
	if (class) {
		t->local = false;
		t->low = false;
	}
}

void x86_slots_flush(struct vcpu *v)
{
	x86_parked_forget(v);
	slots_flush(v, 0);
	slots_flush(v, 1);
}

/* Supervisor slots of pages that are not global: a kernel has few, but some (Linux 6.1 cuts large
 * pages of its map of all memory up into such, and keeps a CPU's variables there). */
static void locals_flush(struct vcpu *v)
{
	struct x86_slots *t = &v->slots;
	struct x86_range *r = t->range[X86_SLOT_SUPER];
	struct x86_slot *all = &t->s[0][0];
	uint8_t *listed = &t->listed[0][0];
	unsigned keep = 0;

	if (!t->local)
		return;
	t->local = false;
	t->flushes++;
	for (uint32_t left = t->ranges[1]; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctz(left);

		if (!r[i].local)
			continue;
		r[i].len = 0;
		t->ranges[1] &= ~(1u << i);
	}
	for (unsigned i = 0; i < t->n_filled[1]; i++) {
		unsigned n = t->filled[1][i];

		if (!(listed[n] & X86_LISTED_LOCAL)) {
			t->filled[1][keep++] = (uint16_t)n;
			continue;
		}
		all[n].lim = 0;
		listed[n] = 0;
	}
	t->n_filled[1] = keep;
}

void x86_slots_flush_user(struct vcpu *v)
{
	x86_parked_forget(v);
	slots_flush(v, 0);
}

void x86_slots_below_4g(struct vcpu *v, bool user)
{
	if (UNLIKELY(v->slots.high[user ? 0 : 1]))
		slots_flush(v, user ? 0 : 1);
}

/* Does [base, base + len) touch the page at @lin, or, as part of large pages, what may be mapped by
 * the same one? */
static bool reaches(uint64_t base, uint64_t len, bool large, gva_t lin)
{
	const uint64_t around = 4 * MIB - 1;

	if (large) {
		len = ((base + len + around) & ~around) - (base & ~around);
		base &= ~around;
	}
	return lin - base < len;
}

/* The page at @lin goes; of small pages the larger part on one side stays. */
static void range_drop(struct x86_range *r, gva_t lin)
{
	uint64_t before = lin - r->base, after = r->len - before - MEM_PAGE_SIZE;

	if (r->large) {
		r->len = 0;
	} else if (after <= before) {
		r->len = before;
	} else {
		r->base += before + MEM_PAGE_SIZE;
		r->host += before + MEM_PAGE_SIZE;
		r->code += before / MEM_PAGE_SIZE + 1;
		r->len = after;
	}
}

static void class_drop(struct vcpu *v, unsigned class, gva_t lin)
{
	struct x86_slots *t = &v->slots;
	struct x86_slot *all = &t->s[0][0];
	struct x86_range *r = t->range[class * X86_SLOT_SUPER];
	uint8_t *listed = &t->listed[0][0];
	unsigned keep = 0;

	/* Many INVLPG in a row: filling slots again costs less than looking through them each time.
	 */
	if (t->looks[class] < t->n_filled[class]) {
		slots_flush(v, class);
		return;
	}
	t->looks[class] -= t->n_filled[class];
	for (uint32_t left = t->ranges[class]; left; left &= left - 1) {
		struct x86_range *one = &r[__builtin_ctz(left)];

		if (one->len && reaches(one->base, one->len, one->large, lin)) {
			unsigned set = class * X86_SLOT_SUPER + (__builtin_ctz(left) >= X86_RANGES);

			range_drop(one, lin);
			/* its neighbours may go as well: not a new one at once */
			t->range_hint[set][lin >> 21 & (X86_RANGE_HINTS - 1)] = X86_RANGES + 3;
		}
	}
	for (unsigned i = 0; i < t->n_filled[class]; i++) {
		unsigned n = t->filled[class][i];
		struct x86_slot *s = &all[n];

		/* lim is short of the end by up to 63 bytes, which are in the last page */
		if (s->lim == 0 ||
		    reaches(s->base, s->lim + 63, listed[n] & X86_LISTED_LARGE, lin)) {
			s->lim = 0;
			listed[n] = 0;
			continue;
		}
		t->filled[class][keep++] = (uint16_t)n;
	}
	t->n_filled[class] = keep;
}

/* The translation of one page ends. */
static void slots_drop(struct vcpu *v, gva_t lin)
{
	v->slots.flushes++;
	class_drop(v, 0, lin);
	if (lin >> 47 || v->slots.low)
		class_drop(v, 1, lin);
}

/* Is host address @host in one of the windows @which (bits)? */
static bool in_window(const struct x86_slots *t, uint64_t host, uint32_t which)
{
	uint64_t off;

	if (LIKELY(!which))
		return false;
	off = host - (uintptr_t)t->windows->host;
	return off < X86_WINDOWS * X86_WINDOW_SIZE && which >> off / X86_WINDOW_SIZE & 1;
}

/* As class_drop(), for the page whose code byte is at @code. */
static void class_drop_code(struct vcpu *v, unsigned class, uint64_t code)
{
	uint32_t windows = class ? 0 : x86_windows_of(v, code);
	struct x86_slots *t = &v->slots;
	unsigned keep = 0;

	/* code that is written again and again: as in class_drop() */
	if (t->looks[class] < t->n_filled[class]) {
		slots_flush(v, class);
		return;
	}
	t->looks[class] -= t->n_filled[class];
	for (uint32_t left = t->ranges[class] >> X86_RANGES; left; left &= left - 1) {
		struct x86_range *r =
			&t->range[class * X86_SLOT_SUPER | X86_SLOT_WRITE][__builtin_ctz(left)];

		if (code - r->code < r->len >> MEM_PAGE_SHIFT || in_window(t, r->host, windows))
			r->len = 0;
	}
	for (unsigned i = 0; i < t->n_filled[class]; i++) {
		unsigned n = t->filled[class][i];
		struct x86_slot *s = &t->s[0][0] + n;

		/* lim is short of the end by up to 63 bytes, which are in the last page */
		if (n / X86_SLOTS & X86_SLOT_WRITE &&
		    (code - (&t->code[0][0])[n] <= (s->lim + 63) >> MEM_PAGE_SHIFT ||
		     in_window(t, s->host, windows))) {
			s->lim = 0;
			(&t->listed[0][0])[n] = 0;
			continue;
		}
		t->filled[class][keep++] = (uint16_t)n;
	}
	t->n_filled[class] = keep;
}

void x86_slots_drop_code(struct vcpu *v, const _Atomic uint8_t *code)
{
	v->slots.flushes++;
	v->slots.last_code = code;
	x86_parked_forget(v);
	class_drop_code(v, 0, (uintptr_t)code);
	class_drop_code(v, 1, (uintptr_t)code);
}

/* ---- generations ---- */

static void entry_drop(struct x86_tlb_entry *e)
{
	e->tag_read = e->tag_write = e->tag_exec = TAG_NONE;
}

/* Code of user mode (@user) or not that was fetched may be mapped elsewhere now. */
static void exec_step(struct x86_tlb *t, bool user)
{
	uint64_t seq = ++t->exec_seq[user];

	t->exec_id[user] = seq << 12 | (user ? t->generation : 0);
}

static void exec_step_both(struct x86_tlb *t)
{
	exec_step(t, false);
	exec_step(t, true);
}

/* Bit of the page of @lin in exec_seen: the halves of the address space apart. */
static uint64_t exec_bit(gva_t lin)
{
	return (lin >> 12 & 0x7fff) | (lin >> 47 & 1) << 15;
}

static void exec_clear(struct x86_tlb *t, bool user)
{
	for (unsigned i = 0; i < ARRAY_SIZE(t->exec_seen[user]); i++)
		t->exec_seen[user][i] = 0;
	t->exec_n[user] = 0;
}

/* The pieces of 64 entries of a table that are in use: of the first level, then of the second. */
#define USED_FIRST (X86_TLB_SIZE / 64)
static void mark_used(struct x86_tlb *t, unsigned table, unsigned piece)
{
	t->used[table][piece / 64] |= BIT(piece % 64);
}

void x86_tlb_clear(struct x86_tlb *t)
{
	static_assert((USED_FIRST + X86_TLB_SECOND / 64 + 63) / 64 == ARRAY_SIZE(t->used[0]),
		      "used");
	for (unsigned i = 0; i < X86_TLB_ALIGN; i++)
		for (unsigned w = 0; w < ARRAY_SIZE(t->used[i]); w++)
			for (; t->used[i][w]; t->used[i][w] &= t->used[i][w] - 1) {
				unsigned piece = w * 64 + (unsigned)__builtin_ctzll(t->used[i][w]);
				struct x86_tlb_entry *e =
					piece < USED_FIRST ? &t->e[i][piece * 64]
							   : &t->second[i * X86_TLB_SECOND +
									(piece - USED_FIRST) * 64];

				for (unsigned k = 0; k < 64; k++)
					entry_drop(&e[k]);
			}
	for (unsigned i = 0; i < ARRAY_SIZE(t->asid); i++)
		t->asid[i].key = ASID_FREE;
	for (unsigned i = 0; i < ARRAY_SIZE(t->large_2m); i++)
		t->large_2m[i] = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(t->large_1g); i++)
		t->large_1g[i] = 0;
	exec_clear(t, false);
	exec_clear(t, true);
	exec_step_both(t);
}

static uint16_t gen_take(struct vcpu *v)
{
	struct x86_tlb *t = v->tlb;

	if (t->next_gen >= GEN_MAX) {
		x86_slots_flush(v); /* INVLPG relies on large_1g for them */
		x86_tlb_clear(t);
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
		return gen_take(v);
	for (slot = 0; slot < ARRAY_SIZE(t->asid); slot++)
		if (t->asid[slot].key == key)
			break;
	if (slot < ARRAY_SIZE(t->asid) && !fresh)
		return t->asid[slot].gen;
	gen = gen_take(v); /* may clear asid[] */
	if (slot == ARRAY_SIZE(t->asid))
		slot = t->asid_next++ % ARRAY_SIZE(t->asid);
	t->asid[slot].key = key;
	t->asid[slot].gen = (uint16_t)gen;
	return gen;
}

/* Make it current. In line, as is what loads of CR3 without PCIDs need: 3 ns of 41. */
static inline __attribute__((always_inline)) void gen_use(struct vcpu *v, bool fresh)
{
	struct x86_tlb *t = v->tlb;

	slots_flush(v, 0);
	locals_flush(v);
	/* Programs at random addresses fill the map; then any INVLPG would seem to concern code.
	 * No entry of a fresh generation says yet that its page can be executed. */
	if (UNLIKELY(t->exec_n[1] > EXEC_MOST)) {
		for (unsigned i = 0; i < ARRAY_SIZE(t->asid); i++)
			t->asid[i].key = ASID_FREE;
		exec_clear(t, true);
	}
	t->generation = gen_of_space(v, fresh);
	if (t->exec_local)
		exec_step(t, false);
	t->exec_id[1] = t->exec_seq[1] << 12 | t->generation;
}

void x86_tlb_new_space(struct vcpu *v)
{
	gen_use(v, true);
}

/* With PCIDs, where the space it leaves may come back (park.c). */
static __attribute__((noinline)) bool set_cr3_pcid(struct vcpu *v, uint64_t val)
{
	bool keep = val & BIT(63);

	val &= ~BIT(63);
	if (val & ~(v->tlb->frame_mask | 0xfff))
		return false;
	if (val != v->s.cr3)
		x86_ranges_park(v);
	v->s.cr3 = val;
	gen_use(v, !keep);
	if (keep)
		x86_ranges_unpark(v);
	return true;
}

bool x86_set_cr3_fast(struct vcpu *v, uint64_t val)
{
	if (!(v->s.efer & X86_EFER_LMA))
		return false;
	if (v->s.cr4 & X86_CR4_PCIDE)
		return set_cr3_pcid(v, val);
	if (val & ~(v->tlb->frame_mask | 0xfff))
		return false;
	v->s.cr3 = val;
	gen_use(v, true);
	return true;
}

/* Entries of global pages are stale, too. */
static void globals_flush(struct vcpu *v)
{
	x86_slots_flush(v);
	if (v->slots.global_gen++ < 0xfff)
		return;
	x86_tlb_clear(v->tlb);
	v->slots.global_gen = 1;
}

void x86_tlb_forget(struct vcpu *v)
{
	struct x86_tlb *t = v->tlb;

	v->count.tlb_flushes++;
	for (unsigned i = 0; i < ARRAY_SIZE(t->asid); i++)
		t->asid[i].key = ASID_FREE;
	for (unsigned i = 0; i < ARRAY_SIZE(t->large_2m); i++)
		t->large_2m[i] = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(t->large_1g); i++)
		t->large_1g[i] = 0;
	t->run.len = 0;
	globals_flush(v);
	t->exec_local = false;
	exec_step_both(t);
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

void x86_tlb_flush_page_of(struct vcpu *v, uint16_t pcid, gva_t lin)
{
	/* what was cut from a large page or put aside there can be anywhere: all of it goes */
	if (v->s.cr4 & X86_CR4_PCIDE && (v->s.cr3 & 0xfff) != pcid)
		x86_tlb_flush_pcid(v, pcid);
	else
		x86_tlb_flush_page(v, lin);
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

/* A page is fetched from through @table. */
static void exec_note(struct x86_tlb *t, unsigned table, gva_t lin)
{
	bool user = table == X86_TLB_USER;
	uint64_t *seen = t->exec_seen[user];

	if (bit_test(seen, ARRAY_SIZE(t->exec_seen[0]), exec_bit(lin)))
		return;
	bit_set(seen, ARRAY_SIZE(t->exec_seen[0]), exec_bit(lin));
	t->exec_n[user]++;
}

static unsigned second_index(gva_t lin)
{
	uint64_t page = lin >> 12;

	return (unsigned)((page ^ page >> 13) & (X86_TLB_SECOND - 1));
}

static struct x86_tlb_entry *second(const struct x86_tlb *t, unsigned table, gva_t lin)
{
	return &t->second[table * X86_TLB_SECOND + second_index(lin)];
}

/* Put aside what is displaced from the first level. */
static void second_put(struct x86_tlb *t, unsigned table, const struct x86_tlb_entry *e)
{
	gva_t page = entry_page(e);

	*second(t, table, page) = *e;
	mark_used(t, table, USED_FIRST + second_index(page) / 64);
}

/* Where large pages may be: the halves of the address space apart, so that the kernel's do not
 * make every INVLPG of a user page a full flush. */
static uint64_t region_2m(gva_t lin)
{
	return (lin >> 21 & 2047) | (lin >> 47 & 1) << 11;
}

static uint64_t region_1g(gva_t lin)
{
	return (lin >> 30 & 127) | (lin >> 47 & 1) << 7;
}

#define LARGE_SEVERAL UINT16_MAX /* address spaces, or all of them */

/* The current generation may have entries cut from large pages in the 2 MiB of @lin. A program's
 * pages become small ones, too (Linux splits its huge page of zeros at the first store): then those
 * of generations that have ended do not count. */
static void note_large_2m(const struct vcpu *v, gva_t lin, bool global)
{
	struct x86_tlb *t = v->tlb;
	uint16_t *by = &t->large_2m[region_2m(lin)], own = (uint16_t)(t->generation + 1);

	if (*by == own || *by == LARGE_SEVERAL)
		return;
	/* without PCIDs each load of CR3 begins another */
	if (global || !(v->s.cr4 & X86_CR4_PCIDE)) {
		*by = LARGE_SEVERAL;
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(t->asid); i++)
		if (t->asid[i].key != ASID_FREE && t->asid[i].gen + 1 == *by) {
			*by = LARGE_SEVERAL;
			return;
		}
	*by = own;
}

/* INVLPG of a page that entries may have been cut from a large page with: they can be anywhere. If
 * it may be a global one, in any address space. */
static __attribute__((noinline)) void flush_large(struct vcpu *v, uint16_t *by, bool giga)
{
	struct x86_tlb *t = v->tlb;

	if (*by == LARGE_SEVERAL || giga) {
		for (unsigned i = 0; i < ARRAY_SIZE(t->asid); i++)
			t->asid[i].key = ASID_FREE;
		*by = 0; /* nothing is left of it */
	}
	exec_step_both(t);
	globals_flush(v);
	gen_use(v, true);
}

void x86_tlb_flush_page(struct vcpu *v, gva_t lin)
{
	struct x86_tlb *t = v->tlb;
	uint16_t *by = &t->large_2m[region_2m(lin)];
	bool giga = bit_test(t->large_1g, ARRAY_SIZE(t->large_1g), region_1g(lin));

	if (UNLIKELY(*by == LARGE_SEVERAL || *by == t->generation + 1 || giga)) {
		flush_large(v, by, giga);
		return;
	}
	slots_drop(v, PAGE(lin));
	for (unsigned i = 0; i < 2; i++)
		if (bit_test(t->exec_seen[i], ARRAY_SIZE(t->exec_seen[i]), exec_bit(lin)))
			exec_step(t, i);
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

/* ---- entering ---- */

bool x86_page_watched(const struct vcpu *v, gva_t page)
{
	if (LIKELY(!(v->s.dr7 & 0xff) && !v->debug.n_watch))
		return false;
	for (unsigned n = 0; n < 4; n++)
		if ((v->s.dr7 >> (n * 2) & 3) && (v->s.dr7 >> (16 + n * 4) & 1) &&
		    PAGE(v->s.dr[n]) == page)
			return true;
	for (unsigned n = 0; n < v->debug.n_watch; n++) {
		uint64_t len = MAX(v->debug.watch[n].len, 1u);

		if (page - v->debug.watch[n].addr < len || v->debug.watch[n].addr - page < 4096)
			return true;
	}
	return false;
}

bool x86_lapic_page(const struct vcpu *v, gpa_t gpa)
{
	uint64_t base = v->s.lapic.base;

	/* EN set and EXTD clear: SDM vol. 3, 11.12.1. */
	return (base & (BIT(11) | BIT(10))) == BIT(11) && v->cpus &&
	       PAGE(gpa) == (base & 0xffffff000ull);
}

/* Note a large page so that INVLPG finds all entries cut from it. */
static __attribute__((noinline)) void note_large(const struct vcpu *v, gva_t lin,
						 uint64_t page_size, bool global)
{
	if (page_size == GIB)
		bit_set(v->tlb->large_1g, ARRAY_SIZE(v->tlb->large_1g), region_1g(lin));
	else
		for (uint64_t n = 0; n < page_size; n += 2 * MIB)
			note_large_2m(v, (lin & ~(page_size - 1)) + n, global);
}

bool x86_tlb_plain(const struct vcpu *v)
{
	return v->tlb->plain && !v->tlb->watch && !v->debug.n_watch && !(v->s.dr7 & 0xff);
}

/*
 * How far the mapping of a page goes on linearly: inside the large page (without paging: the first
 * 4 GiB) and the run of the memory map, and not over the local APIC's page.
 */
static void entry_reach(const struct vcpu *v, struct x86_tlb_entry *e, const struct x86_walk *w,
			gpa_t run_start, uint64_t run_len)
{
	uint64_t size = v->s.cr0 & X86_CR0_PG ? w->page_size : 4 * GIB,
		 start = w->gpa & ~(size - 1);
	uint64_t end = start + size, lapic = v->s.lapic.base & 0xffffff000ull;
	gpa_t page = PAGE(w->gpa);

	e->before = e->after = 0;
	if (size == 4 * KIB || !x86_tlb_plain(v))
		return;
	start = MAX(start, run_start);
	end = MIN(end, run_start + run_len);
	start = align_up(start, MEM_PAGE_SIZE);
	if (start > page || end < page + MEM_PAGE_SIZE || (lapic >= start && lapic < end))
		return;
	e->before = (uint32_t)((page - start) >> MEM_PAGE_SHIFT);
	e->after = (uint32_t)((end - page) >> MEM_PAGE_SHIFT) - 1;
}

bool x86_tlb_enter(struct vcpu *v, unsigned table, gva_t lin, unsigned access,
		   const struct x86_walk *w, const struct mem_ref *ref)
{
	struct x86_tlb *t = v->tlb;
	struct x86_tlb_entry *e = &t->e[table][SLOT(lin)];
	uint64_t tag = PAGE(lin) | t->generation;
	uint64_t off = ref->block_off & ~0xfffull;

	bool current = e->tag_read == tag || e->tag_exec == tag || e->tag_write == tag;

	if (!current || PAGE(e->gpa) != PAGE(w->gpa) || e->block != ref->block ||
	    x86_entry_off(e) != off) {
		if (current)
			slots_drop(v, PAGE(lin)); /* remapped: slots may hold what was there */
		else if (entry_page(e) != TAG_NONE && entry_page(e) != PAGE(lin) && !t->watch)
			second_put(t, table, e);
		if (!current && entry_page(second(t, table, lin)) == PAGE(lin))
			entry_drop(second(t, table, lin));
		entry_drop(e);
		mark_used(t, table, (unsigned)SLOT(lin) / 64);
		e->host = ref->block->host + off;
		e->block = ref->block;
		e->code = &ref->block->code[off >> MEM_PAGE_SHIFT];
	}
	e->gpa = PAGE(w->gpa) | (w->global ? v->slots.global_gen : 0);
	entry_reach(v, e, w, ref->start, ref->len);
	if (w->page_size > 4 * KIB &&
	    (w->page_size != 2 * MIB || t->large_2m[region_2m(lin)] != LARGE_SEVERAL))
		note_large(v, lin, w->page_size, w->global);
	if (access & X86_ACC_EXEC) {
		e->tag_exec = tag;
		exec_note(t, table, lin);
		t->exec_local |= table == X86_TLB_SUPER && !w->global;
	}
	if (x86_page_watched(v, PAGE(lin)))
		return false;
	/* A page that may be executed may be read, except under SMAP, whose table is not used for
	 * fetches. */
	e->tag_read = tag;
	return ref->kind == MEM_RAM && w->writable && w->dirty;
}

/* Does the entry allow @access to the page @lin? Those of global pages do in any address space. */
static bool entry_allows(const struct vcpu *v, unsigned table, struct x86_tlb_entry *e, gva_t lin,
			 unsigned access)
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
	if (access & X86_ACC_EXEC)
		exec_note(v->tlb, table, lin);
	return true;
}

/* From the second level to the first. */
static bool entry_back(const struct vcpu *v, unsigned table, gva_t lin, unsigned access)
{
	struct x86_tlb *t = v->tlb;
	struct x86_tlb_entry *e = &t->e[table][SLOT(lin)], *s = second(t, table, lin);
	struct x86_tlb_entry old;

	if (entry_page(s) != PAGE(lin) || t->watch || !entry_allows(v, table, s, lin, access) ||
	    entry_page(e) == PAGE(lin))
		return false;
	old = *e;
	*e = *s;
	entry_drop(s);
	mark_used(t, table, (unsigned)SLOT(lin) / 64);
	if (entry_page(&old) != TAG_NONE)
		second_put(t, table, &old);
	return true;
}

struct x86_tlb_entry *x86_tlb_cached(struct vcpu *v, unsigned table, gva_t lin, unsigned access)
{
	struct x86_tlb_entry *e = &v->tlb->e[table][SLOT(lin)];

	if (LIKELY(entry_allows(v, table, e, lin, access)) || entry_back(v, table, lin, access))
		return e;
	return NULL;
}

/* ---- the short page walk ---- */

/* From the table at @at on, whose entries map 1 << @shift bytes each; @large: those that may be
 * pages; @rsvd: reserved bits, @first: of the first table in addition. */
static inline bool leaf_walk(const struct x86_tlb *t, gva_t lin, uint64_t at, unsigned shift,
			     uint64_t rsvd, uint64_t first, uint64_t large, struct x86_leaf *ret)
{
	unsigned bits = ret->entry == 8 ? 9 : 10;
	uint64_t rights = PTE_W | PTE_U, bad = rsvd | first, e;

	for (;; shift -= bits, bad = rsvd) {
		if (at - t->run.start >= t->run.len)
			return false;
		ret->table = t->run.host + (at - t->run.start);
		e = x86_leaf_entry(ret, lin >> shift & (BIT(bits) - 1));
		if ((e & (PTE_P | PTE_A)) != (PTE_P | PTE_A) || e & bad)
			return false;
		rights = (rights & e & (PTE_W | PTE_U)) | ((rights | e) & PTE_NX);
		if (shift == 12)
			break;
		if (e & PTE_PS && large) {
			if (!(large & BIT(shift)) || e & (BIT(shift) - BIT(13)))
				return false; /* reserved bits; PSE-36 */
			break;
		}
		at = e & t->frame_mask;
	}
	ret->shift = shift;
	ret->val = e;
	ret->rights = rights;
	return true;
}

/* With 32-bit entries or PAE, outside long mode. */
static bool leaf_find_32(const struct vcpu *v, gva_t lin, struct x86_leaf *ret)
{
	const struct x86_tlb *t = v->tlb;
	uint64_t rsvd = BIT(63) - 1 - 0xfff - t->frame_mask, pdpte = v->s.pdpte[lin >> 30 & 3];

	if (!(v->s.cr0 & X86_CR0_PG) || lin >> 32)
		return false;
	if (!(v->s.cr4 & X86_CR4_PAE)) {
		ret->entry = 4;
		return leaf_walk(t, lin, v->s.cr3 & 0xfffff000, 22, 0, 0,
				 v->s.cr4 & X86_CR4_PSE ? BIT(22) : 0, ret);
	}
	if (!(v->s.efer & X86_EFER_NXE))
		rsvd |= PTE_NX;
	ret->entry = 8;
	return pdpte & PTE_P && leaf_walk(t, lin, pdpte & t->frame_mask, 21, rsvd, 0, BIT(21), ret);
}

bool x86_leaf_find(const struct vcpu *v, gva_t lin, struct x86_leaf *ret)
{
	const struct x86_tlb *t = v->tlb;
	uint64_t rsvd = BIT(52) - 1 - 0xfff - t->frame_mask;

	if (!x86_tlb_plain(v))
		return false;
	if (!(v->s.efer & X86_EFER_LMA))
		return leaf_find_32(v, lin, ret);
	if (!x86_canonical(lin))
		return false;
	if (!(v->s.efer & X86_EFER_NXE))
		rsvd |= PTE_NX;
	ret->entry = 8;
	return leaf_walk(t, lin, v->s.cr3 & t->frame_mask, 39, rsvd, t->no_g_pml4 ? PTE_G : 0,
			 BIT(21) | (t->has_1g ? BIT(30) : 0), ret);
}

static struct x86_tlb_entry *walk(struct vcpu *v, unsigned table, gva_t lin, unsigned access)
{
	struct x86_tlb *t = v->tlb;
	bool user, writable;
	struct x86_tlb_entry *e;
	struct x86_walk w;
	struct x86_leaf l;
	uint64_t tag;
	gpa_t gpa;

	if (table == X86_TLB_ALIGN || !x86_leaf_find(v, lin, &l))
		return NULL;
	gpa = x86_leaf_gpa(v, &l, lin);
	user = l.rights & PTE_U;
	writable = l.rights & PTE_W;
	if (gpa - t->run.start >= t->run.len || x86_lapic_page(v, gpa) ||
	    (table == X86_TLB_USER && !user) || (table == X86_TLB_SMAP && user) ||
	    (access & X86_ACC_WRITE && (!writable || !(l.val & PTE_D))) ||
	    (access & X86_ACC_EXEC &&
	     (l.rights & PTE_NX || (table != X86_TLB_USER && user && v->s.cr4 & X86_CR4_SMEP))))
		return NULL;
	e = &t->e[table][SLOT(lin)];
	tag = PAGE(lin) | t->generation;
	/* Remapped without INVLPG: what is in use of it ends, but not in the middle of a block. */
	if ((e->tag_read == tag || e->tag_exec == tag) && PAGE(e->gpa) != PAGE(gpa))
		return NULL;
	w = (struct x86_walk){.gpa = gpa,
			      .page_size = BIT(l.shift),
			      .writable = writable ||
					  (table != X86_TLB_USER && !(v->s.cr0 & X86_CR0_WP)),
			      .global = l.val & PTE_G && v->s.cr4 & X86_CR4_PGE,
			      .dirty = l.val & PTE_D};
	v->count.tlb_misses++;
	if (x86_tlb_enter(v, table, lin, access, &w,
			  &(struct mem_ref){.kind = MEM_RAM,
					    .block = t->run.block,
					    .block_off = t->run.block_off + (gpa - t->run.start),
					    .start = t->run.start,
					    .len = t->run.len}))
		e->tag_write = tag;
	return e;
}

struct x86_tlb_entry *x86_tlb_find(struct vcpu *v, unsigned table, gva_t lin, unsigned access)
{
	struct x86_tlb_entry *e = x86_tlb_cached(v, table, lin, access);

	if (LIKELY(e != NULL))
		return e;
	e = walk(v, table, lin, access);
	v->tlb->no_walk = e ? TAG_NONE : PAGE(lin);
	return e;
}
