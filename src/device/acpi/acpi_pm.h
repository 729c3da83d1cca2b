/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI fixed hardware: PM1 event and control, PM timer, GPE0, SMI command port; see acpi_pm.c.
 */
#ifndef DEVICE_ACPI_ACPI_PM_H
#define DEVICE_ACPI_ACPI_PM_H

#include "device/dev.h"

#define ACPI_PM_TIMER_HZ 3579545ull

/* Registers, relative to the block's base, as in PIIX4 (PMBA). The machine puts them in FADT. */
enum {
	ACPI_PM1A_EVT = 0x00, /* 4 bytes: status, enable */
	ACPI_PM1A_CNT = 0x04, /* 2 bytes */
	ACPI_PM_TMR = 0x08,   /* 4 bytes */
	ACPI_GPE0 = 0x0c,     /* 4 bytes: status (2), enable (2) */
	ACPI_PM_SIZE = 0x40,
	/* ... and as in ICH9 where they differ */
	ACPI_ICH9_GPE0_STS = 0x20, /* 8 bytes */
	ACPI_ICH9_GPE0_EN = 0x28,  /* 8 bytes */
	ACPI_ICH9_SMI_EN = 0x30,
	ACPI_ICH9_PM_SIZE = 0x80,
};
enum { ACPI_SMI_CMD = 0xb2, ACPI_ENABLE = 0xf1, ACPI_DISABLE = 0xf0 };
enum {
	ACPI_SLP_TYP_S5 = 0,
	ACPI_SLP_TYP_S3 = 1,
	ACPI_ICH9_SLP_TYP_S5 = 7
}; /* what \_S5 and \_S3 evaluate to */
enum { ACPI_GPES = 16 };

struct acpi_pm_regs {
	uint64_t timer_seen; /* PM timer ticks since guest time 0 up to which TMR_STS is complete */
	uint16_t pm1_sts, pm1_en, pm1_cnt;
	uint16_t gpe_sts, gpe_en;
	uint16_t gpe_lines;       /* input levels; survives reset (they are wires) */
	uint8_t apm_cmd, apm_sts; /* ports b2h, b3h */
	uint8_t smi_lock;         /* SMI_LOCK of the LPC bridge */
	uint8_t pad_;
	uint32_t smi_en; /* ICH9 */
	uint8_t pad2_[4];
};

struct acpi_pm {
	struct dev dev;
	struct acpi_pm_regs s;
	/* properties, set before realize */
	uint16_t base;   /* first I/O port of the block; 0 = not mapped until acpi_pm_moved() */
	bool timer_32;   /* FADT TMR_VAL_EXT: the timer has 32 bits, else 24 */
	bool ich9;       /* registers and sleep types of the ICH9 instead of PIIX4's */
	bool smm;        /* ICH9: a write to port b2h can be an SMI */
	bool no_smi_cmd; /* FADT SMI_CMD = 0: ports b2h/b3h only with `smm`, SCI_EN is always set */
	/* outputs */
	struct irq sci;       /* level */
	struct irq power_off; /* pulse: SLP_EN with the type of S5 */
	struct irq smi;       /* pulse: SMI# */
	/* private */
	struct bus_region pm, apm;
	struct vtimer timer;
};

extern const struct dev_class acpi_pm_class;

/** acpi_pm_moved() - the block moves to @base, or goes away. Fits piix4_pm.pm_moved.
 * @ctx: the struct acpi_pm. Bus lock held. A range that is taken leaves the block unmapped. */
void acpi_pm_moved(void *ctx, bool enabled, uint16_t base);

/** acpi_pm_lock_smi() - SMI_LOCK of the LPC bridge. @ctx: the struct acpi_pm. Bus lock held. Fits
 * ich9_lpc.smi_locked. */
void acpi_pm_lock_smi(void *ctx, bool locked);

/** acpi_power_button() - the power button was pressed. Bus lock held. ACPI 6.4, 4.8.3.2.2.1 */
void acpi_power_button(struct acpi_pm *pm);

/** acpi_pm_set_gpe() - irq sink: general-purpose event @pin, 0..15, level.
 * @ctx: the struct acpi_pm. Bus lock held. ACPI 6.4, 4.8.4.1. */
void acpi_pm_set_gpe(void *ctx, unsigned pin, bool level);

#endif
