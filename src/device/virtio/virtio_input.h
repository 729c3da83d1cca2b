/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio keyboard and tablet; see virtio_input.c.
 */
#ifndef DEVICE_VIRTIO_VIRTIO_INPUT_H
#define DEVICE_VIRTIO_VIRTIO_INPUT_H

#include "device/virtio/virtio.h"
#include "display/display.h"

enum { VIRTIO_INPUT_FIFO = 128 };

/* As it goes to the driver, little-endian (virtio 1.2, 5.8.6). */
struct virtio_input_event {
	uint16_t type, code;
	uint32_t value;
};

struct virtio_input_regs {
	struct virtio_regs v;
	struct virtq_regs q[2];
	/* events without a buffer yet, oldest first; whole groups, each ended by SYN_REPORT */
	struct virtio_input_event fifo[VIRTIO_INPUT_FIFO];
	uint32_t n;
	uint8_t select, subsel; /* which part of the configuration shows */
	uint8_t leds;           /* keyboard: as the driver set them */
	uint8_t buttons;        /* tablet: as last told */
};

struct virtio_input {
	struct virtio_dev vd;
	struct virtio_input_regs s;
	/* properties, set before realize */
	bool tablet;             /* else a keyboard */
	struct display *display; /* borrowed; NULL: nobody types */
	/* private */
	struct display_input input;
};

extern const struct dev_class virtio_input_class;

/** virtio_input_key(), virtio_input_pointer() - what a viewer did. Bus lock held. */
void virtio_input_key(struct virtio_input *vi, uint8_t code, bool down);
void virtio_input_pointer(struct virtio_input *vi, const struct display_pointer *p);

#endif
