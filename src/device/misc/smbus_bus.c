/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMBus transactions and the serial presence detect (SPD) EEPROMs of the machine's memory modules,
 * at 50h and on, for smbus.c and ich9_smbus.c. System Management Bus Specification 2.0; JEDEC
 * Standard 21-C, 4.1.2.10 (DDR2).
 *
 * The modules are of 128 MiB to 4 GiB, the largest first; memory that four of them don't reach is
 * not described. They are write-protected: a write is not acknowledged, but for the address that a
 * later read starts at. They know nothing of packet error codes: what a host takes for one is the
 * next byte.
 *
 * UNMODELLED: that a transaction takes time, arbitration, alerts, slaves that become master.
 */
#include "device/misc/smbus_bus.h"

#include <string.h>

#include "base/bits.h"

enum { EEPROM_AT = 0x50 };

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

static bool spd_put(void *ctx, unsigned index, uint8_t byte)
{
	struct smbus_spd *e = ctx;

	if (!index)
		*e->pointer = byte;
	return !index;
}

static uint8_t spd_get(void *ctx, unsigned index)
{
	struct smbus_spd *e = ctx;

	return e->bytes[(*e->pointer)++];
}

void smbus_bus_add_modules(struct smbus_bus *b, uint64_t ram_size, uint8_t *pointer)
{
	uint64_t left = ram_size;

	for (unsigned shift = 32; shift >= 27 && b->n_spd < SMBUS_MODULES;) {
		struct smbus_spd *e = &b->spd[b->n_spd];

		if (left < 1ull << shift) {
			shift--;
			continue;
		}
		make_spd(e->bytes, shift);
		e->pointer = &pointer[b->n_spd];
		smbus_bus_add(b, &(struct smbus_slave){.address = (uint8_t)(EEPROM_AT + b->n_spd),
						       .put = spd_put,
						       .get = spd_get,
						       .ctx = e});
		b->n_spd++;
		left -= 1ull << shift;
	}
}

/* ------------------------------------------------------------------ transactions */

void smbus_bus_add(struct smbus_bus *b, const struct smbus_slave *slave)
{
	check(b->n < SMBUS_SLAVES);
	b->slave[b->n++] = *slave;
}

static const struct smbus_slave *find(const struct smbus_bus *b, uint8_t address)
{
	for (unsigned i = 0; i < b->n; i++)
		if (b->slave[i].address == address)
			return &b->slave[i];
	return NULL;
}

bool smbus_bus_has(const struct smbus_bus *b, uint8_t address)
{
	return find(b, address);
}

const struct state_field smbus_msg_fields[] = {
	STATE_VAL(struct smbus_msg, out),
	STATE_VAL(struct smbus_msg, in),
	STATE_VAL(struct smbus_msg, address, .max = 0x7f),
	STATE_VAL(struct smbus_msg, crc),
	STATE_PAD(struct smbus_msg, pad_),
	STATE_END,
};

/* x^8 + x^2 + x + 1 */
static void crc_add(struct smbus_msg *m, uint8_t byte)
{
	m->crc ^= byte;
	for (unsigned i = 0; i < 8; i++)
		m->crc = (uint8_t)(m->crc & 0x80 ? m->crc << 1 ^ 0x07 : m->crc << 1);
}

/* Slaves tell the first byte from others only: I2C reads may be longer than can be counted. */
static unsigned next_index(uint16_t *n)
{
	return *n < UINT16_MAX ? (*n)++ : *n;
}

bool smbus_msg_put(const struct smbus_bus *b, struct smbus_msg *m, uint8_t byte)
{
	const struct smbus_slave *to = find(b, m->address);

	if (!m->out)
		crc_add(m, (uint8_t)(m->address << 1));
	crc_add(m, byte);
	return to && to->put(to->ctx, next_index(&m->out), byte);
}

uint8_t smbus_msg_get(const struct smbus_bus *b, struct smbus_msg *m)
{
	const struct smbus_slave *from = find(b, m->address);
	uint8_t v = 0xff;

	if (!m->in)
		crc_add(m, (uint8_t)(m->address << 1 | 1));
	if (from)
		v = from->get(from->ctx, next_index(&m->in));
	crc_add(m, v);
	return v;
}

bool smbus_msg_end(const struct smbus_bus *b, struct smbus_msg *m, bool check, uint8_t *pec,
		   bool *ret_wrong)
{
	uint8_t crc = m->crc;

	*ret_wrong = false;
	if (!m->in)
		return smbus_msg_put(b, m, check ? crc : *pec);
	*pec = smbus_msg_get(b, m);
	*ret_wrong = check && *pec != crc;
	return !*ret_wrong;
}

static bool count_ok(uint8_t n)
{
	return n && n <= SMBUS_BLOCK;
}

static bool put_block(const struct smbus_bus *b, struct smbus_msg *m, const struct smbus_xfer *x)
{
	bool ok = count_ok(x->data[0]) && (x->no_count || smbus_msg_put(b, m, x->data[0]));

	for (unsigned i = 0; ok && i < x->data[0]; i++)
		ok = smbus_msg_put(b, m, x->block[i]);
	return ok;
}

/* SMBus 5.5.7: the count comes from the slave. */
static bool get_block(const struct smbus_bus *b, struct smbus_msg *m, struct smbus_xfer *x)
{
	x->data[0] = smbus_msg_get(b, m);
	if (!count_ok(x->data[0]))
		return false;
	for (unsigned i = 0; i < x->data[0]; i++)
		x->block[i] = smbus_msg_get(b, m);
	return true;
}

static bool data_of(const struct smbus_bus *b, struct smbus_msg *m, struct smbus_xfer *x, bool read)
{
	unsigned n = x->protocol == SMBUS_BYTE_DATA ? 1 : 2;

	for (unsigned i = 0; i < n; i++) {
		if (read)
			x->data[i] = smbus_msg_get(b, m);
		else if (!smbus_msg_put(b, m, x->data[i]))
			return false;
	}
	return true;
}

bool smbus_bus_run(const struct smbus_bus *b, struct smbus_xfer *x)
{
	struct smbus_msg m = {.address = x->address >> 1};
	bool read = x->address & 1, ok = true;

	x->pec_wrong = false;
	if (!smbus_bus_has(b, m.address))
		return false;
	if (x->protocol == SMBUS_QUICK) /* 5.5.1: the address is all there is */
		return true;
	if (x->protocol == SMBUS_BYTE && read)
		x->data[0] = smbus_msg_get(b, &m);
	else if (!x->no_command || x->protocol == SMBUS_BYTE)
		ok = smbus_msg_put(b, &m, x->command);
	switch (x->protocol) {
	case SMBUS_BYTE: break;
	case SMBUS_BYTE_DATA:
	case SMBUS_WORD_DATA: ok = ok && data_of(b, &m, x, read); break;
	case SMBUS_PROCESS_CALL: /* 5.5.6 */
		ok = ok && data_of(b, &m, x, false) && data_of(b, &m, x, true);
		break;
	case SMBUS_BLOCK_DATA: ok = ok && (read ? get_block(b, &m, x) : put_block(b, &m, x)); break;
	case SMBUS_BLOCK_PROCESS: /* 5.5.8 */
		ok = ok && put_block(b, &m, x) && get_block(b, &m, x);
		break;
	default: return false;
	}
	return ok && (!x->pec || smbus_msg_end(b, &m, x->pec_check, &x->pec_byte, &x->pec_wrong));
}
