/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The picture that the VGA's registers and memory describe, as lines of 32-bit pixels. IBM PS/2
 * Hardware Interface Technical Reference, Video Subsystem, "CRT Controller", "Attribute
 * Controller", "Video Digital-to-Analog Converter"; DISPI modes as in vga.c.
 *
 * One pixel here is one dot of the monitor: a dot clock halved by SR1 bit 3 and the 256-colour
 * mode give pixels two dots wide, scan doubling gives lines twice. So 320 x 200 is 640 x 400 here
 * and text mode 3 is 720 x 400.
 *
 * Addresses: the CRTC counts characters; the count becomes a memory address by byte, word or
 * doubleword addressing (CR17 bit 6, CR14 bit 6), with row-scan bits in place of bits 13 and 14 for
 * the layouts of CGA and Hercules cards (CR17 bits 0 and 1).
 *
 * Graphics: the serializers give eight values of four bits a character, which the attribute
 * controller takes one by one, or two by two as one colour of eight bits (AR10 bit 6).
 *
 * A picture is drawn anew only when something may have changed: registers, memory written through
 * the window, the phase of blinking. Memory that the guest writes directly (BAR 0, the window in
 * chain 4) is compared, line by line, by display_line().
 */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "device/video/vga.h"
#include "mem/guest.h"

enum {
	AR10_GRAPHICS = 0x01,
	AR10_LINE_GRAPHICS = 0x04,
	AR10_BLINK = 0x08,
	AR10_PAN_COMPAT = 0x20,
	AR10_WIDE = 0x40, /* two serializer outputs make one colour */
	AR10_PALETTE_45 = 0x80,
	GR5_INTERLEAVE = 0x20,
	GR5_256 = 0x40,
	GR6_GRAPHICS = 0x01,
	CR14_DOUBLEWORD = 0x40,
	CR14_COUNT_BY_4 = 0x20,
	CR17_COUNT_BY_2 = 0x08,
	SR1_8_DOTS = 0x01,
	SR1_HALF_CLOCK = 0x08,
	SR1_OFF = 0x20,
	AR_PAS = 0x20,
	ENABLE_8BIT_DAC = 0x20,
	DISPI_ENABLE_REG = 4,
	DISPI_X_REG = 8,
	COLS_MAX = 257, /* characters of a line, with one for panning */
};

/* The geometry of one picture, from the registers. */
struct picture {
	const struct vga *v;
	const uint8_t *vram;
	uint32_t pal[256];      /* DAC */
	uint32_t pal_wide[256]; /* the same through the palette registers, a nibble at a time */
	uint32_t pal16[16];
	unsigned cols, rows_of_char; /* characters of a line, scan lines of a character row */
	unsigned dots;               /* of a character: 8, or 9 in text */
	unsigned zoom;               /* 2 when the dot clock is halved */
	unsigned w, h;
	unsigned start, pitch; /* character addresses */
	unsigned shift;        /* characters to a step of the address counter, as a power of two */
	unsigned pan;          /* dots */
	unsigned line_compare; /* scan line after which the address starts at 0 */
	bool text, double_scan;
	uint64_t frame;
};

/* ------------------------------------------------------------------ palettes */

static uint32_t dac_color(const struct vga *v, unsigned i)
{
	const uint8_t *c = &v->s.dac[i * 3];
	uint32_t rgb = 0;

	for (unsigned n = 0; n < 3; n++) {
		uint32_t val = c[n];

		if (!(v->s.dispi[DISPI_ENABLE_REG] & ENABLE_8BIT_DAC))
			val = (val & 63) << 2 | (val & 63) >> 4;
		rgb = rgb << 8 | val;
	}
	return rgb;
}

/*
 * Graphics that blink: bit 3 turns over behind the plane enable. The palette of mode 0Fh (IBM,
 * "Video Modes") shows this: its plane 3 is disabled, and a pixel of plane 2 alone blinks because
 * entries 4 and 0Ch differ, while 0 and 8, 1 and 9, 5 and 0Dh are alike.
 */
