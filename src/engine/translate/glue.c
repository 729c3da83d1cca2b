/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between C and native code: the fixed routines at the start of the code cache, and the C functions
 * that native code calls.
 *
 * enter: a uop handler. Saves the callee-saved registers of the System V ABI, loads the guest's and
 * jumps to the block of its uop. call: from a slow path; all guest registers go to struct vcpu, a
 * handler is called, and if it says TR_NEXT everything is loaded again and the block goes on. tail:
 * leaves for good, by jumping to a handler with the stack as enter found it.
 */
#include "engine/translate/translate.h"

static void gprs(struct emit *m, bool store)
{
	for (unsigned g = 0; g < 16; g++)
		if (tr_host[g] != NO_REG)
			tr_gs(m, true, store ? 0x89 : 0x8b, tr_host[g],
			      offsetof(struct vcpu, s.gpr) + 8 * g);
}

/* [op] xmm or (with @wide) ymm register @x, gs:[off]; VEX where the host has AVX. */
static void vector(struct emit *m, bool avx, bool wide, bool store, unsigned x, size_t off)
{
	emit8(m, 0x65);
	if (avx) /* vmovdqu */
		EMIT(m, 0xc5, (uint8_t)((x < 8 ? 0xfa : 0x7a) | wide << 2));
	else if (x < 8)
		EMIT(m, 0xf3, 0x0f);
	else
		EMIT(m, 0xf3, 0x44, 0x0f);
	EMIT(m, store ? 0x7f : 0x6f, (uint8_t)((x & 7) << 3 | 4), 0x25);
	emit32(m, (uint32_t)off);
}

static void vectors(struct emit *m, bool avx, bool wide, bool store)
{
	for (unsigned x = 0; x < 16; x++)
		vector(m, avx, wide, store, x, offsetof(struct vcpu, s.fpu.ymm) + x * 32);
}

/* vptest of all upper halves: ZF when they are zero. Four chains of vpor in xmm0..3. */
static void test_upper(struct emit *m)
{
	for (unsigned x = 0; x < 16; x++) {
		size_t off = offsetof(struct vcpu, s.fpu.ymm) + x * 32 + 16;

		if (x < 4) {
			vector(m, true, false, false, x, off);
			continue;
		}
		/* vpor xmm(x % 4), same, gs:[off] */
		EMIT(m, 0x65, 0xc5, (uint8_t)(0xf9 - (x % 4) * 8), 0xeb, (uint8_t)(x % 4 << 3 | 4),
		     0x25);
		emit32(m, (uint32_t)off);
	}
	EMIT(m, 0xc5, 0xf9, 0xeb, 0xc1);       /* vpor xmm0, xmm0, xmm1 */
	EMIT(m, 0xc5, 0xe9, 0xeb, 0xd3);       /* vpor xmm2, xmm2, xmm3 */
	EMIT(m, 0xc5, 0xf9, 0xeb, 0xc2);       /* vpor xmm0, xmm0, xmm2 */
	EMIT(m, 0xc4, 0xe2, 0x79, 0x17, 0xc0); /* vptest xmm0, xmm0 */
}

/* ldmxcsr (2), stmxcsr (3) gs:[off] */
static void mxcsr(struct emit *m, unsigned ext, size_t off)
{
	EMIT(m, 0x65, 0x0f, 0xae, (uint8_t)(ext << 3 | 4), 0x25);
	emit32(m, (uint32_t)off);
}

static void set_vec(struct emit *m, uint32_t val)
{
	TR_FIELD(m, tr_word(W_VEC), 4, 0xc7, 4); /* mov dword [W_VEC], val */
	emit32(m, val);
}

/*
 * Routines of vector state; end in ret.
 *
 * A 256-bit load makes the upper halves "in use" even if it loads zeros. From then on processors
 * since Ice Lake take about 50 ns for the first legacy SSE instruction, and as much for the next
 * VEX one (Intel optimization manual, 15.3: mixing AVX and SSE). Guests' upper halves are zero
 * nearly always; then only the lower halves are loaded.
 */
