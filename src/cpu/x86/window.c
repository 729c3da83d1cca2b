/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows: pages that follow each other in a program's address space, but not in guest RAM, mapped
 * a second time so that they follow each other in the host's, too. Then one slot (vcpu.h) has all
 * of them: a stack frame that lies across two pages, a pointer that goes all over an array of many
 * pages. Guest RAM is a file, so both mappings are the same memory.
 *
 * A window has room for what one page table maps, 2 MiB, each page at its place. It belongs to that
 * table's place in guest RAM and to the linear address, so a process finds its own again after
 * others have run. Which page of RAM is mapped where is looked at each time a range is made of
 * it, and what differs is mapped anew. What a range (and a slot made from it) may have is what it
 * may have anyway: neighbours that the page table maps with the same rights and with accessed (for
 * stores: dirty) bits set. Windows are of user mode, 4 KiB pages and 64-bit entries; each vCPU has
 * its own, with several for loads only, as stores are noted by page (x86_note_store()).
 *
 * Invariant: while slots may have a page of a window, that stays as it is. So a page that is in a
 * range (window.out) is mapped anew only after slots of user mode have been emptied, which steps
 * slots.period; nor is a window given to others before. Ranges that were put aside (park.c)
 * come back only if neither has happened meanwhile (window.changes).
 *
 * A page that does not follow its neighbour in RAM is a mapping of its own for the host's kernel,
 * which lets a process have 65,530 (vm.max_map_count): so the vCPUs share X86_WINDOWS_VM windows.
 *
 * Mapping a page takes 2 us and its first touch 1 us, so no more than one in WINDOW_TSC cycles is,
 * on average. The system call is made here, not by the C library, because translated code calls
 * this with the guest's vector registers in place (tlb.c).
 */
#include "cpu/x86/internal.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#define WINDOW_TSC   19u  /* 2 to the power of it: cycles for each page mapped */
#define WINDOW_BURST 256u /* that may be mapped at once after a time without */
#define AGAIN        48u  /* pages looked at on either side where nobody misses all the time */

static bool map_pages(const struct x86_windows *ws, uint8_t *at, uint32_t page, unsigned n)
{
	register long r10 __asm__("r10") = MAP_SHARED | MAP_FIXED | MAP_NORESERVE;
	register long r8 __asm__("r8") = ws->block->fd;
	register long r9 __asm__("r9") = (long)((uint64_t)page << MEM_PAGE_SHIFT);
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(SYS_mmap), "D"(at), "S"((long)n << MEM_PAGE_SHIFT),
			   "d"(PROT_READ | PROT_WRITE), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret == (long)(uintptr_t)at;
}

/* A page may be mapped in 2^WINDOW_TSC cycles: how many may be now? */
static void earn(struct x86_windows *ws)
{
	uint64_t now = __builtin_ia32_rdtsc(), n = (now - ws->since) >> WINDOW_TSC;

	ws->since += n << WINDOW_TSC;
	ws->credit = ws->eager ? WINDOW_BURST : (uint32_t)MIN(ws->credit + n, WINDOW_BURST);
}

/* What a range is made of. */
struct making {
	struct vcpu *v;
	struct x86_window *w;
	struct x86_leaf l;
	uint64_t care; /* bits of entries that must be alike */
	bool write;
	uint64_t todo[X86_WINDOW_PAGES / 64]; /* bits: to be mapped */
};

static bool bit(const uint64_t *words, unsigned k)
{
	return words[k / 64] >> k % 64 & 1;
}

