/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filling slots: the native routines that translated code calls when an address is not in its slot
 * (mem.c). They look the page up in the soft TLB as the interpreter's handlers do, write the slot
 * and return to the access; nothing is spilled but six registers.
 *
 * In: S1 = address - slot.base; S2 = offset of the slot << 8 | size of the access - 1. Out: carry
 * clear, S1 = address - the new slot.base, S2 = offset of the slot, every other register as it was;
 * or carry set: the interpreter must do it. With carry clear, ZF says that the place had better
 * look its slot up by page number (xlat_try()).
 *
 * The slot is good for this access in any case, also when its lim says that the next one must come
 * here again: near the end of a range, and for supervisor accesses while user pages are accessible.
 */
#include "engine/translate/translate.h"

#define INDEX_MASK ((X86_TLB_SIZE - 1) * (unsigned)sizeof(struct x86_tlb_entry))
static_assert(sizeof(struct x86_tlb_entry) == 64, "the index is the page number times 64");
static_assert(sizeof(struct x86_slot) == 32, "the number is the offset / 32");

static const uint8_t spilled[] = {RAX, RCX, RDX, RBX, RSI, RDI};

static void slot_at(struct emit *m, uint8_t op, unsigned reg, size_t off)
{
	emit8(m, 0x65);
	tr_mem(m, true, op, reg, S2, NO_REG, 0, (int32_t)(offsetof(struct vcpu, slots.s) + off));
}
#define SLOT_AT(m, op, reg, f) slot_at(m, op, reg, offsetof(struct x86_slot, f))
#define ENTRY(m, w, op, reg, f)                                                                    \
	tr_mem(m, w, op, reg, RCX, NO_REG, 0, (int32_t)offsetof(struct x86_tlb_entry, f))

/* RAX is stored by put_near_end() already. */
static void spill(struct emit *m, bool store)
{
	for (unsigned i = store ? 1 : 0; i < ARRAY_SIZE(spilled); i++)
		tr_gs(m, true, store ? 0x89 : 0x8b, spilled[i], tr_word(W_SPILL + i));
}

