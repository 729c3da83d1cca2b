/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio devices, independent of transport. Virtio 1.2 (OASIS committee specification 01), chapters
 * 2 and 3.
 *
 * A virtio device is two `struct dev`: the device itself (`struct virtio_dev` first in its struct;
 * its *_regs hold a `struct virtio_regs` and an array of `struct virtq_regs`) and a transport
 * (virtio_pci.h or virtio_mmio.h), realized after it. The transport calls the functions below
 * "for transports"; the device calls the ones "for devices". Only modern (1.0 and later) drivers:
 * VIRTIO_F_VERSION_1 must be accepted.
 *
 * A malformed ring sets DEVICE_NEEDS_RESET and stops the device until the driver resets it.
 *
 * Life: quiesce() stops queue processing at a request boundary; what can't finish (parked for lack
 * of host space) stays in flight and is in the state. loaded() re-derives; resume() parses what was
 * in flight again and hands it to the class's `restore` callback, then runs all queues.
 */
#ifndef DEVICE_VIRTIO_VIRTIO_H
#define DEVICE_VIRTIO_VIRTIO_H

#include "device/dev.h"
#include "device/virtio/virtqueue.h"

#define VIRTIO_QUEUES_MAX 17u
#define VIRTIO_CONFIG_MAX 136u /* bytes of device configuration space */

/* Device status (virtio 1.2, 2.1). */
enum {
	VIRTIO_STATUS_ACKNOWLEDGE = 1,
	VIRTIO_STATUS_DRIVER = 2,
	VIRTIO_STATUS_DRIVER_OK = 4,
	VIRTIO_STATUS_FEATURES_OK = 8,
	VIRTIO_STATUS_NEEDS_RESET = 64,
	VIRTIO_STATUS_FAILED = 128,
};

/* Reserved feature bits (virtio 1.2, chapter 6). */
enum {
	VIRTIO_F_INDIRECT_DESC = 28,
	VIRTIO_F_EVENT_IDX = 29,
	VIRTIO_F_VERSION_1 = 32,
	VIRTIO_F_RING_PACKED = 34,
	VIRTIO_F_RING_RESET = 40,
};

/* Device ids (virtio 1.2, chapter 5). */
enum {
	VIRTIO_ID_NET = 1,
	VIRTIO_ID_BLOCK = 2,
	VIRTIO_ID_CONSOLE = 3,
	VIRTIO_ID_ENTROPY = 4,
	VIRTIO_ID_BALLOON = 5,
	VIRTIO_ID_SCSI = 8,
	VIRTIO_ID_GPU = 16,
	VIRTIO_ID_INPUT = 18,
};

struct virtio_dev;

/* State that every virtio device has; goes into its *_regs struct. */
struct virtio_regs {
	uint64_t driver_features; /* accepted by the driver */
	uint32_t device_select, driver_select, queue_select;
	uint8_t status;
	uint8_t generation; /* of the configuration space */
	uint8_t pad_[2];
};
extern const struct state_field virtio_regs_fields[];

struct virtio_class {
	uint16_t device_id;
	uint16_t pci_class; /* for the PCI transport: base class << 8 | sub-class */
	unsigned config_size;
	/* device-specific features that this instance offers (bits 0-23, 50-127) */
	uint64_t (*features)(struct virtio_dev *vd);
	/* fill all config_size bytes (zeroed before) */
	void (*config_get)(struct virtio_dev *vd, uint8_t *config);
	/* guest write of 1, 2 or 4 bytes inside the configuration space; NULL = read-only */
	void (*config_set)(struct virtio_dev *vd, unsigned off, unsigned size, uint32_t val);
	/* Queue @n may have elements: pop until NULL. Live queue, driver ok, bounded by a budget.
	 */
	void (*queue_run)(struct virtio_dev *vd, unsigned n);
	/* DRIVER_OK was set; may be NULL. */
	void (*driver_ok)(struct virtio_dev *vd);
	/* Give up or finish everything in flight on queue @n (-1: all); device-specific registers
	 * to reset values when @n is -1. No element may be touched afterwards. */
	void (*reset)(struct virtio_dev *vd, int n);
	/* After a restore: element @e of queue @n was in flight; start it again. NULL: nothing of
	 * this device stays in flight. */
	void (*restore)(struct virtio_dev *vd, unsigned n, struct vq_elem *e);
};

/* What a transport does for a device; bus lock held. */
struct virtio_transport {
	void (*queue_irq)(void *ctx, unsigned queue);
	void (*config_irq)(void *ctx);
	bool (*dma_allowed)(void *ctx); /* PCI: bus master enabled */
	void (*reset)(void *ctx);       /* device was reset: drop interrupts and vectors */
	void *ctx;
};

struct virtio_dev {
	struct dev dev;
	/* property: offer packed rings (split rings are always there) */
	bool packed;
	/* private */
	const struct virtio_class *vc;
	struct virtio_regs *r; /* borrowed: inside the device's *_regs */
	unsigned n_queues;     /* */
	struct virtq q[VIRTIO_QUEUES_MAX];
	struct virtio_transport tr; /* copied from the transport; all NULL = none yet */
	struct vtimer again;        /* a queue's budget ran out */
	uint32_t pending;           /* bit n: queue n is to be run by `again` */
	bool stopped;               /* quiesced */
	bool restoring;             /* resume() has to parse elements in flight again */
	bool initialized;
};

