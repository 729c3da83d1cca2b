/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw images: a regular file or block device whose bytes are the disk's bytes. No contents are ever
 * interpreted, so there is nothing here that an image could attack.
 *
 * Each request becomes a chain of system calls, one at a time: preadv2/pwritev2 until all bytes
 * have moved (short transfers and EINTR continue at the new position); fdatasync for FLUSH;
 * fallocate with FALLOC_FL_PUNCH_HOLE for DISCARD; for ZEROES first FALLOC_FL_ZERO_RANGE, where the
 * file system lacks that FALLOC_FL_PUNCH_HOLE, and where it lacks both, writing zeroes.
 *
 * With an overlay (overlay.h) the image itself is only read: writes go to the overlay's file, and a
 * read is cut where its sectors change from one file to the other, one system call each.
 *
 * A read that meets the end of the file (somebody truncated the live image) is an I/O error.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/log.h"
#include "block/impl.h"
#include "block/lock.h"
#include "block/overlay.h"

#define SECTOR     512u
#define ZERO_CHUNK 65536u /* bytes of the zero buffer, used many times in one call */

/* How far down the list of ways to do ZEROES a request has come (req->stage). */
enum zero_stage { ZERO_RANGE, ZERO_PUNCH, ZERO_WRITE };

/* Where a READ's next call reads (req->stage). */
enum read_stage { READ_IMAGE, READ_OVERLAY };

struct raw {
	int fd;
	struct overlay *overlay;      /* NULL: writes go to fd */
	bool no_zero_range, no_punch; /* learnt from EOPNOTSUPP; loop side only */
	bool told_truncated;
};

static const uint8_t zeroes[ZERO_CHUNK];

/* The iovecs of @req from @skip on, at most @cap bytes (0 = no limit), into the call's window. */
static void fill_window(const struct block_req *req, uint64_t skip, uint64_t cap,
			struct aio_call *call)
{
	int n = 0;

	for (int i = 0; i < req->niov && n < AIO_WINDOW; i++) {
		uint64_t len = req->iov[i].iov_len;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		call->window[n].iov_base = (uint8_t *)req->iov[i].iov_base + skip;
		len -= skip;
		skip = 0;
		if (cap && len >= cap) {
			call->window[n++].iov_len = cap;
			break;
		}
		call->window[n++].iov_len = len;
		if (cap)
			cap -= len;
	}
	call->iov = call->window;
	call->niov = n;
}

static void prepare_zero_write(const struct block_req *req, struct aio_call *call)
{
	uint64_t left = req->len - req->progress;
	int n = 0;

	call->kind = AIO_WRITEV;
	while (left > 0 && n < AIO_WINDOW) {
		uint64_t len = MIN(left, (uint64_t)ZERO_CHUNK);

		call->window[n].iov_base = (void *)(uintptr_t)zeroes; /* only read from */
		call->window[n++].iov_len = len;
		left -= len;
	}
	call->iov = call->window;
	call->niov = n;
}

/* Any thread: only @req and constants of the open image. */
static void raw_prepare(void *ctx, struct block_req *req, struct aio_call *call)
{
	const struct block *b = ctx;
	const struct raw *raw = b->drv;

	call->fd = raw->overlay && (req->op != BLOCK_READ || req->stage == READ_OVERLAY)
			   ? raw->overlay->fd
			   : raw->fd;
	call->off = req->off + req->progress;
	call->len = req->len - req->progress;
	switch (req->op) {
	case BLOCK_READ:
	case BLOCK_WRITE:
		call->kind = req->op == BLOCK_READ ? AIO_READV : AIO_WRITEV;
		if (req->progress || req->cap || req->niov > IOV_MAX) {
			fill_window(req, req->progress, req->cap, call);
		} else {
			call->iov = req->iov;
			call->niov = req->niov;
		}
		break;
	case BLOCK_DISCARD:
		call->kind = AIO_FALLOCATE;
		call->mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
		break;
	case BLOCK_ZEROES:
		call->kind = AIO_FALLOCATE;
		call->mode =
			FALLOC_FL_KEEP_SIZE |
			(req->stage == ZERO_RANGE ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE);
		if (req->stage == ZERO_WRITE)
			prepare_zero_write(req, call);
		break;
	default: call->kind = AIO_FDATASYNC; break;
	}
}

