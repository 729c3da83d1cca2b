/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The window's helper process: SDL 2 on one side, the VM on the other (viewer.h). The library is
 * loaded when a window is asked for; functions and structures are as <SDL2/SDL.h> of SDL 2.26
 * declares them (its ABI is frozen).
 *
 * The window has the size of the guest's screen until it is resized, and scales then, keeping the
 * aspect. A guest pointer that takes positions follows the host's; another kind is moved by a
 * captured mouse: a click captures, Ctrl+Alt+G frees. Ctrl+Alt+F fills the screen or no longer,
 * Ctrl+Alt+U gives the window the guest's size again. Closing the window presses the power button.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bits.h"
#include "display/sdl.h"

enum {
	INIT_VIDEO = 0x20,
	WINDOW_RESIZABLE = 0x20,
	WINDOW_FULL_SCREEN = 0x1001, /* of the desktop's size */
	POS_UNDEFINED = 0x1fff0000,
	TEXTURE_STREAMING = 1,
	PIXEL_XRGB = 0x16161804,
	EV_QUIT = 0x100,
	EV_WINDOW = 0x200,
	EV_KEY_DOWN = 0x300,
	EV_KEY_UP = 0x301,
	EV_MOTION = 0x400,
	EV_BUTTON_DOWN = 0x401,
	EV_BUTTON_UP = 0x402,
	EV_WHEEL = 0x403,
	WIN_EXPOSED = 3,
	WIN_SIZE_CHANGED = 6,
	WIN_FOCUS_LOST = 13,
	MOD_CTRL = 0xc0,
	MOD_ALT = 0x300,
	USAGE_F = 9,
	USAGE_G = 10,
	USAGE_U = 24,
	BATCH = 64,
	WAIT_MS = 8,
};

/* SDL_Event: 56 bytes; every kind begins with type and time stamp. */
union event {
	uint32_t type;
	struct {
		uint32_t type, time, window;
		uint8_t event, pad[3];
		int32_t data1, data2;
	} window;
	struct {
		uint32_t type, time, window;
		uint8_t state, repeat, pad[2];
		int32_t scancode, sym;
		uint16_t mod;
	} key;
	struct {
		uint32_t type, time, window, which, state;
		int32_t x, y, dx, dy;
	} motion;
	struct {
		uint32_t type, time, window, which;
		uint8_t button, state, clicks, pad;
		int32_t x, y;
	} button;
	struct {
		uint32_t type, time, window, which;
		int32_t x, y;
	} wheel;
	uint8_t bytes[128];
};

struct sdl_rect {
	int x, y, w, h;
};

/* The functions, in the order of `symbols`. */
struct sdl_lib {
	int (*Init)(uint32_t flags);
	const char *(*GetError)(void);
	int (*SetHint)(const char *name, const char *value);
	void *(*CreateWindow)(const char *title, int x, int y, int w, int h, uint32_t flags);
	void *(*CreateRenderer)(void *window, int index, uint32_t flags);
	void *(*CreateTexture)(void *renderer, uint32_t format, int access, int w, int h);
	void (*DestroyTexture)(void *texture);
	int (*UpdateTexture)(void *texture, const struct sdl_rect *r, const void *px, int pitch);
	int (*RenderSetLogicalSize)(void *renderer, int w, int h);
	int (*RenderClear)(void *renderer);
	int (*RenderCopy)(void *renderer, void *texture, const void *from, const void *to);
	void (*RenderPresent)(void *renderer);
	int (*WaitEventTimeout)(union event *e, int ms);
	void (*SetWindowSize)(void *window, int w, int h);
	void (*SetWindowTitle)(void *window, const char *title);
	int (*SetWindowFullscreen)(void *window, uint32_t flags);
	int (*SetRelativeMouseMode)(int on);
	void (*SetWindowGrab)(void *window, int on);
	int (*ShowCursor)(int on);
	void *(*CreateRGBSurfaceFrom)(void *px, int w, int h, int depth, int pitch, uint32_t r,
				      uint32_t g, uint32_t b, uint32_t a);
	void *(*CreateColorCursor)(void *surface, int hot_x, int hot_y);
	void (*SetCursor)(void *cursor);
	void (*FreeCursor)(void *cursor);
	void (*FreeSurface)(void *surface);
	void (*Quit)(void);
};

