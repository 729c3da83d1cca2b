/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confinement: each try runs in a child of its own, which must live or die as the profile says
 * (host/sandbox.h).
 */
#include "cm.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/sandbox.h"

static int try_nothing(void)
{
	return 0;
}

static int try_memory(void)
{
	void *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *q = malloc(1 << 20);
	int r = p == MAP_FAILED || !q || mprotect(p, 4096, PROT_READ);

	free(q);
	return r;
}

static void *thread(void *ctx)
{
	return ctx;
}

static int try_thread(void)
{
	pthread_t t;
	int x;
	void *ret;

	return pthread_create(&t, NULL, thread, &x) || pthread_join(t, &ret) || ret != &x;
}

static int try_open(void)
{
	return open("/etc/passwd", O_RDONLY) < 0;
}

static int try_exec_map(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	       MAP_FAILED;
}

static int try_mprotect_exec(void)
{
	void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static int try_execve(void)
{
	char name[] = "true", *argv[] = {name, NULL};

	return execve("/bin/true", argv, NULL);
}

static int try_fork(void)
{
	return fork() < 0;
}

static int try_socket(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	return fd < 0;
}

static int try_ptrace(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0;
}

static int try_kill(void)
{
	return kill(getppid(), 0);
}

static char victim[] = "/tmp/bothy-sandbox-XXXXXX";

static int try_unlink(void)
{
	/* Allowed by that profile's filter; Landlock alone stands in the way. */
	return !(unlink(victim) < 0 && errno == EACCES);
}

static const char *const with_socket[] = {"socket", "connect", "no_such_call", NULL};
static const char *const with_open[] = {"openat", NULL};
static const char *const with_unlink[] = {"unlink", NULL};

static const struct sandbox_profile closed = {.name = "closed"};
static const struct sandbox_profile listed_only = {.name = "listed", .allow = with_socket};
static const struct sandbox_profile networked = {
	.name = "net", .allow = with_socket, .network = true};
static const struct sandbox_profile greedy = {.name = "greedy", .allow = with_open};
static const struct sandbox_profile files = {.name = "files", .allow = with_unlink};

static int in_child(const struct sandbox_profile *p, int (*fn)(void))
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (sandbox_enter(p, NULL))
			_exit(99);
		_exit(fn());
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static const struct {
	const struct sandbox_profile *profile;
	int (*fn)(void);
	bool killed;
	const char *name;
} rows[] = {
	{&closed, try_nothing, false, "exit"},
	{&closed, try_memory, false, "memory"},
	{&closed, try_thread, false, "thread"},
	{&closed, try_open, true, "open"},
	{&closed, try_exec_map, true, "executable mapping"},
	{&closed, try_mprotect_exec, true, "making memory executable"},
	{&closed, try_execve, true, "execve"},
	{&closed, try_fork, true, "fork"},
	{&closed, try_socket, true, "socket"},
	{&closed, try_ptrace, true, "ptrace"},
	{&closed, try_kill, true, "kill"},
	{&listed_only, try_socket, true, "socket without .network"},
	{&networked, try_socket, false, "socket with .network"},
	{&networked, try_open, true, "open with .network"},
};

static void test_rows(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		int status = in_child(rows[i].profile, rows[i].fn);
		bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
		bool fine = WIFEXITED(status) && WEXITSTATUS(status) == 0;

		if (rows[i].killed ? !killed : !fine)
			fail_msg("%s: child ended with status 0x%x", rows[i].name, status);
	}
}

/* A profile that asks for what nobody gets is a bug, and is refused. */
static void test_greedy(void **state)
{
	int status = in_child(&greedy, try_nothing);

	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 99);
}

static void test_landlock(void **state)
{
	int fd, status;

	if (!sandbox_landlock()) {
		print_message("skipped: this kernel has no Landlock\n");
		skip();
	}
	fd = mkstemp(victim);
	assert_true(fd >= 0);
	close(fd);
	status = in_child(&files, try_unlink);
	unlink(victim);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_greedy),
		cmocka_unit_test(test_landlock),
	};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	/* The sanitizers' runtimes make system calls of their own. */
	print_message("skipped: a sanitizer's runtime can't run under a system call filter\n");
	(void)tests;
	return 77;
#else
	return cmocka_run_group_tests(tests, NULL, NULL);
#endif
}
