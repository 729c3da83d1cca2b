/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TPM 2.0 with the command response buffer (CRB) interface at FED40000h. TCG PC Client Platform TPM
 * Profile for TPM 2.0 (PTP) 1.05 rev. 14, the registers of the CRB interface.
 *
 * Locality 0 alone, as the profile allows (CapLocality = 0): it asks for the TPM with
 * requestAccess, which is granted at once. cmdReady leads from idle to ready, goIdle back; the
 * command is laid into the buffer, Start executes it, and Start reads as zero when the answer lies
 * in its place. Writes to the buffer without locality, while idle or during execution go nowhere.
 *
 * A command longer than the buffer by its own header, or shorter than a header, is not executed and
 * sets tpmSts: fatal error, until the next reset (PTP, TPM_CRB_CTRL_STS).
 *
 * UNMODELLED: interrupts (the registers can be written; no line is announced), other localities.
 */
#include "device/tpm/tpm_crb.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "device/tpm/tpm_tis.h"

enum {
	LOC_STATE = 0x00,
	LOC_CTRL = 0x08,
	LOC_STS = 0x0c,
	INTERFACE_ID = 0x30,
	INTERFACE_ID_HI = 0x34,
	CTRL_EXT = 0x38,
	CTRL_EXT_HI = 0x3c,
	CTRL_REQ = 0x40,
	CTRL_STS = 0x44,
	CTRL_CANCEL = 0x48,
	CTRL_START = 0x4c,
	INT_ENABLE = 0x50,
	INT_STS = 0x54,
	CMD_SIZE = 0x58,
	CMD_LADDR = 0x5c,
	CMD_HADDR = 0x60,
	RSP_SIZE = 0x64,
	RSP_LADDR = 0x68,
	RSP_HADDR = 0x6c,
	DATA_BUFFER = 0x80,
};
enum { STATE_VALID = 1 << 7, STATE_ASSIGNED = 1 << 1, STATE_ESTABLISHED = 1 << 0 };
enum { CTRL_REQUEST = 1 << 0, CTRL_RELINQUISH = 1 << 1, STS_GRANTED = 1 << 0 };
enum { REQ_READY = 1 << 0, REQ_IDLE = 1 << 1, STS_ERROR = 1 << 0, STS_IDLE = 1 << 1 };
/* type and version 1, transfers of up to 64 bytes, CRB only and selected, not changeable */
#define ID_LOW     (0x11u | 3u << 11 | 1u << 14 | 1u << 17 | 1u << 19 | 1u << 24)
#define ID_HIGH    (TPM_VENDOR | 1u << 16)
#define INT_MASK   0x8000000fu
#define INT_STATUS 0x0fu

enum state { IDLE, READY, EXECUTION };

static struct tpm_crb *to_crb(struct dev *d)
{
	return CONTAINER_OF(d, struct tpm_crb, dev);
}

static void on_answer(void *ctx, const uint8_t *buf, size_t len)
{
	struct tpm_crb *c = ctx;

	if (c->s.state != EXECUTION)
		return;
	c->s.state = READY;
	if (c->s.aborting) {
		c->s.aborting = false;
		c->s.state = IDLE;
		return;
	}
	memcpy(c->s.buf, buf, len);
}

static void start(struct tpm_crb *c)
{
	uint32_t len = ld_be32(c->s.buf + 2);

	if (c->s.state != READY || !c->s.assigned) {
		guest_error(&c->dev, "Start while not ready");
		return;
	}
	if (len < TPM_HEADER || len > sizeof(c->s.buf)) {
		guest_error(&c->dev, "a command of %u bytes", len);
		c->s.failed = true;
		return;
	}
	c->s.state = EXECUTION;
	c->s.aborting = false;
	tpm_submit(c->tpm, 0, c->s.buf, len);
}

static void go_idle(struct tpm_crb *c)
{
	if (c->s.state == EXECUTION)
		c->s.aborting = true;
	else
		c->s.state = IDLE;
}

static void write_request(struct tpm_crb *c, uint32_t v)
{
	if (!c->s.assigned)
		return;
	if ((v & REQ_READY) && c->s.state == IDLE)
		c->s.state = READY;
	else if (v & REQ_IDLE)
		go_idle(c);
}

static void write_locality(struct tpm_crb *c, uint32_t v)
{
	if (v & CTRL_RELINQUISH) {
		c->s.assigned = false;
		go_idle(c);
	} else if (v & CTRL_REQUEST) {
		c->s.assigned = true;
	}
}

