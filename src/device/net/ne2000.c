/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NE2000: a DP8390 network interface controller with 16 KiB of memory of its own and a PROM with
 * the address. National DP8390D/NS32490D data sheet, July 1995 ("DP8390"); Realtek RTL8029AS data
 * sheet rev. 1.6 ("RTL8029") for the PCI card, whose lower half is the same.
 *
 *   00h-0fh DP8390: CR, and a page of 15 registers that CR picks · 10h-17h data of remote DMA ·
 *   18h-1fh reset
 *   card memory: 0000h PROM, each of its 16 bytes twice · 4000h-7fffh RAM
 *
 * Receive buffers are pages of 256 bytes between PSTART and PSTOP, a ring; each frame begins with
 * four bytes (status, next page, length with check sequence). A frame for which there is no room
 * waits in the back end; OVW is for rings in which it never can be.
 *
 * UNMODELLED: collisions and their counters; sending CRC errors; the address counters of page 2;
 * local DMA that is slower than the wire (a frame is there at once); half-filled FIFOs; the EEPROM
 * and boot ROM of the RTL8029.
 */
#include "device/net/ne2000.h"

#include <errno.h>

#include "base/bits.h"

enum { PORTS = 32, DATA = 0x10, RESET = 0x18, RAM_AT = 0x4000, PAGE = 256 };
enum {
	CR_STP = 0x01,
	CR_STA = 0x02,
	CR_TXP = 0x04,
	CR_RD = 0x38,
	CR_RD_READ = 0x08,
	CR_RD_SEND = 0x18,
	CR_RD_ABORT = 0x20,
	ISR_PRX = 0x01,
	ISR_PTX = 0x02,
	ISR_TXE = 0x08,
	ISR_OVW = 0x10,
	ISR_CNT = 0x20,
	ISR_RDC = 0x40,
	ISR_RST = 0x80,
	ISR_EVENTS = 0x7f, /* IMR has no bit for RST */
	RSR_PRX = 0x01,
	RSR_CRC = 0x02,
	RSR_MPA = 0x10,
	RSR_PHY = 0x20,
	RSR_DIS = 0x40,
	RCR_AB = 0x04,
	RCR_AM = 0x08,
	RCR_PRO = 0x10,
	RCR_MON = 0x20,
	RCR_MASK = 0x3f,
	TCR_CRC = 0x01,
	TCR_LB = 0x06,
	TCR_MASK = 0x1f,
	TSR_PTX = 0x01,
	TSR_CRS = 0x10,
	TSR_CDH = 0x40,
	DCR_WTS = 0x01,
	DCR_LAS = 0x04,
	DCR_MASK = 0x7f,
};

static struct ne2000 *to_ne(struct dev *d)
{
	return CONTAINER_OF(d, struct ne2000, dev);
}

static void update_irq(struct ne2000 *n)
{
	bool level = n->s.isr & n->s.imr & ISR_EVENTS;

	if (n->bus)
		pci_intx_set(&n->f, level);
	else
		irq_set(&n->irq, level);
}

static void cause(struct ne2000 *n, uint8_t bits)
{
	n->s.isr |= bits;
	update_irq(n);
}

/* ------------------------------------------------------------------ card memory */

static uint8_t mem_get(const struct ne2000 *n, uint16_t at)
{
	unsigned i = (at & 31u) / 2;

	if (at >= RAM_AT && at < RAM_AT + NE2000_RAM)
		return n->s.ram[at - RAM_AT];
	if (at >= RAM_AT)
		return 0xff;
	/* the PROM: the address, and WW, by which drivers tell a 16-bit card */
	return i < 6 ? n->mac[i] : i >= 14 ? 0x57 : 0;
}

static void mem_put(struct ne2000 *n, uint16_t at, uint8_t v)
{
	if (at >= RAM_AT && at < RAM_AT + NE2000_RAM)
		n->s.ram[at - RAM_AT] = v;
}

/* ------------------------------------------------------------------ receive */

