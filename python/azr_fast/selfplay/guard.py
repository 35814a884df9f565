"""Steps that teach nothing: why, and when a run stops for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from azr_fast.errors import UserError
from azr_fast.policy.stats import UpdateStats
from azr_fast.rollout.stream import StreamStats
from azr_fast.selfplay.types import Judged

FRUITLESS_STEPS = 5  # in a row; chance may give some, as when a small model is always wrong


@dataclass(frozen=True, slots=True)
class Fruitless:
    """Why a step moved no weight, and what the user can do about it."""

    reason: str
    remedy: str


def fruitless(
    answers: Sequence[Judged], stream: StreamStats, update: UpdateStats
) -> Fruitless | None:
    """Why the update of a step with these answers learnt nothing from them; None when it did.

    An entropy bonus alone is no lesson: it moves weights whatever was answered.
    """
    if update.skipped:
        return Fruitless(f"update skipped: {update.skipped}", "lower update.lr")
    if any(one.advantage for one in answers):
        return None
    if not answers:
        return Fruitless(
            f"each of the {stream.skipped} prompts is longer than rollout.max_prompt_tokens",
            "raise rollout.max_prompt_tokens, or use shorter prompts (--game.prompts compact)",
        )
    if all(one.answer.truncated for one in answers):
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


class Guard:
    """Counts steps in a row that taught nothing."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def after(self, found: Fruitless | None) -> None:
        """Take in a finished step. Raises UserError after FRUITLESS_STEPS without a lesson."""
        self._in_a_row = self._in_a_row + 1 if found else 0
        if found and self._in_a_row >= FRUITLESS_STEPS:
            raise UserError(
                f"stopped: {FRUITLESS_STEPS} steps in a row taught nothing ({found.reason}): "
                f"{found.remedy}"
            )
