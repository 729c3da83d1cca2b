/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VGA on PCI with the Bochs display interface: the adapter most guests find on virtual machines,
 * PCI 1234:1111.
 *
 * Documents: IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem" (May
 * 1992), for the VGA ("IBM"); Bochs VBE DISPI interface, version B0C5h, for ports 1ceh and 1cfh;
 * "QEMU Standard VGA" (docs/specs/standard-vga) for PCI identity, BARs and the layout of the
 * register BAR.
 *
 *   3b4h/3d4h  CRTC index, data            3c0h  attribute index and data, 3c1h read
 *   3bah/3dah  input status 1, feature     3c2h  misc output (write), input status 0 (read)
 *   3c3h       enable                      3c4h  sequencer index, data
 *   3c6h-3c9h  DAC mask, index, data       3cah, 3cch feature and misc output (read)
 *   3ceh       graphics controller         1ceh, 1cfh, 1d0h  DISPI index, data, data
 *   BAR 0: video memory · BAR 2: 000h EDID, 400h ports 3c0h-3dfh, 500h DISPI registers, 600h
 *   extended registers (size, byte order) · ROM: the video BIOS
 *
 * Memory: dword n holds byte n of each of the four planes, plane 0 lowest. Seen linearly (BAR 0,
 * chain 4, DISPI modes) byte a is byte a / 4 of plane a mod 4, so one layout serves both views.
 * While chain 4 is on, the first 256 KiB lie in another order (vga_stored_at()).
 *
 * Time: retrace and display enable of input status 1 follow the guest clock and the CRTC's
 * registers. Legacy ports and the window at a0000h answer while the PCI command register enables
 * I/O and memory.
 *
 * UNMODELLED: vertical interrupt (IRQ2); light pen; serializer load every second or fourth
 * character (SR1 bits 2 and 4); borders (pictures are what lies between them; their colour shows
 * only while the processor has the palette); big-endian frame buffer; 3c3h and the reset bits of
 * SR0 hold what is written and disable nothing.
 */
#include "device/video/vga.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "mem/guest.h"

/* Bits that exist, by index (IBM, register figures); 0: not there. */
static const uint8_t sr_mask[VGA_SRS] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
static const uint8_t gr_mask[VGA_GRS] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};
static const uint8_t ar_mask[VGA_ARS] = {0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
					 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
					 0x3f, 0x3f, 0xef, 0xff, 0x3f, 0x0f, 0x0f};
static const uint8_t cr_mask[VGA_CRS] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
					 0xff, 0x3f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					 0xff, 0xff, 0x7f, 0xff, 0xff, 0xef, 0xff};

enum {
	MISC_COLOR = 0x01, /* ports 3dxh rather than 3bxh */
	MISC_MASK = 0xef,
	AR_PAS = 0x20,
	CR11_PROTECT = 0x80,
	ST1_OFF = 0x01,     /* display enable is low: borders and retrace */
	ST1_RETRACE = 0x08, /* vertical retrace */
	ST0_SENSE = 0x10,   /* a colour monitor is there */
};

/* DISPI register numbers and bits. */
enum {
	DISPI_ID,
	DISPI_XRES,
	DISPI_YRES,
	DISPI_BPP,
	DISPI_ENABLE,
	DISPI_BANK,
	DISPI_VIRT_WIDTH,
	DISPI_VIRT_HEIGHT,
	DISPI_X_OFFSET,
	DISPI_Y_OFFSET,
	DISPI_MEMORY_64K,
	DISPI_COUNT,
	ENABLE_ON = 0x01,
	ENABLE_GETCAPS = 0x02,
	ENABLE_8BIT_DAC = 0x20,
	ENABLE_MASK = 0xe3,
	ENABLE_NOCLEAR = 0x80,
	DISPI_ID0 = 0xb0c0,
	DISPI_ID5 = 0xb0c5,
};

enum { IO_3B0, IO_3C0, IO_3D0, IO_DISPI };
enum { MMIO_EDID = 0, MMIO_PORTS = 0x400, MMIO_DISPI = 0x500, MMIO_EXT = 0x600, MMIO_SIZE = 4096 };
#define ENDIAN_LITTLE 0x1e1e1e1eu

