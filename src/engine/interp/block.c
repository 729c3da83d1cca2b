/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoded blocks: building, finding, invalidation. Intel SDM vol. 3, 8.1.3 (self- and
 * cross-modifying code), 11.6.
 *
 * A block is what was decoded from one RAM or ROM page (named by its host address, so that remapped
 * pages and ROM shadows are different pages) at one RIP in one mode. It holds a copy of the bytes.
 * An instruction that crosses into the next page is a block of its own that names both pages and is
 * entered from the run loop only, which checks both. Blocks of a page that turns up at another
 * linear address are moved there together (instance.c).
 *
 * Invalidation: before bytes are read for good, the 64-byte granules they lie in are marked and the
 * page's code byte is set; then comes a fence that all vCPU threads take part in (membarrier), then
 * the bytes are compared with what was decoded and the page's generation is noted. A store that
 * finds the code byte set and a granule marked clears both and steps the generation, which makes
 * every block of the page stale. Stores pay nothing but a load of the code byte: it may run ahead
 * of the store itself, but not past the fence. So either the decoder sees the new bytes or the
 * store sees the mark. Marking and clearing exclude each other (code_lock), so that a mark found
 * set has its fence behind it. A stale block whose bytes still match is taken again.
 *
 * Stores of translated code do not look. They go through slots (cpu/x86/vcpu.h), which are filled
 * for pages without code only, and each filling is noted (x86_note_store()). Whoever marks a page
 * looks at the notes of the other vCPUs after the fence. A vCPU that may have a slot over the page,
 * or be between its check and the store, is asked to empty its slots, which it does in
 * block_find(), where no access is under way; one that is parked does so before it runs again.
 * Nobody waits for that longer than a few microseconds: until it has been done, blocks of the page
 * are decoded, run once and forgotten (MARK_LATER), as if each instruction were fetched from
 * memory. Serializing instructions end blocks, so that such a block never goes on with what was
 * read before one. In the other direction: a page whose code byte is found clear has no block that
 * is valid, because its generation is stepped, and the vCPUs that translated it are told, before
 * the byte is cleared.
 *
 * Memory: a pool and the thunk arena, both bounded; when either is full everything is dropped
 * (block_flush_all), never below a running block: only here, and at the start of run().
 * How much of the pool may be used says the VM's budget (budget.c).
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/interp/interp.h"
#include "mem/guest.h"

#define BLOCK_ROOM 24576u /* pool bytes that the largest block can need */

void block_flush_all(struct interp_cpu *ic)
{
	if (ic->hooks)
		ic->hooks->flush(ic->v);
	memset(ic->jump, 0, sizeof(ic->jump));
	memset(ic->hash, 0, sizeof(ic->hash));
	memset(ic->instance, 0, sizeof(ic->instance));
	ic->pool_used = 0;
	ic->link = NULL;
	thunk_arena_reset(&ic->thunks);
	/* back to the host: what filled it once need not do so again */
	(void)madvise(ic->pool, ic->pool_taken, MADV_DONTNEED);
	ic->pool_taken = BUDGET_PIECE;
	budget_give_back(&ic->ivm->budget[BUDGET_BLOCKS], &ic->share[BUDGET_BLOCKS], BUDGET_PIECE);
	ic->flush_wanted = false;
	ic->flushed++;
}

bool block_pool_room(struct interp_cpu *ic, size_t size)
{
	while (UNLIKELY(ic->pool_used + size > ic->pool_taken)) {
		if (ic->pool_taken + BUDGET_PIECE > ic->pool_size ||
		    !interp_take(ic, BUDGET_BLOCKS, BUDGET_PIECE))
			return false;
		ic->pool_taken += BUDGET_PIECE;
	}
	return true;
}

void *block_pool_alloc(struct interp_cpu *ic, size_t size)
{
	void *p = ic->pool + ic->pool_used;

	size = align_up(size, 16);
	if (!block_pool_room(ic, size))
		return NULL;
	ic->pool_used += size;
	return p;
}

/* A place in code: where its blocks are in the hash, and their mark there. */
struct place {
	unsigned slot, mark;
};

/* Where blocks can be moved, RIP is not part of the hash: an instance_bring() need not touch it,
 * and the same page is at few addresses at a time. */
