/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PS/2 mouse: three buttons, and the wheel and five buttons of the IntelliMouse extensions.
 *
 * Documents: IBM PS/2 Hardware Interface Technical Reference (1990), "Mouse"; Microsoft, "PS/2
 * Microsoft mouse: wheel and additional buttons" (the sample rate sequences 200, 100, 80 and
 * 200, 200, 80 that turn the extensions on, and the fourth byte).
 *
 * Movement is added up and a packet is made only when the queue is empty, so a host that reads
 * slowly sees fewer, larger movements and the queue holds at most one packet and a reply.
 *
 * UNMODELLED: the sample rate limits nothing (it reads back; the serial line allows about 300
 * packets a second), resolution does not scale movement.
 */
#include "base/bits.h"
#include "device/input/ps2.h"

enum { ACK = 0xfa, RESEND = 0xfe, ERROR = 0xfc, BAT_OK = 0xaa };
enum {
	C_SCALE_1_1 = 0xe6,
	C_SCALE_2_1 = 0xe7,
	C_RESOLUTION = 0xe8,
	C_STATUS = 0xe9,
	C_STREAM = 0xea,
	C_READ = 0xeb,
	C_WRAP_OFF = 0xec,
	C_WRAP = 0xee,
	C_REMOTE = 0xf0,
	C_ID = 0xf2,
	C_RATE = 0xf3,
	C_ENABLE = 0xf4,
	C_DISABLE = 0xf5,
	C_DEFAULT = 0xf6,
	C_RESEND = 0xfe,
	C_RESET = 0xff,
};
enum { ID_STANDARD = 0, ID_WHEEL = 3, ID_FIVE = 4, RATE_DEFAULT = 100, RESOLUTION_DEFAULT = 2 };
enum { PACKET_ONE = 0x08, PACKET_XS = 0x10, PACKET_YS = 0x20 };
enum { STATUS_SCALE = 0x10, STATUS_REPORTING = 0x20, STATUS_REMOTE = 0x40 };
enum { MOVE_MAX = 32767, PACKET_MAX = 255 };

static void defaults(struct ps2_mouse_regs *m)
{
	m->rate = RATE_DEFAULT;
	m->resolution = RESOLUTION_DEFAULT;
	m->scale_2_1 = false;
	m->remote = false;
	m->wrap = false;
	m->reporting = false;
	m->command = 0;
	m->dx = m->dy = m->dz = 0;
}

void ps2_mouse_reset(struct ps2_mouse_regs *m)
{
	*m = (struct ps2_mouse_regs){.buttons = m->buttons};
	defaults(m);
}

static int32_t clamp(int64_t v, int32_t most)
{
	return v > most ? most : v < -most ? -most : (int32_t)v;
}

/* IBM, "Set scaling 2:1": small movements are kept, large ones doubled; stream mode only. */
static int32_t scale(const struct ps2_mouse_regs *m, int32_t v)
{
	static const uint8_t small[6] = {0, 1, 1, 3, 6, 9};
	int32_t a = v < 0 ? -v : v;

	if (!m->scale_2_1 || m->remote)
		return v;
	a = a < 6 ? small[a] : MIN(2 * a, (int32_t)PACKET_MAX);
	return v < 0 ? -a : a;
}

/* One movement packet of 3 or 4 bytes into the queue. */
static void packet(struct ps2_mouse_regs *m)
{
	int32_t raw_x = clamp(m->dx, PACKET_MAX), raw_y = clamp(m->dy, PACKET_MAX);
	int32_t dx = scale(m, raw_x), dy = scale(m, raw_y), dz = clamp(m->dz, 7);

	ps2_fifo_put(&m->fifo, (uint8_t)(PACKET_ONE | (m->buttons & 7) | (dx < 0 ? PACKET_XS : 0) |
					 (dy < 0 ? PACKET_YS : 0)));
	ps2_fifo_put(&m->fifo, (uint8_t)dx);
	ps2_fifo_put(&m->fifo, (uint8_t)dy);
	if (m->id == ID_WHEEL)
		ps2_fifo_put(&m->fifo, (uint8_t)dz);
	else if (m->id == ID_FIVE)
		ps2_fifo_put(&m->fifo, (uint8_t)((dz & 15) | (m->buttons & 0x18) << 1));
	m->dx -= raw_x;
	m->dy -= raw_y;
	m->dz -= dz;
	m->reported = m->buttons;
}

/* Make a packet if there is something to say and the line is free. */
static void poll(struct ps2_mouse_regs *m)
{
	if (!m->reporting || m->remote || m->wrap || m->fifo.n || m->command)
		return;
	if (m->dx || m->dy || m->dz || m->buttons != m->reported)
		packet(m);
}

void ps2_mouse_event(struct ps2_mouse_regs *m, int dx, int dy, int dz, unsigned buttons)
{
	m->dx = clamp((int64_t)m->dx + dx, MOVE_MAX);
	m->dy = clamp((int64_t)m->dy - dy, MOVE_MAX);
	m->dz = m->id == ID_STANDARD ? 0 : clamp((int64_t)m->dz + dz, MOVE_MAX);
	m->buttons = buttons & PS2_BUTTONS;
	poll(m);
}

