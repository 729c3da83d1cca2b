/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part common to all virtio devices: status machine, feature negotiation, queue life cycle,
 * bounded queue processing. Virtio 1.2, 2.1 (status), 2.2 (features), 2.3 (notifications), 2.4
 * (reset), 2.6 (virtqueue reset), 3.1 (initialization).
 *
 * Where the driver breaks a MUST, the write is ignored and counted with guest_error(), except for
 * ring contents, which need a reset.
 */
#include "device/virtio/virtio.h"

#include <errno.h>

#include "base/bits.h"

const struct state_field virtio_regs_fields[] = {
	STATE_VAL(struct virtio_regs, driver_features),
	STATE_VAL(struct virtio_regs, device_select),
	STATE_VAL(struct virtio_regs, driver_select),
	STATE_VAL(struct virtio_regs, queue_select),
	STATE_VAL(struct virtio_regs, status),
	STATE_VAL(struct virtio_regs, generation),
	STATE_PAD(struct virtio_regs, pad_),
	STATE_END,
};

#define STATUS_KNOWN                                                                               \
	(VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_DRIVER_OK |              \
	 VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_NEEDS_RESET | VIRTIO_STATUS_FAILED)

/* Guest time until a queue whose budget ran out is looked at again: lets other devices in. */
#define AGAIN_NS (20 * NS_PER_US)

/* ---- for devices ---- */

static void ring_broken(void *ctx, struct virtq *q, const char *why)
{
	struct virtio_dev *vd = ctx;

	guest_error(&vd->dev, "queue %u: %s; the device needs a reset", q->index, why);
	virtio_broken(vd, NULL);
}

static void again(void *ctx)
{
	struct virtio_dev *vd = ctx;
	uint32_t todo = vd->pending;

	vd->pending = 0;
	for (unsigned i = 0; i < vd->n_queues; i++)
		if (todo & BIT(i))
			virtio_run(vd, i);
}

int virtio_init(struct virtio_dev *vd, const struct virtio_class *vc, struct virtio_regs *r,
		struct virtq_regs *qregs, unsigned n_queues, unsigned size_max, struct error *err)
{
	check(n_queues <= VIRTIO_QUEUES_MAX && vc->config_size <= VIRTIO_CONFIG_MAX);
	vd->vc = vc;
	vd->r = r;
	vtimer_init(&vd->again, vd->dev.sv->clock, again, vd);
	vd->initialized = true;
	for (unsigned i = 0; i < n_queues; i++) {
		int e = vq_init(&vd->q[i], i, size_max, vd->dev.sv->mem, &qregs[i]);
		if (e < 0)
			return error_set(err, e, "no memory for queue %u of '%s'", i, vd->dev.id);
		vd->q[i].broken = ring_broken;
		vd->q[i].ctx = vd;
		vd->n_queues = i + 1;
	}
	return 0;
}

void virtio_done(struct virtio_dev *vd)
{
	if (!vd->initialized)
		return;
	vtimer_cancel(&vd->again);
	for (unsigned i = 0; i < vd->n_queues; i++)
		vq_done(&vd->q[i]);
	vd->n_queues = 0;
	vd->initialized = false;
}

bool virtio_active(const struct virtio_dev *vd)
{
	return (vd->r->status & (VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_NEEDS_RESET)) ==
		       VIRTIO_STATUS_DRIVER_OK &&
	       !vd->stopped && !vd->restoring &&
	       (!vd->tr.dma_allowed || vd->tr.dma_allowed(vd->tr.ctx));
}

bool virtio_queue_ready(const struct virtio_dev *vd, unsigned n)
{
	return n < vd->n_queues && vd->q[n].live && virtio_active(vd);
}

void virtio_run(struct virtio_dev *vd, unsigned n)
{
	if (!virtio_queue_ready(vd, n))
		return;
	struct virtq *q = &vd->q[n];

	q->budget = q->a.size;
	vq_kick_off(q);
	for (;;) {
		q->saw_empty = false;
		vd->vc->queue_run(vd, n);
		/* The handler may have broken or reset anything. */
		if (!virtio_queue_ready(vd, n))
			return;
		if (!q->budget)
			break;
		if (!vq_kick_on(q) || !q->saw_empty)
			break; /* empty, or the device has enough for now */
		vq_kick_off(q);
	}
	virtio_signal(vd, n);
	if (!q->budget && q->live) {
		vd->pending |= (uint32_t)BIT(n);
		if (!vtimer_armed(&vd->again))
			vtimer_arm(&vd->again, clock_now(vd->dev.sv->clock) + AGAIN_NS);
	}
}

