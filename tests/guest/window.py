#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The guest's screen in a window of a desktop made for the purpose (Xvfb, openbox): what a person
types there reaches a Linux guest, its picture is on the desktop's screen, full screen fills that,
and closing the window powers off.

  window.py BOTHY      further words are options of `bothy run`
"""
import os
import shutil
import subprocess
import sys
import time

from guest import Guest, check, images, main, skip, work_dir

BOOT_SECONDS = 300
WIDTH, HEIGHT = 1024, 768
NAME = f"window-{os.getpid()}"


class Desktop:
    def __enter__(self):
        for tool in ("Xvfb", "openbox", "xdotool", "xwd"):
            if not shutil.which(tool):
                skip(f"no {tool}: run tools/bootstrap check-long")
        self.number = 90 + os.getpid() % 400
        self.env = dict(os.environ, DISPLAY=f":{self.number}")
        null = subprocess.DEVNULL
        self.running = [subprocess.Popen(["Xvfb", f":{self.number}", "-screen", "0",
                                          f"{WIDTH}x{HEIGHT}x24"], stdout=null, stderr=null)]
        for _ in range(100):
            if os.path.exists(f"/tmp/.X11-unix/X{self.number}"):
                break
            time.sleep(0.1)
        self.running.append(subprocess.Popen(["openbox"], env=self.env, stdout=null, stderr=null))
        # A window that comes while the window manager starts may wait for ever to be mapped.
        for _ in range(100):
            if self.do("get_num_desktops").isdigit():
                break
            time.sleep(0.1)
        return self

    def __exit__(self, kind, value, trace):
        for p in reversed(self.running):
            p.kill()
            p.wait()

    def do(self, *words):
        done = subprocess.run(["xdotool", *words], env=self.env, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return done.stdout.strip()

    def find(self, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.do("search", "--onlyvisible", "--name", NAME).split()
            if found:
                return found[-1]
            time.sleep(0.2)
        return None

    def size(self, window):
        got = self.do("getwindowgeometry", "--shell", window)
        return tuple(int(line.split("=")[1]) for line in got.splitlines()
                     if line.startswith(("WIDTH=", "HEIGHT=")))

    def bright(self, window):
        """Pixels of @window on the desktop's screen that are nearly white."""
        shot = subprocess.run(["xwd", "-silent", "-id", window], env=self.env, check=True,
                              stdout=subprocess.PIPE).stdout
        head, colors = int.from_bytes(shot[:4], "big"), int.from_bytes(shot[76:80], "big")
        data = shot[head + 12 * colors:]
        return sum(1 for i in range(0, len(data), 4) if min(data[i:i + 3]) > 150)


def screen(bothy):
    return subprocess.run([bothy, "screen", NAME, "--text"], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout


def wait_for(g, what, found, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found():
            break
        if g.process.poll() is not None:
            check(f"{what}: bothy goes on (it ended: {g.errors[-1:]})", False)
        time.sleep(0.5)
    check(what, found())


def run(bothy, *options):
    kernel, initrd = images("amd64")
    with work_dir() as d, Desktop() as desk:
        os.environ.update(DISPLAY=desk.env["DISPLAY"], XDG_RUNTIME_DIR=d)
        with Guest(bothy, "--kernel", kernel, "--initrd", initrd, "-m", "256M", "--net", "none",
                   "--append", "console=tty0 quiet", "--display", "sdl", "--name", NAME,
                   *options) as g:
            window = desk.find()
            if window is None and any("libSDL2" in line for line in g.errors):
                skip(g.errors[-1])
            check("there is a window", window is not None)
            wait_for(g, "the guest's shell is on the screen", lambda: "/ #" in screen(bothy),
                     BOOT_SECONDS)
            window = desk.find()
            check(f"the window has the text screen's size ({desk.size(window)})",
                  desk.size(window) == (720, 400))
            desk.do("windowfocus", "--sync", window)
            desk.do("type", "--delay", "40", "clear; echo it-is-$((6*7))")
            desk.do("key", "Return")
            wait_for(g, "what is typed there arrives", lambda: "it-is-42" in screen(bothy), 60)
            time.sleep(1)
            pixels = desk.bright(window)
            check(f"and its picture is there ({pixels} bright pixels)", 200 < pixels < 20000)
            desk.do("key", "ctrl+alt+f")
            wait_for(g, "Ctrl+Alt+F fills the screen", lambda: desk.size(window) == (WIDTH, HEIGHT), 20)
            desk.do("key", "ctrl+alt+f")
            wait_for(g, "and gives it back", lambda: desk.size(window) == (720, 400), 20)
            desk.do("key", "alt+F4")
            check("closing the window powers off", g.wait(60) == 0)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print(__doc__)
        sys.exit(2)
    main(lambda: run(os.path.abspath(sys.argv[1]), *sys.argv[2:]))
