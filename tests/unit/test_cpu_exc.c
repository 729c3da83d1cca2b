/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delivery of exceptions and interrupts, IRET, double and triple faults, virtual-8086 mode.
 * Intel SDM vol. 3, chapters 6 and 21; vol. 2, INT n, IRET.
 */
#include "cpu_box.h"

static void idt32(struct box *b, unsigned vec, uint16_t sel, uint32_t off, uint8_t type)
{
	put64(b, BOX_IDT + vec * 8, mk_gate(sel, off, type, 0));
}

static void idt64(struct box *b, unsigned vec, uint16_t sel, uint64_t off, uint8_t type,
		  uint8_t ist)
{
	put64(b, BOX_IDT + vec * 16, mk_gate(sel, (uint32_t)off, type, ist));
	put64(b, BOX_IDT + vec * 16 + 8, off >> 32);
}

static int raise(struct box *b, uint8_t vec, bool has_error, uint32_t error)
{
	if (has_error)
		(void)x86_raise_err(b->v, vec, error);
	else
		(void)x86_raise(b->v, vec);
	return x86_deliver(b->v);
}

static void test_real(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	box_real(b);
	put32(b, 0x21 * 4, 0x20001234);
	v->s.rflags = 2 | X86_IF | X86_TF | X86_CF;
	v->s.seg[X86_CS].sel = 0x1111;
	assert_int_equal(x86_int(v, 0x21, true), X86_OK);
	/* vol. 2, INT n, real-address mode: FLAGS, CS, IP; IF, TF, AC cleared */
	assert_int_equal(v->next_rip, 0x1234);
	assert_int_equal(v->s.seg[X86_CS].base, 0x20000);
	assert_int_equal(get16(b, 0xfffc), 2 | X86_IF | X86_TF | X86_CF);
	assert_int_equal(get16(b, 0xfffa), 0x1111);
	assert_int_equal(get16(b, 0xfff8), 0x5000);
	assert_int_equal(v->s.rflags, 2 | X86_CF);
	assert_true(v->no_step);
	assert_int_equal(x86_iret(v, 2), X86_OK);
	assert_int_equal(v->next_rip, 0x5000);
	assert_int_equal(v->s.rflags, 2 | X86_IF | X86_TF | X86_CF);
	assert_int_equal(v->s.gpr[X86_RSP], 0xfffe);
	/* vector outside the table: #GP, which is outside too: double, triple fault */
	v->s.idtr.limit = 0x83;
	assert_int_equal(x86_int(v, 0x21, true), X86_FAULT);
	assert_int_equal(v->exc.vector, X86_GP);
	v->s.idtr.limit = 0x1f;
	assert_int_equal(x86_deliver(v), X86_EXIT);
	assert_int_equal(v->exit.reason, VCPU_EXIT_SHUTDOWN);
	assert_int_equal(v->s.activity, X86_ACT_SHUTDOWN);
	box_free(b);
}

static void test_protected_same(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	box_prot(b, 0);
	idt32(b, X86_GP, SEL_CODE0, 0x345678, 0x8e);
	v->s.rflags = 2 | X86_IF | X86_NT | X86_TF;
	assert_int_equal(raise(b, X86_GP, true, 0x58), X86_OK);
	/* vol. 3, figure 6-4: error, EIP, CS, EFLAGS; RF set in the image of a fault */
	assert_int_equal(v->s.gpr[X86_RSP], BOX_SP - 16);
	assert_int_equal(get32(b, BOX_SP - 16), 0x58);
	assert_int_equal(get32(b, BOX_SP - 12), 0x5000);
	assert_int_equal(get32(b, BOX_SP - 8), SEL_CODE0);
	assert_int_equal(get32(b, BOX_SP - 4), 2 | X86_IF | X86_NT | X86_TF | X86_RF);
	assert_int_equal(v->s.rip, 0x345678);
	assert_int_equal(v->s.rflags, 2); /* interrupt gate: IF, TF, NT, RF cleared */
	/* trap gate keeps IF; software interrupt does not set RF; 16-bit gate pushes words */
	box_prot(b, 0);
	idt32(b, 0x30, SEL_CODE0, 0x5678, 0x87);
	v->s.rflags = 2 | X86_IF;
	assert_int_equal(x86_int(v, 0x30, true), X86_OK);
	assert_int_equal(v->s.gpr[X86_RSP], BOX_SP - 6);
	assert_int_equal(get16(b, BOX_SP - 2), 2 | X86_IF);
	assert_int_equal(v->s.rflags, 2 | X86_IF);
	box_free(b);
}