static unsigned blink_flip(const struct picture *p)
{
	return !p->text && (p->v->s.ar[0x10] & AR10_BLINK) && (p->frame & 16) ? 8 : 0;
}

static void load_palettes(struct picture *p)
{
	const struct vga *v = p->v;
	unsigned mask = v->s.ar[0x12] & 15, flip = blink_flip(p);

	for (unsigned i = 0; i < 256; i++)
		p->pal[i] = dac_color(v, i & v->s.pel_mask);
	for (unsigned i = 0; i < 256; i++)
		p->pal_wide[i] =
			p->pal[(v->s.ar[i >> 4 & mask] & 15) << 4 | (v->s.ar[i & mask] & 15)];
	for (unsigned i = 0; i < 16; i++) {
		/* AR12 masks planes; AR14 supplies the bits that the palette has not. */
		unsigned c = v->s.ar[(i & mask) ^ flip];

		if (v->s.ar[0x10] & AR10_PALETTE_45)
			c = (c & 0x0f) | (v->s.ar[0x14] & 0x03) << 4;
		c = (c & 0x3f) | (v->s.ar[0x14] & 0x0c) << 4;
		p->pal16[i] = p->pal[c];
	}
}

/* ------------------------------------------------------------------ geometry */

static void picture_init(struct picture *p, const struct vga *v)
{
	const uint8_t *cr = v->s.cr;
	struct vga_timing t;

	*p = (struct picture){.v = v, .vram = v->vram->host};
	vga_timing(v, &t);
	p->text = !(v->s.gr[6] & GR6_GRAPHICS);
	p->dots = p->text && !(v->s.sr[1] & SR1_8_DOTS) ? 9 : 8;
	p->zoom = v->s.sr[1] & SR1_HALF_CLOCK ? 2 : 1;
	p->cols = cr[1] + 1u;
	p->rows_of_char = (cr[9] & 0x1f) + 1u;
	p->double_scan = cr[9] & 0x80;
	p->w = p->cols * p->dots * p->zoom;
	p->h = (cr[0x12] | (cr[7] & 0x02) << 7 | (cr[7] & 0x40) << 3) + 1u;
	if (cr[0x17] & 4) /* the vertical counter counts every second line */
		p->h *= 2;
	p->start = (unsigned)cr[0x0c] << 8 | cr[0x0d];
	p->start += (cr[8] >> 5) & 3;
	p->pitch = cr[0x13] * 2u;
	p->shift = cr[0x14] & CR14_COUNT_BY_4 ? 2 : cr[0x17] & CR17_COUNT_BY_2 ? 1 : 0;
	p->line_compare = cr[0x18] | (cr[7] & 0x10) << 4 | (cr[9] & 0x40) << 3;
	p->pan = v->s.ar[0x13] & 15;
	if (p->dots == 9)
		p->pan = p->pan >= 8 ? 0 : p->pan + 1;
	else
		p->pan &= 7;
	p->frame = clock_now(v->dev.sv->clock) / t.frame_ns;
	load_palettes(p);
}

/* Character @col of the line that starts at @at, to the dword of the four planes. */
static const uint8_t *fetch(const struct picture *p, unsigned at, unsigned col, unsigned row)
{
	const uint8_t *cr = p->v->s.cr;
	unsigned count = (at + (col >> p->shift)) & 0xffff;

	at = count;
	if (cr[0x14] & CR14_DOUBLEWORD)
		at = count << 2 | (count >> 12 & 3);
	else if (!(cr[0x17] & 0x40))
		at = count << 1 | (count >> (cr[0x17] & 0x20 ? 15 : 13) & 1);
	if (!(cr[0x17] & 0x01))
		at = (at & ~0x2000u) | (row & 1) << 13;
	if (!(cr[0x17] & 0x02))
		at = (at & ~0x4000u) | (row >> 1 & 1) << 14;
	return p->vram + 4ull * vga_stored_at(p->v, at);
}

/* ------------------------------------------------------------------ one scan line of a mode */

static void put(uint32_t **to, uint32_t px, unsigned n)
{
	while (n--)
		*(*to)++ = px;
}

