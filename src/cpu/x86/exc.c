/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delivery of exceptions and interrupts: real mode, v8086 mode with VME, 16- and 32-bit gates, task
 * gates, long mode with the interrupt stack table; double and triple faults. Intel SDM vol. 3,
 * chapter 6 (table 6-4, 6-5: double fault; 6.12-6.14: frames), 21.3 (VME, table 21-2); vol. 2,
 * INT n (operation).
 *
 * A delivery either completes or changes nothing but accessed bits (a task gate that faults after
 * its commit point is the exception the architecture makes). The EXT bit of error codes is added
 * in one place: event_deliver().
 *
 * UNMODELLED: RF = 1 in the image of an interrupt that arrives between two iterations of a repeated
 * string instruction.
 */
#include "base/log.h"
#include "cpu/x86/internal.h"

struct event {
	uint8_t vector;
	bool has_error;
	bool soft;  /* INT n, INT3, INTO: gate DPL is checked, EXT = 0 */
	bool int_n; /* INT n proper: IOPL and VME rules of v8086 mode */
	bool rf;    /* push RF = 1 */
	uint32_t error;
	uint64_t rip; /* return address */
};

#define DR6_BD BIT(13)
#define DR6_BS BIT(14)

static uint32_t idt_error(const struct event *ev)
{
	return ev->vector * 8u + 2;
}

/* ---- real mode, and v8086 through the 8086 vector table ---- */

static int read_vector(struct vcpu *v, uint64_t base, const struct event *ev, uint16_t *ret_ip,
		       uint16_t *ret_cs)
{
	uint32_t raw;

	if (x86_read_sys(v, (uint32_t)(base + ev->vector * 4u), 4, &raw))
		return X86_FAULT;
	*ret_ip = (uint16_t)raw;
	*ret_cs = (uint16_t)(raw >> 16);
	return X86_OK;
}

static int push_8086(struct vcpu *v, uint64_t flags, uint64_t rip)
{
	const uint64_t frame[3] = {rip, v->s.seg[X86_CS].sel, flags};
	struct x86_stack k;

	x86_stack_current(v, &k);
	if (x86_stack_push(v, &k, 2, frame, 3))
		return X86_FAULT;
	v->s.gpr[X86_RSP] = k.sp;
	return X86_OK;
}

static int deliver_real(struct vcpu *v, const struct event *ev)
{
	uint16_t ip, cs;

	if (ev->vector * 4u + 3 > v->s.idtr.limit)
		return x86_raise_err(v, X86_GP, idt_error(ev));
	if (read_vector(v, v->s.idtr.base, ev, &ip, &cs))
		return X86_FAULT;
	if (ip > v->s.seg[X86_CS].limit)
		return x86_gp0(v);
	if (push_8086(v, v->s.rflags, ev->rip))
		return X86_FAULT;
	v->s.rflags &= ~(uint64_t)(X86_IF | X86_TF | X86_AC | X86_RF);
	v->next_rip = ip;
	x86_load_seg_real(v, X86_CS, cs);
	return X86_OK;
}

/* INT n in v8086 mode: is it redirected to the 8086 handler? SDM vol. 3, 21.3.3 and table 21-2. */
static int vme_redirected(struct vcpu *v, const struct event *ev, bool *ret_redirect)
{
	const struct x86_seg *tr = &v->s.tr;
	uint32_t at;
	uint16_t map;
	uint8_t b;

	*ret_redirect = false;
	if (!ev->soft || !ev->int_n)
		return X86_OK;
	if (!(v->s.cr4 & X86_CR4_VME))
		return x86_iopl(v) < 3 ? x86_gp0(v) : X86_OK;
	if ((tr->attr & X86_ATTR_NULL) || !(tr->attr & 8) || tr->limit < 0x67)
		return x86_gp0(v);
	if (x86_read_sys(v, (uint32_t)tr->base + 0x66, 2, &map))
		return X86_FAULT;
	/* The 32-byte redirection map ends where the I/O map begins. */
	at = map - 32u + ev->vector / 8;
	if (map < 32 || at > tr->limit)
		return x86_gp0(v);
	if (x86_read_sys(v, (uint32_t)tr->base + at, 1, &b))
		return X86_FAULT;
	*ret_redirect = !(b >> (ev->vector & 7) & 1);
	if (!*ret_redirect && x86_iopl(v) < 3)
		return x86_gp0(v);
	return X86_OK;
}

