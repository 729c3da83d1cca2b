/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of a CD/DVD drive (scsi.h). "MMC": MMC-5 revision 4 (T10/1675-D).
 *
 * The disc is one data track of 2048-byte sectors from logical block 0, session 1; a lead-out
 * follows. Discs of more than 900 MB are DVD-ROMs.
 *
 * UNMODELLED: audio tracks, subchannels, raw sectors (READ CD gives user data only), writing, DVD
 * copyright authentication (REPORT KEY), changers.
 */
#include <string.h>

#include "base/bits.h"
#include "device/storage/scsi.h"

#define CD_MAX_SECTORS 440000u /* above it the disc is a DVD: 900 MB */
#define FRAMES_S       75u
#define LEAD_IN_FRAMES 150u /* MSF addresses start 2 s before block 0 */

enum { ASC_INCOMPATIBLE = 0x30 }; /* with 02h: cannot read this medium */
enum { PROFILE_CD_ROM = 0x0008, PROFILE_DVD_ROM = 0x0010 };

static uint32_t blocks(const struct scsi_lu *lu)
{
	return (uint32_t)MIN(scsi_blocks(lu), (uint64_t)0xffffffff);
}

static bool is_dvd(const struct scsi_lu *lu)
{
	return blocks(lu) > CD_MAX_SECTORS;
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

/* ---- commands. buf is zeroed ---- */

static void read_capacity(struct scsi_lu *lu, struct scsi_cmd *c)
{
	(void)lu;
	st_be32(c->buf, blocks(lu) - 1);
	st_be32(c->buf + 4, SCSI_CD_BLOCK);
	scsi_reply(c, 8, 8);
}

static void read_10_12(struct scsi_lu *lu, struct scsi_cmd *c)
{
	const uint8_t *p = c->cdb;

	scsi_transfer(lu, c, false, ld_be32(p + 2), p[0] == 0xa8 ? ld_be32(p + 6) : ld_be16(p + 7));
}

static uint32_t from_msf(const uint8_t *p)
{
	uint32_t f = (p[0] * 60u + p[1]) * FRAMES_S + p[2];

	return f < LEAD_IN_FRAMES ? 0xffffffff : f - LEAD_IN_FRAMES;
}

/* READ CD and READ CD MSF, MMC 6.19 and 6.20: mode 1 user data. */
static void read_cd(struct scsi_lu *lu, struct scsi_cmd *c)
{
	const uint8_t *p = c->cdb;
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
	case 0x00: scsi_end(c, 0, 0, 0); break; /* no data wanted */
	case 0x10: scsi_transfer(lu, c, false, lba, n); break;
	default: scsi_invalid_field(c);
	}
}

static void seek(struct scsi_lu *lu, struct scsi_cmd *c)
{
	const uint8_t *p = c->cdb;

	if (ld_be32(p + 2) >= blocks(lu))
		scsi_end(c, SCSI_KEY_ILLEGAL, SCSI_ASC_OUT_OF_RANGE, 0);
	else
		scsi_end(c, 0, 0, 0);
}

