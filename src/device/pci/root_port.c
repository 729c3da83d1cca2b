/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI Express root port with a hot-plug slot. Intel ICH9 family data sheet 316972-004, chapter 20
 * (capabilities at 40h, 80h, 90h, a0h); PCI Express Base Specification rev. 3.0, 6.7 (hot plug),
 * 7.8 (capability).
 *
 * Presence follows what stands at the slot, the link that and power. A change after reset sets the
 * "changed" bits of the slot status; while hot-plug interrupts are enabled, the first enabled event
 * sends an MSI or asserts INTx until all are cleared (6.7.3.4).
 *
 * The slot has an attention button, which root_port_press() presses, two indicators and a power
 * controller (6.7.1). A write of Slot Control is a command, completed at once (6.7.3.2). Without
 * power nobody answers behind the port, and what is there starts from a reset when power comes
 * back. Switched off with its power indicator off, it may be taken out (6.7.1.1.1): `eject` is
 * called.
 *
 * INTx of the device behind port n turns by n on its way to the root complex, as the port's own
 * pin does (data sheet, 5.2.1).
 *
 * ERRATUM: there is no window for I/O (PCI-to-PCI Bridge 1.2, 3.2.5.6: optional): nothing that
 * comes into a slot has I/O space, PCI Express wants devices to work without (1.3.2.2), and
 * firmware that keeps 4 KiB for each port has none left for bus 0, where OVMF then puts one over
 * the other.
 *
 * UNMODELLED: power management (the capability's D-state is stored only), root status.
 */
#include "device/pci/root_port.h"

#include <errno.h>

#include "base/bits.h"

enum { CAP_PM = 0x01, CAP_SUBSYSTEM = 0x0d, MSI_AT = 0x80 };
enum { EVENTS = SLOT_STS_BUTTON | SLOT_STS_PRESENCE | SLOT_STS_COMMAND | SLOT_STS_LINK };

static struct root_port *to_port(struct dev *d)
{
	return CONTAINER_OF(d, struct root_port, dev);
}

static void field_or(struct root_port *rp, unsigned off, uint16_t bits, bool set)
{
	uint8_t *p = &rp->s.pci.cfg[rp->express + off];

	st_le16(p, (uint16_t)(set ? ld_le16(p) | bits : ld_le16(p) & ~bits));
}

/* The slot's interrupt, from status and control. */
static void drive(struct root_port *rp)
{
	const uint8_t *cap = &rp->s.pci.cfg[rp->express];
	uint16_t ctl = ld_le16(cap + EXPRESS_SLOT_CTL), sts = ld_le16(cap + EXPRESS_SLOT_STS);
	bool event = (ctl & SLOT_CTL_HOTPLUG) &&
		     (((ctl & SLOT_CTL_BUTTON) && (sts & SLOT_STS_BUTTON)) ||
		      ((ctl & SLOT_CTL_COMMAND) && (sts & SLOT_STS_COMMAND)) ||
		      ((ctl & SLOT_CTL_PRESENCE) && (sts & SLOT_STS_PRESENCE)) ||
		      ((ctl & SLOT_CTL_LINK) && (sts & SLOT_STS_LINK)));
	bool begins = event && !rp->s.pending;

	rp->s.pending = event;
	if (pci_msi_enabled(&rp->f)) {
		pci_intx_set(&rp->f, false);
		if (begins)
			pci_msi_notify(&rp->f);
	} else {
		pci_intx_set(&rp->f, event);
	}
}

static bool occupied(const struct root_port *rp)
{
	for (unsigned i = 0; i < 8; i++)
		if (rp->bridge.bus.func[i] && !rp->bridge.bus.func[i]->r->hidden)
			return true;
	return false;
}

static bool powered(const struct root_port *rp)
{
	return !(ld_le16(&rp->s.pci.cfg[rp->express + EXPRESS_SLOT_CTL]) & SLOT_CTL_OFF);
}

static bool linked(const struct root_port *rp)
{
	return ld_le16(&rp->s.pci.cfg[rp->express + EXPRESS_LINK_STS]) & LINK_STS_ACTIVE;
}

static void show_presence(struct root_port *rp)
{
	rp->present = occupied(rp);
	field_or(rp, EXPRESS_SLOT_STS, SLOT_STS_PRESENT, rp->present);
	st_le16(&rp->s.pci.cfg[rp->express + EXPRESS_LINK_STS],
		rp->present && powered(rp) ? 0x11 | LINK_STS_ACTIVE : 0x01);
	rp->bridge.bus.dark = !powered(rp);
}

static void slot_loaded(struct pci_bridge *br)
{
	show_presence(CONTAINER_OF(br, struct root_port, bridge));
}

static void slot_changed(struct pci_bridge *br)
{
	struct root_port *rp = CONTAINER_OF(br, struct root_port, bridge);

	bool was = linked(rp);

	if (occupied(rp) == rp->present)
		return;
	show_presence(rp);
	field_or(rp, EXPRESS_SLOT_STS, SLOT_STS_PRESENCE | (linked(rp) != was ? SLOT_STS_LINK : 0),
		 true);
	drive(rp);
}

void root_port_press(struct root_port *rp)
{
	field_or(rp, EXPRESS_SLOT_STS, SLOT_STS_BUTTON, true);
	drive(rp);
}

static void reset_behind(struct root_port *rp)
{
	for (unsigned i = 0; i < 8; i++)
		if (rp->bridge.bus.func[i])
			dev_reset(rp->bridge.bus.func[i]->dev, DEV_RESET_FUNCTION);
}

/* Slot Control was written. */
static void command(struct root_port *rp)
{
	uint16_t ctl = ld_le16(&rp->s.pci.cfg[rp->express + EXPRESS_SLOT_CTL]);
	bool was = linked(rp), off = ctl & SLOT_CTL_OFF;

	field_or(rp, EXPRESS_SLOT_STS, SLOT_STS_COMMAND, true);
	if (off && !rp->bridge.bus.dark)
		reset_behind(rp);
	show_presence(rp);
	if (linked(rp) != was)
		field_or(rp, EXPRESS_SLOT_STS, SLOT_STS_LINK, true);
	if (off && (ctl & SLOT_CTL_INDICATOR) == SLOT_CTL_INDICATOR && rp->eject)
		rp->eject(rp->eject_ctx, rp->number);
}

static void config_written(struct pci_func *f, unsigned off, unsigned size)
{
	struct root_port *rp = CONTAINER_OF(f, struct root_port, f);

	pci_bridge_written(&rp->bridge, off, size);
	if (off < (unsigned)rp->express + EXPRESS_SLOT_STS &&
	    off + size > (unsigned)rp->express + EXPRESS_SLOT_CTL)
		command(rp);
	drive(rp);
}

static int add_caps(struct root_port *rp)
{
	int cap = express_add(&rp->f, EXPRESS_ROOT_PORT, rp->number + 1);
	int r = cap < 0 ? cap : 0;

	rp->express = (uint8_t)cap;
	/* What a guest can't write but hardware does; a saved state may have it either way. */
	if (r == 0) {
		st_le16(&rp->f.w1c[rp->express + EXPRESS_SLOT_STS], EVENTS);
		rp->f.cap_end = MSI_AT;
		r = pci_msi_init(&rp->f);
	}
	if (r == 0) {
		rp->f.cap_end = 0x90;
		cap = pci_cap_add(&rp->f, CAP_SUBSYSTEM, 8);
		r = cap < 0 ? cap : 0;
	}
	if (r == 0) {
		rp->f.cap_end = 0xa0;
		cap = pci_cap_add(&rp->f, CAP_PM, 8);
		r = cap < 0 ? cap : 0;
	}
	if (r == 0) {
		pci_config_def(&rp->f, (unsigned)cap + 2, 2, 0x0002, 0);
		pci_config_def(&rp->f, (unsigned)cap + 4, 2, 0x0008, 0x0003); /* no soft reset */
	}
	return r;
}

static int root_port_realize(struct dev *d, struct error *err)
{
	struct root_port *rp = to_port(d);
	const struct pci_ids ids = {.vendor = 0x8086,
				    .device = (uint16_t)(0x2940 + 2 * rp->number),
				    .revision = 0x02,
				    .cls = 0x0604,
				    .header_type = 0x80,
				    .interrupt_pin = (uint8_t)(rp->number % 4 + 1)};
	int r;

	if (!rp->bus || rp->number >= ROOT_PORTS)
		return error_set(err, -EINVAL, "a root port needs a PCI bus and a number below %d",
				 ROOT_PORTS);
	pci_func_init(&rp->f, d, &rp->s.pci, &ids);
	pci_bridge_init(&rp->bridge, &rp->f);
	pci_config_def(&rp->f, PCI_IO_BASE, 2, 0, 0);
	rp->bridge.rotate = rp->number;
	r = add_caps(rp);
	if (r < 0)
		return error_set(err, r, "'%s': capabilities don't fit", d->id);
	rp->f.config_written = config_written;
	r = pci_func_add(&rp->f, rp->bus, PCI_DEVFN(ROOT_PORT_DEVICE, rp->number), err);
	if (r < 0)
		return r;
	pci_bridge_attach(&rp->bridge);
	rp->bridge.changed = slot_changed;
	rp->bridge.loaded = slot_loaded;
	return 0;
}

static void root_port_unrealize(struct dev *d)
{
	pci_func_done(&to_port(d)->f);
}

static void root_port_reset(struct dev *d, enum dev_reset kind)
{
	struct root_port *rp = to_port(d);

	pci_func_reset(&rp->f, kind);
	if (occupied(rp))
		st_le16(&rp->s.pci.cfg[rp->express + EXPRESS_SLOT_CTL],
			SLOT_CTL_ATTENTION | SLOT_CTL_INDICATOR_ON);
	show_presence(rp);
	rp->s.pending = false;
}

/* Presence is the machine's: the state may be of one whose slot was empty. */
static int root_port_loaded(struct dev *d, struct error *err)
{
	struct root_port *rp = to_port(d);
	uint8_t *cap = &rp->s.pci.cfg[rp->express];
	uint16_t slot = ld_le16(cap + EXPRESS_SLOT_STS) & EVENTS;
	int r;

	st_le16(cap + EXPRESS_LINK_STS, 0); /* as reset has it, for the comparison */
	st_le16(cap + EXPRESS_SLOT_STS, slot);
	st_le16(&rp->s.pci.cfg[PCI_IO_BASE], 0); /* older ports had such a window */
	r = pci_func_loaded(&rp->f, err);
	show_presence(rp);
	if (r == 0)
		drive(rp);
	return r;
}

/* clang-format off */
static const struct state_field root_port_fields[] = {
	STATE_STRUCT(struct root_port_regs, pci, pci_regs_fields),
	STATE_VAL(struct root_port_regs, pending),
	STATE_PAD(struct root_port_regs, pad_),
	STATE_END};
/* clang-format on */

static const struct state_desc root_port_state =
	STATE_DESC("root-port", 1, struct root_port_regs, root_port_fields);

const struct dev_class root_port_class = {
	.name = "root-port",
	.summary = "PCI Express root port with a hot-plug slot",
	.spec = "Intel ICH9 data sheet 316972-004, chapter 20; PCI Express 3.0, 7.8",
	.size = sizeof(struct root_port),
	.regs_offset = offsetof(struct root_port, s),
	.state = &root_port_state,
	.realize = root_port_realize,
	.unrealize = root_port_unrealize,
	.reset = root_port_reset,
	.loaded = root_port_loaded,
};
