"""Pools: zygotes with other modules imported, and folders of modules that programs may see."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from .conftest import Daemon, next_program_is_fine, running

MODULE = "import sys\nloaded_by = sys._getframe\nanswer = 42\n"
WARM = "import sys\ndef f(): return 'mine' in sys.modules"


@pytest.fixture
def pooled(folder: Path) -> Iterator[Daemon]:
    """Two plain zygotes and one that has a module of our own imported."""
    modules = folder / "modules"
    modules.mkdir(mode=0o755)
    folder.chmod(0o755)
    (modules / "mine.py").write_text(MODULE)
    options = ("--zygotes", "2", "--pools", "warm=1:mine,json", "--path", str(modules))
    with running(f"{folder}/s", *options) as daemon:
        assert daemon.first_line.startswith("ready"), daemon.process.communicate()[1]
        yield daemon


def test_a_job_runs_in_the_pool_it_names(pooled: Daemon) -> None:
    for _ in range(4):
        assert pooled.call(WARM, "")["results"][0]["value"] == "False"
        assert pooled.call(WARM, "", POOL="warm")["results"][0]["value"] == "True"
        assert pooled.call(WARM, "", POOL="default")["results"][0]["value"] == "False"
    assert pooled.run("import mine; print(mine.answer)", POOL="warm")["stdout"] == "42\n"
    next_program_is_fine(pooled)


def test_every_pool_sees_the_folder_and_cannot_write_there(pooled: Daemon) -> None:
    program = "import mine\ndef f(): return mine.answer"
    assert pooled.call(program, "")["results"][0]["value"] == "42"
    writer = "import mine\ndef f(): open(mine.__file__, 'a')"
    assert pooled.call(writer, "")["results"][0]["type"] in ("OSError", "PermissionError")


def test_pools_are_told(pooled: Daemon) -> None:
    with pooled.connect() as connection:
        zygotes = connection.info("zygotes")
        assert [zygotes[f"zygote{i}"]["pool"] for i in range(3)] == ["default", "default", "warm"]
        assert connection.config_get("pools") == {"pools": "warm=1:mine,json"}


def test_unknown_pools_and_too_many_replicas_are_refused(pooled: Daemon) -> None:
    with pytest.raises(redis.ResponseError, match="no pool 'x', there are: default, warm"):
        pooled.call(WARM, "", POOL="x")
    with pytest.raises(redis.ResponseError, match="the pool 'warm' has 1"):
        pooled.call(WARM, "", REPLICAS=2, POOL="warm")


def test_a_busy_pool_delays_no_other(pooled: Daemon) -> None:
    connection = pooled.connect().connection_pool.get_connection()
    hang = ("CALL", "def f():\n  while True: pass", "f", 1, "", "TIMEOUT", 600_000, "POOL", "warm")
    connection.send_packed_command(connection.pack_commands([hang] * 3))
    for _ in range(4):
        assert pooled.call(WARM, "")["results"][0]["value"] == "False"
    connection.disconnect()


DRAWING = (
    "import random\nmine, given, late = random.Random(), random.Random(5), random.Random()\n"
    "late.seed(7)\n"
)
DRAWS = "import drawing as d\ndef f(): return [x.random() for x in (d.mine, d.given, d.late)]"


@pytest.mark.parametrize("tier", ["rewind", "fork"])
def test_generators_of_imported_modules_are_seeded_anew(folder: Path, tier: str) -> None:
    """But those that the module gave a seed, whose numbers repeat."""
    folder.chmod(0o755)
    (folder / "drawing.py").write_text(DRAWING)
    options = ("--zygotes", "1", "--rewind", "1", "--preload", "drawing", "--path", str(folder))
    given = [random.Random(5).random(), random.Random(7).random()]

    def drawn(**options: int) -> list[float]:
        value = daemon.call(DRAWS, "", TIER=tier, **options)["results"][0]["value"]
        return [float(number) for number in value.strip("[]").split(", ")]

    with running(f"{folder}/s", *options) as daemon:
        first, second = drawn(), drawn()
        assert first[1:] == second[1:] == given
        assert first[0] != second[0]
        seeded = random.Random(3).random()
        assert drawn(SEED=3) == drawn(SEED=3) == [seeded, *given]


NUMPY_DRAWS = (
    "import numpy as np, drawing as d\n"
    "def f(): return float(np.random.rand()), float(d.mine.random()), float(d.given.random())"
)


@pytest.mark.parametrize("tier", ["rewind", "fork"])
def test_generators_of_numpy_are_seeded_anew(folder: Path, tier: str) -> None:
    numpy = pytest.importorskip("numpy")
    folder.chmod(0o755)
    (folder / "drawing.py").write_text(
        "import numpy as np\nmine, given = np.random.default_rng(), np.random.default_rng(5)\n"
    )
    path = f"{folder}:{Path(numpy.__file__).parents[1]}"
    options = ("--zygotes", "1", "--rewind", "1", "--preload", "numpy,drawing", "--path", path)

    def drawn(**options: int) -> Any:
        reply = daemon.call(NUMPY_DRAWS, "", TIER=tier, **options)
        return eval(reply["results"][0]["value"])

    with running(f"{folder}/s", *options) as daemon:
        if not daemon.first_line.startswith("ready"):
            pytest.skip("this numpy is for another Python, or not readable for programs")
        first, second = drawn(), drawn()
        assert first[0] != second[0]
        assert first[1] != second[1]
        assert first[2] == second[2] == np_given(numpy)
        assert drawn(SEED=3) == drawn(SEED=3)
        assert drawn(SEED=3)[0] == numpy.random.RandomState(3).rand()


def np_given(numpy: Any) -> float:
    return float(numpy.random.default_rng(5).random())


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (("--pools", "warm"), "NAME=N:MODULE"),
        (("--pools", "a=1 a=1"), "two pools 'a'"),
        (("--pools", "a=1:no_such_module"), "cannot import 'no_such_module'"),
        (("--path", "relative"), "is no folder"),
        (("--path", "/no/such/folder"), "is no folder"),
    ],
)
def test_bad_pools_are_refused(folder: Path, options: tuple[str, ...], names: str) -> None:
    with running(f"{folder}/s", "--zygotes", "1", *options) as daemon:
        assert daemon.process.wait(60) == 2
        assert daemon.process.stderr is not None
        assert names in daemon.process.stderr.read()


def test_a_module_that_starts_threads_is_refused(folder: Path) -> None:
    folder.chmod(0o755)
    (folder / "threads.py").write_text(
        "from threading import Event, Thread\nThread(target=Event().wait, daemon=True).start()"
    )
    options = ("--zygotes", "1", "--preload", "threads", "--path", str(folder))
    with running(f"{folder}/s", *options) as daemon:
        assert daemon.process.wait(60) == 2
        assert daemon.process.stderr is not None
        assert "started threads" in daemon.process.stderr.read()
