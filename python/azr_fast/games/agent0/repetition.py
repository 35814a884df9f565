"""How much of a step's questions are alike: clusters by BLEU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from scipy.cluster.hierarchy import fcluster, linkage


def repetition(questions: Sequence[str], batch: int, alike: float) -> list[float]:
    """For each question the share of the batch that lies in its cluster (paper, section 3.2).

    Distance is 1 - BLEU, the mean of both directions, since BLEU is none; clusters are merged by
    average linkage while they are at most `alike` apart. `batch` is how many proposals there were,
    those without a question among them.
    """
    if len(questions) < 2:  # nothing to link
        return [1.0 / batch for _ in questions]
    clusters = fcluster(linkage(_distances(questions), "average"), alike, "distance").tolist()
    sizes = Counter(clusters)
    return [sizes[cluster] / batch for cluster in clusters]


def _distances(questions: Sequence[str]) -> list[float]:
    """1 - BLEU of each pair, in the order of scipy.spatial.distance.squareform."""
    words = [question.split() for question in questions]
    return [
        _distance(words[i], words[j]) for i in range(len(words)) for j in range(i + 1, len(words))
    ]


def _distance(one: list[str], other: list[str]) -> float:
    """0 for equal texts; BLEU with smoothing of counts of 0, as the paper's code has it."""
    if one == other:
        return 0.0
    smooth = SmoothingFunction().method1
    there = sentence_bleu([other], one, smoothing_function=smooth)
    back = sentence_bleu([one], other, smoothing_function=smooth)
    return float(1.0 - (there + back) / 2)
