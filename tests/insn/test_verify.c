/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does the verifier of translated code (engine/translate/verify.c) see code that is wrong? A
 * program with all kinds of operands and jumps is translated and found good; then each place where
 * a mistake of a kind can be made is spoilt, one at a time, and each must be found. Bytes spoilt at
 * random: most are found, and nothing upsets the verifier. Last, a translator that emits a wrong
 * call: the code must not run, and the VM ends.
 */
#include <stdlib.h>
#include <string.h>

#include "../unit/cm.h"
#include "base/bits.h"
#include "engine/translate/translate.h"
#include "machine.h"

/*
 *	fninit; mov esi, 0x200000; mov edi, 0x201000; mov ecx, 40
 *	.l: mov rax, [rsi]; add rax, rcx; mov [rdi], rax; cmp rax, [rdi + 8]; ja .over
 *	mov dword [rdi + 24], 7
 *	.over: movdqu xmm0, [rsi + 16]; movdqu [rdi + 32], xmm0; push rax; pop rbx
 *	lock xadd [rdi + r8], rax; mov r8d, 64; bts [rdi + r8], rcx
 *	fild dword [rsi]; fistp dword [rdi + 4]; call f; mov r9, [0x202000]; add [rsi + rcx * 8], r9
 *	mov ebx, 3; xor edx, edx; mov eax, 100; div ebx; dec ecx; jnz .l
 *	mov ecx, 100; rep movsb; mov ecx, 5; rep stosd; mov ecx, 9
 *	.m: mov rax, [rsi]; mov [rdi], rax; add rsi, 8; add rdi, 8; dec ecx; jnz .m
 *	pushf; pop rax; stac; mov rax, [rsi]; clac; mov ecx, 3; .n: loop .n
 *	lea rax, [rel .t]; jmp rax; .t: jmp .u; .u: hlt
 *	f: add r10, [rsi + 8]; mov r11, r10; ret
 */
static const char program[] =
	"\xdb\xe3\xbe\x00\x00\x20\x00\xbf\x00\x10\x20\x00\xb9\x28\x00\x00\x00\x48\x8b\x06"
	"\x48\x01\xc8\x48\x89\x07\x48\x3b\x47\x08\x77\x07\xc7\x47\x18\x07\x00\x00\x00\xf3"
	"\x0f\x6f\x46\x10\xf3\x0f\x7f\x47\x20\x50\x5b\xf0\x4a\x0f\xc1\x04\x07\x41\xb8\x40"
	"\x00\x00\x00\x4a\x0f\xab\x0c\x07\xdb\x06\xdb\x5f\x04\xe8\x61\x00\x00\x00\x4c\x8b"
	"\x0c\x25\x00\x20\x20\x00\x4c\x01\x0c\xce\xbb\x03\x00\x00\x00\x31\xd2\xb8\x64\x00"
	"\x00\x00\xf7\xf3\xff\xc9\x75\xa5\xb9\x64\x00\x00\x00\xf3\xa4\xb9\x05\x00\x00\x00"
	"\xf3\xab\xb9\x09\x00\x00\x00\x48\x8b\x06\x48\x89\x07\x48\x83\xc6\x08\x48\x83\xc7"
	"\x08\xff\xc9\x75\xee\x9c\x58\x0f\x01\xcb\x48\x8b\x06\x0f\x01\xca\xb9\x03\x00\x00"
	"\x00\xe2\xfe\x48\x8d\x05\x02\x00\x00\x00\xff\xe0\xeb\x00\xf4\x4c\x03\x56\x08\x4d"
	"\x89\xd3\xc3";

/* @own: with slots of their own. @by_rip: -1, 1 as engine_vm.by_rip. */
static struct im *start(bool own, int by_rip)
{
	struct im_end end;
	struct im *m;

	setenv("BOTHY_TEST_BY_RIP", by_rip < 0 ? "-1" : "1", 1);
	m = im_new(64, 0, NULL);
	if ((icpu(m->v)->tr->home != 0) != (by_rip > 0))
		fail_msg("struct vcpu is out of the code's reach");

