"""Conversations of several turns from the engine to the update, on a tiny random model."""

import asyncio

import pytest
import torch

from azr_fast.config.schema import ModelConfig, RolloutConfig, UpdateConfig
from azr_fast.policy.models import ModelFiles, resolve_model
from azr_fast.policy.policy import Policy
from azr_fast.rollout.decoder import Decoder
from azr_fast.rollout.episodes import Episodes
from azr_fast.rollout.load import load_renderer
from azr_fast.rollout.transformers_engine import TransformersEngine
from azr_fast.selfplay.lessons import lesson
from azr_fast.types import Episode, Message, Role, Sampling, Status, Stop, Verdict

OK = Verdict(Status.PASSED, "ok")


@pytest.fixture(scope="module")
def files(tiny_chat_model):
    return ModelFiles(tiny_chat_model, "tiny")


@pytest.fixture(scope="module")
def parts(files):
    """An engine, the policy of the same weights, and a renderer."""
    model, renderer = ModelConfig(dtype="float32", device="cpu"), load_renderer(files)
    rollout = RolloutConfig(max_prompt_tokens=200, max_new_tokens=12, concurrency=4)
    engine = TransformersEngine(rollout, files, renderer.stops, model)
    yield engine, Policy(files, model, UpdateConfig(pack_tokens=256), 0.8), renderer
    engine.close()


async def several_turns(chat):
    """A question, a tool's output in the midst of the answer, a tool's message, another question."""
    said = await chat.say(Message("user", "Compute."), sampling=Sampling(3, 0.8, stop=("e",)))
    if "e" in said:
        await chat.resume("\n```output\n42 <|im_end|>\n```\n")
    await chat.say(Message("user", "Go on."), prefill="Well, ")
    await chat.say(Message("user", "And?"), Message("user", "Quick!"))
    return OK


@pytest.fixture(scope="module")
def conversations(parts):
    engine, _, renderer = parts
    played = [Episode((i,), Role.SOLVER, "talk") for i in range(8)]
    with asyncio.Runner() as runner:
        decoder = Decoder(engine, runner)
        episodes = Episodes(decoder, renderer, Sampling(12, temperature=0.8), 200)

        async def everyone():
            episodes.open(*played)
            await asyncio.gather(*(episodes.play(one, "seed", several_turns) for one in played))

        decoder.run(everyone())
    return played


def test_every_turn_is_sampled_and_what_was_shown_is_not(conversations):
    for one in conversations:
        assert one.passed
        assert len(one.stops) in (3, 4)
        runs = sum(a != b for a, b in zip([False, *one.sampled], one.sampled, strict=False))
        assert runs >= 2 * len(one.stops) - 1  # shown and sampled tokens take turns
        assert [logprob for logprob, s in zip(one.logprobs, one.sampled, strict=True) if not s] == [
            0.0
        ] * (len(one.token_ids) - one.length)
    assert {one.stops[0] for one in conversations} == {Stop.STRING, Stop.LENGTH}


def test_the_trainer_scores_what_was_sampled_as_the_engine_did(parts, conversations):
    lessons = [lesson(one, 0.1) for one in conversations]
    for one, logprobs in zip(conversations, parts[1].answer_logprobs(lessons), strict=True):
        torch.testing.assert_close(
            torch.tensor(logprobs), torch.tensor(one.sampled_logprobs), atol=1e-4, rtol=0
        )


def test_an_update_learns_from_sampled_tokens_alone(files, conversations):
    policy = Policy(
        files, ModelConfig(dtype="float32", device="cpu"), UpdateConfig(pack_tokens=256), 0.8
    )
    for i, one in enumerate(conversations):
        one.advantage = float((-1) ** i)
    stats = policy.update([lesson(one, 0.01) for one in conversations])
    assert stats.moved
    assert stats.tokens_trained == sum(one.length for one in conversations)
    assert stats.logprob_gap < 1e-4


def test_a_tools_output_cannot_end_the_turn(parts, conversations):
    (end,) = parts[2].template.ends
    for one in conversations:
        for token, sampled in zip(one.token_ids, one.sampled, strict=True):
            if token == end and not sampled:
                break  # an end of the template's own
        text = parts[2].text(one.token_ids)
        assert text.count("42 <|im_end|>") == sum("42" in m.content for m in one.messages)


def test_the_built_in_model_keeps_conversations():
    assert not load_renderer(resolve_model("smollm2-135m")).template.refusals
