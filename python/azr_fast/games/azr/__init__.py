"""Absolute Zero Reasoner (arXiv 2505.03335): deduction, abduction and induction over programs."""

from pathlib import Path

from azr_fast.config.games import GameType
from azr_fast.games.azr.config import AzrConfig
from azr_fast.games.azr.game import open_azr
from azr_fast.games.azr.plan import aim, work

AZR = GameType(
    AzrConfig,
    open_azr,
    work,
    aim,
    presets=Path(__file__).with_name("presets"),
    siblings=lambda config: min(config.game.references_shared_by, config.play.proposals),
)
