/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See native.h. Everything between stub_main() and the end of a batch runs without libc: FS holds
 * the test's base, not ours, so no thread-local storage and no stack protector.
 */
#include "native.h"

#include <asm/ldt.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/base.h"
#include "base/bits.h"
#include "cpu/x86/vcpu.h"
#include "prog.h"

#define XFEATURES 7 /* x87, SSE, AVX */

enum { TURN_PARENT, TURN_CHILD };

struct shared {
	_Atomic uint32_t turn;
	_Atomic uint32_t current; /* case being run */
	uint32_t first, count;    /* cases [first, count) */
	struct native_case c[NATIVE_BATCH];
};

struct native {
	struct shared *shared;
	struct prog *prog; /* a program is run in place of instructions */
	int prog_fd;
	uint8_t *code_alias; /* writable view of the code pages */
	int code_fd;
	pid_t child;
	bool has_16bit;
	enum native_pointers pointers;
};

/* The child's own globals: it runs one thread and the handler has no other way to reach them. */
static struct {
	struct shared *shared;
	struct prog *prog;
	uint8_t *code;
	bool running;
	uint8_t main_gregs[sizeof(gregset_t)];
	uint8_t main_fp[16384];
	uint32_t main_fp_size;
} stub;

static inline void copy(void *to, const void *from, size_t n)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

static inline void fill(void *to, uint8_t byte, size_t n)
{
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(byte) : "memory");
}

/* Noise, and where in it a case's memory starts: copying is much cheaper than generating. */
static uint64_t noise[(NATIVE_MEM_SIZE + 0x2000) / 8];

static void make_noise(void)
{
	uint64_t x = 0x9e3779b97f4a7c15ull;

	for (unsigned i = 0; i < ARRAY_SIZE(noise); i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		noise[i] = x * 0x2545f4914f6cdd1dull;
	}
}

void native_fill(const struct native_case *c, uint8_t mem[NATIVE_MEM_SIZE])
{
	if (!noise[0])
		make_noise();
	copy(mem, &noise[c->mem_seed % 1024], NATIVE_MEM_SIZE);
	fill(mem + (NATIVE_HOLE - NATIVE_DATA), 0, 0x1000);
	copy(mem + (NATIVE_RO - NATIVE_DATA), noise, 0x1000);
	copy(mem + c->patch_off, c->patch, c->patch_len);
}

static void set_bases(uint8_t bits)
{
	uint64_t fs = NATIVE_FS_BASE, gs = NATIVE_GS_BASE;
	uint32_t ds = bits == 16 ? NATIVE_LDT_DS16 : NATIVE_DS32;

	__asm__ volatile("mov %0, %%ds; mov %0, %%es" : : "r"(ds));
	if (bits == 64) {
		__asm__ volatile("mov %k2, %%fs; mov %k2, %%gs; wrfsbase %0; wrgsbase %1"
				 :
				 : "r"(fs), "r"(gs), "r"(0));
		return;
	}
	__asm__ volatile("mov %0, %%fs; mov %1, %%gs" : : "r"(NATIVE_LDT_FS), "r"(NATIVE_LDT_GS));
}

static size_t code_bytes(const struct native_case *c)
{
	size_t room = (size_t)(NATIVE_CODE_SIZE - c->code_off);

	return c->code_len < room ? c->code_len : room;
}

#define LOOK_BYTES 28u /* FNSTENV's image, 32-bit protected mode */

/* @at: what FNSTENV has stored in place of @before. */
static void save_look(struct native_case *c, uint8_t *at, const uint8_t *before)
{
	c->looked = true;
	c->state.rip -= c->look_len;
	c->x87.fip = ld_le32(at + 12);
	c->x87.fcs = ld_le16(at + 16);
	c->x87.fop = ld_le16(at + 18);
	c->x87.fdp = ld_le32(at + 20);
	c->x87.fds = ld_le16(at + 24);
	copy(at, before, LOOK_BYTES);
}

