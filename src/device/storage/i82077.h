/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Diskette controller Intel 82077AA in AT mode with up to two drives; see i82077.c.
 */
#ifndef DEVICE_STORAGE_I82077_H
#define DEVICE_STORAGE_I82077_H

#include "block/block.h"
#include "device/dev.h"

struct i8237;

#define I82077_DRIVES     2u
#define I82077_DMA        2u /* channel of the AT */
#define I82077_SECTOR     512u
#define I82077_FORMAT_MAX 255u /* sectors of FORMAT TRACK */

/* What a diskette of some size is. */
struct i82077_format {
	uint64_t bytes;
	uint8_t cyls, heads, spt;
	uint8_t rates; /* bit n: readable with data rate select n (0 = 500, 1 = 300, 2 = 250 kb/s, 3
			  = 1 Mb/s) */
	uint8_t cmos; /* the drive for it, as CMOS byte 10h counts: 1 360K, 2 1.2M, 3 720K, 4 1.44M,
			 5 2.88M */
};

/** i82077_format_of() - the format of an image of @bytes, or NULL: no diskette is that big. */
const struct i82077_format *i82077_format_of(uint64_t bytes);

enum i82077_phase {
	I82077_IDLE,
	I82077_COMMAND, /* more parameter bytes are to come */
	I82077_WAIT,    /* the mechanics: `timer` starts the next sector */
	I82077_IO,      /* a request is at the block layer */
	I82077_DATA,    /* bytes to or from the host */
	I82077_RESULT,
	I82077_PHASE_COUNT
};

struct i82077_drive_regs {
	uint8_t cyl;  /* where the head is */
	uint8_t pcn;  /* where the controller thinks it is */
	bool changed; /* DSKCHG */
	bool seeking;
	uint8_t seek_to; /* of the running seek */
	uint8_t st0;     /* of the seek that ended, until SENSE INTERRUPT */
	bool seek_done;
	bool recal; /* the running seek, or the one that ended, is a RECALIBRATE */
};

struct i82077_regs {
	int64_t due; /* guest ns at which the mechanics are ready; 0 = nothing runs */
	int64_t seek_due[4];
	struct i82077_drive_regs drive[4];
	uint16_t pos;          /* bytes of buf moved */
	uint16_t sectors_left; /* FORMAT and VERIFY with a count */
	uint8_t dor, dsr, ccr, tdr;
	uint8_t phase;
	uint8_t cmd[9], n_cmd, need; /* command bytes so far, and how many it has */
	uint8_t result[10], n_result, at_result;
	uint8_t specify[2], config, pretrk, perp, gap, sc; /* sc: SC/EOT as DUMPREG shows it */
	bool lock;
	bool irq;
	uint8_t reset_sense; /* drives still to be reported after a reset */
	/* the running transfer */
	uint8_t c, h, r, n, eot;
	uint8_t st1, st2;
	bool writing, terminal; /* terminal count was seen */
	bool satisfied;         /* SCAN */
	uint8_t dma_waits;      /* times the DMA controller was not ready */
	uint8_t buf[I82077_SECTOR];
	uint8_t pad_[3];
};

struct i82077 {
	struct dev dev;
	struct i82077_regs s;
	struct irq irq;    /* out: ISA IRQ6 */
	struct i8237 *dma; /* borrowed; set before realize */
	struct i82077_drive {
		bool present;
		struct block *block;                /* borrowed; NULL = no diskette */
		const struct i82077_format *format; /* derived */
	} drive[I82077_DRIVES];
	/* private */
	struct vtimer timer, seek_timer[4];
	struct block_req req;
	struct iovec iov;
	bool in_flight;
};

extern const struct dev_class i82077_class;

/** i82077_set_medium() - change the diskette of drive @n; NULL = take it out. -EINVAL: no format of
 * that size. The caller owns both blocks. */
int i82077_set_medium(struct i82077 *fdc, unsigned n, struct block *block,
		      struct error *err) MUST_CHECK;

#endif
