/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verifier of translated code: is what was emitted for a block code that can do no harm,
 * whatever the guest does? It knows nothing of how the translator came to it. It reads the host's
 * instructions with the project's decoder (engine/decode), from everywhere that they can be entered
 * at, along all ways, and demands:
 *
 * - each instruction is complete inside the block, is one that data instructions of guests or the
 *   translator's own need, does not write RSP, and no jump leads into the middle of another one;
 * - each jump leads to an instruction of the block, to a common routine (glue.c, slot.c, string.c),
 *   or is an exit whose rel32 is where struct tr_exit says, and leads to its stub or to the entry
 * of a block;
 * - calls of C code name a function of this program and an instruction of the block pool;
 * - each memory operand is a field of struct vcpu by the GS base (stores: one of those that code
 * may write), a slot by its number or by an index that was cut off, the epoch of a mapping, or
 * guest memory at an address that a check of this block has found in a slot, with the check's
 * privilege, direction and size on every way there (verify_value.c);
 * - the places that are patched (exits, moved addresses, entries) and the list of instructions that
 *   may fault are inside the block, entries five bytes apart.
 *
 * That the code does what the guest's does is for engine/lockstep and the tests to see; constants
 * of the guest's instructions are not known here.
 *
 * Run when --engine translate:verify asks for it, and always in builds with sanitizers (fuzzing).
 * A block that fails is not entered: it is reported, and the VM ends with an error. Before code is
 * dropped all of it is looked at again, linked and patched as it is by then.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "engine/translate/verify.h"

enum byte_kind { BYTE_START = 1, BYTE_INSIDE };

#define VISITS_MOST 32u /* of one instruction, on average: then it does not settle */

bool verify_report(struct verifier *f, const char *fmt, ...)
{
	char hex[3 * INSN_MAX + 1] = "", where[64];
	unsigned n = 0;
	va_list ap;

	if (f->bad)
		return false;
	f->bad = true;
	for (unsigned i = 0; i < 2; i++) {
		size_t off = (size_t)(f->at - f->region[i].rx);

		if (off < f->region[i].size) {
			snprintf(where, sizeof(where), "offset %#zx of %s code", off,
				 i ? "cold" : "hot");
			for (; n < INSN_MAX && off + n < f->region[i].size; n++)
				snprintf(hex + 3 * n, 4, "%02x ", f->at[n]);
			break;
		}
		snprintf(where, sizeof(where), "outside of its code");
	}
	va_start(ap, fmt);
	n = (unsigned)vsnprintf(f->text, f->text_size, fmt, ap);
	va_end(ap);
	if (n < f->text_size)
		snprintf(f->text + n, f->text_size - n, " at %s (%s)", where, hex);
	return false;
}

/* ---- places ---- */

/* The offset over both regions, or VERIFY_NO. */
static uint64_t place_of(const struct verifier *f, const uint8_t *p)
{
	for (unsigned i = 0; i < 2; i++)
		if (p >= f->region[i].rx && p < f->region[i].rx + f->region[i].size)
			return (uint64_t)(p - f->region[i].rx) + (i ? f->region[0].size : 0);
	return VERIFY_NO;
}

static const uint8_t *at_place(const struct verifier *f, uint64_t place, unsigned *ret_left)
{
	unsigned i = place >= f->region[0].size;

	place -= i ? f->region[0].size : 0;
	*ret_left = (unsigned)(f->region[i].size - place);
	return f->region[i].rx + place;
}

/* Code at @to is entered with @s. */
static bool enter(struct verifier *f, const uint8_t *to, const struct state *s)
{
	uint64_t place = place_of(f, to);

	if (place == VERIFY_NO)
		return verify_report(f, "a way out of the block");
	if (f->kind[place] == BYTE_INSIDE)
		return verify_report(f, "a way into the middle of an instruction");
	if (f->index[place]) {
		if (!verify_join(&f->state[f->index[place] - 1], s))
			return true;
	} else {
		if (f->n_states == f->room_states) {
			f->room_states = MAX(2 * f->room_states, 256u);
			f->state = xrealloc(f->state, f->room_states, sizeof(f->state[0]));
		}
		if (f->n_states == UINT16_MAX)
			return verify_report(f, "too many instructions");
		f->state[f->n_states] = *s;
		f->index[place] = (uint16_t)++f->n_states;
	}
	if (f->n_todo == f->room_todo) {
		f->room_todo = MAX(2 * f->room_todo, 256u);
		f->todo = xrealloc(f->todo, f->room_todo, sizeof(f->todo[0]));
	}
	f->todo[f->n_todo++] = (uint32_t)place;
	return true;
}