static uint32_t read_register(const struct tpm_crb *c, unsigned reg)
{
	switch (reg) {
	case LOC_STATE:
		return STATE_VALID | (c->s.assigned ? STATE_ASSIGNED : 0) |
		       (tpm_established(c->tpm) ? 0 : STATE_ESTABLISHED);
	case LOC_STS: return c->s.assigned ? STS_GRANTED : 0;
	case INTERFACE_ID: return ID_LOW;
	case INTERFACE_ID_HI: return ID_HIGH;
	case CTRL_STS: return (c->s.failed ? STS_ERROR : 0) | (c->s.state == IDLE ? STS_IDLE : 0);
	case CTRL_CANCEL: return c->s.cancel;
	case CTRL_START: return c->s.state == EXECUTION;
	case INT_ENABLE: return c->s.int_enable;
	case INT_STS: return c->s.int_status;
	case CMD_SIZE:
	case RSP_SIZE: return TPM_CRB_BUFFER;
	case CMD_LADDR:
	case RSP_LADDR: return TPM_BASE + DATA_BUFFER;
	default: return 0; /* requests are done when they are read back */
	}
}

static uint64_t crb_read(struct dev *d, uint64_t off, unsigned size)
{
	const struct tpm_crb *c = to_crb(d);

	if (off >= DATA_BUFFER)
		return ld_le(c->s.buf + (off - DATA_BUFFER), size);
	return (uint64_t)read_register(c, (unsigned)off & ~3u) >> (off & 3) * 8;
}

static void crb_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	struct tpm_crb *c = to_crb(d);
	uint32_t v = (uint32_t)(val << (off & 3) * 8);

	if (off >= DATA_BUFFER) {
		if (c->s.state == READY && c->s.assigned)
			st_le(c->s.buf + (off - DATA_BUFFER), size, val);
		return;
	}
	switch (off & ~3ull) {
	case LOC_CTRL: write_locality(c, v); break;
	case CTRL_REQ: write_request(c, v); break;
	case CTRL_CANCEL: c->s.cancel = v & 1; break;
	case CTRL_START:
		if (v & 1)
			start(c);
		break;
	case INT_ENABLE:
		if (size == 4)
			c->s.int_enable = v & INT_MASK;
		break;
	case INT_STS: c->s.int_status &= ~v; break;
	}
}

static int crb_realize(struct dev *d, struct error *err)
{
	struct tpm_crb *c = to_crb(d);

	tpm_set_front(c->tpm, sizeof(c->s.buf), on_answer, c);
	return 0;
}

static void crb_unrealize(struct dev *d)
{
	tpm_set_front(to_crb(d)->tpm, TPM_BUFFER, NULL, NULL);
}

static void crb_reset(struct dev *d, enum dev_reset kind)
{
	struct tpm_crb *c = to_crb(d);

	memset(&c->s, 0, sizeof(c->s));
	tpm_reset(c->tpm);
}

static int crb_quiesce(struct dev *d)
{
	return tpm_wait(to_crb(d)->tpm);
}

/* A command that was under way starts again. */
static int crb_loaded(struct dev *d, struct error *err)
{
	struct tpm_crb *c = to_crb(d);
	const struct tpm_crb_regs *s = &c->s;
	uint32_t len = ld_be32(s->buf + 2);

	if ((s->aborting && s->state != EXECUTION) ||
	    (s->state == EXECUTION && (len < TPM_HEADER || len > sizeof(s->buf))) ||
	    (s->int_enable & ~INT_MASK) || (s->int_status & ~INT_STATUS))
		return error_set(err, -EINVAL, "registers of the TPM interface contradict");
	if (tpm_busy(c->tpm))
		tpm_reset(c->tpm);
	if (s->state == EXECUTION)
		tpm_submit(c->tpm, 0, s->buf, len);
	return 0;
}

/* clang-format off */
static const struct state_field crb_fields[] = {
	STATE_BYTES_OF(struct tpm_crb_regs, buf),
	STATE_VAL(struct tpm_crb_regs, state, .max = EXECUTION),
	STATE_VAL(struct tpm_crb_regs, assigned),
	STATE_VAL(struct tpm_crb_regs, failed),
	STATE_VAL(struct tpm_crb_regs, aborting),
	STATE_VAL(struct tpm_crb_regs, cancel),
	STATE_PAD(struct tpm_crb_regs, pad_),
	STATE_VAL(struct tpm_crb_regs, int_enable),
	STATE_VAL(struct tpm_crb_regs, int_status),
	STATE_END};

static const struct state_desc crb_state =
	STATE_DESC("tpm-crb", 1, struct tpm_crb_regs, crb_fields);

static const struct dev_region crb_regions[] = {
	{"tpm-crb", DEV_MMIO, TPM_BASE, TPM_CRB_SIZE, WIDTH_ANY, WIDTH_124, crb_read, crb_write},
	{0}};
/* clang-format on */

const struct dev_class tpm_crb_class = {
	.name = "tpm-crb",
	.summary = "TPM 2.0, command response buffer",
	.spec = "TCG PC Client Platform TPM Profile 1.05 rev. 14, CRB interface",
	.size = sizeof(struct tpm_crb),
	.regs_offset = offsetof(struct tpm_crb, s),
	.regions = crb_regions,
	.state = &crb_state,
	.realize = crb_realize,
	.unrealize = crb_unrealize,
	.reset = crb_reset,
	.quiesce = crb_quiesce,
	.loaded = crb_loaded,
};
