/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVM Express: admin commands (NVMe 5). See nvme.h.
 *
 * What a command answers with is built in a page on the stack and copied to the host's memory.
 * Asynchronous events: one of each type waits at most; after it was reported, its type is silent
 * until the host reads the log page it names (NVMe 5.2).
 */
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "device/storage/nvme.h"

enum {
	ADM_DELETE_SQ = 0x00,
	ADM_CREATE_SQ = 0x01,
	ADM_GET_LOG = 0x02,
	ADM_DELETE_CQ = 0x04,
	ADM_CREATE_CQ = 0x05,
	ADM_IDENTIFY = 0x06,
	ADM_ABORT = 0x08,
	ADM_SET_FEATURES = 0x09,
	ADM_GET_FEATURES = 0x0a,
	ADM_FORMAT = 0x80,
};
enum { PAGE = 4096 };
enum { EVENT_SMART = 1, SMART_TEMPERATURE = 1, LOG_SMART = 2 };

static uint32_t cdw(const uint8_t *cmd, unsigned n)
{
	return ld_le32(cmd + 4 * n);
}

/* @len bytes of @b to where the command's data goes. */
static int to_host(struct nvme *n, unsigned i, void *b, uint64_t len)
{
	struct dma_list *l = &n->slot[i].data;
	int r = len ? nvme_map_prp(n, l, n->s.slot[i].cmd, len, true) : NVME_OK;

	if (r == NVME_OK && len)
		dma_list_copy(l, n->dev.sv->mem, 0, b, len);
	return r;
}

/* ---- queues (NVMe 5.3 to 5.6) ---- */

static int create_cq(struct nvme *n, const uint8_t *cmd)
{
	uint16_t qid = ld_le16(cmd + 40), size = ld_le16(cmd + 42), vector = ld_le16(cmd + 46);
	uint32_t flags = cdw(cmd, 11);
	uint64_t base = ld_le64(cmd + 24);

	if (!qid || qid >= NVME_QUEUES || n->s.cq[qid].entries)
		return NVME_INVALID_QID;
	if (!size || size >= NVME_ENTRIES_MAX)
		return NVME_INVALID_QUEUE_SIZE;
	if (vector >= (pci_msix_enabled(&n->f) ? NVME_QUEUES : 1))
		return NVME_INVALID_VECTOR;
	if (!(flags & 1) || (n->s.cc >> 20 & 15) != 4) /* contiguous; IOCQES */
		return NVME_INVALID_FIELD;
	if (base & ((1ull << nvme_page_shift(n)) - 1))
		return NVME_INVALID_PRP_OFFSET;
	n->s.cq[qid] = (struct nvme_cq_regs){.base = base,
					     .entries = (uint16_t)(size + 1),
					     .vector = vector,
					     .phase = true,
					     .ien = flags & 2};
	return NVME_OK;
}

static int create_sq(struct nvme *n, const uint8_t *cmd)
{
	uint16_t qid = ld_le16(cmd + 40), size = ld_le16(cmd + 42), cq = ld_le16(cmd + 46);
	uint64_t base = ld_le64(cmd + 24);

	if (!qid || qid >= NVME_QUEUES || n->s.sq[qid].entries)
		return NVME_INVALID_QID;
	if (!cq || cq >= NVME_QUEUES || !n->s.cq[cq].entries)
		return NVME_INVALID_CQ;
	if (!size || size >= NVME_ENTRIES_MAX)
		return NVME_INVALID_QUEUE_SIZE;
	if (!(cdw(cmd, 11) & 1) || (n->s.cc >> 16 & 15) != 6)
		return NVME_INVALID_FIELD;
	if (base & ((1ull << nvme_page_shift(n)) - 1))
		return NVME_INVALID_PRP_OFFSET;
	n->s.sq[qid] =
		(struct nvme_sq_regs){.base = base, .entries = (uint16_t)(size + 1), .cq = cq};
	return NVME_OK;
}

static int delete_sq(struct nvme *n, const uint8_t *cmd)
{
	uint16_t qid = ld_le16(cmd + 40);

	if (!qid || qid >= NVME_QUEUES || !n->s.sq[qid].entries)
		return NVME_INVALID_QID;
	nvme_drop_queue(n, qid);
	n->s.sq[qid] = (struct nvme_sq_regs){0};
	return NVME_OK;
}

