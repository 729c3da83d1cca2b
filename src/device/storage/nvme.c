/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVM Express controller: registers, queues, doorbells, interrupts, life (nvme.h). "NVMe": NVM
 * Express Base Specification 1.4 (June 2019).
 *
 *   BAR 0 + 0000h   controller registers (NVMe 3.1)
 *         + 1000h   doorbells
 *         + 2000h   MSI-X table, 3000h pending bits
 *
 * A doorbell fetches commands at once, up to a budget; more come by a timer. A command is copied
 * from its queue into a slot, and everything done with it looks at that copy only. Slots are state:
 * what is at the block layer when the VM is saved (a request that waits for host space) starts
 * again from its copy after a load; all commands that get there can be repeated. A completion that
 * finds its queue full waits in its slot.
 *
 * Entries of queues and PRP lists are guest RAM; anything else there is a fatal error of the
 * controller (CSTS.CFS) for queues and of the command for data.
 *
 * UNMODELLED: several namespaces and their management, controller memory buffer, bit buckets
 * of SGLs, fused operations, weighted arbitration (queues take turns by doorbell), firmware
 * download, self-test, sanitize, reservations, host memory buffer, power states beyond 0,
 * end-to-end protection.
 */
#include "device/storage/nvme.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

enum {
	REG_CAP = 0x00,
	REG_VS = 0x08,
	REG_INTMS = 0x0c,
	REG_INTMC = 0x10,
	REG_CC = 0x14,
	REG_CSTS = 0x1c,
	REG_AQA = 0x24,
	REG_ASQ = 0x28,
	REG_ACQ = 0x30,
	DOORBELLS = 0x1000,
	MSIX_TABLE = 0x2000,
	MSIX_PBA = 0x3000,
	BAR_SIZE = 0x4000,
};
#define CC_EN          0x1u
#define CC_SHN         0xc000u
#define CC_KNOWN       0x00fffff1u
#define CSTS_RDY       0x1u
#define CSTS_CFS       0x2u
#define CSTS_SHST      0xcu
#define CSTS_SHST_BUSY 0x4u
#define CSTS_SHST_DONE 0x8u
#define VERSION        0x00010400u
#define BUDGET         256u /* commands of one turn */
#define MPS_MAX        4u   /* pages of 64 KiB */
#define STRIDE_MAX     4u

