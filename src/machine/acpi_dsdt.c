/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DSDT: processors, soft-off, the PCI root with its windows and interrupt routing, the fixed
 * devices of the ISA side, virtio-mmio devices. ACPI Specification 6.4; device ids from the PNP and
 * ACPI id registry; virtio-mmio's "LNRO0005" as operating systems know it.
 *
 * PCI interrupts go through four link devices over the PIIX3's PIRQRC registers (PIIX3 data sheet
 * 290550, 2.2.15: offset 60h-63h of the ISA bridge, bit 7 = not routed): the same ISA IRQ then
 * reaches both the 8259s and the IOAPIC pin of that number. Slot s, pin p uses PIRQ (s + p - 1) & 3
 * where pin 0 is INTA#; the machine wires the lines the same way (pc.c). What PCI Express has
 * instead is in acpi_express.c.
 */
#include "machine/acpi.h"

#include <stdio.h>

#include "device/acpi/pci_hotplug.h"
#include "device/tpm/tpm_crb.h"
#include "device/tpm/tpm_tis.h"
#include "machine/acpi_aml.h"
#include "machine/acpi_express.h"

static void processors(struct aml *a, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char name[16];

		snprintf(name, sizeof(name), "C%03X", i & 0xfff);
		aml_open_device(a, name);
		aml_name_string(a, "_HID", "ACPI0007");
		aml_name_int(a, "_UID", i);
		aml_close(a);
	}
}

static void pci_windows(struct aml *a, const struct acpi_config *cfg)
{
	aml_name(a, "_CRS");
	aml_open_resources(a);
	aml_res_bus(a, 0, 0xff);
	aml_res_io(a, 0xcf8, 1, 8);
	aml_res_window_io(a, 0, 0xcf7);
	aml_res_window_io(a, 0xd00, 0xffff);
	aml_res_window_mem32(a, 0xa0000, 0xbffff, true);
	if (cfg->mcfg_base) { /* configuration space lies in between */
		aml_res_window_mem32(a, cfg->pci_min, (uint32_t)cfg->mcfg_base - 1, false);
		aml_res_window_mem32(a, (uint32_t)(cfg->mcfg_base + cfg->mcfg_size), cfg->pci_max,
				     false);
	} else {
		aml_res_window_mem32(a, cfg->pci_min, cfg->pci_max, false);
	}
	if (cfg->pci64_max)
		aml_res_window_mem64(a, cfg->pci64_min, cfg->pci64_max);
	aml_close(a);
}

static void pci_routing(struct aml *a)
{
	static const char *const link[4] = {"ISA.LNKA", "ISA.LNKB", "ISA.LNKC", "ISA.LNKD"};

	aml_name(a, "_PRT");
	aml_open_package(a, 32 * 4);
	for (unsigned slot = 0; slot < 32; slot++)
		for (unsigned pin = 0; pin < 4; pin++) {
			aml_open_package(a, 4);
			aml_int(a, (uint64_t)slot << 16 | 0xffff);
			aml_int(a, pin);
			aml_path(a, link[(slot + pin + 3) & 3]);
			aml_int(a, 0);
			aml_close(a);
		}
	aml_close(a);
}