static int delete_cq(struct nvme *n, const uint8_t *cmd)
{
	uint16_t qid = ld_le16(cmd + 40);

	if (!qid || qid >= NVME_QUEUES || !n->s.cq[qid].entries)
		return NVME_INVALID_QID;
	for (unsigned i = 1; i < NVME_QUEUES; i++)
		if (n->s.sq[i].entries && n->s.sq[i].cq == qid)
			return NVME_INVALID_QUEUE_DELETION;
	n->s.cq[qid] = (struct nvme_cq_regs){0};
	nvme_irq_update(n);
	return NVME_OK;
}

/* ---- Identify (NVMe 5.15) ---- */

static void put_string(uint8_t *p, const char *s, size_t len)
{
	size_t n = strnlen(s, len);

	memset(p, ' ', len);
	memcpy(p, s, n);
}

/* A number for this disk that is the same each time: FNV-1a of the serial number. */
static uint64_t identity(const struct nvme *n)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (const char *s = n->serial; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3ull;
	return h;
}

/* Figure 247 */
static void identify_controller(const struct nvme *n, uint8_t *b)
{
	uint64_t id = identity(n);

	st_le16(b, 0x1b36);
	st_le16(b + 2, 0x1af4);
	put_string(b + 4, n->serial, 20);
	put_string(b + 24, "BOTHY NVMe", 40);
	put_string(b + 64, "1.0", 8);
	/* MDTS: 1 MiB. Threads that write parts of one file by turns wait for each other. */
	b[77] = 8;
	st_le32(b + 80, 0x00010400);
	b[111] = 1;               /* I/O controller */
	st_le16(b + 256, 0x0002); /* OACS: format */
	b[258] = 3;               /* ACL */
	b[259] = NVME_EVENTS - 1;
	b[260] = 0x03; /* one firmware slot, read only */
	b[261] = 0x02; /* commands supported and effects log */
	b[262] = NVME_ERRORS - 1;
	st_le16(b + 266, 0x157); /* warning and critical temperature */
	st_le16(b + 268, 0x175);
	b[512] = 0x66;
	b[513] = 0x44;
	st_le16(b + 514, 0);
	st_le32(b + 516, 1);          /* namespaces */
	st_le16(b + 520, 0x008d);     /* ONCS: compare, dataset management, write zeroes, verify */
	b[524] = 0x01;                /* a format is of all namespaces */
	b[525] = 0x07;                /* volatile write cache; flush of all namespaces */
	st_le32(b + 536, 0x00040001); /* SGLs, which may be longer than the data */
	snprintf((char *)b + 768, 256,
		 "nqn.2014-08.org.nvmexpress:uuid:%08x-%04x-4%03x-8%03x-%012llx",
		 (uint32_t)(id >> 32), (uint32_t)(id >> 16 & 0xffff), (uint32_t)(id & 0xfff),
		 (uint32_t)(id >> 12 & 0xfff), (unsigned long long)(id >> 8 & 0xffffffffffff));
	st_le16(b + 2048, 2500); /* power state 0: 25 W */
}

/* Figure 245 */
static void identify_namespace(const struct nvme *n, uint8_t *b)
{
	uint64_t blocks = nvme_blocks(n);
	uint32_t page_blocks = 4096u >> n->s.lba_shift;

	st_le64(b, blocks);
	st_le64(b + 8, blocks);
	st_le64(b + 16, blocks);
	b[24] = 0x10; /* preferred sizes are given */
	b[25] = 1;    /* two formats */
	b[26] = n->s.lba_shift == 12 ? 1 : 0;
	b[33] = block_can_discard(n->block) ? 0x09 : 0; /* deallocated blocks read as zeros */
	st_le64(b + 48, block_size(n->block));
	for (unsigned at = 64; at <= 72; at += 2) /* NPWG, NPWA, NPDG, NPDA, NOWS */
		st_le16(b + at, (uint16_t)(page_blocks - 1));
	b[99] = block_read_only(n->block) ? 1 : 0;
	st_be64(b + 120, identity(n));
	st_le32(b + 128, 9u << 16);
	st_le32(b + 132, 12u << 16);
}

