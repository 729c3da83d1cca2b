/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each promise of block/block.h under faults, made by the shim or by a full file system: no space
 * on the host, the k-th operation failing for every k, a failed flush, and the order of flushes.
 */
#include "block/shim.h"

#include <sched.h>
#include <sys/mount.h>

#include "block_fixture.h"

/* --- faults --- */

static void on_enospc(void *ctx, struct block *b)
{
	++*(int *)ctx;
}

static void test_enospc_shim(void **state)
{
	struct fixture *f = *state;
	struct block *b = open_image(f, "fail op=write at=2 times=3 err=ENOSPC");
	uint8_t buf[4][512], back[512];
	struct block_counters n;
	struct op ops[4];
	struct iovec iov[4];
	int told = 0;

	block_set_enospc(b, on_enospc, &told);
	for (unsigned i = 0; i < 4; i++) {
		memset(buf[i], 0x10 + (int)i, 512);
		iov[i] = (struct iovec){buf[i], 512};
		submit(b, &ops[i], BLOCK_WRITE, i * 512, 512, &iov[i], 1, i == 3);
	}
	turn(f, 20);
	/* 1 went through, 2 to 4 wait; the guest sees no error and the VM is told once. */
	assert_true(ops[0].done);
	assert_false(ops[1].done || ops[2].done || ops[3].done);
	assert_int_equal(told, 1);
	block_get_counters(b, &n);
	assert_int_equal(n.parked, 3);
	assert_int_equal(n.errors, 0);
	/* A drain ends although they wait; a flush does not wait for them either. */
	block_drain(b);
	assert_int_equal(run(f, b, BLOCK_FLUSH, 0, NULL, 0, false), 0);
	assert_false(ops[1].done || ops[2].done || ops[3].done);
	block_retry(b);
	block_drain(b);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(ops[i].done);
		assert_int_equal(ops[i].result, 0);
		assert_int_equal(run(f, b, BLOCK_READ, i * 512, back, 512, false), 0);
		assert_memory_equal(back, buf[i], 512);
	}
	assert_int_equal(told, 1);
	block_close(b);
}

static void test_enospc_again_and_abort(void **state)
{
	struct fixture *f = *state;
	struct block *b = open_image(f, "fail op=write at=1 times=0 err=EDQUOT");
	uint8_t buf[512] = {0};
	struct iovec iov = {buf, 512};
	struct op op[2];
	int told = 0;

	block_set_enospc(b, on_enospc, &told);
	submit(b, &op[0], BLOCK_WRITE, 0, 512, &iov, 1, false);
	block_drain(b);
	assert_int_equal(told, 1);
	block_retry(b);
	block_drain(b);
	assert_int_equal(told, 2); /* still none: told again */
	assert_false(op[0].done);
	block_abort_parked(b);
	assert_true(op[0].done);
	assert_int_equal(op[0].result, -EIO);
	/* Closing ends what still waits. */
	submit(b, &op[1], BLOCK_WRITE, 0, 512, &iov, 1, false);
	block_close(b);
	assert_true(op[1].done);
	assert_int_equal(op[1].result, -EIO);
}

/* A real file system of 1 MiB, filled, then given room again. */
static void test_enospc_real(void **state)
{
	struct fixture *f = *state;
	char *mnt = xasprintf("%s/mnt", f->dir), *ballast = xasprintf("%s/mnt/ballast", f->dir);
	uint8_t *buf = malloc(IMAGE_SIZE), *back = malloc(IMAGE_SIZE);
	struct iovec iov = {buf, 512 * KIB};
	struct block *b;
	struct op op;
	int told = 0, fd;

	assert_int_equal(mkdir(mnt, 0700), 0);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", mnt, "tmpfs", 0, "size=1m") < 0) {
		print_message("skipped: cannot mount a tmpfs: %s\n", strerror(errno));
		skip();
	}
	snprintf(f->image, sizeof(f->image), "%s/disk.img", mnt);
	make_file(f->image, 4 * MIB);
	fd = open(ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	memset(buf, 0x55, IMAGE_SIZE);
	assert_int_equal(write(fd, buf, 700 * KIB), 700 * KIB);
	b = open_image(f, NULL);
	block_set_enospc(b, on_enospc, &told);
	for (unsigned i = 0; i < IMAGE_SIZE; i++)
		buf[i] = (uint8_t)(i * 7 + i / 4096);
	submit(b, &op, BLOCK_WRITE, 4096, 512 * KIB, &iov, 1, true);
	for (int i = 0; i < 200 && !told; i++)
		turn(f, 1);
	assert_int_equal(told, 1);
	assert_false(op.done);
	assert_int_equal(ftruncate(fd, 0), 0);
	close(fd);
	block_retry(b);
	wait_op(f, &op);
	assert_int_equal(op.result, 0);
	assert_int_equal(run(f, b, BLOCK_READ, 4096, back, 512 * KIB, false), 0);
	assert_memory_equal(buf, back, 512 * KIB);
	block_close(b);
	assert_int_equal(umount(mnt), 0);
	free(buf);
	free(back);
	free(mnt);
	free(ballast);
}

