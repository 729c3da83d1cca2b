/* SPDX-License-Identifier: Apache-2.0 */
/*
 * USB 3 host controller: eXtensible Host Controller Interface for Universal Serial Bus, revision
 * 1.1 ("xHCI"). Registers, ports, event ring and interrupter; commands are in xhci_cmd.c, transfer
 * rings in xhci_ring.c. Ports 1 to 4 are USB 2, with a full-speed keyboard and tablet in the first
 * two; ports 5 to 8 SuperSpeed, with disks.
 *
 *   BAR 0: 0000h capabilities · 0040h operational · 0440h ports · 0500h extended capabilities ·
 *   1000h runtime, one interrupter · 2000h doorbells · 3000h MSI-X table · 3800h pending bits
 *
 * Nothing ticks: a doorbell runs its ring at once, a device that answered NAK calls when it has
 * more. A ring runs only while its events have room; when the driver moves ERDP it goes on.
 *
 * UNMODELLED: isochronous transfers and streams (no device here has any), hubs, bandwidth, link
 * power states but U3, saving and restoring state (the driver is told that it failed), debug
 * capability, more than one interrupter, scratchpad buffers (none are asked for).
 */
#include "device/usb/xhci.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "device/usb/xhci_internal.h"

enum {
	BAR_SIZE = 0x4000,
	OP_AT = 0x40,
	PORT_AT = 0x440,
	EXT_AT = 0x500,
	RUN_AT = 0x1000,
	BELL_AT = 0x2000,
	MSIX_AT = 0x3000,
	PBA_AT = 0x3800,
	ERST_MAX = 4, /* 2^4 segments */
};
enum {
	CMD_RS = 1 << 0,
	CMD_HCRST = 1 << 1,
	CMD_INTE = 1 << 2,
	CMD_CRS = 1 << 9,
	CMD_KEEP = 0xc0d, /* RS, INTE, HSEE, EWE, EU3S */
	STS_HCH = 1 << 0,
	STS_EINT = 1 << 3,
	STS_PCD = 1 << 4,
	STS_SRE = 1 << 10,
	STS_W1C = 0x41c,
	IMAN_IP = 1,
	IMAN_IE = 2,
	ERDP_EHB = 8,
	CRCR_RCS = 1,
	CRCR_CS = 2,
	CRCR_CA = 4,
	CRCR_CRR = 8,
	PORT_CCS = 1 << 0,
	PORT_PED = 1 << 1,
	PORT_PR = 1 << 4,
	PORT_PLS = 15 << 5,
	PORT_PP = 1 << 9,
	PORT_SPEED = 15 << 10,
	PORT_PIC = 3 << 14,
	PORT_LWS = 1 << 16,
	PORT_CSC = 1 << 17,
	PORT_WRC = 1 << 19,
	PORT_PRC = 1 << 21,
	PORT_PLC = 1 << 22,
	PORT_CHANGES = 0xfe0000,
	PORT_WAKE = 7 << 25,
	PLS_SHIFT = 5,
	PLS_U0 = 0,
	PLS_U3 = 3,
	PLS_DISABLED = 4,
	PLS_DETECT = 5,
	PLS_POLLING = 7,
	PLS_RESUME = 15,
};
#define PORT_WPR   0x80000000u
#define MFINDEX_NS 125000u

static struct xhci *to_xhci(struct dev *d)
{
	return CONTAINER_OF(d, struct xhci, dev);
}

/* ------------------------------------------------------------------ interrupter */

static void update_irq(struct xhci *x)
{
	bool message = pci_msix_enabled(&x->f) || pci_msi_enabled(&x->f), on;
	ns_t now = clock_now(x->dev.sv->clock);

	if (x->s.ip_pending && !(x->s.erdp & ERDP_EHB)) {
		if (now < x->s.irq_after) {
			vtimer_arm(&x->irq_timer, x->s.irq_after);
		} else { /* xHCI, 4.17.2, 4.17.3 */
			x->s.ip_pending = false;
			x->s.erdp |= ERDP_EHB;
			x->s.iman |= IMAN_IP;
			x->s.usbsts |= STS_EINT;
			x->s.irq_after = now + (x->s.imod & 0xffff) * 250ull;
		}
	}
	on = (x->s.iman & (IMAN_IP | IMAN_IE)) == (IMAN_IP | IMAN_IE) && (x->s.usbcmd & CMD_INTE);
	if (on && message) {
		x->s.iman &= ~(uint32_t)IMAN_IP;
		if (pci_msix_enabled(&x->f))
			pci_msix_notify(&x->f, 0);
		else
			pci_msi_notify(&x->f);
		on = false;
	}
	pci_intx_set(&x->f, on && !message);
}

