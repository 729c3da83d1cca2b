/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers of group SYS: interrupt flag, control and debug registers, MSRs, time stamps, CPUID, FS
 * and GS bases (engine/special/special.h). Intel SDM vol. 2; CLI and STI: tables 3-7, 4-19; vol. 3,
 * 21.3 (VME), 21.4 (PVI).
 */
#include "cpu/x86/cpuid.h"
#include "cpu/x86/lapic.h"
#include "engine/special/special.h"

static int cpl0_check(struct vcpu *v)
{
	return v->cpl ? x86_gp0(v) : X86_OK;
}

/* What CLI and STI act on: IF, VIF, or nothing (#GP). */
static uint64_t int_flag(const struct vcpu *v)
{
	if (!(v->mode & X86_MODE_PE))
		return X86_IF;
	if (v->cpl <= x86_iopl(v))
		return X86_IF;
	if (v->mode & X86_MODE_VM)
		return (v->s.cr4 & X86_CR4_VME) ? X86_VIF : 0;
	return v->cpl == 3 && (v->s.cr4 & X86_CR4_PVI) ? X86_VIF : 0;
}

int sp_CLI(struct vcpu *v, const struct insn *in)
{
	uint64_t flag = int_flag(v);

	if (!flag)
		return x86_gp0(v);
	v->s.rflags &= ~flag;
	return X86_OK;
}

int sp_STI(struct vcpu *v, const struct insn *in)
{
	uint64_t flag = int_flag(v);

	if (!flag || (flag == X86_VIF && (v->s.rflags & X86_VIP)))
		return x86_gp0(v);
	if (flag == X86_IF && !(v->s.rflags & X86_IF))
		v->s.shadow |= X86_SHADOW_STI;
	x86_set_rflags(v, flag, flag);
	return X86_OK;
}

static int set_ac(struct vcpu *v, uint64_t val)
{
	/* SDM vol. 2, CLAC, STAC: #UD outside CPL 0, and in v8086 mode. */
	if (v->cpl)
		return x86_ud(v);
	x86_set_rflags(v, val, X86_AC);
	return X86_OK;
}

int sp_CLAC(struct vcpu *v, const struct insn *in)
{
	return set_ac(v, 0);
}

int sp_STAC(struct vcpu *v, const struct insn *in)
{
	return set_ac(v, X86_AC);
}

int sp_HLT(struct vcpu *v, const struct insn *in)
{
	if (cpl0_check(v))
		return X86_FAULT;
	x86_side_effect(v);
	v->s.activity = X86_ACT_HALT; /* x86_poll_events() decides at the next boundary */
	return X86_OK;
}

int sp_CLTS(struct vcpu *v, const struct insn *in)
{
	if (cpl0_check(v))
		return X86_FAULT;
	v->s.cr0 &= ~(uint64_t)X86_CR0_TS;
	return X86_OK;
}

int sp_SMSW(struct vcpu *v, const struct insn *in)
{
	if ((v->s.cr4 & X86_CR4_UMIP) && v->cpl)
		return x86_gp0(v);
	return rm_write(v, in, (in->flags & INSN_MEM) ? 2 : in->opsize, v->s.cr0);
}

int sp_LMSW(struct vcpu *v, const struct insn *in)
{
	const uint64_t bits = X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS;
	uint64_t val;

	if (cpl0_check(v) || rm_read(v, in, 2, &val))
		return X86_FAULT;
	/* PE can be set, not cleared. */
	val = (v->s.cr0 & ~bits) | (val & bits) | (v->s.cr0 & X86_CR0_PE);
	return x86_set_cr0(v, val);
}

int sp_MOV_FROM_CR(struct vcpu *v, const struct insn *in)
{
	uint64_t val;

	switch (in->reg) {
	case 0: val = v->s.cr0; break;
	case 2: val = v->s.cr2; break;
	case 3: val = v->s.cr3; break;
	case 4: val = v->s.cr4; break;
	case 8: val = lapic_get_cr8(v); break;
	default: return x86_ud(v);
	}
	if (cpl0_check(v))
		return X86_FAULT;
	gpr_set(v, in, in->rm, x86_is_64(v) ? 8 : 4, val);
	return X86_OK;
}

