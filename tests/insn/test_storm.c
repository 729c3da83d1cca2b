/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests at any host instruction. A timer signal on the vCPU's own thread posts kicks, events and
 * flushes while a program passes through everything that the translator has: misses of slots, the
 * routines of string instructions, entries from other pages, returns that are not where the host
 * predicts them, calls of C code with and without vector registers. Registers and memory must come
 * out as without the storm; and the places where the signal has struck are counted, so that a part
 * of the translator that it never struck fails the test.
 *
 * BOTHY_TEST_ENGINE names the engine; only on the translator there are places to count.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <ucontext.h>

#include "../unit/cm.h"
#include "base/bits.h"
#include "engine/interp/interp.h"
#include "engine/translate/translate.h"
#include "machine.h"

#define MEM      0x400000u
#define MEM_SIZE 0x400000u
#define CHAIN    0x120000u
#define PAGES    24u

/*
 * mov r12d, 1; shl r12, 13; xor ebx, ebx
 * round: mov ecx, 40; mov rax, r12; .miss: mov rdx, 6364136223846793005; imul rax, rdx
 * add rax, r12; mov rdx, rax; shr rdx, 40; and edx, 0x3ff; shl edx, 12; mov rsi, rax
 * shr rsi, 20; and esi, 0xff8; add rdx, rsi; add rbx, [rdx + 0x400000]
 * mov [rdx + 0x400000], rbx; movzx esi, byte [rdx + 0x400001]; add rbx, rsi; dec ecx
 * jnz .miss; mov ecx, r12d; and ecx, 0x3ff; mov edi, 0x600f03; mov esi, 0x500111; rep movsb
 * mov ecx, r12d; and ecx, 0xff; mov edi, 0x680ff1; mov eax, ebx; rep stosd; std; mov ecx, r12d
 * and ecx, 0x3f; mov esi, 0x700ff9; mov edi, 0x690ff0; rep movsq; mov ecx, 20
 * mov edi, 0x690ff0; rep stosb; cld; mov ecx, 200; mov edi, 0x600f83; mov eax, ebx
 * repne scasb; add rbx, rcx; mov ecx, 200; mov edi, 0x600f83; mov esi, 0x500191; repe cmpsb
 * adc rbx, rcx; call 0x120000; mov ecx, 12; call deep; push rbx; mov r8, rsp; mov ecx, 5
 * call jump_out
 * back: pop rdx; add rbx, rdx; mov ecx, 8; .ret: lea rdx, [.to]; push rdx; ret
 * .to: dec ecx; jnz .ret; movdqu xmm0, [0x400010]; paddd xmm1, xmm0; xor eax, eax
 * push rbx; cpuid; pop rbx; paddd xmm1, xmm0; pushfq; pop rdx; and edx, 0x8d5; add rbx, rdx
 * movq rdx, xmm1; add rbx, rdx; push rbx; mov ebx, 0x400000; xlatb; pop rbx; add rbx, rax
 * mov edx, 0x600ffe; mov [rdx], ebx; dec r12; jnz round; jmp end
 * deep: dec ecx; jz .out; call deep; inc rbx; .out: ret
 * jump_out: dec ecx; jz .out; call jump_out; ret; .out: mov rsp, r8; lea rdx, [back]; jmp rdx; end:
 */
