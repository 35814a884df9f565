"""FlexAttention over a pack equals the products of tiles: who sees whom, results, gradients."""

from functools import partial

import pytest
import tiny_models
import torch
from torch._dynamo.testing import CompileCounter
from torch.nn.attention import flex_attention
from trees import dense_mask, random_pack

from azr_fast.errors import UserError
from azr_fast.policy import attention, attention_flex, proof
from azr_fast.policy.attention_flex import BLOCK, SMALLEST, FlexTree, kernel_size, tree_mask
from azr_fast.policy.attention_tiles import segment_attention
from azr_fast.policy.attention_tree import last_seers, padded
from azr_fast.policy.packing import TrainSequence, make_packs

CPU = torch.device("cpu")


@pytest.fixture
def gradients_on_a_cpu(monkeypatch):
    """torch refuses gradients of FlexAttention on a CPU, though its eager form has them."""
    monkeypatch.setattr(flex_attention, "_validate_device", lambda *_: None)


def random_heads(segments, query_heads, key_heads, width, dtype):
    torch.manual_seed(0)
    return [
        torch.randn(heads, segments[-1].end, width, dtype=dtype, requires_grad=True)
        for heads in (query_heads, key_heads, key_heads)
    ]


@pytest.mark.parametrize("tree", range(10))
def test_the_mask_of_blocks_is_the_dense_mask(tree, seed):
    pack = random_pack(seed + tree)
    tokens, size = pack.segments[-1].end, kernel_size(pack.segments[-1].end)
    mask = tree_mask(padded(last_seers(pack.segments), size))
    expected = torch.eye(size, dtype=torch.bool)
    expected[:tokens, :tokens] = dense_mask(pack.segments)
    index_T = torch.arange(size)
    assert torch.equal(mask.mask_mod(0, 0, index_T[:, None], index_T[None]), expected)
    tiles = expected.view(size // BLOCK, BLOCK, size // BLOCK, BLOCK)
    assert torch.equal(mask.to_dense()[0, 0].bool(), tiles.any(3).any(1))
    assert torch.equal(mask.full_kv_num_blocks[0, 0], tiles.all(3).all(1).sum(1).int())


@pytest.mark.parametrize(("queries", "keys", "width"), [(4, 2, 16), (3, 3, 24), (6, 1, 32)])
@pytest.mark.parametrize("tree", range(4))
def test_results_and_gradients_are_those_of_the_tiles_in_fp64(
    queries, keys, width, tree, seed, gradients_on_a_cpu
):
    pack = random_pack(seed + tree)
    inputs = random_heads(pack.segments, queries, keys, width, torch.float64)
    expected = segment_attention(*inputs, pack.segments, 0.3)
    got = FlexTree(pack.segments, CPU)(*inputs, 0.3)
    assert torch.allclose(got, expected, rtol=0, atol=1e-12)
    direction = torch.randn(expected.shape, dtype=torch.float64)
    wanted = torch.autograd.grad(expected, inputs, direction)
    for mine, theirs in zip(torch.autograd.grad(got, inputs, direction), wanted, strict=True):
        assert torch.allclose(mine, theirs, rtol=0, atol=1e-11)


def pack_of(answers, prompt=40):
    """Answers of these lengths to one prompt."""
    batch = [TrainSequence((1,) * prompt, (2,) * (n + 1), 1.0, 1.0, None) for n in answers]
    (pack,) = make_packs(batch, 2**20)
    return pack


def test_packs_of_one_size_compile_once():
    """Other trees are other inputs, no other kernel."""
    counter = CompileCounter()
    kernel = attention_flex.compiled(counter)
    packs_of_two_sizes = [pack_of(answers) for answers in ([9, 7], [70], [3, 5, 200], [SMALLEST])]
    for pack in packs_of_two_sizes:
        tree = FlexTree(pack.segments, CPU)
        heads = [torch.randn(1, n, tree._size, 16) for n in (4, 2, 2)]
        kernel(*heads, block_mask=tree._mask, scale=0.25, enable_gqa=True)
    assert counter.frame_count == 2


def test_more_sizes_than_torch_compiles_unasked_are_compiled():
    """Without a compilation FlexAttention holds the square of the pack."""
    attention_flex.compiled()
    sizes = {kernel_size(tokens) for tokens in range(1, 2**21, 997)}
    assert len(sizes) * 2 < torch._dynamo.config.recompile_limit


def test_the_sizes_grow_twofold_and_hold_every_pack():
    assert kernel_size(1) == kernel_size(SMALLEST) == SMALLEST
    assert kernel_size(SMALLEST + 1) == 2 * SMALLEST
    assert kernel_size(16384) == 16384
    assert SMALLEST % BLOCK == 0


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3", "gpt2"])
def test_a_model_passes_its_proof_with_flex(architecture):
    model = tiny_models.make_model(architecture)
    flex = attention.Attention("flex", partial(FlexTree, device=CPU))
    proof.prove(model, "tiny", flex)


def test_a_model_with_a_sliding_window_is_refused_by_name_with_flex():
    flex = attention.Attention("flex", partial(FlexTree, device=CPU))
    with pytest.raises(UserError, match=r"model\.layers\.0\.self_attn uses sliding_w"):
        proof.prove(tiny_models.make_model("ministral"), "tiny", flex)


def test_a_cpu_multiplies_tiles_and_refuses_flex_by_name(make_policy):
    assert make_policy().attention == attention.TILES.about
    with pytest.raises(
        UserError, match=r"update\.attention cannot be flex: .* no gradient on a CPU"
    ):
        make_policy(attention="flex")
