# SPDX-License-Identifier: Apache-2.0
"""
A Linux guest under test: starts `bothy run`, reads its serial port with a time stamp for each line,
types into it, and measures the process from outside. Used by the test scripts beside it.

Images come from BOTHY_GUEST_DIR (build/guest), made by tools/guest-image; a test whose images cannot
be made is skipped with the reason (exit status 77).
"""
import contextlib
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIP = 77
DISK_MODULES = ("ata_piix", "ahci", "nvme", "virtio_scsi", "sd_mod", "sr_mod", "isofs", "floppy")


class Failed(Exception):
    """A check that did not hold; the text is for a person."""


def last_line(text):
    return (text.strip().splitlines() or ["no reason given"])[-1]


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIP)


def check(what, good):
    """One line for each check; raises when it fails."""
    print(f"{'ok' if good else 'FAILED'}: {what}", flush=True)
    if not good:
        raise Failed(what)


def images(arch="amd64"):
    """The paths of kernel and initrd, made if they are not there."""
    where = os.environ.get("BOTHY_GUEST_DIR", f"{TOP}/build/guest")
    done = subprocess.run([f"{TOP}/tools/guest-image", "--arch", arch, where], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        skip(f"no {arch} guest image: {last_line(done.stdout)}")
    return f"{where}/vmlinuz-{arch}", f"{where}/initrd-{arch}.img"


def images_with(name, *modules, arch="amd64"):
    """Likewise, with more kernel modules in the initrd (tools/guest-modules)."""
    kernel, initrd = images(arch)
    where = os.path.dirname(initrd)
    done = subprocess.run([f"{TOP}/tools/guest-modules", "--arch", arch, where, name, *modules],
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        skip(f"no {arch} guest image with {name}: {last_line(done.stdout)}")
    return kernel, f"{where}/initrd-{arch}-{name}.img"


def disk_images():
    """A guest with the modules of every disk controller."""
    return images_with("disks", *DISK_MODULES)


def debian_disk():
    """A Debian user land, made once; needs root and a mirror."""
    where = os.environ.get("BOTHY_GUEST_DIR", f"{TOP}/build/guest")
    disk = f"{where}/debian.img"
    os.makedirs(where, exist_ok=True)
    if not os.path.exists(disk):
        done = subprocess.run([f"{TOP}/tools/debian-disk", f"{disk}.tmp"], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            skip(f"no Debian disk: {last_line(done.stdout)}")
        os.rename(f"{disk}.tmp", disk)
    return disk


def work_disk():
    """A Debian that does work whose results are known, made once, and the start of the names of the
    files with these; needs root and a mirror."""
    where = os.environ.get("BOTHY_GUEST_DIR", f"{TOP}/build/guest")
    disk = f"{where}/work.img"
    os.makedirs(where, exist_ok=True)
    want = subprocess.run(f"cat tools/work-disk tests/guest/work/* | cksum", shell=True, cwd=TOP,
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    stamp = f"{disk}.stamp"
    if not os.path.exists(stamp) or open(stamp, encoding="ascii").read() != want:
        done = subprocess.run([f"{TOP}/tools/work-disk", disk, f"{where}/work-root"], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            skip(f"no disk with work: {last_line(done.stdout)}")
        with open(stamp, "w", encoding="ascii") as f:
            f.write(want)
    return disk


@contextlib.contextmanager
def work_dir():
    path = tempfile.mkdtemp(prefix="bothy-test.")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def copy_sparse(src, dst):
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", src, dst], check=True)


CONTROLS = re.compile(r"\x1b\[[0-9;?=]*[A-Za-z]")  # ECMA-48, 5.4: control sequences


class Guest:
    """`bothy run` with @options; the serial port is its standard input and output, a pipe or,
    with @tty, a terminal of its own (file descriptor self.tty is the terminal's side)."""

    def __init__(self, bothy, *options, preexec=None, tty=False):
        self.lines = []  # (seconds of CLOCK_MONOTONIC at the end of the line, text)
        self.rest = ""
        self.errors = []
        self.read_to = 0  # lines that expect() has passed
        self.cond = threading.Condition()
        self.began = time.monotonic()
        self.tty, self.hung_up = None, False
        if tty:
            self.fd, self.tty = pty.openpty()
            self.tty_before = termios.tcgetattr(self.tty)
            where = {"stdin": self.tty, "stdout": self.tty, "start_new_session": True}
            preexec = lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        else:
            where = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen([bothy, "run", *options], stderr=subprocess.PIPE,
                                        preexec_fn=preexec, **where)
        if not tty:
            self.fd = self.process.stdout.fileno()
        self.to = self.fd if tty else self.process.stdin.fileno()
        self.pid = self.process.pid
        self.threads = [threading.Thread(target=self._read_serial, daemon=True),
                        threading.Thread(target=self._read_errors, daemon=True)]
        for t in self.threads:
            t.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None and not issubclass(kind, SystemExit):
            print("---- the last lines of the guest:")
            print("\n".join(text for _, text in self.lines[-40:]) + "\n" + self.rest)
            print("---- bothy said:\n" + "".join(self.errors[-40:]))
        self.kill()

    def _read_serial(self):
        data = b"x"
        while data and not self.hung_up:
            if not select.select([self.fd], [], [], 0.2)[0]:
                continue
            try:
                data = os.read(self.fd, 65536)
            except OSError: # the last user of the terminal is gone
                data = b""
            now = time.monotonic()
            with self.cond:
                text = self.rest + data.decode("utf-8", "replace")
                *whole, self.rest = text.split("\n")
                self.lines += [(now, line.rstrip("\r")) for line in whole]
                self.cond.notify_all()

    def _read_errors(self):
        for line in self.process.stderr:
            with self.cond:
                self.errors.append(line.decode("utf-8", "replace"))
                self.cond.notify_all()

    def _wait(self, found, seconds, what):
        end = time.monotonic() + seconds
        with self.cond:
            while True:
                got = found()
                if got:
                    return got
                left = end - time.monotonic()
                if self.process.poll() is not None and not self.threads[1].is_alive():
                    raise Failed(f"bothy ended with status {self.process.returncode} while "
                                 f"waiting for {what}")
                if left <= 0:
                    raise Failed(f"no {what} within {seconds} s")
                self.cond.wait(min(left, 0.5))

    def expect(self, pattern, seconds=120, prompt=False):
        """The next line that matches, without what moves the cursor (a BIOS' serial console may do
        so within a word), as (time, match); @prompt: an unfinished one will do."""
        regex = re.compile(pattern)

        def found():
            while self.read_to < len(self.lines):
                when, text = self.lines[self.read_to]
                self.read_to += 1
                m = regex.search(CONTROLS.sub("", text))
                if m:
                    return when, m
            m = prompt and regex.search(CONTROLS.sub("", self.rest))
            return (time.monotonic(), m) if m else None

        return self._wait(found, seconds, f"'{pattern}' on the serial port")

    def expect_error(self, pattern, seconds=60):
        """A line of bothy's standard error that matches, wherever it is."""
        def found():
            return next((m for m in (re.search(pattern, e) for e in self.errors) if m), None)
        return self._wait(found, seconds, f"'{pattern}' on standard error")

    def check_tty(self):
        check("the terminal is as before", termios.tcgetattr(self.tty) == self.tty_before)

    def hang_up(self):
        """Close the terminal, as its window does."""
        self.hung_up = True
        self.threads[0].join()
        os.close(self.tty)
        os.close(self.fd)

    def keys(self, data):
        os.write(self.to, data)

    def type(self, text):
        self.keys((text + "\n").encode())

    def shell(self, command, seconds=60):
        """Run a command in the guest's shell; the last line it prints, and when that came."""
        self.type(f"echo 'res''ult:' $({command})")
        when, m = self.expect(r"^result: ?(.*)", seconds)
        return m.group(1), when

    def to_shell(self, seconds=300):
        self.expect(r"bothy-guest: Linux", seconds)
        self.expect(r"[~/] # ", 60, prompt=True)

    def wait(self, seconds=60):
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"bothy did not end within {seconds} s") from None
        self.threads[1].join(5)
        if self.tty is None: # a terminal that we hold open does not end
            self.threads[0].join(5)
        return status

    def signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def seconds_used(self):
        """CPU time of the process and of its children."""
        tick = os.sysconf("SC_CLK_TCK")
        used = 0
        for pid in [self.pid] + children(self.pid):
            with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            used += (int(fields[11]) + int(fields[12])) / tick
        return used


def children(pid):
    """All descendants."""
    found = []
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError: # it has ended
        return found
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
                kids = [int(word) for word in f.read().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        for child in kids:
            found += [child] + children(child)
    return found


def plain_malloc():
    """For VMs whose memory is measured: meson has the C library fill all that it hands out, which
    makes memory of what is never touched."""
    os.environ.pop("MALLOC_PERTURB_", None)


def pss(pid):
    """MiB of (everything, guest RAM, code cache) in a process: proportional set size."""
    ram = code = total = 0
    where = ""
    with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as f:
        for line in f:
            word = line.split()
            if "-" in word[0] and not word[0].endswith(":"):
                where = line
            elif word[0] == "Pss:":
                total += int(word[1])
                ram += int(word[1]) if "memfd:bothy-ram" in where else 0
                code += int(word[1]) if "memfd:code" in where else 0
    return total / 1024, ram / 1024, code / 1024


def main(run):
    """Call @run, turn what it raises into an exit status."""
    try:
        run()
    except Failed as e:
        print(f"FAILED: {e}")
        sys.exit(1)
