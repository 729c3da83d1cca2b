#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the larger input files of the benchmark class real in a directory: text (2 MiB of words),
text1 (a quarter of it), big (8 MiB), query.sql, compile.c, compile.s. The same bytes each time."""
import random
import sys

out = sys.argv[1]
r = random.Random(20240229)

syllables = [c + v + e for c in "b c d f g h k l m n p r s st t tr v w".split() for v in "a e i o u ea".split()
             for e in ["", "n", "r", "st", "nd", "s"]]
words = ["".join(r.choice(syllables) for _ in range(r.choice([1, 1, 2, 2, 2, 3]))) for _ in range(4000)]
weights = [1 / (i + 3) for i in range(len(words))]
lines = []
size = 0
while size < 2 << 20:
    line = " ".join(r.choices(words, weights, k=r.randrange(4, 14)))
    if r.random() < 0.2:
        line += f" {r.randrange(100000)}"
    lines.append(line)
    size += len(line) + 1
text = "\n".join(lines) + "\n"
open(f"{out}/text", "w").write(text)
open(f"{out}/text1", "w").write(text[:512 << 10])
open(f"{out}/big", "wb").write(r.randbytes(8 << 20))

rows = ",".join(f"({i},{r.randrange(1000)},'{r.choice(words)}')" for i in range(10000))
open(f"{out}/query.sql", "w").write(f"""create table t(id integer primary key, n integer, w text);
insert into t values {rows};
create index tn on t(n);
select w, count(*), sum(n) from t group by w order by 2 desc, 1 limit 5;
select count(*) from t a join t b on a.n = b.n where a.id < 1000 and a.w < b.w;
update t set n = (n * 7 + id) % 1000;
select sum(n * id) from t where n between 100 and 500;
delete from t where w like '%st%';
select count(*), max(w) from t;
""")


def function(i):
    """A C function with loops, a switch and calls of the ones before it."""
    body = [f"static unsigned f{i}(unsigned a, unsigned b)", "{", "\tunsigned r = a;", ""]
    body.append(f"\tfor (unsigned i = 0; i < (b & {r.choice([7, 15, 31])}); i++) {{")
    for _ in range(r.randrange(2, 6)):
        body.append("\t\t" + r.choice([
            f"r = r * {r.randrange(3, 99)} + i;", f"r ^= r >> {r.randrange(1, 31)};",
            f"table[(r + i) & 255] += r * {r.randrange(100)};", f"if (r & {1 << r.randrange(20)}) r -= b; else r += a;",
            f"r += table[(r >> {r.randrange(8)}) & 255] % {r.randrange(3, 999)};"]))
    body.append("\t}")
    body.append(f"\tswitch (r % {r.randrange(4, 9)}) {{")
    for c in range(4):
        call = f"f{r.randrange(i)}(r, a)" if i else "a"
        body.append(f"\tcase {c}: r += {call}; break;")
    body += ["\tdefault: r = ~r;", "\t}", "\treturn r;", "}", ""]
    return "\n".join(body)


open(f"{out}/compile.c", "w").write("#include <stdio.h>\nstatic unsigned table[256];\n" + "\n".join(
    function(i) for i in range(40)) + "\nint main(void)\n{\n\tprintf(\"%u\\n\", f39(1, 2));\n\treturn 0;\n}\n")

# Lines for the assembler.
asm = [".text"]
regs = "rax rbx rcx rdx rsi rdi r8 r9 r10 r11".split()
for i in range(6000):
    a, b = r.choice(regs), r.choice(regs)
    asm.append(r.choice([f"mov %{a}, %{b}", f"add ${r.randrange(1 << 20)}, %{a}", f"mov {r.randrange(256)}(%{a}), %{b}",
                         f"lea (%{a},%{b},4), %{a}", f"test %{a}, %{b}", f"jne l{r.randrange(i + 1)}"]))
    asm.insert(len(asm) - 1, f"l{i}:")
open(f"{out}/compile.s", "w").write("\n".join(asm) + "\n")
