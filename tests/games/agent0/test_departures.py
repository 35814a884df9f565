"""The nine places where Agent0's released code departs from its paper, kept out of ours.

Departures 8 and 9 are looked at in whole runs, in test_run.py.
"""

import pytest
import torch

from azr_fast.algorithms import check_groups, open_algorithm
from azr_fast.config.load import load_config
from azr_fast.errors import UserError
from azr_fast.games.agent0.questions import read
from azr_fast.policy.objective import objective
from azr_fast.policy.packing import make_packs
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.selfplay.lessons import lessons
from azr_fast.types import Episode, Role

from .conftest import ScriptedChat, family, no_question, question

CPU = "agent0-cpu"


def test_departure_1_calls_are_counted_in_the_executors_conversations(table):
    """The released code counts fences of output in what the curriculum agent itself writes."""
    game = table(reward__tool=0.5, reward__repetition=0.0)
    fenced = "<question>Add.</question>\\boxed{1}\n```output\n1\n```\n" * 4
    assert game.propose(fenced).facts == {}
    idle, busy = (
        family(["1", "1"], calls=[0, 0], place=0),
        family(["1", "1"], calls=[2, 2], place=1),
    )
    game.game.score([idle, busy])
    assert (idle.proposal.reward, busy.proposal.reward) == (0.0, 0.25)
    chat = ScriptedChat("```python\nprint(1)\n```\n", r"\boxed{1}")
    assert game.solve(chat=chat).facts["calls"] == 1


def test_departure_2_an_answer_is_the_whole_content_of_its_box(table):
    """The released code takes the last character: "42" becomes "2"."""
    rules = load_config(CPU, {"game.programs": False}).game
    assert read(r"<question>x?</question>\boxed{42}", rules).answer == "42"
    assert table().solve(r"\boxed{\frac{1}{42}}").answer == r"\frac{1}{42}"
    one = family(["42", "42", "12", "2"])
    table().game.score([one])
    assert one.proposal.facts["agreement"] == 0.5


def test_departure_3_the_setters_own_answer_is_no_gate(table):
    """The released code pays nothing where the majority differs from the setter's answer."""
    game = table(reward__repetition=0.0).game
    agrees, differs = family(["42", "42", "1", "2"], place=0), family(["7", "7", "1", "2"], place=1)
    assert agrees.task.payload["setter"] == differs.task.payload["setter"] == "42"
    game.score([agrees, differs])
    assert agrees.proposal.reward == differs.proposal.reward == 1.0
    assert game.verification()["setter_agrees"] == 0.5  # it is measured


def test_departure_4_uncertainty_has_full_scale_and_no_answer_is_no_vote(table):
    """The released code has min(p, 1 - p), -1 for a bad form, sums below 0 and votes of "None"."""
    game = table(reward__tool=0.0, reward__repetition=0.0).game
    half, silent, lone = family(["1", "2"]), family([None] * 4), family([None, None, None, "3"])
    unread = no_question()
    game.score([half, silent, lone, unread])
    assert [one.proposal.reward for one in (half, silent, lone, unread)] == [1.0, 0.0, 0.5, 0.0]
    assert silent.proposal.facts["label"] is None
    assert lone.proposal.facts["label"] == "3"
    punished = table(reward__tool=0.0, reward__repetition=9.0).game
    punished.score([half])
    assert half.proposal.reward == 0.0


def solution(rate, reward, place):
    task = question(answer="1", key=f"k{rate}", rate=rate)
    return Episode(
        (place,), Role.SOLVER, "question", task=task, token_ids=[1, 2], sampled=[False, True],
        logprobs=[0.0, -1.0], reward=reward,
    )  # fmt: skip


def test_departure_5_the_dynamic_clip_reaches_the_loss():
    """The released script sets a key that its trainer does not read."""
    config = load_config(CPU)
    batch = [solution(0.3, 1.0, 0), solution(0.3, 0.0, 1), solution(0.8, 1.0, 2)]
    algorithm = open_algorithm(config.advantage)
    for one, advantage in zip(batch, algorithm.advantages(batch), strict=True):
        one.advantage = advantage
    taught = lessons(batch, algorithm, config, step=1)
    assert [one.clip_high for one in taught] == pytest.approx([0.3, 0.3, 0.2])
    (pack,) = make_packs(taught, 100)
    highs = objective(pack, taught, config.update, torch.device("cpu")).high
    by_owner = dict(zip(pack.owners_N.tolist(), highs.tolist(), strict=True))
    assert by_owner == {0: pytest.approx(0.3), 1: pytest.approx(0.3), 2: pytest.approx(0.2)}


@pytest.mark.parametrize("keys", [{"update.minibatches": 1}, {"update.correction": "truncate"}])
def test_departure_5_a_clip_that_could_not_act_is_refused(keys):
    with pytest.raises(UserError, match=r"no ratio is ever clipped"):
        check_groups(load_config(CPU, keys), siblings=4)


def test_departure_6_the_estimator_knows_how_many_agreed(tmp_path):
    """The first release did not pass p on. Here it lies in the pool, also of a resumed run."""
    store = TaskBuffer(tmp_path / "tasks.db", 100)
    store.add(question(key="k"), 1)
    store.choose(question(key="k", answer="9", rate=0.55), 1)
    store.watermark()
    store.close()
    store = TaskBuffer(tmp_path / "tasks.db", 100)
    (task,) = store.pool("question", 1)
    store.close()
    assert (task.rate, task.payload["answer"]) == (0.55, "9")
    batch = [solution(task.rate, 1.0, 0), solution(task.rate, 0.0, 1)]
    algorithm = open_algorithm(load_config(CPU).advantage)
    assert algorithm.advantages(batch) == pytest.approx([0.8, -0.8])
    assert algorithm.upper_clips(batch, 0.2) == pytest.approx([0.25, 0.25])


def test_departure_7_the_pool_is_labelled_by_executors_with_their_tool(table):
    """The released code labels without tools: p and the label are those of another policy."""
    for task in (question(), question(answer="42", rate=0.5)):
        chat = ScriptedChat("```python\nprint(6 * 7)\n```\n", r"\boxed{42}")
        assert table().solve(task=task, chat=chat).facts["calls"] == 1
        assert "42" in chat.told[-1]
