/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI tables of our machines: RSDP, RSDT, XSDT, FADT, FACS, DSDT, MADT, HPET, MCFG, TPM2, WAET.
 * ACPI Specification 6.4; IA-PC HPET 1.0a, 3.2.4; TCG ACPI Specification 1.3, table 9; Windows ACPI
 * Emulated Devices Table.
 *
 * The tables are one blob built for a fixed guest-physical address; the RSDP stands first, on a
 * 16-byte boundary, so that a scan of 0xe0000-0xfffff finds it (5.2.5.1).
 */
#ifndef MACHINE_ACPI_H
#define MACHINE_ACPI_H

#include "base/err.h"

#define ACPI_VIRTIO_MAX 32

struct acpi_virtio {
	uint32_t base, size; /* MMIO window, bytes */
	uint32_t gsi;
};

/* What the tables describe. Zero means "not there" for every optional part. */
struct acpi_config {
	unsigned n_cpus;
	uint32_t lapic_addr, ioapic_addr;
	uint8_t ioapic_id;
	uint8_t sci_irq;
	uint16_t pm_base;   /* PM1a event +0 (4 bytes), control +4 (2), timer +8 (4) */
	uint16_t gpe0_base; /* 0 = no general-purpose events */
	uint8_t gpe0_len;   /* status and enable together, bytes */
	uint8_t s5_typ;     /* SLP_TYP of soft-off */
	uint16_t reset_port;
	uint8_t reset_value;
	bool pic, pit, rtc, i8042, dma, fdc, fw_cfg;
	uint8_t rtc_century; /* CMOS index of the century byte */
	uint8_t coms;        /* bit 0 COM1 (3f8, IRQ 4), bit 1 COM2 (2f8, IRQ 3) */
	uint32_t hpet_addr, hpet_id;
	uint32_t pci_irqs; /* mask of ISA IRQs that PIRQ lines may use: level, active high */
	/* PCI: windows of the host bridge; 0 length = machine without PCI */
	uint32_t pci_min, pci_max;     /* 32-bit memory window, inclusive */
	uint64_t pci64_min, pci64_max; /* 64-bit window, inclusive; max 0 = none */
	/* PCI Express (PIRQA to H, IOAPIC inputs 16 to 23); otherwise PIIX3's PIRQA to D */
	bool q35;
	unsigned root_ports;    /* functions of device 1ch */
	uint64_t mcfg_base;     /* configuration space; 0 = none */
	uint64_t mcfg_size;     /* bytes: 1 MiB a bus */
	uint32_t hotplug_slots; /* device numbers on bus 0 that can come and go, bit n; pc only */
	uint32_t rcba;          /* 16 KiB of chip set registers; 0 = none */
	bool tpm, tpm_crb;      /* a TPM at FED40000h, and with which interface */
	uint32_t tpm_log;       /* bytes for its log where firmware is to place one; 0 = none */
	unsigned n_virtio;
	struct acpi_virtio virtio[ACPI_VIRTIO_MAX];
};

#define ACPI_RELOCS_MAX 32
#define ACPI_SUMS_MAX   16

/* What depends on the address the blob stands at, for whoever moves it: fields that hold addresses
 * inside the blob, and the sums over pieces that hold such fields. */
struct acpi_reloc {
	uint32_t at;  /* offset of the field */
	uint8_t size; /* 4 or 8 bytes */
};
struct acpi_sum {
	uint32_t start, len, at; /* all offsets in the blob; @at: the checksum byte */
};

struct acpi_tables {
	uint8_t *bytes; /* owned; free with acpi_done() */
	size_t len;
	uint64_t rsdp;             /* guest-physical address of the RSDP: the blob's base */
	size_t dsdt_off, dsdt_len; /* for tests */
	uint32_t log_at;           /* offset of the 8-byte address of the TPM's log; 0: none */
	size_t rsdp_len;           /* bytes of the RSDP; the next table starts on 64 */
	struct acpi_reloc reloc[ACPI_RELOCS_MAX];
	unsigned n_relocs;
	struct acpi_sum sum[ACPI_SUMS_MAX];
	unsigned n_sums;
};

/**
 * acpi_build() - build every table
 * @base: guest-physical address the blob will stand at, multiple of 64. @room: bytes there.
 * Return: 0, or -ENOSPC with text when the tables need more than @room. Any thread.
 */
int acpi_build(const struct acpi_config *cfg, uint64_t base, size_t room,
	       struct acpi_tables *ret_tables, struct error *err) MUST_CHECK;
void acpi_done(struct acpi_tables *t);

struct aml;
/** acpi_dsdt() - the DSDT's definition block body. */
void acpi_dsdt(struct aml *a, const struct acpi_config *cfg);

#endif
