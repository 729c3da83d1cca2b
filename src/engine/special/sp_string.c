/* SPDX-License-Identifier: Apache-2.0 */
/*
 * String instructions with REP. Intel SDM vol. 2: REP, MOVS, CMPS, STOS, LODS, SCAS, INS, OUTS;
 * vol. 1, 7.3.9.
 *
 * One call does a bounded number of iterations. When the count is not used up, next_rip stays at
 * the instruction itself, so that interrupts, traps and other requests are seen between
 * iterations with RCX, RSI and RDI exact; the next call goes on. A fault leaves the registers at
 * the iteration that faulted.
 *
 * Upwards and inside one page on either side, iterations run on host pointers in one go; the byte
 * order of overlapping MOVS is kept (a copy upwards into itself repeats the pattern).
 */
#include "engine/special/special.h"
#include "mem/guest.h"

#define ITERATIONS_MOST 4096u  /* a call without fast path */
#define BYTES_MOST      65536u /* a call with it */

struct str {
	unsigned size;  /* bytes of an element */
	uint64_t mask;  /* of the address size */
	int64_t step;   /* +-size */
	uint64_t count; /* iterations left; 1 without REP */
	unsigned src_seg;
	bool rep;
};

/* Registers change in the width of the address size; 32-bit writes clear the upper half. */
static void set_reg(struct vcpu *v, unsigned r, const struct str *s, uint64_t val)
{
	uint64_t *g = &v->s.gpr[r];

	*g = s->mask == 0xffff ? (*g & ~0xffffull) | (val & 0xffff) : val & s->mask;
}

static struct str str_begin(struct vcpu *v, const struct insn *in)
{
	struct str s = {.size = in->mem_size,
			.mask = mask_bytes(in->addrsize),
			.src_seg = in->seg,
			.rep = in->flags & (INSN_REP | INSN_REPNE)};

	s.step = v->s.rflags & X86_DF ? -(int64_t)s.size : (int64_t)s.size;
	s.count = s.rep ? v->s.gpr[X86_RCX] & s.mask : 1;
	/* As Intel's processors do: with REP and 32-bit addresses in 64-bit mode the upper halves
	 * are cleared even when no iteration is completed; RSI and RDI by MOVS and STOS alone.
	 * AMD's (seen on Zen 4) change nothing before an iteration is. */
	if (s.rep && s.mask == 0xffffffff && in->special != SP_INS && in->special != SP_OUTS &&
	    !x86_is_amd(v)) {
		set_reg(v, X86_RCX, &s, v->s.gpr[X86_RCX]);
		if (in->special == SP_MOVS)
			set_reg(v, X86_RSI, &s, v->s.gpr[X86_RSI]);
		if (in->special == SP_MOVS || in->special == SP_STOS)
			set_reg(v, X86_RDI, &s, v->s.gpr[X86_RDI]);
	}
	return s;
}

/* @n iterations are done. */
static void advance(struct vcpu *v, struct str *s, uint64_t n, bool src, bool dst)
{
	uint64_t by = n * (uint64_t)s->step;

	if (src)
		set_reg(v, X86_RSI, s, v->s.gpr[X86_RSI] + by);
	if (dst)
		set_reg(v, X86_RDI, s, v->s.gpr[X86_RDI] + by);
	s->count -= n;
	if (s->rep)
		set_reg(v, X86_RCX, s, v->s.gpr[X86_RCX] - n);
}

/* After an iteration: stop here and come back? */
static bool pause_here(const struct vcpu *v)
{
	return atomic_load_explicit(&v->request, memory_order_relaxed) || v->s.pending_dbg ||
	       v->s.rflags & X86_TF;
}

/* Ends a call: more to do means that the instruction is executed again. */
static int str_end(struct vcpu *v, const struct str *s)
{
	if (s->count)
		v->next_rip = v->s.rip;
	return X86_OK;
}

static int src_lin(struct vcpu *v, const struct str *s, unsigned bytes, gva_t *ret_lin)
{
	return x86_seg_lin(v, s->src_seg, v->s.gpr[X86_RSI] & s->mask, bytes, X86_ACC_READ,
			   ret_lin);
}

