#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Single steps by a debugger of processors that are halted: the step ends at once and says where, since
nothing can wake the processor while the debugger holds the others; the guest goes on afterwards.

  gdb_halt.py BOTHY KERNEL [ENGINE]

KERNEL is stuck.bin: processor 0 in CLI; HLT, processor 1 waiting for a start-up IPI.
"""
import os
import sys
import time

from guest import Failed, Guest, check, main, work_dir
from storm_control import Gdb


def attach(path, seconds=120):
    end = time.monotonic() + seconds
    while True:
        try:
            return Gdb(path)
        except OSError:
            if time.monotonic() > end:
                raise Failed("no gdb stub") from None
            time.sleep(0.05)


def halted(bothy, kernel, engine="auto"):
    with work_dir() as folder:
        path = f"{folder}/gdb"
        with Guest(bothy, "--kernel", kernel, "--net", "none", "-m", "64M", "-c", "2", "--gdb",
                   f"unix:{path}", "--engine", engine) as guest:
            guest.expect("waiting")
            g = attach(path)
            g.s.settimeout(300)
            g.ask("qSupported:multiprocess+;vContSupported+")
            for cpu in (1, 2, 1):
                reply = g.ask(f"vCont;s:{cpu}")
                check(f"a step of processor {cpu}, halted, answers {reply!r}",
                      reply.startswith("T05"))
            g.send("c")
            time.sleep(0.1)
            reply = g.interrupt()
            check(f"and the guest goes on until it is interrupted: {reply!r}", reply[0] in "TS")
            g.close()
            check("the VM runs on without the debugger", guest.process.poll() is None)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(lambda: halted(os.path.abspath(sys.argv[1]), *sys.argv[2:]))
