"""Watch a running daemon: its zygotes, queue, throughput and verdicts, every second.

Ctrl-C ends it. Where the output is no terminal, one snapshot is printed, as with --once.

  azr-sandboxd --socket /tmp/azr.sock &
  azr-fast sandbox top --socket /tmp/azr.sock
  azr-fast sandbox top --socket /tmp/azr.sock --once"""

from __future__ import annotations

import argparse
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from azr_fast.errors import UserError
from azr_fast.sandbox.client import Client, SandboxLost
from azr_fast.sandbox.launcher import check_socket_path
from azr_fast.sandbox.messages import Limits

_EVERY_SECONDS = 1.0
_LISTED = ("pools", "zygotes", "latency")  # sections, shown where the daemon has them
_VERDICT = "verdict_"
_HISTOGRAM = "_buckets"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the daemon said of itself, and when."""

    at: float
    info: dict[str, dict[str, str]]

    @property
    def verdicts(self) -> dict[str, int]:
        """How many programs came to each verdict."""
        stats = self.info["stats"].items()
        return {k.removeprefix(_VERDICT): int(v) for k, v in stats if k.startswith(_VERDICT)}

    @property
    def programs(self) -> int:
        """How many have ended."""
        return sum(self.verdicts.values())


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which daemon, and how often."""
    parser.add_argument("--socket", metavar="PATH", required=True, help="where the daemon serves")
    parser.add_argument("--once", action="store_true", help="print one snapshot and end")
    parser.set_defaults(run=top)


def top(space: argparse.Namespace) -> int:
    """Show it until Ctrl-C, or once."""
    path, console = check_socket_path(space.socket), Console()
    with closing(Client(path, Limits(1, 1 << 20, 1))) as client:
        try:
            if space.once or not console.is_terminal:
                console.print(view(_take(client), None))
            else:
                _watch(client, console)
        except SandboxLost as error:
            raise UserError(f"no azr-sandboxd answers at {path}: is it still running?") from error
        except KeyboardInterrupt:
            pass
    return 0


def _take(client: Client) -> Snapshot:
    return Snapshot(time.monotonic(), client.info())


def _watch(client: Client, console: Console) -> None:
    last = _take(client)
    with Live(view(last, None), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(_EVERY_SECONDS)
            now = _take(client)
            live.update(view(now, last), refresh=True)
            last = now


def view(now: Snapshot, before: Snapshot | None) -> Group:
    """One screen. The rate is since the snapshot `before`, or since the daemon's start."""
    sections = (table(name, now.info[name]) for name in _LISTED if now.info.get(name))
    return Group(_daemon(now), _load(now, before), "", _verdicts(now), *sections)


def rate(now: Snapshot, before: Snapshot | None) -> float:
    """Programs per second."""
    if before is None:
        return now.programs / max(1, int(now.info["server"]["uptime_in_seconds"]))
    return (now.programs - before.programs) / (now.at - before.at)


def _daemon(now: Snapshot) -> Text:
    server = now.info["server"]
    up = timedelta(seconds=int(server["uptime_in_seconds"]))
    level, clients = now.info["security"]["level"], now.info["clients"]["connected_clients"]
    return Text(
        f"azr-sandboxd {server['version']} at {server['socket']}, up {up}, level {level}, "
        f"clients {clients}"
    )


def _load(now: Snapshot, before: Snapshot | None) -> Text:
    stats = now.info["stats"]
    return Text(
        f"waiting {stats['jobs_waiting']}  running {stats['programs_running']}  "
        f"programs {now.programs}  {rate(now, before):.1f}/s{'' if before else ' on average'}"
    )


def _verdicts(now: Snapshot) -> Table:
    shown = Table(*now.verdicts, box=None, pad_edge=False)
    shown.add_row(*map(str, now.verdicts.values()))
    return shown


def table(name: str, section: dict[str, str]) -> Table:
    """A row per entry of a section: `key:a=1,b=2` with a column for each part, else `key:value`.

    Histograms, each of whose many bounds would be a column, are for programs to read.
    """
    shown_to_people = {k: v for k, v in section.items() if not k.endswith(_HISTOGRAM)}
    lists = {key: _parts(value) for key, value in shown_to_people.items() if "=" in value}
    rows = lists or {key: {"": value} for key, value in shown_to_people.items()}
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    shown = Table(name, *columns, box=None, pad_edge=False)
    for key, row in rows.items():
        cells = (key, *(row.get(column, "") for column in columns))
        shown.add_row(*map(Text, cells))
    return shown


def _parts(value: str) -> dict[str, str]:
    return {key: text for key, _, text in (part.partition("=") for part in value.split(","))}
