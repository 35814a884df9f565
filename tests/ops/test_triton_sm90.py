"""Every kernel with every configuration, compiled for an H100 or H200: nothing spilled, and memory
read 128 bits at a time and written in 64 or 128, also where rows begin at odd places.

`make test` compiles each kernel with each table entry once, as training launches it (bf16, 64-bit ids)
with rows at odd places, which are the hardest to read wide; `make test-all` every combination.
test_triton_launches.py compiles what the operations launch in either.
"""

from dataclasses import asdict
from itertools import product

import pytest

from azr_fast.ops.group_advantage import ESTIMATORS
from azr_fast.ops.objective import CORRECTIONS
from azr_fast.triton_kernels import (
    group_advantage,
    linear_logprob,
    linear_policy_loss,
    row_statistics,
    selective_logprob,
)
from azr_fast.triton_kernels.row_walk import BACKWARD, BOTH, FORWARD

from .sm90 import CACHE, compile_kernel, ptxas_warnings

SHARED_MEMORY = 227 * 1024  # bytes of a multiprocessor that programs can have
LOAD_128 = "ld.global.v4.b32"


def slow(*values, **options):
    """A choice that only `make test-all` makes."""
    return pytest.param(*values, marks=pytest.mark.slow, **options)


dtypes = pytest.mark.parametrize("dtype", ["bf16", slow("fp16"), slow("fp32")])
ids = pytest.mark.parametrize("ids", [slow("i32"), "i64"])
odd = pytest.mark.parametrize(
    "odd", [slow(False, id="even rows"), pytest.param(True, id="odd rows")]
)


@pytest.fixture(autouse=True)
def _cache(monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(CACHE))
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)


def writes_wide(binary):
    return "st.global.v4.b32" in binary.ptx or "st.global.v2.b32" in binary.ptx


def compile_logprob(kernel, config, dtype, ids, odd, tmp_path, gradient=None, **constants):
    types = {name: "*fp32" if name.endswith("_ptr") else "i32" for name in kernel.arg_names}
    types |= {"logits_ptr": f"*{dtype}", "d_logits_ptr": f"*{gradient or dtype}"}
    types |= {"targets_ptr": f"*{ids}"} | dict.fromkeys(("dual", "cap", "kl_weight"), "fp32")
    rows = {"stride", "d_stride", "vocabulary"}
    aligned = [name for name in kernel.arg_names if name.endswith("_ptr")]
    if not odd:
        aligned += [name for name in kernel.arg_names if name in rows]
    tiles = {"BLOCK": config.block, "LANES": config.lanes, "D_BLOCK": config.d_block}
    tiles = {name: size for name, size in tiles.items() if name in kernel.arg_names}
    constants = tiles | constants
    return compile_kernel(kernel, types, constants, aligned, config.num_warps, tmp_path)


@dtypes
@odd
@pytest.mark.parametrize("config", FORWARD)
def test_logprob_forward(config, dtype, odd, tmp_path):
    binary = compile_logprob(
        selective_logprob.logprob_forward,
        FORWARD[config],
        dtype, "i64", odd, tmp_path,
    )  # fmt: skip
    assert binary.stack == 0
    assert binary.registers <= 80  # three programs of 256 threads on a multiprocessor
    assert LOAD_128 in binary.ptx


@dtypes
@odd
@pytest.mark.parametrize("config", BACKWARD)
@pytest.mark.parametrize("alike", [True, slow(False)])
def test_logprob_backward(config, dtype, odd, alike, tmp_path):
    binary = compile_logprob(
        selective_logprob.logprob_backward,
        BACKWARD[config],
        dtype, "i64", odd, tmp_path,
        ALIKE=alike,
        BLOCK=BACKWARD[config].d_block,
    )  # fmt: skip
    assert binary.stack == 0
    assert binary.registers <= 80
    assert writes_wide(binary)
    assert (LOAD_128 in binary.ptx) or not alike


@pytest.mark.parametrize("dtype", ["bf16", slow("fp32")])
@odd
@pytest.mark.parametrize("config", FORWARD)
def test_row_statistics(config, dtype, odd, tmp_path):
    kernel = row_statistics.row_statistics
    binary = compile_logprob(kernel, FORWARD[config], dtype, "i64", odd, tmp_path)
    assert binary.stack == 0
    assert binary.registers <= 80
    assert LOAD_128 in binary.ptx


WITH_BF16_HEADS = [("fp32", "bf16", at, True) for at in range(len(CORRECTIONS))]
WITHOUT_REFERENCE = [slow("fp32", "bf16", at, False) for at in range(len(CORRECTIONS))]
CLIP = CORRECTIONS.index("clip")


