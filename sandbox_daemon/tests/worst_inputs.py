"""The worst that a client can send as the arguments of each command."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass

MIB = 1 << 20
SMALL = 128 << 10  # bytes of a command that is no job
LINE = 64 << 10  # of a name, or of a command in one line


@dataclass(frozen=True)
class Worst:
    """A request, and how its answer begins."""

    name: str
    request: bytes
    answer: bytes = b""


def words(*texts: str | bytes) -> bytes:
    encoded = [text if isinstance(text, bytes) else text.encode() for text in texts]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(t), t) for t in encoded)


def connect(path: str) -> socket.socket:
    raw = socket.socket(socket.AF_UNIX)
    raw.connect(path)
    return raw


def ask(raw: socket.socket, worst: Worst) -> bytes:
    """Send it, and QUIT; the beginning of what came back until the daemon hung up."""
    start = b""
    with contextlib.suppress(OSError):  # it is refused before all of it was sent
        raw.sendall(worst.request + words("QUIT"))
    with contextlib.suppress(OSError):
        while piece := raw.recv(1 << 20):
            start += piece[: 200 - len(start)]
    return start


_REFUSED = b"-ERR Protocol error: "
_JOB = b"*"  # a map in RESP2
_SLOW_PATTERNS = ("*a" * 31 + "b", "?*" * 32, "[!a]*" * 12, "*" * 64, "[" * 64, "\\*" * 32)
_CASES = 16_000

WORST = [
    Worst("PING", words("PING", b"x" * (SMALL - 4)), b"$%d" % (SMALL - 4)),
    Worst("PING beyond its bound", words("PING", b"x" * (16 * MIB)), _REFUSED),
    Worst("ECHO", words("ECHO", b"x" * (SMALL - 4)), b"$%d" % (SMALL - 4)),
    Worst("HELLO", words("HELLO", "3", *("SETNAME", "x" * 250) * 500), b"%7"),
    Worst("INFO of an unknown section", words("INFO", b"x" * (SMALL - 4)), b"$0"),
    Worst("INFO", words("INFO") * 2000, b"$"),
    Worst("CLIENT SETNAME", words("CLIENT", "SETNAME", b"x" * 256) * 200, b"+OK"),
    Worst("CLIENT SETNAME too long", words("CLIENT", "SETNAME", b"x" * 120_000), b"-ERR a client"),
    Worst("CLIENT SETNAME beyond", words("CLIENT", "SETNAME", b"x" * (16 * MIB)), _REFUSED),
    Worst("CLIENT of an unknown kind", words("CLIENT", b"x" * (SMALL - 6)), b"-ERR unknown"),
    Worst("COMMAND DOCS", words("COMMAND", "DOCS", *["call"] * 1022), b"*2044"),
    Worst("COMMAND INFO", words("COMMAND", "INFO", *["x" * 120] * 1022), b"*1022"),
    *(
        Worst(f"CONFIG GET {i}", words("CONFIG", "GET", pattern) * 200, b"*")
        for i, pattern in enumerate(_SLOW_PATTERNS)
    ),
    Worst("CONFIG GET too long", words("CONFIG", "GET", "*a" * 60_000), b"-ERR a pattern"),
    Worst("CONFIG GET beyond", words("CONFIG", "GET", b"*a" * (15 * MIB // 2)), _REFUSED),
    Worst("an unknown command", words(b"x" * LINE), b"-ERR unknown command"),
    Worst("words of an array", words(*["x"] * 16_384), _REFUSED),
    Worst("more words than there may be", b"*99999999\r\n", _REFUSED),
    Worst("inline words", b"a " * 32_000 + b"\r\n", _REFUSED),
    Worst("empty lines", b"\r\n" * 500_000, b"+OK"),
    Worst("CALL of 16,000 cases", words("CALL", "def f(x): return x", "f", "16000",
                                        *["1"] * _CASES), _JOB),
    Worst("CALL with a long option", words("CALL", "", "f", "0", b"x" * (16 * MIB), "1"), b"-ERR"),
    Worst("CALL with a long number", words("CALL", "", "f", "0", "SEED", b"7" * (16 * MIB)),
          b"-ERR"),
    Worst("CALL with a long count", words("CALL", "", "f", b"0" * (16 * MIB)), b"-ERR"),
    Worst("CALL of a long name", words("CALL", "", b"f" * (16 * MIB), "0"), b"-ERR"),
    Worst("CALL with many options", words("CALL", "", "f", "0", *("TIMEOUT", "1") * 8_190), _JOB),
    Worst("CALL of 40 MiB", words("CALL", b"#" * (15 * MIB), "f", "2",
                                  *[b" " * (12 * MIB)] * 2), _JOB),
    Worst("RUN of 16 MiB", words("RUN", b"#" * (16 * MIB)), _JOB),
    Worst("RUN with 16 MiB of STDIN", words("RUN", "", "STDIN", b"x" * (16 * MIB)), _JOB),
    Worst("RUN with 32 MiB of output", words(
        "RUN", "import os\nfor _ in range(64): os.write(1, b'x' * (1 << 19))",
        "OUTPUT", str(32 * MIB), "TIMEOUT", "60000"), _JOB),
    Worst("CALL with 30 MiB of values", words(
        "CALL", "def f(): return 'x' * 30_000_000", "f", "1", "",
        "OUTPUT", str(32 * MIB), "TIMEOUT", "60000"), _JOB),
]  # fmt: skip
