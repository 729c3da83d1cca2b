/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving the guest's x87/MMX registers between struct x86_fpu and the host's. While they are on the
 * host (interp_cpu.x87_live) no C code of this program touches x87: the System V ABI uses it for
 * long double alone. Intel SDM vol. 1, 10.5.1 (FXSAVE layout).
 */
#include <string.h>

#include "engine/interp/interp.h"
#include "engine/special/fpu.h"

/*
 * FDP of the host's registers until an exception is recorded in them. Processors that update FDP
 * for unmasked exceptions alone (CPUID.7.0:EBX[6]) leave it alone when an exception is masked, also
 * if FLDCW unmasks it later, and when the instruction has no memory operand; so do we, because the
 * host tells. No operand is at address 1.
 */
#define NO_OPERAND 1

void x87_load(struct interp_cpu *ic)
{
	const struct x86_fpu *f = &ic->v->s.fpu;
	uint8_t *fx = ic->fx;

	/* FXRSTOR also loads MXCSR and XMM: keep the host's MXCSR, and clobbering XMM is what any
	 * call does. */
	asm volatile("fxsave64 %0" : "=m"(*(uint8_t(*)[512])fx));
	st_le16(fx, f->fcw);
	st_le16(fx + 2, f->fsw);
	fx[4] = f->ftw;
	st_le16(fx + 6, f->fop);
	st_le64(fx + 8, f->fip);
	st_le64(fx + 16, NO_OPERAND);
	for (unsigned i = 0; i < 8; i++)
		memcpy(fx + 32 + i * 16, f->st[i], 16);
	asm volatile("fxrstor64 %0" : : "m"(*(const uint8_t(*)[512])fx));
	ic->v->x87.fdp = f->fdp;
	ic->v->x87.fds = f->fds;
	ic->v->x87.last = 0;
	ic->v->x87.live = X87_LIVE;
}

/* Translated code keeps the place of its last instruction as an offset in the block pool. */
void x87_resolve(struct vcpu *v)
{
	const struct interp_cpu *ic = icpu(v);
	struct x86_fpu *f = &v->s.fpu;
	const struct uop *u;

	if (!v->x87.last)
		return;
	check(v->x87.last < ic->pool_size);
	u = (const struct uop *)(const void *)(ic->pool + v->x87.last);
	f->fip = uop_rip(u);
	f->fop = uop_block(u)->cold[u->n].fop;
	if (ic->x87_no_sel)
		f->fcs = 0; /* else it has stored CS itself */
	v->x87.last = 0;
}

void x87_save(struct interp_cpu *ic)
{
	struct x86_fpu *f = &ic->v->s.fpu;
	uint8_t *fx = ic->fx;

	asm volatile("fxsave64 %0\n\tfninit" : "=m"(*(uint8_t(*)[512])fx));
	f->fcw = ld_le16(fx);
	f->fsw = ld_le16(fx + 2);
	f->ftw = fx[4];
	for (unsigned i = 0; i < 8; i++) {
		memcpy(f->st[i], fx + 32 + i * 16, 10);
		memset(f->st[i] + 10, 0, 6);
	}
	x87_resolve(ic->v);
	if ((f->fsw & 0x80 && ld_le64(fx + 16) != NO_OPERAND) || !ic->x87_lazy_fdp) {
		f->fdp = ic->v->x87.fdp;
		f->fds = ic->v->x87.fds;
	}
	ic->v->x87.live = X87_SAVED;
}

void x87_clears_exceptions(struct interp_cpu *ic)
{
	uint16_t fsw;

	asm volatile("fnstsw %0" : "=m"(fsw));
	if (fsw & 0x80) {
		x87_save(ic);
		x87_load(ic);
	}
}

void x87_pointers_back(struct vcpu *v)
{
	const struct interp_cpu *ic = icpu(v);
	struct x86_fpu *f = &v->s.fpu;

	f->fip = ic->x87_prev_fip;
	f->fop = (uint16_t)(ic->x87_prev_misc >> 16);
	f->fcs = (uint16_t)ic->x87_prev_misc;
	if (!cpu_model_has(v->model, X86_FEAT_FDP_EXCPTN)) {
		f->fdp = ic->x87_prev_fdp;
		f->fds = ic->x87_prev_fds;
	}
	v->x87.fdp = ic->x87_prev_fdp;
	v->x87.fds = ic->x87_prev_fds;
}

/* FNINIT also clears the pointers, which are not the host's: done on v->s.fpu. SDM vol. 2, FINIT.
 */
int uop_fninit(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	struct x86_fpu *f = &v->s.fpu;

	x87_sync(icpu(v));
	fpu_reset_x87(f);
	return uop_next(v, u, tab, fl);
}
