/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio SCSI host (virtio_scsi.h). Virtio 1.2, 5.6: queues (5.6.2), configuration (5.6.4),
 * requests (5.6.6.1), task management (5.6.6.2), events (5.6.6.3).
 *
 * A request is a readable header with the command block and data to the device, a writable response
 * with sense data, and data to the driver; how it is cut into descriptors means nothing. Data goes
 * to the block layer as iovecs of guest RAM without a copy. The response is written last, by the
 * guest's addresses of the element, since the iovecs are trimmed for the data by then.
 *
 * In flight: at most one command per ring element, in a pool of that size. Commands that wait for
 * host space are in the ring state and started again from their descriptors after a restore.
 *
 * Task management functions that end commands wait for the block layer: nothing is taken back
 * half done.
 *
 * UNMODELLED: logical units other than 0, bidirectional commands, protection information, task
 * attributes (all are simple), asynchronous notifications (none is ever sent).
 */
#include "device/virtio/virtio_scsi.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bits.h"
#include "mem/guest.h"

/* Feature bits, 5.6.3 */
enum { SCSI_F_HOTPLUG = 1 };
enum { Q_CONTROL, Q_EVENT, Q_REQUEST };

/* Response codes, 5.6.6.1 and 5.6.6.2 */
enum {
	S_OK = 0,
	S_OVERRUN = 1,
	S_BAD_TARGET = 3,
	S_RESET = 4,
	S_FUNCTION_SUCCEEDED = 10,
	S_FUNCTION_REJECTED = 11,
	S_INCORRECT_LUN = 12,
};
enum { T_TASK_MANAGEMENT = 0, T_AN_QUERY = 1, T_AN_SUBSCRIBE = 2 };
enum {
	TMF_ABORT_TASK = 0,
	TMF_ABORT_TASK_SET = 1,
	TMF_CLEAR_ACA = 2,
	TMF_CLEAR_TASK_SET = 3,
	TMF_NEXUS_RESET = 4,
	TMF_UNIT_RESET = 5,
	TMF_QUERY_TASK = 6,
	TMF_QUERY_TASK_SET = 7,
};
enum { EVENT_TRANSPORT_RESET = 1, REASON_RESCAN = 1, REASON_REMOVED = 2, EVENT_SIZE = 16 };
#define EVENT_MISSED 0x80000000u

/* struct virtio_scsi_config, 5.6.4 */
enum {
	CONFIG_NUM_QUEUES = 0,
	CONFIG_SEG_MAX = 4,
	CONFIG_MAX_SECTORS = 8,
	CONFIG_CMD_PER_LUN = 12,
	CONFIG_EVENT_SIZE = 16,
	CONFIG_SENSE_SIZE = 20,
	CONFIG_CDB_SIZE = 24,
	CONFIG_MAX_CHANNEL = 28,
	CONFIG_MAX_TARGET = 30,
	CONFIG_MAX_LUN = 32,
	CONFIG_SIZE = 36,
};
enum { REQ_HEADER = 19, RESP_HEADER = 12, SENSE_DEFAULT = 96, CDB_DEFAULT = 32 };
#define QUEUE_SIZE 256u

static const struct state_field virtio_scsi_fields[] = {
	STATE_STRUCT(struct virtio_scsi_regs, v, virtio_regs_fields),
	STATE_STRUCTS(struct virtio_scsi_regs, q, virtq_regs_fields),
	STATE_VAL(struct virtio_scsi_regs, sense_size, .max = VIRTIO_SCSI_SENSE_MAX),
	STATE_VAL(struct virtio_scsi_regs, cdb_size, .max = VIRTIO_SCSI_CDB_MAX),
	STATE_VAL(struct virtio_scsi_regs, plug_events, .max = (1u << VIRTIO_SCSI_TARGETS) - 1),
	STATE_VAL(struct virtio_scsi_regs, events_missed),
	STATE_PAD(struct virtio_scsi_regs, pad_),
	STATE_STRUCTS(struct virtio_scsi_regs, lu, scsi_lu_regs_fields),
	STATE_END,
};
static const struct state_desc virtio_scsi_state =
	STATE_DESC("virtio-scsi", 1, struct virtio_scsi_regs, virtio_scsi_fields);

static struct virtio_scsi *to_scsi(struct virtio_dev *vd)
{
	return CONTAINER_OF(vd, struct virtio_scsi, vd);
}

/* 5.6.6.1: byte 0 is 1, byte 1 the target, then a logical unit in SAM format. The number of the
 * target, -1 if there is none. */
