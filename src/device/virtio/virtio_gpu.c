/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio GPU, 2D commands. Virtio 1.2, 5.7; one scanout, EDID.
 *
 * A resource is a picture on the host. The driver names guest memory behind it (a list of pieces),
 * has rectangles copied from there (TRANSFER_TO_HOST_2D), shows it on the scanout and says what to
 * bring to the eye (RESOURCE_FLUSH). Resources live in one block of memory of fixed size, so their
 * contents are saved as RAM is; the lists are state.
 *
 * A viewer that would like another size sets it here: the driver hears of it by a configuration
 * change, asks GET_DISPLAY_INFO, and sets the mode. The pointer's shape goes to the viewer, which
 * draws it where its user points.
 *
 * Bounds: 64 resources of 64 MiB together, 16384 pieces of backing, one command copies at most one
 * resource; each command is copied in before it is looked at.
 *
 * UNMODELLED: 3D, blob resources, UUIDs, more than one scanout, MOVE_CURSOR (the viewer knows where
 * its pointer is).
 */
#include "device/virtio/virtio_gpu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "mem/guest.h"

enum { CONTROLQ, CURSORQ, QUEUE_SIZE = 64, F_EDID = 1, EVENT_DISPLAY = 1, SCANOUTS_MAX = 16 };
enum { SIDE_MAX = 8192, DEFAULT_W = 1024, DEFAULT_H = 768, TURN = 32 };

/* Commands and answers (5.7.6.7). */
enum {
	CMD_GET_DISPLAY_INFO = 0x0100,
	CMD_RESOURCE_CREATE_2D,
	CMD_RESOURCE_UNREF,
	CMD_SET_SCANOUT,
	CMD_RESOURCE_FLUSH,
	CMD_TRANSFER_TO_HOST_2D,
	CMD_RESOURCE_ATTACH_BACKING,
	CMD_RESOURCE_DETACH_BACKING,
	CMD_GET_EDID = 0x010a,
	CMD_UPDATE_CURSOR = 0x0300,
	CMD_MOVE_CURSOR,
	RESP_OK_NODATA = 0x1100,
	RESP_OK_DISPLAY_INFO,
	RESP_OK_EDID = 0x1104,
	RESP_ERR_UNSPEC = 0x1200,
	RESP_ERR_OUT_OF_MEMORY,
	RESP_ERR_INVALID_SCANOUT_ID,
	RESP_ERR_INVALID_RESOURCE_ID,
	RESP_ERR_INVALID_CONTEXT_ID,
	RESP_ERR_INVALID_PARAMETER,
	FLAG_FENCE = 1,
	HDR_SIZE = 24,
	CMD_MAX = 72,
	RESP_MAX = HDR_SIZE + 8 + 1024,
};

/* Formats (5.7.6.8): bytes of red, green, blue and alpha (4: none) in memory. */
static const struct {
	uint8_t format, r, g, b, a;
} formats[] = {
	{1, 2, 1, 0, 3},   /* B8G8R8A8 */
	{2, 2, 1, 0, 4},   /* B8G8R8X8 */
	{3, 1, 2, 3, 0},   /* A8R8G8B8 */
	{4, 1, 2, 3, 4},   /* X8R8G8B8 */
	{67, 0, 1, 2, 3},  /* R8G8B8A8 */
	{68, 3, 2, 1, 4},  /* X8B8G8R8 */
	{121, 3, 2, 1, 0}, /* A8B8G8R8 */
	{134, 0, 1, 2, 4}, /* R8G8B8X8 */
};

static struct virtio_gpu *to_gpu(struct dev *d)
{
	return CONTAINER_OF(d, struct virtio_gpu, vd.dev);
}

static int find_format(uint32_t format)
{
	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++)
		if (formats[i].format == format)
			return (int)i;
	return -EINVAL;
}

/* ------------------------------------------------------------------ resources */

static struct virtio_gpu_resource *find(struct virtio_gpu *g, uint32_t id)
{
	for (unsigned i = 0; id && i < VIRTIO_GPU_RESOURCES; i++)
		if (g->s.res[i].id == id)
			return &g->s.res[i];
	return NULL;
}

static uint64_t bytes_of(const struct virtio_gpu_resource *r)
{
	return (uint64_t)r->w * r->h * 4;
}

