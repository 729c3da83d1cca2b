/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The "q35" machine: Intel 3 Series host bridge and ICH9, as PCs of about 2008 have them, with PCI
 * Express.
 *
 *   00.0 82G33 MCH · 01.0 and on: VGA, network card and other devices on bus 0 · 1c.0 to 1c.5 root
 *   ports, the first with virtio devices behind them, at least two free for hot plug · 1f.0 ICH9
 *   LPC bridge · 1f.2 AHCI · 1f.3 SMBus
 *
 * Interrupts: ISA lines go to the 8259s and to the IOAPIC pin of the same number (IRQ0: pin 2).
 * PIRQ[A-H]# are IOAPIC pins 16 to 23 and, through the LPC bridge's routing registers, 8259
 * interrupts 10 and 11; MSI goes to the local APICs directly.
 *
 * Memory: RAM up to 2 GiB, the rest from 4 GiB; configuration space (MCFG) at B0000000h, which is
 * where SeaBIOS and OVMF put it, PCI memory around it.
 *
 * Without firmware the machine does what firmware must have done (q35_firmware). Sources: Intel
 * 316966-002, 5.1.12 (PCIEXBAR); Intel 316972-004, 13.1.3, 13.1.4 (PMBASE, ACPI_CNTL), 13.1.9
 * (PIRQ routes), 13.1.34 (RCBA).
 */
#include <errno.h>
#include <stdio.h>

#include "base/bits.h"
#include "device/acpi/acpi_pm.h"
#include "device/intc/i8259.h"
#include "device/intc/ioapic.h"
#include "device/misc/cf9.h"
#include "device/misc/ich9_smbus.h"
#include "device/pci/ich9_lpc.h"
#include "device/pci/q35_mch.h"
#include "device/pci/root_port.h"
#include "device/timer/mc146818.h"
#include "machine/firmware.h"
#include "machine/pci_setup.h"

#define MCFG_BASE    0xb0000000u
#define MCFG_SIZE    (256 * MIB)
#define RCBA_BASE    0xfed1c000u
#define PCI_MEM_LAST 0xfebfffffu
#define PCI_IO_FIRST 0xc000u
#define PCI_IO_LAST  0xffffu
/* OVMF's window for PCI above 4 GiB, aligned to its size (OvmfPkg, PcdPciMmio64Size). */
#define EFI_PCI64_SIZE (32 * GIB)

#define MCH_DEVFN PCI_DEVFN(0, 0)
#define LPC_DEVFN PCI_DEVFN(ICH9_LPC_DEVICE, 0)

/* ISA interrupts for PIRQA# .. PIRQH# */
static const uint8_t pirq_isa[8] = {10, 10, 11, 11, 10, 10, 11, 11};
#define PCI_ISA_MASK (1u << 10 | 1u << 11)

/* A PIRQ at an 8259 input: not at the IOAPIC's pin of that number, it has one of its own. */
static void pic_only(void *ctx, unsigned irq, bool level)
{
	struct machine *m = ctx;

	m->pirq_pic = (uint16_t)field_set(m->pirq_pic, irq, 1, level);
	parts_isa_drive(m, irq);
}

static int build_lpc(struct machine *m, struct error *err)
{
	struct ich9_lpc *lpc = (struct ich9_lpc *)dev_new(&ich9_lpc_class, "ich9-lpc", &m->sv);

	lpc->bus = m->pci;
	for (unsigned i = 0; i < 16; i++)
		irq_init(&lpc->pic[i], pic_only, m, i);
	for (unsigned i = 0; i < 8; i++)
		irq_init(&lpc->apic[i], ioapic_set_line, m->ioapic, 16 + i);
	lpc->pm_moved = acpi_pm_moved;
	lpc->pm_ctx = m->pm;
	lpc->smi_locked = acpi_pm_lock_smi;
	return parts_add(m, &lpc->dev, err);
}

static int build_smbus(struct machine *m, struct error *err)
{
	struct ich9_smbus *smb = (struct ich9_smbus *)dev_new(&ich9_smbus_class, "smbus", &m->sv);

	smb->bus = m->pci;
	smb->ram_size = m->cfg.ram_size;
	return parts_add(m, &smb->dev, err);
}

