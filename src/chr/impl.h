/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kinds of character back ends share: the descriptors, the two rings, and the watching of
 * descriptors. chr.c does all reading and writing; a kind only opens descriptors, says when a peer
 * came or went, and may look at typed bytes first (the menu of stdio).
 */
#ifndef CHR_IMPL_H
#define CHR_IMPL_H

#include "chr/chr.h"
#include "chr/ring.h"
#include "host/loop.h"

#define CHR_OUT_RING 65536u /* bytes of output kept for a slow or absent peer */
#define CHR_IN_RING  4096u  /* bytes of input kept for a slow front end */

struct chr_kind {
	const char *name;   /* "stdio"; with takes_arg: "file" of "file:PATH" */
	bool takes_arg;     /* the specification continues with ":ARG" */
	const char *syntax; /* for messages */
	int (*open)(struct chr *c, const char *arg, struct error *err);
	void (*close)(struct chr *c); /* copes with a half-opened back end; may be NULL */
	/* Look at @len bytes just read, edit in place, return how many are for the guest. */
	size_t (*filter)(struct chr *c, uint8_t *buf, size_t len);
	/* The descriptor reported a hang-up or an error; NULL: input just ends. */
	void (*hangup)(struct chr *c);
};

struct chr {
	struct loop *loop; /* borrowed */
	const struct chr_kind *kind;
	char *desc; /* for messages */
	struct chr_handler h;
	bool have_handler;

	int in_fd, out_fd;                /* -1 = none; owned by the kind; may be the same number */
	bool in_is_socket, out_is_socket; /* use recv()/send() without waiting */
	struct loop_fd *in_watch, *out_watch;
	struct loop_timer *kick; /* runs chr_turn() on the loop's thread */
	bool in_eof;
	bool in_lossy;       /* terminal: with a full input ring, typed bytes are dropped */
	bool peer;           /* somebody is there; otherwise the newest output is kept for later */
	bool sink;           /* output goes nowhere, at once */
	bool wants_writable; /* a write was cut short: tell the front end when there is room */
	bool closing;
	struct ring in, out;

	void (*menu)(void *ctx, char key);
	void *menu_ctx;
	void (*tap)(void *ctx, const uint8_t *buf, size_t len);
	void *tap_ctx;
	bool deaf;      /* chr_deafen() */
	bool menu_open; /* Ctrl-] was typed, the next key is for the menu */

	void *drv; /* the kind's own */
};

extern const struct chr_kind chr_stdio_kind, chr_null_kind, chr_file_kind, chr_pty_kind,
	chr_unix_kind;

/** chr_set_fds() - (re)place the descriptors, stop watching the old ones. -1 = none. */
void chr_set_fds(struct chr *c, int in_fd, int out_fd);
/** chr_set_peer() - tell the front end that a peer came or went. Loop thread or open. */
void chr_set_peer(struct chr *c, bool peer);
/** chr_kick() - have chr_turn() run soon on the loop's thread. Lock held, any thread. */
void chr_kick(struct chr *c);

#endif
