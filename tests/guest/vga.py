#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The VGA as programs use it: a guest in real mode (script.asm) sets modes, writes to memory in every way the
adapter has, and each picture, taken through the control socket, is compared pixel by pixel with what
vga_model.py makes of the same steps. Values read back are compared as well.

  vga.py BOTHY text|graphics|tricks|memory|vbe|bios SCRIPT_BIN
  vga.py BOTHY random SCRIPT_BIN SCENES [SEED]      registers and writes by chance; prints the seed

With BOTHY_KEEP=DIR pictures that differ are left there as .ppm files.
"""
import os
import random
import sys
import time

import script
from guest import check, main
from script import Script, random_bytes
from vga_model import BANK, BPP, ENABLE, VIRT_WIDTH, X_OFFSET, XRES, Y_OFFSET, YRES, Vga

SEQ, GR, DAC, MONO, COLOR = 0x3c4, 0x3ce, 0x3c8, 0x3b4, 0x3d4


def h(text):
    return [int(word, 16) for word in text.split()]


# Register values of the BIOS modes: IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem",
# tables of register values by mode. Miscellaneous; sequencer 1-4; CRT 0-18h; graphics 0-8; attribute 0-14h.
TEXT_PALETTE = "00 01 02 03 04 05 14 07 38 39 3a 3b 3c 3d 3e 3f "
LOW_PALETTE = "00 01 02 03 04 05 06 07 10 11 12 13 14 15 16 17 "
MODES = {name: [h(part) for part in text.split("|")] for name, text in {
    "0": "67|08 03 00 02|2d 27 28 90 2b a0 bf 1f 00 4f 0d 0e 00 00 00 00 9c 8e 8f 14 1f 96 b9 a3 ff|"
         "00 00 00 00 00 10 0e 00 ff|" + TEXT_PALETTE + "0c 00 0f 08 00",
    "3": "67|00 03 00 02|5f 4f 50 82 55 81 bf 1f 00 4f 0d 0e 00 00 00 00 9c 8e 8f 28 1f 96 b9 a3 ff|"
         "00 00 00 00 00 10 0e 00 ff|" + TEXT_PALETTE + "0c 00 0f 08 00",
    "7": "66|00 03 00 02|5f 4f 50 82 55 81 bf 1f 00 4f 0d 0e 00 00 00 00 9c 8e 8f 28 0d 96 b9 a3 ff|"
         "00 00 00 00 00 10 0a 00 ff|00 08 08 08 08 08 08 08 10 18 18 18 18 18 18 18 0e 00 0f 08 00",
    "4": "63|09 03 00 02|2d 27 28 90 2b 80 bf 1f 00 c1 00 00 00 00 00 00 9c 8e 8f 14 00 96 b9 a2 ff|"
         "00 00 00 00 00 30 0f 00 ff|00 13 15 17 02 04 06 07 10 11 12 13 14 15 16 17 01 00 03 00 00",
    "6": "63|01 01 00 06|5f 4f 50 82 54 80 bf 1f 00 c1 00 00 00 00 00 00 9c 8e 8f 28 00 96 b9 c2 ff|"
         "00 00 00 00 00 00 0d 00 ff|00 17 17 17 17 17 17 17 17 17 17 17 17 17 17 17 01 00 01 00 00",
    "d": "63|09 0f 00 06|2d 27 28 90 2b 80 bf 1f 00 c0 00 00 00 00 00 00 9c 8e 8f 14 00 96 b9 e3 ff|"
         "00 00 00 00 00 00 05 0f ff|" + LOW_PALETTE + "01 00 0f 00 00",
    "e": "63|01 0f 00 06|5f 4f 50 82 54 80 bf 1f 00 c0 00 00 00 00 00 00 9c 8e 8f 28 00 96 b9 e3 ff|"
         "00 00 00 00 00 00 05 0f ff|" + LOW_PALETTE + "01 00 0f 00 00",
    "f": "a2|01 0f 00 06|5f 4f 50 82 54 80 bf 1f 00 40 00 00 00 00 00 00 83 85 5d 28 0f 63 ba e3 ff|"
         "00 00 00 00 00 00 05 05 ff|00 08 00 00 18 18 00 00 00 08 00 00 00 18 00 00 0b 00 05 00 00",
    "10": "a3|01 0f 00 06|5f 4f 50 82 54 80 bf 1f 00 40 00 00 00 00 00 00 83 85 5d 28 0f 63 ba e3 ff|"
          "00 00 00 00 00 00 05 0f ff|" + TEXT_PALETTE + "01 00 0f 00 00",
    "11": "e3|01 0f 00 06|5f 4f 50 82 54 80 0b 3e 00 40 00 00 00 00 00 00 ea 8c df 28 00 e7 04 e3 ff|"
          "00 00 00 00 00 00 05 01 ff|00 3f 3f 3f 3f 3f 3f 3f 3f 3f 3f 3f 3f 3f 3f 3f 01 00 0f 00 00",
    "12": "e3|01 0f 00 06|5f 4f 50 82 54 80 0b 3e 00 40 00 00 00 00 00 00 ea 8c df 28 00 e7 04 e3 ff|"
          "00 00 00 00 00 00 05 0f ff|" + TEXT_PALETTE + "01 00 0f 00 00",
    "13": "63|01 0f 00 0e|5f 4f 50 82 54 80 bf 1f 00 41 00 00 00 00 00 00 9c 8e 8f 28 40 96 b9 a3 ff|"
          "00 00 00 00 00 40 05 0f ff|00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 41 00 0f 00 00",
    # 256 colours in planes: byte addresses, lines doubled by the row count (M. Abrash, "Mode X", 1991)
    "320x200": "63|01 0f 00 06|5f 4f 50 82 54 80 bf 1f 00 41 00 00 00 00 00 00 9c 8e 8f 28 00 96 b9 e3 ff|"
               "00 00 00 00 00 40 05 0f ff|00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 41 00 0f 00 00",
    "320x240": "e3|01 0f 00 06|5f 4f 50 82 54 80 0d 3e 00 41 00 00 00 00 00 00 ea ac df 28 00 e7 06 e3 ff|"
               "00 00 00 00 00 40 05 0f ff|00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 41 00 0f 00 00",
    "320x400": "63|01 0f 00 06|5f 4f 50 82 54 80 bf 1f 00 40 00 00 00 00 00 00 9c 8e 8f 28 00 96 b9 e3 ff|"
               "00 00 00 00 00 40 05 0f ff|00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 41 00 0f 00 00",
    "360x480": "67|01 0f 00 06|6b 59 5a 8e 5e 8a 0d 3e 00 40 00 00 00 00 00 00 ea ac df 2d 00 e7 06 e3 ff|"
               "00 00 00 00 00 40 05 0f ff|00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 41 00 0f 00 00",
}.items()}


class Steps:
    """Steps for the guest and for the model: first all of them are made, then both carry them out."""

    def __init__(self):
        self.list, self.script, self.crtc = [], Script(), COLOR

    def add(self, apply, number, form, *operands):
        self.list.append(apply)
        self.script.step(number, form, *operands)

    # ---- registers

    def out(self, port, value):
        self.add(lambda m, vm: m.out(port, value), script.OUTB, "HB", port, value)

    def outw(self, port, value):
        self.add(lambda m, vm: m.outw(port, value), script.OUTW, "HH", port, value)

    def reg(self, port, n, value):
        self.outw(port, n | value << 8)

    def seq(self, n, value):
        self.reg(SEQ, n, value)

    def gr(self, n, value):
        self.reg(GR, n, value)

    def cr(self, n, value):
        self.reg(self.crtc, n, value)

    def ar(self, n, value, shown=0x20):
        """The palette only takes colours while the picture is off; @shown: what to leave."""
        self.look(self.crtc + 6)
        self.out(0x3c0, n)
        self.out(0x3c0, value)
        self.out(0x3c0, shown)

    def look(self, port):
        """Read a port whose value no document promises."""
        def apply(m, vm):
            m.read_port(port)
            vm.receive(1)
        self.add(apply, script.INB, "H", port)

    def expect_port(self, port):
        def apply(m, vm):
            want, got = m.read_port(port), vm.receive(1)[0]
            if want != got:
                check(f"port {port:#x} reads {want:#x}: {got:#x}", False)
        self.add(apply, script.INB, "H", port)

    def outs(self, port, data):
        def apply(m, vm):
            for b in data:
                m.out(port, b)
        self.add(apply, script.OUTS, f"HH{len(data)}s", port, len(data), bytes(data))

    def dac(self, first, colors):
        self.out(DAC, first)
        self.outs(DAC + 1, bytes(c for rgb in colors for c in rgb))

    def dispi(self, n, value):
        self.outw(0x1ce, n)
        self.outw(0x1cf, value)

    # ---- memory

    @staticmethod
    def far(addr):
        return addr >> 4 & 0xf800 if addr >= 0xb8000 else addr >> 4 & 0xf000

    def mem(self, apply, number, addr, n, form="", *operands):
        seg = self.far(addr)
        self.add(apply, number, "HHH" + form, seg, addr - seg * 16, n, *operands)

    def fill(self, addr, n, step=1, seed=1):
        seg = self.far(addr) * 16

        def apply(m, vm):
            at = addr - seg
            if step == 1 and at + n <= 65536:
                m.store_all(addr, bytes(random_bytes(seed, n)))
                return
            for b in random_bytes(seed, n):
                m.store(seg + at, b)
                at = at + step & 0xffff
        self.mem(apply, script.FILL, addr, n, "HI", step, seed)

    def set(self, addr, n, word):
        def apply(m, vm):
            m.store_all(addr, word.to_bytes(2, "little") * n)
        self.mem(apply, script.SET, addr, n, "H", word)

    def bytes(self, addr, data):
        def apply(m, vm):
            for i, b in enumerate(data):
                m.store(addr + i, b)
        self.mem(apply, script.BYTES, addr, len(data), f"{len(data)}s", bytes(data))

    def rmw(self, addr, value):
        def apply(m, vm):
            m.read(addr)
            m.store(addr, value)
        self.mem(apply, script.RMW, addr, value)

    def copy(self, addr, n, source):
        """Within one segment."""
        def apply(m, vm):
            for i in range(n):
                m.store(addr + i, m.read(source + i))
        self.mem(apply, script.COPY, addr, n, "H", source - self.far(addr) * 16)

    def logic(self, addr, value, which):
        def apply(m, vm):
            old = m.read(addr)
            m.store(addr, [old & value, old | value, old ^ value, value][which])
        self.mem(apply, script.LOGIC, addr, value, "B", which)

    def expect(self, addr, n):
        def apply(m, vm):
            got = vm.receive(n)
            want = bytes(m.read(addr + i) for i in range(n))
            if want != got:
                at = next(i for i in range(n) if want[i] != got[i])
                check(f"memory at {addr + at:#x} reads {want[at]:#x}: {got[at]:#x}", False)
        self.mem(apply, script.READ, addr, n)

    def flat(self, off, n, step=1, seed=1):
        def apply(m, vm):
            m.linear[off:off + n * step:step] = bytes(random_bytes(seed, n))
        self.add(apply, script.FLAT, "IIII", off, n, step, seed)

    # ---- whole states

    def clear(self):
        """All four maps zero, and the DISPI modes off."""
        self.dispi(ENABLE, 0)
        self.out(0x3c2, 0x63)
        for n, value in ((0, 3), (1, 1), (2, 15), (3, 0), (4, 6)):
            self.seq(n, value)
        for n, value in enumerate((0, 0, 0, 0, 0, 0, 5, 0, 0xff)):
            self.gr(n, value)
        self.set(0xa0000, 0x8000, 0)

    def mode(self, name, **registers):
        """Registers by keyword: cr9=0x47, for each file."""
        misc, seq, crt, gr, ar = [list(part) for part in MODES[name]]
        files = {"sr": seq, "cr": crt, "gr": gr, "ar": ar}
        for key, value in registers.items():
            n = int(key[2:], 16)
            files[key[:2]][n - 1 if key[:2] == "sr" else n] = value
        self.clear()
        self.crtc = COLOR if misc[0] & 1 else MONO
        self.out(0x3c2, misc[0])
        for n, value in enumerate(seq):
            self.seq(n + 1, value)
        self.cr(0x11, 0)
        for n, value in enumerate(crt):
            self.cr(n, value)
        for n, value in enumerate(gr):
            self.gr(n, value)
        self.look(self.crtc + 6)
        for n, value in enumerate(ar):
            self.out(0x3c0, n)
            self.out(0x3c0, value)
        self.out(0x3c0, 0x20)
        self.out(0x3c6, 0xff)
        rng = random.Random(name)
        self.dac(0, [[rng.randrange(64) for _ in range(3)] for _ in range(256)])

    def font(self, where, height=16, seed=7):
        """A character set by chance into map 2, and back to what text modes have."""
        for n, value in ((2, 4), (4, 6)):
            self.seq(n, value)
        for n, value in ((4, 2), (5, 0), (6, 5)):
            self.gr(n, value)
        for row in range(height):
            self.fill(0xa0000 + where + row, 256, 32, seed * 100 + row)
        for n, value in ((2, 3), (4, 2)):
            self.seq(n, value)
        for n, value in ((4, 0), (5, 0x10), (6, 0x0e if self.crtc == COLOR else 0x0a)):
            self.gr(n, value)

    def all_text(self, n=2000, seed=11):
        """Characters and attributes by chance."""
        base = 0xb8000 if self.crtc == COLOR else 0xb0000
        self.fill(base, n, 2, seed)
        self.fill(base + 1, n, 2, seed + 1)

    def planes(self, n, seed=21):
        """Bytes by chance, map by map, in write mode 0."""
        for p in range(4):
            self.seq(2, 1 << p)
            self.fill(0xa0000, n, 1, seed + p)
        self.seq(2, 15)

    def shot(self, name):
        self.add(lambda m, vm: compare(name, m, vm), script.SYNC, "")


def save(name, picture):
    where = os.environ.get("BOTHY_KEEP")
    if where:
        with open(f"{where}/{name}.ppm", "wb") as f:
            f.write(b"P6\n%d %d\n255\n" % picture[:2] + picture[2])


def compare(name, m, vm):
    """The screen must be one of the model's pictures each time, and be each of them in time."""
    vm.sync()
    wanted = []
    for frame in m.phases():
        picture = m.picture(frame)
        if picture not in wanted:
            wanted.append(picture)
    missing, end = list(range(len(wanted))), time.monotonic() + 60
    while missing and time.monotonic() < end:
        time.sleep(0.02 if len(missing) < len(wanted) else 0)
        got = vm.picture()
        if got not in wanted:
            save(name + "-got", got)
            save(name + "-want", wanted[0])
            check(f"{name}: {difference(got, wanted[0])}", False)
        if wanted.index(got) in missing:
            missing.remove(wanted.index(got))
    check(f"{name}: {got[0]} x {got[1]}, {len(wanted)} pictures", not missing)
    vm.go_on()