static void test_protected_inner_and_iret(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	box_prot(b, 3);
	idt32(b, X86_PFV, SEL_CODE0, 0x1000, 0x8e);
	v->s.rflags = 2 | X86_IF;
	(void)x86_raise_err(v, X86_PFV, 6);
	v->exc.cr2 = 0xdeadbeef;
	assert_int_equal(x86_deliver(v), X86_OK);
	assert_int_equal(v->s.cr2, 0xdeadbeef);
	assert_int_equal(v->cpl, 0);
	assert_int_equal(v->s.gpr[X86_RSP], BOX_SP0 - 24);
	assert_int_equal(get32(b, BOX_SP0 - 24), 6);
	assert_int_equal(get32(b, BOX_SP0 - 20), 0x5000);
	assert_int_equal(get32(b, BOX_SP0 - 16), SEL_CODE3);
	assert_int_equal(get32(b, BOX_SP0 - 12), 2 | X86_IF | X86_RF);
	assert_int_equal(get32(b, BOX_SP0 - 8), BOX_SP);
	assert_int_equal(get32(b, BOX_SP0 - 4), SEL_DATA3);
	v->s.gpr[X86_RSP] += 4;
	assert_int_equal(box_result(b, x86_iret(v, 4)), OK);
	assert_int_equal(v->cpl, 3);
	assert_int_equal(v->next_rip, 0x5000);
	assert_int_equal(v->s.gpr[X86_RSP], BOX_SP);
	assert_int_equal(v->s.rflags, 2 | X86_IF | X86_RF);
	box_free(b);
}

static const struct {
	uint64_t gate;
	uint8_t cpl, vec;
	bool soft;
	uint32_t idt_limit, want;
	const char *cite;
} gate_rows[] = {
#define G(sel, type) ((uint64_t)(sel) << 16 | (uint64_t)(type) << 40 | 0x100)
	/* vol. 2, INT n: the first fault of the delivery; hardware events set EXT */
	{G(SEL_CODE0, 0x8e), 3, 0x40, true, 0x7ff, EXC(X86_GP, 0x40 * 8 + 2),
	 "DPL 0, INT n, CPL 3"},
	{G(SEL_CODE0, 0xee), 3, 0x40, true, 0x7ff, OK, "DPL 3"},
	{G(SEL_CODE0, 0xee), 3, 0x40, true, 0x1ff, EXC(X86_GP, 0x40 * 8 + 2), "beyond the IDT"},
	{G(SEL_CODE0, 0x6e), 3, 0x40, true, 0x7ff, EXC(X86_NP, 0x40 * 8 + 2), "absent gate"},
	{G(SEL_CODE0, 0xec), 3, 0x40, true, 0x7ff, EXC(X86_GP, 0x40 * 8 + 2),
	 "call gate in the IDT"},
	{G(0, 0xee), 3, 0x40, true, 0x7ff, EXC(X86_GP, 0), "null selector"},
	{G(SEL_END, 0xee), 3, 0x40, true, 0x7ff, EXC(X86_GP, SEL_END), "outside the GDT"},
	{G(SEL_DATA0, 0xee), 3, 0x40, true, 0x7ff, EXC(X86_GP, SEL_DATA0), "data segment"},
	{G(SEL_CODENP, 0xee), 3, 0x40, true, 0x7ff, EXC(X86_NP, SEL_CODENP), "absent segment"},
	{G(SEL_CODE3, 0xee), 0, 0x40, true, 0x7ff, EXC(X86_GP, SEL_CODE3 & ~3), "outer segment"},
	{G(SEL_CONF0, 0xee), 3, 0x40, true, 0x7ff, OK, "conforming: privilege stays"},
	{G(SEL_CODE0, 0x6e), 3, 0x40, false, 0x7ff, EXC(X86_NP, 0x40 * 8 + 3), "EXT"},
	{G(SEL_CODENP, 0x8e), 3, 0x40, false, 0x7ff, EXC(X86_NP, SEL_CODENP | 1), "EXT"},
	{G(0, 0x8e), 3, 0x40, false, 0x7ff, EXC(X86_GP, 1), "EXT"},
#undef G
};