/* One PIRQ as an interrupt link device, ACPI 6.4, 6.2.13.1 */
static void link_device(struct aml *a, const struct acpi_config *cfg, unsigned n)
{
	char name[5] = "LNKA", reg[5] = "PRQA";
	uint32_t irqs[16];
	unsigned count = 0;

	name[3] = reg[3] = (char)('A' + n);
	for (unsigned irq = 0; irq < 16; irq++)
		if (cfg->pci_irqs >> irq & 1)
			irqs[count++] = irq;
	aml_open_device(a, name);
	aml_name_eisaid(a, "_HID", "PNP0C0F");
	aml_name_int(a, "_UID", n + 1);
	aml_name(a, "_PRS");
	aml_open_resources(a);
	aml_res_interrupt(a, true, true, irqs, count);
	aml_close(a);

	aml_open_method(a, "_STA", 0, false); /* present; enabled unless bit 7 of PIRQRC is set */
	aml_open_if(a);
	aml_op(a, AML_AND);
	aml_path(a, reg);
	aml_int(a, 0x80);
	aml_op(a, AML_ZERO); /* no target */
	aml_op(a, AML_RETURN);
	aml_int(a, 0x09);
	aml_close(a);
	aml_op(a, AML_RETURN);
	aml_int(a, 0x0b);
	aml_close(a);

	aml_open_method(a, "_DIS", 0, false);
	aml_op(a, AML_OR);
	aml_path(a, reg);
	aml_int(a, 0x80);
	aml_path(a, reg);
	aml_close(a);

	aml_open_method(a, "_CRS", 0, true);
	aml_name(a, "BUF0");
	aml_open_resources(a);
	aml_res_interrupt(a, true, true, (const uint32_t[]){0}, 1);
	aml_close(a);
	aml_op(a, AML_CREATE_DWORD_FIELD);
	aml_path(a, "BUF0");
	aml_int(a, 5); /* the interrupt number inside the descriptor */
	aml_path(a, "IRQ0");
	aml_op(a, AML_AND);
	aml_path(a, reg);
	aml_int(a, 0x0f);
	aml_path(a, "IRQ0");
	aml_op(a, AML_RETURN);
	aml_path(a, "BUF0");
	aml_close(a);

	aml_open_method(a, "_SRS", 1, true);
	aml_op(a, AML_CREATE_DWORD_FIELD);
	aml_op(a, AML_ARG0);
	aml_int(a, 5);
	aml_path(a, "IRQ1");
	aml_op(a, AML_STORE);
	aml_path(a, "IRQ1");
	aml_path(a, reg);
	aml_close(a);
	aml_close(a);
}

static void io_device(struct aml *a, const char *name, const char *hid, unsigned uid,
		      uint16_t port1, uint8_t len1, uint16_t port2, int irq)
{
	aml_open_device(a, name);
	aml_name_eisaid(a, "_HID", hid);
	aml_name_int(a, "_UID", uid);
	aml_name(a, "_CRS");
	aml_open_resources(a);
	if (len1)
		aml_res_io(a, port1, 1, len1);
	if (port2)
		aml_res_io(a, port2, 1, len1);
	if (irq >= 0)
		aml_res_irq(a, (uint16_t)(1u << irq));
	aml_close(a);
	aml_close(a);
}

static void isa_devices(struct aml *a, const struct acpi_config *cfg)
{
	if (cfg->coms & 1)
		io_device(a, "COM1", "PNP0501", 1, 0x3f8, 8, 0, 4);
	if (cfg->coms & 2)
		io_device(a, "COM2", "PNP0501", 2, 0x2f8, 8, 0, 3);
	if (cfg->i8042) {
		io_device(a, "KBD", "PNP0303", 0, 0x60, 1, 0x64, 1);
		io_device(a, "MOU", "PNP0F13", 0, 0, 0, 0, 12);
	}
	if (cfg->rtc)
		io_device(a, "RTC", "PNP0B00", 0, 0x70, 2, 0, 8);
	if (cfg->pit)
		io_device(a, "PIT", "PNP0100", 0, 0x40, 4, 0, 0);
	if (cfg->pic)
		io_device(a, "PIC", "PNP0000", 0, 0x20, 2, 0xa0, 2);
	if (cfg->dma)
		io_device(a, "DMAC", "PNP0200", 0, 0x00, 16, 0xc0, -1);
	if (cfg->fdc) {
		aml_open_device(a, "FDC0");
		aml_name_eisaid(a, "_HID", "PNP0700");
		aml_name(a, "_CRS");
		aml_open_resources(a);
		aml_res_io(a, 0x3f2, 1, 4);
		aml_res_io(a, 0x3f7, 1, 1);
		aml_res_irq(a, 1u << 6);
		aml_res_dma(a, 2);
		aml_close(a);
		aml_close(a);
	}
	if (cfg->fw_cfg) {
		aml_open_device(a, "FWCF");
		aml_name_string(a, "_HID", "QEMU0002"); /* the id drivers of fw_cfg bind to */
		aml_name_int(a, "_STA", 0x0b);
		aml_name(a, "_CRS");
		aml_open_resources(a);
		aml_res_io(a, 0x510, 1, 12);
		aml_close(a);
		aml_close(a);
	}
}

