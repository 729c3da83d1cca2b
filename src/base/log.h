/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines to stderr: one line, lower case, `subsystem/id: what: numbers`. Libraries return
 * errors; main programs and thread loops log. The level is the one mutable file-scope variable of
 * the tree.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/base.h"

enum log_level { LOG_ERR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_LEVEL_COUNT };

/** log_set_level() - drop lines above @level from now on. Any thread. */
void log_set_level(enum log_level level);

/** log_line() - print one line when @level is on. Any thread; lines never interleave. */
void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

/** log_trace() - print one line whatever the level: a trace mask (-d) has been asked for. Any
 * thread. */
void log_trace(const char *fmt, ...) PRINTF_LIKE(1, 2);

#define log_err(...)   log_line(LOG_ERR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

#endif