/* Can page @k of the window be in the range? If it has to be mapped for that it is in todo[]. */
static bool take(struct making *g, unsigned k)
{
	const struct x86_tlb *t = g->v->tlb;
	struct x86_windows *ws = g->v->slots.windows;
	uint64_t e = x86_leaf_entry(&g->l, k), off;
	gpa_t gpa = e & t->frame_mask;

	if ((e ^ g->l.val) & g->care || gpa < t->run.start ||
	    gpa + MEM_PAGE_SIZE > t->run.start + t->run.len || x86_lapic_page(g->v, gpa))
		return false;
	off = t->run.block_off + (gpa - t->run.start);
	if (off & (MEM_PAGE_SIZE - 1) || off >> MEM_PAGE_SHIFT >= UINT32_MAX ||
	    (g->write &&
	     atomic_load_explicit(&ws->block->code[off >> MEM_PAGE_SHIFT], memory_order_relaxed)))
		return false;
	off = (off >> MEM_PAGE_SHIFT) + 1;
	if (g->w->frame[k] == off)
		return true;
	if (bit(g->w->out, k) || !ws->credit)
		return false;
	ws->credit--;
	if (g->w->frame[k])
		g->w->changes++;
	g->w->frame[k] = (uint32_t)off;
	g->todo[k / 64] |= BIT(k % 64);
	return true;
}

static bool map_todo(struct making *g, unsigned lo, unsigned hi)
{
	struct x86_windows *ws = g->v->slots.windows;
	uint8_t *host = ws->host + (size_t)(g->w - ws->w) * X86_WINDOW_SIZE;
	uint32_t *frame = g->w->frame;
	bool ok = true;

	for (unsigned k = lo, n; k <= hi; k += n) {
		n = 1;
		if (!bit(g->todo, k))
			continue;
		while (k + n <= hi && bit(g->todo, k + n) && frame[k + n] == frame[k] + n)
			n++;
		if (ok)
			ok = map_pages(ws, host + ((size_t)k << MEM_PAGE_SHIFT), frame[k] - 1, n);
		for (unsigned i = 0; i < n && !ok; i++)
			frame[k + i] = 0;
		g->w->changes += !ok;
	}
	return ok;
}

/* The window of the page table at @table for @lin; with @any, one that it may have. */
static struct x86_window *find(struct vcpu *v, uint64_t lin, const uint8_t *table, bool any)
{
	struct x86_windows *ws = v->slots.windows;
	uint32_t period = atomic_load_explicit(&v->slots.period[0], memory_order_relaxed);
	struct x86_window *oldest = NULL;

	for (struct x86_window *w = ws->w; w < ws->w + ws->n; w++) {
		if (w->table == table && w->lin == lin / X86_WINDOW_SIZE) {
			oldest = w;
			any = true;
			break;
		}
		if (w->period != period && (!oldest || w->used - oldest->used > UINT32_MAX / 2))
			oldest = w;
	}
	if (!any || !oldest)
		return NULL;
	if (oldest->period != period)
		for (unsigned i = 0; i < ARRAY_SIZE(oldest->out); i++)
			oldest->out[i] = 0;
	oldest->period = period;
	oldest->used = ++ws->turn;
	if (oldest->table != table || oldest->lin != lin / X86_WINDOW_SIZE)
		oldest->changes++;
	oldest->table = table;
	oldest->lin = lin / X86_WINDOW_SIZE;
	return oldest;
}

/* Stores may go to [@lo, @hi] of the window. */
static void note_stores(struct making *g, unsigned lo, unsigned hi)
{
	struct x86_windows *ws = g->v->slots.windows;

	if (ws->stores_period != g->w->period)
		for (unsigned i = 0; i < ARRAY_SIZE(ws->stores); i++)
			ws->stores[i] = 0;
	ws->stores_period = g->w->period;
	for (unsigned k = lo; k <= hi; k++) {
		unsigned f = g->w->frame[k] % X86_WINDOW_FILTER;

		ws->stores[f / 64] |= BIT(f % 64);
	}
}

