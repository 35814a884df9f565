"""When two plain values count as the same."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable


def equal(a: object, b: object, strict_types: bool = False) -> bool:
    """Python's `==` on plain values, except that nan equals nan, at any depth, keys included.

    As in Python 1 == 1.0 == True and a set equals a frozenset; with `strict_types` equal values
    must also have equal types throughout. Raises ValueError when a value is not plain.
    """
    return _key(a, strict_types) == _key(b, strict_types)


def _key(value: object, strict: bool) -> Hashable:
    """Something hashable that is `==` exactly when values are equal in the sense of `equal`."""
    kind = type(value)
    match value:
        case list() | tuple():
            return kind, tuple(_key(x, strict) for x in value)
        case set() | frozenset():
            members = Counter(_key(x, strict) for x in value)  # nan can be in a set more than once
            return kind if strict else set, frozenset(members.items())
        case dict():
            pairs = Counter((_key(k, strict), _key(v, strict)) for k, v in value.items())
            return kind, frozenset(pairs.items())
        case int() | float() | complex():
            number = _number_key(value)
            return (kind, number) if strict else number
        case None | str() | bytes():
            return value
    raise ValueError(f"not a plain value: {kind.__name__}")


def _number_key(value: int | float | complex) -> Hashable:
    if value == value:
        return value
    real, imaginary = ("nan" if math.isnan(x) else x for x in (value.real, value.imag))
    return complex, real, imaginary
