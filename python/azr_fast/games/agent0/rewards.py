"""Rewards: pure functions of votes, calls and repetition (arXiv 2511.16043, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from azr_fast.games.agent0.config import Agent0Reward


def tool_use(calls: Sequence[int], most: int) -> float:
    """Programs that executors ran in a conversation, in the mean, at most `most`; over `most`."""
    return min(fmean(calls), most) / most if calls else 0.0


def proposer_reward(
    well_formed: bool, uncertainty: float, tool: float, repetition: float, config: Agent0Reward
) -> float:
    """format * max(0, w_unc * unc + w_tool * tool - w_rep * rep): never negative, and 0 for what is
    no question."""
    if not well_formed:
        return 0.0
    gain = config.uncertainty * uncertainty + config.tool * tool
    return max(0.0, gain - config.repetition * repetition)
