/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model-specific registers: a table of ranges whose rows are data, and the few with behaviour.
 * Intel SDM vol. 4, table 2-2 (architectural MSRs), vol. 3, 12.11 (MTRRs), 12.12 (PAT), 17.17
 * (TSC); AMD APM vol. 2, appendix A. A number that is in no row raises #GP(0).
 *
 * UNMODELLED: MTRRs and PAT are stored and checked but have no effect (all RAM is write-back);
 * performance counters, LBRs, BTS; machine-check banks (MCG_CAP says there are none); microcode
 * updates are accepted and ignored.
 */
#include "cpu/x86/internal.h"

enum msr_kind {
	MSR_VAL,   /* stored; bits outside `mask` raise #GP */
	MSR_CANON, /* stored; must be canonical */
	MSR_ENTRY, /* Intel: as MSR_CANON; AMD: has the lower half alone */
	MSR_CONST, /* reads `value`; writes raise #GP */
	MSR_SINK,  /* reads `value`; writes are ignored */
	MSR_CMD,   /* write-only; bits outside `mask` raise #GP */
	MSR_CODE,  /* read_code(), write_code() */
};

enum vendor { ANY, INTEL, AMD };

struct msr_row {
	uint32_t first, last;
	uint8_t kind, vendor, feat;
	uint16_t off; /* in struct x86_state; 8 bytes per register of the range */
	uint64_t mask, value;
};

#define ST(m) .off = offsetof(struct x86_state, m)

enum {
	IA32_TSC = 0x10,
	IA32_APIC_BASE = 0x1b,
	IA32_FEATURE_CONTROL = 0x3a,
	IA32_TSC_ADJUST = 0x3b,
	IA32_SPEC_CTRL = 0x48,
	MSR_PLATFORM_INFO = 0xce,
	IA32_PERF_STATUS = 0x198,
	IA32_MISC_ENABLE = 0x1a0,
	MTRR_PHYSBASE0 = 0x200,
	MTRR_PHYSMASK7 = 0x20f,
	MTRR_FIX64K = 0x250,
	MTRR_FIX16K = 0x258,
	MTRR_FIX4K = 0x268,
	IA32_PAT = 0x277,
	MTRR_DEF_TYPE = 0x2ff,
	IA32_TSC_DEADLINE = 0x6e0,
	X2APIC_FIRST = 0x800,
	X2APIC_LAST = 0x8ff,
	IA32_EFER = 0xc0000080,
	IA32_FS_BASE = 0xc0000100,
	IA32_GS_BASE = 0xc0000101,
};

/* IA32_ARCH_CAPABILITIES: RDCL_NO, IBRS_ALL, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, IF_PSCHANGE_MC_NO,
 * TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO, ITS_NO. */
#define ARCH_CAP                                                                                   \
	(BIT(0) | BIT(1) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(13) | BIT(14) |        \
	 BIT(15) | BIT(20) | BIT(24) | BIT(26) | BIT(27) | BIT(62))

#define FT(name) .feat = X86_FEAT_##name

