/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio memory balloon. Virtio 1.2, 5.5: inflate, deflate, statistics, free page reporting.
 *
 * Pages the guest gives up go back to the host at once and read as zero from then on; deflating
 * needs no work, as pages come back when they are touched. Work is bounded: PFNS_MAX pages of one
 * element and PFNS_TURN pages in one turn.
 *
 * Queue numbers depend on what is offered (5.5.2), and drivers disagree on whether queues of
 * features that were not offered are counted. All five queues are offered, so there is only one
 * reading; the free page hint queue is there but no hint is ever asked for (the command id stays at
 * STOP).
 */
#include "device/virtio/virtio_balloon.h"

#include <errno.h>

#include "base/bits.h"

/* Feature bits, 5.5.3 */
enum {
	BALLOON_F_STATS_VQ = 1,
	BALLOON_F_DEFLATE_ON_OOM = 2,
	BALLOON_F_FREE_PAGE_HINT = 3,
	BALLOON_F_PAGE_POISON = 4,
	BALLOON_F_REPORTING = 5,
};
/* struct virtio_balloon_config, 5.5.4 */
enum {
	CONFIG_NUM_PAGES = 0,
	CONFIG_ACTUAL = 4,
	CONFIG_HINT_CMD = 8,
	CONFIG_POISON = 12,
	CONFIG_SIZE = 16,
};
enum { INFLATEQ, DEFLATEQ, STATSQ, HINTQ, REPORTINGQ, QUEUES };
enum { QUEUE_SIZE = 128, PFNS_MAX = 4096, PFNS_TURN = 16384 };
enum { STAT_SIZE = 10 }; /* le16 tag, le64 val */
#define PFN_SHIFT 12

static const struct state_field virtio_balloon_fields[] = {
	STATE_STRUCT(struct virtio_balloon_regs, v, virtio_regs_fields),
	STATE_STRUCTS(struct virtio_balloon_regs, q, virtq_regs_fields),
	STATE_VAL(struct virtio_balloon_regs, target),
	STATE_VAL(struct virtio_balloon_regs, actual),
	STATE_VAL(struct virtio_balloon_regs, poison),
	STATE_VAL(struct virtio_balloon_regs, stats_valid, .max = (1u << VIRTIO_BALLOON_STATS) - 1),
	STATE_ARRAY(struct virtio_balloon_regs, stats),
	STATE_VAL(struct virtio_balloon_regs, stats_at),
	STATE_VAL(struct virtio_balloon_regs, stats_wanted),
	STATE_PAD(struct virtio_balloon_regs, pad_),
	STATE_END,
};
static const struct state_desc virtio_balloon_state =
	STATE_DESC("virtio-balloon", 1, struct virtio_balloon_regs, virtio_balloon_fields);

static struct virtio_balloon *to_balloon(struct virtio_dev *vd)
{
	return CONTAINER_OF(vd, struct virtio_balloon, vd);
}

/* ---- giving pages back ---- */

/* Give [@gpa, @gpa + @len) back to the host, whole pages of RAM only. */
static void discard(struct virtio_balloon *b, gpa_t gpa, uint64_t len)
{
	struct mem_space *mem = b->vd.dev.sv->mem;

	while (len) {
		struct mem_ref ref;
		mem_lookup(mem, gpa, &ref);
		if (ref.kind != MEM_RAM) {
			guest_error(&b->vd.dev, "page %#llx is not RAM", (unsigned long long)gpa);
			return;
		}
		uint64_t n = MIN(len, ref.len - (gpa - ref.start));
		if (mem_discard(ref.block, ref.block_off, n) == 0) {
			b->discarded += n;
			/* The contents changed: dirty log, cached code. */
			mem_block_written(mem, ref.block, ref.block_off, n);
		}
		gpa += n;
		len -= n;
	}
}

