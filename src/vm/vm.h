/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual machine: a machine (devices, RAM), its processors under an engine, and its life cycle.
 *
 * Threads: the caller's thread runs the event loop (vm_run); one thread per vCPU runs the engine;
 * a watchdog thread looks at the loop's heartbeat. One lock, the bus lock, guards the run state as
 * it guards the devices.
 *
 * Stopping: setting `hold` and kicking makes every vCPU leave its engine at the next instruction
 * boundary and park on a condition of the bus lock. Whoever wants them parked waits on the same
 * lock, so it must be a top-level callback of the loop, never device code. Device code only notes
 * requests (vm_ask), which are carried out on the loop, in this order: crash, debug exit,
 * power-off, reset.
 *
 * A halted vCPU sleeps in a futex on its request word: a request set between the engine's last look
 * and the sleep changes the word, so no wake-up is lost.
 */
#ifndef VM_VM_H
#define VM_VM_H

#include <pthread.h>
#include <stdio.h>

#include "block/block.h"
#include "chr/chr.h"
#include "cpu/x86/cpuid.h"
#include "cpu/x86/vcpu.h"
#include "engine/engine.h"
#include "machine/machine.h"
#include "net/net.h"

struct vm;

struct vm_disk {
	const char *path; /* NULL: a CD or diskette drive that is empty */
	bool read_only, unsafe;
	bool overlay; /* what the guest writes is gone at the end */
	enum machine_disk_kind kind;
};

struct vm_module {
	const char *path, *args; /* args NULL: the path */
};

/* What a person asked for. Strings are borrowed during vm_new() only. */
struct vm_config {
	enum machine_kind machine;
	uint64_t ram_size;
	unsigned n_cpus;
	const char *engine;                   /* "auto", "interp", ... */
	uint64_t engine_memory;               /* engine_vm.memory */
	const char *cpu;                      /* CPU model; NULL = "max" */
	const char *kernel, *initrd, *append; /* kernel NULL: firmware must be set */
	const char
		*firmware; /* "bios", "efi", "efi-secure", or the path of an image; NULL = none */
	const char *efi_vars; /* file of the VM's EFI variables; NULL = they are gone at the end */
	const char *boot_order;        /* machine_firmware.boot_order; NULL = "adcn" */
	bool boot_menu, firmware_text; /* _text: BIOS text output also on the first serial port */
	const char *firmware_log;      /* chr spec; NULL = none */
	struct vm_module module[BOOT_MODULES_MAX];
	unsigned n_modules;
	struct vm_disk disk[MACHINE_DISKS_MAX];
	unsigned n_disks;
	const char *net; /* "none", "nat", ... */
	enum machine_nic_model nic;
	uint16_t nic_io; /* ne2k_isa */
	uint8_t nic_irq;
	const char *tftp, *bootfile; /* nat: a directory, and what to start from; NULL = none */
	bool net_host;               /* nat: the guest may reach the host's loopback */
	struct net_forward forward[32];
	unsigned n_forwards;
	const char *serial[MACHINE_SERIALS]; /* chr specs; NULL = "null" */
	const char *console[MACHINE_CONSOLES_MAX];
	unsigned n_consoles;
	const char *debugcon;
	const char *midi; /* chr spec; NULL = none */
	bool no_vga;      /* pc: leave the VGA out */
	enum machine_sound sound;
	const char *audio; /* audio_open() spec; NULL = "none" */
	enum machine_usb usb;
	bool usb_hid;        /* with keyboard and tablet */
	bool tpm, tpm_crb;   /* a TPM, and with which interface */
	const char *tpm_at;  /* tpm_open() spec */
	bool virtio_gpu;     /* a virtio graphics adapter */
	const char *name;    /* NULL: none was given */
	const char *display; /* "vnc:...", "sdl"; NULL or "none": nobody looks */
	bool debug_exit, testdev, no_reboot;
	bool deterministic;          /* vm/exact.c */
	const char *record, *replay; /* files of inputs, with `deterministic`; NULL = none */
	uint32_t trace;              /* TRACE_ masks */
};

enum vm_end {
	VM_END_NONE,
	VM_END_POWER_OFF,
	VM_END_QUIT,       /* asked from outside */
	VM_END_REBOOT,     /* --no-reboot and the guest asked for a reset */
	VM_END_CRASH,      /* --no-reboot and a triple fault */
	VM_END_DEBUG_EXIT, /* code = value the guest wrote */
	VM_END_ERROR,      /* the engine or the host failed */
	VM_END_COUNT
};

struct vm_result {
	enum vm_end end;
	uint32_t code;
	struct error err;
};

enum vm_state { VM_RUNNING, VM_PAUSED, VM_NO_SPACE, VM_ENDED, VM_STATE_COUNT };

/**
 * vm_new() - build everything; vCPU threads are created parked
 * Return: 0 or -errno with text. The calling thread must be the one that calls vm_run().
 */
int vm_new(const struct vm_config *cfg, struct vm **ret_vm, struct error *err) MUST_CHECK;
/** vm_free() - stop threads, close back ends, free. NULL is fine. */
void vm_free(struct vm *vm);
/** vm_find_bios() - where a BIOS image was found on this host; NULL = nowhere. */
const char *vm_find_bios(void);
/** vm_find_efi() - likewise EFI firmware that has a template of its variables beside it; @secure:
 * with Secure Boot on. */
const char *vm_find_efi(bool secure);
/** vm_run() - start the guest (@paused: leave that to vm_resume()) and run the loop until it ends.
 */