/* ---- targets ---- */

static bool find_miss(const struct translator *t, const uint8_t *to, struct target *ret)
{
	for (unsigned kind = 0; kind < SLOT_KINDS; kind++)
		for (unsigned i = 0; i < 2 * X86_SLOT_SETS; i++) {
			bool write = i & 1;
			unsigned set = i / 2;

			if (to != t->miss[kind][write][set] && to != t->miss_page[kind][write][set])
				continue;
			ret->kind =
				to == t->miss[kind][write][set] ? TARGET_MISS : TARGET_MISS_PAGE;
			ret->miss_kind = (uint8_t)kind;
			ret->set = (uint8_t)set;
			ret->write = write;
			return true;
		}
	return false;
}

static bool find_routine(const struct translator *t, const uint8_t *to, struct target *ret)
{
	const struct {
		const uint8_t *at;
		uint8_t kind;
	} list[] = {
		{t->tail, TARGET_TAIL},        {t->ras_miss, TARGET_RAS},
		{t->call, TARGET_CALL},        {t->call_plain, TARGET_CALL},
		{t->light, TARGET_LIGHT},      {t->by_page, TARGET_BY_PAGE},
		{t->vec_load, TARGET_VEC},     {t->fetch, TARGET_FETCH},
		{t->mapped[0], TARGET_MAPPED}, {t->mapped[1], TARGET_MAPPED},
		{t->refill[0], TARGET_REFILL}, {t->refill[1], TARGET_REFILL},
		{t->refill[2], TARGET_REFILL}, {t->refill[3], TARGET_REFILL},
	};

	static_assert(X86_SLOT_SETS == 4, "each one is listed");
	for (unsigned i = 0; i < ARRAY_SIZE(list); i++)
		if (to == list[i].at) {
			ret->kind = list[i].kind;
			return true;
		}
	for (unsigned op = 0; op < TR_STRING_OPS; op++)
		for (unsigned i = 0; i < 8; i++)
			if (to == t->string[op][i / 2][i % 2]) {
				ret->kind = TARGET_STRING;
				return true;
			}
	return find_miss(t, to, ret);
}

/* Is @to where other code may enter a block, code for the rest of one (group.c) or a piece that was
 * added to one (mem.c)? */
static bool is_entry(const struct translator *t, const uint8_t *to)
{
	const struct tr_block *tb = tr_find(t, (uintptr_t)to);

	if (!tb)
		return false;
	for (unsigned i = 0; i < TR_ENTRIES; i++)
		if (to == tb->entry[i])
			return true;
	return false;
}

static bool is_added(const struct translator *t, const uint8_t *to)
{
	const struct tr_block *tb = tr_find(t, (uintptr_t)to);

	if (!tb)
		return false;
	return to == tb->rx ? !tb->entry[TR_M] : to >= tb->rx + tb->size && to < tb->cold;
}

static const struct tr_exit *exit_at(const struct verifier *f, const uint8_t *rel32)
{
	const struct tr_block *tb = f->tb;
	const struct translator *t = f->t;

	for (unsigned i = 0; !f->place && i < tb->n_exits; i++)
		if (tb->exit[i].site == t->map.rw + (rel32 - t->map.rx))
			return &tb->exit[i];
	return NULL;
}

/* Where a direct jump or call that ends at @end leads. */
static struct target target_of(struct verifier *f, const struct insn *in, const uint8_t *end)
{
	struct target r = {.to = end + (int64_t)in->imm};
	const struct tr_exit *x = in->imm_len == 4 ? exit_at(f, end - 4) : NULL;

	if (x) {
		if (place_of(f, x->stub) == VERIFY_NO)
			verify_report(f, "an exit's stub outside of the block");
		else if (r.to != x->stub && !is_entry(f->t, r.to))
			verify_report(f, "an exit that leads to no entry");
		else
			r.kind = TARGET_EXIT;
	} else if (place_of(f, r.to) != VERIFY_NO) {
		r.kind = TARGET_INSIDE;
	} else if (f->place && (r.to == f->after || r.to == f->slow)) {
		r.kind = TARGET_EXIT;
	} else if (!find_routine(f->t, r.to, &r)) {
		/* what was added to the block later */
		if (!f->place && in->special == SP_JMP_REL && is_added(f->t, r.to))
			r.kind = TARGET_EXIT;
		else
			verify_report(f, "a jump to %p", (const void *)r.to);
	}
	return r;
}

/* ---- control flow ---- */