/* The lowest place for @size bytes between the others; false when there is none. */
static bool find_place(const struct virtio_gpu *g, uint64_t size, uint64_t *ret_at)
{
	uint64_t at = 0;

	/* Each round moves past one resource that is in the way. */
	for (unsigned round = 0; round <= VIRTIO_GPU_RESOURCES; round++) {
		uint64_t past = at;

		for (unsigned i = 0; i < VIRTIO_GPU_RESOURCES; i++) {
			const struct virtio_gpu_resource *r = &g->s.res[i];

			if (r->id && at < r->at + bytes_of(r) && r->at < at + size)
				past = MAX(past, align_up(r->at + bytes_of(r), MEM_PAGE_SIZE));
		}
		if (past == at) {
			*ret_at = at;
			return at + size <= VIRTIO_GPU_MEMORY;
		}
		at = past;
	}
	return false;
}

static void detach(struct virtio_gpu *g, struct virtio_gpu_resource *r)
{
	uint32_t end = r->first + r->n, rest = g->s.n_back - end;

	memmove(&g->s.back_addr[r->first], &g->s.back_addr[end], rest * sizeof(uint64_t));
	memmove(&g->s.back_len[r->first], &g->s.back_len[end], rest * sizeof(uint32_t));
	for (unsigned i = 0; i < VIRTIO_GPU_RESOURCES; i++)
		if (g->s.res[i].first >= end)
			g->s.res[i].first -= r->n;
	g->s.n_back -= r->n;
	memset(&g->s.back_addr[g->s.n_back], 0, r->n * sizeof(uint64_t));
	memset(&g->s.back_len[g->s.n_back], 0, r->n * sizeof(uint32_t));
	r->first = r->n = 0;
}

/* ------------------------------------------------------------------ the picture */

static void draw_line(const struct virtio_gpu *g, const struct virtio_gpu_resource *r, uint32_t y,
		      uint32_t *to)
{
	const uint8_t *p = g->mem->host + r->at + ((uint64_t)y * r->w + g->s.scan_x) * 4;
	int f = find_format(r->format);

	if (f < 0)
		return;
	if (formats[f].r == 2) { /* as ours */
		memcpy(to, p, g->s.scan_w * 4ull);
		return;
	}
	for (unsigned x = 0; x < g->s.scan_w; x++, p += 4)
		to[x] = (uint32_t)p[formats[f].r] << 16 | (uint32_t)p[formats[f].g] << 8 |
			p[formats[f].b];
}

static void update(void *ctx)
{
	struct virtio_gpu *g = ctx;
	const struct virtio_gpu_resource *r = find(g, g->s.scan_res);

	if (!r || !g->dirty)
		return;
	g->dirty = false;
	display_begin(g->display, g->s.scan_w, g->s.scan_h);
	for (unsigned y = 0; y < g->display->h; y++) {
		draw_line(g, r, g->s.scan_y + y, g->line);
		display_line(g->display, y, g->line);
	}
	display_end(g->display);
}

static void update_black(void *ctx)
{
	struct virtio_gpu *g = ctx;

	if (!g->dirty)
		return;
	g->dirty = false;
	memset(g->line, 0, DISPLAY_MAX_W * sizeof(*g->line));
	display_begin(g->display, g->display->w, g->display->h);
	for (unsigned y = 0; y < g->display->h; y++)
		display_line(g->display, y, g->line);
	display_end(g->display);
}

static int set_size(void *ctx, unsigned w, unsigned h)
{
	struct virtio_gpu *g = ctx;

	if (!(g->vd.r->status & VIRTIO_STATUS_DRIVER_OK))
		return -EOPNOTSUPP;
	g->s.want_w = w;
	g->s.want_h = h;
	g->s.events |= EVENT_DISPLAY;
	virtio_config_changed(&g->vd);
	return 0;
}

/* Take or give back the screen as the scanout says. */
static void show(struct virtio_gpu *g)
{
	bool on = find(g, g->s.scan_res) != NULL;
	struct display_source over = {.update = update, .ctx = g};
	struct display_source base = {.update = update_black, .set_size = set_size, .ctx = g};
	struct display *d = g->display;

	g->dirty = true;
	if (!d)
		return;
	/* The base belongs to a VGA, if there is one; then only the wish for a size comes here. */
	if (!d->source[DISPLAY_BASE].update)
		display_set_source(d, DISPLAY_BASE, &base);
	over.set_size = set_size;
	if (on || g->over)
		display_set_source(d, DISPLAY_OVER, on ? &over : NULL);
	g->over = on;
}

