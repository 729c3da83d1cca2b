/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TPM 2.0 with the FIFO interface, five localities at FED40000h. TCG PC Client Platform TPM Profile
 * for TPM 2.0 (PTP) 1.05 rev. 14, the registers of the FIFO interface, which has its roots in the
 * TPM Interface Specification (TIS) 1.3.
 *
 * One command at a time passes through one buffer: idle, ready, reception, execution, completion
 * (PTP, state transitions). From every state commandReady leads to ready; a command under execution
 * is abandoned then: its answer, when it comes, goes nowhere. Only the active locality sees and
 * moves the FIFO; the others read ones and write nothing. Another locality asks (requestUse) and
 * waits, or takes it from a lower one (Seize).
 *
 * All interrupts of the profile are there, by any ISA interrupt (TPM_INT_VECTOR).
 *
 * UNMODELLED: TPM_HASH_START, _DATA and _END, which only a dynamic launch by the processor writes;
 * checksums and I2C registers; TPM_FAST sizes other than 64 bytes a transfer.
 */
#include "device/tpm/tpm_tis.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"

enum {
	TPM_ACCESS = 0x00,
	TPM_INT_ENABLE = 0x08,
	TPM_INT_VECTOR = 0x0c,
	TPM_INT_STATUS = 0x10,
	TPM_INTF_CAPABILITY = 0x14,
	TPM_STS = 0x18,
	TPM_DATA_FIFO = 0x24,
	TPM_INTERFACE_ID = 0x30,
	TPM_XDATA_FIFO = 0x80,
	TPM_XDATA_FIFO_END = 0xc0,
	TPM_DID_VID = 0xf00,
	TPM_RID = 0xf04,
};
enum {
	ACCESS_VALID = 1 << 7,
	ACCESS_ACTIVE = 1 << 5,
	ACCESS_SEIZED = 1 << 4,
	ACCESS_SEIZE = 1 << 3,
	ACCESS_PENDING = 1 << 2,
	ACCESS_REQUEST = 1 << 1,
	ACCESS_NOT_ESTABLISHED = 1 << 0,
};
enum {
	STS_FAMILY_2 = 1 << 26,
	STS_CLEAR_ESTABLISHED = 1 << 25,
	STS_CANCEL = 1 << 24,
	STS_BURST_SHIFT = 8,
	STS_VALID = 1 << 7,
	STS_READY = 1 << 6,
	STS_GO = 1 << 5,
	STS_DATA = 1 << 4,
	STS_EXPECT = 1 << 3,
	STS_SELF_TEST = 1 << 2,
	STS_RETRY = 1 << 1,
};
#define INT_GLOBAL (1u << 31)
enum {
	INT_READY = 1 << 7,
	INT_LOCALITY = 1 << 2,
	INT_VALID = 1 << 1,
	INT_DATA = 1 << 0,
	INT_ALL = INT_READY | INT_LOCALITY | INT_VALID | INT_DATA,
	INT_POLARITY = 3 << 3, /* 1: low level, which is how the line here is thought of */
};
/* version 1.3 for TPM 2.0, transfers of up to 64 bytes, each polarity, each interrupt */
#define CAPABILITY     (3u << 28 | 3u << 9 | 0x70u | INT_ALL | 1u << 3)
#define INTERFACE_ID   (1u << 13 | 1u << 8 | 1u << 19) /* FIFO only, 5 localities, not changeable */
#define INT_ENABLE_MAX (INT_GLOBAL | INT_POLARITY | INT_ALL)

enum state { IDLE, READY, RECEPTION, EXECUTION, COMPLETION };

static struct tpm_tis *to_tis(struct dev *d)
{
	return CONTAINER_OF(d, struct tpm_tis, dev);
}

static void drive(struct tpm_tis *t)
{
	bool level = (t->s.int_enable & INT_GLOBAL) && (t->s.int_enable & t->s.int_status);

	for (unsigned i = 0; i < TPM_TIS_IRQS; i++)
		irq_set(&t->irq[i], level && i && i == t->s.int_vector);
}

static void happened(struct tpm_tis *t, unsigned what)
{
	t->s.int_status |= (uint8_t)(what & t->s.int_enable);
	drive(t);
}

/* ------------------------------------------------------------------ commands */

