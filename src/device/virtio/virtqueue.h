/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtqueues, device side: split rings (virtio 1.2, 2.7) and packed rings (2.8), indirect
 * descriptors, event index suppression. All access to guest memory of all virtio devices goes
 * through here.
 *
 * Rules that hold whatever the guest writes and whenever it writes it:
 *  - the configuration of a queue is frozen into `struct vq_active` when it is enabled;
 *  - every descriptor is copied once and only the copy is looked at; lengths are summed in 64 bits;
 *  - a chain has at most VQ_IOV_MAX descriptors and segments, a ring at most VQ_SIZE_MAX elements
 *    in flight, one call of the queue's handler pops at most `budget` elements;
 *  - buffers are RAM, or the ring is malformed; a malformed ring breaks the queue (once, with a
 *    reason) and nothing else;
 *  - devices see buffers through cursors with a length, never a descriptor.
 *
 * The ring may be changed by vCPUs on other threads at any time; barriers are where the
 * specification wants them. The queue itself is guarded by the bus lock.
 *
 * In flight: elements popped and not pushed. For split rings their heads are state (`inflight`), so
 * that a request which can't finish before a snapshot is parsed again after a restore. A packed
 * ring overwrites descriptors of elements still in flight when later ones finish first; so elements
 * of packed rings are given back in the order they came, and a restore starts again at the first.
 */
#ifndef DEVICE_VIRTIO_VIRTQUEUE_H
#define DEVICE_VIRTIO_VIRTQUEUE_H

#include <sys/uio.h>

#include "mem/space.h"
#include "state/state.h"

#define VQ_SIZE_MAX 256u  /* descriptors in a ring */
#define VQ_IOV_MAX  1024u /* descriptors and segments of one element */

struct virtq;

/* State of one queue; an array of these is in the device's *_regs struct. */
struct virtq_regs {
	uint64_t desc, driver, device; /* gpa: descriptor area, driver area, device area */
	uint16_t size;                 /* descriptors, as the driver chose */
	uint16_t avail;  /* split: next available index (free running); packed: next slot */
	uint16_t used;   /* split: next used index (free running); packed: next slot */
	uint16_t pushed; /* entries (split) or slots (packed) used since the last interrupt check */
	bool ready;
	bool avail_wrap, used_wrap; /* packed: wrap counters */
	uint8_t pad_[5];
	uint16_t inflight[VQ_SIZE_MAX]; /* split: head + 1 of the element in each slot; 0 = free */
};
extern const struct state_field virtq_regs_fields[];

/* What a queue was when it was enabled; never changes until it is disabled. */
struct vq_active {
	gpa_t desc, driver, device;
	uint16_t size;
	bool packed, event_idx, indirect;
};

/* One contiguous piece of guest RAM of an element. */
struct vq_seg {
	gpa_t gpa;
	uint64_t len; /* bytes */
};

/* A popped element: first the parts the device reads, then the parts it writes. */
struct vq_elem {
	struct virtq *q; /* borrowed */
	uint16_t slot;   /* 0..VQ_SIZE_MAX-1: which element of the queue; stable while in flight */
	uint16_t id;     /* split: head; packed: buffer id */
	uint16_t n_ring; /* ring slots it occupies (packed) */
	bool in_use, done;
	uint32_t gen;        /* of the queue when it was popped */
	uint32_t written;    /* bytes, while waiting for its turn (packed) */
	unsigned cap;        /* segments there is room for */
	unsigned n_rd, n_wr; /* segments */
	uint64_t rd_len, wr_len;
	struct iovec *iov;  /* [n_rd + n_wr]: the host's view; a device may trim it */
	struct vq_seg *seg; /* [n_rd + n_wr]: the guest's view */
};

struct virtq {
	/* set by vq_init() */
	struct virtq_regs *r;  /* borrowed: inside the device's *_regs */
	struct mem_space *mem; /* borrowed */
	unsigned index;        /* number of this queue */
	unsigned size_max;     /* descriptors, at most VQ_SIZE_MAX */
	void (*broken)(void *ctx, struct virtq *q, const char *why); /* malformed ring */
	void *ctx;
	/* */
	struct vq_active a;   /* valid while live */
	bool live;            /* enabled and not broken */
	bool saw_empty;       /* the last vq_pop() found the ring empty */
	unsigned budget;      /* elements the handler may still pop in this turn */
	uint32_t gen;         /* counts resets: an element of an older one is discarded */
	struct vq_elem *elem; /* [size_max], owned */
	uint16_t *free_slot;  /* [size_max] stack, owned */
	unsigned n_free;
	uint16_t *order; /* [size_max] FIFO of slots in flight, owned; packed only */
	unsigned order_head, order_n;
};

