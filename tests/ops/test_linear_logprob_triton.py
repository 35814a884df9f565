"""The fused head's statistics, interpreted, against fp64 on the same bf16 bits."""

import pytest
import torch
from head_cases import ROUNDED_LOGITS, error, inputs, temperatures
from head_cases import oracle as head_oracle

from azr_fast.ops.statistics import RowStatistics, merge
from azr_fast.triton_kernels.linear_logprob import CONFIG, Config

LOGP, ENTROPY = 2e-5, 1e-4
SMALL = Config(16, 32, 16, num_warps=4, num_stages=2, group=3)  # many tiles of little


@pytest.fixture
def call(interpreter):
    def run(hidden, weight, targets, scale=None, config=SMALL, programs=5):
        scale = torch.ones(targets.shape) if scale is None else scale
        place = "triton_calls:head_statistics"
        return interpreter(place, hidden, weight, targets, scale, config, programs)[0]

    return run


def case(seed, tokens, width, vocabulary):
    return inputs(seed, tokens, width, vocabulary, torch.bfloat16)[:3]


def oracle(hidden, weight, targets, scale=None):
    """Log p, entropy and largest logit."""
    z = hidden.double() @ weight.double().T
    if scale is not None:
        z *= scale.double()[:, None]
    logp = z.log_softmax(1)
    return logp.gather(1, targets.long()[:, None])[:, 0], -(logp.exp() * logp).sum(1), z.amax(1)


def assert_close(got, expected):
    for value, reference, bound in zip(got, expected, (LOGP, ENTROPY, LOGP), strict=True):
        assert value.shape == reference.shape
        assert error(value, reference) <= bound


@pytest.mark.parametrize(
    ("tokens", "width", "vocabulary"),
    [(37, 24, 7), (127, 72, 1000), (40, 576, 131), (9, 896, 65), (1, 16, 1), (5, 7, 33)],
)
def test_against_fp64(call, seed, tokens, width, vocabulary):
    some = case(seed, tokens, width, vocabulary)
    assert_close(call(*some), oracle(*some))


@pytest.mark.parametrize("vocabulary", [49152, 50257, 151936, 152064])
def test_the_vocabularies_of_models(call, seed, vocabulary):
    some = case(seed, 3, 16, vocabulary)
    some[2][:2] = torch.tensor([0, vocabulary - 1])
    assert_close(call(*some, config=SMALL._replace(block_v=2048)), oracle(*some))


def test_the_configuration_that_is_used(call, seed):
    some = case(seed, 130, 72, 300)
    assert_close(call(*some, config=CONFIG), oracle(*some))


