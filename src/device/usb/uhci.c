/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Universal Host Controller, as the Intel 82371SB (PIIX3) has it as a PCI function of its own, with
 * a keyboard on port 1 and a tablet on port 2 at first. Universal Host Controller Interface Design
 * Guide, revision 1.1 ("UHCI"); PIIX3 data sheet 290550-002, chapter 2.4.
 *
 *   00h USBCMD · 02h USBSTS · 04h USBINTR · 06h FRNUM · 08h FLBASEADD · 0ch SOFMOD · 10h PORTSC1 ·
 *   12h PORTSC2 · configuration 60h SBRN, c0h LEGSUP
 *
 * The schedule is in guest memory: a list of 1024 frames, each pointing to queue heads and transfer
 * descriptors. A frame is walked when its millisecond is over; a timer wakes every four frames and
 * walks those that are due, so that an idle guest costs 250 wake-ups a second while the controller
 * runs. When the host was late, frames are left out. A walk touches at most LINKS_MAX links, and
 * ends at a queue seen before without progress since (drivers close the list to a ring).
 *
 * UNMODELLED: isochronous transfers (no device here has any: they fail), resume and wakeup signals,
 * legacy support (LEGSUP holds what is written), global suspend, bandwidth.
 */
#include "device/usb/uhci.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"

enum {
	R_CMD = 0x00,
	R_STS = 0x02,
	R_INTR = 0x04,
	R_FRNUM = 0x06,
	R_FLBASE = 0x08,
	R_SOFMOD = 0x0c,
	R_PORT = 0x10,
	IO_SIZE = 0x20,
	CMD_RS = 0x01,
	CMD_HCRESET = 0x02,
	CMD_GRESET = 0x04,
	CMD_MASK = 0xff,
	STS_INT = 0x01,
	STS_ERROR = 0x02,
	STS_PROCESS = 0x10,
	STS_HALTED = 0x20,
	STS_MASK = 0x3f,
	INTR_TIMEOUT = 0x01, /* and CRC */
	INTR_IOC = 0x04,
	INTR_SHORT = 0x08,
	INTR_MASK = 0x0f,
	PORT_CONNECT = 0x0001,
	PORT_CONNECT_CHANGE = 0x0002,
	PORT_ENABLE = 0x0004,
	PORT_ENABLE_CHANGE = 0x0008,
	PORT_LINE = 0x0010, /* D+ high: full speed, idle */
	PORT_ALWAYS = 0x0080,
	PORT_RESET = 0x0200,
	PORT_SUSPEND = 0x1000,
	PORT_RW = PORT_ENABLE | PORT_RESET | PORT_SUSPEND | 0x0040,
	PORT_STATE = PORT_CONNECT | PORT_CONNECT_CHANGE | PORT_ENABLE_CHANGE | PORT_RW,
	SOFMOD_RESET = 0x40,
	LEGSUP = 0xc0,
};

/* Links and transfer descriptors (UHCI, 3). */
enum {
	LINK_T = 1,
	LINK_Q = 2,
	LINK_VF = 4,
	TD_ACTLEN = 0x7ff,
	TD_CRC = 1 << 18,
	TD_NAK = 1 << 19,
	TD_BABBLE = 1 << 20,
	TD_BUFFER = 1 << 21,
	TD_STALLED = 1 << 22,
	TD_ACTIVE = 1 << 23,
	TD_IOC = 1 << 24,
	TD_SPD = 1 << 29,
	LINKS_MAX = 256,
	PACKET_MAX = 1280, /* UHCI, 3.2.3: lengths above 4FFh are illegal */
	FRAMES_A_TICK = 4,
	FRAMES_LATE = 32, /* walked at once when the host was late; older ones are left out */
};
#define FRAME_NS NS_PER_MS

static struct uhci *to_uhci(struct dev *d)
{
	return CONTAINER_OF(d, struct uhci, dev);
}

static void update_irq(struct uhci *u)
{
	bool level = ((u->s.sts & STS_INT) && (u->s.intr & (INTR_IOC | INTR_SHORT))) ||
		     ((u->s.sts & STS_ERROR) && (u->s.intr & INTR_TIMEOUT)) ||
		     (u->s.sts & STS_PROCESS);

	pci_intx_set(&u->f, level);
}

