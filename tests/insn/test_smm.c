/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System management mode: entry, the state save area, RSM, and what waits meanwhile. "SDM": Intel
 * SDM vol. 3, chapter 32; "APM": AMD64 APM vol. 2, 10.2.3 (the save area).
 */
#include <errno.h>
#include <string.h>

#include "../unit/cm.h"
#include "cpu/x86/mmu.h"
#include "machine.h"

enum { SMBASE = 0x30000, HANDLER = SMBASE + 0x8000, AREA = SMBASE + 0xfe00 };
#define RSM "\x0f\xaa"

static struct im *machine(unsigned bits, const char *handler, unsigned len)
{
	struct im *m = im_new(bits, 0, NULL);

	m->cpus.smm = true;
	memcpy(im_host(m, HANDLER), handler, len);
	return m;
}
#define MACHINE(bits, handler) machine(bits, handler, sizeof(handler) - 1)
#define CODE(m, s)             im_code((m), (s), sizeof(s) - 1)

static void smi(struct im *m)
{
	bus_lock(&m->bus);
	m->bus.msi.deliver(m->bus.msi.ctx, 0xfeeff000, 0x200);
	bus_unlock(&m->bus);
}

static uint8_t *area(struct im *m, unsigned at)
{
	return (uint8_t *)im_host(m, AREA) + at;
}

/* Registers as SDM table 32-4 says, seen by the handler; everything back after RSM. */
static void test_enter_and_leave(void **state)
{
	/* mov [cs:9000h], eax; smsw ax; mov [cs:9004h], ax; mov eax, cs; mov [cs:9008h], eax;
	 * mov eax, 12345678h; rsm */
	static const char handler[] = "\x2e\x66\xa3\x00\x90\x0f\x01\xe0\x2e\xa3\x04\x90"
				      "\x66\x8c\xc8\x2e\x66\xa3\x08\x90"
				      "\x66\xb8\x78\x56\x34\x12" RSM;
	static const unsigned modes[] = {16, 32, 64};

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		struct im *m = MACHINE(modes[i], handler);
		uint64_t cr0 = m->v->s.cr0, cr4 = m->v->s.cr4, efer = m->v->s.efer;
		struct x86_seg ss = m->v->s.seg[X86_SS];
		struct im_end e;

		CODE(m, "\xff\xc3"); /* inc ebx, or bx */
		m->v->s.gpr[X86_RAX] = 0xabcd;
		m->v->s.gpr[X86_R12] = modes[i] == 64 ? 0x123456789abcdef0 : 0;
		smi(m);
		e = im_run(m);
		assert_int_equal(e.vector, -1);
		assert_int_equal(m->v->s.gpr[X86_RAX], 0xabcd);
		assert_int_equal(m->v->s.gpr[X86_RBX], 1);
		assert_int_equal(m->v->s.gpr[X86_R12], modes[i] == 64 ? 0x123456789abcdef0 : 0);
		assert_int_equal(m->v->s.cr0, cr0);
		assert_int_equal(m->v->s.cr4, cr4);
		assert_int_equal(m->v->s.efer, efer);
		assert_memory_equal(&m->v->s.seg[X86_SS], &ss, sizeof(ss));
		assert_int_equal(m->v->s.smm, 0);
		assert_int_equal(ld_le32(im_host(m, SMBASE + 0x9000)), 0xabcd);
		assert_int_equal(ld_le16(im_host(m, SMBASE + 0x9004)) & 0xd, 0); /* PE, EM, TS */
		assert_int_equal(ld_le32(im_host(m, SMBASE + 0x9008)), SMBASE >> 4);
		assert_int_equal(ld_le32(area(m, 0xfc)), 0x30064);          /* APM: revision */
		assert_int_equal(ld_le64(area(m, 0x178)), m->entry);        /* RIP */
		assert_int_equal(ld_le64(area(m, 0x1f8)) & 0xffff, 0xabcd); /* RAX */
		assert_int_equal(ld_le32(area(m, 0x100)), SMBASE);
		im_free(m);
	}
}

/* SDM 32.11: the handler moves SMBASE in the save area; RSM takes it over. */
static void test_relocation(void **state)
{
	/* mov dword [cs:ff00h], 50000h; rsm */
	struct im *m = MACHINE(64, "\x2e\x66\xc7\x06\x00\xff\x00\x00\x05\x00" RSM);

	memcpy(im_host(m, 0x58000), "\x2e\xfe\x06\x00\x90" RSM, 7); /* inc byte [cs:9000h] */
	CODE(m, "\x90");
	smi(m);
	(void)im_run(m);
	assert_int_equal(m->v->s.smbase, 0x50000);
	for (unsigned i = 1; i < 4; i++) {
		im_reset(m);
		m->v->s.smbase = 0x50000;
		CODE(m, "\x90");
		smi(m);
		assert_int_equal(im_run(m).vector, -1);
		assert_int_equal(*(uint8_t *)im_host(m, 0x59000), i);
	}
	im_free(m);
}

