/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Class system: what needs the kernel. System calls, faults, processes, switches, signals, files.
 * Files go to /dev/shm, a tmpfs everywhere. Two processes or threads of a kernel here take turns:
 * none needs a second processor.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t syscall_run(void *data)
{
	uint64_t ok = 0;

	(void)data;
	for (int i = 0; i < 10000; i++)
		ok += syscall(SYS_getppid) > 0;
	return ok;
}

static uint64_t clock_run(void *data)
{
	uint64_t ok = 0;
	struct timespec t, last = {0, 0};

	(void)data;
	for (int i = 0; i < 20000; i++) {
		clock_gettime(CLOCK_MONOTONIC, &t);
		ok += t.tv_sec > last.tv_sec ||
		      (t.tv_sec == last.tv_sec && t.tv_nsec >= last.tv_nsec);
		last = t;
	}
	return ok;
}

static uint64_t stat_run(void *data)
{
	struct stat s;
	uint64_t ok = 0;

	(void)data;
	for (int i = 0; i < 2000; i++) {
		ok += stat("/proc/self/../../dev/null", &s) == 0;
		ok += stat("/dev/none", &s) != 0;
		ok += stat("/dev/shm", &s) == 0;
	}
	return ok;
}

/* --- Two that take turns -------------------------------------------------------------------------
 */

/* A child that sends every byte back, over two pipes or a pair of sockets. */
struct peer {
	int in, out;
};

/* A child lives as long as its parent. */
static pid_t child_of_ours(void)
{
	pid_t pid = fork();

	if (pid < 0)
		bench_fail("fork");
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

static void *echo_new(struct peer ours, struct peer theirs)
{
	struct peer *p = bench_alloc(sizeof(*p));
	char c;

	if (child_of_ours() == 0) {
		close(ours.in);
		close(ours.out);
		while (read(theirs.in, &c, 1) == 1)
			if (write(theirs.out, &c, 1) != 1)
				break;
		_exit(0);
	}
	close(theirs.in);
	if (theirs.out != theirs.in)
		close(theirs.out);
	*p = ours;
	return p;
}

static void *pipe_new(void)
{
	int there[2], back[2];

	if (pipe(there) || pipe(back))
		bench_fail("pipe");
	return echo_new((struct peer){back[0], there[1]}, (struct peer){there[0], back[1]});
}

static void *socket_new(void)
{
	int s[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, s))
		bench_fail("socketpair");
	return echo_new((struct peer){s[0], s[0]}, (struct peer){s[1], s[1]});
}

static uint64_t echo_run(void *data)
{
	const struct peer *p = data;
	uint64_t sum = 0;

	for (int i = 0; i < 500; i++) {
		char c = (char)i;

		if (write(p->out, &c, 1) != 1 || read(p->in, &c, 1) != 1)
			bench_fail("echo");
		sum = mix(sum, (unsigned char)c);
	}
	return sum;
}

struct turns {
	atomic_int turn;
	pthread_t other;
};

static void futex(atomic_int *at, int op, int v)
{
	syscall(SYS_futex, at, op | FUTEX_PRIVATE_FLAG, v, NULL, NULL, 0);
}

static void *other_thread(void *data)
{
	struct turns *t = data;

	for (;;) {
		while (atomic_load(&t->turn) != 1)
			futex(&t->turn, FUTEX_WAIT, 0);
		atomic_store(&t->turn, 0);
		futex(&t->turn, FUTEX_WAKE, 1);
	}
	return NULL;
}

static void *futex_new(void)
{
	struct turns *t = bench_alloc(sizeof(*t));

	if (pthread_create(&t->other, NULL, other_thread, t))
		bench_fail("pthread_create");
	return t;
}

static uint64_t futex_run(void *data)
{
	struct turns *t = data;
	uint64_t n = 0;

	for (int i = 0; i < 500; i++) {
		atomic_store(&t->turn, 1);
		futex(&t->turn, FUTEX_WAKE, 1);
		while (atomic_load(&t->turn) != 0)
			futex(&t->turn, FUTEX_WAIT, 1);
		n++;
	}
	return n;
}

/* sched_yield between processes on one processor, each with its own address space and small set. */
static void *yield_new(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	for (int i = 0; i < 3; i++)
		if (child_of_ours() == 0) {
			volatile char set[16 * 4096];

			for (;;) {
				for (size_t k = 0; k < sizeof(set); k += 4096)
					set[k]++;
				sched_yield();
			}
		}
	return NULL;
}

static uint64_t yield_run(void *data)
{
	(void)data;
	for (int i = 0; i < 300; i++)
		sched_yield();
	return 300;
}

/* --- Processes -----------------------------------------------------------------------------------
 */

static uint64_t fork_run(void *data)
{
	uint64_t sum = 0;

	(void)data;
	for (int i = 0; i < 10; i++) {
		int status;
		pid_t pid = fork();

		if (pid < 0)
			bench_fail("fork");
		if (pid == 0)
			_exit(i);
		if (waitpid(pid, &status, 0) != pid)
			bench_fail("waitpid");
		sum = mix(sum, (unsigned)WEXITSTATUS(status));
	}
	return sum;
}

static uint64_t exec_run(void *data)
{
	uint64_t sum = 0;

	(void)data;
	for (int i = 0; i < 5; i++) {
		char *argv[] = {"bench", "--nothing", NULL};
		int status;
		pid_t pid = vfork();

		if (pid < 0)
			bench_fail("vfork");
		if (pid == 0) {
			execv(bench_self(), argv);
			_exit(99);
		}
		if (waitpid(pid, &status, 0) != pid)
			bench_fail("waitpid");
		sum = mix(sum, (unsigned)WEXITSTATUS(status));
	}
	return sum;
}

