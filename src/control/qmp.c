/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket (qmp.h). Source: QEMU Machine Protocol Specification 1.0.
 *
 * A client gets a greeting, must say qmp_capabilities, and then sends commands, which are carried
 * out in order on the VM's main thread with the bus lock held. Long work (compressing a picture)
 * runs on a thread of its own, and its answer comes when it is done; only then the client's next
 * command is looked at.
 *
 * Limits: 8 clients; a request of 64 KiB; 1 MiB of answers that a client has not read, after which
 * its requests are left unread. Whoever can open the socket owns the VM: it has mode 0600.
 *
 * Besides QMP's own commands there are bothy's, which begin with "x-": x-screen-text, x-type.
 */
#include "control/qmp_request.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "display/display.h"
#include "display/keymap.h"
#include "display/picture.h"
#include "host/loop.h"
#include "vm/vm.h"

enum { CLIENTS = 8, IN_MAX = 65536, OUT_MAX = 1 << 20, KEYS_MAX = 16, HOLD_MS = 100 };

struct client {
	struct qmp *q;
	int fd; /* -1: free */
	struct loop_fd *watch;
	bool ready; /* has said qmp_capabilities */
	struct shot *busy;
	char *in, *out; /* owned */
	size_t in_len, out_len, out_cap;
};

struct qmp {
	struct vm *vm;
	char *name, *path;
	int fd;
	struct loop_fd *watch;
	struct client client[CLIENTS];
	struct shot *shots; /* pictures being written */
};

/* A picture on its way to a file, on a thread of its own. */
struct shot {
	struct qmp *q;    /* NULL: has gone; the thread has been joined */
	struct client *c; /* NULL: has gone */
	json_t *id;
	char *path, *format;
	uint32_t *px;
	unsigned w, h;
	int r;
	struct error err;
	struct loop *loop;
	pthread_t thread;
	struct shot *next;
};

/* ------------------------------------------------------------------ framing */

ssize_t qmp_scan(const char *p, size_t len)
{
	size_t i = 0;
	unsigned depth = 0;
	bool string = false;

	while (i < len && isspace((unsigned char)p[i]))
		i++;
	if (i == len)
		return 0;
	if (p[i] != '{')
		return -EINVAL;
	for (; i < len; i++) {
		if (string) {
			if (p[i] == '\\')
				i++;
			else if (p[i] == '"')
				string = false;
		} else if (p[i] == '"') {
			string = true;
		} else if (p[i] == '{' || p[i] == '[') {
			depth++;
		} else if (p[i] == '}' || p[i] == ']') {
			if (--depth == 0)
				return (ssize_t)i + 1;
		}
	}
	return 0;
}

/* ------------------------------------------------------------------ answers */

static void client_drop(struct client *c)
{
	loop_del_fd(c->watch);
	if (c->fd >= 0)
		close(c->fd);
	if (c->busy)
		c->busy->c = NULL;
	free(c->in);
	free(c->out);
	*c = (struct client){.q = c->q, .fd = -1};
}

static void client_events(struct client *c)
{
	/* A client that does not read is not read from. */
	bool in = c->out_len < OUT_MAX && !c->busy && c->in_len < IN_MAX;

	loop_mod_fd(c->watch, (in ? (uint32_t)EPOLLIN : 0) | (c->out_len ? (uint32_t)EPOLLOUT : 0));
}

/* False when the client is gone. */
static bool client_flush(struct client *c)
{
	while (c->out_len) {
		ssize_t n = send(c->fd, c->out, c->out_len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0)
			return false;
		memmove(c->out, c->out + n, c->out_len - (size_t)n);
		c->out_len -= (size_t)n;
	}
	return true;
}

