/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of a processor: completeness of its table, reset values, round trip, and what a loaded
 * state may not contain. Intel SDM vol. 3, table 10-1 and 26.3.1.
 */
#include "cpu_box.h"

static void test_table_complete(void **st)
{
	const char *name = "";

	if (state_unnamed_bytes(&x86_state_desc, &name))
		fail_msg("unnamed bytes near %s", name);
}

#define S(m) offsetof(struct x86_state, m), sizeof(((struct x86_state *)0)->m)
#define ROW(m, v)                                                                                  \
	{                                                                                          \
#m, S(m), v                                                                        \
	}

static const struct {
	const char *name;
	size_t off, size;
	uint64_t val;
} reset_rows[] = {
	/* SDM vol. 3, table 10-1 */
	ROW(rip, 0xfff0),
	ROW(rflags, 2),
	ROW(cr0, 0x60000010),
	ROW(cr2, 0),
	ROW(cr3, 0),
	ROW(cr4, 0),
	ROW(efer, 0),
	ROW(xcr0, 1),
	ROW(seg[X86_CS].sel, 0xf000),
	ROW(seg[X86_CS].base, 0xffff0000),
	ROW(seg[X86_CS].limit, 0xffff),
	ROW(seg[X86_CS].attr, 0x93),
	ROW(seg[X86_DS].base, 0),
	ROW(seg[X86_DS].limit, 0xffff),
	ROW(gdtr.limit, 0xffff),
	ROW(idtr.limit, 0xffff),
	ROW(ldtr.limit, 0xffff),
	ROW(tr.limit, 0xffff),
	ROW(dr6, 0xffff0ff0),
	ROW(dr7, 0x400),
	ROW(fpu.fcw, 0x40),
	ROW(fpu.mxcsr, 0x1f80),
	ROW(pat, 0x0007040600070406ull),
	ROW(mtrr_def_type, 0),
	ROW(lapic.svr, 0xff),
	ROW(lapic.dfr, 0xffffffff),
	ROW(lapic.lvt_timer, 0x10000),
	ROW(lapic.lvt_lint0, 0x10000),
	ROW(lapic.base, 0xfee00900),
	ROW(activity, X86_ACT_RUN),
};

static void test_reset(void **st)
{
	struct x86_state s;

	memset(&s, 0xa5, sizeof(s));
	x86_state_reset(&s, true, 0, false);
	for (unsigned i = 0; i < ARRAY_SIZE(reset_rows); i++)
		assert_row(i, reset_rows[i].name,
			   ld_le((uint8_t *)&s + reset_rows[i].off, (unsigned)reset_rows[i].size),
			   reset_rows[i].val);
}

static void test_init_keeps(void **st)
{
	struct x86_state s = {0};

	x86_state_reset(&s, false, 3, false);
	assert_int_equal(s.activity, X86_ACT_WAIT_SIPI);
	assert_int_equal(s.lapic.id, 3 << 24);
	assert_int_equal(s.lapic.base & 0x100, 0);
	s.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_CD;
	s.fpu.fcw = 0x37f;
	s.fpu.ymm[3][1] = 7;
	s.mtrr_def_type = 0xc06;
	s.pat = 0x0606060606060606ull;
	s.sysenter_eip = 0x1234;
	s.lapic.irr[2] = 4;
	x86_state_reset(&s, false, 3, true);
	assert_int_equal(s.cr0, X86_CR0_CD | X86_CR0_ET); /* table 10-1: CD, NW unchanged */
	assert_int_equal(s.fpu.fcw, 0x37f);
	assert_int_equal(s.fpu.ymm[3][1], 7);
	assert_int_equal(s.mtrr_def_type, 0xc06);
	assert_int_equal(s.pat, 0x0606060606060606ull);
	assert_int_equal(s.sysenter_eip, 0x1234);
	assert_int_equal(s.lapic.irr[2], 0); /* 11.4.7.3: as after reset except the id */
	assert_int_equal(s.lapic.id, 3 << 24);
}

static void test_reset_edx(void **st)
{
	struct box *b = box_new("max", 1);
	struct cpuid_regs r;

	cpuid_query(b->v, 1, 0, &r);
	x86_vcpu_reset(b->v, true, false);
	assert_int_equal(b->v->s.gpr[X86_RDX], r.eax); /* SDM vol. 3, 10.1.2 */
	box_free(b);
}

