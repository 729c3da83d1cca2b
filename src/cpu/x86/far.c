/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Far jumps, calls and returns, call gates, and the fast system calls. Intel SDM vol. 2, JMP, CALL,
 * RET, SYSCALL, SYSRET, SYSENTER, SYSEXIT (operation sections); vol. 3, 5.8.
 *
 * Everything is read and checked first; memory is written next (the frame on the target stack, in
 * one piece where it lies in one piece); registers change last.
 */
#include "cpu/x86/internal.h"

static void set_cs(struct vcpu *v, uint16_t sel, const struct x86_desc *d, unsigned cpl)
{
	x86_seg_set(&v->s.seg[X86_CS], (uint16_t)((sel & ~3u) | cpl), d);
}

static uint64_t off_mask(unsigned opsize)
{
	return mask_bytes(opsize);
}

/* Real and v8086 mode: the limit of CS stays. */
static int real_target(struct vcpu *v, uint64_t off)
{
	return off <= v->s.seg[X86_CS].limit ? X86_OK : x86_gp0(v);
}

/* A code segment as target of a direct far JMP or CALL. SDM vol. 3, 5.8.1. */
static int code_target(struct vcpu *v, uint16_t sel, const struct x86_desc *d)
{
	if (x86_lma(v) && desc_l(d) && desc_d(d))
		return x86_raise_sel(v, X86_GP, sel);
	if (desc_is_conforming(d)) {
		if (desc_dpl(d) > v->cpl)
			return x86_raise_sel(v, X86_GP, sel);
	} else if ((sel & 3u) > v->cpl || desc_dpl(d) != v->cpl) {
		return x86_raise_sel(v, X86_GP, sel);
	}
	return desc_p(d) ? X86_OK : x86_raise_sel(v, X86_NP, sel);
}

/* What a call gate leads to. */
struct gate {
	struct x86_desc code;
	uint16_t sel;
	uint64_t off;
	unsigned size;   /* bytes of a pushed value: 2, 4, 8 */
	unsigned params; /* values to copy */
};

/* Checks of a call gate and of the code segment it names. SDM vol. 2, CALL, "call-gate". */
static int gate_target(struct vcpu *v, uint16_t sel, struct x86_desc *g, bool call,
		       struct gate *ret)
{
	bool lma = x86_lma(v);

	if (desc_dpl(g) < v->cpl || desc_dpl(g) < (sel & 3u))
		return x86_raise_sel(v, X86_GP, sel);
	if (!desc_p(g))
		return x86_raise_sel(v, X86_NP, sel);
	if (lma) {
		if (x86_desc_read_upper(v, sel, X86_GP, g))
			return X86_FAULT;
		if (g->top & 0x1f00)
			return x86_raise_sel(v, X86_GP, sel);
	}
	ret->sel = gate_sel(g);
	ret->off = gate_off(g);
	ret->size = desc_type(g) == DESC_CALL16 ? 2 : 4;
	ret->params = g->hi & 31;
	if (ret->size == 2)
		ret->off &= 0xffff;
	if (lma) {
		ret->off |= (uint64_t)g->base_hi << 32;
		ret->size = 8;
		ret->params = 0;
	}
	if (sel_null(ret->sel))
		return x86_gp0(v);
	if (x86_desc_read(v, ret->sel, X86_GP, &ret->code))
		return X86_FAULT;
	if (!desc_is_code(&ret->code) || desc_dpl(&ret->code) > v->cpl)
		return x86_raise_sel(v, X86_GP, ret->sel);
	/* A jump cannot change the privilege level. */
	if (!call && !desc_is_conforming(&ret->code) && desc_dpl(&ret->code) != v->cpl)
		return x86_raise_sel(v, X86_GP, ret->sel);
	if (lma && (!desc_l(&ret->code) || desc_d(&ret->code)))
		return x86_raise_sel(v, X86_GP, ret->sel);
	return desc_p(&ret->code) ? X86_OK : x86_raise_sel(v, X86_NP, ret->sel);
}