int sp_MOV_TO_CR(struct vcpu *v, const struct insn *in)
{
	uint64_t val = v->s.gpr[in->rm];

	if (!x86_is_64(v))
		val = (uint32_t)val;
	if (in->reg != 0 && in->reg != 2 && in->reg != 3 && in->reg != 4 && in->reg != 8)
		return x86_ud(v);
	if (cpl0_check(v))
		return X86_FAULT;
	switch (in->reg) {
	case 0: return x86_set_cr0(v, val);
	case 2: v->s.cr2 = val; return X86_OK;
	case 3: return x86_set_cr3(v, val);
	case 4: return x86_set_cr4(v, val);
	default:
		if (val & ~15ull)
			return x86_gp0(v);
		lapic_set_cr8(v, (uint8_t)val);
		return X86_OK;
	}
}

int sp_MOV_FROM_DR(struct vcpu *v, const struct insn *in)
{
	uint64_t val;

	if (cpl0_check(v) || x86_get_dr(v, in->reg, &val))
		return X86_FAULT;
	gpr_set(v, in, in->rm, x86_is_64(v) ? 8 : 4, val);
	return X86_OK;
}

int sp_MOV_TO_DR(struct vcpu *v, const struct insn *in)
{
	uint64_t val = v->s.gpr[in->rm];

	if (cpl0_check(v))
		return X86_FAULT;
	return x86_set_dr(v, in->reg, x86_is_64(v) ? val : (uint32_t)val);
}

int sp_INVLPG(struct vcpu *v, const struct insn *in)
{
	uint64_t off = special_ea(v, in);
	gva_t lin;

	if (cpl0_check(v))
		return X86_FAULT;
	/* No limit checks; a non-canonical address does nothing. SDM vol. 2, INVLPG. */
	if (x86_is_64(v)) {
		lin = in->seg >= X86_FS ? v->s.seg[in->seg].base + off : off;
		if (!x86_canonical(lin))
			return X86_OK;
	} else {
		lin = (uint32_t)(v->s.seg[in->seg].base + off);
	}
	x86_tlb_flush_page(v, lin);
	return X86_OK;
}

int sp_INVPCID(struct vcpu *v, const struct insn *in)
{
	uint64_t type = gpr_get(v, in, in->reg, x86_is_64(v) ? 8 : 4), d[2];
	gva_t lin;

	if (cpl0_check(v) || special_mem(v, in, 16, X86_ACC_READ, &lin) ||
	    x86_read(v, lin, 16, d, X86_ACC_READ))
		return X86_FAULT;
	if (type > 3 || d[0] >> 12)
		return x86_gp0(v);
	if (type <= 1 && !(v->s.cr4 & X86_CR4_PCIDE) && d[0])
		return x86_gp0(v);
	switch (type) {
	case 0:
		if (!x86_canonical(d[1]))
			return x86_gp0(v);
		x86_tlb_flush_page_of(v, (uint16_t)d[0], d[1]);
		break;
	case 1: x86_tlb_flush_pcid(v, (uint16_t)d[0]); break;
	default: x86_tlb_flush(v); break; /* 3 may drop global pages too */
	}
	return X86_OK;
}

int sp_INVD(struct vcpu *v, const struct insn *in)
{
	return cpl0_check(v); /* caches are not modelled */
}

int sp_WBINVD(struct vcpu *v, const struct insn *in)
{
	return cpl0_check(v);
}

static void set_edx_eax(struct vcpu *v, uint64_t val)
{
	v->s.gpr[X86_RAX] = (uint32_t)val;
	v->s.gpr[X86_RDX] = val >> 32;
}

int sp_RDMSR(struct vcpu *v, const struct insn *in)
{
	uint64_t val;

	if (cpl0_check(v))
		return X86_FAULT;
	x86_side_effect(v);
	if (x86_rdmsr(v, (uint32_t)v->s.gpr[X86_RCX], &val))
		return X86_FAULT;
	set_edx_eax(v, val);
	return X86_OK;
}

int sp_WRMSR(struct vcpu *v, const struct insn *in)
{
	uint64_t val = (uint32_t)v->s.gpr[X86_RAX] | v->s.gpr[X86_RDX] << 32;

	if (cpl0_check(v))
		return X86_FAULT;
	x86_side_effect(v);
	return x86_wrmsr(v, (uint32_t)v->s.gpr[X86_RCX], val);
}