/* Queue @msg (reference taken over). */
static void client_send(struct client *c, json_t *msg)
{
	char *text = json_dumps(msg, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;

	json_decref(msg);
	if (!text)
		return;
	/* Answers are at most one request ahead; only events can go on without end. */
	if (c->out_len + len + 2 > 2 * OUT_MAX) {
		free(text);
		return;
	}
	if (c->out_len + len + 2 > c->out_cap) {
		c->out_cap = c->out_len + len + 2 + 4096;
		c->out = xrealloc(c->out, c->out_cap, 1);
	}
	memcpy(c->out + c->out_len, text, len);
	memcpy(c->out + c->out_len + len, "\r\n", 2);
	c->out_len += len + 2;
	free(text);
}

static void answer(struct client *c, json_t *id, json_t *value)
{
	json_t *msg = json_pack("{s:o}", "return", value ? value : json_object());

	if (id)
		json_object_set(msg, "id", id);
	client_send(c, msg);
}

static void refuse(struct client *c, json_t *id, const char *cls, const char *text)
{
	json_t *desc = json_string(text);
	json_t *msg = json_pack("{s:{s:s, s:o}}", "error", "class", cls, "desc",
				desc ? desc : json_string("error"));

	if (id)
		json_object_set(msg, "id", id);
	client_send(c, msg);
}

/* @data: of the event, taken over; may be NULL. */
static void send_event(struct qmp *q, const char *name, json_t *data)
{
	struct timeval tv;

	gettimeofday(&tv, NULL);
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct client *c = &q->client[i];

		if (c->fd < 0 || !c->ready)
			continue;
		client_send(c, json_pack("{s:s, s:O*, s:{s:I, s:I}}", "event", name, "data", data,
					 "timestamp", "seconds", (json_int_t)tv.tv_sec,
					 "microseconds", (json_int_t)tv.tv_usec));
		client_events(c);
	}
	json_decref(data);
}

void qmp_event(struct qmp *q, const char *name)
{
	if (q)
		send_event(q, name, NULL);
}

static void on_detached(void *ctx, const char *id)
{
	send_event(ctx, "DEVICE_DELETED", json_pack("{s:s}", "device", id));
}

/* ------------------------------------------------------------------ commands */

json_t *qmp_bad(struct qmp_request *req, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(req->text, sizeof(req->text), fmt, ap);
	va_end(ap);
	return NULL;
}

static struct display *screen(struct qmp_request *req)
{
	struct display *d = vm_display(req->vm);

	if (!d)
		qmp_bad(req, "this VM has no screen");
	return d;
}

static json_t *version_object(void)
{
	/* What clients compare: the QEMU release whose protocol this follows. */
	return json_pack("{s:{s:i, s:i, s:i}, s:s}", "qemu", "major", 7, "minor", 2, "micro", 0,
			 "package", "bothy");
}

static json_t *do_query_version(struct qmp_request *req)
{
	return version_object();
}

static json_t *do_query_name(struct qmp_request *req)
{
	return json_pack("{s:s}", "name", req->c->q->name);
}

static json_t *do_query_status(struct qmp_request *req)
{
	static const char *const names[VM_STATE_COUNT] = {[VM_RUNNING] = "running",
							  [VM_PAUSED] = "paused",
							  [VM_NO_SPACE] = "io-error",
							  [VM_ENDED] = "shutdown"};
	enum vm_state s = vm_get_state(req->vm);

	return json_pack("{s:b, s:b, s:s}", "running", s == VM_RUNNING, "singlestep", 0, "status",
			 names[s]);
}

static json_t *do_stop(struct qmp_request *req)
{
	if (vm_get_state(req->vm) == VM_RUNNING) {
		vm_pause(req->vm);
		qmp_event(req->c->q, "STOP");
	}
	return json_object();
}

static json_t *do_cont(struct qmp_request *req)
{
	if (vm_get_state(req->vm) != VM_RUNNING) {
		vm_resume(req->vm);
		qmp_event(req->c->q, "RESUME");
	}
	return json_object();
}

static json_t *do_reset(struct qmp_request *req)
{
	vm_reset(req->vm);
	qmp_event(req->c->q, "RESET");
	return json_object();
}

static json_t *do_powerdown(struct qmp_request *req)
{
	vm_power_button(req->vm);
	qmp_event(req->c->q, "POWERDOWN");
	return json_object();
}

static json_t *do_nmi(struct qmp_request *req)
{
	vm_nmi(req->vm);
	return json_object();
}

static json_t *do_quit(struct qmp_request *req)
{
	vm_quit(req->vm);
	return json_object();
}

/* ---- screen ---- */