/* ------------------------------------------------------------------ schedule */

/* What one frame's walk found. */
struct walk {
	struct uhci *u;
	uint16_t sts; /* to be set at the end of the frame */
	bool bad;     /* the schedule is not in RAM */
};

static uint32_t load(struct walk *w, uint32_t gpa)
{
	uint8_t b[4];

	if (dma_read(&w->u->dev, gpa, b, 4) < 0) {
		w->bad = true;
		return LINK_T;
	}
	return ld_le32(b);
}

static void store(struct walk *w, uint32_t gpa, uint32_t val)
{
	uint8_t b[4];

	st_le32(b, val);
	if (dma_write(&w->u->dev, gpa, b, 4) < 0)
		w->bad = true;
}

/* The device that has @address on an enabled port; NULL: nobody answers. */
static struct usb_dev *find_device(struct uhci *u, unsigned address)
{
	for (unsigned i = 0; i < UHCI_PORTS; i++)
		if (u->port[i] && (u->s.port[i] & PORT_ENABLE) &&
		    !(u->s.port[i] & (PORT_RESET | PORT_SUSPEND)) &&
		    u->port[i]->ctl->address == address)
			return u->port[i];
	return NULL;
}

/* One transaction; fills in the status bits of @ctrl. Return: may the queue go on to the next? */
static bool transact(struct walk *w, uint32_t *ctrl, uint32_t token, uint32_t buffer)
{
	struct usb_dev *dev = find_device(w->u, token >> 8 & 0x7f);
	unsigned pid = token & 0xff, want = ((token >> 21) + 1) & TD_ACTLEN;
	uint8_t buf[PACKET_MAX];
	int n = USB_STALL;

	if (want > PACKET_MAX ||
	    (pid != USB_PID_IN && pid != USB_PID_OUT && pid != USB_PID_SETUP)) {
		guest_error(&w->u->dev, "transfer descriptor with token %#x", token);
		w->bad = true; /* UHCI, 2.1.2: consistency check: process error */
		return false;
	}
	if (!dev) {
		*ctrl = (*ctrl & ~(uint32_t)TD_ACTIVE) | TD_STALLED | TD_CRC;
		w->sts |= STS_ERROR;
		return false;
	}
	if (pid != USB_PID_IN && want && dma_read(&w->u->dev, buffer, buf, want) < 0) {
		*ctrl = (*ctrl & ~(uint32_t)TD_ACTIVE) | TD_STALLED | TD_BUFFER;
		w->sts |= STS_ERROR;
		return false;
	}
	n = usb_packet(dev, pid, token >> 15 & 15, buf, want);
	if (n == USB_NAK) {
		*ctrl |= TD_NAK;
		return false;
	}
	if (n >= 0 && pid == USB_PID_IN && n && dma_write(&w->u->dev, buffer, buf, (size_t)n) < 0) {
		*ctrl = (*ctrl & ~(uint32_t)TD_ACTIVE) | TD_STALLED | TD_BUFFER;
		w->sts |= STS_ERROR;
		return false;
	}
	*ctrl &= ~(uint32_t)(TD_ACTIVE | TD_ACTLEN | TD_NAK);
	if (n < 0) {
		*ctrl |= TD_STALLED;
		w->sts |= STS_ERROR;
		return false;
	}
	*ctrl |= (uint32_t)(n - 1) & TD_ACTLEN;
	if (pid == USB_PID_IN && (unsigned)n < want && (*ctrl & TD_SPD)) {
		if (w->u->s.intr & INTR_SHORT)
			w->sts |= STS_INT;
		return false; /* UHCI, 3.2.2: the queue stays where it is */
	}
	return true;
}

/* Run the descriptor at @td. Return: done, go on with *ret_link. */
static bool run_td(struct walk *w, uint32_t td, uint32_t *ret_link)
{
	uint32_t ctrl = load(w, td + 4), old = ctrl;
	bool on;

	*ret_link = load(w, td);
	if (w->bad || !(ctrl & TD_ACTIVE))
		return false;
	on = transact(w, &ctrl, load(w, td + 8), load(w, td + 12));
	if (w->bad)
		return false;
	if (ctrl != old)
		store(w, td + 4, ctrl);
	if ((ctrl & TD_IOC) && !(ctrl & TD_ACTIVE))
		w->sts |= STS_INT;
	return on;
}

