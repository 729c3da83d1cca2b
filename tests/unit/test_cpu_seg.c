/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segmentation and far transfers: limit checks, loads, jumps, calls, returns, call gates, LAR to
 * VERW, LLDT, LTR, fast system calls. Intel SDM vol. 3, chapters 3 and 5; vol. 2.
 */
#include "cpu_box.h"

enum { R = X86_ACC_READ, W = X86_ACC_WRITE };

static const struct {
	uint16_t sel;
	uint64_t off;
	unsigned size, acc;
	uint32_t want;
	const char *cite;
} lin_rows[] = {
	{SEL_DATA0, 0xfffffffc, 4, R, OK, "5.3: last bytes of a flat segment"},
	{SEL_SMALL, 0xffc, 4, R, OK, "5.3: up to the limit"},
	{SEL_SMALL, 0xffd, 4, R, EXC(X86_GP, 0), "5.3: beyond the limit"},
	{SEL_SMALL, 0x1000, 1, W, EXC(X86_GP, 0), "5.3"},
	{SEL_SMALL, 0xffffffff, 4, R, EXC(X86_GP, 0), "5.3: offset wrap"},
	{SEL_DOWN, 0x1000, 4, W, OK, "5.3: expand-down, above the limit"},
	{SEL_DOWN, 0xfff, 1, R, EXC(X86_GP, 0), "5.3: expand-down, at the limit"},
	{SEL_DOWN, 0xfffffffd, 4, R, EXC(X86_GP, 0), "5.3: expand-down with B = 1 ends at 4 GiB"},
	{SEL_RO, 0, 4, R, OK, "5.5: read-only"},
	{SEL_RO, 0, 4, W, EXC(X86_GP, 0), "5.5: write to read-only"},
	{SEL_XO, 0, 4, R, EXC(X86_GP, 0), "5.5: read of execute-only"},
	{SEL_CODE0, 0, 4, R, OK, "5.5: readable code"},
	{SEL_CODE0, 0, 4, W, EXC(X86_GP, 0), "5.5: write to code"},
};

static void test_seg_lin(void **st)
{
	struct box *b = box_new("max", 1);
	gva_t lin;

	box_prot(b, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(lin_rows); i++) {
		seg_force(b, X86_DS, lin_rows[i].sel);
		assert_row(i, lin_rows[i].cite,
			   box_result(b, x86_seg_lin(b->v, X86_DS, lin_rows[i].off,
						     lin_rows[i].size, lin_rows[i].acc, &lin)),
			   lin_rows[i].want);
	}
	/* SS raises #SS; a null segment #GP. */
	seg_force(b, X86_SS, SEL_SMALL);
	assert_int_equal(box_result(b, x86_seg_lin(b->v, X86_SS, 0x1000, 1, R, &lin)),
			 EXC(X86_SSF, 0));
	b->v->s.seg[X86_ES].attr = X86_ATTR_NULL;
	assert_int_equal(box_result(b, x86_seg_lin(b->v, X86_ES, 0, 1, R, &lin)), EXC(X86_GP, 0));
	/* base wraps at 4 GiB */
	b->v->s.seg[X86_DS] =
		(struct x86_seg){.base = 0xfffff000, .limit = 0xffffffff, .attr = 0xc093};
	assert_int_equal(box_result(b, x86_seg_lin(b->v, X86_DS, 0x2000, 4, R, &lin)), OK);
	assert_int_equal(lin, 0x1000);
	box_free(b);
}

static void test_seg_lin_64(void **st)
{
	struct box *b = box_new("max", 1);
	gva_t lin;

	box_long(b, 0);
	b->v->s.seg[X86_FS].base = 0xffff800000000000ull;
	b->v->s.seg[X86_DS].base = 0x1000; /* ignored */
	assert_int_equal(box_result(b, x86_seg_lin(b->v, X86_DS, 0x10, 8, W, &lin)), OK);
	assert_int_equal(lin, 0x10);
	assert_int_equal(box_result(b, x86_seg_lin(b->v, X86_FS, 0x10, 8, W, &lin)), OK);
	assert_int_equal(lin, 0xffff800000000010ull);
	assert_int_equal(
		box_result(b, x86_seg_lin(b->v, X86_DS, 0x0000800000000000ull, 1, R, &lin)),
		EXC(X86_GP, 0));
	assert_int_equal(
		box_result(b, x86_seg_lin(b->v, X86_DS, 0x00007ffffffffffcull, 8, R, &lin)),
		EXC(X86_GP, 0));
	assert_int_equal(
		box_result(b, x86_seg_lin(b->v, X86_SS, 0x8000000000000000ull, 1, R, &lin)),
		EXC(X86_SSF, 0));
	box_free(b);
}

static const struct {
	uint8_t cpl, seg;
	uint16_t sel;
	uint32_t want;
	const char *cite;
} load_rows[] = {
	/* SDM vol. 2, MOV, protected mode checks */
	{0, X86_DS, SEL_DATA0, OK, ""},
	{0, X86_DS, 0, OK, "null DS"},
	{0, X86_DS, 3, OK, "null DS with RPL 3"},
	{0, X86_SS, 0, EXC(X86_GP, 0), "null SS"},
	{0, X86_DS, SEL_END + 0x20, EXC(X86_GP, SEL_END + 0x20), "outside the GDT"},
	{0, X86_DS, SEL_DATA0 | 4, EXC(X86_GP, SEL_DATA0 | 4), "LDT is null"},
	{0, X86_DS, SEL_TSS, EXC(X86_GP, SEL_TSS), "system segment"},
	{0, X86_DS, SEL_XO, EXC(X86_GP, SEL_XO), "execute-only"},
	{0, X86_DS, SEL_CODE0, OK, "readable code"},
	{0, X86_DS, SEL_NP, EXC(X86_NP, SEL_NP), "not present"},
	{0, X86_SS, SEL_NP, EXC(X86_SSF, SEL_NP), "SS not present"},
	{0, X86_SS, SEL_DATA3, EXC(X86_GP, SEL_DATA3 & ~3), "SS: RPL != CPL"},
	{0, X86_SS, SEL_DATA3 & ~3, EXC(X86_GP, SEL_DATA3 & ~3), "SS: DPL != CPL"},
	{0, X86_SS, SEL_RO, EXC(X86_GP, SEL_RO), "SS read-only"},
	{0, X86_SS, SEL_CODE0, EXC(X86_GP, SEL_CODE0), "SS code"},
	{0, X86_SS, SEL_DATA0, OK, ""},
	{0, X86_DS, SEL_DATA0 | 3, EXC(X86_GP, SEL_DATA0), "RPL 3 > DPL 0"},
	{3, X86_DS, SEL_DATA0, EXC(X86_GP, SEL_DATA0), "CPL 3 > DPL 0"},
	{3, X86_ES, SEL_DATA3, OK, ""},
	{3, X86_GS, SEL_CONF0, OK, "conforming code: no privilege check"},
	{1, X86_FS, SEL_DATA1, OK, ""},
	{1, X86_SS, SEL_DATA1, OK, ""},
};

