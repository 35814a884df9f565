"""Every kernel with every configuration, compiled for an H100 or H200: nothing spilled, and memory
read and written 128 bits at a time, also where rows begin at odd places."""

from dataclasses import asdict

import pytest

from azr_fast.ops.group_advantage import ESTIMATORS
from azr_fast.triton_kernels import group_advantage, selective_logprob

from .sm90 import compile_kernel

LOAD_128, STORE_128 = "ld.global.v4.b32", "st.global.v4.b32"
dtypes = pytest.mark.parametrize("dtype", ["bf16", "fp16", "fp32"])
ids = pytest.mark.parametrize("ids", ["i32", "i64"])
odd = pytest.mark.parametrize("odd", [False, True], ids=["even rows", "odd rows"])


@pytest.fixture(autouse=True)
def _no_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)


def compile_logprob(kernel, config, dtype, ids, odd, tmp_path, **constants):
    types = {name: "*fp32" if name.endswith("_ptr") else "i32" for name in kernel.arg_names}
    types |= {"logits_ptr": f"*{dtype}", "d_logits_ptr": f"*{dtype}", "targets_ptr": f"*{ids}"}
    rows = {"stride", "d_stride", "vocabulary"}
    aligned = [name for name in kernel.arg_names if name.endswith("_ptr")]
    if not odd:
        aligned += [name for name in kernel.arg_names if name in rows]
    constants |= {"BLOCK": config.block}
    return compile_kernel(kernel, types, constants, aligned, config.num_warps, tmp_path)


@dtypes
@odd
@pytest.mark.parametrize("config", selective_logprob.FORWARD)
def test_logprob_forward(config, dtype, odd, tmp_path):
    binary = compile_logprob(
        selective_logprob.logprob_forward,
        selective_logprob.FORWARD[config],
        dtype, "i64", odd, tmp_path,
    )  # fmt: skip
    assert binary.stack == 0
    assert binary.registers <= 80  # three programs of 256 threads on a multiprocessor
    assert LOAD_128 in binary.ptx


@dtypes
@odd
@pytest.mark.parametrize("config", selective_logprob.BACKWARD)
@pytest.mark.parametrize("alike", [True, False])
def test_logprob_backward(config, dtype, odd, alike, tmp_path):
    binary = compile_logprob(
        selective_logprob.logprob_backward,
        selective_logprob.BACKWARD[config],
        dtype, "i64", odd, tmp_path,
        ALIKE=alike,
    )  # fmt: skip
    assert binary.stack == 0
    assert binary.registers <= 80
    assert STORE_128 in binary.ptx
    assert (LOAD_128 in binary.ptx) or not alike


@pytest.mark.parametrize("rewards", ["fp32", "fp64"])
@ids
@pytest.mark.parametrize("token_weighted", [True, False])
@pytest.mark.parametrize("estimator", ["trr++", "global", "dr_grpo", "rloo"])
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
        | {"BLOCK_S": block.block_s, "BLOCK_N": block.block_n},
        [name for name in kernel.arg_names if name.endswith("_ptr")],
        block.num_warps,
        tmp_path,
    )
    assert binary.stack == 0
    assert STORE_128 in binary.ptx


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
    config = selective_logprob.FORWARD["narrow"]
    binary = compile_logprob(kernel, config, "bf16", ids, True, tmp_path, **constants)
    assert binary.stack == 0
