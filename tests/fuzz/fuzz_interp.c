/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any code in any mode on the interpreter: nothing a guest executes may crash or hang it, and the
 * same program run in chained blocks and one instruction at a time ends in the same registers and
 * memory.
 *
 * Input: byte 0 the mode, 16 bytes that pick register values, then code, taken as it is or (bit 7
 * of byte 0) without what does not decode or would end the program soon. Memory comes back from the
 * dirty log after each run, and every so often all of it is compared, so the log is tested too. A
 * run that does not end by itself is kicked after a few milliseconds.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "../insn/machine.h"
#include "engine/decode/insn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RUN_MS = 4, STEPS_MOST = 1500, CODE_MOST = 512, PAGES = IM_RAM / 4096 };

struct box {
	struct im *m;
	uint8_t *fresh; /* RAM as im_new() left it */
	uint64_t dirty[PAGES / 64];
};

struct outcome {
	struct im_end end;
	bool ended;
	struct x86_state s;
	uint64_t sum; /* of the pages written */
};

static struct box boxes[6]; /* mode and CPL */
static struct vcpu *volatile running;

static void on_alarm(int sig)
{
	if (running)
		vcpu_request(running, VCPU_REQ_KICK);
}

static void arm(unsigned ms)
{
	struct itimerval t = {.it_value.tv_usec = ms * 1000, .it_interval.tv_usec = ms * 1000};

	setitimer(ITIMER_REAL, &t, NULL);
}

static struct box *get_box(unsigned mode)
{
	static const struct {
		unsigned bits, cpl;
	} modes[6] = {{16, 0}, {32, 0}, {64, 0}, {64, 3}, {32, 3}, {64, 0}};
	struct box *b = &boxes[mode];
	struct error err = {0};

	if (b->m)
		return b;
	b->m = im_new(modes[mode].bits, modes[mode].cpl, "x86-64-v3");
	b->fresh = xcalloc(1, IM_RAM);
	memcpy(b->fresh, im_host(b->m, 0), IM_RAM);
	bus_lock(&b->m->bus);
	check(!mem_dirty_start(b->m->mem, &err));
	bus_unlock(&b->m->bus);
	return b;
}

static uint64_t pick(uint8_t how, unsigned reg)
{
	static const uint64_t values[16] = {0,
					    1,
					    IM_DATA,
					    IM_DATA + 0xff8,
					    IM_DATA + 0x1003,
					    IM_STACK,
					    ~0ull,
					    0x80000000,
					    0x7fffffffffffffff,
					    0x8000000000000000,
					    0x100000,
					    0x100ff0,
					    0xffffffff,
					    0x10000,
					    0x8000,
					    0xfff};

	return values[how & 15] + (how >> 4) * (reg & 1 ? 8 : 1);
}

/* Forget everything a run did. */
static void restore(struct box *b)
{
	struct im *m = b->m;

	mem_dirty_fetch(m->mem, m->ram, b->dirty);
	for (unsigned i = 0; i < PAGES; i++)
		if (b->dirty[i / 64] >> i % 64 & 1 &&
		    memcmp(im_host(m, i * 4096ull), b->fresh + i * 4096ull, 4096))
			check(!mem_write(m->mem, i * 4096ull, b->fresh + i * 4096ull, 4096));
	mem_dirty_fetch(m->mem, m->ram, b->dirty);
}

static uint64_t sum_written(struct box *b)
{
	uint64_t sum = 0;

	mem_dirty_fetch(b->m->mem, b->m->ram, b->dirty);
	for (unsigned i = 0; i < PAGES; i++) {
		const uint8_t *p = im_host(b->m, i * 4096ull), *f = b->fresh + i * 4096ull;

		if (!(b->dirty[i / 64] >> i % 64 & 1))
			continue;
		for (unsigned j = 0; j < 4096; j += 8)
			if (ld_le64(p + j) != ld_le64(f + j))
				sum += (ld_le64(p + j) ^ (i * 4096ull + j)) * 0x9e3779b97f4a7c15ull;
	}
	/* put the bits back for restore() */
	for (unsigned i = 0; i < PAGES; i++)
		if (b->dirty[i / 64] >> i % 64 & 1)
			mem_block_written(b->m->mem, b->m->ram, i * 4096ull, 1);
	return sum;
}

