/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verifier (verify.c) knows of registers, and what it demands of operands.
 *
 * Only the scratch registers, RSI and RDI (which string instructions make host addresses of for a
 * moment) and three words of struct vcpu are followed; all others are the guest's and may be
 * anything. A host address of guest memory comes about in one way: an address from which a slot's
 * base was subtracted was below the slot's limit, or the routine of misses said so, and then that
 * slot's distance or host address was loaded. Sums of such a value and anything else still lead
 * there; that the right thing is added is not looked at, because only the guest's own instructions
 * could tell. Nor is for how many turns of a loop a check is good (loop.c): it counts for the loop.
 *
 * A check is good for so many bytes and, if the slot is of a set for stores, for stores. The sets
 * of user and supervisor mode go with the block's mode. What groups keep (x86_slots.group) counts
 * on the ways that stored it, and after C code ran only once no slot was found emptied.
 */
#include <stdlib.h>

#include "engine/translate/verify.h"

#define VCPU(f) offsetof(struct vcpu, f)
#define ARITH   X86_ARITH

extern const char __executable_start[], etext[];

void verify_start(struct state *s)
{
	memset(s, 0, sizeof(*s));
	s->passed = VERIFY_NO;
}

void verify_forget(struct state *s)
{
	memset(s->v, 0, sizeof(s->v));
	s->passed = VERIFY_NO;
	s->pending = P_NONE;
}

/* ---- joining ---- */

static bool is_same(const struct value *a, const struct value *b)
{
	return a->kind == b->kind && a->write == b->write && a->exact == b->exact &&
	       a->room == b->room && a->add == b->add && a->n == b->n;
}

static bool join_value(struct value *into, const struct value *v)
{
	struct value was = *into;

	if (is_same(into, v))
		return false;
	if (into->kind == v->kind && into->n == v->n &&
	    (into->kind == V_HOST || into->kind == V_SLOT)) {
		into->write &= v->write;
		into->exact &= v->exact;
		into->room = MIN(into->room, v->room);
	} else if (into->kind == v->kind && into->kind == V_BELOW) {
		into->n = MAX(into->n, v->n);
	} else {
		*into = (struct value){.kind = V_ANY};
	}
	return !is_same(&was, into);
}

bool verify_join(struct state *into, const struct state *s)
{
	bool changed = false;

	for (unsigned i = 0; i < T_COUNT; i++)
		changed |= join_value(&into->v[i], &s->v[i]);
	for (unsigned i = 0; i < X86_GROUPS; i++)
		changed |= join_value(&into->group[i], &s->group[i]);
	if (into->passed != VERIFY_NO) {
		if (into->passed != s->passed) {
			into->passed = VERIFY_NO;
			changed = true;
		} else if (s->passed_room < into->passed_room) {
			into->passed_room = s->passed_room;
			changed = true;
		}
	}
	if (into->pending != P_NONE &&
	    (into->pending != s->pending || into->pending_n != s->pending_n ||
	     into->pending_room != s->pending_room)) {
		into->pending = P_NONE;
		changed = true;
	}
	if (s->stale && !into->stale)
		into->stale = changed = true;
	if (into->seen && !s->seen) {
		into->seen = false;
		changed = true;
	}
	return changed;
}

/* ---- registers ---- */

static int tracked(unsigned reg)
{
	switch (reg) {
	case S1: return T_S1;
	case S2: return T_S2;
	case RSI: return T_RSI;
	case RDI: return T_RDI;
	default: return -1;
	}
}

static struct value get(const struct state *s, unsigned reg)
{
	int i = reg == NO_REG ? -1 : tracked(reg);

	return i < 0 ? (struct value){.kind = V_ANY} : s->v[i];
}

static void set(struct state *s, unsigned reg, struct value v)
{
	int i = tracked(reg);

	if (i < 0)
		return;
	s->v[i] = v;
	/* the slot was found by what S2 held */
	if (reg == S2 && s->passed != VERIFY_NO && s->passed & VERIFY_PAGED)
		s->passed = VERIFY_NO;
	if (s->pending == P_ATMOST && s->pending_n == reg)
		s->pending = P_NONE;
}

static struct value any(void)
{
	return (struct value){.kind = V_ANY};
}

/* ---- slots ---- */

enum { FIELD_BASE, FIELD_LIM, FIELD_DELTA, FIELD_HOST };
static_assert(sizeof(struct x86_slot) == 32 && offsetof(struct x86_slot, host) == 24, "fields");

#define ALL_SLOTS (X86_SLOT_SETS * X86_SLOTS)

