/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transfer rings of the xHCI (xHCI, 4.9 to 4.11, 6.4.1).
 *
 * A TRB is copied in and worked off packet by packet. When the device has nothing (NAK) the
 * endpoint stays where it is, with what was moved of the TRB noted, until the device or the driver
 * calls again. What a call may do is bounded by TRBs and bytes.
 */
#include <string.h>

#include "base/bits.h"
#include "device/usb/xhci_internal.h"

enum {
	TRB_CYCLE = 1 << 0,
	TRB_TOGGLE = 1 << 1, /* of a Link */
	TRB_ISP = 1 << 2,
	TRB_CHAIN = 1 << 4,
	TRB_IOC = 1 << 5,
	TRB_IDT = 1 << 6,
	TRB_IN = 1 << 16, /* of Data and Status stages */
	EVENT_ED = 1 << 2,
	BUDGET_TRBS = 256,
	BUDGET_BYTES = 512 * 1024,
	LINKS_MAX = 16, /* one after the other */
	PACKET_MAX = 1024,
	EP_CONTROL = 4,
};

static void transfer_event(struct xhci *x, unsigned slot, unsigned dci, uint64_t param,
			   unsigned code, uint32_t len, bool ed)
{
	struct trb t = {.param = param,
			.status = (len & 0xffffff) | code << 24,
			.control = slot << 24 | dci << 16 | EVENT_TRANSFER << 10 |
				   (ed ? EVENT_ED : 0)};

	xhci_event(x, &t);
}

static void advance(struct xhci_endpoint *e)
{
	e->deq += TRB;
	e->done = 0;
}

/* A Link TRB: on to where it points. */
static void follow(struct xhci *x, unsigned slot, unsigned dci, struct xhci_endpoint *e,
		   const struct trb *t)
{
	if (t->control & TRB_IOC)
		transfer_event(x, slot, dci, e->deq, CC_SUCCESS, 0, false);
	e->deq = t->param & ~15ull;
	e->done = 0;
	if (t->control & TRB_TOGGLE)
		e->ccs = !e->ccs;
}

/* The endpoint halts at the TRB it is at (xHCI, 4.8.3). */
static void halt(struct xhci *x, unsigned slot, unsigned dci, unsigned code, uint32_t left)
{
	struct xhci_slot *s = &x->s.slot[slot - 1];
	struct xhci_endpoint *e = &s->ep[dci - 1];

	e->state = code == CC_TRB ? EP_ERROR : EP_HALTED;
	e->running = false;
	transfer_event(x, slot, dci, e->deq, code, left, false);
	e->done = 0;
	xhci_write_ep(x, s, dci);
}

/* Data of a TRB. Return: 0 all moved, 1 a short packet, 2 wait, <0 -completion code. */
static int move_data(struct xhci *x, struct usb_dev *u, unsigned dci, struct xhci_endpoint *e,
		     const struct trb *t, unsigned pid, uint32_t *bytes)
{
	uint32_t len = t->status & 0x1ffff;
	unsigned packet = e->packet < 8 ? 8 : MIN((unsigned)e->packet, (unsigned)PACKET_MAX);
	uint8_t buf[PACKET_MAX];

	do {
		unsigned n = e->done < len ? MIN(len - e->done, packet) : 0;
		unsigned immediate = e->done < 8 ? 8 - e->done : 0;
		int r;

		if (pid == USB_PID_OUT && (t->control & TRB_IDT))
			memcpy(buf, (const uint8_t *)&t->param + 8 - immediate, MIN(n, immediate));
		else if (pid == USB_PID_OUT && n &&
			 dma_read(&x->dev, t->param + e->done, buf, n) < 0)
			return -CC_DATA_BUFFER;
		r = usb_packet(u, pid, dci / 2, buf, n);
		if (r == USB_NAK)
			return 2;
		if (r < 0)
			return -CC_STALL;
		if (pid == USB_PID_IN && r &&
		    dma_write(&x->dev, t->param + e->done, buf, (size_t)r) < 0)
			return -CC_DATA_BUFFER;
		e->done += (unsigned)r;
		e->total += (unsigned)r;
		*bytes += (unsigned)r;
		if ((unsigned)r < n)
			return pid == USB_PID_IN ? 1 : 2;
	} while (e->done < len && *bytes < BUDGET_BYTES);
	return e->done < len ? 2 : 0;
}

/* One TRB that moves data, or a stage of a control transfer; as move_data(). */
static int run_trb(struct xhci *x, struct usb_dev *u, unsigned dci, struct xhci_endpoint *e,
		   const struct trb *t, uint32_t *bytes)
{
	bool in = t->control & TRB_IN;
	uint8_t setup[8];
	int r;

	switch (trb_type(t)) {
	case TRB_SETUP:
		if (e->type != EP_CONTROL)
			return -CC_TRB;
		st_le64(setup, t->param);
		r = usb_packet(u, USB_PID_SETUP, 0, setup, 8);
		return r < 0 ? -CC_STALL : 0;
	case TRB_STATUS:
		if (e->type != EP_CONTROL)
			return -CC_TRB;
		r = usb_packet(u, in ? USB_PID_IN : USB_PID_OUT, 0, setup, 0);
		return r == USB_NAK ? 2 : r < 0 ? -CC_STALL : 0;
	case TRB_DATA: return move_data(x, u, dci, e, t, in ? USB_PID_IN : USB_PID_OUT, bytes);
	case TRB_NORMAL:
		if (e->type == EP_CONTROL) /* the data stage goes on, as it began */
			in = u->ctl->setup[0] & 0x80;
		else
			in = dci & 1;
		return move_data(x, u, dci, e, t, in ? USB_PID_IN : USB_PID_OUT, bytes);
	case TRB_NOOP: return 0;
	default: return -CC_TRB;
	}
}

