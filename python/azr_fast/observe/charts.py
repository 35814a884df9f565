"""What the page draws of a run's steps: titles, explanations and numbers, and no drawing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from azr_fast.observe.rates import evaluations, mean_known
from azr_fast.observe.run import at

Metrics = Mapping[str, Any]
Values = list[float | None]

POINTS = 400  # most points of a curve; of longer runs the means of neighbouring steps are drawn


@dataclass(slots=True)
class Series:
    """One curve or row of bars. `colour` numbers the palette; solvers are dashed."""

    name: str
    y: Values
    colour: int = 0
    dashed: bool = False
    low: Values | None = None  # the ends of an interval
    high: Values | None = None


@dataclass(slots=True)
class Chart:
    """A chart of the page. kind: lines, stacked (bars), bars · unit: share, number."""

    section: str
    title: str
    help: str
    x: list[float] | list[str]
    series: list[Series]
    kind: str = "lines"
    unit: str = "number"
    x_title: str = "step"

    def data(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)


class Steps:
    """The steps of a run, thinned to what a curve needs."""

    def __init__(self, lines: Sequence[Metrics], points: int = POINTS) -> None:
        self.lines = lines
        count = min(points, len(lines))
        edges = [i * len(lines) // count for i in range(count + 1)] if count else []
        self.spans = list(pairwise(edges))
        self.x: list[float] = [lines[end - 1]["step"] for _, end in self.spans]
        names = dict.fromkeys(name for line in lines for name in line["groups"])
        self.groups = [(*name.rsplit("/", 1), name) for name in names]  # (kind, role, name)
        self.kinds = list(dict.fromkeys(kind for kind, _, _ in self.groups))

    def curve(self, *keys: str) -> Values:
        """Means of the number under `keys`; None where no step of a span has it."""
        values = [at(line, *keys) for line in self.lines]
        return [mean_known(values[start:end]) for start, end in self.spans]

    def named(self, *curves: tuple[str, tuple[str, ...]]) -> list[Series]:
        """One series per name, in the order of the palette."""
        return [Series(name, self.curve(*keys), i) for i, (name, keys) in enumerate(curves)]

    def by_group(self, key: str, roles: Iterable[str] = ("proposer", "solver")) -> list[Series]:
        """One series per task type and role; a type keeps its colour in all charts."""
        wanted = tuple(roles)
        return [
            Series(
                f"{kind} {role}" if len(wanted) > 1 else kind,
                self.curve("groups", name, key),
                self.kinds.index(kind),
                dashed=len(wanted) > 1 and role == "solver",
            )
            for kind, role, name in self.groups
            if role in wanted
        ]


def step_charts(lines: Sequence[Metrics], first_scores: Metrics | None = None) -> list[Chart]:
    """Every chart that the metrics of a run have numbers for; `first_scores` are those on
    benchmarks before the first step."""
    steps = Steps(lines)
    scored = [{"step": 0, **first_scores}, *lines] if first_scores else lines
    charts = [
        *(chart for maker in (_learning, _proposals) for chart in maker(steps)),
        *_evaluation(scored),
        *(chart for maker in (_verdicts, _model, _speed) for chart in maker(steps)),
    ]
    for chart in charts:
        chart.series = [one for one in chart.series if any(y is not None for y in one.y)]
    return [chart for chart in charts if chart.series]


def _learning(steps: Steps) -> Iterator[Chart]:
    def share(title: str, help_: str, series: list[Series]) -> Chart:
        return Chart("Learning", title, help_, steps.x, series, unit="share")

    yield share(
        "Proposals",
        "Shares of all proposals. Valid: the gate accepts the task. New: the run never had it "
        "before. Learnable: solved sometimes and not always, so that there is something to learn.",
        steps.named(
            ("well formed", ("proposals", "well_formed")),
            ("valid", ("proposals", "valid")),
            ("valid and new", ("proposals", "new")),
            ("learnable", ("proposals", "learnable")),
        ),
    )
    yield share(
        "Solved, by task type",
        "Share of answers that are right. The tasks change as the proposer learns, so this is no "
        "measure of skill: the evaluation is.",
        steps.by_group("passed", ["solver"]),
    )
    yield Chart(
        "Learning",
        "Reward, by task type and role",
        "Mean reward of a step; solvers are dashed.",
        steps.x,
        steps.by_group("reward"),
    )


def _proposals(steps: Steps) -> Iterator[Chart]:
    def share(title: str, help_: str, key: str) -> Chart:
        series = steps.by_group(key, ["proposer"])
        return Chart("Learning", title, help_, steps.x, series, unit="share")

    yield share(
        "Learnable proposals, by task type",
        "Share of proposals whose task was solved sometimes and not always.",
        "learnable",
    )
    yield share(
        "Valid and new proposals, by task type",
        "Share of proposals that the gate accepts and that the run never had before.",
        "new",
    )
    yield share(
        "Difficulty of what is proposed",
        "Mean share of tries that solve a proposed task: lower is harder.",
        "accuracy",
    )


def _evaluation(lines: Sequence[Metrics]) -> Iterator[Chart]:
    """One chart per benchmark; steps without an evaluation have no point."""
    for key in evaluations(lines):
        scored = [line for line in lines if at(line, key) is not None]
        score, low, high = ([at(line, name) for line in scored] for name in _with_ends(key))
        name = key.removeprefix("eval_")
        yield Chart(
            "Evaluation",
            f"Evaluation: {name}",
            "Score on a fixed set of tasks, and its 95% interval where the run has it.",
            [line["step"] for line in scored],
            [Series(name, score, low=low, high=high)],
            unit="share",
        )


def _with_ends(key: str) -> tuple[str, str, str]:
    return key, f"{key}_low", f"{key}_high"


def _verdicts(steps: Steps) -> Iterator[Chart]:
    for role, what in (("proposer", "proposals"), ("solver", "solutions")):
        yield Chart(
            "Verdicts",
            f"Why {what} fell through",
            f"Share of {what} by the code of their verdict; `ok` is left out.",
            steps.x,
            _codes(steps, role),
            kind="stacked",
            unit="share",
        )


MOST_CODES = 9


def _codes(steps: Steps, role: str) -> list[Series]:
    """Shares by code, the most frequent first, the rest as one."""
    counts = [_counts(steps.lines[start:end], role) for start, end in steps.spans]
    totals: dict[str, int] = {}
    for count in counts:
        for code, number in count.items():
            totals[code] = totals.get(code, 0) + number
    codes = sorted(totals.keys() - {"ok"}, key=lambda code: (-totals[code], code))
    shown = [[code] for code in codes[:MOST_CODES]]
    rest = [codes[MOST_CODES:]] if codes[MOST_CODES:] else []
    answers = [sum(count.values()) for count in counts]
    return [
        Series(
            names[0] if names in shown else f"{len(names)} others",
            [
                sum(count.get(name, 0) for name in names) / total if total else None
                for count, total in zip(counts, answers, strict=True)
            ],
            i,
        )
        for i, names in enumerate(shown + rest)
    ]


def _counts(lines: Sequence[Metrics], role: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for line in lines:
        for name, group in line["groups"].items():
            if name.endswith(f"/{role}"):
                for code, number in group.get("codes", {}).items():
                    counts[code] = counts.get(code, 0) + number
    return counts


def _model(steps: Steps) -> Iterator[Chart]:
    def chart(title: str, help_: str, series: list[Series], unit: str = "number") -> Chart:
        return Chart("Model", title, help_, steps.x, series, unit=unit)

    yield chart(
        "Entropy",
        "Nats per token. Near 0 the model says one thing only and explores no more.",
        steps.named(
            ("entropy in the update", ("update", "entropy")),
            ("surprisal of what was sampled", ("tokens", "surprisal")),
        ),
    )
    yield chart(
        "Engine against trainer",
        "How far the log-probs of sampled tokens are apart, nats in the mean. A growing gap means "
        "stale or wrong weights in the engine.",
        steps.named(("mean gap", ("update", "logprob_gap"))),
    )
    yield chart(
        "Length of answers",
        "Sampled tokens per answer; solvers are dashed.",
        steps.by_group("tokens"),
    )
    yield chart(
        "Answers cut off",
        "Share of answers that reached the token limit; solvers are dashed.",
        steps.by_group("truncated"),
        "share",
    )
    yield chart(
        "Gradient norm",
        "Before the clip.",
        steps.named(("norm", ("update", "grad_norm"))),
    )
    yield chart(
        "Tokens that teach",
        "Share of trained tokens whose advantage is not zero.",
        steps.named(("with a gradient", ("tokens", "with_gradient"))),
        "share",
    )


def _speed(steps: Steps) -> Iterator[Chart]:
    def chart(title: str, help_: str, *curves: tuple[str, tuple[str, ...]]) -> Chart:
        return Chart("Time and memory", title, help_, steps.x, steps.named(*curves))

    yield chart("Sampling speed", "Tokens per second of play.", ("tokens/s", ("tokens_per_s",)))
    yield chart(
        "Tokens of a step",
        "What was sampled, and what the model ran over in the update: prompts that are shared are "
        "computed once.",
        ("sampled", ("tokens", "sampled")),
        ("computed in the update", ("update", "tokens_computed")),
        ("computed if nothing were shared", ("update", "tokens_unshared")),
    )
    yield chart(
        "Memory",
        "GiB of the training process, now and at most; on a GPU also what torch holds there.",
        ("now", ("memory", "now_gib")),
        ("at most", ("memory", "peak_gib")),
        ("GPU now", ("memory", "gpu_now_gib")),
        ("GPU at most", ("memory", "gpu_peak_gib")),
    )
