/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel 82540EM Gigabit Ethernet controller: registers, interrupts, PCI function. Intel PCI/PCI-X
 * Family of Gigabit Ethernet Controllers Software Developer's Manual, 317453-006 ("SDM"). The rest
 * is in e1000_phy.c, e1000_rx.c and e1000_tx.c.
 *
 *   BAR 0: 128 KiB of registers, dwords · BAR 2: IOADDR, IODATA, a window on them (SDM, 13.1.1)
 *
 * Registers that only hold a value are rows of a table; those that do something are in reg_read()
 * and reg_write(). The interrupt is one level: causes in ICR, enabled by IMS, held back until
 * `irq_after` by ITR (in units of 256 ns) once it was raised. RXT0 and TXDW may come later than
 * their packets (RDTR, RADV, TIDV).
 *
 * UNMODELLED: packet buffer memory, FIFO pointers (hold what is written); flow control (no pause
 * frames); wake-up (registers hold what is written, no packet wakes); flash; MSI, PCI-X and power
 * management capabilities; the forms of STATUS for forced speeds; multiple of 82542 addresses.
 */
#include "device/net/e1000.h"

#include <errno.h>

#include "base/bits.h"
#include "device/net/e1000_internal.h"

enum { MMIO_SIZE = 128 * 1024, IO_SIZE = 64, DESC = 16 };
/* Registers that are not in the table. */
enum {
	A_STATUS = 0x0008,
	A_ICR = 0x00c0,
	A_ICS = 0x00c8,
	A_IMS = 0x00d0,
	A_IMC = 0x00d8,
	A_STATS = 0x4000,
	A_MTA = 0x5200,
	A_RA = 0x5400,
	A_VFTA = 0x5600,
	A_WUPM = 0x5a00,
	A_FFLT = 0x5f00,
	A_FFMT = 0x9000,
	A_FFVT = 0x9800,
};
enum {
	STATUS_FD = 0x001,
	STATUS_LU = 0x002,
	STATUS_1000 = 0x280, /* SPEED and ASDV */
	EECD_SK = 0x001,
	EECD_CS = 0x002,
	EECD_DI = 0x004,
	EECD_DO = 0x008,
	EECD_REQ = 0x040,
	EECD_GNT = 0x080,
	EECD_PRES = 0x100,
	EERD_START = 0x01,
	EERD_DONE = 0x10,
	RDTR_FPD = 31,
};