static int deliver_redirected(struct vcpu *v, const struct event *ev)
{
	uint64_t flags = v->s.rflags, clear = X86_TF | X86_RF | X86_AC;
	uint16_t ip, cs;

	if (x86_read(v, ev->vector * 4u, 2, &ip, X86_ACC_READ) ||
	    x86_read(v, ev->vector * 4u + 2, 2, &cs, X86_ACC_READ))
		return X86_FAULT;
	if (x86_iopl(v) < 3) {
		flags = (flags & ~(uint64_t)X86_IF) | X86_IOPL;
		if (v->s.rflags & X86_VIF)
			flags |= X86_IF;
		clear |= X86_VIF;
	} else {
		clear |= X86_IF;
	}
	if (push_8086(v, flags, ev->rip))
		return X86_FAULT;
	v->s.rflags &= ~clear;
	v->next_rip = ip;
	x86_load_seg_real(v, X86_CS, cs);
	return X86_OK;
}

/* ---- protected mode ---- */

/* The gate's code segment: SDM vol. 2, INT n, "trap or interrupt gate". */
static int gate_code(struct vcpu *v, uint16_t sel, struct x86_desc *ret)
{
	if (sel_null(sel))
		return x86_gp0(v);
	if (x86_desc_read(v, sel, X86_GP, ret))
		return X86_FAULT;
	if (!desc_is_code(ret) || desc_dpl(ret) > v->cpl)
		return x86_raise_sel(v, X86_GP, sel);
	if (x86_lma(v) && (!desc_l(ret) || desc_d(ret)))
		return x86_raise_sel(v, X86_GP, sel);
	return desc_p(ret) ? X86_OK : x86_raise_sel(v, X86_NP, sel);
}

static int read_gate(struct vcpu *v, const struct event *ev, struct x86_desc *g)
{
	unsigned size = x86_lma(v) ? 16 : 8;
	uint64_t raw[2] = {0, 0};
	unsigned type;

	if (ev->vector * size + size - 1 > v->s.idtr.limit)
		return x86_raise_err(v, X86_GP, idt_error(ev));
	g->lin = v->s.idtr.base + ev->vector * size;
	if (!x86_lma(v))
		g->lin = (uint32_t)g->lin;
	if (x86_read_sys(v, g->lin, size, raw))
		return X86_FAULT;
	g->lo = (uint32_t)raw[0];
	g->hi = (uint32_t)(raw[0] >> 32);
	g->base_hi = (uint32_t)raw[1];
	g->top = (uint32_t)(raw[1] >> 32);
	type = desc_s(g) ? 0 : desc_type(g);
	if (type != DESC_INT32 && type != DESC_TRAP32 &&
	    (x86_lma(v) || (type != DESC_INT16 && type != DESC_TRAP16 && type != DESC_TASK)))
		return x86_raise_err(v, X86_GP, idt_error(ev));
	if (ev->soft && desc_dpl(g) < v->cpl)
		return x86_raise_err(v, X86_GP, idt_error(ev));
	if (!desc_p(g))
		return x86_raise_err(v, X86_NP, idt_error(ev));
	return X86_OK;
}

static uint64_t pushed_flags(const struct vcpu *v, const struct event *ev)
{
	return v->s.rflags | (ev->rf ? X86_RF : 0);
}

static void enter_handler(struct vcpu *v, const struct x86_desc *g, uint16_t sel,
			  const struct x86_desc *code, unsigned cpl, uint64_t off)
{
	uint64_t clear = X86_TF | X86_NT | X86_RF | X86_VM;

	if (!(desc_type(g) & 1)) /* interrupt gate, not trap gate */
		clear |= X86_IF;
	v->s.rflags &= ~clear;
	x86_seg_set(&v->s.seg[X86_CS], (uint16_t)((sel & ~3u) | cpl), code);
	v->next_rip = off;
	x86_update_mode(v);
}

static int deliver_32(struct vcpu *v, const struct event *ev, const struct x86_desc *g)
{
	static const enum x86_sreg v86_segs[] = {X86_ES, X86_DS, X86_FS, X86_GS};
	bool vm = v->mode & X86_MODE_VM, is32 = desc_type(g) & 8, inner;
	unsigned size = is32 ? 4 : 2, n = 0, cpl = v->cpl;
	uint64_t off = is32 ? gate_off(g) : gate_off(g) & 0xffff;
	uint16_t sel = gate_sel(g);
	struct x86_desc code;
	struct x86_stack k;
	uint64_t frame[10];

	if (gate_code(v, sel, &code))
		return X86_FAULT;
	inner = !desc_is_conforming(&code) && desc_dpl(&code) < v->cpl;
	if (vm && (!inner || desc_dpl(&code) != 0))
		return x86_raise_sel(v, X86_GP, sel);
	if (inner) {
		cpl = desc_dpl(&code);
		if (x86_inner_stack(v, cpl, 0, &k))
			return X86_FAULT;
	} else {
		x86_stack_current(v, &k);
	}
	if (x86_code_off(v, &code, &off))
		return X86_FAULT;
	if (ev->has_error)
		frame[n++] = ev->error;
	frame[n++] = ev->rip;
	frame[n++] = v->s.seg[X86_CS].sel;
	frame[n++] = pushed_flags(v, ev);
	if (inner) {
		frame[n++] = v->s.gpr[X86_RSP];
		frame[n++] = v->s.seg[X86_SS].sel;
	}
	for (unsigned i = 0; vm && i < 4; i++)
		frame[n++] = v->s.seg[v86_segs[i]].sel;
	if (x86_desc_accessed(v, &code) || x86_stack_push(v, &k, size, frame, n))
		return X86_FAULT;
	if (inner)
		v->s.seg[X86_SS] = k.ss;
	v->s.gpr[X86_RSP] = k.sp;
	for (unsigned i = 0; vm && i < 4; i++)
		x86_seg_null(&v->s.seg[v86_segs[i]], 0);
	enter_handler(v, g, sel, &code, cpl, off);
	return X86_OK;
}