static void *thread_body(void *data)
{
	return data;
}

static uint64_t thread_run(void *data)
{
	uint64_t n = 0;

	(void)data;
	for (int i = 0; i < 40; i++) {
		pthread_t t;
		void *back;

		if (pthread_create(&t, NULL, thread_body, &n) || pthread_join(t, &back))
			bench_fail("pthread_create");
		n += back == &n;
	}
	return n;
}

/* --- Memory --------------------------------------------------------------------------------------
 */

static uint64_t fault_run(void *data)
{
	enum { SIZE = 4 << 20 };
	uint64_t sum = 0;

	(void)data;
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		bench_fail("mmap");
	madvise(p, SIZE, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < SIZE; i += 4096)
		sum += (unsigned char)p[i]++ == 0;
	munmap(p, SIZE);
	return sum;
}

static uint64_t protect_run(void *data)
{
	uint64_t sum = 0;
	volatile char *p = data;

	for (int i = 0; i < 1000; i++) {
		mprotect(data, 4096, PROT_READ);
		sum += (unsigned char)p[8];
		mprotect(data, 4096, PROT_READ | PROT_WRITE);
		p[8] = 1;
	}
	p[8] = 0;
	return sum;
}

static void *page_new(void)
{
	return bench_alloc(4096);
}

static uint64_t mmap_run(void *data)
{
	uint64_t n = 0;

	(void)data;
	for (int i = 0; i < 500; i++) {
		void *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0);

		n += p != MAP_FAILED;
		*(volatile char *)p = 1;
		munmap(p, 65536);
	}
	return n;
}

/* --- Signals -------------------------------------------------------------------------------------
 */

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
	(void)sig;
	signals++;
}

static void *signal_new(void)
{
	struct sigaction a;

	memset(&a, 0, sizeof(a));
	a.sa_handler = on_signal;
	sigaction(SIGUSR1, &a, NULL);
	return NULL;
}

static uint64_t signal_run(void *data)
{
	(void)data;
	signals = 0;
	for (int i = 0; i < 2000; i++)
		kill(getpid(), SIGUSR1);
	return (uint64_t)signals;
}

static char *guarded_page;

static void on_segv(int sig)
{
	(void)sig;
	mprotect(guarded_page, 4096, PROT_READ | PROT_WRITE);
	signals++;
}

/* Write barriers of garbage collectors: a fault, its handler, mprotect, and the store again. */
static void *segv_new(void)
{
	struct sigaction a;

	memset(&a, 0, sizeof(a));
	a.sa_handler = on_segv;
	sigaction(SIGSEGV, &a, NULL);
	guarded_page = bench_alloc(4096);
	return NULL;
}

static uint64_t segv_run(void *data)
{
	(void)data;
	signals = 0;
	for (int i = 0; i < 500; i++) {
		mprotect(guarded_page, 4096, PROT_READ);
		*(volatile char *)guarded_page = 1;
	}
	return (uint64_t)signals;
}

/* --- Files ---------------------------------------------------------------------------------------
 */

static uint64_t file_run(void *data)
{
	char name[64], block[4096];
	uint64_t sum = 0;

	(void)data;
	memset(block, 7, sizeof(block));
	snprintf(name, sizeof(name), "/dev/shm/bench-%d", (int)getpid());
	for (int i = 0; i < 100; i++) {
		int fd = open(name, O_CREAT | O_RDWR | O_TRUNC, 0600);

		if (fd < 0)
			bench_fail(name);
		for (int k = 0; k < 4; k++)
			sum += (uint64_t)write(fd, block, sizeof(block));
		sum += (uint64_t)pread(fd, block, sizeof(block), 8192) + (unsigned char)block[99];
		close(fd);
		unlink(name);
	}
	return sum;
}

/* Long reads from the page cache. */
static void *cached_new(void)
{
	char name[64];
	int *fd = bench_alloc(sizeof(*fd));
	char *block = bench_alloc(1 << 20);

	snprintf(name, sizeof(name), "/dev/shm/bench-r%d", (int)getpid());
	*fd = open(name, O_CREAT | O_RDWR | O_TRUNC, 0600);
	if (*fd < 0 || write(*fd, block, 1 << 20) != 1 << 20)
		bench_fail(name);
	unlink(name);
	return fd;
}

static uint64_t read_run(void *data)
{
	static char block[65536];
	uint64_t sum = 0;

	for (int i = 0; i < 16 * 8; i++)
		sum += (uint64_t)pread(*(int *)data, block, sizeof(block), (i & 15) * 65536);
	return sum;
}

const struct kernel kernels[] = {
	{"syscall", syscall_run, NULL, NULL},   {"clock", clock_run, NULL, NULL},
	{"stat", stat_run, NULL, NULL},         {"pipe", echo_run, pipe_new, NULL},
	{"socket", echo_run, socket_new, NULL}, {"futex", futex_run, futex_new, NULL},
	{"yield", yield_run, yield_new, NULL},  {"fork", fork_run, NULL, NULL},
	{"exec", exec_run, NULL, NULL},         {"thread", thread_run, NULL, NULL},
	{"fault", fault_run, NULL, NULL},       {"mprotect", protect_run, page_new, NULL},
	{"mmap", mmap_run, NULL, NULL},         {"signal", signal_run, signal_new, NULL},
	{"segv", segv_run, segv_new, NULL},     {"file", file_run, NULL, NULL},
	{"read", read_run, cached_new, NULL},   {NULL, NULL, NULL, NULL},
};
