"""Roles with weights of their own, phases that take turns, several steps on a batch: runs of a tiny
random model with its real engine and update."""

import json
import sqlite3
from contextlib import closing

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from azr_fast.rollout.parity import ParityError, mean_gap
from azr_fast.selfplay.lessons import lesson
from azr_fast.types import Role

from .length_game import LengthGame

APART = {"roles.proposer": "separate", "roles.solver": "separate"}
LORA = {"roles.proposer": "lora", "lora.rank": 4, "update.lr": 1e-2}
# Proposer steps 1 and 2, a pool in 3, solver steps 4 and 5; then once more.
TURNS = {
    "schedule.name": "alternate", "schedule.iterations": 2, "schedule.proposer_steps": 2,
    "schedule.pool_steps": 1, "schedule.pool_proposals": 6, "schedule.solver_steps": 2,
    "schedule.band_low": 0.0, "schedule.band_high": 1.0, "run.steps": 9, "play.solve_samples": 4,
}  # fmt: skip
STEPS_OF = {Role.PROPOSER: {1, 2, 6, 7}, Role.SOLVER: {4, 5, 9}}


def lines(trainer):
    return [json.loads(line) for line in trainer.run.metrics.read_text().splitlines()]


def tables(trainer):
    with closing(sqlite3.connect(trainer.run.tasks)) as db:
        names = ("tasks", "solves", "pools")
        return [db.execute(f"SELECT * FROM {name} ORDER BY id").fetchall() for name in names]


def weights(trainer, role):
    policy = trainer.policies.of_role[role]
    return {name: weight.clone() for name, weight in policy.named_weights()}


def same(one, other):
    return all(torch.equal(weight, other[name]) for name, weight in one.items())


def after_each_step(trainer, look):
    report = trainer.report

    def reported(phase, record, *rest):
        look(record.step)
        return report(phase, record, *rest)

    trainer.report = reported


@pytest.mark.parametrize("own", [APART, LORA], ids=["separate", "lora"])
def test_each_role_speaks_and_learns_with_weights_of_its_own(play, own):
    """What was sampled has the log-probs of the role's own policy, and not those of the other."""
    others = []

    def prepare(trainer):
        credit = trainer.learner.credit

        def look(phase, batch):
            credit(phase, batch)
            proposals = [lesson(one, 1.0) for one in batch if one.role is Role.PROPOSER]
            others.append(mean_gap(trainer.policies.of_role[Role.SOLVER], proposals)[0])

        trainer.learner.credit = look

    trainer, raised = play(prepare=prepare, **own)
    assert raised is None
    for line in lines(trainer):
        assert line["updates"].keys() == {"proposer", "solver"}
        for update in line["updates"].values():
            assert update["moved"]
            assert update["logprob_gap"] < 1e-4
    assert others[0] < 1e-4  # both begin as the base model
    assert min(others[1:]) > 1e-2
    assert not same(weights(trainer, Role.PROPOSER), weights(trainer, Role.SOLVER))


def test_roles_that_share_weights_learn_in_one_update(play):
    trainer, _ = play(**{"run.steps": 1})
    (line,) = lines(trainer)
    assert line["updates"] == {"proposer+solver": line["update"]}
    assert line["phase"] == {"name": "joint"}
    assert trainer.policies.shared


@pytest.mark.parametrize("liar", list(Role))
def test_no_policy_moves_when_what_one_role_said_is_not_its_own(play, liar):
    def prepare(trainer):
        sync = trainer.player.sync

        def lie(role):
            sync(role)
            trainer.engine.lie = 0.5 if role is liar else 0.0

        trainer.player.sync = lie

    trainer, raised = play(prepare=prepare, **APART)
    assert isinstance(raised, ParityError)
    assert any("playing step 1 again" in note for note in trainer.observer.notes)
    assert trainer.policies.moves() == [0, 0]
    assert same(weights(trainer, Role.PROPOSER), weights(trainer, Role.SOLVER))
    assert lines(trainer) == []


def test_a_checkpoint_holds_both_models_and_the_solver_is_its_product(play):
    trainer, _ = play(**APART, **{"run.steps": 2})
    folder = trainer.run.checkpoint(2)
    for role, place in ((Role.SOLVER, "model"), (Role.PROPOSER, "proposer/model")):
        saved = AutoModelForCausalLM.from_pretrained(folder / place)
        assert same(dict(saved.named_parameters()), weights(trainer, role))


