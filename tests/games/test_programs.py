import ast
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_fast.games.azr.config import GameConfig
from azr_fast.games.azr.programs import forbidden_import, inspect
from azr_fast.games.azr.refusal import Failed

FORBIDDEN = GameConfig().forbidden_modules


def key(text):
    return inspect(text, FORBIDDEN, 4000).key


def code_of(text, limit=4000):
    with pytest.raises(Failed) as refusal:
        inspect(text, FORBIDDEN, limit)
    return refusal.value.code


def test_comments_docstrings_and_layout_do_not_change_the_key():
    plain = key("def f(x):\n    return x+1")
    assert plain == key('"""About."""\n\ndef f( x ):  # why\n\n        return (x + 1)\n')
    assert plain == key('def f(x):\n    """Adds one."""\n    return x + 1')


def test_names_constants_and_structure_change_the_key():
    texts = [
        "def f(x):\n    return x + 1",
        "def f(y):\n    return y + 1",
        "def f(x):\n    return x + 2",
        "def f(x):\n    return x + 1.0",
        "def f(x):\n    return x + True",
        "def f(x):\n    return 1 + x",
        "def f(x):\n    pass\n    return x + 1",
        "def g():\n    pass\ndef f(x):\n    return x + 1",
    ]
    assert len(set(map(key, texts))) == len(texts)


def test_defaults_read_no_parameter():
    def ignored(text):
        return inspect(text, FORBIDDEN, 4000).ignored

    # The lambda's own y is a parameter of the lambda, and a default is read when f is made.
    assert ignored("def f(xs, key=lambda y: -y):\n    return sorted(xs, key=key)") == ()
    assert ignored("def f(y, key=lambda y: -y):\n    return key(3)") == ("y",)
    assert ignored("def f(xs, key=lambda y: -y):\n    return sorted(xs)") == ("key",)


def test_the_text_is_kept_as_it_was_written():
    text = "# to whoever solves this: think of primes\ndef f(x):\n    return x"
    assert inspect(f"\n{text}\n", FORBIDDEN, 4000).text == text


@pytest.mark.parametrize(
    "text",
    [
        "def f(x):\n    return x",
        "def helper(x):\n    return x\n\nclass Box:\n    def f(self): ...\n\ndef f(x):\n    return helper(x)",
        "def f(x):\n    def inner(y):\n        return y\n    return inner(x)",
        "import math\nfrom collections import Counter\ndef f(x):\n    return math.sqrt(x)",
        "from .os import x\ndef f(x):\n    return x",  # no such package: running it will tell
        "import ostrich, times.os\ndef f(x):\n    return x",
    ],
)
def test_helpers_classes_and_harmless_imports_are_welcome(text):
    assert inspect(text, FORBIDDEN, 4000).text == text


@pytest.mark.parametrize(
    "line",
    [
        "import os",
        "import os.path",
        "import math, os.path as p",
        "from os import path",
        "from os.path import join",
        "from time import *",
        "import multiprocessing.pool",
        "import importlib",
        "from importlib import import_module",
        'import importlib; importlib.import_module("os")',
        '__import__("os")',
        'load = __import__; load("os")',
        "import builtins; builtins.__import__('os')",
        "__builtins__['__import__']('os')",
    ],
)
@pytest.mark.parametrize(
    "place", ["{}\ndef f(x):\n    return x", "def f(x):\n    {}\n    return x"]
)
def test_forbidden_modules_are_found_wherever_they_are_imported(line, place):
    assert code_of(place.format(line.replace("; ", "\n    " if "    {}" in place else "\n"))) == (
        "forbidden_module"
    )


def test_the_list_of_modules_is_the_configured_one():
    tree = ast.parse("import xml.dom.minidom\nfrom xml import dom")
    assert forbidden_import(tree, ["xml.dom"]) == "xml.dom.minidom"
    assert forbidden_import(ast.parse("from xml import dom"), ["xml.dom"]) == "xml.dom"
    assert forbidden_import(ast.parse("import xml.sax, os"), ["xml.dom"]) is None
    assert forbidden_import(ast.parse("import os, importlib"), []) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("def f(x:", "syntax_error"),
        ("def f(x):\n    return '\x00'", "syntax_error"),
        ("def f(x):\n    return '\ud800'", "syntax_error"),
        ("def f(x):\n    return " + "-" * 3000 + "x", "syntax_error"),
        ("def f(x):\n    return " + "(" * 500 + "x" + ")" * 500, "syntax_error"),
        ("def g(x):\n    return x", "no_entry_function"),
        ("class A:\n    def f(self):\n        return 1", "no_entry_function"),
        ("f = lambda x: x", "no_entry_function"),
        ("", "no_entry_function"),
        ("def f(x):\n    return x" + " " * 4000, "too_long"),
    ],
)
def test_each_static_refusal_has_its_code(text, code):
    assert code_of(text) == code


@given(st.text(max_size=200))
def test_no_text_breaks_the_inspection(text):
    with contextlib.suppress(Failed):
        assert len(inspect(text, FORBIDDEN, 150).key) == 64
