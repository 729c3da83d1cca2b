/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory accesses of translated code: addresses and the check before an access. Intel SDM vol. 1,
 * 3.7.5.
 *
 * The check compares the address with a slot (struct x86_slot in cpu/x86/vcpu.h), a range of linear
 * addresses that lies in one run of host memory:
 *
 *	lea S1, [address]; sub S1, slot.base; cmp S1, slot.lim; jae miss
 *
 * One comparison is tag, page crossing and range at once, because lim leaves room for the widest
 * access of the slot's class. Then comes the guest's own instruction, on [delta + guest registers]
 * (nothing is added to the latency of an address in one register), for loads from other addresses
 * on [address + delta], else on a host pointer. The stack, FS, GS, known addresses, tables
 * at known addresses and each place in a loop have slots of their own; places that follow one
 * pointer share it. All other places find their slot by page number: three instructions more and
 * the latency of a load, but few misses, however large the program.
 *
 * A miss goes to a routine that is native code too (slot.c): it looks the page up in the soft TLB
 * and fills the slot. What that cannot do (a TLB miss, MMIO, a crossing, a page with code) is the
 * interpreter's. A place with a slot of its own that misses time and again in short order (memory
 * of many small pages used at random) is changed to look by page number, tr_by_page().
 *
 * Stores. Pages that hold code are in no write slot: filling looks at the code bytes, and whoever
 * makes a page code sees to it that no slot covers it (mark_code() in interp/block.c, for several
 * vCPUs, too). So there is nothing to do after a store.
 */
#include "engine/translate/xlat.h"

/* ---- addresses ---- */

/* Must the segment be looked at? */
static bool has_segment(const struct xlat *x, const struct insn *in)
{
	return in->seg == X86_FS || in->seg == X86_GS ||
	       (!x->is64 && (!(x->b->key & X86_MODE_FLAT) || in->addrsize == 2));
}

bool xlat_segmented(const struct xlat *x, const struct insn *in)
{
	unsigned size = in->mem_size;

	return !x->is64 && size && size <= 32 && !(size & (size - 1)) &&
	       (in->addrsize == 2 || in->addrsize == 4) && has_segment(x, in);
}

struct ea xlat_ea(const struct xlat *x, const struct insn *in)
{
	struct ea a = {.base = in->base,
		       .index = in->index,
		       .scale = in->scale,
		       .seg = NO_REG,
		       .disp = in->flags & INSN_MOFFS ? (int64_t)in->imm : in->disp};

	static_assert(INSN_NO_REG == NO_REG, "the same value");
	if (in->flags & INSN_RIP_REL)
		a.disp += (int64_t)(x->b->rip + x->b->cold[x->i].off + in->len);
	a.rip = in->flags & INSN_RIP_REL;
	a.a16 = in->addrsize == 2;
	if (has_segment(x, in))
		a.seg = in->seg;
	return a;
}

static bool in_memory(unsigned g)
{
	return g != NO_REG && tr_host[g] == NO_REG;
}

void xlat_put_ea(struct xlat *x, unsigned dst, bool wide, const struct ea *a, int64_t more,
		 unsigned t1, unsigned t2)
{
	unsigned base = NO_REG, index = NO_REG;
	int64_t disp = a->disp + more;

	if (a->base != NO_REG)
		base = xlat_get(x, a->base, t1);
	if (a->index != NO_REG)
		index = xlat_get(x, a->index, in_memory(a->base) ? t2 : t1);
	if (a->rip)
		xlat_rip(x, dst, (uint64_t)disp, wide);
	else if (base == NO_REG && index == NO_REG)
		tr_imm64(&x->m, dst, wide ? (uint64_t)disp : (uint32_t)disp);
	else if (index == NO_REG && disp == 0)
		tr_rr(&x->m, wide, 0x89, base, dst);
	else
		tr_mem(&x->m, wide, 0x8d, dst, base, index, a->scale, (int32_t)disp);
}

