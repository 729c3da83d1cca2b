/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio console, one port. Virtio 1.2, 5.3.
 *
 * Input goes through a FIFO of VIRTIO_CONSOLE_FIFO bytes, so that a byte the back end delivered is
 * never lost between guest buffers or over a snapshot. Output that the back end doesn't take stays
 * in the ring: the element is held, `tx_off` says how much of it is out.
 *
 * UNMODELLED: multiport (never offered), so no port names, and nothing tells the guest that the
 * back end's peer came or went.
 */
#include "device/virtio/virtio_console.h"

#include <errno.h>

#include "base/bits.h"

enum { CONSOLE_F_SIZE = 0, CONSOLE_F_EMERG_WRITE = 2 }; /* 5.3.3 */
enum { CONFIG_COLS = 0, CONFIG_ROWS = 2, CONFIG_MAX_PORTS = 4, CONFIG_EMERG = 8, CONFIG_SIZE = 12 };
enum { RECEIVEQ = 0, TRANSMITQ = 1 };
enum { QUEUE_SIZE = 64, TX_CHUNK = 1024, TX_TURN = 65536 };

static const struct state_field virtio_console_fields[] = {
	STATE_STRUCT(struct virtio_console_regs, v, virtio_regs_fields),
	STATE_STRUCTS(struct virtio_console_regs, q, virtq_regs_fields),
	STATE_BYTES_OF(struct virtio_console_regs, fifo),
	STATE_VAL(struct virtio_console_regs, fifo_head, .max = VIRTIO_CONSOLE_FIFO - 1),
	STATE_VAL(struct virtio_console_regs, fifo_n, .max = VIRTIO_CONSOLE_FIFO),
	STATE_VAL(struct virtio_console_regs, cols),
	STATE_VAL(struct virtio_console_regs, rows),
	STATE_VAL(struct virtio_console_regs, tx_off),
	STATE_END,
};
static const struct state_desc virtio_console_state =
	STATE_DESC("virtio-console", 1, struct virtio_console_regs, virtio_console_fields);

static struct virtio_console *to_console(struct virtio_dev *vd)
{
	return CONTAINER_OF(vd, struct virtio_console, vd);
}

/* ---- input ---- */

static void fifo_put(struct virtio_console *con, const uint8_t *buf, size_t len)
{
	for (size_t i = 0; i < len && con->s.fifo_n < VIRTIO_CONSOLE_FIFO; i++)
		con->s.fifo[(con->s.fifo_head + con->s.fifo_n++) % VIRTIO_CONSOLE_FIFO] = buf[i];
}

/* Move input into guest buffers. */
static void rx_flush(struct virtio_console *con)
{
	bool any = false;

	while (con->s.fifo_n) {
		struct vq_elem *e = virtio_pop(&con->vd, RECEIVEQ);
		if (!e)
			break;
		struct vq_cursor c = vq_writer(e);
		uint64_t written = 0;
		/* At most two contiguous parts of the FIFO. */
		for (unsigned i = 0; i < 2 && con->s.fifo_n && c.left; i++) {
			size_t n = MIN(con->s.fifo_n, VIRTIO_CONSOLE_FIFO - con->s.fifo_head);
			n = vq_write(&c, con->s.fifo + con->s.fifo_head, n);
			con->s.fifo_head = (uint16_t)((con->s.fifo_head + n) % VIRTIO_CONSOLE_FIFO);
			con->s.fifo_n = (uint16_t)(con->s.fifo_n - n);
			written += n;
		}
		vq_push(e, written);
		any = true;
	}
	/* The driver must tell when it adds buffers while input waits. */
	if (con->s.fifo_n && con->vd.q[RECEIVEQ].live)
		(void)vq_kick_on(&con->vd.q[RECEIVEQ]);
	if (any)
		virtio_signal(&con->vd, RECEIVEQ);
}

static size_t chr_can_receive(void *ctx)
{
	const struct virtio_console *con = ctx;

	return con->vd.stopped ? 0 : VIRTIO_CONSOLE_FIFO - con->s.fifo_n;
}

static void chr_receive(void *ctx, const uint8_t *buf, size_t len)
{
	struct virtio_console *con = ctx;

	fifo_put(con, buf, len);
	rx_flush(con);
}

/* ---- output ---- */

static size_t out(struct virtio_console *con, const uint8_t *buf, size_t len)
{
	return con->chr ? chr_write(con->chr, buf, len) : len;
}

/* Write what the back end takes of con->tx. True when the element is done. */
static bool tx_continue(struct virtio_console *con, size_t *turn)
{
	struct vq_cursor c = vq_reader(con->tx);
	uint8_t buf[TX_CHUNK];
	uint64_t skip = MIN(con->s.tx_off, c.left);

	/* tx_off may come from a snapshot: it is only ever a number of bytes to skip. */
	while (skip && c.n) {
		uint64_t n = MIN(skip, c.iov->iov_len);
		skip -= n;
		c.left -= n;
		c.off = n;
		if (n == c.iov->iov_len) {
			c.iov++;
			c.n--;
			c.off = 0;
		}
	}
	while (c.left) {
		if (*turn >= TX_TURN) {
			con->vd.q[TRANSMITQ].budget = 0;
			return false;
		}
		size_t n = vq_read(&c, buf, sizeof(buf));
		size_t taken = out(con, buf, n);
		con->s.tx_off += taken;
		*turn += n;
		if (taken < n)
			return false;
	}
	con->s.tx_off = 0;
	return true;
}

