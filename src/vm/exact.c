/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs that can be repeated to the bit (--deterministic): what the guest does depends on its
 * images, its configuration and its recorded inputs, not on the host.
 *
 * - Time is counted: each instruction of the one vCPU takes a nanosecond and a TSC tick. When it
 *   halts, time jumps to the next timer. The wall clock starts at a fixed date.
 * - The interpreter counts exactly and comes back at the end of each block (engine_vm.exact); the
 *   run is cut into slices that end at the first timer's deadline, at HLT, or after SLICE.
 * - While a slice runs its thread holds the bus lock (recursive here), so no event of the host can
 *   reach a device. Between slices: due timers fire, disk requests complete in the order they were
 *   made (BLOCK_AIO_SYNC), then the main loop gets one turn.
 * - What comes from outside in that turn (typed bytes, keys and pointer, the power button, NMI,
 *   reset) is an input. It is written to the record file with the instruction count and time, and
 *   replayed from there at the same place; replaying, the real ones are ignored.
 * - Randomness of the host is not there: no RDRAND, RDSEED, virtio-rng, no network.
 *
 * A line of a record file: "INSNS NS serial0 HEX", "... console1 HEX", "... screen HEX"
 * (display/display.h), "... button", "... nmi", "... reset".
 *
 * UNMODELLED: back ends whose other side decides when output is taken (a pty, a socket, a slow
 * pipe): use a file, or a reader that keeps up.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vm/internal.h"

#define SLICE     1000000u               /* instructions */
#define WALL      1704067200000000000ull /* 2024-01-01 */
#define LINE_MAX_ 4096u

struct exact_input {
	uint64_t insns;
	ns_t at;
	char what[16];
	uint8_t bytes[1024];
	size_t n;
};

/* A back end whose input is recorded. */
struct exact_tap {
	struct vm *vm;
	struct chr *chr;
	char name[16];
};

struct exact {
	FILE *record, *replay;
	bool have; /* `next` is filled */
	struct exact_input next;
	uint64_t turn_wanted, turn_done; /* of the main loop */
	pthread_cond_t turned;
	struct exact_tap tap[MACHINE_SERIALS + MACHINE_CONSOLES_MAX];
	unsigned n_taps;
};

/* ---- record and replay ---- */

static struct vcpu *cpu(struct vm *vm)
{
	return &vm->cpu[0].v;
}

static void write_line(struct vm *vm, const char *what, const uint8_t *buf, size_t len)
{
	struct exact *x = vm->exact;

	if (!x->record)
		return;
	fprintf(x->record, "%" PRIu64 " %" PRIu64 " %s", cpu(vm)->count.insns, clock_now(vm->clock),
		what);
	for (size_t i = 0; i < len; i++)
		fprintf(x->record, "%s%02x", i ? "" : " ", buf[i]);
	fputc('\n', x->record);
	fflush(x->record);
}

static void on_input(void *ctx, const uint8_t *buf, size_t len)
{
	struct exact_tap *t = ctx;

	write_line(t->vm, t->name, buf, len);
}

/* Keys, pointer and sizes of viewers. */
static bool on_screen_input(void *ctx, const uint8_t *event, size_t len)
{
	struct vm *vm = ctx;

	if (vm->exact->replay)
		return false;
	write_line(vm, "screen", event, len);
	return true;
}

bool vm_exact_input(struct vm *vm, const char *what)
{
	if (!vm->exact)
		return true;
	if (vm->exact->replay)
		return false;
	write_line(vm, what, NULL, 0);
	return true;
}

static bool parse_hex(const char *s, struct exact_input *in)
{
	in->n = 0;
	for (; s[0] && s[0] != '\n'; s += 2) {
		unsigned byte;

		if (!s[1] || sscanf(s, "%2x", &byte) != 1 || in->n == sizeof(in->bytes))
			return false;
		in->bytes[in->n++] = (uint8_t)byte;
	}
	return true;
}

/* Look at the next input; false at the end of the file. A line that makes no sense ends it. */
static bool peek_input(struct exact *x)
{
	char line[LINE_MAX_], hex[LINE_MAX_] = "";

	if (x->have || !x->replay)
		return x->have;
	if (!fgets(line, sizeof(line), x->replay))
		return false;
	if (sscanf(line, "%" SCNu64 " %" SCNu64 " %15s %4000s", &x->next.insns, &x->next.at,
		   x->next.what, hex) < 3 ||
	    !parse_hex(hex, &x->next)) {
		log_err("replay: cannot read this line, stopping there: %s", line);
		fclose(x->replay);
		x->replay = fopen("/dev/null", "r");
		return false;
	}
	x->have = true;
	return true;
}

