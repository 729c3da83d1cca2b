/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMBus host controller of the ICH9, with the memory modules' EEPROMs on its bus (smbus_bus.c).
 * Intel I/O Controller Hub 9 family data sheet 316972-004, "SMBus Controller" and
 * "SMBus Controller Registers (D31:F3)", cited by register; System Management Bus
 * Specification 2.0.
 *
 *   00 HST_STS · 02 HST_CNT · 03 HST_CMD · 04 XMIT_SLVA · 05, 06 HST_D0, D1 · 07 HOST_BLOCK_DB ·
 *   08 PEC · 09 RCV_SLVA · 0a SLV_DATA · 0c AUX_STS · 0d AUX_CTL · 0e SMLINK_PIN_CTL ·
 *   0f SMBUS_PIN_CTL · 10 SLV_STS · 11 SLV_CMD · 14 NOTIFY_DADDR · 16, 17 NOTIFY_DLOW, DHIGH
 *
 * They are at SMB_BASE in I/O space and at SMBMBAR in memory. A command is over as soon as it is
 * started, but for blocks without the 32-byte buffer: with each byte BYTE_DONE is set and the bus
 * held until the host clears it; clearing the last one ends the command. What nobody acknowledges
 * is DEV_ERR. A host that has not cleared what interrupts now cannot start another command
 * (HOSTC.HST_EN).
 *
 * UNMODELLED: SMI# in place of the interrupt (SMB_SMI_EN: neither comes), being a slave and host
 * notify (nobody else is a master), alerts, collisions, SMLink, D31IP (the pin is INTC#, as after
 * its reset), and that a command takes time.
 */
#include "device/misc/ich9_smbus.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"

enum {
	R_HST_STS = 0x00,
	R_HST_CNT = 0x02,
	R_HST_CMD = 0x03,
	R_XMIT_SLVA = 0x04,
	R_HST_D0 = 0x05,
	R_HST_D1 = 0x06,
	R_HOST_BLOCK_DB = 0x07,
	R_PEC = 0x08,
	R_RCV_SLVA = 0x09,
	R_AUX_STS = 0x0c,
	R_AUX_CTL = 0x0d,
	R_SMLINK_PIN_CTL = 0x0e,
	R_SMBUS_PIN_CTL = 0x0f,
	R_SLV_CMD = 0x11,
};
enum { C_HOSTC = 0x40, HOSTC_HST_EN = 1, HOSTC_SMI_EN = 2, HOSTC_I2C_EN = 4, HOSTC_SSRESET = 8 };
enum {
	STS_BUSY = 0x01,
	STS_INTR = 0x02,
	STS_DEV_ERR = 0x04,
	STS_FAILED = 0x10,
	STS_IN_USE = 0x40,
	STS_BYTE_DONE = 0x80,
	STS_INTERRUPTS = 0x9e, /* BYTE_DONE, FAILED, BUS_ERR, DEV_ERR, INTR */
	STS_CLEARED = 0xbe,    /* by writing 1: those and SMBALERT_STS */
	STS_ALL = 0xbf,        /* the semaphore has its own field */
};
enum {
	CNT_INTREN = 0x01,
	CNT_KILL = 0x02,
	CNT_LAST_BYTE = 0x20,
	CNT_START = 0x40,
	CNT_PEC_EN = 0x80,
	CNT_KEPT = 0xbf
};
enum { AUX_CRCE = 0x01, AUX_AAC = 0x01, AUX_E32B = 0x02, AUX_CTL_ALL = 0x03 };
enum { PIN_CLK_CTL = 0x04, PIN_DATA = 0x02, PIN_CLK = 0x01 };
enum { SLV_CMD_ALL = 0x07, RCV_SLVA_RESET = 0x44 };

static struct ich9_smbus *to_smbus(struct dev *d)
{
	return CONTAINER_OF(d, struct ich9_smbus, dev);
}

static bool hostc(const struct ich9_smbus *s, uint8_t bit)
{
	return s->s.pci.cfg[C_HOSTC] & bit;
}

