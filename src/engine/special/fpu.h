/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces of FXSAVE and XSAVE images that sp_fpu.c and sp_xsave.c share.
 */
#ifndef ENGINE_SPECIAL_FPU_H
#define ENGINE_SPECIAL_FPU_H

#include "cpu/x86/cpuid.h"
#include "engine/special/special.h"

/** fpu_put_x87/fpu_take_x87() - bytes 0-23 and 32-159 of the image; REX.W chooses 64-bit pointers.
 */
void fpu_put_x87(const struct vcpu *v, const struct insn *in, uint8_t *to);
void fpu_take_x87(struct vcpu *v, const struct insn *in, const uint8_t *from);
/** fpu_reset_x87() - the state FNINIT makes (registers keep their bits). */
void fpu_reset_x87(struct x86_fpu *f);
/** fpu_xmm_count() - registers that exist in this mode: 16 or 8. */
unsigned fpu_xmm_count(const struct vcpu *v);
/** fpu_check_mxcsr() - #GP(0) on reserved bits. */
int fpu_check_mxcsr(struct vcpu *v, uint32_t mxcsr) MUST_CHECK;

/* The memory operand of FXSAVE, XSAVE and their kin. */
struct fpu_area {
	const struct insn *in;
	gva_t lin; /* of its start */
	unsigned access;
	bool wraps; /* a 16-bit address: from offset FFFFh to 0 */
};

/** fpu_area() - check an area of @size bytes for @access: segment limits, #GP(0) unless aligned to
 * @align, and pages when it is to be written. The beginning's limit comes before the alignment.
 * 16-bit addresses wrap from one 16-byte piece to the next, each of which is checked against the
 * limit, as processors do it; the SDM does not say. */
int fpu_area(struct vcpu *v, const struct insn *in, unsigned size, unsigned align, unsigned access,
	     struct fpu_area *ret_area) MUST_CHECK;
/** fpu_area_move() - write @n bytes at @at of the area, or read them, as its access says. */
int fpu_area_move(struct vcpu *v, const struct fpu_area *a, unsigned at, unsigned n,
		  void *buf) MUST_CHECK;

#endif