static void put_vec_load(struct emit *m, bool avx)
{
	unsigned full, done;

	if (!avx) {
		vectors(m, false, false, false);
	} else {
		test_upper(m);
		EMIT(m, 0x0f, 0x85); /* jne full */
		full = m->n;
		emit32(m, 0);
		vectors(m, true, false, false);
		emit8(m, 0xe9); /* jmp done */
		done = m->n;
		emit32(m, 0);
		st_le32(m->buf + full, m->n - (full + 4));
		vectors(m, true, true, false);
		st_le32(m->buf + done, m->n - (done + 4));
	}
	mxcsr(m, 2, offsetof(struct vcpu, s.fpu.mxcsr));
	set_vec(m, 1);
	emit8(m, 0xc3);
}

static void put_vec_save(struct emit *m, bool avx)
{
	vectors(m, avx, avx, true);
	mxcsr(m, 3, offsetof(struct vcpu, s.fpu.mxcsr));
	mxcsr(m, 2, tr_word(W_MXCSR)); /* the host's */
	set_vec(m, 0);
	if (avx)
		EMIT(m, 0xc5, 0xf8, 0x77); /* vzeroupper */
	emit8(m, 0xc3);
}

static void new_epoch(struct vcpu *v, uint64_t epoch)
{
	if (UNLIKELY(atomic_load_explicit(&icpu(v)->n_stale, memory_order_acquire)))
		tr_stale(v);
	tr_switch_epoch(v, epoch);
}

/* jcc forward, to where land() is called with the result. */
static unsigned jcc(struct emit *m, uint8_t cc)
{
	EMIT(m, 0x0f, (uint8_t)(0x80 | cc));
	emit32(m, 0);
	return m->n;
}

static void land(struct emit *m, unsigned from)
{
	st_le32(m->buf + from - 4, m->n - from);
}

enum { CC_B = 2, CC_E = 4, CC_NE = 5, CC_A = 7 };

/* translator.mapped[@two] */
static void put_mapped(struct emit *m, const struct interp_cpu *ic, bool two)
{
	unsigned leave[3], tags[2], n = 0;

	tr_gs(m, true, 0x89, RAX, tr_word(W_TMP));
	tr_mem(m, false, 0x8b, S1, S2, NO_REG, 0, (int32_t)offsetof(struct tr_mapping, key));
	tr_gs(m, false, 0x3b, S1, tr_word(W_KEY));
	leave[n++] = jcc(m, CC_NE);
	for (unsigned i = 0; i <= two; i++) {
		tr_mem(m, true, 0x8b, RAX, S2, NO_REG, 0,
		       (int32_t)(offsetof(struct tr_mapping, entry) + 8 * i));
		tr_mem(m, true, 0x8b, S1, S2, NO_REG, 0,
		       (int32_t)(offsetof(struct tr_mapping, base) + 8 * i));
		tr_gs(m, true, 0x03, S1, tr_word(W_GEN));
		tr_mem(m, true, 0x3b, S1, RAX, NO_REG, 0,
		       (int32_t)offsetof(struct x86_tlb_entry, tag_exec));
		tags[i] = jcc(m, CC_NE);
		tr_mem(m, true, 0x8b, S1, S2, NO_REG, 0,
		       (int32_t)(offsetof(struct tr_mapping, page) + 8 * i));
		tr_mem(m, true, 0x3b, S1, RAX, NO_REG, 0,
		       (int32_t)offsetof(struct x86_tlb_entry, host));
		leave[n++] = jcc(m, CC_NE);
	}
	tr_imm64(m, S1, (uintptr_t)&ic->turn);
	tr_mem(m, false, 0x8b, S1, S1, NO_REG, 0, 0);
	tr_mem(m, false, 0x89, S1, S2, NO_REG, 0, (int32_t)offsetof(struct tr_mapping, used));
	tr_gs(m, false, 0x8b, S1, offsetof(struct vcpu, epoch));
	EMIT(m, 0x49, 0xc1, 0xe2, 32); /* shl r10, 32: without requests */
	tr_mem(m, true, 0x89, S1, S2, NO_REG, 0, (int32_t)offsetof(struct tr_mapping, epoch));
	tr_gs(m, true, 0x8b, RAX, tr_word(W_TMP));
	tr_rr(m, true, 0x39, S1, S1); /* ZF */
	emit8(m, 0xc3);
	for (unsigned i = 0; i < n; i++)
		land(m, leave[i]);
	tr_gs(m, true, 0x8b, RAX, tr_word(W_TMP));
	EMIT(m, 0x45, 0x31, 0xd2, 0x41, 0x83, 0xea, 1, 0xc3); /* xor r10d, r10d; sub r10d, 1: CF */
	for (unsigned i = 0; i <= two; i++)
		land(m, tags[i]);
	tr_gs(m, true, 0x8b, RAX, tr_word(W_TMP));
	EMIT(m, 0x41, 0x83, 0xca, 1, 0xc3); /* or r10d, 1: neither */
}

