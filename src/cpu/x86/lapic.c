/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local APICs (cpu/x86/lapic.h). Intel SDM vol. 3, chapter 11.
 *
 * Locks. IRR, ISR, TMR, LVTs and the posted INIT/SIPI/NMI flags: cpu_set.lock. Timer registers are
 * written with the bus lock and cpu_set.lock held, because the timer's callback runs with the bus
 * lock. Order: bus lock, then cpu_set.lock; vcpu.wake() is called below both and takes neither.
 *
 * The timer counts at half the TSC frequency: CPUID leaf 15h reports that as the crystal clock,
 * with the exact ratio 2 to the TSC, so that guests derive both without measuring.
 *
 * UNMODELLED: arbitration priority (lowest-priority delivery compares PPRs, first CPU wins ties);
 * the CMCI entry (MCG_CAP reports none); EOI-broadcast suppression;
 * the remote IRR and delivery status bits (an interrupt is accepted at once).
 */
#include "cpu/x86/internal.h"

/* clang-format off */
REG(APIC_ID, 0x020)        REG(APIC_VERSION, 0x030)   REG(APIC_TPR, 0x080)       REG(APIC_APR, 0x090)
REG(APIC_PPR, 0x0a0)       REG(APIC_EOI, 0x0b0)       REG(APIC_RRD, 0x0c0)       REG(APIC_LDR, 0x0d0)
REG(APIC_DFR, 0x0e0)       REG(APIC_SVR, 0x0f0)       REG(APIC_ISR, 0x100)       REG(APIC_TMR, 0x180)
REG(APIC_IRR, 0x200)       REG(APIC_ESR, 0x280)       REG(APIC_ICR, 0x300)       REG(APIC_ICR_HI, 0x310)
REG(APIC_LVT_TIMER, 0x320) REG(APIC_LVT_THERMAL, 0x330) REG(APIC_LVT_PERF, 0x340)
REG(APIC_LVT_LINT0, 0x350) REG(APIC_LVT_LINT1, 0x360) REG(APIC_LVT_ERROR, 0x370)
REG(APIC_TIMER_ICR, 0x380) REG(APIC_TIMER_CCR, 0x390) REG(APIC_TIMER_DCR, 0x3e0) REG(APIC_SELF_IPI, 0x3f0)
/* clang-format on */

#define VERSION 0x00050014u /* 6 LVT entries, integrated APIC */

#define BASE_BSP  BIT(8)
#define BASE_EXTD BIT(10)
#define BASE_EN   BIT(11)
#define LVT_MASK  BIT(16)
#define SVR_EN    BIT(8)

									enum { MODE_FIXED,
									       MODE_LOWEST,
									       MODE_SMI,
									       MODE_RSVD,
									       MODE_NMI,
									       MODE_INIT,
									       MODE_SIPI,
									       MODE_EXTINT };
enum { ESR_SEND_VECTOR = 1 << 5, ESR_RECV_VECTOR = 1 << 6, ESR_REG = 1 << 7 };
enum { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_DEADLINE };

/* A shorter period would keep the host busy with the timer alone. */
#define TIMER_MIN_PERIOD (20 * NS_PER_US)

struct msg {
	uint32_t dest; /* physical id or logical address; ~0 = everybody */
	bool logical;
	bool lowest;
	uint8_t mode, vector;
	bool level; /* trigger mode */
};

static void set_lock(const struct vcpu *v)
{
	pthread_mutex_lock(&v->cpus->lock);
}

static void set_unlock(const struct vcpu *v)
{
	pthread_mutex_unlock(&v->cpus->lock);
}

static bool is_x2(const struct x86_lapic *l)
{
	return l->base & BASE_EXTD;
}

uint32_t lapic_id(const struct vcpu *v)
{
	return is_x2(&v->s.lapic) ? v->s.lapic.id : v->s.lapic.id >> 24;
}

/* ---- vectors and priorities ---- */

static int vec_highest(const uint32_t *map)
{
	for (int i = 7; i >= 0; i--)
		if (map[i])
			return i * 32 + 31 - __builtin_clz(map[i]);
	return -1;
}

static void vec_set(uint32_t *map, unsigned vector)
{
	map[vector / 32] |= 1u << (vector % 32);
}

