/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block layer on real files, once with io_uring and once with threads: a random model test
 * against RAM, opening and locking (also against QEMU's tools), checks of requests.
 *
 * BOTHY_BLOCK_OPS sets the number of operations of the model test, BOTHY_SEED its seed.
 */
#include "block/block.h"

#include "block_fixture.h"

#include <pthread.h>

/* --- model --- */

static uint64_t rng_next(uint64_t *rng)
{
	*rng ^= *rng << 13;
	*rng ^= *rng >> 7;
	*rng ^= *rng << 17;
	return *rng;
}

#define SLOTS     8
#define SLOT_SIZE (IMAGE_SIZE / SLOTS)
#define MAX_IOV   8

struct slot {
	struct op op;
	struct iovec iov[MAX_IOV];
	uint8_t buf[64 * 1024];
	bool busy;
};

static void check_file(const char *path, const uint8_t *model)
{
	uint8_t *got = malloc(IMAGE_SIZE);
	FILE *file = fopen(path, "rb");

	assert_non_null(file);
	assert_int_equal(fread(got, 1, IMAGE_SIZE, file), IMAGE_SIZE);
	fclose(file);
	assert_memory_equal(got, model, IMAGE_SIZE);
	free(got);
}

/* Start a random operation inside slot @i, where nothing else is going on. */
static void start_random(struct block *b, struct slot *s, unsigned i, uint8_t *model, uint64_t *rng)
{
	static const enum block_op kinds[] = {BLOCK_READ,   BLOCK_WRITE, BLOCK_READ,
					      BLOCK_WRITE,  BLOCK_WRITE, BLOCK_DISCARD,
					      BLOCK_ZEROES, BLOCK_FLUSH};
	enum block_op kind = kinds[rng_next(rng) % ARRAY_SIZE(kinds)];
	uint64_t max = rng_next(rng) % 4 ? 8 : sizeof(s->buf) / SECTOR;
	uint64_t len = (1 + rng_next(rng) % max) * SECTOR, left = len, at = 0;
	uint64_t off = i * SLOT_SIZE + rng_next(rng) % ((SLOT_SIZE - len) / SECTOR + 1) * SECTOR;
	int n = 0;

	while (left > 0) { /* odd pieces: nothing promises sector-sized iovecs */
		uint64_t piece = n == MAX_IOV - 1 ? left : 1 + rng_next(rng) % left;

		s->iov[n++] = (struct iovec){s->buf + at, piece};
		at += piece;
		left -= piece;
	}
	if (kind == BLOCK_WRITE) {
		for (uint64_t k = 0; k < len; k += 8) {
			uint64_t v = rng_next(rng);

			memcpy(s->buf + k, &v, 8);
		}
		memcpy(model + off, s->buf, len);
	} else if (kind == BLOCK_READ) {
		memset(s->buf, 0xa5, len);
	} else if (kind != BLOCK_FLUSH && (kind == BLOCK_ZEROES || block_can_discard(b))) {
		memset(model + off, 0, len);
	}
	s->busy = true;
	if (kind == BLOCK_READ || kind == BLOCK_WRITE)
		submit(b, &s->op, kind, off, len, s->iov, n, rng_next(rng) % 8 == 0);
	else
		submit(b, &s->op, kind, off, kind == BLOCK_FLUSH ? 0 : len, NULL, 0, false);
}

static void reap(struct slot *s, const uint8_t *model)
{
	struct block_req *req = &s->op.req;

	if (!s->busy || !s->op.done)
		return;
	assert_int_equal(s->op.result, 0);
	if (req->op == BLOCK_READ)
		assert_memory_equal(s->buf, model + req->off, req->len);
	s->busy = false;
}

/* Fill the image with something; @model gets a copy. */
static void fill_image(const char *path, uint8_t *model, uint64_t *rng)
{
	FILE *file = fopen(path, "r+b");

	for (unsigned i = 0; i < IMAGE_SIZE; i += 8) {
		uint64_t v = rng_next(rng);

		memcpy(model + i, &v, 8);
	}
	assert_non_null(file);
	assert_int_equal(fwrite(model, 1, IMAGE_SIZE, file), IMAGE_SIZE);
	fclose(file);
}

static void model_test(struct fixture *f, const char *shim, bool overlay)
{
	const char *env_ops = getenv("BOTHY_BLOCK_OPS"), *env_seed = getenv("BOTHY_SEED");
	unsigned ops = env_ops ? (unsigned)strtoul(env_ops, NULL, 10) : 6000;
	uint64_t seed = env_seed ? strtoull(env_seed, NULL, 10) : 20240229, rng = seed;
	struct slot *slots = xnew_n(struct slot, SLOTS);
	uint8_t *model = xcalloc(1, IMAGE_SIZE), *before = xcalloc(1, IMAGE_SIZE);
	struct block_counters n;
	struct block *b;

	fill_image(f->image, model, &rng);
	memcpy(before, model, IMAGE_SIZE);
	f->overlay = overlay;
	b = open_image(f, shim);
	print_message("%u operations, seed %llu\n", ops, (unsigned long long)seed);
	while (ops > 0) {
		unsigned i = rng_next(&rng) % SLOTS;

		if (slots[i].busy) {
			assert_int_equal(loop_run_once(f->loop, 2), 0);
		} else {
			start_random(b, &slots[i], i, model, &rng);
			ops--;
			if (rng_next(&rng) % 500 == 0)
				block_drain(b);
		}
		for (unsigned k = 0; k < SLOTS; k++)
			reap(&slots[k], model);
	}
	block_drain(b);
	for (unsigned k = 0; k < SLOTS; k++) {
		reap(&slots[k], model);
		assert_false(slots[k].busy);
	}
	block_get_counters(b, &n);
	assert_int_equal(n.errors, 0);
	assert_true(n.reads > 0 && n.writes > 0 && n.discards > 0);
	assert_true(n.flushes > 0 || overlay); /* it has nothing to flush */
	block_close(b);
	check_file(f->image, overlay ? before : model);
	free(model);
	free(before);
	free(slots);
}

static void test_model(void **state)
{
	model_test(*state, NULL, false);
}

static void test_model_shim(void **state)
{
	model_test(*state,
		   "short op=write bytes=1536; short op=read at=3 times=400 bytes=512; "
		   "reorder window=5 seed=9; delay op=flush ms=1 at=5 times=20",
		   false);
}

/* An image that is only read, under a throw-away layer: also cut short at odd bytes. */
static void test_model_overlay(void **state)
{
	model_test(*state, NULL, true);
	model_test(*state, "short op=write bytes=1536; short op=read at=3 times=400 bytes=700",
		   true);
}

/* --- opening and locking --- */

static void test_open_errors(void **state)
{
	struct fixture *f = *state;
	char *odd = xasprintf("%s/odd", f->dir), *empty = xasprintf("%s/empty", f->dir),
	     *none = xasprintf("%s/none", f->dir), *fifo = xasprintf("%s/fifo", f->dir);
	const struct {
		const char *path, *format, *shim;
		bool read_only;
		int code;
		const char *text;
	} rows[] = {
		{none, "raw", NULL, false, -ENOENT, "check the path"},
		{f->dir, "raw", NULL, false, -EISDIR, "cannot be opened"},
		{f->dir, "raw", NULL, true, -EISDIR, "neither a regular file"},
		{fifo, "raw", NULL, true, -EINVAL, "neither a regular file"},
		{empty, "raw", NULL, false, -EINVAL, "empty or truncated"},
		{odd, "raw", NULL, false, -EINVAL, "not a multiple of 512"},
		{f->image, NULL, NULL, false, -EINVAL, "never probed"},
		{f->image, "qcow9", NULL, false, -EINVAL, "not supported"},
		{f->image, "raw", "explode", false, -EINVAL, "not a verb"},
		{f->image, "raw", "fail err=EWHAT", false, -EINVAL, "bad 'err=EWHAT'"},
		{f->image, "raw", "break", false, -EINVAL, "needs name="},
	};

	make_file(odd, 1000);
	make_file(empty, 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct block_options opt = {.path = rows[i].path,
					    .format = rows[i].format,
					    .read_only = rows[i].read_only,
					    .aio = BLOCK_AIO_THREADS,
					    .shim = rows[i].shim};
		struct error err = {0};
		struct block *b = NULL;
		int r = block_open(f->loop, &opt, &b, &err);

		if (r != rows[i].code || !strstr(err.text, rows[i].text))
			print_error("row %u: %d '%s'\n", i, r, err.text);
		assert_int_equal(r, rows[i].code);
		assert_non_null(strstr(err.text, rows[i].text));
		assert_null(b);
	}
	{
		struct block_options opt = {.path = odd, .format = "raw", .read_only = true};
		struct block *b = NULL;

		assert_int_equal(block_open(f->loop, &opt, &b, NULL), 0);
		assert_int_equal(block_size(b), 512); /* rounded down, read-only */
		block_close(b);
	}
	free(odd);
	free(empty);
	free(none);
	free(fifo);
}

static int try_open(struct fixture *f, bool read_only, struct block **ret_b)
{
	struct block_options opt = {.path = f->image, .format = "raw", .read_only = read_only};
	struct error err = {0};
	int r = block_open(f->loop, &opt, ret_b, &err);

	if (r == -EBUSY) {
		assert_non_null(strstr(err.text, f->image));
		assert_non_null(strstr(err.text, "in use by another process"));
	}
	return r;
}

static void test_lock_matrix(void **state)
{
	static const struct {
		bool first_ro, second_ro;
		int second;
	} rows[] = {{false, false, -EBUSY},
		    {false, true, -EBUSY},
		    {true, false, -EBUSY},
		    {true, true, 0}};
	struct fixture *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct block *first = NULL, *second = NULL, *third = NULL;

		assert_int_equal(try_open(f, rows[i].first_ro, &first), 0);
		assert_int_equal(try_open(f, rows[i].second_ro, &second), rows[i].second);
		block_close(second);
		/* A refused attempt must not have taken the lock of the first away. */
		assert_int_equal(try_open(f, false, &third), -EBUSY);
		block_close(first);
		assert_int_equal(try_open(f, false, &third), 0);
		block_close(third);
	}
}

