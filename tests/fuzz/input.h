/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of one fuzz input, taken from the front; zeros when it has come to its end. */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>

struct fuzz_input {
	const uint8_t *p;
	size_t left;
};

static inline uint8_t fuzz_u8(struct fuzz_input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->p++;
}

static inline uint16_t fuzz_u16(struct fuzz_input *in)
{
	uint8_t low = fuzz_u8(in);

	return (uint16_t)(low | fuzz_u8(in) << 8);
}

static inline uint32_t fuzz_u32(struct fuzz_input *in)
{
	uint16_t low = fuzz_u16(in);

	return low | (uint32_t)fuzz_u16(in) << 16;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