static bool interrupts(const struct ich9_smbus *s)
{
	return (s->s.control & CNT_INTREN) && (s->s.status & STS_INTERRUPTS);
}

static void irq_update(struct ich9_smbus *s)
{
	pci_intx_set(&s->f, interrupts(s) && !hostc(s, HOSTC_SMI_EN));
}

/* ------------------------------------------------------------------ commands */

static void finish(struct ich9_smbus *s, uint8_t how)
{
	s->s.phase = ICH9_SMBUS_IDLE;
	s->s.status = (uint8_t)((s->s.status & ~STS_BUSY) | how);
}

static uint8_t outcome(struct ich9_smbus *s, bool ok, bool pec_wrong)
{
	if (pec_wrong) /* AUX_STS: DEV_ERR is set with CRCE */
		s->s.aux_status |= AUX_CRCE;
	return ok ? STS_INTR : STS_DEV_ERR;
}

/* At once: all but blocks without the buffer. */
static void run_whole(struct ich9_smbus *s, enum smbus_protocol protocol)
{
	struct smbus_xfer x = {.protocol = protocol,
			       .address = s->s.address,
			       .command = s->s.command,
			       .data = {s->s.data[0], s->s.data[1]},
			       .pec = s->s.control & CNT_PEC_EN,
			       .pec_check = s->s.aux_control & AUX_AAC,
			       .pec_byte = s->s.pec};
	bool ok;

	/* 5.21.1.1: I2C devices get no command code of a process call, no count of a block write */
	x.no_command = hostc(s, HOSTC_I2C_EN) && protocol == SMBUS_PROCESS_CALL;
	x.no_count = hostc(s, HOSTC_I2C_EN) && protocol == SMBUS_BLOCK_DATA;
	memcpy(x.block, s->s.block, sizeof(x.block));
	ok = smbus_bus_run(&s->smb, &x);
	memcpy(s->s.data, x.data, sizeof(x.data));
	memcpy(s->s.block, x.block, sizeof(x.block));
	s->s.pec = x.pec_byte;
	finish(s, outcome(s, ok, x.pec_wrong));
}

/* The message ends: what its last byte was followed by. */
static void end_bytes(struct ich9_smbus *s)
{
	bool ok = true, wrong = false;

	if ((s->s.control & CNT_PEC_EN) && !s->s.endless)
		ok = smbus_msg_end(&s->smb, &s->s.msg, s->s.aux_control & AUX_AAC, &s->s.pec,
				   &wrong);
	finish(s, outcome(s, ok, wrong));
}

static void next_byte(struct ich9_smbus *s)
{
	if (s->s.phase == ICH9_SMBUS_WRITING) {
		if (!smbus_msg_put(&s->smb, &s->s.msg, s->s.byte)) {
			finish(s, STS_DEV_ERR);
			return;
		}
		s->s.left--;
	} else {
		s->s.byte = smbus_msg_get(&s->smb, &s->s.msg);
		if (!s->s.endless)
			s->s.left--;
		if (s->s.control & CNT_LAST_BYTE) /* HST_CNT: it was not acknowledged */
			s->s.left = 0;
	}
	s->s.status |= STS_BYTE_DONE;
}

/* HST_STS, DS: the host has cleared it. */
static void go_on(struct ich9_smbus *s)
{
	if (s->s.phase == ICH9_SMBUS_IDLE)
		return;
	if (s->s.left)
		next_byte(s);
	else
		end_bytes(s);
}

/* A block byte by byte. */
static void run_bytes(struct ich9_smbus *s, enum smbus_protocol protocol)
{
	bool i2c = protocol == SMBUS_I2C_READ, read = i2c || (s->s.address & 1);
	struct smbus_msg *m = &s->s.msg;

	*m = (struct smbus_msg){.address = s->s.address >> 1};
	s->s.endless = i2c;
	/* 5.21.1.1: an I2C read sends HST_D1 first */
	if (!smbus_msg_put(&s->smb, m, i2c ? s->s.data[1] : s->s.command)) {
		finish(s, STS_DEV_ERR);
		return;
	}
	if (read && !i2c)
		s->s.data[0] = smbus_msg_get(&s->smb, m);
	if (!i2c &&
	    (!s->s.data[0] || s->s.data[0] > SMBUS_BLOCK ||
	     (!read && !hostc(s, HOSTC_I2C_EN) && !smbus_msg_put(&s->smb, m, s->s.data[0])))) {
		finish(s, STS_DEV_ERR);
		return;
	}
	s->s.left = i2c ? 1 : s->s.data[0];
	s->s.phase = read ? ICH9_SMBUS_READING : ICH9_SMBUS_WRITING;
	s->s.status |= STS_BUSY;
	next_byte(s);
}

