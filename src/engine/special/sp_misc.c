/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions that are not worth a family of their own: LEA, flags, hints, XLAT, BOUND, bit
 * strings in memory, decimal adjust. Intel SDM vol. 2, instruction pages.
 */
#include "engine/special/special.h"

#include <sched.h>

#include "cpu/x86/lapic.h"
#include "mem/guest.h"

#define PAUSES_A_YIELD 64

int sp_LEA(struct vcpu *v, const struct insn *in)
{
	gpr_set(v, in, in->reg, in->opsize, special_ea(v, in));
	return X86_OK;
}

int sp_CLD(struct vcpu *v, const struct insn *in)
{
	v->s.rflags &= ~(uint64_t)X86_DF;
	return X86_OK;
}

int sp_STD(struct vcpu *v, const struct insn *in)
{
	v->s.rflags |= X86_DF;
	return X86_OK;
}

int sp_NOP_MEM(struct vcpu *v, const struct insn *in)
{
	return X86_OK;
}

/* Caches are coherent here; only the faults of a byte load remain (SDM vol. 2, CLFLUSH). */
int sp_CLFLUSH(struct vcpu *v, const struct insn *in)
{
	gva_t lin;

	if (special_mem(v, in, 1, X86_ACC_READ, &lin))
		return X86_FAULT;
	return x86_probe(v, lin, 1, X86_ACC_READ);
}

/*
 * A processor that pauses waits for another one, which may be waiting for this thread's host CPU:
 * every so often give it away. (Hardware virtualization leaves the guest there for the same reason:
 * PAUSE-loop exiting, SDM vol. 3, 26.1.3.)
 */
int sp_PAUSE(struct vcpu *v, const struct insn *in)
{
	if (!(++v->count.pauses % PAUSES_A_YIELD) && v->cpus && v->cpus->n > 1)
		sched_yield();
	else
		__builtin_ia32_pause();
	return X86_OK;
}

int sp_UD(struct vcpu *v, const struct insn *in)
{
	return x86_ud(v);
}

int sp_XLAT(struct vcpu *v, const struct insn *in)
{
	uint64_t off = (v->s.gpr[X86_RBX] + (v->s.gpr[X86_RAX] & 0xff)) & mask_bytes(in->addrsize);
	uint8_t val;
	gva_t lin;

	if (x86_seg_lin(v, in->seg, off, 1, X86_ACC_READ, &lin) ||
	    x86_read(v, lin, 1, &val, X86_ACC_READ))
		return X86_FAULT;
	v->s.gpr[X86_RAX] = (v->s.gpr[X86_RAX] & ~0xffull) | val;
	return X86_OK;
}

int sp_BOUND(struct vcpu *v, const struct insn *in)
{
	unsigned size = in->opsize, bits = size * 8;
	int64_t index = sext(gpr_get(v, in, in->reg, size), bits);
	uint8_t pair[8];
	gva_t lin;

	/* The upper bound is read after the lower one was found good. */
	if (special_mem(v, in, size, X86_ACC_READ, &lin) ||
	    x86_read(v, lin, size, pair, X86_ACC_READ))
		return X86_FAULT;
	if (index < sext(ld_le(pair, size), bits))
		return x86_raise(v, X86_BR);
	if (special_piece(v, in, size, size, X86_ACC_READ, &lin) ||
	    x86_read(v, lin, size, pair, X86_ACC_READ))
		return X86_FAULT;
	return index > sext(ld_le(pair, size), bits) ? x86_raise(v, X86_BR) : X86_OK;
}

/* ---- BT, BTS, BTR, BTC with a register bit offset into memory ---- */

static uint64_t bit_apply(uint8_t opcode, uint64_t val, uint64_t bit)
{
	switch (opcode) {
	case 0xab: return val | bit;
	case 0xb3: return val & ~bit;
	case 0xbb: return val ^ bit;
	default: return val;
	}
}

