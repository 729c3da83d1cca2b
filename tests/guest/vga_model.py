# SPDX-License-Identifier: Apache-2.0
"""
What a VGA shows, worked out from its documents and from nothing else: registers, video memory and the
picture, in the words of the IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem" (May 1992).
Slow and plain on purpose: it is what vga.py holds against the device. The device's own code knows nothing
of this file.

Memory: four planes (maps) of 64 KiB. Time: `frame` counts pictures; the cursor blinks every 8, characters
every 16 of them ("Cursor": on and off for 8 each; "Blinking": 16 each).

A picture is what lies between the borders, a pixel for each dot at the monitor.
"""

MISC, PEL_MASK, DAC_WRITE, DAC_READ, DAC_DATA = 0x3c2, 0x3c6, 0x3c8, 0x3c7, 0x3c9
# "Character Map Select": where table n lies in map 2
FONT = [0x0000, 0x4000, 0x8000, 0xc000, 0x2000, 0x6000, 0xa000, 0xe000]
# "Memory Map" of the Miscellaneous Register: first address, bytes
WINDOW = [(0xa0000, 0x20000), (0xa0000, 0x10000), (0xb0000, 0x8000), (0xb8000, 0x8000)]
VRAM = 16 << 20
ID, XRES, YRES, BPP, ENABLE, BANK, VIRT_WIDTH, VIRT_HEIGHT, X_OFFSET, Y_OFFSET = range(10)


def bit(value, n):
    return value >> n & 1


BITS = [[bit(byte, 7 - i) for i in range(8)] for byte in range(256)]


