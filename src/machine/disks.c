/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks of the "pc" machine on PCI controllers that came after the PIIX3: NVMe (a controller for
 * each disk).
 */
#include <stdio.h>

#include "base/bits.h"
#include "device/storage/nvme.h"
#include "machine/firmware.h"

/* What the guest sees as serial number of disk @i. */
static void serial_of(const struct machine *m, unsigned i, char *to, size_t size)
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
	serial_of(m, i, n->serial, sizeof(n->serial));
	r = parts_add(m, &n->dev, err);
	if (r == 0)
		firmware_boot_path(m, 'c', "/pci@i0cf8/nvme@%x", n->devfn >> 3);
	return r;
}

int parts_disks(struct machine *m, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < m->cfg.n_disks && r == 0; i++)
		if (m->cfg.disk[i].kind == MACHINE_DISK_NVME)
			r = add_nvme(m, i, err);
	return r;
}
