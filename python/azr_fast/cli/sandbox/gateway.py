"""Serve SandboxFusion's `POST /run_code` over HTTP, for clients that speak it, such as verl.

Runs Python scripts, with threads, processes, asyncio and files below /tmp where the sandbox has a
jail, and with installed packages where --path and --preload allow them; at its start it says what
it serves and what it refuses. Other languages, `files` and `fetch_files` are answered SandboxError
with the name of what is not served. GET /v1/ping is the health check. A request may ask for less
than --timeout and --memory, not for more. Who can reach HOST:PORT can run programs: there is no
password. A request must be whole within 30 s. Ctrl-C or SIGTERM answers what was accepted, a
second one ends it at once.

  azr-fast sandbox gateway --http 127.0.0.1:8080
  curl -s http://127.0.0.1:8080/v1/ping   # from another shell; clients: SANDBOX_FUSION_ENDPOINT
  azr-fast sandbox gateway --http 127.0.0.1:8080 --path /opt/packages --preload numpy
  azr-sandboxd --socket /tmp/azr.sock --jail 2 &
  azr-fast sandbox gateway --http 127.0.0.1:8080 --socket /tmp/azr.sock"""

from __future__ import annotations

import argparse
import resource
import signal
import socket
from typing import NamedTuple

from azr_fast.cli.sandbox.options import (
    add_daemon_options,
    add_limit_options,
    add_place_options,
    limits_of,
    opened,
)
from azr_fast.cli.stop import stop_on_signals
from azr_fast.errors import UserError
from azr_fast.sandbox.messages import Limits, Place
from azr_fast.threads import usable_cores

_BACKLOG = 1024
_MOST_AT_ONCE = 1000


class Address(NamedTuple):
    """Where to serve."""

    host: str
    port: int


def add_options(parser: argparse.ArgumentParser) -> None:
    """Where to serve, how much at once, the limits, the daemon."""
    parser.add_argument(
        "--http",
        metavar="HOST:PORT",
        type=address,
        required=True,
        help="where to serve; port 0: a free one; [::1]:8080 for IPv6",
    )
    parser.add_argument(
        "--in-flight",
        metavar="N",
        type=count,
        default=4 * usable_cores(),
        help="programs handed to the sandbox at once, others wait (default: 4 per core)",
    )
    parser.add_argument(
        "--per-client",
        metavar="N",
        type=count,
        default=500,
        help="connections of one address; one more ends the oldest that has not sent its whole "
        "request, or is answered 503 (default: %(default)s)",
    )
    add_limit_options(parser, timeout="60000", memory="1G", output="1M")
    add_place_options(parser)
    add_daemon_options(parser)
    parser.set_defaults(run=serve)


def serve(space: argparse.Namespace) -> int:
    """Serve until a signal."""
    from azr_fast.sandbox.gateway import application, make_server  # the extra `gateway`

    most = limits_of(space)
    _raise_descriptor_limit()
    with _listener(space.http) as listener, opened(space, jails=2 * usable_cores()) as client:
        place, info = Place(space.tier, space.pool), client.info()
        check_place(place, info)
        app = application(client.path, most, space.in_flight, place)
        server = make_server(app, most, space.per_client)

        def stop() -> None:
            server.should_exit = True

        # A second Ctrl-C ends the process at once, as SIGTERM does; our daemon then ends by itself.
        # KeyboardInterrupt would unwind an event loop with requests in it, which answers none.
        with stop_on_signals(stop, on_second_interrupt=signal.SIG_DFL):
            print(f"gateway {_url(listener)}", flush=True)
            print("\n".join(terms(space, most, has_jail(place, info))), flush=True)
            server.run(sockets=[listener])
    return 0


def check_place(place: Place, info: dict[str, dict[str, str]]) -> None:
    """UserError for a tier or a pool that the daemon, whose INFO this is, does not have."""
    parts = {part for zygote in info["zygotes"].values() for part in zygote.split(",")}
    for name, value in (("pool", place.pool), ("tier", place.tier)):
        if value and f"{name}={value}" not in parts:
            there = sorted(part.partition("=")[2] for part in parts if part.startswith(f"{name}="))
            raise UserError(f"the daemon has no {name} '{value}': it has {', '.join(there)}")


def has_jail(place: Place, info: dict[str, dict[str, str]]) -> bool:
    """Whether scripts that run at `place` can come to a jail; a pool's own zygotes have none, and
    the daemon lists those that this machine or --path does not allow as dead."""
    pool = f"pool={place.pool or 'default'},tier=jail,"
    jails = [zygote for zygote in info["zygotes"].values() if zygote.startswith(pool)]
    return place.tier in ("", "jail") and any(",state=dead," not in jail for jail in jails)


def terms(space: argparse.Namespace, most: Limits, jail: bool) -> list[str]:
    """What is served and what is refused, for the operator to read."""
    imports = ", ".join(["the standard library", *filter(None, space.path.split(":"))])
    needs_jail = "threads, processes, asyncio and files below /tmp"
    served = [f"python scripts, importing from {imports}"]
    refused = ["other languages", "files and fetch_files", "network"]
    (served if jail else refused).append(needs_jail)
    bounds = f"{most.timeout_ms / 1000:g} s, {most.memory_bytes >> 20} MiB"
    why = "" if jail else "; there is no jail for scripts (azr-fast sandbox check, or the pool)"
    return [
        f"serves {'; '.join(served)}; up to {bounds} each",
        f"refuses {'; '.join(refused)}{why}",
    ]


def address(text: str) -> Address:
    """HOST:PORT."""
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise argparse.ArgumentTypeError(f"'{text}' is not HOST:PORT, such as 127.0.0.1:8080")
    return Address(host.removeprefix("[").removesuffix("]"), int(port))


def count(text: str) -> int:
    """How many at once."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST_AT_ONCE):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1 to {_MOST_AT_ONCE}")
    return int(text)


def _raise_descriptor_limit() -> None:
    """Each connection is a descriptor: as many as may be had without asking anybody."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _listener(at: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in at.host else socket.AF_INET
    try:
        return socket.create_server(at, family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(
            f"cannot serve at {at.host}:{at.port}: {reason}; choose another --http"
        ) from None


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
