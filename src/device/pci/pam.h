/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programmable attribute map of Intel's host bridges: who answers between C0000h and FFFFFh, and
 * the SMRAM window. Part of a host bridge device (i440fx.c, q35_mch.c); see pam.c.
 */
#ifndef DEVICE_PCI_PAM_H
#define DEVICE_PCI_PAM_H

#include "device/dev.h"

#define PAM_SEGMENTS 13u /* F0000h (64 KiB), then C0000h..EC000h (16 KiB each) */
#define PAM_ROMS     4u

/* Contents that the PCI side answers with below 1 MiB (BIOS, option ROM); page aligned. */
struct pam_rom {
	struct ram_block *block; /* borrowed; NULL = unused */
	gpa_t gpa;
	uint64_t off, size; /* bytes */
};

struct pam;

/* One segment: what is mapped now. */
struct pam_segment {
	struct pam *pam;
	gpa_t gpa;
	uint64_t size;
	uint8_t mode; /* 0..3: WE << 1 | RE */
	struct mem_mapping *map;
	struct bus_region write_only; /* RE = 0, WE = 1: reads from PCI, writes to RAM */
	bool write_only_mapped;
};

struct pam {
	/* properties, set before pam_init() */
	struct ram_block
		*ram; /* borrowed; offset in the block = address below 1 MiB; may be NULL */
	struct pam_rom rom[PAM_ROMS];
	/* private */
	struct dev *dev;
	const uint8_t *reg; /* PAM0 to PAM6 in configuration space */
	struct pam_segment seg[PAM_SEGMENTS];
	struct mem_mapping *rom_map[PAM_ROMS], *smram_map;
};

/** pam_init() - of @dev, with registers @reg (borrowed): map the ROMs. 0 or -errno. */
int pam_init(struct pam *p, struct dev *dev, const uint8_t *reg, struct error *err) MUST_CHECK;
/** pam_done() - undo it; harmless on what was never initialized. */
void pam_done(struct pam *p);
/** pam_update() - map what the registers say; @smram_open: RAM at A0000h. */
void pam_update(struct pam *p, bool smram_open);

#endif
