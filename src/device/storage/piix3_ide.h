/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PIIX3 function 1: two IDE channels in compatibility mode with bus mastering; see piix3_ide.c.
 */
#ifndef DEVICE_STORAGE_PIIX3_IDE_H
#define DEVICE_STORAGE_PIIX3_IDE_H

#include "device/pci/pci.h"
#include "device/storage/ide.h"

/* Bus master registers of one channel, and where in the descriptor table it is. */
struct piix3_bm_regs {
	uint32_t prdt; /* physical address of the table */
	uint32_t at;   /* offset of the current descriptor in it, bytes */
	uint32_t off;  /* bytes of that descriptor's memory done */
	uint8_t cmd, status;
	bool ended; /* the last descriptor is done */
	uint8_t pad_;
};

struct piix3_ide_regs {
	struct pci_regs pci;
	struct piix3_bm_regs bm[2];
	struct ide_channel_regs ch[2];
};

/* A piece of memory taken for a transfer. */
struct piix3_piece {
	gpa_t gpa;
	uint32_t len;
	uint32_t at, off;  /* descriptor, and offset in its memory */
	uint32_t desc_len; /* bytes of the descriptor's memory */
	bool last;         /* of the table */
};

struct piix3_ide;
struct piix3_bm {
	struct piix3_ide *ide;
	unsigned n; /* channel */
	struct piix3_piece piece[IDE_SEGS];
	unsigned n_pieces;
	bool to_memory;
};

struct piix3_ide {
	struct dev dev;
	struct piix3_ide_regs s;
	struct pci_func f;
	struct ide_channel ch[2]; /* properties: drives; irq: ISA 14 and 15 */
	struct pci_bus *bus;      /* borrowed; set before realize */
	uint8_t devfn;            /* 0 = 01.1 */
	bool decode_at_reset;     /* for firmware that doesn't know IDETIM: decoding at once */
	/* private */
	struct piix3_bm bm[2];
	struct bus_region bm_bar, command[2], control[2];
};

extern const struct dev_class piix3_ide_class;

#endif
