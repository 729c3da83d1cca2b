/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: options of each sub-command as tables, and the commands themselves. Messages
 * for people go to stderr and say what is wrong, why, and what to type instead.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/err.h"

/* Exit status of the program. 128 + n: see run.c. */
enum { EXIT_OK = 0, EXIT_HOST = 1, EXIT_USAGE = 2, EXIT_CRASH = 128 };

struct cli_option {
	const char *name; /* long name without dashes */
	char letter;      /* short form, 0 = none */
	const char *arg;  /* placeholder of the argument, NULL = a flag */
	const char *help; /* one line */
};

struct cli_command {
	const char *name, *summary, *usage;
	const struct cli_option *options; /* ends with .name = NULL */
	int (*run)(int argc, char **argv);
};
extern const struct cli_command cli_run, cli_doctor, cli_screenshot, cli_screen, cli_sendkey,
	cli_type, cli_eject, cli_insert, cli_change, cli_attach, cli_detach;
const struct cli_command *const *cli_commands(void); /* NULL-terminated */

/* Walks argv of one command. */
struct cli_args {
	const struct cli_command *cmd;
	int argc, at;
	char **argv;
	const char *value; /* of the option just returned */
	char *bundle;      /* rest of a group of short flags */
	bool only_operands;
};

enum { CLI_END = -1, CLI_BAD = -2, CLI_OPERAND = -3 };
/**
 * cli_next() - next option: its index in the table, CLI_OPERAND (in .value), CLI_END, or CLI_BAD
 * after printing what is wrong. --help is handled by the caller through index of "help".
 */
int cli_next(struct cli_args *a);

/** cli_closest() - the name of @names (NULL-terminated) most like @word, or NULL if none is near.
 */
const char *cli_closest(const char *word, const char *const *names);
/** cli_help() - usage and options of a command to stdout. */
void cli_help(const struct cli_command *cmd);
/** cli_die() - print "bothy: ..." and return @status. */
int cli_die(int status, const char *fmt, ...) PRINTF_LIKE(2, 3);

/** cli_parse_size() - "512M", "2G", "4096K"; a plain number is MiB. 0 or -EINVAL. */
int cli_parse_size(const char *s, uint64_t *ret_bytes) MUST_CHECK;
/** cli_parse_uint() - decimal number in [min, max]. 0 or -EINVAL. */
int cli_parse_uint(const char *s, uint64_t min, uint64_t max, uint64_t *ret_v) MUST_CHECK;

#endif