@pytest.mark.parametrize("programs", [1, 3, 1000])
def test_any_number_of_programs_computes_the_same(call, seed, programs):
    some = case(seed, 70, 24, 200)
    for one, other in zip(call(*some), call(*some, programs=programs), strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
def test_more_tokens_than_a_grid_dimension_holds(call, seed):
    some = case(seed, 70000, 8, 7)
    large = CONFIG._replace(block_t=1024, block_v=16, block_h=16)
    assert_close(call(*some, config=large), oracle(*some))


def test_no_tokens(call):
    nothing = call(
        torch.zeros(0, 8).bfloat16(), torch.zeros(5, 8).bfloat16(), torch.zeros(0).long()
    )
    assert [value.shape for value in nothing] == [(0,)] * 3


def test_a_temperature_per_token(call, seed):
    some, scale = case(seed, 37, 24, 1000), temperatures(seed, 37).reciprocal()
    assert_close(call(*some, scale), oracle(*some, scale))


@pytest.mark.parametrize("level", [-250.0, 250.0])
def test_logits_far_from_zero(call, seed, level):
    hidden, weight, targets = case(seed, 9, 8, 1003)
    hidden[:, 0], weight[:, 0] = level, 1.0  # every logit is moved by `level`
    expected = oracle(hidden, weight, targets)
    assert expected[2].abs().min() > 200
    for value, reference in zip(call(hidden, weight, targets), expected, strict=True):
        assert (value - reference).abs().max() < 2e-4  # a logit of 256 has steps of 3e-5


@pytest.mark.parametrize("ids", [torch.int32, torch.int64], ids=str)
def test_targets_at_the_edges_of_tiles(call, seed, ids):
    hidden, weight, _ = case(seed, 6, 16, 131)
    some = hidden, weight, torch.tensor([0, 31, 32, 127, 128, 130], dtype=ids)
    assert_close(call(*some), oracle(*some))


def test_targets_outside_give_minus_infinity_and_disturb_no_other(call, seed):
    hidden, weight, targets = case(seed, 6, 16, 131)
    expected = oracle(hidden, weight, targets)
    targets[[1, 4]] = torch.tensor([-100, 2**40])
    logp, entropy, _ = call(hidden, weight, targets)
    assert logp[[1, 4]].tolist() == [-torch.inf] * 2
    assert error(logp[[0, 2, 3, 5]], expected[0][[0, 2, 3, 5]]) <= LOGP
    assert error(entropy, expected[1]) <= ENTROPY


def test_strided_and_misaligned_matrices(call, seed):
    hidden, weight, targets = case(seed, 19, 40, 131)
    expected = oracle(hidden, weight, targets)
    wide = torch.zeros(131, 61, dtype=torch.bfloat16)
    wide[:, 3:43] = weight  # rows at odd places
    for strided in (
        (hidden.repeat_interleave(2, 0)[::2], weight),
        (hidden.T.contiguous().T, weight.repeat_interleave(2, 1)[:, ::2]),
        (hidden, wide[:, 3:43]),
    ):
        assert_close(call(*strided, targets), expected)
    same = hidden[:1].expand(19, -1)
    assert_close(call(same, weight, targets), oracle(same, weight, targets))


def test_a_token_of_nan_is_nan_and_no_other(call, seed):
    hidden, weight, targets = case(seed, 9, 16, 131)
    clean = call(hidden, weight, targets)
    hidden[4] = torch.nan
    others = torch.arange(9) != 4
    for before, after in zip(clean[:2], call(hidden, weight, targets)[:2], strict=True):
        assert after.isnan().tolist() == (~others).tolist()
        assert torch.equal(before[others], after[others])


def test_two_runs_are_bitwise_equal(call, seed):
    some = case(seed, 40, 24, 1003)
    assert all(torch.equal(a, b) for a, b in zip(call(*some), call(*some), strict=True))


def test_shards_of_the_vocabulary_merge(interpreter, seed):
    hidden, weight, targets = case(seed, 19, 24, 300)
    shards = []
    for begin, end in ((0, 70), (70, 300)):
        local = torch.where((targets >= begin) & (targets < end), targets - begin, -100)
        arguments = hidden, weight[begin:end], local, torch.ones(19), SMALL, 4
        place = "azr_fast.triton_kernels.linear_logprob:statistics"
        shards.append(RowStatistics(*interpreter(place, *arguments)[0]))
    whole = merge(shards)
    expected = oracle(hidden, weight, targets)
    assert_close((whole.logp(), whole.entropy(), whole.shift_N), expected)


def test_the_whole_operation(interpreter, seed):
    """Forward by the fused kernel, backward by the row kernel between products."""
    hidden, weight, targets = case(seed, 21, 24, 300)
    scale = temperatures(seed, 21).reciprocal()
    ones = torch.ones(21)
    expected = head_oracle(hidden, weight, targets, -ones, -ones, scale.double().reciprocal())
    targets[4] = -100
    kept = targets != -100
    arguments = hidden, weight, targets, scale, 8
    logp, entropy, d_hidden, d_weight = interpreter("triton_calls:logprob", *arguments)[0]
    assert error(logp[kept], expected[0][kept]) <= LOGP
    assert error(entropy[kept], expected[1][kept]) <= ENTROPY
    for value in (logp, entropy, d_hidden):
        assert not value[4].any()
    assert error(d_hidden[kept], expected[2][kept]) <= ROUNDED_LOGITS[-1]
    only = head_oracle(
        hidden[kept],
        weight,
        targets[kept],
        -ones[kept],
        -ones[kept],
        scale[kept].double().reciprocal(),
    )
    assert error(d_weight, only[3]) <= ROUNDED_LOGITS[-1]
