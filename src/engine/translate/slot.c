/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The native routines that translated code calls when an address is not in its slot (mem.c): from
 * there to tr_fill() (fill.c) and back, without the detour over struct vcpu that handlers take.
 *
 * In: S1 = address - slot.base; S2 = offset of the slot << 8 | size of the access - 1. Out: carry
 * clear, S1 = address - the new slot.base, S2 = offset of the slot, every other register as it was;
 * or carry set: the interpreter must do it. With carry clear, ZF says that the place had better
 * look its slot up by page number (xlat_try()).
 */
#include "engine/translate/translate.h"

static_assert(sizeof(struct x86_slot) == 32, "the number is the offset / 32");

/* What C functions may clobber of the guest's registers; RAX is spilled by put_near_end(). */
static const uint8_t spilled[] = {RAX, RCX, RDX, RSI, RDI, R8, R9};

static void slot_at(struct emit *m, uint8_t op, unsigned reg, size_t off)
{
	emit8(m, 0x65);
	tr_mem(m, true, op, reg, S2, NO_REG, 0, (int32_t)(offsetof(struct vcpu, slots.s) + off));
}
#define SLOT_AT(m, op, reg, f) slot_at(m, op, reg, offsetof(struct x86_slot, f))

static size_t spill_word(unsigned i)
{
	return tr_word(i < 6 ? W_SPILL + i : W_SPILL_MORE);
}

static void spill(struct emit *m, bool store)
{
	for (unsigned i = store ? 1 : 0; i < ARRAY_SIZE(spilled); i++)
		tr_gs(m, true, store ? 0x89 : 0x8b, spilled[i], spill_word(i));
}

/* jcc rel32, to be given its target */
static unsigned jcc(struct emit *m, uint8_t cc)
{
	EMIT(m, 0x0f, (uint8_t)(0x80 | cc));
	emit32(m, 0);
	return m->n;
}
static void to_here(struct emit *m, unsigned from)
{
	st_le32(m->buf + from - 4, m->n - from);
}
enum { CC_B = 2, CC_AE = 3, CC_E = 4, CC_NE = 5, CC_S = 8 };

/*
 * Does the extent of EAX + 1 bytes from S1 on cross a page? No slot has been found, so these are
 * mostly pages that do not follow each other in host memory, which C code could not help either:
 * where the frame of a busy function lies across two pages, perl asked three million times a run.
 * C is asked one time in ASKED, as there may be a range with both by now.
 */
static void put_crossing(struct emit *m)
{
	enum { ASKED = 16 };
	unsigned inside, ask;

	tr_gs(m, true, 0x89, RCX, spill_word(1));
	tr_rr(m, false, 0x89, S1, RCX);
	EMIT(m, 0x81, 0xe1); /* and ecx, offset in the page */
	emit32(m, MEM_PAGE_SIZE - 1);
	tr_rr(m, false, 0x01, RAX, RCX);
	EMIT(m, 0x81, 0xf9); /* cmp ecx */
	emit32(m, MEM_PAGE_SIZE);
	tr_gs(m, true, 0x8b, RCX, spill_word(1));
	inside = jcc(m, CC_B);
	EMIT(m, 0x65, 0x83, 0x2c, 0x25); /* sub dword gs:[crossings], 1 */
	emit32(m, (uint32_t)offsetof(struct vcpu, crossings));
	emit8(m, 1);
	ask = jcc(m, CC_S);
	tr_gs(m, true, 0x8b, RAX, spill_word(0));
	EMIT(m, 0xf9, 0xc3); /* stc; ret */
	to_here(m, ask);
	EMIT(m, 0x65, 0xc7, 0x04, 0x25); /* mov dword gs:[crossings], ASKED - 1 */
	emit32(m, (uint32_t)offsetof(struct vcpu, crossings));
	emit32(m, ASKED - 1);
	to_here(m, inside);
}

/*
 * A narrow access near the end of the slot's range, which lim excludes for the sake of wider ones:
 * nothing to be done. Otherwise EAX = size - 1 and S2 = the slot's offset.
 */