static void load_state(const struct native_state *s, unsigned bits, ucontext_t *uc)
{
	greg_t *g = uc->uc_mcontext.gregs;
	uint8_t *fp = (uint8_t *)uc->uc_mcontext.fpregs;
	const uint64_t *r = s->gpr;
	uint16_t cs = bits == 64 ? NATIVE_CS64 : bits == 32 ? NATIVE_CS32 : NATIVE_LDT_CS16;
	uint16_t ss = bits == 16 ? NATIVE_LDT_DS16 : NATIVE_DS32;
	uint64_t header[8] = {XFEATURES};

	g[REG_RAX] = (greg_t)r[0];
	g[REG_RCX] = (greg_t)r[1];
	g[REG_RDX] = (greg_t)r[2];
	g[REG_RBX] = (greg_t)r[3];
	g[REG_RSP] = (greg_t)r[4];
	g[REG_RBP] = (greg_t)r[5];
	g[REG_RSI] = (greg_t)r[6];
	g[REG_RDI] = (greg_t)r[7];
	for (unsigned i = 8; i < 16; i++)
		g[REG_R8 + (i - 8)] = (greg_t)r[i];
	g[REG_RIP] = (greg_t)s->rip;
	g[REG_EFL] = (greg_t)s->rflags;
	g[REG_CSGSFS] = (greg_t)(cs | (uint64_t)ss << 48);
	uc->uc_flags |= 6;       /* UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS */
	copy(fp, s->xsave, 464); /* up to sw_reserved */
	copy(fp + 512, header, sizeof(header));
	copy(fp + 576, s->xsave + 576, 256);
	set_bases((uint8_t)bits);
}

/* Edit the frame into the start of case @c. */
static void load_case(struct native_case *c, ucontext_t *uc)
{
	greg_t *g = uc->uc_mcontext.gregs;

	native_fill(c, c->mem);
	copy((void *)NATIVE_DATA, c->mem, 0x2000);
	copy((void *)NATIVE_DATA2, c->mem + (NATIVE_DATA2 - NATIVE_DATA), 0x1000);

	copy(stub.code + c->code_off, c->code, code_bytes(c));
	copy(stub.code + c->code_off + c->code_len, c->look, c->look_len);
	load_state(&c->state, c->bits, uc);
	g[REG_RIP] = (greg_t)(NATIVE_CODE + c->code_off - (c->bits == 16 ? NATIVE_BASE : 0));
	g[REG_EFL] |= (greg_t)(c->step ? X86_TF : 0);
}

static void save_gpr(uint64_t *r, const greg_t *g)
{
	r[0] = (uint64_t)g[REG_RAX];
	r[1] = (uint64_t)g[REG_RCX];
	r[2] = (uint64_t)g[REG_RDX];
	r[3] = (uint64_t)g[REG_RBX];
	r[4] = (uint64_t)g[REG_RSP];
	r[5] = (uint64_t)g[REG_RBP];
	r[6] = (uint64_t)g[REG_RSI];
	r[7] = (uint64_t)g[REG_RDI];
	for (unsigned i = 8; i < 16; i++)
		r[i] = (uint64_t)g[REG_R8 + (i - 8)];
}

