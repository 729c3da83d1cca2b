/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packet commands of a CD/DVD drive (ide.h): how scsi_cd.c's commands travel over an ATA channel.
 * Protocol: ATA/ATAPI-7 volume 2, 9.8 and 9.9 (INCITS 397).
 *
 * UNMODELLED: the unit attention after a reset.
 */
#include <string.h>

#include "base/bits.h"
#include "device/storage/ide.h"

void atapi_end(struct ide_channel *ch, uint8_t key, uint8_t asc, uint8_t ascq)
{
	struct ide_drive_regs *d = ide_active(ch);

	d->lu.sense_key = key;
	d->lu.asc = asc;
	d->lu.ascq = ascq;
	d->count[0] = ATAPI_CD | ATAPI_IO;
	/* CHK stands where ERR is; the sense key is in the error register's upper half. */
	ide_end(ch, (uint8_t)(ATA_DRDY | (key ? ATA_ERR : 0)),
		(uint8_t)(key << 4 | (key == SCSI_KEY_ILLEGAL ? ATA_ABRT : 0)));
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

/* The transfer of @len bytes of buf, the answer or the parameters. */
static void start_buffer(struct ide_channel *ch, enum ide_op op, uint32_t len)
{
	struct ide_channel_regs *s = ch->s;

	s->op = (uint8_t)op;
	s->left = 0;
	s->buf_pos = 0;
	/* An odd length is made even: the bus moves words. The buffer has zeros behind. */
	s->buf_len = (len + 1) & ~1u;
	if (s->dma) {
		ide_active(ch)->status = ATA_BSY;
		s->drq_end = s->buf_len;
		s->phase = IDE_DMA;
		ide_dma_kick(ch);
	} else {
		atapi_next_block(ch);
	}
}

static struct scsi_cmd command_of(struct ide_channel *ch)
{
	struct scsi_cmd c = {.buf = ch->s->buf};

	memcpy(c.cdb, ch->s->packet, sizeof(ch->s->packet));
	return c;
}

static void go_on(struct ide_channel *ch, const struct scsi_cmd *c)
{
	struct ide_channel_regs *s = ch->s;

	switch (c->act) {
	case SCSI_REPLY: start_buffer(ch, IDE_OP_REPLY, c->len); break;
	case SCSI_PARAMS: start_buffer(ch, IDE_OP_PARAMS, c->len); break;
	case SCSI_READ:
		s->op = IDE_OP_READ;
		s->unit = CD_SECTOR;
		s->lba = c->off / CD_SECTOR;
		s->left = (uint32_t)(c->bytes / CD_SECTOR);
		s->buf_pos = s->buf_len = s->drq_end = 0;
		ide_start_io(ch);
		break;
	default: atapi_end(ch, c->key, c->asc, c->ascq); /* a CD drive does no more */
	}
}

void atapi_packet(struct ide_channel *ch)
{
	struct scsi_cmd c = command_of(ch);

	scsi_start(&ide_active_drive(ch)->lu, &c);
	go_on(ch, &c);
}

void atapi_params(struct ide_channel *ch)
{
	struct scsi_cmd c = command_of(ch);

	c.len = ch->s->buf_len;
	scsi_params(&ide_active_drive(ch)->lu, &c);
	go_on(ch, &c);
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
