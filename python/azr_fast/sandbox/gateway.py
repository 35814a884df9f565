"""An HTTP server in front of azr-sandboxd that clients of SandboxFusion can be pointed at.

Back-pressure: a fixed number of jobs is in the sandbox at once; the other requests wait, and
clients, by their addresses, take turns. A client that leaves takes its job along. Needs the extra
`gateway`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import redis
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from azr_fast.sandbox.client import AsyncClient, SandboxLost
from azr_fast.sandbox.connections import connections
from azr_fast.sandbox.fusion import (
    RunRequest,
    RunResponse,
    error_response,
    limits_of,
    response_to,
    unserved,
)
from azr_fast.sandbox.messages import ANYWHERE, LARGEST_WORD, Limits, Place
from azr_fast.sandbox.turns import Turns

_DRAIN_SECONDS = 30  # on top of a job's deadline: what waits at the end may still be run


class _Gateway:
    """The two endpoints, as SandboxFusion has them."""

    def __init__(self, client: AsyncClient, most: Limits, turns: Turns, place: Place) -> None:
        self._client = client
        self._most = most
        self._turns = turns
        self._place = place

    async def run_code(self, request: RunRequest, connection: Request) -> RunResponse:
        """Run a Python script."""
        refusal = unserved(request, self._most)
        if refusal:
            return error_response(refusal)
        address = connection.client.host if connection.client else ""
        job = asyncio.create_task(self._run(request, address))
        left = asyncio.create_task(_client_left(connection))
        try:
            await asyncio.wait({job, left}, return_when=asyncio.FIRST_COMPLETED)
            return job.result() if job.done() else error_response("its client left")
        finally:
            job.cancel()  # which closes its connection to the daemon, and that ends the program
            left.cancel()

    async def ping(self) -> str:
        """`pong` when the daemon answers."""
        try:
            await self._client.info()
        except SandboxLost as error:
            raise HTTPException(503, str(error)) from error
        return "pong"

    async def _run(self, request: RunRequest, address: str) -> RunResponse:
        limits = limits_of(request, self._most)
        async with self._turns.slot(address):
            try:
                stdin = request.stdin or ""
                reply = await self._client.run(
                    request.code, stdin, limits, tier=self._place.tier, pool=self._place.pool
                )
            except (SandboxLost, redis.ResponseError) as error:
                return error_response(str(error))
        return response_to(reply)


class _BoundedBody:
    """Ends a request with 413 when its body is larger than the daemon could take."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = 0

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > LARGEST_WORD:
                raise HTTPException(413, f"a request has at most {LARGEST_WORD} bytes")
            return message

        await self._app(scope, bounded, send)


async def _client_left(connection: Request) -> None:
    """Wait for the end of a connection whose request has been read."""
    while (await connection.receive())["type"] != "http.disconnect":
        pass


async def _say_what_is_wrong(_request: Request, error: Exception) -> JSONResponse:
    """422 without the input, which may be long, and may be no JSON again (nan, lone surrogates)."""
    assert isinstance(error, RequestValidationError)
    faults = [{key: fault[key] for key in ("type", "loc", "msg")} for fault in error.errors()]
    return JSONResponse({"detail": faults}, 422)


def application(path: str, most: Limits, in_flight: int, place: Place = ANYWHERE) -> FastAPI:
    """The gateway to the daemon that listens at `path`; scripts run at `place`."""
    client = AsyncClient(path, most)

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await client.close()

    gateway = _Gateway(client, most, Turns(in_flight), place)
    app = FastAPI(
        title="azr-sandboxd",
        lifespan=life,
        docs_url=None,  # pages that load scripts from elsewhere
        redoc_url=None,
        strict_content_type=False,  # some clients post JSON without saying so
    )
    app.add_middleware(_BoundedBody)
    app.add_exception_handler(RequestValidationError, _say_what_is_wrong)
    app.add_api_route("/run_code", gateway.run_code, methods=["POST"])
    app.add_api_route("/v1/ping", gateway.ping)
    return app


class _Server(uvicorn.Server):
    """Leaves the signals to whoever runs it: its own way waits on after the second one."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def make_server(app: FastAPI, most: Limits, per_client: int) -> uvicorn.Server:
    """A server that accepts no more and answers what it has when its `should_exit` is set."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        http=connections(per_client),
        timeout_graceful_shutdown=most.timeout_ms // 1000 + _DRAIN_SECONDS,
    )
    return _Server(config)