static void on_irq_timer(void *ctx)
{
	update_irq(ctx);
}

/* A place in the event ring. */
struct cursor {
	uint64_t base;
	uint32_t size, at, seg;
	bool cycle;
};

/* The first TRB of segment @seg (xHCI, 6.5). */
static bool load_segment(struct xhci *x, struct cursor *c, uint32_t seg)
{
	uint8_t e[16];

	if (dma_read(&x->dev, x->s.erstba + 16ull * seg, e, sizeof(e)) < 0)
		return false;
	c->base = ld_le64(e) & ~63ull;
	c->size = ld_le16(e + 8);
	c->seg = seg;
	c->at = 0;
	return c->size >= 16 && c->size <= 4096;
}

static bool step(struct xhci *x, struct cursor *c)
{
	uint32_t n = MAX(x->s.erstsz, 1u);

	if (++c->at < c->size)
		return true;
	if (c->seg + 1 >= n)
		c->cycle = !c->cycle;
	return load_segment(x, c, (c->seg + 1) % n);
}

static struct cursor get_cursor(const struct xhci *x)
{
	return (struct cursor){x->s.er_base, x->s.er_size, x->s.er_at, x->s.er_seg, x->s.er_cycle};
}

static void put_cursor(struct xhci *x, const struct cursor *c)
{
	x->s.er_base = c->base;
	x->s.er_size = c->size;
	x->s.er_at = c->at;
	x->s.er_seg = c->seg;
	x->s.er_cycle = c->cycle;
}

bool xhci_event_room(struct xhci *x, unsigned n)
{
	struct cursor c = get_cursor(x);

	if (!c.size)
		return false;
	while (n--) {
		if (!step(x, &c) || c.base + 16ull * c.at == (x->s.erdp & ~15ull))
			return false;
	}
	return true;
}

bool xhci_event(struct xhci *x, const struct trb *t)
{
	struct cursor c = get_cursor(x), next = c;
	uint8_t b[TRB];

	if (!c.size || !step(x, &next) || next.base + 16ull * next.at == (x->s.erdp & ~15ull))
		return false;
	st_le64(b, t->param);
	st_le32(b + 8, t->status);
	st_le32(b + 12, t->control | c.cycle);
	/* the cycle bit last */
	if (dma_write(&x->dev, c.base + 16ull * c.at, b, 12) < 0 ||
	    dma_write(&x->dev, c.base + 16ull * c.at + 12, b + 12, 4) < 0) {
		guest_error(&x->dev, "event ring is not in memory");
		return false;
	}
	put_cursor(x, &next);
	x->s.ip_pending = true;
	update_irq(x);
	return true;
}

bool xhci_read_trb(struct xhci *x, uint64_t at, struct trb *t)
{
	uint8_t b[TRB];

	if (dma_read(&x->dev, at, b, sizeof(b)) < 0)
		return false;
	*t = (struct trb){ld_le64(b), ld_le32(b + 8), ld_le32(b + 12)};
	return true;
}

/* ------------------------------------------------------------------ ports */

struct usb_dev *xhci_device(struct xhci *x, const struct xhci_slot *s)
{
	return s->port >= 1 && s->port <= XHCI_PORTS ? x->port[s->port - 1] : NULL;
}

bool xhci_port_enabled(const struct xhci *x, unsigned port)
{
	uint32_t v = port >= 1 && port <= XHCI_PORTS ? x->s.portsc[port - 1] : 0;

	return (v & PORT_PED) && (v & PORT_PLS) == PLS_U0 << PLS_SHIFT;
}

static void set_pls(struct xhci *x, unsigned i, unsigned pls)
{
	x->s.portsc[i] = (x->s.portsc[i] & ~(uint32_t)PORT_PLS) | pls << PLS_SHIFT;
}

