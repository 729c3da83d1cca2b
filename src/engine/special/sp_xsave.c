/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The XSAVE family. Intel SDM vol. 1, chapter 13: 13.4 (area layout), 13.5 (state components), 13.6
 * (XINUSE), 13.7-13.13 (the instructions).
 *
 * Components: x87 (0), SSE (1), AVX (2). XINUSE is computed from the registers: a component is in
 * use when it is not in its initial configuration. The modified optimization of XSAVEOPT and
 * XSAVES is not used (it is optional). IA32_XSS has no component.
 */
#include "engine/special/fpu.h"

enum { X87 = 1, SSE = 2, AVX = 4 };
enum { XSTATE_BV = 512, XCOMP_BV = 520, AREA_AVX = 576, AREA_MIN = 576, AREA_MAX = 832 };
#define COMPACT BIT(63)

static const uint8_t zeros[256];

static uint64_t in_use(const struct vcpu *v)
{
	const struct x86_fpu *f = &v->s.fpu;
	unsigned n = fpu_xmm_count(v);
	uint64_t use = 0;

	if (f->fcw != 0x37f || f->fsw || f->ftw || memcmp(f->st, zeros, sizeof(f->st)))
		use |= X87;
	/* where pointers are not saved they are no state in use (seen on Zen 4) */
	if ((f->fop || f->fip || f->fdp || f->fcs || f->fds) &&
	    !cpu_model_has(v->model, X86_FEAT_XSAVEERPTR))
		use |= X87;
	for (unsigned i = 0; i < n; i++) {
		if (memcmp(f->ymm[i], zeros, 16))
			use |= SSE;
		if (memcmp(f->ymm[i] + 16, zeros, 16))
			use |= AVX;
	}
	return use;
}

/* What every form checks first, and the components asked for. */
static int begin(struct vcpu *v, const struct insn *in, uint64_t *ret_rfbm)
{
	if (!(v->s.cr4 & X86_CR4_OSXSAVE))
		return x86_ud(v);
	if (v->s.cr0 & X86_CR0_TS)
		return x86_raise(v, X86_NM);
	*ret_rfbm = (v->s.gpr[X86_RDX] << 32 | (uint32_t)v->s.gpr[X86_RAX]) & v->s.xcr0 &
		    (X87 | SSE | AVX);
	return X86_OK;
}

/* Write the components of @which; the area has been probed. */
static int put_components(struct vcpu *v, const struct fpu_area *a, uint64_t which, bool mxcsr)
{
	unsigned n = fpu_xmm_count(v);
	uint8_t buf[416] = {0};

	if (which & X87) {
		fpu_put_x87(v, a->in, buf);
		if (fpu_area_move(v, a, 0, 24, buf) || fpu_area_move(v, a, 32, 128, buf + 32))
			return X86_FAULT;
	}
	if (mxcsr) {
		st_le32(buf, v->s.fpu.mxcsr);
		st_le32(buf + 4, v->model->mxcsr_mask);
		if (fpu_area_move(v, a, 24, 8, buf))
			return X86_FAULT;
	}
	for (unsigned i = 0; i < n; i++) {
		if (which & SSE && fpu_area_move(v, a, 160 + i * 16, 16, v->s.fpu.ymm[i]))
			return X86_FAULT;
		if (which & AVX && fpu_area_move(v, a, AREA_AVX + i * 16, 16, v->s.fpu.ymm[i] + 16))
			return X86_FAULT;
	}
	return X86_OK;
}

/* XSAVE, XSAVEOPT: standard format. XSTATE_BV bits outside RFBM keep their value in memory. */
static int save_standard(struct vcpu *v, const struct insn *in, bool skip_init)
{
	uint64_t rfbm, use = in_use(v), bv = 0;
	struct fpu_area a, header;

	if (begin(v, in, &rfbm) ||
	    fpu_area(v, in, rfbm & AVX ? AREA_MAX : AREA_MIN, 64, X86_ACC_WRITE, &a))
		return X86_FAULT;
	header = a;
	header.access = X86_ACC_READ;
	if (fpu_area_move(v, &header, XSTATE_BV, 8, &bv))
		return X86_FAULT;
	bv = (bv & ~rfbm) | (rfbm & use);
	if (put_components(v, &a, skip_init ? rfbm & use : rfbm, rfbm & (SSE | AVX)))
		return X86_FAULT;
	return fpu_area_move(v, &a, XSTATE_BV, 8, &bv);
}

/* XSAVEC, XSAVES: compacted format, initial components are not written. With these components the
 * compacted offsets are the standard ones. */
