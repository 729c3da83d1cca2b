/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI fixed hardware registers, laid out as in the power management function of Intel's 82371AB.
 *
 * Documents: ACPI specification 6.4, 4.8.3 (PM1, PM timer) and 4.8.4 (general-purpose events);
 * Intel 82371AB (PIIX4) data sheet 290562-001, 7.2 for offsets and 7.1 for SLP_TYP.
 *
 *   +00 PM1_STS  +02 PM1_EN  +04 PM1_CNT  +08 PM_TMR  +0c GPE0_STS  +0e GPE0_EN
 *   ICH9 (data sheet 316972-004, 13.8.3) has 20 GPE0_STS (8 bytes)  28 GPE0_EN (8 bytes)  30 SMI_EN
 *   instead, and 111b for S5
 *   b2  SMI command (APMC)    b3  APM status, a scratch byte
 *
 * The block stands at an I/O base that a PCI function may move; the ports b2h and b3h are fixed.
 * Every register takes accesses of 1, 2 and 4 bytes: an access is applied to the dword around it
 * under a byte mask, so that write-1-to-clear bits and the timer are exact for each width.
 *
 * The timer counts guest time in 3.579545 MHz ticks. TMR_STS is set when its top bit (23 or 31)
 * changes; that is worked out when somebody looks, and a vtimer runs only while TMR_EN waits.
 *
 * SCI is level: an enabled PM1 event or GPE with SCI_EN set. UNMODELLED: while SCI_EN is clear the
 * events would be SMIs; they stay pending.
 *
 * Sleep: SLP_EN with the type of S5 pulses power_off. UNMODELLED: S1..S4. They are refused in the
 * way of a machine that wakes up at once: WAK_STS is set and the CPU goes on.
 * The ICH9 also powers off with type 000b, which its data sheet has as "on": EDK2 writes that.
 * Without SMM, SMI_EN has APMC_EN set from the start, which firmware takes as "SMM is set up
 * already". With it, a write to b2h is an SMI while GBL_SMI_EN and APMC_EN are set (13.8.3.10), and
 * SMI_LOCK of the LPC bridge keeps GBL_SMI_EN as it is.
 * UNMODELLED: GPEs 16 to 63, TCO. UNMODELLED: bus master status (never set), global lock (GBL_RLS
 * is ignored), 4-second override.
 */
#include "device/acpi/acpi_pm.h"

#include <errno.h>

#include "base/bits.h"
#include "device/ticks.h"

enum { STS_TMR = 0x0001, STS_GBL = 0x0020, STS_PWRBTN = 0x0100, STS_SLPBTN = 0x0200 };
enum { STS_RTC = 0x0400, STS_WAK = 0x8000 };
enum {
	PM1_EVENTS = STS_TMR | STS_GBL | STS_PWRBTN | STS_SLPBTN | STS_RTC,
	PM1_STS_ALL = PM1_EVENTS | STS_WAK | 0x0010 /* BM_STS */,
};
enum { CNT_SCI_EN = 0x0001, CNT_BM_RLD = 0x0002, CNT_SLP_TYP = 0x1c00, CNT_SLP_EN = 0x2000 };
enum { CNT_KEPT = CNT_SCI_EN | CNT_BM_RLD | CNT_SLP_TYP, CNT_SLP_TYP_SHIFT = 10 };

static struct acpi_pm *to_pm(struct dev *d)
{
	return CONTAINER_OF(d, struct acpi_pm, dev);
}

static unsigned top_bit(const struct acpi_pm *pm)
{
	return pm->timer_32 ? 31 : 23;
}

static uint64_t pm_ticks(const struct acpi_pm *pm)
{
	return ticks_at(clock_now(pm->dev.sv->clock), ACPI_PM_TIMER_HZ);
}

/* ACPI 6.4, 4.8.3.1.1: TMR_STS is set whenever the most significant bit changes. */
static void pm_sync(struct acpi_pm *pm)
{
	uint64_t now = pm_ticks(pm);

	if (now >> top_bit(pm) != pm->s.timer_seen >> top_bit(pm))
		pm->s.pm1_sts |= STS_TMR;
	pm->s.timer_seen = now;
}