/* Q subchannel: no audio, so only the header, MMC 6.29. */
static void read_subchannel(struct scsi_lu *lu, struct scsi_cmd *c)
{
	const uint8_t *p = c->cdb;
	uint8_t *b = c->buf;
	bool subq = p[2] & 0x40;

	b[1] = 0x15; /* no audio status */
	if (subq && p[3] == 1) {
		b[3] = 12;
		b[4] = 1;
		b[5] = 0x14;
		b[6] = b[7] = 1;
		scsi_reply(c, 16, ld_be16(p + 7));
		return;
	}
	if (subq) {
		b[3] = 20;
		b[4] = p[3];
		scsi_reply(c, 24, ld_be16(p + 7));
		return;
	}
	scsi_reply(c, 4, ld_be16(p + 7));
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
static void read_toc(struct scsi_lu *lu, struct scsi_cmd *c)
{
	const uint8_t *p = c->cdb;
	uint8_t *b = c->buf, msf3[3];
	bool msf = p[1] & 2;
	/* The format is in byte 2, or where ATAPI drives before MMC had it. */
	unsigned format = p[2] & 15 ? p[2] & 15u : p[9] >> 6, start = p[6];
	uint32_t len = 4;

	b[2] = b[3] = 1;
	switch (format) {
	case 0:
		if (start > 1 && start != 0xaa) {
			scsi_invalid_field(c);
			return;
		}
		if (start <= 1)
			len += toc_entry(b + len, 1, 0, msf);
		len += toc_entry(b + len, 0xaa, blocks(lu), msf);
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
		put_msf(msf3, blocks(lu));
		len += full_toc_entry(b + len, 0xa2, msf3[0], msf3[1], msf3[2]);
		put_msf(msf3, 0);
		len += full_toc_entry(b + len, 1, msf3[0], msf3[1], msf3[2]);
		break;
	default: scsi_invalid_field(c); return;
	}
	st_be16(b, (uint16_t)(len - 2));
	scsi_reply(c, len, ld_be16(p + 7));
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
static void get_configuration(struct scsi_lu *lu, struct scsi_cmd *c)
{
	const uint8_t *p = c->cdb;
	static const uint16_t codes[] = {0x0000, 0x0001, 0x0003, 0x0010, 0x001e, 0x001f};
	uint8_t *b = c->buf, *f = b + 8;
	unsigned rt = p[1] & 3, first = ld_be16(p + 2);
	bool medium = scsi_has_medium(lu), dvd = is_dvd(lu);

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
		case 0x0001: st_be32(f, lu->atapi ? 2 : 1); break; /* core: ATAPI, SCSI */
		case 0x0003: f[0] = 0x29; break; /* removable: tray, eject, lock */
		case 0x0010:                     /* random readable */
			st_be32(f, SCSI_CD_BLOCK);
			st_be16(f + 4, 1);
			break;
		}
		f += len;
	}
	st_be32(b, (uint32_t)(f - b - 4));
	scsi_reply(c, (uint32_t)(f - b), ld_be16(p + 7));
}

/* MMC 6.7: polled only; the media class is the one there is. */
static void get_event_status(struct scsi_lu *lu, struct scsi_cmd *c)
{
	const uint8_t *p = c->cdb;
	struct scsi_lu_regs *d = lu->r;
	uint8_t *b = c->buf;

	if (!(p[1] & 1)) {
		scsi_invalid_field(c);
		return;
	}
	b[3] = 0x10;
	if (!(p[4] & 0x10)) {
		b[1] = 2;
		b[2] = 0x80; /* no event of the classes asked for */
		scsi_reply(c, 4, ld_be16(p + 7));
		return;
	}
	b[1] = 6;
	b[2] = 4;
	b[4] = d->media_event;
	b[5] = (uint8_t)((d->tray_open ? 1 : 0) | (scsi_has_medium(lu) ? 2 : 0));
	d->media_event = 0;
	scsi_reply(c, 8, ld_be16(p + 7));
}

static void read_disc_info(struct scsi_lu *lu, struct scsi_cmd *c)
{
	const uint8_t *p = c->cdb;
	uint8_t *b = c->buf;

	if (p[1] & 7) {
		scsi_invalid_field(c);
		return;
	}
	st_be16(b, 32);
	b[2] = 0x0e; /* last session complete, disc finalized */
	b[3] = b[4] = b[5] = b[6] = 1;
	b[7] = 0x20; /* unrestricted use */
	scsi_reply(c, 34, ld_be16(p + 7));
}

static void read_track_info(struct scsi_lu *lu, struct scsi_cmd *c)
{
	const uint8_t *p = c->cdb;
	uint8_t *b = c->buf;

	st_be16(b, 34);
	b[2] = b[3] = 1;
	b[5] = 0x04;
	b[6] = 0x01; /* mode 1 */
	st_be32(b + 24, blocks(lu));
	scsi_reply(c, 36, ld_be16(p + 7));
}