static int deliver_64(struct vcpu *v, const struct event *ev, const struct x86_desc *g)
{
	uint64_t off = gate_off(g) | (uint64_t)g->base_hi << 32;
	unsigned ist = g->hi & 7, cpl = v->cpl, n = 0;
	uint16_t sel = gate_sel(g);
	struct x86_stack k;
	struct x86_desc code;
	uint64_t frame[6];
	bool inner;

	/* IST is bits 2:0 of byte 4: SDM vol. 3, figure 6-8. */
	if (gate_code(v, sel, &code))
		return X86_FAULT;
	inner = !desc_is_conforming(&code) && desc_dpl(&code) < v->cpl;
	if (inner)
		cpl = desc_dpl(&code);
	if (inner || ist) {
		if (x86_inner_stack(v, cpl, ist, &k))
			return X86_FAULT;
	} else {
		x86_stack_current(v, &k);
		k.is64 = true;
		k.table = (uint8_t)x86_table_for(v, cpl);
	}
	if (!x86_canonical(off))
		return x86_gp0(v);
	k.sp &= ~15ull;
	if (ev->has_error)
		frame[n++] = ev->error;
	frame[n++] = ev->rip;
	frame[n++] = v->s.seg[X86_CS].sel;
	frame[n++] = pushed_flags(v, ev);
	frame[n++] = v->s.gpr[X86_RSP];
	frame[n++] = v->s.seg[X86_SS].sel;
	if (x86_desc_accessed(v, &code) || x86_stack_push(v, &k, 8, frame, n))
		return X86_FAULT;
	if (inner)
		v->s.seg[X86_SS] = k.ss;
	v->s.gpr[X86_RSP] = k.sp;
	enter_handler(v, g, sel, &code, cpl, off);
	return X86_OK;
}

static int deliver_protected(struct vcpu *v, const struct event *ev)
{
	struct x86_desc g;

	if (read_gate(v, ev, &g))
		return X86_FAULT;
	if (x86_lma(v))
		return deliver_64(v, ev, &g);
	if (desc_type(&g) == DESC_TASK)
		return x86_task_gate(v, &g, TASK_INT, ev->rip, ev->has_error, ev->error);
	return deliver_32(v, ev, &g);
}

static int event_once(struct vcpu *v, const struct event *ev)
{
	bool redirect;

	if (LIKELY(x86_lma(v))) {
		const struct x86_fast_event fast = {.vector = ev->vector,
						    .has_error = ev->has_error,
						    .soft = ev->soft,
						    .error = ev->error,
						    .rip = ev->rip,
						    .flags = pushed_flags(v, ev)};

		if (LIKELY(x86_event_fast(v, &fast)))
			return X86_OK;
	}
	if (!(v->mode & X86_MODE_PE))
		return deliver_real(v, ev);
	if (v->mode & X86_MODE_VM) {
		if (vme_redirected(v, ev, &redirect))
			return X86_FAULT;
		if (redirect)
			return deliver_redirected(v, ev);
	}
	return deliver_protected(v, ev);
}

/* Sets next_rip to the handler. */
static int event_deliver(struct vcpu *v, const struct event *ev)
{
	int r = event_once(v, ev);

	if (r == X86_OK) {
		v->s.shadow &= X86_SHADOW_NMI;
		return X86_OK;
	}
	/* EXT: the fault happened while delivering an external event or an earlier exception.
	 * SDM vol. 3, 6.13. */
	if (!ev->soft && v->exc.has_error && v->exc.vector >= X86_TS && v->exc.vector <= X86_GP)
		v->exc.error_code |= 1;
	return r;
}