static void put_byte_gs(struct emit *m, uint8_t op, uint8_t ext, size_t off, uint8_t imm)
{
	EMIT(m, 0x65, op, (uint8_t)(ext << 3 | 4), 0x25); /* op byte gs:[off], imm */
	emit32(m, (uint32_t)off);
	emit8(m, imm);
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
enum { CC_B = 2, CC_AE = 3, CC_E = 4, CC_NE = 5, CC_A = 7 };

/* Jumps forward to one place. */
struct jumps {
	unsigned n, at[12];
};
static void jump(struct emit *m, struct jumps *j, uint8_t cc)
{
	check(j->n < ARRAY_SIZE(j->at));
	j->at[j->n++] = jcc(m, cc);
}
static void land(struct emit *m, struct jumps *j)
{
	while (j->n)
		to_here(m, j->at[--j->n]);
}

/* Has the entry at RCX the tag in RAX? Returns the jump of "yes"; goes on behind for "now it has".
 */
static unsigned put_tag(struct emit *m, size_t tag, struct jumps *miss)
{
	unsigned hit;

	tr_mem(m, true, 0x8b, RDX, RCX, NO_REG, 0, (int32_t)tag);
	tr_rr(m, true, 0x31, RAX, RDX);
	hit = jcc(m, CC_E);
	EMIT(m, 0x48, 0x81, 0xfa); /* cmp rdx, 4095: the same page? */
	emit32(m, 4095);
	jump(m, miss, CC_A);
	ENTRY(m, false, 0x8b, RDX, gpa);
	EMIT(m, 0x81, 0xe2); /* and edx, 4095 */
	emit32(m, 4095);
	tr_gs(m, false, 0x3b, RDX, offsetof(struct vcpu, slots.global_gen));
	jump(m, miss, CC_NE);
	tr_mem(m, true, 0x89, RAX, RCX, NO_REG, 0, (int32_t)tag);
	return hit;
}

/*
 * RCX = the TLB entry of address S1. RAX: size - 1 before, then the tag the entry must have for all
 * bytes of the access; @miss if @tag is another. Entries of global pages are taken from other
 * address spaces, as entry_allows() in mmu.c does.
 */
static void put_lookup(struct emit *m, const struct x86_tlb *tlb, size_t tag, struct jumps *miss)
{
	struct jumps first = {0};
	unsigned hit[3];

	tr_rr(m, true, 0x89, S1, RCX);
	EMIT(m, 0x48, 0xc1, 0xe9, 6, 0x81, 0xe1); /* shr rcx, 6; and ecx, mask */
	emit32(m, INDEX_MASK);
	tr_gs(m, true, 0x03, RCX, tr_word(W_TAB));
	tr_rr(m, true, 0x01, S1, RAX);
	EMIT(m, 0x48, 0x25); /* and rax, -4096 */
	emit32(m, (uint32_t)-4096);
	tr_gs(m, true, 0x03, RAX, tr_word(W_GEN));
	hit[0] = put_tag(m, tag, &first);
	emit8(m, 0xe9); /* retagged: as good as a hit */
	emit32(m, 0);
	hit[1] = m->n;
	land(m, &first);
	/* RCX = the same in the second level, which has room for eight times as many */
	static_assert(X86_TLB_SECOND == 8 * X86_TLB_SIZE && X86_TLB_SECOND == 1 << 13, "as below");
	tr_rr(m, true, 0x89, S1, RDX);
	EMIT(m, 0x48, 0xc1, 0xea, 12); /* shr rdx, 12 */
	tr_rr(m, true, 0x89, RDX, RCX);
	EMIT(m, 0x48, 0xc1, 0xe9, 13, 0x31, 0xd1, 0x81, 0xe1); /* shr rcx, 13; xor ecx, edx; and */
	emit32(m, X86_TLB_SECOND - 1);
	EMIT(m, 0xc1, 0xe1, 6); /* shl ecx, 6 */
	tr_gs(m, true, 0x8b, RDX, tr_word(W_TAB));
	tr_imm64(m, RSI, (uintptr_t)tlb->e);
	tr_rr(m, true, 0x29, RSI, RDX);
	tr_mem(m, true, 0x8d, RCX, RCX, RDX, 3, 0);
	tr_imm64(m, RSI, (uintptr_t)tlb->second);
	tr_rr(m, true, 0x01, RSI, RCX);
	hit[2] = put_tag(m, tag, miss);
	for (unsigned i = 0; i < 3; i++)
		to_here(m, hit[i]);
}

/* The page has code: @miss if something was decoded from the bytes of the access (block.c of the
 * interpreter; no mark at all means that one is being made). */
static void put_granules(struct emit *m, const struct interp_vm *ivm, struct jumps *miss)
{
	static_assert(sizeof(struct interp_page) == 32, "shifted by 5");
	ENTRY(m, true, 0x8b, RAX, block);
	ENTRY(m, true, 0x8b, RDX, host);
	tr_mem(m, true, 0x2b, RDX, RAX, NO_REG, 0, (int32_t)offsetof(struct ram_block, host));
	tr_mem(m, true, 0x03, RDX, RAX, NO_REG, 0, (int32_t)offsetof(struct ram_block, ram_offset));
	EMIT(m, 0x48, 0xc1, 0xea, MEM_PAGE_SHIFT); /* shr rdx, 12 */
	tr_imm64(m, RAX, ivm->n_pages);
	tr_rr(m, true, 0x39, RAX, RDX);
	jump(m, miss, CC_AE);
	EMIT(m, 0x48, 0xc1, 0xe2, 5); /* shl rdx, 5 */
	tr_imm64(m, RAX, (uintptr_t)ivm->pages + offsetof(struct interp_page, granules));
	tr_mem(m, true, 0x8b, RAX, RAX, RDX, 0, 0);
	EMIT(m, 0x48, 0x85, 0xc0); /* test rax, rax */
	jump(m, miss, CC_E);
	for (unsigned last = 0; last < 2; last++) {
		tr_rr(m, false, 0x89, S1, RDX);
		if (last)
			tr_gs(m, false, 0x03, RDX, tr_word(W_SIZE));
		EMIT(m, 0xc1, 0xea, 6, 0x48, 0x0f, 0xa3, 0xd0); /* shr edx, 6; bt rax, rdx */
		jump(m, miss, CC_B);
	}
}

/*
 * RDX, RBX = pages before and after that may be stored to without a look at their code bytes: those
 * in the same aligned eight bytes, if all are clear. RAX = address of the page's code byte.
 */
static void put_clear_of_code(struct emit *m)
{
	unsigned other, done;

	tr_rr(m, true, 0x89, RAX, RSI);
	EMIT(m, 0x48, 0x83, 0xe6, 0xf8);       /* and rsi, -8 */
	EMIT(m, 0x48, 0x83, 0x3e, 0x00);       /* cmp qword [rsi], 0 */
	other = jcc(m, CC_NE);                 /* */
	tr_rr(m, false, 0x89, RAX, RSI);       /* */
	EMIT(m, 0x83, 0xe6, 0x07);             /* and esi, 7 */
	EMIT(m, 0x39, 0xf2, 0x0f, 0x47, 0xd6); /* cmp edx, esi; cmova edx, esi */
	EMIT(m, 0x83, 0xf6, 0x07);             /* xor esi, 7 */
	EMIT(m, 0x39, 0xf3, 0x0f, 0x47, 0xde); /* cmp ebx, esi; cmova ebx, esi */
	emit8(m, 0xe9);
	emit32(m, 0);
	done = m->n;
	to_here(m, other);
	EMIT(m, 0x31, 0xd2, 0x31, 0xdb); /* xor edx, edx; xor ebx, ebx */
	to_here(m, done);
}

/*
 * Misses of one slot in quick succession: the instruction uses memory all over the place, or shares
 * its slot. W_SETTLED is 0 when there were so many that it had better look by page number. The cost
 * of a wrong guess is small either way. The clock, which costs as much as all the rest, is looked
 * at every eighth time.
 */
#define HOT_EACH   8u
#define HOT_TSC    4000u
#define HOT_MISSES (3 * HOT_EACH)
static void put_heat(struct emit *m, unsigned set)
{
	int32_t last = (int32_t)offsetof(struct vcpu, slots.missed);
	int32_t heat = (int32_t)offsetof(struct vcpu, slots.heat);
	unsigned first =
		(set * X86_SLOTS + X86_SLOT_HASH_SMALL) * (unsigned)sizeof(struct x86_slot);
	unsigned few, warm, slow, by_page;

	/* those found by page number stay so */
	tr_mem(m, false, 0x8d, RBX, S2, NO_REG, 0, -(int32_t)first);
	EMIT(m, 0x81, 0xfb); /* cmp ebx, */
	emit32(m, 2 * X86_SLOTS_HASH * (unsigned)sizeof(struct x86_slot));
	by_page = jcc(m, CC_B);
	tr_rr(m, false, 0x89, S2, RBX);
	EMIT(m, 0xc1, 0xeb, 3); /* shr ebx, 3: 4 bytes each */
	emit8(m, 0x65);
	tr_mem(m, false, 0x8b, RSI, RBX, NO_REG, 0, heat);
	EMIT(m, 0xff, 0xc6, 0xf7, 0xc6); /* inc esi; test esi, HOT_EACH - 1 */
	emit32(m, HOT_EACH - 1);
	few = jcc(m, CC_NE);
	EMIT(m, 0x0f, 0x31); /* rdtsc */
	tr_rr(m, false, 0x89, RAX, RDI);
	emit8(m, 0x65);
	tr_mem(m, false, 0x2b, RDI, RBX, NO_REG, 0, last);
	emit8(m, 0x65);
	tr_mem(m, false, 0x89, RAX, RBX, NO_REG, 0, last);
	EMIT(m, 0x81, 0xff); /* cmp edi, HOT_TSC */
	emit32(m, HOT_TSC);
	slow = jcc(m, CC_A);
	EMIT(m, 0x81, 0xfe); /* cmp esi, HOT_MISSES */
	emit32(m, HOT_MISSES);
	warm = jcc(m, CC_NE);
	put_byte_gs(m, 0xc6, 0, tr_word(W_SETTLED), 0);
	to_here(m, slow);
	EMIT(m, 0x31, 0xf6); /* xor esi, esi */
	to_here(m, few);
	to_here(m, warm);
	emit8(m, 0x65);
	tr_mem(m, false, 0x89, RSI, RBX, NO_REG, 0, heat);
	to_here(m, by_page);
}

/* Put the slot on the list of those that are not empty. */
static void put_note(struct emit *m, unsigned class)
{
	size_t n = offsetof(struct vcpu, slots.n_filled) + 4 * class;
	size_t listed = offsetof(struct vcpu, slots.listed);
	unsigned is;

	tr_rr(m, false, 0x89, S2, RDX);
	EMIT(m, 0xc1, 0xea, 5); /* shr edx, 5 */
	emit8(m, 0x65);
	tr_mem(m, false, 0x80, 7, RDX, NO_REG, 0, (int32_t)listed); /* cmp byte [], 0 */
	emit8(m, 0);
	is = jcc(m, CC_NE);
	emit8(m, 0x65);
	tr_mem(m, false, 0xc6, 0, RDX, NO_REG, 0, (int32_t)listed); /* mov byte [], 1 */
	emit8(m, 1);
	tr_gs(m, false, 0x8b, RAX, n);
	EMIT(m, 0x65, 0x66); /* mov gs:[rax * 2 + ], dx */
	tr_mem(m, false, 0x89, RDX, NO_REG, RAX, 1,
	       (int32_t)(offsetof(struct vcpu, slots.filled) +
			 class * sizeof(((struct x86_slots *)NULL)->filled[0])));
	EMIT(m, 0xff, 0xc0); /* inc eax */
	tr_gs(m, false, 0x89, RAX, n);
	to_here(m, is);
}

/* RSI, RDI = page and host page of the address. */
static void put_page(struct emit *m)
{
	tr_rr(m, true, 0x89, S1, RSI);
	EMIT(m, 0x48, 0x81, 0xe6); /* and rsi, -4096 */
	emit32(m, (uint32_t)-4096);
	ENTRY(m, true, 0x8b, RDI, host);
}

/* Address of the code byte of the slot's first page: RAX. */
static void put_code_byte(struct emit *m)
{
	tr_rr(m, false, 0x89, S2, RCX);
	EMIT(m, 0xc1, 0xe9, 2); /* shr ecx, 2: 8 bytes each */
	emit8(m, 0x65);
	tr_mem(m, true, 0x89, RAX, RCX, NO_REG, 0, (int32_t)offsetof(struct vcpu, slots.code));
}

/* RDX = fewer pages before than the table by page number has entries (put_page_check(), mem.c). */
static void put_clamp(struct emit *m)
{
	tr_imm64(m, RSI, X86_SLOTS_HASH / 2);
	EMIT(m, 0x39, 0xf2, 0x0f, 0x47, 0xd6); /* cmp edx, esi; cmova edx, esi */
}

/* RSI, RDI, RBX = base, host, lim of the range with pages before and after in RDX, RBX; RAX = code
 * byte. */
static void put_range(struct emit *m, enum slot_kind kind, bool write_set)
{
	tr_mem(m, true, 0x8d, RBX, RDX, RBX, 0, 1);
	EMIT(m, 0x48, 0xc1, 0xe3, MEM_PAGE_SHIFT); /* shl rbx, 12 */
	if (write_set) {
		tr_rr(m, true, 0x29, RDX, RAX);
		put_code_byte(m);
	}
	EMIT(m, 0x48, 0xc1, 0xe2, MEM_PAGE_SHIFT); /* shl rdx, 12 */
	tr_rr(m, true, 0x29, RDX, RSI);
	tr_rr(m, true, 0x29, RDX, RDI);
	EMIT(m, 0x48, 0x83, 0xeb, kind == SLOT_BIG ? 63 : 7); /* sub rbx, */
}

/* The supervisor's: is the page global? And @once when user pages are in reach. */
static void put_super(struct emit *m, struct jumps *once)
{
	unsigned global;

	put_byte_gs(m, 0x80, 7, offsetof(struct vcpu, slots.hold), 0);
	jump(m, once, CC_NE);
	ENTRY(m, false, 0x8b, RAX, gpa);
	EMIT(m, 0xa9); /* test eax, 4095 */
	emit32(m, 4095);
	global = jcc(m, CC_NE);
	put_byte_gs(m, 0xc6, 0, offsetof(struct vcpu, slots.local), 1);
	to_here(m, global);
}

/*
 * A narrow access near the end of the slot's range, which lim excludes for the sake of wider ones:
 * nothing to be done. Otherwise EAX = size - 1 and S2 = the slot's offset.
 */
static void put_near_end(struct emit *m, enum slot_kind kind)
{
	unsigned other, below = 0;
	int room = kind == SLOT_BIG ? 63 : 7;

	tr_gs(m, true, 0x89, RAX, tr_word(W_SPILL));
	EMIT(m, 0x41, 0x0f, 0xb6, 0xc3); /* movzx eax, r11b */
	EMIT(m, 0x41, 0xc1, 0xeb, 8);    /* shr r11d, 8 */
	tr_mem(m, true, 0x8d, RAX, RAX, S1, 0, -room);
	if (kind == SLOT_GROUP) { /* may begin before the range and end in it */
		SLOT_AT(m, 0x3b, S1, lim);
		below = jcc(m, CC_AE);
	}
	SLOT_AT(m, 0x3b, RAX, lim);
	other = jcc(m, CC_AE);
	tr_gs(m, true, 0x8b, RAX, tr_word(W_SPILL));
	EMIT(m, 0x45, 0x85, 0xdb); /* test r11d, r11d: neither 0 nor carry */
	/* the stack's slot of the user's read set is at offset 0, and not used (mem.c) */
	emit8(m, 0xc3);
	to_here(m, other);
	if (below)
		to_here(m, below);
	tr_mem(m, false, 0x8d, RAX, RAX, NO_REG, 0, room);
	tr_rr(m, false, 0x29, S1, RAX);
}

static void put_miss(struct emit *m, const struct x86_tlb *tlb, const struct interp_vm *ivm,
		     unsigned set, enum slot_kind kind, bool write)
{
	bool write_set = set & X86_SLOT_WRITE, super = set & X86_SLOT_SUPER;
	struct jumps miss = {0}, code = {0}, once = {0};
	unsigned store;

	put_near_end(m, kind);
	spill(m, true);
	put_byte_gs(m, 0xc6, 0, tr_word(W_SETTLED), 1);
	tr_gs(m, false, 0x89, RAX, tr_word(W_SIZE));
	SLOT_AT(m, 0x03, S1, base);
	put_lookup(m, tlb,
		   write_set ? offsetof(struct x86_tlb_entry, tag_write)
			     : offsetof(struct x86_tlb_entry, tag_read),
		   &miss);
	if (write_set) {
		ENTRY(m, true, 0x8b, RAX, code);
		EMIT(m, 0x80, 0x38, 0x00); /* cmp byte [rax], 0 */
		jump(m, &code, CC_NE);
	}
	put_heat(m, set);
	if (super)
		put_super(m, &once);
	ENTRY(m, false, 0x8b, RDX, before);
	ENTRY(m, false, 0x8b, RBX, after);
	put_clamp(m);
	if (write_set) {
		ENTRY(m, true, 0x8b, RAX, code);
		put_clear_of_code(m);
	}
	put_page(m);
	put_range(m, kind, write_set);
	put_note(m, super);
	store = m->n;
	SLOT_AT(m, 0x89, RBX, lim);
	SLOT_AT(m, 0x89, RSI, base);
	SLOT_AT(m, 0x89, RDI, host);
	tr_rr(m, true, 0x29, RSI, RDI);
	SLOT_AT(m, 0x89, RDI, delta);
	tr_rr(m, true, 0x29, RSI, S1);
	spill(m, false);
	put_byte_gs(m, 0x80, 7, tr_word(W_SETTLED), 0); /* no carry */
	emit8(m, 0xc3);
	if (write_set && !write) { /* reading the stack: a page that is not to be kept will do */
		land(m, &miss);
		tr_gs(m, false, 0x8b, RAX, tr_word(W_SIZE));
		put_lookup(m, tlb, offsetof(struct x86_tlb_entry, tag_read), &miss);
		land(m, &code);
	} else if (write_set) {
		if (kind == SLOT_GROUP) { /* of more granules than two */
			for (unsigned i = 0; i < code.n; i++)
				miss.at[miss.n++] = code.at[i];
			code.n = 0;
		} else {
			land(m, &code);
			put_granules(m, ivm, &miss);
		}
	}
	land(m, &once);
	/* for this time only */
	put_page(m);
	if (write_set) {
		ENTRY(m, true, 0x8b, RAX, code);
		put_code_byte(m);
	}
	EMIT(m, 0x31, 0xdb); /* xor ebx, ebx */
	emit8(m, 0xe9);
	emit32(m, store - (m->n + 4));
	land(m, &miss);
	tr_gs(m, true, 0x89, S1, tr_word(W_MISSED));
	tr_gs(m, true, 0x89, S2, tr_word(W_MISSED_SLOT));
	spill(m, false);
	EMIT(m, 0xf9, 0xc3); /* stc; ret */
}

/*
 * After the interpreter's handler did what a miss could not: fill the slot from what that left in
 * the TLB, or two instructions whose pages displace each other there would never get theirs. What
 * is noted may be an older miss (the handler was reached in another way), but of this set. A range
 * for the wider class is good for either.
 */
static void put_refill(struct translator *t, struct emit *m, unsigned set)
{
	unsigned bytes = X86_SLOTS * sizeof(struct x86_slot), other;

	t->refill[set] = t->map.rx + m->n;
	tr_gs(m, true, 0x8b, S2, tr_word(W_MISSED_SLOT));
	tr_mem(m, false, 0x8d, S1, S2, NO_REG, 0, -(int32_t)(set * bytes));
	EMIT(m, 0x41, 0x81, 0xfa); /* cmp r10d, bytes */
	emit32(m, bytes);
	other = jcc(m, CC_AE);
	tr_gs(m, true, 0x8b, S1, tr_word(W_MISSED));
	SLOT_AT(m, 0x2b, S1, base);
	EMIT(m, 0x41, 0xc1, 0xe3, 8); /* shl r11d, 8 */
	tr_jump_to(m, 0xe9, t->map.rx, t->miss[set][1][0]);
	to_here(m, other);
	emit8(m, 0xc3);
}

void tr_slot_glue(struct translator *t, const struct interp_cpu *ic, struct emit *m)
{
	t->by_page = t->map.rx + m->n;
	tr_imm64(m, S2, (uintptr_t)tr_by_page);
	tr_jump_to(m, 0xe9, t->map.rx, t->call);
	for (unsigned set = 0; set < X86_SLOT_SETS; set++)
		for (unsigned kind = 0; kind < SLOT_KINDS; kind++)
			for (unsigned write = 0; write < 2; write++) {
				t->miss[set][kind][write] = t->map.rx + m->n;
				put_miss(m, ic->v->tlb, ic->ivm, set, kind, write);
			}
	for (unsigned set = 0; set < X86_SLOT_SETS; set++)
		put_refill(t, m, set);
}