static int target_of(const struct virtio_scsi *vs, const uint8_t *lun)
{
	if (lun[0] != 1 || lun[1] >= VIRTIO_SCSI_TARGETS || !vs->target[lun[1]].present)
		return -1;
	return lun[1];
}

static unsigned unit_of(const uint8_t *lun)
{
	return (lun[2] & 0x3fu) << 8 | lun[3];
}

/* ---- commands ---- */

/* @len bytes of the element's writable part, from its start. */
static void respond(struct virtio_scsi *vs, const struct vq_elem *e, const uint8_t *b, uint64_t len)
{
	for (unsigned i = e->n_rd; i < e->n_rd + e->n_wr && len; i++) {
		size_t n = (size_t)MIN(len, e->seg[i].len);

		if (dma_write(&vs->vd.dev, e->seg[i].gpa, b, n) < 0)
			return; /* it was RAM when the element was popped */
		b += n;
		len -= n;
	}
}

static void complete(struct virtio_scsi_req *req, uint8_t response)
{
	struct virtio_scsi *vs = req->vs;
	struct vq_elem *e = req->e;
	uint8_t b[RESP_HEADER + VIRTIO_SCSI_SENSE_MAX] = {0};
	const struct scsi_cmd *c = &req->c;
	uint32_t sense = vs->s.sense_size;

	if (response == S_OK) {
		if (c->status == SCSI_CHECK_CONDITION) {
			st_le32(b, MIN(sense, SCSI_SENSE_LEN));
			scsi_put_sense(b + RESP_HEADER, c->key, c->asc, c->ascq);
			memset(b + RESP_HEADER + sense, 0, sizeof(b) - RESP_HEADER - sense);
		}
		st_le32(b + 4, req->left);
		b[10] = c->status;
	}
	b[11] = response;
	respond(vs, e, b, RESP_HEADER + sense);
	req->e = NULL;
	vq_push(e, MIN((uint64_t)RESP_HEADER + sense + req->in, e->wr_len));
	virtio_signal(&vs->vd, req->queue);
}

static void work_done(struct block_req *br, int result)
{
	struct virtio_scsi_req *req = CONTAINER_OF(br, struct virtio_scsi_req, br);
	struct scsi_lu *lu = &req->vs->target[req->target].lu;

	if (req->reset) {
		scsi_give_up(lu, &req->c);
		complete(req, S_RESET);
	} else if (req->c.act != SCSI_WORK) {
		scsi_io_done(&req->c, result);
		complete(req, S_OK);
	} else if (scsi_work(lu, &req->c, result, br)) {
		block_submit(lu->block, br);
	} else {
		complete(req, S_OK);
	}
}

/* READ and WRITE: @cur is the data part of its direction. */
static void start_transfer(struct virtio_scsi_req *req, const struct vq_cursor *cur)
{
	struct scsi_cmd *c = &req->c;
	struct block *b = req->vs->target[req->target].lu.block;
	int n = cur->left < c->bytes ? -1 : vq_take_iov(req->e, cur, c->bytes, &req->br.iov);

	if (n < 0) {
		complete(req, S_OVERRUN);
		return;
	}
	req->left = (uint32_t)MIN(cur->left - c->bytes, (uint64_t)UINT32_MAX);
	req->in = c->act == SCSI_READ ? (uint32_t)MIN(c->bytes, (uint64_t)UINT32_MAX) : 0;
	req->br.op = c->act == SCSI_READ ? BLOCK_READ : BLOCK_WRITE;
	req->br.off = c->off;
	req->br.len = c->bytes;
	req->br.niov = n;
	req->br.fua = c->fua;
	block_submit(b, &req->br);
}

static void go_on(struct virtio_scsi_req *req, struct vq_cursor *out, struct vq_cursor *in)
{
	struct virtio_scsi *vs = req->vs;
	struct scsi_cmd *c = &req->c;
	struct scsi_lu *lu = &vs->target[req->target].lu;

	req->left = (uint32_t)MIN(out->left + in->left, (uint64_t)UINT32_MAX);
	if (c->act == SCSI_PARAMS) {
		c->len = (uint32_t)vq_read(out, c->buf, c->len);
		req->left = (uint32_t)MIN(out->left, (uint64_t)UINT32_MAX);
		scsi_params(lu, c);
	}
	switch (c->act) {
	case SCSI_READ: start_transfer(req, in); break;
	case SCSI_WRITE: start_transfer(req, out); break;
	case SCSI_REPLY:
		if (in->left < c->len)
			c->len = (uint32_t)in->left;
		req->in = (uint32_t)vq_write(in, c->buf, c->len);
		req->left -= req->in;
		c->status = SCSI_GOOD;
		complete(req, S_OK);
		break;
	case SCSI_WORK:
		if (scsi_work(lu, c, 0, &req->br)) {
			block_submit(lu->block, &req->br);
			break;
		}
		complete(req, S_OK);
		break;
	default: complete(req, S_OK);
	}
}