static void show_cursor(struct virtio_gpu *g)
{
	const struct virtio_gpu_resource *r = find(g, g->s.cursor_res);
	struct display_cursor c = {.hot_x = (uint16_t)g->s.hot_x, .hot_y = (uint16_t)g->s.hot_y};
	int f = r ? find_format(r->format) : -EINVAL;

	if (!g->display)
		return;
	if (f >= 0) {
		c.w = (uint16_t)MIN(r->w, DISPLAY_CURSOR_MAX);
		c.h = (uint16_t)MIN(r->h, DISPLAY_CURSOR_MAX);
	}
	for (unsigned i = 0; i < (unsigned)c.w * c.h; i++) {
		const uint8_t *p =
			g->mem->host + r->at + ((uint64_t)(i / c.w) * r->w + i % c.w) * 4;

		c.px[i] = (uint32_t)p[formats[f].r] << 16 | (uint32_t)p[formats[f].g] << 8 |
			  p[formats[f].b] |
			  (formats[f].a < 4 ? (uint32_t)p[formats[f].a] << 24 : 0xff000000u);
	}
	if (c.w && (c.hot_x >= c.w || c.hot_y >= c.h))
		c.hot_x = c.hot_y = 0;
	display_set_cursor(g->display, &c);
}

/* ------------------------------------------------------------------ commands */

struct command {
	struct virtio_gpu *g;
	struct vq_cursor in; /* what follows the fixed part */
	uint8_t p[CMD_MAX];  /* header and fixed part; zeros past its end */
	uint8_t resp[RESP_MAX];
	size_t resp_len;
};

static uint32_t arg(const struct command *c, unsigned off)
{
	return ld_le32(c->p + HDR_SIZE + off);
}

static uint32_t do_display_info(struct command *c)
{
	c->resp_len = HDR_SIZE + SCANOUTS_MAX * 24;
	st_le32(c->resp + HDR_SIZE + 8, c->g->s.want_w);
	st_le32(c->resp + HDR_SIZE + 12, c->g->s.want_h);
	st_le32(c->resp + HDR_SIZE + 16, 1); /* enabled */
	return RESP_OK_DISPLAY_INFO;
}

static uint32_t do_edid(struct command *c)
{
	if (arg(c, 0) != 0)
		return RESP_ERR_INVALID_SCANOUT_ID;
	c->resp_len = RESP_MAX;
	st_le32(c->resp + HDR_SIZE, EDID_SIZE);
	edid_build(c->resp + HDR_SIZE + 8, c->g->s.want_w, c->g->s.want_h);
	return RESP_OK_EDID;
}

static uint32_t do_create(struct command *c)
{
	struct virtio_gpu *g = c->g;
	struct virtio_gpu_resource r = {
		.id = arg(c, 0), .format = arg(c, 4), .w = arg(c, 8), .h = arg(c, 12)};

	if (!r.id || find(g, r.id))
		return RESP_ERR_INVALID_RESOURCE_ID;
	if (find_format(r.format) < 0 || !r.w || !r.h || r.w > SIDE_MAX || r.h > SIDE_MAX)
		return RESP_ERR_INVALID_PARAMETER;
	for (unsigned i = 0; i < VIRTIO_GPU_RESOURCES; i++)
		if (!g->s.res[i].id) {
			if (!find_place(g, bytes_of(&r), &r.at))
				break;
			/* Another resource may have left its picture there. */
			guest_fill(g->mem->host + r.at, 0, bytes_of(&r));
			g->s.res[i] = r;
			return RESP_OK_NODATA;
		}
	return RESP_ERR_OUT_OF_MEMORY;
}

static uint32_t do_unref(struct command *c)
{
	struct virtio_gpu *g = c->g;
	struct virtio_gpu_resource *r = find(g, arg(c, 0));

	if (!r)
		return RESP_ERR_INVALID_RESOURCE_ID;
	detach(g, r);
	if (g->s.scan_res == r->id)
		g->s.scan_res = 0;
	*r = (struct virtio_gpu_resource){0};
	show(g);
	return RESP_OK_NODATA;
}

