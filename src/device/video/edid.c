/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An EDID block (VESA Enhanced EDID Standard, release A, revision 2, EDID 1.4) for a flat monitor
 * of no particular make whose favourite size is given. Blanking follows CVT with reduced blanking
 * (VESA CVT 1.2, 3.4): 160 pixels, and lines enough for 460 us, at 60 Hz.
 */
#include "device/video/edid.h"

#include <string.h>

#include "base/bits.h"

enum { H_BLANK = 160, H_FRONT = 48, H_SYNC = 32, V_FRONT = 3, V_SYNC = 6, RATE = 60 };

/* A detailed timing descriptor (3.10.2). */
static void detailed_timing(uint8_t *d, unsigned w, unsigned h)
{
	/* Lines of blanking: at least 460 us of a frame of 1/60 s. */
	unsigned v_blank = MAX(h * 460 / (1000000 / RATE - 460) + 1, V_FRONT + V_SYNC + 6u);
	unsigned clock = (w + H_BLANK) * (h + v_blank) / 10000 * RATE;
	unsigned mm_w = w * 254 / 960, mm_h = h * 254 / 960; /* 96 dots an inch */

	st_le16(d, (uint16_t)clock);
	d[2] = (uint8_t)w;
	d[3] = H_BLANK;
	d[4] = (uint8_t)((w >> 8) << 4);
	d[5] = (uint8_t)h;
	d[6] = (uint8_t)v_blank;
	d[7] = (uint8_t)((h >> 8) << 4 | v_blank >> 8);
	d[8] = H_FRONT;
	d[9] = H_SYNC;
	d[10] = V_FRONT << 4 | V_SYNC;
	d[12] = (uint8_t)mm_w;
	d[13] = (uint8_t)mm_h;
	d[14] = (uint8_t)((mm_w >> 8) << 4 | mm_h >> 8);
	d[17] = 0x1a; /* separate syncs, horizontal positive */
}

void edid_build(uint8_t edid[EDID_SIZE], unsigned w, unsigned h)
{
	static const uint8_t head[8] = {0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00};
	static const uint8_t srgb[10] = {0xee, 0x91, 0xa3, 0x54, 0x4c,
					 0x99, 0x26, 0x0f, 0x50, 0x54};
	static const uint8_t range[18] = {0,  0,    0,    0xfd, 0,   50,  75,  30,  160,
					  40, 0x01, 0x0a, ' ',  ' ', ' ', ' ', ' ', ' '};
	static const uint8_t name[18] = "\0\0\0\xfc\0bothy\n       ";
	uint8_t sum = 0;

	memset(edid, 0, EDID_SIZE);
	memcpy(edid, head, sizeof(head));
	/* Manufacturer "BTH": five bits a letter. */
	edid[8] = (uint8_t)(('B' - '@') << 2 | ('T' - '@') >> 3);
	edid[9] = (uint8_t)(('T' - '@') << 5 | ('H' - '@'));
	edid[10] = 1;
	edid[16] = 1; /* week and year of making: 1, 2024 */
	edid[17] = 34;
	edid[18] = 1; /* version 1.4 */
	edid[19] = 4;
	edid[20] = 0xa5;                      /* digital, 8 bits a colour, DisplayPort */
	edid[21] = (uint8_t)(w * 254 / 9600); /* cm */
	edid[22] = (uint8_t)(h * 254 / 9600);
	edid[23] = 120;  /* gamma 2.2 */
	edid[24] = 0x06; /* sRGB, the first timing is the favourite */
	memcpy(edid + 25, srgb, sizeof(srgb));
	edid[35] = 0x21;             /* established: 640x480, 800x600 at 60 Hz */
	edid[36] = 0x08;             /* 1024x768 at 60 Hz */
	memset(edid + 38, 0x01, 16); /* no standard timings */
	detailed_timing(edid + 54, w, h);
	memcpy(edid + 72, range, sizeof(range));
	memcpy(edid + 90, name, sizeof(name));
	edid[111] = 0x10; /* dummy descriptor */
	for (unsigned i = 0; i < 127; i++)
		sum = (uint8_t)(sum + edid[i]);
	edid[127] = (uint8_t)-sum;
}
