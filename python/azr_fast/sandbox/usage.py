"""How a daemon has served programs, from its own counters."""

from __future__ import annotations

from typing import Any

from azr_fast.sandbox.client import Client

_FELL_BACK = "fell_back_"


class Usage:
    """Differences of a daemon's counters. A daemon that others use counts their programs too."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._last = self._counters()

    def since_last(self) -> dict[str, Any]:
        """Since the last call, or the beginning.

        programs: answered · rewound: share that a rewound process served · fell_back: how many
        needed a tier that isolates more after all, by what they asked for (a system call, `signal`,
        or a limit); one that needed two is counted twice.
        """
        now, last = self._counters(), self._last
        self._last = now
        if any(now.get(name, 0) < count for name, count in last.items()):
            last = {}  # the daemon was started anew, and counts from 0
        grown = {name: count - last.get(name, 0) for name, count in now.items()}
        programs = sum(count for name, count in grown.items() if name.startswith("verdict_"))
        return {
            "programs": programs,
            "rewound": grown["rewound_jobs"] / programs if programs else None,
            "fell_back": {
                name.removeprefix(_FELL_BACK): count
                for name, count in grown.items()
                if name.startswith(_FELL_BACK) and count
            },
        }

    def _counters(self) -> dict[str, int]:
        info = self._client.info()
        verdicts = {k: v for k, v in info["stats"].items() if k.startswith("verdict_")}
        return {name: int(count) for name, count in (info["rewind"] | verdicts).items()}
