/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of the RTL8139. "RTL": RTL8139C(L) data sheet rev. 1.4; "RTL+": RTL8139C(L)+
 * data sheet rev. 1.6.
 */
#ifndef DEVICE_NET_RTL8139_INTERNAL_H
#define DEVICE_NET_RTL8139_INTERNAL_H

#include "device/net/rtl8139.h"

enum {
	ISR_ROK = 0x0001,
	ISR_TOK = 0x0004,
	ISR_TER = 0x0008,
	ISR_RXOVW = 0x0010, /* C+: no receive descriptor */
	ISR_LINK = 0x0020,
	ISR_TDU = 0x0080, /* C+: no transmit descriptor */
	ISR_SWINT = 0x0100,
	ISR_TIMEOUT = 0x4000,
	ISR_MASK = 0xe1ff,
	CR_BUFE = 0x01,
	CR_TE = 0x04,
	CR_RE = 0x08,
	CR_RST = 0x10,
	CPCR_TX = 0x0001,
	CPCR_RX = 0x0002,
	CPCR_RXCHK = 0x0020,
	CPCR_RXVLAN = 0x0040,
	TCR_LOOPBACK = 0x60000,
	/* rtl8139.buf: a packet that goes out, a segment of it, a frame without its tag */
	RTL_SEGMENT = 0x10000,
	RTL_STRIP = 0x20000,
	RTL_BUF = 0x30000,
};

static inline struct rtl8139 *to_rtl8139(struct dev *d)
{
	return CONTAINER_OF(d, struct rtl8139, dev);
}

/** rtl8139_cause() - set bits of ISR, and tell. */
void rtl8139_cause(struct rtl8139 *t, uint16_t bits);
/** rtl8139_send() - a frame leaves, or comes back in loopback mode. */
void rtl8139_send(struct rtl8139 *t, const uint8_t *frame, size_t len);
/** rtl8139_receiver() - frames come in: switched on, and DMA is allowed. */
bool rtl8139_receiver(const struct rtl8139 *t);

/* rtl8139_cp.c */
bool rtl8139_cp_can_receive(struct rtl8139 *t);
void rtl8139_cp_receive(struct rtl8139 *t, const uint8_t *frame, size_t len);
/** rtl8139_cp_transmit() - the queues of tx_poll; what is too much for one call is left to a timer.
 */
void rtl8139_cp_transmit(struct rtl8139 *t);
/** rtl8139_cp_tally() - write the counters where DTCCR says. */
void rtl8139_cp_tally(struct rtl8139 *t);

#endif
