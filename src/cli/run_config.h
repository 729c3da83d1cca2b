/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `bothy run` as parsed: the VM's configuration and what concerns this process.
 */
#ifndef CLI_RUN_CONFIG_H
#define CLI_RUN_CONFIG_H

#include "cli/cli.h"
#include "vm/vm.h"

struct run_config {
	struct vm_config vm;
	const char *firmware; /* as given: auto, none, bios, efi, a path; NULL = auto */
	bool machine_given;   /* --machine */
	bool needs_efi;       /* a file that only EFI firmware starts is among them */
	const char *file[MACHINE_DISKS_MAX]; /* operands: what they are their contents tell */
	unsigned n_files;
	bool in_place;    /* their disks are written to, not a temporary layer over them */
	const char *gdb;  /* "unix:PATH", "tcp:ADDR:PORT"; NULL = none */
	bool gdb_wait;    /* stop before the first instruction */
	const char *name; /* of the VM: it gets a control socket; NULL = none */
	bool stats, help;
	bool sound_given;
	unsigned verbose;
	/* copies of the parts of arguments, freed together */
	char *owned[256];
	unsigned n_owned;
	int fd[MACHINE_DISKS_MAX]; /* of unpacked copies, open until the end */
	unsigned n_fds;
};

/** run_parse() - 0, or an exit status after the message was printed. */
int run_parse(struct run_config *rc, int argc, char **argv) MUST_CHECK;
void run_config_done(struct run_config *rc);

#endif