static const uint8_t program[] = {
	/* clang-format off */
	0x41, 0xbc, 0x01, 0x00, 0x00, 0x00, 0x49, 0xc1, 0xe4, 0x0d, 0x31, 0xdb, 0xb9, 0x28,
	0x00, 0x00, 0x00, 0x4c, 0x89, 0xe0, 0x48, 0xba, 0x2d, 0x7f, 0x95, 0x4c, 0x2d, 0xf4,
	0x51, 0x58, 0x48, 0x0f, 0xaf, 0xc2, 0x4c, 0x01, 0xe0, 0x48, 0x89, 0xc2, 0x48, 0xc1,
	0xea, 0x28, 0x81, 0xe2, 0xff, 0x03, 0x00, 0x00, 0xc1, 0xe2, 0x0c, 0x48, 0x89, 0xc6,
	0x48, 0xc1, 0xee, 0x14, 0x81, 0xe6, 0xf8, 0x0f, 0x00, 0x00, 0x48, 0x01, 0xf2, 0x48,
	0x03, 0x9a, 0x00, 0x00, 0x40, 0x00, 0x48, 0x89, 0x9a, 0x00, 0x00, 0x40, 0x00, 0x0f,
	0xb6, 0xb2, 0x01, 0x00, 0x40, 0x00, 0x48, 0x01, 0xf3, 0xff, 0xc9, 0x75, 0xb3, 0x44,
	0x89, 0xe1, 0x81, 0xe1, 0xff, 0x03, 0x00, 0x00, 0xbf, 0x03, 0x0f, 0x60, 0x00, 0xbe,
	0x11, 0x01, 0x50, 0x00, 0xf3, 0xa4, 0x44, 0x89, 0xe1, 0x81, 0xe1, 0xff, 0x00, 0x00,
	0x00, 0xbf, 0xf1, 0x0f, 0x68, 0x00, 0x89, 0xd8, 0xf3, 0xab, 0xfd, 0x44, 0x89, 0xe1,
	0x83, 0xe1, 0x3f, 0xbe, 0xf9, 0x0f, 0x70, 0x00, 0xbf, 0xf0, 0x0f, 0x69, 0x00, 0xf3,
	0x48, 0xa5, 0xb9, 0x14, 0x00, 0x00, 0x00, 0xbf, 0xf0, 0x0f, 0x69, 0x00, 0xf3, 0xaa,
	0xfc, 0xb9, 0xc8, 0x00, 0x00, 0x00, 0xbf, 0x83, 0x0f, 0x60, 0x00, 0x89, 0xd8, 0xf2,
	0xae, 0x48, 0x01, 0xcb, 0xb9, 0xc8, 0x00, 0x00, 0x00, 0xbf, 0x83, 0x0f, 0x60, 0x00,
	0xbe, 0x91, 0x01, 0x50, 0x00, 0xf3, 0xa6, 0x48, 0x11, 0xcb, 0xe8, 0x2d, 0xff, 0x01,
	0x00, 0xb9, 0x0c, 0x00, 0x00, 0x00, 0xe8, 0x6c, 0x00, 0x00, 0x00, 0x53, 0x49, 0x89,
	0xe0, 0xb9, 0x05, 0x00, 0x00, 0x00, 0xe8, 0x6b, 0x00, 0x00, 0x00, 0x5a, 0x48, 0x01,
	0xd3, 0xb9, 0x08, 0x00, 0x00, 0x00, 0x48, 0x8d, 0x14, 0x25, 0xfe, 0x00, 0x10, 0x00,
	0x52, 0xc3, 0xff, 0xc9, 0x75, 0xf2, 0xf3, 0x0f, 0x6f, 0x04, 0x25, 0x10, 0x00, 0x40,
	0x00, 0x66, 0x0f, 0xfe, 0xc8, 0x31, 0xc0, 0x53, 0x0f, 0xa2, 0x5b, 0x66, 0x0f, 0xfe,
	0xc8, 0x9c, 0x5a, 0x81, 0xe2, 0xd5, 0x08, 0x00, 0x00, 0x48, 0x01, 0xd3, 0x66, 0x48,
	0x0f, 0x7e, 0xca, 0x48, 0x01, 0xd3, 0x53, 0xbb, 0x00, 0x00, 0x40, 0x00, 0xd7, 0x5b,
	0x48, 0x01, 0xc3, 0xba, 0xfe, 0x0f, 0x60, 0x00, 0x89, 0x1a, 0x49, 0xff, 0xcc, 0x0f,
	0x85, 0xc5, 0xfe, 0xff, 0xff, 0xeb, 0x24, 0xff, 0xc9, 0x74, 0x08, 0xe8, 0xf7, 0xff,
	0xff, 0xff, 0x48, 0xff, 0xc3, 0xc3, 0xff, 0xc9, 0x74, 0x06, 0xe8, 0xf7, 0xff, 0xff,
	0xff, 0xc3, 0x4c, 0x89, 0xc4, 0x48, 0x8d, 0x14, 0x25, 0xeb, 0x00, 0x10, 0x00, 0xff,
	0xe2,
	/* clang-format on */
};

enum where { GLUE, MISS, STRING, RETURN, FAR, HOT, COLD, C_CODE, PLACES };
static const char *const place_name[PLACES] = {
	"calls of C code",          "slot misses", "string routines",  "returns",
	"entries from other pages", "blocks",      "their slow paths", "C code",
};

/* A signal handler has no argument of ours. */
static struct {
	struct vcpu *v;
	struct translator *t;
	unsigned struck[PLACES], n;
} storm;

/* The fixed routine that holds @rx: the last one that starts before it. */
static enum where routine(const struct translator *t, const uint8_t *rx)
{
	const uint8_t *best = NULL;
	enum where w = GLUE;

#define START(p, kind)                                                                             \
	do {                                                                                       \
		if ((p) && (p) <= rx && (p) > best) {                                              \
			best = (p);                                                                \
			w = (kind);                                                                \
		}                                                                                  \
	} while (0)
#define STARTS(array, kind) /* of whatever dimensions */                                           \
	for (unsigned i = 0; i < sizeof(array) / sizeof(uint8_t *); i++)                           \
	START(((uint8_t *const *)(const void *)(array))[i], kind)
	START(t->enter, GLUE);
	START(t->call, GLUE);
	START(t->call_plain, GLUE);
	START(t->tail, GLUE);
	START(t->vec_load, GLUE);
	START(t->by_page, MISS);
	START(t->ras_miss, RETURN);
	START(t->ras_empty, RETURN);
	START(t->light, GLUE);
	STARTS(t->mapped, FAR);
	STARTS(t->refill, MISS);
	STARTS(t->miss, MISS);
	STARTS(t->miss_page, MISS);
	STARTS(t->string, STRING);
#undef STARTS
#undef START
	return w;
}

