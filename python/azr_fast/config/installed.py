"""What other packages add to this one, found by entry points
(https://packaging.python.org/specifications/entry-points/)."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from azr_fast.errors import UserError


@cache
def installed(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group, by name."""
    return {point.name: point for point in entry_points(group=group)}


def load(point: EntryPoint, what: str) -> Any:
    """The object of an entry point; `what` it is, for people. Raises UserError when it cannot be
    loaded, whatever the package's code does."""
    try:
        return point.load()
    except (Exception, SystemExit) as error:
        raise UserError(
            f"the {what} {point.name!r} cannot be loaded ({type(error).__name__}: {error}): "
            f"install {point.dist.name if point.dist else point.value} again"
        ) from error
