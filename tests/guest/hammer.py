#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A guest that hammers on ports and registers by chance (hammer.asm) can't stop the control side: all the
time the socket answers, screenshots are taken, the VM is paused and goes on, memory stays bounded, and at
the end `quit` ends it. A guest that turned itself off is started again.

  hammer.py BOTHY KERNEL SECONDS [OPTION ...]
"""
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

from guest import check, children, main

SLOW = 1.0          # seconds: an answer within this is in time
MEMORY_MIB = 96     # beyond what it had after a second
DEVICES = ["--machine", "pc", "-m", "64M", "--net", "nat", "--usb", "xhci", "--sound", "hda", "--cdrom", "none",
           "--floppy", "none"]


class Vm:
    def __init__(self, bothy, kernel, directory, options):
        self.dir = directory
        with open(f"{directory}/disk", "wb") as f:
            f.truncate(16 << 20)
        self.log = open(f"{directory}/log", "a+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(
            [bothy, "run", "--kernel", kernel, "--name", "t", "--serial", "null", "--disk",
             f"{directory}/disk", "--display", f"vnc:unix:{directory}/vnc", *(options or DEVICES)],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env=dict(os.environ, XDG_RUNTIME_DIR=directory))
        self.waits = []
        end = time.monotonic() + 120
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(60)
            with contextlib.suppress(OSError):
                self.socket.connect(f"{directory}/bothy/t.sock")
                break
            self.socket.close()
            if self.process.poll() is not None or time.monotonic() > end:
                self.tell_log()
                check("bothy starts", False)
            time.sleep(0.05)
        self.lines = self.socket.makefile("rb")
        self.lines.readline()
        self.ask("qmp_capabilities")
        time.sleep(1)
        self.memory = self.anonymous()
        with open(f"/proc/{self.process.pid}/maps", encoding="utf-8") as f:
            self.sanitized = "asan" in f.read()

    def tell_log(self):
        self.log.seek(0)
        print(self.log.read()[-3000:])

    def ask(self, name, **args):
        """The answer, or None when the VM has ended."""
        began = time.monotonic()
        try:
            self.socket.sendall(json.dumps({"execute": name, "arguments": args, "id": 7}).encode())
            while True:
                line = self.lines.readline()
                if not line:
                    return None
                msg = json.loads(line)
                if msg.get("id") == 7:
                    break
        except TimeoutError:
            check(f"'{name}' is answered within 60 s", False)
        except OSError:
            return None
        self.waits.append((time.monotonic() - began, name))
        check(f"{name}: {msg}", "return" in msg) if "return" not in msg else None
        return msg["return"]

    def anonymous(self):
        """KiB of anonymous memory of the VM and its helpers."""
        total = 0
        for pid in [self.process.pid] + children(self.process.pid):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/status", encoding="ascii") as f:
                    total += sum(int(line.split()[1]) for line in f if line.startswith("RssAnon"))
        return total

    def round(self):
        """False: the VM has ended."""
        for name, args in (("query-status", {}), ("screendump", {"filename": f"{self.dir}/shot.ppm"}), ("stop", {}),
                           ("query-status", {}), ("cont", {}), ("query-status", {})):
            got = self.ask(name, **args)
            if got is None:
                return False
            if name == "query-status":
                self.status = got["status"]
        grown = (self.anonymous() - self.memory) >> 10
        if grown > MEMORY_MIB and not self.sanitized: # a sanitizer keeps what was freed
            check(f"memory has grown by {grown} MiB", False)
        return True


def run(bothy, kernel, seconds, *options):
    end = time.monotonic() + float(seconds)
    waits, rounds, starts, grown, load = [], 0, 0, 0, os.getloadavg()[0]
    while time.monotonic() < end:
        with tempfile.TemporaryDirectory(prefix="bothy-test.") as d:
            vm = Vm(bothy, kernel, d, options)
            starts += 1
            try:
                while time.monotonic() < end and vm.round():
                    rounds += 1
                    time.sleep(0.2)
                grown = max(grown, vm.anonymous() - vm.memory)
                if time.monotonic() >= end:
                    vm.ask("quit")
                try:
                    status = vm.process.wait(120)
                except subprocess.TimeoutExpired:
                    check("bothy ends within 120 s", False)
                vm.tell_log() if status else None
                check(f"it ends with status {status}", status == 0) if status else None
            finally:
                vm.process.kill()
                vm.process.wait()
                vm.log.close()
            waits += vm.waits
    waits.sort()
    late = sum(1 for w, _ in waits if w > SLOW)
    print(f"{rounds} rounds, {starts} starts, {len(waits)} answers: half within {waits[len(waits) // 2][0] * 1000:.1f} ms, "
          f"the slowest after {waits[-1][0] * 1000:.0f} ms ({waits[-1][1]}); memory grew by {grown} KiB")
    busy = max(load, os.getloadavg()[0]) > 2 * os.cpu_count() # others' work, not ours, made some late
    check(f"answers that took more than {SLOW} s: {late}" + (", on a busy host" if busy else ""),
          late <= len(waits) // (2 if busy else 100))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        print(__doc__)
        sys.exit(2)
    main(lambda: run(*sys.argv[1:]))
