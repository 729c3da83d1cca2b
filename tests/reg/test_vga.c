/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the VGA, and its pictures: each mode is set as a video BIOS does it, filled
 * through the processor's view of memory, and the picture compared with one worked out here from
 * what was written, by the rules of the mode and not by those of the CRTC.
 * "IBM": PS/2 Hardware Interface Technical Reference, Video Subsystem. "DISPI": Bochs VBE display
 * interface. "STD": QEMU Standard VGA. "EDID": VESA E-EDID A.2.
 */
#include "device/video/vga.h"
#include "harness.h"

#include <stdlib.h>
#include <string.h>

#define LFB  0xe0000000u
#define REGS 0xe1000000u
#define ROM  0xe2000000u

struct box {
	struct harness *h;
	struct pci_bus bus;
	struct vga *v;
	struct display *d;
	struct display_viewer viewer;
	struct display_rect damage[1600];
	unsigned n_damage, n_resized;
	uint8_t rom[4096];
};

static unsigned route(void *ctx, uint8_t devfn, unsigned pin)
{
	return 0;
}

static void cfg(struct box *b, unsigned off, unsigned size, uint32_t val)
{
	bus_lock(&b->h->bus);
	pci_bus_config_write(&b->bus, PCI_DEVFN(2, 0), off, size, val);
	bus_unlock(&b->h->bus);
}

static uint32_t cfg_read(struct box *b, unsigned off, unsigned size)
{
	return pci_bus_config_read(&b->bus, PCI_DEVFN(2, 0), off, size);
}

static void note_resized(struct display_viewer *viewer, unsigned w, unsigned h)
{
	CONTAINER_OF(viewer, struct box, viewer)->n_resized++;
}

static void note_damage(struct display_viewer *viewer, const struct display_rect *r)
{
	struct box *b = CONTAINER_OF(viewer, struct box, viewer);

	assert_true(r->w && r->h && r->x + r->w <= b->d->w && r->y + r->h <= b->d->h);
	if (b->n_damage < ARRAY_SIZE(b->damage))
		b->damage[b->n_damage++] = *r;
}

static struct box *box_new(void)
{
	struct box *b = xnew(struct box);
	struct error err;

