/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DSDT of the q35 machine (acpi_express.h): ACPI 6.4, 5.8.1 (_PIC), 6.2.11 (_OSC), 6.2.13 (_PRT);
 * PCI Firmware Specification 3.0, 4.1.2 (MCFG space as a motherboard resource), 4.5.1 (_OSC).
 *
 * With the 8259s, PCI interrupts go through link devices over the LPC bridge's PIRQ routing
 * registers; with the IOAPIC PIRQA to H are inputs 16 to 23. Which PIRQ a pin is, is what
 * ich9_lpc.c has after reset: pins A to D of the chip set's devices are PIRQA to D, those of others
 * PIRQE to H turned by the device number. The device behind root port n has its pins turned by n.
 */
#include "machine/acpi_express.h"

#include <stdio.h>

#define PORT_DEVICE 0x1cu
#define FIRST_GSI   16u

enum { AML_ARG1 = AML_ARG0 + 1, AML_ARG3 = AML_ARG0 + 3, AML_BUFFER = 0x11 };
enum { OSC_HOTPLUG = 0x01, OSC_PME = 0x04, OSC_CAPABILITY = 0x10 };

void acpi_dsdt_pic(struct aml *a)
{
	aml_name_int(a, "\\PICF", 0);
	aml_open_method(a, "\\_PIC", 1, false);
	aml_op(a, AML_STORE);
	aml_op(a, AML_ARG0);
	aml_path(a, "\\PICF");
	aml_close(a);
}

static unsigned pirq_of(unsigned slot, unsigned pin)
{
	return slot >= 25 && slot != 30 ? pin : 4 + ((slot + pin) & 3);
}

/* One routing table: @slots from @first on, pin p of slot s being PIRQ route(s, p + turn). */
static void table(struct aml *a, const char *name, bool apic, unsigned slots, int port)
{
	aml_name(a, name);
	aml_open_package(a, (uint8_t)(slots * 4));
	for (unsigned slot = 0; slot < slots; slot++)
		for (unsigned pin = 0; pin < 4; pin++) {
			unsigned n = port < 0 ? pirq_of(slot, pin)
					      : pirq_of(PORT_DEVICE, (pin + (unsigned)port) & 3);
			char link[] = "\\_SB.PCI0.ISA.LNKA";

			link[sizeof(link) - 2] = (char)('A' + n);
			aml_open_package(a, 4);
			aml_int(a, (uint64_t)slot << 16 | 0xffff);
			aml_int(a, pin);
			if (apic)
				aml_int(a, 0);
			else
				aml_path(a, link);
			aml_int(a, apic ? FIRST_GSI + n : 0);
			aml_close(a);
		}
	aml_close(a);
}

/* @port: behind that root port, one device; -1: on bus 0. */
static void routing(struct aml *a, int port)
{
	unsigned slots = port < 0 ? 32 : 1;

	table(a, "PRTP", false, slots, port);
	table(a, "PRTA", true, slots, port);
	aml_open_method(a, "_PRT", 0, false);
	aml_open_if(a);
	aml_path(a, "\\PICF");
	aml_op(a, AML_RETURN);
	aml_path(a, "PRTA");
	aml_close(a);
	aml_op(a, AML_RETURN);
	aml_path(a, "PRTP");
	aml_close(a);
}

static void dword_field(struct aml *a, unsigned off, const char *name)
{
	aml_op(a, AML_CREATE_DWORD_FIELD);
	aml_op(a, AML_ARG3);
	aml_int(a, off);
	aml_path(a, name);
}

/* @name |= @bits */
static void or_into(struct aml *a, const char *name, unsigned bits)
{
	aml_op(a, AML_OR);
	aml_path(a, name);
	aml_int(a, bits);
	aml_path(a, name);
}

/* The operating system asks which PCI Express features it may run itself. */
static void osc(struct aml *a)
{
	static const uint8_t uuid[16] = {0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40,
					 0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66};

	aml_open_method(a, "_OSC", 4, true);
	dword_field(a, 0, "CDW1");
	aml_open_if(a);
	aml_op(a, AML_LEQUAL);
	aml_op(a, AML_ARG0);
	aml_op(a, AML_BUFFER);
	aml_op(a, 1 + 2 + sizeof(uuid)); /* length of the buffer object */
	aml_int(a, sizeof(uuid));
	for (unsigned i = 0; i < sizeof(uuid); i++)
		aml_op(a, uuid[i]);
	dword_field(a, 8, "CDW3");
	aml_op(a, AML_STORE);
	aml_path(a, "CDW3");
	aml_op(a, AML_LOCAL0);
	aml_op(a, AML_AND);
	aml_path(a, "CDW3");
	aml_int(a, OSC_HOTPLUG | OSC_PME | OSC_CAPABILITY);
	aml_path(a, "CDW3");
	aml_open_if(a);
	aml_op(a, AML_LEQUAL);
	aml_op(a, AML_LEQUAL);
	aml_op(a, AML_LOCAL0);
	aml_path(a, "CDW3");
	aml_int(a, 0);
	or_into(a, "CDW1", 0x10); /* some were refused */
	aml_close(a);
	aml_open_if(a);
	aml_op(a, AML_LEQUAL);
	aml_op(a, AML_LEQUAL);
	aml_op(a, AML_ARG1);
	aml_int(a, 1);
	aml_int(a, 0);
	or_into(a, "CDW1", 0x08); /* unknown revision */
	aml_close(a);
	aml_op(a, AML_RETURN);
	aml_op(a, AML_ARG3);
	aml_close(a);
	or_into(a, "CDW1", 0x04); /* unknown UUID */
	aml_op(a, AML_RETURN);
	aml_op(a, AML_ARG3);
	aml_close(a);
}

void acpi_dsdt_express(struct aml *a, const struct acpi_config *cfg)
{
	osc(a);
	routing(a, -1);
	for (unsigned i = 0; i < cfg->root_ports; i++) {
		char name[8];

		snprintf(name, sizeof(name), "RP%02X", (i + 1) & 0xff);
		aml_open_device(a, name);
		aml_name_int(a, "_ADR", (uint64_t)PORT_DEVICE << 16 | i);
		routing(a, (int)i);
		aml_close(a);
	}
	aml_open_device(a, "MBRS");
	aml_name_eisaid(a, "_HID", "PNP0C02");
	aml_name_int(a, "_UID", 1);
	aml_name(a, "_CRS");
	aml_open_resources(a);
	aml_res_memory32(a, (uint32_t)cfg->mcfg_base, (uint32_t)cfg->mcfg_size, true);
	if (cfg->rcba)
		aml_res_memory32(a, cfg->rcba, 0x4000, true);
	aml_close(a);
	aml_close(a);
}
