/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Discs and diskettes of a running VM: `bothy eject`, `bothy insert` (also called change).
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli/remote.h"

enum { O_FORCE };

/* clang-format off */
static const struct cli_option options[] = {
	[O_FORCE] = {"force", 'f', NULL, "even if the guest has locked the drive"},
	{"help", 'h', NULL, "this text"},
	{0}};
/* clang-format on */

static int eject_main(int argc, char **argv)
{
	const char *arg[2];
	unsigned flags;
	int n = remote_flags(&cli_eject, argc, argv, arg, 2, 2, &flags);

	if (n <= 0)
		return -n;
	return remote_execute(
		arg[0], "eject",
		json_pack("{s:s, s:b}", "id", arg[1], "force", (int)(flags >> O_FORCE & 1)), NULL);
}

static int insert_main(int argc, char **argv)
{
	const char *arg[3];
	unsigned flags;
	char *path;
	int n = remote_flags(&cli_insert, argc, argv, arg, 3, 3, &flags), r;

	if (n <= 0)
		return -n;
	path = remote_path(arg[2]);
	if (!path)
		return EXIT_HOST;
	r = remote_execute(arg[0], "blockdev-change-medium",
			   json_pack("{s:s, s:s, s:s, s:b}", "id", arg[1], "filename", path,
				     "read-only-mode", "read-write", "force",
				     (int)(flags >> O_FORCE & 1)),
			   NULL);
	free(path);
	return r;
}

const struct cli_command cli_eject = {
	.name = "eject",
	.summary = "Take the disc or diskette out of a drive of a running VM.",
	.usage = "NAME cd0|floppy0 [--force]",
	.options = options,
	.run = eject_main,
};
const struct cli_command cli_insert = {
	.name = "insert",
	.summary = "Put a disc or diskette into a drive of a running VM, instead of what is there.",
	.usage = "NAME cd0|floppy0 FILE [--force]",
	.options = options,
	.run = insert_main,
};
const struct cli_command cli_change = {
	.name = "change",
	.summary = "The same as insert.",
	.usage = "NAME cd0|floppy0 FILE [--force]",
	.options = options,
	.run = insert_main,
};