static void test_load_seg(void **st)
{
	struct box *b = box_new("max", 1);

	for (unsigned i = 0; i < ARRAY_SIZE(load_rows); i++) {
		box_prot(b, load_rows[i].cpl);
		assert_row(i, load_rows[i].cite,
			   box_result(b, x86_load_seg(b->v, load_rows[i].seg, load_rows[i].sel)),
			   load_rows[i].want);
		if (load_rows[i].want == OK)
			assert_row(i, load_rows[i].cite, b->v->s.seg[load_rows[i].seg].sel,
				   load_rows[i].sel);
	}
	/* the accessed bit is written: 3.4.5.1 */
	box_prot(b, 0);
	assert_int_equal(x86_load_seg(b->v, X86_DS, SEL_DATA_NA), X86_OK);
	assert_int_equal(box_desc_type(b, SEL_DATA_NA), 0x93);
	assert_int_equal(b->v->s.seg[X86_DS].attr & 1, 1);
	box_free(b);
}

static void test_accessed_in_read_only_gdt(void **st)
{
	struct box *b = box_new("max", 1);

	box_long(b, 0);
	put64(b, BOX_PT + 0x2000, (BOX_PT + 0x3000) | 7);
	put64(b, BOX_PT + 0x3000 + 8, BOX_GDT | 5); /* read-only */
	x86_tlb_flush(b->v);
	assert_int_equal(box_result(b, x86_load_seg(b->v, X86_DS, SEL_DATA0)), OK);
	assert_int_equal(box_result(b, x86_load_seg(b->v, X86_DS, SEL_DATA_NA)), EXC(X86_PFV, 3));
	assert_int_equal(b->v->exc.cr2, BOX_GDT + SEL_DATA_NA + 5);
	assert_int_equal(b->v->s.seg[X86_DS].sel, SEL_DATA0);
	box_free(b);
}

static void test_unreal(void **st)
{
	struct box *b = box_new("max", 1);
	gva_t lin;

	/* The limit survives the way back to real mode and a load there. */
	box_prot(b, 0);
	seg_force(b, X86_CS, SEL_C16);
	assert_int_equal(x86_set_cr0(b->v, X86_CR0_ET), X86_OK);
	assert_int_equal(x86_load_seg(b->v, X86_DS, 0x1234), X86_OK);
	assert_int_equal(b->v->s.seg[X86_DS].base, 0x12340);
	assert_int_equal(b->v->s.seg[X86_DS].limit, 0xffffffff);
	assert_int_equal(x86_seg_lin(b->v, X86_DS, 0x100000, 4, R, &lin), X86_OK);
	assert_int_equal(lin, 0x112340);
	box_real(b);
	assert_int_equal(box_result(b, x86_seg_lin(b->v, X86_DS, 0xffff, 2, R, &lin)),
			 EXC(X86_GP, 0));
	box_free(b);
}

static const struct {
	uint8_t cpl;
	uint16_t sel;
	uint64_t off;
	uint32_t want;
	const char *cite;
} jmp_rows[] = {
	/* SDM vol. 2, JMP */
	{0, SEL_CODE0, 0x1234, OK, "nonconforming, same privilege"},
	{0, 0, 0, EXC(X86_GP, 0), "null"},
	{0, SEL_DATA0, 0, EXC(X86_GP, SEL_DATA0), "data segment"},
	{0, SEL_CODE3 & ~3, 0, EXC(X86_GP, SEL_CODE3 & ~3), "DPL 3 != CPL 0"},
	{3, SEL_CODE0, 0, EXC(X86_GP, SEL_CODE0), "DPL 0 != CPL 3"},
	{3, SEL_CODE3, 0x77, OK, ""},
	{3, SEL_CONF0, 0x77, OK, "conforming DPL 0 from CPL 3"},
	{0, SEL_CODE0 | 3, 0, EXC(X86_GP, SEL_CODE0), "RPL 3 > CPL 0"},
	{0, SEL_CODENP, 0, EXC(X86_NP, SEL_CODENP), "not present"},
	{0, SEL_C16, 0x10000, EXC(X86_GP, 0), "offset beyond the limit"},
	{0, SEL_C16, 0xffff, OK, ""},
	{0, SEL_END, 0, EXC(X86_GP, SEL_END), "outside the GDT"},
};

static void test_far_jmp(void **st)
{
	struct box *b = box_new("max", 1);

	for (unsigned i = 0; i < ARRAY_SIZE(jmp_rows); i++) {
		box_prot(b, jmp_rows[i].cpl);
		assert_row(i, jmp_rows[i].cite,
			   box_result(b, x86_far_jmp(b->v, jmp_rows[i].sel, jmp_rows[i].off, 4)),
			   jmp_rows[i].want);
		assert_row(i, jmp_rows[i].cite, b->v->cpl, jmp_rows[i].cpl);
		if (jmp_rows[i].want != OK)
			continue;
		assert_row(i, jmp_rows[i].cite, b->v->next_rip, jmp_rows[i].off);
		assert_row(i, jmp_rows[i].cite, b->v->s.seg[X86_CS].sel,
			   (jmp_rows[i].sel & ~3u) | jmp_rows[i].cpl);
	}
	box_free(b);
}