static void random_state(struct x86_state *s)
{
	x86_state_reset(s, true, 0, false);
	for (unsigned i = 0; i < 16; i++) {
		s->gpr[i] = 0x123456789abcdef0ull * (i + 1);
		for (unsigned j = 0; j < 32; j++)
			s->fpu.ymm[i][j] = (uint8_t)(i * 32 + j);
	}
	for (unsigned i = 0; i < 8; i++)
		s->fpu.st[i][9] = (uint8_t)i;
	s->lapic.irr[3] = 0x80000001;
	s->lapic.timer_icr = 1000;
	s->shadow = X86_SHADOW_STI;
	s->pending_dbg = 0x4001;
	s->kernel_gs_base = 0xffff888000000000ull;
}

static void test_round_trip(void **st)
{
	struct state_writer *w = state_writer_new();
	struct state_reader *r;
	struct x86_state a, c;
	struct error err = {0};
	const uint8_t *bytes;
	size_t len;

	random_state(&a);
	state_save(w, "cpu0", &x86_state_desc, &a);
	bytes = state_writer_finish(w, &len);
	assert_int_equal(state_reader_new(bytes, len, &r, &err), 0);
	x86_state_reset(&c, true, 0, false);
	if (state_load(r, "cpu0", &x86_state_desc, &c, &err) || x86_state_loaded(&c, &err))
		fail_msg("%s", err.text);
	assert_int_equal(state_diff(&x86_state_desc, &a, &c, NULL, NULL), 0);
	state_reader_free(r);
	state_writer_free(w);
}

/* One change to a good long-mode state each; all must be refused. */
static const struct {
	const char *name;
	size_t off, size;
	uint64_t val;
} bad_rows[] = {
	ROW(cr0, X86_CR0_PG | X86_CR0_ET), /* PG without PE */
	ROW(cr0, 0x80000011 | 1 << 7),
	ROW(cr4, 1u << 13), /* VMXE: not offered */
	ROW(cr4, 0),        /* long mode without PAE */
	ROW(efer, X86_EFER_LMA),
	ROW(efer, X86_EFER_LME), /* LME and PG without LMA */
	ROW(efer, 1u << 12),
	ROW(cr3, 1ull << 52),
	ROW(xcr0, 5), /* AVX without SSE */
	ROW(xcr0, 0),
	ROW(xcr0, 0xff),
	ROW(lstar, 0x0000800000000000ull),
	ROW(kernel_gs_base, 0x1000000000000000ull),
	ROW(seg[X86_FS].base, 0x8000000000000000ull),
	ROW(seg[X86_SS].base, 1ull << 32),
	ROW(seg[X86_CS].attr, 0xe09b), /* L and D */
	ROW(seg[X86_CS].attr, 0x10000),
	ROW(seg[X86_CS].attr, 0x20000),
	ROW(gdtr.base, 0x8000000000000000ull),
	ROW(rflags, 0x20002), /* VM in long mode */
	ROW(rflags, 0x400002),
	ROW(activity, 4),
	ROW(shadow, 8),
	ROW(fpu.mxcsr, 0x10000),
	ROW(lapic.base, 0xfee00400), /* EXTD without EN */
	ROW(lapic.base, 0xfee00801),
	ROW(lapic.timer_dcr, 4),
	ROW(pending_dbg, 0x10),
	ROW(xss, 1),
};

static void test_loaded_refuses(void **st)
{
	struct box *b = box_new("max", 1);
	struct x86_state good, s;
	struct error err = {0};

	box_long(b, 0);
	good = b->v->s;
	assert_int_equal(x86_state_loaded(&good, &err), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad_rows); i++) {
		s = good;
		st_le((uint8_t *)&s + bad_rows[i].off, (unsigned)bad_rows[i].size, bad_rows[i].val);
		if (x86_state_loaded(&s, &err) != -EINVAL)
			fail_msg("row %u: %s = %#llx accepted", i, bad_rows[i].name,
				 (unsigned long long)bad_rows[i].val);
	}
	box_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_complete), cmocka_unit_test(test_reset),
		cmocka_unit_test(test_init_keeps),     cmocka_unit_test(test_reset_edx),
		cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_loaded_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