/* Changes that the driver is to hear of; told as soon as it can (xHCI, 4.19.2). */
static void port_change(struct xhci *x, unsigned i, uint32_t bits)
{
	if ((bits & ~x->s.portsc[i]) == 0)
		return;
	x->s.portsc[i] |= bits;
	x->s.usbsts |= STS_PCD;
	x->s.port_events |= 1u << i;
}

static void tell_ports(struct xhci *x)
{
	for (unsigned i = 0; i < XHCI_PORTS && (x->s.usbcmd & CMD_RS); i++) {
		struct trb t = {.param = (uint64_t)(i + 1) << 24,
				.status = CC_SUCCESS << 24,
				.control = EVENT_PORT << 10};

		if ((x->s.port_events >> i & 1) && xhci_event(x, &t))
			x->s.port_events &= ~(1u << i);
	}
}

static uint32_t port_speed(const struct usb_dev *u)
{
	static const uint8_t code[] = {[USB_FULL] = 1, [USB_HIGH] = 3, [USB_SUPER] = 4};

	return (uint32_t)code[u->speed] << 10;
}

static void port_power_on(struct xhci *x, unsigned i)
{
	struct usb_dev *u = x->port[i];
	bool super = i >= XHCI_PORTS2;

	x->s.portsc[i] = PORT_PP;
	x->s.portpmsc[i] = x->s.porthlpmc[i] = 0;
	set_pls(x, i, u ? super ? PLS_U0 : PLS_POLLING : PLS_DETECT);
	if (!u)
		return;
	usb_reset(u);
	x->s.portsc[i] |= PORT_CCS | port_speed(u) | (super ? PORT_PED : 0);
	port_change(x, i, PORT_CSC);
}

static void port_reset(struct xhci *x, unsigned i, bool warm)
{
	struct usb_dev *u = x->port[i];

	if (!u)
		return;
	usb_reset(u);
	x->s.portsc[i] |= PORT_PED;
	set_pls(x, i, PLS_U0);
	port_change(x, i, warm ? PORT_PRC | PORT_WRC : PORT_PRC);
}

static void port_link(struct xhci *x, unsigned i, unsigned pls)
{
	unsigned was = (x->s.portsc[i] & PORT_PLS) >> PLS_SHIFT;
	bool super = i >= XHCI_PORTS2;

	if (pls == PLS_U3 && was == PLS_U0) {
		set_pls(x, i, pls);
	} else if (pls == PLS_RESUME && was == PLS_U3 && !super) {
		set_pls(x, i, pls);
	} else if (pls == PLS_U0 && (was == PLS_U3 || was == PLS_RESUME)) {
		set_pls(x, i, pls);
		port_change(x, i, PORT_PLC);
	} else if (pls == PLS_DETECT && was == PLS_DISABLED && super && x->port[i]) {
		x->s.portsc[i] |= PORT_PED;
		set_pls(x, i, PLS_U0);
	} else if (pls == PLS_DISABLED && super) {
		x->s.portsc[i] &= ~(uint32_t)PORT_PED;
		set_pls(x, i, pls);
	}
}

static void write_portsc(struct xhci *x, unsigned i, uint32_t v)
{
	bool super = i >= XHCI_PORTS2;
	uint32_t keep = PORT_PIC | PORT_WAKE;

	x->s.portsc[i] = (x->s.portsc[i] & ~keep) | (v & keep);
	x->s.portsc[i] &= ~(v & PORT_CHANGES);
	if (v & PORT_PED) { /* writing 1 disables */
		x->s.portsc[i] &= ~(uint32_t)PORT_PED;
		set_pls(x, i, super ? PLS_DISABLED : PLS_POLLING);
	}
	if ((v & PORT_PR) || (super && (v & PORT_WPR)))
		port_reset(x, i, super && (v & PORT_WPR));
	else if (v & PORT_LWS)
		port_link(x, i, (v & PORT_PLS) >> PLS_SHIFT);
}

/* ------------------------------------------------------------------ running */

static bool can_run(const struct xhci *x)
{
	return (x->s.usbcmd & CMD_RS) && pci_bus_master(&x->f) && !x->stopped && !x->in_run;
}

