/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LOCKed accesses that cross a page ("split locks"). Intel SDM vol. 3, 9.1.2.2: they are atomic
 * like any other, against every access of every agent to any of the bytes.
 *
 * The host can do that too, if the two pages are neighbours. So each vCPU has a window of two pages
 * of its own address space, in which the two guest pages (parts of memfds) are mapped side by side;
 * the instruction then runs there as a single host access. The last pair stays mapped, because who
 * does this once does it again.
 *
 * Only pages that the TLB lets this vCPU write directly get here. MMIO, ROM and pages with watch
 * points do not.
 */
#include "cpu/x86/internal.h"

#include <sys/mman.h>

#define PAGE 4096ul

/* Inaccessible pages on either side. */
static uint8_t *window_new(void)
{
	uint8_t *p = mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p + PAGE;
}

void x86_pair_free(struct x86_tlb *t)
{
	if (t->pair.host)
		munmap(t->pair.host - PAGE, 4 * PAGE);
	t->pair.host = NULL;
}

static bool window_map(struct x86_tlb *t, unsigned i, const struct x86_tlb_entry *e)
{
	if (t->pair.page[i].block == e->block && t->pair.page[i].off == x86_entry_off(e))
		return true;
	t->pair.page[i].block = NULL;
	if (mmap(t->pair.host + i * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 e->block->fd, (off_t)x86_entry_off(e)) == MAP_FAILED)
		return false;
	t->pair.page[i].block = e->block;
	t->pair.page[i].off = x86_entry_off(e);
	return true;
}

static gva_t second_page(const struct vcpu *v, gva_t lin)
{
	gva_t next = (lin | 0xfff) + 1;

	return x86_is_64(v) ? next : (uint32_t)next;
}

int x86_pair_ptr(struct vcpu *v, gva_t lin, unsigned size, uint8_t **ret_p)
{
	struct x86_tlb *t = v->tlb;
	struct x86_tlb_entry *a, *b;

	*ret_p = NULL;
	if ((lin & 0xfff) + size <= PAGE)
		return X86_OK;
	if (x86_probe(v, lin, size, X86_ACC_WRITE))
		return X86_FAULT;
	a = x86_tlb_hit(v, lin, 1, X86_ACC_WRITE);
	b = x86_tlb_hit(v, second_page(v, lin), 1, X86_ACC_WRITE);
	if (!a || !b || (!t->pair.host && !(t->pair.host = window_new())))
		return X86_OK;
	if (window_map(t, 0, a) && window_map(t, 1, b))
		*ret_p = t->pair.host + (lin & 0xfff);
	return X86_OK;
}

void x86_pair_stored(struct vcpu *v, gva_t lin, unsigned size)
{
	unsigned first = (unsigned)(PAGE - (lin & 0xfff));
	gva_t next = second_page(v, lin);
	struct x86_tlb_entry *a = x86_tlb_hit(v, lin, 1, X86_ACC_WRITE);
	struct x86_tlb_entry *b = x86_tlb_hit(v, next, 1, X86_ACC_WRITE);

	/* Nothing between the two calls flushes the TLB. */
	check(a && b);
	x86_stored(v, a, lin, first);
	x86_stored(v, b, next, size - first);
}
