"""Looking at programs without running them."""

from __future__ import annotations

import ast
import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from azr_fast.games.azr.refusal import Failed

ENTRY = "f"
_SOURCE = "<proposed program>"
_NOT_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError)  # what ast.parse raises

# Compiler warnings about model text ("\d", `1 is 1`) are no news for the user.
warnings.filterwarnings("ignore", module=_SOURCE)


@dataclass(frozen=True, slots=True)
class Program:
    """A program that passed the static checks. Programs with equal keys have equal syntax trees
    up to docstrings."""

    text: str
    key: str
    ignored: tuple[str, ...] = ()  # parameters of f that its body never reads


def is_python(text: str) -> bool:
    """Whether a program or a literal parses, whatever it means."""
    try:
        ast.parse(text.strip(), _SOURCE)
    except _NOT_PYTHON:
        return False
    return True


def inspect(text: str, forbidden: Sequence[str], max_chars: int) -> Program:
    """The static checks of the gate (paper, section 3.3.2), cheap ones first.

    Raises Failed: too_long, syntax_error, no_entry_function or forbidden_module.
    """
    text = text.strip("\n")
    if len(text) > max_chars:
        raise Failed("too_long", f"{len(text)} characters, the limit is {max_chars}")
    try:
        tree = ast.parse(text, _SOURCE)
        dump = ast.dump(without_docstrings(tree))
    except _NOT_PYTHON as error:
        raise Failed("syntax_error", f"{type(error).__name__}: {error}") from None
    entries = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == ENTRY]
    if not entries:
        raise Failed("no_entry_function", f"no `def {ENTRY}` at the top level")
    module = forbidden_import(tree, forbidden)
    if module is not None:
        raise Failed("forbidden_module", module)
    return Program(text, hashlib.sha256(dump.encode()).hexdigest(), _ignored(entries[-1]))


def _ignored(function: ast.FunctionDef) -> tuple[str, ...]:
    """Its parameters that are never read."""
    read = {
        node.id
        for statement in function.body
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    return tuple(name for name in parameters(function.args) if name not in read)


def parameters(form: ast.arguments) -> list[str]:
    """The names of a function's parameters."""
    several = [argument for argument in (form.vararg, form.kwarg) if argument]
    named = [*form.posonlyargs, *form.args, *form.kwonlyargs, *several]
    return [argument.arg for argument in named]


def forbidden_import(tree: ast.AST, forbidden: Sequence[str]) -> str | None:
    """The first import of a forbidden module or of anything below it, or None.

    `importlib` and `__import__` count as forbidden wherever anything is: the module they import
    may be known only at run time. This is a rule of the game about what tasks may be made of; it
    is the sandbox that confines programs.
    """
    banned = (*forbidden, "importlib", "__import__") if forbidden else ()
    for name in _imported_names(tree):
        if any(name == module or name.startswith(module + ".") for module in banned):
            return name
    return None


def _imported_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(module=str(module), level=0):
                yield from (f"{module}.{alias.name}" for alias in node.names)
            case (
                ast.Name(id="__import__" as name)
                | ast.Attribute(attr="__import__" as name)
                | ast.Constant(value="__import__" as name)
            ):
                yield name


def without_docstrings(tree: ast.Module) -> ast.Module:
    """The tree with docstrings taken out, in place."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            match node.body:
                case [ast.Expr(value=ast.Constant(value=str())), *rest]:
                    node.body = rest or [ast.Pass()]
    return tree