/*
 * Pages the ring can take before it comes to BNRY (DP8390, 10.0 "receive buffer ring"). The chip
 * compares for equality, and Linux's driver, which keeps BNRY one page behind the next frame,
 * writes PSTART - 1 for a frame at PSTART. At the rate of a wire nothing comes of that; here a
 * sender's whole window would go over the frames that are not read yet. So this one means PSTOP -
 * 1, as the driver does; others outside the ring stop nothing.
 */
static unsigned ring_room(const struct ne2000 *n)
{
	unsigned size = n->s.pstop > n->s.pstart ? n->s.pstop - n->s.pstart : 0, bnry = n->s.bnry;

	if (!size || n->s.curr < n->s.pstart || n->s.curr >= n->s.pstop)
		return 0;
	if (bnry + 1 == n->s.pstart)
		bnry = n->s.pstop - 1u;
	if (bnry < n->s.pstart || bnry >= n->s.pstop)
		return size;
	return bnry > n->s.curr ? bnry - n->s.curr : size - (n->s.curr - bnry);
}

static unsigned pages(size_t len)
{
	return (unsigned)((4 + len + NIC_FCS + PAGE - 1) / PAGE);
}

static bool listens(const struct ne2000 *n)
{
	return (n->s.cr & (CR_STA | CR_STP)) == CR_STA && !(n->s.tcr & TCR_LB);
}

static bool can_receive(struct dev *d)
{
	const struct ne2000 *n = to_ne(d);
	unsigned longest = pages(NIC_FRAME_STD + 4);

	/* Stopped, or with a ring in which a frame never has room: lost on the wire. */
	if (!listens(n) || (n->s.rcr & RCR_MON) || n->s.pstop <= n->s.pstart + longest ||
	    n->s.curr < n->s.pstart || n->s.curr >= n->s.pstop)
		return true;
	return ring_room(n) > longest;
}

/* DP8390, 7.0 "address filtering" */
static bool wanted(const struct ne2000 *n, const uint8_t *dst)
{
	unsigned hash;

	if (nic_is_broadcast(dst))
		return n->s.rcr & RCR_AB;
	if (dst[0] & 1) {
		hash = nic_hash6(dst);
		return (n->s.rcr & RCR_AM) && (n->s.mar[hash >> 3] >> (hash & 7) & 1);
	}
	return (n->s.rcr & RCR_PRO) || !memcmp(dst, n->s.par, 6);
}

/* Tally counters stop at 192, and tell at 128 (DP8390, 11.0). */
static void count(struct ne2000 *n, unsigned which)
{
	if (n->s.tally[which] < 192)
		n->s.tally[which]++;
	if (n->s.tally[which] & 0x80)
		cause(n, ISR_CNT);
}

static void ring_put(struct ne2000 *n, unsigned *at, const uint8_t *p, size_t len)
{
	for (; len; len--) {
		mem_put(n, (uint16_t)*at, *p++);
		if (++*at == n->s.pstop * (unsigned)PAGE)
			*at = n->s.pstart * (unsigned)PAGE;
	}
}

static void receive(struct dev *d, const uint8_t *frame, size_t len)
{
	struct ne2000 *n = to_ne(d);
	unsigned at = n->s.curr * (unsigned)PAGE, need = pages(len), next = n->s.curr + need;
	uint8_t head[4], fcs[NIC_FCS];

	if (!listens(n) || !wanted(n, frame))
		return;
	n->s.rsr = RSR_PRX | (frame[0] & 1 ? RSR_PHY : 0);
	if (n->s.rcr & RCR_MON) {
		n->s.rsr = RSR_DIS | RSR_MPA;
		count(n, 2);
		return;
	}
	if (need >= ring_room(n)) {
		n->s.rsr = RSR_MPA;
		count(n, 2);
		cause(n, ISR_OVW);
		return;
	}
	if (next >= n->s.pstop)
		next -= n->s.pstop - n->s.pstart;
	head[0] = n->s.rsr;
	head[1] = (uint8_t)next;
	st_le16(head + 2, (uint16_t)(len + NIC_FCS));
	st_le32(fcs, nic_fcs(frame, len));
	ring_put(n, &at, head, 4);
	ring_put(n, &at, frame, len);
	ring_put(n, &at, fcs, NIC_FCS);
	n->s.curr = (uint8_t)next;
	cause(n, ISR_PRX);
}

