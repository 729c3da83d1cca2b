/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The "microvm" machine: the least that a current kernel needs. No PCI and no firmware: virtio-mmio
 * devices (virtio 1.2, 4.2) in a row of 512-byte windows, announced by the ACPI DSDT or, when the
 * guest runs with acpi=off, on its command line; a serial port; interrupt controllers and timers of
 * the PC, because kernels without a hypervisor interface calibrate against them; ACPI power
 * management for soft-off and the power button.
 *
 * The first virtio devices get ISA interrupt numbers, so that they also work for a guest that uses
 * the 8259s; the rest get IOAPIC pins 16 to 23.
 */
#include "device/acpi/acpi_pm.h"
#include "device/intc/ioapic.h"
#include "device/misc/cf9.h"
#include "device/timer/mc146818.h"
#include "machine/parts.h"

static void describe(struct machine *m)
{
	m->acpi.ioapic_addr = IOAPIC_BASE;
	m->acpi.sci_irq = ISA_IRQ_SCI;
	m->acpi.pm_base = MACHINE_PM_BASE;
	m->acpi.s5_typ = ACPI_SLP_TYP_S5;
	m->acpi.reset_port = CF9_PORT;
	m->acpi.reset_value = 0x06;
	m->acpi.pic = m->acpi.pit = m->acpi.rtc = true;
	m->acpi.rtc_century = CMOS_CENTURY;
	m->acpi.coms = 3;
}

static int build_reset(struct machine *m, struct error *err)
{
	struct cf9 *cf9 = (struct cf9 *)dev_new(&cf9_class, "cf9", &m->sv);

	irq_init(&cf9->hard, parts_reset_request, m, 0);
	irq_init(&cf9->soft, parts_reset_request, m, 0);
	return parts_add(m, &cf9->dev, err);
}

int microvm_build(struct machine *m, struct error *err)
{
	int r = parts_map_ram(m, "ram-low", 0, 0, m->low_end, err);

	if (r == 0)
		r = parts_interrupts(m, err);
	if (r == 0)
		r = parts_timers(m, err);
	if (r == 0)
		r = parts_power(m, true, err);
	if (r == 0)
		r = build_reset(m, err);
	if (r == 0)
		r = parts_serial(m, err);
	if (r == 0)
		r = parts_input(m, err);
	if (r == 0)
		r = parts_debug(m, err);
	if (r == 0)
		r = parts_virtio(m, err);
	describe(m);
	return r;
}
