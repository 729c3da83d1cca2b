#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Linux's own drivers on each kind of disk bothy has, and starting from one through the BIOS.

  disks.py BOTHY linux BUS      an ext4 made here: written, verified, trimmed by Linux, checked here
  disks.py BOTHY bios BUS       the BIOS starts the boot sector of a disk on BUS
  disks.py BOTHY efi BUS        EFI firmware starts GRUB, and that Linux, from a disk on BUS
  disks.py BOTHY media BUS      discs (on ahci, ide, scsi) and diskettes change while Linux runs

BUS: ahci, ide, nvme, scsi, virtio. Further words are options of `bothy run`.
"""
import hashlib
import os
import shutil
import subprocess
import sys

from efi import grub_disk, plain
from guest import Guest, check, disk_images, main, skip, work_dir

BOOT_SECONDS = 300
MIB = 1 << 20
NAMES = {"ahci": "sda", "ide": "sda", "nvme": "nvme0n1", "scsi": "sda", "virtio": "vda"}

def boot_sector(text):
    """A master boot record that says @text on the first serial port."""
    code = bytearray.fromhex("fa31c08ed8be")          # cli; xor ax,ax; mov ds,ax; mov si,...
    code += bytes(2)
    loop = len(code)
    code += bytes.fromhex("ac84c0740f88c4")           # lodsb; test al,al; jz end; mov ah,al
    code += bytes.fromhex("bafd03eca82074fb")         # mov dx,3fdh; in al,dx; test al,20h; jz -5
    code += bytes.fromhex("88e0baf803ee")             # mov al,ah; mov dx,3f8h; out dx,al
    code[loop + 4] = len(code) + 2 - (loop + 5)
    code += bytes([0xeb, (loop - len(code) - 2) & 0xff])
    code += bytes.fromhex("b0fee664f4ebfd")           # reset: out 64h,feh; hlt
    code[6:8] = (0x7c00 + len(code)).to_bytes(2, "little")
    code += text.encode() + b"\r\n\0"
    return bytes(code.ljust(446, b"\0") + b"\x80" + bytes(3) + b"\x83" + bytes(3) +
                 (1).to_bytes(4, "little") + (63).to_bytes(4, "little") + bytes(48) + b"\x55\xaa")


def make_ext4(path, size, *options):
    os.environ["PATH"] += ":/sbin:/usr/sbin"
    if not shutil.which("mkfs.ext4") or not shutil.which("e2fsck"):
        skip("no mkfs.ext4: run tools/bootstrap check-long")
    with open(path, "wb") as f:
        f.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", "-F", *options, path], check=True)


def linux(bothy, bus, *options):
    kernel, initrd = disk_images()
    with work_dir() as d:
        make_ext4(f"{d}/disk", 128 * MIB)
        with Guest(bothy, "--kernel", kernel, "--initrd", initrd, "-m", "256M", "--net", "none",
                   "-c", "2", "--append", "console=ttyS0 quiet", "--disk", f"{d}/disk,if={bus}",
                   *options) as g:
            g.to_shell(BOOT_SECONDS)
            dev = f"/dev/{NAMES[bus]}"
            got, _ = g.shell(f"mount -t ext4 {dev} /mnt && echo mounted")
            check(f"an ext4 on {dev} is mounted ({got})", got == "mounted")
            g.shell("for i in 1 2 3 4; do dd if=/dev/urandom of=/mnt/$i bs=64k count=96 & done;"
                    " wait; sync", 300)
            one, _ = g.shell("cat /mnt/[1-4] | sha256sum | cut -c1-64", 300)
            g.shell("umount /mnt; echo 3 >/proc/sys/vm/drop_caches; mount -t ext4 "
                    f"{dev} /mnt")
            two, _ = g.shell("cat /mnt/[1-4] | sha256sum | cut -c1-64", 300)
            check("24 MiB written by four at once read back the same", one == two)
            got, _ = g.shell("rm /mnt/4; sync; fstrim /mnt && echo trimmed", 120)
            check(f"free space is given back ({got})", got == "trimmed" or bus == "ide")
            bad, _ = g.shell("umount /mnt; dmesg | grep -iE 'i/o error|timeout|exception|failed "
                             "command|abort|reset' | grep -vc 'Power-on\\|usb\\|SATA link\\|xhci'")
            check(f"the kernel complains of nothing ({bad})", bad == "0")
            g.type("poweroff -f")
            check("status 0 after power off", g.wait(60) == 0)
        done = subprocess.run(["e2fsck", "-fn", f"{d}/disk"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            print(done.stdout)
        check("e2fsck finds nothing wrong", done.returncode == 0)
        check("and trimming made the file smaller",
              os.stat(f"{d}/disk").st_blocks * 512 < 40 * MIB or bus == "ide")


def bios(bothy, bus, *options):
    with work_dir() as d:
        for name, text in (("other", "the other disk"), ("disk", f"started from {bus}")):
            with open(f"{d}/{name}", "wb") as f:
                f.write(boot_sector(text))
                f.truncate(8 * MIB)
        # Two of a kind, and a CD-less IDE channel: the first given is started.
        with Guest(bothy, "--disk", f"{d}/disk,if={bus}", "--disk", f"{d}/other,if={bus}", "-m",
                   "64M", "--net", "none", "--no-reboot", *options) as g:
            g.expect(r"started from|the other disk", BOOT_SECONDS)
            check("the first disk's boot sector was started",
                  any(f"started from {bus}" in text for _, text in g.lines))
            check("it restarts through the keyboard controller", g.wait(60) == 0)


def efi(bothy, bus, *options):
    with work_dir() as d:
        disk = grub_disk(d)
        with Guest(bothy, "--firmware", "efi", "--disk", f"{disk},overlay,if={bus}", "-m", "512M",
                   "--net", "none", *options) as g:
            plain(g, r"GRUB for EFI says hello", BOOT_SECONDS)
            plain(g, r"bothy-guest: first line of /init", BOOT_SECONDS)
            check(f"EFI firmware started Linux from {bus}", g.wait(60) == 0)


def command(bothy, *words):
    """`bothy WORDS`: its status and what it says."""
    done = subprocess.run([bothy, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    return done.returncode, done.stdout.strip()


def media(bothy, bus, *options):
    kernel, initrd = disk_images()
    with work_dir() as d:
        os.environ["XDG_RUNTIME_DIR"] = d
        make_ext4(f"{d}/one", 4 * MIB, "-b", "2048")
        for name, size in (("two", 6 * MIB), ("floppy", 1440 * 1024), ("odd", 12345 * 512)):
            with open(f"{d}/{name}", "wb") as f:
                f.write(os.urandom(size))
        with Guest(bothy, "--kernel", kernel, "--initrd", initrd, "-m", "256M", "--net", "none",
                   "--name", "m", "--append", "console=ttyS0 quiet", "--cdrom", f"none,if={bus}",
                   "--floppy", "none", *options) as g:
            g.to_shell(BOOT_SECONDS)

            def same(dev, name):
                got, _ = g.shell(f"sha256sum /dev/{dev} | cut -c1-64", 120)
                with open(f"{d}/{name}", "rb") as f:
                    check(f"/dev/{dev} reads as the image '{name}'",
                          got == hashlib.file_digest(f, "sha256").hexdigest())

            got, _ = g.shell("dd if=/dev/sr0 of=/dev/null bs=2k count=1 2>&1 | head -1")
            check(f"the drive is empty ({got})", "No medium" in got)
            status, said = command(bothy, "insert", "m", "cd0", f"{d}/one")
            check(f"a disc goes in ({said})", status == 0)
            same("sr0", "one")
            status, said = command(bothy, "insert", "m", "cd0", f"{d}/missing")
            check(f"a missing file is refused: {said}", status == 1 and "missing" in said)
            same("sr0", "one")
            status, said = command(bothy, "change", "m", "cd0", f"{d}/two")
            check(f"another one ({said})", status == 0)
            same("sr0", "two")
            command(bothy, "insert", "m", "cd0", f"{d}/one")
            got, _ = g.shell("mount -t ext4 -o ro,noload /dev/sr0 /mnt && echo mounted")
            check(f"it can be mounted ({got})", got == "mounted")
            status, said = command(bothy, "eject", "m", "cd0")
            check(f"the guest has locked it: {said}", status == 1 and "locked" in said)
            status, said = command(bothy, "eject", "m", "cd0", "--force")
            check(f"--force ejects it ({said})", status == 0)
            g.shell("umount /mnt")
            got, _ = g.shell("dd if=/dev/sr0 of=/dev/null bs=2k count=1 2>&1 | head -1")
            check(f"the drive is empty ({got})", "No medium" in got)
            status, said = command(bothy, "insert", "m", "floppy0", f"{d}/odd")
            check(f"no diskette has that size: {said}", status == 1)
            status, said = command(bothy, "insert", "m", "floppy0", f"{d}/floppy")
            check(f"a diskette goes in ({said})", status == 0)
            same("fd0", "floppy")
            status, said = command(bothy, "eject", "m", "floppy0")
            check(f"and comes out ({said})", status == 0)
            got, _ = g.shell("dd if=/dev/fd0 of=/dev/null bs=512 count=1 2>&1 | head -1", 120)
            check(f"the diskette drive is empty ({got})", "No such device" in got or "error" in got)
            status, said = command(bothy, "eject", "m", "disk7")
            check(f"what isn't there is named: {said}", status == 1 and "cd0, floppy0" in said)
            g.type("poweroff -f")
            check("status 0 after power off", g.wait(60) == 0)


TESTS = {"linux": linux, "bios": bios, "efi": efi, "media": media}

if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[2] not in TESTS or sys.argv[3] not in NAMES:
        print(__doc__)
        sys.exit(2)
    main(lambda: TESTS[sys.argv[2]](os.path.abspath(sys.argv[1]), *sys.argv[3:]))