void xhci_run_later(struct xhci *x)
{
	vtimer_arm(&x->run_timer, clock_now(x->dev.sv->clock) + 10 * 1000);
}

/* Everything that can go on. */
static void run_all(struct xhci *x)
{
	bool done = true;

	if (!can_run(x))
		return;
	x->in_run = true;
	tell_ports(x);
	done = xhci_commands(x);
	for (unsigned i = 0; i < XHCI_SLOTS; i++)
		for (unsigned dci = 1; dci <= XHCI_ENDPOINTS && x->s.slot[i].state; dci++)
			if (x->s.slot[i].ep[dci - 1].running)
				done = xhci_endpoint(x, i + 1, dci) && done;
	x->in_run = false;
	if (!done)
		xhci_run_later(x);
}

static void on_run_timer(void *ctx)
{
	run_all(ctx);
}

static void on_wake(void *ctx, struct usb_dev *u)
{
	struct xhci *x = ctx;

	(void)u;
	if (x->in_run)
		xhci_run_later(x);
	else
		run_all(x);
}

static void doorbell(struct xhci *x, unsigned slot, uint32_t val)
{
	unsigned dci = val & 0xff;
	bool done;

	if (!(x->s.usbcmd & CMD_RS))
		return;
	if (slot == 0) {
		x->s.cmd_running = x->s.cmd_running || dci == 0;
	} else {
		struct xhci_endpoint *e;

		if (slot > XHCI_SLOTS || dci < 1 || dci > XHCI_ENDPOINTS ||
		    x->s.slot[slot - 1].state == SLOT_OFF)
			return;
		e = &x->s.slot[slot - 1].ep[dci - 1];
		if (e->state == EP_STOPPED) { /* xHCI, 4.8.3: the doorbell starts it again */
			e->state = EP_RUNNING;
			xhci_write_ep(x, &x->s.slot[slot - 1], dci);
		}
		e->running = e->state == EP_RUNNING;
	}
	if (!can_run(x))
		return;
	x->in_run = true;
	done = slot ? xhci_endpoint(x, slot, dci) : xhci_commands(x);
	x->in_run = false;
	if (!done)
		xhci_run_later(x);
}

/* ------------------------------------------------------------------ registers */

static void host_reset(struct xhci *x)
{
	x->s.usbcmd = 0;
	x->s.usbsts = STS_HCH;
	x->s.dnctrl = x->s.config = 0;
	x->s.crcr = x->s.dcbaap = 0;
	x->s.cmd_ccs = x->s.cmd_running = x->s.ip_pending = false;
	x->s.iman = x->s.erstsz = 0;
	x->s.imod = 4000;
	x->s.erstba = x->s.erdp = x->s.er_base = 0;
	x->s.er_size = x->s.er_at = x->s.er_seg = 0;
	x->s.er_cycle = true;
	x->s.irq_after = 0;
	x->s.port_events = 0;
	for (unsigned i = 0; i < XHCI_SLOTS; i++)
		xhci_slot_off(&x->s.slot[i]);
	for (unsigned i = 0; i < XHCI_PORTS; i++)
		port_power_on(x, i);
	vtimer_cancel(&x->irq_timer);
	vtimer_cancel(&x->run_timer);
	update_irq(x);
}

static uint32_t read_cap(uint64_t off)
{
	switch (off) {
	case 0x00: return 0x01100000 | OP_AT;
	case 0x04: return XHCI_SLOTS | 1 << 8 | (uint32_t)XHCI_PORTS << 24;
	case 0x08: return ERST_MAX << 4;
	case 0x10: return 1 | 1 << 7 | (EXT_AT / 4) << 16; /* AC64, NSS */
	case 0x14: return BELL_AT;
	case 0x18: return RUN_AT;
	/* Supported Protocol (xHCI, 7.2): USB 2.0, then USB 3.0 */
	case EXT_AT: return 0x02000402;
	case EXT_AT + 0x04:
	case EXT_AT + 0x14: return 0x20425355; /* "USB " */
	case EXT_AT + 0x08: return 1 | XHCI_PORTS2 << 8;
	case EXT_AT + 0x10: return 0x03000002;
	case EXT_AT + 0x18: return (XHCI_PORTS2 + 1) | XHCI_PORTS3 << 8;
	default: return 0;
	}
}

