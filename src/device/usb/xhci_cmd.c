/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of the xHCI: slots and their contexts (xHCI, 4.6, 6.2, 6.4.3).
 *
 * Contexts are of 32 bytes. They belong to the driver; the controller keeps what it needs of them
 * in its own registers and writes back what it changed, so that what a driver does to an output
 * context in between matters to nobody.
 */
#include <string.h>

#include "base/bits.h"
#include "device/usb/xhci_internal.h"

enum {
	CONTEXT = 32,
	COMMANDS_MAX = 64, /* in one call */
	CMD_CYCLE = 1,
	CMD_TOGGLE = 2,
	CMD_BSR = 1 << 9, /* Address Device; Deconfigure of Configure Endpoint */
	EP_CONTROL = 4,
};

void xhci_slot_off(struct xhci_slot *s)
{
	memset(s, 0, sizeof(*s));
}

/* Slot context of @s gets state @state and address @address. */
static void write_slot(struct xhci *x, struct xhci_slot *s, unsigned address)
{
	static const uint8_t coded[] = {0, 0, 1, 2, 3};
	uint8_t word[4];

	st_le32(word, (uint32_t)coded[s->state] << 27 | address);
	if (dma_write(&x->dev, s->context + 12, word, 4) < 0)
		guest_error(&x->dev, "device context is not in memory");
}

void xhci_write_ep(struct xhci *x, struct xhci_slot *s, unsigned dci)
{
	const struct xhci_endpoint *e = &s->ep[dci - 1];
	gpa_t at = s->context + dci * CONTEXT;
	uint8_t c[12];

	if (dma_read(&x->dev, at, c, 4) < 0)
		return;
	st_le32(c, (ld_le32(c) & ~7u) | e->state);
	st_le64(c + 4, e->deq | e->ccs);
	if (dma_write(&x->dev, at, c, 4) < 0 || dma_write(&x->dev, at + 8, c + 4, 8) < 0)
		guest_error(&x->dev, "endpoint context is not in memory");
}

/* Take an endpoint over from the input context at @in. */
static unsigned take_endpoint(struct xhci *x, struct xhci_slot *s, unsigned dci, uint64_t in)
{
	struct xhci_endpoint *e = &s->ep[dci - 1];
	uint8_t c[CONTEXT];
	unsigned type;

	if (dma_read(&x->dev, in + (dci + 1) * CONTEXT, c, sizeof(c)) < 0)
		return CC_TRB;
	type = ld_le32(c + 4) >> 3 & 7;
	/* out 1 to 3, control 4, in 5 to 7; the index says the direction */
	if ((dci == 1) != (type == EP_CONTROL) || !type ||
	    (dci > 1 && (type > EP_CONTROL) != (dci & 1)))
		return CC_TRB;
	*e = (struct xhci_endpoint){.deq = ld_le64(c + 8) & ~15ull,
				    .ccs = c[8] & 1,
				    .packet = (uint16_t)(ld_le32(c + 4) >> 16),
				    .type = (uint8_t)type,
				    .state = EP_RUNNING};
	c[0] = (uint8_t)((c[0] & ~7) | EP_RUNNING);
	return dma_write(&x->dev, s->context + dci * CONTEXT, c, sizeof(c)) < 0 ? CC_TRB
										: CC_SUCCESS;
}

static unsigned enable_slot(struct xhci *x, unsigned *ret_slot)
{
	unsigned n = MIN(x->s.config & 0xff, (uint32_t)XHCI_SLOTS);

	for (unsigned i = 0; i < n; i++)
		if (x->s.slot[i].state == SLOT_OFF) {
			xhci_slot_off(&x->s.slot[i]);
			x->s.slot[i].state = SLOT_ENABLED;
			*ret_slot = i + 1;
			return CC_SUCCESS;
		}
	return CC_NO_SLOTS;
}

/* SET_ADDRESS on the bus, as the controller does it for the driver. */
static bool set_address(struct usb_dev *u, unsigned address)
{
	uint8_t setup[8] = {0, 5, (uint8_t)address};

	return usb_packet(u, USB_PID_SETUP, 0, setup, 8) == 8 &&
	       usb_packet(u, USB_PID_IN, 0, setup, 0) == 0;
}