static void start(struct ich9_smbus *s)
{
	enum smbus_protocol protocol = s->s.control >> 2 & 7;
	bool buffer = s->s.aux_control & AUX_E32B;

	if (!hostc(s, HOSTC_HST_EN) || (s->s.control & CNT_KILL) || (s->s.status & STS_BUSY) ||
	    interrupts(s))
		return;
	s->s.at = 0;
	if (protocol == SMBUS_I2C_READ || (protocol == SMBUS_BLOCK_DATA && !buffer))
		run_bytes(s, protocol);
	else if (protocol == SMBUS_BLOCK_PROCESS && !buffer) /* 5.21.1.1: needs it */
		finish(s, STS_DEV_ERR);
	else
		run_whole(s, protocol);
}

/* ------------------------------------------------------------------ registers */

/* The byte that HOST_BLOCK_DB is now; the next access is to the one after it. */
static uint8_t *block_byte(struct ich9_smbus *s)
{
	uint8_t at = s->s.at;

	if (!(s->s.aux_control & AUX_E32B))
		return &s->s.byte;
	s->s.at = (at + 1) % SMBUS_BLOCK;
	return &s->s.block[at];
}

/* Lines are high unless the host holds the clock low (SMLINK_PIN_CTL, SMBUS_PIN_CTL). */
static uint8_t pins(uint8_t control)
{
	return (uint8_t)(control | PIN_DATA | (control & PIN_CLK_CTL ? PIN_CLK : 0));
}

static uint64_t reg_read(void *ctx, uint64_t off, unsigned size)
{
	struct ich9_smbus *s = ctx;
	uint8_t v;

	(void)size;
	switch (off % ICH9_SMBUS_IO) {
	case R_HST_STS: /* reading it takes the semaphore */
		v = (uint8_t)(s->s.status | (s->s.in_use ? STS_IN_USE : 0));
		s->s.in_use = true;
		return v;
	case R_HST_CNT:
		s->s.at = 0; /* HST_CNT */
		return s->s.control;
	case R_HST_CMD: return s->s.command;
	case R_XMIT_SLVA: return s->s.address;
	case R_HST_D0: return s->s.data[0];
	case R_HST_D1: return s->s.data[1];
	case R_HOST_BLOCK_DB: return *block_byte(s);
	case R_PEC: return s->s.pec;
	case R_RCV_SLVA: return s->s.receive_address;
	case R_AUX_STS: return s->s.aux_status;
	case R_AUX_CTL: return s->s.aux_control;
	case R_SMLINK_PIN_CTL: return pins(s->s.smlink_pins);
	case R_SMBUS_PIN_CTL: return pins(s->s.smbus_pins);
	case R_SLV_CMD: return s->s.slave_command;
	default: return 0; /* SLV_DATA, SLV_STS, NOTIFY_*: nobody has written to this host */
	}
}

static void write_status(struct ich9_smbus *s, uint8_t v)
{
	bool held = s->s.status & STS_BYTE_DONE;

	s->s.status &= (uint8_t) ~(v & STS_CLEARED);
	if (v & STS_IN_USE)
		s->s.in_use = false;
	if (held && (v & STS_BYTE_DONE))
		go_on(s);
}

