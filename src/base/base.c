/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assertions and allocation (base/base.h).
 */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

void check_failed(const char *cond, const char *file, int line)
{
	fprintf(stderr, "bothy: internal error: %s is false at %s:%d; please report it\n", cond,
		file, line);
	abort();
}

void *xtry_calloc(size_t n, size_t size)
{
	size_t total;

	/* calloc() checks too, but a sanitizer's calloc() aborts instead of refusing. */
	return ckd_mul(&total, n, size) ? NULL : calloc(n, size);
}

void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	check(p != NULL);
	return p;
}

void *xrealloc(void *p, size_t n, size_t size)
{
	void *q = reallocarray(p, n ? n : 1, size ? size : 1);

	check(q != NULL);
	return q;
}

char *xstrdup(const char *s)
{
	char *p;

	if (!s)
		return NULL;
	p = strdup(s);
	check(p != NULL);
	return p;
}

char *xasprintf(const char *fmt, ...)
{
	char *p = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&p, fmt, ap);
	va_end(ap);
	check(n >= 0);
	return p;
}

void x_freep(void *p)
{
	free(*(void **)p);
}

bool spec_is(const char *spec, const char *name, bool takes_arg, const char **ret_arg)
{
	size_t len = strcspn(spec, ":");

	if (strlen(name) != len || strncmp(name, spec, len) != 0)
		return false;
	if (takes_arg != (spec[len] == ':') || (takes_arg && !spec[len + 1]))
		return false;
	*ret_arg = takes_arg ? spec + len + 1 : NULL;
	return true;
}
