"""Reading answers. Model text becomes strings here; nothing of it is evaluated.

An answer may think inside <think>…</think>, answers inside <answer>…</answer>, and puts each part
into a fenced block labelled python, input, output or message, in any order (fences.py finds blocks
and tags). The last complete answer counts. Where no answer tag occurs at all, the blocks of the
whole text are the answer: small models forget the tags long before they forget the fences. An
answer that the token limit cut off is malformed whatever it holds, so that rambling on after the
answer earns nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from azr_fast.games.azr.fences import Block, blocks_and_tags
from azr_fast.games.azr.refusal import Malformed

T = TypeVar("T")

_MISSING = {
    "python": "no_program",
    "input": "no_input",
    "output": "no_output",
    "message": "no_message",
}
_DEFINES_F = re.compile(r"^[ \t]*def[ \t]+f\b", re.MULTILINE)


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


def check_tags(text: str) -> None:
    """Raise Malformed unless a whole thought is followed by a whole answer, both in their tags."""
    tags = (piece for piece in blocks_and_tags(text) if isinstance(piece, str))
    wanted = ("<think>", "</think>", "<answer>", "</answer>")
    missing = [tag for tag in wanted if tag not in tags]  # each looks on where the last was found
    if missing:
        raise Malformed("no_tags", f"no {missing[0]} where it belongs")


def _read(text: str, truncated: bool, pick: Callable[[Sequence[Block]], T]) -> T:
    """What `pick` finds in the last answer that has it; Malformed names what the last one lacks.

    An answer that is indented as a whole (CommonMark: a code block, not a fence) or wrapped in
    another fenced block is read where the text holds no better one.
    """
    if truncated:
        raise Malformed("truncated", text[-200:])
    faults: list[Malformed] = []
    for loose in (False, True):
        for blocks in reversed(_answers(blocks_and_tags(text, loose))):
            try:
                return pick(blocks)
            except Malformed as fault:
                faults.append(fault)
    raise faults[0] if faults else Malformed("no_answer", text[-200:])


def _answers(found: Sequence[Block | str]) -> list[list[Block]]:
    """The blocks of each complete answer, in order; all of them where no answer tag occurs."""
    thought = max((i + 1 for i, piece in enumerate(found) if piece == "</think>"), default=0)
    found = found[thought:]
    if "<answer>" in found:
        return list(_tagged(found))
    end = found.index("<think>") if "<think>" in found else len(found)
    return [[piece for piece in found[:end] if isinstance(piece, Block)]]


def _tagged(found: Sequence[Block | str]) -> Iterator[list[Block]]:
    blocks: list[Block] | None = None
    for piece in found:
        if isinstance(piece, Block):
            if blocks is not None:
                blocks.append(piece)
        elif piece == "<answer>":
            blocks = []
        elif piece == "</answer>":
            if blocks is not None:
                yield blocks
            blocks = None


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
