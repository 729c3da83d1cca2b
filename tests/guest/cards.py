#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Network cards under Linux's own drivers, through the user NAT.

  cards.py BOTHY MODEL [MIB]     an address by DHCP, then MIB MiB (default 100) from a web server of
                                 the host, and back to another

Further words are options of `bothy run`.
"""
import hashlib
import http.server
import os
import socket
import sys
import threading

from boot import BOOT_SECONDS, MIB
from guest import Guest, check, images_with, main

CARDS = ("virtio", "e1000", "rtl8139", "rtl8139c", "ne2k_pci", "ne2k_isa")
MODULES = {"amd64": ("e1000", "8139cp", "8139too", "ne2k-pci"), "i386": ("8390p", "ne")}


class Server:
    """A file at every path; what is sent to another port is summed."""

    def __init__(self, data):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.http.server_address[1]
        self.sink = socket.create_server(("127.0.0.1", 0))
        self.sink_port = self.sink.getsockname()[1]
        self.got = None
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        threading.Thread(target=self.take, daemon=True).start()

    def take(self):
        peer, _ = self.sink.accept()
        total = hashlib.sha256()
        while data := peer.recv(1 << 20):
            total.update(data)
        self.got = total.hexdigest()


def isa_up(g):
    """No driver finds an ISA card by itself; Debian has one for i386 only."""
    g.shell("insmod /lib/modules/ne.ko io=0x300 irq=5")
    g.shell("ip link set eth0 up; udhcpc -q -n -t 5 -T 2 -i eth0 -s /etc/udhcpc.script", 60)
    address, _ = g.shell("ip -4 -o addr show eth0")
    check("it has an address", "10.0.2.15" in address)


def card(bothy, model, mib="100", *options):
    data = os.urandom(int(mib) * MIB)
    want = hashlib.sha256(data).hexdigest()
    server = Server(data)
    isa = model == "ne2k_isa"
    arch = "i386" if isa else "amd64"
    kernel, initrd = images_with("cards", *MODULES[arch], arch=arch)
    # ACPI has interrupt 9
    net = f"nat,host,model={model}" + (",io=0x300,irq=5" if isa else "")
    with Guest(bothy, "--kernel", kernel, "--initrd", initrd, "-m", "512M", "--append",
               "console=ttyS0 quiet", "--net", net, *options) as g:
        if not isa:
            g.expect(r"bothy-guest: (\w+) has 10\.0\.2\.15", BOOT_SECONDS)
        g.to_shell(BOOT_SECONDS)
        if isa:
            isa_up(g)
        got, at = g.shell(f"wget -q -O /tmp/f http://10.0.2.2:{server.port}/x; "
                          "sha256sum </tmp/f | cut -c1-64", 900)
        check(f"{model}: {mib} MiB came in with the same sum", got == want)
        done, end = g.shell(f"nc 10.0.2.2 {server.sink_port} </tmp/f && echo done", 900)
        check(f"{model}: {mib} MiB went out with the same sum",
              done == "done" and server.got == want)
        print(f"{model}: out {float(mib) / (end - at):.1f} MiB/s, sums included")
        bad, _ = g.shell("dmesg | grep -cE 'Unit Hang|NETDEV WATCHDOG|nobody cared|BUG:'")
        check(f"the kernel complains of nothing ({bad})", bad == "0")
        g.type("poweroff -f")
        check("status 0 after power off", g.wait(60) == 0)


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[2] not in CARDS:
        print(__doc__)
        sys.exit(2)
    main(lambda: card(os.path.abspath(sys.argv[1]), *sys.argv[2:]))
