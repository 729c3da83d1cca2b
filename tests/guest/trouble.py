#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
What goes wrong around a VM: no room on the host's disk, things in use, no memory, files cut short,
and every way a person or the host ends it.

  trouble.py BOTHY start KERNEL     nothing starts, and the message says why (KERNEL: stuck.bin)
  trouble.py BOTHY end KERNEL       signals and keys against a guest that listens to nothing
  trouble.py BOTHY initrd_cut       half an initrd: the guest's panic, not our end
  trouble.py BOTHY terminal         Ctrl-C goes to the guest; a signal presses the power button
  trouble.py BOTHY disk_full        the guest waits for room and goes on
"""
import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import time

from guest import Failed, Guest, check, images, main, skip, work_dir

BOOT_SECONDS = 300
GRACE_SECONDS = 10 # what a guest has to power off after the first signal
AT_ONCE = GRACE_SECONDS - 2 # a busy host needs its time, too


def refused(bothy, what, status, text, *options, limit=None):
    """`bothy run` must end at once with @status and a message that holds @text."""
    done = subprocess.run([bothy, "run", *options], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=300,
                          errors="replace", preexec_fn=limit)
    said = done.stdout.strip()
    check(f"{what}: status {done.returncode} (want {status}): {said[:200]}",
          done.returncode == status and text in said and said.count("\n") == 0)


def start(bothy, stuck):
    kernel, _ = images()
    with open(bothy, "rb") as f:
        sanitized = b"__asan_init" in f.read() # needs terabytes of address space itself
    with work_dir() as d:
        # things in use
        for kind, name in ((socket.SOCK_STREAM, "tcp"), (socket.SOCK_DGRAM, "udp")):
            with socket.socket(socket.AF_INET, kind) as s:
                s.bind(("127.0.0.1", 0))
                if kind == socket.SOCK_STREAM:
                    s.listen()
                port = s.getsockname()[1]
                refused(bothy, f"{name} port in use", 1, f"port {port} on 127.0.0.1", "--kernel",
                        stuck, "-p", f"{port}:80/{name}")
        disk = f"{d}/disk.img"
        with open(disk, "wb") as f:
            f.truncate(1 << 20)
        alone = ["--kernel", stuck, "--net", "none", "-m", "64M"]
        with Guest(bothy, *alone, "--disk", disk) as g:
            g.expect("waiting")
            refused(bothy, "disk open for writing elsewhere", 1, disk, *alone, "--disk", disk)
            refused(bothy, "the same, to read", 1, disk, *alone, "--disk", f"{disk},ro")
        refused(bothy, "one disk twice", 1, disk, *alone, "--disk", disk, "--disk", disk)
        with Guest(bothy, *alone, "--disk", f"{disk},ro") as g:
            g.expect("waiting")
            refused(bothy, "disk read elsewhere", 1, disk, *alone, "--disk", disk)
            with Guest(bothy, *alone, "--disk", f"{disk},ro") as second:
                second.expect("waiting")
        check("two may read one disk", True)

        # memory
        refused(bothy, "100 TiB", 2, "memory size '100T'", "--kernel", stuck, "-m", "100T")
        for mib in () if sanitized else (60, 300):
            space = mib << 20
            refused(bothy, f"ulimit -v {mib} MiB", 1, "", *alone,
                    limit=lambda: resource.setrlimit(resource.RLIMIT_AS, (space, space)))
        refused(bothy, "10 descriptors", 1, "", *alone, "--disk", disk,
                limit=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10)))

        # files cut short
        with open(kernel, "rb") as f:
            whole = f.read()
        cut = f"{d}/cut"
        for n in (0, 1, 511, 514, 600, 1024, 20000, len(whole) // 2, len(whole) * 9 // 10):
            with open(cut, "wb") as f:
                f.write(whole[:n])
            refused(bothy, f"kernel cut at {n} bytes", 1, cut, "--kernel", cut, "--net", "none")
        for n in (0, 1, 511, 1000):
            with open(cut, "wb") as f:
                f.truncate(n)
            refused(bothy, f"disk of {n} bytes", 1, cut, *alone, "--disk", cut)
        open(cut, "wb").close()
        refused(bothy, "empty initrd", 1, cut, "--kernel", kernel, "--net", "none", "--initrd", cut)


def initrd_cut(bothy):
    """Contents are the guest's affair: its kernel finds no init and panics; bothy stays."""
    kernel, initrd = images()
    with work_dir() as d:
        cut = f"{d}/cut"
        with open(initrd, "rb") as f, open(cut, "wb") as t:
            t.write(f.read()[:700000])
        with Guest(bothy, "--kernel", kernel, "--initrd", cut, "--net", "none", "-m", "128M",
                   "--machine", "microvm", "--append", "console=ttyS0 quiet") as g:
            g.expect("Kernel panic", BOOT_SECONDS)
            time.sleep(0.5)
            check("initrd cut short: the guest panics and bothy stays", g.process.poll() is None)


def ended(g, what, status, seconds, least=0):
    began = time.monotonic()
    got = g.wait(seconds + 10)
    took = time.monotonic() - began
    check(f"{what}: status {got} (want {status}) after {took:.1f} s (at most {seconds})",
          got == status and least <= took <= seconds)


