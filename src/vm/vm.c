/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life cycle of a VM (vm.h): start, pause, reset, end, and the requests of device code.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "cpu/x86/lapic.h"
#include "cpu/x86/seg.h"
#include "audio/audio.h"
#include "display/sdl.h"
#include "display/vnc.h"
#include "tpm/tpm.h"
#include "vm/internal.h"

#define BOOT_MENU_MS 5000 /* how long the boot menu's prompt waits */

static void end(struct vm *vm, enum vm_end how, uint32_t code)
{
	if (vm->state == VM_ENDED)
		return;
	vm_hold(vm);
	clock_stop(vm->clock);
	vm->state = VM_ENDED;
	vm->result.end = how;
	vm->result.code = code;
	loop_stop(vm->loop);
}

/* Loop's top level: back to the start state. */
static void restart(struct vm *vm)
{
	struct error err = {0};
	int r;

	if (vm->state == VM_ENDED)
		return;
	vm_hold(vm);
	vm->n_resets++;
	machine_reset(vm->machine, DEV_RESET_WARM);
	r = machine_boot(vm->machine, &vm->boot_cpu, &err);
	if (r == 0)
		r = vm_cpus_reset(vm, &vm->boot_cpu, &err);
	if (r < 0) {
		error_add(&err, "restarting the guest: ");
		vm->result.err = err;
		end(vm, VM_END_ERROR, 0);
		return;
	}
	if (vm->state == VM_RUNNING)
		vm_release(vm);
}

/* Posted to the loop by vm_ask(). */
static void on_asked(void *ctx)
{
	struct vm *vm = ctx;
	uint32_t asked = vm->asked;

	vm->asked = 0;
	vm->ask_posted = false;
	if (asked & VM_ASK_ERROR) {
		vm->result.err = vm->run_err;
		end(vm, VM_END_ERROR, 0);
	} else if (asked & VM_ASK_DEBUG_EXIT) {
		end(vm, VM_END_DEBUG_EXIT, vm->debug_code);
	} else if (asked & VM_ASK_POWER_OFF) {
		end(vm, VM_END_POWER_OFF, 0);
	} else if (asked & VM_ASK_CRASH) {
		if (vm->cfg.no_reboot) {
			end(vm, VM_END_CRASH, vm->crash_cpu);
		} else {
			log_info("vm: vCPU %u shut down (triple fault): reset", vm->crash_cpu);
			restart(vm);
		}
	} else if (asked & VM_ASK_RESET) {
		if (vm->cfg.no_reboot)
			end(vm, VM_END_REBOOT, 0);
		else
			restart(vm);
	}
	if (asked & VM_ASK_NO_SPACE)
		vm_space_stop(vm);
	if ((asked & VM_ASK_DEBUG) && vm->state != VM_ENDED) {
		vm_pause(vm);
		if (vm->debug_stopped)
			vm->debug_stopped(vm->debug_ctx, vm->debug_cpu);
		else
			vm_resume(vm);
	}
}

void vm_ask(struct vm *vm, uint32_t what)
{
	vm->asked |= what;
	atomic_store(&vm->hold, true);
	vm_kick_all(vm);
	if (!vm->ask_posted) {
		vm->ask_posted = true;
		loop_post(vm->loop, on_asked, vm);
	}
}

/* ---- what the machine asks ---- */

static void call_intr(void *ctx, bool level)
{
	struct vm *vm = ctx;

	if (vm->cpus_up)
		lapic_set_intr(&vm->cpus, level);
}

static void call_nmi(void *ctx)
{
	struct vm *vm = ctx;

	if (vm->n_cpus && vm->cpus_up)
		lapic_nmi(&vm->cpu[0].v);
}

static void call_power_off(void *ctx)
{
	vm_ask(ctx, VM_ASK_POWER_OFF);
}

static void call_reset(void *ctx)
{
	vm_ask(ctx, VM_ASK_RESET);
}

static void call_cpu_init(void *ctx)
{
	struct vm *vm = ctx;

	for (unsigned i = 0; i < vm->n_cpus && vm->cpus_up; i++)
		lapic_init_pin(&vm->cpu[i].v);
}

static void call_debug_exit(void *ctx, uint32_t value)
{
	struct vm *vm = ctx;

	if (!(vm->asked & VM_ASK_DEBUG_EXIT))
		vm->debug_code = value;
	vm_ask(vm, VM_ASK_DEBUG_EXIT);
}

/* ---- for the loop's top level ---- */

void vm_pause(struct vm *vm)
{
	if (vm->state == VM_ENDED)
		return;
	vm_hold(vm);
	clock_stop(vm->clock);
	vm->state = VM_PAUSED;
}

