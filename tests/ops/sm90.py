"""Compiles Triton kernels for an H100 or H200 on a machine without one.

Triton keeps what it compiled by the kernel's source, the versions of its compilers and every option;
a folder outside the checkout saves a clean one the work.
"""

import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
CUOBJDUMP, PTXAS = TOOLS / "cuobjdump", TOOLS / "ptxas"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "azr-fast-tests/triton"


class Binary(NamedTuple):
    ptx: str
    registers: int
    stack: int  # bytes; what spills goes there
    shared: int  # bytes


def compile_kernel(kernel, types, constants, aligned, num_warps, tmp_path, num_stages=3):
    """`types` and `constants` by name of argument; `aligned` ones are multiples of 16."""
    names = kernel.arg_names
    signature = {name: "constexpr" if name in constants else types[name] for name in names}
    source = ASTSource(
        kernel,
        signature,
        {(names.index(name),): value for name, value in constants.items()},
        {(names.index(name),): [["tt.divisibility", 16]] for name in aligned},
    )
    compiled = triton.compile(
        source,
        target=GPUTarget("cuda", 90, 32),
        options={"num_warps": num_warps, "num_stages": num_stages},
    )
    cubin = tmp_path / "kernel.cubin"
    cubin.write_bytes(compiled.asm["cubin"])
    usage = subprocess.run(
        [CUOBJDUMP, "--dump-resource-usage", cubin], capture_output=True, text=True, check=True
    ).stdout
    (registers, stack) = re.search(r"REG:(\d+) STACK:(\d+)", usage).groups()
    return Binary(compiled.asm["ptx"], int(registers), int(stack), compiled.metadata.shared)


def ptxas_warnings(binary, tmp_path):
    """What the assembler has to say, as that it puts products one after the other."""
    source = tmp_path / "kernel.ptx"
    source.write_text(binary.ptx)
    command = [PTXAS, "--gpu-name=sm_90a", source, "-o", tmp_path / "again.cubin"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr
