"""Forms of answers that can be compared without algebra."""

from __future__ import annotations

import re

_NUMERAL = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>\d{1,3}(?:(?:,|\{,\}|\\,)\d{3})+|\d+|(?=\.\d))(?:\.(?P<part>\d*))?"
)
_NOT_DIGITS = re.compile(r"\D+")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)  # an escaped one counts as none
_WRAPPERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))


def plain(answer: str) -> str:
    """The answer without white space at its ends, a final full stop and marks of mathematics; a
    number in decimal digits as it is usually written: `1,000.50` becomes `1000.5`.

    Equal forms are equal answers; different ones may be, too. Digits are not computed with, so
    that numbers may have any length.
    """
    form = " ".join(answer.split()).rstrip(".").strip()
    for opening, closing in _WRAPPERS:
        if form.startswith(opening) and form.endswith(closing) and len(form) > len(opening) * 2:
            form = form[len(opening) : -len(closing)].strip()
    numeral = _NUMERAL.fullmatch(form)
    return _usual(numeral) if numeral else form


def is_integer(form: str) -> bool:
    """Whether a form that `plain` gave is that of an integer."""
    return form.removeprefix("-").isdecimal() and form.isascii()


def is_balanced(form: str) -> bool:
    """Whether every brace that counts has its partner. What has not could close the box that it is
    compared in and open another, and so give two answers."""
    depth = 0
    for mark in _BRACE.finditer(form):
        depth += {"{": 1, "}": -1}.get(mark[0], 0)
        if depth < 0:
            return False
    return depth == 0


def _usual(numeral: re.Match[str]) -> str:
    whole = _NOT_DIGITS.sub("", numeral["whole"]).lstrip("0") or "0"
    part = (numeral["part"] or "").rstrip("0")
    sign = "-" if numeral["sign"] == "-" and (whole != "0" or part) else ""
    return f"{sign}{whole}.{part}" if part else sign + whole