/* LOCK CMPXCHG of @size bytes at @p, aligned or not; false: *old is what was there instead. */
static bool cmpxchg(uint8_t *p, unsigned size, uint64_t *old, uint64_t want)
{
	bool equal;

	if (size == 8)
		asm volatile("lock cmpxchgq %3, %1"
			     : "=@ccz"(equal), "+m"(*(uint64_t *)p), "+a"(*old)
			     : "r"(want)
			     : "memory");
	else if (size == 4)
		asm volatile("lock cmpxchgl %k3, %1"
			     : "=@ccz"(equal), "+m"(*(uint32_t *)p), "+a"(*old)
			     : "r"(want)
			     : "memory");
	else
		asm volatile("lock cmpxchgw %w3, %1"
			     : "=@ccz"(equal), "+m"(*(uint16_t *)p), "+a"(*old)
			     : "r"(want)
			     : "memory");
	return equal;
}

/* The value before. */
static uint64_t bit_change(uint8_t *p, unsigned size, uint8_t opcode, uint64_t bit)
{
	uint64_t val = guest_load(p, size);

	while (!cmpxchg(p, size, &val, bit_apply(opcode, val, bit)))
		;
	return val;
}

/*
 * The operand that holds the bit: @in->opsize bytes at an address moved by whole operands. SDM vol.
 * 2, 3.1.1.9 (bit(BitBase, BitOffset)) and BT.
 * UNMODELLED: LOCK on an operand that is MMIO or has a watch point is not atomic.
 */
int sp_BT_MEM(struct vcpu *v, const struct insn *in)
{
	unsigned size = in->opsize, bits = size * 8;
	int64_t off = sext(gpr_get(v, in, in->reg, size), bits);
	uint64_t ea = special_ea(v, in) + (uint64_t)((off >> (size == 8   ? 6
							      : size == 4 ? 5
									  : 4)) *
						     (int64_t)size);
	uint64_t bit = 1ull << ((uint64_t)off & (bits - 1)), val = 0;
	bool store = in->opcode != 0xa3;
	unsigned access = store ? X86_ACC_WRITE : X86_ACC_READ;
	_Alignas(8) uint8_t buf[8];
	struct x86_tlb_entry *e;
	bool split = false;
	uint8_t *p;
	gva_t lin;

	if (x86_seg_lin(v, in->seg, ea & mask_bytes(in->addrsize), size, access, &lin))
		return X86_FAULT;
	p = store ? x86_ptr(v, lin, size, X86_ACC_WRITE, &e) : NULL;
	if (p) {
		val = bit_change(p, size, in->opcode, bit);
		x86_stored(v, e, lin, size);
	} else if (in->flags & INSN_LOCK && x86_split_begin(v, lin, size, buf, &split)) {
		return X86_FAULT;
	} else if (split) {
		val = bit_change(buf, size, in->opcode, bit);
		x86_split_end(v, lin, size, buf);
	} else {
		uint64_t want;

		if ((store && x86_probe(v, lin, size, X86_ACC_WRITE)) ||
		    x86_read(v, lin, size, &val, X86_ACC_READ))
			return X86_FAULT;
		want = bit_apply(in->opcode, val, bit);
		if (store && x86_write(v, lin, size, &want, X86_ACC_WRITE))
			return X86_FAULT;
	}
	v->s.rflags = (v->s.rflags & ~(uint64_t)X86_CF) | (val & bit ? X86_CF : 0);
	return X86_OK;
}

/* ---- decimal adjust; SDM vol. 2. Undefined flags follow the result in AL, OF is cleared; AMD's
 * processors (seen on Zen 4) leave those of the addition or subtraction, before AAA and AAS clear
 * half of AL. ---- */

static void set_flags(struct vcpu *v, uint8_t al, bool af, bool cf)
{
	uint64_t f = v->s.rflags & ~(uint64_t)X86_ARITH;

	f |= (al ? 0 : X86_ZF) | (al & 0x80 ? X86_SF : 0);
	f |= __builtin_parity(al) ? 0 : X86_PF;
	f |= (af ? X86_AF : 0) | (cf ? X86_CF : 0);
	v->s.rflags = f;
}

static void set_ax(struct vcpu *v, unsigned ax)
{
	v->s.gpr[X86_RAX] = (v->s.gpr[X86_RAX] & ~0xffffull) | (ax & 0xffff);
}

