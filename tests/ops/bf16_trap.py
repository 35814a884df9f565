"""Kernels that show what the interpreter does to bf16, for test_triton_guards.py."""

import torch
import triton
import triton.language as tl


@triton.jit
def _double(in_ptr, out_ptr, UPCAST: tl.constexpr):
    lanes = tl.arange(0, 16)
    x = tl.load(in_ptr + lanes)
    if UPCAST:
        x = x.to(tl.float32)
    tl.store(out_ptr + lanes, (x + x).to(tl.float32))


def doubled(x, upcast):
    out = torch.full(x.shape, torch.nan)
    _double[(1,)](x, out, UPCAST=upcast)
    return out


@triton.jit
def _round(in_ptr, out_ptr):
    lanes = tl.arange(0, 16)
    tl.store(out_ptr + lanes, tl.load(in_ptr + lanes).to(tl.bfloat16))


def rounded(x):
    out = torch.full(x.shape, torch.nan, dtype=torch.bfloat16)
    _round[(1,)](x, out)
    return out


@triton.jit
def _product(a_ptr, b_ptr, out_ptr, UPCAST: tl.constexpr):
    lanes = tl.arange(0, 16)
    at = lanes[:, None] * 16 + lanes[None, :]
    a, b = tl.load(a_ptr + at), tl.load(b_ptr + at)
    if UPCAST:
        a, b = a.to(tl.float32), b.to(tl.float32)
    tl.store(out_ptr + at, tl.dot(a, b))


def product(a, b, upcast):
    out = torch.full(a.shape, torch.nan)
    _product[(1,)](a, b, out, UPCAST=upcast)
    return out