static void get_ready(struct tpm_tis *t)
{
	if (t->s.state == EXECUTION) {
		t->s.aborting = t->s.ready_after_abort = true;
		return;
	}
	t->s.at = t->s.len = 0;
	t->s.state = READY;
	happened(t, INT_READY);
}

/* The active locality is another one, or none: what it had is gone. */
static void go_idle(struct tpm_tis *t)
{
	if (t->s.state == EXECUTION) {
		t->s.aborting = true;
		t->s.ready_after_abort = false;
		return;
	}
	t->s.at = t->s.len = 0;
	t->s.state = IDLE;
}

static void on_answer(void *ctx, const uint8_t *buf, size_t len)
{
	struct tpm_tis *t = ctx;

	if (t->s.state != EXECUTION)
		return;
	t->s.state = COMPLETION;
	if (t->s.aborting) {
		t->s.aborting = false;
		if (t->s.ready_after_abort)
			get_ready(t);
		else
			go_idle(t);
		return;
	}
	memcpy(t->s.buf, buf, len);
	t->s.at = 0;
	t->s.len = (uint16_t)len;
	happened(t, INT_DATA | INT_VALID);
}

/* Bytes the command has by its header; all that fits while that is not there. */
static unsigned command_bytes(const struct tpm_tis *t)
{
	uint32_t n = t->s.len < 6 ? TPM_HEADER : ld_be32(t->s.buf + 2);

	return n < TPM_HEADER ? TPM_HEADER : n > TPM_BUFFER ? TPM_BUFFER : n;
}

static bool expects(const struct tpm_tis *t)
{
	return t->s.state == RECEPTION && t->s.len < command_bytes(t);
}

static void execute(struct tpm_tis *t)
{
	if (t->s.state != RECEPTION || expects(t)) {
		guest_error(&t->dev, "tpmGo without a whole command");
		return;
	}
	t->s.state = EXECUTION;
	t->s.aborting = t->s.ready_after_abort = false;
	tpm_submit(t->tpm, t->s.active, t->s.buf, t->s.len);
}

static uint8_t fifo_read(struct tpm_tis *t)
{
	return t->s.state == COMPLETION && t->s.at < t->s.len ? t->s.buf[t->s.at++] : 0xff;
}

static void fifo_write(struct tpm_tis *t, uint8_t v)
{
	if (t->s.state == READY)
		t->s.state = RECEPTION;
	if (t->s.state != RECEPTION || !expects(t))
		return;
	t->s.buf[t->s.len++] = v;
	if (!expects(t))
		happened(t, INT_VALID);
}

/* ------------------------------------------------------------------ localities */

static void give_to(struct tpm_tis *t, unsigned loc)
{
	t->s.active = (uint8_t)loc;
	t->s.requests &= (uint8_t) ~(1u << loc);
}

static void relinquish(struct tpm_tis *t, unsigned loc)
{
	t->s.requests &= (uint8_t) ~(1u << loc);
	if (t->s.active != loc)
		return;
	go_idle(t);
	t->s.active = TPM_LOCALITIES;
	for (unsigned i = TPM_LOCALITIES; i-- > 0;)
		if (t->s.requests >> i & 1) {
			give_to(t, i);
			happened(t, INT_LOCALITY);
			return;
		}
}

/* Each write is to have one bit set; of several the first here is taken. */
static void write_access(struct tpm_tis *t, unsigned loc, uint8_t v)
{
	if (v & ACCESS_ACTIVE) {
		relinquish(t, loc);
	} else if (v & ACCESS_SEIZED) {
		t->s.seized &= (uint8_t) ~(1u << loc);
	} else if (v & ACCESS_SEIZE) {
		if (t->s.active < TPM_LOCALITIES && t->s.active >= loc)
			return; /* only from a lower one */
		if (t->s.active < TPM_LOCALITIES)
			t->s.seized |= (uint8_t)(1u << t->s.active);
		go_idle(t);
		give_to(t, loc);
	} else if (v & ACCESS_REQUEST) {
		if (t->s.active == TPM_LOCALITIES)
			give_to(t, loc);
		else if (t->s.active != loc)
			t->s.requests |= (uint8_t)(1u << loc);
	}
}

