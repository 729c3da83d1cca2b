/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory accesses of translated code: addresses, the check before an access, and what follows a
 * store. Intel SDM vol. 1, 3.7.5.
 *
 * A memory access looks its page up in the soft TLB (cpu/x86/mmu.h) inline: index from the first
 * byte's page, tag compared with the last byte's, so that crossing a page misses. The access itself
 * is the guest's instruction on the host pointer; after a store the page's code byte is looked at.
 * Everything else (a miss, MMIO, a crossing, segments with a base or limit) is the interpreter's.
 */
#include "engine/translate/xlat.h"

/* ---- addresses ---- */

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
	if (x->is64 && (in->seg == X86_FS || in->seg == X86_GS))
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
	if (base == NO_REG && index == NO_REG)
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

/* op reg, imm32 with the group 1 opcodes */
static void op_imm(struct emit *m, bool w, unsigned ext, unsigned reg, int32_t imm)
{
	EMIT(m, (uint8_t)(0x40 | (w ? 8 : 0) | reg >> 3), 0x81,
	     (uint8_t)(0xc0 | ext << 3 | (reg & 7)));
	emit32(m, (uint32_t)imm);
}

enum { OP_AND = 4 };
#define INDEX_MASK ((X86_TLB_SIZE - 1) * (unsigned)sizeof(struct x86_tlb_entry))
static_assert(sizeof(struct x86_tlb_entry) == 64, "the index is the page number times 64");

static void jne_slow(struct xlat *x, struct stub **ret_stub)
{
	EMIT(&x->m, 0x0f, 0x85);
	emit32(&x->m, 0);
	*ret_stub = xlat_stub(x, STUB_SLOW);
}

/* An address known now: entry and page are constants. */
static void ptr_const(struct xlat *x, uint64_t lin, int32_t tag, struct stub **ret_stub)
{
	struct emit *m = &x->m;
	int32_t entry = (int32_t)((lin >> 12 & (X86_TLB_SIZE - 1)) * sizeof(struct x86_tlb_entry));

	tr_gs(m, true, 0x8b, S2, tr_word(W_TAB));
	if (entry)
		tr_mem(m, true, 0x8d, S2, S2, NO_REG, 0, entry);
	tr_imm64(m, S1, lin & ~0xfffull);
	tr_gs(m, true, 0x03, S1, tr_word(W_GEN));
	tr_mem(m, true, 0x3b, S1, S2, NO_REG, 0, tag);
	jne_slow(x, ret_stub);
	tr_mem(m, true, 0x8b, S1, S2, NO_REG, 0, (int32_t)offsetof(struct x86_tlb_entry, host));
	if (lin & 0xfff)
		tr_mem(m, true, 0x8d, S1, S1, NO_REG, 0, (int32_t)(lin & 0xfff));
}

bool xlat_ptr(struct xlat *x, const struct ea *a, unsigned size, bool write, struct stub **ret_stub)
{
	struct emit *m = &x->m;
	int32_t tag = (int32_t)(write ? offsetof(struct x86_tlb_entry, tag_write)
				      : offsetof(struct x86_tlb_entry, tag_read));
	bool constant = a->base == NO_REG && a->index == NO_REG && a->seg == NO_REG;
	bool again = a->seg == NO_REG && !(in_memory(a->base) && in_memory(a->index));
	uint64_t lin = x->is64 ? (uint64_t)a->disp : (uint32_t)a->disp;

	if (constant ? (lin & 0xfff) + size > 4096 : !xlat_disp_fits(a, size))
		return false;
	need_m(x);
	x->e = false;
	if (constant) {
		ptr_const(x, lin, tag, ret_stub);
		return true;
	}
	xlat_put_ea(x, S2, x->is64, a, 0, S1, S2);
	if (a->seg != NO_REG)
		tr_gs(m, true, 0x03, S2,
		      offsetof(struct vcpu, s.seg) + a->seg * sizeof(struct x86_seg) +
			      offsetof(struct x86_seg, base));
	if (!again)
		tr_gs(m, true, 0x89, S2, tr_word(W_LIN));
	/* S1 = last byte's page | generation, S2 = entry of the first byte's */
	if (again && x->is64 && size > 1)
		xlat_put_ea(x, S1, true, a, size - 1, S1, NO_REG);
	else
		tr_mem(m, true, 0x8d, S1, S2, NO_REG, 0, (int32_t)size - 1);
	EMIT(m, 0x49, 0xc1, 0xeb, 6); /* shr r11, 6 */
	op_imm(m, false, OP_AND, S2, (int32_t)INDEX_MASK);
	tr_gs(m, true, 0x03, S2, tr_word(W_TAB));
	op_imm(m, true, OP_AND, S1, -4096);
	tr_gs(m, true, 0x03, S1, tr_word(W_GEN));
	tr_mem(m, true, 0x3b, S1, S2, NO_REG, 0, tag);
	jne_slow(x, ret_stub);
	if (again)
		xlat_put_ea(x, S1, false, a, 0, S1, NO_REG);
	else
		tr_gs(m, false, 0x8b, S1, tr_word(W_LIN));
	op_imm(m, false, OP_AND, S1, 4095);
	tr_mem(m, true, 0x03, S1, S2, NO_REG, 0, (int32_t)offsetof(struct x86_tlb_entry, host));
	return true;
}

void xlat_stored(struct xlat *x, unsigned kind)
{
	struct emit *m = &x->m;
	int32_t code = (int32_t)offsetof(struct x86_tlb_entry, code);
	bool swap = !x->m_ok; /* EFLAGS are the only copy: test without touching them */
	struct stub *s;

	tr_gs(m, true, 0x89, S1, tr_word(W_PTR));
	if (swap) {
		tr_rr(m, true, 0x89, RCX, S1);
		tr_mem(m, true, 0x8b, RCX, S2, NO_REG, 0, code);
		EMIT(m, 0x0f, 0xb6, 0x09); /* movzx ecx, byte [rcx] */
		EMIT(m, 0xe3, 5, 0xe9);    /* jrcxz over; jmp stub */
		emit32(m, 0);
	} else {
		tr_mem(m, true, 0x8b, S1, S2, NO_REG, 0, code);
		EMIT(m, 0x41, 0x80, 0x3a, 0, 0x0f, 0x85); /* cmp byte [r10], 0; jne stub */
		emit32(m, 0);
		x->e = false;
	}
	s = xlat_stub(x, kind);
	s->rcx = s->save = swap;
	s->restore = x->e;
	if (swap)
		tr_rr(m, true, 0x89, S1, RCX);
	s->back = m->n;
}
