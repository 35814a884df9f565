"""The benchmark of docs/write-a-benchmark.md, installed as a package of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "write-a-benchmark.md"
WORDS = [
    {"word": "banana", "letter": "a"},
    {"word": "mississippi", "letter": "s"},
    {"word": "pop", "letter": "p"},
]


@pytest.fixture
def azr_fast(tmp_path):
    program, entry = re.findall(r"```(?:python|toml)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "letters.py").write_text(program)
    metadata = tmp_path / "letters-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: letters\nVersion: 1.0\n")
    group = re.sub(r'\[project.entry-points."(.*)"\]', r"[\1]", entry)
    (metadata / "entry_points.txt").write_text(group.replace('"', ""))
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "azr_fast.cli", "eval", *map(str, words)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            cwd=tmp_path,
        )

    return run


def test_it_is_listed_and_its_judge_holds(azr_fast, lines):
    assert "letters" in azr_fast("--list").stdout
    done = azr_fast("--validate", "letters", "--data", lines(WORDS), "--form", "reasoning")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"gold answer +3 +3 +as it should", done.stdout)
    assert re.search(r"echoed prompt +3 +0 +as it should", done.stdout)


def test_a_judge_that_lets_wrong_answers_pass_is_found_out(azr_fast, lines, tmp_path):
    page = (tmp_path / "letters.py").read_text()
    (tmp_path / "letters.py").write_text(page.replace("raise Malformed", "return None #"))
    done = azr_fast("--validate", "letters", "--data", lines(WORDS))
    assert done.returncode == 1
    assert re.search(r"empty answer +3 +3 +3 wrong", done.stdout)


def test_a_file_of_another_form_is_refused_by_the_words_of_the_page(azr_fast, lines):
    done = azr_fast("--validate", "letters", "--data", lines([{"text": "x"}]))
    assert done.returncode == 2
    assert "record 1 is no record of letters (no field 'word'; it has text)" in done.stderr
    assert "its records have word and letter" in done.stderr
