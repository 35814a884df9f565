"""Libraries that evaluation alone needs."""

from __future__ import annotations

import importlib
from typing import Any

from azr_fast.errors import UserError
from azr_fast.observe.typed import how_to_install


def load_extra(module: str) -> Any:
    """A module of the extra `eval`. Raises UserError where it is not installed."""
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        raise UserError(f"{package} is not installed: {how_to_install('eval')}") from None