	/* whether accesses have slots of their own goes by the address: block.c */
	if (own)
		m->code += 16;
	/* the decoder does not have AVX-512, and the mistakes are looked for with it */
	icpu(m->v)->tr->masked = false;
	im_code(m, program, sizeof(program) - 1);
	m->v->s.gpr[X86_R8] = 0;
	end = im_run(m);
	assert_int_equal(end.reason, VCPU_EXIT_HALT);
	assert_int_equal(end.vector, -1);
	return m;
}

static unsigned verify_all(struct im *m, char text[TR_VERDICT])
{
	text[0] = 0;
	return tr_verify_all(icpu(m->v), text, TR_VERDICT);
}

/* ---- one mistake ---- */

/* Spoil the instruction at @p, if it is one that the mistake can be made in. */
typedef bool (*spoil_fn)(const struct insn *in, uint8_t *p);

static bool is_gs(const struct insn *in)
{
	return in->flags & INSN_MEM && in->seg == X86_GS;
}

/* Does it access @field of a slot of any kind? */
static bool is_slot(const struct insn *in, size_t field)
{
	uint64_t off = (uint64_t)in->disp - offsetof(struct vcpu, slots.s);

	return is_gs(in) && in->disp_len == 4 && off < sizeof(((struct vcpu *)0)->slots.s) &&
	       off % sizeof(struct x86_slot) == field;
}

static bool move_operand(const struct insn *in, uint8_t *p, int32_t by)
{
	st_le32(p + in->off_disp, ld_le32(p + in->off_disp) + (uint32_t)by);
	return true;
}

static bool nops(const struct insn *in, uint8_t *p)
{
	memset(p, 0x90, in->len);
	return true;
}

static bool is_jump(const struct insn *in)
{
	return in->special == SP_JCC && in->imm_len == 4;
}

static bool no_check(const struct insn *in, uint8_t *p)
{
	return is_jump(in) && (in->opcode & 15) == 3 && nops(in, p);
}

static bool other_limit(const struct insn *in, uint8_t *p)
{
	return in->opcode == 0x3b && is_slot(in, offsetof(struct x86_slot, lim)) &&
	       move_operand(in, p, sizeof(struct x86_slot));
}

/* loop.c compares them to find out for how many turns a check is good, which is not looked at */
static bool other_distance(const struct insn *in, uint8_t *p)
{
	return in->opcode != 0x3b && is_slot(in, offsetof(struct x86_slot, delta)) &&
	       move_operand(in, p, sizeof(struct x86_slot));
}

static bool other_host(const struct insn *in, uint8_t *p)
{
	return is_slot(in, offsetof(struct x86_slot, host)) &&
	       move_operand(in, p, -(int)sizeof(struct x86_slot));
}

static bool limit_for_distance(const struct insn *in, uint8_t *p)
{
	return is_slot(in, offsetof(struct x86_slot, delta)) && move_operand(in, p, -8);
}

static bool user_slot(const struct insn *in, uint8_t *p)
{
	return is_slot(in, offsetof(struct x86_slot, base)) &&
	       move_operand(in, p, -2 * X86_SLOTS * (int)sizeof(struct x86_slot));
}

static bool larger_index(const struct insn *in, uint8_t *p)
{
	if (in->opcode != 0x81 || (in->modrm >> 3 & 7) != 4 || in->rm != S2 ||
	    (uint32_t)in->imm != (X86_SLOTS_HASH - 1) << 5)
		return false;
	st_le32(p + in->off_imm, (X86_SLOTS_HASH * 2 - 1) << 5);
	return true;
}

static bool uncut_jump(const struct insn *in, uint8_t *p)
{
	if (in->opcode != 0x81 || (in->modrm >> 3 & 7) != 4 || in->rm != S2 ||
	    (uint32_t)in->imm != TR_JUMP_MASK)
		return false;
	return nops(in, p);
}

static bool no_gs(const struct insn *in, uint8_t *p)
{
	if (!is_gs(in) || in->bytes[0] != 0x65)
		return false;
	p[0] = 0x2e;
	return true;
}

static bool beyond_vcpu(const struct insn *in, uint8_t *p)
{
	if (!is_gs(in) || in->disp_len != 4)
		return false;
	st_le32(p + in->off_disp, 0x7ffffff0);
	return true;
}