/* What the serializers put out for one character: eight values of four bits. */
static void serialize(const struct picture *p, const uint8_t *b, uint8_t to[8])
{
	unsigned mode = p->v->s.gr[5];

	for (unsigned i = 0; i < 8; i++) {
		unsigned plane = i >> 2, shift = 6 - 2 * (i & 3), bit = 7 - i;

		if (mode & GR5_256)
			to[i] = b[i / 2] >> (i & 1 ? 0 : 4) & 15;
		else if (mode & GR5_INTERLEAVE)
			/* Four pixels of plane 0 (low) and 2 (high), then of planes 1 and 3. */
			to[i] = (uint8_t)((b[plane] >> shift & 3) | (b[plane + 2] >> shift & 3)
									    << 2);
		else
			to[i] = (uint8_t)((b[0] >> bit & 1) | (b[1] >> bit & 1) << 1 |
					  (b[2] >> bit & 1) << 2 | (b[3] >> bit & 1) << 3);
	}
}

static void line_graphics(const struct picture *p, uint32_t *to, unsigned at, unsigned row)
{
	bool wide = p->v->s.ar[0x10] & AR10_WIDE;

	for (unsigned col = 0; col <= p->cols; col++) {
		uint8_t c[8];

		serialize(p, fetch(p, at, col, row), c);
		for (unsigned i = 0; i < 8; i += wide ? 2 : 1)
			if (wide)
				put(&to, p->pal_wide[c[i] << 4 | c[i + 1]], 2 * p->zoom);
			else
				put(&to, p->pal16[c[i]], p->zoom);
	}
}

/* The usual 256 colours: serialized and put together again, bytes are what they were. */
static void line_256(const struct picture *p, uint32_t *to, unsigned at, unsigned row)
{
	for (unsigned col = 0; col <= p->cols; col++) {
		const uint8_t *b = fetch(p, at, col, row);

		for (unsigned i = 0; i < 4; i++)
			put(&to, p->pal_wide[b[i]], 2 * p->zoom);
	}
}

/* Offset in plane 2 of the character set that @attr selects (SR3: B where bit 3 is 0). */
static unsigned font_at(const struct vga *v, uint8_t attr)
{
	unsigned sr3 = v->s.sr[3];
	unsigned n =
		attr & 8 ? (sr3 >> 2 & 3) | (sr3 >> 5 & 1) << 2 : (sr3 & 3) | (sr3 >> 4 & 1) << 2;

	return (n & 3) * 0x4000 + (n >> 2) * 0x2000;
}

/* Does the cursor cover scan line @row of the character counted @at? */
static bool cursor_here(const struct picture *p, unsigned at, unsigned row)
{
	const uint8_t *cr = p->v->s.cr;
	unsigned where = ((unsigned)cr[0x0e] << 8 | cr[0x0f]) + (cr[0x0b] >> 5 & 3); /* skew */

	if ((cr[0x0a] & 0x20) || (at & 0xffff) != (where & 0xffff) || (p->frame & 8))
		return false;
	return row >= (cr[0x0a] & 0x1fu) && row <= (cr[0x0b] & 0x1fu);
}

static void line_text(const struct picture *p, uint32_t *to, unsigned at, unsigned row)
{
	const struct vga *v = p->v;
	unsigned underline = v->s.cr[0x14] & 0x1f;

	for (unsigned col = 0; col <= p->cols; col++) {
		const uint8_t *b = fetch(p, at, col, row);
		uint8_t ch = b[0], attr = b[1];
		unsigned glyph = vga_stored_at(v, font_at(v, attr) + ch * 32u + row);
		unsigned bits = p->vram[4ull * glyph + 2];
		unsigned fg = attr & 15, bg = attr >> 4;

		bits = bits << 1;
		/* The ninth dot repeats the eighth in line graphics characters only. */
		if ((v->s.ar[0x10] & AR10_LINE_GRAPHICS) && ch >= 0xc0 && ch <= 0xdf)
			bits |= bits >> 1 & 1;
		if (v->s.ar[0x10] & AR10_BLINK) {
			bg &= 7;
			if ((attr & 0x80) && (p->frame & 16))
				bits = 0;
		}
		if ((attr & 0x77) == 0x01 && row == underline)
			bits = 0x1ff;
		if (cursor_here(p, at + (col >> p->shift), row))
			bits = 0x1ff;
		for (unsigned i = 0; i < p->dots; i++)
			put(&to, p->pal16[bits >> (8 - i) & 1 ? fg : bg], p->zoom);
	}
}