static int shell(const char *fmt, ...) PRINTF_LIKE(1, 2);
static int shell(const char *fmt, ...)
{
	char cmd[512];
	va_list ap;
	int r;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	r = system(cmd);
	return WIFEXITED(r) ? WEXITSTATUS(r) : -1;
}

static void need_qemu_tools(void)
{
	if (shell("command -v qemu-io >/dev/null && command -v qemu-img >/dev/null") == 0)
		return;
	print_message("skipped: qemu-img and qemu-io are not installed (package qemu-utils)\n");
	skip();
}

/* What QEMU's tools may do while we have the image, by our mode: what they may do beside QEMU. */
static void test_lock_qemu_refused(void **state)
{
	static const struct {
		bool ours_ro;
		const char *cmd;
		bool allowed;
	} rows[] = {
		{false, "qemu-io -f raw -c 'write 0 512' %s", false},
		/* qemu-io reads beside a writer if it must: it refuses nothing to others. */
		{false, "qemu-io -r -f raw -c 'read 0 512' %s", true},
		{false, "qemu-img info -f raw %s", true}, /* takes no lock */
		{false, "qemu-img info -U -f raw %s", true},
		{false, "qemu-img convert -f raw -O raw %s /dev/null", false},
		{true, "qemu-io -f raw -c 'write 0 512' %s", false},
		{true, "qemu-io -r -f raw -c 'read 0 512' %s", true},
		{true, "qemu-img info -f raw %s", true},
		{true, "qemu-img resize -f raw %s 2M", false},
	};
	struct fixture *f = *state;

	need_qemu_tools();
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct block *b = NULL;
		char *cmd, *full;
		int r;

		assert_int_equal(try_open(f, rows[i].ours_ro, &b), 0);
		cmd = xasprintf("%.*s%s%s", (int)(strstr(rows[i].cmd, "%s") - rows[i].cmd),
				rows[i].cmd, f->image, strstr(rows[i].cmd, "%s") + 2);
		full = xasprintf("%s >/dev/null 2>&1", cmd);
		r = system(full);
		if ((r == 0) != rows[i].allowed)
			print_error("row %u: %s: %d\n", i, cmd, r);
		assert_int_equal(r == 0, rows[i].allowed);
		free(cmd);
		free(full);
		block_close(b);
	}
}

