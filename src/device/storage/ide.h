/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One ATA channel with up to two drives: hard disks (ATA/ATAPI-7) and CD/DVD drives (packet
 * commands: MMC-5, SPC-3). A host adapter embeds `struct ide_channel`, decodes the ports, wires the
 * interrupt, and lends its DMA engine. ide.c: registers and protocols; ata.c: disk commands;
 * atapi.c: packet commands, whose contents are scsi_cd.c's.
 *
 * Everything here runs with the bus lock held.
 */
#ifndef DEVICE_STORAGE_IDE_H
#define DEVICE_STORAGE_IDE_H

#include "block/block.h"
#include "device/dev.h"
#include "device/storage/scsi.h"

#define IDE_SECTOR 512u
#define CD_SECTOR  2048u
#define IDE_BUF    32768u /* bytes of the channel's buffer: PIO read-ahead and write-behind */
#define IDE_SEGS   256u   /* pieces of guest memory in one disk request */

/* What a drive remembers. Arrays of two: [0] last written, [1] the one before (48-bit commands). */
struct ide_drive_regs {
	uint8_t feature[2], count[2], lba_low[2], lba_mid[2], lba_high[2];
	uint8_t device, status, error;
	uint8_t multiple;   /* sectors a data block of READ/WRITE MULTIPLE; 0 = off */
	uint8_t heads, spt; /* the geometry that CHS addresses mean */
	uint8_t xfer_mode;  /* SET FEATURES 03h: as written */
	bool write_cache;   /* of a disk */
	bool smart;         /* of a disk: SMART operations enabled */
	bool irq;           /* INTRQ while selected */
	uint8_t power;      /* 0 active, 1 idle, 2 standby */
	uint8_t pad_[3];
	struct scsi_lu_regs lu; /* packet drives */
};

enum ide_phase {
	IDE_IDLE,
	IDE_PIO_IN,  /* DRQ: the host reads buf */
	IDE_PIO_OUT, /* DRQ: the host fills buf */
	IDE_IO,      /* a request is at the block layer; BSY */
	IDE_DMA,     /* waiting for the bus master; BSY */
	IDE_PHASE_COUNT
};

/* What the transfer is part of, and so what comes after it. */
enum ide_op {
	IDE_OP_NONE,
	IDE_OP_READ,  /* sectors from the disk */
	IDE_OP_WRITE, /* to it */
	IDE_OP_FLUSH,
	IDE_OP_REPLY,  /* contents of buf to the host */
	IDE_OP_SINK,   /* bytes from the host that mean nothing */
	IDE_OP_PACKET, /* the 12 bytes of a packet command */
	IDE_OP_PARAMS, /* parameter list of a packet command */
	IDE_OP_TRIM,   /* ranges of DATA SET MANAGEMENT */
	IDE_OP_COUNT
};

struct ide_channel_regs {
	struct ide_drive_regs drive[2];
	uint64_t lba;      /* next sector, in units of `unit` */
	uint32_t left;     /* units of the command not moved yet */
	uint32_t in_io;    /* units of the request at the block layer */
	uint32_t buf_len;  /* bytes in buf (in), or wanted in it (out) */
	uint32_t buf_pos;  /* next byte of buf for the host */
	uint32_t drq_end;  /* where in buf this DRQ data block ends */
	uint32_t range;    /* next entry of TRIM */
	uint16_t unit;     /* 512 or 2048 */
	uint16_t limit;    /* packet commands by PIO: most bytes of a DRQ data block; 0 = FFFEh */
	uint8_t block;     /* disks by PIO: sectors of a DRQ data block */
	uint8_t phase, op; /* enum ide_phase, enum ide_op */
	uint8_t active;    /* drive the transfer belongs to */
	uint8_t control;   /* device control register: HOB, SRST, nIEN */
	uint8_t command;   /* last one, of the active drive */
	bool dma;          /* the command moves data by bus mastering */
	bool fua;
	uint8_t packet[12];
	uint8_t pad_[8];
	uint8_t buf[IDE_BUF];
};
extern const struct state_field ide_channel_regs_fields[];

