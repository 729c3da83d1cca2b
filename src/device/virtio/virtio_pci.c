/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio over PCI. Virtio 1.2, 4.1.4 (structure layout), 4.1.5 (operation).
 *
 * BAR 0:  0000h common configuration   1000h ISR status       2000h device configuration
 *         3000h notifications (4 bytes a queue)   4000h MSI-X table   5000h MSI-X PBA
 *
 * Registers are accessed with their own width, 64-bit ones as two of 32 bits (4.1.3.1); anything
 * else is counted and reads zero.
 */
#include "device/virtio/virtio_pci.h"

#include "device/pci/express.h"

#include <errno.h>

#include "base/bits.h"

enum {
	BAR_COMMON = 0x0000,
	BAR_ISR = 0x1000,
	BAR_DEVICE = 0x2000,
	BAR_NOTIFY = 0x3000,
	BAR_MSIX_TABLE = 0x4000,
	BAR_MSIX_PBA = 0x5000,
	BAR_PART = 0x1000,
	BAR_SIZE = 0x8000,
};
#define NOTIFY_MULTIPLIER 4u
#define NO_VECTOR         0xffffu

enum { ISR_QUEUE = 1, ISR_CONFIG = 2 };

/* struct virtio_pci_common_cfg, 4.1.4.3 */
enum {
	COMMON_DEVICE_FEATURE_SELECT = 0x00,
	COMMON_DEVICE_FEATURE = 0x04,
	COMMON_DRIVER_FEATURE_SELECT = 0x08,
	COMMON_DRIVER_FEATURE = 0x0c,
	COMMON_CONFIG_MSIX_VECTOR = 0x10,
	COMMON_NUM_QUEUES = 0x12,
	COMMON_DEVICE_STATUS = 0x14,
	COMMON_CONFIG_GENERATION = 0x15,
	COMMON_QUEUE_SELECT = 0x16,
	COMMON_QUEUE_SIZE = 0x18,
	COMMON_QUEUE_MSIX_VECTOR = 0x1a,
	COMMON_QUEUE_ENABLE = 0x1c,
	COMMON_QUEUE_NOTIFY_OFF = 0x1e,
	COMMON_QUEUE_DESC = 0x20,
	COMMON_QUEUE_DRIVER = 0x28,
	COMMON_QUEUE_DEVICE = 0x30,
	COMMON_QUEUE_NOTIFY_DATA = 0x38,
	COMMON_QUEUE_RESET = 0x3a,
	COMMON_SIZE = 0x3c,
};

/* Width of the register at each offset; 0 where none starts. */
static const uint8_t common_width[COMMON_SIZE] = {
	/* clang-format off */
	[COMMON_DEVICE_FEATURE_SELECT] = 4, [COMMON_DEVICE_FEATURE] = 4,
	[COMMON_DRIVER_FEATURE_SELECT] = 4, [COMMON_DRIVER_FEATURE] = 4,
	[COMMON_CONFIG_MSIX_VECTOR] = 2,    [COMMON_NUM_QUEUES] = 2,
	[COMMON_DEVICE_STATUS] = 1,         [COMMON_CONFIG_GENERATION] = 1,
	[COMMON_QUEUE_SELECT] = 2,          [COMMON_QUEUE_SIZE] = 2,
	[COMMON_QUEUE_MSIX_VECTOR] = 2,     [COMMON_QUEUE_ENABLE] = 2,
	[COMMON_QUEUE_NOTIFY_OFF] = 2,
	[COMMON_QUEUE_DESC] = 4,            [COMMON_QUEUE_DESC + 4] = 4,
	[COMMON_QUEUE_DRIVER] = 4,          [COMMON_QUEUE_DRIVER + 4] = 4,
	[COMMON_QUEUE_DEVICE] = 4,          [COMMON_QUEUE_DEVICE + 4] = 4,
	[COMMON_QUEUE_NOTIFY_DATA] = 2,     [COMMON_QUEUE_RESET] = 2,
	/* clang-format on */
};

static const struct state_field virtio_pci_fields[] = {
	STATE_STRUCT(struct virtio_pci_regs, pci, pci_regs_fields),
	STATE_STRUCT(struct virtio_pci_regs, msix, pci_msix_regs_fields),
	STATE_VAL(struct virtio_pci_regs, config_vector),
	STATE_ARRAY(struct virtio_pci_regs, queue_vector),
	STATE_VAL(struct virtio_pci_regs, isr, .max = ISR_QUEUE | ISR_CONFIG),
	STATE_PAD(struct virtio_pci_regs, pad_),
	STATE_END,
};
static const struct state_desc virtio_pci_state =
	STATE_DESC("virtio-pci", 1, struct virtio_pci_regs, virtio_pci_fields);

