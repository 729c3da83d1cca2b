/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crash safety of the block layer, judged by a ledger (ledger.h):
 *
 * sigkill    a writer process is killed at random moments, again and again on the same image. What
 *            the process had in memory is lost, the host's page cache stays.
 * kill_op    the shim kills the writer at the k-th operation, for each k, before and after it.
 * powerloss  the shim logs what reaches the driver and when the driver reports. From each moment of
 *            that log, images are made as a power cut could leave them: what a completed flush
 *            covers, plus, sector by sector, any version written since.
 *
 * BOTHY_CRASH_ROUNDS (30): kills of sigkill. BOTHY_CRASH_MS (100): longest life of a writer.
 * BOTHY_CRASH_IMAGES (20000): images of each powerloss run. BOTHY_SEED.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "block/shim.h"
#include "ledger.h"

static char dir[64], image[96], log_path[96];

static unsigned env_number(const char *name, unsigned otherwise)
{
	const char *v = getenv(name);

	return v && *v ? (unsigned)strtoul(v, NULL, 10) : otherwise;
}

static void make_image(void)
{
	int fd = open(image, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, LEDGER_SECTORS * LEDGER_SECTOR), 0);
	close(fd);
}

static int open_block(struct loop *loop, enum block_aio aio, const char *shim, struct block **ret_b)
{
	struct block_options opt = {.path = image, .format = "raw", .aio = aio, .shim = shim};
	struct error err = {0};
	int r = block_open(loop, &opt, ret_b, &err);

	if (r < 0)
		fprintf(stderr, "%s\n", err.text);
	return r;
}

/* --- killed writers --- */

static void report_to_pipe(void *ctx, const struct ledger_record *rec, unsigned n)
{
	int fd = *(int *)ctx;

	/* Whole records only: a write of at most PIPE_BUF bytes is atomic (POSIX, write()). */
	while (n > 0) {
		unsigned k = MIN(n, 4096u / (unsigned)sizeof(*rec));

		if (write(fd, rec, k * sizeof(*rec)) != (ssize_t)(k * sizeof(*rec)))
			_exit(3);
		rec += k;
		n -= k;
	}
}

static _Noreturn void writer_process(int pipe_fd, enum block_aio aio, const char *shim,
				     uint64_t gen, uint64_t seed, uint64_t ops)
{
	struct ledger_hooks hooks = {.report = report_to_pipe, .ctx = &pipe_fd};
	struct loop *loop;
	struct block *b;

	if (loop_new(NULL, &loop, NULL) < 0 || open_block(loop, aio, shim, &b) < 0)
		_exit(2);
	ledger_writer_run(ledger_writer_new(loop, b, gen, seed, &hooks), ops);
	_exit(0);
}

/* Take records until the writer has gone; it is killed at @deadline. Returns their number. */
static unsigned take_records(struct ledger_judge *j, int fd, pid_t pid, ns_t deadline)
{
	struct ledger_record rec[170];
	bool killed = false;
	unsigned n = 0;

	for (;;) {
		struct pollfd pfd = {.fd = fd, .events = POLLIN};
		ns_t now = host_now_ns();
		ssize_t r;

		if (!killed && now >= deadline) {
			kill(pid, SIGKILL);
			killed = true;
		}
		if (poll(&pfd, 1, killed ? -1 : (int)((deadline - now) / NS_PER_MS) + 1) == 0)
			continue;
		r = read(fd, rec, sizeof(rec));
		if (r <= 0)
			return n;
		assert_int_equal((size_t)r % sizeof(rec[0]), 0);
		for (size_t i = 0; i < (size_t)r / sizeof(rec[0]); i++, n++)
			ledger_judge_take(j, &rec[i]);
	}
}

static void judge_image(struct ledger_judge *j)
{
	struct block_options opt = {.path = image, .format = "raw", .read_only = true};
	uint8_t data[LEDGER_SECTOR];
	int fd = open(image, O_RDONLY | O_CLOEXEC), bad = 0;
	struct loop *loop;
	struct block *b;

	/* With the lock: the kernel may still be ending requests of a killed writer. */
	assert_int_equal(loop_new(NULL, &loop, NULL), 0);
	assert_int_equal(block_open(loop, &opt, &b, NULL), 0);
	assert_true(fd >= 0);
	for (unsigned s = 0; s < LEDGER_SECTORS; s++) {
		assert_int_equal(pread(fd, data, sizeof(data), s * LEDGER_SECTOR), sizeof(data));
		bad += !ledger_judge_sector(j, s, data);
		ledger_judge_settle(j, s, data);
	}
	close(fd);
	block_close(b);
	loop_free(loop);
	assert_int_equal(bad, 0);
}

