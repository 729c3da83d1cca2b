/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AML builder (acpi_aml.h). ACPI Specification 6.4, 20.2: encodings of names, integers, package
 * lengths; 6.4.2, 6.4.3: resource descriptors.
 *
 * UNMODELLED: everything our tables don't need: While, Else, Mutex, Event, BankField, multi-byte
 * buffers other than resource templates.
 */
#include "machine/acpi_aml.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

enum {
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	OP_DUAL_NAME = 0x2e,
	OP_MULTI_NAME = 0x2f,
	OP_EXT = 0x5b,
	OP_IF = 0xa0,
	EXT_REGION = 0x80,
	EXT_FIELD = 0x81,
	EXT_DEVICE = 0x82,
};

void aml_init(struct aml *a)
{
	memset(a, 0, sizeof(*a));
}

void aml_done(struct aml *a)
{
	free(a->buf);
	memset(a, 0, sizeof(*a));
}

static void put(struct aml *a, const void *bytes, size_t n)
{
	if (a->len + n > a->cap) {
		a->cap = (a->len + n) * 2;
		a->buf = xrealloc(a->buf, a->cap, 1);
	}
	memcpy(a->buf + a->len, bytes, n);
	a->len += n;
}

static void put_le(struct aml *a, uint64_t v, unsigned size)
{
	uint8_t b[8];

	st_le64(b, v);
	put(a, b, size);
}

static void insert(struct aml *a, size_t at, const uint8_t *bytes, size_t n)
{
	put(a, bytes, n);
	memmove(a->buf + at + n, a->buf + at, a->len - n - at);
	memcpy(a->buf + at, bytes, n);
}

void aml_op(struct aml *a, uint8_t op)
{
	put_le(a, op, 1);
}

static void put_segment(struct aml *a, const char *s, size_t n)
{
	char seg[4] = {'_', '_', '_', '_'};

	check(n >= 1 && n <= 4);
	memcpy(seg, s, n);
	put(a, seg, 4);
}

void aml_path(struct aml *a, const char *path)
{
	unsigned n = 1;

	while (*path == '\\' || *path == '^')
		put(a, path++, 1);
	if (!*path) {
		put_le(a, 0, 1); /* NullName */
		return;
	}
	for (const char *p = path; *p; p++)
		n += *p == '.';
	if (n == 2)
		aml_op(a, OP_DUAL_NAME);
	else if (n > 2)
		aml_op(a, OP_MULTI_NAME), put_le(a, n, 1);
	while (n--) {
		size_t len = strcspn(path, ".");

		put_segment(a, path, len);
		path += len + (path[len] == '.');
	}
}

void aml_int(struct aml *a, uint64_t v)
{
	if (v <= 1) {
		aml_op(a, (uint8_t)v);
	} else if (v <= 0xff) {
		aml_op(a, OP_BYTE);
		put_le(a, v, 1);
	} else if (v <= 0xffff) {
		aml_op(a, OP_WORD);
		put_le(a, v, 2);
	} else if (v <= 0xffffffff) {
		aml_op(a, OP_DWORD);
		put_le(a, v, 4);
	} else {
		aml_op(a, OP_QWORD);
		put_le(a, v, 8);
	}
}

void aml_string(struct aml *a, const char *s)
{
	aml_op(a, OP_STRING);
	put(a, s, strlen(s) + 1);
}

static unsigned hex(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'A' + 10);
}

void aml_eisaid(struct aml *a, const char *id)
{
	uint32_t v;

	check(strlen(id) == 7);
	v = (uint32_t)(id[0] - '@') << 26 | (uint32_t)(id[1] - '@') << 21 |
	    (uint32_t)(id[2] - '@') << 16 | hex(id[3]) << 12 | hex(id[4]) << 8 | hex(id[5]) << 4 |
	    hex(id[6]);
	aml_op(a, OP_DWORD);
	put_le(a, __builtin_bswap32(v), 4);
}

void aml_name(struct aml *a, const char *path)
{
	aml_op(a, OP_NAME);
	aml_path(a, path);
}

void aml_name_int(struct aml *a, const char *path, uint64_t v)
{
	aml_name(a, path);
	aml_int(a, v);
}

void aml_name_string(struct aml *a, const char *path, const char *s)
{
	aml_name(a, path);
	aml_string(a, s);
}

void aml_name_eisaid(struct aml *a, const char *path, const char *id)
{
	aml_name(a, path);
	aml_eisaid(a, id);
}

static void open_pkg(struct aml *a, bool is_res)
{
	check(a->depth < AML_DEPTH);
	a->open[a->depth].at = a->len;
	a->open[a->depth].is_res = is_res;
	a->depth++;
}

void aml_open_scope(struct aml *a, const char *path)
{
	aml_op(a, OP_SCOPE);
	open_pkg(a, false);
	aml_path(a, path);
}

void aml_open_device(struct aml *a, const char *name)
{
	aml_op(a, OP_EXT);
	aml_op(a, EXT_DEVICE);
	open_pkg(a, false);
	aml_path(a, name);
}

void aml_open_method(struct aml *a, const char *name, unsigned n_args, bool serialized)
{
	aml_op(a, OP_METHOD);
	open_pkg(a, false);
	aml_path(a, name);
	put_le(a, n_args | (serialized ? 8 : 0), 1);
}

void aml_open_if(struct aml *a)
{
	aml_op(a, OP_IF);
	open_pkg(a, false);
}

void aml_open_package(struct aml *a, uint8_t n)
{
	aml_op(a, OP_PACKAGE);
	open_pkg(a, false);
	put_le(a, n, 1);
}

