"""The one queue, driven by a real engine (a tiny random model) and judges of several tempers."""

import random
import shutil
import time
from threading import Lock

import pytest

from azr_fast.config.schema import ModelConfig, RolloutConfig
from azr_fast.policy.chat import Renderer
from azr_fast.policy.models import ModelFiles, resolve_model
from azr_fast.rollout.stream import Interrupted, Stream, request_seed
from azr_fast.rollout.transformers_engine import TransformersEngine
from azr_fast.selfplay.types import Judgement, Message, Prompt, Role, Status


@pytest.fixture(scope="module")
def engine_and_renderer(tmp_path_factory):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny")
    source = resolve_model("smollm2-135m").folder
    for path in source.iterdir():
        if path.suffix != ".safetensors" and path.name != "config.json":
            shutil.copy(path, folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    files, renderer = ModelFiles(folder, "tiny"), Renderer(folder)
    rollout = RolloutConfig(max_prompt_tokens=128, max_new_tokens=8, concurrency=4)
    engine = TransformersEngine(rollout, files, renderer.stop_ids, ModelConfig(dtype="float32"))
    yield engine, renderer
    engine.close()


@pytest.fixture
def new_stream(engine_and_renderer):
    def make(**options):
        engine, renderer = engine_and_renderer
        settings = {"max_prompt_tokens": 128, "max_new_tokens": 8, "threads": 4}
        return Stream(engine, renderer, **(settings | options))

    return make


def prompt(text, role=Role.PROPOSER):
    return Prompt("kind", role, (Message("user", text),))


def passed(answer):
    return Judgement(Status.PASSED, "ok"), ()


def texts(judged):
    return [(one.answer.request, one.answer.text) for one in judged]


def test_answers_come_back_in_request_order_whatever_the_judge_takes(new_stream):
    prompts = [prompt(f"number {i}") for i in range(9)]

    def slow_at_random(answer):
        time.sleep(random.random() / 50)
        children = [prompt("solve", Role.SOLVER)] * 2 if len(answer.request) == 1 else []
        return Judgement(Status.PASSED, "ok"), children

    first = texts(new_stream().run(prompts, slow_at_random, "seed"))
    second = texts(new_stream(threads=1).run(prompts, slow_at_random, "seed"))
    assert first == second
    roots = [(i,) for i in range(9)]
    assert [request for request, _ in first] == sorted(
        roots + [(i, j) for i in range(9) for j in range(2)]
    )
    assert texts(new_stream().run(prompts, slow_at_random, "other seed")) != first


def test_settle_sees_the_whole_first_generation_and_adds_to_it(new_stream):
    seen = []

    def settle(first):
        seen.append([one.answer.request for one in first])
        return [prompt("again", Role.SOLVER)]

    judged = new_stream().run([prompt("a"), prompt("b")], passed, "seed", settle)
    assert seen == [[(0,), (1,)]]
    assert [one.answer.request for one in judged] == [(0,), (1,), (2,)]


def test_15_an_over_long_prompt_is_skipped_and_counted(new_stream):
    stream = new_stream()
    judged = stream.run([prompt("short"), prompt("word " * 500), prompt("short too")], passed, "s")
    assert [one.answer.request for one in judged] == [(0,), (2,)]
    assert stream.stats.skipped == 1


def test_all_prompts_over_the_limit_settle_at_once(new_stream):
    assert new_stream(max_prompt_tokens=1).run([prompt("a")], passed, "s") == []


def test_07_one_slow_verdict_delays_no_other(new_stream):
    """Verdicts are reached side by side and while other answers decode."""
    lock, finished = Lock(), []

    def judge(answer):
        if answer.request == (0,):
            while len(finished) < 7:  # hangs until every other answer has its verdict
                time.sleep(0.01)
        with lock:
            finished.append(answer.request)
        return Judgement(Status.PASSED, "ok"), ()

    judged = new_stream().run([prompt(str(i)) for i in range(8)], judge, "s")
    assert len(judged) == 8
    assert finished[-1] == (0,)


def test_a_fault_of_the_judge_is_not_swallowed(new_stream):
    def broken(answer):
        raise ZeroDivisionError("judge")

    with pytest.raises(ZeroDivisionError, match="judge"):
        new_stream().run([prompt("a")], broken, "s")


def test_after_a_fault_the_queued_answers_are_not_judged(new_stream):
    stream, judged = new_stream(threads=1), []

    def broken(answer):
        judged.append(answer.request)
        while stream.stats.finished < 8:  # all others are queued by then
            time.sleep(0.01)
        if len(judged) > 1:
            time.sleep(0.2)
        raise ZeroDivisionError("judge")

    with pytest.raises(ZeroDivisionError):
        stream.run([prompt(str(i)) for i in range(8)], broken, "s")
    assert len(judged) < 4


def test_a_stop_interrupts_the_stream(new_stream):
    with pytest.raises(Interrupted):
        new_stream(should_stop=lambda: True).run([prompt("a")], passed, "s")


def test_tokens_and_verdicts_are_counted(new_stream):
    stream = new_stream()
    judged = stream.run([prompt("a"), prompt("b")], passed, "s")
    assert stream.stats.requested == stream.stats.finished == 2
    assert stream.stats.tokens == sum(len(one.answer.token_ids) for one in judged)


def test_request_seeds_differ_by_run_step_and_request():
    seeds = {
        request_seed(f"{a}/{b}", (c, d))
        for a in range(4)
        for b in range(4)
        for c in range(4)
        for d in range(4)
    }
    assert len(seeds) == 256
    assert all(0 <= seed < 2**63 for seed in seeds)
