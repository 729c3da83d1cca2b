#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
What a PC starts from: boot loaders of Debian's packages on CDs, diskettes and IDE disks, through
the BIOS, and Linux's own drivers for those drives.

  boot.py BOTHY xen             the Xen hypervisor with Linux as its first guest, by GRUB
  boot.py BOTHY grub_cd         a GRUB rescue ISO with Linux on it
  boot.py BOTHY reboot          GRUB restarts through the BIOS, five times
  boot.py BOTHY isolinux        an ISOLINUX CD
  boot.py BOTHY diskette        SYSLINUX on a diskette, packed with xz
  boot.py BOTHY memtest         Memtest86+ from its ISO, on the text screen
  boot.py BOTHY menu            the BIOS's boot menu, by key, and --boot's order
  boot.py BOTHY network         iPXE's option ROM gets an address over virtio-net
  boot.py BOTHY tftp            iPXE runs scripts it gets by TFTP
  boot.py BOTHY chain           iPXE starts another iPXE by TFTP
  boot.py BOTHY rescue          GRUB's rescue CD and diskette, used by keyboard
  boot.py BOTHY drives          Linux reads and writes IDE disk, CD and diskette

Further words are options of `bothy run`. A tool or package that is missing skips the test.
"""
import hashlib
import os
import re
import shutil
import struct
import subprocess
import sys
import time

from guest import DISK_MODULES, Guest, check, images, images_with, main, skip, work_dir

BOOT_SECONDS = 300
MIB = 1 << 20


def need(*tools, files=()):
    os.environ["PATH"] += ":/sbin:/usr/sbin"
    for t in tools:
        if not shutil.which(t):
            skip(f"no {t}: run tools/bootstrap check-long")
    for f in files:
        if not os.path.exists(f):
            skip(f"no {f}: run tools/bootstrap check-long")


def run(*words, **more):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **more)
    if done.returncode:
        print(done.stdout)
        check(f"{' '.join(words)}: status {done.returncode}", False)


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def pc_initrd(d, modules=DISK_MODULES):
    """The test kernel and its initramfs with more modules, by default those of a PC's drives."""
    if not modules:
        return images()
    return images_with("disks" if modules == DISK_MODULES else "-".join(modules), *modules)


def grub_iso(d, config):
    """An ISO with GRUB, the guest's kernel and initramfs."""
    need("grub-mkrescue", "xorriso", "mformat", files=["/usr/lib/grub/i386-pc/boot.img"])
    kernel, initrd = images()
    os.makedirs(f"{d}/iso/boot", exist_ok=True)
    shutil.copy(kernel, f"{d}/iso/boot/vmlinuz")
    shutil.copy(initrd, f"{d}/iso/boot/initrd.img")
    write(f"{d}/iso/boot/grub/grub.cfg",
          "serial --unit=0 --speed=115200\nterminal_input serial\nterminal_output serial\n" +
          config)
    run("grub-mkrescue", "-d", "/usr/lib/grub/i386-pc", "-o", f"{d}/x.iso", f"{d}/iso")
    return f"{d}/x.iso"


def boots_linux(g):
    g.expect(r"Linux version", BOOT_SECONDS)
    g.expect(r"BIOS-e820: \[mem 0x0+-0x0*9fbff\] usable")
    g.expect(r"bothy-guest: first line of /init", BOOT_SECONDS)
    check("status 0 after power off", g.wait(60) == 0)


def grub_cd(bothy, *options):
    with work_dir() as d:
        iso = grub_iso(d, 'echo "GRUB says hello"\n'
                          "linux /boot/vmlinuz console=ttyS0 init-exit\n"
                          "initrd /boot/initrd.img\nboot\n")
        with Guest(bothy, iso, "-m", "512M", "--net", "none", *options) as g:
            g.expect_error(r"bootable CD \(El Torito\)")
            g.expect(r"GRUB says hello", BOOT_SECONDS)
            boots_linux(g)


def reboot(bothy, *options):
    with work_dir() as d:
        iso = grub_iso(d, 'echo "GRUB says hello"\nreboot\n')
        with Guest(bothy, iso, "-m", "64M", "--net", "none", *options) as g:
            for _ in range(5):
                g.expect(r"GRUB says hello", BOOT_SECONDS)
            check("GRUB came up five times", True)
        with Guest(bothy, iso, "-m", "64M", "--net", "none", "--no-reboot", *options) as g:
            g.expect(r"GRUB says hello", BOOT_SECONDS)
            check("--no-reboot: status 0", g.wait(60) == 0)