/* Keep instructions that exist and are neither privileged nor far away from here. */
static unsigned sift(unsigned bits, const uint8_t *from, unsigned n, uint8_t *to)
{
	unsigned len = 0;
	struct insn in;

	for (unsigned at = 0; at < n;) {
		if (insn_decode(from + at, n - at, bits, &in) != DECODE_OK ||
		    in.flags & INSN_CPL0 || (in.flags & INSN_ENDS && in.special != SP_JCC) ||
		    in.special == SP_UD || (in.special == SP_JCC && in.imm + 64 > 128)) {
			at++;
			continue;
		}
		memcpy(to + len, from + at, in.len);
		len += in.len;
		at += in.len;
	}
	return len;
}

static void start(struct box *b, const uint8_t *data, size_t size)
{
	struct im *m = b->m;

	uint8_t code[CODE_MOST];
	unsigned n = (unsigned)MIN(size - 17, (size_t)CODE_MOST);

	if (data[0] & 0x80)
		n = sift(m->bits, data + 17, n, code);
	else
		memcpy(code, data + 17, n);
	im_reset(m);
	im_code(m, code, n);
	for (unsigned r = 0; r < 16; r++)
		if (r != X86_RSP || data[1 + r] & 0x80)
			m->v->s.gpr[r] = pick(data[1 + r], r);
	if (m->bits != 64)
		for (unsigned r = 0; r < 16; r++)
			m->v->s.gpr[r] = r < 8 ? (uint32_t)m->v->s.gpr[r] : 0;
}

static void finish(struct box *b, struct outcome *o)
{
	o->ended = o->end.reason == VCPU_EXIT_HALT || o->end.reason == VCPU_EXIT_SHUTDOWN;
	o->s = b->m->v->s;
	o->sum = sum_written(b);
	restore(b);
}

static void run_blocks(struct box *b, const uint8_t *data, size_t size, struct outcome *o)
{
	start(b, data, size);
	running = b->m->v;
	arm(RUN_MS);
	o->end = im_run(b->m);
	arm(0);
	running = NULL;
	finish(b, o);
}

static void run_steps(struct box *b, const uint8_t *data, size_t size, struct outcome *o)
{
	struct vcpu *v = b->m->v;
	unsigned n = 0;

	start(b, data, size);
	v->debug.single_step = true;
	x86_debug_changed(v);
	do
		o->end = im_run(b->m);
	while (o->end.reason == VCPU_EXIT_DEBUG && ++n < STEPS_MOST);
	v->debug.single_step = false;
	x86_debug_changed(v);
	finish(b, o);
}

static void compare(const struct outcome *a, const struct outcome *b)
{
	const struct x86_state *s = &a->s, *t = &b->s;

	check(a->end.reason == b->end.reason);
	check(a->end.vector == b->end.vector && a->end.error == b->end.error);
	check(s->rip == t->rip && s->rflags == t->rflags && s->cr2 == t->cr2);
	check(!memcmp(s->gpr, t->gpr, sizeof(s->gpr)));
	check(!memcmp(&s->fpu, &t->fpu, sizeof(s->fpu)));
	check(!memcmp(s->seg, t->seg, sizeof(s->seg)));
	check(s->cr0 == t->cr0 && s->cr3 == t->cr3 && s->cr4 == t->cr4 && s->efer == t->efer);
	check(a->sum == b->sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned n;
	struct outcome a, b;
	struct box *box;

	if (size < 18)
		return 0;
	if (!n++)
		signal(SIGALRM, on_alarm);
	box = get_box(data[0] % 6);
	run_blocks(box, data, size, &a);
	run_steps(box, data, size, &b);
	if (a.ended && b.ended)
		compare(&a, &b);
	if (n % 256 == 0)
		check(!memcmp(im_host(box->m, 0), box->fresh, IM_RAM));
	return 0;
}