static int build_ports(struct machine *m, struct error *err)
{
	for (unsigned i = 0; i < MACHINE_PORTS; i++) {
		struct root_port *rp;
		char id[16];
		int r;

		snprintf(id, sizeof(id), "port%u", i);
		rp = (struct root_port *)dev_new(&root_port_class, id, &m->sv);
		rp->bus = m->pci;
		rp->number = i;
		rp->eject = parts_eject_port;
		rp->eject_ctx = m;
		r = parts_add(m, &rp->dev, err);
		if (r < 0)
			return r;
		m->port[i] = rp;
	}
	return 0;
}

static int build_bridges(struct machine *m, struct error *err)
{
	struct q35_mch *hb = (struct q35_mch *)dev_new(&q35_mch_class, "q35-mch", &m->sv);
	const struct parts_host wires = {.dev = &hb->dev,
					 .bus = &hb->bus,
					 .host = &hb->host,
					 .pam = &hb->pam,
					 .shadow_at_reset = &hb->shadow_at_reset,
					 .subsystem_vendor = &hb->subsystem_vendor,
					 .subsystem = &hb->subsystem};
	int r;

	hb->smm = m->cfg.firmware.smm;
	hb->low_end = m->low_end;
	r = parts_host(m, &wires, err);
	if (r < 0)
		return r;
	r = build_lpc(m, err);
	if (r == 0)
		r = build_smbus(m, err);
	return r < 0 ? r : build_ports(m, err);
}

static void describe(struct machine *m)
{
	struct acpi_config *a = &m->acpi;

	a->ioapic_addr = IOAPIC_BASE;
	a->sci_irq = ISA_IRQ_SCI;
	a->pm_base = MACHINE_PM_BASE;
	a->gpe0_base = MACHINE_PM_BASE + ACPI_ICH9_GPE0_STS;
	a->gpe0_len = 16;
	a->s5_typ = ACPI_ICH9_SLP_TYP_S5;
	a->reset_port = CF9_PORT;
	a->reset_value = 0x06; /* RCPU and SRST: hard reset */
	a->pic = a->pit = a->rtc = true;
	a->rtc_century = CMOS_CENTURY;
	a->coms = 3;
	a->q35 = true;
	a->pci_irqs = PCI_ISA_MASK;
	a->root_ports = MACHINE_PORTS;
	a->mcfg_base = MCFG_BASE;
	a->mcfg_size = MCFG_SIZE;
	a->rcba = RCBA_BASE;
	a->pci_min = (uint32_t)MAX(m->low_end, 16 * MIB);
	a->pci_max = PCI_MEM_LAST;
	if (m->cfg.firmware.efi) {
		a->pci64_min = align_up(m->high_end, EFI_PCI64_SIZE);
		a->pci64_max = a->pci64_min + EFI_PCI64_SIZE - 1;
	}
}

int q35_build(struct machine *m, struct error *err)
{
	int r = pc_parts(m, build_bridges, err);

	describe(m);
	return r < 0 ? r : firmware_files(m, m->fw_cfg, err);
}

int q35_firmware(struct machine *m, struct error *err)
{
	struct pci_setup setup = {.root = m->pci,
				  .isa = pirq_isa,
				  .io = {PCI_IO_FIRST, PCI_IO_LAST},
				  .mem = {MCFG_BASE + MCFG_SIZE, PCI_MEM_LAST}};

	pci_bus_config_write(m->pci, MCH_DEVFN, 0x60, 4, MCFG_BASE | 1);
	for (unsigned i = 0; i < 8; i++)
		pci_bus_config_write(m->pci, LPC_DEVFN, (i < 4 ? 0x60 : 0x64) + i, 1, pirq_isa[i]);
	pci_bus_config_write(m->pci, LPC_DEVFN, 0x40, 4, MACHINE_PM_BASE | 1);
	pci_bus_config_write(m->pci, LPC_DEVFN, 0x44, 1, 0x80);
	pci_bus_config_write(m->pci, LPC_DEVFN, 0xf0, 4, RCBA_BASE | 1);
	pci_setup_isa(m, PCI_ISA_MASK);
	return pci_setup_bus(&setup, m->pci, PCI_DEVFN(1, 0), err);
}
