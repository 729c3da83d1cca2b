/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMBus host of the PIIX4 with the memory modules' EEPROMs; see smbus.c.
 */
#ifndef DEVICE_MISC_SMBUS_H
#define DEVICE_MISC_SMBUS_H

#include "device/dev.h"
#include "device/misc/smbus_bus.h"

enum { SMBUS_SIZE = 16 };

struct smbus_regs {
	uint8_t status, control, command, address, data[2];
	uint8_t slave[8];               /* SMBSLVSTS, SMBSLVCNT to SMBSLVDAT: stored */
	uint8_t at;                     /* next byte of block */
	uint8_t pointer[SMBUS_MODULES]; /* of the EEPROMs */
	uint8_t block[SMBUS_BLOCK];
	uint8_t pad_[5];
};

struct smbus {
	struct dev dev;
	struct smbus_regs s;
	uint64_t ram_size; /* bytes: what the modules add up to, set before realize */
	/* private */
	struct bus_region region;
	struct smbus_bus bus;
};

extern const struct dev_class smbus_class;

/** smbus_moved() - fits piix4_pm.smb_moved; as acpi_pm_moved(). @ctx: the struct smbus. */
void smbus_moved(void *ctx, bool enabled, uint16_t base);

#endif
