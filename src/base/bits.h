/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register fields and unaligned little/big-endian access. All type punning of the tree happens here
 * through memcpy, so strict aliasing stays on.
 */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include <string.h>

#include "base/types.h"

#define BIT(n) (1ull << (n))

/* REG(PIT_CMD, 3) names a register offset; FIELD(CMD_RW, 4, 2) names bits 5:4 of a register. */
#define REG(name, off) enum { name = (off) };
#define FIELD(name, shift, width)                                                                  \
	enum { name##_SHIFT = (shift), name##_WIDTH = (width) };                                   \
	enum { name##_MASK = ((1ull << (width)) - 1) << (shift) };

/** field_get() - bits [shift+width-1 : shift] of @v; @width is 1..63. */
static inline uint64_t field_get(uint64_t v, unsigned shift, unsigned width)
{
	return (v >> shift) & ((1ull << width) - 1);
}

/** field_set() - @v with bits [shift+width-1 : shift] replaced by the low bits of @x. */
static inline uint64_t field_set(uint64_t v, unsigned shift, unsigned width, uint64_t x)
{
	uint64_t mask = ((1ull << width) - 1) << shift;
	return (v & ~mask) | ((x << shift) & mask);
}

#define GET(v, F)    field_get((v), F##_SHIFT, F##_WIDTH)
#define PUT(v, F, x) field_set((v), F##_SHIFT, F##_WIDTH, (x))

/* The host is little-endian x86-64: le helpers are plain copies. */
#define BITS_LOAD_STORE(bits)                                                                      \
	static inline uint##bits##_t ld_le##bits(const void *p)                                    \
	{                                                                                          \
		uint##bits##_t v;                                                                  \
		memcpy(&v, p, sizeof(v));                                                          \
		return v;                                                                          \
	}                                                                                          \
	static inline void st_le##bits(void *p, uint##bits##_t v)                                  \
	{                                                                                          \
		memcpy(p, &v, sizeof(v));                                                          \
	}                                                                                          \
	static inline uint##bits##_t ld_be##bits(const void *p)                                    \
	{                                                                                          \
		return __builtin_bswap##bits(ld_le##bits(p));                                      \
	}                                                                                          \
	static inline void st_be##bits(void *p, uint##bits##_t v)                                  \
	{                                                                                          \
		st_le##bits(p, __builtin_bswap##bits(v));                                          \
	}
BITS_LOAD_STORE(16)
BITS_LOAD_STORE(32)
BITS_LOAD_STORE(64)

/** ld_le() - 1, 2, 4 or 8 bytes, zero-extended. */
static inline uint64_t ld_le(const void *p, unsigned size)
{
	uint64_t v = 0;
	memcpy(&v, p, size <= 8 ? size : 8);
	return v;
}

/** st_le() - the low @size (1, 2, 4 or 8) bytes of @v. */
static inline void st_le(void *p, unsigned size, uint64_t v)
{
	memcpy(p, &v, size <= 8 ? size : 8);
}

/** mask_bytes() - all ones in the low @size bytes; @size is 1..8. */
static inline uint64_t mask_bytes(unsigned size)
{
	return size >= 8 ? ~0ull : (1ull << (size * 8)) - 1;
}

/** sext() - sign-extend the low @bits (1..64) of @v. */
static inline int64_t sext(uint64_t v, unsigned bits)
{
	return (int64_t)(v << (64 - bits)) >> (64 - bits);
}

static inline uint64_t align_down(uint64_t v, uint64_t to)
{
	return v & ~(to - 1);
}

static inline uint64_t align_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) & ~(to - 1);
}

/* Checked arithmetic: true on overflow (C23 stdckdint spelling). */
#define ckd_add(r, a, b) __builtin_add_overflow((a), (b), (r))
#define ckd_sub(r, a, b) __builtin_sub_overflow((a), (b), (r))
#define ckd_mul(r, a, b) __builtin_mul_overflow((a), (b), (r))

#endif