/* Does another open file refuse permission "write" of @path, as a disk that a machine uses does?
 * Looking takes no lock: a lock that we took for an instant could make QEMU give up. */
static bool writers_refused(const char *path)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 201, .l_len = 1};
	int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_OFD_GETLK, &fl), 0);
	close(fd);
	return fl.l_type != F_UNLCK;
}

/* A machine of QEMU's has the image; -S: it never runs. */
static void test_lock_qemu_has_it(void **state)
{
	static const struct {
		const char *mode;
		bool ours_ro;
		int code;
	} rows[] = {{"off", false, -EBUSY},
		    {"off", true, -EBUSY},
		    {"on", false, -EBUSY},
		    {"on", true, 0}};
	static const char machine[] =
		"qemu-system-x86_64 -S -display none -nodefaults -m 16 -monitor stdio "
		"-drive if=virtio,format=raw,file=%s,readonly=%s >/dev/null 2>&1";
	struct fixture *f = *state;

	if (shell("command -v qemu-system-x86_64 >/dev/null") != 0) {
		print_message("skipped: qemu-system-x86_64 is not installed\n");
		skip();
	}
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		char *cmd = xasprintf(machine, f->image, rows[i].mode);
		struct block *b = NULL;
		FILE *qemu = popen(cmd, "w");
		int r = 0;

		assert_non_null(qemu);
		for (int n = 0; n < 3000 && !writers_refused(f->image); n++)
			usleep(10000);
		/* A writer is refused in every row. */
		r = try_open(f, false, &b);
		assert_int_equal(r, -EBUSY);
		assert_int_equal(try_open(f, rows[i].ours_ro, &b), rows[i].code);
		if (rows[i].code == 0)
			block_close(b);
		fputs("quit\n", qemu);
		pclose(qemu);
		free(cmd);
	}
}

