/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life cycle of a VM with real vCPU threads: pause stands still, resume goes on, reset starts
 * again, every ending gives its result, a failed start leaves nothing behind, and two VMs run in
 * one process without seeing each other. The guests are a few bytes of machine code.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/bits.h"
#include "vm/internal.h"

#define COUNTER 0x200000u
#define STARTS  0x200010u

/* A flat Multiboot kernel at 1 MiB whose code starts at 100020h. */
static void write_kernel(char *path, const uint8_t *code, size_t n)
{
	uint8_t p[512] = {0};
	int fd;

	st_le32(p, 0x1badb002);
	st_le32(p + 4, 1 << 16);
	st_le32(p + 8, 0u - 0x1badb002u - (1 << 16));
	st_le32(p + 12, 0x100000);
	st_le32(p + 16, 0x100000);
	st_le32(p + 28, 0x100020);
	assert_in_range(n, 1, sizeof(p) - 32);
	memcpy(p + 32, code, n);
	strcpy(path, "/tmp/bothy-vm-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, sizeof(p)), sizeof(p));
	close(fd);
}

static struct vm_config config(const char *kernel)
{
	return (struct vm_config){.machine = MACHINE_PC,
				  .ram_size = 16 * MIB,
				  .n_cpus = 2,
				  .engine = "interp",
				  .kernel = kernel,
				  .net = "none",
				  .serial = {"null"},
				  .debug_exit = true,
				  .no_reboot = true};
}

static uint32_t peek(struct vm *vm, gpa_t at)
{
	uint32_t v = 0;

	assert_int_equal(mem_read(vm->mem, at, &v, sizeof(v)), 0);
	return v;
}

/* inc dword [STARTS]; again: inc dword [COUNTER]; jmp again */
static const uint8_t count_forever[] = {0xff, 0x05, 0x10, 0,    0x20, 0,    0xff,
					0x05, 0,    0,    0x20, 0,    0xeb, 0xf8};

struct script {
	struct vm *vm;
	struct loop_timer *t;
	unsigned step, waits;
	uint32_t seen;
	ns_t clock;
};

static void next(struct script *s)
{
	s->step++;
	loop_timer_arm(s->t, host_now_ns() + 30 * NS_PER_MS);
}

/* What the guest has done before step @step can be taken: a busy host may not have run it yet. */
static bool ready(struct script *s, uint32_t counter)
{
	switch (s->step) {
	case 0: return counter != 0;
	case 3: return counter != s->seen && peek(s->vm, STARTS) == 2;
	case 4: return peek(s->vm, STARTS) == 3;
	case 5: return false; /* the NMI ends it */
	default: return true;
	}
}

static void on_step(void *ctx)
{
	struct script *s = ctx;
	uint32_t now = peek(s->vm, COUNTER);

	if (!ready(s, now)) {
		assert_true(++s->waits < 6000);
		loop_timer_arm(s->t, host_now_ns() + 10 * NS_PER_MS);
		return;
	}
	switch (s->step) {
	case 0: /* it runs */
		vm_pause(s->vm);
		s->seen = peek(s->vm, COUNTER);
		s->clock = clock_now(s->vm->clock);
		break;
	case 1: /* nothing moved, not even the clock */
		assert_int_equal(now, s->seen);
		assert_int_equal(clock_now(s->vm->clock), s->clock);
		assert_int_equal(vm_get_state(s->vm), VM_PAUSED);
		vm_reset(s->vm); /* a paused VM stays paused */
		assert_int_equal(vm_get_state(s->vm), VM_PAUSED);
		assert_int_equal(s->vm->cpu[0].v.s.rip, 0x100020);
		break;
	case 2:
		assert_int_equal(now, s->seen);
		assert_int_equal(peek(s->vm, STARTS), 1);
		vm_resume(s->vm);
		break;
	case 3:
		assert_true(clock_now(s->vm->clock) > s->clock);
		vm_reset(s->vm);
		break;
	case 4: vm_nmi(s->vm); /* no IDT: triple fault, the end */
	}
	next(s);
}

static void test_life(void **state)
{
	char path[32];
	struct vm_config cfg;
	struct vm_result res = {0};
	struct script s = {0};
	struct error err = {0};

	write_kernel(path, count_forever, sizeof(count_forever));
	cfg = config(path);
	if (vm_new(&cfg, &s.vm, &err) != 0)
		fail_msg("%s", err.text);
	bus_lock(vm_bus(s.vm));
	s.t = loop_timer_new(vm_loop(s.vm), on_step, &s);
	loop_timer_arm(s.t, host_now_ns() + 30 * NS_PER_MS);
	bus_unlock(vm_bus(s.vm));
	assert_int_equal(vm_run(s.vm, false, &res), 0);
	assert_int_equal(res.end, VM_END_CRASH);
	assert_int_equal(s.step, 5);
	bus_lock(vm_bus(s.vm));
	loop_timer_free(s.t);
	bus_unlock(vm_bus(s.vm));
	vm_free(s.vm);
	unlink(path);
}

/* How a guest can end, in machine code. */
static void test_endings(void **state)
{
	static const struct {
		const char *what;
		uint8_t code[16];
		enum vm_end end;
		uint32_t value;
		bool no_reboot;
	} rows[] = {
		{"exit port", {0xb0, 0x15, 0xe6, 0xf4, 0xf4}, VM_END_DEBUG_EXIT, 0x2b, true},
		{"ud2 without IDT", {0x0f, 0x0b}, VM_END_CRASH, 0, true},
		{"reset by CF9",
		 {0x66, 0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, 0xeb, 0xfe},
		 VM_END_REBOOT,
		 0,
		 true},
		{"soft-off: out 604h, 2000h",
		 {0x66, 0xba, 0x04, 0x06, 0x66, 0xb8, 0x00, 0x20, 0x66, 0xef, 0xeb, 0xfe},
		 VM_END_POWER_OFF,
		 0,
		 false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char path[32];
		struct vm_config cfg;
		struct vm_result res = {0};
		struct error err = {0};
		struct vm *vm;

		write_kernel(path, rows[i].code, sizeof(rows[i].code));
		cfg = config(path);
		cfg.no_reboot = rows[i].no_reboot;
		cfg.machine = i & 1 ? MACHINE_MICROVM : MACHINE_PC;
		assert_int_equal(vm_new(&cfg, &vm, &err), 0);
		assert_int_equal(vm_run(vm, false, &res), 0);
		if (res.end != rows[i].end || res.code != rows[i].value)
			fail_msg("%s: end %d code %u", rows[i].what, res.end, res.code);
		vm_free(vm);
		unlink(path);
	}
}

struct twin {
	pthread_t thread;
	char path[32];
	uint32_t code;
	int r;
};

static void *twin_main(void *arg)
{
	struct twin *t = arg;
	struct vm_config cfg = config(t->path);
	struct vm_result res = {0};
	struct error err = {0};
	struct vm *vm;

	t->r = vm_new(&cfg, &vm, &err);
	if (t->r < 0)
		return NULL;
	t->r = vm_run(vm, false, &res);
	t->code = res.end == VM_END_DEBUG_EXIT ? res.code : 0;
	vm_free(vm);
	return NULL;
}

/* Two VMs count to different numbers at the same address of the same guest, at the same time. */
static void test_two(void **state)
{
	static const uint8_t code[] = {
		0xb9, 0,    0,    0,    0,       /* mov ecx, n */
		0xff, 0x05, 0,    0,    0x20, 0, /* inc dword [COUNTER] */
		0xe2, 0xf8,                      /* loop */
		0xa1, 0,    0,    0x20, 0,       /* mov eax, [COUNTER] */
		0xc1, 0xe8, 0x10,                /* shr eax, 16 */
		0xe6, 0xf4, 0xf4,                /* out f4h, al; hlt */
	};
	struct twin t[2];

	for (unsigned i = 0; i < 2; i++) {
		uint8_t copy[sizeof(code)];

		memcpy(copy, code, sizeof(code));
		st_le32(copy + 1, (i + 3) << 16);
		write_kernel(t[i].path, copy, sizeof(copy));
		assert_int_equal(pthread_create(&t[i].thread, NULL, twin_main, &t[i]), 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(t[i].thread, NULL);
		assert_int_equal(t[i].r, 0);
		assert_int_equal(t[i].code, (i + 3) * 2 + 1);
		unlink(t[i].path);
	}
}

static unsigned count_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Whatever a start fails at, nothing stays open, and the message says what to do. */
static void test_refused(void **state)
{
	char path[32];
	unsigned before;

	write_kernel(path, count_forever, sizeof(count_forever));
	before = count_fds();
	for (unsigned i = 0; i < 6; i++) {
		struct vm_config cfg = config(path);
		struct error err = {0};
		struct vm *vm = NULL;

		switch (i) {
		case 0: cfg.kernel = "/nonexistent"; break;
		case 1: cfg.engine = "warp"; break;
		case 2: cfg.cpu = "abacus"; break;
		case 3: cfg.serial[0] = "file:/nonexistent/x"; break;
		case 4:
			cfg.disk[0].path = "/nonexistent";
			cfg.n_disks = 1;
			break;
		default: cfg.initrd = "/dev/null"; break;
		}
		assert_true(vm_new(&cfg, &vm, &err) < 0);
		assert_null(vm);
		assert_true(err.text[0] != 0);
		assert_int_equal(count_fds(), before);
	}
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_endings),
		cmocka_unit_test(test_two),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
