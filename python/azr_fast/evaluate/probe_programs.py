"""Small programs of known depth for a probe that is the same for ever: a chain of steps over one
value, made from a seed of its own. What each step does is written twice, as text for the program
and as a function for its output, and the tests run one against the other."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

SEED = "azr-fast probe, first edition"  # another one would be another probe
DEPTHS = range(1, 6)
EACH = 40  # programs of a depth
_LETTERS = "abcdeimnorst"


@dataclass(frozen=True, slots=True)
class _Step:
    text: str  # of a statement that changes x; N is a number
    apply: Callable[[Any, int], Any]


_OF_NUMBERS = (
    _Step("x = [n + N for n in x]", lambda x, k: [n + k for n in x]),
    _Step("x = [n * N for n in x]", lambda x, k: [n * k for n in x]),
    _Step("x = x[::-1]", lambda x, k: x[::-1]),
    _Step("x = sorted(x)", lambda x, k: sorted(x)),
    _Step("x = x[N:] + x[:N]", lambda x, k: x[k:] + x[:k]),
    _Step("x = [n for n in x if n % 2 == 0] or [N]",
          lambda x, k: [n for n in x if n % 2 == 0] or [k]),
    _Step("x = [a - b for a, b in zip(x, x[1:])] + [N]",
          lambda x, k: [*(a - b for a, b in pairwise(x)), k]),
    _Step("x = [max(n, N) for n in x]", lambda x, k: [max(n, k) for n in x]),
    _Step("x = x + [sum(x)]", lambda x, k: [*x, sum(x)]),
    _Step("x = [n // N for n in x]", lambda x, k: [n // k for n in x]),
)  # fmt: skip
_OF_TEXT = (
    _Step("x = x[::-1]", lambda x, k: x[::-1]),
    _Step("x = x.upper()", lambda x, k: x.upper()),
    _Step("x = x.replace('e', str(N))", lambda x, k: x.replace("e", str(k))),
    _Step("x = x[N:] + x[:N]", lambda x, k: x[k:] + x[:k]),
    _Step("x = ''.join(sorted(x))", lambda x, k: "".join(sorted(x))),
    _Step("x = '-'.join(x)", lambda x, k: "-".join(x)),
    _Step("x = x + str(len(x))", lambda x, k: x + str(len(x))),
    _Step("x = ''.join(c for c in x if c not in 'aio')",
          lambda x, k: "".join(c for c in x if c not in "aio")),
    _Step("x = x[:N] * 2 + x[N:]", lambda x, k: x[:k] * 2 + x[k:]),
    _Step("x = x.title()", lambda x, k: x.title()),
)  # fmt: skip


def probe_records() -> Iterator[dict[str, str]]:
    """The records of the probe, as CRUXEval has them. Ids are depth and number."""
    rng = random.Random(SEED)
    seen: set[str] = set()
    for depth in DEPTHS:
        made = 0
        while made < EACH:
            record = _record(depth, rng)
            if record["code"] not in seen and record["input"] != record["output"]:
                seen.add(record["code"])
                yield record | {"id": f"{depth}/{made}"}
                made += 1


def _record(depth: int, rng: random.Random) -> dict[str, str]:
    numbers = rng.random() < 0.5
    value: Any = _numbers(rng) if numbers else _text(rng)
    given, lines = repr(value), ["def f(x):"]
    for step in rng.sample(_OF_NUMBERS if numbers else _OF_TEXT, depth):
        number = rng.randint(2, 5)
        lines.append(f"    {step.text.replace('N', str(number))}")
        value = step.apply(value, number)
    lines.append("    return x")
    return {"code": "\n".join(lines), "input": given, "output": repr(value)}


def _numbers(rng: random.Random) -> list[int]:
    return [rng.randint(-9, 20) for _ in range(rng.randint(3, 5))]


def _text(rng: random.Random) -> str:
    return "".join(rng.choices(_LETTERS, k=rng.randint(4, 7)))