static const struct state_field sq_fields[] = {
	STATE_VAL(struct nvme_sq_regs, base),
	STATE_VAL(struct nvme_sq_regs, entries, .max = 4096),
	STATE_VAL(struct nvme_sq_regs, head, .max = 4095),
	STATE_VAL(struct nvme_sq_regs, tail, .max = 4095),
	STATE_VAL(struct nvme_sq_regs, cq, .max = NVME_QUEUES - 1),
	STATE_END,
};
static const struct state_field cq_fields[] = {
	STATE_VAL(struct nvme_cq_regs, base),
	STATE_VAL(struct nvme_cq_regs, entries, .max = 4096),
	STATE_VAL(struct nvme_cq_regs, head, .max = 4095),
	STATE_VAL(struct nvme_cq_regs, tail, .max = 4095),
	STATE_VAL(struct nvme_cq_regs, vector, .max = NVME_QUEUES - 1),
	STATE_VAL(struct nvme_cq_regs, phase),
	STATE_VAL(struct nvme_cq_regs, ien),
	STATE_PAD(struct nvme_cq_regs, pad_),
	STATE_END,
};
static const struct state_field slot_fields[] = {
	STATE_BYTES_OF(struct nvme_slot_regs, cmd),
	STATE_VAL(struct nvme_slot_regs, result),
	STATE_VAL(struct nvme_slot_regs, sq, .max = NVME_QUEUES - 1),
	STATE_VAL(struct nvme_slot_regs, status, .max = 0x7fff),
	STATE_VAL(struct nvme_slot_regs, state, .max = NVME_SLOT_STATES - 1),
	STATE_PAD(struct nvme_slot_regs, pad_),
	STATE_END,
};
static const struct state_field error_fields[] = {
	STATE_VAL(struct nvme_error_regs, count),
	STATE_VAL(struct nvme_error_regs, lba),
	STATE_VAL(struct nvme_error_regs, nsid),
	STATE_VAL(struct nvme_error_regs, sq),
	STATE_VAL(struct nvme_error_regs, cid),
	STATE_VAL(struct nvme_error_regs, status),
	STATE_VAL(struct nvme_error_regs, where),
	STATE_PAD(struct nvme_error_regs, pad_),
	STATE_END,
};
static const struct state_field nvme_fields[] = {
	STATE_STRUCT(struct nvme_regs, pci, pci_regs_fields),
	STATE_STRUCT(struct nvme_regs, msix, pci_msix_regs_fields),
	STATE_VAL(struct nvme_regs, intms),
	STATE_VAL(struct nvme_regs, cc, .max = CC_KNOWN),
	STATE_VAL(struct nvme_regs, csts, .max = 0xf),
	STATE_VAL(struct nvme_regs, aqa, .max = 0x0fff0fff),
	STATE_VAL(struct nvme_regs, asq),
	STATE_VAL(struct nvme_regs, acq),
	STATE_STRUCTS(struct nvme_regs, sq, sq_fields),
	STATE_STRUCTS(struct nvme_regs, cq, cq_fields),
	STATE_STRUCTS(struct nvme_regs, slot, slot_fields),
	STATE_ARRAY(struct nvme_regs, feature),
	STATE_VAL(struct nvme_regs, vector_config),
	STATE_ARRAY(struct nvme_regs, event_cid),
	STATE_ARRAY(struct nvme_regs, event_info),
	STATE_VAL(struct nvme_regs, n_events, .max = NVME_EVENTS),
	STATE_VAL(struct nvme_regs, event_masked, .max = 15),
	STATE_VAL(struct nvme_regs, lba_shift, .min = 9, .max = 12),
	STATE_VAL(struct nvme_regs, flushing),
	STATE_STRUCTS(struct nvme_regs, error, error_fields),
	STATE_VAL(struct nvme_regs, n_errors),
	STATE_VAL(struct nvme_regs, sectors_read),
	STATE_VAL(struct nvme_regs, sectors_written),
	STATE_VAL(struct nvme_regs, reads),
	STATE_VAL(struct nvme_regs, writes),
	STATE_END,
};
static const struct state_desc nvme_state = STATE_DESC("nvme", 1, struct nvme_regs, nvme_fields);

static struct nvme *to_nvme(struct dev *d)
{
	return CONTAINER_OF(d, struct nvme, dev);
}

static bool running(const struct nvme *n)
{
	return (n->s.csts & (CSTS_RDY | CSTS_CFS)) == CSTS_RDY && !n->stopped &&
	       pci_bus_master(&n->f);
}

static void fatal(struct nvme *n, const char *what, gpa_t at)
{
	guest_error(&n->dev, "%s at %#llx is not RAM", what, (unsigned long long)at);
	n->s.csts |= CSTS_CFS;
}

/* ---- interrupts (NVMe 7.5) ---- */

void nvme_irq_update(struct nvme *n)
{
	bool level = false;

	for (unsigned i = 0; i < NVME_QUEUES; i++) {
		const struct nvme_cq_regs *q = &n->s.cq[i];

		level |= q->entries && q->ien && q->head != q->tail &&
			 !(n->s.intms >> q->vector & 1);
	}
	pci_intx_set(&n->f, level && !pci_msix_enabled(&n->f));
}

/* ---- completion queues ---- */

static bool cq_full(const struct nvme_cq_regs *q)
{
	return (q->tail + 1) % q->entries == q->head;
}

