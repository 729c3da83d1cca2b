/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks and CD drives of the "pc" machine on PCI controllers that came after the PIIX3: NVMe (a
 * controller for each disk), AHCI (one controller, ports in the order given).
 */
#include <errno.h>
#include <stdio.h>

#include "base/bits.h"
#include "device/storage/ahci.h"
#include "device/storage/nvme.h"
#include "machine/firmware.h"

/* What the guest sees as serial number of disk @i. */
void parts_serial_of(const struct machine *m, unsigned i, char *to, size_t size)
{
	if (m->cfg.disk[i].serial[0])
		snprintf(to, size, "%s", m->cfg.disk[i].serial);
	else
		snprintf(to, size, "BY%05u", i);
}

static int add_nvme(struct machine *m, unsigned i, struct error *err)
{
	struct nvme *n;
	char id[16];
	int r;

	snprintf(id, sizeof(id), "disk%u", i & 0xff);
	n = (struct nvme *)dev_new(&nvme_class, id, &m->sv);
	n->block = m->cfg.disk[i].block;
	n->bus = m->pci;
	parts_serial_of(m, i, n->serial, sizeof(n->serial));
	r = parts_add(m, &n->dev, err);
	if (r == 0)
		firmware_boot_path(m, 'c', "/pci@i0cf8/nvme@%x", n->devfn >> 3);
	return r;
}

static int add_ahci(struct machine *m, struct error *err)
{
	struct ahci *h = NULL;
	unsigned n = 0, disk[AHCI_PORTS];
	int r;

	for (unsigned i = 0; i < m->cfg.n_disks; i++) {
		const struct machine_disk *d = &m->cfg.disk[i];
		struct ide_drive *drive;

		if (d->kind != MACHINE_DISK_AHCI && d->kind != MACHINE_DISK_AHCI_CDROM)
			continue;
		if (!h)
			h = (struct ahci *)dev_new(&ahci_class, "ahci", &m->sv);
		if (n == AHCI_PORTS) {
			dev_free(&h->dev);
			return error_set(err, -ENOSPC,
					 "there are %u AHCI ports; give the other disks as "
					 "--disk FILE,if=virtio",
					 AHCI_PORTS);
		}
		drive = &h->port[n].ch.drive[0];
		drive->block = d->block;
		drive->present = true;
		drive->cdrom = d->kind == MACHINE_DISK_AHCI_CDROM;
		parts_serial_of(m, i, drive->serial, sizeof(drive->serial));
		if (drive->cdrom)
			m->drive[i] =
				(struct machine_drive){MACHINE_DRIVE_ATAPI, &h->port[n].ch, 0};
		disk[n++] = i;
	}
	if (!h)
		return 0;
	h->bus = m->pci;
	if (m->cfg.kind == MACHINE_Q35)
		h->devfn = PCI_DEVFN(0x1f, 2);
	r = parts_add(m, &h->dev, err);
	if (r == 0)
		m->ahci = h;
	for (unsigned i = 0; i < n && r == 0; i++) {
		char id[16];

		snprintf(id, sizeof(id), "disk%u", disk[i] & 0xff);
		if (m->cfg.disk[disk[i]].kind == MACHINE_DISK_AHCI)
			parts_plug(m, id, MACHINE_PLUG_SATA, i, (int)disk[i], NULL);
	}
	for (unsigned i = 0; i < n && r == 0; i++)
		firmware_boot_path(m, m->cfg.disk[disk[i]].kind == MACHINE_DISK_AHCI ? 'c' : 'd',
				   "/pci@i0cf8/ahci@%x%s/drive@%x/disk@0", h->devfn >> 3,
				   h->devfn & 7 ? ",2" : "", i);
	return r;
}

int parts_disks(struct machine *m, struct error *err)
{
	int r = add_ahci(m, err);

	for (unsigned i = 0; i < m->cfg.n_disks && r == 0; i++)
		if (m->cfg.disk[i].kind == MACHINE_DISK_NVME)
			r = add_nvme(m, i, err);
	return r;
}