static struct place place_of(const uint8_t *code, uint64_t rip, uint32_t key)
{
	uint64_t place = key_can_move(key) ? 0 : rip * 0x9e3779b97f4a7c15ull;
	uint64_t h = ((uintptr_t)code ^ place ^ key) * 0xff51afd7ed558ccdull;

	return (struct place){(unsigned)(h >> 40) & (BLOCK_HASH - 1), (h >> 24) & 0xffff};
}

static struct place block_place(const struct block *b)
{
	return place_of(b->page + b->page_off, b->rip, b->key);
}

/* From the link at *@at on: the next block with @mark, to which *@at leads then; NULL: none. */
static struct block *marked(block_link **at, unsigned mark)
{
	for (; **at; *at = &link_target(**at)->hash_next) {
		if (link_mark(**at) == mark)
			return link_target(**at);
		if (!(**at & LINK_MORE))
			return NULL;
	}
	return NULL;
}

struct block *block_older(const struct block *b)
{
	block_link next = b->hash_next, *at = &next;

	return marked(&at, block_place(b).mark);
}

/* ---- code pages ---- */

static struct interp_page *page_meta(struct interp_vm *ivm, const struct x86_tlb_entry *e)
{
	uint64_t n = (e->block->ram_offset + x86_entry_off(e)) >> MEM_PAGE_SHIFT;

	check(n < ivm->n_pages);
	return &ivm->pages[n];
}

static void fence_all_threads(struct interp_cpu *ic)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (ic->ivm->smp)
		(void)syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

/* ---- stores of other vCPUs ---- */

/* Ask the other vCPUs that may store to page @n without looking to stop it. Return: there are some
 * that still may. After the fence, code_lock held. */
static bool ask_others(const struct interp_cpu *self, uint64_t n)
{
	bool some = false;

	for (struct interp_cpu *ic = self->ivm->cpus; ic; ic = ic->next) {
		if (ic == self || !x86_may_store(ic->v, n))
			continue;
		atomic_store(&ic->empty_wanted, true);
		if (atomic_load(&ic->parked))
			continue; /* it looks at empty_wanted after it has cleared that */
		atomic_fetch_or(&ic->v->request, (uint32_t)VCPU_REQ_EVENT);
		some = true;
	}
	return some;
}

void interp_empty_slots(struct interp_cpu *ic)
{
	if (LIKELY(!atomic_load_explicit(&ic->empty_wanted, memory_order_relaxed)))
		return;
	atomic_store(&ic->empty_wanted, false);
	x86_slots_flush(ic->v);
}

/* A few microseconds: longer than a vCPU needs that is running, shorter than it is worth to wait
 * for one that is not. */
static void wait_for_others(struct interp_cpu *ic, uint64_t n)
{
	enum { TURNS = 64 };
	bool some = true;

	for (unsigned i = 0; some && i < TURNS; i++) {
		__builtin_ia32_pause();
		pthread_mutex_lock(&ic->ivm->code_lock);
		some = false;
		for (struct interp_cpu *o = ic->ivm->cpus; o; o = o->next)
			some |= o != ic && x86_may_store(o->v, n) && !atomic_load(&o->parked);
		pthread_mutex_unlock(&ic->ivm->code_lock);
	}
}

/* ---- marking ---- */

enum mark {
	MARK_CHANGED, /* the bytes are others now */
	MARK_LATER,   /* they may become others without anybody's knowing */
	MARK_DONE,
};

static enum mark mark_once(struct interp_cpu *ic, struct interp_page *meta, _Atomic uint8_t *code,
			   const uint8_t *page, unsigned off, unsigned len, const uint8_t *bytes,
			   uint64_t *ret_gen)
{
	uint64_t mask = interp_granules(off, len), n = (uint64_t)(meta - ic->ivm->pages);
	enum mark r = MARK_DONE;

	pthread_mutex_lock(&ic->ivm->code_lock);
	if (!atomic_load(code) || (ic->ivm->smp && x86_may_store(ic->v, n))) {
		x86_slots_drop_code(ic->v, code);
		x86_forget_store(ic->v, n);
	}
	if ((atomic_load(&meta->granules) & mask) != mask || !atomic_load(code)) {
		atomic_fetch_or(&meta->granules, mask);
		atomic_store(code, 1);
		fence_all_threads(ic);
	}
	if (ic->ivm->smp && ask_others(ic, n))
		r = MARK_LATER;
	else if (!guest_equal(page + off, bytes, len))
		r = MARK_CHANGED;
	else
		*ret_gen = atomic_load(&meta->gen);
	if (ic->tr)
		meta->users |= BIT(ic->v->index & 63);
	pthread_mutex_unlock(&ic->ivm->code_lock);
	return r;
}