static void pop_frame(struct emit *m)
{
	EMIT(m, 0x48, 0x83, 0xc4, 0x08);                                     /* add rsp, 8 */
	EMIT(m, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b); /* pop r15..rbx */
}

/* R9 = what W_EPOCH is to be, as tr_epoch_of(). RAX = struct interp_cpu. Sets W_GEN and W_KEY,
 * clobbers R8, RDI. */
static void put_epoch(struct emit *m)
{
	tr_gs(m, true, 0x8b, RAX, offsetof(struct vcpu, tlb));
	tr_mem(m, true, 0x8b, R8, RAX, NO_REG, 0, (int32_t)offsetof(struct x86_tlb, generation));
	tr_gs(m, true, 0x89, R8, tr_word(W_GEN));
	tr_rr(m, true, 0x89, RAX, R9);
	tr_gs(m, true, 0x8b, RAX, offsetof(struct vcpu, engine));
	tr_mem(m, false, 0x8b, R8, RAX, NO_REG, 0, (int32_t)offsetof(struct interp_cpu, key));
	tr_gs(m, false, 0x89, R8, tr_word(W_KEY));
	tr_rr(m, false, 0x89, R8, RDI);
	static_assert(X86_MODE_USER == 1 << 5, "shifted to be 8");
	EMIT(m, 0x83, 0xe7, X86_MODE_USER, 0xc1, 0xef, 2); /* and edi, ; shr edi, 2 */
	tr_mem(m, true, 0x8b, R9, R9, RDI, 0, (int32_t)offsetof(struct x86_tlb, exec_id));
	EMIT(m, 0x49, 0xc1, 0xe1, 16); /* shl r9, 16 */
	tr_rr(m, true, 0x09, R8, R9);
}

static void put_enter(struct emit *m, const struct vcpu *v)
{
	int32_t native =
		(int32_t)offsetof(struct block, native) - (int32_t)offsetof(struct block, uop);
	unsigned same, stale;

	EMIT(m, 0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57); /* push rbx..r15 */
	EMIT(m, 0x48, 0x83, 0xec, 0x08);                                     /* sub rsp, 8 */
	tr_gs(m, true, 0x89, RSP, tr_word(W_CSP));
	tr_gs(m, true, 0x89, RDX, tr_word(W_TAB));
	EMIT(m, 0x81, 0xc9); /* or ecx, */
	emit32(m, TR_FL_HERE);
	tr_gs(m, false, 0x89, RCX, tr_word(W_FL));
	put_epoch(m);
	tr_mem(m, false, 0x81, 7, RAX, NO_REG, 0, (int32_t)offsetof(struct interp_cpu, n_stale));
	emit32(m, 0); /* cmp dword [rax + n_stale], 0 */
	stale = jcc(m, CC_NE);
	tr_gs(m, true, 0x3b, R9, tr_word(W_EPOCH));
	same = jcc(m, CC_E);
	land(m, stale);
	tr_rr(m, true, 0x89, RSI, RBX);
	tr_imm64(m, RDI, (uintptr_t)v);
	tr_rr(m, true, 0x89, R9, RSI);
	tr_imm64(m, RAX, (uintptr_t)new_epoch);
	EMIT(m, 0xff, 0xd0); /* call rax */
	tr_rr(m, true, 0x89, RBX, RSI);
	land(m, same);
	tr_mem(m, true, 0x8b, S1, RSI, NO_REG, 0, native);
	tr_gs(m, true, 0x8b, RSP, tr_word(W_NSP));
	gprs(m, false);
	EMIT(m, 0x41, 0xff, 0xe2); /* jmp r10 */
}

