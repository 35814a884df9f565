"""What stops a run, and what a stopped run leaves: a tiny random model, its real engine and update, and
a game of lengths."""

import json
import math
import re
import sqlite3
import time
from contextlib import closing

import pytest
import torch

from azr_fast.errors import UserError
from azr_fast.policy.policy import Policy
from azr_fast.rollout.engine import EngineDied
from azr_fast.rollout.parity import ParityError
from azr_fast.selfplay.guard import FRUITLESS_STEPS

from .length_game import BrokenGame, DullGame, LengthGame, StubbornGame, ToollessGame


def saved(trainer):
    return sorted(int(p.name[5:]) for p in (trainer.run.path / "checkpoints").glob("step-*"))


def seeds(trainer):
    with closing(sqlite3.connect(trainer.run.tasks)) as db:
        return db.execute("SELECT kind, key FROM tasks WHERE step = 0 ORDER BY id").fetchall()


def lines(trainer):
    return [json.loads(line) for line in trainer.run.metrics.read_text().splitlines()]


def in_step(trainer, step, act):
    """Call `act` when `step` has its weights and begins to play."""
    play, sync, now = trainer.player.play, trainer.player.sync, []

    def look(phase, record):
        now[:] = [record.step]
        return play(phase, record)

    def synced(role):
        sync(role)
        if now == [step]:
            act()

    trainer.player.play, trainer.player.sync = look, synced


def test_engine_and_trainer_agree_in_every_step(play):
    trainer, raised = play()
    assert raised is None
    assert [line["step"] for line in lines(trainer)] == [1, 2, 3, 4, 5, 6]
    for line in lines(trainer):
        assert line["update"]["moved"]
        assert line["update"]["logprob_gap"] < 1e-4
        assert line["fruitless"] is None
    assert saved(trainer) == [6]


def test_one_alarm_syncs_and_plays_the_step_again(play):
    """A step whose samples were not the policy's is played once more; nothing of it stays."""

    def once(trainer):
        calls = []

        def lie():
            trainer.engine.lie = 0.0 if calls else 0.5
            calls.append(None)

        in_step(trainer, 3, lie)

    trainer, raised = play(prepare=once)
    assert raised is None
    (note,) = (text for text in trainer.observer.notes if "again" in text)
    assert "engine and trainer are 0.5 nats apart" in note
    assert "playing step 3 again" in note
    calm, _ = play(**{"run.name": "calm"})
    for name, weight in trainer.policy.named_weights():
        assert torch.equal(weight, dict(calm.policy.named_weights())[name])


def test_a_lasting_alarm_leaves_the_last_whole_step(play):
    def from_step_4(trainer):
        in_step(trainer, 4, lambda: setattr(trainer.engine, "lie", 0.5))

    trainer, raised = play(prepare=from_step_4)
    assert isinstance(raised, ParityError)
    assert "parity.max_gap" in str(raised)
    assert saved(trainer) == [3]
    assert [line["step"] for line in lines(trainer)] == [1, 2, 3]


def test_an_engine_that_dies_leaves_the_last_whole_step_and_resume_goes_on(play):
    def in_step_3(trainer):
        in_step(trainer, 3, lambda: setattr(trainer.engine, "dies", True))

    trainer, raised = play(prepare=in_step_3)
    assert isinstance(raised, EngineDied)
    assert saved(trainer) == [2]
    trainer, raised = play(resume=True)
    assert raised is None
    assert [line["step"] for line in lines(trainer)] == [1, 2, 3, 4, 5, 6]


def test_weights_that_do_not_arrive_are_sent_again_and_named(play):
    def deaf(trainer):
        in_step(trainer, 2, lambda: setattr(trainer.engine, "update_weights", lambda weights: None))

    trainer, raised = play(prepare=deaf)
    assert isinstance(raised, ParityError)
    assert "other weights than it was sent: lm_head.weight" in str(raised)
    assert saved(trainer) == [2]


@pytest.mark.parametrize("lr", [1e30, 1e4])
def test_a_run_whose_steps_would_ruin_the_model_stops_with_a_remedy(play, files, lr):
    trainer, raised = play(**{"update.lr": lr})
    assert isinstance(raised, UserError)
    assert "would ruin the model" in str(raised)
    assert str(raised).endswith("lower update.lr")
    assert [bool(line["update"]["skipped"]) for line in lines(trainer)] == [True] * FRUITLESS_STEPS
    untouched = Policy(files, trainer.config.model, trainer.config.update, 1.0)
    for name, weight in untouched.named_weights():  # also in the checkpoint that was written
        assert torch.equal(weight, dict(trainer.policy.named_weights())[name])


def ruin(model):
    dict(model.named_parameters())["model.norm.weight"].data.fill_(math.nan)


def test_a_ruined_model_is_not_saved_over_a_good_one(play):
    """Ruined in step 4 by what no preview saw; the good one is that of step 2."""

    def late(trainer):
        in_step(trainer, 4, lambda: ruin(trainer.policy._model))

    trainer, raised = play(prepare=late, **{"run.checkpoint_every": 2})
    assert isinstance(raised, UserError)
    assert "the model's numbers are not finite since step 3" in str(raised)
    assert f"--model.name {trainer.run.checkpoint(2)}/model" in str(raised)
    assert saved(trainer) == [2]


def test_a_ruined_engine_gets_the_weights_again(play):
    def late(trainer):
        ruined = []

        def once():
            if not ruined:
                ruin(trainer.engine._model)
                ruined.append(True)

        in_step(trainer, 3, once)

    trainer, raised = play(prepare=late)
    assert raised is None
    assert any("not finite" in note for note in trainer.observer.notes)
    assert saved(trainer) == [6]


