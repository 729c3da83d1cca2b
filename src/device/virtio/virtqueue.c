/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtqueues: the common part (elements, cursors, life cycle). The ring formats are in vq_split.c
 * and vq_packed.c; see virtqueue.h for the invariants.
 */
#include "device/virtio/vq_internal.h"
#include "mem/guest.h"

#include <errno.h>
#include <stdlib.h>

const struct state_field virtq_regs_fields[] = {
	STATE_VAL(struct virtq_regs, desc),
	STATE_VAL(struct virtq_regs, driver),
	STATE_VAL(struct virtq_regs, device),
	STATE_VAL(struct virtq_regs, size),
	STATE_VAL(struct virtq_regs, avail),
	STATE_VAL(struct virtq_regs, used),
	STATE_VAL(struct virtq_regs, pushed),
	STATE_VAL(struct virtq_regs, ready),
	STATE_VAL(struct virtq_regs, avail_wrap),
	STATE_VAL(struct virtq_regs, used_wrap),
	STATE_PAD(struct virtq_regs, pad_),
	STATE_ARRAY(struct virtq_regs, inflight, .max = VQ_SIZE_MAX),
	STATE_END,
};

/* Segments an element keeps room for when it goes back to the free list. */
#define VQ_IOV_KEEP 64u

/* ---- life cycle ---- */

static void elem_release(struct vq_elem *e)
{
	struct virtq *q = e->q;

	e->in_use = false;
	if (e->cap > VQ_IOV_KEEP) {
		free(e->iov);
		free(e->seg);
		e->iov = NULL;
		e->seg = NULL;
		e->cap = 0;
	}
	q->free_slot[q->n_free++] = e->slot;
}

int vq_init(struct virtq *q, unsigned index, unsigned size_max, struct mem_space *mem,
	    struct virtq_regs *r)
{
	check(size_max >= 1 && size_max <= VQ_SIZE_MAX);
	memset(q, 0, sizeof(*q));
	q->index = index;
	q->size_max = size_max;
	q->mem = mem;
	q->r = r;
	q->elem = xtry_calloc(size_max, sizeof(*q->elem));
	q->free_slot = xtry_calloc(size_max, sizeof(*q->free_slot));
	q->order = xtry_calloc(size_max, sizeof(*q->order));
	if (!q->elem || !q->free_slot || !q->order) {
		vq_done(q);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < size_max; i++) {
		q->elem[i].q = q;
		q->elem[i].slot = (uint16_t)i;
		q->free_slot[size_max - 1 - i] = (uint16_t)i;
	}
	q->n_free = size_max;
	return 0;
}

void vq_done(struct virtq *q)
{
	for (unsigned i = 0; q->elem && i < q->size_max; i++) {
		free(q->elem[i].iov);
		free(q->elem[i].seg);
	}
	free(q->elem);
	free(q->free_slot);
	free(q->order);
	q->elem = NULL;
	q->free_slot = q->order = NULL;
	q->live = false;
}

/* A slot is free unless its element is in the hands of a back end (possibly since before a reset)
 * or will be parsed again after a restore. */
static void slots_free(struct virtq *q)
{
	q->n_free = 0;
	for (unsigned i = q->size_max; i-- > 0;)
		if (!q->elem[i].in_use && !q->r->inflight[i])
			q->free_slot[q->n_free++] = (uint16_t)i;
}

void vq_reset(struct virtq *q)
{
	*q->r = (struct virtq_regs){
		.size = (uint16_t)q->size_max, .avail_wrap = true, .used_wrap = true};
	q->live = false;
	q->gen++;
	q->budget = 0;
	for (unsigned i = 0; i < q->size_max; i++)
		if (q->elem[i].in_use && q->elem[i].done)
			elem_release(&q->elem[i]);
	q->order_head = q->order_n = 0;
	slots_free(q);
}

