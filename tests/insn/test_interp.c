/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interpreter engine on small programs: the rows of rows.h, then tests of what needs more than
 * one run: interrupts and their shadow, single step, debugger, code caches.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

#include "../unit/cm.h"
#include "machine.h"
#include "rows.h"

static void map_holes(struct im *m)
{
	if (m->bits == 16)
		return;
	im_map(m, IM_DATA + 0x1000, 0, 0);
	im_map(m, IM_DATA + 0x3000, IM_DATA + 0x3000, IM_PRESENT | IM_USER);
	im_map(m, IM_DATA + 0x5000, 0x380000, IM_RWU);
}

/* By linear address, across the page that lies apart. */
static uint8_t *at_lin(struct im *m, uint64_t lin)
{
	if (m->bits != 16 && (lin & ~0xfffull) == IM_DATA + 0x5000)
		lin = 0x380000 + (lin & 0xfff);
	return im_host(m, lin);
}

static uint64_t peek(struct im *m, uint64_t lin)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < 8; i++)
		val |= (uint64_t)*at_lin(m, lin + i) << i * 8;
	return val;
}

static void poke(struct im *m, uint64_t lin, uint64_t val)
{
	for (unsigned i = 0; i < 8; i++)
		*at_lin(m, lin + i) = (uint8_t)(val >> i * 8);
}

static int compare_row(struct im *m, const struct row *r, const struct im_end *end)
{
	struct x86_state *s = &m->v->s;
	int want = r->vec ? r->vec - 1 : -1, bad = 0;

#define BAD(...) (bad++, printf("  %s\n    (%s)\n    ", r->what, r->cite), printf(__VA_ARGS__))
	if (end->vector != want)
		BAD("vector %d, not %d (error %x rip %" PRIx64 ", exit %d)\n", end->vector, want,
		    end->error, end->rip, end->reason);
	if (r->vec && end->vector == want && (end->rip != m->entry + r->at || end->error != r->err))
		BAD("fault at %" PRIx64 " error %x, not %" PRIx64 " %x\n", end->rip, end->error,
		    m->entry + r->at, r->err);
	if (r->cr2 && s->cr2 != r->cr2)
		BAD("CR2 %" PRIx64 ", not %" PRIx64 "\n", s->cr2, r->cr2);
	for (unsigned i = 0; i < ARRAY_SIZE(r->out) && r->out[i].reg; i++)
		if (s->gpr[r->out[i].reg - 1] != r->out[i].val)
			BAD("register %u = %" PRIx64 ", not %" PRIx64 "\n",
			    (unsigned)r->out[i].reg - 1, s->gpr[r->out[i].reg - 1], r->out[i].val);
	if ((s->rflags & r->fl_mask) != r->fl)
		BAD("flags %x, not %x\n", (unsigned)(s->rflags & r->fl_mask), r->fl);
	for (unsigned i = 0; i < ARRAY_SIZE(r->mem) && r->mem[i].at; i++)
		if (peek(m, r->mem[i].at) != r->mem[i].val)
			BAD("[%" PRIx64 "] = %" PRIx64 ", not %" PRIx64 "\n", r->mem[i].at,
			    peek(m, r->mem[i].at), r->mem[i].val);
	if (r->mxcsr && s->fpu.mxcsr != r->mxcsr)
		BAD("MXCSR %x, not %x\n", s->fpu.mxcsr, r->mxcsr);
	if (r->look_ymm && (ld_le64(s->fpu.ymm[0]) != r->ymm0 || ld_le64(s->fpu.ymm[2]) != r->ymm2))
		BAD("ymm0 %" PRIx64 " ymm2 %" PRIx64 "\n", ld_le64(s->fpu.ymm[0]),
		    ld_le64(s->fpu.ymm[2]));
#undef BAD
	return bad;
}