static void apply(struct vm *vm, const struct exact_input *in)
{
	struct exact *x = vm->exact;

	if (!strcmp(in->what, "button"))
		machine_power_button(vm->machine);
	else if (!strcmp(in->what, "nmi"))
		lapic_nmi(cpu(vm));
	else if (!strcmp(in->what, "reset"))
		vm_ask(vm, VM_ASK_RESET);
	else if (!strcmp(in->what, "screen") && vm->display)
		display_inject(vm->display, in->bytes, in->n);
	for (unsigned i = 0; i < x->n_taps; i++)
		if (!strcmp(in->what, x->tap[i].name))
			chr_inject(x->tap[i].chr, in->bytes, in->n);
}

static void replay_due(struct vm *vm)
{
	struct exact *x = vm->exact;

	while (peek_input(x) && cpu(vm)->count.insns >= x->next.insns &&
	       clock_now(vm->clock) >= x->next.at) {
		x->have = false;
		apply(vm, &x->next);
	}
}

/* ---- the slices ---- */

/* Clock: the first deadline is another one. In a slice, that may end it earlier. */
static void on_armed(void *ctx)
{
	struct vm *vm = ctx;
	struct vcpu *v = cpu(vm);
	ns_t next = clock_next(vm->clock), now = clock_now(vm->clock);
	uint64_t end = v->count.insns + (next > now ? MIN(next - now, (ns_t)SLICE) : 1);

	if (v->insn_limit && end < v->insn_limit)
		v->insn_limit = end;
}

static void on_turn(void *ctx)
{
	struct vm *vm = ctx;

	vm->exact->turn_done++;
	pthread_cond_broadcast(&vm->exact->turned);
}

void vm_exact_wake(struct vm *vm)
{
	if (vm->exact)
		pthread_cond_broadcast(&vm->exact->turned);
}

static bool must_stop(struct vm *vm)
{
	return atomic_load(&vm->hold) || atomic_load(&vm->ending);
}

/* Everything of the host that is ready happens now. */
static void loop_turn(struct vm *vm)
{
	struct exact *x = vm->exact;
	uint64_t want = ++x->turn_wanted;

	loop_post(vm->loop, on_turn, vm);
	while (x->turn_done < want && !must_stop(vm))
		pthread_cond_wait(&x->turned, &vm->bus.lock);
}

static void between(struct vm *vm)
{
	clock_catch_up(vm->clock);
	for (unsigned i = 0; i < MACHINE_DISKS_MAX; i++)
		if (vm->block[i])
			block_drain(vm->block[i]);
	loop_turn(vm);
	if (vm->exact->replay)
		replay_due(vm);
}

static void halted(struct vm *vm, struct vm_cpu *c)
{
	ns_t next = clock_next(vm->clock);

	if (next != UINT64_MAX) {
		clock_skip(vm->clock, next);
		return;
	}
	bus_unlock(&vm->bus);
	vm_sleep_halted(c); /* nothing will happen but by an input */
	bus_lock(&vm->bus);
}

int vm_exact_run(struct vm *vm, struct vm_cpu *c, struct vcpu_exit *x)
{
	struct vcpu *v = &c->v;
	bool halt = false;
	int r = 0;

	while (!must_stop(vm) && r == 0) {
		between(vm);
		if (must_stop(vm))
			break;
		if (halt && !(atomic_load(&v->request) & VM_WAKE_BITS)) {
			halted(vm, c);
			halt = false; /* look again, then run: it halts at once if nothing came */
			continue;
		}
		*x = (struct vcpu_exit){0};
		v->insn_limit = v->count.insns + SLICE;
		on_armed(vm);
		r = vm->engine.ops->run(&vm->engine, v, x);
		v->insn_limit = 0;
		halt = x->reason == VCPU_EXIT_HALT;
		if (r == 0 && !halt && x->reason != VCPU_EXIT_KICK)
			return 1;
	}
	return r;
}

/* ---- setting up, and what came out ---- */

static int open_file(const char *path, const char *mode, FILE **ret, struct error *err)
{
	if (!path)
		return 0;
	*ret = fopen(path, mode);
	if (!*ret)
		return error_set(err, -errno, "cannot open the record of inputs '%s': %s", path,
				 strerror(errno));
	return 0;
}