/*
 * Mark [off, off+len) of a page as decoded. MARK_DONE: and the generation, if the bytes are still
 * @bytes. Granules that another vCPU has marked count only once its fence is through: hence the
 * lock.
 */
static enum mark mark_code(struct interp_cpu *ic, struct interp_page *meta, _Atomic uint8_t *code,
			   const uint8_t *page, unsigned off, unsigned len, const uint8_t *bytes,
			   uint64_t *ret_gen)
{
	enum mark r = mark_once(ic, meta, code, page, off, len, bytes, ret_gen);

	if (LIKELY(r != MARK_LATER))
		return r;
	wait_for_others(ic, (uint64_t)(meta - ic->ivm->pages));
	return mark_once(ic, meta, code, page, off, len, bytes, ret_gen);
}

/*
 * Tell the vCPUs that have translated code from the page; code_lock held. Whoever writes code for
 * another processor must make that one serialize (SDM vol. 3, 8.1.3), so a request, which it sees
 * at its next jump backwards, call, indirect branch or special instruction, comes early enough. The
 * writing vCPU itself looks before it enters translated code again.
 */
static void post_stale(struct interp_vm *ivm, struct interp_page *meta)
{
	for (struct interp_cpu *ic = ivm->cpus; ic; ic = ic->next) {
		uint32_t n = atomic_load_explicit(&ic->n_stale, memory_order_relaxed);

		if (!ic->tr || !(meta->users & BIT(ic->v->index & 63)))
			continue;
		if (n < STALE_MOST)
			ic->stale[n] = meta;
		if (n <= STALE_MOST)
			atomic_store_explicit(&ic->n_stale, n + 1, memory_order_release);
		if (ic != trap_current())
			atomic_fetch_or(&ic->v->request, (uint32_t)VCPU_REQ_EVENT);
	}
	meta->users = 0;
}

unsigned interp_fetch_stale(struct interp_cpu *ic, struct interp_page *to[STALE_MOST])
{
	unsigned n;

	pthread_mutex_lock(&ic->ivm->code_lock);
	n = atomic_load_explicit(&ic->n_stale, memory_order_relaxed);
	memcpy(to, ic->stale, MIN(n, STALE_MOST) * sizeof(to[0]));
	atomic_store_explicit(&ic->n_stale, 0, memory_order_relaxed);
	pthread_mutex_unlock(&ic->ivm->code_lock);
	return n;
}

void interp_code_written(struct interp_vm *ivm, struct ram_block *rb, uint64_t off, uint64_t len)
{
	while (len) {
		uint64_t page = off >> MEM_PAGE_SHIFT,
			 n = (rb->ram_offset >> MEM_PAGE_SHIFT) + page;
		unsigned in_page = (unsigned)(off & (MEM_PAGE_SIZE - 1));
		unsigned part = (unsigned)MIN(len, MEM_PAGE_SIZE - in_page);
		struct interp_page *meta;
		uint64_t granules, mask;

		if (n >= ivm->n_pages)
			return;
		meta = &ivm->pages[n];
		mask = interp_granules(in_page, part);
		granules = atomic_load(&meta->granules);
		/* Not marked, seen after the store: whoever marks them later reads the new bytes.
		 */
		if (!granules || granules & mask) {
			pthread_mutex_lock(&ivm->code_lock);
			/* the code byte last: who finds it clear stores without telling */
			atomic_fetch_add(&meta->gen, 1);
			post_stale(ivm, meta);
			atomic_store(&meta->granules, 0);
			atomic_store(&rb->code[page], 0);
			pthread_mutex_unlock(&ivm->code_lock);
		}
		off += part;
		len -= part;
	}
}

/* ---- building ---- */

struct draft {
	struct uop uop[BLOCK_MAX_INSNS + 1];
	struct uop_cold cold[BLOCK_MAX_INSNS + 1];
	uint8_t bytes[BLOCK_MAX_INSNS * INSN_MAX];
	unsigned n, n_bytes;
	bool ends, crosses, full;
};

