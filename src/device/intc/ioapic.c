/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel 82093AA I/O APIC: 24 interrupt inputs to messages on the system bus.
 *
 * Documents: Intel 82093AA data sheet (order 290566-001, "DS"); version 20h and the EOI register as
 * in the ICH family (Intel ICH9 data sheet 316972-004, 13.5); composition of a message from a
 * redirection entry as in Intel SDM vol. 3, 11.11 (message address and data registers).
 *
 *   00  IOREGSEL  index        10  IOWIN  data        40  EOI  vector
 *   index 0 IOAPICID, 1 IOAPICVER, 2 IOAPICARB, 10+2n / 11+2n redirection entry n low / high
 *
 * An edge-triggered input sends one message per rising edge; an edge on a masked input is lost (DS,
 * 3.2.4, bit 16). A level-triggered input sends when it is asserted and its Remote IRR is clear,
 * which sets Remote IRR; the EOI broadcast of a local APIC (or the EOI register) with the entry's
 * vector clears it, and a still asserted input sends again.
 *
 * NOTE: writing an entry with edge trigger clears its Remote IRR; systems without the EOI register
 * are acknowledged by software in this way (mask, edge, level).
 *
 * Lines say "asserted"; polarity (bit 13) is stored only: the machine's wiring has applied it.
 * UNMODELLED: delivery status (bit 12 reads 0: messages are accepted at once); ExtINT entries send
 * their message and leave the INTA cycle to the local APIC.
 */
#include "device/intc/ioapic.h"

#include "base/bits.h"

enum { OFF_SEL = 0x00, OFF_WIN = 0x10, OFF_EOI = 0x40, IOAPIC_SIZE = 0x1000 };
enum { REG_ID = 0, REG_VER = 1, REG_ARB = 2, REG_RTE = 0x10 };
enum { VERSION = (IOAPIC_PINS - 1) << 16 | 0x20, ID_MASK = 0x0f000000 };

FIELD(RTE_VECTOR, 0, 8)
FIELD(RTE_DELMOD, 8, 3)
FIELD(RTE_DESTMOD, 11, 1)
FIELD(RTE_REMOTE_IRR, 14, 1)
FIELD(RTE_LEVEL, 15, 1)
FIELD(RTE_MASK, 16, 1)
FIELD(RTE_DEST, 56, 8)
#define RTE_RO       (BIT(12) | (uint64_t)RTE_REMOTE_IRR_MASK)
#define RTE_WRITABLE (0xff0000000001ffffull & ~RTE_RO)

/* SDM vol. 3, 11.11.1 and 11.11.2. */
#define MSI_ADDR 0xfee00000ull
enum {
	MSI_ADDR_DEST_SHIFT = 12,
	MSI_ADDR_DM = 4,
	MSI_DATA_ASSERT = 0x4000,
	MSI_DATA_LEVEL = 0x8000
};

static struct ioapic *to_ioapic(struct dev *d)
{
	return CONTAINER_OF(d, struct ioapic, dev);
}

static void pin_send(struct ioapic *a, unsigned pin)
{
	uint64_t rte = a->s.rte[pin];
	uint64_t addr = MSI_ADDR | GET(rte, RTE_DEST) << MSI_ADDR_DEST_SHIFT |
			(GET(rte, RTE_DESTMOD) ? MSI_ADDR_DM : 0);
	uint32_t data = (uint32_t)(GET(rte, RTE_VECTOR) | GET(rte, RTE_DELMOD) << 8 |
				   MSI_DATA_ASSERT | (GET(rte, RTE_LEVEL) ? MSI_DATA_LEVEL : 0));

	if (GET(rte, RTE_LEVEL))
		a->s.rte[pin] |= RTE_REMOTE_IRR_MASK;
	msi_send(&a->dev.sv->bus->msi, addr, data);
}

/* Send a level-triggered input that waits for nothing any more. */
static void pin_check_level(struct ioapic *a, unsigned pin)
{
	uint64_t rte = a->s.rte[pin];

	if ((a->s.lines & BIT(pin)) && GET(rte, RTE_LEVEL) && !GET(rte, RTE_MASK) &&
	    !GET(rte, RTE_REMOTE_IRR))
		pin_send(a, pin);
}

void ioapic_set_line(void *ctx, unsigned pin, bool level)
{
	struct ioapic *a = ctx;
	uint32_t bit;
	bool rising;

	if (pin >= IOAPIC_PINS)
		return;
	bit = (uint32_t)BIT(pin);
	rising = level && !(a->s.lines & bit);
	a->s.lines = level ? a->s.lines | bit : a->s.lines & ~bit;
	if (GET(a->s.rte[pin], RTE_LEVEL))
		pin_check_level(a, pin);
	else if (rising && !GET(a->s.rte[pin], RTE_MASK))
		pin_send(a, pin);
}

static void ioapic_eoi_vector(struct ioapic *a, uint8_t vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t *rte = &a->s.rte[pin];

		if (!GET(*rte, RTE_LEVEL) || !GET(*rte, RTE_REMOTE_IRR) ||
		    GET(*rte, RTE_VECTOR) != vector)
			continue;
		*rte &= ~(uint64_t)RTE_REMOTE_IRR_MASK;
		pin_check_level(a, pin);
	}
}