static uint8_t read_access(const struct tpm_tis *t, unsigned loc)
{
	uint8_t v = ACCESS_VALID;

	v |= t->s.active == loc ? ACCESS_ACTIVE : 0;
	v |= t->s.seized >> loc & 1 ? ACCESS_SEIZED : 0;
	v |= t->s.requests & ~(1u << loc) ? ACCESS_PENDING : 0;
	v |= t->s.requests >> loc & 1 ? ACCESS_REQUEST : 0;
	return v | (tpm_established(t->tpm) ? 0 : ACCESS_NOT_ESTABLISHED);
}

/* ------------------------------------------------------------------ registers */

static uint32_t read_status(const struct tpm_tis *t)
{
	uint32_t v = STS_FAMILY_2 | STS_VALID | STS_SELF_TEST, burst = 0;

	switch (t->s.state) {
	case READY: v |= STS_READY; /* fall through */
	case RECEPTION:
		burst = TPM_BUFFER - t->s.len;
		v |= expects(t) ? STS_EXPECT : 0;
		break;
	case COMPLETION: burst = t->s.len - t->s.at; v |= burst ? STS_DATA : 0;
	}
	return v | burst << STS_BURST_SHIFT;
}

static void write_status(struct tpm_tis *t, uint32_t v)
{
	if (v & STS_READY)
		get_ready(t);
	else if (v & STS_GO)
		execute(t);
	else if ((v & STS_RETRY) && t->s.state == COMPLETION)
		t->s.at = 0;
	else if ((v & STS_CLEAR_ESTABLISHED) && (t->s.active == 3 || t->s.active == 4))
		tpm_clear_established(t->tpm, t->s.active);
}

/* The register of four bytes at @reg, which is not a FIFO. */
static uint32_t read_register(const struct tpm_tis *t, unsigned loc, unsigned reg)
{
	switch (reg) {
	case TPM_ACCESS: return read_access(t, loc);
	case TPM_INT_ENABLE: return t->s.int_enable;
	case TPM_INT_VECTOR: return t->s.int_vector;
	case TPM_INT_STATUS: return t->s.int_status;
	case TPM_INTF_CAPABILITY: return CAPABILITY;
	case TPM_STS: return t->s.active == loc ? read_status(t) : UINT32_MAX;
	case TPM_INTERFACE_ID: return INTERFACE_ID;
	case TPM_DID_VID: return 1u << 16 | TPM_VENDOR;
	case TPM_RID: return 1;
	default: return UINT32_MAX;
	}
}

static bool is_fifo(unsigned reg)
{
	return (reg >= TPM_DATA_FIFO && reg < TPM_DATA_FIFO + 4) ||
	       (reg >= TPM_XDATA_FIFO && reg < TPM_XDATA_FIFO_END);
}

static uint64_t tis_read(struct dev *d, uint64_t off, unsigned size)
{
	struct tpm_tis *t = to_tis(d);
	unsigned loc = (unsigned)(off >> 12), reg = off & 0xfff;
	uint64_t v = 0;

	if (!is_fifo(reg))
		return read_register(t, loc, reg & ~3u) >> (reg & 3) * 8;
	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)(t->s.active == loc ? fifo_read(t) : 0xff) << i * 8;
	return v;
}

/* @mask: the bytes that are written. */
static void write_register(struct tpm_tis *t, unsigned reg, uint32_t v, uint32_t mask)
{
	switch (reg) {
	case TPM_INT_ENABLE:
		t->s.int_enable = ((t->s.int_enable & ~mask) | (v & mask)) & INT_ENABLE_MAX;
		break;
	case TPM_INT_VECTOR:
		if (mask & 0xff)
			t->s.int_vector = v & 0x0f;
		break;
	case TPM_INT_STATUS: t->s.int_status &= (uint8_t) ~(v & mask); break;
	case TPM_STS: write_status(t, v & mask); break;
	}
	drive(t);
}

static void tis_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	struct tpm_tis *t = to_tis(d);
	unsigned loc = (unsigned)(off >> 12), reg = off & 0xfff, shift = (reg & 3) * 8;

	if (reg == TPM_ACCESS)
		write_access(t, loc, (uint8_t)val);
	else if (t->s.active != loc)
		return;
	else if (!is_fifo(reg))
		write_register(t, reg & ~3u, (uint32_t)(val << shift),
			       (uint32_t)(mask_bytes(size) << shift));
	else
		for (unsigned i = 0; i < size; i++)
			fifo_write(t, (uint8_t)(val >> i * 8));
}

