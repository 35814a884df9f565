"""Executors' conversations from a scripted engine to gradients: outputs are seen and not learnt."""

import asyncio
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM

from azr_fast.config.load import load_config
from azr_fast.config.schema import ModelConfig, UpdateConfig
from azr_fast.games.agent0.game import open_agent0
from azr_fast.policy.models import ModelFiles
from azr_fast.policy.policy import Policy
from azr_fast.rollout.decoder import Decoder
from azr_fast.rollout.episodes import Episodes
from azr_fast.rollout.load import load_renderer
from azr_fast.sandbox.client import AsyncClient
from azr_fast.selfplay.lessons import lesson
from azr_fast.types import Episode, Role, Sampling

from .conftest import question
from .scripted import ScriptedEngine

MODEL = ModelConfig(dtype="float32", device="cpu")
OUTPUTS = ("42\n", "7\n")


def script(prompt, place):
    """One program, then an answer; every second conversation ends its turn with the program."""
    (number, turn) = place
    if turn == -1:
        block = f"Compute.\n```python\nprint({OUTPUTS[number // 2].strip()})\n```"
        return block + ("\n" if number % 2 else "")
    return rf"So \boxed{{{number}}}."


@pytest.fixture(scope="module")
def files(tiny_chat_model):
    return ModelFiles(tiny_chat_model, "tiny")


@pytest.fixture(scope="module")
def played(files, client):
    """Four conversations of two turns, of real tokens."""
    config = load_config("agent0-cpu", {"game.programs": False, "model.dtype": "float32"})
    renderer = load_renderer(files)
    engine = ScriptedEngine(config.rollout, files, renderer, MODEL, script)
    episodes_ = [Episode((i,), Role.SOLVER, "question", task=question()) for i in range(4)]
    with asyncio.Runner() as runner:
        programs = AsyncClient(client.path, client.limits)
        game = open_agent0(config, client, programs)
        episodes = Episodes(Decoder(engine, runner), renderer, Sampling(60), 1280)

        def talk(one):
            return episodes.play(one, "seed", lambda chat: game.solve(one.task, chat))

        async def everyone():
            episodes.open(*episodes_)
            await asyncio.gather(*map(talk, episodes_))
            await programs.close()

        episodes.decoder.run(everyone())
    for place, one in enumerate(episodes_):
        one.advantage = (-1.0) ** place * (place + 1)
    return renderer, episodes_


def plain_gradients(files, batch):
    """By torch autograd, one conversation at a time."""
    model = AutoModelForCausalLM.from_pretrained(files.folder, dtype=torch.float32)
    for one in batch:
        ids_T = torch.tensor(one.prompt_ids + one.response_ids)
        logp_TV = torch.log_softmax(model(ids_T[None, :-1]).logits[0], -1)
        logp_T = logp_TV.gather(1, ids_T[1:, None])[:, 0]
        mask_T = torch.tensor([False] * (len(one.prompt_ids) - 1) + list(one.sampled))
        (-one.weight * one.advantage * logp_T[mask_T].sum()).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def gradients(files, batch):
    """What enters the optimizer."""
    policy = Policy(files, MODEL, UpdateConfig(entropy=0.0, pack_tokens=1024), 1.0)
    seen = {}

    def keep(stats):
        for name, parameter in policy._model.named_parameters():
            seen[name] = policy._optimizer.gradient(parameter).clone()

    policy.update(batch, accept=keep)
    return seen


def test_outputs_stand_in_the_tokens_and_are_not_sampled(played):
    renderer, episodes = played
    for number, one in enumerate(episodes):
        assert one.verdict.answer == str(number)
        assert one.verdict.facts == {"calls": 1, "call_errors": 0}
        sampled = [t for t, s in zip(one.token_ids, one.sampled, strict=True) if s]
        assert f"```output\n{OUTPUTS[number // 2]}```" in renderer.text(one.token_ids)
        assert "```output" not in renderer.text(sampled)
        assert "print(" in renderer.text(sampled)
        assert r"\boxed{" in renderer.text(sampled)


def test_gradients_of_conversations_with_outputs_equal_plain_torch(files, played):
    batch = [lesson(one, 0.01) for one in played[1]]
    expected = plain_gradients(files, batch)
    for name, gradient in gradients(files, batch).items():
        torch.testing.assert_close(gradient, expected[name], atol=2e-6, rtol=2e-5)


def test_an_output_after_which_nothing_is_said_changes_no_gradient(files, played):
    """Only as what later tokens are conditioned on does an output matter."""
    one = lesson(played[1][1], 0.01)
    first_turn = one.sampled.index(False)
    ids, end = one.response_ids, len(one.response_ids) - one.sampled[::-1].index(False)
    assert first_turn < end - 1
    short = replace(
        one,
        response_ids=ids[:end],
        sampled=one.sampled[:first_turn] + (False,) * (end - first_turn),
        behaviour_logprobs=None,
    )
    swapped = replace(short, response_ids=ids[:first_turn] + (5,) * (end - first_turn))
    base, other = gradients(files, [short]), gradients(files, [swapped])
    assert all(torch.equal(base[name], other[name]) for name in base)
    seen = replace(one, response_ids=ids[:first_turn] + (5,) * (end - first_turn) + ids[end:])
    assert any(
        not torch.equal(a, b)
        for a, b in zip(
            gradients(files, [one]).values(), gradients(files, [seen]).values(), strict=True
        )
    )
