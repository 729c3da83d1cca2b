/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks that move. A block is for one RIP: addresses relative to RIP, return addresses and targets
 * are worked out when it is made. Under address-space layout randomization the pages of programs
 * and libraries, which stay where they are in RAM, are somewhere else in each process. So the
 *blocks of a page, together with their translations, are kept as an instance for one linear
 *address, and when the page is executed at an address that has none, an instance of another address
 *is moved: everything in it that depends on RIP is changed by the same distance. That takes a
 *microsecond or two instead of decoding and translating all of it again.
 *
 * When to move and when to have one more. The instance that was not used for longest is moved,
 * unless it was moved away from the very address that is wanted now: then two processes use the
 * page, and there will be one for each, up to INSTANCES_MOST. So programs that follow each other
 * share one instance, and a shell keeps its own.
 *
 * Only the run loop moves blocks (block_find()), when no block is being executed. What may still
 * lead to a block by its old RIP:
 *
 *	links inside the page: they lead to blocks that have moved as far
 *	links from and to other pages: block_chain() compares RIPs; translated code: hooks.moved()
 *	jump tables: compare RIPs
 *	return addresses on the translator's stack: lead to code that compares, and has moved, too
 *
 * Modes in which RIP is not the linear address are not taken part in (key_can_move()); instances
 * near the ends of the address space, where targets could wrap or not be canonical, and code that
 * has short encodings of its addresses (in the lower 4 GiB) stay where they are.
 */
#include "engine/interp/interp.h"

#define INSTANCES_MOST 4 /* of a page in a mode */
#define NEVER_MOVED    1u
#define JUMPS_REACH    (1ull << 31)

static struct instance **bucket(struct interp_cpu *ic, const uint8_t *page, uint32_t key)
{
	uint64_t h = ((uintptr_t)page >> 12 ^ (uint64_t)key << 40) * 0x9e3779b97f4a7c15ull;

	return &ic->instance[(h >> 40) & (INSTANCE_HASH - 1)];
}

static bool is_of(const struct instance *i, const uint8_t *page, uint32_t key, uint16_t off)
{
	return i->page == page && i->key == key && i->off == off;
}

static void set_base(struct instance *i, uint64_t base)
{
	i->base = base;
	i->base2 = i->key & X86_MODE_CS64 ? base + 0x1000 : (uint32_t)(base + 0x1000);
}

bool instance_list_add(struct interp_cpu *ic, struct instance_list **head, void *p)
{
	struct instance_list *l = *head;

	if (!l || l->n == ARRAY_SIZE(l->p)) {
		l = block_pool_alloc(ic, sizeof(*l));
		if (!l)
			return false;
		l->next = *head;
		l->n = 0;
		*head = l;
	}
	l->p[l->n++] = p;
	return true;
}

void instance_add(struct interp_cpu *ic, struct block *b)
{
	struct instance **head = bucket(ic, b->page, b->key), *i;
	uint16_t off = b->flags & BLOCK_TWO_PAGES ? b->page_off : INSTANCE_PAGE;
	uint64_t base = b->rip & ~0xfffull;

	for (i = *head; i; i = i->next)
		if (is_of(i, b->page, b->key, off) && i->base == base && i->page2 == b->page2)
			break;
	if (!i) {
		i = block_pool_alloc(ic, sizeof(*i));
		check(i); /* part of the room that building a block needs */
		*i = (struct instance){.next = *head,
				       .page = b->page,
				       .page2 = b->page2,
				       .key = b->key,
				       .off = off,
				       .before = NEVER_MOVED,
				       .gen = b->gen,
				       .own_used = ++ic->turn};
		i->used = &i->own_used;
		set_base(i, base);
		*head = i;
	}
	b->inst = i;
	check(instance_list_add(ic, &i->blocks, b)); /* the same */
}

/* Is every target that code at @base can name canonical, or below 4 GiB without wrapping? */
static bool is_inner(uint64_t base, uint32_t key)
{
	if (key & X86_MODE_CS64)
		return x86_canonical(base - JUMPS_REACH - 0x1000) &&
		       x86_canonical(base + JUMPS_REACH + 0x2000);
	return base < 0xfffff000;
}

