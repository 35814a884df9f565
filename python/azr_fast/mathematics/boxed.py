r"""Finds the answer that a text puts into \boxed{}."""

from __future__ import annotations

import re

# What opens a box, an escaped character (a brace that counts as none), or a brace.
_MARK = re.compile(r"(?P<box>\\f?box(?:ed)?\s*+\{)|\\.|[{}]", re.DOTALL)


def last_boxed(text: str) -> str | None:
    r"""The whole content of the last box that is closed and not empty; None where there is none.

    The content may have braces of its own: of `\boxed{\frac{1}{2}}` it is `\frac{1}{2}`. The work
    is linear in the text.
    """
    opened: list[int | None] = []  # what is open: where a box's content begins, None for a brace
    begin, last = -1, None
    for mark in _MARK.finditer(text):
        if mark["box"] or mark[0] == "{":
            opened.append(mark.end() if mark["box"] else None)
        elif mark[0] == "}" and opened:
            start = opened.pop()
            if (
                start is not None
                and start > begin
                and (content := text[start : mark.start()].strip())
            ):
                begin, last = start, content
    return last
