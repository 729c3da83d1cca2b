#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
What starts through EFI firmware (OVMF) on a PC.

  efi.py BOTHY shell      the firmware's shell; a variable outlives the machine; power off
  efi.py BOTHY grub       a disk with an EFI system partition: GRUB, then Linux through the EFI stub
  efi.py BOTHY cd         a CD that only EFI starts: GRUB, then Linux
  efi.py BOTHY secure     Secure Boot: Debian's signed shim, GRUB and kernel; a changed kernel; -c 2 too
  efi.py BOTHY memtest    Memtest86+ for EFI, started by the shell, through tests 0 to 3

Further words are options of `bothy run`. A tool or package that is missing skips the test.
"""
import os
import re
import shutil
import struct
import sys
import time

from boot import BOOT_SECONDS, need, run, write
from guest import CONTROLS, Guest, check, images, main, work_dir

OVMF = "/usr/share/OVMF/OVMF_CODE_4M.fd"
SECURE_OVMF = "/usr/share/OVMF/OVMF_CODE_4M.ms.fd"
SECTOR = 512


def esp_disk(d, files, mib=192):
    """A disk with an MBR and one FAT partition of type EFh; @files: name there -> file here."""
    need("mformat", "mcopy", "mmd")
    disk, first = f"{d}/disk.img", 2048
    sectors = mib * 2048 - first
    mbr = bytearray(512)
    mbr[446:462] = struct.pack("<8B2I", 0, 0xfe, 0xff, 0xff, 0xef, 0xfe, 0xff, 0xff, first, sectors)
    mbr[510:512] = b"\x55\xaa"
    with open(disk, "wb") as f:
        f.write(mbr)
        f.truncate(mib << 20)
    at = f"{disk}@@{first * SECTOR}"
    run("mformat", "-F", "-h", "255", "-s", "63", "-T", str(sectors), "-i", at, "::")
    made = set()
    for name, path in files.items():
        parts = name.split("/")[:-1]
        for n in range(1, len(parts) + 1):
            folder = "/".join(parts[:n])
            if folder not in made:
                run("mmd", "-i", at, f"::{folder}")
                made.add(folder)
        run("mcopy", "-i", at, path, f"::{name}")
    return disk


def plain(g, pattern, seconds):
    """expect() in text that is full of cursor movements."""
    end, seen = time.monotonic() + seconds, ""
    while time.monotonic() < end:
        with g.cond:
            text = "\n".join(t for _, t in g.lines) + g.rest
        seen = CONTROLS.sub("", text)
        found = re.search(pattern, seen)
        if found:
            return found
        if g.process.poll() is not None:
            break
        time.sleep(0.2)
    print(seen[-3000:])
    check(f"{pattern!r} within {seconds} s", False)
    return None


def enter(g, text):
    """A line for the firmware's console, as a terminal's Enter key sends it."""
    os.write(g.to, text.encode() + b"\r")


def shell(bothy, *options):
    need(files=[OVMF])
    with work_dir() as d:
        with open(f"{d}/disk.img", "wb") as f:
            f.truncate(16 << 20)
        words = ["--firmware", "efi", "--efi-vars", f"{d}/vars.fd", "--disk",
                 f"{d}/disk.img,overlay", "-m", "256M", "--net", "none", *options]
        with Guest(bothy, *words) as g:
            plain(g, r"UEFI Interactive Shell v2", BOOT_SECONDS)
            print(f"shell after {time.monotonic() - g.began:.1f} s")
            plain(g, r"Shell> $", 60)
            enter(g, "set bothy kept-by-flash")
            enter(g, "memmap")
            plain(g, r"Total Memory: +\d+ MB", 60)
            enter(g, "reset -s")
            check("status 0 after reset -s", g.wait(60) == 0)
        check("the variables have a file", os.path.getsize(f"{d}/vars.fd") >= 128 * 1024)
        with Guest(bothy, *words) as g:
            plain(g, r"Shell> $", BOOT_SECONDS)
            enter(g, "echo it is %bothy%")
            plain(g, r"it is kept-by-flash", 60)
            check("a variable outlives the machine", True)
            enter(g, "reset -w")
            g.read_to = len(g.lines)
            time.sleep(1)
            plain(g, r"(?s)reset -w.*UEFI Interactive Shell v2", BOOT_SECONDS)
            check("the shell comes up again after a warm reset", True)


def grub_disk(d):
    """A disk with GRUB, which starts Linux through the EFI stub."""
    need("grub-mkimage", files=[OVMF, "/usr/lib/grub/x86_64-efi/linux.mod"])
    kernel, initrd = images()
    write(f"{d}/grub.cfg", "serial --unit=0 --speed=115200\nterminal_output serial\n"
          "echo 'GRUB for EFI says hello'\nsearch --file --set=root /vmlinuz\n"
          "linux /vmlinuz console=ttyS0 init-exit\ninitrd /initrd.img\nboot\n")
    run("grub-mkimage", "-O", "x86_64-efi", "-o", f"{d}/grub.efi", "-c", f"{d}/grub.cfg",
        "-p", "/EFI/grub", "part_msdos", "fat", "linux", "normal", "serial", "terminal", "echo",
        "search", "search_fs_file", "boot")
    return esp_disk(d, {"EFI/BOOT/BOOTX64.EFI": f"{d}/grub.efi", "vmlinuz": kernel,
                        "initrd.img": initrd})


def grub(bothy, *options):
    with work_dir() as d:
        disk = grub_disk(d)
        with Guest(bothy, disk, "-m", "512M", "--net", "none", *options) as g:
            g.expect_error(r"one of them for EFI")
            plain(g, r"GRUB for EFI says hello", BOOT_SECONDS)
            plain(g, r"efi: EFI v2\.\d+ by EDK II", BOOT_SECONDS)
            plain(g, r"bothy-guest: first line of /init", BOOT_SECONDS)
            check("status 0 after power off", g.wait(60) == 0)
            text = "\n".join(t for _, t in g.lines)
            check("ACPI has no errors", not re.search(r"ACPI (BIOS )?(Error|Exception)", text))
            check("every base address register is inside a window",
                  not re.search(r"can't claim|no compatible bridge window", text))
            if "q35" in options:
                check("configuration space is where MCFG says, and reserved",
                      re.search(r"PCI: MMCONFIG at \[mem \S+\] reserved", text))
                check("the disk is on the AHCI controller",
                      re.search(r"pci 0000:00:1f.2: \[8086:\w+\] .* class 0x010601", text))


def cd(bothy, *options):
    need("grub-mkrescue", "xorriso", "mformat",
         files=[OVMF, "/usr/lib/grub/x86_64-efi/modinfo.sh"])
    kernel, initrd = images()
    with work_dir() as d:
        os.makedirs(f"{d}/iso/boot")
        shutil.copy(kernel, f"{d}/iso/boot/vmlinuz")
        shutil.copy(initrd, f"{d}/iso/boot/initrd.img")
        write(f"{d}/iso/boot/grub/grub.cfg",
              "serial --unit=0 --speed=115200\nterminal_output serial\n"
              "echo 'GRUB on a CD for EFI'\nlinux /boot/vmlinuz console=ttyS0 init-exit\n"
              "initrd /boot/initrd.img\nboot\n")
        run("grub-mkrescue", "-d", "/usr/lib/grub/x86_64-efi", "-o", f"{d}/x.iso", f"{d}/iso")
        with Guest(bothy, f"{d}/x.iso", "-m", "512M", "--net", "none", *options) as g:
            g.expect_error(r"bootable CD \(El Torito, for EFI\)")
            plain(g, r"GRUB on a CD for EFI", BOOT_SECONDS)
            plain(g, r"bothy-guest: first line of /init", BOOT_SECONDS)
            check("status 0 after power off", g.wait(60) == 0)


def memtest(bothy, *options):
    efi = "/boot/memtest86+x64.efi"
    need(files=[OVMF, efi])
    with work_dir() as d:
        write(f"{d}/startup.nsh", "echo memtest comes\nfs0:\\memtest.efi console=ttyS0,115200\n")
        disk = esp_disk(d, {"startup.nsh": f"{d}/startup.nsh", "memtest.efi": efi}, mib=40)
        with Guest(bothy, disk, "-m", "128M", "--net", "none", *options) as g:
            plain(g, r"memtest comes", BOOT_SECONDS)
            text = plain(g, r"(?s)memtest comes.*#[4-9] +\[\w", 900)[0]
            counts = re.findall(r"Errors: (\d+)", text)
            check("Memtest86+ went through tests 0 to 3 without an error",
                  counts and set(counts) == {"0"})


def signed_disk(d):
    """Debian's signed boot chain: shim, GRUB, kernel."""
    shim, grub = "/usr/lib/shim/shimx64.efi.signed", "/usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed"
    need(files=[SECURE_OVMF, shim, grub])
    kernel, initrd = images()
    write(f"{d}/grub.cfg", "serial --unit=0 --speed=115200\nterminal_output serial\n"
          "echo 'signed GRUB says hello'\nsearch --file --set=root /vmlinuz\n"
          "linux /vmlinuz console=ttyS0 init-exit\ninitrd /initrd.img\nboot\n")
    return {"EFI/BOOT/BOOTX64.EFI": shim, "EFI/BOOT/grubx64.efi": grub,
            "EFI/debian/grub.cfg": f"{d}/grub.cfg", "boot/grub/grub.cfg": f"{d}/grub.cfg",
            "vmlinuz": kernel, "initrd.img": initrd}