static void save_case(struct native_case *c, int sig, ucontext_t *uc)
{
	const greg_t *g = uc->uc_mcontext.gregs;
	const uint8_t *fp = (const uint8_t *)uc->uc_mcontext.fpregs;
	uint64_t start = NATIVE_CODE + c->code_off - (c->bits == 16 ? NATIVE_BASE : 0);

	save_gpr(c->state.gpr, g);
	c->state.rip = (uint64_t)g[REG_RIP];
	c->state.rflags = (uint64_t)g[REG_EFL];
	copy(c->state.xsave, fp, NATIVE_XSAVE);
	c->looked = false;
	if (c->look_len && sig == SIGTRAP && g[REG_TRAPNO] == X86_BP &&
	    c->state.rip - 1 == start + c->code_len + c->look_len)
		save_look(c, (uint8_t *)NATIVE_DATA + c->look_off, c->mem + c->look_off);
	copy(c->mem, (void *)NATIVE_DATA, 0x2000);
	copy(c->mem + (NATIVE_DATA2 - NATIVE_DATA), (void *)NATIVE_DATA2, 0x1000);
	__asm__ volatile("rdfsbase %0; rdgsbase %1" : "=r"(c->fs_base), "=r"(c->gs_base));
	__asm__ volatile("mov %%ds, %0" : "=rm"(c->sel[X86_DS]));
	__asm__ volatile("mov %%es, %0" : "=rm"(c->sel[X86_ES]));
	__asm__ volatile("mov %%fs, %0" : "=rm"(c->sel[X86_FS]));
	__asm__ volatile("mov %%gs, %0" : "=rm"(c->sel[X86_GS]));
	c->sel[X86_CS] = (uint16_t)g[REG_CSGSFS];
	c->sel[X86_SS] = (uint16_t)(g[REG_CSGSFS] >> 48);
	c->vector = (uint8_t)g[REG_TRAPNO];
	c->error = (uint16_t)g[REG_ERR];
	c->cr2 = (uint64_t)g[REG_CR2];
	c->stop = NATIVE_FAULT;
	fill(stub.code + c->code_off, 0xcc, code_bytes(c) + c->look_len);
	if (sig == SIGSEGV && c->vector == X86_PFV && c->cr2 == NATIVE_CODE + NATIVE_CODE_SIZE &&
	    c->state.rip == c->cr2 - (c->bits == 16 ? NATIVE_BASE : 0)) {
		/* the breakpoint would be in the hole after the code: as good */
		c->stop = NATIVE_TRAP;
		c->state.rflags &= ~(uint64_t)X86_RF;
	} else if (sig == SIGTRAP && (c->vector == X86_DB || c->vector == X86_BP)) {
		c->stop = NATIVE_TRAP;
		if (c->vector == X86_BP)
			c->state.rip--; /* back onto the breakpoint */
	} else if (sig != SIGSEGV && sig != SIGBUS && sig != SIGILL && sig != SIGFPE &&
		   sig != SIGTRAP) {
		c->stop = NATIVE_KILLED; /* SIGSYS, SIGALRM */
	}
	if (c->step)
		c->state.rflags &= ~(uint64_t)X86_TF;
}

/* Remember where to go back to at the end of a batch. */
static void remember_main(const ucontext_t *uc)
{
	copy(stub.main_gregs, uc->uc_mcontext.gregs, sizeof(gregset_t));
	stub.main_fp_size = 832;
	copy(stub.main_fp, uc->uc_mcontext.fpregs, stub.main_fp_size);
	stub.running = true;
}

static void back_to_main(ucontext_t *uc)
{
	copy(uc->uc_mcontext.gregs, stub.main_gregs, sizeof(gregset_t));
	copy(uc->uc_mcontext.fpregs, stub.main_fp, 464);
	copy((uint8_t *)uc->uc_mcontext.fpregs + 512, stub.main_fp + 512, 832 - 512);
	set_bases(64);
	stub.running = false;
}

/* A program: goes on after its calls and its faults, until its end or what nobody can go on from.
 */
static void on_prog_signal(int sig, ucontext_t *uc)
{
	struct prog *p = stub.prog;
	greg_t *g = uc->uc_mcontext.gregs;
	struct prog_fault f;

	if (!stub.running) {
		remember_main(uc);
		load_state(&p->state, p->bits, uc);
		return;
	}
	f.vector = (uint8_t)g[REG_TRAPNO];
	if (sig == SIGTRAP && f.vector == X86_BP) {
		p->calls++;
		return;
	}
	if ((sig == SIGILL && (uint64_t)g[REG_RIP] == p->end) ||
	    (sig != SIGSEGV && sig != SIGBUS && sig != SIGILL && sig != SIGFPE)) {
		p->stop = sig == SIGILL ? NATIVE_TRAP : NATIVE_KILLED;
		save_gpr(p->out.gpr, g);
		p->out.rip = (uint64_t)g[REG_RIP];
		p->out.rflags = (uint64_t)g[REG_EFL] & ~(uint64_t)X86_RF;
		copy(p->out.xsave, uc->uc_mcontext.fpregs, NATIVE_XSAVE);
		back_to_main(uc);
		return;
	}
	save_gpr(f.gpr, g);
	f.rip = (uint64_t)g[REG_RIP];
	f.rflags = (uint64_t)g[REG_EFL];
	f.cr2 = (uint64_t)g[REG_CR2];
	f.error = (uint16_t)g[REG_ERR];
	prog_note(p, &f);
	g[REG_RIP] = (greg_t)p->recover;
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	struct shared *s = stub.shared;
	uint32_t i;

	(void)info;
	/* AC is still set, and sigreturn keeps ID and NT as they are now: drop what the case left
	 */
	__asm__ volatile("pushq $0x202; popfq" : : : "memory", "cc");
	if (stub.prog) {
		on_prog_signal(sig, uc);
		return;
	}
	if (!stub.running) {
		remember_main(uc);
		atomic_store(&s->current, s->first);
		load_case(&s->c[s->first], uc);
		return;
	}
	i = atomic_load(&s->current);
	save_case(&s->c[i], sig, uc);
	if (++i < s->count) {
		atomic_store(&s->current, i);
		load_case(&s->c[i], uc);
		return;
	}
	back_to_main(uc);
}

