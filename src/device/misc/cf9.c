/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reset control register (RC) of Intel's south bridges at port CF9h, one byte.
 *
 * Documents: Intel 82371SB (PIIX3) data sheet 290550-002, 2.1.11 "RC - reset control register";
 * ACPI 6.4, 4.8.3.6 (RESET_REG: a machine's FADT names this port and the value 06h).
 *
 *   bit 1  SRST: what a reset will be: 1 hard (PCI and CPU), 0 soft (CPU only)
 *   bit 2  RCPU: a 0 to 1 transition resets
 *
 * Invariant: RCPU never stays set, because the reset it starts clears the register.
 */
#include "device/misc/cf9.h"

enum { RC_SRST = 0x02, RC_RCPU = 0x04 };

static struct cf9 *to_cf9(struct dev *d)
{
	return CONTAINER_OF(d, struct cf9, dev);
}

static uint64_t cf9_read(void *ctx, uint64_t off, unsigned size)
{
	struct cf9 *c = ctx;

	return c->s.rcr;
}

static void cf9_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct cf9 *c = ctx;

	c->s.rcr = val & RC_SRST;
	if (val & RC_RCPU)
		irq_pulse(val & RC_SRST ? &c->hard : &c->soft);
}

static int cf9_realize(struct dev *d, struct error *err)
{
	struct cf9 *c = to_cf9(d);

	c->region = (struct bus_region){.name = "reset-control",
					.size = 1,
					.valid = WIDTH_1,
					.read = cf9_read,
					.write = cf9_write,
					.ctx = c};
	return c->behind_pci_host ? 0 : bus_map_pio(d->sv->bus, &c->region, CF9_PORT, err);
}

static void cf9_unrealize(struct dev *d)
{
	struct cf9 *c = to_cf9(d);

	if (c->region.mapped)
		bus_unmap_pio(d->sv->bus, &c->region);
}

static void cf9_reset(struct dev *d, enum dev_reset kind)
{
	to_cf9(d)->s.rcr = 0;
}

/* clang-format off */
static const struct state_field cf9_fields[] = {
	STATE_VAL(struct cf9_regs, rcr, .max = RC_SRST),
	STATE_PAD(struct cf9_regs, pad_),
	STATE_END};
/* clang-format on */

static const struct state_desc cf9_state = STATE_DESC("cf9", 1, struct cf9_regs, cf9_fields);

const struct dev_class cf9_class = {
	.name = "cf9",
	.summary = "reset control register",
	.spec = "Intel 82371SB, order 290550-002, 2.1.11",
	.size = sizeof(struct cf9),
	.regs_offset = offsetof(struct cf9, s),
	.state = &cf9_state,
	.realize = cf9_realize,
	.unrealize = cf9_unrealize,
	.reset = cf9_reset,
};
