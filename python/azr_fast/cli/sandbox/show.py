"""What a program came to, as text that is safe to print: its words may hold control characters."""

from __future__ import annotations

import sys

from azr_fast.sandbox.messages import CallReply, Result, RunReply


def describe(outcome: RunReply | CallReply | Result) -> str:
    """A verdict with what is known about it, on one line."""
    parts = [outcome.verdict, outcome.type, outcome.reason, outcome.message]
    if outcome.line:
        parts.append(f"line {outcome.line}")
    if not isinstance(outcome, Result) and outcome.syscall:
        parts.append(f"system call {outcome.syscall}")
    if not isinstance(outcome, Result) and outcome.signal:
        parts.append(f"signal {outcome.signal}")
    once = dict.fromkeys(part for part in parts if part)  # a message may name the system call
    return printable(": ".join(once))


def usage(reply: RunReply | CallReply) -> str:
    """What it used."""
    used = (
        (reply.cpu_us, 1000, "ms cpu"),
        (reply.wall_us, 1000, "ms"),
        (reply.lost_us or None, 1000, "ms of it lost"),
        (reply.max_rss_kib, 1024, "MiB"),
    )
    return ", ".join(f"{n / unit:.1f} {name}" for n, unit, name in used if n is not None)


def printable(text: str) -> str:
    """The same text with everything escaped that could move a cursor."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def pass_on(reply: RunReply | CallReply, verdict_too: bool) -> None:
    """The program's stderr as it is, and then a line of ours."""
    errors = reply.stderr or b""
    sys.stdout.flush()
    sys.stderr.buffer.write(errors)
    sys.stderr.flush()
    if verdict_too:
        own_line = "" if not errors or errors.endswith(b"\n") else "\n"
        print(f"{own_line}sandbox: {describe(reply)} ({usage(reply)})", file=sys.stderr)