static void test_far_jmp_modes(void **st)
{
	struct box *b = box_new("max", 1);

	box_real(b);
	assert_int_equal(x86_far_jmp(b->v, 0xf000, 0x1fff0, 2), X86_OK);
	assert_int_equal(b->v->s.seg[X86_CS].base, 0xf0000);
	assert_int_equal(b->v->next_rip, 0xfff0);
	assert_int_equal(box_result(b, x86_far_jmp(b->v, 0, 0x10000, 4)), EXC(X86_GP, 0));
	/* long mode: to compatibility mode and back */
	box_long(b, 0);
	assert_true(x86_is_64(b->v));
	assert_int_equal(x86_far_jmp(b->v, SEL_COMPAT0, 0x1000, 4), X86_OK);
	assert_false(x86_is_64(b->v));
	assert_true(b->v->mode & X86_MODE_CS32);
	assert_int_equal(x86_far_jmp(b->v, SEL_CODE0, 0x2000, 4), X86_OK);
	assert_true(x86_is_64(b->v));
	/* L and D both set; non-canonical target */
	box_desc(b, SEL_GATE, mk_desc(0, 0xfffff, 0x9b, 0xe));
	assert_int_equal(box_result(b, x86_far_jmp(b->v, SEL_GATE, 0, 4)), EXC(X86_GP, SEL_GATE));
	assert_int_equal(box_result(b, x86_far_jmp(b->v, SEL_CODE0, 0x8000000000000000ull, 8)),
			 EXC(X86_GP, 0));
	/* TSSs and task gates do not exist as targets in long mode: 8.2.1 */
	assert_int_equal(box_result(b, x86_far_jmp(b->v, SEL_TSS, 0, 4)), EXC(X86_GP, SEL_TSS));
	box_free(b);
}

static void test_far_call_same(void **st)
{
	struct box *b = box_new("max", 1);

	box_prot(b, 0);
	assert_int_equal(x86_far_call(b->v, SEL_CODE0, 0x4242, 4), X86_OK);
	assert_int_equal(b->v->s.gpr[X86_RSP], BOX_SP - 8);
	assert_int_equal(get32(b, BOX_SP - 8), 0x5000);
	assert_int_equal(get32(b, BOX_SP - 4), SEL_CODE0);
	assert_int_equal(b->v->next_rip, 0x4242);
	/* and back, popping 4 more bytes */
	assert_int_equal(x86_far_ret(b->v, 4, 4), X86_OK);
	assert_int_equal(b->v->next_rip, 0x5000);
	assert_int_equal(b->v->s.gpr[X86_RSP], BOX_SP + 4);
	/* 16-bit operand size */
	box_prot(b, 0);
	assert_int_equal(x86_far_call(b->v, SEL_CODE0, 0x4242, 2), X86_OK);
	assert_int_equal(b->v->s.gpr[X86_RSP], BOX_SP - 4);
	assert_int_equal(get16(b, BOX_SP - 4), 0x5000);
	/* no room: #SS(0), nothing changed */
	box_prot(b, 0);
	seg_force(b, X86_SS, SEL_SMALL);
	b->v->s.gpr[X86_RSP] = 4;
	x86_update_mode(b->v);
	assert_int_equal(box_result(b, x86_far_call(b->v, SEL_CODE0, 0x4242, 4)), EXC(X86_SSF, 0));
	assert_int_equal(b->v->s.gpr[X86_RSP], 4);
	assert_int_equal(b->v->next_rip, 0x5000);
	/* real mode */
	box_real(b);
	b->v->s.seg[X86_CS].sel = 0x1111;
	assert_int_equal(x86_far_call(b->v, 0x2222, 0x10, 2), X86_OK);
	assert_int_equal(get16(b, 0xfffa), 0x5000);
	assert_int_equal(get16(b, 0xfffc), 0x1111);
	assert_int_equal(x86_far_ret(b->v, 2, 0), X86_OK);
	assert_int_equal(b->v->s.seg[X86_CS].base, 0x11110);
	assert_int_equal(b->v->next_rip, 0x5000);
	box_free(b);
}

/* A call gate to ring 0 with two parameters, taken from ring 3. */
static void test_call_gate_inner(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	box_prot(b, 3);
	box_desc(b, SEL_GATE, mk_gate(SEL_CODE0, 0x123456, 0xec, 2));
	put32(b, BOX_SP, 0x11111111);
	put32(b, BOX_SP + 4, 0x22222222);
	assert_int_equal(box_result(b, x86_far_call(v, SEL_GATE | 3, 0xdead, 4)), OK);
	assert_int_equal(v->cpl, 0);
	assert_int_equal(v->s.seg[X86_CS].sel, SEL_CODE0);
	assert_int_equal(v->s.seg[X86_SS].sel, SEL_DATA0);
	assert_int_equal(v->next_rip, 0x123456);
	/* vol. 3, figure 5-13: EIP, CS, parameters, ESP, SS */
	assert_int_equal(v->s.gpr[X86_RSP], BOX_SP0 - 24);
	assert_int_equal(get32(b, BOX_SP0 - 24), 0x5000);
	assert_int_equal(get32(b, BOX_SP0 - 20), SEL_CODE3);
	assert_int_equal(get32(b, BOX_SP0 - 16), 0x11111111);
	assert_int_equal(get32(b, BOX_SP0 - 12), 0x22222222);
	assert_int_equal(get32(b, BOX_SP0 - 8), BOX_SP);
	assert_int_equal(get32(b, BOX_SP0 - 4), SEL_DATA3);
	/* RET 8 goes back, discards parameters on both stacks, nulls ring-0 data segments */
	assert_int_equal(x86_load_seg(v, X86_DS, SEL_DATA0), X86_OK);
	assert_int_equal(box_result(b, x86_far_ret(v, 4, 8)), OK);
	assert_int_equal(v->cpl, 3);
	assert_int_equal(v->s.gpr[X86_RSP], BOX_SP + 8);
	assert_int_equal(v->s.seg[X86_SS].sel, SEL_DATA3);
	assert_int_equal(v->s.seg[X86_DS].sel, 0);
	assert_true(v->s.seg[X86_DS].attr & X86_ATTR_NULL);
	assert_int_equal(v->s.seg[X86_ES].sel, SEL_DATA3);
	box_free(b);
}

