/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IRET in all modes. Intel SDM vol. 2, IRET (operation); vol. 3, 21.2.7 (v8086), 21.3 (VME), 6.7.1
 * (NMI unblocking).
 *
 * NMIs are unblocked when IRET completes, and also when it faults: the SDM leaves the second case
 * to the processor; Intel's unblock before the first fault check, and so do we.
 */
#include "cpu/x86/internal.h"

static int iret_real(struct vcpu *v, unsigned opsize)
{
	uint64_t val[3], mask = X86_ARITH | X86_TF | X86_IF | X86_DF | X86_IOPL | X86_NT;
	struct x86_stack k;

	x86_stack_current(v, &k);
	if (x86_stack_peek(v, &k, 0, opsize, val, 3))
		return X86_FAULT;
	if (val[0] > v->s.seg[X86_CS].limit)
		return x86_gp0(v);
	if (opsize == 4)
		mask |= X86_RF | X86_AC | X86_ID;
	v->s.gpr[X86_RSP] = x86_stack_merge(&k, k.sp, k.sp + 3ull * opsize);
	v->next_rip = val[0];
	x86_load_seg_real(v, X86_CS, (uint16_t)val[1]);
	x86_set_rflags(v, val[2], mask);
	return X86_OK;
}

static int iret_v86(struct vcpu *v, unsigned opsize)
{
	uint64_t val[3], mask = X86_ARITH | X86_TF | X86_DF | X86_NT;
	bool vme = x86_iopl(v) < 3;
	struct x86_stack k;

	if (vme && (!(v->s.cr4 & X86_CR4_VME) || opsize != 2))
		return x86_gp0(v);
	x86_stack_current(v, &k);
	if (x86_stack_peek(v, &k, 0, opsize, val, 3))
		return X86_FAULT;
	if (val[0] > 0xffff)
		return x86_gp0(v);
	if (vme) {
		/* SDM vol. 3, 21.3.4: IF is VIF here, and TF or VIP with IF go to the monitor. */
		if ((val[2] & X86_TF) || ((val[2] & X86_IF) && (v->s.rflags & X86_VIP)))
			return x86_gp0(v);
		if (val[2] & X86_IF)
			val[2] |= X86_VIF;
		mask |= X86_VIF;
	} else {
		mask |= X86_IF;
		if (opsize == 4)
			mask |= X86_RF | X86_AC | X86_ID;
	}
	v->s.gpr[X86_RSP] = x86_stack_merge(&k, k.sp, k.sp + 3ull * opsize);
	v->next_rip = val[0];
	x86_load_seg_real(v, X86_CS, (uint16_t)val[1]);
	x86_set_rflags(v, val[2], mask);
	return X86_OK;
}

/* NT set: back to the task that the current TSS links to. */
static int iret_task(struct vcpu *v)
{
	struct x86_desc d;
	uint16_t sel;

	if (x86_read_sys(v, (uint32_t)v->s.tr.base, 2, &sel))
		return X86_FAULT;
	if ((sel & 4) || sel_null(sel))
		return x86_raise_sel(v, X86_TS, sel);
	if (x86_desc_read(v, sel, X86_TS, &d))
		return X86_FAULT;
	if (desc_s(&d) || (desc_type(&d) != DESC_TSS16_BUSY && desc_type(&d) != DESC_TSS32_BUSY))
		return x86_raise_sel(v, X86_TS, sel);
	if (!desc_p(&d))
		return x86_raise_sel(v, X86_NP, sel);
	return x86_task_switch(v, sel, &d, TASK_IRET, v->next_rip, false, 0);
}

/* To v8086 mode: EIP, CS, EFLAGS, ESP, SS, ES, DS, FS, GS. */
static int iret_to_v86(struct vcpu *v, const struct x86_stack *k)
{
	static const enum x86_sreg order[] = {X86_SS, X86_ES, X86_DS, X86_FS, X86_GS};
	uint64_t val[9];

	if (x86_stack_peek(v, k, 0, 4, val, 9))
		return X86_FAULT;
	/* EIP beyond the segment faults only when fetched: SDM vol. 2, RETURN-TO-VIRTUAL-8086. */
	v->s.rflags = (val[2] & 0x3f7fd5) | 2;
	v->next_rip = val[0] & 0xffff;
	v->s.gpr[X86_RSP] = (uint32_t)val[3];
	x86_seg_v86(&v->s.seg[X86_CS], (uint16_t)val[1]);
	for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
		x86_seg_v86(&v->s.seg[order[i]], (uint16_t)val[4 + i]);
	x86_update_mode(v);
	if (v->irq_waiting && (v->s.rflags & X86_IF))
		atomic_fetch_or(&v->request, (uint32_t)VCPU_REQ_EVENT);
	return X86_OK;
}

static int iret_protected(struct vcpu *v, unsigned opsize)
{
	bool with_ss = x86_is_64(v), to64;
	struct x86_stack k, outer = {0};
	uint64_t val[5], mask = x86_iret_mask(v, opsize);
	struct x86_desc d;
	unsigned rpl;
	uint16_t cs;

	if (v->s.rflags & X86_NT)
		return x86_lma(v) ? x86_gp0(v) : iret_task(v);
	x86_stack_current(v, &k);
	if (x86_stack_peek(v, &k, 0, opsize, val, with_ss ? 5 : 3))
		return X86_FAULT;
	if (opsize == 4 && (val[2] & X86_VM) && v->cpl == 0 && !x86_lma(v))
		return iret_to_v86(v, &k);
	cs = (uint16_t)val[1];
	rpl = cs & 3;
	if (x86_return_cs(v, cs, &d))
		return X86_FAULT;
	to64 = x86_lma(v) && desc_l(&d);
	if (!with_ss && rpl > v->cpl) {
		with_ss = true;
		if (x86_stack_peek(v, &k, 3ull * opsize, opsize, val + 3, 2))
			return X86_FAULT;
	}
	if (with_ss && x86_return_ss(v, (uint16_t)val[4], rpl, to64, &outer.ss))
		return X86_FAULT;
	if (x86_code_off(v, &d, &val[0]) || x86_desc_accessed(v, &d))
		return X86_FAULT;
	/* Nothing can fault any more. */
	outer.is64 = to64;
	if (with_ss) {
		v->s.gpr[X86_RSP] = x86_stack_merge(&outer, v->s.gpr[X86_RSP], val[3]);
		v->s.seg[X86_SS] = outer.ss;
	} else {
		v->s.gpr[X86_RSP] = x86_stack_merge(&k, k.sp, k.sp + 3ull * opsize);
	}
	x86_seg_set(&v->s.seg[X86_CS], cs, &d);
	v->next_rip = val[0];
	if (rpl > v->cpl)
		x86_drop_segs(v, rpl);
	x86_update_mode(v);
	x86_set_rflags(v, val[2], mask);
	return X86_OK;
}

int x86_iret(struct vcpu *v, unsigned opsize)
{
	if (UNLIKELY(v->s.shadow & X86_SHADOW_NMI)) { /* another NMI may wait */
		v->s.shadow &= (uint8_t)~X86_SHADOW_NMI;
		atomic_fetch_or(&v->request, (uint32_t)VCPU_REQ_EVENT);
	}
	if (opsize == 8 && LIKELY(x86_iretq_fast(v)))
		return X86_OK;
	if (v->mode & X86_MODE_VM)
		return iret_v86(v, opsize);
	if (!(v->mode & X86_MODE_PE))
		return iret_real(v, opsize);
	return iret_protected(v, opsize);
}
