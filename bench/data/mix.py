# SPDX-License-Identifier: Apache-2.0
"""Objects, dictionaries, strings, big integers, generators, exceptions."""


class Node:
    def __init__(self, key, left=None, right=None):
        self.key, self.left, self.right = key, left, right

    def insert(self, key):
        n = self
        while True:
            side = "left" if key < n.key else "right"
            below = getattr(n, side)
            if below is None:
                setattr(n, side, Node(key))
                return
            n = below

    def walk(self):
        if self.left:
            yield from self.left.walk()
        yield self.key
        if self.right:
            yield from self.right.walk()


def main():
    x, root = 12345, Node(1 << 30)
    for _ in range(2500):
        x = (x * 1103515245 + 12345) & 0x7FFFFFFF
        root.insert(x)
    total = sum(k * i for i, k in enumerate(root.walk()))
    words = ("spam eggs ham bacon " * 800).split()
    count = {}
    for i, w in enumerate(words):
        count[w + str(i % 13)] = count.get(w + str(i % 13), 0) + len(w)
    big = 1
    for i in range(1, 300):
        big *= i
    odd = 0
    for i in range(6000):
        try:
            if i % 3 == 0:
                raise ValueError(i)
            odd += i & 1
        except ValueError as e:
            odd += e.args[0] % 7
    grid = [[(i * j) % 7 for j in range(60)] for i in range(60)]
    square = [[sum(a * b for a, b in zip(row, col)) for col in zip(*grid)] for row in grid[:12]]
    print(total, sorted(count.items())[:3], len(str(big)), odd, square[5][7])


main()
