#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The SMBus of a pc under Linux's drivers: the EEPROMs of the memory modules.

  smbus.py BOTHY      further words are options of `bothy run`
"""
import os
import sys

from boot import BOOT_SECONDS
from guest import Guest, check, images_with, main


def smbus(bothy, *options):
    kernel, initrd = images_with("smbus", "i2c_piix4", "at24")
    with Guest(bothy, "--kernel", kernel, "--initrd", initrd, "-m", "768M", "--net", "none",
               "--append", "console=ttyS0", *options) as g:
        g.to_shell(BOOT_SECONDS)
        found, _ = g.shell("dmesg | grep -o 'SMBus Host Controller at 0x[0-9a-f]*'")
        check(f"the controller is found ({found})", "at 0xb100" in found)
        for i, (size, rows) in enumerate((("80", "0d"), ("40", "0d"))):
            g.shell(f"[ -e /sys/bus/i2c/devices/0-005{i} ] || echo spd 0x5{i} "
                    ">/sys/bus/i2c/devices/i2c-0/new_device")
            got, _ = g.shell(f"od -An -v -tx1 /sys/bus/i2c/devices/0-005{i}/eeprom | tr -d ' \\n'")
            spd = bytes.fromhex(got)
            check(f"module {i}: 256 bytes, DDR2, sum right", len(spd) == 256 and spd[2] == 8 and
                  sum(spd[:63]) & 255 == spd[63])
            check(f"module {i}: density {spd[31]:02x}, {spd[3]} rows",
                  f"{spd[31]:02x}" == size and f"{spd[3]:02x}" == rows)
            check(f"module {i} has a name", spd[73:83] == b"BOTHY DDR2")
        got, _ = g.shell("echo spd 0x52 >/sys/bus/i2c/devices/i2c-0/new_device; "
                         "od -An -tx1 /sys/bus/i2c/devices/0-0052/eeprom 2>&1 | head -1")
        check(f"there is no third ({got})", "BOTHY" not in got and "80 08" not in got)
        g.type("poweroff -f")
        check("status 0 after power off", g.wait(60) == 0)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print(__doc__)
        sys.exit(2)
    main(lambda: smbus(os.path.abspath(sys.argv[1]), *sys.argv[2:]))
