"""The whole loop with the real model, engine and sandbox, a couple of steps long."""

import json
import threading
from contextlib import closing

import pytest

from azr_fast.config.load import load_config
from azr_fast.observe.metrics import MetricsLog
from azr_fast.observe.runfolder import RunFolder
from azr_fast.session import open_trainer

SMALL = {
    "run.steps": 2,
    "run.checkpoint_every": 1,
    "play.proposals": 4,
    "play.solves": 2,
    "play.price_samples": 2,
    "seeding.tasks": 2,
    "seeding.seconds": 1.0,
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


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run = new_run(tmp_path_factory.mktemp("runs"), "finished")
    return run, train(run)


def test_two_steps_leave_a_whole_run_folder(finished):
    run, observer = finished
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    assert lines == json.loads(json.dumps(observer.steps))
    assert checkpoints(run) == [1, 2]
    assert load_config(run.path / "config.toml") == run.config
    samples = [json.loads(line) for line in run.samples(2).read_text().splitlines()]
    assert {one["role"] for one in samples} >= {"proposer"}
    for line in lines:
        groups = line["groups"]
        assert {name for name in groups if name.endswith("/proposer")} == {
            f"{kind}/proposer" for kind in run.config.game.kinds
        }
        assert sum(groups[f"{kind}/proposer"]["answers"] for kind in run.config.game.kinds) == 12
        verification = line["verification"]
        assert verification.keys() == {"programs", "rewound", "fell_back"}
        if line["proposals"]["well_formed"]:
            assert verification["programs"] > 0
            assert 0.0 <= verification["rewound"] <= 1.0


def test_weights_move_and_the_engine_follows(finished):
    run, observer = finished
    before, after = weights(run, 1), weights(run, 2)
    assert any((before[name] != after[name]).any() for name in before)
    for line in observer.steps:
        assert line["parity"]["mean"] < 0.12  # rounding gives 0.05, the probe stops at its double
        assert line["update"]["grad_norm"] > 0


def test_09_no_well_formed_answer_is_thrown_away(finished):
    _, observer = finished
    assert all(line["tokens"]["trained"] == 1.0 for line in observer.steps)


def test_10_the_solver_trains_on_the_proposals_of_its_own_step(tmp_path):
    """Priced answers belong to tasks that were posed in the same step and to no other."""
    run = new_run(tmp_path, "own", **{"run.steps": 1, "play.proposals": 16})
    seen = []

    def look(trainer):
        play = trainer.play

        def spy(step):
            answers = play(step)
            seen.append(answers)
            return answers

        trainer.play = spy

    observer = Recorder()
    with open_trainer(run.config, run, observer, lambda: False) as trainer:
        look(trainer)
        trainer.train()
    run.close()
    priced = 0
    for answers in seen:
        by_request = {one.answer.request: one for one in answers}
        for one in answers:
            if len(one.answer.request) == 2:
                parent = by_request[one.answer.request[:1]]
                assert one.answer.prompt.task == parent.judgement.task
                priced += 1
    assert priced, "no proposal was valid: the test saw nothing"


def test_paper_rule_leaves_priced_answers_out(tmp_path):
    overrides = {"run.steps": 1, "play.proposals": 16, "play.train_on_priced_answers": False}
    run = new_run(tmp_path, "paper", **overrides)
    observer = train(run)
    assert any(line["tokens"]["trained"] < 1.0 for line in observer.steps)


def test_a_stop_in_mid_play_loses_nothing_and_resume_goes_on(tmp_path):
    run = new_run(tmp_path, "stopped", **{"run.steps": 3})
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


def test_metrics_after_the_checkpoint_are_cut_on_resume(tmp_path, finished):
    """What a kill between two checkpoints leaves behind is made again, not kept twice."""
    run = new_run(tmp_path, "killed", **{"run.steps": 1})
    train(run)
    with closing(MetricsLog(run.metrics)) as log:
        log.append(finished[1].steps[1])  # step 2, whose checkpoint was never written
    observer = train(RunFolder.resume(run.path, {"run.steps": 2}))
    assert [line["step"] for line in observer.steps] == [2]
    assert len(run.metrics.read_text().splitlines()) == 2


def test_13_equal_seeds_play_equal_steps(tmp_path):
    """On the engine that repeats a step: same answers, verdicts and rewards; another seed differs."""

    def texts(name, seed):
        overrides = {
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
