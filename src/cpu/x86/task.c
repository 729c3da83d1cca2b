/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hardware task switches through 16- and 32-bit TSSs, and the I/O permission bitmap. Intel SDM
 * vol. 3, 7.3 (the numbered steps), figures 7-2 and 7-10; vol. 1, 19.5.2 (bitmap).
 *
 * Both TSSs are probed before anything is written, so a page fault leaves the old task current.
 * From the commit point on (SDM: step 12) faults belong to the new task: its registers are loaded,
 * s.rip is its entry, and segment registers that were not yet checked are unusable.
 */
#include "cpu/x86/internal.h"

enum { TSS32_SIZE = 104, TSS16_SIZE = 44 };

/* The dynamic fields of both formats. */
struct task {
	uint32_t eip, eflags, gpr[8];
	uint16_t seg[X86_SREG_COUNT], ldt;
	uint32_t cr3;
	bool trap;
};

/* Order of the segment selectors in a TSS. The 16-bit format ends after DS. */
static const enum x86_sreg tss_segs[] = {X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS};

static void task_parse(const uint8_t *b, bool is32, struct task *t)
{
	memset(t, 0, sizeof(*t));
	if (is32) {
		t->cr3 = ld_le32(b + 0x1c);
		t->eip = ld_le32(b + 0x20);
		t->eflags = ld_le32(b + 0x24);
		for (unsigned i = 0; i < 8; i++)
			t->gpr[i] = ld_le32(b + 0x28 + i * 4);
		for (unsigned i = 0; i < 6; i++)
			t->seg[tss_segs[i]] = ld_le16(b + 0x48 + i * 4);
		t->ldt = ld_le16(b + 0x60);
		t->trap = b[0x64] & 1;
		return;
	}
	t->eip = ld_le16(b + 0x0e);
	t->eflags = ld_le16(b + 0x10);
	for (unsigned i = 0; i < 8; i++)
		t->gpr[i] = ld_le16(b + 0x12 + i * 2) | 0xffff0000;
	for (unsigned i = 0; i < 4; i++)
		t->seg[tss_segs[i]] = ld_le16(b + 0x22 + i * 2);
	t->ldt = ld_le16(b + 0x2a);
}

/* Bytes [0x20, 0x60) of a 32-bit, [0x0e, 0x2a) of a 16-bit TSS. */
static unsigned task_format(const struct vcpu *v, bool is32, uint32_t eip, uint32_t eflags,
			    uint8_t *b)
{
	if (is32) {
		st_le32(b, eip);
		st_le32(b + 4, eflags);
		for (unsigned i = 0; i < 8; i++)
			st_le32(b + 8 + i * 4, (uint32_t)v->s.gpr[i]);
		for (unsigned i = 0; i < 6; i++)
			st_le32(b + 0x28 + i * 4, v->s.seg[tss_segs[i]].sel);
		return 0x40;
	}
	st_le16(b, (uint16_t)eip);
	st_le16(b + 2, (uint16_t)eflags);
	for (unsigned i = 0; i < 8; i++)
		st_le16(b + 4 + i * 2, (uint16_t)v->s.gpr[i]);
	for (unsigned i = 0; i < 4; i++)
		st_le16(b + 0x14 + i * 2, v->s.seg[tss_segs[i]].sel);
	return 0x1c;
}

static int load_ldt(struct vcpu *v, uint16_t sel)
{
	struct x86_desc d;

	x86_seg_null(&v->s.ldtr, sel);
	if (sel_null(sel))
		return X86_OK;
	if (sel & 4)
		return x86_raise_sel(v, X86_TS, sel);
	if (x86_desc_read(v, sel, X86_TS, &d))
		return X86_FAULT;
	if (desc_s(&d) || desc_type(&d) != DESC_LDT || !desc_p(&d))
		return x86_raise_sel(v, X86_TS, sel);
	x86_seg_set(&v->s.ldtr, sel, &d);
	return X86_OK;
}

