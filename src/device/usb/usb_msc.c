/* SPDX-License-Identifier: Apache-2.0 */
/*
 * USB mass storage: Universal Serial Bus Mass Storage Class, Bulk-Only Transport 1.0 ("BOT") with
 * the SCSI commands of device/storage/scsi.c. Endpoint 1 in, endpoint 2 out.
 *
 * A command goes through the stages: CBW, data in or out, CSW. Data of the medium goes through
 * `buf`, a piece at a time; while a piece is read or written the endpoint answers NAK, and the
 * controller hears when that is over. The registers say all about a command, so that it goes on
 * after a state load; what was under way then is done again.
 *
 * A host that wants more than the command has gets what there is, a short packet, and the rest as
 * the residue (BOT, 6.7.2, case 5); of what it sends too much, nothing is kept (case 11).
 *
 * UNMODELLED: several logical units; USB attached SCSI.
 */
#include "device/usb/usb_msc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"

/* IN and OUT wait for the host; LOAD, STORE and WORK for the disk. DRAIN takes what is not wanted.
 */
enum stage { CBW, IN, OUT, PARAMS, LOAD, STORE, WORK, DRAIN, CSW, STAGE_COUNT };
enum {
	EP_IN = 1,
	EP_OUT = 2,
	CBW_SIGNATURE = 0x43425355,
	CSW_SIGNATURE = 0x53425355,
	STATUS_GOOD = 0,
	STATUS_FAILED = 1,
	STATUS_PHASE = 2,
	BOT_RESET = 0xff,
	BOT_GET_MAX_LUN = 0xfe,
};

const struct state_field usb_msc_fields[] = {
	STATE_STRUCT(struct usb_msc_regs, ctl, usb_ctl_fields),
	STATE_VAL(struct usb_msc_regs, stage, .max = STAGE_COUNT - 1),
	STATE_VAL(struct usb_msc_regs, status, .max = STATUS_PHASE),
	STATE_ARRAY(struct usb_msc_regs, halted),
	STATE_VAL(struct usb_msc_regs, lost),
	STATE_PAD(struct usb_msc_regs, pad0_),
	STATE_BYTES_OF(struct usb_msc_regs, cbw),
	STATE_PAD(struct usb_msc_regs, pad1_),
	STATE_VAL(struct usb_msc_regs, want),
	STATE_VAL(struct usb_msc_regs, moved),
	STATE_VAL(struct usb_msc_regs, len, .max = USB_MSC_BUF),
	STATE_VAL(struct usb_msc_regs, at, .max = USB_MSC_BUF),
	STATE_VAL(struct usb_msc_regs, off),
	STATE_VAL(struct usb_msc_regs, left),
	STATE_STRUCT(struct usb_msc_regs, lu, scsi_lu_regs_fields),
	STATE_BYTES_OF(struct usb_msc_regs, buf),
	STATE_END,
};

static struct usb_msc *to_msc(struct usb_dev *u)
{
	return CONTAINER_OF(u, struct usb_msc, dev);
}

static bool host_reads(const struct usb_msc *m)
{
	return m->s->cbw[12] & 0x80;
}

/* ------------------------------------------------------------------ commands */

/* The command is over. */
static void finish(struct usb_msc *m, uint8_t status)
{
	struct usb_msc_regs *s = m->s;

	m->cmd.act = SCSI_END;
	s->status = status;
	s->left = 0;
	s->len = s->at = 0;
	/* the host still has data, or wants the end of data told */
	if (s->moved < s->want)
		s->stage = host_reads(m) ? IN : DRAIN;
	else
		s->stage = CSW;
	usb_wake(&m->dev);
}

static void command_over(struct usb_msc *m)
{
	scsi_keep_sense(&m->lu, &m->cmd);
	finish(m, m->cmd.status == SCSI_GOOD ? STATUS_GOOD : STATUS_FAILED);
}

static void on_done(struct block_req *req, int result);

static void submit(struct usb_msc *m)
{
	m->req.done = on_done;
	m->req.ctx = m;
	m->busy = true;
	m->dropped = false;
	block_submit(m->lu.block, &m->req);
}