def xen(bothy, *options):
    """The hypervisor in ring 0, its first guest, Linux, in ring 3: PV, with the VM's devices."""
    image = "/boot/xen-4.17-amd64.gz"
    need(files=[image])
    with work_dir() as d:
        os.makedirs(f"{d}/iso/boot")
        shutil.copy(image, f"{d}/iso/boot/xen.gz")
        iso = grub_iso(d, "multiboot2 /boot/xen.gz - com1=115200,8n1 console=com1 loglvl=all\n"
                          "module2 /boot/vmlinuz - console=hvc0\n"
                          "module2 --nounzip /boot/initrd.img\nboot\n")
        with Guest(bothy, iso, "-m", "1G", "-c", "2", *options) as g:
            g.expect(r"Xen version 4\.17", BOOT_SECONDS)
            g.expect(r"Booting kernel on Xen|Booting paravirtualized kernel on Xen", BOOT_SECONDS)
            g.expect(r"eth0 has 10\.0\.2\.15", BOOT_SECONDS)
            g.to_shell(BOOT_SECONDS)
            check("Linux has both processors", g.shell("nproc")[0] == "2")
            sums = "seq 1 20000 | sort -n | sha256sum"
            alike, _ = g.shell(f"for i in 1 2 3 4; do ({sums}) & done | sort -u | wc -l", 300)
            check(f"four jobs give {alike} sums (want 1)", alike == "1")
            g.type("poweroff")
            check("status 0 after power off", g.wait(120) == 0)


def isolinux(bothy, *options):
    lib = "/usr/lib/syslinux/modules/bios/ldlinux.c32"
    need("xorriso", files=["/usr/lib/ISOLINUX/isolinux.bin", lib])
    kernel, initrd = images()
    with work_dir() as d:
        write(f"{d}/iso/isolinux/isolinux.cfg",
              "serial 0 115200\nsay isolinux is here\ndefault l\nlabel l\n kernel /vmlinuz\n"
              " initrd /initrd.img\n append console=ttyS0 init-exit\n")
        for f in ("/usr/lib/ISOLINUX/isolinux.bin", lib):
            shutil.copy(f, f"{d}/iso/isolinux/")
        shutil.copy(kernel, f"{d}/iso/vmlinuz")
        shutil.copy(initrd, f"{d}/iso/initrd.img")
        run("xorriso", "-as", "mkisofs", "-quiet", "-o", f"{d}/x.iso", "-b",
            "isolinux/isolinux.bin", "-c", "isolinux/boot.cat", "-no-emul-boot", "-boot-load-size",
            "4", "-boot-info-table", f"{d}/iso")
        with Guest(bothy, f"{d}/x.iso", "-m", "512M", "--net", "none", *options) as g:
            g.expect(r"isolinux is here", BOOT_SECONDS)
            boots_linux(g)


def diskette(bothy, *options):
    need("mformat", "mcopy", "syslinux", "xz")
    with work_dir() as d:
        image = f"{d}/dos.img"
        run("mformat", "-C", "-f", "1440", "-i", image, "::")
        write(f"{d}/syslinux.cfg", "say syslinux on a diskette\nprompt 1\n")
        run("mcopy", "-i", image, f"{d}/syslinux.cfg", "::")
        run("syslinux", "--install", image)
        run("xz", image)
        with Guest(bothy, f"{image}.xz", "-m", "16M", "--net", "none", *options) as g:
            g.expect_error(r"packed \(xz\)")
            g.expect_error(r"diskette of 1440 KiB")
            g.expect(r"syslinux on a diskette", BOOT_SECONDS)
            g.expect(r"boot: *$", 60, prompt=True)
            g.type("nothing")
            g.expect(r"No such file or directory", 60)


def memtest(bothy, *options):
    iso = "/usr/lib/memtest86+/memtest86+x64.iso"
    need(files=[iso])
    with work_dir() as d:
        os.environ["XDG_RUNTIME_DIR"] = d
        with Guest(bothy, iso, "-m", "32M", "--net", "none", "--name", "m", *options) as g:
            end, text = time.monotonic() + BOOT_SECONDS, ""
            while time.monotonic() < end and g.process.poll() is None and \
                    not re.search(r"Pass: +[1-9]", text):
                time.sleep(2)
                text = subprocess.run([bothy, "screen", "m"], stdout=subprocess.PIPE, text=True,
                                      stderr=subprocess.DEVNULL, check=False).stdout
            print(text)
            check("Memtest86+ made a pass", re.search(r"Pass: +[1-9]", text))
            check("it found no error", re.search(r"Errors: 0\b", text))


def digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def drives(bothy, *options):
    with work_dir() as d:
        kernel, initrd = pc_initrd(d)
        for name, size in (("floppy", 1440 * 1024), ("cd", 5 * MIB), ("disk", 9 * MIB)):
            with open(f"{d}/{name}", "wb") as f:
                f.write(os.urandom(size))
        with Guest(bothy, "--kernel", kernel, "--initrd", initrd, "-m", "256M", "--net", "none",
                   "--append", "console=ttyS0 quiet", "--floppy", f"{d}/floppy", "--cdrom",
                   f"{d}/cd", "--disk", f"{d}/disk,if=ide", *options) as g:
            g.to_shell(BOOT_SECONDS)
            for dev, name in (("sda", "disk"), ("sr0", "cd"), ("fd0", "floppy")):
                got, at = g.shell(f"sha256sum /dev/{dev} | cut -c1-64", 300)
                check(f"/dev/{dev} reads as its image", got == digest(f"{d}/{name}"))
            g.shell("dd if=/dev/urandom of=/tmp/r bs=64k count=48;"
                    " dd if=/tmp/r of=/dev/sda bs=64k seek=16;"
                    " dd if=/tmp/r of=/dev/fd0 bs=9k count=20 seek=100; sync", 300)
            sums, _ = g.shell("sha256sum /tmp/r | cut -c1-64", 60)
            dsum, _ = g.shell("head -c 184320 /tmp/r | sha256sum | cut -c1-64", 60)
            g.type("poweroff -f")
            check("status 0 after power off", g.wait(60) == 0)
        with open(f"{d}/disk", "rb") as f:
            f.seek(MIB)
            check("what was written to the disk is there",
                  hashlib.sha256(f.read(3 * MIB)).hexdigest() == sums)
        with open(f"{d}/floppy", "rb") as f:
            f.seek(900 * 1024)
            check("what was written to the diskette is there",
                  hashlib.sha256(f.read(184320)).hexdigest() == dsum)


def letter_disk(path, letter):
    """A disk whose boot sector writes a line to the first serial port and stops."""
    code = bytearray(b"\xba\xf8\x03\xbe\x15\x7c\xac\x84\xc0\x74\x08\xee\xb9\x00\x10\xe2\xfe"
                     b"\xeb\xf3\xfa\xf4")
    code[3:6] = b"\xbe" + struct.pack("<H", 0x7c00 + len(code))
    code += f"\r\ndisk {letter} starts\r\n\0".encode()
    with open(path, "wb") as f:
        f.write(code.ljust(510, b"\0") + b"\x55\xaa")
        f.truncate(MIB)


def menu(bothy, *options):
    with work_dir() as d:
        for letter in "AB":
            letter_disk(f"{d}/{letter}", letter)
        disks = ["--disk", f"{d}/A,if=ide,overlay", "--disk", f"{d}/B,if=ide,overlay", "-m", "32M",
                 "--net", "none", *options]
        with Guest(bothy, *disks) as g:
            g.expect(r"disk A starts", BOOT_SECONDS)
        with Guest(bothy, "--boot", "menu", *disks) as g:
            g.expect(r"Press ESC for boot menu", BOOT_SECONDS)
            g.keys(b"\x1b")
            g.expect(r"Select boot device", 60)
            m = g.expect(r"(\d)\. .*(ata0-1|HD1)", 60)[1]
            g.keys(m.group(1).encode())
            g.expect(r"disk B starts", 60)
            check("the menu's key started the second disk", True)
        with Guest(bothy, "--boot", "menu", *disks) as g:
            g.expect(r"disk A starts", BOOT_SECONDS)
            check("without a key the first disk starts", True)


def network(bothy, *options):
    need(files=["/usr/lib/ipxe/qemu/pxe-virtio.rom"])
    with Guest(bothy, "--boot", "net", "--net", "nat", "-m", "64M", *options) as g:
        g.expect(r"iPXE.*starting execution", BOOT_SECONDS)
        g.expect(r"net0: 10\.0\.2\.15/255\.255\.255\.0 gw 10\.0\.2\.2", BOOT_SECONDS)
        check("iPXE has an address", True)


