/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leak detector of AddressSanitizer finds pointers in the C library's memory alone, unless it
 * is told of more.
 */
#ifndef BASE_LEAKS_H
#define BASE_LEAKS_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define LEAKS_LOOKED_FOR 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAKS_LOOKED_FOR 1
#endif
#endif
#ifdef LEAKS_LOOKED_FOR
#include <sanitizer/lsan_interface.h>
#endif

/** leaks_look_in() - does the mapping of @size bytes at @p have pointers? False before it goes. */
static inline void leaks_look_in(const void *p, size_t size, bool has)
{
#ifdef LEAKS_LOOKED_FOR
	if (has)
		__lsan_register_root_region(p, size);
	else
		__lsan_unregister_root_region(p, size);
#else
	(void)p;
	(void)size;
	(void)has;
#endif
}

#endif