static int identify(struct nvme *n, unsigned i, const uint8_t *cmd)
{
	uint8_t b[PAGE] = {0};
	uint32_t nsid = cdw(cmd, 1);

	switch (cmd[40]) {
	case 0x00: /* namespace; FFFFFFFFh: what all have in common */
		if (nsid != NVME_NSID && nsid != NVME_NSID_ALL)
			return NVME_INVALID_NAMESPACE;
		identify_namespace(n, b);
		break;
	case 0x01: identify_controller(n, b); break;
	case 0x02: /* active namespaces above nsid */
		if (nsid >= 0xfffffffe)
			return NVME_INVALID_NAMESPACE;
		if (nsid < NVME_NSID)
			st_le32(b, NVME_NSID);
		break;
	case 0x03: /* namespace identification descriptors: EUI64 */
		if (nsid != NVME_NSID)
			return NVME_INVALID_NAMESPACE;
		b[0] = 1;
		b[1] = 8;
		st_be64(b + 4, identity(n));
		break;
	default: return NVME_INVALID_FIELD;
	}
	return to_host(n, i, b, PAGE);
}

/* ---- log pages (NVMe 5.14) ---- */

static void log_errors(const struct nvme *n, uint8_t *b)
{
	for (unsigned k = 0; k < NVME_ERRORS && k < n->s.n_errors; k++, b += 64) {
		const struct nvme_error_regs *e =
			&n->s.error[(n->s.n_errors - 1 - k) % NVME_ERRORS];

		st_le64(b, e->count);
		st_le16(b + 8, e->sq);
		st_le16(b + 10, e->cid);
		st_le16(b + 12, e->status);
		st_le16(b + 14, e->where);
		st_le64(b + 16, e->lba);
		st_le32(b + 24, e->nsid);
	}
}

/* Figure 196 */
static void log_smart(const struct nvme *n, uint8_t *b)
{
	uint64_t hours = clock_now(n->dev.sv->clock) / (3600ull * NS_PER_SEC);

	st_le16(b + 1, NVME_TEMPERATURE);
	b[3] = 100; /* spare */
	b[4] = 10;
	st_le64(b + 32, (n->s.sectors_read + 999) / 1000);
	st_le64(b + 48, (n->s.sectors_written + 999) / 1000);
	st_le64(b + 64, n->s.reads);
	st_le64(b + 80, n->s.writes);
	st_le64(b + 112, 1); /* power cycles */
	st_le64(b + 128, hours);
	st_le64(b + 176, n->s.n_errors);
	st_le16(b + 200, NVME_TEMPERATURE);
}

/* Commands supported, and that one changes logical blocks or the namespace. Figure 203. */
static void log_effects(uint8_t *b)
{
	static const uint8_t admin[] = {
		ADM_DELETE_SQ, ADM_CREATE_SQ, ADM_GET_LOG,      ADM_DELETE_CQ,    ADM_CREATE_CQ,
		ADM_IDENTIFY,  ADM_ABORT,     ADM_SET_FEATURES, ADM_GET_FEATURES, NVME_ADM_EVENT};

	for (unsigned i = 0; i < ARRAY_SIZE(admin); i++)
		st_le32(b + 4 * admin[i], 1);
	st_le32(b + 4 * ADM_FORMAT, 0x2000b); /* blocks and namespace change; alone */
	/* flush, read, compare and verify change nothing */
	for (unsigned op = 0; op <= 12; op++)
		if (0x1327 >> op & 1)
			st_le32(b + 1024 + 4 * op, 0x1025 >> op & 1 ? 1 : 3);
}

static int get_log(struct nvme *n, unsigned i, const uint8_t *cmd)
{
	uint64_t len = (((uint64_t)(cdw(cmd, 11) & 0xffff) << 16 | cdw(cmd, 10) >> 16) + 1) * 4;
	uint64_t at = ld_le64(cmd + 48), size;
	bool keep_event = cdw(cmd, 10) >> 15 & 1;
	uint8_t b[PAGE] = {0}, page = cmd[40];
	int r;

	switch (page) {
	case 0x01:
		size = NVME_ERRORS * 64;
		log_errors(n, b);
		break;
	case 0x02:
		size = 512;
		log_smart(n, b);
		break;
	case 0x03: /* firmware slots */
		size = 512;
		b[0] = 1;
		put_string(b + 8, "1.0", 8);
		break;
	case 0x05:
		size = PAGE;
		log_effects(b);
		break;
	default: return NVME_INVALID_LOG_PAGE;
	}
	if (at >= size || (at & 3))
		return NVME_INVALID_FIELD;
	/* What the host wants beyond the page's end is undefined: it is left alone. */
	r = to_host(n, i, b + at, MIN(len, size - at));
	if (r == NVME_OK && !keep_event && page <= 3) {
		n->s.event_masked &= (uint8_t) ~(1u << (page - 1));
		nvme_events_report(n);
	}
	return r;
}

