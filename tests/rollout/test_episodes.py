"""Episodes on a real engine (a tiny random model), with games of several tempers."""

import asyncio
import random
from contextlib import suppress

import pytest

from azr_fast.config.schema import ModelConfig, RolloutConfig
from azr_fast.errors import NotFinite
from azr_fast.policy.models import ModelFiles
from azr_fast.rollout.chat import turn_seed
from azr_fast.rollout.decoder import Decoder, Interrupted
from azr_fast.rollout.engine import EngineDied
from azr_fast.rollout.episodes import Episodes, checked
from azr_fast.rollout.load import load_renderer
from azr_fast.rollout.transformers_engine import TransformersEngine
from azr_fast.sandbox.client import SandboxLost
from azr_fast.types import Episode, Message, Role, Sampling, Status, Stop, Task, Verdict

OK = Verdict(Status.PASSED, "ok")


@pytest.fixture(scope="module")
def engine_and_renderer(tiny_chat_model):
    files = ModelFiles(tiny_chat_model, "tiny")
    renderer = load_renderer(files)
    rollout = RolloutConfig(max_prompt_tokens=128, max_new_tokens=8, concurrency=4)
    engine = TransformersEngine(rollout, files, renderer.stops, ModelConfig(dtype="float32"))
    yield engine, renderer
    engine.close()


@pytest.fixture
def play(engine_and_renderer):
    """Plays an episode for each of `texts`: the model is told the text, then `judge` is asked."""
    engine, renderer = engine_and_renderer

    def run(judge, texts="abcdefghi", seed="seed", should_stop=lambda: False):
        with asyncio.Runner() as runner:
            decoder = Decoder(engine, runner, should_stop)
            episodes = Episodes(decoder, renderer, Sampling(8), max_prompt_tokens=128)
            played = [Episode((i,), Role.SOLVER, "kind") for i in range(len(texts))]

            def speak(episode, text):
                async def conversation(chat):
                    await chat.say(Message("user", text))
                    return await judge(episode)

                return conversation

            async def everyone():
                episodes.open(*played)
                moves = (
                    episodes.play(one, seed, speak(one, text))
                    for one, text in zip(played, texts, strict=True)
                )
                await asyncio.gather(*moves)

            decoder.run(everyone())
        return played, decoder.stats

    return run


async def at_once(episode):
    return OK


async def some_time_later(episode):
    await asyncio.sleep(random.random() / 50)
    return OK


def test_what_is_sampled_does_not_depend_on_how_long_verdicts_take(play):
    first, _ = play(at_once)
    assert play(some_time_later)[0] == first
    assert play(at_once, seed="other")[0] != first


def test_an_episode_records_its_tokens_and_why_it_stopped(play):
    (one,), stats = play(at_once, "x")
    assert (stats.requested, stats.finished, stats.tokens) == (1, 1, one.length)
    assert len(one.token_ids) == len(one.sampled) == len(one.logprobs)
    assert one.prompt_ids + one.response_ids == tuple(one.token_ids)
    assert all(one.response_mask)
    assert len(one.sampled_logprobs) == one.length == len(one.response_ids)
    assert one.stops == [Stop.LENGTH if one.length == 8 else Stop.END]
    assert [message.role for message in one.messages] == ["user", "assistant"]


def test_15_an_over_long_prompt_is_a_failed_episode(play):
    played, stats = play(at_once, ["short", "word " * 500, "short too"])
    assert [one.verdict.code for one in played] == ["ok", "prompt_too_long", "ok"]
    assert stats.requested == 2


def test_07_one_slow_verdict_delays_no_other_of_its_batch(play):
    """The next batch waits for it, lest what is decoded together depend on it."""
    judged = []

    async def judge(episode):
        while episode.id == (0,) and len(judged) < 3:  # hangs until all others have their verdicts
            await asyncio.sleep(0.01)
        judged.append(episode.id)
        return OK

    play(judge, "abcd")
    assert judged[-1] == (0,)


