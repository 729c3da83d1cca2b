/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of virtqueues and devices (vring.h).
 */
#include "vring.h"

#include <string.h>

enum { NEXT = 1, WRITE = 2, INDIRECT = 4, AVAIL = 1 << 7, USED = 1 << 15 };

/* ---- rings ---- */

void vring_init(struct vring *r, struct harness *h, gpa_t base, uint16_t size, bool packed,
		bool event_idx)
{
	memset(r, 0, sizeof(*r));
	memset(ram(h, base), 0, VRING_BYTES);
	r->h = h;
	r->packed = packed;
	r->event_idx = event_idx;
	r->size = size;
	r->desc = base;
	r->driver = base + 0x1000;
	r->device = base + 0x2000;
	r->avail_wrap = r->used_wrap = true;
}

void vring_start_at(struct vring *r, struct virtq_regs *q, uint16_t idx)
{
	r->avail = r->used = idx;
	q->avail = q->used = idx;
	st_le16(ram(r->h, r->driver + 2), idx);
	st_le16(ram(r->h, r->device + 2), idx);
}

void vring_put_desc(struct vring *r, gpa_t table, unsigned i, uint64_t addr, uint32_t len,
		    uint16_t flags, uint16_t next)
{
	uint8_t *d = ram(r->h, table + 16u * i);

	st_le64(d, addr);
	st_le32(d + 8, len);
	st_le16(d + 12, flags);
	st_le16(d + 14, next);
}

void vring_publish(struct vring *r, uint16_t head)
{
	st_le16(ram(r->h, r->driver + 4 + 2u * (r->avail % r->size)), head);
	r->avail++;
	st_le16(ram(r->h, r->driver + 2), r->avail);
}

static uint16_t add_split(struct vring *r, const struct vbuf *buf, unsigned n, gpa_t table)
{
	uint16_t head = r->next_desc;

	if (table) {
		for (unsigned i = 0; i < n; i++)
			vring_put_desc(r, table, i, buf[i].gpa, buf[i].len,
				       (buf[i].write ? WRITE : 0) | (i + 1 < n ? NEXT : 0),
				       (uint16_t)(i + 1));
		vring_put_desc(r, r->desc, head, table, 16 * n, INDIRECT, 0);
		r->next_desc = (uint16_t)((head + 1) % r->size);
	}
	for (unsigned i = 0; i < n && !table; i++) {
		uint16_t d = r->next_desc;
		r->next_desc = (uint16_t)((d + 1) % r->size);
		vring_put_desc(r, r->desc, d, buf[i].gpa, buf[i].len,
			       (buf[i].write ? WRITE : 0) | (i + 1 < n ? NEXT : 0), r->next_desc);
	}
	vring_publish(r, head);
	return head;
}

static void put_packed(struct vring *r, gpa_t at, uint64_t addr, uint32_t len, uint16_t id,
		       uint16_t flags)
{
	uint8_t *d = ram(r->h, at);

	st_le64(d, addr);
	st_le32(d + 8, len);
	st_le16(d + 12, id);
	st_le16(d + 14, flags);
}

static uint16_t add_packed(struct vring *r, const struct vbuf *buf, unsigned n, gpa_t table)
{
	uint16_t id = r->next_id++, first = 0, first_flags = 0;
	unsigned slots = table ? 1 : n;

	if (table)
		for (unsigned i = 0; i < n; i++)
			put_packed(r, table + 16u * i, buf[i].gpa, buf[i].len, 0,
				   buf[i].write ? WRITE : 0);
	for (unsigned i = 0; i < slots; i++) {
		uint16_t flags = r->avail_wrap ? AVAIL : USED;
		flags |= table ? INDIRECT : (buf[i].write ? WRITE : 0) | (i + 1 < slots ? NEXT : 0);
		gpa_t at = r->desc + 16u * r->avail;
		if (i == 0) {
			/* 2.8.21: the first descriptor becomes available last. */
			first = r->avail;
			first_flags = flags;
			flags = ld_le16(ram(r->h, at + 14));
		}
		put_packed(r, at, table ? table : buf[i].gpa, table ? 16 * n : buf[i].len, id,
			   flags);
		if (++r->avail == r->size) {
			r->avail = 0;
			r->avail_wrap = !r->avail_wrap;
		}
	}
	st_le16(ram(r->h, r->desc + 16u * first + 14), first_flags);
	r->len_of[id] = (uint16_t)slots;
	return id;
}

uint16_t vring_add(struct vring *r, const struct vbuf *buf, unsigned n, gpa_t table)
{
	return r->packed ? add_packed(r, buf, n, table) : add_split(r, buf, n, table);
}

