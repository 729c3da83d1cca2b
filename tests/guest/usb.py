#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
USB controllers and disks under Linux's own drivers.

  usb.py BOTHY CONTROLLER        keyboard and tablet are there; a disk is read and written
  usb.py BOTHY boot CONTROLLER   SeaBIOS starts from a USB disk

Further words are options of `bothy run`.
"""
import hashlib
import os
import sys

from boot import BOOT_SECONDS, MIB, digest, need, run, write
from guest import Guest, check, images_with, main, work_dir

MODULES = ("xhci_pci", "ehci_pci", "uhci_hcd", "usb_storage", "sd_mod", "usbhid", "hid_generic")


def controller(bothy, kind, *options):
    kernel, initrd = images_with("usb", *MODULES)
    with work_dir() as d:
        for i in range(2):
            with open(f"{d}/disk{i}", "wb") as f:
                f.write(os.urandom((24 + i) * MIB))
        with Guest(bothy, "--kernel", kernel, "--initrd", initrd, "-m", "256M", "--net", "none",
                   "--append", "console=ttyS0 quiet", "--usb", kind, "--disk",
                   f"{d}/disk0,if=usb", "--disk", f"{d}/disk1,if=usb", *options) as g:
            g.to_shell(BOOT_SECONDS)
            g.shell("i=0; while [ ! -b /dev/sdb ] && [ $i -lt 100 ]; do usleep 200000;"
                    " i=$((i + 1)); done", 60)
            names, _ = g.shell("cat /sys/bus/usb/devices/*/product")
            check(f"keyboard, tablet and disks are there ({names})",
                  all(w in names for w in ("USB keyboard", "USB tablet", "USB disk")))
            handlers, _ = g.shell("grep -c 'Name=\"bothy USB' /proc/bus/input/devices")
            check("the kernel has them as inputs", handlers == "2")
            for i, dev in enumerate(("sda", "sdb")):
                got, _ = g.shell(f"sha256sum /dev/{dev} | cut -c1-64", 300)
                check(f"/dev/{dev} reads as its image", got == digest(f"{d}/disk{i}"))
            g.shell("dd if=/dev/urandom of=/tmp/r bs=64k count=160;"
                    " dd if=/tmp/r of=/dev/sda bs=64k seek=16; sync;"
                    " dd if=/tmp/r of=/dev/sdb bs=4k count=1000 seek=7 oflag=direct", 300)
            sums, _ = g.shell("sha256sum /tmp/r | cut -c1-64", 60)
            small, _ = g.shell("head -c 4096000 /tmp/r | sha256sum | cut -c1-64", 60)
            bad, _ = g.shell("dmesg | grep -E '[exu]hci.*([Ee]rror|WARN)|reset ([Ss]uper|high|full).?[Ss]peed|"
                             "I/O error|BUG:'")
            check(f"the drivers complain of nothing ({bad})", not bad)
            g.type("poweroff -f")
            check("status 0 after power off", g.wait(60) == 0)
        for name, at, size, want in (("disk0", MIB, 10 * MIB, sums), ("disk1", 7 * 4096, 4096000, small)):
            with open(f"{d}/{name}", "rb") as f:
                f.seek(at)
                check(f"what was written to {name} is there",
                      hashlib.sha256(f.read(size)).hexdigest() == want)


def boot(bothy, kind, *options):
    """SYSLINUX on a disk of one partition-less FAT file system."""
    need("mformat", "mcopy", "syslinux")
    with work_dir() as d:
        image = f"{d}/disk.img"
        run("mformat", "-C", "-T", str(16 * 2048), "-h", "16", "-s", "63", "-i", image, "::")
        write(f"{d}/syslinux.cfg", "say syslinux on a USB disk\nprompt 1\n")
        run("mcopy", "-i", image, f"{d}/syslinux.cfg", "::")
        run("syslinux", "--install", image)
        with Guest(bothy, "--usb", kind, "--disk", f"{image},if=usb", "-m", "64M", "--net", "none",
                   *options) as g:
            g.expect(r"syslinux on a USB disk", BOOT_SECONDS)
            g.expect(r"boot: *$", 60, prompt=True)
            check("SeaBIOS started from it", True)


if __name__ == "__main__":
    if len(sys.argv) < 3 or (sys.argv[2] == "boot" and len(sys.argv) < 4):
        print(__doc__)
        sys.exit(2)
    if sys.argv[2] == "boot":
        main(lambda: boot(os.path.abspath(sys.argv[1]), *sys.argv[3:]))
    else:
        main(lambda: controller(os.path.abspath(sys.argv[1]), *sys.argv[2:]))
