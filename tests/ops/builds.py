"""The builds of the C++ kernels, one per instruction set."""

import pytest

ISAS = ("amx", "avx512bf16", "avx2", "portable")


def use_isa(name, monkeypatch):
    """Make a build of the C++ kernels the one in use; skip where this processor cannot run it."""
    from azr_fast import _kernels

    monkeypatch.setenv("AZR_ISA", name)
    try:
        assert _kernels.isa() == name
    except ValueError as refused:
        pytest.skip(str(refused))