/* What a host adapter's DMA engine does for the channel. */
struct ide_dma {
	/* The guest has started it and it has not run into an error. */
	bool (*running)(void *ctx);
	/* Take up to @max bytes' worth of memory, a multiple of @unit: @iov gets at most IDE_SEGS
	 * pieces.
	 * @ret_n: pieces. Return: bytes; 0 when the guest's list has ended; -EFAULT when it names
	 * what is not RAM (the engine notes that). */
	int64_t (*take)(void *ctx, bool to_memory, uint64_t max, unsigned unit, struct iovec *iov,
			int *ret_n);
	/* The transfer of the pieces last taken is over. Until then the engine's registers still
	 * say where it began, so that it can be done again. */
	void (*commit)(void *ctx);
	/* take() had less than a unit: the drive waits; may be NULL. */
	void (*dry)(void *ctx);
	/* INTRQ as seen by the adapter; may be NULL. */
	void (*intrq)(void *ctx, bool level);
	void *ctx;
};

struct ide_drive {
	/* properties */
	struct block *block; /* borrowed; NULL: no drive, or a CD drive without a disc */
	bool present, cdrom;
	char serial[21], model[41];
	/* derived */
	uint64_t sectors;  /* of the medium, in 512 bytes (disk) or 2048 (CD) */
	struct scsi_lu lu; /* packet drives */
};

struct ide_channel {
	/* properties: a Serial ATA port, whose adapter moves PIO data, too: the sectors of PIO
	 * commands by `dma` as if they were DMA commands, the rest with ide_block() */
	bool sata;
	/* Serial ATA: log page 10h, the queued command that failed (512 bytes, zeroed); NULL = none
	 */
	void (*queue_log)(void *ctx, uint8_t *page);
	struct dev *dev;            /* borrowed: the adapter */
	struct ide_channel_regs *s; /* borrowed: inside the adapter's *_regs */
	struct ide_drive drive[2];
	struct ide_dma dma;
	struct irq irq; /* out */
	/* private */
	struct block_req req;
	struct iovec iov[IDE_SEGS];
	bool in_flight; /* `req` is at the block layer */
};

/** ide_channel_init() - after the drives' properties are set. */
int ide_channel_init(struct ide_channel *ch, struct dev *dev, struct ide_channel_regs *s,
		     struct error *err) MUST_CHECK;
/** ide_plug() - drive 0 of a Serial ATA channel, whose properties have been set, comes (after a
 * hardware reset), or goes: what is under way is given up, and its block is not used any more. */
int ide_plug(struct ide_channel *ch, bool present, struct error *err) MUST_CHECK;
/** ide_channel_reset() - hardware reset; what is in flight is waited for. */
void ide_channel_reset(struct ide_channel *ch);
/** ide_channel_drain() - wait for the block layer; parked requests stay. */
void ide_channel_drain(struct ide_channel *ch);
/** ide_channel_loaded() - check and go on after a state load. */
int ide_channel_loaded(struct ide_channel *ch, struct error *err) MUST_CHECK;
/** ide_channel_resume() - start again what was under way when the state was saved. */
void ide_channel_resume(struct ide_channel *ch);
/** ide_channel_done() - end everything at the block layer. */
void ide_channel_done(struct ide_channel *ch);

/** ide_command_read/write() - the command block registers, @off 0..7, @size 1; 2 or 4 at the data
 * port. ide_control_read/write() - alternate status and device control. */
uint32_t ide_command_read(struct ide_channel *ch, unsigned off, unsigned size);
void ide_command_write(struct ide_channel *ch, unsigned off, unsigned size, uint32_t val);
uint8_t ide_control_read(struct ide_channel *ch);
void ide_control_write(struct ide_channel *ch, uint8_t val);
/** ide_dma_kick() - the guest started the DMA engine. */
void ide_dma_kick(struct ide_channel *ch);

/**
 * ide_block() - Serial ATA: the PIO data block that the drive presents
 * @ret_out: it goes to the drive. Return: its bytes, in the channel's buffer; NULL = there is none.
 */
uint8_t *ide_block(struct ide_channel *ch, uint32_t *ret_len, bool *ret_out);
/** ide_block_done() - it has been moved. */
void ide_block_done(struct ide_channel *ch);

/** ide_set_medium() - change the disc of CD drive @n: closes the tray, NULL = leave it empty. The
 * guest hears of it; the caller owns both blocks and may close the old one afterwards. */
