/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of ATA hard disks, and those that packet drives share with them (ide.h). "ATA": ATA/
 * ATAPI-7 volume 1 (T13/1532D); CHS addresses and older commands: ATA-4 (T13/1153D); DATA SET
 * MANAGEMENT: ATA-8 ACS (T13/1699D).
 *
 * UNMODELLED: security, host protected area, streaming, power-up in standby and DMA queued
 * commands are aborted as on drives without them; the time that mechanics take; power modes have no
 * effect but their answer to CHECK POWER MODE; a write-back cache's contents are the host's.
 */
#include <string.h>

#include "base/bits.h"
#include "device/storage/ide.h"

enum { DEV_LBA = 0x40, DEV_DEV = 0x10 };
enum { CMD_PACKET = 0xa0 };
#define READY (ATA_DRDY | ATA_DSC)

/* ---- addresses ---- */

static bool is_ext(uint8_t cmd)
{
	return (cmd >= 0x24 && cmd <= 0x2f) || (cmd >= 0x34 && cmd <= 0x3f) || cmd == 0x42 ||
	       cmd == 0xce || cmd == 0xea || cmd == 0x06;
}

/* The address registers as a sector number; ATA vol. 1, 6.2; ATA-4, 6.2 for CHS. */
static uint64_t get_lba(const struct ide_drive_regs *d, bool ext, bool *ret_ok)
{
	uint64_t low =
		d->lba_low[0] | (uint64_t)d->lba_mid[0] << 8 | (uint64_t)d->lba_high[0] << 16;
	unsigned head = d->device & 15;

	*ret_ok = true;
	if (ext)
		return low | (uint64_t)d->lba_low[1] << 24 | (uint64_t)d->lba_mid[1] << 32 |
		       (uint64_t)d->lba_high[1] << 40;
	if (d->device & DEV_LBA)
		return low | (uint64_t)head << 24;
	*ret_ok = d->lba_low[0] >= 1 && d->lba_low[0] <= d->spt && head < d->heads;
	return ((low >> 8) * d->heads + head) * d->spt + d->lba_low[0] - 1u;
}

/* Where it went wrong, in the form the command used. */
static void set_lba(struct ide_drive_regs *d, uint64_t lba, bool ext)
{
	if (!ext && !(d->device & DEV_LBA)) {
		uint64_t cyl = lba / ((uint64_t)d->heads * d->spt);

		d->lba_low[0] = (uint8_t)(lba % d->spt + 1);
		d->device = (uint8_t)((d->device & 0xf0) | (lba / d->spt % d->heads & 15));
		d->lba_mid[0] = (uint8_t)cyl;
		d->lba_high[0] = (uint8_t)(cyl >> 8);
		return;
	}
	d->lba_low[0] = (uint8_t)lba;
	d->lba_mid[0] = (uint8_t)(lba >> 8);
	d->lba_high[0] = (uint8_t)(lba >> 16);
	if (ext) {
		d->lba_low[1] = (uint8_t)(lba >> 24);
		d->lba_mid[1] = (uint8_t)(lba >> 32);
		d->lba_high[1] = (uint8_t)(lba >> 40);
	} else {
		d->device = (uint8_t)((d->device & 0xf0) | (lba >> 24 & 15));
	}
}

static uint32_t get_count(const struct ide_drive_regs *d, bool ext)
{
	uint32_t n = d->count[0] | (ext ? (uint32_t)d->count[1] << 8 : 0);

	return n ? n : ext ? 65536 : 256;
}

void ata_set_lba(struct ide_drive_regs *d, uint64_t lba, uint8_t cmd)
{
	set_lba(d, lba, is_ext(cmd));
}

/* Address and count into the transfer; IDNF when not all of it is on the disk. */
static bool take_range(struct ide_channel *ch, bool ext)
{
	const struct ide_drive_regs *d = ide_active(ch);
	uint64_t sectors = ide_active_drive(ch)->sectors;
	bool ok;

	ch->s->lba = get_lba(d, ext, &ok);
	ch->s->left = get_count(d, ext);
	ch->s->unit = IDE_SECTOR;
	if (ok && ch->s->lba < sectors && ch->s->left <= sectors - ch->s->lba)
		return true;
	ide_end(ch, READY | ATA_ERR, ATA_IDNF);
	return false;
}