/* Does the rectangle at the start of the command lie in the resource? */
static bool rect_inside(const struct command *c, const struct virtio_gpu_resource *r)
{
	uint64_t x = arg(c, 0), y = arg(c, 4), w = arg(c, 8), h = arg(c, 12);

	return x + w <= r->w && y + h <= r->h;
}

static uint32_t do_scanout(struct command *c)
{
	struct virtio_gpu *g = c->g;
	struct virtio_gpu_resource *r = find(g, arg(c, 20));

	if (arg(c, 16) != 0)
		return RESP_ERR_INVALID_SCANOUT_ID;
	if (arg(c, 20) == 0) {
		g->s.scan_res = 0;
		show(g);
		return RESP_OK_NODATA;
	}
	if (!r)
		return RESP_ERR_INVALID_RESOURCE_ID;
	if (!rect_inside(c, r) || !arg(c, 8) || !arg(c, 12))
		return RESP_ERR_INVALID_PARAMETER;
	g->s.scan_res = r->id;
	g->s.scan_x = arg(c, 0);
	g->s.scan_y = arg(c, 4);
	g->s.scan_w = arg(c, 8);
	g->s.scan_h = arg(c, 12);
	show(g);
	return RESP_OK_NODATA;
}

static uint32_t do_flush(struct command *c)
{
	struct virtio_gpu_resource *r = find(c->g, arg(c, 16));

	if (!r)
		return RESP_ERR_INVALID_RESOURCE_ID;
	if (!rect_inside(c, r))
		return RESP_ERR_INVALID_PARAMETER;
	if (r->id == c->g->s.scan_res)
		c->g->dirty = true;
	return RESP_OK_NODATA;
}

/* A position in the backing that only moves forward. */
struct backing {
	const struct virtio_gpu *g;
	uint32_t i, end; /* entries */
	uint64_t start;  /* offset at which entry i begins */
};

static int read_backing(struct backing *b, uint64_t off, uint8_t *to, uint64_t len)
{
	while (len) {
		uint64_t in, n;

		while (b->i < b->end && off - b->start >= b->g->s.back_len[b->i])
			b->start += b->g->s.back_len[b->i++];
		if (b->i == b->end)
			return -EFAULT;
		in = off - b->start;
		n = MIN(len, b->g->s.back_len[b->i] - in);
		if (mem_read(b->g->vd.dev.sv->mem, b->g->s.back_addr[b->i] + in, to, n) < 0)
			return -EFAULT;
		off += n;
		to += n;
		len -= n;
	}
	return 0;
}

static uint32_t do_transfer(struct command *c)
{
	struct virtio_gpu *g = c->g;
	struct virtio_gpu_resource *r = find(g, arg(c, 24));
	uint64_t off = ld_le64(c->p + HDR_SIZE + 16), pitch;
	uint32_t x = arg(c, 0), y = arg(c, 4), w = arg(c, 8), h = arg(c, 12);
	struct backing b;

	if (!r)
		return RESP_ERR_INVALID_RESOURCE_ID;
	if (!rect_inside(c, r) || off > VIRTIO_GPU_MEMORY)
		return RESP_ERR_INVALID_PARAMETER;
	pitch = r->w * 4ull;
	b = (struct backing){.g = g, .i = r->first, .end = r->first + r->n};
	/* 5.7.6.8: the offset is that of the rectangle's first pixel; lines follow at the pitch. */
	for (uint32_t line = 0; line < h && w; line++)
		if (read_backing(&b, off + line * pitch,
				 g->mem->host + r->at + (y + line) * pitch + x * 4ull,
				 w * 4ull) < 0)
			return RESP_ERR_UNSPEC;
	mem_block_written(g->vd.dev.sv->mem, g->mem, r->at, bytes_of(r));
	return RESP_OK_NODATA;
}

