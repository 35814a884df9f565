"""The daemon driven by the tools and libraries of Redis; and the examples."""

from __future__ import annotations

import asyncio
import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis
import redis.asyncio

from .conftest import IDENTITY, Daemon

INSTALLER = Path(__file__).with_name("install_redis_tools.py")
EXAMPLES = Path(__file__).parents[1] / "examples"
PING_COUNT = 1000


def tools() -> Path:
    """Where install_redis_tools.py put what it built."""
    beside = Path(sys.prefix) / "redis-tools"
    folder = Path(os.environ.get("AZR_REDIS_TOOLS", beside))
    if not (folder / "bin/redis-cli").exists():
        pytest.fail(
            f"no redis-cli in {folder}: `make test` builds it, or "
            f"{sys.executable} {INSTALLER} {beside}",
            pytrace=False,
        )
    return folder


def output_of(*words: str | Path, stdin: str = "") -> str:
    done = subprocess.run(
        words, input=stdin, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def cli(daemon: Daemon, *words: str, stdin: str = "") -> list[str]:
    command = [tools() / "bin/redis-cli", "-s", daemon.path, *words]
    return [line.strip() for line in output_of(*command, stdin=stdin).splitlines()]


# --- redis-cli


def test_redis_cli_speaks_both_versions(daemon: Daemon) -> None:
    words = ["CALL", IDENTITY, "f", "1", "{'a': 1}"]
    flat = cli(daemon, *words)
    assert flat[:2] == ["verdict", "ok"]
    assert "{'a': 1}" in flat
    pairs = cli(daemon, "-3", *words)
    assert pairs[0] == "verdict ok"
    assert any(line.endswith("{'a': 1}") for line in pairs)


def test_redis_cli_takes_a_script_from_its_stdin(daemon: Daemon) -> None:
    answer = cli(daemon, "-x", "RUN", stdin="print(6 * 7)")
    assert answer[:2] == ["verdict", "ok"]
    assert "42" in answer


def test_redis_cli_as_a_shell(daemon: Daemon) -> None:
    """It asks for COMMAND by itself, for its help."""
    said = cli(daemon, stdin="help call\nPING\nCONFIG GET zygotes\nCLIENT SETNAME me\n")
    assert any("CALL" in line for line in said)
    assert said[-4:] == ["PONG", "zygotes", "2", "OK"]


def test_redis_cli_pipe(daemon: Daemon) -> None:
    """It ends when its own ECHO comes back."""
    said = cli(daemon, "--pipe", stdin="PING\r\n" * 500)
    assert said[-1] == "errors: 0, replies: 500"


def test_redis_cli_reports_refusals(daemon: Daemon) -> None:
    assert cli(daemon, "FLUSHALL") == ["ERR unknown command 'FLUSHALL'", ""]


# --- redis-benchmark


def benchmark(daemon: Daemon, *words: str) -> dict[str, str]:
    command = [tools() / "bin/redis-benchmark", "-s", daemon.path, "--csv", *words]
    said = output_of(*command)
    assert "WARN" not in said.upper(), said
    assert "ERR" not in said.upper(), said
    rows = list(csv.DictReader(said.splitlines()))
    return {row["test"]: row["rps"] for row in rows}


def test_redis_benchmark_of_pings(daemon: Daemon) -> None:
    with daemon.connect() as client:
        before = client.info("stats")["total_commands_processed"]
        rates = benchmark(daemon, "-t", "ping", "-n", str(PING_COUNT), "-c", "20", "-P", "8")
        after = client.info("stats")["total_commands_processed"]
    assert rates.keys() == {"PING_INLINE", "PING_MBULK"}
    assert after - before >= 2 * PING_COUNT


def test_redis_benchmark_of_programs(daemon: Daemon) -> None:
    with daemon.connect() as client:
        before = client.info("stats")["verdict_ok"]
        rates = benchmark(daemon, "-n", "100", "-c", "5", "CALL", IDENTITY, "f", "1", "1")
        after = client.info("stats")["verdict_ok"]
    assert len(rates) == 1
    assert after - before == 100


# --- redis-py


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py(daemon: Daemon, protocol: int) -> None:
    with redis.Redis(
        unix_socket_path=daemon.path,
        protocol=protocol,
        client_name="tester",
        health_check_interval=1,
        decode_responses=True,
    ) as client:
        assert client.client_getname() == "tester"
        assert client.echo("words") == "words"
        assert client.command_count() == len(client.command())
        connection = client.connection_pool.get_connection()
        connection.send_command("COMMAND", "DOCS", "call", "nothing")
        docs = str(connection.read_response())
        assert "CALL program entry" in docs
        assert "nothing" not in docs
        assert client.config_get("save") == {"save": ""}
        pipe = client.pipeline(transaction=False)
        for number in range(20):
            pipe.execute_command("CALL", IDENTITY, "f", 1, str(number))
        assert len(pipe.execute()) == 20


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_with_asyncio(daemon: Daemon, protocol: int) -> None:
    async def drive() -> list[object]:
        async with redis.asyncio.Redis(
            unix_socket_path=daemon.path,
            protocol=protocol,
            client_name="tester",
            decode_responses=True,
            max_connections=20,
        ) as client:
            assert await client.client_getname() == "tester"
            calls = (client.execute_command("CALL", IDENTITY, "f", 1, str(i)) for i in range(20))
            return await asyncio.gather(*calls)

    replies = asyncio.run(drive())
    texts = [str(reply) for reply in replies]
    assert all(f"'value', '{i}'" in t or f"'value': '{i}'" in t for i, t in enumerate(texts))


# --- examples


def test_the_c_example(daemon: Daemon, folder: Path) -> None:
    source, program = EXAMPLES / "call.c", folder / "call"
    hiredis = [f"-I{tools() / 'include'}", source, tools() / "lib/libhiredis.a"]
    output_of("cc", "-Wall", "-Wextra", "-Werror", "-o", program, *hiredis)
    said = output_of(program, daemon.path).splitlines()
    assert said == ["ok: [3, 2, 1]", "error: TypeError: 'NoneType' object is not iterable"]


def test_the_python_example(daemon: Daemon) -> None:
    said = output_of(sys.executable, EXAMPLES / "call.py", daemon.path).splitlines()
    assert said[0] == "ok: [3, 2, 1]"
    assert said[1].startswith("error: TypeError: ")
    assert said[2] == "ok 0 hello world"


def test_the_asyncio_example(daemon: Daemon) -> None:
    said = output_of(sys.executable, EXAMPLES / "many.py", daemon.path)
    assert said == "1 2 4 8 16 32 64 128 256 512 timeout\n"
