/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of CPU engines: interp (reference), translate, kvm. One machine, any engine: state
 * moves between them through struct x86_state.
 *
 * run() executes on the vCPU's own thread until something outside the CPU is needed and reports it
 * in v->exit. Port and MMIO accesses are done inside run() through bus/. kick() may come from any
 * thread and from a signal handler.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "cpu/x86/lapic.h"
#include "cpu/x86/vcpu.h"

struct engine_caps {
	const char *name; /* "interp" */
	char detail[160]; /* one line for `bothy doctor`: what it can do here or why it cannot */
	unsigned speed;   /* rank: higher is faster */
};

/* Bytes for each vCPU that engine_vm.memory has to have. */
#define ENGINE_MEMORY_LEAST (20 * MIB)

/* Host addresses less than 2 GiB away from every struct vcpu, for code that addresses those
 * relative to RIP: reserved, PROT_NONE. */
struct engine_room {
	uint8_t *at;
	size_t size; /* 0: none */
	_Atomic size_t used;
	void *cpus; /* what engine_room_new() returned */
};
/** engine_room_new() - @size bytes of zeros, a page's start, for the states of @n_cpus processors,
 * and *@r next to them. NULL with text in @err. */
void *engine_room_new(struct engine_room *r, size_t size, unsigned n_cpus, struct error *err);
/** engine_room_done() - both go, after all that was put there (code_map_done()). */
void engine_room_done(struct engine_room *r);

struct engine_vm {
	const struct engine_ops *ops;
	struct mem_space *mem; /* borrowed */
	struct bus *bus;       /* borrowed */
	struct cpu_set *cpus;  /* borrowed */
	struct mem_listener listener;
	void *engine;            /* the engine's own per-VM data */
	struct engine_room room; /* the vCPUs' threads take pieces of it */
	uint64_t memory;         /* bytes for decoded blocks and translated code; 0: by guest RAM */
	bool translate_at_once;  /* tests: translate each block when it is first entered */
	int8_t by_rip; /* tests: 1, -1: code addresses struct vcpu by RIP, by GS; 0: by host */
	bool exact;  /* blocks return to the run loop, instructions are counted there: insn_limit */
	bool verify; /* translate: look at all code before it runs (translate/verify.c) */
	unsigned compare_every; /* lockstep: after its first runs, compare each n-th of a block */
};

struct engine_ops {
	const char *name;
	int (*probe)(struct engine_caps *ret_caps, struct error *err);
	int (*vm_init)(struct engine_vm *vm, struct error *err);
	void (*vm_done)(struct engine_vm *vm);
	int (*vcpu_init)(struct engine_vm *vm, struct vcpu *v,
			 struct error *err); /* on its thread */
	int (*run)(struct engine_vm *vm, struct vcpu *v, struct vcpu_exit *ret_exit);
	void (*kick)(struct vcpu *v);
	int (*get_state)(struct vcpu *v, struct x86_state *ret_state);
	int (*set_state)(struct vcpu *v, const struct x86_state *state);
	void (*vcpu_done)(struct vcpu *v);
};

extern const struct engine_ops engine_interp, engine_translate, engine_lockstep;

/** engine_list() - NULL-terminated, all compiled-in engines, fastest first. */
const struct engine_ops *const *engine_list(void);
/** engine_pick() - by name, or the fastest usable for "auto"; the reason in @ret_caps->detail.
 * NULL with text in @err when @name is unknown or unusable. */
const struct engine_ops *engine_pick(const char *name, struct engine_caps *ret_caps,
				     struct error *err);

/** engine_known() - is @name "auto" or that of an engine, usable or not? */
bool engine_known(const char *name);
/** engine_number() - N of "lockstep:N" (engine_vm.compare_every), else 0. */
unsigned engine_number(const char *name);
/** engine_verifies() - is @name "translate:verify" (engine_vm.verify)? */
bool engine_verifies(const char *name);

#endif
