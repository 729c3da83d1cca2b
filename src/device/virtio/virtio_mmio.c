/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio over MMIO. Virtio 1.2, 4.2.2 (register layout, table 4.1). Registers below 100h are 32
 * bits wide; the device configuration from 100h on takes 1, 2 and 4 bytes.
 */
#include "device/virtio/virtio_mmio.h"

#include <errno.h>

enum {
	MMIO_MAGIC_VALUE = 0x000,
	MMIO_VERSION = 0x004,
	MMIO_DEVICE_ID = 0x008,
	MMIO_VENDOR_ID = 0x00c,
	MMIO_DEVICE_FEATURES = 0x010,
	MMIO_DEVICE_FEATURES_SEL = 0x014,
	MMIO_DRIVER_FEATURES = 0x020,
	MMIO_DRIVER_FEATURES_SEL = 0x024,
	MMIO_QUEUE_SEL = 0x030,
	MMIO_QUEUE_SIZE_MAX = 0x034,
	MMIO_QUEUE_SIZE = 0x038,
	MMIO_QUEUE_READY = 0x044,
	MMIO_QUEUE_NOTIFY = 0x050,
	MMIO_INTERRUPT_STATUS = 0x060,
	MMIO_INTERRUPT_ACK = 0x064,
	MMIO_STATUS = 0x070,
	MMIO_QUEUE_DESC_LOW = 0x080,
	MMIO_QUEUE_DESC_HIGH = 0x084,
	MMIO_QUEUE_DRIVER_LOW = 0x090,
	MMIO_QUEUE_DRIVER_HIGH = 0x094,
	MMIO_QUEUE_DEVICE_LOW = 0x0a0,
	MMIO_QUEUE_DEVICE_HIGH = 0x0a4,
	MMIO_SHM_LEN_LOW = 0x0b0,
	MMIO_SHM_LEN_HIGH = 0x0b4,
	MMIO_SHM_BASE_LOW = 0x0b8,
	MMIO_SHM_BASE_HIGH = 0x0bc,
	MMIO_QUEUE_RESET = 0x0c0,
	MMIO_CONFIG_GENERATION = 0x0fc,
	MMIO_CONFIG = 0x100,
};

enum { INT_QUEUE = 1, INT_CONFIG = 2 };

static const struct state_field virtio_mmio_fields[] = {
	STATE_VAL(struct virtio_mmio_regs, interrupt_status, .max = INT_QUEUE | INT_CONFIG),
	STATE_END,
};
static const struct state_desc virtio_mmio_state =
	STATE_DESC("virtio-mmio", 1, struct virtio_mmio_regs, virtio_mmio_fields);

static void set_status(struct virtio_mmio *vm, uint32_t status)
{
	vm->s.interrupt_status = status;
	irq_set(&vm->irq, status != 0);
}

static void queue_irq(void *ctx, unsigned queue)
{
	struct virtio_mmio *vm = ctx;

	(void)queue;
	set_status(vm, vm->s.interrupt_status | INT_QUEUE);
}

static void config_irq(void *ctx)
{
	struct virtio_mmio *vm = ctx;

	set_status(vm, vm->s.interrupt_status | INT_CONFIG);
}

static void device_reset(void *ctx)
{
	set_status(ctx, 0);
}

static uint64_t mmio_read(struct dev *d, uint64_t off, unsigned size)
{
	struct virtio_mmio *vm = CONTAINER_OF(d, struct virtio_mmio, dev);
	struct virtio_dev *vd = vm->vd;
	const struct virtq *q = virtio_queue_sel(vd);

	if (off >= MMIO_CONFIG)
		return virtio_config_read(vd, (unsigned)off - MMIO_CONFIG, size);
	if (size != 4) {
		guest_error(d, "read of %u bytes at %#x", size, (unsigned)off);
		return 0;
	}
	switch (off) {
	case MMIO_MAGIC_VALUE: return 0x74726976; /* "virt" */
	case MMIO_VERSION: return 2;
	case MMIO_DEVICE_ID: return vd->vc->device_id;
	case MMIO_VENDOR_ID: return 0x59485442; /* "BTHY" */
	case MMIO_DEVICE_FEATURES: return virtio_features_read(vd, vd->r->device_select, false);
	case MMIO_QUEUE_SIZE_MAX: return q ? q->size_max : 0;
	case MMIO_QUEUE_READY: return q ? q->r->ready : 0;
	case MMIO_INTERRUPT_STATUS: return vm->s.interrupt_status;
	case MMIO_STATUS: return vd->r->status;
	case MMIO_SHM_LEN_LOW: /* 4.2.2: a region that doesn't exist has length and base -1 */
	case MMIO_SHM_LEN_HIGH:
	case MMIO_SHM_BASE_LOW:
	case MMIO_SHM_BASE_HIGH: return 0xffffffff;
	case MMIO_QUEUE_RESET: return 0; /* a reset is over when the write returns */
	case MMIO_CONFIG_GENERATION: return vd->r->generation;
	default: guest_error(d, "read of write-only or absent register %#x", (unsigned)off);
	}
	return 0;
}