static struct vga *to_vga(struct dev *d)
{
	return CONTAINER_OF(d, struct vga, dev);
}

static void changed(struct vga *v)
{
	v->generation++;
}

/* ------------------------------------------------------------------ timing */

void vga_timing(const struct vga *v, struct vga_timing *ret_t)
{
	static const uint64_t dot_hz[4] = {25175000, 28322000, 25175000, 25175000};
	const uint8_t *cr = v->s.cr;
	unsigned dots = v->s.sr[1] & 1 ? 8 : 9, half = v->s.sr[1] & 8 ? 2 : 1;
	struct vga_timing t;

	t.chars = cr[0] + 5u;
	t.chars_shown = MIN(cr[1] + 1u, t.chars);
	t.total = (cr[6] | (cr[7] & 0x01) << 8 | (cr[7] & 0x20) << 4) + 2u;
	t.shown = (cr[0x12] | (cr[7] & 0x02) << 7 | (cr[7] & 0x40) << 3) + 1u;
	t.retrace_start = cr[0x10] | (cr[7] & 0x04) << 6 | (cr[7] & 0x80) << 2;
	/* Only the low four bits of the end are compared (IBM, "Vertical Retrace End"). */
	t.retrace_end = t.retrace_start + 1 + ((cr[0x11] - t.retrace_start - 1u) & 15);
	t.line_ns = t.chars * dots * half * NS_PER_SEC / dot_hz[(v->s.misc >> 2) & 3];
	t.frame_ns = t.line_ns * t.total;
	/* Registers that no monitor could follow, such as those at power-on: 60 Hz, 525 lines. */
	if (t.frame_ns < 2 * NS_PER_MS || t.retrace_start >= t.total) {
		t.total = 525;
		t.shown = 480;
		t.retrace_start = 490;
		t.retrace_end = 492;
		t.chars = 100;
		t.chars_shown = 80;
		t.line_ns = 31778;
		t.frame_ns = t.line_ns * t.total;
	}
	*ret_t = t;
}

static uint8_t input_status1(struct vga *v)
{
	struct vga_timing t;
	uint64_t at;
	unsigned line, chr;
	uint8_t st = 0;

	vga_timing(v, &t);
	at = clock_now(v->dev.sv->clock) % t.frame_ns;
	line = (unsigned)(at / t.line_ns);
	chr = (unsigned)((at % t.line_ns) * t.chars / t.line_ns);
	if (line >= t.retrace_start && line < t.retrace_end)
		st |= ST1_RETRACE | ST1_OFF;
	if (line >= t.shown || chr >= t.chars_shown)
		st |= ST1_OFF;
	return st;
}

/* ------------------------------------------------------------------ DISPI */

bool vga_vbe(const struct vga *v, struct vga_vbe *ret_vbe)
{
	const uint16_t *r = v->s.dispi;
	struct vga_vbe g = {.w = r[DISPI_XRES], .h = r[DISPI_YRES], .bpp = r[DISPI_BPP]};
	unsigned bits = g.bpp == 15 ? 16 : g.bpp;
	/* In 4-bit modes everything is counted in one plane. */
	uint32_t room = g.bpp == 4 ? v->vram_size / 4 : v->vram_size;
	uint64_t start;

	if (!(r[DISPI_ENABLE] & ENABLE_ON) || !g.w || !g.h || g.w > DISPLAY_MAX_W ||
	    g.h > DISPLAY_MAX_H)
		return false;
	if (bits != 4 && bits != 8 && bits != 16 && bits != 24 && bits != 32)
		return false;
	g.virt_w = MAX(r[DISPI_VIRT_WIDTH], g.w);
	g.stride = bits == 4 ? (g.virt_w + 7) / 8 : g.virt_w * bits / 8;
	if ((uint64_t)g.stride * g.h > room)
		return false;
	g.virt_h = room / g.stride;
	start = (uint64_t)r[DISPI_Y_OFFSET] * g.stride +
		(bits == 4 ? r[DISPI_X_OFFSET] / 8 : r[DISPI_X_OFFSET] * bits / 8);
	/* Past the end the picture stays where it fits. */
	g.start = (uint32_t)MIN(start, (uint64_t)room - (uint64_t)g.stride * g.h);
	*ret_vbe = g;
	return true;
}

