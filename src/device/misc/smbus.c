/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMBus host controller of the PIIX4, with the memory modules' EEPROMs on its bus (smbus_bus.c).
 * Intel 82371AB data sheet 290562-001, 7.3.
 *
 *   0 status · 2 control · 3 command · 4 address · 5, 6 data · 7 block data
 *
 * A transaction is over as soon as it is started. What is not acknowledged: DEV_ERR.
 *
 * UNMODELLED: the interrupt (programs poll), being a slave, alerts, and that a transaction takes
 * time.
 */
#include "device/misc/smbus.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"

enum {
	R_STATUS = 0,
	R_SLAVE_STATUS = 1,
	R_CONTROL = 2,
	R_COMMAND = 3,
	R_ADDRESS = 4,
	R_DATA0 = 5,
	R_DATA1 = 6,
	R_BLOCK = 7,
};
enum { STS_DONE = 0x02, STS_DEV_ERR = 0x04, STS_FAILED = 0x10, STS_ALL = 0x1e };
enum { CNT_KILL = 0x02, CNT_START = 0x40, CNT_KEPT = 0x1d };
/* Protocols there are: 7.3.3, bits 4:2; the others do nothing that is described. */
#define PROTOCOLS 0x2fu

static struct smbus *to_smbus(struct dev *d)
{
	return CONTAINER_OF(d, struct smbus, dev);
}

/* ------------------------------------------------------------------ transactions */

static void start(struct smbus *s)
{
	struct smbus_xfer x = {.protocol = s->s.control >> 2 & 7,
			       .address = s->s.address,
			       .command = s->s.command,
			       .data = {s->s.data[0], s->s.data[1]}};
	bool ok;

	memcpy(x.block, s->s.block, sizeof(x.block));
	ok = (PROTOCOLS >> x.protocol & 1) && smbus_bus_run(&s->bus, &x);
	memcpy(s->s.data, x.data, sizeof(x.data));
	memcpy(s->s.block, x.block, sizeof(x.block));
	s->s.status |= ok ? STS_DONE : STS_DEV_ERR;
	s->s.at = 0;
}

static uint8_t *slave_reg(struct smbus *s, uint64_t off)
{
	return &s->s.slave[off == R_SLAVE_STATUS ? 0 : off - 7];
}

static uint64_t smbus_read(void *ctx, uint64_t off, unsigned size)
{
	struct smbus *s = ctx;
	uint8_t v;

	switch (off) {
	case R_STATUS: return s->s.status;
	case R_CONTROL:
		s->s.at = 0; /* 7.3.3: reading it starts the block over */
		return s->s.control;
	case R_COMMAND: return s->s.command;
	case R_ADDRESS: return s->s.address;
	case R_DATA0:
	case R_DATA1: return s->s.data[off - R_DATA0];
	case R_BLOCK:
		v = s->s.block[s->s.at];
		s->s.at = (s->s.at + 1) % SMBUS_BLOCK;
		return v;
	default: return off == R_SLAVE_STATUS || off < 15 ? *slave_reg(s, off) : 0xff;
	}
}

static void smbus_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct smbus *s = ctx;
	uint8_t v = (uint8_t)val;

	switch (off) {
	case R_STATUS: s->s.status &= (uint8_t)~v; break;
	case R_CONTROL:
		s->s.control = v & CNT_KEPT;
		if (v & CNT_KILL)
			s->s.status |= STS_FAILED;
		else if (v & CNT_START)
			start(s);
		break;
	case R_COMMAND: s->s.command = v; break;
	case R_ADDRESS: s->s.address = v; break;
	case R_DATA0:
	case R_DATA1: s->s.data[off - R_DATA0] = v; break;
	case R_BLOCK:
		s->s.block[s->s.at] = v;
		s->s.at = (s->s.at + 1) % SMBUS_BLOCK;
		break;
	default:
		if (off > R_BLOCK && off < 15)
			*slave_reg(s, off) = v;
	}
}

/* ------------------------------------------------------------------ life cycle */

void smbus_moved(void *ctx, bool enabled, uint16_t base)
{
	struct smbus *s = ctx;
	struct error err = {0};

	bus_unmap_pio(s->dev.sv->bus, &s->region);
	if (enabled && base && bus_map_pio(s->dev.sv->bus, &s->region, base, &err) < 0)
		guest_error(&s->dev, "%s", err.text);
}

static int smbus_realize(struct dev *d, struct error *err)
{
	struct smbus *s = to_smbus(d);

	s->region = (struct bus_region){.name = "smbus",
					.size = SMBUS_SIZE,
					.valid = WIDTH_124,
					.impl = WIDTH_1,
					.read = smbus_read,
					.write = smbus_write,
					.ctx = s};
	smbus_bus_add_modules(&s->bus, s->ram_size, s->s.pointer);
	return 0;
}

static void smbus_unrealize(struct dev *d)
{
	bus_unmap_pio(d->sv->bus, &to_smbus(d)->region);
}

static void smbus_reset(struct dev *d, enum dev_reset kind)
{
	memset(&to_smbus(d)->s, 0, sizeof(to_smbus(d)->s));
}

static int smbus_loaded(struct dev *d, struct error *err)
{
	to_smbus(d)->s.status &= STS_ALL; /* .max lets bit 0 through */
	return 0;
}

/* clang-format off */
static const struct state_field smbus_fields[] = {
	STATE_VAL(struct smbus_regs, status, .max = STS_ALL),
	STATE_VAL(struct smbus_regs, control, .max = CNT_KEPT),
	STATE_VAL(struct smbus_regs, command),
	STATE_VAL(struct smbus_regs, address),
	STATE_BYTES_OF(struct smbus_regs, data),
	STATE_BYTES_OF(struct smbus_regs, slave),
	STATE_VAL(struct smbus_regs, at, .max = SMBUS_BLOCK - 1),
	STATE_BYTES_OF(struct smbus_regs, pointer),
	STATE_BYTES_OF(struct smbus_regs, block),
	STATE_PAD(struct smbus_regs, pad_),
	STATE_END};

static const struct state_desc smbus_state = STATE_DESC("smbus", 1, struct smbus_regs, smbus_fields);
/* clang-format on */

const struct dev_class smbus_class = {
	.name = "smbus",
	.summary = "SMBus host with memory modules",
	.spec = "Intel 82371AB data sheet 290562-001, 7.3",
	.size = sizeof(struct smbus),
	.regs_offset = offsetof(struct smbus, s),
	.state = &smbus_state,
	.realize = smbus_realize,
	.unrealize = smbus_unrealize,
	.reset = smbus_reset,
	.loaded = smbus_loaded,
};
