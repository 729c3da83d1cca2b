/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gdb stub over a real unix socket: framing, registers, memory, break points, thread list, stop
 * replies. GDB manual, appendix E. The VM behind it is one vCPU with paging off and 1 MiB of RAM.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bits.h"
#include "control/gdb.h"
#include "control/gdb_packet.h"
#include "control/gdb_regs.h"
#include "cpu/x86/cpuid.h"
#include "cpu/x86/lapic.h"
#include "cpu/x86/mmu.h"
#include "cpu/x86/seg.h"
#include "host/loop.h"

struct fixture {
	struct loop *loop;
	struct mem_space *mem;
	struct bus bus;
	struct clock *clock;
	struct cpu_set set;
	struct cpu_model model;
	struct vcpu *v;
	struct gdb_stub *g;
	char path[64];
	int fd;
	unsigned pauses, resumes, kills;
	int resumed_only;
};

static void host_pause(void *ctx)
{
	((struct fixture *)ctx)->pauses++;
}

static void host_resume(void *ctx, int only)
{
	struct fixture *f = ctx;

	f->resumes++;
	f->resumed_only = only;
}

static void host_kill(void *ctx)
{
	((struct fixture *)ctx)->kills++;
}

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);
	struct error err = {0};
	struct ram_block *ram;
	struct mem_mapping *map;
	struct gdb_host host = {.n_cpus = 1,
				.pause = host_pause,
				.resume = host_resume,
				.kill = host_kill,
				.ctx = f};
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	char spec[80];

	assert_int_equal(loop_new(NULL, &f->loop, &err), 0);
	assert_int_equal(mem_space_new(&f->mem, &err), 0);
	assert_int_equal(mem_ram_new(f->mem, "ram", MIB, &ram, &err), 0);
	assert_int_equal(
		mem_map_ram(f->mem, "ram", 0, ram, 0, MIB, false, MEM_PRIO_RAM, &map, &err), 0);
	assert_int_equal(bus_init(&f->bus, f->mem, &err), 0);
	f->clock = clock_new(NULL);
	assert_int_equal(cpu_set_init(&f->set, &f->bus, &err), 0);
	assert_int_equal(cpu_model_init(&f->model, "max", 1, 1000000000, &err), 0);
	f->v = aligned_alloc(64, align_up(sizeof(*f->v), 64));
	assert_non_null(f->v);
	memset(f->v, 0, sizeof(*f->v));
	f->v->bus = &f->bus;
	f->v->mem = f->mem;
	f->v->clock = f->clock;
	f->v->model = &f->model;
	f->v->cpus = &f->set;
	cpu_set_add(&f->set, f->v);
	assert_int_equal(x86_vcpu_init(f->v, true, 0, &err), 0);
	snprintf(f->path, sizeof(f->path), "/tmp/bothy-test-gdb.%d", (int)getpid());
	snprintf(spec, sizeof(spec), "unix:%s", f->path);
	host.cpus = f->set.cpu; /* borrowed: must outlive the stub */
	assert_int_equal(gdb_open(f->loop, &host, spec, &f->g, &err), 0);
	f->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(sa.sun_path, f->path);
	assert_int_equal(connect(f->fd, (void *)&sa, sizeof(sa)), 0);
	assert_int_equal(loop_run_once(f->loop, 1000), 0);
	assert_true(gdb_attached(f->g));
	assert_int_equal(f->pauses, 1);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close(f->fd);
	gdb_close(f->g);
	assert_int_not_equal(access(f->path, F_OK), 0);
	x86_vcpu_done(f->v);
	free(f->v);
	cpu_set_done(&f->set);
	clock_free(f->clock);
	bus_done(&f->bus);
	mem_space_free(f->mem);
	loop_free(f->loop);
	free(f);
	return 0;
}