static uint32_t do_attach(struct command *c)
{
	struct virtio_gpu *g = c->g;
	struct virtio_gpu_resource *r = find(g, arg(c, 0));
	uint32_t n = arg(c, 4), first = g->s.n_back;

	if (!r)
		return RESP_ERR_INVALID_RESOURCE_ID;
	if (r->n)
		return RESP_ERR_UNSPEC;
	if (n > VIRTIO_GPU_ENTRIES - first)
		return RESP_ERR_OUT_OF_MEMORY;
	if (c->in.left < n * 16ull)
		return RESP_ERR_INVALID_PARAMETER;
	for (uint32_t i = 0; i < n; i++) {
		uint8_t e[16];

		if (vq_read(&c->in, e, sizeof(e)) != sizeof(e))
			return RESP_ERR_UNSPEC; /* can't be: it was counted */
		g->s.back_addr[first + i] = ld_le64(e);
		g->s.back_len[first + i] = ld_le32(e + 8);
	}
	r->first = first;
	r->n = n;
	g->s.n_back += n;
	return RESP_OK_NODATA;
}

static uint32_t do_detach(struct command *c)
{
	struct virtio_gpu_resource *r = find(c->g, arg(c, 0));

	if (!r)
		return RESP_ERR_INVALID_RESOURCE_ID;
	detach(c->g, r);
	return RESP_OK_NODATA;
}

static uint32_t do_cursor(struct command *c)
{
	struct virtio_gpu *g = c->g;

	if (arg(c, 0) != 0)
		return RESP_ERR_INVALID_SCANOUT_ID;
	if (arg(c, 16) && !find(g, arg(c, 16)))
		return RESP_ERR_INVALID_RESOURCE_ID;
	g->s.cursor_res = arg(c, 16);
	g->s.hot_x = arg(c, 20) & 0xffff;
	g->s.hot_y = arg(c, 24) & 0xffff;
	show_cursor(g);
	return RESP_OK_NODATA;
}

static uint32_t do_move(struct command *c)
{
	return arg(c, 0) ? RESP_ERR_INVALID_SCANOUT_ID : RESP_OK_NODATA;
}

/* What each command needs after the header, and who does it. */
static const struct {
	uint16_t type;
	uint8_t queue, size;
	uint32_t (*run)(struct command *c);
} commands[] = {
	{CMD_GET_DISPLAY_INFO, CONTROLQ, 0, do_display_info},
	{CMD_RESOURCE_CREATE_2D, CONTROLQ, 16, do_create},
	{CMD_RESOURCE_UNREF, CONTROLQ, 4, do_unref},
	{CMD_SET_SCANOUT, CONTROLQ, 24, do_scanout},
	{CMD_RESOURCE_FLUSH, CONTROLQ, 20, do_flush},
	{CMD_TRANSFER_TO_HOST_2D, CONTROLQ, 28, do_transfer},
	{CMD_RESOURCE_ATTACH_BACKING, CONTROLQ, 8, do_attach},
	{CMD_RESOURCE_DETACH_BACKING, CONTROLQ, 4, do_detach},
	{CMD_GET_EDID, CONTROLQ, 4, do_edid},
	{CMD_UPDATE_CURSOR, CURSORQ, 28, do_cursor},
	{CMD_MOVE_CURSOR, CURSORQ, 12, do_move},
};

static uint32_t run_command(struct command *c, unsigned queue)
{
	uint32_t type = ld_le32(c->p);

	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
		size_t size = commands[i].size;

		if (commands[i].type != type || commands[i].queue != queue)
			continue;
		if (vq_read_exact(&c->in, c->p + HDR_SIZE, size) < 0)
			return RESP_ERR_INVALID_PARAMETER;
		return commands[i].run(c);
	}
	return RESP_ERR_UNSPEC;
}

static void queue_run(struct virtio_dev *vd, unsigned n)
{
	struct virtio_gpu *g = CONTAINER_OF(vd, struct virtio_gpu, vd);
	struct vq_elem *e;

	for (unsigned turn = 0; turn < TURN && (e = vq_pop(&vd->q[n])); turn++) {
		struct command c = {.g = g, .in = vq_reader(e), .resp_len = HDR_SIZE};
		struct vq_cursor out = vq_writer(e);
		uint32_t status = RESP_ERR_UNSPEC;

		if (vq_read_exact(&c.in, c.p, HDR_SIZE) == 0)
			status = run_command(&c, n);
		if (status >= RESP_ERR_UNSPEC) {
			c.resp_len = HDR_SIZE;
			guest_error(&vd->dev, "command %#x: error %#x", ld_le32(c.p), status);
		}
		st_le32(c.resp, status);
		/* 5.7.6.7: fence and context come back. */
		if (ld_le32(c.p + 4) & FLAG_FENCE) {
			memcpy(c.resp + 4, c.p + 4, HDR_SIZE - 4);
			st_le32(c.resp + 4, FLAG_FENCE);
		}
		vq_push(e, vq_write(&out, c.resp, c.resp_len));
	}
	virtio_signal(vd, n);
	if (!vq_empty(&vd->q[n]))
		vd->q[n].budget = 0; /* go on in another turn */
}