/* ------------------------------------------------------------------ transmit */

/* DP8390, 12.0 "loopback diagnostics", table 2: nothing goes to the ring; the FIFO keeps the end of
 * the packet. */
static void loopback(struct ne2000 *n, const uint8_t *p, size_t len)
{
	static const uint8_t tsr[4] = {0, TSR_CDH | TSR_CRS | 2, TSR_CDH | 2, 2};
	uint32_t fcs = nic_fcs(p, len);
	uint8_t *f = n->s.fifo;

	n->s.tsr = tsr[(n->s.tcr & TCR_LB) >> 1] | TSR_PTX;
	/* a check sequence that the transmitter put there is never checked */
	n->s.rsr = n->s.tcr & TCR_CRC ? RSR_PRX : RSR_CRC;
	f[0] = (uint8_t)(len + NIC_FCS);
	f[1] = f[2] = (uint8_t)((len + NIC_FCS) >> 8);
	f[3] = len ? p[len - 1] : 0;
	st_le32(f + 4, fcs);
	n->s.fifo_at = 0;
	cause(n, ISR_PTX);
}

static void transmit(struct ne2000 *n)
{
	unsigned at = n->s.tpsr * (unsigned)PAGE, len = MIN(n->s.tx_len, NE2000_RAM);
	uint8_t frame[NE2000_RAM];

	for (unsigned i = 0; i < len; i++)
		frame[i] = mem_get(n, (uint16_t)(at + i));
	n->s.cr &= (uint8_t)~CR_TXP;
	if (n->s.tcr & TCR_LB) {
		loopback(n, frame, len);
		return;
	}
	if (len >= 14)
		nic_send(&n->nic, frame, len);
	else
		guest_error(&n->dev, "a packet of %u bytes", len);
	/* without a cable there is no carrier */
	n->s.tsr = n->nic.link_up ? TSR_PTX : TSR_PTX | TSR_CRS;
	cause(n, ISR_PTX);
}

/* ------------------------------------------------------------------ registers */

/* DP8390, 13.0 "initialization": what the reset line does. */
static void chip_reset(struct ne2000 *n)
{
	n->s.cr = CR_STP | CR_RD_ABORT;
	n->s.isr = ISR_RST;
	n->s.imr = 0;
	n->s.dcr |= DCR_LAS;
	n->s.tcr &= (uint8_t)~TCR_LB;
	update_irq(n);
	nic_poll(&n->nic);
}

static void write_cr(struct ne2000 *n, uint8_t v)
{
	uint8_t rd = v & CR_RD;

	/* Neither start nor stop: it goes on as it was (DP8390, 10.1 "command register": STA wakes
	 * it from reset, and only STP puts it there). Drivers pick a page like that while frames
	 * come in. */
	if (!(v & (CR_STP | CR_STA)))
		v |= n->s.cr & (CR_STP | CR_STA);
	/* a transmission ends by itself */
	n->s.cr = v;
	if (v & CR_STP)
		n->s.isr |= ISR_RST;
	else if (v & CR_STA)
		n->s.isr &= (uint8_t)~ISR_RST;
	if (rd == CR_RD_SEND) { /* DP8390, 11.0 "send packet": the frame at BNRY, by its length */
		n->s.remote_at = (uint16_t)(n->s.bnry * PAGE);
		n->s.remote_left = (uint16_t)(mem_get(n, (uint16_t)(n->s.remote_at + 2)) |
					      mem_get(n, (uint16_t)(n->s.remote_at + 3)) << 8);
	} else if (rd && !(rd & CR_RD_ABORT) && !n->s.remote_left) {
		n->s.isr |= ISR_RDC;
	}
	if (!(v & CR_STP) && (v & CR_STA) && (v & CR_TXP))
		transmit(n);
	else
		n->s.cr &= (uint8_t)~CR_TXP;
	update_irq(n);
	nic_poll(&n->nic);
}

