/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filling slots: what happens when an address of translated code is not in its slot (mem.c). The
 * native routines of slot.c call this with the guest's vector registers in place, so this file is
 * compiled without them, and calls only what is, too (cpu/x86/tlb.c, tests/insn/gpr_only.sh).
 *
 * First come the ranges that slots were filled from lately, then the soft TLB, then a page walk;
 * what none of them can do is the interpreter's. The slot is good for this access in any case, also
 * when its lim says that the next one must come here again: a page with code, the end of a range,
 * and supervisor accesses that find a user page while SMAP is suspended.
 *
 * While 32-bit code runs, no slot of its privilege reaches beyond 4 GiB: see xlat_operand().
 */
#include "engine/translate/translate.h"

/*
 * Has a slot's miss shown that its place had better look by page number, which costs three
 * instructions a time? A miss costs about 70 cycles. So yes when the place misses all the time:
 * memory of small pages used at random. A pointer that goes through an array misses once a page,
 * which is worth it, unless misses of all places together take too much of the time: then there are
 * more places than slots, and those go that miss time and again. The clock is looked at every
 * eighth miss of a slot and every 64th of all.
 */
#define HOT_EACH   8u
#define HOT_ALWAYS 8192u    /* cycles between eight misses */
#define HOT_OFTEN  2000000u /* the same when misses take too long */
#define HOT_MISSES (3 * HOT_EACH)
#define BUSY_EACH  64u
#define BUSY       24576u /* cycles between so many misses: a fifth of the time */
static bool too_hot(struct x86_slots *t, unsigned n)
{
	uint32_t *heat = &t->heat[0][0] + n, *missed = &t->missed[0][0] + n, now, since;

	if (++t->n_misses % BUSY_EACH == 0) {
		now = (uint32_t)__builtin_ia32_rdtsc();
		t->busy = now - t->last_misses <= BUSY;
		t->last_misses = now;
	}
	if (n % X86_SLOTS >= X86_SLOT_HASH_SMALL || ++*heat % HOT_EACH)
		return false;
	now = (uint32_t)__builtin_ia32_rdtsc();
	since = now - *missed;
	*missed = now;
	if (since <= HOT_ALWAYS || *heat >= HOT_MISSES) {
		*heat = 0;
		return since <= (t->busy ? HOT_OFTEN : HOT_ALWAYS);
	}
	return false;
}

/* Put the slot on the list of those that are not empty. */
static void list(struct x86_slots *t, unsigned n, const struct x86_range *r)
{
	unsigned class = n / X86_SLOTS & X86_SLOT_SUPER ? 1 : 0;
	uint8_t *listed = &t->listed[0][0] + n;

	if (!*listed) {
		t->filled[class][t->n_filled[class]++] = (uint16_t)n;
		t->looks[class] += X86_LOOKS;
	}
	*listed = (uint8_t)(X86_LISTED | (r->large ? X86_LISTED_LARGE : 0) |
			    (r->local ? X86_LISTED_LOCAL : 0));
}

/* @len 0: for one access. Return: the access's offset. */
static uint64_t put(struct x86_slots *t, unsigned n, gva_t lin, const struct x86_range *r)
{
	struct x86_slot *s = &t->s[0][0] + n;
	unsigned at = n % X86_SLOTS;
	bool big = (at >= X86_SLOTS_SMALL && at < X86_SLOT_HASH_SMALL) ||
		   (at >= X86_SLOT_HASH_BIG && at < X86_SLOT_SECOND);
	unsigned kind = at < X86_SLOTS_STACK ? SLOT_STACK : big ? SLOT_BIG : SLOT_SMALL;
	uint64_t skip = 0;

	/* put_page_check() in mem.c wants less pages before this one than its table has slots */
	if (at >= X86_SLOT_HASH_SMALL && (lin - r->base) >> MEM_PAGE_SHIFT > X86_SLOTS_HASH / 2)
		skip = (lin - r->base) >> MEM_PAGE_SHIFT;
	s->base = r->base + (skip << MEM_PAGE_SHIFT);
	s->lim = r->len ? r->len - (skip << MEM_PAGE_SHIFT) - tr_room(kind) : 0;
	s->delta = r->host - r->base;
	s->host = r->host + (skip << MEM_PAGE_SHIFT);
	t->high[n / X86_SLOTS & X86_SLOT_SUPER ? 1 : 0] |= r->len && r->base >> 32;
	if (n / X86_SLOTS & X86_SLOT_WRITE)
		(&t->code[0][0])[n] = r->code + skip;
	return lin - s->base;
}