/* We have the image: a machine of QEMU's does not start with it. */
static void test_lock_qemu_machine(void **state)
{
	struct fixture *f = *state;
	struct block *b = NULL;
	int r;

	if (shell("command -v qemu-system-x86_64 >/dev/null") != 0) {
		print_message("skipped: qemu-system-x86_64 is not installed\n");
		skip();
	}
	assert_int_equal(try_open(f, false, &b), 0);
	r = shell("echo quit | qemu-system-x86_64 -S -display none -nodefaults -m 16 "
		  "-monitor stdio -drive if=virtio,format=raw,file=%s 2>&1 | grep -q 'lock'",
		  f->image);
	assert_int_equal(r, 0); /* it named the lock as the reason */
	block_close(b);
}

/* --- requests --- */

static void test_validation(void **state)
{
	static uint8_t buf[4096];
	static const struct {
		enum block_op op;
		uint64_t off, len, iov_len;
		int code;
	} rows[] = {
		{BLOCK_READ, 0, 512, 512, 0},
		{BLOCK_READ, 1, 512, 512, -EINVAL},
		{BLOCK_READ, 0, 511, 511, -EINVAL},
		{BLOCK_READ, 0, 1024, 512, -EINVAL},
		{BLOCK_READ, 0, 512, 1024, -EINVAL},
		{BLOCK_WRITE, IMAGE_SIZE, 512, 512, -EINVAL},
		{BLOCK_WRITE, IMAGE_SIZE - 512, 512, 512, 0},
		{BLOCK_WRITE, IMAGE_SIZE - 512, 1024, 1024, -EINVAL},
		{BLOCK_READ, UINT64_MAX - 511, 512, 512, -EINVAL},
		{BLOCK_READ, UINT64_MAX - 511, 1024, 1024, -EINVAL},
		{BLOCK_DISCARD, 512, UINT64_MAX - 511, 0, -EINVAL},
		{BLOCK_ZEROES, 0, IMAGE_SIZE + 512, 0, -EINVAL},
		{BLOCK_READ, 0, 0, 0, 0},
		{BLOCK_WRITE, IMAGE_SIZE, 0, 0, 0},
		{BLOCK_DISCARD, 512, 0, 0, 0},
		{BLOCK_ZEROES, 512, 0, 0, 0},
		{BLOCK_FLUSH, 0, 0, 0, 0},
		{(enum block_op)77, 0, 512, 512, -EINVAL},
	};
	struct fixture *f = *state;
	struct block *b = open_image(f, NULL);

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct iovec iov = {buf, rows[i].iov_len};
		struct op op;

		submit(b, &op, rows[i].op, rows[i].off, rows[i].len, &iov, 1, false);
		wait_op(f, &op);
		if (op.result != rows[i].code)
			print_error("row %u: %d\n", i, op.result);
		assert_int_equal(op.result, rows[i].code);
	}
	block_close(b);
}