static void run_frame(struct uhci *u)
{
	struct walk w = {.u = u};
	uint32_t link = load(&w, u->s.flbase + 4 * (u->s.frnum & 1023)), mark = LINK_T, next;

	for (unsigned n = 0; n < LINKS_MAX && !(link & LINK_T) && !w.bad; n++) {
		uint32_t at = link & ~15u, self = link, element;

		if (!(link & LINK_Q)) {
			run_td(&w, at, &link);
			continue;
		}
		if (link == mark)
			break; /* once round without progress */
		element = load(&w, at + 4);
		if (mark & LINK_T)
			mark = link;
		link = load(&w, at);
		if (element & LINK_T)
			continue;
		if (element & LINK_Q) {
			link = element;
			continue;
		}
		if (run_td(&w, element & ~15u, &next)) {
			store(&w, at + 4, next);
			mark = LINK_T;
			if ((next & LINK_VF) && !(next & LINK_T))
				link = self; /* depth first: the queue's next one now */
		}
	}
	u->s.sts |= w.sts;
	if (w.bad) {
		u->s.sts |= STS_PROCESS | STS_HALTED;
		u->s.cmd &= (uint16_t)~CMD_RS;
	}
}

/* Walk the frames that are over. */
static void catch_up(struct uhci *u)
{
	ns_t now = clock_now(u->dev.sv->clock);
	uint64_t due;

	if (!(u->s.cmd & CMD_RS) || now < u->s.frame_ns)
		return;
	due = (now - u->s.frame_ns) / FRAME_NS;
	if (due > FRAMES_LATE) {
		u->s.frnum = (uint16_t)((u->s.frnum + due - FRAMES_LATE) & 0x7ff);
		u->s.frame_ns += (due - FRAMES_LATE) * FRAME_NS;
		due = FRAMES_LATE;
	}
	while (due-- && (u->s.cmd & CMD_RS)) {
		if (pci_bus_master(&u->f))
			run_frame(u);
		u->s.frnum = (u->s.frnum + 1) & 0x7ff;
		u->s.frame_ns += FRAME_NS;
	}
	if (!(u->s.cmd & CMD_RS))
		u->s.frame_ns = 0;
	update_irq(u);
}

static void arm(struct uhci *u)
{
	if (u->s.cmd & CMD_RS)
		vtimer_arm(&u->timer, u->s.frame_ns + FRAMES_A_TICK * FRAME_NS);
	else
		vtimer_cancel(&u->timer);
}

static void on_timer(void *ctx)
{
	struct uhci *u = ctx;

	catch_up(u);
	arm(u);
}

/* ------------------------------------------------------------------ registers */

static void port_power_on(struct uhci *u, unsigned i)
{
	u->s.port[i] = 0;
	if (!u->port[i])
		return;
	usb_reset(u->port[i]);
	u->s.port[i] = PORT_CONNECT | PORT_CONNECT_CHANGE;
}

void uhci_plug(struct uhci *u, unsigned i, struct usb_dev *dev)
{
	u->port[i] = dev;
	if (dev)
		port_power_on(u, i);
	else /* UHCI, 2.1.7: disabled when the device goes */
		u->s.port[i] =
			PORT_CONNECT_CHANGE | (u->s.port[i] & PORT_ENABLE ? PORT_ENABLE_CHANGE : 0);
}

static void host_reset(struct uhci *u)
{
	u->s.cmd = 0;
	u->s.sts = STS_HALTED;
	u->s.intr = u->s.frnum = 0;
	u->s.flbase = 0;
	u->s.frame_ns = 0;
	u->s.sofmod = SOFMOD_RESET;
	for (unsigned i = 0; i < UHCI_PORTS; i++) {
		port_power_on(u, i);
	}
	arm(u);
	update_irq(u);
}