int x86_int(struct vcpu *v, uint8_t vector, bool int_n)
{
	struct event ev = {
		.vector = vector,
		.soft = int_n || vector != X86_DB, /* INT1 is delivered like a hardware #DB */
		.int_n = int_n,
		.rip = v->next_rip,
	};

	if (event_deliver(v, &ev))
		return X86_FAULT;
	v->no_step = true;
	return X86_OK;
}

/* ---- exceptions ---- */

enum exc_class { EXC_BENIGN, EXC_CONTRIBUTORY, EXC_PAGE_FAULT, EXC_DOUBLE };

static enum exc_class exc_class(uint8_t vector) /* SDM vol. 3, table 6-4 */
{
	switch (vector) {
	case X86_DE:
	case X86_TS:
	case X86_NP:
	case X86_SSF:
	case X86_GP: return EXC_CONTRIBUTORY;
	case X86_PFV: return EXC_PAGE_FAULT;
	case X86_DF_EXC: return EXC_DOUBLE;
	default: return EXC_BENIGN;
	}
}

/* Turn v->exc, raised while delivering @first, into what is delivered next. False: triple fault. */
static bool combine(struct vcpu *v, uint8_t first)
{
	enum exc_class a = exc_class(first), b = exc_class(v->exc.vector);

	if (a == EXC_DOUBLE)
		return false;
	if ((a == EXC_CONTRIBUTORY && b == EXC_CONTRIBUTORY) ||
	    (a == EXC_PAGE_FAULT && b != EXC_BENIGN)) {
		if (b == EXC_PAGE_FAULT)
			v->s.cr2 = v->exc.cr2;
		(void)x86_raise_err(v, X86_DF_EXC, 0);
	}
	return true;
}

static int shutdown(struct vcpu *v)
{
	v->s.activity = X86_ACT_SHUTDOWN;
	v->exit.reason = VCPU_EXIT_SHUTDOWN;
	if (v->trace & TRACE_INT)
		log_trace("cpu%u: triple fault at %04x:%llx", v->index, v->s.seg[X86_CS].sel,
			  (unsigned long long)v->s.rip);
	return X86_EXIT;
}

static void trace_event(const struct vcpu *v, const struct x86_exception *x, const char *what)
{
	log_trace("cpu%u: %s %02x error %x cr2 %llx at %04x:%llx cpl %u rsp %llx", v->index, what,
		  x->vector, x->error_code, (unsigned long long)x->cr2, v->s.seg[X86_CS].sel,
		  (unsigned long long)v->s.rip, v->cpl, (unsigned long long)v->s.gpr[X86_RSP]);
}

/* Side effects an exception has on registers whether or not its delivery succeeds. */
static void exc_registers(struct vcpu *v, const struct x86_exception *x)
{
	if (x->vector == X86_PFV)
		v->s.cr2 = x->cr2;
	if (x->vector == X86_DB) {
		v->s.dr6 |= x->dr6;
		v->s.dr7 &= ~BIT(13); /* GD */
	}
}

int x86_deliver(struct vcpu *v)
{
	/* Each turn climbs: benign, then contributory or page fault, then double fault. */
	for (unsigned turn = 0; turn < 8; turn++) {
		struct x86_exception x = v->exc;
		struct event ev = {
			.vector = x.vector,
			.has_error = x.has_error,
			.error = x.error_code,
			.soft = x.software,
			.rip = v->s.rip,
			/* SDM vol. 3, 17.3.1.1 */
			.rf = !x.trap && !x.software && !(x.vector == X86_DB && (x.dr6 & 0xf)),
		};

		v->count.exceptions++;
		if (UNLIKELY(v->trace & TRACE_INT))
			trace_event(v, &x, "exception");
		exc_registers(v, &x);
		if (!x.trap)
			v->s.pending_dbg = 0;
		if (event_deliver(v, &ev) == X86_OK) {
			v->s.rip = v->next_rip;
			return X86_OK;
		}
		if (!combine(v, x.vector))
			return shutdown(v);
	}
	return shutdown(v);
}

int x86_interrupt(struct vcpu *v, uint8_t vector, bool nmi)
{
	struct event ev = {.vector = vector, .rip = v->s.rip};

	v->count.interrupts++;
	v->s.activity = X86_ACT_RUN;
	if (UNLIKELY(v->trace & TRACE_INT)) {
		struct x86_exception x = {.vector = vector};

		trace_event(v, &x, nmi ? "nmi" : "interrupt");
	}
	if (nmi)
		v->s.shadow |= X86_SHADOW_NMI;
	if (event_deliver(v, &ev)) {
		/* Interrupts are benign: the fault itself is delivered. */
		return x86_deliver(v);
	}
	v->s.rip = v->next_rip;
	return X86_OK;
}