static void reg_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct ich9_smbus *s = ctx;
	uint8_t v = (uint8_t)val;

	(void)size;
	switch (off % ICH9_SMBUS_IO) {
	case R_HST_STS: write_status(s, v); break;
	case R_HST_CNT:
		s->s.control = v & CNT_KEPT;
		if (v & CNT_KILL)
			finish(s, STS_FAILED);
		else if (v & CNT_START)
			start(s);
		break;
	case R_HST_CMD: s->s.command = v; break;
	case R_XMIT_SLVA: s->s.address = v; break;
	case R_HST_D0: s->s.data[0] = v; break;
	case R_HST_D1: s->s.data[1] = v; break;
	case R_HOST_BLOCK_DB: *block_byte(s) = v; break;
	case R_PEC: s->s.pec = v; break;
	case R_RCV_SLVA: s->s.receive_address = v & 0x7f; break;
	case R_AUX_STS: s->s.aux_status &= (uint8_t) ~(v & AUX_CRCE); break;
	case R_AUX_CTL: s->s.aux_control = v & AUX_CTL_ALL; break;
	case R_SMLINK_PIN_CTL: s->s.smlink_pins = v & PIN_CLK_CTL; break;
	case R_SMBUS_PIN_CTL: s->s.smbus_pins = v & PIN_CLK_CTL; break;
	case R_SLV_CMD: s->s.slave_command = v & SLV_CMD_ALL; break;
	default: break;
	}
	irq_update(s);
}

static void config_written(struct pci_func *f, unsigned off, unsigned size)
{
	struct ich9_smbus *s = CONTAINER_OF(f, struct ich9_smbus, f);

	(void)off, (void)size;
	if (hostc(s, HOSTC_SSRESET)) { /* SSRESET: the state machine; the bit falls by itself */
		finish(s, 0);
		s->s.status &= (uint8_t)~STS_BYTE_DONE;
		s->s.pci.cfg[C_HOSTC] &= (uint8_t)~HOSTC_SSRESET;
	}
	irq_update(s);
}

/* ------------------------------------------------------------------ life cycle */

static int ich9_smbus_realize(struct dev *d, struct error *err)
{
	static const struct pci_ids ids = {.vendor = 0x8086,
					   .device = 0x2930,
					   .subsystem_vendor = 0x1af4,
					   .subsystem = 0x1100,
					   .revision = 2,
					   .cls = 0x0c05,
					   .interrupt_pin = 3};
	struct ich9_smbus *s = to_smbus(d);

	if (!s->bus)
		return error_set(err, -EINVAL, "'%s' needs a PCI bus: wire 'bus' first", d->id);
	pci_func_init(&s->f, d, &s->s.pci, &ids);
	pci_config_def(&s->f, PCI_COMMAND, 2, 0, 0x0543);
	pci_config_def(&s->f, PCI_STATUS, 2, 0x0280, 0); /* PCISTS */
	pci_config_def(&s->f, C_HOSTC, 1, 0, 0x0f);
	s->io = (struct bus_region){.name = "ich9-smbus",
				    .size = ICH9_SMBUS_IO,
				    .valid = WIDTH_124,
				    .impl = WIDTH_1,
				    .read = reg_read,
				    .write = reg_write,
				    .ctx = s};
	s->mem = s->io;
	s->mem.size = ICH9_SMBUS_MEM;
	pci_bar_add(&s->f, 0, PCI_BAR_MEM64, &s->mem);
	pci_bar_add(&s->f, 4, PCI_BAR_IO, &s->io);
	s->f.config_written = config_written;
	smbus_bus_add_modules(&s->smb, s->ram_size, s->s.pointer);
	return pci_func_add(&s->f, s->bus, PCI_DEVFN(0x1f, 3), err);
}

static void ich9_smbus_unrealize(struct dev *d)
{
	pci_func_done(&to_smbus(d)->f);
}

static void ich9_smbus_reset(struct dev *d, enum dev_reset kind)
{
	struct ich9_smbus *s = to_smbus(d);
	uint8_t own = s->s.receive_address, command = s->s.slave_command;

	pci_func_reset(&s->f, kind);
	memset((uint8_t *)&s->s + sizeof(s->s.pci), 0, sizeof(s->s) - sizeof(s->s.pci));
	s->s.smlink_pins = s->s.smbus_pins = PIN_CLK_CTL;
	/* RCV_SLVA, SLV_CMD: in the resume well */
	s->s.receive_address = kind == DEV_RESET_COLD ? RCV_SLVA_RESET : own;
	s->s.slave_command = kind == DEV_RESET_COLD ? 0 : command;
	irq_update(s);
}