/* Runs one row; @single: with TF set, so that each instruction is a block of its own. */
static int run_row(const struct row *r, bool single)
{
	struct im *m = im_new(r->bits ? r->bits : 64, r->cpl, NULL);
	struct im_end end;
	unsigned steps = 0;
	int bad;

	map_holes(m);
	for (unsigned i = 0; i < ARRAY_SIZE(r->pre) && r->pre[i].at; i++)
		poke(m, r->pre[i].at, r->pre[i].val);
	im_code(m, r->code, r->len);
	if (r->am)
		m->v->s.cr0 |= X86_CR0_AM;
	for (unsigned i = 0; i < ARRAY_SIZE(r->in) && r->in[i].reg; i++)
		m->v->s.gpr[r->in[i].reg - 1] = r->in[i].val;
	if (!single) {
		end = im_run(m);
	} else {
		m->v->debug.single_step = true;
		x86_debug_changed(m->v);
		do
			end = im_run(m);
		while (end.reason == VCPU_EXIT_DEBUG && ++steps < 200000);
	}
	bad = compare_row(m, r, &end);
	im_free(m);
	return bad;
}

static void test_rows(void **state)
{
	int bad = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		bad += run_row(&rows[i], false);
	assert_int_equal(bad, 0);
}

static void test_rows_stepped(void **state)
{
	int bad = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		bad += run_row(&rows[i], true);
	assert_int_equal(bad, 0);
}

/* ---- traps, interrupts ---- */

#define CODE(m, s) im_code((m), (s), sizeof(s) - 1)

/* SDM vol. 3, 17.3.1.4: the trap comes after the instruction that began with TF set; the one that
 * sets TF is not trapped. */
static void test_single_step(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	struct im_end e;

	/* pushf; or dword [rsp], 0x100; popf; inc eax; inc eax */
	CODE(m, "\x9c\x81\x0c\x24\x00\x01\x00\x00\x9d\xff\xc0\xff\xc0");
	e = im_run(m);
	assert_int_equal(e.vector, X86_DB);
	assert_int_equal(e.rip, m->entry + 11);
	assert_int_equal(m->v->s.gpr[X86_RAX], 1);
	assert_int_equal(m->v->s.dr6 & 0x4000, 0x4000);
	assert_true(m->v->s.rflags & X86_TF);
	im_free(m);
}

/* SDM vol. 3, 6.8.3: a load of SS holds back the trap for one instruction. */
static void test_step_after_mov_ss(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	struct im_end e;

	/* mov ecx, ss; pushf; or dword [rsp], 0x100; popf; mov ss, ecx; inc eax; inc eax */
	CODE(m, "\x8c\xd1\x9c\x81\x0c\x24\x00\x01\x00\x00\x9d\x8e\xd1\xff\xc0\xff\xc0");
	e = im_run(m);
	assert_int_equal(e.vector, X86_DB);
	assert_int_equal(m->v->s.gpr[X86_RAX], 1);
	im_free(m);
}

/* SDM vol. 2, REP: with TF the trap comes after each iteration. */
static void test_step_rep(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	struct im_end e;

	CODE(m, "\x9c\x81\x0c\x24\x00\x01\x00\x00\x9d\xf3\xaa"); /* ...; popf; rep stosb */
	m->v->s.gpr[X86_RDI] = IM_DATA;
	m->v->s.gpr[X86_RCX] = 5;
	e = im_run(m);
	assert_int_equal(e.vector, X86_DB);
	assert_int_equal(e.rip, m->entry + 9);
	assert_int_equal(m->v->s.gpr[X86_RCX], 4);
	im_free(m);
}

/* Post external interrupt @vector as the bus would. */
static void post(struct im *m, uint8_t vector)
{
	m->v->s.lapic.svr = 0x1ff;
	m->v->s.lapic.irr[vector >> 5] |= 1u << (vector & 31);
	vcpu_request(m->v, VCPU_REQ_EVENT);
}

/* SDM vol. 2, STI: interrupts are taken after the instruction that follows it, not before. */
static void test_sti_shadow(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	struct im_end e;

	CODE(m, "\xfb\xff\xc0\xff\xc0\xff\xc0"); /* sti; inc eax; inc eax; inc eax */
	post(m, 0x41);
	e = im_run(m);
	assert_int_equal(e.vector, 0x41);
	assert_int_equal(m->v->s.gpr[X86_RAX], 1);
	assert_int_equal(e.rip, m->entry + 3);
	/* sti; nop; cli must open a window */
	im_reset(m);
	CODE(m, "\xfb\x90\xfa\xff\xc0");
	post(m, 0x42);
	e = im_run(m);
	assert_int_equal(e.vector, 0x42);
	assert_int_equal(e.rip, m->entry + 2);
	/* the instruction after STI turns interrupts off again: no window (SDM vol. 2, STI) */
	im_reset(m);
	CODE(m, "\xfb\xfa\xff\xc0");
	post(m, 0x43);
	e = im_run(m);
	assert_int_equal(e.vector, -1);
	im_free(m);
}