/* Registers that hold a value: address, writable bits, value after a reset (SDM, 13.4 to 13.6). */
/* clang-format off */
static const struct {
	uint16_t at;
	uint32_t mask, reset;
} regs[R_COUNT] = {
	[R_CTRL] = {0x0000, 0x7bffffff & ~(1u << 26), CTRL_FD | CTRL_SLU | CTRL_SPEED_1000},
	[R_EECD] = {0x0010, 0x00000077, 0x10}, [R_EERD] = {0x0014, 0, 0},
	[R_CTRL_EXT] = {0x0018, 0xffffcfff, 0}, [R_FLA] = {0x001c, 0, 0},
	[R_MDIC] = {0x0020, 0, 1 << 28},
	[R_FCAL] = {0x0028, 0xffffffff, 0}, [R_FCAH] = {0x002c, 0xffff, 0},
	[R_FCT] = {0x0030, 0xffff, 0}, [R_VET] = {0x0038, 0xffff, 0x8100},
	[R_ICR] = {A_ICR, 0, 0}, [R_ITR] = {0x00c4, 0xffff, 0}, [R_IMS] = {A_IMS, 0, 0},
	[R_RCTL] = {0x0100, 0x07fffffe, 0}, [R_FCTTV] = {0x0170, 0xffff, 0},
	[R_TXCW] = {0x0178, 0xffffffff, 0}, [R_TCTL] = {0x0400, 0x03fffffa, 0},
	[R_TIPG] = {0x0410, 0x3fffffff, 0x00602008}, [R_TBT] = {0x0448, 0xffffffff, 0},
	[R_AIFS] = {0x0458, 0xffff, 0}, [R_LEDCTL] = {0x0e00, 0xffffffff, 0x07061302},
	[R_PBA] = {0x1000, 0xffff, 0x00100030}, [R_FCRTL] = {0x2160, 0x8000fff8, 0},
	[R_FCRTH] = {0x2168, 0x0000fff8, 0},
	[R_RDFH] = {0x2410, 0x1fff, 0}, [R_RDFT] = {0x2418, 0x1fff, 0},
	[R_RDFHS] = {0x2420, 0x1fff, 0}, [R_RDFTS] = {0x2428, 0x1fff, 0},
	[R_RDFPC] = {0x2430, 0x1fff, 0},
	[R_RDBAL] = {0x2800, 0xfffffff0, 0}, [R_RDBAH] = {0x2804, 0xffffffff, 0},
	[R_RDLEN] = {0x2808, 0x000fff80, 0}, [R_RDH] = {0x2810, 0xffff, 0},
	[R_RDT] = {0x2818, 0xffff, 0}, [R_RDTR] = {0x2820, 0xffff, 0},
	[R_RXDCTL] = {0x2828, 0xffffffff, 0x01010000}, [R_RADV] = {0x282c, 0xffff, 0},
	[R_RSRPD] = {0x2c00, 0x0fff, 0}, [R_TXDMAC] = {0x3000, 1, 0},
	[R_TDFH] = {0x3410, 0x1fff, 0}, [R_TDFT] = {0x3418, 0x1fff, 0},
	[R_TDFHS] = {0x3420, 0x1fff, 0}, [R_TDFTS] = {0x3428, 0x1fff, 0},
	[R_TDFPC] = {0x3430, 0x1fff, 0},
	[R_TDBAL] = {0x3800, 0xfffffff0, 0}, [R_TDBAH] = {0x3804, 0xffffffff, 0},
	[R_TDLEN] = {0x3808, 0x000fff80, 0}, [R_TDH] = {0x3810, 0xffff, 0},
	[R_TDT] = {0x3818, 0xffff, 0}, [R_TIDV] = {0x3820, 0xffff, 0},
	[R_TXDCTL] = {0x3828, 0xffffffff, 0}, [R_TADV] = {0x382c, 0xffff, 0},
	[R_TSPMT] = {0x3830, 0xffffffff, 0x01000400}, [R_RXCSUM] = {0x5000, 0x3ff, 0},
	[R_WUC] = {0x5800, 0x0f, 0}, [R_WUFC] = {0x5808, 0xf80ff, 0}, [R_WUS] = {0x5810, 0, 0},
	[R_MANC] = {0x5820, 0xffffffff, 0},
	[R_IPAV] = {0x5838, 0x1000f, 0}, [R_IP4AT0] = {0x5848, 0xffffffff, 0},
	[R_IP4AT1] = {0x5850, 0xffffffff, 0}, [R_IP4AT2] = {0x5858, 0xffffffff, 0},
	[R_IP6AT0] = {0x5880, 0xffffffff, 0}, [R_IP6AT1] = {0x5884, 0xffffffff, 0},
	[R_IP6AT2] = {0x5888, 0xffffffff, 0}, [R_IP6AT3] = {0x588c, 0xffffffff, 0},
	[R_WUPL] = {0x5900, 0xfff, 0},
};
/* clang-format on */

/* ------------------------------------------------------------------ interrupts */

static void update_irq(struct e1000 *e)
{
	ns_t now;

	if (!(e->s.reg[R_ICR] & e->s.reg[R_IMS])) {
		pci_intx_set(&e->f, false);
		vtimer_cancel(&e->irq_timer);
		return;
	}
	if (e->s.pci.intx)
		return;
	now = clock_now(e->dev.sv->clock);
	if (now < e->s.irq_after) {
		vtimer_arm(&e->irq_timer, e->s.irq_after);
		return;
	}
	/* SDM, 13.4.18 */
	e->s.irq_after = e->s.reg[R_ITR] ? now + e->s.reg[R_ITR] * 256ull : 0;
	pci_intx_set(&e->f, true);
}

