/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of the 82540EM. Section numbers: Intel PCI/PCI-X Family of Gigabit Ethernet
 * Controllers Software Developer's Manual, 317453-006 ("SDM").
 */
#ifndef DEVICE_NET_E1000_INTERNAL_H
#define DEVICE_NET_E1000_INTERNAL_H

#include "device/net/e1000.h"

/* Places in e1000_regs.reg, in the order of addresses (SDM, 13.2). */
enum e1000_reg {
	R_NONE,
	R_CTRL,
	R_EECD,
	R_EERD,
	R_CTRL_EXT,
	R_FLA,
	R_MDIC,
	R_FCAL,
	R_FCAH,
	R_FCT,
	R_VET,
	R_ICR,
	R_ITR,
	R_IMS,
	R_RCTL,
	R_FCTTV,
	R_TXCW,
	R_TCTL,
	R_TIPG,
	R_TBT,
	R_AIFS,
	R_LEDCTL,
	R_PBA,
	R_FCRTL,
	R_FCRTH,
	R_RDFH,
	R_RDFT,
	R_RDFHS,
	R_RDFTS,
	R_RDFPC,
	R_RDBAL,
	R_RDBAH,
	R_RDLEN,
	R_RDH,
	R_RDT,
	R_RDTR,
	R_RXDCTL,
	R_RADV,
	R_RSRPD,
	R_TXDMAC,
	R_TDFH,
	R_TDFT,
	R_TDFHS,
	R_TDFTS,
	R_TDFPC,
	R_TDBAL,
	R_TDBAH,
	R_TDLEN,
	R_TDH,
	R_TDT,
	R_TIDV,
	R_TXDCTL,
	R_TADV,
	R_TSPMT,
	R_RXCSUM,
	R_WUC,
	R_WUFC,
	R_WUS,
	R_MANC,
	R_IPAV,
	R_IP4AT0,
	R_IP4AT1,
	R_IP4AT2,
	R_IP6AT0,
	R_IP6AT1,
	R_IP6AT2,
	R_IP6AT3,
	R_WUPL,
	R_COUNT
};

enum {
	CTRL_FD = 1 << 0,
	CTRL_SLU = 1 << 6,
	CTRL_SPEED_1000 = 2 << 8,
	CTRL_RST = 1 << 26,
	CTRL_VME = 1 << 30,
	RCTL_EN = 1 << 1,
	RCTL_UPE = 1 << 3,
	RCTL_MPE = 1 << 4,
	RCTL_LPE = 1 << 5,
	RCTL_LBM = 3 << 6,
	RCTL_BAM = 1 << 15,
	RCTL_VFE = 1 << 18,
	RCTL_CFIEN = 1 << 19,
	RCTL_CFI = 1 << 20,
	RCTL_BSEX = 1 << 25,
	RCTL_SECRC = 1 << 26,
	TCTL_EN = 1 << 1,
};
/* Interrupt causes (SDM, 13.4.17). */
enum {
	ICR_TXDW = 1 << 0,
	ICR_TXQE = 1 << 1,
	ICR_LSC = 1 << 2,
	ICR_RXDMT0 = 1 << 4,
	ICR_RXO = 1 << 6,
	ICR_RXT0 = 1 << 7,
	ICR_MDAC = 1 << 9,
	ICR_PHYINT = 1 << 12,
	ICR_TXD_LOW = 1 << 15,
	ICR_SRPD = 1 << 16,
	ICR_MASK = 0x1f6ff,
};
/* Statistics: place in e1000_regs.stat, (offset - 4000h) / 4 (SDM, 13.7). */
enum {
	ST_MPC = 0x10 / 4,
	ST_PRC64 = 0x5c / 4, /* and five more: 65 to 127, .. 1024 to the longest */
	ST_GPRC = 0x74 / 4,
	ST_BPRC = 0x78 / 4,
	ST_MPRC = 0x7c / 4,
	ST_GPTC = 0x80 / 4,
	ST_GORCL = 0x88 / 4,
	ST_GOTCL = 0x90 / 4,
	ST_RNBC = 0xa0 / 4,
	ST_ROC = 0xac / 4,
	ST_TORL = 0xc0 / 4,
	ST_TOTL = 0xc8 / 4,
	ST_TPR = 0xd0 / 4,
	ST_TPT = 0xd4 / 4,
	ST_PTC64 = 0xd8 / 4, /* likewise */
	ST_MPTC = 0xf0 / 4,
	ST_BPTC = 0xf4 / 4,
	ST_TSCTC = 0xf8 / 4,
	ST_END = 0x100 / 4,
};

static inline struct e1000 *to_e1000(struct dev *d)
{
	return CONTAINER_OF(d, struct e1000, dev);
}

/** e1000_cause() - set @bits of ICR and tell the guest if it wants to know. */
void e1000_cause(struct e1000 *e, uint32_t bits);
/** e1000_count() - one more; counters stop at their maximum. e1000_count_frame() - one frame of
 * @len bytes with check sequence, in the counters of a direction. */
void e1000_count(struct e1000 *e, unsigned stat);
void e1000_count_frame(struct e1000 *e, bool tx, const uint8_t *dst, size_t len);
/** e1000_ring() - descriptors between head and tail of the ring whose base register is @base
 * (R_RDBAL or R_TDBAL), which are the device's. 0 when the registers make no sense. */
unsigned e1000_ring(const struct e1000 *e, unsigned base);
/** e1000_desc_at() - address of descriptor @n of that ring. */
gpa_t e1000_desc_at(const struct e1000 *e, unsigned base, uint32_t n);
/** e1000_delay() - RXT0 or TXDW become due at e->s.rx_at, tx_at. */
void e1000_delay(struct e1000 *e);

/* e1000_phy.c */
void e1000_phy_reset(struct e1000 *e);
void e1000_mdic(struct e1000 *e, uint32_t val);
/** e1000_link_changed() - the cable was plugged or pulled, or autonegotiation has ended. */
void e1000_link_changed(struct e1000 *e);
bool e1000_link(const struct e1000 *e);
void e1000_link_timer(void *ctx);
bool e1000_phy_loopback(const struct e1000 *e);
void e1000_eeprom_init(struct e1000 *e);

/* e1000_rx.c */
bool e1000_can_receive(struct dev *d);
void e1000_receive(struct dev *d, const uint8_t *frame, size_t len);

/* e1000_tx.c */
extern const struct state_field e1000_offload_fields[];
/** e1000_transmit() - work the transmit ring off; what is too much for one call is left to a timer.
 */
void e1000_transmit(struct e1000 *e);
void e1000_tx_reset(struct e1000 *e);

#endif