static const struct {
	uint64_t gate;
	uint16_t ss0;
	uint32_t tss_limit;
	uint16_t rpl;
	uint32_t want;
	const char *cite;
} gate_rows[] = {
/* SDM vol. 2, CALL, CALL-GATE; from CPL 3 */
#define G(sel, type) ((uint64_t)(sel) << 16 | (uint64_t)(type) << 40 | 0x100)
	{G(SEL_CODE0, 0xec), SEL_DATA0, 0x2ff, 3, OK, ""},
	{G(SEL_CODE0, 0xe4), SEL_DATA0, 0x2ff, 3, OK, "16-bit gate"},
	{G(SEL_CODE0, 0x8c), SEL_DATA0, 0x2ff, 3, EXC(X86_GP, SEL_GATE), "gate DPL < CPL"},
	{G(SEL_CODE0, 0x6c), SEL_DATA0, 0x2ff, 3, EXC(X86_NP, SEL_GATE), "gate not present"},
	{G(0, 0xec), SEL_DATA0, 0x2ff, 3, EXC(X86_GP, 0), "null target"},
	{G(SEL_END, 0xec), SEL_DATA0, 0x2ff, 3, EXC(X86_GP, SEL_END), "target outside the GDT"},
	{G(SEL_DATA0, 0xec), SEL_DATA0, 0x2ff, 3, EXC(X86_GP, SEL_DATA0), "target not code"},
	{G(SEL_CODENP, 0xec), SEL_DATA0, 0x2ff, 3, EXC(X86_NP, SEL_CODENP), "target absent"},
	{G(SEL_CODE0, 0xec), 0, 0x2ff, 3, EXC(X86_TS, 0), "new SS null"},
	{G(SEL_CODE0, 0xec), SEL_END, 0x2ff, 3, EXC(X86_TS, SEL_END), "new SS outside"},
	{G(SEL_CODE0, 0xec), SEL_DATA3, 0x2ff, 3, EXC(X86_TS, SEL_DATA3 & ~3), "SS RPL != DPL"},
	{G(SEL_CODE0, 0xec), SEL_DATA3 & ~3, 0x2ff, 3, EXC(X86_TS, SEL_DATA3 & ~3), "SS DPL"},
	{G(SEL_CODE0, 0xec), SEL_RO, 0x2ff, 3, EXC(X86_TS, SEL_RO), "SS read-only"},
	{G(SEL_CODE0, 0xec), SEL_NP, 0x2ff, 3, EXC(X86_SSF, SEL_NP), "SS absent"},
	{G(SEL_CODE0, 0xec), SEL_DATA0, 8, 3, EXC(X86_TS, SEL_TSS), "TSS too short"},
	{G(SEL_CONF0, 0xec), SEL_DATA0, 0x2ff, 3, OK, "conforming: no stack switch"},
	{G(SEL_CODE3, 0xec), SEL_DATA0, 0x2ff, 3, OK, "same privilege"},
	{G(SEL_CODE0, 0xed), SEL_DATA0, 0x2ff, 3, EXC(X86_GP, SEL_GATE), "not a gate for CALL"},
#undef G
};

static void test_call_gate_checks(void **st)
{
	struct box *b = box_new("max", 1);

	for (unsigned i = 0; i < ARRAY_SIZE(gate_rows); i++) {
		box_prot(b, 3);
		box_desc(b, SEL_GATE, gate_rows[i].gate);
		put16(b, BOX_TSS + 8, gate_rows[i].ss0);
		b->v->s.tr.limit = gate_rows[i].tss_limit;
		assert_row(i, gate_rows[i].cite,
			   box_result(b, x86_far_call(b->v, SEL_GATE | gate_rows[i].rpl, 0, 4)),
			   gate_rows[i].want);
		if (gate_rows[i].want != OK)
			assert_row(i, gate_rows[i].cite, b->v->s.gpr[X86_RSP], BOX_SP);
	}
	/* JMP cannot raise the privilege */
	box_prot(b, 3);
	box_desc(b, SEL_GATE, mk_gate(SEL_CODE0, 0x100, 0xec, 0));
	assert_int_equal(box_result(b, x86_far_jmp(b->v, SEL_GATE | 3, 0, 4)),
			 EXC(X86_GP, SEL_CODE0));
	box_free(b);
}

static void test_call_gate_64(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	box_long(b, 3);
	put64(b, BOX_GDT + SEL_GATE, mk_gate(SEL_CODE0, 0x89abcdef, 0xec, 0));
	put64(b, BOX_GDT + SEL_GATE + 8, 0xffffffff);
	assert_int_equal(box_result(b, x86_far_call(v, SEL_GATE | 3, 0, 4)), OK);
	/* vol. 3, 5.8.5.1: 8-byte pushes, SS becomes null with RPL = CPL */
	assert_int_equal(v->next_rip, 0xffffffff89abcdefull);
	assert_int_equal(v->cpl, 0);
	assert_int_equal(v->s.seg[X86_SS].sel, 0);
	assert_int_equal(v->s.gpr[X86_RSP], BOX_SP0 - 32);
	assert_int_equal(get64(b, BOX_SP0 - 32), 0x5000);
	assert_int_equal(get64(b, BOX_SP0 - 24), SEL_CODE3);
	assert_int_equal(get64(b, BOX_SP0 - 16), BOX_SP);
	assert_int_equal(get64(b, BOX_SP0 - 8), SEL_DATA3);
	assert_int_equal(box_result(b, x86_far_ret(v, 8, 0)), OK);
	assert_int_equal(v->cpl, 3);
	assert_int_equal(v->s.gpr[X86_RSP], BOX_SP);
	/* upper half type must be 0; non-canonical target */
	put64(b, BOX_GDT + SEL_GATE + 8, 0x0000010000000000ull | 0xffffffff);
	assert_int_equal(box_result(b, x86_far_call(v, SEL_GATE | 3, 0, 4)), EXC(X86_GP, SEL_GATE));
	put64(b, BOX_GDT + SEL_GATE + 8, 0x12345678);
	assert_int_equal(box_result(b, x86_far_call(v, SEL_GATE | 3, 0, 4)), EXC(X86_GP, 0));
	assert_int_equal(v->cpl, 3);
	box_free(b);
}

