"""The shape of a program: what is left of it when variables are renamed and constants lifted.

A proposer that is paid for new tasks soon renames the variables of an old one, or turns a 2 into a
3. With `game.novelty` "shape" two programs of one shape are the same task.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from azr_fast.games.azr.programs import ENTRY, parameters, without_docstrings
from azr_fast.games.azr.refusal import Failed

_Comprehension: TypeAlias = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
_SCOPES = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)


def shape_key(text: str) -> str:
    """A hash that programs of one shape share. `text` is one that `programs.inspect` took.

    Raises Failed for a program that is nested too deeply.
    """
    try:
        tree = without_docstrings(ast.parse(text))
        _Renamer().visit(tree)
        return hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    except RecursionError:
        raise Failed("syntax_error", "nested too deeply") from None


class _Renamer(ast.NodeTransformer):
    """Gives each name that a program binds another by the place of its binding, scope by scope.

    Names that it does not bind, as those of builtins, stay, and so do attributes, the names that a
    class binds (they are attributes) and the entry function's. A constant becomes its type.
    """

    def __init__(self) -> None:
        self._scopes: list[dict[str, str]] = []

    def visit_Module(self, node: ast.Module) -> ast.AST:
        return self._inside(node, {ENTRY: ENTRY} | self._fresh(_bound(node.body)))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return self._inside(node, self._fresh([*parameters(node.args), *_bound([node.body])]))

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.name = self._name(node.name)
        return self._inside(node, {name: name for name in _bound(node.body)})

    def visit_ListComp(self, node: ast.ListComp) -> ast.AST:
        return self._comprehension(node)

    def visit_SetComp(self, node: ast.SetComp) -> ast.AST:
        return self._comprehension(node)

    def visit_DictComp(self, node: ast.DictComp) -> ast.AST:
        return self._comprehension(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.AST:
        return self._comprehension(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._name(node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self._name(node.arg)
        return self.generic_visit(node)

    def visit_alias(self, node: ast.alias) -> ast.AST:
        node.asname = self._name(node.asname or node.name.partition(".")[0])
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        node.name = node.name and self._name(node.name)
        return self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs) -> ast.AST:
        node.name = node.name and self._name(node.name)
        return self.generic_visit(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> ast.AST:
        node.name = node.name and self._name(node.name)
        return node

    def visit_MatchMapping(self, node: ast.MatchMapping) -> ast.AST:
        node.rest = node.rest and self._name(node.rest)
        return self.generic_visit(node)

    def visit_Global(self, node: ast.Global) -> ast.AST:
        node.names = [self._name(name) for name in node.names]
        return node

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        node.names = [self._name(name) for name in node.names]
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """A keyword is a parameter's name, which is known where the function is the program's."""
        if isinstance(node.func, ast.Name) and self._name(node.func.id) != node.func.id:
            for keyword in node.keywords:
                keyword.arg = keyword.arg and "keyword"
        return self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        """A number with a sign is a constant too."""
        match node:
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=ast.Constant() as number):
                return self.visit_Constant(number)
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant(type(node.value).__name__)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.name = self._name(node.name)
        names = [*parameters(node.args), *_bound(node.body)]
        declared = {
            name
            for inner in _own(node.body)
            if isinstance(inner, ast.Global | ast.Nonlocal)
            for name in inner.names
        }
        return self._inside(node, self._fresh(name for name in names if name not in declared))

    def _comprehension(self, node: _Comprehension) -> ast.AST:
        targets = [generator.target for generator in node.generators]
        return self._inside(node, self._fresh(_bound(targets)))

    def _inside(self, node: ast.AST, scope: dict[str, str]) -> ast.AST:
        self._scopes.append(scope)
        self.generic_visit(node)
        self._scopes.pop()
        return node

    def _fresh(self, names: Sequence[str] | Iterator[str]) -> dict[str, str]:
        depth = len(self._scopes)
        return {name: f"v{depth}_{place}" for place, name in enumerate(dict.fromkeys(names))}

    def _name(self, name: str) -> str:
        return next((scope[name] for scope in reversed(self._scopes) if name in scope), name)


def _bound(nodes: Sequence[ast.AST]) -> list[str]:
    """The names that are bound in these nodes, in order, those of scopes within them apart."""
    return [name for node in _own(nodes) for name in _binds(node)]


def _own(nodes: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """These nodes and all below them, but not what lies in a scope of its own."""
    for node in nodes:
        yield node
        if not isinstance(node, _SCOPES):
            yield from _own(list(ast.iter_child_nodes(node)))


def _binds(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.alias(name=name, asname=asname):
            yield asname or name.partition(".")[0]
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
            yield name
        case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
            yield name