static void test_popf_window(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	struct im_end e;

	/* push 0x202; popf; inc eax: no shadow */
	CODE(m, "\x68\x02\x02\x00\x00\x9d\xff\xc0");
	post(m, 0x41);
	e = im_run(m);
	assert_int_equal(e.vector, 0x41);
	assert_int_equal(m->v->s.gpr[X86_RAX], 0);
	im_free(m);
}

static void *kick_later(void *arg)
{
	struct im *m = arg;
	struct timespec t = {.tv_nsec = 20000000};

	nanosleep(&t, NULL);
	m->vm.ops->kick(m->v);
	return NULL;
}

/* An endless loop sees requests. */
static void test_kick(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	pthread_t t;
	struct im_end e;

	CODE(m, "\xeb\xfe"); /* jmp $ */
	pthread_create(&t, NULL, kick_later, m);
	e = im_run(m);
	pthread_join(t, NULL);
	assert_int_equal(e.reason, VCPU_EXIT_KICK);
	assert_int_equal(m->v->s.rip, m->entry);
	im_free(m);
}

static void test_debugger(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	struct im_end e;

	CODE(m, "\xff\xc0\xff\xc0\x89\x07\xff\xc0"); /* inc eax; inc eax; mov [rdi], eax; inc eax */
	m->v->s.gpr[X86_RDI] = IM_DATA;
	m->v->debug.brk[0] = m->entry + 2;
	m->v->debug.n_break = 1;
	m->v->debug.n_watch = 1;
	m->v->debug.watch[0].addr = IM_DATA + 2;
	m->v->debug.watch[0].len = 1;
	m->v->debug.watch[0].access = 2;
	x86_debug_changed(m->v);
	e = im_run(m);
	assert_int_equal(e.reason, VCPU_EXIT_DEBUG);
	assert_int_equal(m->v->s.rip, m->entry + 2);
	assert_int_equal(m->v->debug.hit_access, 1);
	e = im_run(m); /* from the break point on, to the watched store */
	assert_int_equal(e.reason, VCPU_EXIT_DEBUG);
	assert_int_equal(m->v->debug.hit_access, 2);
	assert_int_equal(m->v->s.rip, m->entry + 6);
	e = im_run(m);
	assert_int_equal(e.vector, -1);
	assert_int_equal(m->v->s.gpr[X86_RAX], 3);
	im_free(m);
}

/* SDM vol. 3, 17.3.1.1: an instruction break point is a fault; RF lets it pass once. */
static void test_debug_registers(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	struct im_end e;

	CODE(m, "\xff\xc0\xff\xc0\x89\x07\xff\xc0");
	m->v->s.gpr[X86_RDI] = IM_DATA;
	m->v->s.dr[0] = m->entry + 2;
	m->v->s.dr[1] = IM_DATA;
	m->v->s.dr7 = 0x402 | 0x8 | 1u << 20 | 3u << 22; /* DR0 execute, DR1 write 4 bytes */
	x86_tlb_flush(m->v);
	e = im_run(m);
	assert_int_equal(e.vector, X86_DB);
	assert_int_equal(e.rip, m->entry + 2);
	assert_int_equal(m->v->s.dr6 & 15, 1);
	/* the one fault that pushes RF = 0: the handler sets it to get past */
	assert_false(m->v->s.rflags & X86_RF);
	m->v->s.rflags |= X86_RF;
	m->v->s.dr6 = 0xffff0ff0;
	e = im_run(m); /* continues past it: RF is set; then the data break point traps */
	assert_int_equal(e.vector, X86_DB);
	assert_int_equal(e.rip, m->entry + 6);
	assert_int_equal(m->v->s.dr6 & 15, 2);
	im_free(m);
}

