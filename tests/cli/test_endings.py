import errno
import re
import shutil
import sqlite3

import pytest

from azr_fast.cli.endings import known_endings
from azr_fast.config.load import load_config
from azr_fast.errors import UserError
from azr_fast.observe.runfolder import RunFolder
from azr_fast.observe.typed import typed
from azr_fast.policy.checkpoint import write_checkpoint
from azr_fast.rollout.engine import EngineDied
from azr_fast.sandbox.client import SandboxLost


@pytest.fixture
def run(tmp_path):
    with RunFolder.create(load_config("cpu", {"run.dir": str(tmp_path), "run.name": "one"})) as run:
        write_checkpoint(run.checkpoint(7), lambda folder: (folder / "w").write_text("1"))
        yield run


def ending(run, failure):
    with pytest.raises(UserError) as caught, known_endings(run):
        raise failure
    assert "\n" not in str(caught.value)
    return str(caught.value)


def full_database():
    """What SQLite raises when it cannot grow a file."""
    database = sqlite3.connect(":memory:")
    database.execute("PRAGMA max_page_count = 2")
    database.execute("CREATE TABLE t (x)")
    with pytest.raises(sqlite3.OperationalError) as caught:
        database.execute("INSERT INTO t VALUES (?)", ("x" * 100_000,))
    return caught.value


def test_what_is_lost_and_how_to_go_on(run):
    on = f"({typed()} train --resume {run.path} goes on after step 7)"
    assert ending(run, EngineDied("vllm", ValueError("out of memory\ntrace"))).endswith(on)
    assert ending(run, SandboxLost("azr-sandboxd was lost")) == f"azr-sandboxd was lost {on}"
    numbers = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    for full in (*(OSError(number, "full") for number in numbers), full_database()):
        told = ending(run, full)
        assert re.match(r"the disk is full: free some space: [\d.]+ [KMG]?i?B are free on", told)
        assert told.endswith(on)


def test_before_the_first_checkpoint_a_run_begins_again(run):
    shutil.rmtree(run.checkpoint(7))
    assert "goes on anew, for want of a checkpoint" in ending(run, SandboxLost("lost"))


def test_before_the_run_is_made_there_is_nothing_to_go_on_with(tmp_path):
    with RunFolder.begin(load_config("cpu", {"run.dir": str(tmp_path)})) as run:
        assert ending(run, EngineDied("vllm", ValueError("no"))).endswith("(no run was made)")


@pytest.mark.parametrize(
    "fault", [OSError(errno.EIO, "broken"), sqlite3.OperationalError("locked"), KeyError("bug")]
)
def test_a_fault_of_ours_is_not_hidden(run, fault):
    with pytest.raises(type(fault)), known_endings(run):
        raise fault