static void trace_asm(struct vcpu *v, const struct insn *in, uint64_t rip)
{
	char text[120];

	insn_format(in, rip, text, sizeof(text));
	log_trace("cpu%u: in_asm: %016llx: %s", v->index, (unsigned long long)rip, text);
}

/* One instruction from @p with @avail bytes before the page ends. False: the draft ends before it.
 */
static bool draft_insn(struct vcpu *v, struct draft *d, const uint8_t *p, unsigned avail,
		       uint64_t rip, uint32_t key)
{
	struct interp_cpu *ic = icpu(v);
	struct uop *u = &d->uop[d->n];
	struct uop_cold *c = &d->cold[d->n];
	struct insn in;
	enum decode_result r = decode_guest(v, p, MIN(avail, 15u), key_bits(key), &in);

	*u = (struct uop){.n = (uint8_t)d->n, .scale = 1};
	*c = (struct uop_cold){.off = (int16_t)d->n_bytes};
	if (r == DECODE_SHORT) {
		d->crosses = d->n == 0;
		return false;
	}
	/* Code segment limit: the whole instruction must lie inside. SDM vol. 3, 5.3. */
	if (!(key & X86_MODE_CS64) && rip + MAX(in.len, (uint8_t)1) - 1 > v->s.seg[X86_CS].limit)
		r = DECODE_TOO_LONG;
	d->n_bytes += MAX(in.len, (uint8_t)1);
	d->n++;
	if (r != DECODE_OK) {
		uop_fault(u, r == DECODE_TOO_LONG ? X86_GP : X86_UD);
		d->ends = true;
		return false;
	}
	if (UNLIKELY(v->trace & TRACE_IN_ASM))
		trace_asm(v, &in, rip);
	if (!uop_digest(ic, key, rip, &in, u, c, &d->ends)) {
		d->full = true;
		return false;
	}
	return !d->ends;
}

static void draft_block(struct vcpu *v, struct draft *d, const uint8_t *code, unsigned avail,
			uint64_t rip, uint32_t key)
{
	unsigned most = key & KEY_SINGLE ? 1 : BLOCK_MAX_INSNS;

	d->n = d->n_bytes = 0;
	d->ends = d->crosses = d->full = false;
	guest_copy_bulk(d->bytes, code, MIN(avail, (unsigned)sizeof(d->bytes)));
	while (d->n < most && d->n_bytes < avail)
		if (!draft_insn(v, d, d->bytes + d->n_bytes,
				MIN(avail, (unsigned)sizeof(d->bytes)) - d->n_bytes,
				rip + d->n_bytes, key))
			break;
}

static struct block *commit(struct vcpu *v, const struct draft *d, uint64_t rip, uint32_t key)
{
	struct interp_cpu *ic = icpu(v);
	unsigned n = d->n + 1;
	size_t size = sizeof(struct block) + n * (sizeof(struct uop) + sizeof(struct uop_cold)) +
		      d->n_bytes;
	struct block *b;
	uint64_t end = rip + d->n_bytes;

	check(ic->pool_used + size <= ic->pool_taken);
	b = (struct block *)(ic->pool + ic->pool_used);
	ic->pool_used += align_up(size, 16);
	*b = (struct block){.rip = rip,
			    .key = key,
			    .n_insns = (uint16_t)d->n,
			    .n_bytes = (uint16_t)d->n_bytes,
			    .flags = key & KEY_SINGLE ? BLOCK_SINGLE : 0};
	memcpy(b->uop, d->uop, d->n * sizeof(struct uop));
	b->cold = (struct uop_cold *)&b->uop[n];
	memcpy(b->cold, d->cold, d->n * sizeof(struct uop_cold));
	b->cold[d->n] = (struct uop_cold){.off = (int16_t)d->n_bytes};
	b->bytes = (uint8_t *)&b->cold[n];
	memcpy(b->bytes, d->bytes, d->n_bytes);
	for (unsigned i = 0; i < d->n; i++)
		b->rip_rel |= d->uop[i].rip_rel;
	b->uop[d->n] = (struct uop){.n = (uint8_t)d->n, .scale = 1};
	uop_end(&b->uop[d->n], end - (rip & ~0xfffull), key);
	ic->built++;
	return b;
}