int vm_run(struct vm *vm, bool paused, struct vm_result *ret_result) MUST_CHECK;

/** vm_loop() - for more event sources; vm_bus() - the lock that guards them. */
struct loop *vm_loop(struct vm *vm);
struct bus *vm_bus(struct vm *vm);

/* ---- From the loop's top level (menu keys, signals, control), bus lock held ---- */

/** vm_pause() - park all vCPUs and stop the guest clock. vm_resume() undoes it. Also nested in the
 * debugger's stops. */
void vm_pause(struct vm *vm);
void vm_resume(struct vm *vm);
enum vm_state vm_get_state(const struct vm *vm);
/** vm_reset() - as the reset button does. */
void vm_reset(struct vm *vm);
void vm_power_button(struct vm *vm);
void vm_nmi(struct vm *vm);
/** vm_quit() - end vm_run() with VM_END_QUIT. */
void vm_quit(struct vm *vm);
/* A drive whose medium can be changed. Strings are the VM's until the next change. */
struct vm_drive {
	char name[16];    /* cd0, floppy0 */
	const char *file; /* NULL: empty */
	bool cdrom, read_only, tray_open, locked;
};
/** vm_get_drive() - disk @i (of vm_config) as a drive; false: not one. vm_find_drive() - its number
 * by name, or -ENODEV with text. */
bool vm_get_drive(const struct vm *vm, unsigned i, struct vm_drive *ret);
int vm_find_drive(const struct vm *vm, const char *name, struct error *err) MUST_CHECK;
/**
 * vm_eject() - take the medium out; a CD drive's tray stays open
 * vm_insert() - open @path, put it in instead of what is there, close the tray
 * -EBUSY with text: the guest has locked the drive and @force is not set.
 */
int vm_eject(struct vm *vm, unsigned i, bool force, struct error *err) MUST_CHECK;
int vm_insert(struct vm *vm, unsigned i, const char *path, bool read_only, bool force,
	      struct error *err) MUST_CHECK;
/** vm_open_tray(), vm_close_tray() - with what is in it. */
int vm_open_tray(struct vm *vm, unsigned i, bool force, struct error *err) MUST_CHECK;
int vm_close_tray(struct vm *vm, unsigned i, struct error *err) MUST_CHECK;
/* What can be detached while the VM runs. Strings are the VM's until it has gone. */
struct vm_attached {
	const char *id, *file; /* file NULL: an input device */
	const char *kind;      /* "virtio", "nvme", "scsi", "usb", "keyboard", "tablet" */
	bool read_only;
	bool leaving; /* the guest has been asked to let it go */
};
/**
 * vm_attach_disk() - a disk comes (machine_plug_disk()); the image is opened and locked first
 * vm_attach_input() - a USB keyboard, or @tablet
 * @id: as other commands name it; NULL: "hot0" and so on, see *@ret_id (the VM's, may be NULL).
 * -EINVAL, -ENOSPC, ... with text.
 */
int vm_attach_disk(struct vm *vm, const char *id, const struct vm_disk *disk, const char **ret_id,
		   struct error *err) MUST_CHECK;
int vm_attach_input(struct vm *vm, const char *id, bool tablet, const char **ret_id,
		    struct error *err) MUST_CHECK;
/** vm_detach() - machine_unplug(). -ENODEV with text: no such. */
int vm_detach(struct vm *vm, const char *id, bool force, struct error *err) MUST_CHECK;
/** vm_get_attached() - number @i of MACHINE_PLUGS; false: there is none. */
bool vm_get_attached(const struct vm *vm, unsigned i, struct vm_attached *ret);
/** vm_set_detached() - who hears that a device has gone. */
void vm_set_detached(struct vm *vm, void (*fn)(void *ctx, const char *id), void *ctx);
/** vm_print_stats() - the counters table; parks the vCPUs meanwhile. */
void vm_print_stats(struct vm *vm, FILE *out);

/** vm_exact_report() - one line of counters and a hash of RAM and vCPU, with --deterministic; parks
 * the vCPU. */
void vm_exact_report(struct vm *vm, FILE *out);

/** vm_engine_line() - "interp: no usable KVM: ..." for the start message; owned by @vm. */
const char *vm_engine_line(const struct vm *vm);
/** vm_boot_protocol() - how the kernel was started, e.g. "Linux 64-bit". */
const char *vm_boot_protocol(const struct vm *vm);
/** vm_serial() - back end of serial port @n, for the menu; NULL when none. */
struct chr *vm_serial(struct vm *vm, unsigned n);
struct chr *vm_console(struct vm *vm, unsigned n);
/** vm_display() - its screen; NULL when it has none. */
struct display *vm_display(struct vm *vm);

/* ---- For control/ (debugger). Bus lock held, top level of the loop ---- */
unsigned vm_n_cpus(const struct vm *vm);
struct vcpu *vm_cpu(struct vm *vm, unsigned n);
const struct engine_ops *vm_engine_ops(const struct vm *vm);
/** vm_set_debugger() - @stopped is called from the loop when a vCPU reports VCPU_EXIT_DEBUG; all
 * vCPUs are parked then (vm_pause done). NULL disconnects. */
void vm_set_debugger(struct vm *vm, void (*stopped)(void *ctx, unsigned cpu), void *ctx);
/** vm_step() - let only vCPU @n run one instruction (debug.single_step set), others stay parked. */
void vm_step(struct vm *vm, unsigned n);

#endif