/*
 * A slot found by page number had another page, which may be wanted again: this one is put where
 * the next miss finds it without C (slot.c), too. Two pages that are used by turns have their
 * places there after the first rounds.
 */
static void put_second(struct x86_slots *t, unsigned n, gva_t lin, const struct x86_range *r)
{
	unsigned at = n % X86_SLOTS, second = n - at + X86_SLOT_SECOND + tr_second_slot(lin);

	if (at < X86_SLOT_HASH_SMALL || at >= X86_SLOT_HASH_BIG || !(&t->s[0][0])[n].lim)
		return;
	list(t, second, r);
	(void)put(t, second, lin, r);
}

static struct x86_range page_range(const struct x86_tlb_entry *e, gva_t lin)
{
	return (struct x86_range){.base = lin & ~0xfffull,
				  .len = MEM_PAGE_SIZE,
				  .host = (uintptr_t)e->host,
				  .code = (uintptr_t)e->code,
				  .large = e->before | e->after,
				  .local = !(e->gpa & 0xfff)};
}

static bool in_range(const struct x86_range *r, gva_t lin, unsigned size)
{
	return lin - r->base < r->len && r->len - (lin - r->base) >= size;
}

static uint8_t *hint_of(struct x86_slots *t, unsigned set, gva_t lin)
{
	return &t->range_hint[set][lin >> 21 & (X86_RANGE_HINTS - 1)];
}

static const struct x86_range *search(struct x86_slots *t, unsigned set, gva_t lin, unsigned size)
{
	const struct x86_range *r = t->range[set];

	for (unsigned i = 0; i < X86_RANGES; i++)
		if (in_range(&r[i], lin, size)) {
			*hint_of(t, set, lin) = (uint8_t)i;
			return &r[i];
		}
	return NULL;
}

/* The one in which an access in these 2 MiB was found last, if it has this one, too. */
static const struct x86_range *hinted(const struct x86_slots *t, unsigned set, uint8_t hint,
				      gva_t lin, unsigned size)
{
	const struct x86_range *r = &t->range[set][hint];

	return hint < X86_RANGES && in_range(r, lin, size) ? r : NULL;
}

/* For this access only. */
static struct tr_filled once(struct x86_slots *t, unsigned n, gva_t lin,
			     const struct x86_tlb_entry *e)
{
	struct x86_range r = page_range(e, lin);

	r.len = 0;
	return (struct tr_filled){put(t, n, lin, &r), TR_FILLED};
}

/* The range of the page of @lin, which has the entry @e. Where the last try found none, only each
 * fourth one is made. NULL: the page alone. */
static const struct x86_range *range_for(struct vcpu *v, unsigned set, gva_t lin,
					 struct x86_tlb_entry *e)
{
	enum { TRIES = 4 };
	uint8_t *hint = hint_of(&v->slots, set, lin);
	const struct x86_range *r;

	if (*hint > X86_RANGES && !(e->before | e->after)) {
		--*hint;
		return NULL;
	}
	r = search(&v->slots, set, lin, 1);
	if (r)
		return r;
	r = x86_range_make(v, set, e, lin);
	*hint = r ? (uint8_t)(r - v->slots.range[set]) : X86_RANGES + TRIES - 1;
	return r;
}

/* A range of a window (cpu/x86/window.c) for *@r, if that has more. Which ranges there are
 * changes. The access may go on where the window does not: no more pages may be mapped. */
static bool widen(struct vcpu *v, unsigned set, gva_t lin, unsigned size, struct x86_range *r)
{
	const struct x86_range *w = r->large ? NULL : x86_window_range(v, set, lin, true);
	bool more;

	if (!w || !in_range(w, lin, size))
		return false;
	*hint_of(&v->slots, set, lin) = (uint8_t)(w - v->slots.range[set]);
	more = w->len > r->len;
	*r = *w;
	return more;
}

/* Windows have had as many pages mapped as may be for now: those that come too late wait for some
 * time, out of a longer one, instead of looking by page number for ever. */
#define WAIT       (1ull << 27) /* cycles: as many as 256 pages take */
#define WAIT_EVERY (1ull << 31)
static bool later(struct x86_slots *t, unsigned n)
{
	struct x86_windows *ws = t->windows;
	uint64_t now = __builtin_ia32_rdtsc();

	if (!ws || ws->credit || n / X86_SLOTS & X86_SLOT_SUPER)
		return false;
	if (now - ws->wait_from > WAIT_EVERY)
		ws->wait_from = now;
	return now - ws->wait_from <= WAIT;
}

/* Slot @n has what it can have of @range. A place that misses all the time gets a window, or is to
 * look by page number if that does not help. */
