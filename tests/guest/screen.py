#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The screen of a VM from outside: control socket, screenshots, typed keys, and an RFB client of our
own for every encoding, also through WebSocket frames. The guest is screen.bin (see screen.asm).

  screen.py BOTHY control KERNEL    bothy screen, screenshot, sendkey, type; a hostile QMP client
  screen.py BOTHY vnc KERNEL        encodings, keys, pointer, resize, WebSocket, a helper that dies
  screen.py BOTHY password KERNEL   VNC authentication
  screen.py BOTHY crowd KERNEL      slow, half-open and babbling clients
  screen.py BOTHY pace BUSY [SECONDS]   what 1,000 clients of the bad kinds cost a busy guest (busy.asm)
  screen.py BOTHY replay KERNEL     keys in a recorded run
"""
import atexit
import base64
import contextlib
import hashlib
import io
import json
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib

from guest import check, skip

TITLE = "bothy screen test"


@contextlib.contextmanager
def guest(bothy, kernel, *options):
    with tempfile.TemporaryDirectory() as d:
        env = dict(os.environ, XDG_RUNTIME_DIR=d)
        log = open(f"{d}/log", "w+")
        vm = subprocess.Popen([bothy, "run", "--kernel", kernel, "--machine", "pc", "--net", "none",
                               "-m", "32M", "--name", "t", "--serial", f"file:{d}/serial", *options],
                              stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        try:
            wait(lambda: os.path.exists(f"{d}/serial") and "waiting" in open(f"{d}/serial").read(),
                 "the guest to start")
            vm.dir, vm.env, vm.bothy = d, env, bothy
            yield vm
        finally:
            vm.kill()
            vm.wait()
            log.seek(0)
            sys.stdout.write(log.read())
            log.close()


def wait(what, name, seconds=120):
    end = time.monotonic() + seconds
    while not (got := what()):
        if time.monotonic() > end:
            check(f"{name} within {seconds} s", False)
        time.sleep(0.05)
    return got


def command(vm, *words):
    done = subprocess.run([vm.bothy, *words], env=vm.env, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=300, check=False)
    return done.returncode, done.stdout


def typed(vm):
    """The hex digits on the second line of the guest's screen."""
    return "".join(command(vm, "screen", "t")[1].split("\n")[1:4]).split()


# ---------------------------------------------------------------- control socket

class Qmp:
    def __init__(self, vm):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(120)
        self.s.connect(f"{vm.dir}/bothy/t.sock")
        self.f = self.s.makefile("rb")
        self.greeting = json.loads(self.f.readline())

    def ask(self, name, **args):
        self.s.sendall(json.dumps({"execute": name, "arguments": args, "id": 7}).encode())
        while (msg := json.loads(self.f.readline())).get("id") != 7:
            pass
        return msg


def png_size(path):
    with open(path, "rb") as f:
        head = f.read(24)
    return struct.unpack(">II", head[16:24]) if head[:8] == b"\x89PNG\r\n\x1a\n" else None


