/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which blocks are translated as one (struct xlat: part, first). From a hot block on the likelier
 * successors in the same page follow, forwards: the fall-through or the target of a conditional
 * jump, the target of a jump, and what comes after a call. The call's own target is another block;
 * its return comes back to the middle of this one (block.c: go_on_after_call()).
 *
 * Backwards only one block follows, with what comes after that: one that ends in an indirect jump,
 * the common part of a byte code's instructions (tr_block.onward). Then each of those has an
 * indirect jump of its own, and flags that nobody looks at are not saved on the way there. Nothing
 * is polled between the two; so whatever leaves the second is (xlat_in_tail()).
 */
#include "engine/translate/xlat.h"

/* The interpreter's handler of instruction @i, whatever runs it now. */
static uop_fn handler(const struct block *b, unsigned i)
{
	return i == 0 || b->uop[i].fn == tr_resume ? b->cold[i].fn : b->uop[i].fn;
}

void xlat_decode_part(struct xlat *x, const struct block *b, unsigned at)
{
	unsigned bits = b->key & X86_MODE_CS64 ? 64 : b->key & X86_MODE_CS32 ? 32 : 16;

	for (unsigned i = 0; i < b->n_insns; i++) {
		struct insn *in = &x->in[at + i];

		/* what does not decode has a handler that ends the block */
		(void)decode_guest(x->v, b->bytes + b->cold[i].off, b->n_bytes - b->cold[i].off,
				   bits, in);
	}
}

static uint32_t heat_of(const struct translator *t, const struct block *b)
{
	return !b ? 0 : b->native ? t->hot : b->heat + 1;
}

static uint64_t last_rip(const struct block *b)
{
	return b->rip + b->cold[b->n_insns - 1u].off;
}

/* Can the code of a block at @rip follow that of @b? Only forwards: then no block comes twice. */
static struct block *follower(struct xlat *x, struct block *b, uint64_t rip)
{
	struct block *nb;

	if (rip <= last_rip(b) || (rip ^ x->part[0]->rip) & ~0xfffull)
		return NULL;
	nb = block_beside(x->v, b, rip, x->t->hot == 1);
	if (!nb || nb->gen != b->gen || x->first[x->n_parts] + nb->n_insns > BLOCK_MAX_INSNS)
		return NULL;
	return nb;
}

/* The same backwards, if what is at @rip ends in an indirect jump and nobody need be polled there.
 */
static struct block *tail(struct xlat *x, struct block *b, uint64_t rip)
{
	struct block *nb;
	unsigned n;

	if (x->tail || rip > last_rip(b) || (rip ^ x->part[0]->rip) & ~0xfffull)
		return NULL;
	nb = block_beside(x->v, b, rip, x->t->hot == 1);
	if (!nb || nb->gen != b->gen)
		return NULL;
	if (x->t->hot != 1 && (!nb->tr || !nb->tr->onward || nb->tr->dead))
		return NULL;
	n = nb->tr ? nb->tr->b->n_insns : nb->n_insns;
	if (x->first[x->n_parts] + MAX(n, nb->n_insns) > BLOCK_MAX_INSNS)
		return NULL;
	for (unsigned p = 0; p < x->n_parts; p++)
		if (x->part[p] == nb)
			return NULL;
	x->tail = (uint8_t)x->n_parts;
	return nb;
}

/* The tail is not what it should be: the block ends before it. */
static void cut_tail(struct xlat *x)
{
	unsigned last = x->first[x->n_parts] - 1u;

	if (!x->tail || (x->n_parts > x->tail && x->in[last].special == SP_JMP_IND))
		return;
	x->n_parts = x->tail;
	x->tail = 0;
}

bool xlat_in_tail(const struct xlat *x)
{
	for (unsigned p = 1; p <= x->now && p < x->n_parts; p++)
		if (x->part[p]->rip <= x->part[p - 1]->rip)
			return true;
	return false;
}

/* Where the call that ends @b comes back to, if it does. */
static struct block *after_call(struct xlat *x, struct block *b)
{
	struct block *nb = follower(x, b, b->rip + b->cold[b->n_insns].off);

	return nb && 2 * heat_of(x->t, nb) >= x->t->hot ? nb : NULL;
}

