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
        Work("question/solver", (play.solves, most), (0, most * rules.tool_calls)),
    ]


def aim(config: Agent0Config) -> str:
    """What the proposer's reward asks for, and how large an iteration is."""
    reward, play, keys = config.reward, config.play, config.schedule
    aim = f"a proposer earns most for questions on which half of {play.price_samples} answers agree"
    if reward.tool and config.game.tool_calls:
        share = reward.tool / reward.most_calls
        aim += f", and {share:g} for each call of a tool"
    if keys.name == "joint":
        return aim
    siblings = min(config.game.siblings, play.proposals)
    prompts = -(-play.proposals // siblings)
    pool = keys.pool_steps * keys.pool_proposals
    solves = play.solves * play.solve_samples
    return (
        f"{aim}\n"
        f"curriculum: {keys.proposer_steps} steps of {play.proposals} questions ({prompts} prompts "
        f"x {siblings}), each answered {play.price_samples} times\n"
        f"pool: {pool:,} questions, each answered {play.price_samples} times; those with "
        f"{keys.band_low:g} <= p <= {keys.band_high:g} are kept\n"
        f"executor: {keys.solver_steps} steps of {play.solves} questions x {play.solve_samples} "
        f"= {solves:,} conversations of up to {config.game.tool_calls} calls"
    )