def control(bothy, kernel):
    with guest(bothy, kernel) as vm:
        sock = f"{vm.dir}/bothy/t.sock"
        check("socket has mode 0600", os.stat(sock).st_mode & 0o777 == 0o600)
        status, text = command(vm, "screen", "t", "--text")
        check("screen text", status == 0 and text.startswith(TITLE + "\n") and text.count("\n") == 25)
        check("screenshot", command(vm, "screenshot", "t", f"{vm.dir}/a.png")[0] == 0 and
              png_size(f"{vm.dir}/a.png") == (720, 400))
        status, text = command(vm, "run", "--kernel", kernel, "--name", "t", "-m", "32M", "--net", "none")
        check("a second VM of that name is refused", status == 1 and "running already" in text)
        command(vm, "sendkey", "t", "ctrl-alt-delete")
        wait(lambda: typed(vm)[1:] == "1d 38 e0 53 e0 d3 b8 9d".split(), "ctrl-alt-delete")
        command(vm, "type", "t", "aB\n")
        wait(lambda: typed(vm)[9:] == "1e 9e 2a 30 b0 aa 1c 9c".split(), "typed text")
        check("no such key", command(vm, "sendkey", "t", "ctrl-nothing")[0] == 1)
        check("no such VM", command(vm, "screen", "nobody")[0] == 1)
        qmp = Qmp(vm)
        check("greeting", "QMP" in qmp.greeting)
        check("capabilities first", qmp.ask("query-status")["error"]["class"] == "CommandNotFound")
        qmp.ask("qmp_capabilities")
        check("running", qmp.ask("query-status")["return"]["status"] == "running")
        qmp.ask("stop")
        check("paused", qmp.ask("query-status")["return"]["status"] == "paused")
        qmp.ask("cont")
        # garbage, depth, length; each is answered or ends the connection, and the VM goes on
        for what in (b"nonsense", b"{" * 5000, b'{"a":' * 3000 + b"1" + b"}" * 3000, b"[1]",
                     b'{"execute": 5}', b'{"execute":"send-key","arguments":{"keys":[{}]}}',
                     b'{"x":"' + b"y" * 200000, b"\xff\xfe{}", b'{"execute":"x-type"}{}{}{}'):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(5)
            s.connect(sock)
            with contextlib.suppress(OSError):
                s.sendall(b'{"execute":"qmp_capabilities"}' + what)
                s.recv(100)
            s.close()
        check("alive", Qmp(vm).ask("qmp_capabilities")["return"] == {})
        qmp.ask("quit")
        check("quit", vm.wait(120) == 0)
        check("socket removed", not os.path.exists(sock))


def replay(bothy, kernel):
    inputs = f"{_dir}/inputs"
    exact = ["--deterministic", "--engine", "interp"]
    with guest(bothy, kernel, *exact, "--record", inputs) as vm:
        command(vm, "type", "t", "aB")
        want = wait(lambda: typed(vm)[1:] == "1e 9e 2a 30 b0 aa".split() and command(vm, "screen", "t"),
                    "typed text")
    with open(inputs) as f:
        check("keys are recorded", sum(" screen 4b" in line for line in f) == 6)
    with guest(bothy, kernel, *exact, "--replay", inputs) as vm:
        command(vm, "type", "t", "zzz") # ignored
        wait(lambda: command(vm, "screen", "t") == want, "the same screen from the record")


# ---------------------------------------------------------------- an RFB client

class Websocket:
    """Looks like a socket; sends and receives frames."""

    def __init__(self, s, origin=None):
        key = base64.b64encode(os.urandom(16)).decode()
        s.sendall((f"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                   f"Sec-WebSocket-Protocol: binary\r\n" +
                   (f"Origin: {origin}\r\n" if origin else "") + "\r\n").encode())
        self.s, self.f, self.have = s, s.makefile("rb"), b""
        self.status = self.f.readline().decode().split()[1]
        headers = {}
        while line := self.f.readline().strip().decode():
            name, value = line.split(": ", 1)
            headers[name.lower()] = value
        if self.status == "101":
            want = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
            check("WebSocket accept", headers["sec-websocket-accept"] == base64.b64encode(want).decode())

    def sendall(self, data):
        mask = os.urandom(4)
        n = len(data)
        head = bytes([0x82, 0x80 | n]) if n < 126 else struct.pack(">BBH", 0x82, 0xfe, n)
        self.s.sendall(head + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(data)))

    def read(self, n):
        while len(self.have) < n:
            op, length = self.f.read(2)
            check("binary frame", op == 0x82) if op != 0x82 else None
            if length == 126:
                length, = struct.unpack(">H", self.f.read(2))
            self.have += self.f.read(length)
        out, self.have = self.have[:n], self.have[n:]
        return out


def connect(path):
    """Also while the backlog is full."""
    while True:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(120)
        try:
            s.connect(path)
            return s
        except BlockingIOError:
            s.close()
            time.sleep(0.01)


