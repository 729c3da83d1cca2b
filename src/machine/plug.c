/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices that come and go while the machine runs (machine.h): disks on PCI, on the virtio SCSI
 * host and on USB, and a USB keyboard and tablet.
 *
 * PCI devices come into a free root port of a q35 or a free slot of a pc, and go when the guest's
 * hot-plug driver has let them go: the port's attention button is pressed, or the ACPI device
 * tells, and then the guest's answer (port switched off, _EJ0) marks the plug as gone. Freeing it
 * is for machine_take_out(), because that answer is a register access of the device's own bus. SCSI
 * targets, Serial ATA disks and USB devices are pulled out, as people do, and the guest hears of
 * it.
 *
 * So are PCI devices by force. A driver of virtio waits for the answer to its last request, and
 * then for the device's reset (virtio 1.2, 4.1.4.3.2), which an empty slot never tells: Linux then
 * waits for ever, with the lock that its reboot wants, too. Therefore such a device stays behind
 * the empty slot for a while: its configuration space is gone, what was under way has ended,
 * requests fail, and a reset works. It is freed when the guest has switched the slot off, at a
 * reset, or after PULLED_SECONDS.
 *
 * What is on its way out is state ("plugs"), behind the devices' own. Entries go by their ids.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "device/acpi/acpi_pm.h"
#include "device/acpi/pci_hotplug.h"
#include "device/pci/root_port.h"
#include "device/storage/ahci.h"
#include "device/storage/nvme.h"
#include "device/usb/usb_hid.h"
#include "device/usb/xhci.h"
#include "device/virtio/virtio_blk.h"
#include "device/virtio/virtio_scsi.h"
#include "device/virtio/virtio_pci.h"
#include "machine/parts.h"

#define PULLED_SECONDS 10

void parts_plug(struct machine *m, const char *id, enum machine_plug_how how, unsigned unit,
		int disk, struct dev *part)
{
	for (unsigned i = 0; i < MACHINE_PLUGS; i++) {
		struct machine_plug *p = &m->plug[i];

		if (p->how != MACHINE_PLUG_NONE)
			continue;
		*p = (struct machine_plug){
			.how = how, .unit = unit, .disk = disk, .tablet = disk < 0 && unit == 1};
		snprintf(p->id, sizeof(p->id), "%s", id);
		p->part[0] = part;
		return;
	}
}

/* ------------------------------------------------------------------ where it goes */

static struct machine_plug *free_plug(struct machine *m, const char *id, struct error *err)
{
	struct machine_plug *p = NULL;

	/* Whoever has it is among the devices, or has no device of its own. */
	LIST_FOR_EACH(it, &m->devs)
	if (!strcmp(LIST_ENTRY(it, struct dev, node)->id, id)) {
		error_set(err, -EEXIST, "there is a device '%s' already", id);
		return NULL;
	}
	for (unsigned i = MACHINE_PLUGS; i-- > 0;) {
		if (m->plug[i].how == MACHINE_PLUG_NONE) {
			p = &m->plug[i];
		} else if (!strcmp(m->plug[i].id, id)) {
			error_set(err, -EEXIST, "there is a device '%s' already", id);
			return NULL;
		}
	}
	if (!p) {
		error_set(err, -ENOSPC, "%u devices have been attached; detach one first",
			  MACHINE_PLUGS);
		return NULL;
	}
	memset(p, 0, sizeof(*p));
	snprintf(p->id, sizeof(p->id), "%s", id);
	p->disk = -1;
	return p;
}

/* A place on PCI: the bus, the device's number there, and how it goes again. */
static int find_slot(struct machine *m, struct machine_plug *p, struct pci_bus **ret_bus,
		     struct error *err)
{
	int slot;

	if (!m->pci)
		return error_set(err, -EINVAL, "a %s has no PCI to attach this to",
				 machine_kind_name(m->cfg.kind));
	for (unsigned i = 0; i < MACHINE_PORTS && m->port[0]; i++)
		if (!m->port[i]->bridge.bus.func[0]) {
			p->how = MACHINE_PLUG_PORT;
			p->unit = i;
			*ret_bus = &m->port[i]->bridge.bus;
			return 0;
		}
	if (m->port[0])
		return error_set(err, -ENOSPC,
				 "all %u root ports are taken; detach something, or "
				 "use if=scsi or if=usb",
				 MACHINE_PORTS);
	for (slot = 3; slot < 32; slot++)
		if ((m->acpi.hotplug_slots >> slot & 1) &&
		    !m->pci->func[PCI_DEVFN((unsigned)slot, 0)])
			break;
	if (slot == 32)
		return error_set(err, -ENOSPC, "no PCI slot is free");
	p->how = MACHINE_PLUG_SLOT;
	p->unit = (unsigned)slot;
	*ret_bus = m->pci;
	return 0;
}

