/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The privilege matrix: every privileged or sensitive instruction in every mode (real, v8086,
 * 32-bit protected with CPL 0 to 3, 64-bit with CPL 0 to 3, compatibility), with every IOPL and
 * every combination of the control bits that it could look at. Expected outcomes are rules taken
 * from the exception sections of Intel SDM vol. 2 and from vol. 3: 2.5 (CR0, CR4), 2.8 (system
 * instructions), 5.9 (privileged instructions), table 21-2 (VME, PVI), vol. 1, 19.5 (I/O). All of
 * it is run on an Intel and on an AMD processor, whatever the host's; AMD's own rules: APM vol. 3,
 * SYSENTER, SYSEXIT, SYSCALL, SYSRET.
 *
 * The bare-metal kernels of suite guest (privilege32, privilege64) look at single cases in depth;
 * here only the vector is looked at, but for all combinations.
 */
#include <stdio.h>
#include <string.h>

#include "../unit/cm.h"
#include "base/bits.h"
#include "machine.h"

enum mode { REAL, V86, PM0, PM1, PM2, PM3, L0, L1, L2, L3, COMPAT, MODES };

static const char *const mode_names[MODES] = {"real",         "v8086",        "32-bit CPL 0",
					      "32-bit CPL 1", "32-bit CPL 2", "32-bit CPL 3",
					      "64-bit CPL 0", "64-bit CPL 1", "64-bit CPL 2",
					      "64-bit CPL 3", "compatibility"};

/* What an instruction looks at. */
enum rule {
	CPL0,     /* #GP(0) unless CPL 0 */
	CPL0_PM,  /* the same; #UD in real and v8086 mode */
	UMIP,     /* #GP(0) with CR4.UMIP unless CPL 0 */
	UMIP_PM,  /* the same; #UD in real and v8086 mode */
	PM_ONLY,  /* #UD in real and v8086 mode */
	IF_FLAG,  /* CLI, STI: IOPL, PVI, VME */
	PORT,     /* IOPL, then the I/O map: there is none */
	FLAGS,    /* PUSHF, POPF of 16 bits in 16-bit code, of the full width elsewhere */
	FLAGS32,  /* the other operand size in v8086 mode */
	SOFT_INT, /* INT 50h, which has a gate for CPL 3 */
	TSD,      /* CR4.TSD */
	ONLY64,   /* #UD outside 64-bit mode, then CPL 0 */
	FSGS,     /* 64-bit mode and CR4.FSGSBASE */
	SMAP_OP,  /* #UD unless CPL 0 */
	OSXSAVE,  /* #UD without CR4.OSXSAVE */
	OSXSAVE0, /* the same, then CPL 0 */
	ANYBODY,
	NEVER_GP, /* #GP(0) whatever: registers that are 0, counters that are not there */
	NEVER_UD, /* #UD whatever: features that are not there */
	NULL_TR,  /* LTR with a null selector */
	BREAK,    /* INT3 */
	V86_ONLY, /* IRET, where v8086 mode forbids it; elsewhere not run */
	SYSENTER, /* SYSENTER, SYSEXIT without IA32_SYSENTER_CS: #GP(0); AMD: #UD in long mode */
	SCE_OFF,  /* SYSCALL, SYSRET without EFER.SCE */
	SYSCALL,  /* to a HLT at CPL 0: #UD outside 64-bit mode; AMD: in real mode only */
	SYSRET,   /* the same, #GP(0) outside CPL 0; in real mode AMD: #GP(0) */
	X87,      /* CR0.EM, TS */
	WAIT,     /* CR0.MP and TS */
	MMX,      /* CR0.EM, TS */
	SSE,      /* CR0.EM, CR4.OSFXSR, CR0.TS */
	AVX,      /* CR4.OSXSAVE, CR0.TS; not in real or v8086 mode */
	FXSR,     /* FXSAVE: CR0.EM, TS */
	XSAVE,    /* CR4.OSXSAVE, CR0.TS */
};

#define CODE(s) s, sizeof(s) - 1

