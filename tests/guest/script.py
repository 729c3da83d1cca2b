# SPDX-License-Identifier: Apache-2.0
"""
Steps for script.asm, and a VM that carries them out: for tests that are the CPU of a DOS program and are
written in Python. What a step makes the guest send is counted here and read at the next sync().
"""
import contextlib
import json
import os
import socket
import struct
import subprocess
import tempfile

from guest import check

CODE_BYTES, SECTORS_AT, LOAD_MAX = 8 * 512, 506, 0x80000
(QUIT, OUTB, OUTW, OUTS, INB, FILL, BYTES, READ, RMW, COPY, LOGIC, DUMP, INT, SYNC, FLAT, SET,
 WAITB) = range(17)


def random_bytes(seed, n):
    """The generator of script.asm."""
    for _ in range(n):
        seed = (seed * 1664525 + 1013904223) & 0xffffffff
        yield seed >> 24


class Script:
    def __init__(self):
        self.code = bytearray()

    def step(self, number, form="", *operands):
        self.code += struct.pack("<B" + form, number, *operands)

    def image(self, program):
        with open(program, "rb") as f:
            code = bytearray(f.read())
        assert len(code) == CODE_BYTES and len(self.code) < LOAD_MAX, len(self.code)
        data = bytes(self.code) + bytes(-len(self.code) % 512)
        struct.pack_into("<H", code, SECTORS_AT, len(data) // 512)
        return (bytes(code) + data).ljust(1 << 20, b"\0") # less than a cylinder does not start


class Vm:
    """The script's VM: sync() waits until it has come to its next SYNC step, go_on() lets it pass."""

    def __init__(self, bothy, directory, script, program, options):
        image = f"{directory}/script.img"
        with open(image, "wb") as f:
            f.write(script.image(program))
        self.dir = directory
        self.log = open(f"{directory}/log", "w+", encoding="utf-8", errors="replace")
        env = dict(os.environ, XDG_RUNTIME_DIR=directory)
        self.process = subprocess.Popen(
            [bothy, "run", "--disk", f"{image},ro", "--machine", "pc", "--net", "none", "-m", "32M",
             "--name", "t", "--debug-exit", "--serial", "null", "--serial",
             f"unix:{directory}/serial", *options],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=env)
        self.serial = self._connect(f"{directory}/serial")
        self.qmp = self._connect(f"{directory}/bothy/t.sock")
        self.qmp_lines = self.qmp.makefile("rb")
        self.qmp_lines.readline()
        self.ask("qmp_capabilities")

    def _connect(self, path):
        for _ in range(600):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(120)
            try:
                s.connect(path)
                return s
            except OSError:
                s.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)
                break
        self.log.seek(0)
        check(f"bothy starts: {self.log.read()}", False)
        return None

    def ask(self, name, **args):
        self.qmp.sendall(json.dumps({"execute": name, "arguments": args, "id": 7}).encode())
        while (msg := json.loads(self.qmp_lines.readline())).get("id") != 7:
            pass
        return msg

    def receive(self, n):
        got = b""
        while len(got) < n:
            part = self.serial.recv(n - len(got))
            check("the guest goes on", part) if not part else None
            got += part
        return got

    def receive_runs(self, n):
        """What a DUMP of @n bytes sends."""
        got = bytearray()
        while len(got) < n:
            length, byte = self.receive(2)
            got += bytes([byte]) * length
        return bytes(got)

    def sync(self):
        got = self.receive(1)
        check(f"the guest has carried out its steps ({got})", got == b"S") if got != b"S" else None

    def go_on(self):
        self.serial.sendall(b"g")

    def picture(self):
        path = f"{self.dir}/shot.ppm"
        got = self.ask("screendump", filename=path)
        check(f"screenshot: {got}", "return" in got) if "return" not in got else None
        with open(path, "rb") as f:
            f.readline()
            w, h = map(int, f.readline().split())
            f.readline()
            return w, h, f.read()


@contextlib.contextmanager
def vm(bothy, script, program, *options):
    with tempfile.TemporaryDirectory(prefix="bothy-test.") as d:
        v = Vm(bothy, d, script, program, options)
        try:
            yield v
        finally:
            v.process.kill()
            v.process.wait()
            v.log.close()
