"""GPU kernels, one per file, imported only when a GPU operation is called: see azr_fast.ops.

They lie in `triton_kernels/` at the root of a source tree; a wheel puts them beside this file.
"""

from pathlib import Path

_SOURCES = Path(__file__).parents[3] / "triton_kernels"
if _SOURCES.is_dir():
    __path__.append(str(_SOURCES))
