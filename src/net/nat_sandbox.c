/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox of the NAT's worker: Landlock without any file, a system call allow-list without
 * open, exec or fork, sockets of the IPv4 and IPv6 families only (a unix socket could reach the
 * host's daemons).
 *
 * One thing libslirp does afterwards needs a file: it opens /etc/resolv.conf when the guest asks
 * the name server 10.0.2.3, and again when stat(2) says that the file has changed. It is read once
 * here, before the doors close, into a memory file. openat(2) then raises SIGSYS instead of doing
 * anything, and the handler answers for this one name with a duplicate of that descriptor, for all
 * files that the TFTP server has with what net/nat_boot.c kept, for all others with EACCES.
 * UNMODELLED: a change of the host's name servers is seen by the next worker only; hosts with a
 * local resolver (127.0.0.53) don't notice.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "host/sandbox.h"
#include "net/nat_boot.h"
#include "net/nat_helper.h"

#define RESOLV_CONF     "/etc/resolv.conf"
#define RESOLV_CONF_MAX 65536
#define RESOLV_FD       4 /* the memory file: a fixed number, because a signal handler needs it */

static const char *const allowed[] = {
	"accept",     "accept4", "bind",       "connect", "getpeername", "getsockname",
	"getsockopt", "listen",  "setsockopt", "socket",  NULL,
};

static const char *const trapped[] = {"open", "openat", NULL};

/* Async-signal-safe. Runs instead of openat(2); what it stores is what the call returns. */
static void on_sigsys(int sig, siginfo_t *info, void *ctx)
{
	ucontext_t *uc = ctx;
	greg_t *reg = uc->uc_mcontext.gregs;
	const char *path =
		(const char *)(info->si_syscall == SYS_openat ? reg[REG_RSI] : reg[REG_RDI]);
	int keep = errno, fd;

	if (info->si_syscall != SYS_openat && info->si_syscall != SYS_open)
		_exit(1);
	if (strcmp(path, RESOLV_CONF) == 0) {
		fd = dup(RESOLV_FD);
		if (fd >= 0)
			lseek(fd, 0, SEEK_SET);
		reg[REG_RAX] = fd >= 0 ? fd : -ENOENT;
	} else {
		reg[REG_RAX] = nat_boot_open(path);
	}
	errno = keep;
}

static int fill_memfd(int to, const char *buf, ssize_t len)
{
	while (len > 0) {
		ssize_t n = write(to, buf, (size_t)len);

		if (n < 0)
			return -errno;
		buf += n;
		len -= n;
	}
	return dup2(to, RESOLV_FD) < 0 ? -errno : 0;
}

int nat_keep_files(struct error *err)
{
	int from = open(RESOLV_CONF, O_RDONLY | O_CLOEXEC), to, r;
	char *buf;
	ssize_t len;

	if (from < 0)
		return 0; /* none: the guest has no DNS */
	buf = xnew_n(char, RESOLV_CONF_MAX);
	len = read(from, buf, RESOLV_CONF_MAX);
	close(from);
	to = memfd_create("resolv.conf", MFD_CLOEXEC);
	r = to < 0 ? -errno : fill_memfd(to, buf, len);
	if (to >= 0 && to != RESOLV_FD)
		close(to);
	free(buf);
	return r < 0 ? error_set(err, r, "network 'nat': memory file: %s", strerror(-r)) : 0;
}

int nat_sandbox(struct error *err)
{
	struct sandbox_profile profile = {
		.name = "nat", .allow = allowed, .trap = trapped, .network = true};
	struct sigaction act = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};

	sigemptyset(&act.sa_mask);
	if (sigaction(SIGSYS, &act, NULL) < 0)
		return error_set(err, -errno, "network 'nat': sigaction: %s", strerror(errno));
	return sandbox_enter(&profile, err);
}