/* The entry of slot @i, whose queue has room (NVMe 4.6). The dword with the phase bit goes last. */
static void post(struct nvme *n, unsigned i)
{
	struct nvme_slot_regs *sl = &n->s.slot[i];
	struct nvme_sq_regs *sq = &n->s.sq[sl->sq];
	struct nvme_cq_regs *cq = &n->s.cq[sq->cq];
	gpa_t at = cq->base + (gpa_t)cq->tail * NVME_CQE;
	uint8_t e[NVME_CQE];

	st_le32(e, sl->result);
	st_le32(e + 4, 0);
	st_le16(e + 8, sq->head);
	st_le16(e + 10, sl->sq);
	st_le16(e + 12, ld_le16(sl->cmd + 2));
	st_le16(e + 14, (uint16_t)(sl->status << 1 | (cq->phase ? 1 : 0)));
	sl->state = NVME_FREE;
	n->free_slot[n->n_free++] = (uint16_t)i;
	if (dma_write(&n->dev, at, e, 12) < 0) {
		fatal(n, "a completion entry", at);
		return;
	}
	atomic_thread_fence(memory_order_release);
	if (dma_write(&n->dev, at + 12, e + 12, 4) < 0) {
		fatal(n, "a completion entry", at);
		return;
	}
	if (++cq->tail == cq->entries) {
		cq->tail = 0;
		cq->phase = !cq->phase;
	}
	if (!cq->ien)
		return;
	if (pci_msix_enabled(&n->f))
		pci_msix_notify(&n->f, cq->vector);
	else
		nvme_irq_update(n);
}

static void log_failure(struct nvme *n, const struct nvme_slot_regs *sl)
{
	struct nvme_error_regs *e;

	n->s.n_errors++;
	e = &n->s.error[(n->s.n_errors - 1) % NVME_ERRORS];
	*e = (struct nvme_error_regs){
		.count = n->s.n_errors,
		.lba = sl->sq ? ld_le64(sl->cmd + 40) : 0,
		.nsid = ld_le32(sl->cmd + 4),
		.sq = sl->sq,
		.cid = ld_le16(sl->cmd + 2),
		.status = (uint16_t)(sl->status << 1),
		.where = 0xffff,
	};
}

void nvme_complete(struct nvme *n, unsigned i, uint16_t status, uint32_t result)
{
	struct nvme_slot_regs *sl = &n->s.slot[i];
	const struct nvme_sq_regs *sq = &n->s.sq[sl->sq];

	if (n->slot[i].ranges) {
		n->range_busy[n->slot[i].ranges - 1] = false;
		n->slot[i].ranges = 0;
	}
	sl->state = NVME_DONE;
	sl->status = status;
	sl->result = result;
	if (status)
		log_failure(n, sl);
	if (!sq->entries || !n->s.cq[sq->cq].entries) { /* a loaded state could say so */
		sl->state = NVME_FREE;
		n->free_slot[n->n_free++] = (uint16_t)i;
	} else if (!cq_full(&n->s.cq[sq->cq]) && !(n->s.csts & CSTS_CFS) && pci_bus_master(&n->f)) {
		post(n, i);
	}
}

/* Completion queue @cq has room again. */
static void post_waiting(struct nvme *n, unsigned cq)
{
	for (unsigned i = 0; i < NVME_SLOTS && !cq_full(&n->s.cq[cq]); i++) {
		const struct nvme_slot_regs *sl = &n->s.slot[i];

		if (sl->state == NVME_DONE && n->s.sq[sl->sq].cq == cq)
			post(n, i);
		if (n->s.csts & CSTS_CFS)
			return;
	}
}

/* ---- submission queues ---- */

/* Fetch and start one command of queue @q; false when it has to wait. */
static bool fetch(struct nvme *n, unsigned q)
{
	struct nvme_sq_regs *sq = &n->s.sq[q];
	gpa_t at = sq->base + (gpa_t)sq->head * NVME_SQE;
	uint16_t head = sq->head;
	struct nvme_slot_regs *sl;
	uint32_t result = 0;
	unsigned i;
	int r;

	if (!n->n_free) {
		n->starved = true;
		return false;
	}
	i = n->free_slot[n->n_free - 1];
	sl = &n->s.slot[i];
	if (dma_read(&n->dev, at, sl->cmd, sizeof(sl->cmd)) < 0) {
		fatal(n, "a submission entry", at);
		return false;
	}
	n->n_free--;
	sl->sq = (uint16_t)q;
	sl->state = NVME_BUSY;
	sq->head = (uint16_t)((head + 1) % sq->entries);
	r = q ? nvme_io(n, i) : nvme_admin(n, i, &result);
	if (r == NVME_LATER) {
		sq->head = head;
		sl->state = NVME_FREE;
		n->free_slot[n->n_free++] = (uint16_t)i;
		n->starved = true;
		return false;
	}
	if (r >= 0)
		nvme_complete(n, i, (uint16_t)r, result);
	return true;
}

