"""Which folder of the source may include which: arrows run down only."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
MAY_INCLUDE = {
    "shared": set[str](),
    "resp": {"shared"},
    "broker": {"shared", "resp"},
    "commands": {"shared", "resp", "broker"},
}


@pytest.mark.parametrize("folder", MAY_INCLUDE)
def test_includes_run_down(folder: str) -> None:
    allowed = MAY_INCLUDE[folder] | {folder}
    found = {
        (file.name, other)
        for file in (SOURCE / folder).iterdir()
        for other in re.findall(r'#include "(\w+)/', file.read_text())
    }
    assert [(name, other) for name, other in found if other not in allowed] == []
