/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The throw-away layer (overlay.h). One bit a sector, so that no write has to copy anything: for a
 * disk of 100 GiB the map is 25 MiB of address space, of which pages become real as their disk
 * regions are written.
 *
 * The map is read and changed on the loop's side only (raw.c); requests that are under way at the
 * same sectors at the same time have no order, as on a disk.
 */
#include "block/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bits.h"

#define SECTOR_SHIFT 9

static int temp_in(const char *dir)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char *name;

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return fd < 0 ? -errno : fd;
	/* The file system has no nameless files. */
	name = xasprintf("%s/bothy-XXXXXX", dir);
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	else
		unlink(name);
	free(name);
	return fd;
}

int overlay_temp_file(struct error *err)
{
	const char *dirs[] = {getenv("TMPDIR"), "/var/tmp", "/tmp"};
	int fd = -ENOENT;

	for (size_t i = 0; i < ARRAY_SIZE(dirs) && fd < 0; i++)
		if (dirs[i] && *dirs[i])
			fd = temp_in(dirs[i]);
	if (fd < 0)
		return error_set(err, fd,
				 "cannot make a temporary file in /var/tmp or /tmp (%s); name a "
				 "directory with TMPDIR",
				 strerror(-fd));
	return fd;
}

int overlay_new(uint64_t size, struct overlay **ret_o, struct error *err)
{
	struct overlay *o = xnew(struct overlay);
	size_t bytes;

	o->sectors = size >> SECTOR_SHIFT;
	bytes = (size_t)(o->sectors / 8 + 1);
	o->fd = overlay_temp_file(err);
	if (o->fd < 0) {
		int r = o->fd;

		free(o);
		return r;
	}
	o->map = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (o->map == MAP_FAILED || ftruncate(o->fd, (off_t)size) < 0) {
		int r = -errno;

		if (o->map == MAP_FAILED)
			o->map = NULL;
		overlay_free(o);
		return error_set(err, r, "cannot make a temporary layer of %llu MiB: %s",
				 (unsigned long long)(size / MIB), strerror(-r));
	}
	*ret_o = o;
	return 0;
}

void overlay_free(struct overlay *o)
{
	if (!o)
		return;
	if (o->map)
		munmap(o->map, (size_t)(o->sectors / 8 + 1));
	if (o->fd >= 0)
		close(o->fd);
	free(o);
}

static bool mine(const struct overlay *o, uint64_t sector)
{
	return o->map[sector / 8] >> sector % 8 & 1;
}

uint64_t overlay_run(const struct overlay *o, uint64_t off, uint64_t max, bool *ret_mine)
{
	uint64_t s = off >> SECTOR_SHIFT, end = (off + max - 1) >> SECTOR_SHIFT, to;
	bool is = mine(o, s);
	uint8_t same = is ? 0xff : 0;

	for (s++; s <= end;) {
		if (s % 8 == 0 && o->map[s / 8] == same)
			s += 8; /* may go past the end: cut below */
		else if (mine(o, s) == is)
			s++;
		else
			break;
	}
	*ret_mine = is;
	to = s << SECTOR_SHIFT;
	return MIN(max, to - off);
}

void overlay_mark(struct overlay *o, uint64_t off, uint64_t len)
{
	uint64_t s = off >> SECTOR_SHIFT, end = (off + len) >> SECTOR_SHIFT;

	while (s < end) {
		if (s % 8 == 0 && s + 8 <= end) {
			size_t n = (size_t)((end - s) / 8);

			memset(o->map + s / 8, 0xff, n);
			s += n * 8;
		} else {
			o->map[s / 8] |= (uint8_t)(1u << s % 8);
			s++;
		}
	}
}
