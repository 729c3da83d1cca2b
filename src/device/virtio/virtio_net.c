/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio network device. Virtio 1.2, 5.1: one queue pair and the control queue; mergeable receive
 * buffers; receive filter; checksums. A guest's checksums are written and those of frames for it
 * looked at here, which is quicker than in a guest's code. No segmentation offload is offered: back
 * ends take and give plain Ethernet frames. One that takes larger ones than usual has its MTU
 * offered.
 *
 * A frame from the guest is copied once into a flat buffer before the back end sees it, so that the
 * guest can't change a frame after somebody looked at it. A frame that doesn't fit what the guest
 * offers is dropped, as on any wire.
 *
 * UNMODELLED: VLAN filter, multiqueue, guest announce (none of them offered).
 */
#include "device/virtio/virtio_net.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bits.h"
#include "device/net/nic.h"

/* Feature bits, 5.1.3 */
enum {
	NET_F_CSUM = 0,
	NET_F_GUEST_CSUM = 1,
	NET_F_MTU = 3,
	NET_F_MAC = 5,
	NET_F_MRG_RXBUF = 15,
	NET_F_STATUS = 16,
	NET_F_CTRL_VQ = 17,
	NET_F_CTRL_RX = 18,
	NET_F_CTRL_MAC_ADDR = 23,
};
enum { CONFIG_MAC = 0, CONFIG_STATUS = 6, CONFIG_MTU = 10, CONFIG_SIZE = 12 };
enum { MTU_USUAL = 1500 }; /* what drivers assume that don't know NET_F_MTU */
enum { STATUS_LINK_UP = 1 };
enum { RECEIVEQ = 0, TRANSMITQ = 1, CONTROLQ = 2 };

/* struct virtio_net_hdr, 5.1.6: 12 bytes with version 1; num_buffers is the last field. */
enum { HDR_SIZE = 12, HDR_FLAGS = 0, HDR_CSUM_START = 6, HDR_CSUM_OFFSET = 8 };
enum { HDR_NUM_BUFFERS = 10 };
enum { FLAG_NEEDS_CSUM = 1, FLAG_DATA_VALID = 2 };
enum { FRAME_MIN = 14 }; /* an Ethernet header */

/* Control commands, 5.1.6.5 */
enum { CTRL_RX = 0, CTRL_RX_PROMISC = 0, CTRL_RX_ALLMULTI = 1 };
enum { CTRL_MAC = 1, CTRL_MAC_TABLE_SET = 0, CTRL_MAC_ADDR_SET = 1 };
enum { CTRL_OK = 0, CTRL_ERR = 1 };

enum { QUEUE_SIZE = 256, RX_BUFFERS = 64 };

static const struct state_field virtio_net_fields[] = {
	STATE_STRUCT(struct virtio_net_regs, v, virtio_regs_fields),
	STATE_STRUCTS(struct virtio_net_regs, q, virtq_regs_fields),
	STATE_BYTES_OF(struct virtio_net_regs, mac),
	STATE_VAL(struct virtio_net_regs, promisc),
	STATE_VAL(struct virtio_net_regs, allmulti),
	STATE_VAL(struct virtio_net_regs, uni_overflow),
	STATE_VAL(struct virtio_net_regs, multi_overflow),
	STATE_VAL(struct virtio_net_regs, n_uni, .max = VIRTIO_NET_MACS),
	STATE_VAL(struct virtio_net_regs, n_macs, .max = VIRTIO_NET_MACS),
	STATE_PAD(struct virtio_net_regs, pad_),
	STATE_BYTES_OF(struct virtio_net_regs, macs),
	STATE_END,
};
static const struct state_desc virtio_net_state =
	STATE_DESC("virtio-net", 1, struct virtio_net_regs, virtio_net_fields);

static struct virtio_net *to_net(struct virtio_dev *vd)
{
	return CONTAINER_OF(vd, struct virtio_net, vd);
}

/* ---- receive ---- */

/* Receive filter, 5.1.6.5.1 and 5.1.6.5.2. */
static bool wanted(const struct virtio_net *n, const uint8_t *dst)
{
	static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	bool multi = dst[0] & 1;
	unsigned first = multi ? n->s.n_uni : 0, last = multi ? n->s.n_macs : n->s.n_uni;

	if (n->s.promisc || !memcmp(dst, broadcast, 6))
		return true;
	if (multi ? n->s.allmulti || n->s.multi_overflow
		  : n->s.uni_overflow || !memcmp(dst, n->s.mac, 6))
		return true;
	for (unsigned i = first; i < last; i++)
		if (!memcmp(dst, n->s.macs[i], 6))
			return true;
	return false;
}

