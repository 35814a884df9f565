"""Programs whose values must be those of plain CPython, and plain CPython's answers to them."""

from __future__ import annotations

from .expressions import EXPRESSIONS
from .generated import generated_cases
from .library import LIBRARY
from .plain import Case, plain_answers
from .programs import PROGRAMS

# A hand-written expression is a program that returns it.
CASES: list[Case] = [
    *((f"def f(): return {text}", "") for text in (*EXPRESSIONS, *LIBRARY)),
    *PROGRAMS,
    *generated_cases(count=600, seed=20240607),
]

__all__ = ["CASES", "Case", "plain_answers"]