static const struct {
	uint8_t cpl;
	uint16_t cs, ss;
	uint32_t eip, want;
	const char *cite;
} ret_rows[] = {
	/* SDM vol. 2, RET, PROTECTED-MODE-RETURN; the stack holds EIP, CS, ESP, SS */
	{0, SEL_CODE0, 0, 0x10, OK, "same privilege"},
	{0, SEL_CODE3, SEL_DATA3, 0x10, OK, "outer"},
	{3, SEL_CODE0, 0, 0x10, EXC(X86_GP, SEL_CODE0), "RPL < CPL"},
	{0, 0, 0, 0x10, EXC(X86_GP, 0), "null CS"},
	{0, SEL_DATA0, 0, 0x10, EXC(X86_GP, SEL_DATA0), "not code"},
	{0, SEL_CODE0 | 3, SEL_DATA3, 0x10, EXC(X86_GP, SEL_CODE0), "DPL != RPL"},
	{0, SEL_CONF0 | 3, SEL_DATA3, 0x10, OK, "conforming, DPL <= RPL"},
	{0, SEL_CODENP, 0, 0x10, EXC(X86_NP, SEL_CODENP), "absent"},
	{0, SEL_CODE3, 0, 0x10, EXC(X86_GP, 0), "null SS"},
	{0, SEL_CODE3, SEL_DATA0, 0x10, EXC(X86_GP, SEL_DATA0), "SS RPL != CS RPL"},
	{0, SEL_CODE3, SEL_DATA0 | 3, 0x10, EXC(X86_GP, SEL_DATA0), "SS DPL != CS RPL"},
	{0, SEL_CODE3, SEL_CODE3, 0x10, EXC(X86_GP, SEL_CODE3 & ~3), "SS not writable data"},
	{0, SEL_C16, 0, 0x10000, EXC(X86_GP, 0), "EIP beyond the limit"},
};

static void test_far_ret(void **st)
{
	struct box *b = box_new("max", 1);

	for (unsigned i = 0; i < ARRAY_SIZE(ret_rows); i++) {
		box_prot(b, ret_rows[i].cpl);
		put32(b, BOX_SP, ret_rows[i].eip);
		put32(b, BOX_SP + 4, ret_rows[i].cs);
		put32(b, BOX_SP + 8, 0xabcd0);
		put32(b, BOX_SP + 12, ret_rows[i].ss);
		assert_row(i, ret_rows[i].cite, box_result(b, x86_far_ret(b->v, 4, 0)),
			   ret_rows[i].want);
		if (ret_rows[i].want != OK) {
			assert_row(i, ret_rows[i].cite, b->v->s.gpr[X86_RSP], BOX_SP);
			continue;
		}
		assert_row(i, ret_rows[i].cite, b->v->next_rip, ret_rows[i].eip);
		assert_row(i, ret_rows[i].cite, b->v->s.gpr[X86_RSP],
			   ret_rows[i].ss ? 0xabcd0 : BOX_SP + 8);
	}
	box_free(b);
}

static const struct {
	uint16_t sel;
	uint8_t cpl;
	char what;
	bool ok;
	uint32_t val;
	const char *cite;
} query_rows[] = {
	{0, 0, 'a', false, 0, "LAR: null"},
	{SEL_CODE0, 0, 'a', true, 0x00cf9b00, "LAR: 19:16 undefined, processors give the limit's"},
	{SEL_CODE0, 3, 'a', false, 0, "LAR: CPL > DPL"},
	{SEL_CODE0 | 3, 0, 'a', false, 0, "LAR: RPL > DPL"},
	{SEL_CONF0, 3, 'a', true, 0x00cf9f00, "LAR: conforming is always visible"},
	{SEL_TSS, 0, 'a', true, 0x00008b00, "table 3-53: busy TSS"},
	{SEL_TASKGATE, 3, 'a', true, 0x0000e500, "table 3-53: task gate"},
	{SEL_TASKGATE, 3, 'l', false, 0, "table 3-56: gates have no limit"},
	{SEL_LDT, 0, 'l', true, 0xff, "LSL: LDT"},
	{SEL_DATA0, 0, 'l', true, 0xffffffff, "LSL: G = 1"},
	{SEL_SMALL, 0, 'l', true, 0xfff, "LSL: bytes"},
	{SEL_NP, 0, 'l', true, 0xffffffff, "LSL: P is not checked"},
	{SEL_END, 0, 'l', false, 0, "LSL: outside"},
	{SEL_XO, 0, 'r', false, 0, "VERR: execute-only"},
	{SEL_CODE0, 0, 'r', true, 0, "VERR"},
	{SEL_CONF0, 3, 'r', true, 0, "VERR: conforming"},
	{SEL_DATA0, 3, 'r', false, 0, "VERR: privilege"},
	{SEL_TSS, 0, 'r', false, 0, "VERR: system"},
	{SEL_RO, 0, 'w', false, 0, "VERW: read-only"},
	{SEL_DATA0, 0, 'w', true, 0, "VERW"},
	{SEL_CODE0, 0, 'w', false, 0, "VERW: code"},
};

static void test_selector_queries(void **st)
{
	struct box *b = box_new("max", 1);

	for (unsigned i = 0; i < ARRAY_SIZE(query_rows); i++) {
		uint32_t val = 0;
		bool ok;

		box_prot(b, query_rows[i].cpl);
		assert_int_equal(
			x86_sel_access(b->v, query_rows[i].sel, query_rows[i].what, &ok, &val),
			X86_OK);
		assert_row(i, query_rows[i].cite, ok, query_rows[i].ok);
		assert_row(i, query_rows[i].cite, val, query_rows[i].val);
	}
	box_free(b);
}