/* ---- crossing instructions and MMIO ---- */

/* X86_FETCH results of fetch_bytes(). */
static int fetch_part(struct vcpu *v, gva_t lin, unsigned n, uint8_t *to,
		      struct x86_tlb_entry *copy)
{
	bool mmio;
	struct x86_tlb_entry *e = x86_fetch_page(v, lin, &mmio);

	*copy = (struct x86_tlb_entry){0};
	if (e) {
		*copy = *e;
		guest_copy_bulk(to, e->host + (lin & 0xfff), n);
		return X86_OK;
	}
	if (!mmio)
		return X86_FAULT;
	for (unsigned i = 0; i < n; i++)
		if (x86_read(v, lin + i, 1, to + i, X86_ACC_READ))
			return X86_FAULT;
	return X86_OK;
}

static gva_t code_lin(const struct vcpu *v, uint64_t rip, uint32_t key)
{
	return key & X86_MODE_CS64 ? rip : (uint32_t)(v->s.seg[X86_CS].base + rip);
}

/*
 * The slow way to one instruction: bytes may come from two pages or from MMIO. The second page is
 * touched only if the instruction reaches into it, so that its fault is precise.
 */
static struct block *build_odd(struct vcpu *v, struct draft *d, uint64_t rip, uint32_t key,
			       int *ret_r)
{
	struct interp_cpu *ic = icpu(v);
	gva_t lin = code_lin(v, rip, key);
	unsigned first = MIN(15u, 4096 - (unsigned)(lin & 0xfff));
	struct x86_tlb_entry e1, e2 = {0};
	uint8_t bytes[16] = {0};
	unsigned avail = first;
	struct insn in;
	struct block *b;

	*ret_r = fetch_part(v, lin, first, bytes, &e1);
	if (*ret_r)
		return NULL;
	if (first < 15 && decode_guest(v, bytes, first, key_bits(key), &in) == DECODE_SHORT) {
		*ret_r = fetch_part(v, code_lin(v, rip + first, key), 15 - first, bytes + first,
				    &e2);
		if (*ret_r)
			return NULL;
		avail = 15;
	}
	draft_block(v, d, bytes, avail, rip, key | KEY_SINGLE);
	if (d->full)
		return NULL;
	b = commit(v, d, rip, key);
	b->flags |= BLOCK_SINGLE | BLOCK_TWO_PAGES;
	if (!e1.host || (e2.host == NULL && avail > first))
		return b; /* MMIO: good for one run, never found again (page is NULL) */
	b->page_off = (uint16_t)(lin & 0xfff);
	b->meta = page_meta(ic->ivm, &e1);
	if (mark_code(ic, b->meta, e1.code, e1.host, b->page_off, MIN(first, b->n_bytes), b->bytes,
		      &b->gen) != MARK_DONE)
		return b;
	if (avail > first) {
		b->meta2 = page_meta(ic->ivm, &e2);
		if (b->n_bytes > first &&
		    mark_code(ic, b->meta2, e2.code, e2.host, 0, b->n_bytes - first,
			      b->bytes + first, &b->gen2) != MARK_DONE)
			return b;
		b->page2 = e2.host;
	}
	b->page = e1.host;
	return b;
}

/* ---- finding ---- */

static void insert(struct interp_cpu *ic, struct block *b)
{
	struct place p = block_place(b);

	b->hash_next = ic->hash[p.slot];
	ic->hash[p.slot] = link_to(b, p.mark) | (b->hash_next ? LINK_MORE : 0);
	if (key_can_move(b->key))
		instance_add(ic, b);
}

void block_unhash(struct interp_cpu *ic, struct block *b)
{
	struct place p = block_place(b);
	block_link *at = &ic->hash[p.slot];
	const struct block *o;

	while ((o = marked(&at, p.mark)) && o != b)
		at = &link_target(*at)->hash_next;
	if (o)
		*at = b->hash_next;
}

/* Code in a segment whose limit can change under the same key. */
static bool limit_ok(const struct vcpu *v, const struct block *b)
{
	return b->key & (X86_MODE_CS64 | X86_MODE_FLAT) ||
	       b->rip + b->n_bytes - 1 <= v->s.seg[X86_CS].limit;
}

