/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands about the screen and keyboard of a running VM: `bothy screenshot`, `screen`, `sendkey`,
 * `type`. They talk to its control socket (control/qmp.h).
 */
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/cli.h"
#include "control/qmp.h"

enum { ANSWER_MAX = 4 << 20 };

/* ------------------------------------------------------------------ a client */

struct link {
	int fd;
	char *buf; /* ANSWER_MAX */
	size_t len;
	const char *name;
};

static int link_open(struct link *l, const char *name)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct error err = {0};
	char *path = qmp_path(name, false, &err);
	int r;

	*l = (struct link){.fd = -1, .name = name};
	if (!path)
		return cli_die(EXIT_USAGE, "%s", err.text);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	r = l->fd < 0 || connect(l->fd, (void *)&sa, sizeof(sa)) < 0 ? errno : 0;
	if (r == ENOENT || r == ECONNREFUSED)
		cli_die(0,
			"no VM named '%s' is running (no answer at %s); name one when it is "
			"started: bothy run --name %s ...",
			name, path, name);
	else if (r)
		cli_die(0, "cannot reach the VM '%s' at %s: %s", name, path, strerror(r));
	free(path);
	if (r) {
		if (l->fd >= 0)
			close(l->fd);
		return EXIT_HOST;
	}
	l->buf = xnew_n(char, ANSWER_MAX);
	return EXIT_OK;
}

static void link_close(struct link *l)
{
	close(l->fd);
	free(l->buf);
}

/* The next JSON object that arrives; NULL when the connection ends. */
static json_t *link_next(struct link *l)
{
	for (;;) {
		ssize_t n = qmp_scan(l->buf, l->len);
		json_t *msg;

		if (n < 0)
			return NULL;
		if (n > 0) {
			msg = json_loadb(l->buf, (size_t)n, 0, NULL);
			memmove(l->buf, l->buf + n, l->len - (size_t)n);
			l->len -= (size_t)n;
			return msg;
		}
		if (l->len == ANSWER_MAX)
			return NULL;
		n = read(l->fd, l->buf + l->len, ANSWER_MAX - l->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return NULL;
		l->len += (size_t)n;
	}
}

/* Carry out a command (arguments taken over); *ret_value to be released. 0 or an exit status after
 * the message was printed. */
static int link_execute(struct link *l, const char *name, json_t *args, json_t **ret_value)
{
	json_t *req = json_pack("{s:s, s:i, s:o}", "execute", name, "id", 1, "arguments",
				args ? args : json_object());
	char *text = json_dumps(req, JSON_COMPACT);
	const char *what = NULL;
	bool sent = text && send(l->fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
	json_t *msg = NULL;
	int r = EXIT_HOST;

	json_decref(req);
	free(text);
	while (sent) {
		msg = link_next(l);
		if (!msg || json_integer_value(json_object_get(msg, "id")) == 1)
			break;
		json_decref(msg); /* the greeting, an event */
	}
	if (!msg) {
		cli_die(0, "the VM '%s' has gone", l->name);
	} else if (json_object_get(msg, "return")) {
		r = EXIT_OK;
		if (ret_value)
			*ret_value = json_incref(json_object_get(msg, "return"));
	} else {
		what = json_string_value(json_object_get(json_object_get(msg, "error"), "desc"));
		cli_die(0, "%s: %s", l->name, what ? what : "refused");
	}
	json_decref(msg);
	return r;
}

/* ------------------------------------------------------------------ the commands */

/* clang-format off */
static const struct cli_option help_only[] = {
	{"help", 'h', NULL, "this text"},
	{0}};
static const struct cli_option screen_options[] = {
	{"text", 0, NULL, "as text (the default)"},
	{"help", 'h', NULL, "this text"},
	{0}};
/* clang-format on */

/* Operands of a command: at least @min. Returns their number, or a negative exit status. */
static int operands(const struct cli_command *cmd, int argc, char **argv, const char **ret, int min,
		    int max)
{
	struct cli_args a = {.cmd = cmd, .argc = argc, .argv = argv, .at = 1};
	int n = 0, o;

	while ((o = cli_next(&a)) != CLI_END) {
		if (o == CLI_BAD)
			return -EXIT_USAGE;
		if (o == CLI_OPERAND && n < max)
			ret[n++] = a.value;
		else if (o == CLI_OPERAND)
			return -cli_die(EXIT_USAGE, "'%s' is too much; usage: bothy %s %s", a.value,
					cmd->name, cmd->usage);
		else if (!strcmp(cmd->options[o].name, "help")) {
			cli_help(cmd);
			return 0;
		}
	}
	if (n < min)
		return -cli_die(EXIT_USAGE, "usage: bothy %s %s", cmd->name, cmd->usage);
	return n;
}

/* One command to VM @name. */
static int execute(const char *name, const char *command, json_t *args, json_t **ret_value)
{
	struct link l;
	int r = link_open(&l, name);

	if (r) {
		json_decref(args);
		return r;
	}
	r = link_execute(&l, "qmp_capabilities", NULL, NULL);
	if (r)
		json_decref(args);
	else
		r = link_execute(&l, command, args, ret_value);
	link_close(&l);
	return r;
}

static int screenshot_main(int argc, char **argv)
{
	const char *arg[2], *dot;
	char cwd[PATH_MAX], *path;
	int n = operands(&cli_screenshot, argc, argv, arg, 2, 2), r;

	if (n <= 0)
		return -n;
	/* The VM writes the file, and may stand in another directory. */
	if (arg[1][0] != '/' && !getcwd(cwd, sizeof(cwd)))
		return cli_die(EXIT_HOST, "where am I? %s", strerror(errno));
	path = arg[1][0] == '/' ? xstrdup(arg[1]) : xasprintf("%s/%s", cwd, arg[1]);
	dot = strrchr(path, '.');
	r = execute(arg[0], "screendump",
		    json_pack("{s:s, s:s}", "filename", path, "format",
			      dot && !strcmp(dot, ".ppm") ? "ppm" : "png"),
		    NULL);
	free(path);
	return r;
}

static int screen_main(int argc, char **argv)
{
	const char *arg[1];
	int n = operands(&cli_screen, argc, argv, arg, 1, 1), r;
	json_t *value = NULL;

	if (n <= 0)
		return -n;
	r = execute(arg[0], "x-screen-text", NULL, &value);
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
	int n = operands(&cli_sendkey, argc, argv, arg, 2, ARRAY_SIZE(arg)), r = EXIT_OK;

	if (n <= 0)
		return -n;
	for (int i = 1; i < n && r == EXIT_OK; i++)
		r = execute(arg[0], "send-key", json_pack("{s:o}", "keys", key_values(arg[i])),
			    NULL);
	return r;
}

static int type_main(int argc, char **argv)
{
	const char *arg[2];
	int n = operands(&cli_type, argc, argv, arg, 2, 2);
	json_t *args;

	if (n <= 0)
		return -n;
	args = json_pack("{s:s}", "text", arg[1]);
	if (!args)
		return cli_die(EXIT_USAGE, "the text is not UTF-8");
	return execute(arg[0], "x-type", args, NULL);
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
