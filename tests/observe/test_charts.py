"""The numbers behind the page's charts, without a browser."""

import pytest

from azr_fast.observe.charts import step_charts
from azr_fast.observe.task_charts import lines, nodes, task_charts
from azr_fast.observe.tasks import read_tasks
from azr_fast.observe.timeline import timeline
from azr_fast.observe.vote_charts import vote_charts


def steps(*lines):
    return [
        {"step": i, "time": 10.0 * i, "groups": {}, "seconds": {}} | line
        for i, line in enumerate(lines, start=1)
    ]


def by_title(charts):
    return {chart.title: chart for chart in charts}


def curve(charts, title, name):
    return next(one.y for one in by_title(charts)[title].series if one.name == name)


def test_curves_have_the_values_of_the_steps_and_gaps_where_there_are_none():
    rates = [{"proposals": {"valid": v, "learnable": None}} for v in (0.5, None, 0.25)]
    charts = step_charts(steps(*rates))
    assert curve(charts, "Proposals", "valid") == [0.5, None, 0.25]
    assert by_title(charts)["Proposals"].x == [1, 2, 3]
    # No step has the learnable share: an older run. A curve of nothing is left out.
    assert [one.name for one in by_title(charts)["Proposals"].series] == ["valid"]


def test_a_chart_that_no_step_has_numbers_for_is_left_out():
    assert step_charts(steps({}, {})) == []
    assert step_charts([]) == []


def test_long_runs_are_drawn_as_means_of_neighbouring_steps():
    charts = step_charts(steps(*({"tokens_per_s": float(i)} for i in range(1, 1601))))
    speed = by_title(charts)["Sampling speed"]
    assert len(speed.x) == 400
    assert (speed.x[0], speed.series[0].y[0]) == (4, 2.5)
    assert (speed.x[-1], speed.series[0].y[-1]) == (1600, 1598.5)


def test_task_types_keep_their_colour_and_solvers_are_dashed():
    groups = {f"{kind}/{role}": {"reward": 0.5} for kind in "ab" for role in ("proposer", "solver")}
    series = by_title(step_charts(steps({"groups": groups})))[
        "Reward, by task type and role"
    ].series
    assert [(one.name, one.colour, one.dashed) for one in series] == [
        ("a proposer", 0, False), ("a solver", 0, True),
        ("b proposer", 1, False), ("b solver", 1, True),
    ]  # fmt: skip


def test_codes_are_shares_and_the_rarest_are_one():
    codes = {"ok": 10} | {f"c{i:02}": 20 - i for i in range(12)}
    line = {"groups": {"a/proposer": {"codes": codes}}}
    charts = step_charts(steps(line))
    total = sum(codes.values())
    why = by_title(charts)["Why proposals fell through"]
    assert [one.name for one in why.series] == [*(f"c{i:02}" for i in range(9)), "3 others"]
    assert why.series[0].y == [20 / total]
    assert why.series[-1].y == [pytest.approx((11 + 10 + 9) / total)]
    assert sum(one.y[0] for one in why.series) == pytest.approx(1 - 10 / total)


def test_scores_of_benchmarks_have_their_intervals_where_the_run_has_them():
    lines = steps(
        {"eval_crux": 0.25, "eval_crux_low": 0.2, "eval_crux_high": 0.3, "eval_gsm8k": 0.5}, {},
        {"eval_crux": 0.5, "eval_crux_low": 0.4, "eval_crux_high": 0.6, "eval_gsm8k": None},
    )  # fmt: skip
    charts = by_title(step_charts(lines))
    crux = charts["Evaluation: crux"]
    assert crux.x == [1, 3]
    (one,) = crux.series
    assert (one.y, one.low, one.high) == ([0.25, 0.5], [0.2, 0.4], [0.3, 0.6])
    assert charts["Evaluation: gsm8k"].x == [1]
    assert charts["Evaluation: gsm8k"].series[0].y == [0.5]
    assert charts.keys() == {"Evaluation: crux", "Evaluation: gsm8k"}


def test_scores_before_the_first_step_begin_the_curve():
    lines = steps({}, {"eval_crux": 0.5, "eval_crux_low": 0.4, "eval_crux_high": 0.6})
    first = {"eval_crux": 0.25, "eval_crux_low": 0.2, "eval_crux_high": 0.3}
    (crux,) = step_charts(lines, first)
    assert (crux.x, crux.series[0].y, crux.series[0].low) == ([0, 2], [0.25, 0.5], [0.2, 0.4])
    (alone,) = step_charts([], first)  # no step is finished yet
    assert alone.series[0].y == [0.25]


def test_a_benchmark_whose_name_ends_like_an_interval_is_a_benchmark():
    lines = steps({"eval_high": 0.5, "eval_pass_low": 0.25, "eval_pass_low_low": 0.2})
    assert by_title(step_charts(lines)).keys() == {"Evaluation: high", "Evaluation: pass_low"}


