/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel 8259A programmable interrupt controllers, master and slave, as the PC/AT wires them.
 *
 * Documents: Intel 8259A data sheet (order 231468-003, "DS" below); Intel 82371AB (PIIX4) data
 * sheet, 4.1.3 and 4.2.6 for ELCR; IBM PC/AT Technical Reference for ports and cascade on IR2.
 *
 *   20/21  master A0 = 0/1        4d0  ELCR of the master (bits 7:3)
 *   a0/a1  slave  A0 = 0/1        4d1  ELCR of the slave  (bits 7:6, 4:1)
 *
 * An edge-triggered input sets its latch on the rising edge; the latch falls when the interrupt is
 * acknowledged, or when the input falls first (DS: "IR inputs must remain high until after the
 * falling edge of the first INTA"; after that the acknowledge gives the spurious IR7). A
 * level-triggered input has no latch: the request is the level.
 *
 * The slave's INT output is the master's IR2 and falls during each acknowledge, so that a slave in
 * automatic EOI mode with two requests gives the edge-triggered master two edges.
 *
 * Invariants: next_icw is 0 or 2..4; base is a multiple of 8; lowest is 0..7 (state table).
 *
 * Reset: the 8259A has no reset input and wakes up undefined. Here it wakes up with all inputs
 * masked, so nothing interrupts before ICW1..ICW4.
 *
 * ERRATUM: ICW1.LTIM is ignored, as PIIX4 and its successors document; ELCR decides per input.
 * UNMODELLED: 8080/8085 mode (ICW4.uPM = 0 acknowledges like 8086 mode), the buffered-mode pin.
 */
#include "device/intc/i8259.h"

#include <errno.h>

#include "base/bits.h"

enum { MASTER, SLAVE, CASCADE_IR = 2 };

/* ICW1, OCW2, OCW3 share A0 = 0 and are told apart by bits 4:3 (DS, figures 7 and 8). */
enum { CMD_ICW1 = 0x10, CMD_OCW3 = 0x08 };
enum { ICW1_IC4 = 0x01, ICW1_SNGL = 0x02 };
enum { ICW4_AEOI = 0x02, ICW4_SFNM = 0x10, ICW4_MASK = 0x1f };
FIELD(OCW2_LEVEL, 0, 3)
FIELD(OCW2_OP, 5, 3) /* R, SL, EOI */
enum { OCW3_RIS = 0x01, OCW3_RR = 0x02, OCW3_P = 0x04, OCW3_SMM = 0x20, OCW3_ESMM = 0x40 };
enum { POLL_PENDING = 0x80 };

/* Inputs whose trigger mode the ELCR may change: never 0, 1, 2, 8 and 13 (PIIX4, 4.2.6). */
static const uint8_t elcr_mask[2] = {0xf8, 0xde};

static struct i8259 *to_pic(struct dev *d)
{
	return CONTAINER_OF(d, struct i8259, dev);
}

/* What IRR reads as: latched edges and present levels. */
static uint8_t chip_requests(const struct i8259_chip *c)
{
	return (c->latch & ~c->elcr) | (c->lines & c->elcr);
}

/* Priority rank of input @ir: 0 is the highest. */
static unsigned chip_rank(const struct i8259_chip *c, unsigned ir)
{
	return (ir - c->lowest - 1) & 7;
}

/* The highest-priority input in @set, or -1. */
static int chip_highest(const struct i8259_chip *c, uint8_t set)
{
	for (unsigned rank = 0; rank < 8; rank++) {
		unsigned ir = (c->lowest + 1 + rank) & 7;

		if (set & BIT(ir))
			return (int)ir;
	}
	return -1;
}

/* The input that INT stands for now, or -1. */
static int chip_pending(const struct i8259_chip *c, bool is_master)
{
	int want = chip_highest(c, chip_requests(c) & ~c->imr);
	/* DS, "Special mask mode": a masked in-service level inhibits nothing. */
	uint8_t busy_set = c->special_mask ? c->isr & ~c->imr : c->isr;
	int busy = chip_highest(c, busy_set);

	if (want < 0 || busy < 0 || c->next_icw)
		return c->next_icw ? -1 : want;
	if (chip_rank(c, (unsigned)want) < chip_rank(c, (unsigned)busy))
		return want;
	/* DS, "Special fully nested mode": a slave in service is not locked out. */
	if (is_master && (c->icw4 & ICW4_SFNM) && want == busy && (c->icw3 & BIT(want)))
		return want;
	return -1;
}

static void chip_set_line(struct i8259_chip *c, unsigned ir, bool level)
{
	uint8_t bit = (uint8_t)BIT(ir);

	if (level && !(c->lines & bit))
		c->latch |= bit;
	if (!level)
		c->latch &= ~bit;
	c->lines = level ? c->lines | bit : c->lines & ~bit;
}

static void pic_update(struct i8259 *pic)
{
	struct i8259_chip *c = pic->s.chip;

	chip_set_line(&c[MASTER], CASCADE_IR, chip_pending(&c[SLAVE], false) >= 0);
	irq_set(&pic->intr, chip_pending(&c[MASTER], true) >= 0);
}

/* The chip's half of an acknowledge of @ir: freeze the request into ISR, or not with AEOI. */
static void chip_accept(struct i8259_chip *c, unsigned ir)
{
	c->latch &= (uint8_t)~BIT(ir);
	if (!(c->icw4 & ICW4_AEOI))
		c->isr |= (uint8_t)BIT(ir);
	else if (c->rotate_on_aeoi)
		c->lowest = (uint8_t)ir;
}

/* Acknowledge on the slave; returns its input (7 when the request has gone away). */
static unsigned slave_accept(struct i8259 *pic)
{
	struct i8259_chip *c = pic->s.chip;
	int ir = chip_pending(&c[SLAVE], false);

	if (ir >= 0)
		chip_accept(&c[SLAVE], (unsigned)ir);
	chip_set_line(&c[MASTER], CASCADE_IR, false); /* INT falls; pic_update() raises it again */
	return ir >= 0 ? (unsigned)ir : 7;
}

uint8_t i8259_ack(void *ctx)
{
	struct i8259 *pic = ctx;
	struct i8259_chip *m = &pic->s.chip[MASTER], *s = &pic->s.chip[SLAVE];
	int ir = chip_pending(m, true);
	uint8_t vector;

	if (ir < 0) {
		vector = m->base |
			 7; /* spurious: no ISR bit (DS, "Edge and level triggered modes") */
	} else {
		chip_accept(m, (unsigned)ir);
		vector = m->base | (uint8_t)ir;
		if (ir == CASCADE_IR && !m->single)
			vector = s->base | (uint8_t)slave_accept(pic);
	}
	pic_update(pic);
	return vector;
}

void i8259_set_line(void *ctx, unsigned pin, bool level)
{
	struct i8259 *pic = ctx;

	if (pin > 15 || pin == CASCADE_IR)
		return;
	chip_set_line(&pic->s.chip[pin >> 3], pin & 7, level);
	pic_update(pic);
}

/* DS, "Initialization command word 1": a. edge sense reset, b. IMR cleared, c. IR7 lowest, d. slave
 * address 7, e. special mask mode off, status read IRR, f. without IC4 all of ICW4 is zero. */
static void chip_icw1(struct i8259_chip *c, uint8_t val)
{
	c->latch = 0;
	c->isr = 0;
	c->imr = 0;
	c->lowest = 7;
	c->icw3 = 7;
	c->icw4 = 0;
	c->special_mask = false;
	c->read_isr = false;
	c->poll = false;
	c->rotate_on_aeoi = false;
	c->single = val & ICW1_SNGL;
	c->want_icw4 = val & ICW1_IC4;
	c->next_icw = 2;
}

static void chip_ocw2(struct i8259_chip *c, uint8_t val)
{
	uint8_t level = (uint8_t)GET(val, OCW2_LEVEL);
	/* DS, "Special mask mode": a non-specific EOI leaves masked in-service bits alone. */
	int busy = chip_highest(c, c->special_mask ? c->isr & ~c->imr : c->isr);

	switch (GET(val, OCW2_OP)) {
	case 0: c->rotate_on_aeoi = false; break;
	case 1: /* non-specific EOI */
		if (busy >= 0)
			c->isr &= (uint8_t)~BIT(busy);
		break;
	case 2: break; /* no operation */
	case 3: c->isr &= (uint8_t)~BIT(level); break;
	case 4: c->rotate_on_aeoi = true; break;
	case 5: /* rotate on non-specific EOI */
		if (busy >= 0) {
			c->isr &= (uint8_t)~BIT(busy);
			c->lowest = (uint8_t)busy;
		}
		break;
	case 6: c->lowest = level; break;
	case 7: /* rotate on specific EOI */
		c->isr &= (uint8_t)~BIT(level);
		c->lowest = level;
		break;
	}
}

static void chip_ocw3(struct i8259_chip *c, uint8_t val)
{
	c->poll = val & OCW3_P;
	if (val & OCW3_RR)
		c->read_isr = val & OCW3_RIS;
	if (val & OCW3_ESMM)
		c->special_mask = val & OCW3_SMM;
}

static void chip_write_a1(struct i8259_chip *c, uint8_t val)
{
	switch (c->next_icw) {
	case 2:
		c->base = val & 0xf8;
		c->next_icw = !c->single ? 3 : c->want_icw4 ? 4 : 0;
		break;
	case 3:
		c->icw3 = val;
		c->next_icw = c->want_icw4 ? 4 : 0;
		break;
	case 4:
		c->icw4 = val & ICW4_MASK;
		c->next_icw = 0;
		break;
	default: c->imr = val; break;
	}
}

static void chip_write(struct i8259 *pic, unsigned which, uint64_t off, uint64_t val)
{
	struct i8259_chip *c = &pic->s.chip[which];
	uint8_t v = (uint8_t)val;

	if (off)
		chip_write_a1(c, v);
	else if (v & CMD_ICW1)
		chip_icw1(c, v);
	else if (v & CMD_OCW3)
		chip_ocw3(c, v);
	else
		chip_ocw2(c, v);
	pic_update(pic);
}

/* DS, "Poll command": the read after OCW3.P = 1 acknowledges and says which level. */
static uint8_t chip_poll(struct i8259 *pic, unsigned which)
{
	struct i8259_chip *c = &pic->s.chip[which];
	int ir = chip_pending(c, which == MASTER);

	c->poll = false;
	if (ir < 0)
		return 0;
	if (which == SLAVE)
		slave_accept(pic);
	else
		chip_accept(c, (unsigned)ir);
	pic_update(pic);
	return POLL_PENDING | (uint8_t)ir;
}

static uint64_t chip_read(struct i8259 *pic, unsigned which, uint64_t off)
{
	struct i8259_chip *c = &pic->s.chip[which];

	if (c->poll)
		return chip_poll(pic, which);
	if (off)
		return c->imr;
	return c->read_isr ? c->isr : chip_requests(c);
}

static uint64_t master_read(struct dev *d, uint64_t off, unsigned size)
{
	return chip_read(to_pic(d), MASTER, off);
}

static void master_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	chip_write(to_pic(d), MASTER, off, val);
}

