/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "stream:PATH": frames over a unix stream socket, each behind a 4-byte big-endian length. passt
 * and other programs listen there. When the peer goes away the link goes down, and connecting is
 * tried again, first after 100 ms, then ever slower up to 5 s.
 *
 * Output: at most one burst of 256 KiB is kept for a slow peer; beyond that the guest's frames are
 * refused (-EAGAIN). A frame is always queued whole or not at all.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/log.h"
#include "net/deframe.h"
#include "net/impl.h"

#define OUT_MAX     (256u * 1024u)
#define SEND_IOV    64
#define RETRY_FIRST (100 * NS_PER_MS)
#define RETRY_MAX   (5 * NS_PER_SEC)

struct stream {
	int fd;
	struct sockaddr_un addr;
	struct loop_fd *watch;
	struct loop_timer *timer; /* reconnect, or take up reading again */
	ns_t retry;
	bool stalled; /* the device has no room: nothing is read */
	struct deframe in;
	size_t out_from, out_to;
	uint8_t out[OUT_MAX];
};

static void stream_event(void *ctx, uint32_t events);

static void rewatch(struct stream *s)
{
	if (s->watch)
		loop_mod_fd(s->watch,
			    (s->stalled ? 0 : EPOLLIN) | (s->out_from < s->out_to ? EPOLLOUT : 0));
}

static void disconnect(struct net *n)
{
	struct stream *s = n->drv;

	loop_del_fd(s->watch);
	s->watch = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->in.from = s->in.to = s->out_from = s->out_to = 0;
	s->stalled = false;
	net_set_link(n, false);
	loop_timer_arm(s->timer, host_now_ns() + s->retry);
	s->retry = MIN(s->retry * 2, RETRY_MAX);
}

/* Deliver what is complete. false: the peer speaks something else. */
static bool deliver(struct net *n)
{
	struct stream *s = n->drv;
	const uint8_t *frame;
	size_t len;

	for (unsigned i = 0; i < NET_RX_BATCH; i++) {
		int r;

		if (!net_room(n)) {
			s->stalled = true;
			return true;
		}
		r = deframe_next(&s->in, &frame, &len);
		if (r < 0)
			return false;
		if (r == 0)
			return true;
		net_deliver(n, frame, len);
	}
	loop_timer_arm(s->timer, 0); /* others first */
	return true;
}

static int read_some(struct stream *s)
{
	uint8_t *p;
	size_t space = deframe_space(&s->in, &p);
	ssize_t got;

	if (space == 0)
		return 0;
	got = recv(s->fd, p, space, MSG_DONTWAIT);
	if (got == 0)
		return -ECONNRESET;
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	deframe_filled(&s->in, (size_t)got);
	return 0;
}