/* ---- events (NVMe 5.2) ---- */

void nvme_events_report(struct nvme *n)
{
	for (unsigned type = 0; type < NVME_EVENTS; type++) {
		uint16_t cid;

		if (!n->s.event_info[type] || (n->s.event_masked >> type & 1) || !n->s.n_events)
			continue;
		cid = n->s.event_cid[--n->s.n_events];
		n->s.event_masked |= (uint8_t)(1u << type);
		for (unsigned i = 0; i < NVME_SLOTS; i++) {
			struct nvme_slot_regs *sl = &n->s.slot[i];

			if (sl->state == NVME_BUSY && !sl->sq && sl->cmd[0] == NVME_ADM_EVENT &&
			    ld_le16(sl->cmd + 2) == cid) {
				nvme_complete(n, i, NVME_OK, n->s.event_info[type]);
				break;
			}
		}
		n->s.event_info[type] = 0;
	}
}

void nvme_event(struct nvme *n, unsigned type, unsigned info, unsigned log_page)
{
	n->s.event_info[type & 3] = (type & 7) | info << 8 | log_page << 16;
	nvme_events_report(n);
}

static int event_request(struct nvme *n, unsigned i)
{
	if (n->s.n_events == NVME_EVENTS)
		return NVME_EVENT_LIMIT;
	n->s.event_cid[n->s.n_events++] = ld_le16(n->s.slot[i].cmd + 2);
	nvme_events_report(n);
	return NVME_PENDING;
}

/* An event request can be taken back; nothing else is (NVMe 5.1). */
static int abort_command(struct nvme *n, const uint8_t *cmd, uint32_t *ret_result)
{
	uint16_t sq = ld_le16(cmd + 40), cid = ld_le16(cmd + 42);

	*ret_result = 1;
	for (unsigned k = 0; !sq && k < n->s.n_events; k++) {
		if (n->s.event_cid[k] != cid)
			continue;
		for (unsigned i = 0; i < NVME_SLOTS; i++) {
			struct nvme_slot_regs *sl = &n->s.slot[i];

			if (sl->state != NVME_BUSY || sl->sq || sl->cmd[0] != NVME_ADM_EVENT ||
			    ld_le16(sl->cmd + 2) != cid)
				continue;
			n->s.event_cid[k] = n->s.event_cid[--n->s.n_events];
			nvme_complete(n, i, NVME_ABORT_REQUESTED, 0);
			*ret_result = 0;
			return NVME_OK;
		}
	}
	return NVME_OK;
}

/* ---- features (NVMe 5.9, 5.21) ---- */

/* What a feature was before anybody set it. */
static uint32_t feature_default(uint8_t id)
{
	switch (id) {
	case NVME_F_ARBITRATION: return 7;
	case NVME_F_TEMPERATURE: return 0x157;
	case NVME_F_WRITE_CACHE: return 1;
	case NVME_F_QUEUES: return (NVME_IO_QUEUES - 1) << 16 | (NVME_IO_QUEUES - 1);
	default: return 0;
	}
}

static bool feature_known(uint8_t id)
{
	return id && id <= NVME_F_EVENTS && id != 3;
}

static int get_features(struct nvme *n, const uint8_t *cmd, uint32_t *ret_result)
{
	uint8_t id = cmd[40], select = (uint8_t)(cdw(cmd, 10) >> 8 & 7);
	uint32_t v11 = cdw(cmd, 11);

	if (!feature_known(id) || select > 3)
		return NVME_INVALID_FIELD;
	if (select == 3) { /* capabilities: changeable */
		*ret_result = 4;
	} else if (select) { /* default; saved is the same */
		*ret_result = feature_default(id);
	} else if (id == NVME_F_VECTOR) {
		if ((v11 & 0xffff) >= NVME_QUEUES)
			return NVME_INVALID_FIELD;
		*ret_result = (v11 & 0xffff) | (n->s.vector_config >> (v11 & 0xffff) & 1) << 16;
	} else if (id == NVME_F_TEMPERATURE && (v11 >> 16 & 0x3f)) {
		*ret_result = v11 >> 20 & 3 ? 0 : 0xffff; /* other sensors, under threshold */
	} else {
		*ret_result = n->s.feature[id];
	}
	return NVME_OK;
}

