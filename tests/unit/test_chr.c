/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character back ends. The terminal tests run a child process on a pseudo-terminal and look at the
 * terminal's mode from the master: raw while the console is open, as before after close, exit and
 * every fatal signal.
 */
#include "chr/chr.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/loop.h"

#define RING 65536u

struct front {
	struct loop *loop;
	struct chr *chr;
	uint8_t in[8192];
	size_t n_in, room;
	unsigned writable, opened, closed;
};

static char tmp_dir[64];

static size_t f_can_receive(void *ctx)
{
	struct front *f = ctx;

	return f->room > f->n_in ? f->room - f->n_in : 0;
}

static void f_receive(void *ctx, const uint8_t *buf, size_t len)
{
	struct front *f = ctx;

	assert_true(len <= f_can_receive(f) && len > 0);
	memcpy(f->in + f->n_in, buf, len);
	f->n_in += len;
}

static void f_writable(void *ctx)
{
	((struct front *)ctx)->writable++;
}

static void f_event(void *ctx, bool open)
{
	struct front *f = ctx;

	*(open ? &f->opened : &f->closed) += 1;
}

static void front_open(struct front *f, const char *spec)
{
	struct chr_handler h = {.can_receive = f_can_receive,
				.receive = f_receive,
				.writable = f_writable,
				.event = f_event,
				.ctx = f};
	struct error err = {0};
	int r;

	memset(f, 0, sizeof(*f));
	f->room = sizeof(f->in);
	assert_int_equal(loop_new(NULL, &f->loop, NULL), 0);
	r = chr_open(f->loop, spec, &f->chr, &err);
	if (r < 0)
		print_error("%s\n", err.text);
	assert_int_equal(r, 0);
	chr_set_handler(f->chr, &h);
}

static void front_close(struct front *f)
{
	chr_close(f->chr);
	loop_free(f->loop);
}

static void turn(struct front *f, int n)
{
	while (n-- > 0)
		assert_int_equal(loop_run_once(f->loop, 5), 0);
}

static void wait_in(struct front *f, size_t n)
{
	for (int i = 0; i < 8000 && f->n_in < n; i++)
		turn(f, 1);
	assert_int_equal(f->n_in, n);
}

static void wait_for(struct front *f, const unsigned *count, unsigned n)
{
	for (int i = 0; i < 8000 && *count < n; i++)
		turn(f, 1);
	assert_int_equal(*count, n);
}

/* Read @n bytes from @fd while the loop turns. */
static void read_all(struct front *f, int fd, uint8_t *buf, size_t n)
{
	size_t got = 0;

	for (int i = 0; i < 8000 && got < n; i++) {
		ssize_t r = read(fd, buf + got, n - got);

		if (r > 0)
			got += (size_t)r;
		else
			turn(f, 1);
	}
	assert_int_equal(got, n);
}

static char *path_of(const char *name)
{
	return xasprintf("%s/%s", tmp_dir, name);
}

/* --- opening --- */