/* Arguments of a handler: v, S1, table, flags. */
static void put_args(struct emit *m, const struct vcpu *v)
{
	tr_imm64(m, RDI, (uintptr_t)v);
	tr_rr(m, true, 0x89, S1, RSI);
	tr_gs(m, true, 0x8b, RDX, tr_word(W_TAB));
	tr_gs(m, false, 0x8b, RCX, tr_word(W_FL));
}

/* W_FL says what computes the flags: call that, which may clobber S1 and S2 and ends in a jump to
 * W_LATER_BACK. Nothing but the return address is on the stack, whichever it is. */
static void put_fetch(struct emit *m, const uint8_t *rx)
{
	unsigned back;

	tr_gs(m, true, 0x89, S1, tr_word(W_LATER_S1));
	tr_gs(m, true, 0x89, S2, tr_word(W_LATER_S2));
	tr_gs(m, false, 0x8b, S1, tr_word(W_FL));
	tr_rr(m, false, 0x89, S1, S2);
	EMIT(m, 0x41, 0x81, 0xe3); /* and r11d, 0x1ff */
	emit32(m, 0x1ff);
	EMIT(m, 0x41, 0xc1, 0xea, 10, 0x41, 0xc1, 0xe2, 9); /* shr r10d; shl r10d: tr_fl_later() */
	tr_rr(m, false, 0x09, S2, S1);
	tr_imm64(m, S2, (uintptr_t)rx);
	tr_rr(m, true, 0x01, S2, S1);
	EMIT(m, 0x4c, 0x8d, 0x1d); /* lea r11, [rip + back] */
	emit32(m, 0);
	back = m->n;
	tr_gs(m, true, 0x89, S2, tr_word(W_LATER_BACK));
	EMIT(m, 0x41, 0xff, 0xe2); /* jmp r10 */
	st_le32(m->buf + back - 4, m->n - back);
	tr_gs(m, true, 0x8b, S2, tr_word(W_LATER_S2));
	tr_gs(m, true, 0x8b, S1, tr_word(W_LATER_S1));
	emit8(m, 0xc3);
}

/* Leave the stack of return addresses; EAX = W_VEC. */
static void to_c_stack(struct emit *m, const struct translator *t)
{
	gprs(m, true);
	tr_gs(m, true, 0x89, RSP, tr_word(W_NSP));
	tr_gs(m, true, 0x8b, RSP, tr_word(W_CSP));
	tr_flags_fetch(m, t->map.rx, t->fetch);
	tr_gs(m, false, 0x8b, RAX, tr_word(W_VEC));
}

/* call @to if the 32-bit register of @modrm (test r, r) is not 0 */
static void call_if(struct emit *m, uint8_t modrm, const uint8_t *rx, const uint8_t *to)
{
	EMIT(m, 0x85, modrm, 0x74, 5);
	tr_jump_to(m, 0xe8, rx, to);
}

/* Back on the stack of return addresses only at the end: an overflow there would empty it. @load:
 * of vector registers, if they were the guest's (ECX); NULL: they stay in struct vcpu. */
static void back(struct emit *m, const uint8_t *rx, const uint8_t *load)
{
	if (load)
		call_if(m, 0xc9, rx, load); /* ecx */
	tr_gs(m, true, 0x8b, RSP, tr_word(W_NSP));
	gprs(m, false);
}