static void test_lldt_ltr(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	box_prot(b, 0);
	assert_int_equal(box_result(b, x86_lldt(v, 0)), OK);
	assert_int_equal(box_result(b, x86_lldt(v, SEL_LDT)), OK);
	assert_int_equal(v->s.ldtr.base, BOX_LDT);
	assert_int_equal(box_result(b, x86_lldt(v, SEL_DATA0)), EXC(X86_GP, SEL_DATA0));
	assert_int_equal(box_result(b, x86_lldt(v, SEL_LDT | 4)), EXC(X86_GP, SEL_LDT | 4));
	box_desc(b, SEL_LDT, mk_desc(BOX_LDT, 0xff, 0x02, 0));
	assert_int_equal(box_result(b, x86_lldt(v, SEL_LDT)), EXC(X86_NP, SEL_LDT));
	/* a segment in the LDT */
	put64(b, BOX_LDT + 8, mk_desc(0x5000, 0xfff, 0x93, 4));
	assert_int_equal(box_result(b, x86_load_seg(v, X86_DS, 0xc)), OK);
	assert_int_equal(v->s.seg[X86_DS].base, 0x5000);
	assert_int_equal(box_result(b, x86_ltr(v, 0)), EXC(X86_GP, 0));
	assert_int_equal(box_result(b, x86_ltr(v, SEL_TSS)), EXC(X86_GP, SEL_TSS)); /* busy */
	assert_int_equal(box_result(b, x86_ltr(v, SEL_TSS2)), OK);
	assert_int_equal(box_desc_type(b, SEL_TSS2), 0x8b);
	assert_int_equal(v->s.tr.base, BOX_TSS2);
	/* long mode: 16 bytes, vol. 3, figure 8-4 */
	box_long(b, 0);
	box_desc(b, SEL_TSS, mk_desc(BOX_TSS, 0x67, 0x89, 0));
	put64(b, BOX_GDT + SEL_TSS + 8, 0xffff8000);
	assert_int_equal(box_result(b, x86_ltr(v, SEL_TSS)), OK);
	assert_int_equal(v->s.tr.base, 0xffff800000000000ull | BOX_TSS);
	box_desc(b, SEL_TSS, mk_desc(BOX_TSS, 0x67, 0x89, 0));
	put64(b, BOX_GDT + SEL_TSS + 8, 0x80000000); /* non-canonical base */
	assert_int_equal(box_result(b, x86_ltr(v, SEL_TSS)), EXC(X86_GP, SEL_TSS));
	box_desc(b, SEL_TSS, mk_desc(BOX_TSS, 0x67, 0x81, 0)); /* 16-bit TSS */
	assert_int_equal(box_result(b, x86_ltr(v, SEL_TSS)), EXC(X86_GP, SEL_TSS));
	box_free(b);
}

static void test_null_ss_64(void **st)
{
	struct box *b = box_new("max", 1);

	/* SDM vol. 2, MOV: SS may be null in 64-bit mode below CPL 3 with RPL = CPL */
	box_long(b, 0);
	assert_int_equal(box_result(b, x86_load_seg(b->v, X86_SS, 0)), OK);
	assert_int_equal(b->v->cpl, 0);
	assert_int_equal(box_result(b, x86_load_seg(b->v, X86_SS, 1)), EXC(X86_GP, 0));
	box_long(b, 3);
	assert_int_equal(box_result(b, x86_load_seg(b->v, X86_SS, 3)), EXC(X86_GP, 0));
	box_free(b);
}

static void test_syscall(void **st)
{
	struct box *b = box_new("base", 1); /* an Intel model on every host */
	struct vcpu *v = b->v;

	box_long(b, 3);
	v->s.star = (uint64_t)0x10 << 48 | (uint64_t)0x08 << 32;
	v->s.lstar = 0xffffffff80000000ull;
	v->s.sfmask = X86_IF | X86_TF | X86_DF;
	v->s.rflags = 2 | X86_IF | X86_CF | X86_RF;
	assert_int_equal(box_result(b, x86_syscall(v)), OK);
	assert_int_equal(v->next_rip, 0xffffffff80000000ull);
	assert_int_equal(v->s.gpr[X86_RCX], 0x5000);
	assert_int_equal(v->s.gpr[X86_R11], 2 | X86_IF | X86_CF);
	assert_int_equal(v->s.rflags, 2 | X86_CF);
	assert_int_equal(v->cpl, 0);
	assert_int_equal(v->s.seg[X86_CS].sel, 0x08);
	assert_int_equal(v->s.seg[X86_SS].sel, 0x10);
	assert_int_equal(box_result(b, x86_sysret(v, 8)), OK);
	assert_int_equal(v->next_rip, 0x5000);
	assert_int_equal(v->cpl, 3);
	assert_int_equal(v->s.seg[X86_CS].sel, 0x23);
	assert_int_equal(v->s.seg[X86_SS].sel, 0x1b);
	assert_int_equal(v->s.rflags, 2 | X86_IF | X86_CF);
	assert_int_equal(box_result(b, x86_sysret(v, 8)), EXC(X86_GP, 0)); /* CPL 3 */
	box_long(b, 0);
	v->s.gpr[X86_RCX] = 0x0000800000000000ull;
	assert_int_equal(box_result(b, x86_sysret(v, 8)), EXC(X86_GP, 0));
	assert_int_equal(v->cpl, 0);
	assert_int_equal(box_result(b, x86_sysret(v, 4)), OK); /* to compatibility mode */
	assert_false(x86_is_64(v));
	assert_int_equal(box_result(b, x86_syscall(v)),
			 EXC(X86_UD, NOERR)); /* Intel: 64-bit only */
	box_long(b, 3);
	v->s.efer &= ~(uint64_t)X86_EFER_SCE;
	assert_int_equal(box_result(b, x86_syscall(v)), EXC(X86_UD, NOERR));
	box_free(b);
}