/* ------------------------------------------------------------------ life */

static uint64_t features(struct virtio_dev *vd)
{
	return BIT(F_EDID);
}

static void config_get(struct virtio_dev *vd, uint8_t *config)
{
	const struct virtio_gpu *g = CONTAINER_OF(vd, struct virtio_gpu, vd);

	st_le32(config, g->s.events);
	st_le32(config + 8, 1); /* scanouts */
}

static void config_set(struct virtio_dev *vd, unsigned off, unsigned size, uint32_t val)
{
	struct virtio_gpu *g = CONTAINER_OF(vd, struct virtio_gpu, vd);

	if (off == 4 && size == 4)
		g->s.events &= ~val;
}

static void reset(struct virtio_dev *vd, int n)
{
	struct virtio_gpu *g = CONTAINER_OF(vd, struct virtio_gpu, vd);

	if (n >= 0)
		return;
	memset(g->s.res, 0, sizeof(g->s.res));
	memset(g->s.back_addr, 0, g->s.n_back * sizeof(g->s.back_addr[0]));
	memset(g->s.back_len, 0, g->s.n_back * sizeof(g->s.back_len[0]));
	g->s.n_back = g->s.events = 0;
	g->s.want_w = DEFAULT_W;
	g->s.want_h = DEFAULT_H;
	g->s.scan_res = g->s.scan_x = g->s.scan_y = g->s.scan_w = g->s.scan_h = 0;
	g->s.cursor_res = g->s.hot_x = g->s.hot_y = 0;
	show(g);
	if (g->display)
		display_set_cursor(g->display, NULL);
}

static const struct virtio_class virtio_gpu_vc = {
	.device_id = VIRTIO_ID_GPU,
	.pci_class = 0x0380, /* display controller, other */
	.config_size = 16,
	.features = features,
	.config_get = config_get,
	.config_set = config_set,
	.queue_run = queue_run,
	.reset = reset,
};

static int virtio_gpu_realize(struct dev *d, struct error *err)
{
	struct virtio_gpu *g = to_gpu(d);
	char name[80];
	int r;

	snprintf(name, sizeof(name), "%s.mem", d->id);
	g->mem = mem_block_find(d->sv->mem, name);
	if (!g->mem) {
		r = mem_ram_new(d->sv->mem, name, VIRTIO_GPU_MEMORY, &g->mem, err);
		if (r < 0)
			return r;
	}
	g->line = xnew_n(uint32_t, SIDE_MAX);
	return virtio_init(&g->vd, &virtio_gpu_vc, &g->s.v, g->s.q, 2, QUEUE_SIZE, err);
}

static void virtio_gpu_unrealize(struct dev *d)
{
	struct virtio_gpu *g = to_gpu(d);

	virtio_done(&g->vd);
	for (unsigned i = 0; g->display && i < DISPLAY_SOURCES; i++)
		if (g->display->source[i].ctx == g)
			display_set_source(g->display, (enum display_level)i, NULL);
	free(g->line);
	g->line = NULL;
}