def test_seeds_outlive_an_end_before_the_first_step(play):
    """A run that was stopped after its seeding goes on with the same seeds."""
    keys = {"seeding.tasks": 3, "seeding.proposals": 8, "seeding.batch": 4}

    def in_step_1(trainer):
        in_step(trainer, 1, lambda: setattr(trainer.engine, "dies", True))

    trainer, raised = play(prepare=in_step_1, **keys)
    assert isinstance(raised, EngineDied)
    assert saved(trainer) == [0]
    first = seeds(trainer)
    assert len(first) > 1

    def no_more(trainer):
        trainer.seed = None  # calling it would fail

    again, raised = play(prepare=no_more, resume=True)
    assert raised is None
    assert seeds(again) == first
    assert [line["step"] for line in lines(again)] == [1, 2, 3, 4, 5, 6]
    calm, _ = play(**keys, **{"run.name": "calm"})
    for name, weight in again.policy.named_weights():
        assert torch.equal(weight, dict(calm.policy.named_weights())[name])


def test_the_time_limit_counts_seeding(play):
    def slow_seeding(trainer):
        trainer.seed = lambda: time.sleep(0.2)

    trainer, raised = play(prepare=slow_seeding, **{"run.time_limit_minutes": 0.1 / 60})
    assert raised is None
    assert lines(trainer) == []


def test_a_model_that_is_ruined_after_the_last_step_is_not_saved_either(play):
    def at_the_end(trainer):
        watch = trainer.watch

        def look(phase, record, *rest):
            watch(phase, record, *rest)
            if record.step == 6:
                ruin(trainer.policy._model)

        trainer.watch = look

    trainer, raised = play(prepare=at_the_end, **{"run.checkpoint_every": 4})
    assert isinstance(raised, UserError)
    assert "the model's numbers are not finite since step 6" in str(raised)
    assert saved(trainer) == [4]


def test_a_task_names_the_updates_that_the_weights_of_its_proposer_had_seen(play):
    """Seeds have seen none; a step may be several updates, or none."""
    keys = {"update.correction": "clip", "update.epochs": 2, "run.steps": 3}
    trainer, _ = play(**keys, **{"seeding.tasks": 3, "seeding.proposals": 8, "seeding.batch": 4})
    with closing(sqlite3.connect(trainer.run.tasks)) as db:
        found = set(db.execute("SELECT step, version FROM tasks WHERE role = 'proposer'"))
    assert {(0, 0), (1, 0)} < found
    assert all(version == 2 * max(0, step - 1) for step, version in found)
    assert {step for step, _ in found} == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("game", "keys", "reason"),
    [
        (DullGame, {}, "no answer has an advantage"),
        (LengthGame, {"rollout.max_prompt_tokens": 3}, "longer than rollout.max_prompt_tokens"),
        (StubbornGame, {"rollout.max_new_tokens": 1}, "cut off at rollout.max_new_tokens"),
        (BrokenGame, {}, "episodes broke off, the first by ZeroDivisionError: a fault of the game"),
        (ToollessGame, {}, "episodes broke off, the first by no_tool"),
    ],
)
def test_steps_that_cannot_teach_are_said_and_stop_the_run(play, game, keys, reason):
    trainer, raised = play(game, **keys)
    assert isinstance(raised, UserError)
    assert f"{FRUITLESS_STEPS} steps in a row taught nothing" in str(raised)
    assert reason in str(raised)
    assert [reason in line["fruitless"] for line in lines(trainer)] == [True] * FRUITLESS_STEPS
    assert saved(trainer) == [FRUITLESS_STEPS]


def test_answers_that_are_cut_off_are_said_at_once(play):
    trainer, _ = play(**{"rollout.max_new_tokens": 1, "run.steps": 1})
    assert any(
        re.match(r"\d+ of \d+ answers were cut off at rollout.max_new_tokens", note)
        for note in trainer.observer.notes
    )
    calm, _ = play(DullGame, **{"run.name": "calm", "run.steps": 1})
    assert not any("cut off" in note for note in calm.observer.notes)


@pytest.mark.parametrize("reward", [math.nan, None])
def test_a_reward_that_is_no_number_is_the_mistake_of_the_game(play, reward):
    class Careless(LengthGame):
        def score(self, families):
            families[0].proposal.reward = reward

    _, raised = play(Careless)
    assert isinstance(raised, UserError)
    assert "(even, proposer) the reward" in str(raised)


def test_a_step_whose_line_was_not_written_is_not_saved(play):
    """No checkpoint holds a step that the metrics lack."""

    def in_step_3(trainer):
        write = trainer.journal.write

        def broken(record, *rest):
            if record.step == 3:
                raise RuntimeError("the disk")
            return write(record, *rest)

        trainer.journal.write = broken

    trainer, raised = play(prepare=in_step_3, **{"run.checkpoint_every": 2})
    assert str(raised) == "the disk"
    assert saved(trainer) == [2]
    again, raised = play(resume=True)
    assert raised is None
    assert [line["step"] for line in lines(again)] == [1, 2, 3, 4, 5, 6]


def test_a_fruitless_step_between_good_ones_is_no_reason_to_stop(play):
    def sometimes(trainer):
        credit = trainer.learner.credit

        def equal_rewards(phase, batch):
            credit(phase, batch)
            if trainer.done % 2:
                for one in batch:
                    one.advantage = 0.0

        trainer.learner.credit = equal_rewards

    trainer, raised = play(prepare=sometimes)
    assert raised is None
    assert [bool(line["fruitless"]) for line in lines(trainer)] == [False, True] * 3