static void shot_done(void *ctx)
{
	struct shot *s = ctx;

	if (s->q) {
		struct shot **at = &s->q->shots;

		pthread_join(s->thread, NULL);
		while (*at != s)
			at = &(*at)->next;
		*at = s->next;
	}
	if (s->c) {
		s->c->busy = NULL;
		if (s->r < 0)
			refuse(s->c, s->id, "GenericError", s->err.text);
		else
			answer(s->c, s->id, NULL);
		if (client_flush(s->c))
			client_events(s->c);
		else
			client_drop(s->c);
	}
	json_decref(s->id);
	free(s->path);
	free(s->format);
	free(s->px);
	free(s);
}

static void *shot_thread(void *ctx)
{
	struct shot *s = ctx;

	s->r = picture_write(s->path, s->format, s->px, s->w, s->h, &s->err);
	loop_post(s->loop, shot_done, s);
	return NULL;
}

/* Answers later; returns an error object only. */
static json_t *do_screendump(struct qmp_request *req)
{
	const char *path = json_string_value(json_object_get(req->args, "filename"));
	const char *format = json_string_value(json_object_get(req->args, "format"));
	struct display *d = screen(req);
	struct shot *s;
	size_t bytes;

	if (!d)
		return NULL;
	if (!path)
		return qmp_bad(req, "Parameter 'filename' is missing");
	display_update(d);
	bytes = (size_t)d->w * d->h * 4;
	s = xnew(struct shot);
	s->px = malloc(bytes);
	if (!s->px) {
		free(s);
		return qmp_bad(req, "no memory for a picture of %u x %u", d->w, d->h);
	}
	memcpy(s->px, d->px, bytes);
	s->w = d->w;
	s->h = d->h;
	s->q = req->c->q;
	s->c = req->c;
	s->id = json_incref(req->id);
	s->path = xstrdup(path);
	s->format = xstrdup(format ? format : "ppm");
	s->loop = vm_loop(req->vm);
	req->c->busy = s;
	if (pthread_create(&s->thread, NULL, shot_thread, s)) {
		req->c->busy = NULL;
		json_decref(s->id);
		free(s->path);
		free(s->format);
		free(s->px);
		free(s);
		return qmp_bad(req, "cannot start a thread");
	}
	s->next = s->q->shots;
	s->q->shots = s;
	return NULL;
}

static json_t *do_screen_text(struct qmp_request *req)
{
	struct display *d = screen(req);
	char *text;
	json_t *val;

	if (!d)
		return NULL;
	text = display_text(d);
	if (!text)
		return qmp_bad(req, "the screen shows a picture, not text");
	val = json_pack("{s:s}", "text", text);
	free(text);
	return val ? val : qmp_bad(req, "the screen's text cannot be written as JSON");
}

/* ---- input ---- */

static json_t *do_type(struct qmp_request *req)
{
	const char *text = json_string_value(json_object_get(req->args, "text"));
	struct display *d = screen(req);
	int r;

	if (!d)
		return NULL;
	if (!text)
		return qmp_bad(req, "Parameter 'text' is missing");
	r = display_type(d, text);
	if (r == -EINVAL)
		return qmp_bad(req, "some characters are not on a US keyboard");
	if (r < 0)
		return qmp_bad(req, "too many keys wait for the guest; type less at a time");
	return json_object();
}

/* One KeyValue: {"type": "qcode", "data": "ret"} or {"type": "number", "data": 28}. */
static uint8_t key_value(struct qmp_request *req, json_t *v)
{
	const char *type = json_string_value(json_object_get(v, "type"));
	json_t *data = json_object_get(v, "data");
	uint8_t code = 0;

	if (type && !strcmp(type, "qcode") && json_is_string(data))
		code = key_from_name(json_string_value(data));
	else if (type && !strcmp(type, "number") && json_is_integer(data) &&
		 json_integer_value(data) > 0 && json_integer_value(data) < 256)
		code = (uint8_t)json_integer_value(data);
	if (!code)
		qmp_bad(req, "no key is called '%.40s'",
			json_is_string(data) ? json_string_value(data) : "?");
	return code;
}

