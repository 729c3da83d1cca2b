/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of the xHCI. "xHCI": eXtensible Host Controller Interface for USB,
 * revision 1.1.
 */
#ifndef DEVICE_USB_XHCI_INTERNAL_H
#define DEVICE_USB_XHCI_INTERNAL_H

#include "device/usb/xhci.h"

enum { TRB = 16 };
/* Types (xHCI, table 6-91). */
enum {
	TRB_NORMAL = 1,
	TRB_SETUP = 2,
	TRB_DATA = 3,
	TRB_STATUS = 4,
	TRB_ISOCH = 5,
	TRB_LINK = 6,
	TRB_EVENT_DATA = 7,
	TRB_NOOP = 8,
	CMD_ENABLE_SLOT = 9,
	CMD_DISABLE_SLOT = 10,
	CMD_ADDRESS_DEVICE = 11,
	CMD_CONFIGURE = 12,
	CMD_EVALUATE = 13,
	CMD_RESET_ENDPOINT = 14,
	CMD_STOP_ENDPOINT = 15,
	CMD_SET_DEQUEUE = 16,
	CMD_RESET_DEVICE = 17,
	CMD_PORT_BANDWIDTH = 21,
	CMD_NOOP = 23,
	EVENT_TRANSFER = 32,
	EVENT_COMMAND = 33,
	EVENT_PORT = 34,
};
/* Completion codes (xHCI, table 6-90). */
enum {
	CC_SUCCESS = 1,
	CC_DATA_BUFFER = 2,
	CC_TRANSACTION = 4,
	CC_TRB = 5,
	CC_STALL = 6,
	CC_NO_SLOTS = 9,
	CC_SLOT_OFF = 11,
	CC_ENDPOINT_OFF = 12,
	CC_SHORT = 13,
	CC_PARAMETER = 17,
	CC_CONTEXT_STATE = 19,
	CC_RING_STOPPED = 24,
	CC_STOPPED = 26,
};
enum { SLOT_OFF, SLOT_ENABLED, SLOT_DEFAULT, SLOT_ADDRESSED, SLOT_CONFIGURED };
enum { EP_DISABLED, EP_RUNNING, EP_HALTED, EP_STOPPED, EP_ERROR, EP_STATES };

/* One TRB, copied in. */
struct trb {
	uint64_t param;
	uint32_t status, control;
};
static inline unsigned trb_type(const struct trb *t)
{
	return t->control >> 10 & 0x3f;
}

bool xhci_read_trb(struct xhci *x, uint64_t at, struct trb *t);
/** xhci_event() - put @t on the event ring (its cycle bit is set here). False: the ring is full. */
bool xhci_event(struct xhci *x, const struct trb *t);
/** xhci_event_room() - how many events fit, at least @n? */
bool xhci_event_room(struct xhci *x, unsigned n);
/** xhci_device() - what a slot's port has; NULL: nothing. */
struct usb_dev *xhci_device(struct xhci *x, const struct xhci_slot *s);
bool xhci_port_enabled(const struct xhci *x, unsigned port);
/** xhci_run_later() - call xhci_run() soon: the budget ran out. */
void xhci_run_later(struct xhci *x);
/** xhci_write_ep() - write an endpoint's state and dequeue pointer to its context. */
void xhci_write_ep(struct xhci *x, struct xhci_slot *s, unsigned dci);

/* xhci_cmd.c */
/** xhci_commands() - work the command ring off; false: the budget ran out. */
bool xhci_commands(struct xhci *x);
void xhci_slot_off(struct xhci_slot *s);

/* xhci_ring.c */
/** xhci_endpoint() - work one transfer ring off; false: the budget ran out. */
bool xhci_endpoint(struct xhci *x, unsigned slot, unsigned dci);
/** xhci_stop_event() - an endpoint is stopped in the middle of a TRB: tell how far it came. */
void xhci_stop_event(struct xhci *x, unsigned slot, unsigned dci);

#endif