class Rfb:
    RAW, TIGHT, ZRLE, CURSOR, SIZE, EXT_SIZE, EXT_KEY = 0, 7, 16, -239, -223, -308, -258

    def __init__(self, vm, encodings, password=None, ws=False, version=b"RFB 003.008\n"):
        self.s = connect(f"{vm.dir}/vnc")
        if ws:
            self.w = Websocket(self.s, "http://localhost:6080")
            self.read, self.send = self.w.read, self.w.sendall
        else:
            self.f = self.s.makefile("rb")
            self.read, self.send = self.f.read, self.s.sendall
        check("version", self.read(12) == b"RFB 003.008\n")
        self.send(version)
        minor = int(version[8:11])
        if minor >= 7:
            types = self.read(self.read(1)[0])
            self.send(types[:1])
            kind = types[0]
        else:
            kind, = struct.unpack(">I", self.read(4))
        if kind == 2:
            self.send(password(self.read(16)))
        if kind == 2 or minor >= 8:
            self.result, = struct.unpack(">I", self.read(4))
            if self.result:
                return
        self.send(b"\x01")
        self.w, self.h = struct.unpack(">HH", self.read(4))
        self.read(16)
        self.name = self.read(struct.unpack(">I", self.read(4))[0]).decode()
        self.px = bytearray(self.w * self.h * 3)
        self.send(struct.pack(">BxH", 2, len(encodings)) + struct.pack(f">{len(encodings)}i", *encodings))
        self.zrle, self.tight = zlib.decompressobj(), [zlib.decompressobj() for _ in range(4)]
        self.seen, self.jpegs = set(), 0
        self.request(False)

    def request(self, incremental=True):
        self.send(struct.pack(">BBHHHH", 3, incremental, 0, 0, self.w, self.h))

    def put(self, x, y, w, h, rgb):
        """@rgb: w * h * 3 bytes."""
        for i in range(h):
            at = ((y + i) * self.w + x) * 3
            self.px[at:at + w * 3] = rgb[i * w * 3:(i + 1) * w * 3]

    def update(self):
        """One FramebufferUpdate."""
        while (kind := self.read(1)[0]) != 0:
            check(f"message {kind}", kind == 2) # bell
        n, = struct.unpack(">xH", self.read(3))
        for _ in range(n):
            x, y, w, h, enc = struct.unpack(">HHHHi", self.read(12))
            self.seen.add(enc)
            if enc == self.RAW:
                self.put(x, y, w, h, bgrx(self.read(w * h * 4)))
            elif enc == self.ZRLE:
                data = self.zrle.decompress(self.read(struct.unpack(">I", self.read(4))[0]))
                self.put_zrle(io.BytesIO(data), x, y, w, h)
            elif enc == self.TIGHT:
                self.put_tight(x, y, w, h)
            elif enc in (self.SIZE, self.EXT_SIZE):
                self.w, self.h = w, h
                self.px = bytearray(w * h * 3)
                self.reason = (x, y)
                if enc == self.EXT_SIZE:
                    self.read(self.read(4)[0] * 16)
            elif enc != self.EXT_KEY:
                check(f"encoding {enc} was asked for", False)

    def put_zrle(self, f, x0, y0, w0, h0):
        for y in range(y0, y0 + h0, 64):
            for x in range(x0, x0 + w0, 64):
                w, h = min(64, x0 + w0 - x), min(64, y0 + h0 - y)
                sub = f.read(1)[0]
                if sub == 0:
                    rgb = bgr(f.read(w * h * 3))
                elif sub == 1:
                    rgb = bgr(f.read(3)) * (w * h)
                else:
                    check(f"ZRLE subencoding {sub}", 2 <= sub <= 16) if not 2 <= sub <= 16 else None
                    pal = [bgr(f.read(3)) for _ in range(sub)]
                    bits = 1 if sub == 2 else 2 if sub <= 4 else 4
                    rgb = bytearray()
                    for _ in range(h):
                        line = f.read((w * bits + 7) // 8)
                        for i in range(w):
                            shift = 8 - bits - i * bits % 8
                            rgb += pal[line[i * bits // 8] >> shift & (1 << bits) - 1]
                self.put(x, y, w, h, rgb)
        check("ZRLE data used up", not f.read(1)) if f.read(1) else None

    def compact(self):
        b = self.read(1)[0]
        n = b & 0x7f
        if b & 0x80:
            b = self.read(1)[0]
            n |= (b & 0x7f) << 7
            if b & 0x80:
                n |= self.read(1)[0] << 14
        return n

    def put_tight(self, x, y, w, h):
        control = self.read(1)[0]
        if control >> 4 == 8:
            return self.put(x, y, w, h, self.read(3) * (w * h))
        if control >> 4 == 9:
            jpeg = self.read(self.compact())
            check("JPEG", jpeg[:2] == b"\xff\xd8") if jpeg[:2] != b"\xff\xd8" else None
            self.jpegs += 1
            return None
        pal = None
        if control & 0x40 and self.read(1)[0] == 1:
            n = self.read(1)[0] + 1
            pal = [self.read(3) for _ in range(n)]
        length = w * h * 3 if not pal else (w + 7) // 8 * h if len(pal) == 2 else w * h
        if length < 12:
            data = self.read(length)
        else:
            data = self.tight[control >> 4 & 3].decompress(self.read(self.compact()))
        if pal and len(pal) == 2:
            step = (w + 7) // 8
            data = b"".join(pal[data[j * step + i // 8] >> (7 - i % 8) & 1] for j in range(h) for i in range(w))
        elif pal:
            data = b"".join(pal[i] for i in data)
        return self.put(x, y, w, h, data)

    def key(self, sym, down):
        self.send(struct.pack(">BBxxI", 4, down, sym))

    def ext_key(self, sym, code, down):
        self.send(struct.pack(">BBHII", 255, 0, down, sym, code))

    def pointer(self, buttons, x, y):
        self.send(struct.pack(">BBHH", 5, buttons, x, y))


def bgrx(data):
    out = bytearray(len(data) // 4 * 3)
    out[0::3], out[1::3], out[2::3] = data[2::4], data[1::4], data[0::4]
    return out


def bgr(data):
    out = bytearray(len(data))
    out[0::3], out[1::3], out[2::3] = data[2::3], data[1::3], data[0::3]
    return bytes(out)


def picture(vm):
    """What the VM itself says the screen shows."""
    path = f"{vm.dir}/shot.ppm"
    status, text = command(vm, "screenshot", "t", path)
    check(f"screenshot: {text}", status == 0)
    with open(path, "rb") as f:
        f.readline()
        w, h = map(int, f.readline().split())
        f.readline()
        return w, h, f.read()


def same(vm, c, what):
    """The client's picture becomes the VM's within a few updates (the cursor blinks)."""
    for _ in range(20):
        if (c.w, c.h, bytes(c.px)) == picture(vm):
            return check(what, True)
        c.request()
        c.update()
    return check(what, False)


def vnc(bothy, kernel):
    with guest(bothy, kernel, "--display", "vnc:unix:" + socket_path()) as vm:
        os.symlink(socket_path(), f"{vm.dir}/vnc")
        check("socket has mode 0600", os.stat(socket_path()).st_mode & 0o777 == 0o600)
        for name, encs in (("raw", [0]), ("ZRLE", [16]), ("Tight", [7]), ("first named wins", [16, 7])):
            c = Rfb(vm, encs)
            check(f"{name}: size and name", (c.w, c.h, c.name) == (720, 400, "t"))
            c.update()
            same(vm, c, f"{name}: the same picture")
            check(f"{name}: {c.seen}", c.seen <= {encs[0], 0})
        c = Rfb(vm, [7, Rfb.EXT_SIZE, Rfb.EXT_KEY], ws=True)
        c.update()
        same(vm, c, "WebSocket: the same picture")
        check("extensions are announced", {Rfb.EXT_SIZE, Rfb.EXT_KEY} <= c.seen)
        for version in (b"RFB 003.003\n", b"RFB 003.007\n"):
            old = Rfb(vm, [0], version=version)
            old.update()
            check(f"{version[:11].decode()}", len(old.px) > 0)
        # keys: keysyms with and without the client's own Shift, XT codes
        before = len(typed(vm))
        for sym, down in ((0x61, 1), (0x61, 0), (0xffe1, 1), (0x41, 1), (0x41, 0), (0xffe1, 0),
                          (0x21, 1), (0x21, 0), (0xff53, 1), (0xff53, 0)):
            c.key(sym, down)
        c.ext_key(0x71, 0x9d, 1)
        c.ext_key(0x71, 0x9d, 0)
        keys = "1e 9e 2a 1e 9e aa 2a 02 aa 82 e0 4d e0 cd e0 1d e0 9d".split()
        wait(lambda: typed(vm)[before:] == keys, "keys")
        # pointer: the second position is a movement, up is positive on the wire
        c.pointer(0, 100, 100)
        before = wait(lambda: typed(vm), "screen") and len(typed(vm))
        c.pointer(1, 110, 95)
        wait(lambda: typed(vm)[before:] == "09 0a 05".split(), "pointer")
        c.pointer(0, 110, 95)
        wait(lambda: typed(vm)[before:] == "09 0a 05 08 00 00".split(), "button")
        # damage alone: one changed character is little
        c.request()
        c.update()
        # a size that the guest sets
        old = Rfb(vm, [0]) # can't follow
        old.update()
        c.ext_key(0, 0x44, 1)
        c.ext_key(0, 0xc4, 1)
        for _ in range(30):
            if (c.w, c.h) == (640, 480):
                break
            c.request()
            c.update()
        check("new size", (c.w, c.h) == (640, 480))
        c.request()
        c.update()
        same(vm, c, "the same picture after a new size")
        old.request(False)
        old.update()
        check("an old client goes on with its size", (old.w, old.h) == (720, 400))
        for name, encs in (("raw", [0]), ("ZRLE", [16]), ("Tight", [7])):
            g = Rfb(vm, encs)
            g.update()
            same(vm, g, f"{name}: the same picture in 32 bits")
        j = Rfb(vm, [7, -26])
        j.update()
        check(f"JPEG where the client takes it: {j.jpegs}", j.jpegs > 0)
        # a size that the client asks for, and that a VGA can't give
        c.send(struct.pack(">BxHHBxIHHHHI", 251, 800, 600, 1, 0, 0, 0, 800, 600, 0))
        for _ in range(10):
            if c.reason == (1, 1):
                break
            c.request()
            c.update()
        check("resize is refused", c.reason == (1, 1) and (c.w, c.h) == (640, 480))
        # other pixel formats
        for bpp, depth, maxes, shifts in ((16, 16, (31, 63, 31), (11, 5, 0)), (8, 8, (7, 7, 3), (0, 3, 6))):
            f = Rfb(vm, [0])
            f.update()
            f.send(struct.pack(">BxxxBBBBHHHBBBxxx", 0, bpp, depth, 0, 1, *maxes, *shifts))
            f.request(False)
            check("update", f.read(4)[0] == 0)
            x, y, w, h, enc = struct.unpack(">HHHHi", f.read(12))
            raw = f.read(w * h * bpp // 8)
            px = int.from_bytes(raw[-(bpp // 8):], "little")
            r, g_, b = (g.px[((y + h - 1) * 640 + x + w - 1) * 3 + i] for i in range(3))
            want = sum((v * m + 127) // 255 << s for v, m, s in zip((r, g_, b), maxes, shifts))
            check(f"{bpp} bits a pixel", px == want)
        # whoever is killed is replaced, and the guest goes on
        helper = [p for p in os.listdir("/proc") if p.isdigit() and parent(p) == vm.pid]
        for p in helper:
            os.kill(int(p), signal.SIGKILL)
        check(f"helper processes: {len(helper)}", len(helper) == 1)
        def again():
            with contextlib.suppress(OSError, EOFError, IndexError):
                n = Rfb(vm, [0])
                n.update()
                return n
            return None
        n = wait(again, "a new helper")
        same(vm, n, "the same picture from a new helper")
        pid = [p for p in os.listdir("/proc") if p.isdigit() and parent(p) == vm.pid][0]
        status = open(f"/proc/{pid}/status").read()
        check("the helper is confined", "Seccomp:\t2" in status and "NoNewPrivs:\t1" in status)
        maps = [l for l in open(f"/proc/{pid}/maps") if "bothy-screen" in l]
        check("it maps the picture read-only", len(maps) == 1 and " r--s " in maps[0])


def parent(pid):
    with contextlib.suppress(OSError):
        return int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1])
    return None


_dir = tempfile.mkdtemp(prefix="bothy-screen-")
atexit.register(shutil.rmtree, _dir, ignore_errors=True)


def socket_path():
    return f"{_dir}/vnc"


def response(password, bothy):
    """VNC authentication needs DES, which Python has not: openssl does it, if it is there."""
    key = bytes(int(f"{b:08b}"[::-1], 2) for b in password.encode()[:8].ljust(8, b"\0"))

    def answer(challenge):
        done = subprocess.run(["openssl", "enc", "-des-ecb", "-nopad", "-K", key.hex(), "-provider",
                               "legacy", "-provider", "default"], input=challenge,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if len(done.stdout) != 16:
            skip("no DES in openssl here")
        return done.stdout
    return answer


def password(bothy, kernel):
    with open(f"{_dir}/password", "w") as f:
        f.write("s3cret\nsecond line\n")
    with guest(bothy, kernel, "--display",
               f"vnc:unix:{socket_path()},password-file={_dir}/password") as vm:
        os.symlink(socket_path(), f"{vm.dir}/vnc")
        began = time.monotonic()
        c = Rfb(vm, [0], password=lambda challenge: challenge)
        check("a wrong answer is refused, slowly", c.result == 1 and time.monotonic() - began > 0.9)
        check("with a reason", c.read(struct.unpack(">I", c.read(4))[0]) == b"wrong password")
        for good, word in ((False, "guess"), (True, "s3cret")):
            c = Rfb(vm, [0], password=response(word, bothy))
            check(f"'{word}'", (c.result == 0) == good)
        c.update()
        same(vm, c, "the same picture")
        # a page from elsewhere may not come in, one of this machine may
        for origin, status in (("http://evil.example", "403"), ("http://localhost:6080", "101"), (None, "101")):
            s = connect(socket_path())
            check(f"origin {origin}", Websocket(s, origin).status == status)
    for where, text in (("vnc:0.0.0.0:5999", "password-file"), ("vnc:127.0.0.1:0", "not a port"),
                        ("vnc:nonsense", "write vnc:"), ("gtk", "unknown place")):
        done = subprocess.run([bothy, "run", "--kernel", kernel, "--net", "none", "-m", "32M",
                               "--display", where], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=300)
        check(f"{where}: {done.stdout.strip()}", done.returncode in (1, 2) and text in done.stdout)


def crowd(bothy, kernel):
    with guest(bothy, kernel, "--display", "vnc:unix:" + socket_path()) as vm:
        os.symlink(socket_path(), f"{vm.dir}/vnc")
        good = Rfb(vm, [7, Rfb.EXT_SIZE])
        good.update()
        began = time.monotonic()
        command(vm, "screen", "t")
        alone = time.monotonic() - began
        # clients that ask for everything and read nothing
        lazy = []
        for _ in range(8):
            c = Rfb(vm, [0])
            for _ in range(200):
                c.request(False)
            lazy.append(c)
        # connections that say nothing, or half of something, many more than there is room for
        half = []
        for i in range(300):
            s = connect(socket_path())
            with contextlib.suppress(OSError):
                s.send((b"", b"RFB 003.0", b"GET / HTTP/1.1\r\n", os.urandom(100))[i % 4])
            half.append(s)
        # lists and clipboards without end
        c = Rfb(vm, [0])
        with contextlib.suppress(OSError):
            c.send(struct.pack(">BxH", 2, 65535) + os.urandom(65535 * 4))
            c.send(struct.pack(">BxxxI", 6, 0x7fffffff) + bytes(1 << 20))
        same(vm, good, "a well-behaved client still gets the picture")
        began = time.monotonic()
        check("the VM answers at once",
              command(vm, "screen", "t")[0] == 0 and time.monotonic() - began < 2 + 10 * alone)
        pid = [p for p in os.listdir("/proc") if p.isdigit() and parent(p) == vm.pid][0]
        rss = int([l for l in open(f"/proc/{pid}/status") if l.startswith("RssAnon")][0].split()[1])
        sanitized = "asan" in open(f"/proc/{pid}/maps").read()
        check(f"helper's memory: {rss} KiB", rss < 64 * 1024 or sanitized)
        fds = len(os.listdir(f"/proc/{pid}/fd"))
        check(f"helper's descriptors: {fds}", fds <= 40)


class Mob:
    """1,000 connections at a time, by turns silent, half through the handshake, and greedy but reading one byte
    a second; who is thrown out comes again."""
    SIZE = 1000

    def __init__(self):
        self.stop, self.here, self.came, self.bytes = False, [], 0, 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def come(self, i):
        s = socket.socket(socket.AF_UNIX)
        s.setblocking(False)
        try:
            s.connect(socket_path())
        except OSError: # the backlog is full
            s.close()
            return None
        with contextlib.suppress(OSError):
            s.send((b"", b"RFB 003.008\n\x01", b"RFB 003.008\n\x01\x01" +
                    struct.pack(">BBHHHH", 3, 0, 0, 0, 720, 400) * 5)[i % 3])
        self.came += 1
        return s

    def run(self):
        while not self.stop:
            began = time.monotonic()
            gone = []
            for s in self.here:
                try:
                    if not s.recv(1): # one byte a second each
                        gone.append(s)
                    else:
                        self.bytes += 1
                except BlockingIOError:
                    pass
                except OSError:
                    gone.append(s)
            for s in gone:
                s.close()
            self.here = [s for s in self.here if s.fileno() >= 0]
            for i in range(self.SIZE - len(self.here)):
                if s := self.come(self.came):
                    self.here.append(s)
                elif self.stop or time.monotonic() - began > 1:
                    break
                else:
                    time.sleep(0.002)
            time.sleep(max(0, began + 1 - time.monotonic()))

    def end(self):
        self.stop = True
        self.thread.join()
        for s in self.here:
            s.close()


def cpu_of(pid):
    """Seconds of CPU time: the busiest thread (the guest's), and all others with the helper's."""
    tick = os.sysconf("SC_CLK_TCK")
    used = []
    for p in [pid] + [int(p) for p in os.listdir("/proc") if p.isdigit() and parent(p) == pid]:
        for t in os.listdir(f"/proc/{p}/task"):
            with contextlib.suppress(OSError):
                f = open(f"/proc/{p}/task/{t}/stat").read().rsplit(")", 1)[1].split()
                used.append((int(f[11]) + int(f[12])) / tick)
    return max(used), sum(used) - max(used)


def pace(bothy, kernel, seconds="4"):
    """Slices with and without the mob by turns; the guest's rounds for each second of its processor's time, and
    the time that the rest of bothy takes: what a loaded host can't blur."""
    with guest(bothy, kernel, "--display", "vnc:unix:" + socket_path()) as vm:
        rounds = lambda: os.path.getsize(f"{vm.dir}/serial")
        sums = {False: [0, 0, 0, 0], True: [0, 0, 0, 0]}
        came = mob_bytes = most = 0
        for turn in range(8):
            mob = Mob() if turn & 1 else None
            if mob:
                time.sleep(5) # they come in
            else:
                time.sleep(1)
            before = (rounds(), time.monotonic()) + cpu_of(vm.pid)
            time.sleep(float(seconds))
            after = (rounds(), time.monotonic()) + cpu_of(vm.pid)
            sums[bool(mob)] = [s + b - a for s, a, b in zip(sums[bool(mob)], before, after)]
            if mob:
                most = max(most, len(mob.here))
                mob.end()
                came, mob_bytes = came + mob.came, mob_bytes + mob.bytes
        (r0, t0, g0, o0), (r1, t1, g1, o1) = sums[False], sums[True]
        print(f"{most} clients at once, {came} came, {mob_bytes} bytes read")
        print(f"rounds a second: {r0 / t0:.1f} without, {r1 / t1:.1f} with: {r1 / t1 / (r0 / t0):.3f}")
        kept = r1 / g1 / (r0 / g0)
        print(f"rounds a second of its processor: {r0 / g0:.1f} without, {r1 / g1:.1f} with: {kept:.3f}")
        print(f"the rest of bothy: {o0 / t0 * 100:.1f} % of a core without, {o1 / t1 * 100:.1f} % with")
        check("a guest keeps 95 % of its pace", kept >= 0.95)
        check("1,000 clients cost 5 % of a core at most", o1 / t1 - o0 / t0 <= 0.05)
        pid = [p for p in os.listdir("/proc") if p.isdigit() and parent(p) == vm.pid][0]
        rss = int([l for l in open(f"/proc/{pid}/status") if l.startswith("RssAnon")][0].split()[1])
        check(f"helper's memory: {rss} KiB", rss < 64 * 1024)


if __name__ == "__main__":
    # as few descriptors as the test needs
    resource.setrlimit(resource.RLIMIT_NOFILE, (1200 if sys.argv[2] == "pace" else 1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    {"control": control, "vnc": vnc, "password": password, "crowd": crowd,
     "pace": pace, "replay": replay}[sys.argv[2]](sys.argv[1], *sys.argv[3:])
