/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "sdl": a window, in a helper process (viewer.c, sdl_worker.c): the desktop's client libraries and
 * graphics drivers stay out of the VM's process. They need files, sockets and devices of their own
 * choosing, so this helper has no sandbox; it sees the picture and can press keys.
 */
#include "display/sdl.h"

#include <stdlib.h>

struct sdl {
	struct viewer_process viewer;
};

int sdl_open(struct loop *loop, struct display *d, const char *name, bool full_screen,
	     void (*closed)(void *ctx), void *ctx, struct sdl **ret_s, struct error *err)
{
	/* What finds a desktop, its fonts and drivers, and the person's wishes. */
	static const char *const env[] = {"LD_LIBRARY_PATH",
					  "DISPLAY",
					  "XAUTHORITY",
					  "WAYLAND_DISPLAY",
					  "XDG_RUNTIME_DIR",
					  "XDG_SESSION_TYPE",
					  "HOME",
					  "PATH",
					  "LANG",
					  "XMODIFIERS",
					  "SDL_VIDEODRIVER",
					  "SDL_RENDER_DRIVER",
					  "LIBGL_ALWAYS_SOFTWARE",
					  NULL};
	struct sdl *s = xnew(struct sdl);
	int r;

	s->viewer = (struct viewer_process){.what = "sdl",
					    .argv0 = SDL_ARGV0,
					    .start_s = 40, /* graphics drivers are large */
					    .env = env,
					    .extra_fd = {-1, -1},
					    .closed = closed,
					    .ctx = ctx};
	s->viewer.cfg.full_screen = full_screen;
	r = viewer_open(&s->viewer, loop, d, name, err);
	if (r < 0) {
		sdl_close(s);
		return r;
	}
	*ret_s = s;
	return 0;
}

void sdl_close(struct sdl *s)
{
	if (!s)
		return;
	viewer_close(&s->viewer);
	free(s);
}