static void start(struct virtio_scsi *vs, unsigned queue, struct vq_elem *e)
{
	struct virtio_scsi_req *req = &vs->req[queue - Q_REQUEST][e->slot];
	struct vq_cursor out = vq_reader(e), in = vq_writer(e);
	uint8_t header[REQ_HEADER], cdb[VIRTIO_SCSI_CDB_MAX] = {0};
	int target;

	if (vq_read_exact(&out, header, sizeof(header)) < 0 ||
	    vq_read_exact(&out, cdb, vs->s.cdb_size) < 0 ||
	    e->wr_len < RESP_HEADER + (uint64_t)vs->s.sense_size) {
		virtio_broken(&vs->vd, "a request without header or room for the response");
		vq_push(e, 0);
		return;
	}
	*req = (struct virtio_scsi_req){
		.br = {.done = work_done}, .vs = vs, .e = e, .queue = (uint8_t)queue};
	vq_skip(&in, RESP_HEADER + vs->s.sense_size);
	target = target_of(vs, header);
	if (target < 0 || unit_of(header)) {
		complete(req, S_BAD_TARGET);
		return;
	}
	req->target = (uint8_t)target;
	memcpy(req->c.cdb, cdb, SCSI_CDB_MAX);
	req->c.buf = vs->buf;
	scsi_start(&vs->target[target].lu, &req->c);
	go_on(req, &out, &in);
}

/* ---- task management ---- */

/* The commands of target @n (-1: of all) end, with response RESET if @tell. Nothing of them is at
 * the block layer afterwards. */
static void end_commands(struct virtio_scsi *vs, int n, bool tell)
{
	for (unsigned q = 0; tell && q < vs->n_queues; q++)
		for (unsigned i = 0; i < QUEUE_SIZE; i++)
			if (vs->req[q][i].e && (n < 0 || vs->req[q][i].target == n))
				vs->req[q][i].reset = true;
	for (unsigned i = 0; i < VIRTIO_SCSI_TARGETS; i++) {
		struct block *b = vs->target[i].lu.block;

		if (!b || (n >= 0 && i != (unsigned)n))
			continue;
		block_drain(b);
		block_abort_parked(b);
		block_drain(b);
	}
}

/* Is a command of target @n with tag @id (NULL: any) under way? */
static bool under_way(const struct virtio_scsi *vs, int n)
{
	for (unsigned q = 0; q < vs->n_queues; q++)
		for (unsigned i = 0; i < QUEUE_SIZE; i++)
			if (vs->req[q][i].e && vs->req[q][i].target == n)
				return true;
	return false;
}

static uint8_t manage(struct virtio_scsi *vs, const uint8_t *p)
{
	int n = target_of(vs, p + 8);

	if (n < 0)
		return S_BAD_TARGET;
	if (unit_of(p + 8))
		return S_INCORRECT_LUN;
	switch (ld_le32(p + 4)) {
	case TMF_ABORT_TASK:
	case TMF_ABORT_TASK_SET:
	case TMF_CLEAR_TASK_SET: end_commands(vs, n, true); return S_OK; /* FUNCTION_COMPLETE */
	case TMF_NEXUS_RESET:
	case TMF_UNIT_RESET:
		end_commands(vs, n, true);
		scsi_lu_reset(&vs->target[n].lu, true);
		return S_OK;
	case TMF_QUERY_TASK:
	case TMF_QUERY_TASK_SET: return under_way(vs, n) ? S_FUNCTION_SUCCEEDED : S_OK;
	default: return S_FUNCTION_REJECTED;
	}
}

static void control(struct virtio_scsi *vs, struct vq_elem *e)
{
	struct vq_cursor rd = vq_reader(e), wr = vq_writer(e);
	uint8_t p[24] = {0}, none[4] = {0}, response;
	uint64_t n = 0;

	vq_read(&rd, p, sizeof(p));
	if (ld_le32(p) == T_TASK_MANAGEMENT && e->rd_len >= sizeof(p)) {
		response = manage(vs, p);
	} else if (ld_le32(p) == T_AN_QUERY || ld_le32(p) == T_AN_SUBSCRIBE) {
		response = target_of(vs, p + 4) < 0 ? S_BAD_TARGET : S_OK;
		n = vq_write(&wr, none, sizeof(none)); /* event_actual: no events */
	} else {
		response = S_FUNCTION_REJECTED;
	}
	/* 5.6.6.2: what is ended is in the used rings before the answer */
	n += vq_write(&wr, &response, 1);
	vq_push(e, n);
	virtio_signal(&vs->vd, Q_CONTROL);
}