static uint16_t dispi_read(struct vga *v, unsigned reg)
{
	bool caps = v->s.dispi[DISPI_ENABLE] & ENABLE_GETCAPS;
	struct vga_vbe g;

	switch (reg) {
	case DISPI_XRES: return caps ? DISPLAY_MAX_W : v->s.dispi[reg];
	case DISPI_YRES: return caps ? DISPLAY_MAX_H : v->s.dispi[reg];
	case DISPI_BPP: return caps ? 32 : v->s.dispi[reg];
	case DISPI_VIRT_WIDTH: return vga_vbe(v, &g) ? (uint16_t)g.virt_w : v->s.dispi[reg];
	case DISPI_VIRT_HEIGHT:
		return vga_vbe(v, &g) ? (uint16_t)MIN(g.virt_h, 0xffffu) : v->s.dispi[reg];
	case DISPI_MEMORY_64K: return (uint16_t)(v->vram_size >> 16);
	default: return reg < DISPI_COUNT ? v->s.dispi[reg] : 0;
	}
}

static void dispi_enable(struct vga *v, uint16_t val)
{
	bool was = v->s.dispi[DISPI_ENABLE] & ENABLE_ON;
	struct vga_vbe g;

	v->s.dispi[DISPI_ENABLE] = val & ENABLE_MASK;
	if (!(val & ENABLE_ON) || was)
		return;
	v->s.dispi[DISPI_VIRT_WIDTH] = v->s.dispi[DISPI_XRES];
	v->s.dispi[DISPI_X_OFFSET] = v->s.dispi[DISPI_Y_OFFSET] = v->s.dispi[DISPI_BANK] = 0;
	if (!vga_vbe(v, &g)) {
		guest_error(&v->dev, "DISPI mode %ux%ux%u is not possible", v->s.dispi[DISPI_XRES],
			    v->s.dispi[DISPI_YRES], v->s.dispi[DISPI_BPP]);
		return;
	}
	vga_layout_update(v);
	if (!(val & ENABLE_NOCLEAR)) {
		uint64_t len = (uint64_t)g.stride * g.h * (g.bpp == 4 ? 4 : 1);

		guest_fill(v->vram->host, 0, len);
		mem_block_written(v->dev.sv->mem, v->vram, 0, len);
	}
}

static void dispi_write(struct vga *v, unsigned reg, uint16_t val)
{
	changed(v);
	switch (reg) {
	case DISPI_ID:
		if (val >= DISPI_ID0 && val <= DISPI_ID5)
			v->s.dispi[reg] = val;
		break;
	case DISPI_ENABLE:
		dispi_enable(v, val);
		vga_map_update(v);
		break;
	case DISPI_XRES:
	case DISPI_YRES:
	case DISPI_BPP:
	case DISPI_BANK:
	case DISPI_VIRT_WIDTH:
	case DISPI_X_OFFSET:
	case DISPI_Y_OFFSET:
		v->s.dispi[reg] = val;
		vga_map_update(v);
		break;
	case DISPI_VIRT_HEIGHT:
	case DISPI_MEMORY_64K: break; /* follow from the others */
	default: guest_error(&v->dev, "DISPI register %#x is not there", reg); break;
	}
}

static uint64_t dispi_port_read(void *ctx, uint64_t off, unsigned size)
{
	struct vga *v = ctx;

	return off == 0 ? v->s.dispi_index : dispi_read(v, v->s.dispi_index);
}

static void dispi_port_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct vga *v = ctx;

	if (off == 0)
		v->s.dispi_index = (uint16_t)val;
	else
		dispi_write(v, v->s.dispi_index, (uint16_t)val);
}

