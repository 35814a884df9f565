"""What a program is like, by numbers that need no execution."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import lru_cache
from statistics import fmean


def cognitive_complexity(program: str) -> float:
    """Cognitive complexity (Campbell, SonarSource 2018), summed over functions.

    0 for a program that is nested more deeply than complexipy reads, which Python may well run: it
    is no more complex for its 500th `not`.
    """
    from complexipy import code_complexity

    try:
        return float(code_complexity(program).complexity)
    except ValueError:
        return 0.0


def cyclomatic_complexity(program: str) -> float:
    """Cyclomatic complexity (McCabe 1976): the decisions of a program, and 1."""
    return 1.0 + sum(map(_decisions, ast.walk(ast.parse(program))))


def tree_distance(program: str, references: Sequence[str]) -> float:
    """Mean distance of a program's syntax tree to those of others, from 0 (equal) to 1.

    The edit distance between the sequences of node types in preorder, over the longer length. 1
    where there is nothing to be compared with.
    """
    from rapidfuzz.distance import Levenshtein

    own = _node_types(program)
    distances = [Levenshtein.normalized_distance(own, _node_types(other)) for other in references]
    return fmean(distances) if distances else 1.0


def _decisions(node: ast.AST) -> int:
    match node:
        case ast.BoolOp(values=values):
            return len(values) - 1
        case ast.comprehension(ifs=ifs):
            return 1 + len(ifs)
        case (
            ast.If() | ast.IfExp() | ast.For() | ast.AsyncFor() | ast.While()
            | ast.ExceptHandler() | ast.Assert() | ast.match_case()
        ):  # fmt: skip
            return 1
    return 0


@lru_cache(4096)  # references are shown to many proposers
def _node_types(program: str) -> tuple[str, ...]:
    return tuple(_preorder(ast.parse(program)))


def _preorder(tree: ast.AST) -> Iterator[str]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield type(node).__name__
        waiting += reversed(list(ast.iter_child_nodes(node)))
