/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local APICs and event polling. Intel SDM vol. 3, chapter 11, 6.8, 9.4.4, table 6-2.
 */
#include "cpu_box.h"

enum {
	ID = 0x20,
	VER = 0x30,
	TPR = 0x80,
	PPR = 0xa0,
	EOI = 0xb0,
	LDR = 0xd0,
	DFR = 0xe0,
	SVR = 0xf0,
	ISR = 0x100,
	TMR = 0x180,
	IRR = 0x200,
	ESR = 0x280,
	ICR = 0x300,
	ICR_HI = 0x310,
	LVT_TIMER = 0x320,
	LINT0 = 0x350,
	LINT1 = 0x360,
	LVT_ERR = 0x370,
	T_ICR = 0x380,
	T_CCR = 0x390,
	T_DCR = 0x3e0,
};

static uint32_t rd(struct vcpu *v, uint32_t off)
{
	return lapic_mmio_read(v, off);
}

static void wr(struct vcpu *v, uint32_t off, uint32_t val)
{
	lapic_mmio_write(v, off, val);
}

static void enable(struct box *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		wr(b->cpu[i], SVR, 0x1ff);
		b->cpu[i]->s.activity = X86_ACT_RUN;
	}
}

static void step(struct box *b, ns_t ns)
{
	bus_lock(&b->bus);
	clock_step(b->clock, ns);
	bus_unlock(&b->bus);
}

static void msi(struct box *b, uint64_t addr, uint32_t data)
{
	bus_lock(&b->bus);
	msi_send(&b->bus.msi, addr, data);
	bus_unlock(&b->bus);
}

static const struct {
	uint32_t reg, write, read;
	const char *cite;
} reg_rows[] = {
	{ID, 0x55000000, 0, "11.4.6: we keep the id read-only"},
	{VER, 0, 0x50014, "11.4.8"},
	{TPR, 0xfff, 0xff, "figure 11-18: bits 7:0"},
	{LDR, 0x12ffffff, 0x12000000, "figure 11-13"},
	{DFR, 0, 0x0fffffff, "figure 11-14: bits 27:0 are ones"},
	{SVR, 0xffffffff, 0x3ff, "figure 11-23"},
	{LVT_TIMER, 0xffffffff, 0x700ff, "figure 11-8"},
	{LINT0, 0xffffffff, 0x1a7ff, "figure 11-8: remote IRR and status are read-only"},
	{LVT_ERR, 0xffffffff, 0x100ff, "figure 11-8"},
	{T_DCR, 0xff, 0x0b, "figure 11-10"},
	{ICR_HI, 0xffffffff, 0xff000000, "figure 11-12"},
	{0x90, 0, 0, "APR"},
};

static void test_registers(void **st)
{
	struct box *b = box_new("max", 1);

	wr(b->v, SVR, 0x1ff);
	for (unsigned i = 0; i < ARRAY_SIZE(reg_rows); i++) {
		wr(b->v, reg_rows[i].reg, reg_rows[i].write);
		assert_row(i, reg_rows[i].cite, rd(b->v, reg_rows[i].reg), reg_rows[i].read);
	}
	/* 11.5.3: an undefined register sets ESR bit 7, visible after a write of ESR */
	wr(b->v, ESR, 0);
	wr(b->v, ESR, 0);
	(void)rd(b->v, 0x3d0);
	assert_int_equal(rd(b->v, ESR), 0);
	wr(b->v, ESR, 0);
	assert_int_equal(rd(b->v, ESR), 0x80);
	/* 11.4.7.2: disabling by software masks all LVTs and keeps them masked */
	wr(b->v, LINT0, 0x700);
	wr(b->v, SVR, 0xff);
	assert_int_equal(rd(b->v, LINT0), 0x10700);
	wr(b->v, LINT0, 0x700);
	assert_int_equal(rd(b->v, LINT0), 0x10700);
	box_free(b);
}