static const char *const symbols[] = {
	"SDL_Init",
	"SDL_GetError",
	"SDL_SetHint",
	"SDL_CreateWindow",
	"SDL_CreateRenderer",
	"SDL_CreateTexture",
	"SDL_DestroyTexture",
	"SDL_UpdateTexture",
	"SDL_RenderSetLogicalSize",
	"SDL_RenderClear",
	"SDL_RenderCopy",
	"SDL_RenderPresent",
	"SDL_WaitEventTimeout",
	"SDL_SetWindowSize",
	"SDL_SetWindowTitle",
	"SDL_SetWindowFullscreen",
	"SDL_SetRelativeMouseMode",
	"SDL_SetWindowGrab",
	"SDL_ShowCursor",
	"SDL_CreateRGBSurfaceFrom",
	"SDL_CreateColorCursor",
	"SDL_SetCursor",
	"SDL_FreeCursor",
	"SDL_FreeSurface",
	"SDL_Quit",
};

struct window {
	struct sdl_lib sdl;
	struct viewer_config cfg;
	void *window, *renderer, *texture, *cursor;
	const uint32_t *px;
	unsigned w, h;    /* of the guest's screen */
	unsigned buttons; /* as display_pointer has them */
	int x, y;         /* of the pointer, in the guest's screen */
	bool absolute, captured, full_screen, dirty, asked, closed;
	struct display_cursor shape;
	bool has_shape;
	uint8_t buf[VIEWER_MESSAGE_MAX];
};

static bool load_library(struct window *w, struct error *err)
{
	void *lib = dlopen("libSDL2-2.0.so.0", RTLD_NOW | RTLD_LOCAL);
	void *at[ARRAY_SIZE(symbols)];

	if (!lib) {
		error_set(err, -ENOENT,
			  "display 'sdl': %s; install SDL 2 (Debian: libsdl2-2.0-0), or use "
			  "--display vnc:127.0.0.1:5901",
			  dlerror());
		return false;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(symbols); i++) {
		at[i] = dlsym(lib, symbols[i]);
		if (!at[i]) {
			error_set(err, -ENOENT, "display 'sdl': SDL 2 has no %s: too old?",
				  symbols[i]);
			return false;
		}
	}
	_Static_assert(sizeof(at) == sizeof(w->sdl), "each function has its symbol");
	memcpy(&w->sdl, at, sizeof(at));
	return true;
}

/* ------------------------------------------------------------------ window */

static void set_title(struct window *w)
{
	char title[160];

	snprintf(title, sizeof(title), "%s%s", w->cfg.name,
		 w->captured   ? " - Ctrl+Alt+G frees the mouse"
		 : w->absolute ? ""
			       : " - click to use the mouse");
	w->sdl.SetWindowTitle(w->window, title);
}

static void show_cursor(struct window *w)
{
	void *surface, *old = w->cursor;

	w->cursor = NULL;
	if (w->has_shape && w->shape.w && w->absolute) {
		surface = w->sdl.CreateRGBSurfaceFrom(w->shape.px, w->shape.w, w->shape.h, 32,
						      w->shape.w * 4, 0xff0000, 0xff00, 0xff,
						      0xff000000);
		if (surface)
			w->cursor =
				w->sdl.CreateColorCursor(surface, w->shape.hot_x, w->shape.hot_y);
		if (surface)
			w->sdl.FreeSurface(surface);
	}
	if (w->cursor)
		w->sdl.SetCursor(w->cursor);
	if (old)
		w->sdl.FreeCursor(old);
	/* Without a shape a guest with positions draws the pointer itself. */
	w->sdl.ShowCursor(w->absolute ? w->cursor != NULL : !w->captured);
}

static void capture(struct window *w, bool on)
{
	if (on == w->captured)
		return;
	w->captured = on;
	w->sdl.SetRelativeMouseMode(on);
	w->sdl.SetWindowGrab(w->window, on);
	show_cursor(w);
	set_title(w);
}

static bool set_size(struct window *w, unsigned width, unsigned height)
{
	w->w = width < 1 ? 1 : width > DISPLAY_MAX_W ? DISPLAY_MAX_W : width;
	w->h = height < 1 ? 1 : height > DISPLAY_MAX_H ? DISPLAY_MAX_H : height;
	if (w->texture)
		w->sdl.DestroyTexture(w->texture);
	w->texture = w->sdl.CreateTexture(w->renderer, PIXEL_XRGB, TEXTURE_STREAMING, (int)w->w,
					  (int)w->h);
	if (!w->texture)
		return false;
	w->sdl.RenderSetLogicalSize(w->renderer, (int)w->w, (int)w->h);
	if (!w->full_screen)
		w->sdl.SetWindowSize(w->window, (int)w->w, (int)w->h);
	w->dirty = true;
	return true;
}

