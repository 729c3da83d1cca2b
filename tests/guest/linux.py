#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Debian's stock kernels under bothy: what they do, and what they cost the host.

  linux.py BOTHY selftest ARCH MACHINE [option ...]   tools/run-guest's self-test
  linux.py BOTHY smp MACHINE                          4 processors at work
  linux.py BOTHY debian                               user land to a login prompt, real programs
  linux.py BOTHY idle MACHINE                         CPU time of a guest at a shell
  linux.py BOTHY memory MACHINE                       memory beyond the guest's own
  linux.py BOTHY clock MACHINE [SECONDS]              guest clock against host clock
  linux.py BOTHY work PART [WORD ...]                 work whose results are known (tests/guest/work)
  linux.py BOTHY lockstep ARCH MACHINE EVERY          translator against interpreter, each block
  linux.py BOTHY verify ARCH MACHINE                  all translated code looked at, 2 processors

Each prints what it measured; limits are those of docs/guarantees.md.
"""
import os
import signal
import subprocess
import sys
import time

from guest import TOP, Failed, Guest, check, children, copy_sparse, debian_disk, images, main, \
    plain_malloc, pss, skip, work_dir, work_disk

BOOT_SECONDS = 300       # on a busy host; 12 s on an idle one
IDLE_PERCENT = 2.0       # of one core
OVERHEAD_MIB = 24.0      # beyond the guest's RAM, 128 MiB microvm
DRIFT_MS_PER_S = 10 / 600.0


def boot(bothy, machine, *options, memory="128M", arch="amd64", append=""):
    kernel, initrd = images(arch)
    return Guest(bothy, "--kernel", kernel, "--initrd", initrd, "-m", memory, "--machine", machine,
                 "--append", f"console=ttyS0 quiet {append}", *options)


def selftest(bothy, arch, machine, *options):
    images(arch)
    run = subprocess.Popen(
        [f"{TOP}/tools/run-guest", "--arch", arch, "--machine", machine, "--selftest", *options],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", start_new_session=True,
        env=os.environ | {"BOTHY": bothy, "BOTHY_SELFTEST_SECONDS": str(BOOT_SECONDS)})
    try:
        out, _ = run.communicate(timeout=BOOT_SECONDS + 60)
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGKILL)
        out, _ = run.communicate()
        out += "\nkilled: it hung\n"
    lines = [line.strip() for line in out.splitlines()]
    good = [line for line in lines if line.startswith("selftest: ") and line.endswith(": ok")]
    if run.returncode or "selftest: 0 failed" not in lines:
        print("\n".join(lines[-60:]))
    check(f"{arch} on {machine}: status {run.returncode} (want 0), {len(good)} checks passed "
          "(want 12)", run.returncode == 0 and len(good) == 12 and "selftest: 0 failed" in lines)


def smp(bothy, machine):
    with boot(bothy, machine, "--net", "none", "-c", "4", memory="256M") as g:
        g.to_shell(BOOT_SECONDS)
        print(f"{machine} -c 4: shell after {time.monotonic() - g.began:.1f} s, "
              f"{g.seconds_used():.1f} s of CPU time")
        check("4 processors are up", g.shell("nproc")[0] == "4")
        # All four at once, with pipes between them; equal input must give equal sums.
        work = "seq 1 5000 | sort -n | sha256sum"
        began = time.monotonic()
        sums, ended = g.shell(f"for i in 1 2 3 4 5 6 7 8; do ({work}) & done | sort -u | wc -l",
                              300)
        check(f"8 jobs on 4 processors agree ({sums} distinct sums, want 1), "
              f"{ended - began:.1f} s", sums == "1")
        ran, _ = g.shell("grep -c ^processor /proc/cpuinfo; "
                         "awk '/^LOC/{n=0; for(i=2;i<=5;i++) if($i>0) n++; print n}' /proc/interrupts")
        check(f"every processor took timer interrupts ({ran})", ran == "4 4")
        bad, _ = g.shell("dmesg | grep -cE 'BUG:|Oops|soft lockup|rcu.*stall|unstable'")
        check(f"the kernel complains of nothing ({bad})", bad == "0")
        g.type("poweroff")
        check("status 0 after power off", g.wait(60) == 0)


def debian(bothy):
    disk = debian_disk()
    kernel, initrd = images()
    with work_dir() as d:
        copy_sparse(disk, f"{d}/disk.img")
        with Guest(bothy, "--kernel", kernel, "--initrd", initrd, "-m", "512M", "--net", "nat",
                   "--disk", f"{d}/disk.img", "--append",
                   "console=ttyS0 root=/dev/vda bothy-test stress=60") as g:
            at, _ = g.expect(r"login: *$", 900, prompt=True)
            print(f"login prompt after {at - g.began:.1f} s")
            _, m = g.expect(r"debian-test: (\d+) failed", 1800)
            for _, line in g.lines:
                if "debian-test: " in line:
                    print(line)
            check("no program gave a wrong result", m.group(1) == "0")
            check("status 0 after power off", g.wait(180) == 0)


def idle(bothy, machine, seconds=30):
    for options in (["--net", "none"], ["--net", "nat"]):
        with boot(bothy, machine, *options) as g:
            g.to_shell(BOOT_SECONDS)
            time.sleep(8)
            before, began = g.seconds_used(), time.monotonic()
            time.sleep(seconds)
            percent = (g.seconds_used() - before) / (time.monotonic() - began) * 100
            check(f"idle {machine} {' '.join(options)}: {percent:.2f} % of a core "
                  f"(at most {IDLE_PERCENT})", percent <= IDLE_PERCENT)


def memory(bothy, machine):
    plain_malloc()
    with boot(bothy, machine, "--net", "nat") as g:
        g.to_shell(BOOT_SECONDS)
        time.sleep(3)
        total, ram, code = pss(g.pid)
        helpers = sum(pss(p)[0] for p in children(g.pid))
        own = total - ram
        print(f"{machine} -m 128M: guest RAM in use {ram:.1f} MiB, beyond it "
              f"{code:.1f} MiB of code cache, NAT helper {helpers:.1f} MiB")
        check("the guest's RAM was found", ram > 20)
        check(f"the VM's process beyond guest RAM: {own:.1f} MiB (at most {OVERHEAD_MIB})",
              own <= OVERHEAD_MIB)


def offset(g, samples=60):
    """Host time minus guest time: the least of many, each delayed by some of the way to us."""
    best = None
    for _ in range(samples):
        g.type("{ read a; read b; read c; } </proc/timer_list; echo stamp: $c")
        when, m = g.expect(r"^stamp: now at (\d+) nsecs")
        late = when - int(m.group(1)) / 1e9
        best = late if best is None else min(best, late)
        time.sleep(0.05)
    return best


def clock(bothy, machine, seconds="60"):
    with boot(bothy, machine, "--net", "none") as g:
        g.to_shell(BOOT_SECONDS)
        source, _ = g.shell("cat /sys/devices/system/clocksource/clocksource0/current_clocksource")
        time.sleep(5)
        first, began = offset(g), time.monotonic()
        time.sleep(max(float(seconds) - 5, 1))
        second, ended = offset(g), time.monotonic()
        drift, limit = (second - first) * 1000, (ended - began) * DRIFT_MS_PER_S
        check(f"{machine}, clock source {source}: {drift:+.3f} ms in {ended - began:.0f} s "
              f"(at most {limit:.2f})", abs(drift) <= limit)


def work(bothy, part, *words):
    """PART: build, jit, copies, suites or stress; WORDs go to the kernel command line (copies=24, seconds=60),
    or are options of bothy and their arguments."""
    options, append = [], []
    words = list(words)
    while words:
        word = words.pop(0)
        if word.startswith("-"):
            options += [word, words.pop(0)]
        else:
            append.append(word)
    disk = work_disk()
    kernel, initrd = images()
    expected = []
    if os.path.exists(f"{disk}.{part}"):
        with open(f"{disk}.{part}", encoding="utf-8", errors="replace") as f:
            expected = [line.rstrip("\n") for line in f]
    with work_dir() as d:
        copy_sparse(disk, f"{d}/disk.img")
        with Guest(bothy, "--kernel", kernel, "--initrd", initrd, "--net", "none", "--disk",
                   f"{d}/disk.img", *(options or ["-m", "1024M"]), "--append", " ".join(
                       ["console=ttyS0 quiet root=/dev/vda", f"work={part}", *append])) as g:
            g.expect(r"^work: end", 4 * 3600)
            print(f"{part}: {time.monotonic() - g.began:.0f} s, "
                  f"{g.seconds_used():.0f} s of CPU time")
            check("status 0 after power off", g.wait(120) == 0)
    got = [line for _, line in g.lines if line.startswith("work: ")]
    for line in got if part == "stress" else []:
        print(line)
    if part == "stress":
        runs = [line for line in got if line.startswith("work: stress-ng ")]
        check(f"{len(runs)} runs of stress-ng, all verified (want 6)", len(runs) == 6 and
              all(line.endswith(": status 0") for line in runs))
        check("the kernel complains of nothing", "work: kernel complains" not in got)
        return
    check("there are results to compare with", len(expected) > 4)
    differ = [line for line in got if line not in expected] + \
        [f"missing: {line}" for line in expected if line not in got]
    if differ:
        print("\n".join(differ[:20]))
    check(f"{len(got)} lines, {len(differ)} differ from the host's (want 0)", not differ)


def works_and_ends(g, seconds):
    g.to_shell(seconds)
    sums, _ = g.shell("for i in 1 2 3; do seq 1 2000 | sort -rn | sha256sum; done | sort -u | "
                      "wc -l", 600)
    check(f"equal input gives equal sums ({sums} distinct, want 1)", sums == "1")
    g.type("poweroff -f")
    check("status 0 after power off", g.wait(600) == 0)


def lockstep(bothy, arch, machine, every):
    with boot(bothy, machine, "--net", "none", "--engine", f"lockstep:{every}", "-v",
              memory="256M", arch=arch) as g:
        works_and_ends(g, 3000)
        said = [line for line in g.errors if "blocks compared" in line]
        print(said[0].strip() if said else "no figures")
        check("blocks were compared", bool(said))


def verify(bothy, arch, machine):
    with boot(bothy, machine, "--net", "none", "--engine", "translate:verify", "-v", "-c", "2",
              memory="256M", arch=arch) as g:
        works_and_ends(g, 1200)
        said = [line.strip() for line in g.errors if "code verified" in line]
        print("\n".join(said))
        check("code was looked at", bool(said))
        check("none of it was bad", not any("bad" in line for line in g.errors))


CASES = {f.__name__: f for f in (selftest, smp, debian, idle, memory, clock, work, lockstep, verify)}

if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[2] not in CASES:
        sys.exit(__doc__)
    main(lambda: CASES[sys.argv[2]](os.path.abspath(sys.argv[1]), *sys.argv[3:]))