static void work(struct usb_msc *m, int result)
{
	m->s->stage = WORK;
	if (scsi_work(&m->lu, &m->cmd, result, &m->req))
		submit(m);
	else
		command_over(m);
}

/* The next piece from the medium, or to it. */
static void transfer_piece(struct usb_msc *m)
{
	struct usb_msc_regs *s = m->s;

	m->iov = (struct iovec){.iov_base = s->buf, .iov_len = s->len};
	m->req = (struct block_req){.op = s->stage == LOAD ? BLOCK_READ : BLOCK_WRITE,
				    .off = s->off,
				    .len = s->len,
				    .iov = &m->iov,
				    .niov = 1,
				    .fua = s->stage == STORE && m->cmd.fua};
	submit(m);
}

static void next_piece(struct usb_msc *m)
{
	struct usb_msc_regs *s = m->s;

	s->len = (uint32_t)MIN(s->left, (uint64_t)USB_MSC_BUF);
	s->at = 0;
	if (m->cmd.act == SCSI_WRITE) {
		s->stage = OUT;
		return;
	}
	s->stage = LOAD;
	transfer_piece(m);
}

static void on_done(struct block_req *req, int result)
{
	struct usb_msc *m = req->ctx;
	struct usb_msc_regs *s = m->s;

	m->busy = false;
	if (m->dropped || m->stopped) {
		/* a state load or resume starts it again; after a reset nobody waits for it */
		usb_wake(&m->dev);
		return;
	}
	if (s->stage == WORK) {
		work(m, result);
		return;
	}
	if (result == 0) {
		s->off += s->len;
		s->left -= s->len;
	}
	if (result == 0 && s->stage == LOAD) {
		s->stage = IN;
		usb_wake(&m->dev);
	} else if (result == 0 && s->left) {
		next_piece(m);
		usb_wake(&m->dev);
	} else {
		scsi_io_done(&m->cmd, result);
		command_over(m);
	}
}

/* What the command layer wants next. */
static void go_on(struct usb_msc *m)
{
	struct usb_msc_regs *s = m->s;
	struct scsi_cmd *c = &m->cmd;
	bool in = c->act == SCSI_REPLY || c->act == SCSI_READ;
	uint64_t bytes = c->act == SCSI_READ || c->act == SCSI_WRITE ? c->bytes : c->len;

	if (c->act == SCSI_END) {
		command_over(m);
		return;
	}
	if (c->act == SCSI_WORK) {
		work(m, 0);
		return;
	}
	/* BOT, 6.7: the directions differ, or the host has too little room (cases 7, 8, 10, 13) */
	if (c->act == SCSI_REPLY)
		bytes = MIN(bytes, (uint64_t)s->want);
	if (bytes && (in != host_reads(m) || bytes > s->want)) {
		scsi_give_up(&m->lu, c);
		finish(m, STATUS_PHASE);
		return;
	}
	s->left = bytes;
	s->off = c->off;
	if (!bytes) {
		if (c->act == SCSI_READ || c->act == SCSI_WRITE)
			scsi_io_done(c, 0);
		command_over(m);
	} else if (c->act == SCSI_REPLY) {
		s->len = (uint32_t)bytes;
		s->at = 0;
		s->left = 0;
		s->stage = IN;
	} else if (c->act == SCSI_PARAMS) {
		s->len = c->len;
		s->at = 0;
		s->stage = PARAMS;
	} else {
		next_piece(m);
	}
}

static void start(struct usb_msc *m)
{
	memset(&m->cmd, 0, sizeof(m->cmd));
	memcpy(m->cmd.cdb, m->s->cbw + 15, MIN(m->s->cbw[14], 16));
	m->cmd.buf = m->s->buf;
	scsi_start(&m->lu, &m->cmd);
	go_on(m);
}

/* ------------------------------------------------------------------ endpoints */