/* The exception that the failing delivery turns into is itself delivered: read its frame. */
static void test_gate_checks(void **st)
{
	struct box *b = box_new("max", 1);

	for (unsigned i = 0; i < ARRAY_SIZE(gate_rows); i++) {
		uint32_t got;

		box_prot(b, gate_rows[i].cpl);
		memset(b->ram + BOX_IDT, 0, 0x800);
		put64(b, BOX_IDT + gate_rows[i].vec * 8, gate_rows[i].gate);
		b->v->s.idtr.limit = (uint16_t)gate_rows[i].idt_limit;
		if (gate_rows[i].soft) {
			got = box_result(b, x86_int(b->v, gate_rows[i].vec, true));
			assert_row(i, gate_rows[i].cite, got, gate_rows[i].want);
			continue;
		}
		idt32(b, X86_GP, SEL_CODE0, 0x1000 + X86_GP, 0x8e);
		idt32(b, X86_NP, SEL_CODE0, 0x1000 + X86_NP, 0x8e);
		assert_row(i, gate_rows[i].cite, x86_interrupt(b->v, gate_rows[i].vec, false),
			   X86_OK);
		got = EXC(b->v->s.rip - 0x1000, get32(b, b->v->s.gpr[X86_RSP]));
		assert_row(i, gate_rows[i].cite, got, gate_rows[i].want);
	}
	box_free(b);
}

static void test_long(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	box_long(b, 3);
	idt64(b, X86_GP, SEL_CODE0, 0xffffffff80001000ull, 0x8e, 0);
	v->s.gpr[X86_RSP] = 0x12345;
	v->s.rflags = 2 | X86_IF;
	assert_int_equal(raise(b, X86_GP, true, 0x10), X86_OK);
	/* vol. 3, 6.14.2: SS, RSP, RFLAGS, CS, RIP, error; stack aligned to 16 first; SS null */
	assert_int_equal(v->s.rip, 0xffffffff80001000ull);
	assert_int_equal(v->cpl, 0);
	assert_int_equal(v->s.seg[X86_SS].sel, 0);
	assert_int_equal(v->s.gpr[X86_RSP], BOX_SP0 - 48);
	assert_int_equal(get64(b, BOX_SP0 - 48), 0x10);
	assert_int_equal(get64(b, BOX_SP0 - 40), 0x5000);
	assert_int_equal(get64(b, BOX_SP0 - 32), SEL_CODE3);
	assert_int_equal(get64(b, BOX_SP0 - 24), 2 | X86_IF | X86_RF);
	assert_int_equal(get64(b, BOX_SP0 - 16), 0x12345);
	assert_int_equal(get64(b, BOX_SP0 - 8), SEL_DATA3);
	v->s.gpr[X86_RSP] += 8;
	assert_int_equal(box_result(b, x86_iret(v, 8)), OK);
	assert_int_equal(v->cpl, 3);
	assert_int_equal(v->s.gpr[X86_RSP], 0x12345);
	assert_int_equal(v->s.seg[X86_SS].sel, SEL_DATA3);
	/* IST from ring 0: switch and align; the old RSP is pushed */
	box_long(b, 0);
	idt64(b, X86_NMI, SEL_CODE0, 0x7777, 0x8e, 1);
	v->s.gpr[X86_RSP] = 0x10003;
	put64(b, BOX_TSS + 36, BOX_IST + 9);
	assert_int_equal(x86_interrupt(v, X86_NMI, true), X86_OK);
	assert_int_equal(v->s.gpr[X86_RSP], BOX_IST - 40);
	assert_int_equal(get64(b, BOX_IST - 16), 0x10003);
	assert_int_equal(get64(b, BOX_IST - 8), SEL_DATA0);
	assert_int_equal(v->s.seg[X86_SS].sel, SEL_DATA0); /* no privilege change: SS stays */
	assert_int_equal(v->s.shadow, X86_SHADOW_NMI);
	assert_int_equal(box_result(b, x86_iret(v, 8)), OK);
	assert_int_equal(v->s.shadow, 0);
	/* same ring without IST: aligned current stack */
	box_long(b, 0);
	idt64(b, 0x40, SEL_CODE0, 0x7777, 0x8f, 0);
	v->s.gpr[X86_RSP] = 0x10003;
	assert_int_equal(x86_int(v, 0x40, true), X86_OK);
	assert_int_equal(v->s.gpr[X86_RSP], 0x10000 - 40);
	/* from compatibility mode */
	box_long(b, 0);
	seg_force(b, X86_CS, SEL_COMPAT3);
	seg_force(b, X86_SS, SEL_DATA3);
	x86_update_mode(v);
	idt64(b, 0x40, SEL_CODE0, 0x7777, 0xee, 0);
	assert_int_equal(x86_int(v, 0x40, true), X86_OK);
	assert_true(x86_is_64(v));
	assert_int_equal(v->s.gpr[X86_RSP], BOX_SP0 - 40);
	assert_int_equal(box_result(b, x86_iret(v, 8)), OK);
	assert_false(x86_is_64(v));
	assert_int_equal(v->s.seg[X86_CS].sel, SEL_COMPAT3);
	box_free(b);
}

