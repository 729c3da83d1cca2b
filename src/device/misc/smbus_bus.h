/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An SMBus as hosts see it: slaves at 7-bit addresses, the transactions of the System Management
 * Bus Specification 2.0, 5.5, and the memory modules' EEPROMs; see smbus_bus.c. Bus lock held.
 */
#ifndef DEVICE_MISC_SMBUS_BUS_H
#define DEVICE_MISC_SMBUS_BUS_H

#include "state/state.h"

enum { SMBUS_MODULES = 4, SMBUS_BLOCK = 32, SMBUS_SLAVES = 8 };

/* Bytes of a message, one after another; index 0 is the first after a start with that direction. */
struct smbus_slave {
	uint8_t address;
	bool (*put)(void *ctx, unsigned index, uint8_t byte); /* acknowledged? */
	uint8_t (*get)(void *ctx, unsigned index);
	void *ctx;
};

/* EEPROM of a memory module: write-protected, but for the address a read starts at. */
struct smbus_spd {
	uint8_t bytes[256];
	uint8_t *pointer; /* borrowed: in the host's registers */
};

/* A message under way; goes into a host's registers. */
struct smbus_msg {
	uint16_t out, in; /* bytes so far */
	uint8_t address;  /* 7 bits */
	uint8_t crc;      /* SMBus 5.4: of all bytes with the addresses */
	uint8_t pad_[2];
};
extern const struct state_field smbus_msg_fields[];

struct smbus_bus {
	struct smbus_slave slave[SMBUS_SLAVES];
	unsigned n;
	struct smbus_spd spd[SMBUS_MODULES];
	unsigned n_spd;
};

/* SMB_CMD of PIIX4 and ICH9; the bits in the register are the same. */
enum smbus_protocol {
	SMBUS_QUICK,
	SMBUS_BYTE,
	SMBUS_BYTE_DATA,
	SMBUS_WORD_DATA,
	SMBUS_PROCESS_CALL,
	SMBUS_BLOCK_DATA,
	SMBUS_I2C_READ,
	SMBUS_BLOCK_PROCESS,
};

struct smbus_xfer {
	enum smbus_protocol protocol; /* not I2C_READ */
	uint8_t address;              /* bit 0: read; of process calls it is looked at by nobody */
	uint8_t command;
	bool no_command, no_count; /* left out of what is written: I2C devices */
	uint8_t data[2];           /* block: number of bytes, in data[0] */
	uint8_t block[SMBUS_BLOCK];
	bool pec;         /* a packet error code byte ends the message ... */
	bool pec_check;   /* ... which is made and checked here, else it is pec_byte */
	uint8_t pec_byte; /* received or to send */
	bool pec_wrong;   /* that did not fit */
};

/** smbus_bus_add_modules() - EEPROMs of modules that make up @ram_size, at 50h and on
 * @pointer: [SMBUS_MODULES], borrowed, the addresses that reads start at. */
void smbus_bus_add_modules(struct smbus_bus *b, uint64_t ram_size, uint8_t *pointer);
/** smbus_bus_add() - copied; there has to be room. */
void smbus_bus_add(struct smbus_bus *b, const struct smbus_slave *slave);
/** smbus_msg_put() - the next byte, and before the first the address: acknowledged? */
bool smbus_msg_put(const struct smbus_bus *b, struct smbus_msg *m, uint8_t byte);
/** smbus_msg_get() - the next byte from the slave; when nobody is there all ones. */
uint8_t smbus_msg_get(const struct smbus_bus *b, struct smbus_msg *m);
/** smbus_msg_end() - the packet error code in the direction of the last byte: made and checked here
 * (@check), or @pec. False: not acknowledged, or (then *@ret_wrong) it does not fit. */
bool smbus_msg_end(const struct smbus_bus *b, struct smbus_msg *m, bool check, uint8_t *pec,
		   bool *ret_wrong);
/** smbus_bus_has() - does somebody answer at the 7-bit @address? */
bool smbus_bus_has(const struct smbus_bus *b, uint8_t address);
/** smbus_bus_run() - a whole transaction: false when something was not acknowledged, a count was
 * not 1 to 32, or the packet error code was wrong. Data received so far stands in @x. */
bool smbus_bus_run(const struct smbus_bus *b, struct smbus_xfer *x);

#endif
