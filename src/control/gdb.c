/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gdb stub (control/gdb.h). GDB manual, appendix E "Remote Serial Protocol".
 *
 * One client at a time; a second is turned away. On attach the VM is paused, on detach or loss of
 * the connection every break and watch point is removed and the VM goes on. The target description
 * is chosen when the client attaches: 64-bit when vCPU 1 is in long mode then, 32-bit otherwise.
 *
 * Break points, software or hardware alike, are addresses the engine compares (nothing is written
 * into guest memory, so a guest that checks its own code sees nothing). Memory is read and written
 * by the linear address of the chosen thread.
 *
 * Bus lock held throughout; the client's socket is non-blocking and its replies are dropped with
 * the client when it does not read them.
 *
 * UNMODELLED: non-stop mode, tracepoints, monitor commands.
 */
#include "control/gdb.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/log.h"
#include "control/gdb_packet.h"
#include "control/gdb_regs.h"
#include "cpu/x86/mmu.h"
#include "host/loop.h"

enum { SIG_INT = 2, SIG_TRAP = 5 };

struct gdb_stub {
	struct loop *loop; /* borrowed */
	struct gdb_host host;
	int listen_fd, fd;
	struct loop_fd *listen_watch, *watch;
	char *unix_path; /* owned; unlinked on close */
	bool no_ack;     /* QStartNoAckMode */
	bool is64;       /* description the client was given */
	bool running;    /* client resumed the VM and waits for a stop */
	unsigned cpu;    /* thread of g, G, m, M (0-based) */
	unsigned step_cpu;
	char *xml; /* owned */
	unsigned xml_len;
	struct gdb_in in;
	struct gdb_out out;
};

static void drop_client(struct gdb_stub *g);

static void send_bytes(struct gdb_stub *g, const char *bytes, size_t len)
{
	while (len && g->fd >= 0) {
		ssize_t n = send(g->fd, bytes, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			/* A client that lets 16 KiB of replies pile up is gone or broken. */
			drop_client(g);
			return;
		}
		bytes += n;
		len -= (size_t)n;
	}
}

static void send_reply(struct gdb_stub *g)
{
	gdb_out_end(&g->out);
	send_bytes(g, g->out.buf, g->out.len);
}

static void reply(struct gdb_stub *g, const char *text)
{
	gdb_out_begin(&g->out);
	gdb_out_str(&g->out, text);
	send_reply(g);
}

static struct vcpu *current_cpu(struct gdb_stub *g)
{
	return g->host.cpus[g->cpu];
}

static void update_debug(struct vcpu *v)
{
	v->debug.active = v->debug.single_step || v->debug.n_break || v->debug.n_watch;
	/* watched pages must not be in the soft TLB as fast entries */
	x86_tlb_flush(v);
}

static void clear_debug(struct gdb_stub *g)
{
	for (unsigned i = 0; i < g->host.n_cpus; i++) {
		memset(&g->host.cpus[i]->debug, 0, sizeof(g->host.cpus[i]->debug));
		update_debug(g->host.cpus[i]);
	}
}

static void stop_reply(struct gdb_stub *g, unsigned signal, struct vcpu *v)
{
	static const char *const watch[] = {[2] = "watch", [4] = "rwatch", [6] = "awatch"};
	unsigned access = v->debug.hit_access & 7;

	gdb_out_begin(&g->out);
	gdb_out_printf(&g->out, "T%02xthread:%x;", signal, v->index + 1);
	if (signal == SIG_TRAP && access < ARRAY_SIZE(watch) && watch[access])
		gdb_out_printf(&g->out, "%s:%llx;", watch[access],
			       (unsigned long long)v->debug.hit_addr);
	send_reply(g);
}

void gdb_stopped(struct gdb_stub *g, struct vcpu *v)
{
	if (g->fd < 0 || !g->running)
		return;
	for (unsigned i = 0; i < g->host.n_cpus; i++) {
		g->host.cpus[i]->debug.single_step = false;
		update_debug(g->host.cpus[i]);
	}
	g->running = false;
	g->cpu = v->index;
	stop_reply(g, SIG_TRAP, v);
}

