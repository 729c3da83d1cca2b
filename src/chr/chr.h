/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character back ends: where a serial port or console goes on the host (stdio, file, pty, unix
 * socket, nothing). Non-blocking; output that the host does not take is kept in a bounded ring and
 * the front end is told when there is room again, so a guest is slowed, never a host filled.
 *
 * Bus lock held everywhere; callbacks come on the loop's thread.
 */
#ifndef CHR_CHR_H
#define CHR_CHR_H

#include "base/err.h"

struct chr;
struct loop;

struct chr_handler {
	size_t (*can_receive)(void *ctx); /* bytes the front end takes now */
	void (*receive)(void *ctx, const uint8_t *buf, size_t len); /* len <= can_receive() */
	void (*writable)(void *ctx);         /* room again after a short write */
	void (*event)(void *ctx, bool open); /* peer came or went */
	void *ctx;
};

/**
 * chr_open() - @spec: "stdio", "null", "file:PATH", "pty", "unix:PATH" (listens; one client)
 * stdio puts a terminal into raw mode and restores it on chr_close(), exit and fatal signals;
 * Ctrl-] opens the menu (see chr_set_menu). Return 0, -EINVAL for an unknown spec, or -errno.
 */
int chr_open(struct loop *loop, const char *spec, struct chr **ret_chr,
	     struct error *err) MUST_CHECK;
void chr_close(struct chr *c);
/** chr_set_handler() - connect a front end (NULL disconnects). @h is copied. */
void chr_set_handler(struct chr *c, const struct chr_handler *h);
/** chr_write() - queue up to @len bytes; returns how many were taken (0 = full, wait for
 * writable).*/
size_t chr_write(struct chr *c, const void *buf, size_t len);
/** chr_poll_input() - the front end can receive again: resume reading. */
void chr_poll_input(struct chr *c);
/** chr_flush() - write out what is queued, waiting at most @ms. */
void chr_flush(struct chr *c, int ms);
/** chr_set_tap() - @fn sees all input when it comes from the host, before the front end does. */
void chr_set_tap(struct chr *c, void (*fn)(void *ctx, const uint8_t *buf, size_t len), void *ctx);
/** chr_deafen() - from now on input comes from chr_inject() alone. */
void chr_deafen(struct chr *c);
/** chr_inject() - input as if it came from the host; what does not fit is lost. */
void chr_inject(struct chr *c, const uint8_t *buf, size_t len);
/** chr_describe() - e.g. "pty /dev/pts/4", for messages; owned by @c. */
const char *chr_describe(const struct chr *c);
/** chr_set_menu() - @key is called for each key typed after Ctrl-] (stdio only): 'q' quit, 'p' ...
 */
void chr_set_menu(struct chr *c, void (*key)(void *ctx, char key), void *ctx);

#endif
