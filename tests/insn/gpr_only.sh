#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Code that translated code calls with the guest's vector registers in place (cpu/x86/tlb.c,
# engine/translate/fill.c, ...) must not use them, nor call anything that may: its libraries name
# no function but each other's, and have no vector register in them.
#
#   gpr_only.sh LIBRARY...
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
nm -g --defined-only "$@" | awk 'NF == 3 { print $3 }' | sort -u >"$tmp/has"
# check_failed() does not return; the other is no function
printf '%s\n' _GLOBAL_OFFSET_TABLE_ check_failed >>"$tmp/has"
sort -u -o "$tmp/has" "$tmp/has"
nm -u "$@" | awk '$1 == "U" { print $2 }' | sort -u >"$tmp/wants"
comm -13 "$tmp/has" "$tmp/wants" >"$tmp/others"
[ -s "$tmp/has" ] || { echo "gpr_only: nothing in $*" >&2; exit 1; }
if [ -s "$tmp/others" ]; then
	echo "gpr_only: these are called and may use vector registers:" >&2
	cat "$tmp/others" >&2
	exit 1
fi
if objdump -d "$@" | grep -E '%[xyz]mm|%st|%mm[0-7]' >&2; then
	echo "gpr_only: vector or x87 instructions" >&2
	exit 1
fi