/* Do the blocks still hold what is in the page? */
static bool is_current(struct interp_cpu *ic, struct instance *i, const struct x86_tlb_entry *e)
{
	const struct block *first = i->blocks->p[0];
	uint64_t gen = atomic_load(&first->meta->gen);

	if (i->gen == gen && i->off == INSTANCE_PAGE)
		return true;
	for (const struct instance_list *l = i->blocks; l; l = l->next)
		for (unsigned k = 0; k < l->n; k++) {
			struct block *b = l->p[k];

			if (b->meta2 && b->gen2 != atomic_load(&b->meta2->gen))
				return false;
			if (block_valid(b))
				continue;
			if (b->meta2 || !block_unchanged(ic, b, e))
				return false;
		}
	i->gen = gen;
	return true;
}

/* Not looked up any more. Who can still get to its blocks does so by their RIPs, which do not
 * change now. */
static void retire(struct interp_cpu *ic, struct instance *i)
{
	struct instance **at = bucket(ic, i->page, i->key);

	while (*at != i)
		at = &(*at)->next;
	*at = i->next;
	for (const struct instance_list *l = i->blocks; l; l = l->next)
		for (unsigned k = 0; k < l->n; k++)
			block_unhash(ic, l->p[k]);
}

/* With what leads to it: returns and indirect jumps look there. */
static void shift(struct interp_cpu *ic, struct block *b, uint64_t delta)
{
	block_link *old = &ic->jump[jump_slot(b->rip)], link = jump_link(b, b->rip);

	block_shift(b, delta);
	if (*old != link)
		return;
	*old = 0;
	jump_put(ic, b, b->rip);
}

static void move(struct vcpu *v, struct instance *i, uint64_t base)
{
	struct interp_cpu *ic = icpu(v);
	uint64_t delta = base - i->base;

	ic->link = NULL; /* it may be one of these */
	if (ic->tr)
		x87_resolve(v); /* while its instruction has the RIP that it ran at */
	for (const struct instance_list *l = i->blocks; l; l = l->next) {
		for (unsigned k = 0; k < l->n; k++)
			__builtin_prefetch(&((struct block *)l->p[k])->rip, 1);
		for (unsigned k = 0; k < l->n; k++)
			shift(ic, l->p[k], delta);
		ic->moved += l->n;
	}
	i->before = i->base;
	set_base(i, base);
	*i->used = ++ic->turn;
	if (ic->hooks)
		ic->hooks->moved(v, i, delta);
}

/* The same for instances of one kind. */
static bool bring(struct vcpu *v, const struct x86_tlb_entry *e, uint64_t base, uint32_t key,
		  uint16_t off)
{
	struct interp_cpu *ic = icpu(v);
	struct instance *old = NULL, *fixed = NULL;
	bool back = false;
	unsigned n = 0;

	for (struct instance *i = *bucket(ic, e->host, key); i; i = i->next) {
		struct instance **oldest = i->fixed ? &fixed : &old;

		if (!is_of(i, e->host, key, off))
			continue;
		if (i->base == base)
			return false;
		n++;
		back |= i->before == base;
		if (!*oldest || ic->turn - *i->used > ic->turn - *(*oldest)->used)
			*oldest = i;
	}
	if (back && n < INSTANCES_MOST)
		return false;
	if (!old || !is_inner(old->base, key) || !is_inner(base, key)) {
		if (n >= INSTANCES_MOST)
			retire(ic, old ? old : fixed);
		return false;
	}
	if (!is_current(ic, old, e)) {
		retire(ic, old);
		return false;
	}
	move(v, old, base);
	return true;
}

bool instance_bring(struct vcpu *v, const struct x86_tlb_entry *e, uint64_t rip, uint32_t key)
{
	bool moved = bring(v, e, rip & ~0xfffull, key, INSTANCE_PAGE);

	return bring(v, e, rip & ~0xfffull, key, (uint16_t)(rip & 0xfff)) || moved;
}