static unsigned set_of(uint64_t slot)
{
	return slot & VERIFY_PAGED
		       ? (unsigned)((uint32_t)slot / sizeof(struct x86_slot)) / X86_SLOTS
		       : (unsigned)slot / X86_SLOTS;
}

/* The number in its set of the first slot of the table that was looked in, or the slot's own. */
static unsigned number_of(uint64_t slot)
{
	return slot & VERIFY_PAGED
		       ? (unsigned)((uint32_t)slot / sizeof(struct x86_slot)) % X86_SLOTS
		       : (unsigned)slot % X86_SLOTS;
}

/* Bytes from an offset below the limit on that are in the slot: mem.c. */
static uint16_t slot_room(uint64_t slot)
{
	unsigned n = number_of(slot);

	if (slot & VERIFY_PAGED)
		return n == X86_SLOT_HASH_BIG ? 64 : 8;
	return n < X86_SLOTS_STACK || n >= X86_SLOTS_SMALL ? 64 : 8;
}

/* An operand in struct vcpu, relative to RIP: as if by GS. */
void verify_home(const struct verifier *f, struct insn *in)
{
	uint64_t off = (uintptr_t)f->at + in->len + (uint64_t)in->disp - (uintptr_t)f->ic->v;

	if (!(in->flags & INSN_RIP_REL) || in->prefixes & PFX_SEG || in->special == SP_LEA ||
	    off >= sizeof(struct vcpu))
		return;
	in->flags &= ~(uint32_t)INSN_RIP_REL;
	in->seg = X86_GS;
	in->disp = (int64_t)off;
}

/* A GS operand that is a field of a slot: which. @in's base may be S2 with the number. */
static bool slot_operand(const struct state *s, const struct insn *in, uint64_t *ret_slot,
			 unsigned *ret_field)
{
	uint64_t off = (uint64_t)in->disp - VCPU(slots.s);

	if (off >= ALL_SLOTS * sizeof(struct x86_slot) || off % 8 || in->index != NO_REG)
		return false;
	*ret_field = (unsigned)(off % sizeof(struct x86_slot) / 8);
	off -= off % sizeof(struct x86_slot);
	if (in->base == NO_REG) {
		*ret_slot = off / sizeof(struct x86_slot);
		return number_of(*ret_slot) < X86_SLOT_HASH_SMALL;
	}
	*ret_slot = VERIFY_PAGED | off;
	return in->base == S2 && s->v[T_S2].kind == V_INDEX &&
	       (number_of(*ret_slot) == X86_SLOT_HASH_SMALL ||
		number_of(*ret_slot) == X86_SLOT_HASH_BIG);
}

static struct value passed(const struct state *s, uint64_t slot, unsigned kind)
{
	return (struct value){.kind = (uint8_t)kind,
			      .write = set_of(slot) & X86_SLOT_WRITE,
			      .room = s->passed_room,
			      .n = kind == V_SLOT ? slot : 0};
}

static bool right_mode(struct verifier *f, uint64_t slot)
{
	if (!(set_of(slot) & X86_SLOT_SUPER) == f->user)
		return true;
	return verify_report(f, "a slot of the other privilege");
}

/* op @reg, a field of a slot, 64 bits. */
static bool slot_insn(struct verifier *f, struct state *s, const struct insn *in, uint64_t slot,
		      unsigned field)
{
	struct value v = get(s, in->reg);
	bool has_passed = s->passed == slot;

	if (!(in->flags & INSN_W) || in->flags & INSN_MEM_WRITE || in->map != MAP_1)
		return verify_report(f, "not how a slot is used");
	if (!right_mode(f, slot))
		return false;
	if (in->opcode == 0x2b && field == FIELD_BASE) {
		set(s, in->reg, (struct value){.kind = V_SUB, .n = slot});
		s->passed = VERIFY_NO;
		return true;
	}
	if (in->opcode == 0x3b && field == FIELD_LIM) {
		if (v.kind != V_SUB || v.n != slot)
			return verify_report(f,
					     "the limit of a slot whose base was not subtracted");
		s->pending = P_BELOW;
		s->pending_n = slot;
		s->pending_room = v.add == INT32_MIN
					  ? VERIFY_RANGE
					  : (uint16_t)MAX(0, (int)slot_room(slot) + v.add);
		return true;
	}
	if ((in->opcode == 0x8b && (field == FIELD_BASE || field == FIELD_LIM)) ||
	    (in->opcode == 0x03 && field == FIELD_BASE)) {
		set(s, in->reg, any()); /* a number like others: loop.c */
		return true;
	}
	if (in->opcode == 0x3b && field == FIELD_DELTA)
		return true; /* is it what it was? loop.c */
	if (!has_passed)
		return verify_report(f, "a slot is used that no check has passed");
	if (in->opcode == 0x8b && field == FIELD_DELTA) {
		set(s, in->reg, passed(s, slot, V_HOST));
		return true;
	}
	if (in->opcode == 0x8b && field == FIELD_HOST) {
		set(s, in->reg, passed(s, slot, V_SLOT));
		return true;
	}
	if (in->opcode == 0x03 && field == FIELD_HOST) {
		if (v.kind != V_SUB || v.n != slot || v.add)
			return verify_report(f, "a slot's host address plus something else");
		v = passed(s, slot, V_HOST);
		v.exact = true;
		set(s, in->reg, v);
		return true;
	}
	return verify_report(f, "not how a slot is used");
}