/* clang-format off */
static const struct msr_row rows[] = { /* ascending */
	{0x000, 0x001, MSR_SINK},                                     /* P5_MC_ADDR, P5_MC_TYPE */
	{IA32_TSC, IA32_TSC, MSR_CODE, FT(TSC)},
	{0x017, 0x017, MSR_CONST, INTEL},                             /* IA32_PLATFORM_ID */
	{IA32_APIC_BASE, IA32_APIC_BASE, MSR_CODE, FT(APIC)},
	{0x02a, 0x02a, MSR_SINK},                                     /* EBL_CR_POWERON */
	{0x034, 0x034, MSR_CONST, INTEL},                             /* MSR_SMI_COUNT */
	{IA32_FEATURE_CONTROL, IA32_FEATURE_CONTROL, MSR_CODE, INTEL},
	{IA32_TSC_ADJUST, IA32_TSC_ADJUST, MSR_CODE, FT(TSC_ADJUST)},
	{IA32_SPEC_CTRL, IA32_SPEC_CTRL, MSR_CODE, FT(SPEC_CTRL)},
	{0x049, 0x049, MSR_CMD, FT(SPEC_CTRL), .mask = 1},            /* IA32_PRED_CMD */
	{0x079, 0x079, MSR_SINK},                                     /* IA32_BIOS_UPDT_TRIG */
	{0x08b, 0x08b, MSR_VAL, ST(bios_sign_id), .mask = ~0ull},
	{0x0c1, 0x0c2, MSR_SINK},                                     /* PERFCTR0-1 of the P6 */
	{0x0cd, 0x0cd, MSR_CONST, INTEL, .value = 3},                 /* MSR_FSB_FREQ */
	{MSR_PLATFORM_INFO, MSR_PLATFORM_INFO, MSR_CODE, INTEL},
	{0x0e2, 0x0e2, MSR_SINK, INTEL},                              /* PKG_CST_CONFIG_CONTROL */
	{0x0fe, 0x0fe, MSR_CONST, FT(MTRR), .value = 0x508},          /* IA32_MTRRCAP: WC, fixed, 8 */
	{0x10a, 0x10a, MSR_CONST, FT(ARCH_CAP), .value = ARCH_CAP},
	{0x119, 0x119, MSR_SINK, INTEL},                              /* BBL_CR_CTL */
	{0x11e, 0x11e, MSR_CONST, INTEL, .value = 0xbe702111},        /* BBL_CR_CTL3: L2 present */
	{0x174, 0x174, MSR_VAL, FT(SEP), ST(sysenter_cs), .mask = ~0ull},
	{0x175, 0x175, MSR_ENTRY, FT(SEP), ST(sysenter_esp)},
	{0x176, 0x176, MSR_ENTRY, FT(SEP), ST(sysenter_eip)},
	{0x179, 0x179, MSR_CONST, FT(MCA)},                           /* IA32_MCG_CAP: no banks */
	{0x17a, 0x17a, MSR_VAL, FT(MCA), ST(mcg_status), .mask = 7},
	{0x186, 0x187, MSR_SINK},                                     /* PERFEVTSEL0-1 */
	{IA32_PERF_STATUS, IA32_PERF_STATUS, MSR_CODE, INTEL},
	{0x199, 0x19b, MSR_SINK, INTEL},                              /* PERF_CTL, CLOCK_MODULATION, THERM_INTERRUPT */
	{0x19c, 0x19c, MSR_SINK, INTEL},                              /* IA32_THERM_STATUS */
	{IA32_MISC_ENABLE, IA32_MISC_ENABLE, MSR_CODE, INTEL},
	{0x1a2, 0x1a2, MSR_CONST, INTEL, .value = 100 << 16},         /* TEMPERATURE_TARGET */
	{0x1ad, 0x1ad, MSR_CONST, INTEL},                             /* TURBO_RATIO_LIMIT */
	{0x1b0, 0x1b0, MSR_SINK, INTEL},                              /* ENERGY_PERF_BIAS */
	{0x1d9, 0x1d9, MSR_SINK},                                     /* IA32_DEBUGCTL */
	{0x1db, 0x1de, MSR_CONST},                                    /* LASTBRANCH/INT FROM/TO */
	{0x1fc, 0x1fc, MSR_SINK, INTEL},                              /* MSR_POWER_CTL */
	{MTRR_PHYSBASE0, MTRR_PHYSMASK7, MSR_CODE, FT(MTRR)},
	{MTRR_FIX64K, MTRR_FIX64K, MSR_CODE, FT(MTRR)},
	{MTRR_FIX16K, MTRR_FIX16K + 1, MSR_CODE, FT(MTRR)},
	{MTRR_FIX4K, MTRR_FIX4K + 7, MSR_CODE, FT(MTRR)},
	{IA32_PAT, IA32_PAT, MSR_CODE, FT(PAT)},
	{MTRR_DEF_TYPE, MTRR_DEF_TYPE, MSR_CODE, FT(MTRR)},
	{0x606, 0x606, MSR_CONST, INTEL},                             /* RAPL_POWER_UNIT */
	{0x611, 0x611, MSR_CONST, INTEL},                             /* PKG_ENERGY_STATUS */
	{0x619, 0x619, MSR_CONST, INTEL},                             /* DRAM_ENERGY_STATUS */
	{0x639, 0x639, MSR_CONST, INTEL},                             /* PP0_ENERGY_STATUS */
	{0x641, 0x641, MSR_CONST, INTEL},                             /* PP1_ENERGY_STATUS */
	{IA32_TSC_DEADLINE, IA32_TSC_DEADLINE, MSR_CODE, FT(TSC_DEADLINE)},
	{X2APIC_FIRST, X2APIC_LAST, MSR_CODE, FT(X2APIC)},
	{0xda0, 0xda0, MSR_VAL, FT(XSAVES), ST(xss), .mask = 0},
	{IA32_EFER, IA32_EFER, MSR_CODE},
	{0xc0000081, 0xc0000081, MSR_VAL, FT(SYSCALL), ST(star), .mask = ~0ull},
	{0xc0000082, 0xc0000082, MSR_CANON, FT(LM), ST(lstar)},
	{0xc0000083, 0xc0000083, MSR_CANON, FT(LM), ST(cstar)},
	{0xc0000084, 0xc0000084, MSR_VAL, FT(SYSCALL), ST(sfmask), .mask = 0xffffffff},
	{IA32_FS_BASE, IA32_FS_BASE, MSR_CODE, FT(LM)},
	{IA32_GS_BASE, IA32_GS_BASE, MSR_CODE, FT(LM)},
	{0xc0000102, 0xc0000102, MSR_CANON, FT(LM), ST(kernel_gs_base)},
	{0xc0000103, 0xc0000103, MSR_VAL, FT(RDTSCP), ST(tsc_aux), .mask = 0xffffffff},
	{0xc0010010, 0xc0010010, MSR_SINK, AMD},                      /* SYS_CFG */
	{0xc0010015, 0xc0010015, MSR_SINK, AMD, .value = BIT(24)},    /* HWCR: TSC at P0 frequency */
	{0xc001001f, 0xc001001f, MSR_SINK, AMD},                      /* NB_CFG */
	{0xc0010055, 0xc0010055, MSR_SINK, AMD},                      /* INT_PENDING */
	{0xc0010058, 0xc0010058, MSR_CONST, AMD},                     /* MMIO_CONF_BASE */
	{0xc0010112, 0xc0010113, MSR_SINK, AMD},                      /* TSEG base, mask */
	{0xc0010114, 0xc0010114, MSR_CONST, AMD, .value = 0x10},      /* VM_CR: SVM disabled */
	{0xc0010140, 0xc0010141, MSR_CONST, AMD},                     /* OSVW */
	{0xc0011020, 0xc0011023, MSR_SINK, AMD},                      /* LS, IC, DC, BU configuration */
	{0xc0011029, 0xc0011029, MSR_SINK, AMD, .value = BIT(1)},     /* DE_CFG: LFENCE serializes */
};
/* clang-format on */

