"""The place of somebody who installed the package and types what is printed."""

import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from azr_fast.sandbox.launcher import find_daemon

sys.path.insert(0, str(Path(__file__).parent))  # for shell_blocks

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    of_cli = spec_from_file_location("of_cli", ROOT / "tests" / "cli" / "conftest.py")
    module = module_from_spec(of_cli)
    of_cli.loader.exec_module(module)
    return module.save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def environment(tmp_path_factory, model):
    """The PATH of somebody who installed the package, and a socket's folder."""
    programs = tmp_path_factory.mktemp("bin")
    shim = Path(__file__).with_name("azr_fast_for_docs.py")
    (programs / "azr-fast").write_text(f'#!/bin/sh\nexec {sys.executable} {shim} "$@"\n')
    (programs / "azr-fast").chmod(0o755)
    (programs / "azr-sandboxd").symlink_to(find_daemon())
    path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | {
        "PATH": path,
        "PYTHONPATH": f"{ROOT / 'python'}:{os.environ.get('PYTHONPATH', '')}",
        "AZR_SANDBOXD": find_daemon(),
        "AZR_DOCS_MODEL": str(model),
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture(scope="module")
def a_run(tmp_path_factory, environment):
    """A run with a checkpoint, for commands that name one."""
    place = tmp_path_factory.mktemp("made")
    command = ["azr-fast", "train", "--preset", "cpu", "--run.name", "made"]
    subprocess.run(command, cwd=place, env=environment, check=True, capture_output=True)
    return place / "runs" / "made"
