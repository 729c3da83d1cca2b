/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The field table of struct x86_state, its reset values and the checks on a loaded state. Intel
 * SDM vol. 3, table 10-1 (state after power-up, reset, INIT), 26.3.1 (the consistency rules a
 * processor itself applies to a guest state, the model for x86_state_loaded()).
 *
 * A loaded state is untrusted: after x86_state_loaded() accepted it every invariant the CPU code
 * relies on holds, and nothing that a guest could not reach by itself is reachable.
 */
#include "cpu/x86/internal.h"

#include <errno.h>

/* clang-format off */
static const struct state_field seg_fields[] = {
	STATE_VAL(struct x86_seg, base),
	STATE_VAL(struct x86_seg, limit),
	STATE_VAL(struct x86_seg, attr, .max = 0x1ffff),
	STATE_VAL(struct x86_seg, sel),
	STATE_PAD(struct x86_seg, pad_),
	STATE_END
};

static const struct state_field dtable_fields[] = {
	STATE_VAL(struct x86_dtable, base),
	STATE_VAL(struct x86_dtable, limit),
	STATE_PAD(struct x86_dtable, pad_),
	STATE_END
};

static const struct state_field fpu_fields[] = {
	STATE_VAL(struct x86_fpu, fcw),
	STATE_VAL(struct x86_fpu, fsw),
	STATE_VAL(struct x86_fpu, ftw),
	{.name = "pad_", .kind = STATE_PADDING, .offset = offsetof(struct x86_fpu, pad_), .size = 1,
	 .count = 1},
	STATE_VAL(struct x86_fpu, fop, .max = 0x7ff),
	STATE_VAL(struct x86_fpu, fip),
	STATE_VAL(struct x86_fpu, fdp),
	STATE_VAL(struct x86_fpu, fcs),
	STATE_VAL(struct x86_fpu, fds),
	STATE_VAL(struct x86_fpu, mxcsr, .max = 0xffff),
	STATE_BYTES_OF(struct x86_fpu, st),
	STATE_BYTES_OF(struct x86_fpu, ymm),
	STATE_END
};

static const struct state_field mtrr_fields[] = {
	STATE_VAL(struct x86_mtrr, base),
	STATE_VAL(struct x86_mtrr, mask),
	STATE_END
};

static const struct state_field lapic_fields[] = {
	STATE_VAL(struct x86_lapic, base),
	STATE_VAL(struct x86_lapic, id),
	STATE_VAL(struct x86_lapic, tpr, .max = 0xff),
	STATE_VAL(struct x86_lapic, ldr),
	STATE_VAL(struct x86_lapic, dfr),
	STATE_VAL(struct x86_lapic, svr, .max = 0x1fff),
	STATE_VAL(struct x86_lapic, esr, .max = 0xff),
	STATE_VAL(struct x86_lapic, esr_pending, .max = 0xff),
	STATE_ARRAY(struct x86_lapic, isr),
	STATE_ARRAY(struct x86_lapic, tmr),
	STATE_ARRAY(struct x86_lapic, irr),
	STATE_VAL(struct x86_lapic, icr_lo),
	STATE_VAL(struct x86_lapic, icr_hi),
	STATE_VAL(struct x86_lapic, lvt_timer),
	STATE_VAL(struct x86_lapic, lvt_thermal),
	STATE_VAL(struct x86_lapic, lvt_perf),
	STATE_VAL(struct x86_lapic, lvt_lint0),
	STATE_VAL(struct x86_lapic, lvt_lint1),
	STATE_VAL(struct x86_lapic, lvt_error),
	STATE_VAL(struct x86_lapic, lvt_cmci),
	STATE_VAL(struct x86_lapic, timer_icr),
	STATE_VAL(struct x86_lapic, timer_dcr, .max = 0xb),
	STATE_VAL(struct x86_lapic, lint0_level, .max = 1),
	STATE_PAD(struct x86_lapic, pad_),
	STATE_VAL(struct x86_lapic, timer_start),
	STATE_VAL(struct x86_lapic, tsc_deadline),
	STATE_END
};

