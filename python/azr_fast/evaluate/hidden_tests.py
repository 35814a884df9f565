"""The tests of LiveCodeBench's records, the hidden ones too."""

from __future__ import annotations

import base64
import io
import json
import pickle
import zlib
from typing import Any


def read_tests(text: str) -> list[dict[str, Any]]:
    """Tests as JSON, or as the authors pack the hidden ones: base64, zlib, a pickled JSON text.

    Raises ValueError for a pickle of anything else, and runs nothing of it.
    """
    try:
        return json.loads(text)  # type: ignore[no-any-return]
    except ValueError:
        packed = zlib.decompress(base64.b64decode(text))
        return json.loads(_TextAlone(io.BytesIO(packed)).load())  # type: ignore[no-any-return]


class _TextAlone(pickle.Unpickler):
    """Unpickles plain data; a pickle that names anything of any module is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise ValueError(f"the hidden tests name {module}.{name}")