static int dst_lin(struct vcpu *v, const struct str *s, unsigned bytes, unsigned access,
		   gva_t *ret_lin)
{
	return x86_seg_lin(v, X86_ES, v->s.gpr[X86_RDI] & s->mask, bytes, access, ret_lin);
}

/* Bytes from offset @off up to the page end that whole elements can use, without wrapping. */
static unsigned run_bytes(const struct str *s, uint64_t off, gva_t lin)
{
	uint64_t n = 4096 - (lin & 0xfff), left = s->mask - (off & s->mask);

	if (n - 1 > left)
		n = left + 1;
	n -= n % s->size;
	return (unsigned)n;
}

/*
 * A host pointer to as many elements as fit in the page and the segment; 0 bytes: go the slow way.
 * Segment limits are linear, so the check of the whole run is the check of each element.
 */
static uint8_t *run_ptr(struct vcpu *v, const struct str *s, unsigned seg, unsigned reg,
			unsigned access, uint64_t want, unsigned *ret_bytes,
			struct x86_tlb_entry **ret_e)
{
	uint64_t off = v->s.gpr[reg] & s->mask;
	struct x86_exception exc = v->exc;
	unsigned n;
	uint8_t *p = NULL;
	gva_t lin;

	*ret_bytes = 0;
	/* Alignment is checked element by element. */
	if (v->tlb->data_table == X86_TLB_ALIGN && s->size > 1)
		goto out;
	if (s->step < 0 || x86_seg_lin(v, seg, off, s->size, access, &lin))
		goto out;
	n = run_bytes(s, off, lin);
	if (n > want)
		n = (unsigned)want;
	if (n < s->size || x86_seg_lin(v, seg, off, n, access, &lin))
		goto out;
	p = x86_ptr(v, lin, n, access, ret_e);
	if (p)
		*ret_bytes = n;
out:
	v->exc = exc; /* the slow way raises what must be raised */
	return p;
}

static uint64_t wanted(const struct str *s, unsigned done)
{
	uint64_t left = BYTES_MOST - done;

	return s->count > left / s->size ? left - left % s->size : s->count * s->size;
}

/* ---- MOVS ---- */

static void copy_up(uint8_t *to, const uint8_t *from, unsigned bytes, unsigned size)
{
	if (to <= from || to >= from + bytes) {
		guest_copy_bulk(to, from, bytes);
		return;
	}
	for (unsigned i = 0; i < bytes; i += size)
		guest_store(to + i, size, guest_load(from + i, size));
}

/* Bytes copied in one go; 0: do an iteration the slow way. */
static unsigned movs_run(struct vcpu *v, struct str *s, unsigned done)
{
	struct x86_tlb_entry *e, *se;
	unsigned n, m;
	uint8_t *from, *to;

	from = run_ptr(v, s, s->src_seg, X86_RSI, X86_ACC_READ, wanted(s, done), &n, &se);
	if (!from)
		return 0;
	to = run_ptr(v, s, X86_ES, X86_RDI, X86_ACC_WRITE, n, &m, &e);
	if (!to)
		return 0;
	copy_up(to, from, m, s->size);
	x86_stored(v, e, (gva_t)(to - e->host), m);
	advance(v, s, m / s->size, true, true);
	return m;
}

static int movs_one(struct vcpu *v, struct str *s)
{
	uint64_t val = 0;
	gva_t from, to;

	if (src_lin(v, s, s->size, &from) || x86_read(v, from, s->size, &val, X86_ACC_READ) ||
	    dst_lin(v, s, s->size, X86_ACC_WRITE, &to) ||
	    x86_write(v, to, s->size, &val, X86_ACC_WRITE))
		return X86_FAULT;
	advance(v, s, 1, true, true);
	return X86_OK;
}

