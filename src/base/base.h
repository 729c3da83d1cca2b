/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The few macros every file may use, the two kinds of assertion, and allocation.
 *
 * Three kinds of failure have three mechanisms (docs/architecture.md): the guest did something odd
 * (do what hardware does, count it), the host failed (negative errno, base/err.h), our own bug:
 * check() stays on in release builds, dcheck() is for hot paths and exists in debug builds only.
 * Neither may ever depend on a value that a guest, an image, a snapshot or a peer chose.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include "base/types.h"

#define ARRAY_SIZE(a)                 (sizeof(a) / sizeof((a)[0]))
#define MUST_CHECK                    __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a)             __attribute__((format(printf, f, a)))
#define CLEANUP(fn)                   __attribute__((cleanup(fn)))
#define LIKELY(x)                     __builtin_expect(!!(x), 1)
#define UNLIKELY(x)                   __builtin_expect(!!(x), 0)
#define CONTAINER_OF(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))

#define MIN(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) min_a_ = (a);                                                        \
		__typeof__(b) min_b_ = (b);                                                        \
		min_a_ < min_b_ ? min_a_ : min_b_;                                                 \
	})
#define MAX(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) max_a_ = (a);                                                        \
		__typeof__(b) max_b_ = (b);                                                        \
		max_a_ > max_b_ ? max_a_ : max_b_;                                                 \
	})

/** check_failed() - print the failed condition and abort; never returns. Any thread. */
_Noreturn void check_failed(const char *cond, const char *file, int line);

#define check(c) (LIKELY(c) ? (void)0 : check_failed(#c, __FILE__, __LINE__))
#ifdef BOTHY_DEBUG
#define dcheck(c) check(c)
#else
#define dcheck(c) ((void)sizeof(!(c)))
#endif

/**
 * xcalloc() - zeroed memory for a fixed program structure; aborts when the host has none.
 * @n: elements. @size: bytes each. Overflow of the product aborts. Any thread.
 * Never use it for sizes chosen by guest or image: that is xtry_calloc().
 */
void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));

/** xtry_calloc() - like xcalloc(), but NULL on overflow or lack of memory. Any thread. */
void *xtry_calloc(size_t n, size_t size) MUST_CHECK;

/** xrealloc() - resize a fixed program structure to @n x @size bytes; aborts on failure. */
void *xrealloc(void *p, size_t n, size_t size);

/** xstrdup() - copy a string; aborts when the host has no memory. NULL gives NULL. */
char *xstrdup(const char *s);

/**
 * spec_is() - is @spec, "NAME" or "NAME:ARG", of the kind @name?
 * @takes_arg: a kind with an argument has a non-empty one, others have none.
 * @ret_arg: its argument within @spec, NULL without. Any thread.
 */
bool spec_is(const char *spec, const char *name, bool takes_arg, const char **ret_arg);

/** xasprintf() - formatted new string; aborts when the host has no memory. */
char *xasprintf(const char *fmt, ...) PRINTF_LIKE(1, 2);

#define xnew(T)      ((T *)xcalloc(1, sizeof(T)))
#define xnew_n(T, n) ((T *)xcalloc((n), sizeof(T)))

/** x_freep() - for CLEANUP(x_freep): free the pointer behind @p. */
void x_freep(void *p);

#endif