int sp_RDTSC(struct vcpu *v, const struct insn *in)
{
	if ((v->s.cr4 & X86_CR4_TSD) && v->cpl)
		return x86_gp0(v);
	set_edx_eax(v, x86_tsc(v));
	return X86_OK;
}

int sp_RDTSCP(struct vcpu *v, const struct insn *in)
{
	if ((v->s.cr4 & X86_CR4_TSD) && v->cpl)
		return x86_gp0(v);
	set_edx_eax(v, x86_tsc(v));
	v->s.gpr[X86_RCX] = (uint32_t)v->s.tsc_aux;
	return X86_OK;
}

/* No model offers performance counters: every index is out of range. */
int sp_RDPMC(struct vcpu *v, const struct insn *in)
{
	return x86_gp0(v);
}

int sp_RDPID(struct vcpu *v, const struct insn *in)
{
	gpr_set(v, in, in->rm, x86_is_64(v) ? 8 : 4, (uint32_t)v->s.tsc_aux);
	return X86_OK;
}

int sp_CPUID(struct vcpu *v, const struct insn *in)
{
	struct cpuid_regs r;

	cpuid_query(v, (uint32_t)v->s.gpr[X86_RAX], (uint32_t)v->s.gpr[X86_RCX], &r);
	v->s.gpr[X86_RAX] = r.eax;
	v->s.gpr[X86_RBX] = r.ebx;
	v->s.gpr[X86_RCX] = r.ecx;
	v->s.gpr[X86_RDX] = r.edx;
	return X86_OK;
}

int sp_SWAPGS(struct vcpu *v, const struct insn *in)
{
	uint64_t base = v->s.seg[X86_GS].base;

	if (!x86_is_64(v))
		return x86_ud(v);
	if (cpl0_check(v))
		return X86_FAULT;
	v->s.seg[X86_GS].base = v->s.kernel_gs_base;
	v->s.kernel_gs_base = base;
	return X86_OK;
}

/* F3 0F AE /0-/3: register forms RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE. */
static enum x86_sreg base_seg(const struct insn *in)
{
	return (in->modrm >> 3 & 1) ? X86_GS : X86_FS;
}

int sp_RDFSGSBASE(struct vcpu *v, const struct insn *in)
{
	if (!x86_is_64(v) || !(v->s.cr4 & X86_CR4_FSGSBASE))
		return x86_ud(v);
	gpr_set(v, in, in->rm, (in->rex & 8) ? 8 : 4, v->s.seg[base_seg(in)].base);
	return X86_OK;
}

int sp_WRFSGSBASE(struct vcpu *v, const struct insn *in)
{
	uint64_t val = gpr_get(v, in, in->rm, (in->rex & 8) ? 8 : 4);

	if (!x86_is_64(v) || !(v->s.cr4 & X86_CR4_FSGSBASE))
		return x86_ud(v);
	if (!x86_canonical(val))
		return x86_gp0(v);
	v->s.seg[base_seg(in)].base = val;
	return X86_OK;
}

int sp_XGETBV(struct vcpu *v, const struct insn *in)
{
	uint32_t index = (uint32_t)v->s.gpr[X86_RCX];

	if (!(v->s.cr4 & X86_CR4_OSXSAVE))
		return x86_ud(v);
	/* Index 1: XCR0 & XINUSE; reporting a component in use is always allowed. */
	if (index > 1 || (index == 1 && v->model && !cpu_model_has(v->model, X86_FEAT_XGETBV1)))
		return x86_gp0(v);
	set_edx_eax(v, v->s.xcr0);
	return X86_OK;
}

int sp_XSETBV(struct vcpu *v, const struct insn *in)
{
	uint64_t val = (uint32_t)v->s.gpr[X86_RAX] | v->s.gpr[X86_RDX] << 32;

	if (!(v->s.cr4 & X86_CR4_OSXSAVE))
		return x86_ud(v);
	if (cpl0_check(v))
		return X86_FAULT;
	return x86_set_xcr(v, (uint32_t)v->s.gpr[X86_RCX], val);
}

/* No model offers MONITOR: the engine's feature check comes first, these are its backstop. */
int sp_MONITOR(struct vcpu *v, const struct insn *in)
{
	return x86_ud(v);
}

int sp_MWAIT(struct vcpu *v, const struct insn *in)
{
	return x86_ud(v);
}

int sp_SERIALIZE(struct vcpu *v, const struct insn *in)
{
	return X86_OK;
}