def tftp(bothy, *options):
    """iPXE gets a script of this host's by TFTP; files outside the directory stay there."""
    need(files=["/usr/lib/ipxe/qemu/pxe-e1000.rom"])
    model = next((o for o in options if not o.startswith("-")), "e1000")
    with work_dir() as d:
        write(f"{d}/secret", "#!ipxe\necho this is not for you\n")
        write(f"{d}/tftp/sub/second.ipxe", "#!ipxe\necho second file of ${filename}\n"
              "chain tftp://10.0.2.2//../secret || chain tftp://10.0.2.2/leak ||"
              " chain tftp://10.0.2.2/none || echo and no more\n")
        os.symlink("../secret", f"{d}/tftp/leak")
        os.symlink("sub", f"{d}/tftp/link")
        os.symlink("../sub", f"{d}/tftp/sub/circle")
        write(f"{d}/tftp/first.ipxe", "#!ipxe\necho first file\n"
              "chain tftp://${next-server}/link/second.ipxe\n")
        with Guest(bothy, "--boot", "net", "--net",
                   f"nat,tftp={d}/tftp,bootfile=first.ipxe,model={model}", "-m", "64M") as g:
            g.expect(r"iPXE.*starting execution", BOOT_SECONDS)
            g.expect(r"first file", BOOT_SECONDS)
            g.expect(r"second file of first.ipxe", 60)
            g.expect(r"and no more", 60)
            check("nothing else was served",
                  not any("not for you" in text for _, text in g.lines))


def chain(bothy, *options):
    """iPXE's option ROM starts the iPXE of Debian's package, with a script, over TFTP."""
    lkrn = "/boot/ipxe.lkrn"
    need(files=["/usr/lib/ipxe/qemu/pxe-virtio.rom", lkrn])
    with work_dir() as d:
        write(f"{d}/tftp/first.ipxe", "#!ipxe\necho first loader is ${version}\n"
              "kernel ipxe.lkrn\ninitrd second.ipxe\nboot\n")
        write(f"{d}/tftp/second.ipxe", "#!ipxe\necho second loader is ${version}\ndhcp\n"
              "chain tftp://10.0.2.2/third.ipxe\n")
        write(f"{d}/tftp/third.ipxe", "#!ipxe\necho third file, by ${net0/ip}\n")
        shutil.copy(lkrn, f"{d}/tftp/")
        with Guest(bothy, "--boot", "net", "--net", f"nat,tftp={d}/tftp,bootfile=first.ipxe",
                   "-m", "128M", *options) as g:
            g.expect(r"first loader is", BOOT_SECONDS)
            g.expect(r"second loader is", BOOT_SECONDS)
            check("another iPXE was started", True)
            g.expect(r"third file, by 10\.0\.2\.15", BOOT_SECONDS)
            check("it has an address and got a file", True)


def rescue(bothy, *options):
    """Debian's GRUB rescue images, CD and diskette, used at the screen."""
    where = "/usr/lib/grub-rescue"
    need(files=[f"{where}/grub-rescue-cdrom.iso", f"{where}/grub-rescue-floppy.img"])
    with work_dir() as d:
        os.environ["XDG_RUNTIME_DIR"] = d
        shutil.copy(f"{where}/grub-rescue-floppy.img", f"{d}/floppy")
        with open(f"{d}/floppy", "ab") as f:
            f.truncate(1440 * 1024)
        for words, drive in (([f"{where}/grub-rescue-cdrom.iso"], "(cd"),
                             (["--floppy", f"{d}/floppy"], "(fd0)")):
            with Guest(bothy, *words, "-m", "64M", "--net", "none", "--name", "r",
                       *options) as g:
                def shows(text, g=g):
                    end, got = time.monotonic() + BOOT_SECONDS, ""
                    while time.monotonic() < end and g.process.poll() is None and \
                            text not in got:
                        time.sleep(0.5)
                        got = subprocess.run([bothy, "screen", "r"], stdout=subprocess.PIPE,
                                             stderr=subprocess.DEVNULL, text=True,
                                             check=False).stdout
                    if text not in got:
                        print(got)
                    check(f"{text!r} is on the screen", text in got)
                shows("GNU GRUB")
                shows("Press enter to boot")
                subprocess.run([bothy, "sendkey", "r", "c"], check=False)
                shows("grub>")
                subprocess.run([bothy, "type", "r", "ls\n"], check=False)
                shows(drive)
                subprocess.run([bothy, "type", "r", "halt\n"], check=False)
                check("status 0 after halt", g.wait(60) == 0)


TESTS = {"grub_cd": grub_cd, "reboot": reboot, "isolinux": isolinux, "diskette": diskette,
         "memtest": memtest, "menu": menu,
         "network": network, "drives": drives, "tftp": tftp,
         "chain": chain, "rescue": rescue, "xen": xen}

if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[2] not in TESTS:
        print(__doc__)
        sys.exit(2)
    main(lambda: TESTS[sys.argv[2]](os.path.abspath(sys.argv[1]), *sys.argv[3:]))