static bool open_window(struct window *w, struct error *err)
{
	if (w->sdl.Init(INIT_VIDEO) == 0) {
		w->sdl.SetHint("SDL_VIDEO_ALLOW_SCREENSAVER", "1");
		w->sdl.SetHint("SDL_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR", "0");
		w->window = w->sdl.CreateWindow(w->cfg.name, POS_UNDEFINED, POS_UNDEFINED, 640, 480,
						WINDOW_RESIZABLE);
	}
	if (w->window)
		w->renderer = w->sdl.CreateRenderer(w->window, -1, 0);
	if (!w->renderer || !set_size(w, 640, 480)) {
		error_set(err, -EIO,
			  "display 'sdl': no window: %s; is this a desktop session? Use "
			  "--display vnc:127.0.0.1:5901 where there is none",
			  w->sdl.GetError());
		return false;
	}
	w->full_screen = w->cfg.full_screen;
	if (w->full_screen)
		w->sdl.SetWindowFullscreen(w->window, WINDOW_FULL_SCREEN);
	set_title(w);
	show_cursor(w);
	return true;
}

/* ------------------------------------------------------------------ the person */

static void tell_move(struct window *w, int x, int y, int dz, int dh)
{
	struct viewer_move m = {.x = x,
				.y = y,
				.relative = !w->absolute,
				.buttons = (uint8_t)w->buttons,
				.dz = (int8_t)dz,
				.dh = (int8_t)dh};

	viewer_tell(VIEWER_MOVE, &m, sizeof(m), MSG_DONTWAIT);
}

/* Keys of the window itself; true: it was one. */
static bool own_key(struct window *w, const union event *e)
{
	if (!(e->key.mod & MOD_CTRL) || !(e->key.mod & MOD_ALT))
		return false;
	switch (e->key.scancode) {
	case USAGE_G:
		if (e->type == EV_KEY_DOWN)
			capture(w, !w->captured && !w->absolute);
		return true;
	case USAGE_F:
		if (e->type != EV_KEY_DOWN || e->key.repeat)
			return true;
		w->full_screen = !w->full_screen;
		w->sdl.SetWindowFullscreen(w->window, w->full_screen ? WINDOW_FULL_SCREEN : 0);
		w->dirty = true;
		return true;
	case USAGE_U:
		if (e->type == EV_KEY_DOWN && !w->full_screen)
			w->sdl.SetWindowSize(w->window, (int)w->w, (int)w->h);
		return true;
	default: return false;
	}
}

static void on_key(struct window *w, const union event *e)
{
	struct viewer_key k = {sdl_key_code((uint32_t)e->key.scancode), e->type == EV_KEY_DOWN};

	if (!own_key(w, e) && k.code)
		viewer_tell(VIEWER_KEY, &k, sizeof(k), MSG_DONTWAIT);
}

static void on_button(struct window *w, const union event *e)
{
	/* SDL counts left, middle, right, two at the side from 1. */
	static const uint8_t bits[] = {0, 0x01, 0x04, 0x02, 0x08, 0x10};
	unsigned bit = e->button.button < ARRAY_SIZE(bits) ? bits[e->button.button] : 0;

	if (!w->absolute && !w->captured) {
		if (e->type == EV_BUTTON_DOWN)
			capture(w, true);
		return;
	}
	w->buttons = e->type == EV_BUTTON_DOWN ? w->buttons | bit : w->buttons & ~bit;
	tell_move(w, w->absolute ? e->button.x : 0, w->absolute ? e->button.y : 0, 0, 0);
}

static void on_event(struct window *w, const union event *e)
{
	switch (e->type) {
	case EV_QUIT: w->closed = true; break;
	case EV_KEY_DOWN:
	case EV_KEY_UP: on_key(w, e); break;
	case EV_MOTION:
		w->x = e->motion.x;
		w->y = e->motion.y;
		if (w->absolute)
			tell_move(w, w->x, w->y, 0, 0);
		else if (w->captured)
			tell_move(w, e->motion.dx, e->motion.dy, 0, 0);
		break;
	case EV_BUTTON_DOWN:
	case EV_BUTTON_UP: on_button(w, e); break;
	case EV_WHEEL:
		if (w->absolute || w->captured)
			tell_move(w, w->absolute ? w->x : 0, w->absolute ? w->y : 0, -e->wheel.y,
				  e->wheel.x);
		break;
	case EV_WINDOW:
		if (e->window.event == WIN_FOCUS_LOST) {
			capture(w, false);
			viewer_tell(VIEWER_GONE, NULL, 0, MSG_DONTWAIT);
		}
		if (e->window.event == WIN_EXPOSED || e->window.event == WIN_SIZE_CHANGED)
			w->dirty = true;
		break;
	default: break;
	}
}

