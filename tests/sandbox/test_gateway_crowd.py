"""Clients of the gateway that send slowly, or much: the others are answered all the same."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
import requests
from gateways import answer, gateway, heard, send, wait_until

from azr_fast.sandbox import connections
from azr_fast.sandbox.turns import Turns

HALF = (
    b"POST /run_code HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b'Content-Length: 5000\r\n\r\n{"code": "'
)
PATIENCE = 20  # seconds: a bound on hangs; those that stall have thirty


@pytest.fixture
def url(sandbox):
    with gateway("--socket", sandbox.path, "--per-client", "100") as (_, url):
        yield url


def stall(url, data, source="127.0.0.1"):
    """A connection that sends this and no more."""
    at = urlsplit(url)
    raw = socket.create_connection((at.hostname, at.port), source_address=(source, 0))
    raw.sendall(data)
    return raw


@pytest.mark.parametrize(
    ("data", "count"),
    [(HALF, 1000), (b"POST /run", 300), (b"", 300), (b"\r\n", 300)],
    ids=["body", "line", "nothing", "line-end"],
)
def test_a_thousand_half_sent_requests(url, data, count):
    with ExitStack() as stalled:
        for _ in range(count):
            stalled.enter_context(stall(url, data))
        begin = time.monotonic()
        for _ in range(5):
            assert requests.get(f"{url}/v1/ping", timeout=PATIENCE).status_code == 200
            job = answer(send(url, "print(1)"))
            assert job["run_result"]["stdout"] == "1\n"
        assert time.monotonic() - begin < PATIENCE


def test_half_sent_requests_of_many_clients(url):
    """More than there may be in all: each address has fewer than it may."""
    with ExitStack() as stalled:
        for last in range(2, 16):
            for _ in range(90):
                stalled.enter_context(stall(url, HALF, f"127.0.0.{last}"))
        assert requests.get(f"{url}/v1/ping", timeout=PATIENCE).status_code == 200


def test_whole_requests_keep_their_places(sandbox, client, url):
    """One that is being answered is not ended for another; beyond the bound 503 is the answer."""
    with ExitStack() as ends:
        jobs = [send(url, "import time; time.sleep(1)") for _ in range(100)]
        for job in jobs:
            ends.callback(job.close)
        wait_until(lambda: int(client.info()["stats"]["programs_running"]) > 0)
        with stall(url, b"") as raw:
            raw.settimeout(PATIENCE)
            assert raw.recv(100).startswith(b"HTTP/1.1 503 ")
        with stall(url, HALF, "127.0.0.2"):  # others are heard
            assert "Success" in requests_from("127.0.0.3", url)


def requests_from(source, url):
    body = b'{"code": "print(1)", "language": "python"}'
    head = f"POST /run_code HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}"
    with stall(url, head.encode() + b"\r\n\r\n" + body, source) as raw:
        raw.settimeout(60)
        return b"".join(iter(lambda: raw.recv(65536), b"")).decode()


def test_the_one_that_makes_room_is_told(url):
    with stall(url, HALF) as first, ExitStack() as others:
        heard(url)
        for _ in range(100):
            others.enter_context(stall(url, HALF))
        first.settimeout(PATIENCE)
        assert first.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_a_request_that_does_not_come_to_its_end(monkeypatch):
    """The clock of reading, with a real server and a shorter time."""
    monkeypatch.setattr(connections, "READ_SECONDS", 0.3)

    async def stalled() -> bytes:
        server = await served()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(HALF)
        said = await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()
        await server.stop()
        return said

    assert asyncio.run(stalled()).startswith(b"HTTP/1.1 408 ")


class served:  # noqa: N801 - awaited as a function
    """A server of the gateway's kind, in this event loop."""

    def __await__(self):
        return self._start().__await__()

    async def _start(self):
        from fastapi import FastAPI

        from azr_fast.sandbox.gateway import make_server
        from azr_fast.sandbox.messages import Limits

        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        app = FastAPI()

        @app.post("/run_code")
        async def whole(body: dict) -> None:
            raise AssertionError("it was not whole")

        self._server = make_server(app, Limits(1, 1 << 20, 1), 10)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        return self

    async def stop(self):
        self._server.should_exit = True
        await self._task


# --- turns


def test_clients_take_turns():
    async def order():
        turns, done = Turns(1), []

        async def job(client, number):
            async with turns.slot(client):
                done.append(f"{client}{number}")
                await asyncio.sleep(0)

        await asyncio.gather(*(job("a", n) for n in range(4)), *(job("b", n) for n in range(2)))
        return done

    assert asyncio.run(order()) == ["a0", "a1", "b0", "a2", "b1", "a3"]


def test_who_leaves_gives_its_slot_back():
    async def leave():
        turns = Turns(1)
        async with turns.slot("a"):
            waiting = [asyncio.create_task(turns._take(name)) for name in "bcd"]
            await asyncio.sleep(0)
            waiting[0].cancel()  # while it waits
        waiting[1].cancel()  # when it was given the slot, and does not know yet
        await asyncio.wait_for(waiting[2], PATIENCE)
        assert turns._free == 0
        turns._give()
        assert (turns._free, turns._waiting) == (1, {})

    asyncio.run(leave())
