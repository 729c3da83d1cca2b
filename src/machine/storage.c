/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives of the "pc" machine that a PC of its time has: IDE disks and CD drives on the PIIX3,
 * diskette drives; and what a PC's setup program notes about them in CMOS memory.
 *
 * IDE disks take hda, hdb, hdd, hdc; CD drives hdc, hdd, hdb, hda, each the first that is free.
 *
 * CMOS bytes: 10h, diskette drive types (IBM PC/AT Technical Reference); 39h, 3ah: how SeaBIOS
 * translates each IDE disk's geometry for INT 13h, two bits a drive: 0 none, 1 LBA.
 */
#include <errno.h>
#include <stdio.h>

#include "base/bits.h"
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

int parts_storage(struct machine *m, struct error *err)
{
	int r = 0;

	/* A kernel booted directly doesn't have to look for what isn't there. */
	if (m->cfg.firmware.bios || count(m, MACHINE_DISK_IDE) || count(m, MACHINE_DISK_CDROM))
		r = build_ide(m, err);
	return r;
}
