"""The whole loop with the real engine and sandbox, a couple of steps long.

One run of the real model serves every test that only looks at what it did. Where answers do not
matter a tiny model is trained, and in `make test-all` the real one too.
"""

import json
import threading
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from azr_fast.config.load import load_config
from azr_fast.observe.metrics import MetricsLog
from azr_fast.observe.runfolder import RunFolder
from azr_fast.rollout.parity import gap_limit
from azr_fast.selfplay.schedule import open_schedule
from azr_fast.session import open_trainer

# A bound on hangs: without AVX-512 a step of the real model takes minutes.
pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]

SMALL = {
    "run.steps": 2,
    "run.checkpoint_every": 1,
    "play.proposals": 4,
    "play.solves": 2,
    "play.price_samples": 2,
    "seeding.tasks": 2,
    "seeding.proposals": 4,
    "seeding.batch": 4,
    "rollout.cache_gib": 0.5,
}


class Recorder:
    """An observer that keeps what it is told."""

    def __init__(self):
        self.steps, self.notes, self.phases = [], [], []
        self.on_phase = lambda name: None

    def start(self, run_dir, config, done=0):
        pass

    def phase(self, name, total):
        self.phases.append(name)
        self.on_phase(name)

    def advance(self, done, total=None, note=""):
        pass

    def step(self, metrics):
        self.steps.append(metrics)

    def note(self, text):
        self.notes.append(text)

    def close(self):
        pass


def new_run(tmp_path, name, **overrides):
    keys = SMALL | {"run.dir": str(tmp_path), "run.name": name} | overrides
    return RunFolder.create(load_config("cpu", keys))


def train(run, should_stop=lambda: False, observer=None):
    observer = observer or Recorder()
    with open_trainer(run.config, run, observer, should_stop) as trainer:
        trainer.train()
    run.close()
    return observer


def checkpoints(run):
    return sorted(int(path.name[5:]) for path in (run.path / "checkpoints").glob("step-*"))


def weights(run, step):
    from safetensors.torch import load_file

    (file,) = run.checkpoint(step).rglob("model.safetensors")
    return load_file(file)


PAPER = {"play.train_on_priced_answers": False}


@dataclass
class Finished:
    """A run that has ended, and what was seen of it."""

    run: RunFolder
    observer: Recorder
    families: list = field(default_factory=list)  # of each step
    by_paper_rule: list = field(default_factory=list)  # their episodes that the paper trains on


def record_play(trainer, finished):
    """Keep each step's families, and the episodes that a run under the paper's rule would train
    on."""
    play = trainer.player.play
    (paper,) = open_schedule(load_config(finished.run.path / "config.toml", PAPER)).phases

    def recorded(phase, record):
        families = play(phase, record)
        finished.families.append(families)
        finished.by_paper_rule.append(paper.select(families))
        return families

    trainer.player.play = recorded


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    keys = {"game.kinds": ["deduction", "abduction"], "play.proposals": 10}
    run = new_run(tmp_path_factory.mktemp("runs"), "finished", **keys)
    finished = Finished(run, Recorder())
    with open_trainer(run.config, run, finished.observer, lambda: False) as trainer:
        record_play(trainer, finished)
        trainer.train()
    run.close()
    return finished


def test_two_steps_leave_a_whole_run_folder(finished):
    run = finished.run
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    assert lines == json.loads(json.dumps(finished.observer.steps))
    assert checkpoints(run) == [1, 2]
    assert load_config(run.path / "config.toml") == run.config
    samples = [json.loads(line) for line in run.samples(2).read_text().splitlines()]
    assert {one["role"] for one in samples} >= {"proposer"}
    for line in lines:
        groups = line["groups"]
        assert {name for name in groups if name.endswith("/proposer")} == {
            f"{kind}/proposer" for kind in run.config.game.kinds
        }
        assert sum(groups[f"{kind}/proposer"]["answers"] for kind in run.config.game.kinds) == 20
        verification = line["verification"]
        assert verification.keys() == {"programs", "rewound", "fell_back"}
        if line["proposals"]["well_formed"]:
            assert verification["programs"] > 0
            assert 0.0 <= verification["rewound"] <= 1.0


