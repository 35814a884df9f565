"""What a config of Agent0 asks for in every step, and what its rewards aim at."""

from __future__ import annotations

from azr_fast.config.games import Work
from azr_fast.games.agent0.config import Agent0Config


def work(config: Agent0Config) -> list[Work]:
    """The work of proposers and executors. The least is when no question is valid and no program is
    run, the most when all are and every conversation makes all its calls."""
    play, rules = config.play, config.game
    posed = play.proposals
    programs = 2 * posed if rules.programs and rules.proposer == "model" else 0
    most = posed * play.price_samples + play.solves
    return [
        Work("question/proposer", (posed, posed), (0, programs)),
        Work(
            "question/solver",
            (play.solves, most),
            (0, most * rules.tool_calls),
            turns=1 + rules.tool_calls,
        ),
    ]


def aim(config: Agent0Config) -> str:
    """What the proposer's reward asks for, and of what an iteration consists."""
    reward, play, keys, rules = config.reward, config.play, config.schedule, config.game
    lines = [f"a proposer earns most where half of {play.price_samples} answers agree"]
    if reward.tool and rules.tool_calls:
        lines[0] += f", and {reward.tool / reward.most_calls:g} a call"
    if keys.name == "alternate":
        siblings = min(rules.siblings, play.proposals)
        prompts, pool = -(-play.proposals // siblings), keys.pool_steps * keys.pool_proposals
        lines += [
            f"curriculum: {keys.proposer_steps} steps of {prompts} prompts x {siblings} questions "
            f"x {play.price_samples} conversations",
            f"pool: {pool:,} questions x {play.price_samples} conversations, those with a p of "
            f"{keys.band_low:g} to {keys.band_high:g}",
            f"executor: {keys.solver_steps} steps of {play.solves} questions x "
            f"{play.solve_samples} conversations of {rules.tool_calls} calls at most",
        ]
    return "\n".join(lines)