int sp_MOVS(struct vcpu *v, const struct insn *in)
{
	struct str s = str_begin(v, in);
	unsigned done = 0, n;

	for (unsigned i = 0; s.count && i < ITERATIONS_MOST && done < BYTES_MOST - 64; i++) {
		n = s.rep && !(v->s.rflags & X86_TF) ? movs_run(v, &s, done) : 0;
		done += n;
		if (!n && movs_one(v, &s))
			return X86_FAULT;
		if (UNLIKELY(pause_here(v)))
			break;
	}
	return str_end(v, &s);
}

/* ---- STOS ---- */

static void fill(uint8_t *to, unsigned bytes, unsigned size, uint64_t val)
{
	if (size == 1 || val == (val & 0xff) * (mask_bytes(size) / 0xff)) {
		guest_fill(to, (uint8_t)val, bytes);
		return;
	}
	for (unsigned i = 0; i < bytes; i += size)
		guest_store(to + i, size, val);
}

static unsigned stos_run(struct vcpu *v, struct str *s, unsigned done, uint64_t val)
{
	struct x86_tlb_entry *e;
	unsigned n;
	uint8_t *to = run_ptr(v, s, X86_ES, X86_RDI, X86_ACC_WRITE, wanted(s, done), &n, &e);

	if (!to)
		return 0;
	fill(to, n, s->size, val);
	x86_stored(v, e, (gva_t)(to - e->host), n);
	advance(v, s, n / s->size, false, true);
	return n;
}

int sp_STOS(struct vcpu *v, const struct insn *in)
{
	struct str s = str_begin(v, in);
	uint64_t val = v->s.gpr[X86_RAX] & mask_bytes(s.size);
	unsigned done = 0, n;
	gva_t lin;

	for (unsigned i = 0; s.count && i < ITERATIONS_MOST && done < BYTES_MOST - 64; i++) {
		n = s.rep && !(v->s.rflags & X86_TF) ? stos_run(v, &s, done, val) : 0;
		done += n;
		if (!n) {
			if (dst_lin(v, &s, s.size, X86_ACC_WRITE, &lin) ||
			    x86_write(v, lin, s.size, &val, X86_ACC_WRITE))
				return X86_FAULT;
			advance(v, &s, 1, false, true);
		}
		if (UNLIKELY(pause_here(v)))
			break;
	}
	return str_end(v, &s);
}

/* ---- LODS ---- */

int sp_LODS(struct vcpu *v, const struct insn *in)
{
	struct str s = str_begin(v, in);
	uint64_t val = 0;
	gva_t lin;

	for (unsigned i = 0; s.count && i < ITERATIONS_MOST; i++) {
		if (src_lin(v, &s, s.size, &lin) || x86_read(v, lin, s.size, &val, X86_ACC_READ))
			return X86_FAULT;
		gpr_set(v, in, X86_RAX, s.size, val);
		advance(v, &s, 1, true, false);
		if (UNLIKELY(pause_here(v)))
			break;
	}
	return str_end(v, &s);
}

/* ---- CMPS, SCAS ---- */

/* Flags of a - b. */
static void compare(struct vcpu *v, unsigned size, uint64_t a, uint64_t b)
{
	unsigned sh = 64 - size * 8;
	uint64_t x = a << sh, y = b << sh, d = x - y, f;

	/* The values in the top bits give CF, ZF, SF, OF of the narrow compare; PF and AF come from
	 * the low bits. */
	f = (x < y ? X86_CF : 0) | (x == y ? X86_ZF : 0) | (d >> 63 ? X86_SF : 0) |
	    (((x ^ y) & (x ^ d)) >> 63 ? X86_OF : 0);
	f |= (a ^ b ^ (a - b)) & X86_AF;
	f |= __builtin_parity((uint8_t)(a - b)) ? 0 : X86_PF;
	v->s.rflags = (v->s.rflags & ~(uint64_t)X86_ARITH) | f;
}

/* A fault in a later iteration shows the flags from before the instruction. SDM vol. 2, REP. */
static int compare_fault(struct vcpu *v, uint64_t rflags)
{
	v->s.rflags = rflags;
	return X86_FAULT;
}

