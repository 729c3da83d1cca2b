/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network back ends without the NAT's process (test_nat.c): its packet filter, the stream socket,
 * tap, none, and what all share.
 */
#include "net/net.h"

#include <sys/un.h>

#include "net/nat_filter.h"
#include "net_guest.h"

/* --- filter --- */

static void test_filter(void **state)
{
	static const struct {
		const char *what;
		uint16_t type;
		uint8_t at[4][2]; /* offset in the IP header, value; 0xff = unused */
		size_t len;
		bool pass;
	} rows[] = {
		{"IPv4", 0x0800, {{0, 0x45}, {16, 8}}, 60, true},
		{"header says 24 bytes, 20 are there", 0x0800, {{0, 0x46}, {16, 8}}, 34, false},
		{"header of 16 bytes", 0x0800, {{0, 0x44}, {16, 8}}, 60, false},
		{"version 6 as IPv4", 0x0800, {{0, 0x65}, {16, 8}}, 60, false},
		{"to 127.x", 0x0800, {{0, 0x45}, {16, 127}}, 60, false},
		{"to 0.x", 0x0800, {{0, 0x45}, {16, 0}}, 60, false},
		{"TCP fragment at 8 bytes",
		 0x0800,
		 {{0, 0x45}, {16, 8}, {9, 6}, {7, 1}},
		 60,
		 false},
		{"TCP fragment at 24 bytes",
		 0x0800,
		 {{0, 0x45}, {16, 8}, {9, 6}, {7, 3}},
		 60,
		 true},
		{"UDP fragment at 8 bytes",
		 0x0800,
		 {{0, 0x45}, {16, 8}, {9, 17}, {7, 1}},
		 60,
		 true},
		{"IPv6", 0x86dd, {{0, 0x60}, {24, 0xfe}}, 60, true},
		{"IPv6 short", 0x86dd, {{0, 0x60}, {24, 0xfe}}, 53, false},
		{"to ::1", 0x86dd, {{0, 0x60}, {39, 1}}, 60, false},
		{"to ::", 0x86dd, {{0, 0x60}}, 60, false},
		{"to ::ffff:0:0", 0x86dd, {{0, 0x60}, {34, 0xff}, {35, 0xff}}, 60, false},
		{"to ::2", 0x86dd, {{0, 0x60}, {39, 2}}, 60, true},
		{"ARP", 0x0806, {{0, 0}}, 42, true},
		{"NC-SI", 0x88f8, {{0, 0}}, 60, false},
		{"VLAN", 0x8100, {{0, 0x45}}, 60, false},
		{"13 bytes", 0x0806, {{0, 0}}, 13, false},
		{"largest", 0x0800, {{0, 0x45}, {16, 8}}, NAT_FRAME_MAX, true},
		{"larger", 0x0800, {{0, 0x45}, {16, 8}}, NAT_FRAME_MAX + 1, false},
	};

	struct nat_filter filter = {0};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t f[NAT_FRAME_MAX + 1] = {0};

		st_be16(f + 12, rows[i].type);
		for (unsigned k = 0; k < 4; k++) {
			if (rows[i].at[k][0] || k == 0)
				f[14 + rows[i].at[k][0]] = rows[i].at[k][1];
		}
		if (nat_filter_out(&filter, f, rows[i].len) != rows[i].pass)
			print_error("row %u: %s\n", i, rows[i].what);
		assert_int_equal(nat_filter_out(&filter, f, rows[i].len), rows[i].pass);
	}
}

/* URG and its pointer are cleared and the checksum still holds (RFC 1624). */
static void test_filter_urgent(void **state)
{
	struct nat_filter filter = {0};
	struct guest g = {0};
	uint8_t f[200] = {0}, *tcp = f + 34;

	for (unsigned seed = 0; seed < 3000; seed++) {
		uint32_t s;

		for (unsigned i = 0; i < 60; i++)
			tcp[i] = (uint8_t)(seed * 31 + i * seed);
		tcp[13] = (uint8_t)(URG | ACK | (seed & 8));
		wrap_ip(&g, f, 6, 0x08080808, 60, 16);
		assert_true(nat_filter_out(&filter, f, 94));
		assert_int_equal(tcp[13], ACK | (seed & 8));
		assert_int_equal(ld_be16(tcp + 18), 0);
		s = sum16(sum16(0, f + 26, 8), tcp, 60) + 6 + 60;
		assert_int_equal(fold(s), 0);
	}
	/* A header that is cut short is left alone. */
	tcp[13] = URG;
	wrap_ip(&g, f, 6, 0x08080808, 19, 16);
	assert_true(nat_filter_out(&filter, f, 34 + 19));
	assert_int_equal(tcp[13], URG);
}

