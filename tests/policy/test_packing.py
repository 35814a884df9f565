"""Packs hold every answer once, share prompts, and compute what separate forwards compute."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from azr_fast.policy.attention_tiles import QUERY_TILE, segment_attention
from azr_fast.policy.packing import Segment, TrainSequence, make_packs


def sequence(prompt, response, advantage=1.0, weight=1.0):
    return TrainSequence(tuple(prompt), tuple(response), advantage, weight, None)


ids = st.lists(st.integers(0, 9), min_size=1, max_size=12)
batches = st.lists(
    st.builds(
        sequence,
        st.sampled_from([(1,), (1, 2), (1, 2, 3), (1, 2, 4, 5), (1, 3, 2), (4,) * 9]),
        ids,
    ),
    max_size=14,
)


@given(batch=batches, pack_tokens=st.integers(1, 60))
@settings(max_examples=200, deadline=None)
def test_every_answer_is_trained_once_and_packs_keep_their_limit(batch, pack_tokens):
    packs = make_packs(batch, pack_tokens)
    answers: dict[int, list[int]] = {}
    for pack in packs:
        for owner, target in zip(pack.owners_N.tolist(), pack.targets_N.tolist(), strict=True):
            answers.setdefault(owner, []).append(target)
        lone = len(set(pack.owners_N.tolist())) == 1
        assert pack.tokens_T.numel() <= pack_tokens or lone
    assert answers == {i: list(s.response_ids) for i, s in enumerate(batch)}


@given(batch=batches, pack_tokens=st.integers(1, 60))
@settings(max_examples=200, deadline=None)
def test_what_a_token_sees_is_its_own_prompt_and_answer(batch, pack_tokens):
    """Follow the segments from each predictor: the tokens it sees spell prompt + answer so far."""
    for pack in make_packs(batch, pack_tokens):
        tokens, positions = pack.tokens_T.tolist(), pack.positions_T.tolist()
        home = {t: s for s in pack.segments for t in range(s.begin, s.end)}
        assert sorted(home) == list(range(len(tokens)))  # segments tile the pack
        done: dict[int, int] = {}
        for owner, predictor in zip(
            pack.owners_N.tolist(), pack.predictors_N.tolist(), strict=True
        ):
            segment, known = home[predictor], done.get(owner, 0)
            seen = [token for ends in segment.prefix for token in range(*ends)]
            seen += range(segment.begin, predictor + 1)
            expected = batch[owner].prompt_ids + batch[owner].response_ids[:known]
            assert [tokens[t] for t in seen] == list(expected)
            assert [positions[t] for t in seen] == list(range(len(expected)))
            done[owner] = known + 1


def test_equal_prompts_are_computed_once():
    prompt = range(10)
    packs = make_packs([sequence(prompt, (1, 2, 3)) for _ in range(5)], 100)
    assert [pack.tokens_T.numel() for pack in packs] == [10 + 5 * 2]


def test_equal_beginnings_of_prompts_are_computed_once():
    trunk = tuple(range(10))
    batch = [sequence((*trunk, *rest), (1, 2, 3)) for rest in ((), (7, 8), (7, 9), (5,))]
    (pack,) = make_packs(batch, 100)
    assert pack.tokens_T.numel() == 10 + (1 + 1 + 1) + 1 + 4 * 2


def test_a_group_too_large_for_a_pack_repeats_its_prompt():
    packs = make_packs([sequence(range(10), (1, 2, 3)) for _ in range(5)], 14)
    assert [pack.tokens_T.numel() for pack in packs] == [14, 14, 12]


def test_an_answer_longer_than_a_pack_gets_one_of_its_own():
    packs = make_packs([sequence(range(10), range(20)), sequence((1,), (1, 2))], 8)
    assert sorted(pack.tokens_T.numel() for pack in packs) == [2, 29]


def test_an_empty_prompt_is_refused():
    with pytest.raises(ValueError, match="sequence 1 of the batch has an empty prompt"):
        make_packs([sequence((1,), (2,)), sequence((), (2,))], 8)


def random_batch(rng, count=9, longest=24):
    prompts = [[rng.randrange(61) for _ in range(n)] for n in (1, 7, 30)]
    prompts += [prompts[2][:20] + prompts[1], prompts[2][:20] + prompts[1][:3] + prompts[0]]
    lengths = (rng.randint(1, longest) for _ in range(count))
    return [
        sequence(rng.choice(prompts), [rng.randrange(61) for _ in range(n)], rng.uniform(-1, 1))
        for n in lengths
    ]


@pytest.mark.parametrize("pack_tokens", [40, 1000])
def test_packed_logprobs_and_gradients_equal_those_of_separate_forwards(
    make_policy, tiny, pack_tokens
):
    """The oracle: transformers' own eager attention, one unpadded sequence at a time, in fp64."""
    from transformers import AutoModelForCausalLM

    batch = random_batch(random.Random(3))
    oracle = AutoModelForCausalLM.from_pretrained(
        tiny.folder, dtype=torch.float64, attn_implementation="eager"
    )
    temperature, entropy_weight, loss = 0.7, 0.05, torch.zeros((), dtype=torch.float64)
    expected = []
    for s in batch:
        tokens = torch.tensor(s.prompt_ids + s.response_ids)
        logits = oracle(tokens[None]).logits[0, len(s.prompt_ids) - 1 : -1]
        expected.append(logits.log_softmax(-1).gather(1, torch.tensor(s.response_ids)[:, None]))
        scaled = (logits / temperature).log_softmax(-1)
        logp = scaled.gather(1, torch.tensor(s.response_ids)[:, None]).sum()
        loss -= s.advantage * logp - entropy_weight * (scaled.exp() * scaled).sum()
    loss.backward()

    policy = make_policy(
        temperature=temperature, entropy=entropy_weight, pack_tokens=pack_tokens, loss="torch"
    )
    gradients = {}

    def look_instead(norm):
        """Keep the gradient, which the step would use up, and leave the weights."""
        gradients.update({n: m.grad.clone() for n, m in policy._optimizer._masters.items()})

    policy._optimizer.step = look_instead
    stats = policy.update(batch)
    assert stats.loss == pytest.approx(loss.item(), rel=1e-5)
    for name, parameter in oracle.named_parameters():
        error = (gradients[name] - parameter.grad).norm() / parameter.grad.norm()
        assert error < 2e-5, name
    whole = policy.logprobs([s.prompt_ids + s.response_ids for s in batch])
    for s, logp, reference in zip(batch, whole, expected, strict=True):
        got = torch.tensor(logp[len(s.prompt_ids) - 1 :], dtype=torch.float64)
        assert torch.allclose(got, reference[:, 0], atol=2e-5)


