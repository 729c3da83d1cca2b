/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between virtqueue.c and the two ring formats. Functions that return int give 1 (an element), 0
 * (nothing), -EINVAL (malformed; the queue is broken already) or -ENOMEM (nothing consumed).
 */
#ifndef DEVICE_VIRTIO_VQ_INTERNAL_H
#define DEVICE_VIRTIO_VQ_INTERNAL_H

#include <errno.h>
#include <stdatomic.h>

#include "base/bits.h"
#include "device/virtio/virtqueue.h"

/* Descriptor, common to both formats: 16 bytes. Split: le64 addr, le32 len, le16 flags, le16 next
 * (virtio 1.2, 2.7.5); packed: le64 addr, le32 len, le16 id, le16 flags (2.8.13). */
struct vq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next_or_id;
};
#define VQ_DESC_SIZE 16u

enum {
	VQ_DESC_NEXT = 1,
	VQ_DESC_WRITE = 2,
	VQ_DESC_INDIRECT = 4,
	VQ_DESC_AVAIL = 1 << 7,
	VQ_DESC_USED = 1 << 15,
};

/** vq_break() - the ring is malformed: stop and tell the device. */
void vq_break(struct virtq *q, const char *why);
static inline int vq_bad(struct virtq *q, const char *why)
{
	vq_break(q, why);
	return -EINVAL;
}
/** vq_elem_add() - append the buffer of @d. 0, -EINVAL or -ENOMEM. */
int vq_elem_add(struct vq_elem *e, const struct vq_desc *d);

/** vq_need_event() - did the counter pass @event on its way from @old to @now? (2.7.7.1) */
static inline bool vq_need_event(uint16_t event, uint16_t now, uint16_t old)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

int vq_split_next(struct virtq *q, struct vq_elem *e);
int vq_split_chain(struct virtq *q, struct vq_elem *e);
bool vq_split_has_next(struct virtq *q);
/** vq_split_used() - write the used entry. vq_split_publish() - let the guest see all of them. */
void vq_split_used(struct virtq *q, const struct vq_elem *e);
void vq_split_publish(struct virtq *q);
bool vq_split_wants_irq(struct virtq *q, unsigned pushed);
void vq_split_kick(struct virtq *q, bool on);

int vq_packed_next(struct virtq *q, struct vq_elem *e);
bool vq_packed_has_next(struct virtq *q);
void vq_packed_unpop(struct virtq *q, const struct vq_elem *e);
/* The flags of the first used descriptor of a batch: written last, they publish all of it. */
struct vq_packed_flags {
	bool valid;
	gpa_t at;
	uint16_t flags;
};
/** vq_packed_used() - write the used descriptor; flags of the first go to @first instead. */
void vq_packed_used(struct virtq *q, const struct vq_elem *e, struct vq_packed_flags *first);
void vq_packed_publish(struct virtq *q, const struct vq_packed_flags *first);
bool vq_packed_wants_irq(struct virtq *q, unsigned pushed);
void vq_packed_kick(struct virtq *q, bool on);

#endif
