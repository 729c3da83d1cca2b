/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packet commands of a CD/DVD drive (ide.h). "MMC": MMC-5 revision 4 (T10/1675-D); "SPC": SPC-3;
 * protocol: ATA/ATAPI-7 volume 2, 9.8 and 9.9 (INCITS 397).
 *
 * The disc is one data track of 2048-byte sectors from logical block 0, session 1; a lead-out
 * follows. Discs of more than 900 MB are DVD-ROMs. A changed disc is told twice, as drives do: a
 * unit attention for the next command that can fail, and an event for GET EVENT STATUS
 * NOTIFICATION.
 *
 * UNMODELLED: audio tracks, subchannels, raw sectors (READ CD gives user data only), writing, DVD
 * copyright authentication (REPORT KEY), changers; the unit attention after a reset.
 */
#include <string.h>

#include "base/bits.h"
#include "device/storage/ide.h"

#define CD_MAX_SECTORS 440000u /* above it the disc is a DVD: 900 MB */
#define FRAMES_S       75u
#define LEAD_IN_FRAMES 150u /* MSF addresses start 2 s before block 0 */

enum {
	KEY_NOT_READY = 2,
	KEY_ILLEGAL = 5,
	KEY_ATTENTION = 6,
};
enum {
	ASC_INVALID_OPCODE = 0x20,
	ASC_OUT_OF_RANGE = 0x21,
	ASC_INVALID_FIELD = 0x24,
	ASC_MEDIUM_CHANGED = 0x28,
	ASC_NO_SAVING = 0x39,
	ASC_NO_MEDIUM = 0x3a,
	ASC_NOT_REMOVABLE = 0x53, /* with 02h: removal prevented */
	ASC_ILLEGAL_MODE = 0x64,
};
enum { PROFILE_CD_ROM = 0x0008, PROFILE_DVD_ROM = 0x0010 };

static bool has_medium(struct ide_channel *ch)
{
	return ide_active_drive(ch)->block && !ide_active(ch)->tray_open;
}

static uint32_t blocks(struct ide_channel *ch)
{
	uint64_t n = ide_active_drive(ch)->sectors;

	return has_medium(ch) ? (uint32_t)MIN(n, (uint64_t)0xffffffff) : 0;
}

static bool is_dvd(struct ide_channel *ch)
{
	return blocks(ch) > CD_MAX_SECTORS;
}

void atapi_end(struct ide_channel *ch, uint8_t key, uint8_t asc, uint8_t ascq)
{
	struct ide_drive_regs *d = ide_active(ch);

	d->sense_key = key;
	d->asc = asc;
	d->ascq = ascq;
	d->count[0] = ATAPI_CD | ATAPI_IO;
	/* CHK stands where ERR is; the sense key is in the error register's upper half. */
	ide_end(ch, (uint8_t)(ATA_DRDY | (key ? ATA_ERR : 0)),
		(uint8_t)(key << 4 | (key == KEY_ILLEGAL ? ATA_ABRT : 0)));
}

static void invalid_field(struct ide_channel *ch)
{
	atapi_end(ch, KEY_ILLEGAL, ASC_INVALID_FIELD, 0);
}

void atapi_next_block(struct ide_channel *ch)
{
	struct ide_channel_regs *s = ch->s;
	struct ide_drive_regs *d = ide_active(ch);
	bool out = s->op == IDE_OP_PARAMS;
	uint32_t n;

	if (s->buf_pos >= s->buf_len) {
		if (s->op == IDE_OP_READ && s->left)
			ide_start_io(ch);
		else
			atapi_end(ch, 0, 0, 0);
		return;
	}
	n = MIN(s->limit ? s->limit : 0xfffeu, s->buf_len - s->buf_pos);
	s->drq_end = s->buf_pos + n;
	d->lba_mid[0] = (uint8_t)n;
	d->lba_high[0] = (uint8_t)(n >> 8);
	d->count[0] = out ? 0 : ATAPI_IO;
	ide_present(ch, out, true);
}

/* @len bytes of buf are the answer; the host wants @alloc at most. */
static void reply(struct ide_channel *ch, uint32_t len, uint32_t alloc)
{
	struct ide_channel_regs *s = ch->s;

	s->op = IDE_OP_REPLY;
	s->left = 0;
	s->buf_pos = 0;
	/* An odd length is made even: the bus moves words. The buffer has zeros behind. */
	s->buf_len = (MIN(len, alloc) + 1) & ~1u;
	if (!s->buf_len) {
		atapi_end(ch, 0, 0, 0);
	} else if (s->dma) {
		ide_active(ch)->status = ATA_BSY;
		s->drq_end = s->buf_len;
		s->phase = IDE_DMA;
		ide_dma_kick(ch);
	} else {
		atapi_next_block(ch);
	}
}

