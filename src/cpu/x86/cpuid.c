/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPU models (cpu/x86/cpuid.h). Intel SDM vol. 2, CPUID; vol. 1, 13.2 (leaf 0Dh); vol. 3, 9.9.1
 * (topology); AMD APM vol. 3, appendix E; x86-64 psABI, "micro-architecture levels" (v2, v3).
 *
 * A model is a list of features on top of another model, a signature and a size of the address
 * space. What a guest gets is the list, minus instructions that the host lacks (they run on the
 * host's own units), minus what no engine does, minus what the model's vendor has not. "max" lists
 * everything and is of the host's vendor ("max-intel" and "max-amd": on every host), but has the
 * signature of the newest processor whose whole instruction set is offered: programs pick code by
 * signature alone (gcc's target_clones("arch=sapphirerapids") does), so the host's own would
 * promise AVX-512.
 *
 * Mitigations: the model says RDCL_NO, MDS_NO and so on, and enhanced IBRS: a guest of this machine
 * gains nothing from page-table isolation or retpolines, because what it could leak speculatively
 * is decided by the engine on the host, not by its own code sequences. AMD's way to say so is in
 * leaves 8000_0008h and 8000_0021h: BTC_NO (retbleed), SSB_NO, SRSO_NO, TSA_SQ_NO, TSA_L1_NO,
 * automatic IBRS. It has no IA32_ARCH_CAPABILITIES, and there are systems that do not start where
 * an AMD processor says it had.
 */
#include "cpu/x86/cpuid.h"

#include "base/bits.h"
#include "cpu/x86/lapic.h"

#include <cpuid.h>
#include <errno.h>

enum reg { EAX, EBX, ECX, EDX };

static const struct feat_row {
	uint32_t leaf, sub;
	uint8_t reg, bit;
	const char *name;
} feat_rows[X86_FEAT_COUNT] = {
#define F(name_, leaf_, sub_, reg_, bit_)                                                          \
	[X86_FEAT_##name_] = {.leaf = leaf_, .sub = sub_, .reg = reg_, .bit = bit_, .name = #name_},
	X86_FEATURES(F)
#undef F
};

#define FT(name) X86_FEAT_##name

/* Instructions that run on the host's units, and x87 behaviour that is the host's. */
static const uint8_t host_features[] = {
	FT(CMOV),   FT(MMX),       FT(FXSR),       FT(SSE),  FT(SSE2),         FT(SSE3),
	FT(PCLMUL), FT(SSSE3),     FT(FMA),        FT(CX16), FT(SSE41),        FT(SSE42),
	FT(MOVBE),  FT(POPCNT),    FT(AES),        FT(AVX),  FT(F16C),         FT(RDRAND),
	FT(BMI1),   FT(AVX2),      FT(FDP_EXCPTN), FT(BMI2), FT(ZERO_FCS_FDS), FT(RDSEED),
	FT(ADX),    FT(SHA),       FT(GFNI),       FT(VAES), FT(VPCLMUL),      FT(LAHF64),
	FT(LZCNT),  FT(PREFETCHW), FT(XSAVE),
};

/* Decoded perhaps, but no engine does them. HTT and OSXSAVE are derived. */
static const uint8_t never_features[] = {FT(MONITOR), FT(HTT), FT(OSXSAVE)};

/* What only one vendor's processors say. SS: self-snooping of caches. */
static const uint8_t intel_features[] = {FT(ARCH_CAP), FT(MD_CLEAR),   FT(BHI_CTRL),    FT(MCDT_NO),
					 FT(SS),       FT(FDP_EXCPTN), FT(ZERO_FCS_FDS)};
static const uint8_t amd_features[] = {
	FT(TOPOEXT),   FT(XSAVEERPTR), FT(MMXEXT),  FT(SSB_NO),    FT(BTC_NO),    FT(LFENCE_SER),
	FT(NULL_BASE), FT(AUTO_IBRS),  FT(SRSO_NO), FT(TSA_SQ_NO), FT(TSA_L1_NO),
};

/* What AMD says elsewhere, in EBX of leaf 8000_0008h: IBPB (of return addresses,
 * too) and IBRS, STIBP, SSBD. */
static const struct {
	uint8_t feat;
	uint32_t ebx;
} amd_places[] = {
	{FT(SPEC_CTRL), BIT(12) | BIT(14) | BIT(30)},
	{FT(STIBP), BIT(15)},
	{FT(SSBD), BIT(24)},
};

/* Needs: second column must be there for the first to be. */
static const uint8_t needs[][2] = {
	{FT(AVX), FT(XSAVE)},      {FT(AVX2), FT(AVX)},     {FT(FMA), FT(AVX)},
	{FT(F16C), FT(AVX)},       {FT(VAES), FT(AVX)},     {FT(VPCLMUL), FT(AVX)},
	{FT(XSAVEOPT), FT(XSAVE)}, {FT(XSAVEC), FT(XSAVE)}, {FT(XSAVES), FT(XSAVEC)},
	{FT(XGETBV1), FT(XSAVE)},  {FT(X2APIC), FT(APIC)},  {FT(TSC_DEADLINE), FT(APIC)},
};

#define MODEL_FEATS 40
#define MAX_SIG     0xffffffffu
/* 40 bits are believed of an AMD processor: Opterons had as many. */
#define AMD_PHYS_BITS 39u

enum vendor { INTEL, AMD, HOST };

struct model_desc {
	const char *name, *parent;
	uint32_t signature; /* CPUID.1 EAX; MAX_SIG: max_signature() */
	uint32_t max_basic, max_ext;
	/* Of the 64-bit models 40 (AMD_PHYS_BITS): all a guest needs here, and what EDK2 takes for
	 * "a virtual machine that doesn't know": with more its 32-bit stage maps a whole TiB with
	 * 2 MiB pages, which takes ten times as long as the rest of its work, and PCI's window
	 * above 4 GiB is not where our ACPI tables have it. */
	uint8_t phys_bits;
	bool all; /* everything host and engines do */
	uint8_t vendor;
	uint8_t feats[MODEL_FEATS]; /* ends with X86_FEAT_NONE */
};

/* clang-format off */
static const struct model_desc models[] = {
	{"max", NULL, MAX_SIG, 0x16, 0x80000008, 40, .all = true, .vendor = HOST},
	{"max-intel", NULL, MAX_SIG, 0x16, 0x80000008, 40, .all = true},
	{"max-amd", NULL, MAX_SIG, 0x16, 0x80000008, 40, .all = true, .vendor = AMD},
	{"i486", NULL, 0x480, 1, 0, 32, .feats = {FT(FPU), FT(VME), FT(PSE)}},
	{"pentium", "i486", 0x543, 1, 0, 32,
	 .feats = {FT(DE), FT(TSC), FT(MSR), FT(MCE), FT(CX8), FT(APIC), FT(MMX)}},
	{"pentium2", "pentium", 0x652, 2, 0, 36,
	 .feats = {FT(PAE), FT(SEP), FT(MTRR), FT(PGE), FT(MCA), FT(CMOV), FT(PAT), FT(PSE36), FT(FXSR)}},
	{"pentium3", "pentium2", 0x673, 2, 0, 36, .feats = {FT(SSE)}},
	{"base", "pentium3", 0x60fb1, 0x16, 0x80000008, 40,
	 .feats = {FT(SSE2), FT(CLFSH), FT(SYSCALL), FT(NX), FT(LM), FT(HYPERVISOR), FT(X2APIC),
		   FT(TSC_DEADLINE), FT(TSC_ADJUST), FT(INV_TSC), FT(ARCH_CAP), FT(RDTSCP)}},
	{"core2duo", "base", 0x10676, 0x16, 0x80000008, 40,
	 .feats = {FT(SSE3), FT(SSSE3), FT(CX16), FT(LAHF64), FT(SSE41), FT(SS)}},
	{"nehalem", "core2duo", 0x106a5, 0x16, 0x80000008, 40, .feats = {FT(SSE42), FT(POPCNT)}},
	{"x86-64-v2", "base", 0x106a5, 0x16, 0x80000008, 40,
	 .feats = {FT(SSE3), FT(SSSE3), FT(CX16), FT(LAHF64), FT(SSE41), FT(SSE42), FT(POPCNT)}},
	{"x86-64-v3", "x86-64-v2", 0x306c1, 0x16, 0x80000008, 40,
	 .feats = {FT(XSAVE), FT(AVX), FT(AVX2), FT(BMI1), FT(BMI2), FT(F16C), FT(FMA), FT(LZCNT),
		   FT(MOVBE), FT(PCID), FT(SMEP), FT(FSGSBASE), FT(PDPE1GB), FT(ERMS), FT(INVPCID)}},
};

static const char *const model_names[] = {
	"max", "max-intel", "max-amd", "base", "x86-64-v2", "x86-64-v3", "nehalem", "core2duo", "pentium3", "pentium2",
	"pentium", "i486", NULL,
};
/* clang-format on */

const char *const *cpu_model_names(void)
{
	return model_names;
}

/* ---- feature sets ---- */

struct feat_set {
	uint64_t w[2];
};

static bool set_has(const struct feat_set *s, unsigned f)
{
	return s->w[f / 64] >> (f % 64) & 1;
}

static void set_add(struct feat_set *s, unsigned f)
{
	s->w[f / 64] |= BIT(f % 64);
}

static void set_del(struct feat_set *s, unsigned f)
{
	s->w[f / 64] &= ~BIT(f % 64);
}

_Static_assert(X86_FEAT_COUNT <= 128, "feature set is two words");

static bool host_has(const struct feat_row *row)
{
	uint32_t r[4] = {0};

	if (!__get_cpuid_count(row->leaf, row->sub, &r[EAX], &r[EBX], &r[ECX], &r[EDX]))
		return false;
	return r[row->reg] >> row->bit & 1;
}

/* AVX state enabled by the host's kernel? */
static bool host_avx_state(void)
{
	uint32_t a, b, c, d, lo, hi;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1))
		return false;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (lo & 6) == 6;
}

static const struct model_desc *model_find(const char *name)
{
	for (unsigned i = 0; name && i < ARRAY_SIZE(models); i++)
		if (!strcmp(models[i].name, name))
			return &models[i];
	return NULL;
}

/* Of AMD's make, or of Hygon's, which makes AMD's Zen. */
static bool host_amd(void)
{
	uint32_t a, b, c, d;

	return __get_cpuid(0, &a, &b, &c, &d) && (b == 0x68747541 || b == 0x6f677948);
}

static void set_del_all(struct feat_set *s, const uint8_t *feats, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		set_del(s, feats[i]);
}

static void model_features(const struct model_desc *d, bool amd, struct feat_set *s)
{
	bool host_avx = host_avx_state();

	*s = (struct feat_set){{0, 0}};
	if (d->all)
		for (unsigned f = X86_FEAT_NONE + 1; f < X86_FEAT_NEVER; f++)
			set_add(s, f);
	for (const struct model_desc *m = d; m; m = model_find(m->parent))
		for (unsigned i = 0; i < MODEL_FEATS && m->feats[i]; i++)
			set_add(s, m->feats[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(host_features); i++)
		if (!host_has(&feat_rows[host_features[i]]))
			set_del(s, host_features[i]);
	if (!host_avx)
		set_del(s, FT(AVX));
	set_del_all(s, never_features, ARRAY_SIZE(never_features));
	if (amd)
		set_del_all(s, intel_features, ARRAY_SIZE(intel_features));
	else
		set_del_all(s, amd_features, ARRAY_SIZE(amd_features));
	for (unsigned turn = 0; turn < 3; turn++)
		for (unsigned i = 0; i < ARRAY_SIZE(needs); i++)
			if (!set_has(s, needs[i][1]))
				set_del(s, needs[i][0]);
}

/* ---- leaves ---- */

static struct cpuid_regs *leaf_add(struct cpu_model *m, uint32_t leaf, uint32_t sub, bool has_sub)
{
	check(m->n < CPUID_LEAVES);
	m->leaf[m->n].leaf = leaf;
	m->leaf[m->n].sub = sub;
	m->leaf[m->n].has_sub = has_sub;
	return &m->leaf[m->n++].r;
}

static struct cpuid_regs *leaf_find(struct cpu_model *m, uint32_t leaf, uint32_t sub)
{
	for (unsigned i = 0; i < m->n; i++)
		if (m->leaf[i].leaf == leaf && (!m->leaf[i].has_sub || m->leaf[i].sub == sub))
			return &m->leaf[i].r;
	return NULL;
}

static uint32_t *reg_of(struct cpuid_regs *r, unsigned reg)
{
	uint32_t *const regs[] = {&r->eax, &r->ebx, &r->ecx, &r->edx};

	return regs[reg];
}

static unsigned log2_up(unsigned n)
{
	unsigned bits = 0;

	while ((1u << bits) < n)
		bits++;
	return bits;
}

static void add_vendor(struct cpu_model *m, const struct model_desc *d)
{
	struct cpuid_regs *r = leaf_add(m, 0, 0, false);

	*r = (struct cpuid_regs){d->max_basic, 0x756e6547, 0x6c65746e, 0x49656e69}; /* Intel */
	if (m->amd) /* "AuthenticAMD" */
		*r = (struct cpuid_regs){d->max_basic, 0x68747541, 0x444d4163, 0x69746e65};
}

/* Broadwell-EP or Zen 2 where AVX2 is there, else Nehalem or K10. */
static uint32_t max_signature(const struct cpu_model *m)
{
	bool avx2 = host_avx_state() && host_has(&feat_rows[X86_FEAT_AVX2]);

	if (m->amd)
		return avx2 ? 0x00830f10 : 0x00100f42;
	return avx2 ? 0x000406f1 : 0x000106a5;
}

static void add_basic(struct cpu_model *m, const struct model_desc *d)
{
	struct cpuid_regs *r = leaf_add(m, 1, 0, false);

	r->eax = d->signature == MAX_SIG ? max_signature(m) : d->signature;
	r->ebx = 8 << 8 | m->n_cpus << 16; /* CLFLUSH line 64 bytes */
	if (d->max_basic >= 2 && !m->amd) {
		r = leaf_add(m, 2, 0, false);
		/* Descriptor FFh: see leaf 4. A processor without that leaf names its TLBs and
		 * caches here (16 KiB L1s, 512 KiB L2: vol. 2, table 3-12). */
		if (d->max_basic >= 4)
			*r = (struct cpuid_regs){0x00ff0001, 0, 0, 0};
		else
			*r = (struct cpuid_regs){0x03020101, 0, 0, 0x0c040843};
	}
}

/* Deterministic cache parameters: type, level, size, ways, sets, shared by all CPUs? AMD's leaf is
 * the same but for the number of cores. */
static void add_caches(struct cpu_model *m)
{
	static const struct {
		uint8_t type, level, ways;
		uint16_t sets;
		bool shared;
	} row[] = {
		{1, 1, 8, 64, false},    /* 32 KiB data */
		{2, 1, 8, 64, false},    /* 32 KiB code */
		{3, 2, 16, 1024, false}, /* 1 MiB */
		{3, 3, 16, 16384, true}, /* 16 MiB */
	};
	unsigned cores = (1u << log2_up(m->n_cpus)) - 1;
	struct cpuid_regs *r;

	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		r = leaf_add(m, m->amd ? 0x8000001d : 4, i, true);
		r->eax = row[i].type | row[i].level << 5 | 1 << 8 |
			 (row[i].shared ? cores : 0) << 14;
		if (!m->amd)
			r->eax |= MIN(cores, 63u) << 26;
		r->ebx = 63 | (row[i].ways - 1u) << 22;
		r->ecx = row[i].sets - 1u;
		r->edx = row[i].level == 3 ? 2 : 0; /* inclusive */
	}
}

static void add_topology(struct cpu_model *m)
{
	struct cpuid_regs *r = leaf_add(m, 0xb, 0, true);

	*r = (struct cpuid_regs){0, 1, 0 | 1 << 8, 0}; /* SMT: one thread a core */
	r = leaf_add(m, 0xb, 1, true);
	*r = (struct cpuid_regs){log2_up(m->n_cpus), m->n_cpus, 1 | 2 << 8, 0};
	r = leaf_add(m, 0xb, 2, true);
	*r = (struct cpuid_regs){0, 0, 2, 0};
}

static void add_xsave(struct cpu_model *m, const struct feat_set *s)
{
	bool avx = set_has(s, FT(AVX));
	struct cpuid_regs *r;

	m->xcr0_mask = avx ? 7 : 3;
	r = leaf_add(m, 0xd, 0, true);
	*r = (struct cpuid_regs){(uint32_t)m->xcr0_mask, 0, avx ? 832 : 576, 0};
	(void)leaf_add(m, 0xd, 1, true);
	if (avx) {
		r = leaf_add(m, 0xd, 2, true);
		*r = (struct cpuid_regs){256, 576, 0, 0};
	}
}

/* Leaf 15h: TSC = crystal * EBX / EAX. The ratio 2 lets a guest that multiplies in 32 bits get the
 * exact frequency. */
static void add_timing(struct cpu_model *m)
{
	struct cpuid_regs *r = leaf_add(m, 0x15, 0, false);
	uint32_t mhz = (uint32_t)((m->tsc_hz + 500000) / 1000000);

	*r = (struct cpuid_regs){1, 2, (uint32_t)(m->tsc_hz / 2), 0};
	r = leaf_add(m, 0x16, 0, false);
	*r = (struct cpuid_regs){mhz & 0xffff, mhz & 0xffff, 100, 0};
}

static void add_hypervisor(struct cpu_model *m)
{
	static const char sig[13] = "BothyBothy\0";
	struct cpuid_regs *r = leaf_add(m, 0x40000000, 0, false);

	r->eax = 0x40000010;
	r->ebx = ld_le32(sig);
	r->ecx = ld_le32(sig + 4);
	r->edx = ld_le32(sig + 8);
	r = leaf_add(m, 0x40000010, 0, false);
	r->eax = (uint32_t)(m->tsc_hz / 1000);
	r->ebx = (uint32_t)(m->tsc_hz / 2000);
}

#define AMD_MAX_EXT 0x80000021u

static void add_extended(struct cpu_model *m, const struct model_desc *d)
{
	static const char brand[48] = "Bothy virtual CPU";
	struct cpuid_regs *r = leaf_add(m, 0x80000000, 0, false);

	r->eax = m->amd ? MAX(d->max_ext, AMD_MAX_EXT) : d->max_ext;
	if (m->amd) {
		r->ebx = m->leaf[0].r.ebx;
		r->ecx = m->leaf[0].r.ecx;
		r->edx = m->leaf[0].r.edx;
	}
	(void)leaf_add(m, 0x80000001, 0, false);
	for (unsigned i = 0; i < 3; i++) {
		r = leaf_add(m, 0x80000002 + i, 0, false);
		memcpy(r, brand + i * 16, 16);
	}
	if (m->amd) {
		r = leaf_add(m, 0x80000005, 0, false);
		r->ecx = r->edx = 32u << 24 | 8 << 16 | 1 << 8 | 64; /* L1: 32 KiB, 8 ways */
	}
	r = leaf_add(m, 0x80000006, 0, false);
	r->ecx = 1024u << 16 | 8 << 12 | 64; /* L2: 1 MiB, 16 ways */
	if (m->amd) {                        /* one line a tag; L3: 16 MiB, 16 ways */
		r->ecx |= 1 << 8;
		r->edx = 32u << 18 | 8 << 12 | 1 << 8 | 64;
	}
	(void)leaf_add(m, 0x80000007, 0, false);
	r = leaf_add(m, 0x80000008, 0, false);
	r->eax = m->phys_bits | 48 << 8;
	if (m->amd) {
		r->ecx = (m->n_cpus - 1) | log2_up(m->n_cpus) << 12;
		add_caches(m);
		(void)leaf_add(m, 0x8000001e, 0, false);
		(void)leaf_add(m, AMD_MAX_EXT, 0, false);
	}
}

static uint64_t cr4_bits(const struct feat_set *s)
{
	static const struct {
		uint8_t feat;
		uint32_t bits;
	} row[] = {
		{FT(VME), X86_CR4_VME | X86_CR4_PVI},
		{FT(TSC), X86_CR4_TSD},
		{FT(DE), X86_CR4_DE},
		{FT(PSE), X86_CR4_PSE},
		{FT(PAE), X86_CR4_PAE},
		{FT(MCE), X86_CR4_MCE},
		{FT(PGE), X86_CR4_PGE},
		{FT(MMX), X86_CR4_PCE},
		{FT(FXSR), X86_CR4_OSFXSR},
		{FT(SSE), X86_CR4_OSXMMEXCPT},
		{FT(UMIP), X86_CR4_UMIP},
		{FT(FSGSBASE), X86_CR4_FSGSBASE},
		{FT(PCID), X86_CR4_PCIDE},
		{FT(XSAVE), X86_CR4_OSXSAVE},
		{FT(SMEP), X86_CR4_SMEP},
		{FT(SMAP), X86_CR4_SMAP},
	};
	uint64_t m = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(row); i++)
		if (set_has(s, row[i].feat))
			m |= row[i].bits;
	return m;
}