static uint8_t devfn_of(const struct machine_plug *p)
{
	return p->how == MACHINE_PLUG_SLOT ? PCI_DEVFN(p->unit, 0) : 0;
}

/* ------------------------------------------------------------------ kinds of disks */

static int plug_virtio(struct machine *m, struct machine_plug *p, struct error *err)
{
	struct pci_bus *bus = NULL;
	struct virtio_blk *d;
	int r = find_slot(m, p, &bus, err);

	if (r < 0)
		return r;
	d = (struct virtio_blk *)dev_new(&virtio_blk_class, p->id, &m->sv);
	d->block = m->cfg.disk[p->disk].block;
	d->n_queues = MIN(m->cfg.n_cpus, 4u);
	snprintf(d->serial, sizeof(d->serial), "%s", m->cfg.disk[p->disk].serial);
	r = parts_virtio_pci(m, &d->vd, bus, devfn_of(p), &p->part[1], err);
	if (r == 0)
		p->part[0] = &d->vd.dev;
	return r;
}

static int plug_nvme(struct machine *m, struct machine_plug *p, struct error *err)
{
	struct pci_bus *bus = NULL;
	struct nvme *n;
	int r = find_slot(m, p, &bus, err);

	if (r < 0)
		return r;
	n = (struct nvme *)dev_new(&nvme_class, p->id, &m->sv);
	n->block = m->cfg.disk[p->disk].block;
	n->bus = bus;
	n->devfn = devfn_of(p);
	snprintf(n->serial, sizeof(n->serial), "%s", m->cfg.disk[p->disk].serial);
	r = parts_add(m, &n->dev, err);
	if (r == 0)
		p->part[0] = &n->dev;
	return r;
}

static int plug_scsi(struct machine *m, struct machine_plug *p, struct error *err)
{
	struct virtio_scsi_target *t;
	unsigned n = 0;
	int r;

	while (m->scsi && n < VIRTIO_SCSI_TARGETS && m->scsi->target[n].present)
		n++;
	if (!m->scsi)
		return error_set(err, -EINVAL,
				 "the machine has no SCSI host: start it with a disk or CD drive "
				 "of if=scsi, or use if=virtio");
	if (n == VIRTIO_SCSI_TARGETS)
		return error_set(err, -ENOSPC, "the SCSI host has %u targets", n);
	t = &m->scsi->target[n];
	memset(&t->lu, 0, sizeof(t->lu));
	t->lu.kind = SCSI_DISK;
	t->lu.block = m->cfg.disk[p->disk].block;
	snprintf(t->lu.serial, sizeof(t->lu.serial), "%s", m->cfg.disk[p->disk].serial);
	r = virtio_scsi_plug(m->scsi, n, true, err);
	p->how = MACHINE_PLUG_SCSI;
	p->unit = n;
	return r;
}

static int plug_sata(struct machine *m, struct machine_plug *p, struct error *err)
{
	struct ide_drive *d;
	unsigned n = 0;

	if (!m->ahci)
		return error_set(err, -EINVAL,
				 "the machine has no AHCI: start it with a disk or CD drive of "
				 "if=ahci, or use if=virtio");
	while (n < AHCI_PORTS && ahci_port_present(&m->ahci->port[n]))
		n++;
	if (n == AHCI_PORTS)
		return error_set(err, -ENOSPC, "all %u Serial ATA ports are taken", n);
	p->how = MACHINE_PLUG_SATA;
	p->unit = n;
	d = &m->ahci->port[n].ch.drive[0];
	*d = (struct ide_drive){.block = m->cfg.disk[p->disk].block};
	snprintf(d->serial, sizeof(d->serial), "%s", m->cfg.disk[p->disk].serial);
	return ahci_plug(m->ahci, n, true, err);
}

static int plug_usb_disk(struct machine *m, struct machine_plug *p, struct error *err)
{
	struct machine_usb_host *h = &m->usb;
	unsigned n = h->first;
	struct usb_disk *k;
	int r;

	if (!h->of)
		return error_set(err, -EINVAL, "the machine has no USB: start it with --usb");
	while (n < h->end && h->port[n])
		n++;
	if (n == h->end)
		return error_set(err, -ENOSPC, "all USB ports for disks are taken");
	k = (struct usb_disk *)dev_new(&usb_disk_class, p->id, &m->sv);
	k->block = m->cfg.disk[p->disk].block;
	k->speed = h->speed;
	snprintf(k->serial, sizeof(k->serial), "%s", m->cfg.disk[p->disk].serial);
	r = parts_add(m, &k->dev, err);
	if (r < 0)
		return r;
	p->part[0] = &k->dev;
	p->how = MACHINE_PLUG_USB;
	p->unit = n;
	h->plug(h->of, n, &k->msc.dev);
	return 0;
}