class Vga:
    def __init__(self):
        self.plane = [bytearray(65536) for _ in range(4)]
        self.linear = bytearray(VRAM) # as the DISPI modes see memory
        self.latch = [0] * 4
        self.sr, self.gr, self.cr, self.ar = [0] * 8, [0] * 16, [0] * 32, [0] * 32
        self.dac = [[0, 0, 0] for _ in range(256)]
        self.dispi = [0] * 16
        self.misc, self.pel_mask, self.index, self.dispi_index = 1, 0xff, {}, 0
        self.ar_index, self.ar_data = 0, False
        self.dac_at, self.dac_hold, self.dac_read_at = 0, [], 0

    # ---------------------------------------------------------------- registers

    def outw(self, port, value):
        if port == 0x1ce:
            self.dispi_index = value
        elif port == 0x1cf:
            self.dispi_write(self.dispi_index, value)
        else:
            self.out(port, value & 0xff)
            self.out(port + 1, value >> 8)

    def dispi_write(self, reg, value):
        was = self.dispi[ENABLE]
        self.dispi[reg] = value
        if reg == ENABLE and value & 1 and not was & 1:
            self.dispi[VIRT_WIDTH] = self.dispi[XRES]
            self.dispi[BANK] = self.dispi[X_OFFSET] = self.dispi[Y_OFFSET] = 0
            if not value & 0x80: # what will be shown becomes black
                n = self.dispi[XRES] * self.dispi[YRES] * ((self.dispi[BPP] + 7) // 8)
                self.linear[:n] = bytes(n)

    def out(self, port, value):
        base = 0x3d0 if self.misc & 1 else 0x3b0
        files = {0x3c4: self.sr, 0x3ce: self.gr, base + 4: self.cr}
        if port in files:
            self.index[port] = value
        elif port - 1 in files:
            self.write(port - 1, files[port - 1], value)
        elif port == MISC:
            self.misc = value
        elif port == PEL_MASK:
            self.pel_mask = value
        elif port == DAC_WRITE:
            self.dac_at, self.dac_hold = value, []
        elif port == DAC_READ:
            self.dac_read_at = value * 3
        elif port == DAC_DATA:
            wide = self.dispi[ENABLE] & 0x20
            self.dac_hold.append(value if wide else value & 63)
            if len(self.dac_hold) == 3: # the entry takes its colour with the third
                self.dac[self.dac_at] = self.dac_hold
                self.dac_at, self.dac_hold = (self.dac_at + 1) & 0xff, []
        elif port == 0x3c0:
            if self.ar_data:
                n = self.ar_index & 31
                if n >= 16 or not self.ar_index & 0x20: # the palette is closed while it is shown
                    self.ar[n] = value & 0x3f if n < 16 else value
            else:
                self.ar_index = value & 0x3f
            self.ar_data = not self.ar_data

    def write(self, port, file, value):
        n = self.index[port]
        if file is self.cr:
            if n < 8 and self.cr[0x11] & 0x80: # "Protect Registers 0-7"
                if n == 7: # but line compare bit 8
                    self.cr[7] = (self.cr[7] & ~0x10) | (value & 0x10)
                return
        if n < len(file):
            file[n] = value

    def read_port(self, port):
        base = 0x3d0 if self.misc & 1 else 0x3b0
        if port == base + 10: # the attribute controller's flip-flop
            self.ar_data = False
        if port == DAC_DATA:
            value = self.dac[self.dac_read_at // 3 & 0xff][self.dac_read_at % 3]
            self.dac_read_at += 1
            return value
        return {0x3c5: lambda: self.sr[self.index[0x3c4]], 0x3cf: lambda: self.gr[self.index[0x3ce]],
                0x3c1: lambda: self.ar[self.ar_index & 31], 0x3cc: lambda: self.misc,
                PEL_MASK: lambda: self.pel_mask,
                base + 5: lambda: self.cr[self.index[base + 4]]}.get(port, lambda: 0)()

    # ---------------------------------------------------------------- memory

    def place(self, addr):
        """(address within the maps, maps that addressing enables for a write, map of a plain read)"""
        start, size = WINDOW[self.gr[6] >> 2 & 3]
        if not self.misc & 2 or not start <= addr < start + size: # "Enable RAM"
            return None
        a = addr - start
        if self.sr[4] & 8: # "Chain 4": the two low bits pick the map; 15 and 14 stand in for them
            return a & 0xfffc | a >> 14 & 3, 1 << (a & 3), a & 3
        maps = 15 if self.sr[4] & 4 else 10 if a & 1 else 5 # "Odd/Even"
        plain = self.gr[4] & 3
        if self.gr[5] & 0x10:
            plain = plain & 2 | a & 1
        if self.gr[6] & 2: # "Odd/Even": bit 0 is replaced, by bit 16 or by the page bit
            high = a >> 16 & 1 if size == 0x20000 else 0 if self.misc & 0x20 else 1
            a = a & ~1 | high
        return a & 0xffff, maps, plain

    def banked(self, addr):
        if self.dispi[ENABLE] & 1 and 0xa0000 <= addr < 0xb0000:
            return (self.dispi[BANK] << 16) + addr - 0xa0000
        return None

    def read(self, addr):
        if (at := self.banked(addr)) is not None:
            return self.linear[at]
        if not (got := self.place(addr)):
            return 0xff
        a, _, plain = got
        self.latch = [p[a] for p in self.plane]
        if not self.gr[5] & 8:
            return self.latch[plain]
        value = 0
        for i in range(8): # read mode 1: 1 where all maps that count have the colour to compare
            if all(bit(self.latch[p], i) == bit(self.gr[2], p) for p in range(4) if bit(self.gr[7], p)):
                value |= 1 << i
        return value

    def store(self, addr, value):
        if (at := self.banked(addr)) is not None:
            self.linear[at] = value
            return
        if not (got := self.place(addr)):
            return
        a, maps, _ = got
        mode, turn = self.gr[5] & 3, self.gr[3] & 7
        turned = (value >> turn | value << 8 - turn) & 0xff
        for p in range(4):
            if not bit(maps & self.sr[2], p):
                continue
            mask, old = self.gr[8], self.latch[p]
            if mode == 1:
                self.plane[p][a] = old
                continue
            if mode == 0:
                data = (0xff if bit(self.gr[0], p) else 0) if bit(self.gr[1], p) else turned
            elif mode == 2:
                data = 0xff if bit(value, p) else 0
            else:
                data, mask = 0xff if bit(self.gr[0], p) else 0, mask & turned
            data = [data, data & old, data | old, data ^ old][self.gr[3] >> 3 & 3]
            self.plane[p][a] = data & mask | old & ~mask & 0xff

    def store_all(self, addr, data):
        """store() for each byte; at once where that does nothing but to put them into maps."""
        got = self.place(addr), self.place(addr + len(data) - 1)
        if (self.gr[5] & 3 or self.gr[1] or self.gr[3] or self.gr[8] != 0xff or self.sr[4] & 0xc != 4 or
                self.gr[6] & 2 or self.dispi[ENABLE] & 1 or not all(got)):
            for i, b in enumerate(data):
                self.store(addr + i, b)
            return
        for p in range(4):
            if bit(self.sr[2], p):
                self.plane[p][got[0][0]:got[0][0] + len(data)] = data

    # ---------------------------------------------------------------- colours

    def color(self, n):
        """The three bytes that entry @n of the DAC puts out, behind the PEL mask."""
        rgb = self.dac[n & self.pel_mask]
        if self.dispi[ENABLE] & 0x20:
            return bytes(rgb)
        return bytes(c << 2 | c >> 4 for c in rgb)

    def attribute(self, nibble):
        """Four bits through palette and colour select, to the DAC."""
        c = self.ar[nibble] & 0x3f
        if self.ar[0x10] & 0x80: # bits 5 and 4 from "Color Select"
            c = c & 0x0f | (self.ar[0x14] & 3) << 4
        return self.color(c | (self.ar[0x14] & 0x0c) << 4)

    # ---------------------------------------------------------------- the picture

    def fetch(self, count, row):
        """The four bytes at the CRT controller's address counter @count."""
        if self.cr[0x14] & 0x40: # doubleword
            a = count << 2 | count >> 12 & 3
        elif self.cr[0x17] & 0x40: # byte
            a = count
        else: # word: bit 13 or 15 comes round
            a = count << 1 | bit(count, 15 if self.cr[0x17] & 0x20 else 13)
        if not self.cr[0x17] & 1: # row scan bits in place of address bits: as CGA and Hercules
            a = a & ~0x2000 | bit(row, 0) << 13
        if not self.cr[0x17] & 2:
            a = a & ~0x4000 | bit(row, 1) << 14
        a &= 0xffff
        return tuple(p[a] for p in self.plane)

    def cursor(self, count, row, frame):
        """Is the cursor on this row of the character at @count? The skew bits move it to the right."""
        where = (self.cr[0x0e] << 8 | self.cr[0x0f]) + (self.cr[0x0b] >> 5 & 3)
        return (count == where & 0xffff and not self.cr[0x0a] & 0x20 and not frame & 8 and
                self.cr[0x0a] & 31 <= row <= self.cr[0x0b] & 31)

    def character(self, char, attr, cursor, row, frame):
        """One row of a character: its pixels."""
        a_set = self.sr[3] >> 2 & 3 | bit(self.sr[3], 5) << 2
        b_set = self.sr[3] & 3 | bit(self.sr[3], 4) << 2
        dots = self.plane[2][FONT[a_set if attr & 8 else b_set] + char * 32 + row]
        fore, back = attr & 15, attr >> 4
        line = [bit(dots, 7 - i) for i in range(8)]
        if not self.sr[1] & 1: # nine dots; the ninth goes on in line graphics characters
            line.append(line[7] if self.ar[0x10] & 4 and 0xc0 <= char <= 0xdf else 0)
        if self.ar[0x10] & 8: # blinking instead of bright backgrounds
            back &= 7
            if attr & 0x80 and frame & 16:
                line = [0] * len(line)
        if attr & 0x77 == 1 and row == self.cr[0x14] & 31: # underline
            line = [1] * len(line)
        if cursor:
            line = [1] * len(line)
        on, off = self.shades[fore & self.ar[0x12]], self.shades[back & self.ar[0x12]]
        return [on if d else off for d in line]

    def graphic(self, maps, frame):
        """The eight dots of one fetch."""
        if self.gr[5] & 0x40: # "256-Color Mode": the bytes of maps 0 to 3 one after the other, high half first
            nibbles = [n for b in maps for n in (b >> 4, b & 15)]
        elif self.gr[5] & 0x20: # "Shift Register Mode": two bits a pixel, maps 0 with 2, then 1 with 3
            nibbles = [maps[m] >> s & 3 | (maps[m + 2] >> s & 3) << 2 for m in (0, 1) for s in (6, 4, 2, 0)]
        else:
            nibbles = [a | b << 1 | c << 2 | d << 3 for a, b, c, d in zip(*(BITS[m] for m in maps))]
        if self.ar[0x10] & 0x40: # "PEL Width": two make one colour of 8 bits, two dots wide
            out = []
            for high, low in zip(nibbles[::2], nibbles[1::2]):
                high, low = (self.ar[n & self.ar[0x12] & 15] & 15 for n in (high, low))
                out += [self.color(high << 4 | low)] * 2
            return out
        # Blinking turns bit 3 over behind the plane enable: the palette of mode 0Fh, where map 2 alone
        # blinks, has different colours in entries 4 and 0Ch and the same in 0 and 8, 1 and 9, 5 and 0Dh.
        flip = 8 if self.ar[0x10] & 8 and frame & 16 else 0
        return [self.shades[n & self.ar[0x12] ^ flip] for n in nibbles]

    def phases(self):
        """Frames whose pictures may differ: cursor and blinking."""
        text = not self.gr[6] & 1 and not self.dispi[ENABLE] & 1
        cursor = (0, 8) if text and not self.cr[0x0a] & 0x20 else (0,)
        blinking = (0, 16) if self.ar[0x10] & 8 else (0,)
        return [a + b for a in blinking for b in cursor]

    def picture(self, frame=0):
        """(width, height, red, green and blue of each pixel)"""
        if self.dispi[ENABLE] & 1:
            return self.dispi_picture()
        cr = self.cr
        text = not self.gr[6] & 1
        dots = 8 if self.sr[1] & 1 or not text else 9
        zoom = 2 if self.sr[1] & 8 else 1
        chars = cr[1] + 1
        width = chars * dots * zoom
        lines = (cr[0x12] | bit(cr[7], 1) << 8 | bit(cr[7], 6) << 9) + 1
        compare = cr[0x18] | bit(cr[7], 4) << 8 | bit(cr[9], 6) << 9
        half = cr[0x17] >> 2 & 1 # the counter takes every second line
        if self.sr[1] & 0x20: # "Screen Off"
            return width, lines << half, bytes(3 * width * (lines << half))
        if not self.ar_index & 0x20: # the border's colour everywhere
            return width, lines << half, self.color(self.ar[0x11]) * (width * (lines << half))
        pan = self.ar[0x13] & 15
        pan = (0 if pan == 8 else pan + 1) if dots == 9 else pan & 7
        at = (cr[0x0c] << 8 | cr[0x0d]) + (cr[8] >> 5 & 3)
        row, sub = cr[8] & 31, 0
        shift = 2 if cr[0x14] & 0x20 else 1 if cr[0x17] & 8 else 0 # "Count by 4", "Count by 2"
        self.shades = [self.attribute(n) for n in range(16)]
        out, cache, fetched, line = [], {}, {}, None
        for y in range(lines):
            key = at, row, pan
            if line is None or line[0] != key:
                px = []
                bank = at, row & ~cr[0x17] & 3
                if bank not in fetched:
                    fetched[bank] = [(n, self.fetch(n, row)) for n in
                                     (at + (col >> shift) & 0xffff for col in range(chars + 1))]
                for count, maps in fetched[bank]:
                    what = (maps[0], maps[1], self.cursor(count, row, frame), row) if text else maps
                    if what not in cache:
                        got = self.character(*what, frame) if text else self.graphic(maps, frame)
                        cache[what] = b"".join(c * zoom for c in got)
                    px.append(cache[what])
                line = key, b"".join(px)[pan * zoom * 3:][:width * 3]
            out.append(line[1] * (1 << half))
            if y == compare: # "Line Compare"
                at = row = sub = 0
                if self.ar[0x10] & 0x20: # "PEL Panning Compatibility"
                    pan = 0
                continue
            sub += 1
            if sub < (2 if cr[9] & 0x80 else 1): # "200 to 400 Line Conversion"
                continue
            sub = 0
            if row == cr[9] & 31:
                row, at = 0, at + cr[0x13] * 2
            else:
                row = row + 1 & 31
        return width, lines << half, b"".join(out)

    def dispi_picture(self):
        """Bochs VBE display interface: 5:5:5, 5:6:5, blue lowest; missing bits repeat the high ones."""
        w, h, bpp = self.dispi[XRES], self.dispi[YRES], self.dispi[BPP]
        size = (bpp + 7) // 8
        stride = max(self.dispi[VIRT_WIDTH], w) * size
        start = self.dispi[Y_OFFSET] * stride + self.dispi[X_OFFSET] * size
        dac = [self.color(n) for n in range(256)]
        out = bytearray()
        wide = {}
        for y in range(h):
            line = self.linear[start + y * stride:][:w * size]
            if bpp == 8:
                out += b"".join(dac[b] for b in line)
            elif bpp >= 24:
                rgb = bytearray(w * 3)
                rgb[0::3], rgb[1::3], rgb[2::3] = line[2::size], line[1::size], line[0::size]
                out += rgb
            else:
                green = 5 if bpp == 15 else 6
                for low, high in zip(line[0::2], line[1::2]):
                    v = low | high << 8
                    if v not in wide:
                        r, g, b = v >> 5 + green & 31, v >> 5 & (1 << green) - 1, v & 31
                        g = g << 3 | g >> 2 if green == 5 else g << 2 | g >> 4
                        wide[v] = bytes((r << 3 | r >> 2, g, b << 3 | b >> 2))
                    out += wide[v]
        return w, h, bytes(out)