void vm_resume(struct vm *vm)
{
	if (vm->state == VM_ENDED)
		return;
	if (vm->state == VM_NO_SPACE && vm->space_failed)
		vm_space_retry(vm);
	vm->state = VM_RUNNING;
	clock_start(vm->clock);
	vm_release(vm);
}

enum vm_state vm_get_state(const struct vm *vm)
{
	return vm->state;
}

void vm_reset(struct vm *vm)
{
	if (vm_exact_input(vm, "reset"))
		restart(vm);
}

void vm_power_button(struct vm *vm)
{
	if (vm_exact_input(vm, "button"))
		machine_power_button(vm->machine);
}

void vm_nmi(struct vm *vm)
{
	if (!vm_exact_input(vm, "nmi"))
		return;
	for (unsigned i = 0; i < vm->n_cpus; i++)
		lapic_nmi(&vm->cpu[i].v);
}

void vm_quit(struct vm *vm)
{
	end(vm, VM_END_QUIT, 0);
}

struct loop *vm_loop(struct vm *vm)
{
	return vm->loop;
}

struct bus *vm_bus(struct vm *vm)
{
	return &vm->bus;
}

const char *vm_engine_line(const struct vm *vm)
{
	return vm->engine_line;
}

const char *vm_boot_protocol(const struct vm *vm)
{
	return vm->boot_cpu.protocol;
}

struct chr *vm_serial(struct vm *vm, unsigned n)
{
	return n < MACHINE_SERIALS ? vm->serial[n] : NULL;
}

struct chr *vm_console(struct vm *vm, unsigned n)
{
	return n < MACHINE_CONSOLES_MAX ? vm->console[n] : NULL;
}

struct display *vm_display(struct vm *vm)
{
	return vm->display;
}

unsigned vm_n_cpus(const struct vm *vm)
{
	return vm->n_cpus;
}

struct vcpu *vm_cpu(struct vm *vm, unsigned n)
{
	return &vm->cpu[n].v;
}

const struct engine_ops *vm_engine_ops(const struct vm *vm)
{
	return vm->engine.ops;
}

void vm_set_debugger(struct vm *vm, void (*stopped)(void *ctx, unsigned cpu), void *ctx)
{
	vm->debug_stopped = stopped;
	vm->debug_ctx = ctx;
}

void vm_step(struct vm *vm, unsigned n)
{
	if (vm->state != VM_PAUSED || n >= vm->n_cpus)
		return;
	clock_start(vm->clock);
	vm->state = VM_RUNNING;
	vm->only = (int)n;
	pthread_cond_broadcast(&vm->go);
}

/* ---- building ---- */

static int open_back_ends(struct vm *vm, const struct vm_config *cfg, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < MACHINE_SERIALS && r == 0; i++)
		if (cfg->serial[i]) {
			r = chr_open(vm->loop, cfg->serial[i], &vm->serial[i], err);
			if (r < 0)
				error_add(err, "serial port %u: ", i + 1);
		}
	for (unsigned i = 0; i < cfg->n_consoles && r == 0; i++) {
		r = chr_open(vm->loop, cfg->console[i], &vm->console[i], err);
		if (r < 0)
			error_add(err, "console %u: ", i + 1);
	}
	if (r == 0 && cfg->audio)
		r = audio_open(vm->clock, cfg->audio, &vm->audio, err);
	if (r == 0 && cfg->tpm)
		r = tpm_open(vm->loop, cfg->tpm_at, &vm->tpm, err);
	if (r == 0 && cfg->debugcon)
		r = chr_open(vm->loop, cfg->debugcon, &vm->debugcon, err);
	if (r == 0 && cfg->midi)
		r = chr_open(vm->loop, cfg->midi, &vm->midi, err);
	if (r == 0 && cfg->firmware_log) {
		r = chr_open(vm->loop, cfg->firmware_log, &vm->firmware_log, err);
		if (r < 0)
			error_add(err, "firmware log: ");
	}
	for (unsigned i = 0; i < cfg->n_disks && r == 0; i++) {
		struct block_options opt = {.path = cfg->disk[i].path,
					    .format = "raw",
					    .read_only = cfg->disk[i].read_only,
					    .overlay = cfg->disk[i].overlay,
					    .unsafe = cfg->disk[i].unsafe,
					    .aio = cfg->deterministic ? BLOCK_AIO_SYNC
								      : BLOCK_AIO_AUTO};

		if (opt.path)
			r = block_open(vm->loop, &opt, &vm->block[i], err);
	}
	if (r == 0 && cfg->net && strcmp(cfg->net, "none")) {
		struct net_options opt = {.kind = cfg->net,
					  .forwards = cfg->forward,
					  .n_forwards = cfg->n_forwards,
					  .tftp = cfg->tftp,
					  .bootfile = cfg->bootfile,
					  .restrict_host = !cfg->net_host,
					  .large_frames = cfg->nic == MACHINE_NIC_VIRTIO};

		r = net_open(vm->loop, &opt, &vm->net, err);
		if (r < 0)
			error_add(err, "network: ");
	}
	return r;
}