static void test_priorities(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	enable(b);
	msi(b, 0xfee00000, 0x31);
	msi(b, 0xfee00000, 0x55);
	assert_int_equal(rd(v, IRR + 0x10), 1u << 17);
	assert_int_equal(rd(v, IRR + 0x20), 1u << 21);
	assert_int_equal(lapic_pending(v), 0x55);
	assert_int_equal(lapic_ack(v), 0x55);
	assert_int_equal(rd(v, ISR + 0x20), 1u << 21);
	assert_int_equal(rd(v, PPR), 0x50); /* 11.8.3.1 */
	assert_int_equal(lapic_pending(v), -1);
	msi(b, 0xfee00000, 0x5f); /* same class waits */
	assert_int_equal(lapic_pending(v), -1);
	msi(b, 0xfee00000, 0x61);
	assert_int_equal(lapic_ack(v), 0x61);
	wr(v, EOI, 0);
	assert_int_equal(rd(v, PPR), 0x50);
	wr(v, EOI, 0);
	assert_int_equal(lapic_ack(v), 0x5f);
	wr(v, EOI, 0);
	/* TPR: 11.8.3 */
	wr(v, TPR, 0x30);
	assert_int_equal(lapic_pending(v), -1);
	lapic_set_cr8(v, 2);
	assert_int_equal(rd(v, TPR), 0x20);
	assert_int_equal(lapic_get_cr8(v), 2);
	assert_true(v->request & VCPU_REQ_EVENT);
	assert_int_equal(lapic_ack(v), 0x31);
	/* illegal vector: 11.5.3 */
	wr(v, ESR, 0);
	msi(b, 0xfee00000, 0x0f);
	wr(v, ESR, 0);
	assert_int_equal(rd(v, ESR), 0x40);
	box_free(b);
}

static unsigned eois;
static uint8_t eoi_vector;

static void on_eoi(struct msi_eoi_listener *l, uint8_t vector)
{
	eois++;
	eoi_vector = vector;
}

static void test_eoi_broadcast(void **st)
{
	struct box *b = box_new("max", 1);
	struct msi_eoi_listener l = {.eoi = on_eoi};

	enable(b);
	list_append(&b->bus.msi.eoi_listeners, &l.node);
	eois = 0;
	msi(b, 0xfee00000, 0x41); /* edge */
	assert_int_equal(lapic_ack(b->v), 0x41);
	wr(b->v, EOI, 0);
	assert_int_equal(eois, 0);
	msi(b, 0xfee00000, 0xc042); /* level: 11.8.5 */
	assert_int_equal(rd(b->v, TMR + 0x20), 1u << 2);
	assert_int_equal(lapic_ack(b->v), 0x42);
	wr(b->v, EOI, 0);
	assert_int_equal(eois, 1);
	assert_int_equal(eoi_vector, 0x42);
	wr(b->v, EOI, 0); /* nothing in service */
	assert_int_equal(eois, 1);
	list_remove(&l.node);
	box_free(b);
}

static unsigned who(struct box *b)
{
	unsigned mask = 0;

	for (unsigned i = 0; i < b->n; i++) {
		mask |= (lapic_pending(b->cpu[i]) >= 0) << i;
		memset(b->cpu[i]->s.lapic.irr, 0, 32);
	}
	return mask;
}

static const struct {
	uint32_t hi, lo;
	unsigned want; /* CPUs that got it; sent by CPU 1 */
	const char *cite;
} ipi_rows[] = {
	{0x02000000, 0x40, 4, "physical"},
	{0xff000000, 0x40, 0xf, "11.6.2.1: broadcast"},
	{0x07000000, 0x40, 0, "nobody"},
	{0x05000000, 0x840, 5, "logical flat"},
	{0xff000000, 0x840, 0xf, "logical flat, all"},
	{0, 0x40040, 2, "self"},
	{0, 0x80040, 0xf, "all including self"},
	{0, 0xc0040, 0xd, "all excluding self"},
	{0, 0xc0100 | 0x40, 1, "lowest priority of the others: one"},
	{0x0f000000, 0x940, 1, "lowest priority, logical"},
	{0x02000000, 0x0e, 0, "illegal vector"},
};

