/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What connects translated blocks, and what becomes of it: links between them, blocks that are not
 * entered any more, and blocks that move with their instance (engine/interp/instance.c).
 *
 * Links. An exit jumps to its stub or, linked, to an entry of the block that it is for. Links
 * inside an instance hold whatever happens to it. The others are in a list of the block they lead
 * to; when either end moves, the exit is linked if the block is at its target then, else it leads
 * to the stub meanwhile: pages of one library follow each other to the library's new address, and
 * in the end all links are as they were, without any having been made again.
 *
 * Moving a block's code means to add the distance to all numbers in it that have RIP in them
 * (tr_block.relocs): operands relative to RIP, return addresses that are pushed and compared. Other
 * addresses come from struct block and struct instance, on rare paths only. Numbers that fit 32
 * bits have short encodings in 64-bit code; such code cannot move, but then it is where
 * randomization puts nothing. Code that is not entered any more moves, too: return addresses of the
 * native stack may still lead there. Its entries are jumps then, whose bytes are nobody else's.
 */
#include "engine/translate/xlat.h"

/* ---- relocations ---- */

void xlat_reloc(struct xlat *x, unsigned at, unsigned size)
{
	size_t off = (size_t)(x->m.buf - x->t->map.rw) + at;

	check(off < RELOC_32);
	if (x->n_relocs == XLAT_RELOCS)
		x->fixed = true;
	else
		x->reloc[x->n_relocs++] = (uint32_t)off | (size == 4 ? RELOC_32 : 0);
}

void xlat_rip(struct xlat *x, unsigned reg, uint64_t val, bool wide)
{
	if (!wide)
		val = (uint32_t)val;
	tr_imm64(&x->m, reg, val);
	if (!wide)
		xlat_reloc(x, x->m.n - 4, 4);
	else if (val <= 0xffffffff || (int64_t)val == (int32_t)val)
		x->fixed = true; /* a short encoding */
	else
		xlat_reloc(x, x->m.n - 8, 8);
}

bool xlat_keep_relocs(struct xlat *x, struct tr_block *tb)
{
	struct instance *i = tb->b->inst;
	struct tr_relocs *r;

	if (!i)
		return true;
	i->fixed |= x->fixed;
	if (!x->n_relocs)
		return true;
	r = block_pool_alloc(x->ic, sizeof(*r) + x->n_relocs * sizeof(r->at[0]));
	if (!r)
		return false;
	r->n = x->n_relocs;
	memcpy(r->at, x->reloc, r->n * sizeof(r->at[0]));
	r->next = tb->relocs;
	tb->relocs = r;
	return true;
}

void tr_forget_reloc(struct tr_block *tb, size_t off, size_t n)
{
	for (struct tr_relocs *r = tb->relocs; r; r = r->next)
		for (uint32_t k = 0; k < r->n; k++) {
			size_t at = r->at[k] & ~RELOC_32, size = r->at[k] & RELOC_32 ? 4 : 8;

			if (at < off + n && off < at + size)
				r->at[k--] = r->at[--r->n];
		}
}

/* ---- blocks that are not entered any more ---- */

static uint8_t *writable(const struct tr_block *tb, const uint8_t *p)
{
	const struct translator *t = tb->t;
	uint8_t *rw = t->map.rw + (p - t->map.rx);

	check(tr_in_code(t, (size_t)(rw - t->map.rw), 5));
	return rw;
}

/* Are some of the bytes those of an entry that is a jump now? */
static bool is_lost(const struct tr_block *tb, const uint8_t *rw, size_t n)
{
	if (!tb->dead)
		return false;
	for (unsigned i = 0; i < TR_ENTRIES; i++) {
		const uint8_t *e = writable(tb, tb->entry[i]);

		if (rw < e + 5 && e < rw + n)
			return true;
	}
	return false;
}

static void redirect(const struct tr_block *tb, enum tr_entry i, const uint8_t *to)
{
	uint8_t *rw = writable(tb, tb->entry[i]);

	rw[0] = 0xe9;
	st_le32(rw + 1, (uint32_t)(to - (tb->entry[i] + 5)));
}

static struct tr_node **page_list(struct translator *t, const struct interp_page *meta)
{
	return &t->page[(uintptr_t)meta / sizeof(*meta) % TR_PAGES];
}

