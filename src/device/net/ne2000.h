/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NE2000 Ethernet cards: Realtek RTL8029AS on PCI (10ec:8029), and the ISA card; see ne2000.c.
 *
 * Wiring (machine/): set `net` (NULL = no cable) and `mac`; for ne2k_pci also `bus` and perhaps
 * `rom`, for ne2k_isa `dev.base` (its 32 ports) and `irq`, before dev_realize().
 */
#ifndef DEVICE_NET_NE2000_H
#define DEVICE_NET_NE2000_H

#include "device/net/nic.h"
#include "device/pci/pci.h"

#define NE2000_RAM 16384u

struct ne2000_regs {
	struct pci_regs pci;             /* of ne2k_pci */
	uint16_t remote_at, remote_left; /* CRDA, RBCR */
	uint16_t tx_len;                 /* TBCR */
	uint8_t cr, pstart, pstop, bnry, tpsr, tsr, isr, rsr, rcr, tcr, dcr, imr;
	uint8_t curr;
	uint8_t tally[3]; /* CNTR0 to 2 */
	uint8_t par[6], mar[8];
	uint8_t fifo[8]; /* what loopback left in it */
	uint8_t fifo_at;
	uint8_t config[3]; /* RTL8029AS: CONFIG0, 2, 3 */
	uint8_t pad_[4];
	uint8_t ram[NE2000_RAM];
};

struct ne2000 {
	struct dev dev;
	struct ne2000_regs s;
	/* properties, set before realize */
	struct pci_bus *bus; /* borrowed; ne2k_pci */
	uint8_t devfn;       /* 0: lowest free slot from 2 */
	struct irq irq;      /* ne2k_isa */
	struct net *net;     /* borrowed */
	uint8_t mac[6];
	const uint8_t *rom; /* borrowed until realized; NULL = no option ROM */
	size_t rom_len;
	/* private */
	struct pci_func f;
	struct nic nic;
	struct bus_region io;
};

extern const struct dev_class ne2k_pci_class, ne2k_isa_class;

#endif