/* ---- commands ---- */

enum { DISK = 1, CD = 2, BOTH = 3 };

/* Buffers of IDENTIFY, READ BUFFER and logs: to the host, a sector at a time. */
void ata_reply(struct ide_channel *ch, uint32_t len)
{
	struct ide_channel_regs *s = ch->s;

	s->op = IDE_OP_REPLY;
	s->dma = false;
	s->buf_pos = 0;
	s->buf_len = len;
	s->drq_end = MIN(len, IDE_SECTOR);
	s->left = 0;
	s->block = 1;
	ide_present(ch, false, true);
}

static void put_string(uint8_t *p, const char *s, size_t len)
{
	size_t n = strlen(s);

	/* Two characters a word, the first in the upper byte; padded with spaces. */
	for (size_t i = 0; i < len; i++)
		p[i ^ 1] = i < n ? (uint8_t)s[i] : ' ';
}

void ide_identify_strings(const struct ide_drive *d, uint8_t *p)
{
	put_string(p + 20, d->serial, 20);
	put_string(p + 46, "1.0", 8);
	put_string(p + 54, d->model, 40);
}

static void default_geometry(const struct ide_drive *d, uint32_t *ret_cyls)
{
	*ret_cyls = (uint32_t)MIN(d->sectors / (16 * 63), (uint64_t)16383);
	if (!*ret_cyls)
		*ret_cyls = 1;
}

static void put_xfer_mode(const struct ide_drive_regs *d, uint8_t *p)
{
	uint8_t n = d->xfer_mode & 7;

	st_le16(p + 2 * 63, (uint16_t)(0x07 | (d->xfer_mode >> 3 == 4 ? BIT(8 + n) : 0)));
	st_le16(p + 2 * 88, (uint16_t)(0x3f | (d->xfer_mode >> 3 == 8 ? BIT(8 + n) : 0)));
}

/* What Serial ATA adds: Serial ATA 2.6, 13.2.1; ATA-8 ACS, 7.16.7. */
static void identify_sata(uint8_t *p)
{
	st_le16(p + 2 * 75, 31);     /* queue depth - 1 */
	st_le16(p + 2 * 76, 0x010e); /* up to 6 Gbit/s, native queuing */
	st_le16(p + 2 * 80, 0x01fe); /* ATA-8 ACS, too */
	st_le16(p + 2 * 84, 0x4061); /* general purpose logs */
	st_le16(p + 2 * 87, 0x4061);
	st_le16(p + 2 * 106, 0x6003); /* 8 logical sectors in a physical one */
	st_le16(p + 2 * 217, 0x0001); /* does not rotate */
	st_le16(p + 2 * 222, 0x101f); /* Serial ATA, up to 2.6 */
}

