/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The picture, who looks at it, and who gets the input (display/display.h).
 *
 * Damage is found by comparing: a line handed over is compared with the picture, from both ends, so
 * an unchanged line costs one pass over memory and a changed one gives the columns that differ.
 * Lines in a row are told as one rectangle. This works for every mode, and for frame buffers that a
 * guest writes without anybody seeing it, and it needs no dirty log, whose every collection would
 * flush the soft TLBs of all vCPUs.
 */
#include "display/display.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bits.h"
#include "display/keymap.h"
#include "host/loop.h"

#define KEY_POLL_NS   (5 * NS_PER_MS)
#define KEY_PATIENCE  (5 * NS_PER_SEC) /* for a guest that does not read its keyboard */
#define TYPE_PAUSE_MS 12

static void key_timer(void *ctx);

int display_new(struct loop *loop, struct display **ret_d, struct error *err)
{
	struct display *d = xnew(struct display);
	void *at = MAP_FAILED;

	d->fd = memfd_create("bothy-screen", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (d->fd >= 0 && ftruncate(d->fd, DISPLAY_BYTES) == 0 &&
	    fcntl(d->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		at = mmap(NULL, DISPLAY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd, 0);
	if (at == MAP_FAILED) {
		int r = error_set(err, -errno, "no memory for the screen's picture: %s",
				  strerror(errno));

		if (d->fd >= 0)
			close(d->fd);
		free(d);
		return r;
	}
	d->px = at;
	d->w = 640;
	d->h = 480;
	if (loop)
		d->key_timer = loop_timer_new(loop, key_timer, d);
	list_init(&d->viewers);
	list_init(&d->inputs);
	*ret_d = d;
	return 0;
}

void display_free(struct display *d)
{
	if (!d)
		return;
	if (d->key_timer)
		loop_timer_free(d->key_timer);
	munmap(d->px, DISPLAY_BYTES);
	close(d->fd);
	free(d);
}

void display_set_source(struct display *d, enum display_level level,
			const struct display_source *src)
{
	d->source[level] = src ? *src : (struct display_source){0};
}

static const struct display_source *shown(const struct display *d)
{
	return &d->source[d->source[DISPLAY_OVER].update ? DISPLAY_OVER : DISPLAY_BASE];
}

void display_update(struct display *d)
{
	const struct display_source *src = shown(d);

	if (src->update)
		src->update(src->ctx);
}

char *display_text(struct display *d)
{
	const struct display_source *src = shown(d);

	return src->text ? src->text(src->ctx) : NULL;
}

/* ---- drawing ---- */

static void tell_run(struct display *d)
{
	struct display_rect r = {(uint16_t)d->run_x0, (uint16_t)d->run_y,
				 (uint16_t)(d->run_x1 - d->run_x0), (uint16_t)d->run_h};

	if (!d->run_h)
		return;
	d->run_h = 0;
	LIST_FOR_EACH_SAFE(it, &d->viewers)
	{
		struct display_viewer *v = LIST_ENTRY(it, struct display_viewer, node);

		if (v->damaged)
			v->damaged(v, &r);
	}
}

static void add_damage(struct display *d, unsigned y, unsigned x0, unsigned x1)
{
	if (d->run_h && d->run_y + d->run_h == y) {
		d->run_h++;
		d->run_x0 = MIN(d->run_x0, x0);
		d->run_x1 = MAX(d->run_x1, x1);
		return;
	}
	tell_run(d);
	d->run_y = y;
	d->run_h = 1;
	d->run_x0 = x0;
	d->run_x1 = x1;
}

void display_begin(struct display *d, unsigned w, unsigned h)
{
	w = MAX(1u, MIN(w, DISPLAY_MAX_W));
	h = MAX(1u, MIN(h, DISPLAY_MAX_H));
	d->run_h = 0;
	if (w == d->w && h == d->h)
		return;
	d->w = w;
	d->h = h;
	memset(d->px, 0, (size_t)w * h * 4);
	d->at_known = false;
	LIST_FOR_EACH_SAFE(it, &d->viewers)
	{
		struct display_viewer *v = LIST_ENTRY(it, struct display_viewer, node);

		if (v->resized)
			v->resized(v, w, h);
	}
}

void display_line(struct display *d, unsigned y, const uint32_t *px)
{
	uint32_t *to;
	unsigned x0 = 0, x1 = d->w;

	if (y >= d->h)
		return;
	to = d->px + (size_t)y * d->w;
	if (!memcmp(to, px, d->w * 4u))
		return;
	while (to[x0] == px[x0] && x0 + 1 < x1)
		x0++;
	while (x1 - 1 > x0 && to[x1 - 1] == px[x1 - 1])
		x1--;
	memcpy(to + x0, px + x0, (x1 - x0) * 4u);
	add_damage(d, y, x0, x1);
}

void display_end(struct display *d)
{
	tell_run(d);
}

void display_set_cursor(struct display *d, const struct display_cursor *c)
{
	d->has_cursor = c != NULL;
	if (c)
		d->cursor = *c;
	LIST_FOR_EACH_SAFE(it, &d->viewers)
	{
		struct display_viewer *v = LIST_ENTRY(it, struct display_viewer, node);

		if (v->cursor)
			v->cursor(v, c);
	}
}

void display_add_viewer(struct display *d, struct display_viewer *v)
{
	list_append(&d->viewers, &v->node);
}

void display_del_viewer(struct display *d, struct display_viewer *v)
{
	list_remove(&v->node);
}

/* ---- input ---- */

void display_add_input(struct display *d, struct display_input *in)
{
	list_prepend(&d->inputs, &in->node);
}

void display_del_input(struct display *d, struct display_input *in)
{
	list_remove(&in->node);
}

static struct display_input *find_input(const struct display *d, bool pointer)
{
	LIST_FOR_EACH(it, &d->inputs)
	{
		struct display_input *in = LIST_ENTRY(it, struct display_input, node);

		if ((pointer ? in->pointer != NULL : in->key != NULL) &&
		    (!in->ready || in->ready(in->ctx)))
			return in;
	}
	return NULL;
}

/* Events as bytes, little-endian. */
enum {
	EVENT_KEY = 'K',
	EVENT_MOVE = 'M',
	EVENT_SIZE = 'S',
	KEY_LEN = 3,
	MOVE_LEN = 16,
	SIZE_LEN = 5
};

static bool allowed(struct display *d, const uint8_t *event, size_t len)
{
	return !d->tap || d->tap(d->tap_ctx, event, len);
}

static void deliver_key(struct display *d, uint8_t code, bool down)
{
	struct display_input *in = find_input(d, false);

	if (in)
		in->key(in->ctx, code, down);
}

static void deliver_pointer(struct display *d, const struct display_pointer *p)
{
	struct display_input *in = find_input(d, true);

	if (in)
		in->pointer(in->ctx, p);
}

static void key_now(struct display *d, uint8_t code, bool down)
{
	const uint8_t event[KEY_LEN] = {EVENT_KEY, code, down};
	uint8_t bit = (uint8_t)(1u << (code & 7));

	if (down)
		d->down[code >> 3] |= bit;
	else
		d->down[code >> 3] &= (uint8_t)~bit;
	if (allowed(d, event, sizeof(event)))
		deliver_key(d, code, down);
}

static void pointer_now(struct display *d, const struct display_pointer *p)
{
	uint8_t event[MOVE_LEN] = {EVENT_MOVE, (uint8_t)p->buttons, (uint8_t)p->dz, (uint8_t)p->dh};

	st_le16(event + 4, (uint16_t)p->x);
	st_le16(event + 6, (uint16_t)p->y);
	st_le16(event + 8, (uint16_t)p->w);
	st_le16(event + 10, (uint16_t)p->h);
	st_le16(event + 12, (uint16_t)p->dx);
	st_le16(event + 14, (uint16_t)p->dy);
	if (allowed(d, event, sizeof(event)))
		deliver_pointer(d, p);
}

static int size_now(struct display *d, unsigned w, unsigned h)
{
	for (unsigned i = DISPLAY_SOURCES; i-- > 0;)
		if (d->source[i].set_size)
			return d->source[i].set_size(d->source[i].ctx, w, h);
	return -EOPNOTSUPP;
}

int display_set_size(struct display *d, unsigned w, unsigned h)
{
	uint8_t event[SIZE_LEN] = {EVENT_SIZE};

	st_le16(event + 1, (uint16_t)w);
	st_le16(event + 3, (uint16_t)h);
	if (!w || !h || w > DISPLAY_MAX_W || h > DISPLAY_MAX_H || !allowed(d, event, sizeof(event)))
		return -EOPNOTSUPP;
	return size_now(d, w, h);
}

void display_set_tap(struct display *d, display_tap *tap, void *ctx)
{
	d->tap = tap;
	d->tap_ctx = ctx;
}

void display_inject(struct display *d, const uint8_t *event, size_t len)
{
	struct display_pointer p;

	if (len == KEY_LEN && event[0] == EVENT_KEY) {
		deliver_key(d, event[1], event[2]);
	} else if (len == MOVE_LEN && event[0] == EVENT_MOVE) {
		p = (struct display_pointer){.buttons = event[1],
					     .dz = (int8_t)event[2],
					     .dh = (int8_t)event[3],
					     .x = ld_le16(event + 4),
					     .y = ld_le16(event + 6),
					     .w = ld_le16(event + 8),
					     .h = ld_le16(event + 10),
					     .dx = (int16_t)ld_le16(event + 12),
					     .dy = (int16_t)ld_le16(event + 14)};
		deliver_pointer(d, &p);
	} else if (len == SIZE_LEN && event[0] == EVENT_SIZE && ld_le16(event + 1) &&
		   ld_le16(event + 3) && ld_le16(event + 1) <= DISPLAY_MAX_W &&
		   ld_le16(event + 3) <= DISPLAY_MAX_H) {
		(void)size_now(d, ld_le16(event + 1), ld_le16(event + 3));
	}
}

static bool key_room(const struct display *d, ns_t now)
{
	const struct display_input *in = find_input(d, false);

	if (now < d->key_next)
		return false;
	return !in || !in->room || in->room(in->ctx) || now - d->key_since > KEY_PATIENCE;
}

/* Pass on what the guest has room for. */
static void push_keys(struct display *d)
{
	ns_t now = host_now_ns();

	while (d->key_n && key_room(d, now)) {
		struct display_event e = d->key[d->key_head];

		d->key_head = (d->key_head + 1) % DISPLAY_KEYS;
		d->key_n--;
		/* Patience lost once is lost for all that wait: a keyboard's buffer is short. */
		if (now - d->key_since <= KEY_PATIENCE)
			d->key_since = now;
		d->key_next = now + e.pause_ms * NS_PER_MS;
		key_now(d, e.code, e.down);
	}
	if (d->key_n)
		loop_timer_arm(d->key_timer, now + KEY_POLL_NS);
}

static void key_timer(void *ctx)
{
	push_keys(ctx);
}

void display_key_slowly(struct display *d, uint8_t code, bool down, unsigned pause_ms)
{
	if (!d->key_timer) {
		key_now(d, code, down);
		return;
	}
	if (d->key_n == DISPLAY_KEYS)
		return;
	if (!d->key_n)
		d->key_since = host_now_ns();
	d->key[(d->key_head + d->key_n++) % DISPLAY_KEYS] =
		(struct display_event){code, down, (uint16_t)pause_ms};
	push_keys(d);
}

void display_key(struct display *d, uint8_t code, bool down)
{
	display_key_slowly(d, code, down, 0);
}

int display_type(struct display *d, const char *text)
{
	size_t need = 0;
	bool shift;

	for (const char *c = text; *c; c++) {
		if (!key_from_char((unsigned char)*c, &shift))
			return -EINVAL;
		need += shift ? 4 : 2;
	}
	if (need > DISPLAY_KEYS - d->key_n)
		return -ENOSPC;
	for (const char *c = text; *c; c++) {
		uint8_t code = key_from_char((unsigned char)*c, &shift);

		if (shift)
			display_key_slowly(d, KEY_SHIFT, true, TYPE_PAUSE_MS);
		display_key_slowly(d, code, true, TYPE_PAUSE_MS);
		display_key_slowly(d, code, false, TYPE_PAUSE_MS);
		if (shift)
			display_key_slowly(d, KEY_SHIFT, false, TYPE_PAUSE_MS);
	}
	return 0;
}

void display_release_keys(struct display *d)
{
	for (unsigned code = 0; code < 256; code++)
		if (d->down[code >> 3] & (1u << (code & 7)))
			display_key(d, (uint8_t)code, false);
}

bool display_absolute(const struct display *d)
{
	const struct display_input *in = find_input(d, true);

	return in && in->absolute;
}

void display_move(struct display *d, unsigned x, unsigned y, unsigned buttons, int dz, int dh)
{
	struct display_pointer p = {.x = MIN(x, d->w - 1),
				    .y = MIN(y, d->h - 1),
				    .w = d->w,
				    .h = d->h,
				    .dz = dz,
				    .dh = dh,
				    .buttons = buttons};

	if (d->at_known) {
		p.dx = (int)p.x - (int)d->at_x;
		p.dy = (int)p.y - (int)d->at_y;
	}
	d->at_x = p.x;
	d->at_y = p.y;
	d->at_known = true;
	d->buttons = buttons;
	pointer_now(d, &p);
}

void display_move_by(struct display *d, int dx, int dy, unsigned buttons, int dz, int dh)
{
	struct display_pointer p = {.dx = MAX(-4096, MIN(dx, 4096)),
				    .dy = MAX(-4096, MIN(dy, 4096)),
				    .w = d->w,
				    .h = d->h,
				    .dz = dz,
				    .dh = dh,
				    .buttons = buttons};

	d->at_x = (unsigned)MAX(0, MIN((int)d->at_x + p.dx, (int)d->w - 1));
	d->at_y = (unsigned)MAX(0, MIN((int)d->at_y + p.dy, (int)d->h - 1));
	d->at_known = true;
	d->buttons = buttons;
	p.x = d->at_x;
	p.y = d->at_y;
	pointer_now(d, &p);
}