/* SDM 32.10: HLT goes on after RSM when the handler leaves the word as it is. */
static void test_halt(void **state)
{
	struct im *m = MACHINE(64, "\x2e\xc6\x06\x00\x90\x5a" RSM); /* mov byte [cs:9000h], 5ah */
	struct im_end e;

	CODE(m, "");
	m->v->s.activity = X86_ACT_HALT; /* as HLT leaves it */
	smi(m);
	e = im_run(m);
	assert_int_equal(e.reason, VCPU_EXIT_HALT);
	assert_int_equal(e.rip, m->entry);
	assert_int_equal(*(uint8_t *)im_host(m, SMBASE + 0x9000), 0x5a);
	assert_int_equal(area(m, 0xc9)[0], 1);
	im_free(m);
}

/* A port whose writes are an SMI, as b2h of a PC. */
struct smi_port {
	struct bus_region r;
	struct im *m;
	unsigned n;
	uint8_t written[8];
};

static void smi_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct smi_port *p = ctx;

	(void)off, (void)size;
	if (p->n < sizeof(p->written))
		p->written[p->n] = (uint8_t)val;
	p->n++;
	p->m->bus.msi.deliver(p->m->bus.msi.ctx, 0xfeeff000, 0x200);
}

static void port_new(struct smi_port *p, struct im *m)
{
	struct error err = {0};

	*p = (struct smi_port){.r = {.name = "smi", .size = 1, .write = smi_write, .ctx = p},
			       .m = m};
	bus_lock(&m->bus);
	assert_int_equal(bus_map_pio(&m->bus, &p->r, 0xb2, &err), 0);
	bus_unlock(&m->bus);
}

/* SDM 32.7, 32.12: the handler is told of the access, and has it done again twice. */
static void test_io_restart(void **state)
{
	/* inc byte [cs:9000h]; cmp byte [cs:9000h], 3; jae over; mov byte [cs:fec8h], ffh;
	 * over: rsm */
	static const char handler[] = "\x2e\xfe\x06\x00\x90\x2e\x80\x3e\x00\x90\x03\x73\x06"
				      "\x2e\xc6\x06\xc8\xfe\xff" RSM;
	struct im *m = MACHINE(64, handler);
	struct smi_port p;

	port_new(&p, m);
	CODE(m, "\xe6\xb2\xff\xc3"); /* out b2h, al; inc ebx */
	m->v->s.gpr[X86_RAX] = 0x5a;
	m->v->s.gpr[X86_RBX] = 0;
	assert_int_equal(im_run(m).vector, -1);
	assert_int_equal(p.n, 3);
	assert_int_equal(m->v->s.gpr[X86_RBX], 1);
	assert_int_equal(ld_le32(area(m, 0xc0)), 0x00b20012); /* APM 10.2.6: port, byte, valid */
	assert_int_equal(area(m, 0xc8)[0], 0);
	assert_int_equal(ld_le64(area(m, 0xa0)), m->entry);
	im_free(m);

	/* the iteration of a string instruction */
	m = MACHINE(64, handler);
	port_new(&p, m);
	memcpy(im_host(m, 0x20000), "ab", 2);
	CODE(m, "\xf3\x6e\xff\xc3"); /* rep outsb; inc ebx */
	m->v->s.gpr[X86_RDX] = 0xb2;
	m->v->s.gpr[X86_RSI] = 0x20000;
	m->v->s.gpr[X86_RCX] = 2;
	m->v->s.gpr[X86_RBX] = 0;
	assert_int_equal(im_run(m).vector, -1);
	assert_int_equal(p.n, 4);
	assert_memory_equal(p.written, "aaab", 4);
	assert_int_equal(m->v->s.gpr[X86_RSI], 0x20002);
	assert_int_equal(m->v->s.gpr[X86_RCX], 0);
	assert_int_equal(m->v->s.gpr[X86_RBX], 1);
	assert_int_equal(ld_le32(area(m, 0xc0)), 0x00b2001e);
	im_free(m);

	/* an SMI from elsewhere: nothing to do again, whatever the handler says */
	m = MACHINE(64, "\x2e\xc6\x06\xc8\xfe\xff" RSM);
	CODE(m, "\xff\xc3");
	m->v->s.gpr[X86_RBX] = 0;
	smi(m);
	assert_int_equal(im_run(m).vector, -1);
	assert_int_equal(m->v->s.gpr[X86_RBX], 1);
	assert_int_equal(ld_le32(area(m, 0xc0)), 0);
	im_free(m);
}

/* A vCPU that was saved and loaded between a port access and its SMI knows of it all the same; one
 * without an SMI under way is rid of what an edited state says. */