int vm_exact_check(const struct vm_config *cfg, struct error *err)
{
	if (!cfg->deterministic)
		return 0;
	if (cfg->n_cpus > 1)
		return error_set(err, -EINVAL, "--deterministic: one processor only (-c 1)");
	if (cfg->net && strcmp(cfg->net, "none"))
		return error_set(err, -EINVAL,
				 "--deterministic: the network is not: use --net none");
	if (cfg->engine && strcmp(cfg->engine, "auto") && strcmp(cfg->engine, "interp"))
		return error_set(err, -EINVAL,
				 "--deterministic: only the interpreter counts "
				 "exactly: use --engine interp");
	return 0;
}

int vm_exact_new(struct vm *vm, const struct vm_config *cfg, struct error *err)
{
	struct exact *x = xnew(struct exact);
	int r;

	vm->exact = x;
	pthread_cond_init(&x->turned, NULL);
	clock_set_wall_base(vm->clock, WALL);
	r = open_file(cfg->record, "w", &x->record, err);
	return r ? r : open_file(cfg->replay, "r", &x->replay, err);
}

static void tap(struct vm *vm, struct chr *c, const char *kind, unsigned n)
{
	struct exact *x = vm->exact;
	struct exact_tap *t;

	if (!c)
		return;
	t = &x->tap[x->n_taps++];
	t->vm = vm;
	t->chr = c;
	snprintf(t->name, sizeof(t->name), "%s%u", kind, n);
	if (x->replay)
		chr_deafen(c);
	chr_set_tap(c, on_input, t);
}

void vm_exact_start(struct vm *vm)
{
	for (unsigned i = 0; i < MACHINE_SERIALS; i++)
		tap(vm, vm->serial[i], "serial", i);
	for (unsigned i = 0; i < MACHINE_CONSOLES_MAX; i++)
		tap(vm, vm->console[i], "console", i);
	if (vm->display)
		display_set_tap(vm->display, on_screen_input, vm);
	clock_count(vm->clock, &cpu(vm)->count.insns, on_armed, vm);
}

void vm_exact_free(struct vm *vm)
{
	struct exact *x = vm->exact;

	if (!x)
		return;
	if (x->record)
		fclose(x->record);
	if (x->replay)
		fclose(x->replay);
	pthread_cond_destroy(&x->turned);
	free(x);
	vm->exact = NULL;
}

static uint64_t mix(uint64_t h, const void *p, size_t n)
{
	const uint8_t *b = p;
	uint64_t w;

	for (; n >= 8; n -= 8, b += 8) {
		memcpy(&w, b, 8);
		h = (h ^ w) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 29;
	}
	while (n--)
		h = (h ^ *b++) * 0x100000001b3ull;
	return h;
}

/* RAM and the vCPU. Padding is not state. */
static uint64_t state_hash(struct vm *vm)
{
	struct x86_state s = cpu(vm)->s;
	uint64_t h = 0xcbf29ce484222325ull;
	struct mem_ref ref;

	for (unsigned i = 0; i < X86_SREG_COUNT; i++)
		memset(s.seg[i].pad_, 0, sizeof(s.seg[i].pad_));
	memset(s.ldtr.pad_, 0, sizeof(s.ldtr.pad_));
	memset(s.tr.pad_, 0, sizeof(s.tr.pad_));
	h = mix(h, &s, sizeof(s));
	for (gpa_t at = 0; at < vm->cfg.ram_size + 4 * GIB;) {
		mem_lookup(vm->mem, at, &ref);
		if (ref.kind == MEM_RAM)
			h = mix(h, ref.block->host + ref.block_off, ref.len - (at - ref.start));
		at = ref.len ? ref.start + ref.len : at + MEM_PAGE_SIZE;
		if (!ref.len && !at)
			break;
	}
	return h;
}

void vm_exact_report(struct vm *vm, FILE *out)
{
	const struct vcpu_counters *c = &cpu(vm)->count;

	if (!vm->exact)
		return;
	vm_hold(vm);
	fprintf(out,
		"bothy: deterministic: %" PRIu64 " instructions, %" PRIu64 " ns, %" PRIu64
		" exceptions, %" PRIu64 " interrupts, %" PRIu64 " port and %" PRIu64
		" MMIO accesses, state %016" PRIx64 "\n",
		c->insns, clock_now(vm->clock), c->exceptions, c->interrupts, c->pio, c->mmio,
		state_hash(vm));
	fflush(out);
}
