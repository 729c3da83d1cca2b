/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for generated code: one memfd mapped twice, read-execute for running and read-write for
 * the emitter, never both; inaccessible pages on either side of both views.
 */
#ifndef ENGINE_EMIT_CODEMAP_H
#define ENGINE_EMIT_CODEMAP_H

#include "base/base.h"
#include "base/err.h"

struct code_map {
	uint8_t *rw, *rx;
	size_t size;
	bool in_room; /* rx is in a struct engine_room */
};

struct engine_room;

/**
 * code_map_init() - @size bytes, a multiple of the page size; 0 or -errno with text in @err
 * What runs is in @room (engine/engine.h; NULL: anywhere), as long as that has some left. Any
 * thread.
 */
int code_map_init(struct code_map *c, size_t size, struct engine_room *room,
		  struct error *err) MUST_CHECK;
/**
 * code_map_join() - the 2 MiB around offset @at are to be one large page, if the host has one
 *
 * Code lies so thinly scattered that the processor's TLBs do not hold all of its small pages. They
 * take the memory at once, whatever has been written of them.
 */
void code_map_join(const struct code_map *c, size_t at);
#define CODE_MAP_PIECE (2 * MIB)
/** code_map_drop() - give the pieces of [@from, @to), multiples of CODE_MAP_PIECE, back to the
 * host: they read as zero. */
void code_map_drop(const struct code_map *c, size_t from, size_t to);
void code_map_done(struct code_map *c);

#endif
