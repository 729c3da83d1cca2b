/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hardware task switches. Intel SDM vol. 3, chapter 7 (7.3: steps; table 7-1: checks; table 7-2:
 * busy bits, NT and link).
 */
#include "cpu_box.h"

/* A second 32-bit task at BOX_TSS2 that starts in ring 0 (or 3). */
static void new_task(struct box *b, unsigned cpl)
{
	static const uint16_t code[] = {SEL_CODE0, 0, 0, SEL_CODE3};
	static const uint16_t data[] = {SEL_DATA0, 0, 0, SEL_DATA3};

	memset(b->ram + BOX_TSS2, 0, 0x68);
	put32(b, BOX_TSS2 + 0x20, 0x6000);
	put32(b, BOX_TSS2 + 0x24, 2 | X86_IF);
	for (unsigned i = 0; i < 8; i++)
		put32(b, BOX_TSS2 + 0x28 + i * 4, 0x1000 * (i + 1));
	put32(b, BOX_TSS2 + 0x28 + 16, 0xc000); /* ESP */
	for (unsigned i = 0; i < 6; i++)
		put16(b, BOX_TSS2 + 0x48 + i * 4, data[cpl]);
	put16(b, BOX_TSS2 + 0x4c, code[cpl]);
}

static void test_jmp(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	box_prot(b, 0);
	new_task(b, 3);
	for (unsigned i = 0; i < 8; i++)
		v->s.gpr[i] = 0x11110000 + i;
	v->s.dr7 |= 0xff;
	v->s.rflags = 2 | X86_CF | X86_NT;
	assert_int_equal(box_result(b, x86_far_jmp(v, SEL_TSS2, 0, 4)), OK);
	/* old task saved, not busy; new task busy, no link, TS set, L0-3 cleared */
	assert_int_equal(get32(b, BOX_TSS + 0x20), 0x5000);
	assert_int_equal(get32(b, BOX_TSS + 0x24), 2 | X86_CF | X86_NT);
	assert_int_equal(get32(b, BOX_TSS + 0x28 + 12), 0x11110003);
	assert_int_equal(get16(b, BOX_TSS + 0x4c), SEL_CODE0);
	assert_int_equal(box_desc_type(b, SEL_TSS), 0x89);
	assert_int_equal(box_desc_type(b, SEL_TSS2), 0x8b);
	assert_int_equal(get16(b, BOX_TSS2), 0);
	assert_int_equal(v->s.tr.sel, SEL_TSS2);
	assert_true(v->s.cr0 & X86_CR0_TS);
	assert_int_equal(v->s.dr7 & 0xff, 0xaa);
	assert_int_equal(v->next_rip, 0x6000);
	assert_int_equal(v->cpl, 3);
	assert_int_equal(v->s.gpr[X86_RSP], 0xc000);
	assert_int_equal(v->s.gpr[X86_RDI], 0x8000);
	assert_int_equal(v->s.rflags, 2 | X86_IF);
	assert_int_equal(v->s.seg[X86_GS].sel, SEL_DATA3);
	/* a busy TSS cannot be jumped to */
	box_cpl(b, 0);
	assert_int_equal(box_result(b, x86_far_jmp(v, SEL_TSS2, 0, 4)), EXC(X86_GP, SEL_TSS2));
	box_free(b);
}

static void test_call_and_iret(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	box_prot(b, 0);
	new_task(b, 0);
	assert_int_equal(box_result(b, x86_far_call(v, SEL_TASKGATE, 0, 4)), OK);
	/* table 7-2: nested task: link, NT, both busy */
	assert_int_equal(get16(b, BOX_TSS2), SEL_TSS);
	assert_true(v->s.rflags & X86_NT);
	assert_int_equal(box_desc_type(b, SEL_TSS), 0x8b);
	assert_int_equal(box_desc_type(b, SEL_TSS2), 0x8b);
	v->next_rip = 0x6100;
	assert_int_equal(box_result(b, x86_iret(v, 4)), OK);
	assert_int_equal(v->s.tr.sel, SEL_TSS);
	assert_int_equal(v->next_rip, 0x5000);
	assert_int_equal(v->s.gpr[X86_RSP], BOX_SP);
	assert_int_equal(box_desc_type(b, SEL_TSS2), 0x89);
	assert_int_equal(box_desc_type(b, SEL_TSS), 0x8b);
	assert_int_equal(get32(b, BOX_TSS2 + 0x20), 0x6100);
	assert_int_equal(get32(b, BOX_TSS2 + 0x24) & X86_NT, 0); /* saved with NT clear */
	box_free(b);
}

