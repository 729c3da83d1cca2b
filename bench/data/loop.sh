# SPDX-License-Identifier: Apache-2.0
# A shell that computes, expands and starts programs.
sum=0
for ((i = 0; i < 8000; i++)); do
	sum=$(((sum * 33 + i) & 0xffffff))
	case $i in *7) sum=$((sum + ${#sum})) ;; esac
done
for f in /usr/bin/b*; do
	name=${f##*/}
	n=$((${n:-0} + ${#name}))
done
for i in 1 2 3 4 5 6; do
	x=$(echo "$sum $i" | cat)
done
echo "$sum $n $x"