/* A TSS descriptor or task gate as target of JMP or CALL. */
static int task_target(struct vcpu *v, uint16_t sel, struct x86_desc *d, enum x86_task_reason why)
{
	if (desc_dpl(d) < v->cpl || desc_dpl(d) < (sel & 3u))
		return x86_raise_sel(v, X86_GP, sel);
	if (desc_type(d) == DESC_TASK) {
		if (!desc_p(d))
			return x86_raise_sel(v, X86_NP, sel);
		return x86_task_gate(v, d, why, v->next_rip, false, 0);
	}
	if (sel & 4)
		return x86_raise_sel(v, X86_GP, sel);
	if (!desc_p(d))
		return x86_raise_sel(v, X86_NP, sel);
	return x86_task_switch(v, sel, d, why, v->next_rip, false, 0);
}

enum target { TARGET_CODE, TARGET_GATE, TARGET_TASK, TARGET_BAD };

static enum target target_kind(const struct vcpu *v, const struct x86_desc *d)
{
	if (desc_s(d))
		return desc_is_code(d) ? TARGET_CODE : TARGET_BAD;
	if (x86_lma(v))
		return desc_type(d) == DESC_CALL32 ? TARGET_GATE : TARGET_BAD;
	switch (desc_type(d)) {
	case DESC_CALL16:
	case DESC_CALL32: return TARGET_GATE;
	case DESC_TASK:
	case DESC_TSS16:
	case DESC_TSS32: return TARGET_TASK;
	default: return TARGET_BAD; /* includes busy TSSs */
	}
}

static int jmp_protected(struct vcpu *v, uint16_t sel, uint64_t off)
{
	struct x86_desc d;
	struct gate g;

	if (sel_null(sel))
		return x86_gp0(v);
	if (x86_desc_read(v, sel, X86_GP, &d))
		return X86_FAULT;
	switch (target_kind(v, &d)) {
	case TARGET_CODE:
		if (code_target(v, sel, &d) || x86_code_off(v, &d, &off) ||
		    x86_desc_accessed(v, &d))
			return X86_FAULT;
		break;
	case TARGET_GATE:
		if (gate_target(v, sel, &d, false, &g) || x86_code_off(v, &g.code, &g.off) ||
		    x86_desc_accessed(v, &g.code))
			return X86_FAULT;
		sel = g.sel;
		off = g.off;
		d = g.code;
		break;
	case TARGET_TASK: return task_target(v, sel, &d, TASK_JMP);
	case TARGET_BAD: return x86_raise_sel(v, X86_GP, sel);
	}
	set_cs(v, sel, &d, v->cpl);
	v->next_rip = off;
	x86_update_mode(v);
	return X86_OK;
}

int x86_far_jmp(struct vcpu *v, uint16_t sel, uint64_t off, unsigned opsize)
{
	off &= off_mask(opsize);
	if (x86_protected(v))
		return jmp_protected(v, sel, off);
	if (real_target(v, off))
		return X86_FAULT;
	v->next_rip = off;
	x86_load_seg_real(v, X86_CS, sel);
	return X86_OK;
}

/* Push CS and the return address on the current stack. @is64: the target is 64-bit code; its mode,
 * not the caller's, says how wide the stack pointer is (seen on the host: a call from 64-bit to
 * compatibility mode stores at the truncated RSP). */
static int push_return(struct vcpu *v, unsigned size, bool is64)
{
	const uint64_t frame[2] = {v->next_rip, v->s.seg[X86_CS].sel};
	struct x86_stack k;

	x86_stack_current(v, &k);
	k.is64 = is64;
	if (x86_stack_push(v, &k, size, frame, 2))
		return X86_FAULT;
	v->s.gpr[X86_RSP] = k.sp;
	return X86_OK;
}