static uint64_t slave_read(struct dev *d, uint64_t off, unsigned size)
{
	return chip_read(to_pic(d), SLAVE, off);
}

static void slave_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	chip_write(to_pic(d), SLAVE, off, val);
}

static uint64_t elcr_read(struct dev *d, uint64_t off, unsigned size)
{
	return to_pic(d)->s.chip[off & 1].elcr;
}

static void elcr_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	struct i8259 *pic = to_pic(d);

	pic->s.chip[off & 1].elcr = (uint8_t)val & elcr_mask[off & 1];
	pic_update(pic);
}

static int i8259_realize(struct dev *d, struct error *err)
{
	struct i8259 *pic = to_pic(d);

	pic->source = (struct intr_source){.ack = i8259_ack, .ctx = pic};
	return 0;
}

static void i8259_reset(struct dev *d, enum dev_reset kind)
{
	struct i8259 *pic = to_pic(d);

	for (unsigned i = 0; i < 2; i++) {
		struct i8259_chip *c = &pic->s.chip[i];

		*c = (struct i8259_chip){.lines = c->lines, .imr = 0xff, .lowest = 7};
	}
	pic_update(pic);
}

static int i8259_loaded(struct dev *d, struct error *err)
{
	struct i8259 *pic = to_pic(d);

	if ((pic->s.chip[0].base | pic->s.chip[1].base) & 7)
		return error_set(err, -EINVAL, "%s: ICW2 %#x/%#x: low bits must be zero", d->id,
				 pic->s.chip[0].base, pic->s.chip[1].base);
	irq_set(&pic->intr, chip_pending(&pic->s.chip[MASTER], true) >= 0);
	return 0;
}