bool xlat_disp_fits(const struct ea *a, int64_t more)
{
	int64_t disp;

	return (a->base == NO_REG && a->index == NO_REG) ||
	       (!__builtin_add_overflow(a->disp, more, &disp) && disp == (int32_t)disp);
}

/* ---- slots ---- */

/*
 * Is it an element of a table at a known address, which LEA has put into a register or which is the
 * displacement? Most are small, so that what the address is added to hardly matters. Jump tables
 * are such, and the constant arrays of parsers and interpreters.
 */
static bool is_table(const struct xlat *x, const struct ea *a, uint64_t *ret_lin)
{
	const int64_t far = 1 << 20; /* no structure's field */
	uint64_t start = 0;

	if (a->base == X86_RSP || a->seg != NO_REG)
		return false;
	if (a->base != NO_REG)
		start = x->table_of[a->base];
	if (!start && a->index != NO_REG && a->scale == 0)
		start = x->table_of[a->index];
	*ret_lin = start + (uint64_t)a->disp;
	return start || a->disp >= far || a->disp <= -far;
}

/* Slots of each class: the stack, FS, GS, known addresses by page, everything else in turn. The
 * stack has several, by where the code is: a caller and what it calls are often on two pages. */
enum { SLOT_FS = X86_SLOTS_STACK, SLOT_GS, SLOT_KNOWN };

static unsigned slot_number(struct xlat *x, const struct ea *a, unsigned n)
{
	unsigned known = n / 2, turn = n - SLOT_KNOWN - known, r = a->base;
	uint64_t lin = (uint64_t)a->disp;
	uint32_t near;

	if (a->seg == X86_FS || a->seg == X86_GS)
		return a->seg == X86_FS ? SLOT_FS : SLOT_GS;
	if (a->base == X86_RSP)
		return (unsigned)(x->b->rip >> 9 ^ x->b->rip >> 12) % X86_SLOTS_STACK;
	/* in a segment: its page as good as known */
	if ((a->base == NO_REG && a->index == NO_REG) || is_table(x, a, &lin))
		return SLOT_KNOWN + (unsigned)(((lin >> 12) * 0x9e3779b97f4a7c15ull) >> 32) % known;
	if (r == NO_REG)
		r = a->index;
	if (x->slot_of[r] == 0)
		x->slot_of[r] = ++x->t->slot_turn;
	/* one slot for what is near the pointer, others for each page away from it */
	near = (uint32_t)((a->disp + 2048) >> 12);
	return SLOT_KNOWN + known + (x->slot_of[r] + near * 61) % turn;
}

/* The slot of an access, as its number over all sets. */
unsigned xlat_choose_slot(struct xlat *x, const struct ea *a, unsigned size, bool write)
{
	unsigned set = (x->b->key & X86_MODE_USER ? 0 : X86_SLOT_SUPER) |
		       (write || a->base == X86_RSP ? X86_SLOT_WRITE : 0);
	unsigned n = size > 8 ? X86_SLOTS_SMALL + slot_number(x, a, X86_SLOTS_BIG)
			      : slot_number(x, a, X86_SLOTS_SMALL);

	return set * X86_SLOTS + n;
}

size_t xlat_slot_field(unsigned slot, size_t field)
{
	return offsetof(struct vcpu, slots.s) + slot * sizeof(struct x86_slot) + field;
}

unsigned xlat_slot_kind(unsigned slot, enum slot_kind kind)
{
	if (slot % X86_SLOTS >= X86_SLOTS_STACK)
		return kind;
	return kind == SLOT_GROUP ? SLOT_STACK_GROUP : SLOT_STACK;
}

/* The same found by page number. */
static unsigned page_kind(unsigned kind)
{
	return kind == SLOT_STACK ? SLOT_SMALL : kind == SLOT_STACK_GROUP ? SLOT_GROUP : kind;
}

