/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices that come and go over the control socket: device_add, device_del and the event
 * DEVICE_DELETED as in the QEMU QMP Reference Manual, with its names of drivers; x-query-attached.
 * An image is named by "file" of device_add itself ("read-only": true, "overlay": true); there is
 * no graph of block nodes to name one by.
 */
#include <errno.h>
#include <string.h>

#include "control/qmp_request.h"

static const struct {
	const char *driver;
	enum machine_disk_kind disk; /* MACHINE_DISK_KIND_COUNT: an input device */
	bool tablet;
} drivers[] = {
	{"virtio-blk-pci", MACHINE_DISK_VIRTIO, false}, {"nvme", MACHINE_DISK_NVME, false},
	{"scsi-hd", MACHINE_DISK_SCSI, false},          {"ide-hd", MACHINE_DISK_AHCI, false},
	{"usb-storage", MACHINE_DISK_USB, false},       {"usb-kbd", MACHINE_DISK_KIND_COUNT, false},
	{"usb-tablet", MACHINE_DISK_KIND_COUNT, true},
};

static const char *word(const struct qmp_request *req, const char *name)
{
	return json_string_value(json_object_get(req->args, name));
}

static bool flag(const struct qmp_request *req, const char *name)
{
	return json_is_true(json_object_get(req->args, name));
}

json_t *qmp_device_add(struct qmp_request *req)
{
	const char *driver = word(req, "driver"), *id = word(req, "id");
	struct vm_disk d = {.path = word(req, "file"),
			    .read_only = flag(req, "read-only"),
			    .overlay = flag(req, "overlay")};
	struct error err = {0};
	size_t i = 0;
	int r;

	if (!driver)
		return qmp_bad(req, "Parameter 'driver' is missing");
	while (i < ARRAY_SIZE(drivers) && strcmp(drivers[i].driver, driver))
		i++;
	if (i == ARRAY_SIZE(drivers))
		return qmp_bad(req,
			       "'%.40s' is not a driver for device_add; there is: virtio-blk-pci, "
			       "nvme, scsi-hd, ide-hd, usb-storage, usb-kbd, usb-tablet",
			       driver);
	d.kind = drivers[i].disk;
	if (d.kind == MACHINE_DISK_KIND_COUNT)
		r = vm_attach_input(req->vm, id, drivers[i].tablet, &id, &err);
	else if (!d.path)
		return qmp_bad(req, "Parameter 'file' is missing");
	else
		r = vm_attach_disk(req->vm, id, &d, &id, &err);
	return r < 0 ? qmp_bad(req, "%s", err.text) : json_pack("{s:s}", "id", id);
}

json_t *qmp_device_del(struct qmp_request *req)
{
	const char *id = word(req, "id");
	struct error err = {0};

	if (!id)
		return qmp_bad(req, "Parameter 'id' is missing");
	if (vm_detach(req->vm, id, flag(req, "force"), &err) < 0)
		return qmp_bad(req, "%s", err.text);
	return json_object();
}

json_t *qmp_query_attached(struct qmp_request *req)
{
	json_t *list = json_array();
	struct vm_attached a;

	for (unsigned i = 0; i < MACHINE_PLUGS; i++) {
		json_t *e, *file;

		if (!vm_get_attached(req->vm, i, &a))
			continue;
		e = json_pack("{s:s, s:s, s:b}", "id", a.id, "kind", a.kind, "leaving", a.leaving);
		if (a.file) {
			file = json_string(a.file); /* a path that is no UTF-8 cannot be told */
			json_object_set_new(e, "file", file ? file : json_string("?"));
			json_object_set_new(e, "ro", json_boolean(a.read_only));
		}
		json_array_append_new(list, e);
	}
	return list;
}
