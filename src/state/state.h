/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State is data: everything of an object that outlives one access lives in a pointer-free struct,
 * and a const table of fields names every member with its kind and range. From the tables come
 * snapshot, fork, migration, `bothy show --devices`, engine-against-engine diffs and test
 * assertions.
 *
 *   static const struct state_field pit_fields[] = {
 *           STATE_STRUCTS(struct pit_regs, ch, pit_channel_fields),
 *           STATE_VAL(struct pit_regs, port61, .max = 0x0f),
 *           STATE_PAD(struct pit_regs, pad_),
 *           STATE_END};
 *   static const struct state_desc pit_state = STATE_DESC("i8254", 1, struct pit_regs, pit_fields);
 *
 * Invariants: a field's kind follows from its C type (_Generic), the named bytes of a table are
 * exactly sizeof its struct (state_unnamed_bytes() == 0, a unit test per table), padding is a named
 * pad_ member; it is not in the stream and zero after a load.
 *
 * The stream is self-describing: per object id, class, version; per field name, kind, element
 * count; a header with magic, format version and CRC-32. It is untrusted input: unknown object or
 * field, wrong kind or count, order other than the table's, value out of range, trailing bytes:
 * refused with a message that names the field. A field newer than the stream's version keeps its
 * reset value.
 */
#ifndef STATE_STATE_H
#define STATE_STATE_H

#include "base/err.h"

enum state_kind {
	STATE_END_KIND, /* end of table */
	STATE_U8,
	STATE_U16,
	STATE_U32,
	STATE_U64,
	STATE_S8,
	STATE_S16,
	STATE_S32,
	STATE_S64,
	STATE_BOOL,
	STATE_BYTES,  /* raw array of uint8_t, .count bytes, no range */
	STATE_NESTED, /* .fields describe one element of .size bytes */
	STATE_PADDING,
	STATE_KIND_COUNT
};

struct state_field {
	const char *name;
	enum state_kind kind;
	uint32_t offset;                  /* bytes from the struct's start */
	uint32_t size;                    /* bytes of one element */
	uint32_t count;                   /* elements */
	uint64_t min, max;                /* inclusive; max 0 with min 0 = any value of the type */
	const struct state_field *fields; /* STATE_NESTED */
	uint32_t since;                   /* first version that has it; 0 and 1 = from the start */
};

struct state_desc {
	const char *cls;  /* class name in the stream: "i8254" */
	uint32_t version; /* >= 1 */
	uint32_t size;    /* sizeof the described struct, bytes */
	const struct state_field *fields;
};

#define STATE_KIND_OF(x)                                                                           \
	_Generic((x), uint8_t                                                                      \
		 : STATE_U8, uint16_t                                                              \
		 : STATE_U16, uint32_t                                                             \
		 : STATE_U32, uint64_t                                                             \
		 : STATE_U64, int8_t                                                               \
		 : STATE_S8, int16_t                                                               \
		 : STATE_S16, int32_t                                                              \
		 : STATE_S32, int64_t                                                              \
		 : STATE_S64, bool                                                                 \
		 : STATE_BOOL)

/* One scalar member. Optional: .min, .max, .since. Enums are stored in a sized integer member. */
#define STATE_VAL(T, m, ...)                                                                       \
	{                                                                                          \
		.name = #m, .kind = STATE_KIND_OF(((T *)0)->m), .offset = offsetof(T, m),          \
		.size = sizeof(((T *)0)->m), .count = 1, __VA_ARGS__                               \
	}
/* An array of scalars; .min/.max apply to each element. Multi-dimensional arrays: use
 * STATE_BYTES_OF for bytes, nested structs otherwise. */
#define STATE_ARRAY(T, m, ...)                                                                     \
	{                                                                                          \
		.name = #m, .kind = STATE_KIND_OF(((T *)0)->m[0]), .offset = offsetof(T, m),       \
		.size = sizeof(((T *)0)->m[0]),                                                    \
		.count = sizeof(((T *)0)->m) / sizeof(((T *)0)->m[0]), __VA_ARGS__                 \
	}
/* Raw bytes of any member that is an array of uint8_t (any dimensions). */
#define STATE_BYTES_OF(T, m, ...)                                                                  \
	{                                                                                          \
		.name = #m, .kind = STATE_BYTES, .offset = offsetof(T, m), .size = 1,              \
		.count = sizeof(((T *)0)->m), __VA_ARGS__                                          \
	}
