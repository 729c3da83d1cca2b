/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process of a TPM that this VM owns: `swtpm socket` with its control channel as descriptor 3,
 * which makes it end when we do. It takes a lock in its folder, so that two VMs cannot have the
 * same module, and confines its system calls itself.
 */
#include "tpm/swtpm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CONTROL_FD = 3, STOP_MS = 1000 };

static int make_dir(struct swtpm *s, const char *dir, struct error *err)
{
	const char *tmp = getenv("TMPDIR");

	if (!dir) {
		s->dir = xasprintf("%s/bothy-tpm.XXXXXX", tmp && *tmp ? tmp : "/tmp");
		if (!mkdtemp(s->dir))
			return error_set(err, -errno, "tpm: cannot make the folder '%s': %s",
					 s->dir, strerror(errno));
		s->dir_goes = true;
		return 0;
	}
	/* Options of swtpm are told apart by commas. */
	if (strchr(dir, ','))
		return error_set(err, -EINVAL,
				 "tpm: '%s': the name of the folder must not have commas", dir);
	s->dir = xstrdup(dir);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return error_set(err, -errno, "tpm: cannot make the folder '%s': %s", dir,
				 strerror(errno));
	return 0;
}

static int spawn(struct swtpm *s, int fd)
{
	char *state = xasprintf("dir=%s,mode=0600", s->dir);
	const char *const argv[] = {"swtpm",
				    "socket",
				    "--tpm2",
				    "--tpmstate",
				    state,
				    "--ctrl",
				    "type=unixio,clientfd=3",
				    "--terminate",
				    NULL};
	posix_spawn_file_actions_t act;
	posix_spawnattr_t attr;
	sigset_t none, all;
	pid_t pid = 0;
	int high, r;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawn_file_actions_init(&act);
	high = fcntl(fd, F_DUPFD_CLOEXEC, CONTROL_FD + 1); /* it may have the target's number */
	r = high < 0 ? errno : 0;
	if (r == 0)
		r = posix_spawn_file_actions_addopen(&act, 0, "/dev/null", O_RDWR, 0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&act, 0, 1);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&act, high, CONTROL_FD);
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(&act, CONTROL_FD + 1);
	if (r == 0)
		r = posix_spawnp(&pid, argv[0], &act, &attr, (char *const *)(uintptr_t)argv,
				 environ);
	if (high >= 0)
		close(high);
	posix_spawn_file_actions_destroy(&act);
	posix_spawnattr_destroy(&attr);
	free(state);
	s->pid = r ? 0 : pid;
	return -r;
}

int swtpm_start(struct swtpm *s, const char *dir, int *ret_fd, struct error *err)
{
	int fds[2], r = make_dir(s, dir, err);

	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return error_set(err, -errno, "tpm: no socket pair: %s", strerror(errno));
	r = spawn(s, fds[1]);
	close(fds[1]);
	if (r < 0) {
		close(fds[0]);
		return error_set(err, r,
				 "tpm: cannot start 'swtpm': %s; install the package swtpm, or "
				 "leave --tpm out",
				 strerror(-r));
	}
	*ret_fd = fds[0];
	return 0;
}

/* The folder was ours: what is in it was written by swtpm. */
static void remove_dir(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	rmdir(path);
}

void swtpm_stop(struct swtpm *s)
{
	struct timespec ms = {.tv_nsec = 1000000};
	unsigned waited = 0;

	while (s->pid > 0 && waitpid(s->pid, NULL, WNOHANG) == 0) {
		if (waited++ == STOP_MS)
			kill(s->pid, SIGKILL);
		nanosleep(&ms, NULL);
	}
	s->pid = 0;
	if (s->dir_goes)
		remove_dir(s->dir);
	s->dir_goes = false;
	free(s->dir);
	s->dir = NULL;
}
