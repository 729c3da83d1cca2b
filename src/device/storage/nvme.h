/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVM Express controller with one namespace, on PCI. NVM Express Base Specification 1.4.
 * nvme.c: registers, queues, interrupts, life; nvme_admin.c: admin commands; nvme_io.c: commands
 * of the namespace and data pointers.
 *
 * Wiring (machine/): set `block` and `bus` (and `serial`, `devfn`, `lba_shift`, `stride`) before
 * dev_realize(). Everything here runs with the bus lock held.
 */
#ifndef DEVICE_STORAGE_NVME_H
#define DEVICE_STORAGE_NVME_H

#include "block/block.h"
#include "device/dev.h"
#include "device/pci/pci.h"
#include "device/storage/dma_list.h"

#define NVME_IO_QUEUES     16u
#define NVME_QUEUES        (NVME_IO_QUEUES + 1u) /* number 0: admin */
#define NVME_ENTRIES_MAX   1024u                 /* of a queue */
#define NVME_SLOTS         128u                  /* commands under way, all queues together */
#define NVME_EVENTS        4u                    /* Asynchronous Event Requests held */
#define NVME_ERRORS        16u                   /* entries of the error log */
#define NVME_FEATURES      16u                   /* feature values kept: 01h to 0fh */
#define NVME_TRANSFER_MAX  (1024u * 1024u)       /* bytes of one command (MDTS): see nvme_admin.c */
#define NVME_SEGS          (NVME_TRANSFER_MAX / 4096u + 4u)
#define NVME_RANGE_BUFFERS 4u   /* Dataset Management commands under way */
#define NVME_RANGES        256u /* of one of them */
#define NVME_SQE           64u  /* bytes */
#define NVME_CQE           16u

struct nvme_sq_regs {
	uint64_t base;       /* gpa */
	uint16_t entries;    /* 0 = no such queue */
	uint16_t head, tail; /* < entries */
	uint16_t cq;         /* completion queue */
};

struct nvme_cq_regs {
	uint64_t base;
	uint16_t entries;
	uint16_t head, tail;
	uint16_t vector;
	bool phase; /* of the next entry */
	bool ien;   /* interrupts enabled */
	uint8_t pad_[6];
};

enum nvme_slot_state {
	NVME_FREE,
	NVME_BUSY, /* at the block layer; started again after a state load */
	NVME_DONE, /* waits for room in its completion queue */
	NVME_SLOT_STATES
};

/* A command between its fetch and its completion entry. */
struct nvme_slot_regs {
	uint8_t cmd[NVME_SQE];
	uint32_t result; /* DONE */
	uint16_t sq;
	uint16_t status;        /* DONE: 15 bits */
	uint8_t state, pad_[7]; /* enum nvme_slot_state */
};

struct nvme_error_regs {
	uint64_t count; /* 1 for the first; 0 = no entry */
	uint64_t lba;
	uint32_t nsid;
	uint16_t sq, cid, status, where;
	uint8_t pad_[4];
};

struct nvme_regs {
	struct pci_regs pci;
	struct pci_msix_regs msix;
	uint32_t intms, cc, csts, aqa;
	uint64_t asq, acq;
	struct nvme_sq_regs sq[NVME_QUEUES];
	struct nvme_cq_regs cq[NVME_QUEUES];
	struct nvme_slot_regs slot[NVME_SLOTS];
	uint32_t feature[NVME_FEATURES];
	uint32_t vector_config; /* bit n: coalescing off for vector n */
	uint16_t event_cid[NVME_EVENTS];
	uint32_t event_info[NVME_EVENTS]; /* event types 0 to 3 that wait: result dword; 0 = none */
	uint8_t n_events;                 /* requests held */
	uint8_t event_masked;             /* bit n: type n waits for its log page to be read */
	uint8_t lba_shift;                /* of the namespace: 9 or 12 */
	bool flushing;                    /* a shutdown waits for its flush */
	struct nvme_error_regs error[NVME_ERRORS];
	uint64_t n_errors;
	uint64_t sectors_read, sectors_written; /* of 512 bytes */
	uint64_t reads, writes;                 /* commands */
};

struct nvme;

struct nvme_slot {
	struct block_req br;
	struct nvme *n;
	struct dma_list data;
	bool at_block;
	uint8_t ranges; /* Dataset Management: range buffer + 1 */
	uint16_t range, n_ranges;
	/* Compare and Verify: read piece by piece into a range buffer */
	uint64_t check_off, check_at, check_len; /* bytes; len 0: neither */
	bool comparing;
	struct iovec piece;
};

struct nvme {
	struct dev dev;
	struct nvme_regs s;
	struct pci_func f;
	/* properties, set before realize */
	struct block *block; /* borrowed */
	struct pci_bus *bus; /* borrowed */
	uint8_t devfn;       /* 0 = the next free slot */
	uint8_t lba_shift;   /* 0 = 9; 12: blocks of 4096 bytes until the guest formats it */
	uint8_t stride;      /* CAP.DSTRD: doorbells are 4 << stride bytes apart */
	char serial[21];
	/* private */
	struct bus_region bar;
	struct nvme_slot slot[NVME_SLOTS];
	struct iovec *iov; /* owned: NVME_SEGS for each slot */
	gpa_t *gpa;        /* likewise */
	uint16_t free_slot[NVME_SLOTS];
	unsigned n_free;
	uint8_t *range_buf[NVME_RANGE_BUFFERS]; /* owned: raw range lists */
	bool range_busy[NVME_RANGE_BUFFERS];
	struct block_req shutdown_req;
	bool shutdown_at_block;
	struct vtimer again; /* more commands than one turn takes */
	bool starved;        /* a queue waits for a free slot or buffer */
	bool stopped;        /* quiesced */
};