bool block_unchanged(struct interp_cpu *ic, struct block *b, const struct x86_tlb_entry *e)
{
	ic->v->count.smc++;
	if (mark_code(ic, b->meta, e->code, e->host, b->page_off, b->n_bytes, b->bytes, &b->gen) !=
	    MARK_DONE)
		return false;
	if (b->native)
		ic->hooks->revalidated(b);
	return true;
}

/* A block found by its page: is it still what is there? Stale ones are compared and taken again. */
static bool revalidate(struct vcpu *v, struct block *b, const struct x86_tlb_entry *e)
{
	struct interp_cpu *ic = icpu(v);

	if (!limit_ok(v, b))
		return false;
	if (b->flags & BLOCK_TWO_PAGES) {
		bool mmio;
		unsigned first = 4096u - b->page_off;
		struct x86_tlb_entry *e2;

		if (!b->page || !block_valid(b))
			return false;
		if (!b->page2)
			return true;
		e2 = x86_fetch_page(v, code_lin(v, b->rip + first, b->key), &mmio);
		return e2 && e2->host == b->page2 && b->gen2 == atomic_load(&b->meta2->gen);
	}
	if (LIKELY(block_valid(b)))
		return true;
	return block_unchanged(ic, b, e);
}

/* A block for two pages is complete. */
static void insert_odd(struct vcpu *v, struct block *b)
{
	struct interp_cpu *ic = icpu(v);

	insert(ic, b);
	if (b->page2 && ic->hooks && !ic->unchained && b->key & X86_MODE_FLAT &&
	    !(b->key & KEY_SINGLE))
		ic->hooks->built(v, b);
}

static struct block *build(struct vcpu *v, const struct x86_tlb_entry *e, uint64_t rip,
			   uint32_t key, int *ret_r)
{
	struct interp_cpu *ic = icpu(v);
	unsigned off = (unsigned)(code_lin(v, rip, key) & 0xfff);
	struct draft *d = ic->draft;
	enum mark mark;
	struct block *b;
	size_t used;

	for (unsigned tries = 0;; tries++) {
		if (!block_pool_room(ic, BLOCK_ROOM) || (tries && d->full))
			block_flush_all(ic);
		check(tries < 64 || !d->full);
		draft_block(v, d, e->host + off, 4096 - off, rip, key);
		if (d->full)
			continue;
		if (d->crosses) {
			b = build_odd(v, d, rip, key, ret_r);
			if (!b && !*ret_r)
				continue; /* arena full */
			if (b && b->page)
				insert_odd(v, b);
			return b;
		}
		used = ic->pool_used;
		b = commit(v, d, rip, key);
		b->page = e->host;
		b->page_off = (uint16_t)off;
		b->meta = page_meta(ic->ivm, e);
		mark = mark_code(ic, b->meta, e->code, e->host, off, b->n_bytes, b->bytes, &b->gen);
		if (mark == MARK_DONE) {
			insert(ic, b);
			if (ic->hooks && !(b->flags & BLOCK_SINGLE))
				ic->hooks->built(v, b);
			return b;
		}
		if (tries > 16 || mark == MARK_LATER) {
			/* Somebody keeps writing it, or may: what was read is as good as anything.
			 */
			b->gen = atomic_load(&b->meta->gen) - 1;
			b->flags |= BLOCK_SINGLE;
			if (mark == MARK_LATER) /* nothing is built before it has run */
				ic->pool_used = used;
			return b;
		}
	}
}

static void link_block(struct interp_cpu *ic, struct block *b)
{
	struct block **link = ic->link, *from;
	unsigned which;

	ic->link = NULL;
	if (!link || ic->unchained || b->flags & (BLOCK_SINGLE | BLOCK_TWO_PAGES))
		return;
	from = ic->link_from;
	which = (unsigned)(link - from->succ);
	/* The run loop may have gone elsewhere (interrupt), or the mode may have changed. */
	if (b->key != from->key || b->rip != ic->link_rip)
		return;
	*link = b;
	if (((b->rip ^ from->rip) & ~0xfffull) || b->page != from->page ||
	    from->flags & BLOCK_TWO_PAGES)
		from->succ_far |= (uint8_t)(1u << which);
	else
		from->succ_far &= (uint8_t) ~(1u << which);
}

/* Code that keeps being rewritten leaves one stale block for each version; a few are kept, because
 * programs like to alternate. */