struct vq_elem *virtio_pop(struct virtio_dev *vd, unsigned n)
{
	struct vq_elem *e;

	if (!virtio_queue_ready(vd, n))
		return NULL;
	vd->q[n].budget = 1;
	e = vq_pop(&vd->q[n]);
	vd->q[n].budget = 0;
	return e;
}

void virtio_signal(struct virtio_dev *vd, unsigned n)
{
	if (vq_should_notify(&vd->q[n]) && vd->tr.queue_irq)
		vd->tr.queue_irq(vd->tr.ctx, n);
}

void virtio_config_changed(struct virtio_dev *vd)
{
	vd->r->generation++;
	/* 2.1.2 and 2.3: no notification before DRIVER_OK. */
	if ((vd->r->status & VIRTIO_STATUS_DRIVER_OK) && vd->tr.config_irq)
		vd->tr.config_irq(vd->tr.ctx);
}

void virtio_broken(struct virtio_dev *vd, const char *why)
{
	if (vd->r->status & VIRTIO_STATUS_NEEDS_RESET)
		return;
	if (why)
		guest_error(&vd->dev, "%s; the device needs a reset", why);
	vd->r->status |= VIRTIO_STATUS_NEEDS_RESET;
	virtio_config_changed(vd);
}

/* ---- quiesce, load ---- */

void virtio_quiesce(struct virtio_dev *vd)
{
	vd->stopped = true;
	vtimer_cancel(&vd->again);
}

static bool use_packed(const struct virtio_dev *vd)
{
	return virtio_has(vd, VIRTIO_F_RING_PACKED);
}

static int enable_one(struct virtio_dev *vd, struct virtq *q)
{
	return vq_enable(q, use_packed(vd), virtio_has(vd, VIRTIO_F_EVENT_IDX),
			 virtio_has(vd, VIRTIO_F_INDIRECT_DESC));
}

int virtio_loaded(struct virtio_dev *vd, struct error *err)
{
	/* Before FEATURES_OK a driver may have written anything (2.2.2). */
	if ((vd->r->status & VIRTIO_STATUS_FEATURES_OK) &&
	    (vd->r->driver_features & ~virtio_offered(vd)))
		return error_set(err, -EINVAL,
				 "'%s': the saved driver uses features %#llx, offered here are "
				 "%#llx; use the same device options as when it was saved",
				 vd->dev.id, (unsigned long long)vd->r->driver_features,
				 (unsigned long long)virtio_offered(vd));
	vd->pending = 0;
	vtimer_cancel(&vd->again);
	for (unsigned i = 0; i < vd->n_queues; i++) {
		struct virtq *q = &vd->q[i];
		q->live = false;
		if (!q->r->ready)
			continue;
		if (!(vd->r->status & VIRTIO_STATUS_FEATURES_OK) || enable_one(vd, q) < 0)
			return error_set(err, -EINVAL,
					 "'%s': queue %u has an impossible state (size %u)",
					 vd->dev.id, i, q->r->size);
		vq_rewind(q);
		if (vd->r->status & VIRTIO_STATUS_NEEDS_RESET)
			q->live = false;
	}
	vd->restoring = true;
	return 0;
}

void virtio_resume(struct virtio_dev *vd)
{
	bool restoring = vd->restoring;

	vd->stopped = false;
	vd->restoring = false;
	for (unsigned i = 0; restoring && i < vd->n_queues; i++) {
		struct virtq *q = &vd->q[i];
		for (unsigned slot = 0; slot < q->size_max; slot++) {
			struct vq_elem *e = vq_pop_inflight(q, slot);
			if (!e)
				continue;
			if (vd->vc->restore)
				vd->vc->restore(vd, i, e);
			else
				vq_push(e, 0);
		}
	}
	for (unsigned i = 0; i < vd->n_queues; i++) {
		virtio_run(vd, i);
		if (vd->q[i].live)
			virtio_signal(vd, i);
	}
}

