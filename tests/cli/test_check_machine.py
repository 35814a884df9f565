"""`make` asks requirements/check_machine.py before it fetches anything."""

import ast
import importlib.util
import runpy
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "requirements" / "check_machine.py"


@pytest.fixture
def faults():
    return lambda: list(runpy.run_path(str(SCRIPT))["faults"]())


def test_the_machine_that_runs_the_tests_will_do():
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_is_the_language_of_python_2_and_of_every_python_3():
    """Nothing of these is here to run it: what newer Pythons added is looked for in its syntax."""
    tree = ast.parse(SCRIPT.read_text(), feature_version=(3, 4))
    newer = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.YieldFrom, ast.AsyncFunctionDef)
    assert not [node for node in ast.walk(tree) if isinstance(node, newer)]
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert not any(one.returns or any(a.annotation for a in one.args.args) for one in functions)
    assert not any(one.args.kwonlyargs or one.args.posonlyargs for one in functions)
    top = [alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names]
    assert top == ["os", "sys"], "others, such as importlib.util, came with Python 3"


@pytest.mark.parametrize("version", [(2, 7), (3, 6)])
def test_on_an_old_python_nothing_else_is_looked_for(faults, monkeypatch, version):
    monkeypatch.setattr(sys, "version_info", (*version, 0))
    monkeypatch.setattr(shutil, "which", None)
    (said,) = faults()
    assert said.endswith("is not 3.11 to 3.14: set PYTHON=/path/to/python3")


@pytest.mark.parametrize(("version", "fine"), [((3, 10), False), ((3, 14), True), ((3, 15), False)])
def test_python_has_two_bounds(faults, monkeypatch, version, fine):
    monkeypatch.setattr(sys, "version_info", (*version, 0))
    named = [fault for fault in faults() if "is not 3.11 to 3.14: set PYTHON=" in fault]
    assert len(named) == (not fine)


def test_what_is_missing_is_named_with_its_remedy(faults, monkeypatch, tmp_path):
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    headers, venv, compiler = faults()
    assert "python3-dev" in headers
    assert "python3-venv" in venv
    assert "install g++" in compiler


def test_a_named_compiler_must_be_there(faults, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    assert faults() == ["no C++ compiler: install g++ 12 or newer, or set CXX to one for C++20"]
    monkeypatch.setenv("CXX", f"{sys.executable} -m anything")
    assert faults() == []
