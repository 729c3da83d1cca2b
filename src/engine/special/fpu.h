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

#endif
