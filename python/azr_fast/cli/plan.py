"""What a config asks for in every step, before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

from azr_fast.config.schema import Config, RewardConfig
from azr_fast.hardware import gpu_usable
from azr_fast.policy.footprint import footprint, read_shape
from azr_fast.policy.memory import free_gib
from azr_fast.selfplay.rewards import learnability


@dataclass(frozen=True, slots=True)
class Work:
    """Answers and sandboxed runs of one task-role group in a step: least and most."""

    group: str
    answers: tuple[int, int]
    runs: tuple[int, int]


def work(config: Config) -> list[Work]:
    """The work of each task-role group. The least is when no proposal is valid, the most when all
    are valid and new. Seeding is not counted.
    """
    return [
        group
        for kind in config.game.kinds
        for group in (_proposer_work(kind, config), _solver_work(kind, config))
    ]


def _proposer_work(kind: str, config: Config) -> Work:
    count = config.play.proposals
    return Work(f"{kind}/proposer", (count, count), (0, count * config.game.determinism_runs))


def _solver_work(kind: str, config: Config) -> Work:
    """A deduction answer is a value and compared as such; others are run."""
    play = config.play
    priced = play.proposals * play.price_samples
    drawn = max(0, play.solves - play.proposals) if play.train_on_priced_answers else play.solves
    runs = 0 if kind == "deduction" else config.game.determinism_runs
    most = priced + drawn
    return Work(f"{kind}/solver", (play.solves, most), (0, most * runs))


def best_solve_rate(reward: RewardConfig, samples: int) -> float | None:
    """The probability of solving at which a task's expected learnability over `samples` Monte-Carlo
    solutions is greatest, to 0.001. None where it is the same everywhere.
    """
    worth = [learnability(solved / samples, reward) for solved in range(samples + 1)]
    if len(set(worth)) == 1:
        return None

    def expected(p: float) -> float:
        return sum(
            comb(samples, k) * p**k * (1 - p) ** (samples - k) * value
            for k, value in enumerate(worth)
        )

    return max((step / 1000 for step in range(1001)), key=expected)


def plan_lines(config: Config) -> list[str]:
    """The plan as text for people, 80 columns wide."""
    groups = work(config)
    least, most = (sum(group.answers[end] for group in groups) for end in (0, 1))
    runs = sum(group.runs[1] for group in groups)
    rollout = config.rollout
    lines = [f"{'work of a step':<24}{'answers':>14}{'sandboxed runs':>18}"]
    lines += [
        f"  {group.group:<22}{_span(group.answers):>14}{_span(group.runs):>18}" for group in groups
    ]
    lines += [
        f"  {'all':<22}{_span((least, most)):>14}{_span((0, runs)):>18}",
        f"  at most {most * rollout.max_new_tokens:,} tokens sampled "
        f"and {most * rollout.max_prompt_tokens:,} of prompts",
        f"seeding: {config.seeding.tasks} tasks per type or {config.seeding.seconds:g} s",
        f"length: {config.run.steps} steps{_limit(config)}",
        reward_line(config),
        *memory_lines(config),
    ]
    return lines


def memory_lines(config: Config) -> list[str]:
    """What a run will hold at most, by part."""
    shape = read_shape(config.model.name)
    if shape is None:
        return [f"memory: not known, {config.model.name} is not on this machine"]
    device = trains_on(config)
    held = footprint(config, shape, device)
    parts = [f"  {name:<22}{gib:>14.2f}" for name, gib in held.parts().items() if gib]
    if device == "cpu":
        beside = f"of {free_gib():.2f} that are free"
    else:
        beside = f"and {config.rollout.gpu_memory_fraction:.0%} of the GPU's for the engine"
    total = f"  {'all':<22}{held.total():>14.2f}  {beside}"
    return [f"{'memory at its peak':<24}{'GiB':>14}", *parts, total]


def trains_on(config: Config) -> str:
    """The device, "cpu" or "cuda", without asking torch."""
    if config.model.device == "auto":
        return "cuda" if gpu_usable() else "cpu"
    return config.model.device


def reward_line(config: Config) -> str:
    """What difficulty the proposer's reward asks for."""
    samples = config.play.price_samples
    best = best_solve_rate(config.reward, samples)
    if best is None:
        return f"with {samples} solutions per task no solve rate is worth more than another"
    return f"a proposer earns most for tasks solved {best:.0%} of the time (n = {samples})"


def _span(ends: tuple[int, int]) -> str:
    return f"{ends[0]:,}" if ends[0] == ends[1] else f"{ends[0]:,}-{ends[1]:,}"


def _limit(config: Config) -> str:
    minutes = config.run.time_limit_minutes
    return f" or {minutes:g} minutes, whichever comes first" if minutes else ""
