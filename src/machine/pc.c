/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The "pc" machine: Intel 440FX host bridge and PIIX3, as virtual PCs since the 1990s have them,
 * with a VGA and virtio devices on PCI bus 0.
 *
 *   00.0 82441FX · 01.0 PIIX3 ISA bridge · 01.1 PIIX3 IDE · 01.3 PIIX4 power management · 02.0
 *   VGA · then virtio
 *
 * Interrupts: ISA lines go to the 8259s and to the IOAPIC pin of the same number (IRQ0: pin 2).
 * PIRQ[A-D]# go through the PIIX3's routing registers to ISA IRQs, level-triggered, and thereby to
 * the same IOAPIC pins; MSI-X goes to the local APICs directly.
 *
 * Without firmware the machine does what firmware must have done before a kernel starts
 * (pc_firmware): PCI base addresses, interrupt routing, edge/level control, the PM block's place.
 * Sources: PIIX3 data sheet 290550-002, 2.2.15 (PIRQRC), 2.5.9 (ELCR); PIIX4 data sheet 290562-001,
 * 7.1.20 (PMBA), 7.1.33 (PMREGMISC); PCI 3.0, 6.2.5.1 (sizing base addresses).
 */
#include <errno.h>

#include "base/bits.h"
#include "device/acpi/acpi_pm.h"
#include "device/intc/ioapic.h"
#include "device/misc/cf9.h"
#include "device/misc/smbus.h"
#include "device/pci/i440fx.h"
#include "device/pci/piix3.h"
#include "device/timer/mc146818.h"
#include "machine/firmware.h"
#include "machine/pci_setup.h"

#define PCI_MEM_FIRST 0xc0000000u
#define PCI_MEM_LAST  0xfebfffffu
#define PCI_IO_FIRST  0xc000u
#define PCI_IO_LAST   0xffffu

/* Where OVMF puts the PM block (OvmfPkg, PcdAcpiPmBaseAddress), and how large its window for PCI
 * above 4 GiB is, which it aligns to its size. */
#define EFI_PM_BASE    0xb000u
#define SMB_BASE       0xb100u /* where BIOSes put it */
#define EFI_PCI64_SIZE (32 * GIB)

#define PIIX3_DEVFN PCI_DEVFN(1, 0)
#define IDE_DEVFN   PCI_DEVFN(1, 1)
#define PM_DEVFN    PCI_DEVFN(1, 3)

/* ISA interrupts for PIRQA# .. PIRQD# */
static const uint8_t pirq_isa[4] = {10, 10, 11, 11};
#define PCI_ISA_MASK (1u << 10 | 1u << 11)

static int build_bridges(struct machine *m, struct error *err)
{
	struct i440fx *hb = (struct i440fx *)dev_new(&i440fx_class, "i440fx", &m->sv);
	const struct parts_host wires = {.dev = &hb->dev,
					 .bus = &hb->bus,
					 .host = &hb->host,
					 .pam = &hb->pam,
					 .shadow_at_reset = &hb->shadow_at_reset,
					 .subsystem_vendor = &hb->subsystem_vendor,
					 .subsystem = &hb->subsystem};
	struct piix3 *isa;
	struct piix4_pm *pm;
	struct smbus *smb;
	int r;

	r = parts_host(m, &wires, err);
	if (r < 0)
		return r;

	isa = (struct piix3 *)dev_new(&piix3_class, "piix3", &m->sv);
	isa->bus = m->pci;
	for (unsigned i = 0; i < 16; i++)
		parts_isa(m, &isa->isa[i], i);
	r = parts_add(m, &isa->dev, err);
	if (r < 0)
		return r;
	pm = (struct piix4_pm *)dev_new(&piix4_pm_class, "piix4-pm", &m->sv);
	pm->bus = m->pci;
	pm->pm_moved = acpi_pm_moved;
	pm->pm_ctx = m->pm;
	smb = (struct smbus *)dev_new(&smbus_class, "smbus", &m->sv);
	smb->ram_size = m->cfg.ram_size;
	r = parts_add(m, &smb->dev, err);
	if (r < 0) {
		dev_free(&pm->dev);
		return r;
	}
	pm->smb_moved = smbus_moved;
	pm->smb_ctx = smb;
	return parts_add(m, &pm->dev, err);
}