static void test_sticky_flush(void **state)
{
	static const char *const scripts[] = {
		"fail op=flush at=2 err=EIO",
		"fail op=flush at=2 err=ENOSPC",
		"fail op=flush at=2 err=EIO when=after",
	};
	struct fixture *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(scripts); i++) {
		struct block *b = open_image(f, scripts[i]);
		uint8_t buf[512] = {1};

		assert_int_equal(run(f, b, BLOCK_FLUSH, 0, NULL, 0, false), 0);
		assert_int_equal(run(f, b, BLOCK_WRITE, 0, buf, 512, false), 0);
		assert_int_equal(run(f, b, BLOCK_FLUSH, 0, NULL, 0, false), -EIO);
		/* Only the second fails at the driver; every later one must fail all the same. */
		for (unsigned k = 0; k < 3; k++)
			assert_int_equal(run(f, b, BLOCK_FLUSH, 0, NULL, 0, false), -EIO);
		assert_int_equal(run(f, b, BLOCK_WRITE, 0, buf, 512, true), -EIO);
		assert_int_equal(run(f, b, BLOCK_WRITE, 0, buf, 512, false), 0);
		assert_int_equal(run(f, b, BLOCK_READ, 0, buf, 512, false), 0);
		block_close(b);
	}
}

static void test_unsafe(void **state)
{
	struct fixture *f = *state;
	struct block_options opt = {
		.path = f->image, .format = "raw", .unsafe = true, .shim = "fail op=flush"};
	uint8_t buf[512] = {1};
	struct block *b = NULL;

	assert_int_equal(block_open(f->loop, &opt, &b, NULL), 0);
	assert_int_equal(run(f, b, BLOCK_WRITE, 0, buf, 512, true), 0);
	assert_int_equal(run(f, b, BLOCK_FLUSH, 0, NULL, 0, false), 0);
	block_close(b);
}

/* A fixed workload of K operations; for each k, error and time of failure, fail the k-th. */
static const struct {
	enum block_op op;
	uint64_t off, len;
	bool fua;
} workload[] = {
	{BLOCK_WRITE, 0, 4096, false},      {BLOCK_WRITE, 8192, 512, true},
	{BLOCK_READ, 0, 4096, false},       {BLOCK_ZEROES, 1024, 1024, false},
	{BLOCK_DISCARD, 8192, 4096, false}, {BLOCK_FLUSH, 0, 0, false},
	{BLOCK_WRITE, 4096, 8192, false},   {BLOCK_READ, 4096, 8192, false},
	{BLOCK_WRITE, 512, 512, true},      {BLOCK_FLUSH, 0, 0, false},
};

/* Operations as the shim counts them: a FUA write is two. Is the k-th one a flush? */
static unsigned shim_ops(unsigned k, bool *ret_is_flush)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(workload); i++) {
		n++;
		if (n == k)
			*ret_is_flush = workload[i].op == BLOCK_FLUSH;
		if (workload[i].fua && ++n == k)
			*ret_is_flush = true;
	}
	return n;
}