/* One nested struct member described by table @f. */
#define STATE_STRUCT(T, m, f, ...)                                                                 \
	{                                                                                          \
		.name = #m, .kind = STATE_NESTED, .offset = offsetof(T, m),                        \
		.size = sizeof(((T *)0)->m), .count = 1, .fields = (f), __VA_ARGS__                \
	}
/* An array of nested structs. */
#define STATE_STRUCTS(T, m, f, ...)                                                                \
	{                                                                                          \
		.name = #m, .kind = STATE_NESTED, .offset = offsetof(T, m),                        \
		.size = sizeof(((T *)0)->m[0]),                                                    \
		.count = sizeof(((T *)0)->m) / sizeof(((T *)0)->m[0]), .fields = (f), __VA_ARGS__  \
	}
#define STATE_PAD(T, m)                                                                            \
	{                                                                                          \
		.name = #m, .kind = STATE_PADDING, .offset = offsetof(T, m), .size = 1,            \
		.count = sizeof(((T *)0)->m)                                                       \
	}
#define STATE_END                                                                                  \
	{                                                                                          \
		.kind = STATE_END_KIND                                                             \
	}
#define STATE_DESC(cls_, version_, T, fields_)                                                     \
	{                                                                                          \
		.cls = (cls_), .version = (version_), .size = sizeof(T), .fields = (fields_)       \
	}

/**
 * state_unnamed_bytes() - bytes of the struct (recursively) that no field names; overlaps count too
 * @ret_name: first gap's neighbour for the test's message, may be NULL.
 * Return: 0 when the table is complete.
 */
size_t state_unnamed_bytes(const struct state_desc *desc, const char **ret_name);

/** state_check() - every field of @obj in range? 0 or -EINVAL with the field named in @err. */
int state_check(const struct state_desc *desc, const void *obj, struct error *err) MUST_CHECK;

/* A growing byte stream being written. */
struct state_writer;

/** state_writer_new() - empty stream (header written on finish). Free with state_writer_free(). */
struct state_writer *state_writer_new(void);
void state_writer_free(struct state_writer *w);

/** state_save() - append object @id described by @desc. Order of calls is order in the stream. */
void state_save(struct state_writer *w, const char *id, const struct state_desc *desc,
		const void *obj);

/**
 * state_save_bytes() - append a raw section @id (class "bytes"), e.g. a variable store.
 */
void state_save_bytes(struct state_writer *w, const char *id, const void *bytes, size_t len);

/** state_writer_finish() - seal and return the bytes; owned by @w, valid until it is freed. */
const uint8_t *state_writer_finish(struct state_writer *w, size_t *ret_len);

/* A stream being read; the bytes are borrowed and untrusted. */
struct state_reader;

/** state_reader_new() - check header and CRC. 0, or -EINVAL/-ENODATA with text. */
int state_reader_new(const uint8_t *bytes, size_t len, struct state_reader **ret_r,
		     struct error *err) MUST_CHECK;
void state_reader_free(struct state_reader *r);

/**
 * state_load() - load the next object, which must be @id of @desc's class
 * @obj: in: reset values (kept for fields newer than the stream); out: loaded values. On failure
 *       @obj is unchanged.
 * Return: 0; -EINVAL (bad value, unknown field, wrong order, newer version), -ENODATA (short).
 */
int state_load(struct state_reader *r, const char *id, const struct state_desc *desc, void *obj,
	       struct error *err) MUST_CHECK;

/** state_load_bytes() - next raw section @id; copies exactly @len bytes or fails. */
int state_load_bytes(struct state_reader *r, const char *id, void *bytes, size_t len,
		     struct error *err) MUST_CHECK;

/** state_reader_end() - 0 when nothing is left, -EINVAL otherwise. */
int state_reader_end(struct state_reader *r, struct error *err) MUST_CHECK;

/** state_print_json() - new string: one JSON object, fields by name. Caller frees. */
char *state_print_json(const struct state_desc *desc, const void *obj);

/**
 * state_diff() - call @fn for each differing field (dotted path with indices)
 * Return: number of differing elements.
 */
unsigned state_diff(const struct state_desc *desc, const void *a, const void *b,
		    void (*fn)(void *ctx, const char *path, const char *val_a, const char *val_b),
		    void *ctx);

#endif