static void test_read_only(void **state)
{
	struct fixture *f = *state;
	struct block_options opt = {.path = f->image, .format = "raw", .read_only = true};
	uint8_t buf[512] = {1};
	struct block *b = NULL;

	assert_int_equal(block_open(f->loop, &opt, &b, NULL), 0);
	assert_true(block_read_only(b));
	assert_false(block_can_discard(b));
	assert_int_equal(run(f, b, BLOCK_WRITE, 0, buf, 512, false), -EROFS);
	assert_int_equal(run(f, b, BLOCK_ZEROES, 0, NULL, 512, false), -EROFS);
	assert_int_equal(run(f, b, BLOCK_DISCARD, 0, NULL, 512, false), -EROFS);
	assert_int_equal(run(f, b, BLOCK_FLUSH, 0, NULL, 0, false), 0);
	assert_int_equal(run(f, b, BLOCK_READ, 0, buf, 512, false), 0);
	assert_int_equal(buf[0], 0);
	block_close(b);
}

/* More pieces than one system call takes (IOV_MAX is 1024 on Linux). */
static void test_many_iovecs(void **state)
{
	enum { N = 1500 };
	struct fixture *f = *state;
	struct block *b = open_image(f, NULL);
	uint8_t *buf = xcalloc(N, SECTOR), *back = xcalloc(N, SECTOR);
	struct iovec *iov = xnew_n(struct iovec, N);
	struct op op;

	for (unsigned i = 0; i < N * SECTOR; i++)
		buf[i] = (uint8_t)(i * 31 + i / 512);
	for (unsigned i = 0; i < N; i++)
		iov[i] = (struct iovec){buf + i * SECTOR, SECTOR};
	submit(b, &op, BLOCK_WRITE, 512, N * SECTOR, iov, N, true);
	wait_op(f, &op);
	assert_int_equal(op.result, 0);
	for (unsigned i = 0; i < N; i++)
		iov[i].iov_base = back + i * SECTOR;
	submit(b, &op, BLOCK_READ, 512, N * SECTOR, iov, N, false);
	wait_op(f, &op);
	assert_int_equal(op.result, 0);
	assert_memory_equal(buf, back, N * SECTOR);
	block_close(b);
	free(iov);
	free(buf);
	free(back);
}

/* More requests at once than the ring of io_uring takes. */
static void test_many_requests(void **state)
{
	enum { N = 1000 };
	struct fixture *f = *state;
	struct block *b = open_image(f, NULL);
	struct op *ops = xnew_n(struct op, N);
	static uint8_t buf[N][SECTOR];
	struct iovec *iov = xnew_n(struct iovec, N);

	for (unsigned i = 0; i < N; i++) {
		memset(buf[i], (int)i, SECTOR);
		iov[i] = (struct iovec){buf[i], SECTOR};
		submit(b, &ops[i], BLOCK_WRITE, i * SECTOR, SECTOR, &iov[i], 1, i % 50 == 0);
	}
	block_drain(b);
	for (unsigned i = 0; i < N; i++) {
		uint8_t back[SECTOR];

		assert_true(ops[i].done);
		assert_int_equal(ops[i].result, 0);
		assert_int_equal(run(f, b, BLOCK_READ, i * SECTOR, back, SECTOR, false), 0);
		assert_memory_equal(back, buf[i], SECTOR);
	}
	block_close(b);
	free(iov);
	free(ops);
}