def test_a_fault_of_the_game_ends_its_episode_alone(play):
    async def broken(episode):
        if episode.id == (2,):
            raise ZeroDivisionError("in the game")
        return OK

    played, _ = play(broken)
    failed = played.pop(2)
    assert failed.verdict == Verdict(Status.FAILED, "exception", "ZeroDivisionError: in the game")
    assert all(one.passed for one in played)


@pytest.mark.parametrize(
    "fault", [asyncio.CancelledError("a tool gave up"), SystemExit(3), TimeoutError("a tool")]
)
def test_whatever_a_game_raises_ends_its_episode_alone(play, fault):
    """What ends tasks or processes elsewhere is no exception by its class."""

    async def broken(episode):
        if episode.id == (2,):
            raise fault
        return OK

    played, _ = play(broken)
    failed = played.pop(2)
    told = f"{type(fault).__name__}: {fault}"
    assert failed.verdict == Verdict(Status.FAILED, "exception", told)
    assert all(one.passed for one in played)


@pytest.mark.parametrize("stubborn", [False, True])
def test_an_episode_that_hangs_is_broken_off(converse, stubborn):
    """One that never asks keeps the others from a batch; one hangs after its answer."""
    opened = []

    async def hanging(chat):
        opened.append(chat)
        if len(opened) == 1:
            await asyncio.Event().wait()
        await chat.say(Message("user", "a"))
        if len(opened) == 6 and chat is opened[2]:
            with suppress(asyncio.CancelledError if stubborn else ZeroDivisionError):
                await asyncio.Event().wait()
        return OK

    first, *others = converse(hanging, silence=0.2)
    told = "TimeoutError: nothing was heard of it for 0.2 s"
    assert first.verdict == Verdict(Status.FAILED, "exception", told)
    assert [one.verdict.evidence for one in others] == ["", "" if stubborn else told, "", "", ""]


@pytest.mark.parametrize(
    "fault", [SandboxLost("gone"), NotFinite(), EngineDied("scripted", ValueError())]
)
def test_what_ends_every_episode_is_raised_and_nothing_runs_on(play, engine_and_renderer, fault):
    judged = []

    async def broken(episode):
        if judged:
            await asyncio.sleep(60)
        judged.append(episode.id)
        raise fault

    with pytest.raises(type(fault)):
        play(broken)
    assert len(judged) == 1
    engine_and_renderer[0].cancel()
    assert play(at_once)[0][0].passed


def test_a_stop_interrupts_the_play(play):
    with pytest.raises(Interrupted):
        play(at_once, should_stop=lambda: True)


def test_a_stop_interrupts_a_wait_for_verdicts(play):
    asked = []

    async def never(episode):
        asked.append(episode)
        await asyncio.sleep(60)

    with pytest.raises(Interrupted):
        play(never, "a", should_stop=lambda: bool(asked))


def test_turn_seeds_differ_by_run_step_episode_and_turn():
    seeds = {
        turn_seed(f"{a}/{b}", (c, d), e)
        for a in range(3)
        for b in range(3)
        for c in range(3)
        for d in range(3)
        for e in range(3)
    }
    assert len(seeds) == 243
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.fixture
def converse(engine_and_renderer):
    """Plays `count` episodes of a coroutine over its chat; returns them."""
    engine, renderer = engine_and_renderer

    def run(speak, count=6, **keys):
        with asyncio.Runner() as runner:
            decoder = Decoder(engine, runner, **keys)
            episodes = Episodes(decoder, renderer, Sampling(8), max_prompt_tokens=128)
            played = [Episode((i,), Role.SOLVER, "kind") for i in range(count)]

            async def everyone():
                episodes.open(*played)
                await asyncio.gather(*(episodes.play(one, "seed", speak) for one in played))

            decoder.run(everyone())
        return played

    return run