static void fail_one(struct fixture *f, unsigned k, const char *error, bool after)
{
	uint8_t buf[8192], model[16384] = {0}, unsure[16384] = {0}, back[16384];
	char *script = xasprintf("fail at=%u err=%s%s", k, error, after ? " when=after" : "");
	unsigned failures = 0, parked = 0;
	bool flush_dead = false, at_flush = false;
	struct block *b;

	shim_ops(k, &at_flush);
	make_file(f->image, IMAGE_SIZE);
	b = open_image(f, script);
	for (unsigned i = 0; i < ARRAY_SIZE(workload); i++) {
		uint64_t off = workload[i].off, len = workload[i].len;
		bool data = workload[i].op == BLOCK_READ || workload[i].op == BLOCK_WRITE;
		bool syncs = workload[i].op == BLOCK_FLUSH || workload[i].fua;
		struct iovec iov = {buf, len};
		struct op op;

		memset(buf, (int)(0x40 + i), sizeof(buf));
		submit(b, &op, workload[i].op, off, len, &iov, data ? 1 : 0, workload[i].fua);
		block_drain(b);
		if (!op.done) { /* no space: waits; then goes through */
			parked++;
			block_retry(b);
			block_drain(b);
		}
		assert_true(op.done);
		failures += op.result != 0;
		assert_true(op.result == 0 || op.result == -EIO);
		if (flush_dead && syncs)
			assert_int_equal(op.result, -EIO); /* never a success after a failure */
		else if (op.result < 0 && syncs && at_flush)
			flush_dead = true;
		if (workload[i].op == BLOCK_READ && op.result == 0) {
			for (uint64_t p = 0; p < len; p++)
				assert_true(unsure[off + p] || buf[p] == model[off + p]);
		} else if (workload[i].op != BLOCK_READ && workload[i].op != BLOCK_FLUSH) {
			memset(unsure + off, op.result != 0 || workload[i].op == BLOCK_DISCARD,
			       len);
			memset(model + off, workload[i].op == BLOCK_WRITE ? (int)(0x40 + i) : 0,
			       len);
		}
	}
	/* Exactly the failure asked for showed, unless it was a hint (discard). */
	assert_true(failures + parked >= 1 || k == 6);
	assert_int_equal(run(f, b, BLOCK_READ, 0, back, sizeof(back), false), 0);
	for (unsigned p = 0; p < sizeof(back); p++)
		assert_true(unsure[p] || back[p] == model[p]);
	block_close(b);
	free(script);
}

static void test_fail_kth(void **state)
{
	static const char *const errors[] = {"EIO", "ENOSPC"};
	bool ignored;
	unsigned n = shim_ops(0, &ignored);

	for (unsigned k = 1; k <= n; k++) {
		for (unsigned e = 0; e < ARRAY_SIZE(errors); e++) {
			fail_one(*state, k, errors[e], false);
			fail_one(*state, k, errors[e], true);
		}
	}
}

/* --- order --- */

static unsigned read_log(const char *path, struct shim_record *recs, unsigned max)
{
	FILE *file = fopen(path, "rb");
	unsigned n = 0;

	assert_non_null(file);
	while (n < max && fread(&recs[n], sizeof(recs[n]), 1, file) == 1) {
		assert_int_equal(recs[n].magic, SHIM_MAGIC);
		if (recs[n].event == SHIM_ISSUE && recs[n].op == BLOCK_WRITE)
			fseek(file, (long)recs[n].len, SEEK_CUR);
		n++;
	}
	fclose(file);
	return n;
}

/* Flushes that wait while one runs share the next; none starts before it was asked for. */
static void test_flush_merge(void **state)
{
	struct fixture *f = *state;
	char *log = xasprintf("%s/log", f->dir);
	char *script = xasprintf("log file=%s; break name=F op=flush at=1", log);
	struct block *b = open_image(f, script);
	struct shim_record recs[32];
	uint8_t buf[512] = {7};
	struct iovec iov = {buf, 512};
	struct op flush[3], write;
	unsigned n, issued = 0;

	submit(b, &flush[0], BLOCK_FLUSH, 0, 0, NULL, 0, false);
	turn(f, 2);
	assert_true(block_shim_stopped(b, "F"));
	submit(b, &write, BLOCK_WRITE, 0, 512, &iov, 1, false);
	wait_op(f, &write); /* an fdatasync() in progress holds no write up */
	submit(b, &flush[1], BLOCK_FLUSH, 0, 0, NULL, 0, false);
	submit(b, &flush[2], BLOCK_FLUSH, 0, 0, NULL, 0, false);
	turn(f, 5);
	assert_false(flush[0].done || flush[1].done || flush[2].done);
	block_shim_resume(b, "F");
	wait_op(f, &flush[1]);
	wait_op(f, &flush[2]);
	assert_true(flush[0].done);
	block_close(b);
	n = read_log(log, recs, ARRAY_SIZE(recs));
	for (unsigned i = 0; i < n; i++)
		issued += recs[i].op == BLOCK_FLUSH && recs[i].event == SHIM_ISSUE;
	assert_int_equal(issued, 2);
	free(script);
	free(log);
}