/*
 * Requests submitted together: each ends once, in block_gathered() or a turn of the loop later,
 * some submitted before among them; and a drain in between waits for them, too.
 */
static void test_gather(void **state)
{
	enum { N = 100 };
	struct fixture *f = *state;
	struct block *b = open_image(f, NULL);
	struct op ops[N], before;
	static uint8_t buf[N][4096], byte[4096];
	struct iovec iov[N], one = {byte, sizeof(byte)};

	for (unsigned round = 0; round < 50; round++) {
		memset(byte, (int)round + 1, sizeof(byte));
		submit(b, &before, BLOCK_WRITE, 0, sizeof(byte), &one, 1, false);
		block_gather(b);
		for (unsigned i = 0; i < N; i++) {
			iov[i] = (struct iovec){buf[i], 4096};
			submit(b, &ops[i], i % 10 == 3 ? BLOCK_WRITE : BLOCK_READ, (i + 1) * 4096,
			       4096, &iov[i], 1, i == 13);
		}
		if (round % 5 == 4)
			block_drain(b);
		block_gathered(b);
		wait_op(f, &before);
		for (unsigned i = 0; i < N; i++) {
			wait_op(f, &ops[i]);
			assert_int_equal(ops[i].result, 0);
		}
		assert_int_equal(run(f, b, BLOCK_READ, 0, buf[0], 4096, false), 0);
		assert_memory_equal(buf[0], byte, sizeof(byte));
	}
	block_close(b);
}

static void test_truncated_live(void **state)
{
	struct fixture *f = *state;
	struct block *b = open_image(f, NULL);
	static uint8_t buf[8192];

	assert_int_equal(truncate(f->image, 4096), 0);
	assert_int_equal(run(f, b, BLOCK_READ, 0, buf, 4096, false), 0);
	assert_int_equal(run(f, b, BLOCK_READ, 4096, buf, 512, false), -EIO);
	assert_int_equal(run(f, b, BLOCK_READ, 0, buf, 8192, false), -EIO);
	assert_int_equal(run(f, b, BLOCK_WRITE, 8192, buf, 512, false), 0); /* grows again */
	assert_int_equal(run(f, b, BLOCK_READ, 0, buf, 8192, false), 0);
	block_close(b);
}

static void test_discard_frees(void **state)
{
	struct fixture *f = *state;
	struct block *b = open_image(f, NULL);
	uint8_t *buf = malloc(IMAGE_SIZE);
	struct stat before, after;

	if (!block_can_discard(b)) {
		block_close(b);
		print_message("skipped: this file system cannot punch holes\n");
		skip();
	}
	memset(buf, 0xee, IMAGE_SIZE);
	assert_int_equal(run(f, b, BLOCK_WRITE, 0, buf, IMAGE_SIZE, true), 0);
	assert_int_equal(stat(f->image, &before), 0);
	assert_int_equal(run(f, b, BLOCK_DISCARD, 0, NULL, IMAGE_SIZE / 2, false), 0);
	assert_int_equal(run(f, b, BLOCK_FLUSH, 0, NULL, 0, false), 0);
	assert_int_equal(stat(f->image, &after), 0);
	assert_int_equal(after.st_size, IMAGE_SIZE);
	assert_true(after.st_blocks * 512 <= before.st_blocks * 512 - (blkcnt_t)IMAGE_SIZE / 2);
	assert_int_equal(run(f, b, BLOCK_READ, IMAGE_SIZE / 2 - 512, buf, 1024, false), 0);
	assert_int_equal(buf[511], 0);
	assert_int_equal(buf[512], 0xee);
	block_close(b);
	free(buf);
}