static bool net_can_receive(void *ctx)
{
	struct virtio_net *n = ctx;

	if (n->vd.stopped || n->vd.restoring)
		return false;
	/* With no driver the wire is still there: frames come in and are lost. */
	if (!virtio_queue_ready(&n->vd, RECEIVEQ))
		return true;
	return !vq_empty(&n->vd.q[RECEIVEQ]) || vq_kick_on(&n->vd.q[RECEIVEQ]);
}

/* Take buffers for @need bytes; their number, or 0 when they don't suffice (nothing taken). */
static unsigned take_buffers(struct virtio_net *n, uint64_t need, struct vq_elem **e)
{
	unsigned max = virtio_has(&n->vd, NET_F_MRG_RXBUF) ? RX_BUFFERS : 1, k = 0;
	uint64_t room = 0;

	while (k < max && room < need && (e[k] = virtio_pop(&n->vd, RECEIVEQ)))
		room += e[k++]->wr_len;
	/* The header must be in the first buffer (5.1.6.3.1). */
	if (room >= need && e[0]->wr_len >= HDR_SIZE)
		return k;
	while (k)
		vq_unpop(e[--k]);
	return 0;
}

/* V 5.1.6.4: the driver need not look at checksums that were right here. */
static uint8_t receive_flags(const struct virtio_net *n, const uint8_t *frame, size_t len)
{
	struct nic_headers h;

	if (!virtio_has(&n->vd, NET_F_GUEST_CSUM) || !nic_headers(frame, len, &h) || !h.l4)
		return 0;
	return nic_good_l4(frame, &h) ? FLAG_DATA_VALID : 0;
}

static void net_receive(void *ctx, const uint8_t *frame, size_t len)
{
	struct virtio_net *n = ctx;
	struct vq_elem *e[RX_BUFFERS];
	uint64_t written[RX_BUFFERS];
	uint8_t hdr[HDR_SIZE] = {0};
	size_t done = 0;

	if (n->vd.stopped || !virtio_queue_ready(&n->vd, RECEIVEQ) || len < FRAME_MIN ||
	    len > NET_FRAME_MAX || !wanted(n, frame))
		return;
	unsigned k = take_buffers(n, HDR_SIZE + len, e);
	if (!k)
		return;
	hdr[HDR_FLAGS] = receive_flags(n, frame, len);
	st_le16(hdr + HDR_NUM_BUFFERS, (uint16_t)k);
	for (unsigned i = 0; i < k; i++) {
		struct vq_cursor c = vq_writer(e[i]);
		written[i] = i ? 0 : vq_write(&c, hdr, sizeof(hdr));
		size_t part = vq_write(&c, frame + done, len - done);
		written[i] += part;
		done += part;
	}
	vq_push_batch(e, written, k);
	virtio_signal(&n->vd, RECEIVEQ);
}

/* ---- transmit ---- */

/* V 5.1.6.2: the sum from csum_start to the end goes to csum_offset behind that, where the driver
 * has put the pseudo header's. */
static bool put_checksum(const uint8_t *hdr, uint8_t *frame, size_t len)
{
	size_t start = ld_le16(hdr + HDR_CSUM_START);
	size_t at = start + ld_le16(hdr + HDR_CSUM_OFFSET);
	uint16_t sum;

	if (at + 2 > len)
		return false;
	sum = (uint16_t)~nic_fold(nic_sum(frame + start, len - start, 0));
	st_be16(frame + at, sum ? sum : 0xffff); /* the same; RFC 768: zero means "none" */
	return true;
}

static void transmit(struct virtio_net *n, struct vq_elem *e)
{
	struct vq_cursor c = vq_reader(e);
	uint8_t hdr[HDR_SIZE];

	if (vq_read_exact(&c, hdr, sizeof(hdr)) < 0 || c.left < FRAME_MIN ||
	    c.left > NET_FRAME_MAX) {
		guest_error(&n->vd.dev, "a frame of %llu bytes with header",
			    (unsigned long long)e->rd_len);
		return;
	}
	struct iovec iov = {.iov_base = n->tx_buf};
	iov.iov_len = vq_read(&c, n->tx_buf, NET_FRAME_MAX);
	/* No other offload was negotiated: the rest of the header says nothing (5.1.6.2.2). */
	if ((hdr[HDR_FLAGS] & FLAG_NEEDS_CSUM) && virtio_has(&n->vd, NET_F_CSUM) &&
	    !put_checksum(hdr, n->tx_buf, iov.iov_len)) {
		guest_error(&n->vd.dev, "a checksum behind the end of its frame");
		return;
	}
	if (n->net && net_send(n->net, &iov, 1) < 0)
		return; /* full: lost on the wire, the back end counts it */
}