static json_t *do_send_key(struct qmp_request *req)
{
	json_t *keys = json_object_get(req->args, "keys");
	json_int_t hold = HOLD_MS;
	struct display *d = screen(req);
	uint8_t code[KEYS_MAX];
	size_t n = json_array_size(keys);

	if (!d)
		return NULL;
	if (!n || n > KEYS_MAX)
		return qmp_bad(req, "'keys' has to be an array of 1 to %u keys", KEYS_MAX);
	if (json_object_get(req->args, "hold-time"))
		hold = json_integer_value(json_object_get(req->args, "hold-time"));
	hold = MAX((json_int_t)0, MIN(hold, (json_int_t)10000));
	for (size_t i = 0; i < n; i++) {
		code[i] = key_value(req, json_array_get(keys, i));
		if (!code[i])
			return NULL;
	}
	for (size_t i = 0; i < n; i++)
		display_key_slowly(d, code[i], true, i + 1 == n ? (unsigned)hold : 5);
	for (size_t i = n; i-- > 0;)
		display_key_slowly(d, code[i], false, 5);
	return json_object();
}

static unsigned button_bit(const char *name)
{
	static const char *const names[] = {"left", "right", "middle", "side", "extra"};

	for (unsigned i = 0; name && i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return 1u << i;
	return 0;
}

/* Pointer events of one command are one movement. */
struct pointing {
	int x, y, dx, dy, dz; /* x, y: -1 = not given; 0 to 7fffh */
	bool any;
	unsigned buttons;
};

static bool input_event(struct qmp_request *req, struct display *d, json_t *ev, struct pointing *p)
{
	const char *type = json_string_value(json_object_get(ev, "type"));
	json_t *data = json_object_get(ev, "data");
	bool down = json_is_true(json_object_get(data, "down"));
	const char *axis = json_string_value(json_object_get(data, "axis"));
	const char *button = json_string_value(json_object_get(data, "button"));
	json_int_t v = json_integer_value(json_object_get(data, "value"));

	v = MAX((json_int_t)-32768, MIN(v, (json_int_t)32767));
	if (type && !strcmp(type, "key")) {
		uint8_t code = key_value(req, json_object_get(data, "key"));

		if (code)
			display_key(d, code, down);
		return code != 0;
	}
	p->any = true;
	if (type && !strcmp(type, "btn") && button_bit(button)) {
		p->buttons &= ~button_bit(button);
		p->buttons |= down ? button_bit(button) : 0;
	} else if (type && !strcmp(type, "btn") && button && !strncmp(button, "wheel-", 6)) {
		p->dz += !down ? 0 : strcmp(button, "wheel-up") ? 1 : -1;
	} else if (type && axis && !strcmp(type, "abs") && !strcmp(axis, "x")) {
		p->x = (int)v;
	} else if (type && axis && !strcmp(type, "abs")) {
		p->y = (int)v;
	} else if (type && axis && !strcmp(type, "rel") && !strcmp(axis, "x")) {
		p->dx += (int)v;
	} else if (type && axis && !strcmp(type, "rel")) {
		p->dy += (int)v;
	} else {
		qmp_bad(req, "'events' has one that is neither key, btn, abs nor rel");
		return false;
	}
	return true;
}

static json_t *do_input_send_event(struct qmp_request *req)
{
	json_t *events = json_object_get(req->args, "events");
	struct display *d = screen(req);
	struct pointing p = {.x = -1, .y = -1};

	if (!d)
		return NULL;
	p.buttons = d->buttons;
	if (!json_is_array(events))
		return qmp_bad(req, "Parameter 'events' is missing");
	for (size_t i = 0; i < json_array_size(events); i++)
		if (!input_event(req, d, json_array_get(events, i), &p))
			return NULL;
	if (p.x >= 0 || p.y >= 0)
		display_move(d, p.x < 0 ? d->at_x : (unsigned)p.x * d->w >> 15,
			     p.y < 0 ? d->at_y : (unsigned)p.y * d->h >> 15, p.buttons, p.dz, 0);
	else if (p.any)
		display_move_by(d, p.dx, p.dy, p.buttons, p.dz, 0);
	return json_object();
}

static json_t *do_query_commands(struct qmp_request *req);

static const struct {
	const char *name;
	qmp_fn fn;
} commands[] = {
	{"query-version", do_query_version},
	{"query-commands", do_query_commands},
	{"query-name", do_query_name},
	{"query-status", do_query_status},
	{"query-block", qmp_query_block},
	{"eject", qmp_eject},
	{"blockdev-open-tray", qmp_open_tray},
	{"blockdev-close-tray", qmp_close_tray},
	{"blockdev-remove-medium", qmp_remove_medium},
	{"blockdev-change-medium", qmp_change_medium},
	{"device_add", qmp_device_add},
	{"device_del", qmp_device_del},
	{"x-query-attached", qmp_query_attached},
	{"stop", do_stop},
	{"cont", do_cont},
	{"system_reset", do_reset},
	{"system_powerdown", do_powerdown},
	{"inject-nmi", do_nmi},
	{"quit", do_quit},
	{"screendump", do_screendump},
	{"send-key", do_send_key},
	{"input-send-event", do_input_send_event},
	{"x-screen-text", do_screen_text},
	{"x-type", do_type},
};

static json_t *do_query_commands(struct qmp_request *req)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		json_array_append_new(list, json_pack("{s:s}", "name", commands[i].name));
	json_array_append_new(list, json_pack("{s:s}", "name", "qmp_capabilities"));
	return list;
}

