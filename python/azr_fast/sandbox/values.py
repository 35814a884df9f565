"""Plain values: the only data that enters or leaves a program, as canonical text and back.

The C++ twin of this codec lives in the sandbox daemon; the tests fuzz the two against each other.
Text is read over `ast` and never evaluated, so the words of a model stay data.
"""

from __future__ import annotations

import ast
import math
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import EllipsisType
from typing import Any, TypeAlias, TypeVar

PlainValue: TypeAlias = (
    bool
    | int
    | float
    | complex
    | str
    | bytes
    | list["PlainValue"]
    | tuple["PlainValue", ...]
    | dict["PlainValue", "PlainValue"]
    | set["PlainValue"]
    | frozenset["PlainValue"]
    | None
)
_T = TypeVar("_T")

MAX_DEPTH = 64  # containers within containers; a scalar has depth 0, `[]` depth 1

_SOURCE = "<plain value>"
_SMALL_INT_BITS = 2000  # below 640 digits CPython's limit on int <-> text never applies
_FLOAT_WORDS = ("nan", "+nan", "-nan", "inf", "+inf", "-inf")
_LONG_DIGITS = re.compile("[0-9][0-9_]{600}")
_digits_lock = threading.Lock()

# Odd escapes in a model's strings are its own affair; a filter for one module name is thread-safe,
# `catch_warnings` is not.
warnings.filterwarnings("ignore", module=re.escape(_SOURCE))


# --- value -> text ----------------------------------------------------------------------------


def canonical(value: object) -> str:
    """The canonical text of a plain value: `repr`, with set elements sorted by their text.

    nan and the infinities are written `nan`, `inf`, `-inf`; a complex number whose parts a literal
    would not bring back is written `complex(re, im)`. Equal text means the same value, spelled
    alike; `parse` is its inverse. Raises ValueError for a value that is not plain (types are
    compared exactly: no subclasses) or nests deeper than MAX_DEPTH, as a cycle does.
    """
    return _write(value, 0)


def canonical_arguments(values: Iterable[object]) -> str:
    """The canonical text of an argument list, as it stands inside a call's parentheses."""
    return ", ".join(map(canonical, values))


def _write(value: object, depth: int) -> str:
    kind = type(value)
    writer = _WRITERS.get(kind)
    if writer is None:
        raise ValueError(f"not a plain value: {kind.__name__}")
    if kind in _CONTAINERS:
        depth = _deeper(depth)
    return writer(value, depth)


def _deeper(depth: int) -> int:
    if depth == MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    return depth + 1


def _write_int(value: int, _depth: int) -> str:
    if value.bit_length() < _SMALL_INT_BITS:
        return repr(value)
    with _any_number_of_digits():
        return repr(value)


def _write_complex(value: complex, _depth: int) -> str:
    literal = all(math.isfinite(x) and not _is_minus_zero(x) for x in (value.real, value.imag))
    if literal and not (value.real == 0 and value.imag < 0):  # `-2j` has the real part -0.0
        return repr(value)
    return f"complex({value.real!r}, {value.imag!r})"


def _is_minus_zero(x: float) -> bool:
    return x == 0 and math.copysign(1.0, x) < 0


def _write_tuple(value: tuple[object, ...], depth: int) -> str:
    comma = "," if len(value) == 1 else ""
    return f"({_write_all(value, depth)}{comma})"


def _write_dict(value: dict[object, object], depth: int) -> str:
    items = (f"{_write(k, depth)}: {_write(v, depth)}" for k, v in value.items())
    return "{" + ", ".join(items) + "}"


def _write_set(value: set[object] | frozenset[object], depth: int) -> str:
    if not value:
        return "set()"
    return "{" + ", ".join(sorted(_write(x, depth) for x in value)) + "}"


def _write_frozenset(value: frozenset[object], depth: int) -> str:
    return f"frozenset({_write_set(value, depth)})" if value else "frozenset()"


def _write_all(values: Iterable[object], depth: int) -> str:
    return ", ".join(_write(x, depth) for x in values)


def _write_repr(value: object, _depth: int) -> str:
    return repr(value)


_CONTAINERS = frozenset({list, tuple, dict, set, frozenset})
_WRITERS: dict[type, Callable[[Any, int], str]] = {
    type(None): _write_repr,
    bool: _write_repr,
    float: _write_repr,
    str: _write_repr,
    bytes: _write_repr,
    int: _write_int,
    complex: _write_complex,
    list: lambda value, depth: f"[{_write_all(value, depth)}]",
    tuple: _write_tuple,
    dict: _write_dict,
    set: _write_set,
    frozenset: _write_frozenset,
}


# --- text -> value ----------------------------------------------------------------------------


def parse(text: str) -> PlainValue:
    """The plain value that a Python literal spells; nothing in `text` is ever evaluated.

    Besides literals it knows signs, `1+2j`, the names nan and inf, and the calls `set(...)`,
    `frozenset(...)`, `complex(re, im)` and `float("nan")` over literals. Raises ValueError, with a
    message that says what was refused, for anything else and for nesting beyond MAX_DEPTH.
    """
    return _read(_syntax_tree(text.strip()), 0)