static void vec_clear(uint32_t *map, unsigned vector)
{
	map[vector / 32] &= ~(1u << (vector % 32));
}

static bool vec_test(const uint32_t *map, unsigned vector)
{
	return map[vector / 32] >> (vector % 32) & 1;
}

static uint32_t ppr(const struct x86_lapic *l) /* SDM vol. 3, 11.8.3.1 */
{
	int isr = vec_highest(l->isr);
	uint32_t isr_class = isr < 0 ? 0 : (uint32_t)isr & 0xf0;

	return (l->tpr & 0xf0) >= isr_class ? l->tpr : isr_class;
}

static int deliverable(const struct x86_lapic *l)
{
	int irr = vec_highest(l->irr);

	return irr >= 0 && ((uint32_t)irr & 0xf0) > (ppr(l) & 0xf0) ? irr : -1;
}

static void update_locked(struct vcpu *v)
{
	if (deliverable(&v->s.lapic) >= 0)
		vcpu_request(v, VCPU_REQ_EVENT);
}

/* ---- accepting messages ---- */

static void accept_fixed_locked(struct vcpu *v, uint8_t vector, bool level);

static void error_locked(struct vcpu *v, uint32_t bit)
{
	struct x86_lapic *l = &v->s.lapic;

	l->esr_pending |= bit;
	/* A bad vector in the error entry itself must not recurse. */
	if (!(l->lvt_error & LVT_MASK) && (l->lvt_error & 0xff) >= 16)
		accept_fixed_locked(v, (uint8_t)l->lvt_error, false);
}

static void accept_fixed_locked(struct vcpu *v, uint8_t vector, bool level)
{
	struct x86_lapic *l = &v->s.lapic;

	if (!(l->svr & SVR_EN))
		return;
	if (vector < 16) {
		error_locked(v, ESR_RECV_VECTOR);
		return;
	}
	vec_set(l->irr, vector);
	if (level)
		vec_set(l->tmr, vector);
	else
		vec_clear(l->tmr, vector);
	update_locked(v);
}

static void accept_locked(struct vcpu *v, const struct msg *m)
{
	switch (m->mode) {
	case MODE_FIXED:
	case MODE_LOWEST: accept_fixed_locked(v, m->vector, m->level); return;
	case MODE_NMI: v->s.nmi_pending = 1; break;
	case MODE_INIT:
		v->s.init_pending = 1;
		v->s.sipi_pending = 0; /* an earlier one was for a processor that didn't wait */
		break;
	case MODE_SIPI:
		/* Whether it waits for one (SDM vol. 3, 9.4.4.1) only its own thread knows: it
		 * drops the message in x86_poll_events() if not. */
		v->s.sipi_pending = 1;
		v->s.sipi_vector = m->vector;
		break;
	case MODE_EXTINT: v->s.extint_pending = 1; break;
	case MODE_SMI:
		if (!v->cpus->smm)
			return;
		v->s.smi_pending = 1;
		break;
	default: return; /* reserved */
	}
	vcpu_request(v, VCPU_REQ_EVENT);
}

static bool matches(const struct x86_lapic *l, const struct msg *m)
{
	uint32_t ldr;

	if (!(l->base & BASE_EN))
		return false;
	if (m->dest == ~0u)
		return true;
	if (!m->logical)
		return m->dest == (is_x2(l) ? l->id : l->id >> 24);
	if (is_x2(l)) /* SDM vol. 3, 11.12.10.1 */
		return m->dest >> 16 == l->ldr >> 16 && (m->dest & l->ldr & 0xffff);
	ldr = l->ldr >> 24;
	if (l->dfr >> 28 == 0xf) /* flat */
		return m->dest & ldr & 0xff;
	/* cluster: SDM vol. 3, 11.6.2.2 */
	return ((m->dest & 0xf0) == 0xf0 || (m->dest & 0xf0) == (ldr & 0xf0)) &&
	       (m->dest & ldr & 0x0f);
}

static void send_locked(struct cpu_set *set, const struct msg *m, const struct vcpu *except)
{
	struct vcpu *best = NULL;

	for (unsigned i = 0; i < set->n; i++) {
		struct vcpu *v = set->cpu[i];

		if (v == except || !matches(&v->s.lapic, m))
			continue;
		if (!m->lowest) {
			accept_locked(v, m);
			continue;
		}
		if (!(v->s.lapic.svr & SVR_EN))
			continue;
		if (!best || ppr(&v->s.lapic) < ppr(&best->s.lapic))
			best = v;
	}
	if (best)
		accept_locked(best, m);
}