static uint32_t read_port(const struct xhci *x, uint64_t off)
{
	unsigned i = (unsigned)(off / 16);

	switch (off & 15) {
	case 0: return x->s.portsc[i];
	case 4: return x->s.portpmsc[i];
	case 12: return x->s.porthlpmc[i];
	default: return 0;
	}
}

static uint32_t read_op(const struct xhci *x, uint64_t off)
{
	switch (off) {
	case 0x00: return x->s.usbcmd;
	case 0x04: return x->s.usbsts;
	case 0x08: return 1; /* pages of 4 KiB */
	case 0x14: return x->s.dnctrl;
	case 0x18: return x->s.cmd_running ? CRCR_CRR : 0; /* xHCI, 5.4.5: the rest reads 0 */
	case 0x30: return (uint32_t)x->s.dcbaap;
	case 0x34: return (uint32_t)(x->s.dcbaap >> 32);
	case 0x38: return x->s.config;
	default: return 0;
	}
}

static uint32_t read_run(const struct xhci *x, uint64_t off)
{
	switch (off) {
	case 0x00: return (uint32_t)(clock_now(x->dev.sv->clock) / MFINDEX_NS & 0x3fff);
	case 0x20: return x->s.iman;
	case 0x24: return x->s.imod;
	case 0x28: return x->s.erstsz;
	case 0x30: return (uint32_t)x->s.erstba;
	case 0x34: return (uint32_t)(x->s.erstba >> 32);
	case 0x38: return (uint32_t)x->s.erdp;
	case 0x3c: return (uint32_t)(x->s.erdp >> 32);
	default: return 0;
	}
}

static uint64_t mmio_read(void *ctx, uint64_t off, unsigned size)
{
	struct xhci *x = ctx;

	(void)size;
	if (off >= PORT_AT && off < PORT_AT + 16 * XHCI_PORTS)
		return read_port(x, off - PORT_AT);
	if (off >= OP_AT && off < PORT_AT)
		return read_op(x, off - OP_AT);
	if (off >= RUN_AT && off < RUN_AT + 0x40)
		return read_run(x, off - RUN_AT);
	if (off >= MSIX_AT && off < MSIX_AT + 16)
		return pci_msix_table_read(&x->f, (uint32_t)(off - MSIX_AT));
	if (off >= PBA_AT && off < PBA_AT + 8)
		return pci_msix_pba_read(&x->f, (uint32_t)(off - PBA_AT));
	return read_cap(off);
}

static void write_cmd(struct xhci *x, uint32_t v)
{
	if (v & CMD_HCRST) {
		host_reset(x);
		return;
	}
	x->s.usbcmd = v & CMD_KEEP;
	if (v & CMD_RS) {
		x->s.usbsts &= ~(uint32_t)STS_HCH;
	} else {
		x->s.usbsts |= STS_HCH;
		x->s.cmd_running = false;
	}
	if (v & CMD_CRS) /* nothing was saved */
		x->s.usbsts |= STS_SRE;
	run_all(x);
}

static void write_crcr(struct xhci *x, uint32_t v)
{
	struct trb t = {.param = x->s.crcr & ~15ull,
			.status = CC_RING_STOPPED << 24,
			.control = EVENT_COMMAND << 10};

	if (!x->s.cmd_running) {
		x->s.crcr = (x->s.crcr & ~0xffffffffull) | (v & ~63u);
		x->s.cmd_ccs = v & CRCR_RCS;
	} else if (v & (CRCR_CS | CRCR_CA)) {
		x->s.cmd_running = false;
		xhci_event(x, &t);
	}
}

static void write_op(struct xhci *x, uint64_t off, uint32_t v)
{
	switch (off) {
	case 0x00: write_cmd(x, v); break;
	case 0x04: x->s.usbsts &= ~(v & STS_W1C); break;
	case 0x14: x->s.dnctrl = v & 0xffff; break;
	case 0x18: write_crcr(x, v); break;
	case 0x1c:
		if (!x->s.cmd_running)
			x->s.crcr = (x->s.crcr & 0xffffffff) | (uint64_t)v << 32;
		break;
	case 0x30: x->s.dcbaap = (x->s.dcbaap & ~0xffffffffull) | (v & ~63u); break;
	case 0x34: x->s.dcbaap = (x->s.dcbaap & 0xffffffff) | (uint64_t)v << 32; break;
	case 0x38: x->s.config = v & 0x3ff; break;
	}
}

