/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user NAT's helper process, in two parts:
 *
 * The supervisor is what was executed. It reads the configuration, forks workers and does nothing
 * else: it never looks at a frame, so nothing a guest or a peer sends can reach it. When a worker
 * dies it tells the VM (NAT_DOWN) and forks the next one, waiting longer each time (100 ms to 5 s);
 * a worker that lived 10 s resets the wait. It can do that although the VM itself may be confined
 * in a way that forbids starting processes.
 *
 * The worker (net/nat_worker.c) binds the forwarded ports, closes its sandbox, and only then reads
 * the first frame.
 *
 * Both die with the process above them (PR_SET_PDEATHSIG), and the worker also ends when the VM
 * closes the socket.
 */
#include "net/nat_helper.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "net/nat_boot.h"

#define RETRY_FIRST_MS 100
#define RETRY_MAX_MS   5000
#define GOOD_LIFE_S    10

bool nat_send(enum nat_message type, const void *p, size_t len, int flags)
{
	uint8_t t = (uint8_t)type;
	struct iovec iov[2] = {{&t, 1}, {(void *)(uintptr_t)p, len}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = len ? 2 : 1};
	ssize_t r;

	do {
		r = sendmsg(NAT_FD, &msg, flags | MSG_NOSIGNAL);
	} while (r < 0 && errno == EINTR);
	return r >= 0;
}

bool nat_config_valid(const void *p, size_t len)
{
	struct nat_config cfg;

	if (len != sizeof(cfg))
		return false;
	memcpy(&cfg, p, sizeof(cfg));
	return cfg.magic == NAT_CONFIG_MAGIC && cfg.n_forwards <= NAT_MAX_FORWARDS &&
	       (cfg.mtu == 1500 || cfg.mtu == NAT_MTU_LARGE) &&
	       memchr(cfg.tftp, 0, sizeof(cfg.tftp)) &&
	       memchr(cfg.bootfile, 0, sizeof(cfg.bootfile));
}

static bool read_config(struct nat_config *ret_cfg)
{
	uint8_t buf[1 + sizeof(*ret_cfg)];
	ssize_t len;

	do {
		len = recv(NAT_FD, buf, sizeof(buf), 0);
	} while (len < 0 && errno == EINTR);
	if (len < 1 || buf[0] != NAT_CONFIG || !nat_config_valid(buf + 1, (size_t)len - 1))
		return false;
	memcpy(ret_cfg, buf + 1, sizeof(*ret_cfg));
	return true;
}

/*
 * No core files with other people's traffic in them, few descriptors (the files that TFTP offers
 * are among them), bounded memory: libslirp sets aside 256 KiB for each of at most 1024
 * connections, most of it never touched.
 */
static void set_limits(void)
{
	static const struct {
		int what;
		rlim_t max;
	} limits[] = {
		{RLIMIT_CORE, 0},
		{RLIMIT_NOFILE, NAT_DESCRIPTORS + NAT_BOOT_FILES},
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* shadows count */
		{RLIMIT_DATA, 512 * MIB},
#endif
	};

	for (unsigned i = 0; i < ARRAY_SIZE(limits); i++) {
		struct rlimit old, new = {limits[i].max, limits[i].max};

		if (getrlimit((__rlimit_resource_t)limits[i].what, &old) == 0) {
			new.rlim_max = MIN(new.rlim_max, old.rlim_max);
			new.rlim_cur = MIN(new.rlim_cur, new.rlim_max);
			setrlimit((__rlimit_resource_t)limits[i].what, &new);
		}
	}
}

static pid_t fork_worker(const struct nat_config *cfg)
{
	pid_t supervisor = getpid(), pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != supervisor)
			_exit(NAT_EXIT_DONE);
		prctl(PR_SET_NAME, "bothy-nat-ip");
		_exit(nat_worker(cfg));
	}
	return pid;
}

static void sleep_ms(unsigned ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&ts, NULL);
}

static int supervise(const struct nat_config *cfg)
{
	unsigned wait_ms = RETRY_FIRST_MS;
	bool first = true;

	for (;;) {
		time_t born = time(NULL);
		pid_t pid = fork_worker(cfg);
		int status = 0;

		while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
			continue;
		if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == NAT_EXIT_DONE)
			return 0; /* the VM closed the socket */
		if (first && pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == NAT_EXIT_SETUP)
			return 1; /* it has said why */
		first = false;
		if (!nat_send(NAT_DOWN, NULL, 0, 0))
			return 0;
		if (time(NULL) - born >= GOOD_LIFE_S)
			wait_ms = RETRY_FIRST_MS;
		sleep_ms(wait_ms);
		wait_ms = MIN(wait_ms * 2, (unsigned)RETRY_MAX_MS);
	}
}

int nat_helper_main(int argc, char **argv)
{
	struct nat_config cfg;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "bothy-nat");
	signal(SIGPIPE, SIG_IGN);
	if (!read_config(&cfg)) {
		fprintf(stderr, "bothy-nat: started by hand? This is an internal helper.\n");
		return 1;
	}
	/* The parent may have died before the prctl() above. */
	if ((uint32_t)getppid() != cfg.parent_pid)
		return 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return 1;
	set_limits();
	return supervise(&cfg);
}