static void test_io_saved(void **state)
{
	/* as above */
	static const char handler[] = "\x2e\xfe\x06\x00\x90\x2e\x80\x3e\x00\x90\x03\x73\x06"
				      "\x2e\xc6\x06\xc8\xfe\xff" RSM;
	struct state_writer *w = state_writer_new();
	struct im *m = MACHINE(64, handler);
	struct error err = {0};
	struct state_reader *r;
	const uint8_t *bytes;
	struct smi_port p;
	size_t n;

	port_new(&p, m);
	CODE(m, "\xe6\xb2\xff\xc3"); /* out b2h, al; inc ebx */
	m->v->s.gpr[X86_RBX] = 0;
	smi(m);
	m->v->next_rip = m->entry + 2;
	x86_io_smi(m->v, 0xb2, 1, 0);
	m->v->s.rip = m->entry + 2;
	state_save(w, "cpu0", &x86_state_desc, &m->v->s);
	bytes = state_writer_finish(w, &n);
	m->v->s.io_smi = (struct x86_io_smi){0};
	assert_int_equal(state_reader_new(bytes, n, &r, &err), 0);
	assert_int_equal(state_load(r, "cpu0", &x86_state_desc, &m->v->s, &err), 0);
	assert_int_equal(x86_state_loaded(&m->v->s, &err), 0);
	assert_int_equal(im_run(m).vector, -1);
	assert_int_equal(p.n, 2);
	assert_int_equal(m->v->s.gpr[X86_RBX], 1);
	assert_int_equal(ld_le32(area(m, 0xc0)), 0x00b20012);
	assert_int_equal(m->v->s.io_smi.trap, 0);

	m->v->s.io_smi.trap = 0x00b20012;
	assert_int_equal(x86_state_loaded(&m->v->s, &err), 0);
	assert_int_equal(m->v->s.io_smi.trap, 0);
	m->v->s.io_smi.trap = 0xffffffff;
	assert_int_equal(x86_state_loaded(&m->v->s, &err), -EINVAL);
	state_reader_free(r);
	state_writer_free(w);
	im_free(m);
}

/* SDM 32.3.2: a state that cannot be is shutdown: paging without protection. */
static void test_bad_state(void **state)
{
	/* and byte [cs:ff58h], 0feh; rsm */
	struct im *m = MACHINE(64, "\x2e\x80\x26\x58\xff\xfe" RSM);

	CODE(m, "\x90");
	smi(m);
	assert_int_equal(im_run(m).reason, VCPU_EXIT_SHUTDOWN);
	im_free(m);
}

static void test_rsm_outside(void **state)
{
	struct im *m = MACHINE(64, RSM);

	CODE(m, RSM);
	assert_int_equal(im_run(m).vector, X86_UD);
	im_free(m);
}

/* SDM 32.3.1, 32.8: an SMI inside waits for RSM; a machine without SMRAM drops all. */
static void test_nested(void **state)
{
	struct im *m = MACHINE(64, "\x2e\xfe\x06\x00\x90" RSM);

	CODE(m, "\x90");
	m->v->s.smm = X86_SMM_IN;
	smi(m);
	assert_int_equal(im_run(m).vector, -1);
	assert_int_equal(m->v->s.smi_pending, 1);
	assert_int_equal(*(uint8_t *)im_host(m, SMBASE + 0x9000), 0);
	im_free(m);

	m = MACHINE(64, RSM);
	m->cpus.smm = false;
	CODE(m, "\x90");
	smi(m);
	assert_int_equal(m->v->s.smi_pending, 0);
	im_free(m);
}

/* SDM 32.4: what SMRAM hides from everyone else; the same code page is other code inside. */
static void test_hidden(void **state)
{
	struct im *m = MACHINE(64, "");
	struct ram_block *own;
	struct error err = {0};

	assert_int_equal(mem_ram_new(m->mem, "own", 64 * KIB, &own, &err), 0);
	bus_lock(&m->bus);
	mem_smram_set(m->mem, 0, SMBASE, own, 0, 64 * KIB);
	bus_unlock(&m->bus);
	/* mov byte [cs:9000h], 77h; rsm */
	memcpy(own->host + 0x8000, "\x2e\xc6\x06\x00\x90\x77" RSM, 8);
	memset(im_host(m, HANDLER), 0xf4, 16);   /* outside: HLT */
	CODE(m, "\x8a\x04\x25\x00\x90\x03\x00"); /* mov al, [39000h] */
	smi(m);
	assert_int_equal(im_run(m).vector, -1);
	assert_int_equal(own->host[0x9000], 0x77);
	assert_int_equal(m->v->s.gpr[X86_RAX] & 0xff, 0);
	assert_int_equal(*(uint8_t *)im_host(m, SMBASE + 0x9000), 0);
	im_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_enter_and_leave),
		cmocka_unit_test(test_relocation),
		cmocka_unit_test(test_halt),
		cmocka_unit_test(test_io_restart),
		cmocka_unit_test(test_io_saved),
		cmocka_unit_test(test_bad_state),
		cmocka_unit_test(test_rsm_outside),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_hidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