/* ------------------------------------------------------------------ VGA ports */

static void attribute_write(struct vga *v, uint8_t val)
{
	unsigned i = v->s.ar_index & 0x1f;

	v->s.ar_data = !v->s.ar_data;
	if (v->s.ar_data) {
		v->s.ar_index = val & 0x3f;
		return;
	}
	/* The palette can be written only while the picture is off (IBM, "Address Register"). */
	if (i < 16 && (v->s.ar_index & AR_PAS))
		return;
	v->s.ar[i] = val & ar_mask[i];
}

static void crtc_write(struct vga *v, uint8_t val)
{
	unsigned i = v->s.cr_index;

	if (i >= VGA_CRS)
		return;
	if (i < 8 && (v->s.cr[0x11] & CR11_PROTECT)) {
		/* Bit 4 of CR7 belongs to line compare, which is not protected. */
		if (i == 7)
			v->s.cr[7] = (uint8_t)((v->s.cr[7] & ~0x10) | (val & 0x10));
		return;
	}
	v->s.cr[i] = val & cr_mask[i];
}

static uint8_t dac_read(struct vga *v)
{
	uint8_t val = v->s.dac[v->s.dac_at * 3 + v->s.dac_part];

	if (++v->s.dac_part == 3) {
		v->s.dac_part = 0;
		v->s.dac_at++;
	}
	return val;
}

/* The three bytes arrive one by one and take effect together (IBM, "Video DAC"). */
static void dac_write(struct vga *v, uint8_t val)
{
	uint8_t *to = &v->s.dac[v->s.dac_at * 3];

	if (!(v->s.dispi[DISPI_ENABLE] & ENABLE_8BIT_DAC))
		val &= 0x3f;
	if (v->s.dac_part < 2) {
		v->s.dac_hold[v->s.dac_part++] = val;
		return;
	}
	to[0] = v->s.dac_hold[0];
	to[1] = v->s.dac_hold[1];
	to[2] = val;
	v->s.dac_part = 0;
	v->s.dac_at++;
}

/* Do the ports at @port (3bxh or 3dxh) answer now? */
static bool selected(const struct vga *v, unsigned port)
{
	return (port >= 0x3d0) == (v->s.misc & MISC_COLOR);
}

static uint8_t port_read(struct vga *v, unsigned port)
{
	switch (port) {
	case 0x3c0: return v->s.ar_data ? v->s.ar[v->s.ar_index & 0x1f] : v->s.ar_index;
	case 0x3c1: return v->s.ar[v->s.ar_index & 0x1f];
	case 0x3c2: return ST0_SENSE;
	case 0x3c3: return v->s.enable;
	case 0x3c4: return v->s.sr_index;
	case 0x3c5: return v->s.sr_index < VGA_SRS ? v->s.sr[v->s.sr_index] : 0xff;
	case 0x3c6: return v->s.pel_mask;
	case 0x3c7: return v->s.dac_reading ? 3 : 0;
	case 0x3c8: return v->s.dac_at;
	case 0x3c9: return dac_read(v);
	case 0x3ca: return v->s.feature;
	case 0x3cc: return v->s.misc;
	case 0x3ce: return v->s.gr_index;
	case 0x3cf: return v->s.gr_index < VGA_GRS ? v->s.gr[v->s.gr_index] : 0xff;
	case 0x3b4:
	case 0x3d4: return selected(v, port) ? v->s.cr_index : 0xff;
	case 0x3b5:
	case 0x3d5:
		if (!selected(v, port))
			return 0xff;
		return v->s.cr_index < VGA_CRS ? v->s.cr[v->s.cr_index] : 0xff;
	case 0x3ba:
	case 0x3da:
		if (!selected(v, port))
			return 0xff;
		v->s.ar_data = false;
		return input_status1(v);
	default: return 0xff;
	}
}

