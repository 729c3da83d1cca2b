/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conversation with swtpm, the other side being a thread that answers as swtpm_ioctls(3) says,
 * or wrongly.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/log.h"
#include "host/loop.h"
#include "tpm/tpm.h"

enum how { RIGHT, TOO_LONG, TOO_SHORT, PIECES, GONE, NO_INIT, NO_LOCALITY };

struct module {
	enum how how;
	int listener;
	pthread_t thread;
	char path[64];
	unsigned inits, locality, shutdowns;
};

static void answer_command(struct module *m, int fd)
{
	uint8_t cmd[TPM_BUFFER], rsp[16] = {0x80, 0x01, 0, 0, 0, 16, 0, 0, 0, 0, 1, 2, 3, 4, 5};

	if (read(fd, cmd, sizeof(cmd)) < 10)
		return;
	rsp[15] = (uint8_t)m->locality;
	if (m->how == TOO_LONG)
		st_be32(rsp + 2, TPM_BUFFER + 1);
	if (m->how == TOO_SHORT)
		st_be32(rsp + 2, 9);
	for (unsigned i = 0; i < sizeof(rsp); i += m->how == PIECES ? 4 : 16)
		if (write(fd, rsp + i, m->how == PIECES ? 4 : 16) < 0)
			return;
}

/* A control message and its result; false at the end. */
static bool answer_control(struct module *m, int fd, int *data)
{
	static const struct {
		uint32_t cmd;
		unsigned in, out;
	} cmds[] = {{2, 4, 4},  {3, 0, 4},  {4, 0, 8},  {5, 4, 4},
		    {11, 4, 4}, {14, 0, 4}, {16, 0, 4}, {17, 4, 16}};
	uint8_t msg[64], out[16] = {0};
	char room[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {msg, sizeof(msg)};
	struct msghdr h = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = room,
			   .msg_controllen = sizeof(room)};
	ssize_t n = recvmsg(fd, &h, 0);
	unsigned i = 0;

	if (n < 4)
		return false;
	while (i < ARRAY_SIZE(cmds) && cmds[i].cmd != ld_be32(msg))
		i++;
	assert_true(i < ARRAY_SIZE(cmds) && n == 4 + cmds[i].in);
	switch (cmds[i].cmd) {
	case 2:
		m->inits++;
		st_be32(out, m->how == NO_INIT ? 9 : 0);
		break;
	case 3: m->shutdowns++; break;
	case 5:
		st_be32(out, m->how == NO_LOCALITY ? 9 : 0);
		m->locality = msg[4];
		break;
	case 16:
		assert_non_null(CMSG_FIRSTHDR(&h));
		memcpy(data, CMSG_DATA(CMSG_FIRSTHDR(&h)), sizeof(int));
		break;
	case 17: st_be32(out + 4, ld_be32(msg + 4)); break;
	}
	return write(fd, out, cmds[i].out) == cmds[i].out;
}

static void *serve(void *arg)
{
	struct module *m = arg;
	int fd = accept(m->listener, NULL, NULL), data = -1;

	for (;;) {
		fd_set set;

		FD_ZERO(&set);
		FD_SET(fd, &set);
		if (data >= 0)
			FD_SET(data, &set);
		if (select(MAX(fd, data) + 1, &set, NULL, NULL, NULL) < 0)
			break;
		if (data >= 0 && FD_ISSET(data, &set)) {
			if (m->how == GONE)
				break;
			answer_command(m, data);
		}
		if (FD_ISSET(fd, &set) && !answer_control(m, fd, &data))
			break;
	}
	close(fd);
	if (data >= 0)
		close(data);
	return NULL;
}

static void start(struct module *m, enum how how)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	*m = (struct module){.how = how};
	snprintf(m->path, sizeof(m->path), "unix:/tmp/bothy-test-tpm.%d", (int)getpid());
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", m->path + 5);
	unlink(a.sun_path);
	m->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(m->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(m->listener, 1), 0);
	assert_int_equal(pthread_create(&m->thread, NULL, serve, m), 0);
}

static void stop(struct module *m)
{
	pthread_join(m->thread, NULL);
	close(m->listener);
	unlink(m->path + 5);
}

struct heard {
	uint8_t buf[TPM_BUFFER];
	size_t len;
};

static void on_answer(void *ctx, const uint8_t *buf, size_t len)
{
	struct heard *h = ctx;

	memcpy(h->buf, buf, len);
	h->len = len;
}