uint8_t ps2_mouse_read(struct ps2_mouse_regs *m)
{
	m->last = ps2_fifo_get(&m->fifo);
	poll(m);
	return m->last;
}

static void reply(struct ps2_mouse_regs *m, uint8_t byte)
{
	ps2_fifo_put(&m->fifo, byte);
}

static void reply_status(struct ps2_mouse_regs *m)
{
	uint8_t b = m->buttons;

	/* IBM, "Status request": buttons are left 2, middle 1, right 0 here. */
	reply(m, (uint8_t)((m->remote ? STATUS_REMOTE : 0) | (m->reporting ? STATUS_REPORTING : 0) |
			   (m->scale_2_1 ? STATUS_SCALE : 0) | (b & PS2_BUTTON_LEFT ? 4 : 0) |
			   (b & PS2_BUTTON_MIDDLE ? 2 : 0) | (b & PS2_BUTTON_RIGHT ? 1 : 0)));
	reply(m, m->resolution);
	reply(m, m->rate);
}

static void set_rate(struct ps2_mouse_regs *m, uint8_t rate)
{
	m->rate = rate;
	m->knock[0] = m->knock[1];
	m->knock[1] = m->knock[2];
	m->knock[2] = rate;
	if (m->knock[0] == 200 && m->knock[2] == 80) {
		if (m->knock[1] == 100 && m->id == ID_STANDARD)
			m->id = ID_WHEEL;
		else if (m->knock[1] == 200)
			m->id = ID_FIVE;
	}
}

/* The parameter of E8 or F3. IBM, "Error handling": a wrong one is asked for again, then refused.
 */
static void parameter(struct ps2_mouse_regs *m, uint8_t byte)
{
	uint8_t cmd = m->command;

	m->command = 0;
	if (cmd == C_RESOLUTION && byte <= 3) {
		m->resolution = byte;
		reply(m, ACK);
	} else if (cmd == C_RATE && byte >= 10 && byte <= 200) {
		set_rate(m, byte);
		reply(m, ACK);
	} else if (m->asked_again) {
		reply(m, ERROR);
	} else {
		m->asked_again = true;
		m->command = cmd;
		reply(m, RESEND);
	}
}

static void command(struct ps2_mouse_regs *m, uint8_t byte)
{
	m->asked_again = false;
	reply(m, byte == C_RESEND ? m->last : ACK);
	switch (byte) {
	case C_SCALE_1_1: m->scale_2_1 = false; break;
	case C_SCALE_2_1: m->scale_2_1 = true; break;
	case C_RESOLUTION:
	case C_RATE: m->command = byte; break;
	case C_STATUS: reply_status(m); break;
	case C_STREAM: m->remote = false; break;
	case C_READ: packet(m); break;
	case C_WRAP_OFF: m->wrap = false; break;
	case C_WRAP: m->wrap = true; break;
	case C_REMOTE: m->remote = true; break;
	case C_ID: reply(m, m->id); break;
	case C_ENABLE: m->reporting = true; break;
	case C_DISABLE: m->reporting = false; break;
	case C_DEFAULT: defaults(m); break;
	case C_RESEND: break;
	case C_RESET:
		ps2_mouse_reset(m);
		reply(m, ACK);
		reply(m, BAT_OK);
		reply(m, m->id);
		break;
	default:
		m->fifo.n = 0;
		reply(m, RESEND);
		break;
	}
}

void ps2_mouse_write(struct ps2_mouse_regs *m, uint8_t byte)
{
	m->fifo.n = 0; /* a command makes the device give up what it had to send */
	if (m->wrap && byte != C_RESET && byte != C_WRAP_OFF)
		reply(m, byte);
	else if (m->command)
		parameter(m, byte);
	else
		command(m, byte);
}

/* clang-format off */
const struct state_field ps2_mouse_fields[] = {
	STATE_STRUCT(struct ps2_mouse_regs, fifo, ps2_fifo_fields),
	STATE_VAL(struct ps2_mouse_regs, dx),
	STATE_VAL(struct ps2_mouse_regs, dy),
	STATE_VAL(struct ps2_mouse_regs, dz),
	STATE_VAL(struct ps2_mouse_regs, buttons, .max = PS2_BUTTONS),
	STATE_VAL(struct ps2_mouse_regs, reported, .max = PS2_BUTTONS),
	STATE_VAL(struct ps2_mouse_regs, command),
	STATE_VAL(struct ps2_mouse_regs, rate),
	STATE_VAL(struct ps2_mouse_regs, resolution, .max = 3),
	STATE_VAL(struct ps2_mouse_regs, id, .max = ID_FIVE),
	STATE_ARRAY(struct ps2_mouse_regs, knock),
	STATE_VAL(struct ps2_mouse_regs, last),
	STATE_VAL(struct ps2_mouse_regs, scale_2_1),
	STATE_VAL(struct ps2_mouse_regs, remote),
	STATE_VAL(struct ps2_mouse_regs, wrap),
	STATE_VAL(struct ps2_mouse_regs, reporting),
	STATE_VAL(struct ps2_mouse_regs, asked_again),
	STATE_PAD(struct ps2_mouse_regs, pad_),
	STATE_END};
/* clang-format on */