static void resume(struct gdb_stub *g, bool step, unsigned cpu)
{
	if (step) {
		g->host.cpus[cpu]->debug.single_step = true;
		update_debug(g->host.cpus[cpu]);
	}
	g->running = true;
	/* Stepping one thread holds the others still, so that a step cannot miss their stops. */
	g->host.resume(g->host.ctx, step ? (int)cpu : -1);
}

/* Thread id of the protocol ("-1" all, "0" any, else index + 1) to a 0-based index; -1 on error. */
static int parse_thread(struct gdb_stub *g, const char **p)
{
	uint64_t id;

	if (strncmp(*p, "-1", 2) == 0) {
		*p += 2;
		return (int)g->cpu;
	}
	if (!gdb_parse_hex(p, &id) || id > g->host.n_cpus)
		return -1;
	return id == 0 ? (int)g->cpu : (int)id - 1;
}

static void cmd_vcont(struct gdb_stub *g, const char *p)
{
	int step = -1;
	bool cont = false;

	/* vCont[;action[:thread]]...: the leftmost action that names a thread wins for it. */
	while (*p == ';') {
		char action = p[1];
		int thread = (int)g->cpu;

		p += 2;
		if (action == 'S' || action == 'C') { /* a signal to deliver: guests have none */
			uint64_t sig;

			if (!gdb_parse_hex(&p, &sig)) {
				reply(g, "E01");
				return;
			}
		}
		if (*p == ':') {
			p++;
			thread = parse_thread(g, &p);
		}
		if (thread < 0) {
			reply(g, "E01");
			return;
		}
		if ((action == 's' || action == 'S') && step < 0 && !cont)
			step = thread;
		else if (action == 'c' || action == 'C')
			cont = true;
	}
	if (step < 0 && !cont) {
		reply(g, "E01");
		return;
	}
	resume(g, step >= 0, step >= 0 ? (unsigned)step : g->cpu);
}

static void cmd_read_regs(struct gdb_stub *g)
{
	uint8_t buf[GDB_REG_MAX];

	gdb_out_begin(&g->out);
	for (unsigned i = 0; i < gdb_reg_count(g->is64); i++)
		gdb_out_hex(&g->out, buf, gdb_reg_get(current_cpu(g), g->is64, i, buf));
	send_reply(g);
}

static void cmd_write_regs(struct gdb_stub *g, const char *p)
{
	uint8_t buf[GDB_REG_MAX];

	for (unsigned i = 0; i < gdb_reg_count(g->is64); i++) {
		unsigned size = gdb_reg_get(current_cpu(g), g->is64, i, buf);

		if (gdb_parse_bytes(&p, buf, size) != size)
			break;
		/* read-only registers come back unchanged in a G packet: not an error */
		(void)gdb_reg_set(current_cpu(g), g->is64, i, buf, size);
	}
	x86_state_changed(current_cpu(g));
	reply(g, "OK");
}

static void cmd_read_reg(struct gdb_stub *g, const char *p)
{
	uint8_t buf[GDB_REG_MAX];
	uint64_t n;
	unsigned size;

	if (!gdb_parse_hex(&p, &n) || n > 1000 ||
	    (size = gdb_reg_get(current_cpu(g), g->is64, (unsigned)n, buf)) == 0) {
		reply(g, "E01");
		return;
	}
	gdb_out_begin(&g->out);
	gdb_out_hex(&g->out, buf, size);
	send_reply(g);
}

static void cmd_write_reg(struct gdb_stub *g, const char *p)
{
	uint8_t buf[GDB_REG_MAX] = {0};
	uint64_t n;

	if (!gdb_parse_hex(&p, &n) || n > 1000 || *p++ != '=') {
		reply(g, "E01");
		return;
	}
	if (!gdb_reg_set(current_cpu(g), g->is64, (unsigned)n, buf,
			 (unsigned)gdb_parse_bytes(&p, buf, sizeof(buf)))) {
		reply(g, "E02");
		return;
	}
	x86_state_changed(current_cpu(g));
	reply(g, "OK");
}