static void put_near_end(struct emit *m, enum slot_kind kind)
{
	unsigned other, below = 0;
	int room = (int)tr_room(kind);

	tr_gs(m, true, 0x89, RAX, spill_word(0));
	EMIT(m, 0x41, 0x0f, 0xb6, 0xc3); /* movzx eax, r11b */
	EMIT(m, 0x41, 0xc1, 0xeb, 8);    /* shr r11d, 8 */
	tr_mem(m, true, 0x8d, RAX, RAX, S1, 0, -room);
	if (kind == SLOT_GROUP) { /* may begin before the range and end in it */
		SLOT_AT(m, 0x3b, S1, lim);
		below = jcc(m, CC_AE);
	}
	if (kind == SLOT_STACK_GROUP) { /* the same; it may begin behind lim */
		tr_rr(m, true, 0x85, S1, S1);
		below = jcc(m, CC_S);
	}
	SLOT_AT(m, 0x3b, RAX, lim);
	other = jcc(m, CC_AE);
	tr_gs(m, true, 0x8b, RAX, spill_word(0));
	EMIT(m, 0x45, 0x85, 0xdb); /* test r11d, r11d: neither 0 nor carry */
	/* the stack's slot of the user's read set is at offset 0, and not used (mem.c) */
	emit8(m, 0xc3);
	to_here(m, other);
	if (below)
		to_here(m, below);
	tr_mem(m, false, 0x8d, RAX, RAX, NO_REG, 0, room);
	tr_rr(m, false, 0x29, S1, RAX);
}

/* tr_fill() for address S1, slot offset S2, EAX = size - 1 | @what, and return. */
static void put_fill(struct emit *m, const struct vcpu *v, unsigned what)
{
	spill(m, true);
	tr_imm64(m, RDI, (uintptr_t)v);
	tr_rr(m, true, 0x89, S1, RSI);
	tr_rr(m, false, 0x89, S2, RDX);
	EMIT(m, 0xc1, 0xea, 5); /* shr edx, 5 */
	if (what)
		tr_mem(m, false, 0x8d, RCX, RAX, NO_REG, 0, (int32_t)what);
	else
		tr_rr(m, false, 0x89, RAX, RCX);
	tr_gs(m, true, 0x89, S2, tr_word(W_FILL));
	tr_gs(m, true, 0x89, RSP, tr_word(W_NSP));
	tr_gs(m, true, 0x8b, RSP, tr_word(W_CSP));
	tr_imm64(m, RAX, (uintptr_t)tr_fill);
	EMIT(m, 0xff, 0xd0); /* call rax */
	tr_gs(m, true, 0x8b, RSP, tr_word(W_NSP));
	tr_rr(m, true, 0x89, RAX, S1);
	tr_gs(m, true, 0x8b, S2, tr_word(W_FILL));
	static_assert(TR_NOT_FILLED == 0 && TR_FILLED_HOT == 1 && TR_FILLED > 1, "compared");
	EMIT(m, 0x83, 0xfa, TR_FILLED_HOT); /* cmp edx, : carry, or zero */
	spill(m, false);
	emit8(m, 0xc3);
}

/* op @reg, gs:[@index + @off] */
static void slots_at(struct emit *m, bool w, uint8_t op, unsigned reg, unsigned index, size_t off)
{
	emit8(m, 0x65);
	tr_mem(m, w, op, reg, index, NO_REG, 0, (int32_t)off);
}

/* dst = src >> by */
static void shifted(struct emit *m, unsigned dst, unsigned src, uint8_t by)
{
	tr_rr(m, false, 0x89, src, dst);
	EMIT(m, 0xc1, (uint8_t)(0xe8 | dst), by);
}

