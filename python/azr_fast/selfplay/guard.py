"""Steps that teach nothing: why, and when a run stops for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from azr_fast.errors import UserError
from azr_fast.policy.stats import UpdateStats
from azr_fast.rollout.episodes import EXCEPTION, TOO_LONG
from azr_fast.types import Episode

FRUITLESS_STEPS = 5  # in a row; chance may give some, as when a small model is always wrong


@dataclass(frozen=True, slots=True)
class Fruitless:
    """Why a step moved no weight, and what the user can do about it."""

    reason: str
    remedy: str


def fruitless(episodes: Sequence[Episode], update: UpdateStats) -> Fruitless | None:
    """Why the update of a step with these episodes learnt nothing from them; None when it did.

    An entropy bonus alone is no lesson: it moves weights whatever was answered.
    """
    if update.skipped:
        return Fruitless(f"update skipped: {update.skipped}", "lower update.lr")
    if any(one.advantage for one in episodes):
        return None
    if not episodes:
        return Fruitless("nothing was proposed or solved", "look at what the game proposes from")
    failed = [one.verdict for one in episodes if one.failed]
    if len(failed) == len(episodes) and all(verdict.code == TOO_LONG for verdict in failed):
        return Fruitless(
            f"each of the {len(failed)} prompts is longer than rollout.max_prompt_tokens",
            "raise rollout.max_prompt_tokens, or use shorter prompts (--game.prompts compact)",
        )
    if len(failed) == len(episodes):
        raised = (verdict.evidence for verdict in failed if verdict.code == EXCEPTION)
        why = next(raised, failed[0].code)  # a game may say itself that it failed
        return Fruitless(
            f"each of the {len(failed)} episodes broke off, the first by {why}",
            "mend the game: the log tells where each exception came from",
        )
    if all(one.truncated for one in episodes if not one.failed):
        return Fruitless(
            "every answer was cut off at rollout.max_new_tokens",
            "raise rollout.max_new_tokens, and read the answers in the run's samples folder: a "
            "model that does not end its turns cannot play",
        )
    return Fruitless(
        "no answer has an advantage: in every group all earned the same",
        "read the answers in the run's samples folder; more answers (play.proposals, play.solves, "
        "play.price_samples) or a stronger model make them differ",
    )


def warning(episodes: Sequence[Episode]) -> str | None:
    """What a user should hear at once of a step that went on: answers that were cut off, episodes
    that broke off. None where there is nothing."""
    said = [one for one in episodes if one.stops]
    cut = sum(one.truncated for one in said)
    if cut > len(said) / 2:
        return (
            f"{cut} of {len(said)} answers were cut off at rollout.max_new_tokens and earn "
            "nothing: raise it, or use a model that ends its turns"
        )
    broken = [one.verdict for one in episodes if one.verdict.code == EXCEPTION]
    if broken:
        return f"{len(broken)} episodes broke off, the first by {broken[0].evidence}"
    return None


class Guard:
    """Counts steps in a row that taught nothing."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def recall(self, fruitless: Iterable[bool]) -> None:
        """Take in whether each step of a run that is resumed taught nothing."""
        for nothing in fruitless:
            self._in_a_row = self._in_a_row + 1 if nothing else 0

    def after(self, found: Fruitless | None) -> None:
        """Take in a finished step. Raises UserError after FRUITLESS_STEPS without a lesson."""
        self.recall([found is not None])
        if found and self._in_a_row >= FRUITLESS_STEPS:
            raise UserError(
                f"stopped: {FRUITLESS_STEPS} steps in a row taught nothing ({found.reason}): "
                f"{found.remedy}"
            )
