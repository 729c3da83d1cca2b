#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Work whose results do not depend on the machine: run by tools/work-disk on the host (in a chroot) and as
# the first process of a guest, where the kernel command line has work=PART and perhaps more of it. Each
# result is one line "work: ...", the same on both; the last line is "work: end".
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
here=/root/work
# What ends up in a build must not depend on where it was made.
build=/build
say() { echo "work: $*"; }
sums() { (cd "$1" && find . "${@:2}" -type f | sort | xargs sha256sum) | while read -r sum name; do say "$name $sum"; done; }

unpack() { # package
	rm -rf "${build:?}/$1"
	mkdir -p "$build/$1"
	tar -x -C "$build/$1" --strip-components 1 -f "$here/src/$1".orig.tar.*
}

part_build() {
	unpack lua5.4
	make -s -C $build/lua5.4/src -j2 linux MYCFLAGS=-g >$build/log 2>&1 || { say "lua: status $?"; tail -5 $build/log; }
	sums $build/lua5.4/src '(' -name '*.o' -o -name '*.a' -o -name lua -o -name luac ')'
	unpack zlib
	(cd $build/zlib && ./configure && make -s -j2) >$build/log 2>&1 || { say "zlib: status $?"; tail -5 $build/log; }
	sums $build/zlib '(' -name '*.o' -o -name '*.lo' -o -name 'libz.*' -o -name minigzip ')'
	say "lua says $($build/lua5.4/src/lua -e 'local s = 0 for i = 1, 1000000 do s = s + i % 7 end print(s)')"
}

part_jit() {
	luajit $here/work.lua 2>&1 | while read -r line; do say "$line"; done
	node $here/work.js 2>&1 | while read -r line; do say "$line"; done
	java -Xmx256m -cp $here Work 2>&1 | while read -r line; do say "$line"; done
	mkdir -p $build/javac
	javac -J-Xmx256m -d $build/javac $here/Work.java 2>&1 | while read -r line; do say "$line"; done
	sums $build/javac -name '*.class'
}

# seconds=N on the command line: of each of three runs.
part_stress() {
	local seconds
	seconds=$(sed -n 's/.*seconds=\([0-9]*\).*/\1/p' /proc/cmdline)
	cd /tmp || return
	stress() {
		stress-ng --verify --timeout "${seconds:-60}s" "$@" >/tmp/out 2>&1
		local status=$?
		say "stress-ng $*: status $status"
		[ $status = 0 ] || tail -20 /tmp/out
	}
	stress --cpu 2
	stress --vm 2 --vm-bytes 64M
	stress --cpu 1 --cpu-method float --matrix 1
	stress --cpu 1 --cpu-method double --matrix 1 --matrix-method prod
	stress --cpu 1 --cpu-method longdouble --fp-error 1
	stress --cpu 1 --cpu-method int128float --vecmath 1
	dmesg | grep -E 'BUG:|Oops|WARNING: CPU|unable to handle|soft lockup|general protection' && say "kernel complains"
}

# zlib, built on the host: copies=N runs of its test suite at once.
part_copies() {
	local i copies
	copies=$(sed -n 's/.*copies=\([0-9]*\).*/\1/p' /proc/cmdline)
	for ((i = 1; i <= ${copies:-1}; i++)); do
		(cp -a $here/zlib $build/zlib$i && cd $build/zlib$i && make -s test 2>&1 | grep '[*] zlib' | sort >$build/zlib$i.result) &
	done
	wait
	for ((i = 1; i <= ${copies:-1}; i++)); do cat $build/zlib$i.result; echo; done |
		awk -v RS= '!seen[$0]++ { n++ } END { print "work: zlib: " n " different lists of results" }'
	while read -r line; do say "zlib: $line"; done <$build/zlib1.result
}

# sed, built on the host: copies=N runs of its test suite at once, each in a directory of its own, not as
# root, whom one of its tests does not expect.
one_suite() { # directory
	rm -rf "$1"
	cp -as $here/sed "$1"
	find "$1" '(' -name '*.trs' -o -name '*.log' ')' -delete
	chown -R nobody "$1"
	(cd "$1" && setpriv --reuid 65534 --regid 65534 --clear-groups make -k check SUBDIRS=. VERBOSE=1) >"$1.log" 2>&1
	(cd "$1" && grep -H '^:test-result:' testsuite/*.trs) | sort >"$1.result"
}

part_suites() {
	local i copies
	copies=$(sed -n 's/.*copies=\([0-9]*\).*/\1/p' /proc/cmdline)
	mkdir -p $build/copies
	chmod 755 /root /root/work
	for ((i = 1; i <= ${copies:-1}; i++)); do one_suite $build/copies/$i & done
	wait
	# Each kind of list once; with all of them equal there is one.
	for ((i = 1; i <= ${copies:-1}; i++)); do sort $build/copies/$i.result; echo; done |
		awk -v RS= '!seen[$0]++ { n++ } END { print "work: sed: " n " different lists of results" }'
	while read -r line; do say "sed: $line"; done <$build/copies/1.result
}

if [ $$ = 1 ]; then
	mount -t proc proc /proc 2>/dev/null
	mount -t tmpfs tmpfs /tmp
	mkdir -p /dev/shm && mount -t tmpfs tmpfs /dev/shm
	ip link set lo up 2>/dev/null
	part=$(sed -n 's/.*work=\([a-z]*\).*/\1/p' /proc/cmdline)
else
	part=$1
fi
mkdir -p $build
"part_$part"
say end
if [ $$ = 1 ]; then
	sync
	mount -o remount,ro /
	echo o >/proc/sysrq-trigger
	sleep 1000
fi