#define SLOT(x, f) xlat_slot_field((x)->slot, offsetof(struct x86_slot, f))

void xlat_slots_forget(struct xlat *x, const struct insn *in)
{
	uint32_t gone = in->gpr_written;

	for (unsigned g = 0; g < 16; g++)
		if (gone >> g & 1)
			x->table_of[g] = 0;
	if (in->special == SP_LEA && in->flags & INSN_RIP_REL && in->opsize == 8)
		x->table_of[in->reg] = (uint64_t)xlat_ea(x, in).disp;
	/* a pointer that moves a little stays in its range, mostly */
	if (in->special == SP_LEA && in->base == in->reg)
		return;
	if (in->special == SP_NONE && in->map == MAP_1 && !(in->flags & INSN_MEM) &&
	    (in->opcode < 0x40 || (in->opcode & 0xf0) == 0x40 || in->opcode == 0x81 ||
	     in->opcode == 0x83 || in->opcode == 0xff))
		return;
	for (unsigned g = 0; gone; g++, gone >>= 1)
		if (gone & 1)
			x->slot_of[g] = 0;
}

static bool is_known(const struct ea *a)
{
	return a->base == NO_REG && a->index == NO_REG && a->seg == NO_REG;
}

/* Can the address be checked here at all? Then EFLAGS are free. */
static bool begin(struct xlat *x, const struct ea *a, unsigned size, bool write)
{
	if (!is_known(a) && !xlat_disp_fits(a, size))
		return false;
	xlat_flags_free(x);
	x->slot = (uint16_t)xlat_choose_slot(x, a, size, write);
	return true;
}

static size_t seg_field(const struct ea *a, size_t field)
{
	return offsetof(struct vcpu, s.seg) + a->seg * sizeof(struct x86_seg) + field;
}

/*
 * S1 = the linear address of @size bytes in a segment, or one that no slot and no TLB entry has
 * (not canonical) when the segment is not writable expand-up data or they are not inside its limit:
 * the interpreter finds out what to do about it. Intel SDM vol. 3, 5.3.
 */
static void put_segmented(struct xlat *x, const struct ea *a, unsigned size)
{
	/* type bits: code, expand-down, writable */
	const uint32_t mask = X86_ATTR_NULL | 8 | 4 | 2;
	struct emit *m = &x->m;

	tr_gs(m, false, 0x8b, S1, seg_field(a, offsetof(struct x86_seg, attr)));
	EMIT(m, 0x41, 0x81, 0xe2); /* and r10d, mask */
	emit32(m, mask);
	EMIT(m, 0x41, 0x83, 0xf2, 2);  /* xor r10d, writable */
	EMIT(m, 0x49, 0xc1, 0xe2, 47); /* shl r10, 47 */
	tr_gs(m, true, 0x89, S1, tr_word(W_SEGMENT));
	xlat_put_ea(x, S1, false, a, 0, S1, S2);
	if (a->a16)
		EMIT(m, 0x45, 0x0f, 0xb7, 0xd2); /* movzx r10d, r10w */
	tr_gs(m, false, 0x8b, S2, seg_field(a, offsetof(struct x86_seg, limit)));
	tr_rr(m, true, 0x29, S1, S2);
	EMIT(m, 0x49, 0x83, 0xeb, (uint8_t)(size - 1));      /* sub r11, size - 1 */
	EMIT(m, 0x49, 0xc1, 0xfb, 63, 0x49, 0xc1, 0xe3, 62); /* sar r11, 63; shl r11, 62 */
	tr_gs(m, true, 0x0b, S2, tr_word(W_SEGMENT));
	tr_gs(m, false, 0x03, S1, seg_field(a, offsetof(struct x86_seg, base)));
	tr_rr(m, true, 0x09, S2, S1);
}

