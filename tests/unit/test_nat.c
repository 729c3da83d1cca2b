/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user NAT: service to the guest, reach, forwards, and the life and confinement of its helper
 * process, which is this program itself, started by the back end.
 */
#include "net/nat.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "net_guest.h"

/* --- tests of the NAT --- */

static const struct net_options open_nat = {.kind = "nat", .restrict_host = false};
static const struct net_options closed_nat = {.kind = "nat", .restrict_host = true};

static void test_nat_dhcp(void **state)
{
	struct guest g;
	struct net_counters n;

	guest_up(&g, &closed_nat);
	net_get_counters(g.net, &n);
	assert_true(n.tx_frames >= 3 && n.rx_frames >= 3);
	assert_string_equal(net_describe(g.net), "nat");
	guest_close(&g);
}

/* A datagram of the guest to @to: does the host's socket get it, and its answer the guest? */
static bool udp_reaches(const struct net_options *opt, uint32_t to)
{
	struct guest g;
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	uint16_t port;
	int fd = host_socket(SOCK_DGRAM, &port);
	char buf[64];
	const uint8_t *f;
	size_t len;
	bool got;

	guest_up(&g, opt);
	assert_int_equal(send_udp(&g, to, 5000, port, "ping", 4), 0);
	got = readable(fd, &g, 400);
	if (got) {
		assert_int_equal(
			recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &from_len), 4);
		assert_memory_equal(buf, "ping", 4);
		assert_int_equal(sendto(fd, "pong!", 5, 0, (struct sockaddr *)&from, from_len), 5);
		f = wait_frame(&g, is_udp_to, 5000, PATIENCE, &len);
		assert_non_null(f);
		assert_memory_equal(f + 42, "pong!", 5);
		assert_int_equal(ld_be32(f + 26), to); /* answers come from where it was sent */
	}
	close(fd);
	guest_close(&g);
	return got;
}

static void test_nat_reach(void **state)
{
	assert_true(udp_reaches(&open_nat, GATEWAY));
	assert_false(udp_reaches(&closed_nat, GATEWAY));
	/* The host's loopback by its own name is never reached, nor 0.0.0.0, which Linux takes for
	 * itself. */
	assert_false(udp_reaches(&open_nat, LOOPBACK));
	assert_false(udp_reaches(&closed_nat, LOOPBACK));
	assert_false(udp_reaches(&closed_nat, 0));
	assert_false(udp_reaches(&closed_nat, 0x7fffffff));
}

/* What the TFTP server (RFC 1350) says to a request for @name: the opcode; data in *text. */
static unsigned tftp_get(struct guest *g, const char *name, char text[64])
{
	uint8_t req[128] = {0, 1};
	size_t n = strlen(name), len;
	const uint8_t *f;

	memcpy(req + 2, name, n);
	memcpy(req + 3 + n, "octet", 5);
	assert_int_equal(send_udp(g, GATEWAY, 5001, 69, req, 3 + n + 6), 0);
	f = wait_frame(g, is_udp_to, 5001, PATIENCE, &len);
	assert_non_null(f);
	snprintf(text, 64, "%.*s", (int)MIN(ld_be16(f + 38) - 12u, 63u), (const char *)f + 46);
	return ld_be16(f + 42);
}

static bool names_bootfile(const uint8_t *f, size_t len, uint32_t unused)
{
	return memmem(f, len,
		      "\x43\x04"
		      "boot",
		      6) &&
	       memmem(f, 42 + 236, "boot", 4);
}

