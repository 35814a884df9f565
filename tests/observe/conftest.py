"""Judged answers made by hand, for the tests of what observes them."""

from contextlib import ExitStack, closing
from threading import Thread

import pytest

from azr_fast.config.load import load_config
from azr_fast.observe.metrics import MetricsLog, group_metrics, proposal_rates, solver_rates
from azr_fast.observe.runfolder import RunFolder
from azr_fast.observe.samples import save_samples
from azr_fast.observe.serve import open_server
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.types import Episode, Message, Role, Status, Stop, Task, Verdict

TASK = Task(
    "deduction", "key", {"program": "def f(x):\n    return x + 1", "input": "1", "output": "2"}
)


def make_episode(kind, role, status, code="ok", *, reward=0.0, tokens=3, text="answer", **facts):
    """One episode; `facts` are those that pricing sets."""
    solver = role is Role.SOLVER
    posed = TASK if status is Status.PASSED and not solver else None
    return Episode(
        (0,),
        role,
        kind,
        task=TASK if solver else None,
        token_ids=[1, 2, *range(tokens)],
        sampled=[False] * 2 + [True] * tokens,
        logprobs=[0.0] * (2 + tokens),
        stops=[Stop.LENGTH if tokens >= 10 else Stop.END],
        messages=[Message("user", "the prompt"), Message("assistant", text)],
        verdict=Verdict(status, code, "seen", posed),
        reward=reward,
        facts=dict(facts),
    )


def make_step():
    """Four deduction proposals, two abduction proposals and four deduction solutions."""
    proposer, solver = Role.PROPOSER, Role.SOLVER
    return [
        make_episode("deduction", proposer, Status.MALFORMED, "no_answer", reward=-1.0, tokens=10),
        make_episode(
            "deduction", proposer, Status.REJECTED, "nondeterministic", reward=-0.5, tokens=2
        ),
        make_episode(
            "deduction", proposer, Status.PASSED, reward=0.75, tokens=4, new=True, accuracy=0.25
        ),
        make_episode("deduction", proposer, Status.PASSED, reward=-0.5, tokens=4, new=False),
        make_episode("abduction", proposer, Status.REJECTED, "syntax", reward=-0.5),
        make_episode("abduction", proposer, Status.PASSED, reward=0.0, new=True, accuracy=1.0),
        make_episode("deduction", solver, Status.PASSED, reward=1.0, text="right"),
        make_episode("deduction", solver, Status.WRONG, "wrong_output", reward=-0.5),
        make_episode("deduction", solver, Status.WRONG, "wrong_output", reward=-0.5),
        make_episode("deduction", solver, Status.MALFORMED, "no_answer", reward=-1.0),
    ]


@pytest.fixture
def episode():
    return make_episode


@pytest.fixture
def a_step():
    return make_step()


def learning_step(step):
    """Of four proposals one more is valid and new every second step."""
    valid = step // 2
    proposer, solver = Role.PROPOSER, Role.SOLVER
    answers = [
        make_episode("deduction", proposer, Status.PASSED, reward=0.5, new=True, accuracy=0.5)
        if i < valid
        else make_episode("deduction", proposer, Status.MALFORMED, "no_answer", reward=-1.0)
        for i in range(4)
    ]
    if valid:
        right, wrong = "it is 2", "it is 3"
        answers += [
            make_episode("deduction", solver, Status.PASSED, reward=1.0, text=right),
            make_episode(
                "deduction", solver, Status.WRONG, "wrong_output", reward=-0.5, text=wrong
            ),
        ]
    return answers


def metrics_line(step, answers):
    """A line of metrics.jsonl as a run writes it: ten seconds a step."""
    return {
        "step": step,
        "time": 10.0 * step,
        "seconds": {"sync": 0.5, "play": 2.0, "update": 7.0, "verify_blocked": 0.3},
        "tokens": {"sampled": 50, "surprisal": 1.5, "trained": 1.0, "with_gradient": 0.25},
        "tokens_per_s": 100.0 * step,
        "groups": group_metrics(answers),
        "proposals": proposal_rates(answers),
        "solver": solver_rates(answers),
        "buffer": {"deduction": step},
        "update": {
            "entropy": 2.0 - step / 10,
            "logprob_gap": 0.01,
            "grad_norm": 1.5,
            "tokens_computed": 400,
            "tokens_unshared": 900,
            "seconds": {"forward": 3.0, "backward": 3.5},
        },
        "memory": {"peak_gib": 2.0, "now_gib": 1.5},
        "fruitless": None,
    }


def _write_steps(run, steps, answers_of=learning_step, line_of=metrics_line):
    """Steps of a run folder as a run writes them."""
    with closing(MetricsLog(run.metrics)) as log:
        for step in steps:
            answers = answers_of(step)
            log.append(line_of(step, answers))
            save_samples(run.samples(step), answers)


def _write_tasks(run, rows):
    """Tasks of a run folder: (kind, key, program, step, solve rate)."""
    with closing(TaskBuffer(run.tasks, 1000)) as buffer:
        for kind, key, program, step, accuracy in rows:
            task = Task(kind, key, {"program": program, "input": "1", "output": "2"}, ("seed",))
            assert buffer.add(task, step)
            if accuracy is not None:
                buffer.record_accuracy(task, accuracy)
        buffer.watermark()


@pytest.fixture
def run(tmp_path):
    """A run folder without a step, that no process holds."""
    run = RunFolder.create(load_config("cpu", {"run.dir": str(tmp_path), "run.name": "one"}))
    run.close()
    return run


@pytest.fixture
def finished(run):
    """A run of eight steps, written as a run writes."""
    _write_steps(run, range(1, 9))
    return run.path


@pytest.fixture
def write_steps():
    return _write_steps


@pytest.fixture
def write_tasks():
    return _write_tasks


@pytest.fixture(name="metrics_line")
def metrics_line_fixture():
    return metrics_line


@pytest.fixture
def serving():
    """Serves the page of a run in a thread; gives its address."""
    with ExitStack() as stack:

        def serve(folder):
            server = stack.enter_context(open_server(folder, 0))
            thread = Thread(target=server.serve_forever, daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}/"

        yield serve
