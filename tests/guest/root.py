#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Debian on a partitioned disk as its own root file system: boot loader, Linux's driver, systemd, a
login, work on the disk, power off, a file system check.

  root.py BOTHY BUS [bios|efi]   on that controller, written to in place
  root.py BOTHY layer            given as a plain FILE: on IDE, with a throw-away layer

BUS: ahci, ehci, ide, nvme, scsi, virtio, xhci (ehci and xhci: a USB disk). The disk starts both
ways: GRUB for the BIOS in front of the first partition, GRUB for EFI on an EFI system partition.
Further words are options of `bothy run`. A tool or package that is missing skips the test.
"""
import os
import re
import struct
import subprocess
import sys

from boot import BOOT_SECONDS, MIB, need, run, write
from efi import OVMF, plain
from guest import DISK_MODULES, Failed, Guest, check, copy_sparse, debian_disk, images_with, main, \
    work_dir

ESP_AT, ROOT_AT = 1, 64  # MiB
PARTITION = {"ahci": "sda2", "ehci": "sda2", "ide": "sda2", "nvme": "nvme0n1p2", "scsi": "sda2",
             "virtio": "vda2", "xhci": "sda2"}
USB_MODULES = ("xhci_pci", "ehci_pci", "usb_storage")
MODULES = "part_msdos ext2 linux normal serial terminal echo".split()


def loaders(d):
    """GRUB for both kinds of firmware; both read /boot/grub/grub.cfg of the second partition."""
    need("grub-mkimage", "mformat", "mmd", "mcopy",
         files=["/usr/lib/grub/i386-pc/boot.img", "/usr/lib/grub/x86_64-efi/linux.mod"])
    for kind, disk in (("i386-pc", ["biosdisk"]), ("x86_64-efi", ["fat", "boot"])):
        run("grub-mkimage", "-O", kind, "-o", f"{d}/grub.{kind}", "-p", "(hd0,msdos2)/boot/grub",
            *MODULES, *disk)


def make_disk(d, partition):
    """Its path. The root file system is on the second partition, which the guest calls
    @partition."""
    loaders(d)
    kernel, initrd = images_with("root", *DISK_MODULES, *USB_MODULES)
    disk, ext4 = f"{d}/disk.img", f"{d}/ext4.img"
    copy_sparse(debian_disk(), ext4)
    write(f"{d}/grub.cfg",
          "serial --unit=0 --speed=115200\nterminal_output serial\necho 'GRUB on a disk'\n"
          f"linux /boot/vmlinuz console=ttyS0 root=/dev/{partition}\n"
          "initrd /boot/initrd.img\nboot\n")
    write(f"{d}/fstab", f"/dev/{partition} / ext4 defaults 0 1\n")
    run("debugfs", "-w", "-f", "/dev/stdin", ext4,
        input=f"mkdir /boot/grub\nwrite {d}/grub.cfg /boot/grub/grub.cfg\n"
              f"write {kernel} /boot/vmlinuz\nwrite {initrd} /boot/initrd.img\n"
              f"rm /etc/fstab\nwrite {d}/fstab /etc/fstab\n")
    boot = bytearray(open("/usr/lib/grub/i386-pc/boot.img", "rb").read())
    core = open(f"{d}/grub.i386-pc", "rb").read()
    check("GRUB's core image fits in front of the partition", len(core) <= ESP_AT * MIB - 512)
    boot[446:510] = bytes(64)
    size = os.path.getsize(ext4)
    for i, (kind, at, length) in enumerate(((0xef, ESP_AT * MIB, (ROOT_AT - ESP_AT) * MIB),
                                            (0x83, ROOT_AT * MIB, size))):
        boot[446 + 16 * i:462 + 16 * i] = struct.pack(
            "<8B2I", 0x80 if kind == 0x83 else 0, 0xfe, 0xff, 0xff, kind, 0xfe, 0xff, 0xff,
            at // 512, length // 512)
    boot[510:512] = b"\x55\xaa"
    with open(disk, "wb") as f:
        f.write(boot + core)
        f.truncate(ROOT_AT * MIB + size)
    run("dd", f"if={ext4}", f"of={disk}", "bs=1M", f"seek={ROOT_AT}", "conv=notrunc,sparse",
        "status=none")
    os.unlink(ext4)
    esp = f"{disk}@@{ESP_AT * MIB}"
    run("mformat", "-F", "-h", "255", "-s", "63", "-T", str((ROOT_AT - ESP_AT) * 2048), "-i", esp,
        "::")
    run("mmd", "-i", esp, "::EFI", "::EFI/BOOT")
    run("mcopy", "-i", esp, f"{d}/grub.x86_64-efi", "::EFI/BOOT/BOOTX64.EFI")
    return disk


def use(g):
    """From the boot loader to power off."""
    plain(g, r"GRUB on a disk", BOOT_SECONDS)
    at, m = g.expect(r"login: *$|^error: .*", 900, prompt=True)
    if m.group().startswith("error"):
        raise Failed(f"GRUB says: {m.group()}")
    print(f"login prompt after {at - g.began:.1f} s")
    g.type("root")
    g.expect(r"assword: *$", 60, prompt=True)
    g.type("bothy")
    g.expect(r"# *$", 120, prompt=True)
    g.type("bind 'set enable-bracketed-paste off'; dmesg -n 1")
    # what no package of this image provides may fail; nothing that needs the disk may
    state, _ = g.shell("systemctl --failed --plain --no-legend | cut -d' ' -f1 | tr '\\n' ' '", 120)
    check(f"no unit failed ({state})", not state.strip())
    same, _ = g.shell("head -c 64M /dev/urandom >/root/x; sync; sha256sum </root/x >/root/s1;"
                      " echo 3 >/proc/sys/vm/drop_caches; sha256sum </root/x >/root/s2;"
                      " cmp /root/s1 /root/s2 && echo same", 300)
    check(f"64 MiB written and read back are the same ({same})", same == "same")
    bad, _ = g.shell("dmesg | grep -E '(ata[0-9]|sd |nvme|scsi|vd[a-z]|usb|[xe]hci|EXT4).*([Ee]rror"
                     "|[Ff]ailed|exception|timeout|timed out|reset|WARN)'"
                     " | grep -vE 'reset_method|default to|[Pp]ower-on|errors=' | head -3", 60)
    check(f"the drivers complain of nothing ({bad})", not bad)
    g.type("poweroff")
    check("status 0 after power off", g.wait(300) == 0)


def fsck(disk):
    done = subprocess.run(["e2fsck", "-fn", f"{disk}?offset={ROOT_AT * MIB}"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        print(done.stdout)
    check("e2fsck finds nothing wrong", done.returncode == 0)
    check("the file system was unmounted", not re.search(r"recovering journal", done.stdout))


def root(bothy, bus, firmware="bios", *options):
    need("debugfs", "e2fsck", files=[OVMF] if firmware == "efi" else [])
    with work_dir() as d:
        disk = make_disk(d, PARTITION[bus])
        usb = bus in ("ehci", "xhci")
        words = ["--disk", f"{disk},if={'usb' if usb else bus}", *(["--usb", bus] if usb else [])]
        with Guest(bothy, *words, "--firmware", firmware, "-m", "512M", "--net", "none",
                   *options) as g:
            use(g)
        fsck(disk)


def layer(bothy, *options):
    need("debugfs")
    with work_dir() as d:
        disk = make_disk(d, PARTITION["ide"])
        before = os.stat(disk).st_mtime_ns
        with Guest(bothy, disk, "--firmware", "bios", "-m", "512M", "--net", "none",
                   *options) as g:
            g.expect_error(r"disk with an MBR and 2 partitions")
            g.expect_error(r"what the guest writes is gone at the end")
            use(g)
        check("nothing was written to the image", os.stat(disk).st_mtime_ns == before)


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[2] not in [*PARTITION, "layer"]:
        print(__doc__)
        sys.exit(2)
    if sys.argv[2] == "layer":
        main(lambda: layer(os.path.abspath(sys.argv[1]), *sys.argv[3:]))
    else:
        main(lambda: root(os.path.abspath(sys.argv[1]), *sys.argv[2:]))
