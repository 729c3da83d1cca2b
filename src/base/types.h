/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unit typedefs: the one header that owns names ending in _t.
 */
#ifndef BASE_TYPES_H
#define BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t gpa_t; /* guest-physical address, bytes */
typedef uint64_t gva_t; /* guest-linear address, bytes (after segmentation) */
typedef uint64_t ns_t;  /* nanoseconds */

#define NS_PER_SEC 1000000000ull
#define NS_PER_MS  1000000ull
#define NS_PER_US  1000ull

#define KIB 1024ull
#define MIB (1024ull * KIB)
#define GIB (1024ull * MIB)

#endif
