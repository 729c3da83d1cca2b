/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCI Express capability. PCI Express Base Specification rev. 3.0, 7.8.
 */
#ifndef DEVICE_PCI_EXPRESS_H
#define DEVICE_PCI_EXPRESS_H

#include "device/pci/pci.h"

enum express_type {
	EXPRESS_ENDPOINT = 0,
	EXPRESS_ROOT_PORT = 4,
	EXPRESS_INTEGRATED = 9 /* root complex integrated endpoint: no link */
};

/* Offsets in the capability (7.8, figure 7-10). */
enum {
	EXPRESS_CAPS = 0x02,
	EXPRESS_DEVICE_CAP = 0x04,
	EXPRESS_DEVICE_CTL = 0x08,
	EXPRESS_DEVICE_STS = 0x0a,
	EXPRESS_LINK_CAP = 0x0c,
	EXPRESS_LINK_CTL = 0x10,
	EXPRESS_LINK_STS = 0x12,
	EXPRESS_SLOT_CAP = 0x14,
	EXPRESS_SLOT_CTL = 0x18,
	EXPRESS_SLOT_STS = 0x1a,
	EXPRESS_ROOT_CTL = 0x1c,
	EXPRESS_ROOT_CAP = 0x1e,
	EXPRESS_ROOT_STS = 0x20,
	EXPRESS_LINK_CTL2 = 0x30,
	EXPRESS_LEN = 0x3c
};

/* Slot control, slot status, link status (tables 7-21, 7-22, 7-18). */
enum {
	SLOT_CTL_BUTTON = 0x0001,    /* attention button interrupts */
	SLOT_CTL_PRESENCE = 0x0008,  /* presence detect changed interrupts */
	SLOT_CTL_COMMAND = 0x0010,   /* command completed interrupts */
	SLOT_CTL_HOTPLUG = 0x0020,   /* hot-plug interrupt enable */
	SLOT_CTL_ATTENTION = 0x00c0, /* indicators: 1 on, 2 blinks, 3 off */
	SLOT_CTL_INDICATOR = 0x0300,
	SLOT_CTL_INDICATOR_ON = 0x0100,
	SLOT_CTL_OFF = 0x0400,      /* the slot has no power */
	SLOT_CTL_LINK = 0x1000,     /* data link layer state changed interrupts */
	SLOT_STS_BUTTON = 0x0001,   /* attention button pressed */
	SLOT_STS_COMMAND = 0x0010,  /* command completed */
	SLOT_STS_PRESENCE = 0x0008, /* presence detect changed */
	SLOT_STS_PRESENT = 0x0040,  /* presence detect state: occupied */
	SLOT_STS_LINK = 0x0100,     /* data link layer state changed */
	LINK_STS_ACTIVE = 0x2000,
};

/**
 * express_add() - add the capability to @f, between init and add
 * @port: link's port number and, for root ports, physical slot number.
 * Return: its offset, or -ENOSPC.
 */
int express_add(struct pci_func *f, enum express_type type, unsigned port) MUST_CHECK;

#endif