static uint8_t read_page0(struct ne2000 *n, unsigned at)
{
	uint8_t v;

	switch (at) {
	case 1: return 0; /* CLDA: between packets */
	case 2: return n->s.curr;
	case 3: return n->s.bnry;
	case 4: return n->s.tsr;
	case 5: return 0; /* NCR: no collisions */
	case 6:
		v = n->s.fifo[n->s.fifo_at & 7];
		n->s.fifo_at = (n->s.fifo_at + 1) & 7;
		return v;
	case 7: return n->s.isr;
	case 8: return (uint8_t)n->s.remote_at;
	case 9: return (uint8_t)(n->s.remote_at >> 8);
	/* RTL8029, 5.1: how drivers tell it */
	case 0x0a: return n->bus ? 0x50 : 0xff;
	case 0x0b: return n->bus ? 0x43 : 0xff;
	case 0x0c: return n->s.rsr;
	default: /* CNTR0 to 2: reading clears */
		v = n->s.tally[at - 0x0d];
		n->s.tally[at - 0x0d] = 0;
		return v;
	}
}

/*
 * Frames in the ring that the driver has not taken: it keeps BNRY one page behind the next one
 * (DP8390, 10.0). A driver that takes a few and acknowledges PRX for all counts on the next frame
 * to tell of those left, and on a wire that comes a millisecond later. Here all of a sender's
 * window is in the ring at once and none may follow until somebody answers. So PRX stays, as if
 * the last frame's end came right after.
 */
static bool has_unread(const struct ne2000 *n)
{
	unsigned next = n->s.bnry + 1u;

	if (next == n->s.pstop)
		next = n->s.pstart;
	return listens(n) && ring_room(n) && n->s.bnry != n->s.curr && next != n->s.curr;
}

static void write_page0(struct ne2000 *n, unsigned at, uint8_t v)
{
	switch (at) {
	case 1: n->s.pstart = v; break;
	case 2: n->s.pstop = v; break;
	case 3: n->s.bnry = v; break;
	case 4: n->s.tpsr = v; break;
	case 5: n->s.tx_len = (uint16_t)((n->s.tx_len & 0xff00) | v); break;
	case 6: n->s.tx_len = (uint16_t)((n->s.tx_len & 0x00ff) | v << 8); break;
	case 7:
		n->s.isr &= (uint8_t) ~(v & ISR_EVENTS); /* RST is a state */
		if ((v & ISR_PRX) && has_unread(n))
			n->s.isr |= ISR_PRX;
		break;
	case 8: n->s.remote_at = (uint16_t)((n->s.remote_at & 0xff00) | v); break;
	case 9: n->s.remote_at = (uint16_t)((n->s.remote_at & 0x00ff) | v << 8); break;
	case 0x0a: n->s.remote_left = (uint16_t)((n->s.remote_left & 0xff00) | v); break;
	case 0x0b: n->s.remote_left = (uint16_t)((n->s.remote_left & 0x00ff) | v << 8); break;
	case 0x0c: n->s.rcr = v & RCR_MASK; break;
	case 0x0d: n->s.tcr = v & TCR_MASK; break;
	case 0x0e: n->s.dcr = v & DCR_MASK; break;
	case 0x0f: n->s.imr = v & ISR_EVENTS; break;
	}
	update_irq(n);
	nic_poll(&n->nic);
}

static uint8_t read_page2(const struct ne2000 *n, unsigned at)
{
	switch (at) {
	case 1: return n->s.pstart;
	case 2: return n->s.pstop;
	case 4: return n->s.tpsr;
	case 0x0c: return n->s.rcr | 0xc0;
	case 0x0d: return n->s.tcr | 0xe0;
	case 0x0e: return n->s.dcr | 0x80;
	case 0x0f: return n->s.imr | 0x80;
	default: return 0xff;
	}
}