/* ---- interrupts: called by the device ---- */

static void raise_vector(struct virtio_pci *vp, uint16_t vector, uint8_t isr)
{
	if (pci_msix_enabled(&vp->f)) {
		if (vector != NO_VECTOR)
			pci_msix_notify(&vp->f, vector);
		return;
	}
	vp->s.isr |= isr;
	pci_intx_set(&vp->f, true);
}

static void queue_irq(void *ctx, unsigned queue)
{
	struct virtio_pci *vp = ctx;

	raise_vector(vp, vp->s.queue_vector[queue], ISR_QUEUE);
}

static void config_irq(void *ctx)
{
	struct virtio_pci *vp = ctx;

	raise_vector(vp, vp->s.config_vector, ISR_CONFIG);
}

static bool dma_allowed(void *ctx)
{
	const struct virtio_pci *vp = ctx;

	return pci_bus_master(&vp->f);
}

/* Device reset: interrupt state goes, PCI configuration stays (4.1.5.1.2). */
static void device_reset(void *ctx)
{
	struct virtio_pci *vp = ctx;

	vp->s.isr = 0;
	vp->s.config_vector = NO_VECTOR;
	for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++)
		vp->s.queue_vector[i] = NO_VECTOR;
	pci_intx_set(&vp->f, false);
}

/* ---- common configuration ---- */

static uint64_t *queue_area(struct virtq *q, unsigned off)
{
	switch (off & ~7u) {
	case COMMON_QUEUE_DESC: return &q->r->desc;
	case COMMON_QUEUE_DRIVER: return &q->r->driver;
	default: return &q->r->device;
	}
}

static uint32_t queue_read(struct virtio_pci *vp, const struct virtq *q, unsigned off)
{
	switch (off) {
	case COMMON_QUEUE_SIZE: return q->r->size;
	case COMMON_QUEUE_MSIX_VECTOR: return vp->s.queue_vector[q->index];
	case COMMON_QUEUE_ENABLE: return q->r->ready;
	case COMMON_QUEUE_NOTIFY_OFF: return q->index;
	case COMMON_QUEUE_NOTIFY_DATA: return q->index;
	case COMMON_QUEUE_RESET: return 0; /* a reset is over when the write returns */
	default:
		return (uint32_t)(*queue_area((struct virtq *)(uintptr_t)q, off) >>
				  (8 * (off & 4)));
	}
}

static uint32_t common_field(struct virtio_pci *vp, unsigned off)
{
	struct virtio_dev *vd = vp->vd;
	struct virtq *q = virtio_queue_sel(vd);

	switch (off) {
	case COMMON_DEVICE_FEATURE_SELECT: return vd->r->device_select;
	case COMMON_DEVICE_FEATURE: return virtio_features_read(vd, vd->r->device_select, false);
	case COMMON_DRIVER_FEATURE_SELECT: return vd->r->driver_select;
	case COMMON_DRIVER_FEATURE: return virtio_features_read(vd, vd->r->driver_select, true);
	case COMMON_CONFIG_MSIX_VECTOR: return vp->s.config_vector;
	case COMMON_NUM_QUEUES: return vd->n_queues;
	case COMMON_DEVICE_STATUS: return vd->r->status;
	case COMMON_CONFIG_GENERATION: return vd->r->generation;
	case COMMON_QUEUE_SELECT: return vd->r->queue_select;
	default: break;
	}
	/* 4.1.4.3.1: a queue that isn't there has size 0. */
	return q ? queue_read(vp, q, off) : 0;
}

/* iPXE (2019, Debian 12) reads the low halves of the feature words only; a device may answer. */
static bool half_read(unsigned off, unsigned size)
{
	return size == 2 && common_width[off] == 4;
}

static uint32_t common_read(struct virtio_pci *vp, unsigned off, unsigned size)
{
	if (off >= COMMON_SIZE || (common_width[off] != size && !half_read(off, size))) {
		guest_error(&vp->dev, "read of %u bytes at common configuration %#x", size, off);
		return 0;
	}
	return common_field(vp, off) & (uint32_t)mask_bytes(size);
}