static const struct state_field io_smi_fields[] = {
	STATE_VAL(struct x86_io_smi, rip),
	STATE_VAL(struct x86_io_smi, next),
	STATE_VAL(struct x86_io_smi, rcx),
	STATE_VAL(struct x86_io_smi, rsi),
	STATE_VAL(struct x86_io_smi, rdi),
	STATE_VAL(struct x86_io_smi, trap, .max = 0xffff087f),
	STATE_PAD(struct x86_io_smi, pad_),
	STATE_END,
};
static const struct state_field x86_fields[] = {
	STATE_ARRAY(struct x86_state, gpr),
	STATE_VAL(struct x86_state, rip),
	STATE_VAL(struct x86_state, rflags, .max = 0x3fffff),
	STATE_STRUCTS(struct x86_state, seg, seg_fields),
	STATE_STRUCT(struct x86_state, ldtr, seg_fields),
	STATE_STRUCT(struct x86_state, tr, seg_fields),
	STATE_STRUCT(struct x86_state, gdtr, dtable_fields),
	STATE_STRUCT(struct x86_state, idtr, dtable_fields),
	STATE_VAL(struct x86_state, cr0, .max = 0xffffffff),
	STATE_VAL(struct x86_state, cr2),
	STATE_VAL(struct x86_state, cr3),
	STATE_VAL(struct x86_state, cr4, .max = 0xffffffff),
	STATE_VAL(struct x86_state, xcr0, .min = 1, .max = 7),
	STATE_ARRAY(struct x86_state, dr),
	STATE_VAL(struct x86_state, dr6, .max = 0xffffffff),
	STATE_VAL(struct x86_state, dr7, .max = 0xffffffff),
	STATE_ARRAY(struct x86_state, pdpte),
	STATE_VAL(struct x86_state, efer),
	STATE_VAL(struct x86_state, star),
	STATE_VAL(struct x86_state, lstar),
	STATE_VAL(struct x86_state, cstar),
	STATE_VAL(struct x86_state, sfmask, .max = 0xffffffff),
	STATE_VAL(struct x86_state, kernel_gs_base),
	STATE_VAL(struct x86_state, sysenter_cs),
	STATE_VAL(struct x86_state, sysenter_esp),
	STATE_VAL(struct x86_state, sysenter_eip),
	STATE_VAL(struct x86_state, tsc_adjust),
	STATE_VAL(struct x86_state, tsc_aux, .max = 0xffffffff),
	STATE_VAL(struct x86_state, pat),
	STATE_VAL(struct x86_state, misc_enable),
	STATE_VAL(struct x86_state, spec_ctrl),
	STATE_VAL(struct x86_state, xss),
	STATE_VAL(struct x86_state, mcg_status),
	STATE_VAL(struct x86_state, feature_control),
	STATE_VAL(struct x86_state, bios_sign_id),
	STATE_VAL(struct x86_state, mtrr_def_type, .max = 0xfff),
	STATE_ARRAY(struct x86_state, mtrr_fixed),
	STATE_STRUCTS(struct x86_state, mtrr_var, mtrr_fields),
	STATE_STRUCT(struct x86_state, fpu, fpu_fields),
	STATE_STRUCT(struct x86_state, lapic, lapic_fields),
	STATE_VAL(struct x86_state, activity, .max = X86_ACT_COUNT - 1),
	STATE_VAL(struct x86_state, shadow, .max = 7),
	STATE_VAL(struct x86_state, nmi_pending, .max = 1),
	STATE_VAL(struct x86_state, init_pending, .max = 1),
	STATE_VAL(struct x86_state, sipi_pending, .max = 1),
	STATE_VAL(struct x86_state, sipi_vector),
	STATE_VAL(struct x86_state, intr_line, .max = 1),
	STATE_VAL(struct x86_state, a20_masked, .max = 1),
	STATE_VAL(struct x86_state, pending_dbg, .max = 0xe00f),
	STATE_VAL(struct x86_state, extint_pending, .max = 1),
	STATE_VAL(struct x86_state, smi_pending, .max = 1),
	STATE_VAL(struct x86_state, smm, .max = 3),
	{.name = "pad_", .kind = STATE_PADDING, .offset = offsetof(struct x86_state, pad_), .size = 1,
	 .count = 1},
	STATE_VAL(struct x86_state, smbase),
	STATE_PAD(struct x86_state, pad2_),
	STATE_STRUCT(struct x86_state, io_smi, io_smi_fields),
	STATE_END
};
/* clang-format on */

