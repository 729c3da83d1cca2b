/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split virtqueues, device side. Virtio 1.2, 2.7.
 *
 *   descriptor area: struct virtq_desc[size]
 *   driver area:     le16 flags, le16 idx, le16 ring[size], le16 used_event
 *   device area:     le16 flags, le16 idx, { le32 id, le32 len } ring[size], le16 avail_event
 */
#include "device/virtio/vq_internal.h"

enum { RING_IDX = 2, RING_ENTRIES = 4 };
enum { AVAIL_NO_INTERRUPT = 1, USED_NO_NOTIFY = 1 };

static int load16(struct virtq *q, gpa_t gpa, uint16_t *ret)
{
	uint16_t v;

	if (mem_read(q->mem, gpa, &v, 2) < 0)
		return vq_bad(q, "the ring is not in RAM");
	*ret = v;
	return 0;
}

static void store16(struct virtq *q, gpa_t gpa, uint16_t v)
{
	if (mem_write(q->mem, gpa, &v, 2) < 0)
		(void)vq_bad(q, "the ring is not in RAM");
}

/* Copy descriptor @i of the table at @table. */
static int load_desc(struct virtq *q, gpa_t table, unsigned i, struct vq_desc *ret)
{
	uint8_t raw[VQ_DESC_SIZE];

	if (mem_read(q->mem, table + (uint64_t)i * VQ_DESC_SIZE, raw, sizeof(raw)) < 0)
		return vq_bad(q, "a descriptor is not in RAM");
	*ret = (struct vq_desc){.addr = ld_le64(raw),
				.len = ld_le32(raw + 8),
				.flags = ld_le16(raw + 12),
				.next_or_id = ld_le16(raw + 14)};
	return 0;
}

/* Walk an indirect table (2.7.5.3). */
static int indirect_chain(struct virtq *q, struct vq_elem *e, const struct vq_desc *outer)
{
	unsigned n = outer->len / VQ_DESC_SIZE, i = 0;
	struct vq_desc d;
	int r;

	if (!q->a.indirect)
		return vq_bad(q, "an indirect descriptor without VIRTIO_F_INDIRECT_DESC");
	if (outer->flags & VQ_DESC_NEXT)
		return vq_bad(q, "an indirect descriptor has NEXT set");
	if (!n || outer->len % VQ_DESC_SIZE)
		return vq_bad(q, "the length of an indirect table is no multiple of 16");
	for (unsigned seen = 0;; seen++) {
		if (seen >= n || seen >= VQ_IOV_MAX)
			return vq_bad(q, "an indirect chain is too long");
		r = load_desc(q, outer->addr, i, &d);
		if (r < 0)
			return r;
		if (d.flags & VQ_DESC_INDIRECT)
			return vq_bad(q, "an indirect table in an indirect table");
		r = vq_elem_add(e, &d);
		if (r < 0 || !(d.flags & VQ_DESC_NEXT))
			return r;
		i = d.next_or_id;
		if (i >= n)
			return vq_bad(q, "an indirect chain leaves its table");
	}
}

int vq_split_chain(struct virtq *q, struct vq_elem *e)
{
	unsigned i = e->id;
	struct vq_desc d;
	int r;

	if (i >= q->a.size)
		return vq_bad(q, "an available entry is past the descriptor table");
	for (unsigned seen = 0; seen < q->a.size; seen++) {
		r = load_desc(q, q->a.desc, i, &d);
		if (r < 0)
			return r;
		if (d.flags & VQ_DESC_INDIRECT)
			return indirect_chain(q, e, &d);
		r = vq_elem_add(e, &d);
		if (r < 0 || !(d.flags & VQ_DESC_NEXT))
			return r;
		i = d.next_or_id;
		if (i >= q->a.size)
			return vq_bad(q, "a chain leaves the descriptor table");
	}
	return vq_bad(q, "a chain is longer than the ring");
}

bool vq_split_has_next(struct virtq *q)
{
	uint16_t idx;

	return load16(q, q->a.driver + RING_IDX, &idx) == 0 && idx != q->r->avail;
}

int vq_split_next(struct virtq *q, struct vq_elem *e)
{
	uint16_t idx;
	int r = load16(q, q->a.driver + RING_IDX, &idx);

	if (r < 0)
		return r;
	if (idx == q->r->avail)
		return 0;
	if ((uint16_t)(idx - q->r->avail) > q->a.size)
		return vq_bad(q, "the available index moved by more than the ring");
	/* Entries are read after the index that covers them (2.7.13.3.1). */
	atomic_thread_fence(memory_order_acquire);
	r = load16(q, q->a.driver + RING_ENTRIES + 2u * (q->r->avail & (q->a.size - 1u)), &e->id);
	if (r < 0)
		return r;
	r = vq_split_chain(q, e);
	if (r < 0)
		return r;
	q->r->avail++;
	return 1;
}

void vq_split_used(struct virtq *q, const struct vq_elem *e)
{
	uint8_t raw[8];
	gpa_t at = q->a.device + RING_ENTRIES + 8u * (q->r->used & (q->a.size - 1u));

	st_le32(raw, e->id);
	st_le32(raw + 4, e->written);
	if (mem_write(q->mem, at, raw, sizeof(raw)) < 0) {
		(void)vq_bad(q, "the ring is not in RAM");
		return;
	}
	q->r->used++;
	if (q->r->pushed < UINT16_MAX)
		q->r->pushed++;
}

void vq_split_publish(struct virtq *q)
{
	/* Data and entries before the index (2.7.8.2). */
	atomic_thread_fence(memory_order_release);
	store16(q, q->a.device + RING_IDX, q->r->used);
}

bool vq_split_wants_irq(struct virtq *q, unsigned pushed)
{
	uint16_t v;

	if (q->a.event_idx) {
		/* used_event, 2.7.7.2 */
		if (load16(q, q->a.driver + RING_ENTRIES + 2u * q->a.size, &v) < 0)
			return false;
		return pushed == UINT16_MAX ||
		       vq_need_event(v, q->r->used, (uint16_t)(q->r->used - pushed));
	}
	return load16(q, q->a.driver, &v) == 0 && !(v & AVAIL_NO_INTERRUPT);
}

void vq_split_kick(struct virtq *q, bool on)
{
	if (!q->a.event_idx)
		store16(q, q->a.device, on ? 0 : USED_NO_NOTIFY);
	else if (on) /* avail_event, 2.7.10 */
		store16(q, q->a.device + RING_ENTRIES + 8u * q->a.size, q->r->avail);
}
