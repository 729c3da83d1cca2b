/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPU models and MSRs. Intel SDM vol. 2, CPUID; vol. 4, table 2-2. AMD APM vol. 3, appendix E.
 */
#include "cpu_box.h"

static struct cpuid_regs query(struct box *b, uint32_t leaf, uint32_t sub)
{
	struct cpuid_regs r;

	cpuid_query(b->v, leaf, sub, &r);
	return r;
}

static void test_names(void **st)
{
	struct cpu_model m;
	struct error err = {0};
	unsigned n = 0;

	for (const char *const *p = cpu_model_names(); *p; p++, n++) {
		assert_int_equal(cpu_model_init(&m, *p, 1, 2000000000, &err), 0);
		assert_string_equal(m.name, *p);
	}
	assert_true(n >= 8);
	assert_int_equal(cpu_model_init(&m, "z80", 1, 1, &err), -EINVAL);
	assert_non_null(strstr(err.text, "x86-64-v3"));
	assert_int_equal(cpu_model_init(&m, "max", 65, 1, &err), -EINVAL);
	assert_int_equal(cpu_model_init(&m, NULL, 64, 1, &err), 0);
	assert_string_equal(m.name, "max");
}

static const struct {
	const char *model;
	uint8_t feat;
	bool has;
} feat_rows[] = {
#define F(m, f, h)                                                                                 \
	{                                                                                          \
		m, X86_FEAT_##f, h                                                                 \
	}
	F("i486", FPU, true),        F("i486", TSC, false),        F("pentium", TSC, true),
	F("pentium", CMOV, false),   F("pentium3", SSE, true),     F("pentium3", LM, false),
	F("base", LM, true),         F("base", SSE2, true),        F("base", SSE3, false),
	F("x86-64-v2", SSE42, true), F("x86-64-v2", AVX, false),   F("max", FSGSBASE, true),
	F("max", SMAP, true),        F("max", X2APIC, true),       F("max", MONITOR, false),
	F("max", PCID, true),        F("max", TSC_DEADLINE, true), F("base", NONE, true),
	F("max", NEVER, false),
#undef F
};

static void test_features(void **st)
{
	struct error err = {0};
	struct cpu_model m;

	for (unsigned i = 0; i < ARRAY_SIZE(feat_rows); i++) {
		assert_int_equal(cpu_model_init(&m, feat_rows[i].model, 1, 2000000000, &err), 0);
		assert_row(i, feat_rows[i].model, cpu_model_has(&m, feat_rows[i].feat),
			   feat_rows[i].has);
	}
}

static void test_leaves(void **st)
{
	struct box *b = box_new("max", 3);
	struct cpuid_regs r;
	uint64_t hz = clock_tsc_hz(b->clock);

	r = query(b, 1, 0);
	assert_int_equal(r.ebx >> 16 & 0xff, 3);
	assert_int_equal(r.ebx >> 8 & 0xff, 8);
	assert_true(r.edx >> 28 & 1); /* HTT: EBX[23:16] counts */
	assert_true(r.ecx >> 31);     /* hypervisor */
	assert_false(r.ecx >> 27 & 1);
	b->v->s.cr4 |= X86_CR4_OSXSAVE;
	assert_int_equal(query(b, 1, 0).ecx >> 27 & 1, cpu_model_has(&b->model, X86_FEAT_XSAVE));
	/* ids are the vCPU's own */
	cpuid_query(b->cpu[2], 1, 0, &r);
	assert_int_equal(r.ebx >> 24, 2);
	cpuid_query(b->cpu[2], 0xb, 0, &r);
	assert_int_equal(r.edx, 2);
	assert_int_equal(r.ecx, 0x100);
	cpuid_query(b->cpu[2], 0xb, 1, &r);
	assert_int_equal(r.eax, 2); /* 3 CPUs need two bits */
	assert_int_equal(r.ebx, 3);
	assert_int_equal(r.ecx, 0x201);
	cpuid_query(b->cpu[2], 0xb, 5, &r);
	assert_int_equal(r.ecx, 5); /* invalid level: type 0, input echoed */
	assert_int_equal(r.ebx, 0);
	/* XSAVE: sizes follow XCR0 */
	if (cpu_model_has(&b->model, X86_FEAT_AVX)) {
		assert_int_equal(query(b, 0xd, 0).eax, 7);
		assert_int_equal(query(b, 0xd, 0).ebx, 576);
		assert_int_equal(query(b, 0xd, 0).ecx, 832);
		b->v->s.xcr0 = 7;
		assert_int_equal(query(b, 0xd, 0).ebx, 832);
		assert_int_equal(query(b, 0xd, 1).ebx, 832);
		assert_int_equal(query(b, 0xd, 2).eax, 256);
		assert_int_equal(query(b, 0xd, 2).ebx, 576);
	}
	/* TSC = crystal * EBX / EAX */
	r = query(b, 0x15, 0);
	assert_true((uint64_t)r.ecx * r.ebx / r.eax / 1000 == hz / 1000);
	r = query(b, 0x40000000, 0);
	assert_int_equal(r.eax, 0x40000010);
	assert_memory_equal(&r.ebx, "BothyBothy\0\0", 12);
	assert_int_equal(query(b, 0x40000010, 0).eax, hz / 1000);
	/* not what EDK2 believes of the vendor: 36 and 39 of Intel's, 40 of AMD's */
	assert_int_equal(query(b, 0x80000008, 0).eax & 0xffff, (b->model.amd ? 39 : 40) | 48 << 8);
	assert_true(query(b, 0x80000007, 0).edx >> 8 & 1);
	/* APIC bit follows APIC_BASE.EN: vol. 3, 11.4.3 */
	b->v->s.lapic.base &= ~BIT(11);
	assert_false(query(b, 1, 0).edx >> 9 & 1);
	box_free(b);
}

