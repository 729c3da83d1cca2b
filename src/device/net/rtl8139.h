/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Realtek RTL8139C and RTL8139C+ fast Ethernet controllers, 10ec:8139; see rtl8139.c.
 *
 * Wiring (machine/): set `bus`, `net` (NULL = no cable), `mac` and perhaps `rom` before
 * dev_realize(). `plain`: the RTL8139C, without C+ mode.
 */
#ifndef DEVICE_NET_RTL8139_H
#define DEVICE_NET_RTL8139_H

#include "device/net/nic.h"
#include "device/pci/pci.h"

struct rtl8139_regs {
	struct pci_regs pci;
	struct nic_eeprom eeprom;
	uint64_t timer_ns; /* guest ns at which TCTR was 0 */
	uint64_t rdsar, dtccr;
	uint64_t tx_ok, rx_ok, rx_phys, rx_broadcast; /* tally counters */
	uint32_t rx_multicast;
	uint32_t tsd[4], tsad[4];
	uint32_t rbstart, tcr, rcr, timer_int, mpc, phy1, tw;
	uint16_t cbr, capr, imr, isr, mulint, bmcr, anar, nwaytr, cscr, cpcr;
	uint16_t cp_tx[2], cp_rx; /* next descriptor: normal and high queue, receive */
	uint8_t idr[8], mar[8];
	uint8_t wake[0x50]; /* 84h to d3h */
	uint8_t cr, cr9346, config[6], msr, phy2, etthr;
	uint8_t tx_next; /* of the four descriptors */
	uint8_t tx_poll; /* queues to be looked at: 40h normal, 80h high */
	uint8_t pad_[1];
};

struct rtl8139 {
	struct dev dev;
	struct rtl8139_regs s;
	/* properties, set before realize */
	struct pci_bus *bus; /* borrowed */
	uint8_t devfn;       /* 0: lowest free slot from 2 */
	struct net *net;     /* borrowed */
	uint8_t mac[6];
	bool plain;
	const uint8_t *rom; /* borrowed until realized; NULL = no option ROM */
	size_t rom_len;
	/* private */
	struct pci_func f;
	struct nic nic;
	struct bus_region mmio, io;
	struct vtimer timer, tx_timer, rx_timer;
	uint8_t *buf; /* owned: a packet that goes out, and one segment of it behind it */
};

extern const struct dev_class rtl8139_class;

#endif
