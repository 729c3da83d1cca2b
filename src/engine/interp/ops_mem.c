/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory operands of COPY instructions. Intel SDM vol. 1, 3.7.5 (addresses), vol. 3, 5.3 (limits),
 * 6.5 (faults restart), 9.1 (LOCK).
 *
 * The fast handlers do address arithmetic and one TLB compare and jump to the thunk with a host
 * pointer into guest RAM, so that atomicity, ordering and alignment faults are the hardware's. What
 * they cannot do (a page crossing, MMIO, ROM, a segment with base or limit, a TLB miss, a fault)
 * goes to uop_mem_slow(), which runs the thunk on a bounce buffer if it must.
 *
 * UNMODELLED: a LOCKed access to MMIO, or to a page with a watch point, is atomic only against
 * others of its kind (one mutex per VM), not against single host accesses to the same bytes.
 */
#include <string.h>

#include "engine/interp/interp.h"

#define WORD(v, i) (((const uint64_t *)(v))[i])

#define INLINE static inline __attribute__((always_inline))

INLINE struct x86_tlb_entry *tlb_entry(struct x86_tlb_entry *tab, gva_t lin)
{
	return &tab[(lin >> 12) & (X86_TLB_SIZE - 1)];
}

/* Does the entry's tag match all bytes of the access? A crossing changes the page number. */
INLINE bool tag_hit(const struct vcpu *v, uint64_t tag, gva_t lin, unsigned size)
{
	return LIKELY(tag == (((lin + size - 1) & ~0xfffull) | v->tlb->generation));
}

enum ea_kind { EA_BASE, EA_FULL, EA_FLAT32 };

INLINE gva_t ea_lin(const struct vcpu *v, const struct uop *u, enum ea_kind kind)
{
	gva_t lin = WORD(v, u->base) + (uint64_t)u->disp;

	if (kind != EA_BASE)
		lin += WORD(v, u->index) * u->scale;
	if (kind == EA_FULL)
		lin += WORD(v, u->seg);
	return kind == EA_FLAT32 ? (uint32_t)lin : lin;
}

#define MEM_HANDLER(name, kind, size, tag)                                                         \
	static int name(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab,            \
			uint32_t fl)                                                               \
	{                                                                                          \
		gva_t lin = ea_lin(v, u, kind);                                                    \
		struct x86_tlb_entry *e = tlb_entry(tab, lin);                                     \
                                                                                                   \
		if (tag_hit(v, e->tag, lin, size))                                                 \
			return u->thunk(v, u, tab, fl, e->host + (lin & 0xfff), e);                \
		return uop_mem_slow(v, u, tab, fl);                                                \
	}