static void test_nat_boot(void **state)
{
	char dir[] = "/tmp/bothy-tftp-XXXXXX", path[64], text[64];
	const char *names[] = {"boot", "secret"};
	struct net_options opt = {
		.kind = "nat", .restrict_host = true, .tftp = dir, .bootfile = "boot"};
	uint8_t discover[300] = {1, 1, 6, 0, 1, 2, 3, 4};
	struct error err = {0};
	struct guest g;
	size_t len;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/a", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s%s/%s", dir, i ? "" : "/a", names[i]);
		FILE *f = fopen(path, "w");
		assert_non_null(f);
		fprintf(f, "this is %s", names[i]);
		fclose(f);
	}
	snprintf(path, sizeof(path), "%s/a", dir);
	opt.tftp = path;
	guest_up(&g, &opt);
	assert_int_equal(tftp_get(&g, "boot", text), 3); /* DATA */
	assert_string_equal(text, "this is boot");
	assert_int_equal(tftp_get(&g, "//boot", text), 3);
	assert_int_equal(tftp_get(&g, "none", text), 5); /* ERROR */
	assert_int_equal(tftp_get(&g, "../secret", text), 5);
	assert_int_equal(tftp_get(&g, "..", text), 5);
	assert_int_equal(tftp_get(&g, "", text), 5);
	/* RFC 2132, 9.5: option 67, and the BOOTP field */
	memcpy(discover + 28, guest_mac, 6);
	memcpy(discover + 236, "\x63\x82\x53\x63\x35\x01\x01\xff", 8);
	assert_int_equal(send_udp(&g, 0xffffffff, 68, 67, discover, sizeof(discover)), 0);
	assert_non_null(wait_frame(&g, names_bootfile, 0, PATIENCE, &len));
	guest_close(&g);
	/* a directory that is not there */
	opt.tftp = "/tmp/bothy-tftp-none";
	assert_true(guest_open(&g, &opt, &err) < 0);
	assert_non_null(strstr(err.text, "bothy-tftp-none"));
	guest_close(&g);
	/* without one there is no server */
	opt.tftp = NULL;
	guest_up(&g, &opt);
	assert_int_equal(send_udp(&g, GATEWAY, 5001, 69, "\0\1boot\0octet", 13), 0);
	assert_null(wait_frame(&g, is_udp_to, 5001, 300, &len));
	guest_close(&g);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s%s/%s", dir, i ? "" : "/a", names[i]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/a", dir);
	rmdir(path);
	rmdir(dir);
}

static void test_nat_tcp(void **state)
{
	struct guest g;
	struct tcp t;
	uint16_t port;
	int listener = host_socket(SOCK_STREAM, &port), fd;
	uint8_t buf[1600], flags = 0;

	guest_up(&g, &open_nat);
	tcp_connect(&t, &g, GATEWAY, port);
	assert_true(readable(listener, &g, PATIENCE));
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	upload(&t, fd, 100 * 1000);
	download(&t, fd, 2 * MIB);
	close(fd);
	while (!t.fin)
		assert_true(tcp_recv(&t, buf, PATIENCE, &flags) >= 0);
	tcp_send(&t, FIN | ACK, NULL, 0);
	close(listener);
	guest_close(&g);
}

/* A card with room for few frames, of which some are lost: what is missing comes again. */
static void test_nat_losses(void **state)
{
	struct guest g;
	struct tcp t;
	uint16_t port;
	int listener = host_socket(SOCK_STREAM, &port), fd;

	guest_up(&g, &open_nat);
	tcp_connect(&t, &g, GATEWAY, port);
	assert_true(readable(listener, &g, PATIENCE));
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	g.room = 8;
	g.lose_every = 61;
	download(&t, fd, 250 * 1000);
	assert_true(g.n_got > 170);
	close(fd);
	close(listener);
	guest_close(&g);
}

static void test_nat_refused(void **state)
{
	struct guest g;
	struct tcp t = {.g = &g, .ip = GATEWAY, .lport = 40001, .snd = 5};
	uint8_t buf[1600], flags = 0;

	guest_up(&g, &open_nat);
	t.rport = free_port(SOCK_STREAM);
	tcp_send(&t, SYN, NULL, 0);
	assert_int_equal(tcp_recv(&t, buf, PATIENCE, &flags), -2);
	guest_close(&g);
}

/* The host connects to a forwarded port; the guest accepts, echoes once, closes. */
static void forward_once(struct guest *g, uint16_t host_port, uint16_t guest_port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(LOOPBACK),
				  .sin_port = htons(host_port)};
	struct tcp t = {.g = g, .lport = guest_port, .snd = 77};
	uint8_t buf[1600], flags = 0;
	const uint8_t *f;
	size_t len;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	for (;;) {
		f = wait_frame(g, is_arp_for_guest, GUEST_IP, 20, &len);
		if (f) {
			uint8_t asker[6];

			memcpy(asker, f + 22, 6);
			send_arp(g, 2, asker, ld_be32(f + 28));
		}
		f = wait_frame(g, is_tcp_to, guest_port, 500, &len);
		if (f && (f[47] & SYN))
			break;
	}
	t.ip = ld_be32(f + 26);
	t.rport = ld_be16(f + 34);
	t.rcv = ld_be32(f + 38) + 1;
	tcp_send(&t, SYN | ACK, NULL, 0);
	assert_int_equal(send(fd, "hello", 5, MSG_NOSIGNAL), 5);
	while ((r = tcp_recv(&t, buf, PATIENCE, &flags)) == 0)
		continue;
	assert_int_equal(r, 5);
	assert_memory_equal(buf, "hello", 5);
	tcp_send(&t, ACK | PSH, "HELLO", 5);
	assert_true(readable(fd, g, PATIENCE));
	assert_int_equal(recv(fd, buf, sizeof(buf), 0), 5);
	assert_memory_equal(buf, "HELLO", 5);
	tcp_send(&t, RST | ACK, NULL, 0);
	close(fd);
}