/* ATA vol. 1, 6.16, table 24; words not named are zero. */
static void identify(struct ide_channel *ch, uint8_t cmd)
{
	const struct ide_drive *dr = ide_active_drive(ch);
	const struct ide_drive_regs *d = ide_active(ch);
	uint8_t *p = ch->s->buf, sum = 0;
	uint32_t cyls, chs, now;

	(void)cmd;
	memset(p, 0, IDE_SECTOR);
	default_geometry(dr, &cyls);
	st_le16(p, 0x0040); /* fixed */
	st_le16(p + 2, (uint16_t)cyls);
	st_le16(p + 6, 16);
	st_le16(p + 12, 63);
	ide_identify_strings(dr, p);
	st_le16(p + 2 * 47, 0x8000 | MULTIPLE_MAX);
	st_le16(p + 2 * 48, 1);      /* 32-bit PIO */
	st_le16(p + 2 * 49, 0x0b00); /* IORDY, LBA, DMA */
	st_le16(p + 2 * 50, 0x4000);
	st_le16(p + 2 * 51, 0x0200);
	st_le16(p + 2 * 53, 0x0007); /* words 54-58, 64-70 and 88 are valid */
	chs = (uint32_t)d->heads * d->spt;
	now = (uint32_t)MIN(dr->sectors / chs, (uint64_t)65535);
	st_le16(p + 2 * 54, (uint16_t)now);
	st_le16(p + 2 * 55, d->heads);
	st_le16(p + 2 * 56, d->spt);
	st_le32(p + 2 * 57, now * chs);
	if (d->multiple)
		st_le16(p + 2 * 59, 0x0100 | d->multiple);
	st_le32(p + 2 * 60, (uint32_t)MIN(dr->sectors, (uint64_t)0x0fffffff));
	put_xfer_mode(d, p);
	st_le16(p + 2 * 64, 0x0003); /* PIO modes 3 and 4 */
	for (unsigned w = 65; w <= 68; w++)
		st_le16(p + 2 * w, 120); /* ns */
	if (block_can_discard(dr->block)) {
		st_le16(p + 2 * 69, 0x4020); /* trimmed sectors read as zeros, always the same */
		st_le16(p + 2 * 105, TRIM_BLOCKS_MAX);
		st_le16(p + 2 * 169, 0x0001);
	}
	st_le16(p + 2 * 80, 0x00fe); /* ATA-1 to ATA/ATAPI-7 */
	st_le16(p + 2 * 82, 0x7021); /* NOP, READ and WRITE BUFFER, write cache, SMART */
	st_le16(p + 2 * 83, 0x7400); /* FLUSH CACHE, FLUSH CACHE EXT, 48-bit */
	st_le16(p + 2 * 84, 0x4041); /* FUA, SMART error log */
	st_le16(p + 2 * 85, (uint16_t)(0x7000 | (d->write_cache ? 0x20 : 0) | (d->smart ? 1 : 0)));
	st_le16(p + 2 * 86, 0x3400);
	st_le16(p + 2 * 87, 0x4041);
	if (ch->sata)
		identify_sata(p);
	else /* reset result; 80 wires */
		st_le16(p + 2 * 93, ide_selected(ch) ? 0x6b00 : 0x600b);
	st_le64(p + 2 * 100, dr->sectors);
	p[510] = 0xa5; /* integrity word */
	for (unsigned i = 0; i < 511; i++)
		sum = (uint8_t)(sum + p[i]);
	p[511] = (uint8_t)-sum;
	ata_reply(ch, IDE_SECTOR);
}

void ata_set_signature(struct ide_channel *ch, unsigned n)
{
	struct ide_drive_regs *d = &ch->s->drive[n];
	bool cd = ch->drive[n].cdrom;

	/* ATA vol. 1, 5.15 */
	d->count[0] = d->lba_low[0] = 1;
	d->lba_mid[0] = cd ? 0x14 : 0;
	d->lba_high[0] = cd ? 0xeb : 0;
	d->device &= DEV_DEV;
}

/* A packet drive answers these with its signature, so that disk drivers leave it alone. */
static void signature(struct ide_channel *ch, uint8_t cmd)
{
	(void)cmd;
	ata_set_signature(ch, ch->s->active);
	ide_end(ch, ATA_ERR, ATA_ABRT);
}

static void identify_packet(struct ide_channel *ch, uint8_t cmd)
{
	(void)cmd;
	memset(ch->s->buf, 0, IDE_SECTOR);
	atapi_identify(ide_active_drive(ch), ch->s->buf);
	put_xfer_mode(ide_active(ch), ch->s->buf);
	ch->s->limit = IDE_SECTOR;
	ata_reply(ch, IDE_SECTOR);
}