static struct virtio_dev *to_virtio(struct dev *d)
{
	return CONTAINER_OF(d, struct virtio_dev, dev);
}

void virtio_dev_unrealize(struct dev *d)
{
	virtio_done(to_virtio(d));
}

void virtio_dev_reset(struct dev *d, enum dev_reset kind)
{
	(void)kind;
	virtio_reset(to_virtio(d));
}

int virtio_dev_quiesce(struct dev *d)
{
	virtio_quiesce(to_virtio(d));
	return 0;
}

void virtio_dev_resume(struct dev *d)
{
	virtio_resume(to_virtio(d));
}

int virtio_dev_loaded(struct dev *d, struct error *err)
{
	return virtio_loaded(to_virtio(d), err);
}

/* ---- for transports ---- */

int virtio_attach(struct virtio_dev *vd, const struct virtio_transport *tr, struct error *err)
{
	static const struct virtio_transport none;

	if (tr && vd->tr.ctx)
		return error_set(err, -EBUSY, "'%s' already has a transport", vd->dev.id);
	vd->tr = tr ? *tr : none;
	return 0;
}

void virtio_reset(struct virtio_dev *vd)
{
	if (!vd->initialized)
		return;
	/* The class finishes or gives up what is in flight before the rings go. */
	if (vd->vc->reset)
		vd->vc->reset(vd, -1);
	vtimer_cancel(&vd->again);
	vd->pending = 0;
	vd->restoring = false;
	for (unsigned i = 0; i < vd->n_queues; i++)
		vq_reset(&vd->q[i]);
	*vd->r = (struct virtio_regs){.generation = (uint8_t)(vd->r->generation + 1)};
	if (vd->tr.reset)
		vd->tr.reset(vd->tr.ctx);
}

uint64_t virtio_offered(struct virtio_dev *vd)
{
	return BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_INDIRECT_DESC) | BIT(VIRTIO_F_EVENT_IDX) |
	       BIT(VIRTIO_F_RING_RESET) | (vd->packed ? BIT(VIRTIO_F_RING_PACKED) : 0) |
	       (vd->vc->features ? vd->vc->features(vd) : 0);
}

uint32_t virtio_features_read(struct virtio_dev *vd, uint32_t select, bool driver)
{
	uint64_t f = driver ? vd->r->driver_features : virtio_offered(vd);

	return select < 2 ? (uint32_t)(f >> (32 * select)) : 0;
}

void virtio_features_write(struct virtio_dev *vd, uint32_t select, uint32_t val)
{
	uint64_t *f = &vd->r->driver_features;

	if (vd->r->status & VIRTIO_STATUS_FEATURES_OK) {
		guest_error(&vd->dev, "features written after FEATURES_OK");
		return;
	}
	if (select == 0)
		*f = (*f & ~0xffffffffull) | val;
	else if (select == 1)
		*f = (*f & 0xffffffffull) | (uint64_t)val << 32;
	else if (val)
		guest_error(&vd->dev, "feature bits %u.. accepted that were never offered",
			    32 * (select & 7));
}

void virtio_status_write(struct virtio_dev *vd, uint8_t val)
{
	uint8_t old = vd->r->status, set;

	if (val == 0) {
		virtio_reset(vd);
		return;
	}
	if ((old & ~val) & ~VIRTIO_STATUS_NEEDS_RESET)
		guest_error(&vd->dev, "status bits %#x cleared without a reset", old & ~val);
	set = (uint8_t)(val & ~old & STATUS_KNOWN & ~VIRTIO_STATUS_NEEDS_RESET);
	if (set & VIRTIO_STATUS_FEATURES_OK) {
		uint64_t f = vd->r->driver_features;
		/* 2.2.2: not accepted unless it is a subset of what is offered; 6.2: version 1. */
		if ((f & ~virtio_offered(vd)) || !(f & BIT(VIRTIO_F_VERSION_1))) {
			guest_error(&vd->dev, "features %#llx not acceptable",
				    (unsigned long long)f);
			set &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
		}
	}
	if ((set & VIRTIO_STATUS_DRIVER_OK) && !((old | set) & VIRTIO_STATUS_FEATURES_OK)) {
		guest_error(&vd->dev, "DRIVER_OK without FEATURES_OK");
		set &= (uint8_t)~VIRTIO_STATUS_DRIVER_OK;
	}
	vd->r->status = old | set;
	if (set & VIRTIO_STATUS_DRIVER_OK) {
		if (vd->vc->driver_ok)
			vd->vc->driver_ok(vd);
		for (unsigned i = 0; i < vd->n_queues; i++)
			virtio_run(vd, i);
	}
}

