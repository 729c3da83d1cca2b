/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing discs and diskettes while the guest runs (vm.h). The new image is open and locked before
 * anything happens to the old one, so a wrong path changes nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/internal.h"

/* cd0, cd1, ... and floppy0, floppy1, in the order of the command line. */
bool vm_get_drive(const struct vm *vm, unsigned i, struct vm_drive *ret)
{
	const struct machine_config *cfg = &vm->machine->cfg;
	struct machine_medium medium;
	unsigned n = 0;

	if (!machine_get_medium(vm->machine, i, &medium))
		return false;
	for (unsigned k = 0; k < i; k++) {
		struct machine_medium other;

		n += machine_get_medium(vm->machine, k, &other) && other.tray == medium.tray;
	}
	*ret = (struct vm_drive){.cdrom = machine_disk_is_cdrom(cfg->disk[i].kind),
				 .file = vm->block[i] ? block_path(vm->block[i]) : NULL,
				 .read_only = vm->block[i] && block_read_only(vm->block[i]),
				 .tray_open = medium.tray_open,
				 .locked = medium.locked};
	snprintf(ret->name, sizeof(ret->name), "%s%u", medium.tray ? "cd" : "floppy", n);
	return true;
}

int vm_find_drive(const struct vm *vm, const char *name, struct error *err)
{
	char list[160] = "";
	struct vm_drive d;

	for (unsigned i = 0; i < MACHINE_DISKS_MAX; i++) {
		size_t n = strlen(list);

		if (!vm_get_drive(vm, i, &d))
			continue;
		if (!strcmp(d.name, name) || (!strcmp(name, "cd") && !strcmp(d.name, "cd0")) ||
		    (!strcmp(name, "cdrom") && !strcmp(d.name, "cd0")) ||
		    (!strcmp(name, "floppy") && !strcmp(d.name, "floppy0")))
			return (int)i;
		snprintf(list + n, sizeof(list) - n, "%s%s", n ? ", " : "", d.name);
	}
	return error_set(err, -ENODEV, "no drive '%.40s' whose medium can be changed; there is: %s",
			 name, list[0] ? list : "none");
}

static int check_lock(struct vm *vm, unsigned i, bool force, struct error *err)
{
	struct vm_drive d;

	if (!vm_get_drive(vm, i, &d))
		return error_set(err, -ENODEV, "drive %u has a fixed medium", i);
	if (!d.locked || force || d.tray_open)
		return 0;
	/* As the button on a locked drive does: the guest may let the disc go. */
	machine_ask_eject(vm->machine, i);
	return error_set(err, -EBUSY,
			 "the guest has locked %s (a file system on it is in use?); it has been "
			 "asked to let go: try again, or use force",
			 d.name);
}

/* @b takes the place of what is in drive @i. */
static int exchange(struct vm *vm, unsigned i, struct block *b, struct error *err)
{
	struct block *old = vm->block[i];
	int r = machine_set_medium(vm->machine, i, b, err);

	if (r < 0)
		return r;
	if (b)
		block_set_enospc(b, vm_space_hook, vm);
	vm->block[i] = b;
	block_close(old);
	return 0;
}

int vm_open_tray(struct vm *vm, unsigned i, bool force, struct error *err)
{
	int r = check_lock(vm, i, force, err);

	if (r == 0)
		machine_open_tray(vm->machine, i);
	return r;
}

int vm_close_tray(struct vm *vm, unsigned i, struct error *err)
{
	struct vm_drive d;

	if (!vm_get_drive(vm, i, &d))
		return error_set(err, -ENODEV, "drive %u has a fixed medium", i);
	return d.tray_open ? machine_set_medium(vm->machine, i, vm->block[i], err) : 0;
}

int vm_eject(struct vm *vm, unsigned i, bool force, struct error *err)
{
	int r = check_lock(vm, i, force, err);

	if (r == 0)
		r = exchange(vm, i, NULL, err);
	if (r == 0)
		machine_open_tray(vm->machine, i);
	return r;
}

int vm_insert(struct vm *vm, unsigned i, const char *path, bool read_only, bool force,
	      struct error *err)
{
	struct block_options opt = {.path = path, .format = "raw", .aio = BLOCK_AIO_AUTO};
	struct block *b = NULL;
	struct vm_drive d;
	int r = check_lock(vm, i, force, err);

	if (r < 0)
		return r;
	if (vm->exact)
		return error_set(err, -EINVAL, "media stay what they are in --deterministic runs");
	if (!vm_get_drive(vm, i, &d))
		return error_set(err, -ENODEV, "drive %u has a fixed medium", i);
	opt.read_only = read_only || d.cdrom;
	r = block_open(vm->loop, &opt, &b, err);
	if (r < 0)
		return r;
	r = exchange(vm, i, b, err);
	if (r < 0)
		block_close(b);
	return r;
}