/* ------------------------------------------------------------------ life cycle */

static int tis_realize(struct dev *d, struct error *err)
{
	struct tpm_tis *t = to_tis(d);

	tpm_set_front(t->tpm, TPM_BUFFER, on_answer, t);
	return 0;
}

static void tis_unrealize(struct dev *d)
{
	tpm_set_front(to_tis(d)->tpm, TPM_BUFFER, NULL, NULL);
}

static void tis_reset(struct dev *d, enum dev_reset kind)
{
	struct tpm_tis *t = to_tis(d);

	memset(&t->s, 0, sizeof(t->s));
	t->s.active = TPM_LOCALITIES;
	t->s.int_enable = 1 << 3; /* PTP, TPM_INT_ENABLE: low level */
	drive(t);
	tpm_reset(t->tpm);
}

static int tis_quiesce(struct dev *d)
{
	return tpm_wait(to_tis(d)->tpm);
}

/* A command that was under way starts again. */
static int tis_loaded(struct dev *d, struct error *err)
{
	struct tpm_tis *t = to_tis(d);
	const struct tpm_tis_regs *s = &t->s;

	if (s->at > s->len || (s->int_enable & ~INT_ENABLE_MAX) || (s->int_status & ~INT_ALL) ||
	    (s->aborting && s->state != EXECUTION) ||
	    (s->state == EXECUTION && s->len != command_bytes(t)) ||
	    (s->state == RECEPTION && s->len > command_bytes(t)) ||
	    (s->state < RECEPTION && s->len) ||
	    (s->active < TPM_LOCALITIES && (s->requests >> s->active & 1)))
		return error_set(err, -EINVAL, "registers of the TPM interface contradict");
	if (tpm_busy(t->tpm))
		tpm_reset(t->tpm);
	if (s->state == EXECUTION)
		tpm_submit(t->tpm, s->active < TPM_LOCALITIES ? s->active : 0, s->buf, s->len);
	drive(t);
	return 0;
}

/* clang-format off */
static const struct state_field tis_fields[] = {
	STATE_BYTES_OF(struct tpm_tis_regs, buf),
	STATE_VAL(struct tpm_tis_regs, at, .max = TPM_BUFFER),
	STATE_VAL(struct tpm_tis_regs, len, .max = TPM_BUFFER),
	STATE_VAL(struct tpm_tis_regs, state, .max = COMPLETION),
	STATE_VAL(struct tpm_tis_regs, active, .max = TPM_LOCALITIES),
	STATE_VAL(struct tpm_tis_regs, requests, .max = 31),
	STATE_VAL(struct tpm_tis_regs, seized, .max = 31),
	STATE_VAL(struct tpm_tis_regs, int_enable),
	STATE_VAL(struct tpm_tis_regs, int_status),
	STATE_VAL(struct tpm_tis_regs, int_vector, .max = 15),
	STATE_VAL(struct tpm_tis_regs, aborting),
	STATE_VAL(struct tpm_tis_regs, ready_after_abort),
	STATE_END};

static const struct state_desc tis_state =
	STATE_DESC("tpm-tis", 1, struct tpm_tis_regs, tis_fields);

static const struct dev_region tis_regions[] = {
	{"tpm-tis", DEV_MMIO, TPM_BASE, TPM_TIS_SIZE, WIDTH_ANY, WIDTH_124, tis_read, tis_write},
	{0}};
/* clang-format on */

const struct dev_class tpm_tis_class = {
	.name = "tpm-tis",
	.summary = "TPM 2.0, FIFO interface",
	.spec = "TCG PC Client Platform TPM Profile 1.05 rev. 14, FIFO interface",
	.size = sizeof(struct tpm_tis),
	.regs_offset = offsetof(struct tpm_tis, s),
	.regions = tis_regions,
	.state = &tis_state,
	.realize = tis_realize,
	.unrealize = tis_unrealize,
	.reset = tis_reset,
	.quiesce = tis_quiesce,
	.loaded = tis_loaded,
};
