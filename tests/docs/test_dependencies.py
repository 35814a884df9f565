"""What `pip check` says of the environment of `make` is what docs/dependencies.md says."""

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "dependencies.md"
SAID = re.compile(r"(\S+) \S+ (requires \S+|is not supported on this platform)")


def documented():
    section = PAGE.read_text().partition("## What `pip check` says")[2]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return {(row[0].strip(), row[1].strip()) for row in rows[2:]}


def is_here(package):
    """Asked of its metadata: importlib's find_spec("pip") has setuptools import distutils otherwise
    from then on, and vLLM breaks."""
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


@pytest.mark.skipif(not is_here("pip"), reason="an environment without pip")
def test_pip_check_says_what_is_documented():
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "check"],
        capture_output=True,
        text=True,
    )
    assert "but you have" not in done.stdout  # versions that clash
    said = {(name, what.rstrip(",.")) for name, what in SAID.findall(done.stdout)}
    expected = {(name, what) for name, what in documented() if is_here(name)}
    assert said <= expected
    # What is here after all, such as torchvision on a GPU, is not missed.
    gone = {(name, what) for name, what in expected - said if what.startswith("requires")}
    assert all(is_here(what.removeprefix("requires ")) for _, what in gone)