/* ------------------------------------------------------------------ the VM */

static void damage(struct window *w, const struct display_rect *r)
{
	struct sdl_rect to = {r->x, r->y, r->w, r->h};

	if (r->x >= w->w || r->y >= w->h)
		return;
	to.w = MIN(to.w, (int)w->w - to.x);
	to.h = MIN(to.h, (int)w->h - to.y);
	w->sdl.UpdateTexture(w->texture, &to, w->px + (size_t)to.y * w->w + to.x, (int)w->w * 4);
	w->dirty = true;
}

static void on_pointer(struct window *w, bool absolute)
{
	w->absolute = absolute;
	if (absolute)
		capture(w, false);
	show_cursor(w);
	set_title(w);
}

static void on_shape(struct window *w, const uint8_t *p, size_t len)
{
	memset(&w->shape, 0, sizeof(w->shape));
	memcpy(&w->shape, p, MIN(len, sizeof(w->shape)));
	w->has_shape = len >= offsetof(struct display_cursor, px) &&
		       w->shape.w <= DISPLAY_CURSOR_MAX && w->shape.h <= DISPLAY_CURSOR_MAX;
	show_cursor(w);
}

static bool handle(struct window *w, const uint8_t *p, size_t len)
{
	struct viewer_size size;
	struct display_rect r;

	switch (w->buf[0]) {
	case VIEWER_SIZE:
		if (len != sizeof(size))
			break;
		memcpy(&size, p, sizeof(size));
		return set_size(w, size.w, size.h);
	case VIEWER_DAMAGE:
		w->asked = false;
		for (; len >= sizeof(r); p += sizeof(r), len -= sizeof(r)) {
			memcpy(&r, p, sizeof(r));
			damage(w, &r);
		}
		break;
	case VIEWER_CURSOR: on_shape(w, p, len); break;
	case VIEWER_POINTER: on_pointer(w, len && p[0]); break;
	}
	return true;
}

/* Messages of the VM; false when it has closed the socket. */
static bool from_vm(struct window *w)
{
	for (unsigned i = 0; i < BATCH; i++) {
		ssize_t n = recv(VIEWER_FD, w->buf, sizeof(w->buf), MSG_DONTWAIT);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		if (n == 0 || !handle(w, w->buf + 1, (size_t)n - 1))
			return false;
	}
	return true;
}

static void run(struct window *w)
{
	while (!w->closed && from_vm(w)) {
		union event e = {0};
		int wait = WAIT_MS;

		if (!w->asked)
			w->asked = viewer_tell(VIEWER_WANT, NULL, 0, MSG_DONTWAIT);
		if (w->dirty) {
			w->dirty = false;
			w->sdl.RenderClear(w->renderer);
			w->sdl.RenderCopy(w->renderer, w->texture, NULL, NULL);
			w->sdl.RenderPresent(w->renderer);
		}
		for (unsigned i = 0; i < BATCH && w->sdl.WaitEventTimeout(&e, wait); i++) {
			on_event(w, &e);
			wait = 0;
		}
	}
	if (w->closed)
		viewer_tell(VIEWER_CLOSED, NULL, 0, 0);
}

int sdl_helper_main(int argc, char **argv)
{
	struct window *w = xnew(struct window);
	struct error err = {0};
	int r = viewer_start(SDL_ARGV0, &w->cfg);
	void *px;

	if (r)
		return r;
	px = mmap(NULL, DISPLAY_BYTES, PROT_READ, MAP_SHARED, VIEWER_PICTURE_FD, 0);
	if (px == MAP_FAILED)
		error_set(&err, -errno, "display 'sdl': cannot map the picture: %s",
			  strerror(errno));
	close(VIEWER_PICTURE_FD);
	w->px = px;
	if (px == MAP_FAILED || !load_library(w, &err) || !open_window(w, &err)) {
		viewer_tell(VIEWER_ERROR, err.text, strlen(err.text), 0);
		return 2;
	}
	if (viewer_tell(VIEWER_UP, NULL, 0, 0))
		run(w);
	w->sdl.Quit();
	return 0;
}
