/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "nat": the VM's side of the user NAT. The IP stack (libslirp) parses what guests and the whole
 * internet send, so it runs in a helper process of its own that has nothing: no file system, no
 * guest memory, no right to become anything else (net/nat_helper.c). Here only messages with
 * frames are moved over a socket pair (net/nat.h).
 *
 * The helper is this same program, started through /proc/self/exe with argv[0] "bothy-nat", so its
 * memory holds nothing of the VM's. It replaces a worker that dies, by itself; when the helper as a
 * whole dies, it is started again here, first after 100 ms, then ever slower up to 5 s. Either way
 * the guest sees the link go down and up, and nothing else.
 *
 * Backpressure: the socket's buffer is the queue. Full towards the helper: -EAGAIN to the device.
 * A device without room: the rest of a message stays here, the socket is not read, and the helper
 * stops reading from the host.
 */
#include "net/nat.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "net/impl.h"
#include "net/nat_filter.h"

#define SEND_IOV     64
#define START_MS     10000 /* how long the first start may take */
#define RETRY_FIRST  (100 * NS_PER_MS)
#define RETRY_MAX    (5 * NS_PER_SEC)
#define SOCKET_BYTES (1024 * 1024)

struct nat {
	int fd;
	pid_t pid; /* 0: none */
	struct loop_fd *watch;
	struct loop_timer *timer;
	struct loop_timer *more; /* the device has room again for what is left in buf */
	ns_t retry;
	bool stalled;
	struct nat_config cfg;
	size_t at, len; /* frames in buf that the device has not got yet */
	uint8_t buf[NAT_MESSAGE_MAX];
};

static int spawn_helper(struct nat *nat, int fd)
{
	char argv0[] = NAT_ARGV0;
	char *argv[] = {argv0, NULL};
	char *env[2] = {NULL, NULL};
	const char *libraries = getenv("LD_LIBRARY_PATH");
	posix_spawn_file_actions_t act;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r;

	/* The environment may hold secrets, and the helper faces the network: it gets only what it
	 * needs to start. */
	if (libraries)
		env[0] = xasprintf("LD_LIBRARY_PATH=%s", libraries);
	/* Default signals, own process group: Ctrl-C at the terminal is not for the helper. */
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawn_file_actions_init(&act);
	posix_spawn_file_actions_adddup2(&act, fd, NAT_FD);
	posix_spawn_file_actions_addclosefrom_np(&act, NAT_FD + 1);
	r = posix_spawn(&nat->pid, "/proc/self/exe", &act, &attr, argv, env);
	posix_spawn_file_actions_destroy(&act);
	posix_spawnattr_destroy(&attr);
	free(env[0]);
	if (r)
		nat->pid = 0;
	return -r;
}

