/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unpacked kernels, kept between starts: unpacking Debian's xz kernel takes half a second, reading
 * it back a tenth of that. Files lie in $XDG_CACHE_HOME/bothy (~/.cache/bothy), private to the user
 * (XDG Base Directory Specification), and are zstd frames with a check sum behind a head that says
 * what they were unpacked from: the kernel file's identity and times, and the CRC-64 of its
 * payload.
 *
 * It is a cache: whatever does not fit (no directory, another user's file, a damaged or old one, a
 * full disk) is as good as nothing there, and nothing is said. At most CACHE_MOST kernels are kept;
 * the one that was unpacked longest ago goes first.
 */
#include <dirent.h>
#include <fcntl.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/bits.h"
#include "machine/boot/boot.h"

#define CACHE_MOST  4
#define CACHE_MAGIC 0x31656b6e72656b62ull
#define PREFIX      "kernel-"

struct cache_head {
	uint64_t magic;
	uint64_t dev, ino, size, mtime_ns, ctime_ns; /* of the kernel file */
	uint64_t crc;                                /* CRC-64 of the packed payload */
	uint64_t unpacked, packed;                   /* bytes; packed: of the frame that follows */
};

static uint64_t ns(struct timespec t)
{
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool head_of(int kernel, const uint8_t *p, uint64_t n, struct cache_head *ret)
{
	struct stat st;

	if (kernel < 0 || fstat(kernel, &st) < 0)
		return false;
	*ret = (struct cache_head){.magic = CACHE_MAGIC,
				   .dev = st.st_dev,
				   .ino = st.st_ino,
				   .size = (uint64_t)st.st_size,
				   .mtime_ns = ns(st.st_mtim),
				   .ctime_ns = ns(st.st_ctim),
				   .crc = lzma_crc64(p, n, 0)};
	return true;
}

/* The directory, made if need be; -1 = none. */
static int cache_dir(bool make)
{
	const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char path[512];
	int n;

	if (base && base[0] == '/')
		n = snprintf(path, sizeof(path), "%s", base);
	else if (home && home[0] == '/')
		n = snprintf(path, sizeof(path), "%s/.cache", home);
	else
		return -1;
	if (n < 0 || n + 8 > (int)sizeof(path))
		return -1;
	if (make)
		(void)mkdir(path, 0700);
	memcpy(path + n, "/bothy", 7);
	if (make)
		(void)mkdir(path, 0700);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static void name_of(const struct cache_head *h, char name[40])
{
	snprintf(name, 40, PREFIX "%016llx", (unsigned long long)h->crc);
}

/* Bytes of the frame of a file that is ours and about this kernel, 0 = not. */
static uint64_t open_frame(int fd, const struct cache_head *want, uint64_t room)
{
	struct cache_head h;
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    st.st_mode & 022 || read(fd, &h, sizeof(h)) != (ssize_t)sizeof(h))
		return 0;
	if (memcmp(&h, want, offsetof(struct cache_head, unpacked)) || h.unpacked > room ||
	    h.packed != (uint64_t)st.st_size - sizeof(h) || h.packed > BOOT_KERNEL_MAX)
		return 0;
	return h.packed;
}

bool boot_cache_get(int kernel, const uint8_t *p, uint64_t n, struct boot_unpacked *ret)
{
	struct cache_head want;
	uint8_t *frame = NULL;
	uint64_t packed = 0;
	char name[40];
	size_t out;
	int dir, fd;

	if (!head_of(kernel, p, n, &want))
		return false;
	dir = cache_dir(false);
	if (dir < 0)
		return false;
	name_of(&want, name);
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	close(dir);
	if (fd < 0)
		return false;
	packed = open_frame(fd, &want, ret->room);
	frame = packed ? malloc(packed) : NULL;
	if (frame && read(fd, frame, packed) == (ssize_t)packed && boot_unpacked_room(ret)) {
		out = ZSTD_decompress(ret->p, ret->room, frame, packed);
		ret->n = ZSTD_isError(out) ? 0 : out;
		if (!ret->n)
			boot_unpacked_free(ret);
	}
	free(frame);
	close(fd);
	return ret->p != NULL;
}

/* Make room: the oldest files beyond CACHE_MOST - 1. */
static void trim(int dir)
{
	for (;;) {
		int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		DIR *d = copy < 0 ? NULL : fdopendir(copy);
		char oldest[256] = "";
		uint64_t when = UINT64_MAX;
		unsigned found = 0;
		struct dirent *e;
		struct stat st;

		if (!d) {
			if (copy >= 0)
				close(copy);
			return;
		}
		while ((e = readdir(d))) {
			if (strncmp(e->d_name, PREFIX, strlen(PREFIX)) ||
			    fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
				continue;
			found++;
			if (ns(st.st_mtim) < when) {
				when = ns(st.st_mtim);
				snprintf(oldest, sizeof(oldest), "%s", e->d_name);
			}
		}
		closedir(d);
		if (found < CACHE_MOST || unlinkat(dir, oldest, 0) < 0)
			return;
	}
}

static bool write_all(int fd, const void *buf, uint64_t n)
{
	const uint8_t *p = buf;

	while (n) {
		ssize_t r = write(fd, p, n);

		if (r <= 0)
			return false;
		p += r;
		n -= (uint64_t)r;
	}
	return true;
}

void boot_cache_put(int kernel, const uint8_t *p, uint64_t n, const struct boot_unpacked *u)
{
	struct cache_head h;
	uint8_t *frame = NULL;
	char name[40], temp[64];
	ZSTD_CCtx *c = NULL;
	size_t room, packed;
	int dir, fd;

	if (!head_of(kernel, p, n, &h))
		return;
	dir = cache_dir(true);
	if (dir < 0)
		return;
	name_of(&h, name);
	snprintf(temp, sizeof(temp), PREFIX "new-%d", getpid());
	trim(dir);
	fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	room = ZSTD_compressBound(u->n);
	c = ZSTD_createCCtx();
	frame = malloc(room);
	if (fd >= 0 && c && frame &&
	    !ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, 1)) &&
	    !ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1))) {
		packed = ZSTD_compress2(c, frame, room, u->p, u->n);
		h.unpacked = u->n;
		h.packed = packed;
		if (ZSTD_isError(packed) || !write_all(fd, &h, sizeof(h)) ||
		    !write_all(fd, frame, packed) || renameat(dir, temp, dir, name) < 0)
			(void)unlinkat(dir, temp, 0);
	} else if (fd >= 0) {
		(void)unlinkat(dir, temp, 0);
	}
	if (fd >= 0)
		close(fd);
	free(frame);
	ZSTD_freeCCtx(c);
	close(dir);
}
