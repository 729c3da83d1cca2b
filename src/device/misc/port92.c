/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System control port A at 92h: alternate (fast) A20 gate and fast CPU reset.
 *
 * Documents: IBM PS/2 Hardware Interface Technical Reference (1990), "System control port A"; Intel
 * 82371AB (PIIX4) data sheet 290562-001, 4.2.7.4.
 *
 *   bit 0  FAST_INIT: a 0 to 1 transition resets the CPU
 *   bit 1  FAST_A20: 1 passes address bit 20
 *
 * UNMODELLED: the PS/2's other bits (disk lights, security lock, watchdog): they read 0, as on
 * PIIX4.
 */
#include "device/misc/port92.h"

enum { P92_INIT = 0x01, P92_A20 = 0x02, P92_MASK = 0x03 };

static struct port92 *to_port92(struct dev *d)
{
	return CONTAINER_OF(d, struct port92, dev);
}

static uint64_t port92_read(struct dev *d, uint64_t off, unsigned size)
{
	return to_port92(d)->s.val;
}

static void port92_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	struct port92 *p = to_port92(d);
	bool init = (val & P92_INIT) && !(p->s.val & P92_INIT);

	p->s.val = val & P92_MASK;
	irq_set(&p->a20, p->s.val & P92_A20);
	if (init)
		irq_pulse(&p->reset);
}

static void port92_reset(struct dev *d, enum dev_reset kind)
{
	struct port92 *p = to_port92(d);

	p->s.val = p->a20_at_reset ? P92_A20 : 0;
	irq_set(&p->a20, p->a20_at_reset);
}

void port92_follow_a20(struct port92 *p, bool level)
{
	p->s.val = (uint8_t)((p->s.val & ~P92_A20) | (level ? P92_A20 : 0));
	p->a20.level = level;
}

static int port92_loaded(struct dev *d, struct error *err)
{
	struct port92 *p = to_port92(d);

	irq_set(&p->a20, p->s.val & P92_A20);
	return 0;
}

/* clang-format off */
static const struct state_field port92_fields[] = {
	STATE_VAL(struct port92_regs, val, .max = P92_MASK),
	STATE_PAD(struct port92_regs, pad_),
	STATE_END};

static const struct state_desc port92_state =
	STATE_DESC("port92", 1, struct port92_regs, port92_fields);

static const struct dev_region port92_regions[] = {
	{"port92", DEV_PIO, 0x92, 1, WIDTH_124, WIDTH_1, port92_read, port92_write},
	{0}};
/* clang-format on */

const struct dev_class port92_class = {
	.name = "port92",
	.summary = "fast A20 gate and reset",
	.spec = "Intel 82371AB, order 290562-001, 4.2.7.4",
	.size = sizeof(struct port92),
	.regs_offset = offsetof(struct port92, s),
	.regions = port92_regions,
	.state = &port92_state,
	.reset = port92_reset,
	.loaded = port92_loaded,
};
