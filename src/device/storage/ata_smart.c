/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMART and the logs of ATA hard disks (ide.h): ATA/ATAPI-7 volume 1, 6.51 (SMART) and 6.36 (READ
 * LOG EXT); Serial ATA 2.6, 13.7 (queued error log). Attribute numbers and the checksums of the
 * sectors are what every tool expects; the values are those of a disk that never fails.
 *
 * UNMODELLED: counters that grow, self-tests that find anything, logs the host can write.
 */
#include <string.h>

#include "base/bits.h"
#include "device/storage/ide.h"

enum {
	SMART_READ_DATA = 0xd0,
	SMART_READ_THRESHOLDS = 0xd1,
	SMART_AUTOSAVE = 0xd2,
	SMART_SAVE = 0xd3,
	SMART_OFFLINE = 0xd4,
	SMART_READ_LOG = 0xd5,
	SMART_ENABLE = 0xd8,
	SMART_DISABLE = 0xd9,
	SMART_STATUS = 0xda,
	SMART_AUTO_OFFLINE = 0xdb,
};
enum { LOG_DIRECTORY = 0x00, LOG_ERRORS = 0x01, LOG_SELF_TEST = 0x06, LOG_QUEUE = 0x10 };
enum { KEY_MID = 0x4f, KEY_HIGH = 0xc2 }; /* in the cylinder registers of each SMART command */

static const struct {
	uint8_t id, flags, threshold;
	uint16_t raw;
} attributes[] = {
	{1, 0x03, 6, 0},     /* read errors */
	{3, 0x03, 0, 16},    /* spin-up time, ms */
	{4, 0x02, 20, 100},  /* starts and stops */
	{5, 0x03, 36, 0},    /* sectors replaced */
	{9, 0x03, 0, 1},     /* hours */
	{12, 0x03, 0, 0},    /* power cycles */
	{190, 0x03, 50, 31}, /* temperature */
};

static void finish_sector(struct ide_channel *ch)
{
	uint8_t *p = ch->s->buf, sum = 0;

	for (unsigned i = 0; i < 511; i++)
		sum = (uint8_t)(sum + p[i]);
	p[511] = (uint8_t)-sum;
	ata_reply(ch, IDE_SECTOR);
}

static void read_data(struct ide_channel *ch, bool thresholds)
{
	uint8_t *p = ch->s->buf;

	st_le16(p, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(attributes); i++) {
		uint8_t *a = p + 2 + 12 * i;

		a[0] = attributes[i].id;
		if (thresholds) {
			a[1] = attributes[i].threshold;
			continue;
		}
		st_le16(a + 1, attributes[i].flags);
		a[3] = a[4] = 100; /* now, and the worst there was */
		st_le16(a + 5, attributes[i].raw);
	}
	if (!thresholds) {
		p[362] = 0x02;            /* off-line collection has been done */
		st_le16(p + 364, 1);      /* seconds of it */
		p[367] = 0x11;            /* execute off-line immediate; self-test */
		st_le16(p + 368, 0x0003); /* saves before power mode changes; autosave */
		p[370] = 0x01;            /* error log */
		p[372] = p[373] = 1;      /* minutes of a short and of an extended self-test */
	}
	finish_sector(ch);
}

/* The page of a log that both SMART READ LOG and READ LOG EXT know. */
static bool log_page(struct ide_channel *ch, uint8_t log, bool ext)
{
	uint8_t *p = ch->s->buf;

	switch (log) {
	case LOG_DIRECTORY:
		st_le16(p, 1);
		st_le16(p + 2 * LOG_ERRORS, ext ? 0 : 1);
		st_le16(p + 2 * LOG_SELF_TEST, ext ? 0 : 1);
		st_le16(p + 2 * LOG_QUEUE, ext && ch->queue_log ? 1 : 0);
		return true;
	case LOG_ERRORS:
	case LOG_SELF_TEST: st_le16(p, 1); return !ext;
	case LOG_QUEUE:
		if (!ext || !ch->queue_log)
			return false;
		ch->queue_log(ch->dma.ctx, p);
		return true;
	default: return false;
	}
}

void ata_smart(struct ide_channel *ch, uint8_t cmd)
{
	struct ide_drive_regs *d = ide_active(ch);
	uint8_t sub = d->feature[0];

	(void)cmd;
	if (d->lba_mid[0] != KEY_MID || d->lba_high[0] != KEY_HIGH ||
	    (!d->smart && sub != SMART_ENABLE)) {
		ide_abort(ch);
		return;
	}
	memset(ch->s->buf, 0, IDE_SECTOR);
	switch (sub) {
	case SMART_READ_DATA:
	case SMART_READ_THRESHOLDS: read_data(ch, sub == SMART_READ_THRESHOLDS); return;
	case SMART_READ_LOG:
		if (d->count[0] != 1 || !log_page(ch, d->lba_low[0], false))
			ide_abort(ch);
		else if (d->lba_low[0] == LOG_DIRECTORY)
			ata_reply(ch, IDE_SECTOR);
		else
			finish_sector(ch);
		return;
	case SMART_ENABLE: d->smart = true; break;
	case SMART_DISABLE: d->smart = false; break;
	case SMART_STATUS: break; /* the registers stay as they are: no threshold is exceeded */
	case SMART_AUTOSAVE:
	case SMART_SAVE:
	case SMART_OFFLINE:
	case SMART_AUTO_OFFLINE: break;
	default: ide_abort(ch); return;
	}
	ide_end_ok(ch);
}

void ata_read_log(struct ide_channel *ch, uint8_t cmd)
{
	const struct ide_drive_regs *d = ide_active(ch);
	unsigned count = d->count[0] | d->count[1] << 8, page = d->lba_mid[0] | d->lba_mid[1] << 8;

	(void)cmd;
	memset(ch->s->buf, 0, IDE_SECTOR);
	if (!ch->sata || count != 1 || page || !log_page(ch, d->lba_low[0], true))
		ide_abort(ch);
	else if (d->lba_low[0] == LOG_DIRECTORY)
		ata_reply(ch, IDE_SECTOR);
	else
		finish_sector(ch);
}
