/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of the control socket, as qmp.c calls them: on the VM's main thread with the bus lock
 * held. A command returns its value (reference given away), or NULL after qmp_bad().
 */
#ifndef CONTROL_QMP_REQUEST_H
#define CONTROL_QMP_REQUEST_H

#include <jansson.h>

#include "control/qmp.h"
#include "vm/vm.h"

struct client;

struct qmp_request {
	struct client *c;
	struct vm *vm;
	json_t *args; /* object, borrowed; never NULL */
	json_t *id;
	char text[300]; /* of an error */
};
typedef json_t *(*qmp_fn)(struct qmp_request *req);

/** qmp_bad() - set the text of the error. NULL. */
json_t *qmp_bad(struct qmp_request *req, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* qmp_media.c */
json_t *qmp_query_block(struct qmp_request *req);
json_t *qmp_eject(struct qmp_request *req);
json_t *qmp_open_tray(struct qmp_request *req);
json_t *qmp_close_tray(struct qmp_request *req);
json_t *qmp_remove_medium(struct qmp_request *req);
json_t *qmp_change_medium(struct qmp_request *req);

/* qmp_plug.c */
json_t *qmp_device_add(struct qmp_request *req);
json_t *qmp_device_del(struct qmp_request *req);
json_t *qmp_query_attached(struct qmp_request *req);

#endif
