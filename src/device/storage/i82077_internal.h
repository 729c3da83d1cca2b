/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two files of the diskette controller share: i82077.c (registers, commands that move no
 * data) and i82077_data.c (execution phases). Bits are those of the data sheet (290166-007).
 */
#ifndef DEVICE_STORAGE_I82077_INTERNAL_H
#define DEVICE_STORAGE_I82077_INTERNAL_H

#include "device/storage/i82077.h"

#define SECTOR_NS    (20 * 1000)
#define SEEK_NS      (50 * 1000)
#define RESET_NS     (20 * 1000)
#define DMA_RETRY_NS (2 * NS_PER_MS)
enum { DMA_RETRIES = 250 }; /* half a second, then overrun */
enum { FIFO_BYTES = 16 };
enum { RECAL_STEPS = 79 };
enum { LAST_CYL = 83 }; /* a drive's mechanics go a little beyond 80 cylinders */

enum { P_DOR = 2, P_TDR = 3, P_MSR = 4, P_FIFO = 5, P_DIR = 7 };
enum { DOR_SEL = 0x03, DOR_RESET = 0x04, DOR_DMA = 0x08 };
enum { DSR_RESET = 0x80 };
enum { MSR_RQM = 0x80, MSR_DIO = 0x40, MSR_NDM = 0x20, MSR_BUSY = 0x10 };
enum { DIR_CHANGED = 0x80 };
enum { CMD_MT = 0x80, CMD_MFM = 0x40, CMD_SK = 0x20 };
enum { HEAD = 0x04 };
/* Status registers, DS 6.0 */
enum {
	ST0_ABNORMAL = 0x40,
	ST0_INVALID = 0x80,
	ST0_POLLED = 0xc0,
	ST0_SEEK_END = 0x20,
	ST0_EC = 0x10
};
enum { ST1_EN = 0x80, ST1_DE = 0x20, ST1_OR = 0x10, ST1_ND = 0x04, ST1_NW = 0x02, ST1_MA = 0x01 };
enum { ST2_CM = 0x40, ST2_WC = 0x10, ST2_SH = 0x08, ST2_SN = 0x04 };
enum { ST3_WP = 0x40, ST3_T0 = 0x10, ST3_ONES = 0x28 };
enum { CFG_EIS = 0x40, CFG_NO_FIFO = 0x20, CFG_NO_POLL = 0x10, CFG_LOCKED = 0x2f };
enum { SPECIFY_ND = 0x01 };

/* Command codes without MT, MFM and SK */
enum {
	C_READ_TRACK = 0x02,
	C_SPECIFY = 0x03,
	C_SENSE_DRIVE = 0x04,
	C_WRITE = 0x05,
	C_READ = 0x06,
	C_RECALIBRATE = 0x07,
	C_SENSE_INT = 0x08,
	C_WRITE_DELETED = 0x09,
	C_READ_ID = 0x0a,
	C_READ_DELETED = 0x0c,
	C_FORMAT = 0x0d,
	C_DUMPREG = 0x0e,
	C_SEEK = 0x0f,
	C_VERSION = 0x10,
	C_SCAN_EQUAL = 0x11,
	C_PERPENDICULAR = 0x12,
	C_CONFIGURE = 0x13,
	C_LOCK = 0x14,
	C_VERIFY = 0x16,
	C_SCAN_LOW = 0x19,
	C_SCAN_HIGH = 0x1d,
};

/* i82077.c */

/** fdc_opcode() - the running command without MT, MFM and SK; fdc_unit() - the drive it names. */
uint8_t fdc_opcode(const struct i82077 *fdc);
unsigned fdc_unit(const struct i82077 *fdc);
/** fdc_drive() - drive @n (mod 4), or NULL when it isn't there. */
struct i82077_drive *fdc_drive(struct i82077 *fdc, unsigned n);
void fdc_set_irq(struct i82077 *fdc, bool level);
void fdc_to_idle(struct i82077 *fdc);
/** fdc_result() - enter the result phase with @n bytes (<= 10); none: the command is over. */
void fdc_result(struct i82077 *fdc, const uint8_t *bytes, uint8_t n, bool irq);
/** fdc_end() - the seven result bytes of a transfer; fdc_fail() - with these status bits. */
void fdc_end(struct i82077 *fdc, uint8_t st0);
void fdc_fail(struct i82077 *fdc, uint8_t st1, uint8_t st2);
/** fdc_wait() - let the mechanics work for @ns; fdc_on_timer() then goes on. */
void fdc_wait(struct i82077 *fdc, ns_t ns);

/* i82077_data.c */

bool fdc_by_dma(const struct i82077 *fdc);
bool fdc_is_write(uint8_t op);
bool fdc_is_scan(uint8_t op);
/** fdc_scan_byte() - what takes a byte of the medium in the buffer after its comparison. */
uint8_t fdc_scan_byte(uint8_t op, uint8_t medium, uint8_t host);
/** fdc_data_bytes() - of the execution phase's next piece: a sector, or what FORMAT wants for one.
 */
unsigned fdc_data_bytes(const struct i82077 *fdc);
/** fdc_find_sector() - is sector c/h/r/n of the transfer under the head? If not, why. */
bool fdc_find_sector(struct i82077 *fdc, uint8_t *st1, uint8_t *st2);
/** fdc_on_medium() - is it within the diskette? What a transfer that has begun needs. */
bool fdc_on_medium(struct i82077 *fdc);
/** fdc_submit() - a request for that sector, which was found; fdc_io_done() ends it. */
void fdc_submit(struct i82077 *fdc, enum block_op op);
void fdc_io_done(struct block_req *req, int res);
/** fdc_buffer_done() - the host has read or written a whole sector. */
void fdc_buffer_done(struct i82077 *fdc);
/** fdc_on_timer() - the next sector is under the head, or the DMA controller is tried again. */
void fdc_on_timer(void *ctx);

#endif
