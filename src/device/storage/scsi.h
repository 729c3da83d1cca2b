/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCSI commands of a logical unit, without a transport: disks (SBC-3, SPC-4) and CD/DVD drives
 * (MMC-5). ATAPI drives, virtio-scsi and USB mass storage carry these.
 *
 * A transport has a `struct scsi_lu` for each drive and a `struct scsi_cmd` for each command:
 *
 *   scsi_start(lu, c)   with c->cdb (the rest of it zeroed) and c->buf; then c->act says what next:
 *     SCSI_END     it is over: c->status and the sense in c->key, c->asc, c->ascq
 *     SCSI_REPLY   c->len bytes of c->buf go to the initiator; then it is over, good
 *     SCSI_PARAMS  c->len bytes from the initiator are wanted in c->buf; then scsi_params()
 *     SCSI_READ    c->bytes from c->off of the medium go to the initiator: the transport submits
 *     SCSI_WRITE   that to lu->block on its own memory, in as many requests as it likes, with
 *                  c->fua; then scsi_io_done()
 *     SCSI_WORK    requests without data of the initiator: see scsi_work()
 *
 * What a command has been at is a function of the CDB and the parameter list, so a transport that
 * keeps those can start it again after a state load. The direction of the data follows from `act`.
 *
 * A transport without automatic sense (ATAPI, USB) calls scsi_keep_sense() when a command ends and
 * REQUEST SENSE fetches it; one with it reports scsi_put_sense() with the status.
 *
 * Everything here runs with the bus lock held.
 */
#ifndef DEVICE_STORAGE_SCSI_H
#define DEVICE_STORAGE_SCSI_H

#include "base/err.h"
#include "block/block.h"
#include "state/state.h"

#define SCSI_CDB_MAX    16u
#define SCSI_BUF        4096u /* bytes of scsi_cmd.buf: no answer or parameter list is longer */
#define SCSI_SENSE_LEN  18u
#define SCSI_RANGES_MAX 16u /* descriptors of an UNMAP */
#define SCSI_SAME_MAX   64u /* blocks in one request of a WRITE SAME of other than zeros */
#define SCSI_DISK_BLOCK 512u
#define SCSI_CD_BLOCK   2048u

enum scsi_kind { SCSI_DISK, SCSI_CD };

/* Status codes (SAM-5, 5.3.1), sense keys (SPC-4, 4.5.6). */
enum {
	SCSI_GOOD = 0x00,
	SCSI_CHECK_CONDITION = 0x02,
	SCSI_BUSY = 0x08,
};
enum {
	SCSI_KEY_NONE = 0,
	SCSI_KEY_NOT_READY = 2,
	SCSI_KEY_MEDIUM_ERROR = 3,
	SCSI_KEY_HARDWARE = 4,
	SCSI_KEY_ILLEGAL = 5,
	SCSI_KEY_ATTENTION = 6,
	SCSI_KEY_PROTECT = 7,
	SCSI_KEY_ABORTED = 11,
};
/* Additional sense codes (SPC-4, annex F). */
enum {
	SCSI_ASC_WRITE_ERROR = 0x0c,
	SCSI_ASC_READ_ERROR = 0x11,
	SCSI_ASC_PARAM_LENGTH = 0x1a,
	SCSI_ASC_INVALID_OPCODE = 0x20,
	SCSI_ASC_OUT_OF_RANGE = 0x21,
	SCSI_ASC_INVALID_FIELD = 0x24,
	SCSI_ASC_INVALID_PARAM = 0x26,
	SCSI_ASC_WRITE_PROTECTED = 0x27,
	SCSI_ASC_MEDIUM_CHANGED = 0x28,
	SCSI_ASC_RESET = 0x29,
	SCSI_ASC_NO_SAVING = 0x39,
	SCSI_ASC_NO_MEDIUM = 0x3a, /* 01h tray closed, 02h tray open */
	SCSI_ASC_REMOVAL = 0x53,   /* with 02h: removal prevented */
};

/* What a logical unit remembers; goes into the transport's *_regs struct. */
struct scsi_lu_regs {
	uint8_t sense_key, asc, ascq; /* of the last command, for REQUEST SENSE */
	uint8_t attn_asc, attn_ascq;  /* unit attention that waits; asc 0 = none */
	uint8_t media_event;          /* code for GET EVENT STATUS NOTIFICATION; 0 = none */
	bool tray_open, locked;       /* of a removable medium */
	bool write_cache;             /* disk: mode page 08h, WCE */
	uint8_t pad_[7];
};
extern const struct state_field scsi_lu_regs_fields[];

enum scsi_act { SCSI_END, SCSI_REPLY, SCSI_PARAMS, SCSI_READ, SCSI_WRITE, SCSI_WORK };

struct scsi_cmd {
	/* set by the transport */
	uint8_t cdb[SCSI_CDB_MAX];
	uint8_t *buf; /* SCSI_BUF bytes, borrowed until the command is over (REPLY, PARAMS) */
	/* set by scsi_start() and scsi_params() */
	enum scsi_act act;
	uint32_t len;
	uint64_t off, bytes;
	bool fua;
	uint8_t status, key, asc, ascq;
	/* private: SCSI_WORK */
	enum block_op op;
	uint8_t n_ranges, at;
	struct {
		uint64_t off, len; /* bytes */
	} range[SCSI_RANGES_MAX];
};