static const struct msr_row *row_find(const struct vcpu *v, uint32_t msr)
{
	const struct msr_row *r = rows;

	/* The last row that does not begin behind it. */
	for (size_t n = ARRAY_SIZE(rows); n > 1; n -= n / 2)
		if (r[n / 2].first <= msr)
			r += n / 2;
	if (msr < r->first || msr > r->last)
		return NULL;
	if (r->vendor && (r->vendor == AMD) != x86_is_amd(v))
		return NULL;
	return !v->model || cpu_model_has(v->model, r->feat) ? r : NULL;
}

static uint64_t *row_reg(struct vcpu *v, const struct msr_row *r, uint32_t msr)
{
	return (uint64_t *)(void *)((uint8_t *)&v->s + r->off) + (msr - r->first);
}

static uint64_t base_ratio(const struct vcpu *v)
{
	return (v->clock ? clock_tsc_hz(v->clock) : NS_PER_SEC) / 100000000;
}

static uint64_t *mtrr_fixed(struct vcpu *v, uint32_t msr)
{
	unsigned n = msr == MTRR_FIX64K ? 0
		     : msr < MTRR_FIX4K ? 1 + msr - MTRR_FIX16K
					: 3 + msr - MTRR_FIX4K;

	return &v->s.mtrr_fixed[n];
}

