/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arena of instruction thunks: one memfd mapped twice, read-execute for running and read-write
 * for the emitter, never both; inaccessible pages on either side of both views. Thunks are position
 * independent and identical ones are stored once, so a whole Linux boot needs a few thousand.
 *
 * Bounded: when the arena is full the engine drops all blocks and starts it afresh. One per vCPU,
 * used by the vCPU's thread only; thunk_at() is for that thread's signal handler.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/interp/interp.h"

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

int thunk_arena_init(struct thunk_arena *a, size_t size, struct error *err)
{
	int fd = memfd_create("thunks", MFD_CLOEXEC), r = 0;

	*a = (struct thunk_arena){.size = size};
	if (fd < 0)
		return error_set(err, -errno, "code cache: memfd_create: %s", strerror(errno));
	if (ftruncate(fd, (off_t)size) < 0)
		r = error_set(err, -errno, "code cache: cannot size a memfd to %zu bytes: %s", size,
			      strerror(errno));
	if (!r)
		a->rx = map_guarded(fd, size, PROT_READ | PROT_EXEC);
	if (a->rx)
		a->rw = map_guarded(fd, size, PROT_READ | PROT_WRITE);
	if (!r && !a->rw)
		r = error_set(err, -ENOMEM,
			      "code cache: cannot map %zu bytes executable (%s); the host forbids "
			      "PROT_EXEC on memfds or is out of address space",
			      size, strerror(errno));
	close(fd);
	if (r) {
		thunk_arena_done(a);
		return r;
	}
	a->unit = xnew_n(uint8_t, size / THUNK_UNIT);
	a->len = xnew_n(uint32_t, size / THUNK_UNIT);
	a->n_hash = (uint32_t)(size / THUNK_UNIT) * 2; /* at most half full */
	a->hash = xnew_n(uint32_t, a->n_hash);
	return 0;
}

void thunk_arena_done(struct thunk_arena *a)
{
	if (a->rx)
		munmap(a->rx - GUARD, a->size + 2 * GUARD);
	if (a->rw)
		munmap(a->rw - GUARD, a->size + 2 * GUARD);
	free(a->unit);
	free(a->len);
	free(a->hash);
	*a = (struct thunk_arena){0};
}

void thunk_arena_reset(struct thunk_arena *a)
{
	memset(a->unit, 0, a->size / THUNK_UNIT);
	memset(a->hash, 0, a->n_hash * sizeof(a->hash[0]));
	memset(a->rw, 0xcc, a->used); /* INT3: nothing old can run on */
	a->used = 0;
	a->n_used = 0;
}

static uint32_t hash_bytes(const uint8_t *p, unsigned len)
{
	uint64_t h = len;

	for (; len >= 8; p += 8, len -= 8)
		h = (h ^ ld_le64(p)) * 0x9e3779b97f4a7c15ull, h ^= h >> 29;
	for (unsigned i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3ull;
	return (uint32_t)(h ^ h >> 32);
}

void *thunk_add(struct thunk_arena *a, const uint8_t *code, unsigned len, uint8_t flags)
{
	uint32_t i = hash_bytes(code, len) & (a->n_hash - 1);
	unsigned units = (len + THUNK_UNIT - 1) / THUNK_UNIT;
	uint32_t first = (uint32_t)(a->used / THUNK_UNIT);

	for (; a->hash[i]; i = (i + 1) & (a->n_hash - 1)) {
		uint32_t n = a->hash[i] - 1;

		if (a->len[n] == len && !memcmp(a->rw + n * THUNK_UNIT, code, len))
			return a->rx + n * THUNK_UNIT;
	}
	if (a->used + units * THUNK_UNIT > a->size)
		return NULL;
	memcpy(a->rw + a->used, code, len);
	a->used += units * THUNK_UNIT;
	a->unit[first] = flags | THUNK_START;
	a->len[first] = len;
	a->hash[i] = first + 1;
	a->n_used++;
	return a->rx + first * THUNK_UNIT;
}

uint8_t thunk_at(const struct thunk_arena *a, uintptr_t pc)
{
	uintptr_t n = (pc - (uintptr_t)a->rx) / THUNK_UNIT;

	if (pc < (uintptr_t)a->rx || pc >= (uintptr_t)a->rx + a->used)
		return 0;
	while (!a->unit[n] && n)
		n--;
	return a->unit[n];
}
