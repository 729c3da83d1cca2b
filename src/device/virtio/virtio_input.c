/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio input device: a keyboard, or a tablet that reports where in the picture it points. Virtio
 * 1.2, 5.8; event types and codes are those of Linux's input subsystem (5.8.2), whose key codes
 * below 89 are the scan codes of set 1.
 *
 * Events form groups ended by SYN_REPORT; a group that finds no room, in the driver's buffers or
 * the device's FIFO, is lost as a whole. The configuration shows one item at a time: the driver
 * writes `select` and `subsel` and reads `size` and the item.
 *
 * UNMODELLED: LEDs reach nobody (the state is kept); force feedback; multi-touch.
 */
#include "device/virtio/virtio_input.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"

enum { EVENTQ, STATUSQ, QUEUE_SIZE = 64 };
enum { EV_SYN, EV_KEY, EV_REL, EV_ABS, EV_LED = 0x11, EV_REP = 0x14 };
enum { REL_HWHEEL = 6, REL_WHEEL = 8, ABS_X = 0, ABS_Y = 1, ABS_MAX = 0x7fff, BTN_LEFT = 0x110 };
enum {
	CFG_ID_NAME = 0x01,
	CFG_ID_SERIAL = 0x02,
	CFG_ID_DEVIDS = 0x03,
	CFG_PROP_BITS = 0x10,
	CFG_EV_BITS = 0x11,
	CFG_ABS_INFO = 0x12,
	CFG_DATA = 8, /* offset of the item */
	CFG_SIZE = CFG_DATA + 128,
	BUTTONS = 5,
};

/* Keys with prefix E0 (bit 7 set here) as Linux numbers them. */
static const struct {
	uint8_t code, key;
} prefixed[] = {
	{0x9c, 96},  {0x9d, 97},  {0xb5, 98},  {0xb7, 99},  {0xb8, 100}, {0xc7, 102}, {0xc8, 103},
	{0xc9, 104}, {0xcb, 105}, {0xcd, 106}, {0xcf, 107}, {0xd0, 108}, {0xd1, 109}, {0xd2, 110},
	{0xd3, 111}, {0xc6, 119}, {0xdb, 125}, {0xdc, 126}, {0xdd, 127},
};

static struct virtio_input *to_input(struct dev *d)
{
	return CONTAINER_OF(d, struct virtio_input, vd.dev);
}

static unsigned key_number(uint8_t code)
{
	if (code < 0x59)
		return code;
	for (unsigned i = 0; i < ARRAY_SIZE(prefixed); i++)
		if (prefixed[i].code == code)
			return prefixed[i].key;
	return 0;
}

/* ------------------------------------------------------------------ events */

/* Hand the FIFO's events to the driver as far as it has buffers. */
static void flush(struct virtio_input *vi)
{
	unsigned done = 0;

	while (done < vi->s.n && virtio_queue_ready(&vi->vd, EVENTQ)) {
		const struct virtio_input_event *ev = &vi->s.fifo[done];
		struct vq_elem *e = virtio_pop(&vi->vd, EVENTQ);
		struct vq_cursor c;
		uint8_t bytes[8];

		if (!e)
			break;
		st_le16(bytes, ev->type);
		st_le16(bytes + 2, ev->code);
		st_le32(bytes + 4, ev->value);
		c = vq_writer(e);
		vq_push(e, vq_write(&c, bytes, sizeof(bytes)));
		done++;
	}
	if (!done)
		return;
	vi->s.n -= done;
	memmove(vi->s.fifo, vi->s.fifo + done, vi->s.n * sizeof(vi->s.fifo[0]));
	memset(vi->s.fifo + vi->s.n, 0, done * sizeof(vi->s.fifo[0]));
	virtio_signal(&vi->vd, EVENTQ);
}

/* A group being put together. */
struct group {
	struct virtio_input_event ev[16];
	unsigned n;
};

static void add(struct group *g, unsigned type, unsigned code, uint32_t value)
{
	g->ev[g->n++] = (struct virtio_input_event){(uint16_t)type, (uint16_t)code, value};
}

static void send_group(struct virtio_input *vi, struct group *g)
{
	if (!g->n)
		return;
	add(g, EV_SYN, 0, 0);
	if (!(vi->vd.r->status & VIRTIO_STATUS_DRIVER_OK) || g->n > VIRTIO_INPUT_FIFO - vi->s.n)
		return;
	memcpy(vi->s.fifo + vi->s.n, g->ev, g->n * sizeof(g->ev[0]));
	vi->s.n += g->n;
	flush(vi);
}