static void node_add(struct tr_block *tb, unsigned i, const struct interp_page *meta)
{
	struct tr_node **head = page_list(tb->t, meta), *n = &tb->node[i];

	*n = (struct tr_node){.tb = tb, .next = *head, .at = head};
	if (n->next)
		n->next->at = &n->next;
	*head = n;
}

void tr_list(struct tr_block *tb)
{
	node_add(tb, 0, tb->b->meta);
	if (tb->b->meta2)
		node_add(tb, 1, tb->b->meta2);
}

static void unlist(struct tr_block *tb)
{
	for (unsigned i = 0; i < 2; i++) {
		struct tr_node *n = &tb->node[i];

		if (!n->at)
			continue;
		*n->at = n->next;
		if (n->next)
			n->next->at = n->at;
		n->at = NULL;
	}
}

static void lead(const struct tr_exit *x, const uint8_t *to)
{
	const struct translator *t = x->tb->t;
	const uint8_t *rx = x->site - t->map.rw + t->map.rx;

	check(tr_in_code(t, (size_t)(x->site - t->map.rw), 4));
	st_le32(x->site, (uint32_t)(to - (rx + 4)));
}

static void unlink_exit(struct tr_exit *x)
{
	if (!x->at)
		return;
	*x->at = x->next;
	if (x->next)
		x->next->at = x->at;
	x->at = NULL;
	x->tb->n_out -= x->linked ? 1 : 0;
	x->linked = NULL;
}

void tr_link(struct tr_exit *x, struct tr_block *to, enum tr_entry i)
{
	bool inner = to->b->inst == x->tb->b->inst;
	struct tr_exit **head = inner ? &to->inner : &to->in;

	/* Of a block that is not entered any more: the site may be where its entry was. */
	if (!x->site || x->tb->dead)
		return;
	unlink_exit(x);
	x->linked = inner ? NULL : to;
	x->tb->n_out += inner ? 0 : 1;
	x->entry = (uint8_t)i;
	x->next = *head;
	x->at = head;
	if (x->next)
		x->next->at = &x->next;
	*head = x;
	lead(x, to->entry[i]);
}

/* The entry of @to for those that had entry @i of @old. */
static enum tr_entry as_before(const struct tr_block *old, enum tr_entry i,
			       const struct tr_block *to)
{
	if (!old->onward || to->onward)
		return i;
	return i == TR_M ? TR_M_POLL : i == TR_E ? TR_E_POLL : i;
}

/* Exits and the jump table that lead to @old lead to @to now, without the detour. */
static void lead_all(struct tr_block *old, struct tr_block *to)
{
	struct x86_jump *j = &old->t->jump[tr_jump_slot(to->b->rip)];

	for (struct tr_exit *x = old->in, *next; x; x = next) {
		next = x->next;
		tr_link(x, to, as_before(old, x->entry, to));
		tr_relink(x); /* its target may be elsewhere now */
	}
	for (struct tr_exit *x = old->inner, *next; x; x = next) {
		next = x->next;
		tr_link(x, to, as_before(old, x->entry, to));
	}
	if (j->entry == old->entry[TR_FAR])
		j->entry = to->entry[TR_FAR];
}

/* What comes back from a call goes on in the block, or (@close) to where its block is now. The
 * second byte and the first of jne rel32 to ras_miss: nop, jmp. */
static void put_backs(const struct tr_block *tb, bool close)
{
	for (unsigned i = 0; i < tb->n_back; i++) {
		uint8_t *rw = writable(tb, tb->rx + tb->back[i]);

		rw[0] = close ? 0x90 : 0x0f;
		rw[1] = close ? 0xe9 : 0x85;
	}
}

void tr_redirect(struct tr_block *old, struct tr_block *to)
{
	if ((to->first->often || to->first->paged) && old->b->inst == to->b->inst)
		lead_all(old, to);
	for (unsigned i = 0; i < TR_ENTRIES; i++)
		redirect(old, i, to->entry[as_before(old, i, to)]);
	put_backs(old, true);
	old->dead = true;
	old->by = old->b->inst == to->b->inst ? to : NULL;
	unlist(old);
}

void tr_forget(struct block *b)
{
	for (unsigned i = 1; i <= b->n_insns; i++)
		if (b->uop[i].fn == tr_resume)
			b->uop[i].fn = b->cold[i].fn;
	b->uop[0].fn = b->cold[0].fn;
	b->native = NULL;
	b->heat = 0;
}