static long raw_syscall(long nr, long a, long b, long c, long d)
{
	long r;
	register long r10 __asm__("r10") = d;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return r;
}

static void futex_wait_turn(struct shared *s, uint32_t not_turn)
{
	while (atomic_load(&s->turn) == not_turn)
		raw_syscall(SYS_futex, (long)&s->turn, FUTEX_WAIT, (long)not_turn, 0);
}

static void futex_give_turn(struct shared *s, uint32_t turn)
{
	atomic_store(&s->turn, turn);
	raw_syscall(SYS_futex, (long)&s->turn, FUTEX_WAKE, 1, 0);
}

static int add_ldt(unsigned entry, uint32_t base, uint32_t limit, bool code, bool big)
{
	struct user_desc d = {
		.entry_number = entry,
		.base_addr = base,
		.limit = limit,
		.seg_32bit = big,
		.contents = code ? 2 : 0,
		.limit_in_pages = limit == 0xfffff,
		.useable = 1,
	};

	return syscall(SYS_modify_ldt, 0x11, &d, sizeof(d)) ? -errno : 0;
}

static int install_filter(void)
{
#define ALLOW(nr)                                                                                  \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1),                                           \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_rt_sigreturn),
		ALLOW(SYS_futex),
		ALLOW(SYS_exit_group),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
	};
	struct sock_fprog prog = {.len = ARRAY_SIZE(code), .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		return -errno;
	return 0;
}

static void map_pages(struct native *n)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
	check(mmap((void *)NATIVE_CODE, NATIVE_CODE_SIZE, PROT_READ | PROT_EXEC,
		   MAP_SHARED | MAP_FIXED_NOREPLACE, n->code_fd, 0) == (void *)NATIVE_CODE);
	check(mmap((void *)NATIVE_DATA, 0x2000, PROT_READ | PROT_WRITE, flags, -1, 0) ==
	      (void *)NATIVE_DATA);
	check(mmap((void *)NATIVE_RO, 0x1000, PROT_READ | PROT_WRITE, flags, -1, 0) ==
	      (void *)NATIVE_RO);
	check(mmap((void *)NATIVE_DATA2, 0x1000, PROT_READ | PROT_WRITE, flags, -1, 0) ==
	      (void *)NATIVE_DATA2);
	make_noise();
	memcpy((void *)NATIVE_RO, noise, 0x1000);
	check(mprotect((void *)NATIVE_RO, 0x1000, PROT_READ) == 0);
}

/* The image of a program is where the parent has it, too. */
static void map_prog(struct native *n)
{
	static const int prot[] = {[PROG_NONE] = PROT_NONE,
				   [PROG_RO] = PROT_READ,
				   [PROG_RW] = PROT_READ | PROT_WRITE,
				   [PROG_RWX] = PROT_READ | PROT_WRITE | PROT_EXEC};

	for (unsigned i = 0; i < PROG_PAGES; i++) {
		enum prog_access a;
		uint64_t at = prog_page(i, &a);

		check(mmap((void *)at, 0x1000, prot[a], MAP_SHARED | MAP_FIXED_NOREPLACE,
			   n->prog_fd,
			   (off_t)(offsetof(struct prog, image) + i * 0x1000u)) == (void *)at);
	}
}