/* After a short packet the rest of the transfer descriptor is passed by, but for what asks for the
 * bytes (xHCI, 4.10.1.1, 4.11.5.2). */
static void skip_rest(struct xhci *x, unsigned slot, unsigned dci, struct xhci_endpoint *e,
		      struct trb t)
{
	for (unsigned n = 0; n < BUDGET_TRBS && (t.control & TRB_CHAIN); n++) {
		if (!xhci_read_trb(x, e->deq, &t) || !!(t.control & TRB_CYCLE) != e->ccs)
			return;
		if (trb_type(&t) == TRB_LINK) {
			follow(x, slot, dci, e, &t);
			continue;
		}
		/* of a control transfer only its data stage ends */
		if (trb_type(&t) == TRB_STATUS)
			return;
		if (trb_type(&t) == TRB_EVENT_DATA && (t.control & TRB_IOC)) {
			transfer_event(x, slot, dci, t.param, e->code, e->total, true);
			e->total = 0;
		}
		advance(e);
	}
}

/* A TRB was worked off. */
static void complete(struct xhci *x, unsigned slot, unsigned dci, struct xhci_endpoint *e,
		     const struct trb *t, bool is_short)
{
	uint32_t len = t->status & 0x1ffff;
	bool setup = trb_type(t) == TRB_SETUP;

	e->code = is_short ? CC_SHORT : CC_SUCCESS;
	if ((t->control & TRB_IOC) || (is_short && (t->control & TRB_ISP)))
		transfer_event(x, slot, dci, e->deq, e->code,
			       setup || len < e->done ? 0 : len - e->done, false);
	if (!(t->control & TRB_CHAIN) && trb_type(t) != TRB_SETUP && trb_type(t) != TRB_DATA)
		e->total = 0;
	advance(e);
	if (is_short)
		skip_rest(x, slot, dci, e, *t);
}

static struct usb_dev *ready(struct xhci *x, unsigned slot, unsigned dci)
{
	struct xhci_slot *s = &x->s.slot[slot - 1];
	struct xhci_endpoint *e = &s->ep[dci - 1];

	if (s->state < SLOT_DEFAULT || e->state != EP_RUNNING || !e->running ||
	    !xhci_port_enabled(x, s->port))
		return NULL;
	return xhci_device(x, s);
}

/* The driver has work for a device that was pulled out. */
static bool lost(struct xhci *x, unsigned slot, unsigned dci)
{
	struct xhci_slot *s = &x->s.slot[slot - 1];
	struct xhci_endpoint *e = &s->ep[dci - 1];

	return s->state >= SLOT_DEFAULT && e->state == EP_RUNNING && e->running &&
	       !xhci_device(x, s);
}

bool xhci_endpoint(struct xhci *x, unsigned slot, unsigned dci)
{
	struct xhci_endpoint *e = &x->s.slot[slot - 1].ep[dci - 1];
	uint32_t bytes = 0;
	unsigned links = 0;
	struct usb_dev *u;
	struct trb t;

	for (unsigned n = 0; n < BUDGET_TRBS && bytes < BUDGET_BYTES; n++) {
		int r;

		u = ready(x, slot, dci);
		if (!u && !lost(x, slot, dci))
			return true;
		/* without room for its event nothing is done: the driver will make some */
		if (!xhci_event_room(x, 4))
			return true;
		if (!xhci_read_trb(x, e->deq, &t) || !!(t.control & TRB_CYCLE) != e->ccs) {
			e->running = false;
			return true;
		}
		if (trb_type(&t) == TRB_LINK) {
			if (++links > LINKS_MAX) {
				halt(x, slot, dci, CC_TRB, 0);
				return true;
			}
			follow(x, slot, dci, e, &t);
			continue;
		}
		links = 0;
		if (!u) { /* xHCI, 4.10.2.3: nobody answers */
			halt(x, slot, dci, CC_TRANSACTION, t.status & 0x1ffff);
			return true;
		}
		if (trb_type(&t) == TRB_EVENT_DATA) {
			if (t.control & TRB_IOC)
				transfer_event(x, slot, dci, t.param, e->code, e->total, true);
			e->total = 0;
			advance(e);
			continue;
		}
		r = run_trb(x, u, dci, e, &t, &bytes);
		if (r == 2)
			return bytes < BUDGET_BYTES;
		if (r < 0) {
			uint32_t len = t.status & 0x1ffff;

			halt(x, slot, dci, (unsigned)-r, len > e->done ? len - e->done : 0);
			return true;
		}
		complete(x, slot, dci, e, &t, r == 1);
	}
	return false;
}

void xhci_stop_event(struct xhci *x, unsigned slot, unsigned dci)
{
	struct xhci_endpoint *e = &x->s.slot[slot - 1].ep[dci - 1];
	struct trb t;

	/* xHCI, 4.6.9: only if there is a transfer descriptor under way */
	if (!xhci_read_trb(x, e->deq, &t) || !!(t.control & TRB_CYCLE) != e->ccs ||
	    trb_type(&t) == TRB_LINK)
		return;
	transfer_event(x, slot, dci, e->deq, CC_STOPPED,
		       (t.status & 0x1ffff) - MIN(e->done, t.status & 0x1ffff), false);
}