const struct state_desc x86_state_desc = STATE_DESC("x86", 3, struct x86_state, x86_fields);

#define PAT_RESET 0x0007040600070406ull

/* SDM vol. 3, table 10-1: after RESET and INIT alike. */
static void reset_common(struct x86_state *s)
{
	memset(s->gpr, 0, sizeof(s->gpr));
	s->gpr[X86_RDX] = 0x600;
	s->rip = 0xfff0;
	s->rflags = 2;
	for (unsigned i = 0; i < X86_SREG_COUNT; i++)
		s->seg[i] = (struct x86_seg){.limit = 0xffff, .attr = 0x93};
	s->seg[X86_CS].sel = 0xf000;
	s->seg[X86_CS].base = 0xffff0000;
	s->ldtr = (struct x86_seg){.limit = 0xffff, .attr = 0x82};
	s->tr = (struct x86_seg){.limit = 0xffff, .attr = 0x8b};
	s->gdtr = (struct x86_dtable){.limit = 0xffff};
	s->idtr = (struct x86_dtable){.limit = 0xffff};
	s->cr2 = s->cr3 = s->cr4 = 0;
	memset(s->dr, 0, sizeof(s->dr));
	s->dr6 = 0xffff0ff0;
	s->dr7 = 0x400;
	memset(s->pdpte, 0, sizeof(s->pdpte));
	s->efer = 0;
	s->kernel_gs_base = 0;
	s->shadow = 0;
	s->nmi_pending = s->init_pending = s->sipi_pending = 0;
	s->pending_dbg = 0;
	s->extint_pending = 0;
	s->smm = 0;
	s->io_smi = (struct x86_io_smi){0};
}

static void reset_power_on(struct x86_state *s, bool bsp)
{
	memset(s, 0, sizeof(*s));
	s->cr0 = X86_CR0_ET | X86_CR0_NW | X86_CR0_CD;
	s->xcr0 = 1;
	s->smbase = 0x30000;
	s->pat = PAT_RESET;
	s->misc_enable = BIT(0) | BIT(11) | BIT(12); /* fast strings; no BTS, no PEBS */
	s->feature_control = 1;                      /* locked, nothing enabled */
	/* RESET leaves FCW 0040h, FTW 5555h (all zero valued); INIT does not touch them. */
	s->fpu.fcw = 0x40;
	s->fpu.ftw = 0xff;
	s->fpu.mxcsr = 0x1f80;
	s->lapic.base = 0xfee00000 | BIT(11) | (bsp ? BIT(8) : 0);
}

