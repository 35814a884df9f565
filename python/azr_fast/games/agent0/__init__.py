"""Agent0 (arXiv 2511.16043): a curriculum agent and an executor with a tool pull each other up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from azr_fast.config.games import GameType
from azr_fast.games.agent0.config import Agent0Config
from azr_fast.games.agent0.plan import aim, work

if TYPE_CHECKING:
    from azr_fast.games.agent0.game import Agent0


def _open(*parts: Any) -> Agent0:
    from azr_fast.games.agent0.game import open_agent0  # seconds, and every --help lists games

    return open_agent0(*parts)


AGENT0 = GameType(
    Agent0Config,
    _open,
    work,
    aim,
    presets=Path(__file__).with_name("presets"),
    siblings=lambda config: min(config.game.siblings, config.play.proposals),
)
