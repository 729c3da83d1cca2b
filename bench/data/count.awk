# SPDX-License-Identifier: Apache-2.0
{ for (i = 1; i <= NF; i++) { n[$i]++; len += length($i) } if ($0 ~ /[0-9]+$/) sum += $NF }
END { for (w in n) if (n[w] > most) { most = n[w]; best = w } print best, most, len, sum, NR }