/* AMD APM vol. 3, SYSCALL, SYSRET */
static void test_syscall_amd(void **st)
{
	struct box *b = box_new("max-amd", 1);
	struct vcpu *v = b->v;

	/* legacy mode: EIP from STAR, RFLAGS but for IF as they are */
	box_prot(b, 3);
	v->s.efer |= X86_EFER_SCE;
	v->s.star = (uint64_t)0x1b << 48 | (uint64_t)0x08 << 32 | 0x1234;
	v->s.sfmask = ~0u;
	v->s.rflags = 2 | X86_IF | X86_CF;
	assert_int_equal(box_result(b, x86_syscall(v)), OK);
	assert_int_equal(v->next_rip, 0x1234);
	assert_int_equal(v->s.gpr[X86_RCX], 0x5000);
	assert_int_equal(v->s.rflags, 2 | X86_CF);
	assert_int_equal(v->cpl, 0);
	v->s.seg[X86_SS].limit = 0x1ffff;
	v->s.gpr[X86_R11] = 2;
	assert_int_equal(box_result(b, x86_sysret(v, 4)), OK);
	assert_int_equal(v->next_rip, 0x5000);
	assert_int_equal(v->cpl, 3);
	assert_int_equal(v->s.seg[X86_CS].sel, 0x1b);
	assert_int_equal(v->s.seg[X86_SS].sel, 0x23);
	assert_int_equal(v->s.seg[X86_SS].limit, 0x1ffff);
	assert_int_equal(v->s.rflags, 2 | X86_IF | X86_CF);
	box_real(b);
	v->s.efer |= X86_EFER_SCE;
	assert_int_equal(box_result(b, x86_sysret(v, 4)), EXC(X86_GP, 0));
	/* long mode: RCX is not looked at; a null SS stays one */
	box_long(b, 0);
	v->s.star = (uint64_t)0x10 << 48 | (uint64_t)0x08 << 32;
	v->s.efer |= X86_EFER_SCE;
	v->s.gpr[X86_RCX] = 0x0000800000000000ull;
	v->s.gpr[X86_R11] = 2;
	assert_int_equal(box_result(b, x86_load_seg(v, X86_SS, 0)), OK);
	assert_int_equal(box_result(b, x86_sysret(v, 8)), OK);
	assert_int_equal(v->cpl, 3);
	assert_int_equal(v->next_rip, 0x0000800000000000ull);
	assert_int_equal(v->s.seg[X86_SS].sel, 0x1b);
	assert_true(v->s.seg[X86_SS].attr & X86_ATTR_NULL);
	assert_int_equal(box_result(b, x86_sysenter(v)), EXC(X86_UD, NOERR));
	box_free(b);
}

static void test_sysenter(void **st)
{
	struct box *b = box_new("base", 1); /* an Intel model on every host */
	struct vcpu *v = b->v;

	box_prot(b, 3);
	assert_int_equal(box_result(b, x86_sysenter(v)), EXC(X86_GP, 0)); /* CS MSR is 0 */
	v->s.sysenter_cs = SEL_CODE0;
	v->s.sysenter_eip = 0x1234;
	v->s.sysenter_esp = 0x8000;
	v->s.rflags |= X86_IF;
	assert_int_equal(box_result(b, x86_sysenter(v)), OK);
	assert_int_equal(v->cpl, 0);
	assert_int_equal(v->next_rip, 0x1234);
	assert_int_equal(v->s.gpr[X86_RSP], 0x8000);
	assert_int_equal(v->s.seg[X86_SS].sel, SEL_CODE0 + 8);
	assert_int_equal(v->s.rflags & X86_IF, 0);
	v->s.gpr[X86_RCX] = 0x10000;
	v->s.gpr[X86_RDX] = 0x5002;
	assert_int_equal(box_result(b, x86_sysexit(v, 4)), OK);
	assert_int_equal(v->cpl, 3);
	assert_int_equal(v->s.seg[X86_CS].sel, (SEL_CODE0 + 16) | 3);
	assert_int_equal(v->s.seg[X86_SS].sel, (SEL_CODE0 + 24) | 3);
	assert_int_equal(v->s.gpr[X86_RSP], 0x10000);
	assert_int_equal(box_result(b, x86_sysexit(v, 4)), EXC(X86_GP, 0));
	box_long(b, 0);
	v->s.gpr[X86_RDX] = 0x8000000000000000ull;
	assert_int_equal(box_result(b, x86_sysexit(v, 8)), EXC(X86_GP, 0));
	box_free(b);
}

static void test_stack_wrap(void **st)
{
	struct box *b = box_new("max", 1);
	uint64_t x;

	/* 16-bit stack: SP wraps, the upper half of ESP stays. SDM vol. 1, 6.2.3 */
	box_real(b);
	b->v->s.gpr[X86_RSP] = 0xabcd0000;
	assert_int_equal(x86_push(b->v, 2, 0x1234), X86_OK);
	assert_int_equal(b->v->s.gpr[X86_RSP], 0xabcdfffe);
	assert_int_equal(get16(b, 0xfffe), 0x1234);
	assert_int_equal(x86_pop(b->v, 2, &x), X86_OK);
	assert_int_equal(x, 0x1234);
	assert_int_equal(b->v->s.gpr[X86_RSP], 0xabcd0000);
	b->v->s.gpr[X86_RSP] = 1;
	assert_int_equal(box_result(b, x86_push(b->v, 2, 0)), EXC(X86_SSF, 0));
	assert_int_equal(b->v->s.gpr[X86_RSP], 1);
	box_free(b);
}

