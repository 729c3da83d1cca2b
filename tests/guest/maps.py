#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The memory map of a running VM.

  maps.py BOTHY wx boot             no mapping is writable and executable: a boot of Debian's kernel
  maps.py BOTHY wx IMAGE [ROUNDS]   the same while the guest rewrites its code (generate.asm)
  maps.py BOTHY bound IMAGE [MEMORY [ROUNDS [CPUS [ENGINE_MEMORY]]]]  code cache and memory of a guest
                                    that generates code on all processors

wx reads the map again and again, of all processes of the VM, and wants to have seen what is written
and what is executed of the code cache, so that an engine without one does not pass. Sampling cannot
prove the moments in between; that the two views are mapped once and never changed (thunk.c) does.
"""
import os
import re
import sys
import threading
import time

from guest import Failed, Guest, check, children, images, main, plain_malloc, pss

OVERHEAD_MIB = 24.0 # beyond guest RAM and code cache; blocks of larger guests are on top of it
CPU_MIB = 12.0      # each further vCPU: thunks and tables


class Watch(threading.Thread):
    """Samples /proc/PID/maps until the process is gone."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.samples, self.bad, self.seen = pid, 0, [], set()

    def run(self):
        while self.look(self.pid):
            for child in children(self.pid):
                self.look(child)
            time.sleep(0.01)

    def look(self, pid):
        try:
            with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as f:
                text = f.read()
        except (FileNotFoundError, ProcessLookupError):
            return False
        if not text: # a zombie
            return False
        self.samples += 1
        for line in text.splitlines():
            m = re.match(r"\S+ (....) \S+ \S+ \S+ *(.*)", line)
            rights, name = m.groups()
            if "w" in rights and "x" in rights:
                self.bad.append(line)
            if "memfd:code" in name:
                self.seen.add(rights[:3])
        return True


def wx(bothy, what, rounds="6"):
    if what == "boot":
        kernel, initrd = images()
        options = ["--kernel", kernel, "--initrd", initrd, "-m", "256M", "--net", "nat",
                   "--append", "console=ttyS0 quiet init-exit"]
    else:
        options = ["--kernel", what, "-m", "64M", "--net", "none", "--debug-exit", "--append", rounds]
    with Guest(bothy, *options) as g:
        watch = Watch(g.pid)
        watch.start()
        status = g.wait(600)
        watch.join(10)
    check(f"the guest ended as it should (status {status})", status == (0 if what == "boot" else 33))
    for line in watch.bad[:5]:
        print(line)
    check(f"{watch.samples} samples, {len(watch.bad)} mappings both writable and executable",
          not watch.bad and watch.samples >= 20)
    check(f"the code cache was mapped to be written and to be executed ({sorted(watch.seen)})",
          any("w" in r for r in watch.seen) and any("x" in r for r in watch.seen))


def budget(ram, cpus, given):
    """MiB of code, thunks among it, and of decoded blocks of all vCPUs: engine/interp/budget.c"""
    code = max(64, min(256, ram / 4))
    blocks = max(8, min(512, ram / 16 if ram <= 256 else ram * 3 / 8 if ram <= 512 else ram / 2))
    if given:
        code = max(16, -(-given // 6) * 2)
        blocks = given - code
    return max(code, 16 * cpus) + 4 * cpus, max(blocks, 4 * cpus)


def has_sanitizer(pid):
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as f:
        return "libasan" in f.read()


def bound(bothy, image, memory="128", rounds="120", cpus="1", given="0"):
    plain_malloc()
    cache, pool = budget(int(memory), int(cpus), int(given))
    limit = OVERHEAD_MIB + CPU_MIB * (int(cpus) - 1) + (0 if pool <= 8 else pool)
    options = ["--engine-memory", f"{given}M"] if given != "0" else []
    with Guest(bothy, "--kernel", image, "-m", f"{memory}M", "--machine", "microvm", "--net", "none",
               "-c", cpus, "--debug-exit", *options, "--append", rounds) as g:
        most = own = samples = 0
        shadows = False
        while g.process.poll() is None:
            try:
                total, ram, code = pss(g.pid)
                shadows = shadows or has_sanitizer(g.pid)
            except (FileNotFoundError, ProcessLookupError):
                break
            if not total:
                break
            samples += 1
            most, own = max(most, code), max(own, total - ram - code)
            time.sleep(0.5)
        status = g.wait(60)
        made = sum(text == "round" for _, text in g.lines)
    check(f"{made} rounds of 20,000 functions, all right (status {status})", status == 33)
    check(f"-m {memory}M -c {cpus}: code cache at most {most:.1f} MiB (want {cache:.0f}), in {samples} "
          "samples", 1 < most <= cache)
    if shadows:
        print(f"skipped: the process beyond guest RAM and code cache, {own:.1f} MiB: AddressSanitizer's "
              "shadow memory and freed blocks kept back are in it")
        return
    check(f"the process beyond guest RAM and code cache: at most {own:.1f} MiB (want {limit:.0f})",
          own <= limit)


CASES = {f.__name__: f for f in (wx, bound)}

if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[2] not in CASES:
        sys.exit(__doc__)
    main(lambda: CASES[sys.argv[2]](os.path.abspath(sys.argv[1]), *sys.argv[3:]))
