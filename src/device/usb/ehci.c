/* SPDX-License-Identifier: Apache-2.0 */
/*
 * USB 2 host controller: Enhanced Host Controller Interface Specification for Universal Serial Bus,
 * revision 1.0 ("EHCI"). It has no companion controllers: everything in its ports is of high speed.
 *
 *   BAR 0: 00h capabilities · 20h USBCMD · 24h USBSTS · 28h USBINTR · 2ch FRINDEX ·
 *   34h PERIODICLISTBASE · 38h ASYNCLISTADDR · 60h CONFIGFLAG · 64h PORTSC
 *
 * The schedules are in guest memory and have no doorbell. While one is switched on a timer walks
 * it: the frames that went by, and the ring of queue heads; soon again after there was something to
 * do, else once a millisecond, or every four with the periodic schedule alone. A walk is bounded by
 * queue heads, transfer descriptors and bytes. A device that answered NAK calls when it has more.
 *
 * UNMODELLED: isochronous and split transactions (no device here has any), suspend but for its
 * bits, port ownership, frame lists of other than 1024, 64-bit data structures, data toggle errors.
 */
#include "device/usb/ehci.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"

enum {
	BAR_SIZE = 0x400,
	OP_AT = 0x20,
	R_CMD = 0x20,
	R_STS = 0x24,
	R_INTR = 0x28,
	R_FRINDEX = 0x2c,
	R_PERIODIC = 0x34,
	R_ASYNC = 0x38,
	R_CONFIG = 0x60,
	R_PORT = 0x64,
	CMD_RS = 0x01,
	CMD_RESET = 0x02,
	CMD_PSE = 0x10,
	CMD_ASE = 0x20,
	CMD_IAAD = 0x40,
	CMD_MASK = 0xff0031,
	CMD_INIT = 0x080000,
	STS_INT = 0x01,
	STS_ERR = 0x02,
	STS_PORT = 0x04,
	STS_IAA = 0x20,
	STS_W1C = 0x3f,
	STS_HALTED = 0x1000,
	STS_PSS = 0x4000,
	STS_ASS = 0x8000,
	PORT_CCS = 0x0001,
	PORT_CSC = 0x0002,
	PORT_PED = 0x0004,
	PORT_PEDC = 0x0008,
	PORT_RESUME = 0x0040,
	PORT_SUSPEND = 0x0080,
	PORT_RESET = 0x0100,
	PORT_PP = 0x1000,
	PORT_KEEP = 0x70c000, /* indicators, wake enables */
	PORT_MASK = 0x70d1cf,
};
/* Links, queue heads, transfer descriptors (EHCI, 3). */
enum {
	LINK_T = 1,
	LINK_TYPE = 6,
	LINK_QH = 2,
	QH_BYTES = 48,
	QTD_BYTES = 32,
	QH_H = 1 << 15,
	TOKEN_XACT = 1 << 3,
	TOKEN_BUFFER = 1 << 5,
	TOKEN_HALTED = 1 << 6,
	TOKEN_ACTIVE = 1 << 7,
	TOKEN_IOC = 1 << 15,
	PID_OUT = 0,
	PID_IN = 1,
	PID_SETUP = 2,
	PACKET_MAX = 1024,
	QTD_MAX = 20480, /* five pages */
	QH_WALK = 64,    /* queue heads in one walk */
	QTD_WALK = 64,   /* descriptors of one queue in one walk */
	BYTES_WALK = 256 * 1024,
	FRAMES_LATE = 32, /* older ones are left out */
};
#define UFRAME_NS 125000ull

static struct ehci *to_ehci(struct dev *d)
{
	return CONTAINER_OF(d, struct ehci, dev);
}

static void update_irq(struct ehci *e)
{
	pci_intx_set(&e->f, e->s.sts & e->s.intr & STS_W1C);
}

static uint32_t frindex(const struct ehci *e)
{
	uint64_t n = 0;

	if (e->s.cmd & CMD_RS)
		n = (clock_now(e->dev.sv->clock) - e->s.base_ns) / UFRAME_NS;
	return (uint32_t)(e->s.frindex + n) & 0x3fff;
}

/* ------------------------------------------------------------------ queues */

/* One walk over the schedules. */
struct walk {
	struct ehci *e;
	uint32_t sts;   /* to be set */
	uint32_t bytes; /* moved */
	bool progress;
};