static void test_control_registers(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	box_prot(b, 0);
	assert_int_equal(box_result(b, x86_set_cr0(v, X86_CR0_PG)), EXC(X86_GP, 0));
	assert_int_equal(box_result(b, x86_set_cr0(v, X86_CR0_PE | X86_CR0_NW)), EXC(X86_GP, 0));
	assert_int_equal(box_result(b, x86_set_cr0(v, 1ull << 32 | X86_CR0_PE)), EXC(X86_GP, 0));
	assert_int_equal(box_result(b, x86_set_cr0(v, 0x0f000001)), OK); /* reserved: ignored */
	assert_int_equal(v->s.cr0, X86_CR0_PE | X86_CR0_ET);
	assert_int_equal(box_result(b, x86_set_cr4(v, 1u << 13)), EXC(X86_GP, 0));
	assert_int_equal(box_result(b, x86_set_cr4(v, X86_CR4_PCIDE)), EXC(X86_GP, 0));
	/* into long mode: 10.8.5 */
	box_identity(b);
	v->s.cr3 = BOX_PT;
	assert_int_equal(box_result(b, x86_set_efer(v, X86_EFER_LME)), OK);
	assert_int_equal(box_result(b, x86_set_cr0(v, X86_CR0_PE | X86_CR0_PG)), EXC(X86_GP, 0));
	assert_int_equal(box_result(b, x86_set_cr4(v, X86_CR4_PAE)), OK);
	assert_int_equal(box_result(b, x86_set_cr0(v, X86_CR0_PE | X86_CR0_PG)), OK);
	assert_int_equal(v->s.efer, X86_EFER_LME | X86_EFER_LMA);
	assert_false(x86_is_64(v)); /* compatibility mode until CS is reloaded */
	assert_int_equal(box_result(b, x86_set_efer(v, 0)), EXC(X86_GP, 0));
	assert_int_equal(box_result(b, x86_set_cr4(v, 0)), EXC(X86_GP, 0));
	box_gdt(b, true);
	assert_int_equal(box_result(b, x86_far_jmp(v, SEL_CODE0, 0, 4)), OK);
	assert_true(x86_is_64(v));
	assert_int_equal(box_result(b, x86_set_cr0(v, X86_CR0_PE)), EXC(X86_GP, 0));
	assert_int_equal(box_result(b, x86_set_cr4(v, X86_CR4_PAE | X86_CR4_PCIDE)), OK);
	assert_int_equal(box_result(b, x86_far_jmp(v, SEL_COMPAT0, 0, 4)), OK);
	assert_int_equal(box_result(b, x86_set_cr0(v, X86_CR0_PE)), EXC(X86_GP, 0)); /* PCIDE */
	assert_int_equal(box_result(b, x86_set_cr4(v, X86_CR4_PAE)), OK);
	assert_int_equal(box_result(b, x86_set_cr0(v, X86_CR0_PE)), OK);
	assert_int_equal(v->s.efer, X86_EFER_LME);
	/* debug registers: 17.2.2, 17.2.4 */
	assert_int_equal(box_result(b, x86_set_dr(v, 7, 0xffffdfff)), OK);
	assert_int_equal(v->s.dr7, 0xffff07ff);
	v->s.cr4 |= X86_CR4_DE;
	assert_int_equal(box_result(b, x86_set_dr(v, 4, 0)), EXC(X86_UD, NOERR));
	v->s.cr4 &= ~(uint64_t)X86_CR4_DE;
	assert_int_equal(box_result(b, x86_set_dr(v, 4, 0xffffffff)), OK);
	assert_int_equal(v->s.dr6, 0xffffeff0 | 0xf);
	v->s.dr7 |= 1 << 13;
	assert_int_equal(box_result(b, x86_set_dr(v, 0, 0)), EXC(X86_DB, NOERR));
	assert_int_equal(v->exc.dr6, 1 << 13);
	/* XCR0: vol. 1, 13.3 */
	assert_int_equal(box_result(b, x86_set_xcr(v, 0, 6)), EXC(X86_GP, 0));
	assert_int_equal(box_result(b, x86_set_xcr(v, 0, 5)), EXC(X86_GP, 0));
	assert_int_equal(box_result(b, x86_set_xcr(v, 0, 3)), OK);
	assert_int_equal(box_result(b, x86_set_xcr(v, 1, 1)), EXC(X86_GP, 0));
	box_free(b);
}

static void test_io_bitmap(void **st)
{
	struct box *b = box_new("max", 1);

	/* SDM vol. 1, 19.5.2; the map starts at 100h of the TSS, limit 2ffh */
	box_prot(b, 3);
	memset(b->ram + BOX_TSS + 0x100, 0xff, 0x200);
	b->ram[BOX_TSS + 0x100 + 0x60 / 8] = 0xee; /* ports 60h and 64h */
	assert_int_equal(box_result(b, x86_io_allowed(b->v, 0x60, 1)), OK);
	assert_int_equal(box_result(b, x86_io_allowed(b->v, 0x64, 1)), OK);
	assert_int_equal(box_result(b, x86_io_allowed(b->v, 0x60, 2)), EXC(X86_GP, 0));
	assert_int_equal(box_result(b, x86_io_allowed(b->v, 0x61, 1)), EXC(X86_GP, 0));
	assert_int_equal(box_result(b, x86_io_allowed(b->v, 0xff8, 1)), EXC(X86_GP, 0));
	assert_int_equal(box_result(b, x86_io_allowed(b->v, 0x1000, 1)), EXC(X86_GP, 0));
	b->v->s.rflags |= X86_IOPL;
	assert_int_equal(box_result(b, x86_io_allowed(b->v, 0x61, 4)), OK);
	box_cpl(b, 0);
	b->v->s.rflags = 2;
	assert_int_equal(box_result(b, x86_io_allowed(b->v, 0x61, 4)), OK);
	box_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seg_lin),
		cmocka_unit_test(test_seg_lin_64),
		cmocka_unit_test(test_load_seg),
		cmocka_unit_test(test_accessed_in_read_only_gdt),
		cmocka_unit_test(test_unreal),
		cmocka_unit_test(test_far_jmp),
		cmocka_unit_test(test_far_jmp_modes),
		cmocka_unit_test(test_far_call_same),
		cmocka_unit_test(test_call_gate_inner),
		cmocka_unit_test(test_call_gate_checks),
		cmocka_unit_test(test_call_gate_64),
		cmocka_unit_test(test_far_ret),
		cmocka_unit_test(test_selector_queries),
		cmocka_unit_test(test_lldt_ltr),
		cmocka_unit_test(test_null_ss_64),
		cmocka_unit_test(test_syscall),
		cmocka_unit_test(test_syscall_amd),
		cmocka_unit_test(test_sysenter),
		cmocka_unit_test(test_stack_wrap),
		cmocka_unit_test(test_control_registers),
		cmocka_unit_test(test_io_bitmap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
