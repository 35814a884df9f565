"""The random proposer, a control: templates filled with random numbers. Answers are computed here
by code of ours, so that each question has a truth."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import comb, gcd, isqrt, lcm

from azr_fast.games.agent0.questions import Draft

Filled = tuple[str, int]  # a question and its answer


def random_question(rng: random.Random) -> Draft:
    """A question of a random template with random numbers, and its answer."""
    question, answer = rng.choice(_TEMPLATES)(rng)
    return Draft(question, str(answer), None)


def _remainder(rng: random.Random) -> Filled:
    base, power, by = rng.randint(2, 19), rng.randint(3, 60), rng.randint(5, 97)
    question = f"What is the remainder when {base}^{power} is divided by {by}?"
    return question, pow(base, power, by)


def _linear(rng: random.Random) -> Filled:
    a, x, b = rng.randint(2, 19), rng.randint(-30, 30), rng.randint(-99, 99)
    return f"Solve {a}x + {b} = {a * x + b} for x.", x


def _divisors(rng: random.Random) -> Filled:
    n = rng.randint(50, 5000)
    pairs = sum(2 if d * d < n else 1 for d in range(1, isqrt(n) + 1) if n % d == 0)
    return f"How many positive divisors does {n} have?", pairs


def _committees(rng: random.Random) -> Filled:
    n, k = rng.randint(5, 16), rng.randint(2, 5)
    return f"In how many ways can {k} of {n} people be chosen?", comb(n, k)


def _series(rng: random.Random) -> Filled:
    first, step, count = rng.randint(1, 30), rng.randint(2, 15), rng.randint(5, 60)
    question = (
        f"A sequence begins with {first} and grows by {step} each time. What is the sum of its "
        f"first {count} terms?"
    )
    return question, count * first + step * count * (count - 1) // 2


def _bells(rng: random.Random) -> Filled:
    a, b = rng.randint(6, 60), rng.randint(6, 60)
    question = (
        f"One bell rings every {a} minutes, another every {b} minutes. They ring together now. "
        "After how many minutes do they ring together again?"
    )
    return question, lcm(a, b)


def _tiles(rng: random.Random) -> Filled:
    a, b = rng.randint(12, 400), rng.randint(12, 400)
    question = (
        f"A floor of {a} cm by {b} cm is to be covered by equal square tiles, as large as can be. "
        "How many cm long is the side of a tile?"
    )
    return question, gcd(a, b)


def _digits(rng: random.Random) -> Filled:
    top, total = rng.randint(100, 2000), rng.randint(4, 18)
    question = f"How many whole numbers from 1 to {top} have digits that add up to {total}?"
    return question, sum(sum(map(int, str(n))) == total for n in range(1, top + 1))


_TEMPLATES: tuple[Callable[[random.Random], Filled], ...] = (
    *(_remainder, _linear, _divisors, _committees, _series, _bells, _tiles, _digits),
)