/* MSI and IOAPIC messages: SDM vol. 3, 11.11. Bus lock held. */
static void msi_deliver(void *ctx, uint64_t addr, uint32_t data)
{
	struct cpu_set *set = ctx;
	struct msg m = {
		.dest = (addr >> 12) & 0xff,
		.logical = addr & 4,
		.mode = (data >> 8) & 7,
		.vector = (uint8_t)data,
		.level = data >> 15 & 1,
	};

	m.lowest = m.mode == MODE_LOWEST || (m.mode == MODE_FIXED && (addr & 8) && m.logical);
	if (m.dest == 0xff && !m.logical)
		m.dest = ~0u;
	pthread_mutex_lock(&set->lock);
	send_locked(set, &m, NULL);
	pthread_mutex_unlock(&set->lock);
}

static void icr_send_locked(struct vcpu *v, uint32_t lo, uint32_t dest)
{
	struct msg m = {
		.dest = dest,
		.logical = lo >> 11 & 1,
		.mode = (lo >> 8) & 7,
		.vector = (uint8_t)lo,
		.level = lo >> 15 & 1,
	};

	m.lowest = m.mode == MODE_LOWEST;
	if ((m.mode == MODE_FIXED || m.mode == MODE_LOWEST) && m.vector < 16) {
		error_locked(v, ESR_SEND_VECTOR);
		return;
	}
	/* INIT level de-assert only synchronised arbitration ids: nothing to do. */
	if (m.mode == MODE_INIT && m.level && !(lo >> 14 & 1))
		return;
	/* IPIs are edge-triggered whatever bit 15 says: SDM vol. 3, 11.6.1. */
	m.level = false;
	switch (lo >> 18 & 3) {
	case 0: send_locked(v->cpus, &m, NULL); break;
	case 1:
		if (m.mode == MODE_FIXED)
			accept_fixed_locked(v, m.vector, false);
		break;
	case 2:
		m.dest = ~0u;
		send_locked(v->cpus, &m, NULL);
		break;
	case 3:
		m.dest = ~0u;
		send_locked(v->cpus, &m, v);
		break;
	}
}

/* ---- the timer; bus lock held in all of it ---- */

uint64_t lapic_timer_hz(const struct vcpu *v)
{
	uint64_t hz = v->clock ? clock_tsc_hz(v->clock) / 2 : 0;

	return hz ? hz : NS_PER_SEC;
}

uint64_t x86_tsc(const struct vcpu *v)
{
	return (v->clock ? clock_tsc(v->clock) : 0) + v->s.tsc_adjust;
}

static unsigned timer_mode(const struct x86_lapic *l)
{
	return l->lvt_timer >> 17 & 3;
}

static unsigned timer_shift(const struct x86_lapic *l) /* SDM vol. 3, figure 11-10 */
{
	unsigned d = (l->timer_dcr & 3) | (l->timer_dcr & 8) >> 1;

	return (d + 1) & 7;
}

static uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c)
{
	return (uint64_t)((unsigned __int128)a * b / c);
}

/* ns of @count ticks after the divider, rounded up. */
static ns_t timer_ns(const struct vcpu *v, uint32_t count)
{
	uint64_t ticks = (uint64_t)count << timer_shift(&v->s.lapic);

	return mul_div(ticks, NS_PER_SEC, lapic_timer_hz(v)) + 1;
}

static uint32_t timer_current(struct vcpu *v)
{
	const struct x86_lapic *l = &v->s.lapic;
	uint64_t ticks, now = clock_now(v->clock);

	if (!l->timer_icr || timer_mode(l) == TIMER_DEADLINE || now < l->timer_start)
		return 0;
	ticks = mul_div(now - l->timer_start, lapic_timer_hz(v), NS_PER_SEC) >> timer_shift(l);
	if (timer_mode(l) == TIMER_PERIODIC)
		return l->timer_icr - (uint32_t)(ticks % l->timer_icr);
	return ticks >= l->timer_icr ? 0 : l->timer_icr - (uint32_t)ticks;
}

