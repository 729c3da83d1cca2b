/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One screen with its keyboard and pointer: what stands between the devices of a guest (a VGA, a
 * keyboard controller) and the people or programs in front of it (RFB clients, screenshots, typed
 * text).
 *
 * The picture lives in a memory file of fixed size, one 32-bit word a pixel (bits 23:16 red, 15:8
 * green, 7:0 blue, the rest undefined), lines without gaps. A viewer in another process maps it
 * read-only. Nothing is drawn unless somebody looks: display_update() asks the source to bring the
 * picture up to date; the source hands over one line after the other and the lines that differ from
 * the picture so far become damage, told to every viewer as rectangles.
 *
 * Everything here runs with the bus lock held. A viewer in another process may see half-drawn
 * lines; the damage that follows makes it draw them again.
 */
#ifndef DISPLAY_DISPLAY_H
#define DISPLAY_DISPLAY_H

#include "base/err.h"
#include "base/list.h"

#define DISPLAY_MAX_W      2560u
#define DISPLAY_MAX_H      1600u
#define DISPLAY_BYTES      (DISPLAY_MAX_W * DISPLAY_MAX_H * 4u)
#define DISPLAY_CURSOR_MAX 64u /* pixels a side */

struct display_rect {
	uint16_t x, y, w, h;
};

/* A pointer shape drawn by the viewer; 32 bits a pixel with alpha in bits 31:24. */
struct display_cursor {
	uint16_t w, h, hot_x, hot_y; /* w 0: invisible */
	uint32_t px[DISPLAY_CURSOR_MAX * DISPLAY_CURSOR_MAX];
};

/* The device that makes the picture. */
struct display_source {
	/* Draw: display_begin(), lines, display_end(). */
	void (*update)(void *ctx);
	/* The screen as text: lines of UTF-8, each ended by a line feed; NULL when it shows a
	 * picture. The caller frees it. May be NULL. */
	char *(*text)(void *ctx);
	/* The viewer would like this size; 0, or -errno if the guest can't be told. May be NULL. */
	int (*set_size)(void *ctx, unsigned w, unsigned h);
	void *ctx;
};

/* Somebody who looks. Embedded in the viewer; callbacks may be NULL. */
struct display_viewer {
	struct list node;
	void (*resized)(struct display_viewer *v, unsigned w, unsigned h);
	void (*damaged)(struct display_viewer *v, const struct display_rect *r);
	void (*cursor)(struct display_viewer *v, const struct display_cursor *c);
};

/* What the pointer did. Devices with `absolute` get x and y, the others movements. */
struct display_pointer {
	unsigned x, y, w, h; /* position in a picture of w x h */
	int dx, dy;          /* movement in pixels, dy down */
	int dz, dh;          /* wheel clicks: towards the user, to the right */
	unsigned buttons;    /* bit 0 left, 1 right, 2 middle, 3, 4: side */
};

/* A device that takes input. The one added last gets it, if it is ready. */
struct display_input {
	struct list node;
	/* @code: scan code of set 1, bit 7 set for those with prefix E0 */
	void (*key)(void *ctx, uint8_t code, bool down);
	void (*pointer)(void *ctx, const struct display_pointer *p);
	bool (*ready)(void *ctx); /* a driver listens; NULL: always */
	bool (*room)(void *ctx);  /* the guest has read all keys so far; NULL: always */
	bool absolute;
	void *ctx;
};

/* A driver's picture covers what firmware and text consoles show. */
enum display_level { DISPLAY_BASE, DISPLAY_OVER, DISPLAY_SOURCES };

struct loop;
struct loop_timer;

#define DISPLAY_KEYS 4096u /* keys that may wait for the guest */

/* A key on its way. */
struct display_event {
	uint8_t code;
	bool down;
	uint16_t pause_ms; /* after it */
};

/* Hears of everything that reaches the guest's devices, as bytes for display_inject(); false keeps
 * it from them. */
typedef bool display_tap(void *ctx, const uint8_t *event, size_t len);