static void on_irq_timer(void *ctx)
{
	struct e1000 *e = ctx;

	e->s.irq_after = 0;
	update_irq(e);
}

void e1000_cause(struct e1000 *e, uint32_t bits)
{
	e->s.reg[R_ICR] |= bits & ICR_MASK;
	update_irq(e);
}

void e1000_delay(struct e1000 *e)
{
	ns_t at = MIN(e->s.rx_at ? e->s.rx_at : UINT64_MAX, e->s.tx_at ? e->s.tx_at : UINT64_MAX);

	if (at != UINT64_MAX)
		vtimer_arm(&e->delay_timer, at);
	else
		vtimer_cancel(&e->delay_timer);
}

static void on_delay(void *ctx)
{
	struct e1000 *e = ctx;
	ns_t now = clock_now(e->dev.sv->clock);
	uint32_t cause = 0;

	if (e->s.rx_at && e->s.rx_at <= now) {
		cause |= ICR_RXT0;
		e->s.rx_at = e->s.rx_first = 0;
	}
	if (e->s.tx_at && e->s.tx_at <= now) {
		cause |= ICR_TXDW;
		e->s.tx_at = 0;
	}
	e1000_delay(e);
	e1000_cause(e, cause);
}

static void on_tx_timer(void *ctx)
{
	e1000_transmit(ctx);
}

/* ------------------------------------------------------------------ statistics */

void e1000_count(struct e1000 *e, unsigned stat)
{
	if (e->s.stat[stat] != UINT32_MAX)
		e->s.stat[stat]++;
}

static void add_octets(struct e1000 *e, unsigned stat, size_t len)
{
	uint64_t n = e->s.stat[stat] | (uint64_t)e->s.stat[stat + 1] << 32;

	n = n + len < n ? UINT64_MAX : n + len;
	e->s.stat[stat] = (uint32_t)n;
	e->s.stat[stat + 1] = (uint32_t)(n >> 32);
}

void e1000_count_frame(struct e1000 *e, bool tx, const uint8_t *dst, size_t len)
{
	static const uint16_t most[] = {64, 127, 255, 511, 1023};
	unsigned bucket = 0;

	while (bucket < ARRAY_SIZE(most) && len > most[bucket])
		bucket++;
	e1000_count(e, (tx ? ST_PTC64 : ST_PRC64) + bucket);
	e1000_count(e, tx ? ST_GPTC : ST_GPRC);
	add_octets(e, tx ? ST_GOTCL : ST_GORCL, len);
	add_octets(e, tx ? ST_TOTL : ST_TORL, len);
	if (tx)
		e1000_count(e, ST_TPT);
	if (nic_is_broadcast(dst))
		e1000_count(e, tx ? ST_BPTC : ST_BPRC);
	else if (dst[0] & 1)
		e1000_count(e, tx ? ST_MPTC : ST_MPRC);
}

/* Clear on read; the halves of the wide ones when the upper is read (SDM, 13.7). */
static uint32_t stat_read(struct e1000 *e, unsigned n)
{
	static const uint8_t wide[] = {ST_GORCL, ST_GOTCL, ST_TORL, ST_TOTL};
	uint32_t v = e->s.stat[n];

	for (unsigned i = 0; i < ARRAY_SIZE(wide); i++) {
		if (n == wide[i])
			return v;
		if (n == wide[i] + 1u)
			e->s.stat[n - 1] = 0;
	}
	e->s.stat[n] = 0;
	return v;
}

/* ------------------------------------------------------------------ rings */

unsigned e1000_ring(const struct e1000 *e, unsigned base)
{
	/* base low, base high, length, head, tail: one after the other in both rings */
	const uint32_t *r = &e->s.reg[base];
	uint32_t n = r[2] / DESC, head = r[3], tail = r[4];

	if (head >= n || tail >= n)
		return 0;
	return tail >= head ? tail - head : n - head + tail;
}

