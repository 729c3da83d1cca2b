/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copper PHY of the 82540EM behind MDIC, and the EEPROM's contents (SDM, 8.6 "PHY registers", 5.6
 * "EEPROM address map", 13.4.9 "MDI control"; IEEE 802.3, 22.2.4 for registers 0 to 15).
 *
 * The partner is a gigabit switch that offers everything. Autonegotiation takes NEGOTIATION_NS; at
 * power on it has been over for long.
 *
 * UNMODELLED: forced speeds other than in what the registers say (frames move as fast as ever);
 * cable diagnostics; PHY interrupts.
 */
#include "base/bits.h"
#include "device/net/e1000_internal.h"

enum {
	PHY_CONTROL = 0,
	PHY_STATUS = 1,
	PHY_ID1 = 2,
	PHY_ID2 = 3,
	PHY_ADVERTISE = 4,
	PHY_PARTNER = 5,
	PHY_EXPANSION = 6,
	PHY_1000T_CONTROL = 9,
	PHY_1000T_STATUS = 10,
	PHY_EXT_STATUS = 15,
	PHY_SPEC_CONTROL = 16,
	PHY_SPEC_STATUS = 17,
	PHY_EXT_SPEC_CONTROL = 20,
	PHY_ADDRESS = 1,
	CONTROL_RESET = 0x8000,
	CONTROL_LOOPBACK = 0x4000,
	CONTROL_AUTONEG = 0x1000,
	CONTROL_RESTART = 0x0200,
	STATUS_LINK = 0x0004,
	STATUS_DONE = 0x0020,
	SPEC_LINK = 0x0400,
	SPEC_RESOLVED = 0x0800,
};
enum {
	MDIC_OP_WRITE = 1,
	MDIC_OP_READ = 2,
	MDIC_R = 1 << 28,
	MDIC_I = 1 << 29,
	MDIC_E = 1 << 30,
};
#define NEGOTIATION_NS (20 * NS_PER_MS)

/* Bits a driver can write; registers with none are read only. */
static const uint16_t phy_writable[32] = {
	[PHY_CONTROL] = 0x7dc0,
	[PHY_ADVERTISE] = 0xffff,
	[7] = 0xffff,
	[PHY_1000T_CONTROL] = 0xff00,
	[PHY_SPEC_CONTROL] = 0xffff,
	[18] = 0xffff,
	[PHY_EXT_SPEC_CONTROL] = 0xffff,
	[24] = 0xffff,
	[29] = 0xffff,
	[30] = 0xffff,
};
static const uint16_t phy_initial[32] = {
	[PHY_CONTROL] = 0x1140, /* autonegotiation, full duplex, 1000 Mb/s */
	[PHY_STATUS] = 0x7949,  /* all of 10 and 100 Mb/s, extended status */
	[PHY_ID1] = 0x0141,     /* SDM, 8.6.3: Marvell */
	[PHY_ID2] = 0x0c20,           [PHY_ADVERTISE] = 0x0de1,        [PHY_EXPANSION] = 0x0004,
	[PHY_1000T_CONTROL] = 0x0e00, [PHY_EXT_STATUS] = 0x3000, /* 1000BASE-T, full and half duplex
								  */
	[PHY_SPEC_CONTROL] = 0x0360,  [PHY_EXT_SPEC_CONTROL] = 0x0d60,
};

bool e1000_link(const struct e1000 *e)
{
	return e->nic.link_up && !e->s.link_at;
}

bool e1000_phy_loopback(const struct e1000 *e)
{
	return e->s.phy[PHY_CONTROL] & CONTROL_LOOPBACK;
}

