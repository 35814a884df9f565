"""The operations on a GPU, where there is one: what interpreter, emulation and compiler cannot show.
Errors against fp64 on the same bits; nothing here is about speed."""

import pytest
import torch
from head_cases import error, inputs

from azr_fast.ops.group_advantage import group_advantage
from azr_fast.ops.linear_logprob import linear_logprob
from azr_fast.ops.linear_policy_loss import linear_policy_loss
from azr_fast.ops.objective import Objective
from azr_fast.ops.selective_logprob import selective_logprob

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")

LOGP, ENTROPY = 2e-5, 1e-4
GRAD = {torch.bfloat16: 3e-3, torch.float32: 1e-5}
dtypes = pytest.mark.parametrize("dtype", GRAD, ids=str)


def case(seed, tokens, width, vocabulary, dtype):
    return [t.cuda() for t in inputs(seed, tokens, width, vocabulary, dtype)[:3]]


def log_softmax(hidden, weight, targets):
    logp = (hidden.double() @ weight.double().T).log_softmax(1)
    return logp, logp.gather(1, targets[:, None])[:, 0]


def objective(seed, logp):
    """PPO's clipped loss some way off policy, an entropy bonus and a KL term; some tokens masked."""
    generator = torch.Generator().manual_seed(seed + 1)
    normal = torch.randn(4, logp.numel(), generator=generator).cuda()
    weight = normal[1].abs()
    weight[::7] = 0.0
    return Objective(
        normal[0],
        weight,
        entropy_weight=0.01,
        behaviour_logp_N=logp.float() + normal[2] * 0.3,
        correction="clip",
        dual=3.0,
        reference_logp_N=logp.float() + normal[3] * 0.1,
        kl_weight=0.05,
    )


def expected_loss(hidden, weight, targets, some):
    """Losses of the tokens that are needed, d hidden and d weight."""
    logp_NV, logp = log_softmax(hidden, weight, targets)
    entropy = -(logp_NV.exp() * logp_NV).sum(1)
    checked = some.checked(targets)
    terms = checked.terms(logp.float(), entropy.float())
    c, e = (t.double()[:, None] for t in (terms.coefficient, terms.entropy_coefficient))
    d_logits = logp_NV.exp() * (c + e * (logp_NV + entropy[:, None]))
    d_logits.scatter_add_(1, targets[:, None], -c)
    loss = terms.loss.where(checked.needed(), 0.0).double()
    return loss, d_logits @ weight.double(), d_logits.T @ hidden.double()


@dtypes
@pytest.mark.parametrize("implementation", ["triton", "torch"])
@pytest.mark.parametrize(
    ("tokens", "width", "vocabulary"),
    [(300, 576, 49152), (127, 896, 50257), (64, 72, 1000), (33, 2048, 7)],
)
def test_the_policy_loss(seed, dtype, implementation, tokens, width, vocabulary):
    hidden, weight, targets = case(seed, tokens, width, vocabulary, dtype)
    _, logp = log_softmax(hidden, weight, targets)
    some = objective(seed, logp)
    runs = []
    for _ in range(2):
        d_weight = torch.zeros_like(weight, dtype=torch.float32)
        got = linear_policy_loss(
            hidden, weight, targets, some, d_weight, chunk=100, implementation=implementation
        )
        runs.append((got.logp_N, got.entropy_N, got.loss_N, got.d_hidden_NH, d_weight))
    computed = ~got.logp_N.isnan()
    assert error(got.logp_N[computed], logp[computed]) <= LOGP
    loss, d_hidden, d_weight = expected_loss(hidden, weight, targets, some)
    assert error(got.loss_N, loss) <= 1e-4
    assert error(got.d_hidden_NH, d_hidden) <= GRAD[dtype]
    assert error(runs[1][4], d_weight) <= GRAD[dtype]
    for first, second in zip(*runs, strict=True):
        assert torch.equal(first.nan_to_num(7.0), second.nan_to_num(7.0))


@dtypes
@pytest.mark.parametrize(
    ("tokens", "width", "vocabulary"),
    [(300, 576, 49152), (127, 896, 50257), (1, 72, 1000), (33, 2048, 7), (0, 64, 50)],
)
def test_log_probabilities_of_a_head(seed, dtype, tokens, width, vocabulary):
    hidden, weight, targets = case(seed, tokens, width, vocabulary, dtype)
    logp_NV, logp = log_softmax(hidden, weight, targets)
    got = linear_logprob(hidden, weight, targets.int())
    assert error(got.logp_N, logp) <= LOGP
    assert error(got.entropy_N, -(logp_NV.exp() * logp_NV).sum(1)) <= ENTROPY
    again = linear_logprob(hidden, weight, targets)
    assert torch.equal(got.logp_N, again.logp_N)


def test_more_logits_than_32_bits_count(seed):
    """70,000 tokens by 50,257 words: 3.5e9, of which the head's kernel writes none."""
    hidden, weight, targets = case(seed, 70000, 64, 50257, torch.bfloat16)
    got = linear_logprob(hidden, weight, targets, chunk=70000).logp_N
    for part in (slice(0, 50), slice(-50, None)):
        expected = log_softmax(hidden[part], weight, targets[part])[1]
        assert error(got[part], expected) <= LOGP