gpa_t e1000_desc_at(const struct e1000 *e, unsigned base, uint32_t n)
{
	return (e->s.reg[base] | (uint64_t)e->s.reg[base + 1] << 32) + (uint64_t)n * DESC;
}

/* ------------------------------------------------------------------ registers */

/* SDM, 14.3: a reset by software. The PHY, its link and the EEPROM are left alone. */
static void soft_reset(struct e1000 *e)
{
	for (unsigned i = 0; i < R_COUNT; i++)
		e->s.reg[i] = regs[i].reset;
	memset(e->s.ra, 0, sizeof(e->s.ra));
	memset(e->s.mta, 0, sizeof(e->s.mta));
	memset(e->s.vfta, 0, sizeof(e->s.vfta));
	memset(e->s.stat, 0, sizeof(e->s.stat));
	e->s.ra[0] = e->s.eeprom.word[0] | (uint32_t)e->s.eeprom.word[1] << 16;
	e->s.ra[1] = e->s.eeprom.word[2] | 0x80000000;
	e->s.rx_at = e->s.tx_at = e->s.rx_first = e->s.irq_after = 0;
	e1000_tx_reset(e);
	e1000_delay(e);
	vtimer_cancel(&e->tx_timer);
	update_irq(e);
}

/* Memory that is not a register of its own: its array, or NULL. */
static uint32_t *table_at(struct e1000 *e, uint64_t at, uint32_t *ret_mask)
{
	const struct {
		uint32_t at, size;
		uint32_t *table;
	} tables[] = {
		{A_MTA, sizeof(e->s.mta), e->s.mta},
		{A_RA, sizeof(e->s.ra), e->s.ra},
		{A_VFTA, sizeof(e->s.vfta), e->s.vfta},
		{A_WUPM, sizeof(e->s.wupm), e->s.wupm},
		{A_FFMT, 2 * sizeof(e->s.ffmt), e->s.ffmt},
		{A_FFVT, 2 * sizeof(e->s.ffvt), e->s.ffvt},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
		uint64_t n = (at - tables[i].at) / 4;

		if (at < tables[i].at || at - tables[i].at >= tables[i].size)
			continue;
		*ret_mask = tables[i].table == e->s.ra && (n & 1) ? 0x8003ffff : UINT32_MAX;
		if (tables[i].at >= A_FFMT) { /* every other dword is there */
			if (n & 1)
				return NULL;
			n /= 2;
		}
		return &tables[i].table[n];
	}
	return NULL;
}

static uint32_t reg_read(struct e1000 *e, uint64_t at)
{
	unsigned n = at < sizeof(e->index) * 4 ? e->index[at / 4] : 0;
	uint32_t v, mask, *word;

	switch (at) {
	case A_STATUS: return STATUS_FD | STATUS_1000 | (e1000_link(e) ? STATUS_LU : 0);
	case A_ICR: /* SDM, 13.4.17: reading clears */
		v = e->s.reg[R_ICR];
		e->s.reg[R_ICR] = 0;
		update_irq(e);
		return v;
	}
	if (n == R_EECD)
		return (e->s.reg[n] & ~(uint32_t)EECD_DO) | EECD_PRES |
		       (e->s.reg[n] & EECD_REQ ? EECD_GNT : 0) |
		       (nic_eeprom_pins(&e->s.eeprom, e->s.reg[n] & EECD_CS, e->s.reg[n] & EECD_SK,
					e->s.reg[n] & EECD_DI)
				? EECD_DO
				: 0);
	if (n)
		return e->s.reg[n];
	if (at >= A_STATS && at < A_STATS + 4 * ST_END)
		return stat_read(e, (unsigned)(at - A_STATS) / 4);
	word = table_at(e, at, &mask);
	return word ? *word : 0;
}

