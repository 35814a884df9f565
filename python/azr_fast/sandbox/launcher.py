"""Starts azr-sandboxd for a run and stops it on every way out."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Self

from azr_fast.config.schema import SandboxConfig
from azr_fast.errors import UserError
from azr_fast.sandbox.client import Client, SandboxLost
from azr_fast.sandbox.messages import Limits
from azr_fast.threads import usable_cores

_DAEMON = "azr-sandboxd"
_LONGEST_SOCKET_PATH = 107  # bytes; unix(7): sun_path is 108 with its closing null
_READY_SECONDS = 60.0
_STOP_SECONDS = 10.0
_RETURN_SECONDS = 10.0  # that a daemon of others has to come back
_LOOK_SECONDS = 0.2
LEVELS = ("none", "seccomp", "namespaces", "full")  # of isolation, weakest first


class Sandbox:
    """An azr-sandboxd of our own on a private socket, as a context manager.

    The daemon stops when the context ends; when this process dies without unwinding (SIGTERM,
    SIGKILL) the daemon, which watches it, stops and removes its socket by itself. Raises UserError
    when the daemon does not start.
    """

    path: str  # of the socket, while the context is entered

    def __init__(
        self, zygotes: int = 0, require: str = "seccomp", rewind: bool = True, jails: int = 0
    ) -> None:
        cores = usable_cores()
        self._zygotes = zygotes or 2 * cores
        # More than one: programs are run twice over to be compared.
        self._rewind = max(cores, 2) if rewind else 0
        self._require = require
        self._jails = jails  # as far as this machine can have any

    def __enter__(self) -> Self:
        self._executable = find_daemon()
        with ExitStack() as stack:
            folder = tempfile.mkdtemp(prefix="azr-")  # mode 0700
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            self.path = check_socket_path(f"{folder}/s")
            self._log = stack.enter_context(tempfile.TemporaryFile())
            self._process = self._start()
            stack.callback(lambda: _stop(self._process))
            _await_ready(self._process, self._log)
            self._exit = stack.pop_all()
        return self

    def _start(self) -> subprocess.Popen[bytes]:
        with _starting(self._executable):
            return subprocess.Popen(
                [self._executable, *self._arguments()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._log,
                process_group=0,  # Ctrl-C is for the trainer, which still needs its sandbox
            )

    def restart(self) -> None:
        """Put another daemon at the same path in place of one that died or does not answer.

        Raises UserError when it does not start.
        """
        _stop(self._process)
        Path(self.path).unlink(missing_ok=True)  # a daemon that was killed leaves its socket
        self._process = self._start()
        _await_ready(self._process, self._log)

    def __exit__(self, *_exception: object) -> None:
        self._exit.close()

    def client(self, limits: Limits) -> Client:
        """A new client of this daemon."""
        return Client(self.path, limits)

    def _arguments(self) -> list[str]:
        return [
            *("--socket", self.path, "--parent-death"),
            *("--zygotes", str(self._zygotes), "--rewind", str(self._rewind)),
            *("--require", self._require),
            *("--jail", str(self._jails), "--jail-optional"),
        ]


def open_sandbox(config: SandboxConfig) -> AbstractContextManager[Client]:
    """`open_client` as the config of a run has it."""
    limits = Limits(config.timeout_ms, config.memory_mib << 20, config.output_kib << 10)
    return open_client(config.socket, limits, config.require, config.zygotes, config.rewind)


@contextmanager
def open_client(
    socket: str, limits: Limits, require: str, zygotes: int = 0, rewind: bool = True, jails: int = 0
) -> Iterator[Client]:
    """A client of the daemon at `socket`, or, if that is empty, of one that lives as long as the
    context. Raises UserError when there is none to talk to.
    """
    with ExitStack() as stack:
        own = not socket and stack.enter_context(Sandbox(zygotes, require, rewind, jails))
        path = own.path if own else check_socket_path(socket)
        client = stack.enter_context(closing(Client(path, limits)))
        client.restart = own.restart if own else partial(_await_return, client)
        _check_level(client, require)
        yield client


def _await_return(client: Client) -> None:
    """Wait for a daemon that others start. Raises SandboxLost when it does not come back."""
    deadline = time.monotonic() + _RETURN_SECONDS
    while time.monotonic() < deadline:
        with suppress(SandboxLost):
            client.info()
            return
        time.sleep(_LOOK_SECONDS)
    client.info()


def _check_level(client: Client, required: str) -> None:
    """UserError unless the client's daemon answers and isolates at least as `required`."""
    try:
        level = client.info()["security"]["level"]
    except SandboxLost as error:
        raise UserError(
            f"no azr-sandboxd answers at {client.path}: start one there, or name no socket"
        ) from error
    if LEVELS.index(level) < LEVELS.index(required):
        raise UserError(
            f"azr-sandboxd at {client.path} isolates at level {level}, {required} is required: "
            "start another, see azr-sandboxd --check, or require less"
        )


def find_daemon() -> str:
    """The azr-sandboxd to run: $AZR_SANDBOXD, else beside this Python, else on the PATH."""
    named = os.environ.get("AZR_SANDBOXD")
    if named:
        if not (Path(named).is_file() and os.access(named, os.X_OK)):
            raise UserError(
                f"AZR_SANDBOXD names {named}, which is not an executable file: name azr-sandboxd, "
                "or unset it"
            )
        return named
    found = shutil.which(_DAEMON, path=Path(sys.executable).parent) or shutil.which(_DAEMON)
    if found is None:
        raise UserError(
            f"{_DAEMON} is neither beside {sys.executable} nor on the PATH: "
            "install azr-fast with pip, or set AZR_SANDBOXD to the executable"
        )
    return found


def check_daemon(executable: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
    """Its own report on the layers of isolation, shown or captured. UserError if it cannot run."""
    with _starting(executable):
        return subprocess.run(
            [executable, "--check"], capture_output=capture, text=True, check=False
        )


@contextmanager
def _starting(executable: str) -> Iterator[None]:
    """UserError for a file that the system cannot run, such as one of another architecture."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot start {executable}: {error.strerror}; install azr-fast again, or let "
            "AZR_SANDBOXD name another azr-sandboxd"
        ) from None


def check_socket_path(path: str) -> str:
    """`path` itself; UserError when it is too long for a Unix socket."""
    length = len(os.fsencode(path))
    if length > _LONGEST_SOCKET_PATH:
        raise UserError(
            f"socket path of {length} bytes is too long (at most {_LONGEST_SOCKET_PATH}): "
            f"choose a shorter one for the socket, or for TMPDIR: {path}"
        )
    return path


def _await_ready(process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    """Wait for the line `ready <socket>`; UserError with the daemon's own words when none comes."""
    assert process.stdout is not None
    deadline = time.monotonic() + _READY_SECONDS
    line = b""
    while not line.endswith(b"\n"):
        left = max(0.0, deadline - time.monotonic())
        if not select.select([process.stdout], [], [], left)[0]:
            raise UserError(f"{_DAEMON} was not ready after {_READY_SECONDS:.0f} s: {_words(log)}")
        chunk = os.read(process.stdout.fileno(), 4096)
        if not chunk:
            code = process.wait()
            raise UserError(f"{_DAEMON} did not start (exit code {code}): {_words(log)}")
        line += chunk
    if not line.startswith(b"ready "):
        raise UserError(f"{process.args!r} is no {_DAEMON}: it said {line!r}")


def _words(log: IO[bytes]) -> str:
    """The last line that the daemon wrote to stderr."""
    log.seek(0)
    lines = log.read().decode(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "it said nothing")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the daemon to stop; after a while make it."""
    with process:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
