/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confinement (host/sandbox.h): PR_SET_NO_NEW_PRIVS, PR_SET_DUMPABLE 0, Landlock with no rule
 * (landlock(7): what a ruleset handles and no rule allows is denied), then seccomp(2).
 *
 * The filter's default action is SECCOMP_RET_KILL_PROCESS: a helper that does something unforeseen
 * is either broken or taken over, and its death is an event its owner handles. What the C library
 * probes for harmlessly (opening /etc/localtime, locales) is avoided by doing it before entering.
 *
 * UNMODELLED: name spaces; a user name space is not available in many containers, and everything
 * the helpers may still reach after Landlock and seccomp is a descriptor they were given.
 */
#include "host/sandbox.h"

#include <errno.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Running, memory, threads, clocks, signals, descriptors held already. */
static const char *const always[] = {"brk",
				     "clock_getres",
				     "clock_gettime",
				     "clock_nanosleep",
				     "close",
				     "dup",
				     "epoll_create1",
				     "epoll_ctl",
				     "epoll_pwait",
				     "epoll_pwait2",
				     "epoll_wait",
				     "eventfd2",
				     "exit",
				     "exit_group",
				     "fcntl",
				     "fdatasync",
				     "fstat",
				     "fsync",
				     "futex",
				     "getpid",
				     "getrandom",
				     "gettid",
				     "gettimeofday",
				     "lseek",
				     "madvise",
				     "mremap",
				     "munmap",
				     "nanosleep",
				     "newfstatat",
				     "poll",
				     "ppoll",
				     "pread64",
				     "preadv",
				     "pselect6",
				     "pwrite64",
				     "pwritev",
				     "read",
				     "readv",
				     "recvfrom",
				     "recvmsg",
				     "restart_syscall",
				     "rseq",
				     "rt_sigaction",
				     "rt_sigprocmask",
				     "rt_sigreturn",
				     "sched_yield",
				     "select",
				     "sendmsg",
				     "sendto",
				     "set_robust_list",
				     "shutdown",
				     "sigaltstack",
				     "sysinfo",
				     "tgkill",
				     "timerfd_create",
				     "timerfd_settime",
				     "uname",
				     "write",
				     "writev",
				     NULL};

/* Never, whatever a profile says. (mmap, mprotect and sockets have rules of their own.) */
static const char *const never[] = {"bpf",
				    "execve",
				    "execveat",
				    "init_module",
				    "finit_module",
				    "kexec_load",
				    "mount",
				    "open",
				    "openat",
				    "openat2",
				    "open_by_handle_at",
				    "perf_event_open",
				    "pivot_root",
				    "process_vm_readv",
				    "process_vm_writev",
				    "ptrace",
				    "setns",
				    "unshare",
				    "userfaultfd",
				    NULL};

static bool listed(const char *const *list, const char *name)
{
	for (; *list; list++)
		if (!strcmp(*list, name))
			return true;
	return false;
}

static bool is_network(const char *name)
{
	static const char *const names[] = {"socket", "connect", "bind",       "listen",
					    "accept", "accept4", "socketpair", NULL};

	return listed(names, name);
}

static int allow(scmp_filter_ctx ctx, const char *name)
{
	int nr = seccomp_syscall_resolve_name(name);
	int r;

	if (nr == __NR_SCMP_ERROR)
		return 0; /* this libseccomp has not heard of it: it can't be called either */
	r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);
	return r == -EEXIST ? 0 : r;
}

/* Memory may be mapped and re-protected, but never made executable. */
static int allow_memory(scmp_filter_ctx ctx)
{
	int r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

	return r ? r
		 : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

/* New threads yes, new processes no. clone3 takes its flags by pointer, out of a filter's sight: it
 * fails with ENOSYS, upon which the C library falls back to clone. */
static int allow_threads(scmp_filter_ctx ctx)
{
	int r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				 SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));

	return r ? r : seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static int allow_inet_sockets(scmp_filter_ctx ctx)
{
	int r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				 SCMP_A0(SCMP_CMP_EQ, AF_INET));

	return r ? r
		 : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				    SCMP_A0(SCMP_CMP_EQ, AF_INET6));
}

static int add_rules(scmp_filter_ctx ctx, const struct sandbox_profile *p)
{
	int r = allow_memory(ctx);

	if (!r)
		r = allow_threads(ctx);
	/* Terminal and non-blocking questions of stdio, nothing that acts: FIONREAD, FIONBIO,
	 * TCGETS. */
	for (unsigned i = 0; !r && i < 3; i++) {
		static const unsigned requests[] = {0x541b, 0x5421, 0x5401};

		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				     SCMP_A1(SCMP_CMP_EQ, requests[i]));
	}
	for (const char *const *name = always; !r && *name; name++)
		r = allow(ctx, *name);
	for (const char *const *name = p->trap; !r && name && *name; name++)
		r = seccomp_rule_add(ctx, SCMP_ACT_TRAP, seccomp_syscall_resolve_name(*name), 0);
	for (const char *const *name = p->allow; !r && name && *name; name++) {
		if (listed(never, *name))
			return -EPERM;
		if (!strcmp(*name, "mmap") || !strcmp(*name, "mprotect") ||
		    !strcmp(*name, "clone") || !strcmp(*name, "clone3") ||
		    (is_network(*name) && !p->network))
			continue;
		/* Other families reach further than the network: unix sockets, netlink, vsock. */
		if (!strcmp(*name, "socket"))
			r = allow_inet_sockets(ctx);
		else
			r = allow(ctx, *name);
	}
	return r;
}

static int load_filter(const struct sandbox_profile *p, struct error *err)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r;

	if (!ctx)
		return error_set(err, -ENOMEM, "sandbox '%s': no memory for the filter", p->name);
	r = add_rules(ctx, p);
	if (!r)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	if (r)
		return error_set(err, r, "sandbox '%s': can't install the system call filter: %s",
				 p->name, strerror(-r));
	return 0;
}

int sandbox_landlock(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return abi < 0 ? 0 : (int)abi;
}

static int deny_files(const struct sandbox_profile *p, struct error *err)
{
	/* ABI 1 knows 13 rights; later ABIs add one each (refer, truncate). Others would need
	 * system calls the filter kills. */
	static const uint64_t rights[] = {0, (1 << 13) - 1, (1 << 14) - 1, (1 << 15) - 1};
	int abi = sandbox_landlock(), fd, r = 0;
	struct landlock_ruleset_attr attr = {.handled_access_fs =
						     rights[MIN(abi, (int)ARRAY_SIZE(rights) - 1)]};

	if (!abi)
		return 0; /* no Landlock: seccomp still refuses every open */
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		r = error_set(err, -errno, "sandbox '%s': Landlock refused: %s", p->name,
			      strerror(errno));
	if (fd >= 0)
		close(fd);
	return r;
}

int sandbox_enter(const struct sandbox_profile *p, struct error *err)
{
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return error_set(err, -errno, "sandbox '%s': prctl: %s", p->name, strerror(errno));
	r = p->keep_fs ? 0 : deny_files(p, err);
	return r ? r : load_filter(p, err);
}