def test_the_timeline_adds_up_to_the_time_of_the_step():
    seconds = {"sync": 1.0, "play": 4.0, "update": 3.0, "verify_blocked": 0.5}
    update = {"seconds": {"forward": 1.0, "backward": 1.5}}
    time = timeline(steps(*({"seconds": seconds, "update": update} for _ in range(2))))
    assert time["phases"] == [
        "sync", "play", "waiting for verdicts", "update: forward", "update: backward",
        "update: rest", "between steps",
    ]  # fmt: skip
    assert time["seconds"]["play"] == [3.5, 3.5]
    assert time["seconds"]["waiting for verdicts"] == [0.5, 0.5]
    assert time["seconds"]["update: rest"] == [0.5, 0.5]
    # The second step ended ten seconds after the first; its phases took eight.
    assert time["seconds"]["between steps"] == [0.0, 2.0]
    assert time["idle"] == ["waiting for verdicts"]


def test_the_timeline_shows_the_newest_steps_and_means_of_all():
    time = timeline(steps(*({"seconds": {"play": float(i)}} for i in range(1, 101))))
    assert (len(time["steps"]), time["steps"][-1]) == (40, 100)
    assert time["means"]["play"] == pytest.approx(50.5)
    assert timeline([]) is None


def test_solve_rates_are_counted_between_never_and_always(run, write_tasks):
    rates = (0.0, 0.0, 0.125, 0.25, 0.5, 0.875, 1.0, 1.0, None)
    write_tasks(run, [("a", f"k{i}", "def f(x): return x", 1, r) for i, r in enumerate(rates)])
    chart = by_title(task_charts(read_tasks(run.tasks)))["How often new tasks are solved"]
    (one,) = chart.series
    assert one.y == [2 / 8, 1 / 8, 1 / 8, 1 / 8, 1 / 8, 2 / 8]


def test_programs_grow_over_steps_and_seeds_do_not_count(run, write_tasks):
    long = "def f(x):\n    y = x\n\n    return y"
    rows = [
        ("a", "seed", long, 0, None), ("a", "k1", "def f(x): return x", 1, None),
        ("b", "k2", long, 2, None),
    ]  # fmt: skip
    write_tasks(run, rows)
    charts = task_charts(read_tasks(run.tasks))
    assert curve(charts, "Length of programs", "a") == [1.0, None]
    assert curve(charts, "Length of programs", "b") == [None, 3.0]
    complexity = curve(charts, "Complexity of programs", "a")
    assert complexity == [float(nodes("def f(x): return x")), None]


def test_programs_are_measured_as_data_whatever_they_are():
    assert lines("\n\na = 1\n  \nb = 2\n") == 2
    assert nodes("x = 1") == 5  # Module, Assign, Name, Store, Constant
    assert nodes("x=1  # a comment") == 5
    for program in ("def f(:", "\0", "(" * 5000, "-" * 100_000 + "1"):
        assert nodes(program) is None


def voted(agreement, **more):
    return {"verification": {"agreement": agreement, "calls": None} | more}


def test_votes_and_calls_of_the_tool_are_drawn_where_a_game_has_them():
    none, some = [0] * 10, [0, 0, 0, 3, 0, 1, 0, 0, 0, 0]
    lines = steps(
        voted(some, calls=0.5, vote_accuracy=0.75, duplicates=0.25, tool_runs=30, used_tool=0.5)
        | {"seconds": {"play": 10.0}},
        voted(none, calls=1.5, label_accuracy=0.5, tool_runs=0),  # solvers ask nothing
        voted([0, 0, 0, 0, 0, 0, 0, 0, 0, 2]),
    )
    charts = by_title(vote_charts(lines))
    p = charts["Agreement on a question (p)"]
    assert (p.x[0], p.x[9], p.kind) == ("0 to 10%", "90 to 100%", "bars")
    first, second = p.series
    assert first.y == [0, 0, 0, 0.75, 0, 0.25, 0, 0, 0, 0]
    assert second.y == [0] * 9 + [1]
    assert curve(charts.values(), "Calls of the tool", "calls") == [0.5, 1.5, None]
    right = charts["Is the majority right?"].series
    assert {one.name: one.y for one in right} == {
        "votes that are right": [0.75, None, None], "labels that are right": [None, 0.5, None],
    }  # fmt: skip
    assert curve(charts.values(), "Questions that are not new", "posed before")[0] == 0.25
    assert curve(charts.values(), "Calls per second", "calls/s") == [3.0, None, None]


def test_a_game_without_votes_has_no_such_charts():
    assert vote_charts(steps({"verification": {"pool_runs": 3}}, {"verification": {}}, {})) == []
    assert vote_charts([]) == []