static void ask(struct loop *loop, struct tpm *t, struct heard *h, unsigned locality)
{
	static const uint8_t cmd[10] = {0x80, 0x01, 0, 0, 0, 10};

	h->len = 0;
	tpm_submit(t, locality, cmd, sizeof(cmd));
	assert_true(tpm_busy(t) && !h->len);
	for (unsigned i = 0; i < 100 && !h->len; i++)
		assert_int_equal(loop_run_once(loop, 100), 0);
	assert_false(tpm_busy(t));
}

static void test_conversation(void **state)
{
	static const struct {
		enum how how;
		unsigned locality;
		uint32_t code; /* of the answer */
	} rows[] = {
		{RIGHT, 0, 0},           {RIGHT, 3, 0},         {PIECES, 0, 0},
		{TOO_LONG, 0, 0x101},    {TOO_SHORT, 0, 0x101}, {GONE, 0, 0x101},
		{NO_LOCALITY, 2, 0x101}, {NO_LOCALITY, 0, 0},
	};
	struct error err = {0};
	struct loop *loop;

	log_set_level(LOG_ERR);
	assert_int_equal(loop_new(NULL, &loop, &err), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct heard h = {0};
		struct module m;
		struct tpm *t;

		start(&m, rows[i].how);
		assert_int_equal(tpm_open(loop, m.path, &t, &err), 0);
		tpm_set_front(t, TPM_BUFFER, on_answer, &h);
		for (unsigned k = 0; k < 3; k++) {
			ask(loop, t, &h, rows[i].locality);
			assert_int_equal(ld_be32(h.buf + 6), rows[i].code);
			assert_int_equal(h.len, rows[i].code ? 10 : 16);
			assert_int_equal(ld_be32(h.buf + 2), h.len);
			if (!rows[i].code)
				assert_int_equal(h.buf[15], rows[i].locality);
			tpm_reset(t); /* a dead one stays dead */
		}
		tpm_set_front(t, TPM_BUFFER, NULL, NULL);
		tpm_close(t);
		stop(&m);
		if (rows[i].how == RIGHT) {
			assert_int_equal(m.inits, 4);
			assert_int_equal(m.shutdowns, 1);
		}
	}
	loop_free(loop);
}

/* A reset while a command runs: its answer is not the next one's. */
static void test_reset(void **state)
{
	static const uint8_t cmd[10] = {0x80, 0x01, 0, 0, 0, 10};
	struct error err = {0};
	struct heard h = {0};
	struct loop *loop;
	struct module m;
	struct tpm *t;

	assert_int_equal(loop_new(NULL, &loop, &err), 0);
	start(&m, RIGHT);
	assert_int_equal(tpm_open(loop, m.path, &t, &err), 0);
	tpm_set_front(t, TPM_BUFFER, on_answer, &h);
	tpm_submit(t, 1, cmd, sizeof(cmd));
	tpm_reset(t);
	assert_false(tpm_busy(t));
	ask(loop, t, &h, 2);
	assert_int_equal(h.buf[15], 2);
	tpm_submit(t, 2, cmd, sizeof(cmd));
	h.len = 0;
	assert_int_equal(tpm_wait(t), 0);
	assert_int_equal(h.len, 16);
	tpm_set_front(t, TPM_BUFFER, NULL, NULL);
	tpm_close(t);
	stop(&m);
	loop_free(loop);
}

static void test_refused(void **state)
{
	struct error err = {0};
	struct loop *loop;
	struct module m;
	struct tpm *t;

	assert_true(tpm_spec_ok("unix:x") && tpm_spec_ok("/a/folder"));
	assert_false(tpm_spec_ok("") || tpm_spec_ok("unix:"));
	assert_int_equal(loop_new(NULL, &loop, &err), 0);
	assert_true(tpm_open(loop, "unix:/nonexistent/x", &t, &err) < 0);
	assert_non_null(strstr(err.text, "/nonexistent/x"));
	assert_true(tpm_open(loop, "/nonexistent/x/y", &t, &err) < 0);
	assert_non_null(strstr(err.text, "/nonexistent/x/y"));
	assert_true(tpm_open(loop, "a,b", &t, &err) < 0);
	start(&m, NO_INIT);
	assert_true(tpm_open(loop, m.path, &t, &err) < 0);
	assert_non_null(strstr(err.text, "refused"));
	stop(&m);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conversation),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