/* m and M, X: linear memory of the current thread, at most one packet's worth. */
static void cmd_read_mem(struct gdb_stub *g, const char *p)
{
	uint8_t buf[512];
	uint64_t addr, len;

	if (!gdb_parse_hex(&p, &addr) || *p++ != ',' || !gdb_parse_hex(&p, &len)) {
		reply(g, "E01");
		return;
	}
	len = MIN(len, (uint64_t)GDB_PACKET_MAX / 2 - 16);
	gdb_out_begin(&g->out);
	for (uint64_t done = 0; done < len;) {
		size_t part = (size_t)MIN(len - done, (uint64_t)sizeof(buf));

		/* up to the page end, so that a readable front part is returned */
		part = MIN(part, (size_t)(0x1000 - ((addr + done) & 0xfff)));
		if (x86_debug_read(current_cpu(g), addr + done, buf, part) < 0) {
			if (done == 0) {
				reply(g, "E14");
				return;
			}
			break;
		}
		gdb_out_hex(&g->out, buf, part);
		done += part;
	}
	send_reply(g);
}

static void cmd_write_mem(struct gdb_stub *g, const char *p, const char *end, bool binary)
{
	uint8_t buf[GDB_PACKET_MAX / 2];
	uint64_t addr, len;
	const char *data;
	size_t have;

	if (!gdb_parse_hex(&p, &addr) || *p++ != ',' || !gdb_parse_hex(&p, &len) || *p++ != ':') {
		reply(g, "E01");
		return;
	}
	if (binary) {
		data = p;
		have = (size_t)(end - p);
	} else {
		have = gdb_parse_bytes(&p, buf, sizeof(buf));
		data = (const char *)buf;
	}
	if (have < len)
		reply(g, "E01");
	else if (len && x86_debug_write(current_cpu(g), addr, data, (size_t)len) < 0)
		reply(g, "E14");
	else
		reply(g, "OK");
}

/* Insert or remove one break or watch point on one vCPU; false when the table is full. */
static bool set_point(struct vcpu *v, bool insert, unsigned kind, uint64_t addr, uint32_t len)
{
	static const uint8_t access[] = {[2] = 2, [3] = 4, [4] = 6};
	struct vcpu_debug *d = &v->debug;
	unsigned i;

	if (kind <= 1) {
		for (i = 0; i < d->n_break && d->brk[i] != addr; i++)
			;
		if (insert && i == d->n_break) {
			if (d->n_break == ARRAY_SIZE(d->brk))
				return false;
			d->brk[d->n_break++] = addr;
		} else if (!insert && i < d->n_break) {
			d->brk[i] = d->brk[--d->n_break];
		}
	} else {
		for (i = 0; i < d->n_watch; i++)
			if (d->watch[i].addr == addr && d->watch[i].len == len &&
			    d->watch[i].access == access[kind])
				break;
		if (insert && i == d->n_watch) {
			if (d->n_watch == ARRAY_SIZE(d->watch))
				return false;
			d->watch[i].addr = addr;
			d->watch[i].len = len;
			d->watch[i].access = access[kind];
			d->n_watch++;
		} else if (!insert && i < d->n_watch) {
			d->watch[i] = d->watch[--d->n_watch];
		}
	}
	update_debug(v);
	return true;
}

static void cmd_point(struct gdb_stub *g, const char *p, bool insert)
{
	uint64_t kind, addr, len;
	bool ok = true;

	if (!gdb_parse_hex(&p, &kind) || *p++ != ',' || !gdb_parse_hex(&p, &addr) || *p++ != ',' ||
	    !gdb_parse_hex(&p, &len)) {
		reply(g, "E01");
		return;
	}
	if (kind > 4 || (kind >= 2 && (len == 0 || len > 4096))) {
		reply(g, "");
		return;
	}
	for (unsigned i = 0; i < g->host.n_cpus; i++)
		ok &= set_point(g->host.cpus[i], insert, (unsigned)kind, addr, (uint32_t)len);
	reply(g, ok ? "OK" : "E28");
}