static uint64_t *mtrr_var(struct vcpu *v, uint32_t msr)
{
	struct x86_mtrr *m = &v->s.mtrr_var[(msr - MTRR_PHYSBASE0) / 2];

	return (msr & 1) ? &m->mask : &m->base;
}

static int read_code(struct vcpu *v, uint32_t msr, uint64_t *ret)
{
	if (msr >= X2APIC_FIRST && msr <= X2APIC_LAST)
		return lapic_msr_read(v, msr, ret);
	if (msr >= MTRR_PHYSBASE0 && msr <= MTRR_PHYSMASK7) {
		*ret = *mtrr_var(v, msr);
		return X86_OK;
	}
	if (msr >= MTRR_FIX64K && msr < IA32_PAT) {
		*ret = *mtrr_fixed(v, msr);
		return X86_OK;
	}
	switch (msr) {
	case IA32_TSC: *ret = x86_tsc(v); break;
	case IA32_APIC_BASE: *ret = v->s.lapic.base; break;
	case IA32_FEATURE_CONTROL: *ret = v->s.feature_control; break;
	case IA32_TSC_ADJUST: *ret = v->s.tsc_adjust; break;
	case IA32_SPEC_CTRL: *ret = v->s.spec_ctrl; break;
	case MSR_PLATFORM_INFO: *ret = base_ratio(v) << 8; break;
	case IA32_PERF_STATUS: *ret = base_ratio(v) << 8; break;
	case IA32_MISC_ENABLE: *ret = v->s.misc_enable; break;
	case IA32_PAT: *ret = v->s.pat; break;
	case MTRR_DEF_TYPE: *ret = v->s.mtrr_def_type; break;
	case IA32_TSC_DEADLINE: *ret = v->s.lapic.tsc_deadline; break;
	case IA32_EFER: *ret = v->s.efer; break;
	case IA32_FS_BASE: *ret = v->s.seg[X86_FS].base; break;
	case IA32_GS_BASE: *ret = v->s.seg[X86_GS].base; break;
	default: return x86_gp0(v);
	}
	return X86_OK;
}

/* Every byte of @val one of the memory types in @types (bit mask). */
static bool types_ok(uint64_t val, unsigned bytes, uint32_t types)
{
	for (unsigned i = 0; i < bytes; i++) {
		unsigned t = (val >> i * 8) & 0xff;

		if (t > 7 || !(types >> t & 1))
			return false;
	}
	return true;
}

#define MTRR_TYPES 0x73 /* UC, WC, WT, WP, WB: SDM vol. 3, table 12-8 */
#define PAT_TYPES  0xf3 /* and UC-: table 12-10 */

static int write_mtrr(struct vcpu *v, uint32_t msr, uint64_t val)
{
	unsigned bits = v->model ? v->model->phys_bits : 46;

	if (msr == MTRR_DEF_TYPE) {
		if ((val & ~0xcffull) || !types_ok(val, 1, MTRR_TYPES))
			return x86_gp0(v);
		v->s.mtrr_def_type = val;
		return X86_OK;
	}
	if (msr >= MTRR_FIX64K) {
		if (!types_ok(val, 8, MTRR_TYPES))
			return x86_gp0(v);
		*mtrr_fixed(v, msr) = val;
		return X86_OK;
	}
	if (val >> bits || (val & ((msr & 1) ? 0x7ff : 0xf00)) ||
	    (!(msr & 1) && !types_ok(val, 1, MTRR_TYPES)))
		return x86_gp0(v);
	*mtrr_var(v, msr) = val;
	return X86_OK;
}

static void write_tsc(struct vcpu *v, uint64_t adjust)
{
	v->s.tsc_adjust = adjust;
	lapic_tsc_changed(v);
}