/* With restrict_host: what may still go to the virtual network. */
static void test_filter_restricted(void **state)
{
	static const struct {
		uint8_t proto;
		uint32_t to;
		uint16_t from_port, to_port;
		uint8_t flags;
		uint16_t fragment;
		bool pass;
	} rows[] = {
		{1, GATEWAY, 0, 0, 0, 0, true},
		{17, GATEWAY, 68, 67, 0, 0, true},
		{17, 0xffffffff, 68, 67, 0, 0, true},
		{17, 0x0a000205, 68, 67, 0, 0, false},
		{17, DNS, 5000, 53, 0, 0, true},
		{6, DNS, 5000, 53, SYN, 0, true},
		{17, DNS, 5000, 54, 0, 0, false},
		{17, GATEWAY, 5000, 53, 0, 0, false},
		{17, GATEWAY, 53, 7777, 0, 0, true}, /* answers a forwarded datagram */
		{17, GATEWAY, 53, 7778, 0, 0, false},
		{17, GATEWAY, 54, 7777, 0, 0, false},
		{17, 0x0a000207, 53, 7777, 0, 0, false},
		{17, GATEWAY, 53, 7777, 0, 0x2000, false},
		{17, GATEWAY, 53, 7777, 0, 0x0003, false},
		{6, GATEWAY, 1, 22, SYN, 0, false},
		{6, GATEWAY, 1, 22, SYN | PSH, 0, false},
		{6, GATEWAY, 1, 22, SYN | ACK, 0, true},
		{6, GATEWAY, 1, 22, ACK, 0, true},
		{6, 0x0a0002ff, 1, 22, SYN, 0, false},
		{6, 0xffffffff, 1, 22, SYN, 0, false},
		{6, 0x0a000302, 1, 22, SYN, 0, true}, /* another network: not ours to forbid */
		{6, 0x08080808, 1, 22, SYN, 0, true},
		{41, GATEWAY, 1, 22, 0, 0, false},
	};
	struct nat_config cfg = {.restrict_host = 1, .n_forwards = 1};
	struct nat_filter filter;
	uint8_t in[42] = {0};

	cfg.forwards[0] = (struct nat_forward){.udp = 1, .host_port = 9, .guest_port = 53};
	nat_filter_init(&filter, &cfg);
	st_be16(in + 12, 0x0800);
	in[14] = 0x45;
	in[23] = 17;
	st_be32(in + 26, GATEWAY);
	st_be16(in + 34, 7777);
	st_be16(in + 36, 53);
	nat_filter_in(&filter, in, sizeof(in));
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t f[74] = {0};

		st_be16(f + 12, 0x0800);
		f[14] = 0x45;
		st_be16(f + 20, rows[i].fragment);
		f[23] = rows[i].proto;
		st_be32(f + 30, rows[i].to);
		st_be16(f + 34, rows[i].from_port);
		st_be16(f + 36, rows[i].to_port);
		f[47] = rows[i].flags;
		if (nat_filter_out(&filter, f, sizeof(f)) != rows[i].pass)
			print_error("row %u\n", i);
		assert_int_equal(nat_filter_out(&filter, f, sizeof(f)), rows[i].pass);
	}
}

static void test_filter_restricted6(void **state)
{
	static const struct {
		uint8_t proto, to[16];
		uint16_t to_port;
		bool pass;
	} rows[] = {
		{58, {0xfe, 0xc0, [15] = 2}, 0, true},
		{17, {0xfe, 0xc0, [15] = 3}, 53, true},
		{6, {0xfe, 0xc0, [15] = 3}, 53, true},
		{6, {0xfe, 0xc0, [15] = 2}, 22, false},
		{17, {0xfe, 0xc0, [15] = 9}, 22, false},
		{6, {0xfe, 0x80, [15] = 2}, 22, false},
		{6, {0xff, 0x02, [15] = 1}, 22, false},
		{17, {0xff, 0x02, [13] = 1, [15] = 2}, 547, true},
		{6, {0x20, 0x01, 0x0d, 0xb8}, 22, true},
		{44, {0xfe, 0xc0, [15] = 2}, 0, false}, /* fragment header */
		{0, {0xfe, 0xc0, [15] = 2}, 0, false},  /* hop-by-hop options */
	};
	struct nat_filter filter = {.restrict_host = true};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t f[94] = {0};

		st_be16(f + 12, 0x86dd);
		f[14] = 0x60;
		f[20] = rows[i].proto;
		memcpy(f + 38, rows[i].to, 16);
		st_be16(f + 56, rows[i].to_port);
		if (nat_filter_out(&filter, f, sizeof(f)) != rows[i].pass)
			print_error("row %u\n", i);
		assert_int_equal(nat_filter_out(&filter, f, sizeof(f)), rows[i].pass);
	}
}

