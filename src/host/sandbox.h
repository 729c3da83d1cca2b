/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confinement of the calling process: no new privileges, no core dump, no file system (Landlock,
 * where the kernel has it), and a seccomp allow-list under which any other system call kills the
 * process. Entered once, by a helper process that has already opened everything it needs; there is
 * no way back.
 */
#ifndef HOST_SANDBOX_H
#define HOST_SANDBOX_H

#include "base/err.h"

struct sandbox_profile {
	const char *name;         /* for messages: "net" */
	const char *const *allow; /* system call names, NULL-terminated; names this kernel's
				   * libseccomp doesn't know are skipped */
	const char *const *trap;  /* NULL, or names that raise SIGSYS in the caller instead of
				   * killing:  a handler installed before answers in their place */
	bool network;             /* may create and connect sockets (the names must be in @allow) of
				   * the IPv4 and IPv6 families;
				   * otherwise socket(2) and connect(2) are refused by seccomp even
				   * when listed */
	bool keep_fs;             /* leave the file system reachable (tests only) */
};

/**
 * sandbox_enter() - confine the calling thread and the threads it starts from now on
 * Call before threads exist; each later thread inherits. What every profile needs to run and end
 * (exit, futex, memory without PROT_EXEC, clocks, signal return, read/write on open descriptors) is
 * always allowed; open/openat, execve, ptrace and mappings with PROT_EXEC never are.
 * Missing Landlock (old kernel, disabled) is not an error: sandbox_landlock() tells.
 * Return: 0 or -errno with text.
 */
int sandbox_enter(const struct sandbox_profile *p, struct error *err) MUST_CHECK;

/** sandbox_landlock() - the kernel's Landlock ABI version, 0 when there is none. Any thread. */
int sandbox_landlock(void);

#endif