static void timer_arm(struct vcpu *v)
{
	struct x86_lapic *l = &v->s.lapic;
	uint64_t tsc;

	if (!v->clock)
		return;
	vtimer_cancel(&v->lapic_timer);
	if (timer_mode(l) == TIMER_DEADLINE) {
		if (!l->tsc_deadline)
			return;
		tsc = l->tsc_deadline - v->s.tsc_adjust;
		/* A deadline before the clock's own zero has passed. */
		if (l->tsc_deadline <= x86_tsc(v)) {
			vtimer_arm(&v->lapic_timer, clock_now(v->clock));
			return;
		}
		tsc = clock_tsc_to_ns(v->clock, tsc);
		if (tsc)
			vtimer_arm(&v->lapic_timer, tsc);
		return;
	}
	if (!l->timer_icr)
		return;
	if (timer_mode(l) == TIMER_ONE_SHOT && !timer_current(v))
		return;
	vtimer_arm(&v->lapic_timer, l->timer_start + timer_ns(v, l->timer_icr));
}

/* vtimer callback: main thread, bus lock held. */
static void timer_fire(void *ctx)
{
	struct vcpu *v = ctx;
	struct x86_lapic *l = &v->s.lapic;

	set_lock(v);
	if (timer_mode(l) == TIMER_DEADLINE) {
		l->tsc_deadline = 0;
	} else if (timer_mode(l) == TIMER_PERIODIC && l->timer_icr) {
		ns_t period = timer_ns(v, l->timer_icr), now = clock_now(v->clock);

		/* Ticks that were missed are lost, as when the vector was still in IRR. */
		if (now > l->timer_start)
			l->timer_start += (now - l->timer_start) / period * period;
		vtimer_arm(&v->lapic_timer, MAX(l->timer_start + period, now + TIMER_MIN_PERIOD));
	}
	if (!(l->lvt_timer & LVT_MASK))
		accept_fixed_locked(v, (uint8_t)l->lvt_timer, false);
	set_unlock(v);
}

static void timer_start(struct vcpu *v)
{
	v->s.lapic.timer_start = v->clock ? clock_now(v->clock) : 0;
	timer_arm(v);
}

static void write_lvt_timer(struct vcpu *v, uint32_t val)
{
	struct x86_lapic *l = &v->s.lapic;
	bool was = timer_mode(l) == TIMER_DEADLINE, is;

	val &= 0x700ff;
	if (v->model && !cpu_model_has(v->model, X86_FEAT_TSC_DEADLINE))
		val &= ~BIT(18);
	if (!(l->svr & SVR_EN))
		val |= LVT_MASK;
	l->lvt_timer = val;
	is = timer_mode(l) == TIMER_DEADLINE;
	if (was != is) { /* SDM vol. 3, 11.5.4.1: changing to or from deadline mode disarms */
		l->timer_icr = 0;
		l->tsc_deadline = 0;
	}
	timer_arm(v);
}

int lapic_set_deadline(struct vcpu *v, uint64_t tsc)
{
	bus_lock(v->bus);
	set_lock(v);
	if (timer_mode(&v->s.lapic) == TIMER_DEADLINE) {
		v->s.lapic.tsc_deadline = tsc;
		timer_arm(v);
	}
	set_unlock(v);
	bus_unlock(v->bus);
	return X86_OK;
}

void lapic_tsc_changed(struct vcpu *v)
{
	if (!v->clock || !v->bus)
		return;
	bus_lock(v->bus);
	if (timer_mode(&v->s.lapic) == TIMER_DEADLINE)
		timer_arm(v);
	bus_unlock(v->bus);
}

/* ---- registers ---- */

