/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio console with one port. Virtio 1.2, 5.3.
 *
 * Wiring (machine/): set `chr` (NULL = output is dropped) and, if known, `cols` and `rows` before
 * dev_realize().
 */
#ifndef DEVICE_VIRTIO_VIRTIO_CONSOLE_H
#define DEVICE_VIRTIO_VIRTIO_CONSOLE_H

#include "chr/chr.h"
#include "device/virtio/virtio.h"

#define VIRTIO_CONSOLE_FIFO 1024u /* bytes of input the guest has no buffer for yet */

struct virtio_console_regs {
	struct virtio_regs v;
	struct virtq_regs q[2]; /* 0 receive, 1 transmit */
	uint8_t fifo[VIRTIO_CONSOLE_FIFO];
	uint16_t fifo_head, fifo_n; /* first byte, bytes in it */
	uint16_t cols, rows;
	uint64_t tx_off; /* bytes of the oldest transmit element already written */
};

struct virtio_console {
	struct virtio_dev vd;
	struct virtio_console_regs s;
	/* properties, set before realize */
	struct chr *chr;     /* borrowed */
	uint16_t cols, rows; /* 0 = unknown */
	/* private */
	struct vq_elem *tx; /* partly written */
};

extern const struct dev_class virtio_console_class;

/** virtio_console_set_size() - the terminal was resized. Bus lock held. */
void virtio_console_set_size(struct virtio_console *con, uint16_t cols, uint16_t rows);

#endif
