"""What the interpreter gets wrong: why kernels upcast right after each load, and what a test of
bf16 results may expect of it. Should one of these fail, a later Triton has mended its interpreter."""

import torch
from head_cases import error


def test_interpreted_bf16_arithmetic_is_wrong_unless_upcast(interpreter):
    x = torch.arange(1.0, 17.0).bfloat16()
    expected = x.float() * 2
    right, _ = interpreter("bf16_trap:doubled", x, upcast=True)
    wrong, _ = interpreter("bf16_trap:doubled", x, upcast=False)
    assert torch.equal(right, expected)
    assert ((wrong - expected).abs() > 1).any()


def test_interpreted_bf16_products_are_wrong_unless_upcast(interpreter, generator):
    a, b = torch.randn(2, 16, 16, generator=generator).bfloat16()
    expected = a.double() @ b.double()
    right, _ = interpreter("bf16_trap:product", a, b, upcast=True)
    wrong, _ = interpreter("bf16_trap:product", a, b, upcast=False)
    assert error(right, expected) < 1e-6
    assert error(wrong, expected) > 1.0


def test_interpreted_stores_cut_bf16_off(interpreter):
    """1 + 3/512 lies between the bf16 numbers 1 and 1 + 4/512."""
    x = torch.full((16,), 1 + 3 / 512)
    stored, _ = interpreter("bf16_trap:rounded", x)
    assert stored.tolist() == [1.0] * 16
    assert x.bfloat16().tolist() == [1 + 4 / 512] * 16