/* S1 = the linear address, zero-extended outside 64-bit code (but for struct ea.wide) */
static void put_lin(struct xlat *x, const struct ea *a, unsigned size)
{
	if (a->seg != NO_REG && !x->is64) {
		put_segmented(x, a, size);
		return;
	}
	xlat_put_ea(x, S1, x->is64 || a->wide, a, 0, S1, S2);
	if (a->seg != NO_REG)
		tr_gs(&x->m, true, 0x03, S1, seg_field(a, offsetof(struct x86_seg, base)));
}

/* op S1 or S2 (@reg), [slot number S2 / 32 of the set's table] */
static void by_page_field(struct emit *m, uint8_t op, unsigned reg, size_t table, size_t field)
{
	emit8(m, 0x65);
	tr_mem(m, true, op, reg, S2, NO_REG, 0,
	       (int32_t)(offsetof(struct vcpu, slots.s) + table + field));
}

/* Offset of the table for accesses of a kind in the array of slots. */
static size_t page_table(unsigned set, unsigned kind)
{
	unsigned first = kind == SLOT_BIG ? X86_SLOT_HASH_BIG : X86_SLOT_HASH_SMALL;

	return (set * X86_SLOTS + first) * sizeof(struct x86_slot);
}

/* What an extent has beyond the eight bytes that a slot's limit allows for. */
static unsigned slack(unsigned kind, unsigned size)
{
	return kind == SLOT_GROUP && size > 8 ? size - 8 : 0;
}

void xlat_page_index(struct xlat *x)
{
	struct emit *m = &x->m;

	if (x->t->bmi2) {
		/* rorx r11d, r10d */
		EMIT(m, 0xc4, 0x43, 0x7b, 0xf0, 0xda, MEM_PAGE_SHIFT - 5);
	} else {
		tr_rr(m, false, 0x89, S1, S2);
		EMIT(m, 0x41, 0xc1, 0xeb, MEM_PAGE_SHIFT - 5); /* shr r11d */
	}
	EMIT(m, 0x41, 0x81, 0xe3); /* and r11d */
	emit32(m, (X86_SLOTS_HASH - 1) << 5);
}

/*
 * Compare address S1 with the slot of its page number, S2; jae to what is emitted next. With @len
 * bytes of an extent beyond eight its end is compared: that of one that begins before the slot's
 * range cannot be inside, because ranges reach less than X86_SLOTS_HASH pages back (slot.c), so
 * that a slot of this number and another page does not begin in the page after it.
 */
static void put_page_check(struct xlat *x, size_t table, unsigned len)
{
	struct emit *m = &x->m;

	static_assert(sizeof(struct x86_slot) == 32, "shifted by 5");
	xlat_page_index(x);
	by_page_field(m, 0x2b, S1, table, offsetof(struct x86_slot, base));
	if (len)
		tr_mem(m, true, 0x8d, S1, S1, NO_REG, 0, (int32_t)len);
	by_page_field(m, 0x3b, S1, table, offsetof(struct x86_slot, lim));
	EMIT(m, 0x0f, 0x83); /* jae */
	emit32(m, 0);
}

/* After it: what is wanted. */
static void put_page_hit(struct emit *m, size_t table, enum tr_want want, unsigned len)
{
	if (want == TR_SUM)
		by_page_field(m, 0x03, S1, table, offsetof(struct x86_slot, base));
	if (want == TR_PTR_S1)
		by_page_field(m, 0x03, S1, table, offsetof(struct x86_slot, host));
	else if (want == TR_DELTA || want == TR_SUM)
		by_page_field(m, 0x8b, S2, table, offsetof(struct x86_slot, delta));
	else
		by_page_field(m, 0x8b, S2, table, offsetof(struct x86_slot, host));
	if (want == TR_PTR_S2)
		tr_mem(m, true, 0x8d, S2, S2, S1, 0, -(int32_t)len);
}

/*
 * Does the access look for its slot by page number from the start? Large programs have so many
 * places that slots of their own, which they share, are mostly another's: half of the time of a
 * compiler went into filling them. The places of loops and of blocks that run every 200 ns are few.
 */