	b->h = harness_new();
	pci_bus_init(&b->bus, &b->h->bus, route, b);
	assert_int_equal(display_new(NULL, &b->d, &err), 0);
	b->viewer.resized = note_resized;
	b->viewer.damaged = note_damage;
	display_add_viewer(b->d, &b->viewer);
	memset(b->rom, 0xa5, sizeof(b->rom));
	b->v = (struct vga *)dev_new(&vga_class, "vga", &b->h->sv);
	b->v->bus = &b->bus;
	b->v->display = b->d;
	b->v->rom = b->rom;
	b->v->rom_size = sizeof(b->rom);
	harness_realize(b->h, &b->v->dev);
	cfg(b, PCI_BAR0, 4, LFB);
	cfg(b, PCI_BAR0 + 8, 4, REGS);
	cfg(b, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	return b;
}

static void box_free(struct box *b)
{
	harness_free(b->h);
	display_free(b->d);
	free(b);
}

static void update(struct box *b)
{
	b->n_damage = 0;
	bus_lock(&b->h->bus);
	display_update(b->d);
	bus_unlock(&b->h->bus);
}

/* ------------------------------------------------------------------ modes, as a BIOS sets them */

struct mode {
	uint8_t misc, sr[4], cr[25], ar[20], gr[9];
};

/* clang-format off */
#define AR_TEXT 0,1,2,3,4,5,0x14,7,0x38,0x39,0x3a,0x3b,0x3c,0x3d,0x3e,0x3f
#define AR_LOW  0,1,2,3,4,5,6,7,0x10,0x11,0x12,0x13,0x14,0x15,0x16,0x17
#define GR_PLANAR {0,0,0,0,0,0,0x05,0x0f,0xff}
/* IBM, "Video Modes": values of the registers. */
static const struct mode modes[] = {
	[0x01] = {0x67, {0x08,3,0,2},
		{0x2d,0x27,0x28,0x90,0x2b,0xa0,0xbf,0x1f,0,0x4f,0x0d,0x0e,0,0,0,0,0x9c,0x8e,0x8f,0x14,0x1f,0x96,0xb9,0xa3,0xff},
		{AR_TEXT, 0x0c,0,0x0f,8}, {0,0,0,0,0,0x10,0x0e,0,0xff}},
	[0x03] = {0x67, {0x00,3,0,2},
		{0x5f,0x4f,0x50,0x82,0x55,0x81,0xbf,0x1f,0,0x4f,0x0d,0x0e,0,0,0,0,0x9c,0x8e,0x8f,0x28,0x1f,0x96,0xb9,0xa3,0xff},
		{AR_TEXT, 0x0c,0,0x0f,8}, {0,0,0,0,0,0x10,0x0e,0,0xff}},
	[0x04] = {0x63, {0x09,3,0,2},
		{0x2d,0x27,0x28,0x90,0x2b,0x80,0xbf,0x1f,0,0xc1,0,0,0,0,0,0,0x9c,0x8e,0x8f,0x14,0,0x96,0xb9,0xa2,0xff},
		{0,0x13,0x15,0x17,2,4,6,7,0x10,0x11,0x12,0x13,0x14,0x15,0x16,0x17, 1,0,3,0}, {0,0,0,0,0,0x30,0x0f,0,0xff}},
	[0x06] = {0x63, {0x01,1,0,6},
		{0x5f,0x4f,0x50,0x82,0x54,0x80,0xbf,0x1f,0,0xc1,0,0,0,0,0,0,0x9c,0x8e,0x8f,0x28,0,0x96,0xb9,0xc2,0xff},
		{0,0x17,0x17,0x17,0x17,0x17,0x17,0x17,0x17,0x17,0x17,0x17,0x17,0x17,0x17,0x17, 1,0,1,0}, {0,0,0,0,0,0,0x0d,0,0xff}},
	[0x07] = {0x66, {0x00,3,0,2},
		{0x5f,0x4f,0x50,0x82,0x55,0x81,0xbf,0x1f,0,0x4f,0x0d,0x0e,0,0,0,0,0x9c,0x8e,0x8f,0x28,0x0d,0x96,0xb9,0xa3,0xff},
		{0,8,8,8,8,8,8,8,0x10,0x18,0x18,0x18,0x18,0x18,0x18,0x18, 0x0e,0,0x0f,8}, {0,0,0,0,0,0x10,0x0a,0,0xff}},
	[0x0d] = {0x63, {0x09,15,0,6},
		{0x2d,0x27,0x28,0x90,0x2b,0x80,0xbf,0x1f,0,0xc0,0,0,0,0,0,0,0x9c,0x8e,0x8f,0x14,0,0x96,0xb9,0xe3,0xff},
		{AR_LOW, 1,0,0x0f,0}, GR_PLANAR},
	[0x0e] = {0x63, {0x01,15,0,6},
		{0x5f,0x4f,0x50,0x82,0x54,0x80,0xbf,0x1f,0,0xc0,0,0,0,0,0,0,0x9c,0x8e,0x8f,0x28,0,0x96,0xb9,0xe3,0xff},
		{AR_LOW, 1,0,0x0f,0}, GR_PLANAR},
	[0x10] = {0xa3, {0x01,15,0,6},
		{0x5f,0x4f,0x50,0x82,0x54,0x80,0xbf,0x1f,0,0x40,0,0,0,0,0,0,0x83,0x85,0x5d,0x28,0x0f,0x63,0xba,0xe3,0xff},
		{AR_TEXT, 1,0,0x0f,0}, GR_PLANAR},
	[0x12] = {0xe3, {0x01,15,0,6},
		{0x5f,0x4f,0x50,0x82,0x54,0x80,0x0b,0x3e,0,0x40,0,0,0,0,0,0,0xea,0x8c,0xdf,0x28,0,0xe7,0x04,0xe3,0xff},
		{AR_TEXT, 1,0,0x0f,0}, GR_PLANAR},
	[0x13] = {0x63, {0x01,15,0,0x0e},
		{0x5f,0x4f,0x50,0x82,0x54,0x80,0xbf,0x1f,0,0x41,0,0,0,0,0,0,0x9c,0x8e,0x8f,0x28,0x40,0x96,0xb9,0xa3,0xff},
		{0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15, 0x41,0,0x0f,0}, {0,0,0,0,0,0x40,0x05,0x0f,0xff}},
};
/* clang-format on */

static void sr(struct box *b, uint8_t i, uint8_t v)
{
	outw(b->h, 0x3c4, (uint16_t)(v << 8 | i));
}

static void gr(struct box *b, uint8_t i, uint8_t v)
{
	outw(b->h, 0x3ce, (uint16_t)(v << 8 | i));
}

static void ar(struct box *b, uint8_t i, uint8_t v)
{
	inb(b->h, b->v->s.misc & 1 ? 0x3da : 0x3ba);
	outb(b->h, 0x3c0, i);
	outb(b->h, 0x3c0, v);
	outb(b->h, 0x3c0, 0x20);
}

static void cr(struct box *b, uint8_t i, uint8_t v)
{
	outw(b->h, b->v->s.misc & 1 ? 0x3d4 : 0x3b4, (uint16_t)(v << 8 | i));
}

/* A colour that tells every DAC entry apart. */
static uint32_t dac_rgb(unsigned i)
{
	unsigned c[3] = {i & 63, (i * 7 + 5) & 63, (i >> 2) & 63}, rgb = 0;

	for (unsigned n = 0; n < 3; n++)
		rgb = rgb << 8 | c[n] << 2 | c[n] >> 4;
	return rgb;
}

static void set_mode(struct box *b, unsigned n)
{
	const struct mode *m = &modes[n];

	outb(b->h, 0x3c2, m->misc);
	cr(b, 0x11, 0); /* unprotect */
	for (uint8_t i = 0; i < 4; i++)
		sr(b, i + 1, m->sr[i]);
	for (uint8_t i = 0; i < 9; i++)
		gr(b, i, m->gr[i]);
	for (unsigned i = 0; i < 25; i++)
		cr(b, (uint8_t)i, m->cr[i]);
	for (uint8_t i = 0; i < 20; i++)
		ar(b, i, m->ar[i]);
	ar(b, 0x14, 0);
	outb(b->h, 0x3c6, 0xff);
	outb(b->h, 0x3c8, 0);
	for (unsigned i = 0; i < 256; i++) {
		outb(b->h, 0x3c9, i & 63);
		outb(b->h, 0x3c9, (i * 7 + 5) & 63);
		outb(b->h, 0x3c9, (uint8_t)(i >> 2));
	}
}

/* DAC entry of attribute @c in mode @n. */
static uint32_t attr_rgb(unsigned n, unsigned c)
{
	return dac_rgb(modes[n].ar[c & modes[n].ar[0x12] & 15]);
}

static void check_size(struct box *b, unsigned w, unsigned h)
{
	update(b);
	assert_int_equal(b->d->w, w);
	assert_int_equal(b->d->h, h);
}

static void check_pixel(struct box *b, unsigned x, unsigned y, uint32_t want)
{
	uint32_t is = b->d->px[y * b->d->w + x] & 0xffffff;

	if (is != want)
		fail_msg("pixel (%u, %u) is %06x, should be %06x", x, y, is, want);
}

/* A mode of 320 or 640 pixels whose pixel (x, y) has value color(x, y): dots of w x h. */
static unsigned color_of(unsigned x, unsigned y)
{
	return (x * 31 + y * 17 + (x * y >> 3)) & 0xff;
}

/* ------------------------------------------------------------------ registers */

static const struct reg_row register_rows[] = {
	/* clang-format off */
	{OUT8, 0x3c2, 0x67}, {IN8, 0x3cc, 0x67, .cite = "IBM: Miscellaneous Output read at 3cc"},
	{IN8, 0x3c2, 0x10, 0x10, .cite = "IBM: Input Status 0, switch sense"},
	{OUT8, 0x3da, 0x03}, {IN8, 0x3ca, 0x03, .cite = "IBM: Feature Control read at 3ca"},
	{OUT8, 0x3da, 0x00},
	{OUT16, 0x3c4, 0xff02}, {IN8, 0x3c5, 0x0f, .cite = "IBM: Map Mask has four bits"},
	{OUT8, 0x3c4, 4}, {OUT8, 0x3c5, 0xff}, {IN8, 0x3c5, 0x0e, .cite = "IBM: Memory Mode bits 3:1"},
	{OUT8, 0x3c4, 4}, {OUT8, 0x3c5, 0x06},
	{OUT16, 0x3ce, 0xff05}, {IN8, 0x3cf, 0x7b, .cite = "IBM: Graphics Mode bits 6:3, 1:0"},
	{OUT16, 0x3ce, 0x0005},
	{OUT16, 0x3ce, 0xff06}, {IN8, 0x3cf, 0x0f, .cite = "IBM: Miscellaneous bits 3:0"},
	/* CRTC: protection of 0 to 7 but for line compare bit 8 */
	{OUT16, 0x3d4, 0x0011}, {OUT16, 0x3d4, 0x5f00}, {OUT16, 0x3d4, 0x0007},
	{OUT16, 0x3d4, 0x8011},
	{OUT16, 0x3d4, 0x1200}, {IN8, 0x3d5, 0x5f, .cite = "IBM: Vertical Retrace End bit 7 protects 0-7"},
	{OUT16, 0x3d4, 0xff07}, {IN8, 0x3d5, 0x10, .cite = "IBM: ... except line compare bit 8"},
	{OUT16, 0x3d4, 0x340c}, {IN8, 0x3d5, 0x34, .cite = "IBM: Start Address High"},
	{IN8, 0x3b5, 0xff, .cite = "IBM: colour select moves the CRTC to 3dx"},
	/* attribute controller: flip-flop, palette locked while the picture is on */
	{IN8, 0x3da, 0, 0}, {OUT8, 0x3c0, 0x03}, {OUT8, 0x3c0, 0x2a},
	{OUT8, 0x3c0, 0x03}, {IN8, 0x3c1, 0x2a, .cite = "IBM: palette register 3"},
	{IN8, 0x3da, 0, 0}, {OUT8, 0x3c0, 0x23}, {OUT8, 0x3c0, 0x15},
	{IN8, 0x3c1, 0x2a, .cite = "IBM: palette address source 1: no writes to the palette"},
	{IN8, 0x3da, 0, 0}, {OUT8, 0x3c0, 0x34}, {OUT8, 0x3c0, 0xff},
	{IN8, 0x3c1, 0x0f, .cite = "IBM: Color Select has four bits"},
	/* DAC */
	{OUT8, 0x3c8, 5}, {OUT8, 0x3c9, 0x11}, {OUT8, 0x3c9, 0x22}, {OUT8, 0x3c9, 0xff},
	{IN8, 0x3c8, 6, .cite = "IBM: address counts up after blue"},
	{IN8, 0x3c7, 0, .cite = "IBM: DAC State 0 after a write address"},
	{OUT8, 0x3c7, 5}, {IN8, 0x3c9, 0x11}, {IN8, 0x3c9, 0x22}, {IN8, 0x3c9, 0x3f, .cite = "IBM: six bits a colour"},
	{IN8, 0x3c7, 3, .cite = "IBM: DAC State 3 after a read address"},
	/* DISPI */
	{OUT16, 0x1ce, 0}, {IN16, 0x1cf, 0xb0c5, .cite = "DISPI: id"},
	{OUT16, 0x1cf, 0xb0c2}, {IN16, 0x1d0, 0xb0c2, .cite = "DISPI: older ids may be set"},
	{OUT16, 0x1ce, 10}, {IN16, 0x1cf, 256, .cite = "DISPI: video memory in 64 KiB units"},
	{OUT16, 0x1ce, 4}, {OUT16, 0x1cf, 2}, {OUT16, 0x1ce, 1}, {IN16, 0x1cf, 2560, .cite = "DISPI: GETCAPS, x"},
	{OUT16, 0x1ce, 2}, {IN16, 0x1cf, 1600, .cite = "DISPI: GETCAPS, y"},
	{OUT16, 0x1ce, 3}, {IN16, 0x1cf, 32, .cite = "DISPI: GETCAPS, bpp"},
	{OUT16, 0x1ce, 4}, {OUT16, 0x1cf, 0},
	{OUT16, 0x1ce, 1}, {OUT16, 0x1cf, 800}, {OUT16, 0x1ce, 2}, {OUT16, 0x1cf, 600},
	{OUT16, 0x1ce, 3}, {OUT16, 0x1cf, 32}, {OUT16, 0x1ce, 4}, {OUT16, 0x1cf, 0x41},
	{OUT16, 0x1ce, 6}, {IN16, 0x1cf, 800, .cite = "DISPI: virtual width is at least the width"},
	{OUT16, 0x1cf, 1024}, {OUT16, 0x1ce, 7}, {IN16, 0x1cf, 4096, .cite = "DISPI: virtual height follows"},
	/* the same in the register BAR */
	{READ16, REGS + 0x502, 800, .cite = "STD: DISPI registers at 500h"},
	{READ8, REGS + 0x40c, 0x67, .cite = "STD: ports 3c0h-3dfh at 400h"},
	{READ32, REGS + 0x600, 8, .cite = "STD: size of the extended registers"},
	{READ32, REGS + 0x604, 0x1e1e1e1e, .cite = "STD: little endian"},
	{READ64, REGS, 0x00ffffffffffff00, .cite = "EDID: header"},
	{WRITE16, REGS + 0x508, 0}, {OUT16, 0x1ce, 4}, {IN16, 0x1cf, 0, .cite = "STD: 508h is ENABLE"},
	/* clang-format on */
};

static void test_registers(void **state)
{
	struct box *b = box_new();
	uint8_t sum = 0;

	assert_int_equal(cfg_read(b, 0, 4), 0x11111234);     /* STD: 1234:1111 */
	assert_int_equal(cfg_read(b, 0x0a, 2), 0x0300);      /* VGA compatible controller */
	assert_int_equal(cfg_read(b, PCI_BAR0, 4), LFB | 8); /* STD: prefetchable */
	harness_run(b->h, register_rows, ARRAY_SIZE(register_rows));
	for (unsigned i = 0; i < 128; i++)
		sum = (uint8_t)(sum + readb(b->h, REGS + i));
	assert_int_equal(sum, 0); /* EDID: checksum */
	harness_check_state_roundtrip(&b->v->dev);
	box_free(b);
}

/* Memory behind the BARs, and legacy ranges that follow the command register. */
static void test_decoding(void **state)
{
	struct box *b = box_new();

	writel(b->h, LFB + 0x1234, 0xcafe1234);
	assert_int_equal(ld_le32(b->v->vram->host + 0x1234), 0xcafe1234);
	assert_int_equal(readl(b->h, ROM), 0xffffffff);
	cfg(b, PCI_ROM_ADDRESS, 4, 0xffffffff);
	assert_int_equal(cfg_read(b, PCI_ROM_ADDRESS, 4), 0xfffff001); /* PCI 3.0, 6.2.5.2 */
	cfg(b, PCI_ROM_ADDRESS, 4, ROM | 1);
	assert_int_equal(readl(b->h, ROM), 0xa5a5a5a5);
	writel(b->h, ROM, 0);
	assert_int_equal(readl(b->h, ROM), 0xa5a5a5a5);
	cfg(b, PCI_ROM_ADDRESS, 4, ROM);
	assert_int_equal(readl(b->h, ROM), 0xffffffff);
	set_mode(b, 0x03);
	writew(b->h, 0xb8000, 0x0741);
	assert_int_equal(readw(b->h, 0xb8000), 0x0741);
	assert_int_equal(readw(b->h, 0xb0000), 0xffff); /* GR6: only b8000h answers */
	cfg(b, PCI_COMMAND, 2, PCI_COMMAND_IO);
	assert_int_equal(readw(b->h, 0xb8000), 0); /* the test's RAM below it */
	cfg(b, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(inb(b->h, 0x3cc), 0xff);
	assert_int_equal(readw(b->h, 0xb8000), 0x0741);
	box_free(b);
}

/* Planar memory: IBM, "Graphics Controller". */
static void test_write_modes(void **state)
{
	struct box *b = box_new();
	struct harness *h = b->h;
	uint8_t *v = b->v->vram->host;

	set_mode(b, 0x12);
	sr(b, 2, 0x0f);
	writeb(h, 0xa0000, 0x5a); /* mode 0: to all planes of the map mask */
	assert_int_equal(ld_le32(v), 0x5a5a5a5a);
	sr(b, 2, 0x05);
	writeb(h, 0xa0000, 0xff);
	assert_int_equal(ld_le32(v), 0x5aff5aff);
	for (uint8_t plane = 0; plane < 4; plane++) {
		gr(b, 4, plane); /* read mode 0: Read Map Select */
		assert_int_equal(readb(h, 0xa0000), plane & 1 ? 0x5a : 0xff);
	}
	sr(b, 2, 0x0f);
	gr(b, 3, 3); /* rotate right by 3 */
	writeb(h, 0xa0001, 0x81);
	assert_int_equal(ld_le32(v + 4), 0x30303030);
	gr(b, 3, 0);
	gr(b, 0, 0x06); /* set/reset planes 1 and 2 ... */
	gr(b, 1, 0x03); /* ... enabled for 0 and 1 */
	writeb(h, 0xa0002, 0x0f);
	assert_int_equal(ld_le32(v + 8), 0x0f0fff00);
	gr(b, 1, 0);
	/* bit mask and logical functions work on the latches */
	readb(h, 0xa0000);
	gr(b, 8, 0xf0);
	writeb(h, 0xa0003, 0x33);
	assert_int_equal(ld_le32(v + 12), 0x3a3f3a3f);
	gr(b, 8, 0xff);
	static const struct {
		uint8_t function;
		uint32_t want;
	} functions[] = {{0x08, 0x0a0f0a0f},
			 {0x10, 0x5aff5affu | 0x0f0f0f0f},
			 {0x18, 0x5aff5affu ^ 0x0f0f0f0f}};
	for (unsigned i = 0; i < 3; i++) {
		readb(h, 0xa0000);
		gr(b, 3, functions[i].function);
		writeb(h, 0xa0004, 0x0f);
		assert_int_equal(ld_le32(v + 16), functions[i].want);
	}
	gr(b, 3, 0);
	gr(b, 5, 1); /* mode 1: latches */
	readb(h, 0xa0000);
	writeb(h, 0xa0010, 0);
	assert_int_equal(ld_le32(v + 64), 0x5aff5aff);
	gr(b, 5, 2); /* mode 2: a colour */
	gr(b, 8, 0x80);
	readb(h, 0xa0020);
	writeb(h, 0xa0020, 0x09);
	assert_int_equal(ld_le32(v + 128), 0x80000080);
	gr(b, 5, 3); /* mode 3: data is a bit mask, set/reset the colour */
	gr(b, 8, 0x3f);
	gr(b, 0, 0x0a);
	readb(h, 0xa0020);
	writeb(h, 0xa0020, 0xf1);
	assert_int_equal(ld_le32(v + 128), 0xb1003180);
	gr(b, 5, 8); /* read mode 1: Color Compare 0ah, Don't Care lets plane 0 out */
	gr(b, 2, 0x0a);
	gr(b, 7, 0x0e);
	assert_int_equal(readb(h, 0xa0020), 0x31);
	/* odd/even: text cells */
	set_mode(b, 0x03);
	writew(h, 0xb8006, 0x1f42);
	assert_int_equal(v[6 * 4], 0x42);
	assert_int_equal(v[6 * 4 + 1], 0x1f);
	assert_int_equal(readb(h, 0xb8007), 0x1f);
	harness_check_state_roundtrip(&b->v->dev);
	box_free(b);
}

/* Chain 4: memory itself when the registers ask for nothing else. */
static void test_chain4(void **state)
{
	struct box *b = box_new();
	struct mem_ref ref;

	set_mode(b, 0x13);
	mem_lookup(b->h->mem, 0xa1234, &ref);
	assert_int_equal(ref.kind, MEM_RAM);
	assert_int_equal(ref.block_off, 0x1234);
	writel(b->h, 0xa1234, 0x04030201);
	assert_int_equal(ld_le32(b->v->vram->host + 0x1234), 0x04030201);
	sr(b, 2, 0x02); /* a map mask makes it planes again */
	mem_lookup(b->h->mem, 0xa1234, &ref);
	assert_int_equal(ref.kind, MEM_IO);
	writel(b->h, 0xa1234, 0xffffffff);
	assert_int_equal(ld_le32(b->v->vram->host + 0x1234), 0x0403ff01);
	assert_int_equal(readl(b->h, 0xa1234), 0x0403ff01);
	/* DISPI bank */
	sr(b, 2, 0x0f);
	outw(b->h, 0x1ce, 1), outw(b->h, 0x1cf, 640);
	outw(b->h, 0x1ce, 2), outw(b->h, 0x1cf, 480);
	outw(b->h, 0x1ce, 3), outw(b->h, 0x1cf, 8);
	outw(b->h, 0x1ce, 4), outw(b->h, 0x1cf, 1);
	outw(b->h, 0x1ce, 5), outw(b->h, 0x1cf, 3);
	writeb(b->h, 0xa0010, 0x77);
	assert_int_equal(b->v->vram->host[0x30010], 0x77);
	box_free(b);
}

/* Input Status 1 follows the guest clock: 70 Hz, retrace in 2 of 449 lines (mode 3). */
static void test_retrace(void **state)
{
	struct box *b = box_new();
	unsigned rises = 0, retrace = 0, off = 0, n = 20000;
	bool was = false;

	set_mode(b, 0x03);
	for (unsigned i = 0; i < n; i++) {
		uint8_t st = inb(b->h, 0x3da);

		rises += (st & 8) && !was;
		was = st & 8;
		retrace += was;
		off += st & 1;
		assert_true(!(st & 8) || (st & 1));
		harness_step(b->h, 50000); /* 1 s in all */
	}
	assert_in_range(rises, 69, 71);
	assert_in_range(retrace, n * 2 / 449 / 2, n * 2 / 449 * 2);
	assert_in_range(off, n / 4, n / 3); /* 1 - (400 / 449) (80 / 100) */
	box_free(b);
}

/* ------------------------------------------------------------------ pictures */

static uint8_t font_row(unsigned ch, unsigned row)
{
	return (uint8_t)(ch * 13 + row * 29 + (ch >> 3));
}

/* As a BIOS loads characters: plane 2, sequential, at a0000h. */
static void load_font(struct box *b, unsigned n, unsigned flip)
{
	static const uint16_t at[8] = {0, 0x4000, 0x8000, 0xc000, 0x2000, 0x6000, 0xa000, 0xe000};

	sr(b, 2, 4), sr(b, 4, 7), gr(b, 4, 2), gr(b, 5, 0), gr(b, 6, 4);
	for (unsigned ch = 0; ch < 256; ch++)
		for (unsigned row = 0; row < 32; row++)
			writeb(b->h, 0xa0000 + at[n] + ch * 32 + row,
			       (uint8_t)(font_row(ch, row) ^ flip));
	sr(b, 2, 3), sr(b, 4, 2), gr(b, 4, 0), gr(b, 5, 0x10);
}

static void check_text(struct box *b, unsigned n, unsigned cols, unsigned zoom)
{
	uint32_t base = n == 7 ? 0xb0000 : 0xb8000;

	set_mode(b, n);
	load_font(b, 0, 0);
	load_font(b, 5, 0xff);
	gr(b, 6, modes[n].gr[6]);
	cr(b, 0x0a, 0x20); /* no cursor */
	for (unsigned i = 0; i < cols * 25; i++)
		writew(b->h, base + i * 2, (uint16_t)((i * 37 & 0x7f) << 8 | (i * 7 & 0xff)));
	check_size(b, cols * 9 * zoom, 400);
	for (unsigned y = 0; y < 400; y++)
		for (unsigned x = 0; x < cols * 9; x++) {
			unsigned i = y / 16 * cols + x / 9, ch = i * 7 & 0xff, at = i * 37 & 0x7f;
			unsigned row = font_row(ch, y & 15), bit = x % 9;
			bool on = bit < 8 ? row >> (7 - bit) & 1
					  : (row & 1) && ch >= 0xc0 && ch <= 0xdf;

			/* attribute 01h is underlined where the register says (mono) */
			if ((at & 0x77) == 1 && n == 7 && (y & 15) == 0x0d)
				on = true;
			for (unsigned z = 0; z < zoom; z++)
				check_pixel(b, x * zoom + z, y,
					    attr_rgb(n, on ? at & 15 : at >> 4));
		}
}

static void test_text(void **state)
{
	struct box *b = box_new();
	char *text;

	check_text(b, 0x03, 80, 1);
	check_text(b, 0x01, 40, 2);
	check_text(b, 0x07, 80, 1);
	set_mode(b, 0x03);
	for (unsigned i = 0; i < 80 * 25; i++)
		writew(b->h, 0xb8000 + i * 2, 0x0720);
	writew(b->h, 0xb8000, 0x0748);
	writew(b->h, 0xb8002, 0x07e9); /* Greek capital theta */
	writew(b->h, 0xb8000 + 80 * 24 * 2, 0x07c4);
	bus_lock(&b->h->bus);
	text = display_text(b->d);
	bus_unlock(&b->h->bus);
	assert_non_null(text);
	assert_int_equal(strncmp(text, "H\u0398\n\n", 5), 0);
	assert_string_equal(strstr(text, "\u2500"), "\u2500\n");
	free(text);
	/* a picture has no text */
	set_mode(b, 0x12);
	assert_null(display_text(b->d));
	box_free(b);
}

/* Second character set, cursor, blinking, 8 dots. */
static void test_text_details(void **state)
{
	struct box *b = box_new();
	uint32_t fg = attr_rgb(3, 0x0f), bg = attr_rgb(3, 0), fg7 = attr_rgb(3, 7);

	set_mode(b, 0x03);
	load_font(b, 0, 0);
	load_font(b, 5, 0xff);
	gr(b, 6, 0x0e);
	cr(b, 0x0a, 0x20);
	for (unsigned i = 0; i < 80 * 25; i++)
		writew(b->h, 0xb8000 + i * 2, 0x0f41);
	sr(b, 3, 0x24); /* A (attribute bit 3): bits 5, 3:2 = 101b = set 5 */
	sr(b, 1, 1);    /* 8 dots */
	check_size(b, 640, 400);
	for (unsigned y = 0; y < 16; y++)
		for (unsigned x = 0; x < 8; x++)
			check_pixel(b, x, y, (font_row(0x41, y) ^ 0xff) >> (7 - x) & 1 ? fg : bg);
	/* the cursor at cell 82, scan lines 14 and 15, on for 8 frames and off for 8 */
	writew(b->h, 0xb8000 + 82 * 2, 0x0720);
	cr(b, 0x0a, 14), cr(b, 0x0b, 15), cr(b, 0x0f, 82);
	sr(b, 3, 0);
	for (unsigned row = 0; row < 32; row++)
		b->v->vram->host[(0x20 * 32 + row) * 4 + 2] = 0;
	outb(b->h, 0x3c6, 0xff);
	check_size(b, 640, 400);
	check_pixel(b, 16, 16 + 13, bg);
	check_pixel(b, 16, 16 + 14, fg7);
	check_pixel(b, 23, 16 + 15, fg7);
	check_pixel(b, 16, 32, font_row(0x41, 0) >> 7 ? fg : bg);
	harness_step(b->h, 8 * 14268000);
	update(b);
	check_pixel(b, 16, 16 + 14, bg);
	assert_int_equal(b->n_damage, 1); /* just the cursor's two lines */
	assert_memory_equal(&b->damage[0], (&(struct display_rect){16, 30, 8, 2}),
			    sizeof(struct display_rect));
	/* blinking characters: off in the second 16 of 32 frames; bit 7 is no colour then */
	cr(b, 0x0a, 0x20);
	writew(b->h, 0xb8000, 0x8fdb);
	harness_step(b->h, 8 * 14268000);
	update(b);
	for (unsigned x = 0; x < 8; x++)
		check_pixel(b, x, 0, bg);
	ar(b, 0x10, 0x04); /* no blinking: 16 backgrounds */
	update(b);
	for (unsigned x = 0; x < 8; x++)
		check_pixel(b, x, 0, font_row(0xdb, 0) >> (7 - x) & 1 ? fg : attr_rgb(3, 8));
	box_free(b);
}

static void fill_planar(struct box *b, unsigned w, unsigned h)
{
	for (unsigned plane = 0; plane < 4; plane++) {
		sr(b, 2, (uint8_t)(1 << plane));
		for (unsigned y = 0; y < h; y++)
			for (unsigned col = 0; col < w / 8; col++) {
				uint8_t byte = 0;

				for (unsigned i = 0; i < 8; i++)
					byte |= (uint8_t)((color_of(col * 8 + i, y) >> plane & 1)
							  << (7 - i));
				writeb(b->h, 0xa0000 + y * (w / 8) + col, byte);
			}
	}
	sr(b, 2, 15);
}

static void test_planar(void **state)
{
	static const struct {
		unsigned mode, w, h, zoom_x, zoom_y;
	} rows[] = {{0x0d, 320, 200, 2, 2},
		    {0x0e, 640, 200, 1, 2},
		    {0x10, 640, 350, 1, 1},
		    {0x12, 640, 480, 1, 1}};
	struct box *b = box_new();

	for (unsigned n = 0; n < ARRAY_SIZE(rows); n++) {
		unsigned zx = rows[n].zoom_x, zy = rows[n].zoom_y;

		set_mode(b, rows[n].mode);
		fill_planar(b, rows[n].w, rows[n].h);
		check_size(b, rows[n].w * zx, rows[n].h * zy);
		for (unsigned y = 0; y < rows[n].h * zy; y++)
			for (unsigned x = 0; x < rows[n].w * zx; x++)
				check_pixel(b, x, y,
					    attr_rgb(rows[n].mode, color_of(x / zx, y / zy) & 15));
	}
	box_free(b);
}

static void test_cga(void **state)
{
	struct box *b = box_new();

	set_mode(b, 0x04);
	for (unsigned y = 0; y < 200; y++)
		for (unsigned x = 0; x < 320; x += 4) {
			uint8_t byte = 0;

			for (unsigned i = 0; i < 4; i++)
				byte |= (uint8_t)((color_of(x + i, y) & 3) << (6 - 2 * i));
			writeb(b->h, 0xb8000 + (y & 1) * 0x2000 + y / 2 * 80 + x / 4, byte);
		}
	check_size(b, 640, 400);
	for (unsigned y = 0; y < 400; y++)
		for (unsigned x = 0; x < 640; x++)
			check_pixel(b, x, y, attr_rgb(4, color_of(x / 2, y / 2) & 3));
	set_mode(b, 0x06);
	for (unsigned y = 0; y < 200; y++)
		for (unsigned x = 0; x < 640; x += 8)
			writeb(b->h, 0xb8000 + (y & 1) * 0x2000 + y / 2 * 80 + x / 8,
			       (uint8_t)color_of(x, y));
	check_size(b, 640, 400);
	for (unsigned y = 0; y < 400; y++)
		for (unsigned x = 0; x < 640; x++)
			check_pixel(b, x, y,
				    attr_rgb(6, color_of(x & ~7u, y / 2) >> (7 - (x & 7)) & 1));
	box_free(b);
}

static void check_256(struct box *b, unsigned from_x, unsigned from_y, unsigned pitch)
{
	for (unsigned y = 0; y < 400; y++)
		for (unsigned x = 0; x < 640; x++)
			check_pixel(b, x, y,
				    dac_rgb(color_of((x / 2 + from_x) % pitch,
						     y / 2 + from_y + (x / 2 + from_x) / pitch)));
}

static void test_256(void **state)
{
	struct box *b = box_new();

	set_mode(b, 0x13);
	for (unsigned i = 0; i < 320 * 200; i++)
		writeb(b->h, 0xa0000 + i, (uint8_t)color_of(i % 320, i / 320));
	check_size(b, 640, 400);
	check_256(b, 0, 0, 320);
	update(b);
	assert_int_equal(b->n_damage, 0); /* nothing changed, nothing to tell */
	writeb(b->h, 0xa0000 + 320 * 7 + 5, (uint8_t)~color_of(5, 7));
	update(b);
	assert_int_equal(b->n_damage, 1);
	assert_memory_equal(&b->damage[0], (&(struct display_rect){10, 14, 2, 2}),
			    sizeof(struct display_rect));
	/* mode X: unchained, bytes; four pages, panning */
	sr(b, 4, 6);
	cr(b, 0x14, 0), cr(b, 0x17, 0xe3);
	for (uint8_t plane = 0; plane < 4; plane++) {
		sr(b, 2, (uint8_t)(1 << plane));
		for (unsigned i = 0; i < 80 * 300; i++)
			writeb(b->h, 0xa0000 + i, (uint8_t)color_of(i % 80 * 4 + plane, i / 80));
	}
	check_size(b, 640, 400);
	check_256(b, 0, 0, 320);
	cr(b, 0x0c, 80 * 50 >> 8), cr(b, 0x0d, 80 * 50 & 0xff);
	update(b);
	check_256(b, 0, 50, 320);
	ar(b, 0x13, 4); /* two pixels */
	cr(b, 0x0d, (80 * 50 & 0xff) + 1);
	update(b);
	check_256(b, 6, 50, 320);
	box_free(b);
}

/* Line compare: below it the picture starts at address 0, unpanned if AR10 says so. */
static void test_split(void **state)
{
	struct box *b = box_new();

	set_mode(b, 0x12);
	fill_planar(b, 640, 480);
	cr(b, 0x0c, 80 * 100 >> 8), cr(b, 0x0d, 80 * 100 & 0xff);
	ar(b, 0x13, 3);
	ar(b, 0x10, 0x21);
	/* after line 299: bits 7:0 here, 8 in CR7, 9 in CR9 */
	cr(b, 0x18, 299 & 0xff), cr(b, 0x07, 0x3e), cr(b, 0x09, 0x00);
	check_size(b, 640, 480);
	for (unsigned y = 0; y < 480; y++)
		for (unsigned x = 0; x < 600; x++)
			check_pixel(b, x, y,
				    attr_rgb(0x12, y < 300 ? color_of(x + 3, y + 100) & 15
							   : color_of(x, y - 300) & 15));
	ar(b, 0x10, 0x01);
	update(b);
	check_pixel(b, 10, 400, attr_rgb(0x12, color_of(13, 100) & 15));
	/* preset row scan: text that scrolls by lines */
	set_mode(b, 0x03);
	load_font(b, 0, 0);
	gr(b, 6, 0x0e);
	cr(b, 0x0a, 0x20);
	for (unsigned i = 0; i < 80 * 26; i++)
		writew(b->h, 0xb8000 + i * 2, (uint16_t)(0x0700 | (i / 80)));
	cr(b, 0x08, 5);
	check_size(b, 720, 400);
	for (unsigned y = 0; y < 400; y++)
		check_pixel(b, 0, y,
			    attr_rgb(3, font_row((y + 5) / 16, (y + 5) & 15) >> 7 ? 7 : 0));
	box_free(b);
}

static void dispi_mode(struct box *b, unsigned w, unsigned h, unsigned bpp)
{
	outw(b->h, 0x1ce, 4), outw(b->h, 0x1cf, 0);
	outw(b->h, 0x1ce, 1), outw(b->h, 0x1cf, (uint16_t)w);
	outw(b->h, 0x1ce, 2), outw(b->h, 0x1cf, (uint16_t)h);
	outw(b->h, 0x1ce, 3), outw(b->h, 0x1cf, (uint16_t)bpp);
	outw(b->h, 0x1ce, 4), outw(b->h, 0x1cf, 0x41);
}

/* Frame buffer contents of pixel value @c and the colour it stands for. */
static uint32_t direct_rgb(unsigned bpp, unsigned x, unsigned y, uint32_t *ret_raw)
{
	unsigned r = x & 31, g = y & 31, b = (x + y) & 31, g8 = g << 3 | g >> 2;

	switch (bpp) {
	case 8: *ret_raw = color_of(x, y); return dac_rgb(*ret_raw);
	case 15: *ret_raw = r << 10 | g << 5 | b; break;
	case 16:
		*ret_raw = r << 11 | g << 6 | b;
		g8 = g << 3 | g >> 3;
		break;
	default: *ret_raw = r << 19 | g << 11 | b << 3; return *ret_raw;
	}
	return (r << 3 | r >> 2) << 16 | g8 << 8 | (b << 3 | b >> 2);
}

static void test_dispi(void **state)
{
	static const unsigned depth[] = {8, 15, 16, 24, 32};
	struct box *b = box_new();
	uint32_t raw;

	set_mode(b, 0x13); /* loads the palette */
	for (unsigned n = 0; n < ARRAY_SIZE(depth); n++) {
		unsigned bytes = (depth[n] + 7) / 8;

		dispi_mode(b, 800, 600, depth[n]);
		outw(b->h, 0x1ce, 6), outw(b->h, 0x1cf, 1000); /* virtual width */
		for (unsigned y = 0; y < 620; y++)
			for (unsigned x = 0; x < 1000; x++) {
				direct_rgb(depth[n], x, y, &raw);
				memcpy(b->v->vram->host + (y * 1000 + x) * bytes, &raw, bytes);
			}
		check_size(b, 800, 600);
		for (unsigned y = 0; y < 600; y += 7)
			for (unsigned x = 0; x < 800; x++)
				check_pixel(b, x, y, direct_rgb(depth[n], x, y, &raw));
		outw(b->h, 0x1ce, 8), outw(b->h, 0x1cf, 33); /* X and Y offset */
		outw(b->h, 0x1ce, 9), outw(b->h, 0x1cf, 11);
		update(b);
		for (unsigned y = 0; y < 600; y += 7)
			for (unsigned x = 0; x < 800; x++)
				check_pixel(b, x, y, direct_rgb(depth[n], x + 33, y + 11, &raw));
	}
	/* four planes */
	dispi_mode(b, 800, 600, 4);
	sr(b, 4, 6), sr(b, 2, 15), gr(b, 5, 2), gr(b, 6, 5);
	gr(b, 8, 0xff);
	for (unsigned i = 0; i < 100 * 600; i++)
		writeb(b->h, 0xa0000 + i, (uint8_t)(i * 3 & 15));
	check_size(b, 800, 600);
	for (unsigned y = 0; y < 600; y++)
		for (unsigned x = 0; x < 800; x += 8)
			check_pixel(b, x, y, attr_rgb(0x13, (y * 100 + x / 8) * 3 & 15));
	/* the largest one just fits; nonsense shows the VGA's picture */
	dispi_mode(b, 2560, 1600, 32);
	check_size(b, 2560, 1600);
	dispi_mode(b, 2560, 1601, 32);
	check_size(b, 640, 400);
	/* palette address source 0 blanks */
	dispi_mode(b, 640, 480, 32);
	memset(b->v->vram->host, 0x55, 640 * 480 * 4);
	update(b);
	check_pixel(b, 9, 9, 0x555555);
	inb(b->h, 0x3da), outb(b->h, 0x3c0, 0);
	update(b);
	check_pixel(b, 9, 9, 0);
	harness_check_state_roundtrip(&b->v->dev);
	box_free(b);
}

/* What a kernel without firmware finds. */
static void test_text_mode_without_bios(void **state)
{
	struct box *b = box_new();
	unsigned lit = 0;

	bus_lock(&b->h->bus);
	vga_text_mode(b->v);
	bus_unlock(&b->h->bus);
	writew(b->h, 0xb8000, 0x1f41);
	check_size(b, 720, 400);
	check_pixel(b, 8, 0, 0x0000aa);
	for (unsigned y = 0; y < 16; y++)
		for (unsigned x = 0; x < 8; x++)
			lit += b->d->px[y * 720 + x] == 0xffffff;
	assert_in_range(lit, 20, 60); /* an A is there */
	harness_check_state_roundtrip(&b->v->dev);
	box_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers),
		cmocka_unit_test(test_decoding),
		cmocka_unit_test(test_write_modes),
		cmocka_unit_test(test_chain4),
		cmocka_unit_test(test_retrace),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_text_details),
		cmocka_unit_test(test_planar),
		cmocka_unit_test(test_cga),
		cmocka_unit_test(test_256),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_dispi),
		cmocka_unit_test(test_text_mode_without_bios),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