static void cmd_xfer(struct gdb_stub *g, const char *p)
{
	uint64_t off, len;

	if (strncmp(p, "target.xml:", 11) != 0) {
		reply(g, "E00");
		return;
	}
	p += 11;
	if (!gdb_parse_hex(&p, &off) || *p++ != ',' || !gdb_parse_hex(&p, &len)) {
		reply(g, "E01");
		return;
	}
	gdb_out_begin(&g->out);
	off = MIN(off, (uint64_t)g->xml_len);
	len = MIN(len, (uint64_t)GDB_PACKET_MAX / 2);
	len = MIN(len, g->xml_len - off);
	gdb_out_str(&g->out, off + len < g->xml_len ? "m" : "l");
	gdb_out_binary(&g->out, g->xml + off, (size_t)len);
	send_reply(g);
}

static void cmd_thread_list(struct gdb_stub *g)
{
	gdb_out_begin(&g->out);
	for (unsigned i = 0; i < g->host.n_cpus; i++)
		gdb_out_printf(&g->out, "%c%x", i ? ',' : 'm', i + 1);
	send_reply(g);
}

static void cmd_thread_info(struct gdb_stub *g, const char *p)
{
	static const char *const act[] = {"running", "halted", "waiting for SIPI", "shut down"};
	int t = parse_thread(g, &p);
	char text[64];

	if (t < 0) {
		reply(g, "E01");
		return;
	}
	snprintf(text, sizeof(text), "CPU#%d [%s]", t,
		 act[MIN(g->host.cpus[t]->s.activity, (uint8_t)3)]);
	gdb_out_begin(&g->out);
	gdb_out_hex(&g->out, text, strlen(text));
	send_reply(g);
}

static void cmd_query(struct gdb_stub *g, const char *p)
{
	if (strncmp(p, "qSupported", 10) == 0) {
		gdb_out_begin(&g->out);
		gdb_out_printf(&g->out,
			       "PacketSize=%x;qXfer:features:read+;vContSupported+;"
			       "QStartNoAckMode+;swbreak-;hwbreak-",
			       GDB_PACKET_MAX);
		send_reply(g);
	} else if (strcmp(p, "QStartNoAckMode") == 0) {
		g->no_ack = true;
		reply(g, "OK");
	} else if (strncmp(p, "qXfer:features:read:", 20) == 0) {
		cmd_xfer(g, p + 20);
	} else if (strcmp(p, "qfThreadInfo") == 0) {
		cmd_thread_list(g);
	} else if (strcmp(p, "qsThreadInfo") == 0) {
		reply(g, "l");
	} else if (strncmp(p, "qThreadExtraInfo,", 17) == 0) {
		cmd_thread_info(g, p + 17);
	} else if (strcmp(p, "qC") == 0) {
		gdb_out_begin(&g->out);
		gdb_out_printf(&g->out, "QC%x", g->cpu + 1);
		send_reply(g);
	} else if (strncmp(p, "qAttached", 9) == 0) {
		reply(g, "1");
	} else {
		reply(g, "");
	}
}

static void cmd_verbose(struct gdb_stub *g, const char *p)
{
	if (strcmp(p, "vCont?") == 0)
		reply(g, "vCont;c;C;s;S");
	else if (strncmp(p, "vCont;", 6) == 0)
		cmd_vcont(g, p + 5);
	else if (strncmp(p, "vKill", 5) == 0) {
		reply(g, "OK");
		g->host.kill(g->host.ctx);
	} else
		reply(g, "");
}

static void cmd_set_thread(struct gdb_stub *g, const char *p)
{
	char op = *p++;
	int t = parse_thread(g, &p);

	if (t < 0 || (op != 'g' && op != 'c')) {
		reply(g, "E01");
		return;
	}
	if (op == 'g')
		g->cpu = (unsigned)t;
	else
		g->step_cpu = (unsigned)t;
	reply(g, "OK");
}

static void detach(struct gdb_stub *g)
{
	reply(g, "OK");
	drop_client(g);
}