int vq_enable(struct virtq *q, bool packed, bool event_idx, bool indirect)
{
	struct virtq_regs *r = q->r;

	if (r->size == 0 || r->size > q->size_max || (!packed && (r->size & (r->size - 1))))
		return -EINVAL;
	if (packed && (r->avail >= r->size || r->used >= r->size))
		return -EINVAL;
	for (unsigned i = 0; i < VQ_SIZE_MAX; i++)
		if (r->inflight[i] > r->size || (r->inflight[i] && (packed || i >= q->size_max)))
			return -EINVAL;
	q->a = (struct vq_active){.desc = r->desc,
				  .driver = r->driver,
				  .device = r->device,
				  .size = r->size,
				  .packed = packed,
				  .event_idx = event_idx,
				  .indirect = indirect};
	q->live = true;
	return 0;
}

void vq_rewind(struct virtq *q)
{
	if (!q->live)
		return;
	q->gen++;
	q->order_head = q->order_n = 0;
	if (q->a.packed) {
		q->r->avail = q->r->used;
		q->r->avail_wrap = q->r->used_wrap;
	}
	slots_free(q);
}

void vq_break(struct virtq *q, const char *why)
{
	if (!q->live)
		return;
	q->live = false;
	if (q->broken)
		q->broken(q->ctx, q, why);
}

/* ---- elements ---- */

/* Room for one more segment; false when memory is short. */
static bool elem_grow(struct vq_elem *e)
{
	unsigned n = e->n_rd + e->n_wr;

	if (n < e->cap)
		return true;
	unsigned cap = e->cap ? MIN(e->cap * 4, VQ_IOV_MAX) : 8;
	struct iovec *iov = xtry_calloc(cap, sizeof(*iov));
	struct vq_seg *seg = xtry_calloc(cap, sizeof(*seg));
	if (!iov || !seg) {
		free(iov);
		free(seg);
		return false;
	}
	if (n) {
		memcpy(iov, e->iov, n * sizeof(*iov));
		memcpy(seg, e->seg, n * sizeof(*seg));
	}
	free(e->iov);
	free(e->seg);
	e->iov = iov;
	e->seg = seg;
	e->cap = cap;
	return true;
}

int vq_elem_add(struct vq_elem *e, const struct vq_desc *d)
{
	bool write = d->flags & VQ_DESC_WRITE;
	uint64_t left = d->len;
	gpa_t gpa = d->addr, end;

	if (!write && e->n_wr)
		return vq_bad(e->q, "a readable descriptor follows a writable one");
	if (ckd_add(&end, gpa, left))
		return vq_bad(e->q, "a buffer wraps around the address space");
	while (left) {
		size_t n = left;
		void *host = mem_map_dma(e->q->mem, gpa, &n, write);
		if (!host || !n)
			return vq_bad(e->q, "a buffer is not in RAM");
		if (e->n_rd + e->n_wr >= VQ_IOV_MAX)
			return vq_bad(e->q, "an element has too many segments");
		if (!elem_grow(e))
			return -ENOMEM;
		unsigned i = e->n_rd + e->n_wr;
		e->iov[i] = (struct iovec){host, n};
		e->seg[i] = (struct vq_seg){gpa, n};
		if (write) {
			e->n_wr++;
			e->wr_len += n;
		} else {
			e->n_rd++;
			e->rd_len += n;
		}
		gpa += n;
		left -= n;
	}
	return 0;
}

static void elem_clear(struct vq_elem *e)
{
	e->n_rd = e->n_wr = 0;
	e->rd_len = e->wr_len = 0;
	e->n_ring = 0;
	e->done = false;
}

struct vq_elem *vq_pop(struct virtq *q)
{
	struct vq_elem *e;
	int r;

	q->saw_empty = false;
	if (!q->live || !q->budget)
		return NULL;
	if (!q->n_free) {
		/* Only a driver that reuses descriptors in flight gets here, or one that reset the
		 * device while the host still works for it: then it waits. */
		if (vq_inflight(q) >= q->a.size)
			(void)vq_bad(q, "more elements in flight than the ring has descriptors");
		return NULL;
	}
	e = &q->elem[q->free_slot[q->n_free - 1]];
	elem_clear(e);
	r = q->a.packed ? vq_packed_next(q, e) : vq_split_next(q, e);
	if (r <= 0) {
		q->saw_empty = r == 0;
		if (r == -ENOMEM)
			q->budget = 0; /* not the guest's fault: try again in another turn */
		return NULL;
	}
	q->n_free--;
	q->budget--;
	e->in_use = true;
	e->gen = q->gen;
	if (q->a.packed)
		q->order[(q->order_head + q->order_n++) % q->size_max] = e->slot;
	else
		q->r->inflight[e->slot] = (uint16_t)(e->id + 1);
	return e;
}

