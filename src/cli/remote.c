/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands to a running VM (remote.h), over its control socket (control/qmp.h).
 */
#include "cli/remote.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

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

/* ------------------------------------------------------------------ for commands */

char *remote_path(const char *path)
{
	char cwd[PATH_MAX];

	if (path[0] == '/')
		return xstrdup(path);
	if (getcwd(cwd, sizeof(cwd)))
		return xasprintf("%s/%s", cwd, path);
	cli_die(0, "where am I? %s", strerror(errno));
	return NULL;
}

int remote_operands(const struct cli_command *cmd, int argc, char **argv, const char **ret, int min,
		    int max)
{
	unsigned flags;

	return remote_flags(cmd, argc, argv, ret, min, max, &flags);
}

int remote_flags(const struct cli_command *cmd, int argc, char **argv, const char **ret, int min,
		 int max, unsigned *ret_flags)
{
	struct cli_args a = {.cmd = cmd, .argc = argc, .argv = argv, .at = 1};
	int n = 0, o;

	*ret_flags = 0;
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
		} else {
			*ret_flags |= 1u << o;
		}
	}
	if (n < min)
		return -cli_die(EXIT_USAGE, "usage: bothy %s %s", cmd->name, cmd->usage);
	return n;
}

int remote_execute(const char *name, const char *command, json_t *args, json_t **ret_value)
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