static void execute(struct client *c, json_t *msg)
{
	const char *name = json_string_value(json_object_get(msg, "execute"));
	json_t *id = json_object_get(msg, "id"), *args = json_object_get(msg, "arguments");
	struct qmp_request req = {.c = c, .vm = c->q->vm, .id = id, .args = args};
	json_t *none = json_object(), *val;
	size_t i = 0;

	if (!json_is_object(args))
		req.args = none;
	while (name && i < ARRAY_SIZE(commands) && strcmp(commands[i].name, name))
		i++;
	if (!name) {
		refuse(c, id, "GenericError", "a request needs the member 'execute'");
	} else if (!strcmp(name, "qmp_capabilities")) {
		c->ready = true;
		answer(c, id, NULL);
	} else if (!c->ready) {
		refuse(c, id, "CommandNotFound", "say qmp_capabilities first");
	} else if (i == ARRAY_SIZE(commands)) {
		snprintf(req.text, sizeof(req.text), "The command %.60s has not been found", name);
		refuse(c, id, "CommandNotFound", req.text);
	} else {
		val = commands[i].fn(&req);
		if (val)
			answer(c, id, val);
		else if (!c->busy)
			refuse(c, id, "GenericError", req.text[0] ? req.text : "failed");
	}
	json_decref(none);
}

/* ------------------------------------------------------------------ clients */

/* Requests that have arrived; false: drop the client. */
static bool client_work(struct client *c)
{
	while (!c->busy && c->out_len < OUT_MAX) {
		ssize_t n = qmp_scan(c->in, c->in_len);
		json_error_t why;
		json_t *msg;

		if (n == 0)
			return c->in_len < IN_MAX;
		if (n < 0) {
			refuse(c, NULL, "GenericError", "JSON objects are expected here");
			c->in_len = 0;
			return true;
		}
		msg = json_loadb(c->in, (size_t)n, JSON_REJECT_DUPLICATES, &why);
		memmove(c->in, c->in + n, c->in_len - (size_t)n);
		c->in_len -= (size_t)n;
		if (msg)
			execute(c, msg);
		else
			refuse(c, NULL, "GenericError", why.text);
		json_decref(msg);
	}
	return true;
}

static void client_ready(void *ctx, uint32_t events)
{
	struct client *c = ctx;
	bool alive = true;

	/* Whoever has gone may have left requests: they are carried out first. */
	if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) && c->in_len < IN_MAX) {
		ssize_t n = recv(c->fd, c->in + c->in_len, IN_MAX - c->in_len, MSG_DONTWAIT);

		if (n > 0)
			c->in_len += (size_t)n;
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			alive = false;
	}
	alive = alive && client_work(c) && client_flush(c);
	if (alive)
		client_events(c);
	else
		client_drop(c);
}

