/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vector memory instructions whose elements fault one by one. Intel SDM vol. 2: VGATHERDPS & co,
 * VPGATHERDD & co (2.3.12: VSIB), VMASKMOV, VPMASKMOV, MASKMOVDQU, MASKMOVQ.
 */
#include "engine/special/special.h"

static uint8_t *ymm(struct vcpu *v, unsigned n)
{
	return v->s.fpu.ymm[n & 15];
}

static unsigned vector_bytes(const struct insn *in)
{
	return in->flags & INSN_VEX_L ? 32 : 16;
}

static bool top_bit(const uint8_t *p, unsigned size)
{
	return p[size - 1] & 0x80;
}

/* ---- gather ---- */

static int gather_one(struct vcpu *v, const struct insn *in, const uint8_t *index,
		      unsigned index_size, unsigned size, uint8_t *to)
{
	uint64_t off = (uint64_t)in->disp, val = 0;
	gva_t lin;

	if (in->base != INSN_NO_REG)
		off += v->s.gpr[in->base];
	off += (uint64_t)sext(ld_le(index, index_size), index_size * 8) << in->scale;
	if (x86_seg_lin(v, in->seg, off & mask_bytes(in->addrsize), size, X86_ACC_READ, &lin) ||
	    x86_read(v, lin, size, &val, X86_ACC_READ))
		return X86_FAULT;
	st_le(to, size, val);
	return X86_OK;
}

/* A fault reports the lowest faulting element; elements below it are done and their mask bits are
 * clear, so that the instruction goes on from there. */
static int gather(struct vcpu *v, const struct insn *in)
{
	unsigned vl = vector_bytes(in), size = in->flags & INSN_W ? 8 : 4;
	unsigned index_size = in->opcode & 1 ? 8 : 4;
	unsigned n = vl / (size > index_size ? size : index_size), w = n * size > 16 ? 32 : 16;
	uint8_t *dst = ymm(v, in->reg), *mask = ymm(v, in->vvvv), *index = ymm(v, in->index);

	/* The sign of each mask element stands for the whole element from here on, also of those
	 * that have no destination; they are cleared only at the end. Writing a 128-bit register
	 * clears its upper half, fault or not: the mask at once, the destination with its first
	 * element (as processors do; the SDM leaves it open). */
	for (unsigned i = 0; i < w; i += size)
		memset(mask + i, top_bit(mask + i, size) ? 0xff : 0, size);
	memset(mask + w, 0, 32 - w);
	for (unsigned i = 0; i < n; i++) {
		if (!top_bit(mask + i * size, size))
			continue;
		if (gather_one(v, in, index + i * index_size, index_size, size, dst + i * size))
			return X86_FAULT;
		memset(mask + i * size, 0, size);
		memset(dst + w, 0, 32 - w);
	}
	memset(mask + n * size, 0, 32 - n * size);
	memset(dst + n * size, 0, 32 - n * size);
	return X86_OK;
}

/* ---- VMASKMOVPS/PD, VPMASKMOVD/Q ---- */

/* Elements do not wrap at the address size, and all that are asked for are within the limit before
 * any page is looked at (seen on the host). */
static int lane(struct vcpu *v, const struct insn *in, unsigned off, unsigned size, unsigned access,
		gva_t *ret_lin)
{
	return x86_seg_lin(v, in->seg, special_ea(v, in) + off, size, access, ret_lin);
}

static int lanes_in_limit(struct vcpu *v, const struct insn *in, unsigned size, unsigned access)
{
	const uint8_t *mask = ymm(v, in->vvvv);
	gva_t lin;

	for (unsigned i = 0; i < vector_bytes(in); i += size)
		if (top_bit(mask + i, size) && lane(v, in, i, size, access, &lin))
			return X86_FAULT;
	return X86_OK;
}

static int mask_load(struct vcpu *v, const struct insn *in, unsigned size)
{
	unsigned vl = vector_bytes(in);
	const uint8_t *mask = ymm(v, in->vvvv);
	uint8_t val[32] = {0};
	gva_t lin;

	if (lanes_in_limit(v, in, size, X86_ACC_READ))
		return X86_FAULT;
	for (unsigned i = 0; i < vl; i += size)
		if (top_bit(mask + i, size) && (lane(v, in, i, size, X86_ACC_READ, &lin) ||
						x86_read(v, lin, size, val + i, X86_ACC_READ)))
			return X86_FAULT;
	memcpy(ymm(v, in->reg), val, 32);
	return X86_OK;
}