/* clang-format off */
static const struct row {
	const char *name, *code;
	unsigned len;
	enum rule rule;
	uint64_t rax, rcx, rdx;
	bool rex;   /* another instruction outside 64-bit mode */
	bool not64; /* another one in 64-bit mode */
	uint8_t cr; /* 1 + n: EAX is CRn as it is */
} rows[] = {
	{"hlt", CODE("\xf4"), CPL0},
	{"clts", CODE("\x0f\x06"), CPL0},
	{"invd", CODE("\x0f\x08"), CPL0},
	{"wbinvd", CODE("\x0f\x09"), CPL0},
	{"lgdt", CODE("\x0f\x01\x17"), CPL0},
	{"lidt", CODE("\x0f\x01\x1f"), CPL0},
	{"invlpg", CODE("\x0f\x01\x3f"), CPL0},
	{"rdmsr", CODE("\x0f\x32"), CPL0, .rcx = 0x1b},
	{"wrmsr", CODE("\x0f\x30"), CPL0, .rcx = 0x277, .rax = 0x00070406, .rdx = 0x00070406},
	{"mov eax, cr0", CODE("\x0f\x20\xc0"), CPL0},
	{"mov eax, cr2", CODE("\x0f\x20\xd0"), CPL0},
	{"mov eax, cr3", CODE("\x0f\x20\xd8"), CPL0},
	{"mov eax, cr4", CODE("\x0f\x20\xe0"), CPL0},
	{"mov cr2, eax", CODE("\x0f\x22\xd0"), CPL0},
	{"mov eax, dr0", CODE("\x0f\x21\xc0"), CPL0},
	{"mov eax, dr6", CODE("\x0f\x21\xf0"), CPL0},
	{"mov dr0, eax", CODE("\x0f\x23\xc0"), CPL0},
	{"mov dr7, eax", CODE("\x0f\x23\xf8"), CPL0, .rax = 0x400},
	{"lldt ax", CODE("\x0f\x00\xd0"), CPL0_PM},
	{"sgdt", CODE("\x0f\x01\x07"), UMIP},
	{"sidt", CODE("\x0f\x01\x0f"), UMIP},
	{"smsw eax", CODE("\x0f\x01\xe0"), UMIP},
	{"smsw [di]", CODE("\x0f\x01\x27"), UMIP},
	{"sldt eax", CODE("\x0f\x00\xc0"), UMIP_PM},
	{"str eax", CODE("\x0f\x00\xc8"), UMIP_PM},
	{"sldt [di]", CODE("\x0f\x00\x07"), UMIP_PM},
	{"lar eax, cx", CODE("\x0f\x02\xc1"), PM_ONLY},
	{"lsl eax, cx", CODE("\x0f\x03\xc1"), PM_ONLY},
	{"verr ax", CODE("\x0f\x00\xe0"), PM_ONLY},
	{"verw ax", CODE("\x0f\x00\xe8"), PM_ONLY},
	{"cli", CODE("\xfa"), IF_FLAG},
	{"sti", CODE("\xfb"), IF_FLAG},
	{"in al, 80h", CODE("\xe4\x80"), PORT},
	{"in eax, 80h", CODE("\xe5\x80"), PORT},
	{"in al, dx", CODE("\xec"), PORT, .rdx = 0x80},
	{"out 80h, al", CODE("\xe6\x80"), PORT},
	{"out dx, eax", CODE("\xef"), PORT, .rdx = 0x80},
	{"insb", CODE("\x6c"), PORT, .rdx = 0x80},
	{"outsb", CODE("\x6e"), PORT, .rdx = 0x80},
	{"rep outsb, count 1", CODE("\xf3\x6e"), PORT, .rdx = 0x80, .rcx = 1},
	{"pushf", CODE("\x9c"), FLAGS},
	{"popf", CODE("\x9d"), FLAGS},
	{"pushfd", CODE("\x66\x9c"), FLAGS32},
	{"popfd", CODE("\x66\x9d"), FLAGS32},
	{"int 50h", CODE("\xcd\x50"), SOFT_INT},
	{"rdtsc", CODE("\x0f\x31"), TSD},
	{"rdtscp", CODE("\x0f\x01\xf9"), TSD},
	{"swapgs", CODE("\x0f\x01\xf8"), ONLY64},
	{"mov rax, cr8", CODE("\x44\x0f\x20\xc0"), ONLY64, .rex = true},
	{"mov cr8, rax", CODE("\x44\x0f\x22\xc0"), ONLY64, .rex = true},
	{"rdfsbase eax", CODE("\xf3\x0f\xae\xc0"), FSGS},
	{"rdgsbase eax", CODE("\xf3\x0f\xae\xc8"), FSGS},
	{"wrfsbase eax", CODE("\xf3\x0f\xae\xd0"), FSGS},
	{"clac", CODE("\x0f\x01\xca"), SMAP_OP},
	{"stac", CODE("\x0f\x01\xcb"), SMAP_OP},
	{"xgetbv", CODE("\x0f\x01\xd0"), OSXSAVE},
	{"xsetbv", CODE("\x0f\x01\xd1"), OSXSAVE0, .rax = 7},
	{"mov cr0, eax", CODE("\x0f\x22\xc0"), CPL0, .cr = 1},
	{"mov cr3, eax", CODE("\x0f\x22\xd8"), CPL0, .cr = 4},
	{"mov cr4, eax", CODE("\x0f\x22\xe0"), CPL0, .cr = 5},
	{"lmsw ax", CODE("\x0f\x01\xf0"), CPL0, .cr = 1},
	{"ltr ax", CODE("\x0f\x00\xd8"), NULL_TR},
	{"sysenter", CODE("\x0f\x34"), SYSENTER},
	{"sysexit", CODE("\x0f\x35"), SYSENTER},
	{"rdpmc", CODE("\x0f\x33"), NEVER_GP},
	{"syscall", CODE("\x0f\x05"), SCE_OFF},
	{"sysret", CODE("\x0f\x07"), SCE_OFF},
	{"syscall on", CODE("\x0f\x05"), SYSCALL},
	{"sysret on", CODE("\x0f\x07"), SYSRET},
	{"iret", CODE("\xcf"), V86_ONLY},
	{"iretd", CODE("\x66\xcf"), V86_ONLY},
	{"int3", CODE("\xcc"), BREAK},
	{"rsm", CODE("\x0f\xaa"), NEVER_UD},
	{"monitor", CODE("\x0f\x01\xc8"), NEVER_UD},
	{"mwait", CODE("\x0f\x01\xc9"), NEVER_UD},
	{"vmcall", CODE("\x0f\x01\xc1"), NEVER_UD},
	{"ud2", CODE("\x0f\x0b"), NEVER_UD},
	{"arpl ax, cx", CODE("\x63\xc8"), PM_ONLY, .not64 = true},
	{"cpuid", CODE("\x0f\xa2"), ANYBODY},
	{"cld", CODE("\xfc"), ANYBODY},
	{"sahf", CODE("\x9e"), ANYBODY},
	{"fadd st0, st1", CODE("\xd8\xc1"), X87},
	{"fninit", CODE("\xdb\xe3"), X87},
	{"fnstcw [di]", CODE("\xd9\x3f"), X87},
	{"fwait", CODE("\x9b"), WAIT},
	{"paddb mm1, mm2", CODE("\x0f\xfc\xca"), MMX},
	{"emms", CODE("\x0f\x77"), MMX},
	{"addps xmm1, xmm2", CODE("\x0f\x58\xca"), SSE},
	{"paddb xmm1, xmm2", CODE("\x66\x0f\xfc\xca"), SSE},
	{"stmxcsr [di]", CODE("\x0f\xae\x1f"), SSE},
	{"vaddps xmm1, xmm1, xmm2", CODE("\xc5\xf0\x58\xca"), AVX},
	{"fxsave [di]", CODE("\x0f\xae\x07"), FXSR},
	{"xsave [di]", CODE("\x0f\xae\x27"), XSAVE, .rax = 3},
};
/* clang-format on */