def difference(got, want):
    if got[:2] != want[:2]:
        return f"size {got[:2]}, not {want[:2]}"
    bad = [i for i in range(0, len(want[2]), 3) if got[2][i:i + 3] != want[2][i:i + 3]]
    y, x = divmod(bad[0] // 3, want[0])
    return (f"{len(bad)} of {want[0] * want[1]} pixels differ, first x={x} y={y}: "
            f"{got[2][bad[0]:bad[0] + 3].hex()}, not {want[2][bad[0]:bad[0] + 3].hex()}")


# ---------------------------------------------------------------- text

def text(s):
    for name, n in (("0", 1000), ("3", 2000), ("7", 2000)):
        s.mode(name)
        s.font(0)
        s.all_text(n)
        s.cr(0x0e, 0)
        s.cr(0x0f, 85)
        s.shot(f"mode-{name}")
    # bright backgrounds instead of blinking; line graphics off; 8 dots; scan lines of other cells
    for name, registers, cell in (("bright", {"ar10": 0x04}, 16), ("no-ninth", {"ar10": 0x08}, 16),
                                  ("8-dots", {"sr1": 1, "cr0": 0x64, "ar13": 0}, 16),
                                  ("8-lines", {"cr9": 0x47, "cra": 6, "crb": 7}, 8),
                                  ("14-lines", {"cr9": 0x4d, "cr12": 0x5d, "cra": 11, "crb": 12}, 14),
                                  ("1-line", {"cr9": 0, "cr12": 0x1f, "cr7": 0}, 1),
                                  ("doubled", {"cr9": 0xc7, "cra": 0x20}, 8),
                                  ("underline", {"cr14": 12, "cra": 0x20}, 16)):
        s.mode("3", **registers)
        s.font(0, cell)
        s.all_text(4000)
        s.shot(f"text-{name}")
    # cursor: block, last line, upside down (none), off, behind the end, moved along by the skew bits
    for start, end in ((0, 15), (15, 15), (10, 3), (0x2d, 14), (4, 31), (20, 31), (0, 0x6f), (13, 0x2e)):
        s.mode("3", cra=start, crb=end)
        s.font(0)
        s.set(0xb8000, 2000, 0x0741)
        s.cr(0x0f, 161)
        s.shot(f"cursor-{start:x}-{end:x}")
    # 512 characters: each of the eight tables as either set
    s.mode("3", ar12=7, ar10=4)
    for n in range(8):
        s.font((n & 3) * 0x4000 + (n >> 2) * 0x2000, 16, 40 + n)
    s.all_text()
    s.cr(0x0a, 0x20)
    for value in (0x00, 0x04, 0x01, 0x09, 0x0e, 0x1b, 0x34, 0x2f, 0x3f):
        s.seq(3, value)
        s.shot(f"sets-{value:x}")
    # pages, panning, split, offset
    s.mode("3", cra=0x20, ar10=0x0c)
    s.font(0)
    s.all_text(16000)
    s.cr(0x0c, 0x13)
    s.cr(0x0d, 0x57)
    s.shot("text-start")
    for pan in range(9):
        s.ar(0x13, pan)
        s.cr(8, pan | (pan & 3) << 5)
        s.shot(f"text-pan-{pan}")
    s.cr(0x13, 0x33)
    s.cr(0x18, 200)
    s.cr(7, 0x0f)
    s.cr(9, 0x0f)
    s.shot("text-split")
    s.ar(0x10, 0x2c)
    s.shot("text-split-compatible")
    # colours: plane enable, palette bits 4 and 5, color select, mask, a DAC entry, the border
    s.mode("3", cra=0x20, ar10=0x84)
    s.font(0)
    s.all_text()
    for select in (0, 5, 10, 15):
        s.ar(0x14, select)
        s.shot(f"select-{select:x}")
    s.ar(0x10, 0x04)
    s.ar(0x14, 0x0c)
    s.shot("select-high")
    s.ar(0x12, 0x0a)
    s.shot("planes-a")
    s.out(0x3c6, 0x15)
    s.shot("mask-15")
    s.ar(0x11, 0x2a)
    s.shot("border")
    s.look(s.crtc + 6)
    s.out(0x3c0, 0)
    s.shot("palette-open")
    s.look(s.crtc + 6)
    s.out(0x3c0, 0x20)
    s.seq(1, 0x20)
    s.shot("screen-off")


# ---------------------------------------------------------------- graphics

def graphics(s):
    for name, n in (("4", 0x4000), ("6", 0x4000)):
        s.mode(name)
        s.fill(0xb8000, n)
        s.shot(f"mode-{name}")
    s.mode("4", ar1=0x02, ar2=0x04, ar3=0x06, ar0=0x01) # the other palette of mode 4
    s.fill(0xb8000, 0x4000)
    s.shot("mode-5")
    for name, n in (("d", 8000), ("e", 16000), ("f", 28000), ("10", 28000), ("11", 38400), ("12", 38400)):
        s.mode(name)
        s.planes(n)
        s.shot(f"mode-{name}")
    s.mode("13")
    s.fill(0xa0000, 64000)
    s.shot("mode-13")
    for name, n in (("320x200", 16000), ("320x240", 19200), ("320x400", 32000), ("360x480", 43200)):
        s.mode(name)
        s.planes(n)
        s.shot(f"unchained-{name}")
    # Hercules: two row scan bits as address bits 13 and 14 (720 x 348, planes 0 only)
    s.mode("6", cr0=0x6b, cr1=0x59, cr9=3, cr12=0x5b, cr7=0x1f, cr13=0x2d, cr17=0xc0, gr6=0x09, sr1=1)
    s.fill(0xb0000, 0x8000)
    s.shot("four-banks")
    s.mode("12")
    s.planes(38400)
    s.ar(0x10, 0x09) # blinking in graphics
    s.shot("blinking")
    for mask in (1, 6, 8):
        s.ar(0x12, mask)
        s.shot(f"planes-{mask:x}")
    s.mode("13")
    s.fill(0xa0000, 64000)
    s.ar(3, 0x3c)
    s.ar(0x12, 0x0d)
    s.shot("palette-of-256")
    s.ar(0x10, 0x01)
    s.shot("bytes-as-two-pixels")
    s.mode("12", ar10=0x41)
    s.planes(38400)
    s.shot("planes-as-256")


# ---------------------------------------------------------------- what demos do

def tricks(s):
    for name, n in (("320x240", 0xffff), ("12", 0xffff), ("d", 0xffff)):
        s.mode(name)
        s.planes(n)
        s.cr(0x0c, 0x9a)
        s.cr(0x0d, 0xbc)
        s.shot(f"{name}-start-wraps")
        s.cr(0x13, 0x3f)
        s.shot(f"{name}-offset")
        for pan in (1, 2, 6, 7):
            s.ar(0x13, pan)
            s.cr(8, (pan & 3) << 5)
            s.shot(f"{name}-pan-{pan}")
        for line in (0, 1, 77, 100, 255):
            s.cr(0x18, line)
            s.cr(7, MODES[name][2][7] & ~0x10)
            s.cr(9, MODES[name][2][9] & ~0x40)
            s.shot(f"{name}-split-{line}")
        s.ar(0x10, MODES[name][4][0x10] | 0x20)
        s.shot(f"{name}-split-compatible")
    # row counts: copper bars by repeated lines, preset, more than the preset allows
    for cell in (0, 1, 2, 3, 7, 31, 0x80, 0x83):
        s.mode("320x200", cr9=0x40 | cell)
        s.planes(40000)
        s.cr(8, 3)
        s.shot(f"cell-{cell:x}")
    # the vertical counter takes every second line
    s.mode("320x200", cr17=0xe7, cr12=0xc7, cr7=0)
    s.planes(40000)
    s.shot("half-lines")
    # what chain 4 wrote, shown by bytes; what planes wrote, shown by doublewords; each kind of address
    s.mode("13")
    s.fill(0xa0000, 0xffff)
    s.cr(0x14, 0)
    s.cr(0x17, 0xe3)
    s.shot("chain-4-by-bytes")
    s.cr(0x17, 0xa3)
    s.shot("chain-4-by-words")
    s.cr(0x17, 0x83)
    s.shot("chain-4-by-words-13")
    s.seq(4, 6)
    s.shot("unchained-by-words")
    for p in range(4):
        s.gr(4, p)
        s.expect(0xa0000, 3000)
        s.expect(0xaffc0, 50)
    s.seq(4, 14)
    s.expect(0xa3ff0, 64)
    s.cr(0x14, 0x40)
    s.shot("chain-4-again")
    s.mode("320x200")
    s.planes(0xffff)
    s.cr(0x14, 0x40)
    s.shot("planes-by-doublewords")
    s.cr(0x0c, 0x12)
    s.cr(0x0d, 0x34)
    s.shot("planes-by-doublewords-start")
    for count in ({"cr17": 0xeb}, {"cr14": 0x20}):
        s.mode("12", cr0d=7, **count)
        s.planes(0xffff)
        s.shot(f"count-{list(count)[0]}")
    s.mode("12", cr17=0xa3)
    s.planes(0xffff)
    s.cr(0x0c, 0x70)
    s.shot("words")
    s.cr(0x17, 0x83)
    s.shot("words-13")
    s.cr(0x17, 0xe0)
    s.shot("banks")
    # palette: registers closed while shown, DAC by triples, index wraps, read back
    s.mode("13")
    s.fill(0xa0000, 64000)
    s.look(0x3da)
    s.out(0x3c0, 0x25)
    s.out(0x3c0, 0x3f)
    s.shot("palette-closed")
    s.dac(254, [(1, 2, 3), (63, 0, 32), (0xff, 0x80, 0x41)])
    s.out(DAC + 1, 5) # half a colour changes nothing
    s.out(DAC + 1, 6)
    s.shot("dac")
    s.out(0x3c7, 253)
    for _ in range(15):
        s.expect_port(0x3c9)
    for n in range(0x19):
        s.out(0x3d4, n)
        s.expect_port(0x3d5)
    for mask in (0x0f, 0xf0, 0x55, 0):
        s.out(0x3c6, mask)
        s.shot(f"mask-{mask:x}")


# ---------------------------------------------------------------- memory

def some_writes(s, rng, n):
    """Random uses of the graphics controller on a picture of mode 12h."""
    for _ in range(n):
        what = rng.randrange(12)
        addr = 0xa0000 + rng.randrange(38000)
        value = rng.randrange(256)
        if what == 0:
            s.gr(5, rng.choice((0, 1, 2, 3, 8, 9, 10, 11)))
        elif what == 1:
            s.gr(3, rng.randrange(32))
        elif what == 2:
            s.gr(8, value)
        elif what == 3:
            s.gr(rng.choice((0, 1, 2, 7)), rng.randrange(16))
        elif what == 4:
            s.seq(2, rng.randrange(16))
        elif what == 5:
            s.gr(4, rng.randrange(4))
        elif what == 6:
            s.copy(addr, rng.randrange(1, 400), 0xa0000 + rng.randrange(38000))
        elif what == 7:
            s.expect(addr, rng.randrange(1, 30))
        elif what == 8:
            s.logic(addr, value, rng.randrange(4))
        elif what == 9:
            s.fill(addr, rng.randrange(1, 400), rng.choice((1, 1, 2, 80)), rng.randrange(1 << 32))
        elif what == 10:
            s.bytes(addr, rng.randbytes(rng.randrange(1, 100)))
        else:
            s.rmw(addr, value)


def memory(s):
    s.mode("12")
    s.planes(38400)
    for write in range(4):
        for function in range(4):
            s.gr(5, write)
            s.gr(3, function << 3 | (write * 4 + function) % 8)
            s.gr(0, 0x9 ^ function)
            s.gr(1, (0, 6, 15, 3)[function])
            s.gr(8, (0xff, 0x3c, 0x81, 0xf0)[write])
            s.seq(2, (15, 5, 11, 14)[function])
            at = 0xa0000 + (write * 4 + function) * 2400
            s.copy(at, 800, at + 800)
            s.fill(at + 900, 500, 1, at)
            for i in range(40):
                s.rmw(at + 1500 + i, i * 7 & 0xff)
                s.logic(at + 1600 + i, i * 37 & 0xff, i & 3)
        s.seq(2, 15)
        s.shot(f"write-mode-{write}")
    s.gr(5, 8)
    for color, care in ((0, 15), (5, 15), (10, 3), (15, 0), (9, 8)):
        s.gr(2, color)
        s.gr(7, care)
        s.expect(0xa0000, 300)
    # odd/even addressing of all kinds, with each page bit and window
    rng = random.Random("odd/even")
    for window, base in ((0, 0xa0000), (1, 0xa0000), (2, 0xb0000), (3, 0xb8000)):
        for chain, sequential, page in ((0, 0, 0x20), (2, 0, 0x20), (2, 0, 0), (2, 4, 0x20), (0, 4, 0)):
            s.out(0x3c2, 0xc3 | page)
            s.gr(6, 1 | chain | window << 2)
            s.seq(4, 2 | sequential)
            s.gr(5, rng.choice((0, 0x10)))
            s.gr(3, 0)
            s.gr(1, 0)
            s.gr(8, 0xff)
            s.fill(base + rng.randrange(0x4000), 800, rng.choice((1, 1, 3)), rng.randrange(1 << 32))
            if window == 0:
                s.fill(0xb0000 + rng.randrange(0x4000), 800, 1, rng.randrange(1 << 32))
            for plane in range(4):
                s.gr(4, plane)
                s.expect(base + rng.randrange(0x4000), 64)
            s.expect(0xa0000 if window > 1 else 0xb8000, 2)
        s.shot(f"window-{window}")
    s.out(0x3c2, 0xc1) # memory off
    s.fill(0xa0000, 200)
    s.expect(0xa0000, 4)
    s.out(0x3c2, 0xe3)
    s.shot("memory-off")
    # chain 4 with the graphics controller at work: the map mask, rotation and set/reset still count
    for n, registers in enumerate(({}, {"gr8": 0x3c}, {"sr2": 6}, {"gr3": 3}, {"gr0": 5, "gr1": 7}, {"gr3": 0x18},
                                   {"gr5": 0x41}, {"gr5": 0x42})):
        s.mode("13", **registers)
        s.expect(0xa0000, 1) # what the latches hold after plain chain 4 is not kept (vga_mem.c)
        s.fill(0xa0000, 3000, 7, n)
        s.copy(0xa2000, 5000, 0xa0000)
        for i in range(60):
            s.logic(0xa4000 + i, i * 4, i & 3)
        s.expect(0xa0000, 100)
        s.shot(f"chain-4-{n}")
    rng = random.Random("writes")
    for n in range(6):
        s.mode("12")
        s.planes(38400)
        some_writes(s, rng, 250)
        s.shot(f"writes-{n}")


# ---------------------------------------------------------------- DISPI

def dispi_mode(s, w, h_, bpp, flags=0x41):
    s.dispi(ENABLE, 0)
    s.dispi(XRES, w)
    s.dispi(YRES, h_)
    s.dispi(BPP, bpp)
    s.dispi(ENABLE, flags)
    s.look(0x3da)
    s.out(0x3c0, 0x20)


def vbe(s):
    s.mode("13")
    for bpp in (8, 15, 16, 24, 32):
        size = (bpp + 7) // 8
        for w, h_ in ((640, 480), (800, 600)) if bpp in (8, 16) else ((640, 480),):
            dispi_mode(s, w, h_, bpp)
            s.flat(0, w * h_ * size, 1, bpp)
            s.shot(f"linear-{w}x{h_}x{bpp}")
        s.dispi(VIRT_WIDTH, 1000)
        s.dispi(X_OFFSET, 123)
        s.dispi(Y_OFFSET, 45)
        s.flat(0, 1000 * 80 * size, 3, bpp + 1)
        s.shot(f"virtual-{bpp}")
        dispi_mode(s, 640, 400, bpp, 1) # by 64 KiB banks
        for bank in range((640 * 400 * size + 0xffff) >> 16):
            s.dispi(BANK, bank)
            s.fill(0xa0000 + bank * 97, 9000, 7, bank)
            s.expect(0xa0000, 40)
        s.shot(f"banks-{bpp}")
    # 8 bits a colour
    dispi_mode(s, 640, 480, 8, 0x61)
    rng = random.Random(8)
    s.dac(0, [[rng.randrange(256) for _ in range(3)] for _ in range(256)])
    s.flat(0, 640 * 480, 1, 99)
    s.shot("dac-8")
    s.out(0x3c6, 0x3f)
    s.shot("dac-8-mask")
    s.out(0x3c6, 0xff)
    dispi_mode(s, 640, 480, 8, 0xc1) # keep memory, 6 bits again
    s.dac(0, [[rng.randrange(64) for _ in range(3)] for _ in range(256)])
    s.shot("kept")
    # back to the VGA
    s.mode("12")
    s.planes(38400)
    s.shot("mode-12-again")


# ---------------------------------------------------------------- modes as the video BIOS sets them

def adopt(s, planes):
    """The model takes over registers and memory as the guest reads them."""
    def read(m, vm, file, ports, numbers):
        for n in numbers:
            file[n] = vm.receive(1)[0]

    def index(port, file, numbers):
        for n in numbers:
            s.script.step(script.OUTB, "HB", port, n)
            s.script.step(script.INB, "H", port + 1)
        s.list.append(lambda m, vm: read(m, vm, getattr(m, file), port, numbers))

    if planes:
        for p in range(4):
            s.script.step(script.OUTW, "HH", GR, 4 | p << 8)
            s.script.step(script.DUMP, "HHH", 0xa000, 0, 0)

            def take(m, vm, p=p):
                m.plane[p] = bytearray(vm.receive_runs(65536))
            s.list.append(take)
        return
    s.script.step(script.INB, "H", 0x3cc)
    s.list.append(lambda m, vm: setattr(m, "misc", vm.receive(1)[0]))
    index(SEQ, "sr", range(5))
    index(GR, "gr", range(9))
    index(s.crtc, "cr", range(25))
    for n in range(21):
        s.script.step(script.INB, "H", s.crtc + 6)
        s.script.step(script.OUTB, "HB", 0x3c0, n | 0x20)
        s.script.step(script.INB, "H", 0x3c1)

        def attribute(m, vm, n=n):
            vm.receive(1)
            m.ar[n] = vm.receive(1)[0]
            m.ar_index = 0x20
        s.list.append(attribute)
    s.script.step(script.INB, "H", 0x3c6)
    s.list.append(lambda m, vm: setattr(m, "pel_mask", vm.receive(1)[0]))
    s.script.step(script.OUTB, "HB", 0x3c7, 0)
    for _ in range(768):
        s.script.step(script.INB, "H", 0x3c9)

    def colors(m, vm):
        data = vm.receive(768)
        m.dac = [list(data[i:i + 3]) for i in range(0, 768, 3)]
        m.dispi[ENABLE] = 0
    s.list.append(colors)


def interrupt(s, number, ax, bx=0, cx=0, dx=0, bp=0):
    s.add(lambda m, vm: None, script.INT, "BHHHHH", number, ax, bx, cx, dx, bp)


# Columns, rows of text, dots across and lines of each mode (Interrupt 10h, "Video Modes").
SIZES = {0: (720, 400), 1: (720, 400), 2: (720, 400), 3: (720, 400), 4: (640, 400), 5: (640, 400), 6: (640, 400),
         7: (720, 400), 0x0d: (640, 400), 0x0e: (640, 400), 0x0f: (640, 350), 0x10: (640, 350),
         0x11: (640, 480), 0x12: (640, 480), 0x13: (640, 400)}


def bios(s):
    for mode, size in SIZES.items():
        s.crtc = MONO if mode == 7 else COLOR # SeaBIOS's VGA BIOS has mode 0Fh at 3d4h
        s.add(lambda m, vm: m.__init__(), script.OUTW, "HH", 0x1ce, 4)
        s.script.step(script.OUTW, "HH", 0x1cf, 0)
        interrupt(s, 0x10, mode)
        for i, char in enumerate(b"VGA mode \xc9\xcd\xbb \x01\xdb\xb0"):
            interrupt(s, 0x10, 0x0e00 | char, 7 + (mode > 3) * (i % 3))
        interrupt(s, 0x10, 0x0200, 0, 0, 0x0503)
        interrupt(s, 0x10, 0x0941, 0x0e if mode < 4 else 3, 9)
        if mode > 3 and mode != 7:
            for i in range(0, 90, 3):
                interrupt(s, 0x10, 0x0c00 | (i % 15 + 1), 0, i + 5, i)
        # to planes, without clearing, for a look; then the mode again without clearing
        for port, value in ((SEQ, 0x0604), (GR, 0x0005), (GR, 0x0506)):
            s.script.step(script.OUTW, "HH", port, value)
        adopt(s, True)
        interrupt(s, 0x10, mode | 0x80)
        adopt(s, False)
        s.shot(f"bios-{mode:x}")

        def right_size(m, vm, size=size, mode=mode):
            check(f"mode {mode:x}h has {size[0]} x {size[1]} dots", m.picture()[:2] == size)
        s.list.append(right_size)
    for mode, w, h_, bpp in ((0x101, 640, 480, 8), (0x110, 640, 480, 15), (0x111, 640, 480, 16),
                             (0x112, 640, 480, 24), (0x115, 800, 600, 24)):
        interrupt(s, 0x10, 0x4f02, mode | 0x4000)
        size = (bpp + 7) // 8

        def set_mode(m, vm, w=w, h_=h_, bpp=bpp, size=size):
            m.dispi[:5] = [0, w, h_, bpp, 0x41]
            m.dispi[VIRT_WIDTH] = w
            m.dispi[X_OFFSET] = m.dispi[Y_OFFSET] = m.dispi[BANK] = 0
            m.linear[:w * h_ * size] = bytes(w * h_ * size)
        s.list.append(set_mode)
        if bpp == 8:
            s.dac(0, [(i & 63, i >> 2, 63 - i & 63) for i in range(256)])
        s.flat(0, w * h_ * size, 1, mode)
        s.shot(f"vesa-{mode:x}")


# ---------------------------------------------------------------- by chance

def by_chance(s, rng, n):
    for i in range(n):
        name = rng.choice(list(MODES))
        registers = {}
        text_mode = name in "037"
        if rng.random() < 0.5:
            registers["cr9"] = 0x40 | rng.choice((0, 1, 3, 7, 13, 15, 0x81))
        if rng.random() < 0.3:
            registers["cr13"] = rng.randrange(256)
        if rng.random() < 0.4:
            registers["cr8"] = rng.randrange(128)
        if rng.random() < 0.3:
            registers["crd"] = rng.randrange(256)
            registers["crc"] = rng.randrange(256)
        if rng.random() < 0.3:
            registers["cr14"] = rng.choice((0, 0x40, 0x20, 0x1f, 7))
        if rng.random() < 0.3:
            registers["cr17"] = 0x80 | rng.randrange(128) & ~0x14
        if rng.random() < 0.3:
            registers["cr18"] = rng.randrange(256)
            registers["cr7"] = MODES[name][2][7] & ~0x10
            registers["cr9"] = registers.get("cr9", MODES[name][2][9]) & ~0x40
        if rng.random() < 0.3:
            registers["sr1"] = MODES[name][1][0] ^ rng.choice((1, 8))
        if rng.random() < 0.3:
            registers["sr3"] = rng.randrange(64)
        if rng.random() < 0.4:
            registers["ar10"] = MODES[name][4][0x10] ^ rng.choice((4, 8, 0x20, 0x80, 0xa8))
        if rng.random() < 0.2:
            registers["ar12"] = rng.randrange(16)
        if rng.random() < 0.2:
            registers["ar14"] = rng.randrange(16)
        if rng.random() < 0.2 and not text_mode:
            registers["gr5"] = rng.choice((0x00, 0x10, 0x20, 0x30, 0x40))
        if rng.random() < 0.3:
            registers["ar13"] = rng.randrange(9 if text_mode else 8)
        registers["cra"] = rng.choice((0x20, 0, 5, 13))
        registers["crb"] = rng.choice((7, 14, 0x2e))
        s.mode(name, **registers)
        if text_mode:
            s.font(rng.choice((0, 0x2000, 0x4000)), 16, i)
            s.all_text(rng.choice((2000, 16000)), i)
            s.cr(0x0f, rng.randrange(256))
        elif name in "46":
            s.fill(0xb8000, 0x7fff, 1, i)
        elif name == "13":
            s.fill(0xa0000, 0xffff, 1, i)
        else:
            s.planes(0xffff, i)
        words = " ".join(f"{k}={v:x}" for k, v in registers.items())
        s.shot(f"chance-{i} ({name} {words})")


def run(bothy, what, program, *rest):
    s = Steps()
    if what == "random":
        seed = int(rest[1]) if len(rest) > 1 else int(time.time())
        print(f"seed {seed}")
        by_chance(s, random.Random(seed), int(rest[0]))
    else:
        {"text": text, "graphics": graphics, "tricks": tricks, "memory": memory, "vbe": vbe, "bios": bios}[what](s)
    s.script.step(script.QUIT)
    m = Vga()
    with script.vm(bothy, s.script, program) as vm:
        for apply in s.list:
            apply(m, vm)
        check("the guest comes to its end", vm.process.wait(30) == 33)


if __name__ == "__main__":
    main(lambda: run(*sys.argv[1:]))
