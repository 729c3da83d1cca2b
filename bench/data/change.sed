# SPDX-License-Identifier: Apache-2.0
s/([a-z]+) ([a-z]+)/\2 \1/g
/^b/d
s/[0-9]+$/<&>/
y/abc/xyz/