static void put_call(struct emit *m, const struct vcpu *v, const struct translator *t,
		     const uint8_t *load, const uint8_t *save)
{
	unsigned out, go, leave, goes;
	const uint8_t *rx = t->map.rx;

	to_c_stack(m, t);
	EMIT(m, 0x50, 0x50); /* push rax twice: the stack stays aligned */
	call_if(m, 0xc0, rx, save);
	put_args(m, v);
	EMIT(m, 0x41, 0xff, 0xd3); /* call r11 */
	EMIT(m, 0x59, 0x59);       /* pop rcx */
	EMIT(m, 0x83, 0xf8, TR_NEXT);
	out = jcc(m, CC_B);
	go = jcc(m, CC_NE);
	back(m, rx, load);
	emit8(m, 0xc3);
	land(m, out);
	static_assert(X86_FAULT == 1, "compared");
	EMIT(m, 0x83, 0xf8, X86_FAULT); /* cmp eax, */
	leave = jcc(m, CC_NE);
	tr_imm64(m, RDI, (uintptr_t)v);
	tr_imm64(m, RAX, (uintptr_t)tr_fault);
	EMIT(m, 0xff, 0xd0); /* call rax */
	EMIT(m, 0x83, 0xf8, TR_GOTO);
	goes = jcc(m, CC_E);
	land(m, leave);
	TR_FIELD(m, tr_word(W_NSP), 1, 0x48, 0x83,
		 4); /* add qword [W_NSP], 8: the return address */
	emit8(m, 8);
	pop_frame(m);
	emit8(m, 0xc3);
	land(m, go);
	land(m, goes);
	back(m, rx, NULL); /* a block loads vector registers before it uses them */
	TR_FIELD(m, tr_word(W_GO), 0, 0xff, 0x24); /* jmp [W_GO] */
}

/*
 * Calls of light.c: S2 = function, S1 = its uop; all general registers of the guest are in struct
 * vcpu, vector registers stay where they are. Returns with carry when the handler must do it.
 */
static void put_light(struct emit *m, const struct vcpu *v, const struct translator *t,
		      const uint8_t *save)
{
	static const uint8_t lost[] = {X86_RAX, X86_RCX, X86_RDX, X86_RSP,
				       X86_RSI, X86_RDI, X86_R8,  X86_R9};
	const uint8_t *rx = t->map.rx;
	unsigned other, leave;

	gprs(m, true);
	tr_gs(m, true, 0x89, RSP, tr_word(W_NSP));
	tr_gs(m, true, 0x8b, RSP, tr_word(W_CSP));
	tr_flags_fetch(m, rx, t->fetch);
	tr_imm64(m, RDI, (uintptr_t)v);
	tr_rr(m, true, 0x89, S1, RSI);
	EMIT(m, 0x41, 0xff, 0xd3); /* call r11 */
	static_assert(LIGHT_SLOW == 0 && LIGHT_NEXT == 1 && LIGHT_GOTO == 2, "compared");
	EMIT(m, 0x83, 0xf8, LIGHT_NEXT); /* cmp eax, */
	other = jcc(m, CC_A);
	for (unsigned i = 0; i < ARRAY_SIZE(lost); i++)
		tr_gs(m, true, 0x8b, tr_host[lost[i]], offsetof(struct vcpu, s.gpr) + 8u * lost[i]);
	tr_gs(m, true, 0x8b, RSP, tr_word(W_NSP));
	emit8(m, 0xc3);
	land(m, other);
	EMIT(m, 0x83, 0xf8, LIGHT_GOTO); /* cmp eax, */
	leave = jcc(m, CC_NE);
	for (unsigned i = 0; i < ARRAY_SIZE(lost); i++)
		tr_gs(m, true, 0x8b, tr_host[lost[i]], offsetof(struct vcpu, s.gpr) + 8u * lost[i]);
	tr_gs(m, true, 0x8b, RSP, tr_word(W_NSP));
	TR_FIELD(m, tr_word(W_GO), 0, 0xff, 0x24); /* jmp [W_GO] */
	land(m, leave);
	tr_gs(m, false, 0x8b, RAX, tr_word(W_VEC));
	call_if(m, 0xc0, rx, save);
	pop_frame(m);
	static_assert(X86_OK == 0, "returned");
	EMIT(m, 0x31, 0xc0, 0xc3); /* xor eax, eax; ret */
}