#define VERSIONS_MOST 4

static struct block *lookup(struct vcpu *v, struct place p, const struct x86_tlb_entry *e,
			    uint64_t rip)
{
	struct interp_cpu *ic = icpu(v);
	block_link *at = &ic->hash[p.slot];
	unsigned stale = 0;
	struct block *b;

	while ((b = marked(&at, p.mark))) {
		if (b->rip == rip && b->key == ic->key && b->page == e->host) {
			if (revalidate(v, b, e))
				return b;
			if (++stale > VERSIONS_MOST) {
				*at = b->hash_next;
				continue;
			}
		}
		at = &b->hash_next;
	}
	return NULL;
}

struct block *block_beside(struct vcpu *v, const struct block *from, uint64_t rip, bool may_build)
{
	struct interp_cpu *ic = icpu(v);
	unsigned off = (unsigned)rip & 0xfff;
	struct x86_tlb_entry *e;
	struct place p;
	block_link *at;
	struct block *b;
	bool mmio;
	int r;

	if ((rip ^ from->rip) & ~0xfffull || !block_still_mapped(v, from, rip))
		return NULL;
	p = place_of(from->page + off, rip, from->key);
	for (at = &ic->hash[p.slot]; (b = marked(&at, p.mark)); at = &b->hash_next)
		if (b->rip == rip && b->key == from->key && b->page == from->page &&
		    !(b->flags & (BLOCK_SINGLE | BLOCK_TWO_PAGES)) && block_valid(b))
			return b;
	if (!may_build || !block_pool_room(ic, 3 * BLOCK_ROOM))
		return NULL;
	e = x86_fetch_page(v, rip, &mmio);
	if (!e || e->host != from->page)
		return NULL;
	b = build(v, e, rip, from->key, &r);
	return b && !(b->flags & (BLOCK_SINGLE | BLOCK_TWO_PAGES)) ? b : NULL;
}

struct block *block_find(struct vcpu *v, int *ret_r)
{
	struct interp_cpu *ic = icpu(v);
	uint64_t rip = v->s.rip;
	uint32_t key = ic->key;
	gva_t lin = code_lin(v, rip, key);
	bool mmio;
	struct x86_tlb_entry *e;
	struct place p;
	struct block *b;

	*ret_r = X86_OK;
	if (UNLIKELY(ic->flush_wanted))
		block_flush_all(ic);
	if (UNLIKELY(atomic_load_explicit(&ic->n_stale, memory_order_acquire)))
		ic->hooks->stale(v);
	interp_empty_slots(ic);
	b = jump_get(ic, rip);
	if (b && b->rip == rip && b->key == key && key & X86_MODE_FLAT && block_valid(b) &&
	    block_still_mapped(v, b, rip)) {
		link_block(ic, b);
		return b;
	}
	if (!(key & X86_MODE_CS64) ? rip > v->s.seg[X86_CS].limit : !x86_canonical(rip)) {
		*ret_r = x86_gp0(v);
		return NULL;
	}
	e = x86_fetch_page(v, lin, &mmio);
	if (UNLIKELY(!e)) {
		if (!mmio) {
			*ret_r = X86_FAULT;
			return NULL;
		}
		if (!block_pool_room(ic, BLOCK_ROOM))
			block_flush_all(ic);
		b = build_odd(v, ic->draft, rip, key, ret_r);
		if (!b && !*ret_r) {
			block_flush_all(ic);
			b = build_odd(v, ic->draft, rip, key, ret_r);
		}
		return b;
	}
	p = place_of(e->host + (lin & 0xfff), rip, key);
	b = lookup(v, p, e, rip);
	if (!b && key_can_move(key) && instance_bring(v, e, rip, key))
		b = lookup(v, p, e, rip);
	if (!b)
		b = build(v, e, rip, key, ret_r);
	if (!b)
		return NULL;
	if (b->inst)
		*b->inst->used = ic->turn;
	link_block(ic, b);
	if (b->flags & BLOCK_TWO_PAGES && b->native)
		ic->hooks->crossing(v, b);
	if (!(b->flags & (BLOCK_SINGLE | BLOCK_TWO_PAGES)) && !ic->unchained)
		jump_put(ic, b, rip);
	return b;
}

void *block_draft_new(void)
{
	return xnew(struct draft);
}