/* READ and WRITE in all forms. */
static void transfer(struct ide_channel *ch, uint8_t cmd)
{
	struct ide_channel_regs *s = ch->s;
	const struct ide_drive_regs *d = ide_active(ch);
	bool out = (cmd & 0xf0) == 0x30 || cmd == 0xc5 || cmd == 0xca || cmd == 0xcb || cmd == 0xce;
	bool multi = cmd == 0x29 || cmd == 0x39 || cmd == 0xc4 || cmd == 0xc5 || cmd == 0xce;

	if ((multi && !d->multiple) || (out && block_read_only(ide_active_drive(ch)->block))) {
		ide_abort(ch);
		return;
	}
	if (!take_range(ch, is_ext(cmd)))
		return;
	s->dma = ch->sata || cmd == 0x25 || cmd == 0x35 || cmd == 0x3d ||
		 (cmd >= 0xc8 && cmd <= 0xcb);
	s->fua = cmd == 0x3d || cmd == 0xce;
	s->block = multi ? d->multiple : 1;
	s->op = out ? IDE_OP_WRITE : IDE_OP_READ;
	s->buf_pos = 0;
	if (out && !s->dma)
		ide_present_out(ch, false); /* no interrupt before the first block (vol. 2, 9.6) */
	else
		ide_start_io(ch);
}

static void verify(struct ide_channel *ch, uint8_t cmd)
{
	if (take_range(ch, is_ext(cmd)))
		ide_end_ok(ch);
}

static void seek(struct ide_channel *ch, uint8_t cmd)
{
	bool ok;
	uint64_t lba = get_lba(ide_active(ch), false, &ok);

	(void)cmd;
	if (ok && lba < ide_active_drive(ch)->sectors)
		ide_end_ok(ch);
	else
		ide_end(ch, READY | ATA_ERR, ATA_IDNF);
}

static void nothing(struct ide_channel *ch, uint8_t cmd)
{
	(void)cmd;
	ide_end_ok(ch);
}

/* ATA vol. 1, 6.12: both drives take part; the result is in the error register. */
static void diagnostic(struct ide_channel *ch)
{
	for (unsigned n = 0; n < 2; n++) {
		struct ide_drive_regs *d = &ch->s->drive[n];

		if (!ch->drive[n].present)
			continue;
		ata_set_signature(ch, n);
		d->device = 0;
		d->error = 0x01;
		d->status = ch->drive[n].cdrom ? 0 : READY;
	}
	ch->s->drive[0].device = ch->s->drive[1].device = 0;
	ch->s->active = ch->drive[0].present ? 0 : 1;
	ch->s->phase = IDE_IDLE;
	ch->s->op = IDE_OP_NONE;
	ide_interrupt(ch);
}

static void init_params(struct ide_channel *ch, uint8_t cmd)
{
	struct ide_drive_regs *d = ide_active(ch);

	(void)cmd;
	if (!d->count[0]) {
		ide_abort(ch);
		return;
	}
	d->heads = (uint8_t)((d->device & 15) + 1);
	d->spt = d->count[0];
	ide_end_ok(ch);
}

static void set_multiple(struct ide_channel *ch, uint8_t cmd)
{
	struct ide_drive_regs *d = ide_active(ch);
	uint8_t n = d->count[0];

	(void)cmd;
	if (n > MULTIPLE_MAX || (n & (n - 1))) {
		ide_abort(ch);
		return;
	}
	d->multiple = n;
	ide_end_ok(ch);
}

static void flush(struct ide_channel *ch, uint8_t cmd)
{
	(void)cmd;
	ch->s->op = IDE_OP_FLUSH;
	ch->s->dma = false;
	ide_start_io(ch);
}

/* ATA vol. 1, 6.48, table 44 */
static void set_features(struct ide_channel *ch, uint8_t cmd)
{
	struct ide_drive_regs *d = ide_active(ch);

	(void)cmd;
	switch (d->feature[0]) {
	case 0x02: d->write_cache = true; break;
	case 0x82: d->write_cache = false; break;
	case 0x03: /* transfer mode: PIO default and flow control, multiword DMA 0-2, Ultra DMA 0-5
		    */
		if (!(d->count[0] <= 0x01 || (d->count[0] >= 0x08 && d->count[0] <= 0x0c) ||
		      (d->count[0] >= 0x20 && d->count[0] <= 0x22) ||
		      (d->count[0] >= 0x40 && d->count[0] <= 0x45))) {
			ide_abort(ch);
			return;
		}
		/* PIO modes leave the DMA mode as it is. */
		if (d->count[0] >= 0x20)
			d->xfer_mode = d->count[0];
		break;
	case 0x55:
	case 0xaa: /* read look-ahead off, on */
	case 0x66:
	case 0xcc: /* defaults kept or not at a software reset */
	case 0x05:
	case 0x85: /* power management level: none here, accepted by most drives */ break;
	default: ide_abort(ch); return;
	}
	ide_end_ok(ch);
}