/* The vendor is the model's, not the host's; what Linux asks of it before it works around what this
 * machine's processors don't leak. */
static void test_vendors(void **st)
{
	struct box *b = box_new("max-intel", 2);
	struct cpuid_regs r = query(b, 0, 0);

	assert_memory_equal(&r.ebx, "Genu", 4);
	assert_int_equal(query(b, 0x80000000, 0).eax, 0x80000008);
	assert_int_equal(query(b, 7, 0).edx >> 26 & 0x29, 0x29); /* SPEC_CTRL, ARCH_CAP, SSBD */
	assert_int_equal(query(b, 0x80000008, 0).ebx & 0x2500f000, 0);
	assert_int_equal(query(b, 1, 0).eax & 0xf00, 0x600);
	box_free(b);
	b = box_new("max-amd", 2);
	r = query(b, 0, 0);
	assert_memory_equal(&r.ebx, "Auth", 4);
	assert_memory_equal(&r.edx, "enti", 4);
	assert_memory_equal(&r.ecx, "cAMD", 4);
	assert_int_equal(query(b, 0x80000000, 0).eax, 0x80000021);
	assert_int_equal(query(b, 7, 0).edx >> 26, 0); /* Intel's places */
	/* IBPB, IBRS, STIBP, SSBD, SSB_NO, BTC_NO, IBPB_RET */
	assert_int_equal(query(b, 0x80000008, 0).ebx & 0x6500d000, 0x6500d000);
	/* LFENCE, null base, automatic IBRS, SRSO_NO; TSA_SQ_NO, TSA_L1_NO */
	assert_int_equal(query(b, 0x80000021, 0).eax, 0x20000144);
	assert_int_equal(query(b, 0x80000021, 0).ecx, 6);
	assert_int_equal(query(b, 0x80000001, 0).ecx >> 1 & 1, 1); /* CmpLegacy */
	/* caches, the old way and the new one: lines a tag, or Linux finds an L2 of 1 GiB */
	assert_int_equal(query(b, 0x80000006, 0).ecx, 1024 << 16 | 8 << 12 | 1 << 8 | 64);
	assert_int_equal(query(b, 0x80000006, 0).edx, 32 << 18 | 8 << 12 | 1 << 8 | 64);
	r = query(b, 0x8000001d, 2);
	assert_int_equal((r.ebx & 0xfff) + 1, 64);
	assert_int_equal((r.ebx >> 12 & 0x3ff) + 1, 1);
	assert_int_equal((r.ebx >> 22) + 1, 16);
	assert_int_equal(r.ecx + 1, 1024);
	assert_int_equal(query(b, 0x8000001d, 3).eax, 3 | 3 << 5 | 1 << 8 | 1 << 14);
	assert_int_equal(query(b, 0x8000001d, 4).eax, 0);
	cpuid_query(b->cpu[1], 0x8000001e, 0, &r);
	assert_int_equal(r.eax, 1);
	assert_int_equal(r.ebx, 1);
	assert_int_equal(r.ecx, 0);
	assert_int_equal(query(b, 1, 0).eax & 0xf00, 0xf00);
	box_free(b);
}