/* One writer, from start to its death. Returns the number of ledger records. */
static unsigned one_life(struct ledger_judge *j, enum block_aio aio, const char *shim,
			 uint64_t seed, uint64_t ops, unsigned life_ms)
{
	ns_t deadline = host_now_ns() + life_ms * NS_PER_MS;
	int fds[2], status;
	unsigned n;
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0)
		writer_process(fds[1], aio, shim, j->max_gen + 1, seed, ops);
	close(fds[1]);
	n = take_records(j, fds[0], pid, deadline);
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status))
		assert_int_equal(WEXITSTATUS(status), 0);
	judge_image(j);
	return n;
}

static enum block_aio pick_aio(unsigned i)
{
	return i % 2 ? BLOCK_AIO_THREADS : BLOCK_AIO_AUTO;
}

static void test_sigkill(void **state)
{
	unsigned rounds = env_number("BOTHY_CRASH_ROUNDS", 30);
	unsigned max_ms = env_number("BOTHY_CRASH_MS", 100);
	uint64_t seed = env_number("BOTHY_SEED", 4711), records = 0;
	struct ledger_judge *j = xnew(struct ledger_judge);

	ledger_judge_init(j);
	make_image();
	srand((unsigned)seed);
	for (unsigned i = 0; i < rounds; i++) {
		unsigned ms = 1 + (unsigned)rand() % max_ms;

		records += one_life(j, pick_aio(i), NULL, seed + i, UINT64_MAX, ms);
	}
	print_message("%u kills, %llu ledger records, 0 lost\n", rounds,
		      (unsigned long long)records);
	assert_true(records > rounds);
	free(j);
}

static void test_kill_op(void **state)
{
	struct ledger_judge *j = xnew(struct ledger_judge);

	ledger_judge_init(j);
	make_image();
	for (unsigned k = 1; k <= 40; k++) {
		for (unsigned after = 0; after < 2; after++) {
			char shim[96];

			snprintf(shim, sizeof(shim), "reorder window=4 seed=%u; kill at=%u%s", k, k,
				 after ? " when=after" : "");
			one_life(j, pick_aio(k), shim, k, 200, 20000);
		}
	}
	free(j);
}

/* --- power cuts --- */

/* What the guest saw, with the length of the shim's log at that moment. */
struct seen {
	uint64_t log_bytes;
	struct ledger_record rec;
};

struct history {
	int log_fd;
	struct seen *seen;
	size_t n, room;
};

static void report_to_history(void *ctx, const struct ledger_record *rec, unsigned n)
{
	struct history *h = ctx;
	struct stat st;

	assert_int_equal(fstat(h->log_fd, &st), 0);
	while (n-- > 0) {
		if (h->n == h->room) {
			h->room = h->room ? h->room * 2 : 1024;
			h->seen = xrealloc(h->seen, h->room, sizeof(*h->seen));
		}
		h->seen[h->n++] = (struct seen){(uint64_t)st.st_size, *rec++};
	}
}

/* A version of a sector on its way to the platter. */
struct version {
	uint64_t seq;
	bool complete;
	bool flushing; /* complete when the running flush started */
	uint8_t data[LEDGER_SECTOR];
};

struct platter {
	struct {
		struct version v[64]; /* v[0] is durable; the others may be there or not */
		unsigned n;
	} s[LEDGER_SECTORS];
};

static void platter_issue(struct platter *p, const struct shim_record *rec, const uint8_t *data)
{
	unsigned first = (unsigned)(rec->off / LEDGER_SECTOR);

	for (unsigned i = 0; i < rec->len / LEDGER_SECTOR; i++) {
		struct version *v = &p->s[first + i].v[p->s[first + i].n];

		assert_in_range(p->s[first + i].n, 1, 63);
		p->s[first + i].n++;
		memset(v, 0, sizeof(*v));
		v->seq = rec->seq;
		if (rec->op == BLOCK_WRITE)
			memcpy(v->data, data + i * LEDGER_SECTOR, LEDGER_SECTOR);
	}
}

static void platter_result(struct platter *p, const struct shim_record *rec)
{
	unsigned first = (unsigned)(rec->off / LEDGER_SECTOR);

	assert_int_equal(rec->error, 0);
	for (unsigned s = first; s < first + rec->len / LEDGER_SECTOR; s++) {
		for (unsigned i = 1; i < p->s[s].n; i++)
			p->s[s].v[i].complete |= p->s[s].v[i].seq == rec->seq;
	}
}

static void platter_flush(struct platter *p, bool finished)
{
	for (unsigned s = 0; s < LEDGER_SECTORS; s++) {
		unsigned last = 0;

		for (unsigned i = 1; i < p->s[s].n; i++) {
			if (!finished)
				p->s[s].v[i].flushing = p->s[s].v[i].complete;
			else if (p->s[s].v[i].flushing)
				last = i;
		}
		if (last) {
			p->s[s].n -= last;
			memmove(&p->s[s].v[0], &p->s[s].v[last],
				p->s[s].n * sizeof(struct version));
		}
	}
}