/* BOT, 5.1, 6.2: a CBW, or both endpoints halt until a reset. */
static int take_cbw(struct usb_msc *m, const uint8_t *buf, unsigned len)
{
	struct usb_msc_regs *s = m->s;

	if (len != USB_MSC_CBW || ld_le32(buf) != CBW_SIGNATURE || (buf[13] & 0x0f) ||
	    (buf[14] & 0x1f) < 1 || (buf[14] & 0x1f) > 16) {
		s->lost = s->halted[0] = s->halted[1] = true;
		return USB_STALL;
	}
	memcpy(s->cbw, buf, len);
	s->cbw[14] &= 0x1f;
	s->want = ld_le32(buf + 8);
	s->moved = 0;
	start(m);
	return (int)len;
}

static int data_out(struct usb_msc *m, const uint8_t *buf, unsigned len)
{
	struct usb_msc_regs *s = m->s;
	unsigned n = s->stage == DRAIN ? len : MIN(len, s->len - s->at);

	if (s->stage != DRAIN)
		memcpy(s->buf + s->at, buf, n);
	n = MIN(n, s->want - s->moved);
	s->moved += n;
	if (s->stage == DRAIN) {
		if (s->moved == s->want)
			s->stage = CSW;
		return (int)len;
	}
	s->at += n;
	if (s->at < s->len)
		return (int)n;
	if (s->stage == PARAMS) {
		scsi_params(&m->lu, &m->cmd);
		s->len = s->at = 0;
		if (m->cmd.act == SCSI_WORK)
			work(m, 0);
		else
			command_over(m);
	} else {
		s->stage = STORE;
		transfer_piece(m);
	}
	return (int)n;
}

static int bulk_out(struct usb_msc *m, uint8_t *buf, unsigned len)
{
	if (m->s->halted[0])
		return USB_STALL;
	switch (m->s->stage) {
	case CBW: return m->busy || m->stopped ? USB_NAK : take_cbw(m, buf, len);
	case OUT:
	case PARAMS:
	case DRAIN: return m->stopped ? USB_NAK : data_out(m, buf, len);
	case LOAD:
	case STORE:
	case WORK: return USB_NAK;
	default: /* data when it is our turn to speak */ m->s->halted[0] = true; return USB_STALL;
	}
}

static int data_in(struct usb_msc *m, uint8_t *buf, unsigned len)
{
	struct usb_msc_regs *s = m->s;
	unsigned n = MIN(len, s->len - s->at);

	memcpy(buf, s->buf + s->at, n);
	s->at += n;
	s->moved += n;
	if (s->at < s->len)
		return (int)n;
	if (s->left) {
		next_piece(m);
		return (int)n;
	}
	if (m->cmd.act == SCSI_REPLY || m->cmd.act == SCSI_READ) {
		bool read = m->cmd.act == SCSI_READ;

		if (read)
			scsi_io_done(&m->cmd, 0);
		else
			scsi_end(&m->cmd, SCSI_KEY_NONE, 0, 0);
		m->cmd.act = SCSI_END;
		scsi_keep_sense(&m->lu, &m->cmd);
		s->status = STATUS_GOOD;
	}
	s->len = s->at = 0;
	/* less than the host wants: it hears so from a packet that is not full */
	if (n < len || s->moved == s->want)
		s->stage = CSW;
	return (int)n;
}

static int put_csw(struct usb_msc *m, uint8_t *buf, unsigned len)
{
	struct usb_msc_regs *s = m->s;
	uint8_t csw[USB_MSC_CSW];

	st_le32(csw, CSW_SIGNATURE);
	memcpy(csw + 4, s->cbw + 4, 4);
	st_le32(csw + 8, s->want - s->moved);
	csw[12] = s->status;
	memcpy(buf, csw, MIN(len, (unsigned)USB_MSC_CSW));
	s->stage = CBW;
	return (int)MIN(len, (unsigned)USB_MSC_CSW);
}

static int transfer(struct usb_dev *u, unsigned pid, unsigned endpoint, uint8_t *buf, unsigned len)
{
	struct usb_msc *m = to_msc(u);

	if (!u->ctl->config)
		return USB_STALL;
	if (pid == USB_PID_OUT && endpoint == EP_OUT)
		return bulk_out(m, buf, len);
	if (pid != USB_PID_IN || endpoint != EP_IN || m->s->halted[1])
		return USB_STALL;
	switch (m->s->stage) {
	case IN: return m->stopped ? USB_NAK : data_in(m, buf, len);
	case CSW: return put_csw(m, buf, len);
	/* the host asks for the status before it has sent all: the rest does not come */
	case DRAIN: return put_csw(m, buf, len);
	default: return USB_NAK;
	}
}

