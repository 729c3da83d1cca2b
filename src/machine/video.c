/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Screen, keyboard and pointer of a machine: the VGA on PCI, and the way from a viewer's input
 * (display/display.h) to the keyboard controller.
 */
#include <errno.h>

#include "device/input/i8042.h"
#include "device/video/vga.h"
#include "machine/parts.h"

static void kbc_key(void *ctx, uint8_t code, bool down)
{
	i8042_key(ctx, code, down);
}

static bool kbc_room(void *ctx)
{
	const struct i8042 *kbc = ctx;

	return !kbc->s.kbd.fifo.n && !(kbc->s.full && !kbc->s.from_aux);
}

/* Viewers count buttons as the PS/2 mouse does: left, right, middle, two at the side. */
static void kbc_pointer(void *ctx, const struct display_pointer *p)
{
	i8042_mouse(ctx, p->dx, p->dy, p->dz, p->buttons & PS2_BUTTONS);
}

void parts_viewer_input(struct machine *m, struct i8042 *kbc)
{
	if (!m->cfg.display)
		return;
	m->kbc_input = (struct display_input){
		.key = kbc_key, .pointer = kbc_pointer, .room = kbc_room, .ctx = kbc};
	display_add_input(m->cfg.display, &m->kbc_input);
}

int parts_vga(struct machine *m, struct error *err)
{
	struct vga *v;
	int r;

	if (!m->cfg.vga)
		return 0;
	v = (struct vga *)dev_new(&vga_class, "vga", &m->sv);
	v->bus = m->pci;
	v->display = m->cfg.display;
	v->rom = m->cfg.vga_rom;
	v->rom_size = m->cfg.vga_rom_size;
	r = parts_add(m, &v->dev, err);
	if (r == 0)
		m->vga = v;
	return r;
}