/* Cut the power now: may each sector hold what it would then hold? */
static void power_cut(const struct platter *p, const struct ledger_judge *j, unsigned images)
{
	for (unsigned k = 0; k < images; k++) {
		for (unsigned s = 0; s < LEDGER_SECTORS; s++) {
			/* The first image is the worst: nothing but what was flushed. */
			unsigned pick = k ? (unsigned)rand() % p->s[s].n : 0;

			if (p->s[s].n > 1 || k == 0)
				assert_true(ledger_judge_sector(j, s, p->s[s].v[pick].data));
		}
	}
}

static unsigned replay(const struct history *h, unsigned images)
{
	struct ledger_judge *j = xnew(struct ledger_judge);
	struct platter *p = xnew(struct platter);
	uint8_t data[LEDGER_MAX_OP * LEDGER_SECTOR];
	FILE *log = fopen(log_path, "rb");
	struct shim_record rec;
	unsigned made = 0, records = 0, every;
	size_t next = 0;

	assert_non_null(log);
	while (fread(&rec, sizeof(rec), 1, log) == 1) {
		records++;
		if (rec.event == SHIM_ISSUE && rec.op == BLOCK_WRITE)
			fseek(log, (long)rec.len, SEEK_CUR);
	}
	rewind(log);
	every = MAX(1u, images / (records + 1));
	ledger_judge_init(j);
	for (unsigned s = 0; s < LEDGER_SECTORS; s++)
		p->s[s].n = 1;
	while (fread(&rec, sizeof(rec), 1, log) == 1) {
		assert_int_equal(rec.magic, SHIM_MAGIC);
		if (rec.event == SHIM_ISSUE && rec.op == BLOCK_WRITE)
			assert_int_equal(fread(data, 1, rec.len, log), rec.len);
		/* All that the guest saw before this record was on its way. */
		while (next < h->n && h->seen[next].log_bytes < (uint64_t)ftell(log)) {
			ledger_judge_take(j, &h->seen[next++].rec);
		}
		power_cut(p, j, every);
		made += every;
		if (rec.op == BLOCK_FLUSH)
			platter_flush(p, rec.event == SHIM_RESULT);
		else if (rec.event == SHIM_ISSUE)
			platter_issue(p, &rec, data);
		else
			platter_result(p, &rec);
	}
	while (next < h->n)
		ledger_judge_take(j, &h->seen[next++].rec);
	power_cut(p, j, every);
	fclose(log);
	free(p);
	free(j);
	return made + every;
}

static void test_powerloss(void **state)
{
	static const char *const faults[] = {
		"",
		"; reorder window=6 seed=3",
		"; delay op=flush ms=1; reorder window=3 seed=5",
		"; short op=write bytes=512",
	};
	unsigned images = env_number("BOTHY_CRASH_IMAGES", 20000);

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(faults); i++) {
		char shim[256];
		struct history h = {0};
		struct ledger_hooks hooks = {.report = report_to_history, .ctx = &h};
		struct ledger_writer *w;
		struct loop *loop;
		struct block *b;
		unsigned made;

		make_image();
		unlink(log_path);
		snprintf(shim, sizeof(shim), "log file=%s%s", log_path, faults[i / 2]);
		assert_int_equal(loop_new(NULL, &loop, NULL), 0);
		assert_int_equal(open_block(loop, pick_aio(i), shim, &b), 0);
		h.log_fd = open(log_path, O_RDONLY | O_CLOEXEC);
		assert_true(h.log_fd >= 0);
		w = ledger_writer_new(loop, b, 1, env_number("BOTHY_SEED", 99) + i, &hooks);
		ledger_writer_run(w, 1500);
		ledger_writer_free(w);
		block_close(b);
		loop_free(loop);
		made = replay(&h, images);
		print_message("%s%s: %zu ledger records, %u images\n", i % 2 ? "threads" : "auto",
			      faults[i / 2], h.n, made);
		close(h.log_fd);
		free(h.seen);
	}
}

static int make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/bothy-crash-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		return -1;
	snprintf(image, sizeof(image), "%s/disk.img", dir);
	snprintf(log_path, sizeof(log_path), "%s/log", dir);
	return 0;
}

static int remove_dir(void **state)
{
	unlink(image);
	unlink(log_path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sigkill),
		cmocka_unit_test(test_kill_op),
		cmocka_unit_test(test_powerloss),
	};

	return cmocka_run_group_tests_name("crash", tests, make_dir, remove_dir);
}
