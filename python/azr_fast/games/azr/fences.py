"""Where the fenced blocks and the tags of an answer are, by CommonMark 0.31 (section 4.5).

A fence has a place (its own line, indented by at most three spaces; a tag beside it is like a line
end), a character (backtick or tilde), a length (three or more) and a match: a closing fence has
the character of the opening one, at least its length, and nothing after it. Small models forget
such closing fences, so an opening fence or a fence that ends a line of text ends a block too.

Several readings may remain: a docstring can hold a fenced example. A block of Python, and that is
what inputs and outputs are too, ends at the first fence outside its strings and comments, if
its text parses then; nothing is evaluated. A tag inside a block that is closed properly, or inside
one of its strings, is content. A library for Markdown gives CommonMark's one reading, which ends
the block inside the docstring, and knows neither forgotten fences nor tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from azr_fast.games.azr.programs import is_python

LABELS = ("python", "input", "output", "message")
_SAME_LABEL = {"py": "python", "python3": "python"}
_PATIENCE = 16  # readings as Python that may come to nothing: the work stays linear in the text

_TAG = "</?(?:think|answer)>"
_LINE_END = rf"(?:\n|\Z|(?={_TAG}))"


def _marks_pattern(indent: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?P<tag>{_TAG})"
        rf"|(?:^|(?<=think>)|(?<=answer>))(?P<indent>{indent})"
        rf"(?P<fence>`{{3,}}+|~{{3,}}+)(?P<info>(?:(?!{_TAG})[^`\n])*+){_LINE_END}"
        rf"|(?P<tail>(?<!`)`{{3,}}+|(?<!~)~{{3,}}+)[ \t]*+{_LINE_END}",
        re.MULTILINE,
    )


_MARKS = _marks_pattern(" {0,3}")
_MARKS_AT_ANY_DEPTH = _marks_pattern(r"[ \t]*+")
_FIRST_WORD = re.compile(r"[ \t{.]*(\w*)")
# Comments and strings of Python, and line ends, beyond which a search for them need not look. A
# string in single quotes that does not end takes the rest of its line, one in triple quotes the
# rest of the text: every character is looked at once.
_QUOTED = re.compile(
    r"\n|#[^\n]*+"
    r"""|(?P<triple>\"""|''')(?:\\.|(?!(?P=triple)).)*+(?:(?P=triple)|\Z)"""
    r"""|"(?:\\.|[^"\\\n])*+"?|'(?:\\.|[^'\\\n])*+'?""",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its label in lower case and the text between the fences, without blank
    lines at its ends."""

    label: str
    text: str


class _Mark(NamedTuple):
    """A tag, a fence on its own line (`info` is what follows it) or a fence that ends a line."""

    start: int
    end: int  # where the text after it begins
    tag: str
    fence: str
    info: str | None
    indent: str

    @property
    def label(self) -> str:
        word = _FIRST_WORD.match(self.info or "")
        label = word[1].lower() if word else ""
        return _SAME_LABEL.get(label, label)


def blocks_and_tags(text: str, loose: bool = False) -> list[Block | str]:
    """Closed fenced blocks and the tags outside them, in order.

    Line ends are those of Markdown and Python alike (LF, CR LF, CR) and become LF. `loose` finds
    answers that are indented or wrapped in another block as a whole: fences may be indented by any
    amount, and only those with a label of the game open a block.
    """
    return list(_Scanner(re.sub(r"\r\n?", "\n", text), loose).read())


class _Scanner:
    """Reads one text from its beginning to its end."""

    def __init__(self, text: str, loose: bool) -> None:
        self._text = text
        self._loose = loose
        pattern = _MARKS_AT_ANY_DEPTH if loose else _MARKS
        self._marks = [_mark(match) for match in pattern.finditer(text)]
        self._patience = _PATIENCE

    def read(self) -> Iterator[Block | str]:
        at = 0
        while at < len(self._marks):
            mark = self._marks[at]
            end = self._end(at) if self._opens(mark) else None
            at += 1
            if mark.tag:
                yield mark.tag
            if end is None:
                continue
            closing = self._marks[end]
            if not closing.tag:  # a tag ends what was never closed
                yield Block(mark.label, self._content(mark, closing))
            at = end if closing.tag or closing.info else end + 1

    def _opens(self, mark: _Mark) -> bool:
        return mark.info is not None and (not self._loose or mark.label in LABELS)

    def _end(self, at: int) -> int | None:
        """Index of the mark that ends the block which the mark at `at` opens."""
        plain = self._end_of_text(at)
        if self._marks[at].label in ("python", "input", "output") and self._patience:
            end = self._end_of_python(at)
            if end is not None and (end == plain or self._parses(at, end)):
                return end
            self._patience -= 1
        return plain

    def _end_of_text(self, at: int) -> int | None:
        """A closing fence before the next opening one; where it was forgotten, the first tag or
        fence at the end of a line, or else the opening fence."""
        forgotten = None
        for index in range(at + 1, len(self._marks)):
            mark = self._marks[index]
            matches = _matches(self._marks[at], mark)
            if matches and mark.info is not None:
                return index if forgotten is None or not mark.info else forgotten
            if forgotten is None and (matches or mark.tag):
                forgotten = index
        return forgotten

    def _end_of_python(self, at: int) -> int | None:
        """The first fence outside strings and comments; None where a tag shows it was forgotten."""
        tagged = False
        for index in self._outside_strings(at):
            mark = self._marks[index]
            if _matches(self._marks[at], mark):
                return None if tagged and mark.info != "" else index
            tagged = tagged or bool(mark.tag)
        return None

    def _outside_strings(self, at: int) -> Iterator[int]:
        """Indices of the marks after `at` that are in no string or comment of a program that
        begins there."""
        quoted = _QUOTED.finditer(self._text, self._marks[at].end)
        begin = end = self._marks[at].end
        for index in range(at + 1, len(self._marks)):
            start = self._marks[index].start
            while end <= start and (match := next(quoted, None)):
                begin, end = match.span()
            if not begin <= start < end:
                yield index

    def _parses(self, opening: int, closing: int) -> bool:
        return is_python(self._content(self._marks[opening], self._marks[closing]))

    def _content(self, opening: _Mark, closing: _Mark) -> str:
        text = self._text[opening.end : closing.start].strip("\n")
        if closing.info is None:
            text = text.rstrip(" \t\n")
        indent = opening.indent
        if indent and text.startswith(indent):  # as in CommonMark: lines lose what they have of it
            text = re.sub(f"(?m)^{indent[0]}{{1,{len(indent)}}}", "", text)
        return text


def _mark(match: re.Match[str]) -> _Mark:
    info = match["info"]
    return _Mark(
        start=match.start(),
        end=match.end(),
        tag=match["tag"] or "",
        fence=match["fence"] or match["tail"] or "",
        info=None if info is None else info.strip(" \t"),
        indent=match["indent"] or "",
    )


def _matches(opening: _Mark, mark: _Mark) -> bool:
    """Whether `mark` has the character and the length to end what `opening` opened."""
    return mark.fence.startswith(opening.fence)
