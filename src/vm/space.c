/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host disk full. The block layer parks the request and tells us; the guest is paused, so that it
 * neither sees an error nor piles up work, and the parked requests are tried again every few
 * seconds. When a try leaves nothing parked the guest goes on by itself.
 */
#include "base/log.h"
#include "vm/internal.h"

#define RETRY_NS (3 * NS_PER_SEC)

void vm_space_hook(void *ctx, struct block *b)
{
	struct vm *vm = ctx;

	(void)b;
	vm->space_failed = true;
	if (vm->state == VM_RUNNING)
		vm_ask(vm, VM_ASK_NO_SPACE);
}

static void arm(struct vm *vm)
{
	loop_timer_arm(vm->space_timer, host_now_ns() + RETRY_NS);
}

/* Every RETRY_NS while stopped: first time round retries, the next one looks at the outcome. */
static void on_timer(void *ctx)
{
	struct vm *vm = ctx;

	if (vm->state != VM_NO_SPACE)
		return;
	if (!vm->space_failed) {
		log_warn("vm: the host disk has space again: guest goes on");
		vm_resume(vm);
		return;
	}
	vm_space_retry(vm);
	arm(vm);
}

void vm_space_retry(struct vm *vm)
{
	vm->space_failed = false;
	for (unsigned i = 0; i < MACHINE_DISKS_MAX; i++)
		if (vm->block[i])
			block_retry(vm->block[i]);
}

void vm_space_stop(struct vm *vm)
{
	if (vm->state != VM_RUNNING) {
		if (vm->state == VM_PAUSED)
			vm->space_failed = true;
		return;
	}
	vm_pause(vm);
	vm->state = VM_NO_SPACE;
	for (unsigned i = 0; i < MACHINE_DISKS_MAX; i++) {
		struct block_counters n;

		if (!vm->block[i])
			continue;
		block_get_counters(vm->block[i], &n);
		if (n.parked)
			log_err("vm: host disk full while writing '%s': guest paused; free space, "
				"it then goes on by itself (at once: Ctrl-] p, or SIGCONT)",
				block_path(vm->block[i]));
	}
	arm(vm);
}

int vm_space_init(struct vm *vm, struct error *err)
{
	(void)err;
	vm->space_timer = loop_timer_new(vm->loop, on_timer, vm);
	for (unsigned i = 0; i < MACHINE_DISKS_MAX; i++)
		if (vm->block[i])
			block_set_enospc(vm->block[i], vm_space_hook, vm);
	return 0;
}

void vm_space_done(struct vm *vm)
{
	for (unsigned i = 0; i < MACHINE_DISKS_MAX; i++)
		if (vm->block[i])
			block_set_enospc(vm->block[i], NULL, NULL);
	if (vm->space_timer)
		loop_timer_free(vm->space_timer);
	vm->space_timer = NULL;
}