static void run_queue(struct nvme *n, unsigned q, unsigned *budget)
{
	const struct nvme_sq_regs *sq = &n->s.sq[q];

	while (running(n) && sq->entries && sq->head != sq->tail) {
		if (!*budget) {
			vtimer_arm(&n->again, clock_now(n->dev.sv->clock));
			return;
		}
		(*budget)--;
		if (!fetch(n, q))
			return;
	}
}

static void run_all(void *ctx)
{
	struct nvme *n = ctx;
	unsigned budget = BUDGET;

	n->starved = false;
	for (unsigned q = 0; q < NVME_QUEUES; q++)
		run_queue(n, q, &budget);
}

/* ---- the block layer ---- */

int nvme_submit(struct nvme *n, unsigned i, enum block_op op, uint64_t off, uint64_t len)
{
	struct nvme_slot *slot = &n->slot[i];

	slot->br.op = op;
	slot->br.off = off;
	slot->br.len = len;
	slot->br.iov = slot->data.iov;
	slot->br.niov = (int)slot->data.n;
	slot->at_block = true;
	block_submit(n->block, &slot->br);
	return NVME_PENDING;
}

static uint16_t failure(const struct block_req *br, int result)
{
	if (result == -EROFS)
		return NVME_READ_ONLY;
	switch (br->op) {
	case BLOCK_READ: return NVME_READ_ERROR;
	case BLOCK_WRITE:
	case BLOCK_ZEROES: return NVME_WRITE_FAULT;
	default: return NVME_INTERNAL;
	}
}

static void end_or_go_on(struct nvme *n, unsigned i)
{
	int r = nvme_io_next(n, i);

	if (r != NVME_PENDING)
		nvme_complete(n, i, (uint16_t)r, 0);
}

static void request_done(struct block_req *br, int result)
{
	struct nvme_slot *slot = CONTAINER_OF(br, struct nvme_slot, br);
	struct nvme *n = slot->n;
	unsigned i = (unsigned)(slot - n->slot);

	slot->at_block = false;
	if (n->s.slot[i].state != NVME_BUSY)
		return; /* forgotten meanwhile */
	if (br->op == BLOCK_READ)
		dma_list_done(&slot->data, n->dev.sv->mem);
	if (result < 0 && br->op != BLOCK_DISCARD)
		nvme_complete(n, i, failure(br, result), 0);
	else
		end_or_go_on(n, i);
	if (n->starved)
		run_all(n);
}

static void drain(struct nvme *n)
{
	block_drain(n->block);
	block_abort_parked(n->block);
	block_drain(n->block);
}

static void find_free(struct nvme *n)
{
	n->n_free = 0;
	for (unsigned i = NVME_SLOTS; i-- > 0;)
		if (n->s.slot[i].state == NVME_FREE)
			n->free_slot[n->n_free++] = (uint16_t)i;
}

void nvme_drop_queue(struct nvme *n, int sq)
{
	bool any = false;

	for (unsigned i = 0; i < NVME_SLOTS; i++) {
		struct nvme_slot_regs *sl = &n->s.slot[i];

		if (sl->state == NVME_FREE || (sq >= 0 && sl->sq != sq))
			continue;
		any |= n->slot[i].at_block;
		sl->state = NVME_FREE;
		if (n->slot[i].ranges)
			n->range_busy[n->slot[i].ranges - 1] = false;
		n->slot[i].ranges = 0;
	}
	/* Not in the list of free ones before nothing of them is at the block layer: other queues'
	 * commands that end now may let more be fetched. */
	if (any)
		drain(n);
	find_free(n);
}

/* ---- shutdown (NVMe 7.6.2) ---- */

static void shutdown_done(struct block_req *br, int result)
{
	struct nvme *n = br->ctx;

	(void)result; /* the block layer has told the person; here nobody can be told */
	n->shutdown_at_block = false;
	if (!n->s.flushing)
		return;
	n->s.flushing = false;
	n->s.csts = (n->s.csts & ~CSTS_SHST) | CSTS_SHST_DONE;
}