struct foreign {
	struct op op;
	pthread_mutex_t *outer;
	pthread_t caller;
	bool locked;
};

static void foreign_done(struct block_req *req, int result)
{
	struct foreign *x = CONTAINER_OF(req, struct foreign, op.req);

	x->caller = pthread_self();
	x->locked = pthread_mutex_trylock(x->outer) == EBUSY;
	x->op.result = result;
	x->op.done = true;
}

static bool is_done(struct foreign *x)
{
	bool done;

	pthread_mutex_lock(x->outer);
	done = x->op.done;
	pthread_mutex_unlock(x->outer);
	return done;
}

/* Large writes end on the thread that wrote them, with the lock; small ones and those that find the
 * lock taken on the loop's. Closing meanwhile waits for all. */
static void test_done_elsewhere(void **state)
{
	enum { BIG = 128 * 1024, TURNS = 100 };
	struct fixture *f = *state;
	pthread_mutex_t outer = PTHREAD_MUTEX_INITIALIZER;
	uint8_t *buf = xcalloc(1, BIG);
	struct iovec iov = {buf, BIG};
	struct foreign x, last[4];
	ns_t end = host_now_ns() + 60 * NS_PER_SEC;
	unsigned elsewhere = 0;
	struct block *b;

	loop_free(f->loop);
	assert_int_equal(loop_new(&outer, &f->loop, NULL), 0);
	pthread_mutex_lock(&outer);
	b = open_image(f, NULL);
	pthread_mutex_unlock(&outer);
	for (unsigned i = 0; i < TURNS || (f->aio != BLOCK_AIO_URING && !elsewhere); i++) {
		bool small = i % 10 == 9;

		memset(buf, (int)i, BIG);
		x = (struct foreign){.outer = &outer};
		iov.iov_len = small ? SECTOR : BIG;
		x.op.req = (struct block_req){.op = BLOCK_WRITE,
					      .off = i % 8 * (uint64_t)BIG,
					      .len = iov.iov_len,
					      .iov = &iov,
					      .niov = 1,
					      .done = foreign_done};
		pthread_mutex_lock(&outer);
		block_submit(b, &x.op.req);
		pthread_mutex_unlock(&outer);
		for (unsigned k = 0; !small && k < 50 && !is_done(&x); k++)
			usleep(200);
		while (!is_done(&x))
			assert_int_equal(loop_run_once(f->loop, 2), 0);
		assert_int_equal(x.op.result, 0);
		assert_true(x.locked);
		if (small)
			assert_true(pthread_equal(x.caller, pthread_self()));
		elsewhere += !pthread_equal(x.caller, pthread_self());
		assert_true(i < TURNS || host_now_ns() < end);
	}
	iov.iov_len = BIG;
	pthread_mutex_lock(&outer);
	for (unsigned i = 0; i < ARRAY_SIZE(last); i++) {
		last[i] = (struct foreign){.outer = &outer};
		last[i].op.req = (struct block_req){.op = BLOCK_WRITE,
						    .off = i * (uint64_t)BIG,
						    .len = BIG,
						    .iov = &iov,
						    .niov = 1,
						    .done = foreign_done};
		block_submit(b, &last[i].op.req);
	}
	block_close(b);
	pthread_mutex_unlock(&outer);
	for (unsigned i = 0; i < ARRAY_SIZE(last); i++)
		assert_true(last[i].op.done && last[i].op.result == 0);
	free(buf);
}

static void submit_write(struct block *b, struct foreign *x, struct iovec *iov, uint64_t off)
{
	x->op.done = false;
	x->op.req = (struct block_req){.op = BLOCK_WRITE,
				       .off = off,
				       .len = iov->iov_len,
				       .iov = iov,
				       .niov = 1,
				       .done = foreign_done};
	pthread_mutex_lock(x->outer);
	block_submit(b, &x->op.req);
	pthread_mutex_unlock(x->outer);
}

/* Writes that this thread helps with, until @times of them in a row: what it submits now waits for
 * help. Bounded by wall-clock time only, as a write that waits for the disk stops help for long. */