static void test_open_errors(void **state)
{
	char *plain = path_of("plain"), *fifo = path_of("fifo"), *live = path_of("live"),
	     *unix_plain = xasprintf("unix:%s", plain), *file_fifo = xasprintf("file:%s", fifo),
	     *unix_live = xasprintf("unix:%s", live);
	const struct {
		const char *spec;
		int code;
		const char *text;
	} rows[] = {
		{"", -EINVAL, "is not known"},
		{"tty", -EINVAL, "is not known"},
		{"file", -EINVAL, "is not known"},
		{"file:", -EINVAL, "is not known"},
		{"stdio:x", -EINVAL, "is not known"},
		{"file:/nonexistent/x", -ENOENT, "cannot open for writing"},
		{file_fifo, -ENXIO, "start the reader first"},
		{unix_plain, -EEXIST, "is not a socket"},
		{unix_live, -EADDRINUSE, "another program listens there"},
		{"unix:/nonexistent/x", -ENOENT, "cannot listen"},
		{"unix:/tmp/"
		 "0123456789012345678901234567890123456789012345678901234567890123456789"
		 "0123456789012345678901234567890123456789",
		 -ENAMETOOLONG, "longer than 107 bytes"},
	};
	struct front other;

	close(open(plain, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(mkfifo(fifo, 0600), 0);
	front_open(&other, unix_live);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct error err = {0};
		struct chr *c = NULL;
		int r = chr_open(other.loop, rows[i].spec, &c, &err);

		if (r != rows[i].code || !strstr(err.text, rows[i].text))
			print_error("row %u: %d '%s'\n", i, r, err.text);
		assert_int_equal(r, rows[i].code);
		assert_non_null(strstr(err.text, rows[i].text));
		assert_null(c);
	}
	front_close(&other);
	assert_int_equal(access(live, F_OK), -1); /* removed by its owner, not by the refused */
	assert_int_equal(access(plain, F_OK), 0);
	free(plain);
	free(fifo);
	free(live);
	free(unix_plain);
	free(file_fifo);
	free(unix_live);
}

static void test_null(void **state)
{
	struct front f;

	front_open(&f, "null");
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(chr_write(f.chr, f.in, sizeof(f.in)), sizeof(f.in));
	chr_flush(f.chr, 1000);
	assert_string_equal(chr_describe(f.chr), "null");
	front_close(&f);
}

static void test_file(void **state)
{
	char *path = path_of("log"), *spec = xasprintf("file:%s", path), buf[64];
	struct front f;
	int fd;

	for (unsigned round = 0; round < 2; round++) { /* the second run starts the file anew */
		front_open(&f, spec);
		assert_int_equal(chr_write(f.chr, "hello ", 6), 6);
		assert_int_equal(chr_write(f.chr, "world\n", 6), 6);
		front_close(&f);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		assert_int_equal(read(fd, buf, sizeof(buf)), 12);
		assert_memory_equal(buf, "hello world\n", 12);
		close(fd);
	}
	free(path);
	free(spec);
}

/* A full disk costs the output, not the machine. */
static void test_file_full(void **state)
{
	char *spec = xasprintf("file:/dev/full");
	struct front f;

	front_open(&f, spec);
	assert_int_equal(chr_write(f.chr, "x", 1), 1);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(chr_write(f.chr, f.in, sizeof(f.in)), sizeof(f.in));
	front_close(&f);
	free(spec);
}

/* --- unix socket --- */

static int dial(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(sun.sun_path, path, strlen(path) + 1);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

static void test_unix(void **state)
{
	char *path = path_of("s1"), *spec = xasprintf("unix:%s", path);
	uint8_t buf[64];
	struct stat st;
	struct front f;
	int a, b;

	front_open(&f, spec);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* What was printed before anybody looked is shown first. */
	assert_int_equal(chr_write(f.chr, "early", 5), 5);
	a = dial(path);
	wait_for(&f, &f.opened, 1);
	read_all(&f, a, buf, 5);
	assert_memory_equal(buf, "early", 5);
	/* Both ways; a second client is closed at once and disturbs nothing. */
	b = dial(path);
	turn(&f, 5);
	assert_int_equal(read(b, buf, 1), 0);
	close(b);
	assert_int_equal(write(a, "typed", 5), 5);
	wait_in(&f, 5);
	assert_memory_equal(f.in, "typed", 5);
	assert_int_equal(chr_write(f.chr, "shown", 5), 5);
	read_all(&f, a, buf, 5);
	/* A client that only reads: its end of input is not its end. */
	shutdown(a, SHUT_WR);
	turn(&f, 5);
	assert_int_equal(f.closed, 0);
	assert_int_equal(chr_write(f.chr, "still", 5), 5);
	read_all(&f, a, buf, 5);
	close(a);
	wait_for(&f, &f.closed, 1);
	a = dial(path);
	wait_for(&f, &f.opened, 2);
	assert_int_equal(write(a, "again", 5), 5);
	wait_in(&f, 10);
	close(a);
	front_close(&f);
	assert_int_equal(access(path, F_OK), -1);
	free(path);
	free(spec);
}

static void test_unix_stale(void **state)
{
	char *path = path_of("s2"), *spec = xasprintf("unix:%s", path);
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct front f;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(sun.sun_path, path, strlen(path) + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(fd); /* as after SIGKILL */
	front_open(&f, spec);
	close(dial(path));
	wait_for(&f, &f.opened, 1);
	/* Somebody else's file at that path is not removed. */
	assert_int_equal(unlink(path), 0);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	front_close(&f);
	assert_int_equal(access(path, F_OK), 0);
	free(path);
	free(spec);
}

/* Nobody there: the newest 64 KiB are kept. A slow client: the guest waits, nothing is lost. */
static void test_unix_ring(void **state)
{
	char *path = path_of("s3"), *spec = xasprintf("unix:%s", path);
	uint8_t *out = malloc(3 * RING), *back = malloc(4 * MIB), byte;
	size_t sent = 0, got = 0;
	struct front f;
	int fd;

	for (unsigned i = 0; i < 3 * RING; i++)
		out[i] = (uint8_t)(i * 7 + i / 251);
	front_open(&f, spec);
	assert_int_equal(chr_write(f.chr, out, 100000), 100000);
	assert_int_equal(chr_write(f.chr, out + 100000, 3 * RING - 100000), 3 * RING - 100000);
	fd = dial(path);
	wait_for(&f, &f.opened, 1);
	read_all(&f, fd, back, RING);
	assert_memory_equal(back, out + 2 * RING, RING);
	turn(&f, 3);
	assert_int_equal(read(fd, &byte, 1), -1);
	/* The client stops reading: writes are cut short after a bounded amount. */
	for (unsigned i = 0; i < 1000; i++) {
		size_t n = chr_write(f.chr, out, 4096);

		sent += n;
		if (n < 4096)
			break;
	}
	assert_in_range(sent, RING, 3 * MIB);
	assert_int_equal(chr_write(f.chr, out, 4096), 0);
	turn(&f, 3);
	assert_int_equal(f.writable, 0);
	while (got < sent) {
		size_t n = MIN(sent - got, (size_t)4096);

		read_all(&f, fd, back + got, n);
		got += n;
	}
	for (size_t i = 0; i < sent; i++)
		assert_int_equal(back[i], out[i % 4096]);
	wait_for(&f, &f.writable, 1);
	close(fd);
	front_close(&f);
	free(out);
	free(back);
	free(path);
	free(spec);
}

/* A front end without room: the rest waits, in the ring and then in the socket; none is lost. */
static void test_input_room(void **state)
{
	char *path = path_of("s4"), *spec = xasprintf("unix:%s", path);
	uint8_t out[8000];
	struct front f;
	int fd;

	for (unsigned i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i ^ i >> 8);
	front_open(&f, spec);
	f.room = 0;
	fd = dial(path);
	wait_for(&f, &f.opened, 1);
	assert_int_equal(write(fd, out, sizeof(out)), sizeof(out));
	turn(&f, 10);
	assert_int_equal(f.n_in, 0);
	while (f.room < sizeof(out)) {
		f.room += 16; /* a 16550's FIFO at a time */
		chr_poll_input(f.chr);
		for (unsigned i = 0; i < 50 && f.n_in < f.room; i++)
			turn(&f, 1);
		assert_int_equal(f.n_in, f.room);
	}
	assert_memory_equal(f.in, out, sizeof(out));
	/* Without a front end input waits as well. */
	chr_set_handler(f.chr, NULL);
	assert_int_equal(write(fd, "x", 1), 1);
	turn(&f, 3);
	close(fd);
	turn(&f, 3);
	front_close(&f);
	free(path);
	free(spec);
}

/* --- pty --- */

static void test_pty(void **state)
{
	struct front f;
	uint8_t buf[64];
	struct termios tio;
	const char *name;
	int fd;

	front_open(&f, "pty");
	name = chr_describe(f.chr);
	assert_memory_equal(name, "pty /", 5);
	name += 4;
	assert_int_equal(chr_write(f.chr, "boot\r\n", 6), 6);
	for (unsigned round = 1; round <= 2; round++) {
		fd = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
		assert_true(fd >= 0);
		assert_int_equal(tcgetattr(fd, &tio), 0);
		assert_int_equal(tio.c_lflag & (ECHO | ICANON), 0);
		wait_for(&f, &f.opened, round);
		if (round == 1) {
			read_all(&f, fd, buf, 6);
			assert_memory_equal(buf, "boot\r\n", 6);
		}
		assert_int_equal(write(fd, "ls\003", 3), 3);
		wait_in(&f, round * 3);
		assert_memory_equal(f.in + (round - 1) * 3, "ls\003", 3);
		assert_int_equal(chr_write(f.chr, "x\n", 2), 2);
		read_all(&f, fd, buf, 2);
		close(fd);
		wait_for(&f, &f.closed, round);
	}
	front_close(&f);
}

/* --- stdio --- */

enum ending { END_CLOSE, END_EXIT, END_SIGNAL };

/* The console on the child's terminal; ends as @how says when 'q' is typed. */
static struct {
	struct chr *chr;
	struct loop *loop;
	enum ending how;
	int sig;
} child;

static size_t c_can_receive(void *ctx)
{
	return 100;
}

static void c_receive(void *ctx, const uint8_t *buf, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char text[16];
		int n = snprintf(text, sizeof(text), "<%02x>", buf[i]);

		chr_write(child.chr, text, (size_t)n);
		if (buf[i] != 'q')
			continue;
		if (child.how == END_EXIT)
			exit(0);
		if (child.how == END_SIGNAL)
			raise(child.sig);
		chr_close(child.chr);
		_exit(0);
	}
}

static void c_menu(void *ctx, char key)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "[menu %c]", key);

	chr_write(child.chr, text, (size_t)n);
}