/* Send one packet, run the loop, return the reply's data (ack stripped). */
static const char *ask(struct fixture *f, const char *data)
{
	static char buf[40000];
	char pkt[600];
	uint8_t sum = 0;
	ssize_t n;
	char *start, *end;

	for (const char *p = data; *p; p++)
		sum = (uint8_t)(sum + (uint8_t)*p);
	snprintf(pkt, sizeof(pkt), "$%s#%02x", data, sum);
	assert_int_equal(send(f->fd, pkt, strlen(pkt), 0), (ssize_t)strlen(pkt));
	assert_int_equal(loop_run_once(f->loop, 1000), 0);
	n = recv(f->fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
	if (n <= 0)
		return "";
	buf[n] = '\0';
	start = strchr(buf, '$');
	if (!start)
		return "";
	end = strrchr(buf, '#');
	assert_non_null(end);
	*end = '\0';
	return start + 1;
}

/* What the stub sent by itself: a stop reply. */
static const char *unasked(struct fixture *f)
{
	static char buf[256];
	ssize_t n = recv(f->fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);

	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

static void test_registers(void **state)
{
	struct fixture *f = *state;
	uint8_t buf[GDB_REG_MAX];

	/* 32-bit description (real mode at reset): eax ecx edx ebx esp ebp esi edi eip eflags */
	f->v->s.gpr[X86_RAX] = 0x11223344;
	f->v->s.rip = 0x1234;
	assert_memory_equal(ask(f, "g"), "44332211", 8);
	assert_string_equal(ask(f, "p8"), "34120000");
	assert_string_equal(ask(f, "P1=efbeadde"), "OK");
	assert_int_equal(f->v->s.gpr[X86_RCX], 0xdeadbeef);
	assert_string_equal(ask(f, "p3e7"), "E01");
	assert_string_equal(ask(f, "P1"), "E01");
	/* MXCSR's reserved bits never reach the state */
	for (unsigned i = 0; i < gdb_reg_count(true); i++) {
		memset(buf, 0xff, sizeof(buf));
		(void)gdb_reg_set(f->v, true, i, buf, sizeof(buf));
	}
	assert_int_equal(f->v->s.fpu.mxcsr & ~0xffffu, 0);
	assert_int_equal(gdb_reg_get(f->v, true, 1000, buf), 0);
}

static void test_memory(void **state)
{
	struct fixture *f = *state;

	f->v->s.seg[X86_DS].base = 0;
	assert_string_equal(ask(f, "M1000,4:01020304"), "OK");
	assert_string_equal(ask(f, "m1000,4"), "01020304");
	assert_string_equal(ask(f, "m1000,0"), "");
	assert_string_equal(ask(f, "mf0000000,4"), "E14");
	assert_string_equal(ask(f, "M1000,9:01"), "E01");
	/* the readable part in front of a hole */
	assert_int_equal(strlen(ask(f, "mffff0,20")), 32);
	assert_string_equal(ask(f, "m,"), "E01");
}

static void test_points(void **state)
{
	struct fixture *f = *state;
	char cmd[32];

	assert_string_equal(ask(f, "Z0,1000,1"), "OK");
	assert_string_equal(ask(f, "Z0,1000,1"), "OK");
	assert_int_equal(f->v->debug.n_break, 1);
	assert_true(f->v->debug.active);
	assert_string_equal(ask(f, "Z2,2000,4"), "OK");
	assert_int_equal(f->v->debug.watch[0].access, 2);
	assert_string_equal(ask(f, "z0,1000,1"), "OK");
	assert_string_equal(ask(f, "z2,2000,4"), "OK");
	assert_false(f->v->debug.active);
	assert_string_equal(ask(f, "Z5,0,0"), "");
	for (unsigned i = 0; i < 64; i++) {
		snprintf(cmd, sizeof(cmd), "Z1,%x,1", 0x1000 + i);
		assert_string_equal(ask(f, cmd), "OK");
	}
	assert_string_equal(ask(f, "Z1,9999,1"), "E28");
}

static void test_run(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(ask(f, "vCont?"), "vCont;c;C;s;S");
	assert_string_equal(ask(f, "vCont;s:1;c"), "");
	assert_int_equal(f->resumes, 1);
	assert_int_equal(f->resumed_only, 0);
	assert_true(f->v->debug.single_step);
	gdb_stopped(f->g, f->v);
	assert_false(f->v->debug.single_step);
	assert_non_null(strstr(unasked(f), "$T05thread:1;#"));
	assert_string_equal(ask(f, "qfThreadInfo"), "m1");
	/* Ctrl-C while running */
	assert_string_equal(ask(f, "c"), "");
	assert_int_equal(f->resumed_only, -1);
	assert_int_equal(send(f->fd, "\x03", 1, 0), 1);
	assert_int_equal(loop_run_once(f->loop, 1000), 0);
	assert_int_equal(f->pauses, 2);
	assert_non_null(strstr(unasked(f), "$T02thread:1;#"));
	assert_string_equal(ask(f, "qC"), "QC1");
	/* the watch point's address in the stop reply */
	assert_string_equal(ask(f, "vCont;c"), "");
	f->v->debug.hit_access = 2;
	f->v->debug.hit_addr = 0x2000;
	gdb_stopped(f->g, f->v);
	assert_non_null(strstr(unasked(f), "$T05thread:1;watch:2000;#"));
	assert_string_equal(ask(f, "?"), "T05thread:1;watch:2000;");
	assert_string_equal(ask(f, "k"), "");
	assert_int_equal(f->kills, 1);
}

static void test_detach(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(ask(f, "Z0,1000,1"), "OK");
	assert_string_equal(ask(f, "D"), "OK");
	assert_false(gdb_attached(f->g));
	assert_int_equal(f->v->debug.n_break, 0);
	assert_int_equal(f->resumes, 1);
}

static void test_target_xml(void **state)
{
	struct fixture *f = *state;
	char *xml = gdb_target_xml(true), cmd[64];
	size_t off = 0, len = strlen(xml);

	assert_non_null(strstr(xml, "org.gnu.gdb.i386.core"));
	assert_non_null(strstr(xml, "org.gnu.gdb.i386.avx"));
	free(xml);
	xml = gdb_target_xml(false);
	len = strlen(xml);
	while (off < len) {
		const char *part;

		snprintf(cmd, sizeof(cmd), "qXfer:features:read:target.xml:%zx,100", off);
		part = ask(f, cmd);
		assert_true(part[0] == (off + 0x100 < len ? 'm' : 'l'));
		assert_memory_equal(part + 1, xml + off, strlen(part + 1));
		off += strlen(part + 1);
	}
	assert_int_equal(off, len);
	free(xml);
}

static void test_framing(void **state)
{
	struct gdb_in *in = xnew(struct gdb_in);
	const char *good = "$m1}\x03#d0"; /* escaped '#' (0x03 ^ 0x20 = 0x23) */
	enum gdb_event ev = GDB_EV_NONE;

	for (const char *p = good; *p; p++)
		ev = gdb_in_byte(in, (uint8_t)*p);
	/* sum of "m1}\x03" = 0x6d + 0x31 + 0x7d + 0x03 = 0x11e */
	assert_int_equal(ev, GDB_EV_BAD);
	for (const char *p = "$m1}\x03#1e"; *p; p++)
		ev = gdb_in_byte(in, (uint8_t)*p);
	assert_int_equal(ev, GDB_EV_PACKET);
	assert_string_equal(in->data, "m1#");
	/* too long: swallowed whole, refused, and the machine is idle again */
	gdb_in_byte(in, '$');
	for (unsigned i = 0; i < 2 * GDB_PACKET_MAX; i++)
		assert_int_equal(gdb_in_byte(in, 'a'), GDB_EV_NONE);
	gdb_in_byte(in, '#');
	gdb_in_byte(in, '0');
	assert_int_equal(gdb_in_byte(in, '0'), GDB_EV_BAD);
	assert_int_equal(gdb_in_byte(in, 0x03), GDB_EV_INTERRUPT);
	free(in);
}

static void test_bad_spec(void **state)
{
	static const char *const bad[] = {"foo",
					  "tcp:",
					  "tcp:127.0.0.1",
					  "tcp:127.0.0.1:0",
					  "tcp:127.0.0.1:x",
					  "tcp:127.0.0.1:70000",
					  "tcp:0.0.0.0:1234",
					  "tcp:a.b:1"};
	struct gdb_host host = {0};
	struct gdb_stub *g;
	struct loop *loop;

	assert_int_equal(loop_new(NULL, &loop, NULL), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct error err = {0};

		assert_int_equal(gdb_open(loop, &host, bad[i], &g, &err), -EINVAL);
		assert_true(strlen(err.text) > 10);
	}
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_registers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_points, setup, teardown),
		cmocka_unit_test_setup_teardown(test_run, setup, teardown),
		cmocka_unit_test_setup_teardown(test_detach, setup, teardown),
		cmocka_unit_test_setup_teardown(test_target_xml, setup, teardown),
		cmocka_unit_test(test_framing),
		cmocka_unit_test(test_bad_spec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