static void test_ipis(void **st)
{
	struct box *b = box_new("max", 4);

	enable(b);
	for (unsigned i = 0; i < 4; i++)
		wr(b->cpu[i], LDR, 1u << (24 + i));
	for (unsigned i = 0; i < ARRAY_SIZE(ipi_rows); i++) {
		wr(b->cpu[1], ICR_HI, ipi_rows[i].hi);
		wr(b->cpu[1], ICR, ipi_rows[i].lo);
		assert_row(i, ipi_rows[i].cite, who(b), ipi_rows[i].want);
	}
	/* cluster model: 11.6.2.2 */
	for (unsigned i = 0; i < 4; i++) {
		wr(b->cpu[i], DFR, 0x0fffffff);
		wr(b->cpu[i], LDR, (i / 2) << 28 | 1u << (24 + i % 2));
	}
	wr(b->cpu[0], ICR_HI, 0x13000000);
	wr(b->cpu[0], ICR, 0x840);
	assert_int_equal(who(b), 0xc);
	/* lowest priority avoids a CPU with high TPR */
	wr(b->cpu[2], TPR, 0xf0);
	wr(b->cpu[0], ICR, 0x940);
	assert_int_equal(who(b), 8);
	/* MSI: logical, redirection hint: 11.11.1 */
	wr(b->cpu[2], TPR, 0);
	msi(b, 0xfee1300cull, 0x40);
	assert_int_equal(who(b), 4);
	msi(b, 0xfee13004ull, 0x40);
	assert_int_equal(who(b), 0xc);
	msi(b, 0xfeeff000ull, 0x40);
	assert_int_equal(who(b), 0xf);
	/* a CPU disabled by software does not take fixed interrupts but NMI */
	wr(b->cpu[3], SVR, 0xff);
	msi(b, 0xfee03000ull, 0x40);
	assert_int_equal(who(b), 0);
	msi(b, 0xfee03000ull, 0x400);
	assert_int_equal(b->cpu[3]->s.nmi_pending, 1);
	box_free(b);
}

static void test_init_sipi(void **st)
{
	struct box *b = box_new("max", 2);
	struct vcpu *ap = b->cpu[1];

	wr(b->v, SVR, 0x1ff);
	assert_int_equal(x86_poll_events(ap), X86_EXIT);
	assert_int_equal(ap->exit.reason, VCPU_EXIT_HALT);
	ap->s.gpr[X86_RBX] = 5;
	/* 9.4.4.1: INIT (assert, de-assert), SIPI, SIPI */
	wr(b->v, ICR_HI, 1u << 24);
	wr(b->v, ICR, 0xc500);
	wr(b->v, ICR, 0x8500);
	assert_true(ap->request & VCPU_REQ_EVENT);
	assert_int_equal(x86_poll_events(ap), X86_EXIT);
	assert_int_equal(ap->s.activity, X86_ACT_WAIT_SIPI);
	assert_int_equal(ap->s.gpr[X86_RBX], 0);
	wr(b->v, ICR, 0x69a);
	assert_int_equal(x86_poll_events(ap), X86_OK);
	assert_int_equal(ap->s.activity, X86_ACT_RUN);
	assert_int_equal(ap->s.seg[X86_CS].sel, 0x9a00);
	assert_int_equal(ap->s.seg[X86_CS].base, 0x9a000);
	assert_int_equal(ap->s.rip, 0);
	wr(b->v, ICR, 0x655); /* a second SIPI is ignored while it runs */
	assert_int_equal(x86_poll_events(ap), X86_OK);
	assert_int_equal(ap->s.seg[X86_CS].sel, 0x9a00);
	/* INIT to the BSP restarts it at the reset vector */
	wr(ap, SVR, 0x1ff);
	wr(ap, ICR_HI, 0);
	wr(ap, ICR, 0x4500);
	b->v->s.rip = 0x1234;
	assert_int_equal(x86_poll_events(b->v), X86_OK);
	assert_int_equal(b->v->s.rip, 0xfff0);
	assert_int_equal(b->v->s.activity, X86_ACT_RUN);
	box_free(b);
}