/* ------------------------------------------------------------------ coming */

/* A function has come into a slot: nothing of it is set up, so it waits for the guest. Who puts a
 * card into a slot with a button presses that, too (PCI Express 3.0, 6.7.1.2). */
static void tell_come(struct machine *m, const struct machine_plug *p)
{
	if (p->how == MACHINE_PLUG_SLOT)
		pci_hotplug_tell(m->hotplug, p->unit, true);
	else if (p->how == MACHINE_PLUG_PORT)
		root_port_press(m->port[p->unit]);
}

int machine_plug_disk(struct machine *m, const char *id, unsigned i, const struct machine_disk *d,
		      struct error *err)
{
	struct machine_plug *p = free_plug(m, id, err);
	int r;

	if (!p)
		return err->code;
	check(i < MACHINE_DISKS_MAX);
	m->cfg.disk[i] = *d;
	if (!d->serial[0])
		parts_serial_of(m, i, m->cfg.disk[i].serial, sizeof(m->cfg.disk[i].serial));
	p->disk = (int)i;
	switch (d->kind) {
	case MACHINE_DISK_VIRTIO: r = plug_virtio(m, p, err); break;
	case MACHINE_DISK_NVME: r = plug_nvme(m, p, err); break;
	case MACHINE_DISK_SCSI: r = plug_scsi(m, p, err); break;
	case MACHINE_DISK_AHCI: r = plug_sata(m, p, err); break;
	case MACHINE_DISK_USB: r = plug_usb_disk(m, p, err); break;
	default:
		r = error_set(err, -EINVAL,
			      "such a disk can't be attached while the machine runs: use "
			      "if=virtio, nvme, scsi, ahci or usb");
	}
	if (r < 0) {
		m->cfg.disk[i] = (struct machine_disk){0};
		memset(p, 0, sizeof(*p));
		return r;
	}
	tell_come(m, p);
	return 0;
}

int machine_plug_hid(struct machine *m, const char *id, bool tablet, struct error *err)
{
	struct machine_usb_host *h = &m->usb;
	struct machine_plug *p = free_plug(m, id, err);
	struct usb_hid *hid;

	if (!p)
		return err->code;
	if (!h->of)
		return error_set(err, -EINVAL, "the machine has no USB: start it with --usb");
	hid = &h->hid[tablet];
	if (h->port[tablet])
		return error_set(err, -EEXIST, "USB port %u is taken: there is a %s already",
				 tablet + 1u, tablet ? "tablet" : "keyboard");
	p->how = MACHINE_PLUG_USB;
	p->unit = tablet;
	p->tablet = tablet;
	h->plug(h->of, tablet, &hid->dev);
	if (m->cfg.display)
		usb_hid_attach(hid, m->cfg.display, &h->input[tablet]);
	return 0;
}

int machine_find_plug(const struct machine *m, const char *id)
{
	for (unsigned i = 0; i < MACHINE_PLUGS; i++)
		if (m->plug[i].how != MACHINE_PLUG_NONE && !strcmp(m->plug[i].id, id))
			return (int)i;
	return -ENODEV;
}

/* ------------------------------------------------------------------ going */

static void gone(struct machine *m, struct machine_plug *p)
{
	if (p->gone)
		return;
	p->gone = true;
	if (m->calls.unplug)
		m->calls.unplug(m->calls.ctx);
}

/* What the guest lets go without having been asked stays: it may switch power on again. */
static void eject(struct machine *m, enum machine_plug_how how, unsigned unit)
{
	for (unsigned i = 0; i < MACHINE_PLUGS; i++)
		if (m->plug[i].how == how && m->plug[i].unit == unit && m->plug[i].leaving)
			gone(m, &m->plug[i]);
}

void parts_eject_port(void *ctx, unsigned number)
{
	eject(ctx, MACHINE_PLUG_PORT, number);
}

/* Those whose drivers have had their time. */
static void pulled_over(void *ctx)
{
	struct machine *m = ctx;

	for (unsigned i = 0; i < MACHINE_PLUGS; i++)
		if (m->plug[i].how != MACHINE_PLUG_NONE && m->plug[i].pulled)
			gone(m, &m->plug[i]);
}