/* 4.1.5.1.2.1: a vector that can't be had reads back as NO_VECTOR. */
static uint16_t valid_vector(const struct virtio_pci *vp, uint32_t val)
{
	return val < vp->f.msix.n ? (uint16_t)val : NO_VECTOR;
}

static void queue_write(struct virtio_pci *vp, struct virtq *q, unsigned off, uint32_t val)
{
	struct virtio_dev *vd = vp->vd;

	switch (off) {
	case COMMON_QUEUE_SIZE: virtio_queue_set_size(vd, val); break;
	case COMMON_QUEUE_MSIX_VECTOR: vp->s.queue_vector[q->index] = valid_vector(vp, val); break;
	case COMMON_QUEUE_ENABLE:
		if (val == 1)
			virtio_queue_enable(vd);
		else
			guest_error(&vp->dev, "queue_enable written %#x", val);
		break;
	case COMMON_QUEUE_RESET:
		if (val == 1 && virtio_has(vd, VIRTIO_F_RING_RESET)) {
			vp->s.queue_vector[q->index] = NO_VECTOR;
			virtio_queue_reset(vd);
		}
		break;
	case COMMON_QUEUE_NOTIFY_OFF:
	case COMMON_QUEUE_NOTIFY_DATA: break; /* read-only */
	default: virtio_queue_set_addr(vd, queue_area(q, off), (off & 4) / 4, val); break;
	}
}

static void common_write(struct virtio_pci *vp, unsigned off, unsigned size, uint32_t val)
{
	struct virtio_dev *vd = vp->vd;
	struct virtq *q = virtio_queue_sel(vd);

	if (off >= COMMON_SIZE || common_width[off] != size) {
		guest_error(&vp->dev, "write of %u bytes at common configuration %#x", size, off);
		return;
	}
	switch (off) {
	case COMMON_DEVICE_FEATURE_SELECT: vd->r->device_select = val; break;
	case COMMON_DRIVER_FEATURE_SELECT: vd->r->driver_select = val; break;
	case COMMON_DRIVER_FEATURE: virtio_features_write(vd, vd->r->driver_select, val); break;
	case COMMON_CONFIG_MSIX_VECTOR: vp->s.config_vector = valid_vector(vp, val); break;
	case COMMON_DEVICE_STATUS: virtio_status_write(vd, (uint8_t)val); break;
	case COMMON_QUEUE_SELECT: vd->r->queue_select = val; break;
	case COMMON_DEVICE_FEATURE:
	case COMMON_NUM_QUEUES:
	case COMMON_CONFIG_GENERATION: break; /* read-only */
	default:
		if (q)
			queue_write(vp, q, off, val);
		break;
	}
}

/* ---- BAR 0 ---- */

static uint64_t bar_read(void *ctx, uint64_t off, unsigned size)
{
	struct virtio_pci *vp = ctx;
	unsigned part = (unsigned)off & ~(BAR_PART - 1u), at = (unsigned)off & (BAR_PART - 1u);
	uint8_t isr;

	switch (part) {
	case BAR_COMMON: return common_read(vp, at, size);
	case BAR_ISR:
		/* 4.1.4.5: reading clears it and takes the interrupt line back. */
		if (at)
			return 0;
		isr = vp->s.isr;
		vp->s.isr = 0;
		pci_intx_set(&vp->f, false);
		return isr;
	case BAR_DEVICE: return virtio_config_read(vp->vd, at, size);
	case BAR_MSIX_TABLE:
		return pci_msix_table_read(&vp->f, at) >> (8 * (at & 3)) & mask_bytes(size);
	case BAR_MSIX_PBA:
		return pci_msix_pba_read(&vp->f, at) >> (8 * (at & 3)) & mask_bytes(size);
	default: return 0;
	}
}

static void bar_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct virtio_pci *vp = ctx;
	unsigned part = (unsigned)off & ~(BAR_PART - 1u), at = (unsigned)off & (BAR_PART - 1u);

	switch (part) {
	case BAR_COMMON: common_write(vp, at, size, (uint32_t)val); break;
	case BAR_DEVICE: virtio_config_write(vp->vd, at, size, (uint32_t)val); break;
	case BAR_NOTIFY: virtio_notify(vp->vd, at / NOTIFY_MULTIPLIER); break;
	case BAR_MSIX_TABLE:
		/* PCI 3.0, 6.8.2: software must write whole dwords. */
		if (size == 4)
			pci_msix_table_write(&vp->f, at, (uint32_t)val);
		else
			guest_error(&vp->dev, "write of %u bytes to the MSI-X table", size);
		break;
	default: break;
	}
}