/* ---- code ---- */

/* An instruction across two pages that lie apart; then its second half is rewritten, remapped,
 * made non-executable. SDM vol. 3, 4.6 and 4.10.4. */
static void test_crossing_code(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	uint64_t rip = 0x101ffd;
	struct im_end e;

	im_map(m, 0x102000, 0x390000, IM_RWU);
	memcpy(im_host(m, rip), "\xb8\x11\x22", 3); /* mov eax, 0x44332211 */
	memcpy(im_host(m, 0x390000), "\x33\x44\xf4", 3);
	m->v->s.rip = rip;
	e = im_run(m);
	assert_int_equal(e.vector, -1);
	assert_int_equal(m->v->s.gpr[X86_RAX], 0x44332211);
	assert_int_equal(mem_write(m->mem, 0x390000, "\x55", 1), 0); /* as DMA */
	m->v->s.rip = rip;
	(void)im_run(m);
	assert_int_equal(m->v->s.gpr[X86_RAX], 0x44552211);
	memcpy(im_host(m, 0x3a0000), "\x66\x77\xf4", 3);
	im_map(m, 0x102000, 0x3a0000, IM_RWU);
	m->v->s.rip = rip;
	(void)im_run(m);
	assert_int_equal(m->v->s.gpr[X86_RAX], 0x77662211);
	im_map(m, 0x102000, 0x3a0000, IM_RWU | IM_NX);
	m->v->s.rip = rip;
	e = im_run(m);
	assert_int_equal(e.vector, X86_PFV);
	assert_int_equal(e.error, 0x11); /* fetch, present */
	assert_int_equal(e.rip, rip);
	assert_int_equal(m->v->s.cr2, 0x102000);
	im_free(m);
}

/* The same page at two addresses, and the same address with two pages. */
static void test_remapped_code(void **state)
{
	struct im *m = im_new(64, 0, NULL);

	memcpy(im_host(m, 0x110000), "\x48\x8d\x05\x00\x00\x00\x00\xf4", 8); /* lea rax, [rip] */
	memcpy(im_host(m, 0x111000), "\xb8\x05\x00\x00\x00\xf4", 6);
	im_map(m, 0x120000, 0x110000, IM_RWU);
	m->v->s.rip = 0x110000;
	(void)im_run(m);
	assert_int_equal(m->v->s.gpr[X86_RAX], 0x110007);
	m->v->s.rip = 0x120000;
	(void)im_run(m);
	assert_int_equal(m->v->s.gpr[X86_RAX], 0x120007);
	im_map(m, 0x120000, 0x111000, IM_RWU);
	m->v->s.rip = 0x120000;
	(void)im_run(m);
	assert_int_equal(m->v->s.gpr[X86_RAX], 5);
	im_free(m);
}

/* Many different programs at one place: the caches fill up and are dropped, results stay right. */
static void test_cache_overflow(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	uint8_t code[4 * 16 + 1];

	for (uint32_t i = 0; i < 60000; i++) {
		uint64_t want = 0;

		for (unsigned j = 0; j < 16; j++) {
			/* add al/r8b..., imm8 would repeat; 83 /0 with changing immediates */
			uint8_t imm = (uint8_t)(i * 7 + j * (i >> 8)) & 0x7f;

			memcpy(code + j * 4, "\x48\x83\xc0", 3);
			code[j * 4 + 3] = imm;
			want += imm;
		}
		im_code(m, code, 64);
		m->v->s.gpr[X86_RAX] = 0;
		(void)im_run(m);
		assert_int_equal(m->v->s.gpr[X86_RAX], want);
	}
	im_free(m);
}