/* ---- struct vcpu ---- */

/* What translated code may write directly. */
static bool is_writable(uint64_t off, unsigned size)
{
	static const struct {
		size_t from, len;
	} part[] = {
		{VCPU(s.gpr), sizeof(((struct vcpu *)0)->s.gpr)},
		{VCPU(s.rflags), 8},
		{VCPU(s.seg) + X86_FS * sizeof(struct x86_seg) + offsetof(struct x86_seg, base), 8},
		{VCPU(s.seg) + X86_GS * sizeof(struct x86_seg) + offsetof(struct x86_seg, base), 8},
		{VCPU(s.kernel_gs_base), 8},
		{VCPU(s.fpu.fcs), 2},
		{VCPU(aside), 8},
		{VCPU(word), sizeof(((struct vcpu *)0)->word)},
		{VCPU(x87), sizeof(((struct vcpu *)0)->x87)},
		{VCPU(count.pauses), 8},
		{VCPU(turns), sizeof(((struct vcpu *)0)->turns)},
		{VCPU(slots.seen), 4},
		{VCPU(slots.hold), 1},
		{VCPU(slots.group), sizeof(((struct vcpu *)0)->slots.group)},
		{VCPU(slots.delta), sizeof(((struct vcpu *)0)->slots.delta)},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(part); i++)
		if (off >= part[i].from && off + size <= part[i].from + part[i].len)
			return true;
	return false;
}

static int cell(uint64_t off)
{
	if (off == tr_word(W_STR_A))
		return T_STR_A;
	if (off == tr_word(W_LIN))
		return T_LIN;
	return off == tr_word(W_ENTRY) ? T_ENTRY : -1;
}

static bool moves(const struct insn *in, unsigned op)
{
	return in->map == MAP_1 && in->opcode == op;
}

/* mov gs:[group], reg or mov, add reg, gs:[group] */
static bool group_insn(struct verifier *f, struct state *s, const struct insn *in, unsigned n)
{
	struct value v = get(s, in->reg);

	if (!(in->flags & INSN_W))
		return verify_report(f, "half of what a group keeps");
	if (moves(in, 0x89)) {
		if (v.kind != V_HOST)
			return verify_report(f, "a group keeps what is no checked address");
		s->group[n] = v;
		return true;
	}
	if (!moves(in, 0x8b) && !moves(in, 0x03))
		return verify_report(f, "not how a group is used");
	/* not stored on each way here, or before C code that may have emptied slots: a number */
	v = s->stale ? any() : s->group[n];
	v.exact &= in->opcode == 0x8b;
	set(s, in->reg, v);
	return true;
}

/* A word of struct vcpu by its offset. */
static bool word_insn(struct verifier *f, struct state *s, const struct insn *in, uint64_t off)
{
	bool wide = in->flags & INSN_W, store = in->flags & INSN_MEM_WRITE;
	unsigned size = in->mem_size;
	int c = cell(off);

	if (off + size > sizeof(struct vcpu))
		return verify_report(f, "beyond struct vcpu: %#llx", (unsigned long long)off);
	if (store && !is_writable(off, size))
		return verify_report(f, "a store to offset %#llx of struct vcpu",
				     (unsigned long long)off);
	if (off >= VCPU(slots.group) && off < VCPU(slots.group) + 8 * X86_GROUPS)
		return group_insn(f, s, in, (unsigned)(off - VCPU(slots.group)) / 8);
	if (moves(in, 0x89) && store) {
		if (c >= 0)
			s->v[c] = wide ? get(s, in->reg) : any();
		if (off == VCPU(slots.seen) && get(s, in->reg).kind == V_FLUSHES)
			s->seen = true;
		return true;
	}
	if (store && c >= 0)
		s->v[c] = any();
	if (moves(in, 0x8b) && !wide && off == VCPU(slots.flushes)) {
		set(s, in->reg, (struct value){.kind = V_FLUSHES});
		return true;
	}
	if (moves(in, 0x8b) && wide && c >= 0) {
		set(s, in->reg, s->v[c]);
		return true;
	}
	if (moves(in, 0x3b) && off == VCPU(slots.seen) && get(s, in->reg).kind == V_FLUSHES) {
		s->pending = P_FRESH;
		return true;
	}
	for (unsigned r = 0; r < 16; r++)
		if (in->gpr_written >> r & 1)
			set(s, r, any());
	return true;
}