static void test_long_gate_checks(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	box_long(b, 0);
	idt64(b, 0x40, SEL_COMPAT0, 0x7777, 0x8e, 0);
	assert_int_equal(box_result(b, x86_int(v, 0x40, true)),
			 EXC(X86_GP, SEL_COMPAT0)); /* L = 0 */
	idt64(b, 0x40, SEL_CODE0, 0x7777, 0x86, 0);
	assert_int_equal(box_result(b, x86_int(v, 0x40, true)), EXC(X86_GP, 0x202)); /* 16-bit */
	idt64(b, 0x40, SEL_CODE0, 0x7777, 0x85, 0);
	assert_int_equal(box_result(b, x86_int(v, 0x40, true)), EXC(X86_GP, 0x202)); /* task gate */
	idt64(b, 0x40, SEL_CODE0, 0x0000800000000000ull, 0x8e, 0);
	assert_int_equal(box_result(b, x86_int(v, 0x40, true)), EXC(X86_GP, 0));
	idt64(b, 0x40, SEL_CODE0, 0x7777, 0x8e, 2);
	put64(b, BOX_TSS + 44, 0x8000000000000000ull); /* IST2 non-canonical */
	assert_int_equal(box_result(b, x86_int(v, 0x40, true)), EXC(X86_SSF, 0));
	v->s.tr.limit = 40;
	assert_int_equal(box_result(b, x86_int(v, 0x40, true)), EXC(X86_TS, SEL_TSS));
	v->s.idtr.limit = 0x40f - 1;
	assert_int_equal(box_result(b, x86_int(v, 0x40, true)), EXC(X86_GP, 0x202));
	box_free(b);
}

/* vol. 3, table 6-5. The handler of the first exception is broken so that it raises the second. */
static const struct {
	uint8_t first;
	enum { BAD_GP, BAD_NP, BAD_PF, BAD_SS } second;
	uint8_t want; /* vector delivered in the end */
} df_rows[] = {
	{X86_UD, BAD_GP, X86_GP},      {X86_UD, BAD_PF, X86_PFV},     {X86_GP, BAD_GP, X86_DF_EXC},
	{X86_GP, BAD_NP, X86_DF_EXC},  {X86_GP, BAD_PF, X86_PFV},     {X86_PFV, BAD_PF, X86_DF_EXC},
	{X86_PFV, BAD_GP, X86_DF_EXC}, {X86_DE, BAD_NP, X86_DF_EXC},  {X86_NP, BAD_GP, X86_DF_EXC},
	{X86_DB, BAD_NP, X86_NP},      {X86_SSF, BAD_GP, X86_DF_EXC}, {X86_TS, BAD_PF, X86_PFV},
	{X86_MF, BAD_GP, X86_GP},      {X86_ACE, BAD_PF, X86_PFV},
};

static void test_double_fault(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	for (unsigned i = 0; i < ARRAY_SIZE(df_rows); i++) {
		uint8_t first = df_rows[i].first;
		bool has_error = first == X86_GP || first == X86_PFV || first == X86_NP ||
				 first == X86_SSF || first == X86_TS || first == X86_ACE;

		box_long(b, 3);
		v->s.seg[X86_SS].attr |= 0;
		for (unsigned n = 0; n < 32; n++)
			idt64(b, n, SEL_CODE0, 0x7000 + n, 0x8e, n == X86_PFV || n == X86_DF_EXC);
		switch (df_rows[i].second) {
		case BAD_GP: idt64(b, first, SEL_DATA0, 0, 0x8e, 0); break;
		case BAD_NP: idt64(b, first, SEL_CODE0, 0, 0x0e, 0); break;
		case BAD_PF:
			put64(b, BOX_TSS + 4, 0x40000000); /* not mapped */
			idt64(b, first, SEL_CODE0, 0, 0x8e, 0);
			break;
		default: break;
		}
		assert_row(i, "table 6-5", raise(b, first, has_error, 0), X86_OK);
		assert_row(i, "table 6-5", v->s.rip, 0x7000u + df_rows[i].want);
		if (df_rows[i].want == X86_DF_EXC) /* error code 0, always pushed */
			assert_row(i, "6.15, interrupt 8", get64(b, v->s.gpr[X86_RSP]), 0);
		if (df_rows[i].second == BAD_PF)
			assert_row(i, "CR2 of the last fault", v->s.cr2,
				   0x40000000 - 48 + (has_error || first == X86_PFV ? 0 : 8));
	}
	box_free(b);
}

