/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What commands to a running VM share.
 */
#ifndef CLI_REMOTE_H
#define CLI_REMOTE_H

#include <jansson.h>

#include "cli/cli.h"

/** remote_operands() - of a command without options but --help: between @min and @max. Their
 * number; 0 after the help page; a negative exit status after a message. */
int remote_operands(const struct cli_command *cmd, int argc, char **argv, const char **ret, int min,
		    int max);
/** remote_flags() - likewise, of a command with options that take no value; *@ret_flags: bit n,
 * option n was there. */
int remote_flags(const struct cli_command *cmd, int argc, char **argv, const char **ret, int min,
		 int max, unsigned *ret_flags);
/** remote_execute() - one command to VM @name (@args taken over); *@ret_value (may be NULL) to be
 * released. 0, or an exit status after the message was printed. */
int remote_execute(const char *name, const char *command, json_t *args, json_t **ret_value);
/** remote_path() - @path as the VM, which may stand in another directory, finds it. NULL after a
 * message. Caller frees. */
char *remote_path(const char *path);

#endif
