"""The module of the CUDA kernels, built as -DAZR_CUDA=ON builds it, without a GPU: it refuses wrong
arrays by what DLPack tells of them, before anything is launched."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # it compiles for twenty seconds
SOURCES = Path(__file__).parents[2] / "csrc"
INT, FLOAT = 0, 2  # DLPack's codes
CUDA = 2


class Description(ctypes.Structure):
    """DLManagedTensor."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int),
        ("device", ctypes.c_int),
        ("dimensions", ctypes.c_int),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("offset", ctypes.c_uint64),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    )


new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype = ctypes.py_object
new_capsule.argtypes = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p


class OnGpu:
    """An array that is said to lie there."""

    def __init__(self, *shape, code=FLOAT, bits=32, device=0, strides=None):
        strides = strides or (*shape[1:], 1)
        self.keep = [(ctypes.c_int64 * len(shape))(*numbers) for numbers in (shape, strides)]
        kind = len(shape), code, bits, 1
        self.description = Description(4096, CUDA, device, *kind, *self.keep, 0, None, None)

    def __dlpack__(self, **_):
        return new_capsule(ctypes.addressof(self.description), b"dltensor", None)

    def __dlpack_device__(self):
        return CUDA, self.description.device


def ids(rows, **options):
    return OnGpu(rows, code=INT, bits=64, **options)


@pytest.fixture(scope="module")
def forward(tmp_path_factory):
    if shutil.which("nvcc") is None:
        pytest.skip("no nvcc on this machine")
    build = tmp_path_factory.mktemp("build")
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DAZR_WERROR=ON", "-DAZR_CUDA=ON"]
    options += [f"-DPython_EXECUTABLE={sys.executable}"]
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for command in (
        ["cmake", "-S", SOURCES, "-B", build, "-G", "Ninja", *options],
        ["cmake", "--build", build, "--target", "_kernels_cuda"],
    ):
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"PATH": tools}
        )
    sys.path.append(str(build))
    import _kernels_cuda

    sys.path.remove(str(build))

    def call(**bad):
        columns = ("scale", "logp", "entropy", "top", "log_sum")
        good = {"logits": OnGpu(4, 7), "targets": ids(4)} | {name: OnGpu(4) for name in columns}
        _kernels_cuda.selective_forward(**(good | {"ignore_index": -100, "stream": 0} | bad))

    return call


@pytest.mark.parametrize(
    ("message", "bad"),
    [
        ("all arrays must be on one GPU", {"targets": ids(4, device=1)}),
        ("all arrays must be on one GPU", {"scale": OnGpu(4, device=1)}),
        ("all arrays must be on one GPU", {"log_sum": OnGpu(4, device=1)}),
        ("one target per row of logits", {"targets": ids(3)}),
        ("per-row arrays must have one element per row", {"entropy": OnGpu(5)}),
        ("columns of logits must be contiguous", {"logits": OnGpu(4, 7, strides=(1, 4))}),
        ("logits have no columns", {"logits": OnGpu(4, 0)}),
        ("logits must be float32, bfloat16 or float16", {"logits": OnGpu(4, 7, bits=64)}),
    ],
)
def test_wrong_arrays_are_refused_by_name(forward, message, bad):
    with pytest.raises(ValueError, match=message):
        forward(**bad)


@pytest.mark.parametrize(
    "bad", [{"targets": OnGpu(4, code=INT)}, {"top": OnGpu(4, bits=64)}, {"logp": OnGpu(4, 1)}]
)
def test_nothing_is_converted_to_fit(forward, bad):
    with pytest.raises(TypeError):
        forward(**bad)