void tr_close(struct tr_block *tb)
{
	tb->dead = true;
	unlist(tb);
	/* now: an exit that has been linked may be among the bytes */
	for (unsigned i = 0; i < TR_ENTRIES; i++)
		memcpy(tb->saved[i], writable(tb, tb->entry[i]), 5);
	for (unsigned i = 0; i < TR_ENTRIES; i++)
		redirect(tb, i, tb->leave[i == TR_E || i == TR_E_POLL]);
	put_backs(tb, true);
}

static bool is_valid(const struct block *b)
{
	return block_valid(b) &&
	       (!b->meta2 || b->gen2 == atomic_load_explicit(&b->meta2->gen, memory_order_acquire));
}

static void kill_stale(struct tr_node *n, const struct interp_page *meta)
{
	for (struct tr_node *next; n; n = next) {
		struct tr_block *tb = n->tb;
		const struct block *b = tb->b;

		next = n->next;
		if ((meta && b->meta != meta && b->meta2 != meta) || is_valid(b))
			continue;
		if (next && next->tb == tb) /* both pages in one list */
			next = next->next;
		tr_close(tb);
	}
}

void tr_stale(struct vcpu *v)
{
	struct interp_cpu *ic = icpu(v);
	struct interp_page *page[STALE_MOST];
	unsigned n = interp_fetch_stale(ic, page);

	if (n > STALE_MOST)
		for (unsigned i = 0; i < TR_PAGES; i++)
			kill_stale(ic->tr->page[i], NULL);
	else
		for (unsigned i = 0; i < n; i++)
			kill_stale(*page_list(ic->tr, page[i]), page[i]);
}

void tr_revive(struct tr_block *tb)
{
	if (!tb->dead)
		return;
	tb->dead = false;
	for (unsigned i = 0; i < TR_ENTRIES; i++)
		memcpy(writable(tb, tb->entry[i]), tb->saved[i], 5);
	put_backs(tb, false);
	for (unsigned i = 0; i < tb->n_exits; i++)
		tr_relink(&tb->exit[i]); /* which may have been among the bytes */
	tr_list(tb);
}

/* ---- links ---- */

void tr_relink(const struct tr_exit *x)
{
	const struct tr_block *to = x->linked;

	if (to && !is_lost(x->tb, x->site, 4))
		lead(x, to->b->rip == tr_exit_rip(x) ? to->entry[x->entry] : x->stub);
}

/* ---- moving ---- */

static void set_mapping(struct vcpu *v, const struct instance *i)
{
	struct x86_tlb_entry *tab =
		v->tlb->e[i->key & X86_MODE_USER ? X86_TLB_USER : X86_TLB_SUPER];

	*i->mapping = (struct tr_mapping){.epoch = ~0ull,
					  .base = {i->base, i->base2},
					  .page = {i->page, i->page2},
					  .entry = {&tab[(i->base >> 12) & (X86_TLB_SIZE - 1)],
						    &tab[(i->base2 >> 12) & (X86_TLB_SIZE - 1)]},
					  .key = i->key,
					  .used = *i->used};
}

bool tr_instance(struct vcpu *v, struct instance *i)
{
	struct translator *t = icpu(v)->tr;

	if (!i || i->mapping)
		return true;
	if (t->n_mappings == TR_MAPPINGS)
		return false;
	i->mapping = (struct tr_mapping *)(void *)(t->map.rw + t->code_size) + t->n_mappings++;
	set_mapping(v, i);
	i->used = &i->mapping->used;
	return true;
}

/* The entry of the jump table at @old is for RIP @rip now. */
static void move_jump(struct translator *t, const struct tr_block *tb, uint64_t old, uint64_t rip)
{
	struct x86_jump *j = &t->jump[tr_jump_slot(old)];

	if (j->rip != old || j->entry != tb->entry[TR_FAR])
		return;
	tr_clear_jump(t, tr_jump_slot(old));
	t->jump[tr_jump_slot(rip)] = (struct x86_jump){rip, tb->entry[TR_FAR]};
}