void parts_plug_init(struct machine *m)
{
	vtimer_init(&m->pulled, m->sv.clock, pulled_over, m);
}

void parts_plug_reset(struct machine *m)
{
	pulled_over(m);
}

/* A driver is at work on this one: it stays for a while. */
static bool pull_slowly(struct machine *m, struct machine_plug *p)
{
	struct virtio_blk *blk;

	if ((p->how != MACHINE_PLUG_PORT && p->how != MACHINE_PLUG_SLOT) || p->pulled || p->gone ||
	    p->part[0]->cls != &virtio_blk_class)
		return false;
	blk = CONTAINER_OF(p->part[0], struct virtio_blk, vd.dev);
	if (!(blk->vd.r->status & VIRTIO_STATUS_DRIVER_OK))
		return false;
	p->pulled = p->leaving = true;
	virtio_blk_pull(blk);
	pci_func_hide(&CONTAINER_OF(p->part[1], struct virtio_pci, dev)->f);
	if (p->how == MACHINE_PLUG_SLOT)
		pci_hotplug_tell(m->hotplug, p->unit, false);
	m->pulled_until = clock_now(m->sv.clock) + PULLED_SECONDS * NS_PER_SEC;
	vtimer_arm(&m->pulled, m->pulled_until);
	return true;
}

/* ------------------------------------------------------------------ state */

enum { FLAG_LEAVING = 1, FLAG_PULLED = 2, FLAG_GONE = 4, FLAGS = 7 };

struct plug_regs {
	uint8_t id[MACHINE_PLUGS][MACHINE_PLUG_ID_MAX]; /* empty: no such entry */
	uint8_t flags[MACHINE_PLUGS];
	uint64_t until; /* guest time: machine.pulled_until */
};

static const struct state_field plug_fields[] = {
	STATE_BYTES_OF(struct plug_regs, id),
	STATE_ARRAY(struct plug_regs, flags, .max = FLAGS),
	STATE_VAL(struct plug_regs, until),
	STATE_END,
};
static const struct state_desc plug_state = STATE_DESC("plug", 1, struct plug_regs, plug_fields);

void parts_plug_save(const struct machine *m, struct state_writer *w)
{
	struct plug_regs s = {.until = m->pulled_until};

	for (unsigned i = 0; i < MACHINE_PLUGS; i++) {
		const struct machine_plug *p = &m->plug[i];

		if (p->how == MACHINE_PLUG_NONE)
			continue;
		memcpy(s.id[i], p->id, sizeof(s.id[i]));
		s.flags[i] = (uint8_t)((p->leaving ? FLAG_LEAVING : 0) |
				       (p->pulled ? FLAG_PULLED : 0) | (p->gone ? FLAG_GONE : 0));
	}
	state_save(w, "plugs", &plug_state, &s);
}

/* The device's own state says the same of whether it was pulled out. */
static bool agrees(const struct machine_plug *p, bool pulled)
{
	bool slow = (p->how == MACHINE_PLUG_PORT || p->how == MACHINE_PLUG_SLOT) && p->part[0] &&
		    p->part[0]->cls == &virtio_blk_class;

	if (!slow)
		return !pulled;
	return CONTAINER_OF(p->part[0], struct virtio_blk, vd.dev)->s.pulled == pulled &&
	       CONTAINER_OF(p->part[1], struct virtio_pci, dev)->s.pci.hidden == pulled;
}

static int load_plug(struct machine *m, struct machine_plug *p, uint8_t flags, struct error *err)
{
	if (!agrees(p, flags & FLAG_PULLED))
		return error_set(err, -EINVAL, "the state contradicts itself about '%s'", p->id);
	p->leaving = flags & FLAG_LEAVING;
	p->pulled = flags & FLAG_PULLED;
	p->gone = false;
	if (flags & FLAG_GONE)
		gone(m, p);
	return 0;
}