static void write_ctrl(struct e1000 *e, uint32_t val)
{
	if (val & CTRL_RST) {
		soft_reset(e);
		return;
	}
	if (val & 1u << 31) { /* PHY_RST */
		e1000_phy_reset(e);
		e1000_cause(e, ICR_LSC);
	}
	e->s.reg[R_CTRL] = val & regs[R_CTRL].mask;
}

static void write_plain(struct e1000 *e, unsigned n, uint32_t val)
{
	if (n == R_CTRL) {
		write_ctrl(e, val);
		return;
	}
	e->s.reg[n] = (e->s.reg[n] & ~regs[n].mask) | (val & regs[n].mask);
	switch (n) {
	case R_EECD:
		nic_eeprom_pins(&e->s.eeprom, val & EECD_CS, val & EECD_SK, val & EECD_DI);
		break;
	case R_EERD:
		if (val & EERD_START)
			e->s.reg[n] = (val & 0xff00) | EERD_DONE |
				      (uint32_t)e->s.eeprom.word[val >> 8 & (NIC_EEPROM_WORDS - 1)]
					      << 16;
		break;
	case R_MDIC: e1000_mdic(e, val); break;
	case R_WUS: e->s.reg[n] &= ~val; break;
	case R_RCTL:
	case R_RDT:
	case R_RDLEN:
	case R_RDH: nic_poll(&e->nic); break;
	case R_RDTR:
		if (val >> RDTR_FPD && e->s.rx_at) { /* SDM, 13.4.30: told at once */
			e->s.rx_at = e->s.rx_first = 0;
			e1000_delay(e);
			e1000_cause(e, ICR_RXT0);
		}
		break;
	case R_TCTL:
	case R_TDT: e1000_transmit(e); break;
	}
}

static void reg_write(struct e1000 *e, uint64_t at, uint32_t val)
{
	unsigned n = at < sizeof(e->index) * 4 ? e->index[at / 4] : 0;
	uint32_t mask, *word;

	switch (at) {
	case A_ICR: /* writing 1 clears */
		e->s.reg[R_ICR] &= ~val;
		update_irq(e);
		return;
	case A_ICS: e1000_cause(e, val); return;
	case A_IMS:
		e->s.reg[R_IMS] |= val & ICR_MASK;
		update_irq(e);
		return;
	case A_IMC:
		e->s.reg[R_IMS] &= ~val;
		update_irq(e);
		return;
	}
	if (n) {
		write_plain(e, n, val);
		return;
	}
	word = table_at(e, at, &mask);
	if (word)
		*word = val & mask;
}

static uint64_t mmio_read(void *ctx, uint64_t off, unsigned size)
{
	return reg_read(ctx, off);
}

static void mmio_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	reg_write(ctx, off, (uint32_t)val);
}

/* SDM, 13.1.1.2: IOADDR, IODATA; the address is of a dword inside BAR 0. */
static uint64_t io_read(void *ctx, uint64_t off, unsigned size)
{
	struct e1000 *e = ctx;

	if (off == 0)
		return e->s.io_addr;
	return off == 4 && e->s.io_addr < MMIO_SIZE ? reg_read(e, e->s.io_addr & ~3u) : 0;
}

static void io_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct e1000 *e = ctx;

	if (off == 0)
		e->s.io_addr = (uint32_t)val;
	else if (off == 4 && e->s.io_addr < MMIO_SIZE)
		reg_write(e, e->s.io_addr & ~3u, (uint32_t)val);
}

/* ------------------------------------------------------------------ life cycle */

static void on_link(struct dev *d, bool up)
{
	e1000_link_changed(to_e1000(d));
}