/* @old plus (@sign 1) or minus (-1) a positive number is @sum, whose sign bit is @top. */
static void set_overflow(struct vcpu *v, unsigned old, unsigned sum, int sign, unsigned top)
{
	if ((sign > 0 ? ~old & sum : old & ~sum) & top)
		v->s.rflags |= X86_OF;
}

static int ascii_adjust(struct vcpu *v, int sign)
{
	unsigned old = (unsigned)v->s.gpr[X86_RAX] & 0xffff, sum = old;
	bool adjust = (old & 15) > 9 || v->s.rflags & X86_AF;

	if (adjust)
		sum = (old + (unsigned)(sign * 0x106)) & 0xffff;
	set_ax(v, sum & 0xff0f);
	set_flags(v, (uint8_t)(sum & 0x0f), adjust, adjust);
	if (!x86_is_amd(v))
		return X86_OK;
	set_flags(v, (uint8_t)sum, adjust, adjust);
	v->s.rflags &= ~(uint64_t)(X86_SF | X86_ZF);
	v->s.rflags |= (sum & 0x8000 ? X86_SF : 0) | (sum ? 0 : X86_ZF);
	set_overflow(v, old, sum, sign, 0x8000);
	return X86_OK;
}

int sp_AAA(struct vcpu *v, const struct insn *in)
{
	return ascii_adjust(v, 1);
}

int sp_AAS(struct vcpu *v, const struct insn *in)
{
	return ascii_adjust(v, -1);
}

static int decimal_adjust(struct vcpu *v, int sign)
{
	unsigned old = (unsigned)v->s.gpr[X86_RAX] & 0xff, al = old;
	bool af = (al & 15) > 9 || v->s.rflags & X86_AF, cf = v->s.rflags & X86_CF;
	bool carry = old > 0x99 || cf, borrow = false;

	if (af) {
		borrow = sign < 0 ? al < 6 : al + 6 > 0xff;
		al += (unsigned)(sign * 6);
	}
	if (carry)
		al += (unsigned)(sign * 0x60);
	al &= 0xff;
	v->s.gpr[X86_RAX] = (v->s.gpr[X86_RAX] & ~0xffull) | al;
	/* DAA: a carry out of the first step implies old > 0x99; DAS: the borrow counts. */
	set_flags(v, (uint8_t)al, af, carry || (sign < 0 && borrow));
	if (x86_is_amd(v))
		set_overflow(v, old, al, sign, 0x80);
	return X86_OK;
}

int sp_DAA(struct vcpu *v, const struct insn *in)
{
	return decimal_adjust(v, 1);
}

int sp_DAS(struct vcpu *v, const struct insn *in)
{
	return decimal_adjust(v, -1);
}

int sp_AAM(struct vcpu *v, const struct insn *in)
{
	unsigned al = (unsigned)v->s.gpr[X86_RAX] & 0xff, base = (uint8_t)in->imm;

	if (!base)
		return x86_raise(v, X86_DE);
	set_ax(v, (al / base) << 8 | al % base);
	set_flags(v, (uint8_t)(al % base), false, false);
	return X86_OK;
}

int sp_AAD(struct vcpu *v, const struct insn *in)
{
	unsigned ax = (unsigned)v->s.gpr[X86_RAX] & 0xffff;
	unsigned a = ax & 0xff, b = (ax >> 8) * (unsigned)in->imm & 0xff, sum = a + b;

	set_ax(v, sum & 0xff);
	/* OF, AF and CF are undefined; processors have those of the addition */
	set_flags(v, (uint8_t)sum, (a ^ b ^ sum) & 0x10, sum > 0xff);
	if ((a ^ sum) & (b ^ sum) & 0x80)
		v->s.rflags |= X86_OF;
	return X86_OK;
}

/* Undocumented, in every processor: AL = CF ? FF : 0. */
int sp_SALC(struct vcpu *v, const struct insn *in)
{
	v->s.gpr[X86_RAX] = (v->s.gpr[X86_RAX] & ~0xffull) | (v->s.rflags & X86_CF ? 0xff : 0);
	return X86_OK;
}
