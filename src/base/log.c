/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines (base/log.h): each is formatted into one buffer and written with one write(2), so lines
 * of several threads never mix.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static _Atomic int current_level = LOG_WARN;

void log_set_level(enum log_level level)
{
	atomic_store(&current_level, (int)level);
}

static void write_line(const char *prefix, const char *fmt, va_list ap)
{
	char buf[1024];
	int n, m;

	n = snprintf(buf, sizeof(buf), "bothy: %s", prefix);
	m = vsnprintf(buf + n, sizeof(buf) - (size_t)n - 1, fmt, ap);
	n = MIN(n + MAX(m, 0), (int)sizeof(buf) - 2);
	buf[n++] = '\n';
	if (write(STDERR_FILENO, buf, (size_t)n) < 0)
		return; /* nowhere left to report it */
}

void log_line(enum log_level level, const char *fmt, ...)
{
	static const char *const names[LOG_LEVEL_COUNT] = {"error: ", "warning: ", "", "debug: "};
	va_list ap;

	if ((int)level > atomic_load(&current_level))
		return;
	va_start(ap, fmt);
	write_line(names[level], fmt, ap);
	va_end(ap);
}

void log_trace(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_line("", fmt, ap);
	va_end(ap);
}