def test_more_tokens_than_a_turn_may_have_fail_the_episode_alone(converse):
    async def greedy(chat):
        await chat.say(Message("user", "a"), sampling=Sampling(9))
        return OK

    assert {one.verdict.code for one in converse(greedy)} == {"exception"}


@pytest.mark.parametrize("seconds", [0.0, 0.002, 0.02])
def test_a_deadline_of_the_game_leaves_nothing_that_others_wait_for(converse, seconds):
    """Before the batch begins, while it is decoded, or not at all."""
    asked = []

    async def impatient(chat):
        asked.append(chat)
        if len(asked) % 2:
            with suppress(TimeoutError):
                await asyncio.wait_for(chat.say(Message("user", "a")), seconds)
        else:
            await chat.say(Message("user", "b"))
        return OK

    assert all(one.passed for one in converse(impatient))
    assert all(one.passed for one in converse(impatient))  # and the engine is free again


def test_an_answer_that_comes_as_its_conversation_is_cancelled_is_dropped(
    converse, engine_and_renderer, monkeypatch
):
    """A deadline may pass in the moment in which the engine ends."""
    engine, _ = engine_and_renderer
    asked, poll = [], engine.poll

    def late():
        done = poll()
        for saying in asked if done else ():
            saying.cancel()
        return done

    async def impatient(chat):
        asked.append(asyncio.ensure_future(chat.say(Message("user", "a"))))
        with suppress(asyncio.CancelledError):
            await asked[-1]
        return OK

    monkeypatch.setattr(engine, "poll", late)
    assert all(one.passed for one in converse(impatient))


def test_turns_at_another_temperature_are_seen_and_not_trained_on(converse):
    async def cold_then_usual(chat):
        await chat.say(Message("user", "a"), sampling=Sampling(4, temperature=0.0))
        await chat.say(Message("user", "b"))
        return OK

    for one in converse(cold_then_usual):
        assert one.passed
        assert len(one.stops) == 2
        last = one.token_ids[len(one.prompt_ids) :]
        assert one.length == len(last) <= 8
        assert sum(one.logprobs) == sum(one.sampled_logprobs)


@pytest.mark.parametrize(
    "verdict",
    [
        None,
        "ok",
        Verdict(Status.PASSED, None),
        Verdict(Status.PASSED, "ok"),  # of a proposal that poses nothing
        Verdict(Status.REJECTED, "no", task=Task("kind", "key", {})),
        Verdict(Status.PASSED, "ok", task=Task("kind", "key", {"a": {1}})),
        Verdict(Status.PASSED, "ok", task=Task("kind", "key", {"a": float("nan")})),
        Verdict("rejected", "no"),
        Verdict(Status.REJECTED, "no", evidence=ValueError("no")),
        Verdict(Status.PASSED, "ok", task="a task"),
        Verdict(Status.PASSED, "ok", task=Task("kind", ("k", 1), {})),
        Verdict(Status.PASSED, "ok", task=Task("kind", "\ud800", {})),
        Verdict(Status.PASSED, "ok", task=Task(None, "key", {})),
        Verdict(Status.PASSED, "ok", task=Task("kind", "key", [])),
        Verdict(Status.PASSED, "ok", task=Task("kind", "key", {}, parents=(Task("a", "b", {}),))),
        Verdict(Status.PASSED, "ok", task=Task("kind", "key", {}, order=None)),
    ],
)
def test_a_verdict_that_is_none_fails_the_episode_alone(verdict):
    with pytest.raises((TypeError, ValueError)):
        checked(verdict, Episode((0,), Role.PROPOSER, "kind"))


@pytest.mark.parametrize(
    "keys",
    [
        {"max_tokens": 0},
        {"temperature": -1.0},
        {"temperature": 1e-3},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"stop": ("a", "")},
    ],
)
def test_what_cannot_be_sampled_is_refused(keys):
    with pytest.raises(ValueError, match=r"max_tokens|temperature|top_p|stop string"):
        Sampling(**{"max_tokens": 5} | keys)