bool xlat_wants_page(const struct xlat *x, const struct ea *a)
{
	uint64_t lin;

	if (x->part[0]->paged >> x->i & 1)
		return true;
	if (a->seg != NO_REG || is_known(a) || is_table(x, a, &lin))
		return false;
	return a->base == X86_RSP ? x->stack_pages : !x->loop && !x->own;
}

int32_t xlat_page_table(unsigned set)
{
	return (int32_t)page_table(set, SLOT_SMALL);
}

void xlat_page_field(struct emit *m, uint8_t op, unsigned reg, unsigned set, size_t field)
{
	by_page_field(m, op, reg, page_table(set, SLOT_SMALL), field);
}

void xlat_page_check(struct xlat *x, unsigned set, unsigned size, enum tr_want want, bool hit)
{
	size_t table = page_table(set, SLOT_GROUP);
	unsigned len = slack(SLOT_GROUP, size);

	if (hit)
		put_page_hit(&x->m, table, want, len);
	else
		put_page_check(x, table, len);
}

/* Compare address S1, or with @sum its copy S2, with the slot; jae to what is emitted next. */
static void put_own_check(struct xlat *x, bool sum)
{
	unsigned reg = sum ? S2 : S1;
	struct emit *m = &x->m;

	if (sum)
		tr_rr(m, true, 0x89, S1, S2);
	tr_gs(m, true, 0x2b, reg, SLOT(x, base));
	tr_gs(m, true, 0x3b, reg, SLOT(x, lim));
	EMIT(m, 0x0f, 0x83); /* jae */
	emit32(m, 0);
}

/* The check, then what is wanted; TR_DELTA: and S1 = offset in the slot. */
static bool put_access(struct xlat *x, const struct ea *a, unsigned size, bool write,
		       enum tr_want want, struct stub **ret_stub)
{
	struct emit *m = &x->m;
	bool by_page = xlat_wants_page(x, a);
	size_t table;
	struct stub *s;
	unsigned from;

	check(!x->s1_group);
	if (!begin(x, a, size, write))
		return false;
	table = page_table(x->slot / X86_SLOTS, size > 8 ? SLOT_BIG : SLOT_SMALL);
	from = m->n;
	put_lin(x, a, size);
	if (by_page)
		put_page_check(x, table, 0);
	else
		put_own_check(x, want == TR_SUM);
	x->s2_group = 0;
	s = xlat_stub(x, STUB_SLOW);
	s->slot = (uint16_t)(x->slot + 1);
	s->by_page = by_page;
	s->kind_of_slot = size > 8  ? SLOT_BIG
			  : by_page ? SLOT_SMALL
				    : (uint8_t)xlat_slot_kind(x->slot, SLOT_SMALL);
	s->size = (uint16_t)size;
	s->write = write;
	s->check = from;
	s->hit = m->n;
	s->ea = *a;
	s->want = (uint8_t)want;
	if (by_page)
		put_page_hit(m, table, want, 0);
	else if (want == TR_PTR_S1)
		tr_gs(m, true, 0x03, S1, SLOT(x, host));
	else
		tr_gs(m, true, 0x8b, S2, SLOT(x, delta));
	s->after = m->n;
	*ret_stub = s;
	return true;
}

void xlat_op_mem(struct xlat *x, bool w, uint8_t op, unsigned reg)
{
	struct emit *m = &x->m;

	if (!m->mem_sib)
		tr_mem(m, w, op, reg, m->mem, NO_REG, 0, 0);
	else
		tr_mem(m, w, op, reg, m->mem, m->mem_index == RSP ? NO_REG : m->mem_index,
		       m->mem_scale, m->mem_disp);
}

bool xlat_ptr(struct xlat *x, const struct ea *a, unsigned size, bool write, struct stub **ret_stub)
{
	x->m.mem = S1;
	x->m.mem_sib = false;
	return put_access(x, a, size, write, TR_PTR_S1, ret_stub);
}

