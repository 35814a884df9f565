"""The sentence at the end of a run never makes a success of one that taught nothing."""

import json
from pathlib import Path

import pytest

from azr_fast.observe.verdict import verdict


def a_line(valid=0.1, new=0.1, solved=0.3, answers=48, seconds=30.0, fruitless=None):
    proposer = {"answers": answers, "malformed": 0.2, "passed": valid, "new": new}
    solver = {"answers": answers, "malformed": 0.1, "passed": solved}
    return {
        "groups": {"deduction/proposer": proposer, "deduction/solver": solver},
        "seconds": {"play": seconds - 1.0, "update": 1.0, "verify_blocked": 5.0},
        "fruitless": fruitless,
    }


def test_a_run_without_a_step_learnt_nothing():
    assert verdict([]).startswith("verdict: nothing was learnt: no step was finished.")
    assert "--time-limit" in verdict([])


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_run_of_few_steps_is_too_short_whatever_its_rates_say(steps):
    lines = [a_line(seconds=290.0), a_line(valid=1.0, seconds=290.0)] * 2
    said = verdict(lines[:steps])
    assert said.startswith(f"verdict: too short to learn: {steps} step")
    assert "A step took 4:50 here" in said
    assert said.endswith("go on with --time-limit 73.")


def test_what_rose_is_named_and_what_stayed_is_not():
    lines = [a_line() for _ in range(10)] + [a_line(valid=0.9, new=0.85) for _ in range(10)]
    assert verdict(lines) == (
        "verdict: learnt, from the first 5 to the last 5 of 20 steps: valid proposals 10% to 90%, "
        "valid and new proposals 10% to 85%. Benchmarks tell what that is worth."
    )


def test_what_only_fell_was_not_learnt():
    lines = [a_line(solved=0.5) for _ in range(4)] + [a_line(solved=0.1) for _ in range(4)]
    assert verdict(lines).startswith("verdict: unlearnt, from the first 4 to the last 4 of 8 steps")


def test_chance_is_not_learning():
    lines = [a_line(valid=0.10 + 0.02 * (i % 2), answers=12) for i in range(8)]
    assert verdict([*lines, a_line(valid=0.16, answers=12)]).startswith(
        "verdict: nothing that chance does not explain, from the first 4 to the last 4 of 9 steps. "
        "A step took 0:30 here"
    )


def test_steps_that_taught_nothing_say_why():
    why = "every answer was cut off at rollout.max_new_tokens"
    assert verdict([a_line(fruitless=why)] * 6) == f"verdict: nothing was learnt in 6 steps: {why}."


def test_groups_without_answers_of_a_role_are_no_fault():
    line = {**a_line(), "groups": {}}
    assert verdict([line] * 8).startswith("verdict: nothing that chance does not explain")


def test_the_committed_run_is_told_by_task_type():
    """Its deduction solver forgot what it could, which a rate over all types would hide."""
    path = Path(__file__).parents[2] / "docs" / "results" / "smollm2-135m.jsonl"
    said = verdict([json.loads(line) for line in path.read_text().splitlines()])
    assert "valid and new proposals 8% to 95%" in said
    assert "solved deduction 3% to 0%, solved abduction 5% to 84%" in said
