/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages that the compared block stores to: copied before the first store, put back between the two
 * runs, compared after the second. A store is seen by its TLB entry getting a write tag
 * (x86_mem_watch); all write tags are dropped before each comparison.
 *
 * Putting back also restores the marks of decoded code (engine/interp/block.c), so that a store
 * into code is seen by the second run as it was by the first.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/lockstep/lockstep.h"

int ls_pages_init(struct ls_pages *p, struct error *err)
{
	void *m = mmap(NULL, LS_PAGES * 2 * MEM_PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (m == MAP_FAILED)
		return error_set(err, -ENOMEM, "lockstep: no memory for copies of pages");
	p->memory = m;
	for (unsigned i = 0; i < LS_PAGES; i++) {
		p->page[i].before = p->memory + i * 2 * MEM_PAGE_SIZE;
		p->page[i].after = p->page[i].before + MEM_PAGE_SIZE;
	}
	p->all_entries = true;
	return 0;
}

void ls_pages_done(struct ls_pages *p)
{
	if (p->memory)
		munmap(p->memory, LS_PAGES * 2 * MEM_PAGE_SIZE);
	p->memory = NULL;
}

static const uint8_t *host(const struct ls_page *g)
{
	return g->block->host + g->off;
}

static _Atomic uint64_t *granules(const struct interp_vm *ivm, const struct ls_page *g)
{
	uint64_t n = (g->block->ram_offset + g->off) >> MEM_PAGE_SHIFT;

	return n < ivm->n_pages ? &ivm->pages[n].granules : NULL;
}

static void add_page(struct ls_pages *p, const struct interp_vm *ivm, const struct x86_tlb_entry *e)
{
	struct ls_page *g;

	for (unsigned i = 0; i < p->n; i++)
		if (p->page[i].block == e->block && p->page[i].off == x86_entry_off(e))
			return;
	if (p->n == LS_PAGES) {
		p->overflow = true;
		return;
	}
	g = &p->page[p->n++];
	g->block = e->block;
	g->off = x86_entry_off(e);
	memcpy(g->before, host(g), MEM_PAGE_SIZE);
	g->code = atomic_load(e->code);
	g->granules = granules(ivm, g) ? atomic_load(granules(ivm, g)) : 0;
}

void ls_pages_store(struct ls_pages *p, const struct interp_vm *ivm, struct x86_tlb_entry *e)
{
	if (p->n_entries < LS_ENTRIES)
		p->entry[p->n_entries++] = e;
	else
		p->all_entries = true;
	if (p->active)
		add_page(p, ivm, e);
}

static void drop_tags(struct ls_pages *p, struct vcpu *v)
{
	x86_tlb_drop_writes(v, p->entry, p->all_entries ? UINT_MAX : p->n_entries);
	p->n_entries = 0;
	p->all_entries = false;
}

void ls_pages_begin(struct ls_pages *p, struct vcpu *v)
{
	drop_tags(p, v);
	p->n = 0;
	p->overflow = false;
	p->active = true;
}

void ls_pages_end(struct ls_pages *p, struct vcpu *v)
{
	p->active = false;
	drop_tags(p, v);
}

void ls_pages_undo(struct ls_pages *p, struct interp_vm *ivm, bool keep)
{
	for (unsigned i = 0; i < p->n; i++) {
		struct ls_page *g = &p->page[i];
		uint64_t *now = (uint64_t *)(void *)(g->block->host + g->off);
		const uint64_t *old = (const uint64_t *)(const void *)g->before;

		if (keep)
			memcpy(g->after, now, MEM_PAGE_SIZE);
		/* only what was changed: others may be looking at the rest */
		for (unsigned k = 0; k < MEM_PAGE_SIZE / 8; k++)
			if (now[k] != old[k])
				now[k] = old[k];
		if (!g->code || atomic_load(&g->block->code[g->off >> MEM_PAGE_SHIFT]))
			continue;
		pthread_mutex_lock(&ivm->code_lock);
		if (granules(ivm, g))
			atomic_store(granules(ivm, g), g->granules);
		atomic_store(&g->block->code[g->off >> MEM_PAGE_SHIFT], g->code);
		pthread_mutex_unlock(&ivm->code_lock);
	}
}

int ls_pages_differ(const struct ls_pages *p)
{
	for (unsigned i = 0; i < p->n; i++)
		if (memcmp(host(&p->page[i]), p->page[i].after, MEM_PAGE_SIZE))
			return (int)i;
	return -1;
}
