/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A failure that a person must understand: says what, why and what to do next. No allocation, so it
 * also works when memory has run out. Functions return negative errno; where text reaches a person
 * the last parameter is `struct error *err` (may be NULL).
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/base.h"

struct error {
	int code; /* negative errno; 0 = none */
	char text[400];
};

/**
 * error_set() - store a failure
 * @err: may be NULL (text dropped). @code: negative errno. @fmt: one line, no newline.
 * Return: @code, so that `return error_set(err, -EINVAL, ...)` reads well. Any thread.
 */
int error_set(struct error *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/**
 * error_add() - put context in front of a stored failure, e.g. "opening 'a.img': "
 * Return: the stored code (0 if @err is NULL or empty). Any thread.
 */
int error_add(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
