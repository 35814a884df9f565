"""Evaluations by a scripted model: nothing is asked twice, nothing is stale, nothing is lost."""

import dataclasses

import pytest

from azr_fast.evaluate.registry import find_benchmark
from azr_fast.evaluate.run import Evaluation, Subject, Voice, Work, regraded
from azr_fast.evaluate.store import Store
from azr_fast.evaluate.summary import compare, score_of
from azr_fast.rollout.decoder import Decoder, Interrupted
from azr_fast.types import Sampling

from .records import cruxeval
from .scripted import ScriptedEngine

GREEDY = Sampling(max_tokens=64, temperature=0.0)
SUBJECT = Subject("model", "weights", "engine 1")


def doubling(number):
    return cruxeval("def f(x):\n    return 2 * x", str(number), str(2 * number), f"sample_{number}")


def says(*right, otherwise="'?'"):
    """Knows the answers about these numbers."""

    def script(prompt, _seed):
        number = int(prompt.rpartition("assert f(")[2].partition(")")[0])
        return f" {2 * number if number in right else otherwise}</answer>"

    return script


@pytest.fixture
def evaluate(tools, runner, renderer, tmp_path):
    """Evaluates three items, or those of `records`; returns the rows and the engine."""

    def run(script, subject=SUBJECT, records=(1, 2, 3), stop=lambda: False, most=4000, **work):
        benchmark = find_benchmark("cruxeval-o")(tools)
        tasks = [benchmark.task(doubling(number)) for number in records]
        engine = ScriptedEngine(renderer, script)
        decoder = Decoder(engine, runner, stop)
        voice = Voice(renderer, lambda: decoder, most)
        told = []
        evaluation = Evaluation(subject, Store(tmp_path), voice, runner, lambda *s: told.append(s))
        run.told = told
        rows = evaluation.rows(Work(benchmark, tasks, **{"sampling": GREEDY} | work))
        return rows, engine

    return run


def test_answers_are_judged_and_told(evaluate):
    rows, engine = evaluate(says(1, 3))
    assert [(row.item, row.passed, row.code) for row in rows] == [
        ("sample_1", True, "ok"), ("sample_2", False, "wrong_output"), ("sample_3", True, "ok"),
    ]  # fmt: skip
    assert rows[0].turns == ["<answer>assert f(1) == 2</answer>"]
    assert rows[0].tokens == len(" 2</answer>") + 1
    assert len(engine.requests) == 3
    assert evaluate.told[0] == (0, 3)
    assert evaluate.told[-1] == (3, 3)


def test_nothing_is_asked_twice(evaluate):
    first, _ = evaluate(says(1))
    again, engine = evaluate(says(1, 2, 3))
    assert again == first
    assert engine.requests == []


@pytest.mark.parametrize(
    "change",
    [
        {"subject": dataclasses.replace(SUBJECT, weights="others")},
        {"subject": dataclasses.replace(SUBJECT, engine="engine 2")},
        {"sampling": dataclasses.replace(GREEDY, max_tokens=65)},
        {"sampling": dataclasses.replace(GREEDY, temperature=1.0)},
        {"most": 4001},
    ],
)
def test_nothing_is_stale(evaluate, change):
    evaluate(says(1))
    rows, engine = evaluate(says(1, 2, 3), **change)
    assert len(engine.requests) == 3
    assert all(row.passed for row in rows)


def test_what_another_version_of_a_judge_said_is_judged_anew(evaluate, monkeypatch):
    """Also where the benchmark is of another package than ours."""
    first, _ = evaluate(says(1))
    monkeypatch.setattr("azr_fast.evaluate.run.installed", lambda group: {})
    again, engine = evaluate(says())
    assert engine.requests == []
    assert [row.passed for row in again] == [row.passed for row in first]
    assert {row.judged for row in again}.isdisjoint(row.judged for row in first)


def test_a_gpu_that_is_found_is_another_engine(monkeypatch):
    from azr_fast.config.schema import ModelConfig
    from azr_fast.evaluate import subject

    said = []
    for there in (False, True):
        monkeypatch.setattr(subject, "gpu_usable", lambda there=there: there)
        said.append(subject.engine_version("transformers", ModelConfig(dtype="float32")))
    assert said[0].endswith("float32, auto")
    assert said[1].endswith("float32, cuda")