def test_a_checkpoint_holds_the_adapters_alone(play, files):
    """Adapters are written as peft writes them; the solver's is the run's product."""
    trainer, raised = play(**LORA, **{"run.steps": 2})
    assert raised is None
    folder = trainer.run.checkpoint(2)
    for role, place in ((Role.SOLVER, "adapter"), (Role.PROPOSER, "proposer/adapter")):
        assert sorted(path.name for path in (folder / place).iterdir()) == [
            "adapter_config.json", "adapter_model.safetensors"
        ]  # fmt: skip
        settings = json.loads((folder / place / "adapter_config.json").read_text())
        assert (settings["peft_type"], settings["r"], settings["lora_alpha"]) == ("LORA", 4, 32.0)
        saved = load_file(folder / place / "adapter_model.safetensors")
        merged = dict(AutoModelForCausalLM.from_pretrained(files.folder).named_parameters())
        for layer in {name.rpartition(".lora_")[0] for name in saved}:
            a, b = (saved[f"{layer}.lora_{one}.weight"] for one in "AB")
            merged[f"{layer.removeprefix('base_model.model.')}.weight"].data += 8.0 * (b @ a)
        for name, weight in weights(trainer, role).items():
            if name in merged:
                torch.testing.assert_close(weight, merged[name].data)
    assert not list(folder.rglob("model"))


def whole_and_resumed(play, keys, stop_after):
    """A run that went through, and one that was stopped after some steps and resumed."""
    whole, _ = play(**keys, **{"run.name": "whole"})

    def stopping(trainer):
        trainer.should_stop = lambda: trainer.done >= stop_after

    play(prepare=stopping, **keys)
    again, raised = play(resume=True, **keys)
    assert raised is None
    return whole, again


def test_adapters_go_on_from_a_checkpoint_to_the_same_end(play):
    whole, again = whole_and_resumed(play, LORA | {"run.steps": 3}, stop_after=1)
    assert (again.done, again.policies.moves()) == (3, [3, 3])
    for role in Role:
        assert same(weights(again, role), weights(whole, role))


def test_both_roles_may_have_one_adapter(play):
    trainer, raised = play(**LORA, **{"roles.same_adapter": True, "run.steps": 2})
    assert raised is None
    assert trainer.policies.shared
    assert [line["updates"].keys() for line in lines(trainer)] == [{"proposer+solver"}] * 2
    assert all(line["update"]["moved"] for line in lines(trainer))
    assert max(line["update"]["logprob_gap"] for line in lines(trainer)) < 1e-4


def test_an_engine_that_dies_gets_base_and_adapter_again(play):
    deaths = []

    def prepare(trainer):
        begin = trainer.announce

        def dying(phase):
            trainer.engine.dies = trainer.done == 2 and not deaths
            deaths.extend([trainer.done] * trainer.engine.dies)
            begin(phase)

        trainer.announce = dying
        mend = trainer.mend

        def mending(failure):
            trainer.engine.dies = False
            mend(failure)

        trainer.mend = mending

    keys = LORA | {"run.steps": 4, "run.checkpoint_every": 1}
    whole, _ = play(**keys, **{"run.name": "whole"})
    again, raised = play(prepare=prepare, **keys)
    assert raised is None
    assert deaths == [2]
    for role in Role:
        assert same(weights(again, role), weights(whole, role))


def test_adapters_are_pulled_to_their_base(play):
    trainer, raised = play(**LORA, **{"update.kl": 0.1, "run.steps": 3})
    assert raised is None
    assert all(line["update"]["kl"] > 0 for line in lines(trainer)[1:])


@pytest.mark.parametrize("apart", [APART, {}])
def test_in_turns_each_role_learns_in_its_steps_alone(play, apart):
    seen = [None]

    def prepare(trainer):
        seen[0] = {role: weights(trainer, role) for role in Role}
        after_each_step(
            trainer, lambda step: seen.append({role: weights(trainer, role) for role in Role})
        )

    trainer, raised = play(prepare=prepare, **TURNS, **apart)
    assert raised is None
    for role in Role:
        steps = STEPS_OF[role] if apart else STEPS_OF[Role.PROPOSER] | STEPS_OF[Role.SOLVER]
        moved = {step for step in range(1, 10) if not same(seen[step][role], seen[step - 1][role])}
        assert moved == steps
    names = ["proposer"] * 2 + ["pool"] + ["solver"] * 2
    assert [line["phase"]["name"] for line in lines(trainer)] == (names * 2)[:9]
    assert [line["phase"]["iteration"] for line in lines(trainer)] == [1] * 5 + [2] * 4
    assert [line["update"] is None for line in lines(trainer)] == [
        step in (3, 8) for step in range(1, 10)
    ]
    for line in lines(trainer):
        assert line["update"] is None or line["update"]["logprob_gap"] < 1e-4