/* The slot at S2, of @kind, = the one number @from / 32 + ECX / 32 of all. Clobbers RAX and RDX. */
static void put_copy(struct emit *m, enum slot_kind kind, unsigned set, size_t from)
{
	static const size_t field[] = {
		offsetof(struct x86_slot, base), offsetof(struct x86_slot, lim),
		offsetof(struct x86_slot, delta), offsetof(struct x86_slot, host)};
	size_t listed = offsetof(struct vcpu, slots.listed),
	       code = offsetof(struct vcpu, slots.code);

	for (unsigned i = 0; i < ARRAY_SIZE(field); i++) {
		slots_at(m, true, 0x8b, RDX, RCX, offsetof(struct vcpu, slots.s) + from + field[i]);
		if (tr_is_stack(kind) && field[i] == offsetof(struct x86_slot, lim))
			tr_mem(m, true, 0x8d, RDX, RDX, NO_REG, 0,
			       (int32_t)tr_room(SLOT_SMALL) - (int32_t)tr_room(kind));
		slot_at(m, 0x89, RDX, field[i]);
	}
	shifted(m, RAX, RCX, 5);
	EMIT(m, 0x65, 0x0f, 0xb6, 0x90); /* movzx edx, byte gs:[rax + ] */
	emit32(m, (uint32_t)(listed + from / 32));
	tr_rr(m, false, 0x89, S2, RAX);
	EMIT(m, 0xc1, 0xe8, 5, 0x65, 0x88, 0x90); /* shr eax, 5; mov byte gs:[rax + ], dl */
	emit32(m, (uint32_t)listed);
	if (!(set & X86_SLOT_WRITE))
		return;
	shifted(m, RAX, RCX, 2);
	slots_at(m, true, 0x8b, RDX, RAX, code + from / 4);
	tr_rr(m, false, 0x89, S2, RAX);
	EMIT(m, 0xc1, 0xe8, 2);
	slots_at(m, true, 0x89, RDX, RAX, code);
}

/*
 * Another slot may have the page: that of a place of its own is looked for by page number, one
 * found by page number in the second table. S1 = address, S2 = the slot's offset, EAX = size - 1
 * as put_near_end() leaves it. Returns if there is one, else goes on with all registers unchanged.
 *
 * An empty slot is not on the list of those that are to be emptied again, so that it is
 * tr_fill()'s; and so is each eighth miss of a place of its own, to see whether it had better not
 * have one.
 */
static void put_other(struct emit *m, enum slot_kind kind, unsigned set, bool own)
{
	unsigned first = !own               ? X86_SLOT_SECOND
			 : kind == SLOT_BIG ? X86_SLOT_HASH_BIG
					    : X86_SLOT_HASH_SMALL;
	size_t from = (set * X86_SLOTS + first) * sizeof(struct x86_slot),
	       heat = offsetof(struct vcpu, slots.heat);
	unsigned no[4], n = 0, counted;

	tr_gs(m, true, 0x89, RCX, spill_word(1));
	tr_gs(m, true, 0x89, RDX, spill_word(2));
	SLOT_AT(m, 0x83, 7, lim);
	emit8(m, 0); /* cmp qword lim, 0 */
	no[n++] = jcc(m, CC_E);
	if (own) {
		shifted(m, RCX, S1, MEM_PAGE_SHIFT - 5);
		EMIT(m, 0x81, 0xe1); /* and ecx */
		emit32(m, (X86_SLOTS_HASH - 1) << 5);
	} else {
		tr_rr(m, true, 0x89, S1, RCX);
		EMIT(m, 0x48, 0xc1, 0xe9, MEM_PAGE_SHIFT, 0x69, 0xc9); /* shr rcx; imul ecx, ecx */
		emit32(m, TR_SECOND_FACTOR);
		EMIT(m, 0xc1, 0xe9, TR_SECOND_SHIFT - 5, 0x81, 0xe1); /* shr ecx; and ecx */
		emit32(m, (X86_SLOTS_SECOND - 1) << 5);
	}
	tr_rr(m, true, 0x89, S1, RDX);
	slots_at(m, true, 0x2b, RDX, RCX,
		 offsetof(struct vcpu, slots.s) + from + offsetof(struct x86_slot, base));
	slots_at(m, true, 0x3b, RDX, RCX,
		 offsetof(struct vcpu, slots.s) + from + offsetof(struct x86_slot, lim));
	no[n++] = jcc(m, CC_AE);
	if (kind != SLOT_SMALL && kind != SLOT_BIG) { /* its end, too; lim allows for 8 bytes */
		tr_mem(m, true, 0x8d, RDX, RDX, RAX, 0, -7);
		slots_at(m, true, 0x3b, RDX, RCX,
			 offsetof(struct vcpu, slots.s) + from + offsetof(struct x86_slot, lim));
		no[n++] = jcc(m, CC_AE);
	}
	if (own) {
		tr_rr(m, false, 0x89, S2, RDX);
		EMIT(m, 0xc1, 0xea, 3); /* shr edx, 3 */
		slots_at(m, false, 0xff, 0, RDX, heat);
		slots_at(m, false, 0xf6, 0, RDX, heat);
		emit8(m, 7); /* inc dword heat; test byte heat, 7 */
		counted = jcc(m, CC_NE);
		slots_at(m, false, 0xff, 1, RDX, heat); /* dec dword heat: tr_fill() counts it */
		EMIT(m, 0xe9);
		emit32(m, 0);
		no[n++] = m->n;
		to_here(m, counted);
	}
	put_copy(m, kind, set, from);
	SLOT_AT(m, 0x2b, S1, base);
	tr_gs(m, true, 0x8b, RAX, spill_word(0));
	tr_gs(m, true, 0x8b, RCX, spill_word(1));
	tr_gs(m, true, 0x8b, RDX, spill_word(2));
	EMIT(m, 0x45, 0x85, 0xdb, 0xc3); /* test r11d, r11d, as put_near_end(); ret */
	for (unsigned i = 0; i < n; i++)
		to_here(m, no[i]);
	tr_gs(m, true, 0x8b, RCX, spill_word(1));
	tr_gs(m, true, 0x8b, RDX, spill_word(2));
}

