/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Described objects as JSON. Numbers above 2^63-1, which JSON readers disagree about, become
 * strings "0x..."; raw bytes become one string of hexadecimal digits. Padding is left out.
 */
#include "state/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

static json_t *fields_json(const struct state_field *fields, const uint8_t *base);

static json_t *elem_json(const struct state_field *f, const uint8_t *elem)
{
	uint64_t v;
	char text[32];

	if (f->kind == STATE_NESTED)
		return fields_json(f->fields, elem);
	v = state_value(f, elem);
	if (f->kind == STATE_BOOL)
		return json_boolean(v != 0);
	if (state_signed(f->kind) || v <= INT64_MAX)
		return json_integer((json_int_t)v);
	snprintf(text, sizeof(text), "0x%" PRIx64, v);
	return json_string(text);
}

static json_t *bytes_json(const uint8_t *bytes, uint32_t count)
{
	static const char digits[] = "0123456789abcdef";
	char *text = xcalloc((size_t)count * 2 + 1, 1);
	json_t *j;

	for (uint32_t i = 0; i < count; i++) {
		text[i * 2] = digits[bytes[i] >> 4];
		text[i * 2 + 1] = digits[bytes[i] & 15];
	}
	j = json_string(text);
	free(text);
	return j;
}

static json_t *fields_json(const struct state_field *fields, const uint8_t *base)
{
	json_t *obj = json_object();

	check(obj != NULL);
	for (const struct state_field *f = fields; f->kind != STATE_END_KIND; f++) {
		const uint8_t *mem = base + f->offset;
		json_t *j;

		if (f->kind == STATE_PADDING)
			continue;
		if (f->kind == STATE_BYTES) {
			j = bytes_json(mem, f->count);
		} else if (f->count == 1) {
			j = elem_json(f, mem);
		} else {
			j = json_array();
			for (uint32_t i = 0; i < f->count; i++)
				json_array_append_new(j, elem_json(f, mem + (size_t)i * f->size));
		}
		json_object_set_new(obj, f->name, j);
	}
	return obj;
}

char *state_print_json(const struct state_desc *desc, const void *obj)
{
	json_t *j = fields_json(desc->fields, obj);
	char *text = json_dumps(j, JSON_INDENT(2));

	check(text != NULL);
	json_decref(j);
	return text;
}
