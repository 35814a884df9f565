"""The dtype that a machine computes fastest with."""

import pytest

from azr_fast import hardware
from azr_fast.config.load import load_config

MILAN = "processor\t: 0\nflags\t\t: fpu fma avx avx2\n\nprocessor\t: 1\nflags\t\t: fpu avx512bw\n"
SKYLAKE = "processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512bw\n"
GRAVITON = "processor\t: 0\nBogoMIPS\t: 2100\nFeatures\t: fp asimd bf16\n"
PI = "processor\t: 0\nFeatures\t: fp asimd\n"


@pytest.mark.parametrize(
    ("cpuinfo", "gpu", "dtype"),
    [
        (MILAN, False, "float32"),
        (MILAN, True, "bfloat16"),
        (SKYLAKE, False, "bfloat16"),
        (GRAVITON, False, "bfloat16"),
        (PI, False, "float32"),
        ("", False, "float32"),
    ],
)
def test_bfloat16_is_chosen_where_it_is_multiplied(monkeypatch, tmp_path, cpuinfo, gpu, dtype):
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr(hardware, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(hardware, "gpu_usable", lambda: gpu)
    assert hardware.fastest_dtype() == dtype


def test_a_dtype_that_is_set_wins():
    for dtype in ("bfloat16", "float32"):
        assert load_config("cpu", {"model.dtype": dtype}).model.dtype == dtype
    assert load_config("cpu").model.dtype == hardware.fastest_dtype()