static void start_shutdown(struct nvme *n)
{
	n->s.flushing = true;
	n->s.csts = (n->s.csts & ~CSTS_SHST) | CSTS_SHST_BUSY;
	if (n->shutdown_at_block)
		return;
	n->shutdown_at_block = true;
	n->shutdown_req = (struct block_req){.op = BLOCK_FLUSH, .done = shutdown_done, .ctx = n};
	block_submit(n->block, &n->shutdown_req);
}

/* ---- registers ---- */

static uint64_t capabilities(const struct nvme *n)
{
	return (NVME_ENTRIES_MAX - 1) |           /* MQES */
	       BIT(16) |                          /* CQR */
	       (uint64_t)0x28 << 24 |             /* TO: 20 s */
	       (uint64_t)n->stride << 32 |        /* DSTRD */
	       BIT(37) | (uint64_t)MPS_MAX << 52; /* CSS: NVM; MPSMIN 4 KiB */
}

/* NVMe 7.3.2 and 3.1.5: all but the admin queue's registers. */
static void controller_reset(struct nvme *n)
{
	struct nvme_regs *s = &n->s;

	vtimer_cancel(&n->again);
	nvme_drop_queue(n, -1);
	if (n->shutdown_at_block)
		drain(n);
	memset(s->sq, 0, sizeof(s->sq));
	memset(s->cq, 0, sizeof(s->cq));
	memset(s->feature, 0, sizeof(s->feature));
	memset(s->event_info, 0, sizeof(s->event_info));
	memset(s->event_cid, 0, sizeof(s->event_cid));
	s->n_events = s->event_masked = 0;
	s->vector_config = 0;
	s->feature[NVME_F_WRITE_CACHE] = 1;
	s->feature[NVME_F_TEMPERATURE] = 0x157;
	s->feature[NVME_F_QUEUES] = (NVME_IO_QUEUES - 1) << 16 | (NVME_IO_QUEUES - 1);
	s->feature[NVME_F_ARBITRATION] = 7; /* no limit */
	s->flushing = false;
	s->cc = 0;
	s->csts = 0;
	s->intms = 0;
	n->starved = false;
	nvme_irq_update(n);
}

static void enable(struct nvme *n)
{
	struct nvme_regs *s = &n->s;
	uint16_t sq = (uint16_t)((s->aqa & 0xfff) + 1), cq = (uint16_t)((s->aqa >> 16 & 0xfff) + 1);
	unsigned mps = s->cc >> 7 & 15;

	/* 7.6.1: what the host got wrong keeps RDY at 0. */
	if (mps > MPS_MAX || (s->cc >> 4 & 7) || (s->cc >> 11 & 7) || sq < 2 || cq < 2 ||
	    (s->asq | s->acq) & (((uint64_t)1 << (12 + mps)) - 1)) {
		guest_error(&n->dev, "enabled with CC %#x, AQA %#x, ASQ %#llx, ACQ %#llx", s->cc,
			    s->aqa, (unsigned long long)s->asq, (unsigned long long)s->acq);
		s->csts |= CSTS_CFS;
		return;
	}
	s->sq[0] = (struct nvme_sq_regs){.base = s->asq, .entries = sq};
	s->cq[0] = (struct nvme_cq_regs){.base = s->acq, .entries = cq, .phase = true, .ien = true};
	s->csts |= CSTS_RDY;
}

static void write_cc(struct nvme *n, uint32_t val)
{
	struct nvme_regs *s = &n->s;
	uint32_t old = s->cc;

	val &= CC_KNOWN;
	if ((old & CC_EN) && !(val & CC_EN)) {
		controller_reset(n);
		s->cc = val & ~CC_SHN;
		return;
	}
	/* 3.1.5: page and queue entry sizes are changed while EN is 0 only */
	if (old & CC_EN)
		val = (old & ~CC_SHN) | (val & CC_SHN);
	s->cc = val;
	if ((val & CC_EN) && !(old & CC_EN))
		enable(n);
	if ((val & CC_SHN) && !(old & CC_SHN))
		start_shutdown(n);
	else if (!(val & CC_SHN) && (old & CC_SHN))
		s->csts &= ~CSTS_SHST;
}

