#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A storm of control: a guest whose four processors watch each other closely (smp64.asm) is paused,
looked at and stepped by a debugger, reset, stopped and killed at random moments, and must not notice
what it is not meant to notice.

  storm_control.py BOTHY KERNEL CYCLES [SEED [ENGINE]]

Each cycle is one of: pause and go on (Ctrl-] p); gdb attaches, reads the registers of every
processor, steps one, lets all run, interrupts, detaches or just hangs up; reset (Ctrl-] r); SIGKILL;
SIGTERM twice; quit (Ctrl-] q). A VM that was killed leaves nothing behind. In the end a run that was
disturbed only by pauses and the debugger must say "all passed".
"""
import os
import random
import re
import socket
import sys
import time

from guest import Failed, Guest, check, children, main, work_dir

CPUS = 4
PASSED = 33        # status: the guest wrote 16 to the exit port
SECONDS = 300      # for anything that takes a moment on an idle host


class Gdb:
    """As much of gdb's remote protocol as a storm needs."""

    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(SECONDS)
        self.s.connect(path)
        self.data = b""

    def send(self, text):
        body = text.encode()
        self.s.sendall(b"$" + body + b"#%02x" % (sum(body) & 255))

    def reply(self):
        while True:
            m = re.match(rb"[^$]*\$([^#]*)#..", self.data, re.S)
            if m:
                self.data = self.data[m.end():]
                self.s.sendall(b"+")
                return m.group(1).decode("latin-1")
            more = self.s.recv(65536)
            if not more:
                raise Failed("the gdb stub hung up")
            self.data += more

    def ask(self, text):
        self.send(text)
        return self.reply()

    def interrupt(self):
        self.s.sendall(b"\x03")
        return self.reply()

    def close(self):
        self.s.close()


class Storm:
    def __init__(self, bothy, kernel, cycles, seed, engine, folder):
        self.bothy, self.kernel, self.cycles, self.engine = bothy, kernel, cycles, engine
        self.random = random.Random(seed)
        self.path = f"{folder}/gdb"
        self.guest = None
        self.count = {}
        self.passed = 0

    def start(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        machine = self.random.choice(("pc", "microvm"))
        self.guest = Guest(self.bothy, "--kernel", self.kernel, "--net", "none", "-m", "64M", "-c",
                           str(CPUS), "--debug-exit", "--machine", machine, "--gdb",
                           f"unix:{self.path}", "--engine", self.engine, tty=True)
        self.wait_for(lambda: any("guest running" in e for e in self.guest.errors), "a start")

    def wait_for(self, what, name, seconds=SECONDS):
        end = time.monotonic() + seconds
        while not what():
            if self.guest.process.poll() is not None:
                return False
            if time.monotonic() > end:
                raise Failed(f"no {name} within {seconds} s")
            time.sleep(0.002)
        return True

    def said(self, text):
        return sum(text in e for e in self.guest.errors)

    def ended(self):
        """Has the guest come to its own end? Then it must be the good one."""
        status = self.guest.process.poll()
        if status is None:
            return False
        if status != PASSED:
            raise Failed(f"the guest ended with status {status}")
        self.guest.wait()
        self.passed += 1
        self.start()
        return True

    def gone(self, want):
        pids = children(self.guest.pid)
        status = self.guest.wait(SECONDS)
        if status not in (want, PASSED):
            raise Failed(f"status {status}, want {want}")
        end = time.monotonic() + 60
        while any(os.path.exists(f"/proc/{p}") for p in pids):
            if time.monotonic() > end:
                raise Failed("the VM left processes behind")
            time.sleep(0.01)
        self.start()

    def pause(self):
        before = self.said("paused")
        self.guest.keys(b"\x1dp")
        if not self.wait_for(lambda: self.said("paused") > before, "pause"):
            return
        time.sleep(self.random.random() * 0.01)
        before = self.said("running")
        self.guest.keys(b"\x1dp")
        self.wait_for(lambda: self.said("running") > before, "resume")

    def gdb(self):
        try:
            g = Gdb(self.path)
            g.ask("qSupported:multiprocess+;vContSupported+")
            g.ask("?")
            for cpu in range(1, CPUS + 1):
                if g.ask(f"Hg{cpu:x}") != "OK" or len(g.ask("g")) < 32 * 8:
                    raise Failed(f"no registers of processor {cpu}")
            for _ in range(self.random.randrange(4)):
                reply = g.ask(f"vCont;s:{self.random.randrange(CPUS) + 1:x}")
                if reply[0] not in "TSW":
                    raise Failed(f"step: {reply}")
            for _ in range(self.random.randrange(3)):
                g.send("c")
                time.sleep(self.random.random() * 0.02)
                reply = g.interrupt()
                if reply[0] == "W":
                    break
                if reply[0] not in "TS":
                    raise Failed(f"interrupt: {reply}")
            if self.random.random() < 0.5:
                g.ask("D")
            g.close()
        except OSError:
            pass # the guest came to its end meanwhile: ended() looks
        except Failed:
            if self.guest.process.poll() is None:
                time.sleep(0.5)
            if self.guest.process.poll() is None:
                raise

    def reset(self):
        self.guest.keys(b"\x1dr")

    def kill(self):
        self.guest.signal(9)
        self.gone(-9)

    def term(self):
        self.guest.signal(15)
        time.sleep(self.random.random() * 0.05)
        self.guest.signal(15)
        self.gone(143)

    def quit(self):
        self.guest.keys(b"\x1dq")
        self.gone(0)

    def run(self):
        actions = [self.pause] * 9 + [self.gdb] * 6 + [self.reset] * 2 + [self.kill, self.term,
                                                                          self.quit]
        self.start()
        for cycle in range(self.cycles):
            action = self.random.choice(actions)
            self.count[action.__name__] = self.count.get(action.__name__, 0) + 1
            time.sleep(self.random.random() * 0.1)
            try:
                if not self.ended():
                    action()
            except ProcessLookupError:
                pass
            except Failed as e:
                raise Failed(f"cycle {cycle}, {action.__name__}: {e}") from None
        status = self.guest.wait(SECONDS)
        check(f"{self.cycles} cycles {self.count}, {self.passed} guests passed on the way; the last "
              f"ends with status {status} (want {PASSED})", status == PASSED)


def storm(bothy, kernel, cycles, seed=None, engine="auto"):
    seed = int(seed or 0) or random.randrange(1, 1 << 30)
    print(f"seed {seed}, engine {engine}")
    with work_dir() as folder:
        s = Storm(bothy, kernel, int(cycles), seed, engine, folder)
        try:
            s.run()
        except Failed:
            if s.guest:
                print("".join(s.guest.errors[-20:]))
                print("\n".join(text for _, text in s.guest.lines[-20:]))
            raise
        finally:
            if s.guest:
                s.guest.kill()


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(lambda: storm(os.path.abspath(sys.argv[1]), *sys.argv[2:]))
