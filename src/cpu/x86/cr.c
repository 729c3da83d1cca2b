/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control registers, EFER, XCR0 and debug registers: what may be written and what follows from it.
 * Intel SDM vol. 3, 2.5, 2.6, 4.1.1-4.1.2 (paging modes and transitions), 10.8.5 (long mode), 17.2
 * (debug registers); vol. 1, 13.3 (XCR0).
 */
#include "cpu/x86/internal.h"

static bool has(const struct vcpu *v, unsigned feat)
{
	return !v->model || cpu_model_has(v->model, feat);
}

#define CR0_WRITABLE                                                                               \
	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_NE | X86_CR0_WP |             \
	 X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)
#define CR4_ALL                                                                                    \
	(X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE | X86_CR4_PAE |        \
	 X86_CR4_MCE | X86_CR4_PGE | X86_CR4_PCE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT |           \
	 X86_CR4_UMIP | X86_CR4_FSGSBASE | X86_CR4_PCIDE | X86_CR4_OSXSAVE | X86_CR4_SMEP |        \
	 X86_CR4_SMAP)

int x86_set_cr0(struct vcpu *v, uint64_t val)
{
	uint64_t old = v->s.cr0, changed;
	bool pg, lme = v->s.efer & X86_EFER_LME;

	if (val >> 32)
		return x86_gp0(v);
	/* Reserved bits keep reading as 0; ET is wired to 1: SDM vol. 3, 2.5. */
	val = (val & CR0_WRITABLE) | X86_CR0_ET;
	pg = val & X86_CR0_PG;
	changed = val ^ old;
	if ((pg && !(val & X86_CR0_PE)) || ((val & X86_CR0_NW) && !(val & X86_CR0_CD)))
		return x86_gp0(v);
	if ((changed & X86_CR0_PG) && pg) {
		if (lme && (!(v->s.cr4 & X86_CR4_PAE) || (v->s.seg[X86_CS].attr & X86_ATTR_L)))
			return x86_gp0(v);
	}
	if ((changed & X86_CR0_PG) && !pg && (x86_is_64(v) || (v->s.cr4 & X86_CR4_PCIDE)))
		return x86_gp0(v);
	if (pg && !lme && (v->s.cr4 & X86_CR4_PAE) &&
	    (changed & (X86_CR0_PG | X86_CR0_CD | X86_CR0_NW)) &&
	    x86_load_pdptes(v, v->s.cr3, val, v->s.cr4))
		return X86_FAULT;
	v->s.cr0 = val;
	if (changed & X86_CR0_PG) {
		v->s.efer &= ~(uint64_t)X86_EFER_LMA;
		if (pg && lme)
			v->s.efer |= X86_EFER_LMA;
	}
	if (changed & (X86_CR0_PG | X86_CR0_PE | X86_CR0_WP))
		x86_tlb_flush(v);
	x86_update_mode(v);
	return X86_OK;
}

int x86_set_cr4(struct vcpu *v, uint64_t val)
{
	uint64_t allowed = v->model ? v->model->cr4_mask : CR4_ALL;
	uint64_t changed = val ^ v->s.cr4;
	const uint64_t paging = X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_SMEP;

	if (val & ~allowed)
		return x86_gp0(v);
	if (x86_lma(v) && !(val & X86_CR4_PAE))
		return x86_gp0(v);
	if ((changed & val & X86_CR4_PCIDE) && (!x86_lma(v) || (v->s.cr3 & 0xfff)))
		return x86_gp0(v);
	if ((changed & paging) && x86_load_pdptes(v, v->s.cr3, v->s.cr0, val))
		return X86_FAULT;
	v->s.cr4 = val;
	if (changed & (paging | X86_CR4_PCIDE | X86_CR4_SMAP))
		x86_tlb_flush(v);
	x86_update_mode(v);
	return X86_OK;
}

int x86_set_efer(struct vcpu *v, uint64_t val)
{
	uint64_t allowed = X86_EFER_LMA, changed;

	if (has(v, X86_FEAT_SYSCALL))
		allowed |= X86_EFER_SCE;
	if (has(v, X86_FEAT_LM))
		allowed |= X86_EFER_LME;
	if (has(v, X86_FEAT_NX))
		allowed |= X86_EFER_NXE;
	if (x86_is_amd(v) && has(v, X86_FEAT_AUTO_IBRS))
		allowed |= X86_EFER_AIBRSE;
	if (val & ~allowed)
		return x86_gp0(v);
	/* Intel ignores what is written to LMA; AMD wants it as it is: APM vol. 2, 3.1.7. */
	if (x86_is_amd(v) && (val ^ v->s.efer) & X86_EFER_LMA)
		return x86_gp0(v);
	changed = val ^ v->s.efer;
	if ((changed & X86_EFER_LME) && (v->s.cr0 & X86_CR0_PG))
		return x86_gp0(v);
	/* LMA is read-only. */
	v->s.efer = (val & ~(uint64_t)X86_EFER_LMA) | (v->s.efer & X86_EFER_LMA);
	if (changed & X86_EFER_NXE)
		x86_tlb_flush(v);
	x86_update_mode(v);
	return X86_OK;
}

int x86_set_xcr(struct vcpu *v, uint32_t index, uint64_t val)
{
	uint64_t allowed = v->model ? v->model->xcr0_mask : 7;

	if (index != 0 || !(val & 1) || (val & ~allowed) || (val & 6) == 4)
		return x86_gp0(v);
	v->s.xcr0 = val;
	return X86_OK;
}

/* ---- debug registers; CPL and CR4.DE aliases are checked here, #UD for DR4/5 with DE ---- */

#define DR7_GD BIT(13)
#define DR6_BD (1u << 13)

static int dr_check(struct vcpu *v, unsigned *n)
{
	if (*n == 4 || *n == 5) {
		if (v->s.cr4 & X86_CR4_DE)
			return x86_ud(v);
		*n += 2;
	}
	if (*n > 7)
		return x86_ud(v);
	if (v->s.dr7 & DR7_GD) {
		(void)x86_raise(v, X86_DB);
		v->exc.dr6 = DR6_BD;
		return X86_FAULT;
	}
	return X86_OK;
}

int x86_get_dr(struct vcpu *v, unsigned n, uint64_t *ret_val)
{
	if (dr_check(v, &n))
		return X86_FAULT;
	*ret_val = n < 4 ? v->s.dr[n] : n == 6 ? v->s.dr6 : v->s.dr7;
	return X86_OK;
}

int x86_set_dr(struct vcpu *v, unsigned n, uint64_t val)
{
	bool watched;

	if (dr_check(v, &n))
		return X86_FAULT;
	if (n >= 6 && val >> 32)
		return x86_gp0(v);
	watched = x86_dr_data_active(v);
	if (n < 4)
		v->s.dr[n] = val;
	else if (n == 6)
		v->s.dr6 = (val & 0xe00f) | 0xffff0ff0;
	else
		v->s.dr7 = (val & 0xffff23ff) | 0x400;
	if (watched || x86_dr_data_active(v))
		x86_tlb_flush(v);
	return X86_OK;
}