/* Call gate to more privilege: SS, SP, parameters, CS, IP on the inner stack. */
static int call_inner(struct vcpu *v, struct gate *g)
{
	unsigned dpl = desc_dpl(&g->code), n = 0;
	struct x86_stack inner, outer;
	uint64_t frame[40], param[32];

	if (x86_inner_stack(v, dpl, 0, &inner))
		return X86_FAULT;
	x86_stack_current(v, &outer);
	if (g->params && x86_stack_peek(v, &outer, 0, g->size, param, g->params))
		return X86_FAULT;
	if (x86_code_off(v, &g->code, &g->off))
		return X86_FAULT;
	frame[n++] = v->next_rip;
	frame[n++] = v->s.seg[X86_CS].sel;
	for (unsigned i = 0; i < g->params; i++)
		frame[n++] = param[i];
	frame[n++] = v->s.gpr[X86_RSP];
	frame[n++] = v->s.seg[X86_SS].sel;
	if (x86_desc_accessed(v, &g->code) || x86_stack_push(v, &inner, g->size, frame, n))
		return X86_FAULT;
	v->s.seg[X86_SS] = inner.ss;
	v->s.gpr[X86_RSP] = inner.sp;
	set_cs(v, g->sel, &g->code, dpl);
	v->next_rip = g->off;
	x86_update_mode(v);
	return X86_OK;
}

static int call_protected(struct vcpu *v, uint16_t sel, uint64_t off, unsigned opsize)
{
	struct x86_desc d;
	struct gate g;

	if (sel_null(sel))
		return x86_gp0(v);
	if (x86_desc_read(v, sel, X86_GP, &d))
		return X86_FAULT;
	switch (target_kind(v, &d)) {
	case TARGET_CODE:
		if (code_target(v, sel, &d))
			return X86_FAULT;
		break;
	case TARGET_GATE:
		if (gate_target(v, sel, &d, true, &g))
			return X86_FAULT;
		if (!desc_is_conforming(&g.code) && desc_dpl(&g.code) < v->cpl)
			return call_inner(v, &g);
		sel = g.sel;
		off = g.off;
		opsize = g.size;
		d = g.code;
		break;
	case TARGET_TASK: return task_target(v, sel, &d, TASK_CALL);
	case TARGET_BAD: return x86_raise_sel(v, X86_GP, sel);
	}
	if (x86_code_off(v, &d, &off) || x86_desc_accessed(v, &d) ||
	    push_return(v, opsize, x86_lma(v) && desc_l(&d)))
		return X86_FAULT;
	set_cs(v, sel, &d, v->cpl);
	v->next_rip = off;
	x86_update_mode(v);
	return X86_OK;
}

int x86_far_call(struct vcpu *v, uint16_t sel, uint64_t off, unsigned opsize)
{
	off &= off_mask(opsize);
	if (x86_protected(v))
		return call_protected(v, sel, off, opsize);
	if (real_target(v, off) || push_return(v, opsize, false))
		return X86_FAULT;
	v->next_rip = off;
	x86_load_seg_real(v, X86_CS, sel);
	return X86_OK;
}

static int ret_outer(struct vcpu *v, const struct x86_stack *k, uint16_t cs,
		     const struct x86_desc *code, uint64_t rip, unsigned opsize, uint16_t pop)
{
	unsigned rpl = cs & 3;
	bool to64 = x86_lma(v) && desc_l(code);
	struct x86_stack outer = {.is64 = to64};
	uint64_t val[2];

	if (x86_stack_peek(v, k, 2ull * opsize + pop, opsize, val, 2))
		return X86_FAULT;
	if (x86_return_ss(v, (uint16_t)val[1], rpl, to64, &outer.ss) || x86_code_off(v, code, &rip))
		return X86_FAULT;
	x86_seg_set(&v->s.seg[X86_CS], cs, code);
	v->s.seg[X86_SS] = outer.ss;
	outer.sp = x86_stack_merge(&outer, v->s.gpr[X86_RSP], val[0]);
	v->s.gpr[X86_RSP] = x86_stack_merge(&outer, outer.sp, outer.sp + pop);
	v->next_rip = rip;
	x86_drop_segs(v, rpl);
	x86_update_mode(v);
	return X86_OK;
}