/* UNMODELLED: AMD's misaligned exception mask (MXCSR.MM, bit 17; CPUID MISALIGNSSE is not offered):
 * setting it is #GP(0), as on processors without it, and saved states have no such bit. */
static uint32_t mxcsr_mask(void)
{
	uint8_t area[512] __attribute__((aligned(16))) = {0};
	uint32_t mask;

	__asm__ volatile("fxsave %0" : "=m"(area));
	mask = ld_le32(area + 28);
	return mask ? mask & 0xffff : 0xffbf; /* SDM vol. 1, 11.6.6 */
}

static int name_error(const char *name, struct error *err)
{
	char list[200] = "";

	for (unsigned i = 0; model_names[i]; i++) {
		size_t at = strlen(list);

		if (at + strlen(model_names[i]) + 2 < sizeof(list)) {
			strcat(list, i ? " " : "");
			strcat(list, model_names[i]);
		}
	}
	return error_set(err, -EINVAL, "no CPU model '%s'; known: %s", name, list);
}

static void set_features_amd(struct cpu_model *m, const struct feat_set *s)
{
	struct cpuid_regs *basic = leaf_find(m, 1, 0), *ext = leaf_find(m, 0x80000001, 0);

	/* Leaf 1 EDX again in the extended leaf; CmpLegacy: the CPUs that HTT announces are cores.
	 */
	ext->edx |= basic->edx & 0x0183f3ff;
	if (m->n_cpus > 1)
		ext->ecx |= 1u << 1;
	for (unsigned i = 0; i < ARRAY_SIZE(amd_places); i++)
		if (set_has(s, amd_places[i].feat)) {
			const struct feat_row *row = &feat_rows[amd_places[i].feat];

			*reg_of(leaf_find(m, row->leaf, row->sub), row->reg) &= ~(1u << row->bit);
			leaf_find(m, 0x80000008, 0)->ebx |= amd_places[i].ebx;
		}
}

