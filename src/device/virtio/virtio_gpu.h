/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio graphics adapter, 2D; see virtio_gpu.c.
 */
#ifndef DEVICE_VIRTIO_VIRTIO_GPU_H
#define DEVICE_VIRTIO_VIRTIO_GPU_H

#include "device/video/edid.h"
#include "device/virtio/virtio.h"
#include "display/display.h"

#define VIRTIO_GPU_MEMORY    (64 * MIB) /* of all resources together */
#define VIRTIO_GPU_RESOURCES 64u
#define VIRTIO_GPU_ENTRIES   16384u /* pieces of guest memory behind all resources together */

/* A picture on the host, in `at` of the memory block. id 0: free. */
struct virtio_gpu_resource {
	uint64_t at;
	uint32_t id, format, w, h;
	uint32_t first, n; /* entries of its backing */
};

struct virtio_gpu_regs {
	struct virtio_regs v;
	struct virtq_regs q[2];
	struct virtio_gpu_resource res[VIRTIO_GPU_RESOURCES];
	uint64_t back_addr[VIRTIO_GPU_ENTRIES];
	uint32_t back_len[VIRTIO_GPU_ENTRIES];
	uint32_t n_back;
	uint32_t events;                                   /* configuration: events_read */
	uint32_t want_w, want_h;                           /* size that GET_DISPLAY_INFO tells */
	uint32_t scan_res, scan_x, scan_y, scan_w, scan_h; /* scanout 0; resource 0: off */
	uint32_t cursor_res, hot_x, hot_y;
};

struct virtio_gpu {
	struct virtio_dev vd;
	struct virtio_gpu_regs s;
	/* properties, set before realize */
	struct display *display; /* borrowed; NULL: nobody looks */
	/* private */
	struct ram_block *mem; /* owned by the memory space */
	uint32_t *line;        /* owned: one line being drawn */
	bool dirty;            /* flushed since it was drawn */
	bool over;             /* is the display's source */
};

extern const struct dev_class virtio_gpu_class;

#endif
