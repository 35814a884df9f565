"""Finding a program, an expression or a value in what a model said. Nothing of it is evaluated."""

from __future__ import annotations

import ast
import re

from azr_fast.games.azr.fences import Block, blocks_and_tags
from azr_fast.games.azr.programs import is_python
from azr_fast.games.azr.refusal import Malformed
from azr_fast.mathematics import last_boxed

_TAGGED = re.compile(r"<answer>((?:(?!<answer>).)*?)(?:</answer>|\Z)", re.DOTALL)
_LAST = re.compile(r"(?:####|answer is:?|answer:)\s*([^\n]+)", re.IGNORECASE)
_OPEN_FENCE = re.compile(r"^```(?:python|py)?[ \t]*\n(?P<rest>.*)\Z", re.DOTALL | re.MULTILINE)


def without_thought(text: str) -> str:
    """What comes after the last thought that is closed."""
    return text.rpartition("</think>")[2]


def tagged(text: str) -> str | None:
    """What stands in the last answer tag, one that was not closed included."""
    found = _TAGGED.findall(without_thought(text))
    return found[-1].strip() if found else None


def final_answer(text: str) -> str | None:
    """The last box, or what the text calls its answer."""
    said = without_thought(text)
    if boxed := last_boxed(said):
        return boxed
    found = [_bare(line) for line in _LAST.findall(said)]
    return next((line for line in reversed(found) if line), None)


def _bare(line: str) -> str:
    """The text without the full stop of a sentence and the marks of mathematics around it."""
    return line.strip().removesuffix(".").removesuffix("$").removeprefix("$").strip()


def program_in(text: str, entry: str = "") -> str:
    """The program that an answer gives: the last block that defines `entry`, else the last block
    that parses, else the text itself where it is a program. Raises Malformed where there is none.
    """
    said = without_thought(text)
    blocks = [piece.text for piece in blocks_and_tags(said) if isinstance(piece, Block)]
    if not blocks and (open_fence := _OPEN_FENCE.search(said)):  # it was never closed
        blocks = [open_fence["rest"]]
    candidates = [block for block in blocks or [said] if block.strip() and is_python(block)]
    defining = [block for block in candidates if entry and entry in defined_names(block)]
    if not candidates:
        raise Malformed("no_program", said[-200:])
    return (defining or candidates)[-1]


def defined_names(program: str) -> set[str]:
    """The names that a program binds at its top level; none where it does not parse."""
    try:
        body = ast.parse(program).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    return {name for statement in body for name in _bound(statement)}


def _bound(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in statement.names}
    return {
        node.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def before_function(program: str, name: str) -> str:
    """What stands before the function `name`: imports and helpers."""
    lines = program.split("\n")
    pattern = re.compile(rf"(?:async )?def {re.escape(name)}\b")
    at = next((i for i, line in enumerate(lines) if pattern.match(line)), 0)
    return "\n".join(lines[:at])


def expression(text: str) -> ast.expr:
    """The tree of an expression. Raises Malformed."""
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Malformed("no_expression", f"{text[:200]!r}: {error}") from None