void aml_open_resources(struct aml *a)
{
	aml_op(a, OP_BUFFER);
	open_pkg(a, true);
}

void aml_region(struct aml *a, const char *name, uint8_t space, uint64_t off, uint64_t len)
{
	aml_op(a, OP_EXT);
	aml_op(a, EXT_REGION);
	aml_path(a, name);
	put_le(a, space, 1);
	aml_int(a, off);
	aml_int(a, len);
}

void aml_open_field(struct aml *a, const char *region)
{
	aml_op(a, OP_EXT);
	aml_op(a, EXT_FIELD);
	open_pkg(a, false);
	aml_path(a, region);
	put_le(a, 0x01, 1); /* ByteAcc, NoLock, Preserve */
}

/* PkgLength without its own bytes: 20.2.4. @self: the length counts its own bytes (objects, not
 * field units). Returns the encoded size. */
static unsigned pkg_length(uint8_t out[4], size_t len, bool self)
{
	unsigned n;

	for (n = 1; n <= 4; n++) {
		size_t total = len + (self ? n : 0);
		size_t limit = n == 1 ? 0x3f : ((size_t)1 << (4 + 8 * (n - 1))) - 1;

		if (total > limit)
			continue;
		if (n == 1) {
			out[0] = (uint8_t)total;
			return 1;
		}
		out[0] = (uint8_t)((n - 1) << 6 | (total & 0xf));
		for (unsigned i = 1; i < n; i++)
			out[i] = (uint8_t)(total >> (4 + 8 * (i - 1)));
		return n;
	}
	check(n <= 4);
	return 0;
}

void aml_field_unit(struct aml *a, const char *name, unsigned bits)
{
	uint8_t len[4];
	unsigned n = pkg_length(len, bits, false);

	if (name)
		put_segment(a, name, strlen(name));
	else
		put_le(a, 0, 1); /* ReservedField */
	put(a, len, n);
}

void aml_close(struct aml *a)
{
	uint8_t bytes[4];
	size_t at;

	check(a->depth > 0);
	a->depth--;
	at = a->open[a->depth].at;
	if (a->open[a->depth].is_res) {
		struct aml size;

		put_le(a, 0x79, 1); /* end tag; checksum 0 = not checked, 6.4.2.9 */
		put_le(a, 0, 1);
		aml_init(&size);
		aml_int(&size, a->len - at);
		insert(a, at, size.buf, size.len);
		aml_done(&size);
	}
	insert(a, at, bytes, pkg_length(bytes, a->len - at, true));
}

void aml_res_io(struct aml *a, uint16_t base, uint8_t align, uint8_t len)
{
	put_le(a, 0x47, 1); /* 6.4.2.5 */
	put_le(a, 0x01, 1); /* decodes 16 bits */
	put_le(a, base, 2);
	put_le(a, base, 2);
	put_le(a, align, 1);
	put_le(a, len, 1);
}

void aml_res_dma(struct aml *a, unsigned channel)
{
	aml_op(a, 0x2a);
	aml_op(a, (uint8_t)(1u << channel));
	aml_op(a, 0);
}

void aml_res_irq(struct aml *a, uint16_t mask)
{
	put_le(a, 0x22, 1); /* 6.4.2.1, no flags byte: edge, active high, exclusive */
	put_le(a, mask, 2);
}

void aml_res_interrupt(struct aml *a, bool level, bool shared, const uint32_t *gsi, unsigned n)
{
	put_le(a, 0x89, 1); /* 6.4.3.6 */
	put_le(a, 2 + 4 * n, 2);
	put_le(a, 1 /* consumer */ | (level ? 0 : 2) | (shared ? 8 : 0), 1);
	put_le(a, n, 1);
	for (unsigned i = 0; i < n; i++)
		put_le(a, gsi[i], 4);
}

void aml_res_memory32(struct aml *a, uint32_t base, uint32_t len, bool writable)
{
	put_le(a, 0x86, 1); /* 6.4.3.4 */
	put_le(a, 9, 2);
	put_le(a, writable, 1);
	put_le(a, base, 4);
	put_le(a, len, 4);
}

/* Word, DWord and QWord address space descriptors, 6.4.3.5 */
static void res_window(struct aml *a, uint8_t tag, unsigned size, uint8_t type, uint8_t specific,
		       uint64_t min, uint64_t max)
{
	put_le(a, tag, 1);
	put_le(a, 3 + 5 * size, 2);
	put_le(a, type, 1);
	put_le(a, 0x0c, 1); /* producer, positive decode, min and max fixed */
	put_le(a, specific, 1);
	put_le(a, 0, size); /* granularity */
	put_le(a, min, size);
	put_le(a, max, size);
	put_le(a, 0, size); /* translation */
	put_le(a, max - min + 1, size);
}

void aml_res_bus(struct aml *a, uint16_t min, uint16_t max)
{
	res_window(a, 0x88, 2, 2, 0, min, max);
}

void aml_res_window_io(struct aml *a, uint16_t min, uint16_t max)
{
	res_window(a, 0x88, 2, 1, 0x03 /* whole range, ISA and non-ISA */, min, max);
}

void aml_res_window_mem32(struct aml *a, uint32_t min, uint32_t max, bool cacheable)
{
	res_window(a, 0x87, 4, 0, cacheable ? 0x03 : 0x01, min, max);
}

void aml_res_window_mem64(struct aml *a, uint64_t min, uint64_t max)
{
	res_window(a, 0x8a, 8, 0, 0x01, min, max);
}