/* Back in the block from code by page number: with what the access was promised? */
static bool comes_back(struct verifier *f, const struct state *s, const uint8_t *to)
{
	if (!f->place || to != f->after)
		return true;
	if (s->v[f->want == TR_PTR_S1 ? T_S1 : T_S2].kind != V_HOST)
		return verify_report(f, "back without the address that was promised");
	return true;
}

static bool jump(struct verifier *f, const struct state *s, const struct insn *in)
{
	struct target to = target_of(f, in, f->at + in->len);
	struct state after = *s;

	switch (to.kind) {
	case TARGET_BAD: return false;
	case TARGET_INSIDE: return enter(f, to.to, s);
	case TARGET_EXIT:
		if (to.to == f->after)
			return comes_back(f, s, to.to);
		return place_of(f, to.to) == VERIFY_NO || enter(f, to.to, s);
	case TARGET_TAIL:
	case TARGET_RAS: return verify_call(f, &after, &to);
	default: return verify_report(f, "a jump to a routine that returns");
	}
}

static bool conditional(struct verifier *f, const struct state *s, const struct insn *in)
{
	struct target to = target_of(f, in, f->at + in->len);
	struct state taken = *s, next = *s;

	if (in->special == SP_JCC)
		verify_branch(s, in->opcode & 15, &taken, &next);
	if (to.kind == TARGET_BAD)
		return false;
	if (to.kind != TARGET_INSIDE && to.kind != TARGET_EXIT && to.kind != TARGET_RAS)
		return verify_report(f, "a conditional jump to a routine");
	if (place_of(f, to.to) != VERIFY_NO && !enter(f, to.to, &taken))
		return false;
	return enter(f, f->at + in->len, &next);
}

/* Of a guest's CALL: what returns has forgotten everything. */
static bool guest_call(struct verifier *f, const uint8_t *next, const struct state *s)
{
	struct state after;

	(void)s;
	verify_start(&after);
	return enter(f, next, &after);
}

static bool call(struct verifier *f, const struct state *s, const struct insn *in)
{
	const uint8_t *next = f->at + in->len;
	struct target to = target_of(f, in, next);
	struct state after = *s;

	switch (to.kind) {
	case TARGET_BAD: return false;
	case TARGET_INSIDE: return verify_report(f, "a call inside the block");
	case TARGET_EXIT:
		return (place_of(f, to.to) == VERIFY_NO || enter(f, to.to, s)) &&
		       guest_call(f, next, s);
	case TARGET_TAIL:
	case TARGET_RAS: return verify_report(f, "a call of a routine that does not return");
	default: break;
	}
	if (!verify_call(f, &after, &to))
		return false;
	if (to.kind == TARGET_CALL && !verify_returns(s))
		return true;
	/* the slow path of a string instruction is two bytes on */
	if (to.kind == TARGET_STRING && !enter(f, next + 2, &after))
		return false;
	return enter(f, next, &after);
}

/* mov dword gs:[W_FL]: flags are computed by code at the place that the word names. */
static bool later(struct verifier *f, const struct insn *in)
{
	uint32_t fl = (uint32_t)in->imm;
	struct state s;

	if (in->special != SP_NONE || in->map != MAP_1 || in->opcode != 0xc7 ||
	    !(in->flags & INSN_MEM) || in->seg != X86_GS || in->base != NO_REG ||
	    in->index != NO_REG || (size_t)in->disp != tr_word(W_FL))
		return true;
	if (fl & TR_FL_HERE)
		return fl == TR_FL_ZERO || verify_report(f, "flags that are constant");
	verify_start(&s);
	return enter(f, f->t->map.rx + ((fl & 0x1ff) | fl >> 10 << 9), &s);
}

/* Who is here when the host's instruction faults goes to its slow path. */
static bool fault(struct verifier *f, const struct state *s)
{
	const struct tr_block *tb = f->tb;
	struct state there = *s;

	if (f->place)
		return true;
	verify_forget(&there);
	for (unsigned i = 0; i < tb->n_faults; i++)
		if (tb->rx + tb->fault[i].at == f->at &&
		    !enter(f, tb->rx + tb->fault[i].stub, &there))
			return false;
	return true;
}

static bool decode(struct verifier *f, const uint8_t *p, unsigned left, struct state *s,
		   struct insn *in)
{
	unsigned len;

	if (insn_decode(p, left, 64, in) == DECODE_OK && in->enc != ENC_EVEX) {
		verify_home(f, in);
		return true;
	}
	if (f->bad)
		return false;
	len = verify_masked(f, s, p, left);
	if (!len)
		return verify_report(f, "no instruction that is known");
	*in = (struct insn){.len = (uint8_t)len, .enc = ENC_EVEX, .base = NO_REG, .index = NO_REG};
	return true;
}

