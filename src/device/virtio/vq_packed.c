/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packed virtqueues, device side. Virtio 1.2, 2.8.
 *
 *   descriptor area: { le64 addr, le32 len, le16 id, le16 flags }[size]
 *   driver area:     { le16 off_wrap, le16 flags }: which interrupts the driver wants
 *   device area:     the same for notifications the device wants
 *
 * Used descriptors are written in the order the elements came (see virtqueue.h); VIRTIO_F_IN_ORDER
 * isn't offered, drivers just see an orderly device.
 */
#include "device/virtio/vq_internal.h"

enum { DESC_LEN = 8, DESC_FLAGS = 14 };
enum { EVENT_OFF = 0, EVENT_FLAGS = 2 };
enum { EVENT_ENABLE = 0, EVENT_DISABLE = 1, EVENT_DESC = 2 };

static gpa_t desc_at(const struct virtq *q, unsigned i)
{
	return q->a.desc + (uint64_t)i * VQ_DESC_SIZE;
}

static int load_desc(struct virtq *q, gpa_t at, struct vq_desc *ret)
{
	uint8_t raw[VQ_DESC_SIZE];

	if (mem_read(q->mem, at, raw, sizeof(raw)) < 0)
		return vq_bad(q, "a descriptor is not in RAM");
	*ret = (struct vq_desc){.addr = ld_le64(raw),
				.len = ld_le32(raw + 8),
				.next_or_id = ld_le16(raw + 12),
				.flags = ld_le16(raw + 14)};
	return 0;
}

/* 1 when the descriptor at the ring position is available (2.8.1), 0 when not. */
static int next_available(struct virtq *q)
{
	uint16_t flags;

	if (mem_read(q->mem, desc_at(q, q->r->avail) + DESC_FLAGS, &flags, 2) < 0)
		return vq_bad(q, "the ring is not in RAM");
	bool avail = flags & VQ_DESC_AVAIL, used = flags & VQ_DESC_USED;
	return avail == q->r->avail_wrap && used != q->r->avail_wrap;
}

bool vq_packed_has_next(struct virtq *q)
{
	return next_available(q) > 0;
}

/* An indirect table is used from its first to its last descriptor (2.8.7). */
static int indirect_table(struct virtq *q, struct vq_elem *e, const struct vq_desc *outer)
{
	unsigned n = outer->len / VQ_DESC_SIZE;
	struct vq_desc d;

	if (!q->a.indirect)
		return vq_bad(q, "an indirect descriptor without VIRTIO_F_INDIRECT_DESC");
	if (!n || outer->len % VQ_DESC_SIZE)
		return vq_bad(q, "the length of an indirect table is no multiple of 16");
	if (n > VQ_IOV_MAX)
		return vq_bad(q, "an indirect table is too long");
	for (unsigned i = 0; i < n; i++) {
		int r = load_desc(q, outer->addr + (uint64_t)i * VQ_DESC_SIZE, &d);
		if (r == 0 && (d.flags & VQ_DESC_INDIRECT))
			r = vq_bad(q, "an indirect table in an indirect table");
		if (r == 0)
			r = vq_elem_add(e, &d);
		if (r < 0)
			return r;
	}
	return 0;
}

int vq_packed_next(struct virtq *q, struct vq_elem *e)
{
	unsigned pos = q->r->avail, n = 0;
	struct vq_desc d;
	int r = next_available(q);

	if (r <= 0)
		return r;
	/* The rest of the chain is read after the flags that made it available. */
	atomic_thread_fence(memory_order_acquire);
	do {
		if (n >= q->a.size)
			return vq_bad(q, "a chain is longer than the ring");
		r = load_desc(q, desc_at(q, pos), &d);
		if (r < 0)
			return r;
		if (d.flags & VQ_DESC_INDIRECT) {
			if (n || (d.flags & VQ_DESC_NEXT))
				return vq_bad(q, "an indirect descriptor in a chain");
			r = indirect_table(q, e, &d);
		} else {
			r = vq_elem_add(e, &d);
		}
		if (r < 0)
			return r;
		n++;
		pos = pos + 1 == q->a.size ? 0 : pos + 1;
	} while (d.flags & VQ_DESC_NEXT);

	e->id = d.next_or_id; /* the id is in the last descriptor (2.8.6) */
	e->n_ring = (uint16_t)n;
	if (q->r->avail + n >= q->a.size)
		q->r->avail_wrap = !q->r->avail_wrap;
	q->r->avail = (uint16_t)pos;
	return 1;
}