/* In an entry of the jump table? */
static bool is_jump_operand(const struct state *s, const struct insn *in)
{
	return in->base == S2 && in->index == NO_REG && s->v[T_S2].kind == V_BELOW &&
	       s->v[T_S2].n <= TR_JUMP_MASK;
}

static bool vcpu_insn(struct verifier *f, struct state *s, const struct insn *in)
{
	unsigned field;
	uint64_t slot;

	if (in->addrsize != 8)
		return verify_report(f, "a 32-bit address");
	if (slot_operand(s, in, &slot, &field))
		return slot_insn(f, s, in, slot, field);
	if (in->base == NO_REG && in->index == NO_REG)
		return word_insn(f, s, in, (uint64_t)in->disp);
	if (is_jump_operand(s, in) && !(in->flags & INSN_MEM_WRITE) &&
	    ((size_t)in->disp == VCPU(jump) || (size_t)in->disp == VCPU(jump) + 8)) {
		for (unsigned r = 0; r < 16; r++)
			if (in->gpr_written >> r & 1)
				set(s, r, any());
		return true;
	}
	return verify_report(f, "struct vcpu with an index that may be anything");
}

/* ---- guest memory ---- */

static bool constant_operand(struct verifier *f, const struct insn *in, uint64_t to)
{
	const struct x86_tlb *tlb = f->ic->v->tlb;

	if (to == (uintptr_t)&tlb->data_table && in->mem_size == 1)
		return true;
	return verify_report(f, "an access to %#llx", (unsigned long long)to);
}

/* @size bytes at [@base + @index + @disp]. */
static bool guest_operand(struct verifier *f, const struct value *base, const struct value *index,
			  int64_t disp, unsigned size, bool write)
{
	const struct value *v = base->kind == V_HOST ? base : index;
	const struct value *other = v == base ? index : base;
	struct value sum;

	if (v->kind != V_HOST)
		return verify_report(f, "an address that no check has seen");
	if (other->kind == V_GAP) { /* to the other operand of a string instruction */
		sum = *v;
		sum.write = other->write;
		v = &sum;
	} else if (other->kind == V_HOST) {
		return verify_report(f, "two host addresses added");
	}
	if (write && !v->write)
		return verify_report(f, "a store after a check for loads");
	if (v->room == VERIFY_RANGE)
		return true;
	if (size > v->room)
		return verify_report(f, "%u bytes after a check for %u", size, v->room);
	if (v->exact && (disp < 0 || disp + size > v->room))
		return verify_report(f, "%u bytes at %lld after a check for %u", size,
				     (long long)disp, v->room);
	return true;
}

static bool mem_operand(struct verifier *f, struct state *s, const struct insn *in)
{
	struct value base = get(s, in->base), index = get(s, in->index);
	bool direct = in->index == NO_REG;

	if (in->addrsize != 8)
		return verify_report(f, "a 32-bit address");
	if (in->flags & INSN_MOFFS)
		return verify_report(f, "an absolute address");
	if (in->base == NO_REG && direct)
		return verify_report(f, "an absolute address");
	if (base.kind == V_CONST && direct)
		return constant_operand(f, in, base.n + (uint64_t)in->disp);
	if (index.kind == V_HOST && in->scale)
		return verify_report(f, "a host address times %u", 1u << in->scale);
	if (!direct)
		base.exact = index.exact = false;
	return guest_operand(f, &base, &index, in->disp, in->mem_size, in->flags & INSN_MEM_WRITE);
}

/* [rip + disp]: the epoch of a mapping. */
static bool rip_operand(struct verifier *f, const struct insn *in)
{
	const uint8_t *to = f->at + in->len + in->disp;
	size_t off = (size_t)(to - f->t->map.rx);

	if (in->flags & INSN_MEM_WRITE || to < f->t->map.rx + f->t->code_size ||
	    off + in->mem_size > f->t->map.size)
		return verify_report(f, "data outside of the mappings");
	return true;
}

/* ---- what instructions do to values ---- */

static struct value shifted_host(struct value v)
{
	v.exact = false;
	return v;
}

