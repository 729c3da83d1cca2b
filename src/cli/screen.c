/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands about the screen and keyboard of a running VM: `bothy screenshot`, `screen`, `sendkey`,
 * `type`. They talk to its control socket (control/qmp.h).
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/remote.h"

/* clang-format off */
static const struct cli_option help_only[] = {
	{"help", 'h', NULL, "this text"},
	{0}};
static const struct cli_option screen_options[] = {
	{"text", 0, NULL, "as text (the default)"},
	{"help", 'h', NULL, "this text"},
	{0}};
/* clang-format on */

static int screenshot_main(int argc, char **argv)
{
	const char *arg[2], *dot;
	char *path;
	int n = remote_operands(&cli_screenshot, argc, argv, arg, 2, 2), r;

	if (n <= 0)
		return -n;
	path = remote_path(arg[1]); /* the VM writes the file */
	if (!path)
		return EXIT_HOST;
	dot = strrchr(path, '.');
	r = remote_execute(arg[0], "screendump",
			   json_pack("{s:s, s:s}", "filename", path, "format",
				     dot && !strcmp(dot, ".ppm") ? "ppm" : "png"),
			   NULL);
	free(path);
	return r;
}

static int screen_main(int argc, char **argv)
{
	const char *arg[1];
	int n = remote_operands(&cli_screen, argc, argv, arg, 1, 1), r;
	json_t *value = NULL;

	if (n <= 0)
		return -n;
	r = remote_execute(arg[0], "x-screen-text", NULL, &value);
	if (r == EXIT_OK)
		fputs(json_string_value(json_object_get(value, "text")), stdout);
	json_decref(value);
	return r;
}

/* "ctrl-alt-delete" to an array of key values. */
static json_t *key_values(const char *combination)
{
	json_t *keys = json_array();
	char *copy = xstrdup(combination), *save = NULL;

	/* A minus by itself is a key. */
	if (!strcmp(copy, "-"))
		json_array_append_new(keys,
				      json_pack("{s:s, s:s}", "type", "qcode", "data", "minus"));
	for (char *w = strtok_r(copy, "-", &save); w; w = strtok_r(NULL, "-", &save))
		json_array_append_new(keys, json_pack("{s:s, s:s}", "type", "qcode", "data", w));
	free(copy);
	return keys;
}

static int sendkey_main(int argc, char **argv)
{
	const char *arg[33];
	int n = remote_operands(&cli_sendkey, argc, argv, arg, 2, ARRAY_SIZE(arg)), r = EXIT_OK;

	if (n <= 0)
		return -n;
	for (int i = 1; i < n && r == EXIT_OK; i++)
		r = remote_execute(arg[0], "send-key",
				   json_pack("{s:o}", "keys", key_values(arg[i])), NULL);
	return r;
}

static int type_main(int argc, char **argv)
{
	const char *arg[2];
	int n = remote_operands(&cli_type, argc, argv, arg, 2, 2);
	json_t *args;

	if (n <= 0)
		return -n;
	args = json_pack("{s:s}", "text", arg[1]);
	if (!args)
		return cli_die(EXIT_USAGE, "the text is not UTF-8");
	return remote_execute(arg[0], "x-type", args, NULL);
}

const struct cli_command cli_screenshot = {
	.name = "screenshot",
	.summary = "Write a picture of a VM's screen to a PNG or PPM file.",
	.usage = "VM FILE.png|FILE.ppm",
	.options = help_only,
	.run = screenshot_main,
};
const struct cli_command cli_screen = {
	.name = "screen",
	.summary = "Print a VM's screen, which has to be in text mode.",
	.usage = "VM [--text]",
	.options = screen_options,
	.run = screen_main,
};
const struct cli_command cli_sendkey = {
	.name = "sendkey",
	.summary = "Press keys together, one combination after the other: ctrl-alt-delete f1 ret.",
	.usage = "VM KEY[-KEY...] ...",
	.options = help_only,
	.run = sendkey_main,
};
const struct cli_command cli_type = {
	.name = "type",
	.summary = "Type text on a VM's (US) keyboard; a line feed is the Enter key.",
	.usage = "VM TEXT",
	.options = help_only,
	.run = type_main,
};