def test_weights_move_and_the_engine_follows(finished):
    before, after = weights(finished.run, 1), weights(finished.run, 2)
    assert any((before[name] != after[name]).any() for name in before)
    for line in finished.observer.steps:
        assert line["update"]["logprob_gap"] < gap_limit(finished.run.config)
        assert line["update"]["grad_norm"] > 0


def test_09_no_well_formed_answer_is_thrown_away(finished):
    assert all(line["tokens"]["trained"] == 1.0 for line in finished.observer.steps)


def test_10_the_solver_trains_on_the_proposals_of_its_own_step(finished):
    """Priced answers belong to tasks that were posed in the same step and to no other."""
    posed = [f for families in finished.families for f in families if f.proposal and f.solves]
    assert posed, "no proposal was valid: the test saw nothing"
    for family in posed:
        assert all(solve.task == family.proposal.verdict.task for solve in family.solves)


def test_paper_rule_leaves_priced_answers_out(finished):
    for families, kept in zip(finished.families, finished.by_paper_rule, strict=True):
        ids = {one.id for one in kept}
        left_out = [one.id for family in families for one in family.episodes if one.id not in ids]
        assert left_out == [one.id for f in families if f.proposal for one in f.solves]


@pytest.mark.slow
def test_a_run_by_the_paper_rule(tmp_path):
    overrides = {"run.steps": 1, "play.proposals": 16} | PAPER
    observer = train(new_run(tmp_path, "paper", **overrides))
    assert any(line["tokens"]["trained"] < 1.0 for line in observer.steps)


def test_a_stop_in_mid_play_loses_nothing_and_resume_goes_on(tmp_path, model_name):
    run = new_run(tmp_path, "stopped", **{"run.steps": 3, "model.name": model_name})
    stop = threading.Event()
    observer = Recorder()
    observer.on_phase = lambda name: (
        stop.set() if name == "play" and len(observer.steps) == 1 else None
    )
    train(run, stop.is_set, observer)
    assert checkpoints(run) == [1]
    assert len(run.metrics.read_text().splitlines()) == 1

    again = RunFolder.resume(run.path)
    observer = train(again)
    assert [line["step"] for line in observer.steps] == [2, 3]
    steps = [json.loads(line)["step"] for line in again.metrics.read_text().splitlines()]
    assert steps == [1, 2, 3]


def test_metrics_after_the_checkpoint_are_cut_on_resume(tmp_path, model_name):
    """What a kill between two checkpoints leaves behind is made again, not kept twice."""
    run = new_run(tmp_path, "killed", **{"run.steps": 1, "model.name": model_name})
    (first,) = train(run).steps
    with closing(MetricsLog(run.metrics)) as log:
        log.append(first | {"step": 2})  # of which no checkpoint was written
    observer = train(RunFolder.resume(run.path, {"run.steps": 2}))
    assert [line["step"] for line in observer.steps] == [2]
    assert len(run.metrics.read_text().splitlines()) == 2


def test_13_equal_seeds_play_equal_steps(tmp_path, model_name):
    """On the engine that repeats a step: same answers, verdicts and rewards; another seed differs."""

    def texts(name, seed):
        overrides = {
            "model.name": model_name,
            "run.seed": seed,
            "run.steps": 1,
            "rollout.engine": "transformers",
            "seeding.tasks": 0,
            "rollout.max_new_tokens": 48,
        }
        run = new_run(tmp_path, name, **overrides)
        train(run)
        return [json.loads(line) for line in run.samples(1).read_text().splitlines()]

    first = texts("first", 1)
    assert first == texts("second", 1)
    assert first != texts("third", 2)
