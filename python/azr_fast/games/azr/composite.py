"""Composite proposals: a new program that must call earlier ones (paper, appendix D).

The earlier programs are given as functions g_0, g_1, ...; what is posed is their text and that of
the answer together.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from azr_fast.games.azr.config import GameConfig
from azr_fast.games.azr.programs import ENTRY, parameters, without_docstrings
from azr_fast.games.azr.refusal import Failed
from azr_fast.games.azr.tasks import SEED_KINDS
from azr_fast.games.game import Tasks
from azr_fast.types import Source, Task

CANDIDATES = 4  # programs that are drawn for each that is wanted: not all can be given


@dataclass(frozen=True, slots=True)
class CompositeSource(Source):
    """A source with programs that the proposal must call."""

    given: tuple[Task, ...] = ()

    @property
    def key(self) -> tuple[str, tuple[str, ...], int]:
        """What tells sources apart."""
        shown = (*self.references, *self.given)
        return self.kind, tuple(task.key for task in shown), self.seed


def composite_share(step: int, config: GameConfig) -> float:
    """The share of proposals that are composite in a step; none while the buffers are seeded."""
    since = step - max(1, config.composite_start)
    if since < 0:
        return 0.0
    ramp = config.composite_ramp
    return config.composite_chance * (min(1.0, (since + 1) / ramp) if ramp else 1.0)


def draw_given(tasks: Tasks, rng: random.Random, config: GameConfig) -> tuple[Task, ...]:
    """1 to `composite_programs` different programs that can be given; fewer where few can."""
    wanted = rng.randint(1, config.composite_programs)
    found: dict[str, Task] = {}
    for task in tasks.draw(SEED_KINDS, CANDIDATES * wanted, rng):
        if as_function(str(task.payload["program"]), "g_0"):
            found.setdefault(str(task.payload["program_key"]), task)
    return tuple(found.values())[:wanted]


def given_functions(source: Source) -> dict[str, str]:
    """The text of each function that a proposal must call, by name."""
    given = source.given if isinstance(source, CompositeSource) else ()
    texts = [as_function(str(task.payload["program"]), f"g_{i}") for i, task in enumerate(given)]
    return {f"g_{i}": text for i, text in enumerate(texts) if text}


def as_function(program: str, name: str) -> str | None:
    """A program as one function of that name; None when it is more than imports and `f`, uses the
    name f for something else, or is nested more deeply than can be written anew."""
    tree = without_docstrings(ast.parse(program))
    functions = [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]
    match functions:
        case [ast.FunctionDef(name="f") as function]:
            pass
        case _:
            return None
    if any(name == ENTRY for node in ast.walk(function) for name in _rebinds(node)):
        return None
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id == ENTRY:
            node.id = name
    function.name = name
    try:
        return ast.unparse(tree)
    except RecursionError:
        return None


def compose(answer: str, given: dict[str, str]) -> str:
    """The given functions and the answer's program, in which copies of them are left out.

    Raises Failed unless the answer calls each of them, and does more than pass its arguments on to
    one. A program that does not parse is left to the gate's other checks.
    """
    try:
        tree = without_docstrings(ast.parse(answer))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return answer
    own = [node for node in tree.body if getattr(node, "name", "") not in given]
    unused = sorted(given.keys() - {call for node in own for call in _called(node)})
    if unused:
        raise Failed("composite_unused", ", ".join(unused))
    for node in own:
        if isinstance(node, ast.FunctionDef) and node.name == ENTRY and _passes_on(node, given):
            raise Failed("composite_trivial", ast.unparse(node))
    copies = [node for node in ast.parse(answer).body if getattr(node, "name", "") in given]
    return "\n\n".join([*given.values(), _without(answer, copies)])


def _called(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name):
            yield inner.func.id


def _passes_on(function: ast.FunctionDef, given: dict[str, str]) -> bool:
    """Whether all that f does is to return g of its own arguments."""
    match function.body:
        case [ast.Return(value=ast.Call(func=ast.Name(id=name), args=args, keywords=[]))]:
            names = [arg.id for arg in args if isinstance(arg, ast.Name)]
            known = set(names) <= set(parameters(function.args))
            return name in given and len(names) == len(args) and known
    return False


def _rebinds(node: ast.AST) -> Iterator[str]:
    """Names that a node gives a meaning, but for those of the function itself."""
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
            yield name
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            yield from names


def _without(text: str, nodes: Sequence[ast.stmt]) -> str:
    """The text without the lines of these top-level definitions."""
    lines = re.split(r"(?<=\n)", re.sub(r"\r\n?", "\n", text))
    for node in reversed(nodes):
        first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
        del lines[first - 1 : node.end_lineno]
    return "".join(lines).strip("\n")
