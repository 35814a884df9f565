"""Small deterministic programs made at random: chains of typed operations over every plain type.

They are the test's own, so the test may also run them in its own interpreter.
"""

from __future__ import annotations

import random

# (type before, type after, expression of x). Set elements are sorted before their order matters.
OPERATIONS = [
    ("none", "str", "str(x)"),
    ("none", "list", "[x, x]"),
    ("bool", "int", "x + 1"),
    ("bool", "bool", "not x"),
    ("bool", "str", "'yes' if x else 'no'"),
    ("int", "int", "x * {n} - {m}"),
    ("int", "int", "x ** 3 % 1000003"),
    ("int", "int", "x << {n} ^ x"),
    ("int", "int", "2 ** (abs(x) % 900)"),
    ("int", "int", "fib(abs(x) % 90)"),
    ("int", "float", "x / {n}"),
    ("int", "bool", "x % 2 == 0"),
    ("int", "none", "None if x else None"),
    ("int", "str", "f'{{x:>{n}}}|{{x:x}}'"),
    ("int", "str", "chr(abs(x) % 0x300 + 32)"),
    ("int", "bytes", "bytes([abs(x) % 256, {n}])"),
    ("int", "complex", "complex(x, {n})"),
    ("int", "list", "[i * x for i in range({n})]"),
    ("int", "tuple", "divmod(x, {n})"),
    ("int", "dict", "{{i: i * i % ({m} + 1) for i in range(abs(x) % 9)}}"),
    ("int", "set", "{{i % {n} for i in range(abs(x) % 50)}}"),
    ("float", "float", "x * 0.1 + {n}"),
    ("float", "float", "math.sqrt(abs(x))"),
    ("float", "float", "round(x, 2)"),
    ("float", "float", "x * 1e300 * 1e10"),
    ("float", "float", "(x * 1e300 * 1e10) * 0.0"),
    ("float", "int", "math.floor(x) if math.isfinite(x) else {n}"),
    ("float", "str", "f'{{x:.3f}} {{x!r}}'"),
    ("float", "tuple", "math.modf(x)"),
    ("float", "complex", "complex(x, -x)"),
    ("complex", "complex", "x * (1 - {n}j)"),
    ("complex", "complex", "x.conjugate()"),
    ("complex", "tuple", "(x.real, x.imag)"),
    ("complex", "dict", "{{x: [x, -x]}}"),
    ("str", "str", "x[::-1] + 'é\\n'"),
    ("str", "str", "x.upper().replace('A', '\\U0001f600')"),
    ("str", "str", "'\\ud800'.join(x[:{n}])"),
    ("str", "bytes", "x.encode('utf-8', 'replace')"),
    ("str", "list", "sorted(x)"),
    ("str", "list", "re.findall('[a-z]+|[0-9]', x)"),
    ("str", "tuple", "x.partition('a')"),
    ("str", "set", "set(x)"),
    ("str", "dict", "dict(collections.Counter(x))"),
    ("str", "int", "len(x)"),
    ("str", "int", "int(x)"),
    ("bytes", "bytes", "x + bytes(range({n}))"),
    ("bytes", "str", "x.hex()"),
    ("bytes", "list", "list(x)"),
    ("bytes", "int", "int.from_bytes(x, 'big')"),
    ("list", "list", "x[::-1] + [{n}]"),
    ("list", "list", "[x, [x[:1]]]"),
    ("list", "list", "list(itertools.accumulate(map(show, x)))[:{n}]"),
    ("list", "tuple", "tuple(enumerate(x))"),
    ("list", "str", "show(x)"),
    ("list", "dict", "{{i: v for i, v in enumerate(x)}}"),
    ("list", "int", "Stack(x).push({n}).depth()"),
    ("list", "list", "x[{n}]"),
    ("tuple", "tuple", "(*x, {n}, (x[:1],))"),
    ("tuple", "list", "list(x) * 2"),
    ("tuple", "frozenset", "frozenset(map(show, x))"),
    ("tuple", "set", "{{x, ()}}"),
    ("tuple", "dict", "{{x: None}}"),
    ("dict", "dict", "{{**x, 'n': {n}}}"),
    ("dict", "list", "list(x.items())"),
    ("dict", "tuple", "tuple(x)"),
    ("dict", "set", "set(map(show, x.values()))"),
    ("dict", "none", "x.get('absent')"),
    ("dict", "int", "x['absent']"),
    ("set", "set", "x | {{{n}, 'z'}}"),
    ("set", "frozenset", "frozenset(x)"),
    ("set", "list", "sorted(map(show, x))"),
    ("set", "bool", "{n} in x"),
    ("set", "int", "sum(len(show(v)) for v in x)"),
    ("frozenset", "set", "{{x, frozenset()}}"),
    ("frozenset", "frozenset", "x ^ {{{n}}}"),
    ("frozenset", "dict", "{{x: len(x)}}"),
    ("frozenset", "list", "sorted(map(show, x))"),
]  # fmt: skip

PRELUDE = '''\
import collections, itertools, math, re

def fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a

def show(v):
    """repr, for sets in an order that does not depend on hashes"""
    if isinstance(v, (set, frozenset)):
        return '|'.join(sorted(map(show, v)))
    if isinstance(v, dict):
        return '{' + ','.join(show(k) + show(w) for k, w in v.items()) + '}'
    if isinstance(v, (list, tuple)):
        return '[' + ','.join(map(show, v)) + ']'
    return repr(v)

class Stack:
    def __init__(self, items):
        self.items = list(items)

    def push(self, item):
        self.items.append(item)
        return self

    def depth(self):
        return len(self.items)
'''

INPUTS = {
    "none": ["None"],
    "bool": ["True", "False"],
    "int": ["0", "-7", "12", "123456789012345678901234567890"],
    "float": ["0.0", "-0.0", "2.5", "-1e-07", "inf", "nan", "1e+300"],
    "complex": ["2j", "(1-2j)", "complex(nan, -0.0)", "complex(-inf, 1.0)"],
    "str": ["''", "'banana 17'", "'42'", "'it\\'s \"é\"'", "'\\ud800\\x00\U0001f600'"],
    "bytes": ["b''", "b'abc'", "b'\\x00\\xff\\'\"'"],
    "list": ["[]", "[3, 1, 2]", "['b', None, [1.5]]", "[nan, True]"],
    "tuple": ["()", "(1,)", "('a', (2, b'c'))"],
    "dict": ["{}", "{'b': 1, 'a': 2}", "{(1, 2): {3: 'x'}, None: []}"],
    "set": ["set()", "{1, 2, 10}", "{'pear', 'fig', 'apple'}", "{(1, 'a'), None}"],
    "frozenset": ["frozenset()", "frozenset({3, 20, 100})", "frozenset({frozenset({'a', 'b'})})"],
}


def make_program(seed: int) -> tuple[str, list[str]]:
    """A program with an entry function `f(x)`, and argument lists for it as text."""
    rng = random.Random(seed)
    first = kind = list(INPUTS)[seed % len(INPUTS)]
    body = ""
    for _ in range(rng.randrange(1, 6)):
        _, kind, expression = rng.choice([o for o in OPERATIONS if o[0] == kind])
        body += f"    x = {expression.format(n=rng.randrange(2, 8), m=rng.randrange(9))}\n"
    return f"{PRELUDE}\ndef f(x):\n{body}    return x\n", INPUTS[first]
