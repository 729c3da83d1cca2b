/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio SCSI host. Virtio 1.2, 5.6. Targets are disks and CD drives, each with logical unit 0;
 * what the commands do is device/storage/scsi.h's.
 *
 * Wiring (machine/): set `target` (kind, block, removable, serial) and `n_queues` before
 * dev_realize(). Disks and CD drives can come and go later: virtio_scsi_plug().
 */
#ifndef DEVICE_VIRTIO_VIRTIO_SCSI_H
#define DEVICE_VIRTIO_VIRTIO_SCSI_H

#include "device/storage/scsi.h"
#include "device/virtio/virtio.h"

#define VIRTIO_SCSI_TARGETS   16u
#define VIRTIO_SCSI_QUEUES    4u /* of requests, at most */
#define VIRTIO_SCSI_SENSE_MAX 252u
#define VIRTIO_SCSI_CDB_MAX   32u

struct virtio_scsi_regs {
	struct virtio_regs v;
	struct virtq_regs q[2 + VIRTIO_SCSI_QUEUES];
	uint32_t sense_size, cdb_size; /* configuration fields */
	uint32_t plug_events; /* bit n: the driver has not heard yet that target n changed */
	bool events_missed;
	uint8_t pad_[3];
	struct scsi_lu_regs lu[VIRTIO_SCSI_TARGETS];
};

struct virtio_scsi;

/* A command between block_submit() and its end. One per ring element. */
struct virtio_scsi_req {
	struct block_req br;
	struct scsi_cmd c;
	struct virtio_scsi *vs;
	struct vq_elem *e; /* NULL: free */
	uint32_t left;     /* bytes of the driver's buffer that are not used */
	uint32_t in;       /* bytes of data to the driver */
	uint8_t queue, target;
	bool reset; /* a task management function ended it */
};

struct virtio_scsi_target {
	bool present;
	struct scsi_lu lu;
};

struct virtio_scsi {
	struct virtio_dev vd;
	struct virtio_scsi_regs s;
	/* properties, set before realize */
	struct virtio_scsi_target target[VIRTIO_SCSI_TARGETS];
	unsigned n_queues; /* 0 = 1 */
	/* private */
	struct virtio_scsi_req *req[VIRTIO_SCSI_QUEUES]; /* [VQ_SIZE_MAX] each, owned */
	uint8_t buf[SCSI_BUF]; /* answers and parameter lists, inside one call */
};

extern const struct dev_class virtio_scsi_class;

/** virtio_scsi_plug() - while running: @present: a target as described in `target[n].lu`'s
 * properties has come, else it has gone (what is under way is waited for). The driver is told. */
int virtio_scsi_plug(struct virtio_scsi *vs, unsigned n, bool present,
		     struct error *err) MUST_CHECK;
/** virtio_scsi_set_medium() - change the disc of CD drive @n: scsi_set_medium(). */
void virtio_scsi_set_medium(struct virtio_scsi *vs, unsigned n, struct block *block);
/** virtio_scsi_open_tray() - of CD drive @n, from outside. */
void virtio_scsi_open_tray(struct virtio_scsi *vs, unsigned n);

#endif