static struct tr_filled fill_from(struct vcpu *v, unsigned n, gva_t lin, unsigned size,
				  const struct x86_range *range)
{
	struct x86_slots *t = &v->slots;
	enum tr_how how = TR_FILLED;
	struct x86_range r = *range;

	if (too_hot(t, n) && !widen(v, n / X86_SLOTS, lin, size, &r) && !later(t, n))
		how = TR_FILLED_HOT;
	list(t, n, &r);
	put_second(t, n, lin, &r);
	return (struct tr_filled){put(t, n, lin, &r), how};
}

/* The page of @lin, which has the entry @e, and what goes on like it. */
static struct tr_filled keep(struct vcpu *v, unsigned n, gva_t lin, unsigned size,
			     struct x86_tlb_entry *e)
{
	struct x86_slots *t = &v->slots;
	unsigned set = n / X86_SLOTS, class = set & X86_SLOT_SUPER ? 1 : 0;
	const struct x86_range *r = range_for(v, set, lin, e);
	struct x86_range page;

	if (!r) {
		page = page_range(e, lin);
		r = &page;
	}
	if (!class) {
		t->global_user |= (e->gpa & 0xfff) != 0;
	} else {
		t->local |= !(e->gpa & 0xfff);
		t->low |= !(r->base >> 47);
	}
	return fill_from(v, n, lin, size, r);
}

static struct tr_filled missed(struct vcpu *v, gva_t lin, unsigned n)
{
	v->word[W_MISSED] = lin;
	v->word[W_MISSED_SLOT] = n * sizeof(struct x86_slot);
	return (struct tr_filled){0, TR_NOT_FILLED};
}

struct tr_filled tr_fill(struct vcpu *v, gva_t lin, unsigned n, unsigned what)
{
	struct x86_slots *t = &v->slots;
	unsigned set = n / X86_SLOTS, size = (what & 0xff) + 1, table = v->tlb->data_table;
	bool write = what & TR_FILL_WRITE, write_set = set & X86_SLOT_WRITE;
	bool crosses = (lin & 0xfff) + size > MEM_PAGE_SIZE;
	gva_t page = lin & ~0xfffull;
	const struct x86_range *r;
	struct x86_tlb_entry *e;
	uint8_t hint;

	if (UNLIKELY(table == X86_TLB_ALIGN || page == v->tlb->slow_page ||
		     (lin >> 32 && !x86_is_64(v)))) /* not cut off yet: mem.c */
		return missed(v, lin, n);
	hint = *hint_of(t, set, lin);
	r = hinted(t, set, hint, lin, size);
	if (LIKELY(r != NULL))
		return fill_from(v, n, lin, size, r);
	e = &v->tlb->e[table][(lin >> 12) & (X86_TLB_SIZE - 1)];
	if (crosses || (write_set ? e->tag_write : e->tag_read) != (page | v->tlb->generation)) {
		/* A search takes as long as a walk: not where most accesses are in no range, or
		 * where the walk has just failed. */
		r = hint < X86_RANGES && page != v->tlb->no_walk ? search(t, set, lin, size) : NULL;
		if (r)
			return fill_from(v, n, lin, size, r);
		if (crosses) {
			r = x86_window_range(v, set, lin, true);
			return r && in_range(r, lin, size) ? fill_from(v, n, lin, size, r)
							   : missed(v, lin, n);
		}
		e = (what & TR_FILL_AGAIN ? x86_tlb_cached : x86_tlb_find)(
			v, table, lin, write_set ? X86_ACC_WRITE : X86_ACC_READ);
	}
	if (!e && write_set && !write) { /* reading the stack: a page that is not kept will do */
		e = x86_tlb_find(v, table, lin, X86_ACC_READ);
		return e ? once(t, n, lin, e) : missed(v, lin, n);
	}
	if (!e)
		return missed(v, lin, n);
	/* It has just been found that the page had code, which seems to be stored to again and
	 * again: the next store does without the slot, too. */
	if (what & TR_FILL_AGAIN && write_set && e->code == t->last_code)
		return missed(v, lin, n);
	if (write_set && !x86_note_store(v, e, set & X86_SLOT_SUPER)) {
		/* something was decoded from the bytes of the access? */
		if (what & TR_FILL_GROUP)
			return missed(v, lin, n);
		if (write &&
		    (atomic_load_explicit(&t->noting, memory_order_relaxed) == X86_NOTED_ALL ||
		     interp_hits_code(icpu(v)->ivm, e, (unsigned)lin & 0xfff, size)))
			return missed(v, lin, n);
		return once(t, n, lin, e);
	}
	if (set & X86_SLOT_SUPER && t->hold)
		return once(t, n, lin, e);
	return keep(v, n, lin, size, e);
}
