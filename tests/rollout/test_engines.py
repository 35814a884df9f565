"""What every engine promises, checked on each of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from azr_fast.config.schema import ModelConfig
from azr_fast.errors import UserError
from azr_fast.policy.models import ModelFiles
from azr_fast.rollout import open_engine
from azr_fast.rollout.engine import Request
from azr_fast.types import Sampling, Stop

from .conftest import ROLLOUT, Rig, drain

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("name", ["vllm", "transformers"])
def test_a_context_that_is_too_short_is_refused_at_once(tiny: ModelFiles, name: str) -> None:
    if name == "vllm":
        pytest.importorskip("vllm")
    config = ROLLOUT.model_copy(update={"engine": name, "max_new_tokens": 129})
    limits = (
        r"rollout\.max_prompt_tokens \+ rollout\.max_new_tokens is 513 .* has 512 tokens: lower"
    )
    with pytest.raises(UserError, match=limits):
        open_engine(config, tiny, SimpleNamespace(stops=None), ModelConfig(), seed=0)


def test_empty_poll_returns_at_once(rig: Rig) -> None:
    assert rig.engine.poll() == []


def test_same_requests_give_the_same_tokens(rig: Rig) -> None:
    rig.forget()
    first = rig.generate(rig.requests(16))
    rig.forget()
    assert rig.generate(rig.requests(16)) == first


def test_other_seeds_give_other_tokens(rig: Rig) -> None:
    first, other = rig.generate(rig.requests(16)), rig.generate(rig.requests(16, seed=1000))
    assert all(first[key].token_ids != other[key].token_ids for key in first)


def test_logprobs_are_those_of_the_sampled_tokens(rig: Rig) -> None:
    for completion in rig.generate(rig.requests(24)).values():
        prompt = rig.prompts[completion.id[0]]
        torch.testing.assert_close(
            torch.tensor(completion.logprobs),
            torch.tensor(rig.expected(prompt, completion.token_ids)),
            atol=rig.tolerance,
            rtol=0,
        )


def test_the_end_token_is_included_and_ends_the_answer(rig: Rig) -> None:
    requests = [Request((i,), rig.prompts[i % 2], i, Sampling(64)) for i in range(12)]
    ended = [c for c in rig.generate(requests).values() if c.stop is Stop.END]
    assert ended
    for completion in ended:
        assert completion.token_ids[-1] in rig.stops.token_ids
        assert not rig.stops.token_ids.intersection(completion.token_ids[:-1])
        assert len(completion.logprobs) == len(completion.token_ids)


def test_answers_that_reach_the_limit_are_truncated(rig: Rig) -> None:
    requests = [Request((i,), rig.prompts[-1], i, Sampling(2)) for i in range(6)]
    truncated = [c for c in rig.generate(requests).values() if c.stop is Stop.LENGTH]
    assert truncated
    for completion in truncated:
        assert len(completion.token_ids) == 2
        assert not rig.stops.token_ids.intersection(completion.token_ids)


def test_a_stop_string_is_included_and_ends_the_answer(rig: Rig) -> None:
    """Each answer is stopped by what it is known to say; what nobody says changes nothing."""
    unsaid = "\x00never\x00"

    def requests(*stop: str) -> list[Request]:
        return [Request((i,), rig.prompts[i % 3], i, Sampling(24, stop=stop)) for i in range(9)]

    rig.forget()
    free = rig.generate(requests())
    long = {key: answer for key, answer in free.items() if len(answer.token_ids) >= 8}
    assert len(long) > 1
    for key, answer in long.items():
        string = rig.stops.decode(answer.token_ids[3:5])
        stopped = rig.generate([requests(string, unsaid)[key[0]]])[key]
        assert stopped.stop is Stop.STRING
        assert string in rig.stops.decode(stopped.token_ids)
        assert string not in rig.stops.decode(stopped.token_ids[:-1])
    rig.forget()
    assert rig.generate(requests(unsaid)) == free


def test_each_request_is_sampled_in_its_own_way(rig: Rig) -> None:
    """Greedy, cold, hot and of a nucleus side by side, and each as it would be alone."""
    prompt = rig.prompts[-1]
    ways = [
        Sampling(12, temperature=0.0),
        Sampling(7, temperature=0.5),
        Sampling(9, temperature=2.0, top_p=0.5),
        Sampling(12),
    ]
    together = rig.generate([Request((i,), prompt, 5, way) for i, way in enumerate(ways)])
    for i, way in enumerate(ways):
        answer = together[(i,)]
        assert len(answer.token_ids) <= way.max_tokens
        expected = rig.distributions(prompt, answer.token_ids, way)
        chosen = expected.gather(1, torch.tensor(answer.token_ids)[:, None])[:, 0]
        torch.testing.assert_close(
            torch.tensor(answer.logprobs), chosen, atol=2 * rig.tolerance, rtol=0
        )
        if way.temperature == 0.0:
            best = expected.max(-1).values
            torch.testing.assert_close(chosen, best, atol=2 * rig.tolerance, rtol=0)


def test_greedy_answers_do_not_follow_the_seed(tiny_rig: Rig) -> None:
    one, other = (tiny_rig.generate(tiny_rig.requests(8, seed, temperature=0.0)) for seed in (0, 9))
    assert [c.token_ids for c in one.values()] == [c.token_ids for c in other.values()]


def test_requests_join_while_others_decode(rig: Rig) -> None:
    rig.engine.submit(Request((0,), rig.prompts[0], 1, Sampling(12)))
    finished = rig.engine.poll()
    rig.engine.submit(Request((0, 3), rig.prompts[1], 2, Sampling(5)))
    finished += list(drain(rig.engine, 2 - len(finished)).values())
    assert {c.id for c in finished} == {(0,), (0, 3)}
    assert rig.engine.poll() == []


def test_more_requests_than_run_at_once_all_finish(rig: Rig) -> None:
    requests = [Request((i,), rig.prompts[i % 3], i, Sampling(3)) for i in range(40)]
    assert len(rig.generate(requests)) == 40


def test_generated_tokens_counts_every_sampled_token(rig: Rig) -> None:
    before = rig.engine.generated_tokens()
    for request in rig.requests(8):
        rig.engine.submit(request)
    finished = rig.engine.poll()
    assert rig.engine.generated_tokens() > before  # tokens of unfinished answers count
    finished += list(drain(rig.engine, 3 - len(finished)).values())
    assert rig.engine.generated_tokens() - before == sum(len(c.token_ids) for c in finished)


def test_prompts_that_cannot_fit_are_refused(rig: Rig) -> None:
    with pytest.raises(AssertionError, match="may take 10008 tokens"):
        rig.engine.submit(Request((0,), (5,) * 10_000, 0, Sampling(8)))
    assert rig.engine.poll() == []


def test_new_weights_are_used_at_once_and_can_be_taken_back(rig: Rig) -> None:
    """A final norm of zero makes every token equally likely, whatever was cached."""
    rig.forget()
    before = rig.generate(rig.requests(4))  # also fills the prefix cache with old keys and values
    norm = "model.norm.weight"
    flat = rig.weights | {norm: torch.zeros_like(rig.weights[norm])}
    rig.engine.update_weights(flat.items())
    uniform = -math.log(rig.vocabulary)
    for completion in rig.generate(rig.requests(4)).values():
        assert completion.logprobs == pytest.approx([uniform] * len(completion.logprobs), abs=1e-3)
    rig.engine.update_weights(rig.weights.items())
    assert rig.generate(rig.requests(4)) == before


def test_cached_prefixes_of_old_weights_are_not_used(rig: Rig) -> None:
    """Swapping two layers' values changes what is cached, not the head."""
    long = [rig.prompts[0] * 8]
    request = Request((0,), long[0], 7, Sampling(4))
    rig.forget()
    old = rig.generate([request])[(0,)]
    name = "model.layers.0.self_attn.v_proj.weight"
    rig.engine.update_weights((rig.weights | {name: -rig.weights[name]}).items())
    new = rig.generate([request])[(0,)]
    with flipped(rig.weights[name]):
        expected = rig.expected(long[0], new.token_ids)
    rig.engine.update_weights(rig.weights.items())
    assert new.logprobs != old.logprobs
    assert list(new.logprobs) == pytest.approx(expected, abs=rig.tolerance)
    assert rig.generate([request])[(0,)] == old


@contextmanager
def flipped(weight: torch.Tensor) -> Iterator[None]:
    """The sign of a weight of the plain model is changed inside the block."""
    weight.data.neg_()
    yield
    weight.data.neg_()