static int open_images(struct vm *vm, const struct vm_config *cfg, struct error *err)
{
	struct boot_source *b = &vm->boot;
	int r;

	if (!cfg->kernel)
		return 0;
	b->cmdline = xstrdup(cfg->append ? cfg->append : "");
	r = boot_file_open(&b->kernel, "kernel", cfg->kernel, err);
	if (r == 0 && cfg->initrd) {
		r = boot_file_open(&b->initrd, "initrd", cfg->initrd, err);
		b->has_initrd = r == 0;
	}
	for (unsigned i = 0; i < cfg->n_modules && r == 0; i++) {
		r = boot_file_open(&b->module[i], "module", cfg->module[i].path, err);
		if (r == 0) {
			b->module[i].args = xstrdup(cfg->module[i].args);
			b->n_modules = i + 1;
		}
	}
	return r;
}

static int build_machine(struct vm *vm, const struct vm_config *cfg, struct error *err)
{
	struct machine_config mc = {
		.kind = cfg->machine,
		.ram_size = cfg->ram_size,
		.n_cpus = cfg->n_cpus,
		.n_disks = cfg->n_disks,
		.net = vm->net,
		.nic = cfg->nic,
		.nic_io = cfg->nic_io,
		.nic_irq = cfg->nic_irq,
		.mac = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56},
		.n_consoles = cfg->n_consoles,
		.debugcon = vm->debugcon,
		.midi = vm->midi,
		.debug_exit = cfg->debug_exit,
		.testdev = cfg->testdev,
		.rng = !cfg->deterministic,
		.balloon = true,
		.boot = &vm->boot,
		.firmware = {.bios = vm->bios.bytes,
			     .bios_len = vm->bios.len,
			     .efi = vm->efi,
			     .smm = vm->efi_smm,
			     .vars = vm->vars.bytes,
			     .vars_len = vm->vars.len,
			     .vars_store = vm_efi_store(vm),
			     .vars_ctx = vm,
			     .net_rom = vm->net_rom.bytes,
			     .net_rom_len = vm->net_rom.len,
			     .boot_order = cfg->boot_order ? cfg->boot_order : "adcn",
			     .menu = cfg->boot_menu,
			     .menu_wait_ms = cfg->boot_menu ? BOOT_MENU_MS : 0,
			     .text_port = cfg->firmware_text ? 0x3f8 : 0,
			     .log = vm->firmware_log}};
	struct dev_services sv = {
		.bus = &vm->bus, .clock = vm->clock, .mem = vm->mem, .loop = vm->loop};
	struct machine_calls calls = {.intr = call_intr,
				      .nmi = call_nmi,
				      .power_off = call_power_off,
				      .reset = call_reset,
				      .cpu_init = call_cpu_init,
				      .debug_exit = call_debug_exit,
				      .unplug = vm_unplug_soon,
				      .ctx = vm};
	int r;

	for (unsigned i = 0; i < cfg->n_disks; i++)
		mc.disk[i] =
			(struct machine_disk){.kind = cfg->disk[i].kind, .block = vm->block[i]};
	for (unsigned i = 0; i < MACHINE_SERIALS; i++)
		mc.serial[i] = vm->serial[i];
	for (unsigned i = 0; i < cfg->n_consoles; i++)
		mc.console[i] = vm->console[i];
	mc.vga = machine_is_pc(cfg->machine) && !cfg->no_vga;
	mc.virtio_gpu = cfg->virtio_gpu;
	mc.sound = cfg->sound;
	mc.audio = vm->audio;
	mc.usb = machine_is_pc(cfg->machine) ? cfg->usb : MACHINE_USB_NONE;
	mc.usb_hid = cfg->usb_hid;
	mc.tpm = vm->tpm;
	mc.tpm_crb = cfg->tpm_crb;
	if (mc.vga || mc.virtio_gpu) {
		r = display_new(vm->loop, &vm->display, err);
		if (r < 0)
			return r;
		mc.display = vm->display;
		/* Pointing needs positions; without somebody who points they are in the way. */
		mc.viewer_input = cfg->display && strcmp(cfg->display, "none");
		mc.vga_rom = vm->vga_rom.bytes;
		mc.vga_rom_size = vm->vga_rom.len;
	}
	return machine_new(&mc, &sv, &calls, &vm->machine, err);
}