static bool mark(struct verifier *f, uint64_t place, unsigned len)
{
	for (unsigned i = 0; i < len; i++) {
		unsigned kind = i ? BYTE_INSIDE : BYTE_START;

		if (f->kind[place + i] && f->kind[place + i] != kind)
			return verify_report(f, "two instructions that overlap");
		f->kind[place + i] = (uint8_t)kind;
	}
	return true;
}

/* One instruction, with what is known before it. */
static bool step(struct verifier *f, uint64_t place)
{
	struct state s = f->state[f->index[place] - 1];
	struct insn in;
	unsigned left;

	f->at = at_place(f, place, &left);
	if (!decode(f, f->at, left, &s, &in) || !mark(f, place, in.len) || !fault(f, &s))
		return false;
	if (in.enc == ENC_EVEX)
		return enter(f, f->at + in.len, &s);
	switch (in.special) {
	case SP_JMP_REL: return jump(f, &s, &in);
	case SP_JCC:
	case SP_JCXZ: return conditional(f, &s, &in);
	case SP_CALL_REL: return call(f, &s, &in);
	case SP_JMP_IND: return verify_indirect(f, &s, &in);
	case SP_CALL_IND: return verify_indirect(f, &s, &in) && guest_call(f, f->at + in.len, &s);
	case SP_RET: return in.opcode == 0xc3 || verify_report(f, "a return that pops");
	default: break;
	}
	return later(f, &in) && verify_insn(f, &s, &in) && enter(f, f->at + in.len, &s);
}

static void walk(struct verifier *f)
{
	while (f->n_todo && !f->bad) {
		if (f->visits++ > (uint64_t)VISITS_MOST * (f->n_states + 64)) {
			verify_report(f, "what registers hold does not settle");
			return;
		}
		(void)step(f, f->todo[--f->n_todo]);
	}
}

/* ---- what is patched ---- */

static bool inside(struct verifier *f, const uint8_t *p, unsigned n, const char *what)
{
	uint64_t place = place_of(f, p);

	f->at = p;
	if (place == VERIFY_NO || place_of(f, p + n - 1) != place + n - 1)
		return verify_report(f, "%s outside of the block", what);
	return true;
}

/* The last bytes of an instruction that was met, or data that was not. */
static bool is_field(struct verifier *f, const uint8_t *p, unsigned n, const char *what)
{
	uint64_t place;

	if (!inside(f, p, n, what))
		return false;
	place = place_of(f, p);
	for (unsigned i = 0; i < n; i++)
		if (f->kind[place + i] == BYTE_START || f->kind[place + i] != f->kind[place])
			return verify_report(f, "%s is no part of one instruction", what);
	return true;
}

static void lists(struct verifier *f)
{
	const struct tr_block *tb = f->tb;
	const struct translator *t = f->t;

	for (unsigned i = 0; i < TR_ENTRIES && tb->entry[TR_M]; i++) {
		if (!inside(f, tb->entry[i], 5, "an entry"))
			return;
		for (unsigned k = 0; k < i; k++)
			if (tb->entry[i] != tb->entry[k] && tb->entry[i] < tb->entry[k] + 5 &&
			    tb->entry[k] < tb->entry[i] + 5) {
				verify_report(f, "entries that overlap");
				return;
			}
	}
	for (unsigned i = 0; i < tb->n_exits; i++)
		if (tb->exit[i].site &&
		    !is_field(f, tb->exit[i].site - t->map.rw + t->map.rx, 4, "an exit's rel32"))
			return;
	for (const struct tr_relocs *r = tb->relocs; r; r = r->next)
		for (uint32_t i = 0; i < r->n; i++) {
			const uint8_t *p = t->map.rx + (r->at[i] & ~RELOC_32);

			/* others are of code that was added later */
			if (place_of(f, p) != VERIFY_NO &&
			    !is_field(f, p, r->at[i] & RELOC_32 ? 4 : 8, "a moved address"))
				return;
		}
	for (unsigned i = 0; i < tb->n_faults; i++)
		if (!inside(f, tb->rx + tb->fault[i].at, 1, "an instruction that faults") ||
		    !inside(f, tb->rx + tb->fault[i].stub, 1, "its slow path"))
			return;
}

/* ---- blocks ---- */