void virtio_input_key(struct virtio_input *vi, uint8_t code, bool down)
{
	struct group g = {0};

	if (key_number(code))
		add(&g, EV_KEY, key_number(code), down);
	send_group(vi, &g);
}

void virtio_input_pointer(struct virtio_input *vi, const struct display_pointer *p)
{
	uint8_t buttons = p->buttons & (BIT(BUTTONS) - 1), changed = buttons ^ vi->s.buttons;
	struct group g = {0};

	vi->s.buttons = buttons;
	add(&g, EV_ABS, ABS_X, p->w > 1 ? p->x * ABS_MAX / (p->w - 1) : 0);
	add(&g, EV_ABS, ABS_Y, p->h > 1 ? p->y * ABS_MAX / (p->h - 1) : 0);
	for (unsigned i = 0; i < BUTTONS; i++)
		if (changed >> i & 1)
			add(&g, EV_KEY, BTN_LEFT + i, buttons >> i & 1);
	if (p->dz)
		add(&g, EV_REL, REL_WHEEL, (uint32_t)-p->dz); /* away from the user is positive */
	if (p->dh)
		add(&g, EV_REL, REL_HWHEEL, (uint32_t)p->dh);
	send_group(vi, &g);
}

static void on_key(void *ctx, uint8_t code, bool down)
{
	virtio_input_key(ctx, code, down);
}

static void on_pointer(void *ctx, const struct display_pointer *p)
{
	virtio_input_pointer(ctx, p);
}

static bool on_ready(void *ctx)
{
	struct virtio_input *vi = ctx;

	return virtio_queue_ready(&vi->vd, EVENTQ);
}

static bool on_room(void *ctx)
{
	return !((struct virtio_input *)ctx)->s.n;
}

/* ------------------------------------------------------------------ configuration */

static void set_bit(uint8_t *bits, unsigned n)
{
	bits[n / 8] |= (uint8_t)(1u << (n & 7));
}

/* Which events of type @type there are. */
static void event_bits(const struct virtio_input *vi, unsigned type, uint8_t *bits)
{
	if (vi->tablet && type == EV_KEY) {
		for (unsigned i = 0; i < BUTTONS; i++)
			set_bit(bits, BTN_LEFT + i);
	} else if (vi->tablet && type == EV_ABS) {
		set_bit(bits, ABS_X);
		set_bit(bits, ABS_Y);
	} else if (vi->tablet && type == EV_REL) {
		set_bit(bits, REL_WHEEL);
		set_bit(bits, REL_HWHEEL);
	} else if (!vi->tablet && type == EV_KEY) {
		for (unsigned code = 1; code < 256; code++)
			if (key_number((uint8_t)code))
				set_bit(bits, key_number((uint8_t)code));
	} else if (!vi->tablet && type == EV_LED) {
		bits[0] = 7; /* Num, Caps, Scroll */
	} else if (!vi->tablet && type == EV_REP) {
		bits[0] = 3; /* delay, period: the driver repeats */
	}
}

static unsigned item(const struct virtio_input *vi, uint8_t *data)
{
	const char *name = vi->tablet ? "bothy tablet" : "bothy keyboard";
	unsigned n = 0;

	switch (vi->s.select) {
	case CFG_ID_NAME: memcpy(data, name, n = (unsigned)strlen(name)); return n;
	case CFG_ID_DEVIDS:
		st_le16(data, 6); /* BUS_VIRTUAL */
		st_le16(data + 2, 0x1af4);
		st_le16(data + 4, vi->tablet ? 2 : 1);
		st_le16(data + 6, 1);
		return 8;
	case CFG_EV_BITS:
		event_bits(vi, vi->s.subsel, data);
		for (unsigned i = 0; i < 128; i++)
			n = data[i] ? i + 1 : n;
		return n;
	case CFG_ABS_INFO:
		if (!vi->tablet || vi->s.subsel > ABS_Y)
			return 0;
		st_le32(data + 4, ABS_MAX); /* min 0, max, fuzz, flat, resolution */
		return 20;
	default: return 0;
	}
}

static void config_get(struct virtio_dev *vd, uint8_t *config)
{
	const struct virtio_input *vi = CONTAINER_OF(vd, struct virtio_input, vd);

	config[0] = vi->s.select;
	config[1] = vi->s.subsel;
	config[2] = (uint8_t)item(vi, config + CFG_DATA);
}

static void config_set(struct virtio_dev *vd, unsigned off, unsigned size, uint32_t val)
{
	struct virtio_input *vi = CONTAINER_OF(vd, struct virtio_input, vd);

	for (unsigned i = 0; i < size; i++, val >>= 8) {
		if (off + i == 0)
			vi->s.select = (uint8_t)val;
		else if (off + i == 1)
			vi->s.subsel = (uint8_t)val;
	}
}