static void write_half(uint64_t *reg, bool high, uint32_t val)
{
	*reg = high ? (*reg & 0xffffffff) | (uint64_t)val << 32
		    : (*reg & ~0xffffffffull) | (val & 0xfffff000);
}

/* NVMe 5.2, figure 146: error events */
enum { BAD_DOORBELL = 0, BAD_DOORBELL_VALUE = 1, EVENT_ERROR = 0, LOG_ERROR = 1 };

static void doorbell(struct nvme *n, uint32_t off, uint32_t val)
{
	unsigned k = off >> (2 + n->stride), q = k / 2, budget = BUDGET;

	if (!(n->s.csts & CSTS_RDY) || (off & ((4u << n->stride) - 1)))
		return;
	if (q >= NVME_QUEUES || !(k & 1 ? n->s.cq[q].entries : n->s.sq[q].entries)) {
		guest_error(&n->dev, "doorbell of queue %u, which isn't there", q);
		nvme_event(n, EVENT_ERROR, BAD_DOORBELL, LOG_ERROR);
		return;
	}
	if (val >= (k & 1 ? n->s.cq[q].entries : n->s.sq[q].entries)) {
		guest_error(&n->dev, "doorbell of queue %u: value %u", q, val);
		nvme_event(n, EVENT_ERROR, BAD_DOORBELL_VALUE, LOG_ERROR);
		return;
	}
	if (!(k & 1)) {
		n->s.sq[q].tail = (uint16_t)val;
		block_gather(n->block);
		run_queue(n, q, &budget);
		block_gathered(n->block);
		return;
	}
	n->s.cq[q].head = (uint16_t)val;
	if (running(n))
		post_waiting(n, q);
	nvme_irq_update(n);
	if (n->starved)
		run_all(n);
}

static uint64_t bar_read(void *ctx, uint64_t off, unsigned size)
{
	const struct nvme *n = ctx;
	const struct nvme_regs *s = &n->s;

	(void)size;
	if (off >= MSIX_PBA)
		return pci_msix_pba_read(&n->f, (uint32_t)(off - MSIX_PBA));
	if (off >= MSIX_TABLE)
		return pci_msix_table_read(&n->f, (uint32_t)(off - MSIX_TABLE));
	switch (off) {
	case REG_CAP: return (uint32_t)capabilities(n);
	case REG_CAP + 4: return capabilities(n) >> 32;
	case REG_VS: return VERSION;
	case REG_INTMS:
	case REG_INTMC: return s->intms;
	case REG_CC: return s->cc;
	case REG_CSTS: return s->csts;
	case REG_AQA: return s->aqa;
	case REG_ASQ: return (uint32_t)s->asq;
	case REG_ASQ + 4: return s->asq >> 32;
	case REG_ACQ: return (uint32_t)s->acq;
	case REG_ACQ + 4: return s->acq >> 32;
	default: return 0;
	}
}

static void bar_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct nvme *n = ctx;
	struct nvme_regs *s = &n->s;
	uint32_t v = (uint32_t)val;

	(void)size;
	if (off >= MSIX_PBA)
		return;
	if (off >= MSIX_TABLE) {
		pci_msix_table_write(&n->f, (uint32_t)(off - MSIX_TABLE), v);
		return;
	}
	if (off >= DOORBELLS) {
		doorbell(n, (uint32_t)(off - DOORBELLS), v);
		return;
	}
	switch (off) {
	case REG_INTMS:
		s->intms |= v;
		nvme_irq_update(n);
		break;
	case REG_INTMC:
		s->intms &= ~v;
		nvme_irq_update(n);
		break;
	case REG_CC: write_cc(n, v); break;
	case REG_AQA: s->aqa = v & 0x0fff0fff; break;
	case REG_ASQ:
	case REG_ASQ + 4: write_half(&s->asq, off != REG_ASQ, v); break;
	case REG_ACQ:
	case REG_ACQ + 4: write_half(&s->acq, off != REG_ACQ, v); break;
	default: break;
	}
}