static void test_interrupt_task_gate(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	box_prot(b, 3);
	new_task(b, 0);
	put64(b, BOX_IDT + X86_DF_EXC * 8, mk_gate(SEL_TSS2, 0, 0x85, 0));
	(void)x86_raise_err(v, X86_DF_EXC, 0);
	assert_int_equal(x86_deliver(v), X86_OK);
	assert_int_equal(v->s.rip, 0x6000);
	assert_int_equal(v->cpl, 0);
	/* the error code is on the new task's stack: 6.12.2 */
	assert_int_equal(v->s.gpr[X86_RSP], 0xc000 - 4);
	assert_int_equal(get32(b, 0xc000 - 4), 0);
	assert_int_equal(get32(b, BOX_TSS + 0x20), 0x5000);
	box_free(b);
}

static void test_16bit(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	box_prot(b, 0);
	box_desc(b, SEL_TSS2, mk_desc(BOX_TSS2, 0x2b, 0x81, 0));
	memset(b->ram + BOX_TSS2, 0, 0x2c);
	put16(b, BOX_TSS2 + 0x0e, 0x6000);
	put16(b, BOX_TSS2 + 0x10, 2);
	put16(b, BOX_TSS2 + 0x12 + 8, 0xc000);
	put16(b, BOX_TSS2 + 0x22, SEL_DATA0);
	put16(b, BOX_TSS2 + 0x24, SEL_CODE0);
	put16(b, BOX_TSS2 + 0x26, SEL_DATA0);
	put16(b, BOX_TSS2 + 0x28, SEL_DATA0);
	put16(b, BOX_TSS2 + 0x2a, SEL_LDT);
	assert_int_equal(box_result(b, x86_far_jmp(v, SEL_TSS2, 0, 4)), OK);
	assert_int_equal(v->next_rip, 0x6000);
	assert_int_equal(v->s.gpr[X86_RSP] & 0xffff, 0xc000);
	assert_int_equal(v->s.ldtr.base, BOX_LDT);
	assert_true(v->s.seg[X86_FS].attr & X86_ATTR_NULL);
	/* back to the 32-bit one: the outgoing 16-bit state goes to its TSS */
	v->s.gpr[X86_RAX] = 0x12345678;
	v->next_rip = 0x6022;
	assert_int_equal(box_result(b, x86_far_jmp(v, SEL_TSS, 0, 4)), OK);
	assert_int_equal(get16(b, BOX_TSS2 + 0x0e), 0x6022);
	assert_int_equal(get16(b, BOX_TSS2 + 0x12), 0x5678);
	assert_int_equal(v->next_rip, 0x5000);
	box_free(b);
}

/* One thing wrong in the new task each. `committed`: the fault belongs to the new task. */
static const struct {
	unsigned off;
	uint16_t val;
	uint32_t want;
	bool committed;
	const char *cite;
} bad_rows[] = {
	{0x4c, 0, EXC(X86_TS, 0), true, "table 7-1: null CS"},
	{0x4c, SEL_DATA0, EXC(X86_TS, SEL_DATA0), true, "CS is data"},
	{0x4c, SEL_CODE3 & ~3, EXC(X86_TS, SEL_CODE3 & ~3), true, "CS DPL != RPL"},
	{0x4c, SEL_CODENP, EXC(X86_NP, SEL_CODENP), true, "CS absent"},
	{0x50, 0, EXC(X86_TS, 0), true, "null SS"},
	{0x50, SEL_DATA3, EXC(X86_TS, SEL_DATA3 & ~3), true, "SS RPL != CPL"},
	{0x50, SEL_RO, EXC(X86_TS, SEL_RO), true, "SS read-only"},
	{0x50, SEL_NP, EXC(X86_SSF, SEL_NP), true, "SS absent"},
	{0x54, SEL_XO, EXC(X86_TS, SEL_XO), true, "DS execute-only"},
	{0x54, SEL_NP, EXC(X86_NP, SEL_NP), true, "DS absent"},
	{0x54, SEL_END, EXC(X86_TS, SEL_END), true, "DS outside the GDT"},
	{0x60, SEL_DATA0, EXC(X86_TS, SEL_DATA0), true, "LDT is no LDT"},
	{0x60, SEL_END, EXC(X86_TS, SEL_END), true, "LDT outside the GDT"},
	{0x60, SEL_LDT | 4, EXC(X86_TS, SEL_LDT | 4), true, "LDT in the LDT"},
};