static void ioapic_eoi(struct msi_eoi_listener *l, uint8_t vector)
{
	ioapic_eoi_vector(CONTAINER_OF(l, struct ioapic, eoi), vector);
}

static uint32_t win_read(struct ioapic *a)
{
	unsigned reg = a->s.sel;

	switch (reg) {
	case REG_ID: return a->s.id;
	case REG_VER: return VERSION;
	case REG_ARB: return a->s.id;
	default: break;
	}
	if (reg < REG_RTE || reg >= REG_RTE + 2 * IOAPIC_PINS)
		return 0;

	uint64_t rte = a->s.rte[(reg - REG_RTE) / 2];

	return (uint32_t)(reg & 1 ? rte >> 32 : rte);
}

static void rte_write(struct ioapic *a, unsigned pin, bool high, uint32_t val)
{
	uint64_t old = a->s.rte[pin], want;

	want = high ? (old & 0xffffffff) | (uint64_t)val << 32 : (old & ~0xffffffffull) | val;
	want = (want & RTE_WRITABLE) | (old & RTE_RO);
	if (!GET(want, RTE_LEVEL))
		want &= ~(uint64_t)RTE_REMOTE_IRR_MASK;
	a->s.rte[pin] = want;
	pin_check_level(a, pin);
}

static void win_write(struct ioapic *a, uint32_t val)
{
	unsigned reg = a->s.sel;

	if (reg == REG_ID)
		a->s.id = val & ID_MASK;
	else if (reg >= REG_RTE && reg < REG_RTE + 2 * IOAPIC_PINS)
		rte_write(a, (reg - REG_RTE) / 2, reg & 1, val);
	else if (reg != REG_VER && reg != REG_ARB)
		guest_error(&a->dev, "write of %#x to register %#x, which does not exist", val,
			    reg);
}

/* DS, 3.0: IOWIN is accessed as a dword; the bus gives any access as one here. */
static uint64_t ioapic_read(struct dev *d, uint64_t off, unsigned size)
{
	struct ioapic *a = to_ioapic(d);
	uint32_t val = 0;

	switch (off & ~3ull) {
	case OFF_SEL: val = a->s.sel; break;
	case OFF_WIN: val = win_read(a); break;
	default: break;
	}
	return val >> (off & 3) * 8;
}

static void ioapic_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	struct ioapic *a = to_ioapic(d);

	switch (off) {
	case OFF_SEL: a->s.sel = (uint8_t)val; break;
	case OFF_WIN:
		if (size == 4)
			win_write(a, (uint32_t)val);
		else
			guest_error(d, "write of %u bytes to IOWIN, which takes dwords", size);
		break;
	case OFF_EOI: ioapic_eoi_vector(a, (uint8_t)val); break;
	default: break;
	}
}

static int ioapic_realize(struct dev *d, struct error *err)
{
	struct ioapic *a = to_ioapic(d);

	a->eoi.eoi = ioapic_eoi;
	list_append(&d->sv->bus->msi.eoi_listeners, &a->eoi.node);
	return 0;
}

static void ioapic_unrealize(struct dev *d)
{
	struct ioapic *a = to_ioapic(d);

	if (a->eoi.node.next)
		list_remove(&a->eoi.node);
}

/* DS, 3.2: all entries masked, everything else zero. */
static void ioapic_reset(struct dev *d, enum dev_reset kind)
{
	struct ioapic *a = to_ioapic(d);

	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		a->s.rte[i] = RTE_MASK_MASK;
	a->s.id = 0;
	a->s.sel = 0;
}

static int ioapic_loaded(struct dev *d, struct error *err)
{
	struct ioapic *a = to_ioapic(d);

	a->s.id &= ID_MASK;
	a->s.lines &= (1u << IOAPIC_PINS) - 1;
	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		a->s.rte[i] &= RTE_WRITABLE | RTE_REMOTE_IRR_MASK;
	return 0; /* messages that were sent are in the local APICs' state */
}

/* clang-format off */
static const struct state_field ioapic_fields[] = {
	STATE_ARRAY(struct ioapic_regs, rte),
	STATE_VAL(struct ioapic_regs, lines, .max = (1u << IOAPIC_PINS) - 1),
	STATE_VAL(struct ioapic_regs, id, .max = ID_MASK),
	STATE_VAL(struct ioapic_regs, sel),
	STATE_PAD(struct ioapic_regs, pad_),
	STATE_END};

static const struct state_desc ioapic_state =
	STATE_DESC("ioapic", 1, struct ioapic_regs, ioapic_fields);

static const struct dev_region ioapic_regions[] = {
	{"ioapic", DEV_MMIO, IOAPIC_BASE, IOAPIC_SIZE, WIDTH_ANY, WIDTH_124, ioapic_read, ioapic_write},
	{0}};
/* clang-format on */

const struct dev_class ioapic_class = {
	.name = "ioapic",
	.summary = "I/O APIC with 24 inputs",
	.spec = "Intel 82093AA, order 290566-001",
	.size = sizeof(struct ioapic),
	.regs_offset = offsetof(struct ioapic, s),
	.regions = ioapic_regions,
	.state = &ioapic_state,
	.realize = ioapic_realize,
	.unrealize = ioapic_unrealize,
	.reset = ioapic_reset,
	.loaded = ioapic_loaded,
};
