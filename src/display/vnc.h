/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VNC server of a VM: a helper process that speaks RFB with clients, and the messages between
 * it and the VM. See vnc.c.
 *
 * One SOCK_SEQPACKET socket pair. Each message is one byte of type and a payload:
 *
 *   to the helper    VNC_CONFIG  struct vnc_config, once, first
 *                    VNC_SIZE    struct vnc_size: the picture has this size now
 *                    VNC_DAMAGE  struct display_rect[]: what changed; the answer to VNC_WANT
 *                    VNC_CURSOR  struct display_cursor, cut after its pixels; empty: none
 *                    VNC_POINTER one byte: the guest's pointer takes positions
 *                    VNC_REFUSED the guest can't have the size asked for
 *   from the helper  VNC_UP      the sandbox is closed, clients may come
 *                    VNC_ERROR   text: could not start; the helper ends
 *                    VNC_WANT    somebody waits for a change
 *                    VNC_KEY     struct vnc_key
 *                    VNC_MOVE    struct vnc_move
 *                    VNC_RESIZE  struct vnc_size: a client would like this size
 *                    VNC_GONE    the last client left
 */
#ifndef DISPLAY_VNC_H
#define DISPLAY_VNC_H

#include "display/display.h"

#define VNC_ARGV0        "bothy-vnc"
#define VNC_FD           3 /* the helper's end of the socket pair */
#define VNC_PICTURE_FD   4 /* the picture, opened for reading only */
#define VNC_LISTEN_FD    5
#define VNC_PASSWORD_FD  6 /* a file whose first line it is; when config.has_password */
#define VNC_CONFIG_MAGIC 0x62767631u
#define VNC_RECTS        256u /* in one message */
#define VNC_MESSAGE_MAX  (1 + sizeof(struct display_cursor))

enum vnc_message {
	VNC_CONFIG = 'C',
	VNC_SIZE = 'S',
	VNC_DAMAGE = 'D',
	VNC_CURSOR = 'P',
	VNC_POINTER = 'A',
	VNC_REFUSED = 'X',
	VNC_UP = 'U',
	VNC_ERROR = 'E',
	VNC_WANT = 'W',
	VNC_KEY = 'K',
	VNC_MOVE = 'M',
	VNC_RESIZE = 'Z',
	VNC_GONE = 'G',
};

struct vnc_config {
	uint32_t magic, parent_pid;
	uint8_t has_password, pad_[3];
	char name[64];
};
struct vnc_size {
	uint16_t w, h;
};
struct vnc_key {
	uint8_t code, down;
};
struct vnc_move {
	int32_t x, y;
	uint8_t relative, buttons;
	int8_t dz, dh;
};

struct vnc;
struct loop;

/**
 * vnc_open() - start the server
 * @spec: "ADDRESS:PORT" or "unix:PATH", then perhaps ",password-file=PATH". An address that is not
 * the loopback needs a password. Bus lock held. 0 or -errno with text.
 */
int vnc_open(struct loop *loop, struct display *d, const char *name, const char *spec,
	     struct vnc **ret_v, struct error *err) MUST_CHECK;
/** vnc_close() - end the helper. NULL is fine. Bus lock held. */
void vnc_close(struct vnc *v);

/** vnc_helper_main() - main() of the helper: call it when argv[0] is VNC_ARGV0. */
int vnc_helper_main(int argc, char **argv);

#endif