static int virtio_gpu_loaded(struct dev *d, struct error *err)
{
	struct virtio_gpu *g = to_gpu(d);
	uint64_t back = 0;
	const struct virtio_gpu_resource *scan;

	for (unsigned i = 0; i < VIRTIO_GPU_RESOURCES; i++) {
		const struct virtio_gpu_resource *r = &g->s.res[i];

		back += r->n;
		if (!r->id && (r->at || r->format || r->w || r->h || r->first || r->n))
			return error_set(err, -EINVAL, "resource %u is free and has contents", i);
		if (r->id && (find(g, r->id) != r || find_format(r->format) < 0 || !r->w || !r->h ||
			      r->at % MEM_PAGE_SIZE || r->at > VIRTIO_GPU_MEMORY ||
			      bytes_of(r) > VIRTIO_GPU_MEMORY - r->at))
			return error_set(err, -EINVAL, "resource %u is not possible", r->id);
		if (r->first > g->s.n_back || r->n > g->s.n_back - r->first)
			return error_set(err, -EINVAL, "resource %u: backing %u + %u of %u", r->id,
					 r->first, r->n, g->s.n_back);
	}
	if (back != g->s.n_back)
		return error_set(err, -EINVAL, "%u pieces of backing, %llu in use", g->s.n_back,
				 (unsigned long long)back);
	scan = find(g, g->s.scan_res);
	if (scan && ((uint64_t)g->s.scan_x + g->s.scan_w > scan->w ||
		     (uint64_t)g->s.scan_y + g->s.scan_h > scan->h))
		return error_set(err, -EINVAL, "the scanout is larger than its resource");
	show(g);
	show_cursor(g);
	return virtio_loaded(&g->vd, err);
}

static const struct state_field resource_fields[] = {
	STATE_VAL(struct virtio_gpu_resource, at, .max = VIRTIO_GPU_MEMORY),
	STATE_VAL(struct virtio_gpu_resource, id),
	STATE_VAL(struct virtio_gpu_resource, format),
	STATE_VAL(struct virtio_gpu_resource, w, .max = SIDE_MAX),
	STATE_VAL(struct virtio_gpu_resource, h, .max = SIDE_MAX),
	STATE_VAL(struct virtio_gpu_resource, first, .max = VIRTIO_GPU_ENTRIES),
	STATE_VAL(struct virtio_gpu_resource, n, .max = VIRTIO_GPU_ENTRIES),
	STATE_END,
};

static const struct state_field virtio_gpu_fields[] = {
	STATE_STRUCT(struct virtio_gpu_regs, v, virtio_regs_fields),
	STATE_STRUCTS(struct virtio_gpu_regs, q, virtq_regs_fields),
	STATE_STRUCTS(struct virtio_gpu_regs, res, resource_fields),
	STATE_ARRAY(struct virtio_gpu_regs, back_addr),
	STATE_ARRAY(struct virtio_gpu_regs, back_len),
	STATE_VAL(struct virtio_gpu_regs, n_back, .max = VIRTIO_GPU_ENTRIES),
	STATE_VAL(struct virtio_gpu_regs, events, .max = EVENT_DISPLAY),
	STATE_VAL(struct virtio_gpu_regs, want_w, .min = 1, .max = DISPLAY_MAX_W),
	STATE_VAL(struct virtio_gpu_regs, want_h, .min = 1, .max = DISPLAY_MAX_H),
	STATE_VAL(struct virtio_gpu_regs, scan_res),
	STATE_VAL(struct virtio_gpu_regs, scan_x, .max = SIDE_MAX),
	STATE_VAL(struct virtio_gpu_regs, scan_y, .max = SIDE_MAX),
	STATE_VAL(struct virtio_gpu_regs, scan_w, .max = SIDE_MAX),
	STATE_VAL(struct virtio_gpu_regs, scan_h, .max = SIDE_MAX),
	STATE_VAL(struct virtio_gpu_regs, cursor_res),
	STATE_VAL(struct virtio_gpu_regs, hot_x, .max = 0xffff),
	STATE_VAL(struct virtio_gpu_regs, hot_y, .max = 0xffff),
	STATE_END,
};
static const struct state_desc virtio_gpu_state =
	STATE_DESC("virtio-gpu", 1, struct virtio_gpu_regs, virtio_gpu_fields);

const struct dev_class virtio_gpu_class = {
	.name = "virtio-gpu",
	.summary = "virtio graphics adapter, 2D",
	.spec = "OASIS Virtual I/O Device (VIRTIO) Version 1.2, 5.7",
	.size = sizeof(struct virtio_gpu),
	.regs_offset = offsetof(struct virtio_gpu, s),
	.state = &virtio_gpu_state,
	.realize = virtio_gpu_realize,
	.unrealize = virtio_gpu_unrealize,
	.reset = virtio_dev_reset,
	.quiesce = virtio_dev_quiesce,
	.resume = virtio_dev_resume,
	.loaded = virtio_gpu_loaded,
};