/* Blocks full of the instructions that take most host code. */
static void test_full_blocks(void **state)
{
	static const struct {
		const char *what, *code;
		unsigned len;
	} most[] = {
		{"rep movsb", BYTES("\xf3\xa4")},
		{"rep stosq", BYTES("\xf3\x48\xab")},
		{"repne scasw", BYTES("\x66\xf2\xaf")},
		{"movsd", BYTES("\xa5")},
		{"cmpsb", BYTES("\xa6")},
		{"push qword gs:[r10+r11*8+0x12345678]",
		 BYTES("\x65\x43\xff\xb4\xda\x78\x56\x34\x12")},
		{"pop qword [rsp+0x12]", BYTES("\x8f\x44\x24\x12")},
		{"lock bts gs:[r10+r11*8], r15", BYTES("\xf0\x65\x4f\x0f\xab\x3c\xda")},
		{"lock cmpxchg16b gs:[r10+r11*8]", BYTES("\xf0\x65\x4b\x0f\xc7\x0c\xda")},
		{"fst dword gs:[r10+r11*8+0x12345678]",
		 BYTES("\x65\x43\xd9\x94\xda\x78\x56\x34\x12")},
		{"fldcw [rdi]", BYTES("\xd9\x2f")},
		{"ldmxcsr gs:[r10+r11*8]", BYTES("\x65\x43\x0f\xae\x14\xda")},
		{"lock xadd gs:[r10+r11*8], r15", BYTES("\xf0\x65\x4f\x0f\xc1\x3c\xda")},
		{"vfmadd231pd ymm9, ymm10, gs:[r10+r11*8]", BYTES("\x65\xc4\x02\xad\xb8\x0c\xda")},
		{"div qword gs:[r10+r11*8]", BYTES("\x65\x4b\xf7\x34\xda")},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(most); i++) {
		struct im *m = im_new(64, 0, NULL);
		uint8_t code[80 * 12];
		unsigned n = 0;

		for (unsigned j = 0; j < 80; j++, n += most[i].len)
			memcpy(code + n, most[i].code, most[i].len);
		im_code(m, code, n);
		m->v->s.gpr[X86_RSI] = m->v->s.gpr[X86_RDI] = IM_DATA;
		m->v->s.gpr[X86_R10] = IM_DATA;
		if (im_run(m).reason != VCPU_EXIT_HALT)
			fail_msg("%s", most[i].what);
		im_free(m);
	}
}

/* 16, 32 and 64-bit meaning of the same bytes: 48 ff c0. */
static void test_modes_of_bytes(void **state)
{
	static const struct {
		unsigned bits;
		uint64_t rax;
	} t[] = {{16, 0xffffffffffff0000}, {32, 0xffffffff}, {64, 0}};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		struct im *m = im_new(t[i].bits, 0, NULL);

		CODE(m, "\x48\xff\xc0"); /* dec (e)ax, inc (e)ax; inc rax */
		m->v->s.gpr[X86_RAX] = t[i].bits == 64   ? ~0ull
				       : t[i].bits == 32 ? 0xffffffff
							 : 0xffffffffffff0000;
		(void)im_run(m);
		assert_int_equal(m->v->s.gpr[X86_RAX], t[i].rax);
		im_free(m);
	}
}

/* MOVSXD with a 16-bit destination reads two bytes (SDM vol. 2), and no more where the host's reads
 * four: behind them nothing may be. AMD's processors read four. */
static void test_movsxd16(void **state)
{
	struct im *m = im_new(64, 0, "max-intel");
	uint8_t *page = im_host(m, IM_DATA + 0x1000);

	assert_int_equal(mprotect(page, 0x1000, PROT_NONE), 0);
	CODE(m, "\x66\x63\x07"); /* movsxd ax, [rdi] */
	st_le16(page - 2, 0x8765);
	for (unsigned turn = 0; turn < 3; turn++) {
		im_reset(m);
		m->v->s.gpr[X86_RDI] = IM_DATA + 0xffe;
		m->v->s.gpr[X86_RAX] = ~0ull;
		assert_int_equal(im_run(m).vector, -1);
		assert_int_equal(m->v->s.gpr[X86_RAX], 0xffffffffffff8765);
	}
	assert_int_equal(mprotect(page, 0x1000, PROT_READ | PROT_WRITE), 0);
	im_free(m);
	m = im_new(64, 0, "max-amd");
	im_map(m, IM_DATA + 0x1000, 0, 0);
	CODE(m, "\x66\x63\x07");
	for (unsigned off = 0xffb; off < 0x1000; off++) {
		im_reset(m);
		m->v->s.gpr[X86_RDI] = IM_DATA + off;
		assert_int_equal(im_run(m).vector, off > 0xffc ? X86_PFV : -1);
	}
	im_free(m);
}