/* RTL8029, 5.2: page 3 */
static uint8_t read_page3(const struct ne2000 *n, unsigned at)
{
	if (!n->bus)
		return 0xff;
	switch (at) {
	case 3: return n->s.config[0];
	case 5: return n->s.config[1];
	case 6: return n->s.config[2];
	case 0x0e: return 0x29;
	case 0x0f: return 0x80;
	default: return 0;
	}
}

static uint8_t read_reg(struct ne2000 *n, unsigned at)
{
	if (at == 0)
		return n->s.cr;
	switch (n->s.cr >> 6) {
	case 0: return read_page0(n, at);
	case 1: return at <= 6 ? n->s.par[at - 1] : at == 7 ? n->s.curr : n->s.mar[at - 8];
	case 2: return read_page2(n, at);
	default: return read_page3(n, at);
	}
}

static void write_reg(struct ne2000 *n, unsigned at, uint8_t v)
{
	if (at == 0) {
		write_cr(n, v);
		return;
	}
	switch (n->s.cr >> 6) {
	case 0: write_page0(n, at, v); break;
	case 1:
		if (at <= 6)
			n->s.par[at - 1] = v;
		else if (at == 7)
			n->s.curr = v;
		else
			n->s.mar[at - 8] = v;
		nic_poll(&n->nic);
		break;
	case 3:
		if (n->bus && at == 5)
			n->s.config[1] = v & 0x40; /* flow control; the rest comes from EEPROM */
		else if (n->bus && at == 6)
			n->s.config[2] = v & 0x46;
		break;
	}
}

/* ------------------------------------------------------------------ remote DMA */

/* The counters after @bytes went through the data port (DP8390, 11.0 "remote DMA"). */
static void remote_moved(struct ne2000 *n, unsigned bytes)
{
	unsigned at = n->s.remote_at + bytes;

	/* the ring's end leads to its beginning */
	if (at == n->s.pstop * (unsigned)PAGE)
		at = n->s.pstart * (unsigned)PAGE;
	n->s.remote_at = (uint16_t)at;
	if (n->s.remote_left > bytes) {
		n->s.remote_left = (uint16_t)(n->s.remote_left - bytes);
		return;
	}
	n->s.remote_left = 0;
	cause(n, ISR_RDC);
}

/* Bytes that an access of @size moves: a card in word mode moves words. */
static unsigned unit(const struct ne2000 *n, unsigned size)
{
	return MAX(size, n->s.dcr & DCR_WTS ? 2u : 1u);
}

static uint32_t data_read(struct ne2000 *n, unsigned size)
{
	unsigned bytes = unit(n, size), step = n->s.dcr & DCR_WTS ? 2 : 1;
	uint32_t v = 0;

	if (!n->s.remote_left)
		return (uint32_t)mask_bytes(size);
	for (unsigned i = 0; i < bytes; i += step) {
		for (unsigned k = 0; k < step; k++)
			v |= (uint32_t)mem_get(n, (uint16_t)(n->s.remote_at + k)) << 8 * (i + k);
		if (n->s.remote_left)
			remote_moved(n, step);
	}
	return v & (uint32_t)mask_bytes(size);
}

static void data_write(struct ne2000 *n, unsigned size, uint32_t v)
{
	unsigned bytes = unit(n, size), step = n->s.dcr & DCR_WTS ? 2 : 1;

	for (unsigned i = 0; i < bytes && n->s.remote_left; i += step) {
		for (unsigned k = 0; k < step; k++)
			mem_put(n, (uint16_t)(n->s.remote_at + k), (uint8_t)(v >> 8 * (i + k)));
		remote_moved(n, step);
	}
}