def parse_arguments(text: str) -> tuple[PlainValue, ...]:
    """The argument list that stands inside a call's parentheses: `1, 'a'` is (1, 'a'), "" is ().

    Raises ValueError like `parse`, and for keyword and starred arguments.
    """
    # Text that closes the bracket by itself makes the tree something other than one list.
    tree = _syntax_tree(f"[\n{text}\n]")
    if not isinstance(tree, ast.List):
        raise ValueError("not a list of arguments")
    return tuple(_read(node, 0) for node in tree.elts)


def _syntax_tree(text: str) -> ast.expr:
    try:
        if not _LONG_DIGITS.search(text):
            return ast.parse(text, _SOURCE, "eval").body
        with _any_number_of_digits():
            return ast.parse(text, _SOURCE, "eval").body
    except SyntaxError as error:
        raise ValueError(f"not a Python value: {error.msg}") from None
    except (RecursionError, MemoryError):
        raise ValueError("not a Python value: nested too deeply") from None


@contextmanager
def _any_number_of_digits() -> Iterator[None]:
    """Lift CPython's limit on the digits of an int for a moment (for the whole interpreter)."""
    with _digits_lock:
        limit = sys.get_int_max_str_digits()
        sys.set_int_max_str_digits(0)
        try:
            yield
        finally:
            sys.set_int_max_str_digits(limit)


def _read(node: ast.expr, depth: int) -> PlainValue:
    match node:
        case ast.Constant(value=value) if not isinstance(value, EllipsisType):
            return value
        case ast.List(elts=nodes):
            return _read_all(nodes, depth)
        case ast.Tuple(elts=nodes):
            return tuple(_read_all(nodes, depth))
        case ast.Set(elts=nodes):
            items = _read_all(nodes, depth)
            return _hashed(lambda: set(items))
        case ast.Dict(keys=keys, values=values) if None not in keys:
            pairs = zip(_read_all(keys, depth), _read_all(values, depth), strict=True)
            return _hashed(lambda: dict(pairs))
        case ast.Call(func=ast.Name(id="set" | "frozenset" | "complex" as name), keywords=[]):
            return _read_call(name, node.args, depth)
        case ast.Call() | ast.Name() | ast.UnaryOp() | ast.BinOp():
            return _read_number(node)
    raise ValueError(_refusal(node))


def _read_all(nodes: Sequence[ast.expr | None], depth: int) -> list[PlainValue]:
    depth = _deeper(depth)
    return [_read(node, depth) for node in nodes if node is not None]


def _hashed(make: Callable[[], _T]) -> _T:
    try:
        return make()
    except TypeError as error:
        raise ValueError(f"not a Python value: {error}") from None


def _read_call(name: str, arguments: list[ast.expr], depth: int) -> PlainValue:
    match name, arguments:
        case (("set" | "frozenset"), []):
            _deeper(depth)
            return set() if name == "set" else frozenset()
        case (("set" | "frozenset"), [ast.List() | ast.Tuple() | ast.Set() as display]):
            items = _read_all(display.elts, depth)
            return _hashed(lambda: set(items) if name == "set" else frozenset(items))
        case "complex", [real, imaginary]:
            return _complex(_read_number(real), _read_number(imaginary))
    raise ValueError(f"not a plain value: this call of {name}")


def _read_number(node: ast.expr) -> int | float | complex:
    """A number, nan or inf with at most one sign, or a sum like `1+2j`."""
    match node:
        case ast.Constant(value=value) if type(value) in (int, float, complex):
            return value  # type: ignore[return-value]
        case ast.Name(id="nan" | "inf" as name):
            return float(name)  # a new nan each time: Python's sets tell nans apart by identity
        case ast.Call(func=ast.Name(id="float"), args=[ast.Constant(value=word)], keywords=[]):
            if word in _FLOAT_WORDS:
                return float(word)
        case ast.UnaryOp(op=ast.USub(), operand=operand) if _may_be_signed(operand):
            return -_read_number(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand) if _may_be_signed(operand):
            return _read_number(operand)
        case ast.BinOp(left=ast.BinOp()):
            pass  # a long sum, which is no literal and would exhaust the stack
        case ast.BinOp(left=left, right=ast.Constant(value=complex() as imaginary)):
            return _read_sum(_read_number(left), node.op, imaginary)
    raise ValueError(_refusal(node))


def _may_be_signed(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant | ast.Name | ast.Call | ast.BinOp)


def _read_sum(real: int | float | complex, operator: ast.operator, imaginary: complex) -> complex:
    _complex(real, 0.0)
    match operator:
        case ast.Add():
            return real + imaginary
        case ast.Sub():
            return real - imaginary
    raise ValueError(f"not a plain value: {type(operator).__name__}")


def _complex(real: int | float | complex, imaginary: int | float | complex) -> complex:
    if isinstance(real, complex) or isinstance(imaginary, complex):
        raise ValueError("not a plain value: a complex part of a complex number")
    try:
        return complex(real, imaginary)
    except OverflowError:
        raise ValueError("not a plain value: the part of a complex number is too large") from None


def _refusal(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return f"not a plain value: the name {name}"
        case ast.Call(func=ast.Name(id=name)):
            return f"not a plain value: this call of {name}"
    return f"not a plain value: {type(node).__name__}"
