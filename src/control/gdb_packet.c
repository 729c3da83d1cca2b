/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GDB remote protocol framing (control/gdb_packet.h). The peer is not trusted: every buffer is
 * fixed, a packet that does not fit is swallowed to its end and refused.
 */
#include "control/gdb_packet.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void in_append(struct gdb_in *in, char c)
{
	if (in->len < GDB_PACKET_MAX)
		in->data[in->len++] = c;
	else
		in->too_long = true;
}

static enum gdb_event in_finish(struct gdb_in *in)
{
	bool good = !in->too_long && in->sum == in->want;

	in->state = GDB_IN_IDLE;
	in->data[in->len] = '\0';
	return good ? GDB_EV_PACKET : GDB_EV_BAD;
}

enum gdb_event gdb_in_byte(struct gdb_in *in, uint8_t byte)
{
	int hex = gdb_hex_val((char)byte);

	switch (in->state) {
	case GDB_IN_IDLE:
		if (byte == 0x03)
			return GDB_EV_INTERRUPT;
		if (byte == '-')
			return GDB_EV_NAK;
		if (byte == '$') {
			in->state = GDB_IN_DATA;
			in->len = 0;
			in->sum = 0;
			in->too_long = false;
		}
		return GDB_EV_NONE;
	case GDB_IN_DATA:
		if (byte == '#') {
			in->state = GDB_IN_SUM1;
			return GDB_EV_NONE;
		}
		in->sum = (uint8_t)(in->sum + byte);
		if (byte == '}')
			in->state = GDB_IN_ESCAPE;
		else
			in_append(in, (char)byte);
		return GDB_EV_NONE;
	case GDB_IN_ESCAPE:
		in->sum = (uint8_t)(in->sum + byte);
		in_append(in, (char)(byte ^ 0x20));
		in->state = GDB_IN_DATA;
		return GDB_EV_NONE;
	case GDB_IN_SUM1:
		in->want = (uint8_t)((hex < 0 ? 0 : hex) << 4);
		in->too_long |= hex < 0;
		in->state = GDB_IN_SUM2;
		return GDB_EV_NONE;
	case GDB_IN_SUM2:
		in->want |= (uint8_t)(hex < 0 ? 0 : hex);
		in->too_long |= hex < 0;
		return in_finish(in);
	}
	return GDB_EV_NONE;
}

static void out_raw(struct gdb_out *out, char c)
{
	/* keep room for "#cc" */
	if (out->len + 4 >= sizeof(out->buf)) {
		out->full = true;
		return;
	}
	out->buf[out->len++] = c;
	out->sum = (uint8_t)(out->sum + (uint8_t)c);
}

void gdb_out_begin(struct gdb_out *out)
{
	out->len = 0;
	out->full = false;
	out_raw(out, '$');
	out->sum = 0;
}

void gdb_out_str(struct gdb_out *out, const char *s)
{
	while (*s)
		out_raw(out, *s++);
}

void gdb_out_printf(struct gdb_out *out, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	gdb_out_str(out, text);
}

void gdb_out_hex(struct gdb_out *out, const void *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *b = bytes;

	for (size_t i = 0; i < n; i++) {
		out_raw(out, digits[b[i] >> 4]);
		out_raw(out, digits[b[i] & 15]);
	}
}

void gdb_out_binary(struct gdb_out *out, const void *bytes, size_t n)
{
	const char *b = bytes;

	for (size_t i = 0; i < n; i++) {
		if (b[i] == '#' || b[i] == '$' || b[i] == '}' || b[i] == '*') {
			out_raw(out, '}');
			out_raw(out, b[i] ^ 0x20);
		} else {
			out_raw(out, b[i]);
		}
	}
}

void gdb_out_end(struct gdb_out *out)
{
	out->len += (unsigned)snprintf(out->buf + out->len, 4, "#%02x", out->sum);
}

int gdb_hex_val(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool gdb_parse_hex(const char **p, uint64_t *ret_val)
{
	uint64_t val = 0;
	unsigned n = 0;

	while (gdb_hex_val(**p) >= 0) {
		if (n++ == 16)
			return false;
		val = val << 4 | (unsigned)gdb_hex_val(*(*p)++);
	}
	if (n == 0)
		return false;
	*ret_val = val;
	return true;
}

size_t gdb_parse_bytes(const char **p, uint8_t *ret_bytes, size_t max)
{
	size_t n = 0;

	while (n < max && gdb_hex_val((*p)[0]) >= 0 && gdb_hex_val((*p)[1]) >= 0) {
		ret_bytes[n++] = (uint8_t)(gdb_hex_val((*p)[0]) << 4 | gdb_hex_val((*p)[1]));
		*p += 2;
	}
	return n;
}
