/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices of a running VM that come and go: `bothy attach`, `bothy detach`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/remote.h"

enum { O_FORCE };
#define WAIT_S 30 /* for the guest to let a device go */

/* clang-format off */
static const struct cli_option attach_options[] = {
	{"help", 'h', NULL, "this text"},
	{0}};
static const struct cli_option detach_options[] = {
	[O_FORCE] = {"force", 'f', NULL, "pull it out, whether or not the guest still uses it"},
	{"help", 'h', NULL, "this text"},
	{0}};
/* clang-format on */

static const struct {
	const char *word, *driver;
} buses[] = {
	{"virtio", "virtio-blk-pci"}, {"nvme", "nvme"},       {"scsi", "scsi-hd"},
	{"ahci", "ide-hd"},           {"usb", "usb-storage"},
};

/* "if=KIND": the driver, or NULL after a message. */
static const char *driver_of(const char *kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(buses); i++)
		if (!strcmp(buses[i].word, kind))
			return buses[i].driver;
	cli_die(EXIT_USAGE, "unknown kind of disk '%s'; there is: virtio, nvme, scsi, ahci, usb",
		kind);
	return NULL;
}

/* FILE[,ro][,overlay][,if=KIND] as arguments of device_add; NULL after a message. */
static json_t *disk_args(const char *what, int *ret_status)
{
	const char *driver = buses[0].driver;
	char *file = xstrdup(what), *path = NULL;
	bool ro = false, overlay = false;
	json_t *args = NULL;

	*ret_status = EXIT_USAGE;
	/* Options are taken from the end, so that a path may have commas. */
	for (char *comma; driver && (comma = strrchr(file, ','));) {
		if (!strcmp(comma, ",ro"))
			ro = true;
		else if (!strcmp(comma, ",overlay"))
			overlay = true;
		else if (!strncmp(comma, ",if=", 4))
			driver = driver_of(comma + 4);
		else
			break;
		*comma = 0;
	}
	if (driver && !*file)
		cli_die(0, "name the FILE of a disk image, 'keyboard' or 'tablet'");
	if (driver && *file) {
		path = remote_path(file);
		*ret_status = EXIT_HOST;
	}
	if (path)
		args = json_pack("{s:s, s:s, s:b, s:b}", "driver", driver, "file", path,
				 "read-only", (int)ro, "overlay", (int)overlay);
	if (path && !args)
		cli_die(0, "'%s' cannot be said to the VM: it is no UTF-8", path);
	free(path);
	free(file);
	return args;
}

static int attach_main(int argc, char **argv)
{
	const char *arg[3];
	unsigned flags;
	int n = remote_flags(&cli_attach, argc, argv, arg, 2, 3, &flags), r = 0;
	json_t *args, *value = NULL;

	if (n <= 0)
		return -n;
	if (!strcmp(arg[1], "keyboard") || !strcmp(arg[1], "tablet"))
		args = json_pack("{s:s}", "driver", arg[1][0] == 'k' ? "usb-kbd" : "usb-tablet");
	else
		args = disk_args(arg[1], &r);
	if (!args)
		return r;
	if (n == 3)
		json_object_set_new(args, "id", json_string(arg[2]));
	r = remote_execute(arg[0], "device_add", args, &value);
	if (r == EXIT_OK)
		printf("%s\n", json_string_value(json_object_get(value, "id")));
	json_decref(value);
	return r;
}

/* Is @id still there? 1, 0, or a negative exit status. */
static int is_there(const char *vm, const char *id)
{
	json_t *list = NULL, *e;
	int r = remote_execute(vm, "x-query-attached", NULL, &list), there = 0;
	size_t i;

	if (r)
		return -r;
	json_array_foreach(list, i, e)
	{
		const char *name = json_string_value(json_object_get(e, "id"));

		there |= name && !strcmp(name, id);
	}
	json_decref(list);
	return there;
}

static int detach_main(int argc, char **argv)
{
	const struct timespec pause = {.tv_nsec = 200 * 1000000};
	const char *arg[2];
	unsigned flags;
	int n = remote_flags(&cli_detach, argc, argv, arg, 2, 2, &flags), r;

	if (n <= 0)
		return -n;
	r = remote_execute(
		arg[0], "device_del",
		json_pack("{s:s, s:b}", "id", arg[1], "force", (int)(flags >> O_FORCE & 1)), NULL);
	for (unsigned i = 0; r == 0; i++) {
		int there = is_there(arg[0], arg[1]);

		if (there <= 0)
			return -there;
		if (i == WAIT_S * 5)
			return cli_die(
				EXIT_HOST,
				"the guest has not let '%s' go within %u s; is its driver for hot "
				"plug there? --force pulls it out",
				arg[1], WAIT_S);
		nanosleep(&pause, NULL);
	}
	return r;
}

const struct cli_command cli_attach = {
	.name = "attach",
	.summary = "Plug a disk, a USB keyboard or a USB tablet into a running VM.",
	.usage = "NAME FILE[,ro][,overlay][,if=virtio|nvme|scsi|ahci|usb] | keyboard | tablet [ID]",
	.options = attach_options,
	.run = attach_main,
};
const struct cli_command cli_detach = {
	.name = "detach",
	.summary = "Take what was attached out again, when the guest has let it go.",
	.usage = "NAME ID [--force]",
	.options = detach_options,
	.run = detach_main,
};