static int add_function(struct e1000 *e, struct error *err)
{
	static const struct pci_ids ids = {.vendor = 0x8086,
					   .device = 0x100e,
					   .subsystem_vendor = 0x8086,
					   .subsystem = 0x001e,
					   .revision = 2,
					   .cls = 0x0200,
					   .interrupt_pin = 1};
	int r = 0;

	pci_func_init(&e->f, &e->dev, &e->s.pci, &ids);
	e->mmio = (struct bus_region){.name = "e1000",
				      .size = MMIO_SIZE,
				      .valid = WIDTH_ANY,
				      .impl = WIDTH_4,
				      .read = mmio_read,
				      .write = mmio_write,
				      .ctx = e};
	e->io = (struct bus_region){.name = "e1000-io",
				    .size = IO_SIZE,
				    .valid = WIDTH_124,
				    .impl = WIDTH_4,
				    .read = io_read,
				    .write = io_write,
				    .ctx = e};
	pci_bar_add(&e->f, 0, PCI_BAR_MEM32, &e->mmio);
	pci_bar_add(&e->f, 2, PCI_BAR_IO, &e->io);
	if (e->rom)
		r = pci_rom_add(&e->f, e->rom, e->rom_len, err);
	if (r == 0 && !e->devfn) {
		r = pci_bus_free_slot(e->bus, 2);
		if (r < 0)
			return error_set(err, r, "no free PCI slot for '%s'", e->dev.id);
		e->devfn = PCI_DEVFN((unsigned)r, 0);
		r = 0;
	}
	return r < 0 ? r : pci_func_add(&e->f, e->bus, e->devfn, err);
}

static int e1000_realize(struct dev *d, struct error *err)
{
	static const struct nic_ops ops = {
		.can_receive = e1000_can_receive, .receive = e1000_receive, .link = on_link};
	struct e1000 *e = to_e1000(d);
	int r;

	if (!e->bus)
		return error_set(err, -EINVAL, "'%s': wire 'bus' before realizing", d->id);
	vtimer_init(&e->link_timer, d->sv->clock, e1000_link_timer, e);
	vtimer_init(&e->irq_timer, d->sv->clock, on_irq_timer, e);
	vtimer_init(&e->delay_timer, d->sv->clock, on_delay, e);
	vtimer_init(&e->tx_timer, d->sv->clock, on_tx_timer, e);
	for (unsigned i = 1; i < R_COUNT; i++)
		e->index[regs[i].at / 4] = (uint8_t)i;
	e1000_eeprom_init(e);
	r = add_function(e, err);
	return r < 0 ? r : nic_init(&e->nic, d, &ops, e->net, e->mac, err);
}

static void e1000_unrealize(struct dev *d)
{
	struct e1000 *e = to_e1000(d);
	struct vtimer *t[] = {&e->link_timer, &e->irq_timer, &e->delay_timer, &e->tx_timer};

	nic_done(&e->nic);
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++)
		if (t[i]->clock)
			vtimer_cancel(t[i]);
	pci_func_done(&e->f);
}

static void e1000_reset(struct dev *d, enum dev_reset kind)
{
	struct e1000 *e = to_e1000(d);

	pci_func_reset(&e->f, kind);
	nic_eeprom_deselect(&e->s.eeprom);
	memset(e->s.ffmt, 0, sizeof(e->s.ffmt));
	memset(e->s.ffvt, 0, sizeof(e->s.ffvt));
	memset(e->s.wupm, 0, sizeof(e->s.wupm));
	e->s.io_addr = 0;
	e1000_phy_reset(e);
	soft_reset(e);
	nic_poll(&e->nic);
}

static int e1000_quiesce(struct dev *d)
{
	nic_stop(&to_e1000(d)->nic);
	return 0;
}

static void e1000_resume(struct dev *d)
{
	struct e1000 *e = to_e1000(d);

	nic_go(&e->nic);
	e1000_transmit(e);
}

