/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bothy: run whole x86 machines, with or without hardware virtualization. This file only finds the
 * sub-command.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/version.h"
#include "display/sdl.h"
#include "display/vnc.h"
#include "net/nat.h"

const struct cli_command *const *cli_commands(void)
{
	static const struct cli_command *const all[] = {
		&cli_run,    &cli_screenshot, &cli_screen, &cli_sendkey, &cli_type,   &cli_eject,
		&cli_insert, &cli_change,     &cli_attach, &cli_detach,  &cli_doctor, NULL};

	return all;
}

static void usage(FILE *out)
{
	fputs("usage: bothy COMMAND [options]\n\ncommands:\n", out);
	for (const struct cli_command *const *c = cli_commands(); *c; c++)
		fprintf(out, "  %-10s %s\n", (*c)->name, (*c)->summary);
	fputs("\n'bothy COMMAND --help' explains one of them; 'bothy --version' prints the "
	      "version.\n",
	      out);
}

static int help(int argc, char **argv)
{
	if (argc < 2) {
		usage(stdout);
		return EXIT_OK;
	}
	for (const struct cli_command *const *c = cli_commands(); *c; c++)
		if (!strcmp((*c)->name, argv[1])) {
			cli_help(*c);
			return EXIT_OK;
		}
	return cli_die(EXIT_USAGE, "no help on '%s': no such command; 'bothy --help' lists them",
		       argv[1]);
}

static int unknown_command(const char *word)
{
	const char *names[24], *close;
	unsigned n = 0;

	for (const struct cli_command *const *c = cli_commands(); *c && n < 22; c++)
		names[n++] = (*c)->name;
	names[n++] = "help";
	names[n] = NULL;
	close = cli_closest(word, names);
	if (close)
		return cli_die(EXIT_USAGE, "unknown command '%s'; did you mean 'bothy %s'?", word,
			       close);
	return cli_die(EXIT_USAGE, "unknown command '%s'; 'bothy --help' lists them", word);
}

int main(int argc, char **argv)
{
	if (argc > 0 && !strcmp(argv[0], NAT_ARGV0))
		return nat_helper_main(argc, argv);
	if (argc > 0 && !strcmp(argv[0], VNC_ARGV0))
		return vnc_helper_main(argc, argv);
	if (argc > 0 && !strcmp(argv[0], SDL_ARGV0))
		return sdl_helper_main(argc, argv);
	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		usage(stdout);
		return EXIT_OK;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		puts("bothy " BOTHY_VERSION);
		return EXIT_OK;
	}
	if (!strcmp(argv[1], "help"))
		return help(argc - 1, argv + 1);
	for (const struct cli_command *const *c = cli_commands(); *c; c++)
		if (!strcmp((*c)->name, argv[1]))
			return (*c)->run(argc - 1, argv + 1);
	return unknown_command(argv[1]);
}