struct vq_elem *vq_pop_inflight(struct virtq *q, unsigned slot)
{
	if (!q->live || q->a.packed || slot >= q->size_max || !q->r->inflight[slot])
		return NULL;
	struct vq_elem *e = &q->elem[slot];
	if (e->in_use)
		return NULL;
	elem_clear(e);
	e->id = (uint16_t)(q->r->inflight[slot] - 1);
	if (vq_split_chain(q, e) < 0) {
		/* Malformed (the queue is broken) or no memory: the slot is free again either way.
		 */
		q->r->inflight[slot] = 0;
		elem_release(e);
		(void)vq_bad(q, "no memory for an element that was in flight");
		return NULL;
	}
	e->in_use = true;
	e->gen = q->gen;
	return e;
}

void vq_unpop(struct vq_elem *e)
{
	struct virtq *q = e->q;

	if (e->gen == q->gen && q->live) {
		if (q->a.packed) {
			q->order_n--;
			vq_packed_unpop(q, e);
		} else {
			q->r->inflight[e->slot] = 0;
			q->r->avail--;
		}
		q->budget++;
	}
	elem_release(e);
}

/* The device wrote the first @n bytes of the writable part: dirty log, code pages. */
static void mark_written(const struct vq_elem *e, uint64_t n)
{
	for (unsigned i = 0; i < e->n_wr && n; i++) {
		const struct vq_seg *s = &e->seg[e->n_rd + i];
		uint64_t part = MIN(n, s->len);
		mem_dma_done(e->q->mem, s->gpa, part);
		n -= part;
	}
}

/* Give back the elements at the front of the order that are done; packed. */
static void packed_flush(struct virtq *q)
{
	struct vq_packed_flags first = {0};

	while (q->order_n && q->elem[q->order[q->order_head]].done) {
		struct vq_elem *e = &q->elem[q->order[q->order_head]];
		q->order_head = (q->order_head + 1) % q->size_max;
		q->order_n--;
		if (q->live)
			vq_packed_used(q, e, &first);
		elem_release(e);
	}
	if (q->live && first.valid)
		vq_packed_publish(q, &first);
}

void vq_push_batch(struct vq_elem *const *e, const uint64_t *written, unsigned n)
{
	struct virtq *q = n ? e[0]->q : NULL;
	bool split = false, packed = false;

	for (unsigned i = 0; i < n; i++) {
		uint64_t len = MIN(written[i], e[i]->wr_len);
		mark_written(e[i], len);
		e[i]->written = (uint32_t)MIN(len, UINT32_MAX);
		if (e[i]->gen == q->gen && !q->a.packed)
			q->r->inflight[e[i]->slot] = 0;
		if (e[i]->gen != q->gen || !q->live) {
			elem_release(e[i]);
		} else if (q->a.packed) {
			e[i]->done = true;
			packed = true;
		} else {
			vq_split_used(q, e[i]);
			elem_release(e[i]);
			split = true;
		}
	}
	if (split && q->live)
		vq_split_publish(q);
	if (packed)
		packed_flush(q);
}

void vq_push(struct vq_elem *e, uint64_t written)
{
	vq_push_batch(&e, &written, 1);
}

bool vq_should_notify(struct virtq *q)
{
	unsigned pushed = q->r->pushed;

	if (!q->live || !pushed)
		return false;
	q->r->pushed = 0;
	/* The used entry must be visible before the driver's wish is read (virtio 1.2, 2.7.7.2). */
	atomic_thread_fence(memory_order_seq_cst);
	return q->a.packed ? vq_packed_wants_irq(q, pushed) : vq_split_wants_irq(q, pushed);
}

bool vq_empty(struct virtq *q)
{
	if (!q->live)
		return true;
	return !(q->a.packed ? vq_packed_has_next(q) : vq_split_has_next(q));
}