bool vring_get(struct vring *r, uint16_t *ret_id, uint32_t *ret_len)
{
	if (!r->packed) {
		if (ld_le16(ram(r->h, r->device + 2)) == r->used)
			return false;
		const uint8_t *e = ram(r->h, r->device + 4 + 8u * (r->used % r->size));
		*ret_id = (uint16_t)ld_le32(e);
		*ret_len = ld_le32(e + 4);
		r->used++;
		return true;
	}
	const uint8_t *d = ram(r->h, r->desc + 16u * r->used);
	uint16_t flags = ld_le16(d + 14);
	if (!!(flags & AVAIL) != r->used_wrap || !!(flags & USED) != r->used_wrap)
		return false;
	*ret_id = ld_le16(d + 12);
	*ret_len = ld_le32(d + 8);
	r->used = (uint16_t)(r->used + r->len_of[*ret_id]);
	if (r->used >= r->size) {
		r->used = (uint16_t)(r->used - r->size);
		r->used_wrap = !r->used_wrap;
	}
	return true;
}

void vring_want_irq(struct vring *r, bool on)
{
	uint8_t *area = ram(r->h, r->driver);

	if (r->packed) {
		st_le16(area, (uint16_t)(r->used | (r->used_wrap << 15)));
		st_le16(area + 2, !on ? 1 : r->event_idx ? 2 : 0);
	} else if (r->event_idx) {
		/* An event far away is the only "no". */
		st_le16(area + 4 + 2u * r->size, on ? r->used : (uint16_t)(r->used - 1));
	} else {
		st_le16(area, on ? 0 : 1);
	}
}

bool vring_kick_wanted(struct vring *r, uint16_t old)
{
	const uint8_t *area = ram(r->h, r->device);
	uint16_t event, flags;

	if (!r->packed && !r->event_idx)
		return !(ld_le16(area) & 1);
	if (!r->packed) {
		event = ld_le16(area + 4 + 8u * r->size);
		return (uint16_t)(r->avail - event - 1) < (uint16_t)(r->avail - old);
	}
	flags = ld_le16(area + 2);
	if (flags != 2)
		return flags == 0;
	event = ld_le16(area);
	/* Only used with nothing wrapped in between. */
	return (event & 0x7fff) == old && (event >> 15) == r->avail_wrap;
}

/* ---- devices ---- */

static unsigned route(void *ctx, uint8_t devfn, unsigned pin)
{
	(void)ctx, (void)devfn;
	return pin;
}

static void pirq(void *ctx, unsigned n, bool level)
{
	struct vdrv *v = ctx;

	v->pirq_rises += level && !v->pirq[n];
	v->pirq[n] = level;
}

uint32_t vdrv_cfg(struct vdrv *v, unsigned off, unsigned size)
{
	bus_lock(&v->h->bus);
	uint32_t val = pci_bus_config_read(&v->bus, v->pci->devfn, off, size);
	bus_unlock(&v->h->bus);
	return val;
}

void vdrv_set_cfg(struct vdrv *v, unsigned off, unsigned size, uint32_t val)
{
	bus_lock(&v->h->bus);
	pci_bus_config_write(&v->bus, v->pci->devfn, off, size, val);
	bus_unlock(&v->h->bus);
}