static void lea(struct verifier *f, struct state *s, const struct insn *in)
{
	struct value a = get(s, in->base), b = get(s, in->index), r = any();

	if (in->flags & INSN_RIP_REL) {
		r = (struct value){.kind = V_CONST,
				   .n = (uintptr_t)f->at + in->len + (uint64_t)in->disp};
	} else if (a.kind == V_SUB && in->index == NO_REG && in->opsize == 8) {
		r = a;
		r.add += (int32_t)in->disp;
	} else if (a.kind == V_SUB && in->index == RCX && in->disp == -8) {
		r = a;
		r.add = INT32_MIN; /* a string's end */
	} else if (a.kind == V_SLOT && b.kind == V_SUB && a.n == b.n && !in->scale &&
		   in->disp == -b.add) {
		r = a;
		r.kind = V_HOST;
		r.exact = true;
		r.n = 0;
	} else if (a.kind == V_INDEX && in->index == NO_REG) {
		r = (struct value){.kind = V_TABLE, .n = (uint64_t)in->disp};
	} else if (a.kind == V_TABLE && in->index == NO_REG && a.n + (uint64_t)in->disp == 0) {
		r = (struct value){.kind = V_INDEX};
	} else if (a.kind == V_HOST && b.kind != V_HOST && in->opsize == 8) {
		r = a;
		if (in->index != NO_REG || in->disp < 0 || (unsigned)in->disp >= a.room)
			r.exact = false;
		else if (a.exact && a.room != VERIFY_RANGE)
			r.room = (uint16_t)(a.room - in->disp);
	} else if (b.kind == V_HOST && !in->scale && in->opsize == 8) {
		r = shifted_host(b);
	}
	set(s, in->reg, r);
}

/* dst += src, both 64-bit registers. */
static struct value sum_of(struct value dst, struct value src)
{
	if (dst.kind == V_SLOT && src.kind == V_SUB && dst.n == src.n && !src.add) {
		dst.kind = V_HOST;
		dst.exact = true;
		dst.n = 0;
		return dst;
	}
	if (dst.kind == V_PAGE && src.kind == V_BELOW && src.n < MEM_PAGE_SIZE) {
		dst.kind = V_HOST;
		dst.exact = true;
		dst.room = (uint16_t)(MEM_PAGE_SIZE - src.n);
		return dst;
	}
	if (dst.kind == V_GAP && src.kind == V_HOST) {
		src.write = dst.write;
		return src;
	}
	if (dst.kind == V_HOST && src.kind != V_HOST)
		return shifted_host(dst);
	if (src.kind == V_HOST && dst.kind != V_HOST)
		return shifted_host(src);
	return any();
}

static struct value difference_of(struct value dst, struct value src)
{
	if (dst.kind == V_HOST && src.kind == V_HOST)
		return (struct value){.kind = V_GAP, .write = dst.write};
	return dst.kind == V_HOST ? shifted_host(dst) : any();
}

/* op rm, reg with both in registers, 64 bits; or any() */
static struct value two_registers(const struct state *s, const struct insn *in)
{
	struct value dst = get(s, in->rm), src = get(s, in->reg);

	switch (in->opcode) {
	case 0x89: return src;
	case 0x01: return sum_of(dst, src);
	case 0x29: return difference_of(dst, src);
	case 0x09: /* of an extent's both ends */
		return dst.kind == V_SUB && src.kind == V_SUB && dst.n == src.n
			       ? (dst.add > src.add ? dst : src)
			       : any();
	default: return any();
	}
}

/* Group 1 with an immediate, 32 or 64 bits. */
static struct value with_immediate(const struct state *s, const struct insn *in)
{
	struct value v = get(s, in->rm);
	unsigned op = in->modrm >> 3 & 7;
	uint64_t imm = in->imm;

	if (op == 4 && in->opsize == 8 && imm == (uint64_t)-4096 && v.kind == V_HOST && v.exact)
		return (struct value){.kind = V_PAGE, .write = v.write};
	if (op == 4 && in->opsize == 4 && (uint32_t)imm == (X86_SLOTS_HASH - 1) << 5)
		return (struct value){.kind = V_INDEX};
	if (op == 4 && in->opsize == 4 && (int32_t)imm >= 0)
		return (struct value){.kind = V_BELOW, .n = (uint32_t)imm};
	if (op == 1 && in->opcode == 0x80 && v.kind == V_FILL && !(v.n & 0xff))
		return (struct value){.kind = V_FILL, .n = v.n | (imm & 0xff)};
	return any();
}