/* ---- configuration space ---- */

/* 4.1.4.9: pci_cfg_data is a window to BAR offset/length named in the capability. */
static bool window(struct pci_func *f, unsigned off, unsigned size, unsigned *ret_len,
		   uint32_t *ret_at)
{
	struct virtio_pci *vp = CONTAINER_OF(f, struct virtio_pci, f);
	const uint8_t *cap = &f->r->cfg[vp->pci_cfg_cap];
	uint32_t at = ld_le32(cap + 8), len = ld_le32(cap + 12);

	if (off != vp->pci_cfg_cap + 16u || cap[4] != 0 || (len != 1 && len != 2 && len != 4) ||
	    size < len || (at & (len - 1)) || at > BAR_SIZE - len)
		return false;
	*ret_len = len;
	*ret_at = at;
	return true;
}

static bool config_read_hook(struct pci_func *f, unsigned off, unsigned size, uint32_t *ret)
{
	struct virtio_pci *vp = CONTAINER_OF(f, struct virtio_pci, f);
	unsigned len;
	uint32_t at;

	if (!window(f, off, size, &len, &at))
		return false;
	*ret = (uint32_t)bus_region_read(&vp->bar, at, len);
	return true;
}

static bool config_write_hook(struct pci_func *f, unsigned off, unsigned size, uint32_t val)
{
	struct virtio_pci *vp = CONTAINER_OF(f, struct virtio_pci, f);
	unsigned len;
	uint32_t at;

	if (!window(f, off, size, &len, &at))
		return false;
	bus_region_write(&vp->bar, at, len, val & mask_bytes(len));
	return true;
}

static void config_written(struct pci_func *f, unsigned off, unsigned size)
{
	struct virtio_pci *vp = CONTAINER_OF(f, struct virtio_pci, f);
	bool master = pci_bus_master(f);

	(void)off, (void)size;
	if (master == vp->master)
		return;
	vp->master = master;
	if (master)
		virtio_dma_enabled(vp->vd);
}

/* ---- lifecycle ---- */

enum { CFG_COMMON = 1, CFG_NOTIFY = 2, CFG_ISR = 3, CFG_DEVICE = 4, CFG_PCI = 5 };

/* One virtio_pci_cap (4.1.4); returns its offset or -ENOSPC. */
static int add_cap(struct virtio_pci *vp, uint8_t type, uint32_t off, uint32_t len, unsigned size)
{
	int cap = pci_cap_add(&vp->f, PCI_CAP_VENDOR, size);

	if (cap < 0)
		return cap;
	pci_config_def(&vp->f, (unsigned)cap + 2, 1, size, 0);
	pci_config_def(&vp->f, (unsigned)cap + 3, 1, type, 0);
	pci_config_def(&vp->f, (unsigned)cap + 8, 4, off, 0);
	pci_config_def(&vp->f, (unsigned)cap + 12, 4, len, 0);
	return cap;
}

static int add_caps(struct virtio_pci *vp)
{
	int cap, r = 0;

	if ((r = add_cap(vp, CFG_COMMON, BAR_COMMON, COMMON_SIZE, 16)) < 0 ||
	    (r = add_cap(vp, CFG_ISR, BAR_ISR, 1, 16)) < 0)
		return r;
	/* 4.1.4.6: no device configuration capability without a device configuration. */
	if (vp->vd->vc->config_size &&
	    (r = add_cap(vp, CFG_DEVICE, BAR_DEVICE, vp->vd->vc->config_size, 16)) < 0)
		return r;
	cap = add_cap(vp, CFG_NOTIFY, BAR_NOTIFY, vp->vd->n_queues * NOTIFY_MULTIPLIER, 20);
	if (cap < 0)
		return cap;
	pci_config_def(&vp->f, (unsigned)cap + 16, 4, NOTIFY_MULTIPLIER, 0);
	cap = add_cap(vp, CFG_PCI, 0, 0, 20);
	if (cap < 0)
		return cap;
	vp->pci_cfg_cap = (uint8_t)cap;
	pci_config_def(&vp->f, (unsigned)cap + 4, 1, 0, 0xff);
	pci_config_def(&vp->f, (unsigned)cap + 8, 4, 0, 0xffffffff);
	pci_config_def(&vp->f, (unsigned)cap + 12, 4, 0, 0xffffffff);
	pci_config_def(&vp->f, (unsigned)cap + 16, 4, 0, 0xffffffff);
	return pci_msix_init(&vp->f, &vp->s.msix, vp->vd->n_queues + 1, 0, BAR_MSIX_TABLE,
			     BAR_MSIX_PBA);
}