/* ------------------------------------------------------------------ the picture */

static void draw_line(const struct picture *p, uint32_t *to, unsigned at, unsigned row)
{
	if (p->text)
		line_text(p, to, at, row);
	else if ((p->v->s.gr[5] & GR5_256) && (p->v->s.ar[0x10] & AR10_WIDE))
		line_256(p, to, at, row);
	else
		line_graphics(p, to, at, row);
}

static void draw_vga(struct vga *v)
{
	struct display *d = v->display;
	struct picture p;
	unsigned at, row, sub = 0, pan, every;
	bool fresh = true; /* the line's pixels are not those of the line above */

	picture_init(&p, v);
	display_begin(d, p.w, p.h);
	at = p.start;
	row = v->s.cr[8] & 0x1f; /* preset row scan */
	pan = p.pan;
	every = (p.double_scan ? 2 : 1) * (v->s.cr[0x17] & 4 ? 2 : 1);
	for (unsigned y = 0; y < d->h; y++) {
		if (fresh)
			draw_line(&p, v->line, at, row);
		fresh = false;
		display_line(d, y, v->line + pan * p.zoom);
		if (y / (v->s.cr[0x17] & 4 ? 2 : 1) == p.line_compare) {
			at = row = sub = 0;
			fresh = true;
			if (v->s.ar[0x10] & AR10_PAN_COMPAT)
				pan = 0;
			continue;
		}
		if (++sub < every)
			continue;
		sub = 0;
		fresh = true;
		/* The comparison is for equality: a preset beyond the end runs to 31 first. */
		if (row == p.rows_of_char - 1) {
			row = 0;
			at += p.pitch;
		} else {
			row = (row + 1) & 0x1f;
		}
	}
	display_end(d);
}

static uint32_t rgb15(unsigned c)
{
	unsigned r = c >> 10 & 31, g = c >> 5 & 31, b = c & 31;

	return (r << 3 | r >> 2) << 16 | (g << 3 | g >> 2) << 8 | (b << 3 | b >> 2);
}

static uint32_t rgb16(unsigned c)
{
	unsigned r = c >> 11, g = c >> 5 & 63, b = c & 31;

	return (r << 3 | r >> 2) << 16 | (g << 2 | g >> 4) << 8 | (b << 3 | b >> 2);
}

/* @src: the line in memory, of which g->stride bytes exist. */
static void vbe_line(const struct picture *p, const struct vga_vbe *g, uint64_t at, uint32_t *to)
{
	const uint8_t *src = p->vram + at;
	unsigned skip = p->v->s.dispi[DISPI_X_REG] & 7; /* pixels inside a byte, 4-bit modes */

	switch (g->bpp) {
	case 4:
		/* Here @at counts bytes of one plane. */
		for (unsigned x = 0; x < g->w; x++) {
			const uint8_t *b =
				p->vram + 4 * ((at + (x + skip) / 8) & (p->v->vram_size / 4 - 1));
			unsigned bit = 7 - ((x + skip) & 7);

			to[x] = p->pal16[(b[0] >> bit & 1) | (b[1] >> bit & 1) << 1 |
					 (b[2] >> bit & 1) << 2 | (b[3] >> bit & 1) << 3];
		}
		break;
	case 8:
		for (unsigned x = 0; x < g->w; x++)
			to[x] = p->pal[src[x]];
		break;
	case 15:
		for (unsigned x = 0; x < g->w; x++)
			to[x] = rgb15(ld_le16(src + 2 * x));
		break;
	case 16:
		for (unsigned x = 0; x < g->w; x++)
			to[x] = rgb16(ld_le16(src + 2 * x));
		break;
	case 24:
		for (unsigned x = 0; x < g->w; x++)
			to[x] = (uint32_t)src[3 * x] | (uint32_t)src[3 * x + 1] << 8 |
				(uint32_t)src[3 * x + 2] << 16;
		break;
	default: guest_copy_bulk(to, src, g->w * 4u); break;
	}
}