struct setting {
	enum mode mode;
	unsigned iopl;
	uint64_t cr0, cr4; /* the bits under test */
};

static unsigned cpl_of(enum mode m)
{
	static const uint8_t cpl[MODES] = {0, 3, 0, 1, 2, 3, 0, 1, 2, 3, 3};

	return cpl[m];
}

enum { FINE = -1 };

static int when(bool fault, int vector)
{
	return fault ? vector : FINE;
}

static int expect_fpu(enum rule rule, const struct setting *t)
{
	bool ts = t->cr0 & X86_CR0_TS, em = t->cr0 & X86_CR0_EM, mp = t->cr0 & X86_CR0_MP;
	bool fx = t->cr4 & X86_CR4_OSFXSR, xs = t->cr4 & X86_CR4_OSXSAVE;

	switch (rule) {
	case X87:
	case FXSR: return when(ts || em, X86_NM);
	case WAIT: return when(ts && mp, X86_NM);
	case MMX: return em ? X86_UD : when(ts, X86_NM);
	case SSE: return em || !fx ? X86_UD : when(ts, X86_NM);
	case AVX: return !xs || t->mode == REAL || t->mode == V86 ? X86_UD : when(ts, X86_NM);
	default: return !xs ? X86_UD : when(ts, X86_NM);
	}
}

