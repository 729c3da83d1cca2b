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
};

/** code_map_init() - @size bytes, a multiple of the page size; 0 or -errno with text in @err. */
int code_map_init(struct code_map *c, size_t size, struct error *err) MUST_CHECK;
void code_map_done(struct code_map *c);

#endif