/* clang-format off */
static const struct state_field chip_fields[] = {
	STATE_VAL(struct i8259_chip, lines),
	STATE_VAL(struct i8259_chip, latch),
	STATE_VAL(struct i8259_chip, isr),
	STATE_VAL(struct i8259_chip, imr),
	STATE_VAL(struct i8259_chip, elcr, .max = 0xfe),
	STATE_VAL(struct i8259_chip, base, .max = 0xf8),
	STATE_VAL(struct i8259_chip, icw3),
	STATE_VAL(struct i8259_chip, icw4, .max = ICW4_MASK),
	STATE_VAL(struct i8259_chip, lowest, .max = 7),
	STATE_VAL(struct i8259_chip, next_icw, .max = 4),
	STATE_VAL(struct i8259_chip, single),
	STATE_VAL(struct i8259_chip, want_icw4),
	STATE_VAL(struct i8259_chip, read_isr),
	STATE_VAL(struct i8259_chip, poll),
	STATE_VAL(struct i8259_chip, special_mask),
	STATE_VAL(struct i8259_chip, rotate_on_aeoi),
	STATE_END};

static const struct state_field i8259_fields[] = {
	STATE_STRUCTS(struct i8259_regs, chip, chip_fields),
	STATE_END};

static const struct state_desc i8259_state =
	STATE_DESC("i8259", 1, struct i8259_regs, i8259_fields);

static const struct dev_region i8259_regions[] = {
	{"pic-master", DEV_PIO, 0x20,  2, WIDTH_124, WIDTH_1, master_read, master_write},
	{"pic-slave",  DEV_PIO, 0xa0,  2, WIDTH_124, WIDTH_1, slave_read,  slave_write},
	{"pic-elcr",   DEV_PIO, 0x4d0, 2, WIDTH_124, WIDTH_1, elcr_read,   elcr_write},
	{0}};
/* clang-format on */

const struct dev_class i8259_class = {
	.name = "i8259",
	.summary = "AT interrupt controllers (master and slave)",
	.spec = "Intel 8259A, order 231468-003; ELCR: Intel 82371AB (PIIX4)",
	.size = sizeof(struct i8259),
	.regs_offset = offsetof(struct i8259, s),
	.regions = i8259_regions,
	.state = &i8259_state,
	.realize = i8259_realize,
	.reset = i8259_reset,
	.loaded = i8259_loaded,
};