static void describe(struct machine *m)
{
	m->acpi.ioapic_addr = IOAPIC_BASE;
	m->acpi.sci_irq = ISA_IRQ_SCI;
	m->acpi.pm_base = m->cfg.firmware.efi ? EFI_PM_BASE : MACHINE_PM_BASE;
	m->acpi.gpe0_base = (uint16_t)(m->acpi.pm_base + ACPI_GPE0);
	m->acpi.gpe0_len = 4;
	m->acpi.s5_typ = ACPI_SLP_TYP_S5;
	m->acpi.reset_port = CF9_PORT;
	m->acpi.reset_value = 0x06; /* RCPU and SRST: hard reset */
	m->acpi.pic = m->acpi.pit = m->acpi.rtc = true;
	m->acpi.rtc_century = CMOS_CENTURY;
	m->acpi.coms = 3;
	m->acpi.pci_irqs = PCI_ISA_MASK;
	/* SeaBIOS starts its window at the next of 2 and 3 GiB above low RAM, OVMF at the end of
	 * RAM, but not below 2 GiB; it also has one above 4 GiB (OvmfPkg, PcdPciMmio64Size). */
	m->acpi.pci_min =
		m->cfg.firmware.bios && m->low_end <= 2 * GIB ? (uint32_t)(2 * GIB) : PCI_MEM_FIRST;
	m->acpi.pci_max = PCI_MEM_LAST;
	if (m->cfg.firmware.efi) {
		m->acpi.pci_min = (uint32_t)MAX(m->low_end, 2 * GIB);
		m->acpi.pci64_min = align_up(m->high_end, EFI_PCI64_SIZE);
		m->acpi.pci64_max = m->acpi.pci64_min + EFI_PCI64_SIZE - 1;
	}
}

int pc_parts(struct machine *m, int (*bridges)(struct machine *m, struct error *err),
	     struct error *err)
{
	int r = parts_map_ram(m, "ram-640k", 0, 0, 0xa0000, err);

	if (r == 0)
		r = parts_map_ram(m, "ram-low", MIB, MIB, m->low_end - MIB, err);
	if (r == 0)
		r = parts_interrupts(m, err);
	if (r == 0)
		r = parts_timers(m, err);
	if (r == 0)
		r = parts_hpet(m, err);
	if (r == 0)
		r = parts_power(m, false, err);
	if (r == 0)
		r = bridges(m, err);
	if (r == 0)
		r = parts_serial(m, err);
	if (r == 0)
		r = parts_input(m, err);
	if (r == 0)
		r = parts_isa_glue(m, err);
	if (r == 0)
		r = parts_debug(m, err);
	if (r == 0)
		r = parts_fw_cfg(m, err);
	if (r == 0)
		r = firmware_vars(m, err);
	if (r == 0)
		r = parts_vga(m, err);
	if (r == 0)
		r = parts_storage(m, err);
	if (r == 0)
		r = parts_virtio(m, err);
	if (r == 0)
		r = parts_nic(m, err);
	if (r == 0)
		r = parts_disks(m, err);
	if (r == 0)
		r = parts_usb(m, err);
	if (r == 0)
		r = parts_sound(m, err);
	if (r == 0)
		r = parts_tpm(m, err);
	if (r == 0)
		r = parts_hotplug(m, err);
	return r;
}

int pc_build(struct machine *m, struct error *err)
{
	int r = pc_parts(m, build_bridges, err);

	describe(m);
	return r < 0 ? r : firmware_files(m, m->fw_cfg, err);
}

int pc_firmware(struct machine *m, struct error *err)
{
	struct pci_setup setup = {.root = m->pci,
				  .isa = pirq_isa,
				  .io = {PCI_IO_FIRST, PCI_IO_LAST},
				  .mem = {PCI_MEM_FIRST, PCI_MEM_LAST}};
	int r;

	for (unsigned i = 0; i < 4; i++)
		pci_bus_config_write(m->pci, PIIX3_DEVFN, 0x60 + i, 1, pirq_isa[i]);
	pci_bus_config_write(m->pci, PM_DEVFN, 0x40, 4, MACHINE_PM_BASE | 1);
	pci_bus_config_write(m->pci, PM_DEVFN, 0x80, 1, 1);
	pci_bus_config_write(m->pci, PM_DEVFN, 0x90, 4, SMB_BASE | 1);
	pci_bus_config_write(m->pci, PM_DEVFN, 0xd2, 1, 9);
	pci_bus_config_write(m->pci, PM_DEVFN, PCI_COMMAND, 2, PCI_COMMAND_IO);
	if (m->ide)
		pci_bus_config_write(m->pci, IDE_DEVFN, 0x40, 4, 0x80008000); /* decode both */
	r = pci_setup_bus(&setup, m->pci, PCI_DEVFN(1, 1), err);
	pci_bus_config_write(m->pci, PM_DEVFN, PCI_INTERRUPT_LINE, 1, ISA_IRQ_SCI);
	pci_setup_isa(m, PCI_ISA_MASK);
	return r;
}