struct scsi_lu {
	/* properties */
	enum scsi_kind kind;
	struct block *block;  /* borrowed; NULL: a removable drive without a medium */
	bool removable;       /* disk: medium can be taken out (a CD's always can) */
	bool atapi;           /* INQUIRY and features as on an ATA bus */
	bool reset_attention; /* a reset is reported by a unit attention */
	char vendor[9], product[17], serial[21]; /* "" = defaults */
	struct scsi_lu_regs *r;                  /* borrowed: in the transport's *_regs */
	/* private */
	struct scsi_cmd *same; /* the WRITE SAME that owns `pattern`; NULL = none */
	uint8_t pattern[SCSI_DISK_BLOCK];
	struct iovec same_iov[SCSI_SAME_MAX];
};

/** scsi_lu_init() - after the properties are set; -EINVAL without a back end that is needed. */
int scsi_lu_init(struct scsi_lu *lu, struct scsi_lu_regs *r, struct error *err) MUST_CHECK;
/** scsi_lu_reset() - logical unit reset; no command is under way. @hard: the door lock goes too. */
void scsi_lu_reset(struct scsi_lu *lu, bool hard);

/** scsi_start() - carry a command out, or say what it needs (see above). */
void scsi_start(struct scsi_lu *lu, struct scsi_cmd *c);
/** scsi_params() - the parameter list is in c->buf, c->len bytes; `act` says what next. */
void scsi_params(struct scsi_lu *lu, struct scsi_cmd *c);
/**
 * scsi_work() - the next request of a SCSI_WORK command
 * @result: of the one before, 0 the first time. True: @br has op, off, len, iov, niov and fua and
 * is to be submitted to lu->block (done and ctx are the transport's). False: over, `act` is
 * SCSI_END.
 */
bool scsi_work(struct scsi_lu *lu, struct scsi_cmd *c, int result, struct block_req *br);
/** scsi_io_done() - SCSI_READ or SCSI_WRITE ended with @result; `act` is SCSI_END. */
void scsi_io_done(struct scsi_cmd *c, int result);
/** scsi_give_up() - the command ends without a status (abort, reset); nothing of it is at the block
 * layer any more. Harmless for any command. */
void scsi_give_up(struct scsi_lu *lu, struct scsi_cmd *c);

/** scsi_end() - the command is over: @key 0 = good, else CHECK CONDITION. */
void scsi_end(struct scsi_cmd *c, uint8_t key, uint8_t asc, uint8_t ascq);
/** scsi_keep_sense() - remember how @c ended for REQUEST SENSE. */
void scsi_keep_sense(struct scsi_lu *lu, const struct scsi_cmd *c);
/** scsi_put_sense() - SCSI_SENSE_LEN bytes of fixed format sense data (SPC-4, 4.5.3). */
void scsi_put_sense(uint8_t *b, uint8_t key, uint8_t asc, uint8_t ascq);

/** scsi_set_medium() - change the medium of a removable drive and close the tray; NULL = empty. The
 * guest hears of it. No request may be under way; the caller owns both blocks. */
void scsi_set_medium(struct scsi_lu *lu, struct block *block);
/** scsi_open_tray() - as if the button had been pressed: open, and say so. */
void scsi_open_tray(struct scsi_lu *lu);
/** scsi_ask_eject() - the button of a locked drive was pressed: the guest hears of it. */
void scsi_ask_eject(struct scsi_lu *lu);
/** scsi_has_medium() - is there a medium in a closed drive? scsi_blocks() - its blocks, else 0. */
bool scsi_has_medium(const struct scsi_lu *lu);
uint64_t scsi_blocks(const struct scsi_lu *lu);
static inline uint32_t scsi_block_size(const struct scsi_lu *lu)
{
	return lu->kind == SCSI_CD ? SCSI_CD_BLOCK : SCSI_DISK_BLOCK;
}

/* ---- between scsi.c, scsi_disk.c and scsi_cd.c ---- */

/* NEEDS_MEDIUM: not ready without one. NO_ATTENTION: does not report a unit attention
 * (SPC-4, 5.14).
 */
enum { SCSI_NEEDS_MEDIUM = 1, SCSI_NO_ATTENTION = 2 };
struct scsi_command {
	uint8_t op, flags;
	void (*run)(struct scsi_lu *lu, struct scsi_cmd *c);
};
/* End with .run = NULL. */
extern const struct scsi_command scsi_disk_commands[], scsi_cd_commands[];

/** scsi_reply() - @len bytes of buf are the answer, the initiator wants @alloc at most. */
void scsi_reply(struct scsi_cmd *c, uint32_t len, uint32_t alloc);
void scsi_invalid_field(struct scsi_cmd *c);
/** scsi_want() - @len bytes of parameters; 0 ends the command well. */
void scsi_want(struct scsi_cmd *c, uint32_t len);
/** scsi_transfer() - READ or WRITE of @n blocks from @lba; checks the range. */
void scsi_transfer(struct scsi_lu *lu, struct scsi_cmd *c, bool write, uint64_t lba, uint64_t n);
/** scsi_put_padded() - @s into @len bytes, spaces behind. */
void scsi_put_padded(uint8_t *p, const char *s, size_t len);
/** scsi_*_params() - parameter lists; scsi_*_pages() - mode pages @page (3fh: all) to @b with the
 * changeable bits instead if @changeable; bytes. */
void scsi_disk_params(struct scsi_lu *lu, struct scsi_cmd *c);
uint32_t scsi_disk_pages(struct scsi_lu *lu, uint8_t *b, uint8_t page, bool changeable);
uint32_t scsi_cd_pages(struct scsi_lu *lu, uint8_t *b, uint8_t page, bool changeable);
/** scsi_disk_vpd() - vital product data page @page of a disk into @b: bytes, 0 = no such page. */
uint32_t scsi_disk_vpd(struct scsi_lu *lu, uint8_t *b, uint8_t page);

#endif