static void virtio_pci_unrealize(struct dev *d)
{
	struct virtio_pci *vp = CONTAINER_OF(d, struct virtio_pci, dev);

	if (vp->vd && vp->vd->tr.ctx == vp && virtio_attach(vp->vd, NULL, NULL) < 0)
		return;
	pci_func_done(&vp->f);
}

static int virtio_pci_realize(struct dev *d, struct error *err)
{
	struct virtio_pci *vp = CONTAINER_OF(d, struct virtio_pci, dev);
	const struct virtio_transport tr = {.queue_irq = queue_irq,
					    .config_irq = config_irq,
					    .dma_allowed = dma_allowed,
					    .reset = device_reset,
					    .ctx = vp};
	int slot, r;

	if (!vp->vd || !vp->bus || !vp->vd->initialized)
		return error_set(err, -EINVAL,
				 "'%s': wire 'vd' (realized) and 'bus' before realizing", d->id);
	const struct pci_ids ids = {.vendor = VIRTIO_PCI_VENDOR,
				    .device = (uint16_t)(VIRTIO_PCI_DEVICE + vp->vd->vc->device_id),
				    .subsystem_vendor = VIRTIO_PCI_VENDOR,
				    .subsystem =
					    (uint16_t)(VIRTIO_PCI_DEVICE + vp->vd->vc->device_id),
				    .revision = 1,
				    .cls = vp->vd->vc->pci_class,
				    .interrupt_pin = 1};
	pci_func_init(&vp->f, d, &vp->s.pci, &ids);
	vp->bar = (struct bus_region){.name = "virtio-pci",
				      .size = BAR_SIZE,
				      .valid = WIDTH_ANY,
				      .impl = WIDTH_124,
				      .read = bar_read,
				      .write = bar_write,
				      .ctx = vp};
	pci_bar_add(&vp->f, 0, PCI_BAR_MEM64, &vp->bar);
	r = add_caps(vp);
	if (r == 0 && vp->bus->bridge && (r = express_add(&vp->f, EXPRESS_ENDPOINT, 0)) > 0)
		r = 0;
	if (r < 0)
		return error_set(err, r, "'%s': capabilities don't fit", d->id);
	r = vp->rom ? pci_rom_add(&vp->f, vp->rom, vp->rom_len, err) : 0;
	if (r < 0)
		return r;
	vp->f.config_written = config_written;
	vp->f.config_read_hook = config_read_hook;
	vp->f.config_write_hook = config_write_hook;
	if (!vp->devfn && !vp->bus->bridge) {
		slot = pci_bus_free_slot(vp->bus, 2);
		if (slot < 0)
			return error_set(err, slot, "no free PCI slot for '%s'", d->id);
		vp->devfn = PCI_DEVFN((unsigned)slot, 0);
	}
	r = virtio_attach(vp->vd, &tr, err);
	if (r < 0)
		return r;
	return pci_func_add(&vp->f, vp->bus, vp->devfn, err);
}

static void virtio_pci_reset(struct dev *d, enum dev_reset kind)
{
	struct virtio_pci *vp = CONTAINER_OF(d, struct virtio_pci, dev);

	virtio_reset(vp->vd);
	device_reset(vp);
	pci_func_reset(&vp->f, kind);
	vp->master = false;
}

static int virtio_pci_loaded(struct dev *d, struct error *err)
{
	struct virtio_pci *vp = CONTAINER_OF(d, struct virtio_pci, dev);

	vp->s.config_vector = valid_vector(vp, vp->s.config_vector);
	for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++)
		vp->s.queue_vector[i] = valid_vector(vp, vp->s.queue_vector[i]);
	vp->master = pci_bus_master(&vp->f);
	return pci_func_loaded(&vp->f, err);
}

const struct dev_class virtio_pci_class = {
	.name = "virtio-pci",
	.summary = "virtio PCI transport (modern)",
	.spec = "OASIS Virtual I/O Device (VIRTIO) Version 1.2, 4.1",
	.size = sizeof(struct virtio_pci),
	.regs_offset = offsetof(struct virtio_pci, s),
	.state = &virtio_pci_state,
	.realize = virtio_pci_realize,
	.unrealize = virtio_pci_unrealize,
	.reset = virtio_pci_reset,
	.loaded = virtio_pci_loaded,
};