def attention_on_gpu(query, key, value, segments, scale):
    return segment_attention(query.cuda(), key.cuda(), value.cuda(), segments, scale).cpu()


ON_GPU = pytest.param(
    attention_on_gpu,
    marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine"),
)


@pytest.mark.parametrize("attention", [segment_attention, ON_GPU])
def test_attention_and_its_gradient_follow_the_mask(attention):
    """Lengths beyond a query tile, against softmax with a dense mask in fp64."""
    torch.manual_seed(0)
    prompt, answer = QUERY_TILE + 5, 2 * QUERY_TILE + 3
    segments = (
        Segment(0, prompt, ()),
        Segment(prompt, prompt + answer, ((0, prompt),)),
        Segment(prompt + answer, prompt + answer + 1, ((0, prompt),)),
        Segment(prompt + answer + 1, prompt + answer + 9, ((0, 7), (prompt + 2, prompt + 5))),
    )
    total = segments[-1].end
    inputs = [torch.randn(n, total, 8, requires_grad=True) for n in (4, 2, 2)]
    mask = torch.zeros(total, total, dtype=torch.bool)
    for s in segments:
        for begin, end in s.prefix:
            mask[s.begin : s.end, begin:end] = True
        own = slice(s.begin, s.end)
        mask[own, own] = torch.ones(s.end - s.begin, s.end - s.begin, dtype=torch.bool).tril()

    query, key, value = (t.double().repeat_interleave(4 // len(t), 0) for t in inputs)
    share = (query @ key.mT * 0.3).masked_fill(~mask, float("-inf")).softmax(-1)
    expected = (share @ value).transpose(0, 1)
    direction = torch.randn(expected.shape)
    wanted = torch.autograd.grad(expected, inputs, direction.double())

    got = attention(*inputs, segments, 0.3)
    assert torch.allclose(got.double(), expected, atol=1e-5)
    for gradient, reference in zip(
        torch.autograd.grad(got, inputs, direction), wanted, strict=True
    ):
        assert torch.allclose(gradient, reference, atol=1e-5)
