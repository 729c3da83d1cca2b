/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conversation with swtpm (tpm.h). Sources: its manual pages swtpm(8) and swtpm_ioctls(3);
 * numbers and layouts from <swtpm/tpm_ioctl.h>, big-endian on sockets.
 *
 * Control channel: a command number and its parameters one way, a result and what else the command
 * gives the other; each is waited for, since swtpm answers them at once unless a TPM command runs.
 * Data channel: a socket pair whose other end goes through the control channel first of all. TPM
 * commands and answers start with a tag and their own length.
 *
 * Powering up: CMD_STOP, CMD_SET_BUFFERSIZE, CMD_INIT. swtpm does one thing after the other: when
 * CMD_STOP has been answered, what a command before it gave stands in the data socket and is thrown
 * away.
 *
 * UNMODELLED: cancelling. swtpm runs each command to its end; a TPM may do that (TPM 2.0 Library,
 * part 3, 5.1: a command may complete although it was cancelled). The module's own state, PCRs
 * included, is no part of a machine's state.
 */
#include "tpm/tpm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/log.h"
#include "host/loop.h"
#include "tpm/swtpm.h"

enum {
	CMD_INIT = 2,
	CMD_SHUTDOWN = 3,
	CMD_GET_TPMESTABLISHED = 4,
	CMD_SET_LOCALITY = 5,
	CMD_RESET_TPMESTABLISHED = 11,
	CMD_STOP = 14,
	CMD_SET_DATAFD = 16,
	CMD_SET_BUFFERSIZE = 17,
};
enum { PARAM_MAX = 8, REPLY_MAX = 16, NO_LOCALITY = 255 };
enum { TAG_NO_SESSIONS = 0x8001, RC_FAILURE = 0x101 }; /* TPM 2.0 Library, part 2, 6.6.3, 6.9 */
#define CONTROL_MS 10000
#define COMMAND_MS 60000

struct tpm {
	struct loop *loop; /* borrowed */
	struct swtpm process;
	int control, data; /* -1: closed */
	struct loop_fd *watch;
	void (*answer)(void *ctx, const uint8_t *buf, size_t len);
	void *ctx;
	size_t room;       /* of the front */
	unsigned locality; /* that swtpm knows of */
	bool busy, dead, established;
	struct loop_timer *failure; /* gives the answer of a dead module */
	uint8_t buf[TPM_BUFFER];
	size_t have; /* bytes of the answer so far */
};

bool tpm_spec_ok(const char *spec)
{
	return *spec && (strncmp(spec, "unix:", 5) || spec[5]);
}

bool tpm_busy(const struct tpm *t)
{
	return t->busy;
}

bool tpm_established(const struct tpm *t)
{
	return t->established;
}

void tpm_set_front(struct tpm *t, size_t room,
		   void (*answer)(void *ctx, const uint8_t *buf, size_t len), void *ctx)
{
	check(room <= TPM_BUFFER);
	t->room = room;
	t->answer = answer;
	t->ctx = ctx;
}

/* ------------------------------------------------------------------ control channel */

/* Exactly @len bytes, or -errno. */
static int read_control(struct tpm *t, uint8_t *buf, size_t len, ns_t until)
{
	for (size_t at = 0; at < len;) {
		struct pollfd p = {.fd = t->control, .events = POLLIN};
		ns_t now = host_now_ns();
		ssize_t n;

		if (now >= until)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)((until - now) / NS_PER_MS) + 1) < 0 && errno != EINTR)
			return -errno;
		n = recv(t->control, buf + at, len - at, MSG_DONTWAIT);
		if (n == 0)
			return -ECONNRESET;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		at += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* A message with @fd (-1: none) and @reply_len bytes of answer, the first four the result. 0,
 * -EPROTO when that is not success, -errno. */