void x86_state_reset(struct x86_state *s, bool bsp, uint32_t apic_id, bool init)
{
	struct x86_lapic *l = &s->lapic;

	if (!init) {
		reset_power_on(s, bsp);
	} else {
		/* CR0.CD and CR0.NW are kept by INIT: table 10-1, note 2. */
		s->cr0 = X86_CR0_ET | (s->cr0 & (X86_CR0_NW | X86_CR0_CD));
	}
	reset_common(s);
	/* SDM vol. 3, 11.4.7.1: the APIC after RESET; INIT keeps the id and the base. */
	l->id = (l->base & BIT(10)) ? apic_id : apic_id << 24;
	l->tpr = 0;
	l->ldr = 0;
	l->dfr = 0xffffffff;
	if (l->base & BIT(10))
		l->ldr = (apic_id >> 4) << 16 | 1u << (apic_id & 15);
	l->svr = 0xff;
	l->esr = l->esr_pending = 0;
	memset(l->isr, 0, sizeof(l->isr));
	memset(l->tmr, 0, sizeof(l->tmr));
	memset(l->irr, 0, sizeof(l->irr));
	l->icr_lo = l->icr_hi = 0;
	l->lvt_timer = l->lvt_thermal = l->lvt_perf = l->lvt_lint0 = l->lvt_lint1 = l->lvt_error =
		l->lvt_cmci = BIT(16);
	l->timer_icr = l->timer_dcr = 0;
	l->timer_start = 0;
	l->tsc_deadline = 0;
	s->activity = bsp ? X86_ACT_RUN : X86_ACT_WAIT_SIPI;
}

/* ---- loaded state ---- */

static int bad(struct error *err, const char *field, uint64_t val)
{
	return error_set(err, -EINVAL, "cpu state: %s = %#llx cannot be; the file is damaged",
			 field, (unsigned long long)val);
}

#define CR4_KNOWN                                                                                  \
	(X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE | X86_CR4_PAE |        \
	 X86_CR4_MCE | X86_CR4_PGE | X86_CR4_PCE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT |           \
	 X86_CR4_UMIP | X86_CR4_FSGSBASE | X86_CR4_PCIDE | X86_CR4_OSXSAVE | X86_CR4_SMEP |        \
	 X86_CR4_SMAP)
#define CR0_KNOWN                                                                                  \
	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | X86_CR0_NE |             \
	 X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)

static int check_control(const struct x86_state *s, struct error *err)
{
	bool lma = s->efer & X86_EFER_LMA, pg = s->cr0 & X86_CR0_PG;

	if (s->cr0 & ~(uint64_t)CR0_KNOWN)
		return bad(err, "cr0", s->cr0);
	if (pg && !(s->cr0 & X86_CR0_PE))
		return bad(err, "cr0", s->cr0);
	if (s->cr4 & ~(uint64_t)CR4_KNOWN)
		return bad(err, "cr4", s->cr4);
	if (s->efer & ~(uint64_t)(X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE |
				  X86_EFER_AIBRSE))
		return bad(err, "efer", s->efer);
	if (lma != (pg && (s->efer & X86_EFER_LME)))
		return bad(err, "efer", s->efer);
	if (lma && !(s->cr4 & X86_CR4_PAE))
		return bad(err, "cr4", s->cr4);
	if (!lma && (s->cr4 & X86_CR4_PCIDE))
		return bad(err, "cr4", s->cr4);
	if (s->cr3 >> 52)
		return bad(err, "cr3", s->cr3);
	if ((s->xcr0 & 6) == 4)
		return bad(err, "xcr0", s->xcr0);
	if (s->xss)
		return bad(err, "xss", s->xss);
	return 0;
}

static int check_canonical(const struct x86_state *s, struct error *err)
{
	const struct {
		const char *name;
		uint64_t val;
	} row[] = {
		{"lstar", s->lstar},
		{"cstar", s->cstar},
		{"kernel_gs_base", s->kernel_gs_base},
		{"sysenter_esp", s->sysenter_esp},
		{"sysenter_eip", s->sysenter_eip},
		{"gdtr.base", s->gdtr.base},
		{"idtr.base", s->idtr.base},
		{"ldtr.base", s->ldtr.base},
		{"tr.base", s->tr.base},
		{"seg.fs.base", s->seg[X86_FS].base},
		{"seg.gs.base", s->seg[X86_GS].base},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(row); i++)
		if (!x86_canonical(row[i].val))
			return bad(err, row[i].name, row[i].val);
	if (!(s->efer & X86_EFER_LMA) && s->rip >> 32)
		return bad(err, "rip", s->rip);
	return 0;
}