static int expect(enum rule rule, const struct setting *t, bool amd)
{
	unsigned cpl = cpl_of(t->mode);
	bool v86 = t->mode == V86, old = t->mode == REAL || v86,
	     is64 = t->mode >= L0 && t->mode <= L3;
	bool vme = t->cr4 & X86_CR4_VME, pvi = t->cr4 & X86_CR4_PVI;
	int gp_unless_cpl0 = when(cpl, X86_GP);

	switch (rule) {
	case CPL0: return gp_unless_cpl0;
	case CPL0_PM: return old ? X86_UD : gp_unless_cpl0;
	case UMIP: return when(cpl && t->cr4 & X86_CR4_UMIP, X86_GP);
	case UMIP_PM: return old ? X86_UD : when(cpl && t->cr4 & X86_CR4_UMIP, X86_GP);
	case PM_ONLY: return when(old, X86_UD);
	case IF_FLAG:
		if (v86)
			return when(t->iopl < 3 && !vme, X86_GP);
		return when(cpl > t->iopl && !(cpl == 3 && pvi), X86_GP);
	case PORT: return when(v86 || cpl > t->iopl, X86_GP);
	case FLAGS: return when(v86 && t->iopl < 3 && !vme, X86_GP);
	case FLAGS32: return when(v86 && t->iopl < 3, X86_GP);
	case SOFT_INT: return v86 && t->iopl < 3 ? X86_GP : 0x50;
	case TSD: return when(cpl && t->cr4 & X86_CR4_TSD, X86_GP);
	case ONLY64: return is64 ? gp_unless_cpl0 : X86_UD;
	case FSGS: return when(!is64 || !(t->cr4 & X86_CR4_FSGSBASE), X86_UD);
	case SMAP_OP: return when(cpl, X86_UD);
	case OSXSAVE: return when(!(t->cr4 & X86_CR4_OSXSAVE), X86_UD);
	case OSXSAVE0: return !(t->cr4 & X86_CR4_OSXSAVE) ? X86_UD : gp_unless_cpl0;
	case ANYBODY: return FINE;
	case NEVER_GP: return X86_GP;
	case NEVER_UD: return X86_UD;
	case NULL_TR: return old ? X86_UD : X86_GP;
	case BREAK: return X86_BP;
	case V86_ONLY: return X86_GP; /* IOPL < 3 */
	case SYSENTER: return amd && t->mode >= L0 ? X86_UD : X86_GP;
	case SCE_OFF: return X86_UD;
	case SYSCALL: return when(amd ? t->mode == REAL : !is64, X86_UD);
	case SYSRET:
		if (!amd && !is64)
			return X86_UD;
		return when(cpl || t->mode == REAL, X86_GP);
	default: return expect_fpu(rule, t);
	}
}