static void set_features(struct cpu_model *m, const struct feat_set *s)
{
	for (unsigned f = X86_FEAT_NONE + 1; f < X86_FEAT_NEVER; f++) {
		const struct feat_row *row = &feat_rows[f];
		struct cpuid_regs *r;

		if (!set_has(s, f))
			continue;
		r = leaf_find(m, row->leaf, row->sub);
		if (!r)
			continue; /* the model's leaves end before it */
		*reg_of(r, row->reg) |= 1u << row->bit;
		m->feats[f / 64] |= BIT(f % 64);
	}
	if (m->n_cpus > 1)
		leaf_find(m, 1, 0)->edx |= 1u << 28; /* HTT: leaf 1 EBX counts CPUs */
	if (m->amd)
		set_features_amd(m, s);
}

int cpu_model_init(struct cpu_model *m, const char *name, unsigned n_cpus, uint64_t tsc_hz,
		   struct error *err)
{
	const struct model_desc *d = model_find(name ? name : "max");
	struct feat_set s;

	if (!d)
		return name_error(name, err);
	if (n_cpus < 1 || n_cpus > CPU_MAX)
		return error_set(err, -EINVAL, "%u CPUs: a machine has 1 to %u", n_cpus, CPU_MAX);
	*m = (struct cpu_model){.n_cpus = n_cpus, .tsc_hz = tsc_hz, .phys_bits = d->phys_bits};
	memcpy(m->name, d->name, strlen(d->name) + 1);
	m->amd = d->vendor == HOST ? host_amd() : d->vendor == AMD;
	if (m->amd)
		m->phys_bits = MIN(m->phys_bits, AMD_PHYS_BITS);
	model_features(d, m->amd, &s);
	m->xcr0_mask = 1;
	m->cr4_mask = cr4_bits(&s);
	m->mxcsr_mask = mxcsr_mask();
	add_vendor(m, d);
	add_basic(m, d);
	if (d->max_basic >= 4) {
		if (!m->amd)
			add_caches(m);
		*leaf_add(m, 6, 0, false) = (struct cpuid_regs){4, 0, 0, 0}; /* ARAT */
		(void)leaf_add(m, 7, 0, true);
		if (set_has(&s, FT(BHI_CTRL))) {
			leaf_find(m, 7, 0)->eax = 2; /* highest subleaf */
			(void)leaf_add(m, 7, 2, true);
		}
		add_topology(m);
		if (set_has(&s, FT(XSAVE)))
			add_xsave(m, &s);
		add_timing(m);
	}
	if (set_has(&s, FT(HYPERVISOR)))
		add_hypervisor(m);
	if (d->max_ext)
		add_extended(m, d);
	set_features(m, &s);
	return 0;
}

