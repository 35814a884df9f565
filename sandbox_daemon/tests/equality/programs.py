"""Whole programs, with what they are called with: classes, closures, generators, algorithms."""

from __future__ import annotations

from textwrap import dedent

_TEXTS: list[tuple[str, str]] = [
    (
        """
        def f(n):
            a, b = 0, 1
            for _ in range(n): a, b = b, a + b
            return a
        """,
        "1000",
    ),
    (
        """
        def f(n):
            sieve = [True] * (n + 1)
            for i in range(2, int(n ** 0.5) + 1):
                if sieve[i]:
                    for j in range(i * i, n + 1, i): sieve[j] = False
            return [i for i in range(2, n + 1) if sieve[i]]
        """,
        "300",
    ),
    (
        """
        def f(n, board=()):
            if len(board) == n: return 1
            safe = lambda c: all(c != b and abs(c - b) != len(board) - r
                                 for r, b in enumerate(board))
            return sum(f(n, board + (c,)) for c in range(n) if safe(c))
        """,
        "6",
    ),
    (
        """
        def f(a, b):
            row = list(range(len(b) + 1))
            for i, x in enumerate(a, 1):
                row, last = [i], row
                for j, y in enumerate(b, 1):
                    row.append(min(row[-1] + 1, last[j] + 1, last[j - 1] + (x != y)))
            return row[-1]
        """,
        "'intention', 'execution'",
    ),
    (
        """
        class Stack:
            def __init__(self): self.items = []
            def __len__(self): return len(self.items)
            def __getitem__(self, i): return self.items[i]
            def push(self, x): self.items.append(x); return self
        def f(): return list(Stack().push(1).push([2])), len(Stack())
        """,
        "",
    ),
    (
        """
        def f(graph, start):
            seen, queue = [start], [start]
            for node in queue:
                for other in graph.get(node, ()):
                    if other not in seen: seen.append(other); queue.append(other)
            return seen
        """,
        "{1: [2, 3], 2: [4], 3: [4], 4: [1]}, 1",
    ),
    (
        """
        def walk(x):
            if isinstance(x, list):
                for y in x: yield from walk(y)
            else: yield x
        def f(x): return list(walk(x))
        """,
        "[1, [2, [3, []], (4,)], [[5]]]",
    ),
    (
        """
        def counter():
            n = 0
            def step(by=1):
                nonlocal n
                n += by
                return n
            return step
        def f():
            c = counter()
            return [c(), c(5), c(by=-2)]
        """,
        "",
    ),
    (
        """
        class V:
            def __init__(self, *x): self.x = x
            def __add__(self, o): return V(*map(sum, zip(self.x, o.x)))
            def __eq__(self, o): return self.x == o.x
            def __repr__(self): return f'V{self.x}'
        def f(): return repr(V(1, 2) + V(3, 4)), V(1) == V(1), V(1) != V(2)
        """,
        "",
    ),
    (
        """
        def f(x):
            match x:
                case []: return 'empty'
                case [int(a), *rest]: return a, rest
                case {'k': v, **others}: return v, others
                case str() | bytes(): return 'text'
                case _: return None
        """,
        "{'k': 1, 'l': 2}",
    ),
    (
        """
        def f(x):
            log = []
            try:
                try: log.append(10 / x)
                finally: log.append('finally')
            except ZeroDivisionError as e: log.append(str(e))
            else: log.append('else')
            return log
        """,
        "0",
    ),
    (
        """
        from dataclasses import dataclass, field, asdict, astuple
        @dataclass(order=True, frozen=True)
        class P:
            x: int
            y: float = 2.0
            z: list = field(default_factory=list, compare=False)
        def f(): return asdict(P(1)), astuple(P(2, 3.5, [1])), P(1) < P(2), repr(P(0))
        """,
        "",
    ),
    (
        """
        from enum import Enum, Flag, auto
        class C(Enum):
            RED = auto()
            BLUE = auto()
        class F(Flag):
            A = auto()
            B = auto()
        def f(): return [c.name for c in C], C(2).name, (F.A | F.B).value, C['RED'].value
        """,
        "",
    ),
    (
        """
        import contextlib
        @contextlib.contextmanager
        def noted(log):
            log.append('in')
            try: yield 7
            except KeyError as e: log.append(repr(e))
            finally: log.append('out')
        def f():
            log = []
            with noted(log) as x: raise KeyError(x)
            return log
        """,
        "",
    ),
    (
        """
        import functools
        @functools.lru_cache(maxsize=None)
        def ways(n): return 1 if n < 2 else ways(n - 1) + ways(n - 2)
        def f(n): return ways(n), ways.cache_info().hits, ways.cache_info().misses
        """,
        "60",
    ),
    (
        """
        class Meta(type):
            def __new__(m, name, bases, space):
                return super().__new__(m, name, bases, space | {'y': 2})
        class A(metaclass=Meta): x = 1
        class B(A):
            __slots__ = ('z',)
            @property
            def w(self): return self.x + self.y
            @staticmethod
            def s(): return 's'
            @classmethod
            def c(cls): return cls.__name__
        def f(): return B().w, B.s(), B.c(), [k.__name__ for k in B.__mro__]
        """,
        "",
    ),
    (
        """
        def f(rows):
            size = len(rows)
            rows = [row[:] for row in rows]
            sign = 1.0
            for i in range(size):
                best = max(range(i, size), key=lambda r: abs(rows[r][i]))
                if best != i: rows[i], rows[best], sign = rows[best], rows[i], -sign
                for r in range(i + 1, size):
                    k = rows[r][i] / rows[i][i]
                    rows[r] = [a - k * b for a, b in zip(rows[r], rows[i])]
            for i in range(size): sign *= rows[i][i]
            return sign
        """,
        "[[2, -1, 0], [1, 3, 5], [7, 0.5, 4]]",
    ),
    (
        """
        def f(text):
            out, stack = [], []
            rank = {'+': 1, '-': 1, '*': 2, '/': 2}
            for t in text.split():
                if t in rank:
                    while stack and rank[stack[-1]] >= rank[t]: out.append(stack.pop())
                    stack.append(t)
                else: out.append(float(t))
            return out + stack[::-1]
        """,
        "'1 + 2 * 3 - 4 / 5'",
    ),
    (
        """
        async def later(x): return x * 2
        def f(x):
            step = later(x)
            try: step.send(None)
            except StopIteration as e: return e.value
        """,
        "21",
    ),
    (
        """
        def f(n):
            total, x = 0.0, 0.5
            for i in range(n):
                x = 3.7 * x * (1 - x)
                total += x
            return x, total
        """,
        "1000",
    ),
    (
        "def f(a, /, b, *c, d=4, **e): return a, b, c, d, e",
        "1, 2, 3, 4",
    ),
    ("def f(a, b): return a", "1"),
    ("def f(x): return x.nothing", "1"),
    ("def f(x): return undefined", "1"),
    ("def f(x): assert x > 1, {'x': x}", "1"),
    ("def f(x):\n  del x\n  return x", "1"),
    ("def f(): raise ValueError('é', 1)", ""),
    ("def f(): raise LookupError", ""),
    ("class E(Exception): pass\ndef f(): raise E(1, [2])", ""),
    ("def f(): return next(iter(()))", ""),
    ("def f(x): return {x: 1}", "[1]"),
    ("def f(x):\n  a, b = x", "[1, 2, 3]"),
]
PROGRAMS: list[tuple[str, str]] = [(dedent(text).strip(), words) for text, words in _TEXTS]