/* Drive SCI and arm the timer for the next TMR_STS that would interrupt. */
static void pm_drive(struct acpi_pm *pm)
{
	unsigned top = top_bit(pm);
	bool event = (pm->s.pm1_sts & pm->s.pm1_en & PM1_EVENTS) || (pm->s.gpe_sts & pm->s.gpe_en);

	irq_set(&pm->sci, event && (pm->s.pm1_cnt & CNT_SCI_EN));
	if ((pm->s.pm1_en & STS_TMR) && !(pm->s.pm1_sts & STS_TMR))
		vtimer_arm(&pm->timer,
			   ticks_to_ns(((pm->s.timer_seen >> top) + 1) << top, ACPI_PM_TIMER_HZ));
	else
		vtimer_cancel(&pm->timer);
}

static void pm_update(struct acpi_pm *pm)
{
	pm_sync(pm);
	pm->s.gpe_sts |= pm->s.gpe_lines;
	pm_drive(pm);
}

static void pm_timer(void *ctx)
{
	pm_update(ctx);
}

/* PM1_CNT, the bits under @mask. */
static void cnt_write(struct acpi_pm *pm, uint16_t val, uint16_t mask)
{
	uint16_t kept = CNT_KEPT & mask;
	unsigned typ;

	/* ACPI 6.4, 4.8.3.2.1: SCI_EN is hardware's; with an SMI command port only that sets it. */
	kept &= (uint16_t)~CNT_SCI_EN;
	pm->s.pm1_cnt = (pm->s.pm1_cnt & ~kept) | (val & kept);
	if (!(val & mask & CNT_SLP_EN))
		return;
	typ = (pm->s.pm1_cnt & CNT_SLP_TYP) >> CNT_SLP_TYP_SHIFT;
	if (typ == ACPI_SLP_TYP_S5 || (pm->ich9 && typ == ACPI_ICH9_SLP_TYP_S5)) {
		irq_pulse(&pm->power_off);
		return;
	}
	guest_error(&pm->dev, "sleep type %u is not offered; waking up at once", typ);
	pm->s.pm1_sts |= STS_WAK;
}

enum { SMI_EN_GBL = 0x01, SMI_EN_APMC = 0x20, SMI_EN_KEPT = 0x0007687f /* less EOS */ };

static uint32_t pm_dword(struct acpi_pm *pm, unsigned at)
{
	if (pm->ich9 && at >= ACPI_GPE0)
		return at == ACPI_ICH9_GPE0_STS  ? pm->s.gpe_sts
		       : at == ACPI_ICH9_GPE0_EN ? pm->s.gpe_en
		       : at == ACPI_ICH9_SMI_EN  ? pm->s.smi_en
						 : 0;
	switch (at) {
	case ACPI_PM1A_EVT: return pm->s.pm1_sts | (uint32_t)pm->s.pm1_en << 16;
	case ACPI_PM1A_CNT: return pm->s.pm1_cnt;
	case ACPI_PM_TMR: return (uint32_t)(pm->s.timer_seen & ((2ull << top_bit(pm)) - 1));
	case ACPI_GPE0: return pm->s.gpe_sts | (uint32_t)pm->s.gpe_en << 16;
	default: return 0;
	}
}

static uint64_t pm_read(void *ctx, uint64_t off, unsigned size)
{
	struct acpi_pm *pm = ctx;

	pm_update(pm);
	return pm_dword(pm, off & ~3u) >> (off & 3) * 8;
}

/* ICH9 13.8.3.10. GBL_SMI_EN can be set but not cleared once SMI_LOCK is set. */
static void smi_en_write(struct acpi_pm *pm, uint32_t val, uint32_t mask)
{
	uint32_t old = pm->s.smi_en;

	pm->s.smi_en = ((old & ~mask) | (val & mask)) & SMI_EN_KEPT;
	if (pm->s.smi_lock)
		pm->s.smi_en = (pm->s.smi_en & ~(uint32_t)SMI_EN_GBL) | (old & SMI_EN_GBL);
}