static void write_cmd(struct uhci *u, uint16_t val)
{
	bool was = u->s.cmd & CMD_RS;

	if (val & CMD_HCRESET) {
		host_reset(u);
		return;
	}
	for (unsigned i = 0; i < UHCI_PORTS && (val & CMD_GRESET); i++) {
		if (u->port[i])
			usb_reset(u->port[i]);
		u->s.port[i] &= (uint16_t)~PORT_ENABLE;
	}
	u->s.cmd = val & CMD_MASK;
	if (val & CMD_RS) {
		u->s.sts &= (uint16_t)~STS_HALTED;
		if (!was)
			u->s.frame_ns = clock_now(u->dev.sv->clock);
	} else {
		u->s.sts |= STS_HALTED;
		u->s.frame_ns = 0;
	}
	arm(u);
}

static void write_port(struct uhci *u, unsigned n, uint16_t val)
{
	uint16_t old = u->s.port[n], now;

	now = (uint16_t)((old & ~PORT_RW) | (val & PORT_RW));
	now &= (uint16_t) ~(val & (PORT_CONNECT_CHANGE | PORT_ENABLE_CHANGE));
	if (val & PORT_RESET) {
		now &= (uint16_t)~PORT_ENABLE;
		if (u->port[n])
			usb_reset(u->port[n]);
	}
	/* UHCI, 2.1.7: an empty port can't be enabled */
	u->s.port[n] = u->port[n] ? now : (uint16_t)(now & ~PORT_ENABLE);
}

static uint64_t io_read(void *ctx, uint64_t off, unsigned size)
{
	struct uhci *u = ctx;

	catch_up(u);
	switch (off) {
	case R_CMD: return u->s.cmd;
	case R_STS: return u->s.sts;
	case R_INTR: return u->s.intr;
	case R_FRNUM: return u->s.frnum;
	case R_FLBASE: return u->s.flbase & 0xffff;
	case R_FLBASE + 2: return u->s.flbase >> 16;
	case R_SOFMOD: return u->s.sofmod;
	case R_PORT:
	case R_PORT + 2:
		return u->s.port[off / 2 & 1] | PORT_ALWAYS |
		       (u->port[off / 2 & 1] ? PORT_LINE : 0);
	/* UHCI, 2.1.7: beyond the last port bit 7 reads 0, which is how drivers count. */
	default: return 0;
	}
}

static void io_write(void *ctx, uint64_t off, unsigned size, uint64_t v)
{
	struct uhci *u = ctx;
	uint16_t val = (uint16_t)v;

	catch_up(u);
	switch (off) {
	case R_CMD: write_cmd(u, val); break;
	case R_STS: u->s.sts &= (uint16_t) ~(val & 0x1f); break;
	case R_INTR: u->s.intr = val & INTR_MASK; break;
	case R_FRNUM:
		if (!(u->s.cmd & CMD_RS))
			u->s.frnum = val & 0x7ff;
		break;
	case R_FLBASE: u->s.flbase = (u->s.flbase & 0xffff0000) | (val & 0xf000); break;
	case R_FLBASE + 2: u->s.flbase = (u->s.flbase & 0xffff) | (uint32_t)val << 16; break;
	case R_SOFMOD: u->s.sofmod = val & 0x7f; break;
	case R_PORT:
	case R_PORT + 2: write_port(u, off / 2 & 1, val); break;
	}
	update_irq(u);
}

/* ------------------------------------------------------------------ life cycle */