int x86_far_ret(struct vcpu *v, unsigned opsize, uint16_t pop)
{
	struct x86_stack k;
	struct x86_desc d;
	uint64_t val[2]; /* IP, CS */
	uint16_t cs;

	x86_stack_current(v, &k);
	if (x86_stack_peek(v, &k, 0, opsize, val, 2))
		return X86_FAULT;
	cs = (uint16_t)val[1];
	if (!x86_protected(v)) {
		if (real_target(v, val[0]))
			return X86_FAULT;
		v->s.gpr[X86_RSP] = x86_stack_merge(&k, k.sp, k.sp + 2ull * opsize + pop);
		v->next_rip = val[0];
		x86_load_seg_real(v, X86_CS, cs);
		return X86_OK;
	}
	if (x86_return_cs(v, cs, &d))
		return X86_FAULT;
	if ((cs & 3u) > v->cpl) {
		if (x86_desc_accessed(v, &d))
			return X86_FAULT;
		return ret_outer(v, &k, cs, &d, val[0], opsize, pop);
	}
	if (x86_code_off(v, &d, &val[0]) || x86_desc_accessed(v, &d))
		return X86_FAULT;
	v->s.gpr[X86_RSP] = x86_stack_merge(&k, k.sp, k.sp + 2ull * opsize + pop);
	x86_seg_set(&v->s.seg[X86_CS], cs, &d);
	v->next_rip = val[0];
	x86_update_mode(v);
	return X86_OK;
}

/* ---- fast system calls ---- */

static void flat_cs(struct vcpu *v, uint16_t sel, unsigned dpl, bool is64)
{
	v->s.seg[X86_CS] = (struct x86_seg){
		.sel = (uint16_t)sel,
		.limit = 0xffffffff,
		.attr = 0x809b | dpl << X86_ATTR_DPL_SHIFT | (is64 ? X86_ATTR_L : X86_ATTR_DB),
	};
}

static void flat_ss(struct vcpu *v, uint16_t sel, unsigned dpl)
{
	v->s.seg[X86_SS] = (struct x86_seg){
		.sel = sel,
		.limit = 0xffffffff,
		.attr = 0xc093 | dpl << X86_ATTR_DPL_SHIFT,
	};
}

/* SYSRET: Intel loads all of SS; AMD the selector, and leaves base, limit and attributes (APM vol.
 * 3, SYSRET). The privilege level is there all the same. */
static void sysret_ss(struct vcpu *v, uint16_t sel)
{
	if (x86_is_amd(v))
		x86_seg_keep(&v->s.seg[X86_SS], (uint16_t)(sel | 3));
	else
		flat_ss(v, (uint16_t)(sel | 3), 3);
}

int x86_syscall(struct vcpu *v)
{
	uint16_t sel = (uint16_t)(v->s.star >> 32);
	uint64_t flags = v->s.rflags;

	if (LIKELY(x86_syscall_fast(v)))
		return X86_OK;
	if (!(v->s.efer & X86_EFER_SCE) || !(v->mode & X86_MODE_PE))
		return x86_ud(v);
	/* Intel has SYSCALL in 64-bit mode only; AMD also in compatibility and legacy mode. */
	if (!x86_is_64(v) && !x86_is_amd(v))
		return x86_ud(v);
	if (!x86_lma(v)) { /* AMD APM vol. 2, 6.1.1: legacy SYSCALL */
		v->s.gpr[X86_RCX] = (uint32_t)v->next_rip;
		v->next_rip = (uint32_t)v->s.star;
		v->s.rflags &= ~(uint64_t)(X86_VM | X86_IF | X86_RF);
		flat_cs(v, sel & 0xfffc, 0, false);
		flat_ss(v, (uint16_t)((sel & 0xfffc) + 8), 0);
		x86_update_mode(v);
		return X86_OK;
	}
	v->s.gpr[X86_RCX] = v->next_rip;
	v->s.gpr[X86_R11] = flags & ~(uint64_t)X86_RF;
	v->next_rip = v->s.cstar;
	v->s.rflags = (flags & ~(v->s.sfmask | X86_RF)) | 2;
	if (!(v->s.rflags & X86_TF))
		v->no_step = true;
	flat_cs(v, sel & 0xfffc, 0, true);
	flat_ss(v, (uint16_t)((sel & 0xfffc) + 8), 0);
	x86_mode_long(v, 0);
	return X86_OK;
}