/* A guest that sees descriptor FFh reads leaf 4 until its type is 0; without that leaf the clamp
 * would answer for ever. */
static void test_cache_descriptors(void **st)
{
	for (const char *const *p = cpu_model_names(); *p; p++) {
		struct box *b = box_new(*p, 1);
		struct cpuid_regs r = query(b, 2, 0);
		bool leaf4 = query(b, 0, 0).eax >= 4;

		if (query(b, 0, 0).eax >= 2 && !leaf4 && (r.eax >> 8 & 0xff00ff) == 0xff)
			fail_msg("%s: descriptor FFh without leaf 4", *p);
		if (leaf4)
			assert_int_equal(query(b, 4, 9).eax & 31, 0);
		box_free(b);
	}
}

static void test_out_of_range_leaf(void **st)
{
	struct box *b = box_new("base", 1);
	struct cpuid_regs a = query(b, 0x16, 0), c = query(b, 0x7777, 0);

	/* vol. 2, CPUID: beyond the maximum the highest basic leaf answers */
	assert_memory_equal(&a, &c, sizeof(a));
	assert_int_equal(query(b, 0x80000000, 0).eax, 0x80000008);
	b->v->s.misc_enable |= BIT(22);
	assert_int_equal(query(b, 0, 0).eax, 2);
	box_free(b);
}

static const struct {
	uint32_t msr;
	uint64_t write;
	bool write_ok;
	uint64_t read;
	const char *cite;
	char vendor; /* 'I', 'A', or both */
} msr_rows[] = {
	{0x174, 0x10, true, 0x10, "SYSENTER_CS"},
	{0x175, 0x0000800000000000ull, false, 0, "SYSENTER_ESP non-canonical", 'I'},
	{0x175, 0x0000800000001234ull, true, 0x1234, "SYSENTER_ESP: lower half", 'A'},
	{0x048, 7, true, 7, "SPEC_CTRL: IBRS, STIBP, SSBD"},
	{0x048, 0x400, true, 0x400, "SPEC_CTRL: BHI_DIS_S", 'I'},
	{0x048, 0x400, false, 7, "SPEC_CTRL: BHI_DIS_S is Intel's", 'A'},
	{0x049, 1, true, 0, "PRED_CMD"},
	{0x277, 0x0007010600070106ull, true, 0x0007010600070106ull, "PAT"},
	{0x277, 0x0002040600070406ull, false, 0x0007010600070106ull, "PAT type 2 is reserved"},
	{0x2ff, 0xc06, true, 0xc06, "MTRR_DEF_TYPE"},
	{0x2ff, 0xc02, false, 0xc06, "MTRR type 2 is reserved"},
	{0x200, 0x80000006, true, 0x80000006, "MTRR_PHYSBASE0"},
	{0x200, 0x80000106, false, 0x80000006, "MTRR_PHYSBASE0 bits 11:8"},
	{0x201, 0x7f80000800ull, true, 0x7f80000800ull, "MTRR_PHYSMASK0"},
	{0x201, 1ull << 39, false, 0x7f80000800ull, "MTRR_PHYSMASK0 beyond MAXPHYADDR", 'A'},
	{0x201, 1ull << 40, false, 0x7f80000800ull, "MTRR_PHYSMASK0 beyond MAXPHYADDR"},
	{0x250, 0x0606060606060606ull, true, 0x0606060606060606ull, "MTRR_FIX64K"},
	{0x26f, 0x0506060606060606ull, true, 0x0506060606060606ull, "MTRR_FIX4K_F8000"},
	{0x0fe, 0, false, 0x508, "MTRRCAP is read-only"},
	{0xc0000080, 0xd01, true, 0x901, "EFER: LMA is not writable", 'I'},
	{0xc0000080, 0xd01, false, 0, "EFER: LMA must stay", 'A'},
	{0xc0000080, 0x200901, true, 0x200901, "EFER: automatic IBRS", 'A'},
	{0xc0000080, 0x901, true, 0x901, "EFER"},
	{0xc0000080, 0x200901, false, 0x901, "EFER: automatic IBRS is AMD's", 'I'},
	{0xc0000080, 0x2000, false, 0x901, "EFER reserved"},
	{0xc0000081, ~0ull, true, ~0ull, "STAR"},
	{0xc0000082, 0x8000000000000000ull, false, 0, "LSTAR non-canonical"},
	{0xc0000084, 0x147700, true, 0x147700, "SFMASK"},
	{0xc0000084, 1ull << 32, false, 0x147700, "SFMASK upper half"},
	{0xc0000100, 0xffff800000000000ull, true, 0xffff800000000000ull, "FS_BASE"},
	{0xc0000102, 0x1234, true, 0x1234, "KERNEL_GS_BASE"},
	{0xc0000103, 5, true, 5, "TSC_AUX"},
	{0xc0000103, 1ull << 32, false, 5, "TSC_AUX upper half"},
	{0x08b, 0x100000000ull, true, 0x100000000ull, "BIOS_SIGN_ID"},
	{0x179, 0, false, 0, "MCG_CAP"},
	{0x1b, 0xfee00d00, true, 0xfee00d00, "APIC_BASE: to x2APIC"},
	{0x1b, 0xfee00900, false, 0xfee00d00, "APIC_BASE: x2APIC to xAPIC"},
	{0x1b, 0xfee00100, true, 0xfee00100, "APIC_BASE: disable"},
	{0x1b, 0xfee00d00, false, 0xfee00100, "APIC_BASE: disabled to x2APIC"},
	{0xda0, 1, false, 0, "XSS: nothing is supported"},
};

