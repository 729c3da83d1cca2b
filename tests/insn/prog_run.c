/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs each random program (prog.h) on the host CPU, on the interpreter in peace, and on the engine
 * under test with an operating system at work, and compares how they end. The engine has two
 * guests, by turns: one translates blocks when they run first, the other when they are hot.
 *
 * What the host could not run to its end (a program that changed itself into something that it may
 * not do, or that takes too long) is counted and left out.
 */
#include "prog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/bits.h"

struct prog_set {
	unsigned bits;
	const char *engine;
	struct native *native;
	struct prog_guest *peace, *guest[2];
	struct cpu_model model;
	struct prog *start, *end[2];
	uint64_t done, killed, faults, calls, insns;
	bool x87_pointers; /* host's are kept whatever happens in between */
};

struct prog_set *prog_set_new(const char *engine, unsigned bits, bool x87_pointers,
			      struct error *err)
{
	struct prog_set *s = xnew(struct prog_set);
	const char *why;

	s->bits = bits;
	s->engine = engine;
	s->x87_pointers = x87_pointers;
	s->native = native_new_prog(&why);
	if (!s->native) {
		error_set(err, -1, "%s", why);
		return NULL; /* a test program: it ends */
	}
	if (cpu_model_init(&s->model, "max", 1, 1000000000, err))
		return NULL;
	s->peace = prog_guest_new("interp", false, true, err);
	s->guest[0] = prog_guest_new(engine, true, true, err);
	s->guest[1] = prog_guest_new(engine, true, false, err);
	s->start = aligned_alloc(0x1000, sizeof(struct prog));
	s->end[0] = aligned_alloc(0x1000, sizeof(struct prog));
	s->end[1] = aligned_alloc(0x1000, sizeof(struct prog));
	if (!s->peace || !s->guest[0] || !s->guest[1] || !s->start || !s->end[0] || !s->end[1])
		return NULL;
	return s;
}

void prog_set_free(struct prog_set *s)
{
	prog_guest_free(s->peace);
	prog_guest_free(s->guest[0]);
	prog_guest_free(s->guest[1]);
	native_free(s->native);
	free(s->start);
	free(s->end[0]);
	free(s->end[1]);
	free(s);
}

static bool word(const char *what, unsigned i, uint64_t a, uint64_t b)
{
	if (a == b)
		return false;
	printf("  %s %u: %llx, %llx\n", what, i, (unsigned long long)a, (unsigned long long)b);
	return true;
}

static bool bytes(const char *what, unsigned i, const uint8_t *a, const uint8_t *b, unsigned n)
{
	if (!memcmp(a, b, n))
		return false;
	printf("  %s %u:", what, i);
	for (unsigned k = n; k--;)
		printf("%s%02x", k == n - 1 ? " " : "", a[k]);
	printf(",");
	for (unsigned k = n; k--;)
		printf("%s%02x", k == n - 1 ? " " : "", b[k]);
	printf("\n");
	return true;
}

/* The first fault that is not the same, of the last PROG_LOG. */
static void tell_faults(const struct prog *a, const struct prog *b)
{
	uint64_t n = MAX(a->faults, b->faults);
	uint64_t i = n > PROG_LOG ? n - PROG_LOG : 0;

	for (; i < n; i++) {
		const struct prog_fault *x = &a->log[i % PROG_LOG], *y = &b->log[i % PROG_LOG];

		if (!memcmp(x, y, sizeof(*x)) && i < a->faults && i < b->faults)
			continue;
		printf("  fault %llu: vector %u at %llx, error %x, cr2 %llx, flags %llx; vector %u "
		       "at %llx, error %x, cr2 %llx, flags %llx\n",
		       (unsigned long long)i, x->vector, (unsigned long long)x->rip, x->error,
		       (unsigned long long)x->cr2, (unsigned long long)x->rflags, y->vector,
		       (unsigned long long)y->rip, y->error, (unsigned long long)y->cr2,
		       (unsigned long long)y->rflags);
		for (unsigned k = 0; k < 16; k++)
			word("its gpr", k, x->gpr[k], y->gpr[k]);
		return;
	}
}

