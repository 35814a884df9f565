"""Reading answers. Model text becomes strings here; nothing of it is evaluated.

An answer may think inside <think>…</think>, answers inside <answer>…</answer>, and puts each part
into a fenced block labelled python, input, output or message, in any order. The last complete
answer counts. Where no answer tag occurs at all, the fenced blocks of the whole text are the
answer: small models forget the tags long before they forget the fences. An answer that the token
limit cut off is malformed whatever it holds, so that rambling on after the answer earns nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from azr_fast.games.azr.refusal import Malformed

T = TypeVar("T")

_FENCE = "```"
_LABELS = {"py": "python", "python3": "python"}
_MISSING = {
    "python": "no_program",
    "input": "no_input",
    "output": "no_output",
    "message": "no_message",
}
_DEFINES_F = re.compile(r"^[ \t]*def[ \t]+f\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its label in lower case and the text between the fences."""

    label: str
    text: str


def read_program_and_input(text: str, truncated: bool) -> tuple[str, str]:
    """The program and the argument list of a deduction or abduction proposal."""
    parts = _read(text, truncated, lambda blocks: _last_complete(blocks, ("python", "input")))
    return parts["python"], parts["input"]


def read_inputs_and_message(text: str, truncated: bool) -> tuple[list[str], str]:
    """The argument lists and the message of an induction proposal."""
    return _read(text, truncated, _inputs_and_message)


def read_block(text: str, truncated: bool, label: str) -> str:
    """The one part a solver answers with: a `python`, `input` or `output` block."""
    return _read(text, truncated, lambda blocks: _last_complete(blocks, (label,)))[label]


def _read(text: str, truncated: bool, pick: Callable[[Sequence[Block]], T]) -> T:
    """What `pick` finds in the last answer that has it; Malformed names what the last one lacks."""
    if truncated:
        raise Malformed("truncated", text[-200:])
    faults: list[Malformed] = []
    for section in reversed(answer_sections(text)):
        try:
            return pick(fenced_blocks(section))
        except Malformed as fault:
            faults.append(fault)
    raise faults[0] if faults else Malformed("no_answer", text[-200:])


def answer_sections(text: str) -> list[str]:
    """Texts of the complete answers, in order; the whole text where no answer tag occurs."""
    text = text.rpartition("</think>")[2]
    if "<answer>" in text:
        closed = text.split("</answer>")[:-1]
        return [piece.rpartition("<answer>")[2] for piece in closed if "<answer>" in piece]
    return [text.partition("<think>")[0]]


def fenced_blocks(text: str) -> list[Block]:
    """Closed fenced blocks in order. A labelled fence inside a block ends it and opens the next,
    so that one forgotten closing fence does not swallow the rest."""
    found: list[Block] = []
    label: str | None = None
    lines: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        stripped = line.strip()
        opens = re.fullmatch(r"```[ \t]*(\w*)", stripped)
        if label is None:
            if opens:
                label, lines = opens[1].lower(), []
            continue
        ends_here = stripped.endswith(_FENCE)
        if not opens and not ends_here:
            lines.append(line)
            continue
        if not opens:
            lines.append(line.rstrip()[: -len(_FENCE)])
        found.append(Block(_LABELS.get(label, label), "\n".join(lines).strip("\n")))
        label, lines = (opens[1].lower(), []) if opens and opens[1] else (None, [])
    return found


def _last_complete(blocks: Sequence[Block], labels: Sequence[str]) -> dict[str, str]:
    """The last run of blocks that holds every label. A repeated label starts a new run, so an
    example block that trails a complete answer does not replace it."""
    defines_f = any(b.label == "python" and _DEFINES_F.search(b.text) for b in blocks)
    run: dict[str, str] = {}
    complete: dict[str, str] | None = None
    for block in blocks:
        shows_a_call = block.label == "python" and not _DEFINES_F.search(block.text)
        if block.label not in labels or (defines_f and shows_a_call):
            continue
        if block.label in run:
            run = {}
        run[block.label] = block.text
        if len(run) == len(labels):
            complete = run
    if complete is None:
        raise _missing(blocks, labels)
    return complete


def _inputs_and_message(blocks: Sequence[Block]) -> tuple[list[str], str]:
    inputs = [b.text for b in blocks if b.label == "input"]
    messages = [b.text.strip() for b in blocks if b.label == "message"]
    if not inputs or not messages:
        raise _missing(blocks, ("input", "message"))
    return inputs, messages[-1]


def _missing(blocks: Sequence[Block], labels: Sequence[str]) -> Malformed:
    seen = {block.label for block in blocks}
    if not seen:
        return Malformed("no_answer", "no fenced block")
    absent = [label for label in labels if label not in seen]
    return Malformed(_MISSING[absent[0]], "fenced blocks: " + ", ".join(sorted(seen)))
