/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debug console: a write to the port prints a byte, a read gives E9h to say that the port is there.
 *
 * There is no chip: the convention began with Bochs ("port e9 hack"), and SeaBIOS, OVMF and test
 * guests use it. Unlike a serial port it never makes the guest wait: what the back end has no room
 * for is dropped and counted.
 */
#include "device/misc/debugcon.h"

static struct debugcon *to_debugcon(struct dev *d)
{
	return CONTAINER_OF(d, struct debugcon, dev);
}

static uint64_t debugcon_read(struct dev *d, uint64_t off, unsigned size)
{
	return DEBUGCON_PORT;
}

static void debugcon_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	struct debugcon *con = to_debugcon(d);
	uint8_t byte = (uint8_t)val;

	con->s.written++;
	if (con->chr && !chr_write(con->chr, &byte, 1))
		con->s.dropped++;
}

static int debugcon_realize(struct dev *d, struct error *err)
{
	struct debugcon *con = to_debugcon(d);

	if (con->chr)
		chr_set_handler(con->chr, &(struct chr_handler){.ctx = con});
	return 0;
}

static void debugcon_unrealize(struct dev *d)
{
	struct debugcon *con = to_debugcon(d);

	if (con->chr)
		chr_set_handler(con->chr, NULL);
}

static void debugcon_reset(struct dev *d, enum dev_reset kind)
{
	to_debugcon(d)->s = (struct debugcon_regs){.written = 0};
}

/* clang-format off */
static const struct state_field debugcon_fields[] = {
	STATE_VAL(struct debugcon_regs, written),
	STATE_VAL(struct debugcon_regs, dropped),
	STATE_END};

static const struct state_desc debugcon_state =
	STATE_DESC("debugcon", 1, struct debugcon_regs, debugcon_fields);

static const struct dev_region debugcon_regions[] = {
	{"debugcon", DEV_PIO, 0, 1, WIDTH_124, WIDTH_1, debugcon_read, debugcon_write},
	{0}};
/* clang-format on */

const struct dev_class debugcon_class = {
	.name = "debugcon",
	.summary = "debug console port",
	.spec = "Bochs: port e9 hack",
	.size = sizeof(struct debugcon),
	.regs_offset = offsetof(struct debugcon, s),
	.regions = debugcon_regions,
	.state = &debugcon_state,
	.realize = debugcon_realize,
	.unrealize = debugcon_unrealize,
	.reset = debugcon_reset,
};