/* cpu_set.lock held; bus lock too for the timer's count. False: no such register. */
static bool reg_read_locked(struct vcpu *v, unsigned reg, uint32_t *ret)
{
	const struct x86_lapic *l = &v->s.lapic;

	if (reg >= APIC_ISR && reg < APIC_ESR) {
		const uint32_t *map = reg < APIC_TMR ? l->isr : reg < APIC_IRR ? l->tmr : l->irr;

		*ret = map[reg >> 4 & 7];
		return true;
	}
	switch (reg) {
	case APIC_ID: *ret = l->id; break;
	case APIC_VERSION: *ret = VERSION; break;
	case APIC_TPR: *ret = l->tpr; break;
	case APIC_APR:
	case APIC_RRD: *ret = 0; return !is_x2(l);
	case APIC_PPR: *ret = ppr(l); break;
	case APIC_EOI: *ret = 0; return !is_x2(l);
	case APIC_LDR: *ret = l->ldr; break;
	case APIC_DFR: *ret = l->dfr; return !is_x2(l);
	case APIC_SVR: *ret = l->svr; break;
	case APIC_ESR: *ret = l->esr; break;
	case APIC_ICR: *ret = l->icr_lo; break;
	case APIC_ICR_HI: *ret = l->icr_hi; return !is_x2(l);
	case APIC_LVT_TIMER: *ret = l->lvt_timer; break;
	case APIC_LVT_THERMAL: *ret = l->lvt_thermal; break;
	case APIC_LVT_PERF: *ret = l->lvt_perf; break;
	case APIC_LVT_LINT0: *ret = l->lvt_lint0; break;
	case APIC_LVT_LINT1: *ret = l->lvt_lint1; break;
	case APIC_LVT_ERROR: *ret = l->lvt_error; break;
	case APIC_TIMER_ICR: *ret = l->timer_icr; break;
	case APIC_TIMER_CCR: *ret = v->clock ? timer_current(v) : 0; break;
	case APIC_TIMER_DCR: *ret = l->timer_dcr; break;
	default: return false;
	}
	return true;
}

static bool pic_drives(const struct vcpu *v);

static void write_svr(struct vcpu *v, uint32_t val)
{
	struct x86_lapic *l = &v->s.lapic;

	l->svr = val & 0x3ff;
	if (!(l->svr & SVR_EN)) { /* SDM vol. 3, 11.4.7.2 */
		l->lvt_timer |= LVT_MASK;
		l->lvt_thermal |= LVT_MASK;
		l->lvt_perf |= LVT_MASK;
		l->lvt_lint0 |= LVT_MASK;
		l->lvt_lint1 |= LVT_MASK;
		l->lvt_error |= LVT_MASK;
	}
}

static uint32_t lvt_value(const struct x86_lapic *l, uint32_t val, uint32_t writable)
{
	return (val & writable) | ((l->svr & SVR_EN) ? 0 : LVT_MASK);
}

/* Both locks held when reg is a timer register, else cpu_set.lock. False: read-only or absent. */
static bool reg_write_locked(struct vcpu *v, unsigned reg, uint32_t val)
{
	struct x86_lapic *l = &v->s.lapic;

	switch (reg) {
	case APIC_TPR:
		l->tpr = val & 0xff;
		update_locked(v);
		break;
	case APIC_LDR:
		if (is_x2(l))
			return false;
		l->ldr = val & 0xff000000;
		break;
	case APIC_DFR:
		if (is_x2(l))
			return false;
		l->dfr = val | 0x0fffffff;
		break;
	case APIC_SVR: write_svr(v, val); break;
	case APIC_ESR:
		l->esr = l->esr_pending;
		l->esr_pending = 0;
		break;
	case APIC_ICR:
		l->icr_lo = val & 0xccfff;
		icr_send_locked(v, val,
				(val >> 11 & 1) || l->icr_hi >> 24 != 0xff ? l->icr_hi >> 24 : ~0u);
		break;
	case APIC_ICR_HI: l->icr_hi = val & 0xff000000; break;
	case APIC_LVT_TIMER: write_lvt_timer(v, val); break;
	case APIC_LVT_THERMAL: l->lvt_thermal = lvt_value(l, val, 0x107ff); break;
	case APIC_LVT_PERF: l->lvt_perf = lvt_value(l, val, 0x107ff); break;
	case APIC_LVT_LINT0:
		l->lvt_lint0 = lvt_value(l, val, 0x1a7ff);
		if (pic_drives(v))
			vcpu_request(v, VCPU_REQ_EVENT);
		break;
	case APIC_LVT_LINT1: l->lvt_lint1 = lvt_value(l, val, 0x1a7ff); break;
	case APIC_LVT_ERROR: l->lvt_error = lvt_value(l, val, 0x100ff); break;
	case APIC_TIMER_ICR:
		if (timer_mode(l) == TIMER_DEADLINE)
			break;
		l->timer_icr = val;
		timer_start(v);
		break;
	case APIC_TIMER_DCR:
		l->timer_dcr = val & 0xb;
		timer_start(v);
		break;
	default: return false;
	}
	return true;
}

