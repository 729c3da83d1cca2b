/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image locks: open-file-description locks (fcntl(2), "Open file description locks"), which belong
 * to the open file and not, as POSIX record locks do, to the process, where closing any descriptor
 * of the file drops them.
 *
 * The byte ranges are those that QEMU and its tools use, so that either side refuses an image
 * that the other has open. Two ranges of single bytes, one byte for each permission: a program that
 * uses permission N takes a shared lock on byte 100+N; one that cannot have others use permission N
 * takes a shared lock on byte 200+N. Then it looks, by asking whether an exclusive lock would be
 * granted: for each permission it uses, nobody may hold 200+N; for each it refuses to others,
 * nobody may hold 100+N. Because everybody locks first and looks second, two programs that start at
 * the same moment may both give up but never both go on.
 *
 * Permissions: 0 read consistent data, 1 write, 2 write without changing contents, 3 resize.
 * Here: a writer uses 0 and 1 and shares only 0 (so that `qemu-img info -U` can look); a reader
 * uses 0 and shares 0.
 *
 * A program that used io_uring and was killed holds its locks for some milliseconds after wait(2)
 * has returned: until the kernel has ended its last requests, and rightly so, because these may
 * still write. So a lock is waited for a moment before it counts as taken.
 *
 * UNMODELLED: locks reach as far as the file system's: on NFS without a lock manager the image is
 * refused.
 */
#include "block/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS      300 /* how long to wait for a lock that may be about to go */
#define STEP_MS      10
#define USES_BASE    100
#define REFUSES_BASE 200

enum image_perm { PERM_READ, PERM_WRITE, PERM_WRITE_UNCHANGED, PERM_RESIZE, PERM_COUNT };

#define PERM_BIT(p) (1u << (p))
#define ALL_PERMS   (PERM_BIT(PERM_COUNT) - 1)

static int lock_byte(int fd, off_t byte, short type)
{
	struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	return fcntl(fd, F_OFD_SETLK, &fl) < 0 ? -errno : 0;
}

/* 1 when somebody else holds a lock on @byte, 0 when not, or -errno. */
static int byte_is_held(int fd, off_t byte)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	if (fcntl(fd, F_OFD_GETLK, &fl) < 0)
		return -errno;
	return fl.l_type != F_UNLCK;
}

static void unlock_all(int fd)
{
	for (int p = 0; p < PERM_COUNT; p++) {
		lock_byte(fd, USES_BASE + p, F_UNLCK);
		lock_byte(fd, REFUSES_BASE + p, F_UNLCK);
	}
}

static int lock_and_look(int fd, unsigned uses, unsigned refuses)
{
	int r = 0;

	for (int p = 0; p < PERM_COUNT && r == 0; p++) {
		if (uses & PERM_BIT(p))
			r = lock_byte(fd, USES_BASE + p, F_RDLCK);
		if (r == 0 && (refuses & PERM_BIT(p)))
			r = lock_byte(fd, REFUSES_BASE + p, F_RDLCK);
	}
	/* A shared lock is refused only by an exclusive one: some other kind of user. */
	if (r == -EAGAIN || r == -EACCES)
		return -EBUSY;
	for (int p = 0; p < PERM_COUNT && r == 0; p++) {
		if (uses & PERM_BIT(p))
			r = byte_is_held(fd, REFUSES_BASE + p);
		if (r == 0 && (refuses & PERM_BIT(p)))
			r = byte_is_held(fd, USES_BASE + p);
	}
	return r > 0 ? -EBUSY : r;
}

int image_lock(int fd, const char *path, bool write, struct error *err)
{
	unsigned uses = PERM_BIT(PERM_READ) | (write ? PERM_BIT(PERM_WRITE) : 0);
	unsigned tries = WAIT_MS / STEP_MS;
	int r;

	for (;;) {
		r = lock_and_look(fd, uses, ALL_PERMS & ~PERM_BIT(PERM_READ));
		if (r == 0)
			return 0;
		unlock_all(fd);
		if (r != -EBUSY || tries-- == 0)
			break;
		usleep(STEP_MS * 1000);
	}
	if (r == -EBUSY)
		return error_set(err, -EBUSY,
				 "disk '%s' is in use by another process (a running machine, qemu "
				 "or qemu-img): stop that first%s, or work on a copy",
				 path, write ? "" : ", or have it open the disk read-only");
	return error_set(err, r,
			 "disk '%s' cannot be locked (%s), so a second program could write to it "
			 "unnoticed: put it on a local file system",
			 path, strerror(-r));
}