/* What the registers say about the partner follows from the link. */
static uint16_t phy_read(struct e1000 *e, unsigned n)
{
	bool link = e1000_link(e);

	switch (n) {
	case PHY_STATUS: return (uint16_t)(e->s.phy[n] | (link ? STATUS_LINK | STATUS_DONE : 0));
	case PHY_PARTNER: return link ? 0x4de1 : 0;
	case PHY_EXPANSION: return (uint16_t)(e->s.phy[n] | (link ? 0x0003 : 0));
	case PHY_1000T_STATUS: return link ? 0x7c00 : 0;
	case PHY_SPEC_STATUS:
		/* 1000 Mb/s, full duplex, 50 to 80 m of cable */
		return link ? 0xa080 | SPEC_LINK | SPEC_RESOLVED : 0;
	default: return e->s.phy[n];
	}
}

static void negotiate(struct e1000 *e)
{
	bool was = e1000_link(e);

	if (!e->nic.link_up)
		return;
	e->s.link_at = clock_now(e->dev.sv->clock) + NEGOTIATION_NS;
	vtimer_arm(&e->link_timer, e->s.link_at);
	if (was)
		e1000_cause(e, ICR_LSC);
}

static void phy_write(struct e1000 *e, unsigned n, uint16_t val)
{
	uint16_t mask = phy_writable[n];

	if (n == PHY_CONTROL && (val & CONTROL_RESET)) {
		memcpy(e->s.phy, phy_initial, sizeof(phy_initial));
		negotiate(e);
		return;
	}
	e->s.phy[n] = (uint16_t)((e->s.phy[n] & ~mask) | (val & mask));
	if (n == PHY_CONTROL && (val & CONTROL_RESTART) && (val & CONTROL_AUTONEG))
		negotiate(e);
}

void e1000_mdic(struct e1000 *e, uint32_t val)
{
	unsigned n = val >> 16 & 31, phy = val >> 21 & 31, op = val >> 26 & 3;
	uint32_t done = (val & ~(uint32_t)(MDIC_E | MDIC_R)) | MDIC_R;

	if (phy != PHY_ADDRESS || (op != MDIC_OP_READ && op != MDIC_OP_WRITE)) {
		done |= MDIC_E;
		if (op == MDIC_OP_READ)
			done |= 0xffff; /* nobody drives the line */
	} else if (op == MDIC_OP_READ) {
		done = (done & ~0xffffu) | phy_read(e, n);
	} else {
		phy_write(e, n, (uint16_t)val);
	}
	e->s.reg[R_MDIC] = done;
	if (val & MDIC_I)
		e1000_cause(e, ICR_MDAC);
}

void e1000_phy_reset(struct e1000 *e)
{
	memcpy(e->s.phy, phy_initial, sizeof(phy_initial));
	e->s.link_at = 0;
	vtimer_cancel(&e->link_timer);
}

void e1000_link_changed(struct e1000 *e)
{
	e->s.link_at = 0;
	vtimer_cancel(&e->link_timer);
	e1000_cause(e, ICR_LSC);
	if (e1000_link(e))
		nic_poll(&e->nic);
}

void e1000_link_timer(void *ctx)
{
	e1000_link_changed(ctx);
}

/* SDM, table 5-2. The words nobody looks at are blank. */
void e1000_eeprom_init(struct e1000 *e)
{
	struct nic_eeprom *p = &e->s.eeprom;
	uint16_t sum = 0;

	memset(p->word, 0xff, sizeof(p->word));
	nic_eeprom_mac(p, 0, e->mac);
	p->word[0x03] = 0x0000; /* compatibility */
	p->word[0x04] = 0x0000;
	p->word[0x0a] = 0x4003; /* signature; load vendor and subsystem ids from here */
	p->word[0x0b] = 0x001e; /* subsystem */
	p->word[0x0c] = 0x8086;
	p->word[0x0d] = 0x100e;
	p->word[0x0e] = 0x8086;
	p->word[0x0f] = 0x3040; /* initialization control 2 */
	for (unsigned i = 0; i < NIC_EEPROM_WORDS - 1; i++)
		sum = (uint16_t)(sum + p->word[i]);
	p->word[NIC_EEPROM_WORDS - 1] = (uint16_t)(0xbaba - sum); /* SDM, 5.6.35 */
	nic_eeprom_deselect(p);
}