/* What the register that @in writes, without memory operand, holds then. */
static struct value result(const struct state *s, const struct insn *in)
{
	struct value v;

	if (in->enc != ENC_LEGACY)
		return any();
	if (in->map == MAP_0F)
		return in->opcode == 0xb7   ? (struct value){.kind = V_BELOW, .n = 0xffff}
		       : in->opcode == 0xb6 ? (struct value){.kind = V_BELOW, .n = 0xff}
					    : any();
	if (in->map != MAP_1)
		return any();
	if (in->opcode >= 0xb8 && in->opcode <= 0xbf && in->opsize >= 4)
		return (struct value){.kind = V_CONST, .n = in->imm};
	if (in->opcode == 0xc7 && in->opsize == 8)
		return (struct value){.kind = V_CONST, .n = in->imm};
	if (in->opcode == 0x80 || in->opcode == 0x81 || in->opcode == 0x83)
		return with_immediate(s, in);
	v = get(s, in->rm);
	if (in->opcode == 0xc1 && (in->modrm >> 3 & 7) == 4 && in->imm == 8 && v.kind == V_TABLE)
		return (struct value){.kind = V_FILL, .n = v.n << 8};
	if (in->opsize == 8 &&
	    (in->opcode == 0x89 || in->opcode == 0x01 || in->opcode == 0x29 || in->opcode == 0x09))
		return two_registers(s, in);
	return any();
}

/* cmp reg, imm: for a ja that follows. */
static void compare(struct state *s, const struct insn *in)
{
	if (in->map == MAP_1 && (in->opcode == 0x81 || in->opcode == 0x83) &&
	    (in->modrm >> 3 & 7) == 7 && in->opsize == 8 && in->imm < MEM_PAGE_SIZE &&
	    tracked(in->rm) >= 0) {
		s->pending = P_ATMOST;
		s->pending_n = in->rm;
		s->pending_room = (uint16_t)in->imm;
	}
}

/* rep movs, rep stos: both ends are host addresses now. */
static bool string_insn(struct verifier *f, struct state *s, const struct insn *in)
{
	struct value none = any();

	if (!(in->flags & INSN_REP) || in->addrsize != 8)
		return verify_report(f, "a string instruction");
	if (!guest_operand(f, &s->v[T_RDI], &none, 0, in->mem_size, true))
		return false;
	if (in->special == SP_MOVS &&
	    !guest_operand(f, &s->v[T_RSI], &none, 0, in->mem_size, false))
		return false;
	return true;
}

/* BT & co with a register: it was cut off, so that the operand is what is named. */
static bool bits_insn(struct verifier *f, const struct state *s, const struct insn *in)
{
	struct value v = get(s, in->reg);

	if (v.kind == V_BELOW && v.n < in->opsize * 8u)
		return true;
	return verify_report(f, "a bit string with an offset that was not cut off");
}

static bool special_insn(struct verifier *f, struct state *s, const struct insn *in, bool *ret_done)
{
	*ret_done = true;
	switch (in->special) {
	case SP_LEA: lea(f, s, in); return true;
	case SP_MOVS:
	case SP_STOS: return string_insn(f, s, in);
	case SP_NOP_MEM:
	case SP_PAUSE: return true;
	case SP_BT_MEM: *ret_done = false; return bits_insn(f, s, in);
	case SP_NONE:
	case SP_LDMXCSR:
	case SP_STMXCSR: *ret_done = false; return true;
	default: return verify_report(f, "an instruction that does not belong here");
	}
}

static bool operand(struct verifier *f, struct state *s, const struct insn *in)
{
	if (in->seg == X86_FS)
		return verify_report(f, "an operand in FS");
	if (in->flags & INSN_RIP_REL)
		return rip_operand(f, in);
	return mem_operand(f, s, in);
}

bool verify_insn(struct verifier *f, struct state *s, const struct insn *in)
{
	bool done, mem = in->flags & INSN_MEM, gs = mem && in->seg == X86_GS;
	uint8_t pending = s->pending;

	if (in->gpr_written & 1u << RSP)
		return verify_report(f, "RSP is written");
	if (in->prefixes & PFX_SEG && !gs)
		return verify_report(f, "a segment prefix");
	if (in->rflags_written & ARITH)
		s->pending = P_NONE;
	if (!special_insn(f, s, in, &done) || done)
		return !f->bad;
	if (gs) {
		if (in->flags & INSN_LOCK)
			return verify_report(f, "LOCK on struct vcpu");
		if (!vcpu_insn(f, s, in))
			return false;
		if (!(in->rflags_written & ARITH))
			s->pending = pending;
		return true;
	}
	if (mem && !operand(f, s, in))
		return false;
	if (!mem && in->gpr_written && !(in->gpr_written & (in->gpr_written - 1))) {
		set(s, (unsigned)__builtin_ctz(in->gpr_written), result(s, in));
		return true;
	}
	for (unsigned r = 0; r < 16; r++)
		if (in->gpr_written >> r & 1)
			set(s, r, any());
	if (!mem)
		compare(s, in);
	return true;
}