/* A queue head, copied in: its dwords (EHCI, figure 3-7). */
struct qh {
	uint32_t at, link, chars, caps, current, next, alt, token, buf[5];
};

static bool load_qh(struct ehci *e, uint32_t at, struct qh *q)
{
	uint8_t b[QH_BYTES];
	uint32_t *w = &q->link;

	if (dma_read(&e->dev, at, b, sizeof(b)) < 0)
		return false;
	q->at = at;
	for (unsigned i = 0; i < QH_BYTES / 4; i++)
		w[i] = ld_le32(b + 4 * i);
	return true;
}

/* The overlay, back to where it came from. */
static bool store_qh(struct ehci *e, const struct qh *q)
{
	const uint32_t *w = &q->current;
	uint8_t b[QH_BYTES - 12];

	for (unsigned i = 0; i < sizeof(b) / 4; i++)
		st_le32(b + 4 * i, w[i]);
	return dma_write(&e->dev, q->at + 12, b, sizeof(b)) == 0;
}

/* The next descriptor into the overlay (EHCI, 4.10.2). False: there is none. */
static bool advance(struct ehci *e, struct qh *q)
{
	bool is_short = q->token >> 16 & 0x7fff;
	uint32_t to = is_short && !(q->alt & LINK_T) ? q->alt : q->next;
	uint8_t b[QTD_BYTES];
	uint32_t token;

	if ((to & LINK_T) || dma_read(&e->dev, to & ~31u, b, sizeof(b)) < 0)
		return false;
	token = ld_le32(b + 8);
	if (!(token & TOKEN_ACTIVE))
		return false;
	q->current = to & ~31u;
	q->next = ld_le32(b);
	q->alt = ld_le32(b + 4);
	q->token = token;
	for (unsigned i = 0; i < 5; i++)
		q->buf[i] = ld_le32(b + 12 + 4 * i);
	return store_qh(e, q);
}

static struct usb_dev *find_device(struct ehci *e, unsigned address)
{
	for (unsigned i = 0; i < EHCI_PORTS; i++)
		if (e->port[i] && (e->s.port[i] & PORT_PED) &&
		    !(e->s.port[i] & (PORT_RESET | PORT_SUSPEND)) &&
		    e->port[i]->ctl->address == address)
			return e->port[i];
	return NULL;
}

/* @len bytes between @buf and the descriptor's pages, from its present place on. */
static int copy(struct ehci *e, const struct qh *q, uint8_t *buf, unsigned len, bool to_guest)
{
	unsigned page = q->token >> 12 & 7, off = q->buf[0] & 0xfff;

	while (len) {
		unsigned n = MIN(len, 4096 - off);
		gpa_t at;

		if (page > 4)
			return -1;
		at = (q->buf[page] & ~0xfffu) + off;
		if ((to_guest ? dma_write(&e->dev, at, buf, n) : dma_read(&e->dev, at, buf, n)) < 0)
			return -1;
		buf += n;
		len -= n;
		off = 0;
		page++;
	}
	return 0;
}

/* The descriptor's place moves on by @n bytes. */
static void moved(struct qh *q, unsigned n)
{
	unsigned off = (q->buf[0] & 0xfff) + n, page = (q->token >> 12 & 7) + off / 4096;

	q->buf[0] = (q->buf[0] & ~0xfffu) | (off & 0xfff);
	q->token -= n << 16;
	q->token = (q->token & ~0x7000u) | MIN(page, 7u) << 12;
	q->token ^= 1u << 31;
}

/* It halts with @bits; the driver hears of an error. */
static bool fail(struct walk *w, struct qh *q, uint32_t bits)
{
	q->token = (q->token & ~(uint32_t)TOKEN_ACTIVE) | TOKEN_HALTED | bits;
	w->sts |= STS_ERR | (q->token & TOKEN_IOC ? STS_INT : 0);
	return true;
}