static bool compare(const char *what, const struct prog *a, const struct prog *b, bool x87_pointers)
{
	const uint8_t *x = a->out.xsave, *y = b->out.xsave;
	uint64_t gm = a->bits == 64 ? ~0ull : 0xffffffff;
	unsigned regs = a->bits == 64 ? 16 : 8, told = 0;
	bool d = false;

	d |= word("stop", 0, a->stop, b->stop);
	d |= word("faults", 0, a->faults, b->faults);
	d |= word("calls", 0, a->calls, b->calls);
	if (a->hash != b->hash) {
		d = true;
		tell_faults(a, b);
	}
	d |= word("rip", 0, a->out.rip, b->out.rip);
	d |= word("rflags", 0, a->out.rflags, b->out.rflags);
	for (unsigned i = 0; i < regs; i++)
		d |= word("gpr", i, a->out.gpr[i] & gm, b->out.gpr[i] & gm);
	d |= word("fcw", 0, ld_le16(x), ld_le16(y));
	d |= word("fsw", 0, ld_le16(x + 2), ld_le16(y + 2));
	d |= word("ftw", 0, x[4], y[4]);
	if (x87_pointers) {
		d |= word("fip", 0, ld_le64(x + 8), ld_le64(y + 8));
		d |= word("fdp", 0, ld_le64(x + 16), ld_le64(y + 16));
	}
	d |= word("mxcsr", 0, ld_le32(x + 24), ld_le32(y + 24));
	for (unsigned i = 0; i < 8; i++)
		d |= bytes("st", i, x + 32 + i * 16, y + 32 + i * 16, 10);
	for (unsigned i = 0; i < regs; i++) {
		d |= bytes("xmm", i, x + 160 + i * 16, y + 160 + i * 16, 16);
		d |= bytes("ymmh", i, x + 576 + i * 16, y + 576 + i * 16, 16);
	}
	for (unsigned i = 0; i < PROG_IMAGE && told < 8; i++)
		if (a->image[i] != b->image[i]) {
			enum prog_access may;
			uint64_t at = prog_page(i / 0x1000, &may) + i % 0x1000;

			d = true;
			told++;
			printf("  mem %llx: %02x, %02x\n", (unsigned long long)at, a->image[i],
			       b->image[i]);
		}
	if (d)
		printf("  = %s\n", what);
	return d;
}

static void list_code(const struct prog *p)
{
	uint64_t base = p->bits == 16 ? NATIVE_BASE : 0;
	struct insn in;

	printf("start %llx, recover %llx, end %llx\n", (unsigned long long)p->start,
	       (unsigned long long)p->recover, (unsigned long long)p->end);
	for (unsigned off = 0; off < p->code_len; off += in.len) {
		const uint8_t *b = p->image + (PROG_CODE - NATIVE_BASE) + off;
		char text[128] = "?";

		if (insn_decode(b, 15, p->bits, &in))
			in.len = 1;
		else
			insn_format(&in, PROG_CODE + off - base, text, sizeof(text));
		printf("  %llx: %s\n", (unsigned long long)(PROG_CODE + off - base), text);
	}
}

bool prog_set_one(struct prog_set *s, uint64_t id, bool verbose)
{
	struct prog *nat = native_prog(s->native), *ref = s->end[0], *end = s->end[1];
	bool d;

	prog_make(s->start, id, s->bits, &s->model);
	if (verbose)
		list_code(s->start);
	memcpy(nat, s->start, sizeof(*nat));
	native_run_prog(s->native);
	if (nat->stop == NATIVE_KILLED) {
		s->killed++;
		return false;
	}
	memcpy(ref, s->start, sizeof(*ref));
	prog_guest_run(s->peace, ref);
	memcpy(end, s->start, sizeof(*end));
	prog_guest_run(s->guest[id >> 8 & 1], end);
	s->done++;
	s->faults += nat->faults;
	s->calls += nat->calls;
	s->insns += nat->insns;
	d = compare("host, interp", nat, ref, s->x87_pointers);
	d |= compare(s->engine, ref, end, true);
	if (d)
		printf("diff_insn -engine %s -prog -mode %u -case 0x%llx\n", s->engine, s->bits,
		       (unsigned long long)id);
	return d;
}

void prog_set_sums(const struct prog_set *s)
{
	char text[256];

	printf("%llu programs of %llu instructions: %llu faults, %llu calls; %llu could not be run "
	       "here\n",
	       (unsigned long long)s->done, (unsigned long long)s->insns,
	       (unsigned long long)s->faults, (unsigned long long)s->calls,
	       (unsigned long long)s->killed);
	for (unsigned i = 0; i < 3; i++) {
		prog_guest_work(i < 2 ? s->guest[i] : s->peace, text, sizeof(text));
		printf("%s: %s\n", i < 2 ? s->engine : "interp", text);
	}
}