/* ---- events ---- */

/* Tell what has changed as long as the driver has given buffers. */
static void send_events(struct virtio_scsi *vs)
{
	while (vs->s.plug_events && virtio_queue_ready(&vs->vd, Q_EVENT)) {
		unsigned n = (unsigned)__builtin_ctz(vs->s.plug_events);
		struct vq_elem *e = virtio_pop(&vs->vd, Q_EVENT);
		uint8_t b[EVENT_SIZE] = {0};
		struct vq_cursor wr;

		if (!e) {
			vs->s.events_missed = true;
			return;
		}
		vs->s.plug_events &= ~(1u << n);
		st_le32(b, EVENT_TRANSPORT_RESET | (vs->s.events_missed ? EVENT_MISSED : 0));
		b[4] = 1;
		b[5] = (uint8_t)n;
		st_le32(b + 12, vs->target[n].present ? REASON_RESCAN : REASON_REMOVED);
		vs->s.events_missed = false;
		wr = vq_writer(e);
		vq_push(e, vq_write(&wr, b, sizeof(b)));
		virtio_signal(&vs->vd, Q_EVENT);
	}
}

static int init_target(struct virtio_scsi *vs, unsigned n, struct error *err)
{
	vs->target[n].lu.reset_attention = true;
	return scsi_lu_init(&vs->target[n].lu, &vs->s.lu[n], err);
}

int virtio_scsi_plug(struct virtio_scsi *vs, unsigned n, bool present, struct error *err)
{
	struct virtio_scsi_target *t = &vs->target[n];
	int r = present ? init_target(vs, n, err) : 0;

	if (r < 0)
		return r;
	if (present)
		scsi_lu_reset(&t->lu, true);
	else
		end_commands(vs, (int)n, true);
	t->present = present;
	if (virtio_has(&vs->vd, SCSI_F_HOTPLUG)) {
		vs->s.plug_events |= 1u << n;
		send_events(vs);
	}
	return 0;
}

void virtio_scsi_set_medium(struct virtio_scsi *vs, unsigned n, struct block *block)
{
	end_commands(vs, (int)n, false);
	scsi_set_medium(&vs->target[n].lu, block);
}

void virtio_scsi_open_tray(struct virtio_scsi *vs, unsigned n)
{
	end_commands(vs, (int)n, false);
	scsi_open_tray(&vs->target[n].lu);
}

/* ---- the device class's callbacks ---- */

static void queue_run(struct virtio_dev *vd, unsigned n)
{
	struct virtio_scsi *vs = to_scsi(vd);
	struct vq_elem *e;

	if (n == Q_EVENT) {
		send_events(vs);
		return;
	}
	while ((e = vq_pop(&vd->q[n]))) {
		if (n == Q_CONTROL)
			control(vs, e);
		else
			start(vs, n, e);
	}
}

static void restore(struct virtio_dev *vd, unsigned n, struct vq_elem *e)
{
	if (n >= Q_REQUEST)
		start(to_scsi(vd), n, e);
	else if (n == Q_CONTROL)
		control(to_scsi(vd), e);
	else
		vq_push(e, 0);
}

static void reset(struct virtio_dev *vd, int n)
{
	struct virtio_scsi *vs = to_scsi(vd);

	end_commands(vs, -1, false);
	if (n >= 0)
		return;
	vs->s.sense_size = SENSE_DEFAULT;
	vs->s.cdb_size = CDB_DEFAULT;
	vs->s.plug_events = 0;
	vs->s.events_missed = false;
	for (unsigned i = 0; i < VIRTIO_SCSI_TARGETS; i++)
		if (vs->target[i].present)
			scsi_lu_reset(&vs->target[i].lu, true);
}

static uint64_t features(struct virtio_dev *vd)
{
	(void)vd;
	return BIT(SCSI_F_HOTPLUG);
}