/* Packets of the active descriptor. False: it waits. */
static bool execute(struct walk *w, struct qh *q)
{
	struct usb_dev *u = find_device(w->e, q->chars & 0x7f);
	unsigned pid = q->token >> 8 & 3, packet = q->chars >> 16 & 0x7ff;
	uint8_t buf[PACKET_MAX];

	packet = packet < 8 ? 8 : MIN(packet, (unsigned)PACKET_MAX);
	if (!u || pid > PID_SETUP || (q->token >> 16 & 0x7fff) > QTD_MAX)
		return fail(w, q, TOKEN_XACT);
	do {
		static const uint8_t codes[] = {USB_PID_OUT, USB_PID_IN, USB_PID_SETUP};
		unsigned left = q->token >> 16 & 0x7fff, n = MIN(left, packet);
		int r;

		if (pid != PID_IN && n && copy(w->e, q, buf, n, false) < 0)
			return fail(w, q, TOKEN_BUFFER);
		r = usb_packet(u, codes[pid], q->chars >> 8 & 15, buf, n);
		if (r == USB_NAK)
			return false;
		if (r < 0)
			return fail(w, q, 0);
		if (pid == PID_IN && r && copy(w->e, q, buf, (unsigned)r, true) < 0)
			return fail(w, q, TOKEN_BUFFER);
		moved(q, (unsigned)r);
		w->bytes += (unsigned)r;
		w->progress = true;
		if (pid == PID_IN && (unsigned)r < n) { /* a short packet ends it */
			w->sts |= STS_INT;
			break;
		}
		if ((unsigned)r < n)
			return false;
	} while ((q->token >> 16 & 0x7fff) && w->bytes < BYTES_WALK);
	if ((q->token >> 16 & 0x7fff) && w->bytes >= BYTES_WALK)
		return false;
	q->token &= ~(uint32_t)TOKEN_ACTIVE;
	if (q->token & TOKEN_IOC)
		w->sts |= STS_INT;
	return true;
}

/* Work a queue off. False: its head is not in memory. */
static bool run_queue(struct walk *w, uint32_t at, struct qh *q)
{
	uint8_t token[4];

	if (!load_qh(w->e, at, q))
		return false;
	for (unsigned n = 0; n < QTD_WALK && w->bytes < BYTES_WALK; n++) {
		bool done;

		if (q->token & TOKEN_HALTED)
			return true;
		if (!(q->token & TOKEN_ACTIVE) && !advance(w->e, q))
			return true;
		done = execute(w, q);
		/* the descriptor hears of it when it is over (EHCI, 4.10.4) */
		st_le32(token, q->token);
		if (!store_qh(w->e, q) ||
		    (done && dma_write(&w->e->dev, q->current + 8, token, 4) < 0))
			return true;
		if (!done)
			return true;
		w->progress = true;
	}
	return true;
}

/* The ring of queue heads from ASYNCLISTADDR on (EHCI, 4.8). */
static void run_async(struct walk *w)
{
	uint32_t first = w->e->s.async, at = first;

	for (unsigned n = 0; n < QH_WALK && w->bytes < BYTES_WALK; n++) {
		struct qh q;

		if (!run_queue(w, at, &q) || (q.link & LINK_T) || (q.link & LINK_TYPE) != LINK_QH)
			return;
		at = q.link & ~31u;
		if (at == first)
			return;
	}
}

/* What the frame list has for @frame (EHCI, 4.6). */
static void run_frame(struct walk *w, uint32_t frame)
{
	uint8_t b[4];
	uint32_t link;

	if (dma_read(&w->e->dev, w->e->s.periodic + 4 * (frame & 1023), b, 4) < 0)
		return;
	link = ld_le32(b);
	for (unsigned n = 0; n < QH_WALK && !(link & LINK_T); n++) {
		struct qh q;

		if ((link & LINK_TYPE) == LINK_QH) {
			if (!run_queue(w, link & ~31u, &q))
				return;
			link = q.link;
		} else { /* isochronous: passed by */
			if (dma_read(&w->e->dev, link & ~31u, b, 4) < 0)
				return;
			link = ld_le32(b);
		}
	}
}

static void run_periodic(struct walk *w)
{
	uint32_t now = frindex(w->e) >> 3, due = (now - w->e->s.walked) & 0x7ff;

	if (due > FRAMES_LATE)
		w->e->s.walked = (now - FRAMES_LATE) & 0x7ff;
	while (w->e->s.walked != (now & 0x7ff) && w->bytes < BYTES_WALK) {
		run_frame(w, w->e->s.walked);
		w->e->s.walked = (w->e->s.walked + 1) & 0x7ff;
	}
}

