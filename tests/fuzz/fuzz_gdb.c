/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gdb packet machine and its number parsers on arbitrary bytes: no packet longer than
 * announced, always NUL-terminated, and replies stay inside their buffer.
 */
#include <stdlib.h>
#include <string.h>

#include "control/gdb_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gdb_in *in = xnew(struct gdb_in);
	struct gdb_out *out = xnew(struct gdb_out);

	for (size_t i = 0; i < size; i++) {
		const char *p = in->data;
		uint8_t bytes[64];
		uint64_t val;

		if (gdb_in_byte(in, data[i]) != GDB_EV_PACKET)
			continue;
		check(in->len <= GDB_PACKET_MAX && in->data[in->len] == '\0');
		while (*p) {
			if (!gdb_parse_hex(&p, &val) && gdb_parse_bytes(&p, bytes, 64) == 0)
				p++;
		}
		gdb_out_begin(out);
		for (unsigned n = 0; n < 5; n++) {
			gdb_out_hex(out, in->data, in->len);
			gdb_out_binary(out, in->data, in->len);
			gdb_out_printf(out, "%s", in->data);
		}
		gdb_out_end(out);
		check(out->len <= sizeof(out->buf));
	}
	free(in);
	free(out);
	return 0;
}
