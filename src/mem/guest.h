/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads and stores of guest RAM by C code.
 *
 * Guest RAM is shared with the guest's processors, whose accesses are whatever the guest's program
 * makes them. What they see of each other is decided by the host's memory model, which is the
 * guest's own (x86-TSO: Intel SDM vol. 3, 9.2). So two parties at the same bytes without a lock are
 * the guest's race, not ours; what a processor promises must still hold:
 *
 * - an element of 1, 2, 4 or 8 bytes is one access of the host (9.1.1 wants that for aligned ones);
 * - no byte is stored twice by one store, which memcpy() may do: between the two another processor
 *   may have written it.
 *
 * A race detector is told to look away here and nowhere else: that is GUEST_RAM_ACCESS. Under it
 * the library's copy functions must not be called either, since they are watched too.
 */
#ifndef MEM_GUEST_H
#define MEM_GUEST_H

#include "base/base.h"

#if defined(__SANITIZE_THREAD__)
#define GUEST_RAM_WATCHED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GUEST_RAM_WATCHED 1
#endif
#endif
#ifdef GUEST_RAM_WATCHED
#define GUEST_RAM_ACCESS __attribute__((no_sanitize("thread")))
#else
#define GUEST_RAM_ACCESS
#endif

/* Guest bytes have no declared type and no alignment; volatile: one access each, as written. */
typedef uint64_t __attribute__((may_alias, aligned(1))) guest64_t;
typedef uint32_t __attribute__((may_alias, aligned(1))) guest32_t;
typedef uint16_t __attribute__((may_alias, aligned(1))) guest16_t;

/** guest_load() - one element of @size (1, 2, 4 or 8) bytes of guest RAM, zero-extended. */
GUEST_RAM_ACCESS static inline uint64_t guest_load(const void *ram, unsigned size)
{
	switch (size) {
	case 1: return *(const volatile uint8_t *)ram;
	case 2: return *(const volatile guest16_t *)ram;
	case 4: return *(const volatile guest32_t *)ram;
	default: return *(const volatile guest64_t *)ram;
	}
}

/** guest_store() - the low @size (1, 2, 4 or 8) bytes of @val as one element. */
GUEST_RAM_ACCESS static inline void guest_store(void *ram, unsigned size, uint64_t val)
{
	switch (size) {
	case 1: *(volatile uint8_t *)ram = (uint8_t)val; break;
	case 2: *(volatile guest16_t *)ram = (uint16_t)val; break;
	case 4: *(volatile guest32_t *)ram = (uint32_t)val; break;
	default: *(volatile guest64_t *)ram = val; break;
	}
}

/** guest_copy() - @size bytes to, from or inside guest RAM, lowest first, each byte once. 1, 2, 4,
 * 8 and 16 bytes are one access; others go by 8 and fewer. Must not overlap upwards. */
GUEST_RAM_ACCESS static inline void guest_copy(void *to, const void *from, size_t size)
{
	uint8_t *d = to;
	const uint8_t *s = from;

	if (size == 16) {
		__builtin_memcpy(d, s, 16);
		return;
	}
	for (; size >= 8; size -= 8, d += 8, s += 8)
		*(volatile guest64_t *)d = *(const volatile guest64_t *)s;
	if (size & 4) {
		*(volatile guest32_t *)d = *(const volatile guest32_t *)s;
		d += 4, s += 4;
	}
	if (size & 2) {
		*(volatile guest16_t *)d = *(const volatile guest16_t *)s;
		d += 2, s += 2;
	}
	if (size & 1)
		*(volatile uint8_t *)d = *(const volatile uint8_t *)s;
}

/** guest_copy_bulk() - like memmove() for buffers and strings, where nobody counts the stores. */
GUEST_RAM_ACCESS static inline void guest_copy_bulk(void *to, const void *from, size_t size)
{
#ifdef GUEST_RAM_WATCHED
	volatile uint8_t *d = to;
	const volatile uint8_t *s = from;

	if ((uintptr_t)to - (uintptr_t)from >= size)
		guest_copy(to, from, size);
	else
		while (size--)
			d[size] = s[size];
#else
	__builtin_memmove(to, from, size);
#endif
}

/** guest_fill() - like memset(). */
GUEST_RAM_ACCESS static inline void guest_fill(void *ram, uint8_t val, size_t size)
{
#ifdef GUEST_RAM_WATCHED
	volatile uint8_t *d = ram;

	while (size--)
		*d++ = val;
#else
	__builtin_memset(ram, val, size);
#endif
}

/** guest_equal() - are @size bytes of guest RAM those at @bytes? */
GUEST_RAM_ACCESS static inline bool guest_equal(const void *ram, const void *bytes, size_t size)
{
#ifdef GUEST_RAM_WATCHED
	const volatile uint8_t *a = ram, *b = bytes;

	while (size--)
		if (*a++ != *b++)
			return false;
	return true;
#else
	return !__builtin_memcmp(ram, bytes, size);
#endif
}

#endif