static void test_timer(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;
	uint64_t hz = lapic_timer_hz(v);
	uint32_t ms = (uint32_t)(hz / 1000), ccr;

	enable(b);
	wr(v, T_DCR, 0xb); /* divide by 1 */
	wr(v, LVT_TIMER, 0x40);
	wr(v, T_ICR, ms);
	step(b, NS_PER_MS / 2);
	ccr = rd(v, T_CCR);
	assert_in_range(ccr, ms / 2 - ms / 100, ms / 2 + ms / 100);
	assert_int_equal(lapic_pending(v), -1);
	step(b, NS_PER_MS / 2 + 1000);
	assert_int_equal(lapic_ack(v), 0x40);
	wr(v, EOI, 0);
	assert_int_equal(rd(v, T_CCR), 0);
	step(b, 10 * NS_PER_MS);
	assert_int_equal(lapic_pending(v), -1); /* one shot */
	/* divide by 16 */
	wr(v, T_DCR, 3);
	wr(v, T_ICR, ms);
	step(b, 15 * NS_PER_MS);
	assert_int_equal(lapic_pending(v), -1);
	step(b, 2 * NS_PER_MS);
	assert_int_equal(lapic_ack(v), 0x40);
	wr(v, EOI, 0);
	/* periodic */
	wr(v, T_DCR, 0xb);
	wr(v, LVT_TIMER, 0x20041);
	wr(v, T_ICR, ms);
	for (unsigned i = 0; i < 5; i++) {
		step(b, NS_PER_MS + 100);
		assert_int_equal(lapic_ack(v), 0x41);
		wr(v, EOI, 0);
		assert_in_range(rd(v, T_CCR), 1, ms);
	}
	/* masked: counts on without interrupts; 0 stops */
	wr(v, LVT_TIMER, 0x30041);
	step(b, 3 * NS_PER_MS);
	assert_int_equal(lapic_pending(v), -1);
	wr(v, LVT_TIMER, 0x20041);
	wr(v, T_ICR, 0);
	step(b, 3 * NS_PER_MS);
	assert_int_equal(lapic_pending(v), -1);
	assert_int_equal(rd(v, T_CCR), 0);
	/* a period of one tick must not stop the host */
	wr(v, T_ICR, 1);
	step(b, NS_PER_MS);
	assert_int_equal(lapic_pending(v), 0x41);
	box_free(b);
}

static void test_tsc_deadline(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;
	uint64_t val, ms = clock_tsc_hz(b->clock) / 1000;

	enable(b);
	/* not in deadline mode: writes are ignored, 11.5.4.1 */
	assert_int_equal(x86_wrmsr(v, 0x6e0, x86_tsc(v) + ms), X86_OK);
	assert_int_equal(x86_rdmsr(v, 0x6e0, &val), X86_OK);
	assert_int_equal(val, 0);
	wr(v, LVT_TIMER, 0x40050);
	assert_int_equal(x86_wrmsr(v, 0x6e0, x86_tsc(v) + ms), X86_OK);
	wr(v, T_ICR, 100); /* ignored */
	assert_int_equal(rd(v, T_ICR), 0);
	step(b, NS_PER_MS - 1000);
	assert_int_equal(lapic_pending(v), -1);
	step(b, 2000);
	assert_int_equal(lapic_ack(v), 0x50);
	wr(v, EOI, 0);
	assert_int_equal(x86_rdmsr(v, 0x6e0, &val), X86_OK);
	assert_int_equal(val, 0); /* disarmed */
	/* moving the TSC moves the deadline */
	assert_int_equal(x86_wrmsr(v, 0x6e0, x86_tsc(v) + 10 * ms), X86_OK);
	assert_int_equal(x86_wrmsr(v, 0x3b, 9 * ms), X86_OK);
	step(b, NS_PER_MS + 1000);
	assert_int_equal(lapic_ack(v), 0x50);
	wr(v, EOI, 0);
	/* in the past: at once; 0 disarms */
	assert_int_equal(x86_wrmsr(v, 0x6e0, 1), X86_OK);
	step(b, 1);
	assert_int_equal(lapic_ack(v), 0x50);
	wr(v, EOI, 0);
	assert_int_equal(x86_wrmsr(v, 0x6e0, x86_tsc(v) + ms), X86_OK);
	assert_int_equal(x86_wrmsr(v, 0x6e0, 0), X86_OK);
	step(b, 2 * NS_PER_MS);
	assert_int_equal(lapic_pending(v), -1);
	box_free(b);
}

static void test_timer_after_load(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;
	struct x86_state s;

	enable(b);
	wr(v, T_DCR, 0xb);
	wr(v, LVT_TIMER, 0x40);
	wr(v, T_ICR, (uint32_t)(lapic_timer_hz(v) / 1000));
	s = v->s;
	wr(v, T_ICR, 0);
	v->s = s;
	x86_state_changed(v);
	step(b, NS_PER_MS + 1000);
	assert_int_equal(lapic_ack(v), 0x40);
	box_free(b);
}

