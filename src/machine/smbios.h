/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMBIOS tables of our machines, for firmware that places them. DMTF DSP0134, System Management
 * BIOS Reference Specification 2.8.0: a 32-bit entry point (5.2.1) and structures 0 (BIOS), 1
 * (system), 3 (chassis), 4 (each processor), 16, 17, 19 (memory), 32 (boot), 127 (end).
 */
#ifndef MACHINE_SMBIOS_H
#define MACHINE_SMBIOS_H

#include "base/base.h"

#define SMBIOS_ANCHOR_LEN 31u

struct smbios_config {
	unsigned n_cpus;
	uint64_t ram_size, low_end, high_end; /* bytes; @high_end: end of RAM above 4 GiB */
	const char *product;                  /* "pc" */
	uint8_t uuid[16];                     /* as RFC 4122 writes it; all zero = not set */
};

struct smbios_tables {
	uint8_t anchor[SMBIOS_ANCHOR_LEN]; /* table address 0, sums for that address */
	uint8_t *bytes;                    /* owned; the structures */
	size_t len;
};

/** smbios_build() - all structures and the entry point that counts them; smbios_done() frees. */
void smbios_build(const struct smbios_config *cfg, struct smbios_tables *ret_tables);
void smbios_done(struct smbios_tables *t);

#endif
