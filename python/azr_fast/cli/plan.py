"""What a config asks for in every step, before anything is loaded."""

from __future__ import annotations

from azr_fast.config.games import game_of
from azr_fast.config.schema import Config
from azr_fast.hardware import gpu_usable
from azr_fast.policy.footprint import footprint, read_shape
from azr_fast.policy.memory import free_gib
from azr_fast.selfplay.schedule import Phase, Schedule, open_schedule
from azr_fast.types import Role


def plan_lines(config: Config) -> list[str]:
    """The plan as text for people, 80 columns wide."""
    schedule = open_schedule(config)
    return [
        *(line for phase in schedule.phases for line in work_lines(config, phase)),
        f"seeding: {config.seeding.tasks} tasks per type or {config.seeding.proposals:,} proposals",
        f"length: {schedule.steps} steps{_iterations(config, schedule)}{_limit(config)}",
        game_of(config).aim(config),
        *memory_lines(config),
    ]


def work_lines(config: Config, phase: Phase) -> list[str]:
    """The work of a step of a phase, by task-role group."""
    play = phase.play  # games count tasks that are solved; here each has several solutions
    folded = play.model_copy(update={"solves": play.solves * play.solve_samples})
    groups = game_of(config).work(config.model_copy(update={"play": folded}))
    least, most = (sum(group.episodes[end] for group in groups) for end in (0, 1))
    runs, rollout = sum(group.runs[1] for group in groups), config.rollout
    title = "work of a step" if phase.name == "joint" else f"work of a {phase.name} step"
    return [
        f"{title:<24}{'answers':>14}{'sandboxed runs':>18}",
        *(
            f"  {group.group:<22}{_span(group.episodes):>14}{_span(group.runs):>18}"
            for group in groups
            if group.episodes[1] or phase.name == "joint"
        ),
        f"  {'all':<22}{_span((least, most)):>14}{_span((0, runs)):>18}",
        f"  at most {most * rollout.max_new_tokens:,} tokens sampled "
        f"and {most * rollout.max_prompt_tokens:,} of prompts",
        f"  {_learnt(phase, len(groups) // 2)}",
    ]


def _learnt(phase: Phase, kinds: int) -> str:
    """Which of the answers train the model."""
    play = phase.play
    counts = {Role.PROPOSER: play.proposals, Role.SOLVER: play.solves * play.solve_samples}
    sizes = {counts[role] for role in phase.learners}
    if not phase.learners:
        return "nothing is learnt from"
    if play.train_on_priced_answers and Role.SOLVER in phase.learners:
        return f"learnt from: also the {play.price_samples} solutions that price a proposal"
    if len(sizes) == 1:
        parts = f"{kinds * len(phase.learners)} groups x {sizes.pop()} answers"
    else:
        parts = " and ".join(
            f"{kinds} x {counts[role]} of the {role}" for role in counts if role in phase.learners
        )
    return f"learnt from: {parts}; {play.price_samples} more price each valid proposal"


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


def _span(ends: tuple[int, int]) -> str:
    return f"{ends[0]:,}" if ends[0] == ends[1] else f"{ends[0]:,}-{ends[1]:,}"


def _iterations(config: Config, schedule: Schedule) -> str:
    """What an iteration consists of, where there are iterations."""
    if config.schedule.name == "joint":
        return ""
    parts = " + ".join(f"{phase.steps} {phase.name}" for phase in schedule.phases)
    return f", {config.schedule.iterations} iterations of {parts}"


def _limit(config: Config) -> str:
    minutes = config.run.time_limit_minutes
    return f" or {minutes:g} minutes, whichever comes first" if minutes else ""