static void hpet_device(struct aml *a, const struct acpi_config *cfg)
{
	aml_open_device(a, "HPET");
	aml_name_eisaid(a, "_HID", "PNP0103");
	aml_name_int(a, "_UID", 0);
	aml_name(a, "_CRS");
	aml_open_resources(a);
	aml_res_memory32(a, cfg->hpet_addr, 0x400, false);
	aml_close(a);
	aml_close(a);
}

/* TCG ACPI Specification 1.3, 8.2: the device object of a TPM 2.0 */
static void tpm_device(struct aml *a, const struct acpi_config *cfg)
{
	aml_open_device(a, "TPM");
	aml_name_string(a, "_HID", "MSFT0101");
	aml_name_int(a, "_STA", 0x0f);
	aml_name(a, "_CRS");
	aml_open_resources(a);
	aml_res_memory32(a, TPM_BASE, cfg->tpm_crb ? TPM_CRB_SIZE : TPM_TIS_SIZE, true);
	aml_close(a);
	aml_close(a);
}

static void virtio_device(struct aml *a, unsigned n, const struct acpi_virtio *v)
{
	char name[16];

	snprintf(name, sizeof(name), "VR%02X", n & 0xff);
	aml_open_device(a, name);
	aml_name_string(a, "_HID", "LNRO0005");
	aml_name_int(a, "_UID", n);
	aml_name_int(a, "_CCA", 1);
	aml_name(a, "_CRS");
	aml_open_resources(a);
	aml_res_memory32(a, v->base, v->size, true);
	aml_res_interrupt(a, true, false, &v->gsi, 1);
	aml_close(a);
	aml_close(a);
}

static void isa_bridge(struct aml *a, const struct acpi_config *cfg)
{
	static const char *const regs[8] = {"PRQA", "PRQB", "PRQC", "PRQD",
					    "PRQE", "PRQF", "PRQG", "PRQH"};
	unsigned n = cfg->q35 ? 8 : 4;

	aml_open_device(a, "ISA");
	aml_name_int(a, "_ADR", cfg->q35 ? 0x001f0000 : 0x00010000);
	aml_region(a, "PIRQ", AML_SPACE_PCI, 0x60, 4);
	aml_open_field(a, "PIRQ");
	for (unsigned i = 0; i < 4; i++)
		aml_field_unit(a, regs[i], 8);
	aml_close(a);
	if (cfg->q35) {
		aml_region(a, "PIR2", AML_SPACE_PCI, 0x68, 4);
		aml_open_field(a, "PIR2");
		for (unsigned i = 4; i < 8; i++)
			aml_field_unit(a, regs[i], 8);
		aml_close(a);
	}
	for (unsigned i = 0; i < n; i++)
		link_device(a, cfg, i);
	isa_devices(a, cfg);
	aml_close(a);
}

/* ACPI 6.4, 5.6.6: 1 device check, 3 ejection request, for the slots that @reg names */
static void notify_slots(struct aml *a, const struct acpi_config *cfg, const char *reg,
			 unsigned what)
{
	aml_op(a, AML_STORE);
	aml_path(a, reg);
	aml_op(a, AML_LOCAL0);
	for (unsigned slot = 0; slot < 32; slot++) {
		char name[8];

		if (!(cfg->hotplug_slots >> slot & 1))
			continue;
		snprintf(name, sizeof(name), "S%02X", slot & 31);
		aml_open_if(a);
		aml_op(a, AML_AND);
		aml_op(a, AML_LOCAL0);
		aml_int(a, 1u << slot);
		aml_op(a, AML_ZERO); /* no target */
		aml_op(a, AML_NOTIFY);
		aml_path(a, name);
		aml_int(a, what);
		aml_close(a);
	}
}