static void earn_trust(struct fixture *f, struct block *b, struct foreign *x, struct iovec *iov,
		       unsigned times)
{
	ns_t end = host_now_ns() + 300 * NS_PER_SEC;

	for (unsigned n = 0; n < times;) {
		submit_write(b, x, iov, 0);
		if (loop_run_idle(f->loop)) {
			n++;
			while (!is_done(x)) /* a thread was at the loop's work */
				assert_int_equal(loop_run_once(f->loop, 2), 0);
			assert_true(x->locked);
		}
		while (!is_done(x))
			assert_int_equal(loop_run_once(f->loop, 2), 0);
		assert_int_equal(x->op.result, 0);
		assert_true(host_now_ns() < end);
	}
}

/* The fixture's image in memory: one write that waits for a busy disk keeps help away for a time a
 * thousand times as long. */
static bool in_memory(struct fixture *f)
{
	char dir[] = "/dev/shm/bothy-block-XXXXXX";

	if (!mkdtemp(dir)) {
		print_message("skipped: /dev/shm: %s\n", strerror(errno));
		return false;
	}
	assert_int_equal(unlink(f->image), 0);
	assert_int_equal(rmdir(f->dir), 0);
	snprintf(f->dir, sizeof(f->dir), "%s", dir);
	snprintf(f->image, sizeof(f->image), "%s/disk.img", f->dir);
	make_file(f->image, IMAGE_SIZE);
	return true;
}

/* A thread that has nothing to do helps with writes; what nobody helps with ends all the same, and
 * so does what waits for help when the image is drained. */
static void test_help(void **state)
{
	enum { BIG = 128 * 1024 };
	struct fixture *f = *state;
	pthread_mutex_t outer = PTHREAD_MUTEX_INITIALIZER;
	struct foreign x = {.outer = &outer};
	uint8_t *buf = xcalloc(1, BIG), *model = xcalloc(1, IMAGE_SIZE);
	struct iovec iov = {buf, BIG};
	uint64_t rng = 5;
	struct block *b;

	if (f->aio == BLOCK_AIO_URING || !in_memory(f)) {
		free(buf);
		free(model);
		skip();
	}
	fill_image(f->image, model, &rng);
	loop_free(f->loop);
	assert_int_equal(loop_new(&outer, &f->loop, NULL), 0);
	pthread_mutex_lock(&outer);
	b = open_image(f, NULL);
	pthread_mutex_unlock(&outer);
	memset(buf, 1, BIG);
	memset(model, 1, BIG);
	earn_trust(f, b, &x, &iov, 100);
	memset(buf, 2, BIG);
	memset(model + BIG, 2, BIG);
	submit_write(b, &x, &iov, BIG);
	while (!is_done(&x)) /* who ends it elsewhere need not wake this loop */
		assert_int_equal(loop_run_once(f->loop, 2), 0);
	assert_int_equal(x.op.result, 0);
	memset(buf, 1, BIG);
	earn_trust(f, b, &x, &iov, 200);
	memset(buf, 3, BIG);
	memset(model + 2 * BIG, 3, BIG);
	submit_write(b, &x, &iov, 2 * BIG);
	pthread_mutex_lock(&outer);
	block_close(b);
	assert_true(x.op.done && x.op.result == 0);
	assert_false(loop_run_idle(f->loop));
	pthread_mutex_unlock(&outer);
	check_file(f->image, model);
	free(buf);
	free(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_model),
		BOTH(test_model_shim),
		BOTH(test_model_overlay),
		ONCE(test_open_errors),
		ONCE(test_lock_matrix),
		ONCE(test_lock_qemu_refused),
		ONCE(test_lock_qemu_has_it),
		ONCE(test_lock_qemu_machine),
		BOTH(test_validation),
		BOTH(test_read_only),
		BOTH(test_many_iovecs),
		BOTH(test_many_requests),
		BOTH(test_gather),
		BOTH(test_truncated_live),
		BOTH(test_discard_frees),
		BOTH(test_done_elsewhere),
		BOTH(test_help),
	};

	return cmocka_run_group_tests_name("block", tests, NULL, NULL);
}