static void put_msf(uint8_t *p, uint32_t lba)
{
	uint32_t f = lba + LEAD_IN_FRAMES;

	p[0] = (uint8_t)(f / (60 * FRAMES_S));
	p[1] = (uint8_t)(f / FRAMES_S % 60);
	p[2] = (uint8_t)(f % FRAMES_S);
}

static void put_address(uint8_t *p, uint32_t lba, bool msf)
{
	p[0] = 0;
	if (msf)
		put_msf(p + 1, lba);
	else
		st_be32(p, lba);
}

/* ---- commands. @p: the packet; buf is zeroed ---- */

static void test_unit_ready(struct ide_channel *ch, const uint8_t *p)
{
	(void)p;
	atapi_end(ch, 0, 0, 0);
}

static void put_sense(uint8_t *b, const struct ide_drive_regs *d)
{
	b[0] = 0x70; /* current, fixed format: SPC 4.5.3 */
	b[2] = d->sense_key;
	b[7] = 10;
	b[12] = d->asc;
	b[13] = d->ascq;
}

static void request_sense(struct ide_channel *ch, const uint8_t *p)
{
	struct ide_drive_regs *d = ide_active(ch);

	if (d->changed && !d->sense_key) {
		d->sense_key = KEY_ATTENTION;
		d->asc = ASC_MEDIUM_CHANGED;
		d->changed = false;
	}
	put_sense(ch->s->buf, d);
	d->sense_key = d->asc = d->ascq = 0;
	reply(ch, 18, p[4]);
}

static void put_padded(uint8_t *p, const char *s, size_t len)
{
	size_t n = MIN(strlen(s), len);

	memset(p, ' ', len);
	memcpy(p, s, n);
}

static void inquiry(struct ide_channel *ch, const uint8_t *p)
{
	uint8_t *b = ch->s->buf;

	if (p[1] & 1) { /* vital product data: the list of pages is the only one */
		if (p[2]) {
			invalid_field(ch);
			return;
		}
		b[0] = 5;
		b[3] = 1;
		reply(ch, 5, (uint32_t)(p[3] << 8 | p[4]));
		return;
	}
	b[0] = 5;    /* CD/DVD device */
	b[1] = 0x80; /* removable */
	b[2] = 0x05; /* SPC-3 */
	b[3] = 0x32; /* response data format 2, ATAPI version 3 */
	b[4] = 31;
	put_padded(b + 8, "BOTHY", 8);
	put_padded(b + 16, "DVD-ROM", 16);
	put_padded(b + 32, "1.0", 4);
	reply(ch, 36, (uint32_t)(p[3] << 8 | p[4]));
}

/* MMC 6.46 */
static void start_stop(struct ide_channel *ch, const uint8_t *p)
{
	struct ide_drive_regs *d = ide_active(ch);

	if (p[4] & 2) {
		if (!(p[4] & 1) && d->locked) {
			atapi_end(ch, KEY_ILLEGAL, ASC_NOT_REMOVABLE, 0x02);
			return;
		}
		if (d->tray_open == !(p[4] & 1)) {
			atapi_end(ch, 0, 0, 0);
			return;
		}
		d->tray_open = !(p[4] & 1);
		d->changed = !d->tray_open && ide_active_drive(ch)->block;
		d->media_event = d->tray_open || !ide_active_drive(ch)->block ? 3 : 2;
	}
	atapi_end(ch, 0, 0, 0);
}

static void prevent_allow(struct ide_channel *ch, const uint8_t *p)
{
	ide_active(ch)->locked = p[4] & 1;
	atapi_end(ch, 0, 0, 0);
}

static void read_capacity(struct ide_channel *ch, const uint8_t *p)
{
	(void)p;
	st_be32(ch->s->buf, blocks(ch) - 1);
	st_be32(ch->s->buf + 4, CD_SECTOR);
	reply(ch, 8, 8);
}

