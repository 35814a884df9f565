import gc
import json
import math
import sys
from contextlib import closing

import pytest

from azr_fast.observe.files import read_lines
from azr_fast.observe.metrics import MetricsLog, group_metrics, proposal_rates, solver_rates
from azr_fast.observe.samples import PER_VERDICT, save_samples
from azr_fast.types import Role, Status


def test_groups_have_exact_numbers(a_step):
    groups = group_metrics(a_step)
    assert list(groups) == ["deduction/proposer", "abduction/proposer", "deduction/solver"]
    assert groups["deduction/proposer"] == {
        "answers": 4,
        "reward": -0.3125,
        "failed": 0.0,
        "malformed": 0.25,
        "rejected": 0.25,
        "wrong": 0.0,
        "passed": 0.5,
        "truncated": 0.25,
        "tokens": 5.0,
        "codes": {"no_answer": 1, "nondeterministic": 1, "ok": 2},
        "new": 0.25,
        "learnable": 0.25,
        "accuracy": 0.25,
    }
    assert groups["deduction/solver"] == {
        "answers": 4,
        "reward": -0.25,
        "failed": 0.0,
        "malformed": 0.25,
        "rejected": 0.0,
        "wrong": 0.5,
        "passed": 0.25,
        "truncated": 0.0,
        "tokens": 3.0,
        "codes": {"no_answer": 1, "ok": 1, "wrong_output": 2},
    }


def test_statuses_are_shares_of_the_whole_group(a_step):
    for group in group_metrics(a_step).values():
        assert sum(group[str(status)] for status in Status) == pytest.approx(1.0)
        assert sum(group["codes"].values()) == group["answers"]


def test_rates_over_all_proposals_and_solutions(a_step):
    assert proposal_rates(a_step) == {
        "well_formed": pytest.approx(5 / 6),
        "valid": pytest.approx(3 / 6),
        "new": pytest.approx(2 / 6),
        "learnable": pytest.approx(1 / 6),
    }
    assert solver_rates(a_step) == {"reward": -0.25, "solve_rate": 0.25}


def test_a_step_without_answers_has_null_rates_not_zero():
    assert proposal_rates([]) == dict.fromkeys(("well_formed", "valid", "new", "learnable"))
    assert solver_rates([]) == {"reward": None, "solve_rate": None}
    assert group_metrics([]) == {}


def test_accuracy_is_null_when_no_task_was_priced(episode):
    groups = group_metrics([episode("deduction", Role.PROPOSER, Status.PASSED, new=False)])
    assert groups["deduction/proposer"]["accuracy"] is None


def test_log_appends_lines_of_strict_json(tmp_path, a_step):
    path = tmp_path / "metrics.jsonl"
    for step in (1, 2):
        with closing(MetricsLog(path)) as log:
            log.append({"step": step, "loss": math.nan, "groups": group_metrics(a_step)})
    lines = list(read_lines(path))
    assert [line["step"] for line in lines] == [1, 2]
    assert lines[0]["loss"] is None
    assert lines[0]["groups"] == group_metrics(a_step)
    assert "NaN" not in path.read_text()


def test_a_line_cut_off_by_a_kill_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2, "ti')
    assert list(read_lines(path)) == [{"step": 1}]
    assert list(read_lines(tmp_path / "none.jsonl")) == []


def test_samples_keep_a_few_of_every_group_and_status(tmp_path, a_step):
    path = tmp_path / "step-000001.jsonl"
    save_samples(path, [*a_step, *a_step])
    samples = [json.loads(line) for line in path.read_text().splitlines()]
    places = [(s["kind"], s["role"], s["status"]) for s in samples]
    assert all(places.count(place) <= PER_VERDICT for place in places)
    assert set(places) == {(one.kind, str(one.role), str(one.verdict.status)) for one in a_step}
    proposal = next(s for s in samples if s["status"] == "passed")
    assert proposal["task"]["program"].startswith("def f")
    assert (proposal["accuracy"], proposal["new"]) == (0.25, True)
    assert [message["content"] for message in proposal["messages"]] == ["the prompt", "answer"]


def test_samples_survive_text_that_is_not_unicode(tmp_path, episode):
    path = tmp_path / "step-000001.jsonl"
    save_samples(path, [episode("deduction", Role.SOLVER, Status.PASSED, text="\ud800 lone")])
    assert next(read_lines(path))["text"] == "\ud800 lone"


def test_08_logging_costs_no_more_as_a_run_grows(a_step, tmp_path):
    """Calls, not seconds, so that a busy machine changes nothing."""
    with closing(MetricsLog(tmp_path / "metrics.jsonl")) as log:

        def write(answers):
            line = {"groups": group_metrics(answers), "proposals": proposal_rates(answers)}
            log.append(line | {"solver": solver_rates(answers)})
            save_samples(tmp_path / "samples.jsonl", answers)

        first, *_, last = [calls_of(write, a_step) for _ in range(50)][1:]
        assert last == first, "a step's cost may not depend on those before it"
        assert calls_of(write, a_step * 8) < 8 * first, "nor on pairs of its answers"


def calls_of(function, argument):
    count = 0

    def seen(_frame, event, _what):
        nonlocal count
        count += event in ("call", "c_call")

    gc.disable()  # what other tests left would be finalized within
    sys.setprofile(seen)
    try:
        function(argument)
    finally:
        sys.setprofile(None)
        gc.enable()
    return count