static void test_checks(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	for (unsigned i = 0; i < ARRAY_SIZE(bad_rows); i++) {
		box_prot(b, 0);
		new_task(b, 0);
		put16(b, BOX_TSS2 + bad_rows[i].off, bad_rows[i].val);
		assert_row(i, bad_rows[i].cite, box_result(b, x86_far_jmp(v, SEL_TSS2, 0, 4)),
			   bad_rows[i].want);
		assert_row(i, bad_rows[i].cite, v->s.tr.sel,
			   bad_rows[i].committed ? SEL_TSS2 : SEL_TSS);
		assert_row(i, bad_rows[i].cite, v->s.rip, 0x6000);
	}
	/* before the commit point nothing changes */
	box_prot(b, 0);
	new_task(b, 0);
	box_desc(b, SEL_TSS2, mk_desc(BOX_TSS2, 0x66, 0x89, 0));
	assert_int_equal(box_result(b, x86_far_jmp(v, SEL_TSS2, 0, 4)), EXC(X86_TS, SEL_TSS2));
	assert_int_equal(v->s.tr.sel, SEL_TSS);
	assert_int_equal(v->s.rip, 0x5000);
	box_desc(b, SEL_TSS2, mk_desc(BOX_TSS2, 0x67, 0x09, 0));
	assert_int_equal(box_result(b, x86_far_jmp(v, SEL_TSS2, 0, 4)), EXC(X86_NP, SEL_TSS2));
	box_desc(b, SEL_TSS2, mk_desc(BOX_TSS2, 0x67, 0x89, 0));
	box_prot(b, 3);
	assert_int_equal(box_result(b, x86_far_jmp(v, SEL_TSS2, 0, 4)), EXC(X86_GP, SEL_TSS2));
	/* IRET with NT but a link that is not busy */
	box_prot(b, 0);
	put16(b, BOX_TSS, SEL_TSS2);
	v->s.rflags |= X86_NT;
	assert_int_equal(box_result(b, x86_iret(v, 4)), EXC(X86_TS, SEL_TSS2));
	box_free(b);
}

static void test_cr3_and_trap(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	box_prot(b, 0);
	new_task(b, 0);
	/* 32-bit paging, 4 MiB identity pages in two directories */
	for (unsigned i = 0; i < 4; i++) {
		put32(b, BOX_PT + i * 4, i * 4 * MIB | 0x83);
		put32(b, BOX_PT + 0x1000 + i * 4, i * 4 * MIB | 0x83);
	}
	v->s.cr3 = BOX_PT;
	assert_int_equal(x86_set_cr4(v, X86_CR4_PSE), X86_OK);
	assert_int_equal(x86_set_cr0(v, X86_CR0_PE | X86_CR0_PG), X86_OK);
	put32(b, BOX_TSS2 + 0x1c, BOX_PT + 0x1000);
	b->ram[BOX_TSS2 + 0x64] = 1;
	assert_int_equal(box_result(b, x86_far_jmp(v, SEL_TSS2, 0, 4)), OK);
	assert_int_equal(v->s.cr3, BOX_PT + 0x1000);
	assert_int_equal(v->s.pending_dbg, 1u << 15); /* T flag: #DB with BT, 17.3.1.5 */
	/* a page fault on the TSS before the commit leaves the old task alone */
	put32(b, BOX_PT + 0x1000, 0);
	x86_tlb_flush(v);
	assert_int_equal(x86_far_jmp(v, SEL_TSS, 0, 4), X86_FAULT);
	assert_int_equal(v->exc.vector, X86_PFV);
	assert_int_equal(v->s.tr.sel, SEL_TSS2);
	box_free(b);
}

static void test_to_v86(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	box_prot(b, 0);
	new_task(b, 0);
	put32(b, BOX_TSS2 + 0x24, 2 | X86_VM);
	put16(b, BOX_TSS2 + 0x4c, 0x1234);
	assert_int_equal(box_result(b, x86_far_jmp(v, SEL_TSS2, 0, 4)), OK);
	assert_true(v->mode & X86_MODE_VM);
	assert_int_equal(v->s.seg[X86_CS].base, 0x12340);
	assert_int_equal(v->cpl, 3);
	box_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_jmp),
		cmocka_unit_test(test_call_and_iret),
		cmocka_unit_test(test_interrupt_task_gate),
		cmocka_unit_test(test_16bit),
		cmocka_unit_test(test_checks),
		cmocka_unit_test(test_cr3_and_trap),
		cmocka_unit_test(test_to_v86),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