def test_the_solver_learns_from_the_pool_of_its_iteration(play):
    trainer, _ = play(**TURNS, **APART)
    tasks, _, pools = tables(trainer)
    keys = {row[0]: row[2] for row in tasks}
    chosen = [{keys[task] for _, pool, task, *_ in pools if pool == number} for number in (1, 2)]
    assert all(chosen)
    assert [line["phase"]["pool"]["even"] for line in lines(trainer)] == [
        *(0, 0, *[len(chosen[0])] * 3), *(0, 0, *[len(chosen[1])] * 2)
    ]  # fmt: skip
    for step in (4, 5, 9):
        groups = lines(trainer)[step - 1]["groups"]
        assert list(groups) == ["even/solver"]
        assert groups["even/solver"]["answers"] == 2 * 4  # play.solves, play.solve_samples each


@pytest.mark.slow
@pytest.mark.parametrize("own", [APART, LORA], ids=["separate", "lora"])
def test_a_run_that_stops_after_every_step_goes_on_to_the_same_end(play, own):
    """In the middle of each phase, and between phases."""
    whole, _ = play(**TURNS, **own, **{"run.name": "whole"})

    def one_step(trainer):
        steps = trainer.steps

        def stepping():
            first = trainer.done
            trainer.should_stop = lambda: trainer.done > first
            steps()

        trainer.steps = stepping

    again, _ = play(prepare=one_step, **TURNS, **own)
    for step in range(2, 10):
        assert again.done == step - 1
        again, raised = play(prepare=one_step, resume=True, **TURNS, **own)
        assert raised is None
    for role in Role:
        assert same(weights(again, role), weights(whole, role))
    assert tables(again) == tables(whole)
    for one, other in zip(lines(again), lines(whole), strict=True):
        for key in ("step", "phase", "groups", "proposals", "solver", "buffer"):
            assert one[key] == other[key]


class Unsure(LengthGame):
    """A game in which solvers never agree."""

    def rate(self, family):
        return 0.1


def test_a_pool_with_nothing_in_the_band_ends_no_run(play):
    keys = TURNS | {"schedule.solver_steps": 7, "schedule.band_low": 0.5, "run.steps": 20}
    trainer, raised = play(Unsure, **keys, **APART)
    assert raised is None
    assert trainer.done == 20
    assert trainer.policies.of_role[Role.SOLVER].steps == 0
    assert trainer.policies.of_role[Role.PROPOSER].steps == 4
    notes = [note for note in trainer.observer.notes if "no task of the pool" in note]
    assert len(notes) == 2
    assert "widen schedule.band_low" in notes[0]


def test_a_role_that_does_not_learn_stays_as_it_is(play):
    trainer, raised = play(**APART, **{"play.learners": "solver", "run.steps": 2})
    assert raised is None
    assert trainer.policies.of_role[Role.PROPOSER].steps == 0
    assert trainer.policies.of_role[Role.SOLVER].steps == 2
    assert [line["updates"].keys() for line in lines(trainer)] == [{"solver"}] * 2


SEVERAL = {
    "update.correction": "clip", "update.epochs": 2, "update.minibatches": 2, "update.kl": 0.1,
}  # fmt: skip


def test_several_steps_on_a_batch_and_a_pull_are_a_matter_of_the_config(play):
    trainer, raised = play(**SEVERAL, **{"run.steps": 3})
    assert raised is None
    assert trainer.policy.steps == 12
    first, *later = lines(trainer)
    assert all(line["update"]["kl"] > 0 for line in later)
    for line in (first, *later):
        assert line["update"]["logprob_gap"] < 1e-4
        assert line["tokens"]["left_out"] == 0


def test_several_steps_on_a_batch_are_the_same_after_a_stop(play):
    whole, again = whole_and_resumed(play, SEVERAL | {"run.steps": 4}, stop_after=2)
    assert same(weights(again, Role.SOLVER), weights(whole, Role.SOLVER))