static void power(struct ide_channel *ch, uint8_t cmd)
{
	struct ide_drive_regs *d = ide_active(ch);

	switch (cmd) {
	case 0x94:
	case 0xe0:
	case 0x96:
	case 0xe2:
	case 0x99:
	case 0xe6: d->power = 2; break;
	case 0x95:
	case 0xe1:
	case 0x97:
	case 0xe3: d->power = 1; break;
	default: /* CHECK POWER MODE, vol. 1, 6.6 */
		d->count[0] = d->power == 0 ? 0xff : d->power == 1 ? 0x80 : 0x00;
	}
	ide_end_ok(ch);
}

static void read_buffer(struct ide_channel *ch, uint8_t cmd)
{
	(void)cmd;
	ata_reply(ch, IDE_SECTOR);
}

static void write_buffer(struct ide_channel *ch, uint8_t cmd)
{
	(void)cmd;
	ch->s->op = IDE_OP_SINK;
	ch->s->buf_pos = 0;
	ch->s->buf_len = ch->s->drq_end = IDE_SECTOR;
	ide_present(ch, true, false);
}

static void native_max(struct ide_channel *ch, uint8_t cmd)
{
	bool ext = cmd == 0x27;
	uint64_t last = ide_active_drive(ch)->sectors - 1;

	set_lba(ide_active(ch), ext ? last : MIN(last, (uint64_t)0x0ffffffe), ext);
	ide_end_ok(ch);
}

/* DATA SET MANAGEMENT, TRIM: by DMA, at most what word 105 says. */
static void data_set(struct ide_channel *ch, uint8_t cmd)
{
	struct ide_channel_regs *s = ch->s;
	const struct ide_drive_regs *d = ide_active(ch);
	uint32_t n = get_count(d, true);

	(void)cmd;
	if (!(d->feature[0] & 1) || n > TRIM_BLOCKS_MAX ||
	    !block_can_discard(ide_active_drive(ch)->block)) {
		ide_abort(ch);
		return;
	}
	s->op = IDE_OP_TRIM;
	s->dma = true;
	s->range = 0;
	s->buf_pos = 0;
	s->buf_len = s->drq_end = n * IDE_SECTOR;
	ide_active(ch)->status = ATA_BSY;
	s->phase = IDE_DMA;
	ide_dma_kick(ch);
}

/* ATA vol. 1, 6.10: works while BSY too. */
static void device_reset(struct ide_channel *ch, uint8_t cmd)
{
	(void)cmd;
	ide_channel_drain(ch);
	ch->s->phase = IDE_IDLE;
	ch->s->op = IDE_OP_NONE;
	ata_set_signature(ch, ch->s->active);
	ide_active(ch)->error = 0x01;
	ide_active(ch)->status = 0; /* and no interrupt */
}

static void packet(struct ide_channel *ch, uint8_t cmd)
{
	struct ide_channel_regs *s = ch->s;
	struct ide_drive_regs *d = ide_active(ch);

	(void)cmd;
	s->dma = ch->sata || (d->feature[0] & 1);
	s->limit = (uint16_t)(d->lba_mid[0] | d->lba_high[0] << 8);
	/* vol. 1, 6.24: 0 and odd limits are not meant; FFFFh is FFFEh. */
	s->limit &= 0xfffe;
	s->op = IDE_OP_PACKET;
	s->buf_pos = 0;
	s->buf_len = s->drq_end = sizeof(s->packet);
	d->count[0] = ATAPI_CD;
	ide_present(ch, true, false);
}