/* FUA: the fdatasync() starts after the write's own result, and done() comes after both. */
static void test_fua_order(void **state)
{
	struct fixture *f = *state;
	char *log = xasprintf("%s/log", f->dir);
	char *script = xasprintf("log file=%s; break name=F op=flush at=1", log);
	struct block *b = open_image(f, script);
	struct shim_record recs[8];
	uint8_t buf[512] = {7};
	struct iovec iov = {buf, 512};
	struct op write;

	submit(b, &write, BLOCK_WRITE, 0, 512, &iov, 1, true);
	for (int i = 0; i < 500 && !block_shim_stopped(b, "F"); i++)
		turn(f, 1);
	assert_true(block_shim_stopped(b, "F"));
	assert_false(write.done);
	block_shim_resume(b, "F");
	wait_op(f, &write);
	assert_int_equal(write.result, 0);
	block_close(b);
	assert_int_equal(read_log(log, recs, 8), 4);
	assert_int_equal(recs[0].op, BLOCK_WRITE);
	assert_int_equal(recs[1].event, SHIM_RESULT);
	assert_int_equal(recs[1].op, BLOCK_WRITE);
	assert_int_equal(recs[2].op, BLOCK_FLUSH);
	assert_int_equal(recs[3].event, SHIM_RESULT);
	free(script);
	free(log);
}

/* A write that is still on its way does not hold a flush up, and is not promised by it. */
static void test_flush_passes_write(void **state)
{
	struct fixture *f = *state;
	struct block *b = open_image(f, "break name=W op=write at=1");
	uint8_t buf[512] = {7}, back[512];
	struct iovec iov = {buf, 512};
	struct op write;

	submit(b, &write, BLOCK_WRITE, 0, 512, &iov, 1, false);
	assert_int_equal(run(f, b, BLOCK_FLUSH, 0, NULL, 0, false), 0);
	assert_false(write.done);
	assert_int_equal(run(f, b, BLOCK_READ, 0, back, 512, false), 0);
	assert_int_equal(back[0], 0);
	block_drain(b); /* lets go what is held */
	assert_true(write.done);
	assert_int_equal(run(f, b, BLOCK_READ, 0, back, 512, false), 0);
	assert_int_equal(back[0], 7);
	block_close(b);
}

/* done() may submit again and may drain. */
struct chain {
	struct op op;
	struct block *b;
	uint8_t buf[512];
	struct iovec iov;
	int left;
};

static void on_chain(struct block_req *req, int result)
{
	struct chain *c = req->ctx;

	assert_int_equal(result, 0);
	if (--c->left == 0)
		return;
	block_submit(c->b, req);
	if (c->left == 5)
		block_drain(c->b);
}

static void test_done_submits(void **state)
{
	struct fixture *f = *state;
	struct chain c = {.b = open_image(f, NULL), .left = 20};

	c.iov = (struct iovec){c.buf, 512};
	c.op.req = (struct block_req){.op = BLOCK_WRITE,
				      .len = 512,
				      .iov = &c.iov,
				      .niov = 1,
				      .done = on_chain,
				      .ctx = &c};
	block_submit(c.b, &c.op.req);
	for (int i = 0; i < 1000 && c.left > 0; i++)
		turn(f, 1);
	assert_int_equal(c.left, 0);
	block_close(c.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_enospc_shim),
		BOTH(test_enospc_again_and_abort),
		BOTH(test_enospc_real),
		BOTH(test_sticky_flush),
		ONCE(test_unsafe),
		BOTH(test_fail_kth),
		BOTH(test_flush_merge),
		BOTH(test_fua_order),
		BOTH(test_flush_passes_write),
		BOTH(test_done_submits),
	};

	return cmocka_run_group_tests_name("block_fault", tests, NULL, NULL);
}
