"""The site of the documentation: it is built strictly, and what it says of the code holds."""

import importlib.util
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from azr_fast.config.games import find_game, game_names
from azr_fast.config.keys import keys_of
from azr_fast.types import Episode, Role

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def hook():
    spec = importlib.util.spec_from_file_location("hook", DOCS / "hooks" / "config_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(find_spec("mkdocs") is None, reason="mkdocs is not installed")
def test_the_site_is_built_without_a_warning(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    start = (tmp_path / "site" / "index.html").read_text()
    assert "azr-fast report runs/hour" in start
    # Nothing is fetched from elsewhere: not a font, not a script, not a picture.
    sources = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="([^"]+)"', start)
    assert [one for one in sources if one.startswith(("http", "//"))] == []
    keys = (tmp_path / "site" / "config" / "index.html").read_text()
    assert "<code>update.lr</code>" in keys or "<code>lr</code>" in keys


def test_the_reference_has_every_key_of_every_game():
    page = hook().reference()
    for name in game_names():
        for key, field in keys_of(find_game(name).config).fields.items():
            section, _, short = key.partition(".")
            assert f"### `[{section}]`" in page
            assert re.search(rf"^\| `{short}` \|", page, re.MULTILINE), key
            assert (field.description or "").replace("\n", " ").replace("|", r"\|") in page


def test_a_row_of_the_reference_is_one_row():
    rows = [line for line in hook().reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 50
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 5 for row in rows)


def test_the_algorithm_of_its_page_is_one():
    (program,) = re.findall(
        r"```python\n(.*?)```", (DOCS / "write-an-algorithm.md").read_text(), re.DOTALL
    )
    names = {}
    exec(program, names)
    rewards = (("a", 1.0), ("a", 0.0), ("a", 0.25), ("b", 0.5), ("b", 0.5))
    batch = [Episode((i,), Role.SOLVER, kind, reward=r) for i, (kind, r) in enumerate(rewards)]
    made = names["MedianBaseline"]()
    assert made.per_prompt is False  # as what it inherits says
    assert made.advantages(batch) == [0.75, -0.25, 0.0, 0.0, 0.0]
    assert made.state() == {}


def test_the_program_of_the_page_on_the_sandbox_runs():
    (program,) = re.findall(r"```python\n(.*?)```", (DOCS / "sandbox.md").read_text(), re.DOTALL)
    names = {}
    exec(program, names)
    assert names["right"] == [True]


PRINTED = re.compile(r"^azr-fast (report|tasks|compare) .*", re.MULTILINE)


def printed():
    """Every command of ours that the pages print, without its comment."""
    texts = [path.read_text() for path in DOCS.glob("*.md")]
    found = {one[0].partition(" #")[0].strip() for text in texts for one in PRINTED.finditer(text)}
    return sorted(found)


@pytest.mark.parametrize("command", printed())
def test_the_commands_of_the_pages_are_understood(command):
    from azr_fast.cli.commands import parse

    words = re.sub(r"\s{2,}.*", "", command).split()[1:]
    assert parse(words).run


@pytest.mark.parametrize("name", ["report", "tasks", "compare"])
def test_the_examples_of_the_helps_are_understood(name, capsys):
    from azr_fast.cli.commands import parse

    with pytest.raises(SystemExit):
        parse([name, "--help"])
    examples = re.findall(
        rf"^  azr-fast {name} (.*?)(?:  .*)?$", capsys.readouterr().out, re.MULTILINE
    )
    assert len(examples) >= 3
    for example in examples:
        assert parse([name, *example.split()]).run