static bool is_timer_reg(unsigned reg)
{
	return reg == APIC_LVT_TIMER || (reg >= APIC_TIMER_ICR && reg <= APIC_TIMER_DCR);
}

static void eoi(struct vcpu *v)
{
	struct x86_lapic *l = &v->s.lapic;
	int vector;
	bool level = false;

	set_lock(v);
	vector = vec_highest(l->isr);
	if (vector >= 0) {
		vec_clear(l->isr, (unsigned)vector);
		level = vec_test(l->tmr, (unsigned)vector);
		update_locked(v);
	}
	set_unlock(v);
	if (!level)
		return;
	bus_lock(v->bus);
	msi_eoi(&v->bus->msi, (uint8_t)vector);
	bus_unlock(v->bus);
}

static bool reg_write(struct vcpu *v, unsigned reg, uint32_t val)
{
	bool timer = is_timer_reg(reg), ok;

	if (reg == APIC_EOI) {
		eoi(v);
		return true;
	}
	if (timer)
		bus_lock(v->bus);
	set_lock(v);
	ok = reg_write_locked(v, reg, val);
	set_unlock(v);
	if (timer)
		bus_unlock(v->bus);
	return ok;
}

static bool reg_read(struct vcpu *v, unsigned reg, uint32_t *ret)
{
	bool timer = reg == APIC_TIMER_CCR, ok;

	if (timer)
		bus_lock(v->bus);
	set_lock(v);
	ok = reg_read_locked(v, reg, ret);
	set_unlock(v);
	if (timer)
		bus_unlock(v->bus);
	return ok;
}

uint32_t lapic_mmio_read(struct vcpu *v, uint32_t off)
{
	uint32_t val = 0;

	if (off & 0xf)
		return 0;
	if (!reg_read(v, off, &val)) {
		set_lock(v);
		error_locked(v, ESR_REG);
		set_unlock(v);
		return 0;
	}
	return val;
}

static bool is_readable(unsigned reg)
{
	return reg == APIC_ID || reg == APIC_VERSION || reg == APIC_APR || reg == APIC_PPR ||
	       reg == APIC_RRD || (reg >= APIC_ISR && reg < APIC_ESR) || reg == APIC_TIMER_CCR;
}

void lapic_mmio_write(struct vcpu *v, uint32_t off, uint32_t val)
{
	if ((off & 0xf) || reg_write(v, off, val) || is_readable(off))
		return;
	set_lock(v);
	error_locked(v, ESR_REG);
	set_unlock(v);
}

/* Bits that may be written in x2APIC mode: SDM vol. 3, table 11-6; others raise #GP. */
static uint64_t x2_writable(unsigned reg)
{
	switch (reg) {
	case APIC_TPR: return 0xff;
	case APIC_EOI:
	case APIC_ESR: return 0;
	case APIC_SVR: return 0x3ff;
	case APIC_ICR: return 0xffffffff000ccfffull;
	case APIC_LVT_TIMER: return 0x700ff;
	case APIC_LVT_THERMAL:
	case APIC_LVT_PERF: return 0x107ff;
	case APIC_LVT_LINT0:
	case APIC_LVT_LINT1: return 0x1a7ff;
	case APIC_LVT_ERROR: return 0x100ff;
	case APIC_TIMER_ICR: return 0xffffffff;
	case APIC_TIMER_DCR: return 0xb;
	case APIC_SELF_IPI: return 0xff;
	default: return 0;
	}
}

int lapic_msr_read(struct vcpu *v, uint32_t msr, uint64_t *ret_val)
{
	unsigned reg = (msr - 0x800) << 4;
	uint32_t val = 0;

	if (!is_x2(&v->s.lapic) || !v->cpus || !reg_read(v, reg, &val))
		return x86_gp0(v);
	*ret_val = val;
	if (reg == APIC_ICR)
		*ret_val |= (uint64_t)v->s.lapic.icr_hi << 32;
	return X86_OK;
}

