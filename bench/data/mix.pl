# SPDX-License-Identifier: Apache-2.0
# Regular expressions, hashes, sorting, string building.
use strict;
use warnings;
open my $f, '<', '/bench/text1' or die;
my (%n, $pairs, $digits);
while (my $line = <$f>) {
	$n{$1}++ while $line =~ /\b([a-z]{3,})\b/g;
	$pairs++ if $line =~ /(\w)\1.*(\w)\2/;
	$digits += $1 if $line =~ /(\d+)$/;
}
my @top = sort { $n{$b} <=> $n{$a} || $a cmp $b } keys %n;
my $s = join ',', map { "$_:$n{$_}" } @top[0 .. 9];
my $x = 1;
$x = ($x * 16807) % 2147483647 for 1 .. 100000;
print "$s $pairs $digits $x ", scalar(@top), "\n";
