/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counters table (--stats, SIGUSR1, Ctrl-] s). vCPU counters are plain words of their
 * threads, which are parked while they are printed; the guest clock goes on.
 */
#include <inttypes.h>

#include "vm/internal.h"

static void row(FILE *out, const char *name, uint64_t v, const char *unit)
{
	fprintf(out, "  %-28s %16" PRIu64 " %s\n", name, v, unit);
}

static void cpu_table(struct vm *vm, FILE *out, double seconds)
{
	static const char *const exits[VCPU_EXIT_COUNT] = {
		"exit: kick", "exit: halt", "exit: shutdown", "exit: debug", "exit: error"};

	for (unsigned i = 0; i < vm->n_cpus; i++) {
		const struct vcpu_counters *c = &vm->cpu[i].v.count;

		fprintf(out, "vcpu %u at rip 0x%" PRIx64 "\n", i, vm->cpu[i].v.s.rip);
		row(out, "instructions", c->insns, "");
		if (seconds > 0)
			fprintf(out, "  %-28s %16.1f million/s\n", "rate",
				(double)c->insns / seconds / 1e6);
		row(out, "blocks entered", c->blocks, "");
		row(out, "exceptions", c->exceptions, "");
		row(out, "interrupts", c->interrupts, "");
		row(out, "TLB misses", c->tlb_misses, "");
		row(out, "TLB flushes", c->tlb_flushes, "");
		row(out, "port accesses", c->pio, "");
		row(out, "MMIO accesses", c->mmio, "");
		row(out, "halts", c->halts, "");
		row(out, "self-modifying code", c->smc, "");
		row(out, "pauses", c->pauses, "");
		for (unsigned k = 0; k < VCPU_EXIT_COUNT; k++)
			if (c->exits[k])
				row(out, exits[k], c->exits[k], "");
	}
}

static void block_table(struct vm *vm, FILE *out)
{
	for (unsigned i = 0; i < MACHINE_DISKS_MAX; i++) {
		struct block_counters n;

		if (!vm->block[i])
			continue;
		block_get_counters(vm->block[i], &n);
		fprintf(out, "disk '%s' (%s)\n", block_path(vm->block[i]),
			block_aio_name(vm->block[i]));
		row(out, "reads", n.reads, "");
		row(out, "read bytes", n.read_bytes, "");
		row(out, "writes", n.writes, "");
		row(out, "written bytes", n.write_bytes, "");
		row(out, "flushes", n.flushes, "");
		row(out, "discards", n.discards, "");
		row(out, "errors", n.errors, "");
		row(out, "parked (host disk full)", n.parked, "");
	}
}

static void device_table(struct vm *vm, FILE *out)
{
	fprintf(out, "guest errors by device\n");
	LIST_FOR_EACH(it, &vm->machine->devs)
	{
		struct dev *d = LIST_ENTRY(it, struct dev, node);
		uint64_t n = atomic_load(&d->guest_errors);

		if (n)
			row(out, d->id, n, "");
	}
}

void vm_print_stats(struct vm *vm, FILE *out)
{
	double seconds = (double)clock_now(vm->clock) / 1e9;
	const struct bus_counters *b = &vm->bus.count;

	vm_hold(vm);
	fprintf(out, "bothy: counters after %.3f s of guest time, %" PRIu64 " resets, engine %s\n",
		seconds, vm->n_resets, vm->engine.ops->name);
	cpu_table(vm, out, seconds);
	fprintf(out, "bus\n");
	row(out, "port reads", atomic_load(&b->pio_reads), "");
	row(out, "port writes", atomic_load(&b->pio_writes), "");
	row(out, "MMIO reads", atomic_load(&b->mmio_reads), "");
	row(out, "MMIO writes", atomic_load(&b->mmio_writes), "");
	row(out, "unclaimed", atomic_load(&b->unclaimed), "");
	block_table(vm, out);
	if (vm->net) {
		struct net_counters n;

		net_get_counters(vm->net, &n);
		fprintf(out, "network (%s)\n", net_describe(vm->net));
		row(out, "frames out", n.tx_frames, "");
		row(out, "bytes out", n.tx_bytes, "");
		row(out, "dropped out", n.tx_drops, "");
		row(out, "frames in", n.rx_frames, "");
		row(out, "bytes in", n.rx_bytes, "");
		row(out, "dropped in", n.rx_drops, "");
	}
	device_table(vm, out);
	fflush(out);
	if (vm->state == VM_RUNNING)
		vm_release(vm);
}