static void arm(struct ehci *e, bool soon)
{
	ns_t now = clock_now(e->dev.sv->clock);
	unsigned frames = e->s.cmd & CMD_ASE ? 8 : 32;

	if ((e->s.cmd & CMD_RS) && (e->s.cmd & (CMD_ASE | CMD_PSE)))
		vtimer_arm(&e->timer, now + (soon ? 1 : frames) * UFRAME_NS);
	else
		vtimer_cancel(&e->timer);
}

static void run(struct ehci *e)
{
	struct walk w = {.e = e};

	if (!(e->s.cmd & CMD_RS) || !pci_bus_master(&e->f) || e->stopped || e->in_run)
		return;
	e->in_run = true;
	if (e->s.cmd & CMD_PSE)
		run_periodic(&w);
	if (e->s.cmd & CMD_ASE)
		run_async(&w);
	e->in_run = false;
	e->s.sts |= w.sts;
	arm(e, w.progress);
	update_irq(e);
}

static void on_timer(void *ctx)
{
	struct ehci *e = ctx;

	run(e);
	if (!vtimer_armed(&e->timer))
		arm(e, false);
}

static void on_wake(void *ctx, struct usb_dev *u)
{
	struct ehci *e = ctx;

	(void)u;
	if (e->in_run)
		return; /* the walk's end arms the timer */
	if (e->s.cmd & CMD_ASE)
		run(e);
}

/* ------------------------------------------------------------------ registers */

static void port_power_on(struct ehci *e, unsigned i)
{
	e->s.port[i] = PORT_PP;
	if (!e->port[i])
		return;
	usb_reset(e->port[i]);
	e->s.port[i] |= PORT_CCS | PORT_CSC;
	e->s.sts |= STS_PORT;
}

static void host_reset(struct ehci *e)
{
	e->s.cmd = CMD_INIT;
	e->s.sts = STS_HALTED;
	e->s.intr = e->s.frindex = e->s.periodic = e->s.async = e->s.configflag = 0;
	e->s.walked = 0;
	e->s.base_ns = 0;
	for (unsigned i = 0; i < EHCI_PORTS; i++)
		port_power_on(e, i);
	arm(e, false);
	update_irq(e);
}

static void write_cmd(struct ehci *e, uint32_t v)
{
	uint32_t was = e->s.cmd;

	if (v & CMD_RESET) {
		host_reset(e);
		return;
	}
	if ((was & CMD_RS) && !(v & CMD_RS))
		e->s.frindex = frindex(e);
	e->s.cmd = v & CMD_MASK;
	if (v & CMD_RS) {
		if (!(was & CMD_RS))
			e->s.base_ns = clock_now(e->dev.sv->clock);
	} else {
		e->s.base_ns = 0;
	}
	/* schedules switch at once */
	e->s.sts &= ~(uint32_t)(STS_HALTED | STS_PSS | STS_ASS);
	e->s.sts |= (v & CMD_RS ? 0 : STS_HALTED) | ((v & CMD_RS) && (v & CMD_PSE) ? STS_PSS : 0) |
		    ((v & CMD_RS) && (v & CMD_ASE) ? STS_ASS : 0);
	if (!(was & CMD_PSE) && (v & CMD_PSE))
		e->s.walked = frindex(e) >> 3 & 0x7ff;
	run(e);
	if (v & CMD_IAAD) /* nothing of the schedule is kept here */
		e->s.sts |= STS_IAA;
	arm(e, true);
}

static void write_port(struct ehci *e, unsigned i, uint32_t v)
{
	uint32_t *p = &e->s.port[i], was = *p;

	*p = (*p & ~(uint32_t)PORT_KEEP) | (v & PORT_KEEP);
	*p &= ~(v & (PORT_CSC | PORT_PEDC));
	if (!(v & PORT_PED))
		*p &= ~(uint32_t)(PORT_PED | PORT_SUSPEND);
	if (v & PORT_RESET) {
		*p = (*p & ~(uint32_t)(PORT_PED | PORT_SUSPEND | PORT_RESUME)) | PORT_RESET;
		if (e->port[i] && !(was & PORT_RESET))
			usb_reset(e->port[i]);
	} else if (was & PORT_RESET) { /* EHCI, 2.3.9: a high-speed device is enabled */
		*p &= ~(uint32_t)PORT_RESET;
		if (e->port[i])
			*p |= PORT_PED;
	} else if ((v & PORT_SUSPEND) && (*p & PORT_PED)) {
		*p |= PORT_SUSPEND;
	}
	if ((v & PORT_RESUME) && (*p & PORT_SUSPEND))
		*p |= PORT_RESUME;
	else if (was & PORT_RESUME)
		*p &= ~(uint32_t)(PORT_RESUME | PORT_SUSPEND);
}

