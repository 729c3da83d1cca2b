#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The diskette controller and its DMA channel as DOS programs use them: diskette.asm, started from
diskettes of every format by the BIOS.

  diskette.py BOTHY formats PROGRAM [KIB ...]  each format, or those of these sizes
  diskette.py BOTHY change PROGRAM             diskettes that come and go

Further words are options of `bothy run`.
"""
import os
import struct
import subprocess
import sys

from guest import Guest, check, main, work_dir

SECTOR = 512
TRACK_BYTES = 8 * SECTOR  # of the program on each of its tracks
SECONDS = 120
# KiB: cylinders, heads, sectors, data rate, a rate at which nothing can be read
# (82077AA 290166-007, table 2-4: 0 = 500, 1 = 300, 2 = 250, 3 = 1000 kb/s)
FORMATS = {
    160: (40, 1, 8, 2, 0), 180: (40, 1, 9, 2, 0), 320: (40, 2, 8, 2, 0), 360: (40, 2, 9, 1, 0),
    720: (80, 2, 9, 2, 0), 1200: (80, 2, 15, 0, 2), 1440: (80, 2, 18, 0, 2),
    1680: (80, 2, 21, 0, 1), 1722: (82, 2, 21, 0, 3), 2880: (80, 2, 36, 3, 0),
}


def pattern(number):
    """A sector's words follow from its number; diskette.asm: same."""
    return struct.pack("<256H", *((number * 0x1d + 0x5a + i * 0x101) & 0xffff
                                  for i in range(SECTOR // 2)))


def make(path, kib, program, second=False, change=False):
    cyls, heads, spt, rate, other = FORMATS[kib]
    data = bytearray(b"".join(pattern(n) for n in range(2 * kib)))
    code = bytearray(program)
    code[16:23] = bytes((heads, spt, cyls, rate, other, second, change))
    for i in range(0, len(code), TRACK_BYTES):
        at = i // TRACK_BYTES * heads * spt * SECTOR
        data[at:at + TRACK_BYTES] = code[i:i + TRACK_BYTES]
    with open(path, "wb") as f:
        f.write(data)
    return data


def put(image, number, sector):
    image[number * SECTOR:(number + 1) * SECTOR] = sector


def formats(bothy, program, *words):
    sizes = [int(w) for w in words if w.isdigit()] or list(FORMATS)
    options = [w for w in words if not w.isdigit()]
    with open(program, "rb") as f:
        code = f.read()
    with work_dir() as d:
        for kib in sizes:
            cyls, heads, spt, _, _ = FORMATS[kib]
            want = make(f"{d}/a", kib, code, second=True)
            before = make(f"{d}/b", kib, code)
            with Guest(bothy, "--floppy", f"{d}/a", "--floppy", f"{d}/b,ro", "--in-place", "-m",
                       "16M", "--net", "none", "--debug-exit", "--boot", "floppy", *options) as g:
                for what in ("reset", "gate", "parameters", "seeks", "read id", "read",
                             "implied seek", "dma", "write", "write protection", "without dma",
                             "bios"):
                    g.expect(f"{what}$", SECONDS)
                check(f"{kib} KiB: the guest is content", g.wait(60) == 33)
            # what diskette.asm leaves on head 0
            last, before_it = ((cyls - n) * heads * spt for n in (1, 2))
            for i in range(spt):
                put(want, last + i, pattern(before_it + i))
                put(want, before_it + i, b"\x99" * SECTOR)
            put(want, 12 * heads * spt + 7, b"\xa5\x5a" * (SECTOR // 2))
            with open(f"{d}/a", "rb") as f:
                got = f.read()
            bad = [n for n in range(2 * kib)
                   if got[n * SECTOR:(n + 1) * SECTOR] != want[n * SECTOR:(n + 1) * SECTOR]]
            check(f"{kib} KiB: the image holds what was written, sectors {bad[:8]} differ", not bad)
            with open(f"{d}/b", "rb") as f:
                check(f"{kib} KiB: the protected image is as before", f.read() == before)


def control(bothy, *words):
    done = subprocess.run([bothy, *words], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    check(f"bothy {' '.join(words[:3])}: {done.stdout.strip()}", done.returncode == 0)


def change(bothy, program, *options):
    with open(program, "rb") as f:
        code = f.read()
    with work_dir() as d:
        os.environ["XDG_RUNTIME_DIR"] = d
        make(f"{d}/a", 1440, code, change=True)
        with open(f"{d}/other", "wb") as f:
            f.write(b"\xa5" * (1440 * 1024))
        with Guest(bothy, "--floppy", f"{d}/a", "-m", "16M", "--net", "none", "--debug-exit",
                   "--boot", "floppy", "--name", "m", *options) as g:
            g.expect("take it out$", SECONDS)
            control(bothy, "eject", "m", "floppy0")
            g.expect("^put one in$", SECONDS)
            control(bothy, "insert", "m", "floppy0", f"{d}/other")
            g.expect("^change$", SECONDS)
            check("the guest is content", g.wait(60) == 33)


TESTS = {"formats": formats, "change": change}

if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[2] not in TESTS:
        print(__doc__)
        sys.exit(2)
    main(lambda: TESTS[sys.argv[2]](os.path.abspath(sys.argv[1]), *sys.argv[3:]))