static bool raw_hurry(void *ctx)
{
	return block_turn_now(ctx);
}

/* A data transfer moved @res bytes: next result, or 1 to go on. */
static int transfer_done(struct block *b, struct raw *raw, struct block_req *req, int64_t res)
{
	req->cap = 0;
	if (res == 0) {
		if (!raw->told_truncated)
			log_err("block/%s: the file ends before the disk does: offset %llu: was it "
				"truncated?",
				b->path, (unsigned long long)(req->off + req->progress));
		raw->told_truncated = true;
		return -EIO;
	}
	req->progress += (uint64_t)res;
	return req->progress < req->len ? 1 : 0;
}

/* ZEROES through fallocate() failed with @res: 1 to try the next way. */
static int zero_fallback(struct raw *raw, struct block_req *req, int res)
{
	if (res != -EOPNOTSUPP && res != -ENOSYS && res != -ENODEV && res != -EINVAL)
		return res;
	if (req->stage == ZERO_RANGE)
		raw->no_zero_range = true;
	else
		raw->no_punch = true;
	req->stage = req->stage == ZERO_RANGE && !raw->no_punch ? ZERO_PUNCH : ZERO_WRITE;
	return 1;
}

/* A call for @req is about to be made: with an overlay, from which file, and how far. */
static void choose_file(const struct raw *raw, struct block_req *req)
{
	uint64_t run;
	bool mine;

	if (!raw->overlay || req->op != BLOCK_READ)
		return;
	run = overlay_run(raw->overlay, req->off + req->progress, req->len - req->progress, &mine);
	req->stage = mine ? READ_OVERLAY : READ_IMAGE;
	if (run < req->len - req->progress || req->progress)
		req->cap = req->cap ? MIN(req->cap, run) : run;
}

static void raw_done(void *ctx, struct block_req *req, int64_t res)
{
	struct block *b = ctx;
	struct raw *raw = b->drv;
	int r = res < 0 ? (int)res : 0;

	if (res == -EINTR || res == -EAGAIN) {
		r = 1;
	} else if (req->op == BLOCK_READ || req->op == BLOCK_WRITE ||
		   (req->op == BLOCK_ZEROES && req->stage == ZERO_WRITE)) {
		if (res >= 0)
			r = transfer_done(b, raw, req, res);
	} else if (req->op == BLOCK_ZEROES && res < 0) {
		r = zero_fallback(raw, req, (int)res);
	} else if (req->op == BLOCK_DISCARD && (res == -EOPNOTSUPP || res == -ENOSYS)) {
		b->can_discard = false;
	}
	if (r == 1) {
		choose_file(raw, req);
		aio_submit(b->aio, req);
		return;
	}
	if (raw->overlay && r == 0 && req->op != BLOCK_READ && req->op != BLOCK_FLUSH)
		overlay_mark(raw->overlay, req->off, req->len);
	block_io_done(b, req, r);
}

static void raw_submit(struct block *b, struct block_req *req)
{
	struct raw *raw = b->drv;

	if (req->progress >= req->len)
		req->progress = 0; /* all moved, but reported as failed (shim): do it again */
	if (req->op == BLOCK_ZEROES && req->stage == ZERO_RANGE) {
		if (raw->no_zero_range)
			req->stage = raw->no_punch ? ZERO_WRITE : ZERO_PUNCH;
	}
	choose_file(raw, req);
	aio_submit(b->aio, req);
}

static int raw_sync(struct block *b)
{
	struct raw *raw = b->drv;

	if (raw->overlay)
		return 0; /* nothing that has to last */
	return fdatasync(raw->fd) < 0 ? -errno : 0;
}

static int choose_aio(struct block *b, enum block_aio want, struct error *err)
{
	struct aio_client client = {.prepare = raw_prepare,
				    .done = raw_done,
				    .hurry = raw_hurry,
				    .loop = b->loop,
				    .ctx = b};
	int r;

	if (want != BLOCK_AIO_THREADS && want != BLOCK_AIO_SYNC) {
		r = want == BLOCK_AIO_AUTO ? aio_split_new(b->event_fd, &client, &b->aio)
					   : aio_uring_new(b->event_fd, &client, &b->aio);
		if (r == 0)
			return 0;
		if (want == BLOCK_AIO_URING)
			return error_set(err, r,
					 "disk '%s': io_uring cannot be used here (%s): leave the "
					 "choice open or ask for threads",
					 b->path, strerror(-r));
	}
	r = aio_threads_new(b->event_fd, &client, want == BLOCK_AIO_SYNC, &b->aio);
	if (r < 0)
		return error_set(err, r, "disk '%s': cannot start a thread: %s", b->path,
				 strerror(-r));
	return 0;
}