static int set_features(struct nvme *n, unsigned i, const uint8_t *cmd, uint32_t *ret_result)
{
	uint8_t id = cmd[40];
	uint32_t v = cdw(cmd, 11), vector = v & 0xffff;

	if (!feature_known(id))
		return NVME_INVALID_FIELD;
	if (cdw(cmd, 10) >> 31)
		return NVME_FEATURE_NOT_SAVEABLE;
	switch (id) {
	case NVME_F_POWER:
		if (v & 31)
			return NVME_INVALID_FIELD;
		break;
	case NVME_F_QUEUES: /* as many as asked for, not more than there are; not later */
		if ((v & 0xffff) == 0xffff || v >> 16 == 0xffff)
			return NVME_INVALID_FIELD;
		for (unsigned q = 1; q < NVME_QUEUES; q++)
			if (n->s.cq[q].entries || n->s.sq[q].entries)
				return NVME_SEQUENCE;
		v = feature_default(id);
		*ret_result = v;
		break;
	case NVME_F_VECTOR:
		if (vector >= NVME_QUEUES)
			return NVME_INVALID_FIELD;
		n->s.vector_config &= ~(1u << vector);
		n->s.vector_config |= (v >> 16 & 1) << vector;
		return NVME_OK;
	case NVME_F_TEMPERATURE:
		if (v >> 16 & 0x3f)
			return NVME_OK; /* of a sensor that isn't there */
		if (!(v >> 20 & 3)) {
			n->s.feature[id] = v & 0xffff;
			if ((v & 0xffff) <= NVME_TEMPERATURE &&
			    (n->s.feature[NVME_F_EVENTS] & (1u << SMART_TEMPERATURE)))
				nvme_event(n, EVENT_SMART, SMART_TEMPERATURE, LOG_SMART);
		}
		return NVME_OK;
	case NVME_F_WRITE_CACHE:
		n->s.feature[id] = v & 1;
		/* what stands in the cache has to be durable first */
		n->slot[i].data.n = 0;
		return v & 1 ? NVME_OK : nvme_submit(n, i, BLOCK_FLUSH, 0, 0);
	default: break;
	}
	n->s.feature[id] = v;
	return NVME_OK;
}

/* ---- Format NVM (NVMe 5.23) ---- */

/* The format is the controller's until power-off: image files have no place for it. */
static int format(struct nvme *n, unsigned i, const uint8_t *cmd)
{
	uint32_t nsid = cdw(cmd, 1), v = cdw(cmd, 10);
	uint8_t lbaf = v & 15, shift = lbaf ? 12 : 9;

	if (nsid != NVME_NSID && nsid != NVME_NSID_ALL)
		return NVME_INVALID_NAMESPACE;
	if (block_read_only(n->block))
		return NVME_READ_ONLY;
	if (lbaf > 1 || (v & 0x1f0) || (v >> 9 & 7) > 1 || block_size(n->block) >> shift == 0)
		return NVME_INVALID_FORMAT;
	for (unsigned k = 0; k < NVME_SLOTS; k++)
		if (n->s.slot[k].state == NVME_BUSY && n->s.slot[k].sq)
			return NVME_SEQUENCE;
	n->s.lba_shift = shift;
	n->slot[i].data.n = 0;
	n->slot[i].br.fua = false;
	return nvme_submit(n, i, BLOCK_ZEROES, 0, block_size(n->block));
}

int nvme_admin(struct nvme *n, unsigned i, uint32_t *ret_result)
{
	const uint8_t *cmd = n->s.slot[i].cmd;

	if (cmd[1] & 3)
		return NVME_INVALID_FIELD;
	switch (cmd[0]) {
	case ADM_DELETE_SQ: return delete_sq(n, cmd);
	case ADM_CREATE_SQ: return create_sq(n, cmd);
	case ADM_GET_LOG: return get_log(n, i, cmd);
	case ADM_DELETE_CQ: return delete_cq(n, cmd);
	case ADM_CREATE_CQ: return create_cq(n, cmd);
	case ADM_IDENTIFY: return identify(n, i, cmd);
	case ADM_ABORT: return abort_command(n, cmd, ret_result);
	case ADM_SET_FEATURES: return set_features(n, i, cmd, ret_result);
	case ADM_GET_FEATURES: return get_features(n, cmd, ret_result);
	case NVME_ADM_EVENT: return event_request(n, i);
	case ADM_FORMAT: return format(n, i, cmd);
	default: return NVME_INVALID_OPCODE;
	}
}