def test_a_chunk_of_more_logits_than_32_bits_count(seed):
    """The same of the row kernel, whose chunk of logits is 14 GB here."""
    hidden, weight, targets = case(seed, 70000, 64, 50257, torch.bfloat16)
    advantage = torch.randn(70000, generator=torch.Generator().manual_seed(seed)).cuda()
    d_weight = torch.zeros_like(weight, dtype=torch.float32)
    objective = Objective(advantage, torch.ones_like(advantage))
    got = linear_policy_loss(hidden, weight, targets, objective, d_weight, chunk=70000)
    for part in (slice(0, 50), slice(-50, None)):
        logp_NV, logp = log_softmax(hidden[part], weight, targets[part])
        d_logits = logp_NV.exp().scatter_add_(1, targets[part, None], -torch.ones_like(logp_NV))
        assert error(got.logp_N[part], logp) <= LOGP
        expected = (advantage[part, None] * d_logits) @ weight.double()
        assert error(got.d_hidden_NH[part], expected) <= GRAD[torch.bfloat16]


@dtypes
def test_a_token_of_nan_is_nan_and_no_other(seed, dtype):
    """The device's maximum passes over nan, the interpreter's does not."""
    hidden, weight, targets = case(seed, 40, 72, 1000, dtype)
    ones, results = torch.ones(40, device=hidden.device), []
    others = torch.arange(40, device=hidden.device) != 4
    for _ in range(2):
        d_weight = torch.zeros_like(weight, dtype=torch.float32)
        loss = linear_policy_loss(hidden, weight, targets, Objective(ones, ones), d_weight)
        scored = linear_logprob(hidden, weight, targets)
        results.append((loss.logp_N, loss.loss_N, *scored))
        hidden[4] = torch.nan
    for clean, spoilt in zip(*results, strict=True):
        assert torch.equal(spoilt.isnan(), ~others)
        assert torch.equal(spoilt[others], clean[others])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
def test_log_probabilities_of_given_logits(seed, dtype):
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(100, 50257, generator=generator) * 3).to(dtype).cuda().requires_grad_()
    targets = torch.randint(50257, (100,), generator=generator).cuda()
    targets[::9] = -100
    logp, entropy = selective_logprob(logits, targets, temperature=0.7)
    (logp.sum() + entropy.sum()).backward()
    x = logits.detach().double().requires_grad_()
    kept = targets != -100
    logp_TV = (x / 0.7).log_softmax(1)[kept]
    chosen = logp_TV.gather(1, targets[kept, None])[:, 0]
    expected = -(logp_TV.exp() * logp_TV).sum(1)
    (chosen.sum() + expected.sum()).backward()
    assert error(logp[kept], chosen) <= LOGP
    assert error(entropy[kept], expected) <= ENTROPY
    assert error(logits.grad, x.grad) <= 1e-5 + torch.finfo(dtype).eps


def test_given_logits_beyond_32_bits():
    """A row that begins at element 2^31 and more."""
    logits = torch.zeros(70000, 50257, dtype=torch.bfloat16, device="cuda")
    targets = torch.full((70000,), 50256, device="cuda")
    logits[-1, -1] = 5.0
    logp, _ = selective_logprob(logits, targets)
    expected = torch.log_softmax(logits[-2:].double(), 1)[:, -1]
    assert error(logp[-2:], expected) <= LOGP


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
def test_the_kernel_in_cuda(seed, dtype):
    kernels = pytest.importorskip("azr_fast._kernels_cuda", reason="built with -DAZR_CUDA=ON only")
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(100, 50257, generator=generator) * 3).to(dtype).cuda()
    targets = torch.randint(50257, (100,), generator=generator).cuda()
    logp, entropy, top, log_sum = (torch.full((100,), torch.nan, device="cuda") for _ in range(4))
    kernels.selective_forward(
        logits, targets, torch.ones(100, device="cuda"), -100, logp, entropy, top, log_sum,
        torch.cuda.current_stream().cuda_stream,
    )  # fmt: skip
    logp_TV = logits.double().log_softmax(1)
    assert error(logp, logp_TV.gather(1, targets[:, None])[:, 0]) <= LOGP
    assert error(entropy, -(logp_TV.exp() * logp_TV).sum(1)) <= ENTROPY
    assert torch.equal(top, logits.float().amax(1))
    assert error(log_sum, logits.double().logsumexp(1) - top.double()) <= LOGP


@pytest.mark.parametrize("sequences", [100, 5000])
@pytest.mark.parametrize("estimator", ["trr++", "rloo", "global"])
def test_advantages(seed, sequences, estimator):
    generator = torch.Generator().manual_seed(seed)
    rewards = torch.randn(sequences, generator=generator)
    groups = torch.randint(sequences // 8, (sequences,), generator=generator)
    lengths = torch.randint(300, (sequences,), generator=generator)
    expected = group_advantage(rewards, groups, lengths, estimator=estimator)
    got = group_advantage(rewards.cuda(), groups.cuda(), lengths.cuda(), estimator=estimator)
    assert error(got.cpu(), expected.double()) <= 1e-6