/* xHCI, 4.6.5 */
static unsigned address_device(struct xhci *x, unsigned slot, uint64_t in, bool bsr)
{
	struct xhci_slot *s = &x->s.slot[slot - 1];
	uint8_t c[CONTEXT], entry[8];
	struct usb_dev *u;
	unsigned port, code;

	if (dma_read(&x->dev, x->s.dcbaap + slot * 8, entry, 8) < 0 ||
	    dma_read(&x->dev, in, c, 8) < 0 || (ld_le32(c + 4) & 3) != 3 ||
	    dma_read(&x->dev, in + CONTEXT, c, sizeof(c)) < 0)
		return CC_TRB;
	if (s->state != SLOT_ENABLED && !(s->state == SLOT_DEFAULT && !bsr))
		return CC_CONTEXT_STATE;
	port = ld_le32(c + 4) >> 16 & 0xff;
	if (port < 1 || port > XHCI_PORTS || (ld_le32(c) & 0xfffff)) /* no hubs: route is 0 */
		return CC_PARAMETER;
	s->port = (uint8_t)port;
	s->context = ld_le64(entry) & ~63ull;
	u = xhci_device(x, s);
	if (!u || !xhci_port_enabled(x, port) || (!bsr && !set_address(u, slot)))
		return CC_TRANSACTION;
	s->state = bsr ? SLOT_DEFAULT : SLOT_ADDRESSED;
	if (dma_write(&x->dev, s->context, c, sizeof(c)) < 0)
		return CC_TRB;
	code = take_endpoint(x, s, 1, in);
	write_slot(x, s, bsr ? 0 : slot);
	return code;
}

/* xHCI, 4.6.6 */
static unsigned configure(struct xhci *x, unsigned slot, uint64_t in, bool deconfigure)
{
	struct xhci_slot *s = &x->s.slot[slot - 1];
	uint32_t drop = ~3u, add = 0;
	unsigned code = CC_SUCCESS;
	uint8_t c[CONTEXT];

	if (s->state < SLOT_ADDRESSED)
		return CC_CONTEXT_STATE;
	if (!deconfigure) {
		if (dma_read(&x->dev, in, c, 8) < 0)
			return CC_TRB;
		drop = ld_le32(c) & ~3u;
		add = ld_le32(c + 4) & ~3u;
		if (dma_read(&x->dev, in + CONTEXT, c, 4) < 0 ||
		    dma_write(&x->dev, s->context, c, 4) < 0)
			return CC_TRB;
	}
	for (unsigned dci = 2; dci <= XHCI_ENDPOINTS && code == CC_SUCCESS; dci++) {
		if ((drop | add) >> dci & 1) {
			struct xhci_endpoint *e = &s->ep[dci - 1];
			bool was = e->state != EP_DISABLED;

			memset(e, 0, sizeof(*e));
			if (was)
				xhci_write_ep(x, s, dci);
		}
		if (add >> dci & 1)
			code = take_endpoint(x, s, dci, in);
	}
	s->state = deconfigure ? SLOT_ADDRESSED : SLOT_CONFIGURED;
	write_slot(x, s, slot);
	return code;
}

/* xHCI, 4.6.7: of what may change only the packets of endpoint 0 matter here */
static unsigned evaluate(struct xhci *x, unsigned slot, uint64_t in)
{
	struct xhci_slot *s = &x->s.slot[slot - 1];
	uint8_t c[CONTEXT];

	if (s->state < SLOT_DEFAULT)
		return CC_CONTEXT_STATE;
	if (dma_read(&x->dev, in, c, 8) < 0)
		return CC_TRB;
	if (!(ld_le32(c + 4) & 2))
		return CC_SUCCESS;
	if (dma_read(&x->dev, in + 2 * CONTEXT + 4, c, 4) < 0)
		return CC_TRB;
	s->ep[0].packet = (uint16_t)(ld_le32(c) >> 16);
	return dma_write(&x->dev, s->context + CONTEXT + 6, c + 2, 2) < 0 ? CC_TRB : CC_SUCCESS;
}