static void move_code(struct translator *t, struct tr_block *tb, uint64_t delta)
{
	uint64_t old;

	if (tb->joined)
		block_shift(tb->b, delta);
	old = tb->b->rip - delta;
	move_jump(t, tb, tb->b->key & X86_MODE_CS64 ? old : (uint32_t)old, tb->b->rip);
	for (const struct tr_relocs *r = tb->relocs; r; r = r->next)
		for (uint32_t k = 0; k < r->n; k++) {
			uint8_t *p = t->map.rw + (r->at[k] & ~RELOC_32);

			if (is_lost(tb, p, r->at[k] & RELOC_32 ? 4 : 8))
				continue;
			if (r->at[k] & RELOC_32)
				st_le32(p, ld_le32(p) + (uint32_t)delta);
			else
				st_le64(p, ld_le64(p) + delta);
		}
}

static void relink_all(const struct tr_block *tb)
{
	for (unsigned k = 0; tb->n_out && k < tb->n_exits; k++)
		tr_relink(&tb->exit[k]);
	for (const struct tr_exit *x = tb->in; x; x = x->next)
		tr_relink(x);
}

static void fetch(const void *p, size_t n)
{
	for (size_t i = 0; i < n; i += 64)
		__builtin_prefetch((const char *)p + i, 1);
}

/* What move_code() and relink_all() look at is all over the memory of the translator: most of their
 * time they would wait for it, a place at a time. So it is asked for in advance. */
static void fetch_all(const struct translator *t, const struct instance_list *l)
{
	for (unsigned k = 0; k < l->n; k++)
		fetch(l->p[k], sizeof(struct tr_block));
	for (unsigned k = 0; k < l->n; k++) {
		const struct tr_block *tb = l->p[k];

		fetch(&tb->b->rip, 64);
		fetch(tb->relocs, tb->relocs ? 64 : 0);
		fetch(tb->exit, tb->n_out ? tb->n_exits * sizeof(*tb->exit) : 0);
		fetch(tb->in, tb->in ? sizeof(*tb->in) : 0);
	}
	for (unsigned k = 0; k < l->n; k++) {
		const struct tr_block *tb = l->p[k];

		for (const struct tr_relocs *r = tb->relocs; r; r = r->next)
			for (uint32_t n = 0; n < r->n; n++)
				fetch(t->map.rw + (r->at[n] & ~RELOC_32), 1);
		for (const struct tr_exit *x = tb->in; x; x = x->next)
			fetch(x->site, 1);
	}
}

/* Is there an exit of code that may be entered again as it is (tr_revive())? */
static bool has_closed(const struct tr_exit *x)
{
	for (; x; x = x->next)
		if (x->tb->dead && !x->tb->by)
			return true;
	return false;
}

/*
 * Code that was superseded is entered through exits that still lead to it, to go on where it leads,
 * and by returns. When the exits lead further themselves, and no return stack names it, it need not
 * move again: a quarter of all code would be such. After a move, as all agree on RIP then.
 */
static bool drop(struct tr_block *tb)
{
	struct tr_block *to = tb->by;

	if (!tb->dead || !to || has_closed(tb->in) || has_closed(tb->inner))
		return false;
	while (to->by)
		to = to->by;
	lead_all(tb, to);
	for (unsigned k = 0; k < tb->n_exits; k++)
		unlink_exit(&tb->exit[k]);
	return true;
}

static void drop_superseded(struct vcpu *v, const struct instance *i)
{
	struct translator *t = icpu(v)->tr;
	unsigned dropped = 0;

	for (struct instance_list *l = i->tr; l; l = l->next)
		for (unsigned k = 0; k < l->n; k++)
			if (drop(l->p[k])) {
				l->p[k--] = l->p[--l->n];
				dropped++;
			}
	if (!dropped)
		return;
	t->ras[0].sp = t->ras[0].base;
	t->ras[1].sp = t->ras[1].base;
	v->word[W_NSP] = v->word[W_RBASE];
}

void tr_moved(struct vcpu *v, struct instance *i, uint64_t delta)
{
	struct translator *t = icpu(v)->tr;

	if (!i->mapping)
		return;
	set_mapping(v, i);
	for (const struct instance_list *l = i->tr; l; l = l->next) {
		fetch_all(t, l);
		for (unsigned k = 0; k < l->n; k++)
			move_code(t, l->p[k], delta);
	}
	for (const struct instance_list *l = i->tr; l; l = l->next)
		for (unsigned k = 0; k < l->n; k++)
			relink_all(l->p[k]);
	drop_superseded(v, i);
}
