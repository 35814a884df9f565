"""The vote of executors on a question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from azr_fast.mathematics import Equality


@dataclass(frozen=True, slots=True)
class Vote:
    """What executors came to.

    label: the answer that most gave, as the first of them wrote it; None where nobody answered ·
    agreement: p, the share of all conversations that gave it: one without an answer agrees with
    nobody, not even with another one · agrees: for each conversation, whether it gave the label.
    """

    label: str | None
    agreement: float
    agrees: tuple[bool, ...]

    @property
    def uncertainty(self) -> float:
        """1 - 2|p - 0.5|; 0 where nobody answered."""
        return 1.0 - 2.0 * abs(self.agreement - 0.5)


def vote(answers: Sequence[str | None], equality: Equality) -> Vote:
    """Count the answers of a question's conversations; None is no answer and no vote. Answers that
    are equal as mathematics count together. Of answers with equal counts the first one wins."""
    classes = equality.classes(answers)
    counts = Counter(number for number in classes if number is not None)
    if not counts:
        return Vote(None, 0.0, (False,) * len(answers))
    winner, votes = counts.most_common(1)[0]
    return Vote(
        answers[classes.index(winner)],
        votes / len(answers),
        tuple(number == winner for number in classes),
    )


def measured(answers: Sequence[str | None], truth: str, equality: Equality) -> Vote:
    """The same where what is right is known: p is the share of right answers."""
    right = tuple(answer is not None and equality.equal(truth, answer) for answer in answers)
    return Vote(truth, sum(right) / max(1, len(answers)), right)