/* ---- AVX-512 (string.c) ---- */

unsigned verify_masked(struct verifier *f, struct state *s, const uint8_t *p, unsigned n)
{
	static const uint8_t kmov[] = {0xc4, 0xe1, 0xfb, 0x92, 0xc9},
			     kshift[] = {0xc4, 0xe3, 0xf9, 0x31, 0xd1};
	unsigned mod, rm, len = 6, base, index = NO_REG;
	struct value a, b;

	if (!f->t->masked)
		return 0;
	if (n >= 5 && !memcmp(p, kmov, 5))
		return 5;
	if (n >= 6 && !memcmp(p, kshift, 5))
		return 6;
	if (n < 8 || p[0] != 0x62)
		return 0;
	mod = p[5] >> 6;
	rm = p[5] & 7;
	if (p[4] >= 0x7a && p[4] <= 0x7c && (p[1] & 3) == 2 && mod == 3)
		return len;
	if ((p[4] != 0x6f && p[4] != 0x7f) || (p[1] & 3) != 1 || mod > 1)
		return 0;
	base = rm | (p[1] & 0x20 ? 0 : 8);
	if (rm == 4) {
		if (p[6] >> 6)
			return 0;
		index = (p[6] >> 3 & 7) | (p[1] & 0x40 ? 0 : 8);
		base = (p[6] & 7) | (p[1] & 0x20 ? 0 : 8);
		len++;
	}
	a = get(s, base);
	b = get(s, index);
	if (!guest_operand(f, &a, &b, 0, 32, p[4] == 0x7f))
		return 0;
	return len + mod;
}

/* ---- calls and jumps ---- */

/* A function of this program, or the interpreter's thunk of an instruction. */
static bool is_handler(const struct interp_cpu *ic, uint64_t p)
{
	uint64_t off = p - (uintptr_t)ic->thunks.rx;

	return (p >= (uintptr_t)__executable_start && p < (uintptr_t)etext) ||
	       (off < ic->thunks.size && off % THUNK_UNIT == 0 &&
		ic->thunks.unit[off / THUNK_UNIT] & THUNK_START);
}

/* S2 is a function of this program, S1 what it is for: in the block pool, or in the code. */
static bool handler_ok(struct verifier *f, const struct state *s)
{
	uint64_t pool = (uintptr_t)f->ic->pool, arg = s->v[T_S1].n;

	if (s->v[T_S2].kind != V_CONST || !is_handler(f->ic, s->v[T_S2].n))
		return verify_report(f, "a call of %#llx, which is no function",
				     s->v[T_S2].kind == V_CONST ? (unsigned long long)s->v[T_S2].n
								: 0);
	if (s->v[T_S1].kind != V_CONST)
		return verify_report(f, "a handler without its instruction");
	if ((arg >= pool && arg < pool + f->ic->pool_used) || arg == (uintptr_t)f->place)
		return true;
	for (unsigned i = 0; i < 2; i++)
		if (arg >= (uintptr_t)f->region[i].rx &&
		    arg < (uintptr_t)f->region[i].rx + f->region[i].size)
			return true;
	return verify_report(f, "a handler's instruction outside of the block pool");
}

bool verify_returns(const struct state *s)
{
	return s->v[T_S2].n != (uintptr_t)tr_far && s->v[T_S2].n != (uintptr_t)tr_transfer;
}

static void ran_c(struct state *s)
{
	if (s->v[T_S2].kind == V_CONST && s->v[T_S2].n == (uintptr_t)tr_x87_load)
		; /* that empties no slots */
	else if (s->seen)
		s->stale = true;
	else
		memset(s->group, 0, sizeof(s->group));
	s->seen = false;
	verify_forget(s);
}

/* Does a slot of number @n in its set suit routine @kind for @size bytes? */
static bool suits(unsigned kind, unsigned n, unsigned size)
{
	switch (kind) {
	case SLOT_SMALL: return n >= X86_SLOTS_STACK && n < X86_SLOTS_SMALL && size <= 8;
	case SLOT_BIG: return n >= X86_SLOTS_SMALL && n < X86_SLOT_HASH_SMALL && size <= 64;
	case SLOT_GROUP: return n >= X86_SLOTS_STACK && n < X86_SLOTS_SMALL && size <= GROUP_MOST;
	case SLOT_STACK: return n < X86_SLOTS_STACK && size <= 8;
	default: return n < X86_SLOTS_STACK && size <= GROUP_MOST;
	}
}