/* ------------------------------------------------------------------ endpoint 0 */

static bool descriptor(struct usb_dev *u, uint8_t type, uint8_t index)
{
	struct usb_ctl_regs *c = u->ctl;
	bool super = u->speed == USB_SUPER, high = u->speed == USB_HIGH;
	unsigned packet = super ? 1024 : high ? 512 : 64, total = super ? 44 : 32;
	const uint8_t device[18] = {18,   USB_DESC_DEVICE,
				    0,    super ? 3 : 2,
				    0,    0,
				    0,    super ? 9 : (uint8_t)usb_ctl_packet(u),
				    0xf4, 0x1a,
				    3,    0,
				    0,    1,
				    1,    2,
				    3,    1};
	const uint8_t config[18] = {9, USB_DESC_CONFIG, (uint8_t)total, 0, 1, 1, 0, 0xc0, 0,
				    /* interface: mass storage, SCSI, bulk-only (BOT, 4.3) */
				    9, 4, 0, 0, 2, 8, 6, 0x50, 0};
	/* USB 3.1, 9.6.7: bursts of 16 */
	const uint8_t companion[6] = {6, 0x30, 15, 0, 0, 0};
	/* USB 3.1, 9.6.2: link power management, SuperSpeed from full speed on */
	const uint8_t bos[22] = {5, USB_DESC_BOS, 22, 0, 2, 7,    16, 2, 2,  0,    0,
				 0, 10,           16, 3, 0, 0x0e, 0,  1, 10, 0xff, 0x07};

	switch (type) {
	case USB_DESC_DEVICE: usb_ctl_put(c, device, 18); return true;
	case USB_DESC_CONFIG:
		usb_ctl_put(c, config, 18);
		for (unsigned i = 0; i < 2; i++) {
			const uint8_t endpoint[7] = {7,
						     5,
						     i ? EP_OUT : 0x80 | EP_IN,
						     2,
						     (uint8_t)packet,
						     (uint8_t)(packet >> 8),
						     0};

			usb_ctl_put(c, endpoint, 7);
			if (super)
				usb_ctl_put(c, companion, 6);
		}
		return true;
	case USB_DESC_STRING: return usb_ctl_string(c, index, "USB disk", to_msc(u)->lu.serial);
	case USB_DESC_BOS:
		if (super)
			usb_ctl_put(c, bos, sizeof(bos));
		return super;
	default: return false;
	}
}

/* Nobody waits for the command any more. */
static void drop_command(struct usb_msc *m)
{
	scsi_give_up(&m->lu, &m->cmd);
	memset(&m->cmd, 0, sizeof(m->cmd));
	m->dropped = m->busy;
	m->s->stage = CBW;
	m->s->len = m->s->at = m->s->want = m->s->moved = 0;
	m->s->off = m->s->left = 0;
	m->s->lost = false;
}

static bool class_request(struct usb_dev *u)
{
	struct usb_ctl_regs *c = u->ctl;
	static const uint8_t max_lun;

	switch (c->setup[1]) {
	case BOT_RESET: /* BOT, 3.1: the halts stay until they are cleared */
		drop_command(to_msc(u));
		return true;
	case BOT_GET_MAX_LUN: usb_ctl_put(c, &max_lun, 1); return true;
	default: return false;
	}
}

static void received(struct usb_dev *u, const uint8_t *buf, unsigned len)
{
	(void)u; /* no request has data for us */
	(void)buf;
	(void)len;
}

static void configured(struct usb_dev *u)
{
	struct usb_msc *m = to_msc(u);

	drop_command(m);
	m->s->halted[0] = m->s->halted[1] = false;
}

static bool *halted(struct usb_dev *u, uint8_t endpoint)
{
	struct usb_msc_regs *s = to_msc(u)->s;

	return endpoint == (0x80 | EP_IN) ? &s->halted[1]
	       : endpoint == EP_OUT       ? &s->halted[0]
					  : NULL;
}