int lapic_msr_write(struct vcpu *v, uint32_t msr, uint64_t val)
{
	unsigned reg = (msr - 0x800) << 4;

	/* Bit 12 of the ICR and of the LVTs is read-only, not reserved. */
	if (!is_x2(&v->s.lapic) || !v->cpus || (val & ~(x2_writable(reg) | BIT(12))) ||
	    ((val & BIT(12)) && !(x2_writable(reg) >> 16)))
		return x86_gp0(v);
	switch (reg) {
	case APIC_ICR:
		set_lock(v);
		v->s.lapic.icr_lo = (uint32_t)val & 0xccfff;
		v->s.lapic.icr_hi = (uint32_t)(val >> 32);
		icr_send_locked(v, (uint32_t)val, (uint32_t)(val >> 32));
		set_unlock(v);
		return X86_OK;
	case APIC_SELF_IPI:
		set_lock(v);
		if (val < 16)
			error_locked(v, ESR_SEND_VECTOR);
		else
			accept_fixed_locked(v, (uint8_t)val, false);
		set_unlock(v);
		return X86_OK;
	case APIC_ICR_HI: return x86_gp0(v);
	default: return reg_write(v, reg, (uint32_t)val) ? X86_OK : x86_gp0(v);
	}
}

int lapic_set_base(struct vcpu *v, uint64_t val)
{
	struct x86_lapic *l = &v->s.lapic;
	uint64_t old = l->base;
	unsigned bits = v->model ? v->model->phys_bits : 46;
	uint32_t id = lapic_id(v);

	if ((val & ~(BASE_BSP | BASE_EXTD | BASE_EN | 0xffffff000ull)) || val >> bits)
		return x86_gp0(v);
	/* SDM vol. 3, 11.12.5: the legal transitions. */
	if ((val & BASE_EXTD) && (!(val & BASE_EN) || !(old & BASE_EN) ||
				  (v->model && !cpu_model_has(v->model, X86_FEAT_X2APIC))))
		return x86_gp0(v);
	if ((old & BASE_EXTD) && (val & BASE_EN) && !(val & BASE_EXTD))
		return x86_gp0(v);
	if (v->cpus)
		set_lock(v);
	l->base = val;
	if ((val ^ old) & (BASE_EN | BASE_EXTD)) {
		l->id = (val & BASE_EXTD) ? id : id << 24;
		if (val & BASE_EXTD)
			l->ldr = (id >> 4) << 16 | 1u << (id & 15);
		if (!(val & BASE_EN)) { /* comes back in the state after reset */
			memset(l->irr, 0, sizeof(l->irr));
			memset(l->isr, 0, sizeof(l->isr));
			memset(l->tmr, 0, sizeof(l->tmr));
			l->tpr = l->ldr = 0;
			l->dfr = ~0u;
			write_svr(v, 0xff);
		}
	}
	if (v->cpus)
		set_unlock(v);
	x86_tlb_flush(v);
	atomic_fetch_or(&v->request, (uint32_t)VCPU_REQ_EVENT);
	return X86_OK;
}

uint8_t lapic_get_cr8(struct vcpu *v)
{
	return (uint8_t)(v->s.lapic.tpr >> 4);
}

void lapic_set_cr8(struct vcpu *v, uint8_t tpr)
{
	if (v->cpus)
		set_lock(v);
	v->s.lapic.tpr = (uint32_t)(tpr & 15) << 4;
	update_locked(v);
	if (v->cpus)
		set_unlock(v);
}

/* ---- towards the CPU ---- */

/* Does the PIC's INTR reach this CPU now? With the APIC off it is the CPU's own pin. */
static bool pic_drives(const struct vcpu *v)
{
	const struct x86_lapic *l = &v->s.lapic;

	if (v->s.extint_pending)
		return true;
	if (!v->s.intr_line)
		return false;
	if (!(l->base & BASE_EN))
		return true;
	return !(l->lvt_lint0 & LVT_MASK) && (l->lvt_lint0 >> 8 & 7) == MODE_EXTINT;
}

int lapic_pending(struct vcpu *v)
{
	int vector = -1;

	if (!v->cpus)
		return -1;
	set_lock(v);
	if (v->s.lapic.base & BASE_EN)
		vector = deliverable(&v->s.lapic);
	set_unlock(v);
	return vector;
}

static int pic_ack(struct vcpu *v)
{
	int vector = -1;

	bus_lock(v->bus);
	set_lock(v);
	if (pic_drives(v) && v->pic)
		vector = 0;
	v->s.extint_pending = 0;
	set_unlock(v);
	/* The PIC may change INTR from inside the cycle, which takes the set's lock. */
	if (vector >= 0)
		vector = v->pic->ack(v->pic->ctx);
	bus_unlock(v->bus);
	return vector;
}

