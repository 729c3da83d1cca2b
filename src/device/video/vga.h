/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VGA: registers (vga.c), memory as the processor sees it (vga_mem.c), the picture
 * (vga_draw.c). See vga.c.
 */
#ifndef DEVICE_VIDEO_VGA_H
#define DEVICE_VIDEO_VGA_H

#include "device/pci/pci.h"
#include "device/video/edid.h"
#include "display/display.h"

#define VGA_VRAM_DEFAULT (16 * MIB)
#define VGA_PLANES_SIZE  (256 * KIB) /* what the modes of the VGA itself reach */

enum { VGA_SRS = 8, VGA_GRS = 16, VGA_ARS = 32, VGA_CRS = 32, VGA_DISPIS = 12 };

struct vga_regs {
	struct pci_regs pci;
	uint8_t sr[VGA_SRS], gr[VGA_GRS], ar[VGA_ARS], cr[VGA_CRS];
	uint8_t dac[768]; /* red, green, blue of each entry, as written */
	uint32_t latch;   /* the four bytes last read, plane 0 lowest */
	uint16_t dispi[VGA_DISPIS];
	uint16_t dispi_index;
	uint8_t sr_index, gr_index, cr_index;
	uint8_t ar_index; /* bit 5: the picture comes from memory */
	bool ar_data;     /* flip-flop: the next write to 3c0h is data */
	uint8_t misc, feature, enable, pel_mask;
	uint8_t dac_at, dac_part; /* entry and colour (0 to 2) that 3c9h reads or writes next */
	bool dac_reading;
	uint8_t dac_hold[2]; /* red and green, until blue arrives */
	uint8_t pad_[4];
};

/* What the DISPI registers describe, when they do. */
struct vga_vbe {
	unsigned w, h, bpp;
	uint32_t stride; /* bytes; of one plane when bpp is 4 */
	uint32_t start;  /* byte of the picture's first pixel; of one plane when bpp is 4 */
	uint32_t virt_w, virt_h;
};

struct vga {
	struct dev dev;
	struct vga_regs s;
	/* wired by the machine */
	struct pci_bus *bus;     /* borrowed */
	uint8_t devfn;           /* 0: lowest free slot from 2 */
	struct display *display; /* borrowed; NULL: nobody can look */
	uint32_t vram_size;      /* power of two, 1 to 64 MiB; 0: VGA_VRAM_DEFAULT */
	const void *rom;         /* borrowed during realize: option ROM, or NULL */
	size_t rom_size;
	/* private */
	struct pci_func f;
	struct ram_block *vram; /* owned by the memory space */
	struct bus_region window, mmio, io[4];
	bool io_mapped[4], window_mapped;
	struct mem_mapping *direct; /* a0000h shows memory itself */
	bool chained; /* how the 256 KiB lie in memory: vga_stored_at(); follows from s */
	uint32_t direct_off, direct_size;
	uint8_t edid[EDID_SIZE];
	uint64_t generation; /* changes whenever the picture may, but for memory seen directly */
	uint64_t drawn;      /* generation of the picture in display */
	uint64_t drawn_phase;
	uint8_t *seen;  /* owned: the 256 KiB of the VGA as they were drawn */
	uint32_t *line; /* owned: one line being drawn */
};

extern const struct dev_class vga_class;

/** vga_text_mode() - set the registers as a video BIOS does for mode 3 (80 x 25, colour), load the
 * character set and clear the screen; for kernels started without firmware. */
void vga_text_mode(struct vga *v);

/* ---- between the files of the VGA ---- */

/** vga_vbe() - the DISPI mode in force; false when there is none, or when it is nonsense. */
bool vga_vbe(const struct vga *v, struct vga_vbe *ret_vbe);
/** vga_map_update() - bring the window at a0000h in line with the registers. */
void vga_map_update(struct vga *v);
void vga_map_done(struct vga *v);
/** vga_layout_update() - lay the planes out in memory as the registers in force want it. */
void vga_layout_update(struct vga *v);
/** vga_layout() - the layout that the registers want: true while chain 4 is on. */
bool vga_layout(const struct vga *v);
uint64_t vga_window_read(void *ctx, uint64_t off, unsigned size);
void vga_window_write(void *ctx, uint64_t off, unsigned size, uint64_t val);

/*
 * Where the dword with the four planes' bytes at address @at (16 bits) is in memory. Chain 4 takes
 * addresses 0, 5, 10, ... of the planes (bits 15 and 14 of the processor's address stand in for the
 * two that pick the plane, as the CRTC's doublewords do), but its bytes have to lie in a row for
 * the window to be memory itself. So while it is on, the dwords it reaches come first, and the
 * others in three groups behind them.
 */
static inline unsigned vga_stored_at(const struct vga *v, unsigned at)
{
	at &= 0xffff;
	return v->chained ? at >> 2 | ((at ^ at >> 14) & 3) << 14 : at;
}

/* CRT timing from the registers, guest ns. */
struct vga_timing {
	uint64_t line_ns, frame_ns;
	unsigned total, shown, retrace_start, retrace_end; /* lines */
	unsigned chars, chars_shown;                       /* of a line */
};
void vga_timing(const struct vga *v, struct vga_timing *ret_t);

/** vga_update(), vga_text() - the display's source (display/display.h). */
void vga_update(void *ctx);
char *vga_text(void *ctx);

/** vga_font() - the 16 lines of character @ch, code page 437; from the video BIOS @rom (may be
 * NULL) if it has a set of the usual kind. */
void vga_font(const void *rom, size_t rom_size, uint8_t ch, uint8_t ret_glyph[16]);
/** vga_unicode() - what character @ch of code page 437 is. */
uint16_t vga_unicode(uint8_t ch);

#endif