static uint64_t ports_read(struct ne2000 *n, uint64_t off, unsigned size)
{
	uint64_t v = 0;

	if (off >= DATA && off < RESET)
		return data_read(n, size);
	for (unsigned i = 0; i < size; i++) {
		if (off + i < DATA)
			v |= (uint64_t)read_reg(n, (unsigned)off + i) << 8 * i;
		else
			chip_reset(n);
	}
	return v;
}

static void ports_write(struct ne2000 *n, uint64_t off, unsigned size, uint64_t val)
{
	if (off >= DATA && off < RESET) {
		data_write(n, size, (uint32_t)val);
		return;
	}
	for (unsigned i = 0; i < size; i++) {
		if (off + i < DATA)
			write_reg(n, (unsigned)off + i, (uint8_t)(val >> 8 * i));
		else
			chip_reset(n);
	}
}

static uint64_t io_read(void *ctx, uint64_t off, unsigned size)
{
	return ports_read(ctx, off, size);
}

static void io_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	ports_write(ctx, off, size, val);
}

static uint64_t isa_read(struct dev *d, uint64_t off, unsigned size)
{
	return ports_read(to_ne(d), off, size);
}

static void isa_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	ports_write(to_ne(d), off, size, val);
}

/* ------------------------------------------------------------------ life cycle */

static void on_link(struct dev *d, bool up)
{
	(void)d; /* the card cannot tell */
	(void)up;
}

static int add_function(struct ne2000 *n, struct error *err)
{
	static const struct pci_ids ids = {.vendor = 0x10ec,
					   .device = 0x8029,
					   .subsystem_vendor = 0x10ec,
					   .subsystem = 0x8029,
					   .cls = 0x0200,
					   .interrupt_pin = 1};
	int r = 0;

	if (!n->bus)
		return error_set(err, -EINVAL, "'%s': wire 'bus' before realizing", n->dev.id);
	pci_func_init(&n->f, &n->dev, &n->s.pci, &ids);
	n->io = (struct bus_region){.name = "ne2000",
				    .size = PORTS,
				    .valid = WIDTH_124,
				    .read = io_read,
				    .write = io_write,
				    .ctx = n};
	pci_bar_add(&n->f, 0, PCI_BAR_IO, &n->io);
	if (n->rom)
		r = pci_rom_add(&n->f, n->rom, n->rom_len, err);
	if (r == 0 && !n->devfn) {
		r = pci_bus_free_slot(n->bus, 2);
		if (r < 0)
			return error_set(err, r, "no free PCI slot for '%s'", n->dev.id);
		n->devfn = PCI_DEVFN((unsigned)r, 0);
		r = 0;
	}
	return r < 0 ? r : pci_func_add(&n->f, n->bus, n->devfn, err);
}

static int connect_net(struct ne2000 *n, struct error *err)
{
	static const struct nic_ops ops = {
		.can_receive = can_receive, .receive = receive, .link = on_link};

	return nic_init(&n->nic, &n->dev, &ops, n->net, n->mac, err);
}

static int pci_realize(struct dev *d, struct error *err)
{
	int r = add_function(to_ne(d), err);

	return r < 0 ? r : connect_net(to_ne(d), err);
}

static int isa_realize(struct dev *d, struct error *err)
{
	return connect_net(to_ne(d), err);
}

static void pci_unrealize(struct dev *d)
{
	nic_done(&to_ne(d)->nic);
	pci_func_done(&to_ne(d)->f);
}

static void isa_unrealize(struct dev *d)
{
	nic_done(&to_ne(d)->nic);
}

static void ne2000_reset(struct dev *d, enum dev_reset kind)
{
	struct ne2000 *n = to_ne(d);

	if (n->bus)
		pci_func_reset(&n->f, kind);
	memset((uint8_t *)&n->s + sizeof(n->s.pci), 0, sizeof(n->s) - sizeof(n->s.pci));
	memcpy(n->s.par, n->mac, 6);
	n->s.config[1] = 0x20; /* RTL8029, 5.2.4: full duplex is off, no boot ROM */
	chip_reset(n);
}

static int ne2000_quiesce(struct dev *d)
{
	nic_stop(&to_ne(d)->nic);
	return 0;
}