static int mask_store(struct vcpu *v, const struct insn *in, unsigned size)
{
	unsigned vl = vector_bytes(in);
	const uint8_t *mask = ymm(v, in->vvvv), *val = ymm(v, in->reg);
	gva_t lin;

	if (lanes_in_limit(v, in, size, X86_ACC_WRITE))
		return X86_FAULT;
	for (unsigned i = 0; i < vl; i += size)
		if (top_bit(mask + i, size) && (lane(v, in, i, size, X86_ACC_WRITE, &lin) ||
						x86_probe(v, lin, size, X86_ACC_WRITE)))
			return X86_FAULT;
	for (unsigned i = 0; i < vl; i += size)
		if (top_bit(mask + i, size) && (lane(v, in, i, size, X86_ACC_WRITE, &lin) ||
						x86_write(v, lin, size, val + i, X86_ACC_WRITE)))
			return X86_FAULT;
	return X86_OK;
}

static int vmaskmov(struct vcpu *v, const struct insn *in)
{
	switch (in->opcode) {
	case 0x2c: return mask_load(v, in, 4);
	case 0x2d: return mask_load(v, in, 8);
	case 0x2e: return mask_store(v, in, 4);
	case 0x2f: return mask_store(v, in, 8);
	case 0x8c: return mask_load(v, in, in->flags & INSN_W ? 8 : 4);
	default: return mask_store(v, in, in->flags & INSN_W ? 8 : 4);
	}
}

/* ---- MASKMOVDQU, MASKMOVQ: bytes to seg:[rDI] ---- */

static int mask_bytes_store(struct vcpu *v, const struct insn *in, const uint8_t *val,
			    const uint8_t *mask, unsigned n)
{
	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < n; i++) {
			uint64_t off = (v->s.gpr[X86_RDI] + i) & mask_bytes(in->addrsize);
			gva_t lin;

			if (!(mask[i] & 0x80))
				continue;
			if (x86_seg_lin(v, in->seg, off, 1, X86_ACC_WRITE, &lin))
				return X86_FAULT;
			if (pass ? x86_write(v, lin, 1, val + i, X86_ACC_WRITE)
				 : x86_probe(v, lin, 1, X86_ACC_WRITE))
				return X86_FAULT;
		}
	return X86_OK;
}

int sp_MASKMOVDQU(struct vcpu *v, const struct insn *in)
{
	return mask_bytes_store(v, in, ymm(v, in->reg), ymm(v, in->rm), 16);
}

int sp_MASKMOVQ(struct vcpu *v, const struct insn *in)
{
	struct x86_fpu *f = &v->s.fpu;
	unsigned top = f->fsw >> 11 & 7;
	uint8_t st[8][16];

	if (f->fsw & 0x80)
		return x86_raise(v, X86_MF);
	/* MMn is physical register n: SDM vol. 1, 9.2, 9.5.1. */
	if (mask_bytes_store(v, in, f->st[((in->reg & 7) - top) & 7],
			     f->st[((unsigned)(in->rm & 7) - top) & 7], 8))
		return X86_FAULT;
	memcpy(st, f->st, sizeof(st));
	for (unsigned i = 0; i < 8; i++)
		memcpy(f->st[i], st[(i - top) & 7], 16);
	f->fsw &= (uint16_t)~0x3800;
	f->ftw = 0xff;
	return X86_OK;
}

/* ---- alignment ---- */

/* Elements are not alignment-checked, whatever AC says. */
static int unaligned(struct vcpu *v, const struct insn *in,
		     int (*fn)(struct vcpu *v, const struct insn *in))
{
	uint8_t table = v->tlb->data_table;
	int r;

	if (table == X86_TLB_ALIGN)
		v->tlb->data_table = X86_TLB_USER;
	r = fn(v, in);
	v->tlb->data_table = table;
	return r;
}

int sp_GATHER(struct vcpu *v, const struct insn *in)
{
	return unaligned(v, in, gather);
}

int sp_VMASKMOV(struct vcpu *v, const struct insn *in)
{
	return unaligned(v, in, vmaskmov);
}