static void test_triple_fault(void **st)
{
	struct box *b = box_new("max", 1);

	box_long(b, 0);
	b->v->s.idtr.limit = 0;
	assert_int_equal(raise(b, X86_UD, false, 0), X86_EXIT);
	assert_int_equal(b->v->exit.reason, VCPU_EXIT_SHUTDOWN);
	assert_int_equal(x86_poll_events(b->v), X86_EXIT);
	assert_int_equal(b->v->exit.reason, VCPU_EXIT_SHUTDOWN);
	box_free(b);
}

static void test_nothing_half_written(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;
	struct x86_state before;

	/* The inner stack crosses into a page that is not there. */
	box_long(b, 3);
	put64(b, BOX_PT + 0x2000, (BOX_PT + 0x3000) | 7);
	for (unsigned i = 0; i < 512; i++)
		put64(b, BOX_PT + 0x3000 + i * 8, i == 7 ? 0 : i << 12 | 0x67);
	put64(b, BOX_TSS + 4, 0x8010);
	x86_tlb_flush(v);
	idt64(b, 0x40, SEL_CODE0, 0x7777, 0xee, 0);
	memset(b->ram + 0x8000, 0x5a, 16);
	before = v->s;
	assert_int_equal(box_result(b, x86_int(v, 0x40, true)), EXC(X86_PFV, 2));
	assert_memory_equal(&before, &v->s, sizeof(before));
	assert_int_equal(b->ram[0x800f], 0x5a);
	assert_int_equal(v->exc.cr2, 0x8010 - 40);
	box_free(b);
}

static const struct {
	uint8_t cpl;
	uint64_t old, popped, want;
	unsigned size;
	const char *cite;
} flag_rows[] = {
	/* vol. 2, IRET: which bits change */
	{0, 2, 0x3f7fd7 & ~X86_VM, 0x3f7fd7 & ~X86_VM & ~X86_NT, 8,
	 "CPL 0: all but VM (NT see below)"},
	{3, 2, 0x3f7fd7 & ~(X86_VM | X86_NT),
	 2 | X86_ARITH | X86_TF | X86_DF | X86_RF | X86_AC | X86_ID, 8,
	 "CPL 3, IOPL 0: not IF, IOPL, VIF, VIP"},
	{3, 2 | X86_IOPL, 2 | X86_IF, 2 | X86_IOPL | X86_IF, 8, "CPL 3, IOPL 3: IF"},
	{3, 2 | X86_IF, 2, 2 | X86_IF, 8, "CPL 3, IOPL 0: IF stays"},
};

static void test_iret_flags(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	for (unsigned i = 0; i < ARRAY_SIZE(flag_rows); i++) {
		uint64_t popped = flag_rows[i].popped & ~(uint64_t)X86_NT;

		box_long(b, flag_rows[i].cpl);
		v->s.rflags = flag_rows[i].old;
		put64(b, BOX_SP, 0x6000);
		put64(b, BOX_SP + 8, v->s.seg[X86_CS].sel);
		put64(b, BOX_SP + 16, popped);
		put64(b, BOX_SP + 24, 0x9000);
		put64(b, BOX_SP + 32, v->s.seg[X86_SS].sel);
		assert_row(i, flag_rows[i].cite, box_result(b, x86_iret(v, 8)), OK);
		assert_row(i, flag_rows[i].cite, v->s.rflags, flag_rows[i].want);
	}
	/* NT in long mode */
	box_long(b, 0);
	v->s.rflags |= X86_NT;
	assert_int_equal(box_result(b, x86_iret(v, 8)), EXC(X86_GP, 0));
	box_free(b);
}

