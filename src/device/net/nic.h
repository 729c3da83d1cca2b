/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Ethernet controllers have in common: the way to and from a network back end, the frame check
 * sequence and the multicast hashes made from it, Internet checksums and TCP segmentation, and the
 * serial EEPROM that holds the address. See nic.c.
 */
#ifndef DEVICE_NET_NIC_H
#define DEVICE_NET_NIC_H

#include "device/dev.h"
#include "net/net.h"

#define NIC_FRAME_MIN 60u   /* bytes without frame check sequence (IEEE 802.3, 4.2.3.3) */
#define NIC_FRAME_STD 1514u /* the longest without a VLAN tag */
#define NIC_FCS       4u

/* What a card does for the back end; @nic->dev is the card. */
struct nic_ops {
	/* May a frame come now? False only while the guest can change it: nic_poll() then. */
	bool (*can_receive)(struct dev *d);
	/* @frame: of at least NIC_FRAME_MIN bytes, no frame check sequence. */
	void (*receive)(struct dev *d, const uint8_t *frame, size_t len);
	void (*link)(struct dev *d, bool up);
};

struct nic {
	struct dev *dev; /* borrowed: the card this is part of */
	const struct nic_ops *ops;
	struct net *net; /* borrowed; NULL: no cable */
	bool link_up, stopped;
	uint8_t *pad; /* owned; short frames grow in it */
};

/** nic_init() - connect @nic to @net (may be NULL). -EINVAL for a multicast @mac, -ENOMEM. */
int nic_init(struct nic *nic, struct dev *dev, const struct nic_ops *ops, struct net *net,
	     const uint8_t mac[6], struct error *err) MUST_CHECK;
/** nic_done() - the reverse; harmless when nic_init() failed or never ran. */
void nic_done(struct nic *nic);
/** nic_send() - a frame from the guest, padded to the shortest the wire has. A full back end loses
 * it, as a wire does. Return: false when there is no link. */
bool nic_send(struct nic *nic, const uint8_t *frame, size_t len);
/** nic_loop() - a frame that the card sends to itself: padded and received at once. */
void nic_loop(struct nic *nic, const uint8_t *frame, size_t len);
/** nic_poll() - there is room for frames again. */
void nic_poll(struct nic *nic);
/** nic_stop() - no frames any more (quiesce); nic_go() - again. */
void nic_stop(struct nic *nic);
void nic_go(struct nic *nic);

/** nic_fcs() - frame check sequence (IEEE 802.3, 3.2.9), as transmitted least significant byte
 * first. */
uint32_t nic_fcs(const uint8_t *p, size_t len);
/** nic_hash6() - the six bits by which the DP8390 and the RTL8139 filter multicast addresses: the
 * top of the CRC register after the address went through. */
unsigned nic_hash6(const uint8_t addr[6]);
bool nic_is_broadcast(const uint8_t *addr);

/** nic_sum() - one's complement sum of @len bytes (RFC 1071) added to @sum, not folded; odd @len is
 * padded with a zero. At most 64 KiB at a time. */
uint64_t nic_sum(const uint8_t *p, size_t len, uint64_t sum);
/** nic_fold() - @sum in 16 bits, not complemented; big-endian in the sense of RFC 1071. */
uint16_t nic_fold(uint64_t sum);
/** nic_pseudo() - sum of the pseudo header of the IP packet at @ip, without the length field. */
uint64_t nic_pseudo(const uint8_t *ip, uint8_t proto);

/* Where the headers of a frame are. */
struct nic_headers {
	unsigned l3;     /* offset of the IPv4 or IPv6 header */
	unsigned l4;     /* offset behind it; 0: nothing that has a checksum */
	unsigned end;    /* offset behind the IP packet (padding follows) */
	bool v6, frag;   /* IPv6; an IPv4 fragment */
	uint8_t proto;   /* 6 or 17, if l4 */
	uint8_t l4_size; /* bytes of the TCP or UDP header */
};
/** nic_headers() - find them, behind one VLAN tag or none. False: no whole IP packet. */
bool nic_headers(const uint8_t *frame, size_t len, struct nic_headers *ret);
/** nic_good_ip(), nic_good_l4() - are the checksums right? */
bool nic_good_ip(const uint8_t *frame, const struct nic_headers *h);
bool nic_good_l4(const uint8_t *frame, const struct nic_headers *h);
/** nic_put_ip(), nic_put_l4() - write them; of frames that have them. */
void nic_put_ip(uint8_t *frame, const struct nic_headers *h);
void nic_put_l4(uint8_t *frame, const struct nic_headers *h);

/* One segment of a TCP packet that the card cuts. */
struct nic_segment {
	unsigned l3, l4; /* offsets of the headers */
	bool v6, tcp;
	unsigned len;    /* bytes of the frame */
	unsigned index;  /* of the segment, from 0 */
	unsigned before; /* payload bytes sent before */
	bool last;
};
/** nic_segment() - make the copied headers of @frame those of this segment: lengths,
 * identification, sequence number, flags; checksums are the caller's. Offsets that leave no room
 * for a header change nothing. */
void nic_segment(uint8_t *frame, const struct nic_segment *s);

/* A 93C46 serial EEPROM: 64 words of 16 bits (Microchip 93C46, DS21749; "Microwire"). */
#define NIC_EEPROM_WORDS 64u
struct nic_eeprom {
	uint16_t word[NIC_EEPROM_WORDS];
	uint16_t out; /* bits to come out, from bit 15 on */
	uint16_t in;  /* bits of instruction, address and data so far */
	uint8_t n_in; /* bits that came since the start bit, that included; 0: none yet */
	uint8_t n_out;
	uint8_t addr;
	bool cs, sk, out_bit;
	bool writable; /* EWEN */
	bool busy_bit; /* a write was started: data out is high as soon as selected */
	uint8_t pad_[4];
};
extern const struct state_field nic_eeprom_fields[];

/** nic_eeprom_pins() - the three inputs as they are now. Return: data out. */
bool nic_eeprom_pins(struct nic_eeprom *e, bool cs, bool sk, bool di);
/** nic_eeprom_deselect() - after power on; contents stay. */
void nic_eeprom_deselect(struct nic_eeprom *e);
/** nic_eeprom_mac() - put @mac at word @at. */
void nic_eeprom_mac(struct nic_eeprom *e, unsigned at, const uint8_t mac[6]);

#endif
