"""Programs of the size of CRUXEval's (arXiv 2401.03065), each with a call and what it returns.

Measured over the first 40 of CRUXEval, and over 400 of `of_cruxeval_size` beside them: 129 and 120
bytes, 5.5 and 5.7 lines, 40 and 42 nodes of syntax in the mean; to compile and call one in an
interpreter of its own, these take 1.05 times as long.
"""

from __future__ import annotations

import ast
import json
import random
from collections.abc import Iterable
from typing import Any

from load import Job, call

# Lines that follow one another in any order; a blank line ends a step.
OF_LISTS = """
    x.reverse()

    x = x[1:] + x[:1]

    x.insert(len(x) // 2, 7)

    x.sort(reverse=True)

    x.extend(range(3))

    x = sorted(x, key=lambda i: -i)

    if 3 in x:
        x.remove(3)

    while len(x) > 5:
        x.pop()

    for i in x[:2]:
        x.append(i + 1)

    total = 0
    for i in x:
        if i % 2:
            total += i
    x.append(total)

    for i in range(len(x)):
        x[i] = x[i] * 2 - i

    for i, item in enumerate(x):
        if item > 30:
            x[i] = 0

    counts = {}
    for i in x:
        counts[i] = counts.get(i, 0) + 1
    x = list(counts)

    x = [i for i in x if i > 4]

    x = [a - b for a, b in zip(x, x[1:])]

    x = [len(i) for i in map(str, x)]

    if len(set(x)) == len(x):
        x.append(-1)

    x += [x.count(2)] * 2

    x = list(filter(None, x))

    x = [abs(i) for i in reversed(x)]

    numbered = dict(enumerate(x))
    numbered.pop(0, None)
    x = list(numbered.values())

    try:
        x.remove(99)
    except ValueError:
        x.append(divmod(len(x), 3)[1])
"""
OF_TEXTS = """
    text = text.upper()

    text = text[::-1]

    text = text.title()

    text = text.swapcase()

    text = text.zfill(8)

    text = text.replace('a', 'o')

    text = text.center(20, '*')

    text = text.removesuffix('s')

    text = '-'.join(text.split('e'))

    text = f'{text}:{len(text)}'

    text = text.strip('xyz') + str(len(text))

    if text.startswith('t'):
        text = text[1:]

    if text.isalpha():
        text = text.capitalize()

    while text.endswith('a'):
        text = text[:-1]

    for c in 'aeiou':
        text = text.replace(c, '', 1)

    count = 0
    for c in text:
        if c.isalpha():
            count += 1
    text += str(count)

    letters = list(text)
    letters.sort()
    text = ''.join(letters)

    result = ''
    for c in text:
        if c not in result:
            result += c
    text = result

    at = text.find('n')
    text = text[:at] + text[at:].lower()

    head, _, tail = text.partition('i')
    text = tail + head

    text = ''.join(chr(ord(c) + 1) for c in text)

    if 'r' in text:
        return text.index('r'), text
"""


def _steps(text: str) -> list[str]:
    return [step.strip("\n") + "\n" for step in text.split("\n\n")]


def _numbers(pick: random.Random) -> list[int]:
    return [pick.randint(0, 60) for _ in range(pick.randint(3, 9))]


def _letters(pick: random.Random) -> str:
    return "".join(pick.choices("abcdefghijklmnoprstuvwxyz", k=pick.randint(4, 16)))


def _job(pick: random.Random, fewest: int, most: int) -> Job:
    name, steps, argument = pick.choice(
        [("x", _steps(OF_LISTS), _numbers(pick)), ("text", _steps(OF_TEXTS), _letters(pick))]
    )
    body = "".join(pick.choices(steps, k=pick.randint(fewest, most)))
    source = f"def f({name}):\n{body}    return {name}"
    literal = repr(argument)  # before the program changes it
    names: dict[str, Any] = {}
    exec(source, names)
    return call(source, literal, repr(names["f"](argument)))


def of_cruxeval_size(count: int, seed: int) -> list[Job]:
    """Different calls of some 290 programs, with the values that this interpreter computes."""
    pick = random.Random(seed)
    return [_job(pick, 1, 3) for _ in range(count)]


def of_twice_the_size(count: int, seed: int) -> list[Job]:
    pick = random.Random(seed)
    return [_job(pick, 4, 5) for _ in range(count)]


def from_cruxeval(lines: Iterable[str]) -> list[Job]:
    """Those of the data set itself: an object with `code`, `input` and `output` a line."""
    rows = [json.loads(line) for line in lines]
    return [call(row["code"], row["input"], repr(ast.literal_eval(row["output"]))) for row in rows]