static void port_write(struct vga *v, unsigned port, uint8_t val)
{
	changed(v);
	switch (port) {
	case 0x3c0: attribute_write(v, val); break;
	case 0x3c2:
		v->s.misc = val & MISC_MASK;
		vga_map_update(v);
		break;
	case 0x3c3: v->s.enable = val & 1; break;
	case 0x3c4: v->s.sr_index = val & 7; break;
	case 0x3c5:
		v->s.sr[v->s.sr_index] = val & sr_mask[v->s.sr_index];
		vga_map_update(v);
		break;
	case 0x3c6: v->s.pel_mask = val; break;
	case 0x3c7:
	case 0x3c8:
		v->s.dac_at = val;
		v->s.dac_part = 0;
		v->s.dac_reading = port == 0x3c7;
		break;
	case 0x3c9: dac_write(v, val); break;
	case 0x3ce: v->s.gr_index = val & 15; break;
	case 0x3cf:
		v->s.gr[v->s.gr_index] = val & gr_mask[v->s.gr_index];
		vga_map_update(v);
		break;
	case 0x3b4:
	case 0x3d4:
		if (selected(v, port))
			v->s.cr_index = val;
		break;
	case 0x3b5:
	case 0x3d5:
		if (selected(v, port))
			crtc_write(v, val);
		break;
	case 0x3ba:
	case 0x3da:
		if (selected(v, port))
			v->s.feature = val & 0x0b;
		break;
	}
}

static uint64_t read_3b0(void *ctx, uint64_t off, unsigned size)
{
	return port_read(ctx, 0x3b0 + (unsigned)off);
}

static void write_3b0(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	port_write(ctx, 0x3b0 + (unsigned)off, (uint8_t)val);
}

static uint64_t read_3c0(void *ctx, uint64_t off, unsigned size)
{
	return port_read(ctx, 0x3c0 + (unsigned)off);
}

static void write_3c0(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	port_write(ctx, 0x3c0 + (unsigned)off, (uint8_t)val);
}

static uint64_t read_3d0(void *ctx, uint64_t off, unsigned size)
{
	return port_read(ctx, 0x3d0 + (unsigned)off);
}

static void write_3d0(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	port_write(ctx, 0x3d0 + (unsigned)off, (uint8_t)val);
}

/* ------------------------------------------------------------------ register BAR */

static uint64_t mmio_read(void *ctx, uint64_t off, unsigned size)
{
	struct vga *v = ctx;
	uint64_t val = 0;

	if (off >= MMIO_DISPI && off < MMIO_DISPI + DISPI_COUNT * 2u) {
		for (unsigned i = 0; i < size; i++) {
			uint64_t at = off - MMIO_DISPI + i;

			val |= (uint64_t)((dispi_read(v, (unsigned)at / 2) >> (at & 1) * 8) & 0xff)
			       << i * 8;
		}
		return val;
	}
	for (unsigned i = 0; i < size; i++) {
		unsigned at = (unsigned)off + i, b = 0;

		if (at < MMIO_EDID + EDID_SIZE)
			b = v->edid[at - MMIO_EDID];
		else if (at >= MMIO_PORTS && at < MMIO_PORTS + 0x20)
			b = port_read(v, at - MMIO_PORTS + 0x3c0);
		else if (at == MMIO_EXT)
			b = 8; /* bytes of extended registers */
		else if (at >= MMIO_EXT + 4 && at < MMIO_EXT + 8)
			b = ENDIAN_LITTLE & 0xff;
		val |= (uint64_t)b << i * 8;
	}
	return val;
}

static void mmio_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct vga *v = ctx;

	if (off >= MMIO_DISPI && off < MMIO_DISPI + DISPI_COUNT * 2u) {
		for (unsigned i = 0; i + 1 < size; i += 2)
			dispi_write(v, (unsigned)(off - MMIO_DISPI + i) / 2,
				    (uint16_t)(val >> i * 8));
		return;
	}
	for (unsigned i = 0; i < size; i++)
		if (off + i >= MMIO_PORTS && off + i < MMIO_PORTS + 0x20)
			port_write(v, (unsigned)(off + i) - MMIO_PORTS + 0x3c0,
				   (uint8_t)(val >> i * 8));
}