/* Mode page 2Ah, MM capabilities and mechanical status (MMC, annex E.3). */
static uint32_t page_capabilities(struct scsi_lu *lu, uint8_t *b, bool changeable)
{
	b[0] = 0x2a;
	b[1] = 20;
	if (changeable)
		return 22;
	b[2] = 0x3b;                                      /* reads CD-R, CD-RW, method 2, DVD-ROM */
	b[4] = 0x70;                                      /* mode 2 forms, multi-session */
	b[6] = (uint8_t)(0x29 | (lu->r->locked ? 2 : 0)); /* tray, eject, lock */
	st_be16(b + 8, 706 * 4);                          /* speeds in KB/s: 16x */
	st_be16(b + 12, 512);                             /* buffer, KiB */
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

static void mechanism_status(struct scsi_lu *lu, struct scsi_cmd *c)
{
	const uint8_t *p = c->cdb;

	c->buf[1] = lu->r->tray_open ? 0x10 : 0;
	c->buf[5] = 1; /* one slot, no changer table */
	scsi_reply(c, 8, ld_be16(p + 8));
}

/* MMC 6.22.3.2: physical format information, and copyright. */
static void read_dvd_structure(struct scsi_lu *lu, struct scsi_cmd *c)
{
	const uint8_t *p = c->cdb;
	uint8_t *b = c->buf;

	if (!is_dvd(lu) || p[6]) {
		scsi_end(c, SCSI_KEY_ILLEGAL,
			 is_dvd(lu) ? SCSI_ASC_INVALID_FIELD : ASC_INCOMPATIBLE,
			 is_dvd(lu) ? 0 : 2);
		return;
	}
	switch (p[7]) {
	case 0:
		st_be16(b, 2050);
		b[4] = 0x01; /* DVD-ROM, version 1 */
		b[5] = 0x0f; /* 120 mm, no maximum rate */
		b[6] = 0x01; /* embossed */
		st_be32(b + 8, 0x30000);
		st_be32(b + 12, 0x30000 + blocks(lu) - 1);
		scsi_reply(c, 2052, ld_be16(p + 8));
		break;
	case 1:
		st_be16(b, 6);
		scsi_reply(c, 8, ld_be16(p + 8));
		break;
	default: scsi_invalid_field(c);
	}
}

static void good(struct scsi_lu *lu, struct scsi_cmd *c)
{
	(void)lu;
	scsi_end(c, 0, 0, 0);
}

uint32_t scsi_cd_pages(struct scsi_lu *lu, uint8_t *b, uint8_t page, bool changeable)
{
	uint32_t len = 0;

	if (page == 0x01 || page == 0x3f)
		len += page_error_recovery(b + len);
	if (page == 0x0e || page == 0x3f)
		len += page_audio(b + len);
	if (page == 0x2a || page == 0x3f)
		len += page_capabilities(lu, b + len, changeable);
	return len;
}

const struct scsi_command scsi_cd_commands[] = {
	/* clang-format off */
	{0x25, SCSI_NEEDS_MEDIUM, read_capacity},
	{0x28, SCSI_NEEDS_MEDIUM, read_10_12},
	{0x2b, SCSI_NEEDS_MEDIUM, seek},
	{0x2f, SCSI_NEEDS_MEDIUM, good},         /* VERIFY (10) */
	{0x35, SCSI_NEEDS_MEDIUM, good},         /* SYNCHRONIZE CACHE */
	{0x42, SCSI_NEEDS_MEDIUM, read_subchannel},
	{0x43, SCSI_NEEDS_MEDIUM, read_toc},
	{0x46, SCSI_NO_ATTENTION, get_configuration},
	{0x4a, SCSI_NO_ATTENTION, get_event_status},
	{0x4b, SCSI_NEEDS_MEDIUM, good},         /* PAUSE/RESUME */
	{0x4e, SCSI_NEEDS_MEDIUM, good},         /* STOP PLAY/SCAN */
	{0x51, SCSI_NEEDS_MEDIUM, read_disc_info},
	{0x52, SCSI_NEEDS_MEDIUM, read_track_info},
	{0xa8, SCSI_NEEDS_MEDIUM, read_10_12},
	{0xad, SCSI_NEEDS_MEDIUM, read_dvd_structure},
	{0xb9, SCSI_NEEDS_MEDIUM, read_cd},
	{0xbb, 0,                 good},         /* SET CD SPEED */
	{0xbd, 0,                 mechanism_status},
	{0xbe, SCSI_NEEDS_MEDIUM, read_cd},
	{0},
	/* clang-format on */
};
