/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct error: text storage without allocation (base/err.h).
 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return code;
	err->code = code;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return code;
}

int error_add(struct error *err, const char *fmt, ...)
{
	char front[sizeof(err->text)];
	size_t n, keep;
	va_list ap;

	if (!err)
		return 0;
	va_start(ap, fmt);
	vsnprintf(front, sizeof(front), fmt, ap);
	va_end(ap);
	n = strlen(front);
	keep = MIN(strlen(err->text), sizeof(err->text) - 1 - n);
	memmove(err->text + n, err->text, keep);
	memcpy(err->text, front, n);
	err->text[n + keep] = '\0';
	return err->code;
}