void vq_kick_off(struct virtq *q)
{
	if (!q->live)
		return;
	if (q->a.packed)
		vq_packed_kick(q, false);
	else
		vq_split_kick(q, false);
}

bool vq_kick_on(struct virtq *q)
{
	if (!q->live)
		return false;
	if (q->a.packed)
		vq_packed_kick(q, true);
	else
		vq_split_kick(q, true);
	/* The wish must be visible before the ring is looked at for the last time. */
	atomic_thread_fence(memory_order_seq_cst);
	return !vq_empty(q);
}

unsigned vq_inflight(const struct virtq *q)
{
	unsigned n = 0;

	for (unsigned i = 0; i < q->size_max; i++)
		n += q->elem[i].in_use && q->elem[i].gen == q->gen;
	return n;
}

/* ---- cursors ---- */

struct vq_cursor vq_reader(const struct vq_elem *e)
{
	return (struct vq_cursor){.iov = e->iov, .n = e->n_rd, .left = e->rd_len};
}

struct vq_cursor vq_writer(const struct vq_elem *e)
{
	return (struct vq_cursor){
		.iov = e->n_wr ? e->iov + e->n_rd : NULL, .n = e->n_wr, .left = e->wr_len};
}

static size_t cursor_copy(struct vq_cursor *c, void *buf, size_t len, bool write)
{
	size_t done = 0;

	len = MIN(len, c->left);
	while (done < len && c->n) {
		size_t n = MIN(len - done, c->iov->iov_len - c->off);
		uint8_t *host = (uint8_t *)c->iov->iov_base + c->off;
		if (write)
			guest_copy_bulk(host, (uint8_t *)buf + done, n);
		else
			guest_copy_bulk((uint8_t *)buf + done, host, n);
		done += n;
		c->off += n;
		if (c->off == c->iov->iov_len) {
			c->iov++;
			c->n--;
			c->off = 0;
		}
	}
	c->left -= done;
	return done;
}

uint64_t vq_skip(struct vq_cursor *c, uint64_t len)
{
	uint64_t left = len = MIN(len, c->left);

	while (left && c->n) {
		size_t n = (size_t)MIN(left, (uint64_t)(c->iov->iov_len - c->off));

		left -= n;
		c->left -= n;
		c->off += n;
		if (c->off == c->iov->iov_len) {
			c->iov++;
			c->n--;
			c->off = 0;
		}
	}
	return len - left;
}

size_t vq_read(struct vq_cursor *c, void *to, size_t len)
{
	return cursor_copy(c, to, len, false);
}

int vq_read_exact(struct vq_cursor *c, void *to, size_t len)
{
	if (c->left < len)
		return -ENODATA;
	cursor_copy(c, to, len, false);
	return 0;
}

size_t vq_write(struct vq_cursor *c, const void *from, size_t len)
{
	return cursor_copy(c, (void *)(uintptr_t)from, len, true);
}

int vq_write_exact(struct vq_cursor *c, const void *from, size_t len)
{
	if (c->left < len)
		return -ENOSPC;
	cursor_copy(c, (void *)(uintptr_t)from, len, true);
	return 0;
}

int vq_take_iov(struct vq_elem *e, const struct vq_cursor *c, uint64_t len,
		const struct iovec **ret_iov)
{
	struct iovec *v;
	int n = 0;

	if (c->left < len)
		return -ENODATA;
	*ret_iov = NULL;
	if (!len)
		return 0;
	v = e->iov + (c->iov - e->iov);
	*ret_iov = v;
	v->iov_base = (uint8_t *)v->iov_base + c->off;
	v->iov_len -= c->off;
	for (; len; v++, n++) {
		v->iov_len = MIN(v->iov_len, len);
		len -= v->iov_len;
	}
	return n;
}

uint8_t *vq_last_byte(const struct vq_elem *e)
{
	if (!e->n_wr)
		return NULL;
	const struct iovec *v = &e->iov[e->n_rd + e->n_wr - 1];
	return (uint8_t *)v->iov_base + v->iov_len - 1;
}
