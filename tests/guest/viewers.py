#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
VNC viewers that people use, on a desktop made for the purpose (Xvfb, openbox): each connects, shows the
guest's picture pixel by pixel, and what is typed and clicked in its window reaches the guest. The guest is
screen.bin (see screen.asm): it shows the codes of keyboard and mouse.

  viewers.py BOTHY tigervnc|gvncviewer|novnc KERNEL
"""
import contextlib
import functools
import http.server
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import screen
import window
from guest import check, main, skip

NOVNC = "/usr/share/novnc"


def free_port():
    """One that "display number" means as well."""
    for port in range(5900 + os.getpid() % 80, 6900):
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(("127.0.0.1", port))
            return port
    return None


def need(tool, package):
    if not shutil.which(tool):
        skip(f"no {tool}: install {package} (tools/bootstrap check-long)")
    return tool


def tigervnc(port, directory):
    # Without lossy encodings, so that pictures can be compared.
    return [need("xtigervncviewer", "tigervnc-viewer"), "-AutoSelect=0", "-PreferredEncoding=ZRLE",
            "-NoJPEG=1", f"127.0.0.1::{port}"]


def gvncviewer(port, directory):
    return [need("gvncviewer", "gvncviewer"), f"127.0.0.1:{port - 5900}"]


def novnc(port, directory):
    need("chromium", "chromium")
    if not os.path.exists(f"{NOVNC}/vnc_lite.html"):
        skip("no noVNC: install novnc (tools/bootstrap check-long)")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=NOVNC))
    threading.Thread(target=web.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{web.server_port}/vnc_lite.html?host=127.0.0.1&port={port}&path="
    return ["chromium", "--no-sandbox", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage",
            "--force-device-scale-factor=1", "--hide-scrollbars", "--window-size=1000,740", "--window-position=0,0",
            f"--user-data-dir={directory}/profile", f"--app={url}"]


def shot(desk):
    """The desktop: (bytes a line, pixels: blue, green, red, perhaps one more)."""
    for _ in range(20): # it fails when a window goes while it looks
        done = subprocess.run(["xwd", "-silent", "-root"], env=desk.env, check=False,
                              stdout=subprocess.PIPE)
        if done.returncode == 0:
            break
        time.sleep(0.3)
    data = done.stdout
    word = lambda n: int.from_bytes(data[4 * n:4 * n + 4], "big")
    return word(12), bytearray(data[word(0) + 12 * word(19):])


def find(desk, picture):
    """Where the guest's @picture is on the desktop: (x, y) or None."""
    stride, data = shot(desk)
    # Where a window has another visual than the root, xwd may pack pixels and say otherwise.
    place = place_of(picture, 3, stride, data)
    data[3::4] = bytes(len(data) // 4) # of no meaning, or opacity
    return place or place_of(picture, 4, stride, data)


def place_of(picture, step, stride, data):
    """Likewise, with @step bytes a pixel."""
    w, h, rgb = picture
    want = bytearray(w * h * step)
    want[0::step], want[1::step], want[2::step] = rgb[2::3], rgb[1::3], rgb[0::3]
    lines = [bytes(want[i:i + w * step]) for i in range(0, len(want), w * step)]
    at = data.find(lines[0])
    while at >= 0:
        y, x = divmod(at, stride)
        if x % step == 0 and all(data.startswith(line, at + i * stride) for i, line in enumerate(lines)):
            return x // step, y
        at = data.find(lines[0], at + 1)
    return None


def typed(vm):
    """All that the guest has from keyboard and mouse, as far as its screen holds it."""
    return " ".join(screen.command(vm, "screen", "t")[1].split("\n")[1:]).split()


def run(bothy, which, kernel):
    with tempfile.TemporaryDirectory(prefix="bothy-test.") as d:
        port = free_port()
        words = {"tigervnc": tigervnc, "gvncviewer": gvncviewer, "novnc": novnc}[which](port, d)
        with screen.guest(bothy, kernel, "--display", f"vnc:127.0.0.1:{port}") as vm, window.Desktop() as desk:
            log = open(f"{d}/log", "w+", encoding="utf-8", errors="replace")
            viewer = subprocess.Popen(words, env=dict(desk.env, HOME=d, XDG_RUNTIME_DIR=d), stdin=subprocess.DEVNULL,
                                      stdout=log, stderr=log, start_new_session=True)
            try:
                place = None
                end = time.monotonic() + 90
                while place is None and time.monotonic() < end and viewer.poll() is None:
                    time.sleep(0.3)
                    place = find(desk, screen.picture(vm))
                if place is None:
                    log.seek(0)
                    print(log.read()[-2000:])
                check(f"{which} shows the guest's picture", place is not None)
                x, y = place
                desk.do("mousemove", str(x + 300), str(y + 200))
                time.sleep(1)
                desk.do("click", "1")
                # packets of a PS/2 mouse: button down, perhaps moved as well; button up
                screen.wait(lambda: re.search("[0-3]9 .. .. 08 00 00", " ".join(typed(vm))), "a click")
                desk.do("type", "--delay", "60", "aB")
                # viewers let go of Shift before or after the letter
                keys = "1e 9e 2a 30 b0 aa".split(), "1e 9e 2a 30 aa b0".split()

                def arrived():
                    return typed(vm)[-6:] in keys
                screen.wait(arrived, "what is typed")
                screen.wait(lambda: find(desk, screen.picture(vm)), f"{which} shows what comes of it")
                check(f"{which} types, clicks and shows", True)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(viewer.pid, 9)
                viewer.wait()
                log.close()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        print(__doc__)
        sys.exit(2)
    main(lambda: run(os.path.abspath(sys.argv[1]), *sys.argv[2:]))