static const struct {
	uint8_t cpl;
	uint64_t rip;
	uint16_t cs, ss;
	uint32_t want;
	const char *cite;
} iret_rows[] = {
	{0, 0x6000, SEL_CODE0, SEL_DATA0, OK, ""},
	{0, 0x6000, SEL_CODE0, 0, OK, "null SS to 64-bit CPL 0"},
	{0, 0x6000, SEL_CODE3, 3, EXC(X86_GP, 0), "null SS to CPL 3"},
	{0, 0x6000, SEL_CODE3, SEL_DATA3, OK, ""},
	{0, 0x6000, SEL_COMPAT3, SEL_DATA3, OK, "to compatibility mode"},
	{0, 0x6000, SEL_COMPAT0, 0, EXC(X86_GP, 0), "null SS to compatibility mode"},
	{0, 0x0000800000000000ull, SEL_CODE3, SEL_DATA3, EXC(X86_GP, 0), "non-canonical RIP"},
	{0, 0x100006000ull, SEL_COMPAT3, SEL_DATA3, OK, "processors drop the upper half of RIP"},
	{3, 0x6000, SEL_CODE0, SEL_DATA0, EXC(X86_GP, SEL_CODE0), "RPL < CPL"},
	{0, 0x6000, 0, SEL_DATA0, EXC(X86_GP, 0), "null CS"},
	{0, 0x6000, SEL_CODE3, SEL_DATA0, EXC(X86_GP, SEL_DATA0), "SS RPL"},
	{0, 0x6000, SEL_CODENP, SEL_DATA0, EXC(X86_NP, SEL_CODENP), "absent"},
	{0, 0x6000, SEL_CODE0, SEL_NP, EXC(X86_SSF, SEL_NP), "SS absent"},
};

static void test_iretq(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	for (unsigned i = 0; i < ARRAY_SIZE(iret_rows); i++) {
		box_long(b, iret_rows[i].cpl);
		put64(b, BOX_SP, iret_rows[i].rip);
		put64(b, BOX_SP + 8, iret_rows[i].cs);
		put64(b, BOX_SP + 16, 2);
		put64(b, BOX_SP + 24, 0x12345678);
		put64(b, BOX_SP + 32, iret_rows[i].ss);
		assert_row(i, iret_rows[i].cite, box_result(b, x86_iret(v, 8)), iret_rows[i].want);
		assert_row(i, iret_rows[i].cite, v->s.gpr[X86_RSP],
			   iret_rows[i].want == OK ? 0x12345678 : BOX_SP);
	}
	/* to a 16-bit stack: only SP is loaded */
	box_long(b, 0);
	box_desc(b, SEL_D16, mk_desc(0, 0xffff, 0xf3, 0));
	put64(b, BOX_SP, 0x6000);
	put64(b, BOX_SP + 8, SEL_COMPAT3);
	put64(b, BOX_SP + 16, 2);
	put64(b, BOX_SP + 24, 0x12345678);
	put64(b, BOX_SP + 32, SEL_D16 | 3);
	assert_int_equal(box_result(b, x86_iret(v, 8)), OK);
	assert_int_equal(v->s.gpr[X86_RSP], (BOX_SP & 0xffff0000) | 0x5678);
	box_free(b);
}

/* ---- virtual-8086 mode ---- */

static void box_v86(struct box *b, unsigned iopl, uint32_t cr4)
{
	struct vcpu *v = b->v;

	box_prot(b, 0);
	/* through IRETD, as an operating system does: EIP CS EFLAGS ESP SS ES DS FS GS */
	put32(b, BOX_SP, 0x100);
	put32(b, BOX_SP + 4, 0x2000);
	put32(b, BOX_SP + 8, 2 | X86_VM | X86_IF | iopl << 12);
	put32(b, BOX_SP + 12, 0x8000);
	put32(b, BOX_SP + 16, 0x3000);
	put32(b, BOX_SP + 20, 0x1111);
	put32(b, BOX_SP + 24, 0x2222);
	put32(b, BOX_SP + 28, 0x3333);
	put32(b, BOX_SP + 32, 0x4444);
	assert_int_equal(box_result(b, x86_iret(v, 4)), OK);
	v->s.rip = v->next_rip;
	v->s.cr4 = cr4;
	x86_update_mode(v);
}

