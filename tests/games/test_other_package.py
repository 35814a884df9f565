"""The game of docs/write-a-game.md, installed as a package of its own: it plays, trains and reports."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from azr_fast.games.game import Game

PAGE = Path(__file__).parents[2] / "docs" / "write-a-game.md"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Where the page's game lies as an installer would put it: modules and metadata on the path."""
    folder = tmp_path_factory.mktemp("site")
    program, entry = re.findall(r"```(?:python|toml)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (folder / "counting.py").write_text(program)
    (folder / "counting_presets").mkdir()
    (folder / "counting_presets" / "words.toml").write_text(
        '[game]\nname = "counting"\nlongest = 9\n'
    )
    metadata = folder / "counting-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: counting\nVersion: 1.0\n")
    group = re.sub(r'\[project.entry-points."(.*)"\]', r"[\1]", entry)
    (metadata / "entry_points.txt").write_text(group.replace('"', ""))
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


@pytest.fixture
def azr_fast(environment, tmp_path):
    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "azr_fast.cli", *words],
            capture_output=True,
            text=True,
            env=environment,
            cwd=tmp_path,
        )

    return run


def test_its_keys_and_presets_are_those_of_every_game(azr_fast):
    done = azr_fast("train", "--preset", "words", "--dry-run", "--play.proposals", "3")
    assert (done.returncode, done.stderr) == (0, "")
    assert 'name = "counting"' in done.stdout
    assert "longest = 9" in done.stdout
    assert re.search(r"^# +count/proposer +3 +0$", done.stdout, re.MULTILINE)
    assert "# a proposer earns most for words that are rarely counted right" in done.stdout
    assert "--game.longest VALUE" in azr_fast("train", "--game.name", "counting", "--help").stdout


def test_a_key_of_another_game_is_refused_by_name(azr_fast):
    done = azr_fast("train", "--preset", "words", "--reward.wrong", "0")
    assert done.returncode == 2
    assert "unknown option '--reward.wrong'" in done.stderr


def test_a_game_that_is_not_installed_is_named_with_those_that_are(azr_fast):
    done = azr_fast("train", "--preset", "words", "--game.name", "chess")
    assert done.returncode == 2
    assert done.stderr == (
        "azr-fast: error: no game 'chess' is installed: game.name is one of agent0, azr, counting\n"
    )


@pytest.fixture
def beside(environment, tmp_path):
    """Runs with another game installed beside, whose module has this text."""

    def run(text, *words, presets=()):
        (tmp_path / "other.py").write_text(text)
        (tmp_path / "presets").mkdir()
        for name in presets:
            (tmp_path / "presets" / f"{name}.toml").write_text('[game]\nname = "other"\n')
        metadata = tmp_path / "other-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text("[azr_fast.games]\nother = other:OTHER\n")
        path = os.pathsep.join([str(tmp_path), environment["PYTHONPATH"]])
        return subprocess.run(
            [sys.executable, "-m", "azr_fast.cli", *words],
            capture_output=True,
            text=True,
            env=environment | {"PYTHONPATH": path},
            cwd=tmp_path,
        )

    return run


OTHER = """
from dataclasses import replace
from pathlib import Path
from counting import COUNTING
OTHER = replace(COUNTING, presets=Path("presets"))
"""


@pytest.mark.parametrize(
    "text",
    [
        "import nothing_of_that_name",
        "raise SystemExit(3)",
        "OTHER = 5",
        OTHER.replace('Path("presets")', '"presets"'),
    ],
)
def test_a_game_that_is_broken_stops_no_other(beside, text):
    done = beside(text, "train", "--preset", "cpu", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert 'name = "azr"' in done.stdout


def test_a_preset_of_another_package_does_not_replace_ours(beside):
    done = beside(OTHER, "train", "--preset", "cpu", "--dry-run", presets=["cpu"])
    assert done.returncode == 0, done.stderr
    assert 'name = "azr"' in done.stdout


def test_a_game_that_lacks_a_method_cannot_be_opened():
    class Half(Game):
        kinds = ("half",)

    with pytest.raises(TypeError, match="abstract"):
        Half()


def test_it_plays_trains_and_reports(azr_fast, tmp_path, tiny_chat_model):
    run = tmp_path / "runs" / "words"
    keys = {
        "preset": "words", "model.name": tiny_chat_model, "model.dtype": "float32", "run.name": "words",
        "run.steps": 2, "play.proposals": 6, "play.solves": 4, "play.price_samples": 3,
        "seeding.tasks": 0, "rollout.engine": "transformers", "rollout.max_prompt_tokens": 128,
        "rollout.max_new_tokens": 16, "update.pack_tokens": 512,
    }  # fmt: skip
    done = azr_fast("train", *(f"--{key}={value}" for key, value in keys.items()))
    assert done.returncode == 0, done.stderr
    steps = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [step["step"] for step in steps] == [1, 2]
    assert {"count/proposer", "count/solver"} <= steps[0]["groups"].keys()
    assert [path.name for path in (run / "checkpoints").glob("step-*")] == ["step-2"]
    assert "count/solver" in azr_fast("report", str(run)).stdout