/*
 * Outside 64-bit code: register and displacement as the host adds them, without cutting the sum off
 * at 4 GiB? No slot of 32-bit code reaches beyond (fill.c), so a sum that is in one is what cutting
 * off would give, whatever is in the upper half of the register. One that should have been cut off
 * is in none, and becomes the interpreter's each time: so not where the displacement may be an
 * array's address and the register a negative index.
 */
static bool is_near(const struct ea *a)
{
	return a->base != NO_REG && !a->a16 && a->disp >= -65536 && a->disp < 65536;
}

bool xlat_operand(struct xlat *x, const struct ea *ea, unsigned size, bool write, bool s2_free,
		  struct stub **ret_stub)
{
	struct emit *m = &x->m;
	struct ea near = *ea, *a = &near;
	bool one = (a->base == NO_REG) != (a->index == NO_REG) && a->seg == NO_REG;
	unsigned g = a->base != NO_REG ? a->base : a->index;
	const struct insn *in = &x->in[x->i];
	enum tr_want want = TR_PTR_S1;

	if (xlat_group(x, a, size, write, s2_free)) {
		*ret_stub = &x->none;
		if (in->special == SP_NONE &&
		    (insn_may_fault(in) || in->flags & (INSN_FPU | INSN_MMX))) {
			*ret_stub = xlat_stub(x, STUB_SLOW);
			(*ret_stub)->site = 0;
			(*ret_stub)->save = !x->m_ok;
		}
		return true;
	}
	near.wide =
		s2_free && one && !x->is64 && !in_memory(g) && is_near(a) && !xlat_wants_page(x, a);
	m->mem_sib = near.wide || (s2_free && one && x->is64 && !in_memory(g));
	m->mem = S1;
	if (m->mem_sib) {
		m->mem = S2;
		m->mem_index = tr_host[g];
		m->mem_scale = a->base != NO_REG ? 0 : a->scale;
		m->mem_disp = (int32_t)a->disp;
		want = TR_DELTA;
	} else if (s2_free && !write && !is_known(a) && a->seg == NO_REG &&
		   !xlat_wants_page(x, a)) {
		/* an instruction more, but two less before a load that others wait for */
		m->mem_sib = true;
		m->mem = S2;
		m->mem_index = S1;
		m->mem_scale = 0;
		m->mem_disp = 0;
		want = TR_SUM;
	}
	return put_access(x, a, size, write, want, ret_stub);
}

/* ---- misses ---- */

/* 4 bytes: where offset @to is from here on, relative to @from */
static int32_t rel(unsigned to, unsigned from)
{
	return (int32_t)(to - from);
}

/* The slot of page number S2 / 32 missed: fill it. Carry: the interpreter must do it. */
static void put_page_miss(struct xlat *x, unsigned set, unsigned kind, unsigned size, bool write)
{
	int32_t table = (int32_t)page_table(set, kind), len = (int32_t)slack(kind, size);
	struct emit *m = &x->m;

	if (len)
		tr_mem(m, true, 0x8d, S1, S1, NO_REG, 0, -len);
	tr_mem(m, false, 0x8d, S2, S2, NO_REG, 0, table);
	EMIT(m, 0x41, 0xc1, 0xe3, 8);                   /* shl r11d, 8 */
	EMIT(m, 0x41, 0x80, 0xcb, (uint8_t)(size - 1)); /* or r11b, size - 1 */
	tr_jump_to(m, 0xe8, x->rx, x->t->miss_page[kind][write][set]);
	tr_mem(m, true, 0x8d, S2, S2, NO_REG, 0, -table);
	if (len)
		tr_mem(m, true, 0x8d, S1, S1, NO_REG, 0, len);
}

