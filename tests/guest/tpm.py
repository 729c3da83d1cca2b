#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The TPM under Linux's own drivers.

  tpm.py BOTHY MODEL     tis or crb: random numbers, PCRs extended and reset; its state is kept in a
                         folder; swtpm ends with bothy, however that ends
  tpm.py BOTHY socket    an swtpm that runs already
  tpm.py BOTHY bios      SeaBIOS measures, and hands its log over
  tpm.py BOTHY efi       OVMF measures, and hands its log over

Further words are options of `bothy run`.
"""
import os
import subprocess
import sys
import time

from boot import BOOT_SECONDS, grub_iso, need, write
from efi import esp_disk
from guest import Guest, check, children, images, main, work_dir

# TPM 2.0 Library, part 3: 16.1, 22.2, 22.8, 31.3
GET_RANDOM = "80010000000c0000017b0020"
EXTEND_23 = ("8002000000410000018200000017" + "00000009" + "4000000900000000 00".replace(" ", "") +
             "00000001000b" + "ab" * 32)
DEFINE_NV = ("80020000002d0000012a40000001" + "00000009" + "400000090000000000" + "0000" + "000e" +
             "01000001" + "000b" + "00060006" + "0000" + "0008")
WRITE_NV = ("80020000002b0000013740000001" + "01000001" + "00000009" + "400000090000000000" + "0008" +
            "626f746879206f6b" + "0000")
READ_NV = ("8002000000230000014e40000001" + "01000001" + "00000009" + "400000090000000000" + "0008" +
           "0000")


def command(g, text):
    """The answer to a TPM command, in hexadecimal digits."""
    escaped = "".join(f"\\x{text[i:i + 2]}" for i in range(0, len(text), 2))
    got, _ = g.shell(f"exec 3<>/dev/tpm0; printf '{escaped}' >&3; dd bs=4096 count=1 <&3 2>/dev/null"
                     " | od -An -v -tx1 | tr -d ' \\n'; exec 3>&-", 60)
    return got


def good(answer):
    return answer[12:20] == "00000000" and int(answer[4:12], 16) == len(answer) // 2


def pcr(g, n, bank="sha256"):
    return g.shell(f"cat /sys/class/tpm/tpm0/pcr-{bank}/{n}", 60)[0].lower()


def swtpm_of(g):
    return [p for p in children(g.pid) if "swtpm" in open(f"/proc/{p}/comm", encoding="ascii").read()]


def power_off(g):
    g.type("poweroff -f")
    check("status 0 after power off", g.wait(60) == 0)


def linux(d, model, *options):
    kernel, initrd = images()
    return ["--kernel", kernel, "--initrd", initrd, "-m", "256M", "--net", "none", "--append",
            "console=ttyS0 quiet", f"--tpm={model}", "--tpm-state", f"{d}/state", *options]


def use(g, model):
    got, _ = g.shell("cat /sys/class/tpm/tpm0/tpm_version_major; ls -l /sys/class/tpm/tpm0/device/driver")
    check(f"a TPM 2.0 under Linux's driver ({got})", f"tpm_{model}" in got)
    a, b = command(g, GET_RANDOM), command(g, GET_RANDOM)
    check("32 random bytes, others each time", good(a) and good(b) and len(a) == 88 and a != b)
    check("PCR 16 is zero", pcr(g, 16) == "0" * 64)
    check("PCR 23 is zero", pcr(g, 23) == "0" * 64)
    check("PCR 23 can be extended", good(command(g, EXTEND_23)) and pcr(g, 23) != "0" * 64)
    rng, _ = g.shell("cat /sys/class/misc/hw_random/rng_available")
    # Linux wants no random numbers of a CRB beside an AMD processor: its own stutters over them.
    off, _ = g.shell("dmesg | grep -c 'tpm_crb .*: Disabling hwrng'")
    amd, _ = g.shell("grep -c AuthenticAMD /proc/cpuinfo")
    if off != "0":
        check("only AMD's processors go without", amd != "0" and "tpm-rng" not in rng)
    else:
        check(f"it feeds /dev/hwrng ({rng})", "tpm-rng" in rng)


def interface(bothy, model, *options):
    need("swtpm")
    with work_dir() as d:
        words = linux(d, model, *options)
        with Guest(bothy, *words) as g:
            g.to_shell(BOOT_SECONDS)
            use(g, model)
            check("a place in its memory", good(command(g, DEFINE_NV)))
            check("is written", good(command(g, WRITE_NV)))
            power_off(g)
        check("the state has its folder", os.path.exists(f"{d}/state/tpm2-00.permall"))
        with Guest(bothy, *words) as g:
            g.to_shell(BOOT_SECONDS)
            got = command(g, READ_NV)
            check("what was written is there in the next VM", "626f746879206f6b" in got)
            check("and PCR 23 is zero again", pcr(g, 23) == "0" * 64)
            second = subprocess.run([bothy, "run", *words], stdin=subprocess.DEVNULL, timeout=120,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                    check=False)
            check("a second VM can't have the same folder",
                  second.returncode == 1 and "in use by another VM" in second.stdout)
            helper = swtpm_of(g)
            check("swtpm runs", len(helper) == 1)
            g.kill()
            end = time.monotonic() + 20
            while os.path.exists(f"/proc/{helper[0]}") and time.monotonic() < end:
                time.sleep(0.1)
            check("and ends when bothy is killed", not os.path.exists(f"/proc/{helper[0]}"))


def socket(bothy, *options):
    need("swtpm")
    with work_dir() as d:
        kernel, initrd = images()
        os.mkdir(f"{d}/state")
        tpm = subprocess.Popen(["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={d}/state", "--ctrl",
                                f"type=unixio,path={d}/ctrl", "--terminate"])
        try:
            while not os.path.exists(f"{d}/ctrl"):
                time.sleep(0.05)
            with Guest(bothy, "--kernel", kernel, "--initrd", initrd, "-m", "256M", "--net", "none",
                       "--append", "console=ttyS0 quiet", "--tpm-state", f"unix:{d}/ctrl",
                       *options) as g:
                g.to_shell(BOOT_SECONDS)
                use(g, "tis")
                tpm.kill()
                tpm.wait()
                g.expect_error("swtpm has gone")
                check("a dead TPM is in failure mode", command(g, GET_RANDOM)[12:20] == "00000101")
                power_off(g)
        finally:
            tpm.kill()
            tpm.wait()


def measured(g, firmware):
    pcrs = [pcr(g, i) for i in range(8)]
    check(f"{firmware} has measured: PCR 0 is {pcrs[0][:16]}...", pcrs[0] != "0" * 64)
    check("PCR 4, what was started, is not zero", pcrs[4] != "0" * 64)
    g.shell("mkdir -p /sys/kernel/security; mount -t securityfs none /sys/kernel/security")
    size, _ = g.shell("wc -c </sys/kernel/security/tpm0/binary_bios_measurements")
    check(f"its log came along ({size} bytes)", int(size or 0) > 200)


def bios(bothy, *options):
    need("swtpm")
    with work_dir() as d:
        iso = grub_iso(d, "linux /boot/vmlinuz console=ttyS0 quiet\ninitrd /boot/initrd.img\nboot\n")
        with Guest(bothy, iso, "-m", "512M", "--net", "none", "--tpm=tis", *options) as g:
            g.to_shell(BOOT_SECONDS)
            measured(g, "SeaBIOS")
            power_off(g)


def efi(bothy, *options):
    """The kernel as an EFI program: its stub takes the log along."""
    need("swtpm")
    kernel, initrd = images()
    with work_dir() as d:
        write(f"{d}/startup.nsh", "fs0:\r\nvmlinuz.efi console=ttyS0 quiet initrd=\\initrd.img\r\n")
        disk = esp_disk(d, {"vmlinuz.efi": kernel, "initrd.img": initrd,
                            "startup.nsh": f"{d}/startup.nsh"})
        with Guest(bothy, disk, "--firmware", "efi", "-m", "512M", "--net", "none", "--tpm=crb",
                   *options) as g:
            g.to_shell(BOOT_SECONDS)
            measured(g, "OVMF")
            power_off(g)


if __name__ == "__main__":
    cases = {"tis": interface, "crb": interface, "socket": socket, "bios": bios, "efi": efi}
    if len(sys.argv) < 3 or sys.argv[2] not in cases:
        print(__doc__)
        sys.exit(2)
    case = cases[sys.argv[2]]
    first = 2 if case is interface else 3
    main(lambda: case(os.path.abspath(sys.argv[1]), *sys.argv[first:]))