/* ------------------------------------------------------------------ queues and life */

static void queue_run(struct virtio_dev *vd, unsigned n)
{
	struct virtio_input *vi = CONTAINER_OF(vd, struct virtio_input, vd);
	struct vq_elem *e;

	if (n == EVENTQ) {
		flush(vi);
		return;
	}
	while ((e = vq_pop(&vd->q[n]))) {
		struct vq_cursor c = vq_reader(e);
		uint8_t ev[8];

		if (vq_read_exact(&c, ev, sizeof(ev)) == 0 && ld_le16(ev) == EV_LED &&
		    ld_le16(ev + 2) < 3) {
			vi->s.leds &= (uint8_t) ~(1u << ld_le16(ev + 2));
			vi->s.leds |= (uint8_t)((ld_le32(ev + 4) != 0) << ld_le16(ev + 2));
		}
		vq_push(e, 0);
	}
	virtio_signal(vd, n);
}

static void reset(struct virtio_dev *vd, int n)
{
	struct virtio_input *vi = CONTAINER_OF(vd, struct virtio_input, vd);

	if (n >= 0)
		return;
	memset(vi->s.fifo, 0, sizeof(vi->s.fifo));
	vi->s.n = 0;
	vi->s.select = vi->s.subsel = vi->s.leds = vi->s.buttons = 0;
}

static const struct virtio_class virtio_input_vc = {
	.device_id = VIRTIO_ID_INPUT,
	.pci_class = 0x0980, /* input device, other */
	.config_size = CFG_SIZE,
	.config_get = config_get,
	.config_set = config_set,
	.queue_run = queue_run,
	.reset = reset,
};

static int virtio_input_realize(struct dev *d, struct error *err)
{
	struct virtio_input *vi = to_input(d);
	int r = virtio_init(&vi->vd, &virtio_input_vc, &vi->s.v, vi->s.q, 2, QUEUE_SIZE, err);

	if (r < 0 || !vi->display)
		return r;
	vi->input = (struct display_input){.key = vi->tablet ? NULL : on_key,
					   .pointer = vi->tablet ? on_pointer : NULL,
					   .ready = on_ready,
					   .room = on_room,
					   .absolute = vi->tablet,
					   .ctx = vi};
	display_add_input(vi->display, &vi->input);
	return 0;
}

static void virtio_input_unrealize(struct dev *d)
{
	struct virtio_input *vi = to_input(d);

	if (vi->input.ctx)
		display_del_input(vi->display, &vi->input);
	vi->input.ctx = NULL;
	virtio_done(&vi->vd);
}

static int virtio_input_loaded(struct dev *d, struct error *err)
{
	struct virtio_input *vi = to_input(d);

	for (unsigned i = vi->s.n; i < VIRTIO_INPUT_FIFO; i++)
		vi->s.fifo[i] = (struct virtio_input_event){0};
	return virtio_loaded(&vi->vd, err);
}

static const struct state_field event_fields[] = {
	STATE_VAL(struct virtio_input_event, type), STATE_VAL(struct virtio_input_event, code),
	STATE_VAL(struct virtio_input_event, value), STATE_END};

static const struct state_field virtio_input_fields[] = {
	STATE_STRUCT(struct virtio_input_regs, v, virtio_regs_fields),
	STATE_STRUCTS(struct virtio_input_regs, q, virtq_regs_fields),
	STATE_STRUCTS(struct virtio_input_regs, fifo, event_fields),
	STATE_VAL(struct virtio_input_regs, n, .max = VIRTIO_INPUT_FIFO),
	STATE_VAL(struct virtio_input_regs, select),
	STATE_VAL(struct virtio_input_regs, subsel),
	STATE_VAL(struct virtio_input_regs, leds, .max = 7),
	STATE_VAL(struct virtio_input_regs, buttons, .max = 0x1f),
	STATE_END,
};
static const struct state_desc virtio_input_state =
	STATE_DESC("virtio-input", 1, struct virtio_input_regs, virtio_input_fields);

const struct dev_class virtio_input_class = {
	.name = "virtio-input",
	.summary = "virtio keyboard or tablet",
	.spec = "OASIS Virtual I/O Device (VIRTIO) Version 1.2, 5.8",
	.size = sizeof(struct virtio_input),
	.regs_offset = offsetof(struct virtio_input, s),
	.state = &virtio_input_state,
	.realize = virtio_input_realize,
	.unrealize = virtio_input_unrealize,
	.reset = virtio_dev_reset,
	.quiesce = virtio_dev_quiesce,
	.resume = virtio_dev_resume,
	.loaded = virtio_input_loaded,
};
