/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "stdio": standard input and output. A terminal is put into raw mode, so that Ctrl-C and friends
 * go to the guest, and is given back as it was: on chr_close(), on exit(), and on every signal that
 * would end the process (SIGKILL excepted: nothing can act on it; `reset` or `stty sane` helps).
 * Around a stop (SIGTSTP from outside) it is given back too.
 *
 * Ctrl-] (0x1d) opens the menu: the next key goes to the menu function, Ctrl-] twice sends one to
 * the guest. It is looked for only on a terminal, so piped data passes unchanged; the end of piped
 * input is only that: the guest runs on.
 *
 * Output processing of the terminal (OPOST) stays on: lines that the program itself prints to the
 * same terminal still return the carriage.
 *
 * The signal handlers need file-scope state, there being one controlling terminal in a process:
 * `saved`, written before the handlers are installed. Handlers are installed only where the default
 * action is still in place; a program that handles SIGTERM itself closes its consoles itself.
 *
 * The descriptors are opened again through /proc/self/fd where that works: O_NONBLOCK belongs to
 * the open file, which is shared with the parent shell and with stderr, and must not be changed
 * there. Sockets, which cannot be opened again, use MSG_DONTWAIT.
 */
#include "chr/impl.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define MENU_KEY 0x1d /* Ctrl-] */

static struct {
	atomic_int active; /* a terminal is in raw mode */
	int fd;
	struct termios before, raw;
	bool exit_hook;
} saved;

static const int fatal_signals[] = {
	SIGHUP,  SIGINT, SIGQUIT, SIGTERM, SIGILL,  SIGABRT, SIGBUS,  SIGFPE,
	SIGSEGV, SIGSYS, SIGXCPU, SIGXFSZ, SIGALRM, SIGUSR1, SIGUSR2,
};

struct stdio {
	int in, out;             /* owned copies */
	int in_flags, out_flags; /* to put back on a shared open file; -1 = untouched */
	bool raw;
};

/* Async-signal-safe: tcsetattr() is on the list of POSIX. */
static void terminal_restore(void)
{
	if (atomic_exchange(&saved.active, 0))
		tcsetattr(saved.fd, TCSANOW, &saved.before);
}

static void on_fatal(int sig)
{
	int keep = errno;

	terminal_restore();
	/* SA_RESETHAND put the default action back; a fault happens again by itself. */
	raise(sig);
	errno = keep;
}

static void on_stop(int sig)
{
	int keep = errno;
	bool was = atomic_load(&saved.active);

	terminal_restore();
	raise(SIGSTOP);
	if (was) { /* continued */
		atomic_store(&saved.active, 1);
		tcsetattr(saved.fd, TCSANOW, &saved.raw);
	}
	errno = keep;
}

static void hook_signal(int sig, void (*fn)(int), int flags)
{
	struct sigaction old, act = {.sa_handler = fn, .sa_flags = flags};

	sigemptyset(&act.sa_mask);
	if (sigaction(sig, NULL, &old) == 0 && !(old.sa_flags & SA_SIGINFO) &&
	    old.sa_handler == SIG_DFL)
		sigaction(sig, &act, NULL);
}

static void unhook_signal(int sig, void (*fn)(int))
{
	struct sigaction old;

	if (sigaction(sig, NULL, &old) == 0 && !(old.sa_flags & SA_SIGINFO) && old.sa_handler == fn)
		signal(sig, SIG_DFL);
}