int x86_sysret(struct vcpu *v, unsigned opsize)
{
	uint16_t sel = (uint16_t)(v->s.star >> 48);
	uint64_t rip = v->s.gpr[X86_RCX];

	if (LIKELY(x86_sysret_fast(v, opsize == 8)))
		return X86_OK;
	if (!(v->s.efer & X86_EFER_SCE))
		return x86_ud(v);
	if (!x86_is_64(v) && !x86_is_amd(v))
		return x86_ud(v);
	if (v->cpl || !(v->mode & X86_MODE_PE))
		return x86_gp0(v);
	if (!x86_is_64(v)) { /* AMD APM vol. 3, SYSRET: the same in compatibility mode */
		v->next_rip = (uint32_t)rip;
		flat_cs(v, sel | 3, 3, false);
		sysret_ss(v, (uint16_t)(sel + 8));
		x86_set_rflags(v, X86_IF, X86_IF);
		x86_update_mode(v);
		return X86_OK;
	}
	/* Intel checks RCX before the privilege change, AMD does not. */
	if (opsize == 8 && !x86_canonical(rip) && !x86_is_amd(v))
		return x86_gp0(v);
	v->next_rip = opsize == 8 ? rip : (uint32_t)rip;
	flat_cs(v, (uint16_t)((opsize == 8 ? sel + 16 : sel) | 3), 3, opsize == 8);
	sysret_ss(v, (uint16_t)(sel + 8));
	x86_set_rflags(v, v->s.gpr[X86_R11], 0x3c7fd7);
	v->s.rflags &= ~(uint64_t)(X86_RF | X86_VM);
	if (opsize == 8)
		x86_mode_long(v, 3);
	else
		x86_update_mode(v);
	return X86_OK;
}

int x86_sysenter(struct vcpu *v)
{
	uint16_t sel = (uint16_t)v->s.sysenter_cs & 0xfffc;
	bool lma = x86_lma(v);

	if (lma && x86_is_amd(v)) /* AMD has it in legacy mode only: APM vol. 3, SYSENTER */
		return x86_ud(v);
	if (x86_sysenter_fast(v))
		return X86_OK;
	if (!(v->mode & X86_MODE_PE) || !sel)
		return x86_gp0(v);
	v->s.rflags &= ~(uint64_t)(X86_VM | X86_IF | X86_RF);
	v->s.gpr[X86_RSP] = lma ? v->s.sysenter_esp : (uint32_t)v->s.sysenter_esp;
	v->next_rip = lma ? v->s.sysenter_eip : (uint32_t)v->s.sysenter_eip;
	flat_cs(v, sel, 0, lma);
	flat_ss(v, (uint16_t)(sel + 8), 0);
	x86_update_mode(v);
	return X86_OK;
}

int x86_sysexit(struct vcpu *v, unsigned opsize)
{
	uint16_t sel = (uint16_t)v->s.sysenter_cs;
	uint64_t rip = v->s.gpr[X86_RDX], rsp = v->s.gpr[X86_RCX];

	if (x86_lma(v) && x86_is_amd(v))
		return x86_ud(v);
	if (!(sel & 0xfffc) || !(v->mode & X86_MODE_PE) || v->cpl || (v->mode & X86_MODE_VM))
		return x86_gp0(v);
	if (opsize == 8) {
		if (!x86_canonical(rip) || !x86_canonical(rsp))
			return x86_gp0(v);
		flat_cs(v, (uint16_t)((sel + 32) | 3), 3, true);
		flat_ss(v, (uint16_t)((sel + 40) | 3), 3);
	} else {
		rip = (uint32_t)rip;
		rsp = (uint32_t)rsp;
		flat_cs(v, (uint16_t)((sel + 16) | 3), 3, false);
		flat_ss(v, (uint16_t)((sel + 24) | 3), 3);
	}
	v->s.gpr[X86_RSP] = rsp;
	v->next_rip = rip;
	x86_update_mode(v);
	return X86_OK;
}