/* Bits of CR0 and CR4 that the rule could look at: all combinations are run. */
static void bits_of(enum rule rule, uint64_t *ret_cr0, uint64_t *ret_cr4)
{
	*ret_cr0 = 0;
	*ret_cr4 = X86_CR4_TSD | X86_CR4_UMIP | X86_CR4_VME | X86_CR4_PVI | X86_CR4_FSGSBASE |
		   X86_CR4_OSXSAVE;
	if (rule >= X87) {
		*ret_cr0 = X86_CR0_MP | X86_CR0_EM | X86_CR0_TS;
		*ret_cr4 = X86_CR4_OSFXSR | X86_CR4_OSXSAVE | X86_CR4_UMIP;
	}
	if (rule == V86_ONLY)
		*ret_cr4 &= ~(uint64_t)X86_CR4_VME;
	/* With VME an INT n of v8086 mode goes through the redirection map (privilege32.asm). */
	if (rule == SOFT_INT)
		*ret_cr4 &= ~(uint64_t)X86_CR4_VME;
}

/* ---- setting the machine up ---- */

static void set_cpl(struct x86_state *s, unsigned cpl)
{
	for (unsigned i = 0; i < X86_SREG_COUNT; i++) {
		s->seg[i].attr =
			(s->seg[i].attr & ~(uint32_t)X86_ATTR_DPL) | cpl << X86_ATTR_DPL_SHIFT;
		s->seg[i].sel = (uint16_t)((s->seg[i].sel & ~3u) | cpl);
	}
}

static void set_v86(struct im *m)
{
	struct x86_state *s = &m->v->s;

	for (unsigned i = 0; i < X86_SREG_COUNT; i++)
		s->seg[i] = (struct x86_seg){
			.sel = 0x3000, .base = 0x30000, .limit = 0xffff, .attr = 0xf3};
	s->seg[X86_CS].sel = (uint16_t)(m->code >> 4);
	s->seg[X86_CS].base = m->code;
	s->gpr[X86_RSP] = 0x8000;
	s->rflags |= X86_VM;
	s->rip = 0;
}

/* What SYSCALL and SYSRET load; nothing looks into the GDT. */
enum { KERNEL_CS = 0x8, USER_CS = 0x1b };

static void enter(struct im *m, const struct row *r, const struct setting *t)
{
	struct x86_state *s = &m->v->s;

	im_reset(m);
	s->cr0 = (s->cr0 & ~(uint64_t)(X86_CR0_MP | X86_CR0_EM | X86_CR0_TS)) | t->cr0;
	s->cr4 = (s->cr4 & (X86_CR4_PAE)) | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
	if (r->rule >= X87)
		s->cr4 &= ~(uint64_t)X86_CR4_OSFXSR;
	s->cr4 |= t->cr4;
	s->xcr0 = 7;
	s->fpu.fcw = 0x37f;
	s->fpu.ftw = 0;
	s->gpr[X86_RAX] = r->rax;
	if (r->cr)
		s->gpr[X86_RAX] = r->cr == 1 ? s->cr0 : r->cr == 4 ? s->cr3 : s->cr4;
	s->gpr[X86_RCX] = r->rcx;
	s->gpr[X86_RDX] = r->rdx;
	s->gpr[X86_RDI] = s->gpr[X86_RSI] = s->gpr[X86_RBX] =
		m->bits == 16 || t->mode == V86 ? 0x400 : IM_DATA;
	s->rflags |= (uint64_t)t->iopl << X86_IOPL_SHIFT;
	s->rip = m->entry;
	s->efer &= ~(uint64_t)X86_EFER_SCE;
	if (r->rule == SYSCALL || r->rule == SYSRET) {
		s->efer |= X86_EFER_SCE;
		s->star = (uint64_t)USER_CS << 48 | (uint64_t)KERNEL_CS << 32 | (uint32_t)m->end;
		s->lstar = s->cstar = s->gpr[X86_RCX] = m->end;
		s->gpr[X86_R11] = s->rflags;
	}
	if (t->mode == V86)
		set_v86(m);
	else if (t->mode != REAL)
		set_cpl(s, cpl_of(t->mode));
	if (t->mode == COMPAT)
		s->seg[X86_CS].attr = (s->seg[X86_CS].attr & ~(uint32_t)X86_ATTR_L) | X86_ATTR_DB;
	if (cpl_of(t->mode) && t->mode != V86)
		s->gpr[X86_RSP] = IM_STACK - 0x1000;
	x86_state_changed(m->v);
}