static void queue_addr(struct virtio_dev *vd, uint64_t off, uint32_t val)
{
	struct virtq *q = virtio_queue_sel(vd);
	uint64_t *area;

	if (!q)
		return;
	switch (off & ~7ull) {
	case MMIO_QUEUE_DESC_LOW: area = &q->r->desc; break;
	case MMIO_QUEUE_DRIVER_LOW: area = &q->r->driver; break;
	default: area = &q->r->device; break;
	}
	virtio_queue_set_addr(vd, area, (off & 4) / 4, val);
}

static void mmio_write(struct dev *d, uint64_t off, unsigned size, uint64_t v64)
{
	struct virtio_mmio *vm = CONTAINER_OF(d, struct virtio_mmio, dev);
	struct virtio_dev *vd = vm->vd;
	uint32_t val = (uint32_t)v64;

	if (off >= MMIO_CONFIG) {
		virtio_config_write(vd, (unsigned)off - MMIO_CONFIG, size, val);
		return;
	}
	if (size != 4) {
		guest_error(d, "write of %u bytes at %#x", size, (unsigned)off);
		return;
	}
	switch (off) {
	case MMIO_DEVICE_FEATURES_SEL: vd->r->device_select = val; break;
	case MMIO_DRIVER_FEATURES: virtio_features_write(vd, vd->r->driver_select, val); break;
	case MMIO_DRIVER_FEATURES_SEL: vd->r->driver_select = val; break;
	case MMIO_QUEUE_SEL: vd->r->queue_select = val; break;
	case MMIO_QUEUE_SIZE: virtio_queue_set_size(vd, val); break;
	case MMIO_QUEUE_READY:
		if (val == 1)
			virtio_queue_enable(vd);
		else if (val == 0)
			virtio_queue_reset(vd);
		break;
	case MMIO_QUEUE_NOTIFY: virtio_notify(vd, val); break;
	case MMIO_INTERRUPT_ACK: set_status(vm, vm->s.interrupt_status & ~val); break;
	case MMIO_STATUS: virtio_status_write(vd, (uint8_t)val); break;
	case MMIO_QUEUE_DESC_LOW:
	case MMIO_QUEUE_DESC_HIGH:
	case MMIO_QUEUE_DRIVER_LOW:
	case MMIO_QUEUE_DRIVER_HIGH:
	case MMIO_QUEUE_DEVICE_LOW:
	case MMIO_QUEUE_DEVICE_HIGH: queue_addr(vd, off, val); break;
	case MMIO_QUEUE_RESET:
		if (val == 1 && virtio_has(vd, VIRTIO_F_RING_RESET))
			virtio_queue_reset(vd);
		break;
	default: guest_error(d, "write of read-only or absent register %#x", (unsigned)off);
	}
}

static const struct dev_region virtio_mmio_regions[] = {
	{.name = "virtio-mmio",
	 .space = DEV_MMIO,
	 .size = VIRTIO_MMIO_SIZE,
	 .valid = WIDTH_124,
	 .read = mmio_read,
	 .write = mmio_write},
	{.name = NULL},
};

static void virtio_mmio_unrealize(struct dev *d)
{
	struct virtio_mmio *vm = CONTAINER_OF(d, struct virtio_mmio, dev);

	if (vm->vd && vm->vd->tr.ctx == vm && virtio_attach(vm->vd, NULL, NULL) < 0)
		return;
}

static int virtio_mmio_realize(struct dev *d, struct error *err)
{
	struct virtio_mmio *vm = CONTAINER_OF(d, struct virtio_mmio, dev);
	const struct virtio_transport tr = {
		.queue_irq = queue_irq, .config_irq = config_irq, .reset = device_reset, .ctx = vm};

	if (!vm->vd || !vm->vd->initialized)
		return error_set(err, -EINVAL, "'%s': wire 'vd' (realized) before realizing",
				 d->id);
	return virtio_attach(vm->vd, &tr, err);
}

static void virtio_mmio_reset(struct dev *d, enum dev_reset kind)
{
	struct virtio_mmio *vm = CONTAINER_OF(d, struct virtio_mmio, dev);

	(void)kind;
	virtio_reset(vm->vd);
	set_status(vm, 0);
}

static int virtio_mmio_loaded(struct dev *d, struct error *err)
{
	struct virtio_mmio *vm = CONTAINER_OF(d, struct virtio_mmio, dev);

	(void)err;
	irq_set(&vm->irq, vm->s.interrupt_status != 0);
	return 0;
}

const struct dev_class virtio_mmio_class = {
	.name = "virtio-mmio",
	.summary = "virtio MMIO transport, version 2",
	.spec = "OASIS Virtual I/O Device (VIRTIO) Version 1.2, 4.2",
	.size = sizeof(struct virtio_mmio),
	.regs_offset = offsetof(struct virtio_mmio, s),
	.regions = virtio_mmio_regions,
	.state = &virtio_mmio_state,
	.realize = virtio_mmio_realize,
	.unrealize = virtio_mmio_unrealize,
	.reset = virtio_mmio_reset,
	.loaded = virtio_mmio_loaded,
};