/* [@lo, @hi] of the window is a range for slots of @set. */
static const struct x86_range *keep_range(struct making *g, unsigned set, unsigned lo, unsigned hi)
{
	struct x86_slots *s = &g->v->slots;
	struct x86_windows *ws = s->windows;
	struct x86_range *r = s->range[set], new;

	new = (struct x86_range){
		.base = g->w->lin * X86_WINDOW_SIZE + ((uint64_t)lo << MEM_PAGE_SHIFT),
		.len = (hi - lo + 1ull) << MEM_PAGE_SHIFT,
		.host = (uintptr_t)ws->host + (uintptr_t)(g->w - ws->w) * X86_WINDOW_SIZE +
			((uintptr_t)lo << MEM_PAGE_SHIFT)};
	for (unsigned i = 0; i < X86_RANGES; i++)
		if (r[i].base - new.base < new.len &&new.len >= r[i].len)
			r[i].len = 0;
	r += X86_RANGES_SMALL + s->range_turn[set][0]++ % (X86_RANGES - X86_RANGES_SMALL);
	*r = new;
	s->ranges[0] |= (g->write ? 1u << X86_RANGES : 1u) << (r - s->range[set]);
	for (unsigned k = lo; k <= hi; k++)
		g->w->out[k / 64] |= BIT(k % 64);
	if (g->write)
		note_stores(g, lo, hi);
	return r;
}

const struct x86_range *x86_window_range(struct vcpu *v, unsigned set, gva_t lin, bool fresh)
{
	struct making g = {.v = v, .write = set & X86_SLOT_WRITE};
	unsigned i = lin >> MEM_PAGE_SHIFT & (X86_WINDOW_PAGES - 1), lo = i, hi = i;
	struct x86_windows *ws = v->slots.windows;
	const struct x86_tlb *t = v->tlb;
	bool up, down;

	if (!ws || set & X86_SLOT_SUPER || (!fresh && !ws->turn) ||
	    (g.write &&
	     atomic_load_explicit(&v->slots.noting, memory_order_relaxed) == X86_NOTED_ALL) ||
	    (ws->block && t->run.block != ws->block) || !x86_leaf_find(v, lin, &g.l) ||
	    g.l.entry != 8 || g.l.shift != MEM_PAGE_SHIFT || !(g.l.rights & PTE_U) ||
	    (g.write && (!(g.l.val & PTE_D) || !(g.l.rights & PTE_W))))
		return NULL;
	/* pages are to be found here, and in guest RAM by the next slot */
	if (ws->eager && ++ws->asked % 4 == 0)
		return NULL;
	ws->block = t->run.block;
	g.care = ~(uint64_t)(7 << 9 | PTE_W | PTE_D) & ~(0x7ffull << 52) & ~t->frame_mask;
	if (g.write)
		g.care |= PTE_W | PTE_D;
	earn(ws);
	if (g.l.val & PTE_G)
		v->slots.global_user = true;
	g.w = find(v, lin, g.l.table, fresh);
	if (!g.w)
		return NULL;
	up = down = take(&g, i);
	if (ws->eager && ws->asked % 4 == 2)
		up = false; /* as where no more may be mapped */
	for (unsigned n = 0; (up || down) && (fresh || n < AGAIN); n++) {
		up = up && hi + 1 < X86_WINDOW_PAGES && take(&g, hi + 1);
		hi += up;
		down = down && lo > 0 && take(&g, lo - 1);
		lo -= down;
	}
	if (!map_todo(&g, lo, hi) || lo == hi)
		return NULL;
	return keep_range(&g, set, lo, hi);
}

uint32_t x86_windows_of(const struct vcpu *v, uint64_t code)
{
	const struct x86_windows *ws = v->slots.windows;
	uint32_t period = atomic_load_explicit(&v->slots.period[0], memory_order_relaxed), ret = 0;
	uint64_t frame;

	if (!ws || !ws->turn)
		return 0;
	frame = code - (uintptr_t)ws->block->code + 1;
	/* most pages with code are in none, and a guest that writes its code asks all the time */
	if (ws->stores_all != period &&
	    (ws->stores_period != period || !bit(ws->stores, frame % X86_WINDOW_FILTER)))
		return 0;
	for (unsigned n = 0; n < ws->n; n++) {
		const struct x86_window *w = &ws->w[n];

		for (unsigned k = 0; w->period == period && k < X86_WINDOW_PAGES; k++)
			if (w->frame[k] == frame && bit(w->out, k)) {
				ret |= 1u << n;
				break;
			}
	}
	return ret;
}