static int uhci_realize(struct dev *d, struct error *err)
{
	static const struct pci_ids ids = {.vendor = 0x8086,
					   .device = 0x7020,
					   .subsystem_vendor = 0x1af4,
					   .subsystem = 0x1100,
					   .revision = 1,
					   .cls = 0x0c03,
					   .interrupt_pin = 4};
	struct uhci *u = to_uhci(d);
	int r;

	vtimer_init(&u->timer, d->sv->clock, on_timer, u);
	for (unsigned i = 0; i < UHCI_PORTS; i++) {
		usb_hid_init(&u->hid[i], &u->s.hid[i], i == 1, USB_FULL);
		u->port[i] = &u->hid[i].dev;
	}
	if (!u->bus)
		return error_set(err, -EINVAL, "'%s': wire 'bus' before realizing", d->id);
	pci_func_init(&u->f, d, &u->s.pci, &ids);
	u->io = (struct bus_region){.name = "uhci",
				    .size = IO_SIZE,
				    .valid = WIDTH_124,
				    .impl = WIDTH_2,
				    .read = io_read,
				    .write = io_write,
				    .ctx = u};
	pci_bar_add(&u->f, 4, PCI_BAR_IO, &u->io);
	pci_config_def(&u->f, 0x60, 1, 0x10, 0); /* SBRN: USB 1.0 */
	pci_config_def(&u->f, LEGSUP, 2, 0x2000, 0xbfff);
	if (!u->devfn) {
		r = pci_bus_free_slot(u->bus, 2);
		if (r < 0)
			return error_set(err, r, "no free PCI slot for '%s'", d->id);
		u->devfn = PCI_DEVFN((unsigned)r, 0);
	}
	r = pci_func_add(&u->f, u->bus, u->devfn, err);
	for (unsigned i = 0; i < UHCI_PORTS && r == 0 && u->display; i++)
		usb_hid_attach(&u->hid[i], u->display, &u->input[i]);
	return r;
}

static void uhci_unrealize(struct dev *d)
{
	struct uhci *u = to_uhci(d);

	for (unsigned i = 0; i < UHCI_PORTS; i++)
		usb_hid_detach(u->display, &u->input[i]);
	if (u->timer.clock)
		vtimer_cancel(&u->timer);
	pci_func_done(&u->f);
}

static void uhci_reset(struct dev *d, enum dev_reset kind)
{
	struct uhci *u = to_uhci(d);

	pci_func_reset(&u->f, kind);
	for (unsigned i = 0; i < UHCI_PORTS; i++)
		usb_reset(&u->hid[i].dev);
	host_reset(u);
}

static int uhci_loaded(struct dev *d, struct error *err)
{
	struct uhci *u = to_uhci(d);
	ns_t now = clock_now(d->sv->clock);
	int r = pci_func_loaded(&u->f, err);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < UHCI_PORTS; i++) {
		u->s.port[i] &=
			PORT_STATE & ~(unsigned)(u->port[i] ? 0 : PORT_CONNECT | PORT_ENABLE);
		u->s.port[i] |= u->port[i] ? PORT_CONNECT : 0;
		r = usb_hid_loaded(&u->hid[i], err);
		if (r < 0)
			return r;
	}
	u->s.flbase &= ~0xfffu;
	u->s.frame_ns = u->s.cmd & CMD_RS ? MIN(u->s.frame_ns, now) : 0;
	arm(u);
	return 0;
}

/* clang-format off */
static const struct state_field uhci_fields[] = {
	STATE_STRUCT(struct uhci_regs, pci, pci_regs_fields),
	STATE_STRUCTS(struct uhci_regs, hid, usb_hid_fields),
	STATE_VAL(struct uhci_regs, frame_ns),
	STATE_VAL(struct uhci_regs, flbase),
	STATE_VAL(struct uhci_regs, cmd, .max = CMD_MASK),
	STATE_VAL(struct uhci_regs, sts, .max = STS_MASK),
	STATE_VAL(struct uhci_regs, intr, .max = INTR_MASK),
	STATE_VAL(struct uhci_regs, frnum, .max = 0x7ff),
	STATE_ARRAY(struct uhci_regs, port),
	STATE_VAL(struct uhci_regs, sofmod, .max = 0x7f),
	STATE_PAD(struct uhci_regs, pad_),
	STATE_END};

static const struct state_desc uhci_state = STATE_DESC("uhci", 2, struct uhci_regs, uhci_fields);
/* clang-format on */

const struct dev_class uhci_class = {
	.name = "uhci",
	.summary = "USB 1.1 controller with keyboard and tablet",
	.spec = "Universal Host Controller Interface Design Guide 1.1; HID 1.11",
	.size = sizeof(struct uhci),
	.regs_offset = offsetof(struct uhci, s),
	.state = &uhci_state,
	.realize = uhci_realize,
	.unrealize = uhci_unrealize,
	.reset = uhci_reset,
	.loaded = uhci_loaded,
};
