#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Sound as Linux plays it, heard in bothy's sound file: a tone of 440 Hz through a card's driver, or
the console's bell through the loudspeaker. Frequency, length and loudness are measured. And a tone
of 600 Hz in a file, as the guest records it through the card.

  sound.py BOTHY ac97|hda|sb16|speaker      further words are options of `bothy run`

The driver of the Sound Blaster is in the 32-bit kernel only.
"""
import array
import math
import os
import re
import subprocess
import sys

from guest import Guest, check, images_with, main, skip, work_dir

BOOT_SECONDS = 300
RATE = 48000
DRIVERS = {"ac97": ["snd_intel8x0"], "hda": ["snd_hda_codec_generic", "snd_hda_intel"],
           "sb16": ["snd_sb16"], "speaker": ["pcspkr"]}


def compiled(directory, arch):
    program = f"{directory}/tone"
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tone.c")
    done = subprocess.run(["gcc", "-O1", "-static", *(["-m32"] if arch == "i386" else []), "-o",
                           program, source, "-lm"], text=True, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        skip(f"gcc cannot make the program that plays ({done.stderr.strip().splitlines()[-1]}): "
             "run tools/bootstrap check-long")
    with open(program, "ab") as f:
        f.truncate((os.path.getsize(program) + 511) // 512 * 512)
    return program


def heard(path):
    """(frequency by rising zero crossings, seconds of tone, peak, frequency by the commonest distance
    of two) of the left side."""
    with open(path, "rb") as f:
        head = f.read(44)
        frames = array.array("h", f.read(int.from_bytes(head[40:44], "little") // 4 * 4))
    left = frames[0::2]
    peak = max(map(abs, left), default=0)
    low, crossings = False, []
    for i, v in enumerate(left):
        if v < -peak // 8:
            low = True
        elif v > peak // 8 and low:
            crossings.append(i)
            low = False
    if len(crossings) < 3:
        return 0, 0, peak, 0
    span = crossings[-1] - crossings[0]
    steps = sorted(b - a for a, b in zip(crossings, crossings[1:]))
    return (len(crossings) - 1) * RATE / span, span / RATE, peak, RATE / steps[len(steps) // 2]


def play(g, card, program):
    g.shell(f"dd if=/dev/vda of=/tmp/tone bs=512 count={os.path.getsize(program) // 512};"
            " chmod 755 /tmp/tone")
    if card == "sb16":
        g.shell("rmmod snd_sb16; insmod /lib/modules/snd-sb16.ko isapnp=0 port=0x220 irq=5 dma8=1 dma16=5"
                " mpu_port=0 fm_port=0")
    got, _ = g.shell("for i in 1 2 3 4 5 6 7 8 9; do [ -e /dev/dsp ] && break; sleep 1; done;"
                     " tail -n 1 /proc/asound/cards")
    print(f"the guest has: {got.strip()}")
    got, _ = g.shell("/tmp/tone 440 2", 120)
    check(f"the driver played ({got})", got.startswith("tone: 440 Hz for 88200 frames"))


def write_tone(path, hz, seconds):
    """A sound file of one channel at 22,050 Hz."""
    n = int(22050 * seconds)
    data = array.array("h", (int(9000 * math.sin(2 * math.pi * hz * i / 22050)) for i in range(n)))
    with open(path, "wb") as f:
        f.write(b"RIFF" + (36 + 2 * n).to_bytes(4, "little") + b"WAVEfmt " +
                b"".join(v.to_bytes(size, "little") for v, size in (
                    (16, 4), (1, 2), (1, 2), (22050, 4), (44100, 4), (2, 2), (16, 2))) +
                b"data" + (2 * n).to_bytes(4, "little") + data.tobytes())


def record(g):
    got, _ = g.shell("/tmp/tone record 2", 120)
    m = re.match(r"recorded: ([0-9.]+) Hz, peak (\d+)", got)
    check(f"the driver recorded ({got})", m is not None)
    check("600 Hz", abs(float(m[1]) - 600) < 0.5)
    check("loud", int(m[2]) > 4000)


def run(bothy, card, *options):
    arch = "i386" if card == "sb16" else "amd64"
    modules = DRIVERS[card] + ([] if card == "speaker" else ["snd_pcm_oss"])
    kernel, initrd = images_with(f"sound-{card}", *modules, arch=arch)
    with work_dir() as d:
        program = compiled(d, arch)
        write_tone(f"{d}/in.wav", 600, 20)
        with Guest(bothy, "--kernel", kernel, "--initrd", initrd, "-m", "256M", "--net", "none",
                   "--append", "console=ttyS0 quiet", "--disk", f"{program},ro", "--sound",
                   "none" if card == "speaker" else card, "--audio", f"wav:{d}/out.wav,in=wav:{d}/in.wav",
                   *options) as g:
            g.to_shell(BOOT_SECONDS)
            if card == "speaker":
                g.shell("for i in 1 2 3; do printf '\\a' >/dev/tty1; sleep 1; done")
            else:
                play(g, card, program)
                record(g)
            g.shell("sleep 1")
            g.type("poweroff -f")
            check("the guest ends", g.wait() == 0)
        hz, seconds, peak, note = heard(f"{d}/out.wav")
    print(f"heard: {hz:.2f} Hz for {seconds:.3f} s, peak {peak}")
    if card == "speaker":
        # three bells of 750 Hz and 125 ms (Linux, drivers/tty/vt), silence between left out
        check("three bells of an eighth of a second", 0.3 < seconds < 1.2 and peak > 3000)
        check(f"of 750 Hz ({note:.0f})", abs(note - 750) < 8)
    else:
        check("440 Hz", abs(hz - 440) < 0.5)
        check("two seconds", abs(seconds - 2) < 0.05)
        check("loud", peak > 8000)


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[2] not in DRIVERS:
        print(__doc__)
        sys.exit(2)
    main(lambda: run(os.path.abspath(sys.argv[1]), *sys.argv[2:]))