static int build_cpus(struct vm *vm, const struct vm_config *cfg, struct error *err)
{
	const char *name = cfg->deterministic ? "interp" : cfg->engine;
	const struct engine_ops *ops = engine_pick(name, &vm->caps, err);
	int r;

	if (!ops)
		return err && err->code ? err->code : -ENOTSUP;
	if (vm->caps.detail[0])
		snprintf(vm->engine_line, sizeof(vm->engine_line), "%s: %s", ops->name,
			 vm->caps.detail);
	else
		snprintf(vm->engine_line, sizeof(vm->engine_line), "%s", ops->name);
	r = cpu_model_init(&vm->model, cfg->cpu ? cfg->cpu : "max", cfg->n_cpus,
			   clock_tsc_hz(vm->clock), err);
	if (r == 0 && cfg->deterministic)
		cpu_model_drop_random(&vm->model);
	if (r == 0)
		r = cpu_set_init(&vm->cpus, &vm->bus, err);
	if (r < 0)
		return r;
	vm->cpus_up = true;
	vm->cpus.smm = vm->efi_smm;
	vm->engine = (struct engine_vm){.ops = ops,
					.compare_every = engine_number(cfg->engine),
					.memory = cfg->engine_memory,
					.verify = engine_verifies(cfg->engine),
					.exact = cfg->deterministic,
					.mem = vm->mem,
					.bus = &vm->bus,
					.cpus = &vm->cpus};
	vm->cpu = engine_room_new(&vm->engine.room, cfg->n_cpus * sizeof(struct vm_cpu),
				  cfg->n_cpus, err);
	if (!vm->cpu)
		return -ENOMEM;
	for (unsigned i = 0; i < cfg->n_cpus; i++) {
		struct vcpu *v = &vm->cpu[i].v;

		vm->cpu[i].vm = vm;
		v->index = i;
		v->bus = &vm->bus;
		v->mem = vm->mem;
		v->clock = vm->clock;
		v->model = &vm->model;
		v->cpus = &vm->cpus;
		v->pic = vm->machine->pic.ack ? &vm->machine->pic : NULL;
		v->trace = cfg->trace;
		r = x86_vcpu_init(v, i == 0, i, err);
		if (r < 0)
			return r;
		vm->n_cpus = i + 1;
		cpu_set_add(&vm->cpus, v);
	}
	r = ops->vm_init ? ops->vm_init(&vm->engine, err) : 0;
	if (r < 0)
		return r;
	vm->engine_up = true;
	return vm_cpus_start(vm, err);
}

/* Closing the window is pressing the power button. */
static void window_closed(void *ctx)
{
	log_info("the window was closed: pressing the power button");
	vm_power_button(ctx);
}

static int open_display(struct vm *vm, const struct vm_config *cfg, struct error *err)
{
	if (!cfg->display || !strcmp(cfg->display, "none"))
		return 0;
	if (!vm->display)
		return error_set(err, -EINVAL,
				 "this machine has no screen to show with --display %s; use "
				 "--machine pc or --gpu virtio",
				 cfg->display);
	if (!strncmp(cfg->display, "sdl", 3))
		return sdl_open(vm->loop, vm->display, cfg->name, cfg->display[3] == ',',
				window_closed, vm, &vm->window, err);
	return vnc_open(vm->loop, vm->display, cfg->name, cfg->display + 4, &vm->vnc, err);
}

static int build(struct vm *vm, const struct vm_config *cfg, struct error *err)
{
	int r = cfg->deterministic ? vm_exact_new(vm, cfg, err) : 0;

	if (r == 0)
		r = open_images(vm, cfg, err);
	if (r == 0)
		r = open_back_ends(vm, cfg, err);
	if (r == 0)
		r = vm_firmware_load(vm, cfg, err);
	if (r == 0)
		r = build_machine(vm, cfg, err);
	if (r == 0)
		r = open_display(vm, cfg, err);
	if (r == 0)
		r = vm_space_init(vm, err);
	if (r == 0)
		r = build_cpus(vm, cfg, err);
	if (r == 0 && vm->exact)
		vm_exact_start(vm);
	if (r == 0) {
		machine_reset(vm->machine, DEV_RESET_COLD);
		r = machine_boot(vm->machine, &vm->boot_cpu, err);
	}
	if (r == 0)
		r = vm_cpus_reset(vm, &vm->boot_cpu, err);
	return r;
}

