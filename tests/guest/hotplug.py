#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Devices that come and go while Linux runs.

  hotplug.py BOTHY pc|q35          virtio, NVMe, SCSI and Serial ATA disks by `bothy attach` and `bothy detach`:
                                   ACPI hot plug on a pc, native on a q35
  hotplug.py BOTHY usb CONTROLLER  a USB disk, keyboard and tablet on xhci, ehci or uhci

Further words are options of `bothy run`.
"""
import hashlib
import json
import os
import socket
import subprocess
import sys

from boot import BOOT_SECONDS, MIB, digest
from guest import Failed, Guest, check, images_with, main, work_dir

MODULES = ("nvme", "ahci", "virtio_scsi", "sd_mod", "xhci_pci", "ehci_pci", "uhci_hcd", "usb_storage", "usbhid",
           "hid_generic")
QUIET = "console=ttyS0 quiet"


def image(path, mib):
    with open(path, "wb") as f:
        f.write(os.urandom(mib * MIB))
    return path


def command(bothy, *words, want=0):
    done = subprocess.run([bothy, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          stdin=subprocess.DEVNULL, timeout=120, check=False)
    if done.returncode != want:
        raise Failed(f"bothy {' '.join(words)}: status {done.returncode}: {done.stdout}")
    return done.stdout.strip()


class Events:
    """A client of the control socket that waits for an event."""

    def __init__(self, name):
        run = os.environ.get("XDG_RUNTIME_DIR")
        where = f"{run}/bothy" if run else f"/tmp/bothy-{os.getuid()}"
        self.s = socket.socket(socket.AF_UNIX)
        self.s.connect(f"{where}/{name}.sock")
        self.s.settimeout(60)
        self.f = self.s.makefile("r")
        self.s.sendall(b'{"execute": "qmp_capabilities"}')

    def wait(self, name):
        for line in self.f:
            if json.loads(line).get("event") == name:
                return json.loads(line).get("data")
        raise Failed(f"no event {name}")


def wait_for(g, dev, there):
    test = "!" if there else ""
    g.shell(f"i=0; while [ {test} -b /dev/{dev} ] && [ $i -lt 150 ]; do usleep 100000; i=$((i + 1)); done",
            60)
    got, _ = g.shell(f"[ -b /dev/{dev} ] && echo there || echo gone")
    check(f"/dev/{dev} is {'there' if there else 'gone'}", got == ("there" if there else "gone"))


def use(g, dev, path, what):
    wait_for(g, dev, True)
    got, _ = g.shell(f"sha256sum /dev/{dev} | cut -c1-64", 120)
    check(f"{what}: /dev/{dev} reads as its image", got == digest(path))
    sums, _ = g.shell(f"dd if=/dev/urandom of=/tmp/r bs=64k count=20 2>/dev/null;"
                      f" dd if=/tmp/r of=/dev/{dev} bs=64k seek=8 2>/dev/null; sync; sha256sum </tmp/r | cut -c1-64",
                      120)
    return sums


def written(path, want):
    with open(path, "rb") as f:
        f.seek(8 * 65536)
        check("what was written is in the image",
              hashlib.sha256(f.read(20 * 65536)).hexdigest() == want)


def complains(g):
    bad, _ = g.shell("dmesg | grep -E 'ACPI (BIOS )?(Error|Exception)|I/O error|BUG:|WARNING:|nobody cared'"
                     " | grep -v -e 'Synchronize Cache' -e 'dev vdb'")
    check(f"the kernel complains of nothing ({bad})", not bad)


def one(g, bothy, name, events, d, bus, dev):
    path = image(f"{d}/{bus}.img", 6)
    ident = command(bothy, "attach", name, f"{path},if={bus}")
    sums = use(g, dev, path, bus)
    command(bothy, "detach", name, ident)
    gone = events.wait("DEVICE_DELETED")
    check(f"{bus}: DEVICE_DELETED names {ident}", gone == {"device": ident})
    wait_for(g, dev, False)
    written(path, sums)


def pci(bothy, machine, *options):
    kernel, initrd = images_with("hotplug", *MODULES)
    name = f"hotplug-{os.getpid()}"
    with work_dir() as d:
        image(f"{d}/first", 4)
        with Guest(bothy, "--kernel", kernel, "--initrd", initrd, "-m", "384M", "--net", "none",
                   "--append", QUIET, "--machine", machine, "--name", name, "--disk",
                   f"{d}/first,if=scsi", "--cdrom", "none,if=ahci", *options) as g:
            g.to_shell(BOOT_SECONDS)
            events = Events(name)
            wait_for(g, "sda", True)
            for turn in range(2):
                one(g, bothy, name, events, d, "virtio", "vda")
                one(g, bothy, name, events, d, "nvme", f"nvme{0}n1")
                one(g, bothy, name, events, d, "scsi", "sdb")
                one(g, bothy, name, events, d, "ahci", "sdb")
            # two at once, and one by force
            a, b = image(f"{d}/a", 4), image(f"{d}/b", 5)
            command(bothy, "attach", name, f"{a},ro,if=nvme", "one")
            command(bothy, "attach", name, f"{b}", "two")
            wait_for(g, "nvme0n1", True)
            wait_for(g, "vda", True)
            said = command(bothy, "attach", name, image(f"{d}/c", 1), "one", want=1)
            check(f"a name that is taken is refused ({said})", "already" in said)
            command(bothy, "detach", name, "one", "--force")
            wait_for(g, "nvme0n1", False)
            use(g, "vda", b, "the other one")
            # a virtio disk pulled out while it is written to: the driver must get over it
            image(f"{d}/pulled", 8)
            command(bothy, "attach", name, f"{d}/pulled", "three")
            wait_for(g, "vdb", True)
            g.shell("true; (while dd if=/dev/zero of=/dev/vdb bs=64k count=100 conv=notrunc,fsync; do :; done)"
                    " >/dev/null 2>&1 & sleep 1")
            command(bothy, "detach", name, "three", "--force")
            check("DEVICE_DELETED comes", events.wait("DEVICE_DELETED") is not None)
            wait_for(g, "vdb", False)
            use(g, "vda", b, "the other one, still")
            g.type("reboot -f")
            g.to_shell(BOOT_SECONDS)
            wait_for(g, "vda", True) # what was attached stays through a reset
            command(bothy, "detach", name, "two")
            wait_for(g, "vda", False)
            said = command(bothy, "detach", name, "two", want=1)
            command(bothy, "detach", name, "disk0")
            wait_for(g, "sda", False)
            check(f"what is not there can't go ({said})", "'two'" in said)
            complains(g)
            g.type("poweroff -f")
            check("status 0 after power off", g.wait(60) == 0)


def inputs(g):
    return g.shell("grep -c 'Name=\"bothy USB' /proc/bus/input/devices")[0]


def wait_inputs(g, n, what):
    got, _ = g.shell(f"i=0; while [ $(grep -c 'Name=\"bothy USB' /proc/bus/input/devices) != {n} ] && "
                     "[ $i -lt 100 ]; do usleep 100000; i=$((i + 1)); done; "
                     "grep -c 'Name=\"bothy USB' /proc/bus/input/devices", 60)
    check(f"{what}: {n} inputs", got == str(n))


def usb(bothy, kind, *options):
    kernel, initrd = images_with("hotplug", *MODULES)
    name = f"hotplug-{os.getpid()}"
    with work_dir() as d:
        with Guest(bothy, "--kernel", kernel, "--initrd", initrd, "-m", "256M", "--net", "none",
                   "--append", QUIET, "--usb", kind, "--name", name, *options) as g:
            g.to_shell(BOOT_SECONDS)
            events = Events(name)
            wait_inputs(g, 2, "keyboard and tablet")
            said = command(bothy, "attach", name, "keyboard", want=1)
            check(f"a second keyboard is refused ({said})", "already" in said)
            for word in ("keyboard", "tablet"):
                command(bothy, "detach", name, word)
                events.wait("DEVICE_DELETED")
            wait_inputs(g, 0, "both pulled out")
            for turn in range(2):
                one(g, bothy, name, events, d, "usb", "sda")
            n = 0
            for word in ("tablet", "keyboard"):
                command(bothy, "attach", name, word, word)
                n += 1
                wait_inputs(g, n, f"{word} plugged in")
            complains(g)
            g.type("poweroff -f")
            check("status 0 after power off", g.wait(60) == 0)


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[2] not in ("pc", "q35", "usb") or \
       (sys.argv[2] == "usb" and len(sys.argv) < 4):
        print(__doc__)
        sys.exit(2)
    program = os.path.abspath(sys.argv[1])
    if sys.argv[2] == "usb":
        main(lambda: usb(program, *sys.argv[3:]))
    else:
        main(lambda: pci(program, *sys.argv[2:]))