/* The event ring begins at the first segment of the table (xHCI, 4.9.4). */
static void start_events(struct xhci *x)
{
	struct cursor c = {.cycle = true};

	if (!load_segment(x, &c, 0))
		c = (struct cursor){.cycle = true};
	put_cursor(x, &c);
}

static void write_erdp(struct xhci *x, uint64_t to, bool clear)
{
	x->s.erdp = (to & ~15ull) | (to & 7) | (clear ? 0 : x->s.erdp & ERDP_EHB);
	/* events that the driver has not seen yet are told again */
	if (clear && x->s.er_size && x->s.er_base + 16ull * x->s.er_at != (to & ~15ull))
		x->s.ip_pending = true;
	run_all(x);
}

static void write_run(struct xhci *x, uint64_t off, uint32_t v)
{
	switch (off) {
	case 0x20:
		x->s.iman = (x->s.iman & ~(v & IMAN_IP) & ~(uint32_t)IMAN_IE) | (v & IMAN_IE);
		break;
	case 0x24: x->s.imod = v; break;
	case 0x28: x->s.erstsz = MIN(v & 0xffff, 1u << ERST_MAX); break;
	case 0x30:
		x->s.erstba = (x->s.erstba & ~0xffffffffull) | (v & ~63u);
		start_events(x);
		break;
	case 0x34:
		x->s.erstba = (x->s.erstba & 0xffffffff) | (uint64_t)v << 32;
		start_events(x);
		break;
	case 0x38: write_erdp(x, (x->s.erdp & ~0xffffffffull) | (v & ~8u), v & ERDP_EHB); break;
	case 0x3c: write_erdp(x, (x->s.erdp & 0xfffffff7) | (uint64_t)v << 32, false); break;
	}
}

static void mmio_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct xhci *x = ctx;
	uint32_t v = (uint32_t)val;

	(void)size;
	if (off >= PORT_AT && off < PORT_AT + 16 * XHCI_PORTS) {
		unsigned i = (unsigned)(off - PORT_AT) / 16;

		if ((off & 15) == 0)
			write_portsc(x, i, v);
		else if ((off & 15) == 4)
			x->s.portpmsc[i] = v & (i < XHCI_PORTS2 ? 0x1fff0 : 0x1ffff);
		else if ((off & 15) == 12)
			x->s.porthlpmc[i] = i < XHCI_PORTS2 ? v & 0x3fff : 0;
		run_all(x);
	} else if (off >= OP_AT && off < PORT_AT) {
		write_op(x, off - OP_AT, v);
	} else if (off >= RUN_AT && off < RUN_AT + 0x40) {
		write_run(x, off - RUN_AT, v);
	} else if (off >= BELL_AT && off <= BELL_AT + 4 * XHCI_SLOTS) {
		doorbell(x, (unsigned)(off - BELL_AT) / 4, v);
	} else if (off >= MSIX_AT && off < MSIX_AT + 16) {
		pci_msix_table_write(&x->f, (uint32_t)(off - MSIX_AT), v);
	}
	update_irq(x);
}

/* ------------------------------------------------------------------ life cycle */

static int add_function(struct xhci *x, struct error *err)
{
	static const struct pci_ids ids = {.vendor = 0x1b36,
					   .device = 0x000d,
					   .subsystem_vendor = 0x1af4,
					   .subsystem = 0x1100,
					   .revision = 1,
					   .cls = 0x0c03,
					   .prog_if = 0x30,
					   .interrupt_pin = 1};
	int r;

	pci_func_init(&x->f, &x->dev, &x->s.pci, &ids);
	x->mmio = (struct bus_region){.name = "xhci",
				      .size = BAR_SIZE,
				      .valid = WIDTH_ANY,
				      .impl = WIDTH_4,
				      .read = mmio_read,
				      .write = mmio_write,
				      .ctx = x};
	pci_bar_add(&x->f, 0, PCI_BAR_MEM64, &x->mmio);
	pci_config_def(&x->f, 0x60, 2, 0x2030, 0x3f00); /* SBRN: USB 3.0; FLADJ */
	x->f.cap_end = 0x70;
	r = pci_msi_init(&x->f);
	if (r == 0)
		r = pci_msix_init(&x->f, &x->s.msix, 1, 0, MSIX_AT, PBA_AT);
	if (r < 0)
		return error_set(err, r, "'%s': no room for capabilities", x->dev.id);
	if (!x->devfn) {
		r = pci_bus_free_slot(x->bus, 2);
		if (r < 0)
			return error_set(err, r, "no free PCI slot for '%s'", x->dev.id);
		x->devfn = PCI_DEVFN((unsigned)r, 0);
	}
	return pci_func_add(&x->f, x->bus, x->devfn, err);
}