static void write_misc_enable(struct vcpu *v, uint64_t val)
{
	/* Fast strings, TCC, SpeedStep, limit CPUID, xTPR, XD disable; BTS and PEBS unavailable. */
	const uint64_t writable = BIT(0) | BIT(3) | BIT(16) | BIT(22) | BIT(23) | BIT(34);

	v->s.misc_enable = (val & writable) | BIT(11) | BIT(12);
}

/* IBRS, STIBP, SSBD; BHI_DIS_S. */
static int write_spec_ctrl(struct vcpu *v, uint64_t val)
{
	uint64_t bhi = !v->model || cpu_model_has(v->model, X86_FEAT_BHI_CTRL) ? BIT(10) : 0;

	if (val & ~(7 | bhi))
		return x86_gp0(v);
	v->s.spec_ctrl = val;
	return X86_OK;
}

static int write_base(struct vcpu *v, enum x86_sreg seg, uint64_t val)
{
	if (!x86_canonical(val))
		return x86_gp0(v);
	v->s.seg[seg].base = val;
	return X86_OK;
}

static int write_code(struct vcpu *v, uint32_t msr, uint64_t val)
{
	if (msr >= X2APIC_FIRST && msr <= X2APIC_LAST)
		return lapic_msr_write(v, msr, val);
	if ((msr >= MTRR_PHYSBASE0 && msr < IA32_PAT) || msr == MTRR_DEF_TYPE)
		return write_mtrr(v, msr, val);
	switch (msr) {
	case IA32_TSC: write_tsc(v, v->s.tsc_adjust + val - x86_tsc(v)); break;
	case IA32_APIC_BASE: return lapic_set_base(v, val);
	case IA32_FEATURE_CONTROL: return x86_gp0(v); /* locked at reset */
	case IA32_TSC_ADJUST: write_tsc(v, val); break;
	case IA32_SPEC_CTRL: return write_spec_ctrl(v, val);
	case MSR_PLATFORM_INFO: break;
	case IA32_MISC_ENABLE: write_misc_enable(v, val); break;
	case IA32_PAT:
		if (!types_ok(val, 8, PAT_TYPES))
			return x86_gp0(v);
		v->s.pat = val;
		break;
	case IA32_TSC_DEADLINE: return lapic_set_deadline(v, val);
	case IA32_EFER: return x86_set_efer(v, val);
	case IA32_FS_BASE: return write_base(v, X86_FS, val);
	case IA32_GS_BASE: return write_base(v, X86_GS, val);
	default: return x86_gp0(v);
	}
	return X86_OK;
}

int x86_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *ret_val)
{
	const struct msr_row *r = row_find(v, msr);

	if (!r)
		return x86_gp0(v);
	switch ((enum msr_kind)r->kind) {
	case MSR_VAL:
	case MSR_CANON:
	case MSR_ENTRY: *ret_val = *row_reg(v, r, msr); return X86_OK;
	case MSR_CONST:
	case MSR_SINK: *ret_val = r->value; return X86_OK;
	case MSR_CODE: return read_code(v, msr, ret_val);
	case MSR_CMD: break;
	}
	return x86_gp0(v);
}

int x86_wrmsr(struct vcpu *v, uint32_t msr, uint64_t val)
{
	const struct msr_row *r = row_find(v, msr);

	if (!r)
		return x86_gp0(v);
	switch ((enum msr_kind)r->kind) {
	case MSR_VAL:
		if (val & ~r->mask)
			break;
		*row_reg(v, r, msr) = val;
		return X86_OK;
	case MSR_ENTRY:
	case MSR_CANON:
		/* AMD's SYSENTER is for legacy mode only. */
		if (r->kind == MSR_ENTRY && x86_is_amd(v))
			val = (uint32_t)val;
		if (!x86_canonical(val))
			break;
		*row_reg(v, r, msr) = val;
		return X86_OK;
	case MSR_CMD: return val & ~r->mask ? x86_gp0(v) : X86_OK;
	case MSR_SINK: return X86_OK;
	case MSR_CODE: return write_code(v, msr, val);
	case MSR_CONST: break;
	}
	return x86_gp0(v);
}