static void run_child(void)
{
	struct chr_handler h = {.can_receive = c_can_receive, .receive = c_receive};
	struct rlimit no_core = {0};

	setrlimit(RLIMIT_CORE, &no_core);
	for (int sig = 1; sig < 32; sig++)
		signal(sig, SIG_DFL); /* cmocka catches some */
	if (loop_new(NULL, &child.loop, NULL) < 0 ||
	    chr_open(child.loop, "stdio", &child.chr, NULL) < 0)
		_exit(99);
	chr_set_handler(child.chr, &h);
	chr_set_menu(child.chr, c_menu, NULL);
	chr_write(child.chr, "ready", 5);
	if (loop_run(child.loop) < 0)
		_exit(98);
	_exit(97);
}

/* Start the child on a new terminal; the master. */
static int start_on_terminal(enum ending how, int sig, pid_t *ret_pid)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	char name[64];

	assert_true(master >= 0);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	assert_int_equal(ptsname_r(master, name, sizeof(name)), 0);
	child.how = how;
	child.sig = sig;
	*ret_pid = fork();
	if (*ret_pid == 0) {
		int tty;

		setsid();
		tty = open(name, O_RDWR);
		ioctl(tty, TIOCSCTTY, 0);
		dup2(tty, 0);
		dup2(tty, 1);
		run_child();
	}
	return master;
}