/* Slots that can be filled and emptied while the machine runs: device/acpi/pci_hotplug.c. */
static void hotplug(struct aml *a, const struct acpi_config *cfg)
{
	aml_region(a, "HPIO", AML_SPACE_IO, PCI_HOTPLUG_PORT, PCI_HOTPLUG_SIZE);
	aml_open_field(a, "HPIO");
	aml_field_unit(a, "HPUP", 32);
	aml_field_unit(a, "HPDN", 32);
	aml_field_unit(a, "HPEJ", 32);
	aml_close(a);
	for (unsigned slot = 0; slot < 32; slot++) {
		char name[8];

		if (!(cfg->hotplug_slots >> slot & 1))
			continue;
		snprintf(name, sizeof(name), "S%02X", slot & 31);
		aml_open_device(a, name);
		aml_name_int(a, "_ADR", (uint64_t)slot << 16);
		aml_name_int(a, "_SUN", slot);
		aml_open_method(a, "_EJ0", 1, false);
		aml_op(a, AML_STORE);
		aml_int(a, 1u << slot);
		aml_path(a, "HPEJ");
		aml_close(a);
		aml_close(a);
	}
	aml_open_method(a, "HPEV", 0, true);
	notify_slots(a, cfg, "HPUP", 1);
	notify_slots(a, cfg, "HPDN", 3);
	aml_close(a);
	aml_open_device(a, "HPRS"); /* nobody else is to use these ports */
	aml_name_eisaid(a, "_HID", "PNP0C02");
	aml_name_int(a, "_UID", 2);
	aml_name(a, "_CRS");
	aml_open_resources(a);
	aml_res_io(a, PCI_HOTPLUG_PORT, 1, PCI_HOTPLUG_SIZE);
	aml_close(a);
	aml_close(a);
}

static void pci_root(struct aml *a, const struct acpi_config *cfg)
{
	aml_open_device(a, "PCI0");
	if (cfg->q35) {
		aml_name_eisaid(a, "_HID", "PNP0A08");
		aml_name_eisaid(a, "_CID", "PNP0A03");
	} else {
		aml_name_eisaid(a, "_HID", "PNP0A03");
	}
	aml_name_int(a, "_UID", 0);
	aml_name_int(a, "_BBN", 0);
	pci_windows(a, cfg);
	if (cfg->q35)
		acpi_dsdt_express(a, cfg);
	else
		pci_routing(a);
	isa_bridge(a, cfg);
	if (cfg->hotplug_slots)
		hotplug(a, cfg);
	aml_close(a);
}

void acpi_dsdt(struct aml *a, const struct acpi_config *cfg)
{
	if (cfg->q35)
		acpi_dsdt_pic(a);
	aml_open_scope(a, "\\_SB");
	processors(a, cfg->n_cpus);
	if (cfg->pci_max)
		pci_root(a, cfg);
	else
		isa_devices(a, cfg);
	if (cfg->hpet_addr)
		hpet_device(a, cfg);
	if (cfg->tpm)
		tpm_device(a, cfg);
	for (unsigned i = 0; i < cfg->n_virtio; i++)
		virtio_device(a, i, &cfg->virtio[i]);
	aml_close(a);

	if (cfg->hotplug_slots) {
		aml_open_scope(a, "\\_GPE");
		aml_open_method(a, "_E01", 0, false);
		aml_path(a, "\\_SB.PCI0.HPEV");
		aml_close(a);
		aml_close(a);
	}
	aml_name(a, "\\_S5");
	aml_open_package(a, 4);
	aml_int(a, cfg->s5_typ);
	aml_int(a, cfg->s5_typ);
	aml_int(a, 0);
	aml_int(a, 0);
	aml_close(a);
}
