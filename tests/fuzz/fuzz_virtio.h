/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fuzzers of virtio devices share: a machine with one device on PCI or MMIO, and
 * operations of a hostile driver taken from the input: register and configuration accesses,
 * well-formed set-up (to get deep quickly), rings and requests from raw bytes and from
 * half-sensible descriptors, kicks, resets, time, snapshots with bytes changed. While the device
 * runs, guest memory changes after each of its reads (mem_read is wrapped).
 */
#ifndef TESTS_FUZZ_FUZZ_VIRTIO_H
#define TESTS_FUZZ_FUZZ_VIRTIO_H

#include "harness.h"

#include "device/virtio/virtio_mmio.h"
#include "device/virtio/virtio_pci.h"
#include "input.h"

/* A device under test. */
struct fuzz_device {
	/* Make the device, with its back end; called once. */
	struct virtio_dev *(*make)(struct harness *h);
	/* The back end does something; bus lock held. */
	void (*event)(struct virtio_dev *vd, struct fuzz_input *in);
	/* Write a plausible request header for queue @q at @p (64 bytes of guest RAM). */
	void (*request)(struct virtio_dev *vd, unsigned q, uint8_t *p, struct fuzz_input *in);
	/* Back to the state of a new back end; may be NULL. */
	void (*rewind)(struct virtio_dev *vd);
	/* What must hold after every operation; may be NULL. */
	void (*verify)(struct virtio_dev *vd);
	unsigned header; /* bytes of a request's first piece; 0: 16 */
	bool mmio;       /* behind the MMIO transport, not on PCI */
};

/** fuzz_virtio() - one input. */
void fuzz_virtio(const struct fuzz_device *fd, const uint8_t *data, size_t size);

#endif