extern const struct dev_class nvme_class;

/* ---- between nvme.c, nvme_admin.c and nvme_io.c ---- */

/* Status: SCT << 8 | SC, "do not retry" (NVMe 4.6.1). */
enum {
	NVME_OK = 0,
	NVME_INVALID_OPCODE = 0x4001,
	NVME_INVALID_FIELD = 0x4002,
	NVME_DATA_TRANSFER = 0x0004,
	NVME_INTERNAL = 0x0006,
	NVME_ABORT_REQUESTED = 0x0007,
	NVME_ABORT_SQ_DELETED = 0x0008,
	NVME_INVALID_NAMESPACE = 0x400b,
	NVME_SEQUENCE = 0x400c,
	NVME_INVALID_PRP_OFFSET = 0x4013,
	NVME_INVALID_SGL_SEGMENT = 0x400d,
	NVME_INVALID_SGL_COUNT = 0x400e,
	NVME_SGL_LENGTH = 0x400f,
	NVME_INVALID_SGL_TYPE = 0x4011,
	NVME_LBA_RANGE = 0x4080,
	NVME_INVALID_CQ = 0x4100,
	NVME_INVALID_QID = 0x4101,
	NVME_INVALID_QUEUE_SIZE = 0x4102,
	NVME_EVENT_LIMIT = 0x4105,
	NVME_INVALID_FIRMWARE_SLOT = 0x4106,
	NVME_INVALID_VECTOR = 0x4108,
	NVME_INVALID_LOG_PAGE = 0x4109,
	NVME_INVALID_FORMAT = 0x410a,
	NVME_INVALID_QUEUE_DELETION = 0x410c,
	NVME_FEATURE_NOT_SAVEABLE = 0x410d,
	NVME_FEATURE_NOT_CHANGEABLE = 0x410e,
	NVME_READ_ONLY = 0x4182,
	NVME_WRITE_FAULT = 0x0280,
	NVME_READ_ERROR = 0x0281,
	NVME_COMPARE_FAILURE = 0x0285,
};
/* A handler's answer beside a status. */
enum {
	NVME_PENDING = -1, /* at the block layer, or an event request */
	NVME_LATER = -2,   /* something has run out: leave the command in its queue */
};
/* Features by number (NVMe 5.21.1). */
enum {
	NVME_F_ARBITRATION = 1,
	NVME_F_POWER = 2,
	NVME_F_TEMPERATURE = 4,
	NVME_F_ERROR_RECOVERY = 5,
	NVME_F_WRITE_CACHE = 6,
	NVME_F_QUEUES = 7,
	NVME_F_COALESCING = 8,
	NVME_F_VECTOR = 9,
	NVME_F_ATOMICITY = 10,
	NVME_F_EVENTS = 11,
};
enum { NVME_ADM_EVENT = 0x0c }; /* Asynchronous Event Request: held, not restarted */
enum { NVME_NSID = 1, NVME_NSID_ALL = 0xffffffff, NVME_TEMPERATURE = 313 /* kelvin */ };

/** nvme_submit() - the slot's request to the block layer; NVME_PENDING. */
int nvme_submit(struct nvme *n, unsigned i, enum block_op op, uint64_t off, uint64_t len);
/** nvme_complete() - the slot's command is over. */
void nvme_complete(struct nvme *n, unsigned i, uint16_t status, uint32_t result);
/** nvme_map_prp() - the data of a command: @len bytes at PRP entries 1 and 2. A status. */
int nvme_map_prp(struct nvme *n, struct dma_list *l, const uint8_t *cmd, uint64_t len,
		 bool to_memory);
/** nvme_admin(), nvme_io() - carry out the command of slot @i: a status, NVME_PENDING or
 * NVME_LATER; @ret_result: dword 0 of the completion. */
int nvme_admin(struct nvme *n, unsigned i, uint32_t *ret_result);
int nvme_io(struct nvme *n, unsigned i);
/** nvme_io_next() - the block layer is done with slot @i: NVME_PENDING when there is a next request
 * of the same command, else the command's status. */
int nvme_io_next(struct nvme *n, unsigned i);
/** nvme_drop_queue() - the commands of submission queue @sq (-1: of all) are forgotten; what is at
 * the block layer is waited for. */
void nvme_drop_queue(struct nvme *n, int sq);
/** nvme_event() - an asynchronous event of @type (0 error, 1 SMART, 2 notice). */
void nvme_event(struct nvme *n, unsigned type, unsigned info, unsigned log_page);
/** nvme_events_report() - hand waiting events to held requests. */
void nvme_events_report(struct nvme *n);
void nvme_irq_update(struct nvme *n);
static inline unsigned nvme_page_shift(const struct nvme *n)
{
	return 12 + (n->s.cc >> 7 & 15);
}
static inline uint64_t nvme_blocks(const struct nvme *n)
{
	return block_size(n->block) >> n->s.lba_shift;
}

#endif
