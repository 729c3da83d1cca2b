/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two views of a code cache (engine/emit/codemap.h).
 */
#include "engine/emit/codemap.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GUARD 65536u

static uint8_t *map_guarded(int fd, size_t size, int prot)
{
	uint8_t *p = mmap(NULL, size + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (mmap(p + GUARD, size, prot, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
		munmap(p, size + 2 * GUARD);
		return NULL;
	}
	return p + GUARD;
}

int code_map_init(struct code_map *c, size_t size, struct error *err)
{
	int fd = memfd_create("code", MFD_CLOEXEC), r = 0;

	*c = (struct code_map){.size = size};
	if (fd < 0)
		return error_set(err, -errno, "code cache: memfd_create: %s", strerror(errno));
	if (ftruncate(fd, (off_t)size) < 0)
		r = error_set(err, -errno, "code cache: cannot size a memfd to %zu bytes: %s", size,
			      strerror(errno));
	if (!r)
		c->rx = map_guarded(fd, size, PROT_READ | PROT_EXEC);
	if (c->rx)
		c->rw = map_guarded(fd, size, PROT_READ | PROT_WRITE);
	if (!r && !c->rw)
		r = error_set(err, -ENOMEM,
			      "code cache: cannot map %zu bytes executable (%s); the host forbids "
			      "PROT_EXEC on memfds or is out of address space",
			      size, strerror(errno));
	close(fd);
	if (r) {
		code_map_done(c);
		return r;
	}
	return 0;
}

void code_map_done(struct code_map *c)
{
	if (c->rx)
		munmap(c->rx - GUARD, c->size + 2 * GUARD);
	if (c->rw)
		munmap(c->rw - GUARD, c->size + 2 * GUARD);
	*c = (struct code_map){0};
}