void cpu_model_drop_random(struct cpu_model *m)
{
	struct cpuid_regs *basic = leaf_find(m, 1, 0), *extended = leaf_find(m, 7, 0);

	if (basic)
		basic->ecx &= ~BIT(30);
	if (extended)
		extended->ebx &= ~BIT(18);
	m->feats[X86_FEAT_RDRAND / 64] &= ~(1ull << X86_FEAT_RDRAND % 64);
	m->feats[X86_FEAT_RDSEED / 64] &= ~(1ull << X86_FEAT_RDSEED % 64);
}

/* ---- CPUID ---- */

static uint32_t xsave_size(uint64_t mask, bool compacted)
{
	if (!(mask & 4))
		return 576;
	return compacted ? 576 + 256 : 832;
}

static uint32_t clamp_leaf(const struct cpu_model *m, const struct vcpu *v, uint32_t leaf)
{
	uint32_t max = m->leaf[0].r.eax;

	/* IA32_MISC_ENABLE[22]: limit CPUID maxval. */
	if (v->s.misc_enable & BIT(22))
		max = MIN(max, 2u);
	if (leaf < 0x40000000 && leaf > max && !m->amd)
		return max;
	return leaf;
}

void cpuid_query(struct vcpu *v, uint32_t leaf, uint32_t sub, struct cpuid_regs *ret)
{
	struct cpu_model *m = (struct cpu_model *)(uintptr_t)v->model; /* only read */
	const struct cpuid_regs *r;

	*ret = (struct cpuid_regs){0};
	if (!m)
		return;
	leaf = clamp_leaf(m, v, leaf);
	r = leaf_find(m, leaf, sub);
	if (r)
		*ret = *r;
	switch (leaf) {
	case 0:
		if (v->s.misc_enable & BIT(22))
			ret->eax = MIN(ret->eax, 2u);
		break;
	case 1:
		ret->ebx |= lapic_id(v) << 24;
		if (v->s.cr4 & X86_CR4_OSXSAVE)
			ret->ecx |= 1u << 27;
		if (!(v->s.lapic.base & BIT(11)))
			ret->edx &= ~(1u << 9);
		break;
	case 0xb:
		ret->ecx = (ret->ecx & ~0xffu) | (sub & 0xff);
		ret->edx = lapic_id(v);
		break;
	case 0xd:
		if (sub == 0 && m->xcr0_mask > 1)
			ret->ebx = xsave_size(v->s.xcr0, false);
		if (sub == 1 && m->xcr0_mask > 1)
			ret->ebx = xsave_size(v->s.xcr0 | v->s.xss, true);
		break;
	case 0x80000001:
		/* Intel has SYSCALL in 64-bit mode only. */
		if (!m->amd && !x86_is_64(v))
			ret->edx &= ~(1u << 11);
		break;
	case 0x8000001e: /* one thread a core, one node */
		if (!m->amd)
			break;
		ret->eax = lapic_id(v);
		ret->ebx = lapic_id(v) & 0xff;
		break;
	default: break;
	}
}