/* ------------------------------------------------------------------ life cycle */

/* Legacy ports answer while COMMAND enables I/O. */
static void map_ports(struct vga *v, bool on)
{
	static const uint16_t base[ARRAY_SIZE(v->io)] = {0x3b0, 0x3c0, 0x3d0, 0x1ce};

	for (unsigned i = 0; i < ARRAY_SIZE(v->io); i++) {
		struct error err = {0};

		if (on == v->io_mapped[i])
			continue;
		if (!on)
			bus_unmap_pio(v->dev.sv->bus, &v->io[i]);
		else if (bus_map_pio(v->dev.sv->bus, &v->io[i], base[i], &err) < 0)
			continue;
		v->io_mapped[i] = on;
	}
}

static void config_written(struct pci_func *f, unsigned off, unsigned size)
{
	struct vga *v = CONTAINER_OF(f, struct vga, f);

	map_ports(v, pci_command(f) & PCI_COMMAND_IO);
	vga_map_update(v);
}

/* A block of the memory space, or the one that is there already: blocks outlive devices. */
static int get_block(struct vga *v, const char *what, uint64_t size, struct ram_block **ret_block,
		     struct error *err)
{
	struct mem_space *mem = v->dev.sv->mem;
	char name[80];

	snprintf(name, sizeof(name), "%s.%s", v->dev.id, what);
	*ret_block = mem_block_find(mem, name);
	if (*ret_block && (*ret_block)->size == size)
		return 0;
	return mem_ram_new(mem, name, size, ret_block, err);
}

static void init_regions(struct vga *v)
{
	static const struct {
		const char *name;
		uint64_t size;
		uint8_t impl;
		uint64_t (*read)(void *ctx, uint64_t off, unsigned size);
		void (*write)(void *ctx, uint64_t off, unsigned size, uint64_t val);
	} ports[ARRAY_SIZE(v->io)] = {
		[IO_3B0] = {"vga-mono", 0x10, WIDTH_1, read_3b0, write_3b0},
		[IO_3C0] = {"vga", 0x10, WIDTH_1, read_3c0, write_3c0},
		[IO_3D0] = {"vga-color", 0x10, WIDTH_1, read_3d0, write_3d0},
	};

	for (unsigned i = 0; i < IO_DISPI; i++)
		v->io[i] = (struct bus_region){.name = ports[i].name,
					       .size = ports[i].size,
					       .valid = WIDTH_124,
					       .impl = ports[i].impl,
					       .read = ports[i].read,
					       .write = ports[i].write,
					       .ctx = v};
	/* Index at 1ceh; data at 1cfh, or at 1d0h where words must be aligned. */
	v->io[IO_DISPI] = (struct bus_region){.name = "vga-dispi",
					      .size = 4,
					      .valid = WIDTH_124,
					      .impl = WIDTH_2,
					      .unaligned = true,
					      .read = dispi_port_read,
					      .write = dispi_port_write,
					      .ctx = v};
	v->mmio = (struct bus_region){.name = "vga-registers",
				      .size = MMIO_SIZE,
				      .valid = WIDTH_ANY,
				      .impl = WIDTH_124,
				      .read = mmio_read,
				      .write = mmio_write,
				      .ctx = v};
	v->window = (struct bus_region){.name = "vga-memory",
					.size = 0x20000,
					.valid = WIDTH_ANY,
					.impl = WIDTH_1,
					.read = vga_window_read,
					.write = vga_window_write,
					.ctx = v};
}

