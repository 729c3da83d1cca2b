/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that a driver sends to endpoint 0 (USB 2.0, 9.4; HID 1.11, 7.2; BOT 1.0, 3), for fuzzers
 * of USB host controllers: by chance alone none would be right. */
#ifndef TESTS_FUZZ_USB_SETUP_H
#define TESTS_FUZZ_USB_SETUP_H

#include <string.h>

#include "base/base.h"
#include "input.h"

/** fuzz_setup() - the eight bytes of a request, now and then with one of them changed. */
static inline void fuzz_setup(struct fuzz_input *in, uint8_t to[8])
{
	static const uint8_t requests[][8] = {
		{0x80, 6, 0, 1, 0, 0, 64, 0},   {0x80, 6, 0, 2, 0, 0, 255, 0},
		{0x80, 6, 0, 3, 0, 0, 255, 0},  {0x80, 6, 1, 3, 9, 4, 255, 0},
		{0x80, 6, 2, 3, 9, 4, 255, 0},  {0x80, 6, 3, 3, 9, 4, 255, 0},
		{0x80, 6, 0, 6, 0, 0, 10, 0},   {0x80, 6, 0, 15, 0, 0, 64, 0},
		{0x00, 5, 1, 0, 0, 0, 0, 0},    {0x00, 9, 1, 0, 0, 0, 0, 0},
		{0x00, 9, 1, 0, 0, 0, 0, 0},    {0x80, 8, 0, 0, 0, 0, 1, 0},
		{0x80, 0, 0, 0, 0, 0, 2, 0},    {0x82, 0, 0, 0, 0x81, 0, 2, 0},
		{0x02, 1, 0, 0, 0x81, 0, 0, 0}, {0x02, 3, 0, 0, 0x81, 0, 0, 0},
		{0x00, 3, 1, 0, 0, 0, 0, 0},    {0x00, 1, 1, 0, 0, 0, 0, 0},
		{0x81, 6, 0, 0x21, 0, 0, 9, 0}, {0x81, 6, 0, 0x22, 0, 0, 255, 0},
		{0x21, 10, 0, 1, 0, 0, 0, 0},   {0x21, 11, 0, 0, 0, 0, 0, 0},
		{0x21, 11, 1, 0, 0, 0, 0, 0},   {0xa1, 1, 0, 1, 0, 0, 8, 0},
		{0x21, 9, 0, 2, 0, 0, 1, 0},    {0xa1, 2, 0, 0, 0, 0, 1, 0},
		{0xa1, 3, 0, 0, 0, 0, 1, 0},    {0x81, 10, 0, 0, 0, 0, 1, 0},
		{0x01, 11, 0, 0, 0, 0, 0, 0},   {0x21, 0xff, 0, 0, 0, 0, 0, 0},
		{0xa1, 0xfe, 0, 0, 0, 0, 1, 0}, {0x00, 0x30, 0, 0, 0, 0, 6, 0},
	};
	uint8_t how = fuzz_u8(in);

	memcpy(to, requests[how % ARRAY_SIZE(requests)], 8);
	if (how >= 0xe0)
		to[fuzz_u8(in) & 7] = fuzz_u8(in);
}

#endif