static int save_compact(struct vcpu *v, const struct insn *in)
{
	uint64_t rfbm, use = in_use(v), header[2];
	struct fpu_area a;

	if (begin(v, in, &rfbm))
		return X86_FAULT;
	/* 13.10: an MXCSR that is not the initial one counts as SSE state in use. */
	if (v->s.fpu.mxcsr != 0x1f80)
		use |= SSE;
	use &= rfbm;
	header[0] = use;
	header[1] = rfbm | COMPACT;
	if (fpu_area(v, in, rfbm & AVX ? AREA_MAX : AREA_MIN, 64, X86_ACC_WRITE, &a) ||
	    put_components(v, &a, use, use & SSE))
		return X86_FAULT;
	return fpu_area_move(v, &a, XSTATE_BV, 16, header);
}

int sp_XSAVE(struct vcpu *v, const struct insn *in)
{
	return save_standard(v, in, false);
}

int sp_XSAVEOPT(struct vcpu *v, const struct insn *in)
{
	return save_standard(v, in, true);
}

int sp_XSAVEC(struct vcpu *v, const struct insn *in)
{
	return save_compact(v, in);
}

int sp_XSAVES(struct vcpu *v, const struct insn *in)
{
	return v->cpl ? x86_gp0(v) : save_compact(v, in);
}

/* Is the header one that this form may load? SDM vol. 1, 13.8, 13.12. */
static int check_header(struct vcpu *v, const uint8_t *buf, bool supervisor)
{
	uint64_t bv = ld_le64(buf + XSTATE_BV), comp = ld_le64(buf + XCOMP_BV);
	uint64_t known = v->s.xcr0;

	if (!(comp & COMPACT)) {
		if (supervisor || bv & ~known || memcmp(buf + XCOMP_BV, zeros, 16))
			return x86_gp0(v);
		return X86_OK;
	}
	if (!cpu_model_has(v->model, X86_FEAT_XSAVEC) && !supervisor)
		return x86_gp0(v);
	comp &= ~COMPACT;
	if (comp & ~known || bv & ~comp || memcmp(buf + XCOMP_BV + 8, zeros, 48))
		return x86_gp0(v);
	return X86_OK;
}

static void take_components(struct vcpu *v, const struct insn *in, const uint8_t *buf,
			    uint64_t rfbm, uint64_t bv)
{
	struct x86_fpu *f = &v->s.fpu;
	unsigned n = fpu_xmm_count(v);

	if (rfbm & X87) {
		if (bv & X87) {
			fpu_take_x87(v, in, buf);
		} else {
			fpu_reset_x87(f);
			memset(f->st, 0, sizeof(f->st));
		}
	}
	for (unsigned i = 0; i < n; i++) {
		if (rfbm & SSE)
			memcpy(f->ymm[i], bv & SSE ? buf + 160 + i * 16 : zeros, 16);
		if (rfbm & AVX)
			memcpy(f->ymm[i] + 16, bv & AVX ? buf + AREA_AVX + i * 16 : zeros, 16);
	}
}

static int restore(struct vcpu *v, const struct insn *in, bool supervisor)
{
	uint8_t buf[AREA_MAX];
	uint64_t rfbm, bv;
	uint32_t mxcsr;
	bool compact, load_mxcsr;
	struct fpu_area a;

	if (begin(v, in, &rfbm) || fpu_area(v, in, AREA_MIN, 64, X86_ACC_READ, &a) ||
	    fpu_area_move(v, &a, 0, AREA_MIN, buf) || check_header(v, buf, supervisor))
		return X86_FAULT;
	bv = ld_le64(buf + XSTATE_BV);
	compact = ld_le64(buf + XCOMP_BV) & COMPACT;
	if (rfbm & bv & AVX &&
	    (fpu_area(v, in, AREA_MAX, 64, X86_ACC_READ, &a) ||
	     fpu_area_move(v, &a, AREA_AVX, AREA_MAX - AREA_AVX, buf + AREA_AVX)))
		return X86_FAULT;
	/* Standard: MXCSR comes from memory with SSE or AVX, whatever XSTATE_BV says. Compacted: it
	 * belongs to SSE and is initialized with it. */
	load_mxcsr = compact ? rfbm & bv & SSE : rfbm & (SSE | AVX);
	mxcsr = load_mxcsr ? ld_le32(buf + 24) : 0x1f80;
	if (load_mxcsr && fpu_check_mxcsr(v, mxcsr))
		return X86_FAULT;
	if (load_mxcsr || (compact && rfbm & SSE))
		v->s.fpu.mxcsr = mxcsr;
	take_components(v, in, buf, rfbm, bv);
	return X86_OK;
}

int sp_XRSTOR(struct vcpu *v, const struct insn *in)
{
	return restore(v, in, false);
}

int sp_XRSTORS(struct vcpu *v, const struct insn *in)
{
	return v->cpl ? x86_gp0(v) : restore(v, in, true);
}