static uint64_t mmio_read(void *ctx, uint64_t off, unsigned size)
{
	struct ehci *e = ctx;

	(void)size;
	switch (off) {
	case 0x00: return 0x01000000 | OP_AT; /* HCIVERSION 1.0, CAPLENGTH */
	case 0x04: return EHCI_PORTS;         /* no companions, no power switches */
	case R_CMD: return e->s.cmd;
	case R_STS: return e->s.sts;
	case R_INTR: return e->s.intr;
	case R_FRINDEX: return frindex(e);
	case R_PERIODIC: return e->s.periodic;
	case R_ASYNC: return e->s.async;
	case R_CONFIG: return e->s.configflag;
	default: break;
	}
	if (off >= R_PORT && off < R_PORT + 4 * EHCI_PORTS)
		return e->s.port[(off - R_PORT) / 4];
	return 0;
}

static void mmio_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct ehci *e = ctx;
	uint32_t v = (uint32_t)val;

	(void)size;
	switch (off) {
	case R_CMD: write_cmd(e, v); break;
	case R_STS: e->s.sts &= ~(v & STS_W1C); break;
	case R_INTR: e->s.intr = v & STS_W1C; break;
	case R_FRINDEX:
		if (!(e->s.cmd & CMD_RS))
			e->s.frindex = v & 0x3fff;
		break;
	case R_PERIODIC: e->s.periodic = v & ~0xfffu; break;
	case R_ASYNC: e->s.async = v & ~31u; break;
	case R_CONFIG: e->s.configflag = v & 1; break;
	default:
		if (off >= R_PORT && off < R_PORT + 4 * EHCI_PORTS)
			write_port(e, (unsigned)(off - R_PORT) / 4, v);
	}
	update_irq(e);
}

/* ------------------------------------------------------------------ life cycle */

static int add_function(struct ehci *e, struct error *err)
{
	static const struct pci_ids ids = {.vendor = 0x8086,
					   .device = 0x24cd,
					   .subsystem_vendor = 0x1af4,
					   .subsystem = 0x1100,
					   .revision = 0x10,
					   .cls = 0x0c03,
					   .prog_if = 0x20,
					   .interrupt_pin = 4};
	int r;

	pci_func_init(&e->f, &e->dev, &e->s.pci, &ids);
	e->mmio = (struct bus_region){.name = "ehci",
				      .size = BAR_SIZE,
				      .valid = WIDTH_ANY,
				      .impl = WIDTH_4,
				      .read = mmio_read,
				      .write = mmio_write,
				      .ctx = e};
	pci_bar_add(&e->f, 0, PCI_BAR_MEM32, &e->mmio);
	pci_config_def(&e->f, 0x60, 2, 0x2020, 0x3f00); /* SBRN: USB 2.0; FLADJ */
	if (!e->devfn) {
		r = pci_bus_free_slot(e->bus, 2);
		if (r < 0)
			return error_set(err, r, "no free PCI slot for '%s'", e->dev.id);
		e->devfn = PCI_DEVFN((unsigned)r, 0);
	}
	return pci_func_add(&e->f, e->bus, e->devfn, err);
}

static void plug(struct ehci *e, unsigned port, struct usb_dev *u)
{
	u->wake = on_wake;
	u->wake_ctx = e;
	e->port[port] = u;
}

void ehci_plug(struct ehci *e, unsigned i, struct usb_dev *u)
{
	if (u) {
		plug(e, i, u);
		port_power_on(e, i);
	} else if (e->port[i]) {
		e->port[i]->wake = NULL;
		e->port[i] = NULL;
		e->s.port[i] = (e->s.port[i] & PORT_PP) | PORT_CSC;
		e->s.sts |= STS_PORT;
	}
	update_irq(e);
}

