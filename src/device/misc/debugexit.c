/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An I/O port with which a test guest ends its virtual machine.
 *
 * There is no chip and no data sheet: the interface is the one that test suites for virtual
 * machines (kvm-unit-tests and others) know as "isa-debug-exit": a write of v to the port, f4h
 * unless configured otherwise, ends the process with status (v << 1) | 1. The status is therefore
 * odd and never 0. Reads give 0.
 */
#include "device/misc/debugexit.h"

static struct debugexit *to_debugexit(struct dev *d)
{
	return CONTAINER_OF(d, struct debugexit, dev);
}

static uint64_t debugexit_read(void *ctx, uint64_t off, unsigned size)
{
	return 0;
}

static void debugexit_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct debugexit *x = ctx;

	x->s.last = (uint32_t)val;
	if (x->exit)
		x->exit(x->exit_ctx, x->s.last * 2 + 1);
}

static int debugexit_realize(struct dev *d, struct error *err)
{
	struct debugexit *x = to_debugexit(d);

	x->region = (struct bus_region){.name = "debug-exit",
					.size = x->iosize ? x->iosize : 4,
					.valid = WIDTH_124,
					.read = debugexit_read,
					.write = debugexit_write,
					.ctx = x};
	return bus_map_pio(d->sv->bus, &x->region, x->iobase ? x->iobase : 0xf4, err);
}

static void debugexit_unrealize(struct dev *d)
{
	struct debugexit *x = to_debugexit(d);

	if (x->region.mapped)
		bus_unmap_pio(d->sv->bus, &x->region);
}

static void debugexit_reset(struct dev *d, enum dev_reset kind)
{
	to_debugexit(d)->s.last = 0;
}

/* clang-format off */
static const struct state_field debugexit_fields[] = {
	STATE_VAL(struct debugexit_regs, last),
	STATE_PAD(struct debugexit_regs, pad_),
	STATE_END};
/* clang-format on */

static const struct state_desc debugexit_state =
	STATE_DESC("debugexit", 1, struct debugexit_regs, debugexit_fields);

const struct dev_class debugexit_class = {
	.name = "debugexit",
	.summary = "exit port for test guests",
	.spec = "kvm-unit-tests: isa-debug-exit",
	.size = sizeof(struct debugexit),
	.regs_offset = offsetof(struct debugexit, s),
	.state = &debugexit_state,
	.realize = debugexit_realize,
	.unrealize = debugexit_unrealize,
	.reset = debugexit_reset,
};