static void handle_packet(struct gdb_stub *g)
{
	const char *p = g->in.data, *end = p + g->in.len;
	int t;

	switch (*p) {
	case '?': stop_reply(g, SIG_TRAP, current_cpu(g)); break;
	case 'g': cmd_read_regs(g); break;
	case 'G': cmd_write_regs(g, p + 1); break;
	case 'p': cmd_read_reg(g, p + 1); break;
	case 'P': cmd_write_reg(g, p + 1); break;
	case 'm': cmd_read_mem(g, p + 1); break;
	case 'M': cmd_write_mem(g, p + 1, end, false); break;
	case 'X': cmd_write_mem(g, p + 1, end, true); break;
	case 'Z': cmd_point(g, p + 1, true); break;
	case 'z': cmd_point(g, p + 1, false); break;
	case 'c': resume(g, false, g->step_cpu); break;
	case 's': resume(g, true, g->step_cpu); break;
	case 'v': cmd_verbose(g, p); break;
	case 'q':
	case 'Q': cmd_query(g, p); break;
	case 'H': cmd_set_thread(g, p + 1); break;
	case 'D': detach(g); break;
	case 'k': g->host.kill(g->host.ctx); break;
	case 'T':
		p++;
		t = parse_thread(g, &p);
		reply(g, t < 0 ? "E01" : "OK");
		break;
	default: reply(g, ""); break;
	}
}

static void client_ready(void *ctx, uint32_t events)
{
	struct gdb_stub *g = ctx;
	uint8_t buf[4096];
	ssize_t n = recv(g->fd, buf, sizeof(buf), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop_client(g);
		return;
	}
	for (ssize_t i = 0; i < n && g->fd >= 0; i++) {
		switch (gdb_in_byte(&g->in, buf[i])) {
		case GDB_EV_PACKET:
			if (!g->no_ack)
				send_bytes(g, "+", 1);
			if (g->fd >= 0 && !g->running)
				handle_packet(g);
			break;
		case GDB_EV_BAD:
			if (!g->no_ack)
				send_bytes(g, "-", 1);
			break;
		case GDB_EV_INTERRUPT:
			if (!g->running)
				break;
			g->host.pause(g->host.ctx);
			g->running = false;
			current_cpu(g)->debug.hit_access = 0;
			stop_reply(g, SIG_INT, current_cpu(g));
			break;
		case GDB_EV_NAK: send_bytes(g, g->out.buf, g->out.len); break;
		case GDB_EV_NONE: break;
		}
	}
}

static void drop_client(struct gdb_stub *g)
{
	if (g->fd < 0)
		return;
	loop_del_fd(g->watch);
	g->watch = NULL;
	close(g->fd);
	g->fd = -1;
	if (g->running)
		g->host.pause(g->host.ctx);
	clear_debug(g);
	g->running = false;
	g->host.resume(g->host.ctx, -1);
	log_info("gdb: client gone; the guest goes on");
}

static void client_connect(void *ctx, uint32_t events)
{
	struct gdb_stub *g = ctx;
	int fd = accept4(g->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;

	if (fd < 0)
		return;
	if (g->fd >= 0) {
		log_warn("gdb: a second client was turned away");
		close(fd);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* no effect on unix */
	if (loop_add_fd(g->loop, fd, EPOLLIN, client_ready, g, &g->watch) < 0) {
		close(fd);
		return;
	}
	g->fd = fd;
	g->host.pause(g->host.ctx);
	memset(&g->in, 0, sizeof(g->in));
	g->out.len = 0;
	g->no_ack = false;
	g->running = false;
	g->cpu = g->step_cpu = 0;
	g->is64 = g->host.cpus[0]->s.efer & X86_EFER_LMA;
	free(g->xml);
	g->xml = gdb_target_xml(g->is64);
	g->xml_len = (unsigned)strlen(g->xml);
	log_info("gdb: client attached, guest paused (%s-bit)", g->is64 ? "64" : "32");
}

static int listen_unix(struct gdb_stub *g, const char *path, struct error *err)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(sa.sun_path))
		return error_set(err, -EINVAL, "gdb: socket path '%s' is longer than %zu bytes",
				 path, sizeof(sa.sun_path) - 1);
	strcpy(sa.sun_path, path);
	g->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (g->listen_fd < 0 || bind(g->listen_fd, (void *)&sa, sizeof(sa)) < 0)
		return error_set(err, -errno, "gdb: cannot listen on '%s': %s%s", path,
				 strerror(errno),
				 errno == EADDRINUSE ? "; remove it if no other VM uses it" : "");
	g->unix_path = xstrdup(path);
	return 0;
}