static void read_blocks(struct ide_channel *ch, uint32_t lba, uint32_t n)
{
	struct ide_channel_regs *s = ch->s;

	if (lba > blocks(ch) || n > blocks(ch) - lba) {
		atapi_end(ch, KEY_ILLEGAL, ASC_OUT_OF_RANGE, 0);
		return;
	}
	if (!n) {
		atapi_end(ch, 0, 0, 0);
		return;
	}
	s->op = IDE_OP_READ;
	s->unit = CD_SECTOR;
	s->lba = lba;
	s->left = n;
	s->buf_pos = s->buf_len = s->drq_end = 0;
	ide_start_io(ch);
}

static void read_10_12(struct ide_channel *ch, const uint8_t *p)
{
	read_blocks(ch, ld_be32(p + 2), p[0] == 0xa8 ? ld_be32(p + 6) : ld_be16(p + 7));
}

static uint32_t from_msf(const uint8_t *p)
{
	uint32_t f = (p[0] * 60u + p[1]) * FRAMES_S + p[2];

	return f < LEAD_IN_FRAMES ? 0xffffffff : f - LEAD_IN_FRAMES;
}

/* READ CD and READ CD MSF, MMC 6.19 and 6.20: mode 1 user data. */
static void read_cd(struct ide_channel *ch, const uint8_t *p)
{
	uint32_t lba, n;

	if (p[0] == 0xb9) {
		uint32_t end = from_msf(p + 6);

		lba = from_msf(p + 3);
		n = end > lba && end != 0xffffffff ? end - lba : 0;
	} else {
		lba = ld_be32(p + 2);
		n = ld_be32(p + 5) & 0xffffff;
	}
	switch (p[9] & 0xf8) {
	case 0x00: atapi_end(ch, 0, 0, 0); break; /* no data wanted */
	case 0x10: read_blocks(ch, lba, n); break;
	default: invalid_field(ch);
	}
}

static void seek(struct ide_channel *ch, const uint8_t *p)
{
	if (ld_be32(p + 2) >= blocks(ch))
		atapi_end(ch, KEY_ILLEGAL, ASC_OUT_OF_RANGE, 0);
	else
		atapi_end(ch, 0, 0, 0);
}

/* Q subchannel: no audio, so only the header, MMC 6.29. */
static void read_subchannel(struct ide_channel *ch, const uint8_t *p)
{
	uint8_t *b = ch->s->buf;
	bool subq = p[2] & 0x40;

	b[1] = 0x15; /* no audio status */
	if (subq && p[3] == 1) {
		b[3] = 12;
		b[4] = 1;
		b[5] = 0x14;
		b[6] = b[7] = 1;
		reply(ch, 16, ld_be16(p + 7));
		return;
	}
	if (subq) {
		b[3] = 20;
		b[4] = p[3];
		reply(ch, 24, ld_be16(p + 7));
		return;
	}
	reply(ch, 4, ld_be16(p + 7));
}

/* One descriptor of READ TOC format 0. */
static uint32_t toc_entry(uint8_t *b, uint8_t track, uint32_t lba, bool msf)
{
	b[1] = 0x14; /* ADR 1, data track */
	b[2] = track;
	put_address(b + 4, lba, msf);
	return 8;
}

static uint32_t full_toc_entry(uint8_t *b, uint8_t point, uint8_t m, uint8_t s, uint8_t f)
{
	b[0] = 1; /* session */
	b[1] = 0x14;
	b[3] = point;
	b[8] = m;
	b[9] = s;
	b[10] = f;
	return 11;
}

/* MMC 6.30 */
static void read_toc(struct ide_channel *ch, const uint8_t *p)
{
	uint8_t *b = ch->s->buf, msf3[3];
	bool msf = p[1] & 2;
	/* The format is in byte 2, or where ATAPI drives before MMC had it. */
	unsigned format = p[2] & 15 ? p[2] & 15u : p[9] >> 6, start = p[6];
	uint32_t len = 4;

	b[2] = b[3] = 1;
	switch (format) {
	case 0:
		if (start > 1 && start != 0xaa) {
			invalid_field(ch);
			return;
		}
		if (start <= 1)
			len += toc_entry(b + len, 1, 0, msf);
		len += toc_entry(b + len, 0xaa, blocks(ch), msf);
		break;
	case 1: /* multi-session information: the first track of the last session */
		b[5] = 0x14;
		b[6] = 1;
		put_address(b + 8, 0, msf);
		len = 12;
		break;
	case 2: /* full TOC */
		len += full_toc_entry(b + len, 0xa0, 1, 0, 0);
		len += full_toc_entry(b + len, 0xa1, 1, 0, 0);
		put_msf(msf3, blocks(ch));
		len += full_toc_entry(b + len, 0xa2, msf3[0], msf3[1], msf3[2]);
		put_msf(msf3, 0);
		len += full_toc_entry(b + len, 1, msf3[0], msf3[1], msf3[2]);
		break;
	default: invalid_field(ch); return;
	}
	st_be16(b, (uint16_t)(len - 2));
	reply(ch, len, ld_be16(p + 7));
}

