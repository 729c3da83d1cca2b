/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VNC server of a VM: a helper process (viewer.h) that speaks RFB with clients. See vnc.c.
 */
#ifndef DISPLAY_VNC_H
#define DISPLAY_VNC_H

#include "display/viewer.h"

#define VNC_ARGV0     "bothy-vnc"
#define VNC_LISTEN_FD VIEWER_FIRST_FD
#define VNC_PASSWORD_FD                                                                            \
	(VIEWER_FIRST_FD + 1) /* a file whose first line it is; when config.has_password */

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