/* --- stream --- */

struct peer {
	char dir[64], path[96], spec[112];
	int listener, fd;
};

static void peer_listen(struct peer *p)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	unlink(p->path);
	memcpy(sun.sun_path, p->path, strlen(p->path) + 1);
	p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(p->listener, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(p->listener, 1), 0);
}

static void peer_open(struct peer *p, struct guest *g)
{
	struct net_options opt = {.kind = p->spec};

	memset(p, 0, sizeof(*p));
	snprintf(p->dir, sizeof(p->dir), "/tmp/bothy-net-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/sock", p->dir);
	snprintf(p->spec, sizeof(p->spec), "stream:%s", p->path);
	peer_listen(p);
	assert_int_equal(guest_open(g, &opt, NULL), 0);
	p->fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(p->fd >= 0);
}

static void peer_close(struct peer *p)
{
	close(p->fd);
	close(p->listener);
	unlink(p->path);
	rmdir(p->dir);
}

static void test_stream(void **state)
{
	struct peer p;
	struct guest g;
	uint8_t frame[60], wire[4 + 60], batch[3 * 64], back[64];

	peer_open(&p, &g);
	for (unsigned i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i * 3);
	assert_int_equal(guest_send(&g, frame, sizeof(frame)), 0);
	assert_int_equal(recv(p.fd, back, 64, MSG_WAITALL), 64);
	assert_int_equal(ld_be32(back), 60);
	assert_memory_equal(back + 4, frame, 60);
	/* Byte by byte, then three at once. */
	st_be32(wire, 60);
	memcpy(wire + 4, frame, 60);
	for (unsigned i = 0; i < sizeof(wire); i++) {
		assert_int_equal(g.n_in, 0);
		assert_int_equal(send(p.fd, wire + i, 1, 0), 1);
		assert_int_equal(loop_run_once(g.loop, 20), 0);
	}
	assert_int_equal(g.n_in, 1);
	assert_memory_equal(g.inbox[0].data, frame, 60);
	for (unsigned i = 0; i < 3; i++)
		memcpy(batch + i * 64, wire, 64);
	g.room = 2; /* the device takes only one more now */
	assert_int_equal(send(p.fd, batch, sizeof(batch), 0), sizeof(batch));
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(loop_run_once(g.loop, 5), 0);
	assert_int_equal(g.n_in, 2);
	g.room = INBOX;
	net_poll_input(g.net);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(loop_run_once(g.loop, 5), 0);
	assert_int_equal(g.n_in, 4);
	guest_close(&g);
	peer_close(&p);
}

static void test_stream_full(void **state)
{
	struct peer p;
	struct guest g;
	uint8_t frame[1500] = {0}, *back = malloc(4 * MIB);
	unsigned sent = 0, r = 0, got = 0;
	size_t have = 0;
	int n;

	peer_open(&p, &g);
	while (sent < 10000) {
		st_be32(frame + 20, sent);
		n = guest_send(&g, frame, sizeof(frame));
		if (n == -EAGAIN)
			break;
		assert_int_equal(n, 0);
		sent++;
	}
	assert_in_range(sent, 50, 9999); /* bounded, and whole frames only: */
	while (got < sent && r++ < 10000) {
		ssize_t k = recv(p.fd, back + have, 4 * MIB - have, MSG_DONTWAIT);

		if (k > 0)
			have += (size_t)k;
		assert_int_equal(loop_run_once(g.loop, 1), 0);
		while (have >= (size_t)(got + 1) * 1504) {
			assert_int_equal(ld_be32(back + got * 1504), 1500);
			assert_int_equal(ld_be32(back + got * 1504 + 24), got);
			got++;
		}
	}
	assert_int_equal(got, sent);
	assert_int_equal(have, sent * 1504);
	free(back);
	guest_close(&g);
	peer_close(&p);
}