static void unhalted(struct usb_dev *u)
{
	struct usb_msc_regs *s = to_msc(u)->s;

	if (s->lost) /* BOT, 6.6.1: not before the reset */
		s->halted[0] = s->halted[1] = true;
}

static void bus_reset(struct usb_dev *u)
{
	struct usb_msc *m = to_msc(u);

	drop_command(m);
	m->s->halted[0] = m->s->halted[1] = false;
	m->s->status = 0;
	memset(&m->s->ctl, 0, sizeof(m->s->ctl));
	scsi_lu_reset(&m->lu, true);
}

/* ------------------------------------------------------------------ life cycle */

int usb_msc_init(struct usb_msc *m, struct usb_msc_regs *s, struct block *block, const char *serial,
		 enum usb_speed speed, struct error *err)
{
	static const struct usb_ops ops = {.descriptor = descriptor,
					   .class_request = class_request,
					   .received = received,
					   .configured = configured,
					   .halted = halted,
					   .unhalted = unhalted,
					   .transfer = transfer,
					   .reset = bus_reset};

	*m = (struct usb_msc){.dev = {.ops = &ops, .ctl = &s->ctl, .speed = speed},
			      .s = s,
			      .lu = {.kind = SCSI_DISK, .block = block}};
	snprintf(m->lu.serial, sizeof(m->lu.serial), "%s", serial);
	return scsi_lu_init(&m->lu, &s->lu, err);
}

void usb_msc_done(struct usb_msc *m)
{
	m->stopped = true;
	if (m->busy) {
		block_abort_parked(m->lu.block);
		block_drain(m->lu.block);
	}
}

void usb_msc_quiesce(struct usb_msc *m)
{
	block_drain(m->lu.block);
	m->stopped = true;
}

/* A command that was under way begins again, from what the registers say. */
static void restart(struct usb_msc *m)
{
	struct usb_msc_regs *s = m->s;
	uint8_t keep[SCSI_BUF];

	if (s->stage == CBW || s->stage == CSW || s->stage == DRAIN || m->busy)
		return;
	if (m->cmd.act == SCSI_END && (s->stage == WORK || s->len)) {
		/* the command layer's part is not in the registers: ask it again */
		memcpy(keep, s->buf, sizeof(keep));
		memset(&m->cmd, 0, sizeof(m->cmd));
		memcpy(m->cmd.cdb, s->cbw + 15, MIN(s->cbw[14], 16));
		m->cmd.buf = s->buf;
		scsi_start(&m->lu, &m->cmd);
		memcpy(s->buf, keep, sizeof(keep));
		if (s->stage == WORK && m->cmd.act == SCSI_PARAMS)
			scsi_params(&m->lu, &m->cmd);
	}
	if (s->stage == WORK)
		go_on(m);
	else if (s->stage == LOAD || s->stage == STORE)
		transfer_piece(m);
}

void usb_msc_resume(struct usb_msc *m)
{
	m->stopped = false;
	restart(m);
	usb_wake(&m->dev);
}

int usb_msc_loaded(struct usb_msc *m, struct error *err)
{
	const struct usb_msc_regs *s = m->s;
	uint64_t size = block_size(m->lu.block);
	bool medium = s->stage == LOAD || s->stage == STORE || s->left;

	m->stopped = true; /* until resume */
	memset(&m->cmd, 0, sizeof(m->cmd));
	if (s->at > s->len || s->moved > s->want || s->cbw[14] > 16 ||
	    (medium && (s->off % SCSI_DISK_BLOCK || s->left % SCSI_DISK_BLOCK || s->off > size ||
			s->left > size - s->off)) ||
	    ((s->stage == LOAD || s->stage == STORE || s->stage == OUT) &&
	     (!s->len || s->len % SCSI_DISK_BLOCK || s->len > s->left)) ||
	    (s->stage == PARAMS && (!s->len || s->len > SCSI_BUF)))
		return error_set(err, -EINVAL, "USB disk: stage %u with %u of %u bytes", s->stage,
				 s->at, s->len);
	return usb_ctl_loaded(&m->dev, err);
}