/* The slot is filled: back, unless ZF says that the place had better look by page number. */
static void put_filled(struct xlat *x, const struct stub *s)
{
	struct emit *m = &x->m;
	unsigned page;

	if (s->want != TR_SUM) {
		EMIT(m, 0x0f, 0x85); /* jne hit */
		emit32(m, s->hit - (m->n + 4));
		return;
	}
	EMIT(m, 0x74, 0); /* je page */
	page = m->n;
	tr_gs(m, true, 0x03, S1, xlat_slot_field(s->slot - 1u, offsetof(struct x86_slot, base)));
	emit8(m, 0xe9);
	emit32(m, s->hit - (m->n + 4));
	m->buf[page - 1] = (uint8_t)(m->n - page);
}

/*
 * The stack's slots have limits that leave room for groups. A narrow access in the last bytes of a
 * page is there all the same, and what a function does there it does time and again: a loop that
 * calls functions by pointers took twice as long. So that is looked at here (S1 = offset in the
 * slot).
 */
static void put_near_end(struct xlat *x, const struct stub *s)
{
	int more = (int)(tr_room(SLOT_STACK) - tr_room(SLOT_SMALL));
	struct emit *m = &x->m;

	tr_mem(m, true, 0x8d, S1, S1, NO_REG, 0, -more);
	tr_gs(m, true, 0x3b, S1, xlat_slot_field(s->slot - 1u, offsetof(struct x86_slot, lim)));
	tr_mem(m, true, 0x8d, S1, S1, NO_REG, 0, more);
	EMIT(m, 0x0f, 0x82); /* jb hit */
	emit32(m, s->hit - (m->n + 4));
}

void xlat_try(struct xlat *x, const struct stub *s)
{
	struct emit *m = &x->m;
	unsigned slot = s->slot - 1u, set = slot / X86_SLOTS, slow, at;
	struct tr_place p = {.disp = s->ea.disp,
			     .base = s->ea.base,
			     .index = s->ea.index,
			     .scale = s->ea.scale,
			     .seg = s->ea.seg,
			     .set = (uint8_t)set,
			     .size = s->size,
			     .kind = (uint8_t)page_kind(s->kind_of_slot),
			     .write = s->write,
			     .is64 = x->is64,
			     .a16 = s->ea.a16,
			     .wide = s->ea.wide,
			     .want = s->want,
			     .rip = s->ea.rip,
			     .insn = s->insn};

	if (s->by_page) {
		put_page_miss(x, set, s->kind_of_slot, s->size, s->write);
		EMIT(m, 0x0f, 0x83); /* jnc hit */
		emit32(m, s->hit - (m->n + 4));
		return;
	}
	if (s->want == TR_SUM)
		tr_rr(m, true, 0x89, S2, S1);
	if (s->kind_of_slot == SLOT_STACK && s->want != TR_SUM)
		put_near_end(x, s);
	/* mov r11d, slot's offset in the array << 8 | size - 1 */
	tr_imm64(m, S2, slot * sizeof(struct x86_slot) << 8 | (s->size - 1u));
	tr_jump_to(m, 0xe8, x->rx, x->t->miss[s->kind_of_slot][s->write][set]);
	EMIT(m, 0x0f, 0x82); /* jc slow */
	slow = m->n;
	emit32(m, 0);
	put_filled(x, s);
	EMIT(m, 0x4c, 0x8d, 0x15); /* lea r10, [rip + place] */
	emit32(m, 5 + 5);
	at = m->n + 5 + 5;
	tr_jump_to(m, 0xe8, x->rx, x->t->by_page);
	emit8(m, 0xe9);
	emit32(m, s->check - (m->n + 4));
	check(m->n == at);
	p.check = rel(s->check, at);
	p.after = rel(s->after, at);
	p.slow = rel(at + (unsigned)sizeof(p), at);
	if (p.rip)
		xlat_reloc(x, at + (unsigned)offsetof(struct tr_place, disp), 8);
	emit_bytes(m, &p, sizeof(p));
	st_le32(m->buf + slow, m->n - (slow + 4));
}