static int vga_realize(struct dev *d, struct error *err)
{
	static const struct pci_ids ids = {.vendor = 0x1234,
					   .device = 0x1111,
					   .subsystem_vendor = 0x1af4,
					   .subsystem = 0x1100,
					   .revision = 2,
					   .cls = 0x0300};
	struct vga *v = to_vga(d);
	struct display_source source = {.update = vga_update, .text = vga_text, .ctx = v};
	int r;

	if (!v->vram_size)
		v->vram_size = VGA_VRAM_DEFAULT;
	if (!v->bus || v->vram_size < MIB || v->vram_size > 64 * MIB ||
	    (v->vram_size & (v->vram_size - 1)))
		return error_set(err, -EINVAL,
				 "'%s': wire 'bus'; video memory is a power of two, 1M to 64M",
				 d->id);
	v->line = xnew_n(uint32_t, 8192);
	v->seen = xnew_n(uint8_t, VGA_PLANES_SIZE);
	init_regions(v);
	edid_build(v->edid, 1024, 768);
	r = get_block(v, "vram", v->vram_size, &v->vram, err);
	if (r < 0)
		return r;
	pci_func_init(&v->f, d, &v->s.pci, &ids);
	pci_bar_add_ram(&v->f, 0, PCI_BAR_MEM32_PREF, v->vram);
	pci_bar_add(&v->f, 2, PCI_BAR_MEM32, &v->mmio);
	if (v->rom && v->rom_size) {
		r = pci_rom_add(&v->f, v->rom, v->rom_size, err);
		if (r < 0)
			return r;
	}
	v->f.config_written = config_written;
	if (!v->devfn) {
		r = pci_bus_free_slot(v->bus, 2);
		if (r < 0)
			return error_set(err, r, "no free PCI slot for '%s'", d->id);
		v->devfn = PCI_DEVFN((unsigned)r, 0);
	}
	r = pci_func_add(&v->f, v->bus, v->devfn, err);
	if (r == 0 && v->display)
		display_set_source(v->display, DISPLAY_BASE, &source);
	return r;
}

static void vga_unrealize(struct dev *d)
{
	struct vga *v = to_vga(d);

	if (v->display)
		display_set_source(v->display, DISPLAY_BASE, NULL);
	if (v->vram) {
		map_ports(v, false);
		vga_map_done(v);
		pci_func_done(&v->f);
	}
	free(v->line);
	free(v->seen);
	v->line = NULL;
	v->seen = NULL;
}

static void vga_reset(struct dev *d, enum dev_reset kind)
{
	struct vga *v = to_vga(d);
	struct pci_regs pci = v->s.pci;

	memset(&v->s, 0, sizeof(v->s));
	v->s.pci = pci;
	v->s.misc = MISC_COLOR;
	v->s.enable = 1;
	v->s.pel_mask = 0xff;
	v->s.dispi[DISPI_ID] = DISPI_ID5;
	if (kind == DEV_RESET_COLD)
		guest_fill(v->vram->host, 0, v->vram_size);
	pci_func_reset(&v->f, kind);
	map_ports(v, pci_command(&v->f) & PCI_COMMAND_IO);
	vga_map_update(v);
	changed(v);
}

static int vga_loaded(struct dev *d, struct error *err)
{
	struct vga *v = to_vga(d);
	int r = pci_func_loaded(&v->f, err);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < VGA_SRS; i++)
		v->s.sr[i] &= sr_mask[i];
	for (unsigned i = 0; i < VGA_GRS; i++)
		v->s.gr[i] &= gr_mask[i];
	for (unsigned i = 0; i < VGA_ARS; i++)
		v->s.ar[i] &= ar_mask[i];
	for (unsigned i = 0; i < VGA_CRS; i++)
		v->s.cr[i] &= cr_mask[i];
	v->s.misc &= MISC_MASK;
	v->s.feature &= 0x0b;
	v->s.dispi[DISPI_ENABLE] &= ENABLE_MASK;
	v->chained = vga_layout(v); /* memory is as it was saved */
	map_ports(v, pci_command(&v->f) & PCI_COMMAND_IO);
	vga_map_update(v);
	changed(v);
	return 0;
}