static bool missed(struct verifier *f, struct state *s, const struct target *to)
{
	bool paged = to->kind == TARGET_MISS_PAGE;
	struct value arg = s->v[T_S2], sub = s->v[T_S1];
	uint64_t slot = paged ? VERIFY_PAGED | (uint32_t)(arg.n >> 8)
			      : (arg.n >> 8) / sizeof(struct x86_slot);
	unsigned size = (unsigned)(arg.n & 0xff) + 1, n;

	if (arg.kind != (paged ? V_FILL : V_CONST) || (!paged && slot >= ALL_SLOTS) ||
	    set_of(slot) != to->set)
		return verify_report(f, "a miss of a slot of another set");
	if (!right_mode(f, slot))
		return false;
	n = number_of(slot);
	if (paged ? n != (to->miss_kind == SLOT_BIG ? X86_SLOT_HASH_BIG : X86_SLOT_HASH_SMALL)
		  : !suits(to->miss_kind, n, size))
		return verify_report(f, "a miss of a slot of another kind");
	if (paged && ((to->miss_kind == SLOT_SMALL && size > 8) || size > GROUP_MOST))
		return verify_report(f, "a miss of a slot for fewer bytes");
	if (sub.kind != V_SUB || sub.n != slot || sub.add)
		return verify_report(f, "a miss without the address");
	verify_forget(s);
	s->v[T_S1] = (struct value){.kind = V_SUB, .n = slot};
	if (paged)
		s->v[T_S2] = (struct value){.kind = V_TABLE, .n = (uint32_t)slot};
	s->pending = P_MISS;
	s->pending_n = slot;
	s->pending_room = (uint16_t)size;
	return true;
}

bool verify_call(struct verifier *f, struct state *s, const struct target *to)
{
	struct value s1 = s->v[T_S1], s2 = s->v[T_S2];

	s->pending = P_NONE;
	switch (to->kind) {
	case TARGET_TAIL: return handler_ok(f, s);
	case TARGET_RAS: return true;
	case TARGET_CALL:
	case TARGET_LIGHT:
		if (!handler_ok(f, s))
			return false;
		ran_c(s);
		return true;
	case TARGET_BY_PAGE:
		if (s1.kind != V_CONST)
			return verify_report(f, "no place for tr_by_page()");
		verify_forget(s);
		return true;
	case TARGET_VEC:
	case TARGET_FETCH: return true;
	case TARGET_MAPPED:
		if (s2.kind != V_CONST)
			return verify_report(f, "no mapping");
		s->v[T_S1] = any();
		return true;
	case TARGET_STRING: ran_c(s); return true;
	case TARGET_REFILL: verify_forget(s); return true;
	case TARGET_MISS:
	case TARGET_MISS_PAGE: return missed(f, s, to);
	default: return verify_report(f, "a routine that is not called from here");
	}
}

bool verify_indirect(struct verifier *f, const struct state *s, const struct insn *in)
{
	if (!(in->flags & INSN_MEM) || in->seg != X86_GS)
		return verify_report(f, "an indirect jump");
	if (in->base == NO_REG && in->index == NO_REG &&
	    ((size_t)in->disp == tr_word(W_GO) || (size_t)in->disp == tr_word(W_LATER_BACK)))
		return true;
	if (is_jump_operand(s, in) && (size_t)in->disp == VCPU(jump) + 8)
		return true;
	return verify_report(f, "an indirect jump");
}

enum { CC_B = 2, CC_AE = 3, CC_E = 4, CC_NE = 5, CC_BE = 6, CC_A = 7 };

static void pass(struct state *s)
{
	s->passed = s->pending_n;
	s->passed_room = s->pending_room;
}

void verify_branch(const struct state *s, unsigned cc, struct state *taken, struct state *next)
{
	*taken = *next = *s;
	switch (s->pending) {
	case P_BELOW:
	case P_MISS:
		if (cc == CC_B)
			pass(s->pending == P_MISS ? next : taken);
		if (cc == CC_AE)
			pass(s->pending == P_MISS ? taken : next);
		break;
	case P_FRESH:
		if (cc == CC_E)
			taken->stale = false;
		break;
	case P_ATMOST:
		if (cc == CC_A)
			set(next, (unsigned)s->pending_n,
			    (struct value){.kind = V_BELOW, .n = s->pending_room});
		break;
	default: break;
	}
}