/* Reset, stop, and move an endpoint (xHCI, 4.6.8 to 4.6.10). */
static unsigned endpoint_command(struct xhci *x, unsigned slot, const struct trb *t)
{
	struct xhci_slot *s = &x->s.slot[slot - 1];
	unsigned dci = t->control >> 16 & 31, type = trb_type(t);
	struct xhci_endpoint *e;

	if (dci < 1 || dci > XHCI_ENDPOINTS)
		return CC_TRB;
	e = &s->ep[dci - 1];
	if (e->state == EP_DISABLED)
		return CC_ENDPOINT_OFF;
	switch (type) {
	case CMD_RESET_ENDPOINT:
		if (e->state != EP_HALTED)
			return CC_CONTEXT_STATE;
		e->state = EP_STOPPED;
		break;
	case CMD_STOP_ENDPOINT:
		if (e->state != EP_RUNNING)
			return CC_CONTEXT_STATE;
		if (e->running || e->done)
			xhci_stop_event(x, slot, dci);
		e->state = EP_STOPPED;
		e->running = false;
		break;
	default:
		if (e->state != EP_STOPPED && e->state != EP_ERROR)
			return CC_CONTEXT_STATE;
		e->deq = t->param & ~15ull;
		e->ccs = t->param & 1;
		e->done = e->total = 0;
		e->state = EP_STOPPED;
		break;
	}
	xhci_write_ep(x, s, dci);
	return CC_SUCCESS;
}

/* xHCI, 4.6.11 */
static unsigned reset_device(struct xhci *x, unsigned slot)
{
	struct xhci_slot *s = &x->s.slot[slot - 1];

	if (s->state < SLOT_ADDRESSED)
		return CC_CONTEXT_STATE;
	for (unsigned dci = 2; dci <= XHCI_ENDPOINTS; dci++) {
		bool was = s->ep[dci - 1].state != EP_DISABLED;

		memset(&s->ep[dci - 1], 0, sizeof(s->ep[0]));
		if (was)
			xhci_write_ep(x, s, dci);
	}
	s->state = SLOT_DEFAULT;
	write_slot(x, s, 0);
	return CC_SUCCESS;
}

static unsigned port_bandwidth(struct xhci *x, uint64_t to)
{
	uint8_t free_percent[XHCI_PORTS + 1];

	memset(free_percent, 90, sizeof(free_percent));
	free_percent[0] = 0;
	return dma_write(&x->dev, to & ~15ull, free_percent, sizeof(free_percent)) < 0 ? CC_TRB
										       : CC_SUCCESS;
}

static unsigned slot_command(struct xhci *x, unsigned slot, const struct trb *t)
{
	uint64_t in = t->param & ~15ull;
	bool flag = t->control & CMD_BSR;

	if (slot < 1 || slot > XHCI_SLOTS || x->s.slot[slot - 1].state == SLOT_OFF)
		return CC_SLOT_OFF;
	switch (trb_type(t)) {
	case CMD_DISABLE_SLOT: xhci_slot_off(&x->s.slot[slot - 1]); return CC_SUCCESS;
	case CMD_ADDRESS_DEVICE: return address_device(x, slot, in, flag);
	case CMD_CONFIGURE: return configure(x, slot, in, flag);
	case CMD_EVALUATE: return evaluate(x, slot, in);
	case CMD_RESET_DEVICE: return reset_device(x, slot);
	default: return endpoint_command(x, slot, t);
	}
}

static unsigned run_command(struct xhci *x, const struct trb *t, unsigned *slot)
{
	switch (trb_type(t)) {
	case CMD_ENABLE_SLOT: return enable_slot(x, slot);
	case CMD_NOOP: return CC_SUCCESS;
	case CMD_PORT_BANDWIDTH: return port_bandwidth(x, t->param);
	case CMD_DISABLE_SLOT ... CMD_RESET_DEVICE: return slot_command(x, *slot, t);
	default: return CC_TRB;
	}
}

bool xhci_commands(struct xhci *x)
{
	for (unsigned n = 0; n < COMMANDS_MAX; n++) {
		/* 64-byte aligned at first, then the ring goes on in steps of 16 */
		uint64_t at = x->s.crcr & ~15ull;
		struct trb t, event;
		unsigned slot, code;

		if (!x->s.cmd_running || !xhci_event_room(x, 4))
			return true;
		if (!xhci_read_trb(x, at, &t) || (t.control & CMD_CYCLE) != x->s.cmd_ccs)
			return true;
		if (trb_type(&t) == TRB_LINK) {
			x->s.crcr = t.param & ~15ull;
			if (t.control & CMD_TOGGLE)
				x->s.cmd_ccs = !x->s.cmd_ccs;
			continue;
		}
		slot = t.control >> 24;
		code = run_command(x, &t, &slot);
		event = (struct trb){.param = at,
				     .status = code << 24,
				     .control = EVENT_COMMAND << 10 | slot << 24};
		x->s.crcr = at + TRB;
		xhci_event(x, &event);
	}
	return false;
}
