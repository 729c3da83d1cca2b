/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Framing of the GDB remote serial protocol (GDB manual, appendix E.1): `$data#cc` with escapes,
 * `+` and `-` acknowledgements, 0x03 as interrupt. A pure byte machine with fixed buffers, so that
 * it can be fuzzed alone.
 */
#ifndef CONTROL_GDB_PACKET_H
#define CONTROL_GDB_PACKET_H

#include "base/base.h"

#define GDB_PACKET_MAX 0x4000u /* bytes of one packet's data, as announced in qSupported */

enum gdb_event {
	GDB_EV_NONE,
	GDB_EV_PACKET,    /* in->data, in->len; NUL-terminated */
	GDB_EV_BAD,       /* check sum wrong or too long: answer '-' */
	GDB_EV_INTERRUPT, /* 0x03 */
	GDB_EV_NAK,       /* peer wants the last reply again */
};

struct gdb_in {
	enum { GDB_IN_IDLE, GDB_IN_DATA, GDB_IN_ESCAPE, GDB_IN_SUM1, GDB_IN_SUM2 } state;
	bool too_long;
	uint8_t sum, want;
	unsigned len;
	char data[GDB_PACKET_MAX + 1];
};

/** gdb_in_byte() - feed one byte from the peer; what it completed. */
enum gdb_event gdb_in_byte(struct gdb_in *in, uint8_t byte);

/* A reply being built: always framed and terminated, truncated when the buffer is full. */
struct gdb_out {
	unsigned len; /* bytes in buf */
	bool full;
	uint8_t sum;
	char buf[2 * GDB_PACKET_MAX + 8];
};

void gdb_out_begin(struct gdb_out *out);
void gdb_out_str(struct gdb_out *out, const char *s);
void gdb_out_printf(struct gdb_out *out, const char *fmt, ...) PRINTF_LIKE(2, 3);
/** gdb_out_hex() - @n bytes as 2n hex digits. */
void gdb_out_hex(struct gdb_out *out, const void *bytes, size_t n);
/** gdb_out_binary() - @n bytes with the protocol's binary escapes. */
void gdb_out_binary(struct gdb_out *out, const void *bytes, size_t n);
void gdb_out_end(struct gdb_out *out);

/** gdb_hex_val() - 0..15, or -1. */
int gdb_hex_val(char c);
/** gdb_parse_hex() - big-endian hex number at *@p, advancing it; false when there is no digit or it
 * has more than 16. */
bool gdb_parse_hex(const char **p, uint64_t *ret_val);
/** gdb_parse_bytes() - up to @max bytes of hex pairs; returns how many. */
size_t gdb_parse_bytes(const char **p, uint8_t *ret_bytes, size_t max);

#endif