/* clang-format off */
static const struct state_field vga_fields[] = {
	STATE_STRUCT(struct vga_regs, pci, pci_regs_fields),
	STATE_BYTES_OF(struct vga_regs, sr),
	STATE_BYTES_OF(struct vga_regs, gr),
	STATE_BYTES_OF(struct vga_regs, ar),
	STATE_BYTES_OF(struct vga_regs, cr),
	STATE_BYTES_OF(struct vga_regs, dac),
	STATE_VAL(struct vga_regs, latch),
	STATE_ARRAY(struct vga_regs, dispi),
	STATE_VAL(struct vga_regs, dispi_index),
	STATE_VAL(struct vga_regs, sr_index, .max = 7),
	STATE_VAL(struct vga_regs, gr_index, .max = 15),
	STATE_VAL(struct vga_regs, cr_index),
	STATE_VAL(struct vga_regs, ar_index, .max = 0x3f),
	STATE_VAL(struct vga_regs, ar_data),
	STATE_VAL(struct vga_regs, misc),
	STATE_VAL(struct vga_regs, feature),
	STATE_VAL(struct vga_regs, enable, .max = 1),
	STATE_VAL(struct vga_regs, pel_mask),
	STATE_VAL(struct vga_regs, dac_at),
	STATE_VAL(struct vga_regs, dac_part, .max = 2),
	STATE_VAL(struct vga_regs, dac_reading),
	STATE_BYTES_OF(struct vga_regs, dac_hold),
	STATE_PAD(struct vga_regs, pad_),
	STATE_END};

static const struct state_desc vga_state = STATE_DESC("vga", 1, struct vga_regs, vga_fields);
/* clang-format on */

const struct dev_class vga_class = {
	.name = "vga",
	.summary = "VGA with the Bochs display interface, PCI",
	.spec = "IBM PS/2 Hardware Interface Technical Reference, Video Subsystem; Bochs VBE DISPI "
		"B0C5h",
	.size = sizeof(struct vga),
	.regs_offset = offsetof(struct vga, s),
	.state = &vga_state,
	.realize = vga_realize,
	.unrealize = vga_unrealize,
	.reset = vga_reset,
	.loaded = vga_loaded,
};

/* ------------------------------------------------------------------ mode 3 without firmware */

/* Registers of mode 3, 80 x 25 of 9 x 16 dots (IBM, "Video Modes", register values). */
static const uint8_t mode3_sr[] = {0x03, 0x00, 0x03, 0x00, 0x02};
static const uint8_t mode3_cr[] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00,
				   0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e,
				   0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};
static const uint8_t mode3_gr[] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff};
static const uint8_t mode3_ar[] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a,
				   0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00};

void vga_text_mode(struct vga *v)
{
	const struct ram_block *rom = v->f.rom.block;
	uint8_t *vram = v->vram->host;

	v->s.misc = 0x67;
	memcpy(v->s.sr, mode3_sr, sizeof(mode3_sr));
	memcpy(v->s.cr, mode3_cr, sizeof(mode3_cr));
	memcpy(v->s.gr, mode3_gr, sizeof(mode3_gr));
	memcpy(v->s.ar, mode3_ar, sizeof(mode3_ar));
	v->s.ar_index = AR_PAS;
	v->s.ar_data = false;
	/* 64 colours as EGA monitors had them: bits 2:0 red, green, blue at 2/3, 5:3 at 1/3. */
	for (unsigned i = 0; i < 64; i++)
		for (unsigned c = 0; c < 3; c++)
			v->s.dac[i * 3 + c] =
				(uint8_t)((i >> (2 - c) & 1) * 42 + (i >> (5 - c) & 1) * 21);
	guest_fill(vram, 0, 256 * KIB);
	for (unsigned i = 0; i < 80 * 25; i++) {
		vram[i * 8] = ' '; /* words: every second address of planes 0 and 1 */
		vram[i * 8 + 1] = 0x07;
	}
	for (unsigned ch = 0; ch < 256; ch++) {
		uint8_t glyph[16];

		vga_font(rom ? rom->host : NULL, rom ? rom->size : 0, (uint8_t)ch, glyph);
		for (unsigned row = 0; row < 16; row++)
			vram[(ch * 32 + row) * 4 + 2] = glyph[row];
	}
	mem_block_written(v->dev.sv->mem, v->vram, 0, 256 * KIB);
	vga_map_update(v);
	changed(v);
}