static bool in_far_entry(const struct translator *t, const uint8_t *rx)
{
	for (unsigned i = 0; i < t->n_blocks; i++) {
		const struct tr_block *tb = t->blocks[i];
		const uint8_t *far = tb->entry[TR_FAR], *end = far + 64;

		for (unsigned k = 0; k < TR_ENTRIES; k++)
			if (tb->entry[k] > far && tb->entry[k] < end)
				end = tb->entry[k];
		if (rx >= far && rx < end)
			return true;
	}
	return false;
}

static enum where place(const struct translator *t, const uint8_t *rip)
{
	size_t at = (size_t)(rip - t->map.rx);

	if (rip < t->map.rx || at >= t->map.size)
		return C_CODE;
	if (at < t->first)
		return routine(t, rip);
	if (at >= t->cold_first)
		return COLD;
	return in_far_entry(t, rip) ? FAR : HOT;
}

static void on_alarm(int sig, siginfo_t *info, void *context)
{
	static const uint32_t req[] = {VCPU_REQ_KICK, VCPU_REQ_EVENT, VCPU_REQ_FLUSH,
				       VCPU_REQ_EVENT};
	const ucontext_t *uc = context;

	if (storm.t)
		storm.struck[place(storm.t, (const uint8_t *)uc->uc_mcontext.gregs[REG_RIP])]++;
	atomic_fetch_or(&storm.v->request, req[storm.n++ % ARRAY_SIZE(req)]);
}

/* One run from the same start; the state it ends with. */
static void run(struct im *m, struct x86_state *ret_state)
{
	uint64_t x = 88172645463325252ull, *mem = im_host(m, MEM);
	struct im_end e;

	for (unsigned i = 0; i < MEM_SIZE / 8; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		mem[i] = x;
	}
	im_reset(m);
	m->v->s.rip = m->entry;
	x86_state_changed(m->v);
	while ((e = im_run(m)).reason == VCPU_EXIT_KICK)
		;
	assert_int_equal(e.reason, VCPU_EXIT_HALT);
	assert_int_equal(e.vector, -1);
	*ret_state = m->v->s;
}

/* add rbx, i; rol rbx, 3; jmp to the next page; the last one returns. */
static void make_chain(struct im *m)
{
	for (unsigned i = 0; i < PAGES; i++) {
		uint8_t *p = im_host(m, CHAIN + i * 0x1000);

		memcpy(p, "\x48\x83\xc3\x00\x48\xc1\xc3\x03\xe9", 9);
		p[3] = (uint8_t)i;
		st_le32(p + 9, 0x1000 - 13);
		if (i == PAGES - 1)
			p[8] = 0xc3;
	}
}

static bool everywhere(void)
{
	for (unsigned i = 0; i < PLACES; i++)
		if (storm.struck[i] < 3)
			return false;
	return true;
}

static void test_storm(void **state)
{
	const struct itimerval often = {{0, 50}, {0, 50}}, never = {{0, 0}, {0, 0}};
	struct sigaction sa = {.sa_sigaction = on_alarm,
			       .sa_flags = SA_ONSTACK | SA_RESTART | SA_SIGINFO},
			 old;
	const char *engine = getenv("BOTHY_TEST_ENGINE");
	bool translates = engine && !strcmp(engine, "translate");
	struct im *m = im_new(64, 0, NULL);
	uint8_t *want_mem = malloc(MEM_SIZE);
	struct x86_state want, got;
	unsigned runs = 0;

	assert_non_null(want_mem);
	im_code(m, program, sizeof(program));
	make_chain(m);
	run(m, &want);
	memcpy(want_mem, im_host(m, MEM), MEM_SIZE);
	storm.v = m->v;
	storm.t = translates ? icpu(m->v)->tr : NULL;
	sigaction(SIGALRM, &sa, &old);
	do {
		setitimer(ITIMER_REAL, &often, NULL);
		run(m, &got);
		setitimer(ITIMER_REAL, &never, NULL);
		for (unsigned i = 0; i < 16; i++)
			assert_int_equal(got.gpr[i], want.gpr[i]);
		assert_int_equal(got.rflags, want.rflags);
		assert_memory_equal(&got.fpu, &want.fpu, sizeof(want.fpu));
		assert_memory_equal(im_host(m, MEM), want_mem, MEM_SIZE);
	} while (++runs < 3 || (translates && runs < 300 && !everywhere()));
	sigaction(SIGALRM, &old, NULL);
	print_message("%u runs, %u signals\n", runs, storm.n);
	for (unsigned i = 0; translates && i < PLACES; i++)
		print_message("%8u in %s\n", storm.struck[i], place_name[i]);
	assert_true(!translates || everywhere());
	free(want_mem);
	im_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_storm)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