def secure(bothy, *options):
    with work_dir() as d:
        files = signed_disk(d)
        words = ["--firmware", "efi-secure", "-m", "512M", "--net", "none", *options]
        with Guest(bothy, *words, "--disk", esp_disk(d, files) + ",overlay") as g:
            plain(g, r"signed GRUB says hello", BOOT_SECONDS)
            plain(g, r"Secure boot enabled", BOOT_SECONDS)
            plain(g, r"bothy-guest: first line of /init", BOOT_SECONDS)
            check("status 0 after power off", g.wait(60) == 0)
        # a byte of the kernel changed: its signature does not hold any more
        with open(files["vmlinuz"], "rb") as f:
            kernel = bytearray(f.read())
        kernel[len(kernel) // 2] ^= 1
        with open(f"{d}/vmlinuz", "wb") as f:
            f.write(kernel)
        files["vmlinuz"] = f"{d}/vmlinuz"
        with Guest(bothy, *words, "--disk", esp_disk(d, files) + ",overlay") as g:
            plain(g, r"signed GRUB says hello", BOOT_SECONDS)
            plain(g, r"(?i)bad shim signature|prohibited by secure boot|verification fail", BOOT_SECONDS)
            check("a changed kernel does not start", True)
        with Guest(bothy, "--firmware", SECURE_OVMF, "--machine", "pc", "--disk",
                   f"{d}/disk.img,overlay", *options) as g:
            g.expect_error(r"system management mode.*use --machine q35")
            check("status 1", g.wait(10) == 1)


TESTS = {"cd": cd, "secure": secure, "shell": shell, "grub": grub, "memtest": memtest}

if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[2] not in TESTS:
        print(__doc__)
        sys.exit(2)
    main(lambda: TESTS[sys.argv[2]](os.path.abspath(sys.argv[1]), *sys.argv[3:]))