def test_other_names_of_the_same_weights_share_answers(evaluate):
    evaluate(says(1))
    assert evaluate(says(2), subject=dataclasses.replace(SUBJECT, name="alias"))[1].requests == []


def test_a_longer_list_asks_for_what_is_new_alone(evaluate):
    evaluate(says(1), records=(3, 1))
    rows, engine = evaluate(says(1, 2), records=(1, 2, 3))
    assert len(engine.requests) == 1
    assert [row.passed for row in rows] == [True, True, False]


def test_seeds_follow_from_the_item_and_not_from_its_place(evaluate):
    sampled = Sampling(64, temperature=1.0)
    _, first = evaluate(says(), records=(1, 2, 3), sampling=sampled, samples=2)
    _, other = evaluate(
        says(), records=(3, 1), sampling=sampled, samples=2, subject=Subject("b", "b", "b")
    )
    seeds = {(r.prompt_ids, r.seed) for r in first.requests}
    assert len(seeds) == 6
    assert {(r.prompt_ids, r.seed) for r in other.requests} < seeds
    _, reseeded = evaluate(says(), sampling=sampled, samples=2, seed=1)
    assert seeds.isdisjoint({(r.prompt_ids, r.seed) for r in reseeded.requests})


def test_an_interrupted_evaluation_goes_on_where_it_was(evaluate):
    polls = []

    def stop():
        polls.append(1)
        return len(polls) > 12

    with pytest.raises(Interrupted):
        evaluate(says(*range(40)), records=range(40), stop=stop)
    kept = evaluate.told[-1][0]
    assert 0 < kept < 40
    rows, engine = evaluate(says(*range(40)), records=range(40))
    assert len(engine.requests) == 40 - kept
    assert all(row.passed for row in rows)


def test_what_decides_scores_beside_the_model_is_counted(evaluate):
    def script(prompt, seed):
        number = int(prompt.rpartition("assert f(")[2].partition(")")[0])
        return {1: "2</answer>", 2: "[</answer>", 3: "x" * 100}[number]

    rows, _ = evaluate(script)
    score = score_of(rows)
    assert (score.score, score.items, score.samples) == (pytest.approx(1 / 3), 3, 1)
    assert score.truncated == pytest.approx(1 / 3)
    assert score.unparsed == pytest.approx(2 / 3)
    assert score_of(evaluate(says(1), most=10)[0]).skipped == 1.0


def test_pass_at_k_of_samples(evaluate):
    def script(prompt, seed):
        return "2</answer>" if seed % 2 else "0</answer>"

    rows, _ = evaluate(script, records=(1,), sampling=Sampling(64, temperature=1.0), samples=8)
    score = score_of(rows, [1, 8])
    assert score.samples == 8
    assert score.pass_at[1] == pytest.approx(sum(row.passed for row in rows) / 8)
    assert score.pass_at[8] == 1.0


def test_saved_answers_are_judged_again_by_todays_judge(evaluate, tools, runner):
    rows, _ = evaluate(says(1, 2))
    benchmark = find_benchmark("cruxeval-o")(tools)
    changed = benchmark.task(doubling(1) | {"output": "3"})  # the authors mend their data
    (again,) = runner.run(regraded(benchmark, [(changed, rows[0])]))
    assert (again.passed, again.turns) == (False, rows[0].turns)


def test_a_saved_verdict_about_other_data_is_given_anew(evaluate, monkeypatch):
    rows, _ = evaluate(says(1))
    assert rows[0].passed
    right = doubling
    monkeypatch.setitem(globals(), "doubling", lambda n: right(n) | {"output": "'?'"})
    again, engine = evaluate(says(1))
    assert engine.requests == []  # the prompt is the same, and so is the answer
    assert [row.passed for row in again] == [False, True, True]


def test_models_are_compared_item_by_item(evaluate):
    ours, _ = evaluate(says(1, 2))
    theirs, _ = evaluate(says(2), subject=Subject("other", "other", "e"), records=(2, 1))
    pair = compare(ours, theirs)
    assert (pair.items, pair.up, pair.down) == (2, 1, 0)
    assert pair.difference == pytest.approx(0.5)
