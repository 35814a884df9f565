"""The compact form with a short thought before the answer."""

import asyncio
import tomllib
from importlib import resources

import pytest

from azr_fast.games.azr.thought import think_and_answer
from azr_fast.types import Message, Sampling, Source, Status

KINDS = ("deduction", "abduction", "induction", "error_deduction")


class ThinkingChat:
    """A `Chat` whose model says one text for each time that it is sampled. A text that ends in …
    was cut off at the token limit."""

    def __init__(self, *texts, max_tokens=500):
        self.sampling = Sampling(max_tokens)
        self.truncated, self.turn, self.asked, self.messages = False, "", [], ()
        self._texts = list(texts)

    async def say(self, *messages, prefill="", sampling=None):
        self.messages = messages
        return self._sample(prefill, sampling)

    async def resume(self, text, *, sampling=None):
        return self._sample(text, sampling)

    def _sample(self, given, sampling):
        self.asked.append((given, sampling or self.sampling))
        said = self._texts.pop(0)
        self.truncated = said.endswith("…")
        self.turn += given + said
        return self.turn


def think(*texts, tokens=96, max_tokens=500):
    chat = ThinkingChat(*texts, max_tokens=max_tokens)
    message = Message("user", "?")
    answer = asyncio.run(think_and_answer(chat, (message,), "```output\n", tokens))
    return chat, answer


def test_a_thought_has_its_own_limit_and_the_answer_begins_in_its_fence():
    chat, answer = think("It is 7.</think>", "7\n```")
    assert answer == "<think>\nIt is 7.</think>\n```output\n7\n```"
    (_, thought), (fence, reply) = chat.asked
    assert (thought.max_tokens, thought.stop) == (96, ("</think>",))
    assert (fence, reply.max_tokens, reply.stop) == ("\n```output\n", 500, ())
    # Both are sampled as the trainer's log-probs are.
    assert (thought.temperature, thought.top_p) == (reply.temperature, reply.top_p)


def test_a_thought_that_is_cut_off_is_closed():
    chat, answer = think("On and on…", "7\n```")
    assert answer == "<think>\nOn and on…\n</think>\n```output\n7\n```"
    assert not chat.truncated


def test_a_model_that_ends_its_turn_within_the_thought_has_answered():
    chat, answer = think("I give up.")
    assert answer == "<think>\nI give up."
    assert len(chat.asked) == 1


def test_a_thought_is_no_longer_than_an_answer_may_be():
    chat, _ = think("</think>", "7\n```", tokens=96, max_tokens=40)
    assert chat.asked[0][1].max_tokens == 40


def run(player, coroutine):
    return player.runner.run(coroutine)


@pytest.fixture
def thinker(make_player):
    return make_player(prompts="compact_thought", pairs=4, kinds=KINDS, thought_tokens=64)


@pytest.mark.parametrize("kind", ["deduction", "abduction", "error_deduction"])
def test_a_proposal_is_thought_of_and_posed(thinker, kind):
    chat = ThinkingChat("```python\ndef f(x):\n    return 0\n```\nNo.</think>", "5\n```python\ndef f(x):\n    return x * 3\n```")  # fmt: skip
    verdict = run(thinker, thinker.game.propose(Source(kind), chat))
    assert verdict.code == "ok"
    assert verdict.task.payload["program"] == "def f(x):\n    return x * 3"
    assert chat.asked[0][1].max_tokens == 64


def test_solvers_think_too_and_what_is_thought_is_no_answer(thinker, play):
    task = play.triplet("deduction", "def f(x):\n    return x * 3", "5", "15")
    right = ThinkingChat("```output\n14\n```? No.</think>", "15\n```")
    assert run(thinker, thinker.game.solve(task, right)).status is Status.PASSED
    wrong = ThinkingChat("```output\n15\n```</think>", "14\n```")
    assert run(thinker, thinker.game.solve(task, wrong)).status is Status.WRONG
    cut = ThinkingChat("So it is 15.</think>", "15\n```\nand on…")
    assert run(thinker, thinker.game.solve(task, cut)).code == "truncated"


def test_induction_is_played_through(thinker, play):
    about = play.triplet("deduction", "def f(x):\n    return x * 3", "5", "15")
    chat = ThinkingChat("Small and large.</think>", "1\n2\n'a'\n```message\nThrice.\n```")
    verdict = run(thinker, thinker.game.propose(Source("induction", (about,)), chat))
    assert verdict.code == "ok"
    assert [one for one, _ in verdict.task.payload["pairs"]] == ["5", "1", "2", "'a'"]
    solution = ThinkingChat("Times three.</think>", "x):\n    return x * 3\n```")
    assert run(thinker, thinker.game.solve(verdict.task, solution)).status is Status.PASSED


def test_worked_examples_think_and_references_are_listed(thinker, play):
    known = play.triplet("deduction", "def f(okapi):\n    return okapi * 3", "517", "1551")
    chat = thinker.proposal_prompt(Source("deduction", (known,)))
    *before, request = chat.messages
    assert [message.role for message in before] == ["user", "assistant"]
    assert before[1].content.startswith("<think>\n")
    assert "okapi" in request.content
    assert "517" in request.content
    for message in thinker.solve_prompt(known).messages:
        assert (message.role == "assistant") == message.content.startswith("<think>\n")


def test_there_is_a_thought_for_every_worked_example():
    folder = resources.files("azr_fast.games.azr") / "templates"
    words, thoughts = (
        tomllib.loads((folder / f"{name}.toml").read_text()) for name in ("compact", "thoughts")
    )
    for kind, told in thoughts.items():
        one = [words[kind]["example"]] if "example" in words[kind] else None
        examples = one or words[kind].get("examples", words["solved"])
        assert len(told) == (2 if kind == "induction_proposal" else len(examples))
        assert all(len(thought.split()) < 64 for thought in told)


def test_the_compact_form_is_as_it_was(make_player, play):
    """The form without thoughts has no trace of them."""
    player = make_player(prompts="compact")
    known = play.triplet("deduction", "def f(okapi):\n    return okapi * 3", "517", "1551")
    chat = player.proposal_prompt(Source("deduction", (known,)))
    assert [m.role for m in chat.messages] == ["user", "assistant"] * 2 + ["user"]
    assert chat.prefill == "```input\n"
    assert "think" not in chat.told() + player.solve_prompt(known).told()
