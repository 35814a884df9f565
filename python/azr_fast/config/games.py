"""The games that are installed, found by their entry points.

A package adds a game by an entry point in the group `azr_fast.games` whose name is the game's and
whose object is a `GameType`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azr_fast.config.installed import installed, load
from azr_fast.config.schema import Config
from azr_fast.errors import UserError

if TYPE_CHECKING:
    from azr_fast.games.game import Game
    from azr_fast.sandbox.client import AsyncClient, Client

GROUP = "azr_fast.games"
DEFAULT = "azr"  # what a config plays that names no game
NO_GAME = "no game can be loaded, not even those of azr-fast: install azr-fast again"


@dataclass(frozen=True, slots=True)
class Work:
    """Episodes and sandboxed runs of one task-role group in a step: least and most; and the turns
    of the model in an episode, at most."""

    group: str
    episodes: tuple[int, int]
    runs: tuple[int, int]
    turns: int = 1


@dataclass(frozen=True, slots=True)
class GameType:
    """What a game tells of itself before it is played.

    config: the keys of a run, `Config` and what the game adds to it ·
    open: the game, from such a config and the sandbox (a client for threads, one for coroutines);
    it raises UserError for what cannot be played ·
    work: the work of a step by task-role group, for `--dry-run` ·
    aim: a line on what its rewards ask for ·
    siblings: how many proposals of a step share a prompt ·
    presets: a folder of TOML files.
    """

    config: type[Config]
    open: Callable[[Any, Client, AsyncClient], Game]
    work: Callable[[Any], list[Work]]
    aim: Callable[[Any], str]
    presets: Path
    siblings: Callable[[Any], int] = lambda config: 1


def game_names() -> list[str]:
    """Every game that is installed."""
    return sorted(installed(GROUP))


@cache
def find_game(name: str) -> GameType:
    """The game of that name. Raises UserError when it is not installed or cannot be loaded."""
    point = installed(GROUP).get(name)
    if point is None:
        there = f"game.name is one of {', '.join(game_names())}" if game_names() else NO_GAME
        raise UserError(f"no game {name!r} is installed: {there}")
    game = load(point, "game")
    if not isinstance(game, GameType) or not isinstance(game.presets, Path):
        raise UserError(f"the game {name!r} is broken: {point.value} is no GameType with a Path")
    return game


def game_of(config: Config) -> GameType:
    """The game that a config plays."""
    return find_game(config.game.name)
