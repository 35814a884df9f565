"""`azr-fast sandbox check | run | call`: the sandbox by hand."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from azr_fast.cli.parser import add_config_options, overrides
from azr_fast.config.load import load_config
from azr_fast.errors import UserError
from azr_fast.sandbox.client import CallReply, Client, Result, RunReply, SandboxLost
from azr_fast.sandbox.launcher import check_daemon, find_daemon, open_sandbox


def add_options(parser: argparse.ArgumentParser, _words: Sequence[str]) -> None:
    """`check`, `run FILE` and `call FILE ARGUMENTS…`."""
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    check = commands.add_parser("check", help="which layers of isolation this machine offers")
    check.set_defaults(run=check_layers)
    run = commands.add_parser("run", help="run a script; its stdin is ours")
    run.set_defaults(run=run_script)
    call = commands.add_parser("call", help="call a function of a program, print its values")
    call.set_defaults(run=call_function)
    for parser_of_file in (run, call):
        parser_of_file.add_argument("file", metavar="FILE", type=Path, help="Python source")
        add_config_options(parser_of_file, load_config("cpu"), ["sandbox"])
    call.add_argument("--entry", default="f", help="the function to call (default: f)")
    call.add_argument(
        "arguments",
        metavar="ARGUMENTS",
        nargs="+",
        help="argument lists as inside a call's parentheses: \"[3, 1], 'a'\"; one call each",
    )


def check_layers(_space: argparse.Namespace) -> int:
    """The daemon's own report. 0 when it would start, else 1."""
    return int(check_daemon(find_daemon()).returncode != 0)


def run_script(space: argparse.Namespace) -> int:
    """Run a script; pass its output on. Its own exit code, or 1 when it was stopped."""
    script = _read(space.file)
    stdin = "" if sys.stdin.isatty() else sys.stdin.read()
    with _open(space) as client:
        reply = client.run(script, stdin)
    sys.stdout.write(reply.stdout or "")
    sys.stderr.write(reply.stderr or "")
    if reply.verdict != "ok":
        print(f"sandbox: {describe(reply)}", file=sys.stderr)
    return 1 if reply.exit is None else reply.exit


def call_function(space: argparse.Namespace) -> int:
    """Call a function; one line per argument list. 0 when every call gave a value, else 1."""
    program = _read(space.file)
    with _open(space) as client:
        reply = client.call(program, space.entry, space.arguments)
    sys.stderr.write(f"{reply.stdout or ''}{reply.stderr or ''}")
    if reply.verdict != "ok":
        print(f"sandbox: {describe(reply)}", file=sys.stderr)
    for result in reply.results:
        print(result.value if result.verdict == "ok" else f"<{describe(result)}>")
    verdicts = [reply.verdict, *(result.verdict for result in reply.results)]
    return int(any(verdict != "ok" for verdict in verdicts))


def describe(outcome: RunReply | CallReply | Result) -> str:
    """A verdict with what is known about it, on one line."""
    parts = [outcome.verdict, outcome.type, outcome.message]
    if outcome.line:
        parts.append(f"line {outcome.line}")
    if not isinstance(outcome, Result) and outcome.syscall:
        parts.append(f"system call {outcome.syscall}")
    if not isinstance(outcome, Result) and outcome.signal:
        parts.append(f"signal {outcome.signal}")
    once = dict.fromkeys(part for part in parts if part)  # a message may name the system call
    return ": ".join(once).replace("\n", " ")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the path") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text; save it as UTF-8") from None


@contextmanager
def _open(space: argparse.Namespace) -> Iterator[Client]:
    try:
        with open_sandbox(load_config("cpu", overrides(space)).sandbox) as client:
            yield client
    except SandboxLost as error:
        raise UserError(str(error)) from error
