/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private parts of vm/: the struct and what its files call of each other.
 */
#ifndef VM_INTERNAL_H
#define VM_INTERNAL_H

#include "host/loop.h"
#include "vm/vm.h"

/* One processor and its thread. */
struct vm_cpu {
	_Alignas(64) struct vcpu v;
	struct vm *vm;
	pthread_t thread;
	bool started; /* thread exists */
	bool ready;   /* vcpu_init done (or failed: vm->init_err) */
	bool parked;
	_Atomic bool asleep; /* in the futex */
};

/* Requests noted by device code, bits of vm.asked. */
enum {
	VM_ASK_CRASH = 1 << 0,
	VM_ASK_DEBUG_EXIT = 1 << 1,
	VM_ASK_POWER_OFF = 1 << 2,
	VM_ASK_RESET = 1 << 3,
	VM_ASK_ERROR = 1 << 4,
	VM_ASK_DEBUG = 1 << 5,
	VM_ASK_NO_SPACE = 1 << 6,
};

struct vm_image {
	uint8_t *bytes; /* owned */
	size_t len;
};

struct vm {
	struct vm_config cfg;
	struct loop *loop;
	struct mem_space *mem;
	struct bus bus;
	struct clock *clock;
	struct machine *machine;
	struct boot_source boot;
	struct boot_cpu boot_cpu;
	struct vm_image bios, vars, net_rom, vga_rom;
	bool efi;     /* `bios` is EFI firmware, with `vars` */
	bool efi_smm; /* ... which needs system management mode */
	int vars_fd;  /* file that keeps them; -1 = none */
	struct chr *serial[MACHINE_SERIALS], *console[MACHINE_CONSOLES_MAX], *debugcon, *midi,
		*firmware_log;
	struct block *block[MACHINE_DISKS_MAX];
	struct net *net;
	struct audio *audio;     /* NULL: nobody hears */
	struct tpm *tpm;         /* NULL: none */
	struct display *display; /* NULL without a screen */
	struct vnc *vnc;
	struct sdl *window;

	struct cpu_model model;
	struct cpu_set cpus;
	struct engine_vm engine;
	struct engine_caps caps;
	bool engine_up, cpus_up, bus_up;
	char engine_line[256];
	struct vm_cpu *cpu; /* n_cpus */
	unsigned n_cpus;

	/* run state: bus lock */
	enum vm_state state;
	_Atomic bool hold;   /* vCPUs must park */
	_Atomic bool ending; /* vCPU threads must return */
	int only;            /* >= 0: just this vCPU may run (debugger step) */
	unsigned n_parked, n_ready;
	pthread_cond_t parked, go;
	uint32_t asked; /* VM_ASK_ */
	bool ask_posted;
	uint32_t debug_code;
	unsigned debug_cpu, crash_cpu;
	struct error init_err, run_err;
	struct vm_result result;
	void (*debug_stopped)(void *ctx, unsigned cpu);
	void *debug_ctx;
	uint64_t n_resets;
	ns_t started_at; /* host ns */

	/* plug.c */
	void (*detached)(void *ctx, const char *id);
	void *detached_ctx;
	bool unplug_posted;
	struct exact *exact; /* exact.c; NULL unless deterministic */

	/* no space: space.c */
	struct loop_timer *space_timer;
	bool space_failed; /* parked again since the last retry */

	/* watchdog.c */
	pthread_t watchdog;
	bool watchdog_up;
	_Atomic bool watchdog_stop;
	_Atomic int watchdog_wake;
	int main_tid;
};

/** vm_ask() - note requests and have the loop act on them; vCPUs stop at once for those that end or
 * restart the guest. Any thread, bus lock held. */
void vm_ask(struct vm *vm, uint32_t what);

/* cpus.c. Bus lock held. */
int vm_cpus_start(struct vm *vm, struct error *err) MUST_CHECK;
void vm_cpus_stop(struct vm *vm); /* threads joined */
/** vm_hold() - set hold, kick, wait until every thread is parked. Loop's top level. */
void vm_hold(struct vm *vm);
void vm_release(struct vm *vm);
void vm_kick_all(struct vm *vm);

/* firmware.c */
/** vm_firmware_load() - read the images @cfg wants; back ends are open. -ENOENT, -EIO ... with
 * text. */
int vm_firmware_load(struct vm *vm, const struct vm_config *cfg, struct error *err) MUST_CHECK;
void vm_firmware_done(struct vm *vm);
/** vm_image_read() - all of a regular file of 1 byte to 16 MiB. -errno with text. */
int vm_image_read(const char *path, struct vm_image *ret_img, struct error *err) MUST_CHECK;

/* efi.c */
/** vm_efi_load() - vm->bios was read from @code: if that is EFI firmware, find its variables. 0 or
 * -errno with text. vm_efi_store() - pflash.store for them, ctx @vm; NULL = not kept. */
int vm_efi_load(struct vm *vm, const struct vm_config *cfg, const char *code,
		struct error *err) MUST_CHECK;
int (*vm_efi_store(const struct vm *vm))(void *ctx, uint64_t off, const void *bytes, size_t len);
void vm_efi_done(struct vm *vm);

/* Bits of a request that end a halt. A TLB flush alone can wait until the vCPU runs again. */
#define VM_WAKE_BITS (VCPU_REQ_KICK | VCPU_REQ_EVENT | VCPU_REQ_DEBUG)
/** vm_sleep_halted() - until the vCPU has something to do. Bus lock not held. */
void vm_sleep_halted(struct vm_cpu *c);

/* exact.c */
/** vm_exact_check() - is @cfg possible? vm_exact_new() - after the clock, before devices.
 * vm_exact_start() - when vCPUs and back ends are there. */
int vm_exact_check(const struct vm_config *cfg, struct error *err) MUST_CHECK;
int vm_exact_new(struct vm *vm, const struct vm_config *cfg, struct error *err) MUST_CHECK;
void vm_exact_start(struct vm *vm);
void vm_exact_free(struct vm *vm);
/** vm_exact_run() - run until the vCPU must park; 1: @x says why; -errno: the engine failed. Bus
 * lock held; given up between slices. */
int vm_exact_run(struct vm *vm, struct vm_cpu *c, struct vcpu_exit *x) MUST_CHECK;
/** vm_exact_wake() - hold or ending has been set. */
void vm_exact_wake(struct vm *vm);
/** vm_exact_input() - @what comes from outside; false: ignore it, inputs are being replayed. */
bool vm_exact_input(struct vm *vm, const char *what) MUST_CHECK;

/* boot_state.c */
/** vm_cpus_reset() - every vCPU to its reset state, the boot processor to @boot. vCPUs parked;
 * gives up the bus lock in between. */
int vm_cpus_reset(struct vm *vm, const struct boot_cpu *boot, struct error *err) MUST_CHECK;

/* space.c */
int vm_space_init(struct vm *vm, struct error *err) MUST_CHECK;
void vm_space_done(struct vm *vm);
/** vm_space_hook() - for block_set_enospc() of each disk. */
void vm_space_hook(void *ctx, struct block *b);
void vm_space_stop(struct vm *vm); /* VM_ASK_NO_SPACE */
/** vm_space_retry() - submit what is parked again. */
void vm_space_retry(struct vm *vm);

/* plug.c */
/** vm_unplug_soon() - machine_calls.unplug. */
void vm_unplug_soon(void *ctx);

/* watchdog.c */
void vm_watchdog_start(struct vm *vm);
void vm_watchdog_stop(struct vm *vm);

#endif
