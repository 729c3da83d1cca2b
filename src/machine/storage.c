/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives of the "pc" machine that a PC of its time has: IDE disks and CD drives on the PIIX3,
 * diskette drives; and what a PC's setup program notes about them in CMOS memory.
 *
 * Diskette drives are there when an image is given; an empty one is for 1.44M.
 *
 * IDE disks take hda, hdb, hdd, hdc; CD drives hdc, hdd, hdb, hda, each the first that is free.
 *
 * CMOS bytes: 10h, diskette drive types (IBM PC/AT Technical Reference); 39h, 3ah: how SeaBIOS
 * translates each IDE disk's geometry for INT 13h, two bits a drive: 0 none, 1 LBA.
 */
#include <errno.h>
#include <stdio.h>

#include "base/bits.h"
#include "device/storage/i82077.h"
#include "device/storage/piix3_ide.h"
#include "device/timer/mc146818.h"
#include "machine/firmware.h"

#define IDE_DRIVES    4u
#define CMOS_XLATE    0x39u
#define CHS_CYLINDERS 1024u /* INT 13h's limit */

static const uint8_t disk_slots[IDE_DRIVES] = {0, 1, 3, 2}, cd_slots[IDE_DRIVES] = {2, 3, 1, 0};

static unsigned count(const struct machine *m, enum machine_disk_kind kind)
{
	unsigned n = 0;

	for (unsigned i = 0; i < m->cfg.n_disks; i++)
		n += m->cfg.disk[i].kind == kind;
	return n;
}

static int place(struct piix3_ide *ide, const struct machine_disk *d, unsigned number,
		 unsigned *ret_slot, struct error *err)
{
	bool cd = d->kind == MACHINE_DISK_CDROM;
	const uint8_t *slots = cd ? cd_slots : disk_slots;
	unsigned i = 0;

	while (i < IDE_DRIVES && ide->ch[slots[i] / 2].drive[slots[i] % 2].present)
		i++;
	if (i == IDE_DRIVES)
		return error_set(err, -ENOSPC,
				 "there are %u IDE drives at most; give the others as "
				 "--disk FILE,if=virtio",
				 IDE_DRIVES);
	struct ide_drive *drive = &ide->ch[slots[i] / 2].drive[slots[i] % 2];

	*drive = (struct ide_drive){.block = d->block, .present = true, .cdrom = cd};
	if (d->serial[0])
		snprintf(drive->serial, sizeof(drive->serial), "%s", d->serial);
	else
		snprintf(drive->serial, sizeof(drive->serial), "BY%05u", number);
	*ret_slot = slots[i];
	return 0;
}

/* A disk of more cylinders than INT 13h has gets LBA-assisted translation. */
static void note_translation(struct machine *m, unsigned slot, const struct block *b)
{
	uint8_t v = mc146818_get_cmos(m->rtc, CMOS_XLATE);

	if (block_size(b) / IDE_SECTOR / (16 * 63) > CHS_CYLINDERS)
		v |= (uint8_t)(1u << 2 * slot);
	mc146818_set_cmos(m->rtc, CMOS_XLATE, v);
}

static int build_ide(struct machine *m, struct error *err)
{
	struct piix3_ide *ide = (struct piix3_ide *)dev_new(&piix3_ide_class, "ide", &m->sv);
	unsigned slot = 0;
	int r = 0;

	ide->bus = m->pci;
	ide->decode_at_reset = m->cfg.firmware.efi; /* OVMF doesn't know IDETIM */
	parts_isa(m, &ide->ch[0].irq, ISA_IRQ_IDE0);
	parts_isa(m, &ide->ch[1].irq, ISA_IRQ_IDE1);
	for (unsigned i = 0; i < m->cfg.n_disks && r == 0; i++) {
		const struct machine_disk *d = &m->cfg.disk[i];

		if (d->kind != MACHINE_DISK_IDE && d->kind != MACHINE_DISK_CDROM)
			continue;
		r = place(ide, d, i, &slot, err);
		if (r < 0)
			break;
		if (d->kind == MACHINE_DISK_IDE)
			note_translation(m, slot, d->block);
		else
			m->drive[i] = (struct machine_drive){MACHINE_DRIVE_ATAPI,
							     &ide->ch[slot / 2], slot % 2};
		firmware_boot_path(m, d->kind == MACHINE_DISK_IDE ? 'c' : 'd',
				   "/pci@i0cf8/ide@1,1/drive@%x/disk@%x", slot / 2, slot % 2);
	}
	if (r < 0) {
		dev_free(&ide->dev);
		return r;
	}
	r = parts_add(m, &ide->dev, err);
	if (r == 0)
		m->ide = ide;
	return r;
}

/* Drives A: and B:, in the order given, each of the kind its diskette is for. */
static int build_floppy(struct machine *m, struct error *err)
{
	struct i82077 *fdc = (struct i82077 *)dev_new(&i82077_class, "fdc", &m->sv);
	uint8_t types = 0;
	unsigned n = 0;
	int r = 0;

	fdc->dma = m->dma;
	parts_isa(m, &fdc->irq, ISA_IRQ_FLOPPY);
	for (unsigned i = 0; i < m->cfg.n_disks && r == 0; i++) {
		const struct machine_disk *d = &m->cfg.disk[i];
		const struct i82077_format *f;

		if (d->kind != MACHINE_DISK_FLOPPY)
			continue;
		if (n == I82077_DRIVES) {
			r = error_set(err, -ENOSPC, "there are %u diskette drives", I82077_DRIVES);
			break;
		}
		f = i82077_format_of(d->block ? block_size(d->block) : 1440 * KIB);
		types |= f ? (uint8_t)(f->cmos << (n ? 0 : 4)) : 0;
		m->drive[i] = (struct machine_drive){MACHINE_DRIVE_FLOPPY, fdc, n};
		fdc->drive[n].present = true;
		fdc->drive[n].block = d->block;
		firmware_boot_path(m, 'a', "/pci@i0cf8/isa@%x/fdc@03f0/floppy@%x",
				   m->cfg.kind == MACHINE_Q35 ? 0x1fu : 1u, n);
		n++;
	}
	if (r < 0) {
		dev_free(&fdc->dev);
		return r;
	}
	mc146818_set_cmos(m->rtc, CMOS_FLOPPY, types);
	/* bit 0: there are drives, 7:6: how many, less one; 1: coprocessor, 2: pointing device */
	mc146818_set_cmos(m->rtc, CMOS_EQUIPMENT, (uint8_t)(0x06 | (n ? 1 | (n - 1) << 6 : 0)));
	r = parts_add(m, &fdc->dev, err);
	if (r == 0) {
		m->fdc = fdc;
		m->acpi.fdc = true;
	}
	return r;
}

int parts_storage(struct machine *m, struct error *err)
{
	int r = 0;

	/* A kernel booted directly doesn't have to look for what isn't there. */
	if (m->cfg.kind == MACHINE_PC &&
	    (m->cfg.firmware.bios || count(m, MACHINE_DISK_IDE) || count(m, MACHINE_DISK_CDROM)))
		r = build_ide(m, err);
	if (r == 0 && count(m, MACHINE_DISK_FLOPPY))
		r = build_floppy(m, err);
	return r;
}