void xlat_refill(struct xlat *x, const struct stub *s)
{
	tr_jump_to(&x->m, 0xe8, x->rx, x->t->refill[(s->slot - 1u) / X86_SLOTS]);
}

/* The check by page number, on its own: ends in jumps to what follows or to the slow path. */
static void put_by_page(struct xlat *x, const struct tr_place *p, const uint8_t *rx_place)
{
	struct emit *m = &x->m;
	unsigned len = slack(p->kind, p->size), miss, ok;
	size_t table = page_table(p->set, p->kind);
	const struct ea a = {.base = p->base,
			     .index = p->index,
			     .scale = p->scale,
			     .seg = p->seg,
			     .disp = p->disp,
			     .a16 = p->a16,
			     .wide = p->wide,
			     .rip = p->rip};

	put_lin(x, &a, p->size);
	put_page_check(x, table, len);
	miss = ok = m->n;
	put_page_hit(m, table, p->want, len);
	tr_jump_to(m, 0xe9, x->rx, rx_place + p->after);
	st_le32(m->buf + miss - 4, m->n - miss);
	put_page_miss(x, p->set, p->kind, p->size, p->write);
	EMIT(m, 0x0f, 0x83); /* jnc ok */
	emit32(m, ok - (m->n + 4));
	tr_jump_to(m, 0xe9, x->rx, rx_place + p->slow);
}

/* From the next time on the block has the check of @p in line. Now it goes on at @check, where
 * there must be what was there, or, as where it was entered with flags in memory, the way out. */
static void in_line(struct vcpu *v, struct tr_block *tb, const struct tr_place *p,
		    const uint8_t *check)
{
	struct block *b = tb->first;

	/* once: joined with others, the block may have another instruction of that number now */
	if (icpu(v)->unchained || b->paged & BIT(p->insn))
		return;
	b->paged |= BIT(p->insn);
	if (b->tr != tb || !b->native || !block_valid(b))
		return;
	for (unsigned i = 0; i < TR_ENTRIES; i++)
		if (check >= tb->entry[i] && check < tb->entry[i] + 5 &&
		    (i != TR_M || check != tb->entry[i]))
			return;
	tr_redo_later(b);
}

int tr_by_page(struct vcpu *v, const void *place, struct x86_tlb_entry *tab, uint32_t fl)
{
	struct translator *t = icpu(v)->tr;
	const uint8_t *rx = place;
	struct tr_block *tb = tr_find(t, (uintptr_t)place);
	struct tr_place p;
	uint8_t *site;
	struct xlat x;

	memcpy(&p, place, sizeof(p));
	site = t->map.rw + (rx + p.check - t->map.rx);
	/* Full soon: then everything is dropped anyway. Not entered any more: the place may be
	 * where an entry was. */
	if (tb && !tb->dead && tr_room_for_code(icpu(v))) {
		memset(&x, 0, offsetof(struct xlat, stub));
		x.m = (struct emit){.buf = t->map.rw + t->used, .size = TR_ROOM, .home = t->home};
		x.rx = t->map.rx + t->used;
		x.ic = icpu(v);
		x.t = t;
		x.is64 = p.is64;
		put_by_page(&x, &p, rx);
		if (!tr_verify_added(icpu(v), tb, x.rx, x.m.n, &p, rx) || !xlat_keep_relocs(&x, tb))
			return tr_resume(v, NULL, tab, fl);
		tr_forget_reloc(tb, (size_t)(site - t->map.rw), 5);
		check(tr_in_code(t, (size_t)(site - t->map.rw), 5));
		site[0] = 0xe9;
		st_le32(site + 1, (uint32_t)(x.rx - (rx + p.check + 5)));
		t->used += align_up(x.m.n, 16);
		in_line(v, tb, &p, rx + p.check);
	}
	return tr_resume(v, NULL, tab, fl);
}