static void test_nat_forward(void **state)
{
	struct guest g;
	struct net_forward fwd[2] = {
		{.host_port = free_port(SOCK_STREAM), .guest_port = 80},
		{.host_addr = "127.0.0.1",
		 .udp = true,
		 .host_port = free_port(SOCK_DGRAM),
		 .guest_port = 53},
	};
	struct net_options opt = {
		.kind = "nat", .forwards = fwd, .n_forwards = 2, .restrict_host = true};
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(LOOPBACK),
				  .sin_port = htons(fwd[1].host_port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char buf[16];
	const uint8_t *f;
	size_t len;
	uint16_t other;

	guest_up(&g, &opt);
	forward_once(&g, fwd[0].host_port, 80);
	assert_int_equal(sendto(fd, "query", 5, 0, (struct sockaddr *)&sin, sizeof(sin)), 5);
	f = wait_frame(&g, is_udp_to, 53, PATIENCE, &len);
	assert_non_null(f);
	assert_memory_equal(f + 42, "query", 5);
	assert_int_equal(send_udp(&g, ld_be32(f + 26), 53, ld_be16(f + 34), "answer", 6), 0);
	assert_true(readable(fd, &g, PATIENCE));
	assert_int_equal(recv(fd, buf, sizeof(buf), 0), 6);
	close(fd);
	/* The forward opens no way to others: neither from its port nor to its peer. */
	fd = host_socket(SOCK_DGRAM, &other);
	assert_int_equal(send_udp(&g, GATEWAY, 53, other, "knock", 5), 0);
	assert_int_equal(send_udp(&g, GATEWAY, 54, other, "knock", 5), 0);
	assert_int_equal(send_udp(&g, 0x0a000207, 53, other, "knock", 5), 0);
	assert_false(readable(fd, &g, 400));
	close(fd);
	guest_close(&g);
}

static void test_nat_open_errors(void **state)
{
	uint16_t used;
	int fd = host_socket(SOCK_STREAM, &used);
	char in_use[64];
	const struct {
		struct net_forward fwd;
		int code;
		const char *text;
	} rows[] = {
		{{.host_port = used, .guest_port = 22}, -EADDRINUSE, in_use},
		{{.host_addr = "here", .host_port = 1, .guest_port = 1},
		 -EINVAL,
		 "not an IPv4 address"},
		{{.host_addr = "192.0.2.77", .host_port = 9999, .guest_port = 1},
		 -EADDRINUSE,
		 "the host does not have this address"},
		{{.host_port = 0, .guest_port = 1}, -EINVAL, "ports are 1 to 65535"},
		{{.host_port = 2222, .guest_port = 0}, -EINVAL, "ports are 1 to 65535"},
	};

	snprintf(in_use, sizeof(in_use), "port %u on 127.0.0.1 is in use by another program", used);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct net_options opt = {.kind = "nat", .forwards = &rows[i].fwd, .n_forwards = 1};
		struct error err = {0};
		struct guest g;
		int r = guest_open(&g, &opt, &err);

		if (r != rows[i].code || !strstr(err.text, rows[i].text))
			print_error("row %u: %d '%s'\n", i, r, err.text);
		assert_int_equal(r, rows[i].code);
		assert_non_null(strstr(err.text, rows[i].text));
		guest_close(&g);
	}
	close(fd);
}

/* --- the helper process --- */

static pid_t parent_of(pid_t pid)
{
	char path[64], line[256];
	pid_t parent = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "PPid: %d", &parent) == 1)
			break;
	}
	if (file)
		fclose(file);
	return parent;
}

/* A child of @parent that has not ended; 0: none. */
static pid_t child_of(pid_t parent)
{
	DIR *dir = opendir("/proc");
	struct dirent *d;
	pid_t found = 0;

	assert_non_null(dir);
	while ((d = readdir(dir))) {
		pid_t pid = (pid_t)atoi(d->d_name);

		if (pid > 0 && parent_of(pid) == parent)
			found = pid;
	}
	closedir(dir);
	return found;
}

static uint64_t status_number(pid_t pid, const char *key)
{
	char path[64], line[256];
	unsigned long long v = UINT64_MAX;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == ':')
			sscanf(line + strlen(key) + 1, "%llu", &v);
	}
	fclose(file);
	return v;
}

