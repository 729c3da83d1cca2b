/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio devices of a machine, in this order: disks, SCSI host, network, consoles, entropy,
 * balloon, graphics, keyboard and tablet. Each is a virtio device and a transport beside it, PCI on
 * "pc", MMIO on "microvm".
 *
 * MMIO windows stand in a row from VIRTIO_AT; the first devices get ISA interrupts that nothing
 * else uses, so that guests on the 8259s reach them too, the rest IOAPIC pins 16 to 23. A line has
 * one driver; more devices than lines are refused.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/intc/ioapic.h"
#include "device/pci/root_port.h"
#include "device/virtio/virtio_balloon.h"
#include "device/virtio/virtio_blk.h"
#include "device/virtio/virtio_console.h"
#include "device/virtio/virtio_gpu.h"
#include "device/virtio/virtio_input.h"
#include "device/virtio/virtio_mmio.h"
#include "device/virtio/virtio_net.h"
#include "device/virtio/virtio_pci.h"
#include "device/virtio/virtio_rng.h"
#include "device/virtio/virtio_scsi.h"
#include "machine/firmware.h"

#define VIRTIO_AT 0xfeb00000u
/* The first devices of a q35 stand behind root ports, one each; the other ports stay free. */
#define PORTS_FOR_VIRTIO (MACHINE_PORTS - 2)