static int ehci_realize(struct dev *d, struct error *err)
{
	struct ehci *e = to_ehci(d);
	int r;

	vtimer_init(&e->timer, d->sv->clock, on_timer, e);
	if (!e->bus)
		return error_set(err, -EINVAL, "'%s': wire 'bus' before realizing", d->id);
	for (unsigned i = 0; i < 2; i++) {
		usb_hid_init(&e->hid[i], &e->s.hid[i], i == 1, USB_HIGH);
		if (e->hid_present)
			plug(e, i, &e->hid[i].dev);
	}
	for (unsigned i = 0; i < EHCI_DISKS; i++)
		if (e->disk[i])
			plug(e, 2 + i, &e->disk[i]->dev);
	r = add_function(e, err);
	for (unsigned i = 0; i < 2 && r == 0 && e->display && e->hid_present; i++)
		usb_hid_attach(&e->hid[i], e->display, &e->input[i]);
	return r;
}

static void ehci_unrealize(struct dev *d)
{
	struct ehci *e = to_ehci(d);

	for (unsigned i = 0; i < 2; i++)
		usb_hid_detach(e->display, &e->input[i]);
	for (unsigned i = 0; i < EHCI_PORTS; i++)
		if (e->port[i])
			e->port[i]->wake = NULL;
	if (e->timer.clock)
		vtimer_cancel(&e->timer);
	pci_func_done(&e->f);
}

static void ehci_reset(struct dev *d, enum dev_reset kind)
{
	struct ehci *e = to_ehci(d);

	pci_func_reset(&e->f, kind);
	for (unsigned i = 0; i < 2; i++)
		usb_reset(&e->hid[i].dev);
	host_reset(e);
}

static int ehci_quiesce(struct dev *d)
{
	to_ehci(d)->stopped = true;
	return 0;
}

static void ehci_resume(struct dev *d)
{
	to_ehci(d)->stopped = false;
	arm(to_ehci(d), true);
}

static int ehci_loaded(struct dev *d, struct error *err)
{
	struct ehci *e = to_ehci(d);
	ns_t now = clock_now(d->sv->clock);
	int r = pci_func_loaded(&e->f, err);

	for (unsigned i = 0; i < 2 && r == 0; i++)
		r = usb_hid_loaded(&e->hid[i], err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < EHCI_PORTS; i++)
		if ((e->s.port[i] & PORT_PED) && !e->port[i])
			return error_set(err, -EINVAL, "port %u is enabled, and empty", i + 1);
	/* .max lets bits through that do not exist */
	for (unsigned i = 0; i < EHCI_PORTS; i++)
		e->s.port[i] &= PORT_MASK;
	e->s.cmd &= CMD_MASK;
	e->s.intr &= STS_W1C;
	e->s.periodic &= ~0xfffu;
	e->s.async &= ~31u;
	e->s.base_ns = e->s.cmd & CMD_RS ? MIN(e->s.base_ns, now) : 0;
	arm(e, true);
	return 0;
}

/* clang-format off */
static const struct state_field ehci_fields[] = {
	STATE_STRUCT(struct ehci_regs, pci, pci_regs_fields),
	STATE_VAL(struct ehci_regs, base_ns),
	STATE_VAL(struct ehci_regs, cmd, .max = CMD_MASK),
	STATE_VAL(struct ehci_regs, sts, .max = 0xffff),
	STATE_VAL(struct ehci_regs, intr, .max = STS_W1C),
	STATE_VAL(struct ehci_regs, frindex, .max = 0x3fff),
	STATE_VAL(struct ehci_regs, periodic),
	STATE_VAL(struct ehci_regs, async),
	STATE_VAL(struct ehci_regs, configflag, .max = 1),
	STATE_ARRAY(struct ehci_regs, port, .max = PORT_MASK),
	STATE_VAL(struct ehci_regs, walked, .max = 0x7ff),
	STATE_PAD(struct ehci_regs, pad_),
	STATE_STRUCTS(struct ehci_regs, hid, usb_hid_fields),
	STATE_PAD(struct ehci_regs, pad2_),
	STATE_END};

static const struct state_desc ehci_state = STATE_DESC("ehci", 1, struct ehci_regs, ehci_fields);
/* clang-format on */

const struct dev_class ehci_class = {
	.name = "ehci",
	.summary = "USB 2 controller with keyboard, tablet and disks",
	.spec = "Enhanced Host Controller Interface for USB 1.0",
	.size = sizeof(struct ehci),
	.regs_offset = offsetof(struct ehci, s),
	.state = &ehci_state,
	.realize = ehci_realize,
	.unrealize = ehci_unrealize,
	.reset = ehci_reset,
	.quiesce = ehci_quiesce,
	.resume = ehci_resume,
	.loaded = ehci_loaded,
};