static int push_out(struct stream *s)
{
	while (s->out_from < s->out_to) {
		ssize_t sent = send(s->fd, s->out + s->out_from, s->out_to - s->out_from,
				    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		s->out_from += (size_t)sent;
	}
	s->out_from = s->out_to = 0;
	return 0;
}

static void stream_event(void *ctx, uint32_t events)
{
	struct net *n = ctx;
	struct stream *s = n->drv;
	int r = push_out(s);

	if (r == 0 && !s->stalled && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		r = read_some(s);
	if (r == 0 && !deliver(n)) {
		log_warn("net/%s: the peer does not send length-prefixed frames", n->desc);
		r = -EPROTO;
	}
	if (r < 0)
		disconnect(n);
	else
		rewatch(s);
}

static int stream_connect(struct net *n)
{
	struct stream *s = n->drv;
	int r;

	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return -errno;
	if (connect(s->fd, (struct sockaddr *)&s->addr, sizeof(s->addr)) < 0)
		r = -errno;
	else
		r = loop_add_fd(n->loop, s->fd, EPOLLIN, stream_event, n, &s->watch);
	if (r < 0) {
		close(s->fd);
		s->fd = -1;
		return r;
	}
	s->retry = RETRY_FIRST;
	net_set_link(n, true);
	return 0;
}

static void stream_timer(void *ctx)
{
	struct net *n = ctx;
	struct stream *s = n->drv;

	if (s->fd >= 0) {
		stream_event(n, 0);
		return;
	}
	if (stream_connect(n) < 0) {
		loop_timer_arm(s->timer, host_now_ns() + s->retry);
		s->retry = MIN(s->retry * 2, RETRY_MAX);
	}
}

static int stream_open(struct net *n, const char *arg, const struct net_options *opt,
		       struct error *err)
{
	struct stream *s = xnew(struct stream);
	int r;

	n->drv = s;
	s->fd = -1;
	s->addr.sun_family = AF_UNIX;
	if (strlen(arg) >= sizeof(s->addr.sun_path))
		return error_set(err, -ENAMETOOLONG,
				 "network 'stream:%s': the path is longer than %zu bytes, the "
				 "limit for sockets; use a shorter one",
				 arg, sizeof(s->addr.sun_path) - 1);
	memcpy(s->addr.sun_path, arg, strlen(arg) + 1);
	s->timer = loop_timer_new(n->loop, stream_timer, n);
	if (!s->timer)
		return error_set(err, -ENOMEM, "network 'stream:%s': no timer", arg);
	r = stream_connect(n);
	if (r < 0)
		return error_set(err, r,
				 "network 'stream:%s': cannot connect: %s; start the program that "
				 "listens there first (e.g. `passt --socket %s`)",
				 arg, strerror(-r), arg);
	return 0;
}

static void stream_close(struct net *n)
{
	struct stream *s = n->drv;

	if (!s)
		return;
	loop_del_fd(s->watch);
	loop_timer_free(s->timer);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

/* Queue what @sent bytes of header and frame did not cover. The caller knows that it fits. */
static void queue_rest(struct stream *s, const struct iovec *iov, int niov, size_t sent)
{
	for (int i = 0; i < niov; i++) {
		size_t skip = MIN(sent, iov[i].iov_len);

		sent -= skip;
		memcpy(s->out + s->out_to, (uint8_t *)iov[i].iov_base + skip,
		       iov[i].iov_len - skip);
		s->out_to += iov[i].iov_len - skip;
	}
}

static int stream_send(struct net *n, const struct iovec *iov, int niov, size_t len)
{
	struct stream *s = n->drv;
	struct iovec all[SEND_IOV];
	uint8_t header[DEFRAME_HEADER];
	struct msghdr msg = {.msg_iov = all};
	ssize_t sent = 0;

	st_be32(header, (uint32_t)len);
	if (niov + 1 > SEND_IOV)
		return -EMSGSIZE;
	all[0] = (struct iovec){header, sizeof(header)};
	memcpy(all + 1, iov, (size_t)niov * sizeof(*iov));
	msg.msg_iovlen = (size_t)niov + 1;
	if (s->out_from == s->out_to) {
		sent = sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			return -errno; /* the loop's thread sees the hang-up too */
		sent = MAX(sent, (ssize_t)0);
		if ((size_t)sent == len + sizeof(header))
			return 0;
	}
	if (s->out_from > 0 && OUT_MAX - s->out_to < len + sizeof(header)) {
		memmove(s->out, s->out + s->out_from, s->out_to - s->out_from);
		s->out_to -= s->out_from;
		s->out_from = 0;
	}
	if (OUT_MAX - s->out_to < len + sizeof(header))
		return -EAGAIN;
	queue_rest(s, all, niov + 1, (size_t)sent);
	rewatch(s);
	return 0;
}

static void stream_resume(struct net *n)
{
	struct stream *s = n->drv;

	if (!s->stalled)
		return;
	s->stalled = false;
	rewatch(s);
	loop_timer_arm(s->timer, 0); /* frames may be buffered here */
}

const struct net_kind net_stream_kind = {
	.name = "stream",
	.takes_arg = true,
	.open = stream_open,
	.close = stream_close,
	.send = stream_send,
	.resume = stream_resume,
};