/* 5.5.6.1: an array of le32 page numbers. Neighbours are given back in one go. */
static unsigned inflate(struct virtio_balloon *b, struct vq_elem *e)
{
	struct vq_cursor c = vq_reader(e);
	gpa_t start = 0;
	uint64_t len = 0;
	uint8_t raw[4];
	unsigned n = 0;

	for (; n < PFNS_MAX && vq_read_exact(&c, raw, sizeof(raw)) == 0; n++) {
		gpa_t gpa = (gpa_t)ld_le32(raw) << PFN_SHIFT;
		if (len && gpa == start + len) {
			len += MEM_PAGE_SIZE;
			continue;
		}
		discard(b, start, len);
		start = gpa;
		len = MEM_PAGE_SIZE;
	}
	discard(b, start, len);
	if (c.left)
		guest_error(&b->vd.dev, "more than %u pages in one request", PFNS_MAX);
	return n;
}

/* 5.5.6.7: each writable segment is a run of free pages; contents needn't survive. */
static unsigned report(struct virtio_balloon *b, const struct vq_elem *e)
{
	/* 5.5.6.7.2: poisoned pages must keep their poison, and we'd give zeros. */
	if (virtio_has(&b->vd, BALLOON_F_PAGE_POISON) && b->s.poison)
		return 1;
	for (unsigned i = 0; i < e->n_wr; i++) {
		const struct vq_seg *s = &e->seg[e->n_rd + i];
		gpa_t first = align_up(s->gpa, MEM_PAGE_SIZE);
		gpa_t last = align_down(s->gpa + s->len, MEM_PAGE_SIZE);
		if (first < last)
			discard(b, first, last - first);
	}
	return e->n_wr + 1;
}

/* ---- statistics, 5.5.6.3 ---- */

static void read_stats(struct virtio_balloon *b, struct vq_elem *e)
{
	struct vq_cursor c = vq_reader(e);
	uint8_t raw[STAT_SIZE];
	bool any = false;

	/* As many as there are tags, and some that we don't know. */
	for (unsigned i = 0; i < 64 && vq_read_exact(&c, raw, sizeof(raw)) == 0; i++) {
		unsigned tag = ld_le16(raw);
		if (tag >= VIRTIO_BALLOON_STATS)
			continue;
		if (!any)
			b->s.stats_valid = 0;
		any = true;
		b->s.stats[tag] = ld_le64(raw + 2);
		b->s.stats_valid |= 1u << tag;
	}
	if (!any)
		return;
	b->s.stats_at = clock_now(b->vd.dev.sv->clock);
	if (b->stats_ready)
		b->stats_ready(b->stats_ctx, b);
}

static void return_stats(struct virtio_balloon *b)
{
	b->s.stats_wanted = false;
	vq_push(b->stats_elem, 0);
	b->stats_elem = NULL;
	virtio_signal(&b->vd, STATSQ);
}

static void stats_run(struct virtio_balloon *b)
{
	struct vq_elem *e;

	while ((e = vq_pop(&b->vd.q[STATSQ]))) {
		if (b->stats_elem) {
			guest_error(&b->vd.dev, "a second statistics buffer");
			vq_push(e, 0);
			continue;
		}
		/* Held until the next report is wanted (5.5.6.3.2). */
		b->stats_elem = e;
		read_stats(b, e);
		if (b->s.stats_wanted)
			return_stats(b);
	}
}

void virtio_balloon_request_stats(struct virtio_balloon *b)
{
	b->s.stats_wanted = true;
	if (b->stats_elem && virtio_queue_ready(&b->vd, STATSQ))
		return_stats(b);
}

/* ---- queues ---- */

static void queue_run(struct virtio_dev *vd, unsigned q)
{
	struct virtio_balloon *b = to_balloon(vd);
	struct vq_elem *e;
	unsigned turn = 0;

	if (q == STATSQ) {
		stats_run(b);
		return;
	}
	while ((e = vq_pop(&vd->q[q]))) {
		if (q == INFLATEQ)
			turn += inflate(b, e);
		else if (q == REPORTINGQ)
			turn += report(b, e);
		vq_push(e, 0);
		if (turn >= PFNS_TURN)
			vd->q[q].budget = 0; /* go on in another turn */
	}
}

