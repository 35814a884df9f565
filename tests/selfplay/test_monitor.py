"""Bounds on numbers of each step: what is said, what stops a run, and what a resumed run recalls."""

import pytest

from azr_fast.config.load import load_config
from azr_fast.errors import UserError
from azr_fast.selfplay.monitor import SIGNS, Monitor, repetition, value_at

FINE = {
    "tokens": {"surprisal": 0.8},
    "proposals": {"distinct": 0.9, "new": 0.5, "valid": 0.6, "reward": 0.1},
    "answers": {"with_gradient": 0.9, "tokens": 30.0, "repetition": 0.1},
    "update": {"logprob_gap": 0.0001},
    "memory": {"now_gib": 4.0, "free_gib": 12.0},
}
BOUNDS = {"monitor.new": 0.1, "monitor.valid": 0.2, "rollout.max_new_tokens": 100}
# What is wrong, where it stands in a step's line, and what is said of it.
WRONG = [
    ("entropy", "tokens.surprisal", 0.01, "0.01 nats a token is the surprisal"),
    ("distinct", "proposals.distinct", 0.125, "0.125 of the valid proposals are different tasks"),
    ("new", "proposals.new", 0.0, "0 of the proposals are valid and new"),
    ("valid", "proposals.valid", 0.1, "0.1 of the proposals are valid"),
    ("gradient", "answers.with_gradient", 0.0, "0 of the episodes have an advantage"),
    ("length", "answers.tokens", 95.0, "0.95 of rollout.max_new_tokens is the length"),
    ("repetition", "answers.repetition", 0.75, "0.75 of an answer repeats"),
    ("parity", "update.logprob_gap", 0.0009, "0.9 of parity.max_gap is the gap"),
    ("memory", "memory.free_gib", 0.04, "0.99 of the memory"),
]


def line_with(path=None, value=None):
    line = {name: dict(part) for name, part in FINE.items()}
    if path:
        part, name = path.split(".")
        line.setdefault(part, {})[name] = value
    return line


@pytest.fixture
def watch():
    """A monitor; calling it with lines gives what was said."""

    def make(**keys):
        keys = BOUNDS | {"model.dtype": "float32"} | keys
        monitor = Monitor(load_config("cpu", keys))
        monitor.told = []
        return monitor

    return make


def say(monitor, *lines):
    for line in lines:
        monitor.after(line, monitor.told.append)
    return monitor.told


@pytest.mark.parametrize(("name", "path", "value", "said"), WRONG)
def test_what_goes_beyond_its_bound_for_some_steps_is_said_once(watch, name, path, value, said):
    fine, bad = line_with(), line_with(path, value)
    monitor = watch(**{"monitor.patience": 2})
    assert say(monitor, fine, bad, fine, bad) == []
    (told,) = say(monitor, bad)
    assert told.startswith(f"warning: {said}"), told
    assert f"monitor.{name} (" in told
    assert told.endswith("for 2 steps in a row")
    assert len(say(monitor, bad)) == 1
    assert len(say(monitor, fine, bad, bad)) == 2


def test_every_sign_has_a_bound_and_a_test(watch):
    assert [sign.name for sign in SIGNS if sign.name != "drift"] == [name for name, *_ in WRONG]


@pytest.mark.parametrize(("name", "path", "value", "said"), WRONG)
def test_what_is_to_stop_the_run_stops_it(watch, name, path, value, said):
    monitor = watch(**{"monitor.stop": name, "monitor.patience": 1})
    with pytest.raises(UserError) as raised:
        say(monitor, line_with(path, value))
    assert str(raised.value).startswith(f"stopped: {said}")
    assert f"--monitor.{name}" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_number_that_a_step_lacks_counts_for_nothing(watch):
    monitor = watch(**{"monitor.patience": 2})
    bad, without = line_with("proposals.valid", 0.0), line_with("proposals.valid", None)
    assert say(monitor, bad, without, {}) == []
    assert len(say(monitor, bad)) == 1


def test_nothing_is_said_of_a_number_that_the_step_lacks(watch):
    """Steps without proposals come after one whose proposals went wrong."""
    bad, without = line_with("proposals.valid", 0.0), line_with("proposals.valid", None)
    monitor = watch(**{"monitor.patience": 2})
    assert len(say(monitor, bad, bad)) == 1
    assert len(say(monitor, without, without)) == 1  # no more than before
    resumed = watch(**{"monitor.patience": 2, "monitor.stop": "valid"})
    resumed.recall([bad, bad])
    assert say(resumed, without) == []


def test_bounds_of_0_and_1_watch_nothing(watch):
    least = ("entropy", "distinct", "new", "valid", "gradient")
    most = ("length", "repetition", "parity", "memory")
    keys = {f"monitor.{n}": 0 for n in least} | {f"monitor.{n}": 1 for n in most}
    monitor = watch(**keys, **{"monitor.patience": 1})
    for _, path, value, _ in WRONG:
        assert say(monitor, line_with(path, value)) == []


def probed(reward, accuracy):
    line = line_with("proposals.reward", reward)
    return line | {"probe": {"accuracy": accuracy}}


def test_a_proposer_that_earns_more_while_the_probe_does_not_follow(watch):
    monitor = watch(**{"monitor.patience": 1, "monitor.drift": 0.3})
    assert say(monitor, probed(0.1, 0.2), line_with("proposals.reward", 0.9)) == []
    assert say(monitor, probed(0.6, 0.5)) == []  # both grew
    (told,) = say(monitor, probed(0.7, 0.2))
    assert told.startswith("warning: 0.6 is what the proposer's reward gained on the probe's")


def test_a_resumed_run_counts_the_steps_before(watch):
    bad = line_with("proposals.valid", 0.0)
    straight, resumed = watch(), watch()
    said = [len(say(straight, bad)) for _ in range(5)]
    resumed.recall([bad, bad])
    assert [len(say(resumed, bad)) for _ in range(3)] == said[2:]


def test_repetition_is_the_share_of_runs_that_came_before():
    assert repetition([1, 2, 3]) is None
    assert repetition([1, 2, 3, 4, 5]) == 0.0
    assert repetition([7] * 13) == 0.9  # ten runs, one of them new
    assert repetition([1, 2, 3, 4] * 2) == pytest.approx(1 / 5)


def test_numbers_are_found_by_their_dotted_names():
    line = {"a": {"b/c": {"d": 2}, "e": "text", "f": None}}
    assert value_at(line, "a.b/c.d") == 2
    assert [value_at(line, path) for path in ("a", "a.e", "a.f", "a.g.h", "x")] == [None] * 5
