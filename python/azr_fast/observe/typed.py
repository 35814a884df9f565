"""What the user can type: this program's name, and how to install what it lacks."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

NAME = "azr-fast"


def typed() -> str:
    """`azr-fast` where the PATH has it, else the path of the one beside this Python."""
    beside = Path(sys.executable).with_name(NAME)
    if shutil.which(NAME) or not beside.exists():
        return NAME
    near = os.path.relpath(beside)
    return shlex.quote(str(beside) if near.startswith(os.pardir) else near)


def command(*words: str | Path) -> str:
    """What to type: this program with `words`, quoted as a shell needs it."""
    return " ".join([typed(), *(shlex.quote(str(word)) for word in words)])


def how_to_install(extra: str) -> str:
    """The remedy for a package that only `extra` of pyproject.toml brings."""
    return f"`make train`, or in the source folder pip install '.[{extra}]'"
