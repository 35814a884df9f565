"""What AZR can play beside its default, in a real run: engine, sandbox and update."""

import json

import pytest

ALL = "deduction,abduction,induction,error_deduction"


@pytest.fixture
def lines_of(train, tmp_path, monkeypatch):
    """Trains two steps with these keys; returns the lines of their metrics."""
    monkeypatch.chdir(tmp_path)

    def run(**keys):
        train(**{"run.name": "one", "run.steps": 2, "game.kinds": ALL} | keys)
        text = (tmp_path / "runs" / "one" / "metrics.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    return run


def test_every_task_type_is_played_with_a_thought_before_each_answer(lines_of, tmp_path):
    lines = lines_of(**{"game.prompts": "compact_thought", "game.thought_tokens": 4})
    assert len(lines) == 2
    for line in lines:
        assert set(line["groups"]) == {
            f"{kind}/{role}" for kind in ALL.split(",") for role in ("proposer", "solver")
        } - {"induction/solver"}  # the random model poses no such task
    samples = (tmp_path / "runs/one/samples/step-000001.jsonl").read_text()
    assert "</think>" in samples


def test_composites_measures_and_plain_paragraphs_are_played(lines_of):
    keys = {"game.composite_chance": 1, "intrinsic.cyclomatic": 0.1, "model.chat": "plain"}
    lines = lines_of(**keys, **{"game.reference_choice": "recent", "game.novelty": "shape"})
    assert [line["step"] for line in lines] == [1, 2]
    assert all(line["groups"]["deduction/proposer"] for line in lines)
