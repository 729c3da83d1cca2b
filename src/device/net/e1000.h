/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel 82540EM Gigabit Ethernet controller, 8086:100e; see e1000.c.
 *
 * Wiring (machine/): set `bus`, `net` (NULL = no cable), `mac` and perhaps `rom` before
 * dev_realize().
 */
#ifndef DEVICE_NET_E1000_H
#define DEVICE_NET_E1000_H

#include "device/net/nic.h"
#include "device/pci/pci.h"

#define E1000_REGS   72u    /* at most so many registers that only hold a value */
#define E1000_TX_MAX 16288u /* bytes of the longest packet */
#define E1000_STATS  80u

/* What a context descriptor said (3.3.6): offsets and lengths in bytes. */
struct e1000_offload {
	uint8_t ipcss, ipcso, tucss, tucso;
	uint16_t ipcse, tucse; /* 0: to the end of the packet */
	uint16_t mss;
	uint8_t hdrlen;
	uint8_t flags; /* TUCMD: 1 TCP, 2 IPv4 */
};

struct e1000_regs {
	struct pci_regs pci;
	struct nic_eeprom eeprom;
	uint32_t reg[E1000_REGS];
	uint32_t ra[32], mta[128], vfta[128];
	uint32_t ffmt[128], ffvt[128], wupm[32]; /* wake-up filters */
	uint32_t stat[E1000_STATS];              /* 4000h and up */
	uint16_t phy[32];
	uint64_t link_at;      /* guest ns: autonegotiation ends; 0: it has */
	uint64_t irq_after;    /* guest ns: the next interrupt may be told */
	uint64_t rx_at, tx_at; /* guest ns: delayed RXT0 and TXDW; 0: none */
	uint64_t rx_first;     /* guest ns: of the first packet that rx_at tells of */
	uint32_t io_addr;      /* IOADDR */
	/* the packet that descriptors are giving */
	struct e1000_offload plain, tso;
	uint32_t tx_len;   /* bytes in tx_buf */
	uint32_t tx_sent;  /* payload bytes of segments that went out */
	uint16_t tx_index; /* segments that went out */
	uint16_t tx_tag;   /* VLAN tag */
	uint8_t tx_cso, tx_css;
	uint8_t tx_popts;
	bool tx_open, tx_tse, tx_vlan, tx_sum, tx_bad;
	uint8_t pad_[4];
	uint8_t tx_buf[E1000_TX_MAX + 4]; /* a packet begins at byte 4: a VLAN tag fits in */
};

struct e1000 {
	struct dev dev;
	struct e1000_regs s;
	/* properties, set before realize */
	struct pci_bus *bus; /* borrowed */
	uint8_t devfn;       /* 0: lowest free slot from 2 */
	struct net *net;     /* borrowed */
	uint8_t mac[6];
	const uint8_t *rom; /* borrowed until realized; NULL = no option ROM */
	size_t rom_len;
	/* private */
	struct pci_func f;
	struct nic nic;
	struct bus_region mmio, io;
	struct vtimer link_timer, irq_timer, delay_timer, tx_timer;
	uint8_t index[0x6000 / 4]; /* of a register's place in reg[]; 0: none */
};

extern const struct dev_class e1000_class;

#endif