static int check_segments(const struct x86_state *s, struct error *err)
{
	static const char *const names[] = {"seg.es", "seg.cs", "seg.ss", "seg.ds"};
	bool lma = s->efer & X86_EFER_LMA, vm = s->rflags & X86_VM;

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (s->seg[i].base >> 32)
			return bad(err, names[i], s->seg[i].base);
	if (vm && (lma || !(s->cr0 & X86_CR0_PE)))
		return bad(err, "rflags", s->rflags);
	if (vm)
		for (unsigned i = 0; i < X86_SREG_COUNT; i++)
			if (s->seg[i].base != (uint64_t)s->seg[i].sel << 4 ||
			    s->seg[i].limit != 0xffff || (s->seg[i].attr & 0xf0ff) != 0xf3)
				return bad(err, "seg in v8086 mode", s->seg[i].base);
	if (lma && (s->seg[X86_CS].attr & X86_ATTR_L) && (s->seg[X86_CS].attr & X86_ATTR_DB))
		return bad(err, "seg.cs.attr", s->seg[X86_CS].attr);
	if (!lma && (s->seg[X86_CS].attr & X86_ATTR_L) && (s->cr0 & X86_CR0_PG))
		return 0; /* L is ignored outside IA-32e mode */
	if ((s->cr0 & X86_CR0_PE) && !vm && (s->seg[X86_CS].attr & X86_ATTR_NULL))
		return bad(err, "seg.cs.attr", s->seg[X86_CS].attr);
	/* In IA-32e mode even at CPL 3: after a SYSRET of AMD's. */
	if ((s->cr0 & X86_CR0_PE) && !vm && (s->seg[X86_SS].attr & X86_ATTR_NULL) && !lma)
		return bad(err, "seg.ss.attr", s->seg[X86_SS].attr);
	return 0;
}

static int check_events(const struct x86_state *s, struct error *err)
{
	if (s->pending_dbg & ~0xe00fu) /* BT, BS, BD, B3-B0 */
		return bad(err, "pending_dbg", s->pending_dbg);
	return 0;
}

static int check_lapic(struct x86_lapic *l, struct error *err)
{
	if (l->base & ~(0xffffff000ull | BIT(11) | BIT(10) | BIT(8)))
		return bad(err, "lapic.base", l->base);
	if ((l->base & (BIT(11) | BIT(10))) == BIT(10))
		return bad(err, "lapic.base", l->base);
	if (l->timer_dcr & 4)
		return bad(err, "lapic.timer_dcr", l->timer_dcr);
	/* Vectors 0-15 are never accepted: SDM vol. 3, 11.5.2. */
	l->irr[0] &= 0xffff0000;
	l->isr[0] &= 0xffff0000;
	l->tmr[0] &= 0xffff0000;
	return 0;
}

int x86_state_check(const struct x86_state *s, struct error *err)
{
	int r = check_control(s, err);

	if (!r)
		r = check_canonical(s, err);
	return r ? r : check_segments(s, err);
}

int x86_state_loaded(struct x86_state *s, struct error *err)
{
	int r;

	r = state_check(&x86_state_desc, s, err);
	if (!r)
		r = x86_state_check(s, err);
	if (!r)
		r = check_events(s, err);
	if (!r)
		r = check_lapic(&s->lapic, err);
	if (r)
		return r;
	s->rflags = (s->rflags & 0x3f7fd5) | 2;
	s->cr0 |= X86_CR0_ET;
	s->dr6 = (s->dr6 & 0xe00f) | 0xffff0ff0;
	s->dr7 = (s->dr7 & 0xffff23ff) | 0x400;
	if (!s->smi_pending || s->smm) /* it says nothing of what comes later */
		s->io_smi = (struct x86_io_smi){0};
	for (unsigned i = 0; i < 8; i++) /* 80-bit values */
		memset(&s->fpu.st[i][10], 0, 6);
	return 0;
}
