"""What a config of the AZR game asks for in every step, and what its rewards aim at."""

from __future__ import annotations

from math import comb

from azr_fast.config.games import Work
from azr_fast.games.azr.config import AzrConfig, RewardConfig
from azr_fast.games.azr.rewards import learnability
from azr_fast.games.azr.tasks import ERRORS


def work(config: AzrConfig) -> list[Work]:
    """The work of each task-role group. The least is when no proposal is valid, the most when all
    are valid and new. Seeding is not counted.
    """
    return [
        group
        for kind in config.game.kinds
        for group in (_proposer_work(kind, config), _solver_work(kind, config))
    ]


def _proposer_work(kind: str, config: AzrConfig) -> Work:
    count = config.play.proposals
    return Work(f"{kind}/proposer", (count, count), (0, count * config.game.determinism_runs))


def _solver_work(kind: str, config: AzrConfig) -> Work:
    """An answer of a deduction is a value or a name and compared as such; others are run once,
    since it is values that are compared."""
    play = config.play
    priced = play.proposals * play.price_samples
    drawn = max(0, play.solves - play.proposals) if play.train_on_priced_answers else play.solves
    runs = 0 if kind in ("deduction", ERRORS) else 1
    most = priced + drawn
    return Work(f"{kind}/solver", (play.solves, most), (0, most * runs))


def best_solve_rate(reward: RewardConfig, samples: int) -> float | None:
    """The probability of solving at which a new task's expected reward over `samples` Monte-Carlo
    solutions is greatest, to 0.001. None where it is the same everywhere.
    """
    worth = [learnability(solved / samples, reward) for solved in range(samples + 1)]
    if reward.bonus_for == "learnable":
        worth[1:-1] = [value + reward.new_task_bonus for value in worth[1:-1]]
    if len(set(worth)) == 1:
        return None

    def expected(p: float) -> float:
        return sum(
            comb(samples, k) * p**k * (1 - p) ** (samples - k) * value
            for k, value in enumerate(worth)
        )

    return max((step / 1000 for step in range(1001)), key=expected)


def aim(config: AzrConfig) -> str:
    """What difficulty the proposer's reward asks for."""
    samples = config.play.price_samples
    best = best_solve_rate(config.reward, samples)
    if best is None:
        return f"with {samples} solutions per task no solve rate is worth more than another"
    return f"a proposer earns most for tasks solved {best:.0%} of the time (n = {samples})"