int vm_new(const struct vm_config *cfg, struct vm **ret_vm, struct error *err)
{
	struct vm *vm = xnew(struct vm);
	int r;

	vm->cfg = *cfg;
	vm->only = -1;
	vm->vars_fd = -1;
	vm->state = VM_PAUSED;
	vm->main_tid = (int)syscall(SYS_gettid);
	vm->started_at = host_now_ns();
	pthread_cond_init(&vm->parked, NULL);
	pthread_cond_init(&vm->go, NULL);
	r = vm_exact_check(cfg, err);
	if (r == 0)
		r = mem_space_new(&vm->mem, err);
	if (r == 0)
		r = bus_init(&vm->bus, vm->mem, err);
	vm->bus_up = r == 0;
	if (r == 0) {
		vm->bus.trace_io = cfg->trace & TRACE_IO;
		vm->bus.trace_errors = cfg->trace & TRACE_GUEST_ERRORS;
	}
	if (r == 0 && cfg->deterministic)
		bus_lock_nests(&vm->bus);
	if (r == 0)
		r = loop_new(&vm->bus.lock, &vm->loop, err);
	if (r == 0 && !cfg->deterministic)
		loop_set_gate(vm->loop, &vm->bus.gate);
	if (r == 0) {
		vm->clock = clock_new(cfg->deterministic ? NULL : vm->loop);
		bus_lock(&vm->bus);
		r = build(vm, cfg, err);
		bus_unlock(&vm->bus);
	}
	if (r < 0) {
		vm_free(vm);
		return r;
	}
	*ret_vm = vm;
	return 0;
}

static void free_locked(struct vm *vm)
{
	vm_cpus_stop(vm);
	vm_space_done(vm);
	if (vm->engine_up && vm->engine.ops->vm_done)
		vm->engine.ops->vm_done(&vm->engine);
	if (vm->machine)
		machine_free(vm->machine);
	bus_unlock(&vm->bus); /* stopping a LAPIC timer takes it */
	for (unsigned i = 0; i < vm->n_cpus; i++)
		x86_vcpu_done(&vm->cpu[i].v);
	bus_lock(&vm->bus);
	if (vm->cpus_up)
		cpu_set_done(&vm->cpus);
	for (unsigned i = 0; i < MACHINE_DISKS_MAX; i++)
		if (vm->block[i])
			block_close(vm->block[i]);
	if (vm->net)
		net_close(vm->net);
	audio_close(vm->audio);
	tpm_close(vm->tpm);
	vnc_close(vm->vnc);
	sdl_close(vm->window);
	display_free(vm->display);
	for (unsigned i = 0; i < MACHINE_CONSOLES_MAX; i++)
		if (vm->console[i])
			chr_close(vm->console[i]);
	if (vm->debugcon)
		chr_close(vm->debugcon);
	if (vm->midi)
		chr_close(vm->midi);
	if (vm->firmware_log)
		chr_close(vm->firmware_log);
	for (unsigned i = 0; i < MACHINE_SERIALS; i++)
		if (vm->serial[i])
			chr_close(vm->serial[i]);
}

void vm_free(struct vm *vm)
{
	if (!vm)
		return;
	vm_watchdog_stop(vm);
	if (vm->bus_up && vm->loop) {
		bus_lock(&vm->bus);
		free_locked(vm);
		clock_free(vm->clock);
		vm_exact_free(vm);
		bus_unlock(&vm->bus);
	}
	if (vm->loop)
		loop_free(vm->loop);
	if (vm->bus_up)
		bus_done(&vm->bus);
	if (vm->mem)
		mem_space_free(vm->mem);
	boot_source_done(&vm->boot);
	vm_firmware_done(vm);
	engine_room_done(&vm->engine.room);
	pthread_cond_destroy(&vm->parked);
	pthread_cond_destroy(&vm->go);
	free(vm);
}

int vm_run(struct vm *vm, bool paused, struct vm_result *ret_result)
{
	int r;

	vm_watchdog_start(vm);
	bus_lock(&vm->bus);
	if (!paused)
		vm_resume(vm);
	bus_unlock(&vm->bus);
	r = loop_run(vm->loop);
	vm_watchdog_stop(vm);
	bus_lock(&vm->bus);
	vm_hold(vm);
	if (r < 0 && vm->result.end == VM_END_NONE) {
		vm->result.end = VM_END_ERROR;
		error_set(&vm->result.err, r, "the event loop failed: %s", strerror(-r));
	}
	*ret_result = vm->result;
	for (unsigned i = 0; i < MACHINE_SERIALS; i++)
		if (vm->serial[i])
			chr_flush(vm->serial[i], 500);
	bus_unlock(&vm->bus);
	return r;
}