static void put_miss(struct emit *m, const struct vcpu *v, enum slot_kind kind, bool write,
		     unsigned set, bool own)
{
	put_near_end(m, kind);
	SLOT_AT(m, 0x03, S1, base);
	if (own || kind != SLOT_BIG)
		put_other(m, kind, set, own);
	if (tr_is_group(kind))
		put_crossing(m);
	put_fill(m, v, (write ? TR_FILL_WRITE : 0) | (tr_is_group(kind) ? TR_FILL_GROUP : 0));
}

/*
 * After the interpreter's handler did what a miss could not: fill the slot from what that left in
 * the TLB, or two instructions whose pages displace each other there would never get theirs. What
 * is noted may be an older miss (the handler was reached in another way), but of this set. A range
 * for the wider class is good for either.
 */
static void put_refill(struct emit *m, const struct vcpu *v, unsigned set)
{
	unsigned bytes = X86_SLOTS * sizeof(struct x86_slot), other;

	tr_gs(m, true, 0x8b, S2, tr_word(W_MISSED_SLOT));
	tr_mem(m, false, 0x8d, S1, S2, NO_REG, 0, -(int32_t)(set * bytes));
	EMIT(m, 0x41, 0x81, 0xfa); /* cmp r10d, bytes */
	emit32(m, bytes);
	other = jcc(m, CC_AE);
	tr_gs(m, true, 0x8b, S1, tr_word(W_MISSED));
	tr_gs(m, true, 0x89, RAX, spill_word(0));
	EMIT(m, 0x31, 0xc0); /* xor eax, eax */
	put_fill(m, v, TR_FILL_AGAIN);
	to_here(m, other);
	emit8(m, 0xc3);
}

void tr_slot_glue(struct translator *t, const struct interp_cpu *ic, struct emit *m)
{
	t->by_page = t->map.rx + m->n;
	tr_imm64(m, S2, (uintptr_t)tr_by_page);
	tr_jump_to(m, 0xe9, t->map.rx, t->call);
	for (unsigned kind = 0; kind < SLOT_KINDS; kind++)
		for (unsigned i = 0; i < 2 * X86_SLOT_SETS; i++) {
			unsigned set = i / 2, write = i % 2;

			if (write && !(set & X86_SLOT_WRITE))
				continue;
			t->miss[kind][write][set] = t->map.rx + m->n;
			put_miss(m, ic->v, kind, write, set, true);
			if (tr_is_stack(kind))
				continue;
			t->miss_page[kind][write][set] = t->map.rx + m->n;
			put_miss(m, ic->v, kind, write, set, false);
		}
	for (unsigned set = 0; set < X86_SLOT_SETS; set++) {
		t->refill[set] = t->map.rx + m->n;
		put_refill(m, ic->v, set);
	}
}
