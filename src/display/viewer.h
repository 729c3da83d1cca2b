/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A viewer in a process of its own (a VNC server, a window), and the messages between it and the
 * VM. See viewer.c.
 *
 * One SOCK_SEQPACKET socket pair. Each message is one byte of type and a payload:
 *
 *   to the helper    VIEWER_CONFIG  struct viewer_config, once, first
 *                    VIEWER_SIZE    struct viewer_size: the picture has this size now
 *                    VIEWER_DAMAGE  struct display_rect[]: what changed; the answer to VIEWER_WANT
 *                    VIEWER_CURSOR  struct display_cursor, cut after its pixels; empty: none
 *                    VIEWER_POINTER one byte: the guest's pointer takes positions
 *                    VIEWER_REFUSED the guest can't have the size asked for
 *   from the helper  VIEWER_UP      the sandbox is closed, clients may come
 *                    VIEWER_ERROR   text: could not start; the helper ends
 *                    VIEWER_WANT    somebody waits for a change
 *                    VIEWER_KEY     struct viewer_key
 *                    VIEWER_MOVE    struct viewer_move
 *                    VIEWER_RESIZE  struct viewer_size: a client would like this size
 *                    VIEWER_GONE    the last client left
 *                    VIEWER_CLOSED  the person has closed the window
 */
#ifndef DISPLAY_VIEWER_H
#define DISPLAY_VIEWER_H

#include "display/display.h"

#define VIEWER_FD           3 /* the helper's end of the socket pair */
#define VIEWER_PICTURE_FD   4 /* the picture, opened for reading only */
#define VIEWER_FIRST_FD     5 /* what this kind of viewer gets besides */
#define VIEWER_FDS          2 /* of those, at most */
#define VIEWER_CONFIG_MAGIC 0x62767631u
#define VIEWER_RECTS        256u /* in one message */
#define VIEWER_MESSAGE_MAX  (1 + sizeof(struct display_cursor))

enum viewer_message {
	VIEWER_CONFIG = 'C',
	VIEWER_SIZE = 'S',
	VIEWER_DAMAGE = 'D',
	VIEWER_CURSOR = 'P',
	VIEWER_POINTER = 'A',
	VIEWER_REFUSED = 'X',
	VIEWER_UP = 'U',
	VIEWER_ERROR = 'E',
	VIEWER_WANT = 'W',
	VIEWER_KEY = 'K',
	VIEWER_MOVE = 'M',
	VIEWER_RESIZE = 'Z',
	VIEWER_GONE = 'G',
	VIEWER_CLOSED = 'Q',
};

struct viewer_config {
	uint32_t magic, parent_pid;
	uint8_t has_password, full_screen, pad_[2];
	char name[64];
};
struct viewer_size {
	uint16_t w, h;
};
struct viewer_key {
	uint8_t code, down;
};
struct viewer_move {
	int32_t x, y;
	uint8_t relative, buttons;
	int8_t dz, dh;
};

struct loop;
struct loop_fd;
struct loop_timer;

/* The VM's side. Embedded in what owns it, which fills in the first part. */
struct viewer_process {
	const char *what;          /* "vnc", for messages */
	unsigned start_s;          /* it may take so long to be up */
	const char *argv0;         /* what main() tells the helper by */
	const char *const *env;    /* names of variables it gets, NULL-terminated */
	int extra_fd[VIEWER_FDS];  /* borrowed; -1: none */
	struct viewer_config cfg;  /* magic and parent_pid are filled in */
	void (*closed)(void *ctx); /* VIEWER_CLOSED; the helper ends. NULL: nonsense */
	void *ctx;
	/* private */
	struct loop *loop;
	struct display *d;
	struct display_viewer viewer;
	int picture_fd, fd;
	int pid; /* 0: none */
	struct loop_fd *watch;
	struct loop_timer *retry_timer, *frame_timer;
	ns_t retry, frame, next_frame;
	bool wanted; /* somebody waits for a change */
	bool lost;   /* messages did not go through: all is damage */
	bool absolute_told, absolute, over;
	unsigned n_rects;
	struct display_rect rect[VIEWER_RECTS];
};

/** viewer_open() - start the helper and wait until it is up. Bus lock held. 0 or -errno with text;
 * viewer_close() is owed in any case. */
int viewer_open(struct viewer_process *v, struct loop *loop, struct display *d, const char *name,
		struct error *err) MUST_CHECK;
/** viewer_close() - end the helper. Harmless on a zeroed struct. Bus lock held. */
void viewer_close(struct viewer_process *v);

/* ---- In the helper ---- */

/** viewer_tell() - a message to the VM; @flags as for sendmsg(). False: it did not go. */
bool viewer_tell(enum viewer_message type, const void *p, size_t len, int flags);
/** viewer_start() - die with the VM, take the configuration. 0, or the status to exit with. */
int viewer_start(const char *argv0, struct viewer_config *cfg);

#endif
