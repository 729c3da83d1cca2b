/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMBus host of the ICH9 (device 31, function 3) with the memory modules' EEPROMs; see
 * ich9_smbus.c.
 *
 * Wiring: set `bus` and `ram_size`; slaves may be added to `smb` between dev_new() and realize.
 */
#ifndef DEVICE_MISC_ICH9_SMBUS_H
#define DEVICE_MISC_ICH9_SMBUS_H

#include "device/misc/smbus_bus.h"
#include "device/pci/pci.h"

enum { ICH9_SMBUS_IO = 32, ICH9_SMBUS_MEM = 256 };

enum ich9_smbus_phase {
	ICH9_SMBUS_IDLE,
	ICH9_SMBUS_WRITING, /* byte by byte: BYTE_DONE is set */
	ICH9_SMBUS_READING,
	ICH9_SMBUS_PHASES
};

struct ich9_smbus_regs {
	struct pci_regs pci;
	struct smbus_msg msg; /* byte by byte */
	uint8_t status, control, command, address, data[2];
	uint8_t byte; /* HOST_BLOCK_DB without the buffer */
	uint8_t at;   /* next byte of the buffer */
	uint8_t pec, receive_address, aux_status, aux_control;
	uint8_t smlink_pins, smbus_pins; /* bit 2 */
	uint8_t slave_command;
	bool in_use;   /* what HST_STS says of the semaphore when it is read next */
	uint8_t phase; /* enum ich9_smbus_phase */
	uint8_t left;  /* bytes of a block still to come */
	bool endless;  /* I2C read: as long as the host wants */
	uint8_t pointer[SMBUS_MODULES];
	uint8_t block[SMBUS_BLOCK];
	uint8_t pad_[1];
};

struct ich9_smbus {
	struct dev dev;
	struct ich9_smbus_regs s;
	struct pci_func f;
	struct pci_bus *bus; /* borrowed */
	uint64_t ram_size;   /* bytes: what the modules add up to */
	struct smbus_bus smb;
	/* private */
	struct bus_region io, mem;
};

extern const struct dev_class ich9_smbus_class;

#endif