static void test_v86_entry_exit(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	box_v86(b, 3, 0);
	assert_true(v->mode & X86_MODE_VM);
	assert_int_equal(v->cpl, 3);
	assert_int_equal(v->s.rip, 0x100);
	assert_int_equal(v->s.seg[X86_CS].base, 0x20000);
	assert_int_equal(v->s.seg[X86_CS].limit, 0xffff);
	assert_int_equal(v->s.seg[X86_GS].base, 0x44440);
	assert_int_equal(v->s.gpr[X86_RSP], 0x8000);
	/* a fault goes to ring 0: vol. 3, figure 21-4 */
	idt32(b, X86_UD, SEL_CODE0, 0x1234, 0x8e);
	assert_int_equal(raise(b, X86_UD, false, 0), X86_OK);
	assert_int_equal(v->cpl, 0);
	assert_false(v->mode & X86_MODE_VM);
	assert_int_equal(v->s.gpr[X86_RSP], BOX_SP0 - 36);
	assert_int_equal(get32(b, BOX_SP0 - 36), 0x100);
	assert_int_equal(get32(b, BOX_SP0 - 32), 0x2000);
	assert_true(get32(b, BOX_SP0 - 28) & X86_VM);
	assert_int_equal(get32(b, BOX_SP0 - 24), 0x8000);
	assert_int_equal(get32(b, BOX_SP0 - 20), 0x3000);
	assert_int_equal(get32(b, BOX_SP0 - 16), 0x1111);
	assert_int_equal(get32(b, BOX_SP0 - 12), 0x2222);
	assert_int_equal(get32(b, BOX_SP0 - 8), 0x3333);
	assert_int_equal(get32(b, BOX_SP0 - 4), 0x4444);
	assert_int_equal(v->s.seg[X86_DS].sel, 0);
	assert_int_equal(box_result(b, x86_iret(v, 4)), OK);
	assert_true(v->mode & X86_MODE_VM);
	assert_int_equal(v->s.seg[X86_DS].sel, 0x2222);
	/* the handler must run at CPL 0: 21.3.1 */
	idt32(b, X86_UD, SEL_CODE1, 0x1234, 0x8e);
	idt32(b, X86_GP, SEL_CODE0, 0x1234, 0x8e);
	assert_int_equal(raise(b, X86_UD, false, 0), X86_OK);
	assert_int_equal(get32(b, v->s.gpr[X86_RSP]), (SEL_CODE1 & ~3) | 1);
	box_free(b);
}

enum { RING0, REDIRECT, FAULT };
static const struct {
	unsigned iopl;
	bool vme, bit; /* of the redirection map */
	int want;
	const char *cite;
} int_rows[] = {
	/* vol. 3, table 21-2 */
	{3, false, false, RING0, "VME 0, IOPL 3"}, {0, false, false, FAULT, "VME 0, IOPL < 3"},
	{0, true, true, FAULT, "method 4"},        {3, true, true, RING0, "method 2/3"},
	{3, true, false, REDIRECT, "method 5"},    {0, true, false, REDIRECT, "method 6"},
};

static void test_v86_int(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	for (unsigned i = 0; i < ARRAY_SIZE(int_rows); i++) {
		uint32_t got;

		box_v86(b, int_rows[i].iopl, int_rows[i].vme ? X86_CR4_VME : 0);
		memset(b->ram + BOX_TSS + 0x100 - 32, int_rows[i].bit ? 0xff : 0, 32);
		idt32(b, 0x21, SEL_CODE0, 0x1234, 0xee);
		put32(b, 0x21 * 4, 0x50000042);
		v->s.rflags |= X86_VIF;
		got = box_result(b, x86_int(v, 0x21, true));
		switch (int_rows[i].want) {
		case FAULT: assert_row(i, int_rows[i].cite, got, EXC(X86_GP, 0)); break;
		case RING0:
			assert_row(i, int_rows[i].cite, got, OK);
			assert_row(i, int_rows[i].cite, v->next_rip, 0x1234);
			assert_row(i, int_rows[i].cite, v->cpl, 0);
			break;
		default:
			assert_row(i, int_rows[i].cite, got, OK);
			assert_row(i, int_rows[i].cite, v->next_rip, 0x42);
			assert_row(i, int_rows[i].cite, v->s.seg[X86_CS].base, 0x50000);
			assert_row(i, int_rows[i].cite, v->s.gpr[X86_RSP], 0x8000 - 6);
			/* IOPL < 3: the image shows IOPL 3 and VIF as IF; VIF is cleared, IF not */
			assert_row(i, int_rows[i].cite, get16(b, 0x30000 + 0x8000 - 2) & 0x3200,
				   0x3200);
			assert_row(i, int_rows[i].cite, !!(v->s.rflags & X86_VIF),
				   int_rows[i].iopl == 3);
			assert_row(i, int_rows[i].cite, !!(v->s.rflags & X86_IF),
				   int_rows[i].iopl < 3);
		}
	}
	box_free(b);
}

