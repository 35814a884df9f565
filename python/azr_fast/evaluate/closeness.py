"""When a value counts as the expected one, as EvalPlus has it (Apache-2.0, evalplus 0.3.1), and
when printed lines do, as LiveCodeBench has it."""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation

from azr_fast.sandbox.equality import equal

_RELATIVE = 1e-7
_FLOATS = 1e-6  # absolute; where the authors allow no error and a float is expected
# No float has more digits, nor more of them in 5 characters (`1e308`), so that among equal values
# only integers do, which have the same.
_MANY_DIGITS = re.compile(r"[0-9]{400,}")
_LONGER = 100  # times


def may_be_close(value: str, expected: str) -> bool:
    """Whether a value can count as the expected one, going by the length of both canonical texts.

    A program may return what takes minutes or all memory to read. What is that much longer than
    what is expected, or has a number of more digits, is not equal and need not be read.
    """
    digits, most = (
        max(map(len, _MANY_DIGITS.findall(one)), default=0) for one in (value, expected)
    )
    return len(value) <= _LONGER * len(expected) + 1000 and (not digits or digits <= most + 1)


def close(value: object, expected: object, tolerance: float) -> bool:
    """Equal, or of one shape and type with numbers within `tolerance` + 1e-7 of the expected."""
    if equal(value, expected):
        return True
    if not tolerance and _is_floats(expected):
        tolerance = _FLOATS
    return bool(tolerance) and type(value) is type(expected) and _near(value, expected, tolerance)


def _is_floats(value: object) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(one, float) for one in value)
    return isinstance(value, float)


def _near(value: object, expected: object, tolerance: float) -> bool:
    if isinstance(value, list | tuple) and isinstance(expected, list | tuple):
        pairs = zip(value, expected, strict=False)
        return len(value) == len(expected) and all(_near(*pair, tolerance) for pair in pairs)
    if isinstance(value, int | float) and isinstance(expected, int | float):
        return _within(value, expected, tolerance)
    return equal(value, expected)


def _within(value: float, expected: float, tolerance: float) -> bool:
    try:
        return math.isclose(value, expected, rel_tol=0, abs_tol=_margin(expected, tolerance))
    except OverflowError:  # integers beyond all floats: near is none of them but the same
        return value == expected


def _margin(expected: float, tolerance: float) -> float:
    return tolerance + _RELATIVE * abs(expected) if math.isfinite(expected) else 0.0


def same_lines(printed: str, expected: str) -> bool:
    """Line by line, without white space at the ends; numbers may be written otherwise."""
    ours, theirs = printed.strip().split("\n"), expected.strip().split("\n")
    return len(ours) == len(theirs) and all(map(_same_line, ours, theirs))


def _same_line(ours: str, theirs: str) -> bool:
    if ours.strip() == theirs.strip():
        return True
    try:
        return list(map(Decimal, ours.split())) == list(map(Decimal, theirs.split()))
    except InvalidOperation:
        return False