static void config_written(struct pci_func *f, unsigned off, unsigned size)
{
	struct nvme *n = CONTAINER_OF(f, struct nvme, f);

	(void)off, (void)size;
	nvme_irq_update(n);
	if (running(n)) {
		for (unsigned q = 0; q < NVME_QUEUES; q++)
			if (n->s.cq[q].entries)
				post_waiting(n, q);
		run_all(n);
	}
}

/* ---- life ---- */

static void nvme_unrealize(struct dev *d)
{
	struct nvme *n = to_nvme(d);

	if (n->iov) {
		vtimer_cancel(&n->again);
		nvme_drop_queue(n, -1);
		n->s.flushing = false;
		drain(n);
	}
	for (unsigned i = 0; i < NVME_RANGE_BUFFERS; i++)
		free(n->range_buf[i]);
	free(n->iov);
	free(n->gpa);
	n->iov = NULL;
	pci_func_done(&n->f);
}

static int add_function(struct nvme *n, struct error *err)
{
	static const struct pci_ids ids = {.vendor = 0x1b36,
					   .device = 0x0100,
					   .subsystem_vendor = 0x1af4,
					   .subsystem = 0x1100,
					   .revision = 1,
					   .cls = 0x0108,
					   .prog_if = 0x02, /* NVM Express */
					   .interrupt_pin = 1};
	int r;

	pci_func_init(&n->f, &n->dev, &n->s.pci, &ids);
	n->bar = (struct bus_region){.name = "nvme",
				     .size = BAR_SIZE,
				     .valid = WIDTH_ANY,
				     .impl = WIDTH_4,
				     .read = bar_read,
				     .write = bar_write,
				     .ctx = n};
	pci_bar_add(&n->f, 0, PCI_BAR_MEM64, &n->bar);
	n->f.config_written = config_written;
	r = pci_msix_init(&n->f, &n->s.msix, NVME_QUEUES, 0, MSIX_TABLE, MSIX_PBA);
	if (r < 0)
		return error_set(err, r, "'%s': capabilities don't fit", n->dev.id);
	if (!n->devfn && !n->bus->bridge) {
		r = pci_bus_free_slot(n->bus, 2);
		if (r < 0)
			return error_set(err, r, "no free PCI slot for '%s'", n->dev.id);
		n->devfn = PCI_DEVFN((unsigned)r, 0);
	}
	return pci_func_add(&n->f, n->bus, n->devfn, err);
}

static int nvme_realize(struct dev *d, struct error *err)
{
	struct nvme *n = to_nvme(d);

	if (!n->block || !n->bus)
		return error_set(err, -EINVAL, "'%s': wire 'block' and 'bus' first", d->id);
	if (!n->lba_shift)
		n->lba_shift = 9;
	if ((n->lba_shift != 9 && n->lba_shift != 12) || n->stride > STRIDE_MAX ||
	    block_size(n->block) >> n->lba_shift == 0)
		return error_set(err, -EINVAL,
				 "'%s': blocks of 512 or 4096 bytes, and at least one of them",
				 d->id);
	if (!n->serial[0])
		snprintf(n->serial, sizeof(n->serial), "%.20s", d->id);
	vtimer_init(&n->again, d->sv->clock, run_all, n);
	n->gpa = xtry_calloc(NVME_SLOTS * NVME_SEGS, sizeof(*n->gpa));
	n->iov = xtry_calloc(NVME_SLOTS * NVME_SEGS, sizeof(*n->iov));
	for (unsigned i = 0; i < NVME_RANGE_BUFFERS; i++)
		n->range_buf[i] = xtry_calloc(NVME_RANGES, 16);
	if (!n->gpa || !n->iov || !n->range_buf[NVME_RANGE_BUFFERS - 1])
		return error_set(err, -ENOMEM, "no memory for the requests of '%s'", d->id);
	for (unsigned i = 0; i < NVME_SLOTS; i++) {
		struct nvme_slot *slot = &n->slot[i];

		slot->n = n;
		slot->br = (struct block_req){.done = request_done};
		slot->data = (struct dma_list){.iov = n->iov + i * NVME_SEGS,
					       .gpa = n->gpa + i * NVME_SEGS,
					       .cap = NVME_SEGS};
	}
	return add_function(n, err);
}

