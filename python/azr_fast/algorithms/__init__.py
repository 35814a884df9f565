"""From rewards to advantages: one small class per algorithm."""

from __future__ import annotations

from azr_fast.algorithms.algorithm import Algorithm
from azr_fast.algorithms.grouped import (
    DrGrpo,
    Grpo,
    Hierarchical,
    ReinforcePlusPlus,
    Rloo,
    TaskRelative,
)
from azr_fast.algorithms.moving import MovingBaseline
from azr_fast.algorithms.task_baseline import TaskBaseline
from azr_fast.config.schema import AdvantageConfig, Config
from azr_fast.errors import UserError

GROUPED = {
    "trr++": TaskRelative,
    "global": ReinforcePlusPlus,
    "grpo": Grpo,
    "dr_grpo": DrGrpo,
    "rloo": Rloo,
    "hierarchical": Hierarchical,
}


def open_algorithm(config: AdvantageConfig) -> Algorithm:
    """The algorithm that the config names."""
    if config.estimator == "rae":
        return MovingBaseline()
    if config.baseline == "task":
        return TaskBaseline()
    return GROUPED[config.estimator](config.token_weighted)


def check_groups(config: Config, siblings: int) -> None:
    """Raise UserError when a role has nothing to be compared with, and so would never learn.

    `siblings` is how many proposals of a step share a prompt.
    """
    if not open_algorithm(config.advantage).per_prompt:
        return
    name, play = config.advantage.estimator, config.play
    if siblings < 2 and _proposers_learn(config):
        raise UserError(
            f"advantage.estimator {name} compares the answers to one prompt, and each proposal "
            "has a prompt of its own, so that proposers would learn nothing: let several share a "
            "prompt, by the keys of [game], or choose another estimator (trr++)"
        )
    if play.solve_samples < 2 and "solver" in play.learners:
        if config.schedule.name == "alternate":
            raise UserError(
                f"advantage.estimator {name} compares the solutions of one task, and each task of "
                "a pool has one, so that solvers would learn nothing: set a play.solve_samples of "
                "2 or more, or choose another estimator (trr++)"
            )
        if not play.train_on_priced_answers or play.price_samples < 2:
            raise UserError(
                f"advantage.estimator {name} compares the solutions of one task, and of each task "
                "one is trained on, so that solvers would learn nothing: set "
                "play.train_on_priced_answers and a play.price_samples of 2 or more, or a "
                "play.solve_samples of 2 or more, or choose another estimator (trr++)"
            )


def _proposers_learn(config: Config) -> bool:
    steps = config.schedule.proposer_steps if config.schedule.name == "alternate" else True
    return bool("proposer" in config.play.learners and config.play.proposals and steps)
