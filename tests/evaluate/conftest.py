"""Benchmarks with their judges as they are: the real sandbox and the real math-verify."""

import asyncio
import importlib.util
import json
from pathlib import Path

import pytest

from azr_fast.evaluate.opening import open_tools
from azr_fast.evaluate.recorded import first_question, replay
from azr_fast.evaluate.registry import find_benchmark


@pytest.fixture(scope="session")
def runner():
    with asyncio.Runner() as opened:
        yield opened


@pytest.fixture(scope="session")
def tools(runner):
    with open_tools(runner, zygotes=2) as opened:
        yield opened


class Judge:
    """A benchmark over one record: the verdicts that answers get."""

    def __init__(self, benchmark, record, runner):
        self.benchmark, self.task, self._runner = benchmark, benchmark.task(record), runner

    def verdict(self, answer):
        return self._runner.run(replay(self.benchmark, self.task, [answer]))

    def code(self, answer):
        return self.verdict(answer).code

    def prompt(self):
        question = self._runner.run(first_question(self.benchmark, self.task))
        return "\n".join(one.content for one in question.messages) + question.prefill

    def gold(self):
        return self.benchmark.gold(self.task)


@pytest.fixture
def judge(tools, runner):
    def make(name, record, form=""):
        return Judge(find_benchmark(name)(tools, form), record, runner)

    return make


@pytest.fixture
def lines(tmp_path):
    """Writes records as JSON lines; returns the file."""

    def write(records, name="data.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return path

    return write


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """The random model of the tests of commands, whose tokens are bytes."""
    path = Path(__file__).parents[1] / "cli" / "conftest.py"
    spec = importlib.util.spec_from_file_location("tests_of_commands", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def renderer(tiny_model):
    from azr_fast.policy.models import ModelFiles
    from azr_fast.rollout.load import load_renderer

    return load_renderer(ModelFiles(tiny_model, "tiny"))