static const uint8_t mmio_gsi[] = {5, 6, 7, 10, 11, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

static void scsi_boot_paths(struct machine *m, const struct virtio_scsi *vs, const char *above,
			    unsigned slot)
{
	for (unsigned i = 0; i < VIRTIO_SCSI_TARGETS; i++)
		if (vs->target[i].present)
			firmware_boot_path(m, vs->target[i].lu.kind == SCSI_CD ? 'd' : 'c',
					   "/pci@i0cf8/%sscsi@%x/channel@0/disk@%x,0", above, slot,
					   i);
}

static void boot_path(struct machine *m, const struct virtio_pci *p)
{
	const struct pci_bridge *br = p->bus->bridge;
	unsigned slot = p->f.devfn >> 3, fn = br ? br->f->devfn & 7 : 0;
	char above[32] = "", port[8] = "";

	if (fn)
		snprintf(port, sizeof(port), ",%x", fn);
	if (br)
		snprintf(above, sizeof(above), "pci-bridge@%x%s/", br->f->devfn >> 3, port);
	if (p->vd->vc->device_id == VIRTIO_ID_BLOCK)
		firmware_boot_path(m, 'c', "/pci@i0cf8/%sscsi@%x/disk@0,0", above, slot);
	else if (p->vd->vc->device_id == VIRTIO_ID_SCSI)
		scsi_boot_paths(m, CONTAINER_OF(p->vd, struct virtio_scsi, vd), above, slot);
	else if (p->vd->vc->device_id == VIRTIO_ID_NET)
		firmware_boot_path(m, 'n', "/pci@i0cf8/%sethernet@%x/ethernet-phy@0", above, slot);
}

static int attach_pci(struct machine *m, struct virtio_dev *vd, struct error *err)
{
	struct virtio_pci *p;
	uint8_t *rom = NULL;
	char id[64];
	int r;

	snprintf(id, sizeof(id), "%s-pci", vd->dev.id);
	p = (struct virtio_pci *)dev_new(&virtio_pci_class, id, &m->sv);
	p->vd = vd;
	p->bus = m->pci;
	if (m->ports_used < PORTS_FOR_VIRTIO && m->port[m->ports_used])
		p->bus = &m->port[m->ports_used++]->bridge.bus;
	r = vd->vc->device_id == VIRTIO_ID_NET
		    ? parts_net_rom(m, VIRTIO_PCI_VENDOR, VIRTIO_PCI_DEVICE + VIRTIO_ID_NET, &rom,
				    err)
		    : 0;
	if (r < 0) {
		dev_free(&p->dev);
		return r;
	}
	p->rom = rom;
	p->rom_len = rom ? m->cfg.firmware.net_rom_len : 0;
	r = parts_add(m, &p->dev, err);
	free(rom);
	if (r == 0)
		boot_path(m, p);
	return r;
}

int parts_virtio_pci(struct machine *m, struct virtio_dev *vd, struct pci_bus *bus, uint8_t devfn,
		     struct dev **ret_transport, struct error *err)
{
	struct virtio_pci *p;
	char id[64];
	int r = parts_add(m, &vd->dev, err);

	if (r < 0)
		return r;
	snprintf(id, sizeof(id), "%s-pci", vd->dev.id);
	p = (struct virtio_pci *)dev_new(&virtio_pci_class, id, &m->sv);
	p->vd = vd;
	p->bus = bus;
	p->devfn = devfn;
	r = parts_add(m, &p->dev, err);
	if (r < 0)
		dev_free(&vd->dev);
	else
		*ret_transport = &p->dev;
	return r;
}

static int attach_mmio(struct machine *m, struct virtio_dev *vd, struct error *err)
{
	unsigned n = m->acpi.n_virtio;
	struct virtio_mmio *p;
	char id[64];
	int r;

	if (n == ARRAY_SIZE(mmio_gsi))
		return error_set(err, -ENOSPC,
				 "a microvm has room for %zu virtio devices; use fewer, or "
				 "--machine pc",
				 ARRAY_SIZE(mmio_gsi));
	snprintf(id, sizeof(id), "%s-mmio", vd->dev.id);
	p = (struct virtio_mmio *)dev_new(&virtio_mmio_class, id, &m->sv);
	p->vd = vd;
	p->dev.base = VIRTIO_AT + n * VIRTIO_MMIO_SIZE;
	if (mmio_gsi[n] < 16)
		parts_isa(m, &p->irq, mmio_gsi[n]);
	else
		irq_init(&p->irq, ioapic_set_line, m->ioapic, mmio_gsi[n]);
	r = parts_add(m, &p->dev, err);
	if (r == 0)
		m->acpi.virtio[m->acpi.n_virtio++] = (struct acpi_virtio){
			.base = VIRTIO_AT + n * VIRTIO_MMIO_SIZE,
			.size = VIRTIO_MMIO_SIZE,
			.gsi = mmio_gsi[n],
		};
	return r;
}

/* @vd with its properties set: realize it and give it a transport. */
static int add(struct machine *m, struct virtio_dev *vd, struct error *err)
{
	int r = parts_add(m, &vd->dev, err);

	if (r < 0)
		return r;
	return m->pci ? attach_pci(m, vd, err) : attach_mmio(m, vd, err);
}

static int add_disk(struct machine *m, unsigned n, struct error *err)
{
	struct virtio_blk *d;
	char id[16];

	snprintf(id, sizeof(id), "disk%u", n & 0xff);
	d = (struct virtio_blk *)dev_new(&virtio_blk_class, id, &m->sv);
	d->block = m->cfg.disk[n].block;
	d->n_queues = MIN(m->cfg.n_cpus, 4u);
	snprintf(d->serial, sizeof(d->serial), "%s",
		 m->cfg.disk[n].serial[0] ? m->cfg.disk[n].serial : id);
	return add(m, &d->vd, err);
}

/* SCSI disks and CD drives: targets of one host, in the order given. */
static int add_scsi(struct machine *m, struct error *err)
{
	struct virtio_scsi *vs = NULL;
	unsigned n = 0;
	int r;

	for (unsigned i = 0; i < m->cfg.n_disks; i++) {
		const struct machine_disk *d = &m->cfg.disk[i];
		struct scsi_lu *lu;

		if (d->kind != MACHINE_DISK_SCSI && d->kind != MACHINE_DISK_SCSI_CDROM)
			continue;
		if (!vs)
			vs = (struct virtio_scsi *)dev_new(&virtio_scsi_class, "scsi0", &m->sv);
		check(n < VIRTIO_SCSI_TARGETS); /* as many as there are disks */
		lu = &vs->target[n].lu;
		lu->kind = d->kind == MACHINE_DISK_SCSI_CDROM ? SCSI_CD : SCSI_DISK;
		lu->block = d->block;
		if (d->serial[0])
			snprintf(lu->serial, sizeof(lu->serial), "%s", d->serial);
		else
			snprintf(lu->serial, sizeof(lu->serial), "BY%05u", i);
		if (lu->kind == SCSI_CD)
			m->drive[i] = (struct machine_drive){MACHINE_DRIVE_SCSI, vs, n};
		vs->target[n++].present = true;
	}
	if (!vs)
		return 0;
	vs->n_queues = MIN(m->cfg.n_cpus, VIRTIO_SCSI_QUEUES);
	r = add(m, &vs->vd, err);
	if (r < 0)
		return r;
	m->scsi = vs;
	for (unsigned i = 0, k = 0; i < m->cfg.n_disks; i++) {
		char id[16];

		if (m->cfg.disk[i].kind != MACHINE_DISK_SCSI &&
		    m->cfg.disk[i].kind != MACHINE_DISK_SCSI_CDROM)
			continue;
		snprintf(id, sizeof(id), "disk%u", i & 0xff);
		if (m->cfg.disk[i].kind == MACHINE_DISK_SCSI)
			parts_plug(m, id, MACHINE_PLUG_SCSI, k, (int)i, NULL);
		k++;
	}
	return 0;
}

static int add_net(struct machine *m, struct error *err)
{
	struct virtio_net *d = (struct virtio_net *)dev_new(&virtio_net_class, "net0", &m->sv);

	d->net = m->cfg.net;
	memcpy(d->mac, m->cfg.mac, sizeof(d->mac));
	return add(m, &d->vd, err);
}

static int add_console(struct machine *m, unsigned n, struct error *err)
{
	struct virtio_console *d;
	char id[32];

	snprintf(id, sizeof(id), "console%u", n);
	d = (struct virtio_console *)dev_new(&virtio_console_class, id, &m->sv);
	d->chr = m->cfg.console[n];
	return add(m, &d->vd, err);
}

static int add_gpu(struct machine *m, struct error *err)
{
	struct virtio_gpu *d = (struct virtio_gpu *)dev_new(&virtio_gpu_class, "gpu0", &m->sv);

	d->display = m->cfg.display;
	return add(m, &d->vd, err);
}

static int add_input(struct machine *m, bool tablet, struct error *err)
{
	struct virtio_input *d = (struct virtio_input *)dev_new(
		&virtio_input_class, tablet ? "tablet0" : "keyboard0", &m->sv);

	d->tablet = tablet;
	d->display = m->cfg.display;
	return add(m, &d->vd, err);
}

int parts_virtio(struct machine *m, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < m->cfg.n_disks && r == 0; i++)
		r = m->cfg.disk[i].kind == MACHINE_DISK_VIRTIO ? add_disk(m, i, err) : 0;
	if (r == 0)
		r = add_scsi(m, err);
	if (r == 0 && m->cfg.net && m->cfg.nic == MACHINE_NIC_VIRTIO)
		r = add_net(m, err);
	for (unsigned i = 0; i < m->cfg.n_consoles && r == 0; i++)
		r = add_console(m, i, err);
	if (r == 0 && m->cfg.rng)
		r = add(m, (struct virtio_dev *)dev_new(&virtio_rng_class, "rng0", &m->sv), err);
	if (r == 0 && m->cfg.balloon)
		r = add(m, (struct virtio_dev *)dev_new(&virtio_balloon_class, "balloon0", &m->sv),
			err);
	if (r == 0 && m->cfg.virtio_gpu)
		r = add_gpu(m, err);
	for (unsigned i = 0; i < 2 && r == 0 && m->cfg.viewer_input; i++)
		r = add_input(m, i == 1, err);
	return r;
}