/* CPU models without a feature: #UD, LZCNT executes as BSR. SDM vol. 2, LZCNT. */
static void test_models(void **state)
{
	struct im *m = im_new(64, 0, "x86-64-v2");
	struct im_end e;

	CODE(m, "\xf3\x0f\xbd\xc3"); /* lzcnt eax, ebx */
	m->v->s.gpr[X86_RBX] = 0x100;
	(void)im_run(m);
	assert_int_equal(m->v->s.gpr[X86_RAX], 8);
	im_reset(m);
	CODE(m, "\xc5\xf4\x58\xc1"); /* vaddps ymm0, ymm1, ymm1 */
	e = im_run(m);
	assert_int_equal(e.vector, X86_UD);
	im_free(m);
}

/* FIP, FDP and FOP in FXSAVE's image: saved always, or for a pending exception alone by models with
 * RstrFpErrPtrs; FNSTENV has them, and FXRSTOR loads what the image has. APM vol. 2, 11.4.4. */
static void pointers_saved(const char *model)
{
	struct im *m = im_new(64, 0, model);
	bool always = !cpu_model_has(m->v->model, X86_FEAT_XSAVEERPTR);
	uint8_t *d;

	/* fninit; fld1; fst dword [rdi+1024]; fnstenv [rdi+512]; fxsave64 [rdi] */
	CODE(m, "\xdb\xe3\xd9\xe8\xd9\x97\x00\x04\x00\x00\xd9\xb7\x00\x02\x00\x00\x48\x0f\xae\x07");
	m->v->s.gpr[X86_RDI] = IM_DATA;
	(void)im_run(m);
	d = im_host(m, IM_DATA);
	assert_int_equal(ld_le32(d + 524), m->entry + 4);
	assert_int_equal(ld_le16(d + 530), 0x197);
	assert_int_equal(ld_le64(d + 8), always ? m->entry + 4 : 0);
	assert_int_equal(ld_le16(d + 6), always ? 0x197 : 0);
	im_reset(m);
	d = im_host(m, IM_DATA);
	st_le64(d + 8, 0x12345678);
	/* fxrstor64 [rdi]; fnstenv [rdi+512] */
	CODE(m, "\x48\x0f\xae\x0f\xd9\xb7\x00\x02\x00\x00");
	m->v->s.gpr[X86_RDI] = IM_DATA;
	(void)im_run(m);
	assert_int_equal(ld_le32(d + 524), 0x12345678);
	im_reset(m);
	/* mov word [rdi], 37bh; fninit; fldcw [rdi]; fldz; fld1; fdivrp; fxsave64 [rdi] */
	CODE(m, "\x66\xc7\x07\x7b\x03\xdb\xe3\xd9\x2f\xd9\xee\xd9\xe8\xde\xf1\x48\x0f\xae\x07");
	m->v->s.gpr[X86_RDI] = IM_DATA;
	(void)im_run(m);
	assert_int_equal(ld_le64(d + 8), m->entry + 13);
	assert_int_equal(ld_le16(d + 6), 0x6f1);
	im_free(m);
}

static void test_x87_pointers(void **state)
{
	pointers_saved(NULL);
	pointers_saved("base");
}

/* ---- two processors ---- */

struct second {
	struct im *m;
	struct vcpu *v;
	_Atomic int ready;
	struct vcpu_exit exit;
};

static void *run_second(void *arg)
{
	struct second *s = arg;

	s->v = im_second(s->m);
	s->ready = 1;
	while (s->ready != 2)
		;
	s->m->vm.ops->run(&s->m->vm, s->v, &s->exit);
	return NULL;
}

static void run_both(struct im *m, struct second *s)
{
	pthread_t t;

	*s = (struct second){.m = m};
	pthread_create(&t, NULL, run_second, s);
	while (!s->ready)
		;
	s->ready = 2;
	(void)im_run(m);
	pthread_join(t, NULL);
	im_second_done(m, s->v);
}