static void plug(struct xhci *x, unsigned port, struct usb_dev *u)
{
	u->wake = on_wake;
	u->wake_ctx = x;
	x->port[port] = u;
}

void xhci_plug(struct xhci *x, unsigned i, struct usb_dev *u)
{
	if (u) {
		plug(x, i, u);
		port_power_on(x, i);
	} else if (x->port[i]) {
		x->port[i]->wake = NULL;
		x->port[i] = NULL;
		x->s.portsc[i] &= ~(uint32_t)(PORT_CCS | PORT_PED | PORT_PR | PORT_SPEED);
		set_pls(x, i, PLS_DETECT);
		port_change(x, i, PORT_CSC);
	}
	run_all(x);
}

static int xhci_realize(struct dev *d, struct error *err)
{
	struct xhci *x = to_xhci(d);
	int r;

	vtimer_init(&x->irq_timer, d->sv->clock, on_irq_timer, x);
	vtimer_init(&x->run_timer, d->sv->clock, on_run_timer, x);
	if (!x->bus)
		return error_set(err, -EINVAL, "'%s': wire 'bus' before realizing", d->id);
	for (unsigned i = 0; i < 2; i++) {
		usb_hid_init(&x->hid[i], &x->s.hid[i], i == 1, USB_FULL);
		if (x->hid_present)
			plug(x, i, &x->hid[i].dev);
	}
	for (unsigned i = 0; i < XHCI_DISKS; i++)
		if (x->disk[i])
			plug(x, XHCI_PORTS2 + i, &x->disk[i]->dev);
	r = add_function(x, err);
	for (unsigned i = 0; i < 2 && r == 0 && x->display && x->hid_present; i++)
		usb_hid_attach(&x->hid[i], x->display, &x->input[i]);
	return r;
}

static void xhci_unrealize(struct dev *d)
{
	struct xhci *x = to_xhci(d);

	for (unsigned i = 0; i < 2; i++)
		usb_hid_detach(x->display, &x->input[i]);
	for (unsigned i = 0; i < XHCI_PORTS; i++)
		if (x->port[i])
			x->port[i]->wake = NULL;
	if (x->run_timer.clock) {
		vtimer_cancel(&x->irq_timer);
		vtimer_cancel(&x->run_timer);
	}
	pci_func_done(&x->f);
}

static void xhci_reset(struct dev *d, enum dev_reset kind)
{
	struct xhci *x = to_xhci(d);

	pci_func_reset(&x->f, kind);
	for (unsigned i = 0; i < 2; i++)
		usb_reset(&x->hid[i].dev);
	host_reset(x);
}

static int xhci_quiesce(struct dev *d)
{
	to_xhci(d)->stopped = true;
	return 0;
}

static void xhci_resume(struct dev *d)
{
	to_xhci(d)->stopped = false;
	run_all(to_xhci(d));
}

static int xhci_loaded(struct dev *d, struct error *err)
{
	struct xhci *x = to_xhci(d);
	ns_t now = clock_now(d->sv->clock);
	int r = pci_func_loaded(&x->f, err);

	for (unsigned i = 0; i < 2 && r == 0; i++)
		r = usb_hid_loaded(&x->hid[i], err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < XHCI_PORTS; i++)
		if ((x->s.portsc[i] & PORT_PED) && !x->port[i])
			return error_set(err, -EINVAL, "port %u is enabled, and empty", i + 1);
	if (x->s.er_size && (x->s.er_size < 16 || x->s.er_at >= x->s.er_size))
		return error_set(err, -EINVAL, "event ring: TRB %u of %u", x->s.er_at,
				 x->s.er_size);
	x->s.irq_after = MIN(x->s.irq_after, now + NS_PER_SEC);
	if (x->s.ip_pending)
		vtimer_arm(&x->irq_timer, x->s.irq_after);
	vtimer_arm(&x->run_timer, now);
	return 0;
}