static void run_msrs(const char *model, char vendor)
{
	struct box *b = box_new(model, 1);
	uint64_t val;

	for (unsigned i = 0; i < ARRAY_SIZE(msr_rows); i++) {
		int r;

		if (msr_rows[i].vendor && msr_rows[i].vendor != vendor)
			continue;
		r = x86_wrmsr(b->v, msr_rows[i].msr, msr_rows[i].write);
		assert_row(i, msr_rows[i].cite, r == X86_OK, msr_rows[i].write_ok);
		if (r)
			assert_row(i, msr_rows[i].cite, box_result(b, r), EXC(X86_GP, 0));
		if (x86_rdmsr(b->v, msr_rows[i].msr, &val))
			continue; /* not offered on this host */
		assert_row(i, msr_rows[i].cite, val, msr_rows[i].read);
	}
	assert_int_equal(box_result(b, x86_rdmsr(b->v, 0x12345678, &val)), EXC(X86_GP, 0));
	assert_int_equal(box_result(b, x86_wrmsr(b->v, 0x12345678, 0)), EXC(X86_GP, 0));
	if (vendor == 'I') {
		assert_int_equal(x86_rdmsr(b->v, 0x10a, &val), X86_OK);
		assert_int_equal(val & 0x21, 0x21); /* RDCL_NO, MDS_NO */
	} else {
		assert_int_equal(box_result(b, x86_rdmsr(b->v, 0x10a, &val)), EXC(X86_GP, 0));
	}
	box_free(b);
}

static void test_msrs(void **st)
{
	run_msrs("max-intel", 'I');
	run_msrs("max-amd", 'A');
}

static void test_tsc(void **st)
{
	struct box *b = box_new("max", 1);
	uint64_t val;

	/* vol. 3, 17.17.3: writing the TSC moves TSC_ADJUST by the same amount, and back */
	bus_lock(&b->bus);
	clock_step(b->clock, NS_PER_MS);
	bus_unlock(&b->bus);
	assert_int_equal(x86_rdmsr(b->v, 0x10, &val), X86_OK);
	assert_int_equal(val, clock_tsc(b->clock));
	assert_int_equal(x86_wrmsr(b->v, 0x10, val + 1000), X86_OK);
	assert_int_equal(b->v->s.tsc_adjust, 1000);
	assert_int_equal(x86_wrmsr(b->v, 0x3b, 0), X86_OK);
	assert_int_equal(x86_tsc(b->v), val);
	box_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_leaves),
		cmocka_unit_test(test_vendors),
		cmocka_unit_test(test_cache_descriptors),
		cmocka_unit_test(test_out_of_range_leaf),
		cmocka_unit_test(test_msrs),
		cmocka_unit_test(test_tsc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