static void test_x2apic(void **st)
{
	struct box *b = box_new("max", 2);
	struct vcpu *v = b->v;
	uint64_t val;

	/* 11.12.1.2: in xAPIC mode the MSRs do not exist */
	assert_int_equal(box_result(b, x86_rdmsr(v, 0x802, &val)), EXC(X86_GP, 0));
	for (unsigned i = 0; i < 2; i++) {
		uint64_t base;

		assert_int_equal(x86_rdmsr(b->cpu[i], 0x1b, &base), X86_OK);
		assert_int_equal(x86_wrmsr(b->cpu[i], 0x1b, base | 0x400), X86_OK);
		assert_int_equal(x86_wrmsr(b->cpu[i], 0x80f, 0x1ff), X86_OK);
	}
	assert_int_equal(x86_rdmsr(b->cpu[1], 0x802, &val), X86_OK);
	assert_int_equal(val, 1);
	assert_int_equal(x86_rdmsr(b->cpu[1], 0x80d, &val), X86_OK);
	assert_int_equal(val, 2); /* 11.12.10.2: cluster 0, bit 1 */
	/* reserved bits and access directions: 11.12.1.3 */
	assert_int_equal(box_result(b, x86_wrmsr(v, 0x802, 0)), EXC(X86_GP, 0));
	assert_int_equal(box_result(b, x86_wrmsr(v, 0x80b, 1)), EXC(X86_GP, 0));
	assert_int_equal(box_result(b, x86_rdmsr(v, 0x80b, &val)), EXC(X86_GP, 0));
	assert_int_equal(box_result(b, x86_rdmsr(v, 0x80e, &val)), EXC(X86_GP, 0));
	assert_int_equal(box_result(b, x86_rdmsr(v, 0x831, &val)), EXC(X86_GP, 0));
	assert_int_equal(box_result(b, x86_wrmsr(v, 0x808, 0x100)), EXC(X86_GP, 0));
	assert_int_equal(box_result(b, x86_wrmsr(v, 0x83f, 0x100)), EXC(X86_GP, 0));
	assert_int_equal(box_result(b, x86_wrmsr(v, 0x828, 1)), EXC(X86_GP, 0));
	assert_int_equal(x86_wrmsr(v, 0x828, 0), X86_OK);
	/* ICR is one 64-bit register; self IPI */
	assert_int_equal(x86_wrmsr(v, 0x830, 1ull << 32 | 0x40), X86_OK);
	assert_int_equal(lapic_ack(b->cpu[1]), 0x40);
	assert_int_equal(x86_rdmsr(v, 0x830, &val), X86_OK);
	assert_int_equal(val, 1ull << 32 | 0x40);
	assert_int_equal(x86_wrmsr(b->cpu[1], 0x80b, 0), X86_OK);
	assert_int_equal(x86_wrmsr(v, 0x83f, 0x44), X86_OK);
	assert_int_equal(lapic_ack(v), 0x44);
	/* logical: cluster in bits 31:16 */
	assert_int_equal(x86_wrmsr(v, 0x830, 2ull << 32 | 0x841), X86_OK);
	assert_int_equal(lapic_ack(b->cpu[1]), 0x41);
	assert_int_equal(x86_wrmsr(v, 0x830, 0xffffffffull << 32 | 0x51), X86_OK);
	assert_int_equal(lapic_pending(b->cpu[1]), 0x51);
	box_free(b);
}

static uint8_t pic_vector(void *ctx)
{
	struct box *b = ctx;

	lapic_set_intr(&b->set, false);
	return 0x08;
}

static void set_intr(struct box *b, bool level)
{
	bus_lock(&b->bus);
	lapic_set_intr(&b->set, level);
	bus_unlock(&b->bus);
}

static void test_pic(void **st)
{
	struct box *b = box_new("max", 1);
	struct intr_source pic = {.ack = pic_vector, .ctx = b};

	b->v->pic = &pic;
	enable(b);
	/* LINT0 masked after reset */
	set_intr(b, true);
	assert_int_equal(lapic_ack(b->v), -1);
	b->v->request = 0;
	wr(b->v, LINT0, 0x700); /* virtual wire: 11.5.1 */
	assert_true(b->v->request & VCPU_REQ_EVENT);
	assert_int_equal(lapic_ack(b->v), 0x08);
	assert_int_equal(lapic_ack(b->v), -1);
	/* LINT0 as an edge with a vector of its own */
	wr(b->v, LINT0, 0x55);
	set_intr(b, true);
	assert_int_equal(lapic_ack(b->v), 0x55);
	set_intr(b, false);
	/* APIC off: the pin is the CPU's INTR */
	assert_int_equal(x86_wrmsr(b->v, 0x1b, 0xfee00100), X86_OK);
	set_intr(b, true);
	assert_int_equal(lapic_ack(b->v), 0x08);
	/* LINT1 */
	lapic_nmi(b->v);
	assert_int_equal(b->v->s.nmi_pending, 1);
	box_free(b);
}