int lapic_ack(struct vcpu *v)
{
	struct x86_lapic *l = &v->s.lapic;
	bool pic;
	int vector = -1;

	if (!v->cpus)
		return -1;
	set_lock(v);
	pic = pic_drives(v);
	if (!pic && (l->base & BASE_EN)) {
		vector = deliverable(l);
		if (vector >= 0) {
			vec_clear(l->irr, (unsigned)vector);
			vec_set(l->isr, (unsigned)vector);
		}
	}
	set_unlock(v);
	return pic ? pic_ack(v) : vector;
}

void lapic_set_intr(struct cpu_set *set, bool level)
{
	struct vcpu *v;
	struct x86_lapic *l;
	bool rise;

	if (!set->n)
		return;
	v = set->cpu[0];
	l = &v->s.lapic;
	pthread_mutex_lock(&set->lock);
	rise = level && !v->s.intr_line;
	v->s.intr_line = level;
	l->lint0_level = level;
	if (pic_drives(v)) {
		vcpu_request(v, VCPU_REQ_EVENT);
	} else if (rise && (l->base & BASE_EN) && !(l->lvt_lint0 & LVT_MASK)) {
		struct msg m = {.mode = l->lvt_lint0 >> 8 & 7, .vector = (uint8_t)l->lvt_lint0};

		accept_locked(v, &m);
	}
	pthread_mutex_unlock(&set->lock);
}

void lapic_init_pin(struct vcpu *v)
{
	set_lock(v);
	accept_locked(v, &(struct msg){.mode = MODE_INIT});
	set_unlock(v);
}

void lapic_nmi(struct vcpu *v)
{
	const struct x86_lapic *l = &v->s.lapic;
	struct msg m = {.mode = MODE_NMI};

	set_lock(v);
	if (l->base & BASE_EN) {
		m.mode = l->lvt_lint1 >> 8 & 7;
		m.vector = (uint8_t)l->lvt_lint1;
	}
	if (!(l->base & BASE_EN) || !(l->lvt_lint1 & LVT_MASK))
		accept_locked(v, &m);
	set_unlock(v);
}

/* ---- life ---- */

void lapic_init(struct vcpu *v)
{
	if (v->clock)
		vtimer_init(&v->lapic_timer, v->clock, timer_fire, v);
}

void lapic_done(struct vcpu *v)
{
	if (!v->clock || !v->bus)
		return;
	bus_lock(v->bus);
	vtimer_cancel(&v->lapic_timer);
	bus_unlock(v->bus);
}

void lapic_reset(struct vcpu *v, bool init)
{
	(void)init;
	lapic_done(v);
}

void lapic_loaded(struct vcpu *v)
{
	if (!v->clock || !v->bus)
		return;
	bus_lock(v->bus);
	timer_arm(v);
	bus_unlock(v->bus);
}

static uint64_t hole_read(void *ctx, uint64_t off, unsigned size)
{
	return ~0ull;
}

static void hole_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
}

int cpu_set_init(struct cpu_set *set, struct bus *bus, struct error *err)
{
	*set = (struct cpu_set){.bus = bus};
	pthread_mutex_init(&set->lock, NULL);
	bus->msi.deliver = msi_deliver;
	bus->msi.ctx = set;
	/* vCPUs reach their own registers before the bus is asked (mmu.c). The region makes the
	 * range visible in the memory map and answers other masters. */
	set->mmio = (struct bus_region){.name = "lapic",
					.size = 0x1000,
					.read = hole_read,
					.write = hole_write,
					.ctx = set};
	return bus_map_mmio(bus, &set->mmio, 0xfee00000, MEM_PRIO_IO, err);
}

void cpu_set_done(struct cpu_set *set)
{
	if (set->mmio.mapped)
		bus_unmap_mmio(set->bus, &set->mmio);
	set->bus->msi.deliver = NULL;
	pthread_mutex_destroy(&set->lock);
}

void cpu_set_add(struct cpu_set *set, struct vcpu *v)
{
	check(set->n < CPU_MAX);
	v->cpus = set;
	set->cpu[set->n++] = v;
}
