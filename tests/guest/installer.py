#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Debian's installer, started from the network: the BIOS, iPXE's option ROM, PXELINUX and its menu,
kernel and initramfs over TFTP from the package's own directory, to the installer's first questions.
Answers come from keyboard and mouse as a person gives them, through bothy's commands and VNC.

  installer.py BOTHY text   on the text screen
  installer.py BOTHY gtk    the graphical one: keys and a mouse pointer

Further words are options of `bothy run`.
"""
import os
import subprocess
import sys
import time
import types

from boot import need
from guest import Guest, check, main, work_dir
from screen import Rfb

IMAGES = "/usr/lib/debian-installer/images/12/amd64"
BOOT_SECONDS = 600


class Picture:
    """What is on the screen."""

    def __init__(self, path):
        with open(path, "rb") as f:
            data = f.read()
        _, size, _, self.rgb = data.split(b"\n", 3) # a portable pixmap
        self.w, self.h = map(int, size.split())

    def at(self, x, y):
        i = (y * self.w + x) * 3
        return tuple(self.rgb[i:i + 3])

    def part(self, x0, y0, x1, y1):
        """Its bytes."""
        return b"".join(self.rgb[(y * self.w + x0) * 3:(y * self.w + x1) * 3]
                        for y in range(y0, y1))


class Vm:
    def __init__(self, bothy, d):
        self.bothy, self.dir = bothy, d

    def command(self, *words):
        return subprocess.run([self.bothy, *words], stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.STDOUT, check=False).stdout

    def keys(self, *words):
        self.command("sendkey", "i", *words)

    def picture(self):
        path = f"{self.dir}/screen.ppm"
        if os.path.exists(path):
            os.unlink(path)
        self.command("screenshot", "i", path)
        return Picture(path) if os.path.exists(path) else None


def wait(g, what, name, seconds=BOOT_SECONDS):
    end = time.monotonic() + seconds
    while time.monotonic() < end and g.process.poll() is None:
        got = what()
        if got:
            print(f"ok: {name} after {time.monotonic() - g.began:.0f} s", flush=True)
            return got
        time.sleep(1)
    check(f"{name} within {seconds} s", False)
    return None


def start(bothy, kind, d, options):
    need(files=[f"{IMAGES}/{kind}/pxelinux.0", "/usr/lib/ipxe/qemu/pxe-virtio.rom"])
    os.environ["XDG_RUNTIME_DIR"] = d
    return Guest(bothy, "--boot", "net", "--net",
                 f"nat,tftp={IMAGES}/{kind},bootfile=pxelinux.0", "-m", "1024M", "--name", "i",
                 "--display", f"vnc:unix:{d}/vnc", *options)


def menu(g, vm):
    """PXELINUX's menu: a bar of lighter blue over the first line."""
    def shown():
        p = vm.picture()
        return p and (p.w, p.h) == (640, 480) and \
            sum(p.at(500, 191)) > sum(p.at(500, 176)) + 100
    wait(g, shown, "the boot menu is on the screen")


def text(bothy, *options):
    with work_dir() as d, start(bothy, "text", d, options) as g:
        vm = Vm(bothy, d)
        menu(g, vm)
        vm.keys("tab") # the command line of the first entry
        vm.command("type", "i", " vga=normal fb=false nomodeset\n")
        got = wait(g, lambda: "Select a language" in (s := vm.command("screen", "i")) and s,
                   "the first question is on the screen")
        print(got)
        check("the languages are there", "English" in got and "Dutch" in got)
        vm.keys("ret")
        got = wait(g, lambda: "Select your location" in (s := vm.command("screen", "i")) and s,
                   "the answer by key leads to the next question", 120)
        print(got)
        check("countries that speak it are there", "United Kingdom" in got and "South Africa" in got)


def bar(p):
    """First and last row of the highlighted line of the list."""
    rows = [y for y in range(100, 700) if (c := p.at(900, y))[0] < 80 and c[1] > 100 and c[2] > 90]
    return (rows[0], rows[-1]) if rows else None


def gtk(bothy, *options):
    with work_dir() as d, start(bothy, "gtk", d, options) as g:
        vm = Vm(bothy, d)
        menu(g, vm)
        vm.keys("ret")

        def listed():
            """The list, drawn to its end."""
            p = vm.picture()
            if not p or p.w < 1024 or p.h < 768 or not bar(p):
                return None
            time.sleep(3)
            return p.rgb == vm.picture().rgb and p
        first = wait(g, listed, "the first question is on the screen")
        check(f"the screen is {first.w} by {first.h}", (first.w, first.h) == (1024, 768))
        top, end = bar(first)
        check(f"one line of the list is highlighted ({top} to {end})", 14 <= end - top <= 40)
        vm.keys("down")
        wait(g, lambda: (b := bar(vm.picture())) and b[0] > end - 4, "a key moves it down", 60)

        mouse = Rfb(types.SimpleNamespace(dir=d), [Rfb.RAW])

        def click(x, y):
            for buttons in (0, 0, 1, 0):
                mouse.pointer(buttons, x, y)
                time.sleep(0.3)
        y = top - 3 * (end - top)
        click(300, y)
        now = wait(g, lambda: (b := bar(vm.picture())) and b[0] <= y <= b[1] and vm.picture(),
                   "a click highlights another line", 60)
        check("the pointer is where it was sent", now.at(301, y + 5) == (0, 0, 0))
        title = now.part(0, 78, 700, 110)
        click(982, 742)
        after = wait(g, lambda: (p := vm.picture()).part(0, 78, 700, 110) != title and bar(p) and p,
                     "a click on the button leads to the next question", 120)
        check("it has a list, too", bar(after))


TESTS = {"text": text, "gtk": gtk}

if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[2] not in TESTS:
        print(__doc__)
        sys.exit(2)
    main(lambda: TESTS[sys.argv[2]](os.path.abspath(sys.argv[1]), *sys.argv[3:]))