static void put_tail(struct emit *m, const struct vcpu *v, const struct translator *t,
		     const uint8_t *save)
{
	const uint8_t *rx = t->map.rx;

	to_c_stack(m, t);
	call_if(m, 0xc0, rx, save);
	put_args(m, v);
	pop_frame(m);
	EMIT(m, 0x41, 0xff, 0xe3); /* jmp r11 */
}

void tr_jump_entry(struct emit *m, bool w, uint8_t op, unsigned reg)
{
	emit8(m, 0x65);
	tr_mem(m, w, op, reg, S2, NO_REG, 0,
	       (int32_t)(offsetof(struct vcpu, jump) + offsetof(struct x86_jump, entry)));
}

void tr_lookup(struct emit *m, unsigned reg)
{
	tr_rr(m, false, 0x69, S2, reg); /* imul r11d, reg32, imm32 */
	emit32(m, TR_JUMP_FACTOR);
	EMIT(m, 0x41, 0x81, 0xe3); /* and r11d */
	emit32(m, TR_JUMP_MASK);
	emit8(m, 0x65);
	tr_mem(m, true, 0x3b, reg, S2, NO_REG, 0, (int32_t)offsetof(struct vcpu, jump));
}

/*
 * A return that its return site does not want, or (ras_empty) that had none. The entry that was
 * popped is still below RSP: nothing has been pushed since. Entries further up are of callers whose
 * callees returned otherwise.
 */
static void put_ras(struct translator *t, struct emit *m)
{
	enum { LOOK_AT = 6 };
	unsigned found[2 * LOOK_AT], miss, other, over;

	t->ras_miss = t->map.rx + m->n;
	for (unsigned i = 0; i < LOOK_AT; i++) {
		tr_mem(m, true, 0x8b, S2, RSP, NO_REG, 0, (int32_t)(8 * i));
		/* the site compares once more, so what is something else does no harm */
		EMIT(m, 0x41, 0x80, 0x7b, TR_SITE_RIP, TR_SITE_SHORT); /* cmp byte [r11 + ] */
		other = jcc(m, CC_NE);
		tr_mem(m, false, 0x3b, S1, S2, NO_REG, 0, TR_SITE_RIP + 1);
		found[2 * i] = jcc(m, CC_E);
		land(m, other);
		tr_mem(m, true, 0x3b, S1, S2, NO_REG, 0, TR_SITE_RIP);
		found[2 * i + 1] = jcc(m, CC_E);
	}
	tr_mem(m, true, 0x8d, RSP, RSP, NO_REG, 0, -8);
	EMIT(m, 0xeb, 0); /* jmp over ras_empty */
	over = m->n;
	t->ras_empty = t->map.rx + m->n;
	EMIT(m, 0xeb, 8); /* and over what stands where return sites have their RIP */
	static_assert(TR_SITE_RIP == 2, "just behind a short jump");
	emit64(m, 1ull << 63);
	tr_gs(m, true, 0x8b, RSP, tr_word(W_RBASE));
	m->buf[over - 1] = (uint8_t)(m->n - over);
	tr_lookup(m, S1);
	miss = jcc(m, CC_NE);
	tr_jump_entry(m, false, 0xff, 4); /* jmp */
	land(m, miss);
	tr_gs(m, true, 0x89, S1, tr_word(W_TARGET));
	tr_imm64(m, S2, (uintptr_t)tr_ret_miss);
	tr_jump_to(m, 0xe9, t->map.rx, t->tail);
	for (unsigned i = 0; i < LOOK_AT; i++) {
		land(m, found[2 * i]);
		land(m, found[2 * i + 1]);
		tr_mem(m, true, 0x8d, RSP, RSP, NO_REG, 0, (int32_t)(8 * i + 8));
		EMIT(m, 0x41, 0xff, 0xe3); /* jmp r11 */
	}
}

static uint8_t *begin(struct translator *t, struct emit *m)
{
	while (m->n & 15)
		emit8(m, 0xcc);
	return t->map.rx + m->n;
}

