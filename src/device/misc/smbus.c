/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMBus host controller of the PIIX4, and on its bus the serial presence detect (SPD) EEPROMs of
 * the machine's memory modules, at 50h and on. Intel 82371AB data sheet 290562-001, 7.3; System
 * Management Bus Specification 1.1; JEDEC Standard 21-C, 4.1.2.10 (DDR2).
 *
 *   0 status · 2 control · 3 command · 4 address · 5, 6 data · 7 block data
 *
 * A transaction is over as soon as it is started. Nobody at an address: DEV_ERR. The modules are of
 * 128 MiB to 4 GiB, the largest first; memory that four of them don't reach is not described. They
 * are write-protected: a write is not acknowledged, but for the address that a later read starts
 * at.
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
enum { QUICK = 0, BYTE = 1, BYTE_DATA = 2, WORD_DATA = 3, BLOCK_DATA = 5 };
enum { EEPROM_AT = 0x50 };

static struct smbus *to_smbus(struct dev *d)
{
	return CONTAINER_OF(d, struct smbus, dev);
}

/* ------------------------------------------------------------------ modules */

/* A DDR2-667 module of 2^@shift bytes. */
static void make_spd(uint8_t *b, unsigned shift)
{
	static const uint8_t common[46] = {
		[0] = 128,   [1] = 8,     [2] = 8,     [4] = 10,    [5] = 0x60,  [6] = 64,
		[8] = 5,     [9] = 0x30,  [10] = 0x45, [12] = 0x82, [13] = 8,    [16] = 0x0c,
		[18] = 0x38, [19] = 1,    [20] = 2,    [22] = 3,    [23] = 0x3d, [24] = 0x50,
		[25] = 0x50, [26] = 0x60, [27] = 0x3c, [28] = 0x1e, [29] = 0x3c, [30] = 0x2d,
		[32] = 0x20, [33] = 0x27, [34] = 0x10, [35] = 0x17, [36] = 0x3c, [37] = 0x1e,
		[38] = 0x1e, [40] = 0x06, [41] = 0x3c, [42] = 0x7f, [43] = 0x80, [44] = 0x18,
		[45] = 0x22};
	unsigned banks = shift < 29 ? 2 : 3;

	memcpy(b, common, sizeof(common));
	/* rows of 8 KiB: 10 column addresses of 64 bits */
	b[3] = (uint8_t)(shift - 13 - banks);
	b[17] = (uint8_t)(1u << banks);
	/* byte 31: bits 7:5 are 512, 256, 128 MiB, bits 4:0 16 GiB down to 1 GiB at bit 0 */
	b[31] = (uint8_t)(shift >= 30 ? 1u << (shift - 30) : 1u << (shift - 22));
	b[62] = 0x12;
	for (unsigned i = 0; i < 63; i++)
		b[63] = (uint8_t)(b[63] + b[i]);
	memcpy(b + 73, "BOTHY DDR2        ", 18);
}

static void make_modules(struct smbus *s)
{
	uint64_t left = s->ram_size;

	for (unsigned shift = 32; shift >= 27 && s->n < SMBUS_MODULES;) {
		if (left < 1ull << shift) {
			shift--;
			continue;
		}
		make_spd(s->spd[s->n++], shift);
		left -= 1ull << shift;
	}
}

/* ------------------------------------------------------------------ transactions */

/* False: not acknowledged. */
static bool eeprom(struct smbus *s, unsigned n, unsigned protocol, bool read)
{
	const uint8_t *spd = s->spd[n];
	uint8_t *p = &s->s.pointer[n];

	if (protocol == QUICK)
		return true;
	if (!read) {
		if (protocol == BYTE)
			*p = s->s.command;
		return protocol == BYTE;
	}
	if (protocol != BYTE)
		*p = s->s.command;
	switch (protocol) {
	case BYTE:
	case BYTE_DATA: s->s.data[0] = spd[(*p)++]; return true;
	case WORD_DATA:
		s->s.data[0] = spd[(*p)++];
		s->s.data[1] = spd[(*p)++];
		return true;
	case BLOCK_DATA:
		s->s.data[0] = spd[(*p)++]; /* the count comes from the device */
		if (!s->s.data[0] || s->s.data[0] > SMBUS_BLOCK)
			return false;
		for (unsigned i = 0; i < s->s.data[0]; i++)
			s->s.block[i] = spd[(*p)++];
		return true;
	default: return false;
	}
}

static void start(struct smbus *s)
{
	unsigned n = (s->s.address >> 1) - EEPROM_AT;

	if (n < s->n && eeprom(s, n, s->s.control >> 2 & 7, s->s.address & 1))
		s->s.status |= STS_DONE;
	else
		s->s.status |= STS_DEV_ERR;
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
	make_modules(s);
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
	.spec = "Intel 82371AB data sheet 290562-001, 7.3; JEDEC Standard 21-C, 4.1.2.10",
	.size = sizeof(struct smbus),
	.regs_offset = offsetof(struct smbus, s),
	.state = &smbus_state,
	.realize = smbus_realize,
	.unrealize = smbus_unrealize,
	.reset = smbus_reset,
	.loaded = smbus_loaded,
};