/* SDM vol. 3, 8.1.2: LOCKed operations are atomic, aligned, split over cache lines (host access)
 * or over pages that lie apart (through the engine's lock). */
static void test_locked(void **state)
{
	/* Hosts make accesses split over cache lines expensive on purpose. */
	static const struct {
		uint64_t at;
		unsigned n;
	} t[] = {{IM_DATA + 8, 100000}, {IM_DATA + 0x3e, 200}, {IM_DATA + 0x4ffd, 50000}};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		struct im *m = im_new(64, 0, NULL);
		struct second s;

		map_holes(m);
		/* l: lock inc dword [rdi]; dec ecx; jnz l */
		CODE(m, "\xf0\xff\x07\xff\xc9\x75\xf9");
		m->v->s.gpr[X86_RDI] = t[i].at;
		m->v->s.gpr[X86_RCX] = t[i].n;
		run_both(m, &s);
		assert_int_equal(peek(m, t[i].at) & 0xffffffff, 2 * t[i].n);
		im_free(m);
	}
}

/* SDM vol. 3, 8.1.3: code written by another processor is seen after it synchronizes; here by one
 * that runs the code all the time. */
static void test_cross_modify(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	struct second s = {.m = m};
	pthread_t t;

	/* l: mov eax, 1; cmp eax, 2; jne l */
	CODE(m, "\xb8\x01\x00\x00\x00\x83\xf8\x02\x75\xf6");
	pthread_create(&t, NULL, run_second, &s);
	while (!s.ready)
		;
	s.ready = 2;
	for (volatile unsigned i = 0; i < 20000000; i++)
		;
	/* mov byte [rdi], 2: from another page */
	memcpy(im_host(m, 0x110000), "\xc6\x07\x02\xf4", 4);
	m->v->s.rip = 0x110000;
	m->v->s.gpr[X86_RDI] = m->code + 1;
	(void)im_run(m);
	pthread_join(t, NULL);
	assert_int_equal(s.exit.reason, VCPU_EXIT_HALT);
	assert_int_equal(s.v->s.gpr[X86_RAX], 2);
	im_second_done(m, s.v);
	im_free(m);
}

/* Calls nested deeper than the translator's stack of return addresses has room, and back. */
static void test_deep_calls(void **state)
{
	struct im *m = im_new(64, 0, NULL);

	/* mov ecx, 100000; call f; jmp end; f: dec ecx; jz done; call f; inc rbx; done: ret */
	CODE(m, "\xb9\xa0\x86\x01\x00\xe8\x02\x00\x00\x00\xeb\x0d\xff\xc9\x74\x08\xe8\xf7\xff"
		"\xff\xff\x48\xff\xc3\xc3");
	m->v->s.gpr[X86_RBX] = 0;
	assert_int_equal(im_run(m).vector, -1);
	assert_int_equal(m->v->s.gpr[X86_RBX], 99999);
	assert_int_equal(m->v->s.gpr[X86_RCX], 0);
	im_free(m);
}

/* ---- requests at every place ---- */

static struct vcpu *storm_vcpu; /* a signal handler has no argument of ours */

static void on_alarm(int sig)
{
	static const uint32_t req[] = {VCPU_REQ_KICK, VCPU_REQ_EVENT, VCPU_REQ_FLUSH};
	static unsigned n;

	atomic_fetch_or(&storm_vcpu->request, req[n++ % ARRAY_SIZE(req)]);
}

/*
 * Requests out of a signal handler on the vCPU's own thread, at any host instruction: recursion,
 * calls through a register and code that rewrites itself come out the same.
 *
 *	mov ecx, 2000; xor ebx, ebx
 * l:	push rcx; mov edi, 9; call fib; add rbx, rax; mov [g + 3], cl; call g; lea rdx, [f]
 *	call rdx; pop rcx; dec ecx; jnz l; jmp end
 * fib:	cmp edi, 2; jb base; push rdi; dec edi; call fib; pop rdi; push rax; sub edi, 2
 *	call fib; pop rdx; add eax, edx; ret
 * base:	mov eax, edi; ret
 * g:	add rbx, byte 1; ret
 * f:	mov [rsi], rbx; rol rbx, 1; adc rbx, [rsi]; ret
 */