static bool wrong_field(const struct insn *in, uint8_t *p)
{
	if (!is_gs(in) || !(in->flags & INSN_MEM_WRITE) || in->disp_len != 4)
		return false;
	return move_operand(in, p, (int32_t)((int64_t)offsetof(struct vcpu, tlb) - in->disp));
}

static bool into_middle(const struct insn *in, uint8_t *p)
{
	if (!is_jump(in))
		return false;
	st_le32(p + in->off_imm, ld_le32(p + in->off_imm) + 1);
	return true;
}

static bool way_out(const struct insn *in, uint8_t *p)
{
	if (!is_jump(in) && in->special != SP_JMP_REL && in->special != SP_CALL_REL)
		return false;
	if (in->imm_len != 4)
		return false;
	st_le32(p + in->off_imm, ld_le32(p + in->off_imm) + 0x200000);
	return true;
}

static bool writes_rsp(const struct insn *in, uint8_t *p)
{
	if (in->special != SP_NONE || in->opcode != 0x8b || in->map != MAP_1 ||
	    !(in->flags & INSN_W))
		return false;
	p[in->off_modrm] = (uint8_t)((p[in->off_modrm] & ~0x38) | 4 << 3);
	p[in->off_opcode - 1] &= (uint8_t)~4; /* REX.R */
	return true;
}

/* Any instruction of the same length is as good a place. */
static bool put(const struct insn *in, uint8_t *p, const char *bytes, unsigned n)
{
	if (in->len < n || in->special != SP_NONE)
		return false;
	memset(p, 0x90, in->len);
	memcpy(p, bytes, n);
	return true;
}

static bool a_hlt(const struct insn *in, uint8_t *p)
{
	return put(in, p, "\xf4", 1);
}
static bool a_cli(const struct insn *in, uint8_t *p)
{
	return put(in, p, "\xfa", 1);
}
static bool an_int3(const struct insn *in, uint8_t *p)
{
	return put(in, p, "\xcc", 1);
}
static bool a_syscall(const struct insn *in, uint8_t *p)
{
	return put(in, p, "\x0f\x05", 2);
}
static bool a_wrmsr(const struct insn *in, uint8_t *p)
{
	return put(in, p, "\x0f\x30", 2);
}
static bool an_out(const struct insn *in, uint8_t *p)
{
	return put(in, p, "\xee", 1);
}
static bool a_push(const struct insn *in, uint8_t *p)
{
	return put(in, p, "\x50", 1);
}
static bool a_wrgsbase(const struct insn *in, uint8_t *p)
{
	return put(in, p, "\xf3\x48\x0f\xae\xd8", 5);
}
static bool a_far_store(const struct insn *in, uint8_t *p)
{
	return put(in, p, "\x48\x89\x07", 3); /* mov [rdi], rax: no check */
}
static bool a_jump_rax(const struct insn *in, uint8_t *p)
{
	return put(in, p, "\xff\xe0", 2);
}

static bool no_distance(const struct insn *in, uint8_t *p)
{
	if (in->special != SP_NONE || in->map != MAP_1 || in->opcode != 0x01 ||
	    in->flags & INSN_MEM || (in->rm != RSI && in->rm != RDI) ||
	    (in->reg != S1 && in->reg != S2))
		return false;
	return nops(in, p);
}

/* clang-format off */
static const struct mistake {
	const char *what;
	spoil_fn spoil;
	unsigned least;  /* places, in both programs */
	unsigned missed; /* at most, in percent: what is there instead may be as good */
} mistakes[] = {
	{"a check's jump is missing", no_check, 6},
	{"the limit of another slot", other_limit, 6},
	{"the distance of another slot", other_distance, 4},
	{"the host address of another slot", other_host, 2},
	{"a limit in place of a distance", limit_for_distance, 4},
	{"a slot of the other privilege", user_slot, 6},
	{"a larger index", larger_index, 2},
	{"an index of the jump table that is not cut off", uncut_jump, 1},
	{"no GS prefix", no_gs, 20},
	{"beyond struct vcpu", beyond_vcpu, 20},
	{"a field that code may not write", wrong_field, 5},
	{"a jump into an instruction", into_middle, 20, 10},
	{"a jump out of the block", way_out, 20},
	{"RSP is written", writes_rsp, 6},
	{"HLT", a_hlt, 20},
	{"CLI", a_cli, 20},
	{"INT3", an_int3, 20},
	{"SYSCALL", a_syscall, 20},
	{"WRMSR", a_wrmsr, 20},
	{"OUT", an_out, 20},
	{"PUSH", a_push, 20},
	{"WRGSBASE", a_wrgsbase, 20},
	{"a store without a check", a_far_store, 20},
	{"a jump through a register", a_jump_rax, 20},
	{"REP without the distance", no_distance, 2},
};
/* clang-format on */