/* Memory operands are [di] in 16-bit code and [edi], [rdi] elsewhere. */
static void put_code(struct im *m, const struct row *r, enum mode mode)
{
	uint8_t code[16];
	unsigned n = r->len;

	memcpy(code, r->code, n);
	if (mode == REAL || mode == V86)
		for (unsigned i = 2; i < n; i++)
			if (code[i - 2] == 0x0f && code[i] < 0xc0 && (code[i] & 7) == 7 &&
			    (code[i - 1] <= 1 || code[i - 1] == 0xae))
				code[i] = (uint8_t)((code[i] & 0x38) | 5); /* [di] */
	if ((mode == REAL || mode == V86) && code[0] == 0xd9)
		code[1] = 0x3d;
	im_code(m, code, n);
}

/* Data at [di]: a descriptor table pointer that LGDT and LIDT like. */
static void put_data(struct im *m)
{
	uint8_t *p = im_host(m, m->bits == 16 ? 0x30400 : IM_DATA);

	memset(p, 0, 1024);
	memset(im_host(m, 0x30400), 0, 1024);
}

static unsigned try_one(struct im *m, const struct row *r, const struct setting *t)
{
	int want = expect(r->rule, t, m->model.amd), got;
	unsigned iopl_bits = t->iopl << X86_IOPL_SHIFT;
	struct im_end end;

	put_data(m);
	enter(m, r, t);
	/* POPF takes flags that change nothing. */
	st_le64(im_host(m, (t->mode == V86 || t->mode == REAL ? m->v->s.seg[X86_SS].base : 0) +
				   m->v->s.gpr[X86_RSP]),
		2 | iopl_bits);
	end = im_run(m);
	got = end.vector;
	/* the HLT behind it, where that is privileged */
	if (got == X86_GP && end.rip == (t->mode == V86 ? r->len : m->end))
		got = FINE;
	if (end.reason == VCPU_EXIT_HALT && got == want)
		return 0;
	printf("%s, %s, IOPL %u, cr0 %llx, cr4 %llx: vector %d, want %d (reason %d)\n", r->name,
	       mode_names[t->mode], t->iopl, (unsigned long long)t->cr0, (unsigned long long)t->cr4,
	       got, want, (int)end.reason);
	return 1;
}

static bool skipped(const struct row *r, enum mode mode)
{
	bool is64 = mode >= L0 && mode <= L3;

	return (r->rex && !is64) || (r->not64 && is64) || (r->rule == V86_ONLY && mode != V86);
}

static unsigned try_row(struct im *m, const struct row *r, enum mode mode, uint64_t *count)
{
	struct setting t = {.mode = mode};
	uint64_t bits0, bits4;
	unsigned bad = 0;

	if (skipped(r, mode))
		return 0;
	bits_of(r->rule, &bits0, &bits4);
	put_code(m, r, mode);
	/* IRET with IOPL 3 is an ordinary one */
	for (t.iopl = 0; t.iopl < (r->rule == V86_ONLY ? 3u : 4u); t.iopl++)
		for (t.cr0 = bits0;; t.cr0 = (t.cr0 - 1) & bits0) {
			for (t.cr4 = bits4;; t.cr4 = (t.cr4 - 1) & bits4) {
				bad += try_one(m, r, &t);
				++*count;
				if (!t.cr4 || bad > 3)
					break;
			}
			if (!t.cr0 || bad > 3)
				break;
		}
	return bad;
}

/* In 64-bit code 66h makes PUSHF one of 16 bits, which the stack pointer of these rows allows. */
static void run_matrix(const char *model)
{
	struct im *m[3] = {im_new(16, 0, model), im_new(32, 3, model), im_new(64, 3, model)};
	uint64_t count = 0;
	unsigned bad = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (enum mode mode = REAL; mode < MODES; mode++)
			bad += try_row(m[mode == REAL ? 0
					 : mode < L0  ? 1
						      : 2],
				       &rows[i], mode, &count);
	print_message("%s: %llu cases\n", model, (unsigned long long)count);
	assert_int_equal(bad, 0);
	for (unsigned i = 0; i < 3; i++)
		im_free(m[i]);
}

static void test_intel(void **state)
{
	run_matrix("max-intel");
}

static void test_amd(void **state)
{
	run_matrix("max-amd");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_intel),
					   cmocka_unit_test(test_amd)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