/* A feature descriptor of GET CONFIGURATION: header; its data follows. */
static uint8_t *feature(uint8_t *b, uint16_t code, uint8_t version, bool persistent, bool current,
			uint8_t len)
{
	st_be16(b, code);
	b[2] = (uint8_t)(version << 2 | (persistent ? 2 : 0) | (current ? 1 : 0));
	b[3] = len;
	return b + 4;
}

/* MMC 6.6 and 5.3 */
static void get_configuration(struct ide_channel *ch, const uint8_t *p)
{
	static const uint16_t codes[] = {0x0000, 0x0001, 0x0003, 0x0010, 0x001e, 0x001f};
	uint8_t *b = ch->s->buf, *f = b + 8;
	unsigned rt = p[1] & 3, first = ld_be16(p + 2);
	bool medium = has_medium(ch), dvd = is_dvd(ch);

	if (medium)
		st_be16(b + 6, dvd ? PROFILE_DVD_ROM : PROFILE_CD_ROM);
	for (unsigned i = 0; i < ARRAY_SIZE(codes); i++) {
		uint8_t len = codes[i] == 0 || codes[i] == 0x0001 || codes[i] == 0x0010 ? 8 : 4;
		bool always = codes[i] <= 0x0003;
		bool current = always || (codes[i] == 0x001e   ? medium && !dvd
					  : codes[i] == 0x001f ? medium && dvd
							       : medium);

		if (rt == 3 || codes[i] < first || (rt == 1 && !current) ||
		    (rt == 2 && codes[i] != first))
			continue;
		f = feature(f, codes[i], codes[i] == 0x0001 || codes[i] == 0x001e ? 2 : 0, always,
			    current, len);
		switch (codes[i]) {
		case 0x0000: /* profile list */
			st_be16(f, PROFILE_DVD_ROM);
			f[2] = medium && dvd;
			st_be16(f + 4, PROFILE_CD_ROM);
			f[6] = medium && !dvd;
			break;
		case 0x0001: st_be32(f, 2); break; /* core: physical interface ATAPI */
		case 0x0003: f[0] = 0x29; break;   /* removable: tray, eject, lock */
		case 0x0010:                       /* random readable */
			st_be32(f, CD_SECTOR);
			st_be16(f + 4, 1);
			break;
		}
		f += len;
	}
	st_be32(b, (uint32_t)(f - b - 4));
	reply(ch, (uint32_t)(f - b), ld_be16(p + 7));
}

/* MMC 6.7: polled only; the media class is the one there is. */
static void get_event_status(struct ide_channel *ch, const uint8_t *p)
{
	struct ide_drive_regs *d = ide_active(ch);
	uint8_t *b = ch->s->buf;

	if (!(p[1] & 1)) {
		invalid_field(ch);
		return;
	}
	b[3] = 0x10;
	if (!(p[4] & 0x10)) {
		b[1] = 2;
		b[2] = 0x80; /* no event of the classes asked for */
		reply(ch, 4, ld_be16(p + 7));
		return;
	}
	b[1] = 6;
	b[2] = 4;
	b[4] = d->media_event;
	b[5] = (uint8_t)((d->tray_open ? 1 : 0) | (has_medium(ch) ? 2 : 0));
	d->media_event = 0;
	reply(ch, 8, ld_be16(p + 7));
}

static void read_disc_info(struct ide_channel *ch, const uint8_t *p)
{
	uint8_t *b = ch->s->buf;

	if (p[1] & 7) {
		invalid_field(ch);
		return;
	}
	st_be16(b, 32);
	b[2] = 0x0e; /* last session complete, disc finalized */
	b[3] = b[4] = b[5] = b[6] = 1;
	b[7] = 0x20; /* unrestricted use */
	reply(ch, 34, ld_be16(p + 7));
}

static void read_track_info(struct ide_channel *ch, const uint8_t *p)
{
	uint8_t *b = ch->s->buf;

	st_be16(b, 34);
	b[2] = b[3] = 1;
	b[5] = 0x04;
	b[6] = 0x01; /* mode 1 */
	st_be32(b + 24, blocks(ch));
	reply(ch, 36, ld_be16(p + 7));
}