/* Sorted by number; what isn't here is aborted. */
static const struct {
	uint8_t first, last, who;
	void (*run)(struct ide_channel *ch, uint8_t cmd);
} commands[] = {
	/* clang-format off */
	{0x06, 0x06, DISK, data_set},
	{0x08, 0x08, CD,   device_reset},
	{0x10, 0x1f, DISK, nothing},       /* RECALIBRATE */
	{0x20, 0x21, CD,   signature},
	{0x20, 0x21, DISK, transfer},      /* READ SECTOR(S) */
	{0x24, 0x25, DISK, transfer},      /* READ SECTOR(S) EXT, READ DMA EXT */
	{0x27, 0x27, DISK, native_max},    /* READ NATIVE MAX ADDRESS EXT */
	{0x29, 0x29, DISK, transfer},      /* READ MULTIPLE EXT */
	{0x2f, 0x2f, DISK, ata_read_log},  /* READ LOG EXT */
	{0x30, 0x31, DISK, transfer},      /* WRITE SECTOR(S) */
	{0x34, 0x35, DISK, transfer},      /* WRITE SECTOR(S) EXT, WRITE DMA EXT */
	{0x39, 0x39, DISK, transfer},      /* WRITE MULTIPLE EXT */
	{0x3c, 0x3c, DISK, transfer},      /* WRITE VERIFY */
	{0x3d, 0x3d, DISK, transfer},      /* WRITE DMA FUA EXT */
	{0x40, 0x42, DISK, verify},        /* READ VERIFY SECTOR(S), EXT */
	{0x70, 0x7f, DISK, seek},
	{0x91, 0x91, DISK, init_params},   /* INITIALIZE DEVICE PARAMETERS */
	{0x94, 0x99, BOTH, power},
	{CMD_PACKET, CMD_PACKET, CD, packet},
	{0xa1, 0xa1, CD,   identify_packet},
	{0xb0, 0xb0, DISK, ata_smart},
	{0xc4, 0xc5, DISK, transfer},      /* READ MULTIPLE, WRITE MULTIPLE */
	{0xc6, 0xc6, DISK, set_multiple},
	{0xc8, 0xcb, DISK, transfer},      /* READ DMA, WRITE DMA */
	{0xce, 0xce, DISK, transfer},      /* WRITE MULTIPLE FUA EXT */
	{0xe0, 0xe3, BOTH, power},
	{0xe4, 0xe4, DISK, read_buffer},
	{0xe5, 0xe6, BOTH, power},
	{0xe7, 0xe7, DISK, flush},
	{0xe8, 0xe8, DISK, write_buffer},
	{0xea, 0xea, DISK, flush},
	{0xec, 0xec, CD,   signature},
	{0xec, 0xec, DISK, identify},
	{0xef, 0xef, BOTH, set_features},
	{0xf8, 0xf8, DISK, native_max},
	/* clang-format on */
};

void ata_command(struct ide_channel *ch, uint8_t cmd)
{
	unsigned n = ide_selected(ch);
	struct ide_drive_regs *d = &ch->s->drive[n];
	uint8_t who = ch->drive[n].cdrom ? CD : DISK;

	if (cmd == 0x90) {
		if (ch->drive[0].present || ch->drive[1].present)
			diagnostic(ch);
		return;
	}
	if (!ch->drive[n].present)
		return;
	ch->s->active = (uint8_t)n;
	ch->s->command = cmd;
	ch->s->phase = IDE_IDLE;
	ch->s->op = IDE_OP_NONE;
	ch->s->fua = false;
	ch->s->drive[n ^ 1].status &= (uint8_t)~ATA_DRQ; /* its transfer is given up */
	d->irq = false;
	ide_irq_update(ch);
	d->error = 0;
	d->status = who == DISK ? READY : ATA_DRDY;
	if (d->power && cmd != 0xe5 && cmd != 0x98)
		d->power = 0;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (cmd >= commands[i].first && cmd <= commands[i].last &&
		    (commands[i].who & who)) {
			commands[i].run(ch, cmd);
			return;
		}
	if (cmd)
		guest_error(ch->dev, "command %#x of a %s", cmd, who == CD ? "CD drive" : "disk");
	ide_end(ch, who == DISK ? READY | ATA_ERR : ATA_DRDY | ATA_ERR, ATA_ABRT);
}
