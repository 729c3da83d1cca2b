/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Media of a machine's drives that can be changed while it runs: CD drives on IDE, AHCI and SCSI,
 * diskette drives (machine.h). A drive knows its tray and its lock; who may override the lock is
 * for the caller to decide.
 */
#include <errno.h>

#include "device/storage/i82077.h"
#include "device/storage/ide.h"
#include "device/virtio/virtio_scsi.h"
#include "machine/machine.h"

static struct scsi_lu *unit_of(const struct machine_drive *d)
{
	struct ide_channel *ch = d->of;
	struct virtio_scsi *vs = d->of;

	switch (d->how) {
	case MACHINE_DRIVE_ATAPI: return &ch->drive[d->unit].lu;
	case MACHINE_DRIVE_SCSI: return &vs->target[d->unit].lu;
	default: return NULL;
	}
}

bool machine_get_medium(const struct machine *m, unsigned i, struct machine_medium *ret)
{
	const struct scsi_lu *lu;

	if (i >= m->cfg.n_disks || m->drive[i].how == MACHINE_DRIVE_FIXED)
		return false;
	lu = unit_of(&m->drive[i]);
	*ret = (struct machine_medium){.tray = lu != NULL};
	if (lu) {
		ret->tray_open = lu->r->tray_open;
		ret->locked = lu->r->locked;
	}
	return true;
}

int machine_set_medium(struct machine *m, unsigned i, struct block *block, struct error *err)
{
	const struct machine_drive *d = &m->drive[i];
	int r = 0;

	switch (d->how) {
	case MACHINE_DRIVE_ATAPI: ide_set_medium(d->of, d->unit, block); break;
	case MACHINE_DRIVE_SCSI: virtio_scsi_set_medium(d->of, d->unit, block); break;
	case MACHINE_DRIVE_FLOPPY: r = i82077_set_medium(d->of, d->unit, block, err); break;
	default: return error_set(err, -EINVAL, "drive %u has a fixed medium", i);
	}
	if (r == 0)
		m->cfg.disk[i].block = block;
	return r;
}

void machine_open_tray(struct machine *m, unsigned i)
{
	const struct machine_drive *d = &m->drive[i];

	if (d->how == MACHINE_DRIVE_ATAPI)
		ide_open_tray(d->of, d->unit);
	else if (d->how == MACHINE_DRIVE_SCSI)
		virtio_scsi_open_tray(d->of, d->unit);
}

void machine_ask_eject(struct machine *m, unsigned i)
{
	struct scsi_lu *lu = unit_of(&m->drive[i]);

	if (lu)
		scsi_ask_eject(lu);
}