static void ne2000_resume(struct dev *d)
{
	nic_go(&to_ne(d)->nic);
}

static int pci_loaded(struct dev *d, struct error *err)
{
	return pci_func_loaded(&to_ne(d)->f, err);
}

static int isa_loaded(struct dev *d, struct error *err)
{
	struct ne2000 *n = to_ne(d);

	memset(&n->s.pci, 0, sizeof(n->s.pci)); /* there is none */
	update_irq(n);
	return 0;
}

/* clang-format off */
static const struct state_field ne2000_fields[] = {
	STATE_STRUCT(struct ne2000_regs, pci, pci_regs_fields),
	STATE_VAL(struct ne2000_regs, remote_at),
	STATE_VAL(struct ne2000_regs, remote_left),
	STATE_VAL(struct ne2000_regs, tx_len),
	STATE_VAL(struct ne2000_regs, cr),
	STATE_VAL(struct ne2000_regs, pstart),
	STATE_VAL(struct ne2000_regs, pstop),
	STATE_VAL(struct ne2000_regs, bnry),
	STATE_VAL(struct ne2000_regs, tpsr),
	STATE_VAL(struct ne2000_regs, tsr),
	STATE_VAL(struct ne2000_regs, isr),
	STATE_VAL(struct ne2000_regs, rsr),
	STATE_VAL(struct ne2000_regs, rcr, .max = RCR_MASK),
	STATE_VAL(struct ne2000_regs, tcr, .max = TCR_MASK),
	STATE_VAL(struct ne2000_regs, dcr, .max = DCR_MASK),
	STATE_VAL(struct ne2000_regs, imr, .max = ISR_EVENTS),
	STATE_VAL(struct ne2000_regs, curr),
	STATE_BYTES_OF(struct ne2000_regs, tally),
	STATE_BYTES_OF(struct ne2000_regs, par),
	STATE_BYTES_OF(struct ne2000_regs, mar),
	STATE_BYTES_OF(struct ne2000_regs, fifo),
	STATE_VAL(struct ne2000_regs, fifo_at, .max = 7),
	STATE_BYTES_OF(struct ne2000_regs, config),
	STATE_PAD(struct ne2000_regs, pad_),
	STATE_BYTES_OF(struct ne2000_regs, ram),
	STATE_END};

static const struct state_desc pci_state =
	STATE_DESC("ne2k_pci", 1, struct ne2000_regs, ne2000_fields);
static const struct state_desc isa_state =
	STATE_DESC("ne2k_isa", 1, struct ne2000_regs, ne2000_fields);
/* clang-format on */

static const struct dev_region isa_regions[] = {
	{"ne2000", DEV_PIO, 0, PORTS, WIDTH_124, WIDTH_124, isa_read, isa_write}, {0}};

const struct dev_class ne2k_pci_class = {
	.name = "ne2k_pci",
	.summary = "RTL8029AS Ethernet, an NE2000 on PCI",
	.spec = "National DP8390D; Realtek RTL8029AS rev. 1.6",
	.size = sizeof(struct ne2000),
	.regs_offset = offsetof(struct ne2000, s),
	.state = &pci_state,
	.realize = pci_realize,
	.unrealize = pci_unrealize,
	.reset = ne2000_reset,
	.quiesce = ne2000_quiesce,
	.resume = ne2000_resume,
	.loaded = pci_loaded,
};

const struct dev_class ne2k_isa_class = {
	.name = "ne2k_isa",
	.summary = "NE2000 Ethernet on ISA",
	.spec = "National DP8390D; Novell NE2000",
	.size = sizeof(struct ne2000),
	.regs_offset = offsetof(struct ne2000, s),
	.regions = isa_regions,
	.state = &isa_state,
	.realize = isa_realize,
	.unrealize = isa_unrealize,
	.reset = ne2000_reset,
	.quiesce = ne2000_quiesce,
	.resume = ne2000_resume,
	.loaded = isa_loaded,
};
