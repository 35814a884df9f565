"""The words of SandboxFusion's `POST /run_code`, and what they mean to azr-sandboxd.

Field names and values are those that its server and its client package exchange. Its `Failed` is
a program's failure; its `SandboxError` is everything that kept a program from being judged, what
is not served here among it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, Field

from azr_fast.sandbox.messages import Limits, RunReply

_MIB = 1 << 20
_NO_THREAD = "can't start new thread"  # CPython's words (Modules/_threadmodule.c)


class RunRequest(BaseModel):
    """A request. Fields that mean nothing to a Python script are accepted and ignored."""

    code: str
    language: str
    stdin: str | None = None
    compile_timeout: float = Field(default=10, description="ignored: nothing is compiled")
    run_timeout: float = Field(default=10, gt=0, allow_inf_nan=False, description="seconds")
    memory_limit_MB: int = Field(default=-1, description="as SandboxFusion, MiB; < 1: the most")
    files: dict[str, str | None] = Field(default={}, description="must be empty")
    fetch_files: list[str] = Field(default=[], description="must be empty")


class CommandResult(BaseModel):
    """How the program ran."""

    status: Literal["Finished", "TimeLimitExceeded"]
    execution_time: float | None  # seconds
    cpu_time: float | None
    return_code: int | None  # negative: the signal that ended it
    stdout: str
    stderr: str


class RunResponse(BaseModel):
    """An answer. A message says why the status is not Success."""

    status: Literal["Success", "Failed", "SandboxError"]
    message: str = ""
    compile_result: None = None
    run_result: CommandResult | None = None
    executor_pod_name: str | None = None
    files: dict[str, str] = {}


def unserved(request: RunRequest, most: Limits) -> str | None:
    """What of a request is not served here, by name; None when all of it is."""
    if request.language != "python":
        return f"language {request.language!r} is not served here: only python is"
    if request.files:
        return f"files are not served here (got {_listed(request.files)}): programs see none"
    if request.fetch_files:
        names = _listed(request.fetch_files)
        return f"fetch_files are not served here (got {names}): programs can write none"
    if request.run_timeout * 1000 > most.timeout_ms:
        return (
            f"run_timeout {request.run_timeout:g} s is more than this gateway allows: "
            f"{most.timeout_ms / 1000:g} s, its --timeout"
        )
    if request.memory_limit_MB * _MIB > most.memory_bytes:
        return (
            f"memory_limit_MB {request.memory_limit_MB} is more than this gateway allows: "
            f"{most.memory_bytes // _MIB} MiB, its --memory"
        )
    return None


def limits_of(request: RunRequest, most: Limits) -> Limits:
    """The limits of the job that a request asks for."""
    memory = request.memory_limit_MB * _MIB if request.memory_limit_MB > 0 else most.memory_bytes
    return Limits(math.ceil(request.run_timeout * 1000), memory, most.output_bytes)


def response_to(reply: RunReply) -> RunResponse:
    """The answer for a job that was run. Only the verdict ok is Success."""
    late = reply.verdict == "timeout"
    result = CommandResult(
        status="TimeLimitExceeded" if late else "Finished",
        execution_time=_seconds((reply.wall_us or 0) - (reply.lost_us or 0)),
        cpu_time=_seconds(reply.cpu_us),
        return_code=None if late else _return_code(reply),
        stdout=_text(reply.stdout),
        stderr=_text(reply.stderr),
    )
    if reply.verdict == "ok":
        return RunResponse(status="Success", run_result=result)
    message = ": ".join(filter(None, [reply.verdict, reply.message, remedy(reply)]))
    return RunResponse(status="Failed", message=message, run_result=result)


def remedy(reply: RunReply) -> str:
    """What the operator would have to allow for a script that lacked something; empty: nothing.

    It is told by what the script met: a forbidden call or a thread that could not begin outside of
    a jail, a forbidden call inside of one, a module that is not there.
    """
    if reply.type in ("ModuleNotFoundError", "ImportError"):
        return "the operator of the gateway can let scripts import it: --path and --preload"
    if reply.verdict == "denied" and reply.tier == "jail":
        return "no script has a network, nor calls that change the machine"
    if reply.verdict == "denied" or reply.message == _NO_THREAD:
        return (
            "threads, processes and files below /tmp need a jail, which this gateway's sandbox "
            "has not here: azr-sandboxd has --jail N, and its --check says what is in the way"
        )
    return ""


def error_response(message: str) -> RunResponse:
    """The answer for a request that was not run."""
    return RunResponse(status="SandboxError", message=message)


def _listed(names: Iterable[str]) -> str:
    """Names that may hold anything, lone surrogates among it."""
    return ", ".join(map(repr, names))


def _return_code(reply: RunReply) -> int:
    """As subprocess has it. Never 0 without the verdict ok, `os._exit(0)` included."""
    if reply.exit is None:
        return -reply.killed_by
    return reply.exit if reply.verdict == "ok" else reply.exit or 1


def _seconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1e6


def _text(output: bytes | None) -> str:
    return (output or b"").decode("utf-8", "replace")