/* ---- for devices ---- */

/** virtio_init() - first thing in realize; @size_max descriptors for each of @n_queues queues.
 * @qregs: array of @n_queues. 0 or -errno. */
int virtio_init(struct virtio_dev *vd, const struct virtio_class *vc, struct virtio_regs *r,
		struct virtq_regs *qregs, unsigned n_queues, unsigned size_max,
		struct error *err) MUST_CHECK;
/** virtio_done() - last thing in unrealize; harmless before virtio_init(). */
void virtio_done(struct virtio_dev *vd);
/** virtio_quiesce(), virtio_resume(), virtio_loaded() - parts of the dev_class callbacks. */
void virtio_quiesce(struct virtio_dev *vd);
void virtio_resume(struct virtio_dev *vd);
int virtio_loaded(struct virtio_dev *vd, struct error *err) MUST_CHECK;
/** virtio_dev_*() - whole dev_class callbacks, for devices that have nothing to add to
 * virtio_done(), virtio_reset() and the three above. @d: the `dev` of a struct virtio_dev. */
void virtio_dev_unrealize(struct dev *d);
void virtio_dev_reset(struct dev *d, enum dev_reset kind);
int virtio_dev_quiesce(struct dev *d);
void virtio_dev_resume(struct dev *d);
int virtio_dev_loaded(struct dev *d, struct error *err) MUST_CHECK;

/** virtio_has() - was feature @bit negotiated? */
static inline bool virtio_has(const struct virtio_dev *vd, unsigned bit)
{
	return (vd->r->status & VIRTIO_STATUS_FEATURES_OK) && (vd->r->driver_features >> bit & 1);
}
/** virtio_active() - may queues be processed now (driver ok, DMA allowed, not broken or stopped)?
 */
bool virtio_active(const struct virtio_dev *vd);
/** virtio_queue_ready() - ... and is queue @n live? */
bool virtio_queue_ready(const struct virtio_dev *vd, unsigned n);
/** virtio_run() - run queue @n now (a back end has room again). Bounded; continues later. */
void virtio_run(struct virtio_dev *vd, unsigned n);
/** virtio_pop() - vq_pop() outside queue_run (a back end has data): no budget, so the back end
 * bounds the work. */
struct vq_elem *virtio_pop(struct virtio_dev *vd, unsigned n);
/** virtio_signal() - interrupt for what was pushed to queue @n, if the driver wants it. */
void virtio_signal(struct virtio_dev *vd, unsigned n);
/** virtio_config_changed() - new generation and configuration change interrupt. */
void virtio_config_changed(struct virtio_dev *vd);
/** virtio_broken() - the driver violated the protocol: DEVICE_NEEDS_RESET. */
void virtio_broken(struct virtio_dev *vd, const char *why);

/* ---- for transports ---- */

/** virtio_attach() - connect a transport; NULL disconnects. -EBUSY if there is one. */
int virtio_attach(struct virtio_dev *vd, const struct virtio_transport *tr,
		  struct error *err) MUST_CHECK;
/** virtio_reset() - device reset (status written 0, bus reset). */
void virtio_reset(struct virtio_dev *vd);
uint64_t virtio_offered(struct virtio_dev *vd);
/** virtio_features_read/write() - 32 bits of offered / accepted features, window 0.. */
uint32_t virtio_features_read(struct virtio_dev *vd, uint32_t select, bool driver);
void virtio_features_write(struct virtio_dev *vd, uint32_t select, uint32_t val);
void virtio_status_write(struct virtio_dev *vd, uint8_t val);
/** virtio_queue_sel() - the queue that queue_select names, NULL if there is none. */
struct virtq *virtio_queue_sel(struct virtio_dev *vd);
/** virtio_queue_set_size/addr() - ignored (and counted) while the queue is enabled. @half: 0 low,
 * 1 high 32 bits. */
void virtio_queue_set_size(struct virtio_dev *vd, uint32_t size);
void virtio_queue_set_addr(struct virtio_dev *vd, uint64_t *area, unsigned half, uint32_t val);
/** virtio_queue_enable() - needs FEATURES_OK. */
void virtio_queue_enable(struct virtio_dev *vd);
/** virtio_queue_reset() - one queue (VIRTIO_F_RING_RESET, or QueueReady = 0). */
void virtio_queue_reset(struct virtio_dev *vd);
void virtio_notify(struct virtio_dev *vd, uint32_t queue);
/** virtio_dma_enabled() - bus mastering came on: look at all queues. */
void virtio_dma_enabled(struct virtio_dev *vd);
/** virtio_config_read/write() - device configuration space; @size 1, 2 or 4. */
uint32_t virtio_config_read(struct virtio_dev *vd, unsigned off, unsigned size);
void virtio_config_write(struct virtio_dev *vd, unsigned off, unsigned size, uint32_t val);

#endif
