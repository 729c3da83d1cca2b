#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The SMBus of a machine under Linux's drivers: the EEPROMs of the memory modules.

  smbus.py BOTHY pc|q35      further words are options of `bothy run`
"""
import os
import sys

from boot import BOOT_SECONDS
from guest import Guest, check, images_with, main


def smbus(bothy, machine, *options):
    kernel, initrd = images_with("smbus", "i2c_piix4", "i2c_i801", "at24")
    with Guest(bothy, "--machine", machine, "--kernel", kernel, "--initrd", initrd, "-m", "768M",
               "--net", "none", "--append", "console=ttyS0", *options) as g:
        g.to_shell(BOOT_SECONDS)
        found, _ = g.shell("cat /sys/bus/i2c/devices/i2c-0/name")
        check(f"the controller is found ({found})",
              ("SMBus PIIX4 adapter" if machine == "pc" else "SMBus I801 adapter") in found)
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
        bad, _ = g.shell("dmesg | grep -c -E 'i801.*(fail|timeout|lost)|piix4.*(fail|lost)'; true")
        check(f"the drivers complain of nothing ({bad})", bad.strip() == "0")
        if machine == "q35":
            irq, _ = g.shell("grep -c i801_smbus /proc/interrupts; true")
            check(f"with interrupts ({irq})", irq.strip() == "1")
        g.type("poweroff -f")
        check("status 0 after power off", g.wait(60) == 0)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        print(__doc__)
        sys.exit(2)
    main(lambda: smbus(os.path.abspath(sys.argv[1]), *sys.argv[2:]))
