"""What the commands share: which daemon, what limits, and the program's source."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from azr_fast.errors import UserError
from azr_fast.sandbox.client import Client, SandboxLost
from azr_fast.sandbox.launcher import LEVELS, Imports, open_client
from azr_fast.sandbox.messages import LARGEST_WORD, TIERS, Limits

STDIN = Path("-")
_LONGEST_MS = 3_600_000  # as the daemon
_LEAST_MEMORY = 1 << 20
_LARGEST_OUTPUT = 32 << 20
_UNITS = {"": 0, "K": 10, "M": 20, "G": 30}


def add_daemon_options(parser: argparse.ArgumentParser) -> None:
    """--socket, --require, and what a daemon of our own lets programs import."""
    parser.add_argument(
        "--socket",
        metavar="PATH",
        default="",
        help="the running azr-sandboxd to use (default: one is started, and stopped at the end)",
    )
    parser.add_argument(
        "--require",
        choices=LEVELS[1:],
        default="seccomp",
        help="refuse a sandbox that isolates less (default: %(default)s)",
    )

    for name, value, text in (
        ("path", "DIR:DIR", "folders that programs import from besides the standard library"),
        ("preload", "A,B", "modules imported before any program, such as numpy"),
        ("pools", "'NAME=N:A,B ...'", "zygotes with other modules imported, for --pool NAME"),
    ):
        parser.add_argument(
            f"--{name}",
            metavar=value,
            default="",
            help=f"{text} (without --socket: an option of that azr-sandboxd)",
        )


def add_place_options(parser: argparse.ArgumentParser) -> None:
    """--tier and --pool."""
    parser.add_argument(
        "--tier",
        choices=TIERS,
        default="",
        help="the least isolation that will do (default: the fastest that the program can do with)",
    )
    parser.add_argument(
        "--pool",
        metavar="NAME",
        default="",
        help="run in a zygote of this pool of the daemon (default: those with its usual imports)",
    )


def add_seed_option(parser: argparse.ArgumentParser) -> None:
    """--seed."""
    parser.add_argument(
        "--seed",
        metavar="N",
        type=seed,
        help="state of Python's random generator, and of numpy's where it is imported beforehand "
        "(default: another one each time)",
    )


def add_limit_options(parser: argparse.ArgumentParser, **defaults: str) -> None:
    """--timeout, --memory and --output; `defaults` as they would be typed."""
    limits: tuple[tuple[str, str, Callable[[str], int], str], ...] = (
        ("timeout", "MS", milliseconds, "milliseconds until the program is killed"),
        ("memory", "SIZE", memory, "bytes that it may use, or with a unit: 64K, 512M, 2G"),
        ("output", "SIZE", output, "bytes that it may write, or its values may be long"),
    )
    for name, unit, read, text in limits:
        parser.add_argument(
            f"--{name}",
            metavar=unit,
            type=read,
            default=defaults[name],
            help=f"{text} (default: %(default)s)",
        )


def milliseconds(text: str) -> int:
    """A deadline."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _LONGEST_MS):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1 to {_LONGEST_MS}")
    return int(text)


def seed(text: str) -> int:
    """A seed, as the daemon takes it."""
    if not (text.isascii() and text.isdigit() and int(text) < 1 << 63):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 0 to 2**63 - 1")
    return int(text)


def memory(text: str) -> int:
    """A limit of memory."""
    bytes_ = _size(text)
    if bytes_ < _LEAST_MEMORY:
        raise argparse.ArgumentTypeError(f"'{text}' is less than 1M")
    return bytes_


def output(text: str) -> int:
    """A limit of output."""
    bytes_ = _size(text)
    if bytes_ > _LARGEST_OUTPUT:
        raise argparse.ArgumentTypeError(f"'{text}' is more than 32M")
    return bytes_


def _size(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,12})([KMG]?)", text, re.ASCII)
    if not match:
        raise argparse.ArgumentTypeError(f"'{text}' is no size, such as 4096, 64K, 512M or 2G")
    return int(match[1]) << _UNITS[match[2]]


def limits_of(space: argparse.Namespace) -> Limits:
    """The limits that were typed."""
    return Limits(space.timeout, space.memory, space.output)


def place_of(space: argparse.Namespace) -> dict[str, Any]:
    """Where the job is to run, as keywords of `Client.call` and `Client.run`."""
    return {"tier": space.tier, "pool": space.pool, "seed": space.seed}


@contextmanager
def opened(space: argparse.Namespace, zygotes: int = 0, jails: int = 0) -> Iterator[Client]:
    """A client of the daemon at --socket, or of one that ends with the context."""
    limits, imports = limits_of(space), Imports(space.path, space.preload, space.pools)
    try:
        with open_client(
            space.socket, limits, space.require, zygotes, jails=jails, imports=imports
        ) as client:
            yield client
    except SandboxLost as error:
        raise UserError(f"{error}: start it again") from error
    except redis.ResponseError as error:
        raise UserError(f"azr-sandboxd refuses this: {error}") from error


def read_source(path: Path) -> str:
    """The text of a program; `-` is our stdin."""
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text; save it as UTF-8") from None


def read_bytes(path: Path) -> bytes:
    """A file; `-` is our stdin."""
    try:
        data = _read(path, LARGEST_WORD + 1)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the path") from None
    if len(data) > LARGEST_WORD:
        raise UserError(f"{path} is larger than azr-sandboxd takes: {LARGEST_WORD >> 20} MiB")
    return data


def _read(path: Path, most: int) -> bytes:
    if path == STDIN:
        return sys.stdin.buffer.read(most)
    with path.open("rb") as file:
        return file.read(most)