static int listen_tcp(struct gdb_stub *g, const char *spec, struct error *err)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	const char *colon = strrchr(spec, ':');
	char host[32], *end;
	unsigned long port;
	int one = 1;

	if (!colon || (size_t)(colon - spec) >= sizeof(host))
		return error_set(err, -EINVAL, "gdb: 'tcp:%s' is not tcp:ADDRESS:PORT", spec);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - spec), spec);
	port = strtoul(colon + 1, &end, 10);
	if (*end || end == colon + 1 || port == 0 || port > 65535)
		return error_set(err, -EINVAL, "gdb: '%s' is not a port (1..65535)", colon + 1);
	if (inet_pton(AF_INET, strcmp(host, "localhost") ? host : "127.0.0.1", &sa.sin_addr) != 1)
		return error_set(err, -EINVAL, "gdb: '%s' is not an IPv4 address", host);
	/* Whoever connects owns the guest: only this machine may. */
	if ((ntohl(sa.sin_addr.s_addr) >> 24) != 127)
		return error_set(err, -EINVAL,
				 "gdb: %s is not a loopback address; use 127.0.0.1 and forward it "
				 "(ssh -L) to reach it from elsewhere",
				 host);
	sa.sin_port = htons((uint16_t)port);
	g->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (g->listen_fd < 0)
		return error_set(err, -errno, "gdb: socket: %s", strerror(errno));
	(void)setsockopt(g->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(g->listen_fd, (void *)&sa, sizeof(sa)) < 0)
		return error_set(err, -errno, "gdb: cannot listen on %s port %lu: %s", host, port,
				 strerror(errno));
	return 0;
}

int gdb_open(struct loop *loop, const struct gdb_host *host, const char *spec,
	     struct gdb_stub **ret_stub, struct error *err)
{
	struct gdb_stub *g = xnew(struct gdb_stub);
	int r;

	g->loop = loop;
	g->host = *host;
	g->fd = g->listen_fd = -1;
	if (strncmp(spec, "unix:", 5) == 0)
		r = listen_unix(g, spec + 5, err);
	else if (strncmp(spec, "tcp:", 4) == 0)
		r = listen_tcp(g, spec + 4, err);
	else
		r = error_set(err, -EINVAL, "gdb: '%s' is neither unix:PATH nor tcp:127.0.0.1:PORT",
			      spec);
	if (r == 0 && listen(g->listen_fd, 1) < 0)
		r = error_set(err, -errno, "gdb: listen: %s", strerror(errno));
	if (r == 0) {
		r = loop_add_fd(loop, g->listen_fd, EPOLLIN, client_connect, g, &g->listen_watch);
		if (r < 0)
			error_set(err, r, "gdb: cannot watch the socket: %s", strerror(-r));
	}
	if (r < 0) {
		gdb_close(g);
		return r;
	}
	*ret_stub = g;
	return 0;
}

void gdb_close(struct gdb_stub *g)
{
	if (!g)
		return;
	if (g->fd >= 0) {
		loop_del_fd(g->watch);
		close(g->fd);
		clear_debug(g);
	}
	loop_del_fd(g->listen_watch);
	if (g->listen_fd >= 0)
		close(g->listen_fd);
	if (g->unix_path)
		unlink(g->unix_path);
	free(g->unix_path);
	free(g->xml);
	free(g);
}

bool gdb_attached(const struct gdb_stub *g)
{
	return g && g->fd >= 0;
}