/* With REPE or REPNE: does the last comparison end it? */
static bool ends(const struct vcpu *v, const struct insn *in)
{
	bool equal = v->s.rflags & X86_ZF;

	return in->flags & INSN_REP ? !equal : in->flags & INSN_REPNE && equal;
}

int sp_CMPS(struct vcpu *v, const struct insn *in)
{
	struct str s = str_begin(v, in);
	uint64_t a = 0, b = 0, rflags = v->s.rflags;
	gva_t from, to;

	for (unsigned i = 0; s.count && i < ITERATIONS_MOST; i++) {
		/* ES:RDI first, as processors do: it decides which fault is seen */
		if (dst_lin(v, &s, s.size, X86_ACC_READ, &to) ||
		    x86_read(v, to, s.size, &b, X86_ACC_READ) || src_lin(v, &s, s.size, &from) ||
		    x86_read(v, from, s.size, &a, X86_ACC_READ))
			return compare_fault(v, rflags);
		compare(v, s.size, a, b);
		advance(v, &s, 1, true, true);
		if (ends(v, in))
			return X86_OK;
		if (UNLIKELY(pause_here(v)))
			break;
	}
	return str_end(v, &s);
}

int sp_SCAS(struct vcpu *v, const struct insn *in)
{
	struct str s = str_begin(v, in);
	uint64_t a = v->s.gpr[X86_RAX] & mask_bytes(s.size), b = 0, rflags = v->s.rflags;
	gva_t lin;

	for (unsigned i = 0; s.count && i < ITERATIONS_MOST; i++) {
		if (dst_lin(v, &s, s.size, X86_ACC_READ, &lin) ||
		    x86_read(v, lin, s.size, &b, X86_ACC_READ))
			return compare_fault(v, rflags);
		compare(v, s.size, a, b);
		advance(v, &s, 1, false, true);
		if (ends(v, in))
			return X86_OK;
		if (UNLIKELY(pause_here(v)))
			break;
	}
	return str_end(v, &s);
}

/* ---- INS, OUTS ---- */

static unsigned io_kind(const struct str *s)
{
	return X86_IO_STRING | (s->rep ? X86_IO_REP : 0);
}

int sp_INS(struct vcpu *v, const struct insn *in)
{
	struct str s = str_begin(v, in);
	uint16_t port = (uint16_t)v->s.gpr[X86_RDX];
	uint32_t val;
	gva_t lin;

	if (x86_io_allowed(v, port, s.size))
		return X86_FAULT;
	for (unsigned i = 0; s.count && i < ITERATIONS_MOST; i++) {
		/* The port is read only when the store cannot fault any more. */
		if (dst_lin(v, &s, s.size, X86_ACC_WRITE, &lin) ||
		    x86_probe(v, lin, s.size, X86_ACC_WRITE))
			return X86_FAULT;
		v->count.pio++;
		x86_side_effect(v);
		val = bus_pio_read(v->bus, port, s.size);
		if (x86_write(v, lin, s.size, &val, X86_ACC_WRITE))
			return X86_FAULT;
		x86_io_done(v, port, s.size, X86_IO_IN | io_kind(&s));
		advance(v, &s, 1, false, true);
		if (UNLIKELY(pause_here(v)))
			break;
	}
	return str_end(v, &s);
}

int sp_OUTS(struct vcpu *v, const struct insn *in)
{
	struct str s = str_begin(v, in);
	uint16_t port = (uint16_t)v->s.gpr[X86_RDX];
	uint32_t val = 0;
	gva_t lin;

	if (x86_io_allowed(v, port, s.size))
		return X86_FAULT;
	for (unsigned i = 0; s.count && i < ITERATIONS_MOST; i++) {
		if (src_lin(v, &s, s.size, &lin) || x86_read(v, lin, s.size, &val, X86_ACC_READ))
			return X86_FAULT;
		v->count.pio++;
		x86_side_effect(v);
		bus_pio_write(v->bus, port, s.size, val);
		x86_io_done(v, port, s.size, io_kind(&s));
		advance(v, &s, 1, true, false);
		if (UNLIKELY(pause_here(v)))
			break;
	}
	return str_end(v, &s);
}