static unsigned long long ms_since(ns_t at)
{
	return (host_now_ns() - at) / NS_PER_MS;
}

static void test_nat_killed(void **state)
{
	struct guest g;
	struct net_forward fwd = {.host_port = free_port(SOCK_STREAM), .guest_port = 80};
	struct net_options opt = {
		.kind = "nat", .forwards = &fwd, .n_forwards = 1, .restrict_host = true};
	pid_t supervisor, worker;
	ns_t at;

	guest_up(&g, &opt);
	supervisor = child_of(getpid());
	worker = child_of(supervisor);
	assert_true(supervisor > 0 && worker > 0);
	/* The worker dies: the supervisor replaces it. */
	at = host_now_ns();
	kill(worker, SIGKILL);
	wait_count(&g, &g.downs, 1, PATIENCE);
	wait_count(&g, &g.ups, 1, PATIENCE);
	assert_true(try_arp(&g, PATIENCE));
	print_message("worker replaced in %llu ms\n", ms_since(at));
	forward_once(&g, fwd.host_port, 80);
	assert_int_not_equal(child_of(supervisor), worker);
	/* The whole helper dies: the back end starts another. */
	at = host_now_ns();
	kill(supervisor, SIGKILL);
	wait_count(&g, &g.downs, 2, PATIENCE);
	wait_count(&g, &g.ups, 2, PATIENCE);
	print_message("helper replaced in %llu ms\n", ms_since(at));
	assert_int_not_equal(child_of(getpid()), supervisor);
	assert_true(try_arp(&g, PATIENCE));
	forward_once(&g, fwd.host_port, 80);
	guest_close(&g);
	assert_int_equal(child_of(getpid()), 0);
}