_Noreturn static void stub_main(struct native *n)
{
	static const int sigs[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
	struct sigaction sa = {.sa_sigaction = on_signal,
			       .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	size_t stack_size = 256 * 1024;
	stack_t ss = {.ss_sp = mmap(NULL, stack_size, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		      .ss_size = stack_size};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	stub.shared = n->shared;
	stub.code = n->code_alias;
	stub.prog = n->prog;
	if (n->prog)
		map_prog(n);
	else
		map_pages(n);
	check(ss.ss_sp != MAP_FAILED && sigaltstack(&ss, NULL) == 0);
	for (unsigned i = 0; i < ARRAY_SIZE(sigs); i++)
		check(sigaction(sigs[i], &sa, NULL) == 0);
	n->has_16bit = !add_ldt(0, NATIVE_BASE, 0xffff, true, false) &&
		       !add_ldt(1, NATIVE_BASE, 0xffff, false, false);
	add_ldt(2, NATIVE_FS_BASE, 0xfffff, false, true);
	add_ldt(3, NATIVE_GS_BASE, 0xfffff, false, true);
	check(install_filter() == 0);

	for (;;) {
		futex_wait_turn(n->shared, TURN_PARENT);
		if (!n->shared->count)
			raw_syscall(SYS_exit_group, 0, 0, 0, 0);
		__asm__ volatile("int3");
		/* the handler comes back here after the last case */
		futex_give_turn(n->shared, TURN_PARENT);
	}
}

static int start_child(struct native *n)
{
	memset(n->code_alias, 0xcc, NATIVE_CODE_SIZE);
	atomic_store(&n->shared->turn, TURN_PARENT);
	n->child = fork();
	if (n->child < 0)
		return -errno;
	if (!n->child)
		stub_main(n);
	return 0;
}

static struct native *start(bool prog, const char **why)
{
	struct native *n = xnew(struct native);
	int r;

	*why = NULL;
	n->prog_fd = n->code_fd = -1;
	n->child = -1;
	if (prog) {
		n->prog_fd = memfd_create("native-prog", MFD_CLOEXEC);
		if (n->prog_fd < 0 || ftruncate(n->prog_fd, sizeof(struct prog)))
			goto fail;
		n->prog = mmap(NULL, sizeof(struct prog), PROT_READ | PROT_WRITE, MAP_SHARED,
			       n->prog_fd, 0);
		if (n->prog == MAP_FAILED)
			goto fail;
	}
	n->code_fd = memfd_create("native-code", MFD_CLOEXEC);
	n->shared = mmap(NULL, sizeof(*n->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	n->child = -1;
	if (n->code_fd < 0 || n->shared == MAP_FAILED || ftruncate(n->code_fd, NATIVE_CODE_SIZE))
		goto fail;
	n->code_alias =
		mmap(NULL, NATIVE_CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, n->code_fd, 0);
	if (n->code_alias == MAP_FAILED)
		goto fail;
	/* the LDT belongs to the address space and so does what fork() copies of it: try here */
	r = add_ldt(0, NATIVE_BASE, 0xffff, true, false);
	if (r)
		*why = "modify_ldt: no 16-bit code, no FS and GS segments";
	n->has_16bit = !r;
	if (start_child(n))
		goto fail;
	return n;
fail:
	*why = "no memory or no child process";
	native_free(n);
	return NULL;
}

void native_look(struct native_case *c, unsigned off)
{
	uint32_t to = NATIVE_DATA + off - (c->bits == 16 ? NATIVE_BASE : 0);
	unsigned n = 0;

	if (c->step || c->code_off + c->code_len + sizeof(c->look) >= NATIVE_CODE_SIZE)
		return;
	for (unsigned ext = 6; ext >= 4; ext -= 2) { /* FNSTENV and FLDENV of 28 bytes in DS */
		if (c->bits == 16)
			c->look[n++] = 0x66;
		c->look[n++] = 0xd9;
		c->look[n++] = (uint8_t)(ext << 3 | (c->bits == 64 ? 4 : c->bits == 32 ? 5 : 6));
		if (c->bits == 64)
			c->look[n++] = 0x25;
		for (unsigned i = 0; i < (c->bits == 16 ? 2 : 4); i++)
			c->look[n++] = (uint8_t)(to >> i * 8);
	}
	c->look_len = (uint8_t)n;
	c->look_off = (uint16_t)off;
}

/* A NOP with x87 pointers and no exception pending: do they come to it, and back? (FOP is not asked
 * for: some processors do not record it at all.) */
static enum native_pointers try_pointers(struct native *n)
{
	struct native_case *c = &n->shared->c[0];
	uint8_t *x = c->state.xsave;

	memset(c, 0, sizeof(*c));
	c->bits = 64;
	c->code_len = 1;
	c->code[0] = 0x90;
	c->state.rflags = 0x202;
	st_le16(x, 0x37f);
	st_le64(x + 8, NATIVE_CODE);
	st_le64(x + 16, NATIVE_DATA);
	st_le32(x + 24, 0x1f80);
	st_le64(x + 512, XFEATURES);
	native_look(c, 16);
	native_run(n, 1);
	if (ld_le64(x + 8) == NATIVE_CODE && ld_le64(x + 16) == NATIVE_DATA)
		return NATIVE_KEPT;
	if (c->looked && c->x87.fip == NATIVE_CODE && c->x87.fdp == NATIVE_DATA)
		return NATIVE_LOADED;
	return NATIVE_LOST;
}

struct native *native_new(const char **why)
{
	struct native *n = start(false, why);

	/* several times: the host may have been away in between */
	for (unsigned i = 0; n && i < 5; i++) {
		n->pointers = try_pointers(n);
		if (n->pointers != NATIVE_LOST)
			break;
	}
	return n;
}

enum native_pointers native_pointers(const struct native *n)
{
	return n->pointers;
}

struct native *native_new_prog(const char **why)
{
	return start(true, why);
}

struct prog *native_prog(struct native *n)
{
	return n->prog;
}

static void stop_child(struct native *n)
{
	if (n->child > 0) {
		kill(n->child, SIGKILL);
		waitpid(n->child, NULL, 0);
	}
	n->child = -1;
}

void native_free(struct native *n)
{
	if (!n)
		return;
	stop_child(n);
	if (n->code_fd >= 0)
		close(n->code_fd);
	if (n->prog_fd >= 0)
		close(n->prog_fd);
	free(n);
}

bool native_has_16bit(const struct native *n)
{
	return n->has_16bit;
}

struct native_case *native_cases(struct native *n)
{
	return n->shared->c;
}

static double child_seconds(const struct native *n)
{
	struct timespec ts = {0};
	clockid_t id;

	if (clock_getcpuclockid(n->child, &id) || clock_gettime(id, &ts))
		return 0;
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Neither running nor waiting for a processor: Linux makes a process sleep whose IRET it takes for
 * a split lock, again and again. */
static bool child_sleeps(const struct native *n)
{
	char name[32], text[64] = "";
	const char *state;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/stat", (int)n->child);
	f = fopen(name, "re");
	if (!f)
		return true;
	state = fgets(text, sizeof(text), f) ? strrchr(text, ')') : NULL;
	fclose(f);
	return !state || state[2] == 'S';
}

/* Wait for the child to finish; false when it died or hangs: some CPU time on one case, or asleep.
 * A busy host may let it wait for as long as it likes. */
static bool wait_child(struct native *n)
{
	const double most = 0.2;
	struct timespec ts = {.tv_nsec = 50000000};
	uint32_t before = atomic_load(&n->shared->current);
	double used = child_seconds(n);
	unsigned stuck = 0;

	while (atomic_load(&n->shared->turn) == TURN_CHILD) {
		uint32_t now;

		syscall(SYS_futex, &n->shared->turn, FUTEX_WAIT, TURN_CHILD, &ts);
		if (atomic_load(&n->shared->turn) != TURN_CHILD)
			break;
		if (waitpid(n->child, NULL, WNOHANG) == n->child) {
			n->child = -1;
			return false;
		}
		now = atomic_load(&n->shared->current);
		if (now != before) {
			before = now;
			used = child_seconds(n);
			stuck = 0;
			continue;
		}
		stuck += child_sleeps(n);
		if (stuck > 6 || child_seconds(n) - used > most)
			return false;
	}
	return true;
}

void native_run(struct native *n, unsigned count)
{
	struct shared *s = n->shared;

	s->first = 0;
	s->count = count;
	while (s->first < count) {
		atomic_store(&s->current, s->first);
		futex_give_turn(s, TURN_CHILD);
		if (wait_child(n))
			return;
		s->c[atomic_load(&s->current)].stop = NATIVE_KILLED;
		s->first = atomic_load(&s->current) + 1;
		stop_child(n);
		check(start_child(n) == 0);
	}
}

void native_run_prog(struct native *n)
{
	n->prog->stop = NATIVE_KILLED;
	n->prog->faults = n->prog->hash = n->prog->calls = 0;
	native_run(n, 1);
}