/* The block that usually comes after @b, if it can be translated with it. Sets x->loop when @b can
 * jump to the first one. */
static struct block *next_part(struct xlat *x, struct block *b, bool more)
{
	unsigned last = x->first[x->n_parts] - 1u;
	const struct insn *in = &x->in[last];
	struct block *to, *next;
	struct uop u = {0};

	if (in->special != SP_JCC && in->special != SP_JMP_REL && !xlat_is_call(in))
		return NULL;
	if (uop_fn_ends(handler(b, b->n_insns - 1u)) ||
	    !branch_handler(b->key, in, b->rip + b->cold[b->n_insns - 1u].off, &u))
		return NULL;
	if (xlat_is_call(in)) {
		x->calls = true;
		return more ? after_call(x, b) : NULL;
	}
	/* one with calls is no short loop */
	x->loop |= u.imm == x->part[0]->rip && !x->calls && !x->tail;
	if (!more)
		return NULL;
	to = follower(x, b, u.imm);
	if (in->special == SP_JMP_REL)
		return to ? to : tail(x, b, u.imm);
	next = follower(x, b, (uint64_t)u.disp);
	/* a loop that turns is translated alone (loop.c); one that counts will, if it has not yet
	 */
	if (u.imm == x->part[0]->rip &&
	    (x->t->hot == 1 || heat_of(x->t, x->part[0]) > 2 * heat_of(x->t, next) ||
	     xlat_counts(x, last + 1)))
		return NULL;
	if (to == next)
		return NULL;
	return heat_of(x->t, to) > 2 * heat_of(x->t, next) ? to : next;
}

void xlat_gather(struct xlat *x, struct block *b)
{
	bool more = b->key & X86_MODE_FLAT && !b->alone && !x->ic->unchained &&
		    !(b->flags & BLOCK_TWO_PAGES);

	x->n_parts = 0;
	x->first[0] = 0;
	while (b && x->n_parts < XLAT_PARTS) {
		xlat_decode_part(x, b, x->first[x->n_parts]);
		x->part[x->n_parts++] = b;
		x->first[x->n_parts] = (uint8_t)(x->first[x->n_parts - 1] + b->n_insns);
		b = next_part(x, b, more);
	}
	cut_tail(x);
}

struct block *xlat_join(struct xlat *x)
{
	const struct block *head = x->part[0];
	unsigned n = x->first[x->n_parts];
	int before = 0, n_bytes = 0;
	struct block *b;
	size_t size;

	for (unsigned p = 0; p < x->n_parts; p++) {
		int off = (int)(x->part[p]->rip - head->rip);

		before = MAX(before, -off);
		n_bytes = MAX(n_bytes, off + x->part[p]->n_bytes);
	}
	size = sizeof(*b) + (n + 1) * (sizeof(struct uop) + sizeof(struct uop_cold)) +
	       (size_t)(before + n_bytes);
	b = block_pool_alloc(x->ic, size);
	if (!b)
		return NULL;
	*b = (struct block){.rip = head->rip,
			    .page = head->page,
			    .meta = head->meta,
			    .gen = head->gen,
			    .inst = head->inst,
			    .key = head->key,
			    .n_insns = (uint16_t)n,
			    .n_bytes = (uint16_t)n_bytes,
			    .page_off = head->page_off};
	b->cold = (struct uop_cold *)&b->uop[n + 1];
	b->bytes = (uint8_t *)&b->cold[n + 1] + before;
	memset(b->bytes - before, 0, (size_t)(before + n_bytes));
	for (unsigned p = 0; p < x->n_parts; p++) {
		const struct block *c = x->part[p];
		int off = (int)(c->rip - head->rip);

		memcpy(b->bytes + off, c->bytes, c->n_bytes);
		b->rip_rel |= c->rip_rel;
		for (unsigned i = 0; i <= c->n_insns; i++) {
			unsigned k = x->first[p] + i;

			b->uop[k] = c->uop[i];
			b->uop[k].n = (uint8_t)k;
			b->cold[k] = c->cold[i];
			b->cold[k].off = (int16_t)(b->cold[k].off + off);
			b->uop[k].fn = b->cold[k].fn = handler(c, i);
		}
	}
	return b;
}
