"""How a run ends from outside: a full disk, a lost engine or sandbox, weights that part."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from azr_fast.errors import UserError
from azr_fast.observe.runfolder import RunFolder
from azr_fast.observe.space import what_to_free
from azr_fast.observe.typed import typed
from azr_fast.rollout.engine import EngineDied
from azr_fast.rollout.parity import ParityError
from azr_fast.sandbox.client import SandboxLost

# SQLite's codes where a file cannot grow: for want of space, at a limit on the size of files, and
# for the file that it shares between processes.
_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)


@contextmanager
def known_endings(run: RunFolder) -> Iterator[None]:
    """Turn such an end into a UserError that says how to go on.

    Checkpoints are written whole or not at all, so what is lost is what came after the newest.
    """
    try:
        yield
    except (EngineDied, SandboxLost, ParityError) as error:
        raise UserError(f"{error} ({how_to_go_on(run)})") from error
    except (OSError, sqlite3.OperationalError) as error:
        if not is_disk_full(error):
            raise
        where = f"free some space: {what_to_free(run.path)}" if run.made else "free some space"
        raise UserError(f"the disk is full: {where} ({how_to_go_on(run)})") from error


def how_to_go_on(run: RunFolder) -> str:
    """The command, and the step it takes the run back to."""
    if not run.made:
        return "no run was made"
    step = run.latest_checkpoint()
    place = f"after step {step}" if step is not None else "anew, for want of a checkpoint"
    return f"{typed()} train --resume {run.path} goes on {place}"


def is_disk_full(error: OSError | sqlite3.OperationalError) -> bool:
    """Whether a write failed for want of space or quota, or at a limit on the size of files."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) in _FULL
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