void acpi_pm_lock_smi(void *ctx, bool locked)
{
	struct acpi_pm *pm = ctx;

	pm->s.smi_lock = locked;
}

static void pm_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct acpi_pm *pm = ctx;
	unsigned shift = (off & 3) * 8;
	uint32_t v = (uint32_t)(val << shift), mask = (uint32_t)(mask_bytes(size) << shift);
	uint16_t lo = (uint16_t)mask, hi = (uint16_t)(mask >> 16);

	pm_update(pm);
	v &= mask;
	if (pm->ich9 && off >= ACPI_GPE0) {
		if ((off & ~3u) == ACPI_ICH9_GPE0_STS)
			pm->s.gpe_sts &= (uint16_t)~v;
		else if ((off & ~3u) == ACPI_ICH9_GPE0_EN)
			pm->s.gpe_en = (uint16_t)((pm->s.gpe_en & ~lo) | v);
		else if ((off & ~3u) == ACPI_ICH9_SMI_EN && pm->smm)
			smi_en_write(pm, v, mask);
		pm_update(pm);
		return;
	}
	switch (off & ~3u) {
	case ACPI_PM1A_EVT:
		pm->s.pm1_sts &= (uint16_t)~v;
		pm->s.pm1_en = (pm->s.pm1_en & ~hi) | ((v >> 16) & PM1_EVENTS);
		break;
	case ACPI_PM1A_CNT: cnt_write(pm, (uint16_t)v, lo); break;
	case ACPI_GPE0:
		pm->s.gpe_sts &= (uint16_t)~v;
		pm->s.gpe_en = (uint16_t)((pm->s.gpe_en & ~hi) | (v >> 16));
		break;
	default: break;
	}
	pm_update(pm);
}

static uint64_t apm_read(void *ctx, uint64_t off, unsigned size)
{
	struct acpi_pm *pm = ctx;

	return off ? pm->s.apm_sts : pm->s.apm_cmd;
}

/* ACPI 6.4, 4.8.2.3: what SMM firmware does for ACPI_ENABLE and ACPI_DISABLE, done by hardware. */
static void apm_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct acpi_pm *pm = ctx;

	if (off) {
		pm->s.apm_sts = (uint8_t)val;
		return;
	}
	pm->s.apm_cmd = (uint8_t)val;
	if (pm->s.apm_cmd == ACPI_ENABLE && !pm->no_smi_cmd)
		pm->s.pm1_cnt |= CNT_SCI_EN;
	else if (pm->s.apm_cmd == ACPI_DISABLE && !pm->no_smi_cmd)
		pm->s.pm1_cnt &= (uint16_t)~CNT_SCI_EN;
	pm_update(pm);
	if (pm->smm && (pm->s.smi_en & SMI_EN_GBL) && (pm->s.smi_en & SMI_EN_APMC))
		irq_pulse(&pm->smi);
}

void acpi_power_button(struct acpi_pm *pm)
{
	pm->s.pm1_sts |= STS_PWRBTN;
	pm_update(pm);
}

void acpi_pm_set_gpe(void *ctx, unsigned pin, bool level)
{
	struct acpi_pm *pm = ctx;

	if (pin >= ACPI_GPES)
		return;
	pm->s.gpe_lines = (uint16_t)field_set(pm->s.gpe_lines, pin, 1, level);
	pm_update(pm);
}

void acpi_pm_moved(void *ctx, bool enabled, uint16_t base)
{
	struct acpi_pm *pm = ctx;
	struct error err = {0};

	bus_unmap_pio(pm->dev.sv->bus, &pm->pm);
	pm->base = enabled ? base : 0;
	if (pm->base && bus_map_pio(pm->dev.sv->bus, &pm->pm, pm->base, &err)) {
		guest_error(&pm->dev, "%s", err.text);
		pm->base = 0;
	}
}