/* Operands in struct vcpu relative to RIP look as those by GS do. */
static void as_if_gs(const struct translator *t, const uint8_t *p, struct insn *in)
{
	uint64_t off = (uintptr_t)p + in->len + (uint64_t)in->disp - t->home;

	if (!t->home || !(in->flags & INSN_RIP_REL) || off >= sizeof(struct vcpu))
		return;
	in->seg = X86_GS;
	in->disp = (int64_t)off;
}

#if defined(__SANITIZE_ADDRESS__)
#define EACH 8u /* it takes ten times as long */
#else
#define EACH 1u
#endif

/* The mistake at each place (EACH) of the hot code of each block. Return: how many there are; in
 * *missed how many of them were not found. */
static unsigned make_all(struct im *m, const struct mistake *k, unsigned *missed)
{
	struct translator *t = icpu(m->v)->tr;
	char text[TR_VERDICT];
	unsigned n = 0;

	for (unsigned i = 0; i < t->n_blocks; i++) {
		const struct tr_block *tb = t->blocks[i];
		struct insn in;

		for (uint32_t at = 0; !tb->dead && at < tb->size; at += in.len) {
			uint8_t *p = t->map.rw + (tb->rx - t->map.rx) + at, was[INSN_MAX];

			if (insn_decode(p, tb->size - at, 64, &in) != DECODE_OK)
				break; /* what the decoder does not have */
			as_if_gs(t, p, &in);
			memcpy(was, p, in.len);
			if (!k->spoil(&in, p))
				continue;
			if (n++ % EACH == 0)
				*missed += !verify_all(m, text);
			memcpy(p, was, in.len);
		}
	}
	return n;
}

static void test_mistakes(void **state)
{
	struct im *m[2] = {start(false, -1), start(true, 1)};
	char text[TR_VERDICT];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(m); i++)
		if (verify_all(m[i], text))
			fail_msg("good code: %s", text);
	for (unsigned i = 0; i < ARRAY_SIZE(mistakes); i++) {
		const struct mistake *k = &mistakes[i];
		unsigned missed = 0, n = 0;

		for (unsigned j = 0; j < ARRAY_SIZE(m); j++)
			n += make_all(m[j], k, &missed);

		print_message("%3u places, %u not found: %s\n", n, missed, k->what);
		if (missed * EACH * 100 > n * k->missed)
			fail_msg("%s: %u of %u not found", k->what, missed, n);
		if (n < mistakes[i].least)
			fail_msg("%s: %u places only", mistakes[i].what, n);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(m); i++)
		im_free(m[i]);
}

/* ---- lists ---- */

static void expect_bad(struct im *m, const char *what)
{
	char text[TR_VERDICT];

	if (!verify_all(m, text) || !strstr(text, what))
		fail_msg("expected '%s', not '%s'", what, text);
}

