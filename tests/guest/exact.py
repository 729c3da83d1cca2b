#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
--deterministic: two runs are the same to the bit, and a recorded run can be replayed.

  exact.py BOTHY twice KERNEL            a bare-metal kernel, on both machines
  exact.py BOTHY replay KERNEL           the power button, recorded and replayed (button.bin)
  exact.py BOTHY linux ARCH MACHINE      a boot with a disk and typed commands: recorded, replayed twice

Compared: the counters of instructions, time, exceptions, interrupts and accesses, the hash of RAM and
vCPU, and every byte of the serial port.
"""
import os
import signal
import subprocess
import sys

from guest import Guest, check, images, main, work_dir


def figures(errors):
    return next((line for line in errors if "deterministic:" in line), "no figures").strip()


def once(bothy, serial, *options):
    done = subprocess.run([bothy, "run", "--deterministic", "--serial", f"file:{serial}", *options],
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, errors="replace", check=False,
                          timeout=1500)
    with open(serial, "rb") as f:
        return done.returncode, figures(done.stderr.splitlines()), f.read()


def same(what, runs):
    for r in runs[1:]:
        if r != runs[0]:
            print(f"{runs[0][:2]}\n{r[:2]}")
    check(f"{what}: {len(runs)} runs agree: status {runs[0][0]}, {runs[0][1][7:]}, "
          f"{len(runs[0][2])} bytes on the serial port",
          all(r == runs[0] for r in runs) and "state" in runs[0][1])


def twice(bothy, kernel):
    with work_dir() as d:
        for machine in ("pc", "microvm"):
            runs = [once(bothy, f"{d}/serial", "--kernel", kernel, "-m", "64M", "--machine", machine,
                         "--debug-exit") for _ in range(3)]
            same(machine, runs)


def replay(bothy, kernel):
    with work_dir() as d:
        options = ["--kernel", kernel, "-m", "64M", "--deterministic"]
        with Guest(bothy, *options, "--record", f"{d}/inputs") as g:
            g.expect("waiting")
            g.signal(signal.SIGTERM)
            status = g.wait(60)
            first = status, figures(g.errors)
        runs = [once(bothy, f"{d}/serial", "--kernel", kernel, "-m", "64M", "--replay",
                     f"{d}/inputs") for _ in range(2)]
        same("replayed", runs)
        print(first)
        check("they agree with the recorded run", first == runs[0][:2])


def linux(bothy, arch, machine):
    kernel, initrd = images(arch)
    commands = ["echo first; cat /proc/uptime", "date; seq 1 3000 | sort -rn | sha256sum",
                "dd if=/dev/vda bs=4k count=64 2>/dev/null | sha256sum; echo x > /dev/vda; sync"]
    with work_dir() as d:
        def disk(name):
            with open(f"{d}/{name}", "wb") as f:
                f.truncate(1 << 20)
            return f"{d}/{name}"

        options = ["--kernel", kernel, "--initrd", initrd, "-m", "256M", "--machine", machine,
                   "--append", "console=ttyS0 quiet"]
        with Guest(bothy, *options, "--deterministic", "--record", f"{d}/inputs", "--disk",
                   disk("a")) as g:
            g.to_shell(1500)
            for c in commands:
                print(g.shell(c, 300)[0])
            g.type("poweroff -f")
            status = g.wait(300)
            recorded = status, figures(g.errors)
        runs = [once(bothy, f"{d}/serial", *options, "--replay", f"{d}/inputs", "--disk",
                     disk(name)) for name in "bc"]
        same(f"{arch} {machine}", runs)
        print(recorded)
        check("they agree with the recorded run", recorded == runs[0][:2])


CASES = {f.__name__: f for f in (twice, replay, linux)}

if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[2] not in CASES:
        sys.exit(__doc__)
    main(lambda: CASES[sys.argv[2]](os.path.abspath(sys.argv[1]), *sys.argv[3:]))