/* Start a helper and send it its configuration. It answers later. */
static int start_helper(struct nat *nat)
{
	struct iovec iov[2] = {{(char[]){NAT_CONFIG}, 1}, {&nat->cfg, sizeof(nat->cfg)}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	int fds[2], bytes = SOCKET_BYTES, r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	/* As much as the host grants; the default will do. */
	for (int i = 0; i < 2; i++)
		setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	/* dup2() onto itself would keep close-on-exec: stay clear of the helper's number. */
	if (fds[1] == NAT_FD) {
		int other = dup(fds[1]);

		r = other < 0 ? -errno : spawn_helper(nat, other);
		if (other >= 0)
			close(other);
	} else {
		r = spawn_helper(nat, fds[1]);
	}
	close(fds[1]);
	if (r == 0 && sendmsg(fds[0], &msg, MSG_NOSIGNAL) < 0)
		r = -errno;
	if (r < 0) {
		close(fds[0]);
		return r;
	}
	nat->fd = fds[0];
	return 0;
}

static void end_helper(struct nat *nat)
{
	loop_del_fd(nat->watch);
	nat->watch = NULL;
	if (nat->fd >= 0)
		close(nat->fd);
	nat->fd = -1;
	nat->stalled = false;
	nat->at = nat->len = 0;
	if (nat->pid > 0) {
		kill(nat->pid, SIGKILL); /* its worker dies with it */
		while (waitpid(nat->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	nat->pid = 0;
}

/* One message: its type and payload length; 0 when there is none now; -errno. */
static int receive(struct nat *nat, size_t *ret_len)
{
	uint8_t type = 0;
	struct iovec iov[2] = {{&type, 1}, {nat->buf, sizeof(nat->buf)}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t len = recvmsg(nat->fd, &msg, MSG_DONTWAIT);

	if (len < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (len == 0)
		return -ECONNRESET;
	if (msg.msg_flags & MSG_TRUNC)
		return -EMSGSIZE;
	*ret_len = (size_t)len - 1;
	return type;
}

static void helper_died(struct net *n)
{
	struct nat *nat = n->drv;

	log_warn("net/%s: the helper process died; starting another in %llu ms", n->desc,
		 (unsigned long long)(nat->retry / NS_PER_MS));
	end_helper(nat);
	net_set_link(n, false);
	loop_timer_arm(nat->timer, host_now_ns() + nat->retry);
	nat->retry = MIN(nat->retry * 2, RETRY_MAX);
}

static void log_text(struct net *n, const char *what, const uint8_t *text, size_t len)
{
	log_warn("net/%s: %s: %.*s", n->desc, what, (int)MIN(len, (size_t)300), (const char *)text);
}

/* Returns false when the helper is gone. */
static bool handle(struct net *n, int type, size_t len)
{
	struct nat *nat = n->drv;

	switch (type) {
	case NAT_FRAMES:
		nat->at = 0;
		nat->len = len;
		return true;
	case NAT_UP:
		nat->retry = RETRY_FIRST;
		net_set_link(n, true);
		return true;
	case NAT_DOWN:
		log_warn("net/%s: the NAT died and is being replaced", n->desc);
		net_set_link(n, false);
		return true;
	case NAT_ERROR: log_text(n, "helper", nat->buf, len); return true;
	default: return false;
	}
}

static void stall(struct nat *nat)
{
	nat->stalled = true;
	loop_mod_fd(nat->watch, 0);
}

/* The frames of the last message, counted down in @budget. 0 all delivered, -EAGAIN no room,
 * -EPROTO not frames. */
static int deliver(struct net *n, unsigned *budget)
{
	struct nat *nat = n->drv;

	while (nat->at < nat->len) {
		uint32_t len;

		if (!net_room(n))
			return -EAGAIN;
		if (nat->len - nat->at < sizeof(len))
			return -EPROTO;
		memcpy(&len, nat->buf + nat->at, sizeof(len));
		nat->at += sizeof(len);
		if (len > nat->len - nat->at)
			return -EPROTO;
		net_deliver(n, nat->buf + nat->at, len);
		nat->at += len;
		*budget -= *budget > 0;
	}
	return 0;
}

static void nat_event(void *ctx, uint32_t events)
{
	struct net *n = ctx;
	struct nat *nat = n->drv;
	unsigned budget = NET_RX_BATCH;

	for (;;) {
		int r = deliver(n, &budget), type;
		size_t len;

		if (r == -EAGAIN || (r == 0 && !net_room(n))) {
			stall(nat);
			return;
		}
		if (r < 0) {
			helper_died(n);
			return;
		}
		if (!budget)
			return;
		budget--;
		type = receive(nat, &len);
		if (type == 0)
			return;
		if (type < 0 || !handle(n, type, len)) {
			helper_died(n);
			return;
		}
	}
}

/* Room again for the rest of a message: the socket will not say so. */
static void nat_more(void *ctx)
{
	struct net *n = ctx;
	struct nat *nat = n->drv;

	if (nat->watch && !nat->stalled) {
		loop_mod_fd(nat->watch, EPOLLIN);
		nat_event(n, 0);
	}
}

static int watch_helper(struct net *n)
{
	struct nat *nat = n->drv;

	return loop_add_fd(n->loop, nat->fd, EPOLLIN, nat_event, n, &nat->watch);
}

static void nat_timer(void *ctx)
{
	struct net *n = ctx;
	struct nat *nat = n->drv;
	int r = start_helper(nat);

	if (r == 0)
		r = watch_helper(n);
	if (r < 0) {
		log_warn("net/%s: cannot start the helper: %s", n->desc, strerror(-r));
		end_helper(nat);
		loop_timer_arm(nat->timer, host_now_ns() + nat->retry);
		nat->retry = MIN(nat->retry * 2, RETRY_MAX);
	}
}

static int make_config(struct nat *nat, const struct net_options *opt, struct error *err)
{
	struct nat_config *cfg = &nat->cfg;

	cfg->magic = NAT_CONFIG_MAGIC;
	cfg->parent_pid = (uint32_t)getpid();
	cfg->restrict_host = opt->restrict_host;
	cfg->mtu = opt->large_frames ? NAT_MTU_LARGE : 1500;
	if (opt->tftp) {
		char *path = realpath(opt->tftp, NULL);
		size_t len = path ? strlen(path) : 0;

		if (len && len < sizeof(cfg->tftp))
			memcpy(cfg->tftp, path, len);
		free(path);
		if (!len || len >= sizeof(cfg->tftp))
			return error_set(err, len ? -ENAMETOOLONG : -errno,
					 "network: directory '%s' to serve by TFTP: %s", opt->tftp,
					 strerror(len ? ENAMETOOLONG : errno));
	}
	if (opt->bootfile && (size_t)snprintf(cfg->bootfile, sizeof(cfg->bootfile), "%s",
					      opt->bootfile) >= sizeof(cfg->bootfile))
		return error_set(err, -ENAMETOOLONG,
				 "network: the boot file's name is longer than "
				 "%d bytes",
				 NAT_BOOTFILE_MAX - 1);
	if (opt->n_forwards > NAT_MAX_FORWARDS)
		return error_set(err, -E2BIG,
				 "network: %u ports to forward, at most %d are possible",
				 opt->n_forwards, NAT_MAX_FORWARDS);
	for (unsigned i = 0; i < opt->n_forwards; i++) {
		const struct net_forward *from = &opt->forwards[i];
		struct nat_forward *to = &cfg->forwards[i];
		const char *addr = from->host_addr[0] ? from->host_addr : "127.0.0.1";

		if (inet_pton(AF_INET, addr, &to->host_addr) != 1)
			return error_set(err, -EINVAL,
					 "network: forward %u:%u: '%s' is not an IPv4 address of "
					 "this host",
					 from->host_port, from->guest_port, addr);
		if (!from->host_port || !from->guest_port)
			return error_set(err, -EINVAL,
					 "network: forward %u:%u: ports are 1 to 65535",
					 from->host_port, from->guest_port);
		to->host_port = from->host_port;
		to->guest_port = from->guest_port;
		to->udp = from->udp;
	}
	cfg->n_forwards = (uint16_t)opt->n_forwards;
	return 0;
}

/* Wait for the first NAT_UP, or for the reason why it does not come. */
static int await_start(struct net *n, struct error *err)
{
	struct nat *nat = n->drv;
	ns_t end = host_now_ns() + START_MS * NS_PER_MS;

	for (;;) {
		struct pollfd pfd = {.fd = nat->fd, .events = POLLIN};
		ns_t now = host_now_ns();
		size_t len = 0;
		int type;

		if (now >= end)
			return error_set(err, -ETIMEDOUT,
					 "network 'nat': the helper process did not start within "
					 "%d s; is the host overloaded? try --net none",
					 START_MS / 1000);
		if (poll(&pfd, 1, (int)((end - now) / NS_PER_MS) + 1) < 0 && errno != EINTR)
			return error_set(err, -errno, "network 'nat': poll: %s", strerror(errno));
		type = receive(nat, &len);
		if (type == NAT_UP)
			return 0;
		if (type == NAT_ERROR)
			return error_set(err, -EADDRINUSE, "%.*s", (int)MIN(len, (size_t)300),
					 (const char *)nat->buf);
		if (type < 0)
			return error_set(err, -ECHILD,
					 "network 'nat': the helper process ended at once; its "
					 "messages are above, or use --net none");
	}
}

static int nat_open(struct net *n, const char *arg, const struct net_options *opt,
		    struct error *err)
{
	struct nat *nat = xnew(struct nat);
	int r;

	n->drv = nat;
	nat->fd = -1;
	nat->retry = RETRY_FIRST;
	r = make_config(nat, opt, err);
	if (r < 0)
		return r;
	n->mtu = nat->cfg.mtu;
	nat->timer = loop_timer_new(n->loop, nat_timer, n);
	nat->more = loop_timer_new(n->loop, nat_more, n);
	if (!nat->timer || !nat->more)
		return error_set(err, -ENOMEM, "network 'nat': no timer");
	r = start_helper(nat);
	if (r < 0)
		return error_set(err, r,
				 "network 'nat': cannot start the helper process: %s; is /proc "
				 "mounted? or use --net none",
				 strerror(-r));
	r = await_start(n, err);
	if (r < 0)
		return r;
	n->link_up = true;
	r = watch_helper(n);
	if (r < 0)
		return error_set(err, r, "network 'nat': cannot watch: %s", strerror(-r));
	return 0;
}

static void nat_close(struct net *n)
{
	struct nat *nat = n->drv;

	if (!nat)
		return;
	end_helper(nat);
	loop_timer_free(nat->timer);
	loop_timer_free(nat->more);
	free(nat);
}

static int nat_send_frame(struct net *n, const struct iovec *iov, int niov, size_t len)
{
	struct nat *nat = n->drv;
	struct iovec all[SEND_IOV];
	struct msghdr msg = {.msg_iov = all};
	uint8_t type = NAT_FRAME;

	if (niov + 1 > SEND_IOV || len > NAT_FRAME_MAX || nat->fd < 0)
		return -EMSGSIZE;
	all[0] = (struct iovec){&type, 1};
	memcpy(all + 1, iov, (size_t)niov * sizeof(*iov));
	msg.msg_iovlen = (size_t)niov + 1;
	if (sendmsg(nat->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	return errno == EINTR || errno == EAGAIN || errno == ENOBUFS ? -EAGAIN : -errno;
}

static void nat_resume(struct net *n)
{
	struct nat *nat = n->drv;

	if (!nat->stalled)
		return;
	nat->stalled = false;
	if (nat->at < nat->len)
		loop_timer_arm(nat->more, 0);
	else if (nat->watch)
		loop_mod_fd(nat->watch, EPOLLIN);
}

const struct net_kind net_nat_kind = {
	.name = "nat",
	.open = nat_open,
	.close = nat_close,
	.send = nat_send_frame,
	.resume = nat_resume,
};