static int load_task_cs(struct vcpu *v, uint16_t sel)
{
	struct x86_desc d;

	if (sel_null(sel))
		return x86_raise_sel(v, X86_TS, sel);
	if (x86_desc_read(v, sel, X86_TS, &d))
		return X86_FAULT;
	if (!desc_is_code(&d))
		return x86_raise_sel(v, X86_TS, sel);
	if (desc_is_conforming(&d) ? desc_dpl(&d) > (sel & 3u) : desc_dpl(&d) != (sel & 3u))
		return x86_raise_sel(v, X86_TS, sel);
	if (!desc_p(&d))
		return x86_raise_sel(v, X86_NP, sel);
	if (x86_desc_accessed(v, &d))
		return X86_FAULT;
	x86_seg_set(&v->s.seg[X86_CS], sel, &d);
	return X86_OK;
}

/* Step 13 on: the new task's descriptors. */
static int load_task_segs(struct vcpu *v, const struct task *t)
{
	unsigned cpl = t->seg[X86_CS] & 3;

	if (load_ldt(v, t->ldt))
		return X86_FAULT;
	if (v->s.rflags & X86_VM)
		return X86_OK; /* done at the commit */
	if (load_task_cs(v, t->seg[X86_CS]))
		return X86_FAULT;
	if (sel_null(t->seg[X86_SS]))
		return x86_raise_sel(v, X86_TS, t->seg[X86_SS]);
	if (x86_stack_seg(v, t->seg[X86_SS], cpl, X86_TS, &v->s.seg[X86_SS]))
		return X86_FAULT;
	x86_update_mode(v);
	for (unsigned i = 0; i < X86_SREG_COUNT; i++)
		if (i != X86_CS && i != X86_SS && !sel_null(t->seg[i]) &&
		    x86_data_seg(v, t->seg[i], cpl, X86_TS, &v->s.seg[i]))
			return X86_FAULT;
	return X86_OK;
}

/* The commit point: everything of the new task that needs no descriptor. */
static int task_commit(struct vcpu *v, uint16_t sel, const struct x86_desc *d, const struct task *t,
		       bool is32)
{
	unsigned cpl = t->seg[X86_CS] & 3;
	int r = X86_OK;

	x86_seg_set(&v->s.tr, sel, d);
	v->s.cr0 |= X86_CR0_TS;
	v->s.rflags = (t->eflags & 0x3f7fd5) | 2;
	v->s.rip = v->next_rip = t->eip;
	for (unsigned i = 0; i < 8; i++)
		v->s.gpr[i] = t->gpr[i];
	for (unsigned i = 0; i < X86_SREG_COUNT; i++) {
		if (v->s.rflags & X86_VM) {
			x86_seg_v86(&v->s.seg[i], t->seg[i]);
			continue;
		}
		x86_seg_null(&v->s.seg[i], t->seg[i]);
		v->s.seg[i].attr |= cpl << X86_ATTR_DPL_SHIFT;
	}
	v->s.dr7 &= ~0x155ull; /* L0-L3, LE */
	v->s.shadow &= X86_SHADOW_NMI;
	if (t->trap)
		v->s.pending_dbg |= 1u << 15;
	if (is32 && (v->s.cr0 & X86_CR0_PG))
		r = x86_set_cr3(v, t->cr3);
	x86_update_mode(v);
	return r;
}

static int push_error(struct vcpu *v, bool is32, uint32_t error)
{
	return x86_push(v, is32 ? 4 : 2, error);
}

/* Where both TSSs are, and what of them will be written. */
static int tss_probe(struct vcpu *v, gva_t from, bool from32, gva_t to, bool to32, bool link)
{
	unsigned sys = x86_table_system(v);

	if (x86_probe_t(v, sys, from + (from32 ? 0x20 : 0x0e), from32 ? 0x40 : 0x1c, X86_ACC_WRITE))
		return X86_FAULT;
	return link ? x86_probe_t(v, sys, to, to32 ? 4 : 2, X86_ACC_WRITE) : X86_OK;
}