/* ---- control queue ---- */

/* One list of addresses; false when the command is malformed. */
static bool read_macs(struct virtio_net *n, struct vq_cursor *c, bool *overflow)
{
	uint8_t raw[4];
	uint32_t count;

	if (vq_read_exact(c, raw, sizeof(raw)) < 0)
		return false;
	count = ld_le32(raw);
	if ((uint64_t)count * 6 > c->left)
		return false;
	*overflow = count > VIRTIO_NET_MACS - n->s.n_macs;
	if (*overflow) {
		/* Skip the addresses: at most what the element holds, 64 at a time. */
		uint8_t skip[6 * 64];
		for (uint64_t left = (uint64_t)count * 6; left;)
			left -= vq_read(c, skip, MIN(left, sizeof(skip)));
		return true;
	}
	vq_read(c, n->s.macs[n->s.n_macs], count * 6);
	n->s.n_macs = (uint16_t)(n->s.n_macs + count);
	return true;
}

static uint8_t mac_table_set(struct virtio_net *n, struct vq_cursor *c)
{
	bool ok;

	/* The command is at most two full lists of what a driver can mean seriously. */
	if (c->left > 64 * KIB)
		return CTRL_ERR;
	n->s.n_uni = n->s.n_macs = 0;
	ok = read_macs(n, c, &n->s.uni_overflow);
	n->s.n_uni = n->s.n_macs;
	ok = ok && read_macs(n, c, &n->s.multi_overflow);
	return ok ? CTRL_OK : CTRL_ERR;
}

static uint8_t command(struct virtio_net *n, struct vq_cursor *c)
{
	uint8_t cmd[2], arg;

	if (vq_read_exact(c, cmd, sizeof(cmd)) < 0)
		return CTRL_ERR;
	if (cmd[0] == CTRL_RX && cmd[1] <= CTRL_RX_ALLMULTI && virtio_has(&n->vd, NET_F_CTRL_RX)) {
		if (vq_read_exact(c, &arg, 1) < 0)
			return CTRL_ERR;
		if (cmd[1] == CTRL_RX_PROMISC)
			n->s.promisc = arg != 0;
		else
			n->s.allmulti = arg != 0;
		return CTRL_OK;
	}
	if (cmd[0] == CTRL_MAC && cmd[1] == CTRL_MAC_TABLE_SET && virtio_has(&n->vd, NET_F_CTRL_RX))
		return mac_table_set(n, c);
	if (cmd[0] == CTRL_MAC && cmd[1] == CTRL_MAC_ADDR_SET &&
	    virtio_has(&n->vd, NET_F_CTRL_MAC_ADDR)) {
		if (c->left != 6)
			return CTRL_ERR;
		vq_read(c, n->s.mac, 6);
		return CTRL_OK;
	}
	return CTRL_ERR;
}

/* ---- queues ---- */

static void queue_run(struct virtio_dev *vd, unsigned q)
{
	struct virtio_net *n = to_net(vd);
	struct vq_elem *e;

	switch (q) {
	case RECEIVEQ:
		if (n->net)
			net_poll_input(n->net);
		break;
	case TRANSMITQ:
		while ((e = vq_pop(&vd->q[q]))) {
			transmit(n, e);
			vq_push(e, 0);
		}
		break;
	default:
		while ((e = vq_pop(&vd->q[q]))) {
			struct vq_cursor rd = vq_reader(e), wr = vq_writer(e);
			uint8_t ack = command(n, &rd);
			vq_push(e, vq_write(&wr, &ack, 1));
		}
		break;
	}
}

static void reset(struct virtio_dev *vd, int q)
{
	struct virtio_net *n = to_net(vd);

	if (q >= 0)
		return;
	memcpy(n->s.mac, n->mac, 6);
	/* Without CTRL_RX everything comes in (5.1.6.5.1); drivers that filter say so. */
	n->s.promisc = true;
	n->s.allmulti = n->s.uni_overflow = n->s.multi_overflow = false;
	n->s.n_uni = n->s.n_macs = 0;
}