void vdrv_pci(struct vdrv *v, struct harness *h, struct virtio_dev *vd)
{
	memset(v, 0, sizeof(*v));
	v->h = h;
	v->vd = vd;
	harness_realize(h, &vd->dev);
	pci_bus_init(&v->bus, &h->bus, route, v);
	pci_bus_set_pirq(&v->bus, pirq, v);
	v->pci = (struct virtio_pci *)dev_new(&virtio_pci_class, "virtio-pci", &h->sv);
	v->pci->vd = vd;
	v->pci->bus = &v->bus;
	harness_realize(h, &v->pci->dev);
	v->bar = VDRV_BAR;
	vdrv_set_cfg(v, PCI_BAR0, 4, VDRV_BAR);
	vdrv_set_cfg(v, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

void vdrv_mmio(struct vdrv *v, struct harness *h, struct virtio_dev *vd)
{
	memset(v, 0, sizeof(*v));
	v->h = h;
	v->vd = vd;
	harness_realize(h, &vd->dev);
	v->mmio = (struct virtio_mmio *)dev_new(&virtio_mmio_class, "virtio-mmio", &h->sv);
	v->mmio->vd = vd;
	v->mmio->dev.base = VDRV_MMIO;
	harness_irq(h, &v->mmio->irq, VDRV_PIN);
	harness_realize(h, &v->mmio->dev);
}

void vdrv_set_status(struct vdrv *v, uint8_t status)
{
	if (v->pci)
		writeb(v->h, v->bar + 0x14, status);
	else
		writel(v->h, VDRV_MMIO + 0x70, status);
}

uint8_t vdrv_status(struct vdrv *v)
{
	return v->pci ? readb(v->h, v->bar + 0x14) : (uint8_t)readl(v->h, VDRV_MMIO + 0x70);
}

bool vdrv_negotiate(struct vdrv *v, uint64_t features)
{
	features |= BIT(VIRTIO_F_VERSION_1);
	vdrv_set_status(v, 0);
	vdrv_set_status(v, VIRTIO_STATUS_ACKNOWLEDGE);
	vdrv_set_status(v, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	for (unsigned i = 0; i < 2; i++) {
		gpa_t sel = v->pci ? v->bar + 0x08 : VDRV_MMIO + 0x24;
		gpa_t reg = v->pci ? v->bar + 0x0c : VDRV_MMIO + 0x20;
		writel(v->h, sel, i);
		writel(v->h, reg, (uint32_t)(features >> (32 * i)));
	}
	vdrv_set_status(v, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
				   VIRTIO_STATUS_FEATURES_OK);
	return vdrv_status(v) & VIRTIO_STATUS_FEATURES_OK;
}

void vdrv_queue(struct vdrv *v, unsigned n, uint16_t size)
{
	struct vring *r = &v->ring[n];
	uint64_t f = v->vd->r->driver_features;

	vring_init(r, v->h, MIB + n * (gpa_t)VRING_BYTES, size, f >> VIRTIO_F_RING_PACKED & 1,
		   f >> VIRTIO_F_EVENT_IDX & 1);
	if (v->pci) {
		writew(v->h, v->bar + 0x16, (uint16_t)n);
		writew(v->h, v->bar + 0x18, size);
		writel(v->h, v->bar + 0x20, (uint32_t)r->desc);
		writel(v->h, v->bar + 0x24, 0);
		writel(v->h, v->bar + 0x28, (uint32_t)r->driver);
		writel(v->h, v->bar + 0x2c, 0);
		writel(v->h, v->bar + 0x30, (uint32_t)r->device);
		writel(v->h, v->bar + 0x34, 0);
		writew(v->h, v->bar + 0x1c, 1);
		return;
	}
	writel(v->h, VDRV_MMIO + 0x30, n);
	writel(v->h, VDRV_MMIO + 0x38, size);
	writel(v->h, VDRV_MMIO + 0x80, (uint32_t)r->desc);
	writel(v->h, VDRV_MMIO + 0x84, 0);
	writel(v->h, VDRV_MMIO + 0x90, (uint32_t)r->driver);
	writel(v->h, VDRV_MMIO + 0x94, 0);
	writel(v->h, VDRV_MMIO + 0xa0, (uint32_t)r->device);
	writel(v->h, VDRV_MMIO + 0xa4, 0);
	writel(v->h, VDRV_MMIO + 0x44, 1);
}

void vdrv_up(struct vdrv *v, uint64_t features, unsigned n, uint16_t size)
{
	assert_true(vdrv_negotiate(v, features));
	for (unsigned i = 0; i < n; i++)
		vdrv_queue(v, i, size);
	vdrv_set_status(v, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
				   VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK);
	assert_int_equal(vdrv_status(v), VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
						 VIRTIO_STATUS_FEATURES_OK |
						 VIRTIO_STATUS_DRIVER_OK);
}

void vdrv_kick(struct vdrv *v, unsigned n)
{
	if (v->pci)
		writew(v->h, v->bar + 0x3000 + 4 * n, (uint16_t)n);
	else
		writel(v->h, VDRV_MMIO + 0x50, n);
}

static gpa_t config_base(const struct vdrv *v)
{
	return v->pci ? v->bar + 0x2000 : VDRV_MMIO + 0x100;
}

uint32_t vdrv_config(struct vdrv *v, unsigned off, unsigned size)
{
	return (uint32_t)bus_mmio_read(&v->h->bus, config_base(v) + off, size);
}

void vdrv_set_config(struct vdrv *v, unsigned off, unsigned size, uint32_t val)
{
	bus_mmio_write(&v->h->bus, config_base(v) + off, size, val);
}

uint8_t vdrv_isr(struct vdrv *v)
{
	if (v->pci)
		return readb(v->h, v->bar + 0x1000);
	uint8_t isr = (uint8_t)readl(v->h, VDRV_MMIO + 0x60);
	writel(v->h, VDRV_MMIO + 0x64, isr);
	return isr;
}

static struct dev *part(struct vdrv *v, unsigned i)
{
	return i == 0 ? &v->vd->dev : v->pci ? &v->pci->dev : &v->mmio->dev;
}

void vdrv_restore(struct vdrv *to, struct vdrv *from)
{
	struct state_writer *w = state_writer_new();
	struct state_reader *r;
	struct error err = {0};
	size_t n;

	bus_lock(&from->h->bus);
	for (unsigned i = 0; i < 2; i++)
		if (part(from, i)->cls->quiesce)
			assert_int_equal(part(from, i)->cls->quiesce(part(from, i)), 0);
	for (unsigned i = 0; i < 2; i++)
		dev_save(part(from, i), w);
	bus_unlock(&from->h->bus);
	memcpy(to->h->ram->host, from->h->ram->host, HARNESS_RAM);
	for (unsigned i = 0; i < ARRAY_SIZE(to->ring); i++) {
		to->ring[i] = from->ring[i];
		to->ring[i].h = to->h;
	}
	const uint8_t *bytes = state_writer_finish(w, &n);
	bus_lock(&to->h->bus);
	if (state_reader_new(bytes, n, &r, &err))
		fail_msg("%s", err.text);
	for (unsigned i = 0; i < 2; i++)
		if (dev_load(part(to, i), r, &err))
			fail_msg("%s", err.text);
	state_reader_free(r);
	for (unsigned i = 0; i < 2; i++)
		if (part(to, i)->cls->resume)
			part(to, i)->cls->resume(part(to, i));
	bus_unlock(&to->h->bus);
	state_writer_free(w);
}