int parts_plug_load(struct machine *m, struct state_reader *r, struct error *err)
{
	ns_t now = clock_now(m->sv.clock);
	struct plug_regs s = {0};
	unsigned here = 0, there = 0;
	bool pulled = false;
	int res = state_load(r, "plugs", &plug_state, &s, err);

	for (unsigned i = 0; res == 0 && i < MACHINE_PLUGS; i++) {
		int n;

		here += m->plug[i].how != MACHINE_PLUG_NONE;
		if (!s.id[i][0])
			continue;
		there++;
		n = s.id[i][MACHINE_PLUG_ID_MAX - 1] ? -EINVAL
						     : machine_find_plug(m, (char *)s.id[i]);
		if (n < 0)
			return error_set(err, -EINVAL,
					 "the state has a device '%.31s' that this machine lacks",
					 (char *)s.id[i]);
		res = load_plug(m, &m->plug[n], s.flags[i], err);
		pulled |= m->plug[n].pulled && !m->plug[n].gone;
	}
	if (res < 0)
		return res;
	if (here != there)
		return error_set(err, -EINVAL,
				 "this machine has %u removable devices, the state %u", here,
				 there);
	/* Not later than it could have been, whatever the state says. */
	m->pulled_until = MIN(s.until, now + PULLED_SECONDS * NS_PER_SEC);
	if (pulled)
		vtimer_arm(&m->pulled, m->pulled_until);
	else
		vtimer_cancel(&m->pulled);
	return 0;
}

static void eject_slot(void *ctx, unsigned slot)
{
	eject(ctx, MACHINE_PLUG_SLOT, slot);
}

int parts_hotplug(struct machine *m, struct error *err)
{
	struct pci_hotplug *h;
	int r;

	if (m->port[0] || !m->pci)
		return 0;
	h = (struct pci_hotplug *)dev_new(&pci_hotplug_class, "pci-hotplug", &m->sv);
	irq_init(&h->gpe, acpi_pm_set_gpe, m->pm, PCI_HOTPLUG_GPE);
	h->eject = eject_slot;
	h->eject_ctx = m;
	r = parts_add(m, &h->dev, err);
	if (r < 0)
		return r;
	m->hotplug = h;
	for (unsigned slot = 3; slot < 32; slot++)
		if (!m->pci->func[PCI_DEVFN(slot, 0)])
			m->acpi.hotplug_slots |= 1u << slot;
	return 0;
}

int machine_unplug(struct machine *m, unsigned n, bool force, struct error *err)
{
	struct machine_plug *p = &m->plug[n];
	bool pulled = p->how == MACHINE_PLUG_SCSI || p->how == MACHINE_PLUG_SATA ||
		      p->how == MACHINE_PLUG_USB;

	check(p->how != MACHINE_PLUG_NONE);
	if (force || pulled) {
		if (!pull_slowly(m, p))
			gone(m, p);
		return 0;
	}
	if (p->leaving && p->how == MACHINE_PLUG_PORT)
		return error_set(err, -EBUSY,
				 "the guest has been asked already to let '%s' go; use force to "
				 "pull it out",
				 p->id);
	p->leaving = true;
	if (p->how == MACHINE_PLUG_PORT)
		root_port_press(m->port[p->unit]);
	else
		pci_hotplug_tell(m->hotplug, p->unit, false);
	return 0;
}

static void pull_out(struct machine *m, struct machine_plug *p)
{
	struct error err = {0};

	if (p->how == MACHINE_PLUG_USB) {
		if (p->disk < 0 && m->cfg.display)
			usb_hid_detach(m->cfg.display, &m->usb.input[p->tablet]);
		m->usb.plug(m->usb.of, p->unit, NULL);
	} else if (p->how == MACHINE_PLUG_SCSI) {
		(void)!virtio_scsi_plug(m->scsi, p->unit, false, &err);
		m->scsi->target[p->unit].lu.block = NULL;
	}
	if (p->how == MACHINE_PLUG_SATA)
		(void)!ahci_plug(m->ahci, p->unit, false, &err);
	for (unsigned i = ARRAY_SIZE(p->part); i-- > 0;)
		dev_free(p->part[i]);
	/* Pulled out without a word: a check of the slot would only find what is new. */
	if (p->how == MACHINE_PLUG_SLOT && !p->leaving)
		pci_hotplug_tell(m->hotplug, p->unit, false);
	if (p->disk >= 0)
		m->cfg.disk[p->disk] = (struct machine_disk){0};
	p->how = MACHINE_PLUG_NONE;
}

void machine_take_out(struct machine *m, void (*out)(void *ctx, const struct machine_plug *p),
		      void *ctx)
{
	for (unsigned i = 0; i < MACHINE_PLUGS; i++) {
		struct machine_plug *p = &m->plug[i];

		if (p->how == MACHINE_PLUG_NONE || !p->gone)
			continue;
		pull_out(m, p);
		out(ctx, p);
	}
}

void parts_plug_done(struct machine *m)
{
	vtimer_cancel(&m->pulled);
	for (unsigned i = 0; i < MACHINE_PLUGS; i++)
		if (m->plug[i].how != MACHINE_PLUG_NONE)
			pull_out(m, &m->plug[i]);
}