static void test_v86_iret(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	box_v86(b, 0, 0);
	assert_int_equal(box_result(b, x86_iret(v, 2)), EXC(X86_GP, 0));
	box_v86(b, 3, 0);
	put16(b, 0x38000, 0x55);
	put16(b, 0x38002, 0x4000);
	put16(b, 0x38004, X86_CF); /* IF off; IOPL must not change */
	assert_int_equal(box_result(b, x86_iret(v, 2)), OK);
	assert_int_equal(v->s.rflags, 2 | X86_VM | X86_IOPL | X86_CF);
	assert_int_equal(v->next_rip, 0x55);
	box_v86(b, 0, X86_CR4_VME);
	put16(b, 0x38004, X86_IF);
	assert_int_equal(box_result(b, x86_iret(v, 2)), OK); /* 21.3.4: IF goes to VIF */
	assert_true(v->s.rflags & X86_VIF);
	box_v86(b, 0, X86_CR4_VME);
	v->s.rflags |= X86_VIP;
	assert_int_equal(box_result(b, x86_iret(v, 2)), EXC(X86_GP, 0));
	box_v86(b, 0, X86_CR4_VME);
	put16(b, 0x38004, X86_TF);
	assert_int_equal(box_result(b, x86_iret(v, 2)), EXC(X86_GP, 0));
	assert_int_equal(box_result(b, x86_iret(v, 4)), EXC(X86_GP, 0)); /* 32-bit operand */
	box_free(b);
}

static void test_debug_traps(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	box_prot(b, 0);
	idt32(b, X86_DB, SEL_CODE0, 0x1111, 0x8e);
	v->s.pending_dbg = 1u << 14;
	v->s.dr7 |= 1 << 13;
	v->s.rflags |= X86_TF;
	assert_true(x86_poll_needed(v));
	assert_int_equal(x86_poll_events(v), X86_OK);
	assert_int_equal(v->s.rip, 0x1111);
	assert_int_equal(v->s.dr6, 0xffff4ff0); /* BS; 17.2.3 */
	assert_int_equal(v->s.dr7 & 1 << 13, 0);
	assert_int_equal(get32(b, BOX_SP - 4), 2 | X86_TF); /* a trap: RF not set */
	assert_int_equal(v->s.pending_dbg, 0);
	/* the shadow of MOV SS holds it for one instruction: 6.8.3 */
	box_prot(b, 0);
	v->s.pending_dbg = 1u << 14;
	v->s.shadow = X86_SHADOW_MOVSS;
	assert_int_equal(x86_poll_events(v), X86_OK);
	assert_int_equal(v->s.rip, 0x5000);
	assert_int_equal(x86_poll_events(v), X86_OK);
	assert_int_equal(v->s.rip, 0x1111);
	/* instruction break point: a fault whose image has RF = 0 */
	box_prot(b, 0);
	(void)x86_raise(v, X86_DB);
	v->exc.dr6 = 1;
	assert_int_equal(x86_deliver(v), X86_OK);
	assert_int_equal(get32(b, BOX_SP - 4), 2);
	box_free(b);
}

static void test_smap_on_delivery(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	/* The inner stack is on user pages: explicit supervisor accesses, so AC decides (4.6). */
	box_long(b, 3);
	v->s.cr4 |= X86_CR4_SMAP;
	v->s.efer |= X86_EFER_NXE;
	/* descriptor tables and TSS are implicit: put them on supervisor pages */
	put64(b, BOX_PT + 0x2000, (BOX_PT + 0x3000) | 7);
	for (unsigned i = 0; i < 512; i++)
		put64(b, BOX_PT + 0x3000 + i * 8, i << 12 | (i == 7 ? 0x67 : 0x63));
	x86_tlb_flush(v);
	x86_update_mode(v);
	idt64(b, 0x40, SEL_CODE0, 0x7777, 0xee, 0);
	assert_int_equal(box_result(b, x86_int(v, 0x40, true)), EXC(X86_PFV, 3));
	v->s.rflags |= X86_AC;
	assert_int_equal(box_result(b, x86_int(v, 0x40, true)), OK);
	box_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real),
		cmocka_unit_test(test_protected_same),
		cmocka_unit_test(test_protected_inner_and_iret),
		cmocka_unit_test(test_gate_checks),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_long_gate_checks),
		cmocka_unit_test(test_double_fault),
		cmocka_unit_test(test_triple_fault),
		cmocka_unit_test(test_nothing_half_written),
		cmocka_unit_test(test_iret_flags),
		cmocka_unit_test(test_iretq),
		cmocka_unit_test(test_v86_entry_exit),
		cmocka_unit_test(test_v86_int),
		cmocka_unit_test(test_v86_iret),
		cmocka_unit_test(test_debug_traps),
		cmocka_unit_test(test_smap_on_delivery),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