static int acpi_pm_realize(struct dev *d, struct error *err)
{
	struct acpi_pm *pm = to_pm(d);
	int r = 0;

	vtimer_init(&pm->timer, d->sv->clock, pm_timer, pm);
	pm->pm = (struct bus_region){.name = "acpi-pm",
				     .size = pm->ich9 ? ACPI_ICH9_PM_SIZE : ACPI_PM_SIZE,
				     .valid = WIDTH_124,
				     .read = pm_read,
				     .write = pm_write,
				     .ctx = pm};
	pm->apm = (struct bus_region){.name = "apm",
				      .size = 2,
				      .valid = WIDTH_124,
				      .impl = WIDTH_1,
				      .read = apm_read,
				      .write = apm_write,
				      .ctx = pm};
	if (!pm->no_smi_cmd || pm->smm)
		r = bus_map_pio(d->sv->bus, &pm->apm, ACPI_SMI_CMD, err);
	if (!r && pm->base)
		r = bus_map_pio(d->sv->bus, &pm->pm, pm->base, err);
	return r;
}

static void acpi_pm_unrealize(struct dev *d)
{
	struct acpi_pm *pm = to_pm(d);

	if (!pm->timer.clock)
		return;
	vtimer_cancel(&pm->timer);
	bus_unmap_pio(d->sv->bus, &pm->pm);
	bus_unmap_pio(d->sv->bus, &pm->apm);
}

static void acpi_pm_reset(struct dev *d, enum dev_reset kind)
{
	struct acpi_pm *pm = to_pm(d);

	pm->s = (struct acpi_pm_regs){.timer_seen = pm_ticks(pm),
				      .pm1_cnt = pm->no_smi_cmd ? CNT_SCI_EN : 0,
				      .smi_en = pm->smm ? 0 : SMI_EN_APMC,
				      .gpe_lines = pm->s.gpe_lines};
	pm_update(pm);
}

static int acpi_pm_loaded(struct dev *d, struct error *err)
{
	struct acpi_pm *pm = to_pm(d);

	pm->s.pm1_sts &= PM1_STS_ALL;
	pm->s.pm1_en &= PM1_EVENTS;
	pm->s.pm1_cnt &= CNT_KEPT;
	pm->s.smi_en = pm->smm ? pm->s.smi_en & SMI_EN_KEPT : SMI_EN_APMC;
	pm->s.timer_seen = MIN(pm->s.timer_seen, pm_ticks(pm));
	pm_drive(pm);
	return 0;
}

/* clang-format off */
static const struct state_field acpi_pm_fields[] = {
	STATE_VAL(struct acpi_pm_regs, timer_seen),
	STATE_VAL(struct acpi_pm_regs, pm1_sts),
	STATE_VAL(struct acpi_pm_regs, pm1_en),
	STATE_VAL(struct acpi_pm_regs, pm1_cnt),
	STATE_VAL(struct acpi_pm_regs, gpe_sts),
	STATE_VAL(struct acpi_pm_regs, gpe_en),
	STATE_VAL(struct acpi_pm_regs, gpe_lines),
	STATE_VAL(struct acpi_pm_regs, apm_cmd),
	STATE_VAL(struct acpi_pm_regs, apm_sts),
	STATE_VAL(struct acpi_pm_regs, smi_lock, .max = 1),
	{.name = "pad_", .kind = STATE_PADDING, .offset = offsetof(struct acpi_pm_regs, pad_), .size = 1,
	 .count = 1},
	STATE_VAL(struct acpi_pm_regs, smi_en),
	STATE_PAD(struct acpi_pm_regs, pad2_),
	STATE_END};
/* clang-format on */

static const struct state_desc acpi_pm_state =
	STATE_DESC("acpi-pm", 2, struct acpi_pm_regs, acpi_pm_fields);

const struct dev_class acpi_pm_class = {
	.name = "acpi-pm",
	.summary = "ACPI fixed hardware",
	.spec = "ACPI 6.4, 4.8; Intel 82371AB, order 290562-001; ICH9, 316972-004",
	.size = sizeof(struct acpi_pm),
	.regs_offset = offsetof(struct acpi_pm, s),
	.state = &acpi_pm_state,
	.realize = acpi_pm_realize,
	.unrealize = acpi_pm_unrealize,
	.reset = acpi_pm_reset,
	.loaded = acpi_pm_loaded,
};
