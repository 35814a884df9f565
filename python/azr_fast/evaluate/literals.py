"""Values and arguments that a model writes as expressions: `'a' * 3`, `dict(x=1)`, `range(5)`.

CRUXEval's own inputs hold such expressions. They are evaluated in the sandbox, and only where they
are made of harmless parts, so that an answer says a value and does not compute with the program
that it is asked about.
"""

from __future__ import annotations

import ast
from collections.abc import Collection

from azr_fast.evaluate.answers import expression
from azr_fast.games.azr.refusal import Malformed

# fmt: off
_BUILTINS = frozenset((
    "abs", "all", "any", "bool", "bytearray", "bytes", "chr", "complex", "dict", "divmod",
    "enumerate", "filter", "float", "frozenset", "int", "len", "list", "map", "max", "min", "ord",
    "pow", "range", "repr", "reversed", "round", "set", "slice", "sorted", "str", "sum", "tuple",
    "zip", "Counter", "OrderedDict", "defaultdict", "deque", "inf", "nan",
))
# fmt: on
_PARTS = (
    *(ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.UnaryOp, ast.BinOp, ast.BoolOp),
    *(ast.Compare, ast.IfExp, ast.Call, ast.keyword, ast.Attribute, ast.Subscript, ast.Slice),
    *(ast.Name, ast.Lambda, ast.arguments, ast.arg, ast.Starred, ast.ListComp, ast.SetComp),
    *(ast.DictComp, ast.GeneratorExp, ast.comprehension, ast.operator, ast.unaryop, ast.cmpop),
    *(ast.boolop, ast.expr_context),
)


def check_parts(tree: ast.AST, names: Collection[str] = ()) -> None:
    """Raise Malformed unless the expression is made of literals, operators, plain functions and
    `names`, those of the program that the answer may speak of."""
    bound = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    bound |= {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    for node in ast.walk(tree):
        if not isinstance(node, _PARTS):
            raise Malformed("no_value", f"{type(node).__name__} is no part of a value")
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            raise Malformed("no_value", f".{node.attr} is no part of a value")
        if isinstance(node, ast.Name) and not (
            node.id in _BUILTINS or node.id in bound or node.id in names
        ):
            raise Malformed("no_value", f"{node.id} is no part of a value")


def value_of_equation(text: str) -> str:
    """The right side of `assert f(1) == 2` or `f(1) == 2`, or the text where it is no equation."""
    text = _without_assert(text)
    tree = expression(text)
    if isinstance(tree, ast.Compare) and isinstance(tree.ops[0], ast.Eq):
        return ast.unparse(tree.comparators[0])
    return text


def call_of_equation(text: str, function: str) -> ast.Call:
    """The call on the left side of `assert f(1) == 2`, or `f(1)` alone, or the arguments alone."""
    text = _without_assert(text)
    tree = _tree_or_none(text)
    if isinstance(tree, ast.Compare) and isinstance(tree.ops[0], ast.Eq):
        tree = tree.left
    if not _is_call(tree, function):
        # A line end of its own keeps a comment from hiding the bracket.
        tree = expression(f"{function}({text}\n)")
    if not (isinstance(tree, ast.Call) and _is_call(tree, function)):
        raise Malformed("no_arguments", text[:200])
    return tree


def _is_call(tree: ast.expr | None, function: str) -> bool:
    return (
        isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id == function
    )


def _without_assert(text: str) -> str:
    return text.strip().removeprefix("assert ").strip()


def _tree_or_none(text: str) -> ast.expr | None:
    try:
        return expression(text)
    except Malformed:
        return None