/* The VM's process is killed: nothing of the NAT stays behind. */
static void test_nat_orphan(void **state)
{
	int pipe_fd[2];
	pid_t vm, helper[2] = {0};

	assert_int_equal(pipe(pipe_fd), 0);
	vm = fork();
	if (vm == 0) {
		struct loop *loop;
		struct net *net;

		if (loop_new(NULL, &loop, NULL) < 0 ||
		    net_open(loop, &closed_nat, &net, NULL) < 0 || write(pipe_fd[1], "x", 1) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	close(pipe_fd[1]);
	assert_int_equal(read(pipe_fd[0], &(char){0}, 1), 1);
	close(pipe_fd[0]);
	helper[0] = child_of(vm);
	helper[1] = child_of(helper[0]);
	assert_true(helper[0] > 0 && helper[1] > 0);
	kill(vm, SIGKILL);
	waitpid(vm, NULL, 0);
	for (int i = 0; i < PATIENCE / 10; i++) {
		if (parent_of(helper[0]) == 0 && parent_of(helper[1]) == 0)
			break;
		usleep(10000);
	}
	/* Zombies of a container without an init that reaps still have a status: look at state. */
	for (unsigned i = 0; i < 2; i++) {
		if (parent_of(helper[i]) != 0)
			assert_int_equal(status_number(helper[i], "VmRSS"), UINT64_MAX);
	}
}

static unsigned count_fds(pid_t pid)
{
	char path[64];
	unsigned n = 0;
	struct dirent *d;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	while ((d = readdir(dir)))
		n += d->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* Bytes of the environment that process @pid was started with. */
static long environ_size(pid_t pid)
{
	char path[64], buf[4096];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES || errno == EPERM ? 0 : -1; /* not even root may look */
	n = read(fd, buf, sizeof(buf));
	close(fd);
	return n;
}

static void test_nat_sandbox(void **state)
{
	struct guest g;
	pid_t worker;
	uint8_t query[17] = {0x47, 0x11, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1};

	unsetenv("LD_LIBRARY_PATH");
	guest_up(&g, &closed_nat);
	worker = child_of(child_of(getpid()));
	assert_true(worker > 0);
	assert_int_equal(status_number(worker, "NoNewPrivs"), 1);
	assert_int_equal(status_number(worker, "Seccomp"), 2); /* filter mode */
	/* 0 to 2, the socket, resolv.conf: nothing of ours came along. */
	assert_in_range(count_fds(worker), 0, 5);
	assert_int_equal(environ_size(worker), 0);
	/* DNS makes libslirp open /etc/resolv.conf, which the sandbox answers from memory; had it
	 * not, the worker would be dead. */
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(send_udp(&g, DNS, (uint16_t)(6000 + i), 53, query, sizeof(query)),
				 0);
		assert_true(try_arp(&g, PATIENCE));
		usleep(600 * 1000); /* libslirp looks at the file again after a second */
	}
	assert_int_equal(g.downs, 0);
	assert_int_equal(child_of(child_of(getpid())), worker);
	guest_close(&g);
}

/* Many half-open connections and no end of garbage: memory stays small, service goes on. */
static void test_nat_abuse(void **state)
{
	struct guest g;
	struct tcp t = {.g = &g, .rport = 9, .snd = 9};
	uint8_t junk[2000];
	uint64_t rng = 88172645463325252ull;
	pid_t worker;

	guest_up(&g, &closed_nat);
	worker = child_of(child_of(getpid()));
	for (unsigned i = 0; i < 5000; i++) {
		t.ip = 0xcb007100u + i % 250; /* 203.0.113.0/24, RFC 5737: nobody */
		t.lport = (uint16_t)(1024 + i);
		tcp_send(&t, i % 7 ? SYN : SYN | URG, NULL, 0);
		t.g->n_in = 0;
	}
	for (unsigned i = 0; i < 20000; i++) {
		size_t len = 14 + i % 1505;

		for (size_t k = 0; k < len; k += 8) {
			rng ^= rng << 13;
			rng ^= rng >> 7;
			rng ^= rng << 17;
			memcpy(junk + k, &rng, 8);
		}
		memcpy(junk, g.gw_mac, 6);
		memcpy(junk + 6, guest_mac, 6);
		st_be16(junk + 12, i % 3 == 0 ? 0x0800 : i % 3 == 1 ? 0x0806 : 0x86dd);
		if (i % 3 != 1)
			junk[14] = i % 3 ? 0x60 : 0x45;
		if (guest_send(&g, junk, len) == -EAGAIN)
			assert_int_equal(loop_run_once(g.loop, 5), 0);
		g.n_in = 0;
		net_poll_input(g.net);
	}
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(loop_run_once(g.loop, 5), 0);
	g.n_in = 0;
	assert_true(try_arp(&g, 3 * PATIENCE));
	print_message("worker RSS after abuse: %llu KiB, descriptors %u\n",
		      (unsigned long long)status_number(worker, "VmRSS"), count_fds(worker));
	assert_int_equal(g.downs, 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* shadows are big */
	assert_in_range(status_number(worker, "VmRSS"), 0, 32 * 1024);
#endif
	assert_in_range(count_fds(worker), 0, 1024);
	guest_close(&g);
}

/* A guest that does not take frames for a while loses none of a TCP transfer. */
static void test_nat_backpressure(void **state)
{
	struct guest g;
	struct tcp t;
	uint16_t port;
	int listener = host_socket(SOCK_STREAM, &port), fd;

	guest_up(&g, &open_nat);
	tcp_connect(&t, &g, GATEWAY, port);
	assert_true(readable(listener, &g, PATIENCE));
	fd = accept(listener, NULL, NULL);
	for (unsigned i = 0; i < 20; i++) {
		g.room = g.n_in; /* no room */
		assert_int_equal(send(fd, (uint8_t[2]){pattern(2 * i), pattern(2 * i + 1)}, 2, 0),
				 2);
		for (unsigned k = 0; k < 3; k++)
			assert_int_equal(loop_run_once(g.loop, 2), 0);
		assert_int_equal(g.n_in, g.room);
	}
	g.room = INBOX;
	net_poll_input(g.net);
	{
		uint8_t buf[1600], flags;
		int got = 0;

		while (got < 40) {
			int r = tcp_recv(&t, buf, PATIENCE, &flags);

			assert_true(r >= 0);
			for (int i = 0; i < r; i++)
				assert_int_equal(buf[i], pattern((size_t)(got + i)));
			got += r;
			tcp_send(&t, ACK, NULL, 0);
		}
	}
	close(fd);
	close(listener);
	guest_close(&g);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nat_boot),        cmocka_unit_test(test_nat_dhcp),
		cmocka_unit_test(test_nat_reach),       cmocka_unit_test(test_nat_tcp),
		cmocka_unit_test(test_nat_refused),     cmocka_unit_test(test_nat_forward),
		cmocka_unit_test(test_nat_open_errors), cmocka_unit_test(test_nat_killed),
		cmocka_unit_test(test_nat_orphan),      cmocka_unit_test(test_nat_sandbox),
		cmocka_unit_test(test_nat_abuse),       cmocka_unit_test(test_nat_backpressure),
		cmocka_unit_test(test_nat_losses),
	};

	if (argc > 0 && strcmp(argv[0], NAT_ARGV0) == 0)
		return nat_helper_main(argc, argv);
	return cmocka_run_group_tests_name("nat", tests, NULL, NULL);
}
