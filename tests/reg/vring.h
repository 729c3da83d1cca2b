/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of a virtqueue, for tests: builds split and packed rings, with and without
 * indirect descriptors and event index, in guest RAM, and takes used elements back. Written from
 * virtio 1.2, 2.7 and 2.8 alone, without the device's code, so that the two check each other.
 *
 * On top of it a small driver that brings a device up over PCI or MMIO.
 */
#ifndef TESTS_REG_VRING_H
#define TESTS_REG_VRING_H

#include "harness.h"

#include "device/virtio/virtio_mmio.h"
#include "device/virtio/virtio_pci.h"

struct vbuf {
	gpa_t gpa;
	uint32_t len;
	bool write; /* the device writes it */
};

struct vring {
	struct harness *h;
	bool packed, event_idx;
	uint16_t size;
	gpa_t desc, driver, device; /* the three areas */
	uint16_t avail;             /* split: index; packed: slot */
	uint16_t used;              /* likewise */
	bool avail_wrap, used_wrap;
	uint16_t next_desc;     /* split: next descriptor to use (round robin) */
	uint16_t len_of[65536]; /* packed: slots of each buffer id in flight */
	uint16_t next_id;
};

enum { VRING_BYTES = 0x4000 };

/** vring_init() - an empty ring of @size at @base (VRING_BYTES, page aligned), zeroed. */
void vring_init(struct vring *r, struct harness *h, gpa_t base, uint16_t size, bool packed,
		bool event_idx);
/** vring_start_at() - split: pretend @idx elements went through already (wrap-around tests). */
void vring_start_at(struct vring *r, struct virtq_regs *q, uint16_t idx);
/** vring_add() - make a buffer available; @table: 0, or where to put an indirect table. Returns its
 * id (split: head). */
uint16_t vring_add(struct vring *r, const struct vbuf *buf, unsigned n, gpa_t table);
/** vring_get() - next used element; false when there is none. */
bool vring_get(struct vring *r, uint16_t *ret_id, uint32_t *ret_len);
/** vring_want_irq() - false: no interrupts; true with event index: at the next used element. */
void vring_want_irq(struct vring *r, bool on);
/** vring_kick_wanted() - did the device ask for a notification for what was added since @old? */
bool vring_kick_wanted(struct vring *r, uint16_t old);

/* Low level, for malformed rings. */
void vring_put_desc(struct vring *r, gpa_t table, unsigned i, uint64_t addr, uint32_t len,
		    uint16_t flags, uint16_t next);
/** vring_publish() - split: head into the available ring, index + 1. */
void vring_publish(struct vring *r, uint16_t head);

/* A device brought up the way a driver does it (virtio 1.2, 3.1.1). */
struct vdrv {
	struct harness *h;
	struct virtio_dev *vd;
	struct virtio_pci *pci; /* one of the two */
	struct virtio_mmio *mmio;
	struct pci_bus bus;  /* for pci */
	gpa_t bar;           /* for pci */
	unsigned pirq_rises; /* INTx edges seen on any PIRQ */
	bool pirq[PCI_PIRQS];
	struct vring ring[8];
};

enum { VDRV_BAR = 0xe0000000, VDRV_MMIO = 0xd0000000, VDRV_PIN = 40 };

/** vdrv_pci/mmio() - put @vd (set up, not realized) on a bus and reset it. */
void vdrv_pci(struct vdrv *v, struct harness *h, struct virtio_dev *vd);
void vdrv_mmio(struct vdrv *v, struct harness *h, struct virtio_dev *vd);
/** vdrv_negotiate() - reset to FEATURES_OK accepting @features (plus VERSION_1). True if it stuck.
 */
bool vdrv_negotiate(struct vdrv *v, uint64_t features);
/** vdrv_queue() - set up queue @n with @size descriptors in ring[n], rings at 1 MiB + n * 16 KiB.
 */
void vdrv_queue(struct vdrv *v, unsigned n, uint16_t size);
/** vdrv_up() - negotiate, @n queues of @size, DRIVER_OK. Packed and event idx follow @features. */
void vdrv_up(struct vdrv *v, uint64_t features, unsigned n, uint16_t size);
void vdrv_kick(struct vdrv *v, unsigned n);
uint8_t vdrv_status(struct vdrv *v);
void vdrv_set_status(struct vdrv *v, uint8_t status);
/** vdrv_config() - device configuration space. */
uint32_t vdrv_config(struct vdrv *v, unsigned off, unsigned size);
void vdrv_set_config(struct vdrv *v, unsigned off, unsigned size, uint32_t val);
/** vdrv_isr() - read and clear what was signalled: bit 0 queue, bit 1 configuration. */
uint8_t vdrv_isr(struct vdrv *v);
/** vdrv_cfg() - PCI configuration space of the function. */
uint32_t vdrv_cfg(struct vdrv *v, unsigned off, unsigned size);
void vdrv_set_cfg(struct vdrv *v, unsigned off, unsigned size, uint32_t val);
/** vdrv_restore() - quiesce and save @from, load into @to (freshly built on another harness), copy
 * RAM and the driver's view, resume @to. @from stays quiesced. */
void vdrv_restore(struct vdrv *to, struct vdrv *from);

#endif