#define GLUE_SIZE 131072u

int tr_glue(struct translator *t, struct interp_cpu *ic, struct error *err)
{
	struct emit m = {.buf = t->map.rw, .size = GLUE_SIZE, .home = t->home};
	const uint8_t *save;
	struct vcpu *v = ic->v;

	t->vec_load = begin(t, &m);
	put_vec_load(&m, ic->has_avx);
	save = begin(t, &m);
	put_vec_save(&m, ic->has_avx);
	t->fetch = begin(t, &m);
	put_fetch(&m, t->map.rx);
	t->enter = begin(t, &m);
	put_enter(&m, v);
	t->call = begin(t, &m);
	put_call(&m, v, t, t->vec_load, save);
	t->call_plain = begin(t, &m);
	put_call(&m, v, t, NULL, save);
	t->light = begin(t, &m);
	put_light(&m, v, t, save);
	t->tail = begin(t, &m);
	put_tail(&m, v, t, save);
	for (unsigned i = 0; i < 2; i++) {
		t->mapped[i] = begin(t, &m);
		put_mapped(&m, ic, i);
	}
	tr_string_glue(t, &m);
	while (m.n & 15)
		emit8(&m, 0xcc);
	tr_slot_glue(t, ic, &m);
	(void)begin(t, &m);
	put_ras(t, &m);
	t->first = t->used = align_up(m.n, 64);
	t->cold_first = t->cold = align_up(t->code_size / 3, CODE_MAP_PIECE);
	v->word[W_VEC] = 0;
	v->word[W_MXCSR] = 0x1f80;
	for (unsigned i = 0; i < 2; i++)
		for (unsigned k = 0; k < TR_RAS_ABOVE / 8; k++)
			((uint64_t *)t->ras[i].base)[k] = (uintptr_t)t->ras_empty;
	v->word[W_EPOCH] = 0;
	v->epoch = 0;
	v->word[W_NSP] = v->word[W_RBASE] = t->ras[0].base;
	return 0;
}

/* ---- called by native code ---- */

/* The handler has changed the mapping: what it returns to stays on top of the stack. */
static void same_place(struct vcpu *v, uint64_t epoch)
{
	uint64_t back = *(const uint64_t *)(uintptr_t)v->word[W_NSP];

	v->word[W_NSP] += 8;
	new_epoch(v, epoch);
	v->word[W_NSP] -= 8;
	*(uint64_t *)(uintptr_t)v->word[W_NSP] = back;
}

int tr_resume(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	uint64_t epoch = tr_epoch_of(v);

	v->word[W_FL] = fl | TR_FL_HERE;
	v->word[W_TAB] = (uintptr_t)tab;
	v->word[W_GEN] = v->tlb->generation;
	if (UNLIKELY(epoch != v->word[W_EPOCH]))
		same_place(v, epoch);
	if (UNLIKELY(atomic_load_explicit(&icpu(v)->n_stale, memory_order_acquire)))
		tr_stale(v);
	return TR_NEXT;
}

int tr_leave(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	const struct block *b = uop_block(u);
	uint64_t rip = b->key & X86_MODE_CS64 ? uop_rip(u) : (uint32_t)uop_rip(u);
	struct translator *t = icpu(v)->tr;

	/* A block is left at its head for a request, or because it isn't mapped there any more: it
	 * may be of another process with code at the same addresses. Jumps that find it by RIP
	 * alone would come here each time. */
	if (u == b->uop && t->jump[tr_jump_slot(rip)].rip == rip)
		tr_clear_jump(t, tr_jump_slot(rip));
	return uop_leave(v, rip, fl);
}

int tr_goto(struct vcpu *v, const struct block *b)
{
	struct interp_cpu *ic = icpu(v);
	struct x86_tlb_entry *tab = v->tlb->e[v->tlb->data_table];

	v->word[W_NSP] += 8; /* the native code that called the handler is left */
	ic->key = b->key;
	ic->exec_tab = v->tlb->e[v->cpl == 3 ? X86_TLB_USER : X86_TLB_SUPER];
	v->word[W_KEY] = b->key;
	v->word[W_GO] = (uintptr_t)b->native;
	new_epoch(v, tr_epoch_of(v));
	return tr_resume(v, b->uop, tab, fl_load(v->s.rflags)) == TR_NEXT ? TR_GOTO : X86_OK;
}