static void restore(struct virtio_dev *vd, unsigned q, struct vq_elem *e)
{
	struct virtio_balloon *b = to_balloon(vd);

	if (q == STATSQ && !b->stats_elem)
		b->stats_elem = e;
	else
		vq_push(e, 0);
}

static void reset(struct virtio_dev *vd, int q)
{
	struct virtio_balloon *b = to_balloon(vd);

	if (b->stats_elem && (q < 0 || q == STATSQ)) {
		vq_push(b->stats_elem, 0);
		b->stats_elem = NULL;
	}
	if (q >= 0)
		return;
	/* The driver starts with an empty balloon; what the host wants stays. */
	b->s.actual = 0;
	b->s.poison = 0;
	b->s.stats_valid = 0;
	b->s.stats_wanted = false;
	b->s.stats_at = 0;
	memset(b->s.stats, 0, sizeof(b->s.stats));
}

/* ---- configuration ---- */

static uint64_t features(struct virtio_dev *vd)
{
	(void)vd;
	return BIT(BALLOON_F_STATS_VQ) | BIT(BALLOON_F_DEFLATE_ON_OOM) |
	       BIT(BALLOON_F_FREE_PAGE_HINT) | BIT(BALLOON_F_PAGE_POISON) |
	       BIT(BALLOON_F_REPORTING);
}

static void config_get(struct virtio_dev *vd, uint8_t *config)
{
	const struct virtio_balloon *b = to_balloon(vd);

	st_le32(config + CONFIG_NUM_PAGES, b->s.target);
	st_le32(config + CONFIG_ACTUAL, b->s.actual);
	st_le32(config + CONFIG_HINT_CMD, 0); /* VIRTIO_BALLOON_CMD_ID_STOP */
	st_le32(config + CONFIG_POISON, b->s.poison);
}

static void config_set(struct virtio_dev *vd, unsigned off, unsigned size, uint32_t val)
{
	struct virtio_balloon *b = to_balloon(vd);

	if (off == CONFIG_ACTUAL && size == 4)
		b->s.actual = val;
	else if (off == CONFIG_POISON && size == 4)
		b->s.poison = val;
	else
		guest_error(&vd->dev, "write of %u bytes at %#x of the configuration", size, off);
}

void virtio_balloon_set_target(struct virtio_balloon *b, uint64_t bytes)
{
	uint32_t pages = (uint32_t)MIN(bytes >> PFN_SHIFT, (uint64_t)UINT32_MAX);

	if (pages == b->s.target)
		return;
	b->s.target = pages;
	virtio_config_changed(&b->vd);
}

uint64_t virtio_balloon_actual(const struct virtio_balloon *b)
{
	return (uint64_t)b->s.actual << PFN_SHIFT;
}

static const struct virtio_class virtio_balloon_vc = {
	.device_id = VIRTIO_ID_BALLOON,
	.pci_class = 0x00ff,
	.config_size = CONFIG_SIZE,
	.features = features,
	.config_get = config_get,
	.config_set = config_set,
	.queue_run = queue_run,
	.reset = reset,
	.restore = restore,
};

/* ---- lifecycle ---- */

static int virtio_balloon_realize(struct dev *d, struct error *err)
{
	struct virtio_balloon *b = CONTAINER_OF(d, struct virtio_balloon, vd.dev);

	return virtio_init(&b->vd, &virtio_balloon_vc, &b->s.v, b->s.q, QUEUES, QUEUE_SIZE, err);
}

const struct dev_class virtio_balloon_class = {
	.name = "virtio-balloon",
	.summary = "virtio memory balloon with free page reporting",
	.spec = "OASIS Virtual I/O Device (VIRTIO) Version 1.2, 5.5",
	.size = sizeof(struct virtio_balloon),
	.regs_offset = offsetof(struct virtio_balloon, s),
	.state = &virtio_balloon_state,
	.realize = virtio_balloon_realize,
	.unrealize = virtio_dev_unrealize,
	.reset = virtio_dev_reset,
	.quiesce = virtio_dev_quiesce,
	.resume = virtio_dev_resume,
	.loaded = virtio_dev_loaded,
};