static void config_get(struct virtio_dev *vd, uint8_t *config)
{
	const struct virtio_scsi *vs = to_scsi(vd);

	st_le32(config + CONFIG_NUM_QUEUES, vs->n_queues);
	st_le32(config + CONFIG_SEG_MAX, QUEUE_SIZE - 2);
	st_le32(config + CONFIG_MAX_SECTORS, 0xffff);
	st_le32(config + CONFIG_CMD_PER_LUN, 128);
	st_le32(config + CONFIG_EVENT_SIZE, EVENT_SIZE);
	st_le32(config + CONFIG_SENSE_SIZE, vs->s.sense_size);
	st_le32(config + CONFIG_CDB_SIZE, vs->s.cdb_size);
	st_le16(config + CONFIG_MAX_TARGET, VIRTIO_SCSI_TARGETS - 1);
	st_le32(config + CONFIG_MAX_LUN, 0);
}

/* 5.6.4: the driver may write both sizes before it starts the device. */
static void config_set(struct virtio_dev *vd, unsigned off, unsigned size, uint32_t val)
{
	struct virtio_scsi *vs = to_scsi(vd);

	if (off == CONFIG_SENSE_SIZE && size == 4 && val <= VIRTIO_SCSI_SENSE_MAX &&
	    !(vd->r->status & VIRTIO_STATUS_DRIVER_OK))
		vs->s.sense_size = val;
	else if (off == CONFIG_CDB_SIZE && size == 4 && val <= VIRTIO_SCSI_CDB_MAX &&
		 !(vd->r->status & VIRTIO_STATUS_DRIVER_OK))
		vs->s.cdb_size = val;
	else
		guest_error(&vd->dev, "write of %u bytes at %#x of the configuration", size, off);
}

static const struct virtio_class virtio_scsi_vc = {
	.device_id = VIRTIO_ID_SCSI,
	.pci_class = 0x0100,
	.config_size = CONFIG_SIZE,
	.features = features,
	.config_get = config_get,
	.config_set = config_set,
	.queue_run = queue_run,
	.reset = reset,
	.restore = restore,
};

/* ---- lifecycle ---- */

static void virtio_scsi_unrealize(struct dev *d)
{
	struct virtio_scsi *vs = CONTAINER_OF(d, struct virtio_scsi, vd.dev);

	if (vs->vd.initialized)
		end_commands(vs, -1, false);
	for (unsigned i = 0; i < VIRTIO_SCSI_QUEUES; i++) {
		free(vs->req[i]);
		vs->req[i] = NULL;
	}
	virtio_done(&vs->vd);
}

static int virtio_scsi_realize(struct dev *d, struct error *err)
{
	struct virtio_scsi *vs = CONTAINER_OF(d, struct virtio_scsi, vd.dev);
	int r = 0;

	if (!vs->n_queues)
		vs->n_queues = 1;
	if (vs->n_queues > VIRTIO_SCSI_QUEUES)
		return error_set(err, -EINVAL, "'%s': %u queues asked for, at most %u", d->id,
				 vs->n_queues, VIRTIO_SCSI_QUEUES);
	for (unsigned i = 0; i < VIRTIO_SCSI_TARGETS && r == 0; i++)
		r = vs->target[i].present ? init_target(vs, i, err) : 0;
	for (unsigned i = 0; i < vs->n_queues && r == 0; i++)
		if (!(vs->req[i] = xtry_calloc(QUEUE_SIZE, sizeof(*vs->req[i]))))
			r = error_set(err, -ENOMEM, "no memory for the requests of '%s'", d->id);
	if (r < 0)
		return r;
	return virtio_init(&vs->vd, &virtio_scsi_vc, &vs->s.v, vs->s.q, Q_REQUEST + vs->n_queues,
			   QUEUE_SIZE, err);
}

static int virtio_scsi_quiesce(struct dev *d)
{
	struct virtio_scsi *vs = CONTAINER_OF(d, struct virtio_scsi, vd.dev);

	virtio_quiesce(&vs->vd);
	for (unsigned i = 0; i < VIRTIO_SCSI_TARGETS; i++)
		if (vs->target[i].lu.block)
			block_drain(vs->target[i].lu.block);
	return 0;
}

const struct dev_class virtio_scsi_class = {
	.name = "virtio-scsi",
	.summary = "virtio SCSI host",
	.spec = "OASIS Virtual I/O Device (VIRTIO) Version 1.2, 5.6",
	.size = sizeof(struct virtio_scsi),
	.regs_offset = offsetof(struct virtio_scsi, s),
	.state = &virtio_scsi_state,
	.realize = virtio_scsi_realize,
	.unrealize = virtio_scsi_unrealize,
	.reset = virtio_dev_reset,
	.quiesce = virtio_scsi_quiesce,
	.resume = virtio_dev_resume,
	.loaded = virtio_dev_loaded,
};