int tr_far(struct vcpu *v, const struct block *b, struct x86_tlb_entry *tab, uint32_t fl)
{
	const struct x86_tlb_entry *e;
	uint8_t *entry;
	bool mmio;
	int r;

	(void)uop_leave(v, b->rip, fl);
	if (atomic_load_explicit(&v->request, memory_order_relaxed) || !b->native ||
	    !block_valid(b))
		return X86_OK;
	e = x86_fetch_page(v, b->rip, &mmio); /* the run loop finds a fault again */
	if (!e || e->host != b->page || b->flags & BLOCK_TWO_PAGES)
		return X86_OK;
	entry = b->tr->entry[TR_FAR]; /* looks at the tags again, and remembers */
	r = tr_goto(v, b);
	v->word[W_GO] = (uintptr_t)entry;
	return r;
}

static enum tr_entry entry_for(const struct tr_exit *x, const struct tr_block *to)
{
	bool poll = x->poll && (!to->onward || x->tb->onward);

	if (x->far)
		return TR_FAR;
	if (x->e && (to->type != TR_TYPE_M || !x->m))
		return poll ? TR_E_POLL : TR_E;
	return poll ? TR_M_POLL : TR_M;
}

int tr_chain(struct vcpu *v, struct tr_exit *x, struct x86_tlb_entry *tab, uint32_t fl)
{
	const struct block *nb = x->b->succ[x->which];
	uint64_t rip = tr_exit_rip(x);

	icpu(v)->tr->last_exit = x;
	if (nb && nb->rip == rip && nb->native && block_valid(nb) &&
	    (x->far || !(x->b->succ_far & 1u << x->which)))
		tr_link(x, nb->tr, entry_for(x, nb->tr));
	if (x->b->flags & BLOCK_TWO_PAGES) { /* which the interpreter does not link */
		const struct block *to = jump_get(icpu(v), rip);

		if (to && to->rip == rip && to->key == x->b->key && to->native)
			tr_link(x, to->tr, TR_FAR);
	}
	/* A far exit inside a page follows an instruction that may have changed the mapping. */
	if (nb && x->far && !block_still_mapped(v, nb, rip))
		return uop_leave(v, rip, fl);
	return block_chain(v, x->b, tab, fl, x->which, rip);
}

void tr_crossing(struct vcpu *v, const struct block *b)
{
	struct translator *t = icpu(v)->tr;
	struct tr_exit *x = t->last_exit;

	t->jump[tr_jump_slot(b->rip)] = (struct x86_jump){b->rip, b->tr->entry[TR_FAR]};
	if (x && tr_exit_rip(x) == b->rip && x->b->key == b->key)
		tr_link(x, b->tr, x->m ? TR_FAR : TR_E);
}

static void remember(struct vcpu *v)
{
	uint64_t rip = v->word[W_TARGET];
	const struct block *nb = jump_get(icpu(v), rip);

	if (nb && nb->rip == rip && nb->native && nb->key & X86_MODE_FLAT)
		icpu(v)->tr->jump[tr_jump_slot(rip)] =
			(struct x86_jump){rip, nb->tr->entry[TR_FAR]};
}

int tr_miss(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	remember(v);
	return uop_block(u)->cold[u->n].fn(v, u, tab, fl);
}

int tr_ret_miss(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	const struct uop *ret = (const void *)(icpu(v)->pool + v->word[W_RET]);
	bool is64 = uop_block(ret)->key & X86_MODE_CS64;
	uint64_t sp = v->s.gpr[X86_RSP] - (is64 ? 8 : 4) - ret->imm;

	remember(v);
	v->s.gpr[X86_RSP] = is64 ? sp : (uint32_t)sp;
	return uop_block(ret)->cold[ret->n].fn(v, ret, tab, fl);
}