struct display {
	uint32_t *px; /* owned mapping of fd, DISPLAY_BYTES */
	int fd;
	unsigned w, h;
	struct display_source source[DISPLAY_SOURCES];
	struct display_cursor cursor;
	bool has_cursor; /* the source draws with a pointer shape of its own */
	struct list viewers, inputs;
	display_tap *tap; /* NULL: nobody records */
	void *tap_ctx;
	/* drawing */
	unsigned run_y, run_h, run_x0, run_x1; /* damage not told yet: lines and columns */
	/* pointer as last heard of */
	unsigned at_x, at_y, buttons;
	bool at_known;
	uint8_t down[32]; /* keys held, one bit each */
	/* keys that wait until the guest has read those before */
	struct loop_timer *key_timer; /* NULL: nothing waits */
	struct display_event key[DISPLAY_KEYS];
	unsigned key_head, key_n;
	ns_t key_next;  /* host ns: not before */
	ns_t key_since; /* host ns: the first one waits since */
};

/** display_new() - a black screen of 640 x 480 without source. @loop: paces keys; NULL: they go to
 * the guest at once. */
int display_new(struct loop *loop, struct display **ret_d, struct error *err) MUST_CHECK;
void display_free(struct display *d);

/** display_set_source() - NULL: none. @src is copied. The highest level with a source shows. */
void display_set_source(struct display *d, enum display_level level,
			const struct display_source *src);
/** display_update() - bring the picture up to date. */
void display_update(struct display *d);
/** display_text() - see struct display_source; NULL without text. */
char *display_text(struct display *d);
/** display_set_size() - pass a viewer's wish on, at any level. -EOPNOTSUPP when nobody can change
 * it. */
int display_set_size(struct display *d, unsigned w, unsigned h) MUST_CHECK;

/** display_begin() - the picture that follows has this size (clipped to the largest). A new size
 * makes all of it damage. */
void display_begin(struct display *d, unsigned w, unsigned h);
/** display_line() - line @y, at least d->w pixels. Lines come from top to bottom; those that are
 * left out stay. */
void display_line(struct display *d, unsigned y, const uint32_t *px);
/** display_end() - tell the viewers of what is left. */
void display_end(struct display *d);
/** display_set_cursor() - shape to draw at the pointer; NULL: the guest draws its own. */
void display_set_cursor(struct display *d, const struct display_cursor *c);

void display_add_viewer(struct display *d, struct display_viewer *v);
void display_del_viewer(struct display *d, struct display_viewer *v);

void display_add_input(struct display *d, struct display_input *in);
void display_del_input(struct display *d, struct display_input *in);
/** display_key() - a key went down or up. It waits until the guest has read those before it, at
 * most five seconds; more than DISPLAY_KEYS that wait are lost. */
void display_key(struct display *d, uint8_t code, bool down);
/** display_key_slowly() - likewise, with @pause_ms after it: for text that a guest polls. */
void display_key_slowly(struct display *d, uint8_t code, bool down, unsigned pause_ms);
/** display_type() - press and release the keys for ASCII @text. -EINVAL if some character has no
 * key, -ENOSPC when too many keys wait; then nothing is typed. */
int display_type(struct display *d, const char *text) MUST_CHECK;
/** display_release_keys() - lift what is held (the viewer is gone). */
void display_release_keys(struct display *d);
/** display_move() - the pointer is at (@x, @y) of the picture with @buttons held; @dz and @dh wheel
 * clicks. */
void display_move(struct display *d, unsigned x, unsigned y, unsigned buttons, int dz, int dh);
/** display_move_by() - the pointer moved, as seen by somebody who knows no position. */
void display_move_by(struct display *d, int dx, int dy, unsigned buttons, int dz, int dh);
/** display_set_tap() - record input, or keep it back. display_inject() - the same again: an event
 * as the tap got it; others are ignored. The tap does not hear of it. */
void display_set_tap(struct display *d, display_tap *tap, void *ctx);
void display_inject(struct display *d, const uint8_t *event, size_t len);
/** display_absolute() - does the guest have a pointer device with positions that is in use? */
bool display_absolute(const struct display *d);

#endif