static void roots(struct verifier *f)
{
	const struct tr_block *tb = f->tb;
	struct state s;

	verify_start(&s);
	f->at = tb->rx;
	if (f->place || !tb->entry[TR_M]) {
		(void)enter(f, f->region[0].rx, &s);
		return;
	}
	for (unsigned i = 0; i < TR_ENTRIES; i++)
		if (!enter(f, tb->entry[i], &s))
			return;
	if (!enter(f, tb->leave[0], &s) || !enter(f, tb->leave[1], &s))
		return;
	for (unsigned i = 0; i < tb->n_exits; i++)
		if (tb->exit[i].stub && !enter(f, tb->exit[i].stub, &s))
			return;
}

static bool verify(struct verifier *f)
{
	size_t n = f->region[0].size + f->region[1].size;

	f->user = f->tb->b->key & X86_MODE_USER;
	f->kind = xnew_n(uint8_t, n + 1);
	f->index = xnew_n(uint16_t, n + 1);
	roots(f);
	walk(f);
	if (!f->bad && !f->place)
		lists(f);
	free(f->kind);
	free(f->index);
	free(f->state);
	free(f->todo);
	return !f->bad;
}

bool tr_verify_block(struct interp_cpu *ic, const struct tr_block *tb, uint32_t cold_size,
		     char *ret_text, size_t text_size)
{
	struct verifier f = {.t = tb->t,
			     .ic = ic,
			     .tb = tb,
			     .region = {{tb->rx, tb->size}, {tb->cold, cold_size}},
			     .text = ret_text,
			     .text_size = text_size};

	return verify(&f);
}

bool tr_verify_piece(struct interp_cpu *ic, const struct tr_block *tb, const uint8_t *rx,
		     uint32_t size, const struct tr_place *p, const uint8_t *place, char *ret_text,
		     size_t text_size)
{
	struct verifier f = {.t = tb->t,
			     .ic = ic,
			     .tb = tb,
			     .place = place,
			     .after = place + p->after,
			     .slow = place + p->slow,
			     .want = p->want,
			     .region = {{rx, size}, {NULL, 0}},
			     .text = ret_text,
			     .text_size = text_size};

	return verify(&f);
}

unsigned tr_verify_all(struct interp_cpu *ic, char *ret_text, size_t text_size)
{
	struct translator *t = ic->tr;
	unsigned bad = 0;
	char text[TR_VERDICT];

	for (unsigned i = 0; i < t->n_blocks; i++) {
		size_t end = i + 1 < t->n_blocks ? t->at[i + 1].cold : t->cold;

		if (t->blocks[i]->dead ||
		    tr_verify_block(ic, t->blocks[i], (uint32_t)(end - t->at[i].cold), text,
				    sizeof(text)))
			continue;
		if (!bad++)
			snprintf(ret_text, text_size, "%s", text);
	}
	return bad;
}

/* ---- when it is asked for ---- */

static void bad(struct vcpu *v, const struct tr_block *tb)
{
	struct translator *t = icpu(v)->tr;
	const struct block *b = tb->b;

	t->n_bad++;
	log_err("translate: code of the block at %#llx (mode %#x, %u instructions) is bad: %s",
		(unsigned long long)b->rip, b->key, b->n_insns, t->verdict);
	vcpu_request(v, VCPU_REQ_KICK); /* to leave run(), which ends the VM */
}

void tr_verify_end(struct interp_cpu *ic)
{
	struct translator *t = ic->tr;
	unsigned n;

	if (!t || !t->verify)
		return;
	log_info("translate: cpu%u: code verified %" PRIu64 " times", ic->v->index, t->n_verified);
	n = tr_verify_all(ic, t->verdict, sizeof(t->verdict));
	if (!n)
		return;
	t->n_bad += n;
	log_err("translate: code of %u blocks has become bad: %s", n, t->verdict);
	vcpu_request(ic->v, VCPU_REQ_KICK);
}

bool tr_verify_new(struct xlat *x)
{
	struct tr_block *tb = x->tb;

	if (!x->t->verify)
		return true;
	tb->n_exits = (uint8_t)x->n_exits;
	tb->size = x->hot_end;
	x->t->n_verified++;
	if (tr_verify_block(x->ic, tb, x->m.n - (uint32_t)(tb->cold - tb->rx), x->t->verdict,
			    sizeof(x->t->verdict)))
		return true;
	bad(x->v, tb);
	return false;
}

bool tr_verify_added(struct interp_cpu *ic, const struct tr_block *tb, const uint8_t *rx,
		     uint32_t size, const struct tr_place *p, const uint8_t *place)
{
	struct translator *t = ic->tr;

	if (!t->verify)
		return true;
	t->n_verified++;
	if (tr_verify_piece(ic, tb, rx, size, p, place, t->verdict, sizeof(t->verdict)))
		return true;
	bad(ic->v, tb);
	return false;
}