void vq_packed_unpop(struct virtq *q, const struct vq_elem *e)
{
	if (q->r->avail < e->n_ring) {
		q->r->avail = (uint16_t)(q->r->avail + q->a.size);
		q->r->avail_wrap = !q->r->avail_wrap;
	}
	q->r->avail = (uint16_t)(q->r->avail - e->n_ring);
}

void vq_packed_used(struct virtq *q, const struct vq_elem *e, struct vq_packed_flags *first)
{
	uint8_t raw[6];
	gpa_t at = desc_at(q, q->r->used);
	uint16_t flags = q->r->used_wrap ? VQ_DESC_AVAIL | VQ_DESC_USED : 0;

	if (e->written)
		flags |= VQ_DESC_WRITE;
	st_le32(raw, e->written);
	st_le16(raw + 4, e->id);
	if (mem_write(q->mem, at + DESC_LEN, raw, sizeof(raw)) < 0) {
		(void)vq_bad(q, "the ring is not in RAM");
		return;
	}
	if (first->valid) {
		vq_packed_publish(q, &(struct vq_packed_flags){true, at + DESC_FLAGS, flags});
	} else {
		*first = (struct vq_packed_flags){true, at + DESC_FLAGS, flags};
	}
	q->r->used = (uint16_t)(q->r->used + e->n_ring);
	if (q->r->used >= q->a.size) {
		q->r->used = (uint16_t)(q->r->used - q->a.size);
		q->r->used_wrap = !q->r->used_wrap;
	}
	q->r->pushed = (uint16_t)MIN(q->r->pushed + e->n_ring, UINT16_MAX);
}

void vq_packed_publish(struct virtq *q, const struct vq_packed_flags *first)
{
	/* Data, length and id before the flags (2.8.21.1). */
	atomic_thread_fence(memory_order_release);
	if (mem_write(q->mem, first->at, &first->flags, 2) < 0)
		(void)vq_bad(q, "the ring is not in RAM");
}

bool vq_packed_wants_irq(struct virtq *q, unsigned pushed)
{
	uint32_t both;

	if (mem_read(q->mem, q->a.driver, &both, 4) < 0) {
		(void)vq_bad(q, "the ring is not in RAM");
		return false;
	}
	uint16_t off_wrap = (uint16_t)both, flags = (uint16_t)(both >> 16) & 3;
	if (flags == EVENT_DISABLE)
		return false;
	if (flags != EVENT_DESC || !q->a.event_idx || pushed >= q->a.size)
		return true;
	/* 2.8.10: the event position is one ring behind when its wrap counter differs. */
	uint16_t event = off_wrap & 0x7fff;
	if ((bool)(off_wrap >> 15) != q->r->used_wrap)
		event = (uint16_t)(event - q->a.size);
	return vq_need_event(event, q->r->used, (uint16_t)(q->r->used - pushed));
}

void vq_packed_kick(struct virtq *q, bool on)
{
	uint16_t off_wrap = (uint16_t)(q->r->avail | (q->r->avail_wrap << 15));
	uint16_t flags = !on ? EVENT_DISABLE : q->a.event_idx ? EVENT_DESC : EVENT_ENABLE;

	if (flags == EVENT_DESC) {
		if (mem_write(q->mem, q->a.device + EVENT_OFF, &off_wrap, 2) < 0) {
			(void)vq_bad(q, "the ring is not in RAM");
			return;
		}
		atomic_thread_fence(memory_order_release);
	}
	if (mem_write(q->mem, q->a.device + EVENT_FLAGS, &flags, 2) < 0)
		(void)vq_bad(q, "the ring is not in RAM");
}
