/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio console against a hostile driver and a back end that is often full (fuzz_virtio.h). */
#include "device/virtio/virtio_console.h"
#include "fake_chr.h"
#include "fuzz_virtio.h"

#include <string.h>

static struct virtio_dev *make(struct harness *h)
{
	struct virtio_console *con =
		(struct virtio_console *)dev_new(&virtio_console_class, "con", &h->sv);

	con->chr = xnew(struct chr);
	con->chr->room = 5000;
	con->cols = 80;
	con->vd.packed = true;
	return &con->vd;
}

static void event(struct virtio_dev *vd, struct fuzz_input *in)
{
	struct virtio_console *con = CONTAINER_OF(vd, struct virtio_console, vd);
	uint8_t how = fuzz_u8(in);
	static const uint8_t text[2000];

	switch (how & 3) {
	case 0:
		con->chr->room += fuzz_u16(in);
		con->chr->h.writable(con->chr->h.ctx);
		break;
	case 1: virtio_console_set_size(con, fuzz_u8(in), fuzz_u8(in)); break;
	default: (void)fake_chr_type(con->chr, text, fuzz_u16(in) % sizeof(text)); break;
	}
}

static void request(struct virtio_dev *vd, unsigned q, uint8_t *p, struct fuzz_input *in)
{
	(void)vd, (void)q;
	memset(p, fuzz_u8(in), 16);
}

static void check_console(struct virtio_dev *vd)
{
	struct virtio_console *con = CONTAINER_OF(vd, struct virtio_console, vd);

	check(con->s.fifo_n <= VIRTIO_CONSOLE_FIFO && con->s.fifo_head < VIRTIO_CONSOLE_FIFO);
}

static void rewind_chr(struct virtio_dev *vd)
{
	struct virtio_console *con = CONTAINER_OF(vd, struct virtio_console, vd);

	check(!con->tx && !con->s.tx_off);
	con->chr->room = 5000;
	con->chr->n_out = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fuzz_device fd = {make, event, request, rewind_chr, check_console};

	fuzz_virtio(&fd, data, size);
	return 0;
}
