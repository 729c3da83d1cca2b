/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attaching and detaching devices while the VM runs (vm.h).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vm/internal.h"

static const struct {
	enum machine_disk_kind kind;
	const char *name;
} kinds[] = {
	{MACHINE_DISK_VIRTIO, "virtio"}, {MACHINE_DISK_NVME, "nvme"}, {MACHINE_DISK_SCSI, "scsi"},
	{MACHINE_DISK_AHCI, "ahci"},     {MACHINE_DISK_USB, "usb"},
};

static bool id_ok(const char *id)
{
	size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	return n && !id[n] && n < MACHINE_PLUG_ID_MAX;
}

/* The name to go by, in @buf if none was given. */
static const char *choose_id(const struct vm *vm, const char *id, char *buf, size_t size,
			     struct error *err)
{
	if (vm->exact) {
		error_set(err, -EINVAL, "devices stay what they are in --deterministic runs");
		return NULL;
	}
	if (id && !id_ok(id)) {
		error_set(err, -EINVAL,
			  "'%.40s' is not a name for a device: use at most %u letters, digits, "
			  "'.', '_' and '-'",
			  id, MACHINE_PLUG_ID_MAX - 1);
		return NULL;
	}
	for (unsigned i = 0; !id && i <= MACHINE_PLUGS; i++) {
		snprintf(buf, size, "hot%u", i);
		if (machine_find_plug(vm->machine, buf) < 0)
			id = buf;
	}
	return id;
}

static void tell_id(const struct vm *vm, const char *id, const char **ret_id)
{
	int n = machine_find_plug(vm->machine, id);

	if (ret_id && n >= 0)
		*ret_id = vm->machine->plug[n].id;
}

int vm_attach_disk(struct vm *vm, const char *id, const struct vm_disk *disk, const char **ret_id,
		   struct error *err)
{
	struct block_options opt = {.path = disk->path,
				    .format = "raw",
				    .read_only = disk->read_only,
				    .overlay = disk->overlay,
				    .unsafe = disk->unsafe,
				    .aio = BLOCK_AIO_AUTO};
	struct machine_disk d = {.kind = disk->kind};
	unsigned i = vm->cfg.n_disks;
	char buf[16];
	int r;

	id = choose_id(vm, id, buf, sizeof(buf), err);
	if (!id)
		return err->code;
	while (i < MACHINE_DISKS_MAX && vm->block[i])
		i++;
	if (i == MACHINE_DISKS_MAX)
		return error_set(err, -ENOSPC, "a VM has %u disks at most", MACHINE_DISKS_MAX);
	r = block_open(vm->loop, &opt, &d.block, err);
	if (r < 0)
		return r;
	r = machine_plug_disk(vm->machine, id, i, &d, err);
	if (r < 0) {
		block_close(d.block);
		return r;
	}
	block_set_enospc(d.block, vm_space_hook, vm);
	vm->block[i] = d.block;
	tell_id(vm, id, ret_id);
	return 0;
}

int vm_attach_input(struct vm *vm, const char *id, bool tablet, const char **ret_id,
		    struct error *err)
{
	char buf[16];
	int r;

	id = choose_id(vm, id, buf, sizeof(buf), err);
	if (!id)
		return err->code;
	r = machine_plug_hid(vm->machine, id, tablet, err);
	if (r == 0)
		tell_id(vm, id, ret_id);
	return r;
}

int vm_detach(struct vm *vm, const char *id, bool force, struct error *err)
{
	int n = machine_find_plug(vm->machine, id);

	if (n < 0)
		return error_set(err, -ENODEV,
				 "no device '%.40s' can be detached: there is what was attached "
				 "while the VM runs, and SCSI, Serial ATA and USB devices",
				 id);
	return machine_unplug(vm->machine, (unsigned)n, force, err);
}

bool vm_get_attached(const struct vm *vm, unsigned i, struct vm_attached *ret)
{
	const struct machine_plug *p = &vm->machine->plug[i];

	if (i >= MACHINE_PLUGS || p->how == MACHINE_PLUG_NONE)
		return false;
	*ret = (struct vm_attached){.id = p->id,
				    .kind = p->tablet ? "tablet" : "keyboard",
				    .leaving = p->leaving || p->gone};
	if (p->disk < 0)
		return true;
	ret->file = block_path(vm->block[p->disk]);
	ret->read_only = block_read_only(vm->block[p->disk]);
	for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++)
		if (kinds[k].kind == vm->machine->cfg.disk[p->disk].kind)
			ret->kind = kinds[k].name;
	return true;
}

void vm_set_detached(struct vm *vm, void (*fn)(void *ctx, const char *id), void *ctx)
{
	vm->detached = fn;
	vm->detached_ctx = ctx;
}

static void out(void *ctx, const struct machine_plug *p)
{
	struct vm *vm = ctx;

	if (p->disk >= 0) {
		block_close(vm->block[p->disk]);
		vm->block[p->disk] = NULL;
	}
	if (vm->detached)
		vm->detached(vm->detached_ctx, p->id);
}

/* Posted to the loop. */
static void on_unplug(void *ctx)
{
	struct vm *vm = ctx;

	vm->unplug_posted = false;
	machine_take_out(vm->machine, out, vm);
}

void vm_unplug_soon(void *ctx)
{
	struct vm *vm = ctx;

	if (!vm->unplug_posted)
		loop_post(vm->loop, on_unplug, vm);
	vm->unplug_posted = true;
}
