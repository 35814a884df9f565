"""Run a script in the sandbox, with its own stdin, output and exit status.

Its stdout and stderr are passed on as they are; the last line on stderr is the verdict. The exit
status is the script's; 124 when its time was up, 128 and the signal when it was killed (159: for
a forbidden system call), 2 when it could not be run. A script that makes threads, processes, Unix
sockets or files is run in a jail, where files go below /tmp, if this machine can have one.

  echo 'print(6 * 7)' | azr-fast sandbox run -
  echo 'print(input()[::-1])' > script.py; echo hello > input.txt
  azr-fast sandbox run script.py --stdin input.txt --timeout 500 --memory 64M
  echo 'import numpy' | azr-fast sandbox run - --path /opt/packages --preload numpy
  azr-sandboxd --socket /tmp/azr.sock &
  azr-fast sandbox run script.py --stdin input.txt --socket /tmp/azr.sock"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from azr_fast.cli.sandbox.options import (
    STDIN,
    add_daemon_options,
    add_limit_options,
    add_place_options,
    add_seed_option,
    opened,
    place_of,
    read_bytes,
    read_source,
)
from azr_fast.cli.sandbox.show import pass_on
from azr_fast.errors import UserError
from azr_fast.sandbox.messages import RunReply

_TIME_IS_UP = 124  # as timeout(1)
_KILLED = 128  # and the signal, as in a shell


def add_options(parser: argparse.ArgumentParser) -> None:
    """The script, its stdin, the limits, the daemon."""
    parser.add_argument("file", metavar="FILE", type=Path, help="Python source; - for our stdin")
    parser.add_argument(
        "--stdin", metavar="FILE", type=Path, help="what it reads; - for our stdin (default: empty)"
    )
    add_limit_options(parser, timeout="2000", memory="512M", output="1M")
    add_place_options(parser)
    add_seed_option(parser)
    add_daemon_options(parser)
    parser.set_defaults(run=run_script)


def run_script(space: argparse.Namespace) -> int:
    """Run the script; its exit status."""
    if space.file == space.stdin == STDIN:
        raise UserError("FILE and --stdin are both -: only one of them can be our stdin")
    script = read_source(space.file)
    stdin = read_bytes(space.stdin) if space.stdin else b""
    with opened(space, zygotes=1, jails=1) as client:
        reply = client.run(script, stdin, **place_of(space))
    sys.stdout.buffer.write(reply.stdout or b"")
    pass_on(reply, verdict_too=True)
    return exit_status(reply)


def exit_status(reply: RunReply) -> int:
    """As a shell has it; never 0 without the verdict ok."""
    if reply.verdict == "timeout":
        return _TIME_IS_UP
    if reply.exit is None:
        return _KILLED + reply.killed_by
    return reply.exit if reply.verdict == "ok" else reply.exit or 1