static int e1000_loaded(struct dev *d, struct error *err)
{
	struct e1000 *e = to_e1000(d);
	ns_t now = clock_now(d->sv->clock), never = 4096 * NS_PER_SEC;
	int r = pci_func_loaded(&e->f, err);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < R_COUNT; i++)
		if (regs[i].mask && i != R_EECD)
			e->s.reg[i] &= regs[i].mask | regs[i].reset;
	e->s.reg[R_NONE] = 0;
	e->s.reg[R_ICR] &= ICR_MASK;
	e->s.reg[R_IMS] &= ICR_MASK;
	/* what is due far away would never come */
	e->s.link_at = MIN(e->s.link_at, now + never);
	e->s.irq_after = MIN(e->s.irq_after, now + never);
	e->s.rx_at = MIN(e->s.rx_at, now + never);
	e->s.tx_at = MIN(e->s.tx_at, now + never);
	if (e->s.link_at)
		vtimer_arm(&e->link_timer, e->s.link_at);
	else
		vtimer_cancel(&e->link_timer);
	if (!e->s.pci.intx && (e->s.reg[R_ICR] & e->s.reg[R_IMS]))
		vtimer_arm(&e->irq_timer, e->s.irq_after);
	else
		vtimer_cancel(&e->irq_timer);
	e1000_delay(e);
	if (e1000_ring(e, R_TDBAL))
		vtimer_arm(&e->tx_timer, now);
	return 0;
}

/* clang-format off */
static const struct state_field e1000_fields[] = {
	STATE_STRUCT(struct e1000_regs, pci, pci_regs_fields),
	STATE_STRUCT(struct e1000_regs, eeprom, nic_eeprom_fields),
	STATE_ARRAY(struct e1000_regs, reg),
	STATE_ARRAY(struct e1000_regs, ra),
	STATE_ARRAY(struct e1000_regs, mta),
	STATE_ARRAY(struct e1000_regs, vfta),
	STATE_ARRAY(struct e1000_regs, ffmt),
	STATE_ARRAY(struct e1000_regs, ffvt),
	STATE_ARRAY(struct e1000_regs, wupm),
	STATE_ARRAY(struct e1000_regs, stat),
	STATE_ARRAY(struct e1000_regs, phy),
	STATE_VAL(struct e1000_regs, link_at),
	STATE_VAL(struct e1000_regs, irq_after),
	STATE_VAL(struct e1000_regs, rx_at),
	STATE_VAL(struct e1000_regs, tx_at),
	STATE_VAL(struct e1000_regs, rx_first),
	STATE_VAL(struct e1000_regs, io_addr),
	STATE_STRUCT(struct e1000_regs, plain, e1000_offload_fields),
	STATE_STRUCT(struct e1000_regs, tso, e1000_offload_fields),
	STATE_VAL(struct e1000_regs, tx_len, .max = E1000_TX_MAX),
	STATE_VAL(struct e1000_regs, tx_sent),
	STATE_VAL(struct e1000_regs, tx_index),
	STATE_VAL(struct e1000_regs, tx_tag),
	STATE_VAL(struct e1000_regs, tx_cso),
	STATE_VAL(struct e1000_regs, tx_css),
	STATE_VAL(struct e1000_regs, tx_popts, .max = 3),
	STATE_VAL(struct e1000_regs, tx_open),
	STATE_VAL(struct e1000_regs, tx_tse),
	STATE_VAL(struct e1000_regs, tx_vlan),
	STATE_VAL(struct e1000_regs, tx_sum),
	STATE_VAL(struct e1000_regs, tx_bad),
	STATE_PAD(struct e1000_regs, pad_),
	STATE_BYTES_OF(struct e1000_regs, tx_buf),
	STATE_END};

static const struct state_desc e1000_state = STATE_DESC("e1000", 1, struct e1000_regs, e1000_fields);
/* clang-format on */

const struct dev_class e1000_class = {
	.name = "e1000",
	.summary = "82540EM gigabit Ethernet",
	.spec = "Intel 317453-006, 8254x Software Developer's Manual",
	.size = sizeof(struct e1000),
	.regs_offset = offsetof(struct e1000, s),
	.state = &e1000_state,
	.realize = e1000_realize,
	.unrealize = e1000_unrealize,
	.reset = e1000_reset,
	.quiesce = e1000_quiesce,
	.resume = e1000_resume,
	.loaded = e1000_loaded,
};