int x86_task_switch(struct vcpu *v, uint16_t sel, struct x86_desc *d, enum x86_task_reason reason,
		    uint64_t rip, bool has_error, uint32_t error)
{
	bool from32 = v->s.tr.attr & 8, to32 = desc_type(d) & 8;
	bool link = reason == TASK_CALL || reason == TASK_INT;
	gva_t from = (uint32_t)v->s.tr.base, to = desc_base(d);
	uint16_t old_tr = v->s.tr.sel;
	uint32_t flags = (uint32_t)v->s.rflags;
	uint8_t b[TSS32_SIZE], out[0x40];
	struct x86_desc old;
	struct task t;
	unsigned n;

	if (desc_limit(d) < (to32 ? TSS32_SIZE : TSS16_SIZE) - 1u)
		return x86_raise_sel(v, X86_TS, sel);
	if (x86_read_sys(v, to, to32 ? TSS32_SIZE : TSS16_SIZE, b) ||
	    tss_probe(v, from, from32, to, to32, link))
		return X86_FAULT;
	task_parse(b, to32, &t);
	if (reason == TASK_JMP || reason == TASK_IRET) {
		if (x86_desc_read(v, old_tr, X86_TS, &old) || x86_desc_busy(v, &old, false))
			return X86_FAULT;
		if (reason == TASK_IRET)
			flags &= ~(uint32_t)X86_NT;
	}
	n = task_format(v, from32, (uint32_t)rip, flags, out);
	if (x86_write_sys(v, from + (from32 ? 0x20 : 0x0e), n, out))
		return X86_FAULT;
	if (link) {
		if (x86_write_sys(v, to, 2, &old_tr))
			return X86_FAULT;
		t.eflags |= X86_NT;
	}
	if (reason != TASK_IRET && x86_desc_busy(v, d, true))
		return X86_FAULT;
	if (task_commit(v, sel, d, &t, to32) || load_task_segs(v, &t))
		return X86_FAULT;
	if (has_error && push_error(v, to32, error))
		return X86_FAULT;
	if (t.eip > v->s.seg[X86_CS].limit)
		return x86_gp0(v);
	return X86_OK;
}

int x86_task_gate(struct vcpu *v, const struct x86_desc *gate, enum x86_task_reason reason,
		  uint64_t rip, bool has_error, uint32_t error)
{
	uint16_t sel = gate_sel(gate);
	struct x86_desc d;

	if (sel & 4)
		return x86_raise_sel(v, X86_GP, sel);
	if (x86_desc_read(v, sel, X86_GP, &d))
		return X86_FAULT;
	if (desc_s(&d) || (desc_type(&d) != DESC_TSS16 && desc_type(&d) != DESC_TSS32))
		return x86_raise_sel(v, X86_GP, sel);
	if (!desc_p(&d))
		return x86_raise_sel(v, X86_NP, sel);
	return x86_task_switch(v, sel, &d, reason, rip, has_error, error);
}

/* ---- I/O permission ---- */

int x86_io_allowed(struct vcpu *v, uint16_t port, unsigned size)
{
	const struct x86_seg *tr = &v->s.tr;
	uint8_t b[2];
	uint16_t map, bits;

	if (!(v->mode & X86_MODE_PE))
		return X86_OK;
	if (!(v->mode & X86_MODE_VM) && v->cpl <= x86_iopl(v))
		return X86_OK;
	/* Only 32-bit and 64-bit TSSs have a bitmap; its offset is at 66h. */
	if ((tr->attr & X86_ATTR_NULL) || !(tr->attr & 8) || tr->limit < 0x67)
		return x86_gp0(v);
	if (x86_read_sys(v, tr->base + 0x66, 2, b))
		return X86_FAULT;
	map = ld_le16(b);
	/* The processor always reads two bytes: SDM vol. 1, 19.5.2. */
	if ((uint32_t)map + port / 8 + 1 > tr->limit)
		return x86_gp0(v);
	if (x86_read_sys(v, tr->base + map + port / 8, 2, b))
		return X86_FAULT;
	bits = (uint16_t)(ld_le16(b) >> (port & 7));
	return bits & ((1u << size) - 1) ? x86_gp0(v) : X86_OK;
}