static void client_connect(void *ctx, uint32_t events)
{
	struct qmp *q = ctx;
	int fd = accept4(q->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct client *c = NULL;

	for (unsigned i = 0; i < CLIENTS && !c; i++)
		if (q->client[i].fd < 0)
			c = &q->client[i];
	if (fd < 0)
		return;
	if (!c || loop_add_fd(vm_loop(q->vm), fd, EPOLLIN, client_ready, c, &c->watch) < 0) {
		close(fd);
		return;
	}
	c->fd = fd;
	c->in = xnew_n(char, IN_MAX);
	client_send(c, json_pack("{s:{s:o, s:[]}}", "QMP", "version", version_object(),
				 "capabilities"));
	(void)client_flush(c); /* if it has gone already, client_ready() will see */
	client_events(c);
}

/* ------------------------------------------------------------------ the socket */

char *qmp_path(const char *name, bool make, struct error *err)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	char *dir, *path;
	struct stat st;
	size_t n =
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	if (!name[0] || name[n] || name[0] == '.' || name[0] == '-' || n > 60) {
		error_set(err, -EINVAL,
			  "'%s' is not a name for a VM: use letters, digits, '.', '_' and '-'",
			  name);
		return NULL;
	}
	dir = run && run[0] == '/' ? xasprintf("%s/bothy", run)
				   : xasprintf("/tmp/bothy-%u", (unsigned)getuid());
	if (make && mkdir(dir, 0700) < 0 && errno != EEXIST) {
		error_set(err, -errno, "cannot make '%s': %s", dir, strerror(errno));
		free(dir);
		return NULL;
	}
	/* In /tmp somebody else may have been there first. */
	if (lstat(dir, &st) == 0 &&
	    (!S_ISDIR(st.st_mode) || st.st_uid != getuid() || (st.st_mode & 022))) {
		error_set(err, -EPERM,
			  "'%s' must be a directory of yours that nobody else can write to", dir);
		free(dir);
		return NULL;
	}
	path = xasprintf("%s/%s.sock", dir, name);
	free(dir);
	return path;
}

static int listen_at(struct qmp *q, struct error *err)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	mode_t old;
	int r, probe;

	if (strlen(q->path) >= sizeof(sa.sun_path))
		return error_set(err, -ENAMETOOLONG, "control socket '%s' is longer than %zu bytes",
				 q->path, sizeof(sa.sun_path) - 1);
	strcpy(sa.sun_path, q->path);
	/* Left behind by a VM that was killed? */
	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	r = probe < 0 ? -errno : connect(probe, (void *)&sa, sizeof(sa)) < 0 ? -errno : 0;
	if (probe >= 0)
		close(probe);
	if (r == 0)
		return error_set(err, -EADDRINUSE,
				 "a VM named '%s' is running already; choose another --name",
				 q->name);
	if (r == -ECONNREFUSED)
		unlink(q->path);
	q->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	old = umask(0177);
	r = q->fd < 0 || bind(q->fd, (void *)&sa, sizeof(sa)) < 0 || listen(q->fd, CLIENTS) < 0
		    ? -errno
		    : 0;
	umask(old);
	if (r < 0)
		return error_set(err, r, "cannot listen on control socket '%s': %s", q->path,
				 strerror(-r));
	return 0;
}

int qmp_open(struct vm *vm, const char *name, const char *path, struct qmp **ret_q,
	     struct error *err)
{
	struct qmp *q = xnew(struct qmp);
	int r;

	q->vm = vm;
	q->name = xstrdup(name);
	q->path = xstrdup(path);
	q->fd = -1;
	for (unsigned i = 0; i < CLIENTS; i++)
		q->client[i] = (struct client){.q = q, .fd = -1};
	r = listen_at(q, err);
	if (r == 0)
		r = loop_add_fd(vm_loop(vm), q->fd, EPOLLIN, client_connect, q, &q->watch);
	if (r < 0) {
		if (q->fd < 0 || !q->watch) {
			free(q->path); /* not ours to remove */
			q->path = NULL;
		}
		qmp_close(q);
		return r;
	}
	vm_set_detached(vm, on_detached, q);
	*ret_q = q;
	return 0;
}

void qmp_close(struct qmp *q)
{
	if (!q)
		return;
	vm_set_detached(q->vm, NULL, NULL);
	for (unsigned i = 0; i < CLIENTS; i++)
		if (q->client[i].fd >= 0) {
			client_flush(&q->client[i]);
			client_drop(&q->client[i]);
		}
	/* Pictures still being written end soon: their file is all they touch. What they posted to
	 * the loop finds that there is nobody to answer. */
	while (q->shots) {
		struct shot *s = q->shots;

		q->shots = s->next;
		pthread_join(s->thread, NULL);
		s->q = NULL;
	}
	loop_del_fd(q->watch);
	if (q->fd >= 0)
		close(q->fd);
	if (q->path)
		unlink(q->path);
	free(q->path);
	free(q->name);
	free(q);
}
