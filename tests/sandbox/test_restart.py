"""A daemon that was killed is started anew at the same path, and its clients go on."""

import asyncio
import os
import signal
import subprocess
import threading
import time
from contextlib import suppress

import pytest

from azr_fast.config.schema import SandboxConfig
from azr_fast.sandbox import launcher
from azr_fast.sandbox.client import AsyncClient, SandboxLost
from azr_fast.sandbox.launcher import find_daemon, open_sandbox
from azr_fast.sandbox.usage import Usage

PROGRAM = "def f(x):\n    return x + 1"


@pytest.fixture
def client():
    with open_sandbox(SandboxConfig(zygotes=2, rewind=False)) as client:
        yield client


def kill(client):
    os.kill(int(client.info()["server"]["process_id"]), signal.SIGKILL)
    with suppress(SandboxLost):
        while client.info():  # until the kernel has ended it
            pass


def test_both_clients_go_on(client):
    with asyncio.Runner() as runner:
        programs = AsyncClient(client.path, client.limits)

        async def ask():
            replies = await asyncio.gather(*(programs.call(PROGRAM, "f", ["1"]) for _ in range(8)))
            return {reply.results[0].value for reply in replies}

        assert runner.run(ask()) == {"2"}
        kill(client)
        with pytest.raises(SandboxLost):
            runner.run(ask())
        client.restart()
        assert runner.run(ask()) == {"2"}
        assert client.call(PROGRAM, "f", ["2"]).results[0].value == "3"
        runner.run(programs.close())


def test_a_daemon_that_hangs_is_replaced(client, monkeypatch):
    monkeypatch.setattr(launcher, "_STOP_SECONDS", 0.5)
    pid = int(client.info()["server"]["process_id"])
    os.kill(pid, signal.SIGSTOP)
    client.restart()
    assert int(client.info()["server"]["process_id"]) != pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_usage_counts_from_nothing_then(client):
    usage = Usage(client)
    for _ in range(5):
        client.call(PROGRAM, "f", ["1"])
    assert usage.since_last()["programs"] == 5
    kill(client)
    client.restart()
    client.call(PROGRAM, "f", ["1"])
    assert usage.since_last()["programs"] == 1


def test_a_daemon_of_others_is_waited_for(tmp_path):
    command = [find_daemon(), "--socket", str(tmp_path / "s"), "--zygotes", "2", "--rewind", "0"]
    daemons = [start(command)]
    try:
        with open_sandbox(SandboxConfig(socket=str(tmp_path / "s"))) as client:
            kill(client)
            starting = threading.Thread(target=lambda: daemons.append(start(command, 0.5)))
            starting.start()
            client.restart()
            starting.join()
            assert client.call(PROGRAM, "f", ["1"]).results[0].value == "2"
    finally:
        for daemon in daemons:
            daemon.kill()
            daemon.communicate()


def start(command, after=0.0):
    time.sleep(after)
    daemon = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert daemon.stdout.readline().startswith(b"ready")
    return daemon