static void test_stream_reconnect(void **state)
{
	static const uint8_t bad[][4] = {{0, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff}, {0, 1, 0, 0x0f}};
	struct peer p;
	struct guest g;
	uint8_t frame[60] = {0};

	peer_open(&p, &g);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		/* Not the protocol: the connection is dropped, and made again. */
		assert_int_equal(send(p.fd, bad[i], 4, 0), 4);
		wait_count(&g, &g.downs, i + 1, PATIENCE);
		assert_int_equal(recv(p.fd, frame, 1, 0), 0);
		close(p.fd);
		assert_int_equal(guest_send(&g, frame, 60), 0); /* lost, like on a pulled cable */
		wait_count(&g, &g.ups, i + 1, PATIENCE);
		p.fd = accept4(p.listener, NULL, NULL, SOCK_CLOEXEC);
		assert_true(p.fd >= 0);
	}
	/* The peer goes away for a while. */
	close(p.listener);
	close(p.fd);
	wait_count(&g, &g.downs, 4, PATIENCE);
	for (unsigned i = 0; i < 60; i++)
		assert_int_equal(loop_run_once(g.loop, 5), 0);
	peer_listen(&p);
	wait_count(&g, &g.ups, 4, PATIENCE);
	p.fd = accept4(p.listener, NULL, NULL, SOCK_CLOEXEC);
	assert_int_equal(guest_send(&g, frame, 60), 0);
	assert_int_equal(recv(p.fd, (uint8_t[64]){0}, 64, MSG_WAITALL), 64);
	guest_close(&g);
	peer_close(&p);
}

/* --- the rest --- */

static void test_kinds(void **state)
{
	static const struct {
		const char *kind;
		unsigned forwards;
		int code;
		const char *text;
	} rows[] = {
		{"none", 0, 0, ""},
		{"bridge", 0, -EINVAL, "is not known"},
		{"tap", 0, -EINVAL, "is not known"},
		{"tap:", 0, -EINVAL, "is not known"},
		{"nat:x", 0, -EINVAL, "is not known"},
		{"none", 1, -EINVAL, "cannot forward ports"},
		{"tap:a-name-that-is-too-long", 0, -ENAMETOOLONG, "at most 15"},
		{"stream:/nonexistent/socket", 0, -ENOENT, "start the program"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct net_forward fwd = {.host_port = 1, .guest_port = 1};
		struct net_options opt = {
			.kind = rows[i].kind, .forwards = &fwd, .n_forwards = rows[i].forwards};
		struct error err = {0};
		struct guest g;
		int r = guest_open(&g, &opt, &err);

		if (r != rows[i].code || !strstr(err.text, rows[i].text))
			print_error("row %u: %d '%s'\n", i, r, err.text);
		assert_int_equal(r, rows[i].code);
		assert_non_null(strstr(err.text, rows[i].text));
		guest_close(&g);
	}
}

static void test_lengths(void **state)
{
	static uint8_t frame[NET_FRAME_MAX + 2];
	static const struct {
		size_t len;
		bool taken;
	} rows[] = {{0, false},   {13, false},           {14, true},
		    {1514, true}, {NET_FRAME_MAX, true}, {NET_FRAME_MAX + 1, false}};
	struct net_options opt = {.kind = "none"};
	struct net_counters n;
	struct guest g;
	uint64_t taken = 0, dropped = 0;

	assert_int_equal(guest_open(&g, &opt, NULL), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(guest_send(&g, frame, rows[i].len), 0);
		*(rows[i].taken ? &taken : &dropped) += 1;
		net_get_counters(g.net, &n);
		assert_int_equal(n.tx_frames, taken);
		assert_int_equal(n.tx_drops, dropped);
	}
	guest_close(&g);
}

static void test_tap(void **state)
{
	struct net_options opt = {.kind = "tap:bothytest0"};
	struct error err = {0};
	struct guest g;
	uint8_t frame[60] = {0};
	int r = guest_open(&g, &opt, &err);

	if (r < 0) {
		print_message("skipped: %s\n", err.text);
		guest_close(&g);
		skip();
	}
	/* Down: nothing arrives, nothing breaks. Up: the host's kernel soon speaks IPv6 on it. */
	assert_int_equal(guest_send(&g, frame, sizeof(frame)), 0);
	if (system("ip link set bothytest0 up 2>/dev/null") == 0) {
		struct net_counters n = {0};

		for (unsigned i = 0; i < PATIENCE / 5 && n.rx_frames == 0; i++) {
			assert_int_equal(loop_run_once(g.loop, 5), 0);
			net_get_counters(g.net, &n);
		}
		assert_true(n.rx_frames > 0);
		memset(frame, 0xff, 6);
		memcpy(frame + 6, guest_mac, 6);
		st_be16(frame + 12, 0x88b5); /* IEEE 802 local experimental */
		assert_int_equal(guest_send(&g, frame, sizeof(frame)), 0);
		net_get_counters(g.net, &n);
		assert_true(n.tx_frames >= 1);
	}
	guest_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_filter_urgent),
		cmocka_unit_test(test_filter_restricted),
		cmocka_unit_test(test_filter_restricted6),
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_stream_full),
		cmocka_unit_test(test_stream_reconnect),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_tap),
	};

	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
