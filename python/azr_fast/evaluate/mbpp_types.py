"""Types that the JSON of MBPP+ lost, and answers of its authors' own: facts of evalplus 0.3.1
(Apache-2.0), evalplus/data/mbpp.py and evalplus/eval/_special_oracle.py, by the number of a task.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from azr_fast.sandbox.values import parse_arguments

Restorer = Callable[[list[Any]], list[Any]]


def _each(convert: Callable[[Any], Any]) -> Restorer:
    return lambda arguments: [convert(one) for one in arguments]


def _first(convert: Callable[[Any], Any]) -> Restorer:
    return lambda arguments: [convert(arguments[0]), *arguments[1:]]


def _second(convert: Callable[[Any], Any]) -> Restorer:
    return lambda arguments: [arguments[0], convert(arguments[1]), *arguments[2:]]


def _tuples(value: Any) -> list[Any]:
    return [tuple(one) for one in value]


def _tuples_among(value: Any) -> tuple[Any, ...]:
    return tuple(tuple(one) if isinstance(one, list) else one for one in value)


def _deep_tuple(value: Any) -> Any:
    return tuple(map(_deep_tuple, value)) if isinstance(value, list) else value


def _sets(value: Any) -> list[Any]:
    return [set(one) if isinstance(one, list) and one else {} for one in value]


def _values_as_tuples(value: Any) -> dict[Any, Any]:
    return {key: tuple(one) for key, one in value.items()}


def _polar(arguments: list[Any]) -> list[Any]:
    return [float(arguments[0]), complex(arguments[1])]


_NUMBERS: list[tuple[str, Restorer]] = [
    ("2 116 132 143 222 261 273 394 399 421 424 429 470 560 579 596 616 630 726 740 744 809",
     _each(tuple)),
    ("63 64 70 94 120 237 272 299 400 409 417 438 473 614 780", _each(_tuples)),
    ("75 413 444 753", _first(_tuples)),
    ("106 750", _second(tuple)),
    ("115", _first(_sets)),
    ("124", _polar),
    ("250 307 405 446 617 720 763 808", _first(tuple)),
    ("252", _first(complex)),
    ("259 401 445", _each(lambda value: tuple(_tuples(value)))),
    ("278", _first(_tuples_among)),
    ("580 615 791", _each(_deep_tuple)),
    ("722", _first(_values_as_tuples)),
]  # fmt: skip
_RESTORERS = {int(number): how for numbers, how in _NUMBERS for number in numbers.split()}


def restorer(number: int) -> Restorer:
    """Gives the arguments of a task the types that its authors give them."""
    return _RESTORERS.get(number, lambda arguments: arguments)


def pyramid_surface(question: str) -> int:
    """Of task 581, where the height is that of the pyramid and not of its sides."""
    edge, height = (float(str(one)) for one in parse_arguments(question))
    return round(edge**2 + 2 * edge * math.hypot(edge / 2, height))


def digit_distance(first: str, second: str) -> int:
    """Of task 558, where the shorter number is filled with zeros."""
    width = max(len(first), len(second))
    pairs = zip(first.zfill(width), second.zfill(width), strict=True)
    return sum(abs(int(a) - int(b)) for a, b in pairs)
