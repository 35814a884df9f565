"""The page of a living run, served on this machine: it asks for news as steps are made."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any

from azr_fast.errors import UserError
from azr_fast.observe.episodes import EPISODES
from azr_fast.observe.page import inert_json, page_data, render
from azr_fast.observe.run import is_living, read_run
from azr_fast.observe.runfolder import check_format

HOST = "127.0.0.1"
EVERY = 3  # seconds between two questions of the page


class Source:
    """The page of a run, made anew when its files have changed."""

    def __init__(self, folder: Path, most: int = EPISODES) -> None:
        self._folder = folder
        self._most = most
        self._lock = Lock()
        self._data: dict[str, Any] = {}
        read_run(folder)  # refuses what is no run before anything is served

    def data(self) -> dict[str, Any]:
        """What the page shows now; `tag` tells one state of the run from another."""
        check_format(self._folder)
        with self._lock:
            tag = self._tag()
            if self._data.get("tag") != tag:
                self._data = page_data(read_run(self._folder), self._most)
                self._data |= {"tag": tag, "follow": EVERY}
            return self._data

    def _tag(self) -> str:
        files = (self._folder / "metrics.jsonl", self._folder / "samples")
        states = [path.stat() for path in files if path.exists()]
        return json.dumps(
            [[one.st_size, one.st_mtime_ns] for one in states] + [is_living(self._folder)]
        )


class RunServer(ThreadingHTTPServer):
    """Serves one run on this machine alone."""

    def __init__(self, port: int, source: Source) -> None:
        super().__init__((HOST, port), Handler)
        self.source = source


def open_server(folder: Path, port: int, most: int = EPISODES) -> RunServer:
    """A server of the run's page on this machine alone; port 0 takes any that is free.

    UserError when the port is taken, or `folder` is no run folder.
    """
    source = Source(folder, most)
    try:
        return RunServer(port, source)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot serve on port {port}: {reason}; choose another by --port, or 0 for any"
        ) from None


class Handler(BaseHTTPRequestHandler):
    """Answers GET / and GET /data.json."""

    server: RunServer
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        """The page, or its data when they have changed since the tag that is sent."""
        paths: dict[str, Callable[[], None]] = {"/": self._page, "/data.json": self._data}
        answer = paths.get(self.path.partition("?")[0])
        if not self._is_local():
            self._send(403, "text/plain", b"ask for localhost")
        elif answer is None:
            self._send(404, "text/plain", b"there is / and /data.json")
        else:
            self._answer(answer)

    def _is_local(self) -> bool:
        """A page of another site cannot reach this one by a name of its own that it points at
        this machine: such a request names another host."""
        name = self.headers.get("Host", "").partition(":")[0]
        return name in ("127.0.0.1", "localhost")

    def _answer(self, answer: Callable[[], None]) -> None:
        try:
            answer()
        except UserError as error:  # such as a folder that was removed meanwhile
            self._send(500, "text/plain; charset=utf-8", str(error).encode())

    def _page(self) -> None:
        self._send(200, "text/html; charset=utf-8", render(self.server.source.data()).encode())

    def _data(self) -> None:
        data = self.server.source.data()
        if self.headers.get("If-None-Match") == data["tag"]:
            self._send(304, "application/json", b"")
        else:
            self._send(200, "application/json", inert_json(data).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the terminal says where to look, and that is enough."""