static int terminal_raw(int fd, struct error *err)
{
	struct termios tio;

	if (atomic_load(&saved.active))
		return error_set(err, -EBUSY,
				 "console 'stdio': the terminal is already used by another "
				 "console of this program; use pty or unix:PATH for one of them");
	if (tcgetattr(fd, &tio) < 0)
		return error_set(err, -errno,
				 "console 'stdio': cannot read the terminal's mode: %s",
				 strerror(errno));
	saved.fd = fd;
	saved.before = tio;
	tio.c_iflag &=
		~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
	tio.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	tio.c_cflag = (tio.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
	tio.c_cc[VMIN] = 1;
	tio.c_cc[VTIME] = 0;
	saved.raw = tio;
	if (!saved.exit_hook) {
		atexit(terminal_restore);
		saved.exit_hook = true;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(fatal_signals); i++)
		hook_signal(fatal_signals[i], on_fatal, SA_RESETHAND | SA_NODEFER);
	hook_signal(SIGTSTP, on_stop, SA_RESTART);
	atomic_store(&saved.active, 1);
	if (tcsetattr(fd, TCSANOW, &tio) < 0) {
		int code = errno;

		atomic_store(&saved.active, 0);
		return error_set(err, -code, "console 'stdio': cannot set the terminal's mode: %s",
				 strerror(code));
	}
	return 0;
}

/*
 * A descriptor of our own for @fd with @flags | O_NONBLOCK; -1 when @fd is closed. Where only the
 * shared open file is to be had, its old flags go to @ret_flags, to be put back.
 */
static int own_fd(int fd, int flags, bool *ret_socket, int *ret_flags)
{
	struct stat st;
	char path[32];
	int r;

	*ret_socket = false;
	*ret_flags = -1;
	if (fstat(fd, &st) < 0)
		return -1;
	if (S_ISSOCK(st.st_mode)) {
		*ret_socket = true;
		return fcntl(fd, F_DUPFD_CLOEXEC, 3);
	}
	/* A regular file keeps its shared offset (`>>log`, two writers), and never blocks. */
	if (!S_ISREG(st.st_mode)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		r = open(path, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
		if (r >= 0)
			return r;
	}
	r = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (r >= 0 && !S_ISREG(st.st_mode)) {
		*ret_flags = fcntl(r, F_GETFL);
		fcntl(r, F_SETFL, *ret_flags | O_NONBLOCK);
	}
	return r;
}

static void give_back(int fd, int flags)
{
	if (fd < 0)
		return;
	if (flags >= 0)
		fcntl(fd, F_SETFL, flags);
	close(fd);
}

static int stdio_open(struct chr *c, const char *arg, struct error *err)
{
	struct stdio *s = xnew(struct stdio);
	int r;

	c->drv = s;
	s->in = s->out = -1;
	s->in = own_fd(STDIN_FILENO, O_RDONLY, &c->in_is_socket, &s->in_flags);
	s->out = own_fd(STDOUT_FILENO, O_WRONLY, &c->out_is_socket, &s->out_flags);
	if (s->in >= 0 && isatty(s->in)) {
		r = terminal_raw(s->in, err);
		if (r < 0)
			return r;
		s->raw = true;
		c->in_lossy = true;
	}
	/* A reader that goes away is an error of write(), not the end of the guest. */
	hook_signal(SIGPIPE, SIG_IGN, 0);
	c->in_fd = s->in;
	c->out_fd = s->out;
	c->sink = s->out < 0;
	c->peer = true;
	return 0;
}

static void stdio_close(struct chr *c)
{
	struct stdio *s = c->drv;

	if (!s)
		return;
	if (s->raw) {
		terminal_restore();
		for (unsigned i = 0; i < ARRAY_SIZE(fatal_signals); i++)
			unhook_signal(fatal_signals[i], on_fatal);
		unhook_signal(SIGTSTP, on_stop);
	}
	give_back(s->in, s->in_flags);
	give_back(s->out, s->out_flags);
	free(s);
}

static size_t stdio_filter(struct chr *c, uint8_t *buf, size_t len)
{
	struct stdio *s = c->drv;
	size_t keep = 0;

	if (!s->raw || !c->menu)
		return len;
	for (size_t i = 0; i < len; i++) {
		if (c->menu_open) {
			c->menu_open = false;
			if (buf[i] == MENU_KEY)
				buf[keep++] = MENU_KEY;
			else
				c->menu(c->menu_ctx, (char)buf[i]);
		} else if (buf[i] == MENU_KEY) {
			c->menu_open = true;
		} else {
			buf[keep++] = buf[i];
		}
	}
	return keep;
}

const struct chr_kind chr_stdio_kind = {
	.name = "stdio",
	.syntax = "stdio",
	.open = stdio_open,
	.close = stdio_close,
	.filter = stdio_filter,
};