/** vq_init() - prepare queue @index with at most @size_max descriptors; -ENOMEM. Not enabled. */
int vq_init(struct virtq *q, unsigned index, unsigned size_max, struct mem_space *mem,
	    struct virtq_regs *r) MUST_CHECK;
void vq_done(struct virtq *q);
/** vq_reset() - disable, registers to reset values (size = size_max), forget what is in flight. */
void vq_reset(struct virtq *q);
/**
 * vq_enable() - freeze the configuration and go live
 * Return: 0, or -EINVAL when size (0, too large, split: not a power of two) or ring positions (from
 * a snapshot) are impossible.
 */
int vq_enable(struct virtq *q, bool packed, bool event_idx, bool indirect) MUST_CHECK;
/** vq_rewind() - after state load: elements in flight are to be seen again. Split: true while
 * vq_pop_inflight() has some; packed: moves the ring position back. */
void vq_rewind(struct virtq *q);

/**
 * vq_pop() - take the next available element
 * Return: NULL when there is none, the budget is used up, or the ring is malformed (then the queue
 * is broken). Owned by the queue; give it back with vq_push() or vq_unpop().
 */
struct vq_elem *vq_pop(struct virtq *q);
/** vq_pop_inflight() - after state load of a split ring: parse again the element that was in flight
 * in @slot; NULL if none or malformed. */
struct vq_elem *vq_pop_inflight(struct virtq *q, unsigned slot);
/** vq_unpop() - put back the element popped last (and nothing pushed since). */
void vq_unpop(struct vq_elem *e);
/** vq_push() - element done, @written bytes at the start of its writable part. The used entry is
 * visible to the guest at once; interrupt with vq_should_notify(). */
void vq_push(struct vq_elem *e, uint64_t written);
/** vq_push_batch() - several elements of one queue; the guest sees all of them or none yet. */
void vq_push_batch(struct vq_elem *const *e, const uint64_t *written, unsigned n);
/** vq_should_notify() - does the driver want an interrupt for what was pushed since the last call?
 */
bool vq_should_notify(struct virtq *q);
/** vq_empty() - nothing to pop now (also when not live). */
bool vq_empty(struct virtq *q);
/** vq_kick_off() - tell the driver that notifications aren't needed now. */
void vq_kick_off(struct virtq *q);
/** vq_kick_on() - ask for notifications again; true when elements came in meanwhile. */
bool vq_kick_on(struct virtq *q);
/** vq_inflight() - elements popped and not pushed. */
unsigned vq_inflight(const struct virtq *q);

/* A bounded position in the readable or writable part of an element. */
struct vq_cursor {
	const struct iovec *iov;
	unsigned n;
	size_t off;    /* bytes into iov[0] */
	uint64_t left; /* bytes */
};

struct vq_cursor vq_reader(const struct vq_elem *e);
struct vq_cursor vq_writer(const struct vq_elem *e);
/** vq_read() - copy up to @len bytes out and advance; returns how many. */
size_t vq_read(struct vq_cursor *c, void *to, size_t len);
/** vq_read_exact() - all @len bytes, or -ENODATA and nothing moves. */
int vq_read_exact(struct vq_cursor *c, void *to, size_t len) MUST_CHECK;
/** vq_write() - copy up to @len bytes in and advance; returns how many. */
size_t vq_write(struct vq_cursor *c, const void *from, size_t len);
/** vq_write_exact() - all @len bytes, or -ENOSPC and nothing moves. */
int vq_write_exact(struct vq_cursor *c, const void *from, size_t len) MUST_CHECK;
/** vq_skip() - advance by up to @len bytes; returns how many. */
uint64_t vq_skip(struct vq_cursor *c, uint64_t len);
/**
 * vq_take_iov() - the next @len bytes of @c as iovecs, for zero-copy I/O
 * Trims the element's own iovec array in place: no cursor over the same part works afterwards.
 * Return: number of iovecs at @ret_iov, or -ENODATA when fewer bytes are left.
 */
int vq_take_iov(struct vq_elem *e, const struct vq_cursor *c, uint64_t len,
		const struct iovec **ret_iov) MUST_CHECK;
/** vq_last_byte() - the last writable byte (where block devices want their status), or NULL. */
uint8_t *vq_last_byte(const struct vq_elem *e);

#endif