def end(bothy, stuck):
    for tty in (False, True):
        where = "on a terminal" if tty else "with pipes"
        for sig, twice in ((signal.SIGTERM, True), (signal.SIGINT, True), (signal.SIGHUP, True),
                           (signal.SIGTERM, False)):
            with Guest(bothy, "--kernel", stuck, "--net", "none", "-m", "64M", tty=tty) as g:
                g.expect("waiting")
                g.signal(sig)
                g.expect_error("asking the guest to shut down")
                name = signal.Signals(sig).name
                if twice:
                    g.signal(sig)
                    ended(g, f"second {name} {where}", 128 + sig, AT_ONCE)
                else:
                    ended(g, f"one {name} {where}", 128 + sig, GRACE_SECONDS + 30,
                          GRACE_SECONDS - 2)
                if tty:
                    g.check_tty()
    with Guest(bothy, "--kernel", stuck, "--net", "none", "-m", "64M", tty=True) as g:
        g.expect("waiting")
        g.keys(b"\x03\x03\x1c\x1a\x04") # interrupt, quit, stop, end of file: all the guest's
        time.sleep(1)
        check("Ctrl-C, Ctrl-\\, Ctrl-Z, Ctrl-D do not end bothy", g.process.poll() is None)
        g.keys(b"\x1dq")
        ended(g, "Ctrl-] q", 0, AT_ONCE)
        g.check_tty()
    # The terminal window is closed: the session's SIGHUP.
    with Guest(bothy, "--kernel", stuck, "--net", "none", "-m", "64M", tty=True) as g:
        g.expect("waiting")
        g.hang_up()
        ended(g, "terminal closed", 128 + signal.SIGHUP, GRACE_SECONDS + 30)


def terminal(bothy):
    kernel, initrd = images()
    with Guest(bothy, "--kernel", kernel, "--initrd", initrd, "--net", "none", "-m", "128M",
               "--machine", "microvm", "--append", "console=ttyS0 quiet", tty=True) as g:
        g.to_shell(BOOT_SECONDS)
        g.type("sleep 1000; echo sleep gave $?")
        time.sleep(2)
        g.keys(b"\x03")
        g.expect("[~/] # ", 30, prompt=True)
        check("Ctrl-C interrupts the guest's command", g.process.poll() is None)
        check("the guest's shell goes on", g.shell("echo alive")[0] == "alive")
        g.signal(signal.SIGTERM)
        g.expect("power button", 60)
        ended(g, "SIGTERM to a guest that listens", 0, AT_ONCE)
        g.check_tty()


def mount_tmpfs(where, size):
    """Own mount name space, so that nothing is left behind; as root, or in a user name space."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    flags = 0x00020000 # CLONE_NEWNS
    if uid:
        flags |= 0x10000000 # CLONE_NEWUSER
    if libc.unshare(flags):
        skip(f"no mount name space: {os.strerror(ctypes.get_errno())}")
    if uid:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"),
                           ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as f:
                f.write(text)
    libc.mount(b"none", b"/", None, 0x44000, None) # MS_REC | MS_PRIVATE
    if libc.mount(b"tmpfs", where.encode(), b"tmpfs", 0, f"size={size}".encode()):
        skip(f"cannot mount a tmpfs: {os.strerror(ctypes.get_errno())}")


def disk_full(bothy):
    kernel, initrd = images()
    with work_dir() as d:
        mount_tmpfs(d, "8m")
        disk = f"{d}/disk.img"
        with open(disk, "wb") as f:
            f.truncate(64 << 20)
        with open(f"{d}/ballast", "wb") as f:
            f.write(b"x" * (6 << 20)) # room for 2 MiB
        with Guest(bothy, "--kernel", kernel, "--initrd", initrd, "--net", "none", "-m", "128M",
                   "--machine", "microvm", "--disk", disk, "--append", "console=ttyS0 quiet") as g:
            g.to_shell(BOOT_SECONDS)
            g.shell("dd if=/dev/urandom of=/tmp/block bs=64k count=64 2>/dev/null; sync")
            want, _ = g.shell("sha256sum </tmp/block")
            g.type("dd if=/tmp/block of=/dev/vda bs=64k conv=fsync 2>/dev/null; echo wrote $?")
            g.expect_error("host disk full while writing '.*': guest paused", 60)
            check("bothy says that the host's disk is full", True)
            used = g.seconds_used()
            g.type("echo still he''re")
            try:
                g.expect("^still here", 7)
                check("the guest is paused", False)
            except Failed:
                pass
            check(f"the guest is paused ({g.seconds_used() - used:.2f} s of CPU time in 7 s)",
                  g.seconds_used() - used < 0.5)
            check("nothing was reported to the guest as written",
                  not any(t.startswith("wrote") for _, t in g.lines))
            os.unlink(f"{d}/ballast")
            g.expect_error("guest goes on", 60)
            _, m = g.expect(r"^wrote (\d+)", 60)
            check("the write goes through", m.group(1) == "0")
            got, _ = g.shell("echo 3 >/proc/sys/vm/drop_caches; "
                             "dd if=/dev/vda bs=64k count=64 2>/dev/null | sha256sum")
            check("what was written is on the disk", got == want)
            errors, _ = g.shell("dmesg | grep -ciE 'i/o error|blk_update|hung'")
            check("the guest saw no error", errors == "0")


CASES = {f.__name__: f for f in (start, end, initrd_cut, terminal, disk_full)}

if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[2] not in CASES:
        sys.exit(__doc__)
    main(lambda: CASES[sys.argv[2]](os.path.abspath(sys.argv[1]), *sys.argv[3:]))
