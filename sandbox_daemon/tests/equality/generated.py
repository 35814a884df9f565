"""Programs made from a seed: random plain values, and chains of steps over them."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Iterator
from typing import Any

from .plain import Case, text_of

FLOATS = (0.0, -0.0, 1.5, -2.25, 0.1, 1e300, 5e-324, 1e16, 123456789.125, float("inf"))
LETTERS = string.ascii_letters + string.digits + " '\"\\\n\t\0éß漢😀\u2028\x7f"


def scalar(pick: random.Random) -> Any:
    makers: list[Callable[[], Any]] = [
        lambda: None,
        lambda: pick.random() < 0.5,
        lambda: pick.randint(-9, 9),
        lambda: pick.choice((-1, 1)) * pick.getrandbits(pick.choice((8, 31, 64, 200, 3000))),
        lambda: pick.choice(FLOATS),
        lambda: -float("inf") if pick.random() < 0.1 else pick.uniform(-1e6, 1e6),
        lambda: complex(pick.choice(FLOATS), pick.choice(FLOATS)),
        lambda: "".join(pick.choices(LETTERS, k=pick.randint(0, 12))),
        lambda: pick.randbytes(pick.randint(0, 12)),
    ]
    return pick.choice(makers)()


def hashable(pick: random.Random, depth: int) -> Any:
    if depth == 0 or pick.random() < 0.6:
        return scalar(pick)
    parts = [hashable(pick, depth - 1) for _ in range(pick.randint(0, 3))]
    return tuple(parts) if pick.random() < 0.5 else frozenset(parts)


def plain_value(pick: random.Random, depth: int) -> Any:
    if depth == 0:
        return scalar(pick)
    size = pick.randint(0, 4)
    kind = pick.randrange(5)
    if kind == 0:
        return [plain_value(pick, depth - 1) for _ in range(size)]
    if kind == 1:
        return tuple(plain_value(pick, depth - 1) for _ in range(size))
    if kind == 2:
        return {hashable(pick, 1): plain_value(pick, depth - 1) for _ in range(size)}
    if kind == 3:
        return {hashable(pick, 1) for _ in range(size)}
    return hashable(pick, depth)


# A step takes x and gives a new x; the first kind takes and gives lists of ints.
LIST_STEPS = (
    "x = sorted(x)",
    "x = x[::-1]",
    "x = x[{a}:{b}]",
    "x = [i * {a} for i in x]",
    "x = [i for i in x if i % {b}]",
    "x = [i ^ {a} for i in x]",
    "x = [i // {b} for i in x] + x[:{a}]",
    "x = list(dict.fromkeys(x))",
    "x = [a + b for a, b in zip(x, x[1:])]",
    "x = [sum(x[:i]) for i in range(len(x))]",
    "x = [*x, len(x), max(x, default={a})]",
    "x = [i for pair in enumerate(x) for i in pair]",
    "x.insert({a}, {b})",
    "x.extend(range({a}))",
    "x = sorted(x, key=lambda i: (i % {b}, -i))",
    "while len(x) > 12: x.pop()",
    "for i in range(len(x)): x[i] = x[i - 1] - x[i]",
    "x = [pow(abs(i), {b}, 97) for i in x]",
    "x = [int(str(abs(i))[::-1]) for i in x]",
    "x = [i.bit_length() for i in x]",
)
LIST_ENDS = (
    "return x",
    "return tuple(x), set(x)",
    "return sum(x) / (len(x) + 1)",
    "return {{i % {b}: i for i in x}}",
    "return x[{a}]",
    "return max(x) - min(x)",
    "return ''.join(map(chr, (i % 90 + 33 for i in x)))",
    "return bytes(i % 256 for i in x)",
    "return 1 / x.count({a})",
    "return divmod(sum(x), {b}), any(x), all(x)",
    "return frozenset(map(abs, x))",
    "return [f'{{i:+06d}}' for i in x]",
    "return x.index({a})",
    "return complex(len(x), sum(x))",
    "return [i ** 0.5 for i in x if i >= 0]",
)
TEXT_STEPS = (
    "x = x.upper()",
    "x = x.swapcase()",
    "x = x[::-1]",
    "x = x.replace(x[:1], '{a}')",
    "x = x.title()",
    "x = x * {b}",
    "x = x.center({a} + 9, '*')",
    "x = x[{a}:] + x[:{a}]",
    "x = ''.join(sorted(x))",
    "x = x.strip() + repr(x)",
    "x = ''.join(c for c in x if c.isalnum())",
    "x = x.zfill({a})",
    "x = x.casefold().encode().hex()",
    "x = ' '.join(x.split())",
    "x = '%s-%r' % (x, x)",
    "x = x.translate({{97: 'A', 98: None}})",
)
TEXT_ENDS = (
    "return x",
    "return x.encode()",
    "return x.split()",
    "return x.partition(x[{a}:{a} + 1] or '-')",
    "return [ord(c) for c in x]",
    "return {{c: x.count(c) for c in x}}",
    "return len(x), x.find('a'), x.isdigit(), x.isidentifier()",
    "return int(x)",
    "return x.encode('latin-1', 'replace')",
    "return x.index('{b}')",
    "return set(x), x[0]",
    "return x.splitlines(True)",
)


def chain(pick: random.Random, steps: tuple[str, ...], ends: tuple[str, ...]) -> str:
    lines = [*pick.choices(steps, k=pick.randint(1, 5)), pick.choice(ends)]
    filled = [line.format(a=pick.randint(1, 5), b=pick.randint(2, 7)) for line in lines]
    return "def f(x):\n  " + "\n  ".join(filled)


def one_case(pick: random.Random) -> Case:
    kind = pick.randrange(3)
    if kind == 0:
        return "def f(*x): return x", text_of(plain_value(pick, pick.randint(0, 4)))
    if kind == 1:
        numbers = [pick.randint(-99, 99) for _ in range(pick.randint(0, 8))]
        return chain(pick, LIST_STEPS, LIST_ENDS), text_of(numbers)
    text = "".join(pick.choices(LETTERS, k=pick.randint(0, 15)))
    return chain(pick, TEXT_STEPS, TEXT_ENDS), text_of(text)


def generated_cases(count: int, seed: int) -> Iterator[Case]:
    pick = random.Random(seed)
    for _ in range(count):
        yield one_case(pick)