/* Each list entry of each block, wrong in one way at a time. */
static void spoil_lists(struct im *m, unsigned *exits, unsigned *faults, unsigned *relocs)
{
	struct translator *t = icpu(m->v)->tr;

	for (unsigned i = 0; i < t->n_blocks; i++) {
		struct tr_block *tb = t->blocks[i];

		if (tb->dead)
			continue;
		for (unsigned k = 0; k < tb->n_exits; k++) {
			uint8_t *site = tb->exit[k].site, *stub = tb->exit[k].stub;

			if (!site)
				continue;
			tb->exit[k].site = site + 1;
			expect_bad(m, "");
			tb->exit[k].site = t->map.rw;
			expect_bad(m, "");
			tb->exit[k].site = site;
			tb->exit[k].stub = t->map.rx;
			expect_bad(m, "");
			tb->exit[k].stub = stub;
			++*exits;
		}
		for (unsigned k = 0; k < tb->n_faults; k++) {
			uint32_t stub = tb->fault[k].stub;

			tb->fault[k].stub = (uint32_t)t->code_size;
			expect_bad(m, "");
			tb->fault[k].stub = stub;
			++*faults;
		}
		for (struct tr_relocs *r = tb->relocs; r; r = r->next)
			for (unsigned k = 0; k < r->n; k++) {
				r->at[k] -= 6;
				expect_bad(m, "a moved address");
				r->at[k] += 6;
				++*relocs;
			}
		tb->entry[TR_M]++;
		expect_bad(m, "");
		tb->entry[TR_M]--;
		tb->size -= 2;
		expect_bad(m, "");
		tb->size += 2;
	}
}

static void test_lists(void **state)
{
	/* call f; nop; jmp .out; f: ret; .out: nop */
	static const char call[] = "\xe8\x03\x00\x00\x00\x90\xeb\x01\xc3\x90";
	struct im *m = start(false, 1), *m32 = im_new(32, 0, NULL);
	unsigned exits = 0, faults = 0, relocs = 0;

	(void)state;
	spoil_lists(m, &exits, &faults, &relocs);
	im_code(m32, call, sizeof(call) - 1);
	assert_int_equal(im_run(m32).reason, VCPU_EXIT_HALT);
	spoil_lists(m32, &exits, &faults, &relocs);
	print_message("%u exits, %u faults, %u moved addresses\n", exits, faults, relocs);
	assert_true(exits >= 10 && faults >= 20 && relocs >= 2);
	im_free(m);
	im_free(m32);
}

/* ---- any byte ---- */

static void test_random(void **state)
{
	enum { FLIPS = 4000 };
	struct im *m = start(true, -1);
	struct translator *t = icpu(m->v)->tr;
	unsigned found = 0, tried = 0;
	uint64_t seed = 1;

	(void)state;
	for (unsigned i = 0; i < FLIPS; i++) {
		char text[TR_VERDICT];
		const struct tr_block *tb;
		uint8_t *p, was;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		tb = t->blocks[(seed >> 40) % t->n_blocks];
		if (tb->dead)
			continue;
		p = t->map.rw + (tb->rx - t->map.rx) + (seed >> 20) % tb->size;
		was = *p;
		*p = (uint8_t)(seed >> 12);
		if (*p != was) {
			tried++;
			found += verify_all(m, text) != 0;
		}
		*p = was;
	}
	print_message("%u of %u spoilt bytes found\n", found, tried);
	assert_true(found * 2 > tried);
	im_free(m);
}

/* ---- a translator that is wrong ---- */

/* Misses of stores call the routine for loads. */
static void break_misses(struct translator *t)
{
	for (unsigned kind = 0; kind < SLOT_KINDS; kind++)
		for (unsigned set = 0; set < X86_SLOT_SETS; set++)
			if (set & X86_SLOT_WRITE) {
				t->miss[kind][1][set] = t->miss[kind][0][set - 1];
				t->miss_page[kind][1][set] = t->miss_page[kind][0][set - 1];
			}
}

static void test_wrong(void **state)
{
	for (unsigned on = 0; on < 2; on++) {
		struct im *m = im_new(64, 0, NULL);
		struct translator *t = icpu(m->v)->tr;
		struct im_end end;

		(void)state;
		t->verify = true;
		if (on)
			break_misses(t);
		im_code(m, "\x48\x89\x07\xeb\x00", 5); /* mov [rdi], rax; jmp $ + 2 */
		m->v->s.gpr[X86_RDI] = IM_DATA;
		m->v->s.gpr[X86_RAX] = 0x1234;
		end = im_run(m);
		assert_int_equal(end.reason, on ? VCPU_EXIT_ERROR : VCPU_EXIT_HALT);
		assert_true(t->n_verified > 0);
		assert_int_equal(t->n_bad != 0, on);
		if (on)
			assert_non_null(strstr(t->verdict, "a miss of a slot of another set"));
		im_free(m);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