static void idt_all(struct box *b)
{
	for (unsigned i = 0; i < 256; i++)
		put64(b, BOX_IDT + i * 8, mk_gate(SEL_CODE0, 0x100000 + i, 0x8e, 0));
}

static void test_poll(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	enable(b);
	box_prot(b, 0);
	idt_all(b);
	v->request = 0;
	assert_false(x86_poll_needed(v));
	msi(b, 0xfee00000, 0x40);
	assert_true(x86_poll_needed(v));
	/* IF = 0: held, and no polling until IF is set */
	assert_int_equal(x86_poll_events(v), X86_OK);
	assert_int_equal(v->s.rip, 0x5000);
	assert_false(x86_poll_needed(v));
	x86_set_rflags(v, X86_IF, X86_IF);
	assert_true(x86_poll_needed(v));
	/* 6.8.1: not at the boundary right after STI */
	v->s.shadow = X86_SHADOW_STI;
	assert_int_equal(x86_poll_events(v), X86_OK);
	assert_int_equal(v->s.rip, 0x5000);
	assert_int_equal(x86_poll_events(v), X86_OK);
	assert_int_equal(v->s.rip, 0x100040);
	assert_int_equal(v->s.rflags & X86_IF, 0);
	/* NMI before interrupt, debug trap before NMI: table 6-2 */
	box_prot(b, 0);
	wr(v, EOI, 0);
	x86_set_rflags(v, X86_IF, X86_IF);
	msi(b, 0xfee00000, 0x41);
	msi(b, 0xfee00000, 0x400);
	v->s.pending_dbg = 1 << 14;
	assert_int_equal(x86_poll_events(v), X86_OK);
	assert_int_equal(v->s.rip, 0x100001);
	assert_int_equal(x86_poll_events(v), X86_OK);
	assert_int_equal(v->s.rip, 0x100002);
	assert_int_equal(v->s.shadow, X86_SHADOW_NMI);
	/* a second NMI waits for IRET: 6.7.1 */
	msi(b, 0xfee00000, 0x400);
	assert_int_equal(x86_poll_events(v), X86_OK);
	assert_int_equal(v->s.rip, 0x100002);
	v->next_rip = v->s.rip;
	assert_int_equal(x86_iret(v, 4), X86_OK);
	v->s.rip = v->next_rip;
	assert_int_equal(x86_poll_events(v), X86_OK);
	assert_int_equal(v->s.rip, 0x100002);
	box_free(b);
}

static void test_halt(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	enable(b);
	box_prot(b, 0);
	idt_all(b);
	v->request = 0;
	v->s.rflags |= X86_IF;
	v->s.activity = X86_ACT_HALT;
	assert_int_equal(x86_poll_events(v), X86_EXIT);
	assert_int_equal(v->exit.reason, VCPU_EXIT_HALT);
	msi(b, 0xfee00000, 0x40);
	/* STI; HLT: the shadow must not hold back what wakes it */
	v->s.shadow = X86_SHADOW_STI;
	assert_int_equal(x86_poll_events(v), X86_OK);
	assert_int_equal(v->s.activity, X86_ACT_RUN);
	assert_int_equal(v->s.rip, 0x100040);
	/* a masked interrupt does not wake */
	v->s.activity = X86_ACT_HALT;
	msi(b, 0xfee00000, 0x50);
	assert_int_equal(x86_poll_events(v), X86_EXIT);
	assert_int_equal(x86_poll_events(v), X86_EXIT);
	/* an NMI does */
	msi(b, 0xfee00000, 0x400);
	assert_int_equal(x86_poll_events(v), X86_OK);
	assert_int_equal(v->s.rip, 0x100002);
	/* kick */
	vcpu_request(v, VCPU_REQ_KICK);
	assert_int_equal(x86_poll_events(v), X86_EXIT);
	assert_int_equal(v->exit.reason, VCPU_EXIT_KICK);
	assert_int_equal(v->request & VCPU_REQ_KICK, 0);
	box_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers),     cmocka_unit_test(test_priorities),
		cmocka_unit_test(test_eoi_broadcast), cmocka_unit_test(test_ipis),
		cmocka_unit_test(test_init_sipi),     cmocka_unit_test(test_timer),
		cmocka_unit_test(test_tsc_deadline),  cmocka_unit_test(test_timer_after_load),
		cmocka_unit_test(test_x2apic),        cmocka_unit_test(test_pic),
		cmocka_unit_test(test_poll),          cmocka_unit_test(test_halt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