static void test_request_storm(void **state)
{
	const struct itimerval often = {{0, 50}, {0, 50}}, never = {{0, 0}, {0, 0}};
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_ONSTACK | SA_RESTART}, old;
	struct im *m = im_new(64, 0, NULL);
	uint64_t want = 0;
	unsigned kicks = 0;
	struct im_end e;

	for (unsigned i = 2000; i; i--) {
		uint64_t x = want + 34 + (uint64_t)(int8_t)i, r = x << 1 | x >> 63;

		want = r + x + (r & 1);
	}
	CODE(m, "\xb9\xd0\x07\x00\x00\x31\xdb\x51\xbf\x09\x00\x00\x00\xe8\x1e\x00\x00\x00\x48\x01"
		"\xc3\x88\x0d\x36\x00\x00\x00\xe8\x2e\x00\x00\x00\x48\x8d\x15\x2c\x00\x00\x00\xff"
		"\xd2\x59\xff\xc9\x75\xd9\xeb\x2d\x83\xff\x02\x72\x16\x57\xff\xcf\xe8\xf3\xff\xff"
		"\xff\x5f\x50\x83\xef\x02\xe8\xe9\xff\xff\xff\x5a\x01\xd0\xc3\x89\xf8\xc3\x48\x83"
		"\xc3\x01\xc3\x48\x89\x1e\x48\xd1\xc3\x48\x13\x1e\xc3");
	m->v->s.gpr[X86_RSI] = IM_DATA;
	storm_vcpu = m->v;
	sigaction(SIGALRM, &sa, &old);
	setitimer(ITIMER_REAL, &often, NULL);
	while ((e = im_run(m)).reason == VCPU_EXIT_KICK)
		kicks++;
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &old, NULL);
	print_message("%u kicks\n", kicks);
	assert_int_equal(e.reason, VCPU_EXIT_HALT);
	assert_int_equal(e.vector, -1);
	assert_int_equal(m->v->s.gpr[X86_RBX], want);
	assert_int_equal(m->v->s.gpr[X86_RCX], 0);
	im_free(m);
}

/* A bare loop; the rate is printed, and only absurd slowness fails. */
static void test_speed(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	struct timespec a, b;
	double s;

	/* mov ecx, 10000000; mov esi, IM_DATA; l: add rax, 3; mov rdx, [rsi]; add rdx, rax;
	 * mov [rsi+8], rdx; dec rcx; jnz l */
	CODE(m, "\xb9\x80\x96\x98\x00\xbe\x00\x00\x20\x00\x48\x83\xc0\x03\x48\x8b\x16\x48\x01\xc2"
		"\x48\x89\x56\x08\x48\xff\xc9\x75\xed");
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
	(void)im_run(m);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
	print_message("%.0f million instructions/s\n", 60.0 / s);
	assert_int_equal(m->v->s.gpr[X86_RAX], 30000000);
	assert_int_equal(m->v->s.gpr[X86_RCX], 0);
	assert_true(s < 60);
	im_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),           cmocka_unit_test(test_rows_stepped),
		cmocka_unit_test(test_single_step),    cmocka_unit_test(test_step_after_mov_ss),
		cmocka_unit_test(test_step_rep),       cmocka_unit_test(test_sti_shadow),
		cmocka_unit_test(test_popf_window),    cmocka_unit_test(test_kick),
		cmocka_unit_test(test_debugger),       cmocka_unit_test(test_debug_registers),
		cmocka_unit_test(test_crossing_code),  cmocka_unit_test(test_remapped_code),
		cmocka_unit_test(test_cache_overflow), cmocka_unit_test(test_full_blocks),
		cmocka_unit_test(test_modes_of_bytes), cmocka_unit_test(test_models),
		cmocka_unit_test(test_x87_pointers),   cmocka_unit_test(test_movsxd16),
		cmocka_unit_test(test_locked),         cmocka_unit_test(test_cross_modify),
		cmocka_unit_test(test_deep_calls),     cmocka_unit_test(test_request_storm),
		cmocka_unit_test(test_speed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
