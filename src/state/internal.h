/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of state/ share: the stream's layout, scalars by kind, and the path that names a
 * field in messages. Nobody else includes this.
 *
 * Stream, little-endian throughout:
 *   header   magic[8], u32 format version, u32 CRC-32 of the rest, u64 bytes of the rest
 *   object   u8 STATE_OBJECT, id, class (u8 length + bytes each), u32 version, u32 body bytes, body
 *   body     class "bytes": raw; else fields, ended by u8 STATE_END_KIND
 *   field    u8 kind, name (u8 length + bytes), u32 count, then count values: scalars in their own
 *            size, raw bytes, or for STATE_NESTED one body each
 */
#ifndef STATE_INTERNAL_H
#define STATE_INTERNAL_H

#include "state/state.h"

#define STATE_MAGIC "bothyST\n"
enum {
	STATE_MAGIC_LEN = 8,
	STATE_FORMAT = 1,
	STATE_HEADER_LEN = 24,
	STATE_OBJECT = 0x4f, /* 'O' */
	STATE_NAME_MAX = 255
};

#define STATE_BYTES_CLASS "bytes"

/* Where we are in a table, for messages: a chain on the C stack. */
struct state_path {
	const struct state_path *up;
	const struct state_field *f; /* NULL at the root */
	uint32_t index;
};

/** state_path_text() - "ch[2].reload" into @buf (cut when it does not fit); returns @buf. */
const char *state_path_text(const struct state_path *p, char *buf, size_t size);

/** state_scalar() - true for the kinds that hold one number. */
static inline bool state_scalar(enum state_kind k)
{
	return k >= STATE_U8 && k <= STATE_BOOL;
}

/** state_signed() - true when values of the kind are signed. */
static inline bool state_signed(enum state_kind k)
{
	return k >= STATE_S8 && k <= STATE_S64;
}

/** state_value() - a scalar from memory, sign-extended for signed kinds. */
uint64_t state_value(const struct state_field *f, const void *elem);

/** state_in_range() - does the sign- or zero-extended @v satisfy the field's range? */
bool state_in_range(const struct state_field *f, uint64_t v);

/** state_value_text() - decimal, or hexadecimal for large unsigned numbers. */
void state_value_text(const struct state_field *f, uint64_t v, char *buf, size_t size);

#endif
