"""Runs many untrusted programs at a time with asyncio: python many.py [socket]."""

import asyncio
import sys

import redis.asyncio

PROGRAMS = [f"def f(x):\n    return x ** {power}" for power in range(10)]
HANGING = "def f(x):\n    while True: pass"


async def call(daemon: redis.asyncio.Redis, program: str, argument: str) -> str:
    reply = await daemon.execute_command("CALL", program, "f", 1, argument, "TIMEOUT", 3000)
    result = reply["results"][0]
    return result["value"] if result["verdict"] == "ok" else result["verdict"]


async def main() -> None:
    path = sys.argv[1] if len(sys.argv) > 1 else "/run/azr-sandboxd.sock"
    # Each call in flight takes a connection of the pool.
    pool = redis.asyncio.BlockingConnectionPool(
        connection_class=redis.asyncio.UnixDomainSocketConnection,
        path=path,
        protocol=3,
        decode_responses=True,
        max_connections=8,
    )
    async with redis.asyncio.Redis(connection_pool=pool) as daemon:
        programs = [*PROGRAMS, HANGING]
        print(*await asyncio.gather(*(call(daemon, program, "2") for program in programs)))
    await pool.aclose()


if __name__ == "__main__":
    asyncio.run(main())