static void tx_run(struct virtio_console *con)
{
	struct virtq *q = &con->vd.q[TRANSMITQ];
	size_t turn = 0;

	for (;;) {
		if (!con->tx && !(con->tx = vq_pop(q)))
			return;
		if (!tx_continue(con, &turn))
			return;
		vq_push(con->tx, 0);
		con->tx = NULL;
	}
}

static void chr_writable(void *ctx)
{
	struct virtio_console *con = ctx;

	virtio_run(&con->vd, TRANSMITQ);
}

static void queue_run(struct virtio_dev *vd, unsigned n)
{
	struct virtio_console *con = to_console(vd);

	if (n == TRANSMITQ) {
		tx_run(con);
		return;
	}
	rx_flush(con);
	if (con->chr && con->s.fifo_n < VIRTIO_CONSOLE_FIFO)
		chr_poll_input(con->chr);
}

static void restore(struct virtio_dev *vd, unsigned n, struct vq_elem *e)
{
	struct virtio_console *con = to_console(vd);

	/* Only one element is ever held; a snapshot that claims more is given the rest back. */
	if (n == TRANSMITQ && !con->tx)
		con->tx = e;
	else
		vq_push(e, 0);
}

static void reset(struct virtio_dev *vd, int n)
{
	struct virtio_console *con = to_console(vd);

	if (n < 0 || n == TRANSMITQ) {
		if (con->tx)
			vq_push(con->tx, 0);
		con->tx = NULL;
		con->s.tx_off = 0;
	}
	/* Input that waits is kept: every driver begins with a reset, and what was typed before is
	 * still meant for it. */
}

/* ---- configuration ---- */

static uint64_t features(struct virtio_dev *vd)
{
	/* Once negotiated it stays, also when the VM goes on where there is no terminal. */
	bool size = to_console(vd)->cols ||
		    ((vd->r->status & VIRTIO_STATUS_FEATURES_OK) && virtio_has(vd, CONSOLE_F_SIZE));

	return BIT(CONSOLE_F_EMERG_WRITE) | (size ? BIT(CONSOLE_F_SIZE) : 0);
}

static void config_get(struct virtio_dev *vd, uint8_t *config)
{
	const struct virtio_console *con = to_console(vd);

	st_le16(config + CONFIG_COLS, con->s.cols);
	st_le16(config + CONFIG_ROWS, con->s.rows);
	st_le32(config + CONFIG_MAX_PORTS, 1);
}

/* 5.3.4: emerg_wr prints one character at any time, even before the device is set up. */
static void config_set(struct virtio_dev *vd, unsigned off, unsigned size, uint32_t val)
{
	uint8_t ch = (uint8_t)val;

	if (off == CONFIG_EMERG)
		(void)out(to_console(vd), &ch, 1);
	else
		guest_error(&vd->dev, "write of %u bytes at %#x of the configuration", size, off);
}

void virtio_console_set_size(struct virtio_console *con, uint16_t cols, uint16_t rows)
{
	if (con->s.cols == cols && con->s.rows == rows)
		return;
	con->cols = con->s.cols = cols;
	con->rows = con->s.rows = rows;
	if (virtio_has(&con->vd, CONSOLE_F_SIZE))
		virtio_config_changed(&con->vd);
}

static const struct virtio_class virtio_console_vc = {
	.device_id = VIRTIO_ID_CONSOLE,
	.pci_class = 0x0780,
	.config_size = CONFIG_SIZE,
	.features = features,
	.config_get = config_get,
	.config_set = config_set,
	.queue_run = queue_run,
	.reset = reset,
	.restore = restore,
};

/* ---- lifecycle ---- */

static void virtio_console_unrealize(struct dev *d)
{
	struct virtio_console *con = CONTAINER_OF(d, struct virtio_console, vd.dev);

	if (con->chr)
		chr_set_handler(con->chr, NULL);
	virtio_done(&con->vd);
	con->tx = NULL;
}

static int virtio_console_realize(struct dev *d, struct error *err)
{
	struct virtio_console *con = CONTAINER_OF(d, struct virtio_console, vd.dev);
	const struct chr_handler h = {.can_receive = chr_can_receive,
				      .receive = chr_receive,
				      .writable = chr_writable,
				      .ctx = con};
	int r = virtio_init(&con->vd, &virtio_console_vc, &con->s.v, con->s.q, 2, QUEUE_SIZE, err);

	if (r == 0 && con->chr)
		chr_set_handler(con->chr, &h);
	return r;
}

static void virtio_console_reset(struct dev *d, enum dev_reset kind)
{
	struct virtio_console *con = CONTAINER_OF(d, struct virtio_console, vd.dev);

	(void)kind;
	con->s.cols = con->cols;
	con->s.rows = con->rows;
	con->s.fifo_head = con->s.fifo_n = 0;
	virtio_reset(&con->vd);
}

static void virtio_console_resume(struct dev *d)
{
	struct virtio_console *con = CONTAINER_OF(d, struct virtio_console, vd.dev);

	virtio_resume(&con->vd);
	if (con->chr)
		chr_poll_input(con->chr);
}

const struct dev_class virtio_console_class = {
	.name = "virtio-console",
	.summary = "virtio console, one port",
	.spec = "OASIS Virtual I/O Device (VIRTIO) Version 1.2, 5.3",
	.size = sizeof(struct virtio_console),
	.regs_offset = offsetof(struct virtio_console, s),
	.state = &virtio_console_state,
	.realize = virtio_console_realize,
	.unrealize = virtio_console_unrealize,
	.reset = virtio_console_reset,
	.quiesce = virtio_dev_quiesce,
	.resume = virtio_console_resume,
	.loaded = virtio_dev_loaded,
};
