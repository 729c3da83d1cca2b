/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's screen in a window of the host's desktop; see sdl.c and sdl_worker.c.
 */
#ifndef DISPLAY_SDL_H
#define DISPLAY_SDL_H

#include "display/viewer.h"

#define SDL_ARGV0 "bothy-window"

struct sdl;

/**
 * sdl_open() - open the window
 * @full_screen: begin with all of the screen.
 * @closed: the person has closed the window. Bus lock held. Return: 0 or -errno with text (no SDL
 * library, no desktop).
 */
int sdl_open(struct loop *loop, struct display *d, const char *name, bool full_screen,
	     void (*closed)(void *ctx), void *ctx, struct sdl **ret_s,
	     struct error *err) MUST_CHECK;
/** sdl_close() - end the helper. NULL is fine. Bus lock held. */
void sdl_close(struct sdl *s);

/** sdl_helper_main() - main() of the helper: call it when argv[0] is SDL_ARGV0. */
int sdl_helper_main(int argc, char **argv);

/** sdl_key_code() - the key of a USB usage (Keyboard page, which SDL's scan codes are) as
 * display_key() has it; 0: no such key. */
uint8_t sdl_key_code(uint32_t usage);

#endif