struct virtq *virtio_queue_sel(struct virtio_dev *vd)
{
	return vd->r->queue_select < vd->n_queues ? &vd->q[vd->r->queue_select] : NULL;
}

static struct virtq *configurable(struct virtio_dev *vd)
{
	struct virtq *q = virtio_queue_sel(vd);

	if (q && q->r->ready) {
		guest_error(&vd->dev, "queue %u written while enabled", q->index);
		return NULL;
	}
	return q;
}

void virtio_queue_set_size(struct virtio_dev *vd, uint32_t size)
{
	struct virtq *q = configurable(vd);

	if (!q)
		return;
	if (size > q->size_max)
		guest_error(&vd->dev, "queue %u: size %u, at most %u", q->index, size, q->size_max);
	else
		q->r->size = (uint16_t)size;
}

void virtio_queue_set_addr(struct virtio_dev *vd, uint64_t *area, unsigned half, uint32_t val)
{
	if (!configurable(vd))
		return;
	if (half)
		*area = (*area & 0xffffffffull) | (uint64_t)val << 32;
	else
		*area = (*area & ~0xffffffffull) | val;
}

void virtio_queue_enable(struct virtio_dev *vd)
{
	struct virtq *q = configurable(vd);

	if (!q)
		return;
	if (!(vd->r->status & VIRTIO_STATUS_FEATURES_OK)) {
		guest_error(&vd->dev, "queue %u enabled before FEATURES_OK", q->index);
		return;
	}
	if (enable_one(vd, q) < 0) {
		guest_error(&vd->dev, "queue %u: size %u is not possible", q->index, q->r->size);
		return;
	}
	q->r->ready = true;
	/* 2.6.1: a queue may be enabled again while the device runs; its kick may be earlier. */
	virtio_run(vd, q->index);
}

void virtio_queue_reset(struct virtio_dev *vd)
{
	struct virtq *q = virtio_queue_sel(vd);

	if (!q)
		return;
	if (vd->vc->reset)
		vd->vc->reset(vd, (int)q->index);
	vd->pending &= ~(uint32_t)BIT(q->index);
	vq_reset(q);
}

void virtio_notify(struct virtio_dev *vd, uint32_t queue)
{
	if (queue >= vd->n_queues)
		guest_error(&vd->dev, "notification for queue %u of %u", queue, vd->n_queues);
	else
		virtio_run(vd, queue);
}

void virtio_dma_enabled(struct virtio_dev *vd)
{
	for (unsigned i = 0; i < vd->n_queues; i++)
		virtio_run(vd, i);
}

uint32_t virtio_config_read(struct virtio_dev *vd, unsigned off, unsigned size)
{
	uint8_t config[VIRTIO_CONFIG_MAX] = {0};

	/* Past the end of the structure: zeros (4.1.4.6 allows the region to be longer). */
	if (off >= VIRTIO_CONFIG_MAX || size > VIRTIO_CONFIG_MAX - off)
		return 0;
	if (vd->vc->config_get)
		vd->vc->config_get(vd, config);
	return (uint32_t)ld_le(config + off, size);
}

void virtio_config_write(struct virtio_dev *vd, unsigned off, unsigned size, uint32_t val)
{
	if (off >= vd->vc->config_size || size > vd->vc->config_size - off || !vd->vc->config_set)
		guest_error(&vd->dev, "write of %u bytes at %#x of the configuration", size, off);
	else
		vd->vc->config_set(vd, off, size, val);
}
