/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is parsed of a network back end's bytes: length-prefixed frames of a stream (net/deframe.h),
 * the NAT's filter for both directions, its configuration message.
 *
 * Input: byte 0 selects the parser, byte 1 varies it, the rest are the bytes to parse.
 */
#include <stdlib.h>
#include <string.h>

#include "net/deframe.h"
#include "net/nat_filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Make the headers of @p plausible, or random bytes would rarely be more than one bad header. */
static void chain_headers(uint8_t *p, size_t size)
{
	for (size_t at = 0; at + DEFRAME_HEADER <= size; at += DEFRAME_HEADER + p[at + 3])
		memset(p + at, 0, 3);
}

/* In pieces of 1 to 256 bytes; each frame must lie inside what was put in. */
static void fuzz_deframe(uint8_t step, const uint8_t *data, size_t size)
{
	struct deframe *d = xnew(struct deframe);
	size_t out = 0, in = 0;

	while (in < size) {
		const uint8_t *frame;
		uint8_t *p;
		size_t len, room = deframe_space(d, &p), n = MIN((size_t)step + 1, size - in);
		int r;

		check(room > 0);
		n = MIN(n, room);
		memcpy(p, data + in, n);
		deframe_filled(d, n);
		in += n;
		while ((r = deframe_next(d, &frame, &len)) == 1) {
			check(len > 0 && len <= NET_FRAME_MAX);
			check(frame >= d->buf && frame + len <= d->buf + DEFRAME_BUF);
			check(memcmp(frame, data + out + DEFRAME_HEADER, len) == 0);
			out += DEFRAME_HEADER + len;
			check(out <= in);
		}
		if (r < 0)
			break;
	}
	free(d);
}

/* Most random frames have an unknown type: choose one by @how. */
static void set_type(uint8_t how, uint8_t *frame, size_t size)
{
	static const struct {
		uint8_t type[2], version;
	} types[] = {{{0x08, 0x00}, 0x45}, {{0x86, 0xdd}, 0x60}, {{0x08, 0x06}, 0}};

	if (how == 3 || size < 15)
		return;
	memcpy(frame + 12, types[how].type, 2);
	frame[14] = types[how].version;
	if (how == 0 && size >= 34)
		memcpy(frame + 26, (uint8_t[]){10, 0, 2, 2, 10, 0, 2}, 7);
}

static void fuzz_filter(uint8_t how, const uint8_t *data, size_t size)
{
	struct nat_config cfg = {.restrict_host = how & 1, .n_forwards = 1};
	struct nat_filter f;
	uint8_t *copy = malloc(size ? size : 1); /* exact size, for the address sanitizer */

	cfg.forwards[0] =
		(struct nat_forward){.udp = how >> 1 & 1, .host_port = 1, .guest_port = 53};
	nat_filter_init(&f, &cfg);
	memcpy(copy, data, size);
	set_type(how >> 2 & 3, copy, size);
	nat_filter_in(&f, copy, size);
	if (nat_filter_out(&f, copy, size)) {
		check(size >= 14 && size <= NAT_FRAME_MAX);
		check(nat_filter_out(&f, copy, size)); /* mending changes no verdict */
		if (copy[12] == 0x08 && copy[13] == 0x00)
			check(copy[30] != 127 && copy[30] != 0);
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	switch (data[0] % 3) {
	case 0: {
		uint8_t *copy = malloc(size);

		memcpy(copy, data, size);
		if (data[1] & 1)
			chain_headers(copy + 2, size - 2);
		fuzz_deframe(data[1], copy + 2, size - 2);
		free(copy);
		break;
	}
	case 1: fuzz_filter(data[1], data + 2, size - 2); break;
	default:
		if (nat_config_valid(data + 2, size - 2))
			check(size - 2 == sizeof(struct nat_config));
		break;
	}
	return 0;
}
