/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AHCI host bus adapter with six Serial ATA ports. "AHCI": Serial ATA AHCI 1.3.1 Specification;
 * Intel I/O Controller Hub 9 data sheet 316972-004, chapter 15 (configuration space, ids).
 * ahci.c: registers, interrupts, life; ahci_port.c: commands, FISes, scatter lists, native queuing.
 *
 * The commands of the drives are ide.h's: each port has a channel with one drive.
 *
 * Wiring (machine/): set `bus` (and `devfn`) and the drives' properties (`port[n].ch.drive[0]`)
 * before dev_realize(). Everything here runs with the bus lock held.
 */
#ifndef DEVICE_STORAGE_AHCI_H
#define DEVICE_STORAGE_AHCI_H

#include "device/pci/pci.h"
#include "device/storage/dma_list.h"
#include "device/storage/ide.h"

#define AHCI_PORTS 6u
#define AHCI_SLOTS 32u
#define AHCI_SEGS  128u /* pieces of guest memory in one queued disk request */

/* READ or WRITE FPDMA QUEUED between its acceptance and its end; index: the tag. */
struct ahci_queued_regs {
	uint64_t lba;   /* first sector */
	uint64_t table; /* gpa of the scatter list */
	uint32_t left;  /* sectors not moved yet; 0 = no command */
	uint32_t entries;
	uint32_t entry, off; /* where in the list: entry, and bytes of that */
	bool write, fua;
	uint8_t pad_[6];
};

struct ahci_port_regs {
	uint64_t clb, fb; /* gpa: command list, received FISes */
	uint32_t is, ie, cmd, sctl, serr, sact, ci;
	uint32_t sig;
	uint16_t tfd;  /* status, error << 8 */
	uint8_t slot;  /* of the command that the channel works on */
	bool busy;     /* there is one */
	bool halted;   /* after an error, until PxCMD.ST goes to 0 */
	bool pio_last; /* the last thing the drive did was to present a PIO block */
	uint8_t failed_tag, failed_status, failed_error; /* queued error log */
	bool queue_failed;
	uint8_t pad_[6];
	uint64_t failed_lba;
	uint64_t table;   /* of the channel's command: gpa of its scatter list */
	uint32_t entries; /* in it */
	uint32_t entry;   /* where in it: entry, and bytes of that */
	uint32_t off;
	uint32_t moved; /* PRDBC */
	struct ahci_queued_regs queued[AHCI_SLOTS];
	struct ide_channel_regs ch;
};

struct ahci_regs {
	struct pci_regs pci;
	uint32_t ghc, is;
	struct ahci_port_regs port[AHCI_PORTS];
};

struct ahci;
struct ahci_port;

struct ahci_queued {
	struct block_req br;
	struct ahci_port *port;
	struct dma_list data;
	bool at_block;
	uint32_t in_io; /* sectors of the request */
};

struct ahci_port {
	struct ahci *hba;
	unsigned n;
	struct ahci_port_regs *r; /* in hba->s */
	struct ide_channel ch;
	/* private */
	struct ahci_queued queued[AHCI_SLOTS];
	struct iovec *iov; /* owned: AHCI_SEGS for each tag; NULL without a disk */
	gpa_t *gpa;
	/* of the channel's request */
	struct dma_list data;
	gpa_t data_gpa[IDE_SEGS];
	bool fault;   /* the scatter list, or what it names, is not RAM */
	bool running; /* ahci_port_run() is under way */
	bool again;
};

struct ahci {
	struct dev dev;
	struct ahci_regs s;
	struct pci_func f;
	struct ahci_port port[AHCI_PORTS];
	/* properties */
	struct pci_bus *bus; /* borrowed */
	uint8_t devfn;       /* 0 = the next free slot */
	/* private */
	struct bus_region bar;
	bool stopped; /* quiesced */
};

extern const struct dev_class ahci_class;

/**
 * ahci_plug() - a drive comes to port @n, whose channel's drive 0 has its properties, or goes
 *
 * Bus lock held; the device is realized. The guest hears of it by PxSERR and PxIS
 * (AHCI 1.3.1, 10.9). A drive that goes gives up its commands; afterwards its block is the caller's
 * again. Return: 0, or -errno with text and no drive there.
 */
int ahci_plug(struct ahci *h, unsigned n, bool present, struct error *err) MUST_CHECK;

/* ---- between ahci.c and ahci_port.c ---- */

/* PxIS (AHCI 3.3.5) */
enum {
	AHCI_IS_DHRS = 1 << 0,
	AHCI_IS_PSS = 1 << 1,
	AHCI_IS_SDBS = 1 << 3,
	AHCI_IS_DPS = 1 << 5,
	AHCI_IS_PCS = 1 << 6,
	AHCI_IS_PRCS = 1 << 22,
	AHCI_IS_OFS = 1 << 24,
	AHCI_IS_HBFS = 1 << 29,
	AHCI_IS_TFES = 1 << 30,
};
/* PxCMD (3.3.7) */
#define AHCI_CMD_ST    0x00000001u
#define AHCI_CMD_SUD   0x00000002u
#define AHCI_CMD_POD   0x00000004u
#define AHCI_CMD_CLO   0x00000008u
#define AHCI_CMD_FRE   0x00000010u
#define AHCI_CMD_HPCP  0x00040000u
#define AHCI_CMD_CCS   0x00001f00u
#define AHCI_CMD_FR    0x00004000u
#define AHCI_CMD_CR    0x00008000u
#define AHCI_CMD_ATAPI 0x01000000u
#define AHCI_CMD_ICC   0xf0000000u

/* PxSERR (3.3.12): X: exchanged; N: PhyRdy changed */
#define AHCI_SERR_X 0x04000000u
#define AHCI_SERR_N 0x00010000u

/** ahci_port_init() - callbacks and memory of a port; 0 or -errno with text. */
int ahci_port_init(struct ahci_port *p, struct error *err) MUST_CHECK;
void ahci_port_done(struct ahci_port *p);
/** ahci_port_run() - start what is in PxCI and go on with what is under way. */
void ahci_port_run(struct ahci_port *p);
/** ahci_port_stop() - forget all commands; what is at the block layer is waited for. */
void ahci_port_stop(struct ahci_port *p);
/** ahci_port_link_up() - after COMRESET or power-on: the drive sends its signature. */
void ahci_port_link_up(struct ahci_port *p);
/** ahci_port_resume() - start again what a loaded state says was under way. */
void ahci_port_resume(struct ahci_port *p);
/** ahci_interrupt() - set bits of PxIS; ahci_irq_update() - drive the lines. */
void ahci_interrupt(struct ahci_port *p, uint32_t bits);
void ahci_irq_update(struct ahci *h, bool news);
static inline bool ahci_port_present(const struct ahci_port *p)
{
	return p->ch.drive[0].present;
}

#endif
