"""Which layers of isolation this machine offers, each on or off and why.

Exit status: 0 when a daemon would start at the level `seccomp`, else 1."""

from __future__ import annotations

import argparse

from azr_fast.sandbox.launcher import check_daemon, find_daemon


def add_options(parser: argparse.ArgumentParser) -> None:
    """None of its own."""
    parser.set_defaults(run=check_layers)


def check_layers(_space: argparse.Namespace) -> int:
    """The daemon's own report."""
    return int(check_daemon(find_daemon()).returncode != 0)
