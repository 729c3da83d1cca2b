/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two views of a code cache (engine/emit/codemap.h).
 */
#include "engine/emit/codemap.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bits.h"
#include "engine/engine.h"

#define GUARD 65536u
#ifndef MADV_COLLAPSE /* Linux 6.1 */
#define MADV_COLLAPSE 25
#endif

/* @size bytes of @room, inaccessible as they are; NULL: it has no more. */
static uint8_t *take_room(struct engine_room *room, size_t size)
{
	size_t used;

	if (!room)
		return NULL;
	used = atomic_load(&room->used);
	do {
		if (size > room->size || used > room->size - size)
			return NULL;
	} while (!atomic_compare_exchange_weak(&room->used, &used, used + size));
	return room->at + used;
}

/* Large ones so that a huge page of the file can be one of the processor's. */
static uint8_t *map_guarded(int fd, size_t size, int prot, struct engine_room *room, bool *ret_in)
{
	size_t align = size >= CODE_MAP_PIECE ? CODE_MAP_PIECE : 4096,
	       all = size + 2 * GUARD + align;
	uint8_t *p = take_room(room, all), *at;

	*ret_in = p;
	if (!p)
		p = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	at = (uint8_t *)align_up((uintptr_t)p + GUARD, align);
	if (!*ret_in && at - GUARD > p)
		munmap(p, (size_t)(at - GUARD - p));
	if (!*ret_in && at + size + GUARD < p + all)
		munmap(at + size + GUARD, (size_t)(p + all - (at + size + GUARD)));
	if (mmap(at, size, prot, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
		if (!*ret_in)
			munmap(at - GUARD, size + 2 * GUARD);
		return NULL;
	}
	return at;
}

void code_map_join(const struct code_map *c, size_t at)
{
	at &= ~(CODE_MAP_PIECE - 1);
	if (at + CODE_MAP_PIECE > c->size)
		return;
	/* may fail: an old kernel, no memory in one piece */
	(void)madvise(c->rx + at, CODE_MAP_PIECE, MADV_COLLAPSE);
	(void)madvise(c->rw + at, CODE_MAP_PIECE, MADV_COLLAPSE);
}

void code_map_drop(const struct code_map *c, size_t from, size_t to)
{
	if (to <= from)
		return;
	/* where the host does not let go of it, nothing old may run */
	if (madvise(c->rw + from, to - from, MADV_REMOVE) < 0)
		memset(c->rw + from, 0xcc, to - from);
}

int code_map_init(struct code_map *c, size_t size, struct engine_room *room, struct error *err)
{
	int fd = memfd_create("code", MFD_CLOEXEC), r = 0;
	bool in;

	*c = (struct code_map){.size = size};
	if (fd < 0)
		return error_set(err, -errno, "code cache: memfd_create: %s", strerror(errno));
	if (ftruncate(fd, (off_t)size) < 0)
		r = error_set(err, -errno, "code cache: cannot size a memfd to %zu bytes: %s", size,
			      strerror(errno));
	if (!r)
		c->rx = map_guarded(fd, size, PROT_READ | PROT_EXEC, room, &c->in_room);
	if (c->rx)
		c->rw = map_guarded(fd, size, PROT_READ | PROT_WRITE, NULL, &in);
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
	/* the room stays reserved, for it is given back as a whole */
	if (c->rx && c->in_room)
		(void)mmap(c->rx, c->size, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	else if (c->rx)
		munmap(c->rx - GUARD, c->size + 2 * GUARD);
	if (c->rw)
		munmap(c->rw - GUARD, c->size + 2 * GUARD);
	*c = (struct code_map){0};
}