void ide_set_medium(struct ide_channel *ch, unsigned n, struct block *block);
/** ide_open_tray() - of CD drive @n, from outside: the door lock is no hindrance. */
void ide_open_tray(struct ide_channel *ch, unsigned n);
/** ide_tray() - is the tray open / the door locked by the guest? */
bool ide_tray_open(const struct ide_channel *ch, unsigned n);
bool ide_tray_locked(const struct ide_channel *ch, unsigned n);

/* ---- between ide.c, ata.c and atapi.c ---- */

/* Status and error register bits (ATA/ATAPI-7 vol. 1, 5.14 and 6.10). */
enum {
	ATA_BSY = 0x80,
	ATA_DRDY = 0x40,
	ATA_DF = 0x20,
	ATA_DSC = 0x10,
	ATA_DRQ = 0x08,
	ATA_ERR = 0x01,
	ATA_ICRC = 0x80,
	ATA_UNC = 0x40,
	ATA_IDNF = 0x10,
	ATA_ABRT = 0x04,
};
/* Interrupt reason bits of packet commands (in the count register). */
enum { ATAPI_CD = 1, ATAPI_IO = 2 };

enum { MULTIPLE_MAX = 16, TRIM_BLOCKS_MAX = 8 };

/** ide_selected() - number of the drive that the device register selects. */
unsigned ide_selected(const struct ide_channel *ch);
/** ide_interrupt() - INTRQ of the active drive; ide_irq_update() - drive the line. */
void ide_interrupt(struct ide_channel *ch);
void ide_irq_update(struct ide_channel *ch);
/** ide_end_ok() - a disk's command ended well; ide_abort() - with ABRT. */
void ide_end_ok(struct ide_channel *ch);
void ide_abort(struct ide_channel *ch);
/** ide_present_out() - DRQ for the next data block of a disk's PIO write. */
void ide_present_out(struct ide_channel *ch, bool irq);
/** ata_command() - the host wrote the command register. */
void ata_command(struct ide_channel *ch, uint8_t cmd);
/** ata_set_lba() - @lba into the address registers, in the form command @cmd uses. */
void ata_set_lba(struct ide_drive_regs *d, uint64_t lba, uint8_t cmd);
/** ata_set_signature() - of drive @n (ATA vol. 1, 5.15). */
void ata_set_signature(struct ide_channel *ch, unsigned n);

struct ide_drive_regs *ide_active(struct ide_channel *ch);
struct ide_drive *ide_active_drive(struct ide_channel *ch);
/** ide_end() - the command is over with these status and error bits (BSY, DRQ clear), interrupt. */
void ide_end(struct ide_channel *ch, uint8_t status, uint8_t error);
/** ide_present() - DRQ for buf[buf_pos, drq_end), towards the host or (@out) from it. */
void ide_present(struct ide_channel *ch, bool out, bool irq);
/** ide_start_io() - next block request of a READ or WRITE of `left` units from `lba`. */
void ide_start_io(struct ide_channel *ch);

/** ata_smart() - SMART in all forms; ata_read_log() - READ LOG EXT. */
void ata_smart(struct ide_channel *ch, uint8_t cmd);
void ata_read_log(struct ide_channel *ch, uint8_t cmd);
/** ata_reply() - @len bytes of buf to the host by PIO. */
void ata_reply(struct ide_channel *ch, uint32_t len);

/** atapi_packet() - 12 bytes have arrived in `packet`: carry the command out. */
void atapi_packet(struct ide_channel *ch);
/** atapi_params() - the parameter list in buf is complete. */
void atapi_params(struct ide_channel *ch);
/** atapi_next_block() - size and present the next DRQ data block of a reply. */
void atapi_next_block(struct ide_channel *ch);
/** atapi_end() - the packet command is over; @key 0 = good. */
void atapi_end(struct ide_channel *ch, uint8_t key, uint8_t asc, uint8_t ascq);
/** atapi_identify() - the data of IDENTIFY PACKET DEVICE. */
void atapi_identify(const struct ide_drive *d, uint8_t *p);
/** ide_identify_strings() - serial number, firmware revision and model at words 10, 23 and 27. */
void ide_identify_strings(const struct ide_drive *d, uint8_t *p);

#endif
