/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Discs and diskettes over the control socket: query-block, eject, blockdev-open-tray,
 * blockdev-close-tray, blockdev-remove-medium, blockdev-change-medium, as in the QEMU QMP Reference
 * Manual. A drive is named by "device" or "id": cd0, cd1, floppy0 ... The medium is always a raw
 * image.
 */
#include <errno.h>
#include <string.h>

#include "control/qmp_request.h"

/* The drive that a request names, or -errno after qmp_bad(). */
static int drive_of(struct qmp_request *req)
{
	const char *name = json_string_value(json_object_get(req->args, "device"));
	struct error err = {0};
	int i;

	if (!name)
		name = json_string_value(json_object_get(req->args, "id"));
	if (!name) {
		qmp_bad(req, "Parameter 'id' is missing");
		return -EINVAL;
	}
	i = vm_find_drive(req->vm, name, &err);
	if (i < 0)
		qmp_bad(req, "%s", err.text);
	return i;
}

static bool flag(const struct qmp_request *req, const char *name)
{
	return json_is_true(json_object_get(req->args, name));
}

static json_t *finish(struct qmp_request *req, int r, const struct error *err)
{
	return r < 0 ? qmp_bad(req, "%s", err->text) : json_object();
}

json_t *qmp_query_block(struct qmp_request *req)
{
	json_t *list = json_array();
	struct vm_drive d;

	for (unsigned i = 0; i < MACHINE_DISKS_MAX; i++) {
		json_t *e;

		if (!vm_get_drive(req->vm, i, &d))
			continue;
		e = json_pack("{s:s, s:s, s:b, s:b}", "device", d.name, "type", "unknown",
			      "removable", 1, "locked", d.locked);
		if (d.cdrom)
			json_object_set_new(e, "tray_open", json_boolean(d.tray_open));
		if (d.file) {
			/* a path that is no UTF-8 cannot be told */
			json_t *file = json_string(d.file);

			json_object_set_new(e, "inserted",
					    json_pack("{s:o, s:b, s:s}", "file",
						      file ? file : json_string("?"), "ro",
						      d.read_only, "drv", "raw"));
		}
		json_array_append_new(list, e);
	}
	return list;
}

json_t *qmp_eject(struct qmp_request *req)
{
	struct error err = {0};
	int i = drive_of(req);

	return i < 0 ? NULL
		     : finish(req, vm_eject(req->vm, (unsigned)i, flag(req, "force"), &err), &err);
}

json_t *qmp_open_tray(struct qmp_request *req)
{
	struct error err = {0};
	int i = drive_of(req);

	return i < 0 ? NULL
		     : finish(req, vm_open_tray(req->vm, (unsigned)i, flag(req, "force"), &err),
			      &err);
}

json_t *qmp_close_tray(struct qmp_request *req)
{
	struct error err = {0};
	int i = drive_of(req);

	return i < 0 ? NULL : finish(req, vm_close_tray(req->vm, (unsigned)i, &err), &err);
}

/* Only from an open tray, or from a drive without one. */
json_t *qmp_remove_medium(struct qmp_request *req)
{
	struct error err = {0};
	struct vm_drive d;
	int i = drive_of(req);

	if (i < 0)
		return NULL;
	if (vm_get_drive(req->vm, (unsigned)i, &d) && d.cdrom && !d.tray_open)
		return qmp_bad(req, "Tray of device '%s' is not open", d.name);
	return finish(req, vm_eject(req->vm, (unsigned)i, false, &err), &err);
}

json_t *qmp_change_medium(struct qmp_request *req)
{
	const char *file = json_string_value(json_object_get(req->args, "filename"));
	const char *format = json_string_value(json_object_get(req->args, "format"));
	const char *mode = json_string_value(json_object_get(req->args, "read-only-mode"));
	struct error err = {0};
	struct vm_drive d;
	bool ro;
	int i;

	if (!file)
		return qmp_bad(req, "Parameter 'filename' is missing");
	if (format && strcmp(format, "raw"))
		return qmp_bad(req, "Unknown format '%.20s': media are raw images", format);
	i = drive_of(req);
	if (i < 0 || !vm_get_drive(req->vm, (unsigned)i, &d))
		return NULL;
	ro = mode && !strcmp(mode, "read-only");
	if (!mode || !strcmp(mode, "retain"))
		ro = d.read_only;
	return finish(req, vm_insert(req->vm, (unsigned)i, file, ro, flag(req, "force"), &err),
		      &err);
}
