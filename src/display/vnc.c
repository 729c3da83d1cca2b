/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "vnc": the VM's side of the VNC server. RFB clients are strangers, so what they send is parsed in
 * a helper process (vnc_worker.c, viewer.c). The listening socket is opened here, once, and
 * survives its helpers; so does the password file's descriptor, which is passed on unread.
 *
 * Bus lock held everywhere.
 */
#include "display/vnc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct vnc {
	struct viewer_process viewer;
	int listen_fd, password_fd;
	char *unix_path; /* owned; to be removed */
};

/* ------------------------------------------------------------------ where to listen */

static int listen_unix(struct vnc *v, const char *path, struct error *err)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	mode_t old;
	int r;

	if (!path[0] || strlen(path) >= sizeof(sa.sun_path))
		return error_set(err, -EINVAL, "display 'vnc': socket path '%s' has 1 to %zu bytes",
				 path, sizeof(sa.sun_path) - 1);
	strcpy(sa.sun_path, path);
	v->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Whoever can open it owns the guest's keyboard. */
	old = umask(0177);
	r = v->listen_fd < 0 || bind(v->listen_fd, (void *)&sa, sizeof(sa)) < 0 ? -errno : 0;
	umask(old);
	if (r < 0)
		return error_set(err, r, "display 'vnc': cannot listen on '%s': %s%s", path,
				 strerror(-r),
				 r == -EADDRINUSE ? "; remove it if no other VM uses it" : "");
	v->unix_path = xstrdup(path);
	return 0;
}

static int listen_tcp(struct vnc *v, const char *where, struct error *err)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	const char *colon = strrchr(where, ':');
	char host[32], *end;
	unsigned long port;
	int one = 1;

	if (!colon || (size_t)(colon - where) >= sizeof(host))
		return error_set(err, -EINVAL,
				 "display 'vnc:%s': write vnc:127.0.0.1:PORT or vnc:unix:PATH",
				 where);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - where), where);
	port = strtoul(colon + 1, &end, 10);
	if (*end || end == colon + 1 || port == 0 || port > 65535)
		return error_set(err, -EINVAL, "display 'vnc': '%s' is not a port (1..65535)",
				 colon + 1);
	if (inet_pton(AF_INET, strcmp(host, "localhost") ? host : "127.0.0.1", &sa.sin_addr) != 1)
		return error_set(err, -EINVAL, "display 'vnc': '%s' is not an IPv4 address", host);
	if (ntohl(sa.sin_addr.s_addr) >> 24 != 127 && v->password_fd < 0)
		return error_set(err, -EINVAL,
				 "display 'vnc': anybody on the network could use the guest at %s; "
				 "use 127.0.0.1, or add ,password-file=PATH",
				 host);
	sa.sin_port = htons((uint16_t)port);
	v->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (v->listen_fd < 0)
		return error_set(err, -errno, "display 'vnc': socket: %s", strerror(errno));
	setsockopt(v->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(v->listen_fd, (void *)&sa, sizeof(sa)) < 0)
		return error_set(err, -errno, "display 'vnc': cannot listen on %s port %lu: %s%s",
				 host, port, strerror(errno),
				 errno == EADDRINUSE ? "; choose another port" : "");
	return 0;
}

static int open_sockets(struct vnc *v, const char *spec, struct error *err)
{
	char *where = xstrdup(spec), *option = strstr(where, ",password-file=");
	int r = 0;

	if (option) {
		*option = 0;
		option += strlen(",password-file=");
		v->password_fd = open(option, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (v->password_fd < 0)
			r = error_set(err, -errno, "display 'vnc': password file '%s': %s", option,
				      strerror(errno));
	}
	v->viewer.cfg.has_password = v->password_fd >= 0;
	if (r == 0)
		r = strncmp(where, "unix:", 5) ? listen_tcp(v, where, err)
					       : listen_unix(v, where + 5, err);
	if (r == 0 && listen(v->listen_fd, 16) < 0)
		r = error_set(err, -errno, "display 'vnc': listen: %s", strerror(errno));
	free(where);
	return r;
}

int vnc_open(struct loop *loop, struct display *d, const char *name, const char *spec,
	     struct vnc **ret_v, struct error *err)
{
	static const char *const env[] = {"LD_LIBRARY_PATH", NULL};
	struct vnc *v = xnew(struct vnc);
	int r;

	v->listen_fd = v->password_fd = -1;
	r = open_sockets(v, spec, err);
	if (r == 0) {
		v->viewer.what = "vnc";
		v->viewer.start_s = 10;
		v->viewer.argv0 = VNC_ARGV0;
		v->viewer.env = env;
		v->viewer.extra_fd[0] = v->listen_fd;
		v->viewer.extra_fd[1] = v->password_fd;
		r = viewer_open(&v->viewer, loop, d, name, err);
	}
	if (r < 0) {
		vnc_close(v);
		return r;
	}
	*ret_v = v;
	return 0;
}

void vnc_close(struct vnc *v)
{
	if (!v)
		return;
	viewer_close(&v->viewer);
	if (v->listen_fd >= 0)
		close(v->listen_fd);
	if (v->password_fd >= 0)
		close(v->password_fd);
	if (v->unix_path)
		unlink(v->unix_path);
	free(v->unix_path);
	free(v);
}