static void nvme_reset(struct dev *d, enum dev_reset kind)
{
	struct nvme *n = to_nvme(d);
	struct nvme_regs *s = &n->s;
	uint8_t shift = kind == DEV_RESET_COLD || !s->lba_shift ? n->lba_shift : s->lba_shift;

	controller_reset(n);
	pci_func_reset(&n->f, kind);
	memset(s->slot, 0, sizeof(s->slot));
	memset(s->error, 0, sizeof(s->error));
	s->aqa = 0;
	s->asq = s->acq = 0;
	s->lba_shift = shift;
	s->n_errors = s->sectors_read = s->sectors_written = s->reads = s->writes = 0;
	find_free(n);
	n->stopped = false;
}

static int nvme_quiesce(struct dev *d)
{
	struct nvme *n = to_nvme(d);

	n->stopped = true;
	block_drain(n->block);
	return 0;
}

static void nvme_resume(struct dev *d)
{
	struct nvme *n = to_nvme(d);

	n->stopped = false;
	for (unsigned i = 0; i < NVME_SLOTS; i++) {
		struct nvme_slot_regs *sl = &n->s.slot[i];
		uint32_t result = 0;
		int r;

		/* Only what a loaded state says: requests of our own are at the block layer. */
		if (sl->state != NVME_BUSY || n->slot[i].at_block ||
		    (!sl->sq && sl->cmd[0] == NVME_ADM_EVENT))
			continue;
		r = sl->sq ? nvme_io(n, i) : nvme_admin(n, i, &result);
		if (r == NVME_LATER)
			r = NVME_ABORT_REQUESTED;
		if (r >= 0 && sl->state == NVME_BUSY)
			nvme_complete(n, i, (uint16_t)r, result);
	}
	if (n->s.flushing && !n->shutdown_at_block)
		start_shutdown(n);
	if (running(n))
		run_all(n);
}

static int nvme_loaded(struct dev *d, struct error *err)
{
	struct nvme *n = to_nvme(d);
	struct nvme_regs *s = &n->s;

	for (unsigned i = 0; i < NVME_QUEUES; i++) {
		struct nvme_sq_regs *sq = &s->sq[i];
		struct nvme_cq_regs *cq = &s->cq[i];

		if ((sq->entries && (sq->entries < 2 || sq->head >= sq->entries ||
				     sq->tail >= sq->entries || !s->cq[sq->cq].entries)) ||
		    (cq->entries &&
		     (cq->entries < 2 || cq->head >= cq->entries || cq->tail >= cq->entries)))
			return error_set(err, -EINVAL, "queue %u contradicts itself", i);
	}
	for (unsigned i = 0; i < NVME_SLOTS; i++)
		if (s->slot[i].state != NVME_FREE && !s->sq[s->slot[i].sq].entries)
			return error_set(err, -EINVAL, "a command of a queue that isn't there");
	if (s->lba_shift != 9 && s->lba_shift != 12)
		return error_set(err, -EINVAL, "blocks of 2^%u bytes", s->lba_shift);
	if ((s->csts & CSTS_RDY) && !(s->cc & CC_EN))
		return error_set(err, -EINVAL, "ready without being enabled");
	if ((s->cc >> 7 & 15) > MPS_MAX && (s->csts & CSTS_RDY))
		return error_set(err, -EINVAL, "a page size that isn't offered");
	s->cc &= CC_KNOWN;
	s->aqa &= 0x0fff0fff;
	find_free(n);
	memset(n->range_busy, 0, sizeof(n->range_busy));
	for (unsigned i = 0; i < NVME_SLOTS; i++)
		n->slot[i].ranges = 0;
	nvme_irq_update(n);
	return pci_func_loaded(&n->f, err);
}

const struct dev_class nvme_class = {
	.name = "nvme",
	.summary = "NVM Express controller with one namespace",
	.spec = "NVM Express Base Specification, Revision 1.4, June 2019",
	.size = sizeof(struct nvme),
	.regs_offset = offsetof(struct nvme, s),
	.state = &nvme_state,
	.realize = nvme_realize,
	.unrealize = nvme_unrealize,
	.reset = nvme_reset,
	.quiesce = nvme_quiesce,
	.resume = nvme_resume,
	.loaded = nvme_loaded,
};
