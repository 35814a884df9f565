"""Answers to mathematical questions: where they stand in a text, and which of them are equal."""

from azr_fast.mathematics.boxed import last_boxed
from azr_fast.mathematics.equality import Equality

__all__ = ["Equality", "last_boxed"]
