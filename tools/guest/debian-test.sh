#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs inside the Debian guest: real programs must give right results. Last line: "debian-test: N failed".
fails=0
# Opened for each line: getty hangs the terminal up when it starts, which would revoke an open one.
say() { echo "debian-test: $*" >/dev/ttyS0; }
t() { # name command...
	local name=$1 start=$SECONDS
	shift
	if "$@" >/tmp/out 2>&1; then say "$name: ok ($((SECONDS - start)) s)"; else
		say "$name: FAILED"; tail -5 /tmp/out >/dev/ttyS0; fails=$((fails + 1)); fi
}
cd /tmp || exit 1
cat >a.c <<'C'
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static int cmp(const void *a, const void *b) { return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b); }
int main(void)
{
	enum { N = 100000 };
	int *v = malloc(N * sizeof(*v));
	unsigned x = 1;
	double s = 0;
	for (int i = 0; i < N; i++) { x = x * 1103515245u + 12345; v[i] = (int)(x >> 1); s += sqrt(i); }
	qsort(v, N, sizeof(*v), cmp);
	for (int i = 1; i < N; i++) if (v[i - 1] > v[i]) return 1;
	printf("%d %d %.6f\n", v[0], v[N - 1], s);
	return 0;
}
C
t "apt-get" apt-get --version
t "python3" python3 -c 'import hashlib, json, zlib; assert hashlib.sha256(b"abc").hexdigest().startswith("ba7816bf"); assert json.loads(json.dumps({"a": [1.5, 2]})) == {"a": [1.5, 2]}; assert 2**521 - 1 == int(str(2**521 - 1)); assert zlib.decompress(zlib.compress(b"x" * 100000)) == b"x" * 100000; assert abs(sum(i ** .5 for i in range(1000)) - 21065.833110879) < 1e-6'
t "gcc" gcc -O2 -o a a.c -lm
t "compiled program" ./a
t "openssl digest" bash -c 'test "$(printf abc | openssl dgst -sha512 -r | cut -c1-16)" = ddaf35a193617aba'
t "openssl aes-gcm, rsa" bash -c 'openssl rand -out k 100000 && openssl enc -aes-256-cbc -pbkdf2 -pass pass:x -in k -out e && openssl enc -d -aes-256-cbc -pbkdf2 -pass pass:x -in e | cmp - k && openssl genrsa -out r.pem 1024 && openssl dgst -sha256 -sign r.pem -out s k && openssl rsa -in r.pem -pubout -out p.pem && openssl dgst -sha256 -verify p.pem -signature s k'
t "openssl speed" openssl speed -seconds 1 -bytes 1024 sha256 aes-128-cbc
seconds=$(sed -n 's/.*stress=\([0-9]*\).*/\1/p' /proc/cmdline)
t "stress-ng --verify" stress-ng --cpu 1 --verify --timeout "${seconds:-60}s"
dmesg | grep -E 'BUG:|Oops|WARNING: CPU|unable to handle|soft lockup|general protection' >/tmp/out && { say "kernel complains"; head -5 /tmp/out >/dev/ttyS0; fails=$((fails + 1)); }
say "$fails failed"
sync
systemctl poweroff