/* clang-format off */
static const struct state_field endpoint_fields[] = {
	STATE_VAL(struct xhci_endpoint, deq),
	STATE_VAL(struct xhci_endpoint, done),
	STATE_VAL(struct xhci_endpoint, total),
	STATE_VAL(struct xhci_endpoint, packet),
	STATE_VAL(struct xhci_endpoint, state, .max = EP_STATES - 1),
	STATE_VAL(struct xhci_endpoint, type, .max = 7),
	STATE_VAL(struct xhci_endpoint, ccs),
	STATE_VAL(struct xhci_endpoint, running),
	STATE_VAL(struct xhci_endpoint, code),
	STATE_PAD(struct xhci_endpoint, pad_),
	STATE_END};

static const struct state_field slot_fields[] = {
	STATE_VAL(struct xhci_slot, context),
	STATE_VAL(struct xhci_slot, state, .max = SLOT_CONFIGURED),
	STATE_VAL(struct xhci_slot, port, .max = XHCI_PORTS),
	STATE_PAD(struct xhci_slot, pad_),
	STATE_STRUCTS(struct xhci_slot, ep, endpoint_fields),
	STATE_END};

static const struct state_field xhci_fields[] = {
	STATE_STRUCT(struct xhci_regs, pci, pci_regs_fields),
	STATE_STRUCT(struct xhci_regs, msix, pci_msix_regs_fields),
	STATE_VAL(struct xhci_regs, crcr),
	STATE_VAL(struct xhci_regs, dcbaap),
	STATE_VAL(struct xhci_regs, erstba),
	STATE_VAL(struct xhci_regs, erdp),
	STATE_VAL(struct xhci_regs, irq_after),
	STATE_VAL(struct xhci_regs, er_base),
	STATE_VAL(struct xhci_regs, usbcmd),
	STATE_VAL(struct xhci_regs, usbsts),
	STATE_VAL(struct xhci_regs, dnctrl),
	STATE_VAL(struct xhci_regs, config),
	STATE_VAL(struct xhci_regs, iman, .max = IMAN_IP | IMAN_IE),
	STATE_VAL(struct xhci_regs, imod),
	STATE_VAL(struct xhci_regs, erstsz, .max = 1 << ERST_MAX),
	STATE_VAL(struct xhci_regs, er_size, .max = 4096),
	STATE_VAL(struct xhci_regs, er_at, .max = 4095),
	STATE_VAL(struct xhci_regs, er_seg, .max = 1 << ERST_MAX),
	STATE_ARRAY(struct xhci_regs, portsc),
	STATE_ARRAY(struct xhci_regs, portpmsc),
	STATE_ARRAY(struct xhci_regs, porthlpmc),
	STATE_VAL(struct xhci_regs, port_events),
	STATE_VAL(struct xhci_regs, er_cycle),
	STATE_VAL(struct xhci_regs, cmd_ccs),
	STATE_VAL(struct xhci_regs, cmd_running),
	STATE_VAL(struct xhci_regs, ip_pending),
	STATE_STRUCTS(struct xhci_regs, slot, slot_fields),
	STATE_STRUCTS(struct xhci_regs, hid, usb_hid_fields),
	STATE_END};

static const struct state_desc xhci_state = STATE_DESC("xhci", 1, struct xhci_regs, xhci_fields);
/* clang-format on */

const struct dev_class xhci_class = {
	.name = "xhci",
	.summary = "USB 3 controller with keyboard, tablet and disks",
	.spec = "eXtensible Host Controller Interface for USB, revision 1.1",
	.size = sizeof(struct xhci),
	.regs_offset = offsetof(struct xhci, s),
	.state = &xhci_state,
	.realize = xhci_realize,
	.unrealize = xhci_unrealize,
	.reset = xhci_reset,
	.quiesce = xhci_quiesce,
	.resume = xhci_resume,
	.loaded = xhci_loaded,
};