static int open_error(const struct block_options *opt, int code, struct error *err)
{
	const char *hint = "";

	if (code == ENOENT)
		hint = "; check the path";
	else if (code == EACCES || code == EPERM || code == EROFS)
		hint = opt->read_only ? "; check the permissions of the file"
				      : "; check its permissions or open it read-only";
	else if (code == EBUSY)
		hint = "; it is mounted or otherwise in use on this host";
	return error_set(err, -code, "disk '%s' cannot be opened: %s%s", opt->path, strerror(code),
			 hint);
}

static int measure(struct block *b, struct raw *raw, const struct stat *st, bool look,
		   struct error *err)
{
	uint64_t size = (uint64_t)st->st_size;

	if (S_ISBLK(st->st_mode) && ioctl(raw->fd, BLKGETSIZE64, &size) < 0)
		return error_set(err, -errno, "disk '%s': cannot learn its size: %s", b->path,
				 strerror(errno));
	if (size < SECTOR)
		return error_set(err, -EINVAL,
				 "disk '%s' is empty or truncated: %llu bytes; make one with "
				 "`truncate -s 8G FILE`",
				 b->path, (unsigned long long)size);
	if (size % SECTOR) {
		if (!look)
			return error_set(err, -EINVAL,
					 "disk '%s' has %llu bytes, not a multiple of 512: it may "
					 "be truncated or not a raw image; open it read-only, or "
					 "extend it with `truncate -s %%512 FILE`",
					 b->path, (unsigned long long)size);
		log_warn("block/%s: %llu bytes, not a multiple of 512: the last %llu are left out",
			 b->path, (unsigned long long)size, (unsigned long long)(size % SECTOR));
		size = align_down(size, SECTOR);
	}
	b->size = size;
	return 0;
}

/* Whether holes can be punched: asked past the end of the file, where it changes nothing. */
static bool probe_discard(const struct raw *raw, const struct stat *st)
{
	if (S_ISBLK(st->st_mode))
		return true; /* known at the first try */
	return fallocate(raw->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 (off_t)align_up((uint64_t)st->st_size, 4096), 4096) == 0;
}

static int raw_open(struct block *b, const struct block_options *opt, struct error *err)
{
	struct raw *raw = xnew(struct raw);
	bool look = opt->read_only || opt->overlay;
	int flags = (look ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	struct stat st;
	int r;

	b->drv = raw;
	raw->fd = -1;
	/* O_EXCL on a block device: refuse one that is mounted. It means nothing otherwise. */
	if (stat(opt->path, &st) == 0 && S_ISBLK(st.st_mode) && !look)
		flags |= O_EXCL;
	raw->fd = open(opt->path, flags);
	if (raw->fd < 0 || fstat(raw->fd, &st) < 0)
		return open_error(opt, errno, err);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return error_set(err, S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL,
				 "disk '%s' is neither a regular file nor a block device",
				 opt->path);
	r = image_lock(raw->fd, opt->path, !look, err);
	if (r < 0)
		return r;
	r = measure(b, raw, &st, look, err);
	if (r == 0 && opt->overlay && !opt->read_only) {
		r = overlay_new(b->size, &raw->overlay, err);
		b->unsafe = true; /* FLUSH has nothing to keep */
	}
	if (r < 0)
		return r;
	b->can_discard = !opt->read_only && (raw->overlay || probe_discard(raw, &st));
	return choose_aio(b, opt->aio, err);
}

static void raw_close(struct block *b)
{
	struct raw *raw = b->drv;

	aio_free(b->aio);
	b->aio = NULL;
	if (!raw)
		return;
	if (raw->fd >= 0)
		close(raw->fd); /* and so unlock */
	overlay_free(raw->overlay);
	free(raw);
	b->drv = NULL;
}

const struct block_driver block_raw_driver = {
	.format = "raw",
	.open = raw_open,
	.close = raw_close,
	.submit = raw_submit,
	.sync = raw_sync,
};