/* ---- configuration ---- */

static unsigned mtu(const struct virtio_net *n)
{
	return n->net ? net_mtu(n->net) : MTU_USUAL;
}

static uint64_t features(struct virtio_dev *vd)
{
	return (mtu(to_net(vd)) == MTU_USUAL ? 0 : BIT(NET_F_MTU)) | BIT(NET_F_CSUM) |
	       BIT(NET_F_GUEST_CSUM) | BIT(NET_F_MAC) | BIT(NET_F_MRG_RXBUF) | BIT(NET_F_STATUS) |
	       BIT(NET_F_CTRL_VQ) | BIT(NET_F_CTRL_RX) | BIT(NET_F_CTRL_MAC_ADDR);
}

static void config_get(struct virtio_dev *vd, uint8_t *config)
{
	const struct virtio_net *n = to_net(vd);

	memcpy(config + CONFIG_MAC, n->s.mac, 6);
	st_le16(config + CONFIG_STATUS, n->link_up ? STATUS_LINK_UP : 0);
	st_le16(config + CONFIG_MTU, (uint16_t)mtu(n));
}

static void net_link(void *ctx, bool up)
{
	struct virtio_net *n = ctx;

	if (up == n->link_up)
		return;
	n->link_up = up;
	if (virtio_has(&n->vd, NET_F_STATUS))
		virtio_config_changed(&n->vd);
}

static const struct virtio_class virtio_net_vc = {
	.device_id = VIRTIO_ID_NET,
	.pci_class = 0x0200,
	.config_size = CONFIG_SIZE,
	.features = features,
	.config_get = config_get,
	.queue_run = queue_run,
	.reset = reset,
};

/* ---- lifecycle ---- */

static void virtio_net_unrealize(struct dev *d)
{
	struct virtio_net *n = CONTAINER_OF(d, struct virtio_net, vd.dev);

	if (n->net)
		net_set_handler(n->net, NULL);
	virtio_done(&n->vd);
	free(n->tx_buf);
	n->tx_buf = NULL;
}

static int virtio_net_realize(struct dev *d, struct error *err)
{
	struct virtio_net *n = CONTAINER_OF(d, struct virtio_net, vd.dev);
	const struct net_handler h = {
		.can_receive = net_can_receive, .receive = net_receive, .link = net_link, .ctx = n};
	int r;

	if (n->mac[0] & 1)
		return error_set(err, -EINVAL, "'%s': a MAC address of a card can't be multicast",
				 d->id);
	n->tx_buf = xtry_calloc(1, NET_FRAME_MAX);
	if (!n->tx_buf)
		return error_set(err, -ENOMEM, "no memory for the frames of '%s'", d->id);
	r = virtio_init(&n->vd, &virtio_net_vc, &n->s.v, n->s.q, 3, QUEUE_SIZE, err);
	if (r < 0)
		return r;
	n->link_up = n->net != NULL;
	if (n->net)
		net_set_handler(n->net, &h);
	return 0;
}

static void virtio_net_resume(struct dev *d)
{
	struct virtio_net *n = CONTAINER_OF(d, struct virtio_net, vd.dev);

	virtio_resume(&n->vd);
	if (n->net)
		net_poll_input(n->net);
}

static int virtio_net_loaded(struct dev *d, struct error *err)
{
	struct virtio_net *n = CONTAINER_OF(d, struct virtio_net, vd.dev);

	if (n->s.n_uni > n->s.n_macs)
		return error_set(err, -EINVAL, "'%s': %u unicast of %u filter addresses", d->id,
				 n->s.n_uni, n->s.n_macs);
	return virtio_loaded(&n->vd, err);
}

const struct dev_class virtio_net_class = {
	.name = "virtio-net",
	.summary = "virtio network device",
	.spec = "OASIS Virtual I/O Device (VIRTIO) Version 1.2, 5.1",
	.size = sizeof(struct virtio_net),
	.regs_offset = offsetof(struct virtio_net, s),
	.state = &virtio_net_state,
	.realize = virtio_net_realize,
	.unrealize = virtio_net_unrealize,
	.reset = virtio_dev_reset,
	.quiesce = virtio_dev_quiesce,
	.resume = virtio_net_resume,
	.loaded = virtio_net_loaded,
};