static int ich9_smbus_loaded(struct dev *d, struct error *err)
{
	struct ich9_smbus *s = to_smbus(d);
	struct ich9_smbus_regs *r = &s->s;
	int res = pci_func_loaded(&s->f, err);

	if (res < 0)
		return res;
	/* .max lets through what is between the bits */
	r->status &= STS_ALL;
	r->control &= CNT_KEPT;
	r->smlink_pins &= PIN_CLK_CTL;
	r->smbus_pins &= PIN_CLK_CTL;
	if ((r->phase != ICH9_SMBUS_IDLE) != (r->status & STS_BUSY) ||
	    (r->phase != ICH9_SMBUS_IDLE && !(r->status & STS_BYTE_DONE)))
		return error_set(err, -EINVAL, "a block is under way, and HST_STS is %02xh",
				 r->status);
	irq_update(s);
	return 0;
}

/* clang-format off */
static const struct state_field ich9_smbus_fields[] = {
	STATE_STRUCT(struct ich9_smbus_regs, pci, pci_regs_fields),
	STATE_STRUCT(struct ich9_smbus_regs, msg, smbus_msg_fields),
	STATE_VAL(struct ich9_smbus_regs, status, .max = STS_ALL),
	STATE_VAL(struct ich9_smbus_regs, control, .max = CNT_KEPT),
	STATE_VAL(struct ich9_smbus_regs, command),
	STATE_VAL(struct ich9_smbus_regs, address),
	STATE_BYTES_OF(struct ich9_smbus_regs, data),
	STATE_VAL(struct ich9_smbus_regs, byte),
	STATE_VAL(struct ich9_smbus_regs, at, .max = SMBUS_BLOCK - 1),
	STATE_VAL(struct ich9_smbus_regs, pec),
	STATE_VAL(struct ich9_smbus_regs, receive_address, .max = 0x7f),
	STATE_VAL(struct ich9_smbus_regs, aux_status, .max = AUX_CRCE),
	STATE_VAL(struct ich9_smbus_regs, aux_control, .max = AUX_CTL_ALL),
	STATE_VAL(struct ich9_smbus_regs, smlink_pins, .max = PIN_CLK_CTL),
	STATE_VAL(struct ich9_smbus_regs, smbus_pins, .max = PIN_CLK_CTL),
	STATE_VAL(struct ich9_smbus_regs, slave_command, .max = SLV_CMD_ALL),
	STATE_VAL(struct ich9_smbus_regs, in_use),
	STATE_VAL(struct ich9_smbus_regs, phase, .max = ICH9_SMBUS_PHASES - 1),
	STATE_VAL(struct ich9_smbus_regs, left, .max = SMBUS_BLOCK),
	STATE_VAL(struct ich9_smbus_regs, endless),
	STATE_BYTES_OF(struct ich9_smbus_regs, pointer),
	STATE_BYTES_OF(struct ich9_smbus_regs, block),
	STATE_PAD(struct ich9_smbus_regs, pad_),
	STATE_END};

static const struct state_desc ich9_smbus_state =
	STATE_DESC("ich9-smbus", 1, struct ich9_smbus_regs, ich9_smbus_fields);
/* clang-format on */

const struct dev_class ich9_smbus_class = {
	.name = "ich9-smbus",
	.summary = "SMBus host of the ICH9 with memory modules",
	.spec = "Intel 316972-004, SMBus Controller Registers (D31:F3); "
		"System Management Bus Specification 2.0",
	.size = sizeof(struct ich9_smbus),
	.regs_offset = offsetof(struct ich9_smbus, s),
	.state = &ich9_smbus_state,
	.realize = ich9_smbus_realize,
	.unrealize = ich9_smbus_unrealize,
	.reset = ich9_smbus_reset,
	.loaded = ich9_smbus_loaded,
};
