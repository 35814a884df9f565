"""Every example of examples/ runs as its page says."""

import asyncio
import importlib.util
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(*words, **environment):
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def module(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_every_file_is_named_on_the_page():
    page = (EXAMPLES / "README.md").read_text()
    for path in EXAMPLES.iterdir():
        if path.name not in ("README.md", "__pycache__"):
            assert f"`{path.name}" in page


def test_scripted_selfplay_has_the_rewards_of_the_rules():
    lines = run(EXAMPLES / "scripted_selfplay.py").splitlines()
    proposals = [line for line in lines if line.startswith("proposal")]
    # Two of four solutions are right: learnable. All four: not. A forbidden import: rejected.
    assert re.match(r"proposal 0: passed \(ok\), solved 50%, reward \+", proposals[0])
    assert "passed (ok), solved 100%" in proposals[1]
    assert "proposal 2: rejected (forbidden_module)" in proposals[2]
    assert float(proposals[0].split()[-1]) > float(proposals[1].split()[-1])
    assert [line.split()[1].rstrip(",") for line in lines if "solution" in line][:4] == [
        "passed", "wrong", "passed", "malformed",
    ]  # fmt: skip


def test_the_torch_loop_learns():
    rewards = module("torch_loop").train()
    assert rewards[0] < 0.1
    assert sum(rewards[-5:]) / 5 > 0.5


@pytest.fixture(scope="module")
def reward():
    from azr_fast.config.load import load_config
    from azr_fast.sandbox.launcher import open_sandbox

    with open_sandbox(load_config("cpu").sandbox) as client:
        yield module("sandbox_reward").SandboxReward(client)


def test_the_reward_is_the_share_of_cases_passed(reward):
    example = module("sandbox_reward")
    columns = {name: [example.TASKS[0][name]] * 4 for name in example.TASKS[0]}
    # The second is right where one is asked for; the third ends its process; the last is none.
    expected = [1.0, pytest.approx(1 / 3), 0.0, 0.0]
    assert reward(completions=example.ANSWERS, **columns) == expected
    talks = [[{"role": "assistant", "content": answer}] for answer in example.ANSWERS]
    assert reward(completions=talks, **columns) == expected
    data = SimpleNamespace(**example.TASKS[0])
    traces = [SimpleNamespace(last_reply=answer) for answer in example.ANSWERS]
    assert [asyncio.run(reward.verifiers(trace, data)) for trace in traces] == expected


@pytest.mark.parametrize(
    "program",
    [
        "class A(list):\n    def __eq__(self, o): return True\ndef top(xs, n): return A()",
        "def top(xs, n): return __import__('sys').exit(0)",
        "def top(xs, n): return float('nan')",
        "def top(xs, n):\n    while True: pass",
        "def top(xs, n): return '[3, 2]'",
        "expected = [[3, 2], [], [5]]\ndef top(*_): return [1, 1]",
    ],
)
def test_no_program_is_paid_that_is_not_right(reward, program):
    cases = {
        "entry": "top",
        "arguments": ["[3, 1, 2], 2", "[5, 5, 1], 1"],
        "expected": ["[3, 2]", "[5]"],
    }
    assert reward.score(f"```python\n{program}\n```", **cases) == 0.0


@pytest.mark.skipif(find_spec("sandbox_fusion") is None, reason="sandbox-fusion is not installed")
def test_the_fusion_client_is_answered():
    lines = run(EXAMPLES / "fusion_client.py").splitlines()
    assert lines == ["Success: Finished, 'olleh'", "Failed: TimeLimitExceeded, ''"]


@pytest.fixture
def installed(tmp_path):
    """The package of the game as an installer lays it: its modules and metadata on the path."""
    metadata = tmp_path / "backwards_game-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: backwards-game\nVersion: 0.1\n"
    )
    text = (EXAMPLES / "backwards_game" / "pyproject.toml").read_text()
    entry = re.search(r'entry-points."(.*)"\]\n(.*)\n', text)
    (metadata / "entry_points.txt").write_text(f"[{entry[1]}]\n{entry[2].replace(chr(34), '')}\n")
    paths = [str(EXAMPLES / "backwards_game"), str(tmp_path), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def test_the_game_of_its_own_package_is_sixty_lines_and_has_its_preset(installed):
    text = (EXAMPLES / "backwards_game" / "backwards_game" / "__init__.py").read_text()
    assert sum(1 for line in text.splitlines() if line.strip()) <= 60
    told = run("-m", "azr_fast.cli", "train", "--preset", "backwards", "--dry-run", **installed)
    assert 'name = "backwards"' in told
    assert "seldom written backwards right" in told


@pytest.mark.slow
def test_the_game_trains(installed, tiny_chat_model, tmp_path):
    keys = {
        "model.name": tiny_chat_model, "model.dtype": "float32", "run.name": "words", "run.steps": 1,
        "run.dir": tmp_path / "runs", "rollout.engine": "transformers", "update.pack_tokens": 512,
    }  # fmt: skip
    words = [f"--{key}={value}" for key, value in keys.items()]
    run("-m", "azr_fast.cli", "train", "--preset", "backwards", *words, **installed)
    assert (tmp_path / "runs" / "words" / "metrics.jsonl").read_text().count("\n") == 1