static void expect_text(int fd, const char *text)
{
	size_t n = strlen(text), got = 0;
	char buf[128];

	while (got < n) {
		struct pollfd pfd = {.fd = fd, .events = POLLIN};
		ssize_t r;

		assert_int_equal(poll(&pfd, 1, 60000), 1);
		r = read(fd, buf + got, n - got);
		assert_true(r > 0);
		got += (size_t)r;
	}
	assert_memory_equal(buf, text, n);
}

static bool is_raw(int master)
{
	struct termios tio;

	assert_int_equal(tcgetattr(master, &tio), 0);
	return !(tio.c_lflag & (ECHO | ICANON | ISIG)) && !(tio.c_iflag & (ICRNL | IXON));
}

static void test_stdio_terminal(void **state)
{
	static const struct {
		enum ending how;
		int sig;
		bool from_outside;
	} rows[] = {
		{END_CLOSE, 0, false},        {END_EXIT, 0, false},
		{END_SIGNAL, SIGTERM, true},  {END_SIGNAL, SIGINT, true},
		{END_SIGNAL, SIGHUP, true},   {END_SIGNAL, SIGQUIT, true},
		{END_SIGNAL, SIGSEGV, false}, {END_SIGNAL, SIGABRT, false},
		{END_SIGNAL, SIGBUS, false},  {END_SIGNAL, SIGSYS, true},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct termios before, after;
		int status, master, slave;
		char name[64];
		pid_t pid;

		master = start_on_terminal(rows[i].how, rows[i].sig, &pid);
		assert_int_equal(ptsname_r(master, name, sizeof(name)), 0);
		slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC); /* keeps the mode alive */
		assert_int_equal(tcgetattr(master, &before), 0);
		expect_text(master, "ready");
		assert_true(is_raw(master));
		assert_int_equal(write(master, "a\003", 2), 2); /* Ctrl-C is the guest's */
		expect_text(master, "<61><03>");
		if (rows[i].from_outside)
			kill(pid, rows[i].sig);
		else
			assert_int_equal(write(master, "q", 1), 1);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (rows[i].how == END_SIGNAL) {
			assert_true(WIFSIGNALED(status)); /* dies of the signal all the same */
			assert_int_equal(WTERMSIG(status), rows[i].sig);
		} else {
			assert_true(WIFEXITED(status));
			assert_int_equal(WEXITSTATUS(status), 0);
		}
		assert_int_equal(tcgetattr(master, &after), 0);
		assert_int_equal(after.c_lflag, before.c_lflag);
		assert_int_equal(after.c_iflag, before.c_iflag);
		assert_int_equal(after.c_oflag, before.c_oflag);
		assert_true(after.c_lflag & ICANON);
		close(slave);
		close(master);
	}
}

