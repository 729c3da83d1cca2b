/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket of a VM: JSON requests and answers as in the QEMU Machine Protocol
 * (docs/interop/qmp-spec: greeting, qmp_capabilities, execute/arguments/id, return/error, events).
 * See qmp.c for the commands.
 */
#ifndef CONTROL_QMP_H
#define CONTROL_QMP_H

#include <sys/types.h>

#include "base/err.h"

struct qmp;
struct vm;

/**
 * qmp_open() - listen on a unix socket
 * @path: created with mode 0600; a socket nobody listens on any more is replaced, a live one is
 * -EADDRINUSE. Bus lock held; @vm is borrowed and must outlive it. 0 or -errno with text.
 */
int qmp_open(struct vm *vm, const char *name, const char *path, struct qmp **ret_q,
	     struct error *err) MUST_CHECK;
/** qmp_close() - drop the clients, remove the socket. NULL is fine. Bus lock held. */
void qmp_close(struct qmp *q);
/** qmp_event() - tell every client of event @name without data. Bus lock held. NULL is fine. */
void qmp_event(struct qmp *q, const char *name);

/**
 * qmp_path() - where the socket of the VM @name is: $XDG_RUNTIME_DIR/bothy/NAME.sock, or under
 * /tmp/bothy-UID without that variable
 * @make: create the directory, mode 0700. Caller frees. NULL with text: the name is not one
 * (letters, digits, '.', '_', '-'), or the directory is not ours.
 */
char *qmp_path(const char *name, bool make, struct error *err);

/* ---- for the fuzzer and tests ---- */

/** qmp_scan() - find the end of the first JSON value in @len bytes: its length, 0 if it is not
 * complete, -EINVAL if it can't become a JSON object. Leading white space counts. */
ssize_t qmp_scan(const char *p, size_t len) MUST_CHECK;

#endif
