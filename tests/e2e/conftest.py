"""One process that runs `azr-fast` again and again, and a run that nobody kills."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..cli.conftest import save_tiny_model
from .runs import Runs, left_by

HERE = Path(__file__).parent / "kills"


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills")
    metadata = folder / "site" / "even-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: even\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[azr_fast.games]\neven = even_game:EVEN\n")
    paths = [str(metadata.parent), str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    driver = subprocess.Popen(
        [sys.executable, HERE / "driver.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # One thread: the parent has none that a child would miss, and this model needs no more.
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
    )
    with driver:
        yield Runs(folder, save_tiny_model(folder / "tiny"), driver)
        driver.stdin.close()


@pytest.fixture(scope="session")
def straight(runs):
    """What the driver says of a run that nobody kills."""
    told = runs.finish("straight")
    assert left_by(runs.folder / "straight")["metrics"], "the run wrote nothing"
    return told