static void draw_vbe(struct vga *v, const struct vga_vbe *g)
{
	struct display *d = v->display;
	struct picture p = {.v = v, .vram = v->vram->host};

	load_palettes(&p);
	display_begin(d, g->w, g->h);
	for (unsigned y = 0; y < d->h; y++) {
		vbe_line(&p, g, g->start + (uint64_t)y * g->stride, v->line);
		display_line(d, y, v->line);
	}
	display_end(d);
}

static void draw_plain(struct vga *v, unsigned w, unsigned h, uint32_t color)
{
	struct display *d = v->display;

	display_begin(d, w, h);
	for (unsigned x = 0; x < d->w; x++)
		v->line[x] = color;
	for (unsigned y = 0; y < d->h; y++)
		display_line(d, y, v->line);
	display_end(d);
}

/* May memory that is shown have been written without the VGA being told? */
static bool written_unseen(struct vga *v, bool vbe)
{
	if (vbe)
		return true; /* display_line() compares */
	if (!v->direct && !v->f.bar[0].mapped)
		return false;
	return !guest_equal(v->vram->host, v->seen, VGA_PLANES_SIZE);
}

void vga_update(void *ctx)
{
	struct vga *v = ctx;
	struct vga_vbe g;
	struct picture p;
	bool vbe = vga_vbe(v, &g), border, off;
	uint64_t phase;

	picture_init(&p, v);
	phase = vbe ? 0 : p.text ? p.frame / 8 : blink_flip(&p);
	if (v->drawn == v->generation + 1 && v->drawn_phase == phase && !written_unseen(v, vbe))
		return;
	if (!vbe)
		guest_copy_bulk(v->seen, v->vram->host, VGA_PLANES_SIZE);
	v->drawn = v->generation + 1;
	v->drawn_phase = phase;
	/* The processor has the palette: the border's colour is everywhere (IBM, attribute
	 * controller, "Address Register"). */
	border = !(v->s.ar_index & AR_PAS);
	off = !vbe && (v->s.sr[1] & SR1_OFF);
	if (border && vbe)
		draw_plain(v, g.w, g.h, 0);
	else if (border || off)
		draw_plain(v, v->s.cr[1] ? p.w : 640, v->s.cr[1] ? p.h : 480,
			   off ? 0 : p.pal[v->s.ar[0x11]]);
	else if (vbe)
		draw_vbe(v, &g);
	else
		draw_vga(v);
}

/* ------------------------------------------------------------------ text */

static unsigned put_utf8(char *to, unsigned c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	to[0] = (char)(0xe0 | c >> 12);
	to[1] = (char)(0x80 | (c >> 6 & 63));
	to[2] = (char)(0x80 | (c & 63));
	return 3;
}

char *vga_text(void *ctx)
{
	struct vga *v = ctx;
	struct vga_vbe g;
	struct picture p;
	unsigned rows, n = 0, at;
	char *out;

	picture_init(&p, v);
	if (vga_vbe(v, &g) || !p.text || !v->s.cr[1])
		return NULL;
	rows = p.h / (p.rows_of_char * (p.double_scan ? 2 : 1));
	rows = MIN(rows, 200u);
	out = xtry_calloc((size_t)rows * (p.cols * 3 + 1) + 1, 1);
	if (!out)
		return NULL;
	at = p.start;
	for (unsigned y = 0; y < rows; y++, at += p.pitch) {
		unsigned end = n;

		for (unsigned x = 0; x < p.cols; x++) {
			uint8_t ch = fetch(&p, at, x, 0)[0];

			n += put_utf8(out + n, vga_unicode(ch));
			if (ch != ' ' && ch != 0 && ch != 0xff)
				end = n;
		}
		n = end;
		out[n++] = '\n';
	}
	out[n] = 0;
	return out;
}