/* Mode page 2Ah, MM capabilities and mechanical status (MMC, annex E.3). */
static uint32_t page_capabilities(struct ide_channel *ch, uint8_t *b, bool changeable)
{
	b[0] = 0x2a;
	b[1] = 20;
	if (changeable)
		return 22;
	b[2] = 0x3b; /* reads CD-R, CD-RW, method 2, DVD-ROM */
	b[4] = 0x70; /* mode 2 forms, multi-session */
	b[6] = (uint8_t)(0x29 | (ide_active(ch)->locked ? 2 : 0)); /* tray, eject, lock */
	st_be16(b + 8, 706 * 4);                                   /* speeds in KB/s: 16x */
	st_be16(b + 12, 512);                                      /* buffer, KiB */
	st_be16(b + 14, 706 * 4);
	return 22;
}

static uint32_t page_error_recovery(uint8_t *b)
{
	b[0] = 0x01;
	b[1] = 10;
	return 12;
}

static uint32_t page_audio(uint8_t *b)
{
	b[0] = 0x0e;
	b[1] = 14;
	return 16;
}

/* MODE SENSE (6) and (10), SPC 6.9 and 6.10 */
static void mode_sense(struct ide_channel *ch, const uint8_t *p)
{
	uint8_t *b = ch->s->buf, page = p[2] & 0x3f, control = p[2] >> 6;
	bool ten = p[0] == 0x5a;
	uint32_t head = ten ? 8 : 4, len = head;

	if (control == 3) {
		atapi_end(ch, KEY_ILLEGAL, ASC_NO_SAVING, 0);
		return;
	}
	if (page == 0x01 || page == 0x3f)
		len += page_error_recovery(b + len);
	if (page == 0x0e || page == 0x3f)
		len += page_audio(b + len);
	if (page == 0x2a || page == 0x3f)
		len += page_capabilities(ch, b + len, control == 1);
	if (len == head) {
		invalid_field(ch);
		return;
	}
	if (ten) {
		st_be16(b, (uint16_t)(len - 2));
		b[2] = has_medium(ch) ? 0x01 : 0x70; /* data disc, or none */
	} else {
		b[0] = (uint8_t)(len - 1);
		b[1] = has_medium(ch) ? 0x01 : 0x70;
	}
	reply(ch, len, ten ? ld_be16(p + 7) : p[4]);
}

/* Parameters are taken and, as nothing in the pages is changeable, forgotten. */
static void mode_select(struct ide_channel *ch, const uint8_t *p)
{
	struct ide_channel_regs *s = ch->s;
	uint32_t len = p[0] == 0x55 ? ld_be16(p + 7) : p[4];

	len = (len + 1) & ~1u;
	if (len > IDE_BUF) {
		invalid_field(ch);
		return;
	}
	s->op = IDE_OP_PARAMS;
	s->buf_pos = 0;
	s->buf_len = len;
	if (!len) {
		atapi_end(ch, 0, 0, 0);
	} else if (s->dma) {
		ide_active(ch)->status = ATA_BSY;
		s->drq_end = len;
		s->phase = IDE_DMA;
		ide_dma_kick(ch);
	} else {
		atapi_next_block(ch);
	}
}

void atapi_params(struct ide_channel *ch)
{
	atapi_end(ch, 0, 0, 0);
}

static void mechanism_status(struct ide_channel *ch, const uint8_t *p)
{
	ch->s->buf[1] = ide_active(ch)->tray_open ? 0x10 : 0;
	ch->s->buf[5] = 1; /* one slot, no changer table */
	reply(ch, 8, ld_be16(p + 8));
}

/* MMC 6.22.3.2: physical format information, and copyright. */
static void read_dvd_structure(struct ide_channel *ch, const uint8_t *p)
{
	uint8_t *b = ch->s->buf;

	if (!is_dvd(ch) || p[6]) {
		atapi_end(ch, KEY_ILLEGAL, is_dvd(ch) ? ASC_INVALID_FIELD : 0x30,
			  is_dvd(ch) ? 0 : 2);
		return;
	}
	switch (p[7]) {
	case 0:
		st_be16(b, 2050);
		b[4] = 0x01; /* DVD-ROM, version 1 */
		b[5] = 0x0f; /* 120 mm, no maximum rate */
		b[6] = 0x01; /* embossed */
		st_be32(b + 8, 0x30000);
		st_be32(b + 12, 0x30000 + blocks(ch) - 1);
		reply(ch, 2052, ld_be16(p + 8));
		break;
	case 1:
		st_be16(b, 6);
		reply(ch, 8, ld_be16(p + 8));
		break;
	default: invalid_field(ch);
	}
}