static int control(struct tpm *t, uint32_t cmd, const uint8_t *param, size_t len, int fd,
		   uint8_t *reply, size_t reply_len)
{
	uint8_t msg[4 + PARAM_MAX];
	char room[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {msg, 4 + len};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
	int r;

	st_be32(msg, cmd);
	memcpy(msg + 4, param, len);
	if (fd >= 0) {
		struct cmsghdr *c;

		h.msg_control = room;
		h.msg_controllen = sizeof(room);
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	if (sendmsg(t->control, &h, MSG_NOSIGNAL) != (ssize_t)(4 + len))
		return errno ? -errno : -EIO;
	r = read_control(t, reply, reply_len, host_now_ns() + (ns_t)CONTROL_MS * NS_PER_MS);
	return r < 0 ? r : ld_be32(reply) ? -EPROTO : 0;
}

static int simple(struct tpm *t, uint32_t cmd)
{
	uint8_t reply[4];

	return control(t, cmd, (const uint8_t *)"", 0, -1, reply, sizeof(reply));
}

static int get_established(struct tpm *t)
{
	uint8_t reply[8];
	int r = control(t, CMD_GET_TPMESTABLISHED, (const uint8_t *)"", 0, -1, reply,
			sizeof(reply));

	t->established = r == 0 && reply[4];
	return r;
}

static void drain(struct tpm *t)
{
	while (recv(t->data, t->buf, sizeof(t->buf), MSG_DONTWAIT) > 0)
		continue;
	t->have = 0;
	t->busy = false;
}

/* Off, if it is on, and on. */
static int power_up(struct tpm *t)
{
	uint8_t size[4], flags[4] = {0}, reply[REPLY_MAX];
	int r = simple(t, CMD_STOP);

	drain(t);
	st_be32(size, (uint32_t)t->room);
	if (r == 0)
		r = control(t, CMD_SET_BUFFERSIZE, size, sizeof(size), -1, reply, 16);
	/* The size in use: a module that wants to say more than fits is of no use here. */
	if (r == 0 && ld_be32(reply + 4) > t->room)
		r = -EMSGSIZE;
	if (r == 0)
		r = control(t, CMD_INIT, flags, sizeof(flags), -1, reply, 4);
	if (r == 0)
		r = get_established(t);
	t->locality = 0;
	return r;
}

/* ------------------------------------------------------------------ data channel */

static void die(struct tpm *t, const char *why)
{
	if (!t->dead)
		log_err("tpm: %s; the guest's TPM is in failure mode until the VM is started anew",
			why);
	t->dead = true;
	loop_del_fd(t->watch);
	t->watch = NULL;
}

static void give(struct tpm *t)
{
	size_t len = t->have;

	t->busy = false;
	t->have = 0;
	if (t->answer)
		t->answer(t->ctx, t->buf, len);
}

static void give_failure(void *ctx)
{
	struct tpm *t = ctx;

	if (!t->busy)
		return;
	st_be16(t->buf, TAG_NO_SESSIONS);
	st_be32(t->buf + 2, TPM_HEADER);
	st_be32(t->buf + 6, RC_FAILURE);
	t->have = TPM_HEADER;
	give(t);
}

static void fail_later(struct tpm *t)
{
	loop_timer_arm(t->failure, host_now_ns());
}

/* Take what is there. An answer is complete at the length it names. */
static void read_data(struct tpm *t)
{
	ssize_t n = recv(t->data, t->buf + t->have, sizeof(t->buf) - t->have, MSG_DONTWAIT);
	uint32_t len = 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		t->have += (size_t)n;
		if (t->have < TPM_HEADER)
			return;
		len = ld_be32(t->buf + 2);
		if (t->busy && len >= TPM_HEADER && len <= t->room && t->have <= len) {
			if (t->have == len)
				give(t);
			return;
		}
	}
	die(t, n > 0 ? "swtpm sent something that is no answer" : "swtpm has gone");
	if (t->busy)
		fail_later(t);
}

static void on_data(void *ctx, uint32_t events)
{
	read_data(ctx);
}

void tpm_submit(struct tpm *t, unsigned locality, const uint8_t *cmd, size_t len)
{
	const uint8_t loc[4] = {(uint8_t)locality};
	uint8_t reply[4];

	check(!t->busy && len >= TPM_HEADER && len <= t->room && locality < TPM_LOCALITIES);
	t->busy = true;
	t->have = 0;
	if (!t->dead && locality != t->locality) {
		int r = control(t, CMD_SET_LOCALITY, loc, sizeof(loc), -1, reply, 4);

		t->locality = r == 0 ? locality : NO_LOCALITY;
		if (r == -EPROTO) { /* refused: so is the command */
			fail_later(t);
			return;
		}
		if (r < 0)
			die(t, "swtpm does not answer");
	}
	/* The socket is empty, so it takes all at once. */
	if (!t->dead && send(t->data, cmd, len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len)
		die(t, "swtpm takes no commands");
	if (t->dead)
		fail_later(t);
}

int tpm_wait(struct tpm *t)
{
	ns_t until = host_now_ns() + (ns_t)COMMAND_MS * NS_PER_MS;

	while (t->busy) {
		struct pollfd p = {.fd = t->data, .events = POLLIN};

		if (t->dead)
			give_failure(t);
		else if (poll(&p, 1, 100) > 0)
			read_data(t);
		else if (host_now_ns() > until)
			return -ETIMEDOUT;
	}
	return 0;
}

void tpm_reset(struct tpm *t)
{
	t->busy = false;
	t->have = 0;
	loop_timer_disarm(t->failure);
	if (!t->dead && power_up(t) < 0)
		die(t, "swtpm could not be reset");
}

void tpm_clear_established(struct tpm *t, unsigned locality)
{
	const uint8_t loc[4] = {(uint8_t)locality};
	uint8_t reply[4];

	/* While a command runs swtpm would let us wait. */
	if (t->dead || t->busy)
		return;
	if (control(t, CMD_RESET_TPMESTABLISHED, loc, sizeof(loc), -1, reply, 4) == 0 &&
	    get_established(t) == 0)
		return;
	log_warn("tpm: swtpm did not reset the establishment flag");
}

/* ------------------------------------------------------------------ life cycle */

static int connect_to(struct tpm *t, const char *path, struct error *err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(a.sun_path))
		return error_set(err, -ENAMETOOLONG,
				 "tpm 'unix:%s': the path is longer than %zu bytes, the limit for "
				 "sockets; use a shorter one",
				 path, sizeof(a.sun_path) - 1);
	memcpy(a.sun_path, path, strlen(path) + 1);
	t->control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (t->control < 0 || connect(t->control, (struct sockaddr *)&a, sizeof(a)) < 0)
		return error_set(
			err, -errno,
			"tpm 'unix:%s': cannot connect: %s; is 'swtpm socket --tpm2 --ctrl "
			"type=unixio,path=%s ...' running?",
			path, strerror(errno), path);
	return 0;
}

static int open_data(struct tpm *t, struct error *err)
{
	uint8_t reply[4];
	int fds[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return error_set(err, -errno, "tpm: no socket pair: %s", strerror(errno));
	t->data = fds[0];
	r = control(t, CMD_SET_DATAFD, (const uint8_t *)"", 0, fds[1], reply, sizeof(reply));
	close(fds[1]);
	if (r == 0)
		r = power_up(t);
	if (r < 0)
		return error_set(err, r,
				 "tpm: swtpm does not start (%s): see its message above; is its "
				 "folder in use by another VM?",
				 r == -EPROTO ? "it refused a command" : strerror(-r));
	r = loop_add_fd(t->loop, t->data, EPOLLIN, on_data, t, &t->watch);
	return r < 0 ? error_set(err, r, "tpm: cannot watch: %s", strerror(-r)) : 0;
}

int tpm_open(struct loop *loop, const char *spec, struct tpm **ret_tpm, struct error *err)
{
	struct tpm *t = xnew(struct tpm);
	int r;

	t->loop = loop;
	t->control = t->data = -1;
	t->room = TPM_BUFFER;
	t->failure = loop_timer_new(loop, give_failure, t);
	if (spec && !strncmp(spec, "unix:", 5))
		r = connect_to(t, spec + 5, err);
	else
		r = swtpm_start(&t->process, spec, &t->control, err);
	if (r == 0)
		r = open_data(t, err);
	if (r < 0) {
		tpm_close(t);
		return r;
	}
	*ret_tpm = t;
	return 0;
}

void tpm_close(struct tpm *t)
{
	if (!t)
		return;
	check(!t->answer);
	if (t->control >= 0) {
		/* It writes its state and ends. A command that runs lets us not wait for it. */
		if (!t->dead && !t->busy && t->data >= 0 && t->watch)
			(void)simple(t, CMD_SHUTDOWN);
		close(t->control);
	}
	loop_del_fd(t->watch);
	loop_timer_free(t->failure);
	if (t->data >= 0)
		close(t->data);
	swtpm_stop(&t->process);
	free(t);
}