#define MEM_HANDLERS(size)                                                                         \
	MEM_HANDLER(ld_base_##size, EA_BASE, size, tag_read)                                       \
	MEM_HANDLER(ld_full_##size, EA_FULL, size, tag_read)                                       \
	MEM_HANDLER(ld_flat32_##size, EA_FLAT32, size, tag_read)                                   \
	MEM_HANDLER(st_base_##size, EA_BASE, size, tag_write)                                      \
	MEM_HANDLER(st_full_##size, EA_FULL, size, tag_write)                                      \
	MEM_HANDLER(st_flat32_##size, EA_FLAT32, size, tag_write)
MEM_HANDLERS(1)
MEM_HANDLERS(2)
MEM_HANDLERS(4)
MEM_HANDLERS(8)
MEM_HANDLERS(16)
MEM_HANDLERS(32)

#define MEM_ROW(size)                                                                              \
	{                                                                                          \
		{ld_base_##size, ld_full_##size, ld_flat32_##size},                                \
		{                                                                                  \
			st_base_##size, st_full_##size, st_flat32_##size                           \
		}                                                                                  \
	}
static const uop_fn mem_handlers[6][2][3] = {MEM_ROW(1), MEM_ROW(2),  MEM_ROW(4),
					     MEM_ROW(8), MEM_ROW(16), MEM_ROW(32)};

uop_fn mem_handler(uint32_t key, const struct insn *in)
{
	unsigned size = in->mem_size, row = (unsigned)__builtin_ctz(size | 0x100);
	bool store = in->flags & INSN_MEM_WRITE;
	enum ea_kind kind;

	if (row > 5 || size != 1u << row)
		return uop_mem_slow;
	if (key & X86_MODE_CS64) {
		if (in->addrsize != 8)
			return uop_mem_slow;
		kind = in->index == INSN_NO_REG && in->seg != X86_FS && in->seg != X86_GS ? EA_BASE
											  : EA_FULL;
	} else {
		if (!(key & X86_MODE_FLAT) || in->addrsize != 4 || in->seg == X86_FS ||
		    in->seg == X86_GS || (store && in->seg == X86_CS && key & X86_MODE_PE))
			return uop_mem_slow;
		kind = EA_FLAT32;
	}
	return mem_handlers[row][store][kind];
}

/* ---- slow paths ---- */

/* The exception is recorded; s.rip is set. */
static int fault(struct vcpu *v, const struct uop *u, uint32_t fl)
{
	const struct uop_cold *c = &uop_block(u)->cold[u->n];

	if (UNLIKELY(c->flags & (INSN_FPU | INSN_FWAIT))) {
		/* A pending x87 exception comes before the operand's faults. SDM vol. 3, 6.9. */
		x87_pointers_back(v);
		x87_sync(icpu(v));
		if (c->flags & INSN_FWAIT && v->s.fpu.fsw & 0x80)
			x86_raise(v, X86_MF);
	}
	uop_uncount(v, u);
	v->s.rflags = fl_merge(v->s.rflags, fl);
	return X86_FAULT;
}

/* After an access that could have had side effects beyond RAM contents. */
static int next_after(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	bool leave = atomic_load_explicit(&v->request, memory_order_relaxed) || v->s.pending_dbg;

	if (v->code_changed) {
		v->code_changed = false;
		leave |= !block_valid(uop_block(u));
	}
	if (!leave)
		return uop_next(v, u, tab, fl);
	uop_uncount(v, u + 1);
	return uop_leave(v, uop_next_rip(u), fl);
}

int uop_stored_slow(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl,
		    uint8_t *mem, struct x86_tlb_entry *e)
{
	unsigned off = (unsigned)(mem - e->host), len = uop_block(u)->cold[u->n].mem_size;

	/* Data next to code: nothing was decoded from these bytes. */
	if (LIKELY(!interp_hits_code(icpu(v)->ivm, e, off, len)))
		return uop_next(v, u, tab, fl);
	x86_stored_slow(v, e, off, len);
	return next_after(v, u, tab, fl);
}

static uint64_t slow_off(struct vcpu *v, const struct uop *u, const struct uop_cold *c)
{
	uint64_t off = WORD(v, u->base) + WORD(v, u->index) * u->scale + (uint64_t)u->disp;

	return off & mask_bytes(c->addrsize);
}

/* Segment, limit, canonical form, alignment: the linear address or X86_FAULT. */
static int slow_lin(struct vcpu *v, const struct uop *u, const struct uop_cold *c, gva_t *ret_lin)
{
	unsigned access = c->flags & INSN_MEM_WRITE ? X86_ACC_WRITE : X86_ACC_READ;
	uint64_t off = slow_off(v, u, c);

	/* alignment comes before limit and canonical form, as on processors */
	if (UNLIKELY(c->flags & INSN_ALIGN)) {
		bool flat = x86_is_64(v) && c->seg < X86_FS;

		if ((off + (flat ? 0 : v->s.seg[c->seg].base)) & (c->mem_size - 1u))
			return x86_gp0(v);
	}
	return x86_seg_lin(v, c->seg, off, c->mem_size, access, ret_lin);
}

static int bounce_end(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	icpu(v)->bounce_fl = fl;
	return X86_OK;
}

/* Run the thunk of @u on @buf. Fault: recorded, nothing of v->s changed but RFLAGS merged. */
static int call_thunk(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl,
		      uint8_t *buf)
{
	struct uop loose[2] = {*u, {.fn = bounce_end, .n = UOP_LOOSE}};

	loose[0].n = UOP_LOOSE;
	return uop_thunk(v, u)(v, loose, tab, fl, buf, &icpu(v)->null_entry);
}

static __attribute__((noinline)) int bounce_locked(struct vcpu *v, const struct uop *u,
						   struct x86_tlb_entry *tab, uint32_t fl,
						   const struct uop_cold *c, gva_t lin)
{
	struct interp_cpu *ic = icpu(v);
	/* The same offset in a cache line, so that alignment faults are the hardware's. */
	uint8_t *buf = ic->bounce + (lin & 63);
	bool store = c->flags & INSN_MEM_WRITE;
	uint64_t gpr[16];

	check(c->mem_size <= 64);
	/* A read-modify-write faults as a write, before anything else happens. */
	if (store && x86_probe(v, lin, c->mem_size, X86_ACC_WRITE))
		return X86_FAULT;
	/* An x87 store with an unmasked exception stores nothing: give it what is there. */
	if (!store || c->flags & (INSN_MEM_READ | INSN_FPU)) {
		if (x86_read(v, lin, c->mem_size, buf, X86_ACC_READ))
			return X86_FAULT;
	} else {
		memset(buf, 0, c->mem_size);
	}
	memcpy(gpr, v->s.gpr, sizeof(gpr));
	if (call_thunk(v, u, tab, fl, buf))
		return X86_FAULT;
	if (store && x86_write(v, lin, c->mem_size, buf, X86_ACC_WRITE)) {
		memcpy(v->s.gpr, gpr, sizeof(gpr));
		return X86_FAULT;
	}
	return X86_OK;
}

/* A LOCKed access across two pages of RAM. *ret_done: it is; otherwise bounce. */
static __attribute__((noinline)) int locked_pair(struct vcpu *v, const struct uop *u,
						 struct x86_tlb_entry *tab, uint32_t fl,
						 const struct uop_cold *c, gva_t lin,
						 bool *ret_done)
{
	uint8_t *buf = icpu(v)->bounce;
	int r;

	if (x86_split_begin(v, lin, c->mem_size, buf, ret_done))
		return X86_FAULT;
	if (!*ret_done)
		return X86_OK;
	r = call_thunk(v, u, tab, fl, buf);
	x86_split_end(v, lin, c->mem_size, r ? NULL : buf);
	return r;
}

static __attribute__((noinline)) int bounce_any(struct vcpu *v, const struct uop *u,
						struct x86_tlb_entry *tab, uint32_t fl,
						const struct uop_cold *c, gva_t lin)
{
	struct interp_vm *ivm = icpu(v)->ivm;
	bool done;
	int r;

	if (!(c->flags & INSN_LOCK))
		return bounce_locked(v, u, tab, fl, c, lin);
	r = locked_pair(v, u, tab, fl, c, lin, &done);
	if (r || done)
		return r;
	pthread_mutex_lock(&ivm->split_lock);
	r = bounce_locked(v, u, tab, fl, c, lin);
	pthread_mutex_unlock(&ivm->split_lock);
	return r;
}

static int bounce(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl,
		  const struct uop_cold *c, gva_t lin)
{
	if (bounce_any(v, u, tab, fl, c, lin))
		return fault(v, u, fl);
	return next_after(v, u, tab, icpu(v)->bounce_fl);
}

/* An 80-bit operand is moved as eight bytes and two: each piece is checked by itself, and its
 * offset wraps at the address size by itself. Here: one that is not in its segment in one piece. */
static __attribute__((noinline)) int bounce_tbyte(struct vcpu *v, const struct uop *u,
						  struct x86_tlb_entry *tab, uint32_t fl,
						  const struct uop_cold *c)
{
	unsigned access = c->flags & INSN_MEM_WRITE ? X86_ACC_WRITE : X86_ACC_READ;
	uint64_t off = slow_off(v, u, c), next = (off + 8) & mask_bytes(c->addrsize);
	uint8_t *buf = icpu(v)->bounce;
	gva_t lin[2];

	if (x86_seg_lin(v, c->seg, off, 8, access, &lin[0]) || x86_probe(v, lin[0], 8, access) ||
	    x86_seg_lin(v, c->seg, next, 2, access, &lin[1]) || x86_probe(v, lin[1], 2, access) ||
	    x86_read(v, lin[0], 8, buf, X86_ACC_READ) ||
	    x86_read(v, lin[1], 2, buf + 8, X86_ACC_READ) || call_thunk(v, u, tab, fl, buf))
		return fault(v, u, fl);
	if (access == X86_ACC_WRITE && (x86_write(v, lin[0], 8, buf, X86_ACC_WRITE) ||
					x86_write(v, lin[1], 2, buf + 8, X86_ACC_WRITE)))
		return fault(v, u, fl);
	return next_after(v, u, tab, icpu(v)->bounce_fl);
}

static bool tbyte_scattered(struct vcpu *v, const struct uop *u, const struct uop_cold *c)
{
	uint64_t off = slow_off(v, u, c), end = off + 9;
	gva_t lin;

	return end > mask_bytes(c->addrsize) || end < off || slow_lin(v, u, c, &lin);
}

/* A conversion that stores (VCVTPS2PH): its numeric exception comes before any fault of the store.
 * Try it on the bounce buffer; what it does to MXCSR happens again. */
static __attribute__((noinline)) bool raises_first(struct vcpu *v, const struct uop *u,
						   struct x86_tlb_entry *tab, uint32_t fl,
						   const struct uop_cold *c)
{
	uint32_t mxcsr = v->s.fpu.mxcsr;

	if (call_thunk(v, u, tab, fl, icpu(v)->bounce))
		return true;
	v->s.fpu.mxcsr = mxcsr;
	return false;
}

int uop_mem_slow(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	const struct uop_cold *c = &uop_block(u)->cold[u->n];
	unsigned access = c->flags & INSN_MEM_WRITE ? X86_ACC_WRITE : X86_ACC_READ;
	struct interp_cpu *ic = icpu(v);

	v->s.rip = uop_rip(u);
	if (UNLIKELY(c->flags & INSN_FP_EXC && !(c->flags & INSN_MEM_READ)) &&
	    raises_first(v, u, tab, fl, c))
		return fault(v, u, fl);
	if (UNLIKELY(c->mem_size == 10) && tbyte_scattered(v, u, c))
		return bounce_tbyte(v, u, tab, fl, c);
	if (slow_lin(v, u, c, &ic->tmp_lin))
		return fault(v, u, fl);
	if (x86_ptr_try(v, ic->tmp_lin, c->mem_size, access, &ic->tmp_p, &ic->tmp_e))
		return fault(v, u, fl);
	if (LIKELY(ic->tmp_p != NULL))
		return u->thunk(v, u, tab, fl, ic->tmp_p, ic->tmp_e);
	return bounce(v, u, tab, fl, c, ic->tmp_lin);
}

/* ---- x87 and MMX ---- */

/*
 * While x87 code runs the guest's x87 registers are the host's; only the instruction and operand
 * pointers, which must be the guest's addresses, are kept in v->s.fpu. Intel SDM vol. 1, 8.1.8.
 */
static void x87_pointers(struct vcpu *v, const struct uop *u, const struct uop_cold *c)
{
	struct interp_cpu *ic = icpu(v);
	struct x86_fpu *f = &v->s.fpu;

	x87_resolve(v);
	ic->x87_prev_fip = f->fip;
	ic->x87_prev_misc = (uint32_t)f->fop << 16 | f->fcs;
	ic->x87_prev_fdp = v->x87.fdp;
	ic->x87_prev_fds = v->x87.fds;
	if (!(c->flags & INSN_FPU) || c->flags & INSN_X87_CTRL)
		return;
	f->fip = uop_rip(u);
	f->fcs = ic->x87_no_sel ? 0 : v->s.seg[X86_CS].sel;
	f->fop = c->fop;
	if (c->flags & INSN_MEM) {
		v->x87.fdp = (WORD(v, u->base) + WORD(v, u->index) * u->scale + (uint64_t)u->disp) &
			     mask_bytes(c->addrsize);
		v->x87.fds = ic->x87_no_sel ? 0 : v->s.seg[c->seg].sel;
		if (!ic->x87_lazy_fdp) {
			f->fdp = v->x87.fdp;
			f->fds = v->x87.fds;
		}
	}
}

int uop_x87(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	const struct uop_cold *c = &uop_block(u)->cold[u->n];

	if (!v->x87.live)
		x87_load(icpu(v));
	else if (c->flags & INSN_X87_CTRL) {
		v->x87.live = X87_LIVE; /* FLDCW may unmask exceptions */
		if (c->fop == X87_FOP_FNCLEX)
			x87_clears_exceptions(icpu(v));
	}
	x87_pointers(v, u, c);
	if (!(c->flags & INSN_MEM))
		return ((uop_fn)(uintptr_t)u->thunk)(v, u, tab, fl);
	if (LIKELY(uop_block(u)->key & X86_MODE_CS64) && c->addrsize == 8) {
		bool store = c->flags & INSN_MEM_WRITE;
		gva_t lin = ea_lin(v, u, EA_FULL);
		struct x86_tlb_entry *e = tlb_entry(tab, lin);

		if (tag_hit(v, store ? e->tag_write : e->tag_read, lin, c->mem_size))
			return u->thunk(v, u, tab, fl, e->host + (lin & 0xfff), e);
	}
	return uop_mem_slow(v, u, tab, fl);
}

/* ---- CMPXCHG8B, CMPXCHG16B ---- */

struct pair {
	uint64_t lo, hi;
};

/* Returns ZF; the old value in @old when not equal. */
static bool cmpxchg_host(uint8_t *p, bool wide, struct pair *old, const struct pair *new)
{
	bool equal;

	if (wide)
		asm volatile("lock cmpxchg16b %1"
			     : "=@ccz"(equal), "+m"(*(struct pair *)p), "+a"(old->lo), "+d"(old->hi)
			     : "b"(new->lo), "c"(new->hi)
			     : "memory");
	else
		asm volatile("lock cmpxchg8b %1"
			     : "=@ccz"(equal), "+m"(*(uint64_t *)p), "+a"(old->lo), "+d"(old->hi)
			     : "b"((uint32_t) new->lo), "c"((uint32_t) new->hi)
			     : "memory");
	return equal;
}

static int cmpxchg_slow(struct vcpu *v, gva_t lin, unsigned size, struct pair *old,
			const struct pair *new, bool *ret_equal)
{
	struct interp_vm *ivm = icpu(v)->ivm;
	_Alignas(16) uint8_t buf[16];
	int r = X86_FAULT;
	bool split;

	if (x86_split_begin(v, lin, size, buf, &split))
		return X86_FAULT;
	if (split) {
		*ret_equal = cmpxchg_host(buf, size == 16, old, new);
		x86_split_end(v, lin, size, buf);
		return X86_OK;
	}
	pthread_mutex_lock(&ivm->split_lock);
	if (!x86_probe(v, lin, size, X86_ACC_WRITE) && !x86_read(v, lin, size, buf, X86_ACC_READ)) {
		*ret_equal = cmpxchg_host(buf, size == 16, old, new);
		r = x86_write(v, lin, size, buf, X86_ACC_WRITE); /* writes in any case */
	}
	pthread_mutex_unlock(&ivm->split_lock);
	return r;
}

static __attribute__((noinline)) int cmpxchg_pair(struct vcpu *v, const struct uop *u,
						  const struct uop_cold *c, bool *ret_equal)
{
	bool wide = c->mem_size == 16;
	uint64_t *g = v->s.gpr, m = wide ? ~0ull : 0xffffffff;
	struct pair old = {g[X86_RAX] & m, g[X86_RDX] & m}, new = {g[X86_RBX] & m, g[X86_RCX] & m};
	struct x86_tlb_entry *e;
	uint8_t *p;
	gva_t lin;

	if (slow_lin(v, u, c, &lin))
		return X86_FAULT;
	if (wide && lin & 15)
		return x86_gp0(v);
	p = x86_ptr(v, lin, c->mem_size, X86_ACC_WRITE, &e);
	if (LIKELY(p != NULL)) {
		*ret_equal = cmpxchg_host(p, wide, &old, &new);
		x86_stored(v, e, lin, c->mem_size);
	} else if (cmpxchg_slow(v, lin, c->mem_size, &old, &new, ret_equal)) {
		return X86_FAULT;
	}
	if (!*ret_equal) {
		g[X86_RAX] = old.lo & m;
		g[X86_RDX] = old.hi & m;
	}
	return X86_OK;
}

int uop_cmpxchg16(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	struct interp_cpu *ic = icpu(v);

	v->s.rip = uop_rip(u);
	if (cmpxchg_pair(v, u, &uop_block(u)->cold[u->n], &ic->tmp_equal))
		return fault(v, u, fl);
	fl = (fl & ~0x4000u) | (ic->tmp_equal ? 0x4000u : 0);
	return next_after(v, u, tab, fl);
}