static void good(struct ide_channel *ch, const uint8_t *p)
{
	(void)p;
	atapi_end(ch, 0, 0, 0);
}

/* NEEDS_DISC: not ready without one. NO_ATTENTION: does not report a changed disc (SPC 5.8). */
enum { NEEDS_DISC = 1, NO_ATTENTION = 2 };
static const struct {
	uint8_t op, flags;
	void (*run)(struct ide_channel *ch, const uint8_t *p);
} packets[] = {
	/* clang-format off */
	{0x00, NEEDS_DISC,   test_unit_ready},
	{0x03, NO_ATTENTION, request_sense},
	{0x12, NO_ATTENTION, inquiry},
	{0x15, 0,            mode_select},
	{0x1a, 0,            mode_sense},
	{0x1b, 0,            start_stop},
	{0x1e, 0,            prevent_allow},
	{0x25, NEEDS_DISC,   read_capacity},
	{0x28, NEEDS_DISC,   read_10_12},
	{0x2b, NEEDS_DISC,   seek},
	{0x2f, NEEDS_DISC,   good},               /* VERIFY (10) */
	{0x35, NEEDS_DISC,   good},               /* SYNCHRONIZE CACHE */
	{0x42, NEEDS_DISC,   read_subchannel},
	{0x43, NEEDS_DISC,   read_toc},
	{0x46, NO_ATTENTION, get_configuration},
	{0x4a, NO_ATTENTION, get_event_status},
	{0x4b, NEEDS_DISC,   good},               /* PAUSE/RESUME */
	{0x4e, NEEDS_DISC,   good},               /* STOP PLAY/SCAN */
	{0x51, NEEDS_DISC,   read_disc_info},
	{0x52, NEEDS_DISC,   read_track_info},
	{0x55, 0,            mode_select},
	{0x5a, 0,            mode_sense},
	{0xa8, NEEDS_DISC,   read_10_12},
	{0xad, NEEDS_DISC,   read_dvd_structure},
	{0xb9, NEEDS_DISC,   read_cd},
	{0xbb, 0,            good},               /* SET CD SPEED */
	{0xbd, 0,            mechanism_status},
	{0xbe, NEEDS_DISC,   read_cd},
	/* clang-format on */
};

void atapi_packet(struct ide_channel *ch)
{
	struct ide_drive_regs *d = ide_active(ch);
	const uint8_t *p = ch->s->packet;

	memset(ch->s->buf, 0, 4096);
	for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
		if (packets[i].op != p[0])
			continue;
		if (d->changed && !(packets[i].flags & NO_ATTENTION)) {
			d->changed = false;
			atapi_end(ch, KEY_ATTENTION, ASC_MEDIUM_CHANGED, 0);
		} else if ((packets[i].flags & NEEDS_DISC) && !has_medium(ch)) {
			atapi_end(ch, KEY_NOT_READY, ASC_NO_MEDIUM, d->tray_open ? 2 : 1);
		} else {
			packets[i].run(ch, p);
		}
		return;
	}
	atapi_end(ch, KEY_ILLEGAL, ASC_INVALID_OPCODE, 0);
}

/* ATA vol. 1, 6.17, table 27 */
void atapi_identify(const struct ide_drive *d, uint8_t *p)
{
	st_le16(p, 0x85c0); /* ATAPI, CD/DVD, removable, DRQ within 50 us, 12-byte packets */
	ide_identify_strings(d, p);
	st_le16(p + 2 * 48, 1);
	st_le16(p + 2 * 49, 0x0b00); /* IORDY, LBA, DMA */
	st_le16(p + 2 * 53, 0x0007);
	st_le16(p + 2 * 64, 0x0003);
	for (unsigned w = 65; w <= 68; w++)
		st_le16(p + 2 * w, 120);
	st_le16(p + 2 * 80, 0x00fe);
	st_le16(p + 2 * 82, 0x4210); /* NOP, DEVICE RESET, PACKET */
	st_le16(p + 2 * 83, 0x4000);
	st_le16(p + 2 * 84, 0x4000);
	st_le16(p + 2 * 85, 0x4210);
	st_le16(p + 2 * 87, 0x4000);
}