@pytest.mark.parametrize(
    ("logits", "gradient", "correction", "has_reference"),
    [
        *WITH_BF16_HEADS,
        *WITHOUT_REFERENCE,
        slow("bf16", "bf16", CLIP, True),
        slow("fp32", "fp32", CLIP, True),
    ],
)
@odd
@pytest.mark.parametrize("config", BOTH)
def test_policy_loss(config, logits, gradient, odd, correction, has_reference, tmp_path):
    binary = compile_logprob(
        linear_policy_loss.policy_loss_rows,
        BOTH[config],
        logits, "i64", odd, tmp_path, gradient,
        CORRECTION=correction,
        HAS_REFERENCE=has_reference,
        ALIKE=logits == gradient or not odd,
    )  # fmt: skip
    assert binary.stack == 0
    assert binary.registers <= 64  # four programs of 256 threads on a multiprocessor
    assert LOAD_128 in binary.ptx
    assert writes_wide(binary)


def compile_head(config, ids, tmp_path):
    kernel = linear_logprob.head_tiles
    types = {name: "*fp32" if name.endswith("_ptr") else "i32" for name in kernel.arg_names}
    types |= {
        "hidden": f"tensordesc<bf16[{config.block_t}, {config.block_h}]>",
        "weight": f"tensordesc<bf16[{config.block_v}, {config.block_h}]>",
        "targets_ptr": f"*{ids}",
    }
    constants = {
        "BLOCK_T": config.block_t,
        "BLOCK_V": config.block_v,
        "BLOCK_H": config.block_h,
        "GROUP": config.group,
        "UPCAST": False,
    }
    aligned = [name for name in kernel.arg_names if name.endswith("_ptr")]
    options = config.num_warps, tmp_path, config.num_stages
    return compile_kernel(kernel, types, constants, aligned, *options)


@ids
def test_head_tiles(ids, tmp_path):
    """Products by the tensor cores (wgmma) that run on while the next tiles come by TMA."""
    binary = compile_head(linear_logprob.CONFIG, ids, tmp_path)
    assert binary.stack == 0
    assert binary.registers * 32 * linear_logprob.CONFIG.num_warps <= 65536
    assert binary.shared <= SHARED_MEMORY
    assert "wgmma.mma_async" in binary.ptx
    assert "wgmma.wait_group.sync.aligned 1" in binary.ptx
    assert "cp.async.bulk.tensor" in binary.ptx
    assert "warn" not in ptxas_warnings(binary, tmp_path)


def test_merge_of_tiles(tmp_path):
    kernel, (block_t, block_w) = linear_logprob.merge_tiles, linear_logprob.MERGE
    types = {name: "*fp32" if name.endswith("_ptr") else "i32" for name in kernel.arg_names}
    aligned = [name for name in kernel.arg_names if name.endswith("_ptr")] + ["tokens"]
    constants = {"BLOCK_T": block_t, "BLOCK_W": block_w}
    binary = compile_kernel(kernel, types, constants, aligned, 4, tmp_path)
    assert binary.stack == 0
    assert LOAD_128 in binary.ptx


@pytest.mark.parametrize(
    ("estimator", "token_weighted", "ids", "rewards"),
    [
        *((name, True, "i64", "fp32") for name in ESTIMATORS),
        *(slow(name, False, "i64", "fp32") for name in ESTIMATORS),
        *(
            slow("trr++", True, ids, rewards)
            for ids, rewards in product(("i32", "i64"), ("fp32", "fp64"))
        ),
    ],
)
@pytest.mark.parametrize("config", group_advantage.CONFIGS)
def test_group_advantage(config, estimator, token_weighted, ids, rewards, tmp_path):
    kernel, block = group_advantage.advantage_tokens, group_advantage.CONFIGS[config]
    plain = asdict(ESTIMATORS[estimator]) | {"token_weighted": token_weighted}
    binary = compile_kernel(
        kernel,
        {
            "rewards_ptr": f"*{rewards}",
            "groups_ptr": f"*{ids}",
            "lengths_ptr": f"*{ids}",
            "advantage_ptr": "*fp32",
            "sequences": "i32",
        },
        {name.upper(): value for name, value in plain.items()}
        | {"ROWS": block.rows, "BLOCK_S": block.block_s, "BLOCK_N": block.block_n}
        | {"SPAN": block.span},
        [name for name in kernel.arg_names if name.endswith("_ptr")],
        block.num_warps,
        tmp_path,
    )
    assert binary.stack == 0
    assert writes_wide(binary)


@pytest.mark.parametrize(
    ("kernel", "constants"),
    [
        (selective_logprob.logprob_forward, {}),
        (selective_logprob.logprob_backward, {"ALIKE": True}),
    ],
    ids=["forward", "backward"],
)
@ids
def test_numbers_that_are_one_become_constants(kernel, constants, ids, tmp_path):
    """As Triton does at a launch: a vocabulary of 1, a temperature per token, ignore_index = 1."""
    ones = {"stride", "d_stride", "temperature_stride", "vocabulary", "ignore_index"}
    constants = constants | dict.fromkeys(ones & set(kernel.arg_names), 1)
    config = FORWARD["narrow"]
    binary = compile_logprob(kernel, config, "bf16", ids, True, tmp_path, **constants)
    assert binary.stack == 0
