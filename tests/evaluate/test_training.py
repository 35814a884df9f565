"""Scores within a run: they touch nothing of it, stand in its metrics, and may end it."""

import hashlib
import json

import pytest

from azr_fast.cli.main import main
from azr_fast.errors import UserError
from azr_fast.evaluate.store import Store
from azr_fast.evaluate.training import Scorer
from azr_fast.observe.page import page_data
from azr_fast.observe.run import read_run

from .records import cruxeval

SMALL = {
    "model.dtype": "float32", "rollout.engine": "transformers", "rollout.max_new_tokens": 8,
    "rollout.max_prompt_tokens": 3000, "game.kinds": "deduction", "play.proposals": 2,
    "play.solves": 2, "play.price_samples": 2, "seeding.tasks": 0, "sandbox.zygotes": 2,
    "run.time_limit_minutes": 0, "run.steps": 3, "update.lr": 1e-3,
}  # fmt: skip
CRUXEVAL = {"eval.benchmarks": "cruxeval-i,cruxeval-o"}
TIMES = ("time", "seconds", "tokens_per_s", "memory", "probe", "verification")


@pytest.fixture
def train(tiny_model, tmp_path, lines):
    """Trains the tiny model; returns the lines of its metrics, its files and what was told."""
    data = lines([cruxeval(item=f"sample_{n}", given=f"'x', {n}") for n in range(4)])

    def run(name, **keys):
        keys = (
            SMALL
            | CRUXEVAL
            | {"model.name": tiny_model, "run.dir": tmp_path, "run.name": name}
            | keys
        )
        options = [word for key, value in keys.items() for word in (f"--{key}", str(value))]
        assert main(["train", "--preset", "cpu", *options, "--eval.data", str(data)]) == 0
        metrics = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        return list(map(json.loads, metrics)), tmp_path / name

    return run


def learnt(line):
    """A line of the metrics without scores, and without what a clock or another process decides."""
    kept = {k: v for k, v in line.items() if k not in TIMES and not k.startswith("eval_")}
    updates = [kept.pop("update"), *kept.pop("updates").values()]
    return kept | {"updates": [update | {"seconds": None} for update in updates]}


def weights(run):
    newest = max((run / "checkpoints").glob("step-*"), key=lambda path: int(path.name[5:]))
    return {
        path.relative_to(newest): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in newest.rglob("*.safetensors")
    }


def test_a_run_is_the_same_bit_for_bit_with_evaluations_and_without(train, capfd):
    with_scores, scored = train(
        "scored", **{"eval.every": 1, "eval.items": 3, "eval.form": "compact"}
    )
    told = capfd.readouterr().out
    without, plain = train("plain")
    for one, other in zip(with_scores, without, strict=True):
        differing = {key for key in learnt(one) if learnt(one)[key] != learnt(other)[key]}
        assert differing == set()
    assert weights(scored) == weights(plain) != {}
    assert all(line["update"]["grad_norm"] > 0 for line in with_scores)  # weights moved
    assert all(0 <= line["eval_cruxeval-o"] <= 1 for line in with_scores)
    assert {"eval_cruxeval-i", "eval_cruxeval-o", "eval_mean"} <= with_scores[0].keys()
    for name in ("cruxeval-i", "cruxeval-o"):
        low, high = (with_scores[0][f"eval_{name}_{end}"] for end in ("low", "high"))
        assert 0 <= low <= with_scores[0][f"eval_{name}"] <= high <= 1
        assert high - low > 0.5  # three items show next to nothing
    assert [path.name for path in sorted((scored / "evals").glob("*.parquet"))] == [
        f"step-{step:06d}.parquet" for step in range(4)
    ]
    first = read_run(scored).first_scores()
    assert first.keys() == {key for key in with_scores[0] if key.startswith("eval_")}
    page = {chart["title"]: chart for chart in page_data(read_run(scored))["charts"]}
    drawn = page["Evaluation: cruxeval-o"]
    assert drawn["x"] == [0, 1, 2, 3]  # what it was before the first step is drawn, too
    assert drawn["series"][0]["low"][0] == first["eval_cruxeval-o_low"]
    assert None not in drawn["series"][0]["high"]
    assert "scores after step 0: " in told
    rows = Store(scored / "evals").rows()
    assert len({row.item for row in rows}) == 3
    assert {row.form for row in rows} == {"compact"}
    assert not (plain / "evals").exists()


def test_a_run_without_better_scores_stops(train, capfd):
    lines, _ = train("patient", **{"eval.every": 1, "eval.items": 1, "eval.patience": 1})
    assert len(lines) == 2
    assert "eval.patience evaluations brought no better score" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("scores", "patience", "score", "stops"),
    [
        ([0.1, 0.2, 0.3], 2, "", False),
        ([0.1, 0.3, 0.2, 0.3], 2, "", True),
        ([0.1, 0.3, 0.2, 0.31], 2, "", False),
        ([0.1], 1, "", False),
        ([0.3, 0.1, 0.1], 0, "", False),
        ([0.3, 0.1], 1, "cruxeval-i", True),
        ([0.3, 0.1], 1, "gsm8k", False),
    ],
)
def test_patience_counts_evaluations_without_a_better_score(scores, patience, score, stops):
    from azr_fast.config.load import load_config

    config = load_config("cpu", {"eval.patience": patience, "eval.score": score})
    scorer = Scorer(config, [], None)
    scorer.recall([{"step": n, "eval_mean": s, "eval_cruxeval-i": s} for n, s in enumerate(scores)])
    scorer.take({"step": 9})  # one that was not evaluated
    assert scorer.exhausted is stops


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"eval.benchmarks": "cruxevol"}, "no benchmark 'cruxevol' is installed"),
        ({"eval.form": "loud"}, "cruxeval-i has no form 'loud'"),
        ({"eval.score": "gsm8k"}, "eval.score is gsm8k, which is not evaluated"),
        ({"eval.data": "/no/such/file"}, "cannot read /no/such/file"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_the_model_is_loaded(runner, keys, said):
    from azr_fast.config.load import load_config
    from azr_fast.evaluate.training import open_scorer

    config = load_config("cpu", CRUXEVAL | {"eval.every": 1, "model.name": "/no/such/model"} | keys)
    with pytest.raises(UserError, match=said), open_scorer(config, runner):
        pass