static void test_stdio_menu(void **state)
{
	pid_t pid;
	int master = start_on_terminal(END_CLOSE, 0, &pid);

	expect_text(master, "ready");
	assert_int_equal(write(master, "a\035xb", 4), 4);
	expect_text(master, "[menu x]<61><62>");
	/* Twice: one for the guest. Split over two reads it works as well. */
	assert_int_equal(write(master, "\035", 1), 1);
	usleep(50000);
	assert_int_equal(write(master, "\035", 1), 1);
	expect_text(master, "<1d>");
	assert_int_equal(write(master, "q", 1), 1);
	waitpid(pid, NULL, 0);
	close(master);
}

static void test_stdio_stop(void **state)
{
	pid_t pid;
	int master = start_on_terminal(END_CLOSE, 0, &pid), status;

	expect_text(master, "ready");
	assert_true(is_raw(master));
	kill(pid, SIGTSTP);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	assert_false(is_raw(master));
	kill(pid, SIGCONT);
	for (unsigned i = 0; i < 6000 && !is_raw(master); i++)
		usleep(10000);
	assert_true(is_raw(master));
	assert_int_equal(write(master, "q", 1), 1);
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	close(master);
}

/* The child with pipes or files; what it printed, @want bytes. Ends by itself on 'q' or is killed.
 */
static size_t run_piped(int in, size_t want, char *buf, size_t size, int *ret_status)
{
	int out[2];
	size_t got = 0;
	ssize_t r;
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	child.how = END_CLOSE;
	pid = fork();
	if (pid == 0) {
		dup2(in, 0);
		dup2(out[1], 1);
		close(out[0]);
		close(out[1]);
		run_child();
	}
	close(out[1]);
	if (!want) { /* nobody reads */
		close(out[0]);
		usleep(300000);
		kill(pid, SIGTERM);
		waitpid(pid, ret_status, 0);
		return 0;
	}
	while (got < size) {
		struct pollfd pfd = {.fd = out[0], .events = POLLIN};

		if (poll(&pfd, 1, got < want ? 60000 : 300) <= 0)
			break; /* still running, silent */
		r = read(out[0], buf + got, size - got);
		if (r <= 0)
			break;
		got += (size_t)r;
	}
	if (waitpid(pid, ret_status, WNOHANG) == 0) {
		*ret_status = -1; /* runs on */
		kill(pid, SIGTERM);
		waitpid(pid, NULL, 0);
	}
	close(out[0]);
	return got;
}

static void test_stdio_pipe(void **state)
{
	char buf[256], *path = path_of("typed");
	int in[2], status, fd;

	/* Ctrl-] is data in a pipe. */
	assert_int_equal(pipe(in), 0);
	assert_int_equal(write(in[1], "a\035q", 3), 3);
	assert_int_equal(run_piped(in[0], 17, buf, sizeof(buf), &status), 17);
	assert_memory_equal(buf, "ready<61><1d><71>", 17);
	assert_int_equal(fcntl(in[0], F_GETFL) & O_NONBLOCK, 0); /* not ours to change */
	/* The end of input is not the end of the machine. */
	assert_int_equal(write(in[1], "b", 1), 1);
	close(in[1]);
	assert_int_equal(run_piped(in[0], 9, buf, sizeof(buf), &status), 9);
	assert_int_equal(status, -1);
	close(in[0]);
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(run_piped(fd, 5, buf, sizeof(buf), &status), 5);
	assert_int_equal(status, -1);
	/* A reader that goes away neither. */
	assert_int_equal(run_piped(fd, 0, buf, 0, &status), 0);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
	close(fd);
	/* A file as input: epoll does not take it, it is read all the same. */
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "xyzq", 4), 4);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(run_piped(fd, 5 + 16, buf, sizeof(buf), &status), 5 + 16);
	close(fd);
	free(path);
}

static int make_dir(void **state)
{
	snprintf(tmp_dir, sizeof(tmp_dir), "/tmp/bothy-chr-XXXXXX");
	return mkdtemp(tmp_dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char *cmd = xasprintf("rm -rf '%s'", tmp_dir);
	int r = system(cmd);

	free(cmd);
	return r;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_errors), cmocka_unit_test(test_null),
		cmocka_unit_test(test_file),        cmocka_unit_test(test_file_full),
		cmocka_unit_test(test_unix),        cmocka_unit_test(test_unix_stale),
		cmocka_unit_test(test_unix_ring),   cmocka_unit_test(test_input_room),
		cmocka_unit_test(test_pty),         cmocka_unit_test(test_stdio_terminal),
		cmocka_unit_test(test_stdio_menu),  cmocka_unit_test(test_stdio_stop),
		cmocka_unit_test(test_stdio_pipe),
	};

	return cmocka_run_group_tests_name("chr", tests, make_dir, remove_dir);
}
