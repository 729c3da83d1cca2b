#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# bare-root.sh [--keep]: does `make run` hold its promise on a Debian with nothing but make and git?
#
# Makes a minimal Debian 12 (debootstrap, minbase) in a temporary directory, clones this repository's
# HEAD into it, and types `make run` there without a terminal: packages, build, guest image and the
# guest's self-test must end with status 0 within BARE_SECONDS (600). As root; needs a Debian mirror.
# 77 = skipped, with the reason. --keep leaves the directory for a look.
set -euo pipefail

limit=${BARE_SECONDS:-600}
keep=
[ "${1:-}" = --keep ] && keep=1
top=$(cd "$(dirname "$0")/../.." && pwd)
PATH=$PATH:/sbin:/usr/sbin
skip() { echo "skipped: $*"; exit 77; }
[ "$(id -u)" = 0 ] || skip "debootstrap and chroot need root"
command -v debootstrap >/dev/null || skip "no debootstrap: run tools/bootstrap check-long"
git -C "$top" rev-parse -q --verify HEAD >/dev/null || skip "not a git checkout"
# Mounts of our own, gone with this process.
[ -n "${BARE_PRIVATE:-}" ] || BARE_PRIVATE=1 exec unshare --mount --propagation private "$0" "$@"

root=$(mktemp -d "${TMPDIR:-/var/tmp}/bothy-bare.XXXXXX")
cleanup() {
	for m in proc sys dev; do umount -l "$root/$m" 2>/dev/null || true; done
	if [ -n "$keep" ]; then
		echo "bare-root: kept in $root"
	else
		rm -rf --one-file-system "$root"
	fi
}
trap cleanup EXIT
mirror=$(grep -rhoE 'https?://[^ ]*/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d/ 2>/dev/null |
	head -1 | tr -d ' ' || true)
debootstrap --variant=minbase --include=make,git bookworm "$root" \
	"${mirror:-http://deb.debian.org/debian}" >"$root.log" 2>&1 || {
	tail -3 "$root.log"
	rm -f "$root.log"
	skip "debootstrap failed: is a mirror reachable?"; }
rm -f "$root.log"
apt-config dump --format '%f "%v";%n' Acquire::http::Proxy Acquire::https::Proxy \
	>"$root/etc/apt/apt.conf.d/99proxy"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --bind /dev "$root/dev"
git clone -q --no-hardlinks "file://$top" "$root/src"
echo "bare-root: $(chroot "$root" dpkg-query -f '.\n' -W | wc -l) packages, $(git -C "$root/src" log -1 --format='%h %s')"

began=$SECONDS status=0
timeout -s KILL "$((limit * 2))" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C \
	chroot "$root" make -C /src run </dev/null >"$root/run.log" 2>&1 || status=$?
took=$((SECONDS - began))
grep -E '^(bootstrap|guest-image|selftest|bothy-selftest|run-guest|bothy):' "$root/run.log" || true
[ $status -eq 0 ] || tail -n 40 "$root/run.log"
verdict=ok
[ $status -eq 0 ] && [ $took -le "$limit" ] || verdict=FAILED
echo "$verdict: make run: status $status (want 0) after $took s (at most $limit)"
[ $verdict = ok ]
